//! A transaction's pen for one table: rows become changes, changes become log bytes and overlay.
//!
//! ```text
//!   values ──> keys, row bytes, slot ──> vector segments (written now: the slot is ours alone)
//!                                    ├─> chunk            (log bytes, handed to the log as they fill)
//!                                    └─> overlay          (what the transaction itself sees)
//! ```
//!
//! Recovery holds the same pen: [`Writer::replay`] takes the changes from the log instead of making them.

use std::borrow::Cow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog;
use crate::distance::Element;
use crate::error::{Error, Result, SqlState};
use crate::index::hnsw::check_elements;
use crate::log::{Change, Changes, Seq};
use crate::storage::Slice;
use crate::table::keys::{self, UniqueKey};
use crate::table::layer::Place;
use crate::table::overlay::Overlay;
use crate::table::rows::{Layout, encode_vector};
use crate::table::state::{Table, VectorColumn, unique_keys};
use crate::types::Value;
use crate::vectors::Column;

/// What one transaction writes to one table.
pub struct Writer {
    pub(super) table: Arc<Table>,
    definition: Arc<catalog::Table>,
    pub(super) layout: Arc<Layout>,
    unique_keys: Arc<[UniqueKey]>,
    vectors: Arc<[VectorColumn]>,
    /// Per vector column: whether an index is over it, which takes fewer elements of sparse vectors than the type.
    indexed: Vec<bool>,
    /// Per vector column there ever was, in order of numbers: which of `vectors` it is, none when it was dropped. This
    /// is how the log has them, so that a record means the same before and after a column is dropped.
    logged_vectors: Vec<Option<usize>>,
    pub(super) overlay: Arc<Overlay>,
    /// Changes not yet handed to the log.
    pub(super) chunk: Vec<u8>,
    /// How often a chunk was handed out.
    pub(super) chunks_taken: u64,
    /// Slots taken from the table; given back when the transaction is undone.
    pub(super) taken: RoaringBitmap,
    /// The overlay moves to files once it takes this much memory.
    overlay_bytes_max: usize,
    spill_place: Place,
}

/// The unique keys of one row, in the order of [`Writer::unique_keys`]; `None` where a column is NULL and NULLs
/// are distinct.
pub type Keys = Vec<Option<Vec<u8>>>;

/// A row to insert, with its keys.
pub struct NewRow<'v> {
    pub values: Cow<'v, [Value]>,
    pub keys: Keys,
}

/// A new version of a row.
pub struct NewVersion<'v> {
    pub slot: u32,
    pub values: Cow<'v, [Value]>,
    pub old_keys: Keys,
    pub new_keys: Keys,
}

impl Writer {
    pub fn new(
        table: Arc<Table>,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        vectors: Arc<[VectorColumn]>,
        overlay_bytes_max: usize,
        spill_place: Place,
    ) -> Writer {
        Writer {
            layout: Arc::new(Layout::of(&definition)),
            unique_keys: unique_keys(indexes, &definition),
            logged_vectors: logged_vectors(&definition, &vectors),
            indexed: indexed(indexes, &vectors),
            vectors,
            overlay: Arc::default(),
            chunk: Vec::new(),
            chunks_taken: 0,
            taken: RoaringBitmap::new(),
            table,
            definition,
            overlay_bytes_max,
            spill_place,
        }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn definition(&self) -> &Arc<catalog::Table> {
        &self.definition
    }

    pub fn unique_keys(&self) -> &Arc<[UniqueKey]> {
        &self.unique_keys
    }

    pub fn overlay(&self) -> &Arc<Overlay> {
        &self.overlay
    }

    /// What a commit publishes, and the slots that were taken for rows it does not have: their insertion was logged
    /// and then undone by ROLLBACK TO. They are free once the commit is published, and not before: until then the
    /// log may still get this transaction's changes to them.
    pub fn into_overlay(self) -> (Arc<Overlay>, RoaringBitmap) {
        let unborn = &(&self.taken - self.overlay.inserted()) - self.overlay.deleted();
        (self.overlay, unborn)
    }

    /// Goes on under another definition or other indexes, after the transaction's own DDL.
    pub fn redefine(
        &mut self,
        definition: Arc<catalog::Table>,
        indexes: &[Arc<catalog::Index>],
        vectors: Arc<[VectorColumn]>,
    ) {
        self.layout = Arc::new(Layout::of(&definition));
        self.unique_keys = unique_keys(indexes, &definition);
        self.logged_vectors = logged_vectors(&definition, &vectors);
        self.indexed = indexed(indexes, &vectors);
        self.vectors = vectors;
        self.definition = definition;
    }

    pub fn keys_of(&self, values: &[Value]) -> Result<Keys> {
        let keys: Keys = self.unique_keys.iter().map(|unique| unique.key(|column| &values[column])).collect();
        keys.iter().flatten().try_for_each(|key| keys::check_length(key))?;
        Ok(keys)
    }

    /// Does what may fail of publishing, before the commit is logged.
    pub fn prepare(&mut self) -> Result<()> {
        Arc::make_mut(&mut self.overlay).prepare(self.table.tree())
    }

    /// Whether rows have moved to files.
    pub fn has_spilled(&self) -> bool {
        self.overlay.has_spilled()
    }

    /// The newest version of a row that this transaction has locked or made: its values, `vector(n)` cells empty.
    pub fn current_values(&self, slot: u32) -> Result<Option<Vec<Value>>> {
        let row = match self.overlay.row(slot)? {
            Some(row) => row,
            None => self.table.newest_row(slot)?,
        };
        row.map(|row| self.layout.read(&row)?.values()).transpose()
    }

    /// Goes on with the keys of an index that this transaction has made.
    pub fn keep_built(&mut self, index: catalog::Oid, keys: Overlay) {
        Arc::make_mut(&mut self.overlay).keep_built(index, keys);
    }

    /// The row that has the key now: by this transaction's writes, else by the newest commit.
    pub fn owner(&self, key: &[u8]) -> Result<Option<u32>> {
        self.owner_in(&self.overlay, key)
    }

    /// The same by another overlay of this transaction.
    pub(super) fn owner_in(&self, overlay: &Overlay, key: &[u8]) -> Result<Option<u32>> {
        if let Some(owner) = overlay.key(key)? {
            return Ok(owner);
        }
        let value: Option<Slice> = self.table.tree().get(key, Seq(u64::MAX))?;
        value.map(|value| keys::slot_of_value(&value)).transpose()
    }

    /// Inserts rows whose keys are free and locked; returns their slots.
    pub fn insert(&mut self, rows: &[NewRow], horizon: Seq) -> Result<Vec<u32>> {
        self.check_vectors(rows.iter().map(|row| &row.values[..]))?;
        let slots = self.table.take_slots(rows.len(), horizon)?;
        self.taken.extend(&slots);
        let cells = self.write_vectors(rows, &slots)?;
        let mut bytes = Vec::new();
        let overlay = Arc::make_mut(&mut self.overlay);
        for (number, (row, &slot)) in rows.iter().zip(&slots).enumerate() {
            bytes.clear();
            self.layout.encode(&row.values, &mut bytes)?;
            let change = Change::Insert {
                slot,
                row: &bytes,
                vectors: self
                    .logged_vectors
                    .iter()
                    .map(|column| column.and_then(|column| cells[column].cell(number)))
                    .collect(),
                keys: row.keys.iter().flatten().map(Vec::as_slice).collect(),
            };
            change.encode(&mut self.chunk);
            overlay.apply(&change);
        }
        self.bound_memory()?;
        Ok(slots)
    }

    /// Gives rows other values; `vector(n)` cells stay what they are.
    pub fn update(&mut self, versions: &mut [NewVersion]) -> Result<()> {
        let mut bytes = Vec::new();
        for version in versions {
            self.keep_vector_nulls(version.slot, &mut version.values)?;
            bytes.clear();
            self.layout.encode(&version.values, &mut bytes)?;
            let mut change =
                Change::Update { slot: version.slot, row: &bytes, keys_removed: vec![], keys_added: vec![] };
            if let Change::Update { keys_removed, keys_added, .. } = &mut change {
                for (old, new) in
                    version.old_keys.iter().zip(&version.new_keys).filter(|(old, new)| old != new)
                {
                    keys_removed.extend(old.as_deref());
                    keys_added.extend(new.as_deref());
                }
            }
            change.encode(&mut self.chunk);
            Arc::make_mut(&mut self.overlay).apply(&change);
        }
        self.bound_memory()
    }

    /// Gives a row a key that it waited for; the row stays what it is.
    pub fn claim(&mut self, slot: u32, key: &[u8]) -> Result<()> {
        let row = match self.overlay.row(slot)? {
            Some(row) => row,
            None => self.table.newest_row(slot)?,
        };
        let row =
            row.ok_or_else(|| Error::internal(format!("slot {slot} waits for a key and holds no row")))?;
        let change = Change::Update { slot, row: &row, keys_removed: vec![], keys_added: vec![key] };
        change.encode(&mut self.chunk);
        Arc::make_mut(&mut self.overlay).apply(&change);
        self.bound_memory()
    }

    /// Gives rows their values in columns (by position) which this transaction has added to the table: (slot, values in
    /// order of `columns`). Cells in segments are written there, where nobody else reads yet; the rows themselves are
    /// written anew only for other cells.
    pub fn fill(&mut self, columns: &[usize], rows: &[(u32, Vec<Value>)]) -> Result<()> {
        let place = |column: &VectorColumn| {
            let known =
                |logged: &Option<usize>| logged.is_some_and(|n| self.vectors[n].number == column.number);
            self.logged_vectors.iter().position(known)
        };
        let mut vectors = Vec::new();
        let mut cells = Vec::new();
        for (number, position) in columns.iter().enumerate() {
            match self.vectors.iter().find(|column| column.position == *position) {
                Some(column) => {
                    let place =
                        place(column).ok_or_else(|| Error::internal("a vector column without a place"))?;
                    vectors.push((number, place as u32, column.clone()));
                }
                None => cells.push((number, *position)),
            }
        }
        let mut bytes = Vec::new();
        for (slot, values) in rows {
            for (number, place, column) in &vectors {
                check_vector(column, &values[*number], false)?;
                bytes.clear();
                encode_vector(&values[*number], &mut bytes);
                column.column.reserve(slot + 1)?;
                // NULL is logged too: replay may meet another column's values, under a number that was rolled back.
                let vector = (values[*number] != Value::Null).then_some(&bytes[..]);
                column.column.write_run(*slot, &[vector])?;
                Change::Fill { slot: *slot, place: *place, vector }.encode(&mut self.chunk);
            }
            if !cells.is_empty() {
                self.fill_cells(*slot, &cells, values)?;
            }
        }
        self.bound_memory()
    }

    fn fill_cells(&mut self, slot: u32, cells: &[(usize, usize)], values: &[Value]) -> Result<()> {
        let row = self.current_values(slot)?;
        let mut row =
            row.ok_or_else(|| Error::internal(format!("slot {slot} is filled and holds no row")))?;
        for (number, position) in cells {
            row[*position] = values[*number].clone();
        }
        let mut row = Cow::Owned(row);
        self.keep_vector_nulls(slot, &mut row)?;
        let mut bytes = Vec::new();
        self.layout.encode(&row, &mut bytes)?;
        let change = Change::Update { slot, row: &bytes, keys_removed: vec![], keys_added: vec![] };
        change.encode(&mut self.chunk);
        Arc::make_mut(&mut self.overlay).apply(&change);
        Ok(())
    }

    /// Deletes rows, given with their keys.
    pub fn delete(&mut self, rows: &[(u32, Keys)]) -> Result<()> {
        let overlay = Arc::make_mut(&mut self.overlay);
        for (slot, keys) in rows {
            let keys = keys.iter().flatten().map(Vec::as_slice).collect();
            let change = Change::Delete { slot: *slot, keys };
            change.encode(&mut self.chunk);
            overlay.apply(&change);
        }
        self.bound_memory()
    }

    /// Takes in changes that a log record holds: what [`Writer::insert`], [`Writer::update`] and [`Writer::delete`] made.
    pub fn replay(&mut self, changes: &[u8]) -> Result<()> {
        // By column, in the order of the log: runs of consecutive slots are written at once.
        let mut cells = vec![Vec::new(); self.vectors.len()];
        for change in Changes::new(changes) {
            let change = change?;
            let mut keep = |place: usize, slot, vector: Option<_>| {
                let Some(Some(number)) = self.logged_vectors.get(place) else { return };
                // One of another shape is of a column that was rolled back, before the one that is there got its number.
                if vector.is_none_or(|vector| self.vectors[*number].column.takes(vector)) {
                    cells[*number].push((slot, vector));
                }
            };
            match &change {
                Change::Insert { slot, vectors, .. } => {
                    vectors.iter().enumerate().for_each(|(place, vector)| keep(place, *slot, *vector));
                    self.table.raise_slots(slot + 1);
                    self.taken.insert(*slot);
                }
                Change::Fill { slot, place, vector } => keep(*place as usize, *slot, *vector),
                Change::Update { .. } | Change::Delete { .. } => {}
            }
            Arc::make_mut(&mut self.overlay).apply(&change);
        }
        for (column, cells) in self.vectors.iter().zip(cells) {
            let (slots, vectors): (Vec<u32>, Vec<_>) = cells.into_iter().unzip();
            // Also where space was given back before the crash: a full disk is a refusal here, not a failed write.
            write_runs(&column.column, &slots, &vectors)?;
        }
        self.bound_memory()
    }

    /// Log bytes made since the last call.
    pub fn take_chunk(&mut self) -> Vec<u8> {
        if !self.chunk.is_empty() {
            self.chunks_taken += 1;
        }
        std::mem::take(&mut self.chunk)
    }

    /// Takes back a chunk that the log would not take.
    pub fn put_back_chunk(&mut self, chunk: Vec<u8>) {
        self.chunks_taken -= u64::from(!chunk.is_empty());
        self.chunk = chunk;
    }

    /// Takes back a chunk that was handed out, for its memory: a load would make a megabyte of new pages for each.
    pub fn reuse_chunk(&mut self, mut chunk: Vec<u8>) {
        chunk.clear();
        self.chunk = chunk;
    }

    pub fn chunk_bytes(&self) -> usize {
        self.chunk.len()
    }

    /// Undoes everything: its slots are free again, its vectors garbage that nobody reads.
    pub fn undo(self) {
        self.table.give_back_slots(self.taken);
    }

    fn bound_memory(&mut self) -> Result<()> {
        // Aside, there are two parts in memory.
        let parts = if self.spill_place == Place::Aside { 2 } else { 1 };
        if self.overlay.bytes() > self.overlay_bytes_max / parts {
            Arc::make_mut(&mut self.overlay).spill(self.table.tree(), self.spill_place)?;
        }
        Ok(())
    }

    fn check_vectors<'v>(&self, rows: impl Iterator<Item = &'v [Value]>) -> Result<()> {
        for values in rows {
            for (column, indexed) in self.vectors.iter().zip(&self.indexed) {
                check_vector(column, &values[column.position], *indexed)?;
            }
        }
        Ok(())
    }

    /// Writes the vector cells of new rows, runs of consecutive slots at once, and returns them as bytes for the log.
    fn write_vectors(&self, rows: &[NewRow], slots: &[u32]) -> Result<Vec<CellBytes>> {
        let mut all = Vec::with_capacity(self.vectors.len());
        for column in self.vectors.iter() {
            let cells = CellBytes::of(rows, column.position);
            let vectors: Vec<Option<&[u8]>> = (0..slots.len()).map(|number| cells.cell(number)).collect();
            write_runs(&column.column, slots, &vectors)?;
            all.push(cells);
        }
        self.table.state().expect_misses();
        Ok(all)
    }

    /// Row bytes carry the null bits of vector cells; an update that leaves vectors alone takes them from the old row.
    fn keep_vector_nulls(&self, slot: u32, values: &mut Cow<[Value]>) -> Result<()> {
        if self.vectors.is_empty() {
            return Ok(());
        }
        let values = values.to_mut();
        for column in self.vectors.iter() {
            let null = column.column.view().is_surely_null(slot)?;
            // Of a value in a segment the row has the null bit only.
            values[column.position] = if null { Value::Null } else { Value::Vector(Vec::new()) };
        }
        Ok(())
    }
}

fn indexed(indexes: &[Arc<catalog::Index>], vectors: &[VectorColumn]) -> Vec<bool> {
    let over = |number| indexes.iter().any(|i| i.hnsw.is_some() && i.columns.contains(&number));
    vectors.iter().map(|vector| over(vector.number)).collect()
}

/// Reserves slots and writes their cells, runs of consecutive slots at once.
fn write_runs(column: &Column, slots: &[u32], cells: &[Option<&[u8]>]) -> Result<()> {
    let runs = || slots.chunk_by(|a, b| a + 1 == *b);
    runs().try_for_each(|run| column.reserve_slots(run))?;
    let mut rest = cells;
    for run in runs() {
        let (cells, after) = rest.split_at(run.len());
        column.write_run(run[0], cells)?;
        rest = after;
    }
    Ok(())
}

/// Whether the value fits into the column's segments, and into the graphs over it.
fn check_vector(column: &VectorColumn, value: &Value, indexed: bool) -> Result<()> {
    let expected = (column.column.element(), column.column.dimensions());
    let (element, dimensions) = match value {
        Value::Null => return Ok(()),
        Value::Vector(vector) => (Element::F32, vector.len()),
        Value::Halfvec(vector) => (Element::F16, vector.len()),
        Value::Sparsevec(vector) => (Element::Sparse, vector.dimensions() as usize),
        Value::Bits(bits) => (Element::Bit, bits.len() as usize),
        other => return Err(Error::internal(format!("a vector column was given {other:?}"))),
    };
    if element != expected.0 {
        let (wanted, given) = (expected.0.type_name(), element.type_name());
        return Err(Error::internal(format!("a column of {wanted} was given a {given}")));
    }
    if dimensions != expected.1 {
        return Err(dimensions_differ(element, expected.1, dimensions));
    }
    if let (Value::Sparsevec(vector), true) = (value, indexed) {
        check_elements(vector.into())?;
    }
    Ok(())
}

fn logged_vectors(definition: &catalog::Table, vectors: &[VectorColumn]) -> Vec<Option<usize>> {
    let all = definition.physical_columns().into_iter();
    let all = all.filter(|(ty, _)| ty.is_slot_vector());
    all.map(|(_, position)| vectors.iter().position(|vector| Some(vector.position) == position)).collect()
}

/// The cells of one vector column of several rows, as little-endian bytes.
struct CellBytes {
    bytes: Vec<u8>,
    /// Where each cell ends; a NULL one has no bytes.
    ends: Vec<usize>,
}

impl CellBytes {
    fn of(rows: &[NewRow], position: usize) -> CellBytes {
        let mut cells = CellBytes { bytes: Vec::new(), ends: Vec::with_capacity(rows.len()) };
        for (number, row) in rows.iter().enumerate() {
            encode_vector(&row.values[position], &mut cells.bytes);
            if number == 0 {
                cells.bytes.reserve(cells.bytes.len() * (rows.len() - 1));
            }
            cells.ends.push(cells.bytes.len());
        }
        cells
    }

    fn cell(&self, number: usize) -> Option<&[u8]> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends[number];
        (start < end).then(|| &self.bytes[start..end])
    }
}

/// pgvector's words, and PostgreSQL's for bits.
fn dimensions_differ(element: Element, expected: usize, found: usize) -> Error {
    match element {
        Element::F32 | Element::F16 | Element::Sparse => {
            Error::new(SqlState::DATA_EXCEPTION, format!("expected {expected} dimensions, not {found}"))
        }
        Element::Bit => {
            let message = format!("bit string length {found} does not match type bit({expected})");
            Error::new(SqlState::STRING_DATA_LENGTH_MISMATCH, message)
        }
    }
}
