//! How an answer came about, for EXPLAIN: strategy, work, and on demand its recall.

use std::collections::HashSet;

use super::order;
use super::target::Aim;
use crate::index::quantizer::Quantization;
use crate::index::strategy::{Costs, Shape};
use crate::index::{Found, Strategy};
use crate::table::explained::Explained;

/// Missed rows that EXPLAIN lists.
const MISSED_SHOWN_MAX: usize = 10;

/// What a search did.
#[derive(Clone, Debug)]
pub struct Report {
    pub found: Found,
    /// How many queries, this one among them, were compared with the rows together.
    pub together: usize,
    /// The index that could be used, by name.
    pub index: Option<String>,
    /// What that index searches with.
    pub shape: Shape,
    /// What that index walks through instead of vectors.
    pub codes: Option<Quantization>,
    /// Rows that may be in the answer.
    pub candidates: u64,
    /// Rows read to test the predicate on them.
    pub tested: usize,
    /// With `hither.recall_target`.
    pub aim: Option<Aim>,
    pub microseconds: u128,
    /// With EXPLAIN (ANALYZE, RECALL).
    pub recall: Option<Recall>,
}

/// An answer beside the exact one of the same snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Recall {
    /// Rows of the answer that are no farther than the last row of the exact answer.
    pub found: usize,
    pub wanted: usize,
    /// Place, from 1, and distance of rows of the exact answer that the answer does not have.
    pub missed: Vec<(usize, f64)>,
}

/// A row's distance, `None` for NULL, and its slot.
pub type Row = (Option<f64>, u32);

impl Report {
    /// Adds what the search did.
    pub fn explain(&self, node: Explained) -> Explained {
        let counters = &self.found.counters;
        let node = match self.together {
            1 => node,
            together => node.row([("Queries Together", together.into())]),
        };
        let node = node.row([
            ("Visited", counters.visited.into()),
            ("Distances", counters.distances.into()),
            ("Hops", counters.hops.into()),
            ("Tail", counters.tail.into()),
            ("Rescored", counters.rescored.into()),
            ("Tested Rows", self.tested.into()),
            ("Time", format!("{:.3} ms", self.microseconds as f64 / 1e3).into()),
        ]);
        match &self.recall {
            Some(recall) => recall.explain(node),
            None => node,
        }
    }
}

impl Recall {
    /// A row counts as found when it is no farther than the last of the exact answer: of rows at one distance it does
    /// not matter which are there. Both answers are in order.
    pub fn of(answer: &[Row], exact: &[Row]) -> Recall {
        let last = exact.last().and_then(|(distance, _)| *distance);
        let found = answer.iter().filter(|(distance, _)| order(*distance, last).is_le()).count();
        let found = found.min(exact.len());
        let slots: HashSet<u32> = answer.iter().map(|(_, slot)| *slot).collect();
        let absent = exact.iter().enumerate().filter(|(_, (_, slot))| !slots.contains(slot));
        let missed = absent.filter_map(|(place, (distance, _))| Some((place + 1, (*distance)?)));
        Recall { found, wanted: exact.len(), missed: missed.take(exact.len() - found).collect() }
    }

    /// 0 to 1.
    pub fn share(&self) -> f64 {
        if self.wanted == 0 { 1.0 } else { self.found as f64 / self.wanted as f64 }
    }

    fn explain(&self, node: Explained) -> Explained {
        let node = node.row([
            ("Recall", format!("{:.4}", self.share()).into()),
            ("Found", self.found.into()),
            ("Wanted", self.wanted.into()),
        ]);
        if self.missed.is_empty() {
            return node;
        }
        let missed = self.missed.iter().take(MISSED_SHOWN_MAX);
        let mut shown: Vec<String> = missed.map(|(place, at)| format!("#{place} at {at}")).collect();
        if self.missed.len() > MISSED_SHOWN_MAX {
            shown.push(format!("{} more", self.missed.len() - MISSED_SHOWN_MAX));
        }
        node.line("Missed", shown.join(", "))
    }
}

/// The chosen strategy's cost, then those of the rejected ones.
pub fn shown_costs(costs: &Costs, chosen: Strategy, shape: Shape) -> String {
    let cost = |(strategy, cost): (Strategy, f32)| match cost.is_finite() {
        true => format!("{} {cost:.0}", strategy.name()),
        false => format!("{} unusable", strategy.name()),
    };
    let others = costs.iter().filter(|(other, _)| *other != chosen && shape.suits(*other));
    let rejected: Vec<String> = others.map(cost).collect();
    format!("{:.0} comparisons; rejected: {}", costs.get(chosen), rejected.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_rows_by_distance_and_names_the_missed() {
        let exact = [(Some(0.1), 1), (Some(0.2), 2), (Some(0.3), 3), (Some(0.3), 4)];
        let same_distances = [(Some(0.1), 1), (Some(0.2), 2), (Some(0.3), 4), (Some(0.3), 9)];
        assert_eq!(Recall::of(&same_distances, &exact).share(), 1.0);
        let answer = [(Some(0.1), 1), (Some(0.3), 3), (Some(0.3), 9), (Some(0.4), 5)];
        let recall = Recall::of(&answer, &exact);
        assert_eq!(recall, Recall { found: 3, wanted: 4, missed: vec![(2, 0.2)] });
        assert_eq!(Recall::of(&[], &[]).share(), 1.0);
    }
}
