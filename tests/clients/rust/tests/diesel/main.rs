//! diesel with pgvector's types: inserting, changing, searching by every distance, joins, COPY, transactions, errors;
//! types, migrations and what its `print-schema` asks in the files beside.

mod migrations;
mod types;

use std::io::Read;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::dsl::{count_star, exists, max, not, sum};
use diesel::pg::{CopyFormat, CopyHeader, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::upsert::{excluded, on_constraint};
use hither_clients::{Done, server, wait};
use pgvector::{Bit, HalfVector, SparseVector, Vector, VectorExpressionMethods};
use serde_json::{Value, json};

/// A connection, and the statements that make the tables of a test.
fn start(script: &str) -> Result<PgConnection, Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = PgConnection::establish(wait(server()))?;
    if !script.is_empty() {
        connection.batch_execute(script)?;
    }
    Ok(connection)
}

diesel::table! {
    dsl_makers (id) {
        id -> Int4,
        name -> Varchar,
        since -> Nullable<Date>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use pgvector::sql_types::Vector;

    dsl_items (id) {
        id -> Int8,
        maker_id -> Nullable<Int4>,
        name -> Text,
        price -> Numeric,
        tags -> Array<Text>,
        about -> Nullable<Jsonb>,
        added -> Timestamptz,
        embedding -> Nullable<Vector>,
    }
}

diesel::table! {
    use diesel::sql_types::{Int4, Nullable, Text};
    use pgvector::sql_types::{Bit, HalfVector, SparseVector, Vector};

    dsl_points (id) {
        id -> Int4,
        label -> Text,
        dense -> Nullable<Vector>,
        half -> Nullable<HalfVector>,
        sparse -> Nullable<SparseVector>,
        bits -> Nullable<Bit>,
    }
}

diesel::table! {
    dsl_accounts (id) {
        id -> Int4,
        balance -> Int4,
    }
}

diesel::table! {
    dsl_sums (id) {
        id -> Int4,
        balance -> Int4,
    }
}

diesel::joinable!(dsl_items -> dsl_makers (maker_id));
diesel::allow_tables_to_appear_in_same_query!(dsl_makers, dsl_items);

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable)]
#[diesel(table_name = dsl_makers, check_for_backend(diesel::pg::Pg))]
struct Maker {
    id: i32,
    name: String,
    since: Option<NaiveDate>,
}

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Identifiable, Associations, AsChangeset)]
#[diesel(table_name = dsl_items, belongs_to(Maker), treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
struct Item {
    id: i64,
    maker_id: Option<i32>,
    name: String,
    price: BigDecimal,
    tags: Vec<String>,
    about: Option<Value>,
    added: DateTime<Utc>,
    embedding: Option<Vector>,
}

#[derive(Insertable)]
#[diesel(table_name = dsl_items)]
struct NewItem<'a> {
    maker_id: Option<i32>,
    name: &'a str,
    price: BigDecimal,
    tags: Vec<&'a str>,
    about: Option<Value>,
    embedding: Option<Vector>,
}

#[derive(Insertable, Queryable, Selectable, Debug, Clone, PartialEq)]
#[diesel(table_name = dsl_points, treat_none_as_default_value = false)]
struct Point {
    id: i32,
    label: String,
    dense: Option<Vector>,
    half: Option<HalfVector>,
    sparse: Option<SparseVector>,
    bits: Option<Bit>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    id: i32,
    #[diesel(sql_type = diesel::sql_types::Double)]
    distance: f64,
}

fn new_item(name: &str, maker_id: Option<i32>, at: f32) -> NewItem<'_> {
    let price = BigDecimal::from(at as i64) + BigDecimal::new(50.into(), 2);
    let embedding = Some(Vector::from(vec![at, 1.0, 0.0]));
    NewItem { maker_id, name, price, tags: vec!["new", name], about: Some(json!({"at": at})), embedding }
}

#[test]
fn items_and_their_makers() -> Done {
    let mut connection = start(
        "DROP TABLE IF EXISTS dsl_items; DROP TABLE IF EXISTS dsl_makers;
         CREATE TABLE dsl_makers (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE, since date);
         CREATE TABLE dsl_items (id bigserial PRIMARY KEY, maker_id int REFERENCES dsl_makers, name text NOT NULL,
                                 price numeric(10, 2) NOT NULL CHECK (price > 0), tags text[] NOT NULL, about jsonb,
                                 added timestamptz NOT NULL DEFAULT now(), embedding vector(3),
                                 CONSTRAINT dsl_one_name UNIQUE (maker_id, name));
         CREATE INDEX ON dsl_items USING hnsw (embedding vector_l2_ops)",
    )?;
    let c = &mut connection;
    let since = NaiveDate::from_ymd_opt(1919, 3, 1);
    let makers: Vec<Maker> = diesel::insert_into(dsl_makers::table)
        .values(vec![
            (dsl_makers::name.eq("Bialetti"), Some(dsl_makers::since.eq(since))),
            (dsl_makers::name.eq("Alessi"), None),
        ])
        .get_results(c)?;
    assert_eq!(makers[0], Maker { id: 1, name: "Bialetti".to_owned(), since });
    assert_eq!((makers[1].id, makers[1].since), (2, None));
    let moka: Item =
        diesel::insert_into(dsl_items::table).values(new_item("moka", Some(1), 1.0)).get_result(c)?;
    assert_eq!(
        (moka.id, moka.price.to_string().as_str(), moka.about.clone()),
        (1, "1.50", Some(json!({"at": 1.0})))
    );
    let more: Vec<NewItem> =
        (2..=30).map(|i| new_item(["brikka", "venus", "cup"][i % 3], None, i as f32)).collect();
    assert_eq!(diesel::insert_into(dsl_items::table).values(&more).execute(c)?, 29);
    let all = dsl_items::table.order(dsl_items::id).select(Item::as_select()).load(c)?;
    assert_eq!((all.len(), &all[0]), (30, &moka));
    // Searches with filters, built as they come.
    let near = |at: f32| dsl_items::embedding.l2_distance(Vector::from(vec![at, 1.0, 0.0]));
    let found: Vec<(i64, Option<f64>)> = dsl_items::table
        .filter(dsl_items::name.eq("cup").and(dsl_items::tags.contains(vec!["new"])))
        .order(near(10.9))
        .select((dsl_items::id, near(11.0)))
        .limit(2)
        .load(c)?;
    assert_eq!(found, [(11, Some(0.0)), (8, Some(3.0))]);
    let mut boxed = dsl_items::table.into_boxed();
    boxed = boxed.filter(dsl_items::price.between(BigDecimal::from(5), BigDecimal::from(20)));
    boxed = boxed.or_filter(dsl_items::about.retrieve_as_text("at").eq("1.0"));
    let found: Vec<i64> = boxed.select(dsl_items::id).order(near(0.0)).limit(3).offset(1).load(c)?;
    assert_eq!(found, [5, 6, 7]);

    // Changes: by changeset, by what was loaded, by expression.
    let changed: Item = diesel::update(dsl_items::table.find(2))
        .set((dsl_items::maker_id.eq(2), dsl_items::price.eq(dsl_items::price * BigDecimal::from(2))))
        .get_result(c)?;
    assert_eq!((changed.maker_id, changed.price.to_string().as_str()), (Some(2), "5.00"));
    let loaded = Item { about: None, maker_id: Some(1), name: "kept".to_owned(), ..changed };
    assert_eq!(loaded.save_changes::<Item>(c)?, loaded);
    let near_five: Vec<i64> = dsl_items::table.filter(near(5.0).lt(2.0)).select(dsl_items::id).load(c)?;
    let changed = diesel::update(dsl_items::table.filter(dsl_items::id.eq_any(near_five)))
        .set(dsl_items::tags.eq(vec!["five"]))
        .execute(c)?;
    assert_eq!(changed, 3);
    assert_eq!(
        diesel::delete(dsl_items::table.filter(dsl_items::tags.overlaps_with(vec!["five"]))).execute(c)?,
        3
    );
    let gone: Vec<String> =
        diesel::delete(dsl_items::table.find(30)).returning(dsl_items::name).get_results(c)?;
    assert_eq!(gone, ["brikka"]);
    assert_eq!(dsl_items::table.find(30).first::<Item>(c).optional()?, None);

    // Upserts.
    let again = || new_item("moka", Some(1), 100.0);
    assert_eq!(diesel::insert_into(dsl_items::table).values(again()).on_conflict_do_nothing().execute(c)?, 0);
    let upserted: Item = diesel::insert_into(dsl_items::table)
        .values(vec![again()])
        .on_conflict((dsl_items::maker_id, dsl_items::name))
        .do_update()
        .set((
            dsl_items::price.eq(excluded(dsl_items::price)),
            dsl_items::embedding.eq(excluded(dsl_items::embedding)),
        ))
        .get_result(c)?;
    assert_eq!((upserted.id, upserted.price.to_string().as_str()), (1, "100.50"));
    let upserted = diesel::insert_into(dsl_items::table)
        .values(again())
        .on_conflict(on_constraint("dsl_one_name"))
        .do_update()
        .set(dsl_items::name.eq("twice"))
        .execute(c)?;
    assert_eq!(upserted, 1);

    // Joins and associations.
    let joined: Vec<(Maker, Item)> = dsl_makers::table
        .inner_join(dsl_items::table)
        .filter(dsl_makers::name.like("Bia%"))
        .order((dsl_makers::id, dsl_items::embedding.cosine_distance(Vector::from(vec![1.0, 0.0, 0.0]))))
        .load(c)?;
    assert_eq!(joined.iter().map(|(_, item)| item.name.as_str()).collect::<Vec<_>>(), ["twice", "kept"]);
    let left: Vec<(String, Option<String>)> = dsl_makers::table
        .left_join(dsl_items::table)
        .select((dsl_makers::name, dsl_items::name.nullable()))
        .order((dsl_makers::name, dsl_items::name))
        .load(c)?;
    assert_eq!(left[0], ("Alessi".to_owned(), None));
    let makers = dsl_makers::table.order(dsl_makers::id).load::<Maker>(c)?;
    let items = Item::belonging_to(&makers).order(dsl_items::id).load::<Item>(c)?;
    let grouped: Vec<usize> = items.grouped_by(&makers).iter().map(Vec::len).collect();
    assert_eq!(grouped, [2, 0]);
    let counted: Vec<(String, i64, Option<BigDecimal>)> = dsl_items::table
        .group_by(dsl_items::name)
        .having(count_star().gt(1))
        .select((dsl_items::name, count_star(), sum(dsl_items::price)))
        .order(dsl_items::name.desc())
        .load(c)?;
    assert_eq!(
        counted.iter().map(|(name, n, _)| (name.as_str(), *n)).collect::<Vec<_>>(),
        [("venus", 8), ("cup", 8), ("brikka", 8)]
    );
    let lonely: Vec<String> = dsl_makers::table
        .filter(not(exists(dsl_items::table.filter(dsl_items::maker_id.eq(dsl_makers::id.nullable())))))
        .select(dsl_makers::name)
        .load(c)?;
    assert_eq!(lonely, ["Alessi"]);
    let firsts: Vec<(String, i64)> = dsl_items::table
        .distinct_on(dsl_items::name)
        .order((dsl_items::name, dsl_items::id.desc()))
        .select((dsl_items::name, dsl_items::id))
        .filter(dsl_items::maker_id.is_null())
        .load(c)?;
    assert_eq!(firsts.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [27, 29, 28]);
    let both: Vec<String> =
        dsl_makers::table.select(dsl_makers::name).union(dsl_items::table.select(dsl_items::name)).load(c)?;
    assert_eq!(both.len(), 7);
    let most: Option<DateTime<Utc>> = dsl_items::table.select(max(dsl_items::added)).first(c)?;
    assert!(most.unwrap() <= Utc::now() + chrono::TimeDelta::minutes(5));
    Ok(())
}

#[test]
fn nearest_neighbours_by_every_distance() -> Done {
    use dsl_points::{bits, dense, half, id, label, sparse};

    let mut connection = start(
        "DROP TABLE IF EXISTS dsl_points;
         CREATE TABLE dsl_points (id int PRIMARY KEY, label text NOT NULL, dense vector(3), half halfvec(3),
                                  sparse sparsevec(3), bits bit(8))",
    )?;
    let c = &mut connection;
    let place = |i: i32| [i as f32, (i % 7) as f32, 1.0];
    let points: Vec<Point> = (0..300)
        .map(|i| Point {
            id: i,
            label: if i % 10 == 0 { "ten" } else { "other" }.to_owned(),
            dense: Some(Vector::from(place(i).to_vec())),
            half: Some(HalfVector::from_f32_slice(&place(i))),
            sparse: Some(SparseVector::from_dense(&place(i))),
            bits: Some(Bit::from_bytes(&[i as u8])),
        })
        .collect();
    // COPY in binary, from what INSERT would take.
    let copied = diesel::copy_from(dsl_points::table).from_insertable(&points).execute(c)?;
    assert_eq!(copied, 300);
    let empty = Point { id: 300, label: "ten".to_owned(), dense: None, half: None, sparse: None, bits: None };
    diesel::insert_into(dsl_points::table).values(&empty).execute(c)?;
    c.batch_execute("CREATE INDEX ON dsl_points USING hnsw (dense vector_l2_ops)")?;
    assert_eq!(dsl_points::table.find(17).first::<Point>(c)?, points[17]);
    assert_eq!(dsl_points::table.find(300).first::<Point>(c)?, empty);

    macro_rules! nearest {
        ($($column:ident.$distance:ident($query:expr), $function:literal;)*) => {$(
            let distance = || $column.$distance($query);
            let found: Vec<(i32, Option<f64>)> = dsl_points::table
                .filter(label.eq("ten").and($column.is_not_null()))
                .order((distance(), id))
                .select((id, distance()))
                .limit(4)
                .load(c)?;
            // The same by the function that the operator stands for, over all rows.
            let sql = format!(
                "SELECT id, {}({}, (SELECT {} FROM dsl_points WHERE id = 200))::float8 AS distance FROM dsl_points
                 WHERE label = 'ten' AND {} IS NOT NULL ORDER BY distance, id LIMIT 4",
                $function, stringify!($column), stringify!($column), stringify!($column),
            );
            let expected: Vec<Found> = diesel::sql_query(sql).load(c)?;
            let expected: Vec<(i32, Option<f64>)> =
                expected.into_iter().map(|row| (row.id, Some(row.distance))).collect();
            assert_eq!(found, expected, "{} {}", stringify!($column), stringify!($distance));
        )*};
    }
    let vector = || Vector::from(place(200).to_vec());
    let halfvec = || HalfVector::from_f32_slice(&place(200));
    let sparsevec = || SparseVector::from_dense(&place(200));
    let bit = || Bit::from_bytes(&[200]);
    nearest! {
        dense.l2_distance(vector()), "l2_distance";
        dense.max_inner_product(vector()), "-inner_product";
        dense.cosine_distance(vector()), "cosine_distance";
        dense.l1_distance(vector()), "l1_distance";
        half.l2_distance(halfvec()), "l2_distance";
        half.max_inner_product(halfvec()), "-inner_product";
        half.cosine_distance(halfvec()), "cosine_distance";
        half.l1_distance(halfvec()), "l1_distance";
        sparse.l2_distance(sparsevec()), "l2_distance";
        sparse.max_inner_product(sparsevec()), "-inner_product";
        sparse.cosine_distance(sparsevec()), "cosine_distance";
        sparse.l1_distance(sparsevec()), "l1_distance";
        bits.hamming_distance(bit()), "hamming_distance";
        bits.jaccard_distance(bit()), "jaccard_distance";
    }
    // What has no embedding comes last.
    let last: Vec<i32> =
        dsl_points::table.order(dense.l2_distance(vector())).select(id).offset(300).load(c)?;
    assert_eq!(last, [300]);
    let raw = diesel::copy_from(dsl_points::table)
        .from_raw_data((id, label, bits), |data| {
            data.write_all(b"id\tlabel\tbits\n400\tx\t10000001\n401\ty\t\\N\n").unwrap();
            QueryResult::Ok(())
        })
        .with_header(CopyHeader::Set(true))
        .execute(c)?;
    assert_eq!(raw, 2);
    // COPY TO leaves a connection of diesel in the middle of it: each has its own.
    let mut text = String::new();
    diesel::copy_to((id, label, dense))
        .with_format(CopyFormat::Csv)
        .with_header(true)
        .load_raw(&mut start("")?)?
        .read_to_string(&mut text)?;
    assert!(
        text.starts_with("id,label,dense\n0,ten,\"[0,0,1]\"\n1,other,\"[1,1,1]\"\n")
            && text.ends_with("\n401,y,\n")
    );
    let rows = diesel::copy_to(dsl_points::table)
        .load::<Point, _>(&mut start("")?)?
        .collect::<QueryResult<Vec<_>>>()?;
    assert_eq!((&rows[..300], &rows[300]), (&points[..], &empty));
    Ok(())
}

#[test]
fn transactions_and_savepoints() -> Done {
    let script = "DROP TABLE IF EXISTS dsl_accounts;
                  CREATE TABLE dsl_accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0));
                  INSERT INTO dsl_accounts VALUES (1, 100), (2, 0)";
    let mut connection = start(script)?;
    let c = &mut connection;
    let mut other = start("")?;
    let balances = |c: &mut PgConnection| {
        dsl_accounts::table.order(dsl_accounts::id).select(dsl_accounts::balance).load::<i32>(c)
    };
    let move_money = |c: &mut PgConnection, sum: i32| {
        c.transaction(|c| {
            diesel::update(dsl_accounts::table.find(2))
                .set(dsl_accounts::balance.eq(dsl_accounts::balance + sum))
                .execute(c)?;
            diesel::update(dsl_accounts::table.find(1))
                .set(dsl_accounts::balance.eq(dsl_accounts::balance - sum))
                .execute(c)
        })
    };
    move_money(c, 30)?;
    assert!(matches!(move_money(c, 71), Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _))));
    assert_eq!(balances(c)?, [70, 30]);
    c.transaction::<_, Error, _>(|c| {
        move_money(c, 10)?;
        // A savepoint: what fails within leaves the rest.
        assert!(move_money(c, 1000).is_err());
        assert!(matches!(
            c.transaction::<(), Error, _>(|_| Err(Error::RollbackTransaction)),
            Err(Error::RollbackTransaction)
        ));
        assert_eq!(balances(&mut other)?, [70, 30]);
        move_money(c, 10)?;
        Ok(())
    })?;
    assert_eq!(balances(&mut other)?, [50, 50]);
    c.test_transaction::<_, Error, _>(|c| move_money(c, 50));
    assert_eq!(balances(c)?, [50, 50]);
    let refused = c.build_transaction().read_only().deferrable().run(|c| move_money(c, 1));
    assert!(matches!(refused, Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))));
    let level = c.build_transaction().repeatable_read().run(|c| {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
            "current_setting('transaction_isolation')",
        ))
        .get_result::<String>(c)
    })?;
    assert_eq!(level, "repeatable read");
    // A row that another transaction holds.
    c.transaction::<_, Error, _>(|c| {
        let row = dsl_accounts::table.find(1).for_update();
        row.first::<(i32, i32)>(c)?;
        let error = other.transaction::<_, Error, _>(|other| {
            assert_eq!(
                dsl_accounts::table.select(dsl_accounts::id).for_update().skip_locked().load::<i32>(other)?,
                [2]
            );
            row.no_wait().first::<(i32, i32)>(other)
        });
        let Err(Error::DatabaseError(_, info)) = error else { panic!("{error:?}") };
        assert_eq!(info.message(), "could not obtain lock on row in relation \"dsl_accounts\"");
        Ok(())
    })?;
    Ok(())
}

#[test]
fn serializable_transactions() -> Done {
    let mut connection = start(
        "DROP TABLE IF EXISTS dsl_sums; CREATE TABLE dsl_sums (id int PRIMARY KEY, balance int NOT NULL)",
    )?;
    let c = &mut connection;
    let mut other = start("")?;
    // Two serializable transactions that each read what the other writes.
    let both = c.build_transaction().serializable().run(|c| {
        dsl_sums::table.select(sum(dsl_sums::balance)).first::<Option<i64>>(c)?;
        other.build_transaction().serializable().run(|other| {
            dsl_sums::table.select(sum(dsl_sums::balance)).first::<Option<i64>>(other)?;
            diesel::insert_into(dsl_sums::table)
                .values((dsl_sums::id.eq(3), dsl_sums::balance.eq(1)))
                .execute(other)
        })?;
        diesel::insert_into(dsl_sums::table).values((dsl_sums::id.eq(4), dsl_sums::balance.eq(1))).execute(c)
    });
    assert!(
        matches!(both, Err(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _))),
        "{both:?}"
    );
    Ok(())
}

#[test]
fn errors_by_kind_and_constraint() -> Done {
    let mut connection = start(
        "DROP TABLE IF EXISTS dsl_children; DROP TABLE IF EXISTS dsl_parents;
         CREATE TABLE dsl_parents (id int PRIMARY KEY, age int CONSTRAINT dsl_grown_up CHECK (age > 17),
                                   embedding vector(3) NOT NULL);
         CREATE TABLE dsl_children (id int, parent int REFERENCES dsl_parents);
         INSERT INTO dsl_parents VALUES (1, 36, '[1,2,3]'); INSERT INTO dsl_children VALUES (1, 1)",
    )?;
    let c = &mut connection;
    for (sql, kind, constraint, column) in [
        (
            "INSERT INTO dsl_parents VALUES (1, 20, '[1,2,3]')",
            DatabaseErrorKind::UniqueViolation,
            Some("dsl_parents_pkey"),
            None,
        ),
        (
            "INSERT INTO dsl_children VALUES (2, 9)",
            DatabaseErrorKind::ForeignKeyViolation,
            Some("dsl_children_parent_fkey"),
            None,
        ),
        (
            "DELETE FROM dsl_parents",
            DatabaseErrorKind::ForeignKeyViolation,
            Some("dsl_children_parent_fkey"),
            None,
        ),
        (
            "INSERT INTO dsl_parents VALUES (2, 7, '[1,2,3]')",
            DatabaseErrorKind::CheckViolation,
            Some("dsl_grown_up"),
            None,
        ),
        (
            "INSERT INTO dsl_parents VALUES (2, 20, NULL)",
            DatabaseErrorKind::NotNullViolation,
            None,
            Some("embedding"),
        ),
        ("INSERT INTO dsl_parents VALUES (2, 20, '[1,2]')", DatabaseErrorKind::Unknown, None, None),
    ] {
        let error = diesel::sql_query(sql).execute(c).unwrap_err();
        let Error::DatabaseError(got, info) = error else { panic!("{error:?}") };
        assert_eq!(format!("{got:?}"), format!("{kind:?}"), "{sql}");
        assert_eq!((info.constraint_name(), info.column_name()), (constraint, column), "{sql}");
    }
    let error =
        diesel::sql_query("INSERT INTO dsl_parents VALUES (1, 20, '[1,2,3]')").execute(c).unwrap_err();
    let Error::DatabaseError(_, info) = error else { panic!("{error:?}") };
    assert_eq!(
        (info.table_name(), info.details()),
        (Some("dsl_parents"), Some("Key (id)=(1) already exists."))
    );
    let error = diesel::sql_query("SELECT 1 FROM dsl_nowhere").execute(c).unwrap_err();
    let Error::DatabaseError(_, info) = error else { panic!("{error:?}") };
    assert_eq!(
        (info.message(), info.statement_position()),
        ("relation \"dsl_nowhere\" does not exist", Some(15))
    );
    assert!(PgConnection::establish(&format!("{}_not_there", wait(server()))).is_err());
    Ok(())
}

#[test]
fn pools_rows_one_by_one_and_notifications() -> Done {
    let pool = Pool::builder().max_size(3).build(ConnectionManager::<PgConnection>::new(wait(server())))?;
    let sums: Vec<i64> = std::thread::scope(|scope| {
        let ask = |i: i64| {
            let pool = pool.clone();
            scope.spawn(move || {
                let sql = diesel::dsl::sql::<diesel::sql_types::BigInt>("SELECT 2 * ")
                    .bind::<diesel::sql_types::BigInt, _>(i);
                sql.get_result::<i64>(&mut pool.get().unwrap()).unwrap()
            })
        };
        let threads: Vec<_> = (0..10).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(sums, (0..10).map(|i| i * 2).collect::<Vec<_>>());

    let mut connection = start("")?;
    let c = &mut connection;
    let series = || {
        diesel::dsl::sql::<(diesel::sql_types::Integer, diesel::sql_types::Text)>(
            "SELECT i, i::text FROM generate_series(1, 3000) AS g(i)",
        )
    };
    let at_once: usize =
        series().load_iter::<(i32, String), DefaultLoadingMode>(c)?.filter(|row| row.is_ok()).count();
    let one_by_one: usize =
        series().load_iter::<(i32, String), PgRowByRowLoadingMode>(c)?.filter(|row| row.is_ok()).count();
    assert_eq!((at_once, one_by_one), (3000, 3000));

    diesel::sql_query("LISTEN dsl_news").execute(c)?;
    let sender = &mut start("")?;
    diesel::sql_query("SELECT pg_notify('dsl_news', $1)")
        .bind::<diesel::sql_types::Text, _>("hello")
        .execute(sender)?;
    diesel::sql_query("NOTIFY dsl_news").execute(sender)?;
    let mut heard = vec![];
    for _ in 0..100 {
        for news in c.notifications_iter() {
            let news = news?;
            heard.push((news.channel, news.payload));
        }
        if heard.len() >= 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(heard, [("dsl_news".to_owned(), "hello".to_owned()), ("dsl_news".to_owned(), String::new())]);
    Ok(())
}
