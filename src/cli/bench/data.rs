//! What a benchmark searches: vectors with metadata, queries, filters, and the exact answers to both.
//!
//! A data directory has `base.npy`, `queries.npy`, `meta.npz` (category, category_names, tenant, size, titles) and
//! `filters.json`. Without one, vectors are generated: points around cluster centres, because independent random
//! numbers have no neighbourhoods worth finding; metadata follow the cluster, as they do in life.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::bench::numpy::{Archive, read_file, read_npy};
use crate::distance::{Metric, Query, dot};
use crate::error::{Error, Result, SqlState};

/// Neighbours asked for.
pub const K: usize = 10;

/// One data set.
pub struct Data {
    pub name: String,
    pub dimensions: usize,
    base: Vec<f32>,
    /// Rows of `base` that are in the table: all, but for those held back until they are added to a live index.
    in_table: usize,
    queries: Vec<f32>,
    pub category: Vec<String>,
    pub tenant: Vec<i32>,
    pub size: Vec<i32>,
    pub title: Vec<String>,
    pub filters: Vec<Filter>,
}

/// A predicate in SQL, and the rows it takes, worked out here and not by the server.
pub struct Filter {
    pub name: String,
    pub sql: String,
    pub rows: Vec<bool>,
}

impl Filter {
    pub fn selectivity(&self) -> f64 {
        self.rows.iter().filter(|row| **row).count() as f64 / self.rows.len().max(1) as f64
    }
}

impl Data {
    /// Rows in the table.
    pub fn rows(&self) -> usize {
        self.in_table
    }

    /// Rows that are not in the table yet.
    pub fn held_back(&self) -> usize {
        self.base.len() / self.dimensions - self.in_table
    }

    /// Says how many rows, from the first, are in the table now.
    pub fn set_rows(&mut self, rows: usize) {
        self.in_table = rows.min(self.base.len() / self.dimensions);
    }

    pub fn queries(&self) -> usize {
        self.queries.len() / self.dimensions
    }

    pub fn vector(&self, row: usize) -> &[f32] {
        &self.base[row * self.dimensions..][..self.dimensions]
    }

    pub fn query(&self, index: usize) -> &[f32] {
        &self.queries[index * self.dimensions..][..self.dimensions]
    }

    /// Reads a data directory.
    pub fn read(folder: &Path, queries_max: usize) -> Result<Data> {
        let base = read_npy(&folder.join("base.npy"))?;
        let queries = read_npy(&folder.join("queries.npy"))?;
        let &[rows, dimensions] = base.shape.as_slice() else { return Err(broken("base.npy is no matrix")) };
        if dimensions == 0 || queries.shape.len() != 2 || queries.shape[1] != dimensions {
            return Err(broken("queries.npy does not match base.npy"));
        }
        let meta = Archive::open(&folder.join("meta.npz"))?;
        let names = meta.array("category_names")?.strings()?;
        let name = |index: i64| names.get(index as usize).cloned().unwrap_or_default();
        let mut queries = queries.floats()?;
        queries.truncate(queries_max * dimensions);
        let mut data = Data {
            name: folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            dimensions,
            base: base.floats()?,
            in_table: rows,
            queries,
            category: meta.array("category")?.integers()?.into_iter().map(name).collect(),
            tenant: meta.array("tenant")?.integers()?.into_iter().map(|n| n as i32).collect(),
            size: meta.array("size")?.integers()?.into_iter().map(|n| n as i32).collect(),
            title: meta.array("titles")?.lines(),
            filters: Vec::new(),
        };
        let columns = [data.category.len(), data.tenant.len(), data.size.len(), data.title.len()];
        if columns.iter().any(|column| *column != rows) {
            return Err(broken("meta.npz does not have one value per row of base.npy"));
        }
        data.filters = data.read_filters(&read_file(&folder.join("filters.json"))?)?;
        Ok(data)
    }

    fn read_filters(&self, json: &[u8]) -> Result<Vec<Filter>> {
        #[derive(serde::Deserialize)]
        struct Line {
            name: String,
            sql: String,
            col: String,
            op: String,
            value: serde_json::Value,
        }
        let lines: Vec<Line> =
            serde_json::from_slice(json).map_err(|error| broken(&format!("filters.json: {error}")))?;
        let mut filters = Vec::new();
        for Line { name, sql, col, op, value } in lines {
            let number = value.as_i64().unwrap_or_default() as i32;
            let compare = |cell: &i32| if op == "<" { *cell < number } else { *cell == number };
            let rows = match col.as_str() {
                "category" => {
                    self.category.iter().map(|cell| Some(cell.as_str()) == value.as_str()).collect()
                }
                "tenant" => self.tenant.iter().map(compare).collect(),
                "size" => self.size.iter().map(compare).collect(),
                // A column that is not loaded here.
                _ => continue,
            };
            filters.push(Filter { name, sql, rows });
        }
        Ok(filters)
    }

    /// Clustered points; the same for the same arguments.
    pub fn generate(rows: usize, dimensions: usize, queries: usize) -> Data {
        let clusters = (rows / 500).clamp(1, 1000);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let centres: Vec<f32> = (0..clusters * dimensions).map(|_| random.normal()).collect();
        let mut points = |count: usize| {
            let mut owners = Vec::with_capacity(count);
            let mut values = Vec::with_capacity(count * dimensions);
            for _ in 0..count {
                let cluster = random.below(clusters);
                let centre = &centres[cluster * dimensions..][..dimensions];
                values.extend(centre.iter().map(|c| c + 0.5 * random.normal()));
                owners.push(cluster);
            }
            (owners, values)
        };
        let (owners, base) = points(rows);
        let (_, queries) = points(queries);
        let size: Vec<i32> = (0..rows).map(|_| random.below(1000) as i32).collect();
        let filters = [(500, "half"), (100, "tenth"), (10, "hundredth"), (1, "thousandth")];
        Data {
            name: format!("generated-{rows}x{dimensions}"),
            dimensions,
            base,
            in_table: rows,
            queries,
            category: owners.iter().map(|cluster| format!("c{}", cluster % 16)).collect(),
            tenant: owners.iter().map(|cluster| *cluster as i32).collect(),
            title: (0..rows).map(|row| format!("point {row}")).collect(),
            filters: filters
                .iter()
                .map(|(below, name)| Filter {
                    name: (*name).to_owned(),
                    sql: format!("size < {below}"),
                    rows: size.iter().map(|size| size < below).collect(),
                })
                .collect(),
            size,
        }
    }

    /// The rank of an answer: ascending is nearer.
    fn ranks<'a>(&'a self, metric: Metric, query: &'a [f32]) -> impl Fn(usize) -> f32 + 'a {
        let query = Query::new(metric, query);
        move |row| query.rank(self.vector(row).into(), norm(self.vector(row)))
    }

    /// Exact answers by looking at every row, for the first `queries` queries, unfiltered and for each filter.
    pub fn truth(&self, metric: Metric, queries: usize, progress: &AtomicUsize) -> Truth {
        let queries = queries.min(self.queries());
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let next = AtomicUsize::new(0);
        let norms: Vec<f32> = (0..self.rows()).map(|row| norm(self.vector(row))).collect();
        let mut bounds = vec![Vec::new(); queries];
        let found = std::thread::scope(|scope| {
            let work = || {
                let mut mine = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= queries {
                        return mine;
                    }
                    mine.push((index, self.bounds(metric, index, &norms)));
                    progress.fetch_add(1, Ordering::Relaxed);
                }
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| worker.join().unwrap_or_default();
            workers.into_iter().flat_map(join).collect::<Vec<(usize, Vec<Bound>)>>()
        });
        for (index, bound) in found {
            bounds[index] = bound;
        }
        Truth { metric, bounds }
    }

    fn bounds(&self, metric: Metric, index: usize, norms: &[f32]) -> Vec<Bound> {
        let query = Query::new(metric, self.query(index));
        let ranks: Vec<f32> =
            (0..self.rows()).map(|row| query.rank(self.vector(row).into(), norms[row])).collect();
        let mut bounds = vec![Bound::of(ranks.clone())];
        for filter in &self.filters {
            let matching = ranks.iter().zip(&filter.rows).filter(|(_, row)| **row);
            bounds.push(Bound::of(matching.map(|(rank, _)| *rank).collect()));
        }
        bounds
    }

    /// How good a server's answers are. `filter` is an index into `filters`.
    pub fn judge(&self, truth: &Truth, answers: &[Vec<i64>], filter: Option<usize>) -> Verdict {
        let (mut hits, mut wanted, mut rows, mut wrong) = (0, 0, 0, 0);
        for (index, ids) in answers.iter().enumerate() {
            let bound = truth.bounds[index][filter.map_or(0, |filter| filter + 1)];
            let rank = self.ranks(truth.metric, self.query(index));
            // Ties and rounding: as far as the last true neighbour, give or take the last digits of an f32.
            let limit = bound.rank + 1e-4 * bound.rank.abs() + 1e-6;
            let mut seen: Vec<i64> = ids.clone();
            seen.sort_unstable();
            seen.dedup();
            let known = |id: &i64| usize::try_from(*id).ok().filter(|row| *row < self.rows());
            let valid = |row: usize| filter.is_none_or(|filter| self.filters[filter].rows[row]);
            let good: Vec<usize> = seen.iter().filter_map(known).filter(|row| valid(*row)).collect();
            wrong += ids.len() - good.len();
            rows += ids.len();
            wanted += bound.count;
            hits += good.iter().filter(|row| rank(**row) <= limit).count().min(bound.count);
        }
        Verdict {
            recall: hits as f64 / wanted.max(1) as f64,
            rows: rows as f64 / answers.len().max(1) as f64,
            missing: wanted.saturating_sub(rows),
            wrong,
        }
    }
}

/// The exact answer to one query, as far as judging needs it.
#[derive(Clone, Copy)]
struct Bound {
    /// Of the k-th neighbour.
    rank: f32,
    /// min(k, matching rows).
    count: usize,
}

impl Bound {
    fn of(mut ranks: Vec<f32>) -> Bound {
        let count = ranks.len().min(K);
        if count == 0 {
            return Bound { rank: 0.0, count };
        }
        let (_, rank, _) = ranks.select_nth_unstable_by(count - 1, f32::total_cmp);
        Bound { rank: *rank, count }
    }
}

/// Exact answers to all queries.
pub struct Truth {
    metric: Metric,
    bounds: Vec<Vec<Bound>>,
}

/// The quality of a server's answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub recall: f64,
    /// Mean rows per answer.
    pub rows: f64,
    /// Rows that should have been there.
    pub missing: usize,
    /// Rows that break the filter, repeat, or do not exist.
    pub wrong: usize,
}

/// |vector|.
fn norm(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}

/// xorshift*: the same points everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }

    /// Nearly normal: the sum of twelve uniform numbers, less six.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }
}

fn broken(message: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_answers_are_judged_perfect_and_others_are_not() {
        let data = Data::generate(300, 8, 5);
        let truth = data.truth(Metric::L2, 5, &AtomicUsize::new(0));
        let nearest = |index: usize, filter: Option<usize>| {
            let rank = data.ranks(Metric::L2, data.query(index));
            let valid = |row: &i64| filter.is_none_or(|filter| data.filters[filter].rows[*row as usize]);
            let mut ids: Vec<i64> = (0..300).filter(valid).collect();
            ids.sort_by(|a, b| rank(*a as usize).total_cmp(&rank(*b as usize)));
            ids.truncate(K);
            ids
        };
        let perfect: Vec<Vec<i64>> = (0..5).map(|index| nearest(index, None)).collect();
        assert_eq!(data.judge(&truth, &perfect, None).recall, 1.0);
        let filtered: Vec<Vec<i64>> = (0..5).map(|index| nearest(index, Some(1))).collect();
        let verdict = data.judge(&truth, &filtered, Some(1));
        assert_eq!((verdict.recall, verdict.wrong, verdict.missing), (1.0, 0, 0));
        assert!(data.judge(&truth, &perfect, Some(1)).wrong > 0);
        let mut short = perfect;
        short[0].truncate(4);
        assert_eq!(data.judge(&truth, &short, None).missing, 6);
    }
}
