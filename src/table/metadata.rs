//! The metadata indexes of a table: one per filterable column, kept unless the column says otherwise.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog;
use crate::error::Result;
use crate::index::bitmap::{ColumnIndex, Predicate};
use crate::table::rows::{Layout, RowReader};
use crate::types::Value;

/// One index per column, by position; columns without one are `None`.
#[derive(Clone, Default)]
pub struct Metadata {
    columns: Vec<Option<Arc<ColumnIndex>>>,
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
        let columns = definition.columns.iter().map(|column| new_index(column).map(Arc::new));
        Metadata { columns: columns.collect() }
    }

    /// Takes on another definition of the table: new columns at the end, for which every live row has the column's
    /// `missing` value, and indexes switched off or on. Switched on, an index of an old column stays absent until the
    /// table is opened anew: its values are in the rows.
    pub fn redefine(&mut self, definition: &catalog::Table, live: &RoaringBitmap) -> Result<()> {
        for (position, column) in definition.columns.iter().enumerate() {
            if position < self.columns.len() {
                if !column.metadata_index {
                    self.columns[position] = None;
                }
                continue;
            }
            let mut index = new_index(column);
            if let Some(index) = &mut index {
                let missing = missing_value(definition, position)?;
                live.iter().for_each(|slot| index.set(slot, &missing));
            }
            self.columns.push(index.map(Arc::new));
        }
        Ok(())
    }

    /// An empty collection of what these indexes want.
    pub fn cells(&self) -> Cells {
        let indexed = self.columns.iter().enumerate().filter(|(_, index)| index.is_some());
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
            let Some(index) = &mut self.columns[position] else { continue };
            let index = Arc::make_mut(index);
            let values = cells.values.iter().skip(number).step_by(width);
            for (&slot, value) in cells.slots.iter().zip(values) {
                index.set(slot, value);
            }
            died.iter().for_each(|slot| index.remove(slot));
        }
    }

    /// Exactly the slots whose newest cell satisfies the predicate; `None` when no index can tell.
    pub fn select(&self, position: usize, predicate: &Predicate) -> Option<RoaringBitmap> {
        self.columns.get(position)?.as_ref()?.select(predicate)
    }

    /// How many slots [`Metadata::select`] finds.
    pub fn count(&self, position: usize, predicate: &Predicate) -> Option<u64> {
        self.columns.get(position)?.as_ref()?.count(predicate)
    }

    /// Distinct values of a column, while they are few.
    pub fn distinct(&self, position: usize) -> Option<u64> {
        self.columns.get(position)?.as_ref()?.distinct()
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().flatten().map(|index| index.bytes()).sum()
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
