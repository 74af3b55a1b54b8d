//! A column's keys by slot, scanned.
//!
//! ```text
//!   Array = [Chunk of slots 0..8192][Chunk 8192..16384]...
//!   Chunk = base and what each key is above it, one bit per slot "has a value", one bit per slot "is NULL",
//!           least and greatest key, and where there are many keys a filter that says which are not in it
//! ```
//!
//! What keys are above their base takes the fewest bytes that the chunk's extremes allow, none at all while all keys are
//! the same: serial numbers take two bytes, whatever their type.
//!
//! A scan compares 64 keys at a time into one word of bits, the narrower the more at once; chunks whose extremes lie
//! outside are skipped, and those whose extremes lie inside are taken whole. The words make a roaring bitmap directly.
//! A single key that lies within the extremes of all chunks is looked for in the few blocks whose filters let it through.
//!
//! Chunks beyond the share of memory are in files (`share.rs`), one after the other as they were written; a write to one
//! copies it back. What cannot be read there is an error (58030), of which the index makes "cannot say".

use std::collections::BinaryHeap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Writer};
pub use super::chunk::CHUNK_SLOTS;
use super::chunk::{Chunk, WORDS, places};
use super::keys::Key;
use super::share::Share;
use crate::error::Result;

/// Words of one of a roaring bitmap's containers.
const CONTAINER_WORDS: usize = 1024;
/// Slots of a container up to which each is added by itself.
const FEW_SLOTS: u32 = 512;

#[derive(Clone)]
pub struct Array<K> {
    chunks: Vec<Arc<Chunk<K>>>,
    /// Chunks before this one have filters; `None` while bitmaps by value are there in their place.
    filtered: Option<usize>,
    share: Arc<Share>,
    /// The chunk that is the next to be looked at for one to spill.
    hand: usize,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<K> {
    /// The slot is not in the index.
    Absent,
    Null,
    Value(K),
}

/// A key of its column's width.
pub fn key<K: Key>(from: &mut BlockReader) -> Result<K> {
    let wide = from.u128()?;
    let key = K::narrow(wide);
    if key.widen() == wide { Ok(key) } else { Err(from.corrupt("a key of its column's width", wide)) }
}

impl<K: Key> Array<K> {
    pub fn new(share: &Arc<Share>) -> Array<K> {
        Array { chunks: Vec::new(), filtered: None, share: share.clone(), hand: 0 }
    }

    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// From now on chunks have filters: new ones at once, the others as [`Array::make_next_filters`] comes to them. Until then
    /// they are scanned without.
    pub fn begin_filters(&mut self) {
        self.filtered.get_or_insert(0);
    }

    /// Makes the filters of the next so many chunks, where they are to have some.
    pub fn make_next_filters(&mut self, count: usize) -> Result<()> {
        let Some(next) = self.filtered else { return Ok(()) };
        let end = next.saturating_add(count).min(self.chunks.len());
        for chunk in self.chunks.get_mut(next..end).unwrap_or_default() {
            if chunk.is_filtered() {
                continue;
            }
            let filtered = chunk.filtered(&self.share)?;
            let stays = chunk.is_held() && !self.share.is_over();
            let spilled = if stays { None } else { filtered.spilled(&self.share) };
            *chunk = Arc::new(spilled.unwrap_or(filtered));
        }
        self.filtered = Some(end);
        Ok(())
    }

    /// Makes those that are still to be made.
    pub fn make_filters(&mut self) -> Result<()> {
        self.make_next_filters(usize::MAX)
    }

    /// Whether chunks lack filters that they are to have.
    pub fn lacks_filters(&self) -> bool {
        self.filtered.is_some_and(|next| next < self.chunks.len())
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u32(self.chunks.len() as u32)?;
        self.chunks.iter().try_for_each(|chunk| chunk.save(out))
    }

    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Array<K>> {
        let count = from.u32()?;
        if u64::from(count) * CHUNK_SLOTS as u64 > 1 << 32 {
            return Err(from.corrupt("chunks of slots below 2^32", count));
        }
        let mut array = Array::new(share);
        for _ in 0..count {
            array.chunks.push(within_share(Chunk::open(from, share)?, share));
        }
        Ok(array)
    }

    /// Moves a chunk to a file, each in its turn, and says how many bytes that are; 0 when none is in memory any more, or
    /// there can be no file.
    pub fn spill_next(&mut self) -> u64 {
        let count = self.chunks.len();
        for place in (self.hand..count).chain(0..self.hand.min(count)) {
            if self.chunks[place].is_held() {
                self.hand = place + 1;
                let Some(spilled) = self.chunks[place].spilled(&self.share) else { return 0 };
                let before = std::mem::replace(&mut self.chunks[place], Arc::new(spilled));
                return (before.bytes() - self.chunks[place].bytes()) as u64;
            }
        }
        0
    }

    /// Chunks in files that hold some of these slots: those that are copied into memory when the slots change.
    pub fn chunks_in_files(&self, slots: &RoaringBitmap) -> usize {
        let mut numbers: Vec<usize> = slots.iter().map(|slot| slot as usize / CHUNK_SLOTS).collect();
        numbers.dedup();
        let chunks = numbers.into_iter().filter_map(|number| self.chunks.get(number));
        chunks.filter(|chunk| !chunk.is_held()).count()
    }

    /// Whether a chunk is in a file that cannot be read any more.
    pub fn has_lost(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.is_lost())
    }

    /// Whether a chunk is in memory.
    pub fn has_held(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.is_held())
    }

    pub fn get(&self, slot: u32) -> Result<Cell<K>> {
        let (chunk, place) = (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS);
        self.chunks.get(chunk).map_or(Ok(Cell::Absent), |chunk| chunk.get(place))
    }

    /// Returns what was there.
    pub fn set(&mut self, slot: u32, cell: Cell<K>) -> Result<Cell<K>> {
        let (chunk, place) = (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS);
        if self.chunks.len() <= chunk {
            if cell == Cell::Absent {
                return Ok(Cell::Absent);
            }
            // One empty chunk stands for all of a gap.
            let mut empty = Chunk::new(&self.share);
            if self.filtered.is_some() {
                empty = empty.filtered(&self.share)?;
            }
            self.chunks.resize(chunk + 1, Arc::new(empty));
        }
        let before = self.chunks[chunk].get(place)?;
        if before != cell {
            let chunk = Arc::make_mut(&mut self.chunks[chunk]);
            chunk.hold(&self.share)?;
            chunk.set(place, cell, &self.share);
        }
        Ok(before)
    }

    /// Slots with keys in any of the ranges.
    pub fn select(&self, ranges: &[(K, K)]) -> Result<RoaringBitmap> {
        self.collect(|chunk, bits| chunk.scan(ranges, bits))
    }

    pub fn count(&self, ranges: &[(K, K)]) -> Result<u64> {
        let mut count = 0;
        let mut bits = [0u64; WORDS];
        for chunk in &self.chunks {
            bits.fill(0);
            chunk.scan(ranges, &mut bits)?;
            count += bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
        Ok(count)
    }

    /// The keys of the slots `among`, or of all that have one, in order of slots.
    pub fn for_each(&self, among: Option<&RoaringBitmap>, mut take: impl FnMut(u32, K)) -> Result<()> {
        let mut chunks = self.chunks.iter().enumerate();
        chunks.try_for_each(|(number, chunk)| chunk.for_each(number, among, None, &mut take))
    }

    /// The range of keys that holds the first `rows` of them in this order and all that are equal to the last of those,
    /// of the slots `among` or of all.
    pub fn first(&self, among: Option<&RoaringBitmap>, descending: bool, rows: usize) -> Result<(K, K)> {
        let range = |last: K, descending: bool| match descending {
            false => (K::default(), last),
            true => (K::MAX.above(last), K::MAX),
        };
        let rank = |key: K| if descending { K::MAX.above(key) } else { key };
        let best = |chunk: &Chunk<K>| rank(if descending { chunk.max } else { chunk.min });
        let chunks = self.chunks.iter().enumerate().filter(|(_, chunk)| chunk.min <= chunk.max);
        let mut chunks: Vec<(K, usize)> = chunks.map(|(place, chunk)| (best(chunk), place)).collect();
        chunks.sort_unstable();
        let mut first = BinaryHeap::new();
        for (best, place) in chunks {
            if first.len() == rows && first.peek().is_none_or(|last| *last < best) {
                break;
            }
            let bound = first.peek().filter(|_| first.len() == rows).copied();
            self.chunks[place].for_each(
                place,
                among,
                bound.map(|last| range(last, descending)),
                |_, key| {
                    if first.len() < rows {
                        first.push(rank(key));
                    } else if first.peek().is_some_and(|last| rank(key) < *last) {
                        first.pop();
                        first.push(rank(key));
                    }
                },
            )?;
        }
        let last = first.peek().filter(|_| first.len() == rows).copied();
        Ok(last.map_or((K::default(), K::MAX), |last| range(last, descending)))
    }

    pub fn present(&self) -> Result<RoaringBitmap> {
        self.collect(|chunk, bits| chunk.add_present(bits))
    }

    pub fn nulls(&self) -> Result<RoaringBitmap> {
        self.collect(|chunk, bits| chunk.add_null(bits))
    }

    /// What `fill` ORs into the words of each chunk, a container of 65,536 slots at a time: one bitmap where there are
    /// many, slot by slot where there are few.
    fn collect(&self, fill: impl Fn(&Chunk<K>, &mut [u64]) -> Result<()>) -> Result<RoaringBitmap> {
        let mut slots = RoaringBitmap::new();
        let mut words = [0u64; CONTAINER_WORDS];
        for (container, chunks) in self.chunks.chunks(CONTAINER_WORDS / WORDS).enumerate() {
            words.fill(0);
            let mut parts = chunks.iter().zip(words.as_chunks_mut::<WORDS>().0);
            parts.try_for_each(|(chunk, part)| fill(chunk, part))?;
            let start = (container * 64 * CONTAINER_WORDS) as u32;
            match words.iter().map(|word| word.count_ones()).sum::<u32>() {
                0 => {}
                1..=FEW_SLOTS => slots.extend(places(&words).map(|place| start + place)),
                _ => {
                    let mut bytes = [0u8; CONTAINER_WORDS * 8];
                    bytes
                        .as_chunks_mut::<8>()
                        .0
                        .iter_mut()
                        .zip(&words)
                        .for_each(|(to, word)| *to = word.to_le_bytes());
                    slots |= RoaringBitmap::from_lsb0_bytes(start, &bytes);
                }
            }
        }
        Ok(slots)
    }

    /// Of memory.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes()).sum::<usize>() as u64
    }
}

/// In a file when there is too much in memory with it.
fn within_share<K: Key>(chunk: Chunk<K>, share: &Arc<Share>) -> Arc<Chunk<K>> {
    let spilled = if share.is_over() { chunk.spilled(share) } else { None };
    Arc::new(spilled.unwrap_or(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::bitmap::chunk::SCANS_MAX;

    /// Sets one key per slot and holds the array against a plain list; answers the bytes a key takes.
    fn bytes_of<K: Key + std::fmt::Debug>(keys: &[K]) -> usize {
        let mut array = Array::new(&Share::unbounded());
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!(array.set(slot as u32, Cell::Value(*key)).unwrap(), Cell::Absent);
            assert_eq!(array.get(slot as u32).unwrap(), Cell::Value(*key));
        }
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!(array.get(slot as u32).unwrap(), Cell::Value(*key), "slot {slot}");
        }
        let at = |part: usize| keys[part * keys.len() / 7];
        for ranges in [(1, 2), (3, 3), (6, 0), (2, 5)].map(|(a, b)| (at(a).min(at(b)), at(a).max(at(b)))) {
            let inside = |key: &K| ranges.0 <= *key && *key <= ranges.1;
            let slots = keys.iter().enumerate().filter(|(_, key)| inside(key)).map(|(slot, _)| slot as u32);
            let expected: RoaringBitmap = slots.collect();
            assert_eq!(array.select(&[ranges]).unwrap(), expected);
            assert_eq!(array.select(&[ranges; SCANS_MAX + 1]).unwrap(), expected, "looked up");
            assert_eq!(array.count(&[ranges]).unwrap(), expected.len());
        }
        array.chunks[0].width()
    }

    #[test]
    fn keys_take_as_many_bytes_as_they_spread() {
        const COUNT: u64 = CHUNK_SLOTS as u64 + 100;
        let middle = 1 << 63;
        assert_eq!(bytes_of(&vec![middle; COUNT as usize]), 0);
        assert_eq!(bytes_of(&(0..COUNT).map(|i| middle + i % 200).collect::<Vec<_>>()), 1);
        assert_eq!(bytes_of(&(0..COUNT).map(|i| middle + i).collect::<Vec<_>>()), 2);
        assert_eq!(bytes_of(&(0..COUNT).map(|i| middle - i).collect::<Vec<_>>()), 2);
        assert_eq!(bytes_of(&(0..COUNT).collect::<Vec<_>>()), 2, "at the lower end");
        assert_eq!(bytes_of(&(0..COUNT).map(|i| u64::MAX - i).collect::<Vec<_>>()), 2, "at the upper end");
        let both = |i: u64| if i.is_multiple_of(2) { middle + 1000 * i } else { middle - 1000 * i };
        assert_eq!(bytes_of(&(0..COUNT).map(both).collect::<Vec<_>>()), 4);
        let wide = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        assert_eq!(bytes_of(&(0..COUNT).map(wide).collect::<Vec<_>>()), 8);
        assert_eq!(bytes_of(&(0..COUNT).map(|i| wide(i) as u16).collect::<Vec<_>>()), 2);
        assert_eq!(bytes_of(&(0..COUNT).map(|i| u128::from(wide(i)) << (i % 65)).collect::<Vec<_>>()), 16);
        assert_eq!(bytes_of(&[0, u128::MAX, 1, u128::MAX - 1, 7, 8, 9]), 16);
    }

    #[test]
    fn keys_as_wide_as_their_type_are_not_moved_again() {
        let share = Share::unbounded();
        let mut chunk = Chunk::new(&share);
        for place in 0..128 {
            chunk.set(place, Cell::Value(u128::MAX >> place), &share);
            assert_eq!(chunk.get(place).unwrap(), Cell::Value(u128::MAX >> place));
            assert!(place == 0 || chunk.base <= u128::MAX >> 2, "moved at {place}");
        }
        assert_eq!(chunk.base, 0);
    }

    #[test]
    fn keys_that_spread_step_by_step_are_moved_a_few_times() {
        for step in [1u64, 3, 1 << 20, 1 << 50] {
            let share = Share::unbounded();
            let mut chunk = Chunk::new(&share);
            let mut moves = 0;
            for place in 0..CHUNK_SLOTS {
                let before = (chunk.base, chunk.width());
                let out = step * place as u64;
                chunk.set(
                    place,
                    Cell::Value(if place % 2 == 0 { (1 << 63) + out } else { (1 << 63) - out }),
                    &share,
                );
                moves += usize::from((chunk.base, chunk.width()) != before);
            }
            assert!(moves < 40, "{moves} moves");
        }
    }
}
