//! Several databases on one server.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::queries::texts;
use crate::{House, message, state};

async fn connect(house: &House, database: &str) -> Result<Client, tokio_postgres::Error> {
    let url = format!("postgres://postgres@{}/{database}", house.server.address());
    let (client, driver) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}

#[test]
fn databases_share_nothing_but_the_server() {
    House::new().run(async |house| {
        let main = house.connect().await;
        main.batch_execute("CREATE DATABASE shop WITH ENCODING 'UTF8' TEMPLATE template0").await.expect("a database");
        main.batch_execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await.expect("a table");
        let shop = connect(&house, "shop").await.expect("a connection");
        assert_eq!(texts(&shop, "SELECT current_database()").await, [[Some("shop".to_owned())]]);
        let error = shop.batch_execute("SELECT * FROM t").await.expect_err("another database's table");
        assert_eq!(state(&error), "42P01");
        shop.batch_execute(
            "CREATE EXTENSION vector; CREATE TABLE t (id int PRIMARY KEY, v vector(2));
             CREATE INDEX ON t USING hnsw (v vector_l2_ops);
             INSERT INTO t SELECT i, ARRAY[i, 0]::vector FROM generate_series(1, 100) AS i",
        )
        .await
        .expect("tables of its own");
        let nearest = "SELECT id::text FROM t ORDER BY v <-> '[42,0]' LIMIT 1";
        assert_eq!(texts(&shop, nearest).await, [[Some("42".to_owned())]]);
        // Locks and messages are a database's own.
        shop.batch_execute("SELECT pg_advisory_lock(7)").await.expect("a lock");
        let free = texts(&main, "SELECT pg_try_advisory_lock(7)::text").await;
        assert_eq!(free, [[Some("true".to_owned())]]);
        let both = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY oid";
        let names = [[Some("postgres".to_owned())], [Some("shop".to_owned())]];
        assert_eq!(texts(&main, both).await, names);
        assert_eq!(texts(&shop, both).await, names);
        let own = "SELECT (SELECT datid FROM pg_stat_activity WHERE pid = pg_backend_pid()) = (SELECT oid FROM pg_database WHERE datname = 'shop')";
        assert_eq!(texts(&shop, own).await, [[Some("t".to_owned())]]);
    });
}

#[test]
fn a_database_in_use_is_dropped_by_force_only() {
    House::new().run(async |house| {
        let main = house.connect().await;
        main.batch_execute("CREATE DATABASE shop").await.expect("a database");
        let shop = connect(&house, "shop").await.expect("a connection");
        let error = shop.batch_execute("DROP DATABASE shop").await.expect_err("it is open");
        assert_eq!((state(&error), message(&error)), ("55006", "cannot drop the currently open database"));
        let error = main.batch_execute("DROP DATABASE shop").await.expect_err("it is in use");
        assert_eq!(
            (state(&error), message(&error)),
            ("55006", "database \"shop\" is being accessed by other users")
        );
        let detail = error.as_db_error().and_then(|error| error.detail());
        assert_eq!(detail, Some("There is 1 other session using the database."));
        // The wait can be cancelled, and nobody is admitted meanwhile.
        main.batch_execute("SET statement_timeout = '600ms'").await.expect("a setting");
        let (cancelled, newcomer) = tokio::join!(main.batch_execute("DROP DATABASE shop"), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            connect(&house, "shop").await
        });
        assert_eq!(state(&cancelled.expect_err("it is in use")), "57014");
        assert_eq!(state(&newcomer.expect_err("it is about to go")), "55006");
        main.batch_execute("SET statement_timeout = 0").await.expect("a setting");
        drop(connect(&house, "shop").await.expect("it stays"));
        // One that is idle and one that computes.
        let busy = connect(&house, "shop").await.expect("a connection");
        let computing = tokio::spawn(async move {
            busy.batch_execute(
                "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 1000) b",
            )
            .await
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        main.batch_execute("DROP DATABASE shop WITH (FORCE)").await.expect("sessions end");
        let error = computing.await.expect("a task").expect_err("it was ended");
        assert_eq!(state(&error), "57P01");
        let error = shop.batch_execute("SELECT 1").await.expect_err("it was ended");
        assert!(error.is_closed() || state(&error) == "57P01", "{error}");
        let error = connect(&house, "shop").await.expect_err("it is gone");
        assert_eq!(state(&error), "3D000");
        // The name is free again, and what was in it is not there.
        main.batch_execute("CREATE DATABASE shop").await.expect("a database");
        let shop = connect(&house, "shop").await.expect("a connection");
        let tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(texts(&shop, tables).await, [[Some("0".to_owned())]]);
        drop(shop);
        // A client that does not read does not hold it up for long.
        let stalled = connect(&house, "shop").await.expect("a connection");
        let rows =
            stalled.query_raw("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)", [""; 0]).await;
        let rows = rows.expect("a stream");
        main.batch_execute("DROP DATABASE shop WITH (FORCE)").await.expect("it ends");
        drop((rows, stalled));
        main.batch_execute("CREATE DATABASE shop").await.expect("a database");
        // A client that has just left is waited for.
        main.batch_execute("ALTER DATABASE shop RENAME TO store").await.expect("nobody is in it");
        connect(&house, "store").await.expect("a connection");
        // Names are cut alike where they are made and where they are asked for.
        let long = "x".repeat(70);
        main.batch_execute(&format!("CREATE DATABASE {long}")).await.expect("a database");
        connect(&house, &long).await.expect("a connection");
        let error = connect(&house, "template1").await.expect_err("a template");
        assert_eq!(state(&error), "55000");
    });
}

#[test]
fn sessions_see_and_end_each_other() {
    House::new().run(async |house| {
        let main = house.connect().await;
        main.batch_execute("CREATE DATABASE shop").await.expect("a database");
        let other = connect(&house, "shop").await.expect("a connection");
        other.batch_execute("SET application_name = 'till'; BEGIN; SELECT 1").await.expect("a transaction");
        let seen =
            "SELECT datname, state, query, (xact_start <= now())::text, client_addr FROM pg_stat_activity
                    WHERE application_name = 'till'";
        let expected = [
            "shop",
            "idle in transaction",
            "SET application_name = 'till'; BEGIN; SELECT 1",
            "true",
            "127.0.0.1",
        ];
        assert_eq!(texts(&main, seen).await, [expected.map(|text| Some(text.to_owned()))]);
        let own = "SELECT state, query = current_query() FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        assert_eq!(texts(&main, own).await, [["active", "t"].map(|text| Some(text.to_owned()))]);

        // A statement ends, the session goes on.
        other.batch_execute("ROLLBACK").await.expect("an end");
        let pid = &texts(&other, "SELECT pg_backend_pid()").await[0][0].clone().expect("a number");
        let long = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 1000) b";
        let (ended, cancelled) = tokio::join!(other.batch_execute(long), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            texts(&main, &format!("SELECT pg_cancel_backend({pid})")).await
        });
        assert_eq!(state(&ended.expect_err("it was cancelled")), "57014");
        assert_eq!(cancelled, [[Some("t".to_owned())]]);
        other.batch_execute("SELECT 1").await.expect("it goes on");

        // An idle session ends, and one that ends itself hears why.
        let terminate = format!("SELECT pg_terminate_backend({pid})");
        assert_eq!(texts(&main, &terminate).await, [[Some("t".to_owned())]]);
        other.batch_execute("SELECT 1").await.expect_err("it was ended");
        let mut gone = false;
        for _ in 0..100 {
            gone = texts(&main, &terminate).await == [[Some("f".to_owned())]];
            if gone {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(gone, "an ended session is still there");
        let last = connect(&house, "shop").await.expect("a connection");
        let error =
            last.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await.expect_err("an end");
        assert_eq!(
            (state(&error), message(&error)),
            ("57P01", "terminating connection due to administrator command")
        );
    });
}

#[test]
fn who_is_in_the_way_is_told_while_it_works() {
    House::new().run(async |house| {
        let (main, holder, waiting) = (house.connect().await, house.connect().await, house.connect().await);
        main.batch_execute("CREATE TABLE held (id int PRIMARY KEY, n int); CREATE TABLE filled (n int)")
            .await
            .expect("tables");
        main.batch_execute("INSERT INTO held VALUES (1, 0)").await.expect("a row");
        let pid = async |client: &Client| texts(client, "SELECT pg_backend_pid()").await[0][0].clone();
        let (holds, waits) = (pid(&holder).await.expect("a number"), pid(&waiting).await.expect("a number"));
        holder.batch_execute("BEGIN; UPDATE held SET n = 1").await.expect("a lock");
        let blocking = format!("SELECT pg_blocking_pids({waits})");
        let (_, _, answers) = tokio::join!(
            async { waiting.batch_execute("UPDATE held SET n = 2").await.expect("a change") },
            async {
                let long = "INSERT INTO filled SELECT * FROM generate_series(1, 400000)";
                holder.batch_execute(long).await.expect("rows");
                holder.batch_execute("COMMIT").await.expect("a commit");
            },
            async {
                let mut answers = Vec::new();
                let deadline = Instant::now() + Duration::from_secs(60);
                // The first may come before the wait begins.
                while answers.is_empty() || answers.last() == Some(&format!("{{{holds}}}")) {
                    assert!(Instant::now() < deadline, "{answers:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let answer = texts(&main, &blocking).await[0][0].clone().expect("an array");
                    if !answers.is_empty() || answer != "{}" {
                        answers.push(answer);
                    }
                }
                answers
            }
        );
        // It was told until the wait was over, and not for a moment only.
        let rows = texts(&main, "SELECT count(*) FROM filled").await;
        assert_eq!(rows, [[Some("400000".to_owned())]], "after {} answers", answers.len());
        assert!(answers.len() > 5, "{answers:?}");
    });
}
