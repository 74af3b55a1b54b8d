//! The power fails before every write, sync, rename, truncation and removal of a mixed workload.
//!
//! The workload runs once, step by step and without threads, on a strict file system in memory. Before each operation
//! that changes files, what a power failure would leave is taken (`MemoryFs::crash`: unsynced writes and names dropped,
//! kept or torn, as a seed draws), opened as a restart would, and compared with a model:
//!
//! ```text
//!   found == everything acknowledged          or, while a commit is on its way,
//!   found == everything acknowledged + that commit, whole
//! ```
//!
//! Then `Database::check` states every invariant, some survivors lose power again while they recover, and some go on
//! working. A second test lets operations fail instead: refused or stopped, but nothing acknowledged is lost.
//!
//! `HITHER_CRASH=full cargo test --release --no-default-features --test crash` takes every crash point with two to eight seeds,
//! `HITHER_CRASH=7` every seventh; the default is every 41st.
//! A failure prints the command that replays it alone.

mod client;
mod model;
mod work;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use hither::database::{Database, Isolation};
use hither::error::{Error, SqlState};
use hither::fs::faulty::{Fault, Faults, Op, What};
use hither::fs::{FaultyFs, Fs, MemoryFs};

use client::{create_table, open, read};
use model::{Chance, Known};
use work::Worker;

/// Steps of the workload; most are transactions of several statements.
const STEPS: u64 = 600;

/// What a power failure left, and what must be in it.
struct Survivor {
    fs: MemoryFs,
    known: Known,
    point: u64,
    seed: u64,
    /// What was about to happen.
    operation: String,
}

impl Survivor {
    fn verify(self) -> Result<(), String> {
        let Survivor { fs, known, point, seed, operation } = self;
        let outcome = restart(&fs, &known, point, seed);
        outcome.map_err(|said| {
            format!(
                "\n  crash before {operation}: {said}\n  replay: HITHER_CRASH_POINT={point} HITHER_CRASH_SEED={seed} \
                 cargo test --no-default-features --test crash power -- --nocapture"
            )
        })
    }
}

/// Opens and compares. Every third restart goes on working for a while, and one in 37 loses power itself before each of
/// its operations.
fn restart(fs: &MemoryFs, known: &Known, point: u64, seed: u64) -> Result<(), String> {
    if point.is_multiple_of(37) {
        restart_without_power(&fs.crash(1), known, seed)?;
    }
    let db = open_and_compare(fs.clone(), known)?;
    if !point.is_multiple_of(3) {
        return Ok(());
    }
    let acknowledged = Arc::new(read(&db).map_err(|error| error.to_string())?);
    let known = Arc::new(Mutex::new(Known { acknowledged, in_flight: None, step: known.step }));
    let mut worker = Worker::new(db, known.clone(), point ^ (seed << 32), 1_000_000);
    for _ in 0..8 {
        worker.step().map_err(|error| format!("working after the restart: {error}"))?;
    }
    drop(worker);
    let known = known.lock().unwrap().clone();
    open_and_compare(fs.crash(0), &known).map(drop).map_err(|said| format!("after more work: {said}"))
}

fn restart_without_power(fs: &MemoryFs, known: &Known, seed: u64) -> Result<(), String> {
    let survivors: Arc<Mutex<Vec<(MemoryFs, String)>>> = Arc::default();
    let (faulty, faults) = FaultyFs::new(fs.clone());
    let (taken, memory, count) = (survivors.clone(), fs.clone(), AtomicU64::new(0));
    faults.observe(Op::CHANGES, move |op, path| {
        let draw = seed + count.fetch_add(1, Ordering::Relaxed);
        taken.lock().unwrap().push((memory.crash(draw), format!("{} {}", op.name(), path.display())));
    });
    open_and_compare_in(faulty, known)?;
    let survivors = std::mem::take(&mut *survivors.lock().unwrap());
    for (fs, operation) in survivors {
        open_and_compare(fs, known)
            .map_err(|said| format!("and again while restarting, before {operation}: {said}"))?;
    }
    Ok(())
}

fn open_and_compare(fs: MemoryFs, known: &Known) -> Result<Arc<Database>, String> {
    open_and_compare_in(Arc::new(fs), known)
}

fn open_and_compare_in(fs: Arc<dyn Fs>, known: &Known) -> Result<Arc<Database>, String> {
    let db = open(fs).map_err(|error| format!("step {}: open: {error}", known.step))?;
    let found = read(&db).map_err(|error| format!("step {}: read: {error}", known.step))?;
    known.compare(&found)?;
    db.check().map_err(|error| format!("step {}: check: {error}", known.step))?;
    Ok(db)
}

/// Which crash points to take, with which seeds.
enum Plan {
    Only { point: u64, seed: u64 },
    Every(u64),
    Full,
}

/// Some three hundred of the points, in a minute without optimisation.
const EVERY: u64 = 41;

impl Plan {
    fn from_environment() -> Plan {
        let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
        match (number("HITHER_CRASH_POINT"), number("HITHER_CRASH_SEED")) {
            (Some(point), seed) => Plan::Only { point, seed: seed.unwrap_or(0) },
            _ if is_full() => Plan::Full,
            _ => Plan::Every(number("HITHER_CRASH").filter(|every| *every > 0).unwrap_or(EVERY)),
        }
    }

    /// 0 drops everything unsynced, 1 keeps it, others draw. The full mode takes every point with everything dropped and
    /// with a draw, and every fourth with six more.
    fn seeds_at(&self, point: u64) -> Vec<u64> {
        let draw = |turn: u64| if turn < 2 { turn } else { point * 8 + turn };
        match self {
            Plan::Only { point: only, seed } if *only == point => vec![*seed],
            Plan::Every(every) if point.is_multiple_of(*every) => vec![draw(point / every % 8)],
            Plan::Full if point.is_multiple_of(4) => (0..8).map(draw).collect(),
            Plan::Full => vec![0, draw(2)],
            _ => Vec::new(),
        }
    }
}

fn is_full() -> bool {
    std::env::var("HITHER_CRASH").as_deref() == Ok("full")
}

#[test]
fn power_failures_lose_nothing_acknowledged() {
    let plan = Plan::from_environment();
    let memory = MemoryFs::new();
    let known: Arc<Mutex<Known>> = Arc::default();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let failures: Mutex<Vec<String>> = Mutex::default();
    let verified = AtomicU64::new(0);
    // Survivors are verified beside the workload; the channel holds few, for each is a whole data directory.
    let (send, receive) = mpsc::sync_channel::<Survivor>(4);
    let receive = Mutex::new(receive);
    let points = Arc::new(AtomicU64::new(0));
    let (seen, counter) = (known.clone(), points.clone());
    faults.observe(Op::CHANGES, move |op, path| {
        let point = counter.fetch_add(1, Ordering::Relaxed) + 1;
        for seed in plan.seeds_at(point) {
            let (fs, known) = (memory.crash(seed), seen.lock().unwrap().clone());
            let operation = format!("operation {point}, {} {}", op.name(), path.display());
            // Nobody listens any more once a failure was found.
            let _ = send.send(Survivor { fs, known, point, seed, operation });
        }
    });
    let done = std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while failures.lock().unwrap().len() < 3 {
                    let Ok(survivor) = receive.lock().unwrap().recv() else { return };
                    let count = verified.fetch_add(1, Ordering::Relaxed) + 1;
                    if count.is_multiple_of(1000) {
                        println!("{count} survivors verified, at point {}", survivor.point);
                    }
                    let case = format!("(point {}, seed {})", survivor.point, survivor.seed);
                    let verify = std::panic::AssertUnwindSafe(|| survivor.verify());
                    let outcome = std::panic::catch_unwind(verify);
                    let said = match outcome {
                        Ok(Ok(())) => continue,
                        Ok(Err(said)) => format!("{case}{said}"),
                        Err(_) => format!("{case} a panic, printed above"),
                    };
                    println!("{said}");
                    failures.lock().unwrap().push(said);
                }
                // Let the workload run out without waiting for us.
                while receive.lock().unwrap().recv().is_ok() {}
            });
        }
        let db = open(fs).expect("an empty directory opens");
        let mut worker = Worker::new(db, known.clone(), 2026, 0);
        for _ in 0..STEPS {
            worker.step().expect("nothing fails yet");
        }
        worker.finish_other().expect("nothing fails yet");
        worker.db.close().expect("nothing fails yet");
        // Drops the sender, and with it the verifiers end.
        faults.observe(Op(0), |_, _| ());
        worker.done
    });
    let points = points.load(Ordering::Relaxed);
    println!(
        "{points} crash points, {} survivors verified; work: {done:?}",
        verified.load(Ordering::Relaxed)
    );
    let failures = failures.lock().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for what in [
        "checkpoint",
        "compact",
        "index tails",
        "vacuum",
        "rollback",
        "commit",
        "create table",
        "drop table",
        "truncate",
        "create index",
        "drop index",
        "insert",
        "insert or nothing",
        "upsert",
        "update",
        "update vectors",
        "delete",
        "duplicate key",
        "commit of the other",
        "rollback of the other",
    ] {
        assert!(done.get(what).is_some_and(|count| *count > 0), "the workload never did: {what}");
    }
}

/// Runs the workload with one fault and reopens what is left.
fn run_with(fault: Fault, steps: u64) -> Result<(), String> {
    let memory = MemoryFs::new();
    let known: Arc<Mutex<Known>> = Arc::default();
    let (fs, faults) = FaultyFs::new(memory.clone());
    faults.lose_at_failed_syncs(&memory);
    if let Ok(db) = open(fs) {
        faults.arm(fault);
        let mut worker = Worker::new(db, known.clone(), 7, 0);
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
        open_and_compare(memory.crash(seed), &known)
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
        let refused = create_table(&mut txn, "must_not_be").and_then(|()| txn.commit());
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
    let mut chance = Chance(99);
    for on in KINDS {
        for _ in 0..each {
            let at = 1 + chance.below(if on == Op::WRITE || on == Op::SYNC { 3 * steps } else { steps / 2 });
            for what in [
                What::Fail(ErrorKind::Other),
                What::FailFromHere(ErrorKind::Other),
                What::FailFromHere(ErrorKind::StorageFull),
            ] {
                // A full disk is not an answer of a sync or a rename inside space that is there.
                if let Err(said) = run_with(Fault { at, on, what }, steps) {
                    panic!("{said}");
                }
            }
        }
    }
}
