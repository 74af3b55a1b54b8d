//! `hither.recall_target` and `hither.recall_audit`: how hard a search looks so that its recall is what was asked for, and
//! the measuring of real queries in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{RowSet, Search};
use crate::distance::{Metric, Query};
use crate::functions::cells::Cell;
use crate::index::recall::{Advice, Class, Estimate, measure, queries_for, with_effort};
use crate::index::{Found, Request, Strategy, search};
use crate::table::bindings::SearchSettings;
use crate::table::{Snapshot, VectorIndexView};
use crate::vectors::View;

/// How a target was met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    pub target: f64,
    pub advice: Advice,
}

impl Aim {
    /// For EXPLAIN.
    pub fn text(&self) -> String {
        let target = self.target;
        match self.advice {
            Advice::Measure(queries) => {
                let (number, most) = (queries.floor() + 1.0, queries_for(target));
                format!("{target} (query {number} of {most} at most that are answered exactly and measured)")
            }
            Advice::Search(effort, Estimate { mean, low, queries }) => {
                let queries = queries.floor();
                format!(
                    "{target} (effort {effort}: {mean:.4} in {queries} measured queries, \
                     above {low:.4} with 95 % confidence)"
                )
            }
            Advice::Exact => format!("{target} (exact: no effort is known to reach it)"),
        }
    }
}

/// What to do about the session's target: `None` without an index to measure, and where everything allowed is compared
/// however hard a walk would look.
pub fn advice(request: &Request<'_, View>, index: &VectorIndexView, target: f64) -> Option<Advice> {
    if target == 0.0 || request.strategy == Some(Strategy::Exact) {
        return None;
    }
    let (class, nodes) = class_of(request, index);
    let efforts = class.efforts(&index.finder);
    let least = with_effort(request, *efforts.first()?);
    if crate::index::search::outlook(&least).1 == Strategy::Exact {
        return None;
    }
    Some(index.measured.advise(class, nodes, &efforts, target))
}

/// The request as advised. A measured query is answered exactly, too.
pub fn advised<'a>(request: &Request<'a, View>, advice: Advice) -> Request<'a, View> {
    match advice {
        Advice::Search(effort, _) => with_effort(request, effort),
        Advice::Measure(_) | Advice::Exact => Request { strategy: Some(Strategy::Exact), ..*request },
    }
}

/// Searches as advised.
pub fn follow(
    request: &Request<'_, View>,
    index: &VectorIndexView,
    advice: Advice,
) -> crate::error::Result<Found> {
    match advice {
        Advice::Measure(_) => measured(request, index),
        _ => search(&advised(request, advice)),
    }
}

/// The exact answer; what each effort would have found is recorded.
fn measured(request: &Request<'_, View>, index: &VectorIndexView) -> crate::error::Result<Found> {
    let (class, nodes) = class_of(request, index);
    let measurement = measure(request, &class.efforts(&index.finder))?;
    index.measured.record(class, nodes, &measurement);
    Ok(measurement.exact)
}

fn class_of(request: &Request<'_, View>, index: &VectorIndexView) -> (Class, u64) {
    let nodes = index.finder.nodes().len();
    (Class::of(request, nodes), nodes)
}

/// Time that audits may take, as it comes in and is spent.
struct Credit {
    seconds: f64,
    since: Option<Instant>,
}

/// Credit that gathers at most, so that a quiet night does not end in a morning of audits.
const CREDIT_MAX: f64 = 1.0;

static CREDIT: Mutex<Credit> = Mutex::new(Credit { seconds: 0.0, since: None });
/// Whether an audit is under way: there is one at a time.
static AUDITING: AtomicBool = AtomicBool::new(false);

impl Credit {
    /// Adds what came in since the last look, `share` of a processor's time; whether there is any.
    fn draw(&mut self, share: f64, now: Instant) -> bool {
        let passed = self.since.replace(now).map_or(Duration::ZERO, |since| now.duration_since(since));
        self.seconds = (self.seconds + share * passed.as_secs_f64()).min(CREDIT_MAX);
        self.seconds > 0.0
    }
}

/// An audit is under way until this is dropped, and its time is charged then, also when it panics.
struct Under(Instant);

impl Under {
    /// `None` while another one is, or no time has come in for it.
    fn way(share: f64) -> Option<Under> {
        let now = Instant::now();
        let may = CREDIT.lock().draw(share, now) && !AUDITING.swap(true, Ordering::Acquire);
        may.then(|| Under(now))
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        CREDIT.lock().seconds -= self.0.elapsed().as_secs_f64();
        AUDITING.store(false, Ordering::Release);
    }
}

/// Bytes of vectors that an audit compares at most: a second's work, more or less, for which it holds a snapshot.
const AUDIT_BYTES_MAX: u64 = 4 << 30;

/// A query, to be measured while nobody waits.
struct Audit {
    /// Keeps the rows.
    _snapshot: Arc<Snapshot>,
    view: View,
    query: Cell<'static>,
    metric: Metric,
    rows: RowSet,
    index: VectorIndexView,
    k: usize,
    strategy: Option<Strategy>,
    settings: SearchSettings,
}

impl Search<'_> {
    /// Has the query of a request measured in the background, if the session's share of time allows it now. A
    /// transaction's own rows are gone when it rolls back, whoever reads them: its queries are not measured.
    pub(super) fn offer_audit(&self, request: &Request<'_, View>, rows: &RowSet, index: &VectorIndexView) {
        let settings = &self.execution.settings;
        let bytes = request.rows.len().saturating_mul(4 * self.view.dimensions() as u64);
        if settings.recall_audit == 0.0 || self.snapshot.has_own_writes() || bytes > AUDIT_BYTES_MAX {
            return;
        }
        let Some(under) = Under::way(settings.recall_audit) else { return };
        let Some(query) = self.query.clone() else { return };
        let audit = Audit {
            _snapshot: Arc::clone(&self.snapshot),
            view: self.view.clone(),
            query,
            metric: self.scan.metric,
            rows: rows.clone(),
            index: index.clone(),
            k: request.k,
            strategy: request.strategy,
            settings: settings.clone(),
        };
        let thread = std::thread::Builder::new().name("recall audit".to_owned());
        let spawned = thread.spawn(move || {
            let _under = under;
            if let Err(error) = audit.run() {
                log::warn!("an audit of recall failed: {error}");
            }
        });
        if let Err(error) = spawned {
            log::warn!("no thread for an audit of recall: {error}");
        }
    }
}

impl Audit {
    fn run(&self) -> crate::error::Result<()> {
        let request = Request {
            vectors: &self.view,
            query: Query::new(self.metric, self.query.vector()),
            rows: self.rows.rows(),
            finder: Some(&self.index.finder),
            tail: &self.index.tail,
            k: self.k,
            ef: self.settings.ef_search,
            probes: self.settings.probes,
            strategy: self.strategy,
            distances_max: self.settings.max_scan_tuples as u64,
            cancel: &AtomicBool::new(false),
        };
        measured(&request, &self.index).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audits_take_their_share_of_time_and_no_more() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut credit = Credit { seconds: 0.0, since: None };
        assert!(!credit.draw(0.1, at(0.0)), "nothing has come in");
        assert!(credit.draw(0.1, at(1.0)));
        credit.seconds -= 0.3;
        assert!(!credit.draw(0.1, at(2.0)), "0.2 spent, and not earned yet");
        assert!(!credit.draw(0.1, at(2.9)) && credit.draw(0.1, at(3.1)));
        assert!(credit.draw(0.1, at(1000.0)) && credit.seconds == CREDIT_MAX);
    }

    #[test]
    fn aims_are_told() {
        let aim = |advice| Aim { target: 0.95, advice }.text();
        assert_eq!(
            aim(Advice::Measure(3.5)),
            "0.95 (query 4 of 120 at most that are answered exactly and measured)"
        );
        let estimate = Estimate { queries: 31.0, mean: 0.991, low: 0.9512 };
        assert_eq!(
            aim(Advice::Search(56, estimate)),
            "0.95 (effort 56: 0.9910 in 31 measured queries, above 0.9512 with 95 % confidence)"
        );
        assert_eq!(aim(Advice::Exact), "0.95 (exact: no effort is known to reach it)");
    }
}
