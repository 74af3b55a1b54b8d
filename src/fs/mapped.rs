//! Maps of files into memory, and two Linux hints; the only unsafe code on files.
//!
//! ```text
//! Map      read-only, shared    writes through File show up    vector segments, sorted tables
//! WordMap  private, writable    changes stay in memory         links of a graph
//!          or shared            changes may go to the file     the same, when memory is short
//!          or of no file        zeros, in large pages          the same, in memory
//! ```
//!
//! Both have a second form in plain memory, for the file system of tests: a `Region` that its file copies every
//! write into, so that code above cannot tell the two apart.
//!
//! What a map cannot promise is that its bytes hold still: somebody may write the file. The database owns its
//! files (a lock file keeps other processes away) and its own rule is stated at [`super::File::map`]: bytes are
//! read only below what is known to be written, and what has been published is not written again.
//!
//! Nor can it promise that they are there: a bad sector, or a file that somebody cut, is a SIGBUS at the instruction
//! that reads, and there is nobody to return an error to. So every map of a file is *watched*:
//!
//! ```text
//!   load ---SIGBUS---> which map?  --none--> the handler from before us, or the end of the process
//!                        | 1. its page is noted as lost, the map's last fault and the count of all faults go up
//!                        | 2. an empty page takes its place
//!                        v
//!   load again: zeros ... the reader comes to its end, asks whether there was a fault since it began, and fails
//! ```
//!
//! The note comes before the page, so that nobody sees zeros of which the count does not know. The empty page is private
//! and anonymous: what is stored there stays in memory and never reaches the file. It stays until the map is asked to
//! try the file again ([`super::File::map_again`]).
//!
//! The handler takes a spin lock and makes one system call; it allocates nothing and reads nothing but atomics.

#![allow(unsafe_code, reason = "maps are raw memory, and std has no fallocate or sync_file_range")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, LazyLock, OnceLock};

use half::{bf16, f16};
use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use parking_lot::Mutex;

use crate::error::{Error, Result};

/// Bytes of a file, read-only.
pub struct Map(Bytes);

enum Bytes {
    Empty,
    /// The watch ends before the map does.
    Mapped(Watch, MmapRaw),
    Memory(Arc<Region>, usize),
    Private(Arc<WordMap>, usize),
}

impl Map {
    /// Maps `len` bytes from the start, which may be more than the file has: bytes past its last page must not
    /// be touched until it has grown.
    pub(super) fn of_file(file: &File, path: &Path, len: u64) -> io::Result<Map> {
        let len = length(len)?;
        if len == 0 {
            return Ok(Map(Bytes::Empty));
        }
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Map(Bytes::Mapped(Watch::over(map.as_ptr(), len, libc::PROT_READ, path), map)))
    }

    /// The first `len` bytes of `region`.
    pub(super) fn of_region(region: Arc<Region>, len: usize) -> Map {
        Map(Bytes::Memory(region, len))
    }

    /// The first `len` bytes of a copy-on-write map, which has them.
    pub(super) fn of_words(words: Arc<WordMap>, len: usize) -> Map {
        assert!(len <= words.len() * WORD, "{len} bytes of {} words", words.len());
        Map(Bytes::Private(words, len))
    }

    /// Tells the kernel that reads jump about, so that it does not read ahead. A hint.
    pub fn advise_random(&self) {
        if let Bytes::Mapped(_, map) = &self.0 {
            let _ = map.advise(Advice::Random);
        }
    }

    /// Starts reading these bytes, as far as there are such, so that they are there when they are looked at. A hint.
    pub fn will_need(&self, bytes: Range<usize>) {
        if let Bytes::Mapped(_, map) = &self.0
            && bytes.start < bytes.end.min(map.len())
        {
            let _ = map.advise_range(Advice::WillNeed, bytes.start, bytes.end.min(map.len()) - bytes.start);
        }
    }

    /// An error (58030) when a page could not be read after the first `since` of [`faults`]: asked by who has read.
    pub fn refuse_unread(&self, since: u64) -> Result<()> {
        self.watch().map_or(Ok(()), |watch| watch.lost.refuse_unread(since))
    }

    /// Whether a page of these bytes is an empty one in place of the file's: asked by who has read them.
    pub fn is_lost(&self, bytes: Range<u64>) -> bool {
        self.watch().is_some_and(|watch| watch.lost.touches(bytes))
    }

    /// Whether any page is.
    pub fn has_lost(&self) -> bool {
        self.watch().is_some_and(|watch| watch.lost.touches(0..u64::MAX))
    }

    /// Puts the file's pages where empty ones are, as far as they hold some of `bytes`.
    pub(super) fn try_again(&self, file: &File, bytes: Range<u64>) -> io::Result<()> {
        match &self.0 {
            Bytes::Mapped(watch, map) => watch.lost.try_again(file, map, bytes),
            _ => Ok(()),
        }
    }

    fn watch(&self) -> Option<&Watch> {
        match &self.0 {
            Bytes::Mapped(watch, _) => Some(watch),
            Bytes::Private(words, _) => words.watch(),
            Bytes::Empty | Bytes::Memory(..) => None,
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Empty => &[],
            // Sound: the mapping is readable, `len` long and lives as long as `self`. Bytes another handle writes
            // meanwhile are, by the rule at the head of this file, not among those the caller looks at.
            Bytes::Mapped(_, map) => unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) },
            Bytes::Memory(region, len) => &region.bytes()[..*len],
            // Sound: `len` is within the words, which are initialised bytes that live as long as `self`; words being
            // stored are, by the same rule, not among those the caller looks at.
            Bytes::Private(words, len) => unsafe {
                std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), *len)
            },
        }
    }
}

/// Words of a file. Copy-on-write: stores change this process's memory and never the file; or shared: the file is
/// where the system puts them when it wants the memory.
pub struct WordMap(Words);

enum Words {
    /// The watch ends before the map does.
    Mapped(Watch, MmapMut),
    Zeroed(MmapMut),
    Memory(Box<[AtomicU32]>),
}

impl WordMap {
    /// Whole words only: up to three bytes at the end of the file are left out.
    pub(super) fn of_file(file: &File, path: &Path) -> io::Result<WordMap> {
        let len = length(file.metadata()?.len())?;
        if len < WORD {
            return Ok(WordMap(Words::Memory(Box::default())));
        }
        // Sound: a private mapping is ours alone once a page has been written; pages not yet written follow the
        // file, which nobody changes while a graph is open over it (generations are written once, then renamed).
        let map = unsafe { MmapOptions::new().len(len).map_copy(file)? };
        Ok(WordMap::watched(map, path))
    }

    /// Zeros of no file, those that are never written costing nothing; in pages of 2 MB where the system has them and there
    /// are as many: a walk goes to another page with each step, and the processor knows where only so many of them are.
    ///
    /// An error where the system has no memory or no addresses for so many.
    pub fn zeroed(words: usize) -> io::Result<WordMap> {
        let bytes = words.checked_mul(WORD).ok_or(io::ErrorKind::OutOfMemory)?;
        let map = MmapOptions::new().len(bytes.max(1)).map_anon()?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage);
        Ok(WordMap(Words::Zeroed(map)))
    }

    fn watched(map: MmapMut, path: &Path) -> WordMap {
        let watch = Watch::over(map.as_ptr(), map.len(), libc::PROT_READ | libc::PROT_WRITE, path);
        WordMap(Words::Mapped(watch, map))
    }

    fn watch(&self) -> Option<&Watch> {
        match &self.0 {
            Words::Mapped(watch, _) => Some(watch),
            Words::Zeroed(_) | Words::Memory(_) => None,
        }
    }

    /// An error (58030) when a page could not be read, ever: what was stored in it is gone as well, so that the words are
    /// of no use any more.
    pub fn refuse_unread(&self) -> Result<()> {
        self.watch().map_or(Ok(()), |watch| watch.lost.refuse_unread(0))
    }

    /// Whole words only. The file's blocks are there ([`super::File::allocate`]): a store that finds no room on the
    /// disk would lose its page.
    pub(super) fn shared(file: &File, path: &Path) -> io::Result<WordMap> {
        let len = length(file.metadata()?.len())?;
        if len < WORD {
            return Ok(WordMap(Words::Memory(Box::default())));
        }
        // Sound: the file is one that nobody else opens (the caller's promise), so its bytes change through this map
        // alone, and all access is atomic.
        let map = unsafe { MmapOptions::new().len(len).map_mut(file)? };
        // Pages are written out when memory is short, and read again one node at a time: what lies around them would
        // take the place of others.
        let _ = map.advise(Advice::Random);
        Ok(WordMap::watched(map, path))
    }

    /// Changes bytes in memory, as far as the map has them.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) {
        let Ok(offset) = usize::try_from(offset) else { return };
        for (at, byte) in (offset..).zip(bytes) {
            let Some(word) = self.get(at / WORD) else { return };
            let mut changed = word.load(Ordering::Relaxed).to_ne_bytes();
            changed[at % WORD] = *byte;
            word.store(u32::from_ne_bytes(changed), Ordering::Relaxed);
        }
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> WordMap {
        let word =
            |chunk: &[u8]| AtomicU32::new(u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        WordMap(Words::Memory(bytes.chunks_exact(WORD).map(word).collect()))
    }
}

impl Deref for WordMap {
    type Target = [AtomicU32];

    #[inline]
    fn deref(&self) -> &[AtomicU32] {
        match &self.0 {
            // Sound: a mapping starts on a page, so it is aligned; it is writable and `len` long; AtomicU32 has
            // the layout of u32, every bit pattern is a value, and all access from here on is atomic.
            Words::Mapped(_, map) | Words::Zeroed(map) => unsafe {
                std::slice::from_raw_parts(map.as_ptr().cast::<AtomicU32>(), map.len() / WORD)
            },
            Words::Memory(words) => words,
        }
    }
}

const WORD: usize = size_of::<AtomicU32>();

fn length(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| io::Error::other("the file is larger than the address space"))
}

/// Faults of all maps so far: pages that could not be read, and are empty ones since. One that begins to read maps asks
/// for it first, and whether there was one since then at its end.
#[inline]
pub fn faults() -> u64 {
    FAULTS.load(Ordering::Acquire)
}

static FAULTS: AtomicU64 = AtomicU64::new(0);
/// Held while a fault is noted and its page is exchanged. By a signal handler too, so that nobody who holds it may look at
/// a map.
static NOTING: AtomicBool = AtomicBool::new(false);

/// Maps that can be watched: as many as Linux lets a process have (vm.max_map_count), 2 MiB of addresses of which what is
/// used becomes memory. Where the system was told to allow more, the rest is unwatched.
const MAPS_MAX: usize = 65_536;
static MAPS: [Place; MAPS_MAX] = [const { Place::new() }; MAPS_MAX];
/// Places that were ever used, all at the front.
static MAPS_END: AtomicUsize = AtomicUsize::new(0);
static MAPS_FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Bytes of a page.
static PAGE: LazyLock<usize> = LazyLock::new(|| {
    // Sound: the call takes no pointers.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("the system has pages")
});

/// Where a watched map lies. Written under the lock of [`MAPS_FREE`], read by the signal handler without one.
struct Place {
    /// Odd while the others change.
    version: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    lost: AtomicPtr<Lost>,
}

impl Place {
    const fn new() -> Place {
        Place {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            lost: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn set(&self, start: usize, end: usize, lost: *mut Lost) {
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.lost.store(lost, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// What is known of the map around an address that is being read, if it is this one.
    fn around(&self, address: usize) -> Option<*const Lost> {
        let version = self.version.load(Ordering::Acquire);
        let (start, end) = (self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        let lost = self.lost.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        // One that changes is another map: who reads this one keeps it.
        let holds_still = version.is_multiple_of(2) && version == self.version.load(Ordering::Relaxed);
        (holds_still && (start..end).contains(&address)).then_some(lost)
    }
}

/// A map's place in [`MAPS`], until it is dropped.
struct Watch {
    /// None where there was no place left.
    place: Option<usize>,
    lost: Arc<Lost>,
}

/// Pages of a map that could not be read.
struct Lost {
    path: PathBuf,
    start: usize,
    len: usize,
    protection: libc::c_int,
    /// The number of the last fault among all; 0 for none.
    last: AtomicU64,
    /// Where that was, in bytes from the start of the file.
    offset: AtomicU64,
    /// A bit per page that is an empty one now.
    pages: Box<[AtomicU64]>,
}

impl Watch {
    fn over(start: *const u8, len: usize, protection: libc::c_int, path: &Path) -> Watch {
        static INSTALLED: LazyLock<bool> = LazyLock::new(install);
        let words = len.div_ceil(*PAGE).div_ceil(64);
        let lost = Arc::new(Lost {
            path: path.to_owned(),
            start: start.expose_provenance(),
            len: len.next_multiple_of(*PAGE),
            protection,
            last: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            pages: (0..words).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut free = MAPS_FREE.lock();
        let end = MAPS_END.load(Ordering::Relaxed);
        let place = free.pop().or((end < MAPS_MAX && *INSTALLED).then_some(end));
        if let Some(place) = place {
            MAPS[place].set(lost.start, lost.start + lost.len, Arc::as_ptr(&lost).cast_mut());
            MAPS_END.fetch_max(place + 1, Ordering::Release);
        }
        Watch { place, lost }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut free = MAPS_FREE.lock();
            MAPS[place].set(0, 0, std::ptr::null_mut());
            free.push(place);
        }
    }
}

impl Lost {
    fn last(&self) -> u64 {
        // What the caller has read, it has read before this.
        fence(Ordering::Acquire);
        self.last.load(Ordering::Acquire)
    }

    fn refuse_unread(&self, since: u64) -> Result<()> {
        match self.last() > since {
            true => Err(Error::unreadable(self.path.display(), self.offset.load(Ordering::Relaxed))),
            false => Ok(()),
        }
    }

    /// Numbers of pages, as far as the map has them.
    fn pages_of(&self, bytes: Range<u64>) -> Range<usize> {
        let end = usize::try_from(bytes.end).unwrap_or(usize::MAX).min(self.len);
        usize::try_from(bytes.start).unwrap_or(usize::MAX).min(end) / *PAGE..end.div_ceil(*PAGE)
    }

    fn touches(&self, bytes: Range<u64>) -> bool {
        self.last() > 0 && self.pages_of(bytes).any(|page| self.is_empty(page))
    }

    fn is_empty(&self, page: usize) -> bool {
        self.pages[page / 64].load(Ordering::Acquire) >> (page % 64) & 1 == 1
    }

    fn try_again(&self, file: &File, map: &MmapRaw, bytes: Range<u64>) -> io::Result<()> {
        if !self.touches(bytes.clone()) {
            return Ok(());
        }
        let _noting = Noting::begin();
        for page in self.pages_of(bytes).filter(|page| self.is_empty(*page)) {
            self.pages[page / 64].fetch_and(!(1 << (page % 64)), Ordering::AcqRel);
            let (offset, shared) = (page * *PAGE, libc::MAP_SHARED | libc::MAP_FIXED);
            let offset_in_file = i64::try_from(offset).expect("a map is no longer than its file may be");
            // Sound: the page lies within the mapping, which is ours and read-only, and stays one of the same file, where
            // an empty page was. Whoever reads it meanwhile sees one or the other, and does not take zeros for an answer.
            let mapped = unsafe {
                let at = map.as_mut_ptr().add(offset).cast();
                libc::mmap(at, *PAGE, self.protection, shared, file.as_raw_fd(), offset_in_file)
            };
            if mapped == libc::MAP_FAILED {
                self.pages[page / 64].fetch_or(1 << (page % 64), Ordering::AcqRel);
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Notes that the page around `address` cannot be read, and puts an empty one there. Called by the signal handler.
    fn replace(&self, address: usize, page_bytes: usize) -> bool {
        let page = (address - self.start) / page_bytes;
        let _noting = Noting::begin();
        if self.is_empty(page) {
            // Another thread met it at the same time.
            return true;
        }
        self.pages[page / 64].fetch_or(1 << (page % 64), Ordering::AcqRel);
        self.offset.store((page * page_bytes) as u64, Ordering::Relaxed);
        let number = FAULTS.load(Ordering::Relaxed) + 1;
        self.last.store(number, Ordering::Release);
        FAULTS.store(number, Ordering::Release);
        if self.exchange(self.start + page * page_bytes, page_bytes) {
            return true;
        }
        // Pages apart from each other are maps of their own, and there may be no more of these: it goes as a whole.
        self.pages.iter().for_each(|pages| pages.store(u64::MAX, Ordering::Release));
        self.exchange(self.start, self.len)
    }

    fn exchange(&self, start: usize, len: usize) -> bool {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // Sound: whole pages within a mapping of ours, which its owner keeps while it is read. They are readable (and
        // writable) as before, and every bit pattern is a value for all who read maps. The call is one that may be made
        // in a signal handler.
        let mapped = unsafe {
            let at = std::ptr::with_exposed_provenance_mut(start);
            libc::mmap(at, len, self.protection, flags, -1, 0)
        };
        mapped != libc::MAP_FAILED
    }
}

/// [`NOTING`], held.
struct Noting;

impl Noting {
    fn begin() -> Noting {
        while NOTING.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        Noting
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        NOTING.store(false, Ordering::Release);
    }
}

/// What SIGBUS did before the first map.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Takes SIGBUS over; whether the system let us.
fn install() -> bool {
    LazyLock::force(&PAGE);
    // Sound: zeros are a valid sigaction (the default action, no flags, an empty mask), and both pointers are to such.
    // The handler keeps to what a signal handler may do, runs on a thread's signal stack where it has one, and is
    // installed only after what it reads has been initialised.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before) != 0 {
            return false;
        }
        BEFORE.get_or_init(|| before);
        let mut ours: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_bus_error;
        ours.sa_sigaction = handler as libc::sighandler_t;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) == 0
    }
}

/// The code of a SIGBUS about memory that failed by itself (`sigaction(2)`), which `libc` does not have.
const BUS_MCEERR_AO: libc::c_int = 5;

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Sound: the system calls this with a valid `info`; the location of errno is the thread's own; a pointer that
    // `around` gives is of a map that the faulting instruction reads, and its `Lost` lives as long as that. A handler from
    // before us gets what it would have got.
    unsafe {
        // A page that nobody here reads has failed: whoever reads it gets a signal of its own.
        if (*info).si_code == BUS_MCEERR_AO {
            return;
        }
        // What kill() sends has no address, and a code of 0 or less.
        if (*info).si_code > 0 {
            let errno = *libc::__errno_location();
            let address = (*info).si_addr().addr();
            let places = MAPS.iter().take(MAPS_END.load(Ordering::Acquire));
            let lost = places.filter_map(|place| place.around(address)).next();
            let is_replaced = lost.is_some_and(|lost| (*lost).replace(address, *PAGE));
            *libc::__errno_location() = errno;
            if is_replaced {
                return;
            }
        }
        match BEFORE.get() {
            Some(before) if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN => {
                // Read again, or raised again, it ends the process.
                libc::signal(signal, libc::SIG_DFL);
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
            Some(before) if before.sa_flags & libc::SA_SIGINFO != 0 => {
                type Action = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                std::mem::transmute::<libc::sighandler_t, Action>(before.sa_sigaction)(signal, info, context);
            }
            Some(before) => {
                type Action = extern "C" fn(libc::c_int);
                std::mem::transmute::<libc::sighandler_t, Action>(before.sa_sigaction)(signal);
            }
            None => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// Zeroed memory that one owner writes while others read other parts of it: a stand-in for a shared mapping.
pub(super) struct Region(MmapRaw);

impl Region {
    /// Pages that are never written cost nothing.
    pub(super) fn zeroed(len: u64) -> io::Result<Region> {
        Ok(Region(MmapOptions::new().len(length(len)?.max(1)).map_anon()?.into()))
    }

    fn bytes(&self) -> &[u8] {
        // Sound: the mapping is readable, `len` long and lives as long as `self`; bytes being written are, by the rule
        // at the head of this file, not among those a reader looks at.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len()) }
    }

    /// Copies what fits of `bytes` to `offset`. The file that owns the region calls this under its lock.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let Some(room) = self.0.len().checked_sub(offset) else { return };
        let count = room.min(bytes.len());
        // Sound: `offset + count` is within the writable mapping, the source is another allocation, and writers hold the
        // file's lock, so that no two write at once.
        unsafe { self.0.as_mut_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), count) }
    }
}

/// Reserves blocks for the file up to `len`, which becomes its length if it was shorter.
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    fallocate(file, 0, 0, len)
}

/// Reserves blocks for a range inside the file.
pub(super) fn allocate_range(file: &File, offset: u64, len: u64) -> io::Result<()> {
    fallocate(file, libc::FALLOC_FL_KEEP_SIZE, offset, len)
}

/// Gives the blocks of a range back; it reads as zero afterwards.
pub(super) fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    fallocate(file, libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE, offset, len)
}

fn fallocate(file: &File, mode: libc::c_int, offset: u64, len: u64) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let (offset, len) = (i64::try_from(offset).map_err(too_large)?, i64::try_from(len).map_err(too_large)?);
    // Sound: the descriptor is open as long as `file`; the call takes no pointers.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts writing dirty pages of a range to the device, without waiting and without any promise.
pub(super) fn start_writeback(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // Sound: the descriptor is open as long as `file`; the call takes no pointers. It is a hint, so its result
    // does not matter: `sync_data` reports what goes wrong.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Waits until the pages of a range that are dirty now are written to the device.
pub(super) fn finish_writeback(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (offset, len) = (i64::try_from(offset).map_err(too_large)?, i64::try_from(len).map_err(too_large)?);
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // Sound: the descriptor is open as long as `file`; the call takes no pointers.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, all) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bytes as the little-endian f32 values they hold, in place.
#[inline(always)]
pub fn floats(bytes: &[u8]) -> &[f32] {
    assert!(bytes.as_ptr().cast::<f32>().is_aligned(), "vectors lie on multiples of four bytes");
    // Sound: aligned as just checked, whole values within `bytes`, and every bit pattern is an f32.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<f32>(), bytes.len() / size_of::<f32>()) }
}

/// Bytes as the little-endian words they hold, in place.
#[inline(always)]
pub fn words(bytes: &[u8]) -> &[u32] {
    assert!(bytes.as_ptr().cast::<u32>().is_aligned(), "words lie on multiples of four bytes");
    // Sound: aligned as just checked, whole values within `bytes`, and every bit pattern is a u32.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u32>(), bytes.len() / size_of::<u32>()) }
}

/// Words as the f32 values whose bits they are, in place.
#[inline(always)]
pub fn floats_of_words(words: &[u32]) -> &[f32] {
    // Sound: u32 and f32 have one size and alignment, and every bit pattern is an f32.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<f32>(), words.len()) }
}

/// Bytes as the little-endian half-precision values they hold, in place.
#[inline(always)]
pub fn halves(bytes: &[u8]) -> &[f16] {
    assert!(bytes.as_ptr().cast::<f16>().is_aligned(), "vectors lie on multiples of two bytes");
    // Sound: aligned as just checked, whole values within `bytes`, and every bit pattern is an f16.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<f16>(), bytes.len() / size_of::<f16>()) }
}

/// Words as the signed bytes they hold, in place. By the rule at the head of this file, of words that hold still.
#[inline(always)]
pub fn words_as_codes(words: &[AtomicU32]) -> &[i8] {
    // Sound: initialised bytes within `words`, which live as long, and every bit pattern is an i8. Nobody stores to
    // them meanwhile: the caller's rule.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<i8>(), size_of_val(words)) }
}

/// Words as the bytes they hold.
#[inline(always)]
pub fn bytes_of_words(words: &[u32]) -> &[u8] {
    // Sound: initialised bytes within `words`, which live as long.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of_val(words)) }
}

/// Words as the half-precision values they hold, two each, under the same rule.
#[inline(always)]
pub fn words_as_halves(words: &[AtomicU32]) -> &[f16] {
    // Sound: as above, and a word is aligned for the smaller type.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<f16>(), size_of_val(words) / 2) }
}

/// Words as the bfloat16 values they hold, two each, under the same rule.
#[inline(always)]
pub fn words_as_bfloats(words: &[AtomicU32]) -> &[bf16] {
    // Sound: as above, and a word is aligned for the smaller type.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<bf16>(), size_of_val(words) / 2) }
}

/// Words as plain ones, under the same rule.
#[inline(always)]
pub fn plain_words(words: &[AtomicU32]) -> &[u32] {
    // Sound: as above; an atomic word has the layout of a plain one.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u32>(), words.len()) }
}

/// How many bytes [`prefetch`] asks for: what lies behind them the hardware's stream prefetcher follows up. Of 1,536 bytes
/// the first 1,024 were faster by 2 to 4 % than all, and by 10 % than the first 512.
const PREFETCH_BYTES_MAX: usize = 1024;

/// Starts loading the head of `values` into the processor's cache. Changes nothing but time.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    let start = values.as_ptr().cast::<u8>();
    for offset in (0..size_of_val(values).min(PREFETCH_BYTES_MAX)).step_by(64) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // Sound: a prefetch faults on no address and reads nothing as far as the program can tell; SSE is part of every
    // x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_address: *const u8) {}

#[cfg(test)]
mod tests {
    //! Maps over files that are cut: what is read behind the cut are zeros, and known to be none of the file's.

    use super::*;
    use crate::fs::{DiskFs, Fs, OpenMode};

    const PAGES: usize = 40;

    fn file_of_ones(folder: &Path) -> Arc<dyn crate::fs::File> {
        let file = DiskFs.open(&folder.join("file"), OpenMode::Create).unwrap();
        file.write_all_at(&vec![1; PAGES * *PAGE], 0).unwrap();
        file
    }

    #[test]
    fn more_words_than_there_can_be_are_an_error() {
        assert!(WordMap::zeroed(usize::MAX).is_err());
        assert!(WordMap::zeroed(usize::MAX / (2 * WORD)).is_err());
        let words = WordMap::zeroed(1000).unwrap();
        assert!(words.len() >= 1000 && words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_page_that_is_gone_is_empty_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of_ones(folder.path());
        let page = *PAGE as u64;
        let map = file.map(PAGES as u64 * page).unwrap();
        let before = faults();
        assert!(map.iter().all(|byte| *byte == 1));
        map.refuse_unread(0).unwrap();
        file.truncate(5 * page).unwrap();
        let at = |number: usize| map[number * *PAGE + 7];
        // Threads that meet the same places at the same time.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (5..PAGES).for_each(|number| assert_eq!(at(number), 0)));
            }
        });
        assert!((0..5).all(|number| at(number) == 1));
        let after = faults();
        assert!(after >= before + (PAGES as u64 - 5), "{before} to {after}");
        let error = map.refuse_unread(before).unwrap_err();
        assert!(error.message().contains("/file\": no data at offset"), "{error}");
        map.refuse_unread(after).unwrap();
        assert!(map.is_lost(4 * page + 1..5 * page + 1) && map.has_lost());
        assert!(!map.is_lost(0..5 * page) && !map.is_lost(9 * page..9 * page));
        // Still gone, and then there again.
        file.map_again(&map, 0..u64::MAX).unwrap();
        assert!(!map.has_lost());
        assert_eq!(at(9), 0);
        map.refuse_unread(after).unwrap_err();
        file.write_all_at(&vec![2; PAGES * *PAGE], 0).unwrap();
        assert_eq!((at(9), at(11)), (0, 2));
        file.map_again(&map, 9 * page..9 * page + 1).unwrap();
        assert_eq!(at(9), 2);
        assert!(!map.has_lost());
    }

    #[test]
    fn what_is_stored_where_nothing_could_be_read_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of_ones(folder.path());
        for words in [file.map_words().unwrap(), file.share_words().unwrap()] {
            file.write_all_at(&vec![1; PAGES * *PAGE], 0).unwrap();
            file.truncate(2 * *PAGE as u64).unwrap();
            let last = words.len() - 1;
            words.refuse_unread().unwrap();
            words[last].store(9, Ordering::Relaxed);
            assert_eq!(words[last].load(Ordering::Relaxed), 9);
            assert_eq!(words[last - 1].load(Ordering::Relaxed), 0);
            words.refuse_unread().unwrap_err();
            assert_eq!(file.len().unwrap(), 2 * *PAGE as u64);
        }
    }

    #[test]
    fn places_of_maps_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of_ones(folder.path());
        for _ in 0..1_000 {
            drop((file.map(4096).unwrap(), file.map(8192).unwrap()));
        }
        // Other tests have maps meanwhile.
        assert!(MAPS_END.load(Ordering::Relaxed) < 1_000);
    }

    /// In a process of its own, which ends: a map of which nobody here knows.
    #[test]
    fn a_fault_that_is_not_ours_ends_the_process() {
        use std::os::unix::process::ExitStatusExt;
        const CHILD: &str = "HITHER_TEST_SIGBUS";
        if std::env::var_os(CHILD).is_some() {
            let folder = tempfile::tempdir().unwrap();
            let ours = file_of_ones(folder.path()).map(4096).unwrap();
            let file = File::options().write(true).read(true).open(folder.path().join("file")).unwrap();
            let foreign = MmapOptions::new().map_raw_read_only(&file).unwrap();
            file.set_len(0).unwrap();
            assert_eq!(ours[0], 0);
            // Sound: the mapping is readable; that the process does not survive it is what is shown.
            let read = unsafe { foreign.as_ptr().read_volatile() };
            panic!("{read} was read");
        }
        let name = "fs::mapped::tests::a_fault_that_is_not_ours_ends_the_process";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let done = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert_eq!(done.status.signal(), Some(libc::SIGBUS), "{done:?}");
    }
}
