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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::{CATALOG_STORAGE, Catalog, Edit, Object, Oid};
use crate::database::checkpoint::applied_of;
use crate::database::commit::Publish;
use crate::database::core::{Core, Version};
use crate::database::damaged::DamagedTables;
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
        self.leave_out_damaged(&mut work);
        if edits.is_empty() {
            work.writers.into_values().try_for_each(|writer| self.publish_writer(writer, seq, horizon))?;
        } else {
            self.publish_with_edits(seq, horizon, &edits, work)?;
        }
        self.snapshots.publish(seq);
        self.store.set_horizon(self.snapshots.horizon());
        self.bitmaps.settle(self.version.load().tables.values());
        Ok(())
    }

    /// What recovery gathered for a table before it met the damage.
    fn leave_out_damaged(&self, work: &mut Work) {
        let version = self.version.load();
        if !version.damaged.is_empty() {
            work.writers.retain(|storage, _| !version.is_damaged(*storage));
        }
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
            if self.is_usable(&tables, storage) {
                self.publish_writer(writer, seq, horizon)?;
            }
        }
        for &oid in &touched {
            if let Some(table) = tables.get(&oid).filter(|table| self.is_usable(&tables, table.storage())) {
                self.or_damaged(table, build_unique_keys(table, seq, &old, &catalog, oid))?;
            }
        }
        self.store_edits(seq, edits)?;
        let damaged = self.still_damaged(&touched, &catalog, &mut retired);
        tables.retain(|oid, _| !damaged.contains_key(oid));
        self.version.store(Arc::new(Version { seq, catalog: Arc::new(catalog), tables, damaged }));
        retired.extend(work.created.into_keys());
        for storage in retired {
            self.store.drop_tree(storage);
            self.retired.lock().push(self.table_dir(storage));
        }
        Ok(())
    }

    /// Whether the storage is one of these tables', and not found damaged meanwhile.
    fn is_usable(&self, tables: &HashMap<Oid, Arc<Table>>, storage: StorageId) -> bool {
        tables.values().any(|table| table.storage() == storage) && !self.version.load().is_damaged(storage)
    }

    /// Damaged tables without those that have gone, or have other files now.
    fn still_damaged(
        &self,
        touched: &BTreeSet<Oid>,
        catalog: &Catalog,
        retired: &mut Vec<StorageId>,
    ) -> DamagedTables {
        let mut damaged = self.version.load().damaged.clone();
        damaged.retain(|oid, known| {
            let table = catalog.table_by_oid(*oid);
            let stays = !touched.contains(oid) || table.is_some_and(|t| t.storage == known.storage.0);
            retired.extend((!stays).then_some(known.storage));
            stays
        });
        damaged
    }

    fn publish_writer(&self, writer: Writer, seq: Seq, horizon: Seq) -> Result<()> {
        let table = writer.table().clone();
        let (overlay, unborn) = writer.into_overlay();
        self.or_damaged(&table, table.publish(seq, overlay, horizon))?;
        table.give_back_slots(unborn);
        if self.recovering.load(Ordering::Relaxed) {
            // Nobody waited for room before; a live commit did.
            self.store.relieve(table.tree());
        }
        Ok(())
    }

    /// Publishes a commit that all tables have but this one, which was damaged when the others were checkpointed.
    fn publish_behind(&self, writer: Writer, seq: Seq) -> Result<()> {
        match self.version.load().is_damaged(writer.table().storage()) {
            true => Ok(()),
            false => self.publish_writer(writer, seq, self.snapshots.horizon()),
        }
    }

    /// Gives one table its new definition, or its place among the tables, or takes it away.
    fn place_table(
        &self,
        seq: Seq,
        oid: Oid,
        catalog: &Catalog,
        tables: &mut HashMap<Oid, Arc<Table>>,
        work: &mut Work,
        retired: &mut Vec<StorageId>,
    ) -> Result<()> {
        let Some(definition) = catalog.table_by_oid(oid) else {
            retired.extend(tables.remove(&oid).map(|table| table.storage()));
            return Ok(());
        };
        let storage = StorageId(definition.storage);
        if self.version.load().is_damaged(storage) {
            // Nothing of it is in memory.
            return Ok(());
        }
        if tables.get(&oid).is_none_or(|table| table.storage() != storage) {
            let created = work.created.remove(&storage).ok_or_else(|| no_files(&definition.name, storage))?;
            let former = tables.insert(oid, created.clone());
            if former.is_some() || self.version.load().damaged.contains_key(&oid) {
                created.replaces_at(seq);
            }
            retired.extend(former.map(|former| former.storage()));
        }
        let indexes: Vec<_> = catalog.indexes_of(oid).cloned().collect();
        let table = &tables[&oid];
        let vectors = work.vectors_of(table);
        self.or_damaged(table, table.redefine(definition.clone(), &indexes, &mut work.graphs, vectors, seq))
    }

    fn store_edits(&self, seq: Seq, edits: &[Edit]) -> Result<()> {
        let tree = self.store.create_tree(StorageId(CATALOG_STORAGE));
        // One entry per key: where an object was edited twice, the last word counts.
        let last: HashMap<Oid, &Edit> = edits.iter().map(|edit| (edit.oid(), edit)).collect();
        let entries: Vec<_> = last.values().map(|edit| edit.entry()).collect();
        tree.write(seq, entries.iter().map(|(key, value)| (&key[..], value.as_deref())))?;
        // Definitions were let in without room.
        match self.recovering.load(Ordering::Relaxed) {
            true => self.store.relieve(&tree),
            false => tree.relieve(),
        }
        for (oid, edit) in last {
            if matches!(edit, Edit::Delete(_)) {
                self.sequences.forget(oid);
            }
        }
        Ok(())
    }
}

/// Whatever the cause, a full disk too, this is no refusal: recovery will find the commit.
fn durable_but_not_visible(cause: &Error) -> Error {
    let message = format!("the commit is durable but could not be made visible: {}", cause.message());
    Error::new(SqlState::IO_ERROR, message).hint("Restart the server; it recovers the commit from the log.")
}

/// Whether a table or an index of it is another one. One that was dropped and brought back by ROLLBACK TO is not.
fn is_redefined(before: &Catalog, after: &Catalog, table: Oid) -> bool {
    before.table_by_oid(table) != after.table_by_oid(table)
        || !before.indexes_of(table).eq(after.indexes_of(table))
}

/// Tables that these edits create, change or drop, or whose indexes they do.
pub fn touched_tables(edits: &[Edit], old: &Catalog) -> BTreeSet<Oid> {
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
        table.tree().relieve();
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
    let folded = unique.folded.clone();
    Ok(UniqueKey { nulls_equal, folded, ..UniqueKey::of_values(unique.index, values.len()) }
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
    /// Records before this are of transactions that had ended by then.
    from: Position,
    /// Tables that were damaged then, and what they have: records before `from` are replayed for them.
    behind: BTreeMap<StorageId, Position>,
    open: HashMap<TxnId, Work>,
    /// Tables that commits since the checkpoint have created or given another definition.
    pub redefined: BTreeSet<Oid>,
    pub last_txn: TxnId,
    pub last_oid: Oid,
    pub last_storage: StorageId,
    pub commits: u64,
}

impl<'a> Replay<'a> {
    pub fn new(core: &'a Core, applied: Position, from: Position) -> Result<Replay<'a>> {
        let mut behind = BTreeMap::new();
        for table in core.version.load().tables.values() {
            let own = applied_of(&core.store, table.storage())?;
            if own < applied {
                let name = table.state().definition.qualified_name();
                log::info!("the table \"{name}\" was damaged and opens again; it takes in what it missed");
                behind.insert(table.storage(), own);
            }
        }
        Ok(Replay {
            core,
            applied,
            from,
            behind,
            open: HashMap::new(),
            redefined: BTreeSet::new(),
            last_txn: TxnId(0),
            last_oid: 0,
            last_storage: StorageId(0),
            commits: 0,
        })
    }

    /// Whether a table lacks commits that the others have.
    pub fn is_any_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    pub fn apply(&mut self, position: Position, record: Record) -> Result<()> {
        let is_past = position < self.from;
        match record {
            Record::Data { storage, .. } if is_past && !self.behind.contains_key(&storage) => Ok(()),
            Record::Catalog { .. } | Record::Sequence { .. } if is_past => Ok(()),
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
        self.open.entry(txn).or_insert_with(|| Work::new(txn, None))
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
        let is_created = created.is_some();
        let table = created.or_else(|| version.tables.values().find(|t| t.storage() == storage).cloned());
        // Dropped before the checkpoint: nobody will look; or damaged: nobody can.
        let Some(table) = table else { return Ok(()) };
        let writer = work.writer(core, &catalog, &table, table.state().definition.oid)?;
        match writer.replay(changes) {
            // Files that are made right now do not rot.
            outcome if is_created => outcome,
            outcome => core.or_damaged(&table, outcome),
        }
    }

    fn catalog(&mut self, txn: TxnId, edits: &[u8]) -> Result<()> {
        let core = self.core;
        let edits = Edit::decode_list(edits)?;
        for edit in &edits {
            self.last_oid = self.last_oid.max(edit.oid_max());
            if let Edit::Put(Object::Table(table)) = edit {
                self.last_storage = self.last_storage.max(StorageId(table.storage));
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
            self.commit_behind(seq, txn)?;
            self.end(txn);
            return Ok(());
        }
        self.commits += 1;
        match self.open.remove(&txn) {
            Some(work) => {
                let before = self.core.version.load().catalog.clone();
                let touched = touched_tables(&work.edits, &before);
                self.core.publish(seq, work)?;
                let after = &self.core.version.load().catalog;
                self.redefined.extend(touched.into_iter().filter(|oid| is_redefined(&before, after, *oid)));
                Ok(())
            }
            None => {
                self.core.snapshots.publish(seq);
                Ok(())
            }
        }
    }

    /// What a commit wrote to tables that the checkpoint has without it.
    fn commit_behind(&mut self, seq: Seq, txn: TxnId) -> Result<()> {
        let Some(work) = self.open.get_mut(&txn) else { return Ok(()) };
        for (storage, _) in self.behind.iter().filter(|(_, applied)| seq.0 >= applied.0) {
            if let Some(writer) = work.writers.remove(storage) {
                self.core.publish_behind(writer, seq)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, txn: TxnId) {
        if let Some(mut work) = self.open.remove(&txn) {
            work.logged = false;
            work.undo(self.core);
        }
    }
}
