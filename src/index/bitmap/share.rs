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
//! read is an error to who asks for it, and the index then cannot say ([`Bytes::check`]). A chunk is held against a checksum
//! when it is read for the first time after it was written, and again whenever it is copied from there, to be changed or saved
//! ([`Bytes::verify`]). Later scans look at pages as they are: what a disk gives that had them right before, when the kernel
//! reads them once more, is not looked at twice. Codes of texts are scanned, too, when hashes take their place or free ones
//! are looked for: those of no text are found there.
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
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::fs::{File, Fs, Map, OpenMode};

/// Places begin on pages, so that those of one are given back without those of another.
const PAGE_BYTES: usize = 4096;
/// Bytes of a file: a quarter of the share, or a sixteenth of what is in files already, 64 MB at most. So there are some
/// dozens of files, whatever the share, until there is more than a GB in them, and then 16 for each. Each is a map, of the
/// 65,530 that Linux lets a process have, and a handle.
const FILE_SHARE: u64 = 4;
const FILES_MEANT: u64 = 16;
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
    /// The different texts of columns, which stay in memory and are not among what is held.
    texts: AtomicU64,
    spilled: AtomicU64,
    /// Files made so far; their names differ.
    made: AtomicU64,
    disk: Option<(Arc<dyn Fs>, PathBuf)>,
    /// By the bytes of their places.
    files: Mutex<BTreeMap<usize, Files>>,
    warned: AtomicBool,
    /// How often somebody met what cannot be read.
    unread: AtomicU64,
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
    /// [`UNREAD`], [`SOUND`] or [`DAMAGED`].
    found: AtomicU8,
}

/// Nobody has read a place yet, or it was held against its checksum.
const UNREAD: u8 = 0;
const SOUND: u8 = 1;
const DAMAGED: u8 = 2;

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

/// Texts that count, until dropped; a clone is as many.
pub struct Texts {
    share: Arc<Share>,
    bytes: u64,
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
            texts: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            made: AtomicU64::new(0),
            disk,
            files: Mutex::default(),
            warned: AtomicBool::new(false),
            unread: AtomicU64::new(0),
            whole,
        })
    }

    /// Bytes in memory, but for texts.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes of the different texts of columns.
    pub fn texts(&self) -> u64 {
        self.texts.load(Ordering::Relaxed)
    }

    /// What may be held beside the texts: half of what may be in memory at least, for with less chunks would come and go.
    fn held_max(&self) -> u64 {
        let bytes_max = self.bytes_max();
        bytes_max.saturating_sub(self.texts()).max(bytes_max / 2)
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
        let own = self.held() + self.texts();
        let others = (whole.held() + whole.texts()).saturating_sub(own);
        self.held_max.min(whole.held_max.saturating_sub(others).max(whole.held_max / LEAST_PART))
    }

    /// Whether more is in memory than should be.
    pub fn is_over(&self) -> bool {
        self.held() > self.held_max()
    }

    /// What a pass has to free, when more is in memory than should be: as much as is too much, and a bit more, so that not
    /// each commit needs another.
    pub fn excess(&self) -> Excess {
        let (held, held_max) = (self.held(), self.held_max());
        if held <= held_max {
            return Excess::default();
        }
        let wanted = held_max - (held_max / 8).min(PASS_BYTES_MAX);
        // More would leave so little that chunks which are written come and go.
        let bitmaps = self.bitmaps.load(Ordering::Relaxed).saturating_sub(held_max / 2);
        Excess { held: held - wanted, bitmaps }
    }

    /// How often somebody met what cannot be read in a file.
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
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

    /// Texts take so many bytes, which took others before.
    fn count_texts(&self, bytes: u64, before: u64) {
        self.texts.fetch_add(bytes, Ordering::Relaxed);
        self.texts.fetch_sub(before, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.count_texts(bytes, before));
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
        Place {
            share: self.clone(),
            file: places.file.clone(),
            number,
            len: 0,
            sum: 0,
            found: AtomicU8::new(UNREAD),
        }
    }

    /// Another file, and how many places it has.
    fn make_file(&self, place_bytes: usize) -> Result<(SpillFile, u32)> {
        let (fs, dir) = self.disk.as_ref().expect("asked by who spills");
        // Nobody looks for it after a crash.
        fs.create_dir(dir)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("metadata.{number}"));
        let file = fs.open(&path, OpenMode::Create)?;
        let bytes = (self.held_max / FILE_SHARE).max(self.spilled() / FILES_MEANT);
        let bytes = bytes.clamp(FILE_BYTES_MIN, FILE_BYTES_MAX);
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

    /// Once for each file in the log.
    #[cold]
    fn tell(&self, error: &Error) {
        self.share.unread.fetch_add(1, Ordering::Relaxed);
        if !self.file.told.swap(true, Ordering::Relaxed) {
            log::warn!("metadata indexes do not answer, rows are read in their place: {error}");
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.file.map[self.start()..][..self.len]
    }

    /// Whether the first who reads it finds what was written: 5 us for 64 KB that are in the page cache.
    #[cold]
    fn verify_first(&self) -> Result<()> {
        if self.found.load(Ordering::Relaxed) == UNREAD {
            let outcome = self.verify(self.bytes());
            // A page that was lost meanwhile is zeros.
            self.refuse_unread()?;
            outcome?;
            self.found.store(SOUND, Ordering::Relaxed);
            return Ok(());
        }
        Err(self.another())
    }

    fn refuse_unread(&self) -> Result<()> {
        self.file.map.refuse_unread(0).inspect_err(|error| self.tell(error))
    }

    fn verify(&self, read: &[u8]) -> Result<()> {
        if crc32c::crc32c(read) == self.sum {
            return Ok(());
        }
        self.found.store(DAMAGED, Ordering::Relaxed);
        Err(self.another())
    }

    /// It is not what was written.
    fn another(&self) -> Error {
        let (path, at) = (self.file.file.path().display(), self.start() as u64);
        let error = Error::corrupt(path, at, format!("checksum {:08x}", self.sum), "another");
        self.tell(&error);
        error
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

impl Texts {
    pub fn new(share: &Arc<Share>) -> Texts {
        Texts { share: share.clone(), bytes: 0 }
    }

    /// From now on they are so many bytes.
    pub fn set(&mut self, bytes: u64) {
        self.share.count_texts(bytes, self.bytes);
        self.bytes = bytes;
    }
}

impl Clone for Texts {
    fn clone(&self) -> Texts {
        let mut texts = Texts::new(&self.share);
        texts.set(self.bytes);
        texts
    }
}

impl Drop for Texts {
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

    /// An error when a page of the file could not be read, ever (58030), or when the first who read these bytes found others
    /// than were written (XX001).
    #[inline]
    pub fn check(&self) -> Result<()> {
        let Bytes::Spilled(place) = self else { return Ok(()) };
        place.refuse_unread()?;
        match place.found.load(Ordering::Relaxed) {
            SOUND => Ok(()),
            _ => place.verify_first(),
        }
    }

    /// An error when `read`, which was read here, is not what was written: 58030 when a page could not be read, XX001 when it
    /// is another.
    pub fn verify(&self, read: &[u8]) -> Result<()> {
        let Bytes::Spilled(place) = self else { return Ok(()) };
        place.refuse_unread()?;
        place.verify(read)
    }

    /// Whether somebody found, of these bytes or of others in their file, that they cannot be read.
    pub fn is_lost(&self) -> bool {
        let Bytes::Spilled(place) = self else { return false };
        place.found.load(Ordering::Relaxed) == DAMAGED || place.file.map.refuse_unread(0).is_err()
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
    fn what_is_read_for_the_first_time_is_what_was_written() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 0);
        let [sound, damaged] = [7, 8].map(|byte| bytes(&share, 5000, byte).spilled(&share).unwrap());
        let Bytes::Spilled(place) = &damaged else { panic!("it is in a file") };
        place.file.file.write_all_at(&[9], place.start() as u64 + 4999).unwrap();
        sound.check().unwrap();
        for _ in 0..2 {
            assert_eq!(damaged.check().unwrap_err().state(), SqlState::DATA_CORRUPTED);
            assert_eq!(damaged.clone().check().unwrap_err().state(), SqlState::DATA_CORRUPTED);
        }
        sound.check().unwrap();
    }

    #[test]
    fn the_more_there_is_in_files_the_larger_they_are() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 0);
        let all: Vec<Bytes> = (0..1000).map(|_| bytes(&share, 65_536, 1).spilled(&share).unwrap()).collect();
        assert!(share.spilled() == 1000 * 65_536 && files(&share) < 48, "{} files", files(&share));
        drop(all);
        assert_eq!(files(&share), 0);
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
    fn texts_leave_the_rest_of_the_share_and_half_of_it_at_least() {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), 1000);
        let held = bytes(&share, 700, 0);
        let mut texts = Texts::new(&share.kept());
        texts.set(200);
        assert!(!share.is_over());
        texts.set(400);
        assert_eq!((share.texts(), share.excess().held), (400, 700 - 525));
        let copy = texts.clone();
        assert_eq!((share.texts(), share.held(), share.excess().held), (800, 700, 700 - 438));
        texts.set(0);
        drop((texts, copy, held));
        assert_eq!((share.texts(), share.held()), (0, 0));
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
