//! Vacuum: space of row versions, vectors and graph nodes that nobody needs.
//!
//! 1. The horizon is fixed: what died before it is seen by no snapshot.
//! 2. Dead nodes are taken out of graphs, whose other nodes are linked anew around them (`index::hnsw`, repair).
//! 3. A checkpoint saves those graphs. Only when it is durable that no generation on disk knows the dead slots any more
//!    are they free for other rows: a crash before brings the former graphs back.
//! 4. Sorted tables of which a tenth or more are replaced versions and deletions are written anew without them
//!    (`storage::compaction`, garbage).
//! 5. Groups of vectors that are wholly free give their space back.
//!
//! Statements go on meanwhile. A snapshot that stays open keeps what it sees, and holds back everything that died since:
//! [`Database::snapshots`] names it.
//!
//! Autovacuum does the same by itself, with PostgreSQL's rule: when a table has more obsolete versions than
//! `threshold + scale_factor * rows`. A table whose vacuum fails, for a block that rotted say, rests for longer and longer
//! (`storage::Rests`) while the others have theirs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use crate::catalog::{CATALOG_STORAGE, Oid};
use crate::database::core::Core;
use crate::database::generations::Due;
use crate::database::indexer::{discard, rebuild};
use crate::database::{Database, HeldSnapshot};
use crate::error::{Result, SqlState, check_cancel};
use crate::log::{Seq, StorageId};
use crate::storage::{Rests, is_damage};
use crate::table::Table;

/// A table whose automatic vacuum fails is tried again after so long, and in the end each so often: each try is a
/// checkpoint, and reads most of what the table has on disk.
const REST_MIN: Duration = Duration::from_secs(60);
const REST_MAX: Duration = Duration::from_secs(60 * 60);

/// What a vacuum is ended with when the server stops.
const ENDS: [SqlState; 2] = [SqlState::QUERY_CANCELED, SqlState::ADMIN_SHUTDOWN];

/// Where no table rests yet.
pub fn rests() -> Rests {
    Rests::new(REST_MIN, REST_MAX)
}

/// When tables are vacuumed without being asked; the names and defaults are PostgreSQL's.
#[derive(Clone, Debug)]
pub struct AutovacuumOptions {
    pub enabled: bool,
    pub threshold: u64,
    /// Share of a table's rows.
    pub scale_factor: f64,
    /// Between two looks.
    pub naptime: Duration,
}

impl Default for AutovacuumOptions {
    fn default() -> AutovacuumOptions {
        AutovacuumOptions {
            enabled: true,
            threshold: 50,
            scale_factor: 0.2,
            naptime: Duration::from_secs(60),
        }
    }
}

/// What a vacuum did to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacuumed {
    pub table: Oid,
    pub name: String,
    pub rows: u64,
    /// Versions that had died or been replaced since the last vacuum, those held back included.
    pub obsolete: u64,
    /// Nodes taken out of graphs, all indexes together.
    pub nodes: u64,
    /// Slots that other rows may take.
    pub slots_free: u64,
    /// Slots of dead rows that a snapshot may still see.
    pub slots_held: u64,
    /// On disk, without indexes.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// What died before was dealt with.
    pub horizon: Seq,
}

/// What is obsolete in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableGarbage {
    pub rows: u64,
    /// Row versions.
    pub obsolete: u64,
}

impl Database {
    /// Vacuums the given tables, or all when none are given. One that is damaged is refused when it is given, and passed
    /// over otherwise. `cancel` ends it early with 57014; what was done stays.
    pub fn vacuum(&self, tables: &[Oid], cancel: &AtomicBool) -> Result<Vec<Vacuumed>> {
        self.vacuum_as(tables, cancel, false)
    }

    /// `calm`: as slowly as what is behind allows, for nobody waits for it.
    fn vacuum_as(&self, tables: &[Oid], cancel: &AtomicBool, calm: bool) -> Result<Vec<Vacuumed>> {
        let core = self.core();
        let _urgent = (!calm).then(|| core.store.urgent());
        core.healthy()?;
        core.check_all_sound(|table| tables.contains(&table))?;
        let mut rests = core.vacuuming.lock();
        let version = core.version.load_full();
        let wanted =
            |table: &&Arc<Table>| tables.is_empty() || tables.contains(&table.state().definition.oid);
        let chosen: Vec<Arc<Table>> = version.tables.values().filter(wanted).cloned().collect();
        // The indexer holds a snapshot while it works; it is not to keep alive what died before this call.
        let horizon = {
            let _between = beside_the_indexer(core, cancel)?;
            core.snapshots.horizon()
        };
        core.store.set_horizon(horizon);
        let mut done = Vec::new();
        let mut obsolete = Vec::new();
        let mut indexes = Vec::new();
        for table in &chosen {
            let state = table.state();
            indexes.extend(state.vector_indexes.iter().map(|index| index.definition.oid));
            obsolete.push(table.obsolete_before(horizon));
            done.push(Vacuumed {
                table: state.definition.oid,
                name: state.definition.qualified_name(),
                rows: state.live.len(),
                obsolete: table.obsolete(),
                nodes: unlink(core, table, horizon, cancel)?,
                slots_free: 0,
                slots_held: 0,
                bytes_before: self.relation_bytes(state.definition.oid).unwrap_or(0),
                bytes_after: 0,
                horizon,
            });
        }
        self.checkpoint_then(Due::Vacuumed(indexes), calm, |_| Ok(()))?;
        if tables.is_empty() {
            core.store.clean(StorageId(CATALOG_STORAGE), calm)?;
        }
        for ((table, done), obsolete) in chosen.iter().zip(&mut done).zip(obsolete) {
            core.store.clean(table.storage(), calm)?;
            table.release_vectors()?;
            (done.slots_free, done.slots_held) = table.slot_counts();
            table.vacuumed(obsolete.min(done.obsolete.saturating_sub(done.slots_held)), horizon);
            done.bytes_after = self.relation_bytes(done.table).unwrap_or(0);
            rests.ended(table.storage());
        }
        Ok(done)
    }

    /// Vacuums the tables that are due. One that fails is told, and rests.
    pub fn step_autovacuum(&self) -> Result<bool> {
        self.step_autovacuum_at(Instant::now())
    }

    /// As [`Database::step_autovacuum`], at a time that is told.
    pub(super) fn step_autovacuum_at(&self, now: Instant) -> Result<bool> {
        let core = self.core();
        if core.may_checkpoint().is_err() {
            // Without one nothing is gained.
            return Ok(false);
        }
        let options = &core.options.autovacuum;
        let horizon = core.snapshots.horizon();
        let due = |table: &&Arc<Table>| {
            let rows = table.state().live.len() as f64;
            table.may_vacuum(horizon)
                && table.obsolete() as f64 > options.threshold as f64 + options.scale_factor * rows
        };
        let version = core.version.load_full();
        let mut due: Vec<&Arc<Table>> = version.tables.values().filter(due).collect();
        if due.is_empty() {
            return Ok(false);
        }
        core.healthy()?;
        {
            let mut rests = core.vacuuming.lock();
            rests.keep(|id| version.tables.values().any(|table| table.storage() == id));
            due.retain(|table| !rests.rests(table.storage(), now));
        }
        for table in due {
            let oid = table.state().definition.oid;
            let done = match self.vacuum_as(&[oid], self.background().cancel(), true) {
                // The server stops.
                Err(error) if ENDS.contains(&error.state()) => return Ok(false),
                Err(error) => {
                    let is_damage = is_damage(&error);
                    let rest = core.vacuuming.lock().failed(table.storage(), is_damage, now);
                    let name = table.state().definition.qualified_name();
                    log::error!(
                        "the automatic vacuum of table \"{name}\" failed and will be tried again in {} s: {error}",
                        rest.as_secs()
                    );
                    if is_damage {
                        self.found_in_vacuum(&name, &error);
                    }
                    continue;
                }
                Ok(done) => done,
            };
            for done in done {
                log::info!(
                    "automatic vacuum of table \"{}\": {} obsolete row versions, {} held back, {} graph nodes, {} to {} bytes",
                    done.name,
                    done.obsolete,
                    done.slots_held,
                    done.nodes,
                    done.bytes_before,
                    done.bytes_after,
                );
            }
        }
        Ok(false)
    }

    /// Snapshots that are held, oldest first. The first holds back the space of everything that died since.
    pub fn snapshots(&self) -> Vec<HeldSnapshot> {
        self.core().snapshots.held()
    }

    /// The newest commit that snapshots see.
    pub fn published(&self) -> Seq {
        self.core().snapshots.published()
    }

    /// Live rows and obsolete versions of a table.
    pub fn garbage(&self, table: Oid) -> Option<TableGarbage> {
        let version = self.core().version.load();
        let table = version.tables.get(&table)?;
        Some(TableGarbage { rows: table.state().live.len(), obsolete: table.obsolete() })
    }
}

/// Keeps the indexer from its next piece, once it has done this one: building a large index anew takes minutes.
fn beside_the_indexer<'a>(core: &'a Core, cancel: &AtomicBool) -> Result<MutexGuard<'a, ()>> {
    // How soon a cancel is noticed.
    const PATIENCE: Duration = Duration::from_millis(50);
    loop {
        if let Some(guard) = core.indexing.try_lock_for(PATIENCE) {
            return Ok(guard);
        }
        check_cancel(cancel)?;
    }
}

/// Takes dead nodes out of a table's graphs; answers how many.
fn unlink(core: &Core, table: &Table, horizon: Seq, cancel: &AtomicBool) -> Result<u64> {
    let _one = beside_the_indexer(core, cancel)?;
    let dead = table.linked_slots(horizon);
    let mut nodes = 0;
    for index in table.state().vector_indexes.clone() {
        let state = table.state();
        let Some(column) = state.vectors_of(&index) else { continue };
        let going = dead.intersection_len(&index.finder.nodes());
        if going > state.members(&index).len() / 2 {
            // Cheaper than repairing nearly everything, and better.
            drop(state);
            rebuild(core, table, &index, cancel)?;
            nodes += going;
        } else {
            let view = column.column.view();
            drop(state);
            let removed = index.finder.remove(&view, &dead, core.options.build_threads, cancel);
            if let Err(error) = view.refuse_unread() {
                // Its nodes were linked by distances that were none.
                discard(core, table, &index);
                return Err(error);
            }
            nodes += removed?;
        }
    }
    Ok(nodes)
}
