//! What can be tuned, with the reason for each default.

use std::sync::Arc;
use std::time::Duration;

use super::limiter::RATE;
use super::pool::Pool;

/// Sizes and limits of a [`Store`](super::Store).
#[derive(Clone, Debug)]
pub struct Options {
    /// A memtable is frozen once it holds this many bytes. 16 MiB flushes in a fraction of a second and
    /// keeps the skip list near the processor's caches.
    pub memtable_bytes_max: usize,
    /// All memtables together, those of other stores of the pool included; beyond, the largest is frozen, and writers wait
    /// longer and longer.
    pub memtables_bytes_max: usize,
    /// Writers of a tree wait while more frozen memtables than this are not flushed.
    pub frozen_memtables_max: usize,
    /// Who waits for a flush gives up when nothing at all was flushed for so long: a disk that answers takes a second for
    /// a memtable, and one that hangs is not waited for without end.
    pub flush_wait_max: Duration,
    /// What flushes and merges of the background write per second each while nothing is behind; more when it is
    /// (`limiter.rs`). 0: no bound.
    pub background_bytes_per_second: u64,
    /// Decoded blocks, and indexes and filters of tables, kept in memory.
    pub cache_bytes_max: usize,
    /// Memory that other stores share; without one a store has a pool of its own, whose cache is of `cache_bytes_max`.
    pub pool: Option<Arc<Pool>>,
    /// Decoded size at which a data block is closed: large enough to deflate well, small enough to inflate
    /// in some 50 us.
    pub block_bytes: usize,
    /// Size in the file at which a sorted table is closed and the next one begun.
    pub table_bytes_max: u64,
    /// Number of tables in level 0 that makes a compaction due.
    pub level0_tables_max: usize,
    /// Bytes in level 1 that make a compaction due; each further level holds [`Options::level_factor`] times
    /// more.
    pub level1_bytes_max: u64,
    pub level_factor: u64,
    /// The manifest is rewritten once it is this long.
    pub manifest_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memtable_bytes_max: 16 << 20,
            memtables_bytes_max: 128 << 20,
            frozen_memtables_max: 4,
            flush_wait_max: Duration::from_secs(60),
            background_bytes_per_second: RATE,
            cache_bytes_max: 256 << 20,
            pool: None,
            block_bytes: 16 << 10,
            table_bytes_max: 32 << 20,
            level0_tables_max: 8,
            level1_bytes_max: 64 << 20,
            level_factor: 10,
            manifest_bytes_max: 1 << 20,
        }
    }
}

impl Options {
    /// Sizes so small that a few hundred entries flush, fill blocks and compact.
    #[cfg(test)]
    pub fn tiny() -> Options {
        Options {
            memtable_bytes_max: 4 << 10,
            memtables_bytes_max: 64 << 10,
            frozen_memtables_max: 1000,
            flush_wait_max: Duration::from_secs(60),
            background_bytes_per_second: RATE,
            cache_bytes_max: 64 << 10,
            pool: None,
            block_bytes: 256,
            table_bytes_max: 2 << 10,
            level0_tables_max: 3,
            level1_bytes_max: 8 << 10,
            level_factor: 3,
            manifest_bytes_max: 4 << 10,
        }
    }
}
