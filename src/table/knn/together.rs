//! A search that is run for one outer row after the other, and compares everything, does so for many of them together.
//!
//! ```text
//!   FROM q CROSS JOIN LATERAL (SELECT id FROM items ORDER BY v <-> q.v LIMIT 5) n
//!
//!   outer row   1   2 3   4 .. 7   8 .. 15   16 .. 31  ...
//!   searched    1   2     4        8         16        with the first of each
//! ```
//!
//! The subquery goes on being run row by row (`planner/by_row`): only its search looks ahead, with a cell of its own to
//! evaluate the query in, and a later run finds its answer in the batch of outer rows. That is for the same number of nearest
//! among the same rows, which every run compares. Numbers double because nobody knows how many of the rows will be asked for.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::physical_plan::PhysicalExpr;
use parking_lot::Mutex;

use super::{RowSet, Search, query_vector};
use crate::distance::{Element, Metric, Query, Vector};
use crate::error::Result;
use crate::functions::cells::Cell;
use crate::index::search::exactly;
use crate::index::{Counters, Found, Hit, Request, Strategy};
use crate::table::bindings::{Bindings, OuterRows};
use crate::table::predicate::evaluate;
use crate::vectors::View;

/// Queries searched together at most.
const QUERIES_MAX: usize = 256;
/// The same where four queries at a time cost as much as four (`Query::ranks_of_four`): what is saved are loads from memory.
const QUERIES_MAX_OF_OTHERS: usize = 16;
/// Of their vectors in all, beside a cache of the second level.
const QUERY_BYTES_MAX: usize = 1 << 20;
/// Hits of all that wait at most: half a megabyte.
const HITS_MAX: usize = 1 << 16;
/// Outer rows looked at for each query that is found: rows may ask the same.
const ROWS_PER_QUERY: usize = 4;

/// How a search's query is evaluated for outer rows whose turn has not come.
pub struct Later {
    /// Of the search.
    pub number: u64,
    /// Read by the query alone, and empty but for that.
    pub bindings: Arc<Bindings>,
    pub query: Arc<dyn PhysicalExpr>,
}

/// What a search of a subquery has found for a batch's outer rows that come next.
pub struct Together {
    rows: RowSet,
    /// How the first of them was answered, which was alone.
    first: Found,
    /// How many were wanted last, and how many different ones were found.
    size: usize,
    found: usize,
    /// By outer row: what is asked, and its answer.
    answers: HashMap<usize, Arc<(Cell<'static>, Vec<Hit>)>>,
}

/// Those of a batch: by the number of the search, and how many it looks for, which may grow for one row.
pub type Searches = Mutex<HashMap<(u64, usize), Arc<Mutex<Together>>>>;

/// More than a subquery has, and less than matters; from there on all begin anew.
const SEARCHES_MAX: usize = 64;

impl Together {
    /// The answer for an outer row: its own, or that of another that asks the same.
    fn answer(&self, row: usize, query: Vector<'_>) -> Option<Found> {
        let asks = |answer: &&Arc<(Cell<'static>, Vec<Hit>)>| answer.0.vector() == query;
        let answer = self.answers.get(&row).filter(asks).or_else(|| self.answers.values().find(asks))?;
        let compared = self.rows.rows().len();
        let counters = Counters { distances: compared, visited: compared, ..Counters::default() };
        Some(Found { hits: answer.1.clone(), counters, ..self.first.clone() })
    }
}

impl Search<'_> {
    /// Notes a search that has compared everything by choice, for the outer rows that come next. Where there are codes, they
    /// are what is compared, and fewer bytes.
    pub(super) fn begin_together(&self, request: &Request<View>, rows: &RowSet, found: &Found) {
        let (Some((outer, row)), Some(later)) = (&self.execution.outer, &self.scan.later) else { return };
        let has_codes = request.finder.is_some_and(|finder| finder.quantization().is_some());
        let (Some(query), false) = (&self.query, has_codes) else { return };
        if found.strategy != Strategy::Exact || found.fell_from.is_some() {
            return;
        }
        let first = Found { hits: Vec::new(), ..found.clone() };
        let answers = HashMap::from([(*row, Arc::new((query.clone(), found.hits.clone())))]);
        let together = Together { rows: rows.clone(), first, size: 1, found: 1, answers };
        let mut searches = outer.searches.lock();
        if searches.len() >= SEARCHES_MAX {
            searches.clear();
        }
        searches.insert((later.number, request.k), Arc::new(Mutex::new(together)));
    }

    /// The answer for this outer row, if it is found together with those that come next, and how many they are.
    pub(super) fn together(&self, request: &Request<View>, rows: &RowSet) -> Result<Option<(Found, usize)>> {
        let (Some((outer, row)), Some(later)) = (&self.execution.outer, &self.scan.later) else {
            return Ok(None);
        };
        let Some(kept) = outer.searches.lock().get(&(later.number, request.k)).cloned() else {
            return Ok(None);
        };
        let mut kept = kept.lock();
        if !kept.rows.is(rows) {
            return Ok(None);
        }
        if let Some(found) = kept.answer(*row, request.query.vector()) {
            return Ok(Some((found, kept.found)));
        }
        let size = (kept.size * 2).min(self.queries_max(request.k)).max(1);
        let (cells, asks) = self.queries_from(outer, *row, later, size);
        if cells.len() < 2 {
            return Ok(None);
        }
        let queries: Vec<Query> =
            cells.iter().map(|cell| Query::new(self.scan.metric, cell.vector())).collect();
        let hits = exactly(request, &queries)?;
        let answers: Vec<Arc<_>> = cells.into_iter().zip(hits).map(Arc::new).collect();
        (kept.size, kept.found) = (size, answers.len());
        kept.answers = asks.into_iter().map(|(row, query)| (row, Arc::clone(&answers[query]))).collect();
        Ok(kept.answer(*row, request.query.vector()).map(|found| (found, kept.found)))
    }

    /// How many queries for `k` rows each may be searched together.
    fn queries_max(&self, k: usize) -> usize {
        let shares_loads = self.view.element() == Element::F32 && self.scan.metric != Metric::L1;
        let most = if shares_loads { QUERIES_MAX } else { QUERIES_MAX_OF_OTHERS };
        most.min(QUERY_BYTES_MAX / self.view.stride().max(1)).min(HITS_MAX / k.max(1))
    }

    /// Up to `most` different queries of the outer rows from `row` on, and which row asks which of them; as far as they can be
    /// told without an error, which is of the row whose turn it will be. NULL is no query.
    fn queries_from(
        &self,
        outer: &OuterRows,
        row: usize,
        later: &Later,
        most: usize,
    ) -> (Vec<Cell<'static>>, Vec<(usize, usize)>) {
        let (mut queries, mut asks): (Vec<Cell>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        let cell = Emptied(&later.bindings);
        for row in row..outer.rows.min(row.saturating_add(most * ROWS_PER_QUERY)) {
            let Ok(execution) = self.execution.for_outer_row(outer, row) else { break };
            cell.0.fill(Arc::new(execution));
            let query = evaluate(&later.query).and_then(|query| query_vector(&query, self.view.element()));
            match query {
                Ok(Some(query)) if query.vector().dimensions() == self.view.dimensions() => {
                    let known = queries.iter().position(|known| known.vector() == query.vector());
                    if known.is_none() && queries.len() == most {
                        break;
                    }
                    asks.push((row, known.unwrap_or(queries.len())));
                    queries.extend(known.is_none().then_some(query));
                }
                Ok(None) => {}
                _ => break,
            }
        }
        (queries, asks)
    }
}

/// A cell that is empty afterwards, whatever happens.
struct Emptied<'a>(&'a Bindings);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}
