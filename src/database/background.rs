//! What goes on behind the queries: rows move from tails into graphs, and checkpoints keep the log short.
//!
//! Commits do not wait for graphs, so a new row is in the tail of its vector indexes, where it is found exactly. The
//! indexer takes the tail piece by piece, inserts the piece into the graph, and shortens the tail. A graph with more
//! dead nodes than half its live ones is built anew, and so are lists that the table has outgrown; fewer are taken out by vacuum (`vacuum.rs`), for which a third
//! thread looks whether it is due.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use roaring::RoaringBitmap;

use crate::database::Database;
use crate::database::core::Core;
use crate::error::{Error, Result};
use crate::index::Finder;
use crate::table::Table;
use crate::table::state::VectorIndex;

/// Rows offered to a graph at a time: enough to occupy all threads, few enough that tails shrink steadily.
const PIECE_MIN: u64 = 256;
const PIECE_MAX: u64 = 8192;
/// How long the indexer rests when all tails are empty. A tail of what arrives meanwhile costs queries microseconds.
const INDEXER_REST: Duration = Duration::from_millis(20);
const CHECKPOINTER_REST: Duration = Duration::from_millis(500);
/// How often the archiver looks for a whole segment.
const ARCHIVER_REST: Duration = Duration::from_millis(500);
/// How often the scrub looks whether it is due.
const SCRUB_REST: Duration = Duration::from_secs(1);
/// Dead nodes below this are not worth a rebuild.
const DEAD_MIN: u64 = 1_000;

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
        let indexer = |database: &Database| database.step_indexer();
        let checkpointer = |database: &Database| {
            database.core().log.prepare()?;
            if database.core().log_lag() >= database.core().options.checkpoint_log_bytes {
                database.checkpoint()?;
            }
            Ok(false)
        };
        self.spawn("indexer", database, INDEXER_REST, indexer)?;
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
        step: impl Fn(&Database) -> Result<bool> + Send + 'static,
    ) -> Result<()> {
        let (weak, stop): (Weak<Database>, _) = (Arc::downgrade(database), self.stop.clone());
        let body = move || {
            let mut pause = Duration::ZERO;
            while stop.rest(pause) {
                let Some(database) = weak.upgrade() else { return };
                pause = match step(&database) {
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
    /// Does one piece of index maintenance, and says whether there was any.
    pub fn step_indexer(&self) -> Result<bool> {
        let core = self.core();
        let _one = core.indexing.lock();
        let cancel = &self.background().stop.cancel;
        let tables: Vec<Arc<Table>> = core.version.load().tables.values().cloned().collect();
        let mut worked = false;
        for table in tables {
            for index in table.state().vector_indexes.clone() {
                worked |= if is_stale(&table, &index) {
                    rebuild(core, &table, &index, cancel)?
                } else {
                    insert_piece(core, &table, &index, cancel)?
                };
            }
        }
        Ok(worked)
    }

    /// Does one piece of the store's background work, and says whether there was any.
    pub fn step_storage(&self) -> Result<bool> {
        self.core().store.step()
    }
}

/// Moves a piece of the tail into the graph.
fn insert_piece(core: &Core, table: &Table, index: &VectorIndex, cancel: &AtomicBool) -> Result<bool> {
    // Slots of rows that die from here on are not given out again before the piece is done.
    let _held = core.snapshots.take();
    let state = table.state();
    let Some(index) = state.vector_indexes.iter().find(|i| i.definition.oid == index.definition.oid) else {
        return Ok(false);
    };
    let Some(column) = state.vectors_of(index) else { return Ok(false) };
    if index.tail.is_empty() {
        return Ok(false);
    }
    let size = (index.tail.len() / 4).clamp(PIECE_MIN, PIECE_MAX);
    let piece: RoaringBitmap = index.tail.iter().take(size as usize).collect();
    let threads = if piece.len() <= PIECE_MIN { 1 } else { core.options.build_threads };
    let (finder, oid) = (index.finder.clone(), index.definition.oid);
    let view = column.column.view();
    drop(state);
    let built = finder.add(&view, &piece, threads, &AtomicU32::new(0), cancel);
    if cancel.load(Ordering::Relaxed) {
        return Ok(false);
    }
    built?;
    table.shorten_tail(oid, &piece, &finder);
    Ok(true)
}

/// Most of it is dead, or it was built when the table was small.
fn is_stale(table: &Table, index: &VectorIndex) -> bool {
    let nodes = index.finder.nodes();
    let members = table.state().members(index);
    let dead = nodes.len() - nodes.intersection_len(&members);
    dead > DEAD_MIN.max(members.len() / 2) || index.finder.is_outgrown(members.len())
}

/// Builds the graph or the lists anew over what lives in the index.
pub(super) fn rebuild(core: &Core, table: &Table, index: &VectorIndex, cancel: &AtomicBool) -> Result<bool> {
    let _held = core.snapshots.take();
    let state = table.state();
    let Some(column) = state.vectors_of(index) else { return Ok(false) };
    let view = column.column.view();
    let (members, params) = (state.members(index), index.finder.params());
    drop(state);
    let built =
        Finder::build(params, &view, &members, core.options.build_threads, &AtomicU32::new(0), cancel);
    if cancel.load(Ordering::Relaxed) {
        return Ok(false);
    }
    table.replace_graph(index.definition.oid, Arc::new(built?), &members);
    table.unlink_slots();
    Ok(true)
}
