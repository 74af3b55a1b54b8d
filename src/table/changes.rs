//! Which slots changed when, for readers whose snapshot is older than the bitmaps they take.
//!
//! Each commit adds a batch. A reader asks for everything after its snapshot, which is nearly always nothing: then
//! the answer is one comparison. Batches that no snapshot needs any more are dropped.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::log::Seq;

/// Commits and their slots, oldest first. Cloning copies a pointer per block.
#[derive(Clone, Default)]
pub struct ChangeList {
    blocks: Vec<Arc<Vec<Batch>>>,
    newest: Seq,
}

#[derive(Clone)]
struct Batch {
    seq: Seq,
    slots: Slots,
}

#[derive(Clone)]
enum Slots {
    One(u32),
    Many(Arc<RoaringBitmap>),
}

/// Batches per block: what a commit copies at most while a reader holds the list.
const BLOCK: usize = 128;

impl ChangeList {
    pub fn push(&mut self, seq: Seq, slots: RoaringBitmap) {
        assert!(seq >= self.newest, "a commit at {} after one at {}", seq.0, self.newest.0);
        self.newest = seq;
        let slots = match slots.len() {
            1 => Slots::One(slots.min().expect("one slot")),
            _ => Slots::Many(Arc::new(slots)),
        };
        match self.blocks.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => Arc::make_mut(block).push(Batch { seq, slots }),
            None => {
                let mut block = Vec::with_capacity(BLOCK.min(8));
                block.push(Batch { seq, slots });
                self.blocks.push(Arc::new(block));
            }
        }
    }

    /// When something changed last.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    /// Slots that changed after `snapshot`; nothing when none did.
    pub fn since(&self, snapshot: Seq) -> Option<RoaringBitmap> {
        if self.newest <= snapshot {
            return None;
        }
        let mut changed = RoaringBitmap::new();
        let newest_first = self.blocks.iter().rev().flat_map(|block| block.iter().rev());
        for batch in newest_first.take_while(|batch| batch.seq > snapshot) {
            match &batch.slots {
                Slots::One(slot) => drop(changed.insert(*slot)),
                Slots::Many(slots) => changed |= &**slots,
            }
        }
        Some(changed)
    }

    /// Drops what every snapshot from `horizon` on sees anyway.
    pub fn trim(&mut self, horizon: Seq) {
        if self.newest <= horizon {
            self.blocks.clear();
            return;
        }
        let old = |block: &Arc<Vec<Batch>>| block.last().is_some_and(|batch| batch.seq <= horizon);
        let count = self.blocks.iter().take_while(|block| old(block)).count();
        self.blocks.drain(..count);
    }

    /// Batches held.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_hear_of_what_came_after_their_snapshot() {
        let mut list = ChangeList::default();
        for n in 1..=1000 {
            list.push(Seq(10 * n), [n as u32, 5000].into_iter().collect());
        }
        assert!(list.since(Seq(10_000)).is_none());
        let since = list.since(Seq(9_985)).unwrap();
        assert_eq!(since.iter().collect::<Vec<_>>(), [999, 1000, 5000]);
        list.trim(Seq(9_000));
        assert!(list.len() >= 100 && list.len() < 100 + BLOCK);
        assert_eq!(list.since(Seq(9_000)).unwrap().len(), 101);
        list.trim(Seq(10_000));
        assert!(list.is_empty() && list.since(Seq(10_000)).is_none());
    }
}
