//! Exact search beside the memory it reads: how many bytes a second one query compares, and what many queries together cost.
//!
//! `cargo bench --no-default-features --bench exact [-- minilm|million]`
//!
//! `minilm` are the sentences of `HITHER_DATA` (77 MB, which may stay in a last-level cache), `million` 1,000,000 made
//! vectors of 128 dimensions (512 MB). The memory's own speed is that of adding up as many numbers one after the other.
//! With `serve` it answers `benches/flat.py` line by line, so that it takes turns with faiss.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use hither::distance::{Metric, Query};
use hither::index::{flat, tiles};
use hither::vectors::View;
use roaring::RoaringBitmap;

#[path = "data/mod.rs"]
mod data;
mod vectors;

use vectors::{process_cpu, stored, uniform};

const K: usize = 10;
/// Queries asked one by one.
const ALONE: usize = 100;
/// Queries compared together, as a statement does it at most.
const TOGETHER: usize = 256;
const ROUNDS: usize = 7;

struct Set {
    view: View,
    metric: Metric,
    dimensions: usize,
    slots: RoaringBitmap,
    queries: Vec<f32>,
    /// The vectors once more, in memory of the program's own.
    base: Vec<f32>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let (metric, dimensions, base, queries) = if has("minilm") {
        let Some(folder) = data::folder() else {
            println!("no data: set HITHER_DATA to a folder with minilm/");
            return;
        };
        let base = data::npy(&folder.join("minilm/base.npy"));
        let queries = data::npy(&folder.join("minilm/queries.npy")).floats();
        (Metric::Cosine, base.columns(), base.floats(), queries)
    } else {
        (Metric::L2, 128, made(1, 1_000_000 * 128), made(2, 1_000 * 128))
    };
    let slots = (0..(base.len() / dimensions) as u32).collect();
    let view = stored(&base, dimensions, &temporary.path().join("vectors"));
    let set = Set { view, metric, dimensions, slots, queries, base };
    println!("{} x {dimensions}, {metric:?}", set.slots.len());
    if has("serve") { serve(&set) } else { show(&set) }
}

/// Numbers between 0 and 1, from a seed.
fn made(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    (0..count).map(|_| uniform(&mut state)).collect()
}

/// Answers `alone` and `together` with the seconds of wall and processor time per query.
fn serve(set: &Set) {
    for line in std::io::stdin().lines() {
        let (count, (wall, cpu)) = match line.expect("a line of text").as_str() {
            "alone" => (ALONE, timed(|| alone(set))),
            "together" => (set.queries.len() / set.dimensions, timed(|| together(set))),
            other => panic!("not understood: {other}"),
        };
        println!("{} {}", wall / count as f64, cpu / count as f64);
    }
}

fn show(set: &Set) {
    let count = set.queries.len() / set.dimensions;
    let bytes = set.slots.len() as f64 * (4 * set.dimensions) as f64;
    let rate = |seconds: f64| bytes / seconds / 1e9;
    let median = |run: &dyn Fn()| {
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| timed(run).0).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
        println!("  memory, {threads} thread(s): {:.1} GB/s", rate(median(&|| read(set, threads))));
    }
    let seconds = median(&|| alone(set)) / ALONE as f64;
    println!("  one query: {:.2} ms, {:.1} GB/s", seconds * 1e3, rate(seconds));
    let seconds = median(&|| together(set)) / count as f64;
    let operations = 2.0 * set.slots.len() as f64 * set.dimensions as f64;
    let speed = operations / seconds / 1e9;
    println!("  {count} queries, {TOGETHER} together: {:.3} ms each, {speed:.0} GFLOP/s", seconds * 1e3);
}

fn timed(run: impl FnOnce()) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), process_cpu());
    run();
    (start.elapsed().as_secs_f64(), process_cpu() - cpu)
}

fn queries(set: &Set) -> Vec<Query<'_>> {
    set.queries.chunks_exact(set.dimensions).map(|query| Query::new(set.metric, query)).collect()
}

fn alone(set: &Set) {
    let never = AtomicBool::new(false);
    for query in queries(set).iter().take(ALONE) {
        let (hits, _) = flat::search(&set.view, query, &set.slots, K, &never).expect("an answer");
        assert_eq!(hits.len(), K);
    }
}

fn together(set: &Set) {
    let never = AtomicBool::new(false);
    for queries in queries(set).chunks(TOGETHER) {
        let found = tiles::search(&set.view, queries, &set.slots, K, &never).expect("answers");
        assert!(found.iter().all(|hits| hits.len() == K));
    }
}

/// Adds up all numbers, in as many pieces as threads.
fn read(set: &Set, threads: usize) {
    let pieces: Vec<&[f32]> = set.base.chunks(set.base.len().div_ceil(threads)).collect();
    std::thread::scope(|scope| {
        let others: Vec<_> = pieces[1..].iter().map(|piece| scope.spawn(move || added(piece))).collect();
        let first = added(pieces[0]);
        let all = others.into_iter().fold(first, |all, other| all + other.join().expect("a sum"));
        std::hint::black_box(all);
    });
}

/// As fast as they come: with the registers that the processor has.
#[allow(unsafe_code, reason = "code for instructions that only some processors have")]
fn added(values: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(values: &[f32]) -> f32 {
            in_lanes(values)
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has them.
            return unsafe { wide(values) };
        }
    }
    in_lanes(values)
}

#[inline(always)]
fn in_lanes(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut sums = [0.0f32; 64];
    chunks.iter().for_each(|chunk| sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x));
    sums.iter().chain(rest).sum()
}
