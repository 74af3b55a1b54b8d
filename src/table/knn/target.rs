//! `hither.recall_target` and `hither.recall_audit`: how hard a search looks so that its recall is what was asked for, and
//! the measuring of real queries in the background.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{RowSet, Search};
use crate::distance::{Query, Vector};
use crate::functions::cells::Cell;
use crate::index::recall::{Advice, Class, Effort, Estimate, efforts, measure, queries_for, with_effort};
use crate::index::{Found, Request, Strategy, search};
use crate::table::{Snapshot, VectorIndexView};
use crate::vectors::View;

/// How a target was met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    target: f64,
    advice: Advice,
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
                    "{target} (effort {effort}: {mean:.4} in {queries} measured queries, surely {low:.4})"
                )
            }
            Advice::Exact => format!("{target} (exact: no effort is known to reach it)"),
        }
    }
}

/// The search that meets the target of the session, if it has one.
pub fn aimed(
    request: &Request<'_, View>,
    index: &VectorIndexView,
    target: f64,
) -> crate::error::Result<(Found, Aim)> {
    let (class, nodes) = class_of(request, index);
    let efforts = efforts(&index.finder, request.k);
    let advice = index.measured.advise(class, nodes, &efforts, target);
    let found = match advice {
        Advice::Measure(_) => {
            let measurement = measure(request, &index.finder)?;
            index.measured.record(class, nodes, &measurement);
            measurement.exact
        }
        Advice::Search(effort, _) => search(&with_effort(request, effort))?,
        Advice::Exact => search(&Request { strategy: Some(Strategy::Exact), ..*request })?,
    };
    Ok((found, Aim { target, advice }))
}

/// Whether everything allowed is compared however hard a walk would look: then a target is met as it is.
pub fn is_exact_anyway(request: &Request<'_, View>, index: &VectorIndexView) -> bool {
    let least: Option<Effort> = efforts(&index.finder, request.k).first().copied();
    least.is_none_or(|least| crate::index::search::chosen(&with_effort(request, least)) == Strategy::Exact)
}

fn class_of(request: &Request<'_, View>, index: &VectorIndexView) -> (Class, u64) {
    let nodes = index.finder.nodes().len();
    (Class::of(request.rows.len(), nodes, request.k), nodes)
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

/// A query, to be measured while nobody waits.
struct Audit {
    /// Keeps the rows.
    _snapshot: Arc<Snapshot>,
    view: View,
    query: Cell<'static>,
    metric: crate::distance::Metric,
    rows: RowSet,
    index: VectorIndexView,
    k: usize,
    settings: crate::table::bindings::SearchSettings,
}

impl Search<'_> {
    /// Has an approximate answer's query measured in the background, if the session's share of time allows it now.
    pub(super) fn offer_audit(&self, rows: &RowSet, index: &VectorIndexView, k: usize) {
        use std::sync::atomic::Ordering;
        let settings = &self.execution.settings;
        let Some(query) = self.query.clone().filter(|_| settings.recall_audit > 0.0) else { return };
        if !CREDIT.lock().draw(settings.recall_audit, Instant::now())
            || AUDITING.swap(true, Ordering::Acquire)
        {
            return;
        }
        let audit = Audit {
            _snapshot: Arc::clone(&self.snapshot),
            view: self.view.clone(),
            query,
            metric: self.scan.provider.question.metric,
            rows: rows.clone(),
            index: index.clone(),
            k,
            settings: settings.clone(),
        };
        let thread = std::thread::Builder::new().name("recall audit".to_owned());
        let spawned = thread.spawn(move || {
            let started = Instant::now();
            audit.run();
            CREDIT.lock().seconds -= started.elapsed().as_secs_f64();
            AUDITING.store(false, Ordering::Release);
        });
        if let Err(error) = spawned {
            AUDITING.store(false, Ordering::Release);
            log::warn!("no thread for an audit of recall: {error}");
        }
    }
}

impl Audit {
    fn run(&self) {
        let cancel = AtomicBool::new(false);
        let request = self.request(self.query.vector(), &cancel);
        let (class, nodes) = class_of(&request, &self.index);
        match measure(&request, &self.index.finder) {
            Ok(measurement) => self.index.measured.record(class, nodes, &measurement),
            Err(error) => log::warn!("an audit of recall failed: {error}"),
        }
    }

    fn request<'a>(&'a self, query: Vector<'a>, cancel: &'a AtomicBool) -> Request<'a, View> {
        Request {
            vectors: &self.view,
            query: Query::new(self.metric, query),
            rows: self.rows.rows(),
            finder: Some(&self.index.finder),
            tail: &self.index.tail,
            k: self.k,
            ef: self.settings.ef_search,
            probes: self.settings.probes,
            strategy: None,
            distances_max: self.settings.max_scan_tuples as u64,
            cancel,
        }
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
            "0.95 (effort 56: 0.9910 in 31 measured queries, surely 0.9512)"
        );
        assert_eq!(aim(Advice::Exact), "0.95 (exact: no effort is known to reach it)");
    }
}
