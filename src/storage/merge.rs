//! Several ordered runs of entries as one.
//!
//! Entries are lent, not handed out: who only looks at them copies nothing and counts no references. A run that is alone
//! costs no comparison, and one whose next entries all come before the others' two for each.
//!
//! ```text
//!   top      [a@7] c@2  d@4      the entry the merge stands on
//!   waiting  [e@9] f@1           the others by their entries, the next one last
//!            [b@5] b@3
//! ```

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use super::memtable::{Entry, EntryRef, Memtable};
use super::slice::Slice;
use super::sstable::{Table, TableIter};
use crate::error::Result;
use crate::log::Seq;

/// The key of which the version that counts has been seen, in a walk over versions in order.
#[derive(Default)]
pub struct DecidedKey(Option<Vec<u8>>);

impl DecidedKey {
    /// Whether `key` is another one than the last; it is the last from here on.
    #[inline]
    pub fn is_new(&mut self, key: &[u8]) -> bool {
        if self.0.as_deref() == Some(key) {
            return false;
        }
        let last = self.0.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        true
    }
}

/// Whether `key` is not past the end of a range.
#[inline]
pub fn is_before_end(key: &[u8], to: &Bound<Vec<u8>>) -> bool {
    match to {
        Bound::Included(to) => key <= &to[..],
        Bound::Excluded(to) => key < &to[..],
        Bound::Unbounded => true,
    }
}

/// Entries in order of (key, newest first). Stands before the first at the beginning.
pub enum Source {
    Memtable(MemtableSource),
    Level(LevelSource),
}

impl Source {
    /// Goes to the next entry; false at the end.
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self {
            Source::Memtable(source) => Ok(source.advance()),
            Source::Level(source) => source.advance(),
        }
    }

    /// The entry it stands on.
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        match self {
            Source::Memtable(source) => source.entry(),
            Source::Level(source) => source.entry(),
        }
    }

    fn to_entry(&self) -> Option<Entry> {
        match self {
            Source::Memtable(source) => source.piece.last().cloned(),
            Source::Level(source) => source.to_entry(),
        }
    }

    fn value(&self) -> Option<Slice> {
        match self {
            Source::Memtable(source) => source.value(),
            Source::Level(source) => source.current.as_ref()?.value(),
        }
    }
}

/// A memtable from a place on, read in pieces: finding the place again costs as much as some tens of steps.
pub struct MemtableSource {
    memtable: Arc<Memtable>,
    resume: Bound<(Vec<u8>, Seq)>,
    /// Entries read ahead, last first: the last one is where it stands.
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

    /// Goes to the next entry; false at the end.
    pub fn advance(&mut self) -> bool {
        self.piece.pop();
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
        !self.piece.is_empty()
    }

    /// The entry it stands on.
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.piece.last().map(Entry::as_ref)
    }

    /// The value of [`MemtableSource::entry`], sharing the memory it lies in.
    pub fn value(&self) -> Option<Slice> {
        self.piece.last()?.value.clone()
    }
}

/// Of tables in order those that are not wholly before `from` or after `to`, the last first.
pub fn tables_between(tables: &[Arc<Table>], from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Arc<Table>> {
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
    tables.iter().rev().filter(in_range).cloned().collect()
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
        let tables = tables_between(tables, from, to);
        LevelSource { tables, from: from.map(<[u8]>::to_vec), current: None, cache }
    }

    /// Goes to the next entry; false at the end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some(iter) = &mut self.current
                && iter.advance()?
            {
                return Ok(true);
            }
            let Some(table) = self.tables.pop() else {
                self.current = None;
                return Ok(false);
            };
            // Only the first table can begin before the range.
            self.current = Some(match std::mem::replace(&mut self.from, Bound::Unbounded) {
                Bound::Included(key) => TableIter::seek(table, self.cache, &key, false)?,
                Bound::Excluded(key) => TableIter::seek(table, self.cache, &key, true)?,
                Bound::Unbounded => TableIter::new(table, self.cache),
            });
        }
    }

    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.current.as_ref()?.entry()
    }

    /// The entry it stands on.
    pub fn to_entry(&self) -> Option<Entry> {
        self.current.as_ref()?.to_entry()
    }
}

/// All entries of its sources in order. Where two have the same version of a key, the one of the newer
/// source counts.
pub struct Merge {
    /// The newest first.
    sources: Vec<Source>,
    /// The source with the entry it stands on.
    top: Option<usize>,
    /// The other sources that are not at their end, in the reverse order of the entries they stand on.
    waiting: Vec<usize>,
    begun: bool,
}

impl Merge {
    /// Before the first entry. The newest source first.
    pub fn new(sources: Vec<Source>) -> Merge {
        Merge { waiting: Vec::with_capacity(sources.len()), sources, top: None, begun: false }
    }

    /// Goes to the next entry; false at the end. After an error it is not to be asked again.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        while let Some(top) = self.top
            && let Some(&next) = self.waiting.last()
            && self.are_one_version(top, next)
        {
            self.waiting.pop();
            self.step(next)?;
        }
        self.advance_each()
    }

    /// Like [`Merge::advance`], but stops at entries that were there in a newer source too.
    #[inline]
    pub fn advance_each(&mut self) -> Result<bool> {
        match self.top {
            Some(top) => {
                if !self.sources[top].advance()? {
                    self.top = self.waiting.pop();
                } else if self.waiting.last().is_some_and(|&next| self.order(top, next).is_gt()) {
                    self.wait(top);
                    self.top = self.waiting.pop();
                }
            }
            None if !self.begun => {
                self.begun = true;
                (0..self.sources.len()).try_for_each(|source| self.step(source))?;
                self.top = self.waiting.pop();
            }
            None => {}
        }
        Ok(self.top.is_some())
    }

    /// The entry it stands on; `None` before the first and after the last.
    #[inline]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.sources[self.top?].entry()
    }

    /// [`Merge::entry`], sharing the memory it lies in.
    pub fn to_entry(&self) -> Option<Entry> {
        self.sources[self.top?].to_entry()
    }

    /// The value of [`Merge::entry`], sharing the memory it lies in.
    pub fn value(&self) -> Option<Slice> {
        self.sources[self.top?].value()
    }

    /// The place in the list of the source with the entry it stands on.
    pub fn rank(&self) -> Option<usize> {
        self.top
    }

    /// Takes a source that does not wait one entry on, and has it wait unless it is at its end.
    fn step(&mut self, source: usize) -> Result<()> {
        if self.sources[source].advance()? {
            self.wait(source);
        }
        Ok(())
    }

    fn wait(&mut self, source: usize) {
        let at = self.waiting.partition_point(|&other| self.order(other, source).is_gt());
        self.waiting.insert(at, source);
    }

    /// The order of the entries two sources stand on: the least key first, of it the newest version, of that the newest
    /// source's.
    #[inline]
    fn order(&self, a: usize, b: usize) -> Ordering {
        match (self.sources[a].entry(), self.sources[b].entry()) {
            (Some(x), Some(y)) => x.key.cmp(y.key).then(y.seq.cmp(&x.seq)).then(a.cmp(&b)),
            (x, y) => y.is_some().cmp(&x.is_some()),
        }
    }

    #[inline]
    fn are_one_version(&self, a: usize, b: usize) -> bool {
        match (self.sources[a].entry(), self.sources[b].entry()) {
            (Some(a), Some(b)) => a.seq == b.seq && a.key == b.key,
            _ => false,
        }
    }
}
