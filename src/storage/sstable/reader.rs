//! Reads one sorted table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::block::Block;
use super::bloom::Bloom;
use super::builder::properties;
use super::data::DataBlock;
use super::footer::{Footer, TableMeta, TableName};
use super::frame::{self, Handle, Kind};
use crate::codec::Reader;
use crate::error::{Error, Result, SqlState};
use crate::fs::{File, OpenMode};
use crate::log::{Seq, StorageId};
use crate::storage::cells::Row;
use crate::storage::context::Context;
use crate::storage::memtable::{Entry, EntryRef};

/// An open table. The file is removed with the last reference unless the manifest names it.
pub struct Table {
    context: Arc<Context>,
    name: TableName,
    path: PathBuf,
    file: Arc<dyn File>,
    meta: TableMeta,
    index: Block,
    /// `None`: it is damaged, and every question is answered by a block until the table is written anew.
    filter: Option<Bloom<Arc<[u8]>>>,
    older_versions: Option<u64>,
    keep: AtomicBool,
}

impl Table {
    /// Opens the file and holds it against what is known of it.
    pub fn open(context: &Arc<Context>, storage: StorageId, meta: TableMeta) -> Result<Table> {
        let name = TableName { storage, number: meta.number };
        let path = name.path(&context.dir);
        let file = context.fs.open(&path, OpenMode::Read)?;
        let bytes = file.len()?;
        if bytes != meta.bytes {
            return Err(Error::corrupt(
                path.display(),
                bytes,
                format_args!("a file of {} bytes", meta.bytes),
                bytes,
            ));
        }
        let footer = Footer::read(&*file, name, bytes)?;
        let data_end = footer.filter.offset;
        let index = read_index(&*file, name, footer.index, data_end)?;
        let filter = match read_filter(&*file, name, footer.filter) {
            Ok(filter) => Some(filter),
            // It only saves reading; the rows are there without it.
            Err(error) if error.state() == SqlState::DATA_CORRUPTED => {
                log::warn!("a filter is not used: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        let stored = frame::read(&*file, name, footer.properties, Kind::Properties)?;
        if stored[..] != properties(&as_written(&meta)) {
            let at = footer.properties.offset;
            return Err(Error::corrupt(path.display(), at, format_args!("{meta:?}"), "other properties"));
        }
        Ok(Table {
            context: context.clone(),
            name,
            path,
            file,
            meta,
            index,
            filter,
            older_versions: footer.older_versions,
            keep: AtomicBool::new(false),
        })
    }

    /// How many entries have a newer version of their key in the table; files of the first format do not tell.
    pub fn older_versions(&self) -> Option<u64> {
        self.older_versions
    }

    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The same file as a table whose entries all count as written at `seq`; it takes the file over.
    pub fn ingested(&self, seq: Seq) -> Table {
        self.keep(true);
        Table {
            context: self.context.clone(),
            name: self.name,
            path: self.path.clone(),
            file: self.file.clone(),
            meta: TableMeta { seq_min: seq, seq_max: seq, global_seq: Some(seq), ..self.meta.clone() },
            index: self.index.clone(),
            filter: self.filter.clone(),
            older_versions: self.older_versions,
            keep: AtomicBool::new(false),
        }
    }

    /// Whether the file outlives this object: it does while the manifest names it.
    pub fn keep(&self, keep: bool) {
        self.keep.store(keep, Relaxed);
    }

    /// The newest version of `key` at or before `snapshot`: its sequence number, and its row where it lies (`None`: deleted).
    pub fn get(&self, key: &[u8], key_hash: u64, snapshot: Seq) -> Result<Option<(Seq, Option<Row>)>> {
        if key < &self.meta.key_min[..] || key > &self.meta.key_max[..] || self.meta.seq_min > snapshot {
            return Ok(None);
        }
        if self.filter.as_ref().is_some_and(|filter| !filter.may_contain_hash(key_hash)) {
            return Ok(None);
        }
        let snapshot = self.stored_seq(snapshot);
        let at = self.index.seek(key, snapshot);
        if at == self.index.len() {
            return Ok(None);
        }
        let found = self.with_block(at, |block| block.get(key, snapshot))?;
        Ok(found.map(|(seq, row)| (self.meta.global_seq.unwrap_or(seq), row)))
    }

    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_contain(key))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the filter, as it lies in the file now, is sound.
    pub fn check_filter(&self) -> Result<()> {
        let footer = Footer::read(&*self.file, self.name, self.meta.bytes)?;
        read_filter(&*self.file, self.name, footer.filter).map(drop)
    }

    /// Whether the parts that lead to the blocks, as they lie in the file now, are sound.
    pub fn check_frame(&self) -> Result<()> {
        let footer = Footer::read(&*self.file, self.name, self.meta.bytes)?;
        read_index(&*self.file, self.name, footer.index, footer.filter.offset)?;
        frame::read(&*self.file, self.name, footer.properties, Kind::Properties).map(drop)
    }

    /// Bytes of data block `at` in the file.
    pub fn block_bytes(&self, at: usize) -> u64 {
        handle(&self.index, at).map_or(0, |handle| u64::from(handle.len))
    }

    /// Number of data blocks.
    pub fn blocks(&self) -> usize {
        self.index.len()
    }

    /// The first block that may hold version `seq` of `key` or anything after it; [`Table::blocks`] if none
    /// does.
    pub fn seek(&self, key: &[u8], seq: Seq) -> usize {
        self.index.seek(key, seq)
    }

    /// Data block `at`, from the cache or the file; `cache` says whether it goes into the cache.
    pub fn block(&self, at: usize, cache: bool) -> Result<DataBlock> {
        let handle = handle(&self.index, at).expect("checked when the table was opened");
        let key = (self.name.number, handle.offset);
        if let Some(block) = self.context.cache.get(key) {
            return Ok(block);
        }
        let block = read_data(&*self.file, self.name, handle)?;
        if cache {
            self.context.cache.insert(key, block.clone());
        }
        Ok(block)
    }

    /// [`Table::block`] as a block of entries.
    pub fn entries(&self, at: usize, cache: bool) -> Result<Block> {
        let block = self.block(at, cache)?.into_entries();
        block.map_err(|found| self.damaged(at, "a block of columns", found))
    }

    /// What `read` makes of data block `at`.
    fn with_block<T>(&self, at: usize, read: impl Fn(&DataBlock) -> T) -> Result<T> {
        let handle = handle(&self.index, at).expect("checked when the table was opened");
        let key = (self.name.number, handle.offset);
        if let Some(found) = self.context.cache.with(key, &read) {
            return Ok(found);
        }
        let block = read_data(&*self.file, self.name, handle)?;
        let found = read(&block);
        self.context.cache.insert(key, block);
        Ok(found)
    }

    /// Data block `at` as it lies in the file now, and the first and last key the index has for it.
    pub fn block_from_file(&self, at: usize) -> Result<(Block, &[u8], &[u8])> {
        let handle = handle(&self.index, at).expect("checked when the table was opened");
        let block = read_data(&*self.file, self.name, handle)?.into_entries();
        let block = block.map_err(|found| self.damaged(at, "a block of columns", found))?;
        let first = Reader::new(&self.index.value(at)[12..]).bytes()?;
        Ok((block, first, self.index.key(at)))
    }

    /// The sequence number of all entries, where the file does not say it.
    pub fn global_seq(&self) -> Option<Seq> {
        self.meta.global_seq
    }

    /// An entry of a block of this table, with the sequence number that counts.
    #[inline]
    pub fn entry_ref<'b>(&self, block: &'b Block, index: usize) -> EntryRef<'b> {
        let entry = block.entry_ref(index);
        EntryRef { seq: self.meta.global_seq.unwrap_or(entry.seq), ..entry }
    }

    /// [`Table::entry_ref`], sharing the block.
    pub fn entry(&self, block: &Block, index: usize) -> Entry {
        let entry = block.entry(index);
        Entry { seq: self.meta.global_seq.unwrap_or(entry.seq), ..entry }
    }

    /// `snapshot` in terms of what the file says.
    pub fn stored_seq(&self, snapshot: Seq) -> Seq {
        match self.meta.global_seq {
            Some(global) if snapshot >= global => Seq(u64::MAX),
            Some(_) => Seq(0),
            None => snapshot,
        }
    }

    /// Damage found where the checksums are right.
    pub fn damaged(
        &self,
        at: usize,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Error {
        let offset =
            if at < self.blocks() { handle(&self.index, at).map_or(0, |handle| handle.offset) } else { 0 };
        Error::corrupt(self.path.display(), offset, expected, found)
    }

    /// Index and filter, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.index.bytes() + self.filter.as_ref().map_or(0, Bloom::bytes)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let offsets =
            (0..self.index.len()).filter_map(|at| handle(&self.index, at)).map(|handle| handle.offset);
        self.context.cache.forget(self.name.number, offsets);
        if !self.keep.load(Relaxed) {
            self.context.remove_file(&self.path);
        }
    }
}

fn read_filter(file: &dyn File, name: TableName, at: Handle) -> Result<Bloom<Arc<[u8]>>> {
    Bloom::new(frame::read(file, name, at, Kind::Filter)?).ok_or_else(|| {
        Error::corrupt(file.path().display(), at.offset, "a filter of whole lines", "a broken one")
    })
}

/// The metadata without what was decided after the file was written.
fn as_written(meta: &TableMeta) -> TableMeta {
    match meta.global_seq {
        Some(_) => TableMeta { seq_min: Seq(0), seq_max: Seq(0), global_seq: None, ..meta.clone() },
        None => meta.clone(),
    }
}

pub(super) fn read_index_block(file: &dyn File, name: TableName, handle: Handle) -> Result<Block> {
    Block::parse(frame::read(file, name, handle, Kind::Index)?)
        .map_err(|found| Error::corrupt(file.path().display(), handle.offset, "a block of entries", found))
}

/// A data block, of either kind.
pub(super) fn read_data(file: &dyn File, name: TableName, handle: Handle) -> Result<DataBlock> {
    let (kind, raw) = frame::read_one_of(file, name, handle, &[Kind::Entries, Kind::Columns])?;
    let expected = if kind == Kind::Columns { "a block of columns" } else { "a block of entries" };
    DataBlock::parse(kind, raw)
        .map_err(|found| Error::corrupt(file.path().display(), handle.offset, expected, found))
}

/// Reads the index and checks that it names blocks one after the other up to `data_end`.
fn read_index(file: &dyn File, name: TableName, at: Handle, data_end: u64) -> Result<Block> {
    let index = read_index_block(file, name, at)?;
    let mut end = 0;
    for block in 0..index.len() {
        match handle(&index, block) {
            Some(handle) if handle.offset == end => end += u64::from(handle.len),
            found => {
                return Err(Error::corrupt(
                    file.path().display(),
                    end,
                    "the place of a block",
                    format_args!("{found:?}"),
                ));
            }
        }
    }
    if end != data_end {
        return Err(Error::corrupt(file.path().display(), end, format_args!("blocks up to {data_end}"), end));
    }
    Ok(index)
}

pub(super) fn handle(index: &Block, at: usize) -> Option<Handle> {
    let value = index.value(at);
    let offset = u64::from_le_bytes(*value.first_chunk()?);
    let len = u32::from_le_bytes(*value[8..].first_chunk()?);
    Some(Handle { offset, len })
}
