//! What commits and reads of single rows feel of flushes and merges behind them: with what the background writes held back,
//! and without.
//!
//! `cargo bench --no-default-features --bench foreground -- [folder] [rounds]`
//!
//! A table of small rows is updated at a steady rate by several writers, a commit for each batch of rows; each has its
//! commits at fixed times, and a commit that is late counts from when it was due. Beside them readers ask for single rows by
//! key, at fixed times too. Checkpoints come often, so that level 0 fills and merges as it does in an hour. Rounds with and
//! without the bound alternate, each on a database of its own; the figures are medians of the rounds' quantiles.

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{done, median, random};
use hither::catalog::{Column, Constraint, ConstraintKind, Oid, Table};
use hither::database::{Database, Isolation, LockOutcome, OnConflict, Options, RowUpdate};
use hither::fs::DiskFs;
use hither::types::{Type, Value};

const ROWS: usize = 200_000;
const TEXT_BYTES: usize = 400;
const WRITERS: usize = 4;
const READERS: usize = 2;
/// Rows of a commit, and how often each writer has one: some 2 MB a second, so that a slow disk keeps up with the commits and
/// what is measured is not their queue.
const BATCH: usize = 60;
const COMMIT_EVERY: Duration = Duration::from_millis(50);
const READ_EVERY: Duration = Duration::from_millis(1);
/// A quarter of the usual, so that there is a flush each second and a merge each ten.
const MEMTABLE_BYTES: usize = 4 << 20;
const CHECKPOINT_LOG_BYTES: u64 = 16 << 20;
const WARM_UP: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(20);

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let first = arguments.next();
    let folder = first.map_or(temporary.path().to_owned(), PathBuf::from);
    let rounds = arguments.next().map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let held_back = hither::storage::Options::default().background_bytes_per_second;
    let mut sides = [Side::new("held back", held_back), Side::new("no bound", 0)];
    for round in 0..rounds {
        for at in [round % 2, (round + 1) % 2] {
            let side = &mut sides[at];
            let dir = folder.join(format!("foreground-{round}-{at}"));
            side.rounds.push(measure(&dir, side.bytes_per_second));
            std::fs::remove_dir_all(&dir).expect("the folder of a round");
        }
    }
    println!(
        "{:<12}{:<8}{:>10}{:>10}{:>10}  (us, medians of {rounds} rounds)",
        "", "", "p50", "p99", "p99.9"
    );
    for side in &sides {
        side.report();
    }
}

/// One way of writing in the background.
struct Side {
    name: &'static str,
    bytes_per_second: u64,
    rounds: Vec<Round>,
}

type TimesOf = fn(&Round) -> &[Duration];

/// What one round gave.
struct Round {
    commits: Vec<Duration>,
    reads: Vec<Duration>,
    arrived_bytes: u64,
    merged_bytes: u64,
    stalls: u64,
}

impl Side {
    fn new(name: &'static str, bytes_per_second: u64) -> Side {
        Side { name, bytes_per_second, rounds: Vec::new() }
    }

    fn report(&self) {
        let kinds: [(&str, TimesOf); 2] =
            [("commit", |round| &round.commits), ("read", |round| &round.reads)];
        for (what, times) in kinds {
            let quantile = |part: f64| {
                let each = self.rounds.iter().map(|round| {
                    let times = times(round);
                    times[((times.len() - 1) as f64 * part) as usize]
                });
                median(each).as_secs_f64() * 1e6
            };
            let (p50, p99, p999) = (quantile(0.5), quantile(0.99), quantile(0.999));
            println!("{:<12}{what:<8}{p50:>10.0}{p99:>10.0}{p999:>10.0}", self.name);
        }
        let of = |count: fn(&Round) -> u64| self.rounds.iter().map(count).collect::<Vec<_>>();
        println!(
            "{:<12}MB flushed {:?}, merged {:?}, stalls {:?}",
            self.name,
            of(|round| round.arrived_bytes / 1_000_000),
            of(|round| round.merged_bytes / 1_000_000),
            of(|round| round.stalls)
        );
    }
}

fn measure(dir: &Path, bytes_per_second: u64) -> Round {
    let options = Options {
        checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
        storage: hither::storage::Options {
            memtable_bytes_max: MEMTABLE_BYTES,
            background_bytes_per_second: bytes_per_second,
            ..hither::storage::Options::default()
        },
        ..Options::default()
    };
    let database = Database::open(Arc::new(DiskFs), dir, options).expect("a new directory");
    let (table, slots) = load(&database);
    database.checkpoint().expect("a checkpoint");
    let index = database.catalog().indexes_of(table).next().expect("the primary key").oid;
    let end = AtomicBool::new(false);
    let begin = Instant::now();
    let mut round = std::thread::scope(|scope| {
        let (database, slots, end) = (&database, &slots, &end);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(database, table, slots, writer, begin, end)))
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|reader| scope.spawn(move || read(database, table, index, reader, begin, end)))
            .collect();
        std::thread::sleep(WARM_UP);
        let before = database.storage_stats();
        std::thread::sleep(ROUND);
        end.store(true, Ordering::Relaxed);
        let after = database.storage_stats();
        let all = |threads: Vec<std::thread::ScopedJoinHandle<'_, Vec<Duration>>>| {
            let times =
                threads.into_iter().flat_map(|thread| thread.join().expect("a thread without a panic"));
            times.collect::<Vec<_>>()
        };
        Round {
            commits: all(writers),
            reads: all(readers),
            arrived_bytes: after.arrived_bytes - before.arrived_bytes,
            merged_bytes: after.merged_bytes - before.merged_bytes,
            stalls: after.stalls - before.stalls,
        }
    });
    round.commits.sort_unstable();
    round.reads.sort_unstable();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let count = txn.snapshot(table).and_then(|snapshot| snapshot.row_count()).expect("a count");
    assert_eq!(count, ROWS as u64, "updates leave as many rows as there were");
    drop(txn);
    database.close().expect("an orderly close");
    round
}

/// Calls `work` each so often, whether it was late before or not, and tells how long after each was due it was done.
fn steadily(every: Duration, begin: Instant, end: &AtomicBool, mut work: impl FnMut()) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0.. {
        let due = begin + every * number;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        if end.load(Ordering::Relaxed) {
            break;
        }
        // One that could begin in time counts from its beginning, for a sleep ends late; one that was held up from when it
        // was due.
        let now = Instant::now();
        let from = if now - due > every { due } else { now };
        work();
        if due >= begin + WARM_UP {
            times.push(from.elapsed());
        }
    }
    times
}

fn write(
    database: &Arc<Database>,
    table: Oid,
    slots: &[u32],
    writer: usize,
    begin: Instant,
    end: &AtomicBool,
) -> Vec<Duration> {
    let mut state = writer as u64;
    steadily(COMMIT_EVERY, begin, end, || {
        // Each has rows of its own, so that nobody waits for a lock.
        let mut ids: Vec<usize> =
            (0..BATCH).map(|_| random(&mut state) as usize % (ROWS / WRITERS) * WRITERS + writer).collect();
        ids.sort_unstable();
        ids.dedup();
        let slots: Vec<u32> = ids.iter().map(|id| slots[*id]).collect();
        let rows = ids.iter().zip(&slots).map(|(id, slot)| RowUpdate {
            slot: *slot,
            row: row(*id, random(&mut state)),
            vectors_changed: false,
        });
        let rows = rows.collect::<Vec<_>>();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let locked = done(txn.lock_rows(table, &slots));
        assert_eq!(locked, LockOutcome::Locked, "nobody else writes these rows");
        done(txn.update(table, &rows));
        txn.commit().expect("a commit");
    })
}

fn read(
    database: &Arc<Database>,
    table: Oid,
    index: Oid,
    reader: usize,
    begin: Instant,
    end: &AtomicBool,
) -> Vec<Duration> {
    let mut state = 1000 + reader as u64;
    steadily(READ_EVERY, begin, end, || {
        let id = random(&mut state) as i64 % ROWS as i64;
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(table).expect("the table");
        let slot = snapshot.lookup_key(index, &[Value::Int8(id)]).expect("a read").expect("the key");
        let row = snapshot.row(slot).expect("a read").expect("the row");
        let found = snapshot.layout().read(&row).and_then(|row| row.value(0)).expect("a sound row");
        assert_eq!(found, Value::Int8(id));
    })
}

/// The table with all its rows, and their slots.
fn load(database: &Arc<Database>) -> (Oid, Vec<u32>) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let oid = txn.new_oid();
    let column = |number, name: &str, ty| Column { not_null: true, ..Column::new(number, name, ty) };
    let key = ConstraintKind::PrimaryKey { columns: vec![1] };
    let table = Table {
        oid,
        schema: "public".into(),
        name: "items".into(),
        columns: vec![column(1, "id", Type::Int8), column(2, "body", Type::Text)],
        constraints: vec![Constraint::new(txn.new_oid(), "items_pkey", key)],
        ..Table::default()
    };
    done(txn.create_table(table, Vec::new()));
    txn.commit().expect("a commit");
    let mut slots = Vec::with_capacity(ROWS);
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<_> = (first..first + 1000).map(|id| row(id, id as u64)).collect();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let outcome = done(txn.insert(oid, &rows, OnConflict::Error));
        slots.extend(outcome.slots.into_iter().map(|slot| slot.expect("a new key")));
        txn.commit().expect("a commit");
    }
    (oid, slots)
}

fn row(id: usize, seed: u64) -> Vec<Value> {
    const WORDS: [&str; 16] = [
        "river", "engine", "quiet", "window", "paper", "seven", "mountain", "green", "question", "letter",
        "market", "silver", "people", "winter", "answer", "garden",
    ];
    let mut state = seed;
    let mut body = String::with_capacity(TEXT_BYTES + 10);
    while body.len() < TEXT_BYTES {
        body.push_str(WORDS[random(&mut state) as usize % 16]);
        body.push(' ');
    }
    vec![Value::Int8(id as i64), Value::Text(body.as_str().into())]
}
