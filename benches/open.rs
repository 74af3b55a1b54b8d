//! What opening a table costs: with its live set and metadata indexes made from the rows, and as a checkpoint saved them;
//! and what saving them costs the checkpoint.
//!
//! `cargo bench --no-default-features --bench open -- [rows] [folder]`
//!
//! A row has a key and five columns with a metadata index: 64 texts, random float8 and int4, ascending timestamptz, bool.
//! Every open is followed by a count of what one text and one range select, which has to be the same each time.
//!
//! Then as many vectors of 128 dimensions with an hnsw index: from nothing open to the first row found by its own vector.
//! A folder that has them already keeps them.

#[path = "common/mod.rs"]
mod common;

use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use common::done;
use hither::catalog::{
    Column, Constraint, ConstraintKind, HnswOptions, Index, IndexMethod, IndexMetric, Oid, Table,
};
use hither::database::{Database, Isolation, OnConflict, Options, RowUpdate};
use hither::distance::{Metric, Query};
use hither::fs::DiskFs;
use hither::index::bitmap::Predicate;
use hither::index::{Probes, Request, Rows, search};
use hither::types::{Type, Value};

const ROWS: u64 = 1_000_000;
/// Rows of one transaction.
const BATCH: u64 = 20_000;
const OPENS: usize = 3;
const DIMENSIONS: usize = 128;
/// Directions in which the vectors mostly lie.
const LATENT: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let rows = arguments.first().map_or(ROWS, |rows| rows.parse().expect("a number of rows"));
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = arguments.get(1).map_or(temporary.path().into(), PathBuf::from);
    let dir = folder.join("database");
    let options = |saved: bool| {
        let bitmap_rows_min = if saved { Options::default().bitmap_rows_min } else { u64::MAX };
        Options { background: false, bitmap_rows_min, ..Options::default() }
    };
    let open = |saved| Database::open(Arc::new(DiskFs), &dir, options(saved)).expect("the directory");

    let database = Database::open(Arc::new(DiskFs), &dir, Options::default()).expect("a new directory");
    let table = create(&database);
    let start = Instant::now();
    load(&database, table, 0..rows, row);
    println!("load of {rows} rows: {:.1} s", start.elapsed().as_secs_f64());
    database.close().expect("an orderly close");
    drop(database);

    // Without files, and the checkpoint after one changed row in 100.
    let database = open(false);
    database.checkpoint().expect("a checkpoint");
    database.close().expect("an orderly close");
    drop(database);
    let expected = timed("open from the rows", || open(false), table);
    let database = open(false);
    change(&database, table, rows, 1);
    let without = checkpoint(&database);
    drop(database);
    let database = open(true);
    change(&database, table, rows, 2);
    let with = checkpoint(&database);
    println!("checkpoint after {} changes: {without:.0} ms, and {with:.0} ms with whole files", rows / 100);
    println!("files: {:.1} MB", bytes(&dir) as f64 / 1e6);
    change(&database, table, rows, 3);
    println!("checkpoint after as many again, which are noted: {:.0} ms", checkpoint(&database));
    // As a kill leaves it.
    drop(database);
    let found = timed("open from files and changes", || open(true), table);
    assert_eq!(found, expected);
    let database = open(true);
    database.close().expect("an orderly close");
    drop(database);
    let found = timed("open from files", || open(true), table);
    assert_eq!(found, expected);
    vectors(&folder.join("vectors"), rows);
}

/// Opens a directory with vectors and a graph over them, as an orderly close leaves it and as a kill does after one more
/// row in 100, up to the first answer.
fn vectors(dir: &Path, rows: u64) {
    if !dir.exists() {
        make_vectors(dir, rows);
    }
    let open = || Database::open(Arc::new(DiskFs), dir, Options { background: false, ..Options::default() });
    let answered = |what: &str, closes: bool| {
        let mut times = Vec::new();
        for turn in 0..OPENS as u64 {
            let start = Instant::now();
            let database = open().expect("the directory");
            let slot = (rows / (OPENS as u64 + 1) * (turn + 1)) as u32;
            find(&database, slot);
            times.push(start.elapsed().as_secs_f64() * 1e3);
            if closes {
                database.close().expect("an orderly close");
            }
        }
        times.sort_by(f64::total_cmp);
        println!("{what}: {:.0} ms ({:.0} to {:.0})", times[OPENS / 2], times[0], times[OPENS - 1]);
    };
    // What an earlier run left.
    open().expect("the directory").close().expect("an orderly close");
    answered("open and find a vector", true);
    let database = open().expect("the directory");
    let table = table_of(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let there = txn.snapshot(table).and_then(|snapshot| snapshot.row_count()).expect("the table");
    drop(txn);
    load(&database, table, there..there + there / 100, vector_row);
    // As a kill leaves it.
    drop(database);
    answered("open after a kill, hold the graph against its checksums, and find a vector", false);
}

fn make_vectors(dir: &Path, rows: u64) {
    let database = Database::open(Arc::new(DiskFs), dir, Options::default()).expect("a new directory");
    let start = Instant::now();
    let table = create_vectors(&database);
    load(&database, table, 0..rows, vector_row);
    println!("load of {rows} vectors: {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let hnsw = HnswOptions { metric: IndexMetric::L2, m: 16, ef_construction: 64, quantization: None };
    let index = Index {
        oid: txn.new_oid(),
        name: "vectors_v".into(),
        table,
        method: IndexMethod::Hnsw,
        columns: vec![2],
        hnsw: Some(hnsw),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().expect("a commit");
    println!("index: {:.1} s", start.elapsed().as_secs_f64());
    database.close().expect("an orderly close");
}

/// The only table.
fn table_of(database: &Arc<Database>) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    txn.catalog().tables().next().expect("a table").oid
}

/// Searches the graph for a row by its own vector.
fn find(database: &Arc<Database>, slot: u32) {
    let table = table_of(database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).expect("the table");
    let index = snapshot.vector_index(2, Metric::L2, snapshot.live()).expect("a graph");
    let view = snapshot.vector_view(2).expect("vectors");
    let visible_dirty = snapshot.visible_dirty().expect("rows");
    let request = Request {
        vectors: &view,
        query: Query::new(Metric::L2, view.get(slot)),
        rows: Rows::new(snapshot.live(), snapshot.dirty(), &visible_dirty),
        finder: Some(&index.finder),
        tail: &index.tail,
        k: 10,
        ef: 100,
        distances_max: u64::MAX,
        probes: Probes { first: 1, most: 1 },
        strategy: None,
        cancel: &AtomicBool::new(false),
    };
    let nearest = search(&request).expect("an answer").hits[0].slot;
    assert_eq!(nearest, slot, "a row is nearest to itself");
}

fn create(database: &Arc<Database>) -> Oid {
    let types = [Type::Int8, Type::Text, Type::Float8, Type::Int4, Type::Timestamptz(None), Type::Bool];
    create_table(database, &types)
}

fn create_vectors(database: &Arc<Database>) -> Oid {
    create_table(database, &[Type::Int8, Type::Vector(Some(DIMENSIONS as u16))])
}

fn create_table(database: &Arc<Database>, types: &[Type]) -> Oid {
    let columns = types.iter().cloned().zip(1..).map(|(ty, n)| Column::new(n, &format!("c{n}"), ty));
    let mut txn = database.begin(Isolation::ReadCommitted);
    let (oid, constraint) = (txn.new_oid(), txn.new_oid());
    let table = Table {
        oid,
        schema: "public".into(),
        name: "items".into(),
        columns: columns.collect(),
        constraints: vec![Constraint::new(
            constraint,
            "items_pkey",
            ConstraintKind::PrimaryKey { columns: vec![1] },
        )],
        ..Table::default()
    };
    done(txn.create_table(table, Vec::new()));
    txn.commit().expect("a commit");
    oid
}

/// Of few directions, as embeddings are, and some noise.
fn vector_row(id: u64) -> Vec<Value> {
    let drawn = |id: u64, n: u64| {
        let mixed = (id << 8 | n).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let latent: [f32; LATENT] = std::array::from_fn(|n| drawn(id, n as u64));
    let element = |n: usize| {
        let along: f32 = latent.iter().zip(0..).map(|(x, m)| x * drawn(n as u64, 128 + m)).sum();
        along + 0.05 * drawn(id, (LATENT + n) as u64)
    };
    vec![Value::Int8(id as i64), Value::Vector((0..DIMENSIONS).map(element).collect())]
}

fn row(id: u64) -> Vec<Value> {
    let mixed = (id ^ 0x5DEECE66D).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    vec![
        Value::Int8(id as i64),
        Value::Text(format!("category {}", mixed >> 58)),
        Value::Float8((mixed >> 11) as f64 / 1e10),
        Value::Int4((mixed >> 20) as i32),
        Value::Timestamptz(1_700_000_000_000_000 + 60_000_000 * id as i64),
        Value::Bool(mixed & 1 == 1),
    ]
}

/// Transactions of [`BATCH`] rows.
fn load(database: &Arc<Database>, table: Oid, ids: Range<u64>, row: impl Fn(u64) -> Vec<Value>) {
    let mut first = ids.start;
    while first < ids.end {
        let end = ids.end.min(first + BATCH);
        let mut txn = database.begin(Isolation::ReadCommitted);
        let rows: Vec<_> = (first..end).map(&row).collect();
        rows.chunks(4096).for_each(|rows| drop(done(txn.insert(table, rows, OnConflict::Error))));
        txn.commit().expect("a commit");
        first = end;
    }
}

/// Writes every hundredth row again, as it is, another one each turn. Slots are ids here.
fn change(database: &Arc<Database>, table: Oid, rows: u64, turn: u64) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let slots: Vec<u32> = (turn..rows).step_by(100).map(|id| id as u32).collect();
    done(txn.lock_rows(table, &slots));
    let rows =
        slots.iter().map(|&slot| RowUpdate { slot, row: row(u64::from(slot)), vectors_changed: false });
    done(txn.update(table, &rows.collect::<Vec<_>>()));
    txn.commit().expect("a commit");
}

fn checkpoint(database: &Arc<Database>) -> f64 {
    let start = Instant::now();
    database.checkpoint().expect("a checkpoint");
    start.elapsed().as_secs_f64() * 1e3
}

/// Opens several times, and answers what was selected.
fn timed(what: &str, open: impl Fn() -> Arc<Database>, table: Oid) -> (u64, u64) {
    let mut times = Vec::new();
    let mut found = (0, 0);
    for _ in 0..OPENS {
        let start = Instant::now();
        let database = open();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(table).expect("the table");
        let count = |column, predicate| snapshot.select(column, &predicate).expect("an index").len();
        let high = Bound::Excluded(Value::Int4(0));
        found = (
            count(2, Predicate::Eq(Value::Text("category 7".into()))),
            count(4, Predicate::Range { low: Bound::Unbounded, high }),
        );
    }
    times.sort_by(f64::total_cmp);
    println!("{what}: {:.0} ms ({:.0} to {:.0})", times[OPENS / 2], times[0], times[OPENS - 1]);
    found
}

/// Of files of bitmaps.
fn bytes(dir: &Path) -> u64 {
    let tables =
        std::fs::read_dir(dir.join("tables")).expect("a folder").map(|entry| entry.expect("an entry"));
    let files = tables.flat_map(|table| std::fs::read_dir(table.path()).expect("a folder"));
    let files = files.map(|file| file.expect("an entry"));
    let bits = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "bits"));
    bits.map(|file| file.metadata().expect("a file").len()).sum()
}
