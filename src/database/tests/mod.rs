//! The database without SQL: transactions on a strict in-memory file system, with crashes between.

mod basics;
mod damage;
mod disk_full;
mod formats;
mod hidden;
mod lists;
mod model;
mod scrub;
pub mod vacuum;

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Column, Constraint, ConstraintKind, Oid, Table, TableKind};
use crate::database::{Database, InsertOutcome, Isolation, OnConflict, Options, Stop, Transaction};
use crate::error::Error;
use crate::fs::Fs;
use crate::fs::memory::MemoryFs;
use crate::table::Snapshot;
use crate::types::{Type, Value};

/// No threads, small files.
pub fn options() -> Options {
    Options {
        background: false,
        build_threads: 1,
        storage: crate::storage::Options::tiny(),
        log_segment_bytes: 1 << 20,
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
    Column {
        name: name.into(),
        number,
        ty,
        not_null: false,
        default: None,
        identity: None,
        sequence: None,
        missing: None,
        metadata_index: true,
        generated: None,
    }
}

/// `create table t (id bigint primary key, name text, v vector(3))`
pub fn create_t(database: &Arc<Database>) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let oid = txn.new_oid();
    let constraint = Constraint {
        oid: txn.new_oid(),
        name: "t_pkey".into(),
        kind: ConstraintKind::PrimaryKey { columns: vec![1] },
    };
    let table = Table {
        oid,
        schema: "public".into(),
        name: "t".into(),
        storage: 0,
        columns: vec![
            column(1, "id", Type::Int8),
            column(2, "name", Type::Text),
            column(3, "v", Type::Vector(Some(3))),
        ],
        dropped: Vec::new(),
        hidden: Vec::new(),
        constraints: vec![constraint],
        kind: TableKind::Ordinary,
        comment: None,
        comments: Vec::new(),
        materialized: None,
        temporary: None,
        unlogged: false,
    };
    done(txn.create_table(table, Vec::new()));
    txn.commit().unwrap();
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

/// (id, name) of all rows, each checked against its vector.
pub fn rows(snapshot: &Snapshot) -> Vec<(i64, String)> {
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

pub fn all(database: &Arc<Database>, table: Oid) -> Vec<(i64, String)> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    rows(&txn.snapshot(table).unwrap())
}

pub fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(id, name)| (*id, (*name).to_owned())).collect()
}
