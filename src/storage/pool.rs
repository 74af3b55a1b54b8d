//! Memory that the stores of a server share: one block cache, and one bound for their memtables.
//!
//! ```text
//!   memtables_bytes_max   | told by a | told by b |  rest  |
//!                         b has:      |-- what the others leave, a quarter of all at least --|
//! ```
//!
//! Each store adds up what its own memtables take (`admission.rs`) and tells it here. What others have is room that it
//! lacks: its largest memtable is flushed, and its writers wait, so much earlier. The quarter is for a store that is
//! written to while another one is full of what it cannot flush.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::cache::Cache;

pub struct Pool {
    pub cache: Cache,
    /// Bytes of all memtables, as far as they were told.
    memtables: AtomicUsize,
}

/// What a store has told; taken back when dropped.
pub struct Told {
    pool: Arc<Pool>,
    bytes: AtomicUsize,
}

impl Pool {
    pub fn new(cache_bytes_max: usize) -> Pool {
        Pool { cache: Cache::new(cache_bytes_max), memtables: AtomicUsize::new(0) }
    }

    /// Bytes of the memtables of all stores.
    pub fn memtables(&self) -> usize {
        self.memtables.load(Relaxed)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("memtables", &self.memtables()).finish_non_exhaustive()
    }
}

impl Told {
    pub fn new(pool: Arc<Pool>) -> Told {
        Told { pool, bytes: AtomicUsize::new(0) }
    }

    /// From now on it is so much.
    pub fn tell(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Relaxed);
        self.pool.memtables.fetch_add(bytes, Relaxed);
        self.pool.memtables.fetch_sub(before, Relaxed);
    }

    /// What the others have told.
    pub fn others(&self) -> usize {
        self.pool.memtables().saturating_sub(self.bytes.load(Relaxed))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell(0);
    }
}
