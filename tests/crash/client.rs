//! The database, as the tests use it. Nothing outside this file and the statements of the workloads calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hither::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Deferral, ForeignKey, HnswOptions, Index, IndexMethod,
    IndexMetric, IvfflatOptions, Oid, PartitionBound, Partitioning, ReferentialAction, Strategy, Table,
};
use hither::clock::{Clock, Timestamp};
use hither::database::{
    ArchiveOptions, CarryOptions, Database, Isolation, LockOutcome, Options, Stop, Transaction,
};
use hither::distance::Vector;
use hither::error::{Error, Result};
use hither::fs::Fs;
use hither::index::quantizer::Quantization;
use hither::table::Snapshot;
use hither::types::{Bits, Type, Value};

use crate::model::{ColumnState, Found, Place, Row, TableState};
use crate::nearest;

pub const DATA: &str = "/data";
pub const BACKUPS: &str = "/backups";
pub const ARCHIVE: &str = "/archive";

/// Sizes so small that everything that happens to large databases happens here.
pub fn options(archive: bool) -> Options {
    let archive = ArchiveOptions { dir: archive.then(|| ARCHIVE.into()), ..ArchiveOptions::default() };
    Options {
        home: None,
        shared: None,
        background: false,
        build_threads: 1,
        log_segment_bytes: 32 << 10,
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: std::time::Duration::MAX,
        checkpoint_idle: std::time::Duration::MAX,
        // By every checkpoint.
        carry: CarryOptions { behind_bytes_min: 0, bytes_max: u64::MAX, log_per_byte: 0 },
        // Graphs lie in files, whose making can fail and be cut short too.
        graph_bytes_max: 0,
        metadata_bytes_max: 0,
        overlay_bytes_max: 8 << 10,
        bitmap_rows_min: 1,
        autovacuum: Default::default(),
        scrub: Default::default(),
        archive,
        clock: clock(),
        storage: hither::storage::Options {
            memtable_bytes_max: 8 << 10,
            memtables_bytes_max: usize::MAX,
            frozen_memtables_max: 1000,
            flush_wait_max: std::time::Duration::from_secs(60),
            background_bytes_per_second: 0,
            cache_bytes_max: 64 << 10,
            pool: None,
            block_bytes: 512,
            table_bytes_max: 8 << 10,
            level0_tables_max: 3,
            level1_bytes_max: 16 << 10,
            level_factor: 3,
            manifest_bytes_max: 4 << 10,
        },
    }
}

/// A second later at every look. Times are in the log: with those of the day its segments would end elsewhere in every run,
/// and a point would not be met again.
fn clock() -> Clock {
    let time = AtomicI64::new(1_000_000_000);
    Clock::new(move || Timestamp(time.fetch_add(1_000_000, Ordering::Relaxed)))
}

pub fn open(fs: Arc<dyn Fs>, archive: bool) -> Result<Arc<Database>> {
    Database::open(fs, Path::new(DATA), options(archive))
}

/// One session: nobody else holds locks, so a wait or a restart is a defect.
pub fn now<T>(result: Result<T, Stop>) -> Result<T> {
    result.map_err(|stop| match stop {
        Stop::Error(error) => error,
        Stop::Wait(_) => panic!("waits for a lock that nobody holds"),
    })
}

pub fn oid_of(txn: &Transaction, table: &str) -> Oid {
    definition(txn, table).oid
}

pub fn definition(txn: &Transaction, table: &str) -> Table {
    let catalog = txn.catalog();
    let found = catalog.table("public", table).unwrap_or_else(|| panic!("no table {table}"));
    Table::clone(found)
}

pub fn index_of(txn: &Transaction, name: &str) -> Index {
    let catalog = txn.catalog();
    let found = catalog.index("public", name).unwrap_or_else(|| panic!("no index {name}"));
    Index::clone(found)
}

pub fn primary_key(txn: &Transaction, table: Oid) -> Oid {
    let catalog = txn.catalog();
    catalog.indexes_of(table).find(|index| index.constraint.is_some()).expect("a primary key").oid
}

/// The slot of each id, which a visible row has.
pub fn slots(txn: &Transaction, table: Oid, ids: &[i64]) -> Result<Vec<u32>> {
    let snapshot = txn.snapshot(table)?;
    let key = primary_key(txn, table);
    let slot = |id: &i64| snapshot.lookup_key(key, &[Value::Int8(*id)]);
    ids.iter().map(|id| Ok(slot(id)?.expect("the key of a visible row"))).collect()
}

/// The visible row of each id, locked.
pub fn lock(txn: &mut Transaction, table: Oid, ids: &[i64]) -> Result<Vec<u32>> {
    let slots = slots(txn, table, ids)?;
    assert_eq!(now(txn.lock_rows(table, &slots))?, LockOutcome::Locked);
    Ok(slots)
}

/// The columns behind the key.
pub type Columns = fn() -> Vec<(&'static str, Type)>;

pub fn created_columns(columns: Columns) -> Vec<ColumnState> {
    let all = [("id", Type::Int8)].into_iter().chain(columns());
    let numbered = all.zip(1..);
    numbered.map(|((name, ty), number)| ColumnState { name: name.into(), number, ty }).collect()
}

/// What a new table has beside columns.
#[derive(Clone, Copy, Default)]
pub struct Extra<'a> {
    /// The number of the column that the table is partitioned by.
    pub partitioned_by: Option<u16>,
    /// The number of the column that refers to the key of another table, and that table.
    pub refers: Option<(u16, &'a str)>,
}

pub fn create_table(txn: &mut Transaction, name: &str, columns: &[ColumnState], extra: Extra) -> Result<()> {
    let column = |state: &ColumnState| Column {
        not_null: state.number == 1,
        ..Column::new(state.number, &state.name, state.ty.clone())
    };
    let key = ConstraintKind::PrimaryKey { columns: vec![1] };
    let mut constraints = vec![Constraint::new(txn.new_oid(), format!("{name}_pkey"), key)];
    if let Some((number, parent)) = extra.refers {
        let key = ForeignKey {
            columns: vec![number],
            table: oid_of(txn, parent),
            referenced: vec![1],
            on_delete: ReferentialAction::NoAction,
            set_on_delete: Vec::new(),
            on_update: ReferentialAction::NoAction,
            deferral: Deferral::Never,
            full: false,
        };
        let key = ConstraintKind::ForeignKey(key);
        constraints.push(Constraint::new(txn.new_oid(), format!("{name}_fkey"), key));
    }
    let partitioning = extra.partitioned_by.map(|column| Partitioning {
        column,
        strategy: Strategy::List,
        parts: Vec::new(),
    });
    let table = Table {
        oid: txn.new_oid(),
        schema: "public".into(),
        name: name.into(),
        columns: columns.iter().map(column).collect(),
        constraints,
        partitioning,
        ..Table::default()
    };
    now(txn.create_table(table, Vec::new()))
}

/// Kinds of indexes that there are on a column of this type.
pub fn index_kinds(column: &ColumnState) -> &'static [&'static str] {
    match column.ty {
        Type::Vector(Some(_)) => &["hnsw", "sq8", "bq", "pq", "f16", "bf16", "ivfflat"],
        Type::Halfvec(Some(_)) => &["hnsw", "sq8", "bq", "pq", "ivfflat"],
        Type::Sparsevec(Some(_)) => &["hnsw"],
        Type::Bit(Some(_)) => &["hnsw", "ivfflat"],
        Type::Array(_) => &["gin"],
        Type::Text if column.number == 2 => &["unique"],
        Type::Int4 | Type::Int8 => &["bitmap"],
        _ => &[],
    }
}

/// An index by one of the [`index_kinds`]; answers its name and what it is.
pub fn create_index(
    txn: &mut Transaction,
    table: &str,
    column: &ColumnState,
    kind: &str,
) -> Result<(String, String)> {
    let index = new_index(txn, table, column, kind);
    let created = (index.name.clone(), described(&index));
    now(txn.create_index(index))?;
    Ok(created)
}

/// An index that is to be created.
pub fn new_index(txn: &mut Transaction, table: &str, column: &ColumnState, kind: &str) -> Index {
    let metric = match column.ty {
        Type::Bit(_) => IndexMetric::Hamming,
        _ => IndexMetric::L2,
    };
    let quantization = Quantization::from_name(kind);
    let hnsw = HnswOptions { metric, m: 4, ef_construction: 16, quantization };
    let method = match kind {
        "unique" => IndexMethod::Btree,
        "bitmap" => IndexMethod::Bitmap,
        "gin" => IndexMethod::Gin,
        "ivfflat" => IndexMethod::Ivfflat,
        _ => IndexMethod::Hnsw,
    };
    Index {
        oid: txn.new_oid(),
        name: index_name(table, column, kind),
        table: oid_of(txn, table),
        method,
        columns: vec![column.number],
        unique: kind == "unique",
        hnsw: (method == IndexMethod::Hnsw).then_some(hnsw),
        ivfflat: (kind == "ivfflat").then_some(IvfflatOptions { metric, lists: 4 }),
        ..Index::default()
    }
}

pub fn index_name(table: &str, column: &ColumnState, kind: &str) -> String {
    format!("{table}_{kind}_{}", column.number)
}

fn described(index: &Index) -> String {
    format!("{:?} of {:?} {:?} {:?}", index.method, index.columns, index.hnsw, index.ivfflat)
}

/// Everything a new session sees, read through scans, keys, vectors and indexes.
pub fn read(db: &Arc<Database>) -> Result<Found> {
    let mut txn = db.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let catalog = txn.catalog();
    check_numbers(&catalog)?;
    let mut found = Found::default();
    for table in catalog.tables() {
        let state = read_table(&txn, table)?;
        found.state.tables.insert(table.name.clone(), Arc::new(state));
    }
    for sequence in catalog.sequences() {
        let (last, is_called) = txn.sequence_state(sequence.oid)?;
        found.state.sequences.insert(sequence.name.clone(), sequence.increment);
        found.places.insert(sequence.name.clone(), Place { last, is_called });
    }
    txn.rollback();
    Ok(found)
}

/// No two things have the same number.
fn check_numbers(catalog: &Catalog) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut see = |oid: Oid, name: &str| match seen.insert(oid) {
        true => Ok(()),
        false => Err(Error::internal(format!("the number {oid} of {name} is another thing's too"))),
    };
    for table in catalog.tables() {
        see(table.oid, &table.name)?;
        table.constraints.iter().try_for_each(|constraint| see(constraint.oid, &constraint.name))?;
        for part in table.partitions() {
            see(part.oid, &part.name)?;
            part.indexes.iter().try_for_each(|index| see(index.oid, &index.name))?;
        }
        catalog.indexes_of(table.oid).try_for_each(|index| see(index.oid, &index.name))?;
    }
    catalog.sequences().try_for_each(|sequence| see(sequence.oid, &sequence.name))
}

fn read_table(txn: &Transaction, table: &Table) -> Result<TableState> {
    let catalog = txn.catalog();
    let named = catalog.indexes_of(table.oid).filter(|index| index.constraint.is_none());
    let indexes = named.map(|index| (index.name.clone(), described(index))).collect();
    let column = |c: &Column| ColumnState { name: c.name.clone(), number: c.number, ty: c.ty.clone() };
    let columns: Vec<ColumnState> = table.columns.iter().map(column).collect();
    let snapshot = txn.snapshot(table.oid)?;
    let rows = read_rows(txn, &snapshot, &columns)?;
    let parts = table.partitions().iter().map(|part| match &part.bound {
        PartitionBound::In(keys) => (part.name.clone(), keys[0].clone().unwrap_or_default()),
        other => panic!("a partition by {other:?}"),
    });
    let parent =
        |(_, key): (&Constraint, &ForeignKey)| catalog.table_by_oid(key.table).map(|t| t.name.clone());
    let parent = table.foreign_keys().next().map(|key| parent(key).unwrap_or_default());
    Ok(TableState { columns, rows, indexes, parts: parts.collect(), parent })
}

/// The rows, which all their indexes know.
pub fn read_rows(
    txn: &Transaction,
    snapshot: &Snapshot,
    columns: &[ColumnState],
) -> Result<BTreeMap<i64, Row>> {
    let key = primary_key(txn, snapshot.definition().oid);
    let (mut rows, mut slots) = (BTreeMap::new(), BTreeMap::new());
    for entry in snapshot.scan() {
        let (slot, bytes) = entry?;
        let row = row(snapshot, columns, slot, &bytes)?;
        let Value::Int8(id) = row[0] else { return Err(Error::internal(format!("id is {:?}", row[0]))) };
        if snapshot.lookup_key(key, &[Value::Int8(id)])? != Some(slot) {
            return Err(Error::internal(format!("the key {id} does not lead to slot {slot}")));
        }
        if rows.insert(id, row).is_some() {
            return Err(Error::internal(format!("{id} is there twice")));
        }
        slots.insert(slot, id);
    }
    nearest::check(snapshot, columns, &rows, &slots)?;
    Ok(rows)
}

/// The cells of a row, those that lie in its slot of the segments too.
fn row(snapshot: &Snapshot, columns: &[ColumnState], slot: u32, bytes: &[u8]) -> Result<Row> {
    let reader = snapshot.layout().read(bytes)?;
    let mut row = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        if !column.ty.is_slot_vector() || reader.is_null(position)? {
            row.push(reader.value(position)?);
            continue;
        }
        let view = snapshot.vector_view(column.number)?;
        view.verify(slot)?;
        row.push(match (view.get(slot), &column.ty) {
            (Vector::F32(values), _) => Value::Vector(values.to_vec()),
            (Vector::F16(values), _) => Value::Halfvec(values.to_vec()),
            (Vector::Bits { bytes, length }, _) => Value::Bits(Bits::new(bytes.to_vec(), length)),
            (Vector::Sparse(vector), _) => Value::Sparsevec(vector.to_owned()),
            (other, ty) => return Err(Error::internal(format!("{other:?} in a column of {ty}"))),
        });
    }
    Ok(row)
}
