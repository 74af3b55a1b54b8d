//! A full disk refuses and a failing one stops, at every operation of each kind on each kind of file.

use std::io::ErrorKind;

use super::damaged_tables::counter;
use super::*;
use crate::catalog::{Edit, Object};
use crate::error::SqlState;
use crate::fs::FaultyFs;
use crate::fs::faulty::{Fault, Faults, Op, What};

/// One after the other, rows of some hundred bytes, with flushes and checkpoints between.
struct Load {
    memory: MemoryFs,
    faults: Arc<Faults>,
    database: Arc<Database>,
    table: Oid,
    acknowledged: Vec<i64>,
    /// Commits whose answer was a failure that says nothing about them.
    in_doubt: Vec<i64>,
    next: i64,
}

impl Load {
    fn new() -> Load {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        faults.lose_at_failed_syncs(&memory);
        let options = Options {
            log_segment_bytes: 16 << 10,
            storage: crate::storage::Options {
                frozen_memtables_max: 2,
                memtables_bytes_max: 32 << 10,
                ..crate::storage::Options::tiny()
            },
            ..options()
        };
        let database = Database::open(fs, Path::new("/db"), options).unwrap();
        let table = create_t(&database);
        Load { memory, faults, database, table, acknowledged: Vec::new(), in_doubt: Vec::new(), next: 0 }
    }

    fn insert(&mut self) -> Result<(), Error> {
        let id = self.next;
        self.next += 1;
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let name = "x".repeat(200);
        match txn.insert(self.table, &[row(id, &name)], OnConflict::Error) {
            Ok(_) => {}
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
        }
        match txn.commit() {
            Ok(_) => self.acknowledged.push(id),
            Err(error) => {
                if error.state() != SqlState::DISK_FULL {
                    self.in_doubt.push(id);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The n-th step: inserts, and what a background does.
    fn step(&mut self, n: usize) -> Result<(), Error> {
        match n % 16 {
            7 => self.database.step_storage().map(drop),
            15 => self.database.checkpoint(),
            _ => self.insert(),
        }
    }

    fn ids(database: &Arc<Database>, table: Oid) -> Vec<i64> {
        all(database, table).into_iter().map(|(id, _)| id).collect()
    }

    fn memtable_bytes(&self) -> usize {
        self.database.core().store.stats().memtable_bytes
    }

    /// What a restart finds is what was acknowledged, and perhaps what was left in doubt.
    fn compare_after_crash(&self, case: &str) {
        for seed in [0, 1, 9] {
            let crashed = Arc::new(self.memory.crash(seed));
            let found = Load::ids(&open(&crashed), self.table);
            let extra: Vec<i64> =
                found.iter().copied().filter(|id| !self.acknowledged.contains(id)).collect();
            assert!(extra.iter().all(|id| self.in_doubt.contains(id)), "{case}: {extra:?} came back");
            assert_eq!(found.len(), self.acknowledged.len() + extra.len(), "{case}: rows are lost");
        }
    }
}

const STEPS: usize = 160;

/// Operations of the kind on such paths in the whole load.
fn count(on: Op, part: &str) -> u64 {
    let mut load = Load::new();
    load.faults.within(part);
    let mut low = 0;
    // Counted by the fault that never comes.
    load.faults.arm(Fault { at: u64::MAX, on, what: What::Fail(ErrorKind::Other) });
    for n in 0..STEPS {
        load.step(n).unwrap();
        low = load.faults.met();
    }
    low
}

#[test]
fn a_full_disk_refuses_and_writes_resume() {
    let mut refused = 0;
    for (on, part) in [
        (Op::ALLOCATE.or(Op::CREATE), "log"),
        (Op::WRITE, "log/spare"),
        (Op::ALLOCATE.or(Op::CREATE).or(Op::WRITE), ".sst"),
        (Op::ALLOCATE.or(Op::CREATE), ".vec"),
        (Op::ALLOCATE.or(Op::CREATE).or(Op::WRITE), "MANIFEST"),
        (Op::ALLOCATE.or(Op::CREATE), ""),
    ] {
        let all = count(on, part);
        assert!(all > 1, "nothing of this kind happens to {part}");
        for at in (1..=all).step_by((all as usize / 12).max(1)) {
            let case = format!("{on:?} number {at} of {all} on \"{part}\"");
            let mut load = Load::new();
            load.faults.within(part);
            load.faults.arm(Fault { at, on, what: What::FailFromHere(ErrorKind::StorageFull) });
            let mut bytes_max = 0;
            for n in 0..2 * STEPS {
                if let Err(error) = load.step(n) {
                    assert_eq!(error.state(), SqlState::DISK_FULL, "{case}: {error}");
                    assert!(error.message().ends_with("No space left on device"), "{case}: {error}");
                    refused += 1;
                }
                bytes_max = bytes_max.max(load.memtable_bytes());
            }
            // Four times what is allowed: memtables of two trees, each over by what one commit brings.
            assert!(bytes_max < 128 << 10, "{case}: {bytes_max} bytes are waiting to be flushed");
            assert_eq!(Load::ids(&load.database, load.table), load.acknowledged, "{case}: reads go on");
            load.compare_after_crash(&case);
            load.faults.disarm();
            while load.database.step_storage().unwrap() {}
            load.insert().unwrap_or_else(|error| panic!("{case}: room is there again, and {error}"));
            load.database.checkpoint().unwrap();
            load.compare_after_crash(&case);
            load.database.check().unwrap();
        }
    }
    assert!(refused > 500, "{refused} refusals");
}

#[test]
fn after_a_failed_write_or_sync_of_the_log_nothing_is_acknowledged() {
    for on in [Op::WRITE, Op::SYNC] {
        let all = count(on, "log/0");
        for at in 1..=all {
            let case = format!("{on:?} number {at} of {all}");
            let mut load = Load::new();
            load.faults.within("log/0");
            load.faults.arm(Fault { at, on, what: What::Fail(ErrorKind::Other) });
            let Some(error) = (0..STEPS).find_map(|n| load.step(n).err()) else { continue };
            assert_eq!(error.state(), SqlState::IO_ERROR, "{case}: {error}");
            assert!(error.message().contains("log"), "{case}: it says why: {error}");
            load.faults.disarm();
            let before = load.acknowledged.len();
            for _ in 0..3 {
                let refused = load.insert().expect_err("the log has stopped");
                assert_eq!(refused.state(), SqlState::IO_ERROR, "{case}: {refused}");
                assert!(refused.fields().hint.is_some(), "{case}: {refused}");
            }
            assert_eq!(load.acknowledged.len(), before);
            load.database.checkpoint().expect_err("the log has stopped");
            assert_eq!(Load::ids(&load.database, load.table), load.acknowledged, "{case}: reads go on");
            load.compare_after_crash(&case);
        }
    }
}

/// A kernel that drops what it could not write says so once. A checkpoint that asked again would let go of the log.
#[test]
fn a_failed_sync_of_vectors_keeps_the_log() {
    for at in 1..=count(Op::SYNC, ".vec") {
        let mut load = Load::new();
        load.faults.within(".vec");
        load.faults.arm(Fault { at, on: Op::SYNC, what: What::Fail(ErrorKind::Other) });
        for n in 0..STEPS {
            if let Err(error) = load.step(n) {
                assert_eq!(error.state(), SqlState::IO_ERROR, "{error}");
            }
        }
        load.compare_after_crash(&format!("sync {at}"));
    }
}

#[test]
fn room_is_made_by_dropping_a_table() {
    let mut load = Load::new();
    load.faults.within(".sst");
    let full = What::FailFromHere(ErrorKind::StorageFull);
    load.faults.arm(Fault { at: 1, on: Op::CHANGES, what: full });
    while load.insert().is_ok() {}
    // The flush that fails is tried all the while.
    load.database.step_storage().unwrap_err();
    let mut txn = load.database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    done(txn.drop_table(load.table));
    txn.commit().unwrap();
    assert_eq!(load.database.storage_stats().flushes_failing, 0, "nothing of it is waited for");
}

#[test]
fn rows_of_a_chunk_that_was_refused_are_logged_when_the_transaction_goes_on() {
    let load = Load::new();
    let mut txn = load.database.begin(Isolation::ReadCommitted);
    insert(&mut txn, load.table, &[(1, &"x".repeat(12 << 10))]);
    let savepoint = txn.savepoint();
    load.faults.within("/db/log");
    let full = What::FailFromHere(ErrorKind::StorageFull);
    load.faults.arm(Fault { at: 1, on: Op::ALLOCATE, what: full });
    // The rows go before the definition.
    let sequence = txn.new_oid();
    let refused = txn.edit_catalog(vec![Edit::Put(Object::Sequence(counter(sequence)))]);
    assert!(matches!(refused, Err(Stop::Error(error)) if error.state() == SqlState::DISK_FULL));
    load.faults.disarm();
    txn.rollback_to(&savepoint).unwrap();
    insert(&mut txn, load.table, &[(2, "later")]);
    txn.commit().unwrap();
    let database = Database::open(Arc::new(load.memory.crash(0)), Path::new("/db"), options()).unwrap();
    assert_eq!(Load::ids(&database, load.table), [1, 2]);
    database.check().unwrap();
}
