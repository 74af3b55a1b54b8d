//! The block cache: decoded blocks within a budget of bytes.
//!
//! Eight shards by hash, each a map and a clock (Corbato 1969): a hit sets a block's mark under a shared
//! lock, the hand clears marks as it looks for room and evicts the first block without one. Blocks come in
//! unmarked, so that a scan that touches each once pushes out what scans brought and not what is read again
//! and again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use super::sstable::Block;

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
    free: Vec<usize>,
    places: HashMap<Key, usize, BuildHasherDefault<KeyHasher>>,
    hand: usize,
    bytes: usize,
}

struct Slot {
    key: Key,
    block: Block,
    marked: AtomicBool,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Cache {
        Cache { shards: Default::default(), bytes_max }
    }

    /// What `read` makes of the block, if it is here. It runs under a shared lock and should be quick.
    pub fn with<T>(&self, key: Key, read: impl FnOnce(&Block) -> T) -> Option<T> {
        let shard = self.shard(key);
        let clock = shard.clock.read();
        let found = clock.places.get(&key).and_then(|place| clock.slots[*place].as_ref());
        let Some(slot) = found else {
            shard.misses.fetch_add(1, Relaxed);
            return None;
        };
        shard.hits.fetch_add(1, Relaxed);
        if !slot.marked.load(Relaxed) {
            slot.marked.store(true, Relaxed);
        }
        Some(read(&slot.block))
    }

    pub fn get(&self, key: Key) -> Option<Block> {
        self.with(key, Block::clone)
    }

    /// A block larger than a shard's share is not kept.
    pub fn insert(&self, key: Key, block: Block) {
        let share = self.bytes_max / SHARDS;
        let bytes = block.bytes() + BLOCK_OVERHEAD;
        if bytes > share {
            return;
        }
        let mut clock = self.shard(key).clock.write();
        if clock.places.contains_key(&key) {
            return;
        }
        clock.make_room(share - bytes);
        clock.bytes += bytes;
        let slot = Slot { key, block, marked: AtomicBool::new(false) };
        let place = match clock.free.pop() {
            Some(place) => place,
            None => {
                clock.slots.push(None);
                clock.slots.len() - 1
            }
        };
        clock.slots[place] = Some(slot);
        clock.places.insert(key, place);
    }

    /// Lets go of blocks of a table that is gone.
    pub fn forget(&self, number: u64, offsets: impl Iterator<Item = u64>) {
        for offset in offsets {
            let key = (number, offset);
            let shard = self.shard(key);
            if shard.clock.read().places.contains_key(&key) {
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

    fn shard(&self, key: Key) -> &Shard {
        &self.shards[(mix(key) >> 61) as usize]
    }
}

impl Clock {
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
        if let Some(place) = self.places.remove(&key)
            && let Some(slot) = self.slots[place].take()
        {
            self.bytes -= slot.block.bytes() + BLOCK_OVERHEAD;
            self.free.push(place);
        }
    }
}

/// Keys are small numbers; one multiplication spreads them well enough for the map and the choice of a shard.
fn mix(key: Key) -> u64 {
    (key.0.rotate_left(40) ^ key.1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix((self.0, word));
        self.0 ^= self.0 >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize) -> Block {
        let mut data = vec![b'x'; bytes - 20];
        data.extend_from_slice(&0u32.to_le_bytes());
        data.extend_from_slice(&0u32.to_le_bytes());
        data.extend_from_slice(&1u64.to_le_bytes());
        data.extend_from_slice(&1u32.to_le_bytes());
        Block::parse(data.into()).unwrap()
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
