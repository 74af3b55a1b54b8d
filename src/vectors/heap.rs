//! Where the cells of a `sparsevec(n)` column lie: each has a size of its own, so segments hold places instead.
//!
//! ```text
//!   segment    slot 9: block 2, offset 804, 412 bytes
//!                          |
//!   extent 0   header | block 0 | block 1 | block 2 | ...        64 MiB of blocks in a file
//!                                           | cell | cell | room   cells never cross a block
//! ```
//!
//! A block remembers how many cells it has. The last cell to go frees it; until then what its dead cells took is used
//! again only by the slots they were of, when their next cells fit. Nothing is moved: a cell that can be read stays
//! where it is, so that readers need no lock.
//!
//! After a crash nobody knows what a place that was not synced says, so replay appends: blocks that were there before
//! are counted again when the log has been replayed, from the slots that live.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::codec;
use crate::error::{Error, Result};
use crate::fs::{File, Fs, Map, OpenMode};
use crate::vectors::segment::refuse_cut;
use crate::vectors::writes::Writes;

pub(super) const MAGIC: &[u8; 8] = b"HITHHEAP";
const FORMAT_VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 4096;
/// Bytes of the header that its checksum covers.
pub(super) const HEADER_SUMMED: usize = 20;
/// A cell of 16,000 elements takes 128,004 bytes, so that every cell fits in a block.
pub(super) const BLOCK_BYTES: u32 = 128 << 10;
/// 64 MiB: few enough maps for any table (Linux allows a process 65,530), little enough address space for a small one.
pub(super) const EXTENT_BLOCKS: u32 = 512;
/// Bytes of a [`Place`] in a segment.
pub(super) const PLACE_BYTES: usize = 16;

const _: () = assert!(BLOCK_BYTES as usize >= 4 + 8 * crate::types::sparsevec::ELEMENTS_MAX);

/// Where a cell lies. All zero for NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    block: u32,
    /// From the start of the block; a multiple of four.
    offset: u32,
    /// Of the cell.
    bytes: u32,
    /// What the slot has there, the cell and what an earlier, longer one left.
    room: u32,
}

impl Place {
    /// Any sixteen bytes are a place, though not always one that exists.
    #[inline(always)]
    pub fn read(bytes: &[u8]) -> Place {
        let word = |at: usize| match bytes.get(4 * at..4 * at + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        };
        Place { block: word(0), offset: word(1), bytes: word(2), room: word(3) }
    }

    pub fn write(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        let words = [self.block, self.offset, self.bytes, self.room];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn is_whole(self) -> bool {
        let end = u64::from(self.offset) + u64::from(self.room);
        self.bytes <= self.room
            && end <= u64::from(BLOCK_BYTES)
            && (self.offset | self.bytes).is_multiple_of(4)
    }

    fn is_before(self, next: Place) -> bool {
        (self.block, self.offset + self.room) <= (next.block, next.offset)
    }
}

/// The cells of one column.
pub(super) struct Heap {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    column: u32,
    /// In order, without gaps; only ever grows.
    extents: ArcSwap<Vec<Arc<Extent>>>,
    space: Mutex<Space>,
}

/// Which blocks have cells, and which slots have places.
#[derive(Default)]
struct Space {
    /// Cells per block; those that nobody has counted yet have [`UNCOUNTED`].
    cells: Vec<u32>,
    /// Blocks without cells.
    free: BTreeSet<u32>,
    /// Blocks whose space was, or may have been, given back to the file system.
    holes: BTreeSet<u32>,
    /// The block that is being filled, and how far it is.
    filling: Option<(u32, u32)>,
    /// Slots whose places are theirs alone: a bit each.
    owners: Vec<u64>,
}

/// Blocks that were there when the files were opened are left alone until they are counted.
const UNCOUNTED: u32 = u32::MAX;

/// One file of blocks.
pub(super) struct Extent {
    number: u32,
    file: Arc<dyn File>,
    pub map: Map,
    /// Blocks for which space is reserved; grows, never shrinks.
    reserved: AtomicU32,
    /// Written since the last sync.
    dirty: AtomicBool,
    pub writes: Arc<Writes>,
}

impl Heap {
    pub fn create(fs: Arc<dyn Fs>, dir: &Path, column: u32) -> Heap {
        let (extents, space) = (ArcSwap::from_pointee(Vec::new()), Mutex::default());
        Heap { fs, dir: dir.to_path_buf(), column, extents, space }
    }

    /// As its files hold it. Leftovers of a crash while an extent was made are removed.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, column: u32) -> Result<Heap> {
        let heap = Heap::create(fs, dir, column);
        let mut numbers = Vec::new();
        for name in heap.fs.list(dir)? {
            match heap.extent_number(&name) {
                Some((number, true)) => numbers.push(number),
                Some((_, false)) => heap.fs.remove_file(&dir.join(&name))?,
                None => {}
            }
        }
        numbers.sort_unstable();
        let mut extents = Vec::with_capacity(numbers.len());
        for (expected, number) in (0..).zip(numbers) {
            let path = heap.extent_path(expected);
            if number != expected {
                return Err(Error::corrupt(path.display(), 0, "an extent of cells", "no file"));
            }
            extents.push(Arc::new(Extent::open(&*heap.fs, &path, column, number)?));
        }
        // A crash may have forgotten growth that was not synced before the next extent was made.
        for full in extents.iter().rev().skip(1) {
            full.reserve(EXTENT_BLOCKS)?;
        }
        let blocks = extents.last().map_or(0, |last| last.number * EXTENT_BLOCKS + last.reserved());
        heap.space.lock().cells = vec![UNCOUNTED; blocks as usize];
        heap.extents.store(Arc::new(extents));
        Ok(heap)
    }

    pub fn extents(&self) -> Arc<Vec<Arc<Extent>>> {
        self.extents.load_full()
    }

    /// Writes the cells of slots that are the caller's alone, and returns where; 53100 when there is no space. Each comes
    /// with the place its segment has now. What is returned counts once [`Heap::placed`] is told that the segment has it;
    /// before that, an error costs the room and nothing else.
    pub fn write(&self, cells: &[(u32, Place, Option<&[u8]>)]) -> Result<Vec<Place>> {
        let places = self.place(cells)?;
        let extents = self.extents.load();
        let mut bytes = Vec::new();
        let mut start: Option<Place> = None;
        for (&place, (_, _, cell)) in places.iter().zip(cells) {
            let Some(cell) = cell else { continue };
            // Neighbours go in one write.
            let follows = start.is_some_and(|start: Place| {
                start.block == place.block && start.offset as usize + bytes.len() == place.offset as usize
            });
            if !follows {
                write_bytes(&extents, start, &bytes)?;
                bytes.clear();
                start = Some(place);
            }
            bytes.extend_from_slice(cell);
        }
        write_bytes(&extents, start, &bytes)?;
        Ok(places)
    }

    fn place(&self, cells: &[(u32, Place, Option<&[u8]>)]) -> Result<Vec<Place>> {
        let mut space = self.space.lock();
        let mut places = Vec::with_capacity(cells.len());
        for &(slot, before, cell) in cells {
            let bytes = cell.map_or(0, |cell| cell.len() as u32);
            let owned = space.owns(slot);
            if owned && cell.is_some() && before.room >= bytes {
                places.push(Place { bytes, ..before });
                continue;
            }
            if owned {
                space.release(slot, before);
            }
            places.push(match cell {
                None => Place::default(),
                Some(_) => self.append(&mut space, bytes)?,
            });
        }
        Ok(places)
    }

    /// Room for a cell in the block that is being filled, or in another.
    fn append(&self, space: &mut Space, bytes: u32) -> Result<Place> {
        assert!(bytes <= BLOCK_BYTES, "a cell of {bytes} bytes");
        let (block, offset) = match space.filling {
            Some((block, end)) if end + bytes <= BLOCK_BYTES => (block, end),
            filled => {
                let block = self.take_block(space)?;
                space.filling = Some((block, 0));
                if let Some((before, _)) = filled {
                    space.free_if_empty(before);
                }
                (block, 0)
            }
        };
        space.filling = Some((block, offset + bytes));
        space.cells[block as usize] += 1;
        Ok(Place { block, offset, bytes, room: bytes })
    }

    /// A block without cells: the first that was freed, else a new one.
    fn take_block(&self, space: &mut Space) -> Result<u32> {
        if let Some(&block) = space.free.first() {
            if space.holes.contains(&block) {
                let extents = self.extents.load();
                extents[(block / EXTENT_BLOCKS) as usize].refill(block % EXTENT_BLOCKS)?;
                space.holes.remove(&block);
            }
            space.free.remove(&block);
            return Ok(block);
        }
        let block = space.cells.len() as u32;
        let number = block / EXTENT_BLOCKS;
        let mut extents = Vec::clone(&self.extents.load());
        if number as usize == extents.len() {
            let path = self.extent_path(number);
            extents.push(Arc::new(Extent::create(&*self.fs, &path, self.column, number)?));
            self.extents.store(Arc::new(extents.clone()));
        }
        extents[number as usize].reserve(block % EXTENT_BLOCKS + 1)?;
        space.cells.push(0);
        Ok(block)
    }

    /// The segment has the places of these slots' cells.
    pub fn placed(&self, slots: impl Iterator<Item = u32>) {
        let mut space = self.space.lock();
        slots.for_each(|slot| space.own(slot));
    }

    /// The cells of these slots will not be read any more.
    pub fn release(&self, slots: impl Iterator<Item = (u32, Place)>) {
        let mut space = self.space.lock();
        for (slot, place) in slots {
            if space.owns(slot) {
                space.release(slot, place);
            }
        }
    }

    /// Gives back the space of blocks without cells.
    pub fn punch(&self) -> Result<()> {
        let mut space = self.space.lock();
        let extents = self.extents.load();
        let blocks: Vec<u32> = space.free.difference(&space.holes).copied().collect();
        for block in blocks {
            // Before the call, so that a writer finds it even after one that failed.
            space.holes.insert(block);
            extents[(block / EXTENT_BLOCKS) as usize].punch(block % EXTENT_BLOCKS)?;
        }
        Ok(())
    }

    /// After replay: counts cells anew. `live` slots own their places. `kept` ones are dead and still read, by graphs
    /// that have nodes for them; what their places say was perhaps never synced, so it is left alone but not theirs.
    pub fn recover(
        &self,
        live: impl Iterator<Item = (u32, Place)>,
        kept: impl Iterator<Item = (u32, Place)>,
    ) {
        let mut space = self.space.lock();
        let space = &mut *space;
        space.cells.fill(0);
        space.owners.clear();
        for (slot, place) in live {
            if space.count(place) {
                space.own(slot);
            }
        }
        for (_, place) in kept {
            space.count(place);
        }
        let filling = space.filling.map(|(block, _)| block);
        let empty = (0..).zip(&space.cells).filter(|(block, count)| **count == 0 && Some(*block) != filling);
        space.free = empty.map(|(block, _)| block).collect();
        // Nobody remembers.
        space.holes = space.free.clone();
    }

    /// That live cells lie apart from each other.
    pub fn check(&self, live: impl Iterator<Item = (u32, Place)>) -> Result<()> {
        let mut all: Vec<(Place, u32)> = live.map(|(slot, place)| (place, slot)).collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            let [(place, slot), (next, other)] = *pair else { continue };
            if !place.is_before(next) {
                let path = self.extent_path(place.block / EXTENT_BLOCKS);
                let expected = format!("cells of slots {slot} and {other} apart");
                return Err(Error::corrupt(
                    path.display(),
                    offset_of(next),
                    expected,
                    format!("{place:?}, {next:?}"),
                ));
            }
        }
        Ok(())
    }

    pub fn sync(&self) -> Result<()> {
        self.extents.load().iter().try_for_each(|extent| extent.sync())
    }

    /// What is reserved counts, holes do not.
    pub fn bytes_on_disk(&self) -> u64 {
        self.extents.load().iter().map(|extent| extent.file.space().unwrap_or(0)).sum()
    }

    fn extent_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}.{number}.heap", self.column))
    }

    /// The extent a file name stands for, and whether it is a finished one.
    fn extent_number(&self, name: &Path) -> Option<(u32, bool)> {
        let rest = name.to_str()?.strip_prefix(&format!("{}.", self.column))?;
        match rest.strip_suffix(".heap") {
            Some(number) => Some((number.parse().ok()?, true)),
            None => Some((rest.strip_suffix(".heap.new")?.parse().ok()?, false)),
        }
    }
}

/// No cell, which begins at a multiple of four as all do.
#[repr(align(4))]
struct NoCell([u8; 0]);
static NO_CELL: NoCell = NoCell([]);

/// A cell's bytes; none for a place that does not exist, as one may say that nobody has verified.
#[inline(always)]
pub(super) fn read(extents: &[Arc<Extent>], place: Place) -> &[u8] {
    let Some(extent) = extents.get((place.block / EXTENT_BLOCKS) as usize) else { return &NO_CELL.0 };
    if !place.is_whole() || place.block % EXTENT_BLOCKS >= extent.reserved() {
        return &NO_CELL.0;
    }
    let start = offset_of(place) as usize;
    &extent.map[start..start + place.bytes as usize]
}

/// [`read`] from the file instead of the map.
pub(super) fn read_from_file(extents: &[Arc<Extent>], place: Place) -> Result<Vec<u8>> {
    // Through the map only as far as to see whether there is such a place.
    let mut bytes = vec![0; read(extents, place).len()];
    if let Some(extent) = extents.get((place.block / EXTENT_BLOCKS) as usize).filter(|_| !bytes.is_empty()) {
        extent.file.read_exact_at(&mut bytes, offset_of(place))?;
    }
    Ok(bytes)
}

/// The file that a place is in, and where; for messages.
pub(super) fn locate(extents: &[Arc<Extent>], place: Place) -> Option<(&Path, u64)> {
    let extent = extents.get((place.block / EXTENT_BLOCKS) as usize)?;
    Some((extent.file.path(), offset_of(place)))
}

/// Whether some of a cell could not be read through the map, and is zeros there.
pub(super) fn is_lost(extents: &[Arc<Extent>], place: Place) -> bool {
    let start = offset_of(place);
    let extent = extents.get((place.block / EXTENT_BLOCKS) as usize);
    extent.is_some_and(|extent| extent.map.is_lost(start..start + u64::from(place.bytes)))
}

fn write_bytes(extents: &[Arc<Extent>], place: Option<Place>, bytes: &[u8]) -> Result<()> {
    let Some(place) = place else { return Ok(()) };
    let extent = &extents[(place.block / EXTENT_BLOCKS) as usize];
    extent.check_length()?;
    extent.file.write_all_at(bytes, offset_of(place))?;
    // Last: a sync that ran meanwhile may have missed these bytes, the next one must not skip them.
    extent.dirty.store(true, Ordering::Release);
    extent.writes.add();
    // Nobody is to find an empty page where this was written.
    if extent.map.has_lost() { extent.try_again() } else { Ok(()) }
}

/// Within its extent's file.
fn offset_of(place: Place) -> u64 {
    block_offset(place.block % EXTENT_BLOCKS) + u64::from(place.offset)
}

fn block_offset(block: u32) -> u64 {
    HEADER_BYTES + u64::from(block) * u64::from(BLOCK_BYTES)
}

impl Space {
    fn owns(&self, slot: u32) -> bool {
        self.owners.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn own(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.owners.len() {
            self.owners.resize(word + 1, 0);
        }
        self.owners[word] |= 1 << (slot % 64);
    }

    fn release(&mut self, slot: u32, place: Place) {
        self.owners[slot as usize / 64] &= !(1 << (slot % 64));
        if let Some(cells) = self.cells.get_mut(place.block as usize).filter(|cells| **cells != UNCOUNTED) {
            *cells = cells.saturating_sub(1);
            self.free_if_empty(place.block);
        }
    }

    fn free_if_empty(&mut self, block: u32) {
        let filling = self.filling.is_some_and(|(filling, _)| filling == block);
        if !filling && self.cells.get(block as usize) == Some(&0) {
            self.free.insert(block);
        }
    }

    /// Whether there is such a place with a cell.
    fn count(&mut self, place: Place) -> bool {
        match self.cells.get_mut(place.block as usize).filter(|_| place.is_whole() && place.bytes > 0) {
            Some(cells) => {
                *cells += 1;
                true
            }
            None => false,
        }
    }
}

impl Extent {
    /// Under a name of its own until its header is durable.
    fn create(fs: &dyn Fs, path: &Path, column: u32, number: u32) -> Result<Extent> {
        let unfinished = path.with_extension("heap.new");
        if fs.exists(&unfinished) {
            fs.remove_file(&unfinished)?;
        }
        let file = fs.open(&unfinished, OpenMode::Create)?;
        file.allocate(HEADER_BYTES)?;
        file.write_all_at(&header(column, number), 0)?;
        file.sync_data()?;
        fs.rename(&unfinished, path)?;
        if let Some(folder) = path.parent() {
            fs.sync_dir(folder)?;
        }
        drop(file);
        Extent::open(fs, path, column, number)
    }

    fn open(fs: &dyn Fs, path: &Path, column: u32, number: u32) -> Result<Extent> {
        let file = fs.open(path, OpenMode::ReadWrite)?;
        let mut found = [0; HEADER_SUMMED + 4];
        file.read_exact_at(&mut found, 0)?;
        refuse_newer(path.display(), &found)?;
        if found != header(column, number) {
            let expected = format!("the header of extent {number} of column {column}");
            return Err(Error::corrupt(path.display(), 0, expected, format!("{found:02x?}")));
        }
        let blocks = file.len()?.saturating_sub(HEADER_BYTES) / u64::from(BLOCK_BYTES);
        let map = file.map(block_offset(EXTENT_BLOCKS))?;
        let reserved = AtomicU32::new(blocks.min(u64::from(EXTENT_BLOCKS)) as u32);
        Ok(Extent { number, file, map, reserved, dirty: AtomicBool::new(false), writes: Writes::new() })
    }

    #[inline(always)]
    fn reserved(&self) -> u32 {
        self.reserved.load(Ordering::Acquire)
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Lets the map try again what it could not read.
    pub fn try_again(&self) -> Result<()> {
        self.file.map_again(&self.map, 0..u64::MAX)
    }

    fn check_length(&self) -> Result<()> {
        refuse_cut(&*self.file, block_offset(self.reserved()))
    }

    /// Makes room for the first `blocks` blocks.
    fn reserve(&self, blocks: u32) -> Result<()> {
        if blocks > self.reserved() {
            self.check_length()?;
            self.file.allocate(block_offset(blocks))?;
            self.reserved.store(blocks, Ordering::Release);
        }
        Ok(())
    }

    fn punch(&self, block: u32) -> Result<()> {
        self.file.punch(block_offset(block), u64::from(BLOCK_BYTES))?;
        self.dirty.store(true, Ordering::Release);
        self.writes.add();
        Ok(())
    }

    fn refill(&self, block: u32) -> Result<()> {
        self.file.refill(block_offset(block), u64::from(BLOCK_BYTES))
    }

    fn sync(&self) -> Result<()> {
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // After a failure the database stops; nothing may take this extent for clean until then.
        self.file.sync_data().inspect_err(|_| self.dirty.store(true, Ordering::Release))
    }
}

/// Refuses the header of an extent that a newer program wrote (55000).
pub(super) fn refuse_newer(path: impl Display, header: &[u8; HEADER_SUMMED + 4]) -> Result<()> {
    match header.starts_with(MAGIC) {
        true => codec::refuse_newer(path, header, FORMAT_VERSION, |_| HEADER_SUMMED),
        false => Ok(()),
    }
}

pub(super) fn header(column: u32, number: u32) -> [u8; HEADER_SUMMED + 4] {
    let mut bytes = [0; HEADER_SUMMED + 4];
    bytes[..8].copy_from_slice(MAGIC);
    for (place, field) in bytes[8..].chunks_exact_mut(4).zip([FORMAT_VERSION, column, number]) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..HEADER_SUMMED]);
    bytes[HEADER_SUMMED..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    //! A sparse column beside a plain map from slot to vector: written, written again, released, crashed and reopened.

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::distance::{Element, Vector};
    use crate::error::SqlState;
    use crate::fs::{Fs, MemoryFs, OpenMode};
    use crate::types::Sparsevec;
    use crate::vectors::Column;
    use std::path::Path;
    use std::sync::Arc;

    const SHAPE: (Element, usize) = (Element::Sparse, 1_000_000);
    type Model = BTreeMap<u32, Option<Sparsevec>>;

    fn dir() -> &'static Path {
        Path::new("/tables/7")
    }

    /// A vector of `count` elements that no other seed makes.
    fn vector(count: u32, seed: u32) -> Sparsevec {
        Sparsevec::new(1_000_000, (0..count).map(|i| (i * 60 + seed % 60, seed as f32 + 1.0)))
    }

    fn write(column: &Column, slot: u32, vector: Option<&Sparsevec>) {
        let mut bytes = Vec::new();
        vector.iter().for_each(|vector| vector.bytes(&mut bytes));
        column.reserve_slots(&[slot]).unwrap();
        column.write_run(slot, &[vector.map(|_| &bytes[..])]).unwrap();
    }

    fn agree(column: &Column, model: &Model) {
        column.check(model.keys().copied()).unwrap();
        let view = column.view();
        for (&slot, expected) in model {
            match expected {
                Some(vector) => {
                    assert_eq!(view.get(slot), vector.into());
                    assert_eq!(view.norm(slot), Vector::from(vector).norm() as f32);
                }
                None => assert!(view.is_null(slot)),
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write {
            slot: u32,
            count: u32,
        },
        Null {
            slot: u32,
        },
        /// The row dies, and its slot is free.
        Release {
            slot: u32,
        },
        Punch,
        /// What was synced stays, what was not comes back from the log.
        Crash {
            seed: u64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let count = prop_oneof![3 => 0u32..40, 1 => 3_000u32..16_000];
        let step = prop_oneof![
            6 => (0u32..300, count).prop_map(|(slot, count)| Step::Write { slot, count }),
            1 => (0u32..300).prop_map(|slot| Step::Null { slot }),
            3 => (0u32..300).prop_map(|slot| Step::Release { slot }),
            1 => Just(Step::Punch),
            1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn cells_stay_what_they_are(steps in steps()) {
            let mut fs = MemoryFs::new();
            let mut column = Column::create(Arc::new(fs.clone()), dir(), 3, SHAPE).unwrap();
            let mut model = Model::new();
            let mut log: Vec<(u32, Option<Sparsevec>)> = Vec::new();
            for (seed, step) in (0..).zip(steps) {
                match step {
                    Step::Write { slot, count } => {
                        let vector = vector(count, seed);
                        write(&column, slot, Some(&vector));
                        log.push((slot, Some(vector.clone())));
                        model.insert(slot, Some(vector));
                    }
                    Step::Null { slot } => {
                        write(&column, slot, None);
                        log.push((slot, None));
                        model.insert(slot, None);
                    }
                    Step::Release { slot } => {
                        if model.remove(&slot).is_some() {
                            column.release([slot].into_iter()).unwrap();
                        }
                    }
                    Step::Punch => {
                        column.punch(&[]).unwrap();
                        column.sync().unwrap();
                        log.clear();
                    }
                    Step::Crash { seed } => {
                        fs = fs.crash(seed);
                        column = Column::open(Arc::new(fs.clone()), dir(), 3, SHAPE).unwrap();
                        log.iter().for_each(|(slot, vector)| write(&column, *slot, vector.as_ref()));
                        column.recover(model.keys().copied(), std::iter::empty()).unwrap();
                    }
                }
                agree(&column, &model);
            }
        }
    }

    #[test]
    fn space_of_dead_cells_is_used_again() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs, dir(), 0, SHAPE).unwrap();
        for round in 0..20 {
            for slot in 0..100 {
                write(&column, slot, Some(&vector(2_000 + round % 7 * 100, slot)));
            }
            if round % 5 == 4 {
                column.release(0..100).unwrap();
                column.punch(&[]).unwrap();
            }
        }
        let live = 100 * (4 + 8 * 2_600);
        assert!(column.bytes_on_disk() < 3 * live, "{}", column.bytes_on_disk());
    }

    #[test]
    fn graphs_go_on_reading_dead_cells_after_a_restart() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs.clone(), dir(), 0, SHAPE).unwrap();
        (0..40).for_each(|slot| write(&column, slot, Some(&vector(10_000, slot))));
        column.sync().unwrap();
        let column = Column::open(fs, dir(), 0, SHAPE).unwrap();
        // Slots 0 to 19 are dead, and a graph has nodes for 10 to 19.
        column.recover(20..40, 10..20).unwrap();
        column.punch(&[]).unwrap();
        (40..60).for_each(|slot| write(&column, slot, Some(&vector(10_000, slot))));
        let model: Model = (10..60).map(|slot| (slot, Some(vector(10_000, slot)))).collect();
        agree(&column, &model);
    }

    #[test]
    fn damage_is_found_and_named() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let column = Column::create(fs.clone(), dir(), 2, SHAPE).unwrap();
        (0..10).for_each(|slot| write(&column, slot, Some(&vector(100, slot))));
        let file = fs.open(&dir().join("2.0.heap"), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[1], 4096 + 4 * 804 + 17).unwrap();
        let error = column.check(0..10).unwrap_err();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        assert!(error.message().contains("2.0.heap"), "{error}");
        assert!(error.message().contains("of slot 4"), "{error}");
        // A place that does not exist reads as nothing, and does not verify.
        let segment = fs.open(&dir().join("2.0.vec"), OpenMode::ReadWrite).unwrap();
        segment.write_all_at(&[0xFF; 16], 4096 + 16 * 7).unwrap();
        assert!(column.view().bytes(7).is_empty());
        assert!(column.view().verify(7).is_err());
        file.write_all_at(b"X", 0).unwrap();
        assert!(Column::open(fs, dir(), 2, SHAPE).is_err());
    }
}
