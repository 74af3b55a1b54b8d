//! The block cache: decoded blocks, and what leads to them, within one budget of bytes.
//!
//! ```text
//!   budget   | guides: indexes and filters, up to 3/4 | blocks: all the rest, an eighth of it each shard |
//! ```
//!
//! Indexes and filters of tables lie with their tables (`guides.rs`) and come first: as they are read, blocks give way.
//! One that nobody has used while gets brought in blocks for the whole budget gives way to blocks.
//!
//! Blocks lie in eight shards by hash, each a map and a clock (Corbato 1969): a hit sets a block's mark under a shared
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

mod guides;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};

pub use self::guides::{Guide, Part};
use self::guides::{Guides, charge};
use super::sstable::DataBlock;

/// A block's name: that of the open table, offset in the file.
type Key = (u64, u64);

/// Enough that two cores seldom meet; budgets are per shard, so more would make small caches coarse.
const SHARDS: usize = 8;

/// What a cached block costs beside its bytes: map entry, slot, counts.
const BLOCK_OVERHEAD: usize = 128;

pub struct Cache {
    /// Locked before a shard.
    guides: Mutex<Guides>,
    /// Bytes of guides, to look at without the lock.
    guide_bytes: AtomicUsize,
    shards: [Shard; SHARDS],
    /// What a shard may have.
    share: AtomicUsize,
    /// Bytes of all blocks that gets have brought in for others.
    turned: AtomicUsize,
    bytes_max: usize,
    /// Names that open tables have had so far.
    names: AtomicU64,
}

/// Who brings a block in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Get,
    Scan,
}

/// What it takes to keep a part of a guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Blocks at most.
    Free,
    /// Parts of other guides.
    Taken,
    /// It is larger than all that guides may have.
    None,
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
        Cache {
            guides: Mutex::default(),
            guide_bytes: AtomicUsize::new(0),
            shards: Default::default(),
            share: AtomicUsize::new(bytes_max / SHARDS),
            turned: AtomicUsize::new(0),
            bytes_max,
            names: AtomicU64::new(0),
        }
    }

    /// A name for an open table that no other has had, in whichever store it is.
    pub fn new_name(&self) -> u64 {
        self.names.fetch_add(1, Relaxed)
    }

    /// What it takes to keep a part of so many bytes in a guide.
    pub fn room(&self, bytes: usize) -> Room {
        let free = self.guide_bytes_max().checked_sub(charge(bytes));
        match free {
            None => Room::None,
            Some(free) if self.guide_bytes.load(Relaxed) <= free => Room::Free,
            Some(_) => Room::Taken,
        }
    }

    /// Puts a part into a guide; one that is larger than all that guides may have is not kept.
    pub fn keep(&self, guide: &Arc<Guide>, part: Part) {
        let Some(rest) = self.guide_bytes_max().checked_sub(part.charge()) else { return };
        let mut guides = self.guides.lock();
        if guides.has(guide, &part) {
            return;
        }
        guides.make_room(rest);
        self.share_rest(guides.bytes() + part.charge());
        guides.put(guide, part);
    }

    /// Empties the guide of a table that is gone.
    pub fn forget_guide(&self, guide: &Arc<Guide>) {
        let mut guides = self.guides.lock();
        let before = guides.bytes();
        guides.forget(guide);
        if guides.bytes() < before {
            self.share_rest(guides.bytes());
        }
    }

    /// Guides will have so many bytes, and blocks the rest. The caller holds the lock of guides.
    fn share_rest(&self, guide_bytes: usize) {
        let share = (self.bytes_max - guide_bytes) / SHARDS;
        self.guide_bytes.store(guide_bytes, Relaxed);
        self.share.store(share, Relaxed);
        // Who puts a block in looks at the share under the shard's lock: before this it is evicted here, or else sees it.
        self.shards.iter().for_each(|shard| shard.clock.write().make_room(share));
    }

    /// What guides take.
    pub fn guide_bytes(&self) -> usize {
        self.guide_bytes.load(Relaxed)
    }

    /// The last quarter is for blocks that are read again and again.
    pub fn guide_bytes_max(&self) -> usize {
        self.bytes_max / 4 * 3
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
    pub fn insert(&self, key: Key, block: DataBlock, by: By) {
        let bytes = block.bytes() + BLOCK_OVERHEAD;
        let hash = mix(key);
        let mut clock = self.shard(hash).clock.write();
        let Some(rest) = self.share.load(Relaxed).checked_sub(bytes) else { return };
        if clock.place(key, hash).is_some() {
            return;
        }
        let before = clock.bytes;
        clock.make_room(rest);
        let is_full = clock.bytes < before;
        clock.bytes += bytes;
        clock.put(hash, Slot { key, block, marked: AtomicBool::new(false) });
        drop(clock);
        if by == By::Get && is_full && self.turn(bytes) {
            let mut guides = self.guides.lock();
            guides.sweep();
            self.share_rest(guides.bytes());
        }
    }

    /// Counts bytes of blocks that came in for others. Each time that they have become those of the budget once more, one
    /// thread is told: two sweeps at once would leave nothing.
    fn turn(&self, bytes: usize) -> bool {
        let before = self.turned.fetch_add(bytes, Relaxed);
        before / self.bytes_max < (before + bytes) / self.bytes_max
    }

    /// Lets go of blocks of a table that is gone.
    pub fn forget(&self, name: u64, offsets: impl Iterator<Item = u64>) {
        for offset in offsets {
            let key = (name, offset);
            let shard = self.shard(mix(key));
            let is_there = shard.clock.read().place(key, mix(key)).is_some();
            if is_there {
                shard.clock.write().remove(key);
            }
        }
    }

    /// Of blocks and guides.
    pub fn bytes(&self) -> usize {
        // While they are locked nothing is shared anew, so that this never tells more than there is.
        let guides = self.guides.lock();
        guides.bytes() + self.shards.iter().map(|shard| shard.clock.read().bytes).sum::<usize>()
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
    use crate::storage::sstable::{Block, Bloom};

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
        cache.insert((1, 0), block(1000), By::Get);
        for offset in 1..10_000 {
            cache.insert((1, offset), block(1000), By::Get);
            assert!(cache.get((1, 0)).is_some(), "evicted by block {offset}");
            assert!(cache.bytes() <= 8 * 20_000);
        }
        assert!(cache.bytes() > 8 * 15_000);
    }

    #[test]
    fn forgotten_blocks_give_their_bytes_back() {
        let cache = Cache::new(1 << 20);
        for offset in 0..100 {
            cache.insert((1, offset), block(1000), By::Get);
        }
        cache.forget(1, 0..100);
        assert_eq!(cache.bytes(), 0);
        assert!(cache.get((1, 5)).is_none());
    }

    fn filter(bytes: usize) -> Part {
        Part::Filter(Bloom::new(Arc::from(vec![0; bytes])).expect("whole lines"))
    }

    #[test]
    fn blocks_give_way_to_guides_down_to_a_quarter() {
        const MAX: usize = 1 << 20;
        let cache = Cache::new(MAX);
        let guides: Vec<Arc<Guide>> = (0..20).map(|_| Arc::default()).collect();
        (0..2_000).for_each(|offset| cache.insert((1, offset), block(1000), By::Get));
        assert!(cache.bytes() > MAX * 7 / 8);
        assert_eq!(cache.room(128 << 10), Room::Free);
        for guide in &guides {
            cache.keep(guide, filter(128 << 10));
            guides[0].mark_filter();
            assert!(cache.bytes() <= MAX);
        }
        let kept: Vec<usize> = guides.iter().map(|guide| guide.bytes() / (128 << 10)).collect();
        assert_eq!(
            kept.iter().sum::<usize>(),
            5,
            "of six in three quarters one lacks room for what it costs: {kept:?}"
        );
        assert_eq!((kept[0], kept[19]), (1, 1), "what is used stays, and what came last: {kept:?}");
        assert_eq!(cache.room(128 << 10), Room::Taken);
        assert_eq!(cache.room(1 << 20), Room::None);
        cache.keep(&guides[1], filter(1 << 20));
        assert_eq!(guides[1].bytes(), 0, "more than all that there is for guides");
        (0..330).for_each(|offset| cache.insert((2, offset), block(1000), By::Get));
        assert!(cache.bytes() > MAX * 7 / 8 && cache.bytes() <= MAX, "{} bytes", cache.bytes());
        guides.iter().for_each(|guide| cache.forget_guide(guide));
        assert!(guides.iter().all(|guide| guide.bytes() == 0) && cache.bytes() < MAX / 2);
        (0..2_000).for_each(|offset| cache.insert((3, offset), block(1000), By::Get));
        assert!(cache.bytes() > MAX * 7 / 8, "blocks have all again");
    }

    #[test]
    fn guides_that_nobody_uses_give_way_to_blocks() {
        const MAX: usize = 1 << 20;
        let cache = Cache::new(MAX);
        let guides: Vec<Arc<Guide>> = (0..5).map(|_| Arc::default()).collect();
        guides.iter().for_each(|guide| cache.keep(guide, filter(128 << 10)));
        let held = || guides.iter().map(|guide| guide.bytes() >> 17).collect::<Vec<_>>();
        (0..350).for_each(|offset| cache.insert((1, offset), block(1000), By::Get));
        assert_eq!(held(), [1; 5], "there was room");
        (0..10_000).for_each(|offset| cache.insert((2, offset), block(1000), By::Scan));
        assert_eq!(held(), [1; 5], "a scan sweeps nothing");
        for offset in 0..3_000 {
            cache.insert((3, offset), block(1000), By::Get);
            guides[3].mark_filter();
        }
        assert_eq!(held(), [0, 0, 0, 1, 0]);
        assert!(cache.bytes() > MAX * 7 / 8 && cache.bytes() <= MAX);
        assert!(guides.iter().all(|guide| !guide.was_filter_driven_out()), "they may come back at once");
    }

    /// Gets bring in blocks until the guides are swept once.
    fn sweep(cache: &Cache) {
        let turns = || cache.turned.load(Relaxed) / cache.bytes_max;
        let before = turns();
        let offsets = (0..).take_while(|_| turns() == before);
        offsets.for_each(|offset| cache.insert((before as u64, offset), block(1000), By::Get));
    }

    #[test]
    fn a_sweep_spares_what_came_or_was_used_since_the_last() {
        let cache = Cache::new(1 << 20);
        let guides: Vec<Arc<Guide>> = (0..7).map(|_| Arc::default()).collect();
        let held = || guides.iter().map(|guide| guide.bytes() >> 17).collect::<Vec<_>>();
        guides[..5].iter().for_each(|guide| cache.keep(guide, filter(128 << 10)));
        sweep(&cache);
        assert_eq!(held(), [1, 1, 1, 1, 1, 0, 0], "all came just now");
        // The hand goes over the first two, whose marks it takes, and drives out the third.
        guides[..2].iter().for_each(|guide| guide.mark_filter());
        cache.keep(&guides[5], filter(128 << 10));
        assert_eq!(held(), [1, 1, 0, 1, 1, 1, 0]);
        assert!(guides[2].was_filter_driven_out() && !guides[3].was_filter_driven_out());
        guides[4].mark_filter();
        sweep(&cache);
        assert_eq!(held(), [1, 1, 0, 0, 1, 1, 0], "used, used, driven out, neither, used, new");
        cache.keep(&guides[2], filter(128 << 10));
        assert!(!guides[2].was_filter_driven_out(), "it is there again");
        sweep(&cache);
        assert_eq!(held(), [0, 0, 1, 0, 0, 0, 0]);
        sweep(&cache);
        assert_eq!(held(), [0; 7]);
        assert!(!guides[2].was_filter_driven_out());
    }

    /// However many threads bring in blocks, they are told of each turn once.
    #[test]
    fn each_turn_is_told_once() {
        let cache = Cache::new(1 << 20);
        let told = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let turns = (0..100_000).filter(|_| cache.turn(1_000)).count();
                    told.fetch_add(turns, Relaxed);
                });
            }
        });
        assert_eq!(told.into_inner(), 400_000_000 >> 20);
    }

    /// Threads put in and take out, and whoever looks never finds more than the budget. What is counted at last is what is
    /// there, in whatever order they came.
    #[test]
    fn the_budget_holds_at_every_moment() {
        const MAX: usize = 256 << 10;
        let cache = Cache::new(MAX);
        let guides: Vec<Arc<Guide>> = (0..50).map(|_| Arc::default()).collect();
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                let (cache, guides) = (&cache, &guides);
                scope.spawn(move || {
                    for turn in 0..3_000_u64 {
                        let random = mix((thread, turn));
                        // Each from other bits, so that everything happens to every guide.
                        let (of_block, of_guide) =
                            (random as usize % 5_000, (random >> 16) as usize % guides.len());
                        let (of_filter, what) = (random >> 32 & 511, random >> 48 & 7);
                        cache.insert((thread, turn), block(500 + of_block), By::Get);
                        let guide = &guides[of_guide];
                        match what {
                            0 => cache.forget_guide(guide),
                            1..4 => cache.keep(guide, filter(64 * (1 + of_filter as usize))),
                            _ => guide.mark_filter(),
                        }
                        assert!(cache.bytes() <= MAX, "{} bytes", cache.bytes());
                    }
                });
            }
        });
        (0..3).for_each(|thread| cache.forget(thread, 0..3_000));
        let full = guides.iter().filter(|guide| guide.bytes() > 0);
        let held: usize = full.map(|guide| charge(guide.bytes())).sum();
        assert_eq!(cache.bytes(), held, "of guides alone");
        assert_eq!(cache.guide_bytes.load(Relaxed), held);
        assert!(held <= MAX / 4 * 3, "{held} bytes");
        guides.iter().for_each(|guide| cache.forget_guide(guide));
        assert_eq!(cache.bytes(), 0);
        assert_eq!(cache.share.load(Relaxed), MAX / SHARDS, "blocks have all again");
    }

    #[test]
    fn a_block_larger_than_its_share_is_not_kept() {
        let cache = Cache::new(8 * 500);
        cache.insert((1, 0), block(1000), By::Get);
        assert!(cache.get((1, 0)).is_none());
    }
}
