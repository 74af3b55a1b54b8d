//! What a search needs besides the graph, kept from search to search so that none allocates.

use super::links::NONE;

/// Reusable memory of searches on one thread.
#[derive(Default)]
pub struct Scratch {
    pub(super) visited: Visited,
    /// Neighbours of one node that are worth a distance.
    pub(super) batch: Vec<u32>,
    pub(super) pool: Pool,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch::default()
    }
}

/// A set of slots as bits, with the list of those set: a table's bits stay in the first-level cache for a
/// hundred thousand slots, and clearing costs what the search cost.
#[derive(Default)]
pub struct Visited {
    bits: Vec<u64>,
    /// The first `count` are those in the set, in the order they came; what lies behind is of no meaning.
    list: Vec<u32>,
    count: usize,
}

impl Visited {
    /// Empties the set and makes room for slots `..end`.
    pub fn reset(&mut self, end: u32) {
        for slot in &self.list[..self.count] {
            self.bits[(slot >> 6) as usize] = 0;
        }
        self.count = 0;
        let words = (end as usize).div_ceil(64);
        if self.bits.len() < words {
            self.bits.resize(words, 0);
        }
    }

    /// False when it was there already.
    #[inline]
    pub fn insert(&mut self, slot: u32) -> bool {
        let before = self.count;
        self.insert_all(std::iter::once(slot), 1);
        self.count > before
    }

    /// Adds `most` slots at most.
    ///
    /// Two of three links lead to where the search has been, in no order that a processor could foresee: so all are written
    /// down, and the count goes on behind those that are new.
    #[inline]
    pub fn insert_all(&mut self, slots: impl Iterator<Item = u32>, most: usize) {
        let room = self.count + most;
        if self.list.len() < room {
            self.list.resize(2 * room, 0);
        }
        let (bits, list) = (&mut self.bits[..], &mut self.list[..room]);
        for slot in slots {
            let (word, bit) = (&mut bits[(slot >> 6) as usize], 1u64 << (slot & 63));
            list[self.count] = slot;
            self.count += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.bits[(slot >> 6) as usize] & (1u64 << (slot & 63)) != 0
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// All there are, in the order they came.
    #[inline]
    pub fn list(&self) -> &[u32] {
        &self.list[..self.count]
    }
}

/// The `capacity` best candidates in order, each expanded or not: results and candidates of a search in one.
#[derive(Default)]
pub struct Pool {
    entries: Vec<Entry>,
    capacity: usize,
    /// All entries before this one are expanded.
    cursor: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    expanded: bool,
    /// First of the node's twins, known once it is expanded.
    twin: u32,
}

impl Pool {
    pub fn reset(&mut self, capacity: usize) {
        self.entries.clear();
        self.capacity = capacity;
        self.cursor = 0;
    }

    /// The best `capacity` of those there are, none of them expanded.
    pub fn begin_again(&mut self, capacity: usize) {
        self.entries.truncate(capacity);
        for entry in &mut self.entries {
            *entry = Entry { key: entry.key, expanded: false, twin: NONE };
        }
        self.capacity = capacity;
        self.cursor = 0;
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys from here on are not taken.
    #[inline]
    pub fn bound(&self) -> u64 {
        if self.entries.len() < self.capacity {
            return u64::MAX;
        }
        self.entries.last().map_or(0, |worst| worst.key)
    }

    /// Takes the key if it is among the best.
    #[inline]
    pub fn offer(&mut self, key: u64) -> bool {
        if key >= self.bound() {
            return false;
        }
        if self.entries.len() == self.capacity {
            self.entries.pop();
        }
        let position = self.entries.partition_point(|entry| entry.key < key);
        self.entries.insert(position, Entry { key, expanded: false, twin: NONE });
        self.cursor = self.cursor.min(position);
        true
    }

    /// Takes the key if it is among the best and returns the one that is not any more: the key itself, the worst
    /// of before, or none while there is room.
    pub fn offer_or_evict(&mut self, key: u64) -> Option<u64> {
        let worst = if self.entries.len() < self.capacity { None } else { self.entries.last() };
        let worst = worst.map(|entry| entry.key);
        if self.offer(key) { worst } else { Some(key) }
    }

    /// The best entry not yet expanded, marked as expanded.
    #[inline]
    pub fn next(&mut self) -> Option<u64> {
        while let Some(entry) = self.entries.get_mut(self.cursor) {
            self.cursor += 1;
            if !entry.expanded {
                entry.expanded = true;
                return Some(entry.key);
            }
        }
        None
    }

    /// Notes the twins of the entry that [`Pool::next`] returned, before anything else is offered.
    pub fn set_twin(&mut self, twin: u32) {
        self.entries[self.cursor - 1].twin = twin;
    }

    /// Keys in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries.iter().map(|entry| entry.key)
    }

    /// Keys in ascending order, with the first twin of each.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.entries.iter().map(|entry| (entry.key, entry.twin))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The pool keeps what sorting everything and cutting would keep.
        #[test]
        fn pool_keeps_the_best(keys in prop::collection::vec(0u64..1000, 0..100), capacity in 1usize..20) {
            let mut pool = Pool::default();
            pool.reset(capacity);
            let mut model: Vec<u64> = Vec::new();
            for (n, key) in keys.iter().map(|key| key * 100).enumerate() {
                let key = key + n as u64; // distinct, as (rank, slot) is
                pool.offer(key);
                model.push(key);
                if n % 4 == 0 {
                    pool.next();
                }
            }
            model.sort_unstable();
            model.truncate(capacity);
            prop_assert_eq!(pool.keys().collect::<Vec<_>>(), model.clone());
            // On the next level all of them lead on, nearest first.
            pool.begin_again(capacity / 2 + 1);
            model.truncate(capacity / 2 + 1);
            prop_assert_eq!(std::iter::from_fn(|| pool.next()).collect::<Vec<_>>(), model);
        }
    }

    #[test]
    fn a_reset_set_is_empty() {
        let mut visited = Visited::default();
        visited.reset(100);
        assert!(visited.insert(99) && !visited.insert(99) && visited.contains(99));
        visited.reset(200);
        assert!(!visited.contains(99) && visited.len() == 0);
        visited.insert_all([5, 199, 5, 64, 199, 5].into_iter(), 6);
        visited.insert_all([64, 0].into_iter(), 2);
        assert_eq!(visited.list(), [5, 199, 64, 0]);
    }
}
