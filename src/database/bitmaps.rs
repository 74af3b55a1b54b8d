//! Live sets and metadata indexes on disk, so that opening a large table does not read all its rows.
//!
//! ```text
//!   tables/<storage id>/<n>.bits                         a whole file, or the slots that changed since one
//!   manifest: "bitmaps" -> [applied, 4] or [applied, 4, 7]   the whole file 4, and what changed since, file 7
//!
//!   commits ──┬───────────────┬───────────────┬──> log
//!             P: file 4       P': file 7      applied of the newest checkpoint: nothing has changed since file 7
//! ```
//!
//! A checkpoint takes the state of every table at its moment, between two groups of commits, when the state is exactly
//! that of the trees it freezes. It writes what has changed by much whole, of what has changed by little which slots have,
//! and of what has not changed nothing; its manifest edit names the files together with the trees. An open takes the whole
//! file and reads the changed slots from the rows, which gives the state of the checkpoint; the log behind it is replayed
//! into that.
//!
//! A file that is missing, damaged or of another checkpoint costs time and nothing else: the indexes are made from the
//! rows, and the next checkpoint writes them anew. Inverted indexes are always made from the rows.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::database::Database;
use crate::database::checkpoint::applied_of;
use crate::database::core::{Core, Version};
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::index::bitmap::file::{self, Name};
use crate::index::bitmap::{Excess, Share};
use crate::log::{Position, StorageId};
use crate::storage::{Extra, Store, folder};
use crate::table::Table;
use crate::table::metadata::Metadata;
use crate::table::state::{Saved, State};

/// The name of what the manifest says of a table's files.
const EXTRA: &str = "bitmaps";
const EXTENSION: &str = "bits";
/// A running server writes a whole file once one row in so many has changed: while a table is loaded that comes to some
/// eight times the last file, and opening reads an eighth of the rows at most.
const RUNNING_SHARE: u64 = 8;
/// One that is shut down: rows that lie apart take 15 us each to read, and the whole file of a million rows 30 ms to write.
const CLOSING_SHARE: u64 = 1024;
/// Of the least rows that have a file, the part that may change without another whole file.
const FEW_SHARE: u64 = 8;

/// What a pass frees of what is too much in memory, beside what was added: some 20 chunks, which are written in a
/// millisecond or two.
const PASS_BYTES: u64 = 1 << 20;
/// After so many passes that moved nothing one in so many commits has another: the disk may have room by then.
const FRUITLESS_TURNS: u64 = 16;

/// What is on disk of each table.
pub struct Bitmaps {
    /// The memory of all that are in memory.
    share: Arc<Share>,
    tables: Mutex<HashMap<StorageId, Kept>>,
    /// What was in memory after the last pass.
    settled: AtomicU64,
    /// Passes since one that moved something, those that were left out included.
    fruitless: AtomicU64,
    /// What [`Share::unread`] was when indexes were last looked at for parts that cannot be read.
    looked: AtomicU64,
    /// The last checkpoint wrote files and failed: the next one writes none, for they may be what the disk had no room for.
    failed: AtomicBool,
}

/// The files that the manifest names of one table.
#[derive(Clone, Default)]
struct Kept {
    /// The greatest number a file was ever begun under: one that a failed checkpoint may have named is not written again.
    last: u64,
    whole: Option<Whole>,
    /// The file of the slots that have changed since, and how many they are.
    changes: Option<(u64, u64)>,
    /// What was found wrong with them: they are written anew.
    damage: Option<Error>,
    /// Whether there are files that nothing names.
    strangers: bool,
}

#[derive(Clone)]
struct Whole {
    number: u64,
    columns: Columns,
}

/// The numbers of the columns that have an index, each with the family of its type.
type Columns = Vec<(u16, u8)>;

/// A table as it is at the moment of a checkpoint.
pub struct Seen {
    table: Arc<Table>,
    state: Arc<State>,
    /// Slots that have changed since the whole file.
    changed: RoaringBitmap,
    /// Whether there is another whole file, or none any more.
    forget: bool,
}

/// Files that are written, and count once a checkpoint names them.
pub struct Saving {
    fs: Arc<dyn Fs>,
    tables: Vec<(Seen, Kept)>,
    written: Vec<PathBuf>,
}

/// What a choice depends on: rows, slots that have changed since the whole file, and the rows of which tables have files.
struct Sizes {
    live: u64,
    changed: u64,
    rows_min: u64,
}

/// What a checkpoint does about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// No files: the table is small.
    Nothing,
    /// The files there are.
    Keep,
    /// A new file of what has changed.
    Changes,
    /// A new whole file.
    Whole,
}

impl Bitmaps {
    pub fn new(share: Arc<Share>) -> Bitmaps {
        Bitmaps {
            share,
            tables: Mutex::default(),
            settled: AtomicU64::new(0),
            fruitless: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// Keeps metadata indexes within their share of memory after a commit: bitmaps by value go first where they are too much,
    /// from the table of the column that has the most, then chunks, in the same order. It frees what was added since the last
    /// pass and a bounded part of what is too much besides: no commit pays for all that others have left. False when there
    /// was nothing to be done, or nothing could be.
    pub fn settle<'t>(&self, tables: impl Iterator<Item = &'t Arc<Table>>) -> bool {
        let held = self.share.held();
        let added = held.saturating_sub(self.settled.load(Ordering::Relaxed));
        let mut excess = self.share.excess();
        excess.held = excess.held.min(added.saturating_add(PASS_BYTES));
        if excess == Excess::default() {
            self.settled.store(held, Ordering::Relaxed);
            self.fruitless.store(0, Ordering::Relaxed);
            return false;
        }
        // Readers have it, the disk is full, or it is what always stays.
        let fruitless = self.fruitless.fetch_add(1, Ordering::Relaxed);
        if fruitless >= FRUITLESS_TURNS && !fruitless.is_multiple_of(FRUITLESS_TURNS) && added < PASS_BYTES {
            return false;
        }
        let wanted = excess;
        let mut tables: Vec<&Arc<Table>> = tables.collect();
        if excess.bitmaps > 0 {
            tables.sort_by_cached_key(|table| Reverse(table.state().metadata.most_bitmap_bytes()));
        }
        for table in tables {
            if excess == Excess::default() {
                break;
            }
            table.settle_metadata(&mut excess);
        }
        if excess != wanted {
            self.fruitless.store(0, Ordering::Relaxed);
        }
        self.settled.store(self.share.held(), Ordering::Relaxed);
        excess != wanted
    }

    /// Opens what the last checkpoint saved of a table, and restores the table from it, or else from its rows. 55000 when
    /// a newer program wrote the files.
    pub fn restore(&self, fs: &dyn Fs, dir: &Path, store: &Store, table: &Table) -> Result<()> {
        let storage = table.storage();
        let (named, there) = (named(store, storage), numbers(fs, &folder(dir, storage))?);
        let files: &[u64] = named.as_deref().map_or(&[], |named| &named[1..]);
        let last = files.iter().chain(&there).copied().max().unwrap_or(0);
        let mut kept = Kept { last, strangers: !there.is_empty(), ..Kept::default() };
        let applied = applied_of(store, storage)?;
        match named.as_deref().map(|named| read(fs, dir, table, applied, named)).transpose() {
            Ok(Some(saved)) => {
                let changed = saved.changed.len();
                if table.restore_saved(saved)? {
                    kept.whole = Some(Whole { number: files[0], columns: kinds(&table.state().metadata) });
                    kept.changes = files.get(1).map(|number| (*number, changed));
                    kept.strangers = there.len() > files.len();
                } else {
                    log::info!("{}: another column is indexed now; its rows are read", name(table));
                    table.restore()?;
                }
            }
            Ok(None) => table.restore()?,
            // Of a newer program: nothing is damaged, and nothing is to be made anew in its place.
            Err(error) if error.state() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => return Err(error),
            Err(error) => {
                log::warn!("{}: saved bitmaps are not used, its rows are read: {error}", name(table));
                // A checkpoint whose manifest record may not count removes what it has written.
                kept.damage = Some(error).filter(|error| error.state() != SqlState::UNDEFINED_FILE);
                table.restore()?;
            }
        }
        self.tables.lock().insert(storage, kept);
        Ok(())
    }

    /// The tables at this moment, while no commit is published.
    pub fn see(&self, version: &Version) -> Vec<Seen> {
        let see = |table: &Arc<Table>| Seen {
            table: table.clone(),
            state: table.state(),
            changed: table.take_unsaved(),
            forget: false,
        };
        version.tables.values().map(see).collect()
    }

    /// Writes what has changed by the moment before which all commits were `applied`. What the extras name counts once
    /// [`Bitmaps::saved`] is told that a checkpoint has them. A file that cannot be written is done without.
    pub fn save(
        &self,
        core: &Core,
        seen: Vec<Seen>,
        applied: Position,
        closing: bool,
        extras: &mut Vec<Extra>,
    ) -> Saving {
        let failed = self.failed.swap(false, Ordering::Relaxed);
        let mut saving = Saving { fs: core.fs.clone(), tables: Vec::new(), written: Vec::new() };
        for mut seen in seen {
            let storage = seen.table.storage();
            let kept = self.tables.lock().entry(storage).or_default().clone();
            let mut choice = kept.choose(&seen, core.options.bitmap_rows_min, closing);
            if failed && matches!(choice, Choice::Whole | Choice::Changes) {
                choice = Choice::Nothing;
            }
            let mut next = kept.clone();
            match choice {
                Choice::Keep => {}
                Choice::Nothing => next.clear(),
                Choice::Changes | Choice::Whole => {
                    if let Err(error) = self.write(core, &seen, applied, choice, &mut next) {
                        log::warn!("{}: bitmaps are not saved: {error}", name(&seen.table));
                        choice = Choice::Nothing;
                        next.clear();
                    }
                    saving.written.push(path_of(&core.dir, storage, next.last));
                }
            }
            next.strangers |= next.last != kept.last || next.numbers() != kept.numbers();
            seen.forget = matches!(choice, Choice::Whole | Choice::Nothing);
            let value = (choice != Choice::Nothing).then(|| encode(applied, &next));
            if value.is_some() || core.store.extra(storage, EXTRA).is_some() {
                extras.push(Extra { storage, name: EXTRA.into(), value });
            }
            saving.tables.push((seen, next));
        }
        self.failed.store(!saving.written.is_empty(), Ordering::Relaxed);
        saving
    }

    /// Writes the next file of a table, durably: that of the changes, or a whole one.
    fn write(
        &self,
        core: &Core,
        seen: &Seen,
        applied: Position,
        choice: Choice,
        next: &mut Kept,
    ) -> Result<()> {
        let storage = seen.table.storage();
        let (number, dir) = (next.last + 1, folder(&core.dir, storage));
        next.last = number;
        // Also when the checkpoint fails.
        self.tables.lock().entry(storage).or_default().last = number;
        let path = path_of(&core.dir, storage, number);
        core.fs.create_dir_all(&dir)?;
        if core.fs.exists(&path) {
            core.fs.remove_file(&path)?;
        }
        let (fs, file, position) = (&*core.fs, Name { storage: storage.0, number }, applied.0);
        let written = match &next.whole {
            Some(whole) if choice == Choice::Changes => {
                next.changes = Some((number, seen.changed.len()));
                file::save_changes(fs, &path, file, position, whole.number, &seen.changed)
            }
            _ => {
                let columns = seen.state.metadata.columns();
                next.clear();
                next.whole = Some(Whole { number, columns: kinds(&seen.state.metadata) });
                file::save_whole(fs, &path, file, position, &seen.state.live, columns.into_iter())
            }
        };
        written.and_then(|_| core.fs.sync_dir(&dir)).inspect_err(|_| {
            // On a full disk it would take what room there is.
            let _ = core.fs.remove_file(&path);
        })
    }

    /// A checkpoint names these files.
    pub fn saved(&self, mut saving: Saving) {
        self.failed.store(false, Ordering::Relaxed);
        saving.written.clear();
        let mut tables = self.tables.lock();
        let mut known = std::mem::take(&mut *tables);
        for (seen, mut kept) in std::mem::take(&mut saving.tables) {
            let storage = seen.table.storage();
            // What was found meanwhile of a file that stays.
            let found = known.remove(&storage).and_then(|known| known.damage);
            kept.damage = kept.damage.or(found.filter(|_| !seen.forget));
            tables.insert(storage, kept);
        }
    }

    /// Removes files that the last checkpoint does not name. Those of damaged tables are not known here, and stay.
    pub fn remove_old(&self, core: &Core) -> Result<()> {
        let strangers =
            |(storage, kept): (&StorageId, &Kept)| kept.strangers.then(|| (*storage, kept.numbers()));
        let strangers: Vec<_> = self.tables.lock().iter().filter_map(strangers).collect();
        for (storage, named) in strangers {
            for number in numbers(&*core.fs, &folder(&core.dir, storage))? {
                if !named.contains(&number) {
                    core.fs.remove_file(&path_of(&core.dir, storage, number))?;
                }
            }
            self.tables.lock().entry(storage).and_modify(|kept| kept.strangers = false);
        }
        Ok(())
    }

    /// Those of a damaged table are nobody's concern from here on, and stay as they are.
    pub fn leave(&self, storage: StorageId) {
        self.tables.lock().remove(&storage);
    }

    /// The files of a table that the last checkpoint names.
    pub fn files(&self, core: &Core, storage: StorageId) -> Vec<PathBuf> {
        let numbers = self.tables.lock().get(&storage).map(Kept::numbers).unwrap_or_default();
        numbers.into_iter().map(|number| path_of(&core.dir, storage, number)).collect()
    }

    /// What is wrong with the files of a table.
    pub fn damage(&self, storage: StorageId) -> Option<Error> {
        self.tables.lock().get(&storage)?.damage.clone()
    }

    /// Notes that a file is damaged: the next checkpoint writes a whole one.
    pub fn note_damaged(&self, storage: StorageId, error: Error) {
        if let Some(kept) = self.tables.lock().get_mut(&storage) {
            kept.damage = Some(error);
        }
    }
}

impl Database {
    /// Does a piece of what commits have left to be done of metadata indexes, and says whether there was any.
    pub(super) fn step_metadata(&self) -> Result<bool> {
        let core = self.core();
        let version = core.version.load();
        let has_filtered = version.tables.values().any(|table| table.make_next_filters());
        Ok(has_filtered || core.bitmaps.settle(version.tables.values()))
    }

    /// Makes metadata indexes anew whose files cannot be read; how many.
    pub(super) fn remake_metadata(&self) -> Result<usize> {
        let core = self.core();
        let unread = core.bitmaps.share.unread();
        let look = core.bitmaps.looked.swap(unread, Ordering::Relaxed) != unread;
        let (mut count, published) = (0, core.snapshots.published());
        for table in core.version.load().tables.values() {
            let remade = table.remake_lost(look, published, self.background().cancel())?;
            if remade > 0 {
                log::info!("{}: {remade} metadata indexes were made anew from its rows", name(table));
            }
            count += remade;
        }
        Ok(count)
    }
}

impl Kept {
    fn choose(&self, seen: &Seen, rows_min: u64, closing: bool) -> Choice {
        let sizes = Sizes { live: seen.state.live.len(), changed: seen.changed.len(), rows_min };
        self.choose_by(&kinds(&seen.state.metadata), sizes, closing)
    }

    fn choose_by(
        &self,
        columns: &Columns,
        Sizes { live, changed, rows_min }: Sizes,
        closing: bool,
    ) -> Choice {
        if live < rows_min {
            return Choice::Nothing;
        }
        if self.whole.as_ref().is_none_or(|whole| whole.columns != *columns) || self.damage.is_some() {
            return Choice::Whole;
        }
        let share = if closing { CLOSING_SHARE } else { RUNNING_SHARE };
        if changed > (live / share).max(rows_min / FEW_SHARE) {
            return Choice::Whole;
        }
        // Slots are only added to those that changed, so as many are the same.
        match changed == self.changes.map_or(0, |(_, count)| count) {
            true => Choice::Keep,
            false => Choice::Changes,
        }
    }

    /// No file counts any more.
    fn clear(&mut self) {
        *self = Kept { last: self.last, strangers: self.strangers, ..Kept::default() };
    }

    fn numbers(&self) -> Vec<u64> {
        let whole = self.whole.iter().map(|whole| whole.number);
        whole.chain(self.changes.map(|(number, _)| number)).collect()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if !self.forget {
            self.table.add_unsaved(&self.changed);
        }
    }
}

impl Drop for Saving {
    /// Of a checkpoint that failed. Its files take room, and are not missed should the manifest name them after all.
    fn drop(&mut self) {
        for (seen, _) in &mut self.tables {
            seen.forget = false;
        }
        for path in &self.written {
            let _ = self.fs.remove_file(path);
        }
    }
}

fn kinds(metadata: &Metadata) -> Columns {
    metadata.columns().into_iter().map(|(number, index)| (number, index.family())).collect()
}

/// What the files have that the manifest names: `applied`, the whole file, and maybe that of the changes.
fn read(fs: &dyn Fs, dir: &Path, table: &Table, applied: Position, named: &[u64]) -> Result<Saved> {
    let (storage, state) = (table.storage(), table.state());
    let (of, rest) = named.split_first().unwrap_or((&0, &[]));
    if *of != applied.0 {
        let found = format!("those of position {of}");
        return Err(Error::corrupt("manifest", 0, format!("bitmaps of position {}", applied.0), found));
    }
    let (number, changes) = match *rest {
        [whole] => (whole, None),
        [whole, changes] => (whole, Some(changes)),
        _ => return Err(Error::corrupt("manifest", 0, "one or two files of bitmaps", rest.len())),
    };
    let name = |number| Name { storage: storage.0, number };
    let path = path_of(dir, storage, number);
    let share = |column| state.metadata.share_of(&state.definition, column);
    let whole = file::open_whole(fs, &path, name(number), &share)?;
    if whole.position > applied.0 {
        let expected = format!("a position up to {}", applied.0);
        return Err(Error::corrupt(path.display(), 32, expected, whole.position));
    }
    let changed = match changes {
        Some(changes) => file::open_changes(fs, &path_of(dir, storage, changes), name(changes), number)?,
        None => RoaringBitmap::new(),
    };
    Ok(Saved { live: whole.live, columns: whole.columns, changed })
}

/// What the manifest says; `None` when it says nothing, or nothing that makes sense.
fn named(store: &Store, storage: StorageId) -> Option<Vec<u64>> {
    let value: Vec<u64> = serde_json::from_slice(&store.extra(storage, EXTRA)?).ok()?;
    (value.len() >= 2).then_some(value)
}

fn encode(applied: Position, kept: &Kept) -> Vec<u8> {
    let mut value = vec![applied.0];
    value.extend(kept.numbers());
    serde_json::to_vec(&value).expect("numbers are JSON")
}

fn path_of(dir: &Path, storage: StorageId, number: u64) -> PathBuf {
    folder(dir, storage).join(format!("{number}.{EXTENSION}"))
}

/// The numbers of the files in a folder.
fn numbers(fs: &dyn Fs, folder: &Path) -> Result<Vec<u64>> {
    let number = |name: PathBuf| -> Option<u64> {
        name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
    };
    Ok(fs.list(folder)?.into_iter().filter_map(number).collect())
}

fn name(table: &Table) -> String {
    format!("table \"{}\"", table.state().definition.qualified_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_written_whole_and_little_by_its_slots() {
        let none = Kept::default();
        let columns: Columns = vec![(1, 3)];
        let whole = Some(Whole { number: 4, columns: columns.clone() });
        let kept = Kept { last: 4, whole, ..Kept::default() };
        let sizes = |live, changed| Sizes { live, changed, rows_min: 8_000 };
        let choose = |kept: &Kept, live, changed| kept.choose_by(&columns, sizes(live, changed), false);
        assert_eq!(choose(&none, 7_999, 0), Choice::Nothing, "a small table");
        assert_eq!(choose(&kept, 7_999, 0), Choice::Nothing, "one that has become small");
        assert_eq!(choose(&none, 8_000, 0), Choice::Whole);
        assert_eq!(choose(&kept, 8_000, 0), Choice::Keep);
        assert_eq!(choose(&kept, 8_000, 1), Choice::Changes);
        assert_eq!(choose(&kept, 8_000, 1_000), Choice::Changes);
        assert_eq!(choose(&kept, 8_000, 1_001), Choice::Whole);
        assert_eq!(choose(&kept, 800_000, 100_000), Choice::Changes);
        assert_eq!(choose(&kept, 800_000, 100_001), Choice::Whole);
        assert_eq!(kept.choose_by(&columns, sizes(8_000_000, 7_813), true), Choice::Whole, "closing");
        assert_eq!(kept.choose_by(&columns, sizes(8_000_000, 7_812), true), Choice::Changes);
        assert_eq!(
            kept.choose_by(&vec![(1, 3), (2, 3)], sizes(8_000, 0), false),
            Choice::Whole,
            "a new column"
        );
        let noted = Kept { changes: Some((5, 7)), ..kept.clone() };
        assert_eq!(choose(&noted, 8_000, 7), Choice::Keep);
        assert_eq!(choose(&noted, 8_000, 8), Choice::Changes);
        let damaged = Kept { damage: Some(Error::internal("rot")), ..kept };
        assert_eq!(choose(&damaged, 8_000, 0), Choice::Whole);
    }
}
