//! Several ordered runs of entries as one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Bound;
use std::sync::Arc;

use super::memtable::{Entry, Memtable};
use super::sstable::{Table, TableIter};
use crate::error::Result;
use crate::log::Seq;

/// Entries in order of (key, newest first).
pub trait Source: Send {
    fn next(&mut self) -> Result<Option<Entry>>;
}

/// A memtable from a place on, read in pieces: finding the place again costs as much as some tens of steps.
pub struct MemtableSource {
    memtable: Arc<Memtable>,
    resume: Bound<(Vec<u8>, Seq)>,
    /// Entries read ahead, last first.
    piece: Vec<Entry>,
    piece_len: usize,
}

/// Short scans should not read ahead much, long ones should.
const PIECE_LEN_MIN: usize = 4;
const PIECE_LEN_MAX: usize = 256;

impl MemtableSource {
    pub fn new(memtable: Arc<Memtable>, from: Bound<&[u8]>) -> MemtableSource {
        let resume = match from {
            Bound::Included(key) => Bound::Included((key.to_vec(), Seq(u64::MAX))),
            Bound::Excluded(key) => Bound::Excluded((key.to_vec(), Seq(0))),
            Bound::Unbounded => Bound::Unbounded,
        };
        MemtableSource { memtable, resume, piece: Vec::new(), piece_len: PIECE_LEN_MIN }
    }
}

impl Source for MemtableSource {
    fn next(&mut self) -> Result<Option<Entry>> {
        if self.piece.is_empty() {
            let from = match &self.resume {
                Bound::Included((key, seq)) => Bound::Included((&key[..], *seq)),
                Bound::Excluded((key, seq)) => Bound::Excluded((&key[..], *seq)),
                Bound::Unbounded => Bound::Unbounded,
            };
            self.memtable.read_from(from, self.piece_len, &mut self.piece);
            if let Some(last) = self.piece.last() {
                self.resume = Bound::Excluded((last.key.to_vec(), last.seq));
            }
            self.piece.reverse();
            self.piece_len = (self.piece_len * 2).min(PIECE_LEN_MAX);
        }
        Ok(self.piece.pop())
    }
}

/// Disjoint tables in order of keys, from a place on.
pub struct LevelSource {
    /// Last first.
    tables: Vec<Arc<Table>>,
    from: Bound<Vec<u8>>,
    current: Option<TableIter>,
    cache: bool,
}

impl LevelSource {
    /// `tables` in order; those wholly before `from` or after `to` are not touched.
    pub fn new(tables: &[Arc<Table>], from: Bound<&[u8]>, to: Bound<&[u8]>, cache: bool) -> LevelSource {
        let in_range = |table: &&Arc<Table>| {
            let meta = table.meta();
            let after_from = match from {
                Bound::Included(from) | Bound::Excluded(from) => &meta.key_max[..] >= from,
                Bound::Unbounded => true,
            };
            let before_to = match to {
                Bound::Included(to) | Bound::Excluded(to) => &meta.key_min[..] <= to,
                Bound::Unbounded => true,
            };
            after_from && before_to
        };
        let tables = tables.iter().rev().filter(in_range).cloned().collect();
        LevelSource { tables, from: from.map(<[u8]>::to_vec), current: None, cache }
    }
}

impl Source for LevelSource {
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(iter) = &mut self.current {
                match iter.next()? {
                    Some(entry) => return Ok(Some(entry)),
                    None => self.current = None,
                }
            }
            let Some(table) = self.tables.pop() else { return Ok(None) };
            // Only the first table can begin before the range.
            self.current = Some(match std::mem::replace(&mut self.from, Bound::Unbounded) {
                Bound::Included(key) => TableIter::seek(table, self.cache, &key, false)?,
                Bound::Excluded(key) => TableIter::seek(table, self.cache, &key, true)?,
                Bound::Unbounded => TableIter::new(table, self.cache),
            });
        }
    }
}

/// All entries of its sources in order. Where two have the same version of a key, the one of the newer
/// source counts.
pub struct Merge {
    sources: Vec<Box<dyn Source>>,
    heap: BinaryHeap<Head>,
    /// What was handed out last.
    last: Option<Entry>,
}

/// The next entry of a source.
struct Head {
    entry: Entry,
    rank: usize,
}

impl Merge {
    /// The newest source first.
    pub fn new(mut sources: Vec<Box<dyn Source>>) -> Result<Merge> {
        let mut heap = BinaryHeap::with_capacity(sources.len());
        for (rank, source) in sources.iter_mut().enumerate() {
            if let Some(entry) = source.next()? {
                heap.push(Head { entry, rank });
            }
        }
        Ok(Merge { sources, heap, last: None })
    }

    pub fn next(&mut self) -> Result<Option<Entry>> {
        while let Some((_, entry)) = self.next_ranked()? {
            if self.sources.len() == 1 {
                return Ok(Some(entry));
            }
            let again = |last: &Entry| last.seq == entry.seq && last.key == entry.key;
            if !self.last.as_ref().is_some_and(again) {
                self.last = Some(entry.clone());
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The next entry, even if it was there in a newer source, and its source's place in the list.
    pub fn next_ranked(&mut self) -> Result<Option<(usize, Entry)>> {
        let Some(mut top) = self.heap.peek_mut() else { return Ok(None) };
        let rank = top.rank;
        let entry = match self.sources[rank].next()? {
            Some(next) => std::mem::replace(&mut top.entry, next),
            None => PeekMut::pop(top).entry,
        };
        Ok(Some((rank, entry)))
    }
}

impl Ord for Head {
    /// The greatest is handed out first: the least key, of it the newest version, of that the newest
    /// source's.
    fn cmp(&self, other: &Head) -> Ordering {
        other
            .entry
            .key
            .cmp(&self.entry.key)
            .then(self.entry.seq.cmp(&other.entry.seq))
            .then(other.rank.cmp(&self.rank))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
