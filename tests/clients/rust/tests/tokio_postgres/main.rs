//! tokio-postgres with pgvector's types: the protocol here, what goes both ways and what tables do in the files beside.

mod tables;
mod types;

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt, pin_mut};
use hither_clients::{Done, connect, server};
use pgvector::Vector;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, IsolationLevel, NoTls, SimpleQueryMessage};

/// A connection, and the statements that make the tables of a test.
async fn start(script: &str) -> Result<Client, tokio_postgres::Error> {
    let client = connect(server().await).await;
    client.batch_execute(script).await?;
    Ok(client)
}

#[tokio::test]
async fn connections_and_simple_queries() -> Done {
    let mut config: Config = server().await.parse()?;
    config.application_name("the tour").options("-c statement_timeout=60s -c search_path=public");
    let (client, connection) = config.connect(NoTls).await?;
    let version = connection.parameter("server_version").unwrap();
    assert!(version.split('.').next().unwrap().parse::<u32>()? >= 16, "{version}");
    assert_eq!(connection.parameter("client_encoding"), Some("UTF8"));
    tokio::spawn(connection);
    for (name, value) in
        [("application_name", "the tour"), ("statement_timeout", "1min"), ("search_path", "public")]
    {
        let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
        assert_eq!(row.get::<_, &str>(0), value);
    }
    let messages = client
        .simple_query(
            "SELECT 1 AS one, NULL AS nothing, true; CREATE TEMP TABLE tp_temporary (id int);
             INSERT INTO tp_temporary VALUES (1), (2)",
        )
        .await?;
    let SimpleQueryMessage::RowDescription(columns) = &messages[0] else { panic!("{messages:?}") };
    assert_eq!(
        columns.iter().map(|column| column.name()).collect::<Vec<_>>(),
        ["one", "nothing", "?column?"]
    );
    let SimpleQueryMessage::Row(row) = &messages[1] else { panic!("{messages:?}") };
    assert_eq!((row.get("one"), row.get(1), row.get(2)), (Some("1"), None, Some("t")));
    let ends: Vec<u64> = messages
        .iter()
        .filter_map(
            |message| if let SimpleQueryMessage::CommandComplete(n) = message { Some(*n) } else { None },
        )
        .collect();
    assert_eq!(ends, [1, 0, 2]);
    let error = client.simple_query("INSERT INTO tp_temporary VALUES (3); SELECT 1 / 0").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
    // Several statements in one message are one transaction.
    assert_eq!(client.query_one("SELECT count(*) FROM tp_temporary", &[]).await?.get::<_, i64>(0), 2);
    client.check_connection().await?;
    client.batch_execute("DISCARD ALL").await?;
    let error = client.query("SELECT * FROM tp_temporary", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));

    let no_such = server().await.rsplit_once('/').unwrap().0.to_owned() + "/tp_no_such_database";
    let error = tokio_postgres::connect(&no_such, NoTls).await.err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::INVALID_CATALOG_NAME));
    Ok(())
}

#[tokio::test]
async fn transactions_and_savepoints() -> Done {
    let mut client = start(
        "DROP TABLE IF EXISTS tp_accounts; CREATE TABLE tp_accounts (id int PRIMARY KEY, embedding vector(2))",
    )
    .await?;
    let other = start("").await?;
    let insert = "INSERT INTO tp_accounts VALUES ($1, '[1,1]')";

    let transaction = client.transaction().await?;
    transaction.execute(insert, &[&1]).await?;
    let own =
        transaction.query("SELECT id FROM tp_accounts ORDER BY embedding <-> '[1,1]' LIMIT 1", &[]).await?;
    assert_eq!(own.len(), 1);
    assert_eq!(other.query("SELECT * FROM tp_accounts", &[]).await?.len(), 0);
    transaction.commit().await?;

    let mut transaction = client.transaction().await?;
    transaction.execute(insert, &[&2]).await?;
    {
        let mut inner = transaction.transaction().await?;
        inner.execute(insert, &[&3]).await?;
        let named = inner.savepoint("deep_down").await?;
        assert_eq!(named.execute(insert, &[&1]).await.unwrap_err().code(), Some(&SqlState::UNIQUE_VIOLATION));
        let error = named.query("SELECT 1", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
        named.rollback().await?;
        inner.execute(insert, &[&4]).await?;
        inner.commit().await?;
    }
    {
        let inner = transaction.transaction().await?;
        inner.execute(insert, &[&5]).await?;
        // Dropped, it is rolled back.
    }
    transaction.commit().await?;
    {
        let transaction = client.transaction().await?;
        transaction.execute("DELETE FROM tp_accounts", &[]).await?;
    }
    let rows = client.query("SELECT id FROM tp_accounts ORDER BY id", &[]).await?;
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 2, 3, 4]);

    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let row = transaction.query_one("SHOW transaction_isolation", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "repeatable read");
    let before: i64 = transaction.query_one("SELECT count(*) FROM tp_accounts", &[]).await?.get(0);
    other.execute(insert, &[&6]).await?;
    let after: i64 = transaction.query_one("SELECT count(*) FROM tp_accounts", &[]).await?.get(0);
    assert_eq!((before, after), (4, 4));
    let error = transaction.execute(insert, &[&7]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    transaction.rollback().await?;

    // Whoever comes second waits for the first.
    let first = client.transaction().await?;
    first.execute(insert, &[&8]).await?;
    let second = tokio::spawn(async move { other.execute(insert, &[&8]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    first.commit().await?;
    assert_eq!(second.await?.unwrap_err().code(), Some(&SqlState::UNIQUE_VIOLATION));
    Ok(())
}

#[tokio::test]
async fn a_query_is_cancelled() -> Done {
    let client = start("").await?;
    let cancel = client.cancel_token();
    for sql in [
        "SELECT pg_sleep(60)",
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    ] {
        let (done, asked) = tokio::join!(client.query(sql, &[]), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel_query(NoTls).await
        });
        asked?;
        let error = done.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{sql}");
        assert_eq!(error.as_db_error().unwrap().message(), "canceling statement due to user request");
    }
    client.batch_execute("SET statement_timeout = '100ms'").await?;
    let error = client.query("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "canceling statement due to statement timeout");
    client.batch_execute("RESET statement_timeout").await?;
    // Rows that nobody waits for any more are thrown away by the client.
    let rows = client.query_raw("SELECT * FROM generate_series(1, 100000)", Vec::<i32>::new()).await?;
    {
        pin_mut!(rows);
        assert_eq!(rows.next().await.unwrap()?.get::<_, i32>(0), 1);
    }
    assert_eq!(client.query_one("SELECT 7", &[]).await?.get::<_, i32>(0), 7);
    Ok(())
}

#[tokio::test]
async fn pipelines() -> Done {
    let client = start(
        "DROP TABLE IF EXISTS tp_piped; CREATE TABLE tp_piped (id int PRIMARY KEY, embedding vector(2))",
    )
    .await?;
    let double = client.prepare("SELECT $1::int4 * 2").await?;
    let got = try_join_all((0..50).map(|i| {
        let (client, double) = (&client, &double);
        async move { client.query_one(double, &[&i]).await.map(|row| row.get::<_, i32>(0)) }
    }))
    .await?;
    assert_eq!(got, (0..50).map(|i| i * 2).collect::<Vec<_>>());
    // Each has its own Sync: what fails takes nothing else along.
    let insert = client.prepare("INSERT INTO tp_piped VALUES ($1, $2)").await?;
    let results = join_all((0..30).map(|i| {
        let (client, insert) = (&client, &insert);
        async move { client.execute(insert, &[&(i % 20), &Vector::from(vec![i as f32, 0.0])]).await }
    }))
    .await;
    assert!(results[..20].iter().all(|result| *result.as_ref().unwrap() == 1));
    assert!(
        results[20..]
            .iter()
            .all(|result| result.as_ref().unwrap_err().code() == Some(&SqlState::UNIQUE_VIOLATION))
    );
    // Statements that are prepared, asked and simple, all at once.
    let (prepared, count, simple) = tokio::try_join!(
        client.prepare("SELECT id FROM tp_piped ORDER BY embedding <-> $1 LIMIT 2"),
        client.query_one("SELECT count(*) FROM tp_piped", &[]),
        client.simple_query("SELECT 1; SELECT 'x' AS a WHERE false"),
    )?;
    assert_eq!((count.get::<_, i64>(0), simple.len()), (20, 5));
    let rows = client.query(&prepared, &[&Vector::from(vec![7.0, 0.0])]).await?;
    assert_eq!(rows[0].get::<_, i32>(0), 7);
    Ok(())
}

#[tokio::test]
async fn portals_give_some_rows_at_a_time() -> Done {
    let mut client = start(
        "DROP TABLE IF EXISTS tp_walked;
         CREATE TABLE tp_walked AS SELECT i AS id, ARRAY[i, 1]::vector(2) AS embedding FROM generate_series(1, 100) AS g(i)",
    )
    .await?;
    let nearest = client.prepare("SELECT id FROM tp_walked WHERE id <> $2 ORDER BY embedding <-> $1").await?;
    let transaction = client.transaction().await?;
    let up = transaction.bind(&nearest, &[&Vector::from(vec![0.0, 1.0]), &2]).await?;
    let down = transaction.bind(&nearest, &[&Vector::from(vec![101.0, 1.0]), &99]).await?;
    let (mut ups, mut downs): (Vec<i32>, Vec<i32>) = (vec![], vec![]);
    loop {
        let rows = transaction.query_portal(&up, 30).await?;
        ups.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        downs.extend(transaction.query_portal(&down, 7).await?.iter().map(|row| row.get::<_, i32>(0)));
        if rows.len() < 30 {
            break;
        }
    }
    assert_eq!((ups.len(), &ups[..3]), (99, &[1, 3, 4][..]));
    assert_eq!((downs.len(), &downs[..3]), (28, &[100, 98, 97][..]));
    assert_eq!(transaction.query_portal(&down, 0).await?.len(), 99 - 28);
    let returning = "UPDATE tp_walked SET id = -id WHERE id <= 5 RETURNING id";
    let portal = transaction.bind(returning, &[]).await?;
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 2);
    assert_eq!(
        transaction.query_one("SELECT count(*) FROM tp_walked WHERE id < 0", &[]).await?.get::<_, i64>(0),
        5
    );
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 2);
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 1);
    transaction.commit().await?;
    Ok(())
}

#[tokio::test]
async fn listen_notify_and_notices() -> Done {
    let (client, mut connection) = tokio_postgres::connect(server().await, NoTls).await?;
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            heard.send(message).ok();
        }
    });
    client.batch_execute("LISTEN tp_news; LISTEN \"Tp News\"").await?;
    let mut sender = start("").await?;
    sender.batch_execute("NOTIFY tp_news, 'first'").await?;
    sender.execute("SELECT pg_notify($1, $2)", &[&"Tp News", &"second"]).await?;
    let transaction = sender.transaction().await?;
    transaction.batch_execute("NOTIFY tp_news, 'never'").await?;
    transaction.rollback().await?;
    let transaction = sender.transaction().await?;
    transaction.batch_execute("NOTIFY tp_news, 'once'; NOTIFY tp_news, 'once'; NOTIFY tp_news").await?;
    transaction.commit().await?;
    let mut got = vec![];
    for _ in 0..4 {
        match tokio::time::timeout(Duration::from_secs(10), hears.recv()).await?.unwrap() {
            AsyncMessage::Notification(news) => {
                assert_ne!(news.process_id(), 0);
                got.push((news.channel().to_owned(), news.payload().to_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
    let expected = [("tp_news", "first"), ("Tp News", "second"), ("tp_news", "once"), ("tp_news", "")];
    assert_eq!(got, expected.map(|(channel, payload)| (channel.to_owned(), payload.to_owned())));
    client.batch_execute("UNLISTEN *; DROP TABLE IF EXISTS tp_not_there").await?;
    let Some(AsyncMessage::Notice(notice)) = hears.recv().await else { panic!("no notice") };
    assert_eq!(
        (notice.severity(), notice.message()),
        ("NOTICE", "table \"tp_not_there\" does not exist, skipping")
    );
    Ok(())
}
