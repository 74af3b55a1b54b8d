//! What one transaction has written so far, live or replayed.
//!
//! Statements fill it through writers, recovery from the log; commit and recovery publish it the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::{self, Catalog, Edit, Object, Oid};
use crate::database::commit;
use crate::database::core::Core;
use crate::error::{Error, Result};
use crate::index::Finder;
use crate::log::{Record, StorageId, TxnId};
use crate::storage::Admitted;
use crate::table::Table;
use crate::table::layer::Place;
use crate::table::state::VectorColumn;
use crate::table::write::Writer;

/// A transaction's writes, not published yet.
pub struct Work {
    pub txn: TxnId,
    /// Of the client, if there is one.
    pub session: Option<i32>,
    pub writers: BTreeMap<StorageId, Writer>,
    pub edits: Vec<Edit>,
    /// Tables whose files this transaction made.
    pub created: BTreeMap<StorageId, Arc<Table>>,
    /// Vector columns of tables whose columns this transaction changed.
    pub vectors: BTreeMap<StorageId, Arc<[VectorColumn]>>,
    /// Those of them that it dropped. ROLLBACK TO brings them back, which recovery meets as a definition that has them again.
    pub dropped_vectors: BTreeMap<StorageId, Vec<VectorColumn>>,
    /// Graphs of indexes this transaction made, where they are built already.
    pub graphs: Vec<(Oid, Arc<Finder>)>,
    /// Whether the log has records of it.
    pub logged: bool,
    /// Room in memory for what it writes, once that was waited for.
    admitted: Option<Vec<Admitted>>,
}

/// Log bytes a writer gathers before they are appended: large enough for the log to write in one piece, small enough
/// for a large COPY to need little memory.
pub const CHUNK_BYTES: usize = 1 << 20;

impl Work {
    pub fn new(txn: TxnId, session: Option<i32>) -> Work {
        Work {
            txn,
            session,
            writers: BTreeMap::new(),
            edits: Vec::new(),
            created: BTreeMap::new(),
            vectors: BTreeMap::new(),
            dropped_vectors: BTreeMap::new(),
            graphs: Vec::new(),
            logged: false,
            admitted: None,
        }
    }

    /// Logs a record of the transaction.
    pub fn append<'r>(&mut self, core: &Core, record: impl FnOnce(TxnId) -> Record<'r>) -> Result<()> {
        core.append_for(self.txn, self.session, record)?;
        self.logged = true;
        Ok(())
    }

    /// Hands chunks of this many bytes and more to the log.
    pub fn log_chunks(&mut self, core: &Core, bytes_min: usize) -> Result<()> {
        let full = self.writers.iter_mut().filter(|(_, writer)| writer.chunk_bytes() >= bytes_min.max(1));
        for (&storage, writer) in full {
            let changes = writer.take_chunk();
            let record = |txn| Record::Data { txn, storage, changes: &changes };
            if let Err(refused) = core.append_for(self.txn, self.session, record) {
                // After ROLLBACK TO the transaction goes on, with the rows from before the savepoint that are in it.
                writer.put_back_chunk(changes);
                return Err(refused);
            }
            writer.reuse_chunk(changes);
            self.logged = true;
        }
        Ok(())
    }

    /// Takes in edits: makes the files of new tables and goes on under the new definitions. `catalog` has the edits.
    pub fn stage(&mut self, core: &Core, edits: &[Edit], catalog: &Catalog) -> Result<()> {
        for edit in edits {
            if let Edit::Put(Object::Table(table)) = edit {
                self.create_files(core, table, catalog)?;
                self.add_vector_columns(core, table)?;
            }
        }
        self.redefine_writers(catalog);
        self.edits.extend_from_slice(edits);
        Ok(())
    }

    /// Writers go on under these definitions.
    pub fn redefine_writers(&mut self, catalog: &Catalog) {
        for writer in self.writers.values_mut() {
            if let Some(definition) = catalog.table_by_oid(writer.definition().oid)
                && definition.storage == writer.table().storage().0
            {
                let indexes: Vec<_> = catalog.indexes_of(definition.oid).cloned().collect();
                let vectors = vectors_of(&self.vectors, writer.table());
                writer.redefine(definition.clone(), &indexes, vectors);
            }
        }
    }

    fn create_files(&mut self, core: &Core, table: &catalog::Table, catalog: &Catalog) -> Result<()> {
        let storage = StorageId(table.storage);
        let version = core.version.load();
        let known = version.tables.get(&table.oid).is_some_and(|t| t.storage() == storage);
        // What is there of a damaged table is all there is.
        let known = known || version.is_damaged(storage);
        if known || self.created.contains_key(&storage) {
            return Ok(());
        }
        let dir = core.table_dir(storage);
        // What a crash left behind under this number belongs to nobody.
        core.store.drop_tree(storage);
        remove_leftovers(core, storage)?;
        let tree = core.store.create_tree(storage);
        let indexes: Vec<_> = catalog.indexes_of(table.oid).cloned().collect();
        let memory = (core.generations.room(), core.bitmaps.share());
        let created = Table::create(&core.fs, &dir, tree, Arc::new(table.clone()), &indexes, memory)?;
        self.created.insert(storage, Arc::new(created));
        Ok(())
    }

    /// Makes the segments of `vector(n)` columns that the table's files do not have yet, and leaves out those that were
    /// dropped.
    fn add_vector_columns(&mut self, core: &Core, definition: &catalog::Table) -> Result<()> {
        let storage = StorageId(definition.storage);
        let committed = core.version.load().tables.get(&definition.oid).cloned();
        let Some(table) = self.created.get(&storage).cloned().or(committed) else { return Ok(()) };
        let known = self.vectors_of(&table);
        let mut there = known.to_vec();
        let stored = table.state().vectors.clone();
        let dropped = self.dropped_vectors.remove(&storage).unwrap_or_default();
        for column in dropped.iter().chain(&*stored) {
            if there.iter().all(|known| known.number != column.number) {
                there.push(column.clone());
            }
        }
        let wanted = definition.stored_columns().enumerate().filter(|(_, column)| column.is_slot_vector());
        let wanted = wanted.map(|(position, column)| (position, column.number));
        let same = wanted.eq(known.iter().map(|vector| (vector.position, vector.number)));
        if table.storage() == storage && !same {
            self.vectors.insert(storage, table.vectors_of(&core.fs, definition, &there)?);
        }
        // One that is neither there nor dropped was added and rolled back: its number may be given to another.
        there.retain(|column| definition.dropped.iter().any(|dropped| dropped.number == column.number));
        if !there.is_empty() {
            self.dropped_vectors.insert(storage, there);
        }
        Ok(())
    }

    /// The table's vector columns as this transaction has them.
    pub fn vectors_of(&self, table: &Table) -> Arc<[VectorColumn]> {
        vectors_of(&self.vectors, table)
    }

    /// The writer of a table, made on first use.
    pub fn writer(
        &mut self,
        core: &Core,
        catalog: &Catalog,
        table: &Arc<Table>,
        oid: Oid,
    ) -> Result<&mut Writer> {
        let storage = table.storage();
        if !self.writers.contains_key(&storage) {
            // Dropped by this transaction, the table may come back by ROLLBACK TO.
            let dropped = || table.state().definition.clone();
            let definition = catalog.table_by_oid(oid).cloned().unwrap_or_else(dropped);
            let indexes: Vec<_> = catalog.indexes_of(oid).cloned().collect();
            let vectors = self.vectors_of(table);
            let spill_place = if core.options.background { Place::Aside } else { Place::Here };
            let overlay_bytes_max = core.options.overlay_bytes_max;
            let writer =
                Writer::new(table.clone(), definition, &indexes, vectors, overlay_bytes_max, spill_place);
            self.writers.insert(storage, writer);
        }
        Ok(self.writers.get_mut(&storage).expect("inserted above"))
    }

    /// Whether a commit has anything to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.writers.values().all(|writer| writer.overlay().is_empty())
    }

    /// Waits for room in memory, unless it has it. Definitions alone are let through on a full disk: DROP TABLE is how room
    /// is made.
    pub fn make_room(&mut self, core: &Core, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        if self.admitted.is_none() {
            let written = self.writers.values().filter(|writer| !writer.overlay().is_empty());
            let written = written.map(|writer| (writer.table().tree().clone(), writer.overlay().bytes()));
            self.admitted = Some(core.store.admit(&written.collect::<Vec<_>>(), go_on)?);
        }
        Ok(())
    }

    /// Does what may fail of publishing, before the commit is logged.
    pub fn prepare(&mut self) -> Result<()> {
        self.writers.values_mut().filter(|writer| writer.has_spilled()).try_for_each(Writer::prepare)
    }

    /// Undoes everything: slots are free again, files of new tables go.
    pub fn undo(self, core: &Core) {
        if self.logged {
            // Saves recovery the memory; without it the transaction has no Commit and never counts either.
            let txn = core.unfinished.last_number(self.txn);
            let _ = core.log.append(&[Record::Abort { txn }]);
        }
        for (_, writer) in self.writers {
            writer.undo();
        }
        // Recovery may meet the definition once more, under another number, and not the values.
        let recovering = core.recovering.load(Ordering::Relaxed);
        for edit in self.edits.iter().filter(|_| !recovering) {
            // An oid from new_oid that no committed object has.
            let new = core.version.load().catalog.sequence_by_oid(edit.oid()).is_none();
            if new && let Edit::Put(Object::Sequence(sequence)) = edit {
                core.sequences.forget(sequence.oid);
            }
        }
        for storage in self.created.into_keys() {
            // Recovery may meet a creation that the checkpoint has already.
            if core.version.load().tables.values().any(|table| table.storage() == storage) {
                continue;
            }
            core.store.drop_tree(storage);
            core.retired.lock().push(core.table_dir(storage));
        }
    }
}

/// Removes vector segments and bitmaps that lie in the folder of a storage id which is about to be used afresh.
fn remove_leftovers(core: &Core, storage: StorageId) -> Result<()> {
    let dir = core.table_dir(storage);
    core.retired.lock().retain(|retired| *retired != dir);
    for name in core.fs.list(&dir)? {
        if name
            .extension()
            .is_some_and(|extension| ["vec", "heap", "bits", "new"].iter().any(|own| extension == *own))
        {
            core.fs.remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

fn vectors_of(added: &BTreeMap<StorageId, Arc<[VectorColumn]>>, table: &Table) -> Arc<[VectorColumn]> {
    added.get(&table.storage()).cloned().unwrap_or_else(|| table.state().vectors.clone())
}

pub fn no_table(oid: Oid) -> Error {
    Error::new(crate::error::SqlState::UNDEFINED_TABLE, format!("relation with OID {oid} does not exist"))
}

/// A live transaction's work on its way to the log. Dropped before it is published, it is undone.
pub struct LiveWork {
    core: Arc<Core>,
    work: Option<Work>,
    /// What its records bear.
    number: TxnId,
    /// Log bytes not yet appended, by table.
    chunks: Vec<(StorageId, Vec<u8>)>,
    waits_for_disk: bool,
}

impl LiveWork {
    /// `waits_for_disk`: whether it is acknowledged only when it is on disk. Definitions always wait: files come and go
    /// with them.
    pub fn new(core: Arc<Core>, mut work: Work, waits_for_disk: bool) -> LiveWork {
        let waits_for_disk = waits_for_disk || !work.edits.is_empty();
        let chunks = work.writers.iter_mut().map(|(storage, writer)| (*storage, writer.take_chunk()));
        let chunks = chunks.filter(|(_, chunk)| !chunk.is_empty()).collect();
        let number = core.unfinished.last_number(work.txn);
        LiveWork { core, work: Some(work), number, chunks, waits_for_disk }
    }

    pub fn into_work(mut self) -> Work {
        self.work.take().expect("taken here only, and this consumes it")
    }
}

impl commit::Work for LiveWork {
    fn records<'a>(&'a self, records: &mut Vec<Record<'a>>) {
        let txn = self.number;
        for (storage, changes) in &self.chunks {
            records.push(Record::Data { txn, storage: *storage, changes });
        }
        records.push(Record::Commit { txn, time: Some(self.core.commit_time()) });
    }

    fn waits_for_disk(&self) -> bool {
        self.waits_for_disk
    }
}

impl Drop for LiveWork {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let txn = work.txn;
            work.undo(&self.core);
            self.core.ended(txn);
        }
    }
}
