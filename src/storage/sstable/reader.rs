//! Reads one sorted table.
//!
//! An open table holds its metadata and where its parts are. Index and filter are read when they are first asked for, and
//! kept while the block cache has room for them:
//!
//! - The index has to be there for every read of a block. Whoever walks over the table holds it until they are through.
//! - The filter only saves reading, so it is never waited for longer than it saves. It is read at once if there is room
//!   and none has driven it out. One that others would have to go for, or have taken the room of, is read once gets that
//!   found nothing have asked blocks of as many bytes for want of it: so where filters cannot all be kept, reading them
//!   costs no more than the blocks did that they would have saved. One that is larger than all that may be kept is not
//!   read, and neither is a damaged one: blocks answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::block::Block;
use super::bloom::{self, Bloom};
use super::builder::properties;
use super::data::DataBlock;
use super::footer::{Footer, TableMeta, TableName};
use super::frame::{self, Handle, Kind};
use super::index::Index;
use crate::error::{Error, Result};
use crate::fs::{File, OpenMode};
use crate::log::{Seq, StorageId};
use crate::storage::cache::{By, Guide, Part, Room};
use crate::storage::cells::Row;
use crate::storage::context::Context;
use crate::storage::is_rot;
use crate::storage::memtable::{Entry, EntryRef};

/// The filter of a table. Cheap to clone.
pub type Filter = Bloom<Arc<[u8]>>;

/// An open table. The file is removed with the last reference unless the manifest names it.
pub struct Table {
    meta: TableMeta,
    shared: Arc<Shared>,
    keep: AtomicBool,
}

/// What the objects of one file share.
struct Shared {
    context: Arc<Context>,
    name: TableName,
    path: PathBuf,
    file: Arc<dyn File>,
    footer: Footer,
    guide: Arc<Guide>,
    /// Under which the cache has its blocks.
    cached_as: u64,
    /// Held by the one who reads index or filter for the cache; others want the same.
    reading: Mutex<()>,
    /// Bytes of the index in memory, once it was read; before, those that it has in the file, where it may be deflated.
    index_bytes: AtomicUsize,
    /// Blocks that gets have asked for nothing, for want of the filter, since it was read.
    needless: AtomicU32,
    /// Every question is answered by a block until the table is written anew, or found sound again.
    is_filter_damaged: AtomicBool,
}

impl Table {
    /// Opens the file and holds it against what is known of it. Index and filter are not read.
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
        let stored = frame::read(&*file, name, footer.properties, Kind::Properties)?;
        if stored[..] != properties(&as_written(&meta)) {
            let at = footer.properties.offset;
            return Err(Error::corrupt(path.display(), at, format_args!("{meta:?}"), "other properties"));
        }
        let shared = Arc::new(Shared {
            context: context.clone(),
            name,
            path,
            file,
            footer,
            guide: Arc::default(),
            cached_as: context.pool.cache.new_name(),
            reading: Mutex::default(),
            index_bytes: AtomicUsize::new(footer.index.len as usize),
            needless: AtomicU32::new(0),
            is_filter_damaged: AtomicBool::new(false),
        });
        Ok(Table { meta, shared, keep: AtomicBool::new(false) })
    }

    /// How many entries have a newer version of their key in the table; files of the first format do not tell.
    pub fn older_versions(&self) -> Option<u64> {
        self.shared.footer.older_versions
    }

    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The same file as a table whose entries all count as written at `seq`; it takes the file over.
    pub fn ingested(&self, seq: Seq) -> Table {
        self.keep(true);
        // What its transaction has read of it, once, others may never ask for.
        self.shared.forget_blocks();
        Table {
            meta: TableMeta { seq_min: seq, seq_max: seq, global_seq: Some(seq), ..self.meta.clone() },
            shared: self.shared.clone(),
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
        let lead = self.shared.guide.lead();
        let is_filtered = match &lead.filter {
            Some(filter) if !filter.may_contain_hash(key_hash) => {
                self.shared.guide.mark_filter();
                return Ok(None);
            }
            Some(_) => true,
            None => match self.filter_if_worth() {
                Some(filter) if !filter.may_contain_hash(key_hash) => return Ok(None),
                filter => filter.is_some(),
            },
        };
        let snapshot = self.stored_seq(snapshot);
        let place_in = |index: &Index| {
            let at = index.seek(key, snapshot);
            (at < index.len()).then(|| index.place(at))
        };
        let place = match &lead.index {
            Some(index) => {
                self.shared.guide.mark_index();
                place_in(index)
            }
            None => place_in(&self.read_index(true)?),
        };
        drop(lead);
        let Some(place) = place else { return Ok(None) };
        let found = self.with_block(place, |block| block.get(key, snapshot))?;
        if found.is_none() && !is_filtered {
            self.shared.needless.fetch_add(1, Relaxed);
        }
        Ok(found.map(|(seq, row)| (self.meta.global_seq.unwrap_or(seq), row)))
    }

    /// The index, from the cache or the file; `cache` says whether it goes into the cache.
    pub fn index(&self, cache: bool) -> Result<Index> {
        if let Some(index) = &self.shared.guide.lead().index {
            if cache {
                self.shared.guide.mark_index();
            }
            return Ok(index.clone());
        }
        self.read_index(cache)
    }

    /// The filter, if it is in the cache.
    pub fn cached_filter(&self) -> Option<Filter> {
        self.shared.guide.lead().filter.clone()
    }

    fn read_index(&self, cache: bool) -> Result<Index> {
        let can_be_kept =
            || self.shared.context.pool.cache.room(self.shared.index_bytes.load(Relaxed)) != Room::None;
        let reading = (cache && can_be_kept()).then(|| self.shared.reading.lock());
        if reading.is_some()
            && let Some(index) = &self.shared.guide.lead().index
        {
            return Ok(index.clone());
        }
        // Whoever waited while it turned out too large lets the others read beside it.
        let reading = reading.filter(|_| can_be_kept());
        let index = Index::read(&*self.shared.file, self.shared.name, &self.shared.footer)?;
        self.shared.index_bytes.store(index.bytes(), Relaxed);
        if reading.is_some() {
            self.shared.context.pool.cache.keep(&self.shared.guide, Part::Index(index.clone()));
        }
        Ok(index)
    }

    /// The filter, if reading it is worth while. Nobody waits for somebody else who reads it.
    #[cold]
    fn filter_if_worth(&self) -> Option<Filter> {
        if self.shared.is_filter_damaged.load(Relaxed) {
            return None;
        }
        let bytes = self.filter_bytes();
        let needless = self.shared.needless.load(Relaxed) as usize;
        let is_paid = needless.saturating_mul(self.shared.context.options.block_bytes) >= bytes;
        let is_worth = match self.shared.context.pool.cache.room(bytes) {
            Room::Free => is_paid || !self.shared.guide.was_filter_driven_out(),
            Room::Taken => is_paid,
            Room::None => false,
        };
        let _reading = if is_worth { self.shared.reading.try_lock()? } else { return None };
        if let Some(filter) = &self.shared.guide.lead().filter {
            return Some(filter.clone());
        }
        let filter = self.read_filter()?;
        self.shared.needless.store(0, Relaxed);
        self.shared.context.pool.cache.keep(&self.shared.guide, Part::Filter(filter.clone()));
        Some(filter)
    }

    /// The filter in the file, which does not go into the cache. Where that has rotted it is told once, and not read again.
    pub fn read_filter(&self) -> Option<Filter> {
        if self.shared.is_filter_damaged.load(Relaxed) {
            return None;
        }
        let outcome = read_filter(&*self.shared.file, self.shared.name, self.shared.footer.filter);
        outcome
            .inspect_err(|error| {
                // It only saves reading; the rows are there without it.
                log::warn!("a filter is not used: {error}");
                self.shared.is_filter_damaged.store(is_rot(error), Relaxed);
            })
            .ok()
    }

    /// Bytes of the filter in memory: it has a bit pattern for each key, of which the first format had not counted the
    /// versions.
    pub fn filter_bytes(&self) -> usize {
        bloom::bytes_of(self.meta.entries.saturating_sub(self.shared.footer.older_versions.unwrap_or(0)))
    }

    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The filter as it lies in the file now. If it is sound it is used again from now on.
    pub fn filter_from_file(&self) -> Result<Filter> {
        let footer = Footer::read(&*self.shared.file, self.shared.name, self.meta.bytes)?;
        let filter = read_filter(&*self.shared.file, self.shared.name, footer.filter)?;
        self.shared.is_filter_damaged.store(false, Relaxed);
        Ok(filter)
    }

    /// The index as it lies in the file now; what else leads to it is sound.
    pub fn index_from_file(&self) -> Result<Index> {
        let footer = Footer::read(&*self.shared.file, self.shared.name, self.meta.bytes)?;
        let index = Index::read(&*self.shared.file, self.shared.name, &footer)?;
        frame::read(&*self.shared.file, self.shared.name, footer.properties, Kind::Properties)?;
        Ok(index)
    }

    /// A data block, from the cache or the file, for a scan; `cache` says whether it goes into the cache.
    pub fn block(&self, place: Handle, cache: bool) -> Result<DataBlock> {
        let key = (self.shared.cached_as, place.offset);
        if let Some(block) = self.shared.context.pool.cache.get(key) {
            return Ok(block);
        }
        let block = read_data(&*self.shared.file, self.shared.name, place)?;
        if cache {
            self.shared.context.pool.cache.insert(key, block.clone(), By::Scan);
        }
        Ok(block)
    }

    /// [`Table::block`] as a block of entries.
    pub fn entries(&self, place: Handle, cache: bool) -> Result<Block> {
        let block = self.block(place, cache)?.into_entries();
        block.map_err(|found| self.damaged(place.offset, "a block of columns", found))
    }

    /// What `read` makes of a data block.
    fn with_block<T>(&self, place: Handle, read: impl Fn(&DataBlock) -> T) -> Result<T> {
        let key = (self.shared.cached_as, place.offset);
        if let Some(found) = self.shared.context.pool.cache.with(key, &read) {
            return Ok(found);
        }
        let block = read_data(&*self.shared.file, self.shared.name, place)?;
        let found = read(&block);
        self.shared.context.pool.cache.insert(key, block, By::Get);
        Ok(found)
    }

    /// A data block as it lies in the file now.
    pub fn block_from_file(&self, place: Handle) -> Result<Block> {
        let block = read_data(&*self.shared.file, self.shared.name, place)?.into_entries();
        block.map_err(|found| self.damaged(place.offset, "a block of columns", found))
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
        offset: u64,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Error {
        Error::corrupt(self.shared.path.display(), offset, expected, found)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.keep.load(Relaxed) {
            self.shared.context.remove_file(&self.shared.path);
        }
    }
}

impl Shared {
    /// Lets the cache go of the file's blocks. Where they are the index tells; without it they are left to the cache, which
    /// evicts what nobody asks for.
    fn forget_blocks(&self) {
        if let Some(index) = &self.guide.lead().index {
            let offsets = (0..index.len()).map(|at| index.place(at).offset);
            self.context.pool.cache.forget(self.cached_as, offsets);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.forget_blocks();
        self.context.pool.cache.forget_guide(&self.guide);
    }
}

fn read_filter(file: &dyn File, name: TableName, at: Handle) -> Result<Filter> {
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

/// A data block, of either kind.
pub(super) fn read_data(file: &dyn File, name: TableName, handle: Handle) -> Result<DataBlock> {
    let (kind, raw) = frame::read_one_of(file, name, handle, &[Kind::Entries, Kind::Columns])?;
    let expected = if kind == Kind::Columns { "a block of columns" } else { "a block of entries" };
    DataBlock::parse(kind, raw)
        .map_err(|found| Error::corrupt(file.path().display(), handle.offset, expected, found))
}
