//! Which search to run: a computation from exact cardinalities, in units of one vector comparison.
//!
//! The constants were measured (docs/design/0002-search-strategies.md); being off by a factor of two moves a
//! query to a strategy that is slower by less than that, never to a wrong answer.

use super::finder::Finder;
use super::hnsw;
use super::ivf::Probes;
use super::quantizer::Quantization;

/// A way to find the nearest rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Compares every allowed vector.
    Exact,
    /// Walks the graph through allowed nodes, over the heads of those that are not.
    FilteredGraph,
    /// Walks the whole graph and tests what it meets.
    TestedGraph,
    /// Walks the whole graph and tests its answer: nearly every node is allowed.
    Graph,
    /// Compares what is allowed in the lists around the nearest centres.
    Lists,
}

impl Strategy {
    pub const ALL: [Strategy; 5] =
        [Strategy::Exact, Strategy::FilteredGraph, Strategy::TestedGraph, Strategy::Graph, Strategy::Lists];

    /// As EXPLAIN and the settings name it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Exact => "exact",
            Strategy::FilteredGraph => "filtered graph",
            Strategy::TestedGraph => "tested graph",
            Strategy::Graph => "graph",
            Strategy::Lists => "lists",
        }
    }

    pub fn from_name(name: &str) -> Option<Strategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// Rows that may be returned.
    pub allowed: u64,
    /// Nodes of the graph or slots in lists, dead ones included; 0 without either.
    pub nodes: u64,
    /// Allowed rows outside, which every strategy but the exact one compares besides.
    pub outside: u64,
    pub k: usize,
    pub ef: usize,
    pub shape: Shape,
    pub dimensions: usize,
    /// Vectors that a filtered walk may compare; one that is expected to want more is not begun.
    pub distances_max: u64,
}

/// What there is to search with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Nothing,
    /// Of so many links per node, walked through codes or vectors.
    Graph {
        m: u16,
        quantization: Option<Quantization>,
    },
    /// So many lists, of which so many are looked into.
    Lists {
        lists: u32,
        probes: u32,
    },
}

impl Shape {
    pub fn of(finder: &Finder, probes: Probes) -> Shape {
        match finder {
            Finder::Graph(graph) => {
                let hnsw::Params { m, quantization, .. } = graph.params();
                Shape::Graph { m, quantization }
            }
            Finder::Lists(lists) => Shape::Lists { lists: lists.count() as u32, probes: probes.first },
        }
    }

    /// Whether a strategy is one for it, usable or not.
    pub fn suits(self, strategy: Strategy) -> bool {
        match (self, strategy) {
            (_, Strategy::Exact) => true,
            (Shape::Lists { .. }, strategy) => strategy == Strategy::Lists,
            (_, strategy) => strategy != Strategy::Lists,
        }
    }
}

/// Expected comparisons per strategy; infinite where one cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs([f32; 5]);

impl Costs {
    pub fn get(&self, strategy: Strategy) -> f32 {
        self.0[strategy as usize]
    }

    /// Strategies and their costs, in the order of [`Strategy::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Strategy, f32)> + '_ {
        Strategy::ALL.into_iter().map(|strategy| (strategy, self.get(strategy)))
    }

    /// The exact search unless a walk is a good deal cheaper; among walks the cheapest.
    pub fn choice(&self) -> Strategy {
        let cheaper = |a: Strategy, b: Strategy| if self.get(b) < self.get(a) { b } else { a };
        let [exact, walks @ ..] = Strategy::ALL;
        let walk = walks.into_iter().reduce(cheaper).unwrap_or(exact);
        if self.get(exact) <= self.get(walk) * EXACT_WORTH { exact } else { walk }
    }
}

/// What certainty may cost: an exact answer has no recall to lose, and a filter that goes with the vectors
/// (a category, a customer) costs a walk more recall than the model knows.
const EXACT_WORTH: f32 = 1.5;
/// Nanoseconds of a comparison: its memory traffic by dimension, and what does not depend on it. A graph's next
/// vector is anywhere in memory, a scan's a little further on.
const WALK_NS: f32 = 170.0;
const EXACT_NS: f32 = 30.0;
/// A list's vectors are spread over the column, but known beforehand and loaded ahead.
const LIST_NS: f32 = 60.0;
const DIMENSION_NS: f32 = 0.15;
/// A test of a slot against the filter, with the look at the link that led to it.
const TEST_NS: f32 = 8.0;
/// Comparisons of an unfiltered walk at m = 16: descent (four candidates a level), and per candidate those of its 32 links not met before.
const WALK_START: f32 = 130.0;
const WALK_PER_EF: f32 = 11.0;
/// Entries of the sorted candidate list whose moving costs as much as a comparison: a long list (LIMIT 10,000)
/// is no walk's strength.
const LIST_PER_COMPARISON: f32 = 1500.0;
/// Heaps instead of one sorted list.
const TESTED_OVERHEAD: f32 = 1.2;
/// Allowed nodes are farther apart than nodes are.
const FILTERED_OVERHEAD: f32 = 1.35;
/// Of the links of nodes looked through, those not met before.
const FILTERED_NEW_LINKS: f32 = 0.5;
/// Candidates of a filtered walk per candidate asked for: with these its recall is that of an unfiltered one.
const FILTERED_EF: f32 = 1.5;
/// Share of allowed nodes from which testing the answer is enough.
const GRAPH_SHARE_MIN: f32 = 0.95;
/// Below this share two hops from a node meet hardly any allowed one.
const FILTERED_SHARE_MIN: f32 = 0.003;

/// The candidates a strategy keeps so that its recall is what `ef` promises without a filter.
pub fn candidates(strategy: Strategy, ef: usize) -> usize {
    match strategy {
        Strategy::FilteredGraph => (ef as f32 * FILTERED_EF) as usize,
        _ => ef,
    }
}

/// What a walk costs by the one through vectors: codes are fewer bytes, and those of signs need more candidates.
pub fn of_codes(quantization: Option<Quantization>) -> f32 {
    match quantization {
        None => 1.0,
        Some(Quantization::F16 | Quantization::Bf16) => 0.6,
        Some(Quantization::Sq8 | Quantization::Bq | Quantization::Pq) => 0.5,
    }
}

/// Whether an exact search of so many rows goes through codes of bytes: a few hundred vectors are compared sooner than what
/// their codes leave open, and a k-th row far down leaves all open.
pub fn has_worth_through_codes(rows: u64, k: usize) -> bool {
    const ROWS_MIN: u64 = 500;
    const ROWS_PER_K: u64 = 16;
    rows >= ROWS_MIN.max((k as u64).saturating_mul(ROWS_PER_K))
}

/// The cost model, in comparisons of a graph walk.
pub fn costs(s: &Situation) -> Costs {
    let dimensions_ns = DIMENSION_NS * s.dimensions as f32;
    let walk_ns = WALK_NS + dimensions_ns;
    let scan = |rows: u64| rows as f32 * (EXACT_NS + dimensions_ns) / walk_ns;
    let mut costs = Costs([f32::INFINITY; 5]);
    costs.0[Strategy::Exact as usize] = scan(s.allowed);
    if s.nodes == 0 || s.allowed <= s.k as u64 {
        return costs;
    }
    let inside = s.allowed - s.outside.min(s.allowed);
    let (m, quantization) = match s.shape {
        Shape::Nothing => return costs,
        Shape::Graph { m, quantization } => (m, quantization),
        Shape::Lists { lists, probes } => {
            let looked_at = inside as f32 * (probes as f32 / lists.max(1) as f32).min(1.0);
            let in_lists = looked_at * (LIST_NS + dimensions_ns) / walk_ns;
            costs.0[Strategy::Lists as usize] = scan(s.outside + u64::from(lists)) + in_lists;
            return costs;
        }
    };
    let share = (inside as f32 / s.nodes as f32).min(1.0);
    let ef = s.ef.max(s.k) as f32;
    let per_ef = WALK_PER_EF * (f32::from(m) / 16.0).sqrt();
    // No walk compares more than every node.
    let compared = |ef: f32| (WALK_START + per_ef * ef).min(s.nodes as f32) * of_codes(quantization);
    let list = |ef: f32| 1.0 + ef / LIST_PER_COMPARISON;
    let walk = |ef: f32| compared(ef) * list(ef);
    let outside = scan(s.outside);
    if share >= GRAPH_SHARE_MIN {
        costs.0[Strategy::Graph as usize] = outside + walk(ef);
        return costs;
    }
    let affordable = |distances: f32| distances <= s.distances_max as f32;
    if share > 0.0 && affordable(compared(ef / share)) {
        costs.0[Strategy::TestedGraph as usize] = outside + compared(ef / share) * list(ef) * TESTED_OVERHEAD;
    }
    if share >= FILTERED_SHARE_MIN && affordable(compared(ef * FILTERED_EF)) {
        let (ef, links) = (ef * FILTERED_EF, 2.0 * f32::from(m));
        let tests = ef * (1.0 - share) * links * links * FILTERED_NEW_LINKS;
        costs.0[Strategy::FilteredGraph as usize] =
            outside + walk(ef) * FILTERED_OVERHEAD + tests * TEST_NS / walk_ns;
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITUATION: Situation = Situation {
        allowed: 0,
        nodes: 0,
        outside: 0,
        k: 10,
        ef: 40,
        shape: Shape::Graph { m: 16, quantization: None },
        dimensions: 384,
        distances_max: 20_000,
    };

    fn choice(allowed: u64, nodes: u64, ef: usize) -> Strategy {
        let situation = Situation { allowed, nodes, k: 10, ef, ..SITUATION };
        costs(&situation).choice()
    }

    #[test]
    fn the_choice_follows_what_was_measured() {
        assert_eq!(choice(50_000, 50_000, 40), Strategy::Graph);
        assert_eq!(choice(25_000, 50_000, 40), Strategy::TestedGraph);
        assert_eq!(choice(500, 50_000, 40), Strategy::Exact);
        assert_eq!(choice(50, 50_000, 40), Strategy::Exact);
        assert_eq!(choice(100_000, 1_000_000, 40), Strategy::FilteredGraph);
        assert_eq!(choice(1_000_000, 1_000_000, 40), Strategy::Graph);
        assert_eq!(choice(5, 1_000_000, 40), Strategy::Exact);
        assert_eq!(choice(1_000_000, 1_000_000, 1_000), Strategy::Graph);
        assert_eq!(choice(1_000_000, 1_000_000, 20_000), Strategy::Exact);
    }

    #[test]
    fn lists_are_taken_while_few_are_looked_into() {
        let choice = |allowed, probes| {
            let shape = Shape::Lists { lists: 100, probes };
            let situation = Situation { allowed, nodes: 100_000, shape, ..SITUATION };
            costs(&situation).choice()
        };
        assert_eq!(choice(100_000, 1), Strategy::Lists);
        assert_eq!(choice(100_000, 20), Strategy::Lists);
        assert_eq!(choice(100_000, 100), Strategy::Exact);
        assert_eq!(choice(20, 1), Strategy::Exact);
    }

    #[test]
    fn without_a_graph_only_the_exact_search_is_left() {
        let situation =
            Situation { allowed: 1_000, outside: 1_000, shape: Shape::Nothing, dimensions: 3, ..SITUATION };
        let costs = costs(&situation);
        assert_eq!(costs.choice(), Strategy::Exact);
        assert_eq!(costs.iter().filter(|(_, cost)| cost.is_finite()).count(), 1);
    }

    #[test]
    fn a_walk_over_the_bound_is_not_begun() {
        let situation = Situation { allowed: 500_000, nodes: 1_000_000, ..SITUATION };
        assert_eq!(costs(&situation).choice(), Strategy::TestedGraph);
        let bounded = Situation { distances_max: 100, ..situation };
        assert_eq!(costs(&bounded).choice(), Strategy::Exact);
    }

    #[test]
    fn names_lead_back() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::from_name(strategy.name()), Some(strategy));
        }
    }
}
