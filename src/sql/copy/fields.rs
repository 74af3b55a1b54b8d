//! Fields of one row, between a decoder and the types.

use std::ops::Range;

use crate::error::{Error, SqlState};
use crate::sql::copy::options::Options;

/// The cells of one row as bytes, unescaped; reused from row to row.
#[derive(Debug, Default)]
pub struct Fields {
    pub bytes: Vec<u8>,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Cell {
    Bytes(Range<usize>),
    Null,
    /// What the option DEFAULT says stands for the column's default.
    Default,
}

impl Fields {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Ends the field that began at `start` of `bytes`.
    pub fn end(&mut self, start: usize) {
        self.cells.push(Cell::Bytes(start..self.bytes.len()));
    }

    pub fn null(&mut self) {
        self.cells.push(Cell::Null);
    }

    /// The column's default.
    pub fn of_column(&mut self) {
        self.cells.push(Cell::Default);
    }

    /// Whether a field as it was sent stands for NULL or the column's default; if so it is added as that.
    pub fn mark(&mut self, field: &[u8], options: &Options) -> bool {
        if field == options.null.as_bytes() {
            self.null();
        } else if options.default.as_ref().is_some_and(|default| field == default.as_bytes()) {
            self.of_column();
        } else {
            return false;
        }
        true
    }

    pub fn is_default(&self, index: usize) -> bool {
        matches!(self.cells.get(index), Some(Cell::Default))
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        match self.cells.get(index)? {
            Cell::Bytes(range) => Some(&self.bytes[range.clone()]),
            Cell::Null | Cell::Default => None,
        }
    }
}

/// Bytes that arrive in pieces and are taken in records.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pending {
    pub fn push(&mut self, data: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(data);
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes `length` bytes; where they lie until the next [`Pending::push`].
    pub fn take(&mut self, length: usize) -> Range<usize> {
        let start = self.taken;
        self.taken += length;
        start..self.taken
    }

    pub fn get(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// 22P04
pub fn bad_format(message: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}
