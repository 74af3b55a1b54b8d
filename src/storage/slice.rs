//! A piece of a shared buffer: a memtable entry or a decoded block.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that keep the buffer they lie in alive. Cloning counts a reference and copies nothing.
#[derive(Clone)]
pub struct Slice {
    buffer: Arc<[u8]>,
    start: u32,
    len: u32,
}

impl Slice {
    /// Panics when the range lies outside `buffer`, whose decoder has checked its offsets.
    pub(super) fn new(buffer: Arc<[u8]>, start: usize, end: usize) -> Slice {
        assert!(start <= end && end <= buffer.len(), "slice {start}..{end} of {} bytes", buffer.len());
        Slice { buffer, start: start as u32, len: (end - start) as u32 }
    }

    /// Copies `bytes` into a buffer of their own.
    pub fn copy_of(bytes: &[u8]) -> Slice {
        Slice { buffer: Arc::from(bytes), start: 0, len: bytes.len() as u32 }
    }
}

impl Deref for Slice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let start = self.start as usize;
        &self.buffer[start..start + self.len as usize]
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Slice {
    fn eq(&self, other: &Slice) -> bool {
        **self == **other
    }
}

impl Eq for Slice {}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}
