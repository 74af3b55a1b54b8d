//! One file of the log: a header, then records, then whatever was there before.
//!
//! ```text
//! 0      "HITHLOG1"                       name: <first position as 16 hex digits>.log
//! 8      first position   u64
//! 16     capacity         u64             bytes for records
//! 24     crc32c           u32             of bytes 0..24
//! 32     next             u64             where the segment behind this one begins, once it has its name
//! 40     crc32c           u32             of first position and next
//! 4096   record | record | ...            record at position p: offset 4096 + p - first
//!
//! record, at a multiple of 8
//! 0      length           u32             of the payload, never 0
//! 4      lag              u32             how far behind this record the log was known to be durable
//! 8      payload crc32c   u32
//! 12     header crc32c    u32             of the position (u64) and bytes 0..12
//! 16     payload                          kind and fields, see record.rs; zeros up to a multiple of 8
//! ```
//!
//! **Stale bytes.** Files are used again for later parts of the log. The position in the header's checksum makes
//! records of an earlier use invalid, wherever they lie.
//!
//! **Torn or damaged?** A power failure may tear the last, unsynced appends anywhere: a bad record with good ones
//! behind it is no evidence of damage, for pages reach the disk in any order. But a good record whose lag says that
//! the log was durable past the bad one is: what had been durable is gone. So a tail is cut at its first bad record
//! unless a later good one testifies against that; then opening refuses, naming file and offset.
//!
//! **Ghosts.** Good records behind the cut would come back to life when new records happen to end where one of them
//! begins. [`Tail::ghosts`] lists them, and they are wiped before the next append.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Position;
use crate::codec::{Reader, put_u64};
use crate::error::{Error, Result, SqlState};
use crate::fs::{File, Fs, OpenMode};

const MAGIC: &[u8; 8] = b"HITHLOG1";
/// One page, so that records begin on a page of their own.
pub(super) const FILE_HEADER_BYTES: u64 = 4096;
/// Where the header has the next segment.
const NEXT_OFFSET: u64 = 32;
pub(super) const RECORD_HEADER_BYTES: usize = 16;
const ALIGNMENT: u64 = 8;
/// The largest payload: rows are far below (PostgreSQL's field limit is 1 GiB), and lengths stay inside u32.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// "Nothing is known to be durable."
const LAG_UNKNOWN: u32 = u32::MAX;
/// Read at a time while scanning.
const WINDOW_BYTES: usize = 1 << 20;

pub(super) fn file_name(first: Position) -> String {
    format!("{:016x}.log", first.0)
}

/// The first position that a segment's file name tells; `None` for other files.
pub(super) fn first_of_name(name: &Path) -> Option<Position> {
    let digits = name.to_str()?.strip_suffix(".log")?;
    if digits.len() != 16 {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(Position)
}

pub(super) fn encode_file_header(first: Position, capacity: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    put_u64(&mut header, first.0);
    put_u64(&mut header, capacity);
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header.resize(FILE_HEADER_BYTES as usize, 0);
    header
}

/// An open segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub first: Position,
    /// Bytes for records.
    pub capacity: u64,
    pub file: Arc<dyn File>,
}

impl Segment {
    /// Opens a file that has its name, and so must have a valid header.
    pub fn open(fs: &dyn Fs, dir: &Path, first: Position) -> Result<Segment> {
        let file = fs.open(&dir.join(file_name(first)), OpenMode::ReadWrite)?;
        let capacity = check_header(&*file, first)?;
        Ok(Segment { first, capacity, file })
    }

    /// [`Segment::open`], to look at it.
    pub fn open_to_read(fs: &dyn Fs, dir: &Path, first: Position) -> Result<Segment> {
        let file = fs.open(&dir.join(file_name(first)), OpenMode::Read)?;
        let capacity = check_header(&*file, first)?;
        Ok(Segment { first, capacity, file })
    }

    pub fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    pub fn offset(&self, position: Position) -> u64 {
        FILE_HEADER_BYTES + (position.0 - self.first.0)
    }

    fn position(&self, offset: u64) -> Position {
        Position(self.first.0 + (offset - FILE_HEADER_BYTES))
    }

    /// Notes, durably, that the segment of `next` is there: should its file go missing, so would commits, and without this
    /// nobody could tell.
    pub fn note_next(&self, next: Position) -> Result<()> {
        let mut bytes = next.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.next_sum(next).to_le_bytes());
        self.file.write_all_at(&bytes, NEXT_OFFSET)?;
        self.file.sync_data()
    }

    /// What was noted. Nothing is, when a crash came first, or an earlier program wrote the file.
    pub fn next_noted(&self) -> Result<Option<Position>> {
        let mut bytes = [0; 12];
        self.file.read_exact_at(&mut bytes, NEXT_OFFSET)?;
        let mut reader = Reader::new(&bytes);
        let (next, sum) = (Position(reader.u64()?), reader.u32()?);
        Ok((next > self.first && sum == self.next_sum(next)).then_some(next))
    }

    /// Whether nothing is missing between this one, which is whole, and `next`.
    pub fn is_followed_by(&self, next: &Segment) -> Result<bool> {
        if let Some(noted) = self.next_noted()? {
            return Ok(noted == next.first);
        }
        // Without the note its records tell. If they are damaged nobody knows, and it stays for who reads it to say so.
        match find_tail(self) {
            Ok(tail) if tail.ghosts.is_empty() => Ok(tail.end == next.first),
            Ok(_) => Ok(next.first <= self.limit()),
            Err(error) if error.state() == SqlState::DATA_CORRUPTED => Ok(next.first <= self.limit()),
            Err(error) => Err(error),
        }
    }

    fn next_sum(&self, next: Position) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.first.0.to_le_bytes()), &next.0.to_le_bytes())
    }

    /// The first position past the file.
    pub fn limit(&self) -> Position {
        Position(self.first.0 + self.capacity)
    }
}

/// Checks the header of the segment that begins at `first`; answers its capacity.
pub(super) fn check_header(file: &dyn File, first: Position) -> Result<u64> {
    let name = file.path().display().to_string();
    let mut bytes = [0; 28];
    file.read_exact_at(&mut bytes, 0)?;
    if &bytes[..8] != MAGIC {
        return Err(Error::corrupt(
            name,
            0,
            "the beginning of a log segment",
            format_args!("{:x?}", &bytes[..8]),
        ));
    }
    let mut reader = Reader::new(&bytes[8..]).named(&name, 8);
    let (found, capacity, checksum) = (Position(reader.u64()?), reader.u64()?, reader.u32()?);
    let expected = crc32c::crc32c(&bytes[..24]);
    if checksum != expected {
        return Err(Error::corrupt(
            &name,
            24,
            format_args!("checksum {expected:08x}"),
            format_args!("{checksum:08x}"),
        ));
    }
    if found != first {
        return Err(Error::corrupt(
            &name,
            8,
            format_args!("first position {:x}", first.0),
            format_args!("{:x}", found.0),
        ));
    }
    let len = file.len()?;
    if len.checked_sub(FILE_HEADER_BYTES) != Some(capacity) {
        return Err(Error::corrupt(
            &name,
            16,
            format_args!("{capacity} bytes for records"),
            format_args!("a file of {len}"),
        ));
    }
    Ok(capacity)
}

/// Records on their way into a segment: encoded and checksummed, but not yet at a position.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Batch {
    pub fn of(records: &[super::Record]) -> Result<Batch> {
        let room = |record: &super::Record| RECORD_HEADER_BYTES + record.size_hint() + ALIGNMENT as usize;
        // One page more for `padded`.
        let bytes = Vec::with_capacity(records.iter().map(room).sum::<usize>() + FILE_HEADER_BYTES as usize);
        let mut batch = Batch { bytes, starts: Vec::with_capacity(records.len()) };
        for record in records {
            batch.add(record)?;
        }
        Ok(batch)
    }

    fn add(&mut self, record: &super::Record) -> Result<()> {
        let start = self.bytes.len();
        self.bytes.resize(start + RECORD_HEADER_BYTES, 0);
        record.encode(&mut self.bytes);
        let payload = &self.bytes[start + RECORD_HEADER_BYTES..];
        let (len, checksum) = (payload.len(), crc32c::crc32c(payload));
        if len > PAYLOAD_BYTES_MAX {
            let message =
                format!("a log record of {len} bytes exceeds the limit of {PAYLOAD_BYTES_MAX} bytes");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.bytes[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        self.starts.push(start);
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Puts the batch at `start`, when the log is known to be durable up to `durable`.
    pub fn place(&mut self, start: Position, durable: Position) -> Vec<Position> {
        let Batch { bytes, starts } = self;
        let place = |at: &usize| {
            let position = Position(start.0 + *at as u64);
            // Segments are synced before the next one begins, so the lag is less than a segment and nearly always fits.
            let lag = u32::try_from(position.0 - durable.0.min(position.0)).unwrap_or(LAG_UNKNOWN);
            let header = &mut bytes[*at..*at + RECORD_HEADER_BYTES];
            header[4..8].copy_from_slice(&lag.to_le_bytes());
            let checksum = header_checksum(position, header);
            header[12..16].copy_from_slice(&checksum.to_le_bytes());
            position
        };
        starts.iter().map(place).collect()
    }

    /// The bytes to write at `offset` of a file of `file_bytes`, with zeros up to the end of their last page: a page's
    /// first write then covers all of it, and the kernel need not read the old one from the disk.
    pub fn padded(mut self, offset: u64, file_bytes: u64) -> Vec<u8> {
        let end = (offset + self.len()).next_multiple_of(FILE_HEADER_BYTES).min(file_bytes);
        self.bytes.resize((end - offset) as usize, 0);
        self.bytes
    }
}

fn header_checksum(position: Position, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&position.0.to_le_bytes()), &header[..12])
}

/// A record found by a [`Scanner`].
pub(super) struct Found {
    /// In the scanner's window.
    pub payload: Range<usize>,
    pub next: Position,
    /// What its writer knew to be durable.
    pub durable: Position,
}

/// Why there is no record.
pub(super) struct Bad {
    pub offset: u64,
    pub expected: String,
    pub found: String,
    /// The header is good: a record was written here.
    header: bool,
}

/// Reads records of one segment through a window.
pub(super) struct Scanner<'a> {
    segment: &'a Segment,
    window: Vec<u8>,
    /// File offset of the window.
    start: u64,
}

impl<'a> Scanner<'a> {
    pub fn new(segment: &'a Segment) -> Scanner<'a> {
        Scanner { segment, window: Vec::new(), start: 0 }
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.window[range]
    }

    /// The record at `position`, if a good one is there.
    pub fn record_at(&mut self, position: Position) -> Result<Result<Found, Bad>> {
        let offset = self.segment.offset(position);
        let bad = |header, expected: String, found: String| Ok(Err(Bad { offset, expected, found, header }));
        let left = self.segment.limit().0.saturating_sub(position.0);
        if left < RECORD_HEADER_BYTES as u64 {
            return bad(false, "a record".into(), "the end of the segment".into());
        }
        let at = self.load(offset, RECORD_HEADER_BYTES)?;
        let Some((len, lag, checksum)) =
            parse_header(position, left, &self.window[at..at + RECORD_HEADER_BYTES])
        else {
            let found = format!("{:02x?}", &self.window[at..at + RECORD_HEADER_BYTES]);
            return bad(false, format!("a record of position {:x}", position.0), found);
        };
        let at = self.load(offset, RECORD_HEADER_BYTES + len)?;
        let payload = at + RECORD_HEADER_BYTES..at + RECORD_HEADER_BYTES + len;
        let found = crc32c::crc32c(&self.window[payload.clone()]);
        if found != checksum {
            return bad(true, format!("payload checksum {checksum:08x}"), format!("{found:08x}"));
        }
        let next = Position((position.0 + (RECORD_HEADER_BYTES + len) as u64).next_multiple_of(ALIGNMENT));
        let durable = if lag == LAG_UNKNOWN { 0 } else { position.0.saturating_sub(u64::from(lag)) };
        Ok(Ok(Found { payload, next, durable: Position(durable) }))
    }

    /// Makes the window hold `len` bytes from `offset`; answers where in the window they are.
    fn load(&mut self, offset: u64, len: usize) -> Result<usize> {
        let end = self.start + self.window.len() as u64;
        if offset < self.start || offset + len as u64 > end {
            let left = (self.segment.capacity + FILE_HEADER_BYTES - offset).min(len.max(WINDOW_BYTES) as u64);
            self.window.resize(left as usize, 0);
            self.segment.file.read_exact_at(&mut self.window, offset)?;
            self.start = offset;
        }
        Ok((offset - self.start) as usize)
    }

    /// The next position after `position` that has a good header. Most of what it looks at is pages of zeros.
    fn next_header(&mut self, position: Position) -> Result<Option<Position>> {
        const ZEROS: [u8; FILE_HEADER_BYTES as usize] = [0; FILE_HEADER_BYTES as usize];
        let mut next = Position(position.0 + ALIGNMENT);
        while next.0 + RECORD_HEADER_BYTES as u64 <= self.segment.limit().0 {
            let left = self.segment.limit().0 - next.0;
            let at = self.load(self.segment.offset(next), RECORD_HEADER_BYTES)?;
            if self.window[at..].starts_with(&ZEROS) {
                next.0 += FILE_HEADER_BYTES;
                continue;
            }
            if parse_header(next, left, &self.window[at..at + RECORD_HEADER_BYTES]).is_some() {
                return Ok(Some(next));
            }
            next.0 += ALIGNMENT;
        }
        Ok(None)
    }
}

/// Length of the payload of the record that `bytes` begin with, and where the next one is; `None` when there is no whole
/// record of this position.
pub(super) fn record_in(bytes: &[u8], position: Position) -> Option<(usize, Position)> {
    let header = bytes.get(..RECORD_HEADER_BYTES)?;
    let (len, _, checksum) = parse_header(position, bytes.len() as u64, header)?;
    let payload = bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + len)?;
    let next = (position.0 + (RECORD_HEADER_BYTES + len) as u64).next_multiple_of(ALIGNMENT);
    (crc32c::crc32c(payload) == checksum).then_some((len, Position(next)))
}

/// Length, lag and payload checksum, if this is the header of a record at `position` with `left` bytes to the end.
fn parse_header(position: Position, left: u64, header: &[u8]) -> Option<(usize, u32, u32)> {
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (len, lag, payload, checksum) = (word(0), word(4), word(8), word(12));
    let fits = len > 0 && u64::from(len) + RECORD_HEADER_BYTES as u64 <= left;
    (fits && checksum == header_checksum(position, header)).then_some((len as usize, lag, payload))
}

/// Where the log of a last segment ends.
pub(super) struct Tail {
    pub end: Position,
    /// Offsets of good headers behind the end.
    pub ghosts: Vec<u64>,
}

/// Finds the end of the last segment, or the damage before it.
pub(super) fn find_tail(segment: &Segment) -> Result<Tail> {
    let mut scanner = Scanner::new(segment);
    let mut end = segment.first;
    let bad = loop {
        match scanner.record_at(end)? {
            Ok(found) => end = found.next,
            Err(bad) => break bad,
        }
    };
    let mut ghosts = Vec::new();
    if bad.header {
        ghosts.push(bad.offset);
    }
    let mut at = end;
    while let Some(position) = scanner.next_header(at)? {
        ghosts.push(segment.offset(position));
        if let Ok(found) = scanner.record_at(position)?
            && found.durable > end
        {
            return Err(damaged(segment, &bad).detail(format!(
                "The record at offset {} shows that the log was durable up to offset {}.",
                segment.offset(position),
                segment.offset(found.durable),
            )));
        }
        at = position;
    }
    Ok(Tail { end, ghosts })
}

pub(super) fn damaged(segment: &Segment, bad: &Bad) -> Error {
    Error::corrupt(segment.file.path().display(), bad.offset, &bad.expected, &bad.found)
}

/// The offset in the file, for errors of records found at `position`.
pub(super) fn payload_offset(segment: &Segment, position: Position) -> u64 {
    debug_assert!(segment.position(segment.offset(position)) == position);
    segment.offset(position) + RECORD_HEADER_BYTES as u64
}
