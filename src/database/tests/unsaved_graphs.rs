//! A graph that cannot be saved ends no checkpoint: the log goes, writes go on, and what the generations before need stays.

use std::io::ErrorKind;

use super::vacuum::{create_index, delete, load};
use super::*;
use crate::error::SqlState;
use crate::fs::faulty::{Fault, Faults, Op, What};
use crate::fs::{FaultyFs, OpenMode};

static CANCEL: AtomicBool = AtomicBool::new(false);
const ROWS: i64 = 1_200;
const DEAD: i64 = 1_100;

/// A table whose graph was saved, and was built anew since over a fraction of the rows.
struct World {
    memory: MemoryFs,
    faults: Arc<Faults>,
    database: Arc<Database>,
    table: Oid,
}

fn world() -> World {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let options = Options { log_segment_bytes: 64 << 10, ..options() };
    let database = Database::open(fs, Path::new("/db"), options).unwrap();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..ROWS, "x");
    database.checkpoint().unwrap();
    let world = World { memory, faults, database, table };
    assert_eq!(world.files(), 1);
    delete(&world.database, table, 0..DEAD);
    while world.database.step_indexer().unwrap() {}
    world
}

impl World {
    /// Generations that count.
    fn files(&self) -> usize {
        self.database.core().generations.all_files(self.database.core()).len()
    }

    fn fail(&self, on: Op, kind: ErrorKind) {
        self.faults.within("/db/indexes/");
        self.faults.arm(Fault { at: 1, on, what: What::FailFromHere(kind) });
    }

    /// What a restart finds.
    fn compare_after_crash(&self, case: &str) {
        let expected = all(&self.database, self.table);
        for seed in [0, 5] {
            let reopened = open(&Arc::new(self.memory.crash(seed)));
            found_in(&reopened, self.table, &expected, &format!("{case}, seed {seed}"));
        }
    }
}

/// All rows, also by the index, before and after it has taken in what it does not hold.
fn found_in(database: &Arc<Database>, table: Oid, expected: &[(i64, String)], case: &str) {
    assert_eq!(all(database, table), expected, "{case}");
    for _ in 0..2 {
        database.check().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(database.scrub(&CANCEL).unwrap().findings.is_empty(), "{case}");
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        all_are_found(&txn.snapshot(table).unwrap());
        drop(txn);
        while database.step_indexer().unwrap() {}
    }
}

/// Nothing works below indexes/, or files are made there and can neither be written nor removed.
const FAULTS: [(Op, ErrorKind); 4] = [
    (Op::CHANGES, ErrorKind::StorageFull),
    (Op::WRITE.or(Op::ALLOCATE), ErrorKind::StorageFull),
    (Op::CHANGES, ErrorKind::Other),
    (Op::WRITE.or(Op::SYNC).or(Op::REMOVE), ErrorKind::Other),
];

#[test]
fn checkpoints_go_on_and_the_log_goes() {
    for (on, kind) in FAULTS {
        let case = format!("{on:?}, {kind:?}");
        let world = world();
        let World { faults, database, table, .. } = &world;
        let named = database.core().generations.all_files(database.core());
        world.fail(on, kind);
        for round in 0..2 {
            // In no slot that the generation on the disk has a node for.
            load(database, *table, 10_000 + round * 100..10_100 + round * 100, &"y".repeat(200));
            database.checkpoint().unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(faults.met() > 0, "{case}: nobody tried to save the graph");
            assert_eq!(database.core().log.parts().len(), 1, "{case}: the log is kept");
            assert_eq!(database.core().generations.all_files(database.core()), named, "{case}");
        }
        world.compare_after_crash(&case);
        faults.disarm();
        database.checkpoint().unwrap();
        assert_eq!(world.files(), 2, "{case}: it is saved as soon as it can be");
        world.compare_after_crash(&case);
    }
}

/// The disk is full for the log as well: what the checkpoint lets go of is the room.
#[test]
fn writes_resume_by_the_log_that_goes() {
    let world = world();
    let World { faults, database, table, .. } = &world;
    faults.only(|path| path.starts_with("/db/indexes") || path.starts_with("/db/log"));
    let write = |id: i64| -> Result<(), Error> {
        let mut txn = database.begin(Isolation::ReadCommitted);
        match txn.insert(*table, &[row(id, &"z".repeat(4_000))], OnConflict::Error) {
            Err(Stop::Error(error)) => return Err(error),
            outcome => drop(done(outcome)),
        }
        txn.commit().map(drop)
    };
    // Some segments of log.
    (20_000..20_060).for_each(|id| write(id).unwrap());
    let what = What::FailFromHere(ErrorKind::StorageFull);
    faults.arm(Fault { at: 1, on: Op::CREATE.or(Op::ALLOCATE), what });
    let mut id = 20_060;
    for _ in 0..3 {
        let refused = loop {
            match write(id) {
                Ok(()) => id += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.state(), SqlState::DISK_FULL);
        database.checkpoint().unwrap();
        write(id).unwrap();
        id += 1;
    }
    world.compare_after_crash("full");
}

/// The generation on the disk knows the slots that it is to free.
#[test]
fn a_vacuum_is_refused() {
    for (on, kind) in FAULTS {
        let case = format!("{on:?}, {kind:?}");
        let world = world();
        let World { faults, database, table, .. } = &world;
        world.fail(on, kind);
        let error = database.vacuum(&[*table], &CANCEL).unwrap_err();
        assert_eq!(error.state() == SqlState::DISK_FULL, kind == ErrorKind::StorageFull, "{case}: {error}");
        database.checkpoint().unwrap();
        load(database, *table, 10_000..10_050, "y");
        let slots_end = |world: &World| world.database.core().version.load().tables[&world.table].slots_end();
        assert_eq!(i64::from(slots_end(&world)), ROWS + 50, "{case}: slots are given out again");
        world.compare_after_crash(&case);
        faults.disarm();
        database.vacuum(&[*table], &CANCEL).unwrap();
        load(database, *table, 11_000..11_050, "y");
        assert_eq!(i64::from(slots_end(&world)), ROWS + 50, "{case}: the vacuum has freed none");
    }
}

#[test]
fn a_shutdown_goes_on() {
    for (on, kind) in FAULTS {
        let case = format!("{on:?}, {kind:?}");
        let world = world();
        world.fail(on, kind);
        let World { memory, faults, database, table } = world;
        let expected = all(&database, table);
        database.close().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(faults.met() > 0, "{case}: nobody tried to save the graph");
        found_in(&open(&Arc::new(memory.crash(0))), table, &expected, &case);
    }
}

/// After a clean end it would be opened unread.
#[test]
fn a_shutdown_does_not_leave_a_damaged_generation_behind() {
    let world = world();
    let World { memory, database, table, .. } = &world;
    let file = database.core().generations.all_files(database.core()).remove(0);
    let file = memory.open(&file, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5_000).unwrap();
    file.write_all_at(&[!byte[0]], 5_000).unwrap();
    assert_eq!(database.scrub(&CANCEL).unwrap().findings.len(), 1);
    while database.step_indexer().unwrap() {}
    world.fail(Op::CHANGES, ErrorKind::Other);
    database.checkpoint().unwrap();
    assert_eq!(database.close().unwrap_err().state(), SqlState::IO_ERROR);
    let expected = all(database, *table);
    found_in(&open(&Arc::new(memory.crash(1))), *table, &expected, "damaged");
}
