//! Metadata indexes beyond their share of memory: what they take, and what they answer how fast, in memory and from files.
//!
//! `cargo bench --no-default-features --bench metadata [-- ROWS]`
//!
//! First a column of each kind by itself, without bound and with a share of nothing: making it, the time of typical
//! predicates, each the best of several, where both have to find the same, and what a changed row takes. Then a database of
//! as many rows with these five columns under the least budget there is: loaded, opened again from what a checkpoint saved,
//! opened again from its rows, each with the bytes in memory and in files, and the anonymous memory of the process, which has
//! to stay within the budget and a fifth more.

#[path = "common/mod.rs"]
mod common;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::done;
use hither::catalog::{Column, Constraint, ConstraintKind, Oid, Table};
use hither::database::{Database, Isolation, OnConflict, Options};
use hither::fs::DiskFs;
use hither::index::bitmap::{ColumnIndex, ColumnValues, Predicate, Share};
use hither::memory::{BUDGET_MIN, Budget, Resident};
use hither::types::{Type, Value};

const ROWS: u64 = 5_000_000;
/// Rows of one transaction.
const BATCH: u64 = 20_000;
/// Values that are read slot by slot.
const VALUES: u64 = 1_000_000;
/// Rows that get another value, at random, while a reader holds what there was.
const CHANGES: u64 = 2_000;
/// A predicate's time is the best of so many.
const TURNS: usize = 7;

/// Where the rows' values lie: 64 texts, 3,000 integers, random integers of four bytes, ascending times, uuids.
fn types() -> [Type; 5] {
    [Type::Text, Type::Int4, Type::Int4, Type::Timestamptz(None), Type::Uuid]
}

fn mixed(id: u64) -> u64 {
    let mixed = (id ^ 0x5DEECE66D).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn value(column: usize, id: u64) -> Value {
    let mixed = mixed(id);
    match column {
        0 => Value::Text(format!("category {}", mixed >> 58)),
        1 => Value::Int4((mixed >> 20) as i32 % 1_500),
        2 => Value::Int4((mixed >> 16) as i32),
        3 => Value::Timestamptz(1_700_000_000_000_000 + 1_000_000 * id as i64 + (mixed >> 45) as i64),
        _ => Value::Uuid(((u128::from(mixed) << 64) | u128::from(mixed.rotate_left(17))).to_be_bytes()),
    }
}

/// What is asked of a column: one value, twenty, and a hundredth and a half of the rows.
fn predicates(column: usize, rows: u64) -> Vec<(&'static str, Predicate)> {
    let at = |n: u64| value(column, rows / 21 * n);
    let mut asked = vec![("=", Predicate::Eq(at(7))), ("IN of 20", Predicate::In((0..20).map(at).collect()))];
    let range = |part: f64| {
        let value = match column {
            0 => return None,
            1 => Value::Int4((3_000.0 * part) as i32 - 1_500),
            2 => Value::Int4(((u32::MAX as f64 * part) as i64 + i64::from(i32::MIN)) as i32),
            3 => Value::Timestamptz(1_700_000_000_000_000 + (1e6 * part * rows as f64) as i64),
            _ => Value::Uuid(((u128::MAX as f64 * part) as u128).to_be_bytes()),
        };
        Some(Predicate::Range { low: Bound::Unbounded, high: Bound::Excluded(value) })
    };
    asked.extend(range(0.01).map(|predicate| ("range of 1 %", predicate)));
    asked.extend(range(0.5).map(|predicate| ("range of 50 %", predicate)));
    asked
}

fn best(mut work: impl FnMut() -> u64) -> (f64, u64) {
    let timed = (0..TURNS).map(|_| {
        let start = Instant::now();
        let found = work();
        (start.elapsed().as_secs_f64() * 1e3, found)
    });
    timed.min_by(|a, b| a.0.total_cmp(&b.0)).expect("a turn")
}

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROWS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("{rows} rows");
    (0..types().len()).for_each(|column| one_column(column, rows, folder.path()));
    database(rows, &folder.path().join("database"));
}

fn one_column(column: usize, rows: u64, folder: &Path) {
    let ty = &types()[column];
    let values: Vec<Value> = (0..rows.min(1 << 20)).map(|id| value(column, id)).collect();
    let of = |id: u64| match values.get(id as usize) {
        Some(value) => value.clone(),
        None => value(column, id),
    };
    let make = |share: &Arc<Share>| {
        let mut index = ColumnIndex::for_type_in(ty, share).expect("an index");
        let start = Instant::now();
        for id in 0..rows {
            index.set(id as u32, &of(id));
            if id % 4096 == 0 {
                index.settle();
            }
        }
        index.settle();
        (index, start.elapsed().as_secs_f64())
    };
    let (held, spilling) = (Share::unbounded(), Share::new(Arc::new(DiskFs), folder.join("spill"), 0));
    let ((in_memory, held_s), (in_files, spilled_s)) = (make(&held), make(&spilling));
    println!(
        "column {}, {ty:?}: {:.1} MB in memory, {held_s:.2} s; {:.1} MB in files and {:.2} in memory, {spilled_s:.2} s",
        column + 1,
        held.held() as f64 / 1e6,
        spilling.spilled() as f64 / 1e6,
        in_files.bytes() as f64 / 1e6,
    );
    let (in_memory, in_files) = (Arc::new(in_memory), Arc::new(in_files));
    let read = |index: &Arc<ColumnIndex>| {
        let values = ColumnValues::of(index, ty).expect("values");
        best(|| {
            let values = (0..rows.min(VALUES)).map(|slot| values.value(slot as u32).expect("a value"));
            values.filter(|value| **value != Value::Null).count() as u64
        })
    };
    let ((held_ms, found), (spilled_ms, found_in_files)) = (read(&in_memory), read(&in_files));
    assert_eq!(found, found_in_files);
    println!("  {found} values, one by one: {held_ms:.1} ms in memory, {spilled_ms:.1} ms from files");
    for (name, predicate) in predicates(column, rows) {
        let time = |index: &ColumnIndex| best(|| index.select(&predicate).expect("an answer").len());
        let ((held_ms, found), (spilled_ms, found_in_files)) = (time(&in_memory), time(&in_files));
        assert_eq!(found, found_in_files, "{predicate:?}");
        println!("  {name}: {held_ms:.3} ms in memory, {spilled_ms:.3} ms from files, {found} rows");
    }
    let change = |index: &Arc<ColumnIndex>| {
        let mut index = ColumnIndex::clone(index);
        let start = Instant::now();
        for turn in 0..CHANGES {
            index.set((mixed(turn) % rows) as u32, &value(column, turn));
            index.settle();
        }
        start.elapsed().as_secs_f64() * 1e6 / CHANGES as f64
    };
    let (held_us, spilled_us) = (change(&in_memory), change(&in_files));
    println!("  a change: {held_us:.1} us in memory, {spilled_us:.1} us into files");
}

fn open(dir: &Path, bitmap_rows_min: u64) -> Arc<Database> {
    let budget = Budget::of(BUDGET_MIN).expect("enough");
    let options = Options { bitmap_rows_min, ..Options::within(budget) };
    Database::open(Arc::new(DiskFs), dir, options).expect("the directory")
}

/// What it holds, and how fast it answers.
fn show(what: &str, database: &Arc<Database>, table: Oid, rows: u64) -> Vec<u64> {
    let (usage, resident) = (database.memory(), Resident::now().expect("Linux tells").anonymous);
    println!(
        "{what}: metadata indexes {:.1} MB in memory (of {:.1}), {:.1} MB in files; process {:.1} MB",
        usage.metadata as f64 / 1e6,
        Budget::of(BUDGET_MIN).expect("enough").metadata() as f64 / 1e6,
        usage.metadata_spilled as f64 / 1e6,
        resident as f64 / 1e6,
    );
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).expect("the table");
    let mut all = Vec::new();
    for column in 0..types().len() {
        let mut times = Vec::new();
        for (name, predicate) in predicates(column, rows) {
            let (ms, found) =
                best(|| snapshot.select(column as u16 + 2, &predicate).expect("an answer").len());
            times.push(format!("{name} {ms:.3} ms"));
            all.push(found);
        }
        println!("  column {}: {}", column + 1, times.join(", "));
    }
    assert!(resident < BUDGET_MIN + BUDGET_MIN / 5, "{resident} bytes of anonymous memory");
    all
}

fn database(rows: u64, dir: &Path) {
    let database = open(dir, 8192);
    let table = create(&database);
    let start = Instant::now();
    let mut most = 0;
    for first in (0..rows).step_by(BATCH as usize) {
        let mut txn = database.begin(Isolation::ReadCommitted);
        for ids in (first..rows.min(first + BATCH)).collect::<Vec<_>>().chunks(4096) {
            let row = |id: &u64| {
                let columns = (0..types().len()).map(|column| value(column, *id));
                std::iter::once(Value::Int8(*id as i64)).chain(columns).collect()
            };
            done(txn.insert(table, &ids.iter().map(row).collect::<Vec<_>>(), OnConflict::Error));
        }
        txn.commit().expect("a commit");
        most = most.max(Resident::now().expect("Linux tells").anonymous);
    }
    println!(
        "load under a budget of {} MB: {:.1} s, at most {:.1} MB of anonymous memory",
        BUDGET_MIN >> 20,
        start.elapsed().as_secs_f64(),
        most as f64 / 1e6
    );
    assert!(most < BUDGET_MIN + BUDGET_MIN / 5, "{most} bytes of anonymous memory");
    let expected = show("loaded", &database, table, rows);
    database.close().expect("an orderly close");
    drop(database);
    for (what, bitmap_rows_min) in [("opened as saved", 8192), ("opened from the rows", u64::MAX)] {
        if bitmap_rows_min == u64::MAX {
            // A checkpoint without them.
            let database = open(dir, bitmap_rows_min);
            database.checkpoint().expect("a checkpoint");
            database.close().expect("an orderly close");
        }
        let start = Instant::now();
        let database = open(dir, bitmap_rows_min);
        println!("{what} in {:.2} s", start.elapsed().as_secs_f64());
        assert_eq!(show(what, &database, table, rows), expected);
        database.close().expect("an orderly close");
    }
}

fn create(database: &Arc<Database>) -> Oid {
    let columns = std::iter::once(Type::Int8).chain(types()).zip(1..);
    let columns = columns.map(|(ty, n)| Column::new(n, &format!("c{n}"), ty));
    let mut txn = database.begin(Isolation::ReadCommitted);
    let (oid, constraint) = (txn.new_oid(), txn.new_oid());
    let key = ConstraintKind::PrimaryKey { columns: vec![1] };
    let table = Table {
        oid,
        schema: "public".into(),
        name: "items".into(),
        columns: columns.collect(),
        constraints: vec![Constraint::new(constraint, "items_pkey", key)],
        ..Table::default()
    };
    done(txn.create_table(table, Vec::new()));
    txn.commit().expect("a commit");
    oid
}
