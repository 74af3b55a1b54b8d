//! What transactions, commits, recovery and background work share.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::catalog::{Catalog, Oid};
use crate::clock::Timestamp;
use crate::database::Options;
use crate::database::backup::archive::Archive;
use crate::database::bitmaps::Bitmaps;
use crate::database::damaged::DamagedTables;
use crate::database::generations::Generations;
use crate::database::scrub::Scrubs;
use crate::database::sequences::Sequences;
use crate::database::snapshots::Snapshots;
use crate::database::stamps::Stamps;
use crate::database::unfinished::Unfinished;
use crate::database::vacuum;
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::locks::Locks;
use crate::log::{Log, Position, Seq, StorageId, TxnId};
use crate::storage::{Rests, Store, folder};
use crate::table::Table;

/// The engine room. Locks are taken in the order of the fields.
pub struct Core {
    pub fs: Arc<dyn Fs>,
    pub dir: PathBuf,
    pub options: Options,
    pub log: Arc<dyn Log>,
    pub store: Store,
    pub version: ArcSwap<Version>,
    pub snapshots: Snapshots,
    pub locks: Locks,
    pub sequences: Sequences,
    pub generations: Generations,
    pub bitmaps: Bitmaps,
    /// Held while graphs are added to or replaced.
    pub indexing: Mutex<()>,
    /// Held during a vacuum: the tables whose last automatic one failed.
    pub vacuuming: Mutex<Rests>,
    pub scrubs: Scrubs,
    pub archive: Archive,
    pub stamps: Stamps,
    /// Held during a checkpoint.
    pub checkpointing: Mutex<()>,
    /// From where recovery would replay the log, but for tables that are damaged.
    checkpoint: AtomicU64,
    /// Where the log ended at the moment of the last checkpoint.
    covered: AtomicU64,
    /// Transactions whose records are in the log: a checkpoint keeps the log from the first.
    pub unfinished: Unfinished,
    /// Folders of dropped tables: they go once a checkpoint no longer names them.
    pub retired: Mutex<Vec<PathBuf>>,
    poison: Mutex<Option<Error>>,
    /// While the log is replayed.
    pub recovering: AtomicBool,
    /// Of the newest commit in the log, in microseconds since 1970; 0 when none told it.
    last_time: AtomicI64,
    /// The newest commit that the checkpoint had when this was opened.
    opened_at: AtomicU64,
    /// From where on the log is kept, whatever checkpoints need: for backups under way and what is not archived yet.
    log_holds: LogHolds,
    next_txn: AtomicU64,
    next_oid: AtomicU32,
    next_storage: AtomicU64,
}

/// The committed definitions with the tables behind them.
pub struct Version {
    /// The commit that made it; snapshots from there on fit it.
    pub seq: Seq,
    pub catalog: Arc<Catalog>,
    pub tables: HashMap<Oid, Arc<Table>>,
    /// Of the catalogue's tables those that are not in `tables`.
    pub damaged: DamagedTables,
}

/// What checkpoints save beside the trees, as an open has found it.
pub struct Saved {
    pub generations: Generations,
    pub bitmaps: Bitmaps,
}

/// Where the counters go on after an open.
pub struct Counters {
    pub txn: TxnId,
    pub oid: Oid,
    pub storage: StorageId,
}

impl Core {
    pub fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        options: Options,
        log: Arc<dyn Log>,
        store: Store,
        version: Version,
        saved: Saved,
        counters: &Counters,
    ) -> Core {
        Core {
            fs,
            dir,
            options,
            log,
            store,
            version: ArcSwap::from_pointee(version),
            snapshots: Snapshots::default(),
            locks: Locks::new(),
            sequences: Sequences::default(),
            generations: saved.generations,
            bitmaps: saved.bitmaps,
            indexing: Mutex::default(),
            vacuuming: Mutex::new(vacuum::rests()),
            scrubs: Scrubs::default(),
            archive: Archive::default(),
            stamps: Stamps::default(),
            checkpointing: Mutex::default(),
            checkpoint: AtomicU64::new(0),
            covered: AtomicU64::new(0),
            unfinished: Unfinished::default(),
            retired: Mutex::default(),
            poison: Mutex::default(),
            recovering: AtomicBool::new(false),
            last_time: AtomicI64::new(0),
            opened_at: AtomicU64::new(0),
            log_holds: LogHolds::default(),
            next_txn: AtomicU64::new(counters.txn.0),
            next_oid: AtomicU32::new(counters.oid),
            next_storage: AtomicU64::new(counters.storage.0),
        }
    }

    pub fn new_txn(&self) -> TxnId {
        TxnId(self.next_txn.fetch_add(1, Ordering::Relaxed))
    }

    pub fn new_oid(&self) -> Oid {
        self.next_oid.fetch_add(1, Ordering::Relaxed)
    }

    pub fn new_storage(&self) -> StorageId {
        StorageId(self.next_storage.fetch_add(1, Ordering::Relaxed))
    }

    /// The oid and the storage id that are given out next.
    pub fn next_numbers(&self) -> (Oid, u64) {
        (self.next_oid.load(Ordering::Relaxed), self.next_storage.load(Ordering::Relaxed))
    }

    /// Numbers found in the log are not given out again.
    pub fn skip(&self, counters: &Counters) {
        self.next_txn.fetch_max(counters.txn.0, Ordering::Relaxed);
        self.next_oid.fetch_max(counters.oid, Ordering::Relaxed);
        self.next_storage.fetch_max(counters.storage.0, Ordering::Relaxed);
    }

    /// The folder of a table's files.
    pub fn table_dir(&self, storage: StorageId) -> PathBuf {
        folder(&self.dir, storage)
    }

    /// The transaction has ended: nobody needs its records or waits for its locks any more.
    pub fn ended(&self, txn: TxnId) {
        self.unfinished.ended(txn);
        self.locks.release(txn);
    }

    /// Where replay has to start so that it finds all of every transaction that is not published yet. Exact only
    /// between commit groups.
    pub fn replay_position(&self) -> Position {
        self.unfinished.first(|| self.log.end())
    }

    /// Remembers from where recovery would replay the log, and where that ended at the moment of the checkpoint.
    pub fn checkpointed(&self, position: Position, end: Position) {
        self.checkpoint.store(position.0, Ordering::Relaxed);
        self.covered.store(end.0, Ordering::Relaxed);
    }

    /// Bytes of log that recovery would replay.
    #[cfg(test)]
    pub fn log_lag(&self) -> u64 {
        self.log.end().0.saturating_sub(self.checkpoint.load(Ordering::Relaxed))
    }

    /// Bytes of log that a checkpoint would spare recovery, or that it has not seen: none when the last one had all there
    /// is, whatever open transactions hold back.
    pub fn log_to_checkpoint(&self) -> u64 {
        let unseen = self.log.end().0.saturating_sub(self.covered.load(Ordering::Relaxed));
        let spared = self.replay_position().0.saturating_sub(self.checkpoint.load(Ordering::Relaxed));
        unseen.max(spared)
    }

    /// The time for a commit record, never less than in one before. Called in the order of the log.
    pub fn commit_time(&self) -> Timestamp {
        let now = self.options.clock.now().0;
        Timestamp(self.last_time.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// A commit of this time is in the log or in the checkpoint.
    pub fn saw_time(&self, time: Timestamp) {
        self.last_time.fetch_max(time.0, Ordering::Relaxed);
    }

    /// Of the newest commit.
    pub fn last_time(&self) -> Timestamp {
        Timestamp(self.last_time.load(Ordering::Relaxed))
    }

    /// The newest published commit. What is published when the directory was opened is a position, not a commit.
    pub fn last_commit(&self) -> Seq {
        let published = self.snapshots.published();
        let opened = self.snapshots.opened();
        if published == opened { Seq(self.opened_at.load(Ordering::Relaxed)) } else { published }
    }

    /// The checkpoint's newest commit, told at open.
    pub fn opened_at(&self, last: Seq) {
        self.opened_at.store(last.0, Ordering::Relaxed);
    }

    /// From now on the log is kept from `position` on, until the guard goes.
    pub fn hold_log(&self, position: Position) -> LogHold {
        let mut holds = self.log_holds.lock();
        let number = holds.keys().next_back().map_or(0, |last| last + 1);
        holds.insert(number, position);
        LogHold { holds: self.log_holds.clone(), number }
    }

    /// The log before this is nobody's but the checkpoint's.
    pub fn log_floor(&self) -> Position {
        self.log_holds.lock().values().copied().min().unwrap_or(Position(u64::MAX))
    }

    /// After a failure that leaves memory and log apart, nothing more is written.
    pub fn poison(&self, error: &Error) {
        log::error!("nothing more will be written: {error}");
        self.poison.lock().get_or_insert_with(|| error.clone());
    }

    /// Asked before rows of the table are taken in: refuses them after a failure, and while what was committed of the table
    /// cannot be flushed (53100 on a full disk), for then taking in more would only fill memory.
    pub fn admit(&self, table: &Table) -> Result<()> {
        self.healthy()?;
        self.store.check_room(table.tree())
    }

    /// Refuses work after a failure.
    pub fn healthy(&self) -> Result<()> {
        match &*self.poison.lock() {
            None => Ok(()),
            Some(cause) => Err(Error::new(
                SqlState::IO_ERROR,
                format!("the database stopped writing after a failure: {}", cause.message()),
            )
            .hint("Restart the server; it recovers every acknowledged commit from the log.")),
        }
    }
}

/// By the numbers of those who hold it: from where on.
type LogHolds = Arc<Mutex<BTreeMap<u64, Position>>>;

/// Keeps log that checkpoints do not need. Not the core: the core's own archive has one.
pub struct LogHold {
    holds: LogHolds,
    number: u64,
}

impl LogHold {
    /// What is before `position` is not needed any more.
    pub fn advance(&self, position: Position) {
        self.holds.lock().insert(self.number, position);
    }
}

impl Drop for LogHold {
    fn drop(&mut self) {
        self.holds.lock().remove(&self.number);
    }
}
