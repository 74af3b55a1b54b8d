//! A column of fixed width: the array of its keys, and bitmaps by value while there are few values.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::array::{Array, Cell};
use super::blocks::{BlockReader, Writer};
use super::keys::Key;
use super::postings::Postings;
use super::predicate::Ranges;
use super::share::Share;
use crate::error::Result;

/// Values a range may cover to be answered from bitmaps: uniting a bitmap costs about 0.2 us, scanning
/// 50,000 keys about 10 us.
const UNITED_MAX: usize = 32;

#[derive(Clone)]
pub struct Fixed<K> {
    array: Array<K>,
    /// `None` once there were too many distinct values, or too much memory was taken.
    postings: Option<Postings<K>>,
}

impl<K: Key> Fixed<K> {
    pub fn new(share: &Arc<Share>) -> Fixed<K> {
        Fixed { array: Array::new(share), postings: Some(Postings::new(share)) }
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        self.array.save(out)?;
        out.put_u8(u8::from(self.postings.is_some()))?;
        self.postings.iter().try_for_each(|postings| postings.save(out))
    }

    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Fixed<K>> {
        let mut array = Array::open(from, share)?;
        let postings = match from.u8()? {
            0 => None,
            1 => Postings::open(from, share)?,
            other => return Err(from.corrupt("whether there are bitmaps", other)),
        };
        if postings.is_none() {
            array.begin_filters();
            array.make_filters()?;
        }
        Ok(Fixed { array, postings })
    }

    /// Whether the slot has this key, or NULL, in the array and in the bitmaps.
    pub fn holds(&self, slot: u32, key: Option<K>) -> Result<bool> {
        let cell = key.map_or(Cell::Null, Cell::Value);
        let posted = |key| self.postings.as_ref().is_none_or(|postings| postings.contains(key, slot));
        Ok(self.array.get(slot)? == cell && key.is_none_or(posted))
    }

    pub fn get(&self, slot: u32) -> Result<Cell<K>> {
        self.array.get(slot)
    }

    /// The keys of the slots `among`, or of all that have one, in order of slots.
    pub fn for_each(&self, among: Option<&RoaringBitmap>, take: impl FnMut(u32, K)) -> Result<()> {
        self.array.for_each(among, take)
    }

    pub fn set(&mut self, slot: u32, key: K) -> Result<()> {
        let before = self.array.set(slot, Cell::Value(key))?;
        if before == Cell::Value(key) {
            return Ok(());
        }
        self.forget(before, slot);
        if let Some(postings) = &mut self.postings
            && !postings.insert(key, slot)
        {
            self.drop_bitmaps();
        }
        Ok(())
    }

    pub fn set_null(&mut self, slot: u32) -> Result<()> {
        let before = self.array.set(slot, Cell::Null)?;
        self.forget(before, slot);
        Ok(())
    }

    pub fn remove(&mut self, slot: u32) -> Result<()> {
        let before = self.array.set(slot, Cell::Absent)?;
        self.forget(before, slot);
        Ok(())
    }

    fn forget(&mut self, before: Cell<K>, slot: u32) {
        if let (Cell::Value(key), Some(postings)) = (before, &mut self.postings) {
            postings.remove(key, slot);
        }
    }

    pub fn select(&self, ranges: &Ranges<K>) -> Result<RoaringBitmap> {
        match self.few_keys(ranges) {
            None => self.array.select(&ranges.0),
            Some((postings, keys)) => {
                let mut slots = RoaringBitmap::new();
                keys.into_iter().for_each(|key| postings.add_to(key, &mut slots));
                Ok(slots)
            }
        }
    }

    /// The first `rows` slots of `among`, or of all, by their keys, and those whose keys are equal to the last one's.
    pub fn first(
        &self,
        among: Option<&RoaringBitmap>,
        descending: bool,
        rows: usize,
    ) -> Result<RoaringBitmap> {
        let range = self.array.first(among, descending, rows)?;
        Ok(within(self.array.select(&[range])?, among))
    }

    pub fn count(&self, ranges: &Ranges<K>) -> Result<u64> {
        match self.few_keys(ranges) {
            None => self.array.count(&ranges.0),
            Some((postings, keys)) => Ok(keys.into_iter().map(|key| postings.count(key)).sum()),
        }
    }

    pub fn share(&self) -> &Arc<Share> {
        self.array.share()
    }

    /// Counts the bitmaps in the share of memory.
    pub fn charge(&self) {
        self.postings.iter().for_each(Postings::charge);
    }

    /// Moves a chunk to a file ([`Array::spill_next`]).
    pub fn spill_next(&mut self) -> u64 {
        self.array.spill_next()
    }

    /// [`Array::chunks_in_files`].
    pub fn chunks_in_files(&self, slots: &RoaringBitmap) -> usize {
        self.array.chunks_in_files(slots)
    }

    /// Whether there is something in memory that need not be.
    pub fn is_movable(&self) -> bool {
        self.array.share().has_files() && (self.bitmap_bytes() > 0 || self.array.has_held())
    }

    /// Does without bitmaps, and gets filters in their place ([`Fixed::make_next_filters`]).
    pub fn drop_bitmaps(&mut self) {
        if let Some(postings) = self.postings.take() {
            postings.discharge();
            self.array.begin_filters();
        }
    }

    /// Makes filters of so many chunks ([`Array::make_next_filters`]).
    pub fn make_next_filters(&mut self, count: usize) -> Result<()> {
        self.array.make_next_filters(count)
    }

    pub fn has_lost(&self) -> bool {
        self.array.has_lost()
    }

    pub fn lacks_filters(&self) -> bool {
        self.array.lacks_filters()
    }

    /// Bytes of the bitmaps.
    pub fn bitmap_bytes(&self) -> u64 {
        self.postings.as_ref().map_or(0, Postings::bytes)
    }

    /// Gives up bitmaps and moves chunks to files until no more is in memory than should be, as far as this column can.
    pub fn settle(&mut self) -> Result<()> {
        self.charge();
        if self.array.share().excess().bitmaps > 0 {
            self.drop_bitmaps();
        }
        self.array.make_filters()?;
        while self.array.share().is_over() && self.spill_next() > 0 {}
        Ok(())
    }

    /// The keys in the ranges, when there are bitmaps and uniting those is cheaper than a scan.
    fn few_keys(&self, ranges: &Ranges<K>) -> Option<(&Postings<K>, Vec<K>)> {
        let postings = self.postings.as_ref()?;
        if ranges.0.iter().all(|(low, high)| low == high) {
            return Some((postings, ranges.0.iter().map(|&(low, _)| low).collect()));
        }
        if postings.distinct() > UNITED_MAX as u64 * 8 {
            return None;
        }
        let within = ranges.0.iter().flat_map(|&(low, high)| postings.keys_within(low, high));
        let keys: Vec<K> = within.take(UNITED_MAX + 1).collect();
        (keys.len() <= UNITED_MAX).then_some((postings, keys))
    }

    pub fn present(&self) -> Result<RoaringBitmap> {
        self.array.present()
    }

    pub fn nulls(&self) -> Result<RoaringBitmap> {
        self.array.nulls()
    }

    pub fn distinct(&self) -> Option<u64> {
        self.postings.as_ref().map(|postings| postings.distinct())
    }

    pub fn bytes(&self) -> u64 {
        self.array.bytes() + self.bitmap_bytes()
    }
}

/// The slots that are among others, where there are others.
pub fn within(slots: RoaringBitmap, among: Option<&RoaringBitmap>) -> RoaringBitmap {
    match among {
        Some(among) => slots & among,
        None => slots,
    }
}
