//! Walks over one table.

use std::sync::Arc;

use super::block::Block;
use super::index::Index;
use super::reader::Table;
use crate::error::Result;
use crate::log::Seq;
use crate::storage::memtable::{Entry, EntryRef};
use crate::storage::slice::Slice;

/// Entries of a table in order, from a place on. Holds the table, its index and one block.
pub struct TableIter {
    table: Arc<Table>,
    /// From the first step on.
    index: Option<Index>,
    cache: bool,
    /// The block being read.
    block: Option<Block>,
    /// One past the entry it stands on.
    next: usize,
    /// The block after it.
    next_block: usize,
}

impl TableIter {
    /// Before the first entry. `cache` says whether index and blocks that it reads are kept in the cache.
    pub fn new(table: Arc<Table>, cache: bool) -> TableIter {
        TableIter { table, index: None, cache, block: None, next: 0, next_block: 0 }
    }

    /// Before the first version of the first key at or after `key`; `after` leaves `key` itself out.
    pub fn seek(table: Arc<Table>, cache: bool, key: &[u8], after: bool) -> Result<TableIter> {
        // Version 0 is the last a key can have, so that only it can stand between it and the next key.
        let seq = if after { Seq(0) } else { Seq(u64::MAX) };
        let index = table.index(cache)?;
        let at = index.seek(key, seq);
        let mut iter = TableIter { table, index: Some(index), cache, block: None, next: 0, next_block: at };
        if iter.load()?
            && let Some(block) = &iter.block
        {
            iter.next = block.seek(key, seq);
            while after && iter.next < block.len() && block.key(iter.next) == key {
                iter.next += 1;
            }
        }
        Ok(iter)
    }

    /// Goes to the next entry; false at the end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        while self.block.as_ref().is_none_or(|block| self.next >= block.len()) {
            if !self.load()? {
                return Ok(false);
            }
        }
        self.next += 1;
        Ok(true)
    }

    /// The entry it stands on, after [`TableIter::advance`] has said that there is one.
    #[inline]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        let block = self.block.as_ref()?;
        Some(self.table.entry_ref(block, self.next.checked_sub(1)?))
    }

    /// [`TableIter::entry`], sharing the block.
    pub fn to_entry(&self) -> Option<Entry> {
        let block = self.block.as_ref()?;
        Some(self.table.entry(block, self.next.checked_sub(1)?))
    }

    /// The value of [`TableIter::entry`], sharing the block.
    pub fn value(&self) -> Option<Slice> {
        self.block.as_ref()?.value_slice(self.next.checked_sub(1)?)
    }

    /// Goes before the first entry of the next block, if there is one.
    fn load(&mut self) -> Result<bool> {
        self.block = None;
        self.next = 0;
        let index = match &self.index {
            Some(index) => index,
            None => self.index.insert(self.table.index(self.cache)?),
        };
        if self.next_block >= index.len() {
            return Ok(false);
        }
        self.block = Some(self.table.entries(index.place(self.next_block), self.cache)?);
        self.next_block += 1;
        Ok(true)
    }
}
