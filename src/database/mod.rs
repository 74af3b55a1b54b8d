//! The owner of everything: a database in its directory, its transactions and its background work.
//!
//! A write makes records; the log makes them durable; `apply` makes them visible. Live commits and recovery go
//! through the same apply, so what a crash leaves behind is what a running server would show.

// From durable to visible, live and in recovery.
mod apply;
// Backups, archived log, and the way back.
pub mod backup;
// Index maintenance and checkpoints behind the queries.
mod background;
// Live sets and metadata indexes on disk.
mod bitmaps;
// Every invariant, for tests and operators.
pub mod check;
// What recovery starts from.
mod checkpoint;
// Several databases in one directory.
pub mod cluster;
// Group commit.
pub mod commit;
// LOCK and CONTROL.
pub mod control;
// What all parts share.
mod core;
// Tables that do not open.
mod damaged;
// Tables, indexes, sequences come and go.
mod ddl;
// Unique keys that are checked later.
mod deferred_keys;
// Files as lines.
pub mod describe;
// Graphs on disk.
mod generations;
// Rows move from tails into graphs.
mod indexer;
// Large objects.
mod large_objects;
// What recall the indexes have shown.
mod measured;
// Opening a data directory.
mod open;
// How far the build of an index is.
mod progress;
// Foreign keys.
pub mod references;
// Going back inside a transaction.
mod savepoint;
// Rot is found before it is met.
pub mod scrub;
// Sequences.
mod sequences;
// SERIALIZABLE.
mod serializable;
mod shared_memory;
// Room on disk.
mod sizes;
// Which moments somebody still looks at.
mod snapshots;
// Which vector files changed.
mod stamps;
// What a transaction may do, and how it ends.
pub mod transaction;
// What the log has of open transactions.
mod unfinished;
// Space of what is dead.
mod vacuum;
// What one transaction has written so far.
mod work;

#[cfg(test)]
mod tests;

pub use cluster::{Cluster, MAIN_DATABASE, MAIN_DATABASE_OID, Member};
pub use deferred_keys::Modes;
pub use large_objects::LargeObjects;
pub use measured::MeasuredRecall;
pub use open::new_cluster;
pub use progress::BuildProgress;
pub use savepoint::Savepoint;
pub use sizes::Usage;
pub use snapshots::{HeldSnapshot, Holder};
pub use transaction::{
    Commit, Follower, InsertOutcome, Isolation, Leader, LockOutcome, OnConflict, Pending, RowUpdate, Stop,
    Transaction,
};
pub use unfinished::{CarryOptions, KeptLog};
pub use vacuum::{AutovacuumOptions, TableGarbage, Vacuumed};
pub use work::LiveWork;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;

use self::background::Background;
pub use self::backup::{ArchiveOptions, Archived, BackupOptions, Pruned, Restored, Taken, Target};
use self::commit::Commits;
use self::control::Control;
use self::core::Core;
use self::generations::Due;
pub use self::scrub::ScrubOptions;
use self::shared_memory::SharedMemory;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::Result;
use crate::locks::SeenLock;
use crate::log::{Position, TxnId};
use crate::memory::Budget;

/// How a [`Database`] is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory that the database's own folder lies in, when it is one of several.
    pub home: Option<std::path::PathBuf>,
    /// Flushing, compaction, index maintenance and checkpoints by threads of their own; without them tests step by
    /// hand.
    pub background: bool,
    /// Threads that build a graph.
    pub build_threads: usize,
    pub storage: crate::storage::Options,
    /// Bytes per log segment.
    pub log_segment_bytes: u64,
    /// A checkpoint is due once the log has grown by this many bytes: with what is written while it is made, the most that
    /// a start has to replay.
    pub checkpoint_log_bytes: u64,
    /// Or when the log has grown at all and the last one is so long ago.
    pub checkpoint_interval: Duration,
    /// Or when it has grown by more than is replayed in no time, and nothing has been logged for so long.
    pub checkpoint_idle: Duration,
    pub carry: CarryOptions,
    pub autovacuum: AutovacuumOptions,
    pub scrub: ScrubOptions,
    pub archive: ArchiveOptions,
    pub clock: Clock,
    /// Memory for graphs; those that do not fit are in files that the system may write out.
    pub graph_bytes_max: u64,
    /// Memory for metadata indexes; what does not fit is in files of which the page cache has what it can.
    pub metadata_bytes_max: u64,
    /// Of other databases as well, instead of so much for this one ([`Options::sharing`]).
    pub shared: Option<SharedMemory>,
    /// A transaction's writes to one table move to private files once they take this much memory.
    pub overlay_bytes_max: usize,
    /// Checkpoints save live set and metadata indexes of tables that have so many rows.
    pub bitmap_rows_min: u64,
}

/// A replay takes half a second for so much of a load.
const CHECKPOINT_LOG_BYTES: u64 = 128 << 20;

impl Default for Options {
    fn default() -> Options {
        Options {
            home: None,
            background: true,
            build_threads: std::thread::available_parallelism().map_or(1, usize::from),
            storage: crate::storage::Options::default(),
            log_segment_bytes: 64 << 20,
            checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
            checkpoint_interval: Duration::from_secs(300),
            checkpoint_idle: Duration::from_secs(10),
            carry: CarryOptions::within(CHECKPOINT_LOG_BYTES),
            autovacuum: AutovacuumOptions::default(),
            scrub: ScrubOptions::default(),
            archive: ArchiveOptions::default(),
            clock: Clock::default(),
            graph_bytes_max: u64::MAX,
            metadata_bytes_max: u64::MAX,
            shared: None,
            overlay_bytes_max: 64 << 20,
            // Making them anew from so many rows takes an open less than 10 ms; two syncs take a checkpoint as long.
            bitmap_rows_min: 8192,
        }
    }
}

impl Options {
    /// The defaults, with no more memory than `budget` has for each purpose.
    pub fn within(budget: Budget) -> Options {
        let storage = crate::storage::Options::default();
        Options {
            storage: crate::storage::Options {
                memtable_bytes_max: storage.memtable_bytes_max.min(budget.memtable() as usize),
                memtables_bytes_max: budget.memtables() as usize,
                cache_bytes_max: budget.cache() as usize,
                ..storage
            },
            graph_bytes_max: budget.graphs(),
            metadata_bytes_max: budget.metadata(),
            overlay_bytes_max: budget.overlay() as usize,
            ..Options::default()
        }
    }
}

/// An open data directory.
pub struct Database {
    core: Arc<Core>,
    commits: Arc<Commits<LiveWork>>,
    control: Mutex<Control>,
    background: Background,
}

impl Database {
    fn start(core: Arc<Core>, control: Control) -> Result<Arc<Database>> {
        if core.options.archive.dir.is_some() {
            core.archive.begin(core.hold_log(Position(0)));
        }
        let commits = Commits::new(core.log.clone(), core.clone());
        let (control, background) = (Mutex::new(control), Background::default());
        let database = Arc::new(Database { core, commits, control, background });
        database.note_damaged_tables();
        if database.core.options.background {
            database.core.store.start_background()?;
            database.background.start(&database)?;
        }
        Ok(database)
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn commits(&self) -> &Arc<Commits<LiveWork>> {
        &self.commits
    }

    fn background(&self) -> &Background {
        &self.background
    }

    /// The newest committed catalogue.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.core.version.load().catalog.clone()
    }

    pub fn begin(&self, isolation: Isolation) -> Transaction {
        Transaction::new(self, isolation, Holder::Transaction(None), Arc::default())
    }

    /// A transaction of the session with this number, which `hither.snapshots` tells. Its own number is in `announced` as
    /// soon as it has one, and stays there when it ends.
    pub fn begin_for(&self, isolation: Isolation, session: i32, announced: &Arc<AtomicU64>) -> Transaction {
        Transaction::new(self, isolation, Holder::Transaction(Some(session)), announced.clone())
    }

    /// Locks of tables, and what is waited for.
    pub fn locks(&self) -> Vec<SeenLock> {
        self.core.locks.seen()
    }

    /// Who stands in the way of a transaction that waits.
    pub fn lock_blockers(&self, waiting: TxnId) -> Vec<TxnId> {
        self.core.locks.blockers(waiting)
    }

    /// Makes commits durable that did not wait for it; false: there is nothing more to do.
    pub fn step_log_writer(&self) -> Result<bool> {
        self.commits.sync_late().map(|()| false)
    }

    /// How many threads work in the background right now.
    pub fn background_at_work(&self) -> usize {
        self.background.at_work()
    }

    /// Stops background work for good, without a checkpoint: the files are about to go.
    pub fn abandon(&self) {
        self.core.store.hurry();
        self.background.stop();
        self.core.store.stop_background();
    }

    /// Stops background work, checkpoints and marks the directory as cleanly closed. Where no checkpoint can be made
    /// for the sake of a damaged table, the next open replays the log.
    pub fn close(&self) -> Result<()> {
        self.core.store.hurry();
        self.background.stop();
        self.commits.sync_late()?;
        if let Err(error) = self.step_archiver() {
            log::error!("archiver: {error}; the log keeps what is not archived");
        }
        if let Err(error) = self.core.may_checkpoint() {
            log::warn!("{error}");
            self.core.store.stop_background();
            return Ok(());
        }
        self.checkpoint_as(Due::Closing)?;
        self.core.store.stop_background();
        self.control.lock().mark_clean()
    }
}

/// Without [`Database::close`] this is what a crash is: the next open recovers from the log.
impl Drop for Database {
    fn drop(&mut self) {
        self.abandon();
    }
}
