//! One segment: the file of 65,536 consecutive slots.
//!
//! ```text
//!   0        4,096                                   one group = 256 * (bytes of a vector + 8) bytes
//!   +--------+-----------------------------+---------+--------+---------------------------
//!   | header | vectors of slots 0..256     | 256     | 256    | vectors of slots 256..512   ...
//!   |        | little-endian               | norms   | sums   |
//!   +--------+-----------------------------+---------+--------+---------------------------
//!
//!   header:  0  magic "HITHRVEC"     norm:  f32, |vector|, of bits how many are set; NaN when the
//!            8  format version u32          slot's vector is NULL (its bytes are then zero)
//!           12  column u32           sum:   crc32c over slot u32, norm, vector
//!           16  dimensions u32
//!           20  element u32: f32, f16, bit (eight to a byte, the first highest) or sparse (the place of a
//!               cell in the heap instead of the vector)
//!           24  segment number u32
//!           28  crc32c of the 28 bytes before
//! ```
//!
//! Groups keep a small table small (384 dimensions: 395 KB for 256 rows) while each group holds everything about
//! its slots, so the file grows at its end only. Vectors begin on a cache line whenever their size is a multiple
//! of one; norms and sums lie together, so that the norms of 50,000 rows fill 200 KB of cache instead of one
//! line each.
//!
//! The checksum covers the slot: bytes written to the wrong place do not verify.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::codec;
use crate::distance::Element;
use crate::error::{Error, Result};
use crate::fs::{File, Fs, Map, OpenMode};
use crate::vectors::SEGMENT_SLOTS;
use crate::vectors::writes::Writes;

pub(super) const MAGIC: &[u8; 8] = b"HITHRVEC";
const FORMAT_VERSION: u32 = 2;
const HEADER_BYTES: u64 = 4096;
/// Bytes of the header that its checksum covers.
pub(super) const HEADER_SUMMED: usize = 28;

/// Slots whose vectors, norms and sums lie together.
pub const GROUP_SLOTS: u32 = 256;
/// A file grows by an eighth of itself, but not more than this at once: few system calls, little waste.
const GROWTH_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a large page. A file that grows by appending is filled with zeros of this size ahead of the rows: the page cache
/// then has it in large pages, and so has the map, as long as nothing is read back from the disk. A search goes to another
/// page with each vector, and the processor knows where only so many of them are.
const LARGE_PAGE: u64 = 2 << 20;
/// A file that is to grow by more bytes at once than this is not filled, so that no one waits for more than five pages: what
/// is asked for, what a file grows ahead, and up to a page to a whole one.
const FILLED_BYTES_MAX: u64 = 4 << 20;

const _: () = assert!(SEGMENT_SLOTS.is_multiple_of(GROUP_SLOTS));
const _: () = assert!(cfg!(target_endian = "little"), "vectors are read in place, little-endian");

/// Byte offsets within a segment, from the element and the dimension alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub element: Element,
    pub dimensions: usize,
    /// Bytes of a vector.
    pub stride: usize,
    pub group_bytes: u64,
    norms_offset: u64,
    sums_offset: u64,
}

impl Layout {
    pub fn new(element: Element, dimensions: usize) -> Layout {
        let stride = element.bytes(dimensions);
        let vectors = u64::from(GROUP_SLOTS) * stride as u64;
        let side = u64::from(GROUP_SLOTS) * 4;
        Layout {
            element,
            dimensions,
            stride,
            group_bytes: vectors + 2 * side,
            norms_offset: vectors,
            sums_offset: vectors + side,
        }
    }

    /// Where the group of the slot number `place` begins.
    pub fn group(&self, place: u32) -> u64 {
        HEADER_BYTES + u64::from(place / GROUP_SLOTS) * self.group_bytes
    }

    /// Where the vector of the segment's slot number `place` begins.
    #[inline(always)]
    pub fn vector(&self, place: u32) -> u64 {
        self.group(place) + u64::from(place % GROUP_SLOTS) * self.stride as u64
    }

    #[inline(always)]
    pub fn norm(&self, place: u32) -> u64 {
        self.group(place) + self.norms_offset + 4 * u64::from(place % GROUP_SLOTS)
    }

    #[inline(always)]
    pub fn sum(&self, place: u32) -> u64 {
        self.group(place) + self.sums_offset + 4 * u64::from(place % GROUP_SLOTS)
    }

    /// File length with room for `slots` slots, in whole groups.
    pub fn file_bytes(&self, slots: u32) -> u64 {
        HEADER_BYTES + u64::from(slots.div_ceil(GROUP_SLOTS)) * self.group_bytes
    }

    /// Slots for which a file of `bytes` has room.
    pub fn slots_of(&self, bytes: u64) -> u32 {
        let groups = bytes.saturating_sub(HEADER_BYTES) / self.group_bytes;
        (groups.min(u64::from(SEGMENT_SLOTS / GROUP_SLOTS)) as u32) * GROUP_SLOTS
    }
}

/// The checksum of a slot: of where it is and what it holds.
pub(super) fn slot_sum(slot: u32, norm: f32, vector: &[u8]) -> u32 {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&slot.to_le_bytes());
    head[4..].copy_from_slice(&norm.to_bits().to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), vector)
}

/// Refuses to go on with a file that is shorter than it was made: what is written behind the cut would fill it with zeros,
/// where a reading finds out about it now.
pub(super) fn refuse_cut(file: &dyn File, expected: u64) -> Result<()> {
    let found = file.len()?;
    if found >= expected {
        return Ok(());
    }
    let what = format!("{expected} bytes");
    Err(Error::corrupt(file.path().display(), found, what, "the end of the file"))
}

/// Whether a file that grows is to be in large pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LargePages {
    Yes,
    No,
}

/// One open segment file and its map.
pub(super) struct Segment {
    pub layout: Layout,
    pub number: u32,
    file: Arc<dyn File>,
    /// Covers the file at its full size; only the part below `reserved` exists.
    pub map: Map,
    /// Slots for which space is reserved; grows, never shrinks.
    reserved: AtomicU32,
    /// Written since the last sync.
    dirty: AtomicBool,
    /// Groups whose space may have been given back, by number.
    holes: Mutex<BTreeSet<u32>>,
    /// Slots that were verified since the file was opened.
    pub verified: Places,
    pub writes: Arc<Writes>,
}

/// A set of a segment's slots that only grows.
pub(super) struct Places(Box<[AtomicU64]>);

impl Places {
    fn new() -> Places {
        Places((0..SEGMENT_SLOTS / 64).map(|_| AtomicU64::new(0)).collect())
    }

    #[inline(always)]
    pub fn contains(&self, place: u32) -> bool {
        self.0[(place / 64) as usize].load(Ordering::Acquire) >> (place % 64) & 1 == 1
    }

    pub fn insert(&self, place: u32) {
        self.0[(place / 64) as usize].fetch_or(1 << (place % 64), Ordering::Release);
    }
}

impl Segment {
    /// Makes the file under a name of its own, with a durable header, before it gets its real one: a segment file
    /// always has a header.
    pub fn create(fs: &dyn Fs, path: &Path, column: u32, number: u32, layout: Layout) -> Result<Segment> {
        let unfinished = path.with_extension("vec.new");
        // Left by an attempt that found the disk full.
        if fs.exists(&unfinished) {
            fs.remove_file(&unfinished)?;
        }
        let file = fs.open(&unfinished, OpenMode::Create)?;
        file.allocate(HEADER_BYTES)?;
        file.write_all_at(&header(column, number, layout), 0)?;
        file.sync_data()?;
        fs.rename(&unfinished, path)?;
        if let Some(folder) = path.parent() {
            fs.sync_dir(folder)?;
        }
        drop(file);
        Segment::open(fs, path, column, number, layout)
    }

    pub fn open(fs: &dyn Fs, path: &Path, column: u32, number: u32, layout: Layout) -> Result<Segment> {
        let file = fs.open(path, OpenMode::ReadWrite)?;
        check_header(&*file, column, number, layout)?;
        let reserved = layout.slots_of(file.len()?);
        let map = file.map(layout.file_bytes(SEGMENT_SLOTS))?;
        Ok(Segment {
            layout,
            number,
            file,
            map,
            reserved: AtomicU32::new(reserved),
            dirty: AtomicBool::new(false),
            // Nobody knows yet which groups are holes; replay is the first to write to some.
            holes: Mutex::new((0..reserved / GROUP_SLOTS).collect()),
            verified: Places::new(),
            writes: Writes::new(),
        })
    }

    #[inline(always)]
    pub fn reserved(&self) -> u32 {
        self.reserved.load(Ordering::Acquire)
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads from the file, where a failing disk is an error at once; through the map it is an empty page, and an error for
    /// who asks afterwards.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Whether something of a slot could not be read through the map, and is zeros there.
    pub fn is_lost(&self, place: u32) -> bool {
        let (vector, stride) = (self.layout.vector(place), self.layout.stride as u64);
        let word = |at: u64| self.map.is_lost(at..at + 4);
        self.map.has_lost()
            && (self.map.is_lost(vector..vector + stride)
                || word(self.layout.norm(place))
                || word(self.layout.sum(place)))
    }

    /// Lets the map try again what it could not read.
    pub fn try_again(&self) -> Result<()> {
        self.file.map_again(&self.map, 0..u64::MAX)
    }

    fn check_length(&self) -> Result<()> {
        refuse_cut(&*self.file, self.layout.file_bytes(self.reserved()))
    }

    /// Makes room for the first `slots` slots; in large pages if so `wanted` and it grows by little. The caller holds the
    /// column's growth lock.
    pub fn reserve(&self, slots: u32, wanted: LargePages) -> Result<()> {
        if slots <= self.reserved() {
            return Ok(());
        }
        self.check_length()?;
        let asked = self.layout.file_bytes(slots) - self.layout.file_bytes(self.reserved());
        let is_filled = wanted == LargePages::Yes && asked <= FILLED_BYTES_MAX;
        let (slots, end) = self.grown(slots, is_filled);
        // What the file has already may be somebody's, however it came there.
        let before = self.file.len()?;
        self.file.allocate(end)?;
        if is_filled {
            self.fill_large_pages(before..end)?;
        }
        self.reserved.store(slots, Ordering::Release);
        Ok(())
    }

    /// Writes zeros to the large pages that are wholly within these bytes, which were never written.
    fn fill_large_pages(&self, bytes: Range<u64>) -> Result<()> {
        let pages = bytes.start.div_ceil(LARGE_PAGE)..bytes.end / LARGE_PAGE;
        if pages.is_empty() {
            return Ok(());
        }
        let zeros = vec![0; LARGE_PAGE as usize];
        pages.into_iter().try_for_each(|page| self.file.write_all_at(&zeros, page * LARGE_PAGE))
    }

    /// Gives back the space of consecutive groups that hold nothing anybody needs.
    pub fn punch(&self, group: u32, count: u32) -> Result<()> {
        let count = count.min((self.reserved() / GROUP_SLOTS).saturating_sub(group));
        if count == 0 {
            return Ok(());
        }
        // Before the call, so that a writer finds it; and again where it may be a hole already: nobody remembers after a
        // restart, or after a call that failed.
        self.holes.lock().extend(group..group + count);
        // A page that a neighbouring group shares stays.
        let bytes = u64::from(count) * self.layout.group_bytes;
        self.file.punch(self.layout.group(group * GROUP_SLOTS), bytes)?;
        self.dirty.store(true, Ordering::Release);
        self.writes.add();
        Ok(())
    }

    /// Makes sure of space for a group that is about to be written again.
    pub fn refill(&self, group: u32) -> Result<()> {
        let mut holes = self.holes.lock();
        if holes.contains(&group) {
            self.file.refill(self.layout.group(group * GROUP_SLOTS), self.layout.group_bytes)?;
            holes.remove(&group);
        }
        Ok(())
    }

    /// After an open and the replay of the log: only groups without live slots may be holes.
    pub fn assume_holes(&self, live: impl Fn(u32) -> bool) {
        let groups = self.reserved() / GROUP_SLOTS;
        *self.holes.lock() = (0..groups).filter(|group| !live(*group)).collect();
    }

    pub fn space(&self) -> Result<u64> {
        self.file.space()
    }

    /// `slots` and some more, in whole groups, and the length of the file with them: whole large pages where it grows by
    /// more than one of them and is filled.
    fn grown(&self, slots: u32, is_filled: bool) -> (u32, u64) {
        let needed = self.layout.file_bytes(slots);
        let ahead = (self.layout.file_bytes(self.reserved()) / 8).min(GROWTH_BYTES_MAX);
        if !is_filled || ahead < LARGE_PAGE {
            let slots = self.layout.slots_of(needed + ahead);
            return (slots, self.layout.file_bytes(slots));
        }
        let end = (needed + ahead).next_multiple_of(LARGE_PAGE).min(self.layout.file_bytes(SEGMENT_SLOTS));
        (self.layout.slots_of(end), end)
    }

    /// Writes consecutive slots of one group: `vectors` is their bytes back to back.
    pub fn write(&self, place: u32, vectors: &[u8], norms: &[f32], sums: &[u32]) -> Result<()> {
        let slots = norms.len() as u32;
        let end = place + slots;
        assert!(end <= self.reserved(), "slots {place}..{end} written, {} reserved", self.reserved());
        assert!(place / GROUP_SLOTS == (end - 1) / GROUP_SLOTS, "slots {place}..{end} cross a group");
        assert_eq!(vectors.len(), slots as usize * self.layout.stride, "bytes of {slots} vectors");
        let norms: Vec<u8> = norms.iter().flat_map(|norm| norm.to_bits().to_le_bytes()).collect();
        let sums: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        self.check_length()?;
        self.file.write_all_at(vectors, self.layout.vector(place))?;
        self.file.write_all_at(&norms, self.layout.norm(place))?;
        self.file.write_all_at(&sums, self.layout.sum(place))?;
        // Last: a sync that ran meanwhile may have missed these bytes, the next one must not skip them.
        self.dirty.store(true, Ordering::Release);
        self.writes.add();
        // Nobody is to find an empty page where this was written.
        if self.map.has_lost() { self.try_again() } else { Ok(()) }
    }

    /// Makes everything written before durable.
    pub fn sync(&self) -> Result<()> {
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // After a failure the database stops; nothing may take this segment for clean until then.
        self.file.sync_data().inspect_err(|_| self.dirty.store(true, Ordering::Release))
    }
}

fn header(column: u32, number: u32, layout: Layout) -> [u8; HEADER_SUMMED + 4] {
    let mut bytes = [0; HEADER_SUMMED + 4];
    bytes[..8].copy_from_slice(MAGIC);
    let fields = [FORMAT_VERSION, column, layout.dimensions as u32, layout.element.number(), number];
    for (i, field) in fields.into_iter().enumerate() {
        bytes[8 + 4 * i..12 + 4 * i].copy_from_slice(&field.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..HEADER_SUMMED]);
    bytes[HEADER_SUMMED..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Refuses the header of a segment that a newer program wrote (55000).
pub(super) fn refuse_newer(path: impl Display, header: &[u8; HEADER_SUMMED + 4]) -> Result<()> {
    match header.starts_with(MAGIC) {
        true => codec::refuse_newer(path, header, FORMAT_VERSION, |_| HEADER_SUMMED),
        false => Ok(()),
    }
}

/// XX001 when it is not the header of this segment, 55000 when a newer program wrote it.
fn check_header(file: &dyn File, column: u32, number: u32, layout: Layout) -> Result<()> {
    let path = file.path().display();
    let len = file.len()?;
    if len < HEADER_BYTES {
        return Err(Error::corrupt(
            path,
            len,
            format!("a header of {HEADER_BYTES} bytes"),
            "the end of the file",
        ));
    }
    let mut found = [0; HEADER_SUMMED + 4];
    file.read_exact_at(&mut found, 0)?;
    refuse_newer(&path, &found)?;
    let expected = header(column, number, layout);
    match (0..expected.len()).find(|&i| found[i] != expected[i]) {
        None => Ok(()),
        Some(i) if i < 8 => Err(Error::corrupt(path, 0, "a vector segment", format!("{:02x?}", &found[..8]))),
        Some(i) => {
            let field = i / 4 * 4;
            let name =
                ["format version", "column", "dimensions", "element", "segment number", "header checksum"]
                    [field / 4 - 2];
            let value = |bytes: &[u8]| {
                let word = bytes[field..field + 4].try_into().expect("a word has four bytes");
                format!("{name} {}", u32::from_le_bytes(word))
            };
            Err(Error::corrupt(path, field as u64, value(&expected), value(&found)))
        }
    }
}
