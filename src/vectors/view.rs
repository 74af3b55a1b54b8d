//! Reading vectors without locks.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::distance::{Element, Vector};
use crate::error::{Error, Result};
use crate::fs::mapped::floats;
use crate::vectors::SEGMENT_SLOTS;
use crate::vectors::heap::{self, Extent, Place};
use crate::vectors::segment::{GROUP_SLOTS, Layout, Segment, slot_sum};

/// Vectors no farther apart than this are read with what lies between them: four pages.
const READ_TOGETHER: u64 = 16 << 10;

/// The vectors of a column as they lie in its files. Cheap to clone, valid for as long as it is held, even when the
/// table is dropped meanwhile.
///
/// A view knows the segments that existed when it was taken; take a new one for each query or batch. Slots are
/// those that were reserved and written: asking for another is a broken invariant and panics.
#[derive(Clone)]
pub struct View {
    element: Element,
    dimensions: usize,
    /// Bytes of a vector.
    stride: usize,
    segments: Arc<Vec<Arc<Segment>>>,
    /// Where sparse vectors lie.
    extents: Arc<Vec<Arc<Extent>>>,
    damaged: Arc<BTreeSet<u32>>,
    /// Whether pages are read one by one.
    scarce: bool,
}

impl View {
    pub(super) fn new(
        layout: Layout,
        segments: Arc<Vec<Arc<Segment>>>,
        extents: Arc<Vec<Arc<Extent>>>,
        damaged: Arc<BTreeSet<u32>>,
        scarce: bool,
    ) -> View {
        let Layout { element, dimensions, stride, .. } = layout;
        View { element, dimensions, stride, segments, extents, damaged, scarce }
    }

    /// Slots that a scrub found damaged. Those that were written since are not any more; [`View::verify`] knows.
    pub fn damaged(&self) -> &BTreeSet<u32> {
        &self.damaged
    }

    pub fn element(&self) -> Element {
        self.element
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Slots at and above this have no vector here.
    pub fn slots_end(&self) -> u32 {
        match self.segments.last() {
            None => 0,
            Some(last) => last.number.saturating_mul(SEGMENT_SLOTS).saturating_add(last.reserved()),
        }
    }

    /// The vector of `slot`; zeros when it is NULL, and no elements of a sparse one.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> Vector<'_> {
        self.element.read(self.bytes(slot), self.dimensions)
    }

    /// |vector|, of bits how many are set; NaN when the slot is NULL.
    #[inline(always)]
    pub fn norm(&self, slot: u32) -> f32 {
        let (segment, place) = self.locate(slot);
        let offset = segment.layout.norm(place) as usize;
        floats(&segment.map[offset..offset + 4])[0]
    }

    pub fn is_null(&self, slot: u32) -> bool {
        self.norm(slot).is_nan()
    }

    /// Starts loading `slot` into the processor's cache.
    #[inline(always)]
    pub fn prefetch(&self, slot: u32) {
        crate::fs::mapped::prefetch(self.bytes(slot));
    }

    /// Starts reading `slots` from the disk, together where they follow each other, if the column is one whose pages are
    /// read one by one ([`super::Column::expect_misses`]); otherwise reading one brings the next ones along.
    #[inline]
    pub fn will_need(&self, slots: &[u32]) {
        if self.scarce {
            self.read_ahead(slots);
        }
    }

    #[cold]
    fn read_ahead(&self, slots: &[u32]) {
        let near = (READ_TOGETHER / self.stride as u64) as u32;
        let joins = |a: &u32, b: &u32| b.wrapping_sub(*a) <= near && a / GROUP_SLOTS == b / GROUP_SLOTS;
        for run in slots.chunk_by(joins).filter(|run| run[0] < self.slots_end()) {
            let (segment, first) = self.locate(run[0]);
            let last = first + (run[run.len() - 1] - run[0]);
            let start = segment.layout.vector(first) as usize;
            segment.map.will_need(start..segment.layout.vector(last) as usize + self.stride);
        }
    }

    /// Whether the slot's bytes are the ones written to it (XX001 when not).
    pub fn verify(&self, slot: u32) -> Result<()> {
        let (segment, place) = self.locate(slot);
        let offset = segment.layout.sum(place);
        let stored = &segment.map[offset as usize..offset as usize + 4];
        let expected = slot_sum(slot, self.norm(slot), self.bytes(slot));
        if stored == expected.to_le_bytes() {
            return Ok(());
        }
        let found = u32::from_le_bytes(stored.try_into().expect("a sum has four bytes"));
        if let Some((path, offset)) = self.cell_location(slot) {
            let stored = format!("checksum {found:08x} of the cell of slot {slot}");
            return Err(Error::corrupt(path.display(), offset, stored, format!("{expected:08x}")));
        }
        Err(Error::corrupt(
            segment.path().display(),
            offset,
            format!("checksum {expected:08x} of slot {slot}"),
            format!("{found:08x}"),
        ))
    }

    /// Where the heap has the cell of a sparse vector, for messages.
    fn cell_location(&self, slot: u32) -> Option<(&std::path::Path, u64)> {
        let place = self.place(slot);
        (self.element == Element::Sparse).then(|| heap::locate(&self.extents, place)).flatten()
    }

    /// Where the cell of a sparse vector lies.
    pub(super) fn place(&self, slot: u32) -> Place {
        Place::read(self.fixed(slot))
    }

    /// The vector of `slot` as little-endian bytes.
    #[inline(always)]
    pub fn bytes(&self, slot: u32) -> &[u8] {
        match self.element {
            Element::Sparse => heap::read(&self.extents, self.place(slot)),
            _ => self.fixed(slot),
        }
    }

    /// What the segment has of `slot`: the vector, or its place.
    #[inline(always)]
    fn fixed(&self, slot: u32) -> &[u8] {
        let (segment, place) = self.locate(slot);
        let offset = segment.layout.vector(place) as usize;
        &segment.map[offset..offset + self.stride]
    }

    #[inline(always)]
    fn locate(&self, slot: u32) -> (&Segment, u32) {
        let segment = &*self.segments[(slot / SEGMENT_SLOTS) as usize];
        let place = slot % SEGMENT_SLOTS;
        // Above `reserved` the map has no file behind it: reading there would kill the process.
        assert!(place < segment.reserved(), "slot {slot} was never reserved");
        (segment, place)
    }
}
