//! The metadata indexes of a table: one per filterable column, kept unless the column says otherwise.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog;
use crate::error::Result;
use crate::index::bitmap::{ColumnIndex, Predicate};
use crate::table::rows::{Layout, RowReader};
use crate::types::Value;

/// One entry per column, in order of their numbers.
#[derive(Clone, Default)]
pub struct Metadata {
    columns: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    number: u16,
    /// In the row, from 0.
    position: usize,
    /// None where the column has no index.
    index: Option<Arc<ColumnIndex>>,
}

/// Cells of row versions, decoded before the indexes are touched.
pub struct Cells {
    /// Entries that have an index, and the positions of their columns in the row.
    indexed: Vec<(usize, usize)>,
    slots: Vec<u32>,
    /// Per slot, a value per entry.
    values: Vec<Value>,
}

impl Metadata {
    pub fn new(definition: &catalog::Table) -> Metadata {
        let entry = |(position, column): (usize, &catalog::Column)| Entry {
            number: column.number,
            position,
            index: new_index(column).map(Arc::new),
        };
        let mut columns: Vec<Entry> = definition.stored_columns().enumerate().map(entry).collect();
        columns.sort_unstable_by_key(|entry| entry.number);
        Metadata { columns }
    }

    /// Takes on another definition of the table: new columns, for which every live row has the column's `missing` value
    /// until it is written anew, dropped columns, and indexes switched off or on. Switched on, an index of an old column stays absent until the
    /// table is opened anew: its values are in the rows.
    pub fn redefine(&mut self, definition: &catalog::Table, live: &RoaringBitmap) -> Result<()> {
        let known = std::mem::take(self);
        for (position, column) in definition.stored_columns().enumerate() {
            let number = column.number;
            if let Some(entry) = known.entry(number) {
                let index = entry.index.clone().filter(|_| column.metadata_index);
                self.columns.push(Entry { number, position, index });
                continue;
            }
            let mut index = new_index(column);
            if let Some(index) = &mut index {
                let missing = missing_value(definition, position)?;
                live.iter().for_each(|slot| index.set(slot, &missing));
            }
            self.columns.push(Entry { number, position, index: index.map(Arc::new) });
        }
        self.columns.sort_unstable_by_key(|entry| entry.number);
        Ok(())
    }

    /// An empty collection of what these indexes want.
    pub fn cells(&self) -> Cells {
        let indexed = self.columns.iter().enumerate().filter(|(_, entry)| entry.index.is_some());
        Cells {
            indexed: indexed.map(|(place, entry)| (place, entry.position)).collect(),
            slots: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Takes in new versions and deaths.
    pub fn change(&mut self, cells: &Cells, died: &RoaringBitmap) {
        let width = cells.indexed.len();
        for (number, &(place, _)) in cells.indexed.iter().enumerate() {
            let Some(index) = &mut self.columns[place].index else { continue };
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
        self.entry(column)?.index.as_deref()
    }

    fn entry(&self, column: u16) -> Option<&Entry> {
        let place = self.columns.binary_search_by_key(&column, |entry| entry.number).ok()?;
        Some(&self.columns[place])
    }

    /// The slots in which a boolean column (by number) is true; none when it has no index.
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

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().filter_map(|entry| entry.index.as_ref()).map(|index| index.bytes()).sum()
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
        self.indexed.is_empty()
    }

    pub fn add(&mut self, slot: u32, row: &RowReader) -> Result<()> {
        self.slots.push(slot);
        for &(_, position) in &self.indexed {
            self.values.push(row.value(position)?);
        }
        Ok(())
    }

    /// Cells held.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}
