//! Filtered search at a size where no strategy wins everywhere: 1,000,000 x 128, filters of 50 to 0.1 %, independent of the
//! vectors and going with them. Shows for each what every strategy costs, what it finds, and which one the costs choose.
//!
//! `cargo bench --no-default-features --bench filters [-- ROWS [QUANTIZATION]]`
//!
//! The vectors are made, from a seed: points of 256 overlapping clusters in 24 dimensions, turned into 128 and blurred a
//! little, so that near a point they have about as many dimensions as descriptors of images have. A filter that goes with
//! the vectors allows whole clusters; queries come from all clusters, so that for most of them nothing near is allowed.
//! Truth is what the exact search finds. With `HITHER_KEEP` the graph is kept in that folder for the next run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use hither::distance::{Element, Metric, Query};
use hither::fs::DiskFs;
use hither::index::hnsw::{Graph, Params};
use hither::index::quantizer::Quantization;
use hither::index::{Finder, Found, Probes, Request, Rows, Strategy, search};
use hither::vectors::{Column, View};
use roaring::RoaringBitmap;

const DIMENSIONS: usize = 128;
const LATENT: usize = 24;
const CLUSTERS: usize = 256;
const QUERIES: usize = 100;
const K: usize = 10;
const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 0.001];
const EFS: [usize; 2] = [40, 100];

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000u32);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let mut made = Made::new();
    let column =
        Column::create(Arc::new(DiskFs), temporary.path(), 1, (Element::F32, DIMENSIONS)).expect("a column");
    column.reserve(rows).expect("room");
    let mut clusters = Vec::with_capacity(rows as usize);
    for slot in 0..rows {
        let (cluster, vector) = made.point();
        clusters.push(cluster);
        let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        column.write_run(slot, &[Some(&bytes)]).expect("a write");
    }
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| made.point().1).collect();
    let view = column.view();
    let quantization = std::env::args().find_map(|argument| Quantization::from_name(&argument));
    let graph = Finder::Graph(graph(&view, rows, quantization));
    let of = quantization.map_or("none", Quantization::name);
    println!(
        "{rows} x {DIMENSIONS}, L2, quantization {of}, {QUERIES} queries, k = {K}; recall, CPU us (distances)"
    );
    let mut random = Numbers(7);
    let unit: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
    for share in SHARES {
        for (kind, allowed) in [
            ("random", (0..rows).filter(|&slot| unit[slot as usize] < share).collect::<RoaringBitmap>()),
            ("by cluster", by_cluster(rows, &clusters, &unit, share)),
        ] {
            println!("{:.1} % {kind}: {} rows", share * 100.0, allowed.len());
            compare(&view, &graph, &allowed, &queries);
        }
    }
}

/// Whole clusters, and of the last one as many rows as are missing.
fn by_cluster(rows: u32, clusters: &[usize], unit: &[f64], share: f64) -> RoaringBitmap {
    let whole = share * CLUSTERS as f64;
    let allowed = |slot: usize| {
        let left = whole - clusters[slot] as f64;
        left >= 1.0 || unit[slot] < left
    };
    (0..rows).filter(|&slot| allowed(slot as usize)).collect()
}

fn graph(view: &View, rows: u32, quantization: Option<Quantization>) -> Graph {
    let kept = std::env::var_os("HITHER_KEEP").map(|folder| {
        PathBuf::from(folder).join(format!("{rows}{}.hnsw", quantization.map_or("", Quantization::name)))
    });
    if let Some(path) = kept.as_ref().filter(|path| path.exists()) {
        return Graph::open(&DiskFs, path).expect("a graph kept before").0;
    }
    let (progress, cancel) = (AtomicU32::new(0), AtomicBool::new(false));
    let params = Params::new(16, 64, Metric::L2).expect("defaults").quantized(quantization);
    let graph = Graph::build(params, view, &(0..rows).collect(), 2, &progress, &cancel).expect("a build");
    if let Some(path) = kept {
        graph.save(&DiskFs, &path, DIMENSIONS, 0).expect("room for the graph");
    }
    graph
}

fn compare(view: &View, graph: &Finder, allowed: &RoaringBitmap, queries: &[Vec<f32>]) {
    let ask = |query: &[f32], strategy, ef| -> Found {
        let (tail, cancel) = (RoaringBitmap::new(), AtomicBool::new(false));
        search(&Request {
            vectors: view,
            query: Query::new(Metric::L2, query),
            rows: Rows::exactly(allowed),
            finder: Some(graph),
            probes: Probes { first: 1, most: 1 },
            tail: &tail,
            k: K,
            ef,
            distances_max: u64::MAX,
            strategy,
            cancel: &cancel,
        })
        .expect("an answer")
    };
    let all = |strategy, ef| {
        let cpu = thread_cpu();
        let found: Vec<Found> = queries.iter().map(|query| ask(query, strategy, ef)).collect();
        (found, (thread_cpu() - cpu) / queries.len() as f64 * 1e6)
    };
    let (exact, exact_us) = all(Some(Strategy::Exact), K);
    let farthest: Vec<f32> =
        exact.iter().map(|found| found.hits.last().map_or(0.0, |hit| hit.rank)).collect();
    println!("  {:<15} {:>24}", "exact", format!("1.000, {exact_us:.0}"));
    for ef in EFS {
        for strategy in [Some(Strategy::FilteredGraph), Some(Strategy::TestedGraph), None] {
            let (found, us) = all(strategy, ef);
            let near = |(found, farthest): (&Found, &f32)| {
                found.hits.iter().filter(|hit| hit.rank <= *farthest).count()
            };
            let recall =
                found.iter().zip(&farthest).map(near).sum::<usize>() as f64 / (K * queries.len()) as f64;
            let distances =
                found.iter().map(|found| found.counters.distances).sum::<u64>() / queries.len() as u64;
            let fell = found.iter().filter(|found| found.fell_from.is_some()).count();
            let first = &found[0];
            let cost = first.costs.get(strategy.unwrap_or(first.strategy));
            println!(
                "  {:<15} ef {ef:>3}: {} ({distances}), expected {cost:.0}, {fell} fell{}",
                strategy.map_or("chosen", Strategy::name),
                format_args!("{recall:.3}, {us:.0}"),
                if strategy.is_none() { format!(" -> {}", first.strategy.name()) } else { String::new() }
            );
        }
    }
}

/// Numbers that look random, from a seed: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, of variance 1.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| self.unit() - 0.5).sum();
        (sum * 3f64.sqrt()) as f32
    }
}

struct Made {
    numbers: Numbers,
    centres: Vec<[f32; LATENT]>,
    turn: Vec<[f32; LATENT]>,
}

impl Made {
    fn new() -> Made {
        let mut numbers = Numbers(42);
        let mut vectors = |count: usize, scale: f32| -> Vec<[f32; LATENT]> {
            (0..count).map(|_| std::array::from_fn(|_| numbers.normal() * scale)).collect()
        };
        let (centres, turn) = (vectors(CLUSTERS, 1.5), vectors(DIMENSIONS, 1.0));
        Made { numbers, centres, turn }
    }

    /// A point, and the cluster it is of.
    fn point(&mut self) -> (usize, Vec<f32>) {
        let cluster = (self.numbers.next() % CLUSTERS as u64) as usize;
        let latent: [f32; LATENT] =
            std::array::from_fn(|at| self.centres[cluster][at] + self.numbers.normal());
        let turned = |row: &[f32; LATENT]| row.iter().zip(&latent).map(|(a, b)| a * b).sum::<f32>();
        let vector = self.turn.iter().map(|row| turned(row) + 0.3 * self.numbers.normal()).collect();
        (cluster, vector)
    }
}

#[allow(unsafe_code, reason = "std has no CPU clocks")]
fn thread_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "a CPU clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
