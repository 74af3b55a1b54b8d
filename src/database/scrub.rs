//! Reading every file in the background, so that rot is found while there is a backup, and before a query misses a row.
//!
//! ```text
//!   tables     every block of every sorted table       rows: named            filter: the table is written anew
//!   vectors    every live slot                         named; searches of the column refuse until the row is changed
//!   graphs     every generation                        exact search, and the graph is built anew
//!   bitmaps    every file                              a checkpoint writes them anew
//!   log        every record                            a new segment and a checkpoint let go of it
//!   manifest   against the state in memory             written anew
//! ```
//!
//! What cannot be read to its end or made again, for the disk is full say, is told as well, and the run goes on with the
//! next: only a cancel ends it.
//!
//! A table that was damaged already when the database was opened is told by each run, and not read (`damaged.rs`).
//!
//! The first run begins when the database is opened. Until it is through a table, searches verify each vector when they
//! look at it for the first time (`vectors/view.rs`), for a damaged one that only seems far away would go missing without
//! a word. `hither.scrub` says whether it is through. Everything is read from files, not through maps, so that what
//! another has read before does not hide a place that the disk does not give. Where a map could not be read, the statement
//! failed (`fs/mapped.rs`) and here is a finding beside those of the run. Runs follow one another at an interval; each
//! keeps below a number of bytes per second, and takes a snapshot for a piece of a table only, so that vacuum is not held
//! back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::catalog::CATALOG_STORAGE;
use crate::clock::Timestamp;
use crate::database::Database;
use crate::database::Holder;
use crate::database::indexer::build_anew;
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::fs::mapped::faults;
use crate::fs::throttle::Throttle;
use crate::index::{Finder, bitmap};
use crate::log::StorageId;
use crate::storage::{Part, is_rot};
use crate::table::Table;
use crate::table::state::VectorIndex;

/// How files are read in the background.
#[derive(Clone, Debug)]
pub struct ScrubOptions {
    pub enabled: bool,
    /// From the end of a run to the start of the next.
    pub interval: Duration,
    /// 0: as fast as it goes.
    pub bytes_per_second_max: u64,
}

impl Default for ScrubOptions {
    fn default() -> ScrubOptions {
        ScrubOptions {
            enabled: true,
            interval: Duration::from_secs(24 * 60 * 60),
            // A hundredth of a core for the checksums, and a third of what a slow disk reads.
            bytes_per_second_max: 32 << 20,
        }
    }
}

/// Slots of one table verified under one snapshot.
const SLOTS_AT_ONCE: usize = 1 << 14;
/// Findings that are kept; more of the same say nothing new.
const FINDINGS_MAX: usize = 1_000;

/// The state of scrubbing.
#[derive(Clone, Debug, Default)]
pub struct Scrub {
    pub running: bool,
    /// Runs that came to their end since the database was opened.
    pub runs: u64,
    /// Of the present run, or else of the last one.
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub files: u64,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

/// Damage.
#[derive(Clone, Debug)]
pub struct Finding {
    pub found: Timestamp,
    /// The table that is affected.
    pub table: Option<String>,
    pub kind: Kind,
    pub file: String,
    pub message: String,
    /// What was done about it, or is left to do.
    pub action: &'static str,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rows,
    Filter,
    Vector,
    Graph,
    Bitmaps,
    Log,
    Manifest,
    /// All of a table, which did not open.
    Table,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rows => "rows",
            Kind::Filter => "filter",
            Kind::Vector => "vector",
            Kind::Graph => "graph",
            Kind::Bitmaps => "bitmaps",
            Kind::Log => "log",
            Kind::Manifest => "manifest",
            Kind::Table => "table",
        }
    }
}

const RESTORE: &str = "restore the table from a backup";
const REPLACE_VECTOR: &str = "searches of the column are refused until the row is updated or deleted";
const WRITTEN_ANEW: &str = "written anew";
const BUILT_ANEW: &str = "built anew; queries are answered exactly until then";
const LET_GO: &str = "a checkpoint has let go of it";
const NOT_MENDED: &str = "could not be written anew, as the server's log tells; the next run tries again";
const NOT_LET_GO: &str =
    "no checkpoint could let go of it, as the server's log tells; the next run tries again";
const NOT_READ: &str = "not read to its end; the next run tries again";
const KEPT: &str = "kept while a table is damaged; drop or restore that table";

/// The one place of [`Scrub`], and when the next run is due.
#[derive(Default)]
pub struct Scrubs {
    state: Mutex<Scrub>,
    /// Held during a run.
    running: Mutex<()>,
    ended: Mutex<Option<Instant>>,
    /// Faults of maps that are among the findings.
    faults: Mutex<u64>,
}

impl Database {
    pub fn scrub_state(&self) -> Scrub {
        self.note_unread();
        self.core().scrubs.state.lock().clone()
    }

    /// Tells of vectors that a statement could not read.
    fn note_unread(&self) {
        let core = self.core();
        let mut known = core.scrubs.faults.lock();
        let faults = faults();
        if *known == faults {
            return;
        }
        let version = core.version.load_full();
        for table in version.tables.values() {
            let state = table.state();
            for error in state.vectors.iter().flat_map(|vectors| vectors.column.unread(*known)) {
                let name = state.definition.qualified_name();
                self.found(Some(&name), Kind::Vector, &file_of(&error), &error, REPLACE_VECTOR);
            }
        }
        *known = faults;
    }

    /// The indexer met a graph that cannot be read.
    pub(super) fn found_unread(&self, table: &Table, index: &VectorIndex, error: &Error) {
        let place = format!("{}, index {}", table.state().definition.qualified_name(), index.definition.name);
        self.found(Some(&place), Kind::Graph, &file_of(error), error, BUILT_ANEW);
    }

    /// An automatic vacuum met damage, which is told once, however often it is tried.
    pub(super) fn found_in_vacuum(&self, name: &str, error: &Error) {
        let file = file_of(error);
        let known = |finding: &Finding| finding.kind == Kind::Rows && finding.file == file;
        if file.ends_with(".sst") && !self.core().scrubs.state.lock().findings.iter().any(known) {
            self.note(Some(name), Kind::Rows, &file, error, RESTORE);
        }
    }

    fn found(&self, table: Option<&str>, kind: Kind, file: &str, error: &Error, action: &'static str) {
        log::error!("scrub: {}{error}; {action}", table.map(|name| format!("{name}: ")).unwrap_or_default());
        self.note(table, kind, file, error, action);
    }

    fn note(&self, table: Option<&str>, kind: Kind, file: &str, error: &Error, action: &'static str) {
        let mut state = self.core().scrubs.state.lock();
        if state.findings.len() < FINDINGS_MAX {
            state.findings.push(Finding {
                found: self.core().options.clock.now(),
                table: table.map(str::to_owned),
                kind,
                file: PathBuf::from(file).display().to_string(),
                message: error.message().to_owned(),
                action,
            });
        }
    }

    /// Tells of damage that was met at open, before the first run does.
    pub(super) fn note_damaged_tables(&self) {
        self.core().scrubs.state.lock().findings = self.damaged_tables();
    }

    /// Starts a run when one is due.
    pub fn step_scrub(&self) -> Result<bool> {
        self.note_unread();
        let interval = self.core().options.scrub.interval;
        let due = self.core().scrubs.ended.lock().is_none_or(|ended| ended.elapsed() >= interval);
        if due {
            match self.scrub(self.background().cancel()) {
                Err(error) if error.state() == SqlState::QUERY_CANCELED => {}
                outcome => drop(outcome?),
            }
        }
        Ok(false)
    }

    /// Reads every file and holds it against its checksums; `cancel` ends it with 57014. Answers the state afterwards.
    pub fn scrub(&self, cancel: &AtomicBool) -> Result<Scrub> {
        let core = self.core();
        let _one = core.scrubs.running.lock();
        {
            let mut state = core.scrubs.state.lock();
            let runs = state.runs;
            *state = Scrub {
                running: true,
                runs,
                started: Some(core.options.clock.now()),
                findings: self.damaged_tables(),
                ..Scrub::default()
            };
        }
        let throttle = Throttle::new(core.options.scrub.bytes_per_second_max);
        let mut run = Run { database: self, cancel, throttle };
        let outcome = run.everything();
        *core.scrubs.ended.lock() = Some(Instant::now());
        let mut state = core.scrubs.state.lock();
        state.running = false;
        outcome?;
        state.finished = Some(core.options.clock.now());
        state.runs += 1;
        log::info!("scrub: {} files, {} bytes, {} findings", state.files, state.bytes, state.findings.len());
        Ok(state.clone())
    }
}

/// One run.
struct Run<'a> {
    database: &'a Database,
    cancel: &'a AtomicBool,
    throttle: Throttle,
}

impl Run<'_> {
    fn everything(&mut self) -> Result<()> {
        let core = self.database.core().clone();
        self.part(None, Kind::Manifest, Run::manifest)?;
        let catalog = "the catalogue";
        self.part(Some(catalog), Kind::Rows, |run| run.tree(StorageId(CATALOG_STORAGE), catalog))?;
        let tables: Vec<Arc<Table>> = core.version.load().tables.values().cloned().collect();
        for table in &tables {
            let name = &*table.state().definition.qualified_name();
            self.part(Some(name), Kind::Rows, |run| run.tree(table.storage(), name))?;
            self.part(Some(name), Kind::Vector, |run| run.vectors(table, name))?;
            self.part(Some(name), Kind::Graph, |run| run.graphs(table, name))?;
            self.part(Some(name), Kind::Bitmaps, |run| run.bitmaps(table, name))?;
        }
        self.part(None, Kind::Log, Run::log)
    }

    /// What keeps a part from being read is a finding as well; an error ends the run.
    fn part(
        &mut self,
        table: Option<&str>,
        kind: Kind,
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if let Some(error) = self.unless_canceled(read)? {
            self.found(table, kind, &file_of(&error), &error, NOT_READ);
        }
        Ok(())
    }

    /// Does what may fail without ending the run; answers why it failed.
    fn unless_canceled(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Option<Error>> {
        match work(self) {
            Err(error) if error.state() == SqlState::QUERY_CANCELED => Err(error),
            outcome => Ok(outcome.err()),
        }
    }

    /// Does something about damage; answers `action`, or `not` when it fails, and the log tells why.
    fn mend(
        &mut self,
        action: &'static str,
        not: &'static str,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<&'static str> {
        Ok(match self.unless_canceled(work)? {
            None => action,
            Some(error) => {
                log::error!("scrub: {error}");
                not
            }
        })
    }

    fn manifest(&mut self) -> Result<()> {
        let store = self.database.core().store.clone();
        if let Some(error) = store.verify_manifest()? {
            let action = self.mend(WRITTEN_ANEW, NOT_MENDED, |_| store.renew_manifest())?;
            self.found(None, Kind::Manifest, &file_of(&error), &error, action);
        }
        Ok(())
    }

    fn tree(&mut self, storage: StorageId, name: &str) -> Result<()> {
        let store = self.database.core().store.clone();
        let done = store.scrub(storage, &mut |bytes| self.pace(bytes))?;
        self.looked_at(done.files, done.bytes);
        for damage in done.damage {
            let file = damage.file.display().to_string();
            match damage.part {
                Part::Rows => self.found(Some(name), Kind::Rows, &file, &damage.error, RESTORE),
                Part::Unread => self.found(Some(name), Kind::Rows, &file, &damage.error, NOT_READ),
                Part::Filter(number) => {
                    let action = self.mend(WRITTEN_ANEW, NOT_MENDED, |run| {
                        // One that was flushed since the last checkpoint can be exchanged after the next.
                        if !store.rewrite(storage, number)? {
                            run.database.checkpoint()?;
                            store.rewrite(storage, number)?;
                        }
                        Ok(())
                    })?;
                    self.found(Some(name), Kind::Filter, &file, &damage.error, action);
                }
            }
        }
        Ok(())
    }

    fn vectors(&mut self, table: &Table, name: &str) -> Result<()> {
        let core = self.database.core().clone();
        for vectors in table.state().vectors.iter() {
            let mut from = 0;
            loop {
                // What lives now is not given to another row while this is held.
                let _held = core.snapshots.take(Holder::Scrub);
                let live = table.state().live.clone();
                let slots: Vec<u32> = live.range(from..).take(SLOTS_AT_ONCE).collect();
                let Some(&last) = slots.last() else { break };
                let damage = vectors.column.scrub(&slots, &mut |bytes| self.pace(bytes))?;
                self.looked_at(0, slots.len() as u64 * vectors.column.slot_bytes());
                for error in damage {
                    let file = file_of(&error);
                    self.found(Some(name), Kind::Vector, &file, &error, REPLACE_VECTOR);
                }
                from = last + 1;
            }
            vectors.column.scrubbed();
            self.looked_at(vectors.column.files(), 0);
        }
        Ok(())
    }

    fn graphs(&mut self, table: &Table, name: &str) -> Result<()> {
        let core = self.database.core().clone();
        for index in table.state().vector_indexes.clone() {
            let oid = index.definition.oid;
            for (number, path) in core.generations.numbered_files(&core, oid) {
                let outcome = Finder::verify_paced(&*core.fs, &path, index.finder.params(), &mut |bytes| {
                    self.pace(bytes)
                });
                let bytes = core.fs.open(&path, crate::fs::OpenMode::Read).and_then(|file| file.len());
                self.looked_at(1, bytes.unwrap_or(0));
                match outcome {
                    Ok(()) => core.generations.note_read(oid, number),
                    // Removed by a checkpoint meanwhile.
                    Err(error) if error.state() == SqlState::UNDEFINED_FILE => {}
                    Err(error) if is_rot(&error) => {
                        let file = path.display().to_string();
                        let place = format!("{name}, index {}", index.definition.name);
                        self.found(Some(&place), Kind::Graph, &file, &error, BUILT_ANEW);
                        if core.generations.note_damaged(oid, number, &index.finder) {
                            // Where this fails, the indexer goes on with it.
                            if let Some(error) = self.unless_canceled(|run| run.build_anew(table, &index))? {
                                log::error!("scrub: {error}");
                            }
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Those in memory are right: an open that finds the file damaged makes them of the rows.
    fn bitmaps(&mut self, table: &Table, name: &str) -> Result<()> {
        let core = self.database.core().clone();
        for path in core.bitmaps.files(&core, table.storage()) {
            let outcome = bitmap::file::verify(&*core.fs, &path, &mut |bytes| self.pace(bytes));
            let bytes = core.fs.open(&path, crate::fs::OpenMode::Read).and_then(|file| file.len());
            self.looked_at(1, bytes.unwrap_or(0));
            match outcome {
                Ok(()) => {}
                // Removed by a checkpoint meanwhile.
                Err(error) if error.state() == SqlState::UNDEFINED_FILE => {}
                Err(error) if is_rot(&error) => {
                    let file = path.display().to_string();
                    core.bitmaps.note_damaged(table.storage(), error.clone());
                    // Where there can be none, for the sake of a damaged table say, an open reads the rows.
                    let action = self.mend(WRITTEN_ANEW, NOT_MENDED, |run| run.database.checkpoint())?;
                    self.found(Some(name), Kind::Bitmaps, &file, &error, action);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The graph in memory stands on the damaged file: it goes at once, and every row is compared exactly.
    fn build_anew(&self, table: &Table, index: &VectorIndex) -> Result<()> {
        let core = self.database.core();
        let _one = core.indexing.lock();
        build_anew(core, table, index, self.cancel).map(drop)
    }

    fn log(&mut self) -> Result<()> {
        let core = self.database.core().clone();
        match core.log.verify(&mut |bytes| self.pace(bytes)) {
            Ok(bytes) => {
                self.looked_at(1, bytes);
                Ok(())
            }
            Err(error) if is_rot(&error) => {
                let file = file_of(&error);
                if !core.version.load().damaged.is_empty() {
                    // What can still be read of it is all there is of their last commits.
                    self.found(None, Kind::Log, &file, &error, KEPT);
                    return Ok(());
                }
                let action = self.mend(LET_GO, NOT_LET_GO, |run| {
                    core.log.rotate()?;
                    run.database.checkpoint()
                })?;
                self.found(None, Kind::Log, &file, &error, action);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn looked_at(&self, files: u64, bytes: u64) {
        let mut state = self.database.core().scrubs.state.lock();
        state.files += files;
        state.bytes += bytes;
    }

    fn found(&self, table: Option<&str>, kind: Kind, file: &str, error: &Error, action: &'static str) {
        self.database.found(table, kind, file, error, action);
    }

    /// Waits as long as the bound on bytes per second asks for.
    fn pace(&mut self, bytes: u64) -> Result<()> {
        if let Some(time) = self.throttle.wait_after(bytes) {
            self.database.background().rest(time);
        }
        check_cancel(self.cancel)
    }
}

/// The file that a report of damage, or of a failed reading, names first.
fn file_of(error: &Error) -> String {
    let message = error.message();
    let unread = message.strip_prefix("could not read \"").and_then(|rest| rest.split("\": ").next());
    unread.unwrap_or_else(|| message.split(" is damaged").next().unwrap_or_default()).to_owned()
}
