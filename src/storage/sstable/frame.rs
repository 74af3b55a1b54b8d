//! How a block lies in the file: a header with a checksum, then the bytes, deflated when that makes them
//! smaller and the table is not merged soon ([`Packing`]).
//!
//! ```text
//!   stored_len u32 | raw_len u32 | crc32c u32 | kind u8 | codec u8 | zero u16 | stored bytes
//! ```
//!
//! The checksum starts from the file's identity and the block's offset and covers the rest of the header and
//! the stored bytes: a sound block in the wrong place is as wrong as a damaged one.

use std::cell::RefCell;
use std::sync::Arc;

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::footer::TableName;
use crate::codec::{put_u16, put_u32};
use crate::error::{Error, Result};
use crate::fs::File;

pub const HEADER_BYTES: usize = 16;

/// Of 12, the fastest. On rows of words level 2 leaves 4 % less bytes and takes 1.5 times as long.
const LEVEL: i32 = 1;

/// Smaller blocks stay plain: there is little to gain, and setting up a compressor costs more than copying
/// them.
const DEFLATE_BYTES_MIN: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Entries, as in `block.rs`.
    Entries = 1,
    Index = 2,
    Filter = 3,
    Properties = 4,
    /// Rows, as in `columns.rs`.
    Columns = 5,
}

const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

/// Where a frame is in the file, header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub offset: u64,
    pub len: u32,
}

/// Whether blocks are deflated where that makes them smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Deflate,
}

/// Deflates blocks; keeps the compressor's memory between them.
///
/// libdeflate takes whole blocks, which is all there is here, and no streams. Beside zlib-rs at level 2 it packs blocks
/// of 16 KiB 1.6 times as fast into 3 % less, and gives them back twice as fast.
pub struct Deflater {
    compressor: Compressor,
    deflated: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Deflater {
        let level = CompressionLvl::new(LEVEL).expect("a level that libdeflate has");
        Deflater { compressor: Compressor::new(level), deflated: Vec::new() }
    }
}

impl Deflater {
    /// `None` when at most one byte in sixteen would be saved: reading a plain block is cheaper.
    pub fn deflate(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        if raw.len() < DEFLATE_BYTES_MIN {
            return None;
        }
        self.deflated.resize(raw.len() - raw.len() / 16, 0);
        // The one way to fail is that it needs more space.
        let len = self.compressor.deflate_compress(raw, &mut self.deflated).ok()?;
        Some(self.deflated[..len].to_vec())
    }
}

/// Appends the frame of `raw`, which will start at `offset` of the file, and says how long it is. `deflated` is stored
/// instead where there is such a text.
pub fn encode(
    name: TableName,
    offset: u64,
    kind: Kind,
    raw: &[u8],
    deflated: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> u32 {
    let (codec, stored) = match deflated {
        Some(deflated) => (DEFLATE, deflated),
        None => (PLAIN, raw),
    };
    let start = out.len();
    put_u32(out, stored.len() as u32);
    put_u32(out, raw.len() as u32);
    put_u32(out, 0);
    out.extend_from_slice(&[kind as u8, codec]);
    put_u16(out, 0);
    out.extend_from_slice(stored);
    let sum = checksum(name, offset, &out[start..]);
    out[start + 8..start + 12].copy_from_slice(&sum.to_le_bytes());
    (out.len() - start) as u32
}

/// Reads and checks a frame and gives the raw bytes.
pub fn read(file: &dyn File, name: TableName, handle: Handle, kind: Kind) -> Result<Arc<[u8]>> {
    read_one_of(file, name, handle, &[kind]).map(|(_, raw)| raw)
}

/// [`read`] of a frame of one of several kinds; which it is comes first.
pub fn read_one_of(
    file: &dyn File,
    name: TableName,
    handle: Handle,
    kinds: &[Kind],
) -> Result<(Kind, Arc<[u8]>)> {
    thread_local! {
        static READING: RefCell<Reading> = RefCell::new(Reading { frame: Vec::new(), decompressor: Decompressor::new() });
    }
    READING.with_borrow_mut(|reading| {
        let raw = reading.read(file, name, handle, kinds);
        if reading.frame.capacity() > FRAME_BYTES_KEPT {
            reading.frame = Vec::new();
        }
        raw
    })
}

/// Data blocks have less; indexes and filters of large tables are read seldom.
const FRAME_BYTES_KEPT: usize = 64 << 10;

/// What a thread reads frames with.
struct Reading {
    /// Of the frame last read; what is in it means nothing.
    frame: Vec<u8>,
    decompressor: Decompressor,
}

impl Reading {
    fn read(
        &mut self,
        file: &dyn File,
        name: TableName,
        handle: Handle,
        kinds: &[Kind],
    ) -> Result<(Kind, Arc<[u8]>)> {
        let len = handle.len as usize;
        let damaged = |at: u64, expected: String, found: String| {
            Error::corrupt(file.path().display(), handle.offset + at, expected, found)
        };
        if len < HEADER_BYTES {
            return Err(damaged(0, format!("a block of at least {HEADER_BYTES} bytes"), format!("{len}")));
        }
        self.frame.resize(len, 0);
        let frame = &mut self.frame[..];
        file.read_exact_at(frame, handle.offset)?;
        let word = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().expect("four bytes"));
        let (stored_len, raw_len, sum) = (word(0) as usize, word(4) as usize, word(8));
        if stored_len != len - HEADER_BYTES {
            return Err(damaged(
                0,
                format!("a block of {} bytes", len - HEADER_BYTES),
                format!("{stored_len}"),
            ));
        }
        let computed = checksum(name, handle.offset, frame);
        if computed != sum {
            return Err(damaged(8, format!("checksum {computed:08x}"), format!("{sum:08x}")));
        }
        let Some(kind) = kinds.iter().copied().find(|kind| *kind as u8 == frame[12]) else {
            let known: Vec<String> = kinds.iter().map(|kind| (*kind as u8).to_string()).collect();
            return Err(damaged(
                12,
                format!("a block of kind {}", known.join(" or ")),
                format!("{}", frame[12]),
            ));
        };
        let stored = &frame[HEADER_BYTES..];
        match frame[13] {
            PLAIN if raw_len == stored_len => Ok((kind, Arc::from(stored))),
            DEFLATE => inflate(&mut self.decompressor, stored, raw_len)
                .map(|raw| (kind, raw))
                .ok_or_else(|| damaged(16, format!("{raw_len} deflated bytes"), "something else".to_owned())),
            codec => Err(damaged(13, "a known codec".to_owned(), format!("{codec}, {raw_len} bytes"))),
        }
    }
}

fn inflate(decompressor: &mut Decompressor, stored: &[u8], raw_len: usize) -> Option<Arc<[u8]>> {
    let mut raw: Arc<[u8]> = std::iter::repeat_n(0, raw_len).collect();
    let bytes = Arc::get_mut(&mut raw).expect("nobody else has the new allocation yet");
    (decompressor.deflate_decompress(stored, bytes) == Ok(raw_len)).then_some(raw)
}

fn checksum(name: TableName, offset: u64, frame: &[u8]) -> u32 {
    let mut place = [0; 24];
    place[..8].copy_from_slice(&name.storage.0.to_le_bytes());
    place[8..16].copy_from_slice(&name.number.to_le_bytes());
    place[16..].copy_from_slice(&offset.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&place), &frame[..8]);
    crc32c::crc32c_append(sum, &frame[12..])
}
