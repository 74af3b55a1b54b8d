//! The search with a filter, which can be continued.
//!
//! Candidates and results are apart here: every node may lead on, only allowed ones are results. Two ways of
//! taking the neighbours of an expanded node ([`Expansion`]):
//!
//! ```text
//!   OneHop   score all neighbours; the allowed ones are results.
//!            Cost grows with 1/selectivity: right when most nodes are allowed.
//!   TwoHop   score allowed neighbours only; instead of one that is not allowed, take its own allowed neighbours
//!            (ACORN-1; Patel et al., 2024). Distances hardly grow with 1/selectivity, tests do.
//! ```
//!
//! Two hops may not connect all allowed nodes. When the candidates run out before there are `ef` results, the
//! nodes that were looked through become candidates themselves: bridges to whatever lies behind them.
//!
//! A node and its twins are one result until a batch is handed out; the first need not be allowed itself.
//!
//! A walk may prove dearer than expected: the filter goes with the vectors, and what is allowed is elsewhere. It gives up
//! when the work that finding the rest would take, at the rate so far, is more than comparing everything would be.
//!
//! A batch ends when the best candidate is farther than the `ef`-th result. What was dropped on the way is
//! kept, so that [`Traversal::next_batch`] goes on from there (pgvector's iterative scan, relaxed order): a row of
//! a later batch can be nearer than one of an earlier batch.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::graph::{Graph, Reader};
use super::scratch::{Pool, Scratch, Visited};
use crate::distance::Query;
use crate::index::found::{Counters, Hit, key, rank_of};
use crate::index::source::Vectors;

/// Which neighbours of a node are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expansion {
    OneHop,
    TwoHop,
}

/// A filtered search under way.
pub struct Traversal<'a, V, F> {
    reader: Reader<'a, V>,
    query: Query<'a>,
    filter: F,
    expansion: Expansion,
    ef: usize,
    visited: Visited,
    batch: Vec<u32>,
    /// Neighbours of the node being expanded that are not allowed.
    forbidden: Vec<u32>,
    /// Forbidden nodes looked through, which have no rank yet.
    bridges: Vec<u32>,
    /// Met and not expanded, best first.
    candidates: BinaryHeap<Reverse<u64>>,
    /// The best allowed of this batch.
    results: Pool,
    /// Results of this batch not handed out yet.
    groups: VecDeque<Group>,
    /// Too far for this batch: candidates, and results if allowed, of the next.
    dropped: Vec<u64>,
    counters: Counters,
    /// Slots tested against the filter.
    tests: u64,
    /// Work, in distances, after which the search gives up.
    work_max: u64,
    /// Work after which it asks itself whether to go on.
    doubts_at: u64,
    gave_up: bool,
}

/// Tests that take as long as a distance (`index/strategy.rs`).
const TESTS_PER_DISTANCE: u64 = 20;
/// Work before the first doubts, per candidate asked for: that of a walk without a filter.
const DOUBTS_PER_EF: u64 = 11;

/// A node and its twins.
struct Group {
    key: u64,
    /// Whether the node itself is still to be handed out.
    first: bool,
    /// The first of the twins still to be handed out.
    twin: u32,
}

impl Graph {
    /// A search for allowed nodes, `ef` at a time, which ends after work worth `work_max` distances. Takes the scratch's
    /// memory; [`Traversal::finish`] gives it back.
    pub fn traverse<'a, V: Vectors, F: Fn(u32) -> bool>(
        &self,
        vectors: &'a V,
        query: Query<'a>,
        filter: F,
        expansion: Expansion,
        ef: usize,
        work_max: u64,
        scratch: &mut Scratch,
    ) -> Traversal<'a, V, F> {
        let reader = self.reader(vectors);
        let mut counters = Counters::default();
        reader.descend(&query, 0, ef, scratch, &mut counters);
        let Scratch { mut visited, batch, pool } = std::mem::take(scratch);
        let starts: Vec<u64> = pool.keys().collect();
        visited.reset(reader.bound);
        starts.iter().for_each(|&start| _ = visited.insert(start as u32));
        Traversal {
            reader,
            query,
            filter,
            expansion,
            ef,
            visited,
            batch,
            forbidden: Vec::new(),
            bridges: Vec::new(),
            candidates: BinaryHeap::new(),
            results: pool,
            groups: VecDeque::new(),
            dropped: starts,
            counters,
            tests: 0,
            work_max,
            doubts_at: DOUBTS_PER_EF * ef as u64,
            gave_up: false,
        }
    }
}

impl<V: Vectors, F: Fn(u32) -> bool> Traversal<'_, V, F> {
    /// The next `ef` allowed nodes, ascending; fewer when the graph or the work allowed is at its end, and none
    /// from then on.
    pub fn next_batch(&mut self) -> Vec<Hit> {
        let mut keys = Vec::with_capacity(self.ef);
        while keys.is_empty() && !self.is_exhausted() {
            if self.groups.is_empty() {
                self.advance();
            }
            self.hand_out(&mut keys);
        }
        keys.sort_unstable();
        keys.into_iter().map(Hit::from_key).collect()
    }

    /// Whether nothing is left to look at, or no work allowed.
    pub fn is_exhausted(&self) -> bool {
        let nothing_left = self.candidates.is_empty() && self.dropped.is_empty() && self.bridges.is_empty();
        self.groups.is_empty() && (nothing_left || self.gave_up)
    }

    /// Whether it ended because of the work, not because it had found what it looked for.
    pub fn gave_up(&self) -> bool {
        self.gave_up
    }

    fn work(&self) -> u64 {
        self.counters.distances + self.tests / TESTS_PER_DISTANCE
    }

    /// Whether the work is not worth going on with.
    fn gives_up(&mut self) -> bool {
        let work = self.work();
        self.gave_up = work >= self.work_max;
        if work >= self.doubts_at && self.results.len() < self.ef {
            self.doubts_at = work + work / 4;
            let (found, missing) = (self.results.len().max(1) as u64, (self.ef - self.results.len()) as u64);
            self.gave_up |= work.saturating_mul(missing) / found > self.work_max;
        }
        self.gave_up
    }

    fn advance(&mut self) {
        self.results.reset(self.ef);
        self.candidates.extend(self.dropped.iter().map(|&key| Reverse(key)));
        for key in std::mem::take(&mut self.dropped) {
            if (self.filter)(key as u32) {
                self.offer_result(key);
            }
        }
        while !self.gives_up() {
            if self.candidates.is_empty() {
                self.cross_bridges();
            }
            let Some(Reverse(best)) = self.candidates.pop() else { break };
            if best > self.results.bound() {
                self.candidates.push(Reverse(best));
                break;
            }
            self.expand(best);
        }
        let reader = &self.reader;
        let group = |key: u64| Group { key, first: true, twin: reader.first_twin(key as u32) };
        self.groups.extend(self.results.keys().map(group));
    }

    /// Adds allowed nodes and twins to `keys` until there are `ef`.
    fn hand_out(&mut self, keys: &mut Vec<u64>) {
        while keys.len() < self.ef
            && let Some(mut group) = self.groups.pop_front()
        {
            if group.first && (self.filter)(group.key as u32) {
                keys.push(group.key);
            }
            group.first = false;
            let room = self.ef - keys.len();
            let mut chain = self.reader.chain(group.twin);
            let (filter, visited) = (&self.filter, &mut self.visited);
            let rank = rank_of(group.key);
            keys.extend(
                chain
                    .by_ref()
                    .filter(|&twin| filter(twin) && visited.insert(twin))
                    .take(room)
                    .map(|twin| key(rank, twin)),
            );
            if keys.len() < self.ef {
                continue;
            }
            if let Some(twin) = chain.next() {
                group.twin = twin;
                self.groups.push_front(group);
            }
        }
    }

    pub fn counters(&self) -> Counters {
        Counters { visited: self.visited.len() as u64, ..self.counters }
    }

    /// Gives the memory back.
    pub fn finish(self, scratch: &mut Scratch) -> Counters {
        let counters = self.counters();
        *scratch = Scratch { visited: self.visited, batch: self.batch, pool: self.results };
        counters
    }

    fn expand(&mut self, best: u64) {
        let Traversal { reader, filter, visited, batch, forbidden, bridges, tests, .. } = self;
        let Some(block) = reader.base(best as u32) else { return };
        self.counters.hops += 1;
        let header = block.header();
        batch.clear();
        for link in block.links(header) {
            if link >= reader.bound || !visited.insert(link) {
                continue;
            }
            if self.expansion == Expansion::OneHop || filter(link) {
                reader.vectors.prefetch(link);
                batch.push(link);
            } else {
                reader.prefetch_block(link);
                forbidden.push(link);
            }
        }
        for &link in &*forbidden {
            *tests += through(reader, filter, visited, link, batch);
        }
        bridges.append(forbidden);
        let by_twin =
            header.has_twins() && !filter(best as u32) && reader.chain(block.next_twin(header)).any(&*filter);
        if by_twin {
            self.offer_result(best);
        }
        self.score();
    }

    fn score(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.reader.vectors.will_need(&batch);
        self.counters.distances += batch.len() as u64;
        for &slot in &batch {
            let key = key(self.reader.rank(&self.query, slot), slot);
            if key >= self.results.bound() {
                self.dropped.push(key);
                continue;
            }
            self.candidates.push(Reverse(key));
            if (self.filter)(slot) {
                self.offer_result(key);
            }
        }
        self.batch = batch;
    }

    /// Makes candidates of the nodes looked through. Those that a twin made a candidate before are expanded twice,
    /// which finds nothing new.
    fn cross_bridges(&mut self) {
        self.counters.distances += self.bridges.len() as u64;
        for slot in self.bridges.drain(..) {
            self.candidates.push(Reverse(key(self.reader.rank(&self.query, slot), slot)));
        }
    }

    /// Takes a node as a result of this batch, or of a later one.
    fn offer_result(&mut self, key: u64) {
        if let Some(out) = self.results.offer_or_evict(key) {
            self.dropped.push(out);
        }
    }
}

/// Allowed neighbours of a neighbour that is not allowed; itself, if a twin of it is. Returns how many it looked at.
fn through<V: Vectors>(
    reader: &Reader<V>,
    filter: &impl Fn(u32) -> bool,
    visited: &mut Visited,
    link: u32,
    batch: &mut Vec<u32>,
) -> u64 {
    let Some(block) = reader.base(link) else { return 0 };
    let header = block.header();
    let mut tests = 0;
    for second in block.links(header).filter(|&second| second < reader.bound) {
        tests += 1;
        if !visited.contains(second) && filter(second) && visited.insert(second) {
            reader.vectors.prefetch(second);
            batch.push(second);
        }
    }
    if header.has_twins() && reader.chain(block.next_twin(header)).any(filter) {
        batch.push(link);
    }
    tests
}
