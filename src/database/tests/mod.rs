//! The database without SQL: transactions on a strict in-memory file system, with crashes between.

mod basics;
mod bitmaps;
mod bitmaps_model;
mod checkpoints;
mod columns;
mod damage;
mod damaged_model;
mod damaged_tables;
mod ddl_beside_checkpoint;
mod disk_full;
mod faults;
mod format_types;
mod formats;
mod hidden;
mod indexer;
mod large_objects;
mod lists;
mod model;
mod parts;
mod reuse;
mod scrub;
mod spill;
mod stalls;
mod unread;
mod unsaved_graphs;
pub mod vacuum;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::catalog::{Column, Constraint, ConstraintKind, Oid, Table};
use crate::database::{Database, InsertOutcome, Isolation, OnConflict, Options, Stop, Transaction};
use crate::distance::{Metric, Query};
use crate::error::Error;
use crate::fs::Fs;
use crate::fs::memory::MemoryFs;
use crate::index::{Finder, Probes, Request, Rows, Strategy as By, search};
use crate::table::Snapshot;
use crate::types::{Type, Value};

/// No threads, small files; every table with a row has bitmaps on disk.
pub fn options() -> Options {
    Options {
        background: false,
        build_threads: 1,
        storage: crate::storage::Options::tiny(),
        log_segment_bytes: 1 << 20,
        bitmap_rows_min: 1,
        ..Options::default()
    }
}

pub fn open(fs: &Arc<MemoryFs>) -> Arc<Database> {
    let fs: Arc<dyn Fs> = fs.clone();
    Database::open(fs, Path::new("/db"), options()).unwrap()
}

pub fn fresh() -> (Arc<MemoryFs>, Arc<Database>) {
    let fs = Arc::new(MemoryFs::new());
    let database = open(&fs);
    (fs, database)
}

pub fn column(number: u16, name: &str, ty: Type) -> Column {
    Column::new(number, name, ty)
}

/// `create table t (id bigint primary key, name text, v vector(3))`
pub fn create_t(database: &Arc<Database>) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let oid = create_u(&mut txn, "t");
    txn.commit().unwrap();
    oid
}

/// The same table under another name.
pub fn create_u(txn: &mut Transaction, name: &str) -> Oid {
    let columns = vec![
        column(1, "id", Type::Int8),
        column(2, "name", Type::Text),
        column(3, "v", Type::Vector(Some(3))),
    ];
    create_with(txn, name, columns)
}

/// A table whose first column is its primary key.
pub fn create_with(txn: &mut Transaction, name: &str, columns: Vec<Column>) -> Oid {
    let oid = txn.new_oid();
    let constraint = Constraint::new(
        txn.new_oid(),
        format!("{name}_pkey"),
        ConstraintKind::PrimaryKey { columns: vec![1] },
    );
    let table = Table {
        oid,
        schema: "public".into(),
        name: name.into(),
        columns,
        constraints: vec![constraint],
        ..Table::default()
    };
    done(txn.create_table(table, Vec::new()));
    oid
}

/// Nobody else is there to wait for.
pub fn done<T>(outcome: Result<T, Stop>) -> T {
    match outcome {
        Ok(value) => value,
        Err(Stop::Error(error)) => panic!("{error}"),
        Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
    }
}

pub fn error_of<T>(outcome: Result<T, Stop>) -> Error {
    match outcome {
        Ok(_) => panic!("expected an error"),
        Err(Stop::Error(error)) => error,
        Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
    }
}

pub fn row(id: i64, name: &str) -> Vec<Value> {
    let vector = Value::Vector(vec![id as f32, 1.0, -1.0]);
    vec![Value::Int8(id), Value::Text(name.into()), vector]
}

pub fn insert(txn: &mut Transaction, table: Oid, rows: &[(i64, &str)]) -> InsertOutcome {
    let rows: Vec<_> = rows.iter().map(|(id, name)| row(*id, name)).collect();
    done(txn.insert(table, &rows, OnConflict::Error))
}

/// (id, name) of all rows, each checked against its vector; a scan by column has the same.
pub fn rows(snapshot: &Snapshot) -> Vec<(i64, String)> {
    columns::agree(snapshot, 64);
    let view = snapshot.vector_view(3).unwrap();
    let visible = snapshot.visible_set().unwrap();
    let mut found = Vec::new();
    for entry in snapshot.scan() {
        let (slot, row) = entry.unwrap();
        assert!(visible.contains(slot), "slot {slot} is scanned and not visible");
        let reader = snapshot.layout().read(&row).unwrap();
        let (Value::Int8(id), Value::Text(name)) = (reader.value(0).unwrap(), reader.value(1).unwrap())
        else {
            panic!("{:?}", reader.values())
        };
        if !reader.is_null(2).unwrap() {
            view.verify(slot).unwrap();
            assert_eq!(view.get(slot).as_f32()[1..], [1.0, -1.0]);
        }
        found.push((id, name));
    }
    assert_eq!(visible.len(), found.len() as u64);
    assert_eq!(snapshot.row_count().unwrap(), found.len() as u64);
    found.sort_unstable();
    found
}

/// Searches for the vectors of `t`'s rows with its index, whatever exact search would cost, and finds each row (of many,
/// some three hundred), and none twice.
pub fn all_are_found(snapshot: &Snapshot) {
    are_found(snapshot, 300, 1_000);
}

/// The same for about `count` rows, with so many candidates per search.
pub fn are_found(snapshot: &Snapshot, count: usize, ef: usize) {
    let Some(index) = snapshot.vector_index(3, Metric::L2, snapshot.live()) else { return };
    let view = snapshot.vector_view(3).unwrap();
    let (visible, visible_dirty) = (snapshot.visible_set().unwrap(), snapshot.visible_dirty().unwrap());
    let strategy = match &*index.finder {
        Finder::Graph(_) => By::Graph,
        Finder::Lists(_) => By::Lists,
    };
    let step = visible.len() as usize / count + 1;
    for slot in visible.iter().step_by(step).filter(|slot| !view.is_null(*slot)) {
        let request = Request {
            vectors: &view,
            query: Query::new(Metric::L2, view.get(slot)),
            rows: Rows::new(snapshot.live(), snapshot.dirty(), &visible_dirty),
            finder: Some(&index.finder),
            tail: &index.tail,
            k: 5,
            ef,
            distances_max: u64::MAX,
            probes: Probes { first: 1, most: 1 },
            strategy: Some(strategy),
            cancel: &AtomicBool::new(false),
        };
        let slots: Vec<u32> = search(&request).unwrap().hits.iter().map(|hit| hit.slot).collect();
        let distinct: BTreeSet<u32> = slots.iter().copied().collect();
        assert!(slots.contains(&slot), "slot {slot} is not found by its own vector, but {slots:?}");
        assert_eq!(distinct.len(), slots.len(), "one row twice: {slots:?}");
    }
}

pub fn all(database: &Arc<Database>, table: Oid) -> Vec<(i64, String)> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    rows(&txn.snapshot(table).unwrap())
}

pub fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(id, name)| (*id, (*name).to_owned())).collect()
}
