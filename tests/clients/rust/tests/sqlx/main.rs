//! sqlx with pgvector's types: pools, `query`, `query_as`, QueryBuilder, COPY, transactions, listeners; its look at the
//! catalogue and its migrations in the files beside.

mod catalogue;
mod migrations;
mod types;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{join_all, try_join_all};
use hither_clients::{Done, server};
use pgvector::{Bit, HalfVector, SparseVector, Vector};
use sqlx::error::ErrorKind;
use sqlx::postgres::{
    PgAdvisoryLock, PgConnectOptions, PgDatabaseError, PgErrorPosition, PgListener, PgPoolCopyExt,
    PgPoolOptions, PgRow,
};
use sqlx::{
    AssertSqlSafe, Connection, Either, Executor, FromRow, PgConnection, PgPool, Postgres, QueryBuilder, Row,
    query, query_as, query_scalar, raw_sql,
};

/// A pool, and the statements that make the tables of a test.
async fn start(script: &'static str) -> sqlx::Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(5).connect(server().await).await?;
    raw_sql(script).execute(&pool).await?;
    Ok(pool)
}

#[derive(Debug, PartialEq, FromRow)]
struct Item {
    id: i64,
    kind: String,
    embedding: Option<Vector>,
    #[sqlx(default)]
    distance: Option<f64>,
}

#[tokio::test]
async fn insert_select_update_delete() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_items;
         CREATE TABLE sqx_items (id bigserial PRIMARY KEY, kind text NOT NULL, embedding vector(3))",
    )
    .await?;
    let mut ids = vec![];
    for (kind, embedding) in [("a", Some(vec![1.0, 2.0, 3.0])), ("b", Some(vec![4.0, 5.0, 6.0])), ("a", None)]
    {
        let id: i64 = query_scalar("INSERT INTO sqx_items (kind, embedding) VALUES ($1, $2) RETURNING id")
            .bind(kind)
            .bind(embedding.map(Vector::from))
            .fetch_one(&pool)
            .await?;
        ids.push(id);
    }
    assert_eq!(ids, [1, 2, 3]);
    let items: Vec<Item> = query_as("SELECT * FROM sqx_items ORDER BY id").fetch_all(&pool).await?;
    let first = Item {
        id: 1,
        kind: "a".to_owned(),
        embedding: Some(Vector::from(vec![1.0, 2.0, 3.0])),
        distance: None,
    };
    assert_eq!((&items[0], &items[2].embedding), (&first, &None));
    let nearest: Vec<Item> = query_as(
        "SELECT *, embedding <-> $1 AS distance FROM sqx_items WHERE embedding IS NOT NULL ORDER BY embedding <-> $1",
    )
    .bind(Vector::from(vec![4.0, 5.0, 5.0]))
    .fetch_all(&pool)
    .await?;
    assert_eq!(nearest.iter().map(|item| (item.id, item.distance)).collect::<Vec<_>>()[0], (2, Some(1.0)));

    let changed =
        query("UPDATE sqx_items SET kind = $1 WHERE kind = $2").bind("c").bind("a").execute(&pool).await?;
    assert_eq!(changed.rows_affected(), 2);
    let row = query("UPDATE sqx_items SET embedding = $1 WHERE id = $2 RETURNING id, kind, embedding")
        .bind(Vector::from(vec![0.0, 0.0, 1.0]))
        .bind(3_i64)
        .fetch_one(&pool)
        .await?;
    assert_eq!((row.get::<i64, _>("id"), row.get::<&str, _>(1)), (3, "c"));
    assert_eq!(row.try_get::<Vector, _>("embedding")?.as_slice(), [0.0, 0.0, 1.0]);
    let upsert = "INSERT INTO sqx_items (id, kind) VALUES ($1, $2)
                  ON CONFLICT (id) DO UPDATE SET kind = sqx_items.kind || excluded.kind RETURNING kind";
    assert_eq!(query_scalar::<_, String>(upsert).bind(3_i64).bind("d").fetch_one(&pool).await?, "cd");
    assert_eq!(query_scalar::<_, String>(upsert).bind(9_i64).bind("d").fetch_one(&pool).await?, "d");
    let deleted =
        query("DELETE FROM sqx_items WHERE id = ANY($1)").bind(vec![1_i64, 9, 77]).execute(&pool).await?;
    assert_eq!(deleted.rows_affected(), 2);
    let nobody = query("SELECT id FROM sqx_items WHERE id = $1").bind(1_i64).fetch_optional(&pool).await?;
    assert!(nobody.is_none());
    let error = query("SELECT id FROM sqx_items WHERE false").fetch_one(&pool).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::RowNotFound));
    let total: (i64, Option<f64>) =
        query_as("SELECT count(*), avg(id)::float8 FROM sqx_items").fetch_one(&pool).await?;
    assert_eq!(total, (2, Some(2.5)));
    Ok(())
}

#[tokio::test]
async fn nearest_neighbours_by_query_builder() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_points;
         CREATE TABLE sqx_points (id bigint PRIMARY KEY, kind text NOT NULL, dense vector(3), half halfvec(3),
                                  sparse sparsevec(3), bits bit(8))",
    )
    .await?;
    let point = |id: i64| [id as f32, (id % 7) as f32, 1.0];
    for chunk in [0..120_i64, 120..240] {
        let mut insert =
            QueryBuilder::<Postgres>::new("INSERT INTO sqx_points (id, kind, dense, half, sparse, bits) ");
        insert.push_values(chunk, |mut row, id| {
            row.push_bind(id)
                .push_bind(if id % 10 == 0 { "ten" } else { "other" })
                .push_bind(Vector::from(point(id).to_vec()))
                .push_bind(HalfVector::from_f32_slice(&point(id)))
                .push_bind(SparseVector::from_dense(&point(id)))
                .push_bind(Bit::from_bytes(&[id as u8]));
        });
        assert_eq!(insert.build().execute(&pool).await?.rows_affected(), 120);
    }
    raw_sql("CREATE INDEX ON sqx_points USING hnsw (dense vector_l2_ops) WITH (m = 8, ef_construction = 32)")
        .execute(&pool)
        .await?;
    for (column, operator) in
        ["dense", "half", "sparse"].into_iter().flat_map(|c| ["<->", "<#>", "<=>", "<+>"].map(|o| (c, o)))
    {
        // The same statement with an index and without one.
        let mut found: Vec<Vec<f64>> = vec![];
        for filter in ["kind = ", "kind || '' = "] {
            let mut search = QueryBuilder::<Postgres>::new(format!("SELECT id, {column} {operator} "));
            let push = |search: &mut QueryBuilder<Postgres>| {
                match column {
                    "dense" => search.push_bind(Vector::from(point(200).to_vec())),
                    "half" => search.push_bind(HalfVector::from_f32_slice(&point(200))),
                    _ => search.push_bind(SparseVector::from_dense(&point(200))),
                };
            };
            push(&mut search);
            search.push(format!(" AS distance FROM sqx_points WHERE {filter}")).push_bind("ten");
            search.push(format!(" ORDER BY {column} {operator} "));
            push(&mut search);
            search.push(" LIMIT ").push_bind(4_i64);
            let rows: Vec<(i64, f64)> = search.build_query_as().fetch_all(&pool).await?;
            assert!(rows.iter().all(|(id, _)| id % 10 == 0), "{column} {operator}");
            found.push(rows.into_iter().map(|(_, distance)| distance).collect());
        }
        assert_eq!(found[0].len(), 4);
        assert_eq!(found[0], found[1], "{column} {operator}");
    }
    for (operator, expected) in [("<~>", (1, 1.0)), ("<%>", (7, 1.0 - 2.0 / 3.0))] {
        let sql = format!(
            "SELECT id, bits {operator} $1 FROM sqx_points WHERE id < 256 ORDER BY bits {operator} $1, id LIMIT 2"
        );
        let rows: Vec<(i64, f64)> =
            query_as(AssertSqlSafe(sql)).bind(Bit::from_bytes(&[0b0000_0011])).fetch_all(&pool).await?;
        assert_eq!(rows, [(3, 0.0), expected], "{operator}");
    }
    let mut listed = QueryBuilder::<Postgres>::new("SELECT id FROM sqx_points WHERE (id, kind) IN ");
    listed.push_tuples([(10_i64, "ten"), (11, "ten"), (12, "other")], |mut row, (id, kind)| {
        row.push_bind(id).push_bind(kind);
    });
    let ids: Vec<i64> = listed.push(" ORDER BY id").build_query_scalar().fetch_all(&pool).await?;
    assert_eq!(ids, [10, 12]);
    let (ids, kinds): (Vec<i64>, Vec<&str>) = (vec![1000, 1001], vec!["x", "y"]);
    let embeddings: Vec<Option<Vector>> = vec![Some(Vector::from(vec![1.0, 1.0, 1.0])), None];
    let inserted = query(
        "INSERT INTO sqx_points (id, kind, dense)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::vector[])",
    )
    .bind(ids)
    .bind(kinds)
    .bind(embeddings)
    .execute(&pool)
    .await?;
    assert_eq!(inserted.rows_affected(), 2);
    Ok(())
}

#[tokio::test]
async fn copy_in_and_out() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_copied; CREATE TABLE sqx_copied (id int PRIMARY KEY, embedding vector(2), note text)",
    )
    .await?;
    let mut copy = pool.copy_in_raw("COPY sqx_copied FROM STDIN WITH (FORMAT csv, HEADER)").await?;
    assert!(copy.is_textual() && copy.num_columns() == 3);
    copy.send(&b"id,embedding,note\n1,\"[1,2]\",\"with \"\"quotes\"\"\"\n2,,"[..]).await?;
    copy.read_from(&b"\n3,\"[5,6]\",plain\n"[..]).await?;
    assert_eq!(copy.finish().await?, 3);

    let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for id in 10..1010_i32 {
        binary.extend(3_i16.to_be_bytes());
        binary.extend(4_i32.to_be_bytes().into_iter().chain(id.to_be_bytes()));
        binary.extend(12_i32.to_be_bytes().into_iter().chain([0, 2, 0, 0]));
        binary.extend((id as f32).to_be_bytes().into_iter().chain(1_f32.to_be_bytes()));
        binary.extend((-1_i32).to_be_bytes());
    }
    binary.extend((-1_i16).to_be_bytes());
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("COPY sqx_copied FROM STDIN (FORMAT binary)").await?;
    assert!(!copy.is_textual() && !copy.column_is_textual(1));
    copy.send(binary).await?;
    assert_eq!(copy.finish().await?, 1000);
    let nearest: i32 = query_scalar("SELECT id FROM sqx_copied ORDER BY embedding <-> $1 LIMIT 1")
        .bind(Vector::from(vec![500.2, 1.0]))
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(nearest, 500);

    let mut out = connection
        .copy_out_raw("COPY (SELECT * FROM sqx_copied WHERE id < 10 ORDER BY id) TO STDOUT")
        .await?;
    let mut text = vec![];
    while let Some(part) = out.try_next().await? {
        text.extend(part);
    }
    drop(out);
    assert_eq!(String::from_utf8(text)?, "1\t[1,2]\twith \"quotes\"\n2\t\\N\t\\N\n3\t[5,6]\tplain\n");

    let mut copy = connection.copy_in_raw("COPY sqx_copied FROM STDIN").await?;
    copy.send(&b"4\t[1,1]\tx\n"[..]).await?;
    copy.abort("given up").await?;
    let mut copy = connection.copy_in_raw("COPY sqx_copied FROM STDIN").await?;
    copy.send(&b"5\t[1,1,1]\tx\n"[..]).await?;
    let error = copy.finish().await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "22000");
    assert_eq!(query_scalar::<_, i64>("SELECT count(*) FROM sqx_copied").fetch_one(&pool).await?, 1003);
    Ok(())
}

#[tokio::test]
async fn pools_and_their_connections() -> Done {
    let made = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let options: PgConnectOptions = server().await.parse()?;
    let options = options
        .application_name("sqx tour")
        .options([("hnsw.ef_search", "77"), ("lock_timeout", "20s")])
        .extra_float_digits(None)
        .statement_cache_capacity(3);
    let pool = PgPoolOptions::new()
        .max_connections(3)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(20))
        .after_connect(move |connection, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { connection.execute("SET work_mem = '5MB'").await.map(|_| ()) })
        })
        .before_acquire(|connection, _| Box::pin(async move { connection.ping().await.map(|_| true) }))
        .connect_with(options)
        .await?;
    let doubled: Vec<i32> =
        try_join_all((0..40).map(|i| query_scalar::<_, i32>("SELECT $1::int4 * 2").bind(i).fetch_one(&pool)))
            .await?;
    assert_eq!(doubled, (0..40).map(|i| i * 2).collect::<Vec<_>>());
    assert!((1..=3).contains(&made.load(Ordering::SeqCst)) && pool.size() as usize <= 3);
    let settings: (String, String, String, String) = query_as(
        "SELECT current_setting('application_name'), current_setting('hnsw.ef_search'), current_setting('lock_timeout'),
                current_setting('work_mem')",
    )
    .fetch_one(&pool)
    .await?;
    assert_eq!(settings, ("sqx tour".to_owned(), "77".to_owned(), "20s".to_owned(), "5MB".to_owned()));
    // More statements than the cache holds: those that fall out are closed on the server.
    let mut connection = pool.acquire().await?;
    for i in 0..10 {
        let sql = AssertSqlSafe(format!("SELECT {i} + $1::int4"));
        assert_eq!(query_scalar::<_, i32>(sql).bind(1).fetch_one(&mut *connection).await?, i + 1);
    }
    assert_eq!(connection.cached_statements_size(), 3);
    connection.clear_cached_statements().await?;
    let once =
        query("SELECT $1::text AS t").bind("unnamed").persistent(false).fetch_one(&mut *connection).await?;
    assert_eq!(once.get::<String, _>("t"), "unnamed");
    assert!(connection.server_version_num().unwrap() >= 160000);
    connection.close().await?;
    pool.close().await;
    assert!(matches!(query("SELECT 1").execute(&pool).await.unwrap_err(), sqlx::Error::PoolClosed));
    Ok(())
}

#[tokio::test]
async fn streams_and_several_statements() -> Done {
    let pool = start("").await?;
    let mut rows = query("SELECT i, i::text FROM generate_series(1, 5000) AS g(i)").fetch(&pool);
    let mut sum = 0_i64;
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.get::<i32, _>(0));
    }
    drop(rows);
    assert_eq!(sum, 5000 * 5001 / 2);
    let mut connection = pool.acquire().await?;
    {
        let mut rows = query("SELECT i FROM generate_series(1, 100000) AS g(i)").fetch(&mut *connection);
        assert_eq!(rows.try_next().await?.unwrap().get::<i32, _>(0), 1);
        // The rest is read and thrown away before the next statement.
    }
    assert_eq!(query_scalar::<_, i32>("SELECT 7").fetch_one(&mut *connection).await?, 7);
    let script = "CREATE TEMP TABLE sqx_temporary (id int); INSERT INTO sqx_temporary VALUES (1), (2);
                  SELECT id FROM sqx_temporary ORDER BY id; SELECT 'x;y' AS t, 1.5::numeric AS n";
    let results: Vec<Either<_, PgRow>> = raw_sql(script).fetch_many(&mut *connection).try_collect().await?;
    let affected: Vec<u64> =
        results.iter().filter_map(|r| r.as_ref().left().map(|done| done.rows_affected())).collect();
    assert_eq!(affected, [0, 2, 2, 1]);
    let rows: Vec<&PgRow> = results.iter().filter_map(|r| r.as_ref().right()).collect();
    assert_eq!((rows[1].get::<i32, _>("id"), rows[2].get::<&str, _>("t")), (2, "x;y"));
    Ok(())
}

#[tokio::test]
async fn transactions_and_savepoints() -> Done {
    let pool =
        start("DROP TABLE IF EXISTS sqx_accounts; CREATE TABLE sqx_accounts (id int PRIMARY KEY)").await?;
    async fn insert(connection: &mut PgConnection, id: i32) -> sqlx::Result<()> {
        query("INSERT INTO sqx_accounts VALUES ($1)").bind(id).execute(connection).await.map(|_| ())
    }
    let ids =
        async || query_scalar::<_, i32>("SELECT id FROM sqx_accounts ORDER BY id").fetch_all(&pool).await;
    let mut transaction = pool.begin().await?;
    insert(&mut transaction, 1).await?;
    assert!(ids().await?.is_empty());
    {
        let mut inner = transaction.begin().await?;
        insert(&mut inner, 2).await?;
        let mut deeper = inner.begin().await?;
        assert!(insert(&mut deeper, 1).await.unwrap_err().as_database_error().unwrap().is_unique_violation());
        let error = insert(&mut deeper, 3).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "25P02");
        deeper.rollback().await?;
        inner.commit().await?;
        let mut dropped = transaction.begin().await?;
        insert(&mut dropped, 4).await?;
    }
    transaction.commit().await?;
    assert_eq!(ids().await?, [1, 2]);
    {
        let mut transaction = pool.begin().await?;
        insert(&mut transaction, 5).await?;
    }
    let mut connection = pool.acquire().await?;
    let given = connection
        .transaction(|transaction| {
            Box::pin(async move {
                insert(transaction, 6).await?;
                insert(transaction, 6).await
            })
        })
        .await;
    assert!(given.unwrap_err().as_database_error().unwrap().is_unique_violation());
    assert_eq!(ids().await?, [1, 2]);

    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let level: String = query_scalar("SHOW transaction_isolation").fetch_one(&mut *transaction).await?;
    assert_eq!(level, "repeatable read");
    let error = insert(&mut transaction, 7).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "25006");
    transaction.rollback().await?;

    // Of two who change the same row in snapshots, the second has to try again.
    let (mut first, mut second) = (
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?,
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?,
    );
    query("SELECT 1 FROM sqx_accounts").execute(&mut *second).await?;
    query("UPDATE sqx_accounts SET id = 100 WHERE id = 1").execute(&mut *first).await?;
    first.commit().await?;
    let error =
        query("UPDATE sqx_accounts SET id = 200 WHERE id = 1").execute(&mut *second).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "40001");
    drop(second);

    Ok(())
}

#[tokio::test]
async fn whoever_comes_second_takes_the_next() -> Done {
    let pool =
        start("DROP TABLE IF EXISTS sqx_queue; CREATE TABLE sqx_queue AS SELECT generate_series(1, 3) AS id")
            .await?;
    let take = "DELETE FROM sqx_queue WHERE id = (SELECT id FROM sqx_queue ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1)
                RETURNING id";
    let (mut first, mut second) = (pool.begin().await?, pool.begin().await?);
    assert_eq!(query_scalar::<_, i32>(take).fetch_one(&mut *first).await?, 1);
    assert_eq!(query_scalar::<_, i32>(take).fetch_one(&mut *second).await?, 2);
    first.commit().await?;
    second.rollback().await?;
    assert_eq!(
        query_scalar::<_, i32>("SELECT id FROM sqx_queue ORDER BY id").fetch_all(&pool).await?,
        [2, 3]
    );
    Ok(())
}

#[tokio::test]
async fn errors_by_kind_and_constraint() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_children; DROP TABLE IF EXISTS sqx_parents;
         CREATE TABLE sqx_parents (id int PRIMARY KEY, age int CONSTRAINT sqx_grown_up CHECK (age > 17),
                                   embedding vector(3) NOT NULL);
         CREATE TABLE sqx_children (id int, parent int REFERENCES sqx_parents, UNIQUE (id, parent));
         INSERT INTO sqx_parents VALUES (1, 36, '[1,2,3]'); INSERT INTO sqx_children VALUES (1, 1)",
    )
    .await?;
    for (sql, kind, code, constraint) in [
        (
            "INSERT INTO sqx_parents VALUES (1, 20, '[1,2,3]')",
            ErrorKind::UniqueViolation,
            "23505",
            Some("sqx_parents_pkey"),
        ),
        (
            "INSERT INTO sqx_children VALUES (1, 1)",
            ErrorKind::UniqueViolation,
            "23505",
            Some("sqx_children_id_parent_key"),
        ),
        (
            "INSERT INTO sqx_children VALUES (1, 9)",
            ErrorKind::ForeignKeyViolation,
            "23503",
            Some("sqx_children_parent_fkey"),
        ),
        (
            "DELETE FROM sqx_parents",
            ErrorKind::ForeignKeyViolation,
            "23503",
            Some("sqx_children_parent_fkey"),
        ),
        (
            "INSERT INTO sqx_parents VALUES (2, 7, '[1,2,3]')",
            ErrorKind::CheckViolation,
            "23514",
            Some("sqx_grown_up"),
        ),
        ("INSERT INTO sqx_parents VALUES (2, 20)", ErrorKind::NotNullViolation, "23502", None),
        ("INSERT INTO sqx_parents VALUES (2, 20, '[1,2]')", ErrorKind::Other, "22000", None),
        ("SELECT '{1:1,2:x}/3'::sparsevec", ErrorKind::Other, "22P02", None),
        ("SELECT '[1,2]'::vector <-> '[1,2,3]'", ErrorKind::Other, "22000", None),
        ("SELECT 1 FROM sqx_nowhere", ErrorKind::Other, "42P01", None),
        ("SELECT 1; SELECT 2", ErrorKind::Other, "42601", None),
    ] {
        let error = query(sql).execute(&pool).await.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!((error.code().unwrap().as_ref(), error.constraint()), (code, constraint), "{sql}");
        assert_eq!(format!("{:?}", error.kind()), format!("{kind:?}"), "{sql}");
    }
    let error = query("SELECT nothing FROM sqx_parents").execute(&pool).await.unwrap_err();
    let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
    assert_eq!(error.message(), "column \"nothing\" does not exist");
    assert!(matches!(error.position(), Some(PgErrorPosition::Original(8))));
    let error = query("INSERT INTO sqx_parents VALUES ($1, 20, $2)")
        .bind(2)
        .bind(Vector::from(vec![1.0]))
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().message(), "expected 3 dimensions, not 1");
    let error = query_scalar::<_, String>("SELECT 1").fetch_one(&pool).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::ColumnDecode { .. }), "{error:?}");
    // A statement whose time has passed leaves its connection usable.
    let mut connection = pool.acquire().await?;
    raw_sql("SET statement_timeout = 100").execute(&mut *connection).await?;
    let error = query("SELECT pg_sleep(60)").execute(&mut *connection).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "57014");
    assert_eq!(query_scalar::<_, i32>("SELECT 1").fetch_one(&mut *connection).await?, 1);
    let mut wrong: PgConnectOptions = server().await.parse()?;
    wrong = wrong.database("sqx_no_such_database");
    let error = PgConnection::connect_with(&wrong).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "3D000");
    Ok(())
}

#[tokio::test]
async fn listeners_and_advisory_locks() -> Done {
    let pool = start("").await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all(["sqx_news", "Sqx News"]).await?;
    query("SELECT pg_notify($1, $2)").bind("Sqx News").bind("{\"id\": 7}").execute(&pool).await?;
    let mut transaction = pool.begin().await?;
    query("NOTIFY sqx_news, 'late'").execute(&mut *transaction).await?;
    query("NOTIFY sqx_unheard").execute(&mut *transaction).await?;
    transaction.commit().await?;
    for (channel, payload) in [("Sqx News", "{\"id\": 7}"), ("sqx_news", "late")] {
        let news = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await??;
        assert_eq!((news.channel(), news.payload()), (channel, payload));
    }
    listener.unlisten("sqx_news").await?;
    query("NOTIFY sqx_news").execute(&pool).await?;
    // The listener's connection asks like any other.
    let listens: Vec<String> =
        query_scalar("SELECT pg_listening_channels()").fetch_all(&mut listener).await?;
    assert_eq!(listens, ["Sqx News"]);
    listener.unlisten_all().await?;
    assert!(listener.next_buffered().is_none());

    let lock = PgAdvisoryLock::new("sqx tour");
    let guard = lock.acquire(pool.acquire().await?).await?;
    assert!(matches!(lock.try_acquire(pool.acquire().await?).await?, Either::Right(_)));
    let connection = guard.release_now().await?;
    let Either::Left(guard) = lock.try_acquire(connection).await? else { panic!("not free") };
    drop(guard);
    let turns = join_all((0..4).map(async |_| {
        let guard = lock.acquire(pool.acquire().await?).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        guard.release_now().await.map(|_| ())
    }))
    .await;
    assert!(turns.iter().all(Result::is_ok));
    Ok(())
}
