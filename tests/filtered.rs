//! Random filtered searches against comparing everything, while rows come, change and go: through the real server, by SQL.
//!
//! Selectivities from all rows to one in a hundred thousand, filters independent of the vectors and going with them, by
//! indexes and by testing rows, LIMIT 1 to 1,000, three metrics each with its index, half of the queries inside transactions
//! that have changed rows, of which half are rolled back. Each answer has as many rows as there are, up to the limit; each row
//! is there, matches, and has its distance, in order; with `hither.require_exact` the distances are those of comparing
//! everything. Recall is counted by metric and by decade of selectivity.
//!
//! 1,000 queries over 6,000 rows; `HITHER_FILTERED=100000 cargo test --release --test filtered -- --nocapture` asks as many
//! over 100,000 and shows the recall of each class. `HITHER_SEED` begins otherwise.

#![cfg(feature = "server")]

#[path = "kill/served.rs"]
mod served;

use std::collections::BTreeMap;
use std::fmt::Write;

use served::{Server, mix, number};
use tokio_postgres::{Client, SimpleQueryMessage};

const DIMENSIONS: usize = 16;
const CATEGORIES: u64 = 64;
/// Sizes are below, so that `size < x` allows any share.
const SIZES: u64 = 1_000_000;
/// Queries between two changes of rows.
const QUERIES_BETWEEN: u64 = 10;
/// Rows that a change adds, changes and takes away, each.
const CHANGED: u64 = 4;
/// In the mean over a class of metric and decade of selectivity.
const RECALL_MIN: f64 = 0.95;

#[derive(Clone, Debug)]
struct Row {
    /// `None` for NULL.
    vector: Option<[f32; DIMENSIONS]>,
    size: u64,
    category: u64,
}

/// What the table holds, by id.
type Model = BTreeMap<u64, Row>;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 += 1;
        mix(self.0) % end
    }

    fn unit(&mut self) -> f64 {
        self.below(1 << 40) as f64 / (1u64 << 40) as f64
    }

    /// Between 1 and `most`, each power of ten as often.
    fn by_powers(&mut self, most: f64) -> f64 {
        most.powf(self.unit())
    }

    /// Near the centre of a category. Few dimensions tell the centres apart, so that they overlap.
    fn vector(&mut self, category: u64) -> [f32; DIMENSIONS] {
        std::array::from_fn(|axis| {
            let centre = mix(category * 100 + axis as u64) as f64 / u64::MAX as f64;
            let noise = self.unit() + self.unit() + self.unit() - 1.5;
            (centre * 2.0 - 0.5 + noise) as f32
        })
    }

    fn row(&mut self) -> Row {
        let category = self.below(CATEGORIES);
        let vector = (self.below(200) > 0).then(|| self.vector(category));
        Row { vector, size: self.below(SIZES), category }
    }
}

#[derive(Clone, Copy)]
enum Metric {
    L2,
    Cosine,
    Product,
}

impl Metric {
    const ALL: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::Product];

    fn operator(self) -> &'static str {
        match self {
            Metric::L2 => "<->",
            Metric::Cosine => "<=>",
            Metric::Product => "<#>",
        }
    }

    fn distance(self, a: &[f32; DIMENSIONS], b: &[f32; DIMENSIONS]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        match self {
            Metric::L2 => a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt(),
            Metric::Product => -dot(a, b),
            Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        }
    }
}

/// Whether a row of this id matches.
type Test = Box<dyn Fn(u64, &Row) -> bool>;

/// A predicate, in SQL and here.
struct Filter {
    sql: String,
    matches: Test,
}

fn filter(random: &mut Random) -> Filter {
    let share = 1e-5 * random.by_powers(1e5);
    let bound = (share * SIZES as f64) as u64;
    let category = random.below(CATEGORIES);
    let (sql, matches): (String, Test) = match random.below(7) {
        0 => ("true".into(), Box::new(|_, _| true)),
        1 => (format!("category = {category}"), Box::new(move |_, row| row.category == category)),
        2 => (
            format!("category = {category} AND size < {bound}"),
            Box::new(move |_, row| row.category == category && row.size < bound),
        ),
        3 => {
            let few = category % 5 + 1;
            (
                format!("category < {few} OR size >= {}", SIZES - bound),
                Box::new(move |_, row| row.category < few || row.size >= SIZES - bound),
            )
        }
        // No index answers it: it is tested on rows.
        4 => (
            format!("id % 97 = {} AND size < {}", category % 97, bound.max(SIZES / 10)),
            Box::new(move |id, row| id % 97 == category % 97 && row.size < bound.max(SIZES / 10)),
        ),
        _ => (format!("size < {bound}"), Box::new(move |_, row| row.size < bound)),
    };
    Filter { sql, matches }
}

fn text(vector: &[f32; DIMENSIONS]) -> String {
    let elements: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", elements.join(","))
}

fn values(id: u64, row: &Row) -> String {
    let vector = row.vector.as_ref().map_or("NULL".to_owned(), |vector| format!("'{}'", text(vector)));
    format!("({id}, {vector}, {}, {})", row.size, row.category)
}

/// Some rows that come, some that change, some that go.
async fn change(client: &Client, random: &mut Random, model: &mut Model, next: &mut u64) {
    let mut sql = String::new();
    for _ in 0..CHANGED {
        let row = random.row();
        writeln!(sql, "INSERT INTO t VALUES {};", values(*next, &row)).expect("into a string");
        model.insert(*next, row);
        *next += 1;
    }
    for number in 0..2 * CHANGED {
        let from = random.below(*next);
        let Some((&id, row)) = model.range_mut(from..).next() else { continue };
        if number < CHANGED {
            model.remove(&id);
            writeln!(sql, "DELETE FROM t WHERE id = {id};").expect("into a string");
            continue;
        }
        if number % 2 == 0 {
            *row = random.row();
        } else {
            row.size = random.below(SIZES);
        }
        let vector = row.vector.as_ref().map_or("NULL".to_owned(), |vector| format!("'{}'", text(vector)));
        writeln!(
            sql,
            "UPDATE t SET v = {vector}, size = {}, category = {} WHERE id = {id};",
            row.size, row.category
        )
        .expect("into a string");
    }
    client.batch_execute(&sql).await.expect("changes");
}

/// Rows found and wanted, and queries, by metric and decade of selectivity.
type Classes = BTreeMap<(&'static str, i32), (f64, u64)>;

async fn ask(client: &Client, random: &mut Random, model: &Model, exactly: bool, classes: &mut Classes) {
    let metric = Metric::ALL[random.below(3) as usize];
    let filter = filter(random);
    let k = random.by_powers(1_000.0) as usize;
    let category = random.below(CATEGORIES);
    let query = random.vector(category);
    let mut truth: Vec<Option<f64>> = model
        .iter()
        .filter(|(id, row)| (filter.matches)(**id, row))
        .map(|(_, row)| row.vector.as_ref().map(|vector| metric.distance(vector, &query)))
        .collect();
    let matching = truth.len();
    // NULL comes last.
    let order = |a: &Option<f64>, b: &Option<f64>| match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    truth.sort_by(order);
    truth.truncate(k);
    let operator = metric.operator();
    let sql = format!(
        "SELECT id, v {operator} '{}' FROM t WHERE {} ORDER BY v {operator} '{}' LIMIT {k}",
        text(&query),
        filter.sql,
        text(&query)
    );
    let context = || format!("{matching} match: {sql}");
    let messages = client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{error}: {}", context()));
    let mut found: Vec<(u64, Option<f64>)> = Vec::new();
    for message in &messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let id = row.get(0).expect("an id").parse().expect("a number");
        found.push((id, row.get(1).map(|distance| distance.parse().expect("a number"))));
    }
    assert_eq!(found.len(), truth.len(), "as many rows as there are: {}", context());
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * a.abs().max(b.abs()).max(1.0);
    let mut ids: Vec<u64> = found.iter().map(|(id, _)| *id).collect();
    for (id, distance) in &found {
        let row = model.get(id).unwrap_or_else(|| panic!("row {id} is not there: {}", context()));
        assert!((filter.matches)(*id, row), "row {id}, {row:?}, does not match: {}", context());
        let is = row.vector.as_ref().map(|vector| metric.distance(vector, &query));
        let same = match (is, distance) {
            (Some(is), Some(distance)) => near(is, *distance),
            (is, distance) => is.is_none() && distance.is_none(),
        };
        assert!(same, "row {id} is at {is:?}, not at {distance:?}: {}", context());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "no row twice: {}", context());
    assert!(found.is_sorted_by(|a, b| order(&a.1, &b.1).is_le()), "in order: {}", context());
    let is_near = |found: &Option<f64>, truth: &Option<f64>| match (found, truth) {
        (Some(found), Some(truth)) => found < truth || near(*found, *truth),
        (found, truth) => found.is_some() || truth.is_none(),
    };
    if exactly {
        let same = found
            .iter()
            .zip(&truth)
            .all(|((_, found), truth)| is_near(found, truth) && is_near(truth, found));
        assert!(same, "the exact answer: {}", context());
        return;
    }
    let Some(last) = truth.last() else { return };
    let share = matching as f64 / model.len() as f64;
    let right = found.iter().filter(|(_, distance)| is_near(distance, last)).count();
    let (recall, queries) = classes.entry((operator, share.log10().floor() as i32)).or_default();
    *recall += right as f64 / truth.len() as f64;
    *queries += 1;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filtered_searches_agree_with_comparing_everything() {
    let queries = number("HITHER_FILTERED", 1_000);
    let rows = if queries > 20_000 { 100_000 } else { 6_000 };
    let seed = number("HITHER_SEED", 1);
    println!("HITHER_SEED={seed}, {queries} queries over {rows} rows");
    let mut random = Random(mix(seed));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"), &[]);
    let client = server.connect().await.expect("a connection");
    let table = format!(
        "CREATE EXTENSION vector; CREATE TABLE t (id bigint PRIMARY KEY, v vector({DIMENSIONS}), size int, category int)"
    );
    client.batch_execute(&table).await.expect("a table");
    let mut model: Model = (0..rows).map(|id| (id, random.row())).collect();
    let all: Vec<(&u64, &Row)> = model.iter().collect();
    for some in all.chunks(1_000) {
        let values: Vec<String> = some.iter().map(|(id, row)| values(**id, row)).collect();
        client.batch_execute(&format!("INSERT INTO t VALUES {}", values.join(","))).await.expect("rows");
    }
    for class in ["vector_l2_ops", "vector_cosine_ops", "vector_ip_ops"] {
        client.batch_execute(&format!("CREATE INDEX ON t USING hnsw (v {class})")).await.expect("an index");
    }
    let (mut classes, mut next, mut asked) = (Classes::new(), rows, 0);
    while asked < queries {
        let round = asked / QUERIES_BETWEEN;
        let (inside, exactly) = (round % 2 == 1, round % 3 == 2);
        let before = (inside && round % 4 == 1).then(|| model.clone());
        let begin = if inside { "BEGIN" } else { "SELECT 1" };
        client.batch_execute(begin).await.expect("a beginning");
        client.batch_execute(&format!("SET hither.require_exact = {exactly}")).await.expect("a setting");
        change(&client, &mut random, &mut model, &mut next).await;
        for _ in 0..QUERIES_BETWEEN {
            ask(&client, &mut random, &model, exactly, &mut classes).await;
        }
        asked += QUERIES_BETWEEN;
        match (inside, before) {
            (true, Some(before)) => {
                client.batch_execute("ROLLBACK").await.expect("a rollback");
                model = before;
            }
            (true, None) => client.batch_execute("COMMIT").await.expect("a commit"),
            (false, _) => {}
        }
    }
    let mut low = Vec::new();
    for ((operator, decade), (recall, queries)) in classes {
        let recall = recall / queries as f64;
        println!("{operator} 1e{decade} to 1e{}: recall {recall:.4} of {queries} queries", decade + 1);
        if recall < RECALL_MIN {
            low.push((operator, decade, recall, queries));
        }
    }
    assert!(low.is_empty(), "recall below {RECALL_MIN}: {low:?}");
}
