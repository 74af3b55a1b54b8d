//! The database, as the tests use it. Nothing outside this file and the statements of `work.rs` calls it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hither::catalog::{
    Column, Constraint, ConstraintKind, HnswOptions, Index, IndexMethod, IndexMetric, Oid, Table, TableKind,
};
use hither::database::{Database, Isolation, LockOutcome, Options, Stop, Transaction};
use hither::error::{Error, Result};
use hither::fs::Fs;
use hither::types::{Type, Value};

use crate::model::{Row, State, TableState};

const DIR: &str = "/data";
pub const DIMENSIONS: usize = 6;

/// Sizes so small that everything that happens to large databases happens here.
pub fn options() -> Options {
    Options {
        home: None,
        background: false,
        build_threads: 1,
        log_segment_bytes: 32 << 10,
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: std::time::Duration::MAX,
        // Graphs lie in files, whose making can fail and be cut short too.
        graph_bytes_max: 0,
        overlay_bytes_max: 8 << 10,
        bitmap_rows_min: 1,
        autovacuum: Default::default(),
        scrub: Default::default(),
        archive: Default::default(),
        clock: Default::default(),
        storage: hither::storage::Options {
            memtable_bytes_max: 8 << 10,
            memtables_bytes_max: usize::MAX,
            frozen_memtables_max: 1000,
            cache_bytes_max: 64 << 10,
            block_bytes: 512,
            table_bytes_max: 8 << 10,
            level0_tables_max: 3,
            level1_bytes_max: 16 << 10,
            level_factor: 3,
            manifest_bytes_max: 4 << 10,
        },
    }
}

pub fn open(fs: Arc<dyn Fs>) -> Result<Arc<Database>> {
    Database::open(fs, Path::new(DIR), options())
}

/// One session: nobody else holds locks, so a wait or a restart is a defect.
pub fn now<T>(result: Result<T, Stop>) -> Result<T> {
    result.map_err(|stop| match stop {
        Stop::Error(error) => error,
        Stop::Wait(_) => panic!("waits for a lock that nobody holds"),
    })
}

pub fn oid_of(txn: &Transaction, table: &str) -> Oid {
    txn.catalog().table("public", table).unwrap_or_else(|| panic!("no table {table}")).oid
}

pub fn primary_key(txn: &Transaction, table: Oid) -> Oid {
    let catalog = txn.catalog();
    catalog.indexes_of(table).find(|index| index.constraint.is_some()).expect("a primary key").oid
}

/// The visible row of each id, locked.
pub fn lock(txn: &mut Transaction, table: Oid, ids: &[i64]) -> Result<Vec<u32>> {
    let snapshot = txn.snapshot(table)?;
    let key = primary_key(txn, table);
    let slot = |id: &i64| snapshot.lookup_key(key, &[Value::Int8(*id)]);
    let slots: Vec<Option<u32>> = ids.iter().map(slot).collect::<Result<_>>()?;
    let slots: Vec<u32> = slots.into_iter().map(|slot| slot.expect("the key of a visible row")).collect();
    assert_eq!(now(txn.lock_rows(table, &slots))?, LockOutcome::Locked);
    Ok(slots)
}

pub fn create_table(txn: &mut Transaction, name: &str) -> Result<()> {
    let column = |number, name: &str, ty| Column { not_null: number == 1, ..Column::new(number, name, ty) };
    let columns = vec![
        column(1, "id", Type::Int8),
        column(2, "tag", Type::Text),
        column(3, "score", Type::Int4),
        column(4, "embedding", Type::Vector(Some(DIMENSIONS as u16))),
        column(5, "note", Type::Text),
    ];
    let kind = ConstraintKind::PrimaryKey { columns: vec![1] };
    let table = Table {
        oid: txn.new_oid(),
        schema: "public".into(),
        name: name.into(),
        storage: 0,
        columns,
        dropped: Vec::new(),
        hidden: Vec::new(),
        constraints: vec![Constraint {
            oid: txn.new_oid(),
            name: format!("{name}_pkey"),
            kind,
            not_valid: false,
        }],
        kind: TableKind::Ordinary,
        comment: None,
        comments: Vec::new(),
        materialized: None,
        temporary: None,
        unlogged: false,
        partitioning: None,
        part: None,
    };
    now(txn.create_table(table, Vec::new()))
}

pub fn create_index(txn: &mut Transaction, table: &str, kind: &str) -> Result<()> {
    let (method, column, unique) = match kind {
        "hnsw" => (IndexMethod::Hnsw, 4, false),
        "unique" => (IndexMethod::Btree, 2, true),
        _ => (IndexMethod::Bitmap, 3, false),
    };
    let hnsw = HnswOptions { metric: IndexMetric::L2, m: 4, ef_construction: 16, quantization: None };
    let index = Index {
        oid: txn.new_oid(),
        name: index_name(table, kind),
        table: oid_of(txn, table),
        method,
        columns: vec![column],
        included: Vec::new(),
        opclasses: Vec::new(),
        unique,
        constraint: None,
        hnsw: (kind == "hnsw").then_some(hnsw),
        ivfflat: None,
        predicate: None,
        nulls_equal: false,
    };
    now(txn.create_index(index))
}

pub fn index_name(table: &str, kind: &str) -> String {
    format!("{table}_{kind}")
}

/// Everything a new session sees, read through scans, keys and vectors.
pub fn read(db: &Arc<Database>) -> Result<State> {
    let mut txn = db.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let catalog = txn.catalog();
    let mut state = State::new();
    for table in catalog.tables() {
        let named = catalog.indexes_of(table.oid).filter(|index| index.constraint.is_none());
        let indexes = named.map(|index| index.name.clone()).collect();
        let rows = read_rows(&txn, table.oid)?;
        state.insert(table.name.clone(), TableState { rows, indexes });
    }
    txn.rollback();
    Ok(state)
}

pub fn read_rows(txn: &Transaction, table: Oid) -> Result<BTreeMap<i64, Row>> {
    let snapshot = txn.snapshot(table)?;
    let key = primary_key(txn, table);
    let vectors = snapshot.vector_view(4)?;
    let mut rows = BTreeMap::new();
    for entry in snapshot.scan() {
        let (slot, bytes) = entry?;
        let mut row = snapshot.layout().read(&bytes)?.values()?;
        if row[3] != Value::Null {
            vectors.verify(slot)?;
            row[3] = Value::Vector(vectors.get(slot).as_f32().to_vec());
        }
        let Value::Int8(id) = row[0] else { return Err(Error::internal(format!("id is {:?}", row[0]))) };
        if snapshot.lookup_key(key, &[Value::Int8(id)])? != Some(slot) {
            return Err(Error::internal(format!("the key {id} does not lead to slot {slot}")));
        }
        if rows.insert(id, row).is_some() {
            return Err(Error::internal(format!("{id} is there twice")));
        }
    }
    Ok(rows)
}
