//! Columns of rows from several places, gathered into one array each.
//!
//! ```text
//!   Rows      slots 0 1 2 3 4 5 6 7 8
//!             runs [block A: 0..4] [row] [block B: 17..20] [block A: 5..6]
//!   Column    validity bits | cells, one after the other
//! ```
//!
//! A run of a block of columns is copied as it lies, column by column and only where asked for; a row that is not in one
//! is taken apart by who knows its columns.

use std::ops::Range;

use super::shape::Kind;
use super::slice::Slice;
use super::sstable::Columns;
use crate::error::{Error, Result, SqlState};

/// One row, where it lies.
#[derive(Clone)]
pub enum Row {
    /// As it was written.
    Bytes(Slice),
    /// An entry of a block of columns.
    Entry(Columns, u32),
}

impl Row {
    /// The row as it was written.
    pub fn into_bytes(self) -> Slice {
        match self {
            Row::Bytes(row) => row,
            Row::Entry(block, index) => block.row(index as usize),
        }
    }
}

/// Who gathers rows stops at so many bytes of them: offsets of arrays are of 31 bits, and a batch of a statement is in
/// memory as a whole, several times over when it is joined, changed and written. Rows of up to half a KiB, as nearly all
/// are beside their vectors, come 2,048 at a time nevertheless.
const GATHERED_BYTES: usize = 1 << 20;

/// Rows and their slots.
#[derive(Clone, Default)]
pub struct Rows {
    slots: Vec<u32>,
    runs: Vec<Run>,
    bytes: usize,
    /// What a row may have besides its own bytes.
    bytes_each: usize,
}

#[derive(Clone)]
enum Run {
    Bytes(Slice),
    Entries { block: Columns, first: u32, count: u32 },
}

/// Some rows of [`Rows`], in one place.
pub enum Piece<'a> {
    Row(&'a Slice),
    Entries(&'a Columns, Range<usize>),
}

impl Rows {
    /// None yet; each of them counts for so many bytes more than it has.
    pub fn counting(bytes_each: usize) -> Rows {
        Rows { bytes_each, ..Rows::default() }
    }

    /// Whether they have so many bytes that no more of them should be gathered at once. A row has room in any case.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes >= GATHERED_BYTES
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    pub fn push(&mut self, slot: u32, row: Row) {
        match row {
            Row::Bytes(row) => self.push_bytes(slot, row),
            Row::Entry(block, index) => {
                self.slots.push(slot);
                self.push_run(&block, index as usize..index as usize + 1);
            }
        }
    }

    fn push_bytes(&mut self, slot: u32, row: Slice) {
        self.slots.push(slot);
        self.bytes += row.len() + self.bytes_each;
        self.runs.push(Run::Bytes(row));
    }

    /// Entries of a block, which are rows.
    pub fn push_entries(&mut self, block: &Columns, entries: Range<usize>) {
        block.put_slots(entries.clone(), &mut self.slots);
        self.push_run(block, entries);
    }

    fn push_run(&mut self, block: &Columns, entries: Range<usize>) {
        // All of a block are a few KiB, so that it does not matter which of them are the long ones.
        self.bytes += entries.len() * (block.bytes().div_ceil(block.count()) + self.bytes_each);
        if let Some(Run::Entries { block: last, first, count }) = self.runs.last_mut()
            && (*first + *count) as usize == entries.start
            && last.is(block)
        {
            *count += entries.len() as u32;
            return;
        }
        let (first, count) = (entries.start as u32, entries.len() as u32);
        self.runs.push(Run::Entries { block: block.clone(), first, count });
    }

    /// The rows in their places, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.runs.iter().map(|run| match run {
            Run::Bytes(row) => Piece::Row(row),
            Run::Entries { block, first, count } => {
                Piece::Entries(block, *first as usize..(*first + *count) as usize)
            }
        })
    }

    /// The rows at those places for which `keep` is true.
    pub fn select(&self, keep: impl Fn(usize) -> bool) -> Rows {
        let mut kept = Rows::counting(self.bytes_each);
        let mut at = 0;
        for run in &self.runs {
            match run {
                Run::Bytes(row) => {
                    if keep(at) {
                        kept.push_bytes(self.slots[at], row.clone());
                    }
                    at += 1;
                }
                Run::Entries { block, first, count } => {
                    let end = at + *count as usize;
                    let mut next = at;
                    while next < end {
                        let from = (next..end).find(|place| keep(*place)).unwrap_or(end);
                        let to = (from..end).find(|place| !keep(*place)).unwrap_or(end);
                        if from < to {
                            kept.slots.extend_from_slice(&self.slots[from..to]);
                            let entry = |place: usize| *first as usize + place - at;
                            kept.push_run(block, entry(from)..entry(to));
                        }
                        next = to;
                    }
                    at = end;
                }
            }
        }
        kept
    }

    /// Only the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            *self = self.select(|place| place < rows);
        }
    }

    /// Each row as it was written, with its slot.
    pub fn into_bytes(self) -> Vec<(u32, Slice)> {
        let rows = self.pieces().flat_map(|piece| match piece {
            Piece::Row(row) => vec![row.clone()],
            Piece::Entries(block, entries) => entries.map(|index| block.row(index)).collect(),
        });
        self.slots.iter().copied().zip(rows).collect()
    }
}

/// A bit per row, lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn get(&self, index: usize) -> bool {
        self.bytes[index / 8] & (1 << (index % 8)) != 0
    }

    /// Bits behind the last are zeros.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        let last = self.bytes.len() - 1;
        self.bytes[last] |= u8::from(bit) << (self.len % 8);
        self.len += 1;
    }

    pub fn push_all(&mut self, bit: bool, count: usize) {
        let mut left = count;
        while left > 0 && !self.len.is_multiple_of(8) {
            self.push(bit);
            left -= 1;
        }
        self.bytes.resize(self.bytes.len() + left / 8, if bit { 0xFF } else { 0 });
        self.len += left / 8 * 8;
        (0..left % 8).for_each(|_| self.push(bit));
    }

    /// Some of the bits of `bytes`.
    pub fn push_bits(&mut self, bytes: &[u8], bits: Range<usize>) {
        let (mut at, end) = (bits.start, bits.end);
        while at < end && !self.len.is_multiple_of(8) {
            self.push(bytes[at / 8] & (1 << (at % 8)) != 0);
            at += 1;
        }
        while at + 8 <= end {
            let word = u16::from_le_bytes([bytes[at / 8], bytes.get(at / 8 + 1).copied().unwrap_or(0)]);
            self.bytes.push((word >> (at % 8)) as u8);
            self.len += 8;
            at += 8;
        }
        (at..end).for_each(|at| self.push(bytes[at / 8] & (1 << (at % 8)) != 0));
    }
}

/// The cells of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// A bit for each row that has a cell; `None` where all have.
    pub validity: Option<Bits>,
    pub cells: Cells,
    pub rows: usize,
}

/// Cells one after the other; those of rows that have none have no meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// They lie elsewhere.
    Outside,
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// Of another width.
    Fixed {
        width: usize,
        bytes: Vec<u8>,
    },
    /// Of any length: where each begins, and where the last ends.
    Var {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
}

impl Column {
    /// Without a row, with room for `rows`. Numbers that may be long are of any length.
    pub fn new(kind: Kind, rows: usize) -> Column {
        let cells = match kind {
            Kind::Outside => Cells::Outside,
            Kind::Fixed(2) => Cells::I16(Vec::with_capacity(rows)),
            Kind::Fixed(4) => Cells::I32(Vec::with_capacity(rows)),
            Kind::Fixed(8) => Cells::I64(Vec::with_capacity(rows)),
            Kind::Fixed(width) => {
                let width = usize::from(width);
                Cells::Fixed { width, bytes: Vec::with_capacity(rows * width) }
            }
            Kind::Var | Kind::Number => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Cells::Var { ends, bytes: Vec::with_capacity(rows * 16) }
            }
        };
        Column { validity: None, cells, rows: 0 }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|validity| !validity.get(row))
    }

    /// Hands the bytes of each cell to `take`, `None` for NULL; nothing of cells that lie elsewhere.
    pub fn each(&self, mut take: impl FnMut(Option<&[u8]>) -> Result<()>) -> Result<()> {
        (0..self.rows).try_for_each(|row| match &self.cells {
            _ if self.is_null(row) => take(None),
            Cells::Outside => take(Some(&[])),
            Cells::I16(cells) => take(Some(&cells[row].to_le_bytes())),
            Cells::I32(cells) => take(Some(&cells[row].to_le_bytes())),
            Cells::I64(cells) => take(Some(&cells[row].to_le_bytes())),
            Cells::Fixed { width, bytes } => take(Some(&bytes[row * width..(row + 1) * width])),
            Cells::Var { ends, bytes } => take(Some(&bytes[ends[row] as usize..ends[row + 1] as usize])),
        })
    }

    /// Appends one cell, whose bytes are as rows have them.
    pub fn push(&mut self, cell: Option<&[u8]>) -> Result<()> {
        fn number<const N: usize>(cell: Option<&[u8]>) -> Result<[u8; N]> {
            cell.map_or(Ok([0; N]), |cell| cell.try_into().map_err(|_| other_width(cell.len(), N)))
        }
        match &mut self.cells {
            Cells::Outside => {}
            Cells::I16(cells) => cells.push(i16::from_le_bytes(number(cell)?)),
            Cells::I32(cells) => cells.push(i32::from_le_bytes(number(cell)?)),
            Cells::I64(cells) => cells.push(i64::from_le_bytes(number(cell)?)),
            Cells::Fixed { width, bytes } => match cell {
                Some(cell) if cell.len() != *width => return Err(other_width(cell.len(), *width)),
                Some(cell) => bytes.extend_from_slice(cell),
                None => bytes.resize(bytes.len() + *width, 0),
            },
            Cells::Var { ends, bytes } => {
                bytes.extend_from_slice(cell.unwrap_or_default());
                ends.push(i32::try_from(bytes.len()).map_err(|_| too_long())?);
            }
        }
        self.put_validity(cell.is_some());
        Ok(())
    }

    /// Appends the cells of entries of a block, all of which have the column, which is of the kind that this was made for.
    pub fn push_entries(&mut self, block: &Columns, column: usize, entries: Range<usize>) -> Result<()> {
        let count = entries.len();
        match &mut self.cells {
            Cells::Outside => {}
            Cells::I16(cells) => {
                block.put_numbers(column, entries.clone(), cells, i16::from_le_bytes, |cell| cell as i16);
            }
            Cells::I32(cells) => {
                block.put_numbers(column, entries.clone(), cells, i32::from_le_bytes, |cell| cell as i32);
            }
            Cells::I64(cells) => {
                block.put_numbers(column, entries.clone(), cells, i64::from_le_bytes, |cell| cell);
            }
            Cells::Fixed { width, bytes } => block.put_fixed(column, entries.clone(), *width, bytes),
            Cells::Var { ends, bytes } => {
                let start = bytes.len() as i32;
                // A sum that is too large is refused before anyone uses it.
                let end = |end: usize| ends.push(start.wrapping_add(end as i32));
                if block.kind(column) == Kind::Number {
                    let put = block.put_long_numbers(column, entries.clone(), bytes, end);
                    put.map_err(|found| Error::corrupt("row", 0, "a number", found))?;
                } else {
                    block.put_var(column, entries.clone(), bytes, end);
                }
                i32::try_from(bytes.len()).map_err(|_| too_long())?;
            }
        }
        if !block.has_all(column) {
            self.begin_validity();
        }
        if let Some(validity) = &mut self.validity {
            block.put_validity(column, entries, validity);
        }
        self.rows += count;
        Ok(())
    }

    fn put_validity(&mut self, is_valid: bool) {
        if !is_valid {
            self.begin_validity();
        }
        if let Some(validity) = &mut self.validity {
            validity.push(is_valid);
        }
        self.rows += 1;
    }

    /// All rows so far have a cell, if nothing else was said.
    fn begin_validity(&mut self) {
        if self.validity.is_none() {
            let mut validity = Bits::default();
            validity.push_all(true, self.rows);
            self.validity = Some(validity);
        }
    }
}

fn other_width(found: usize, width: usize) -> Error {
    Error::corrupt("row", 0, format_args!("a cell of {width} bytes"), format_args!("{found}"))
}

fn too_long() -> Error {
    let message = "a column of one batch of rows is longer than 2 GiB";
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}
