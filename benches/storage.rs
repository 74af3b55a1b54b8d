//! What the LSM tree costs: writes into the memtable, flushes, warm and cold reads of rows by key, scans,
//! compaction.
//!
//! `cargo bench --no-default-features --bench storage -- [rows]`
//!
//! Entries look like a table's: key = one byte and a slot, value = some 150 bytes of text. Each read's answer is checked.
//! Times are wall clock, medians of rounds where one round is short.
//!
//! Then rows of a table of eight columns, in a tree whose blocks are of entries, as all were up to format 3, and in one whose
//! blocks are of columns, in turns: load, bytes on disk, scans of 1, 2 and all columns, ten random rows, compaction.

#[path = "common/mod.rs"]
mod common;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{median, micros, random};
use hither::fs::DiskFs;
use hither::log::{Position, Seq, StorageId};
use hither::storage::{Cells, Checkpoint, Options, Rows, Slice, Store, Tree};
use hither::table::{Layout, RowReader};
use hither::types::{Type, Value};

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
    let bytes = store.stats().table_memory_bytes;
    println!("{:.1} MB of indexes and filters in the cache", bytes as f64 / 1e6);
    scans(&tree, rows);
    updates(&store, &tree, rows);
    compaction(&store, &tree, rows);
    gets("compacted, warm", &tree, rows);
    drop((tree, store));
    reopen(fs.clone(), folder.path(), rows);
    columns(fs, rows);
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
        "{} tables, {:.1} MB on disk for {:.1} MB",
        stats.table_count,
        stats.table_bytes as f64 / 1e6,
        bytes as f64 / 1e6
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

/// Rows between two looks of a scan at whether it goes on, as statements have them.
const SCANNED_AT_ONCE: usize = 2_048;

fn layout() -> Layout {
    Layout::new(&[
        Type::Int8,
        Type::Int4,
        Type::Float8,
        Type::Bool,
        Type::Timestamptz(None),
        Type::Text,
        Type::Text,
        Type::Numeric(Some((10, 2))),
    ])
}

/// A row of the table: a serial number, an account, a price, a flag, a time, a short text that may be NULL, a longer one, an
/// amount.
fn table_row(layout: &Layout, slot: u32) -> Vec<u8> {
    let mut state = u64::from(slot) + 1;
    let mut next = |below: u64| random(&mut state) % below;
    let text = String::from_utf8(row(slot)).expect("words");
    let length = 20 + next(60) as usize;
    let values = [
        Value::Int8(slot.into()),
        Value::Int4(next(50_000) as i32),
        Value::Float8(next(1 << 40) as f64 / 1e3),
        Value::Bool(next(2) == 0),
        Value::Timestamptz(1_700_000_000_000_000 + i64::from(slot) * 1_000_000 + next(1_000_000) as i64),
        if next(20) == 0 { Value::Null } else { Value::Text(format!("name {}", next(100_000))) },
        Value::Text(text[8..8 + length].to_owned()),
        Value::Numeric(hither::types::Numeric::new(next(1_000_000).into(), 2)),
    ];
    let mut bytes = Vec::new();
    layout.encode(&values, &mut bytes).expect("a row");
    bytes
}

/// A tree of rows, with blocks of columns or of entries.
struct Side {
    name: &'static str,
    is_columns: bool,
    tree: Arc<Tree>,
}

fn columns(fs: Arc<DiskFs>, rows: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(fs, folder.path(), Options::default()).expect("a new store");
    let layout = layout();
    let sides = [("entries", false), ("columns", true)].map(|(name, is_columns)| {
        let tree = store.create_tree(StorageId(10 + u64::from(is_columns)));
        if is_columns {
            tree.set_shape(layout.shape());
        }
        Side { name, is_columns, tree }
    });
    println!("\n{rows} rows of 8 columns, in blocks of entries and of columns");
    let all: Vec<_> = (0..rows).map(|slot| (key(slot), table_row(&layout, slot))).collect();
    for side in &sides {
        load_rows(&store, side, &all);
    }
    let (number, two, every) = ([0].as_slice(), [1, 5].as_slice(), [0, 1, 2, 3, 4, 5, 6, 7].as_slice());
    let scans = |what: &str| {
        same_rows(&sides, &layout);
        for wanted in [number, two, every] {
            let mut sums = Vec::new();
            let mut times: [Vec<Duration>; 2] = Default::default();
            for _ in 0..5 {
                for (side, times) in sides.iter().zip(&mut times) {
                    let start = Instant::now();
                    sums.push(if side.is_columns {
                        by_column(side, &layout, wanted)
                    } else {
                        by_row(side, &layout, wanted)
                    });
                    times.push(start.elapsed());
                }
            }
            assert!(sums.iter().all(|sum| *sum == sums[0]), "both sides read as many bytes: {sums:?}");
            for (side, times) in sides.iter().zip(times) {
                let took = median(times.into_iter());
                let rate = f64::from(rows) / took.as_secs_f64() / 1e6;
                println!(
                    "scan of {} of 8 columns, {what}, {:<32}{rate:>10.1} million rows/s",
                    wanted.len(),
                    side.name
                );
            }
        }
    };
    scans("clean");
    let start = Instant::now();
    by_row(&sides[1], &layout, number);
    report("scan of 1 of 8 columns, row by row of columns", start.elapsed(), u64::from(rows), "row");
    ten_rows(&sides, &layout, rows, two);
    for (round, side) in sides.iter().enumerate() {
        overwrite(&store, side, &all, round as u64);
    }
    scans("a fifth overwritten");
    for side in &sides {
        let start = Instant::now();
        store.compact(side.tree.id()).expect("a compaction");
        report(&format!("compact all, {}", side.name), start.elapsed(), u64::from(rows + rows / 5), "entry");
    }
    scans("compacted");
    for side in &sides {
        println!("{:.1} MB on disk, {}", side.tree.bytes_on_disk() as f64 / 1e6, side.name);
    }
}

fn load_rows(store: &Store, side: &Side, all: &[([u8; 5], Vec<u8>)]) {
    let start = Instant::now();
    store.start_background().expect("threads");
    for (batch, entries) in all.chunks(BATCH as usize).enumerate() {
        let admitted =
            store.admit(&[(side.tree.clone(), BATCH as usize * 200)], &mut || Ok(())).expect("room");
        let puts = entries.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        side.tree.write(Seq(batch as u64 + 1), puts).expect("a write");
        drop(admitted);
    }
    store
        .checkpoint(Checkpoint { position: Position(all.len() as u64), extras: Vec::new() })
        .expect("a checkpoint");
    store.stop_background();
    report(&format!("load, then checkpoint, {}", side.name), start.elapsed(), all.len() as u64, "row");
    while store.step().expect("a step") {}
    println!("{:.1} MB on disk, {}", side.tree.bytes_on_disk() as f64 / 1e6, side.name);
}

fn overwrite(store: &Store, side: &Side, all: &[([u8; 5], Vec<u8>)], round: u64) {
    let mut state = 3;
    let first = all.len() as u64;
    for batch in 0..first / 5 / u64::from(BATCH) {
        let entries: Vec<_> = (0..BATCH).map(|_| &all[random(&mut state) as usize % all.len()]).collect();
        let puts = entries.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        side.tree.write(Seq(first + batch), puts).expect("a write");
    }
    let position = Position((2 + round) * first);
    store.checkpoint(Checkpoint { position, extras: Vec::new() }).expect("a checkpoint");
    store.set_horizon(Seq(2 * first));
}

/// What stands for the cells of a scan: the sum of the bytes of all of them, each as a number or a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, value: u64) {
        self.0 = self.0.wrapping_add(value);
    }
}

/// Both sides have the same cells.
fn same_rows(sides: &[Side; 2], layout: &Layout) {
    let mut rows = sides[0].tree.scan(Bound::Included(&[1]), Bound::Excluded(&[2]), LATEST);
    let mut scan = sides[1].tree.rows(1, LATEST, None).expect("a scan");
    loop {
        let gathered = scan.next(SCANNED_AT_ONCE).expect("rows");
        let as_many = gathered.len().max(1);
        let expected: Vec<Slice> = rows.by_ref().take(as_many).map(|row| row.expect("a row").2).collect();
        assert_eq!(gathered.len(), expected.len());
        if expected.is_empty() {
            return;
        }
        for column in 0..layout.columns() {
            let mut expected = expected.iter().map(|row| layout.read(row).expect("a row"));
            let cells = layout.gather(&gathered, column).expect("cells");
            let same = cells.each(|cell| {
                let expected = expected.next().expect("a row for each");
                assert_eq!(cell, expected.raw(column).expect("a cell"), "column {column}");
                Ok(())
            });
            same.expect("cells");
        }
    }
}

/// Row by row, cell by cell into columns, as scans were before there were blocks of columns.
fn by_row(side: &Side, layout: &Layout, wanted: &[usize]) -> Sum {
    let mut scan = side.tree.scan(Bound::Included(&[1]), Bound::Excluded(&[2]), LATEST);
    let mut sum = Sum(0);
    loop {
        let rows: Vec<Slice> = scan.by_ref().take(SCANNED_AT_ONCE).map(|row| row.expect("a row").2).collect();
        if rows.is_empty() {
            return sum;
        }
        let readers: Vec<RowReader> = rows.iter().map(|row| layout.read(row).expect("a row")).collect();
        for column in wanted {
            let cells = match layout.column_type(*column) {
                Type::Int8 | Type::Float8 | Type::Timestamptz(_) => {
                    let cell = |reader: &RowReader| {
                        let cell = reader.raw(*column).expect("a cell");
                        cell.map_or(0, |cell| i64::from_le_bytes(cell.try_into().expect("eight bytes")))
                    };
                    Cells::I64(readers.iter().map(cell).collect())
                }
                Type::Int4 => {
                    let cell = |reader: &RowReader| {
                        let cell = reader.raw(*column).expect("a cell");
                        cell.map_or(0, |cell| i32::from_le_bytes(cell.try_into().expect("four bytes")))
                    };
                    Cells::I32(readers.iter().map(cell).collect())
                }
                Type::Bool => {
                    let cell =
                        |reader: &RowReader| reader.raw(*column).expect("a cell").map_or(0, |cell| cell[0]);
                    Cells::Fixed { width: 1, bytes: readers.iter().map(cell).collect() }
                }
                _ => {
                    let (mut ends, mut bytes) = (vec![0], Vec::new());
                    for reader in &readers {
                        bytes.extend_from_slice(reader.raw(*column).expect("a cell").unwrap_or_default());
                        ends.push(bytes.len() as i32);
                    }
                    Cells::Var { ends, bytes }
                }
            };
            add_cells(&cells, &mut sum);
        }
    }
}

/// Block by block, as they lie.
fn by_column(side: &Side, layout: &Layout, wanted: &[usize]) -> Sum {
    let mut scan = side.tree.rows(1, LATEST, None).expect("a scan");
    let mut sum = Sum(0);
    loop {
        let rows = scan.next(SCANNED_AT_ONCE).expect("rows");
        if rows.is_empty() {
            return sum;
        }
        for column in wanted {
            add_cells(&layout.gather(&rows, *column).expect("cells").cells, &mut sum);
        }
    }
}

/// A look at the first cell only, and at how many bytes there are: what is measured is how they come here.
fn add_cells(cells: &Cells, sum: &mut Sum) {
    match cells {
        Cells::I64(cells) => sum.add(cells.first().map_or(0, |cell| *cell as u64) + 8 * cells.len() as u64),
        Cells::I32(cells) => sum.add(cells.first().map_or(0, |cell| *cell as u64) + 4 * cells.len() as u64),
        Cells::Fixed { bytes, .. } => sum.add(bytes.len() as u64),
        Cells::Var { ends, bytes } => sum.add(bytes.len() as u64 + ends.len() as u64),
        Cells::I16(_) | Cells::Outside => unreachable!("no such column"),
    }
}

/// Ten random rows with blocks in the cache: as they were written, and two of their columns.
fn ten_rows(sides: &[Side; 2], layout: &Layout, rows: u32, wanted: &[usize]) {
    let mut state = 7;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..20_000 {
        let slots: Vec<u32> = (0..10).map(|_| random(&mut state) as u32 % rows).collect();
        let keys: Vec<_> = slots.iter().map(|slot| key(*slot)).collect();
        for (at, side) in sides.iter().enumerate() {
            let start = Instant::now();
            let found: Vec<_> = keys.iter().map(|key| side.tree.get(key, LATEST).expect("a read")).collect();
            let whole = start.elapsed();
            for (slot, row) in slots.iter().zip(found) {
                let row = row.expect("the row");
                assert_eq!(
                    layout.read(&row).expect("a row").value(0).expect("a cell"),
                    Value::Int8((*slot).into())
                );
            }
            let start = Instant::now();
            let mut found = Rows::default();
            for (slot, key) in slots.iter().zip(&keys) {
                found.push(*slot, side.tree.find(key, LATEST).expect("a read").expect("the row"));
            }
            for column in wanted {
                assert_eq!(layout.gather(&found, *column).expect("cells").len(), 10);
            }
            let two = start.elapsed();
            // The first half warms the cache.
            if round >= 10_000 {
                times[at].push(whole);
                times[2 + at].push(two);
            }
        }
    }
    for (at, times) in times.iter_mut().enumerate() {
        times.sort_unstable();
        let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let what = if at < 2 { "whole" } else { "two columns" };
        println!(
            "10 random rows, {what}, {:<24}{:>10.3} us median, {:.3} us p99",
            sides[at % 2].name,
            micros(median),
            micros(p99)
        );
    }
}
