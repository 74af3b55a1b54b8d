//! When a checkpoint is made by itself, and what it does about transactions that are open.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;

use super::damaged_tables::counter;
use super::*;
use crate::catalog::{Edit, Object};
use crate::database::background::Checkpoints;
use crate::database::backup::{Target, restore};
use crate::database::{ArchiveOptions, CarryOptions, Commit, KeptLog, Savepoint};
use crate::fs::FaultyFs;
use crate::fs::faulty::{Fault, Faults, Op, What};
use crate::log::Position;

const LONG: Duration = Duration::from_secs(3_600);
const ARCHIVE: &str = "/archive";

/// Commits a row of so many bytes.
fn log_bytes(database: &Arc<Database>, table: Oid, id: i64, bytes: usize) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, table, &[(id, &"x".repeat(bytes))]);
    txn.commit().unwrap();
}

#[test]
fn a_checkpoint_is_made_when_enough_log_or_any_for_long_enough_waits_or_much_while_idle() {
    let never = (u64::MAX, LONG, LONG);
    for ((bytes, interval, idle), row_bytes, made) in [
        (never, 10, false),
        ((1, LONG, LONG), 10, true),
        ((u64::MAX, Duration::ZERO, LONG), 10, true),
        // So little is no reason to wake a disk.
        ((u64::MAX, LONG, Duration::ZERO), 10, false),
        ((u64::MAX, LONG, Duration::ZERO), 1 << 20, true),
        (never, 1 << 20, false),
    ] {
        let options = Options {
            checkpoint_log_bytes: bytes,
            checkpoint_interval: interval,
            checkpoint_idle: idle,
            ..options()
        };
        let database = Database::open(Arc::new(MemoryFs::new()), Path::new("/db"), options).unwrap();
        let t = create_t(&database);
        log_bytes(&database, t, 1, row_bytes);
        assert!(database.core().log_lag() > 0);
        database.step_checkpointer(&mut Checkpoints::new()).unwrap();
        assert_eq!(database.core().log_lag() == 0, made, "{bytes} {interval:?} {idle:?} {row_bytes}");
    }
}

#[test]
fn what_a_checkpoint_had_is_no_reason_for_another() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let small = Options {
        checkpoint_log_bytes: 64 << 10,
        checkpoint_interval: Duration::ZERO,
        checkpoint_idle: Duration::ZERO,
        ..options()
    };
    let database = Database::open(fs, Path::new("/db"), small).unwrap();
    let table = create_t(&database);
    // More than is carried on.
    let mut open = database.begin(Isolation::ReadCommitted);
    insert(&mut open, table, &[(1, &"x".repeat(2 << 20))]);
    let mut known = Checkpoints::new();
    database.step_checkpointer(&mut known).unwrap();
    assert!(database.core().log_lag() > 2 << 20, "all of it is replayed");
    let before = faults.count(Op::CHANGES);
    database.step_checkpointer(&mut known).unwrap();
    database.step_checkpointer(&mut known).unwrap();
    assert_eq!(faults.count(Op::CHANGES), before, "written without anything new");
    // Its end lets the log go.
    drop(open);
    database.step_checkpointer(&mut known).unwrap();
    assert_eq!(database.core().log_lag(), 0);
    let before = faults.count(Op::CHANGES);
    database.step_checkpointer(&mut known).unwrap();
    assert_eq!(faults.count(Op::CHANGES), before);
}

/// A session that has made a table, gone back to a savepoint and logged rows of two tables, while others wrote.
struct World {
    memory: MemoryFs,
    faults: Arc<Faults>,
    database: Arc<Database>,
    table: Oid,
    own: Oid,
    open: Option<Transaction>,
    savepoint: Savepoint,
}

fn small() -> Options {
    Options {
        log_segment_bytes: 32 << 10,
        carry: CarryOptions { behind_bytes_min: 16 << 10, bytes_max: 8 << 10, log_per_byte: 4 },
        ..options()
    }
}

impl World {
    fn new() -> World {
        World::with(small())
    }

    fn with(options: Options) -> World {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let database = Database::open(fs, Path::new("/db"), options).unwrap();
        let table = create_t(&database);
        let mut open = database.begin_for(Isolation::ReadCommitted, 77, &Arc::default());
        let own = create_u(&mut open, "u");
        insert(&mut open, own, &[(1, "first"), (2, "second")]);
        insert(&mut open, table, &[(-1, "mine")]);
        // Also makes that the rows are logged.
        let savepoint = open.savepoint();
        let gone = create_u(&mut open, "gone");
        insert(&mut open, gone, &[(1, "gone")]);
        insert(&mut open, own, &[(3, "gone")]);
        create_u(&mut open, "gone too");
        open.rollback_to(&savepoint).unwrap();
        let world = World { memory, faults, database, table, own, open: Some(open), savepoint };
        world.others_write(0);
        world
    }

    /// Many segments of log.
    fn others_write(&self, first: i64) {
        (first..first + 20).for_each(|id| log_bytes(&self.database, self.table, id, 8_000));
    }

    fn of_others(count: i64) -> Vec<i64> {
        (0..count).collect()
    }

    fn kept(&self) -> Vec<KeptLog> {
        self.database.kept_log()
    }

    /// After a crash the rows of others are there, and those of the session if it has committed.
    fn recovers(&self, seed: u64, others: i64, own: Option<&[(i64, &str)]>) {
        let fs = Arc::new(self.memory.crash(seed));
        let database = Database::open(fs.clone(), Path::new("/db"), small()).unwrap();
        self.has(&database, others, own);
        database.check().unwrap();
        // Which all of it survives once more, from a checkpoint.
        database.checkpoint().unwrap();
        let database = Database::open(Arc::new(fs.crash(0)), Path::new("/db"), small()).unwrap();
        self.has(&database, others, own);
        database.check().unwrap();
    }

    fn has(&self, database: &Arc<Database>, others: i64, own: Option<&[(i64, &str)]>) {
        let mut expected = World::of_others(others);
        if own.is_some() {
            expected.insert(0, -1);
        }
        let found: Vec<i64> = all(database, self.table).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, expected);
        assert_eq!(database.catalog().table_by_oid(self.own).is_some(), own.is_some());
        assert_eq!(own.map(|_| all(database, self.own)), own.map(pairs));
        assert_eq!(database.catalog().stored_tables().count(), 1 + own.iter().len());
    }
}

const OWN: [(i64, &str); 4] = [(1, "first"), (2, "second"), (4, "later"), (5, "last")];

#[test]
fn a_small_transaction_that_stays_open_holds_back_little_log() {
    let mut world = World::new();
    let before = world.kept();
    assert_eq!(before.iter().map(|kept| kept.session).collect::<Vec<_>>(), [Some(77)]);
    world.database.checkpoint().unwrap();
    assert!(
        world.database.core().log_lag() < 8 << 10,
        "{} bytes are replayed",
        world.database.core().log_lag()
    );
    assert!(world.kept()[0].first > before[0].first);
    let parts = world.database.core().log.parts();
    assert!(parts[0].first > before[0].first, "its first records are let go");
    for seed in 0..4 {
        world.recovers(seed, 20, None);
    }
    // It goes on, is carried on once more, goes back, and ends.
    let mut open = world.open.take().unwrap();
    insert(&mut open, world.own, &[(4, "later")]);
    create_u(&mut open, "gone three");
    world.others_write(20);
    world.database.checkpoint().unwrap();
    assert!(world.database.core().log_lag() < 8 << 10);
    open.rollback_to(&world.savepoint).unwrap();
    insert(&mut open, world.own, &[(4, "later"), (5, "last")]);
    open.commit().unwrap();
    assert_eq!(world.kept(), []);
    world.has(&world.database, 40, Some(&OWN));
    for seed in 0..4 {
        world.recovers(seed, 40, Some(&OWN));
    }
}

#[test]
fn a_transaction_that_was_carried_on_is_undone() {
    let mut world = World::new();
    world.database.checkpoint().unwrap();
    drop(world.open.take());
    assert_eq!(world.kept(), []);
    world.has(&world.database, 20, None);
    world.others_write(20);
    world.recovers(0, 40, None);
    world.database.checkpoint().unwrap();
    world.recovers(0, 40, None);
    world.recovers(1, 40, None);
}

#[test]
fn more_than_goes_through_memory_stays_where_it_is_and_is_told() {
    let mut world = World::new();
    let open = world.open.as_mut().unwrap();
    insert(open, world.own, &[(4, &"x".repeat(9 << 10))]);
    create_u(open, "another");
    world.others_write(20);
    let before = world.kept();
    world.database.checkpoint().unwrap();
    assert_eq!(world.kept(), before);
    assert!(world.database.core().log_lag() > 300 << 10);
    world.recovers(0, 40, None);
    world.open.take().unwrap().commit().unwrap();
    let fs = Arc::new(world.memory.crash(0));
    let database = Database::open(fs, Path::new("/db"), small()).unwrap();
    assert_eq!(all(&database, world.own).len(), 3);
    database.check().unwrap();
}

#[test]
fn a_log_with_both_numbers_is_read_from_any_place() {
    let archive = ArchiveOptions { dir: Some(ARCHIVE.into()), ..ArchiveOptions::default() };
    let mut world = World::with(Options { archive, ..small() });
    let back_up = |world: &World, to: &str| {
        Position(world.database.backup(Path::new(to), &AtomicBool::new(false)).unwrap().last.0)
    };
    // It is open in the first, which has its first records, and carried on in the second.
    let first = back_up(&world, "/first");
    world.others_write(20);
    world.database.checkpoint().unwrap();
    let second = back_up(&world, "/second");
    let mut open = world.open.take().unwrap();
    insert(&mut open, world.own, &[(4, "later"), (5, "last")]);
    open.commit().unwrap();
    world.database.core().log.rotate().unwrap();
    world.database.step_archiver().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(world.memory.crash(0));
    let restored = |number: u32, from: &str, target: Target| {
        let to = PathBuf::from(format!("/restored{number}"));
        restore(&*fs, Path::new(from), Some(Path::new(ARCHIVE)), &to, target, 7).unwrap();
        let database = Database::open(fs.clone(), &to, small()).unwrap();
        database.check().unwrap();
        database
    };
    world.has(&restored(1, "/first", Target::Position(first)), 20, None);
    world.has(&restored(2, "/first", Target::Position(second)), 40, None);
    world.has(&restored(3, "/first", Target::Latest), 40, Some(&OWN));
    world.has(&restored(4, "/second", Target::Position(second)), 40, None);
    world.has(&restored(5, "/second", Target::Latest), 40, Some(&OWN));
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_that_carries_on_loses_nothing() {
    let world = World::new();
    let states = Arc::new(Mutex::new(Vec::new()));
    let (memory, taken) = (world.memory.clone(), states.clone());
    world.faults.observe(Op::CHANGES, move |_, path| {
        if path.extension().is_some_and(|extension| extension == "sst") {
            // Nothing depends on one before the manifest has it.
            return;
        }
        let seed = taken.lock().len() as u64 % 5;
        let crashed = memory.crash(seed);
        taken.lock().push(crashed);
    });
    world.database.checkpoint().unwrap();
    world.faults.observe(Op(0), |_, _| {});
    let states = std::mem::take(&mut *states.lock());
    assert!(states.len() > 10, "{} places", states.len());
    for state in states {
        let database = Database::open(Arc::new(state), Path::new("/db"), small()).unwrap();
        world.has(&database, 20, None);
        database.check().unwrap();
    }
}

#[test]
fn a_full_disk_while_it_is_carried_on_fails_no_transaction() {
    let mut world = World::new();
    // The segment has no room for it.
    let current = world.database.core().log.parts().pop().unwrap();
    let used = (current.end.0 - current.first.0) as usize;
    log_bytes(&world.database, world.table, 20, (27 << 10) - used);
    let before = world.kept();
    world.faults.within("/db/log");
    let what = What::FailFromHere(std::io::ErrorKind::StorageFull);
    world.faults.arm(Fault { at: 1, on: Op::ALLOCATE, what });
    world.database.checkpoint().unwrap();
    assert!(world.faults.met() > 0, "no room was asked for");
    world.faults.disarm();
    assert_eq!(world.kept(), before, "it stays as it was");
    let mut open = world.open.take().unwrap();
    insert(&mut open, world.own, &[(4, "later"), (5, "last")]);
    open.commit().unwrap();
    world.has(&world.database, 21, Some(&OWN));
    world.recovers(0, 21, Some(&OWN));
}

#[test]
fn one_that_is_about_to_be_committed_is_not_carried_on() {
    let mut world = World::new();
    let before = world.kept();
    let mut open = world.open.take().unwrap();
    insert(&mut open, world.own, &[(4, "later"), (5, "last")]);
    let Commit::Lead(leader) = open.commit_start() else { panic!("nobody else commits") };
    world.database.checkpoint().unwrap();
    assert_eq!(world.kept(), before);
    leader.lead().unwrap();
    world.has(&world.database, 20, Some(&OWN));
    world.recovers(0, 20, Some(&OWN));
}

#[test]
fn a_sequence_that_such_a_transaction_has_made_gives_out_no_value_twice() {
    let archive = ArchiveOptions { dir: Some(ARCHIVE.into()), ..ArchiveOptions::default() };
    let mut world = World::with(Options { archive, ..small() });
    let mut open = world.open.take().unwrap();
    let sequence = open.new_oid();
    done(open.edit_catalog(vec![Edit::Put(Object::Sequence(counter(sequence)))]));
    let last = (0..70).map(|_| open.nextval(sequence).unwrap()).last().unwrap();
    world.database.backup(Path::new("/first"), &AtomicBool::new(false)).unwrap();
    world.others_write(20);
    let before = world.kept();
    world.database.checkpoint().unwrap();
    assert_ne!(world.kept(), before, "it is carried on");
    open.commit().unwrap();
    world.database.core().log.rotate().unwrap();
    world.database.step_archiver().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(world.memory.crash(0));
    restore(&*fs, Path::new("/first"), Some(Path::new(ARCHIVE)), Path::new("/again"), Target::Latest, 7)
        .unwrap();
    for folder in ["/db", "/again"] {
        let database = Database::open(fs.clone(), Path::new(folder), small()).unwrap();
        let next = database.begin(Isolation::ReadCommitted).nextval(sequence).unwrap();
        assert!(next > last, "{folder}: {next} after {last}");
    }
}
