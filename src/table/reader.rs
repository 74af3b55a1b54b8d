//! Rows of a scan: where they come from, and which pass its filter.
//!
//! ```text
//!   Slots     the rows at some slots           an index knows them
//!   All       every row in order               nothing is known
//!   Ordered   rows in the order of an index, some at a time, until enough of them pass a filter that no index answers
//!   Indexed   columns from their indexes       those have them, and answer the filter
//!   Count     no rows, but how many            nothing else is asked
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use roaring::RoaringBitmap;

use crate::error::{Error, Result, SqlState};
use crate::index::bitmap::ColumnValues;
use crate::storage::{ColumnScan, Rows};
use crate::table::Snapshot;
use crate::table::bindings::Execution;
use crate::table::columns::Decoder;
use crate::table::hints::First;
use crate::table::predicate::Filter;
use crate::types::Type;
use crate::types::arrow::Builder;

/// Rows read between two looks at the cancel flag and at other tasks: about 0.5 ms of decoding. Of long rows there are fewer.
pub const BATCH_ROWS: usize = 2_048;

/// How the rows that may pass are found.
pub enum Access {
    /// At most one row, by a unique key.
    Key {
        index: String,
        slot: Option<u32>,
    },
    /// Slots that indexes name, and those that indexes know nothing about.
    Slots {
        slots: RoaringBitmap,
        indexes: Vec<String>,
        /// Whether every one that an index names passes.
        exact: bool,
    },
    /// Rows in an order, until so many pass.
    Ordered {
        first: First,
        rows: usize,
        /// Which may pass, and are not dirty.
        among: RoaringBitmap,
    },
    /// Columns of the rows that pass, from indexes.
    Indexed {
        columns: Vec<(Type, ColumnValues)>,
        slots: RoaringBitmap,
    },
    /// How many rows pass; nothing else of them is wanted.
    Count(u64),
    All,
}

/// What is still to be read of a scan.
pub struct Reader {
    execution: Arc<Execution>,
    snapshot: Arc<Snapshot>,
    source: Source,
    filter: Arc<Filter>,
    filter_decoder: Decoder,
    columns: Vec<usize>,
    decoder: Decoder,
    limit: usize,
}

enum Source {
    /// Slots in order, of which some may not be visible.
    Slots(Box<dyn Iterator<Item = u32> + Send>),
    All(ColumnScan),
    Ordered(Ordered),
    Indexed(Indexed),
    /// Rows of which only the number matters.
    Count(u64),
}

impl Source {
    fn of(access: Access, snapshot: &Snapshot) -> Result<Source> {
        Ok(match access {
            Access::Key { slot, .. } => Source::Slots(Box::new(slot.into_iter())),
            Access::Slots { slots, .. } => Source::Slots(Box::new(slots.into_iter())),
            Access::Ordered { first, rows, among } => {
                Source::Ordered(Ordered::new(first, rows, among, snapshot)?)
            }
            Access::Indexed { columns, slots } => {
                Source::Indexed(Indexed { columns, slots: slots.into_iter(), taken: Vec::new() })
            }
            Access::Count(rows) => Source::Count(rows),
            Access::All => Source::All(snapshot.columns()?),
        })
    }
}

/// Columns of rows that pass, from indexes.
struct Indexed {
    columns: Vec<(Type, ColumnValues)>,
    slots: roaring::bitmap::IntoIter,
    /// Those of the rows that were asked for last.
    taken: Vec<u32>,
}

impl Indexed {
    /// The next rows, at most so many.
    fn next(&mut self, schema: &SchemaRef, wanted: usize) -> Result<Option<RecordBatch>> {
        self.taken.clear();
        self.taken.extend(self.slots.by_ref().take(wanted));
        let slots = &self.taken;
        if slots.is_empty() {
            return Ok(None);
        }
        let array = |(ty, values): &(Type, ColumnValues)| {
            let mut builder = Builder::new(ty, slots.len());
            for slot in slots {
                let value = values.value(*slot)?;
                builder.append(&value)?;
            }
            Ok(builder.finish())
        };
        let columns = self.columns.iter().map(array).collect::<Result<Vec<_>>>()?;
        batch(schema, columns, slots.len()).map(Some)
    }
}

/// Rows in an order until enough have passed.
struct Ordered {
    first: First,
    /// How many have to pass, of those the index orders.
    wanted: usize,
    /// Slots that were not read yet. What the index orders comes after all that was.
    left: RoaringBitmap,
    /// To be read next.
    next: std::vec::IntoIter<u32>,
    /// How many the index is asked for the next time.
    step: usize,
    passed: usize,
    /// Whether the rows read last are counted: rows that changed since the snapshot come first, in no order.
    counts: bool,
    /// The rest in the order of their slots, once so many have been read that reading all would have been faster.
    rest: Option<ColumnScan>,
    read: u64,
}

impl Ordered {
    fn new(first: First, wanted: usize, among: RoaringBitmap, snapshot: &Snapshot) -> Result<Ordered> {
        let dirty: Vec<u32> = snapshot.visible_dirty()?.iter().collect();
        // The first step is enough where a quarter of the rows pass.
        let step = wanted.saturating_mul(4).max(256);
        let next = dirty.into_iter();
        let rest = None;
        Ok(Ordered { first, wanted, left: among, next, step, passed: 0, counts: false, rest, read: 0 })
    }

    /// The next rows; none when no other row can be among the first.
    fn read(&mut self, snapshot: &Snapshot) -> Result<Rows> {
        loop {
            let rows = snapshot.rows_at(&mut self.next, BATCH_ROWS)?;
            if !rows.is_empty() {
                self.read += rows.len() as u64;
                return Ok(rows);
            }
            // The rest is in no order: all of it may come first.
            let is_enough = self.rest.is_none() && self.passed >= self.wanted;
            if is_enough || self.left.is_empty() {
                return Ok(Rows::default());
            }
            // Rows one by one take several times as long as rows in order.
            if self.read > snapshot.live().len() / 8 && self.rest.is_none() {
                self.rest = Some(snapshot.columns()?);
            }
            if let Some(rest) = &mut self.rest {
                let rows = rest.next(BATCH_ROWS)?;
                // Those that were read are thrown away again.
                let left = rows.select(|row| self.left.contains(rows.slots()[row]));
                if rows.is_empty() || !left.is_empty() {
                    return Ok(left);
                }
                continue;
            }
            let Some(first) = self.first.of(snapshot, Some(&self.left), self.step)? else {
                // A snapshot keeps its index, but a page of that may have become unreadable.
                self.rest = Some(snapshot.columns()?);
                continue;
            };
            if first.is_empty() {
                return Ok(Rows::default());
            }
            self.left -= &first;
            self.counts = true;
            self.step = self.step.saturating_mul(4);
            self.next = first.iter().collect::<Vec<u32>>().into_iter();
        }
    }
}

impl Reader {
    /// Of at most `limit` rows, with these columns of the table.
    pub fn new(
        access: Access,
        filter: &Arc<Filter>,
        columns: &[usize],
        limit: Option<usize>,
        execution: Arc<Execution>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Reader> {
        Ok(Reader {
            filter_decoder: Decoder::new(Arc::clone(&snapshot), filter.columns())?,
            decoder: Decoder::new(Arc::clone(&snapshot), columns)?,
            source: Source::of(access, &snapshot)?,
            execution,
            snapshot,
            filter: Arc::clone(filter),
            columns: columns.to_vec(),
            limit: limit.unwrap_or(usize::MAX),
        })
    }

    /// The next rows that pass the filter; `None` at the end.
    pub fn next_batch(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        loop {
            self.execution.check_cancel()?;
            if self.limit == 0 {
                return Ok(None);
            }
            if let Source::Count(rows) = self.source {
                self.source = Source::Count(0);
                let rows = (rows as usize).min(self.limit);
                return if rows == 0 { Ok(None) } else { batch(schema, Vec::new(), rows).map(Some) };
            }
            if let Source::Indexed(indexed) = &mut self.source {
                match indexed.next(schema, BATCH_ROWS.min(self.limit)) {
                    Err(error) if is_unreadable(&error) => self.leave_indexes(),
                    batch => {
                        let batch = batch?;
                        self.limit -= batch.as_ref().map_or(0, RecordBatch::num_rows);
                        return Ok(batch);
                    }
                }
            }
            let rows = self.read()?;
            if rows.is_empty() {
                return Ok(None);
            }
            let mut rows = passing(&self.filter, &self.filter_decoder, rows)?;
            if let Source::Ordered(ordered) = &mut self.source
                && ordered.counts
            {
                ordered.passed += rows.len();
            }
            rows.truncate(self.limit);
            if !rows.is_empty() {
                self.limit -= rows.len();
                let columns = self.decoder.decode(&rows, &self.columns)?;
                return batch(schema, columns, rows.len()).map(Some);
            }
        }
    }

    /// A page of an index's file was lost: its rows and all behind them are read themselves. The log was told.
    fn leave_indexes(&mut self) {
        if let Source::Indexed(indexed) = std::mem::replace(&mut self.source, Source::Count(0)) {
            self.source = Source::Slots(Box::new(indexed.taken.into_iter().chain(indexed.slots)));
        }
    }

    /// The next visible rows; none at the end.
    fn read(&mut self) -> Result<Rows> {
        // A small limit without a filter needs no more rows than it returns.
        let wanted = if self.filter.is_empty() { BATCH_ROWS.min(self.limit) } else { BATCH_ROWS };
        match &mut self.source {
            Source::All(scan) => scan.next(wanted),
            Source::Slots(slots) => self.snapshot.rows_at(slots, wanted),
            Source::Ordered(ordered) => ordered.read(&self.snapshot),
            Source::Indexed(_) | Source::Count(_) => Ok(Rows::default()),
        }
    }
}

/// Whether what an index has in a file cannot be read, or is not what was written.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.state(), SqlState::IO_ERROR | SqlState::DATA_CORRUPTED)
}

/// The rows for which the filter is true.
pub fn passing(filter: &Filter, decoder: &Decoder, rows: Rows) -> Result<Rows> {
    let Some(passes) = filter.test(decoder, &rows)? else { return Ok(rows) };
    Ok(rows.select(|row| passes.is_valid(row) && passes.value(row)))
}

/// A batch that also works without columns.
pub fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(crate::types::arrow::errors::from_arrow)
}
