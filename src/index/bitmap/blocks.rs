//! A stream of bytes in a file, verified block by block as it is read.
//!
//! ```text
//!   0    magic "HITHBITS"             24  number of the file u64
//!   8    format version u32           32  log position u64
//!   12   kind u32                     40  number of the whole file it belongs to u64
//!   16   storage id u64               48  bytes of the stream u64
//!   56   crc32c of the 56 bytes before
//!   60   block 0: up to 65,536 bytes of the stream, then crc32c of storage id, number, place of the block (8 bytes
//!        each) and these bytes
//!   ...  block 1, ...; only the last is shorter
//! ```
//!
//! Storage id and number are in each checksum, so that a block of another file is not taken for one of this. The header
//! is written last: a file whose writing was cut short has none.

use std::path::Path;
use std::sync::Arc;

use crate::codec::{self, Reader};
use crate::error::{Error, Result};
use crate::fs::{File, Fs, OpenMode, Pace};

pub const MAGIC: &[u8; 8] = b"HITHBITS";
const FORMAT_VERSION: u32 = 1;
/// Bytes of the header that its checksum covers.
const HEADER_SUMMED: usize = 56;
const HEADER_BYTES: usize = HEADER_SUMMED + 4;
const BLOCK_BYTES: usize = 1 << 16;
const SUM_BYTES: usize = 4;

/// What a file is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: u32,
    pub storage: u64,
    pub number: u64,
    /// Commits before it are in the file.
    pub position: u64,
    /// The file that this one goes with: itself, of a whole one.
    pub whole: u64,
}

impl Head {
    fn encode(&self, bytes: u64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        codec::put_u32(&mut out, FORMAT_VERSION);
        codec::put_u32(&mut out, self.kind);
        for field in [self.storage, self.number, self.position, self.whole, bytes] {
            codec::put_u64(&mut out, field);
        }
        assert_eq!(out.len(), HEADER_SUMMED, "the layout drawn above");
        let sum = crc32c::crc32c(&out);
        codec::put_u32(&mut out, sum);
        out
    }

    /// The header and the bytes of the stream: XX001 when it is damaged, 55000 when a newer program wrote it.
    fn read(file: &dyn File, name: &str) -> Result<(Head, u64)> {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        if &bytes[..8] != MAGIC {
            return Err(Error::corrupt(name, 0, "bitmaps", format!("{:02x?}", &bytes[..8])));
        }
        codec::refuse_newer(name, &bytes, FORMAT_VERSION, |_| HEADER_SUMMED)?;
        let sum = Reader::new(&bytes[HEADER_SUMMED..]).u32()?;
        check_sum(name, 0, crc32c::crc32c(&bytes[..HEADER_SUMMED]), sum)?;
        let mut reader = Reader::new(&bytes[8..HEADER_SUMMED]).named(name, 8);
        let version = reader.u32()?;
        if version != FORMAT_VERSION {
            return Err(Error::corrupt(name, 8, format!("format {FORMAT_VERSION} of bitmaps"), version));
        }
        let kind = reader.u32()?;
        let (storage, number, position) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (whole, stream) = (reader.u64()?, reader.u64()?);
        let (expected, found) = (file_bytes(stream), file.len()?);
        if expected != found {
            return Err(Error::corrupt(name, found, format!("{expected} bytes"), found));
        }
        Ok((Head { kind, storage, number, position, whole }, stream))
    }

    fn sum(&self, block: u64, bytes: &[u8]) -> u32 {
        let mut place = [0; 24];
        for (to, field) in place.as_chunks_mut::<8>().0.iter_mut().zip([self.storage, self.number, block]) {
            *to = field.to_le_bytes();
        }
        crc32c::crc32c_append(crc32c::crc32c(&place), bytes)
    }
}

fn check_sum(name: &str, at: u64, found: u32, expected: u32) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::corrupt(name, at, format!("checksum {expected:08x}"), format!("{found:08x}"))),
    }
}

/// Bytes of a file with so many bytes in its stream.
fn file_bytes(stream: u64) -> u64 {
    let sums = stream.div_ceil(BLOCK_BYTES as u64) * SUM_BYTES as u64;
    (HEADER_BYTES as u64).saturating_add(stream).saturating_add(sums)
}

/// Makes a file.
pub struct Writer {
    file: Arc<dyn File>,
    head: Head,
    /// The present block.
    block: Vec<u8>,
    blocks: u64,
}

impl Writer {
    /// The file must not exist.
    pub fn create(fs: &dyn Fs, path: &Path, head: Head) -> Result<Writer> {
        let file = fs.open(path, OpenMode::Create)?;
        Ok(Writer { file, head, block: Vec::with_capacity(BLOCK_BYTES + SUM_BYTES), blocks: 0 })
    }

    pub fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK_BYTES {
                self.end_block()?;
            }
            bytes = later;
        }
        Ok(())
    }

    pub fn put_u8(&mut self, value: u8) -> Result<()> {
        self.put(&[value])
    }

    pub fn put_u16(&mut self, value: u16) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub fn put_u32(&mut self, value: u32) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub fn put_u64(&mut self, value: u64) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    pub fn put_u128(&mut self, value: u128) -> Result<()> {
        self.put(&value.to_le_bytes())
    }

    fn place(&self) -> u64 {
        HEADER_BYTES as u64 + self.blocks * (BLOCK_BYTES + SUM_BYTES) as u64
    }

    fn end_block(&mut self) -> Result<()> {
        let sum = self.head.sum(self.blocks, &self.block);
        codec::put_u32(&mut self.block, sum);
        self.file.write_all_at(&self.block, self.place())?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Makes the file durable, but not its name. Answers its bytes.
    pub fn finish(mut self) -> Result<u64> {
        let stream = self.blocks * BLOCK_BYTES as u64 + self.block.len() as u64;
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.file.write_all_at(&self.head.encode(stream), 0)?;
        self.file.sync_data()?;
        Ok(file_bytes(stream))
    }
}

/// Takes a stream from its front. Nothing is handed out that was not verified.
pub struct BlockReader {
    file: Arc<dyn File>,
    name: String,
    head: Head,
    /// Bytes of the stream that are not in the buffer yet.
    left: u64,
    blocks: u64,
    buffer: Vec<u8>,
    /// What was taken of the buffer.
    taken: usize,
}

impl BlockReader {
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<BlockReader> {
        let file = fs.open(path, OpenMode::Read)?;
        let name = path.display().to_string();
        let (head, left) = Head::read(&*file, &name)?;
        Ok(BlockReader { file, name, head, left, blocks: 0, buffer: Vec::new(), taken: 0 })
    }

    pub fn head(&self) -> Head {
        self.head
    }

    /// Refuses a file that is not the one that was looked for.
    pub fn expect(&self, kind: u32, storage: u64, number: u64) -> Result<()> {
        let (expected, found) =
            ((kind, storage, number), (self.head.kind, self.head.storage, self.head.number));
        match expected == found {
            true => Ok(()),
            false => Err(Error::corrupt(
                &self.name,
                12,
                format!("kind, storage and number {expected:?}"),
                format!("{found:?}"),
            )),
        }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&[u8]> {
        self.fill(count)?;
        let taken = &self.buffer[self.taken..self.taken + count];
        self.taken += count;
        Ok(taken)
    }

    /// Has the next `count` bytes in the buffer.
    fn fill(&mut self, count: usize) -> Result<()> {
        let ready = self.buffer.len() - self.taken;
        if ready >= count {
            return Ok(());
        }
        let left = self.left.saturating_add(ready as u64);
        if (count as u64) > left {
            return Err(self.corrupt(format_args!("{count} bytes more"), left));
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        while self.buffer.len() < count {
            self.read_block()?;
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<()> {
        let bytes = self.left.min(BLOCK_BYTES as u64) as usize;
        let at = HEADER_BYTES as u64 + self.blocks * (BLOCK_BYTES + SUM_BYTES) as u64;
        let start = self.buffer.len();
        self.buffer.resize(start + bytes + SUM_BYTES, 0);
        self.file.read_exact_at(&mut self.buffer[start..], at)?;
        let expected = Reader::new(&self.buffer[start + bytes..]).u32()?;
        check_sum(&self.name, at, self.head.sum(self.blocks, &self.buffer[start..start + bytes]), expected)?;
        self.buffer.truncate(start + bytes);
        self.left -= bytes as u64;
        self.blocks += 1;
        Ok(())
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    codec::little_endian!(u16, u32, u64, u128);

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// Refuses bytes that nothing has taken.
    pub fn finish(&self) -> Result<()> {
        match self.left + (self.buffer.len() - self.taken) as u64 {
            0 => Ok(()),
            more => Err(self.corrupt("the end", format_args!("{more} more bytes"))),
        }
    }

    /// Damage in what was taken last.
    pub fn corrupt(&self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
        let at = HEADER_BYTES as u64 + self.blocks.saturating_sub(1) * (BLOCK_BYTES + SUM_BYTES) as u64;
        Error::corrupt(&self.name, at, expected, found)
    }

    /// Verifies every block that is left.
    pub fn verify(&mut self, pace: &mut Pace) -> Result<()> {
        while self.left > 0 {
            self.buffer.clear();
            self.taken = 0;
            self.read_block()?;
            pace(self.buffer.len() as u64)?;
        }
        Ok(())
    }
}
