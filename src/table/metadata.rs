//! The metadata indexes of a table: one per filterable column, kept unless the column says otherwise, and the inverted
//! indexes that were asked for.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog::{self, IndexMethod, Oid};
use crate::error::Result;
use crate::index::bitmap::{ColumnIndex, ColumnValues, Excess, Order, Predicate, Share};
use crate::index::inverted::{self, InvertedIndex, Question};
use crate::table::rows::{Layout, RowReader};
use crate::types::{Type, Value};

/// One entry per column, in order of their numbers.
#[derive(Clone)]
pub struct Metadata {
    columns: Vec<Entry>,
    inverted: Vec<Inverted>,
    /// The memory of the columns' indexes.
    share: Arc<Share>,
}

#[derive(Clone)]
struct Entry {
    number: u16,
    /// In the row, from 0.
    position: usize,
    /// None where the column has no index.
    index: Option<Arc<ColumnIndex>>,
}

/// The inverted index of a column, made for one index of the catalogue.
#[derive(Clone)]
struct Inverted {
    /// The index's, and the column's number.
    key: (Oid, u16),
    /// In the row, from 0.
    position: usize,
    index: Arc<InvertedIndex>,
}

/// An entry of a [`Metadata`].
#[derive(Clone, Copy)]
enum Place {
    Column(usize),
    Inverted(usize),
}

/// Cells decoded at a time while indexes are built.
const CELLS_MAX: usize = 1 << 12;
/// Nor more bytes of texts than this.
const CELL_BYTES_MAX: usize = 1 << 20;
/// Parts of a column that get filters with each change of it, where those are still to be made: some 0.2 ms.
const FILTERED_PER_CHANGE: usize = 2;
/// And with each step in the background.
const FILTERED_PER_STEP: usize = 16;

/// Cells of row versions, decoded before the indexes are touched.
pub struct Cells {
    /// What has an index, and the positions of the columns in the row.
    indexed: Vec<(Place, usize)>,
    slots: Vec<u32>,
    /// Per slot, a value per entry.
    values: Vec<Value>,
    /// Of texts among them, which may be whole documents.
    bytes: usize,
}

impl Metadata {
    pub fn new(definition: &catalog::Table, indexes: &[Arc<catalog::Index>], share: &Arc<Share>) -> Metadata {
        let entry = |(position, column): (usize, &catalog::Column)| Entry {
            number: column.number,
            position,
            index: new_index(column, &share_of(definition, position, share)).map(Arc::new),
        };
        let mut columns: Vec<Entry> = definition.stored_columns().enumerate().map(entry).collect();
        columns.sort_unstable_by_key(|entry| entry.number);
        let inverted = inverted_columns(definition, indexes).into_iter().map(Inverted::new).collect();
        Metadata { columns, inverted, share: share.clone() }
    }

    /// Takes on another definition of the table: new columns, for which every live row has the column's `missing` value
    /// until it is written anew, dropped columns, and indexes switched off or on. Switched on, an index of an old column stays absent until the
    /// table is opened anew: its values are in the rows.
    pub fn redefine(&mut self, definition: &catalog::Table, live: &RoaringBitmap) -> Result<()> {
        let inverted = std::mem::take(&mut self.inverted);
        let next = Metadata { columns: Vec::new(), inverted, share: self.share.clone() };
        let known = std::mem::replace(self, next);
        for (position, column) in definition.stored_columns().enumerate() {
            let number = column.number;
            if let Some(entry) = known.entry(number) {
                let index = entry.index.clone().filter(|_| column.metadata_index);
                self.columns.push(Entry { number, position, index });
                continue;
            }
            let mut index = new_index(column, &share_of(definition, position, &self.share));
            if let Some(index) = &mut index {
                let missing = missing_value(definition, position)?;
                for (slot, count) in live.iter().zip(1usize..) {
                    index.set(slot, &missing);
                    if count.is_multiple_of(CELLS_MAX) {
                        index.settle();
                    }
                }
                index.settle();
            }
            self.columns.push(Entry { number, position, index: index.map(Arc::new) });
        }
        self.columns.sort_unstable_by_key(|entry| entry.number);
        Ok(())
    }

    /// Takes on other indexes of the table. What is new is empty, and its columns are answered, whose rows
    /// [`Metadata::fill`] wants.
    pub fn redefine_inverted(
        &mut self,
        definition: &catalog::Table,
        indexes: &[Arc<catalog::Index>],
    ) -> Vec<usize> {
        let known = std::mem::take(&mut self.inverted);
        let mut new = Vec::new();
        for (key, position, kind) in inverted_columns(definition, indexes) {
            // One that finds equals serves all indexes of the column.
            let serves = |known: &&Inverted| {
                let is_whole = matches!(kind, inverted::Kind::Whole(_)) && known.key.1 == key.1;
                (known.key == key || is_whole) && *known.index.kind() == kind
            };
            let same = known.iter().find(serves).map(|known| known.index.clone());
            let index = same.unwrap_or_else(|| {
                new.push(position);
                Arc::new(InvertedIndex::new(kind))
            });
            self.inverted.push(Inverted { key, position, index });
        }
        new
    }

    /// The columns that have an index, by their numbers, but for those of which a part could not be read when it was to be
    /// changed: what is saved lacks them, so that the next start makes them from the rows.
    pub fn columns(&self) -> Vec<(u16, &ColumnIndex)> {
        let indexed = self.columns.iter();
        let indexed = indexed.filter_map(|entry| Some((entry.number, entry.index.as_deref()?)));
        indexed.filter(|(_, index)| index.is_whole()).collect()
    }

    /// Where the index of a column (by number) has its memory.
    pub fn share_of(&self, definition: &catalog::Table, column: u16) -> Arc<Share> {
        let position = definition.position(column);
        position.map_or_else(|| self.share.clone(), |position| share_of(definition, position, &self.share))
    }

    /// Moves as much as is too much in memory, as far as this table can, and counts that down: bitmaps go where they take too
    /// much of it, those that take the most first, then chunks go to files, one of each column at a time. What stays in
    /// memory whatever happens is left alone.
    pub fn settle(&mut self, excess: &mut Excess) {
        while excess.bitmaps > 0 && self.drop_most_bitmaps(excess) {}
        if excess.held == 0 {
            return;
        }
        let mut movable: Vec<&mut Arc<ColumnIndex>> = self.movable_mut().collect();
        while excess.held > 0 && !movable.is_empty() {
            movable.retain_mut(|index| {
                if excess.held == 0 {
                    return true;
                }
                let moved = Arc::make_mut(index).spill_next();
                excess.held = excess.held.saturating_sub(moved);
                moved > 0
            });
        }
    }

    /// Makes some of the filters that the first column that lacks them is to have in the place of bitmaps.
    pub fn make_next_filters(&mut self) {
        let mut indexes = self.columns.iter_mut().filter_map(|entry| entry.index.as_mut());
        if let Some(index) = indexes.find(|index| index.lacks_filters()) {
            Arc::make_mut(index).make_next_filters(FILTERED_PER_STEP);
        }
    }

    /// Whether [`Metadata::make_next_filters`] finds something.
    pub fn lacks_filters(&self) -> bool {
        self.columns.iter().filter_map(|entry| entry.index.as_ref()).any(|index| index.lacks_filters())
    }

    /// Parts of columns in files that are copied into memory when these slots change.
    pub fn parts_in_files(&self, slots: &RoaringBitmap) -> usize {
        let indexes = self.columns.iter().filter_map(|entry| entry.index.as_ref());
        indexes.map(|index| index.parts_in_files(slots)).sum()
    }

    /// Whether [`Metadata::settle`] finds something.
    pub fn is_movable(&self) -> bool {
        self.movable().next().is_some()
    }

    /// The indexes that have something in memory that need not be there.
    fn movable(&self) -> impl Iterator<Item = &Arc<ColumnIndex>> {
        self.columns.iter().filter_map(|entry| entry.index.as_ref()).filter(|index| index.is_movable())
    }

    fn movable_mut(&mut self) -> impl Iterator<Item = &mut Arc<ColumnIndex>> {
        self.columns.iter_mut().filter_map(|entry| entry.index.as_mut()).filter(|index| index.is_movable())
    }

    /// Bytes of the bitmaps by value of the column that has the most of them, of those that can do without.
    pub fn most_bitmap_bytes(&self) -> u64 {
        self.movable().map(|index| index.bitmap_bytes()).max().unwrap_or(0)
    }

    /// Does without the bitmaps of the column that has the most of them; false when there are none.
    fn drop_most_bitmaps(&mut self, excess: &mut Excess) -> bool {
        match self.movable_mut().max_by_key(|index| index.bitmap_bytes()) {
            Some(index) if index.bitmap_bytes() > 0 => {
                let (bitmaps, before) = (index.bitmap_bytes(), index.bytes());
                Arc::make_mut(index).drop_bitmaps();
                excess.bitmaps = excess.bitmaps.saturating_sub(bitmaps);
                // There may be filters in their place.
                excess.held = (excess.held + index.bytes()).saturating_sub(before);
                true
            }
            _ => false,
        }
    }

    /// The columns (by their numbers) whose indexes were given up, or, with `look`, have a part that cannot be read.
    pub fn lost(&self, look: bool) -> Vec<u16> {
        let is_lost = |index: &Arc<ColumnIndex>| !index.is_whole() || look && index.has_lost();
        let lost = self.columns.iter().filter(|entry| entry.index.as_ref().is_some_and(is_lost));
        lost.map(|entry| entry.number).collect()
    }

    /// Empty indexes of these columns, and of no others.
    pub fn empty_of(&self, definition: &catalog::Table, columns: &[u16]) -> Metadata {
        let mut empty = Metadata::new(definition, &[], &self.share);
        empty.columns.retain(|entry| columns.contains(&entry.number));
        empty
    }

    /// Puts these in the place of the indexes of their columns.
    pub fn put(&mut self, remade: Metadata) {
        for entry in remade.columns {
            let mut known = self.columns.iter_mut().filter(|known| known.index.is_some());
            if let Some(known) = known.find(|known| known.number == entry.number) {
                known.index = entry.index;
            }
        }
    }

    #[cfg(test)]
    pub fn lose(&mut self, column: u16) {
        let index = self
            .columns
            .iter_mut()
            .find(|entry| entry.number == column)
            .and_then(|entry| entry.index.as_mut());
        Arc::make_mut(index.unwrap()).lose();
    }

    /// Puts these in the place of the empty indexes of their columns; false when one of those is not among them, or is of
    /// another type. Those of other columns are left out.
    pub fn take_over(&mut self, columns: Vec<(u16, ColumnIndex)>) -> bool {
        let mut columns: HashMap<u16, ColumnIndex> = columns.into_iter().collect();
        self.columns.iter_mut().all(|entry| match &mut entry.index {
            None => true,
            Some(index) => {
                match columns.remove(&entry.number).filter(|saved| saved.family() == index.family()) {
                    Some(saved) => {
                        *index = Arc::new(saved);
                        true
                    }
                    None => false,
                }
            }
        })
    }

    /// The places in the row of the columns that have an inverted index.
    pub fn inverted_positions(&self) -> Vec<usize> {
        self.inverted.iter().map(|inverted| inverted.position).collect()
    }

    /// Takes a row into the inverted indexes of the columns at `positions`.
    pub fn fill(&mut self, positions: &[usize], slot: u32, row: &RowReader) -> Result<()> {
        for inverted in self.inverted.iter_mut().filter(|inverted| positions.contains(&inverted.position)) {
            Arc::make_mut(&mut inverted.index).set(slot, &row.value(inverted.position)?);
        }
        Ok(())
    }

    /// An empty collection of what these indexes want.
    pub fn cells(&self) -> Cells {
        let columns = self.columns.iter().enumerate().filter(|(_, entry)| entry.index.is_some());
        let columns = columns.map(|(place, entry)| (Place::Column(place), entry.position));
        let inverted = self.inverted.iter().enumerate();
        let inverted = inverted.map(|(place, inverted)| (Place::Inverted(place), inverted.position));
        Cells { indexed: columns.chain(inverted).collect(), slots: Vec::new(), values: Vec::new(), bytes: 0 }
    }

    /// To take in many new versions.
    pub fn taking_in(&mut self) -> TakingIn<'_> {
        let cells = self.cells();
        TakingIn { metadata: self, cells, moved: 0 }
    }

    /// Takes in new versions and deaths.
    pub fn change(&mut self, cells: &Cells, died: &RoaringBitmap) {
        let width = cells.indexed.len();
        for (number, &(place, _)) in cells.indexed.iter().enumerate() {
            let values = cells.values.iter().skip(number).step_by(width);
            let cells = cells.slots.iter().copied().zip(values);
            match place {
                Place::Column(place) => {
                    let Some(index) = &mut self.columns[place].index else { continue };
                    let index = Arc::make_mut(index);
                    cells.for_each(|(slot, value)| index.set(slot, value));
                    died.iter().for_each(|slot| index.remove(slot));
                    index.make_next_filters(FILTERED_PER_CHANGE);
                    index.charge();
                }
                Place::Inverted(place) => {
                    let index = Arc::make_mut(&mut self.inverted[place].index);
                    cells.for_each(|(slot, value)| index.set(slot, value));
                    died.iter().for_each(|slot| index.remove(slot));
                }
            }
        }
    }

    /// Exactly the slots whose newest cell of the column (by number) satisfies the predicate; `None` when no index can
    /// tell.
    pub fn select(&self, column: u16, predicate: &Predicate) -> Option<RoaringBitmap> {
        self.index(column)?.select(predicate)
    }

    /// The slots whose newest cell of the column answers the question; `None` when no inverted index can tell.
    pub fn search(&self, column: u16, question: &Question) -> Option<inverted::Found> {
        let mut indexes = self.inverted.iter().filter(|inverted| inverted.key.1 == column);
        indexes.find_map(|inverted| inverted.index.search(question))
    }

    /// The column (by its place) in one of whose indexes the row is not as it should be.
    pub fn disagreement(&self, slot: u32, row: &RowReader) -> Result<Option<usize>> {
        for entry in &self.columns {
            let Some(index) = &entry.index else { continue };
            if !index.agrees(slot, &row.value(entry.position)?) {
                return Ok(Some(entry.position));
            }
        }
        for inverted in &self.inverted {
            if !inverted.index.agrees(slot, &row.value(inverted.position)?) {
                return Ok(Some(inverted.position));
            }
        }
        Ok(None)
    }

    fn index(&self, column: u16) -> Option<&ColumnIndex> {
        self.entry(column)?.index.as_deref()
    }

    fn entry(&self, column: u16) -> Option<&Entry> {
        let place = self.columns.binary_search_by_key(&column, |entry| entry.number).ok()?;
        Some(&self.columns[place])
    }

    /// The slots in which a boolean column (by number) is true; none when it has no index. It is one whose index stays in
    /// memory, and so has an answer.
    pub fn true_in(&self, column: u16) -> RoaringBitmap {
        self.select(column, &Predicate::Eq(Value::Bool(true))).unwrap_or_default()
    }

    /// How many slots [`Metadata::select`] finds.
    pub fn count(&self, column: u16, predicate: &Predicate) -> Option<u64> {
        self.index(column)?.count(predicate)
    }

    /// Distinct values of a column, while they are few.
    pub fn distinct(&self, column: u16) -> Option<u64> {
        self.index(column)?.distinct()
    }

    /// The first slots by a column ([`ColumnIndex::first`]).
    pub fn first(
        &self,
        column: u16,
        among: Option<&RoaringBitmap>,
        order: Order,
        rows: usize,
    ) -> Option<RoaringBitmap> {
        self.index(column)?.first(among, order, rows)
    }

    /// A column's values ([`ColumnValues::of`]).
    pub fn values(&self, column: u16, ty: &Type) -> Option<ColumnValues> {
        let entry = self.entry(column)?;
        ColumnValues::of(entry.index.as_ref()?, ty)
    }

    /// Bytes of memory of inverted indexes, about. Those of columns are counted by their share.
    pub fn inverted_bytes(&self) -> u64 {
        self.inverted.iter().map(|inverted| inverted.index.bytes()).sum()
    }
}

impl Inverted {
    fn new((key, position, kind): ((Oid, u16), usize, inverted::Kind)) -> Inverted {
        Inverted { key, position, index: Arc::new(InvertedIndex::new(kind)) }
    }
}

/// The columns of inverted indexes: index and column number, place in the table, and what the index holds. Of several that
/// find the equals of a column there is one.
fn inverted_columns(
    definition: &catalog::Table,
    indexes: &[Arc<catalog::Index>],
) -> Vec<((Oid, u16), usize, inverted::Kind)> {
    let mut all: Vec<((Oid, u16), usize, inverted::Kind)> = Vec::new();
    for index in indexes {
        for (place, &number) in index.columns.iter().enumerate() {
            let Some(position) = definition.position(number) else { continue };
            let Some(column) = definition.stored_column(position) else { continue };
            let kind = match index.method {
                IndexMethod::Gin | IndexMethod::Gist => {
                    inverted::Kind::of(index.opclasses.get(place).map(String::as_str), &column.ty)
                }
                IndexMethod::Btree | IndexMethod::Bitmap | IndexMethod::Hash => {
                    let is_known = |kind: &inverted::Kind| {
                        all.iter().any(|((_, column), _, known)| *column == number && known == kind)
                    };
                    inverted::Kind::of_equals(&column.ty).filter(|kind| !is_known(kind))
                }
                IndexMethod::Hnsw | IndexMethod::Ivfflat => None,
            };
            all.extend(kind.map(|kind| ((index.oid, number), position, kind)));
        }
    }
    all
}

fn new_index(column: &catalog::Column, share: &Arc<Share>) -> Option<ColumnIndex> {
    ColumnIndex::for_type_in(&column.ty, share).filter(|_| column.metadata_index)
}

/// The hidden boolean columns that say which rows a partial index is of stay in memory: without an answer of theirs nobody
/// would know what a graph is of. They take 1.5 bytes a row at most.
fn share_of(definition: &catalog::Table, position: usize, share: &Arc<Share>) -> Arc<Share> {
    let column = definition.hidden.get(position.wrapping_sub(definition.columns.len()));
    match column.is_some_and(|column| column.ty == Type::Bool) {
        true => share.kept(),
        false => share.clone(),
    }
}

/// What a row from before the column reads as.
fn missing_value(definition: &catalog::Table, position: usize) -> Result<Value> {
    let layout = Layout::of(definition);
    // A row of no columns: all of them are missing.
    layout.read(&[0, 0])?.value(position)
}

impl Cells {
    /// Whether no column has an index.
    pub fn is_empty(&self) -> bool {
        self.indexed.is_empty()
    }

    pub fn add(&mut self, slot: u32, row: &RowReader) -> Result<()> {
        self.slots.push(slot);
        for &(_, position) in &self.indexed {
            let value = row.value(position)?;
            if let Value::Text(text) = &value {
                self.bytes += text.len();
            }
            self.values.push(value);
        }
        Ok(())
    }

    /// Whether they are to be taken in before more are added.
    fn are_many(&self) -> bool {
        self.values.len() >= CELLS_MAX || self.bytes >= CELL_BYTES_MAX
    }
}

/// Rows on their way into the indexes, a bounded number at a time.
pub struct TakingIn<'m> {
    metadata: &'m mut Metadata,
    cells: Cells,
    /// Bytes that were moved and that the state from before has in memory until it goes.
    moved: u64,
}

impl TakingIn<'_> {
    pub fn add(&mut self, slot: u32, row: &RowReader) -> Result<()> {
        self.cells.add(slot, row)?;
        if self.cells.are_many() {
            let cells = std::mem::replace(&mut self.cells, self.metadata.cells());
            self.metadata.change(&cells, &RoaringBitmap::new());
            self.settle();
        }
        Ok(())
    }

    /// Takes in the last rows, and deaths.
    pub fn finish(mut self, died: &RoaringBitmap) {
        self.metadata.change(&self.cells, died);
        self.settle();
    }

    fn settle(&mut self) {
        let share = self.metadata.share.clone();
        let (before, excess) = (share.held(), share.excess());
        let beyond = Excess { held: excess.held.saturating_sub(self.moved), ..excess };
        let mut left = beyond;
        self.metadata.settle(&mut left);
        let (moved, freed) = (beyond.held.saturating_sub(left.held), before.saturating_sub(share.held()));
        self.moved += moved.saturating_sub(freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Column;
    use crate::fs::MemoryFs;

    /// With a share of nothing: the column that says what a partial index is of stays, others go to files, and with them
    /// their bitmaps; also those of a column that comes later.
    #[test]
    fn what_partial_indexes_hold_stays_in_memory() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 0);
        let mut definition = catalog::Table {
            columns: vec![Column::new(1, "a", Type::Int4), Column::new(2, "b", Type::Bool)],
            hidden: vec![Column::new(3, "guard", Type::Bool)],
            ..catalog::Table::default()
        };
        let layout = Layout::of(&definition);
        let mut metadata = Metadata::new(&definition, &[], &share);
        let mut taking = metadata.taking_in();
        for slot in 0..20_000u32 {
            let row = [Value::Int4(slot as i32), Value::Bool(slot % 2 == 0), Value::Bool(slot % 4 == 0)];
            let mut bytes = Vec::new();
            layout.encode(&row, &mut bytes).unwrap();
            taking.add(slot, &layout.read(&bytes).unwrap()).unwrap();
        }
        taking.finish(&RoaringBitmap::from_iter(0..8));
        let guards = share.held();
        assert!(guards > 20_000 && share.spilled() > 2 * 20_000, "{guards} {}", share.spilled());
        let is_known = |metadata: &Metadata| [1, 2, 3].map(|column| metadata.distinct(column).is_some());
        assert_eq!(is_known(&metadata), [false, false, true], "of three bitmaps one stays");
        assert_eq!(metadata.true_in(3).len(), 5_000 - 2);
        assert_eq!(metadata.true_in(2).len(), 10_000 - 4);
        definition.columns.push(Column::new(4, "c", Type::Int8));
        metadata.redefine(&definition, &(8..20_000).collect()).unwrap();
        assert_eq!(metadata.count(4, &Predicate::IsNull), Some(19_992));
        assert_eq!(metadata.true_in(3).len(), 5_000 - 2);
        assert_eq!(share.held(), guards, "the new column is in files");
        // A reader that holds it all, while one row changes.
        let reader = metadata.clone();
        let mut cells = metadata.cells();
        let row = [Value::Int4(-1), Value::Null, Value::Int8(7), Value::Bool(true)];
        let (layout, mut bytes) = (Layout::of(&definition), Vec::new());
        layout.encode(&row, &mut bytes).unwrap();
        cells.add(9, &layout.read(&bytes).unwrap()).unwrap();
        metadata.change(&cells, &RoaringBitmap::new());
        assert!(share.held() > guards, "what is written is in memory");
        metadata.settle(&mut share.excess());
        assert_eq!(metadata.select(1, &Predicate::Eq(Value::Int4(-1))), Some(RoaringBitmap::from([9])));
        assert_eq!(reader.select(1, &Predicate::Eq(Value::Int4(9))), Some(RoaringBitmap::from([9])));
        assert_eq!(reader.count(1, &Predicate::Eq(Value::Int4(-1))), Some(0));
        assert_eq!((metadata.true_in(3).len(), reader.true_in(3).len()), (4_999, 4_998));
        drop((metadata, reader));
        assert_eq!((share.held(), share.spilled()), (0, 0));
    }
}
