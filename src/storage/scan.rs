//! A range of a tree as of a snapshot.

use std::ops::Bound;

use super::merge::{Merge, Source};
use super::slice::Slice;
use crate::error::{Error, Result};
use crate::log::Seq;

/// Iterates over the newest visible version of each key, in order of keys, deleted ones left out. Owns what
/// it reads, so that it does not hold up flushes and compactions; ends after an error.
pub struct Scan {
    merge: Option<Merge>,
    /// Of the first step, when reading the first blocks failed.
    error: Option<Error>,
    to: Bound<Vec<u8>>,
    snapshot: Seq,
    /// The key that was decided last.
    last: Option<Slice>,
}

impl Scan {
    /// The newest source first; all begin at the range's start.
    pub(super) fn new(sources: Vec<Box<dyn Source>>, to: Bound<&[u8]>, snapshot: Seq) -> Scan {
        let (merge, error) = match Merge::new(sources) {
            Ok(merge) => (Some(merge), None),
            Err(error) => (None, Some(error)),
        };
        Scan { merge, error, to: to.map(<[u8]>::to_vec), snapshot, last: None }
    }

    fn step(&mut self) -> Result<Option<(Slice, Seq, Slice)>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(merge) = &mut self.merge else { return Ok(None) };
        while let Some(entry) = merge.next()? {
            let past = match &self.to {
                Bound::Included(to) => entry.key[..] > to[..],
                Bound::Excluded(to) => entry.key[..] >= to[..],
                Bound::Unbounded => false,
            };
            if past {
                return Ok(None);
            }
            if entry.seq > self.snapshot || self.last.as_ref() == Some(&entry.key) {
                continue;
            }
            self.last = Some(entry.key.clone());
            if let Some(value) = entry.value {
                return Ok(Some((entry.key, entry.seq, value)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Scan {
    type Item = Result<(Slice, Seq, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.merge = None;
        }
        step
    }
}
