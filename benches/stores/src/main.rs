//! The storage of Hither (log, group commit, LSM tree) beside embedded key-value stores, on the same work.
//!
//! `cargo run --release --manifest-path benches/stores/Cargo.toml -- [rows] [rounds]`
//!
//! Rows have a key of 8 bytes and some 160 bytes of words. Each engine works in a new folder below the present one, each
//! round in another order; every answer is checked. A figure is the median of the rounds, and the last column says how
//! Hither compares with the better of the others: above 1 it is ahead.
//!
//! What is durable: `commit` returns when its rows are synced (fdatasync); a load is over when all of it is. Caches have
//! 256 MB each, and all have the allocator that the server has. Everything else is as each engine has it by default.

mod engines;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use engines::{Engine, Fjall, Hither, Redb};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of one write of a load.
const BATCH: usize = 100;
/// Rows read by one short range.
const RANGE: usize = 100;
/// Commits of one connection; eight make four times as many.
const COMMITS: u64 = 3_000;

/// Rows per second by work, in the order it is done; bytes on disk last.
type Figures = Vec<(&'static str, f64)>;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<usize>().expect("a number"));
    let rows = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(3);
    let run = [measure::<Hither>, measure::<Fjall>, measure::<Redb>];
    let names = [Hither::NAME, Fjall::NAME, Redb::NAME];
    let mut all: [Vec<Figures>; 3] = Default::default();
    for round in 0..rounds {
        for turn in 0..run.len() {
            let engine = (round + turn) % run.len();
            eprintln!("round {} of {rounds}: {}", round + 1, names[engine]);
            all[engine].push(run[engine](rows));
        }
    }
    println!("| {rows} rows | {} | ratio |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len() + 1));
    for (work, (what, _)) in all[0][0].iter().enumerate() {
        let medians = all.each_ref().map(|rounds| median(rounds.iter().map(|figures| figures[work].1)));
        let (ours, better) = (medians[0], f64::max(medians[1], medians[2]));
        let ratio = if *what == SPACE { f64::min(medians[1], medians[2]) / ours } else { ours / better };
        let figures = medians.map(|figure| format!("{figure:.0}")).join(" | ");
        println!("| {what} | {figures} | {ratio:.2} |");
    }
}

const SPACE: &str = "MB on disk, log and journal not counted";

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// All work on one engine, in two folders: keys in order, keys at random.
fn measure<E: Engine>(rows: usize) -> Figures {
    let mut figures = Figures::new();
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk to be measured");
    let engine = E::open(folder.path());
    let start = Instant::now();
    load(&engine, (0..rows as u64).collect());
    figures.push(("load, keys in order, rows/s", per_second(rows, start)));
    drop(engine);
    drop(folder);

    let folder = tempfile::tempdir_in(".").expect("a folder on the disk to be measured");
    let mut engine = E::open(folder.path());
    let start = Instant::now();
    load(&engine, (0..rows as u64).map(scattered).collect());
    figures.push(("load, keys at random, rows/s", per_second(rows, start)));
    engine.settle();
    figures.push(("the same until flushes and compactions are done", per_second(rows, start)));
    engine.shrink();
    let bytes = engine.bytes();
    let engine = Arc::new(engine);

    for (what, count) in [("gets, rows/s", rows), ("gets again, rows/s", rows)] {
        let start = Instant::now();
        gets(&*engine, rows, count);
        figures.push((what, per_second(count, start)));
    }
    let start = Instant::now();
    for number in 0..rows as u64 {
        assert!(!engine.get(&key(scattered(number) ^ 1), |_| ()), "a key nobody wrote");
    }
    figures.push(("gets of absent keys /s", per_second(rows, start)));
    let start = Instant::now();
    assert_eq!(engine.scan(&key(0), rows + 1), (rows, rows as u64 * u64::from(b' ')), "all rows");
    figures.push(("scan of all, rows/s", per_second(rows, start)));
    let start = Instant::now();
    let ranges = (rows / RANGE) as u64;
    let mut read = 0;
    for number in 0..ranges {
        let (count, sum) = engine.scan(&key(scattered(number)), RANGE);
        assert!(count > 0 && sum == count as u64 * u64::from(b' '), "rows from one that is there");
        read += count;
    }
    assert!(read > ranges as usize * RANGE * 9 / 10, "ranges end early at the end only");
    figures.push(("short ranges, rows/s", per_second(read, start)));

    let first = AtomicU64::new(rows as u64);
    figures.push(("durable commits /s, one thread", commits(&engine, 1, COMMITS, &first)));
    figures.push(("durable commits /s, 8 threads", commits(&engine, 8, 4 * COMMITS, &first)));
    figures.push((SPACE, bytes as f64 / 1e6));
    figures
}

fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

fn load<E: Engine>(engine: &E, numbers: Vec<u64>) {
    for numbers in numbers.chunks(BATCH) {
        let rows: Vec<_> = numbers.iter().map(|number| (key(*number), row(*number))).collect();
        engine.write(&rows);
    }
    engine.sync();
}

fn gets<E: Engine>(engine: &E, rows: usize, count: usize) {
    let mut state = 7;
    for _ in 0..count {
        let number = scattered(random(&mut state) % rows as u64);
        let found = engine.get(&key(number), |row| assert_eq!(row[..8], key(number), "the key's row"));
        assert!(found, "the row of {number}");
    }
}

/// Commits of one row each per second.
fn commits<E: Engine>(engine: &Arc<E>, threads: u64, count: u64, next: &AtomicU64) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..count / threads {
                    let number = scattered(next.fetch_add(1, Ordering::Relaxed));
                    engine.commit(key(number), row(number));
                }
            });
        }
    });
    let rate = per_second(count as usize, start);
    let end = next.load(Ordering::Relaxed);
    for number in end - count..end {
        assert!(engine.get(&key(scattered(number)), |_| ()), "a committed row");
    }
    rate
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Another place for each number; always even, so that odd keys are absent.
fn scattered(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) << 1
}

/// Begins with its key.
fn row(number: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "river", "engine", "quiet", "window", "paper", "seven", "mountain", "green", "question", "letter",
        "market", "silver", "people", "winter", "answer", "garden",
    ];
    let mut state = number;
    let mut row = key(number).to_vec();
    for _ in 0..22 {
        row.extend_from_slice(WORDS[random(&mut state) as usize % 16].as_bytes());
        row.push(b' ');
    }
    row
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)) >> 16
}
