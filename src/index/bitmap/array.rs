//! A column's keys by slot, scanned.
//!
//! ```text
//!   Array = [Chunk of slots 0..8192][Chunk 8192..16384]...
//!   Chunk = keys, one bit per slot "has a value", one bit per slot "is NULL", least and greatest key
//! ```
//!
//! A scan compares 64 keys at a time into one word of bits; chunks whose extremes lie outside are skipped, and
//! those whose extremes lie inside are taken whole. The words make a roaring bitmap directly.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::keys::Key;

/// Slots of a chunk: what one write copies while a reader holds the array, 64 KB at most for 8-byte keys.
pub const CHUNK_SLOTS: usize = 8192;
/// Ranges up to which each is a scan of its own; with more, each key is looked up among them.
const SCANS_MAX: usize = 8;
pub const WORDS: usize = CHUNK_SLOTS / 64;

#[derive(Clone)]
pub struct Array<K> {
    chunks: Vec<Arc<Chunk<K>>>,
}

#[derive(Clone)]
pub struct Chunk<K> {
    pub keys: Box<[K]>,
    pub present: Box<[u64; WORDS]>,
    pub null: Box<[u64; WORDS]>,
    /// Bounds of the keys that were ever set; they only widen.
    min: K,
    max: K,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<K> {
    /// The slot is not in the index.
    Absent,
    Null,
    Value(K),
}

impl<K: Key> Chunk<K> {
    fn new() -> Chunk<K> {
        Chunk {
            keys: vec![K::default(); CHUNK_SLOTS].into(),
            present: Box::new([0; WORDS]),
            null: Box::new([0; WORDS]),
            min: K::MAX,
            max: K::default(),
        }
    }

    fn get(&self, place: usize) -> Cell<K> {
        let (word, bit) = (place / 64, 1u64 << (place % 64));
        if self.present[word] & bit != 0 {
            Cell::Value(self.keys[place])
        } else if self.null[word] & bit != 0 {
            Cell::Null
        } else {
            Cell::Absent
        }
    }

    fn set(&mut self, place: usize, cell: Cell<K>) {
        let (word, bit) = (place / 64, 1u64 << (place % 64));
        self.present[word] &= !bit;
        self.null[word] &= !bit;
        match cell {
            Cell::Absent => {}
            Cell::Null => self.null[word] |= bit,
            Cell::Value(key) => {
                self.present[word] |= bit;
                self.keys[place] = key;
                (self.min, self.max) = (self.min.min(key), self.max.max(key));
            }
        }
    }

    /// ORs the slots with keys in one of the ranges, which ascend, into `bits`.
    fn scan(&self, ranges: &[(K, K)], bits: &mut [u64]) {
        if ranges.len() > SCANS_MAX {
            return self.look_up(ranges, bits);
        }
        ranges.iter().for_each(|&(low, high)| self.scan_range(low, high, bits));
    }

    fn scan_range(&self, low: K, high: K, bits: &mut [u64]) {
        if self.max < low || high < self.min {
            return;
        }
        let all = low <= self.min && self.max <= high;
        for (word, keys) in self.keys.as_chunks::<64>().0.iter().enumerate() {
            let present = self.present[word];
            if present != 0 {
                bits[word] |= if all { present } else { present & within(keys, low, high) };
            }
        }
    }

    /// Searches each key among the ranges.
    fn look_up(&self, ranges: &[(K, K)], bits: &mut [u64]) {
        for (word, keys) in self.keys.as_chunks::<64>().0.iter().enumerate() {
            let mut left = self.present[word];
            while left != 0 {
                let place = left.trailing_zeros() as usize;
                left &= left - 1;
                let after = ranges.partition_point(|range| range.1 < keys[place]);
                let inside = ranges.get(after).is_some_and(|range| range.0 <= keys[place]);
                bits[word] |= u64::from(inside) << place;
            }
        }
    }
}

/// Bit i is set when `low <= keys[i] <= high`.
#[inline]
fn within<K: Key>(keys: &[K; 64], low: K, high: K) -> u64 {
    let width = high.above(low);
    // Bytes first: a comparison loop without shifts is what the compiler turns into vector instructions.
    let mut bytes = [0u8; 64];
    for (byte, key) in bytes.iter_mut().zip(keys) {
        *byte = u8::from(key.above(low) <= width);
    }
    let mut bits = 0;
    for (group, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
        // Eight bytes of 0 or 1 become eight bits: the product gathers byte i's bit at place 56 + i.
        let packed = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= packed << (8 * group);
    }
    bits
}

impl<K: Key> Array<K> {
    pub fn new() -> Array<K> {
        Array { chunks: Vec::new() }
    }

    pub fn get(&self, slot: u32) -> Cell<K> {
        let (chunk, place) = (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS);
        self.chunks.get(chunk).map_or(Cell::Absent, |chunk| chunk.get(place))
    }

    /// Returns what was there.
    pub fn set(&mut self, slot: u32, cell: Cell<K>) -> Cell<K> {
        let (chunk, place) = (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS);
        if self.chunks.len() <= chunk {
            if cell == Cell::Absent {
                return Cell::Absent;
            }
            // One empty chunk stands for all of a gap.
            let empty = Arc::new(Chunk::new());
            self.chunks.resize(chunk + 1, empty);
        }
        let before = self.chunks[chunk].get(place);
        if before != cell {
            Arc::make_mut(&mut self.chunks[chunk]).set(place, cell);
        }
        before
    }

    /// Slots with keys in any of the ranges.
    pub fn select(&self, ranges: &[(K, K)]) -> RoaringBitmap {
        self.collect(|chunk, bits| chunk.scan(ranges, bits))
    }

    pub fn count(&self, ranges: &[(K, K)]) -> u64 {
        let mut count = 0;
        let mut bits = [0u64; WORDS];
        for chunk in &self.chunks {
            bits.fill(0);
            chunk.scan(ranges, &mut bits);
            count += bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
        count
    }

    pub fn present(&self) -> RoaringBitmap {
        self.collect(|chunk, bits| bits.copy_from_slice(&chunk.present[..]))
    }

    pub fn nulls(&self) -> RoaringBitmap {
        self.collect(|chunk, bits| bits.copy_from_slice(&chunk.null[..]))
    }

    fn collect(&self, fill: impl Fn(&Chunk<K>, &mut [u64])) -> RoaringBitmap {
        let mut bytes = vec![0u8; self.chunks.len() * WORDS * 8];
        let mut words = [0u64; WORDS];
        for (chunk, part) in self.chunks.iter().zip(bytes.as_chunks_mut::<{ WORDS * 8 }>().0) {
            words.fill(0);
            fill(chunk, &mut words);
            part.as_chunks_mut::<8>()
                .0
                .iter_mut()
                .zip(&words)
                .for_each(|(to, word)| *to = word.to_le_bytes());
        }
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }

    pub fn bytes(&self) -> u64 {
        (self.chunks.len() * (CHUNK_SLOTS * K::BYTES + 2 * WORDS * 8 + 64)) as u64
    }
}
