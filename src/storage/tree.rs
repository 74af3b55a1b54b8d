//! One ordered map with versions.
//!
//! ```text
//!   State (readers take it whole, writers replace it)
//!     active    the memtable that writes go into
//!     pending   frozen memtables and tables not yet in a checkpoint, oldest first
//!     version   the tables the manifest names
//! ```
//!
//! Whoever looks for a key goes from `active` back to the last level and stops at the first version it may
//! see: each part has only older versions of a key than those before it.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::admission::Gate;
use super::cells::Row;
use super::column_scan::{ColumnScan, OwnRows};
use super::compaction::Retain;
use super::context::{Context, Traffic};
use super::limiter::Lane;
use super::memtable::{Entry, Memtable};
use super::merge::{LevelSource, MemtableSource, Merge, Source};
use super::scan::Scan;
use super::shape::Shape;
use super::slice::Slice;
use super::spill::SpilledTable;
use super::sstable::{ENTRY_BYTES_MAX, Packing, SEQ_MAX, Table, Writer, bloom_hash};
use super::version::{Version, table_of};
use crate::error::{Error, Result, SqlState};
use crate::log::{Seq, StorageId};

/// A key may have a version per sequence number. Any number of readers, one writer at a time.
pub struct Tree {
    id: StorageId,
    context: Arc<Context>,
    state: ArcSwap<State>,
    /// Held while `state` is replaced.
    change: Mutex<Counters>,
    /// Held by the writer, and by whoever freezes what it writes into.
    writing: Mutex<()>,
    /// Held during a flush.
    flushing: Mutex<()>,
    dropped: AtomicBool,
    /// Who may write.
    pub(super) gate: Mutex<Gate>,
}

#[derive(Clone)]
struct State {
    active: Arc<Memtable>,
    pending: Vec<Pending>,
    version: Arc<Version>,
}

#[derive(Default)]
struct Counters {
    /// Batches made pending so far.
    batches: u64,
}

/// A part that a crash would take; the log has it still.
#[derive(Clone)]
struct Pending {
    batch: u64,
    part: Part,
}

#[derive(Clone)]
enum Part {
    Memtable(Arc<Memtable>),
    /// A flushed memtable or an ingested table: disjoint, in order of keys.
    Tables(Arc<[Arc<Table>]>),
}

impl Pending {
    fn tables(&self) -> Option<&[Arc<Table>]> {
        match &self.part {
            Part::Memtable(_) => None,
            Part::Tables(tables) => Some(tables),
        }
    }

    fn memtable(&self) -> Option<&Arc<Memtable>> {
        match &self.part {
            Part::Memtable(memtable) => Some(memtable),
            Part::Tables(_) => None,
        }
    }
}

impl Tree {
    pub(super) fn new(id: StorageId, context: Arc<Context>, version: Version) -> Tree {
        let state =
            State { active: Arc::new(Memtable::new()), pending: Vec::new(), version: Arc::new(version) };
        Tree {
            id,
            context,
            state: ArcSwap::from_pointee(state),
            change: Mutex::default(),
            writing: Mutex::default(),
            flushing: Mutex::default(),
            dropped: AtomicBool::new(false),
            gate: Mutex::default(),
        }
    }

    pub fn id(&self) -> StorageId {
        self.id
    }

    /// The newest version of `key` at or before `snapshot`, unless that is a deletion.
    pub fn get(&self, key: &[u8], snapshot: Seq) -> Result<Option<Slice>> {
        Ok(self.find(key, snapshot)?.map(Row::into_bytes))
    }

    /// [`Tree::get`], where it lies.
    pub fn find(&self, key: &[u8], snapshot: Seq) -> Result<Option<Row>> {
        Ok(self.get_with_seq(key, snapshot)?.and_then(|(_, row)| row))
    }

    /// The newest version of `key` at or before `snapshot`, with its sequence number; the row of a deletion is `None`. A
    /// deletion older than the horizon may have been forgotten, and then the answer is `None`.
    pub fn get_with_seq(&self, key: &[u8], snapshot: Seq) -> Result<Option<(Seq, Option<Row>)>> {
        let state = self.state.load();
        let of_memtable = |entry: Entry| (entry.seq, entry.value.map(Row::Bytes));
        if let Some(entry) = state.active.get(key, snapshot) {
            return Ok(Some(of_memtable(entry)));
        }
        let hash = bloom_hash(key);
        for pending in state.pending.iter().rev() {
            let found = match &pending.part {
                Part::Memtable(memtable) => memtable.get(key, snapshot).map(of_memtable),
                Part::Tables(tables) => {
                    table_of(tables, key).map_or(Ok(None), |table| table.get(key, hash, snapshot))?
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        state.version.get(key, hash, snapshot)
    }

    /// Tells what the values of rows are made up of, so that their blocks are of columns from now on. Columns are only
    /// added.
    pub fn set_shape(&self, shape: Shape) {
        self.context.shapes.set(self.id, shape);
    }

    /// Writes versions at `seq`, which is not lower than that of any write before; `None` deletes. Readers
    /// with an older snapshot do not see them. Of two values for a key at one `seq` the later counts. Never
    /// waits: whether there is room is asked before, with [`Store::admit`](super::Store::admit), or made
    /// with [`Tree::relieve`]. The only error is an entry that is too large (54000); those before it are
    /// written.
    pub fn write<'a>(
        &self,
        seq: Seq,
        puts: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<()> {
        let guard = self.writing.lock();
        let active = self.state.load().active.clone();
        let before = active.bytes();
        let written = puts.into_iter().try_for_each(|(key, value)| {
            check_size(seq, key, value)?;
            active.insert(seq, key, value);
            Ok(())
        });
        let bytes = active.bytes();
        let full = bytes >= self.context.options.memtable_bytes_max;
        if full {
            self.rotate();
        }
        drop(guard);
        self.context.memory.grown(bytes - before);
        if full {
            self.context.signal.work();
        }
        written
    }

    /// Flushes on this thread while there are more frozen memtables than there may be: for writes that nobody was asked
    /// about. After a failure, of which the store's statistics tell, they stay in memory.
    pub fn relieve(&self) {
        let allowed = self.context.options.frozen_memtables_max;
        while self.unflushed() > allowed && self.failure().is_none() {
            if !matches!(self.flush_one(u64::MAX, None), Ok(true)) {
                return;
            }
        }
    }

    /// The newest version at or before `snapshot` of every key in the range, in order of keys, deletions
    /// left out.
    pub fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, snapshot: Seq) -> Scan {
        let state = self.state.load();
        let mut sources = Vec::new();
        let memtable = |memtable: &Arc<Memtable>, sources: &mut Vec<Source>| {
            if !memtable.is_empty() {
                sources.push(Source::Memtable(MemtableSource::new(memtable.clone(), from)));
            }
        };
        memtable(&state.active, &mut sources);
        for pending in state.pending.iter().rev() {
            match &pending.part {
                Part::Memtable(frozen) => memtable(frozen, &mut sources),
                Part::Tables(tables) => sources.push(Source::Level(LevelSource::new(tables, from, to, true))),
            }
        }
        for table in state.version.levels[0].iter().rev() {
            sources.push(Source::Level(LevelSource::new(std::slice::from_ref(table), from, to, true)));
        }
        for tables in state.version.levels[1..].iter().filter(|tables| !tables.is_empty()) {
            sources.push(Source::Level(LevelSource::new(tables, from, to, true)));
        }
        Scan::new(sources, to, snapshot)
    }

    /// All rows whose keys are `prefix` and a slot, as of a snapshot, and those of `own` instead where it has them.
    pub fn rows(&self, prefix: u8, snapshot: Seq, own: Option<OwnRows>) -> Result<ColumnScan> {
        let state = self.state.load();
        let mut scan = ColumnScan::new(prefix, snapshot, own);
        scan.add_memtable(&state.active);
        for pending in state.pending.iter().rev() {
            match &pending.part {
                Part::Memtable(frozen) => scan.add_memtable(frozen),
                Part::Tables(tables) => scan.add_tables(tables),
            }
        }
        state.version.levels[0].chunks(1).rev().for_each(|table| scan.add_tables(table));
        state.version.levels[1..].iter().for_each(|tables| scan.add_tables(tables));
        scan.begin()
    }

    /// Writes entries, whose keys ascend strictly, to files that nobody else sees; `None` deletes.
    pub fn build_table<'a>(
        &self,
        sorted: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<SpilledTable> {
        let mut writer = Writer::new(self.context.clone(), self.id);
        for (key, value) in sorted {
            check_size(Seq(0), key, value)?;
            writer.add(key, Seq(0), value)?;
        }
        Ok(SpilledTable { tables: writer.finish()? })
    }

    /// Publishes a spilled table of this tree as if all its entries were written at `seq` now. Where two
    /// tables ingested at one `seq` have the same key, the later one counts. Lasting from the next
    /// checkpoint on, as all writes.
    pub fn ingest(&self, table: SpilledTable, seq: Seq) -> Result<()> {
        check_size(seq, b"", None)?;
        let tables: Arc<[_]> = table.tables.iter().map(|table| Arc::new(table.ingested(seq))).collect();
        if tables.is_empty() {
            return Ok(());
        }
        Traffic::add(&self.context.traffic.arrived_bytes, &tables);
        let _guard = self.writing.lock();
        self.rotate();
        self.replace(|state, counters| {
            counters.batches += 1;
            state.pending.push(Pending { batch: counters.batches, part: Part::Tables(tables) });
        });
        Ok(())
    }

    /// Bytes in sorted tables.
    pub fn bytes_on_disk(&self) -> u64 {
        let state = self.state.load();
        let pending = state.pending.iter().filter_map(Pending::tables).flatten();
        state.version.tables().chain(pending).map(|table| table.meta().bytes).sum()
    }

    /// Bytes in memtables.
    pub fn bytes_in_memory(&self) -> usize {
        let state = self.state.load();
        let frozen = state.pending.iter().filter_map(Pending::memtable).map(|memtable| memtable.bytes());
        state.active.bytes() + frozen.sum::<usize>()
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Relaxed)
    }

    pub(super) fn set_dropped(&self) {
        self.dropped.store(true, Relaxed);
        self.context.signal.forget(self.id);
        self.context.shapes.forget(self.id);
    }

    pub(super) fn version(&self) -> Arc<Version> {
        self.state.load().version.clone()
    }

    /// Freezes what was written so far and names the last batch of it.
    pub(super) fn freeze(&self) -> u64 {
        let _guard = self.writing.lock();
        self.rotate();
        self.change.lock().batches
    }

    /// Frozen memtables not flushed yet.
    pub(super) fn unflushed(&self) -> usize {
        unflushed(&self.state.load())
    }

    /// Flushes the oldest frozen memtable up to batch `last`, if there is one; as fast as it goes, or as the lane's rate has
    /// it.
    pub(super) fn flush_one(&self, last: u64, lane: Option<Lane>) -> Result<bool> {
        let _guard = self.flushing.lock();
        let state = self.state.load_full();
        let mut frozen = state.pending.iter().filter(|pending| pending.batch <= last);
        let oldest = frozen.find_map(|pending| Some((pending.batch, pending.memtable()?.clone())));
        let Some((batch, memtable)) = oldest else { return Ok(false) };
        drop(state);
        let tables = self.write_memtable(memtable, lane).inspect_err(|error| self.note_failure(error))?;
        self.replace(|state, _| {
            for pending in state.pending.iter_mut().filter(|pending| pending.batch == batch) {
                pending.part = Part::Tables(tables.clone());
            }
        });
        self.context.signal.progress(self.id);
        Ok(true)
    }

    fn note_failure(&self, error: &Error) {
        if error.state() == SqlState::ADMIN_SHUTDOWN {
            return;
        }
        self.context.signal.failed(self.id, error.clone());
        if self.is_dropped() {
            self.context.signal.forget(self.id);
        }
    }

    /// What the last flush failed with, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.context.signal.failure(self.id)
    }

    /// Bytes in the memtable that writes go into.
    pub(super) fn active_bytes(&self) -> usize {
        self.state.load().active.bytes()
    }

    /// Tables in level 0.
    pub(super) fn level0(&self) -> usize {
        self.state.load().version.levels[0].len()
    }

    /// The tables of all batches up to `last`, which are flushed, oldest first.
    pub(super) fn pending_tables(&self, last: u64) -> Vec<Arc<Table>> {
        let state = self.state.load();
        let mut all = Vec::new();
        for pending in state.pending.iter().filter(|pending| pending.batch <= last) {
            match &pending.part {
                Part::Tables(tables) => all.extend(tables.iter().cloned()),
                Part::Memtable(_) => {
                    unreachable!("batch {} is flushed before its tables are listed", pending.batch)
                }
            }
        }
        all
    }

    /// The manifest names the tables of all batches up to `last`: they are level 0 now.
    pub(super) fn adopt(&self, last: u64) {
        let adopted = self.pending_tables(last);
        self.replace(|state, _| {
            state.version = Arc::new(state.version.replaced(&[], 0, &adopted));
            state.pending.retain(|pending| pending.batch > last);
        });
    }

    /// The manifest names other tables after a compaction.
    pub(super) fn replace_tables(&self, removed: &[u64], level: usize, added: &[Arc<Table>]) {
        self.replace(|state, _| state.version = Arc::new(state.version.replaced(removed, level, added)));
    }

    /// Number and bytes of tables no checkpoint has yet.
    pub(super) fn pending_size(&self) -> (usize, u64) {
        let state = self.state.load();
        let tables = state.pending.iter().filter_map(Pending::tables).flatten();
        tables.fold((0, 0), |(count, bytes), table| (count + 1, bytes + table.meta().bytes))
    }

    /// Every table, those of pending batches included.
    pub(super) fn all_tables(&self) -> Vec<Arc<Table>> {
        let state = self.state.load();
        let mut all: Vec<_> = state.version.tables().cloned().collect();
        all.extend(state.pending.iter().filter_map(Pending::tables).flatten().cloned());
        all
    }

    fn write_memtable(&self, memtable: Arc<Memtable>, lane: Option<Lane>) -> Result<Arc<[Arc<Table>]>> {
        let all = MemtableSource::new(memtable.clone(), Bound::Unbounded);
        let merge = Merge::new(vec![Source::Memtable(all)]);
        let mut kept = Retain::new(merge, self.context.horizon(), |_| Ok(false));
        let packing = |first_key: &[u8]| self.packing(&memtable, first_key);
        let mut writer = Writer::with_packing(self.context.clone(), self.id, packing).paced(lane);
        while let Some(entry) = kept.next()? {
            writer.add(entry.key, entry.seq, entry.value)?;
        }
        let tables = writer.finish()?;
        Traffic::add(&self.context.traffic.arrived_bytes, &tables);
        Ok(tables.into())
    }

    /// A table that soon is merged with others is not deflated first: that is more work than all the rest of a flush. Those
    /// are the tables of a full memtable that overlap what is in levels 0 and 1 or on the way there. Others stay as they
    /// are written for long: they are moved down, or writes are so few that level 0 hardly fills.
    fn packing(&self, memtable: &Memtable, first_key: &[u8]) -> Packing {
        let is_full = memtable.bytes() >= self.context.options.memtable_bytes_max;
        let last_key = first_key.first().and_then(|byte| memtable.last_key_with(*byte));
        let (true, Some(last_key)) = (is_full, last_key) else { return Packing::Deflate };
        let state = self.state.load();
        let on_their_way = state.pending.iter().filter_map(Pending::tables).flatten();
        let mut above = state.version.levels[..2].iter().flatten().chain(on_their_way);
        let overlaps = |table: &Arc<Table>| {
            let meta = table.meta();
            meta.key_min[..] <= last_key[..] && first_key <= &meta.key_max[..]
        };
        if above.any(overlaps) { Packing::Plain } else { Packing::Deflate }
    }

    /// Makes the active memtable pending, unless it is empty. The caller holds `writing`.
    fn rotate(&self) {
        self.replace(|state, counters| {
            if state.active.is_empty() {
                return;
            }
            let full = std::mem::replace(&mut state.active, Arc::new(Memtable::new()));
            counters.batches += 1;
            state.pending.push(Pending { batch: counters.batches, part: Part::Memtable(full) });
        });
    }

    fn replace(&self, change: impl FnOnce(&mut State, &mut Counters)) {
        let mut counters = self.change.lock();
        let mut state = State::clone(&self.state.load());
        change(&mut state, &mut counters);
        self.state.store(Arc::new(state));
    }
}

/// Frozen memtables that are to be flushed.
fn unflushed(state: &State) -> usize {
    state.pending.iter().filter_map(Pending::memtable).count()
}

fn check_size(seq: Seq, key: &[u8], value: Option<&[u8]>) -> Result<()> {
    let bytes = key.len() + value.map_or(0, <[u8]>::len);
    if bytes > ENTRY_BYTES_MAX {
        let message = format!("an entry of {bytes} bytes exceeds the maximum of {ENTRY_BYTES_MAX}");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if seq.0 > SEQ_MAX {
        return Err(Error::internal(format!("sequence number {} is larger than {SEQ_MAX}", seq.0)));
    }
    Ok(())
}
