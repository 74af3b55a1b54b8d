//! The threads behind the queries: each does steps while there are any and rests otherwise.
//!
//! ```text
//! indexer       moves rows from tails into graphs and lists (indexer.rs)
//! checkpointer  saves generations and lets go of old log (checkpoint.rs)
//! archiver      copies whole segments of the log (backup/)
//! scrub         reads everything again, slowly (scrub.rs)
//! autovacuum    takes out what died (vacuum.rs)
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::database::Database;
use crate::database::generations::Due;
use crate::database::indexer::{self, INDEXER_REST};
use crate::error::{Error, Result};

const CHECKPOINTER_REST: Duration = Duration::from_millis(500);
/// Files of dropped tables go within this time, and with all that were dropped meanwhile.
const DROPPED_REST: Duration = Duration::from_secs(10);
/// How often the archiver looks for a whole segment.
const ARCHIVER_REST: Duration = Duration::from_millis(500);
/// How often the scrub looks whether it is due.
const SCRUB_REST: Duration = Duration::from_secs(1);
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
        let indexer = |database: &Database| database.index_tails(indexer::is_due);
        self.spawn("indexer", database, INDEXER_REST, indexer)?;
        let mut last = Instant::now();
        let checkpointer = move |database: &Database| database.step_checkpointer(&mut last);
        self.spawn("checkpointer", database, CHECKPOINTER_REST, checkpointer)?;
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
    /// Prepares the log's next segment, and makes a checkpoint when enough log has gathered or any has been waiting long
    /// enough, when dropped tables still take up the disk, or when there is no room for the segment: what a checkpoint lets
    /// go may be the room that is lacking. None is made while a damaged table does not allow any. `last` is when the latest
    /// was made.
    pub(super) fn step_checkpointer(&self, last: &mut Instant) -> Result<bool> {
        let core = self.core();
        let prepared = core.log.prepare();
        let dropped = !core.retired.lock().is_empty() && last.elapsed() >= DROPPED_REST;
        if core.may_checkpoint().is_err() {
            return prepared.map(|()| false);
        }
        let (lag, options) = (core.log_lag(), &core.options);
        let waited = lag > 0 && last.elapsed() >= options.checkpoint_interval;
        if lag >= options.checkpoint_log_bytes || waited || dropped || prepared.is_err() {
            self.checkpoint_then(Due::Grown, prepared.is_ok(), |_| Ok(()))?;
            *last = Instant::now();
        }
        prepared.map(|()| false)
    }

    /// Does one piece of the store's background work, and says whether there was any.
    pub fn step_storage(&self) -> Result<bool> {
        self.core().store.step()
    }
}
