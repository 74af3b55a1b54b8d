//! Adding a node while others search and add.
//!
//! 1. Descend to the node's level; on each level from there down, search `ef_construction` candidates.
//! 2. If a candidate has the very same vector, join its twins and be done.
//! 3. On each level choose neighbours: nearest first, skipping one that is nearer to a neighbour already chosen
//!    than to the new node, so that links point in different directions (hnswlib's heuristic). Places that are left
//!    go to the nearest that were skipped.
//! 4. Write the node's own blocks, then the links back to it, each under its stripe. A full block chooses
//!    anew among its links and the new node.
//! 5. If the node is higher than the entry point, it becomes the entry point. Last, it joins the node set.

use std::sync::atomic::{Ordering, fence};

use super::graph::{Entry, Graph, Reader};
use super::level::level;
use super::links::{Header, NONE};
use super::scratch::Scratch;
use crate::distance::Query;
use crate::index::found::{Counters, key, rank_of};
use crate::index::source::Vectors;

/// What became of a slot that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is a node with links.
    Linked,
    /// It has the vector of another node and is in its chain.
    Twin,
    /// It has no vector, or one the metric has no distance for.
    NoVector,
    /// It was a node already, which keeps its links.
    Present,
}

/// A node's chosen neighbours on one level.
struct Neighbours {
    level: u32,
    slots: Vec<u32>,
}

impl Graph {
    /// Adds `slot`, whose vector is in `vectors`. Concurrent with searches and other inserts; a slot is inserted
    /// by one thread at a time.
    pub fn insert<V: Vectors>(&self, vectors: &V, slot: u32, scratch: &mut Scratch) -> Inserted {
        if self.contains(slot) {
            return Inserted::Present;
        }
        let inserted = self.link(vectors, slot, None, scratch);
        if inserted != Inserted::NoVector {
            self.add_node(slot);
        }
        inserted
    }

    /// [`Graph::insert`] but for the node set, which a build fills at its end. The search for neighbours begins at `start`,
    /// a node of that level, which is no lower than the slot's; or where all do.
    pub(super) fn link<V: Vectors>(
        &self,
        vectors: &V,
        slot: u32,
        start: Option<Entry>,
        scratch: &mut Scratch,
    ) -> Inserted {
        if slot == NONE || slot >= vectors.slots_end() || !self.takes(vectors.norm(slot)) {
            return Inserted::NoVector;
        }
        let Some(codes) = self.codes_for(vectors, &[slot]) else {
            return self.link_in(vectors, slot, start, scratch);
        };
        codes.write(slot, vectors.get(slot));
        if codes.coder().quantization.builds() {
            self.link_in(&codes.over(vectors), slot, start, scratch)
        } else {
            self.link_in(vectors, slot, start, scratch)
        }
    }

    /// Links a slot whose vector has a place, as `vectors` has it.
    fn link_in<V: Vectors>(
        &self,
        vectors: &V,
        slot: u32,
        start: Option<Entry>,
        scratch: &mut Scratch,
    ) -> Inserted {
        self.base.grow(u64::from(slot) + 1);
        let height = self.reserve(slot, level(slot, self.params.m));
        let Some(entry) = self.entry_or_become(slot, height) else { return Inserted::Linked };
        let mut reader = self.reader(vectors);
        let entry = start.unwrap_or(entry);
        reader.entry = start.or(reader.entry);
        reader.announces = false;
        let query = reader.query(slot);
        let chosen = match self.choose(&reader, &query, slot, height.min(entry.level), scratch) {
            Choice::Twin(first) => {
                self.join_twins(&reader, slot, first);
                return Inserted::Twin;
            }
            Choice::Neighbours(chosen) => chosen,
        };
        self.write_own(&reader, slot, &chosen);
        for neighbours in &chosen {
            for &neighbour in &neighbours.slots {
                self.link_back(&reader, neighbour, neighbours.level, slot);
            }
        }
        self.raise_entry(Entry { slot, level: height });
        Inserted::Linked
    }

    /// Gives the node its upper blocks and returns its level, which is lower than `wanted` when no more block
    /// numbers are left.
    fn reserve(&self, slot: u32, wanted: u32) -> u32 {
        let numbers = self.upper_numbers(wanted as usize);
        let (base, upper) = (self.base.view(), self.upper.view());
        let mut up = 0;
        for &number in numbers.iter().rev() {
            upper.block(number).expect("grown before it is given out").set_header(Header::new(0, up));
            up = number;
        }
        base.block(slot).expect("grown before").set_header(Header::new(0, up));
        numbers.len() as u32
    }

    /// So many numbers of upper blocks, those of former nodes first; none when not as many are left.
    fn upper_numbers(&self, wanted: usize) -> Vec<u32> {
        if wanted == 0 {
            return Vec::new();
        }
        let mut free = self.upper_free.lock();
        let kept = free.len().saturating_sub(wanted);
        let mut numbers = free.split_off(kept);
        drop(free);
        let missing = (wanted - numbers.len()) as u64;
        if missing > 0 {
            let first = self.upper_next.fetch_add(missing, Ordering::Relaxed);
            if first + missing > u64::from(Header::UP_MAX) {
                return Vec::new();
            }
            self.upper.grow(first + missing);
            numbers.extend(first as u32..(first + missing) as u32);
        }
        numbers
    }

    /// The entry point; `None` when the graph was empty and the node has become it.
    fn entry_or_become(&self, slot: u32, height: u32) -> Option<Entry> {
        if let Some(entry) = self.entry() {
            return Some(entry);
        }
        let _change = self.entry_change.lock();
        let entry = self.entry();
        if entry.is_none() {
            self.set_entry(Some(Entry { slot, level: height }));
        }
        entry
    }

    fn raise_entry(&self, entry: Entry) {
        if self.entry().is_some_and(|current| current.level >= entry.level) {
            return;
        }
        let _change = self.entry_change.lock();
        if self.entry().is_none_or(|current| current.level < entry.level) {
            self.set_entry(Some(entry));
        }
    }

    /// Neighbours on levels `top` to 0, or a node with the same vector.
    fn choose<V: Vectors>(
        &self,
        reader: &Reader<V>,
        query: &Query,
        slot: u32,
        top: u32,
        scratch: &mut Scratch,
    ) -> Choice {
        let mut counters = Counters::default();
        let mut chosen = Vec::with_capacity(top as usize + 1);
        let ef = usize::from(self.params.ef_construction);
        reader.descend(query, top, ef, scratch, &mut counters);
        for level in (0..=top).rev() {
            reader.search_level(query, level, ef, scratch, &mut counters);
            // Another thread may have linked to this node on a level above already. And a block that was read while a twin
            // took its last word shows that twin for a link, whose own block says since before that it is one.
            fence(Ordering::Acquire);
            let may_be_linked =
                |&key: &u64| key as u32 != slot && !(level == 0 && reader.is_twin(key as u32));
            let candidates: Vec<u64> = scratch.pool.keys().filter(may_be_linked).collect();
            if level == 0
                && let Some(first) = same_vector(reader, query, slot, &candidates)
            {
                return Choice::Twin(first);
            }
            let slots = select(reader, &candidates, usize::from(self.params.m));
            let slots = fill(slots, &candidates, usize::from(self.params.m));
            chosen.push(Neighbours { level, slots });
        }
        Choice::Neighbours(chosen)
    }

    fn write_own<V: Vectors>(&self, reader: &Reader<V>, slot: u32, chosen: &[Neighbours]) {
        let _stripe = self.stripe(slot).lock();
        for neighbours in chosen {
            let block = reader.block(slot, neighbours.level).expect("reserved before the reader was made");
            block.write(block.header(), &neighbours.slots);
        }
    }

    /// Adds a link from `node` to `slot`; a full block keeps the best choice among all.
    pub(super) fn link_back<V: Vectors>(&self, reader: &Reader<V>, node: u32, level: u32, slot: u32) {
        let _stripe = self.stripe(node).lock();
        // A node that was replaced or is damaged has no such block; then there is no way back.
        let Some(block) = reader.block(node, level) else { return };
        let header = block.header();
        if header.is_twin() {
            return;
        }
        let links: Vec<u32> = block.links(header).filter(|&link| link < reader.bound).collect();
        if links.contains(&slot) {
            return;
        }
        if links.len() < block.capacity(header) {
            return block.append(header, slot);
        }
        let query = reader.query(node);
        let mut candidates: Vec<u64> =
            links.iter().chain([&slot]).map(|&link| key(reader.rank(&query, link), link)).collect();
        candidates.sort_unstable();
        block.write(header, &select(reader, &candidates, block.capacity(header)));
    }

    /// Puts `slot` into the chain of `first`, which has the same vector.
    fn join_twins<V: Vectors>(&self, reader: &Reader<V>, slot: u32, first: u32) {
        let _stripe = self.stripe(first).lock();
        let (Some(own), Some(block)) = (reader.base(slot), reader.base(first)) else { return };
        own.write_twin(first, block.next_twin(block.header()));
        block.set_first_twin(slot);
    }
}

enum Choice {
    Twin(u32),
    Neighbours(Vec<Neighbours>),
}

/// A candidate with exactly the vector of `slot`. Equal vectors have equal ranks, and what counts as equal among codes
/// nearly the least one, so few are compared in full.
fn same_vector<V: Vectors>(reader: &Reader<V>, query: &Query, slot: u32, candidates: &[u64]) -> Option<u32> {
    const NEAREST: usize = 4;
    let rank = key(reader.rank(query, slot), 0) >> 32;
    let near = candidates.iter().enumerate().filter(|(place, key)| *place < NEAREST || **key >> 32 == rank);
    near.map(|(_, &key)| key as u32).find(|&other| reader.vectors.same(other, slot))
}

/// At most `max` of the candidates (ascending keys), nearest first, none of which is nearer to an earlier choice
/// than to the node the candidates' ranks belong to.
fn select<V: Vectors>(reader: &Reader<V>, candidates: &[u64], max: usize) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(max);
    for &candidate in candidates {
        if chosen.len() == max {
            break;
        }
        let query = reader.query(candidate as u32);
        let rank = rank_of(candidate);
        if chosen.iter().all(|&other| reader.rank(&query, other) >= rank) {
            chosen.push(candidate as u32);
        }
    }
    chosen
}

/// Gives the places that [`select`] left free to the nearest it skipped (keepPrunedConnections of algorithm 4 in the HNSW
/// paper, arXiv 1603.09320). For a node's own links only: a block that links come back to needs its free places, or each
/// further one would have it choose anew (1.7 times the time of a build for another 0.004 of recall).
fn fill(mut chosen: Vec<u32>, candidates: &[u64], max: usize) -> Vec<u32> {
    for &candidate in candidates {
        if chosen.len() >= max {
            break;
        }
        if !chosen.contains(&(candidate as u32)) {
            chosen.push(candidate as u32);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Metric;
    use crate::index::hnsw::Params;
    use crate::index::source::Flat;

    /// What a search reads of a block whose last word a twin is taking: a link to the twin.
    #[test]
    fn a_twin_that_shows_as_a_link_is_not_linked_to() {
        // On a line, with the second at the place of the first.
        let places = [0.0f32, 0.0, 3.0, 9.0, 0.5, 0.0];
        let vectors = Flat::new(1, places.to_vec());
        let graph = Graph::new(Params::new(4, 16, Metric::L2).unwrap());
        let mut scratch = Scratch::new();
        let mut insert = |slot| graph.insert(&vectors, slot, &mut scratch);
        assert_eq!([0, 1, 2, 3].map(&mut insert)[1], Inserted::Twin);
        let base = graph.base.view();
        for slot in [0, 2, 3] {
            let block = base.block(slot).unwrap();
            block.append(block.header(), 1);
        }
        assert_eq!(insert(4), Inserted::Linked);
        let block = base.block(4).unwrap();
        let mut links: Vec<u32> = block.links(block.header()).collect();
        links.sort_unstable();
        assert_eq!(links, [0, 2, 3]);
        // Nor is it the first of a chain.
        assert_eq!(insert(5), Inserted::Twin);
        assert_eq!(base.block(5).unwrap().link(0), 0);
    }
}
