//! LISTEN and NOTIFY between clients: what is heard, when, and in which order; statements in parts and changes of domains under contention.

use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

use crate::{House, state};

/// A client, and what it hears.
async fn listener(house: &House) -> (Client, mpsc::UnboundedReceiver<Notification>) {
    let (client, mut driver) = tokio_postgres::connect(&house.url(), NoTls).await.expect("a connection");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| driver.poll_message(context)).await {
            if let Ok(AsyncMessage::Notification(heard)) = message {
                let _ = sender.send(heard);
            }
        }
    });
    (client, receiver)
}

async fn heard(receiver: &mut mpsc::UnboundedReceiver<Notification>) -> (String, String) {
    let message = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await;
    let message = message.expect("a notification in time").expect("a connection");
    (message.channel().to_owned(), message.payload().to_owned())
}

#[test]
fn idle_clients_hear_what_was_committed_and_nothing_else() {
    House::new().run(|house| async move {
        let (client, mut received) = listener(&house).await;
        let other = house.connect().await;
        client.batch_execute("LISTEN news").await.unwrap();
        other.batch_execute("BEGIN; NOTIFY news, 'lost'; ROLLBACK").await.unwrap();
        other
            .batch_execute("BEGIN; NOTIFY news, 'one'; NOTIFY news, 'one'; NOTIFY other, 'x'")
            .await
            .unwrap();
        other.batch_execute("SAVEPOINT s; NOTIFY news, 'undone'; ROLLBACK TO s; COMMIT").await.unwrap();
        other.batch_execute("SELECT pg_notify('news', 'two')").await.unwrap();
        assert_eq!(heard(&mut received).await, ("news".into(), "one".into()));
        assert_eq!(heard(&mut received).await, ("news".into(), "two".into()));
        // Who notifies itself hears itself.
        client.batch_execute("NOTIFY news").await.unwrap();
        assert_eq!(heard(&mut received).await, ("news".into(), String::new()));
        // Not within a transaction, but after it.
        client.batch_execute("BEGIN; SELECT 1").await.unwrap();
        other.batch_execute("NOTIFY news, 'three'").await.unwrap();
        client.batch_execute("SELECT 2").await.unwrap();
        assert!(received.try_recv().is_err());
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(heard(&mut received).await, ("news".into(), "three".into()));
        client.batch_execute("UNLISTEN *").await.unwrap();
        other.batch_execute("NOTIFY news, 'unheard'").await.unwrap();
        client.batch_execute("LISTEN news; NOTIFY news, 'last'").await.unwrap();
        assert_eq!(heard(&mut received).await, ("news".into(), "last".into()));
    });
}

/// The queue's jobs are taken by eight clients at once: each job by one of them, and all of them.
#[test]
fn a_queue_gives_each_job_to_one_client() {
    const JOBS: usize = 200;
    House::new().run(|house| async move {
        let client = house.connect().await;
        client
            .batch_execute("CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'new')")
            .await
            .unwrap();
        let fill = format!("INSERT INTO jobs SELECT generate_series(1, {JOBS})");
        client.batch_execute(&fill).await.unwrap();
        let mut workers = Vec::new();
        for number in 0..8 {
            let client = house.connect().await;
            let sql = match number % 2 {
                0 => {
                    "UPDATE jobs SET state = 'done' WHERE id = (SELECT id FROM jobs WHERE state = 'new' \
                      ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
                }
                _ => {
                    "WITH next AS (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 \
                      FOR UPDATE SKIP LOCKED) UPDATE jobs SET state = 'done' FROM next \
                      WHERE jobs.id = next.id RETURNING jobs.id"
                }
            };
            workers.push(tokio::spawn(async move {
                let mut taken: Vec<i32> = Vec::new();
                loop {
                    match client.query(sql, &[]).await.unwrap().as_slice() {
                        [] => return taken,
                        rows => taken.extend(rows.iter().map(|row| row.get::<_, i32>(0))),
                    }
                }
            }));
        }
        let mut taken = Vec::new();
        for worker in workers {
            taken.extend(worker.await.unwrap());
        }
        taken.sort_unstable();
        assert_eq!(taken, (1..=JOBS as i32).collect::<Vec<_>>());
    });
}

/// Two clients move amounts between rows in statements of two parts: none is lost, none made.
#[test]
fn statements_in_parts_look_at_one_moment() {
    House::new().run(|house| async move {
        let client = house.connect().await;
        client.batch_execute("CREATE TABLE accounts (id int PRIMARY KEY, n int)").await.unwrap();
        client.batch_execute("INSERT INTO accounts VALUES (1, 1000), (2, 1000)").await.unwrap();
        let mut workers = Vec::new();
        for (from, to) in [(1, 2), (2, 1)] {
            let client = house.connect().await;
            let sql = format!(
                "WITH taken AS (UPDATE accounts SET n = n - 1 WHERE id = {from} RETURNING 1 AS n) \
                 UPDATE accounts SET n = accounts.n + taken.n FROM taken WHERE id = {to}"
            );
            workers.push(tokio::spawn(async move {
                let mut done = 0;
                while done < 50 {
                    match client.batch_execute(&sql).await {
                        Ok(()) => done += 1,
                        // The two lock the rows in opposite orders.
                        Err(error) => assert_eq!(state(&error), "40P01"),
                    }
                }
            }));
        }
        for worker in workers {
            worker.await.unwrap();
        }
        let row = client.query_one("SELECT sum(n)::int, count(*)::int FROM accounts", &[]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (2000, 2));
    });
}

/// Two sessions change a domain at once, while a third copies rows into it: both conditions are there, and no row escapes.
#[test]
fn changes_of_a_domain_wait_for_each_other_and_for_writers() {
    House::new().run(|house| async move {
        let client = house.connect().await;
        client
            .batch_execute("CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TABLE t (n small)")
            .await
            .unwrap();
        let (first, second) = (house.connect().await, house.connect().await);
        first.batch_execute("BEGIN; ALTER DOMAIN small ADD CONSTRAINT a CHECK (VALUE <> 1)").await.unwrap();
        let waiting = tokio::spawn(async move {
            second.batch_execute("ALTER DOMAIN small ADD CONSTRAINT b CHECK (VALUE <> 2)").await
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "the second does not wait");
        first.batch_execute("COMMIT").await.unwrap();
        waiting.await.unwrap().unwrap();
        for value in [1, 2, 100] {
            let error = client.batch_execute(&format!("INSERT INTO t VALUES ({value})")).await.unwrap_err();
            assert_eq!(state(&error), "23514", "{value}");
        }

        // A COPY that has begun looks at the conditions of then, so the change waits, and finds its row.
        client.batch_execute("BEGIN").await.unwrap();
        let mut copy = Box::pin(client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap());
        let changing = tokio::spawn(async move {
            first.batch_execute("ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE <> 3)").await
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!changing.is_finished(), "the change does not wait for the COPY");
        copy.send(Bytes::from_static(b"3\n")).await.unwrap();
        copy.as_mut().finish().await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(state(&changing.await.unwrap().unwrap_err()), "23514");
    });
}
