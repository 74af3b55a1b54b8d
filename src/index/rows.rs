//! The rows a search may return, without copying a bitmap.
//!
//! A statement sees the newest state except for the few slots that changed since its snapshot:
//!
//! ```text
//!   base     what the newest bitmaps say (live, or live and matching the filter)
//!   dirty    slots whose newest state is not this snapshot's
//!   visible  those of `dirty` which this snapshot does see and the filter lets through
//!
//!   allowed = (base - dirty) + visible
//! ```

use std::sync::LazyLock;

use roaring::RoaringBitmap;

static NONE: LazyLock<RoaringBitmap> = LazyLock::new(RoaringBitmap::new);

/// An exact set of slots in three parts.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    base: &'a RoaringBitmap,
    dirty: &'a RoaringBitmap,
    visible: &'a RoaringBitmap,
}

impl<'a> Rows<'a> {
    /// Exactly these.
    pub fn exactly(base: &'a RoaringBitmap) -> Rows<'a> {
        Rows { base, dirty: &NONE, visible: &NONE }
    }

    /// `visible` is a subset of `dirty`.
    pub fn new(base: &'a RoaringBitmap, dirty: &'a RoaringBitmap, visible: &'a RoaringBitmap) -> Rows<'a> {
        debug_assert!(visible.is_subset(dirty), "{} visible, {} dirty", visible.len(), dirty.len());
        Rows { base, dirty, visible }
    }

    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        if !self.dirty.is_empty() && self.dirty.contains(slot) {
            return self.visible.contains(slot);
        }
        self.base.contains(slot)
    }

    /// How many, exactly.
    pub fn len(&self) -> u64 {
        if self.dirty.is_empty() {
            return self.base.len();
        }
        self.base.len() - self.base.intersection_len(self.dirty) + self.visible.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changed slots that are in the set.
    pub fn visible(&self) -> &'a RoaringBitmap {
        self.visible
    }

    /// Those in a list.
    pub fn among(&self, list: &RoaringBitmap) -> RoaringBitmap {
        let mut among = list & self.base;
        if !self.dirty.is_empty() {
            among -= self.dirty;
            among |= list & self.visible;
        }
        among
    }

    /// As one bitmap; borrowed when nothing is dirty.
    pub fn to_bitmap(&self) -> std::borrow::Cow<'a, RoaringBitmap> {
        if self.dirty.is_empty() {
            return std::borrow::Cow::Borrowed(self.base);
        }
        let mut all = self.base - self.dirty;
        all |= self.visible;
        std::borrow::Cow::Owned(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirty_slots_follow_the_snapshot() {
        let base: RoaringBitmap = (0..10).collect();
        let dirty: RoaringBitmap = [3, 4, 20, 21].into_iter().collect();
        let visible: RoaringBitmap = [4, 21].into_iter().collect();
        let rows = Rows::new(&base, &dirty, &visible);
        let expected: Vec<u32> = vec![0, 1, 2, 4, 5, 6, 7, 8, 9, 21];
        assert_eq!((0..30).filter(|&slot| rows.contains(slot)).collect::<Vec<_>>(), expected);
        assert_eq!(rows.to_bitmap().iter().collect::<Vec<_>>(), expected);
        assert_eq!(rows.len(), expected.len() as u64);
        let list: RoaringBitmap = [2, 3, 4, 20, 21, 30].into_iter().collect();
        assert_eq!(rows.among(&list).iter().collect::<Vec<_>>(), [2, 4, 21]);
    }
}
