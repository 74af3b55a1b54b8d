//! What a transaction costs without SQL: single-row commits against the disk's own fdatasync, bulk inserts, snapshots,
//! and opening what was written.
//!
//! `cargo bench --no-default-features --bench transactions -- [folder]`
//!
//! The folder (a temporary one by default) decides which disk is measured. Each part checks what it wrote before it
//! reports a time.

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{done, median, micros};
use hither::catalog::{Column, Constraint, ConstraintKind, HnswOptions, Index, IndexMethod, IndexMetric};
use hither::catalog::{Oid, Table};
use hither::database::{Database, Isolation, OnConflict, Options};
use hither::fs::{DiskFs, Fs, OpenMode};
use hither::types::{Type, Value};

const DIMENSIONS: usize = 384;
const SINGLE: usize = 2_000;
const SMALL_ROWS: usize = 300_000;
const VECTOR_ROWS: usize = 50_000;
/// Rows the shell hands over at a time.
const BATCH: usize = 4096;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir =
        std::env::args().skip(1).find(|a| !a.starts_with('-')).map_or(folder.path().into(), PathBuf::from);
    let dir = dir.join("database");
    let sync = fdatasync_time(&dir.with_extension("probe"));
    println!("fdatasync of 2 KB, preallocated: {:.0} us", micros(sync));

    let database = Database::open(Arc::new(DiskFs), &dir, Options::default()).expect("a new directory");
    let small = create(&database, "small", 3);
    let wide = create(&database, "wide", DIMENSIONS);
    let singles = create(&database, "singles", DIMENSIONS);
    hnsw(&database, singles);

    bulk(&database, small, "small rows", 3, SMALL_ROWS);
    bulk(&database, wide, "384 dimensions", DIMENSIONS, VECTOR_ROWS);
    single(&database, singles, sync);
    snapshots(&database, wide);
    let start = Instant::now();
    database.checkpoint().expect("a checkpoint");
    println!("checkpoint: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    database.close().expect("an orderly close");
    drop(database);
    reopen(&dir, small, wide);
}

fn fdatasync_time(path: &Path) -> Duration {
    let file = DiskFs.open(path, OpenMode::Create).expect("a probe file");
    file.write_all_at(&[0; 4 << 20], 0).expect("room");
    file.sync_data().expect("a sync");
    median((0..500).map(|i| {
        let start = Instant::now();
        file.write_all_at(&[1; 2048], 4096 * i).expect("a write");
        file.sync_data().expect("a sync");
        start.elapsed()
    }))
}

fn create(database: &Arc<Database>, name: &str, dimensions: usize) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let oid = txn.new_oid();
    let column = |number, name: &str, ty| Column { not_null: true, ..Column::new(number, name, ty) };
    let key = ConstraintKind::PrimaryKey { columns: vec![1] };
    let table = Table {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns: vec![
            column(1, "id", Type::Int8),
            column(2, "category", Type::Int4),
            column(3, "embedding", Type::Vector(Some(dimensions as u16))),
        ],
        constraints: vec![Constraint::new(txn.new_oid(), format!("{name}_pkey"), key)],
        ..Table::default()
    };
    done(txn.create_table(table, Vec::new()));
    txn.commit().expect("a commit");
    oid
}

fn hnsw(database: &Arc<Database>, table: Oid) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let index = Index {
        oid: txn.new_oid(),
        name: "singles_idx".into(),
        table,
        method: IndexMethod::Hnsw,
        columns: vec![3],
        hnsw: Some(HnswOptions {
            metric: IndexMetric::Cosine,
            m: 16,
            ef_construction: 64,
            quantization: None,
        }),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().expect("a commit");
}

fn row(id: usize, dimensions: usize) -> Vec<Value> {
    let mut word = id as u64;
    let mut next = || {
        word = word.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (word >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let vector = (0..dimensions).map(|_| next()).collect();
    vec![Value::Int8(id as i64), Value::Int4((id % 100) as i32), Value::Vector(vector)]
}

fn bulk(database: &Arc<Database>, table: Oid, what: &str, dimensions: usize, rows: usize) {
    let batches: Vec<Vec<Vec<Value>>> = (0..rows)
        .step_by(BATCH)
        .map(|first| (first..rows.min(first + BATCH)).map(|id| row(id, dimensions)).collect())
        .collect();
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut txn = database.begin(Isolation::ReadCommitted);
    for batch in batches {
        done(txn.insert(table, &batch, OnConflict::Error));
    }
    let inserted = start.elapsed();
    txn.commit().expect("a commit");
    let committed = start.elapsed();
    assert_eq!(count(database, table), rows as u64);
    println!(
        "{what}: {rows} rows inserted in {:.0} ms, committed after {:.0} ms: {:.0} rows/s, {:.2} s of CPU",
        inserted.as_secs_f64() * 1e3,
        committed.as_secs_f64() * 1e3,
        rows as f64 / committed.as_secs_f64(),
        (cpu_time() - cpu).as_secs_f64()
    );
}

fn single(database: &Arc<Database>, table: Oid, sync: Duration) {
    let rows: Vec<_> = (0..SINGLE).map(|id| row(id, DIMENSIONS)).collect();
    let cpu = cpu_time();
    let mut times = rows.into_iter().map(|row| {
        let start = Instant::now();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        done(txn.insert(table, &[row], OnConflict::Error));
        txn.commit().expect("a commit");
        start.elapsed()
    });
    let time = median(&mut times);
    drop(times);
    assert_eq!(count(database, table), SINGLE as u64);
    println!(
        "single-row commit with an HNSW index: {:.0} us, {:.2} of the disk's rate, {:.0} us of CPU with indexing",
        micros(time),
        sync.as_secs_f64() / time.as_secs_f64(),
        micros(cpu_time() - cpu) / SINGLE as f64
    );
    let start = Instant::now();
    std::thread::scope(|scope| {
        for writer in 1..=8 {
            scope.spawn(move || {
                for id in 0..SINGLE / 4 {
                    let mut txn = database.begin(Isolation::ReadCommitted);
                    txn.start_statement();
                    done(txn.insert(table, &[row(writer * 1_000_000 + id, DIMENSIONS)], OnConflict::Error));
                    txn.commit().expect("a commit");
                }
            });
        }
    });
    let rate = (2 * SINGLE) as f64 / start.elapsed().as_secs_f64();
    println!("8 writers: {rate:.0} commits/s, {:.1} times one", rate * time.as_secs_f64());
    assert_eq!(count(database, table), 3 * SINGLE as u64);
}

fn snapshots(database: &Arc<Database>, table: Oid) {
    const COUNT: u32 = 100_000;
    let start = Instant::now();
    for _ in 0..COUNT {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        assert!(txn.snapshot(table).expect("a table").dirty().is_empty());
    }
    println!("transaction with a snapshot: {:.2} us", micros(start.elapsed() / COUNT));
}

fn reopen(dir: &Path, small: Oid, wide: Oid) {
    let start = Instant::now();
    let database = Database::open(Arc::new(DiskFs), dir, Options::default()).expect("a closed directory");
    println!("open: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    assert_eq!(count(&database, small), SMALL_ROWS as u64);
    assert_eq!(count(&database, wide), VECTOR_ROWS as u64);
}

/// Of this process, its background threads included; in hundredths of a second, as Linux counts.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

fn count(database: &Arc<Database>, table: Oid) -> u64 {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    txn.snapshot(table).and_then(|snapshot| snapshot.row_count()).expect("a count")
}
