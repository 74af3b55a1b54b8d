//! Opening a data directory.
//!
//! 1. LOCK and CONTROL: ours alone, and of a format we know.
//! 2. The store as of its last checkpoint; the log, without what a crash brought back of it; the catalogue from its rows.
//! 3. Each table: its vector segments, its live set and metadata indexes, its graphs. One that is damaged is left out
//!    (`damaged.rs`).
//! 4. Files that belong to no table go.
//! 5. The log from the checkpoint's position, through the same apply as live commits.
//! 6. Slots, numbers and sequences go on behind everything that was found.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::edit::{OBJECT_KEY, SEQUENCE_KEY, decode_object, stored};
use crate::catalog::{CATALOG_STORAGE, Catalog, FIRST_USER_OID, Oid};
use crate::database::apply::Replay;
use crate::database::backup::archive;
use crate::database::bitmaps::Bitmaps;
use crate::database::checkpoint::{applied_of, checkpoint_counters};
use crate::database::control::Control;
use crate::database::core::{Core, Counters, Saved, Version};
use crate::database::damaged::{Damaged, DamagedTables};
use crate::database::generations::Generations;
use crate::database::stamps::trust_stamps;
use crate::database::{Database, Options};
use crate::error::{Result, SqlState};
use crate::fs::Fs;
use crate::index::bitmap::Share;
use crate::index::room::Room;
use crate::log::{LocalLog, Log, PieceName, Position, Seq, StorageId, TxnId};
use crate::storage::{Store, folder, is_damage};
use crate::table::Table;

/// The folder of graphs and metadata indexes that have no room in memory.
const SPILL: &str = "spill";
/// The first position a log has.
const LOG_START: Position = Position(8);

/// Whether the archive has all that begins at these positions, where there is one: what was let go of is in it.
fn is_archived(fs: &dyn Fs, options: &Options, firsts: &[Position]) -> Result<bool> {
    let Some(dir) = &options.archive.dir else { return Ok(true) };
    let pieces = PieceName::list(fs, dir)?;
    Ok(firsts.iter().all(|first| pieces.iter().any(|piece| piece.first <= *first && *first < piece.end)))
}

impl Database {
    /// Opens or creates the data directory.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Arc<Database>> {
        archive::refuse_inside(&*fs, options.home.as_deref().unwrap_or(dir), &options.archive)?;
        let control = Control::open(fs.clone(), dir, new_cluster())?;
        let store = Store::open(fs.clone(), dir, options.storage.clone())?;
        let log = LocalLog::open(fs.clone(), &dir.join("log"), options.log_segment_bytes)?;
        let may_go = |firsts: &[Position]| is_archived(&*fs, &options, firsts);
        if let Err(error) = log.drop_before_gap(store.checkpoint_position(), may_go) {
            log::warn!("segments of the log before a gap are left over: {error}");
        }
        let log: Arc<dyn Log> = Arc::new(log);
        let catalog = load_catalog(&store)?;
        remove_strangers(&*fs, dir, &store, &catalog)?;
        let (room, share) = memory_of(&fs, dir.join(SPILL), &options)?;
        let generations = Generations::new(room);
        let bitmaps = Bitmaps::new(share);
        let opening = Opening {
            fs: &fs,
            dir,
            store: &store,
            catalog: &catalog,
            generations: &generations,
            bitmaps: &bitmaps,
        };
        let (tables, damaged) = opening.tables(!control.was_clean)?;
        let counters = counters(&store, &catalog)?;
        let version = Version { seq: Seq::default(), catalog: Arc::new(catalog), tables, damaged };
        let saved = Saved { generations, bitmaps };
        let core = Core::new(fs, dir.to_path_buf(), options, log, store, version, saved, &counters);
        core.restore_sequences()?;
        replay(&core)?;
        recover_slots(&core)?;
        Database::start(Arc::new(core), control)
    }
}

/// Memory for graphs and for metadata indexes.
fn memory_of(fs: &Arc<dyn Fs>, spill: PathBuf, options: &Options) -> Result<(Arc<Room>, Arc<Share>)> {
    let fs = fs.clone();
    Ok(match &options.shared {
        Some(shared) => (shared.graphs.within(fs.clone(), spill.clone())?, shared.metadata.within(fs, spill)),
        None => (
            Room::new(fs.clone(), spill.clone(), options.graph_bytes_max)?,
            Share::new(fs, spill, options.metadata_bytes_max),
        ),
    })
}

/// Sixteen bytes that no other directory has: from the standard library's per-process random hash keys.
pub fn new_cluster() -> u128 {
    let word = || RandomState::new().build_hasher().finish();
    (u128::from(word()) << 64) | u128::from(word())
}

pub(super) fn load_catalog(store: &Store) -> Result<Catalog> {
    if let Some(error) = store.damage(StorageId(CATALOG_STORAGE)) {
        return Err(error);
    }
    let tree = store.create_tree(StorageId(CATALOG_STORAGE));
    let range = (Bound::Included(&[OBJECT_KEY][..]), Bound::Excluded(&[SEQUENCE_KEY][..]));
    let mut edits = Vec::new();
    for entry in tree.scan(range.0, range.1, Seq(u64::MAX)) {
        let (_, _, value) = entry?;
        edits.push(stored(decode_object(&value)?));
    }
    Ok(Catalog::new().apply(&edits))
}

/// What tables are opened from.
struct Opening<'a> {
    fs: &'a Arc<dyn Fs>,
    dir: &'a Path,
    store: &'a Store,
    catalog: &'a Catalog,
    generations: &'a Generations,
    bitmaps: &'a Bitmaps,
}

impl Opening<'_> {
    /// All tables. With `verify`, every word of their graphs is read.
    fn tables(&self, verify: bool) -> Result<(HashMap<Oid, Arc<Table>>, DamagedTables)> {
        let (mut tables, mut damaged) = (HashMap::new(), DamagedTables::new());
        for definition in self.catalog.stored_tables() {
            let storage = StorageId(definition.storage);
            match self.table(definition, verify) {
                Ok(table) => drop(tables.insert(definition.oid, Arc::new(table))),
                Err(error) if is_damage(&error) => {
                    self.store.set_damaged(storage, error.clone());
                    self.generations.leave(storage);
                    self.bitmaps.leave(storage);
                    let applied = applied_of(self.store, storage)?;
                    let of_one = Damaged::new(definition.clone(), storage, applied, error);
                    damaged.insert(definition.oid, Arc::new(of_one));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((tables, damaged))
    }

    fn table(&self, definition: &Arc<crate::catalog::Table>, verify: bool) -> Result<Table> {
        let Opening { fs, dir, store, catalog, generations, bitmaps } = self;
        let storage = StorageId(definition.storage);
        if let Some(error) = store.damage(storage) {
            return Err(error);
        }
        let tree = store.create_tree(storage);
        let indexes: Vec<_> = catalog.indexes_of(definition.oid).cloned().collect();
        let folder = folder(dir, storage);
        let memory = (generations.room(), bitmaps.share());
        let table = Table::open(fs, &folder, tree, definition.clone(), &indexes, memory)?;
        trust_stamps(store, &table);
        generations.open(&***fs, dir, store, catalog, &table, verify)?;
        bitmaps.restore(&***fs, dir, store, &table)?;
        Ok(table)
    }
}

/// Trees and folders of tables that were dropped, or made by a transaction whose end the checkpoint did not see: replay
/// makes those anew.
fn remove_strangers(fs: &dyn Fs, dir: &Path, store: &Store, catalog: &Catalog) -> Result<()> {
    let known = |id: u64| id == CATALOG_STORAGE || catalog.stored_tables().any(|table| table.storage == id);
    for id in store.tree_ids() {
        if !known(id.0) {
            store.drop_tree(id);
        }
    }
    let tables = dir.join("tables");
    for name in fs.list(&tables)? {
        if number(&name).is_some_and(|id| !known(id)) {
            remove_vectors(fs, &tables.join(&name))?;
        }
    }
    Ok(())
}

/// The store removes its own files once no checkpoint names them.
fn remove_vectors(fs: &dyn Fs, dir: &Path) -> Result<()> {
    for name in fs.list(dir)? {
        if name.extension().is_none_or(|extension| extension != "sst") {
            fs.remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

fn number(name: &Path) -> Option<u64> {
    name.to_str()?.parse().ok()
}

/// Where they stood at the checkpoint; at least past everything that there is.
fn counters(store: &Store, catalog: &Catalog) -> Result<Counters> {
    let known = checkpoint_counters(store)?;
    let storage = catalog.stored_tables().map(|table| table.storage).max().unwrap_or(CATALOG_STORAGE);
    Ok(Counters {
        txn: TxnId(1),
        oid: FIRST_USER_OID.max(catalog.max_oid() + 1).max(known.0),
        storage: StorageId((storage + 1).max(known.1)),
    })
}

fn replay(core: &Core) -> Result<()> {
    let applied = core.applied_position()?;
    let first = core.store.checkpoint_position().max(LOG_START);
    let from = core.replay_from()?.max(first);
    core.snapshots.publish(Seq(applied.0));
    core.opened_at(core.checkpoint_last()?);
    core.checkpointed(from, from);
    core.checkpoint_time().into_iter().for_each(|time| core.saw_time(time));
    let mut replay = Replay::new(core, applied, from)?;
    core.recovering.store(true, Ordering::Relaxed);
    // Nobody needs what is before, unless a table that was damaged opens again.
    let first = if replay.is_any_behind() { first } else { from };
    core.log.replay(first, &mut |position, record| replay.apply(position, record))?;
    core.recovering.store(false, Ordering::Relaxed);
    core.note_redefined(&replay.redefined);
    match replay.finish() {
        // Numbers of transactions do not come again, so nothing depends on it.
        Err(error) if error.state() == SqlState::DISK_FULL => log::warn!("{error}"),
        outcome => outcome?,
    }
    let catalog = core.version.load().catalog.clone();
    core.sequences.retain(|oid| catalog.sequence_by_oid(oid).is_some());
    core.skip(&Counters {
        // Positions grow by more than one per transaction that the log knows of, so these are new for ever, also to who
        // reads the log from further back than this replay did.
        txn: TxnId((replay.last_txn.0 + 1).max(core.log.end().0)),
        oid: replay.last_oid.saturating_add(1),
        storage: StorageId(replay.last_storage.0 + 1),
    });
    if replay.commits > 0 {
        log::info!("recovered {} commits from the log", replay.commits);
    }
    Ok(())
}

/// Which slots may be given out. A table of which that cannot be read is damaged.
fn recover_slots(core: &Core) -> Result<()> {
    let version = core.version.load_full();
    core.recovering.store(true, Ordering::Relaxed);
    let mut tables = version.tables.values();
    let outcome = tables.try_for_each(|table| core.or_damaged(table, table.recover_slots()));
    core.recovering.store(false, Ordering::Relaxed);
    outcome
}
