//! What a walk through codes finds, on data that codes find hard: far from the origin, on unlike scales, with outliers, in
//! heaps. Whole searches, which rank what the walk ends with by the vectors, against the exact search.

use super::*;

const ROWS: usize = 600;

/// Rows of one kind and the queries to them.
struct Set {
    name: &'static str,
    vectors: Flat,
    queries: Flat,
}

/// `ROWS` rows and 30 queries, of which `make` makes each from its number.
fn set(name: &'static str, dimensions: usize, mut make: impl FnMut(usize, &mut Random) -> Vec<f32>) -> Set {
    let mut random = Random(77);
    let mut rows = |count: usize| {
        let values: Vec<f32> = (0..count).flat_map(|row| make(row, &mut random)).collect();
        Flat::new(dimensions, values)
    };
    Set { name, vectors: rows(ROWS), queries: rows(30) }
}

/// Around 0, each element within ±1.
fn even(random: &mut Random, dimensions: usize) -> Vec<f32> {
    (0..dimensions).map(|_| 2.0 * random.unit()).collect()
}

fn sets() -> Vec<Set> {
    let mut sets = Vec::new();
    for (name, dimensions, offset) in
        [("at 1,000, 8", 8, 1e3), ("at 1,000, 64", 64, 1e3), ("at -20, 32", 32, -20.0)]
    {
        sets.push(set(name, dimensions, |_, random| {
            even(random, dimensions).iter().map(|x| x + offset).collect()
        }));
    }
    for (name, factor) in [("tiny", 1e-7), ("huge", 1e7)] {
        sets.push(set(name, 16, |_, random| even(random, 16).iter().map(|x| x * factor).collect()));
    }
    // From 1 to 300.
    sets.push(set("unlike scales", 24, |_, random| {
        even(random, 24).iter().enumerate().map(|(at, x)| x * (at as f32 / 4.0).exp()).collect()
    }));
    sets.push(set("one great dimension", 64, |_, random| {
        let mut row = even(random, 64);
        row[0] = 60.0 + 20.0 * row[0];
        row
    }));
    sets.push(set("outliers", 24, |row, random| {
        let factor = if row % 50 == 7 { 1e5 } else { 1.0 };
        even(random, 24).iter().map(|x| (x + 1.0) * factor).collect()
    }));
    sets.push(set("integers", 32, |_, random| (0..32).map(|_| random.below(256) as f32).collect()));
    sets.push(set("constant dimensions", 32, |_, random| {
        let mut row = even(random, 32);
        row[8..].fill(700.0);
        row
    }));
    let (distinct, centres) = (clustered(200, 200, 24, 5), clustered(6, 6, 24, 3));
    sets.push(set("repeated", 24, |_, random| distinct.get(random.below(200) as u32).as_f32().to_vec()));
    // Nearer to each other than codes can tell apart: 6 heaps of 100.
    sets.push(set("heaps", 24, |row, random| {
        let centre = centres.get(row as u32 % 6).as_f32();
        centre.iter().map(|x| x + random.unit() * 1e-5).collect()
    }));
    let low = clustered(ROWS + 50, ROWS + 50, 3, 9);
    sets.push(set("three dimensions", 3, |_, random| {
        low.get(random.below(ROWS as u64) as u32).as_f32().iter().map(|x| x + 5.0).collect()
    }));
    sets
}

fn quantised(
    vectors: &Flat,
    slots: &RoaringBitmap,
    quantization: Option<Quantization>,
    metric: Metric,
) -> Finder {
    let params = Params::new(10, 40, metric).unwrap().quantized(quantization);
    let graph = Graph::build(params, vectors, slots, 2, &AtomicU32::new(0), &CANCEL).unwrap();
    assert_eq!(graph.check().damage, Vec::<String>::new());
    Finder::Graph(graph)
}

/// The recall of a search for what is in the graph, at pgvector's ef_search.
fn searched(vectors: &Flat, graph: &Finder, queries: &Flat) -> f64 {
    let (rows, none) = (graph.nodes(), RoaringBitmap::new());
    let mut right = 0;
    for number in 0..queries.slots_end() {
        let mut request = request(vectors, queries.get(number), Rows::exactly(&rows), graph, &none, &CANCEL);
        request.strategy = Some(Strategy::Graph);
        let found = search(&request).unwrap();
        let (truth, _) = flat::search(vectors, &request.query, &rows, K, &CANCEL).unwrap();
        assert_ordered(&found.hits);
        right += found.hits.iter().filter(|hit| hit.rank <= truth[K - 1].rank).count();
    }
    right as f64 / f64::from(queries.slots_end()) / K as f64
}

/// 0.95, or as much as a graph of the vectors themselves: uniform data of many dimensions is hard for any. Less by the inner
/// product, where all queries have the same nearest rows, and one that nothing leads to is missed by all.
#[test]
fn codes_find_what_vectors_find() {
    let slots = all(ROWS as u32);
    for Set { name, vectors, queries } in sets() {
        for metric in Metric::OF_NUMBERS {
            for quantization in Quantization::ALL.into_iter().filter(|kind| kind.ranks_by(metric)) {
                // Distances of 1e-10, which f32 rounds to multiples of 6e-8: the nearest are whom rounding favours.
                if (name, quantization, metric) == ("heaps", Quantization::Bq, Metric::Cosine) {
                    continue;
                }
                let found =
                    searched(&vectors, &quantised(&vectors, &slots, Some(quantization), metric), &queries);
                let plain = || searched(&vectors, &quantised(&vectors, &slots, None, metric), &queries);
                assert!(
                    found >= if metric == Metric::InnerProduct { 0.85 } else { 0.95 }
                        || found >= plain() - 0.03,
                    "{name}, {quantization:?}, {metric:?}: {found} where vectors find {}",
                    plain()
                );
            }
        }
    }
}

/// The first rows lie around 0, those behind them around 1,000.
#[test]
fn a_centre_that_rows_have_left_is_found_out() {
    const ALL: u32 = 1_000;
    let moved = |row: usize| if row < 600 { 0.0 } else { 1e3 };
    let mut random = Random(78);
    let row = |row: usize| even(&mut random, 24).into_iter().map(move |x| x + moved(row));
    let vectors = Flat::new(24, (0..ALL as usize).flat_map(row).collect());
    let queries = Flat::new(24, (0..50).flat_map(|n| vectors.get(ALL - 1 - n).as_f32().to_vec()).collect());
    let (first, later) = ((0..600).collect(), (600..ALL).collect::<RoaringBitmap>());
    for quantization in [Quantization::Sq8, Quantization::F16, Quantization::Bf16, Quantization::Pq] {
        let graph = quantised(&vectors, &first, Some(quantization), Metric::L2);
        assert!(!graph.is_outgrown(600), "{quantization:?}");
        let (progress, cancel) = (AtomicU32::new(0), AtomicBool::new(false));
        graph.add(&vectors, &later, 1, &progress, &cancel).unwrap();
        // A middle among two heaps is no better.
        assert!(!graph.is_outgrown(u64::from(ALL)), "{quantization:?}");
        graph.remove(&vectors, &(0..500).collect(), 1, &cancel).unwrap();
        let lost = searched(&vectors, &graph, &queries);
        graph.add(&vectors, &(0..1).collect(), 1, &progress, &cancel).unwrap();
        // Now most are there; it looks when a quarter is new, and once when a graph is opened.
        let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
        fs.create_dir_all(Path::new("/g")).unwrap();
        graph.save(&fs, path, 24, 1).unwrap();
        let opened = Graph::open(&fs, path).unwrap().0;
        assert!(opened.wants_training(501) && !opened.wants_training(501), "{quantization:?}");
        let anew = quantised(&vectors, &opened.nodes(), Some(quantization), Metric::L2);
        assert!(!anew.is_outgrown(501), "{quantization:?}");
        let found = searched(&vectors, &anew, &queries);
        // Where codes know their errors, what is lost is work: nearly all is ranked by the vectors.
        let is_better = found >= if quantization == Quantization::Pq { lost - 0.02 } else { lost };
        assert!(found >= 0.95 && is_better, "{quantization:?}: {found} after {lost}");
    }
}

/// Built, inserted one by one, some taken out and others put in, opened again: what the grid shows of vectors, of codes that
/// are made by what was learned of the first rows.
#[test]
fn codes_find_as_much_in_every_state() {
    const ALL: u32 = 1_200;
    for element in [Element::F32, Element::F16] {
        let vectors = as_element(&clustered(ALL as usize, ALL as usize, 40, 21), element);
        let queries = as_element(&clustered(50, 50, 40, 21), element);
        for (quantization, metric) in [
            (Quantization::Pq, Metric::L2),
            (Quantization::Pq, Metric::InnerProduct),
            (Quantization::Pq, Metric::Cosine),
            (Quantization::Bq, Metric::L2),
        ] {
            let check = |state: &str, graph: Graph, live: &RoaringBitmap| {
                assert_eq!(graph.nodes().as_ref(), live, "{quantization:?}, {metric:?}, {state}");
                assert_eq!(graph.check().damage, Vec::<String>::new());
                let finder = Finder::Graph(graph);
                let found = searched(&vectors, &finder, &queries);
                let least = if metric == Metric::InnerProduct { 0.90 } else { 0.97 };
                assert!(found >= least, "{element:?}, {quantization:?}, {metric:?}, {state}: {found}");
                let Finder::Graph(graph) = finder else { unreachable!("it is one") };
                graph
            };
            let mut live = all(ALL / 2);
            let params = Params::new(8, 64, metric).unwrap().quantized(Some(quantization));
            let graph = Graph::build(params, &vectors, &live, 2, &AtomicU32::new(0), &CANCEL).unwrap();
            let graph = check("built", graph, &live);
            let mut scratch = Scratch::new();
            for slot in ALL / 2..ALL * 3 / 4 {
                assert_ne!(graph.insert(&vectors, slot, &mut scratch), Inserted::NoVector);
                live.insert(slot);
            }
            let graph = check("inserted", graph, &live);
            let gone: RoaringBitmap = live.iter().step_by(4).collect();
            take_out(&graph, &vectors, &gone);
            live -= &gone;
            let graph = check("taken out", graph, &live);
            live.extend(ALL * 3 / 4..ALL);
            graph.add(&vectors, &live, 2, &AtomicU32::new(0), &CANCEL).unwrap();
            let graph = check("replaced", graph, &live);
            let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
            fs.create_dir_all(Path::new("/g")).unwrap();
            graph.save(&fs, path, vectors.dimensions(), 1).unwrap();
            let opened = check("opened again", Graph::open(&fs, path).unwrap().0, &live);
            // And again, from the mapped file, with a row more.
            take_out(&opened, &vectors, &[7].into());
            opened.add(&vectors, &[7].into(), 1, &AtomicU32::new(0), &CANCEL).unwrap();
            fs.create_dir_all(Path::new("/h")).unwrap();
            opened.save(&fs, Path::new("/h/2.hnsw"), vectors.dimensions(), 2).unwrap();
            live.insert(7);
            check("saved again", Graph::open(&fs, Path::new("/h/2.hnsw")).unwrap().0, &live);
        }
    }
}

/// An index on an empty table learns of the first row, and is to be built anew when there are more.
#[test]
fn what_was_learned_of_the_first_row_is_learned_anew() {
    const ALL: u32 = 600;
    let vectors = clustered(ALL as usize, ALL as usize, 32, 5);
    let queries = clustered(40, 40, 32, 5);
    let params = Params::new(8, 64, Metric::L2).unwrap().quantized(Some(Quantization::Pq));
    let (graph, mut scratch) = (Graph::new(params), Scratch::new());
    assert!(!graph.wants_training(1_000));
    for slot in 0..ALL {
        assert_ne!(graph.insert(&vectors, slot, &mut scratch), Inserted::NoVector);
        assert!(slot >= 256 || !graph.wants_training(u64::from(slot)), "{slot}");
    }
    assert!(graph.wants_training(u64::from(ALL)));
    // Codes that know nothing of the rows are coarse, and say so: more candidates are ranked by their vectors.
    let found = searched(&vectors, &Finder::Graph(graph), &queries);
    assert!(found >= 0.95, "{found}");
    let anew = quantised(&vectors, &all(ALL), Some(Quantization::Pq), Metric::L2);
    assert!(!anew.is_outgrown(u64::from(ALL)));
    let found = searched(&vectors, &anew, &queries);
    assert!(found >= 0.97, "{found}");
}

/// To the bit, on all sets, with rows that the graph does not have, and by reading few vectors of data that are not made to
/// be hard.
#[test]
fn exact_searches_through_codes_are_exact() {
    let nodes = all(ROWS as u32 - 20);
    let tail = all(ROWS as u32) - &nodes;
    let filters = [all(ROWS as u32), all(ROWS as u32).into_iter().filter(|slot| slot % 9 > 0).collect()];
    for Set { name, vectors, queries } in sets() {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let finder = quantised(&vectors, &nodes, Some(Quantization::Sq8), metric);
            let (mut compared, mut rescored) = (0, 0);
            for (number, (rows, k)) in (0..queries.slots_end())
                .zip(filters.iter().flat_map(|rows| [(rows, 1), (rows, K), (rows, 30)]).cycle())
            {
                let asked = queries.get(number);
                let mut request = request(&vectors, asked, Rows::exactly(rows), &finder, &tail, &CANCEL);
                (request.strategy, request.k) = (Some(Strategy::Exact), k);
                let found = search(&request).unwrap();
                let (truth, _) = flat::search(&vectors, &request.query, rows, k, &CANCEL).unwrap();
                assert_eq!(found.hits, truth, "{name}, {metric:?}, query {number}");
                assert!(found.exact && found.counters.tail == rows.intersection_len(&tail), "{name}");
                compared += found.counters.distances;
                rescored += found.counters.rescored;
            }
            println!("{name}, {metric:?}: {rescored} of {compared}");
            assert!((1..=compared).contains(&rescored), "{name}, {metric:?}");
            assert!(rescored < compared / 4 || name != "at -20, 32", "{name}, {metric:?}: {rescored}");
        }
    }
}
