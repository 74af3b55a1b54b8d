//! What recall an index has shown, by what was asked of it; and how hard to search so that a target is met.
//!
//! ```text
//!   a query -> Class (share of rows allowed, k; rules)   the first two by powers of two
//!   Class   -> a ladder of efforts: ef 16, 23, 32, ...   or probes 1, 2, 3, ...
//!                 each with the recall of the queries measured: how many, mean, spread
//!   target  -> the least effort whose mean is above it by 2.326 standard errors (some 95 % of the time it is in truth),
//!              one query that found nothing counted in; the exact search where there is none
//! ```
//!
//! An effort at which one walk in ten falls back to the exact search is no effort to save with, whatever its recall.
//!
//! The query that found nothing stands for what was not met yet: recall has a long tail (a filter that has nothing near
//! some queries), and few queries that all fared well say little about it.
//!
//! To measure a query is to answer it exactly and at every effort, in one snapshot. The first queries of a class are
//! measured on the spot, and so get exact answers; later ones as an audit in the background, when somebody asks for it.
//! For each tenth by which the number of an index's nodes grows or shrinks, what was measured counts half, and where too
//! little is left queries are measured on the spot again.
//!
//! How a query fares depends on where it lies, so recall belongs to the queries that are really asked: none are made up.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use parking_lot::Mutex;

use super::finder::Finder;
use super::found::{Found, Hit};
use super::ivf::Probes;
use super::search::{Request, search};
use super::source::Vectors;
use super::strategy::Strategy;
use crate::error::Result;

/// Queries of a class that are measured before anything is known of it.
pub const QUERIES_MIN: f64 = 20.0;
/// Queries that are measured on the spot before a target counts as out of reach, times the recall that it leaves: about
/// twice what it takes to show it when no row is missed.
const QUERIES_PER_MISS: f64 = 6.0;
/// A class remembers no more than about so many; older ones fade.
const QUERIES_MAX: f64 = 1000.0;
/// The 99th percentile of the normal distribution at each look: a class is looked at with every query until one look is
/// good enough, and that is right about 95 times in a hundred.
const Z: f64 = 2.326;
/// Share of its nodes by which an index may change before what was measured counts half.
const CHANGED: f64 = 0.1;
/// Share of walks that may have fallen back to the exact search.
const FELL_MAX: f64 = 0.1;
/// Greatest ef of the ladder: that of the setting.
const EF_MAX: usize = 1000;
const EF_MIN: usize = 10;

/// Queries that fare alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// The share of nodes allowed is at most 2^-halvings and more than half of that.
    halvings: u8,
    /// k is at most 2^doublings and more than half of that.
    doublings: u8,
    /// Whether a walk was asked for also where comparing everything is cheaper.
    forced: bool,
    /// The bound of the session: vectors that a filtered walk may compare, or lists that may be looked into.
    bound: u64,
}

impl Class {
    /// Of a request to search an index of so many nodes.
    pub fn of<V>(request: &Request<V>, nodes: u64) -> Class {
        let allowed = request.rows.len();
        let bound = match request.finder {
            Some(Finder::Lists(_)) => u64::from(request.probes.most),
            _ => request.distances_max,
        };
        Class { forced: request.strategy.is_some(), bound, ..Class::of_counts(allowed, nodes, request.k) }
    }

    fn of_counts(allowed: u64, nodes: u64, k: usize) -> Class {
        let halvings = (nodes.max(1) / allowed.max(1)).max(1).ilog2() as u8;
        // No more than 2^32 slots are ever asked for.
        let k = (k.max(1) as u64).min(1 << 32);
        Class { halvings, doublings: k.next_power_of_two().ilog2() as u8, forced: false, bound: 0 }
    }

    /// Greatest share of rows allowed.
    pub fn share(self) -> f64 {
        0.5f64.powi(i32::from(self.halvings))
    }

    /// From k to k.
    pub fn rows(self) -> RangeInclusive<u64> {
        let most = 1u64 << self.doublings;
        most / 2 + 1..=most
    }

    pub fn forced(self) -> bool {
        self.forced
    }

    /// Vectors that a filtered walk may compare, or lists that may be looked into.
    pub fn bound(self) -> u64 {
        self.bound
    }

    /// The efforts worth telling apart for an index: each about 1.4 times the one before. The same for all k of the class.
    pub fn efforts(self, finder: &Finder) -> Vec<Effort> {
        let (first, last) = match finder {
            Finder::Graph(_) => {
                let k = *self.rows().end() as usize;
                (EF_MIN.max(k), EF_MAX.max(k))
            }
            Finder::Lists(lists) => (1, lists.count().max(1)),
        };
        let mut efforts = vec![first];
        let mut next = first as f64;
        while let Some(&effort) = efforts.last()
            && effort < last
        {
            next *= std::f64::consts::SQRT_2;
            efforts.push((next.round() as usize).clamp(effort + 1, last));
        }
        efforts
    }
}

/// How hard to look: candidates of a walk, or lists.
pub type Effort = usize;

/// The request, searching so hard.
pub fn with_effort<'a, V>(request: &Request<'a, V>, effort: Effort) -> Request<'a, V> {
    let probes = u32::try_from(effort).unwrap_or(u32::MAX);
    match request.finder {
        Some(Finder::Lists(_)) => {
            Request { probes: Probes { first: probes, most: probes.max(request.probes.most) }, ..*request }
        }
        _ => Request { ef: effort, ..*request },
    }
}

/// A query, answered exactly and at every effort.
pub struct Measurement {
    pub exact: Found,
    pub rungs: Vec<Rung>,
}

/// What a query found at one effort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    pub effort: Effort,
    pub recall: f64,
    /// Whether the walk fell back to the exact search.
    pub fell: bool,
}

/// Measures a query over an index, at each of `efforts`.
pub fn measure<V: Vectors>(request: &Request<V>, efforts: &[Effort]) -> Result<Measurement> {
    let exact = search(&Request { strategy: Some(Strategy::Exact), ..*request })?;
    let mut rungs: Vec<Rung> = Vec::with_capacity(efforts.len());
    let mut certain = false;
    for &effort in efforts {
        // Twice complete is complete from there on, as is an answer for which comparing everything was the cheapest.
        let complete = |rung: &Rung| rung.recall == 1.0 && !rung.fell;
        certain |= matches!(&rungs[..], [.., a, b] if complete(a) && complete(b));
        if certain {
            rungs.push(Rung { effort, recall: 1.0, fell: false });
            continue;
        }
        let found = search(&with_effort(request, effort))?;
        certain = found.exact && found.fell_from.is_none();
        let recall = recall(&found.hits, &exact.hits);
        rungs.push(Rung { effort, recall, fell: found.fell_from.is_some() });
    }
    Ok(Measurement { exact, rungs })
}

/// Share of the exact answer's places that are filled by rows no farther than its last. Rows without a distance are
/// anybody's.
fn recall(hits: &[Hit], exact: &[Hit]) -> f64 {
    let near = exact.iter().filter(|hit| !hit.rank.is_nan()).count();
    let Some(last) = near.checked_sub(1).map(|last| exact[last].rank) else { return 1.0 };
    hits.iter().filter(|hit| hit.rank <= last).count().min(near) as f64 / near as f64
}

/// What is known of one effort.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Queries measured, faded ones in part.
    pub queries: f64,
    pub mean: f64,
    /// Below which the true mean is 5 % of the time at most, however often it is looked at.
    pub low: f64,
}

/// What to do to meet a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Advice {
    /// Answer exactly and measure: so many of the class were measured before.
    Measure(f64),
    Search(Effort, Estimate),
    /// No effort is known to meet it.
    Exact,
}

/// What was measured of one index.
#[derive(Default)]
pub struct Measured {
    classes: Mutex<BTreeMap<Class, Samples>>,
}

#[derive(Clone, Debug, Default)]
struct Samples {
    rungs: BTreeMap<Effort, Sums>,
    /// Of the index, when it was last known to be alike.
    nodes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    queries: f64,
    fell: f64,
    recall: f64,
    squares: f64,
}

impl Measured {
    /// Takes a measurement of an index with so many nodes.
    pub fn record(&self, class: Class, nodes: u64, measurement: &Measurement) {
        let mut classes = self.classes.lock();
        let samples = classes.entry(class).or_insert_with(|| Samples { nodes, ..Samples::default() });
        samples.fade(nodes);
        for &Rung { effort, recall, fell } in &measurement.rungs {
            let sums = samples.rungs.entry(effort).or_default();
            if sums.queries >= QUERIES_MAX {
                sums.scale(0.5);
            }
            sums.queries += 1.0;
            sums.fell += f64::from(u8::from(fell));
            sums.recall += recall;
            sums.squares += recall * recall;
        }
    }

    /// How hard to search one of `efforts` so that the class reaches `target`.
    pub fn advise(&self, class: Class, nodes: u64, efforts: &[Effort], target: f64) -> Advice {
        let mut classes = self.classes.lock();
        let Some(samples) = classes.get_mut(&class) else { return Advice::Measure(0.0) };
        samples.fade(nodes);
        let known = || efforts.iter().filter_map(|effort| Some((*effort, samples.rungs.get(effort)?)));
        let estimates = || known().map(|(effort, sums)| (effort, sums.estimate()));
        let queries = known().map(|(_, sums)| sums.queries).fold(0.0, f64::max);
        let meets = |(effort, estimate): &(Effort, Estimate)| {
            let fell = samples.rungs.get(effort).map_or(0.0, |sums| sums.fell);
            estimate.queries >= QUERIES_MIN && estimate.low >= target && fell <= FELL_MAX * estimate.queries
        };
        match estimates().find(meets) {
            Some((effort, estimate)) => Advice::Search(effort, estimate),
            None if queries < queries_for(target) => Advice::Measure(queries),
            None => Advice::Exact,
        }
    }

    /// Everything, for a view.
    pub fn estimates(&self) -> Vec<(Class, Effort, Estimate)> {
        let classes = self.classes.lock();
        let of_class = |(class, samples): (&Class, &Samples)| {
            let class = *class;
            samples
                .rungs
                .iter()
                .map(move |(effort, sums)| (class, *effort, sums.estimate()))
                .collect::<Vec<_>>()
        };
        classes.iter().flat_map(of_class).collect()
    }
}

/// Queries that are measured on the spot before a target counts as out of reach.
pub fn queries_for(target: f64) -> f64 {
    (QUERIES_PER_MISS / (1.0 - target)).clamp(QUERIES_MIN, QUERIES_MAX / 2.0).ceil()
}

impl Samples {
    fn fade(&mut self, nodes: u64) {
        if nodes.abs_diff(self.nodes) as f64 > CHANGED * self.nodes as f64 {
            let (before, now) = (self.nodes.max(1) as f64, nodes.max(1) as f64);
            let tenths = (now / before).ln().abs() / (1.0 + CHANGED).ln();
            self.nodes = nodes;
            self.rungs.values_mut().for_each(|sums| sums.scale(0.5f64.powf(tenths)));
        }
    }
}

impl Sums {
    fn scale(&mut self, by: f64) {
        self.queries *= by;
        self.fell *= by;
        self.recall *= by;
        self.squares *= by;
    }

    fn estimate(&self) -> Estimate {
        if self.queries == 0.0 {
            return Estimate::default();
        }
        // With one that found nothing.
        let queries = self.queries + 1.0;
        let mean = self.recall / queries;
        let spread = (self.squares / queries - mean * mean).max(0.0).sqrt();
        let low = (mean - Z * spread / queries.sqrt()).max(0.0);
        Estimate { queries: self.queries, mean: self.recall / self.queries, low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Metric;
    use crate::index::hnsw::{Graph, Params};

    fn measurement(recalls: &[(Effort, f64)]) -> Measurement {
        let exact = Found {
            hits: Vec::new(),
            strategy: Strategy::Exact,
            fell_from: None,
            exact: true,
            counters: Default::default(),
            costs: Default::default(),
        };
        let rung = |&(effort, recall): &(Effort, f64)| Rung { effort, recall, fell: false };
        Measurement { exact, rungs: recalls.iter().map(rung).collect() }
    }

    fn all(k: usize) -> Class {
        Class::of_counts(1, 1, k)
    }

    #[test]
    fn classes_are_powers_of_two() {
        let class = |allowed, k| Class::of_counts(allowed, 1024, k);
        assert_eq!(class(1024, 10), class(513, 9));
        assert_ne!(class(1024, 10), class(512, 10));
        assert_ne!(class(1024, 8), class(1024, 9));
        assert_eq!((class(100, 10).share(), class(100, 10).rows()), (0.125, 9..=16));
        assert_eq!(
            (class(5000, 1).share(), class(0, 1).share(), class(1, 1).rows()),
            (1.0, 0.0009765625, 1..=1)
        );
        assert_eq!(Class::of_counts(0, 0, 0), Class::of_counts(1, 1, 1));
        assert_eq!(*all(usize::MAX).rows().end(), 1 << 32);
    }

    #[test]
    fn efforts_climb_from_k_to_the_end_and_are_those_of_the_class() {
        let graph = Finder::Graph(Graph::new(Params::new(16, 64, Metric::L2).unwrap()));
        assert_eq!(all(1).efforts(&graph)[..5], [10, 14, 20, 28, 40]);
        assert_eq!(all(1).efforts(&graph).last(), Some(&1000));
        assert_eq!(all(9).efforts(&graph), all(16).efforts(&graph));
        assert_eq!(all(9).efforts(&graph)[..3], [16, 23, 32]);
        assert_eq!(all(300).efforts(&graph), [512, 724, 1000]);
        assert_eq!(all(5000).efforts(&graph), [8192]);
    }

    #[test]
    fn a_target_takes_the_least_effort_that_surely_meets_it() {
        let (measured, class) = (Measured::default(), all(10));
        let efforts = [10, 20, 40];
        let advise = |target| measured.advise(class, 1000, &efforts, target);
        assert_eq!(advise(0.9), Advice::Measure(0.0));
        for query in 0..40 {
            let low = if query % 2 == 0 { 0.8 } else { 1.0 };
            measured.record(class, 1000, &measurement(&[(10, low), (20, 0.96), (40, 1.0)]));
            if query == 18 {
                assert_eq!(advise(0.8), Advice::Measure(19.0));
            }
        }
        assert_eq!(advise(0.95), Advice::Measure(40.0), "forty queries do not show that");
        for query in 40..400 {
            let low = if query % 2 == 0 { 0.8 } else { 1.0 };
            measured.record(class, 1000, &measurement(&[(10, low), (20, 0.96), (40, 1.0)]));
        }
        // 0.9 in the mean, and no more than that.
        assert!(matches!(advise(0.85), Advice::Search(10, estimate) if (estimate.mean - 0.9).abs() < 1e-9));
        assert!(matches!(advise(0.9), Advice::Search(20, _)));
        assert!(matches!(advise(0.97), Advice::Search(40, _)));
        assert_eq!(advise(0.999), Advice::Measure(400.0));
        (400..500).for_each(|_| measured.record(class, 1000, &measurement(&[(40, 1.0)])));
        assert_eq!(advise(1.0), Advice::Exact, "no number of queries shows that");
        let other = Class::of_counts(1, 64, 10);
        assert_eq!(
            measured.advise(other, 1000, &efforts, 0.5),
            Advice::Measure(0.0),
            "each class for itself"
        );
    }

    #[test]
    fn an_effort_that_often_falls_back_saves_nothing() {
        let (measured, class) = (Measured::default(), all(10));
        for query in 0..100 {
            let mut measurement = measurement(&[(10, 1.0), (20, 1.0)]);
            measurement.rungs[0].fell = query % 5 == 0;
            measured.record(class, 1000, &measurement);
        }
        assert!(matches!(measured.advise(class, 1000, &[10, 20], 0.9), Advice::Search(20, _)));
    }

    #[test]
    fn an_index_that_changes_is_measured_again() {
        let (measured, class) = (Measured::default(), all(10));
        (0..40).for_each(|_| measured.record(class, 1000, &measurement(&[(10, 1.0)])));
        assert!(matches!(measured.advise(class, 1100, &[10], 0.8), Advice::Search(10, _)));
        let Advice::Measure(left) = measured.advise(class, 1210, &[10], 0.9) else { panic!("two tenths") };
        assert!((left - 10.0).abs() < 1e-9, "{left}");
        assert_eq!(measured.advise(class, 1210, &[10], 0.9), Advice::Measure(left), "it fades once");
        (0..1000).for_each(|_| measured.record(class, 1210, &measurement(&[(10, 1.0)])));
        let Advice::Measure(left) = measured.advise(class, 1_000_000, &[10], 0.8) else {
            panic!("another index")
        };
        assert!(left < 1e-9);
    }

    #[test]
    fn recall_is_by_distance() {
        let hits = |ranks: &[f32]| ranks.iter().map(|&rank| Hit { rank, slot: 0 }).collect::<Vec<_>>();
        assert_eq!(recall(&hits(&[1.0, 2.0, 2.0]), &hits(&[1.0, 1.5, 2.0])), 1.0);
        assert_eq!(recall(&hits(&[1.0, 3.0]), &hits(&[1.0, 2.0])), 0.5);
        assert_eq!(recall(&hits(&[1.0, f32::NAN]), &hits(&[1.0, f32::NAN])), 1.0);
        assert_eq!(recall(&[], &[]), 1.0);
    }
}
