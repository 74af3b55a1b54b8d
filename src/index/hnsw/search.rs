//! The search without a filter: down the levels with a few candidates, then a pool of `ef` on level 0.
//!
//! 1. On a level, expand the best candidate not yet expanded: score those of its neighbours not met before
//!    and keep the `ef` best.
//! 2. Stop when all `ef` are expanded: what was dropped is farther than all of them.
//! 3. They are where the next level begins. Above level 0 there are [`beam`] of them, and not one as in the paper: a
//!    single one that stops before a cluster it has not seen leads all below it to the wrong place.
//! 4. Put the twins behind their firsts: results of the same rank, for free. They take part in no step before,
//!    so that a thousand equal rows count as one candidate and do not end the search early.
//!
//! A vector comes from memory in about 100 ns and is compared in 35, so that comparisons must not wait for it:
//! [`AHEAD_MIN`] vectors or more are always loading, also from one node to the next. The next node is expanded when fewer are left to compare,
//! without knowing what those will bring, and every candidate's links are loading from the moment it becomes one.

use super::graph::{Graph, Reader};
use super::links::NONE;
use super::scratch::Scratch;
use crate::distance::Query;
use crate::index::found::{Counters, Hit, key, rank_of};
use crate::index::source::Vectors;

/// Vectors being loaded while one is compared: as many as these bytes, within these limits. With 8 instead of 4 walks
/// through codes of 392 bytes or vectors of 512 take 3 to 6 % less time, through vectors of 1,536 as long or 2 % more.
const AHEAD_BYTES: usize = 4096;
const AHEAD_MIN: usize = 4;
const AHEAD_MAX: usize = 8;

/// Candidates on the levels above the one that is searched with `ef`.
///
/// Among 1,000,000 points in 1,000 clusters that have no direction towards each other, recall@10 at ef 40 is 0.83 with one
/// candidate, 0.91 with 4, 0.93 with 8, because fewer searches (and insertions) end in a wrong cluster. Where clusters
/// overlap, as those of sentences do, they change nothing and cost 35 and 95 comparisons of 630: hence 4, and as many more
/// as are a like share of the work with a larger ef.
pub fn beam(ef: usize) -> usize {
    (ef / 16).max(4)
}

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
        reader.descend(query, 0, ef, scratch, &mut counters);
        reader.search_level(query, 0, ef, scratch, &mut counters);
        (reader.with_twins(ef, scratch), counters)
    }
}

impl<V: Vectors> Reader<'_, V> {
    /// Fills the scratch's pool with nodes to begin with on `level`, near the query; none in an empty graph.
    pub fn descend(
        &self,
        query: &Query,
        level: u32,
        ef: usize,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let beam = beam(ef);
        scratch.pool.reset(beam);
        let Some(entry) = self.entry else { return };
        counters.distances += 1;
        scratch.pool.offer(key(self.rank(query, entry.slot), entry.slot));
        for above in (level + 1..=entry.level).rev() {
            self.search_level(query, above, beam, scratch, counters);
        }
    }

    /// Makes of the scratch's pool the `ef` best of one level, beginning with the nodes that are in it.
    pub fn search_level(
        &self,
        query: &Query,
        level: u32,
        ef: usize,
        scratch: &mut Scratch,
        counters: &mut Counters,
    ) {
        let Scratch { visited, pool, .. } = scratch;
        visited.reset(self.bound);
        pool.begin_again(ef);
        pool.keys().for_each(|start| _ = visited.insert(start as u32));
        let ahead = (AHEAD_BYTES / self.vectors.bytes().max(1)).clamp(AHEAD_MIN, AHEAD_MAX);
        // Those met before `scored` have been compared, those before `loading` are on their way.
        let (mut scored, mut loading) = (visited.len(), visited.len());
        loop {
            while visited.len() - scored < ahead
                && let Some(best) = pool.next()
            {
                let Some(block) = self.block(best as u32, level) else { continue };
                counters.hops += 1;
                let header = block.header();
                if level == 0 && header.has_twins() {
                    pool.set_twin(block.next_twin(header));
                }
                let known = visited.len();
                let links = block.links(header).filter(|&link| link < self.bound);
                visited.insert_all(links, block.capacity(header));
                if self.announces {
                    self.vectors.will_need(&visited.list()[known..]);
                }
            }
            let Some(&slot) = visited.list().get(scored) else { break };
            while loading < visited.len().min(scored + ahead) {
                self.vectors.prefetch(visited.list()[loading]);
                loading += 1;
            }
            scored += 1;
            counters.distances += 1;
            if pool.offer(key(self.rank(query, slot), slot)) && level == 0 {
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
