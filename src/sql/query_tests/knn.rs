//! Nearest neighbours against a naive sort of everything.

use super::*;
use crate::catalog::{HnswOptions, Index, IndexMethod, IvfflatOptions};
use crate::distance::Metric;
use crate::index::Probes;
use crate::planner::explain::formats::Format;

/// The naive twin: rows as plain values.
#[derive(Clone)]
struct Naive(Vec<(i64, Option<i32>, Option<[f32; 4]>)>);

impl Naive {
    /// Distances of the k nearest rows that pass, NaN as text, NULL last.
    fn nearest(
        &self,
        metric: Metric,
        query: &[f32],
        k: usize,
        passes: impl Fn(i64, Option<i32>) -> bool,
    ) -> Vec<String> {
        let mut distances: Vec<Option<f64>> = self
            .0
            .iter()
            .filter(|(id, category, _)| passes(*id, *category))
            .map(|(_, _, vector)| vector.map(|vector| metric.distance(query, &vector)))
            .collect();
        distances.sort_by(|a, b| {
            let rank = |d: &Option<f64>| d.map_or((2, 0.0), |d| if d.is_nan() { (1, 0.0) } else { (0, d) });
            rank(a).partial_cmp(&rank(b)).unwrap()
        });
        distances.truncate(k);
        let shown = |d: Option<f64>| d.map_or("NULL".to_owned(), |d| text::to_string(&Value::Float8(d)));
        distances.into_iter().map(shown).collect()
    }
}

fn world(rows: usize) -> (World, Naive) {
    let world = World::new();
    let mut random = Random(42);
    let mut naive = Naive(Vec::new());
    for id in 1..=rows as i64 {
        let category = (random.below(10) > 0).then(|| random.below(5) as i32);
        let vector = match random.below(20) {
            0 => None,
            1 => Some([0.0; 4]),
            _ => Some(random.vector()),
        };
        naive.0.push((id, category, vector));
    }
    let mut txn = world.begin();
    let values = naive.0.iter().map(|(id, category, vector)| row(*id, *category, "x", *vector)).collect();
    world.insert(&mut txn, values);
    txn.commit().unwrap();
    (world, naive)
}

fn distances(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|row| row[1].clone()).collect()
}

#[test]
fn every_metric_filter_and_limit_agrees_with_the_naive_answer() {
    let (w, naive) = world(300);
    let txn = w.begin();
    let mut random = Random(5);
    for metric in Metric::OF_NUMBERS {
        for filter in [
            "true",
            "category = 2",
            "category = 2 AND id % 3 = 0",
            "id % 7 = 1",
            "category IS NULL",
            "id < 0",
        ] {
            for limit in [1usize, 10, 299, 1_000] {
                let operator = metric.operator();
                let sql = format!(
                    "SELECT id, v {operator} $1 AS d FROM t WHERE {filter} ORDER BY v {operator} $1 LIMIT {limit}"
                );
                let query = random.vector();
                let passes = |id: i64, category: Option<i32>| match filter {
                    "true" => true,
                    "category = 2" => category == Some(2),
                    "category = 2 AND id % 3 = 0" => category == Some(2) && id % 3 == 0,
                    "id % 7 = 1" => id % 7 == 1,
                    "category IS NULL" => category.is_none(),
                    _ => false,
                };
                let rows = w.query(&txn, &sql, &[Value::Vector(query.to_vec())]).unwrap();
                let expected = naive.nearest(metric, &query, limit, passes);
                assert_eq!(distances(&rows), expected, "{sql}");
            }
        }
    }
}

#[test]
fn shapes_that_search_and_shapes_that_do_not() {
    let (w, _) = world(20);
    let one = [Value::Vector(vec![1.0; 4])];
    let two = [Value::Vector(vec![1.0; 4]), Value::Int8(3)];
    let searching = [
        "SELECT id FROM t ORDER BY v <-> $1 LIMIT 3",
        "SELECT id, v <-> $1 AS d FROM t ORDER BY d LIMIT 3",
        "SELECT a.id FROM t AS a WHERE a.id > 2 ORDER BY a.v <=> $1 LIMIT 3",
        "SELECT id FROM t ORDER BY $1 <-> v LIMIT 3 OFFSET 2",
        "SELECT id FROM t ORDER BY v <-> $1, id LIMIT 3",
        "SELECT * FROM (SELECT id, v <-> $1 AS d FROM t ORDER BY d LIMIT 3) AS s WHERE d < 5",
        "SELECT id FROM t ORDER BY l2_distance(v, $1) LIMIT 3",
    ];
    for sql in searching {
        let plan = w.explain(sql, &one, false);
        assert!(plan.contains("KnnScan"), "{sql}\n{plan}");
    }
    let plan = w.explain("SELECT id FROM t ORDER BY v <-> $1 LIMIT $2", &two, true);
    assert!(plan.contains("KnnScan") && plan.contains("Distances:"), "{plan}");
    let exact = [
        "SELECT id FROM t ORDER BY v <-> $1 DESC LIMIT 3",
        "SELECT id FROM t ORDER BY 1 - (v <=> $1) LIMIT 3",
        "SELECT id FROM t ORDER BY v <-> $1",
        "SELECT id FROM t ORDER BY id, v <-> $1 LIMIT 3",
        "SELECT DISTINCT category, v <-> $1 AS d FROM t ORDER BY d LIMIT 3",
    ];
    for sql in exact {
        let plan = w.explain(sql, &one, false);
        assert!(!plan.contains("KnnScan"), "{sql}\n{plan}");
    }
}

#[test]
fn the_search_reads_no_vectors_that_are_not_shown() {
    let (w, _) = world(20);
    let txn = w.begin();
    let query = w.plan(&txn, "SELECT id FROM t ORDER BY v <-> $1 LIMIT 3").unwrap();
    let shown = query.logical_plan().to_string();
    assert!(shown.contains("projection=[id]"), "{shown}");
}

#[test]
fn further_keys_offsets_and_limits_by_parameter() {
    let w = World::new();
    let mut txn = w.begin();
    let rows = (1..=12)
        .map(|id| row(id, Some((12 - id) as i32), "x", Some([(id / 4) as f32, 0.0, 0.0, 0.0])))
        .collect();
    w.insert(&mut txn, rows);
    txn.commit().unwrap();
    let q = Value::Vector(vec![0.0; 4]);
    assert_eq!(
        w.show("SELECT id FROM t ORDER BY v <-> $1, category LIMIT 5", std::slice::from_ref(&q)),
        "3\n2\n1\n7\n6"
    );
    assert_eq!(
        w.show("SELECT id FROM t ORDER BY v <-> $1, id DESC LIMIT 2 OFFSET 2", std::slice::from_ref(&q)),
        "1\n7"
    );
    let sql = "SELECT id FROM t ORDER BY v <-> $1 LIMIT $2 OFFSET $3";
    let counts = |limit, offset| [q.clone(), limit, Value::Int8(offset)];
    assert_eq!(w.show(sql, &counts(Value::Int8(2), 1)), "2\n3");
    assert_eq!(w.show(sql, &counts(Value::Int8(0), 0)), "");
    assert_eq!(w.show(sql, &counts(Value::Null, 10)), "11\n12");
    assert_eq!(w.show(sql, &counts(Value::Int8(-1), 0)), "2201W LIMIT must not be negative");
    assert_eq!(
        w.show("SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> $1 LIMIT 5) s", &[Value::Null]),
        "5"
    );
}

#[test]
fn a_transaction_finds_its_own_rows_and_nobody_else_does() {
    let (w, _) = world(50);
    let sql = "SELECT id FROM t ORDER BY v <-> $1 LIMIT 1";
    let target = [Value::Vector(vec![50.0; 4])];
    let before = w.show(sql, &target);
    let mut txn = w.begin();
    w.insert(&mut txn, vec![row(1_000, Some(1), "own", Some([50.0; 4]))]);
    txn.start_statement();
    assert_eq!(w.query(&txn, sql, &target).unwrap(), [["1000"]]);
    let filtered = "SELECT id FROM t WHERE category = 1 ORDER BY v <-> $1 LIMIT 1";
    assert_eq!(w.query(&txn, filtered, &target).unwrap(), [["1000"]]);
    assert_eq!(w.show(sql, &target), before);
    txn.rollback();
    assert_eq!(w.show(sql, &target), before);
}

fn create_hnsw(w: &World) {
    let mut txn = w.begin();
    let index = Index {
        oid: txn.new_oid(),
        name: "t_v_idx".into(),
        table: w.table,
        method: IndexMethod::Hnsw,
        columns: vec![4],
        opclasses: vec!["vector_l2_ops".into()],
        hnsw: Some(HnswOptions { metric: Metric::L2.into(), m: 16, ef_construction: 64, quantization: None }),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().unwrap();
}

#[test]
fn with_an_index_answers_are_full_and_fresh() {
    let (w, naive) = world(400);
    create_hnsw(&w);
    let txn = w.begin();
    let query = [Value::Vector(vec![0.3; 4])];
    let sql = "SELECT id, v <-> $1 FROM t ORDER BY v <-> $1 LIMIT 10";
    let rows = w.query(&txn, sql, &query).unwrap();
    let expected = naive.nearest(Metric::L2, &[0.3; 4], 10, |_, _| true);
    let hits = distances(&rows).iter().filter(|distance| expected.contains(distance)).count();
    assert!(rows.len() == 10 && hits >= 9, "{rows:?} {expected:?}");
    let mut settings = w.settings.clone();
    settings.enable_seqscan = false;
    let w = World { settings, ..w };
    let plan = w.explain(sql, &query, false);
    assert!(plan.contains("Index Scan using t_v_idx on t"), "{plan}");
    let options =
        ExplainOptions { analyze: true, recall: true, format: Format::Json, ..ExplainOptions::default() };
    let plan: serde_json::Value = serde_json::from_str(&w.explain_as(sql, &query, options)).unwrap();
    let node = &plan[0]["Plan"];
    assert_eq!(node["Node Type"], "Index Scan", "{plan}");
    assert_eq!((&node["Index Name"], &node["Exact"]), (&"t_v_idx".into(), &false.into()), "{plan}");
    assert_eq!((&node["Actual Rows"], &node["Wanted"]), (&10.into(), &10.into()), "{plan}");
    assert!(node["Found"].as_u64() >= Some(9), "{plan}");
    let few = "SELECT id, v <-> $1 FROM t WHERE category IS NULL AND id % 5 = 0 ORDER BY v <-> $1 LIMIT 10";
    let expected = naive.nearest(Metric::L2, &[0.3; 4], 10, |id, category| category.is_none() && id % 5 == 0);
    assert_eq!(w.query(&txn, few, &query).unwrap().len(), expected.len());
}

#[test]
fn lists_answer_in_full_and_say_how_many_were_looked_into() {
    let (mut w, naive) = world(400);
    let mut txn = w.begin();
    let index = Index {
        oid: txn.new_oid(),
        name: "t_v_idx".into(),
        table: w.table,
        method: IndexMethod::Ivfflat,
        columns: vec![4],
        opclasses: vec!["vector_l2_ops".into()],
        ivfflat: Some(IvfflatOptions { metric: Metric::L2.into(), lists: 10 }),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().unwrap();
    let query = [Value::Vector(vec![0.0; 4])];
    let sql = "SELECT id, v <-> $1 FROM t ORDER BY v <-> $1 LIMIT 10";
    let expected = naive.nearest(Metric::L2, &[0.0; 4], 10, |_, _| true);
    // Rows with the query's own vector are in the list of the centre nearest to both.
    for (probes, least) in [(1, 10), (10, 10)] {
        w.settings.enable_seqscan = false;
        w.settings.probes = Probes { first: probes, most: probes };
        let rows = w.query(&w.begin(), sql, &query).unwrap();
        let hits = distances(&rows).iter().filter(|distance| expected.contains(distance)).count();
        assert!(rows.len() == 10 && hits >= least, "{probes} probes: {rows:?} {expected:?}");
        let plan = w.explain(sql, &query, false);
        assert!(plan.contains("Index Scan using t_v_idx on t") && plan.contains("strategy: lists"), "{plan}");
        assert!(plan.contains(&format!("Probes: {probes} of 10 lists")), "{plan}");
    }
    let few = "SELECT id, v <-> $1 FROM t WHERE category IS NULL AND id % 5 = 0 ORDER BY v <-> $1 LIMIT 10";
    let expected = naive.nearest(Metric::L2, &[0.0; 4], 10, |id, category| category.is_none() && id % 5 == 0);
    assert_eq!(w.query(&w.begin(), few, &query).unwrap().len(), expected.len());
}

#[test]
fn a_bound_on_the_distance_leaves_exactly_the_rows_within_it() {
    let (w, naive) = world(200);
    let query = [0.1f32, 0.2, 0.3, 0.4];
    for (bound, limit) in [(0.5, 5), (1.5, 1_000), (2.0, 20), (-1.0, 3)] {
        let sql =
            format!("SELECT id, v <-> $1 FROM t WHERE v <-> $1 < {bound} ORDER BY v <-> $1 LIMIT {limit}");
        let rows = w.show(&sql, &[Value::Vector(query.to_vec())]);
        let found: Vec<&str> = rows.lines().filter_map(|row| row.split('|').nth(1)).collect();
        let all = naive.nearest(Metric::L2, &query, usize::MAX, |_, _| true);
        let within = all.iter().filter(|d| d.parse::<f64>().is_ok_and(|d| d < bound)).take(limit);
        assert_eq!(found, within.map(String::as_str).collect::<Vec<_>>(), "{sql}");
    }
}

#[test]
fn a_recall_target_is_measured_met_and_told_and_audits_measure_too() {
    let (mut w, naive) = world(600);
    create_hnsw(&w);
    let query = |n: usize| [Value::Vector(vec![0.1 * n as f32, 0.3, 0.0, -0.2])];
    let sql = "SELECT id, v <-> $1 FROM t ORDER BY v <-> $1 LIMIT 10";
    // Where comparing everything is the cheapest there is nothing to measure.
    w.settings.recall_target = 0.6;
    w.query(&w.begin(), sql, &query(0)).unwrap();
    assert!(w.database.measured_recall().is_empty());

    w.settings.enable_seqscan = false;
    let plan = w.explain(sql, &query(0), true);
    assert!(plan.contains("Recall Target: 0.6 (query 1 of 20 at most that"), "{plan}");
    assert!(plan.contains("strategy: exact, exact"), "{plan}");
    for n in 1..25 {
        let rows = w.query(&w.begin(), sql, &query(n)).unwrap();
        let Value::Vector(vector) = &query(n)[0] else { unreachable!() };
        let expected = naive.nearest(Metric::L2, vector, 10, |_, _| true);
        let hits = distances(&rows).iter().filter(|distance| expected.contains(distance)).count();
        assert!(rows.len() == 10 && hits >= if n < 20 { 10 } else { 4 }, "{n}: {rows:?} {expected:?}");
    }
    let known = |from: u64| {
        let known = w.database.measured_recall();
        let of_class = known.into_iter().filter(|known| *known.class.rows().start() == from);
        of_class.map(|known| known.estimate.queries).fold(0.0, f64::max)
    };
    assert_eq!(known(9), 20.0);
    for analyze in [false, true] {
        let plan = w.explain(sql, &query(3), analyze);
        assert!(plan.contains("Recall Target: 0.6 (effort 16: "), "{plan}");
        assert!(plan.contains("strategy: graph, approximate"), "{plan}");
    }

    let mut settings = w.settings.clone();
    (settings.recall_target, settings.recall_audit) = (0.0, 1.0);
    let database = w.database.clone();
    let w = World { settings, ..w };
    let known =
        |from: u64| database.measured_recall().iter().any(|known| *known.class.rows().start() == from);
    // Rows of an open transaction may go with it, so its queries are not measured.
    let mut txn = w.begin();
    w.insert(&mut txn, vec![row(10_000, None, "own", Some([0.0; 4]))]);
    txn.start_statement();
    let wait = || std::thread::sleep(std::time::Duration::from_millis(5));
    for _ in 0..10 {
        w.query(&txn, "SELECT id FROM t ORDER BY v <-> $1 LIMIT 100", &query(1)).unwrap();
        wait();
    }
    drop(txn);
    let audited = (0..2_000).any(|_| {
        w.query(&w.begin(), "SELECT id FROM t ORDER BY v <-> $1 LIMIT 40", &query(1)).unwrap();
        wait();
        known(33)
    });
    assert!(audited && !known(65));
}
