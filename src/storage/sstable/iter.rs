//! Walks over one table.

use std::sync::Arc;

use super::block::Block;
use super::reader::Table;
use crate::error::Result;
use crate::log::Seq;
use crate::storage::memtable::Entry;

/// Entries of a table in order, from a place on. Holds the table and one block.
pub struct TableIter {
    table: Arc<Table>,
    cache: bool,
    /// The block being read, and the next entry in it.
    current: Option<(Block, usize)>,
    /// The block after it.
    next_block: usize,
}

impl TableIter {
    /// From the first entry on. `cache` says whether blocks it reads are kept in the cache.
    pub fn new(table: Arc<Table>, cache: bool) -> TableIter {
        TableIter { table, cache, current: None, next_block: 0 }
    }

    /// From the first version of the first key at or after `key` on; `after` leaves `key` itself out.
    pub fn seek(table: Arc<Table>, cache: bool, key: &[u8], after: bool) -> Result<TableIter> {
        // Version 0 is the last a key can have, so that only it can stand between it and the next key.
        let seq = if after { Seq(0) } else { Seq(u64::MAX) };
        let at = table.seek(key, seq);
        let mut iter = TableIter { table, cache, current: None, next_block: at };
        if iter.load()?
            && let Some((block, next)) = &mut iter.current
        {
            *next = block.seek(key, seq);
            while after && *next < block.len() && block.key(*next) == key {
                *next += 1;
            }
        }
        Ok(iter)
    }

    pub fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some((block, next)) = &mut self.current
                && *next < block.len()
            {
                *next += 1;
                return Ok(Some(self.table.entry(block, *next - 1)));
            }
            if !self.load()? {
                return Ok(None);
            }
        }
    }

    /// Goes to the next block, if there is one.
    fn load(&mut self) -> Result<bool> {
        self.current = None;
        if self.next_block >= self.table.blocks() {
            return Ok(false);
        }
        self.current = Some((self.table.block(self.next_block, self.cache)?, 0));
        self.next_block += 1;
        Ok(true)
    }
}
