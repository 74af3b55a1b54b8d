//! Whether a file was written since somebody looked: backups pass over those that were not.
//!
//! A write is counted when its bytes are in the file, and before the slots it is of can live. So who looks at the count
//! after the moment of a checkpoint has seen every write to a slot that lives in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes to one file.
pub(super) struct Writes {
    count: AtomicU64,
    /// The count that somebody has written down.
    noted: AtomicU64,
}

impl Writes {
    /// Of a file that may have been written before it was opened.
    pub fn new() -> Arc<Writes> {
        Arc::new(Writes { count: AtomicU64::new(1), noted: AtomicU64::new(0) })
    }

    /// Called after each.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    /// It was not written since what is written down about it.
    pub fn are_noted(&self) {
        self.noted.store(self.count.load(Ordering::Acquire), Ordering::Relaxed);
    }
}

/// A file that was written since that was last noted.
pub struct Written {
    /// Its name.
    pub file: String,
    writes: Arc<Writes>,
    count: u64,
}

impl Written {
    pub(super) fn of(writes: &Arc<Writes>, file: impl FnOnce() -> String) -> Option<Written> {
        let count = writes.count.load(Ordering::Acquire);
        let is_noted = writes.noted.load(Ordering::Relaxed) == count;
        (!is_noted).then(|| Written { file: file(), writes: writes.clone(), count })
    }

    /// What was written up to now is written down, durably.
    pub fn note(self) {
        self.writes.noted.fetch_max(self.count, Ordering::Relaxed);
    }
}
