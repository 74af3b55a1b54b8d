//! A data block as it is read: of entries, or of rows column by column.

use std::sync::Arc;

use super::block::Block;
use super::columns::Columns;
use super::frame::Kind;
use crate::log::Seq;
use crate::storage::cells::Row;
use crate::storage::shape::slot_of;
use crate::storage::slice::Slice;

/// Cheap to clone.
#[derive(Clone)]
pub enum DataBlock {
    Entries(Block),
    Columns(Columns),
}

impl DataBlock {
    /// The bytes of a block of a kind of data. The error says what is wrong.
    pub fn parse(kind: Kind, data: Arc<[u8]>) -> Result<DataBlock, String> {
        match kind {
            Kind::Columns => Columns::parse(data).map(DataBlock::Columns),
            _ => Block::parse(data).map(DataBlock::Entries),
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            DataBlock::Entries(block) => block.bytes(),
            DataBlock::Columns(block) => block.bytes(),
        }
    }

    /// The first entry at or after version `seq` of `key`.
    pub fn seek(&self, key: &[u8], seq: Seq) -> usize {
        match self {
            DataBlock::Entries(block) => block.seek(key, seq),
            DataBlock::Columns(block) => block.seek(key, seq),
        }
    }

    /// The newest version of `key` at or before `snapshot`: its sequence number and value (`None`: deleted).
    pub fn get(&self, key: &[u8], snapshot: Seq) -> Option<(Seq, Option<Slice>)> {
        match self {
            DataBlock::Entries(block) => {
                let index = find(block, key, snapshot)?;
                Some((block.seq(index), block.value_slice(index)))
            }
            DataBlock::Columns(block) => {
                let index = block.find(slot_of(block.prefix(), key)?, snapshot)?;
                Some((block.seq(index), (!block.is_deleted(index)).then(|| block.row(index))))
            }
        }
    }

    /// As [`DataBlock::get`], the row where it lies.
    pub fn find(&self, key: &[u8], snapshot: Seq) -> Option<Option<Row>> {
        match self {
            DataBlock::Entries(block) => {
                let index = find(block, key, snapshot)?;
                Some(block.value_slice(index).map(Row::Bytes))
            }
            DataBlock::Columns(block) => {
                let index = block.find(slot_of(block.prefix(), key)?, snapshot)?;
                Some((!block.is_deleted(index)).then(|| Row::Entry(block.clone(), index as u32)))
            }
        }
    }

    /// The same entries as a block of entries.
    pub fn into_entries(self) -> Result<Block, String> {
        match self {
            DataBlock::Entries(block) => Ok(block),
            DataBlock::Columns(block) => block.to_entries(),
        }
    }
}

fn find(block: &Block, key: &[u8], snapshot: Seq) -> Option<usize> {
    let index = block.seek(key, snapshot);
    (index < block.len() && block.key(index) == key).then_some(index)
}
