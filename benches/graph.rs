//! What the graph costs and what it finds: build time, recall and CPU microseconds per query at several ef, plain
//! and filtered, on real embeddings in a mapped vector column, walked through the vectors and through codes.
//!
//! `cargo bench --no-default-features --bench graph -- [minilm|sift] [none|f16|bf16|sq8|bq|pq] [build] [plain] [filtered]`
//!
//! `... --bench graph -- million none plain filtered` does the same on 1,000,000 generated points of 128 dimensions around
//! 1,000 centres: each is alike far from all of its cluster, which is the hardest for a graph of few links.
//!
//! `... --bench graph -- minilm serve` builds and searches as `benches/peers.py` tells it line by line, so that it takes
//! turns with other libraries.
//!
//! Every figure is given with its recall against the data's own ground truth, computed elsewhere. CPU time is the
//! thread's, so other work on the machine disturbs only through the caches.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Instant;

use hither::distance::{Metric, Query};
use hither::index::hnsw::{Graph, Params};
use hither::index::quantizer::Quantization;
use hither::index::{Finder, Probes, Request, Rows, Strategy, search};
use hither::vectors::View;
use roaring::RoaringBitmap;

#[path = "data/mod.rs"]
mod data;
mod vectors;

use vectors::{process_cpu, stored, thread_cpu, uniform};

const K: usize = 10;

struct Set {
    metric: Metric,
    dimensions: usize,
    queries: Vec<f32>,
    view: View,
    rows: u32,
    /// Where its exact answers and filters are; generated points have theirs worked out.
    folder: Option<std::path::PathBuf>,
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |what: &str, of: &[&str]| {
        arguments.iter().any(|argument| argument == what)
            || !arguments.iter().any(|argument| of.contains(&argument.as_str()))
    };
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let sets = ["minilm", "sift"];
    let parts = ["build", "plain", "filtered"];
    let mut chosen = Vec::new();
    if arguments.iter().any(|argument| argument == "million") {
        chosen.push(million(temporary.path()));
    } else {
        let Some(folder) = data::folder() else {
            println!("no data: set HITHER_DATA to a folder with minilm/ and sift/");
            return;
        };
        let known = [("minilm", Metric::Cosine), ("sift", Metric::L2)];
        let wanted = known.into_iter().filter(|(name, _)| wants(name, &sets));
        chosen.extend(wanted.map(|(name, metric)| load(&folder, name, metric, temporary.path())));
    }
    for set in chosen {
        if arguments.iter().any(|argument| argument == "serve") {
            serve(&set);
            return;
        }
        let all = std::iter::once(None).chain(Quantization::ALL.map(Some));
        let names: Vec<&str> = all.clone().map(|one| one.map_or("none", Quantization::name)).collect();
        for quantization in all {
            let name = quantization.map_or("none", Quantization::name);
            if !wants(name, &names) {
                continue;
            }
            println!("  quantization: {name}");
            let graph = Finder::Graph(build(&set, quantization, wants("build", &parts)));
            if wants("plain", &parts) {
                plain(&set, &graph);
            }
            if wants("filtered", &parts) {
                filtered(&set, &graph);
            }
        }
    }
}

fn load(folder: &Path, name: &'static str, metric: Metric, temporary: &Path) -> Set {
    let folder = folder.join(name);
    let base = data::npy(&folder.join("base.npy"));
    let queries = data::npy(&folder.join("queries.npy")).floats();
    let view = stored(&base.floats(), base.columns(), &temporary.join(name));
    println!("{name}: {} x {}, {metric:?}", base.rows(), base.columns());
    let (dimensions, rows) = (base.columns(), base.rows() as u32);
    Set { metric, dimensions, queries, view, rows, folder: Some(folder) }
}

/// Points around centres, as `hither bench` makes them: a spread of half the centres' own in each dimension.
fn million(temporary: &Path) -> Set {
    const ROWS: usize = 1_000_000;
    const CLUSTERS: usize = 1000;
    const DIMENSIONS: usize = 128;
    let mut state = 1_u64;
    // Nearly normal: the sum of twelve uniform numbers, less six.
    let mut normal = |_| (0..12).map(|_| uniform(&mut state)).sum::<f32>() - 6.0;
    let centres: Vec<f32> = (0..CLUSTERS * DIMENSIONS).map(&mut normal).collect();
    // 7919 has no factor of a thousand: all clusters take turns, near ones not one after another.
    let mut points = |count: usize| -> Vec<f32> {
        let value = |number: usize| {
            let centre = number / DIMENSIONS * 7919 % CLUSTERS;
            centres[centre * DIMENSIONS + number % DIMENSIONS] + 0.5 * normal(0)
        };
        (0..count * DIMENSIONS).map(value).collect()
    };
    let view = stored(&points(ROWS), DIMENSIONS, &temporary.join("million"));
    println!("million: {ROWS} x {DIMENSIONS}, L2");
    let queries = points(200);
    Set { metric: Metric::L2, dimensions: DIMENSIONS, queries, view, rows: ROWS as u32, folder: None }
}

fn build(set: &Set, quantization: Option<Quantization>, both: bool) -> Graph {
    let mut graph = None;
    for threads in if both { vec![1, 2] } else { vec![2] } {
        let (built, wall, cpu) = build_on(set, quantization, threads);
        graph = Some(built);
        println!("  build, {threads} thread(s): {wall:.2} s wall, {cpu:.2} s CPU");
    }
    let graph = graph.expect("at least one build");
    println!("  {:.1} MB of links and codes", graph.bytes() as f64 / 1e6);
    graph
}

/// A graph, and the seconds of wall and processor time it took.
fn build_on(set: &Set, quantization: Option<Quantization>, threads: usize) -> (Graph, f64, f64) {
    let params = Params::new(16, 64, set.metric).expect("defaults").quantized(quantization);
    let slots: RoaringBitmap = (0..set.rows).collect();
    let (start, cpu) = (Instant::now(), process_cpu());
    let (progress, cancel) = (AtomicU32::new(0), AtomicBool::new(false));
    let graph = Graph::build(params, &set.view, &slots, threads, &progress, &cancel).expect("a build");
    (graph, start.elapsed().as_secs_f64(), process_cpu() - cpu)
}

/// Answers `build QUANTIZATION` with seconds of wall and processor time on two threads, and `search QUANTIZATION EF` with
/// the recall and the processor's microseconds per query of one pass over all queries.
fn serve(set: &Set) {
    let all = (0..set.rows).collect();
    let truth = truth(set, "all", &all);
    let mut graphs: Vec<(String, Finder)> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("a line of text");
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["build", name] => {
                graphs.retain(|(other, _)| other != name);
                let quantization = Quantization::from_name(name);
                assert!(quantization.is_some() || name == "none", "no quantization {name}");
                let (graph, wall, cpu) = build_on(set, quantization, 2);
                graphs.push((name.to_owned(), Finder::Graph(graph)));
                println!("{wall} {cpu}");
            }
            ["search", name, ef] => {
                let ef = ef.parse().expect("a number of candidates");
                let (_, graph) =
                    graphs.iter().find(|(other, _)| other == name).expect("a graph built before");
                let pass = pass(set, graph, &all, &truth, Some(Strategy::Graph), ef);
                println!("{} {}", pass.recall, pass.cpu * 1e6);
            }
            _ => panic!("not understood: {line}"),
        }
    }
}

fn plain(set: &Set, graph: &Finder) {
    let all = (0..set.rows).collect();
    let truth = truth(set, "all", &all);
    for ef in [10, 20, 40, 60, 80, 120, 200, 400] {
        measure(set, graph, &all, &truth, Some(Strategy::Graph), ef);
    }
}

fn filtered(set: &Set, graph: &Finder) {
    for (name, allowed) in filters(set) {
        let truth = truth(set, &name, &allowed);
        println!(
            "  {name}: {} rows, {:.3} %",
            allowed.len(),
            allowed.len() as f64 / f64::from(set.rows) * 100.0
        );
        for strategy in
            [None, Some(Strategy::Exact), Some(Strategy::FilteredGraph), Some(Strategy::TestedGraph)]
        {
            for ef in [40, 80] {
                measure(set, graph, &allowed, &truth, strategy, ef);
                if strategy == Some(Strategy::Exact) {
                    break;
                }
            }
        }
    }
}

fn measure(
    set: &Set,
    graph: &Finder,
    allowed: &RoaringBitmap,
    truth: &[Vec<u32>],
    strategy: Option<Strategy>,
    ef: usize,
) {
    let passes = || (0..3).map(|_| pass(set, graph, allowed, truth, strategy, ef));
    let best = passes().min_by(|a, b| a.cpu.total_cmp(&b.cpu)).expect("three passes");
    let n = truth.len() as f64;
    println!(
        "    {:<16} ef {ef:>3}: recall {:.4}, {:7.1} us CPU, {:.0} distances, {:.0} visited, {} fell{}",
        strategy.map_or("chosen", Strategy::name),
        best.recall,
        best.cpu * 1e6,
        best.distances as f64 / n,
        best.visited as f64 / n,
        best.fell,
        if strategy.is_none() {
            format!(" -> {} (cost {:.0})", best.used.name(), best.cost)
        } else {
            String::new()
        }
    );
}

/// One search for every query.
struct Pass {
    recall: f64,
    /// Seconds of this thread per query.
    cpu: f64,
    distances: u64,
    visited: u64,
    fell: usize,
    used: Strategy,
    cost: f32,
}

fn pass(
    set: &Set,
    graph: &Finder,
    allowed: &RoaringBitmap,
    truth: &[Vec<u32>],
    strategy: Option<Strategy>,
    ef: usize,
) -> Pass {
    let (tail, cancel) = (RoaringBitmap::new(), AtomicBool::new(false));
    let mut pass =
        Pass { recall: 0.0, cpu: 0.0, distances: 0, visited: 0, fell: 0, used: Strategy::Exact, cost: 0.0 };
    let cpu = thread_cpu();
    for (number, vector) in set.queries.chunks_exact(set.dimensions).enumerate() {
        let request = Request {
            vectors: &set.view,
            query: Query::new(set.metric, vector),
            rows: Rows::exactly(allowed),
            finder: Some(graph),
            probes: Probes { first: 1, most: 1 },
            tail: &tail,
            k: K,
            ef,
            distances_max: u64::MAX,
            strategy,
            cancel: &cancel,
        };
        let found = search(&request).expect("an answer");
        assert_eq!(found.hits.len(), K.min(allowed.len() as usize), "a filter never costs rows");
        assert!(found.hits.iter().all(|hit| allowed.contains(hit.slot)));
        pass.distances += found.counters.distances;
        pass.visited += found.counters.visited;
        pass.fell += usize::from(found.fell_from.is_some());
        (pass.used, pass.cost) = (found.strategy, found.costs.get(found.strategy));
        pass.recall += recall_of(found.hits.iter().map(|hit| hit.slot), &truth[number]);
    }
    pass.cpu = (thread_cpu() - cpu) / truth.len() as f64;
    pass.recall /= truth.len() as f64;
    pass
}

/// The nearest of the rows that a filter allows: the data's own, or worked out by comparing all.
fn truth(set: &Set, name: &str, allowed: &RoaringBitmap) -> Vec<Vec<u32>> {
    let Some(folder) = &set.folder else {
        let queries = set.queries.chunks_exact(set.dimensions);
        let nearest = |vector| {
            let query = Query::new(set.metric, vector);
            let mut ranks: Vec<(f32, u32)> = allowed
                .iter()
                .map(|slot| (query.rank(set.view.get(slot), set.view.norm(slot)), slot))
                .collect();
            ranks.select_nth_unstable_by(K, |a, b| a.0.total_cmp(&b.0));
            ranks[..K].iter().map(|&(_, slot)| slot).collect()
        };
        return queries.map(nearest).collect();
    };
    let array = data::npz(&folder.join("gt.npz"), name);
    let columns = array.columns();
    let row = |row: &[i64]| row[..K].iter().filter(|&&slot| slot >= 0).map(|&slot| slot as u32).collect();
    array.integers().chunks_exact(columns).map(row).collect()
}

fn recall_of(found: impl Iterator<Item = u32>, truth: &[u32]) -> f64 {
    found.filter(|slot| truth.contains(slot)).count() as f64 / truth.len() as f64
}

fn filters(set: &Set) -> Vec<(String, RoaringBitmap)> {
    let Some(folder) = &set.folder else {
        // Fibonacci hashing: which rows are allowed has nothing to do with their cluster.
        let draw = |slot: u32| slot.wrapping_mul(2_654_435_769) >> 12;
        let below = |share: f64| {
            (0..set.rows).filter(move |&slot| f64::from(draw(slot)) < share * f64::from(1 << 20))
        };
        return [0.5, 0.1, 0.01, 0.001].map(|share| (format!("{share}"), below(share).collect())).to_vec();
    };
    let text = std::fs::read_to_string(folder.join("filters.json")).expect("filters");
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list of filters");
    let meta = |name: &str| data::npz(&folder.join("meta.npz"), name);
    let of = |filter: &serde_json::Value| {
        let field = |name: &str| filter[name].as_str().unwrap_or_default().to_owned();
        let (column, operator) = (field("col"), field("op"));
        let value = match filter["value"].as_i64() {
            Some(value) => value,
            None => category(set, filter["value"].as_str().expect("a name")),
        };
        let matches = |x: i64| if operator == "<" { x < value } else { x == value };
        let values = meta(&column).integers();
        let slots =
            values.iter().enumerate().filter(|(_, value)| matches(**value)).map(|(slot, _)| slot as u32);
        (field("name"), slots.collect::<RoaringBitmap>())
    };
    list.iter().map(of).collect()
}

/// The number of a category's name: numpy's fixed-width byte strings.
fn category(set: &Set, name: &str) -> i64 {
    let folder = set.folder.as_deref().expect("only data in files have categories");
    let names = data::npz(&folder.join("meta.npz"), "category_names").strings();
    names.iter().position(|other| other == name).expect("a known category") as i64
}
