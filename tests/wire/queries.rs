//! Types, prepared statements, portals, transactions, errors, pipelining and cancel through tokio-postgres.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{House, message, state};

/// pgvector's vector in its binary form, as its client libraries send it.
#[derive(Debug, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl ToSql for Vector {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_u16(self.0.len() as u16);
        out.put_u16(0);
        self.0.iter().for_each(|component| out.put_f32(*component));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Vector {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Vector, Box<dyn std::error::Error + Sync + Send>> {
        let component = |word: &[u8]| f32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        Ok(Vector(raw[4..].chunks_exact(4).map(component).collect()))
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }
}

/// The text of every cell that the simple protocol gives for `sql`.
pub async fn texts(client: &tokio_postgres::Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let cells = |row: &tokio_postgres::SimpleQueryRow| {
        (0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()
    };
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(cells(row)),
            _ => None,
        })
        .collect()
}

#[test]
fn every_type_goes_both_ways_in_both_formats() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client
            .batch_execute(
                "CREATE TABLE t (b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(10,3), t text, \
                 v varchar(5), c char(3), y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, \
                 u uuid, j json, jb jsonb, a int4[], ta text[], e vector(3))",
            )
            .await
            .expect("a table");
        client
            .batch_execute(
                "INSERT INTO t VALUES (true, -2, 4, 8, 1.5, -2.25, 12.345, 'text', 'vary', 'ab', '\\x00ff', \
                 '2024-02-29', '12:34:56.789', '2024-02-29 01:02:03.5', '2024-02-29 01:02:03+00', \
                 '1 mon 2 days 03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '{\"b\":2, \"a\": 1}', \
                 '{1,NULL,3}', '{a,\"b c\"}', '[1,2.5,-3]')",
            )
            .await
            .expect("a row");
        let shown = texts(&client, "SELECT * FROM t").await;
        let expected = [
            "t", "-2", "4", "8", "1.5", "-2.25", "12.345", "text", "vary", "ab ", "\\x00ff", "2024-02-29",
            "12:34:56.789", "2024-02-29 01:02:03.5", "2024-02-29 01:02:03+00", "1 mon 2 days 03:04:05",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{\"a\": 1}", "{\"a\": 1, \"b\": 2}", "{1,NULL,3}", "{a,\"b c\"}",
            "[1,2.5,-3]",
        ];
        let shown: Vec<&str> = shown[0].iter().map(|cell| cell.as_deref().expect("not null")).collect();
        assert_eq!(shown, expected);

        // Binary out, and the same values binary in again.
        let row = client
            .query_one("SELECT b, i2, i4, i8, f4, f8, t, v, y, a, ta, e FROM t", &[])
            .await
            .expect("a row");
        let (b, i2, i4, i8): (bool, i16, i32, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let (f4, f8, t, v): (f32, f64, String, String) = (row.get(4), row.get(5), row.get(6), row.get(7));
        let (y, a, ta): (Vec<u8>, Vec<Option<i32>>, Vec<String>) = (row.get(8), row.get(9), row.get(10));
        let e: Vector = row.get(11);
        assert_eq!((b, i2, i4, i8, f4, f8), (true, -2, 4, 8, 1.5, -2.25));
        assert_eq!((t.as_str(), v.as_str(), y.as_slice()), ("text", "vary", &[0, 255][..]));
        assert_eq!((a.as_slice(), ta.join("|").as_str()), (&[Some(1), None, Some(3)][..], "a|b c"));
        assert_eq!(e, Vector(vec![1.0, 2.5, -3.0]));
        let found = client
            .query_one(
                "SELECT count(*) FROM t WHERE b = $1 AND i2 = $2 AND i4 = $3 AND i8 = $4 AND f4 = $5 AND f8 = $6 \
                 AND t = $7 AND y = $8 AND e <-> $9 = 0",
                &[&b, &i2, &i4, &i8, &f4, &f8, &t, &y, &e],
            )
            .await
            .expect("a count");
        assert_eq!(found.get::<_, i64>(0), 1);
        let copied = client
            .execute("INSERT INTO t (b, i4, a, e) VALUES ($1, $2, $3, $4)", &[&None::<bool>, &7i32, &a, &e])
            .await
            .expect("a row");
        assert_eq!(copied, 1);
    });
}

#[test]
fn nearest_neighbours_with_a_filter_and_parameters() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client
            .batch_execute("CREATE TABLE items (id bigint PRIMARY KEY, kind text, embedding vector(3))")
            .await
            .expect("a table");
        let insert = client.prepare("INSERT INTO items VALUES ($1, $2, $3)").await.expect("a statement");
        for id in 0..50i64 {
            let kind = if id % 5 == 0 { "five" } else { "other" };
            let vector = Vector(vec![id as f32, 0.0, 1.0]);
            client.execute(&insert, &[&id, &kind, &vector]).await.expect("a row");
        }
        client
            .batch_execute("CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)")
            .await
            .expect("an index");
        let knn = client
            .prepare("SELECT id FROM items WHERE kind = $2 ORDER BY embedding <-> $1 LIMIT $3")
            .await
            .expect("a statement");
        let query = Vector(vec![11.0, 0.0, 1.0]);
        for _ in 0..3 {
            let rows = client.query(&knn, &[&query, &"five", &4i64]).await.expect("neighbours");
            let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(ids, [10, 15, 5, 20]);
        }
        // The statement is planned already; a new row is found all the same.
        client.execute(&insert, &[&100i64, &"five", &query]).await.expect("a row");
        let rows = client.query(&knn, &[&query, &"five", &1i64]).await.expect("neighbours");
        assert_eq!(rows[0].get::<_, i64>(0), 100);
    });
}

#[test]
fn portals_hand_out_rows_in_portions() {
    House::new().run(async |house| {
        let mut client = house.connect().await;
        let transaction = client.transaction().await.expect("a transaction");
        let statement =
            transaction.prepare("SELECT i FROM generate_series(1, 10) AS g(i)").await.expect("a statement");
        let portal = transaction.bind(&statement, &[]).await.expect("a portal");
        let mut sizes = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 4).await.expect("rows");
            sizes.push(rows.len());
            if rows.len() < 4 {
                break;
            }
        }
        assert_eq!(sizes, [4, 4, 2]);
        transaction.commit().await.expect("a commit");
    });
}

#[test]
fn errors_carry_their_fields() {
    House::new().run(async |house| {
        let client = house.connect().await;
        for (sql, expected) in [
            ("SELEC 1", "42601"),
            ("SELECT * FROM nowhere", "42P01"),
            ("SELECT nothing FROM (SELECT 1 AS a) t", "42703"),
            ("SELECT 1/0", "22012"),
            ("SELECT 'x'::int4", "22P02"),
            ("SELECT '[1,2]'::vector <-> '[1,2,3]'::vector", "22000"),
        ] {
            let error = client.simple_query(sql).await.expect_err(sql);
            assert_eq!(state(&error), expected, "{sql}: {error:?}");
        }
        client.batch_execute("CREATE TABLE k (id int4 PRIMARY KEY)").await.expect("a table");
        client.batch_execute("INSERT INTO k VALUES (1)").await.expect("a row");
        let error = client.execute("INSERT INTO k VALUES ($1)", &[&1i32]).await.expect_err("a duplicate");
        let told = error.as_db_error().expect("an error of the server");
        assert_eq!(told.code().code(), "23505");
        assert_eq!(told.message(), "duplicate key value violates unique constraint \"k_pkey\"");
        assert_eq!(told.detail(), Some("Key (id)=(1) already exists."));
        assert_eq!((told.table(), told.constraint()), (Some("k"), Some("k_pkey")));
        // The connection is as good as before.
        assert_eq!(texts(&client, "SELECT count(*) FROM k").await, [[Some("1".to_owned())]]);
    });
}

/// asyncpg's `PreparedStatement.explain()` reads plans so.
#[test]
fn plans_as_documents_name_relations_of_the_catalogue() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let rows = texts(&client, "EXPLAIN (FORMAT JSON) SELECT typname FROM pg_type").await;
        let plan = rows[0][0].as_deref().expect("a plan");
        assert!(plan.contains("\"Node Type\": \"Seq Scan\""), "{plan}");
        assert!(plan.contains("\"Relation Name\": \"pg_type\""), "{plan}");
    });
}

#[test]
fn a_prepared_query_is_parsed_and_planned_once() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client
            .batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY, kind text, e vector(2)); \
                 INSERT INTO t VALUES (1, 'a', '[1,0]'), (2, 'b', '[2,0]'), (3, 'a', '[3,0]'); \
                 CREATE INDEX ON t USING hnsw (e vector_l2_ops)",
            )
            .await
            .expect("a table");
        let sql = "SELECT id FROM t WHERE kind = $1 ORDER BY e <-> $2 LIMIT $3";
        let statement = client.prepare(sql).await.expect("a statement");
        let nearest = async |limit: i64| {
            let query = Vector(vec![3.1, 0.0]);
            let rows = client.query(&statement, &[&"a", &query, &limit]).await.expect("an answer");
            rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
        };
        assert_eq!(nearest(1).await, [3]);
        assert_eq!(nearest(2).await, [3, 1]);
        // Rows are fresh after DML, and the plan still stands.
        client.batch_execute("DELETE FROM t WHERE id = 3").await.expect("a delete");
        assert_eq!(nearest(2).await, [1]);
        // DDL makes the plan anew.
        client.batch_execute("ALTER TABLE t ADD COLUMN more int").await.expect("a column");
        assert_eq!(nearest(2).await, [1]);

        let timings = "SELECT parse_us > 0, plan_us > 0, bind_us > 0, execute_us > 0, encode_us > 0 \
                       FROM hither.timings WHERE statement LIKE 'SELECT id FROM t %' ORDER BY number";
        let said = |cells: [&str; 5]| cells.map(|cell| Some(cell.to_owned())).to_vec();
        assert_eq!(
            texts(&client, timings).await,
            [
                said(["t", "t", "t", "t", "t"]),
                said(["f", "f", "t", "t", "t"]),
                said(["f", "f", "t", "t", "t"]),
                said(["f", "t", "t", "t", "t"]),
            ]
        );
    });
}

#[test]
fn a_failed_transaction_refuses_until_rollback() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute("CREATE TABLE t (id int4)").await.expect("a table");
        client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("a start");
        client.batch_execute("SELECT 1/0").await.expect_err("a division");
        let error = client.query("SELECT 1", &[]).await.expect_err("an aborted transaction");
        assert_eq!(state(&error), "25P02");
        client.batch_execute("ROLLBACK").await.expect("a rollback");
        assert_eq!(texts(&client, "SELECT count(*) FROM t").await, [[Some("0".to_owned())]]);
        // A failure in the middle of a query string takes all of it back.
        client
            .batch_execute("INSERT INTO t VALUES (1); SELECT 1/0; INSERT INTO t VALUES (2)")
            .await
            .expect_err("a division");
        assert_eq!(texts(&client, "SELECT count(*) FROM t").await, [[Some("0".to_owned())]]);
    });
}

#[test]
fn savepoints_keep_what_was_done_before_them() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute("CREATE TABLE t (id int4 PRIMARY KEY, name text)").await.expect("a table");
        // A probe that fails, as drivers do it.
        client.batch_execute("BEGIN; SAVEPOINT probe").await.expect("a savepoint");
        client.batch_execute("SELECT 1/0").await.expect_err("a division");
        let error = client.batch_execute("SELECT 1").await.expect_err("a failed transaction");
        assert_eq!(state(&error), "25P02");
        client
            .batch_execute("ROLLBACK TO probe; INSERT INTO t VALUES (1, 'a'); COMMIT")
            .await
            .expect("a commit");
        // Changes before, after and between, one of them by a statement that fails.
        client
            .batch_execute(
                "BEGIN; INSERT INTO t VALUES (2, 'b'); SAVEPOINT one; UPDATE t SET name = 'x'; \
                 SAVEPOINT two; DELETE FROM t WHERE id = 1; CREATE TABLE u (id int4)",
            )
            .await
            .expect("changes");
        client.batch_execute("INSERT INTO t VALUES (3, 'c'), (2, 'again')").await.expect_err("a duplicate");
        client.batch_execute("ROLLBACK TO two").await.expect("back");
        let rows = texts(&client, "SELECT id, name FROM t ORDER BY id").await;
        assert_eq!(rows, [[Some("1".to_owned()), Some("x".into())], [Some("2".into()), Some("x".into())]]);
        client.batch_execute("SELECT * FROM u").await.expect_err("no such table");
        client.batch_execute("ROLLBACK TO one; INSERT INTO t VALUES (3, 'c')").await.expect("back");
        let error = client.batch_execute("RELEASE two").await.expect_err("gone with one");
        assert_eq!(state(&error), "3B001");
        client
            .batch_execute("ROLLBACK TO one; INSERT INTO t VALUES (4, 'd'); COMMIT")
            .await
            .expect("a commit");
        let rows = texts(&client, "SELECT string_agg(id || name, ' ' ORDER BY id) FROM t").await;
        assert_eq!(rows, [[Some("1a 2b 4d".to_owned())]]);
        client.batch_execute("BEGIN; INSERT INTO t VALUES (5, 'e'); SAVEPOINT a").await.expect("a row");
        client.batch_execute("nonsense").await.expect_err("a syntax error");
        client.batch_execute("ROLLBACK").await.expect("a rollback");
        assert_eq!(texts(&client, "SELECT count(*) FROM t").await, [[Some("3".to_owned())]]);
        let error = client.batch_execute("BEGIN; RELEASE nobody").await.expect_err("no savepoint");
        assert_eq!(state(&error), "3B001");
        client.batch_execute("ROLLBACK").await.expect("a rollback");
        let error = client.batch_execute("SAVEPOINT alone").await.expect_err("no transaction");
        assert_eq!(state(&error), "25P01");
    });
}

#[test]
fn queries_of_one_client_are_pipelined() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let double = client.prepare("SELECT $1::int4 * 2").await.expect("a statement");
        let answers = futures::future::join_all((0..100i32).map(|i| {
            let (client, double) = (&client, &double);
            async move { client.query_one(double, &[&i]).await.expect("an answer").get::<_, i32>(0) }
        }))
        .await;
        assert_eq!(answers, (0..100).map(|i| i * 2).collect::<Vec<i32>>());
        // One of many fails alone.
        let divide = client.prepare("SELECT 10 / $1::int4").await.expect("a statement");
        let (first, second, third) = futures::join!(
            client.query_one(&divide, &[&5i32]),
            client.query_one(&divide, &[&0i32]),
            client.query_one(&divide, &[&2i32])
        );
        assert_eq!(first.expect("a quotient").get::<_, i32>(0), 2);
        assert_eq!(state(&second.expect_err("a division")), "22012");
        assert_eq!(third.expect("a quotient").get::<_, i32>(0), 5);
    });
}

#[test]
fn a_running_statement_is_cancelled_at_once() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let token = client.cancel_token();
        let canceller = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await.expect("a cancel request");
            Instant::now()
        });
        let endless = "SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y) \
                       WHERE x + y = 0";
        let error = client.simple_query(endless).await.expect_err("a cancelled query");
        let ended = Instant::now();
        assert_eq!(state(&error), "57014", "{error:?}");
        assert_eq!(message(&error), "canceling statement due to user request");
        let asked = canceller.await.expect("the canceller");
        let late = ended.saturating_duration_since(asked);
        assert!(late < Duration::from_millis(100), "cancelled {late:?} after the request");
        assert_eq!(texts(&client, "SELECT 1").await, [[Some("1".to_owned())]]);
    });
}

/// Planning goes on to its end, and then the statement is refused.
#[test]
fn a_statement_is_cancelled_while_it_is_planned() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let token = client.cancel_token();
        let canceller = tokio::spawn(async move {
            loop {
                token.cancel_query(NoTls).await.expect("a cancel request");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        // Some seconds of planning without optimisation, some hundred milliseconds with it.
        let sums: Vec<String> = (0..1000).map(|n| format!("sum(x + {n})")).collect();
        let long = format!("SELECT {} FROM generate_series(1, 9) a(x)", sums.join(", "));
        let error = client.prepare(&long).await.expect_err("it is cancelled, not planned");
        assert_eq!(state(&error), "57014", "{error:?}");
        canceller.abort();
        let _ = canceller.await;
        // One of the requests may still be on its way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(texts(&client, "SELECT 1").await, [[Some("1".to_owned())]]);
    });
}

#[test]
fn a_request_cancels_one_statement_of_a_pipeline() {
    House::new().run(async |house| {
        let client = house.connect().await;
        let token = client.cancel_token();
        client.batch_execute("BEGIN").await.expect("a transaction");
        let canceller = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await.expect("a cancel request");
        };
        let (slow, rolled_back, next, ()) = tokio::join!(
            client.batch_execute("SELECT pg_sleep(60)"),
            client.batch_execute("ROLLBACK"),
            client.batch_execute("SELECT 1"),
            canceller
        );
        assert_eq!(state(&slow.expect_err("it is cancelled")), "57014");
        rolled_back.expect("it was not meant");
        next.expect("nor was this");
    });
}

#[test]
fn a_build_is_seen_and_cancelled() {
    House::new().run(async |house| {
        let (client, other) = (house.connect().await, house.connect().await);
        let cells: Vec<String> = (1..=16).map(|n| format!("sin(g * {n})")).collect();
        let table = format!(
            "CREATE TABLE v (id int, e vector(16)); \
             INSERT INTO v SELECT g, ARRAY[{}]::vector FROM generate_series(1, 20000) g",
            cells.join(", ")
        );
        client.batch_execute(&table).await.expect("a table");
        let token = client.cancel_token();
        let (hnsw, ivfflat) = ("loading tuples", "performing k-means");
        for (sql, command, phase) in [
            ("CREATE INDEX i ON v USING hnsw (e vector_l2_ops)", "CREATE INDEX", hnsw),
            ("CREATE INDEX i ON v USING ivfflat (e vector_l2_ops) WITH (lists = 1000)", "CREATE INDEX", ivfflat),
            ("CREATE INDEX CONCURRENTLY i ON v USING hnsw (e vector_l2_ops)", "CREATE INDEX CONCURRENTLY", hnsw),
        ] {
            let watch = async {
                let builds = "SELECT command, phase, relid::regclass, tuples_total, blocks_done < blocks_total \
                              FROM pg_stat_progress_create_index WHERE tuples_total > 0";
                let phase = format!("building index: {phase}");
                for _ in 0..1000 {
                    if let [build] = &texts(&other, builds).await[..] {
                        let expected = [command, &phase, "v", "20000", "t"];
                        assert_eq!(build[..], expected.map(|text| Some(text.to_owned())));
                        token.cancel_query(NoTls).await.expect("a cancel request");
                        return Instant::now();
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                panic!("nobody builds");
            };
            let build = async { (client.batch_execute(sql).await, Instant::now()) };
            let ((outcome, ended), asked) = tokio::join!(build, watch);
            assert_eq!(state(&outcome.expect_err("it is cancelled")), "57014");
            let late = ended.saturating_duration_since(asked);
            assert!(late < Duration::from_millis(500), "cancelled {late:?} after the request");
            let left = "SELECT (SELECT count(*) FROM pg_stat_progress_create_index), to_regclass('i')";
            assert_eq!(texts(&client, left).await, [[Some("0".to_owned()), None]]);
        }
    });
}

/// The client's time to think is its own, and each portion of rows has the whole time.
#[test]
fn a_suspended_portal_keeps_its_statement_timeout() {
    House::new().run(async |house| {
        let mut client = house.connect().await;
        client.batch_execute("SET statement_timeout = 2000").await.expect("a setting");
        let transaction = client.transaction().await.expect("a transaction");
        // The first batch is there at once, the others take a second for each row.
        let sql = "SELECT x FROM generate_series(1, 100000) AS a(x) \
                   WHERE CASE WHEN x > 8192 THEN pg_sleep(1) IS NOT NULL ELSE true END";
        let portal = transaction.bind(sql, &[]).await.expect("a portal");
        for _ in 0..2 {
            let rows = transaction.query_portal(&portal, 7).await.expect("rows");
            assert_eq!(rows.len(), 7);
            tokio::time::sleep(Duration::from_millis(2200)).await;
        }
        let error = transaction.query_portal(&portal, 0).await.expect_err("the rest takes too long");
        assert_eq!(message(&error), "canceling statement due to statement timeout");
    });
}

#[test]
fn settings_are_reported_and_startup_options_count() {
    House::new().run(async |house| {
        let url = format!("{}?application_name=probe&options=-c%20hnsw.ef_search%3D77", house.url());
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        assert!(driver.parameter("server_version").expect("a version").starts_with("17."));
        assert_eq!(driver.parameter("integer_datetimes"), Some("on"));
        assert_eq!(driver.parameter("client_encoding"), Some("UTF8"));
        assert_eq!(driver.parameter("application_name"), Some("probe"));
        tokio::spawn(driver);
        assert_eq!(texts(&client, "SHOW hnsw.ef_search").await, [[Some("77".to_owned())]]);
    });
}

#[test]
fn strangers_are_turned_away_with_reasons() {
    House::with(|options| options.connections_max = 2).run(async |house| {
        for (user, database, expected) in [
            ("alice", "postgres", ("28000", "role \"alice\" does not exist")),
            ("postgres", "shop", ("3D000", "database \"shop\" does not exist")),
        ] {
            let url = format!("postgres://{user}@{}/{database}", house.server.address());
            let error = tokio_postgres::connect(&url, NoTls).await.err().expect("a refusal");
            assert_eq!((state(&error), message(&error)), expected);
        }
        let _first = house.connect().await;
        let second = house.connect().await;
        let error = tokio_postgres::connect(&house.url(), NoTls).await.err().expect("a refusal");
        assert_eq!((state(&error), message(&error)), ("53300", "sorry, too many clients already"));
        drop(second);
        // The place is free once the server has seen the client leave.
        for _ in 0..100 {
            if tokio_postgres::connect(&house.url(), NoTls).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the place of a client that left stays taken");
    });
}
