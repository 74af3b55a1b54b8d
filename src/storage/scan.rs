//! A range of a tree as of a snapshot.

use std::ops::Bound;

use super::memtable::EntryRef;
use super::merge::{DecidedKey, Merge, Source, is_before_end};
use super::slice::Slice;
use crate::error::Result;
use crate::log::Seq;

/// The newest visible version of each key, in order of keys, deleted ones left out. Owns what it reads, so that it does
/// not hold up flushes and compactions.
///
/// [`Scan::advance`] and [`Scan::entry`] lend what lies in the tree; as an iterator it hands out slices that keep it
/// alive, and ends after an error.
pub struct Scan {
    /// Without sources after the end, so that nothing is held.
    merge: Merge,
    to: Bound<Vec<u8>>,
    snapshot: Seq,
    decided: DecidedKey,
}

/// What a scan stands on.
#[derive(Clone, Copy, Debug)]
pub struct ScanEntry<'a> {
    pub key: &'a [u8],
    pub seq: Seq,
    pub value: &'a [u8],
}

impl Scan {
    /// The newest source first; all begin at the range's start.
    pub(super) fn new(sources: Vec<Source>, to: Bound<&[u8]>, snapshot: Seq) -> Scan {
        let to = to.map(<[u8]>::to_vec);
        Scan { merge: Merge::new(sources), to, snapshot, decided: DecidedKey::default() }
    }

    /// Goes to the next row; false at the end, and after an error for good.
    pub fn advance(&mut self) -> Result<bool> {
        let found = self.step();
        if !matches!(found, Ok(true)) {
            self.merge = Merge::new(Vec::new());
        }
        found
    }

    fn step(&mut self) -> Result<bool> {
        while self.merge.advance()? {
            let Some(EntryRef { key, seq, value }) = self.merge.entry() else { break };
            if !is_before_end(key, &self.to) {
                break;
            }
            if seq <= self.snapshot && self.decided.is_new(key) && value.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The row it stands on; `None` before the first and after the last.
    #[inline]
    pub fn entry(&self) -> Option<ScanEntry<'_>> {
        let EntryRef { key, seq, value } = self.merge.entry()?;
        value.map(|value| ScanEntry { key, seq, value })
    }

    /// The value of [`Scan::entry`], sharing the memory it lies in.
    pub fn value(&self) -> Option<Slice> {
        self.merge.value()
    }
}

impl Iterator for Scan {
    type Item = Result<(Slice, Seq, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(_) => self.merge.to_entry().and_then(|entry| Some(Ok((entry.key, entry.seq, entry.value?)))),
            Err(error) => Some(Err(error)),
        }
    }
}
