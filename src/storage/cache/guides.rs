//! Indexes and filters of sorted tables, within the budget of the block cache.
//!
//! A table has a [`Guide`] in which its index and its filter lie while there is room, so that a read that finds them
//! asks no map: it loads one pointer. [`Guides`] knows which are filled and is the only one to fill and empty them.
//!
//! ```text
//!   tables   guide | index, filter |   guide | index |   guide | |
//!                      ^      ^                  ^
//!   entries  [ index ][ filter ][ index ] ...          a clock, as that of blocks: a use sets a mark, the hand
//!                 ^ hand                                clears marks and takes the first without one
//! ```
//!
//! They come before blocks, which give way to them down to the last quarter of the budget: a byte of an index leads to a
//! hundred of blocks, so that for reads anywhere it is worth a hundred of them, and it takes as many to read it again.
//! Those that nobody uses go as gets have brought in blocks for the whole budget (a sweep). Blocks of scans do not count:
//! a scan of a large tree passes faster than gets come back to their tables. What is emptied here and still read by
//! somebody is in memory until they let go of it: scans and merges hold the indexes of the tables they are in.
//!
//! Why not as entries of the blocks' map: a lookup there takes a lock, a hash and a search, twice for each table that a
//! read asks, and a shard of a small cache is less than one filter. The pointer costs 8 ns a table (`docs/benchmarks.md`,
//! "Filters and indexes in the cache").
//!
//! Why whole, not in pieces of a block's size: pieces would be another format, and are worth it only where all indexes are
//! more than the room. Filters are left out first (`sstable/reader.rs`), so that with short keys this is where there are a
//! hundred bytes on disk for each byte of room. With 1.5 times as many bytes of indexes as room, and files in the page
//! cache, a get of a row took some five times as long on the average; it takes longer the more they exceed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::{ArcSwap, Guard};

use crate::storage::sstable::{Filter, Index};

/// What an entry costs beside its bytes: the entry, the pointers, counts.
const OVERHEAD: usize = 128;

/// What a part of so many bytes counts for.
pub fn charge(bytes: usize) -> usize {
    bytes + OVERHEAD
}

/// What leads to a table's blocks, as far as it is in memory.
#[derive(Clone, Default)]
pub struct Lead {
    pub index: Option<Index>,
    pub filter: Option<Filter>,
}

/// The place of a table's index and filter.
#[derive(Default)]
pub struct Guide {
    lead: ArcSwap<Lead>,
    index_marked: AtomicBool,
    filter_marked: AtomicBool,
    was_filter_driven_out: AtomicBool,
}

/// One of what leads to a table's blocks.
#[derive(Clone)]
pub enum Part {
    Index(Index),
    Filter(Filter),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Index,
    Filter,
}

impl Guide {
    #[inline]
    pub fn lead(&self) -> Guard<Arc<Lead>> {
        self.lead.load()
    }

    /// The index has led somewhere.
    #[inline]
    pub fn mark_index(&self) {
        mark(&self.index_marked);
    }

    /// The filter has saved the reading of a block.
    #[inline]
    pub fn mark_filter(&self) {
        mark(&self.filter_marked);
    }

    /// Whether the filter has gone since it was last put in, for others that took its room. A sweep drives nothing out: it
    /// only makes room, in which who is asked may come back.
    pub fn was_filter_driven_out(&self) -> bool {
        self.was_filter_driven_out.load(Relaxed)
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let lead = self.lead();
        lead.index.as_ref().map_or(0, Index::bytes) + lead.filter.as_ref().map_or(0, Filter::bytes)
    }

    fn has(&self, kind: Kind) -> bool {
        let lead = self.lead();
        match kind {
            Kind::Index => lead.index.is_some(),
            Kind::Filter => lead.filter.is_some(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Lead)) {
        let mut lead = Lead::clone(&self.lead());
        change(&mut lead);
        self.lead.store(Arc::new(lead));
    }

    fn clear(&self, kind: Kind) {
        self.change(|lead| match kind {
            Kind::Index => lead.index = None,
            Kind::Filter => lead.filter = None,
        });
    }

    fn take_mark(&self, kind: Kind) -> bool {
        let marked = match kind {
            Kind::Index => &self.index_marked,
            Kind::Filter => &self.filter_marked,
        };
        marked.swap(false, Relaxed)
    }
}

/// A line that is only read stays in the caches of all processors.
#[inline]
fn mark(marked: &AtomicBool) {
    if !marked.load(Relaxed) {
        marked.store(true, Relaxed);
    }
}

impl Part {
    fn kind(&self) -> Kind {
        match self {
            Part::Index(_) => Kind::Index,
            Part::Filter(_) => Kind::Filter,
        }
    }

    /// What it counts for.
    pub fn charge(&self) -> usize {
        charge(match self {
            Part::Index(index) => index.bytes(),
            Part::Filter(filter) => filter.bytes(),
        })
    }
}

/// What lies in guides.
#[derive(Default)]
pub struct Guides {
    entries: Vec<Entry>,
    hand: usize,
    bytes: usize,
}

struct Entry {
    guide: Arc<Guide>,
    kind: Kind,
    bytes: usize,
    /// It was put in since the last sweep, or the hand has taken a mark from it.
    is_recent: bool,
}

impl Guides {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is one already.
    pub fn has(&self, guide: &Guide, part: &Part) -> bool {
        guide.has(part.kind())
    }

    /// Puts a part in its place, unmarked: a walk over all tables that asks each once pushes out what walks brought.
    pub fn put(&mut self, guide: &Arc<Guide>, part: Part) {
        let (kind, bytes) = (part.kind(), part.charge());
        guide.take_mark(kind);
        if kind == Kind::Filter {
            guide.was_filter_driven_out.store(false, Relaxed);
        }
        guide.change(|lead| match part {
            Part::Index(index) => lead.index = Some(index),
            Part::Filter(filter) => lead.filter = Some(filter),
        });
        self.bytes += bytes;
        // Behind the hand, which comes to it last.
        self.entries.insert(self.hand, Entry { guide: guide.clone(), kind, bytes, is_recent: true });
        self.hand += 1;
    }

    /// Evicts until at most `bytes_max` are in use.
    pub fn make_room(&mut self, bytes_max: usize) {
        let mut spared = 0;
        while self.bytes > bytes_max {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let entries = self.entries.len();
            let entry = &mut self.entries[self.hand];
            // Readers go on and set marks meanwhile: after a round they have had their chance.
            if entry.guide.take_mark(entry.kind) && spared < entries {
                entry.is_recent = true;
                spared += 1;
                self.hand += 1;
            } else {
                if entry.kind == Kind::Filter {
                    entry.guide.was_filter_driven_out.store(true, Relaxed);
                }
                entry.guide.clear(entry.kind);
                self.remove(self.hand);
            }
        }
    }

    /// Evicts what was neither put in nor used since this was last done, and clears all marks.
    pub fn sweep(&mut self) {
        let bytes = &mut self.bytes;
        self.entries.retain_mut(|entry| {
            let stays = entry.guide.take_mark(entry.kind) | std::mem::take(&mut entry.is_recent);
            if !stays {
                entry.guide.clear(entry.kind);
                *bytes -= entry.bytes;
            }
            stays
        });
        self.hand = 0;
    }

    /// Empties the guide of a table that is gone.
    pub fn forget(&mut self, guide: &Arc<Guide>) {
        while let Some(at) = self.entries.iter().position(|entry| Arc::ptr_eq(&entry.guide, guide)) {
            self.remove(at);
        }
        guide.lead.store(Arc::default());
    }

    fn remove(&mut self, at: usize) {
        self.bytes -= self.entries.remove(at).bytes;
        self.hand -= usize::from(at < self.hand);
    }
}
