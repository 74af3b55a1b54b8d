//! Reading vectors without locks.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

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
    damaged: Arc<Damaged>,
    /// Whether slots may be left that nobody has verified since the column was opened.
    unverified: bool,
    /// Whether pages are read one by one.
    scarce: bool,
    /// Faults of maps before this are known: their slots are damaged.
    faults: u64,
}

/// Slots that a verification found damaged, or whose pages could not be read. Those that were written since are not any
/// more; [`View::verify`] knows.
#[derive(Default)]
pub(super) struct Damaged {
    /// Whether there are any: nearly always there are none, and nobody waits for the lock.
    any: AtomicBool,
    slots: RwLock<BTreeSet<u32>>,
}

impl Damaged {
    fn contains(&self, slot: u32) -> bool {
        self.any.load(Ordering::Acquire) && self.slots.read().contains(&slot)
    }

    /// The first from `slot` on.
    fn first_from(&self, slot: u32) -> Option<u32> {
        match self.any.load(Ordering::Acquire) {
            true => self.slots.read().range(slot..).next().copied(),
            false => None,
        }
    }

    fn note(&self, slot: u32) {
        self.note_all([slot]);
    }

    pub fn note_all(&self, damaged: impl IntoIterator<Item = u32>) {
        let mut slots = self.slots.write();
        slots.extend(damaged);
        self.any.store(!slots.is_empty(), Ordering::Release);
    }

    fn all(&self) -> BTreeSet<u32> {
        if self.any.load(Ordering::Acquire) { self.slots.read().clone() } else { BTreeSet::new() }
    }

    /// All in a range were verified, and these are the damaged ones.
    pub fn replace(&self, range: RangeInclusive<u32>, damaged: &BTreeSet<u32>) {
        let mut slots = self.slots.write();
        slots.retain(|slot| !range.contains(slot));
        slots.extend(damaged);
        self.any.store(!slots.is_empty(), Ordering::Release);
    }
}

impl View {
    pub(super) fn new(
        layout: Layout,
        segments: Arc<Vec<Arc<Segment>>>,
        extents: Arc<Vec<Arc<Extent>>>,
        damaged: Arc<Damaged>,
        unverified: bool,
        scarce: bool,
        faults: u64,
    ) -> View {
        let Layout { element, dimensions, stride, .. } = layout;
        View { element, dimensions, stride, segments, extents, damaged, unverified, scarce, faults }
    }

    /// An error (58030) when a page of the column could not be read since this view was taken: asked by who has read
    /// vectors, before anything is made of them, for it may have been zeros. Views that are taken from then on know which
    /// slots are meant.
    pub fn refuse_unread(&self) -> Result<()> {
        match crate::fs::mapped::faults() == self.faults {
            true => Ok(()),
            false => self.unread(),
        }
    }

    #[cold]
    fn unread(&self) -> Result<()> {
        self.segments.iter().try_for_each(|segment| segment.map.refuse_unread(self.faults))?;
        self.extents.iter().try_for_each(|extent| extent.map.refuse_unread(self.faults))
    }

    /// Slots that are known to be damaged, to be left out of what is made of vectors.
    pub fn damaged(&self) -> BTreeSet<u32> {
        self.damaged.all()
    }

    /// Whether something of a slot could not be read, and is zeros.
    pub(super) fn is_lost(&self, slot: u32) -> bool {
        let (segment, place) = self.locate(slot);
        segment.is_lost(place)
            || (self.element == Element::Sparse && heap::is_lost(&self.extents, self.place(slot)))
    }

    /// Refuses a search over vectors of which a row that it may return is known to be damaged (XX001): its distance would
    /// be wrong, and its row perhaps not among the nearest. Asked before a search for what a scrub has found, and after
    /// it for what the search itself was the first to look at, or could not read ([`View::refuse_unread`]).
    pub fn refuse_damaged(&self, mut is_asked_for: impl FnMut(u32) -> Result<bool>) -> Result<()> {
        self.refuse_unread()?;
        let mut next = self.damaged.first_from(0);
        while let Some(slot) = next {
            next = slot.checked_add(1).and_then(|from| self.damaged.first_from(from));
            if is_asked_for(slot)? {
                self.verify(slot).map_err(|error| {
                    error.hint(
                        "Update the row's vector or delete the row; the view hither.scrub_findings lists all damage.",
                    )
                })?;
            }
        }
        Ok(())
    }

    pub fn element(&self) -> Element {
        self.element
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Bytes of a vector in its segment.
    pub fn stride(&self) -> usize {
        self.stride
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
    ///
    /// Every search asks for it before it compares a vector, so it is here that a slot is verified when it is looked at
    /// for the first time since the column was opened ([`View::refuse_damaged`]).
    #[inline(always)]
    pub fn norm(&self, slot: u32) -> f32 {
        let (segment, place) = self.locate(slot);
        if self.unverified && !segment.verified.contains(place) {
            self.verify_first(segment, place, slot);
        }
        stored_norm(segment, place)
    }

    #[cold]
    fn verify_first(&self, segment: &Segment, place: u32, slot: u32) {
        if self.verify(slot).is_err() {
            self.damaged.note(slot);
        }
        // Behind the note: who sees the one sees the other.
        segment.verified.insert(place);
    }

    pub fn is_null(&self, slot: u32) -> bool {
        self.norm(slot).is_nan()
    }

    /// [`View::is_null`] for who writes it down: an error when the slot is damaged.
    pub fn is_surely_null(&self, slot: u32) -> Result<bool> {
        if self.damaged.contains(slot) {
            self.verify(slot)?;
        }
        let is_null = self.is_null(slot);
        self.refuse_unread().map(|()| is_null)
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

    /// Whether there is more of them than memory for them.
    pub fn is_scarce(&self) -> bool {
        self.scarce
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

    /// Lets maps try again what they could not read.
    pub fn try_again(&self) -> Result<()> {
        self.segments.iter().try_for_each(|segment| segment.try_again())?;
        self.extents.iter().try_for_each(|extent| extent.try_again())
    }

    /// Whether the slot's bytes are the ones written to it (XX001 when not).
    pub fn verify(&self, slot: u32) -> Result<()> {
        let (segment, place) = self.locate(slot);
        if self.damaged.contains(slot) {
            // Perhaps a place that the disk does not give: the map has only zeros to say about it.
            self.verify_read(slot)?;
            if self.is_lost(slot) {
                // It gives it again, and the next statement reads it; somebody may have read zeros by now.
                self.try_again()?;
                return Err(Error::unreadable(segment.path().display(), segment.layout.vector(place)));
            }
        }
        let offset = segment.layout.sum(place) as usize;
        let stored = le_u32(&segment.map[offset..offset + 4]);
        self.compare(slot, stored, slot_sum(slot, stored_norm(segment, place), self.bytes(slot)))
    }

    /// [`View::verify`] of what the file says, not the map: a place that the disk does not give is an error (58030).
    pub fn verify_read(&self, slot: u32) -> Result<()> {
        let (segment, place) = self.locate(slot);
        let read = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            segment.read(offset, &mut bytes).map(|()| bytes)
        };
        let vector = read(segment.layout.vector(place), self.stride)?;
        let norm = f32::from_bits(le_u32(&read(segment.layout.norm(place), 4)?));
        let stored = le_u32(&read(segment.layout.sum(place), 4)?);
        self.compare_read(slot, stored, norm, &vector)
    }

    /// [`View::verify_read`] for slots of one group, which is read at once; `found` is told of those that are damaged.
    pub fn verify_group(&self, slots: &[u32], mut found: impl FnMut(u32, Error)) {
        let Some(&first) = slots.first() else { return };
        let (segment, place) = self.locate(first);
        let layout = segment.layout;
        let start = layout.group(place);
        let mut group = vec![0; layout.group_bytes as usize];
        let is_read = segment.read(start, &mut group).is_ok();
        for &slot in slots {
            let place = slot % SEGMENT_SLOTS;
            let word = |offset: u64| le_u32(&group[(offset - start) as usize..][..4]);
            let outcome = if is_read {
                let vector = &group[(layout.vector(place) - start) as usize..][..self.stride];
                let norm = f32::from_bits(word(layout.norm(place)));
                self.compare_read(slot, word(layout.sum(place)), norm, vector)
            } else {
                // One place of the group fails, and the others are as good as ever.
                self.verify_read(slot)
            };
            if let Err(error) = outcome {
                found(slot, error);
            }
        }
    }

    /// `fixed` is what the segment has of the slot.
    fn compare_read(&self, slot: u32, stored: u32, norm: f32, fixed: &[u8]) -> Result<()> {
        let computed = match self.element {
            Element::Sparse => {
                slot_sum(slot, norm, &heap::read_from_file(&self.extents, Place::read(fixed))?)
            }
            _ => slot_sum(slot, norm, fixed),
        };
        self.compare(slot, stored, computed)
    }

    fn compare(&self, slot: u32, stored: u32, computed: u32) -> Result<()> {
        if stored == computed {
            return Ok(());
        }
        if let Some((path, offset)) = self.cell_location(slot) {
            let stored = format!("checksum {stored:08x} of the cell of slot {slot}");
            return Err(Error::corrupt(path.display(), offset, stored, format!("{computed:08x}")));
        }
        let (segment, place) = self.locate(slot);
        Err(Error::corrupt(
            segment.path().display(),
            segment.layout.sum(place),
            format!("checksum {computed:08x} of slot {slot}"),
            format!("{stored:08x}"),
        ))
    }

    /// Where the heap has the cell of a sparse vector, for messages.
    fn cell_location(&self, slot: u32) -> Option<(&std::path::Path, u64)> {
        let place = self.place(slot);
        (self.element == Element::Sparse).then(|| heap::locate(&self.extents, place)).flatten()
    }

    /// Where the cell of a sparse vector lies, for who counts or writes cells, and whether there is one, as far as the
    /// slot's bytes say: nobody verifies them here. From the file where the map has nothing.
    pub(super) fn marked_place(&self, slot: u32) -> Result<(Place, bool)> {
        let (segment, at) = self.locate(slot);
        let marked = (self.place(slot), !stored_norm(segment, at).is_nan());
        if !segment.is_lost(at) {
            return Ok(marked);
        }
        let (mut place, mut norm) = (vec![0; self.stride], [0; 4]);
        segment.read(segment.layout.vector(at), &mut place)?;
        segment.read(segment.layout.norm(at), &mut norm)?;
        Ok((Place::read(&place), !f32::from_le_bytes(norm).is_nan()))
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
        // Above `reserved` the map has no file behind it: there is nothing to read.
        assert!(place < segment.reserved(), "slot {slot} was never reserved");
        (segment, place)
    }
}

#[inline(always)]
fn stored_norm(segment: &Segment, place: u32) -> f32 {
    let offset = segment.layout.norm(place) as usize;
    floats(&segment.map[offset..offset + 4])[0]
}

fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("a word has four bytes"))
}
