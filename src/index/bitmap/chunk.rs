//! 8,192 slots of a column: their keys, and which of them have one.
//!
//! ```text
//!   bytes = [8,192 offsets of 0, 1, 2, 4, 8 or 16 bytes][bits: has a value][bits: is NULL][filters, where there are]
//! ```
//!
//! The bytes are the same in memory and in a file (`share.rs`): one loop scans both. Base and extremes are always in memory,
//! so that a chunk that lies outside of a range, or as a whole inside, is not read for its keys.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::array::{Cell, key};
use super::blocks::{BlockReader, Writer};
use super::filter::{self, BLOCK_SLOTS, Bits};
use super::keys::Key;
use super::share::{Bytes, Share};
use crate::error::Result;

/// Slots of a chunk: what one write copies while a reader holds the array, 64 KB at most for 8-byte keys.
pub const CHUNK_SLOTS: usize = 8192;
/// Words of bits.
pub const WORDS: usize = CHUNK_SLOTS / 64;
const BITS_BYTES: usize = CHUNK_SLOTS / 8;
/// Ranges up to which each is a scan of its own; with more, each key is looked up among them.
pub const SCANS_MAX: usize = 8;

#[derive(Clone)]
pub struct Chunk<K> {
    pub base: K,
    /// Bytes of an offset: how far each key is above the base. 0 while every key is the base; offsets of slots without a
    /// key are anything.
    width: u8,
    is_filtered: bool,
    /// Bounds of the keys that were ever set; they only widen. The least is above the greatest before the first.
    pub min: K,
    pub max: K,
    bytes: Bytes,
}

/// What the bytes are. What was read of them counts once the chunk was checked.
#[derive(Clone, Copy)]
struct Parts<'a> {
    offsets: &'a [u8],
    /// Little-endian words.
    present: &'a [[u8; 8]],
    null: &'a [[u8; 8]],
    /// Of the keys that were ever set.
    filters: Option<&'a [u8]>,
}

/// Runs the same expression on offsets of whichever width there is.
macro_rules! on_width {
    ($width:expr, $offset:ident => $run:expr, $same:expr) => {
        match $width {
            0 => $same,
            1 => {
                type $offset = u8;
                $run
            }
            2 => {
                type $offset = u16;
                $run
            }
            4 => {
                type $offset = u32;
                $run
            }
            8 => {
                type $offset = u64;
                $run
            }
            _ => {
                type $offset = u128;
                $run
            }
        }
    };
}

/// The greatest offset of so many bytes.
fn offset_max(width: u8) -> u128 {
    on_width!(width, N => N::MAX.widen(), 0)
}

fn offset_at(width: u8, offsets: &[u8], place: usize) -> u128 {
    on_width!(width, N => N::of(&N::all(offsets)[place]).widen(), 0)
}

fn put_offset(width: u8, offsets: &mut [u8], place: usize, offset: u128) {
    on_width!(width, N => N::all_mut(offsets)[place] = N::narrow(offset).bytes(), ());
}

/// The bits' byte and the bit in it.
fn bit(place: usize) -> (usize, u8) {
    (place / 8, 1 << (place % 8))
}

impl<K: Key> Chunk<K> {
    pub fn new(share: &Arc<Share>) -> Chunk<K> {
        let bytes = Bytes::new(vec![0; 2 * BITS_BYTES].into(), share);
        Chunk { base: K::default(), width: 0, is_filtered: false, min: K::MAX, max: K::default(), bytes }
    }

    fn offsets_bytes(&self) -> usize {
        CHUNK_SLOTS * usize::from(self.width)
    }

    #[inline]
    fn parts(&self) -> Parts<'_> {
        let (offsets, rest) = self.bytes.read().split_at(self.offsets_bytes());
        let (present, rest) = rest.split_at(BITS_BYTES);
        let (null, filters) = rest.split_at(BITS_BYTES);
        Parts {
            offsets,
            present: present.as_chunks().0,
            null: null.as_chunks().0,
            filters: self.is_filtered.then_some(filters),
        }
    }

    /// Offsets, the bits of slots with values and of NULLs, filters. Of a chunk that was copied into memory.
    fn parts_mut(&mut self) -> [&mut [u8]; 4] {
        let offsets = self.offsets_bytes();
        let bytes = self.bytes.write().expect("a chunk is in memory before it is changed");
        let (offsets, rest) = bytes.split_at_mut(offsets);
        let (present, rest) = rest.split_at_mut(BITS_BYTES);
        let (null, filters) = rest.split_at_mut(BITS_BYTES);
        [offsets, present, null, filters]
    }

    pub fn is_held(&self) -> bool {
        self.bytes.is_held()
    }

    /// Whether it is in a file that cannot be read any more ([`Bytes::is_lost`]).
    pub fn is_lost(&self) -> bool {
        self.bytes.is_lost()
    }

    pub fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// Bytes of a key.
    #[cfg(test)]
    pub fn width(&self) -> usize {
        usize::from(self.width)
    }

    /// The same in a file; `None` when it is in one, or there can be none.
    pub fn spilled(&self, share: &Arc<Share>) -> Option<Chunk<K>> {
        Some(Chunk { bytes: self.bytes.spilled(share)?, ..*self })
    }

    /// Has the chunk in memory, to be changed; an error ([`Bytes::verify`]) when it cannot be.
    pub fn hold(&mut self, share: &Arc<Share>) -> Result<()> {
        if !self.is_held() {
            self.bytes = self.bytes.held(share)?;
        }
        Ok(())
    }

    /// The same with filters, in memory; an error ([`Bytes::verify`]) when it cannot be.
    pub fn filtered(&self, share: &Arc<Share>) -> Result<Chunk<K>> {
        let parts = self.parts();
        let keys = self.bytes.read();
        let mut bytes = vec![0; keys.len() + filter::BYTES];
        let (copy, filters) = bytes.split_at_mut(keys.len());
        copy.copy_from_slice(keys);
        for (word, present) in parts.present.iter().enumerate() {
            let present = u64::from_le_bytes(*present);
            let places = (0..64).filter(|bit| present >> bit & 1 != 0).map(|bit| 64 * word + bit);
            places.for_each(|place| filter::add(filters, place, self.key(parts.offsets, place)));
        }
        self.bytes.verify(&bytes[..keys.len()])?;
        Ok(Chunk { bytes: Bytes::new(bytes.into(), share), is_filtered: true, ..*self })
    }

    pub fn get(&self, place: usize) -> Result<Cell<K>> {
        let (offsets, bits) = self.bytes.read().split_at(self.offsets_bytes());
        let (byte, bit) = bit(place);
        let cell = if bits[byte] & bit != 0 {
            Cell::Value(self.key(offsets, place))
        } else if bits[BITS_BYTES + byte] & bit != 0 {
            Cell::Null
        } else {
            Cell::Absent
        };
        self.bytes.check().map(|()| cell)
    }

    /// Of a slot that has one.
    fn key(&self, offsets: &[u8], place: usize) -> K {
        K::narrow(offset_at(self.width, offsets, place)).plus(self.base)
    }

    /// Of a chunk in memory.
    pub fn set(&mut self, place: usize, cell: Cell<K>, share: &Arc<Share>) {
        if let Cell::Value(key) = cell {
            self.make_room(key, share);
        }
        let (width, base, is_filtered) = (self.width, self.base, self.is_filtered);
        let [offsets, present, null, filters] = self.parts_mut();
        let (byte, bit) = bit(place);
        present[byte] &= !bit;
        null[byte] &= !bit;
        match cell {
            Cell::Absent => {}
            Cell::Null => null[byte] |= bit,
            Cell::Value(key) => {
                present[byte] |= bit;
                put_offset(width, offsets, place, key.above(base).widen());
                if is_filtered {
                    filter::add(filters, place, key);
                }
            }
        }
    }

    /// Moves the base and widens the offsets until `key` has one.
    fn make_room(&mut self, key: K, share: &Arc<Share>) {
        if self.min > self.max {
            (self.base, self.min, self.max) = (key, key, key);
        }
        (self.min, self.max) = (self.min.min(key), self.max.max(key));
        if self.base <= self.min && self.max.above(self.base).widen() <= offset_max(self.width) {
            return;
        }
        let spread = self.max.above(self.min).widen();
        // With an eighth to spare on both sides together a chunk whose keys spread step by step is moved only a few
        // times for each width.
        let wanted = spread.saturating_add(spread / 8);
        let (width, max) = [1, 2, 4, 8]
            .map(|width| (width, offset_max(width)))
            .into_iter()
            .find(|(_, max)| wanted <= *max && *max <= K::MAX.widen())
            .unwrap_or((size_of::<K>() as u8, K::MAX.widen()));
        // As wide as keys are, nothing has to be moved again.
        let room = if max == K::MAX.widen() { self.min.widen() } else { (max - spread) / 2 };
        let base = K::narrow(self.min.widen().saturating_sub(room));
        self.move_to(base, width, share);
    }

    /// The same keys above another base. Modulo the new width, which is never narrower, so that they come out right also when
    /// the base moves up.
    fn move_to(&mut self, base: K, width: u8, share: &Arc<Share>) {
        let (parts, lower) = (self.parts(), self.base.above(base).widen());
        let rest = &self.bytes.read()[self.offsets_bytes()..];
        let mut bytes = vec![0; CHUNK_SLOTS * usize::from(width) + rest.len()];
        let (offsets, moved_rest) = bytes.split_at_mut(CHUNK_SLOTS * usize::from(width));
        moved_rest.copy_from_slice(rest);
        on_width!(
            width,
            New => {
                let new = New::all_mut(offsets);
                let shift = |offset: u128| New::narrow(offset).plus(New::narrow(lower)).bytes();
                on_width!(
                    self.width,
                    Old => {
                        let old = Old::all(parts.offsets);
                        new.iter_mut().zip(old).for_each(|(new, old)| *new = shift(Old::of(old).widen()));
                    },
                    new.fill(shift(0))
                );
            },
            ()
        );
        (self.base, self.width, self.bytes) = (base, width, Bytes::new(bytes.into(), share));
    }

    /// The keys of the slots `among` of this chunk, which is the `number`-th, or of all its slots; where there is a range,
    /// those in it.
    pub fn for_each(
        &self,
        number: usize,
        among: Option<&RoaringBitmap>,
        range: Option<(K, K)>,
        mut take: impl FnMut(u32, K),
    ) -> Result<()> {
        let (parts, start) = (self.parts(), (number * CHUNK_SLOTS) as u32);
        if let (Some(among), None) = (among, range) {
            for slot in among.range(start..=start + (CHUNK_SLOTS as u32 - 1)) {
                let place = (slot - start) as usize;
                if u64::from_le_bytes(parts.present[place / 64]) >> (place % 64) & 1 != 0 {
                    take(slot, self.key(parts.offsets, place));
                }
            }
            return self.bytes.check();
        }
        let mut words = [0u64; WORDS];
        match range {
            Some((low, high)) => self.scan_range(&parts, low, high, &mut words),
            None => or_into(parts.present, &mut words),
        }
        for place in places(&words) {
            if among.is_none_or(|among| among.contains(start + place)) {
                take(start + place, self.key(parts.offsets, place as usize));
            }
        }
        self.bytes.check()
    }

    /// ORs the slots with keys in one of the ranges, which ascend, into `bits`.
    pub fn scan(&self, ranges: &[(K, K)], bits: &mut [u64]) -> Result<()> {
        let is_inside = |&(low, high): &(K, K)| low <= self.max && self.min <= high;
        if !ranges.iter().any(is_inside) {
            return Ok(());
        }
        let parts = self.parts();
        let passing: Vec<(K, K)>;
        let mut ranges = ranges;
        if ranges.len() > SCANS_MAX {
            let may_have = |&(low, high): &(K, K)| match parts.filters {
                Some(filters) if low == high => {
                    let hashed = Bits::of(low);
                    (0..CHUNK_SLOTS / BLOCK_SLOTS).any(|block| filter::may_have(filters, block, hashed))
                }
                _ => true,
            };
            passing = ranges.iter().copied().filter(|range| is_inside(range) && may_have(range)).collect();
            ranges = &passing;
        }
        if ranges.len() > SCANS_MAX {
            self.look_up(&parts, ranges, bits);
        } else {
            ranges.iter().for_each(|&(low, high)| self.scan_range(&parts, low, high, bits));
        }
        self.bytes.check()
    }

    fn scan_range(&self, parts: &Parts, low: K, high: K, bits: &mut [u64]) {
        if self.max < low || high < self.min {
            return;
        }
        if low <= self.min && self.max <= high {
            return or_into(parts.present, bits);
        }
        if low == high
            && let Some(filters) = parts.filters
        {
            return self.scan_key(parts, low, filters, bits);
        }
        // Within the extremes, so that they fit in offsets as keys do.
        let low = low.max(self.min).above(self.base).widen();
        let high = high.min(self.max).above(self.base).widen();
        on_width!(
            self.width,
            N => scan::<N>(N::all(parts.offsets), parts.present, (N::narrow(low), N::narrow(high)), bits),
            ()
        );
    }

    /// ORs the slots with this key, which is within the extremes, into `bits`: of the blocks that may have it.
    fn scan_key(&self, parts: &Parts, key: K, filters: &[u8], bits: &mut [u64]) {
        const BLOCK_WORDS: usize = BLOCK_SLOTS / 64;
        let (hashed, offset) = (Bits::of(key), key.above(self.base).widen());
        for block in (0..CHUNK_SLOTS / BLOCK_SLOTS).filter(|block| filter::may_have(filters, *block, hashed))
        {
            let (slots, words) = (block * BLOCK_SLOTS.., block * BLOCK_WORDS..);
            let present = &parts.present[words.clone()][..BLOCK_WORDS];
            let bits = &mut bits[words][..BLOCK_WORDS];
            on_width!(
                self.width,
                N => {
                    let offsets = &N::all(parts.offsets)[slots][..BLOCK_SLOTS];
                    scan_equal::<N>(offsets, present, N::narrow(offset), bits);
                },
                or_into(present, bits)
            );
        }
    }

    /// Searches each key among the ranges.
    fn look_up(&self, parts: &Parts, ranges: &[(K, K)], bits: &mut [u64]) {
        let (base, present) = (self.base, parts.present);
        match self.width {
            0 => look_up(present, |_| base, ranges, bits),
            1 => self.look_up_narrow::<u8>(parts, ranges, bits),
            2 => self.look_up_narrow::<u16>(parts, ranges, bits),
            width => on_width!(
                width,
                N => {
                    let offsets = N::all(parts.offsets);
                    let key = |place: usize| K::narrow(N::of(&offsets[place]).widen()).plus(base);
                    look_up(present, key, ranges, bits);
                },
                ()
            ),
        }
    }

    /// The same where there are at most 65,536 offsets: each has a bit that says whether it is in a range.
    fn look_up_narrow<N: Key>(&self, parts: &Parts, ranges: &[(K, K)], bits: &mut [u64]) {
        let mut wanted = [0u64; 1 << 10];
        for (low, high) in ranges.iter().filter(|(low, high)| *low <= self.max && self.min <= *high) {
            let low = low.max(&self.min).above(self.base).widen() as usize;
            let high = high.min(&self.max).above(self.base).widen() as usize;
            (low..=high).for_each(|offset| wanted[offset / 64] |= 1 << (offset % 64));
        }
        let offsets = N::all(parts.offsets).as_chunks::<64>().0;
        for ((offsets, present), bits) in offsets.iter().zip(parts.present).zip(bits) {
            let mut inside = [0u8; 64];
            for (inside, offset) in inside.iter_mut().zip(offsets) {
                let offset = N::of(offset).widen() as usize;
                *inside = (wanted[offset / 64] >> (offset % 64)) as u8 & 1;
            }
            *bits |= u64::from_le_bytes(*present) & packed(&inside);
        }
    }

    /// ORs the slots that have a key into `bits`.
    pub fn add_present(&self, bits: &mut [u64]) -> Result<()> {
        or_into(self.parts().present, bits);
        self.bytes.check()
    }

    /// ORs the slots that are NULL into `bits`.
    pub fn add_null(&self, bits: &mut [u64]) -> Result<()> {
        or_into(self.parts().null, bits);
        self.bytes.check()
    }

    /// Of memory.
    pub fn bytes(&self) -> usize {
        let bytes = if self.is_held() { self.bytes.read().len() } else { 0 };
        bytes + size_of::<Chunk<K>>() + 2 * size_of::<usize>()
    }
}

fn or_into(words: &[[u8; 8]], bits: &mut [u64]) {
    bits.iter_mut().zip(words).for_each(|(bits, word)| *bits |= u64::from_le_bytes(*word));
}

/// ORs the slots whose keys are in one of the ranges, which ascend, into `bits`.
fn look_up<K: Key>(present: &[[u8; 8]], key: impl Fn(usize) -> K, ranges: &[(K, K)], bits: &mut [u64]) {
    for (word, present) in present.iter().enumerate() {
        let mut left = u64::from_le_bytes(*present);
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
fn scan<N: Key>(keys: &[N::Bytes], present: &[[u8; 8]], (low, high): (N, N), bits: &mut [u64]) {
    for ((keys, present), bits) in keys.as_chunks::<64>().0.iter().zip(present).zip(bits) {
        let present = u64::from_le_bytes(*present);
        if present != 0 {
            *bits |= present & within::<N>(keys, low, high);
        }
    }
}

/// ORs the slots with this key into `bits`.
fn scan_equal<N: Key>(keys: &[N::Bytes], present: &[[u8; 8]], key: N, bits: &mut [u64]) {
    for ((keys, present), bits) in keys.as_chunks::<64>().0.iter().zip(present).zip(bits) {
        let present = u64::from_le_bytes(*present);
        if present != 0 {
            let mut bytes = [0u8; 64];
            bytes.iter_mut().zip(keys).for_each(|(byte, other)| *byte = u8::from(N::of(other) == key));
            *bits |= present & packed(&bytes);
        }
    }
}

/// Bit i is set when `low <= keys[i] <= high`.
#[inline]
fn within<N: Key>(keys: &[N::Bytes; 64], low: N, high: N) -> u64 {
    let width = high.above(low);
    // Bytes first: a comparison loop without shifts is what the compiler turns into vector instructions.
    let mut bytes = [0u8; 64];
    for (byte, key) in bytes.iter_mut().zip(keys) {
        *byte = u8::from(N::of(key).above(low) <= width);
    }
    packed(&bytes)
}

/// The places of the bits that are set.
pub fn places(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
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

/// What a chunk in a saved file has behind its extremes.
const HAS_PRESENT: u8 = 1;
const HAS_NULL: u8 = 2;
/// No bytes, but filters are to be made of the keys: the column has no bitmaps. Older programs do not look at it.
const HAS_FILTERS: u8 = 4;

impl<K: Key> Chunk<K> {
    /// Flags, bytes of a key, base and extremes, then what the flags tell of, and the offsets.
    pub fn save(&self, out: &mut Writer) -> Result<()> {
        let bytes = self.bytes.read();
        let (offsets, bits) = bytes.split_at(self.offsets_bytes());
        let (present, null) = bits[..2 * BITS_BYTES].split_at(BITS_BYTES);
        let has = |bits: &[u8], flag| if bits.iter().any(|byte| *byte != 0) { flag } else { 0 };
        let filters = if self.is_filtered { HAS_FILTERS } else { 0 };
        let flags = has(present, HAS_PRESENT) | has(null, HAS_NULL) | filters;
        out.put(&[flags, self.width])?;
        for key in [self.base, self.min, self.max] {
            out.put_u128(key.widen())?;
        }
        for (bits, flag) in [(present, HAS_PRESENT), (null, HAS_NULL)] {
            if flags & flag != 0 {
                out.put(bits)?;
            }
        }
        out.put(offsets)?;
        self.bytes.verify(bytes)
    }

    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Chunk<K>> {
        let (flags, width) = (from.u8()?, from.u8()?);
        let (base, min, max) = (key(from)?, key(from)?, key(from)?);
        let is_width = matches!(width, 0 | 1 | 2 | 4 | 8 | 16) && usize::from(width) <= size_of::<K>();
        if !is_width {
            return Err(from.corrupt("a width of keys", width));
        }
        let mut bytes = vec![0; CHUNK_SLOTS * usize::from(width) + 2 * BITS_BYTES];
        let (offsets, bits) = bytes.split_at_mut(CHUNK_SLOTS * usize::from(width));
        let (present, null) = bits.split_at_mut(BITS_BYTES);
        for (bits, flag) in [(present, HAS_PRESENT), (null, HAS_NULL)] {
            if flags & flag != 0 {
                bits.copy_from_slice(from.take(BITS_BYTES)?);
            }
        }
        offsets.copy_from_slice(from.take(offsets.len())?);
        let bytes = Bytes::new(bytes.into(), share);
        let chunk = Chunk { base, width, is_filtered: false, min, max, bytes };
        if flags & HAS_FILTERS != 0 { chunk.filtered(share) } else { Ok(chunk) }
    }
}
