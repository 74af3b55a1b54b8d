//! Value -> slots, while there are few distinct values.
//!
//! Values are spread over 64 maps, and each value's slots over bitmaps of 65,536 slots, each shared: a change
//! copies one small map and at most 8 KB of bitmap, whatever the table's size.
//!
//! They are not in files: a bitmap for every value and 65,536 slots is too small for a place of its own. Where they are too
//! much for the share of memory the column does without, and a scan of the array says what they said.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::array;
use super::blocks::{BlockReader, Writer};
use super::keys::Key;
use super::share::{Charge, Share};
use crate::error::Result;

/// Distinct values up to which bitmaps are kept. At a few slots each a bitmap is larger than the values it
/// stands for, and a scan of the array is fast enough.
pub const DISTINCT_MAX: u64 = 4096;
const SHARDS: usize = 1 << 6;

#[derive(Clone)]
pub struct Postings<K> {
    shards: Vec<Arc<BTreeMap<K, Posting>>>,
    distinct: u64,
    /// Of memory, about.
    bytes: u64,
    /// One for all clones: that of the newest counts, of which the others share the most.
    charge: Arc<Charge>,
}

/// Of a bitmap with so many slots: a word of a roaring array takes two bytes, in a vector that grows to the next power of
/// two, and what lies around it some 130 (a vector of one container, counts of references, an entry among the value's).
fn part_bytes(slots: u64) -> u64 {
    const AROUND: u64 = 130;
    match slots {
        0 => 0,
        1..4097 => AROUND + 2 * slots.next_power_of_two().max(4),
        _ => AROUND + PART_BYTES as u64,
    }
}
/// Of a value: its entry in a map, and its list of bitmaps.
const VALUE_BYTES: u64 = 112;

/// The slots of one value, by their high 16 bits, ascending.
#[derive(Clone, Default)]
struct Posting {
    parts: Vec<(u16, Arc<RoaringBitmap>)>,
    count: u64,
}

fn shard<K: Key>(key: K) -> usize {
    // Fibonacci hashing: the top six bits of the product depend on every bit of the key.
    let key = key.widen();
    ((key as u64 ^ (key >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize
}

impl<K: Key> Postings<K> {
    pub fn new(share: &Arc<Share>) -> Postings<K> {
        let charge = Arc::new(Charge::new(share));
        Postings { shards: vec![Arc::default(); SHARDS], distinct: 0, bytes: 0, charge }
    }

    /// False when the key would be one distinct value too many.
    pub fn insert(&mut self, key: K, slot: u32) -> bool {
        let number = shard(key);
        let known = self.shards[number].contains_key(&key);
        if !known && self.distinct == DISTINCT_MAX {
            return false;
        }
        self.distinct += u64::from(!known);
        self.bytes += if known { 0 } else { VALUE_BYTES };
        let grown = Arc::make_mut(&mut self.shards[number]).entry(key).or_default().insert(slot);
        self.bytes += grown;
        true
    }

    pub fn remove(&mut self, key: K, slot: u32) {
        let shard = Arc::make_mut(&mut self.shards[shard(key)]);
        let Some(posting) = shard.get_mut(&key) else { return };
        self.bytes -= posting.remove(slot);
        if posting.count == 0 {
            shard.remove(&key);
            self.distinct -= 1;
            self.bytes -= VALUE_BYTES;
        }
    }

    /// Adds the slots of `key` to `slots`.
    pub fn add_to(&self, key: K, slots: &mut RoaringBitmap) {
        if let Some(posting) = self.shards[shard(key)].get(&key) {
            posting.parts.iter().for_each(|(_, part)| *slots |= &**part);
        }
    }

    pub fn contains(&self, key: K, slot: u32) -> bool {
        let posting = self.shards[shard(key)].get(&key);
        let parts = posting.iter().flat_map(|posting| &posting.parts);
        parts.into_iter().any(|(high, part)| u32::from(*high) == slot >> 16 && part.contains(slot))
    }

    pub fn count(&self, key: K) -> u64 {
        self.shards[shard(key)].get(&key).map_or(0, |posting| posting.count)
    }

    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    /// All values in a range, in no order.
    pub fn keys_within(&self, low: K, high: K) -> impl Iterator<Item = K> + '_ {
        self.shards.iter().flat_map(move |shard| shard.range(low..=high).map(|(&key, _)| key))
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u32(self.distinct as u32)?;
        for (key, posting) in self.shards.iter().flat_map(|shard| shard.iter()) {
            out.put_u128(key.widen())?;
            posting.save(out)?;
        }
        Ok(())
    }

    /// None where they would be too much in memory.
    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Option<Postings<K>>> {
        let distinct = u64::from(from.u32()?);
        if distinct > DISTINCT_MAX {
            return Err(from.corrupt(format_args!("at most {DISTINCT_MAX} values"), distinct));
        }
        let mut postings = Postings::new(share);
        let mut shards: Vec<BTreeMap<K, Posting>> = vec![BTreeMap::new(); SHARDS];
        let mut is_too_much = false;
        for _ in 0..distinct {
            let (key, posting) = (array::key(from)?, Posting::open(from)?);
            if is_too_much {
                continue;
            }
            postings.bytes += VALUE_BYTES + posting.bytes();
            if shards[shard(key)].insert(key, posting).is_some() {
                return Err(from.corrupt("values that differ", "one of them twice"));
            }
            postings.charge();
            is_too_much = share.excess().bitmaps > 0;
            if is_too_much {
                shards.iter_mut().for_each(BTreeMap::clear);
            }
        }
        postings.shards = shards.into_iter().map(Arc::new).collect();
        postings.distinct = distinct;
        Ok((!is_too_much).then_some(postings))
    }

    /// Counts what they take at the moment in the share.
    pub fn charge(&self) {
        self.charge.set(self.bytes);
    }

    /// They are done without: those that readers of before still have do not count, or nobody would see what this freed.
    pub fn discharge(&self) {
        self.charge.set(0);
    }

    /// Of memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Slots of a part up to which each is written by itself; more are written as bits.
const LISTED_MAX: usize = 4096;
const PART_BYTES: usize = 1 << 13;

impl Posting {
    fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u32(self.parts.len() as u32)?;
        let mut buffer = Vec::with_capacity(PART_BYTES);
        for (high, part) in &self.parts {
            let count = part.len() as usize;
            out.put_u16(*high)?;
            out.put_u16((count - 1) as u16)?;
            buffer.clear();
            if count > LISTED_MAX {
                buffer.resize(PART_BYTES, 0);
                part.iter().for_each(|slot| buffer[(slot & 0xFFFF) as usize / 8] |= 1 << (slot % 8));
            } else {
                part.iter().for_each(|slot| buffer.extend_from_slice(&(slot as u16).to_le_bytes()));
            }
            out.put(&buffer)?;
        }
        Ok(())
    }

    fn open(from: &mut BlockReader) -> Result<Posting> {
        let mut posting = Posting::default();
        for _ in 0..from.u32()? {
            let (high, count) = (from.u16()?, usize::from(from.u16()?) + 1);
            let first = u32::from(high) << 16;
            let part = if count > LISTED_MAX {
                Some(RoaringBitmap::from_lsb0_bytes(first, from.take(PART_BYTES)?))
            } else {
                let slots = from.take(2 * count)?.as_chunks::<2>().0.iter();
                let slots = slots.map(|low| first | u32::from(u16::from_le_bytes(*low)));
                // A clone is no larger than what is in it.
                RoaringBitmap::from_sorted_iter(slots).as_ref().ok().cloned()
            };
            let part = part.filter(|part| part.len() == count as u64);
            let part =
                part.ok_or_else(|| from.corrupt(format_args!("{count} slots, ascending"), "others"))?;
            if posting.parts.last().is_some_and(|(last, _)| *last >= high) {
                return Err(from.corrupt("parts that ascend", high));
            }
            posting.count += count as u64;
            posting.parts.push((high, Arc::new(part)));
        }
        Ok(posting)
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part_bytes(part.len())).sum()
    }

    /// Answers by how many bytes it grew.
    fn insert(&mut self, slot: u32) -> u64 {
        let high = (slot >> 16) as u16;
        match self.parts.binary_search_by_key(&high, |part| part.0) {
            Ok(place) => {
                let part = Arc::make_mut(&mut self.parts[place].1);
                let before = part.len();
                self.count += u64::from(part.insert(slot));
                part_bytes(part.len()) - part_bytes(before)
            }
            Err(place) => {
                // A bitmap makes room for four containers when it gets its first, and a part never has two: that of
                // a clone is no larger than what is in it.
                self.parts.insert(place, (high, Arc::new(RoaringBitmap::from([slot]).clone())));
                self.count += 1;
                part_bytes(1)
            }
        }
    }

    /// Answers by how many bytes it shrank.
    fn remove(&mut self, slot: u32) -> u64 {
        let high = (slot >> 16) as u16;
        let Ok(place) = self.parts.binary_search_by_key(&high, |part| part.0) else { return 0 };
        let part = Arc::make_mut(&mut self.parts[place].1);
        let before = part.len();
        self.count -= u64::from(part.remove(slot));
        let after = part.len();
        if after == 0 {
            self.parts.remove(place);
        }
        part_bytes(before) - part_bytes(after)
    }
}
