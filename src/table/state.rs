//! A table as it is now: its tree, its vectors, and in memory what searches go through.
//!
//! Everything in memory sits in one immutable [`State`] behind an `Arc`. A reader takes the `Arc`; a commit changes
//! the state in place when nobody holds it and a copy when somebody does. Copies are shallow: parts are `Arc`s of
//! their own and are copied when they change.
//!
//! A commit writes the tree first, then adds its slots to the change list and changes the bitmaps in one step, and
//! only then does the database let new snapshots see its sequence number. So a reader who takes its snapshot first
//! and the state second finds every later change in the list.

mod remake;
mod restore;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::catalog::{self, IndexMethod, Oid};
use crate::distance::Element;
use crate::error::Result;
use crate::fs::Fs;
use crate::index::bitmap::{Excess, Share};
use crate::index::finder::{Finder, Params};
use crate::index::recall::Measured;
use crate::index::room::Room;
use crate::index::{hnsw, ivf};
use crate::log::{Seq, StorageId};
use crate::storage::{ScanEntry, Slice, Tree};
use crate::table::changes::ChangeList;
use crate::table::keys::{ROWS, UniqueKey, row_key, slot_of_row_key};
use crate::table::metadata::{Cells, Metadata};
use crate::table::overlay::Overlay;
use crate::table::rows::Layout;
use crate::table::slots::Slots;
use crate::vectors;

pub use restore::Saved;

/// The files and the newest state behind one storage id.
pub struct Table {
    storage: StorageId,
    /// Vector segments and bitmaps.
    dir: PathBuf,
    tree: Arc<Tree>,
    state: RwLock<Arc<State>>,
    /// Held by whoever makes the next state.
    changing: Mutex<()>,
    slots: Mutex<Slots>,
    /// Row versions that died or were replaced since the last vacuum.
    obsolete: AtomicU64,
    /// Of these, those that a snapshot may still see: how many each commit left behind, oldest first.
    obsolete_since: Mutex<VecDeque<(Seq, u64)>>,
    /// From the opening of its files until the log behind them is replayed.
    recovering: AtomicBool,
    /// The commit that put it in the place of another storage of the same table.
    replaces_at: AtomicU64,
    /// The horizon of the last vacuum: until it moves, another one finds nothing.
    vacuumed: AtomicU64,
    /// Slots that commits have changed since a checkpoint saved live set and metadata indexes.
    unsaved: Mutex<RoaringBitmap>,
    /// The last commit that the state has; 0 before the first.
    changed: AtomicU64,
    /// Slots that commits have changed since metadata indexes began to be made anew, while they are.
    noted: Mutex<Option<RoaringBitmap>>,
}

/// What is in memory, as of the newest commit.
#[derive(Clone)]
pub struct State {
    pub definition: Arc<catalog::Table>,
    pub layout: Arc<Layout>,
    pub unique_keys: Arc<[UniqueKey]>,
    /// Per unique key the commit that made it, while the server runs. Earlier snapshots have no keys of it.
    pub unique_since: Arc<[Seq]>,
    /// One per column whose cells are in segments, in order of columns.
    pub vectors: Arc<[VectorColumn]>,
    pub live: Arc<RoaringBitmap>,
    /// Another one after each change, never twice for one table.
    pub version: u64,
    pub changes: ChangeList,
    pub metadata: Metadata,
    pub vector_indexes: Vec<VectorIndex>,
    /// Memory for new graphs.
    room: Arc<Room>,
}

/// The segments of a `vector(n)` column, or of one of its like.
#[derive(Clone)]
pub struct VectorColumn {
    /// Position in the row, from 0.
    pub position: usize,
    /// The column's number, which names the segments.
    pub number: u16,
    /// The commit that added the column, while the server runs. Earlier snapshots may see other rows in its slots.
    pub since: Seq,
    pub column: Arc<vectors::Column>,
}

/// A graph or lists, and what they do not hold yet.
#[derive(Clone)]
pub struct VectorIndex {
    pub definition: Arc<catalog::Index>,
    /// Position of the column in the row, from 0.
    pub position: usize,
    pub finder: Arc<Finder>,
    /// Alive and not offered to the graph yet.
    pub tail: Arc<RoaringBitmap>,
    /// What the indexer wants to know of the tail.
    pub watch: Arc<TailWatch>,
    /// What recall it has shown.
    pub measured: Arc<Measured>,
    /// Nodes of its generations on disk, which a crash may bring back.
    pub saved: Arc<RoaringBitmap>,
}

/// By which the indexer decides whether a tail may wait.
#[derive(Default)]
pub struct TailWatch {
    /// Rows in the tail when the indexer last looked.
    pub rows: AtomicU64,
    /// Whether a search has compared the tail since then.
    pub searched: AtomicBool,
}

/// What a commit does to the state, worked out before the state is touched.
struct Delta {
    born: RoaringBitmap,
    changed: RoaringBitmap,
    died: RoaringBitmap,
}

/// Changing this many slots in a copy of the state keeps readers from waiting; below it, changing in place is cheaper.
const IN_PLACE_MAX: u64 = 256;
/// Nor may more parts of metadata indexes come from files for it, which take some 30 us each.
const IN_PLACE_PARTS_MAX: usize = 32;

/// The columns whose cells are in segments, their segments from `segments(column number, element and dimensions)`.
fn vector_columns(
    definition: &catalog::Table,
    segments: impl Fn(u32, (Element, usize)) -> Result<vectors::Column>,
) -> Result<Vec<VectorColumn>> {
    let mut columns = Vec::new();
    for (position, column) in definition.stored_columns().enumerate() {
        if let Some(shape) = Element::of(&column.ty) {
            let number = column.number;
            let column = Arc::new(segments(u32::from(number), shape)?);
            columns.push(VectorColumn { position, number, since: Seq(0), column });
        }
    }
    Ok(columns)
}

impl Table {
    /// A table without rows. Makes its folder. `room` is for its graphs, `share` for its metadata indexes.
    pub fn create(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        tree: Arc<Tree>,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        (room, share): (&Arc<Room>, &Arc<Share>),
    ) -> Result<Table> {
        let columns = vector_columns(&definition, |number, shape| {
            vectors::Column::create(fs.clone(), dir, number, shape)
        })?;
        Ok(Table::from_parts(dir, tree, definition, indexes, columns, (room, share)))
    }

    /// A table whose rows are in its files; [`Table::restore`] tells which live.
    pub fn open(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        tree: Arc<Tree>,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        (room, share): (&Arc<Room>, &Arc<Share>),
    ) -> Result<Table> {
        let columns = vector_columns(&definition, |number, shape| {
            vectors::Column::open(fs.clone(), dir, number, shape)
        })?;
        Ok(Table::from_parts(dir, tree, definition, indexes, columns, (room, share)))
    }

    fn from_parts(
        dir: &Path,
        tree: Arc<Tree>,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        columns: Vec<VectorColumn>,
        (room, share): (&Arc<Room>, &Arc<Share>),
    ) -> Table {
        let unique_keys = unique_keys(indexes, &definition);
        let state = State {
            layout: Arc::new(Layout::of(&definition)),
            unique_since: unique_keys.iter().map(|_| Seq(0)).collect(),
            unique_keys,
            vectors: columns.into(),
            live: Arc::default(),
            version: 0,
            changes: ChangeList::default(),
            metadata: Metadata::new(&definition, indexes, share),
            vector_indexes: indexes
                .iter()
                .filter_map(|index| VectorIndex::new(index, &definition, room))
                .collect(),
            room: room.clone(),
            definition,
        };
        state.expect_misses();
        tree.set_shape(state.layout.shape());
        Table {
            storage: tree.id(),
            dir: dir.to_path_buf(),
            tree,
            state: RwLock::new(Arc::new(state)),
            changing: Mutex::new(()),
            slots: Mutex::new(Slots::default()),
            obsolete: AtomicU64::new(0),
            obsolete_since: Mutex::default(),
            recovering: AtomicBool::new(false),
            replaces_at: AtomicU64::new(0),
            vacuumed: AtomicU64::new(0),
            unsaved: Mutex::default(),
            changed: AtomicU64::new(0),
            noted: Mutex::default(),
        }
    }

    pub fn storage(&self) -> StorageId {
        self.storage
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The newest state.
    pub fn state(&self) -> Arc<State> {
        self.state.read().clone()
    }

    /// Makes the next state. With `copy`, readers go on meanwhile.
    fn change(&self, copy: bool, f: impl FnOnce(&mut State)) {
        let _changing = self.changing.lock();
        if copy {
            let mut next = State::clone(&self.state.read());
            f(&mut next);
            next.version += 1;
            let former = std::mem::replace(&mut *self.state.write(), Arc::new(next));
            // Much may go with it, and nobody is to wait for that.
            drop(former);
        } else {
            let mut state = self.state.write();
            let state = Arc::make_mut(&mut state);
            f(state);
            state.version += 1;
        }
    }

    /// Makes a transaction's writes visible from `seq` on. No snapshot is older than `horizon`. One commit at a time.
    pub fn publish(&self, seq: Seq, overlay: Arc<Overlay>, horizon: Seq) -> Result<()> {
        let delta = Delta {
            born: overlay.inserted().clone(),
            changed: &overlay.alive() - overlay.inserted(),
            died: overlay.deleted().clone(),
        };
        let state = self.state();
        let copy =
            delta.len() > IN_PLACE_MAX || state.metadata.parts_in_files(&delta.all()) > IN_PLACE_PARTS_MAX;
        let (bulk, cells) = match copy {
            true => (Some(self.publish_bulk(seq, overlay, &state, &delta)?), state.metadata.cells()),
            false => {
                let cells = small_cells(&state, &overlay)?;
                Arc::unwrap_or_clone(overlay).publish(&self.tree, seq)?;
                (None, cells)
            }
        };
        drop(state);
        if let Some(last) = delta.born.max() {
            self.slots.lock().raise(last + 1);
        }
        self.change(copy, |state| {
            state.changes.trim(horizon);
            state.changes.push(seq, delta.all());
            match bulk {
                Some(metadata) => state.metadata = metadata,
                None => state.metadata.change(&cells, &delta.died),
            }
            state.flip(&delta, self.recovering.load(Ordering::Relaxed));
            self.note(seq, &delta.all());
        });
        [&delta.born, &delta.changed, &delta.died].into_iter().for_each(|slots| self.add_unsaved(slots));
        self.note_obsolete(delta.changed.len() + delta.died.len(), seq, horizon);
        if !delta.died.is_empty() {
            self.slots.lock().died(seq, delta.died);
        }
        Ok(())
    }

    #[cfg(test)]
    pub fn lose_metadata(&self, column: u16) {
        self.change(true, |state| state.metadata.lose(column));
    }

    /// Moves as much of metadata indexes as is too much in memory, as far as those of this table can, and counts it down.
    /// Readers go on meanwhile.
    pub fn settle_metadata(&self, excess: &mut Excess) {
        if self.state().metadata.is_movable() {
            self.change(true, |state| state.metadata.settle(excess));
        }
    }

    /// Makes some of the filters that metadata indexes lack; false when none do. Readers go on meanwhile.
    pub fn make_next_filters(&self) -> bool {
        let lacks = self.state().metadata.lacks_filters();
        if lacks {
            self.change(true, |state| state.metadata.make_next_filters());
        }
        lacks
    }

    /// Writes many rows to the tree, and meanwhile takes them into the metadata indexes: each is a third of what is left
    /// of a COPY once its data has been read.
    fn publish_bulk(
        &self,
        seq: Seq,
        overlay: Arc<Overlay>,
        state: &State,
        delta: &Delta,
    ) -> Result<Metadata> {
        if overlay.has_spilled() {
            let metadata = bulk_metadata(state, &overlay, delta)?;
            Arc::unwrap_or_clone(overlay).publish(&self.tree, seq)?;
            return Ok(metadata);
        }
        std::thread::scope(|scope| {
            let metadata = scope.spawn(|| bulk_metadata(state, &overlay, delta));
            let written = overlay.write(&self.tree, seq);
            let metadata = metadata.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            written.and(metadata)
        })
    }

    /// After the log was replayed: which slots may be given out. An error when it cannot be read where vectors lie.
    pub fn recover_slots(&self) -> Result<()> {
        self.recovering.store(false, Ordering::Relaxed);
        let state = self.state();
        let mut slots = self.slots.lock();
        *slots = Slots::recovered(slots.next(), &state.live, |slot| state.graph_knows(slot));
        // Replaced versions are not counted on disk; what a vacuum before the stop would have found is about this.
        self.obsolete.fetch_max(slots.dead(), Ordering::Relaxed);
        let kept = if state.vectors.iter().any(|vector| vector.column.has_heap()) {
            &slots.held() - &*state.live
        } else {
            RoaringBitmap::new()
        };
        for vector in state.vectors.iter() {
            vector.column.assume_holes(|slots| state.live.range_cardinality(slots) > 0);
            vector.column.recover(state.live.iter(), kept.iter())?;
        }
        Ok(())
    }

    /// Slots for new rows, ascending.
    pub fn take_slots(&self, count: usize, horizon: Seq) -> Result<Vec<u32>> {
        let state = self.state();
        let mut slots = self.slots.lock();
        slots.reclaim(horizon, |slot| state.graph_knows(slot));
        slots.take(count)
    }

    /// Slots of a transaction that was undone.
    pub fn give_back_slots(&self, slots: impl IntoIterator<Item = u32>) {
        self.slots.lock().give_back(slots);
    }

    /// Never hands out slots below `end` as new ones.
    pub fn raise_slots(&self, end: u32) {
        self.slots.lock().raise(end);
    }

    /// Those of `slots` that the next rows may be given.
    pub fn slots_to_give(&self, slots: &RoaringBitmap) -> RoaringBitmap {
        self.slots.lock().to_give(slots)
    }

    pub fn slots_end(&self) -> u32 {
        self.slots.lock().next()
    }

    /// Takes on a new definition and its indexes: renames, new columns, indexes that came or went. `graphs` are those
    /// of new vector indexes, built already; `seq` is the commit.
    pub fn redefine(
        &self,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        graphs: &mut Vec<(Oid, Arc<Finder>)>,
        vectors: Arc<[VectorColumn]>,
        seq: Seq,
    ) -> Result<()> {
        let known = self.state().vectors.clone();
        let is_known = |number: u16| known.iter().any(|known| known.number == number);
        let since = |column: &VectorColumn| if is_known(column.number) { column.since } else { seq };
        let vectors = vectors.iter().map(|column| VectorColumn { since: since(column), ..column.clone() });
        let vectors: Arc<[VectorColumn]> = vectors.collect();
        let mut metadata = self.state().metadata.clone();
        metadata.redefine(&definition, &self.state().live)?;
        let new = metadata.redefine_inverted(&definition, indexes);
        self.fill_inverted(&mut metadata, &new, &Layout::of(&definition))?;
        let unlinked = {
            let state = self.state();
            state.vector_indexes.iter().any(|old| indexes.iter().all(|new| new.oid != old.definition.oid))
        };
        let layout = Arc::new(Layout::of(&definition));
        self.tree.set_shape(layout.shape());
        self.change(false, |state| {
            state.layout = layout;
            let unique = unique_keys(indexes, &definition);
            state.unique_since = unique.iter().map(|key| state.key_since(key.index).unwrap_or(seq)).collect();
            state.unique_keys = unique;
            state.vectors = vectors;
            state.metadata = metadata;
            state.redefine_vector_indexes(indexes, graphs, &definition);
            state.definition = definition;
        });
        if unlinked {
            let state = self.state();
            self.slots.lock().unlink(|slot| state.graph_knows(slot));
        }
        Ok(())
    }

    /// Takes the rows there are into new inverted indexes of the columns at `positions`.
    fn fill_inverted(&self, metadata: &mut Metadata, positions: &[usize], layout: &Layout) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let mut rows = self.tree.scan(ROWS.0, ROWS.1, Seq(u64::MAX));
        while rows.advance()?
            && let Some(ScanEntry { key, value: row, .. }) = rows.entry()
        {
            metadata.fill(positions, slot_of_row_key(key)?, &layout.read(row)?)?;
        }
        Ok(())
    }

    /// The vector columns of a definition: those known, and new ones with every slot NULL.
    pub fn vectors_of(
        &self,
        fs: &Arc<dyn Fs>,
        definition: &catalog::Table,
        known: &[VectorColumn],
    ) -> Result<Arc<[VectorColumn]>> {
        let mut all = Vec::new();
        for (position, column) in definition.stored_columns().enumerate() {
            let Some(shape) = Element::of(&column.ty) else { continue };
            let number = column.number;
            if let Some(known) = known.iter().find(|known| known.number == number) {
                all.push(VectorColumn { position, ..known.clone() });
                continue;
            }
            self.remove_segments(fs, number)?;
            let column = vectors::Column::create(fs.clone(), &self.dir, u32::from(number), shape)?;
            let end = self.slots_end();
            column.reserve(end)?;
            const NULLS: [Option<&[u8]>; 1024] = [None; 1024];
            for first in (0..end).step_by(NULLS.len()) {
                column.write_run(first, &NULLS[..NULLS.len().min((end - first) as usize)])?;
            }
            all.push(VectorColumn { position, number, since: Seq(0), column: Arc::new(column) });
        }
        Ok(all.into())
    }

    /// Removes segments of a column that no definition has: it was dropped, or its transaction was undone.
    pub fn remove_segments(&self, fs: &Arc<dyn Fs>, column: u16) -> Result<()> {
        let prefix = format!("{column}.");
        for name in fs.list(&self.dir)? {
            let others = |extension: &OsStr| extension == "sst" || extension == "bits";
            let segment = !name.extension().is_some_and(others);
            if segment && name.to_str().is_some_and(|name| name.starts_with(&prefix)) {
                fs.remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Slots were offered to a graph: if it is still the index's, they leave its tail.
    pub fn shorten_tail(&self, index: Oid, offered: &RoaringBitmap, graph: &Arc<Finder>) {
        self.change(false, |state| {
            if let Some(index) = state.vector_index_mut(index).filter(|i| Arc::ptr_eq(&i.finder, graph)) {
                *Arc::make_mut(&mut index.tail) -= offered;
            }
        });
    }

    /// Puts another graph in the place of an index's; `offered` are the slots it was built over.
    pub fn replace_graph(&self, index: Oid, graph: Arc<Finder>, offered: &RoaringBitmap) {
        self.change(true, |state| {
            let Some(members) = state.vector_index(index).map(|index| state.members(index)) else { return };
            if let Some(index) = state.vector_index_mut(index) {
                index.finder = graph;
                index.measured = Arc::default();
                index.tail = Arc::new(&*members - offered);
            }
        });
    }

    /// Installs a graph from disk, before the live set is restored. `saved`: nodes of all its generations there.
    pub fn open_graph(&self, index: Oid, graph: Arc<Finder>, saved: Arc<RoaringBitmap>) {
        self.change(false, |state| {
            if let Some(index) = state.vector_index_mut(index) {
                index.finder = graph;
                index.saved = saved;
            }
        });
    }

    /// Generations were saved or forgotten.
    pub fn set_saved(&self, index: Oid, saved: Arc<RoaringBitmap>) {
        self.change(false, |state| {
            if let Some(index) = state.vector_index_mut(index) {
                index.saved = saved;
            }
        });
        self.unlink_slots();
    }

    /// Looks again at the slots of dead rows, after graphs were rebuilt.
    pub fn unlink_slots(&self) {
        let state = self.state();
        self.slots.lock().unlink(|slot| state.graph_knows(slot));
    }

    /// Slots of dead rows that no snapshot from `horizon` on sees and that graphs still have nodes for.
    pub fn linked_slots(&self, horizon: Seq) -> RoaringBitmap {
        let state = self.state();
        let mut slots = self.slots.lock();
        slots.reclaim(horizon, |slot| state.graph_knows(slot));
        slots.linked().clone()
    }

    /// Row versions that a vacuum may find obsolete.
    pub fn obsolete(&self) -> u64 {
        self.obsolete.load(Ordering::Relaxed)
    }

    fn note_obsolete(&self, count: u64, seq: Seq, horizon: Seq) {
        let mut since = self.obsolete_since.lock();
        self.obsolete.fetch_add(count, Ordering::Relaxed);
        while since.front().is_some_and(|(seq, _)| *seq <= horizon) {
            since.pop_front();
        }
        if count > 0 {
            since.push_back((seq, count));
        }
    }

    /// Those of the obsolete row versions that no snapshot from `horizon` on sees.
    pub fn obsolete_before(&self, horizon: Seq) -> u64 {
        let since = self.obsolete_since.lock();
        let seen: u64 = since.iter().filter(|(seq, _)| *seq > horizon).map(|(_, count)| count).sum();
        self.obsolete().saturating_sub(seen)
    }

    /// The commit from which on there are rows here: those of older snapshots were in another storage.
    pub fn rows_since(&self) -> Seq {
        Seq(self.replaces_at.load(Ordering::Relaxed))
    }

    /// Takes the place of another storage of the same table.
    pub fn replaces_at(&self, seq: Seq) {
        self.replaces_at.store(seq.0, Ordering::Relaxed);
    }

    /// A vacuum has dealt with `obsolete` of them, as far as the horizon let it.
    pub fn vacuumed(&self, obsolete: u64, horizon: Seq) {
        self.obsolete.fetch_sub(obsolete, Ordering::Relaxed);
        self.vacuumed.store(horizon.0, Ordering::Relaxed);
    }

    /// Whether the horizon has moved since the last vacuum.
    pub fn may_vacuum(&self, horizon: Seq) -> bool {
        self.vacuumed.load(Ordering::Relaxed) < horizon.0
    }

    /// Slots that are free, and those of dead rows.
    pub fn slot_counts(&self) -> (u64, u64) {
        let slots = self.slots.lock();
        (slots.free(), slots.dead())
    }

    /// Gives back the space of vectors that nobody needs.
    pub fn release_vectors(&self) -> Result<()> {
        let vectors = self.state().vectors.clone();
        if vectors.iter().any(|vector| vector.column.has_heap()) {
            let free = self.slots.lock().take_free();
            let released = vectors.iter().try_for_each(|vector| vector.column.release(free.iter()));
            self.slots.lock().give_back(free);
            released?;
        }
        // Nobody is given these slots meanwhile.
        let groups = self.slots.lock().take_groups(vectors::GROUP_SLOTS);
        let outcome = vectors.iter().try_for_each(|vector| vector.column.punch(&groups));
        let slots = groups.iter().flat_map(|&first| first..first + vectors::GROUP_SLOTS);
        self.slots.lock().give_back(slots);
        outcome
    }

    /// The newest version of a row, whoever may see it.
    pub fn newest_row(&self, slot: u32) -> Result<Option<Slice>> {
        self.tree.get(&row_key(slot), Seq(u64::MAX))
    }
}

impl Delta {
    fn len(&self) -> u64 {
        self.born.len() + self.changed.len() + self.died.len()
    }

    fn all(&self) -> RoaringBitmap {
        &(&self.born | &self.changed) | &self.died
    }
}

/// The cells of a few new row versions that metadata indexes want.
fn small_cells(state: &State, overlay: &Arc<Overlay>) -> Result<Cells> {
    let mut cells = state.metadata.cells();
    if !cells.is_empty() {
        for row in overlay.rows_from(0) {
            if let (slot, Some(row)) = row? {
                cells.add(slot, &state.layout.read(&row)?)?;
            }
        }
    }
    Ok(cells)
}

/// Metadata indexes with many new row versions taken in, a bounded number at a time.
fn bulk_metadata(state: &State, overlay: &Arc<Overlay>, delta: &Delta) -> Result<Metadata> {
    let mut metadata = state.metadata.clone();
    if metadata.cells().is_empty() {
        return Ok(metadata);
    }
    let mut taking = metadata.taking_in();
    for row in overlay.rows_from(0) {
        if let (slot, Some(row)) = row? {
            taking.add(slot, &state.layout.read(&row)?)?;
        }
    }
    taking.finish(&delta.died);
    Ok(metadata)
}

impl State {
    /// Tells columns that have outgrown the server's memory.
    pub fn expect_misses(&self) {
        for VectorColumn { column, .. } in self.vectors.iter() {
            if self.room.is_exceeded_by(column.bytes()) {
                column.expect_misses();
            }
        }
    }

    /// `recovering`: the log is being replayed.
    fn flip(&mut self, delta: &Delta, recovering: bool) {
        let live = Arc::make_mut(&mut self.live);
        *live |= &delta.born;
        *live -= &delta.died;
        for index in &mut self.vector_indexes {
            if recovering && !index.finder.nodes().is_disjoint(&delta.born) {
                // A generation that is older than the log it is restored with has nodes of former rows at these slots.
                // It is of no more use: everything is tail until the indexer has built another.
                index.finder = Arc::new(Finder::new(index.finder.params(), &self.room));
                index.tail = members(&self.live, &self.metadata, index);
                continue;
            }
            let tail = Arc::make_mut(&mut index.tail);
            match index.definition.guard() {
                None => *tail |= &delta.born,
                Some(guard) => follow_guard(tail, &index.finder, &self.metadata.true_in(guard), delta),
            }
            *tail -= &delta.died;
        }
    }

    /// The rows an index is of: all that live, or those for which a partial one's WHERE is true.
    pub fn members(&self, index: &VectorIndex) -> Arc<RoaringBitmap> {
        members(&self.live, &self.metadata, index)
    }

    /// Tails of what the graphs do not hold.
    fn renew_tails(&mut self) {
        let tails: Vec<RoaringBitmap> =
            self.vector_indexes.iter().map(|index| &*self.members(index) - &*index.finder.nodes()).collect();
        for (index, tail) in self.vector_indexes.iter_mut().zip(tails) {
            index.tail = Arc::new(tail);
        }
    }

    fn redefine_vector_indexes(
        &mut self,
        indexes: &[Arc<catalog::Index>],
        graphs: &mut Vec<(Oid, Arc<Finder>)>,
        table: &catalog::Table,
    ) {
        let mut all = Vec::new();
        for index in indexes {
            let Some(mut new) = VectorIndex::new(index, table, &self.room) else { continue };
            match self.vector_indexes.iter().position(|known| known.definition.oid == index.oid) {
                Some(known) => {
                    let known = self.vector_indexes.swap_remove(known);
                    new.finder = known.finder;
                    new.tail = known.tail;
                    new.saved = known.saved;
                    new.measured = known.measured;
                }
                None => {
                    if let Some(built) = graphs.iter().position(|(oid, _)| *oid == index.oid) {
                        new.finder = graphs.swap_remove(built).1;
                    }
                    new.tail = Arc::new(&*self.members(&new) - &*new.finder.nodes());
                }
            }
            all.push(new);
        }
        self.vector_indexes = all;
    }

    /// The commit that made a unique index; `None` for one that is not there.
    pub fn key_since(&self, index: Oid) -> Option<Seq> {
        let place = self.unique_keys.iter().position(|key| key.index == index)?;
        self.unique_since.get(place).copied()
    }

    fn vector_index(&self, index: Oid) -> Option<&VectorIndex> {
        self.vector_indexes.iter().find(|known| known.definition.oid == index)
    }

    fn vector_index_mut(&mut self, index: Oid) -> Option<&mut VectorIndex> {
        self.vector_indexes.iter_mut().find(|known| known.definition.oid == index)
    }

    /// Whether some graph, in memory or on disk, has a node for the slot.
    fn graph_knows(&self, slot: u32) -> bool {
        self.vector_indexes.iter().any(|index| index.finder.contains(slot) || index.saved.contains(slot))
    }

    /// The segments an index is over. Positions change with the definition; the column's number does not.
    pub fn vectors_of(&self, index: &VectorIndex) -> Option<&VectorColumn> {
        self.vectors.iter().find(|column| index.definition.columns == [column.number])
    }
}

fn members(live: &Arc<RoaringBitmap>, metadata: &Metadata, index: &VectorIndex) -> Arc<RoaringBitmap> {
    match index.definition.guard() {
        None => live.clone(),
        Some(guard) => Arc::new(&**live & metadata.true_in(guard)),
    }
}

/// A partial index's tail after a commit: rows come into the index when they are born or changed, and leave it when they
/// are changed. Nodes of rows that left stay in the graph, where no search that may use it meets them.
fn follow_guard(tail: &mut RoaringBitmap, finder: &Finder, members: &RoaringBitmap, delta: &Delta) {
    *tail |= &delta.born & members;
    *tail -= &delta.changed;
    tail.extend((&delta.changed & members).iter().filter(|slot| !finder.contains(*slot)));
}

impl VectorIndex {
    /// With nothing in it; `None` for indexes of another kind.
    fn new(index: &Arc<catalog::Index>, table: &catalog::Table, room: &Arc<Room>) -> Option<VectorIndex> {
        let params = params(index)?;
        Some(VectorIndex {
            definition: index.clone(),
            position: table.position(*index.columns.first()?)?,
            finder: Arc::new(Finder::new(params, room)),
            tail: Arc::default(),
            watch: Arc::default(),
            measured: Arc::default(),
            saved: Arc::default(),
        })
    }
}

/// What the graph or lists of an index are built with; `None` for indexes of another kind.
pub fn params(index: &catalog::Index) -> Option<Params> {
    match index.method {
        IndexMethod::Hnsw => index.hnsw.map(|options| {
            let catalog::HnswOptions { metric, m, ef_construction, quantization } = options;
            Params::Graph(hnsw::Params { m, ef_construction, metric: metric.into(), quantization })
        }),
        IndexMethod::Ivfflat => index.ivfflat.map(|options| {
            Params::Lists(ivf::Params { lists: options.lists, metric: options.metric.into() })
        }),
        IndexMethod::Btree
        | IndexMethod::Bitmap
        | IndexMethod::Hash
        | IndexMethod::Gin
        | IndexMethod::Gist => None,
    }
}

/// The keys of those of a table's indexes that are unique.
pub fn unique_keys(indexes: &[Arc<catalog::Index>], table: &catalog::Table) -> Arc<[UniqueKey]> {
    indexes.iter().filter(|index| index.unique).map(|index| UniqueKey::of(index, table)).collect()
}
