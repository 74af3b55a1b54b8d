//! A range of a tree as of a snapshot.

use std::ops::Bound;

use super::memtable::EntryRef;
use super::merge::{Merge, Source};
use super::slice::Slice;
use crate::error::Result;
use crate::log::Seq;

/// The newest visible version of each key, in order of keys, deleted ones left out. Owns what it reads, so that it does
/// not hold up flushes and compactions.
///
/// [`Scan::advance`] and [`Scan::entry`] lend what lies in the tree; as an iterator it hands out slices that keep it
/// alive, and ends after an error.
pub struct Scan {
    merge: Merge,
    to: Bound<Vec<u8>>,
    snapshot: Seq,
    /// The key that was decided last.
    last: Option<Vec<u8>>,
    ended: bool,
}

/// What a scan stands on.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub key: &'a [u8],
    pub seq: Seq,
    pub value: &'a [u8],
}

impl Scan {
    /// The newest source first; all begin at the range's start.
    pub(super) fn new(sources: Vec<Source>, to: Bound<&[u8]>, snapshot: Seq) -> Scan {
        let to = to.map(<[u8]>::to_vec);
        Scan { merge: Merge::new(sources), to, snapshot, last: None, ended: false }
    }

    /// Goes to the next row; false at the end, and after an error for good.
    pub fn advance(&mut self) -> Result<bool> {
        while !self.ended {
            self.ended = true;
            if !self.merge.advance()? {
                break;
            }
            let Some(EntryRef { key, seq, value }) = self.merge.entry() else { break };
            let past = match &self.to {
                Bound::Included(to) => key > &to[..],
                Bound::Excluded(to) => key >= &to[..],
                Bound::Unbounded => false,
            };
            if past {
                break;
            }
            self.ended = false;
            if seq > self.snapshot || self.last.as_deref() == Some(key) {
                continue;
            }
            let last = self.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            if value.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What it stands on, after [`Scan::advance`] has said that there is something.
    #[inline]
    pub fn entry(&self) -> Option<Found<'_>> {
        let EntryRef { key, seq, value } = self.merge.entry()?;
        value.map(|value| Found { key, seq, value })
    }

    /// The value of [`Scan::entry`], sharing the memory it lies in.
    pub fn value(&self) -> Option<Slice> {
        self.merge.value()
    }

    fn step(&mut self) -> Result<Option<(Slice, Seq, Slice)>> {
        if !self.advance()? {
            return Ok(None);
        }
        let entry = self.merge.to_entry();
        Ok(entry.and_then(|entry| Some((entry.key, entry.seq, entry.value?))))
    }
}

impl Iterator for Scan {
    type Item = Result<(Slice, Seq, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
