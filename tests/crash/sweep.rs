//! One workload with a power failure before each of its operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use hither::database::Database;
use hither::fs::faulty::Op;
use hither::fs::{FaultyFs, Fs, MemoryFs};
use hither::log::Position;

use crate::model::Known;
use crate::work::{Topic, Worker, Workload};
use crate::{backups, client, is_full};

/// What a power failure left, and what must be in it.
struct Survivor {
    workload: &'static Workload,
    fs: MemoryFs,
    known: Known,
    point: u64,
    seed: u64,
    /// What was about to happen.
    operation: String,
}

impl Survivor {
    fn verify(self) -> Result<(), String> {
        self.restart().map_err(|said| {
            let Survivor { workload, point, seed, operation, .. } = &self;
            format!(
                "\n  crash before {operation}: {said}\n  replay: HITHER_CRASH_POINT={point} HITHER_CRASH_SEED={seed} \
                 cargo test --no-default-features --test crash power_fails_among_{} -- --nocapture",
                workload.name
            )
        })
    }

    /// Opens and compares. Every third restart goes on working for a while, and one in 37 loses power itself before each
    /// of its operations.
    fn restart(&self) -> Result<(), String> {
        let Survivor { workload, fs, known, point, seed, .. } = self;
        if point.is_multiple_of(37) {
            self.restart_without_power(&fs.crash(1))?;
        }
        let db = open_and_compare(workload, Arc::new(fs.clone()), known)?;
        if workload.topics.contains(&Topic::Backups) {
            backups::verify(fs, &db, known)?;
        }
        if !point.is_multiple_of(3) {
            return Ok(());
        }
        let found = client::read(&db).map_err(|error| error.to_string())?;
        let mut known = Known::of(found, known.step);
        known.backups.history.push((Position::default(), known.acknowledged.clone()));
        let known = Arc::new(Mutex::new(known));
        let seed = point ^ (seed << 32);
        let mut worker = Worker::new(workload, (db, Arc::new(fs.clone())), known.clone(), seed, 1_000_000);
        for _ in 0..8 {
            worker.step().map_err(|error| format!("working after the restart: {error}"))?;
        }
        drop(worker);
        let known = known.lock().unwrap().clone();
        let db = open_and_compare(workload, Arc::new(fs.crash(0)), &known);
        db.map(drop).map_err(|said| format!("after more work: {said}"))
    }

    fn restart_without_power(&self, fs: &MemoryFs) -> Result<(), String> {
        let outcome: Arc<Mutex<Result<(), String>>> = Arc::new(Mutex::new(Ok(())));
        let (faulty, faults) = FaultyFs::new(fs.clone());
        let (told, memory, count, seed) = (outcome.clone(), fs.clone(), AtomicU64::new(0), self.seed);
        let (workload, known) = (self.workload, self.known.clone());
        faults.observe(Op::CHANGES, move |op, path| {
            let draw = seed + count.fetch_add(1, Ordering::Relaxed);
            let mut told = told.lock().unwrap();
            if told.is_ok() {
                // At once: all of them together would take much memory.
                let again = open_and_compare(workload, Arc::new(memory.crash(draw)), &known);
                let operation = format!("{} {}", op.name(), path.display());
                *told = again
                    .map(drop)
                    .map_err(|said| format!("and again while restarting, before {operation}: {said}"));
            }
        });
        open_and_compare(self.workload, faulty, &self.known)?;
        outcome.lock().unwrap().clone()
    }
}

pub fn open(workload: &Workload, fs: Arc<dyn Fs>) -> hither::error::Result<Arc<Database>> {
    client::open(fs, workload.topics.contains(&Topic::Backups))
}

pub fn open_and_compare(
    workload: &Workload,
    fs: Arc<dyn Fs>,
    known: &Known,
) -> Result<Arc<Database>, String> {
    let db = open(workload, fs).map_err(|error| format!("step {}: open: {error}", known.step))?;
    let found = client::read(&db).map_err(|error| format!("step {}: read: {error}", known.step))?;
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

impl Plan {
    fn from_environment(workload: &Workload) -> Plan {
        let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
        match (number("HITHER_CRASH_POINT"), number("HITHER_CRASH_SEED")) {
            (Some(point), seed) => Plan::Only { point, seed: seed.unwrap_or(0) },
            _ if is_full() => Plan::Full,
            _ => Plan::Every(number("HITHER_CRASH").filter(|every| *every > 0).unwrap_or(workload.every)),
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

pub fn run(workload: &'static Workload) {
    let plan = Plan::from_environment(workload);
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
            let _ = send.send(Survivor { workload, fs, known, point, seed, operation });
        }
    });
    let done = std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| verify_all(workload, &receive, &verified, &failures));
        }
        // Ends the verifiers, also when the workload panics.
        let stop = Stop(&faults);
        let db = open(workload, fs.clone()).expect("an empty directory opens");
        let mut worker = Worker::new(workload, (db, fs), known.clone(), workload.seed, 0);
        for _ in 0..workload.steps {
            worker.step().expect("nothing fails yet");
        }
        worker.finish_other().expect("nothing fails yet");
        worker.db.close().expect("nothing fails yet");
        drop(stop);
        worker.done
    });
    let points = points.load(Ordering::Relaxed);
    let verified = verified.load(Ordering::Relaxed);
    println!("{}: {points} crash points, {verified} survivors verified; work: {done:?}", workload.name);
    let failures = failures.lock().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for what in workload.does {
        assert!(done.get(what).is_some_and(|count| *count > 0), "the workload never did: {what}");
    }
}

/// Drops the sender of survivors.
struct Stop<'a>(&'a hither::fs::faulty::Faults);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.observe(Op(0), |_, _| ());
    }
}

fn verify_all(
    workload: &Workload,
    receive: &Mutex<mpsc::Receiver<Survivor>>,
    verified: &AtomicU64,
    failures: &Mutex<Vec<String>>,
) {
    while failures.lock().unwrap().len() < 3 {
        let Ok(survivor) = receive.lock().unwrap().recv() else { return };
        let count = verified.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(1000) {
            println!("{}: {count} survivors verified, at point {}", workload.name, survivor.point);
        }
        let case = format!("(point {}, seed {})", survivor.point, survivor.seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| survivor.verify()));
        let said = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(said)) => format!("{case}{said}"),
            Err(_) => format!("{case} a panic, printed above"),
        };
        println!("{}: {said}", workload.name);
        failures.lock().unwrap().push(said);
    }
    // Let the workload run out without waiting for us.
    while receive.lock().unwrap().recv().is_ok() {}
}
