//! What a statement sees of one table: the newest state, and the few slots where it must look closer.
//!
//! ```text
//!   state     live set, metadata indexes, graphs with tails: as of the newest commit
//!   dirty     slots that changed after the snapshot, or that the transaction wrote itself
//!   rows      overlay first, then the tree at the snapshot
//! ```
//!
//! With nothing dirty, which is the rule, a snapshot costs a few counted references.

use std::iter::Peekable;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use crate::catalog;
use crate::distance::Metric;
use crate::error::{Error, Result};
use crate::index::Finder;
use crate::index::bitmap::{ColumnValues, Order, Predicate};
use crate::index::inverted::{Found, Question};
use crate::index::recall::Measured;
use crate::log::{Seq, StorageId};
use crate::storage::{self, ColumnScan, OwnRows, Row, Rows, Slice};
use crate::table::keys;
use crate::table::overlay::{self, Overlay};
use crate::table::rows::Layout;
use crate::table::state::{State, Table, VectorColumn, VectorIndex};
use crate::types::{Type, Value};
use crate::vectors::View;

/// One table as of one statement, the transaction's own writes included. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

struct Inner {
    table: Arc<Table>,
    definition: Arc<catalog::Table>,
    layout: Arc<Layout>,
    state: Arc<State>,
    seq: Seq,
    overlay: Option<Arc<Overlay>>,
    /// With columns the transaction itself added.
    own_vectors: Option<Arc<[VectorColumn]>>,
    dirty: Arc<RoaringBitmap>,
    visible_dirty: OnceLock<Arc<RoaringBitmap>>,
    /// Keeps row versions of this snapshot from being forgotten.
    _guard: Arc<dyn std::any::Any + Send + Sync>,
}

/// What searches of one vector index need.
#[derive(Clone)]
pub struct VectorIndexView {
    pub index: Arc<catalog::Index>,
    pub finder: Arc<Finder>,
    /// Alive and maybe not in it yet, as of the newest commit.
    pub tail: Arc<RoaringBitmap>,
    /// What recall it has shown.
    pub measured: Arc<Measured>,
}

static EMPTY: std::sync::LazyLock<Arc<RoaringBitmap>> = std::sync::LazyLock::new(Arc::default);

impl Snapshot {
    /// `seq` was taken, and is held by `guard`, before this is called. `own_vectors` are given when the transaction has
    /// added columns.
    pub(crate) fn new(
        table: Arc<Table>,
        definition: Arc<catalog::Table>,
        seq: Seq,
        overlay: Option<Arc<Overlay>>,
        own_vectors: Option<Arc<[VectorColumn]>>,
        guard: Arc<dyn std::any::Any + Send + Sync>,
    ) -> Snapshot {
        let state = table.state();
        let layout = match Arc::ptr_eq(&state.definition, &definition) {
            true => state.layout.clone(),
            false => Arc::new(Layout::of(&definition)),
        };
        let changed = state.changes.since(seq);
        let dirty = match (changed, &overlay) {
            (None, None) => EMPTY.clone(),
            (Some(changed), None) => Arc::new(changed),
            (None, Some(overlay)) => Arc::new(overlay.touched()),
            (Some(changed), Some(overlay)) => Arc::new(changed | overlay.touched()),
        };
        let visible_dirty = OnceLock::new();
        Snapshot(Arc::new(Inner {
            table,
            definition,
            layout,
            state,
            seq,
            overlay,
            own_vectors,
            dirty,
            visible_dirty,
            _guard: guard,
        }))
    }

    /// As of the statement, the transaction's own DDL included.
    pub fn definition(&self) -> &Arc<catalog::Table> {
        &self.0.definition
    }

    /// Decodes rows.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.0.layout
    }

    pub fn seq(&self) -> Seq {
        self.0.seq
    }

    /// How many rows are visible.
    pub fn row_count(&self) -> Result<u64> {
        if self.0.dirty.is_empty() {
            return Ok(self.live().len());
        }
        let clean = self.live().len() - self.live().intersection_len(self.dirty());
        Ok(clean + self.visible_dirty()?.len())
    }

    /// Whether the slot holds a row visible here.
    pub fn visible(&self, slot: u32) -> Result<bool> {
        if !self.0.dirty.is_empty() && self.0.dirty.contains(slot) {
            return Ok(self.visible_dirty()?.contains(slot));
        }
        Ok(self.live().contains(slot))
    }

    /// The newest live set; exact outside [`Snapshot::dirty`].
    pub fn live(&self) -> &Arc<RoaringBitmap> {
        &self.0.state.live
    }

    /// Which state of the table indexes answer for: equal numbers of one storage are equal states.
    pub fn version(&self) -> (StorageId, u64) {
        (self.0.table.storage(), self.0.state.version)
    }

    /// Slots that changed since the snapshot or that the transaction itself wrote: live set, metadata indexes and
    /// tails say nothing about them.
    pub fn dirty(&self) -> &Arc<RoaringBitmap> {
        &self.0.dirty
    }

    /// Those of the dirty slots that hold a row visible here.
    pub fn visible_dirty(&self) -> Result<Arc<RoaringBitmap>> {
        if let Some(known) = self.0.visible_dirty.get() {
            return Ok(known.clone());
        }
        let mut visible = RoaringBitmap::new();
        let mut others = (*self.0.dirty).clone();
        if let Some(overlay) = &self.0.overlay {
            visible = overlay.alive();
            others -= overlay.touched();
        }
        for slot in others {
            if self.committed_row(slot)?.is_some() {
                visible.insert(slot);
            }
        }
        Ok(self.0.visible_dirty.get_or_init(|| Arc::new(visible)).clone())
    }

    /// All slots that hold a row visible here.
    pub fn visible_set(&self) -> Result<Arc<RoaringBitmap>> {
        if self.0.dirty.is_empty() {
            return Ok(self.live().clone());
        }
        let mut visible = &**self.live() - &*self.0.dirty;
        visible |= &*self.visible_dirty()?;
        Ok(Arc::new(visible))
    }

    /// The slots this transaction inserted.
    pub fn own_inserts(&self) -> RoaringBitmap {
        self.0.overlay.as_ref().map(|overlay| overlay.inserted().clone()).unwrap_or_default()
    }

    /// The row's bytes for [`Layout::read`], if it is visible.
    pub fn row(&self, slot: u32) -> Result<Option<Slice>> {
        Ok(self.find(slot)?.map(Row::into_bytes))
    }

    fn committed_row(&self, slot: u32) -> Result<Option<Row>> {
        self.0.table.tree().find(&keys::row_key(slot), self.0.seq)
    }

    /// Like [`Snapshot::row`] for each slot.
    pub fn rows(&self, slots: &[u32]) -> Result<Vec<Option<Slice>>> {
        slots.iter().map(|&slot| self.row(slot)).collect()
    }

    /// To gather rows of this snapshot in.
    pub fn no_rows(&self) -> Rows {
        Rows::counting(self.layout().missing_bytes())
    }

    /// The next of the rows at these slots that are visible, where they lie: at most as many as are wanted, fewer where they
    /// are long; none only at the end of the slots.
    pub fn rows_at(&self, slots: &mut impl Iterator<Item = u32>, wanted: usize) -> Result<Rows> {
        let mut rows = self.no_rows();
        while rows.len() < wanted
            && !rows.is_full()
            && let Some(slot) = slots.next()
        {
            if let Some(row) = self.find(slot)? {
                rows.push(slot, row);
            }
        }
        Ok(rows)
    }

    /// [`Snapshot::row`], where it lies.
    pub fn find(&self, slot: u32) -> Result<Option<Row>> {
        if let Some(overlay) = &self.0.overlay
            && let Some(row) = overlay.row(slot)?
        {
            return Ok(row.map(Row::Bytes));
        }
        self.committed_row(slot)
    }

    /// All visible rows, in order of slots, where they lie.
    pub fn columns(&self) -> Result<ColumnScan> {
        let own = self.0.overlay.as_ref().map(|overlay| Box::new(overlay.rows_from(0)) as OwnRows);
        let scan = self.0.table.tree().rows(keys::ROW, self.0.seq, own)?;
        Ok(scan.counting(self.layout().missing_bytes()))
    }

    /// All visible rows.
    pub fn scan(&self) -> RowScan {
        let committed = self.0.table.tree().scan(keys::ROWS.0, keys::ROWS.1, self.0.seq);
        RowScan {
            committed,
            ahead: false,
            failed: false,
            own: self.0.overlay.as_ref().map(|o| o.rows_from(0).peekable()),
        }
    }

    /// Slots whose cell satisfies the predicate, by the column's metadata index: exact, except that dirty slots are left
    /// out and are the caller's to test. `None`: no index can tell.
    pub fn select(&self, column: u16, predicate: &Predicate) -> Option<RoaringBitmap> {
        let mut selected = self.0.state.metadata.select(column, predicate)?;
        if !self.0.dirty.is_empty() {
            selected -= &*self.0.dirty;
        }
        Some(selected)
    }

    /// Slots whose cell answers a question, by an inverted index of the column; dirty slots are left out and are the
    /// caller's to test. `None`: no index can tell.
    pub fn search(&self, column: u16, question: &Question) -> Option<Found> {
        let mut found = self.0.state.metadata.search(column, question)?;
        if !self.0.dirty.is_empty() {
            found.slots -= &*self.0.dirty;
        }
        Some(found)
    }

    /// The first `rows` slots of `among`, or of all that are not dirty, by the column's metadata index, and those that are
    /// equal to the last of them. `None`: no index can tell.
    pub fn first(
        &self,
        column: u16,
        among: Option<&RoaringBitmap>,
        order: Order,
        rows: usize,
    ) -> Option<RoaringBitmap> {
        let metadata = &self.0.state.metadata;
        match (among, self.0.dirty.is_empty()) {
            (Some(_), _) | (None, true) => metadata.first(column, among, order, rows),
            (None, false) => metadata.first(column, Some(&(&**self.live() - &*self.0.dirty)), order, rows),
        }
    }

    /// The newest values of a column by its metadata index, where that has them as they are shown: those of slots that are
    /// not dirty.
    pub fn values(&self, column: u16, ty: &Type) -> Option<ColumnValues> {
        self.0.state.metadata.values(column, ty)
    }

    /// How many slots the column's metadata index finds, dirty ones as of the newest commit.
    pub fn count(&self, column: u16, predicate: &Predicate) -> Option<u64> {
        self.0.state.metadata.count(column, predicate)
    }

    /// Distinct values of a column, while they are few enough for its metadata index to keep them apart.
    pub fn distinct(&self, column: u16) -> Option<u64> {
        self.0.state.metadata.distinct(column)
    }

    /// Whether the rows seen here have their keys in a unique index: it may be newer than the snapshot, and rows wait for
    /// keys of one whose constraint is deferrable.
    pub fn has_keys(&self, index: &catalog::Index) -> bool {
        if !index.deferral(self.definition()).is_never() {
            return false;
        }
        let index = index.oid;
        let own = self.0.overlay.as_ref().is_some_and(|overlay| overlay.has_built(index));
        own || self.0.state.key_since(index).is_some_and(|since| since <= self.0.seq)
    }

    /// The row with this key in a unique index ([`Snapshot::has_keys`]), if it is visible. No column of a key is NULL.
    pub fn lookup_key(&self, index: catalog::Oid, key: &[Value]) -> Result<Option<u32>> {
        let unique = keys::UniqueKey::of_values(index, key.len());
        let Some(key) = unique.key(|column| &key[column]) else { return Ok(None) };
        if let Some(overlay) = &self.0.overlay
            && let Some(slot) = overlay.key(&key)?
        {
            return Ok(slot);
        }
        let value = self.0.table.tree().get(&key, self.0.seq)?;
        value.map(|value| keys::slot_of_value(&value)).transpose()
    }

    /// The visible row with the first key at or after `from` and before `to`, whole keys of one unique index that was made
    /// with its table.
    pub fn next_key(&self, from: &[u8], to: &[u8]) -> Result<Option<u32>> {
        let overlay = self.0.overlay.as_deref();
        let own = overlay.map(|overlay| overlay.next_key(from, to)).transpose()?.flatten();
        let to = own.as_ref().map_or(to, |(key, _)| &key[..]);
        let mut committed = self.0.table.tree().scan(Bound::Included(from), Bound::Excluded(to), self.0.seq);
        while committed.advance()? {
            let Some(entry) = committed.entry() else { break };
            // What the overlay says of keys before its own first one is that they are removed.
            if overlay.map(|overlay| overlay.key(entry.key)).transpose()?.flatten().is_none() {
                return keys::slot_of_value(entry.value).map(Some);
            }
        }
        Ok(own.map(|(_, slot)| slot))
    }

    /// Vectors of a `vector(n)` column by its number.
    pub fn vector_view(&self, column: u16) -> Result<View> {
        let columns = self.0.own_vectors.as_ref().unwrap_or(&self.0.state.vectors);
        let found = columns.iter().find(|known| known.number == column);
        found.map(|found| found.column.view()).ok_or_else(|| {
            // Dropped between the taking of the statement's definitions and now.
            Error::concurrent_update()
                .detail(format!("Column {column} of table \"{}\" was dropped.", self.0.definition.name))
        })
    }

    /// Refuses a search over vectors of which a visible one is known to be damaged ([`View::refuse_damaged`]).
    pub fn refuse_damaged(&self, view: &View) -> Result<()> {
        let table = self.0.definition.qualified_name();
        view.refuse_damaged(|slot| self.visible(slot))
            .map_err(|error| error.detail(format!("It belongs to a row of table \"{table}\".")))
    }

    /// [`Snapshot::vector_view`] of a hidden column, whose cells are what an expression made of the rows. A snapshot from
    /// before the column may see other versions of them: 40001.
    pub fn hidden_view(&self, column: u16) -> Result<View> {
        let view = self.vector_view(column)?;
        let added = self.0.state.vectors.iter().find(|known| known.number == column);
        // Where nothing has changed since, there are no other versions.
        if !self.0.dirty.is_empty() && added.is_some_and(|added| added.since > self.0.seq) {
            return Err(Error::concurrent_update()
                .detail("An index on an expression is newer than the transaction's snapshot."));
        }
        Ok(view)
    }

    /// The vector index of the column (by number) for the metric that is of the fewest rows and holds all of `rows`,
    /// dirty ones excepted.
    pub fn vector_index(&self, column: u16, metric: Metric, rows: &RoaringBitmap) -> Option<VectorIndexView> {
        let candidates = self.vector_indexes(column, metric).filter_map(|index| {
            let members = self.0.state.members(index);
            let covered = match (index.definition.guard(), self.0.dirty.is_empty()) {
                (None, _) => true,
                (Some(_), true) => rows.is_subset(&members),
                (Some(_), false) => (rows - &*self.0.dirty).is_subset(&members),
            };
            // A graph rather than lists.
            covered.then(|| ((members.len(), index.definition.hnsw.is_none()), index))
        });
        let (_, found) = candidates.min_by_key(|(rank, _)| *rank)?;
        if !found.tail.is_empty() {
            found.watch.searched.store(true, Ordering::Relaxed);
        }
        Some(VectorIndexView {
            index: found.definition.clone(),
            finder: found.finder.clone(),
            tail: found.tail.clone(),
            measured: found.measured.clone(),
        })
    }

    /// Whether it sees rows of a transaction that is still open.
    pub fn has_own_writes(&self) -> bool {
        self.0.overlay.is_some()
    }

    /// Whether an index of all rows is there for the column (by number) and the metric.
    pub fn has_vector_index(&self, column: u16, metric: Metric) -> bool {
        self.vector_indexes(column, metric).any(|index| index.definition.predicate.is_none())
    }

    /// Newest first.
    fn vector_indexes(&self, column: u16, metric: Metric) -> impl Iterator<Item = &VectorIndex> {
        let indexes = self.0.state.vector_indexes.iter().rev();
        indexes.filter(move |i| i.definition.columns == [column] && i.finder.metric() == metric)
    }
}

/// Iterates over (slot, row) in order of slots; ends after an error.
pub struct RowScan {
    committed: storage::Scan,
    /// Whether `committed` stands on a row that is still to be handed out.
    ahead: bool,
    /// What is left may be half of the truth.
    failed: bool,
    own: Option<Peekable<overlay::Rows>>,
}

impl RowScan {
    fn step(&mut self) -> Result<Option<(u32, Slice)>> {
        loop {
            self.ahead = self.ahead || self.committed.advance()?;
            let found = self.committed.entry().filter(|_| self.ahead);
            let committed = found.map(|found| keys::slot_of_row_key(found.key)).transpose()?;
            let mine = match self.own.as_mut().and_then(Peekable::peek) {
                Some(Ok((slot, _))) => Some(*slot),
                Some(Err(error)) => return Err(error.clone()),
                None => None,
            };
            match (committed, mine) {
                (None, None) => return Ok(None),
                (Some(slot), mine) if mine.is_none_or(|mine| slot < mine) => {
                    self.ahead = false;
                    return Ok(self.committed.value().map(|row| (slot, row)));
                }
                (committed, _) => {
                    self.ahead &= committed != mine;
                    let own = self.own.as_mut().and_then(Iterator::next).transpose()?;
                    if let Some((slot, Some(row))) = own {
                        return Ok(Some((slot, row)));
                    }
                }
            }
        }
    }
}

impl Iterator for RowScan {
    type Item = Result<(u32, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step().transpose();
        self.failed = matches!(step, Some(Err(_)));
        step
    }
}
