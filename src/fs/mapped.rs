//! Maps of files into memory, and two Linux hints; the only unsafe code on files.
//!
//! ```text
//! Map      read-only, shared    writes through File show up    vector segments, sorted tables
//! WordMap  private, writable    changes stay in memory         links of a graph
//!          or shared            changes may go to the file     the same, when memory is short
//! ```
//!
//! Both have a second form in plain memory, for the file system of tests: a `Region` that its file copies every
//! write into, so that code above cannot tell the two apart.
//!
//! What a map cannot promise is that its bytes hold still: somebody may write the file. The database owns its
//! files (a lock file keeps other processes away) and its own rule is stated at [`super::File::map`]: bytes are
//! read only below what is known to be written, and what has been published is not written again.

#![allow(unsafe_code, reason = "maps are raw memory, and std has no fallocate or sync_file_range")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use half::{bf16, f16};
use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};

/// Bytes of a file, read-only.
pub struct Map(Bytes);

enum Bytes {
    Empty,
    Mapped(MmapRaw),
    Memory(Arc<Region>, usize),
    Private(Arc<WordMap>, usize),
}

impl Map {
    /// Maps `len` bytes from the start, which may be more than the file has: bytes past its last page must not
    /// be touched until it has grown.
    pub(super) fn of_file(file: &File, len: u64) -> io::Result<Map> {
        let len = length(len)?;
        if len == 0 {
            return Ok(Map(Bytes::Empty));
        }
        Ok(Map(Bytes::Mapped(MmapOptions::new().len(len).map_raw_read_only(file)?)))
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
        if let Bytes::Mapped(map) = &self.0 {
            let _ = map.advise(Advice::Random);
        }
    }

    /// Starts reading these bytes, as far as there are such, so that they are there when they are looked at. A hint.
    pub fn will_need(&self, bytes: Range<usize>) {
        if let Bytes::Mapped(map) = &self.0
            && bytes.start < bytes.end.min(map.len())
        {
            let _ = map.advise_range(Advice::WillNeed, bytes.start, bytes.end.min(map.len()) - bytes.start);
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
            Bytes::Mapped(map) => unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) },
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
    Mapped(MmapMut),
    Memory(Box<[AtomicU32]>),
}

impl WordMap {
    /// Whole words only: up to three bytes at the end of the file are left out.
    pub(super) fn of_file(file: &File) -> io::Result<WordMap> {
        let len = length(file.metadata()?.len())?;
        if len < WORD {
            return Ok(WordMap(Words::Memory(Box::default())));
        }
        // Sound: a private mapping is ours alone once a page has been written; pages not yet written follow the
        // file, which nobody changes while a graph is open over it (generations are written once, then renamed).
        let map = unsafe { MmapOptions::new().len(len).map_copy(file)? };
        Ok(WordMap(Words::Mapped(map)))
    }

    /// Whole words only. The file's blocks are there ([`super::File::allocate`]): a store that finds no room on the
    /// disk would end the process.
    pub(super) fn shared(file: &File) -> io::Result<WordMap> {
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
        Ok(WordMap(Words::Mapped(map)))
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
            Words::Mapped(map) => unsafe {
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

/// How many bytes [`prefetch`] asks for: all of a vector of up to 512 dimensions. Loading 1,536 bytes whole was as
/// fast as or faster than its first 512, and what lies beyond 2 KiB the hardware's stream prefetcher follows up.
const PREFETCH_BYTES_MAX: usize = 2048;

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
