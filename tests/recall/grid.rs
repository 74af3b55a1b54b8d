//! The grid: {built, inserted one by one, some taken out and others put in, opened again} x {vector, halfvec, bit,
//! sparsevec} x {every metric of each}. One graph goes through all four states, and its recall is taken in each.

use super::*;

const ROWS: u32 = 1_600;

/// The thresholds of pgvector's own tests: 0.99 and better by L2 and cosine, less where a product is no distance. Bits
/// rank by counts, so that many rows are as near as the tenth.
fn least(element: Element, metric: Metric) -> f64 {
    match (element, metric) {
        (_, Metric::InnerProduct) => 0.90,
        (Element::Bit, _) => 0.95,
        _ => 0.97,
    }
}

fn vectors(element: Element, rows: usize, seed: u64) -> Flat {
    match element {
        Element::Sparse => documents(rows, seed),
        Element::Bit => as_element(&clustered(rows, rows, 129, seed), element),
        _ => as_element(&clustered(rows, rows, 24, seed), element),
    }
}

#[test]
fn recall_holds_in_every_state_of_every_type_by_every_metric() {
    for element in Element::ALL {
        let (vectors, queries) = (vectors(element, ROWS as usize, 1), vectors(element, 60, 1));
        for &metric in Metric::of(element) {
            let check = |state: &str, graph: &Graph, live: &RoaringBitmap| {
                assert_eq!(graph.nodes().as_ref(), live, "{element:?}, {metric:?}, {state}");
                assert_eq!(graph.check().damage, Vec::<String>::new());
                let recall = recall_among(&vectors, live, graph, metric, &queries, 80);
                let least = least(element, metric);
                assert!(
                    recall >= least,
                    "{element:?}, {metric:?}, {state}: {recall} where {least} is expected"
                );
            };
            let mut live = all(ROWS / 2);
            let params = Params::new(8, 64, metric).unwrap();
            let graph = Graph::build(params, &vectors, &live, 2, &AtomicU32::new(0), &CANCEL).unwrap();
            check("built", &graph, &live);
            let mut scratch = Scratch::new();
            for slot in ROWS / 2..ROWS * 3 / 4 {
                assert_ne!(graph.insert(&vectors, slot, &mut scratch), Inserted::NoVector);
                live.insert(slot);
            }
            check("inserted", &graph, &live);
            let gone: RoaringBitmap = live.iter().step_by(4).collect();
            take_out(&graph, &vectors, &gone);
            live -= &gone;
            check("taken out", &graph, &live);
            live.extend(ROWS * 3 / 4..ROWS);
            graph.add(&vectors, &live, 2, &AtomicU32::new(0), &CANCEL).unwrap();
            check("replaced", &graph, &live);
            let (fs, path) = (MemoryFs::new(), Path::new("/g/1.hnsw"));
            fs.create_dir_all(Path::new("/g")).unwrap();
            graph.save(&fs, path, vectors.dimensions(), 1).unwrap();
            check("opened again", &Graph::open(&fs, path).unwrap().0, &live);
        }
    }
}
