//! The n-th operation of each kind on each kind of file fails, in a life of commits, checkpoints, generations, vacuums,
//! restarts, archiving, backups and restores.
//!
//! ```text
//! (kind, files, error)  x  n  ->  the whole life, with one operation that fails
//! ```
//!
//! What must hold: nothing panics; each error names a file; what was acknowledged is there, live, after each restart and
//! after a crash; a log that failed stays stopped; whatever else failed, after a restart everything works again; the
//! backups from before the failure can be restored, and the next one too.
//!
//! The quick form takes some places of each kind; `HITHER_FAULTS=full cargo test --release --no-default-features --lib
//! faults` takes every one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use parking_lot::Mutex;

use super::damage::{create, row_of, rows_of};
use super::*;
use crate::database::backup::{Target, restore};
use crate::database::{ArchiveOptions, BackupOptions, RowUpdate};
use crate::error::{Result, SqlState};
use crate::fs::FaultyFs;
use crate::fs::faulty::{Fault, Faults, Op, What};

const DB: &str = "/db";
const BACKUPS: &str = "/backups";
const ARCHIVE: &str = "/archive";
const RESTORED: &str = "/restored";

static CANCEL: AtomicBool = AtomicBool::new(false);

type Rows = BTreeMap<i64, String>;
type IsOne = fn(&str) -> bool;

const KINDS: [Op; 10] = [
    Op::OPEN,
    Op::CREATE,
    Op::READ,
    Op::WRITE,
    Op::ALLOCATE,
    Op::TRUNCATE,
    Op::SYNC,
    Op::SYNC_DIR,
    Op::RENAME,
    Op::REMOVE,
];

/// Kinds of files, each by its name and whether a path is one.
const FILES: [(&str, IsOne); 17] = [
    ("log", |path| path.starts_with("/db/log")),
    ("catalogue", |path| path.starts_with("/db/tables/0")),
    ("sorted table", |path| path.starts_with("/db/tables/1") && path.ends_with(".sst")),
    ("vectors", |path| path.starts_with("/db") && path.contains(".vec")),
    ("cells", |path| path.starts_with("/db") && path.contains(".heap")),
    ("graph", |path| path.starts_with("/db") && path.ends_with(".hnsw")),
    ("lists", |path| path.starts_with("/db") && path.ends_with(".ivfflat")),
    ("manifest", |path| path.starts_with("/db/MANIFEST")),
    ("current", |path| path.starts_with("/db/CURRENT")),
    ("bitmaps", |path| path.starts_with("/db") && path.contains(".bits")),
    ("spill", |path| path.starts_with("/db/spill")),
    ("lock", |path| path.ends_with("/LOCK")),
    ("folders", |path| FOLDERS.contains(&path)),
    ("others", |path| path.starts_with("/db/CONTROL") || path == "/db" || path == "/db/indexes/1"),
    ("backup", |path| path.starts_with(BACKUPS)),
    ("archive", |path| path.starts_with(ARCHIVE)),
    ("restored", |path| path.starts_with(RESTORED)),
];

/// That hold others.
const FOLDERS: [&str; 4] = ["/", "/db/tables", "/db/tables/1", "/db/indexes"];

/// What happens, in order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert,
    Update,
    Delete,
    Indexer,
    Storage,
    Checkpoint,
    Vacuum,
    Archive,
    Backup,
    Restore,
    /// In order, and opened again.
    Restart,
    /// The process is killed, and opened again.
    Kill,
}

const LIFE: [Step; 27] = [
    Step::Insert,
    Step::Backup,
    Step::Update,
    Step::Indexer,
    Step::Checkpoint,
    Step::Insert,
    Step::Storage,
    Step::Delete,
    Step::Archive,
    Step::Vacuum,
    Step::Insert,
    Step::Kill,
    Step::Update,
    Step::Indexer,
    Step::Backup,
    Step::Insert,
    Step::Restore,
    Step::Restart,
    Step::Delete,
    Step::Insert,
    Step::Indexer,
    Step::Vacuum,
    Step::Checkpoint,
    Step::Archive,
    Step::Insert,
    Step::Restore,
    Step::Restart,
];

/// Graphs beyond so many bytes are in files.
fn with_archive(graph_bytes_max: u64) -> Options {
    Options {
        log_segment_bytes: 8 << 10,
        archive: ArchiveOptions { dir: Some(PathBuf::from(ARCHIVE)), ..Default::default() },
        graph_bytes_max,
        metadata_bytes_max: graph_bytes_max,
        ..options()
    }
}

/// A directory to begin with, so that each life begins with opening one.
fn begin() -> (MemoryFs, Oid) {
    let memory = MemoryFs::new();
    let database = Database::open(Arc::new(memory.clone()), Path::new(DB), with_archive(u64::MAX)).unwrap();
    let table = create(&database);
    database.close().unwrap();
    (memory, table)
}

struct Life {
    memory: MemoryFs,
    fs: Arc<FaultyFs>,
    faults: Arc<Faults>,
    database: Option<Arc<Database>>,
    table: Oid,
    graph_bytes_max: u64,
    /// What was acknowledged.
    rows: Rows,
    /// What rows were to be after commits whose answer was a failure that says nothing about them.
    doubts: BTreeMap<i64, BTreeSet<Option<String>>>,
    /// Every state that was acknowledged, by the time of it.
    history: Vec<Rows>,
    /// Of the states, which the oldest backup can be restored to at least.
    backed_up: Option<usize>,
    next: i64,
    restores: u32,
    errors: Vec<Error>,
}

impl Life {
    fn new((base, table): &(MemoryFs, Oid), graph_bytes_max: u64) -> Life {
        let memory = base.crash(1);
        let (fs, faults) = FaultyFs::new(memory.clone());
        faults.lose_at_failed_syncs(&memory);
        Life {
            memory,
            fs,
            faults,
            database: None,
            table: *table,
            graph_bytes_max,
            rows: Rows::new(),
            doubts: BTreeMap::new(),
            history: vec![Rows::new()],
            backed_up: None,
            next: 0,
            restores: 0,
            errors: Vec::new(),
        }
    }

    /// Opens, after errors once more: a failure that was one only is gone then.
    fn open(&mut self) -> Arc<Database> {
        if let Some(database) = &self.database {
            return database.clone();
        }
        for _ in 0..3 {
            match Database::open(self.fs.clone(), Path::new(DB), with_archive(self.graph_bytes_max)) {
                // A table that could not be read at that moment is left out.
                Ok(database) if !database.damaged_tables().is_empty() => {
                    let damage = database.damaged_tables().remove(0);
                    self.errors.push(Error::new(SqlState::IO_ERROR, damage.message));
                }
                Ok(database) => {
                    self.database = Some(database.clone());
                    return database;
                }
                Err(error) => self.errors.push(error),
            }
        }
        panic!("it does not open: {:?}", self.errors);
    }

    fn commit(&mut self, work: impl FnOnce(&mut Transaction, &mut Rows) -> Result<(), Stop>) -> Result<()> {
        let database = self.open();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let mut rows = self.rows.clone();
        match work(&mut txn, &mut rows) {
            Ok(()) => {}
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
        }
        match txn.commit() {
            Ok(_) => {
                self.rows = rows;
                self.history.push(self.rows.clone());
                Ok(())
            }
            Err(error) => {
                if error.state() != SqlState::DISK_FULL {
                    let ids: BTreeSet<i64> = rows.keys().chain(self.rows.keys()).copied().collect();
                    for id in ids.into_iter().filter(|id| rows.get(id) != self.rows.get(id)) {
                        self.doubts.entry(id).or_default().insert(rows.get(&id).cloned());
                    }
                }
                Err(error)
            }
        }
    }

    fn insert(&mut self) -> Result<()> {
        let (table, first) = (self.table, self.next);
        self.next += 6;
        self.commit(|txn, rows| {
            let name = format!("{first} ").repeat(40);
            let new: Vec<_> = (first..first + 6).map(|id| row_of(id, &name)).collect();
            txn.insert(table, &new, OnConflict::Error)?;
            rows.extend((first..first + 6).map(|id| (id, name.clone())));
            Ok(())
        })
    }

    /// Some rows that were acknowledged, and of which no later failure left open whether they are there.
    fn some(&self, count: usize) -> Vec<i64> {
        let sure = self.rows.keys().copied().filter(|id| !self.doubts.contains_key(id));
        sure.step_by(3).take(count).collect()
    }

    fn slots(&self, txn: &Transaction, ids: &[i64]) -> Result<Vec<u32>> {
        let key = txn.catalog().indexes_of(self.table).find(|index| index.unique).unwrap().oid;
        let snapshot = txn.snapshot(self.table)?;
        let slot =
            |id: &i64| Ok(snapshot.lookup_key(key, &[Value::Int8(*id)])?.expect("an acknowledged row"));
        ids.iter().map(slot).collect()
    }

    fn update(&mut self) -> Result<()> {
        let (ids, table, next) = (self.some(4), self.table, self.next);
        let database = self.open();
        let slots = self.slots(&statement(&database), &ids)?;
        self.commit(|txn, rows| {
            txn.lock_rows(table, &slots)?;
            let name = format!("changed {next}");
            let new = ids.iter().zip(&slots).map(|(id, slot)| RowUpdate {
                slot: *slot,
                row: row_of(*id, &name),
                // Half of them get another slot.
                vectors_changed: id % 2 == 0,
            });
            txn.update(table, &new.collect::<Vec<_>>())?;
            rows.extend(ids.iter().map(|id| (*id, name.clone())));
            Ok(())
        })
    }

    fn delete(&mut self) -> Result<()> {
        let (ids, table) = (self.some(3), self.table);
        let database = self.open();
        let slots = self.slots(&statement(&database), &ids)?;
        self.commit(|txn, rows| {
            txn.lock_rows(table, &slots)?;
            txn.delete(table, &slots)?;
            ids.iter().for_each(|id| drop(rows.remove(id)));
            Ok(())
        })
    }

    fn step(&mut self, step: Step) -> Result<()> {
        let database = self.open();
        match step {
            Step::Insert => self.insert(),
            Step::Update => self.update(),
            Step::Delete => self.delete(),
            Step::Indexer => database.step_indexer().map(drop),
            Step::Storage => database.step_storage().map(drop),
            Step::Checkpoint => database.checkpoint(),
            Step::Vacuum => database.vacuum(&[], &CANCEL).map(drop),
            Step::Archive => database.step_archiver().map(drop),
            Step::Backup => {
                let state = self.history.len() - 1;
                let keep = BackupOptions { keep: Some(2), ..BackupOptions::default() };
                database.backup_as(Path::new(BACKUPS), keep, &CANCEL)?;
                self.backed_up.get_or_insert(state);
                Ok(())
            }
            Step::Restore if self.backed_up.is_none() => Ok(()),
            Step::Restore => {
                self.restores += 1;
                let to = PathBuf::from(format!("{RESTORED}/{}", self.restores));
                let (from, archive) = (Path::new(BACKUPS), Some(Path::new(ARCHIVE)));
                restore(&*self.fs, from, archive, &to, Target::Latest, 7)?;
                let memory = Arc::new(self.memory.crash(0));
                let restored = Database::open(memory, &to, options())?;
                self.is_of_history(&restored);
                Ok(())
            }
            Step::Restart => {
                let outcome = database.close();
                self.database = None;
                drop(database);
                self.open();
                outcome
            }
            Step::Kill => {
                self.database = None;
                drop(database);
                self.open();
                Ok(())
            }
        }
    }

    fn is_of_history(&self, restored: &Arc<Database>) {
        let (found, _) = rows_of(restored, self.table).unwrap();
        let found: Rows = found.into_iter().collect();
        let known = &self.history[self.backed_up.unwrap_or(0)..];
        // A commit in doubt may be in it.
        assert!(known.contains(&found) || !self.doubts.is_empty(), "a state there never was: {found:?}");
    }

    /// What is there is what was acknowledged, and perhaps what was left in doubt.
    fn compare(&self, database: &Arc<Database>, when: &str) {
        // What fails may be this read: the next one does not.
        let found = rows_of(database, self.table).or_else(|_| rows_of(database, self.table));
        let (found, _) = found.unwrap_or_else(|error| panic!("{when}: {error}"));
        let found: Rows = found.into_iter().collect();
        let ids: BTreeSet<i64> = found.keys().chain(self.rows.keys()).copied().collect();
        for id in ids {
            let is_doubted =
                self.doubts.get(&id).is_some_and(|doubts| doubts.contains(&found.get(&id).cloned()));
            let (is, was) = (found.get(&id), self.rows.get(&id));
            assert!(is == was || is_doubted, "{when}: row {id} is {is:?}, acknowledged was {was:?}");
        }
    }

    /// Runs all of it; whatever fails, the next step comes.
    fn run(&mut self) {
        let mut stopped = false;
        for step in LIFE {
            let (fails, before) = (self.errors.len(), self.rows.clone());
            if let Err(error) = self.step(step) {
                self.errors.push(error);
            }
            assert!(!stopped || self.rows == before, "{step:?} is acknowledged after the log has stopped");
            stopped |=
                self.errors[fails..].iter().any(|error| error.message().contains("the log has stopped"));
            stopped &= !matches!(step, Step::Restart | Step::Kill);
            if let Some(database) = &self.database {
                self.compare(database, &format!("after {step:?}"));
            }
        }
    }

    fn finish(mut self, error: Option<ErrorKind>) {
        self.faults.disarm();
        for error in &self.errors {
            let is_known = [SqlState::IO_ERROR, SqlState::DISK_FULL, SqlState::DATA_CORRUPTED];
            assert!(is_known.contains(&error.state()), "{error:?}");
            // The root has the names of all.
            let names = [DB, BACKUPS, ARCHIVE, RESTORED, "\"/\""];
            let names = names.iter().any(|folder| error.message().contains(folder));
            assert!(names, "no file is named: {error:?}");
        }
        assert!(error.is_some() || self.errors.is_empty(), "{:?}", self.errors);
        let seeds = if is_full() { vec![0, 1, 9] } else { vec![self.rows.len() as u64 % 3] };
        for seed in seeds {
            let crashed = Arc::new(self.memory.crash(seed));
            if self.backed_up.is_some() {
                let (from, archive, to) = (Path::new(BACKUPS), Path::new(ARCHIVE), Path::new("/old"));
                restore(&*crashed, from, Some(archive), to, Target::Latest, 7).expect("an earlier backup");
                self.is_of_history(&Database::open(crashed.clone(), to, options()).unwrap());
            }
            let database =
                Database::open(crashed.clone(), Path::new(DB), with_archive(self.graph_bytes_max)).unwrap();
            self.compare(&database, &format!("after a crash, seed {seed}"));
            database.check().unwrap();
        }
        // And all of it works, if perhaps after a restart.
        let database = self.open();
        if self.insert().is_err() || database.checkpoint().is_err() {
            self.database = None;
            drop(database);
            self.open();
            self.insert().unwrap();
        }
        let database = self.open();
        while database.step_indexer().unwrap() {}
        while database.step_storage().unwrap() {}
        database.vacuum(&[], &CANCEL).unwrap();
        database.checkpoint().unwrap();
        database.step_archiver().unwrap();
        database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
        database.check().unwrap();
        let (from, archive, to) = (Path::new(BACKUPS), Path::new(ARCHIVE), Path::new("/new"));
        restore(&*self.fs, from, Some(archive), to, Target::Latest, 7).expect("the next backup");
        let restored = Database::open(Arc::new(self.memory.crash(0)), to, options()).unwrap();
        self.compare(&restored, "restored");
        assert!(rows_of(&restored, self.table).unwrap().0.iter().any(|(id, _)| *id == self.next - 1));
        database.close().unwrap();
    }
}

fn statement(database: &Arc<Database>) -> Transaction {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    txn
}

/// The operations of a whole life in which nothing fails, in order.
fn operations(base: &(MemoryFs, Oid), graph_bytes_max: u64) -> Vec<(Op, PathBuf)> {
    let (mut life, met) = (Life::new(base, graph_bytes_max), Arc::new(Mutex::new(Vec::new())));
    let noted = met.clone();
    life.faults.observe(Op::ALL, move |on, path| noted.lock().push((on, path.to_owned())));
    life.run();
    let met = met.lock().clone();
    life.finish(None);
    met
}

fn is_full() -> bool {
    std::env::var("HITHER_FAULTS").as_deref() == Ok("full")
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost() {
    let (base, started) = (begin(), std::time::Instant::now());
    // Those of files that graphs have no room beside are of another life.
    let (in_memory, in_files) = (operations(&base, u64::MAX), operations(&base, 0));
    let is_of_a_kind = |path: &str| FILES.iter().any(|(_, files)| files(path));
    let all = in_memory.iter().chain(&in_files).filter_map(|(_, path)| path.to_str());
    let others: BTreeSet<&str> = all.filter(|path| !is_of_a_kind(path)).collect();
    assert!(others.is_empty(), "of no kind: {others:?}");
    let (mut tried, mut noticed) = (0, 0);
    for (name, files) in FILES {
        let (operations, graph_bytes_max) =
            if name == "spill" { (&in_files, 0) } else { (&in_memory, u64::MAX) };
        for on in KINDS {
            let is_one = |(met, path): &&(Op, PathBuf)| *met == on && path.to_str().is_some_and(files);
            let all = operations.iter().filter(is_one).count() as u64;
            let (mut of_kind, mut told) = (0, 0);
            for at in (1..=all).filter(|at| is_full() || *at == all / 2 + 1) {
                // What only reads needs no room.
                let mut errors = vec![ErrorKind::Other];
                if on != Op::OPEN && on != Op::READ {
                    errors.push(ErrorKind::StorageFull);
                }
                if !is_full() {
                    // In turn.
                    errors = vec![errors[tried as usize % errors.len()]];
                }
                for error in errors {
                    let case = format!("{} {at} of {all} on {name}: {error:?}", on.name());
                    let run = || {
                        let mut life = Life::new(&base, graph_bytes_max);
                        life.faults.only(move |path| path.to_str().is_some_and(files));
                        life.faults.arm(Fault { at, on, what: What::Fail(error) });
                        life.run();
                        let errors = life.errors.len();
                        life.finish(Some(error));
                        errors
                    };
                    let errors = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| panic!("{case}"));
                    of_kind += 1;
                    told += u32::from(errors > 0);
                }
            }
            if all > 0 {
                println!("{} on {name}: {all} operations, {of_kind} failed, {told} told", on.name());
            }
            tried += of_kind;
            noticed += told;
        }
    }
    println!("{tried} lives, {noticed} with an error, in {:?}", started.elapsed());
    assert!(tried > 80 && noticed > tried / 2, "{tried} lives, {noticed} with an error");
}
