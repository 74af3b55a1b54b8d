//! Checkpoints: what recovery starts from.
//!
//! 1. Graphs that have grown are saved as new generations; vectors are synced.
//! 2. Open transactions that hold back much log with few records are carried on (`unfinished.rs`).
//! 3. Between two commit groups, the trees are frozen, the states of the tables and the position are taken: everything
//!    before it is in them, except transactions still open, for whose sake the log is kept from their first record on.
//!    Definitions that change from here on change nothing about this checkpoint: a column or a table that goes has its
//!    files until the next one.
//! 4. Vectors are synced again: those written since the first time are few, and commits did not wait for the rest.
//! 5. The log is synced as far as the moment: a checkpoint that survives a crash must not point past a log whose
//!    unsynced end did not, or later commits would get positions that count as applied.
//!    What was written to vector files since the last checkpoint is noted, for backups (`stamps.rs`).
//! 6. Live sets and metadata indexes are written as the states have them, where they have changed (`bitmaps.rs`).
//! 7. One manifest edit makes trees, generations, bitmaps, sequences and position durable together.
//! 8. What nothing names any more goes: older log segments, folders of dropped tables, segments of dropped columns, older
//!    generations and bitmaps.
//!
//! While a table is damaged, its files, and the log from the last position before, stay (`damaged.rs`).
//!
//! ```text
//!   log   ...| t7 Data | ... commits in the trees ... | commits to replay ...
//!            ^ replay from here: t7 is still open     ^ applied: earlier commits are skipped
//! ```

use std::sync::Arc;

use crate::catalog::{CATALOG_STORAGE, Oid};
use crate::clock::Timestamp;
use crate::codec::Reader;
use crate::database::Database;
use crate::database::bitmaps::Seen;
use crate::database::core::{Core, Version};
use crate::database::damaged::DamagedTables;
use crate::database::generations::Due;
use crate::error::{Error, Result, SqlState};
use crate::log::{Position, Seq, StorageId};
use crate::storage::{Checkpoint, Extra, Frozen, Store};
use crate::table::Table;
use crate::table::state::VectorColumn;
use crate::vectors::Written;

/// Names of the catalogue's extras in the manifest.
pub(super) const APPLIED: &str = "applied";
const FROM: &str = "from";
const SEQUENCES: &str = "sequences";
const LAST: &str = "last";
const TIME: &str = "time";
const COUNTERS: &str = "counters";

impl Database {
    /// Makes the present state the one recovery starts from, and drops log that nothing needs.
    pub fn checkpoint(&self) -> Result<()> {
        self.checkpoint_as(Due::Grown)
    }

    /// With [`Due::Closing`] no transaction is left, and sequences are kept to the value.
    pub(super) fn checkpoint_as(&self, due: Due) -> Result<()> {
        self.checkpoint_then(due, false, |_| Ok(()))
    }

    /// A checkpoint, and `then` before there can be another. `calm`: as slowly as what is behind allows, for nobody waits
    /// for it.
    pub(super) fn checkpoint_then<R>(
        &self,
        due: Due,
        calm: bool,
        then: impl FnOnce(&Core) -> Result<R>,
    ) -> Result<R> {
        let closing = matches!(due, Due::Closing);
        let core = self.core();
        let _urgent = (!calm).then(|| core.store.urgent());
        core.healthy()?;
        core.may_checkpoint()?;
        let _one = core.checkpointing.lock();
        let columns = columns_of(&core.version.load());
        let (mut extras, saved) = core.generations.save(core, due)?;
        core.sync_vectors(&columns)?;
        let retired = core.retired.lock().clone();
        core.carry_on();
        let moment = self.moment(closing)?;
        // Vectors of commits between the first sync and the moment: few, and the log before the moment goes.
        core.sync_vectors(&moment.columns)?;
        core.log.sync()?;
        let catalog = StorageId(CATALOG_STORAGE);
        let applied = moment.applied.0.to_le_bytes().to_vec();
        extras.push(Extra { storage: catalog, name: APPLIED.into(), value: Some(applied) });
        extras.push(Extra { storage: catalog, name: SEQUENCES.into(), value: Some(moment.sequences) });
        let last = moment.last.0.to_le_bytes().to_vec();
        extras.push(Extra { storage: catalog, name: LAST.into(), value: Some(last) });
        extras.push(Extra { storage: catalog, name: COUNTERS.into(), value: Some(core.counters()) });
        let time = moment.time.0.to_le_bytes().to_vec();
        extras.push(Extra { storage: catalog, name: TIME.into(), value: Some(time) });
        let sound: Vec<StorageId> = moment.columns.iter().map(Columns::storage).collect();
        let position = core.kept_position(moment.position, &moment.damaged, &sound, &mut extras);
        let written = core.stamp(&moment.columns, moment.applied, &mut extras);
        let bitmaps = core.bitmaps.save(core, moment.seen, moment.applied, closing, &mut extras);
        core.store.checkpoint_frozen(moment.frozen, Checkpoint { position, extras }, calm)?;
        written.into_iter().for_each(Written::note);
        core.generations.saved(saved);
        core.bitmaps.saved(bitmaps);
        core.log.truncate_before(position.min(core.log_floor()))?;
        // Nothing depends on it, and the next one tries again.
        if let Err(error) = core.generations.remove_old(core) {
            log::error!("former generations of graphs are left over: {error}");
        }
        core.bitmaps.remove_old(core)?;
        for dir in retired {
            match core.fs.remove_dir_all(&dir) {
                // A table without fixed-width vectors or sorted tables never had a folder, or the store was first.
                Err(error) if error.state() == SqlState::UNDEFINED_FILE => {}
                outcome => outcome?,
            }
            core.retired.lock().retain(|known| *known != dir);
        }
        // Recovery no longer meets a definition that has them.
        for Columns { table, dropped, .. } in moment.columns {
            dropped.into_iter().try_for_each(|column| table.remove_segments(&core.fs, column))?;
        }
        core.checkpointed(moment.position, moment.applied);
        then(core)
    }

    /// Fixes what belongs to the checkpoint. Commits wait meanwhile, for microseconds.
    fn moment(&self, closing: bool) -> Result<Moment> {
        let core = self.core();
        let _between = self.commits().pause();
        // A commit that failed to publish while this waited is in the log, and only half of it in the trees.
        core.healthy()?;
        let version = core.version.load_full();
        Ok(core.sequences.checkpoint(closing, |sequences| Moment {
            frozen: core.store.freeze(),
            position: core.replay_position(),
            applied: core.log.end(),
            last: core.last_commit(),
            time: core.last_time(),
            damaged: version.damaged.clone(),
            columns: columns_of(&version),
            seen: core.bitmaps.see(&version),
            sequences,
        }))
    }
}

/// What a checkpoint is of.
struct Moment {
    frozen: Frozen,
    position: Position,
    applied: Position,
    /// The newest commit.
    last: Seq,
    /// When that was.
    time: Timestamp,
    /// Tables that it is not of.
    damaged: DamagedTables,
    /// Those that it is of.
    seen: Vec<Seen>,
    /// Of the same.
    columns: Vec<Columns>,
    sequences: Vec<u8>,
}

/// The vectors of a table at one moment.
pub struct Columns {
    table: Arc<Table>,
    vectors: Arc<[VectorColumn]>,
    /// Numbers of those that were dropped before.
    dropped: Vec<u16>,
}

impl Columns {
    pub fn storage(&self) -> StorageId {
        self.table.storage()
    }

    /// Files that were written since that was last noted.
    pub fn written(&self) -> impl Iterator<Item = Written> {
        self.vectors.iter().flat_map(|vector| vector.column.written())
    }
}

fn columns_of(version: &Version) -> Vec<Columns> {
    let of = |table: &Arc<Table>| {
        let state = table.state();
        let dropped = state.definition.dropped.iter().filter(|column| column.ty.is_slot_vector());
        let dropped = dropped.map(|column| column.number).collect();
        Columns { table: table.clone(), vectors: state.vectors.clone(), dropped }
    };
    version.tables.values().map(of).collect()
}

/// Commits before this are in a table's files as the last checkpoint has them: before that of all, when the table was
/// damaged when it was made.
pub fn applied_of(store: &Store, storage: StorageId) -> Result<Position> {
    match position_extra(store, storage, APPLIED)? {
        Some(own) => Ok(own),
        None => Ok(position_extra(store, StorageId(CATALOG_STORAGE), APPLIED)?.unwrap_or_default()),
    }
}

fn position_extra(store: &Store, storage: StorageId, name: &str) -> Result<Option<Position>> {
    let Some(bytes) = store.extra(storage, name) else { return Ok(None) };
    let bytes: [u8; 8] =
        bytes.try_into().map_err(|_| Error::corrupt("manifest", 0, "a position", "other bytes"))?;
    Ok(Some(Position(u64::from_le_bytes(bytes))))
}

/// The next oid and the next storage id as of the last checkpoint; zeros if it does not tell (formats 1 and 2).
pub fn checkpoint_counters(store: &Store) -> Result<(Oid, u64)> {
    let Some(bytes) = store.extra(StorageId(CATALOG_STORAGE), COUNTERS) else { return Ok((0, 0)) };
    let mut reader = Reader::new(&bytes);
    match (reader.u32(), reader.u64()) {
        (Ok(oid), Ok(storage)) => Ok((oid, storage)),
        _ => Err(Error::corrupt(
            "manifest",
            0,
            "the next oid and storage id",
            format!("{} bytes", bytes.len()),
        )),
    }
}

impl Core {
    /// The next oid and the next storage id: four and eight bytes.
    fn counters(&self) -> Vec<u8> {
        let (oid, storage) = self.next_numbers();
        [&oid.to_le_bytes()[..], &storage.to_le_bytes()].concat()
    }

    /// A sync that fails may have lost what it was asked for, and the next one would not say so. The log still has it, and
    /// must keep it: there are no checkpoints any more.
    fn sync_vectors(&self, columns: &[Columns]) -> Result<()> {
        let mut vectors = columns.iter().flat_map(|columns| &*columns.vectors);
        vectors.try_for_each(|vector| vector.column.sync()).inspect_err(|error| self.poison(error))
    }

    /// Commits before this are in the trees as the last checkpoint has them.
    pub fn applied_position(&self) -> Result<Position> {
        applied_of(&self.store, StorageId(CATALOG_STORAGE))
    }

    /// Where replay begins for all but tables that are behind; the manifest's position when none is.
    pub fn replay_from(&self) -> Result<Position> {
        Ok(position_extra(&self.store, StorageId(CATALOG_STORAGE), FROM)?.unwrap_or_default())
    }

    /// From where on a checkpoint keeps the log: from before all that is not in the files of damaged tables, while there
    /// are any. Adds what says so.
    fn kept_position(
        &self,
        position: Position,
        damaged: &DamagedTables,
        sound: &[StorageId],
        extras: &mut Vec<Extra>,
    ) -> Position {
        let catalog = StorageId(CATALOG_STORAGE);
        let put = |storage, name: &str, position: Option<Position>| Extra {
            storage,
            name: name.into(),
            value: position.map(|position| position.0.to_le_bytes().to_vec()),
        };
        let caught_up = sound.iter().filter(|storage| self.store.extra(**storage, APPLIED).is_some());
        extras.extend(caught_up.map(|storage| put(*storage, APPLIED, None)));
        if damaged.is_empty() {
            extras.extend(self.store.extra(catalog, FROM).map(|_| put(catalog, FROM, None)));
            return position;
        }
        extras.extend(damaged.values().map(|one| put(one.storage, APPLIED, Some(one.applied))));
        extras.push(put(catalog, FROM, Some(position)));
        let kept = self.store.checkpoint_position();
        log::warn!("{} bytes of log are kept for tables that are damaged", position.0.saturating_sub(kept.0));
        kept
    }

    /// The newest commit that the last checkpoint has; of format 1 only that it is before the applied position.
    pub fn checkpoint_last(&self) -> Result<Seq> {
        let bytes = self.store.extra(StorageId(CATALOG_STORAGE), LAST);
        let last = bytes.and_then(|bytes| Some(Seq(u64::from_le_bytes(bytes.try_into().ok()?))));
        last.map_or_else(|| self.applied_position().map(|applied| Seq(applied.0)), Ok)
    }

    /// The time of the newest commit that the last checkpoint has; those of format 1 do not tell.
    pub fn checkpoint_time(&self) -> Option<Timestamp> {
        let bytes = self.store.extra(StorageId(CATALOG_STORAGE), TIME)?;
        Some(Timestamp(i64::from_le_bytes(bytes.try_into().ok()?)))
    }

    pub fn restore_sequences(&self) -> Result<()> {
        match self.store.extra(StorageId(CATALOG_STORAGE), SEQUENCES) {
            Some(bytes) => self.sequences.restore(&bytes),
            None => Ok(()),
        }
    }
}
