//! Writes as many tables as a run of entries needs.

use std::path::PathBuf;
use std::sync::Arc;

use super::builder::Builder;
use super::footer::{TableName, folder, path_of};
use super::frame::Packing;
use super::reader::Table;
use crate::error::Result;
use crate::log::{Seq, StorageId};
use crate::storage::context::Context;
use crate::storage::limiter::Lane;

/// How a table lies in its file, by its first key.
type PackingOf<'a> = dyn Fn(&[u8]) -> Packing + 'a;

/// Takes entries in order and cuts them into tables.
///
/// A cut comes when a table is large enough and whenever the first byte of the key changes. That byte says
/// what kind of entry it is (rows, keys); rows mostly ascend and their tables then move down the levels
/// untouched, whatever the keys beside them do. Versions of one key are never parted, so a level's tables
/// are disjoint.
pub struct Writer<'a> {
    context: Arc<Context>,
    storage: StorageId,
    packing: Box<PackingOf<'a>>,
    lane: Option<Lane>,
    current: Option<Builder>,
    /// Removed with this, before somebody keeps them.
    finished: Vec<Arc<Table>>,
}

impl<'a> Writer<'a> {
    pub fn new(context: Arc<Context>, storage: StorageId) -> Writer<'a> {
        Writer::with_packing(context, storage, |_| Packing::Deflate)
    }

    /// `packing` says of each table, by its first key, how it is to lie in its file.
    pub fn with_packing(
        context: Arc<Context>,
        storage: StorageId,
        packing: impl Fn(&[u8]) -> Packing + 'a,
    ) -> Writer<'a> {
        Writer {
            context,
            storage,
            packing: Box::new(packing),
            lane: None,
            current: None,
            finished: Vec::new(),
        }
    }

    /// From now on it writes at the lane's rate, if there is one.
    pub fn paced(mut self, lane: Option<Lane>) -> Writer<'a> {
        self.lane = lane;
        self
    }

    /// As [`Builder::add`].
    pub fn add(&mut self, key: &[u8], seq: Seq, value: Option<&[u8]>) -> Result<()> {
        if self.cut_before(key)? {
            self.close()?;
        }
        let builder = match &mut self.current {
            Some(builder) => builder,
            None => self.current.insert(self.begin(key)?),
        };
        builder.add(key, seq, value)
    }

    /// The tables, durable under their names, open, and removed again when they are dropped before someone
    /// keeps them.
    pub fn finish(mut self) -> Result<Vec<Arc<Table>>> {
        self.close()?;
        if self.finished.is_empty() {
            return Ok(Vec::new());
        }
        self.context.fs.sync_dir(&self.folder())?;
        Ok(self.finished)
    }

    fn cut_before(&mut self, key: &[u8]) -> Result<bool> {
        let Some(builder) = &mut self.current else { return Ok(false) };
        let last = builder.last_key();
        let (is_same, is_alike) = (key == last, key.first() == last.first());
        Ok(!is_alike || !is_same && builder.has_bytes(self.context.options.table_bytes_max)?)
    }

    fn begin(&self, key: &[u8]) -> Result<Builder> {
        let (context, packing) = (&self.context, (self.packing)(key));
        context.fs.create_dir_all(&self.folder())?;
        let name = TableName { storage: self.storage, number: context.next_number() };
        Builder::create(context.clone(), name, packing, self.lane)
    }

    fn close(&mut self) -> Result<()> {
        if let Some(builder) = self.current.take() {
            let meta = builder.finish()?;
            let path = path_of(&self.context.dir, self.storage, meta.number);
            let table = Table::open(&self.context, self.storage, meta);
            let table = table.inspect_err(|_| self.context.remove_file(&path))?;
            self.finished.push(Arc::new(table));
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        folder(&self.context.dir, self.storage)
    }
}
