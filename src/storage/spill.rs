//! Sorted tables of a transaction too big for memory, seen by nobody else until they are ingested.

use std::ops::Bound;
use std::sync::Arc;

use super::cells::Row;
use super::merge::{LevelSource, is_before_end};
use super::slice::Slice;
use super::sstable::{Table, bloom_hash};
use super::version::table_of;
use crate::error::Result;
use crate::log::Seq;

/// A private part of a tree. Dropped without [`Tree::ingest`](super::Tree::ingest), it takes its files with
/// it.
pub struct SpilledTable {
    /// Disjoint, in order of keys.
    pub(super) tables: Vec<Arc<Table>>,
}

impl SpilledTable {
    /// `None`: the table says nothing about `key`. `Some(None)`: it deletes it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Option<Slice>>> {
        let Some(table) = table_of(&self.tables, key) else { return Ok(None) };
        Ok(table.get(key, bloom_hash(key), Seq(u64::MAX))?.map(|(_, row)| row.map(Row::into_bytes)))
    }

    /// All entries of `from..to` in order of keys, deletions included.
    pub fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> SpilledScan {
        let source = LevelSource::new(&self.tables, from, to, true);
        SpilledScan { source: Some(source), to: to.map(<[u8]>::to_vec) }
    }

    /// Number of entries, deletions included.
    pub fn entries(&self) -> u64 {
        self.tables.iter().map(|table| table.meta().entries).sum()
    }

    pub fn bytes_on_disk(&self) -> u64 {
        self.tables.iter().map(|table| table.meta().bytes).sum()
    }
}

/// Iterates over a [`SpilledTable`]: key, and value or `None` for a deletion.
pub struct SpilledScan {
    source: Option<LevelSource>,
    to: Bound<Vec<u8>>,
}

impl SpilledScan {
    fn step(&mut self) -> Result<Option<(Slice, Option<Slice>)>> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let entry = if source.advance()? { source.to_entry() } else { None };
        Ok(entry.filter(|entry| is_before_end(&entry.key, &self.to)).map(|entry| (entry.key, entry.value)))
    }
}

impl Iterator for SpilledScan {
    type Item = Result<(Slice, Option<Slice>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.source = None;
        }
        step
    }
}
