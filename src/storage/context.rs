//! What all trees of a store share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::limiter::Limiter;
use super::options::Options;
use super::pool::{Pool, Told};
use super::shape::Shape;
use super::signal::Signal;
use super::sstable::Table;
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::log::{Seq, StorageId};

pub struct Context {
    pub fs: Arc<dyn Fs>,
    pub dir: PathBuf,
    pub options: Options,
    pub pool: Arc<Pool>,
    pub signal: Signal,
    pub traffic: Traffic,
    pub memory: Memory,
    pub limiter: Limiter,
    pub shapes: Shapes,
    next_number: AtomicU64,
    horizon: AtomicU64,
}

/// The shapes of the rows of trees, as far as they were told.
#[derive(Default)]
pub struct Shapes(Mutex<BTreeMap<StorageId, Arc<Shape>>>);

impl Shapes {
    pub fn of(&self, storage: StorageId) -> Option<Arc<Shape>> {
        self.0.lock().get(&storage).cloned()
    }

    pub fn set(&self, storage: StorageId, shape: Shape) {
        self.0.lock().insert(storage, Arc::new(shape));
    }

    pub fn forget(&self, storage: StorageId) {
        self.0.lock().remove(&storage);
    }
}

/// What was written to sorted tables, and how long writers waited for it, since the store was opened. Nothing on the way
/// of reads is counted.
#[derive(Default)]
pub struct Traffic {
    /// By flushes and by transactions too large for memory: what arrived.
    pub arrived_bytes: AtomicU64,
    /// By compactions.
    pub merged_bytes: AtomicU64,
    /// Waits of writers (`delay.rs`), their microseconds, and those of the longest.
    pub stalls: AtomicU64,
    pub stall_micros: AtomicU64,
    pub stall_micros_max: AtomicU64,
    /// Writers that wait right now.
    pub waiting: AtomicUsize,
}

/// How much memory memtables take, as of the last time somebody added it up, and what has come since.
pub struct Memory {
    /// Of trees whose last flush did not fail.
    sound: AtomicUsize,
    /// Of the others.
    stuck: AtomicUsize,
    since: AtomicUsize,
    /// Of writes that were let in and are not there yet.
    reserved: AtomicUsize,
    told: Told,
}

impl Memory {
    fn new(pool: Arc<Pool>) -> Memory {
        Memory {
            sound: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
            since: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            told: Told::new(pool),
        }
    }

    pub fn grown(&self, bytes: usize) {
        self.since.fetch_add(bytes, Relaxed);
    }

    pub fn reserve(&self, bytes: usize) {
        self.reserved.fetch_add(bytes, Relaxed);
    }

    pub fn give_back(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Relaxed);
    }

    /// Somebody has added up, and before that has seen what had come since the last time.
    pub fn set(&self, sound: usize, stuck: usize, seen: usize) {
        let rest = |since: usize| Some(since.saturating_sub(seen));
        let _ = self.since.fetch_update(Relaxed, Relaxed, rest);
        self.sound.store(sound, Relaxed);
        self.stuck.store(stuck, Relaxed);
        self.told.tell(sound + stuck);
    }

    /// What the memtables of other stores take.
    pub fn others(&self) -> usize {
        self.told.others()
    }

    /// What has come since somebody added up.
    pub fn since(&self) -> usize {
        self.since.load(Relaxed)
    }

    /// What can be flushed, and what cannot.
    pub fn bytes(&self) -> (usize, usize) {
        let growing = self.since() + self.reserved.load(Relaxed);
        (self.sound.load(Relaxed) + growing, self.stuck.load(Relaxed))
    }
}

impl Traffic {
    /// A writer has waited so long.
    pub fn stalled(&self, time: Duration) {
        let micros = time.as_micros() as u64;
        self.stalls.fetch_add(1, Relaxed);
        self.stall_micros.fetch_add(micros, Relaxed);
        self.stall_micros_max.fetch_max(micros, Relaxed);
    }

    /// Adds the bytes of new tables.
    pub fn add(counter: &AtomicU64, tables: &[Arc<Table>]) {
        counter.fetch_add(tables.iter().map(|table| table.meta().bytes).sum(), Relaxed);
    }
}

impl Context {
    pub fn new(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Context {
        let own = || Arc::new(Pool::new(options.cache_bytes_max));
        let pool = options.pool.clone().unwrap_or_else(own);
        Context {
            fs,
            dir: dir.to_owned(),
            memory: Memory::new(pool.clone()),
            pool,
            options,
            signal: Signal::default(),
            traffic: Traffic::default(),
            limiter: Limiter::default(),
            shapes: Shapes::default(),
            next_number: AtomicU64::new(1),
            horizon: AtomicU64::new(0),
        }
    }

    /// A number no file has or had.
    pub fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// The number [`Context::next_number`] will give.
    pub fn peek_number(&self) -> u64 {
        self.next_number.load(Relaxed)
    }

    /// `number` is taken.
    pub fn skip_number(&self, number: u64) {
        self.next_number.fetch_max(number + 1, Relaxed);
    }

    pub fn horizon(&self) -> Seq {
        Seq(self.horizon.load(Relaxed))
    }

    pub fn raise_horizon(&self, horizon: Seq) {
        self.horizon.fetch_max(horizon.0, Relaxed);
    }

    /// An error when the background threads shall end: long work ends at the next opportunity.
    pub fn check_stopping(&self) -> Result<()> {
        if self.signal.is_stopping() {
            return Err(Error::new(SqlState::ADMIN_SHUTDOWN, "the store is closing"));
        }
        Ok(())
    }

    /// Removes a file nobody needs; what cannot be removed now is removed when the store is next opened.
    pub fn remove_file(&self, path: &Path) {
        if self.fs.exists(path)
            && let Err(error) = self.fs.remove_file(path)
        {
            log::warn!("a file that is not needed stays: {error}");
        }
    }
}
