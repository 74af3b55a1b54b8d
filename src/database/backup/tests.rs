//! What a restore makes is what the model had at that commit, whatever happened between: checkpoints, vacuums, crashes, other
//! backups. And a crash in the middle of a backup or a restore loses nothing and leaves no half of one that passes for whole.

mod archive;
mod check;
mod damage;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use proptest::prelude::*;

use super::repository::bases;
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::database::tests::vacuum::create_index;
use crate::database::tests::*;
use crate::database::{ArchiveOptions, BackupOptions, Database, Isolation, Options, RowUpdate, ScrubOptions};
use crate::error::SqlState;
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{DiskFs, FaultyFs, Fs, MemoryFs, OpenMode};
use crate::log::Position;
use crate::types::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

static CANCEL: AtomicBool = AtomicBool::new(false);
const DB: &str = "/db";
const BACKUPS: &str = "/backups";
const ARCHIVE: &str = "/archive";

/// Every look at it is a millisecond later.
fn clock() -> Clock {
    let time = Arc::new(AtomicI64::new(1_000_000_000));
    Clock::new(move || Timestamp(time.fetch_add(1_000, Ordering::Relaxed)))
}

fn with_archive(clock: &Clock) -> Options {
    Options {
        log_segment_bytes: 16 << 10,
        clock: clock.clone(),
        archive: ArchiveOptions { dir: Some(PathBuf::from(ARCHIVE)), ..Default::default() },
        scrub: ScrubOptions { bytes_per_second_max: 0, ..Default::default() },
        ..options()
    }
}

type Rows = BTreeMap<i64, String>;

/// A database and every state it ever had.
struct World {
    fs: Arc<MemoryFs>,
    database: Arc<Database>,
    table: crate::catalog::Oid,
    clock: Clock,
    rows: Rows,
    /// By commit: its position, a moment not before it and before the next one, and the rows.
    history: Vec<(Position, Timestamp, Rows)>,
    /// Commits before the first backup cannot be had.
    restorable_from: Option<usize>,
    /// Searches for every row of what was restored, with so many candidates.
    ef: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(i64, u8),
    /// Vectors of what was deleted are overwritten, which backups under way must not see.
    Delete(i64, u8),
    Update(i64),
    Move(i64),
    Undone(i64),
    /// A crash in the middle of a transaction whose records are in the log, and one of which a table is made.
    CrashInside(i64, u64),
    Checkpoint,
    Vacuum,
    Storage,
    Indexer,
    Backup,
    /// After which so many are left.
    BackupKeeping(usize),
    Archive,
    Crash(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..40_i64;
    prop_oneof![
        6 => (id.clone(), 1..6_u8).prop_map(|(id, count)| Step::Insert(id, count)),
        2 => (id.clone(), 1..6_u8).prop_map(|(id, count)| Step::Delete(id, count)),
        2 => id.clone().prop_map(Step::Update),
        2 => id.clone().prop_map(Step::Move),
        1 => id.clone().prop_map(Step::Undone),
        1 => (id, any::<u64>()).prop_map(|(id, seed)| Step::CrashInside(id, seed)),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Vacuum),
        1 => Just(Step::Storage),
        1 => Just(Step::Indexer),
        2 => Just(Step::Backup),
        1 => (1..3_usize).prop_map(Step::BackupKeeping),
        2 => Just(Step::Archive),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => Just(Step::Close),
    ]
}

impl World {
    fn new() -> World {
        let (fs, clock) = (Arc::new(MemoryFs::new()), clock());
        let database = Database::open(fs.clone(), Path::new(DB), with_archive(&clock)).unwrap();
        let table = create_t(&database);
        create_index(&database, table);
        let history = Vec::new();
        World { fs, database, table, clock, rows: Rows::new(), history, restorable_from: None, ef: None }
    }

    fn reopen(&mut self, fs: Arc<MemoryFs>) {
        self.fs = fs;
        self.database = Database::open(self.fs.clone(), Path::new(DB), with_archive(&self.clock)).unwrap();
    }

    fn slot(&self, txn: &crate::database::Transaction, id: i64) -> u32 {
        let index = txn.catalog().indexes_of(self.table).find(|index| index.unique).unwrap().oid;
        let snapshot = txn.snapshot(self.table).unwrap();
        snapshot.lookup_key(index, &[Value::Int8(id)]).unwrap().expect("the model has the row")
    }

    fn committed(&mut self, txn: crate::database::Transaction) {
        let seq = txn.commit().unwrap();
        self.history.push((Position(seq.0), self.clock.now(), self.rows.clone()));
    }

    fn run(&mut self, step: Step) {
        let (database, table) = (self.database.clone(), self.table);
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        match step {
            Step::Insert(first, count) => {
                let new: Vec<i64> =
                    (first..first + i64::from(count)).filter(|id| !self.rows.contains_key(id)).collect();
                if new.is_empty() {
                    return;
                }
                let name = format!("row {} of {}", first, self.history.len()).repeat(9);
                insert(&mut txn, table, &new.iter().map(|id| (*id, &name[..])).collect::<Vec<_>>());
                self.rows.extend(new.into_iter().map(|id| (id, name.clone())));
                self.committed(txn);
            }
            Step::Delete(first, count) => {
                let gone: Vec<i64> =
                    self.rows.range(first..first + i64::from(count)).map(|(id, _)| *id).collect();
                if gone.is_empty() {
                    return;
                }
                let slots: Vec<u32> = gone.iter().map(|id| self.slot(&txn, *id)).collect();
                done(txn.lock_rows(table, &slots));
                done(txn.delete(table, &slots));
                gone.iter().for_each(|id| drop(self.rows.remove(id)));
                self.committed(txn);
            }
            Step::Update(id) => self.change(txn, id, id),
            Step::Move(id) => self.change(txn, id, id + 100),
            Step::Undone(id) => {
                insert(&mut txn, table, &[(id + 1_000, "undone")]);
                txn.log_chunks(0).unwrap();
            }
            Step::CrashInside(id, seed) => {
                insert(&mut txn, table, &[(id + 2_000, "lost")]);
                txn.log_chunks(0).unwrap();
                database.core().log.sync().unwrap();
                let crashed = Arc::new(self.fs.crash(seed));
                drop((txn, database));
                self.reopen(crashed);
            }
            Step::Checkpoint => database.checkpoint().unwrap(),
            Step::Vacuum => drop(database.vacuum(&[], &CANCEL).unwrap()),
            Step::Storage => drop(database.step_storage().unwrap()),
            Step::Indexer => drop(database.step_indexer().unwrap()),
            Step::Backup => self.backup(txn, None),
            Step::BackupKeeping(count) => self.backup(txn, Some(count)),
            Step::Archive => drop(database.step_archiver().unwrap()),
            Step::Crash(seed) => {
                drop((txn, database));
                let crashed = Arc::new(self.fs.crash(seed));
                self.reopen(crashed);
            }
            Step::Close => {
                drop(txn);
                database.close().unwrap();
                drop(database);
                let fs = self.fs.clone();
                // The directory's lock goes with the last reference.
                self.database = fresh().1;
                self.reopen(fs);
            }
        }
    }

    fn change(&mut self, mut txn: crate::database::Transaction, id: i64, to: i64) {
        if !self.rows.contains_key(&id) || (to != id && self.rows.contains_key(&to)) {
            return;
        }
        let slot = self.slot(&txn, id);
        done(txn.lock_rows(self.table, &[slot]));
        let name = format!("changed {}", self.history.len());
        done(txn.update(self.table, &[RowUpdate { slot, row: row(to, &name), vectors_changed: to != id }]));
        self.rows.remove(&id);
        self.rows.insert(to, name);
        self.committed(txn);
    }

    /// With a transaction open, whose records begin before the checkpoint.
    fn backup(&mut self, mut open: crate::database::Transaction, keep: Option<usize>) {
        insert(&mut open, self.table, &[(5_000, "never")]);
        open.log_chunks(0).unwrap();
        let options = BackupOptions { keep, ..BackupOptions::default() };
        let taken = self.database.backup_as(Path::new(BACKUPS), options, &CANCEL).unwrap();
        assert!(taken.log_end >= Position(taken.last.0));
        if let Some((position, ..)) = self.history.last() {
            assert_eq!(position.0, taken.last.0, "the newest commit is in the files");
        }
        self.restorable_from.get_or_insert(self.history.len().saturating_sub(1));
        if let Some(keep) = keep {
            let left = bases(&*self.fs, Path::new(BACKUPS)).unwrap();
            assert!(left.len() <= keep, "{} backups", left.len());
            self.only_named_files();
            self.restorable_from = Some(self.number_of(left[0].last));
        }
    }

    /// The number of the commit at a position, or of the first one after it.
    fn number_of(&self, last: u64) -> usize {
        self.history.iter().take_while(|(position, ..)| position.0 < last).count()
    }

    /// Nothing is in the folder of backups but what they need.
    fn only_named_files(&self) {
        let dir = Path::new(BACKUPS);
        let left = bases(&*self.fs, dir).unwrap();
        let named: Vec<PathBuf> =
            left.iter().flat_map(|base| &base.files).map(|f| dir.join(&f.stored)).collect();
        for path in files(&self.fs, &dir.join("files")) {
            assert!(named.contains(&path), "{} is left", path.display());
        }
        assert!(named.iter().all(|path| self.fs.exists(path)), "a file of a backup is gone");
        let needed = Position(left[0].position);
        for piece in crate::log::PieceName::list(&*self.fs, &dir.join("log")).unwrap() {
            assert!(piece.end > needed, "{piece:?} is left, and {needed:?} is where the oldest begins");
        }
    }

    fn restore(&self, target: Target) -> crate::error::Result<(Restored, Rows)> {
        let to = PathBuf::from(format!("/restored/{target:?}"));
        let archive = self.fs.exists(Path::new(ARCHIVE)).then(|| Path::new(ARCHIVE));
        let fs = self.fs.crash(1);
        let done = restore(&fs, Path::new(BACKUPS), archive, &to, target, 99)?;
        // Durable, all of it.
        let fs: Arc<dyn Fs> = Arc::new(fs.crash(0));
        let options = Options { archive: ArchiveOptions::default(), ..with_archive(&self.clock) };
        let database = Database::open(fs, &to, options)?;
        database.check().unwrap();
        assert!(database.scrub(&CANCEL).unwrap().findings.is_empty());
        let rows = all(&database, self.table).into_iter().collect();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(self.table).unwrap();
        let view = snapshot.vector_view(3).unwrap();
        for entry in snapshot.scan() {
            let (slot, row) = entry.unwrap();
            let id = snapshot.layout().read(&row).unwrap().value(0).unwrap();
            // A file of an older backup would verify as well.
            assert_eq!(Value::Int8(view.get(slot).as_f32()[0] as i64), id, "the vector of slot {slot}");
        }
        if let Some(ef) = self.ef {
            are_found(&snapshot, 300, ef);
        }
        drop((snapshot, view));
        drop(txn);
        // It goes on.
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, self.table, &[(9_999, "after")]);
        txn.commit().unwrap();
        database.checkpoint().unwrap();
        Ok((done, rows))
    }

    /// The number of the newest commit, whose log is in the archive afterwards: a segment of 16 KiB is whole.
    fn with_log_archived(&mut self) -> usize {
        let last = self.history.len() - 1;
        (0..20).for_each(|round| self.run(Step::Insert(4_000 + round * 10, 5)));
        while self.database.step_archiver().unwrap() {}
        last
    }

    fn compare(&self, number: usize) {
        let (position, time, rows) = &self.history[number];
        let (done, found) = self.restore(Target::Position(*position)).unwrap();
        assert_eq!(found, *rows, "commit {number} by position {position:?}");
        assert_eq!(done.last, Some(*position));
        let (_, found) = self.restore(Target::Time(*time)).unwrap();
        assert_eq!(found, *rows, "commit {number} by time {time:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::with_cases(16) })]
    #[test]
    fn a_restore_is_the_model_at_that_commit(steps in proptest::collection::vec(step(), 10..40), pick in any::<u64>()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        let txn = world.database.begin(Isolation::ReadCommitted);
        world.backup(txn, None);
        let first = world.restorable_from.unwrap_or(0);
        let Some(last) = world.history.len().checked_sub(1) else { return Ok(()) };
        let between = first + (pick as usize) % (last - first + 1);
        for number in [first, between, last] {
            world.compare(number);
        }
        prop_assert_eq!(&world.restore(Target::Latest).unwrap().1, &world.rows);
        if let Some((position, ..)) = first.checked_sub(1).map(|before| &world.history[before]) {
            let error = world.restore(Target::Position(*position)).unwrap_err();
            prop_assert!(error.message().contains("before the oldest backup"), "{}", error);
        }
    }
}

/// What a transaction did that a crash ended must not be taken for that of a later one, in whichever way the numbers of
/// transactions and storages go on after restarts.
#[test]
fn a_crash_inside_a_transaction_counts_for_nothing_in_a_restore() {
    let mut world = lived();
    let mut lost = world.database.begin(Isolation::ReadCommitted);
    insert(&mut lost, world.table, &(3_000..3_050).map(|id| (id, "lost")).collect::<Vec<_>>());
    lost.log_chunks(0).unwrap();
    let mut lost_table = world.database.begin(Isolation::ReadCommitted);
    create_u(&mut lost_table, "lost");
    world.run(Step::Insert(2_000, 2));
    let crashed = Arc::new(world.fs.crash(3));
    drop((lost, lost_table));
    world.reopen(crashed);
    world.run(Step::Close);
    world.run(Step::Close);
    let mut txn = world.database.begin(Isolation::ReadCommitted);
    let u = create_u(&mut txn, "u");
    insert(&mut txn, u, &[(1, "one"), (2, "two")]);
    txn.commit().unwrap();
    for round in 0..5 {
        world.run(Step::Insert(2_100 + round * 10, 3));
    }
    let last = world.with_log_archived();
    world.compare(last);
    let to = Path::new("/restored/u");
    let fs = world.fs.crash(1);
    let target = Target::Position(world.history[last].0);
    restore(&fs, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), to, target, 99).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(fs);
    for _ in 0..2 {
        let database = Database::open(fs.clone(), to, options()).unwrap();
        assert_eq!(all(&database, u), pairs(&[(1, "one"), (2, "two")]));
        database.check().unwrap();
        database.close().unwrap();
    }
}

/// Births in slots whose former rows the base's graph still has.
#[test]
fn rows_in_slots_used_again_after_the_backup_are_found() {
    let mut world = World::new();
    (0..60).for_each(|round| world.run(Step::Insert(round * 10, 5)));
    world.run(Step::Indexer);
    // Saves a generation however small it is.
    world.run(Step::Close);
    world.run(Step::Backup);
    (0..60).for_each(|round| world.run(Step::Delete(round * 10, 5)));
    world.run(Step::Vacuum);
    // In another order, so that neighbours by the former vectors are none by these.
    (0..60).for_each(|round| world.run(Step::Insert(1_000 + round * 37 % 60 * 10, 5)));
    let last = world.with_log_archived();
    // A walk that visits a few nodes finds these only where they are linked.
    world.ef = Some(5);
    world.compare(last);
}

/// Some commits, a backup, more of them in the archive.
fn lived() -> World {
    let mut world = World::new();
    for round in 0..6 {
        world.run(Step::Insert(round * 10, 5));
    }
    world.run(Step::Indexer);
    world.run(Step::Backup);
    for round in 0..6 {
        world.run(Step::Delete(round * 10, 2));
        world.run(Step::Insert(round * 10 + 300, 5));
    }
    world
}

#[test]
fn a_second_backup_copies_only_what_is_new() {
    let mut world = lived();
    let second = world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    assert!(second.copied.files_new < second.copied.files, "{second:?}");
    let third = world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    // Nothing was written since, so that the manifest is the same.
    assert_eq!((third.copied.files, third.copied.files_new), (second.copied.files, 0), "{third:?}");
    assert_eq!(third.copied.bytes_read, 0, "nothing is read but ends");
    world.run(Step::Insert(700, 1));
    let fourth = world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    assert!(fourth.copied.files_new > 2 && fourth.copied.bytes_new < fourth.copied.bytes, "{fourth:?}");
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
}

/// A file of vectors is read when something was written to it, also before a restart or a crash, and else not even looked at.
#[test]
fn vectors_are_read_when_they_were_written() {
    let mut world = World::new();
    let mut txn = world.database.begin(Isolation::ReadCommitted);
    let other = create_u(&mut txn, "u");
    insert(&mut txn, other, &(0..3_000).map(|id| (id, "other")).collect::<Vec<_>>());
    txn.commit().unwrap();
    (0..10).for_each(|round| world.run(Step::Insert(round * 10, 5)));
    let read = |world: &World| {
        let taken = world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
        assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
        taken.copied.bytes_read
    };
    // 60 kB of the other table, 12 groups of 5 kB.
    const OTHER: u64 = 60_000;
    assert!(read(&world) > OTHER);
    assert!(read(&world) < OTHER, "nothing was written");
    world.run(Step::Insert(500, 1));
    assert!(read(&world) < OTHER, "only a row of the first table was written");
    world.run(Step::Close);
    assert!(read(&world) < OTHER, "nor was a restart a write");
    world.run(Step::Insert(510, 1));
    world.run(Step::Crash(1));
    assert!(read(&world) < OTHER, "nor a crash");
    // Rows of the other table, in the log alone when it crashes.
    let mut txn = world.database.begin(Isolation::ReadCommitted);
    insert(&mut txn, other, &[(9_000, "late")]);
    txn.commit().unwrap();
    world.run(Step::Crash(3));
    assert!(read(&world) > OTHER, "the replay wrote it");
    // Written before a backup, committed after it: that backup's copy has the vector, and the next one uses it.
    let mut open = world.database.begin(Isolation::ReadCommitted);
    insert(&mut open, other, &[(9_001, "open")]);
    read(&world);
    open.commit().unwrap();
    world.database.checkpoint().unwrap();
    assert!(read(&world) < OTHER);
    let fs = world.fs.crash(1);
    restore(&fs, Path::new(BACKUPS), None, Path::new("/r"), Target::Latest, 3).unwrap();
    let restored = Database::open(Arc::new(fs), Path::new("/r"), options()).unwrap();
    assert_eq!(all(&restored, other), all(&world.database, other));
    assert_eq!(all(&restored, other).len(), 3_002);
    // A program that knows no stamps made the last checkpoint.
    let stamped = crate::storage::Extra {
        storage: crate::log::StorageId(crate::catalog::CATALOG_STORAGE),
        name: "stamped".into(),
        value: None,
    };
    let store = &world.database.core().store;
    let position = store.checkpoint_position();
    let checkpoint = crate::storage::Checkpoint { position, extras: vec![stamped] };
    store.checkpoint_frozen(store.freeze(), checkpoint, false).unwrap();
    world.run(Step::Crash(1));
    assert!(read(&world) > OTHER);
}

#[test]
fn older_backups_go_with_all_that_only_they_needed() {
    let mut world = lived();
    let keep = |world: &World, count| {
        let options = BackupOptions { keep: Some(count), ..BackupOptions::default() };
        world.database.backup_as(Path::new(BACKUPS), options, &CANCEL)
    };
    for round in 0..4 {
        world.with_log_archived();
        world.run(Step::Delete(4_000, 100));
        world.run(Step::Vacuum);
        world.run(Step::Indexer);
        world.run(Step::Insert(round * 20, 5));
        world.run(Step::Backup);
    }
    let archived = || crate::log::PieceName::list(&*world.fs, Path::new(ARCHIVE)).unwrap().len();
    let (before, pieces) = (files(&world.fs, Path::new(BACKUPS)).len(), archived());
    assert_eq!(keep(&world, 0).unwrap_err().state(), SqlState::INVALID_PARAMETER_VALUE);
    let none = keep(&world, 50).unwrap().pruned;
    assert_eq!((none.backups, none.files), (0, 0), "{none:?}");
    let pruned = keep(&world, 2).unwrap().pruned;
    assert_eq!(pruned.backups, 4, "{pruned:?}");
    assert!(pruned.files > 8 && pruned.bytes > 10_000 && pruned.pieces > 0, "{pruned:?}");
    assert!(files(&world.fs, Path::new(BACKUPS)).len() < before);
    world.only_named_files();
    // What a checkpoint has let go of is not archived again.
    world.database.checkpoint().unwrap();
    world.database.step_archiver().unwrap();
    keep(&world, 1).unwrap();
    assert!(archived() < pieces, "{} of {pieces} pieces are left in the archive", archived());
    let left = archived();
    world.database.step_archiver().unwrap();
    assert_eq!(archived(), left);
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
    let error = world.restore(Target::Position(world.history[0].0)).unwrap_err();
    assert!(error.message().contains("before the oldest backup"), "{error}");
}

/// Each operation of a backup that lets others go is the last one before a crash.
#[test]
fn a_crash_while_backups_go_leaves_those_that_stay() {
    let run = |at: u64, seed: u64| {
        let mut world = lived();
        for round in 0..2 {
            world.run(Step::Insert(round * 20 + 600, 5));
            world.run(Step::Indexer);
            world.run(Step::Backup);
        }
        let memory = world.fs.crash(1);
        let (fs, faults) = FaultyFs::new(memory.clone());
        let database = Database::open(fs, Path::new(DB), with_archive(&world.clock)).unwrap();
        let before = faults.count(Op::CHANGES);
        faults.arm(Fault { at, on: Op::CHANGES, what: What::Crash });
        let options = BackupOptions { keep: Some(1), ..BackupOptions::default() };
        let outcome = database.backup_as(Path::new(BACKUPS), options, &CANCEL);
        assert_eq!(outcome.is_ok(), at == u64::MAX);
        let count = faults.count(Op::CHANGES) - before;
        drop(database);
        world.reopen(Arc::new(memory.crash(seed)));
        let left = bases(&*world.fs, Path::new(BACKUPS)).unwrap();
        for base in &left {
            let number = world.number_of(base.last);
            let (position, _, rows) = world.history[number].clone();
            let (_, found) = world.restore(Target::Position(position)).unwrap();
            assert_eq!(found, rows, "operation {at}, seed {seed}, backup {number}");
        }
        assert!(!left.is_empty());
        let options = BackupOptions { keep: Some(1), ..BackupOptions::default() };
        world.database.backup_as(Path::new(BACKUPS), options, &CANCEL).unwrap();
        world.only_named_files();
        assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
        count
    };
    let count = run(u64::MAX, 0);
    assert!(count > 40, "{count} operations");
    for at in count - 30..=count {
        run(at, [0, 1, 7][at as usize % 3]);
    }
}

#[test]
fn targets_that_cannot_be_reached_are_refused_in_postgresqls_words() {
    let world = lived();
    let (position, time, _) = world.history.last().unwrap().clone();
    for target in
        [Target::Position(Position(position.0 + 8)), Target::Time(Timestamp(time.0 + 1_000_000_000))]
    {
        let error = world.restore(target).unwrap_err();
        assert_eq!(error.message(), "recovery ended before configured recovery target was reached");
        assert!(error.fields().detail.is_some());
    }
    let error = world.restore(Target::Time(Timestamp(5))).unwrap_err();
    assert_eq!(error.message(), "the recovery target is before the oldest backup");
    let fs = MemoryFs::new();
    let error = restore(&fs, Path::new("/nothing"), None, Path::new("/to"), Target::Latest, 1).unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE);
    let error = restore(&*world.fs, Path::new(BACKUPS), None, Path::new(DB), Target::Latest, 1).unwrap_err();
    assert!(error.message().ends_with("is not empty"), "{error}");
}

#[test]
fn folders_of_others_are_refused() {
    let world = lived();
    let other = Database::open(world.fs.clone(), Path::new("/other"), options()).unwrap();
    let error = other.backup(Path::new(BACKUPS), &CANCEL).unwrap_err();
    assert!(error.message().contains("of another database"), "{error}");
    let error = world.database.backup(Path::new("/db/backups"), &CANCEL).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    world.fs.create_dir_all(Path::new("/home")).unwrap();
    world.fs.open(Path::new("/home/thesis.tex"), OpenMode::Create).unwrap();
    let error = world.database.backup(Path::new("/home"), &CANCEL).unwrap_err();
    assert!(error.message().contains("not a folder of backups"), "{error}");
    let canceled = AtomicBool::new(true);
    assert_eq!(
        world.database.backup(Path::new("/new"), &canceled).unwrap_err().state(),
        SqlState::QUERY_CANCELED
    );
}

/// The log is not let go of while the archive cannot be written, and nothing is missing afterwards.
#[test]
fn an_archive_that_fails_keeps_the_log() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let clock = clock();
    let database = Database::open(fs.clone(), Path::new(DB), with_archive(&clock)).unwrap();
    let table = create_t(&database);
    database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    faults.within(ARCHIVE);
    faults.arm(Fault { at: 1, on: Op::CHANGES, what: What::FailFromHere(std::io::ErrorKind::Other) });
    let name = "x".repeat(2_000);
    for id in 0..40 {
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, table, &[(id, &name)]);
        txn.commit().unwrap();
        if id % 10 == 9 {
            database.step_archiver().unwrap_err();
            database.checkpoint().unwrap();
        }
    }
    assert!(database.archived().failures == 4 && database.archived().count == 0);
    let kept = database.core().log.parts().len();
    assert!(kept > 3, "{kept} segments");
    faults.disarm();
    database.step_archiver().unwrap();
    database.checkpoint().unwrap();
    assert!(database.archived().count >= 3, "{:?}", database.archived());
    assert!(database.core().log.parts().len() < kept);
    database.core().log.rotate().unwrap();
    database.step_archiver().unwrap();
    let expected = all(&database, table);
    let done =
        restore(&*fs, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), Path::new("/r"), Target::Latest, 3);
    done.unwrap();
    let restored = Database::open(fs, Path::new("/r"), options()).unwrap();
    assert_eq!(all(&restored, table), expected);
}

/// Its files and its memory, when nobody has it any more.
#[test]
fn a_database_with_an_archive_is_given_back() {
    let World { database, .. } = World::new();
    database.step_archiver().unwrap();
    let core = Arc::downgrade(database.core());
    drop(database);
    assert!(core.upgrade().is_none(), "somebody still has it");
}

/// Each operation of a backup, and of the archiver, is the last one before a crash.
#[test]
fn a_crash_during_a_backup_leaves_whole_backups_and_a_whole_database() {
    let count = crash_at(u64::MAX, 0);
    assert!(count > 60, "{count} operations");
    for at in (1..=count).step_by(3) {
        crash_at(at, at % 5);
    }
    // Around the moment when the backup begins to count, with other halves of the last changes each time.
    for at in count - 6..=count {
        (0..12).for_each(|seed| _ = crash_at(at, seed));
    }
}

/// Answers the operations there were.
fn crash_at(at: u64, seed: u64) -> u64 {
    let mut world = lived();
    let memory = world.fs.crash(1);
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new(DB), with_archive(&world.clock)).unwrap();
    let before = faults.count(Op::CHANGES);
    faults.arm(Fault { at, on: Op::CHANGES, what: What::Crash });
    let outcome = database.step_archiver().and_then(|_| database.backup(Path::new(BACKUPS), &CANCEL));
    assert_eq!(outcome.is_ok(), at == u64::MAX);
    let count = faults.count(Op::CHANGES) - before;
    drop(database);
    let case = format!("operation {at}, seed {seed}");
    world.reopen(Arc::new(memory.crash(seed)));
    assert_eq!(all(&world.database, world.table).into_iter().collect::<Rows>(), world.rows, "{case}");
    world.database.check().unwrap();
    if outcome.is_ok() {
        assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows, "{case}: the backup is durable");
    }
    // What is there can be restored, to the first backup's commit at least.
    let first = world.restorable_from.unwrap();
    let (position, _, rows) = world.history[first].clone();
    assert_eq!(world.restore(Target::Position(position)).unwrap().1, rows, "{case}");
    let (_, rows) = world.restore(Target::Latest).unwrap();
    assert!(world.history.iter().any(|(.., known)| *known == rows), "{case}: a state there never was");
    // And the next backup is whole.
    world.database.step_archiver().unwrap();
    world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows, "{case}");
    count
}

/// No commit comes between two backups, but the indexer and compactions go on: the second has another manifest for the same
/// position. Each of its operations fails, or is the last one before a crash; the first one is whole.
#[test]
fn a_backup_that_ends_early_leaves_the_one_before_it_whole() {
    let count = second_backup(u64::MAX, What::Crash, 1);
    assert!(count > 30, "{count} operations");
    for at in 1..=count {
        second_backup(at, What::Fail(std::io::ErrorKind::Other), 1);
        [0, 1, at + 2].into_iter().for_each(|seed| _ = second_backup(at, What::Crash, seed));
    }
}

/// Answers the operations there were.
fn second_backup(at: u64, what: What, seed: u64) -> u64 {
    let mut world = World::new();
    (0..12).for_each(|round| world.run(Step::Insert(round * 10, 5)));
    let memory = world.fs.crash(1);
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new(DB), with_archive(&world.clock)).unwrap();
    let first = database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    let manifests = |fs: &MemoryFs| fs.list(&Path::new(BACKUPS).join("files/manifests")).unwrap();
    let named = manifests(&memory);
    while database.step_indexer().unwrap() {}
    while database.step_storage().unwrap() {}
    let before = faults.count(Op::CHANGES);
    faults.arm(Fault { at, on: Op::CHANGES, what });
    let outcome = database.backup(Path::new(BACKUPS), &CANCEL);
    let count = faults.count(Op::CHANGES) - before;
    if at == u64::MAX {
        assert_eq!(outcome.unwrap().last, first.last);
        let all = manifests(&memory);
        assert!(named.iter().all(|name| all.contains(name)), "{named:?} in {all:?}");
        assert!(all.len() > named.len(), "another manifest: {all:?}");
    }
    drop(database);
    world.fs = Arc::new(memory.crash(seed));
    let case = format!("operation {at}, {what:?}, seed {seed}");
    let (_, rows) = world.restore(Target::Latest).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(rows, world.rows, "{case}");
    count
}

/// Backups of earlier programs have manifests without a sum in their names.
#[test]
fn manifests_by_their_positions_are_restored() {
    let world = lived();
    let dir = Path::new(BACKUPS);
    world.database.backup(dir, &CANCEL).unwrap();
    let mut all = bases(&*world.fs, dir).unwrap();
    for base in &mut all {
        for file in base.files.iter_mut().filter(|file| file.stored.starts_with("files/manifests/")) {
            let earlier = file.stored.strip_suffix(&format!(".{}", file.sum)).unwrap().to_owned();
            world.fs.rename(&dir.join(&file.stored), &dir.join(&earlier)).unwrap();
            file.stored = earlier;
        }
        let path = dir.join("bases").join(base.file_name());
        world.fs.remove_file(&path).unwrap();
        let text = serde_json::to_string_pretty(&*base).unwrap();
        let text = format!("{text}\n{:08x}\n", crc32c::crc32c(text.as_bytes()));
        world.fs.open(&path, OpenMode::Create).unwrap().write_all_at(text.as_bytes(), 0).unwrap();
    }
    let first = world.restorable_from.unwrap();
    let (position, _, rows) = &world.history[first];
    assert_eq!(world.restore(Target::Position(*position)).unwrap().1, *rows);
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
    world.database.backup(dir, &CANCEL).unwrap();
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
}

/// It has the same id, and gives its tables numbers that the other one has given to others.
#[test]
fn a_copied_directory_does_not_write_over_backups_of_the_other_one() {
    let mut world = World::new();
    (0..6).for_each(|round| world.run(Step::Insert(round * 10, 5)));
    let copied = world.fs.crash(1);
    // One after the other, as if on two machines that share the folder.
    (0..6).for_each(|round| world.run(Step::Insert(round * 10 + 100, 5)));
    world.run(Step::Backup);
    copy_folder(&world.fs, &copied, Path::new(BACKUPS));
    let copied = Arc::new(copied.crash(1));
    let other = Database::open(copied.clone(), Path::new(DB), with_archive(&world.clock)).unwrap();
    let mut txn = other.begin(Isolation::ReadCommitted);
    insert(&mut txn, world.table, &[(900, "of the copy")]);
    txn.commit().unwrap();
    let error = other.backup(Path::new(BACKUPS), &CANCEL).unwrap_err();
    assert_eq!(error.state(), SqlState("55000"), "{error}");
    assert!(error.message().contains("of a copy of this database"), "{error}");
    drop(other);
    world.fs = copied;
    assert_eq!(world.restore(Target::Latest).unwrap().1, world.rows);
}

fn copy_folder(from: &MemoryFs, to: &MemoryFs, folder: &Path) {
    for path in files(from, folder) {
        to.create_dir_all(path.parent().unwrap()).unwrap();
        let file = from.open(&path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        to.open(&path, OpenMode::Create).unwrap().write_all_at(&bytes, 0).unwrap();
    }
}

#[test]
fn a_crash_during_a_restore_leaves_nothing_that_opens() {
    let world = lived();
    let target = Target::Position(world.history.last().unwrap().0);
    world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    let run = |at: u64| {
        let memory = world.fs.crash(1);
        let (fs, faults) = FaultyFs::new(memory.clone());
        faults.arm(Fault { at, on: Op::CHANGES, what: What::Crash });
        let outcome = restore(&*fs, Path::new(BACKUPS), None, Path::new("/r"), target, 5);
        (memory, outcome, faults.count(Op::CHANGES))
    };
    let (_, outcome, count) = run(u64::MAX);
    outcome.unwrap();
    for at in 1..=count {
        for seed in [0, 1, 7] {
            let (memory, outcome, _) = run(at);
            assert!(outcome.is_err());
            let crashed = memory.crash(seed);
            let there = crashed.exists(Path::new("/r/CONTROL"));
            match Database::open(Arc::new(crashed), Path::new("/r"), options()) {
                // Only the answer was missing.
                Ok(database) if there => {
                    assert_eq!(all(&database, world.table).into_iter().collect::<Rows>(), world.rows)
                }
                // Nothing of it was left, and a new directory was made.
                Ok(database) => {
                    assert!(database.catalog().tables().next().is_none(), "operation {at}, seed {seed}")
                }
                Err(error) => assert_eq!(error.state(), SqlState("55000"), "operation {at}: {error}"),
            }
        }
    }
}

/// Whatever the paths are called by.
#[test]
fn a_backup_into_the_data_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let top = std::fs::canonicalize(folder.path()).unwrap();
    std::os::unix::fs::symlink(top.join("data"), top.join("link")).unwrap();
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(top.strip_prefix("/").unwrap());
    for data in [top.join("data"), relative.join("data")] {
        let database = Database::open(Arc::new(DiskFs), &data, options()).unwrap();
        let inside = ["data", "data/backups", "data/../data/new/backups", "link/backups", ".", "other/.."];
        for (top, name) in inside.iter().flat_map(|name| [(&top, name), (&relative, name)]) {
            let error = database.backup(&top.join(name), &CANCEL).expect_err(name);
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{name}: {error}");
            assert!(error.message().contains("the data directory contain one another"), "{error}");
        }
        assert!(!data.join("backups").exists() && !data.join("new").exists(), "nothing was made");
        database.backup(&top.join("data-backups"), &CANCEL).unwrap();
    }
}

fn files(fs: &MemoryFs, folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for name in fs.list(folder).unwrap() {
        let path = folder.join(name);
        match fs.open(&path, OpenMode::Read) {
            Ok(_) => all.push(path),
            Err(_) => all.extend(files(fs, &path)),
        }
    }
    all
}
