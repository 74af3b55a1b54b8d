//! What searches find: the graph held against the exact search, on generated vectors and, where it is present, on
//! the real data set.
//!
//! Lists stand beside graphs. Shown here: recall for each metric, with duplicates, after concurrent inserts, after a trip to the disk; a
//! filter never costs rows, whatever the strategy; a damaged file is refused or harmless.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use hither::distance::{Element, Metric, Query, Vector};
use hither::fs::{Fs, MemoryFs, OpenMode};
use hither::index::hnsw::{Expansion, Graph, Inserted, Params, Scratch};
use hither::index::ivf::{self, Lists};
use hither::index::quantizer::Quantization;
use hither::index::room::Room;
use hither::index::source::Flat;
use hither::index::{Finder, Hit, Probes, Request, Rows, Strategy, Vectors, flat, search};
use proptest::prelude::*;
use roaring::RoaringBitmap;

#[path = "recall/codes.rs"]
mod codes;
#[path = "../benches/data/mod.rs"]
mod data;
#[path = "recall/grid.rs"]
mod grid;
#[path = "recall/target.rs"]
mod target;

const K: usize = 10;
static CANCEL: AtomicBool = AtomicBool::new(false);

/// xorshift: tests must not depend on anybody's idea of randomness.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    }
}

/// Vectors around 50 centres, as embeddings are; `distinct` of them, each repeated evenly to make `rows`.
fn clustered(rows: usize, distinct: usize, dimensions: usize, seed: u64) -> Flat {
    let mut random = Random(seed | 1);
    let centres: Vec<f32> = (0..50 * dimensions).map(|_| random.unit() * 2.0).collect();
    let mut vectors: Vec<Vec<f32>> = Vec::new();
    for _ in 0..distinct {
        let centre = random.below(50) as usize * dimensions;
        vectors.push((0..dimensions).map(|i| centres[centre + i] + random.unit()).collect());
    }
    let pick = |row: usize, random: &mut Random| {
        if row < distinct { row } else { random.below(distinct as u64) as usize }
    };
    let values = (0..rows).flat_map(|row| vectors[pick(row, &mut random)].clone()).collect();
    Flat::new(dimensions, values)
}

fn all(rows: u32) -> RoaringBitmap {
    (0..rows).collect()
}

fn build(vectors: &Flat, metric: Metric, threads: usize) -> Graph {
    let params = Params::new(8, 64, metric).unwrap();
    let progress = AtomicU32::new(0);
    let graph =
        Graph::build(params, vectors, &all(vectors.slots_end()), threads, &progress, &CANCEL).unwrap();
    assert_eq!(graph.check().damage, Vec::<String>::new());
    graph
}

/// Recall by rank: a hit counts when it is no farther than the k-th exact one, so equal vectors are equal.
fn recall(vectors: &Flat, graph: &Graph, metric: Metric, queries: &Flat, ef: usize) -> f64 {
    recall_among(vectors, &all(vectors.slots_end()), graph, metric, queries, ef)
}

/// The same when only some slots are nodes.
fn recall_among(
    vectors: &Flat,
    live: &RoaringBitmap,
    graph: &Graph,
    metric: Metric,
    queries: &Flat,
    ef: usize,
) -> f64 {
    let mut scratch = Scratch::new();
    let mut right = 0;
    for number in 0..queries.slots_end() {
        let query = Query::new(metric, queries.get(number));
        let (truth, _) = flat::search(vectors, &query, live, K, &CANCEL).unwrap();
        let (hits, _) = graph.search(vectors, &query, ef, &mut scratch);
        assert_ordered(&hits);
        assert!(hits.iter().all(|hit| live.contains(hit.slot)), "a slot that was taken out is found");
        right += hits.iter().take(K).filter(|hit| hit.rank <= truth[K - 1].rank).count();
    }
    right as f64 / f64::from(queries.slots_end()) / K as f64
}

fn assert_ordered(hits: &[Hit]) {
    assert!(hits.windows(2).all(|pair| pair[0].key() < pair[1].key()), "ascending, no slot twice: {hits:?}");
}

#[test]
fn recall_is_high_for_every_metric() {
    let (vectors, queries) = (clustered(3_000, 3_000, 24, 1), clustered(100, 100, 24, 1));
    for (metric, least) in
        [(Metric::L2, 0.97), (Metric::Cosine, 0.97), (Metric::L1, 0.97), (Metric::InnerProduct, 0.90)]
    {
        let graph = build(&vectors, metric, 2);
        let recall = recall(&vectors, &graph, metric, &queries, 80);
        assert!(recall >= least, "{metric:?}: {recall}");
        let report = graph.check();
        assert!(report.unreachable <= 30 || metric == Metric::InnerProduct, "{metric:?}: {report:?}");
    }
}

/// The same vectors as halves, and their signs as bits.
fn as_element(vectors: &Flat, element: Element) -> Flat {
    let rows: Vec<&[f32]> = (0..vectors.slots_end()).map(|slot| vectors.get(slot).as_f32()).collect();
    let dimensions = vectors.dimensions();
    match element {
        Element::F32 => Flat::new(dimensions, rows.concat()),
        Element::F16 => {
            Flat::halves(dimensions, rows.concat().into_iter().map(hither::types::f16::from_f32).collect())
        }
        Element::Bit => {
            let bits = |row: &[f32]| hither::types::Bits::from_iter(row.iter().map(|&x| x > 0.0));
            Flat::bits(dimensions, rows.iter().flat_map(|row| bits(row).bytes().to_vec()).collect())
        }
        Element::Sparse => {
            let sparse = |row: &&[f32]| hither::types::Sparsevec::of_dense(row).unwrap();
            Flat::sparse(dimensions, rows.iter().map(sparse).collect())
        }
    }
}

#[test]
fn recall_is_as_high_when_memory_is_short() {
    let (vectors, queries) = (clustered(10_000, 9_000, 24, 21), clustered(100, 100, 24, 21));
    let slots = all(vectors.slots_end());
    for metric in [Metric::L2, Metric::Cosine, Metric::L1] {
        let fs = Arc::new(MemoryFs::new());
        let room = Room::new(fs, "/spill".into(), 10_000).unwrap();
        let params = hither::index::finder::Params::Graph(Params::new(8, 64, metric).unwrap());
        let progress = AtomicU32::new(0);
        let built = Finder::build(params, &room, &vectors, &slots, 2, &progress, &CANCEL).unwrap();
        let Finder::Graph(graph) = built else { panic!("a graph was asked for") };
        assert_eq!(graph.check().damage, Vec::<String>::new());
        assert_eq!((progress.into_inner(), graph.len()), (10_000, 10_000));
        let recall = recall(&vectors, &graph, metric, &queries, 80);
        assert!(recall >= 0.95, "{metric:?}: {recall}");
    }
}

/// Where memory has room for some hundred rows to make codes of, codes of more will not be had by a build anew.
#[test]
fn codes_of_a_small_sample_stay_where_memory_is_short() {
    let vectors = clustered(4_000, 4_000, 24, 21);
    let slots = all(vectors.slots_end());
    for quantization in [Quantization::Pq, Quantization::Bq] {
        let room = Room::new(Arc::new(MemoryFs::new()), "/spill".into(), 200_000).unwrap();
        let params = Params { quantization: Some(quantization), ..Params::new(8, 64, Metric::L2).unwrap() };
        let params = hither::index::finder::Params::Graph(params);
        let built = Finder::build(params, &room, &vectors, &slots, 2, &AtomicU32::new(0), &CANCEL).unwrap();
        assert!(!built.is_outgrown(slots.len()), "{quantization:?}");
        // They would be, of a part of the memory that there is.
        let part = room.part(20_000);
        let built = Finder::build(params, &part, &vectors, &slots, 2, &AtomicU32::new(0), &CANCEL).unwrap();
        part.widen();
        assert!(built.is_outgrown(slots.len()), "{quantization:?}");
    }
}

#[test]
fn recall_is_high_for_halves_and_bits() {
    for (element, dimensions) in [(Element::F16, 24), (Element::Bit, 129)] {
        let vectors = as_element(&clustered(3_000, 3_000, dimensions, 1), element);
        let queries = as_element(&clustered(100, 100, dimensions, 1), element);
        for &metric in Metric::of(element) {
            let graph = build(&vectors, metric, 2);
            let least = if metric == Metric::InnerProduct { 0.90 } else { 0.95 };
            let recall = recall(&vectors, &graph, metric, &queries, 80);
            assert!(recall >= least, "{element:?}, {metric:?}: {recall}");
        }
    }
}

/// Documents of about 30 of 2,000 words: most of a topic's 60, some of anybody's.
fn documents(rows: usize, seed: u64) -> Flat {
    let mut random = Random(seed | 1);
    let words = |random: &mut Random| {
        let topic = random.below(40) as u32 * 60;
        let mut words: Vec<u32> = (0..24).map(|_| (topic * 7 + random.below(60) as u32) % 2_000).collect();
        words.extend((0..8).map(|_| random.below(2_000) as u32));
        words.sort_unstable();
        words.dedup();
        words
    };
    let vectors = (0..rows).map(|_| {
        let words = words(&mut random);
        let elements: Vec<(u32, f32)> = words.iter().map(|&word| (word, 1.0 + random.unit())).collect();
        hither::types::Sparsevec::new(2_000, elements.into_iter())
    });
    Flat::sparse(2_000, vectors.collect())
}

#[test]
fn recall_is_high_for_sparse_vectors() {
    let (vectors, queries) = (documents(3_000, 5), documents(100, 6));
    for &metric in Metric::of(Element::Sparse) {
        let graph = build(&vectors, metric, 2);
        let least = if metric == Metric::InnerProduct { 0.85 } else { 0.95 };
        let recall = recall(&vectors, &graph, metric, &queries, 80);
        assert!(recall >= least, "{metric:?}: {recall}");
    }
}

#[test]
fn duplicates_break_neither_links_nor_recall() {
    let queries = clustered(100, 100, 24, 2);
    // 30 % repeated, 99 % repeated, one vector only.
    for distinct in [2_100, 30, 1] {
        let vectors = clustered(3_000, distinct, 24, 2);
        let graph = build(&vectors, Metric::L2, 2);
        let report = graph.check();
        assert_eq!(report.nodes, 3_000);
        assert!(report.twins as usize >= 3_000 - distinct - 2, "{distinct} distinct: {report:?}");
        let recall = recall(&vectors, &graph, Metric::L2, &queries, 80);
        assert!(recall >= 0.97, "{distinct} distinct: {recall}");
    }
}

#[test]
fn half_the_rows_in_one_place_do_not_fence_off_the_rest() {
    let (mut values, spread) = (vec![0.25f32; 1_500 * 16], clustered(1_500, 1_500, 16, 3));
    (0..1_500).for_each(|slot| values.extend_from_slice(spread.get(slot).as_f32()));
    let vectors = Flat::new(16, values);
    let graph = build(&vectors, Metric::L2, 1);
    let recall = recall(&vectors, &graph, Metric::L2, &clustered(100, 100, 16, 3), 80);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn rows_without_a_distance_are_not_nodes() {
    let mut vectors = clustered(100, 100, 8, 4);
    vectors.set_null(7);
    let graph = build(&vectors, Metric::L2, 1);
    assert!(!graph.contains(7) && graph.len() == 99);
    let zeros = Flat::new(2, vec![0.0, 0.0, 1.0, 0.0]);
    let cosine = Graph::new(Params::new(2, 4, Metric::Cosine).unwrap());
    let mut scratch = Scratch::new();
    assert_eq!(cosine.insert(&zeros, 0, &mut scratch), Inserted::NoVector);
    assert_eq!(cosine.insert(&zeros, 1, &mut scratch), Inserted::Linked);
    assert_eq!(cosine.insert(&zeros, 1, &mut scratch), Inserted::Present);
    assert_eq!(cosine.insert(&zeros, 2, &mut scratch), Inserted::NoVector);
}

#[test]
fn inserts_and_searches_run_at_once() {
    let vectors = clustered(4_000, 3_500, 16, 5);
    let graph = Graph::new(Params::new(8, 64, Metric::L2).unwrap());
    let next = AtomicU32::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut scratch = Scratch::new();
                    loop {
                        let slot = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if slot >= 4_000 {
                            return;
                        }
                        graph.insert(&vectors, slot, &mut scratch);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut scratch = Scratch::new();
            let mut number = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let query = Query::new(Metric::L2, vectors.get(number % 4_000));
                assert_ordered(&graph.search(&vectors, &query, 40, &mut scratch).0);
                number += 17;
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((graph.len(), graph.check().damage), (4_000, vec![]));
    let recall = recall(&vectors, &graph, Metric::L2, &clustered(100, 100, 16, 5), 80);
    assert!(recall >= 0.97, "{recall}");
}

fn take_out(graph: &Graph, vectors: &Flat, slots: &RoaringBitmap) -> u64 {
    graph.remove(vectors, slots, 2, &CANCEL).unwrap()
}

/// Twenty times a tenth of the rows is replaced, as vacuum and the indexer do it.
#[test]
fn a_graph_that_was_repaired_finds_what_a_new_one_finds() {
    const LIVE: u32 = 3_000;
    const TENTH: u32 = LIVE / 10;
    for (metric, seed) in [(Metric::L2, 11), (Metric::Cosine, 12), (Metric::InnerProduct, 13)] {
        let rows = LIVE + 20 * TENTH;
        let (vectors, queries) =
            (clustered(rows as usize, rows as usize, 24, seed), clustered(200, 200, 24, seed));
        let params = Params::new(8, 64, metric).unwrap();
        let build = |slots: &RoaringBitmap| {
            Graph::build(params, &vectors, slots, 2, &AtomicU32::new(0), &CANCEL).unwrap()
        };
        let mut live = all(LIVE);
        let graph = build(&live);
        let mut random = Random(seed);
        for cycle in 0..20 {
            let mut going = RoaringBitmap::new();
            while going.len() < u64::from(TENTH) {
                going.extend(live.select(random.below(live.len()) as u32));
            }
            assert_eq!(take_out(&graph, &vectors, &going), u64::from(TENTH));
            live -= &going;
            assert_eq!(*graph.nodes(), live);
            assert_eq!(graph.check().damage, Vec::<String>::new(), "cycle {cycle}");
            let coming: RoaringBitmap = (0..TENTH).map(|n| LIVE + cycle * TENTH + n).collect();
            graph.add(&vectors, &coming, 2, &AtomicU32::new(0), &CANCEL).unwrap();
            live |= coming;
        }
        let fresh = build(&live);
        for ef in [20, 40, 80] {
            let recall = |graph| recall_among(&vectors, &live, graph, metric, &queries, ef);
            let (repaired, fresh) = (recall(&graph), recall(&fresh));
            println!("{metric:?}, ef {ef}: repaired {repaired:.4}, built anew {fresh:.4}");
            assert!(
                repaired >= fresh - 0.01,
                "{metric:?}, ef {ef}: {repaired} where a new graph has {fresh}"
            );
        }
        let (repaired, fresh) = (graph.check(), fresh.check());
        // Two threads link in another order each time: in 12 runs 8 fewer to 10 more by the inner product, 37 to 47 more
        // where nobody links the lost again.
        assert!(repaired.unreachable <= fresh.unreachable + 25, "{repaired:?} and {fresh:?}");
    }
}

#[test]
fn twins_outlive_their_first() {
    for distinct in [1, 30, 1_000] {
        let vectors = clustered(3_000, distinct, 16, 14);
        let graph = build(&vectors, Metric::L2, 2);
        let mut live = all(3_000);
        let mut random = Random(15);
        while !live.is_empty() {
            // Firsts are the lowest slots, mostly.
            let lowest = live.iter().take(live.len() as usize / 6 + 1);
            let drawn = (0..live.len() / 6).filter_map(|_| live.select(random.below(live.len()) as u32));
            let going: RoaringBitmap = lowest.chain(drawn).collect();
            take_out(&graph, &vectors, &going);
            live -= &going;
            let report = graph.check();
            assert_eq!((report.damage, report.nodes), (vec![], live.len()), "{distinct} distinct");
            if live.len() > 100 {
                let recall =
                    recall_among(&vectors, &live, &graph, Metric::L2, &clustered(50, 50, 16, 14), 80);
                assert!(recall >= 0.97, "{distinct} distinct, {} left: {recall}", live.len());
            }
        }
        let mut scratch = Scratch::new();
        assert!(
            graph.search(&vectors, &Query::new(Metric::L2, vectors.get(0)), 40, &mut scratch).0.is_empty()
        );
        graph.add(&vectors, &all(500), 2, &AtomicU32::new(0), &CANCEL).unwrap();
        assert_eq!((graph.len(), graph.check().damage), (500, vec![]));
    }
}

#[test]
fn nodes_are_taken_out_and_put_in_while_others_search() {
    let vectors = clustered(4_000, 3_000, 16, 16);
    let graph = build(&vectors, Metric::L2, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut scratch = Scratch::new();
            let mut number = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let query = Query::new(Metric::L2, vectors.get(number % 4_000));
                assert_ordered(&graph.search(&vectors, &query, 40, &mut scratch).0);
                number += 17;
            }
        });
        for step in 0..8 {
            let piece: RoaringBitmap = (0..4_000).filter(|slot| slot % 8 == step).collect();
            take_out(&graph, &vectors, &piece);
            graph.add(&vectors, &piece, 2, &AtomicU32::new(0), &CANCEL).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((graph.len(), graph.check().damage), (4_000, vec![]));
    let recall = recall(&vectors, &graph, Metric::L2, &clustered(100, 100, 16, 16), 80);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn a_cancelled_build_says_so() {
    let vectors = clustered(500, 500, 8, 6);
    let cancel = AtomicBool::new(true);
    let params = Params::new(8, 64, Metric::L2).unwrap();
    let built = Graph::build(params, &vectors, &all(500), 2, &AtomicU32::new(0), &cancel);
    assert_eq!(built.err().unwrap().state().0, "57014");
}

fn request<'a>(
    vectors: &'a Flat,
    vector: Vector<'a>,
    rows: Rows<'a>,
    finder: &'a Finder,
    tail: &'a RoaringBitmap,
    cancel: &'a AtomicBool,
) -> Request<'a, Flat> {
    let query = Query::new(finder.metric(), vector);
    Request {
        vectors,
        query,
        rows,
        finder: Some(finder),
        tail,
        k: K,
        ef: 40,
        distances_max: u64::MAX,
        probes: Probes { first: 2, most: 2 },
        strategy: None,
        cancel,
    }
}

#[test]
fn a_filter_never_costs_rows() {
    let (vectors, queries) = (clustered(3_000, 2_500, 16, 7), clustered(20, 20, 16, 7));
    let graph = Finder::Graph(build(&vectors, Metric::Cosine, 2));
    let (tail, cancel) = (RoaringBitmap::new(), AtomicBool::new(false));
    let strategies = Strategy::ALL.into_iter().map(Some).chain([None]);
    for (strategy, one_in) in strategies.flat_map(|s| [1, 2, 10, 40, 150, 1_000].map(|n| (s, n))) {
        let mut random = Random(one_in * 77 + 1);
        let allowed: RoaringBitmap = (0..3_000).filter(|_| random.below(one_in) == 0).collect();
        let mut right = 0;
        let wanted = K.min(allowed.len() as usize);
        for number in 0..20 {
            let mut request =
                request(&vectors, queries.get(number), Rows::exactly(&allowed), &graph, &tail, &cancel);
            request.strategy = strategy;
            let found = search(&request).unwrap();
            assert_eq!(found.hits.len(), wanted, "{strategy:?}, one in {one_in}");
            assert!(found.hits.iter().all(|hit| allowed.contains(hit.slot)));
            assert_ordered(&found.hits);
            let (truth, _) = flat::search(&vectors, &request.query, &allowed, K, &cancel).unwrap();
            assert!(!found.exact || found.hits == truth);
            let worst = truth.last().map_or(0.0, |hit| hit.rank);
            right += found.hits.iter().filter(|hit| hit.rank <= worst).count();
        }
        // A strategy that was asked for against the costs has to be whole, not good.
        let least = if strategy.is_some() && one_in > 2 { 0.3 } else { 0.9 };
        let recall = right as f64 / (20 * wanted.max(1)) as f64;
        assert!(recall >= least || wanted == 0, "{strategy:?}, one in {one_in}: {recall}");
    }
}

#[test]
fn a_search_goes_on_until_the_graph_is_empty() {
    let vectors = clustered(2_000, 1_800, 16, 8);
    let graph = build(&vectors, Metric::L2, 1);
    let reachable = 2_000 - graph.check().unreachable;
    for (expansion, share) in [(Expansion::OneHop, 3), (Expansion::TwoHop, 2), (Expansion::TwoHop, 1)] {
        let mut scratch = Scratch::new();
        let query = Query::new(Metric::L2, vectors.get(3));
        let allowed = |slot: u32| slot.is_multiple_of(share);
        let mut traversal = graph.traverse(&vectors, query, allowed, expansion, 50, u64::MAX, &mut scratch);
        let mut seen = RoaringBitmap::new();
        loop {
            let batch = traversal.next_batch();
            assert_ordered(&batch);
            if batch.is_empty() {
                break;
            }
            assert!(batch.iter().all(|hit| allowed(hit.slot) && seen.insert(hit.slot)), "a slot came twice");
        }
        assert!(traversal.is_exhausted());
        let most = reachable / u64::from(share);
        assert!(seen.len() + 20 >= most, "{expansion:?}: {} of {most}", seen.len());
    }
}

#[test]
fn the_tail_changed_rows_and_null_vectors_are_answered() {
    let mut vectors = clustered(1_000, 1_000, 16, 9);
    vectors.set_null(990);
    let (tail, cancel) = ((900..1_000).collect(), AtomicBool::new(false));
    let graph = Finder::Graph(Graph::new(Params::new(8, 64, Metric::L2).unwrap()));
    graph.add(&vectors, &all(900), 1, &AtomicU32::new(0), &cancel).unwrap();
    let everything = all(1_000);
    // The query is row 950, which is in the tail.
    let mut walk = request(&vectors, vectors.get(950), Rows::exactly(&everything), &graph, &tail, &cancel);
    walk.strategy = Some(Strategy::Graph);
    let found = search(&walk).unwrap();
    assert_eq!((found.hits[0].slot, found.strategy), (950, Strategy::Graph));
    assert_eq!(found.counters.tail, 100);
    // This snapshot sees neither 950 nor 3, but 951 once more.
    let (dirty, visible) = ([3, 950, 951].into_iter().collect(), [951].into_iter().collect());
    let rows = Rows::new(&everything, &dirty, &visible);
    let found = search(&request(&vectors, vectors.get(3), rows, &graph, &tail, &cancel)).unwrap();
    assert!(found.hits.iter().all(|hit| hit.slot != 3 && hit.slot != 950));
    let found = search(&request(&vectors, vectors.get(951), rows, &graph, &tail, &cancel)).unwrap();
    assert_eq!(found.hits[0].slot, 951);
    // NULL vectors come last, and only when they are needed.
    let few: RoaringBitmap = [5, 990, 7].into_iter().collect();
    let found =
        search(&request(&vectors, vectors.get(0), Rows::exactly(&few), &graph, &tail, &cancel)).unwrap();
    assert_eq!((found.hits.len(), found.hits[2].slot), (3, 990));
    assert!(found.hits[2].rank.is_nan() && found.exact);
}

#[test]
fn different_dimensions_are_refused() {
    let vectors = clustered(10, 10, 4, 10);
    let graph = Finder::Graph(Graph::new(Params::new(8, 64, Metric::L2).unwrap()));
    let (rows, cancel) = (all(10), AtomicBool::new(false));
    let error =
        search(&request(&vectors, Vector::F32(&[1.0; 3]), Rows::exactly(&rows), &graph, &rows, &cancel))
            .unwrap_err();
    assert_eq!((error.state().0, error.message()), ("22000", "different vector dimensions 4 and 3"));
}

fn lists(vectors: &Flat, lists: u32, metric: Metric, threads: usize) -> Lists {
    let (params, progress) = (ivf::Params::new(lists, metric).unwrap(), AtomicU32::new(0));
    let lists =
        Lists::build(params, vectors, &all(vectors.slots_end()), threads, &progress, &CANCEL).unwrap();
    assert_eq!(lists.check(), Vec::<String>::new());
    lists
}

/// By rank, as above.
fn recall_of_lists(vectors: &Flat, lists: &Lists, queries: &Flat, probes: u32) -> f64 {
    let everything = all(vectors.slots_end());
    let mut right = 0;
    for number in 0..queries.slots_end() {
        let query = Query::new(lists.params().metric, queries.get(number));
        let (truth, _) = flat::search(vectors, &query, &everything, K, &CANCEL).unwrap();
        let (rows, probes) = (Rows::exactly(&everything), Probes { first: probes, most: probes });
        let (hits, _) = lists.search(vectors, &query, rows, K, probes, &CANCEL).unwrap();
        assert_ordered(&hits);
        right += hits.iter().filter(|hit| hit.rank <= truth[K - 1].rank).count();
    }
    right as f64 / f64::from(queries.slots_end()) / K as f64
}

#[test]
fn lists_find_what_is_near() {
    let dense = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
    for (element, dimensions, metrics) in
        [(Element::F32, 24, &dense[..]), (Element::F16, 24, &dense), (Element::Bit, 129, &[Metric::Hamming])]
    {
        let vectors = as_element(&clustered(3_000, 3_000, dimensions, 1), element);
        let queries = as_element(&clustered(100, 100, dimensions, 1), element);
        for &metric in metrics {
            let lists = lists(&vectors, 60, metric, 2);
            let few = recall_of_lists(&vectors, &lists, &queries, 6);
            // The vectors lie around 50 centres; inner products do not go with any.
            let least = if metric == Metric::InnerProduct { 0.6 } else { 0.9 };
            assert!(few >= least, "{element:?}, {metric:?}: {few}");
            assert_eq!(recall_of_lists(&vectors, &lists, &queries, 60), 1.0, "{element:?}, {metric:?}");
        }
    }
}

#[test]
fn lists_with_a_filter_never_cost_rows_and_iterate_when_asked() {
    let (vectors, queries) = (clustered(3_000, 2_500, 16, 7), clustered(20, 20, 16, 7));
    let finder = Finder::Lists(lists(&vectors, 40, Metric::L2, 2));
    let (tail, cancel) = (RoaringBitmap::new(), AtomicBool::new(false));
    for (one_in, most) in [1, 3, 30, 300].into_iter().flat_map(|n| [(n, 2), (n, 40)]) {
        let mut random = Random(one_in * 77 + 1);
        let allowed: RoaringBitmap = (0..3_000).filter(|_| random.below(one_in) == 0).collect();
        for number in 0..20 {
            let rows = Rows::exactly(&allowed);
            let mut request = request(&vectors, queries.get(number), rows, &finder, &tail, &cancel);
            request.strategy = Some(Strategy::Lists);
            request.probes.most = most;
            let found = search(&request).unwrap();
            assert_eq!(found.hits.len(), K.min(allowed.len() as usize), "one in {one_in}, {most} lists");
            assert!(found.hits.iter().all(|hit| allowed.contains(hit.slot)));
            // Who may look into all lists does not fall back, but where there are too few rows.
            assert!(most == 2 || found.strategy == Strategy::Lists || allowed.len() <= K as u64);
        }
    }
}

#[test]
fn lists_are_filled_and_emptied_while_others_search() {
    let vectors = clustered(4_000, 3_000, 16, 16);
    let lists = lists(&vectors, 50, Metric::L2, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (everything, probes) = (all(4_000), Probes { first: 3, most: 50 });
            let mut number = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let query = Query::new(Metric::L2, vectors.get(number % 4_000));
                let rows = Rows::exactly(&everything);
                assert_ordered(&lists.search(&vectors, &query, rows, K, probes, &CANCEL).unwrap().0);
                number += 17;
            }
        });
        for step in 0..8 {
            let piece: RoaringBitmap = (0..4_000).filter(|slot| slot % 8 == step).collect();
            assert_eq!((lists.remove(&piece), lists.remove(&piece)), (500, 0));
            lists.add(&vectors, &piece, 2, &AtomicU32::new(0), &CANCEL).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((lists.nodes().len(), lists.check()), (4_000, vec![]));
}

#[test]
fn lists_come_back_from_the_disk_and_damage_is_found() {
    for (element, metric) in [(Element::F16, Metric::Cosine), (Element::Bit, Metric::Hamming)] {
        let vectors = as_element(&clustered(300, 300, 8, 3), element);
        let lists = lists(&vectors, 7, metric, 1);
        let (fs, path) = (MemoryFs::new(), Path::new("/g/1.ivfflat"));
        fs.create_dir_all(Path::new("/g")).unwrap();
        let bytes = lists.save(&fs, path, 77).unwrap();
        let (opened, position) = Lists::open(&fs, path).unwrap();
        assert_eq!((opened.params(), opened.nodes(), position), (lists.params(), lists.nodes(), 77));
        assert_eq!(
            recall_of_lists(&vectors, &opened, &vectors, 2),
            recall_of_lists(&vectors, &lists, &vectors, 2)
        );
        let file = fs.open(path, OpenMode::ReadWrite).unwrap();
        for offset in 0..bytes {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
            assert_eq!(Lists::open(&fs, path).err().unwrap().state().0, "XX001", "byte {offset}");
            file.write_all_at(&byte, offset).unwrap();
        }
        file.truncate(bytes - 1).unwrap();
        assert!(Lists::open(&fs, path).is_err());
    }
}

#[test]
fn lists_are_outgrown_while_their_sample_was_small() {
    let vectors = clustered(300, 300, 8, 4);
    let params = ivf::Params::new(10, Metric::L2).unwrap();
    let lists = Lists::new(params);
    assert!(!lists.wants_training(0) && lists.wants_training(1));
    lists.add(&vectors, &all(100), 1, &AtomicU32::new(0), &CANCEL).unwrap();
    assert!(!lists.wants_training(199) && lists.wants_training(200));
    assert_eq!((lists.count(), lists.nodes().len()), (10, 100));
}

fn saved(graph: &Graph) -> (MemoryFs, &'static Path) {
    let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
    fs.create_dir_all(Path::new("/g")).unwrap();
    graph.save(&fs, path, 16, 4_711).unwrap();
    (fs, path)
}

#[test]
fn a_generation_answers_as_before() {
    let vectors = clustered(5_000, 4_000, 16, 11);
    let graph = Graph::new(Params::new(8, 64, Metric::L2).unwrap());
    graph.add(&vectors, &all(4_500), 2, &AtomicU32::new(0), &CANCEL).unwrap();
    let (fs, path) = saved(&graph);
    let (opened, position) = Graph::open(&fs, path).unwrap();
    assert_eq!((position, opened.params()), (4_711, graph.params()));
    assert_eq!(opened.nodes(), graph.nodes());
    let mut scratch = Scratch::new();
    for number in 0..100 {
        let query = Query::new(Metric::L2, vectors.get(number * 40));
        let before = graph.search(&vectors, &query, 40, &mut scratch);
        assert_eq!(before, opened.search(&vectors, &query, 40, &mut scratch));
    }
    // It grows, in memory only.
    opened.add(&vectors, &all(5_000), 2, &AtomicU32::new(0), &CANCEL).unwrap();
    assert_eq!((opened.len(), opened.check().damage), (5_000, vec![]));
    Graph::verify(&fs, path).unwrap();
    let recall = recall(&vectors, &opened, Metric::L2, &clustered(100, 100, 16, 11), 80);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn an_empty_graph_has_a_file_too() {
    let (fs, path) = saved(&Graph::new(Params::new(16, 64, Metric::Cosine).unwrap()));
    let (opened, _) = Graph::open(&fs, path).unwrap();
    let vectors = clustered(10, 10, 16, 12);
    assert_eq!(opened.insert(&vectors, 3, &mut Scratch::new()), Inserted::Linked);
    assert_eq!(opened.check().damage, Vec::<String>::new());
}

#[test]
fn saving_while_nodes_are_added_gives_a_sound_file() {
    let vectors = clustered(4_000, 1_000, 16, 13);
    let graph = Graph::new(Params::new(8, 64, Metric::L2).unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // As the indexer does it: piece by piece, on several threads that end at different times.
            for piece in 0..40 {
                let slots = (piece * 100..piece * 100 + 100).collect();
                graph.add(&vectors, &slots, 3, &AtomicU32::new(0), &CANCEL).unwrap();
            }
        });
        while !writer.is_finished() {
            let (fs, path) = saved(&graph); // save() verifies
            let (opened, _) = Graph::open(&fs, path).unwrap();
            opened.add(&vectors, &all(4_000), 1, &AtomicU32::new(0), &CANCEL).unwrap();
            assert_eq!((opened.len(), opened.check().damage), (4_000, vec![]));
        }
    });
}

#[test]
fn damage_is_found_or_harmless() {
    damage_of_a_graph_is_found(None);
}

#[test]
fn damage_of_codes_and_of_what_they_were_learned_by_is_found_or_harmless() {
    damage_of_a_graph_is_found(Some(Quantization::Pq));
}

fn damage_of_a_graph_is_found(quantization: Option<Quantization>) {
    let vectors = clustered(600, 500, 16, 14);
    let params = Params::new(8, 64, Metric::L2).unwrap().quantized(quantization);
    let slots = all(600);
    let graph = Graph::build(params, &vectors, &slots, 1, &AtomicU32::new(0), &CANCEL).unwrap();
    let (fs, path) = saved(&graph);
    let file = fs.open(path, OpenMode::ReadWrite).unwrap();
    let length = file.len().unwrap();
    let mut random = Random(99);
    for round in 0..400 {
        let offset = if round % 4 == 0 { random.below(72) } else { 4_096 + random.below(length - 4_096) };
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        let broken = [byte[0] ^ (1 + random.below(255) as u8)];
        file.write_all_at(&broken, offset).unwrap();
        let verified = Graph::verify(&fs, path);
        assert!(verified.is_err(), "byte {offset} changed and nobody noticed");
        if let Ok((opened, _)) = Graph::open(&fs, path) {
            let mut scratch = Scratch::new();
            for number in 0..5 {
                let query = Query::new(Metric::L2, vectors.get(number * 100));
                assert_ordered(&opened.search(&vectors, &query, 40, &mut scratch).0);
                let mut traversal = opened.traverse(
                    &vectors,
                    query,
                    |slot| slot % 3 == 0,
                    Expansion::TwoHop,
                    40,
                    u64::MAX,
                    &mut scratch,
                );
                traversal.next_batch();
            }
            let (finder, none) = (Finder::Graph(opened), RoaringBitmap::new());
            let mut request =
                request(&vectors, vectors.get(1), Rows::exactly(&slots), &finder, &none, &CANCEL);
            request.strategy = Some(Strategy::Graph);
            assert_eq!(search(&request).unwrap().hits.len(), K);
        }
        file.write_all_at(&byte, offset).unwrap();
    }
    Graph::verify(&fs, path).unwrap();
    file.truncate(length - 1).unwrap();
    assert!(Graph::open(&fs, path).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever rows, changes, tail, k and strategy: exactly min(k, allowed) rows, all allowed, in order, and an
    /// answer called exact is.
    #[test]
    fn answers_are_whole(
        seed in any::<u64>(),
        rows in 1u32..400,
        in_graph in 0.0f64..1.0,
        one_in in 1u64..30,
        dirty_in in 2u64..50,
        k in 0usize..60,
        ef in 1usize..60,
        strategy in prop::option::of(0usize..5),
        as_lists in any::<bool>(),
    ) {
        let mut vectors = clustered(rows as usize, (rows as usize).div_ceil(2), 6, seed);
        let mut random = Random(seed | 1);
        (0..rows).filter(|_| random.below(20) == 0).collect::<Vec<_>>().into_iter().for_each(|slot| vectors.set_null(slot));
        let nodes = all((f64::from(rows) * in_graph) as u32);
        let graph = match as_lists {
            true => Finder::Lists(Lists::new(ivf::Params::new(5, Metric::Cosine).unwrap())),
            false => Finder::Graph(Graph::new(Params::new(4, 16, Metric::Cosine).unwrap())),
        };
        graph.add(&vectors, &nodes, 1, &AtomicU32::new(0), &CANCEL).unwrap();
        prop_assert_eq!(graph.check(), Vec::<String>::new());
        let tail = all(rows) - nodes;
        let base: RoaringBitmap = (0..rows).filter(|_| random.below(one_in) == 0).collect();
        let dirty: RoaringBitmap = (0..rows).filter(|_| random.below(dirty_in) == 0).collect();
        let visible: RoaringBitmap = dirty.iter().filter(|slot| slot % 2 == 0).collect();
        let allowed = Rows::new(&base, &dirty, &visible);
        let cancel = AtomicBool::new(false);
        let query = clustered(1, 1, 6, seed ^ 5);
        let mut request = request(&vectors, query.get(0), allowed, &graph, &tail, &cancel);
        (request.k, request.ef, request.strategy) = (k, ef, strategy.map(|n| Strategy::ALL[n]));
        let found = search(&request).unwrap();
        prop_assert_eq!(found.hits.len() as u64, allowed.len().min(k as u64));
        assert_ordered(&found.hits);
        prop_assert!(found.hits.iter().all(|hit| allowed.contains(hit.slot)));
        if found.exact {
            let (truth, _) = flat::search(&vectors, &request.query, &allowed.to_bitmap(), k, &cancel).unwrap();
            let keys = |hits: &[Hit]| hits.iter().map(|hit| hit.key()).collect::<Vec<_>>();
            prop_assert_eq!(keys(&found.hits), keys(&truth));
        }
    }
}

#[test]
fn recall_on_sentence_embeddings() {
    let Some(folder) = data::folder() else { return };
    let base = data::npy(&folder.join("minilm/base.npy"));
    let rows = 8_000;
    let dimensions = base.columns();
    let vectors = Flat::new(dimensions, base.floats()[..rows * dimensions].to_vec());
    let queries = data::npy(&folder.join("minilm/queries.npy")).floats()[..100 * dimensions].to_vec();
    let graph = Graph::build(
        Params::new(16, 64, Metric::Cosine).unwrap(),
        &vectors,
        &all(rows as u32),
        2,
        &AtomicU32::new(0),
        &CANCEL,
    )
    .unwrap();
    let recall = recall(&vectors, &graph, Metric::Cosine, &Flat::new(dimensions, queries), 80);
    assert!(recall >= 0.95, "{recall}");
    assert!(graph.check().unreachable <= rows as u64 / 1_000, "{:?}", graph.check());
}
