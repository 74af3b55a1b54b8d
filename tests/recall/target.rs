//! A recall target is met: the classes of queries are measured with some queries and asked with others.

use hither::index::recall::{Advice, Class, Measured, measure, with_effort};

use super::*;

const ROWS: usize = 6_000;
const DIMENSIONS: usize = 24;
const TARGETS: [f64; 3] = [0.90, 0.95, 0.99];
/// Queries that a class is measured with at most, and that it is asked with afterwards.
const MEASURED: usize = 600;
const ASKED: usize = 500;

struct Bench<'a> {
    vectors: &'a Flat,
    finder: &'a Finder,
    tail: RoaringBitmap,
}

impl Bench<'_> {
    fn request<'a>(&'a self, query: &'a [f32], allowed: &'a RoaringBitmap, k: usize) -> Request<'a, Flat> {
        Request {
            vectors: self.vectors,
            query: Query::new(Metric::L2, query),
            rows: Rows::exactly(allowed),
            finder: Some(self.finder),
            tail: &self.tail,
            k,
            ef: 40,
            distances_max: u64::MAX,
            probes: Probes { first: 1, most: 1 },
            // The walk, also where comparing everything would be chosen among so few rows.
            strategy: Some(match self.finder {
                Finder::Lists(_) => Strategy::Lists,
                Finder::Graph(_) if allowed.len() == ROWS as u64 => Strategy::Graph,
                Finder::Graph(_) => Strategy::FilteredGraph,
            }),
            cancel: &CANCEL,
        }
    }

    /// Mean recall of the queries asked, per target; `None` where the advice is to search exactly.
    fn class(&self, allowed: &RoaringBitmap, k: usize) -> [Option<f64>; 3] {
        let (measured, nodes) = (Measured::default(), self.finder.nodes().len());
        let any = vec![0.0; DIMENSIONS];
        let class = Class::of(&self.request(&any, allowed, k), nodes);
        let query = |at: usize| self.vectors.get((ROWS + at) as u32).as_f32().to_vec();
        let efforts = class.efforts(self.finder);
        let mut next = 0..MEASURED;
        TARGETS.map(|target| {
            let effort = loop {
                match measured.advise(class, nodes, &efforts, target) {
                    Advice::Search(effort, _) => break effort,
                    Advice::Exact => return None,
                    Advice::Measure(_) => {
                        let query = query(next.next().expect("no target takes more"));
                        let measurement = measure(&self.request(&query, allowed, k), &efforts).unwrap();
                        measured.record(class, nodes, &measurement);
                    }
                }
            };
            let mut found = 0;
            for at in MEASURED..MEASURED + ASKED {
                let query = query(at);
                let request = self.request(&query, allowed, k);
                let answer = search(&with_effort(&request, effort)).unwrap();
                let exact = search(&Request { strategy: Some(Strategy::Exact), ..request }).unwrap();
                assert_eq!(answer.hits.len(), exact.hits.len());
                let last = exact.hits.last().unwrap().rank;
                found += answer.hits.iter().filter(|hit| hit.rank <= last).count().min(k);
            }
            Some(found as f64 / (k * ASKED) as f64)
        })
    }
}

#[test]
fn targets_are_met_in_nearly_all_classes() {
    // The last ones are no rows, but queries.
    let count = ROWS + MEASURED + ASKED;
    let vectors = clustered(count, count, DIMENSIONS, 7);
    let mut random = Random(99);
    let filter = |share: f64, random: &mut Random| -> RoaringBitmap {
        (0..ROWS as u32).filter(|_| f64::from(random.unit() + 0.5) < share).collect()
    };
    // On one thread, so that every run builds the same.
    let graph = |m, quantization| {
        let params = Params::new(m, 64, Metric::L2).unwrap().quantized(quantization);
        Finder::Graph(
            Graph::build(params, &vectors, &all(ROWS as u32), 1, &AtomicU32::new(0), &CANCEL).unwrap(),
        )
    };
    let lists = ivf::Params::new(60, Metric::L2).unwrap();
    let lists = Lists::build(lists, &vectors, &all(ROWS as u32), 1, &AtomicU32::new(0), &CANCEL).unwrap();
    let (mut met, mut missed, mut exact) = (0, Vec::new(), 0);
    for (name, finder) in [("m 6, sq8", graph(6, Some(Quantization::Sq8))), ("lists", Finder::Lists(lists))] {
        let bench = Bench { vectors: &vectors, finder: &finder, tail: RoaringBitmap::new() };
        for share in [1.0, 0.3, 0.05] {
            let allowed = if share == 1.0 { all(ROWS as u32) } else { filter(share, &mut random) };
            for k in [1, 10] {
                for (target, recall) in TARGETS.into_iter().zip(bench.class(&allowed, k)) {
                    match recall {
                        None => exact += 1,
                        Some(recall) if recall >= target => met += 1,
                        Some(recall) => {
                            missed.push(format!("{name}, {share}, k {k}: {recall:.4} of {target}"))
                        }
                    }
                }
            }
        }
    }
    println!("{met} met, {exact} by the exact search, missed: {missed:#?}");
    assert!(met > 3 * exact, "{met} met by walks, {exact} searched exactly");
    assert!(missed.len() * 20 <= met + exact + missed.len(), "{missed:#?}");
}
