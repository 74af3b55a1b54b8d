//! Many connections: what each takes is given back when it ends, and as long as they stay memory does.
//!
//! A short form runs by itself. `HITHER_CROWD_SECONDS=300 cargo test --release --test memory crowd -- --nocapture` has 1,000
//! idle connections and 200 that search and change rows for five minutes, and 10,000 that come and go before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::anonymous;
use crate::served::{BATCH, DIMENSIONS, Outcome, Server, copy, mix, nearest, number};

const SECONDS_SHORT: u64 = 3;
/// Clients that connect at a time.
const AT_A_TIME: u64 = 20;
/// How long a closed connection may take to be gone: the server notices it when it reads next.
const PATIENCE: Duration = Duration::from_secs(30);
/// A session's thread has pages of 64 KB for each size of block that it uses, some 30 of them, which large pages of the system
/// make resident as a whole (`--memory` below 1 GB has none); and it has plans. PostgreSQL's processes have several MB too.
const SESSION_BYTES_MAX: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_comes_and_goes_and_leaves_nothing() {
    let seconds = number("HITHER_CROWD_SECONDS", SECONDS_SHORT);
    let is_full = seconds > SECONDS_SHORT;
    let (idle, active, visits) = if is_full { (1_000, 200, 10_000) } else { (100, 20, 400) };
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &["--connections-max", "1300"]);
    let client = server.connect().await.expect("a connection");
    let table = format!(
        "CREATE EXTENSION vector; CREATE TABLE t (id bigint PRIMARY KEY, v vector({DIMENSIONS}), note bytea); \
         CREATE INDEX ON t USING hnsw (v vector_l2_ops)"
    );
    client.batch_execute(&table).await.expect("a table");
    copy(&client, 0, 10).await.expect("rows");
    // Files that are opened once are open from here on.
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    nearest(&client, 1).await.expect("an answer");

    let (open, sockets) = (descriptors(&server, ""), descriptors(&server, "socket:"));
    let start = Instant::now();
    for first in (0..visits).step_by(AT_A_TIME as usize) {
        let visitors = (first..first + AT_A_TIME).map(|visitor| visit(&server, visitor));
        futures::future::try_join_all(visitors).await.expect("everybody is let in");
    }
    println!("{visits} visits in {:.1} s", start.elapsed().as_secs_f64());
    closes_all(&server, "", open).await;

    let alone = anonymous(server.id());
    let mut waiting = Vec::new();
    for _ in 0..idle {
        waiting.push(server.connect().await.expect("a connection"));
    }
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut working = Vec::new();
    for number in 0..active {
        let client = server.connect().await.expect("a connection");
        working.push(tokio::spawn(work(client, number, over.clone(), answers.clone())));
    }
    let mut samples = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        samples.push(anonymous(server.id()));
    }
    over.store(true, Relaxed);
    for worker in working {
        worker.await.expect("no panic").expect("every statement is answered");
    }
    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
    println!(
        "{idle} idle, {active} active, {seconds} s: {} answers, RssAnon {:.1} MB alone, {:.1} at most in the first half, \
         {:.1} in the second",
        answers.load(Relaxed),
        alone as f64 / 1e6,
        most(first) as f64 / 1e6,
        most(second) as f64 / 1e6
    );
    let grown = most(second).saturating_sub(alone);
    assert!(grown <= (idle + active) * SESSION_BYTES_MAX, "{grown} bytes for {} sessions", idle + active);
    // What sessions learn in their first seconds is learnt by the middle of five minutes, not of three seconds.
    assert!(!is_full || most(second) * 20 <= most(first) * 21, "memory grows: {first:?}, then {second:?}");
    for client in &waiting {
        assert!(!client.is_closed(), "an idle connection was closed");
    }
    drop(waiting);
    // Changes have made files, which may be open.
    closes_all(&server, "socket:", sockets).await;
}

/// Connects, asks, and leaves: by a word, without one, in the middle of a message, or before saying who it is.
async fn visit(server: &Server, visitor: u64) -> Outcome<()> {
    let address = server.address.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/'));
    let address = address.map(|(address, _)| address).unwrap_or_default();
    match visitor % 4 {
        0 => {
            let client = server.connect().await?;
            client.query_one("SELECT count(*) FROM t WHERE id < $1", &[&10i64]).await?;
        }
        1 => {
            let (client, connection) =
                tokio_postgres::connect(&server.address, tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(connection);
            client.batch_execute("BEGIN; SELECT 1").await?;
            // The socket goes with the task, in the middle of a transaction.
            driver.abort();
        }
        2 => {
            let mut socket = TcpStream::connect(address).await?;
            socket.write_all(&[0, 0, 1, 0, 0, 3]).await?;
        }
        _ => drop(TcpStream::connect(address).await?),
    }
    Ok(())
}

/// Searches, and changes a row now and then, until it is over.
async fn work(
    client: tokio_postgres::Client,
    number: u64,
    over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
) -> Outcome<()> {
    let update = client.prepare("UPDATE t SET note = $2 WHERE id = $1").await?;
    for turn in 0.. {
        if over.load(Relaxed) {
            break;
        }
        let row = mix(number << 32 | turn) % BATCH;
        match turn % 8 {
            7 => drop(client.execute(&update, &[&(row as i64), &vec![number as u8; 10]]).await?),
            _ => drop(nearest(&client, row).await?),
        }
        answers.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Waits until the server has no more descriptors of a kind than before.
async fn closes_all(server: &Server, kind: &str, before: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = descriptors(server, kind);
        if left <= before {
            return;
        }
        assert!(Instant::now() < deadline, "{left} descriptors {kind}, {before} before");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many descriptors a server has whose target begins so.
fn descriptors(server: &Server, kind: &str) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("the server runs");
    // One that is closed meanwhile has no target any more.
    let targets = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with(kind)).count()
}
