//! Writes as many tables as a run of entries needs.

use std::path::PathBuf;
use std::sync::Arc;

use super::builder::Builder;
use super::footer::{TableMeta, TableName, folder};
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
    finished: Vec<TableMeta>,
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
        let metas = std::mem::take(&mut self.finished);
        let opened: Result<Vec<_>> = metas
            .iter()
            .map(|meta| Table::open(&self.context, self.storage, meta.clone()).map(Arc::new))
            .collect();
        self.finished = if opened.is_err() { metas } else { Vec::new() };
        opened
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
            self.finished.push(builder.finish()?);
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        folder(&self.context.dir, self.storage)
    }
}

impl Drop for Writer<'_> {
    /// Files finished before a later step failed belong to nobody.
    fn drop(&mut self) {
        for meta in &self.finished {
            let name = TableName { storage: self.storage, number: meta.number };
            self.context.remove_file(&name.path(&self.context.dir));
        }
    }
}
