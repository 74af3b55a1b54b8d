//! SeaORM with pgvector's type: entities that make their tables, inserting, upserts, relations, searches, transactions,
//! errors; and a schema that follows its entities, which looks at what is there.

mod entities;

use std::time::Duration;

use entities::{Mood, item, maker, synced};
use futures_util::TryStreamExt;
use hither_clients::{Done, server};
use pgvector::Vector;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::extension::postgres::PgBinOper;
use sea_orm::sea_query::{
    Asterisk, CommonTableExpression, ExprTrait, Func, OnConflict, Order, Query, WithClause,
};
use sea_orm::{
    AccessMode,
    ActiveValue::{NotSet, Set, Unchanged},
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, FromQueryResult,
    IntoActiveModel, IsolationLevel, JoinType, LoaderTrait, PaginatorTrait, QueryOrder, QuerySelect,
    RuntimeErr, Schema, SqlErr, Statement, TransactionTrait, TryInsertResult, raw_sql,
};
use serde_json::json;

async fn connect() -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(server().await);
    options.max_connections(4).connect_timeout(Duration::from_secs(20)).sqlx_logging(false);
    Database::connect(options).await
}

/// The tables as their entities say, and nothing in them.
async fn tables_from_entities(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared(
        "DROP TABLE IF EXISTS sea_items; DROP TABLE IF EXISTS sea_makers; DROP TYPE IF EXISTS sea_mood",
    )
    .await?;
    let schema = Schema::new(DbBackend::Postgres);
    for statement in schema.create_enum_from_entity(item::Entity) {
        db.execute(&statement).await?;
    }
    db.execute(&schema.create_table_from_entity(maker::Entity)).await?;
    db.execute(&schema.create_table_from_entity(item::Entity)).await?;
    for statement in schema.create_index_from_entity(item::Entity) {
        db.execute(&statement).await?;
    }
    db.execute_unprepared("CREATE INDEX ON sea_items USING hnsw (embedding vector_l2_ops)").await?;
    Ok(())
}

fn new_item(name: &str, maker_id: Option<i32>, at: i32) -> item::ActiveModel {
    item::ActiveModel {
        id: NotSet,
        maker_id: Set(maker_id),
        name: Set(name.to_owned()),
        price: Set(Decimal::new(i64::from(at) * 100 + 50, 2)),
        active: NotSet,
        about: Set(json!({"at": at, "tags": ["new"]})),
        tags: Set(vec!["new".to_owned(), name.to_owned()]),
        code: Set(Uuid::from_u128(at as u128)),
        added: NotSet,
        mood: Set((at % 2 == 0).then_some(Mood::Happy)),
        data: Set(Some(vec![0, 255, at as u8])),
        embedding: Set(Some(PgVector::from(vec![at as f32, 1.0, 0.0]))),
    }
}

/// The distance of an item to a point, as an expression.
fn distance(operator: PgBinOper, point: [f32; 3]) -> sea_orm::sea_query::SimpleExpr {
    Expr::col((item::Entity, item::Column::Embedding))
        .binary(operator, Expr::val(PgVector::from(point.to_vec())))
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Near {
    id: i64,
    name: String,
    distance: f64,
}

#[tokio::test]
async fn items_and_their_makers() -> Done {
    let db = connect().await?;
    tables_from_entities(&db).await?;
    let bialetti = maker::ActiveModel {
        name: Set("Bialetti".to_owned()),
        since: Set(Date::from_ymd_opt(1919, 3, 1)),
        ..Default::default()
    };
    let bialetti: maker::Model = bialetti.insert(&db).await?;
    assert_eq!(
        (bialetti.id, bialetti.since.map(|date| date.to_string())),
        (1, Some("1919-03-01".to_owned()))
    );
    let alessi =
        maker::ActiveModel { name: Set("Alessi".to_owned()), ..Default::default() }.save(&db).await?;
    assert_eq!(alessi.id, Unchanged(2));

    let moka = new_item("moka", Some(1), 1).insert(&db).await?;
    assert_eq!((moka.id, moka.price, moka.active, moka.mood), (1, Decimal::new(150, 2), true, None));
    assert_eq!(
        (moka.about["at"].clone(), moka.data.as_deref(), moka.code),
        (json!(1), Some(&[0, 255, 1][..]), Uuid::from_u128(1))
    );
    assert!((moka.added - chrono::Utc::now().fixed_offset()).num_minutes().abs() < 10);
    let more = (2..=40).map(|i| {
        new_item(
            &format!("{}{i}", ["cup", "pot", "pan"][i as usize % 3]),
            [None, Some(1), Some(2)][i as usize % 3],
            i,
        )
    });
    assert_eq!(item::Entity::insert_many(more).exec(&db).await?.last_insert_id, Some(40));
    let keys = item::Entity::insert_many([new_item("a", None, 50), new_item("b", None, 51)])
        .exec_with_returning_keys(&db)
        .await?;
    assert_eq!(keys, [41, 42]);
    let many = item::Entity::insert_many([new_item("c", None, 52)]).exec_with_returning(&db).await?;
    assert_eq!((many[0].id, many[0].mood.clone()), (43, Some(Mood::Happy)));

    // Searches: by expressions, by raw SQL, with filters.
    let near: Vec<Near> = item::Entity::find()
        .select_only()
        .columns([item::Column::Id, item::Column::Name])
        .column_as(distance(PgBinOper::EuclideanDistance, [10.2, 1.0, 0.0]), "distance")
        .filter(item::Column::Name.starts_with("pot"))
        .order_by(distance(PgBinOper::EuclideanDistance, [10.2, 1.0, 0.0]), Order::Asc)
        .limit(2)
        .into_model()
        .all(&db)
        .await?;
    assert_eq!(near.iter().map(|near| near.name.as_str()).collect::<Vec<_>>(), ["pot10", "pot13"]);
    assert!((near[0].distance - 0.2).abs() < 1e-6);
    for (operator, first) in [(PgBinOper::NegativeInnerProduct, 43), (PgBinOper::CosineDistance, 1)] {
        let found =
            item::Entity::find().order_by(distance(operator, [1.0, 1.0, 0.0]), Order::Asc).one(&db).await?;
        assert_eq!(found.unwrap().id, first);
    }
    let (point, kinds) =
        (Vector::from(vec![20.0, 1.0, 0.0]), ["pan20".to_owned(), "cup21".to_owned(), "x".to_owned()]);
    let near = Near::find_by_statement(raw_sql!(
        Postgres,
        r#"SELECT id, name, embedding <+> {point} AS distance FROM sea_items WHERE name IN ({..kinds})
           ORDER BY embedding <+> {point} LIMIT 5"#
    ))
    .all(&db)
    .await?;
    assert_eq!(near.iter().map(|near| near.distance).collect::<Vec<_>>(), [0.0, 1.0]);
    let found = item::Entity::find()
        .from_raw_sql(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT * FROM sea_items WHERE about @> $1 AND mood = $2::sea_mood AND $3 = ANY(tags)
             ORDER BY embedding <-> $4 LIMIT 1",
            [json!({"at": 4}).into(), "happy".into(), "new".into(), Vector::from(vec![4.0, 1.0, 0.0]).into()],
        ))
        .one(&db)
        .await?;
    assert_eq!(found.unwrap().id, 4);

    // Changes.
    let mut changed = item::Entity::find_by_id(2).one(&db).await?.unwrap().into_active_model();
    changed.price = Set(Decimal::from(99));
    changed.mood = Set(Some(Mood::Sad));
    changed.embedding = Set(None);
    let changed = changed.update(&db).await?;
    assert_eq!(
        (changed.price, changed.mood, changed.embedding),
        (Decimal::new(9900, 2), Some(Mood::Sad), None)
    );
    let updated = item::Entity::update_many()
        .col_expr(item::Column::Price, Expr::col(item::Column::Price).mul(2))
        .filter(item::Column::Id.is_in([3_i64, 4, 5]))
        .exec_with_returning(&db)
        .await?;
    assert_eq!(updated.iter().map(|item| item.price).max(), Some(Decimal::new(1100, 2)));
    let counted = item::Entity::find().filter(item::Column::Mood.eq(Mood::Happy)).count(&db).await?;
    assert_eq!(counted, 20 - 1 + 2);
    assert_eq!(
        item::Entity::delete_many().filter(item::Column::Price.gte(50)).exec(&db).await?.rows_affected,
        4
    );
    assert_eq!(item::Entity::delete_by_id(1).exec(&db).await?.rows_affected, 1);

    // Upserts.
    let again = |name: &str, at| maker::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        since: Set(Date::from_ymd_opt(at, 1, 1)),
    };
    let upsert = OnConflict::column(maker::Column::Name).update_column(maker::Column::Since).to_owned();
    let upserted = maker::Entity::insert_many([again("Alessi", 1921), again("Illy", 1933)])
        .on_conflict(upsert)
        .exec_with_returning(&db)
        .await?;
    assert_eq!(
        upserted.iter().map(|maker| maker.since.unwrap().to_string()).collect::<Vec<_>>(),
        ["1921-01-01", "1933-01-01"]
    );
    let skipped = maker::Entity::insert(again("Alessi", 1))
        .on_conflict_do_nothing_on([maker::Column::Name])
        .exec(&db)
        .await?;
    assert!(matches!(skipped, TryInsertResult::Conflicted));

    // Relations, pages, aggregates.
    let pairs = item::Entity::find()
        .find_also_related(maker::Entity)
        .order_by_asc(item::Column::Id)
        .limit(3)
        .all(&db)
        .await?;
    let names: Vec<_> =
        pairs.iter().map(|(item, maker)| (item.id, maker.as_ref().map(|m| m.name.as_str()))).collect();
    assert_eq!(names, [(3, None), (4, Some("Bialetti")), (5, Some("Alessi"))]);
    let grouped = maker::Entity::find()
        .find_with_related(item::Entity)
        .order_by_asc(maker::Column::Id)
        .all(&db)
        .await?;
    assert_eq!(grouped.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [13, 12, 0]);
    let makers = maker::Entity::find().order_by_asc(maker::Column::Id).all(&db).await?;
    let loaded = makers.load_many(item::Entity::find().filter(item::Column::Id.lt(10)), &db).await?;
    assert_eq!(loaded.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 0]);
    let of_one =
        makers[0].find_related(item::Entity).filter(item::Column::Name.like("pot1%")).count(&db).await?;
    assert_eq!(of_one, 4);
    let pages = item::Entity::find().order_by_asc(item::Column::Id).paginate(&db, 10);
    assert_eq!((pages.num_items().await?, pages.num_pages().await?), (38, 4));
    assert_eq!(pages.fetch_page(3).await?.len(), 8);
    let mut cursor = item::Entity::find().cursor_by(item::Column::Id);
    let page: Vec<i64> = cursor.after(10).first(3).all(&db).await?.iter().map(|item| item.id).collect();
    assert_eq!(page, [11, 12, 13]);
    let sums: Vec<(Option<String>, i64, Decimal)> = item::Entity::find()
        .select_only()
        .column(maker::Column::Name)
        .column_as(item::Column::Id.count(), "n")
        .column_as(item::Column::Price.sum(), "total")
        .join(JoinType::LeftJoin, item::Relation::Maker.def())
        .group_by(maker::Column::Name)
        .having(item::Column::Id.count().gt(12))
        .order_by_desc(item::Column::Id.count())
        .order_by_asc(maker::Column::Name)
        .into_tuple()
        .all(&db)
        .await?;
    assert_eq!(
        sums.iter().map(|(name, n, _)| (name.as_deref(), *n)).collect::<Vec<_>>(),
        [(Some("Bialetti"), 13), (None, 13)]
    );
    let mut stream = item::Entity::find().order_by_desc(item::Column::Id).stream(&db).await?;
    let mut seen = 0;
    while let Some(item) = stream.try_next().await? {
        seen += item.tags.len();
    }
    drop(stream);
    assert_eq!(seen, 76);
    let as_json = maker::Entity::find_by_id(2).into_json().one(&db).await?;
    assert_eq!(as_json, Some(json!({"id": 2, "name": "Alessi", "since": "1921-01-01"})));
    errors_by_kind(&db).await?;
    db.close().await?;
    Ok(())
}

async fn errors_by_kind(db: &DatabaseConnection) -> Done {
    let error = new_item("x", Some(77), 1).insert(db).await.unwrap_err();
    assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), "{error:?}");
    let alessi = maker::ActiveModel { name: Set("Alessi".to_owned()), ..Default::default() };
    let error = alessi.insert(db).await.unwrap_err();
    let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() else { panic!("{error:?}") };
    assert!(message.contains("duplicate key value violates unique constraint"), "{message}");
    let short =
        item::ActiveModel { embedding: Set(Some(PgVector::from(vec![1.0]))), ..new_item("x", None, 1) };
    assert!(short.insert(db).await.unwrap_err().to_string().contains("expected 3 dimensions, not 1"));
    let missing =
        item::ActiveModel { id: Set(4711), name: Set("x".to_owned()), ..Default::default() }.update(db).await;
    assert_eq!(missing.unwrap_err(), DbErr::RecordNotUpdated);
    Ok(())
}

#[tokio::test]
async fn statements_built_by_hand() -> Done {
    let db = connect().await?;
    db.execute_unprepared(
        "DROP TABLE IF EXISTS sea_words; CREATE TABLE sea_words (id serial PRIMARY KEY, word text NOT NULL, place int NOT NULL,
                                                                embedding vector(2))",
    )
    .await?;
    let mut insert = Query::insert();
    insert.into_table("sea_words").columns(["word", "place", "embedding"]).returning_col("id");
    for (i, word) in ["one", "two", "three", "two"].into_iter().enumerate() {
        insert.values_panic([word.into(), (i as i32).into(), Vector::from(vec![i as f32, 0.0]).into()]);
    }
    let ids: Vec<i32> =
        db.query_all(&insert).await?.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    assert_eq!(ids, [1, 2, 3, 4]);
    let near = Query::select()
        .columns(["word", "place"])
        .expr_as(
            Expr::col("embedding")
                .binary(PgBinOper::EuclideanDistance, Expr::val(Vector::from(vec![2.0, 0.0]))),
            "distance",
        )
        .from("sea_words")
        .order_by("distance", Order::Asc)
        .limit(3)
        .to_owned();
    let select = Query::select()
        .column("word")
        .expr_as(Func::count(Expr::col(Asterisk)), "n")
        .from("near")
        .group_by_col("word")
        .order_by("n", Order::Desc)
        .to_owned()
        .with(
            WithClause::new()
                .cte(CommonTableExpression::new().query(near).table_name("near").to_owned())
                .to_owned(),
        );
    let rows = db.query_all(&select).await?;
    let counted: Vec<(String, i64)> = rows
        .iter()
        .map(|row| row.try_get_many("", &["word".to_owned(), "n".to_owned()]))
        .collect::<Result<_, _>>()?;
    assert_eq!(counted, [("two".to_owned(), 2), ("three".to_owned(), 1)]);
    let ranked = Statement::from_string(
        DbBackend::Postgres,
        "SELECT word, row_number() OVER (PARTITION BY word ORDER BY place DESC) AS r FROM sea_words ORDER BY word, r",
    );
    let row = db.query_one_raw(ranked).await?.unwrap();
    assert_eq!((row.try_get_by_index::<String>(0)?, row.try_get::<i64>("", "r")?), ("one".to_owned(), 1));
    let delete = Query::delete().from_table("sea_words").cond_where(Expr::col("place").gt(1)).to_owned();
    assert_eq!(db.execute(&delete).await?.rows_affected(), 2);
    let done = db.execute_unprepared("SELECT 1; UPDATE sea_words SET place = 7; SELECT 2").await?;
    assert_eq!(done.rows_affected(), 4);
    Ok(())
}

#[tokio::test]
async fn transactions_and_savepoints() -> Done {
    let db = connect().await?;
    db.execute_unprepared("DROP TABLE IF EXISTS sea_synced").await?;
    db.execute(&Schema::new(DbBackend::Postgres).create_table_from_entity(synced::first::Entity)).await?;
    use synced::first::{ActiveModel, Entity};
    let new = |name: &str| ActiveModel { id: NotSet, name: Set(name.to_owned()) };
    let outer = db.begin().await?;
    new("kept").insert(&outer).await?;
    assert_eq!(Entity::find().count(&db).await?, 0);
    let inner = outer.begin().await?;
    new("lost").insert(&inner).await?;
    inner.rollback().await?;
    let inner = outer.begin().await?;
    new("also kept").insert(&inner).await?;
    inner.commit().await?;
    outer.commit().await?;
    {
        let dropped = db.begin().await?;
        new("dropped").insert(&dropped).await?;
    }
    let failed = db
        .transaction::<_, (), DbErr>(|transaction| {
            Box::pin(async move {
                new("x").insert(transaction).await?;
                Err(DbErr::Custom("no".to_owned()))
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(Entity::find().count(&db).await?, 2);
    let reads =
        db.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
    let error = new("never").insert(&reads).await.unwrap_err();
    let DbErr::Query(RuntimeErr::SqlxError(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "25006");
    reads.rollback().await?;
    db.ping().await?;
    Ok(())
}

/// `sync` reads the catalogue of its schema and adds what the entities have more.
#[tokio::test]
async fn schemas_follow_entities() -> Done {
    let first = connect().await?;
    first.execute_unprepared("DROP SCHEMA IF EXISTS sea_sync CASCADE; CREATE SCHEMA sea_sync").await?;
    let mut options = ConnectOptions::new(server().await);
    options.set_schema_search_path("sea_sync,public");
    let db = Database::connect(options).await?;
    for _ in 0..2 {
        db.get_schema_builder().register(synced::followed::Entity).sync(&db).await?;
    }
    db.execute_unprepared("INSERT INTO sea_followed (name) VALUES ('old')").await?;
    for _ in 0..2 {
        db.get_schema_builder()
            .register(synced::followed_by_more::Entity)
            .register(synced::notes::Entity)
            .sync(&db)
            .await?;
    }
    let rows = db
        .query_all_raw(Statement::from_string(
            DbBackend::Postgres,
            "SELECT attname::text || ' ' || format_type(atttypid, atttypmod)
                    || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END AS shown
             FROM pg_attribute WHERE attrelid = 'sea_followed'::regclass AND attnum > 0 ORDER BY attnum",
        ))
        .await?;
    let shown: Vec<String> = rows.iter().map(|row| row.try_get("", "shown")).collect::<Result<_, _>>()?;
    assert_eq!(
        shown,
        [
            "id integer NOT NULL",
            "name character varying NOT NULL",
            "code uuid",
            "embedding vector(3)",
            "colour sea_colour"
        ]
    );
    let row = db
        .query_one_raw(Statement::from_string(
            DbBackend::Postgres,
            "SELECT count(*) FILTER (WHERE indisunique) AS uniques,
                    (SELECT count(*) FROM pg_constraint
                     WHERE conrelid = 'sea_followed_notes'::regclass AND contype = 'f') AS keys
             FROM pg_index WHERE indrelid = 'sea_followed'::regclass",
        ))
        .await?
        .unwrap();
    assert_eq!((row.try_get::<i64>("", "uniques")?, row.try_get::<i64>("", "keys")?), (2, 1));
    first.execute_unprepared("DROP SCHEMA sea_sync CASCADE").await?;
    Ok(())
}
