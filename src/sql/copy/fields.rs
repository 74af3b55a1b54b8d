//! Fields of one row, between a decoder and the types.

use std::ops::Range;

use crate::error::{Error, SqlState};

/// The cells of one row as bytes, unescaped; reused from row to row.
#[derive(Debug, Default)]
pub struct Fields {
    pub bytes: Vec<u8>,
    cells: Vec<Option<Range<usize>>>,
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
        self.cells.push(Some(start..self.bytes.len()));
    }

    pub fn null(&mut self) {
        self.cells.push(None);
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.cells.get(index)?.as_ref().map(|range| &self.bytes[range.clone()])
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
