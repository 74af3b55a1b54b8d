//! How much room relations take on disk, and everything in memory.

use std::path::Path;

use crate::catalog::{Oid, Relation};
use crate::database::{Database, cluster};
use crate::fs::{Fs, OpenMode};
use crate::log::StorageId;

/// Bytes in memory, by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Decoded blocks of sorted tables. They and [`Usage::table_filters`] share one bound.
    pub cache: u64,
    /// Rows that are not flushed yet.
    pub memtables: u64,
    /// Links and codes, with those of mapped generations, which may all come to differ from their files.
    pub graphs: u64,
    /// Links and codes in files that the kernel may write out.
    pub graphs_spilled: u64,
    /// Metadata indexes, their bitmaps by value included, but not the different texts of columns.
    pub metadata: u64,
    /// The different texts of columns, which have part of the metadata indexes' share.
    pub metadata_texts: u64,
    /// Metadata indexes in files of which the page cache has what it can.
    pub metadata_spilled: u64,
    /// Inverted indexes: by gin and gist, and for equality on what has no metadata index.
    pub inverted: u64,
    /// Bloom filters and block indexes of sorted tables, those that were asked for lately.
    pub table_filters: u64,
    /// What they may have, of the bound that they share with blocks.
    pub table_filters_max: u64,
}

impl Database {
    /// Bytes on disk of a table (sorted tables, vectors, bitmaps) or of an index; `None` when there is no such
    /// relation. A vector index counts its newest generation, or what it has in memory until one is saved; other
    /// indexes count nothing of their own, for their keys lie in the table's files.
    pub fn relation_bytes(&self, oid: Oid) -> Option<u64> {
        let version = self.core.version.load();
        match version.catalog.relation_by_oid(oid)? {
            Relation::Table(table) => {
                let folder = self.core.table_dir(StorageId(table.storage));
                Some(folder_bytes(&*self.core.fs, &folder))
            }
            Relation::Index(index) => {
                // Of a damaged table nothing is known.
                let Some(table) = version.tables.get(&index.table) else { return Some(0) };
                let state = table.state();
                let graph = state.vector_indexes.iter().find(|known| known.definition.oid == oid);
                Some(graph.map_or(0, |known| {
                    let saved = self.core.generations.files(&self.core, oid).pop();
                    let saved = saved.map(|path| bytes_of(&*self.core.fs, &path));
                    saved.unwrap_or_else(|| known.finder.bytes())
                }))
            }
            // Rows of a partition lie among its parent's.
            Relation::Sequence(_)
            | Relation::View(_)
            | Relation::Partition(_)
            | Relation::PartitionIndex(_) => Some(0),
        }
    }

    /// What is held in memory, by purpose: by all databases that share it, but for the inverted indexes.
    pub fn memory(&self) -> Usage {
        let (stats, room) = (self.core.store.stats(), self.core.generations.room().whole());
        let share = self.core.bitmaps.share().whole();
        let tables = self.core.version.load();
        Usage {
            cache: stats.cache_bytes.saturating_sub(stats.table_memory_bytes) as u64,
            memtables: (stats.memtable_bytes + stats.others_memtable_bytes) as u64,
            graphs: room.held(),
            graphs_spilled: room.spilled(),
            metadata: share.held(),
            metadata_texts: share.texts(),
            metadata_spilled: share.spilled(),
            inverted: tables.tables.values().map(|table| table.state().metadata.inverted_bytes()).sum(),
            table_filters: stats.table_memory_bytes as u64,
            table_filters_max: stats.table_memory_bytes_max as u64,
        }
    }

    /// How the sorted tables fare.
    pub fn storage_stats(&self) -> crate::storage::Stats {
        self.core.store.stats()
    }

    /// Bytes of the log, spares included.
    pub fn log_bytes(&self) -> u64 {
        self.core.log.bytes()
    }

    /// Bytes of the database's directory, the log included; without other databases, which lie in that of `postgres`.
    pub fn bytes_on_disk(&self) -> u64 {
        let (fs, dir) = (&*self.core.fs, &self.core.dir);
        let names = fs.list(dir).unwrap_or_default();
        let own = names.iter().filter(|name| name.as_os_str() != cluster::FOLDER);
        own.map(|name| bytes_of(fs, &dir.join(name))).sum()
    }
}

/// Bytes of all files below a folder.
fn folder_bytes(fs: &dyn Fs, folder: &Path) -> u64 {
    let names = fs.list(folder).unwrap_or_default();
    names.iter().map(|name| bytes_of(fs, &folder.join(name))).sum()
}

/// Space of a file or of a folder with all in it; holes take none. What goes while it is counted counts nothing.
fn bytes_of(fs: &dyn Fs, path: &Path) -> u64 {
    match fs.list(path) {
        Ok(names) if !names.is_empty() => folder_bytes(fs, path),
        _ => fs.open(path, OpenMode::Read).and_then(|file| file.space()).unwrap_or(0),
    }
}
