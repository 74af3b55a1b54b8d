//! Writes one sorted table.

use std::path::PathBuf;
use std::sync::Arc;

use super::block::{BlockBuilder, SEQ_MAX};
use super::footer::{Footer, TableMeta, TableName};
use super::frame::{self, HEADER_BYTES, Handle, Kind, Packing};
use super::packer::{GATHERED_BYTES, Packer};
use super::{ENTRY_BYTES_MAX, bloom, columns};
use crate::codec::{put_bytes, put_u32, put_u64};
use crate::error::{Error, Result, SqlState};
use crate::fs::{File, OpenMode};
use crate::log::Seq;
use crate::storage::context::Context;
use crate::storage::limiter::Lane;
use crate::storage::shape::Shape;

/// Blocks are gathered to this size before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// How much of a file is left to the sync at its end, at most: a sync of 32 MiB at once would hold up that of the log.
const UNSETTLED_BYTES_MAX: u64 = 4 << 20;

/// Blocks whose entries are longer than this in the middle are not of columns: four to a block of the usual size, of which a
/// scan of one column saves the copy of no more than a few KiB.
const ROW_BYTES_MAX: usize = 4 << 10;

/// A data block, and what the index says of it.
struct Closed {
    kind: Kind,
    raw: Vec<u8>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    last_seq: Seq,
}

/// Takes entries in order and leaves a durable file, or, dropped before [`Builder::finish`], none.
pub struct Builder {
    context: Arc<Context>,
    name: TableName,
    path: PathBuf,
    file: Arc<dyn File>,
    finished: bool,
    /// At whose rate it writes; as fast as it goes without.
    lane: Option<Lane>,
    block_bytes: usize,
    /// Of rows: their blocks are of columns.
    shape: Option<Arc<Shape>>,
    packer: Packer,
    /// Closed blocks that are not packed yet.
    gathered: Vec<Closed>,
    /// Their bytes.
    gathered_bytes: usize,
    /// Frames not written yet; the first byte's offset is `written`.
    buffer: Vec<u8>,
    written: u64,
    /// The file before this is on the disk, if not durably.
    settled: u64,
    data: BlockBuilder,
    first_key: Vec<u8>,
    index: BlockBuilder,
    hashes: Vec<u64>,
    last_key: Vec<u8>,
    last_seq: Seq,
    meta: TableMeta,
}

impl Builder {
    /// Creates the file; its folder exists.
    pub fn create(
        context: Arc<Context>,
        name: TableName,
        packing: Packing,
        lane: Option<Lane>,
    ) -> Result<Builder> {
        let path = name.path(&context.dir);
        let file = context.fs.open(&path, OpenMode::Create)?;
        let block_bytes = context.options.block_bytes;
        let shape = context.shapes.of(name.storage);
        Ok(Builder {
            context,
            lane,
            shape,
            name,
            path,
            file,
            finished: false,
            block_bytes,
            packer: Packer::new(packing),
            gathered: Vec::new(),
            gathered_bytes: 0,
            buffer: Vec::new(),
            written: 0,
            settled: 0,
            data: BlockBuilder::default(),
            first_key: Vec::new(),
            index: BlockBuilder::default(),
            hashes: Vec::new(),
            last_key: Vec::new(),
            last_seq: Seq(0),
            meta: TableMeta {
                number: name.number,
                bytes: 0,
                entries: 0,
                deletions: 0,
                key_min: Vec::new(),
                key_max: Vec::new(),
                seq_min: Seq(u64::MAX),
                seq_max: Seq(0),
                global_seq: None,
            },
        })
    }

    /// Entries come in order of keys, the newest version of a key first.
    pub fn add(&mut self, key: &[u8], seq: Seq, value: Option<&[u8]>) -> Result<()> {
        let value_len = value.map_or(0, <[u8]>::len);
        if key.len() + value_len > ENTRY_BYTES_MAX {
            let message =
                format!("an entry of {} bytes is larger than {ENTRY_BYTES_MAX}", key.len() + value_len);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let first = self.meta.entries == 0;
        let new_key = first || key != &self.last_key[..];
        let in_order = first || key > &self.last_key[..] || (!new_key && seq < self.last_seq);
        if !in_order || seq.0 > SEQ_MAX {
            return Err(Error::internal(format!(
                "entry \"{}\" at {} does not come after \"{}\" at {}",
                key.escape_ascii(),
                seq.0,
                self.last_key.escape_ascii(),
                self.last_seq.0
            )));
        }
        if !self.data.is_empty() && self.data.bytes() + key.len() + value_len > self.block_bytes {
            self.close_block()?;
        }
        if self.data.is_empty() {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        if first {
            self.meta.key_min = key.to_vec();
        }
        if new_key {
            self.hashes.push(bloom::hash(key));
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.last_seq = seq;
        self.data.add(key, seq, value);
        self.meta.entries += 1;
        self.meta.deletions += u64::from(value.is_none());
        self.meta.seq_min = self.meta.seq_min.min(seq);
        self.meta.seq_max = self.meta.seq_max.max(seq);
        Ok(())
    }

    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Whether the closed blocks have so many bytes in the file, or more.
    pub fn has_bytes(&mut self, bytes: u64) -> Result<bool> {
        // Packed they are no larger.
        let most = self.bytes() + (self.gathered_bytes + self.gathered.len() * HEADER_BYTES) as u64;
        if most < bytes {
            return Ok(false);
        }
        self.pack()?;
        Ok(self.bytes() >= bytes)
    }

    /// Bytes of the frames so far.
    fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes the rest; the contents are durable, the name is after a sync of the folder.
    pub fn finish(mut self) -> Result<TableMeta> {
        if !self.data.is_empty() {
            self.close_block()?;
        }
        self.pack()?;
        self.meta.key_max = self.last_key.clone();
        let filter = self.packed(Kind::Filter, &bloom::build(&self.hashes))?;
        let index = self.index.finish();
        let index = self.packed(Kind::Index, &index)?;
        let properties = self.packed(Kind::Properties, &properties(&self.meta))?;
        let older_versions = Some(self.meta.entries - self.hashes.len() as u64);
        let footer = Footer { filter, index, properties, older_versions };
        self.buffer.extend_from_slice(&footer.encode(self.name));
        self.write()?;
        self.file.sync_data()?;
        self.finished = true;
        self.meta.bytes = self.written;
        Ok(self.meta.clone())
    }

    fn close_block(&mut self) -> Result<()> {
        // Of a few large rows nothing is won, and a block of entries lends them without a copy. So a block of columns is of no
        // more bytes than blocks are closed at, and the memory that is kept for the next one is no more either.
        let is_of_few = self.data.len() == 1 || self.data.bytes() / self.data.len() > ROW_BYTES_MAX;
        let shape = self.shape.as_deref().filter(|_| !is_of_few);
        let columns = shape.and_then(|shape| columns::encode(self.data.entries(), shape));
        // Of a few entries of many columns the directory is larger than what it saves.
        let (kind, raw) = match columns.filter(|columns| columns.len() < self.data.bytes()) {
            Some(columns) => {
                self.data.clear();
                (Kind::Columns, columns)
            }
            None => (Kind::Entries, self.data.finish()),
        };
        self.gathered_bytes += raw.len();
        self.gathered.push(Closed {
            kind,
            raw,
            first_key: std::mem::take(&mut self.first_key),
            last_key: self.last_key.clone(),
            last_seq: self.last_seq,
        });
        if self.gathered_bytes >= GATHERED_BYTES { self.pack() } else { Ok(()) }
    }

    /// Makes frames of the blocks that were gathered.
    fn pack(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let raws: Vec<&[u8]> = gathered.iter().map(|block| &block.raw[..]).collect();
        let (context, lane) = (&self.context, self.lane);
        // Not while it is held back: then the other processors are for others.
        let helped = || lane.is_none_or(|lane| context.limiter.rate(lane, &context.options).is_none());
        let packed = self.packer.pack(&raws, helped);
        for (block, packed) in gathered.iter().zip(&packed) {
            let handle = self.frame(block.kind, &block.raw, packed.as_deref())?;
            let value = index_value(handle, &block.first_key);
            self.index.add(&block.last_key, block.last_seq, Some(&value));
        }
        Ok(())
    }

    /// A block by itself.
    fn packed(&mut self, kind: Kind, raw: &[u8]) -> Result<Handle> {
        let packed = self.packer.pack(&[raw], || false).pop().flatten();
        self.frame(kind, raw, packed.as_deref())
    }

    fn frame(&mut self, kind: Kind, raw: &[u8], packed: Option<&[u8]>) -> Result<Handle> {
        let offset = self.bytes();
        let len = frame::encode(self.name, offset, kind, raw, packed, &mut self.buffer);
        if self.buffer.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(Handle { offset, len })
    }

    fn write(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        let bytes = self.buffer.len() as u64;
        self.file.start_writeback(self.written, bytes);
        self.written += bytes;
        self.buffer.clear();
        let settled = self.written.saturating_sub(UNSETTLED_BYTES_MAX);
        if settled > self.settled {
            self.file.finish_writeback(self.settled, settled - self.settled)?;
            self.settled = settled;
        }
        match self.lane {
            Some(lane) => self.context.limiter.pace(&self.context, lane, bytes),
            None => Ok(()),
        }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = self.context.fs.remove_file(&self.path)
        {
            log::warn!("an unfinished table stays until the next start: {error}");
        }
    }
}

/// What the index says of a data block: its place and its first key (its last one is the index entry's key).
fn index_value(handle: Handle, first_key: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(16 + first_key.len());
    put_u64(&mut value, handle.offset);
    put_u32(&mut value, handle.len);
    put_bytes(&mut value, first_key);
    value
}

/// The metadata as the file has it; its length is not known to itself yet and stands as 0.
pub fn properties(meta: &TableMeta) -> Vec<u8> {
    let mut out = Vec::new();
    TableMeta { bytes: 0, ..meta.clone() }.encode(&mut out);
    out
}
