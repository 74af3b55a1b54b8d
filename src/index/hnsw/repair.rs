//! Taking nodes out while others search.
//!
//! 1. A twin that goes leaves its chain. A first that goes hands its links, its upper blocks and its chain to the first
//!    of its twins that stays: the same vector in the same place.
//! 2. A node with links to some that go keeps its others, and fills the places with neighbours of those that go, chosen
//!    as an insert chooses: nearest first, skipping one that is nearer to a neighbour than to the node.
//! 3. A node to which nothing leads any more is searched for and linked from what is near it.
//! 4. If the entry point goes, a node of the greatest height that is left takes its place.
//! 5. The nodes leave the node set, their blocks are emptied and their upper blocks given out again.
//!
//! Nobody adds and nobody saves meanwhile. A search that runs meanwhile may miss a neighbour that is being replaced; it
//! never follows a link to what is not a node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::graph::{Entry, Graph, Reader};
use super::level::LEVEL_MAX;
use super::links::{Block, Header, NONE};
use super::scratch::Scratch;
use crate::error::{Result, check_cancel};
use crate::index::found::{Counters, key, rank_of};
use crate::index::source::Vectors;

/// Nodes taken out in one go: each go looks at every node once, which costs about 100 ms per million, and is not
/// interrupted.
const PIECE: usize = 8_192;
/// Slots a thread takes at a time.
const STEP: u32 = 4_096;

impl Graph {
    /// Takes `slots` out, as far as they are nodes, on `threads` threads; returns how many were. `cancel` ends it between
    /// two pieces with 57014; what was taken out until then stays out.
    pub fn remove<V: Vectors>(
        &self,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        cancel: &AtomicBool,
    ) -> Result<u64> {
        let going: Vec<u32> = (slots & &*self.nodes()).into_iter().collect();
        if going.is_empty() {
            return Ok(0);
        }
        for piece in going.chunks(PIECE) {
            check_cancel(cancel)?;
            let _alone = self.shape.write();
            let gone: RoaringBitmap = piece.iter().copied().collect();
            let nodes = self.nodes();
            let heirs = self.settle_twins(&gone);
            Repair { graph: self, reader: self.reader(vectors), staying: &*nodes - &gone, gone, heirs }
                .run(threads);
        }
        Ok(going.len() as u64)
    }

    /// Shortens chains, and hands those whose first goes to an heir; answers who inherits from whom.
    fn settle_twins(&self, gone: &RoaringBitmap) -> HashMap<u32, u32> {
        let base = self.base.view();
        let header_of = |slot| base.block(slot).map(|block| (block, block.header()));
        let mut firsts = RoaringBitmap::new();
        for slot in gone {
            match header_of(slot) {
                Some((block, header)) if header.is_twin() => drop(firsts.insert(block.link(0))),
                Some((_, header)) if header.has_twins() => drop(firsts.insert(slot)),
                _ => {}
            }
        }
        let mut heirs = HashMap::new();
        for first in firsts {
            let Some((block, header)) = header_of(first).filter(|(_, header)| header.has_twins()) else {
                continue;
            };
            let _stripe = self.stripe(first).lock();
            let next = |&twin: &u32| {
                let (block, header) = header_of(twin)?;
                Some(block.next_twin(header)).filter(|&next| header.is_twin() && next < base.end())
            };
            let chain =
                std::iter::successors(Some(block.next_twin(header)).filter(|&twin| twin < base.end()), next);
            let mut staying =
                chain.take(base.end() as usize).filter(|&twin| !gone.contains(twin)).collect::<Vec<_>>();
            let mut owner = first;
            if gone.contains(first) && !staying.is_empty() {
                owner = staying.remove(0);
                heirs.insert(first, owner);
            }
            // From the end, so that whoever walks the chain meanwhile comes to its end.
            let mut next = NONE;
            for &twin in staying.iter().rev() {
                if let Some(block) = base.block(twin) {
                    block.write_twin(owner, next);
                }
                next = twin;
            }
            if owner != first
                && let Some(heir) = base.block(owner)
            {
                let links: Vec<u32> = block.links(header).filter(|&link| link != owner).collect();
                heir.set_header(Header::new(0, header.up()));
                heir.write(heir.header(), &links);
                block.set_header(header.without_twins());
                if next != NONE {
                    heir.set_first_twin(next);
                }
                self.inherit_entry(first, owner);
            } else if next == NONE {
                block.set_header(header.without_twins());
            } else {
                block.set_first_twin(next);
            }
        }
        heirs
    }

    fn inherit_entry(&self, first: u32, heir: u32) {
        let _change = self.entry_change.lock();
        if let Some(entry) = self.entry().filter(|entry| entry.slot == first) {
            self.set_entry(Some(Entry { slot: heir, ..entry }));
        }
    }
}

/// One piece of work.
struct Repair<'a, V> {
    graph: &'a Graph,
    reader: Reader<'a, V>,
    gone: RoaringBitmap,
    staying: RoaringBitmap,
    heirs: HashMap<u32, u32>,
}

impl<V: Vectors> Repair<'_, V> {
    fn run(&self, threads: usize) {
        let next = AtomicUsize::new(0);
        let reached = Mutex::new(RoaringBitmap::new());
        std::thread::scope(|scope| {
            for _ in 1..threads.max(1) {
                scope.spawn(|| self.relink_all(&next, &reached));
            }
            self.relink_all(&next, &reached);
        });
        self.replace_entry();
        self.find_lost(&reached.into_inner());
        self.graph.change_nodes(|nodes| *nodes -= &self.gone);
        self.empty_blocks();
    }

    /// Relinks pieces of the slots until none are left, and notes whom the nodes on level 0 lead to.
    fn relink_all(&self, next: &AtomicUsize, reached: &Mutex<RoaringBitmap>) {
        let mut mine = RoaringBitmap::new();
        loop {
            let start = next.fetch_add(STEP as usize, Ordering::Relaxed);
            let Some(start) = u32::try_from(start).ok().filter(|start| *start < self.reader.bound) else {
                break;
            };
            for slot in self.staying.range(start..start.saturating_add(STEP)) {
                self.relink(slot, &mut mine);
            }
        }
        *reached.lock() |= mine;
    }

    fn relink(&self, slot: u32, reached: &mut RoaringBitmap) {
        if slot >= self.reader.bound {
            return;
        }
        for level in 0..=LEVEL_MAX {
            let Some(block) = self.reader.block(slot, level) else { return };
            let header = block.header();
            if header.is_twin() {
                return;
            }
            if block.links(header).any(|link| self.gone.contains(link)) {
                let stripe = self.graph.stripe(slot).lock();
                let new = self.refill(slot, level, block);
                drop(stripe);
                // And back: those that take the place of a hub have to become one.
                for other in new {
                    self.graph.link_back(&self.reader, other, level, slot);
                }
            }
            if level == 0 {
                reached.extend(block.links(block.header()));
            }
        }
    }

    /// Gives a node on one level other neighbours for those that go, and answers them. The caller holds its stripe.
    fn refill(&self, slot: u32, level: u32, block: Block) -> Vec<u32> {
        let header = block.header();
        let (mut chosen, mut candidates) = (Vec::new(), Vec::new());
        for link in block.links(header) {
            if !self.gone.contains(link) {
                chosen.push(link);
            } else {
                self.stand_ins(link, level, &mut candidates);
            }
        }
        let kept = chosen.len();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|&other| self.may_link(slot, other, level) && !chosen.contains(&other));
        let query = self.reader.query(slot);
        let mut candidates: Vec<u64> =
            candidates.into_iter().map(|other| key(self.reader.rank(&query, other), other)).collect();
        candidates.sort_unstable();
        let before = block.links(header).count();
        let capacity = block.capacity(header);
        let mut passed_over = Vec::new();
        for candidate in candidates {
            if chosen.len() == capacity {
                break;
            }
            let other = self.reader.query(candidate as u32);
            let rank = rank_of(candidate);
            if chosen.iter().all(|&neighbour| self.reader.rank(&other, neighbour) >= rank) {
                chosen.push(candidate as u32);
            } else {
                passed_over.push(candidate as u32);
            }
        }
        // As many links as there were: a graph that is repaired again and again would thin out otherwise.
        let missing = before.saturating_sub(chosen.len());
        chosen.extend(passed_over.into_iter().take(missing));
        block.write(header, &chosen);
        chosen.split_off(kept)
    }

    /// Who may stand in for a node that goes: its heir, or else its neighbours, and theirs where those go too.
    fn stand_ins(&self, gone: u32, level: u32, out: &mut Vec<u32>) {
        if let Some(&heir) = self.heirs.get(&gone) {
            return out.push(heir);
        }
        let Some(block) = self.reader.block(gone, level) else { return };
        for link in block.links(block.header()) {
            if !self.gone.contains(link) {
                out.push(link);
            } else if let Some(&heir) = self.heirs.get(&link) {
                out.push(heir);
            } else if let Some(block) = self.reader.block(link, level) {
                out.extend(block.links(block.header()).filter(|&further| !self.gone.contains(further)));
            }
        }
    }

    fn may_link(&self, slot: u32, other: u32, level: u32) -> bool {
        other != slot
            && other < self.reader.bound
            && self.staying.contains(other)
            && self.reader.block(other, level).is_some_and(|block| !block.header().is_twin())
    }

    fn replace_entry(&self) {
        if self.graph.entry().is_none_or(|entry| !self.gone.contains(entry.slot)) {
            return;
        }
        let height =
            |slot: u32| (0..=LEVEL_MAX).take_while(|&level| self.reader.block(slot, level).is_some()).count();
        let linked = self.staying.iter().filter(|&slot| {
            slot < self.reader.bound && self.reader.base(slot).is_some_and(|block| !block.header().is_twin())
        });
        let highest = linked.map(|slot| (height(slot), slot)).max_by_key(|(height, slot)| (*height, !*slot));
        let _change = self.graph.entry_change.lock();
        self.graph.set_entry(highest.map(|(height, slot)| Entry { slot, level: height as u32 - 1 }));
    }

    /// Links nodes again that no other node leads to.
    fn find_lost(&self, reached: &RoaringBitmap) {
        // With the entry point as it is now.
        let reader = self.graph.reader(self.reader.vectors);
        let Some(entry) = reader.entry else { return };
        let mut scratch = Scratch::new();
        for slot in &self.staying - reached {
            let linked = reader.base(slot).is_some_and(|block| !block.header().is_twin());
            if slot == entry.slot || !linked || slot >= reader.bound {
                continue;
            }
            let query = reader.query(slot);
            let mut counters = Counters::default();
            let ef = usize::from(self.graph.params.ef_construction);
            reader.descend(&query, 0, ef, &mut scratch, &mut counters);
            reader.search_level(&query, 0, ef, &mut scratch, &mut counters);
            let near: Vec<u32> = scratch.pool.keys().map(|key| key as u32).collect();
            let near = near.into_iter().filter(|&other| self.may_link(slot, other, 0));
            for other in near.take(usize::from(self.graph.params.m)) {
                self.graph.link_back(&reader, other, 0, slot);
            }
        }
    }

    fn empty_blocks(&self) {
        let (base, upper) = (self.graph.base.view(), self.graph.upper.view());
        let mut free = self.graph.upper_free.lock();
        for slot in &self.gone {
            let Some(block) = base.block(slot) else { continue };
            let _stripe = self.graph.stripe(slot).lock();
            let header = block.header();
            let mut up = if header.is_twin() || self.heirs.contains_key(&slot) { 0 } else { header.up() };
            block.set_header(Header::new(0, 0));
            for _ in 0..LEVEL_MAX {
                let Some(above) = upper.block(up).filter(|_| up != 0) else { break };
                free.push(up);
                up = above.header().up();
                above.set_header(Header::new(0, 0));
            }
        }
    }
}
