//! From durable to visible: one path for live commits and recovery.
//!
//! ```text
//!   live       statements ──> Work ─┐
//!                                   ├─> publish(seq, work) ──> trees, bitmaps, catalogue ──> new snapshots see seq
//!   recovery   records ────> Work ──┘
//! ```
//!
//! [`Core::publish`] does, in this order:
//!
//! 1. new definitions are given to their tables, new tables get their place;
//! 2. each table takes in its rows: tree, change list, bitmaps;
//! 3. keys of new unique indexes are built from the rows;
//! 4. the new catalogue is stored and shown; what was dropped is retired;
//! 5. the sequence number is published: from here on snapshots see the transaction.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::catalog::{CATALOG_STORAGE, Catalog, Edit, Object, Oid};
use crate::database::commit::Publish;
use crate::database::core::{Core, Version};
use crate::database::work::{LiveWork, Work};
use crate::error::{Error, Result, SqlState};
use crate::log::{Position, Record, Seq, StorageId, TxnId};
use crate::table::Table;
use crate::table::keys::{ROWS, UniqueKey, slot_of_row_key};
use crate::table::write::Writer;
use crate::types::Value;

impl Publish<LiveWork> for Core {
    fn publish(&self, commit: Position, work: LiveWork) -> Result<()> {
        let work = work.into_work();
        let txn = work.txn;
        let publish =
            AssertUnwindSafe(|| self.healthy().and_then(|()| Core::publish(self, Seq(commit.0), work)));
        // Whoever waits for the commit must hear of a panic, and nobody may build on half of it.
        let outcome =
            catch_unwind(publish).unwrap_or_else(|panic| Err(Error::panicked("publishing", &*panic)));
        let outcome = outcome.map_err(|error| {
            // It is durable and not visible: nothing that followed would be right.
            self.poison(&error);
            durable_but_not_visible(&error)
        });
        self.ended(txn);
        outcome
    }
}

impl Core {
    /// Makes a durable transaction visible as of `seq`, the position of its Commit record.
    pub fn publish(&self, seq: Seq, mut work: Work) -> Result<()> {
        let horizon = self.snapshots.horizon();
        let edits = std::mem::take(&mut work.edits);
        if edits.is_empty() {
            for writer in work.writers.into_values() {
                publish_writer(writer, seq, horizon)?;
            }
        } else {
            self.publish_with_edits(seq, horizon, &edits, work)?;
        }
        self.snapshots.publish(seq);
        self.store.set_horizon(self.snapshots.horizon());
        Ok(())
    }

    fn publish_with_edits(&self, seq: Seq, horizon: Seq, edits: &[Edit], mut work: Work) -> Result<()> {
        let old = self.version.load_full();
        let catalog = old.catalog.apply(edits);
        let mut tables = old.tables.clone();
        let mut retired = Vec::new();
        let touched = touched_tables(edits, &old.catalog);
        for &oid in &touched {
            self.place_table(seq, oid, &catalog, &mut tables, &mut work, &mut retired)?;
        }
        for (storage, writer) in work.writers {
            if tables.values().any(|table| table.storage() == storage) {
                publish_writer(writer, seq, horizon)?;
            }
        }
        for &oid in &touched {
            if let Some(table) = tables.get(&oid) {
                build_unique_keys(table, seq, &old, &catalog, oid)?;
            }
        }
        self.store_edits(seq, edits)?;
        self.version.store(Arc::new(Version { seq, catalog: Arc::new(catalog), tables }));
        retired.extend(work.created.into_values());
        for table in retired {
            self.store.drop_tree(table.storage());
            self.retired.lock().push(table.dir().to_path_buf());
        }
        Ok(())
    }

    /// Gives one table its new definition, or its place among the tables, or takes it away.
    fn place_table(
        &self,
        seq: Seq,
        oid: Oid,
        catalog: &Catalog,
        tables: &mut HashMap<Oid, Arc<Table>>,
        work: &mut Work,
        retired: &mut Vec<Arc<Table>>,
    ) -> Result<()> {
        let Some(definition) = catalog.table_by_oid(oid) else {
            retired.extend(tables.remove(&oid));
            return Ok(());
        };
        let storage = StorageId(definition.storage);
        if tables.get(&oid).is_none_or(|table| table.storage() != storage) {
            let created = work.created.remove(&storage).ok_or_else(|| no_files(&definition.name, storage))?;
            if let Some(former) = tables.insert(oid, created.clone()) {
                created.replaces_at(seq);
                retired.push(former);
            }
        }
        let indexes: Vec<_> = catalog.indexes_of(oid).cloned().collect();
        let table = &tables[&oid];
        let vectors = work.vectors_of(table);
        table.redefine(definition.clone(), &indexes, &mut work.graphs, vectors, seq)
    }

    fn store_edits(&self, seq: Seq, edits: &[Edit]) -> Result<()> {
        let tree = self.store.create_tree(StorageId(CATALOG_STORAGE));
        // One entry per key: where an object was edited twice, the last word counts.
        let last: HashMap<Oid, &Edit> = edits.iter().map(|edit| (edit.oid(), edit)).collect();
        let entries: Vec<_> = last.values().map(|edit| edit.entry()).collect();
        tree.write(seq, entries.iter().map(|(key, value)| (&key[..], value.as_deref())))?;
        for (oid, edit) in last {
            if matches!(edit, Edit::Delete(_)) {
                self.sequences.forget(oid);
            }
        }
        Ok(())
    }
}

fn publish_writer(writer: Writer, seq: Seq, horizon: Seq) -> Result<()> {
    let table = writer.table().clone();
    let (overlay, unborn) = writer.into_overlay();
    table.publish(seq, overlay, horizon)?;
    table.give_back_slots(unborn);
    Ok(())
}

/// Whatever the cause, a full disk too, this is no refusal: recovery will find the commit.
fn durable_but_not_visible(cause: &Error) -> Error {
    let message = format!("the commit is durable but could not be made visible: {}", cause.message());
    Error::new(SqlState::IO_ERROR, message).hint("Restart the server; it recovers the commit from the log.")
}

/// Tables that these edits create, change or drop, or whose indexes they do.
fn touched_tables(edits: &[Edit], old: &Catalog) -> BTreeSet<Oid> {
    let mut touched = BTreeSet::new();
    for edit in edits {
        match edit {
            Edit::Put(Object::Table(table)) => drop(touched.insert(table.oid)),
            Edit::Put(Object::Index(index)) => drop(touched.insert(index.table)),
            Edit::Put(_) => {}
            Edit::Delete(oid) => {
                touched.extend(old.table_by_oid(*oid).map(|table| table.oid));
                touched.extend(old.index_by_oid(*oid).map(|index| index.table));
            }
        }
    }
    touched
}

/// Keys written at a time: a memtable is looked at for its size after each piece.
const KEYS_PIECE: usize = 4096;

/// Writes the keys of unique indexes that are new, from the rows as of `seq`. The statement has checked that there
/// are no duplicates.
fn build_unique_keys(table: &Table, seq: Seq, old: &Version, catalog: &Catalog, oid: Oid) -> Result<()> {
    let definition = table.state().definition.clone();
    let new: Vec<UniqueKey> = catalog
        .indexes_of(oid)
        .filter(|index| index.unique && old.catalog.index_by_oid(index.oid).is_none())
        .map(|index| UniqueKey::of(index, &definition))
        .collect();
    if new.is_empty() || table.state().live.is_empty() {
        return Ok(());
    }
    let layout = table.state().layout.clone();
    let mut entries = Vec::new();
    for entry in table.tree().scan(ROWS.0, ROWS.1, seq) {
        let (key, _, row) = entry?;
        let slot = slot_of_row_key(&key)?;
        let reader = layout.read(&row)?;
        for unique in &new {
            entries.extend(unique_key(unique, &reader)?.map(|key| (key, slot.to_le_bytes())));
        }
    }
    // Into the memtable: making a file could fail, and the commit is durable already.
    for piece in entries.chunks(KEYS_PIECE) {
        table.tree().write(seq, piece.iter().map(|(key, slot)| (&key[..], Some(&slot[..]))))?;
    }
    Ok(())
}

/// The key of an encoded row.
pub fn unique_key(unique: &UniqueKey, row: &crate::table::RowReader) -> Result<Option<Vec<u8>>> {
    if let Some(guard) = unique.guard
        && row.value(guard)? != Value::Bool(true)
    {
        return Ok(None);
    }
    let columns = unique.columns.iter();
    let values: Vec<Value> = columns.map(|&column| row.value(column)).collect::<Result<_>>()?;
    let nulls_equal = unique.nulls_equal;
    Ok(UniqueKey { nulls_equal, ..UniqueKey::of_values(unique.index, values.len()) }
        .key(|column| &values[column]))
}

fn no_files(name: &str, storage: StorageId) -> Error {
    Error::internal(format!("table \"{name}\" came without the files of storage {}", storage.0))
}

/// Recovery: records in order become the state they describe.
pub struct Replay<'a> {
    core: &'a Core,
    /// Commits before this are in the checkpoint already.
    applied: Position,
    open: HashMap<TxnId, Work>,
    pub last_txn: TxnId,
    pub last_oid: Oid,
    pub last_storage: StorageId,
    pub commits: u64,
}

impl<'a> Replay<'a> {
    pub fn new(core: &'a Core, applied: Position) -> Replay<'a> {
        Replay {
            core,
            applied,
            open: HashMap::new(),
            last_txn: TxnId(0),
            last_oid: 0,
            last_storage: StorageId(0),
            commits: 0,
        }
    }

    pub fn apply(&mut self, position: Position, record: Record) -> Result<()> {
        match record {
            Record::Data { txn, storage, changes } => self.data(txn, storage, changes),
            Record::Catalog { txn, edits } => self.catalog(txn, edits),
            Record::Commit { txn, time } => {
                time.into_iter().for_each(|time| self.core.saw_time(time));
                self.commit(Seq(position.0), txn)
            }
            Record::Abort { txn } => {
                self.saw(txn);
                self.end(txn);
                Ok(())
            }
            Record::Sequence { id, value } => {
                let oid = Oid::try_from(id).map_err(|_| Error::corrupt("log", position.0, "an oid", id))?;
                self.core.sequences.replay(oid, value);
                Ok(())
            }
            // Which slots are free follows from which are live.
            Record::Free { .. } => Ok(()),
        }
    }

    /// Transactions without an end never count. The log says so from here on: a restore reads it from further back, past
    /// this moment, and must not take what they did for that of a later transaction.
    pub fn finish(&mut self) -> Result<()> {
        let mut open: Vec<TxnId> = self.open.keys().copied().collect();
        open.sort_unstable();
        open.iter().for_each(|&txn| self.end(txn));
        if open.is_empty() {
            return Ok(());
        }
        let records: Vec<Record> = open.into_iter().map(|txn| Record::Abort { txn }).collect();
        self.core.log.append(&records)?;
        self.core.log.sync().map(drop)
    }

    fn saw(&mut self, txn: TxnId) {
        self.last_txn = self.last_txn.max(txn);
    }

    fn work(&mut self, txn: TxnId) -> &mut Work {
        self.saw(txn);
        self.open.entry(txn).or_insert_with(|| Work::new(txn))
    }

    fn data(&mut self, txn: TxnId, storage: StorageId, changes: &[u8]) -> Result<()> {
        let core = self.core;
        let version = core.version.load_full();
        let work = self.work(txn);
        let catalog = match work.edits.is_empty() {
            true => version.catalog.clone(),
            false => Arc::new(version.catalog.apply(&work.edits)),
        };
        let created = work.created.get(&storage).cloned();
        let table = created.or_else(|| version.tables.values().find(|t| t.storage() == storage).cloned());
        // Dropped before the checkpoint: nobody will look.
        let Some(table) = table else { return Ok(()) };
        work.writer(core, &catalog, &table, table.state().definition.oid)?.replay(changes)
    }

    fn catalog(&mut self, txn: TxnId, edits: &[u8]) -> Result<()> {
        let core = self.core;
        let edits = Edit::decode_list(edits)?;
        for edit in &edits {
            self.last_oid = self.last_oid.max(edit.oid());
            if let Edit::Put(Object::Table(table)) = edit {
                self.last_storage = self.last_storage.max(StorageId(table.storage));
                self.last_oid = table.constraints.iter().map(|c| c.oid).fold(self.last_oid, Oid::max);
            }
        }
        let work = self.work(txn);
        let all: Vec<Edit> = work.edits.iter().chain(&edits).cloned().collect();
        let catalog = core.version.load().catalog.apply(&all);
        work.stage(core, &edits, &catalog)
    }

    fn commit(&mut self, seq: Seq, txn: TxnId) -> Result<()> {
        self.saw(txn);
        if seq.0 < self.applied.0 {
            // Published before the checkpoint, which has all that was left of it.
            self.end(txn);
            return Ok(());
        }
        self.commits += 1;
        match self.open.remove(&txn) {
            Some(work) => self.core.publish(seq, work),
            None => {
                self.core.snapshots.publish(seq);
                Ok(())
            }
        }
    }

    fn end(&mut self, txn: TxnId) {
        if let Some(mut work) = self.open.remove(&txn) {
            work.logged = false;
            work.undo(self.core);
        }
    }
}
