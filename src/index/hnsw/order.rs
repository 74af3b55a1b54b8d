//! The order in which a large build takes its slots, when the vectors do not fit the memory there is.
//!
//! Linking a node reads some hundred vectors and their links, all of them near it. Slots are in the order of arrival, so
//! that one node's neighbourhood is on other pages than the next one's, and with a page cache of a tenth of the data
//! nearly every one of those reads is one from the disk. Taken cell by cell, a node's neighbourhood is mostly the one
//! before's:
//!
//! ```text
//!   pivots   one slot of PER_PIVOT, drawn by hash: linked first, as a graph of their own
//!   cells    each other slot belongs to the pivot that a short search finds nearest
//!   walk     along the pivots' links, to a near one that has not been passed yet: cells that follow each other are near
//! ```

use std::sync::atomic::AtomicBool;

use super::graph::Graph;
use super::links::NONE;
use super::scratch::Scratch;
use crate::error::{Result, check_cancel};
use crate::index::mix::mix;
use crate::index::source::Vectors;

/// Slots of a cell, on average. A cell's vectors and links lie on as many pages each in the worst case: 4 MB, a
/// sixteenth of the smallest budget.
const PER_PIVOT: u64 = 512;
/// Candidates of the search for the nearest pivot: the second nearest would do as well.
const EF: usize = 4;
/// Slots assigned between two looks at the cancel flag.
const AT_ONCE: usize = 1024;

/// Whether a slot is linked first.
pub fn is_pivot(slot: u32) -> bool {
    mix(u64::from(slot) ^ 0x5EED).is_multiple_of(PER_PIVOT)
}

impl Graph {
    /// Puts `list` in the order of cells around the nodes there are, the pivots.
    pub(super) fn order_by_cells<V: Vectors>(
        &self,
        vectors: &V,
        list: &mut [u32],
        threads: usize,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let places = self.walk();
        let part = list.len().div_ceil(threads.max(1)).max(1);
        let mut keyed: Vec<(u32, u32)> = list.iter().map(|&slot| (NONE, slot)).collect();
        std::thread::scope(|scope| {
            for part in keyed.chunks_mut(part) {
                let places = &places;
                scope.spawn(move || {
                    let mut scratch = Scratch::new();
                    for some in part.chunks_mut(AT_ONCE) {
                        if check_cancel(cancel).is_err() {
                            return;
                        }
                        for (place, slot) in some {
                            *place = self.nearest_place(vectors, *slot, places, &mut scratch);
                        }
                    }
                });
            }
        });
        check_cancel(cancel)?;
        keyed.sort_unstable();
        list.iter_mut().zip(keyed).for_each(|(slot, (_, ordered))| *slot = ordered);
        Ok(())
    }

    fn nearest_place<V: Vectors>(
        &self,
        vectors: &V,
        slot: u32,
        places: &[(u32, u32)],
        scratch: &mut Scratch,
    ) -> u32 {
        if slot >= vectors.slots_end() || !self.takes(vectors.norm(slot)) {
            return NONE;
        }
        let (hits, _) = self.search(vectors, &vectors.query(self.params.metric, slot), EF, scratch);
        let place = |pivot| places.binary_search_by_key(&pivot, |(pivot, _)| *pivot).ok();
        hits.first().and_then(|hit| place(hit.slot)).map_or(NONE, |at| places[at].1)
    }

    /// Each node, ascending, and when a walk along the links of level 0 comes by it.
    fn walk(&self) -> Vec<(u32, u32)> {
        let base = self.base.view();
        let mut left = (*self.nodes()).clone();
        let mut order = Vec::with_capacity(left.len() as usize);
        let mut path = Vec::new();
        while let Some(start) = left.min() {
            left.remove(start);
            path.push(start);
            order.push(start);
            while let Some(&last) = path.last() {
                let block = base.block(last).expect("a node has a block");
                match block.links(block.header()).find(|&link| left.remove(link)) {
                    Some(next) => {
                        path.push(next);
                        order.push(next);
                    }
                    None => _ = path.pop(),
                }
            }
        }
        let mut places: Vec<(u32, u32)> = (0..).zip(order).map(|(place, slot)| (slot, place)).collect();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::distance::{Metric, l2_squared};
    use crate::index::hnsw::Params;
    use crate::index::source::Flat;

    #[test]
    fn all_slots_come_and_near_ones_together() {
        const ROWS: u32 = 20_000;
        const DIMENSIONS: usize = 4;
        // Twenty clusters taking turns, so that the order of arrival has none beside another of its own.
        let value = |number: usize| {
            let (slot, axis) = (number / DIMENSIONS, number % DIMENSIONS);
            let unit = |seed: u64| (mix(seed) >> 40) as f32 / (1 << 24) as f32;
            20.0 * unit((slot % 20 * DIMENSIONS + axis) as u64) + unit(number as u64 + 1_000)
        };
        let values: Vec<f32> = (0..ROWS as usize * DIMENSIONS).map(value).collect();
        let step = |a: u32, b: u32| {
            let vector = |slot: u32| &values[slot as usize * DIMENSIONS..][..DIMENSIONS];
            l2_squared(vector(a), vector(b)).sqrt()
        };
        let mut vectors = Flat::new(DIMENSIONS, values.clone());
        vectors.set_null(77);
        let (cancel, progress) = (AtomicBool::new(false), AtomicU32::new(0));
        let (pivots, mut list): (Vec<u32>, Vec<u32>) = (0..ROWS).partition(|&slot| is_pivot(slot));
        let params = Params::new(8, 32, Metric::L2).unwrap();
        let first = pivots.iter().copied().collect();
        let graph =
            crate::index::hnsw::Graph::build(params, &vectors, &first, 2, &progress, &cancel).unwrap();
        for threads in [1, 3] {
            list.sort_unstable();
            let length = |list: &[u32]| list.windows(2).map(|pair| step(pair[0], pair[1])).sum::<f32>();
            let before = length(&list);
            graph.order_by_cells(&vectors, &mut list, threads, &cancel).unwrap();
            assert!(length(&list) < before / 5.0, "{} after {before}", length(&list));
            assert_eq!(list.last(), Some(&77), "what has no vector is near nothing");
        }
        let mut all = [pivots, list.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..ROWS));
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            graph.order_by_cells(&vectors, &mut list, 2, &cancel).err().map(|error| error.state().0),
            Some("57014")
        );
    }
}
