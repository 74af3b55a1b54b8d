//! The threads behind the queries: each does steps while there are any and rests otherwise.
//!
//! ```text
//! log writer    makes durable what did not wait for it (commit.rs)
//! indexer       moves rows from tails into graphs and lists (indexer.rs)
//! checkpointer  saves generations and lets go of old log (checkpoint.rs)
//! archiver      copies whole segments of the log (backup/)
//! scrub         reads everything again, slowly (scrub.rs)
//! autovacuum    takes out what died (vacuum.rs)
//! metadata      what commits have left of the filters and the memory of metadata indexes, and indexes whose files cannot be
//!               read anew (bitmaps.rs)
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::database::Database;
use crate::database::commit;
use crate::database::generations::Due;
use crate::database::indexer::{self, INDEXER_REST};
use crate::error::{Error, Result};
use crate::log::Position;

const CHECKPOINTER_REST: Duration = Duration::from_millis(500);
/// Files of dropped tables go within this time, and with all that were dropped meanwhile.
const DROPPED_REST: Duration = Duration::from_secs(10);
/// How often the archiver looks for a whole segment.
const ARCHIVER_REST: Duration = Duration::from_millis(500);
/// How often the scrub looks whether it is due.
const SCRUB_REST: Duration = Duration::from_secs(1);
/// How often metadata indexes are looked at.
const METADATA_REST: Duration = Duration::from_millis(500);
/// Nor are those whose files cannot be read made anew more often than this: the next ones may lie on the same disk.
const REMADE_REST: Duration = Duration::from_secs(30);
/// So much log is replayed in 4 ms: no reason to wake a disk that sleeps.
const IDLE_LOG_BYTES_MIN: u64 = 1 << 20;

/// What the checkpointer remembers from step to step.
pub struct Checkpoints {
    /// When the latest was made.
    last: Instant,
    /// Where the log ended at the last look, and since when.
    end: Position,
    since: Instant,
}

impl Checkpoints {
    pub fn new() -> Checkpoints {
        let now = Instant::now();
        Checkpoints { last: now, end: Position::default(), since: now }
    }

    /// For how long nothing has been logged.
    fn idle(&mut self, end: Position, now: Instant) -> Duration {
        if self.end != end {
            (self.end, self.since) = (end, now);
        }
        now.saturating_duration_since(self.since)
    }
}

/// The threads, while they run.
#[derive(Default)]
pub struct Background {
    stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
    /// Ends a graph build.
    cancel: AtomicBool,
    /// Threads in a step.
    at_work: AtomicUsize,
}

impl Stop {
    /// Rests; whether to go on.
    fn rest(&self, time: Duration) -> bool {
        let mut asked = self.asked.lock();
        if !*asked {
            self.changed.wait_for(&mut asked, time);
        }
        !*asked
    }
}

impl Background {
    pub fn start(&self, database: &Arc<Database>) -> Result<()> {
        self.spawn("log writer", database, commit::LATE, |database| database.step_log_writer())?;
        let indexer = |database: &Database| database.index_tails(indexer::is_due);
        self.spawn("indexer", database, INDEXER_REST, indexer)?;
        let mut known = Checkpoints::new();
        let checkpointer = move |database: &Database| database.step_checkpointer(&mut known);
        self.spawn("checkpointer", database, CHECKPOINTER_REST, checkpointer)?;
        let mut remade = None;
        let metadata = move |database: &Database| {
            if remade.is_none_or(|at: Instant| at.elapsed() >= REMADE_REST) {
                let outcome = database.remake_metadata();
                if !matches!(outcome, Ok(0)) {
                    remade = Some(Instant::now());
                }
                outcome?;
            }
            database.step_metadata()
        };
        self.spawn("metadata", database, METADATA_REST, metadata)?;
        if database.core().options.archive.dir.is_some() {
            self.spawn("archiver", database, ARCHIVER_REST, |database| database.step_archiver())?;
        }
        if database.core().options.scrub.enabled {
            self.spawn("scrub", database, SCRUB_REST, |database| database.step_scrub())?;
        }
        let options = &database.core().options.autovacuum;
        if options.enabled {
            self.spawn("autovacuum", database, options.naptime, |database| database.step_autovacuum())?;
        }
        Ok(())
    }

    /// A thread that does steps while there are any and rests otherwise. It does not keep the database open.
    fn spawn(
        &self,
        name: &'static str,
        database: &Arc<Database>,
        rest: Duration,
        mut step: impl FnMut(&Database) -> Result<bool> + Send + 'static,
    ) -> Result<()> {
        let (weak, stop): (Weak<Database>, _) = (Arc::downgrade(database), self.stop.clone());
        let body = move || {
            let mut pause = Duration::ZERO;
            while stop.rest(pause) {
                let Some(database) = weak.upgrade() else { return };
                stop.at_work.fetch_add(1, Ordering::Relaxed);
                let done = catch_unwind(AssertUnwindSafe(|| step(&database)));
                stop.at_work.fetch_sub(1, Ordering::Relaxed);
                // Nothing else would take up its work.
                let done = done.unwrap_or_else(|panic| Err(Error::panicked(name, &*panic)));
                pause = match done {
                    Ok(true) => Duration::ZERO,
                    Ok(false) => rest,
                    Err(error) => {
                        log::error!("{name}: {error}");
                        // What failed may work later, a full disk for one.
                        Duration::from_secs(5)
                    }
                };
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(body);
        let thread = thread.map_err(|e| Error::io("start the thread", name, &e))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// How many of the threads have something to do.
    pub fn at_work(&self) -> usize {
        self.stop.at_work.load(Ordering::Relaxed)
    }

    /// Raised when the threads shall stop.
    pub fn cancel(&self) -> &AtomicBool {
        &self.stop.cancel
    }

    /// Rests, unless the threads shall stop.
    pub fn rest(&self, time: Duration) {
        self.stop.rest(time);
    }

    /// Asks the threads to stop.
    pub fn ask(&self) {
        self.stop.cancel.store(true, Ordering::Relaxed);
        *self.stop.asked.lock() = true;
        self.stop.changed.notify_all();
    }

    /// Stops the threads and waits for them.
    pub fn stop(&self) {
        self.ask();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // The database may be dropped by one of its own threads.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                log::error!("a background thread panicked");
            }
        }
    }
}

impl Database {
    /// Prepares the log's next segment, and makes a checkpoint when enough log has gathered, when any has been waiting long
    /// enough or more than a little while nothing was logged, when dropped tables still take up the disk, or when there is
    /// no room for the segment: what a checkpoint lets go may be the room that is lacking. None is made for log that an
    /// earlier one had and open transactions keep, nor while a damaged table does not allow any.
    pub(super) fn step_checkpointer(&self, known: &mut Checkpoints) -> Result<bool> {
        let core = self.core();
        let prepared = core.log.prepare();
        let rested = known.last.elapsed();
        let dropped = !core.retired.lock().is_empty() && rested >= DROPPED_REST;
        let idle = known.idle(core.log.end(), Instant::now()) >= core.options.checkpoint_idle;
        if core.may_checkpoint().is_err() {
            return prepared.map(|()| false);
        }
        let (new, options) = (core.log_to_checkpoint(), &core.options);
        let waited = new > 0 && rested >= options.checkpoint_interval;
        let idle = idle && new >= IDLE_LOG_BYTES_MIN && self.is_all_linked();
        if new >= options.checkpoint_log_bytes || waited || idle || dropped || prepared.is_err() {
            self.checkpoint_then(Due::Grown, prepared.is_ok(), |_| Ok(()))?;
            known.last = Instant::now();
        }
        prepared.map(|()| false)
    }

    /// Whether graphs have all rows, so that a checkpoint saves what a start would link.
    fn is_all_linked(&self) -> bool {
        let version = self.core().version.load();
        version
            .tables
            .values()
            .all(|table| table.state().vector_indexes.iter().all(|index| index.tail.is_empty()))
    }

    /// Does one piece of the store's background work, and says whether there was any.
    pub fn step_storage(&self) -> Result<bool> {
        self.core().store.step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_since_the_look_that_first_saw_the_end_of_the_log() {
        let mut known = Checkpoints::new();
        let at = |seconds| known.since + Duration::from_secs(seconds);
        let looks =
            [(8, at(0), 0), (8, at(7), 7), (9, at(9), 0), (9, at(12), 3), (9, at(20), 11), (30, at(21), 0)];
        for (end, now, idle) in looks {
            assert_eq!(known.idle(Position(end), now), Duration::from_secs(idle), "{end}");
        }
    }
}
