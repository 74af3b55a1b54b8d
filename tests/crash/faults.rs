//! Operations fail instead of the power: refused or stopped, but nothing acknowledged is lost.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use hither::database::Isolation;
use hither::error::{Error, SqlState};
use hither::fs::faulty::{Fault, Faults, Op, What};
use hither::fs::{FaultyFs, MemoryFs};

use crate::client::{Extra, create_table, created_columns, read};
use crate::is_full;
use crate::model::{Chance, Known};
use crate::sweep::{open, open_and_compare};
use crate::work::{Worker, Workload};
use crate::workloads;

/// Runs the workload with one fault and reopens what is left.
fn run_with(workload: &'static Workload, fault: Fault, steps: u64) -> Result<(), String> {
    let memory = MemoryFs::new();
    let known: Arc<Mutex<Known>> = Arc::default();
    let (fs, faults) = FaultyFs::new(memory.clone());
    faults.lose_at_failed_syncs(&memory);
    if let Ok(db) = open(workload, fs.clone()) {
        faults.arm(fault);
        let mut worker = Worker::new(workload, (db, fs), known.clone(), 7, 0);
        for step in 0..steps {
            let Err(error) = worker.step() else { continue };
            if !matches!(error.state(), SqlState::DISK_FULL | SqlState::IO_ERROR) {
                return Err(format!("step {step}: {fault:?} was answered by {error}"));
            }
            after_failure(&mut worker, &faults, step, &error)?;
        }
    }
    faults.disarm();
    let known = known.lock().unwrap().clone();
    for seed in [0, 1, 2] {
        open_and_compare(workload, Arc::new(memory.crash(seed)), &known)
            .map_err(|said| format!("{fault:?}, seed {seed}: {said}"))?;
    }
    Ok(())
}

/// Reading goes on, and it reads what was acknowledged, or also the commit whose answer was a failure.
fn after_failure(worker: &mut Worker, faults: &Faults, step: u64, error: &Error) -> Result<(), String> {
    let known = worker.known.lock().unwrap().clone();
    if !faults.crashed() {
        let found =
            read(&worker.db).map_err(|said| format!("step {step}: after {error}: reading: {said}"))?;
        known.compare(&found).map_err(|said| format!("step {step}: after {error}: {said}"))?;
    }
    // Space comes back one time in three steps.
    if error.state() == SqlState::DISK_FULL && step.is_multiple_of(3) {
        faults.disarm();
    }
    // If it is written again, then on top of what is known: a commit in doubt must not be followed by another one.
    if known.in_flight.is_some() && error.state() == SqlState::IO_ERROR {
        let mut txn = worker.db.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let columns = created_columns(worker.workload.columns);
        let refused =
            create_table(&mut txn, "must_not_be", &columns, Extra::default()).and_then(|()| txn.commit());
        if refused.is_ok() {
            return Err(format!("step {step}: a commit was acknowledged after {error}"));
        }
    }
    Ok(())
}

#[test]
fn failed_operations_lose_nothing_acknowledged() {
    const KINDS: [Op; 7] = [
        Op::CREATE,
        Op::WRITE,
        Op::ALLOCATE,
        Op::TRUNCATE,
        Op::SYNC,
        Op::SYNC_DIR,
        Op::RENAME.or(Op::REMOVE),
    ];
    let (steps, each) = if is_full() { (150, 40) } else { (60, 3) };
    let all: [&'static Workload; 5] = [
        &workloads::ROWS,
        &workloads::DEFINITIONS,
        &workloads::VECTORS,
        &workloads::SEQUENCES,
        &workloads::RELATIONS,
    ];
    let mut turns = all.into_iter().cycle();
    let mut chance = Chance(99);
    for on in KINDS {
        for workload in turns.by_ref().take(each) {
            let at = 1 + chance.below(if on == Op::WRITE || on == Op::SYNC { 3 * steps } else { steps / 2 });
            for what in [
                What::Fail(ErrorKind::Other),
                What::FailFromHere(ErrorKind::Other),
                What::FailFromHere(ErrorKind::StorageFull),
            ] {
                // A full disk is not an answer of a sync or a rename inside space that is there.
                if let Err(said) = run_with(workload, Fault { at, on, what }, steps) {
                    panic!("{}: {said}", workload.name);
                }
            }
        }
    }
}
