//! What the LSM tree costs: writes into the memtable, flushes, warm and cold reads of rows by key, scans,
//! compaction.
//!
//! `cargo bench --no-default-features --bench storage -- [rows]`
//!
//! Rows look like a table's: key = one byte and a slot, value = a row of some 150 bytes of text. Each read's
//! answer is checked. Times are wall clock, medians of rounds where one round is short.

#[path = "common/mod.rs"]
mod common;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{micros, random};
use hither::fs::DiskFs;
use hither::log::{Position, Seq, StorageId};
use hither::storage::{Checkpoint, Options, Store, Tree};

const TREE: StorageId = StorageId(1);
const LATEST: Seq = Seq(u64::MAX);
const BATCH: u32 = 100;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let rows: u32 = numbers.next_back().unwrap_or(500_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fs = Arc::new(DiskFs);
    let store = Store::open(fs.clone(), folder.path(), Options::default()).expect("a new store");
    let tree = store.create_tree(TREE);

    write(&store, &tree, rows);
    gets("memtable", &tree, rows.min(50_000));
    tables(&store, &tree, rows);
    gets("tables, warm", &tree, rows);
    scans(&tree, rows);
    updates(&store, &tree, rows);
    compaction(&store, &tree, rows);
    gets("compacted, warm", &tree, rows);
    drop((tree, store));
    reopen(fs, folder.path(), rows);
}

fn key(slot: u32) -> [u8; 5] {
    let mut key = [1; 5];
    key[1..].copy_from_slice(&slot.to_be_bytes());
    key
}

fn row(slot: u32) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "river", "engine", "quiet", "window", "paper", "seven", "mountain", "green", "question", "letter",
        "market", "silver", "people", "winter", "answer", "garden",
    ];
    let mut state = u64::from(slot);
    let words = (0..20).map(|_| WORDS[random(&mut state) as usize % 16]);
    let text = words.collect::<Vec<_>>().join(" ");
    format!("{slot:08}{text}").into_bytes()
}

fn report(what: &str, took: Duration, count: u64, unit: &str) {
    let each = took.as_nanos() as f64 / count as f64 / 1000.0;
    println!("{what:<44}{each:>10.3} us per {unit} ({:.0}/s)", 1e6 / each);
}

/// Batches of [`BATCH`] rows into the memtable, without flushes in between.
fn write(store: &Store, tree: &Tree, rows: u32) {
    let entries: Vec<_> = (0..rows).map(|slot| (key(slot), row(slot))).collect();
    let fits = entries.len().min(50_000);
    let start = Instant::now();
    for (batch, entries) in entries[..fits].chunks(BATCH as usize).enumerate() {
        let puts = entries.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        tree.write(Seq(batch as u64 + 1), puts).expect("a write");
    }
    report("write, memtable, ascending keys", start.elapsed(), fits as u64, "row");

    let scattered = store.create_tree(StorageId(2));
    let mut state = 1;
    let order: Vec<_> = (0..fits).map(|_| random(&mut state) as usize % fits).collect();
    let start = Instant::now();
    for (batch, order) in order.chunks(BATCH as usize).enumerate() {
        let puts = order.iter().map(|at| (&entries[*at].0[..], Some(&entries[*at].1[..])));
        scattered.write(Seq(batch as u64 + 1), puts).expect("a write");
    }
    report("write, memtable, random keys", start.elapsed(), fits as u64, "row");
    store.drop_tree(StorageId(2));
}

/// The rest of the rows with flushes beside, then a checkpoint.
fn tables(store: &Store, tree: &Arc<Tree>, rows: u32) {
    let start = Instant::now();
    let (mut bytes, mut longest) = (0, Duration::ZERO);
    store.start_background().expect("threads");
    for first in (50_000.min(rows)..rows).step_by(BATCH as usize) {
        let entries: Vec<_> = (first..rows.min(first + BATCH)).map(|slot| (key(slot), row(slot))).collect();
        let puts = entries.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        bytes += entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let batch = Instant::now();
        let write = [(tree.clone(), BATCH as usize * 200)];
        let admitted = store.admit(&write, &mut || Ok(())).expect("room in memory");
        tree.write(Seq(u64::from(first / BATCH) + 1), puts).expect("a write");
        drop(admitted);
        longest = longest.max(batch.elapsed());
    }
    let checkpoint = Checkpoint { position: Position(u64::from(rows)), extras: Vec::new() };
    store.checkpoint(checkpoint).expect("a checkpoint");
    store.stop_background();
    report("write with flushes, then checkpoint", start.elapsed(), u64::from(rows), "row");
    println!("longest write of {BATCH} rows: {:.1} ms", micros(longest) / 1000.0);
    while store.step().expect("a step") {}
    let stats = store.stats();
    println!(
        "{} tables, {:.1} MB on disk for {:.1} MB, {:.1} MB of indexes and filters",
        stats.table_count,
        stats.table_bytes as f64 / 1e6,
        bytes as f64 / 1e6,
        stats.table_memory_bytes as f64 / 1e6
    );
}

/// Ten random rows, as a nearest-neighbour query fetches them.
fn gets(what: &str, tree: &Tree, rows: u32) {
    let mut state = 7;
    let mut rounds = Vec::new();
    for round in 0..20_000 {
        let slots: Vec<u32> = (0..10).map(|_| random(&mut state) as u32 % rows).collect();
        let keys: Vec<_> = slots.iter().map(|slot| key(*slot)).collect();
        let start = Instant::now();
        let found: Vec<_> = keys.iter().map(|key| tree.get(key, LATEST).expect("a read")).collect();
        let took = start.elapsed();
        // The first half warms the cache.
        if round >= 10_000 {
            rounds.push(took);
        }
        for (slot, value) in slots.iter().zip(found) {
            assert_eq!(value.expect("the row")[..8], row(*slot)[..8]);
        }
    }
    rounds.sort();
    let (median, p99) = (rounds[rounds.len() / 2], rounds[rounds.len() * 99 / 100]);
    println!("get 10 random rows, {what:<24}{:>10.3} us median, {:.3} us p99", micros(median), micros(p99));
}

fn scans(tree: &Tree, rows: u32) {
    for (round, what) in ["scan", "scan again"].iter().enumerate() {
        let start = Instant::now();
        let count = tree.scan(Bound::Unbounded, Bound::Unbounded, LATEST).filter(Result::is_ok).count();
        assert_eq!(count as u32, rows, "round {round}");
        report(what, start.elapsed(), u64::from(rows), "row");
    }
}

/// A fifth of all rows again, at random, so that levels overlap.
fn updates(store: &Store, tree: &Tree, rows: u32) {
    let mut state = 3;
    let first = u64::from(rows);
    for batch in 0..u64::from(rows / 5 / BATCH) {
        let slots: Vec<u32> = (0..BATCH).map(|_| random(&mut state) as u32 % rows).collect();
        let entries: Vec<_> = slots.iter().map(|slot| (key(*slot), row(*slot))).collect();
        tree.write(Seq(first + batch), entries.iter().map(|(key, value)| (&key[..], Some(&value[..]))))
            .expect("a write");
    }
    store.checkpoint(Checkpoint { position: Position(2 * first), extras: Vec::new() }).expect("a checkpoint");
    store.set_horizon(Seq(2 * first));
    gets("a fifth overwritten", tree, rows);
}

fn compaction(store: &Store, tree: &Tree, rows: u32) {
    let start = Instant::now();
    store.compact(TREE).expect("a compaction");
    report("compact all", start.elapsed(), u64::from(rows + rows / 5), "entry");
    println!("{:.1} MB on disk", tree.bytes_on_disk() as f64 / 1e6);
}

fn reopen(fs: Arc<DiskFs>, folder: &Path, rows: u32) {
    let start = Instant::now();
    let store = Store::open(fs, folder, Options::default()).expect("the store");
    println!("open: {:.1} ms", micros(start.elapsed()) / 1000.0);
    let tree = store.tree(TREE).expect("the tree");
    let mut state = 11;
    let start = Instant::now();
    let mut slots: Vec<u32> = (0..1000).map(|_| random(&mut state) as u32 % rows).collect();
    for slot in &slots {
        assert!(tree.get(&key(*slot), LATEST).expect("a read").is_some());
    }
    report("get of a row, block not in the cache", start.elapsed(), slots.len() as u64, "row");
    let absent = Instant::now();
    for slot in &mut slots {
        *slot += rows;
        let mut key = key(*slot % rows).to_vec();
        key.push(0);
        assert!(tree.get(&key, LATEST).expect("a read").is_none());
    }
    report("get of an absent key", absent.elapsed(), slots.len() as u64, "key");
}
