//! Writes as many tables as a run of entries needs.

use std::path::PathBuf;
use std::sync::Arc;

use super::builder::Builder;
use super::footer::{TableMeta, TableName, folder};
use super::reader::Table;
use crate::error::Result;
use crate::log::{Seq, StorageId};
use crate::storage::context::Context;

/// Takes entries in order and cuts them into tables.
///
/// A cut comes when a table is large enough and whenever the first byte of the key changes. That byte says
/// what kind of entry it is (rows, keys); rows mostly ascend and their tables then move down the levels
/// untouched, whatever the keys beside them do. Versions of one key are never parted, so a level's tables
/// are disjoint.
pub struct Writer {
    context: Arc<Context>,
    storage: StorageId,
    current: Option<Builder>,
    finished: Vec<TableMeta>,
}

impl Writer {
    pub fn new(context: Arc<Context>, storage: StorageId) -> Writer {
        Writer { context, storage, current: None, finished: Vec::new() }
    }

    /// As [`Builder::add`].
    pub fn add(&mut self, key: &[u8], seq: Seq, value: Option<&[u8]>) -> Result<()> {
        if self.current.as_ref().is_some_and(|builder| self.cut_before(builder, key)) {
            self.close()?;
        }
        let builder = match &mut self.current {
            Some(builder) => builder,
            None => self.current.insert(self.begin()?),
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

    fn cut_before(&self, builder: &Builder, key: &[u8]) -> bool {
        let last = builder.last_key();
        let full = builder.bytes() >= self.context.options.table_bytes_max;
        key.first() != last.first() || (full && key != last)
    }

    fn begin(&self) -> Result<Builder> {
        let context = &self.context;
        context.fs.create_dir_all(&self.folder())?;
        let name = TableName { storage: self.storage, number: context.next_number() };
        Builder::create(context.fs.clone(), &context.dir, name, context.options.block_bytes)
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

impl Drop for Writer {
    /// Files finished before a later step failed belong to nobody.
    fn drop(&mut self) {
        for meta in &self.finished {
            let name = TableName { storage: self.storage, number: meta.number };
            self.context.remove_file(&name.path(&self.context.dir));
        }
    }
}
