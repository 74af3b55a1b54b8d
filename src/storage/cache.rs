//! The block cache: decoded blocks within a budget of bytes.
//!
//! Eight shards by hash, each a map and a clock (Corbato 1969): a hit sets a block's mark under a shared
//! lock, the hand clears marks as it looks for room and evicts the first block without one. Blocks come in
//! unmarked, so that a scan that touches each once pushes out what scans brought and not what is read again
//! and again.
//!
//! ```text
//!   places: hash -> u32      slots: | key, block, mark | free | key, block, mark | ...
//! ```
//!
//! The map holds four bytes a block and none of the keys, which lie beside the blocks: it stays in the processor's own
//! cache, and a hit reads one line of memory before the block's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use hashbrown::HashTable;
use parking_lot::RwLock;

use super::sstable::DataBlock;

/// A block's name: number of the table, offset in the file.
type Key = (u64, u64);

/// Enough that two cores seldom meet; budgets are per shard, so more would make small caches coarse.
const SHARDS: usize = 8;

/// What a cached block costs beside its bytes: map entry, slot, counts.
const BLOCK_OVERHEAD: usize = 128;

pub struct Cache {
    shards: [Shard; SHARDS],
    bytes_max: usize,
}

#[derive(Default)]
struct Shard {
    clock: RwLock<Clock>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Clock {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    places: HashTable<u32>,
    hand: usize,
    bytes: usize,
}

struct Slot {
    key: Key,
    block: DataBlock,
    marked: AtomicBool,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Cache {
        Cache { shards: Default::default(), bytes_max }
    }

    /// What `read` makes of the block, if it is here. It runs under a shared lock and should be quick.
    pub fn with<T>(&self, key: Key, read: impl FnOnce(&DataBlock) -> T) -> Option<T> {
        let hash = mix(key);
        let shard = self.shard(hash);
        let clock = shard.clock.read();
        let Some(slot) = clock.place(key, hash).and_then(|place| clock.slots[place].as_ref()) else {
            shard.misses.fetch_add(1, Relaxed);
            return None;
        };
        shard.hits.fetch_add(1, Relaxed);
        if !slot.marked.load(Relaxed) {
            slot.marked.store(true, Relaxed);
        }
        Some(read(&slot.block))
    }

    pub fn get(&self, key: Key) -> Option<DataBlock> {
        self.with(key, DataBlock::clone)
    }

    /// A block larger than a shard's share is not kept.
    pub fn insert(&self, key: Key, block: DataBlock) {
        let share = self.bytes_max / SHARDS;
        let bytes = block.bytes() + BLOCK_OVERHEAD;
        if bytes > share {
            return;
        }
        let hash = mix(key);
        let mut clock = self.shard(hash).clock.write();
        if clock.place(key, hash).is_some() {
            return;
        }
        clock.make_room(share - bytes);
        clock.bytes += bytes;
        clock.put(hash, Slot { key, block, marked: AtomicBool::new(false) });
    }

    /// Lets go of blocks of a table that is gone.
    pub fn forget(&self, number: u64, offsets: impl Iterator<Item = u64>) {
        for offset in offsets {
            let key = (number, offset);
            let shard = self.shard(mix(key));
            let is_there = shard.clock.read().place(key, mix(key)).is_some();
            if is_there {
                shard.clock.write().remove(key);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.clock.read().bytes).sum()
    }

    /// Hits and misses since the start.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |count: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|s| count(s).load(Relaxed)).sum();
        (sum(|shard| &shard.hits), sum(|shard| &shard.misses))
    }

    fn shard(&self, hash: u64) -> &Shard {
        &self.shards[(hash >> 54) as usize % SHARDS]
    }
}

impl Clock {
    fn place(&self, key: Key, hash: u64) -> Option<usize> {
        let is_it = |place: &u32| self.slots[*place as usize].as_ref().is_some_and(|slot| slot.key == key);
        self.places.find(hash, is_it).map(|place| *place as usize)
    }

    fn put(&mut self, hash: u64, slot: Slot) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // A block has some bytes and the memory of a machine fewer than 4 billion times as many.
            (self.slots.len() - 1) as u32
        });
        self.slots[place as usize] = Some(slot);
        let slots = &self.slots;
        let hash_of = |place: &u32| slots[*place as usize].as_ref().map_or(0, |slot| mix(slot.key));
        self.places.insert_unique(hash, place, hash_of);
    }

    /// Evicts until at most `bytes_max` are in use.
    fn make_room(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = &mut self.slots[self.hand] else { continue };
            if !std::mem::take(slot.marked.get_mut()) {
                let key = slot.key;
                self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let slots = &self.slots;
        let is_it = |place: &u32| slots[*place as usize].as_ref().is_some_and(|slot| slot.key == key);
        let Ok(found) = self.places.find_entry(mix(key), is_it) else { return };
        let (place, _) = found.remove();
        if let Some(slot) = self.slots[place as usize].take() {
            self.bytes -= slot.block.bytes() + BLOCK_OVERHEAD;
            self.free.push(place);
        }
    }
}

/// Keys are small numbers, spread by one multiplication. The map takes the lower bits and the upper seven, the shard the
/// three below those; the best bits of the product, the upper ones, are folded into the lower.
fn mix(key: Key) -> u64 {
    let product = (key.0.rotate_left(40) ^ key.1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sstable::Block;

    fn block(bytes: usize) -> DataBlock {
        let mut data = vec![b'x'; bytes - 20];
        data.extend_from_slice(&0u32.to_le_bytes());
        data.extend_from_slice(&0u32.to_le_bytes());
        data.extend_from_slice(&1u64.to_le_bytes());
        data.extend_from_slice(&1u32.to_le_bytes());
        DataBlock::Entries(Block::parse(data.into()).unwrap())
    }

    #[test]
    fn the_budget_holds_and_what_is_read_stays() {
        let cache = Cache::new(8 * 20_000);
        cache.insert((1, 0), block(1000));
        for offset in 1..10_000 {
            cache.insert((1, offset), block(1000));
            assert!(cache.get((1, 0)).is_some(), "evicted by block {offset}");
            assert!(cache.bytes() <= 8 * 20_000);
        }
        assert!(cache.bytes() > 8 * 15_000);
    }

    #[test]
    fn forgotten_blocks_give_their_bytes_back() {
        let cache = Cache::new(1 << 20);
        for offset in 0..100 {
            cache.insert((1, offset), block(1000));
        }
        cache.forget(1, 0..100);
        assert_eq!(cache.bytes(), 0);
        assert!(cache.get((1, 5)).is_none());
    }

    #[test]
    fn a_block_larger_than_its_share_is_not_kept() {
        let cache = Cache::new(8 * 500);
        cache.insert((1, 0), block(1000));
        assert!(cache.get((1, 0)).is_none());
    }
}
