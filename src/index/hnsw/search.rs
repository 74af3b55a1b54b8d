//! The search without a filter: down the levels greedily, then a pool of `ef` candidates on level 0.
//!
//! 1. From the entry point, on each level above 0, move to the nearest neighbour until none is nearer.
//! 2. On level 0, expand the best candidate not yet expanded: score those of its neighbours not met before
//!    and keep the `ef` best.
//! 3. Stop when all `ef` are expanded: what was dropped is farther than all of them.
//! 4. Put the twins behind their firsts: results of the same rank, for free. They take part in no step before,
//!    so that a thousand equal rows count as one candidate and do not end the search early.
//!
//! A vector comes from memory in about 100 ns and is compared in 35, so that comparisons must not wait for it: [`AHEAD`]
//! vectors are always loading, also from one node to the next. The next node is expanded when fewer are left to compare,
//! without knowing what those will bring, and every candidate's links are loading from the moment it becomes one.

use super::graph::{Graph, Reader};
use super::links::NONE;
use super::scratch::Scratch;
use crate::distance::Query;
use crate::index::found::{Counters, Hit, key, rank_of};
use crate::index::source::Vectors;

/// Vectors being loaded while one is compared.
const AHEAD: usize = 4;

impl Graph {
    /// The `ef` nearest nodes, about: ascending by (rank, slot). The caller cuts them to k.
    pub fn search<V: Vectors>(
        &self,
        vectors: &V,
        query: &Query,
        ef: usize,
        scratch: &mut Scratch,
    ) -> (Vec<Hit>, Counters) {
        let reader = self.reader(vectors);
        let mut counters = Counters::default();
        let Some(start) = reader.descend(query, 0, &mut counters) else {
            return (Vec::new(), counters);
        };
        reader.search_level(query, 0, ef, start, scratch, &mut counters);
        (reader.with_twins(ef, scratch), counters)
    }
}

impl<V: Vectors> Reader<'_, V> {
    /// The key of the node nearest to the query that greedy steps find above `level`.
    pub fn descend(&self, query: &Query, level: u32, counters: &mut Counters) -> Option<u64> {
        let entry = self.entry?;
        counters.distances += 1;
        let mut best = key(self.rank(query, entry.slot), entry.slot);
        for above in (level + 1..=entry.level).rev() {
            best = self.greedy(query, above, best, counters);
        }
        Some(best)
    }

    fn greedy(&self, query: &Query, level: u32, start: u64, counters: &mut Counters) -> u64 {
        let mut best = start;
        while let Some(block) = self.block(best as u32, level) {
            counters.hops += 1;
            let before = best;
            let links = || block.links(block.header()).filter(|&link| link < self.bound);
            links().for_each(|link| self.vectors.prefetch(link));
            for link in links() {
                counters.distances += 1;
                best = best.min(key(self.rank(query, link), link));
            }
            if best == before {
                break;
            }
        }
        best
    }

    /// Fills the scratch's pool with the `ef` best of one level, starting from the node of key `start`.
    pub fn search_level(
        &self,
        query: &Query,
        level: u32,
        ef: usize,
        start: u64,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let Scratch { visited, batch, pool, .. } = scratch;
        visited.reset(self.bound);
        pool.reset(ef);
        batch.clear();
        visited.insert(start as u32);
        pool.offer(start);
        // Those of the batch before `scored` have been compared, those before `loading` are on their way.
        let (mut scored, mut loading) = (0, 0);
        loop {
            while batch.len() - scored < AHEAD
                && let Some(best) = pool.next()
            {
                let Some(block) = self.block(best as u32, level) else { continue };
                counters.hops += 1;
                let header = block.header();
                if level == 0 && header.has_twins() {
                    pool.set_twin(block.next_twin(header));
                }
                batch.drain(..scored);
                (scored, loading) = (0, loading - scored);
                batch.extend(block.links(header).filter(|&link| link < self.bound && visited.insert(link)));
            }
            let Some(&slot) = batch.get(scored) else { break };
            while loading < batch.len().min(scored + AHEAD) {
                self.vectors.prefetch(batch[loading]);
                loading += 1;
            }
            scored += 1;
            counters.distances += 1;
            if pool.offer(key(self.rank(query, slot), slot)) {
                self.prefetch_block(slot);
            }
        }
        counters.visited += visited.len() as u64;
    }

    /// Starts loading the links of the node that is expanded next, as it seems.
    #[inline]
    pub fn prefetch_block(&self, slot: u32) {
        if let Some(block) = self.base(slot) {
            block.prefetch();
        }
    }

    /// The first `ef` of the pool's nodes and their twins.
    fn with_twins(&self, ef: usize, scratch: &mut Scratch) -> Vec<Hit> {
        let Scratch { visited, pool, .. } = scratch;
        let mut keys = Vec::with_capacity(ef);
        let mut sorted = true;
        for (first, twin) in pool.groups() {
            if keys.len() >= ef {
                break;
            }
            keys.push(first);
            for twin in self.chain(twin).take(ef - keys.len()).filter(|&twin| visited.insert(twin)) {
                sorted = false;
                keys.push(key(rank_of(first), twin));
            }
        }
        if !sorted {
            keys.sort_unstable();
        }
        keys.into_iter().map(Hit::from_key).collect()
    }

    /// Head of the chain of a linked node; no slot when it has no twins.
    pub fn first_twin(&self, slot: u32) -> u32 {
        self.base(slot).map_or(NONE, |block| {
            let header = block.header();
            if header.is_twin() { NONE } else { block.next_twin(header) }
        })
    }

    /// The chain of twins from `twin` on. As long as there are slots at most: a damaged one may run in a circle.
    pub fn chain(&self, twin: u32) -> impl Iterator<Item = u32> + '_ {
        let next = |&twin: &u32| {
            let block = self.base(twin)?;
            let header = block.header();
            Some(block.next_twin(header)).filter(|&next| header.is_twin() && next < self.bound)
        };
        std::iter::successors(Some(twin).filter(|&twin| twin < self.bound), next).take(self.bound as usize)
    }
}
