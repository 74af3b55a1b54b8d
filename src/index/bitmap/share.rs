//! What metadata indexes may hold in memory, and the files that have the rest.
//!
//! ```text
//!   Share   held <= held_max      chunks of arrays, and bitmaps by value
//!           spilled               chunks in files of their size:
//!
//!   4 KB    [place][place][ ... ]                     a file without a name, mapped for reading
//!   36 KB   [place][free ][place][ ... ]   [place]    one that has grown, and the next
//! ```
//!
//! A chunk in a file is never changed there: who changes one has it in memory again, and its place is free once nobody
//! reads it any more. Its pages are the page cache's, which the kernel takes when it wants memory; a page that cannot be
//! read is an error to who asks for it, and the index then cannot say ([`Bytes::check`]). What is copied from there, to be
//! changed or saved, is held against a checksum ([`Bytes::verify`]): a disk that has lost what was written to it does not
//! damage more than the answers of a scan, which looks at pages as they are. Codes of texts are scanned, too, when hashes
//! take their place or free ones are looked for: only those of no text are found there.
//!
//! Free places are taken before new ones, in the oldest file first, so that the files of a size are never more than the
//! most that was spilled of it needed, and the younger ones empty; an empty one goes. The space of a free place is given back
//! to the disk at once: what is taken there is what is spilled.
//!
//! Space is not reserved: unlike those of graphs, the bytes are written by calls that tell when the disk is full. Then they
//! stay in memory, `held` exceeds its bound, and the log has a warning: a commit does not fail for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::fs::{File, Fs, Map, OpenMode};

/// Places begin on pages, so that those of one are given back without those of another.
const PAGE_BYTES: usize = 4096;
/// Bytes of a file: a quarter of the share, 64 MB at most. Data of ten times the budget is some 300 maps, of a budget of
/// 64 GB some 10,000, of the 65,530 that Linux lets a process have.
const FILE_SHARE: u64 = 4;
const FILE_BYTES_MIN: u64 = 1 << 20;
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A pass frees so much more than is too much, or an eighth of the share if that is less.
const PASS_BYTES_MAX: u64 = 4 << 20;
/// The least part that one of several has, however much the others hold: they may never move any of it again.
const LEAST_PART: u64 = 4;

/// Bytes that a pass has to free, counted down by what it has moved: who reads the state from before the pass holds that
/// for longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    pub held: u64,
    /// Of bitmaps by value.
    pub bitmaps: u64,
}

/// Memory for metadata indexes, shared by all of a database.
pub struct Share {
    held: AtomicU64,
    held_max: u64,
    /// Of what is held, bitmaps by value.
    bitmaps: AtomicU64,
    spilled: AtomicU64,
    /// Files made so far; their names differ.
    made: AtomicU64,
    disk: Option<(Arc<dyn Fs>, PathBuf)>,
    /// By the bytes of their places.
    files: Mutex<BTreeMap<usize, Files>>,
    warned: AtomicBool,
    /// What this is counted in as well.
    whole: Option<Arc<Share>>,
}

/// The files of one size of places, by the order in which they were made.
#[derive(Default)]
struct Files {
    all: BTreeMap<u64, Places>,
    /// Those that have a free place.
    roomy: BTreeSet<u64>,
}

struct Places {
    file: Arc<SpillFile>,
    free: Vec<u32>,
    taken: usize,
}

struct SpillFile {
    number: u64,
    file: Arc<dyn File>,
    map: Map,
    place_bytes: usize,
    /// Whether the log was told that some of it cannot be read.
    told: AtomicBool,
}

/// A place in a file, free once dropped.
pub struct Place {
    share: Arc<Share>,
    file: Arc<SpillFile>,
    number: u32,
    len: usize,
    /// crc32c of the bytes.
    sum: u32,
}

/// Bytes of memory that count, until dropped.
pub struct Held {
    share: Arc<Share>,
    bytes: u64,
}

/// Memory that counts by what its owner says of it, from time to time.
pub struct Charge {
    share: Arc<Share>,
    bytes: AtomicU64,
}

/// What a chunk consists of, in memory or in a file.
pub enum Bytes {
    Held(Box<[u8]>, Held),
    Spilled(Arc<Place>),
}

impl Share {
    /// All the memory there is.
    pub fn unbounded() -> Arc<Share> {
        Share::of(u64::MAX, None, None)
    }

    /// `held_max` bytes of memory; what is beyond goes to files in `dir`, which need not exist. Who opens the database
    /// removes what a crash left there.
    pub fn new(fs: Arc<dyn Fs>, dir: PathBuf, held_max: u64) -> Arc<Share> {
        Share::of(held_max, Some((fs, dir)), None)
    }

    /// `held_max` bytes of memory, for shares that have files of their own ([`Share::within`]).
    pub fn bound(held_max: u64) -> Arc<Share> {
        Share::of(held_max, None, None)
    }

    /// The memory of this share, which others have as well; what is beyond goes to files in `dir`, as in [`Share::new`].
    pub fn within(self: &Arc<Share>, fs: Arc<dyn Fs>, dir: PathBuf) -> Arc<Share> {
        Share::of(self.held_max, Some((fs, dir)), Some(self.clone()))
    }

    /// Counts in this one, and stays in memory whatever is beyond.
    pub fn kept(self: &Arc<Share>) -> Arc<Share> {
        Share::of(u64::MAX, None, Some(self.clone()))
    }

    fn of(held_max: u64, disk: Option<(Arc<dyn Fs>, PathBuf)>, whole: Option<Arc<Share>>) -> Arc<Share> {
        Arc::new(Share {
            held: AtomicU64::new(0),
            held_max,
            bitmaps: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            made: AtomicU64::new(0),
            disk,
            files: Mutex::default(),
            warned: AtomicBool::new(false),
            whole,
        })
    }

    /// Bytes in memory.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes in files.
    pub fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// What others share with this one, or this one where they do not.
    pub fn whole(&self) -> &Share {
        self.whole.as_deref().unwrap_or(self)
    }

    /// What may be in memory: what the others leave of what they share, a part of it at least.
    fn bytes_max(&self) -> u64 {
        let Some(whole) = self.whole.as_ref().filter(|_| self.has_files()) else { return self.held_max };
        let others = whole.held().saturating_sub(self.held());
        self.held_max.min(whole.held_max.saturating_sub(others).max(whole.held_max / LEAST_PART))
    }

    /// Whether more is in memory than should be.
    pub fn is_over(&self) -> bool {
        self.held() > self.bytes_max()
    }

    /// What a pass has to free, when more is in memory than should be: as much as is too much, and a bit more, so that not
    /// each commit needs another.
    pub fn excess(&self) -> Excess {
        let (held, held_max) = (self.held(), self.bytes_max());
        if held <= held_max {
            return Excess::default();
        }
        let wanted = held_max - (held_max / 8).min(PASS_BYTES_MAX);
        // More would leave so little that chunks which are written come and go.
        let bitmaps = self.bitmaps.load(Ordering::Relaxed).saturating_sub(held_max / 2);
        Excess { held: held - wanted, bitmaps }
    }

    /// Whether what is beyond goes to files.
    pub fn has_files(&self) -> bool {
        self.disk.is_some()
    }

    fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.add(bytes));
    }

    fn subtract(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.subtract(bytes));
    }

    fn add_spilled(&self, bytes: u64) {
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.add_spilled(bytes));
    }

    fn subtract_spilled(&self, bytes: u64) {
        self.spilled.fetch_sub(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.subtract_spilled(bytes));
    }

    fn hold(self: &Arc<Share>, bytes: usize) -> Held {
        self.add(bytes as u64);
        Held { share: self.clone(), bytes: bytes as u64 }
    }

    /// The bytes in a file; `None` when there can be none, and memory has to do.
    fn spill(self: &Arc<Share>, bytes: &[u8]) -> Option<Place> {
        self.disk.as_ref()?;
        let written = self.take_place(bytes.len()).and_then(|mut place| {
            place.file.file.write_all_at(bytes, place.start() as u64)?;
            (place.len, place.sum) = (bytes.len(), crc32c::crc32c(bytes));
            Ok(place)
        });
        match written {
            Ok(place) => {
                self.warned.store(false, Ordering::Relaxed);
                Some(place)
            }
            Err(error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    log::warn!("metadata indexes take more memory than they are meant to: {error}");
                }
                None
            }
        }
    }

    fn take_place(self: &Arc<Share>, len: usize) -> Result<Place> {
        let place_bytes = len.next_multiple_of(PAGE_BYTES);
        let mut sizes = self.files.lock();
        let files = sizes.entry(place_bytes).or_default();
        while let Some(number) = files.roomy.first().copied() {
            let places = files.all.get_mut(&number).expect("files with room are there");
            // What is written where a page was lost would not be seen.
            let place = places.free.pop().filter(|_| !places.file.map.has_lost());
            if place.is_none() || places.free.is_empty() {
                files.roomy.remove(&number);
            }
            if let Some(place) = place {
                return Ok(self.taken(places, place));
            }
        }
        let (file, count) = self.make_file(place_bytes)?;
        let number = file.number;
        let mut places = Places { file: Arc::new(file), free: (1..count).rev().collect(), taken: 0 };
        let place = self.taken(&mut places, 0);
        if count > 1 {
            files.roomy.insert(number);
        }
        files.all.insert(number, places);
        Ok(place)
    }

    fn taken(self: &Arc<Share>, places: &mut Places, number: u32) -> Place {
        places.taken += 1;
        self.add_spilled(places.file.place_bytes as u64);
        Place { share: self.clone(), file: places.file.clone(), number, len: 0, sum: 0 }
    }

    /// Another file, and how many places it has.
    fn make_file(&self, place_bytes: usize) -> Result<(SpillFile, u32)> {
        let (fs, dir) = self.disk.as_ref().expect("asked by who spills");
        // Nobody looks for it after a crash.
        fs.create_dir(dir)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("metadata.{number}"));
        let file = fs.open(&path, OpenMode::Create)?;
        let bytes = (self.held_max / FILE_SHARE).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX);
        let count = (bytes / place_bytes as u64).max(1) as u32;
        let map = file.map(u64::from(count) * place_bytes as u64);
        // The handle keeps the file; if its name stays it goes with the next start.
        let removed = fs.remove_file(&path);
        let map = map?;
        removed?;
        Ok((SpillFile { number, file, map, place_bytes, told: AtomicBool::new(false) }, count))
    }

    fn free_place(&self, place: &Place) {
        let file = &place.file;
        self.subtract_spilled(file.place_bytes as u64);
        let mut sizes = self.files.lock();
        let files = sizes.get_mut(&file.place_bytes).expect("a place is of a file of its size");
        let places = files.all.get_mut(&file.number).expect("a file with a place that is taken stays");
        places.taken -= 1;
        if places.taken == 0 {
            files.all.remove(&file.number);
            files.roomy.remove(&file.number);
            return;
        }
        // Where the space stays it is written again, or goes with its file.
        let _ = file.file.punch(place.start() as u64, file.place_bytes as u64);
        places.free.push(place.number);
        files.roomy.insert(file.number);
    }
}

impl Place {
    fn start(&self) -> usize {
        self.number as usize * self.file.place_bytes
    }

    /// Once for each file.
    #[cold]
    fn tell(&self, error: &Error) {
        if !self.file.told.swap(true, Ordering::Relaxed) {
            log::warn!("metadata indexes do not answer, rows are read in their place: {error}");
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.file.map[self.start()..][..self.len]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.share.free_place(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.subtract(self.bytes);
    }
}

impl Charge {
    pub fn new(share: &Arc<Share>) -> Charge {
        Charge { share: share.clone(), bytes: AtomicU64::new(0) }
    }

    /// From now on it is so much.
    pub fn set(&self, bytes: u64) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        if before != bytes {
            self.share.add(bytes);
            self.share.subtract(before);
            self.share.bitmaps.fetch_add(bytes, Ordering::Relaxed);
            self.share.bitmaps.fetch_sub(before, Ordering::Relaxed);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Bytes {
    pub fn new(bytes: Box<[u8]>, share: &Arc<Share>) -> Bytes {
        let held = share.hold(bytes.len());
        Bytes::Held(bytes, held)
    }

    /// The same in memory; an error when they are in a file and are not what was written ([`Bytes::verify`]).
    pub fn held(&self, share: &Arc<Share>) -> Result<Bytes> {
        let bytes: Box<[u8]> = self.read().into();
        self.verify(&bytes)?;
        Ok(Bytes::new(bytes, share))
    }

    /// The same in a file; `None` where they are in one, and when there can be none.
    pub fn spilled(&self, share: &Arc<Share>) -> Option<Bytes> {
        match self {
            Bytes::Held(bytes, _) => share.spill(bytes).map(|place| Bytes::Spilled(Arc::new(place))),
            Bytes::Spilled(_) => None,
        }
    }

    pub fn is_held(&self) -> bool {
        matches!(self, Bytes::Held(..))
    }

    /// What was read counts once [`Bytes::check`] has found nothing: a page that is lost is zeros.
    #[inline]
    pub fn read(&self) -> &[u8] {
        match self {
            Bytes::Held(bytes, _) => bytes,
            Bytes::Spilled(place) => place.bytes(),
        }
    }

    /// An error (58030) when a page of the file could not be read, ever.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self {
            Bytes::Held(..) => Ok(()),
            Bytes::Spilled(place) => place.file.map.refuse_unread(0).inspect_err(|error| place.tell(error)),
        }
    }

    /// An error when `read`, which was read here, is not what was written: 58030 when a page could not be read, XX001 when it
    /// is another.
    pub fn verify(&self, read: &[u8]) -> Result<()> {
        self.check()?;
        match self {
            Bytes::Spilled(place) if crc32c::crc32c(read) != place.sum => {
                let path = place.file.file.path().display();
                let at = place.start() as u64;
                let error = Error::corrupt(path, at, format!("checksum {:08x}", place.sum), "another");
                place.tell(&error);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Those in memory.
    pub fn write(&mut self) -> Option<&mut [u8]> {
        match self {
            Bytes::Held(bytes, _) => Some(bytes),
            Bytes::Spilled(_) => None,
        }
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Bytes {
        match self {
            Bytes::Held(bytes, held) => Bytes::new(bytes.clone(), &held.share),
            Bytes::Spilled(place) => Bytes::Spilled(place.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqlState;
    use crate::fs::faulty::{Fault, Op, What};
    use crate::fs::{DiskFs, FaultyFs, MemoryFs};
    use std::path::Path;

    fn bytes(share: &Arc<Share>, len: usize, byte: u8) -> Bytes {
        Bytes::new(vec![byte; len].into(), share)
    }

    fn files(share: &Share) -> usize {
        share.files.lock().values().map(|files| files.all.len()).sum()
    }

    #[test]
    fn places_come_back_are_taken_again_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        for (fs, dir) in
            [(memory, Path::new("/spill")), (Arc::new(DiskFs) as Arc<dyn Fs>, &folder.path().join("spill"))]
        {
            let share = Share::new(fs.clone(), dir.into(), 0);
            // Two sizes, three files of the larger one.
            let small = bytes(&share, 100, 1).spilled(&share).unwrap();
            let large: Vec<Bytes> =
                (0..70).map(|n| bytes(&share, 40_000, n).spilled(&share).unwrap()).collect();
            assert_eq!((share.held(), files(&share)), (0, 4));
            assert_eq!(share.spilled(), 4096 + 70 * 40_960);
            for (n, bytes) in large.iter().enumerate() {
                assert_eq!(bytes.read(), vec![n as u8; 40_000]);
                bytes.check().unwrap();
            }
            assert!(fs.list(dir).unwrap().is_empty(), "a file kept its name");
            // A copy keeps its place; the second file goes, and of the others every other place.
            let copy = large[2].clone();
            let kept: Vec<Bytes> = large
                .into_iter()
                .enumerate()
                .filter(|(n, _)| *n % 2 == 1 && !(25..50).contains(n))
                .map(|(_, bytes)| bytes)
                .collect();
            assert_eq!(files(&share), 3);
            let more: Vec<Bytes> =
                (0..14).map(|n| bytes(&share, 40_900, n).spilled(&share).unwrap()).collect();
            assert_eq!(files(&share), 3, "free places of the first file were taken");
            assert_eq!(copy.read(), [2; 40_000]);
            assert!(more.iter().enumerate().all(|(n, bytes)| bytes.read() == vec![n as u8; 40_900]));
            assert!(kept.iter().all(|bytes| bytes.read().iter().all(|byte| byte % 2 == 1)));
            assert_eq!(kept[0].held(&share).unwrap().read(), [1; 40_000]);
            drop((small, kept, copy, more));
            assert_eq!((share.held(), share.spilled(), files(&share)), (0, 0, 0));
        }
    }

    #[test]
    fn space_of_free_places_goes_back_to_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let share = Share::new(Arc::new(DiskFs), folder.path().join("spill"), 64 << 20);
        let mut all: Vec<Bytes> =
            (0..200).map(|n| bytes(&share, 65_536, n).spilled(&share).unwrap()).collect();
        let space = || {
            let sizes = share.files.lock();
            sizes.values().flat_map(|files| files.all.values()).map(|p| p.file.file.space().unwrap()).sum()
        };
        let full: u64 = space();
        all.truncate(10);
        assert!(full >= 200 * 65_536 && space() <= full / 10, "{} of {full}", space());
        assert!(all.iter().enumerate().all(|(n, bytes)| bytes.read()[0] == n as u8));
    }

    #[test]
    fn what_is_copied_is_what_was_written() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 0);
        let spilled = bytes(&share, 5000, 7).spilled(&share).unwrap();
        assert_eq!(spilled.held(&share).unwrap().read(), [7; 5000]);
        let Bytes::Spilled(place) = &spilled else { panic!("it is in a file") };
        place.file.file.write_all_at(&[9], place.start() as u64 + 4999).unwrap();
        let Err(error) = spilled.held(&share) else { panic!("the last byte is another") };
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
    }

    #[test]
    fn what_is_held_is_counted() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 1000);
        let first = bytes(&share, 900, 0);
        let copy = first.clone();
        assert_eq!((share.held(), share.excess()), (1800, Excess { held: 925, bitmaps: 0 }));
        drop(first);
        assert_eq!((share.held(), share.excess()), (900, Excess::default()));
        drop(copy);
        let kept = share.kept();
        let charge = Charge::new(&share);
        charge.set(600);
        let here = bytes(&kept, 500, 0);
        assert!(share.is_over() && !kept.is_over() && share.excess().bitmaps == 100);
        assert!(here.spilled(&kept).is_none(), "what is kept has no files");
        charge.set(100);
        assert_eq!((share.held(), share.excess().bitmaps), (600, 0));
        drop((charge, here));
        assert_eq!((share.held(), kept.held()), (0, 0));
        assert!(!Share::unbounded().is_over());
    }

    #[test]
    fn without_a_file_bytes_stay_in_memory() {
        let (fs, faults) = FaultyFs::new(MemoryFs::new());
        let share = Share::new(fs, "/spill".into(), 0);
        let held = bytes(&share, 5000, 7);
        for op in [Op::CREATE, Op::READ, Op::REMOVE, Op::WRITE] {
            faults.arm(Fault { at: 1, on: op, what: What::Fail(std::io::ErrorKind::StorageFull) });
            assert!(held.spilled(&share).is_none());
            faults.disarm();
            assert_eq!((share.held(), share.spilled(), held.read()), (5000, 0, &[7; 5000][..]));
        }
        let spilled = held.spilled(&share).unwrap();
        assert_eq!(spilled.read(), [7; 5000]);
    }
}
