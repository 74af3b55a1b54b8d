//! How far the build of an index is, for others to see, and how it is governed and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::catalog::{IndexMethod, Oid};

/// One build. Whoever builds counts, whoever looks reads, and whoever raises the flag ends it with 57014.
#[derive(Debug, Default)]
pub struct BuildProgress {
    pub table: Oid,
    /// The index that is built anew; 0 for a new one, which nobody else can see yet.
    pub index: Oid,
    /// What is built.
    pub of: Option<IndexMethod>,
    /// Threads beside the one that builds, at most; every core without.
    pub helpers: Option<usize>,
    /// Bytes that it may hold in memory, within the share of graphs; all of that without.
    pub memory_max: Option<u64>,
    /// See [`BuildProgress::fitted`], and one more.
    fitted: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    done: AtomicU32,
    cancel: Arc<AtomicBool>,
}

impl BuildProgress {
    /// Of nothing yet; `cancel` ends it.
    pub fn new(table: Oid, index: Oid, cancel: Arc<AtomicBool>) -> BuildProgress {
        BuildProgress { table, index, cancel, ..BuildProgress::default() }
    }

    /// There are so many rows, whose vectors take so many bytes.
    pub(super) fn start(&self, rows: u64, bytes: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }

    /// How many rows' links and codes it had memory for, when that was not all: the others' are in a file.
    pub fn fitted(&self) -> Option<u64> {
        self.fitted.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn set_fitted(&self, rows: Option<u64>) {
        self.fitted.store(rows.map_or(0, |rows| rows + 1), Ordering::Relaxed);
    }

    /// Rows that are in the index.
    pub fn done(&self) -> &AtomicU32 {
        &self.done
    }

    pub fn cancel(&self) -> &AtomicBool {
        &self.cancel
    }

    /// Rows that will be in the index, and the bytes of their vectors; 0 until they are known.
    pub fn total(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
