//! Who gets which slot.
//!
//! ```text
//!   next ──> 0 1 2 3 4 5 | never used
//!            a row's death: dead (seq) ──no snapshot sees it──> free ──> the next insert
//!                                      └─a graph knows it─────> linked ──vacuum────────> free
//! ```
//!
//! A slot that some graph has a node for is not given out again: the node's links would be those of another vector.

use std::collections::VecDeque;

use roaring::RoaringBitmap;

use crate::error::{Error, Result, SqlState};
use crate::log::Seq;

/// Slots are below this: the last are left unused, so that ends of ranges fit in a u32 whatever the segment size.
pub const SLOTS_MAX: u32 = u32::MAX - (1 << 17);

/// A table's slots, apart from those that live rows hold.
#[derive(Debug, Default)]
pub struct Slots {
    next: u32,
    free: RoaringBitmap,
    dead: VecDeque<(Seq, u32)>,
    linked: RoaringBitmap,
}

impl Slots {
    /// After recovery: every slot below `next` that is not live may be free, unless a graph knows it.
    pub fn recovered(next: u32, live: &RoaringBitmap, known: impl Fn(u32) -> bool) -> Slots {
        let mut slots = Slots { next, ..Slots::default() };
        let mut dead: RoaringBitmap = (0..next).collect();
        dead -= live;
        slots.dead = dead.iter().map(|slot| (Seq(0), slot)).collect();
        slots.reclaim(Seq(0), known);
        slots
    }

    /// Every slot ever given out is below.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Never hands out slots below `end` as new ones.
    pub fn raise(&mut self, end: u32) {
        self.next = self.next.max(end);
    }

    /// `count` slots, ascending; 54000 when the table has none left.
    pub fn take(&mut self, count: usize) -> Result<Vec<u32>> {
        let unused = (SLOTS_MAX - self.next) as usize;
        let from_free = count.min(self.free.len() as usize);
        if count - from_free > unused {
            return Err(out_of_slots());
        }
        // The lowest first: they lie together, and the highest may stay unused and their space be given back.
        let mut slots: Vec<u32> = self.free.iter().take(from_free).collect();
        self.free.remove_smallest(from_free as u64);
        let new = (count - from_free) as u32;
        slots.extend(self.next..self.next + new);
        self.next += new;
        slots.sort_unstable();
        Ok(slots)
    }

    /// Takes back slots nobody but an undone transaction saw.
    pub fn give_back(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.free.extend(slots);
    }

    /// The rows of these slots died at `seq`.
    pub fn died(&mut self, seq: Seq, slots: impl IntoIterator<Item = u32>) {
        self.dead.extend(slots.into_iter().map(|slot| (seq, slot)));
    }

    /// Frees slots that died before every snapshot from `horizon` on and that no graph knows.
    pub fn reclaim(&mut self, horizon: Seq, known: impl Fn(u32) -> bool) {
        while let Some(&(seq, slot)) = self.dead.front().filter(|(seq, _)| *seq <= horizon) {
            let _ = seq;
            self.dead.pop_front();
            if known(slot) {
                self.linked.insert(slot);
            } else {
                self.free.insert(slot);
            }
        }
    }

    /// Looks again at slots that a graph knew: graphs have been rebuilt.
    pub fn unlink(&mut self, known: impl Fn(u32) -> bool) {
        let (kept, freed): (Vec<u32>, Vec<u32>) = self.linked.iter().partition(|slot| known(*slot));
        self.linked = kept.into_iter().collect();
        self.free.extend(freed);
    }

    /// Slots of dead rows that graphs still have nodes for.
    pub fn linked(&self) -> &RoaringBitmap {
        &self.linked
    }

    /// Slots of dead rows, whoever may still see them or have nodes for them.
    pub fn dead(&self) -> u64 {
        self.dead.len() as u64 + self.linked.len()
    }

    pub fn free(&self) -> u64 {
        self.free.len()
    }

    /// Those of `slots` that are free or were never used.
    pub fn to_give(&self, slots: &RoaringBitmap) -> RoaringBitmap {
        let mut unused = slots.clone();
        unused.remove_range(..self.next);
        unused | (&self.free & slots)
    }

    /// Takes every free slot; [`Slots::give_back`] brings them back.
    pub fn take_free(&mut self) -> RoaringBitmap {
        std::mem::take(&mut self.free)
    }

    /// Slots that are not free, below the next new one.
    pub fn held(&self) -> RoaringBitmap {
        let mut held: RoaringBitmap = (0..self.next).collect();
        held -= &self.free;
        held
    }

    /// Takes the whole groups of `size` consecutive slots out of the free ones, and answers the first slot of each;
    /// [`Slots::give_back`] brings them back.
    pub fn take_groups(&mut self, size: u32) -> Vec<u32> {
        let mut groups = Vec::new();
        let mut slots = self.free.iter();
        while let Some(slot) = slots.next() {
            let start = slot.next_multiple_of(size);
            if start == slot && self.free.range_cardinality(slot..slot + size) == u64::from(size) {
                groups.push(slot);
            }
            slots.advance_to(if start == slot { slot + size } else { start });
        }
        for &first in &groups {
            self.free.remove_range(first..first + size);
        }
        groups
    }
}

fn out_of_slots() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "the table has no slots left for more rows")
        .detail(format!("A table holds at most {SLOTS_MAX} row versions with vectors at a time."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_when_no_snapshot_and_no_graph_knows_them() {
        let mut slots = Slots::default();
        assert_eq!(slots.take(3).unwrap(), [0, 1, 2]);
        slots.died(Seq(50), [0, 1]);
        slots.reclaim(Seq(49), |_| false);
        assert_eq!(slots.take(1).unwrap(), [3], "a snapshot still sees slots 0 and 1");
        slots.reclaim(Seq(50), |slot| slot == 1);
        assert_eq!(slots.take(2).unwrap(), [0, 4], "a graph has a node for slot 1");
        slots.unlink(|_| false);
        assert_eq!(slots.take(1).unwrap(), [1]);
    }

    #[test]
    fn running_out_is_an_error() {
        let mut slots = Slots::default();
        slots.raise(SLOTS_MAX - 1);
        assert_eq!(slots.take(1).unwrap(), [SLOTS_MAX - 1]);
        assert_eq!(slots.take(1).unwrap_err().state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        slots.give_back([7]);
        assert_eq!(slots.take(1).unwrap(), [7]);
    }
}
