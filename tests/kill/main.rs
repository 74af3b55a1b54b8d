//! `kill -9` on the real server under writing connections, again and again on one data directory.
//!
//! Each connection runs transactions of several statements: a batch of rows, sometimes the removal of an earlier batch,
//! and an update of the connection's totals. What was acknowledged is written down here. After each kill the server
//! is started again, and:
//!
//! - every acknowledged batch is there with all its rows, every batch removed with an acknowledgement is gone;
//! - no batch is there in part, and the totals agree with the batches: no transaction is half there;
//! - the newest acknowledged row is its own nearest neighbour.
//!
//! The page cache survives a kill, so this proves less than `crash.rs` about the disk, and more about the program: the
//! wire, the threads, and the order of acknowledgement and log.
//!
//! Three rounds with four connections;
//! `HITHER_KILL_ROUNDS=1000 HITHER_KILL_WRITERS=8 cargo test --release --test kill -- --nocapture` runs a thousand with
//! eight, and tells how long the server takes to be ready after a kill.
//!
//! A second test kills the server in the middle of a load into an indexed table: all batches that were acknowledged are
//! there, and searches are right from the first one on, while the graph is still being built behind them.
//! `HITHER_KILL_LOAD=600000 HITHER_KILL_SECONDS=60 cargo test --release --test kill load -- --nocapture` kills at 600,000 rows
//! of 128 dimensions, and tells when the first answer came and how long the searches took.

#![cfg(feature = "server")]

mod served;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_postgres::Client;

use served::{BATCH, DIMENSIONS, Outcome, Server, copy, mix, nearest, number};

/// More connections would make ids of rows that meet.
const WRITERS_MAX: i32 = 64;

/// How long the writers may take to their first commit: some 100 ms of work, on a machine that may be busy.
const FIRST_COMMIT: Duration = Duration::from_secs(60);

/// What one connection was told, by batch: how many rows, none for a removed batch.
#[derive(Clone, Default)]
struct Told {
    batches: BTreeMap<i64, i32>,
    /// The batch on its way, and the one it removes.
    in_doubt: Option<(i64, i32, Option<i64>)>,
    next: i64,
}

/// One test at a time: the load of one would leave the writers of the other no time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_acknowledged() {
    let _turn = TURN.lock().await;
    let rounds = number("HITHER_KILL_ROUNDS", 3);
    let writers = number("HITHER_KILL_WRITERS", 4).min(WRITERS_MAX as u64) as i32;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    create(&server.connect().await.expect("a connection"), writers).await.expect("tables");
    drop(server);
    let mut told: Vec<Told> = vec![Told::default(); writers as usize];
    let (mut acknowledged, mut restarts) = (0, Vec::new());
    for round in 0..rounds {
        let server = Server::start(&data, &[]);
        told = write_until_killed(server, told, round).await;
        let start = Instant::now();
        let server = Server::start(&data, &[]);
        restarts.push(start.elapsed().as_millis());
        let client = server.connect().await.expect("a connection after the kill");
        for (worker, told) in told.iter_mut().enumerate() {
            verify(&client, worker as i32, told).await.unwrap_or_else(|said| panic!("round {round}: {said}"));
        }
        acknowledged = told.iter().map(|told| told.batches.len()).sum();
        // Some rounds end in a kill of a server that has only recovered.
        server.kill();
    }
    assert!(acknowledged > 0);
    restarts.sort_unstable();
    let (median, slowest) = (restarts[restarts.len() / 2], restarts[restarts.len() - 1]);
    println!(
        "{rounds} rounds, {writers} connections, {acknowledged} batches present, \
         restart {median} ms (median), {slowest} ms (slowest)"
    );
}

async fn create(client: &Client, writers: i32) -> Outcome<()> {
    client
        .batch_execute(
            "CREATE EXTENSION IF NOT EXISTS vector;
             CREATE TABLE batches (id bigint PRIMARY KEY, worker int NOT NULL, batch bigint NOT NULL, size int NOT NULL,
                                   embedding vector(4));
             CREATE TABLE totals (worker int PRIMARY KEY, batches bigint NOT NULL, row_count bigint NOT NULL);
             CREATE INDEX ON batches USING hnsw (embedding vector_l2_ops);",
        )
        .await?;
    for worker in 0..writers {
        client.execute("INSERT INTO totals VALUES ($1, 0, 0)", &[&worker]).await?;
    }
    Ok(())
}

/// All connections write until the server is killed under them.
async fn write_until_killed(server: Server, told: Vec<Told>, round: u64) -> Vec<Told> {
    let committed = Arc::new(Notify::new());
    let mut writers = Vec::new();
    for (worker, told) in told.into_iter().enumerate() {
        let mut client = server.connect().await.expect("a connection");
        let told = Arc::new(Mutex::new(told));
        let shared = told.clone();
        let committed = committed.clone();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = transaction(&mut client, worker as i32, &shared).await {
                    return error;
                }
                committed.notify_one();
            }
        });
        writers.push((task, told));
    }
    // Every second round is killed at a moment of the clock, which on a slow machine may come before any commit.
    if round.is_multiple_of(2) {
        let first = tokio::time::timeout(FIRST_COMMIT, committed.notified()).await;
        assert!(first.is_ok(), "no commit within {FIRST_COMMIT:?}");
    }
    // Somewhere between 30 and 430 ms, another moment each round.
    tokio::time::sleep(Duration::from_millis(30 + (round * 137) % 400)).await;
    server.kill();
    let mut all = Vec::new();
    for (task, told) in writers {
        let error = task.await.expect("a writer does not panic");
        assert!(lost_connection(&*error), "a writer failed before the kill: {error}");
        let told = told.lock().expect("no writer panicked").clone();
        all.push(told);
    }
    all
}

/// Without a SQLSTATE: the server is gone rather than displeased.
fn lost_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<tokio_postgres::Error>().is_some_and(|error| error.code().is_none())
}

async fn transaction(client: &mut Client, worker: i32, told: &Mutex<Told>) -> Outcome<()> {
    let (batch, size, removed) = {
        let mut told = told.lock().expect("no writer panicked");
        told.next += 1;
        let batch = told.next;
        let removed = told.batches.keys().next().copied().filter(|_| batch % 5 == 0);
        let doubt = (batch, 1 + (batch % 7) as i32, removed);
        told.in_doubt = Some(doubt);
        doubt
    };
    let transaction = client.transaction().await?;
    for row in 0..size {
        let id = (batch * 10 + i64::from(row)) * i64::from(WRITERS_MAX) + i64::from(worker);
        let vector = format!("[{worker},{batch},{row},1]");
        transaction
            .execute(
                "INSERT INTO batches VALUES ($1, $2, $3, $4, $5::text::vector)",
                &[&id, &worker, &batch, &size, &vector],
            )
            .await?;
    }
    let mut rows = i64::from(size);
    let mut batches = 1i64;
    if let Some(removed) = removed {
        let count = transaction
            .execute("DELETE FROM batches WHERE worker = $1 AND batch = $2", &[&worker, &removed])
            .await?;
        rows -= count as i64;
        batches -= 1;
    }
    let update = "UPDATE totals SET batches = batches + $2, row_count = row_count + $3 WHERE worker = $1";
    transaction.execute(update, &[&worker, &batches, &rows]).await?;
    transaction.commit().await?;
    settle(&mut told.lock().expect("no writer panicked"));
    Ok(())
}

/// What was in doubt has happened.
fn settle(told: &mut Told) {
    if let Some((batch, size, removed)) = told.in_doubt.take() {
        told.batches.insert(batch, size);
        if let Some(removed) = removed {
            told.batches.remove(&removed);
        }
    }
}

/// Compares what is there with what was told, and settles what was in doubt.
async fn verify(client: &Client, worker: i32, told: &mut Told) -> Outcome<()> {
    let query =
        "SELECT batch, size, count(*) FROM batches WHERE worker = $1 GROUP BY batch, size ORDER BY batch";
    let mut found = BTreeMap::new();
    for row in client.query(query, &[&worker]).await? {
        let (batch, size, count): (i64, i32, i64) = (row.get(0), row.get(1), row.get(2));
        if i64::from(size) != count {
            return Err(format!("worker {worker}: {count} of {size} rows of batch {batch}").into());
        }
        found.insert(batch, size);
    }
    if let Some((batch, ..)) = told.in_doubt {
        match found.contains_key(&batch) {
            true => settle(told),
            false => told.in_doubt = None,
        }
    }
    if found != told.batches {
        let lost: Vec<_> = told.batches.iter().filter(|batch| found.get(batch.0) != Some(batch.1)).collect();
        let extra: Vec<_> = found.keys().filter(|batch| !told.batches.contains_key(batch)).collect();
        return Err(format!("worker {worker}: lost {lost:?}, not expected {extra:?}").into());
    }
    let totals =
        client.query_one("SELECT batches, row_count FROM totals WHERE worker = $1", &[&worker]).await?;
    let (batches, rows): (i64, i64) = (totals.get(0), totals.get(1));
    let expected = (found.len() as i64, found.values().map(|size| i64::from(*size)).sum::<i64>());
    if (batches, rows) != expected {
        return Err(format!("worker {worker}: totals {batches}, {rows}; expected {expected:?}").into());
    }
    let Some(newest) = found.keys().next_back() else { return Ok(()) };
    let vector = format!("[{worker},{newest},0,1]");
    let nearest = client
        .query_one("SELECT batch, embedding <-> $1::text::vector FROM batches ORDER BY 2 LIMIT 1", &[&vector])
        .await?;
    let (batch, distance): (i64, f64) = (nearest.get(0), nearest.get(1));
    if (batch, distance) != (*newest, 0.0) {
        return Err(format!("worker {worker}: nearest to {vector} is batch {batch} at {distance}").into());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_load_answers_at_once() {
    let _turn = TURN.lock().await;
    let rows = number("HITHER_KILL_LOAD", 6_000).next_multiple_of(BATCH);
    let seconds = number("HITHER_KILL_SECONDS", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let client = server.connect().await.expect("a connection");
    let table = format!(
        "CREATE EXTENSION vector; CREATE TABLE t (id bigint PRIMARY KEY, v vector({DIMENSIONS}));
         CREATE INDEX ON t USING hnsw (v vector_l2_ops)"
    );
    client.batch_execute(&table).await.expect("a table");
    let start = Instant::now();
    for first in (0..rows).step_by(BATCH as usize) {
        copy(&client, first, 0).await.expect("a batch");
    }
    let loaded = start.elapsed();
    server.kill();

    let start = Instant::now();
    let server = Server::start(&data, &[]);
    let client = server.connect().await.expect("a connection after the kill");
    assert_eq!(nearest(&client, rows - 1).await.expect("an answer"), Some(rows as i64 - 1));
    let first = start.elapsed();
    let count: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
    assert_eq!(count, rows as i64);

    let (mut times, mut missed) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let row = mix(times.len() as u64) % rows;
        let start = Instant::now();
        let found = nearest(&client, row).await.expect("an answer");
        times.push(start.elapsed());
        missed += usize::from(found != Some(row as i64));
    }
    // Rows in the graph are found by a walk, which may miss one.
    assert!(missed * 50 <= times.len(), "{missed} of {} rows are not found", times.len());
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{rows} rows in {loaded:.1?}, killed; first answer {first:.0?} after the start; {} searches in {seconds} s: \
         {:.1?} (median), {:.1?} (99 %), {:.1?} (slowest), {missed} missed",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
