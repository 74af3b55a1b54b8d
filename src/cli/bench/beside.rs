//! What two servers did in turns, as one table: medians over the rounds, and the second's figure beside the first's.
//!
//! ```text
//!   rounds of A   r1  r2  r3 ──▶ median report ─┐
//!                                               ├──▶ Markdown, as in docs/benchmarks.md
//!   rounds of B   r1  r2  r3 ──▶ median report ─┘
//! ```
//!
//! A report's numbers stand at the same places in each round, so its median is taken place by place over the JSON of
//! the rounds, whatever the report is made of. With one server the table has its column alone.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::cli::bench::report::{Changed, Filtered, Grown, Report, Said, Searched};
use crate::error::{Error, Result};

/// Recalls at which curves are compared: what the literature and pgvector's own documentation speak of.
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];
/// Of two points of a filter the faster counts once both find this much.
const RECALL_ENOUGH: f64 = 0.95;

/// The tables, from each server's rounds.
pub fn comparison(servers: &[&[Report]]) -> Result<String> {
    let reports = servers.iter().map(|rounds| median_report(rounds)).collect::<Result<Vec<_>>>()?;
    let mut out = String::new();
    for (name, report) in ["A", "B"].iter().zip(&reports) {
        line(&mut out, &format!("{name}: {}", report.server));
    }
    single_figures(&mut out, &reports);
    searches(&mut out, &reports);
    at_recalls(&mut out, &reports);
    filters(&mut out, &reports);
    live(&mut out, &reports);
    statements(&mut out, &reports);
    Ok(out)
}

fn median_report(rounds: &[Report]) -> Result<Report> {
    let wrong = |error: serde_json::Error| Error::internal(error.to_string());
    let values = rounds.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>().map_err(wrong)?;
    serde_json::from_value(median(&values.iter().collect::<Vec<_>>())).map_err(wrong)
}

/// The median of each number; of an even number of rounds the lower of the two in the middle, which was measured.
fn median(rounds: &[&Value]) -> Value {
    let known: Vec<&Value> = rounds.iter().copied().filter(|value| !value.is_null()).collect();
    match known.first() {
        Some(Value::Number(_)) => {
            let mut numbers = known;
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            numbers.sort_by(|a, b| number(a).total_cmp(&number(b)));
            numbers[(numbers.len() - 1) / 2].clone()
        }
        Some(Value::Array(first)) => {
            let at = |index| known.iter().filter_map(|value| value.get(index)).collect::<Vec<_>>();
            Value::Array((0..first.len()).map(|index| median(&at(index))).collect())
        }
        Some(Value::Object(first)) => {
            let of = |key: &String| known.iter().filter_map(|value| value.get(key)).collect::<Vec<_>>();
            let members: Map<String, Value> =
                first.keys().map(|key| (key.clone(), median(&of(key)))).collect();
            Value::Object(members)
        }
        Some(other) => (*other).clone(),
        None => Value::Null,
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn head(out: &mut String, columns: &[String]) {
    line(out, "");
    line(out, &format!("| {} |", columns.join(" | ")));
    line(out, &format!("|{}", "---|".repeat(columns.len())));
}

fn row(out: &mut String, cells: Vec<String>) {
    line(out, &format!("| {} |", cells.join(" | ")));
}

/// Column names for each server, and of the ratio when there are two.
fn columns(first: &[&str], each: &[&str], servers: usize, ratio: &str) -> Vec<String> {
    let mut names: Vec<String> = first.iter().map(|name| (*name).to_owned()).collect();
    for server in ["A", "B"].iter().take(servers) {
        names.extend(each.iter().map(|name| match *name {
            "" => (*server).to_owned(),
            name => format!("{server}: {name}"),
        }));
    }
    names.extend((servers > 1).then(|| ratio.to_owned()));
    names
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => thousands(value.round() as i64),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    a.zip(b).filter(|(_, b)| *b != 0.0).map_or("-".to_owned(), |(a, b)| format!("{:.2}", a / b))
}

fn shown(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

/// A row of a point for each server, and the ratio of their rates.
fn points<P>(
    out: &mut String,
    mut cells: Vec<String>,
    points: &[&P],
    shown: impl Fn(&P) -> Vec<String>,
    rate: impl Fn(&P) -> f64,
) {
    cells.extend(points.iter().flat_map(|point| shown(point)));
    if let [a, b] = points {
        cells.push(ratio(Some(rate(a)), Some(rate(b))));
    }
    row(out, cells);
}

/// A row of one figure for each server.
fn figure(out: &mut String, name: &str, values: &[Option<f64>]) {
    if values.iter().all(Option::is_none) {
        return;
    }
    let mut cells = vec![name.to_owned()];
    cells.extend(values.iter().copied().map(shown));
    if let [a, b] = values {
        cells.push(ratio(*a, *b));
    }
    row(out, cells);
}

fn single_figures(out: &mut String, reports: &[Report]) {
    head(out, &columns(&[""], &[""], reports.len(), "A / B"));
    let mut each = |name: &str, of: &dyn Fn(&Report) -> Option<f64>| {
        figure(out, name, &reports.iter().map(of).collect::<Vec<_>>());
    };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    each("COPY BINARY, rows/s", &|report| Some(report.load.as_ref()?.rows_per_second));
    each("HNSW build, s", &|report| Some(report.index.as_ref()?.seconds));
    each("indexes on metadata, s", &|report| Some(report.index.as_ref()?.metadata_seconds));
    each("HNSW index, MB", &|report| report.index.as_ref()?.index_bytes.map(megabytes));
    each("table, MB", &|report| report.index.as_ref()?.table_bytes.map(megabytes));
    each("`SELECT 1`, one connection, /s", &|report| Some(report.floor?.qps));
    for (name, points) in [
        ("INSERT", (|report| &report.insert) as fn(&Report) -> &Vec<Changed>),
        ("UPDATE of metadata", |report| &report.update),
    ] {
        for at in 0..points(&reports[0]).len() {
            let connections = points(&reports[0])[at].connections;
            each(&format!("single-row {name}, {connections} connections, /s"), &|report| {
                Some(points(report).get(at)?.speed.qps)
            });
        }
    }
}

fn searches(out: &mut String, reports: &[Report]) {
    if reports[0].search.is_empty() {
        return;
    }
    let each = ["recall", "QPS", "p99 ms", "CPU us"];
    head(out, &columns(&["ef_search", "connections"], &each, reports.len(), "QPS ratio"));
    for (at, first) in reports[0].search.iter().enumerate() {
        let cells = vec![first.ef_search.to_string(), first.connections.to_string()];
        let both: Vec<&Searched> = reports.iter().filter_map(|report| report.search.get(at)).collect();
        let of_point = |Searched { recall, speed, .. }: &Searched| {
            let p99 = format!("{:.2}", speed.p99);
            vec![format!("{recall:.3}"), number(speed.qps), p99, shown(speed.server_cpu_us)]
        };
        points(out, cells, &both, of_point, |point| point.speed.qps);
    }
}

/// Each server's rate where its curve crosses a recall, with its own ef_search.
fn at_recalls(out: &mut String, reports: &[Report]) {
    if reports[0].search.is_empty() {
        return;
    }
    head(out, &columns(&["at recall", "connections"], &["QPS"], reports.len(), "QPS ratio"));
    let mut connections: Vec<usize> = reports[0].search.iter().map(|point| point.connections).collect();
    connections.sort_unstable();
    connections.dedup();
    for recall in RECALLS {
        for &connections in &connections {
            let rates: Vec<Option<f64>> =
                reports.iter().map(|report| rate_at(&report.search, connections, recall)).collect();
            figure(out, &format!("{recall:.2} | {connections}"), &rates);
        }
    }
}

/// Queries per second at a recall: the time of a query on the line between the two points around it. None beyond the
/// points, which say nothing about what lies there.
fn rate_at(points: &[Searched], connections: usize, recall: f64) -> Option<f64> {
    let mut curve: Vec<(f64, f64)> = points
        .iter()
        .filter(|point| point.connections == connections)
        .map(|point| (point.recall, 1.0 / point.speed.qps))
        .collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let around = curve.windows(2).find(|pair| pair[0].0 <= recall && recall <= pair[1].0)?;
    let [(below, fast), (above, slow)] = [around[0], around[1]];
    let share = if above > below { (recall - below) / (above - below) } else { 0.0 };
    Some(1.0 / (fast + share * (slow - fast)))
}

fn filters(out: &mut String, reports: &[Report]) {
    if reports[0].filtered.is_empty() {
        return;
    }
    let each = ["ef_search", "recall", "rows", "QPS", "CPU us"];
    head(out, &columns(&["filter", "rows matching"], &each, reports.len(), "QPS ratio"));
    let mut names: Vec<&str> = reports[0].filtered.iter().map(|point| point.filter.as_str()).collect();
    names.dedup();
    for name in names {
        let both: Vec<&Filtered> = reports.iter().filter_map(|report| best(&report.filtered, name)).collect();
        let share = both.first().map_or(0.0, |point| point.selectivity);
        let cells = vec![name.to_owned(), format!("{:.2} %", share * 100.0)];
        let of_point = |Filtered { ef_search, recall, rows, speed, .. }: &Filtered| {
            let (recall, rows) = (format!("{recall:.3}"), format!("{rows:.2}"));
            vec![ef_search.to_string(), recall, rows, number(speed.qps), shown(speed.server_cpu_us)]
        };
        points(out, cells, &both, of_point, |point| point.speed.qps);
    }
}

/// Of a filter's points the one with the most recall, and of those that have enough the fastest.
fn best<'a>(points: &'a [Filtered], filter: &str) -> Option<&'a Filtered> {
    let merit = |point: &Filtered| (point.recall.min(RECALL_ENOUGH), point.speed.qps);
    points.iter().filter(|point| point.filter == filter).max_by(|a, b| {
        let (a, b) = (merit(a), merit(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

fn live(out: &mut String, reports: &[Report]) {
    if reports[0].live.is_empty() {
        return;
    }
    let each = ["recall", "inserts/s", "searches/s", "search p50 ms", "search p99 ms"];
    head(out, &columns(&["rows"], &each, reports.len(), "inserts ratio"));
    for (at, first) in reports[0].live.iter().enumerate() {
        let cells = vec![thousands(first.rows as i64)];
        let both: Vec<&Grown> = reports.iter().filter_map(|report| report.live.get(at)).collect();
        let of_step = |Grown { recall, inserts, searches, .. }: &Grown| {
            let (p50, p99) = (format!("{:.2}", searches.p50), format!("{:.2}", searches.p99));
            vec![format!("{recall:.3}"), number(inserts.qps), number(searches.qps), p50, p99]
        };
        points(out, cells, &both, of_step, |step| step.inserts.qps);
    }
}

/// Medians of one connection in microseconds, and how many times as long the second server takes for a text.
fn statements(out: &mut String, reports: &[Report]) {
    if reports[0].statements.is_empty() {
        return;
    }
    let each = ["prepared, us", "literals, us"];
    head(out, &columns(&["statement"], &each, reports.len(), "literals, B / A"));
    for (at, first) in reports[0].statements.iter().enumerate() {
        let both: Vec<&Said> = reports.iter().filter_map(|report| report.statements.get(at)).collect();
        let microseconds = |milliseconds: f64| number(milliseconds * 1e3);
        let of_said = |said: &Said| vec![microseconds(said.prepared.p50), microseconds(said.literals.p50)];
        points(out, vec![first.statement.clone()], &both, of_said, |said| 1.0 / said.literals.p50);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::bench::data::Verdict;
    use crate::cli::bench::measure::Speed;

    #[test]
    fn a_median_is_taken_place_by_place() {
        let rounds = [
            json!({"name": "a", "load": {"s": 3.0}, "points": [{"n": 1, "q": 5.0}], "cpu": null}),
            json!({"name": "a", "load": {"s": 1.0}, "points": [{"n": 1, "q": 9.0}], "cpu": 2.0}),
            json!({"name": "a", "load": {"s": 2.0}, "points": [{"n": 1, "q": 7.0}], "cpu": null}),
        ];
        let expected = json!({"name": "a", "load": {"s": 2.0}, "points": [{"n": 1, "q": 7.0}], "cpu": 2.0});
        assert_eq!(median(&rounds.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_rate_is_read_off_between_the_points_and_not_beyond_them() {
        let point = |recall: f64, qps: f64| {
            let verdict = Verdict { recall, rows: 10.0, missing: 0, wrong: 0 };
            Searched::new(40, 2, verdict, Speed { qps, ..Speed::default() })
        };
        let points = [point(0.92, 1000.0), point(0.96, 500.0), point(0.99, 100.0)];
        // Half of the way from 1 ms to 2 ms.
        assert_eq!(rate_at(&points, 2, 0.94).map(f64::round), Some(667.0));
        assert_eq!(rate_at(&points, 2, 0.99).map(f64::round), Some(100.0));
        assert_eq!((rate_at(&points, 2, 0.90), rate_at(&points, 1, 0.94)), (None, None));
    }

    #[test]
    fn numbers_are_shown_as_they_are_read() {
        assert_eq!([0.5, 12.34, 1234567.8, -1000.0].map(number), ["0.50", "12.3", "1,234,568", "-1,000"]);
    }
}
