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

use std::collections::BinaryHeap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Writer};
use super::filter::{BLOCK_SLOTS, Bits, Filter};
use super::keys::Key;
use crate::error::Result;

/// Slots of a chunk: what one write copies while a reader holds the array, 64 KB at most for 8-byte keys.
pub const CHUNK_SLOTS: usize = 8192;
/// Words of one of a roaring bitmap's containers.
const CONTAINER_WORDS: usize = 1024;
/// Slots of a container up to which each is added by itself.
const FEW_SLOTS: u32 = 512;
/// Ranges up to which each is a scan of its own; with more, each key is looked up among them.
const SCANS_MAX: usize = 8;
pub const WORDS: usize = CHUNK_SLOTS / 64;

#[derive(Clone)]
pub struct Array<K> {
    chunks: Vec<Arc<Chunk<K>>>,
    /// Whether chunks have filters.
    filtered: bool,
}

#[derive(Clone)]
struct Chunk<K> {
    base: K,
    offsets: Offsets,
    present: Box<[u64; WORDS]>,
    null: Box<[u64; WORDS]>,
    /// Bounds of the keys that were ever set; they only widen. The least is above the greatest before the first.
    min: K,
    max: K,
    /// Of the keys that were ever set.
    filter: Option<Box<Filter>>,
}

/// How far each key is above the base, by the bytes that takes; anything for slots without a key.
#[derive(Clone)]
enum Offsets {
    /// Every key is the base.
    Same,
    One(Box<[u8]>),
    Two(Box<[u16]>),
    Four(Box<[u32]>),
    Eight(Box<[u64]>),
    Sixteen(Box<[u128]>),
}

/// Runs the same expression on whichever width there is.
macro_rules! on_offsets {
    ($offsets:expr, $keys:ident => $run:expr, $same:expr) => {
        match $offsets {
            Offsets::Same => $same,
            Offsets::One($keys) => $run,
            Offsets::Two($keys) => $run,
            Offsets::Four($keys) => $run,
            Offsets::Eight($keys) => $run,
            Offsets::Sixteen($keys) => $run,
        }
    };
}

impl Offsets {
    fn get(&self, place: usize) -> u128 {
        on_offsets!(self, keys => keys[place].widen(), 0)
    }

    fn set(&mut self, place: usize, offset: u128) {
        on_offsets!(self, keys => keys[place] = Key::narrow(offset), ());
    }

    /// The greatest there is room for.
    fn max(&self) -> u128 {
        on_offsets!(self, keys => greatest(keys), 0)
    }

    fn bytes(&self) -> usize {
        on_offsets!(self, keys => size_of_val(&keys[..]), 0)
    }

    /// The same keys above a base that is `lower` further down, in the fewest bytes that offsets up to `max`, which is
    /// not 0, take.
    fn moved(&self, lower: u128, max: u128) -> Offsets {
        match max.ilog2() {
            0..8 => Offsets::One(self.shifted(lower)),
            8..16 => Offsets::Two(self.shifted(lower)),
            16..32 => Offsets::Four(self.shifted(lower)),
            32..64 => Offsets::Eight(self.shifted(lower)),
            _ => Offsets::Sixteen(self.shifted(lower)),
        }
    }

    /// Modulo the new width, which is never narrower, so that keys come out right also when the base moves up.
    fn shifted<N: Key>(&self, lower: u128) -> Box<[N]> {
        let lower = N::narrow(lower);
        let shift = |offset: u128| N::narrow(offset).plus(lower);
        on_offsets!(
            self,
            keys => keys.iter().map(|key| shift(key.widen())).collect(),
            vec![lower; CHUNK_SLOTS].into()
        )
    }
}

/// What a chunk in a file has behind its extremes.
const HAS_PRESENT: u8 = 1;
const HAS_NULL: u8 = 2;

impl Offsets {
    /// Bytes of a key.
    fn width(&self) -> u8 {
        (self.bytes() / CHUNK_SLOTS) as u8
    }

    fn put(&self, out: &mut Vec<u8>) {
        on_offsets!(self, keys => Key::put_all(keys, out), ());
    }

    /// Keys of so many bytes each; `None` where no keys have as many.
    fn take(width: u8, bytes: &[u8]) -> Option<Offsets> {
        Some(match width {
            0 => Offsets::Same,
            1 => Offsets::One(Key::take_all(bytes)),
            2 => Offsets::Two(Key::take_all(bytes)),
            4 => Offsets::Four(Key::take_all(bytes)),
            8 => Offsets::Eight(Key::take_all(bytes)),
            16 => Offsets::Sixteen(Key::take_all(bytes)),
            _ => return None,
        })
    }
}

/// Bits of slots; nothing when there are none.
fn put_words(words: &[u64; WORDS], out: &mut Vec<u8>) {
    if words.iter().any(|word| *word != 0) {
        Key::put_all(words, out);
    }
}

fn take_words(there: bool, from: &mut BlockReader) -> Result<Box<[u64; WORDS]>> {
    let mut words = Box::new([0; WORDS]);
    if there {
        words.copy_from_slice(&u64::take_all(from.take(size_of::<[u64; WORDS]>())?));
    }
    Ok(words)
}

fn greatest<N: Key>(_: &[N]) -> u128 {
    N::MAX.widen()
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
            base: K::default(),
            offsets: Offsets::Same,
            present: Box::new([0; WORDS]),
            null: Box::new([0; WORDS]),
            min: K::MAX,
            max: K::default(),
            filter: None,
        }
    }

    /// Makes the filter, where it says more than the extremes do: keys that lie close together are compared fast.
    fn make_filter(&mut self) {
        let mut filter = Box::new(Filter::new());
        for (word, present) in self.present.iter().enumerate() {
            let places = (0..64).filter(|bit| present >> bit & 1 != 0).map(|bit| 64 * word + bit);
            places.for_each(|place| filter.add(place, self.key(place)));
        }
        self.filter = Some(filter);
    }

    fn get(&self, place: usize) -> Cell<K> {
        let (word, bit) = (place / 64, 1u64 << (place % 64));
        if self.present[word] & bit != 0 {
            Cell::Value(self.key(place))
        } else if self.null[word] & bit != 0 {
            Cell::Null
        } else {
            Cell::Absent
        }
    }

    /// Of a slot that has one.
    fn key(&self, place: usize) -> K {
        K::narrow(self.offsets.get(place)).plus(self.base)
    }

    fn set(&mut self, place: usize, cell: Cell<K>) {
        let (word, bit) = (place / 64, 1u64 << (place % 64));
        self.present[word] &= !bit;
        self.null[word] &= !bit;
        match cell {
            Cell::Absent => {}
            Cell::Null => self.null[word] |= bit,
            Cell::Value(key) => {
                self.make_room(key);
                self.present[word] |= bit;
                self.offsets.set(place, key.above(self.base).widen());
                if let Some(filter) = &mut self.filter {
                    filter.add(place, key);
                }
            }
        }
    }

    /// Moves the base and widens the offsets until `key` has one.
    fn make_room(&mut self, key: K) {
        if self.min > self.max {
            (self.base, self.min, self.max) = (key, key, key);
        }
        (self.min, self.max) = (self.min.min(key), self.max.max(key));
        if self.base <= self.min && self.max.above(self.base).widen() <= self.offsets.max() {
            return;
        }
        let spread = self.max.above(self.min).widen();
        // With an eighth to spare on both sides together a chunk whose keys spread step by step is moved only a few
        // times for each width.
        let wanted = spread.saturating_add(spread / 8);
        let max = [u8::MAX.widen(), u16::MAX.widen(), u32::MAX.widen(), u64::MAX.widen()];
        let max = max.into_iter().find(|max| wanted <= *max).unwrap_or(u128::MAX).min(K::MAX.widen());
        // As wide as keys are, nothing has to be moved again.
        let room = if max == K::MAX.widen() { self.min.widen() } else { (max - spread) / 2 };
        let base = K::narrow(self.min.widen().saturating_sub(room));
        self.offsets = self.offsets.moved(self.base.above(base).widen(), max);
        self.base = base;
    }

    /// The keys of the slots `among` of this chunk, which is the `number`-th, or of all its slots; where there is a range,
    /// those in it.
    fn for_each(
        &self,
        number: usize,
        among: Option<&RoaringBitmap>,
        range: Option<(K, K)>,
        mut take: impl FnMut(K),
    ) {
        let start = (number * CHUNK_SLOTS) as u32;
        if let (Some(among), None) = (among, range) {
            for slot in among.range(start..=start + (CHUNK_SLOTS as u32 - 1)) {
                if let Cell::Value(key) = self.get((slot - start) as usize) {
                    take(key);
                }
            }
            return;
        }
        let mut words = [0u64; WORDS];
        match range {
            Some((low, high)) => self.scan_range(low, high, &mut words),
            None => words.copy_from_slice(&self.present[..]),
        }
        for place in places(&words) {
            if among.is_none_or(|among| among.contains(start + place)) {
                take(self.key(place as usize));
            }
        }
    }

    /// ORs the slots with keys in one of the ranges, which ascend, into `bits`.
    fn scan(&self, ranges: &[(K, K)], bits: &mut [u64]) {
        let passing: Vec<(K, K)>;
        let ranges = match &self.filter {
            Some(filter) if ranges.len() > SCANS_MAX => {
                let in_some =
                    |key| (0..CHUNK_SLOTS / BLOCK_SLOTS).any(|block| filter.may_have(block, Bits::of(key)));
                passing = ranges.iter().filter(|(low, high)| low != high || in_some(*low)).copied().collect();
                &passing
            }
            _ => ranges,
        };
        if ranges.len() > SCANS_MAX {
            return self.look_up(ranges, bits);
        }
        ranges.iter().for_each(|&(low, high)| self.scan_range(low, high, bits));
    }

    fn scan_range(&self, low: K, high: K, bits: &mut [u64]) {
        if self.max < low || high < self.min {
            return;
        }
        if low <= self.min && self.max <= high {
            bits.iter_mut().zip(&self.present[..]).for_each(|(bits, present)| *bits |= present);
            return;
        }
        if low == high
            && let Some(filter) = &self.filter
        {
            return self.scan_key(low, filter, bits);
        }
        // Within the extremes, so that they fit in offsets as keys do.
        let low = low.max(self.min).above(self.base).widen();
        let high = high.min(self.max).above(self.base).widen();
        let present = &self.present[..];
        on_offsets!(&self.offsets, keys => scan(keys, present, (Key::narrow(low), Key::narrow(high)), bits), ());
    }

    /// ORs the slots with this key, which is within the extremes, into `bits`: of the blocks that may have it.
    fn scan_key(&self, key: K, filter: &Filter, bits: &mut [u64]) {
        const BLOCK_WORDS: usize = BLOCK_SLOTS / 64;
        let (hashed, offset) = (Bits::of(key), key.above(self.base).widen());
        for block in (0..CHUNK_SLOTS / BLOCK_SLOTS).filter(|block| filter.may_have(*block, hashed)) {
            let (slots, words) = (block * BLOCK_SLOTS.., block * BLOCK_WORDS..);
            let present = &self.present[words.clone()][..BLOCK_WORDS];
            let bits = &mut bits[words][..BLOCK_WORDS];
            on_offsets!(
                &self.offsets,
                keys => scan_equal(&keys[slots][..BLOCK_SLOTS], present, Key::narrow(offset), bits),
                bits.iter_mut().zip(present).for_each(|(bits, present)| *bits |= present)
            );
        }
    }

    /// Searches each key among the ranges.
    fn look_up(&self, ranges: &[(K, K)], bits: &mut [u64]) {
        let (base, present) = (self.base, &self.present[..]);
        on_offsets!(
            &self.offsets,
            keys => look_up(present, |place| K::narrow(keys[place].widen()).plus(base), ranges, bits),
            look_up(present, |_| base, ranges, bits)
        );
    }
}

/// ORs the slots whose keys are in one of the ranges, which ascend, into `bits`.
fn look_up<K: Key>(present: &[u64], key: impl Fn(usize) -> K, ranges: &[(K, K)], bits: &mut [u64]) {
    for (word, present) in present.iter().enumerate() {
        let mut left = *present;
        while left != 0 {
            let place = left.trailing_zeros() as usize;
            left &= left - 1;
            let key = key(64 * word + place);
            let after = ranges.partition_point(|range| range.1 < key);
            let inside = ranges.get(after).is_some_and(|range| range.0 <= key);
            bits[word] |= u64::from(inside) << place;
        }
    }
}

/// ORs the slots whose keys are within the range into `bits`.
fn scan<N: Key>(keys: &[N], present: &[u64], (low, high): (N, N), bits: &mut [u64]) {
    for ((keys, present), bits) in keys.as_chunks::<64>().0.iter().zip(present).zip(bits) {
        if *present != 0 {
            *bits |= present & within(keys, low, high);
        }
    }
}

/// ORs the slots with this key into `bits`.
fn scan_equal<N: Key>(keys: &[N], present: &[u64], key: N, bits: &mut [u64]) {
    for ((keys, present), bits) in keys.as_chunks::<64>().0.iter().zip(present).zip(bits) {
        if *present != 0 {
            let mut bytes = [0u8; 64];
            bytes.iter_mut().zip(keys).for_each(|(byte, other)| *byte = u8::from(*other == key));
            *bits |= present & packed(&bytes);
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
    packed(&bytes)
}

/// The places of the bits that are set.
fn places(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(word, bits)| {
        let next = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
        let lefts = std::iter::successors(Some(*bits).filter(|bits| *bits != 0), next);
        lefts.map(move |left| 64 * word as u32 + left.trailing_zeros())
    })
}

/// 64 bytes of 0 or 1 as bits.
#[inline]
fn packed(bytes: &[u8; 64]) -> u64 {
    let mut bits = 0;
    for (group, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
        // Eight bytes of 0 or 1 become eight bits: the product gathers byte i's bit at place 56 + i.
        let packed = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= packed << (8 * group);
    }
    bits
}

impl<K: Key> Chunk<K> {
    /// Flags, bytes of a key, base and extremes, then what the flags tell of, and the keys.
    fn save(&self, out: &mut Writer, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.clear();
        put_words(&self.present, buffer);
        let mut flags = if buffer.is_empty() { 0 } else { HAS_PRESENT };
        let present = buffer.len();
        put_words(&self.null, buffer);
        flags |= if buffer.len() == present { 0 } else { HAS_NULL };
        self.offsets.put(buffer);
        out.put(&[flags, self.offsets.width()])?;
        for key in [self.base, self.min, self.max] {
            out.put_u128(key.widen())?;
        }
        out.put(buffer)
    }

    fn open(from: &mut BlockReader) -> Result<Chunk<K>> {
        let (flags, width) = (from.u8()?, from.u8()?);
        let (base, min, max) = (key(from)?, key(from)?, key(from)?);
        let present = take_words(flags & HAS_PRESENT != 0, from)?;
        let null = take_words(flags & HAS_NULL != 0, from)?;
        let offsets = match usize::from(width) <= size_of::<K>() {
            true => Offsets::take(width, from.take(CHUNK_SLOTS * usize::from(width))?),
            false => None,
        };
        let offsets = offsets.ok_or_else(|| from.corrupt("a width of keys", width))?;
        Ok(Chunk { base, offsets, present, null, min, max, filter: None })
    }
}

/// A key of its column's width.
pub fn key<K: Key>(from: &mut BlockReader) -> Result<K> {
    let wide = from.u128()?;
    let key = K::narrow(wide);
    if key.widen() == wide { Ok(key) } else { Err(from.corrupt("a key of its column's width", wide)) }
}

impl<K: Key> Array<K> {
    pub fn new() -> Array<K> {
        Array { chunks: Vec::new(), filtered: false }
    }

    /// From now on chunks have filters.
    pub fn make_filters(&mut self) {
        self.filtered = true;
        self.chunks.iter_mut().for_each(|chunk| Arc::make_mut(chunk).make_filter());
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u32(self.chunks.len() as u32)?;
        let mut buffer = Vec::new();
        self.chunks.iter().try_for_each(|chunk| chunk.save(out, &mut buffer))
    }

    pub fn open(from: &mut BlockReader) -> Result<Array<K>> {
        let count = from.u32()?;
        if u64::from(count) * CHUNK_SLOTS as u64 > 1 << 32 {
            return Err(from.corrupt("chunks of slots below 2^32", count));
        }
        let mut chunks = Vec::new();
        for _ in 0..count {
            chunks.push(Arc::new(Chunk::open(from)?));
        }
        Ok(Array { chunks, filtered: false })
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
            let chunk = Arc::make_mut(&mut self.chunks[chunk]);
            if self.filtered && chunk.filter.is_none() {
                chunk.make_filter();
            }
            chunk.set(place, cell);
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

    /// The range of keys that holds the first `rows` of them in this order and all that are equal to the last of those,
    /// of the slots `among` or of all.
    pub fn first(&self, among: Option<&RoaringBitmap>, descending: bool, rows: usize) -> (K, K) {
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
            self.chunks[place].for_each(place, among, bound.map(|last| range(last, descending)), |key| {
                if first.len() < rows {
                    first.push(rank(key));
                } else if first.peek().is_some_and(|last| rank(key) < *last) {
                    first.pop();
                    first.push(rank(key));
                }
            });
        }
        let last = first.peek().filter(|_| first.len() == rows).copied();
        last.map_or((K::default(), K::MAX), |last| range(last, descending))
    }

    pub fn present(&self) -> RoaringBitmap {
        self.collect(|chunk, bits| bits.copy_from_slice(&chunk.present[..]))
    }

    pub fn nulls(&self) -> RoaringBitmap {
        self.collect(|chunk, bits| bits.copy_from_slice(&chunk.null[..]))
    }

    /// What `fill` ORs into the words of each chunk, a container of 65,536 slots at a time: one bitmap where there are
    /// many, slot by slot where there are few.
    fn collect(&self, fill: impl Fn(&Chunk<K>, &mut [u64])) -> RoaringBitmap {
        let mut slots = RoaringBitmap::new();
        let mut words = [0u64; CONTAINER_WORDS];
        for (container, chunks) in self.chunks.chunks(CONTAINER_WORDS / WORDS).enumerate() {
            words.fill(0);
            chunks.iter().zip(words.as_chunks_mut::<WORDS>().0).for_each(|(chunk, part)| fill(chunk, part));
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
        slots
    }

    pub fn bytes(&self) -> u64 {
        let chunk = |chunk: &Arc<Chunk<K>>| {
            let filter = chunk.filter.as_ref().map_or(0, |filter| size_of_val(&**filter));
            chunk.offsets.bytes() + filter + 2 * WORDS * 8 + 2 * size_of::<Chunk<K>>()
        };
        self.chunks.iter().map(chunk).sum::<usize>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets one key per slot and holds the array against a plain list; answers the bytes a key takes.
    fn bytes_of<K: Key + std::fmt::Debug>(keys: &[K]) -> usize {
        let mut array = Array::new();
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!(array.set(slot as u32, Cell::Value(*key)), Cell::Absent);
            assert_eq!(array.get(slot as u32), Cell::Value(*key));
        }
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!(array.get(slot as u32), Cell::Value(*key), "slot {slot}");
        }
        let at = |part: usize| keys[part * keys.len() / 7];
        for ranges in [(1, 2), (3, 3), (6, 0), (2, 5)].map(|(a, b)| (at(a).min(at(b)), at(a).max(at(b)))) {
            let inside = |key: &K| ranges.0 <= *key && *key <= ranges.1;
            let slots = keys.iter().enumerate().filter(|(_, key)| inside(key)).map(|(slot, _)| slot as u32);
            let expected: RoaringBitmap = slots.collect();
            assert_eq!(array.select(&[ranges]), expected);
            assert_eq!(array.select(&[ranges; SCANS_MAX + 1]), expected, "looked up");
            assert_eq!(array.count(&[ranges]), expected.len());
        }
        array.chunks[0].offsets.bytes() / CHUNK_SLOTS
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
        let mut chunk = Chunk::new();
        for place in 0..128 {
            chunk.set(place, Cell::Value(u128::MAX >> place));
            assert_eq!(chunk.get(place), Cell::Value(u128::MAX >> place));
            assert!(place == 0 || chunk.base <= u128::MAX >> 2, "moved at {place}");
        }
        assert_eq!(chunk.base, 0);
    }

    #[test]
    fn keys_that_spread_step_by_step_are_moved_a_few_times() {
        for step in [1u64, 3, 1 << 20, 1 << 50] {
            let mut chunk = Chunk::new();
            let mut moves = 0;
            for place in 0..CHUNK_SLOTS {
                let before = (chunk.base, chunk.offsets.bytes());
                let out = step * place as u64;
                chunk.set(place, Cell::Value(if place % 2 == 0 { (1 << 63) + out } else { (1 << 63) - out }));
                moves += usize::from((chunk.base, chunk.offsets.bytes()) != before);
            }
            assert!(moves < 40, "{moves} moves");
        }
    }
}
