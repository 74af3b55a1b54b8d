//! The index of a table: the last key of each data block, and where the block is.

use super::block::Block;
use super::footer::{Footer, TableName};
use super::frame::{self, Handle, Kind};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::fs::File;
use crate::log::Seq;

/// Cheap to clone. Whoever goes through a table holds it meanwhile, whether or not the cache keeps it.
#[derive(Clone)]
pub struct Index(Block);

impl Index {
    /// Reads it and checks that it names blocks one after the other up to the filter.
    pub fn read(file: &dyn File, name: TableName, footer: &Footer) -> Result<Index> {
        let index = read_index_block(file, name, footer.index)?;
        let data_end = footer.filter.offset;
        let damaged = |at, expected, found| Err(Error::corrupt(file.path().display(), at, expected, found));
        let mut end = 0;
        for at in 0..index.len() {
            match handle(&index, at) {
                Some(handle) if handle.offset == end => end += u64::from(handle.len),
                found => return damaged(end, "the place of a block".to_owned(), format!("{found:?}")),
            }
        }
        if end != data_end {
            return damaged(end, format!("blocks up to {data_end}"), end.to_string());
        }
        Ok(Index(index))
    }

    /// Number of data blocks.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The first block that may hold version `seq` of `key` or anything after it; [`Index::len`] if none does.
    #[inline]
    pub fn seek(&self, key: &[u8], seq: Seq) -> usize {
        self.0.seek(key, seq)
    }

    /// Where data block `at` is.
    #[inline]
    pub fn place(&self, at: usize) -> Handle {
        handle(&self.0, at).expect("checked when the index was read")
    }

    /// The first key of data block `at`.
    pub fn first_key(&self, at: usize) -> Result<&[u8]> {
        Reader::new(&self.0.value(at)[12..]).bytes()
    }

    /// The last key of data block `at`.
    pub fn last_key(&self, at: usize) -> &[u8] {
        self.0.key(at)
    }
}

pub(super) fn read_index_block(file: &dyn File, name: TableName, handle: Handle) -> Result<Block> {
    Block::parse(frame::read(file, name, handle, Kind::Index)?)
        .map_err(|found| Error::corrupt(file.path().display(), handle.offset, "a block of entries", found))
}

pub(super) fn handle(index: &Block, at: usize) -> Option<Handle> {
    let value = index.value(at);
    let offset = u64::from_le_bytes(*value.first_chunk()?);
    let len = u32::from_le_bytes(*value[8..].first_chunk()?);
    Some(Handle { offset, len })
}
