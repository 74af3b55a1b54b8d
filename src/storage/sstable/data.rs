//! A data block as it is read: of entries, or of rows column by column.

use std::sync::Arc;

use super::block::Block;
use super::columns::Columns;
use super::frame::Kind;
use crate::log::Seq;
use crate::storage::cells::Row;
use crate::storage::shape::slot_of;

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

    /// Entries.
    pub fn count(&self) -> usize {
        match self {
            DataBlock::Entries(block) => block.len(),
            DataBlock::Columns(block) => block.count(),
        }
    }

    /// The newest version of `key` at or before `snapshot`: its sequence number, and its row where it lies (`None`: deleted).
    pub fn get(&self, key: &[u8], snapshot: Seq) -> Option<(Seq, Option<Row>)> {
        let (index, seq) = match self {
            DataBlock::Entries(block) => {
                let index = find(block, key, snapshot)?;
                (index, block.seq(index))
            }
            DataBlock::Columns(block) => {
                let index = block.find(slot_of(block.prefix(), key)?, snapshot)?;
                (index, block.seq(index))
            }
        };
        Some((seq, self.row(index)))
    }

    /// An entry's row, where it lies; `None` for a deletion.
    pub fn row(&self, index: usize) -> Option<Row> {
        match self {
            DataBlock::Entries(block) => block.value_slice(index).map(Row::Bytes),
            DataBlock::Columns(block) => {
                (!block.is_deleted(index)).then(|| Row::Entry(block.clone(), index as u32))
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
