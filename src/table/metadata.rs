//! The metadata indexes of a table: one per filterable column, kept unless the column says otherwise.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog;
use crate::error::Result;
use crate::index::bitmap::{ColumnIndex, Predicate};
use crate::table::rows::{Layout, RowReader};
use crate::types::Value;

/// One index per column, in order of the table's columns; columns without one are `None`.
#[derive(Clone, Default)]
pub struct Metadata {
    columns: Vec<(u16, Option<Arc<ColumnIndex>>)>,
}

/// Cells of row versions, decoded before the indexes are touched.
pub struct Cells {
    /// Positions of the columns that have an index.
    positions: Vec<usize>,
    slots: Vec<u32>,
    /// Per slot, a value per position.
    values: Vec<Value>,
}

impl Metadata {
    pub fn new(definition: &catalog::Table) -> Metadata {
        let columns = definition.columns.iter().map(|c| (c.number, new_index(c).map(Arc::new)));
        Metadata { columns: columns.collect() }
    }

    /// Takes on another definition of the table: new columns at the end, for which every live row has the column's
    /// `missing` value, dropped columns, and indexes switched off or on. Switched on, an index of an old column stays absent until the
    /// table is opened anew: its values are in the rows.
    pub fn redefine(&mut self, definition: &catalog::Table, live: &RoaringBitmap) -> Result<()> {
        let mut known = std::mem::take(&mut self.columns).into_iter().peekable();
        for (position, column) in definition.columns.iter().enumerate() {
            while known.next_if(|(number, _)| *number < column.number).is_some() {}
            if let Some((number, index)) = known.next_if(|(number, _)| *number == column.number) {
                self.columns.push((number, index.filter(|_| column.metadata_index)));
                continue;
            }
            let mut index = new_index(column);
            if let Some(index) = &mut index {
                let missing = missing_value(definition, position)?;
                live.iter().for_each(|slot| index.set(slot, &missing));
            }
            self.columns.push((column.number, index.map(Arc::new)));
        }
        Ok(())
    }

    /// An empty collection of what these indexes want.
    pub fn cells(&self) -> Cells {
        let indexed = self.columns.iter().enumerate().filter(|(_, (_, index))| index.is_some());
        Cells {
            positions: indexed.map(|(position, _)| position).collect(),
            slots: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Takes in new versions and deaths.
    pub fn change(&mut self, cells: &Cells, died: &RoaringBitmap) {
        let width = cells.positions.len();
        for (number, &position) in cells.positions.iter().enumerate() {
            let Some(index) = &mut self.columns[position].1 else { continue };
            let index = Arc::make_mut(index);
            let values = cells.values.iter().skip(number).step_by(width);
            for (&slot, value) in cells.slots.iter().zip(values) {
                index.set(slot, value);
            }
            died.iter().for_each(|slot| index.remove(slot));
        }
    }

    /// Exactly the slots whose newest cell of the column (by number) satisfies the predicate; `None` when no index can
    /// tell.
    pub fn select(&self, column: u16, predicate: &Predicate) -> Option<RoaringBitmap> {
        self.index(column)?.select(predicate)
    }

    fn index(&self, column: u16) -> Option<&ColumnIndex> {
        let place = self.columns.binary_search_by_key(&column, |(number, _)| *number).ok()?;
        self.columns[place].1.as_deref()
    }

    /// How many slots [`Metadata::select`] finds.
    pub fn count(&self, column: u16, predicate: &Predicate) -> Option<u64> {
        self.index(column)?.count(predicate)
    }

    /// Distinct values of a column, while they are few.
    pub fn distinct(&self, column: u16) -> Option<u64> {
        self.index(column)?.distinct()
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().filter_map(|(_, index)| index.as_ref()).map(|index| index.bytes()).sum()
    }
}

fn new_index(column: &catalog::Column) -> Option<ColumnIndex> {
    ColumnIndex::for_type(&column.ty).filter(|_| column.metadata_index)
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
        self.positions.is_empty()
    }

    pub fn add(&mut self, slot: u32, row: &RowReader) -> Result<()> {
        self.slots.push(slot);
        for &position in &self.positions {
            self.values.push(row.value(position)?);
        }
        Ok(())
    }

    /// Cells held.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}
