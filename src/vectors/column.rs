//! One vector column: its segments, written and grown.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::distance::Element;
use crate::error::{Error, Result};
use crate::fs::mapped::faults;
use crate::fs::{Fs, Pace};
use crate::types::vector::norm;
use crate::types::{Sparsevec, halfvec};
use crate::vectors::heap::{Heap, PLACE_BYTES, Place};
use crate::vectors::segment::{GROUP_SLOTS, LargePages, Layout, Segment, slot_sum};
use crate::vectors::view::Damaged;
use crate::vectors::{SEGMENT_SLOTS, View, Written};

/// A vector column. Any number of threads may write different slots and read at the same time.
pub struct Column {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    column: u32,
    layout: Layout,
    /// In order, without gaps; only ever grows.
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Held while files are made or grown.
    growth: Mutex<()>,
    /// The cells of sparse vectors, whose segments have places.
    heap: Option<Heap>,
    damaged: Arc<Damaged>,
    /// Opened, and not read through since: slots are verified when they are looked at.
    unverified: AtomicBool,
    /// Larger than the memory there is: see [`Column::expect_misses`].
    scarce: AtomicBool,
    /// Faults of maps before this are in `damaged`.
    faults: AtomicU64,
    /// Held while more are put there.
    noting: Mutex<()>,
}

impl Column {
    /// A column without rows. Makes the folder, not yet a file.
    pub fn create(fs: Arc<dyn Fs>, dir: &Path, column: u32, shape: (Element, usize)) -> Result<Column> {
        fs.create_dir_all(dir)?;
        Ok(Column::empty(fs, dir, column, shape))
    }

    fn empty(fs: Arc<dyn Fs>, dir: &Path, column: u32, (element, dimensions): (Element, usize)) -> Column {
        let heap = (element == Element::Sparse).then(|| Heap::create(fs.clone(), dir, column));
        Column {
            heap,
            fs,
            dir: dir.to_path_buf(),
            column,
            layout: Layout::new(element, dimensions),
            segments: ArcSwap::from_pointee(Vec::new()),
            growth: Mutex::new(()),
            damaged: Arc::default(),
            unverified: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            faults: AtomicU64::new(faults()),
            noting: Mutex::new(()),
        }
    }

    /// The column as its files hold it; none are fine. Leftovers of a crash while a segment was made are removed.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, column: u32, shape: (Element, usize)) -> Result<Column> {
        // Making one that is there syncs what it lies in, for each column at each start.
        if !fs.exists(dir) {
            fs.create_dir_all(dir)?;
        }
        let mut opened = Column::empty(fs.clone(), dir, column, shape);
        if opened.heap.is_some() {
            opened.heap = Some(Heap::open(fs, dir, column)?);
        }
        let mut numbers = Vec::new();
        for name in opened.fs.list(dir)? {
            match opened.segment_number(&name) {
                Some((number, true)) => numbers.push(number),
                Some((_, false)) => opened.fs.remove_file(&dir.join(&name))?,
                None => {}
            }
        }
        numbers.sort_unstable();
        let mut segments = Vec::with_capacity(numbers.len());
        for (i, number) in numbers.into_iter().enumerate() {
            if number != i as u32 {
                let missing = opened.segment_path(i as u32);
                return Err(Error::corrupt(missing.display(), 0, "a vector segment", "no file"));
            }
            segments.push(Arc::new(opened.open_segment(number)?));
        }
        // A crash may have forgotten growth that was not synced before the next segment was made.
        for full in segments.iter().rev().skip(1) {
            full.reserve(SEGMENT_SLOTS, LargePages::No)?;
        }
        opened.segments.store(Arc::new(segments));
        opened.unverified = AtomicBool::new(true);
        Ok(opened)
    }

    pub fn element(&self) -> Element {
        self.layout.element
    }

    pub fn dimensions(&self) -> usize {
        self.layout.dimensions
    }

    /// Whether these bytes, from the log, are a vector of this column's shape.
    pub fn takes(&self, vector: &[u8]) -> bool {
        match self.layout.element {
            Element::Sparse => Sparsevec::from_bytes(vector)
                .is_some_and(|vector| vector.dimensions() as usize == self.layout.dimensions),
            _ => vector.len() == self.layout.stride,
        }
    }

    /// Makes room for every slot below `slots_end`, so that writing them cannot fail for want of space; 53100 when
    /// there is none. Never gives room back.
    pub fn reserve(&self, slots_end: u32) -> Result<()> {
        if self.view().slots_end() >= slots_end {
            return Ok(());
        }
        let _growing = self.growth.lock();
        let mut segments = Vec::clone(&self.segments.load());
        // A column larger than the server's memory has better uses for it than pages that are there ahead of their rows.
        let large_pages = if self.is_scarce() { LargePages::No } else { LargePages::Yes };
        for number in 0..slots_end.div_ceil(SEGMENT_SLOTS) {
            let wanted = (slots_end - number * SEGMENT_SLOTS).min(SEGMENT_SLOTS);
            if number as usize == segments.len() {
                segments.push(Arc::new(self.create_segment(number)?));
                if self.is_scarce() {
                    segments[number as usize].map.advise_random();
                }
                self.segments.store(Arc::new(segments.clone()));
            }
            segments[number as usize].reserve(wanted, large_pages)?;
        }
        Ok(())
    }

    /// [`Column::reserve`] for slots, ascending, some of which may lie where space was given back.
    pub fn reserve_slots(&self, slots: &[u32]) -> Result<()> {
        let Some(last) = slots.last() else { return Ok(()) };
        self.reserve(last + 1)?;
        let segments = self.segments.load();
        for group in slots.chunk_by(|a, b| a / GROUP_SLOTS == b / GROUP_SLOTS) {
            let first = group[0];
            segments[(first / SEGMENT_SLOTS) as usize].refill(first % SEGMENT_SLOTS / GROUP_SLOTS)?;
        }
        Ok(())
    }

    /// Gives back the space of groups of [`GROUP_SLOTS`] slots that nobody reads, named by their first slots, ascending.
    pub fn punch(&self, groups: &[u32]) -> Result<()> {
        if let Some(heap) = &self.heap {
            heap.punch()?;
        }
        let segments = self.segments.load();
        // Together where they lie together: pages that two of them share go as well.
        let follows = |a: &u32, b: &u32| a + GROUP_SLOTS == *b && a / SEGMENT_SLOTS == b / SEGMENT_SLOTS;
        for run in groups.chunk_by(follows) {
            if let Some(segment) = segments.get((run[0] / SEGMENT_SLOTS) as usize) {
                segment.punch(run[0] % SEGMENT_SLOTS / GROUP_SLOTS, run.len() as u32)?;
            }
        }
        Ok(())
    }

    /// Whether cells take space of their own, which [`Column::release`] gives back.
    pub fn has_heap(&self) -> bool {
        self.heap.is_some()
    }

    /// Nobody will read the vectors of these slots any more: the next [`Column::punch`] gives back what only they took.
    /// An error, and nothing is given back, when it cannot be read what that is.
    pub fn release(&self, slots: impl Iterator<Item = u32>) -> Result<()> {
        if let Some(heap) = &self.heap {
            let view = self.view();
            heap.release(places(&view, slots)?.into_iter());
        }
        Ok(())
    }

    /// After replay: which slots live, and which of the others graphs still read. An error when it cannot be read where
    /// their cells lie.
    pub fn recover(&self, live: impl Iterator<Item = u32>, kept: impl Iterator<Item = u32>) -> Result<()> {
        if let Some(heap) = &self.heap {
            let view = self.view();
            heap.recover(places(&view, live)?.into_iter(), places(&view, kept)?.into_iter());
        }
        Ok(())
    }

    /// After an open every group may be a hole; after replay only those of which `live` says that none of their slots is.
    pub fn assume_holes(&self, live: impl Fn(Range<u32>) -> bool) {
        for segment in self.segments.load().iter() {
            let start = |group: u32| segment.number * SEGMENT_SLOTS + group * GROUP_SLOTS;
            segment.assume_holes(|group| live(start(group)..start(group) + GROUP_SLOTS));
        }
    }

    /// Writes consecutive slots from `first` on, which were reserved; vectors are little-endian bytes, as the log has
    /// them. Not durable before [`Column::sync`]. Many at once are much cheaper than one at a time: three system calls
    /// for each 256 slots.
    pub fn write_run(&self, first: u32, vectors: &[Option<&[u8]>]) -> Result<()> {
        let segments = self.segments.load();
        let mut slot = first;
        let mut rest = vectors;
        while !rest.is_empty() {
            let room = (GROUP_SLOTS - slot % GROUP_SLOTS) as usize;
            let (run, after) = rest.split_at(room.min(rest.len()));
            self.write_group(&segments, slot, run)?;
            slot += run.len() as u32;
            rest = after;
        }
        Ok(())
    }

    /// Writes slots that lie in one group.
    fn write_group(&self, segments: &[Arc<Segment>], first: u32, vectors: &[Option<&[u8]>]) -> Result<()> {
        if let Some(heap) = &self.heap {
            return self.write_places(heap, segments, first, vectors);
        }
        let stride = self.layout.stride;
        let mut bytes = Vec::with_capacity(vectors.len() * stride);
        let mut norms = Vec::with_capacity(vectors.len());
        let mut sums = Vec::with_capacity(vectors.len());
        for (i, vector) in vectors.iter().enumerate() {
            let start = bytes.len();
            match vector {
                Some(vector) => bytes.extend_from_slice(vector),
                None => bytes.resize(start + stride, 0),
            }
            let norm = vector.map_or(f32::NAN, |vector| norm_of(self.layout, vector));
            sums.push(slot_sum(first + i as u32, norm, &bytes[start..]));
            norms.push(norm);
        }
        let segment = &segments[(first / SEGMENT_SLOTS) as usize];
        segment.write(first % SEGMENT_SLOTS, &bytes, &norms, &sums)
    }

    /// The same of sparse vectors: cells to the heap, places to the segment.
    fn write_places(
        &self,
        heap: &Heap,
        segments: &[Arc<Segment>],
        first: u32,
        vectors: &[Option<&[u8]>],
    ) -> Result<()> {
        let view = self.view();
        let slots = first..first + vectors.len() as u32;
        let cell = |(slot, vector): (u32, &_)| Ok((slot, view.marked_place(slot)?.0, *vector));
        let cells: Vec<_> = slots.zip(vectors).map(cell).collect::<Result<_>>()?;
        let places = heap.write(&cells)?;
        let bytes: Vec<u8> = places.iter().flat_map(|place| place.write()).collect();
        debug_assert_eq!(bytes.len(), PLACE_BYTES * vectors.len());
        let norms: Vec<f32> =
            vectors.iter().map(|cell| cell.map_or(f32::NAN, |cell| norm_of(self.layout, cell))).collect();
        let summed = cells.iter().zip(&norms);
        let sums: Vec<u32> =
            summed.map(|((slot, _, cell), norm)| slot_sum(*slot, *norm, cell.unwrap_or(&[]))).collect();
        let segment = &segments[(first / SEGMENT_SLOTS) as usize];
        segment.write(first % SEGMENT_SLOTS, &bytes, &norms, &sums)?;
        heap.placed(cells.iter().filter(|(_, _, cell)| cell.is_some()).map(|(slot, ..)| *slot));
        Ok(())
    }

    pub fn view(&self) -> View {
        // Before anything is read.
        let faults = faults();
        if faults != self.faults.load(Ordering::Acquire) {
            self.note_lost(faults);
        }
        // Segments first: what they say then has its extent.
        let segments = self.segments.load_full();
        let extents = self.heap.as_ref().map(Heap::extents).unwrap_or_default();
        let unverified = self.unverified.load(Ordering::Acquire);
        View::new(self.layout, segments, extents, self.damaged.clone(), unverified, self.is_scarce(), faults)
    }

    /// Slots of pages that could not be read are damaged: the map has zeros in their place, and the next one who reads them
    /// would not notice. Also those that nobody has been given yet.
    #[cold]
    fn note_lost(&self, faults: u64) {
        let _noting = self.noting.lock();
        let known = self.faults.load(Ordering::Acquire);
        let segments = self.segments.load_full();
        let extents = self.heap.as_ref().map(Heap::extents).unwrap_or_default();
        for segment in segments.iter().filter(|segment| segment.map.refuse_unread(known).is_err()) {
            let first = segment.number.saturating_mul(SEGMENT_SLOTS);
            let lost = (0..SEGMENT_SLOTS).filter(|place| segment.is_lost(*place));
            self.damaged.note_all(lost.map(|place| first.saturating_add(place)));
        }
        if extents.iter().any(|extent| extent.map.refuse_unread(known).is_err()) {
            let damaged = self.damaged.clone();
            let view = View::new(self.layout, segments, extents, damaged, false, false, faults);
            let has_lost = |slot: &u32| view.is_lost(*slot);
            self.damaged.note_all((0..view.slots_end()).filter(has_lost));
        }
        self.faults.fetch_max(faults, Ordering::Release);
    }

    /// What could not be read through maps after the first `since` faults: an error (58030) for each file.
    pub fn unread(&self, since: u64) -> Vec<Error> {
        let segments = self.segments.load();
        let extents = self.heap.as_ref().map(Heap::extents).unwrap_or_default();
        let maps = segments.iter().map(|s| &s.map).chain(extents.iter().map(|extent| &extent.map));
        maps.filter_map(|map| map.refuse_unread(since).err()).collect()
    }

    /// Files that were written since that was last noted.
    pub fn written(&self) -> Vec<Written> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let extents = self.heap.as_ref().map(Heap::extents).unwrap_or_default();
        let mut written = Vec::new();
        for segment in self.segments.load().iter() {
            written.extend(Written::of(&segment.writes, || name(segment.path())));
        }
        for extent in extents.iter() {
            written.extend(Written::of(&extent.writes, || name(extent.path())));
        }
        written
    }

    /// After an open, before anything is written: files of which `is_known` says what they hold, by name, are as noted.
    pub fn are_noted(&self, is_known: impl Fn(&str) -> bool) {
        let extents = self.heap.as_ref().map(Heap::extents).unwrap_or_default();
        let known = |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_known);
        self.segments.load().iter().filter(|s| known(s.path())).for_each(|s| s.writes.are_noted());
        extents.iter().filter(|extent| known(extent.path())).for_each(|extent| extent.writes.are_noted());
    }

    /// From now on pages are read one by one, because the column is too large for the page cache: a reader that jumps
    /// about would push out by what lies around each vector what it is about to come back to. Readers that go forward
    /// say so ([`View::will_need`]).
    pub fn expect_misses(&self) {
        let _growing = self.growth.lock();
        if !self.scarce.swap(true, Ordering::Relaxed) {
            self.segments.load().iter().for_each(|segment| segment.map.advise_random());
        }
    }

    fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// Bytes of all slots with their norms and checksums; of sparse vectors, of their places.
    pub fn bytes(&self) -> u64 {
        u64::from(self.view().slots_end()) * self.slot_bytes()
    }

    /// Makes everything written before this call durable.
    pub fn sync(&self) -> Result<()> {
        if let Some(heap) = &self.heap {
            heap.sync()?;
        }
        self.segments.load().iter().try_for_each(|segment| segment.sync())
    }

    /// Space of all files; what is reserved counts, holes do not.
    pub fn bytes_on_disk(&self) -> u64 {
        let segments: u64 = self.segments.load().iter().map(|segment| segment.space().unwrap_or(0)).sum();
        segments + self.heap.as_ref().map_or(0, Heap::bytes_on_disk)
    }

    /// Verifies the given slots against their checksums; the first bad one is the error.
    pub fn check(&self, live: impl IntoIterator<Item = u32> + Clone) -> Result<()> {
        let view = self.view();
        let end = view.slots_end();
        for slot in live.clone() {
            if slot >= end {
                let path = self.segment_path(slot / SEGMENT_SLOTS);
                let expected = format!("the vector of slot {slot}");
                return Err(Error::corrupt(path.display(), 0, expected, "no space for it"));
            }
            view.verify_read(slot)?;
        }
        match &self.heap {
            Some(heap) => heap.check(places(&view, live.into_iter())?.into_iter()),
            None => Ok(()),
        }
    }

    /// Verifies slots, ascending, that nobody writes meanwhile, and remembers which are damaged: searches ask
    /// ([`View::refuse_damaged`]). Answers what is wrong with each of those. Reads the files, not the maps.
    pub fn scrub(&self, slots: &[u32], pace: &mut Pace) -> Result<Vec<Error>> {
        let view = self.view();
        let end = view.slots_end();
        let slot_bytes = self.slot_bytes();
        let mut found = Vec::new();
        let mut damaged = BTreeSet::new();
        let slots = &slots[..slots.partition_point(|slot| *slot < end)];
        // What is damaged after this is what the files say; where a map has zeros, it is to look again.
        view.try_again()?;
        for piece in slots.chunk_by(|a, b| a / GROUP_SLOTS == b / GROUP_SLOTS) {
            view.verify_group(piece, |slot, error| {
                damaged.insert(slot);
                found.push(error);
            });
            pace(piece.len() as u64 * slot_bytes)?;
        }
        if let (Some(first), Some(last)) = (slots.first(), slots.last()) {
            self.damaged.replace(*first..=*last, &damaged);
        }
        Ok(found)
    }

    /// Every live slot has been through [`Column::scrub`]: searches need not verify what they look at any more. Rows that
    /// died before it came to them, and that some snapshot still sees, are verified when they are returned.
    pub fn scrubbed(&self) {
        self.unverified.store(false, Ordering::Release);
    }

    /// Bytes of a slot's vector, norm and checksum.
    pub fn slot_bytes(&self) -> u64 {
        self.layout.stride as u64 + 8
    }

    /// How many segment files there are.
    pub fn files(&self) -> u64 {
        self.segments.load().len() as u64
    }

    fn segment_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}.{number}.vec", self.column))
    }

    /// The segment a file name stands for, and whether it is a finished one.
    fn segment_number(&self, name: &Path) -> Option<(u32, bool)> {
        let rest = name.to_str()?.strip_prefix(&format!("{}.", self.column))?;
        match rest.strip_suffix(".vec") {
            Some(number) => Some((number.parse().ok()?, true)),
            None => Some((rest.strip_suffix(".vec.new")?.parse().ok()?, false)),
        }
    }

    fn create_segment(&self, number: u32) -> Result<Segment> {
        Segment::create(&*self.fs, &self.segment_path(number), self.column, number, self.layout)
    }

    fn open_segment(&self, number: u32) -> Result<Segment> {
        Segment::open(&*self.fs, &self.segment_path(number), self.column, number, self.layout)
    }
}

/// Where the cells of slots lie, those that have one.
fn places(view: &View, slots: impl Iterator<Item = u32>) -> Result<Vec<(u32, Place)>> {
    let end = view.slots_end();
    let mut places = Vec::new();
    for slot in slots.filter(|&slot| slot < end) {
        let (place, has_cell) = view.marked_place(slot)?;
        places.extend(has_cell.then_some((slot, place)));
    }
    Ok(places)
}

fn norm_of(layout: Layout, bytes: &[u8]) -> f32 {
    match layout.element {
        Element::F32 => {
            let chunks = bytes.as_chunks::<4>().0;
            let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
            norm(&values) as f32
        }
        Element::F16 => norm(&halfvec::to_vector(&halfvec::from_bytes(bytes))) as f32,
        Element::Bit => layout.element.read(bytes, layout.dimensions).norm() as f32,
        // Bytes of the log are not aligned.
        Element::Sparse => match Sparsevec::from_bytes(bytes) {
            Some(vector) => norm(vector.as_sparse().values()) as f32,
            None => 0.0,
        },
    }
}

#[cfg(test)]
mod tests {
    //! A column beside a plain map from slot to vector, on the strict in-memory file system, reopened at will.

    use std::collections::BTreeMap;
    use std::io::ErrorKind;

    use super::*;
    use crate::error::SqlState;
    use crate::fs::faulty::{Fault, FaultyFs, Op, What};
    use crate::fs::{MemoryFs, OpenMode};

    const DIMENSIONS: usize = 5;
    const SHAPE: (Element, usize) = (Element::F32, DIMENSIONS);

    fn vector(seed: u32) -> Vec<f32> {
        (0..DIMENSIONS as u32)
            .map(|i| (seed.wrapping_mul(31).wrapping_add(i) % 1000) as f32 - 500.0)
            .collect()
    }

    fn dir() -> &'static Path {
        Path::new("/tables/7")
    }

    fn write(column: &Column, slot: u32, vector: Option<&[f32]>) {
        let bytes: Option<Vec<u8>> = vector.map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect());
        column.write_run(slot, &[bytes.as_deref()]).unwrap();
    }

    fn agree(column: &Column, model: &BTreeMap<u32, Option<Vec<f32>>>) {
        let view = column.view();
        for (&slot, expected) in model {
            view.verify(slot).unwrap();
            match expected {
                Some(vector) => {
                    assert_eq!(view.get(slot), vector.into());
                    assert_eq!(view.norm(slot), norm(vector) as f32);
                }
                None => assert!(view.is_null(slot)),
            }
        }
    }

    #[test]
    fn holds_what_was_written_across_segments_and_reopening() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs.clone(), dir(), 3, SHAPE).unwrap();
        let mut model = BTreeMap::new();
        let slots = (0..600).chain(65_530..65_550).chain([131_071, 131_072]);
        for slot in slots {
            let value = (slot % 7 != 0).then(|| vector(slot));
            column.reserve(slot + 1).unwrap();
            write(&column, slot, value.as_deref());
            model.insert(slot, value);
        }
        agree(&column, &model);
        column.check(model.keys().copied()).unwrap();
        column.sync().unwrap();
        let reopened = Column::open(fs, dir(), 3, SHAPE).unwrap();
        agree(&reopened, &model);
        assert_eq!(reopened.bytes_on_disk(), column.bytes_on_disk());
    }

    #[test]
    fn runs_equal_single_writes() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs, dir(), 0, SHAPE).unwrap();
        let bytes: Vec<Option<Vec<u8>>> = (0..1000u32)
            .map(|slot| (slot % 5 != 0).then(|| vector(slot).iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let run: Vec<Option<&[u8]>> = bytes.iter().map(Option::as_deref).collect();
        let first = SEGMENT_SLOTS - 300;
        column.reserve(first + 1000).unwrap();
        column.write_run(first, &run).unwrap();
        let model = (0..1000u32).map(|i| (first + i, (i % 5 != 0).then(|| vector(i)))).collect();
        agree(&column, &model);
    }

    #[test]
    fn halves_and_bits_take_less_room_and_come_back() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        for (number, shape) in
            [(Element::F16, 7), (Element::Bit, 21), (Element::Bit, 3)].into_iter().enumerate()
        {
            let column = Column::create(fs.clone(), dir(), number as u32, shape).unwrap();
            let stride = shape.0.bytes(shape.1);
            column.reserve(1_000).unwrap();
            assert_eq!(column.bytes_on_disk(), 4096 + 4 * 256 * (stride as u64 + 8));
            let cells: Vec<Vec<u8>> = (0..1_000u32)
                .map(|slot| (0..stride as u32).map(|at| (slot * 31 + at * 7) as u8 & 0x3F).collect())
                .collect();
            let run: Vec<Option<&[u8]>> = cells.iter().map(|cell| Some(&cell[..])).collect();
            column.write_run(0, &run).unwrap();
            column.check(0..1_000).unwrap();
            let view = Column::open(fs.clone(), dir(), number as u32, shape).unwrap().view();
            for slot in 0..1_000u32 {
                assert_eq!(view.bytes(slot), cells[slot as usize]);
                assert_eq!(view.norm(slot), view.get(slot).norm() as f32, "{shape:?}");
            }
            let other = Column::open(fs.clone(), dir(), number as u32, (Element::F32, shape.1));
            assert!(other.is_err());
        }
    }

    #[test]
    fn a_small_table_is_small() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs, dir(), 0, (Element::F32, 384)).unwrap();
        assert_eq!(column.bytes_on_disk(), 0);
        column.reserve(10).unwrap();
        assert_eq!(column.bytes_on_disk(), 4096 + 1024 * 386);
        column.reserve(50_000).unwrap();
        assert!(column.bytes_on_disk() < 50_000 * 386 * 4 + (5 << 20));
    }

    const WIDE: (Element, usize) = (Element::F32, 384);

    fn wide(slot: u32) -> Vec<u8> {
        [slot as f32 + 1.0; 384].map(f32::to_le_bytes).concat()
    }

    /// As inserts do it, every 1,999th slot.
    fn grow(column: &Column, slots: Range<u32>) -> Result<()> {
        slots.step_by(1_999).try_for_each(|slot| {
            column.reserve(slot + 1)?;
            column.write_run(slot, &[Some(&wide(slot))])
        })
    }

    fn has_grown(view: &View, slots: Range<u32>) -> bool {
        slots.step_by(1_999).all(|slot| view.bytes(slot) == wide(slot) && view.verify(slot).is_ok())
    }

    /// Zeros are written to what is new, and to nothing else; a disk that is full refuses them, and a crash leaves zeros.
    #[test]
    fn a_file_that_grows_by_large_pages_keeps_what_it_has() {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let column = Column::create(fs.clone(), dir(), 0, WIDE).unwrap();
        grow(&column, 0..40_000).unwrap();
        column.sync().unwrap();
        let end = column.view().slots_end();
        for at in 1..=2 {
            faults.arm(Fault { at, on: Op::WRITE, what: What::Fail(ErrorKind::StorageFull) });
            assert_eq!(column.reserve(end + 1).unwrap_err().state(), SqlState::DISK_FULL, "{at}");
            assert_eq!((faults.met() >= at, column.view().slots_end()), (true, end));
            faults.disarm();
            if at == 1 {
                // Else the pages are in the file, and not filled again.
                let file = fs.open(&dir().join("0.0.vec"), OpenMode::ReadWrite).unwrap();
                file.truncate(column.segments.load()[0].layout.file_bytes(end)).unwrap();
            }
            assert!(has_grown(&column.view(), 0..40_000));
        }
        // Filled, and the power fails before the rows are there.
        column.reserve(end + 1).unwrap();
        for seed in 0..5 {
            let after = Column::open(Arc::new(memory.crash(seed)), dir(), 0, WIDE).unwrap();
            assert!(has_grown(&after.view(), 0..40_000), "{seed}");
            let view = after.view();
            assert!((end..view.slots_end()).all(|slot| view.bytes(slot).iter().all(|byte| *byte == 0)));
            after.reserve(60_000).unwrap();
            after.write_run(end, &[Some(&wide(end))]).unwrap();
            assert_eq!(after.view().bytes(end), wide(end));
        }
        grow(&column, 40_000..60_000).unwrap();
        column.sync().unwrap();
        let reopened = Column::open(fs, dir(), 0, WIDE).unwrap();
        assert_eq!(reopened.view().slots_end(), column.view().slots_end());
        for view in [column.view(), reopened.view()] {
            assert!(has_grown(&view, 0..40_000) && has_grown(&view, 40_000..60_000));
        }
    }

    /// Nothing is written where much is reserved at once, or memory is scarce.
    #[test]
    fn large_pages_are_filled_only_a_few_at_a_time() {
        let (fs, faults) = FaultyFs::new(MemoryFs::new());
        let column = Column::create(fs, dir(), 0, WIDE).unwrap();
        let written = |end: u32| {
            let before = faults.count(Op::WRITE);
            column.reserve(end).unwrap();
            faults.count(Op::WRITE) - before
        };
        written(1);
        assert_eq!(written(40_000), 0);
        let end = column.view().slots_end();
        assert!((1..=5).contains(&written(end + 1)));
        column.expect_misses();
        assert_eq!(written(column.view().slots_end() + 1), 0);
    }

    #[test]
    fn synced_vectors_survive_a_crash_and_others_do_no_harm() {
        let fs = MemoryFs::new();
        let column = Column::create(Arc::new(fs.clone()), dir(), 0, SHAPE).unwrap();
        column.reserve(400).unwrap();
        write(&column, 1, Some(&vector(1)));
        column.sync().unwrap();
        write(&column, 300, Some(&vector(300)));
        let after = Column::open(Arc::new(fs.crash(9)), dir(), 0, SHAPE).unwrap();
        agree(&after, &BTreeMap::from([(1, Some(vector(1)))]));
        // The log brings the other back.
        after.reserve(400).unwrap();
        write(&after, 300, Some(&vector(300)));
        agree(&after, &BTreeMap::from([(1, Some(vector(1))), (300, Some(vector(300)))]));
    }

    #[test]
    fn damage_is_found_and_named() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs.clone(), dir(), 2, SHAPE).unwrap();
        column.reserve(10).unwrap();
        for slot in 0..10 {
            write(&column, slot, Some(&vector(slot)));
        }
        let path = dir().join("2.0.vec");
        let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[1], 4096 + 4 * 4 * DIMENSIONS as u64 + 3).unwrap();
        let error = column.check(0..10).unwrap_err();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        assert!(error.message().contains("2.0.vec"), "{error}");
        assert!(error.message().contains("of slot 4"), "{error}");
        assert!(column.check(100_000..100_001).is_err());
        let damaged_header = |bytes: &[u8], offset, dimensions| {
            let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
            file.write_all_at(bytes, offset).unwrap();
            Column::open(fs.clone(), dir(), 2, (Element::F32, dimensions))
                .err()
                .map(|e| e.message().to_string())
                .unwrap()
        };
        let message = damaged_header(&[], 0, 6);
        assert!(message.contains("expected dimensions 6, found dimensions 5"), "{message}");
        assert!(damaged_header(b"X", 0, DIMENSIONS).contains("a vector segment"));
        file.truncate(100).unwrap();
        assert!(Column::open(fs, dir(), 2, SHAPE).is_err());
    }

    #[test]
    #[should_panic(expected = "never reserved")]
    fn a_slot_without_space_is_a_broken_invariant() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs, dir(), 0, SHAPE).unwrap();
        column.reserve(1).unwrap();
        column.view().get(256);
    }
}
