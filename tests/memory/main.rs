//! Data of many times the memory budget loads, gets its index, and is searched, scanned, sorted, grouped and changed as a
//! whole, while the server's anonymous memory (RssAnon in `/proc/PID/status`) stays at most a fifth above the budget.
//!
//! The least budget, 64 MB, and twice as much in 6,000 rows of a vector of 128 dimensions and a note as long as it takes;
//! `HITHER_MEMORY_ROWS=1000000 HITHER_MEMORY_TIMES=10 cargo test --release --test memory -- --nocapture` has ten times the
//! budget in a million rows, and tells how much each phase took. `crowd` has many connections instead of many rows.

#![cfg(all(feature = "server", target_os = "linux"))]

mod crowd;
#[path = "../kill/served.rs"]
mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use served::{BATCH, DIMENSIONS, Server, copy, mix, nearest, number};

const BUDGET: u64 = 64 << 20;
/// Budget and a fifth: what the program takes that no budget counts, and what the allocator has not given back yet.
const BOUND: u64 = BUDGET * 6 / 5;
const SEARCHES: u64 = 100;
/// Short beside what takes and gives back tens of megabytes.
const PERIOD: Duration = Duration::from_millis(20);

/// Watches a process's anonymous memory.
struct Watch {
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn of(process: u32) -> Watch {
        let (most, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (most.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Relaxed) {
                seen.fetch_max(anonymous(process), Relaxed);
                std::thread::sleep(PERIOD);
            }
        });
        Watch { most, is_over, thread: Some(thread) }
    }

    /// The most bytes since the last call.
    fn most(&self) -> u64 {
        self.most.swap(0, Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn anonymous(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 tells");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number of kB") << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_within_the_budget() {
    let rows = number("HITHER_MEMORY_ROWS", 6_000).next_multiple_of(BATCH);
    let note = (number("HITHER_MEMORY_TIMES", 2) * BUDGET / rows).saturating_sub(4 * DIMENSIONS as u64).max(1)
        as usize;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &["--memory", "64MB"]);
    let client = server.connect().await.expect("a connection");
    let table = format!(
        "CREATE EXTENSION vector; CREATE TABLE t (id bigint PRIMARY KEY, v vector({DIMENSIONS}), note bytea)"
    );
    client.batch_execute(&table).await.expect("a table");
    let watch = Watch::of(server.id());
    let mut over = Vec::new();
    let mut start = Instant::now();
    let mut phase = |name: &str| {
        let most = watch.most();
        println!("{name}: {:.1} s, {:.1} MB at most", start.elapsed().as_secs_f64(), most as f64 / 1e6);
        if most > BOUND {
            over.push(format!("{name}: {most} bytes"));
        }
        start = Instant::now();
    };
    for first in (0..rows).step_by(BATCH as usize) {
        copy(&client, first, note).await.expect("a batch");
    }
    phase("load");
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    phase("checkpoint");
    client.batch_execute("CREATE INDEX ON t USING hnsw (v vector_l2_ops)").await.expect("an index");
    phase("index");
    let mut missed = 0;
    for query in 0..SEARCHES {
        let row = mix(query) % rows;
        missed += u64::from(nearest(&client, row).await.expect("an answer") != Some(row as i64));
    }
    assert!(missed * 50 <= SEARCHES, "{missed} of {SEARCHES} rows are not their own nearest neighbour");
    phase("search");
    for sql in [
        "SELECT count(*) FROM t WHERE length(note) > 0",
        "SELECT count(*) FROM (SELECT md5(note) AS sum FROM t GROUP BY 1) q",
        "SELECT count(*) FROM (SELECT id, note FROM t ORDER BY note OFFSET 0) q WHERE q.note IS NOT NULL",
    ] {
        let count: i64 = client.query_one(sql, &[]).await.expect("an answer").get(0);
        assert_eq!(count, rows as i64, "{sql}");
        phase(sql);
    }
    for sql in [
        "UPDATE t SET note = note || '\\x00'",
        "UPDATE t SET v = v + v, id = id + 1 RETURNING id, note",
        // Nearly each row waits for a key that another has.
        "UPDATE t SET id = (SELECT max(id) + 1 FROM t) - id",
        "MERGE INTO t USING (SELECT id FROM t WHERE id % 3 > 0) AS s ON s.id = t.id \
         WHEN MATCHED AND t.id % 3 = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET note = note || '\\x01'",
        "DELETE FROM t WHERE id % 3 = 0 RETURNING *",
    ] {
        // Rows of RETURNING go by, they are not gathered.
        let rows = client.query_raw(sql, std::iter::empty::<&str>()).await.expect("an answer");
        rows.try_for_each(|_| futures::future::ok(())).await.expect("all rows");
        phase(sql);
    }
    client.batch_execute("VACUUM t").await.expect("a vacuum");
    phase("vacuum");
    drop(watch);
    assert!(over.is_empty(), "more than {BOUND} bytes: {over:?}");
}
