//! The order in which a large build takes its slots, when the vectors do not fit the memory there is.
//!
//! Linking a node reads some hundred vectors and their links, all of them near it. Slots are in the order of arrival, so
//! that one node's neighbourhood is on other pages than the next one's, and with a page cache of a tenth of the data
//! nearly every one of those reads is one from the disk. Taken cell by cell, a node's neighbourhood is mostly the one
//! before's:
//!
//! ```text
//!   pivots   the nodes of the level that has at most PIVOTS of them: linked first, as ever
//!   cells    each other slot belongs to the nearest pivot, found by comparing it with all of them
//!   chain    after each pivot the nearest of those left: cells that follow each other are near
//! ```
//!
//! A search for a slot's neighbours begins at its pivot, and not at the entry point, from where it would read its way
//! through nodes of other cells. Comparing with all pivots takes as long as reading one page or two; a slot in a wrong cell
//! costs hundreds of reads, and a search among the pivots put one in ten wrong.

use std::sync::atomic::AtomicBool;

use super::graph::{Entry, Graph};
use super::level::{LEVEL_MAX, level};
use super::links::NONE;
use crate::error::{Result, check_cancel};
use crate::index::flat;
use crate::index::found::key;
use crate::index::source::Vectors;

/// Most pivots, about. With so many, 1,000,000 slots are in cells of 256, which lie on 512 pages at worst, or 2 MB: a
/// thirtieth of the smallest budget.
const PIVOTS: f64 = 4096.0;
/// Slots assigned between two looks at the cancel flag.
const AT_ONCE: usize = 256;

/// Slots in the order of their cells.
pub struct Cells {
    /// Level of the pivots, one above the highest of the slots.
    level: u32,
    pivots: Vec<u32>,
    /// Each slot behind the number of its pivot, [`NONE`] when it has none.
    slots: Vec<(u32, u32)>,
}

impl Cells {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// A slot by its place, and where the search for its neighbours begins.
    pub fn get(&self, place: usize) -> (u32, Option<Entry>) {
        let (pivot, slot) = self.slots[place];
        let start = self.pivots.get(pivot as usize);
        (slot, start.map(|&slot| Entry { slot, level: self.level - 1 }))
    }
}

/// The lowest level, above 0, that has no more than [`PIVOTS`] of so many slots.
pub fn pivot_level(slots: usize, m: u16) -> u32 {
    let above = |level: u32| slots as f64 / f64::from(m).powi(level as i32);
    (1..LEVEL_MAX).find(|&level| above(level) <= PIVOTS).unwrap_or(LEVEL_MAX)
}

impl Graph {
    /// Slots of a list that are pivots of a graph, and the others.
    pub(super) fn split_pivots(&self, list: &[u32], pivot_level: u32) -> (Vec<u32>, Vec<u32>) {
        list.iter().partition(|&&slot| level(slot, self.params.m) >= pivot_level)
    }

    /// The cells of slots around the nodes there are, which are of `level` and above, the slots being below it.
    pub(super) fn cells<V: Vectors>(
        &self,
        vectors: &V,
        slots: &[u32],
        level: u32,
        threads: usize,
        cancel: &AtomicBool,
    ) -> Result<Cells> {
        let pivots = self.chain(vectors, level, cancel)?;
        let part = slots.len().div_ceil(threads.max(1)).max(1);
        let mut slots: Vec<(u32, u32)> = slots.iter().map(|&slot| (NONE, slot)).collect();
        std::thread::scope(|scope| {
            for part in slots.chunks_mut(part) {
                let pivots = &pivots;
                scope.spawn(move || {
                    for some in part.chunks_mut(AT_ONCE) {
                        if check_cancel(cancel).is_err() {
                            return;
                        }
                        for (pivot, slot) in some {
                            *pivot = self.nearest(vectors, *slot, pivots);
                        }
                    }
                });
            }
        });
        check_cancel(cancel)?;
        slots.sort_unstable();
        Ok(Cells { level, pivots, slots })
    }

    /// The number of the pivot nearest to a slot, if it has a distance to any.
    fn nearest<V: Vectors>(&self, vectors: &V, slot: u32, pivots: &[u32]) -> u32 {
        if slot >= vectors.slots_end() || !self.takes(vectors.norm(slot)) {
            return NONE;
        }
        let query = vectors.query(self.params.metric, slot);
        let ranks =
            pivots.iter().zip(0..).map(|(&pivot, number)| key(flat::rank(vectors, &query, pivot), number));
        ranks.min().map_or(NONE, |nearest| nearest as u32)
    }

    /// Nodes that have links on the level below `level`, each followed by the nearest of those left. Twins have none.
    fn chain<V: Vectors>(&self, vectors: &V, level: u32, cancel: &AtomicBool) -> Result<Vec<u32>> {
        let reader = self.reader(vectors);
        let is_pivot = |slot: &u32| !reader.is_twin(*slot) && reader.block(*slot, level - 1).is_some();
        let mut left: Vec<u32> = self.nodes().iter().filter(is_pivot).collect();
        let mut chain = Vec::with_capacity(left.len());
        let mut next = left.pop();
        while let Some(pivot) = next {
            check_cancel(cancel)?;
            chain.push(pivot);
            let nearest = self.nearest(vectors, pivot, &left) as usize;
            next = (!left.is_empty()).then(|| left.swap_remove(nearest.min(left.len() - 1)));
        }
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::distance::{Metric, l2_squared};
    use crate::index::hnsw::Params;
    use crate::index::mix::mix;
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
        let params = Params::new(8, 32, Metric::L2).unwrap();
        let level = pivot_level(ROWS as usize, params.m);
        let slots: Vec<u32> = (0..ROWS).collect();
        let (pivots, others) = Graph::new(params).split_pivots(&slots, level);
        let graph =
            Graph::build(params, &vectors, &pivots.iter().copied().collect(), 2, &progress, &cancel).unwrap();
        let length = |list: &[u32]| list.windows(2).map(|pair| step(pair[0], pair[1])).sum::<f32>();
        for threads in [1, 3] {
            let cells = graph.cells(&vectors, &others, level, threads, &cancel).unwrap();
            let (ordered, starts): (Vec<u32>, Vec<_>) =
                (0..cells.len()).map(|place| cells.get(place)).unzip();
            assert!(length(&ordered) < length(&others) / 5.0, "{}", length(&ordered));
            assert_eq!((ordered.last(), starts.last()), (Some(&77), Some(&None)), "it has no vector");
            for (&slot, start) in ordered.iter().zip(&starts).take(1_000) {
                let nearest = pivots.iter().map(|&pivot| step(slot, pivot)).fold(f32::INFINITY, f32::min);
                let start = start.expect("a slot with a vector has a pivot");
                assert_eq!((step(slot, start.slot), start.level), (nearest, level - 1));
            }
            let mut all = [pivots.clone(), ordered].concat();
            all.sort_unstable();
            assert_eq!(all, slots);
        }
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        let cancelled = graph.cells(&vectors, &others, level, 2, &cancel).err();
        assert_eq!(cancelled.map(|error| error.state().0), Some("57014"));
    }

    #[test]
    fn pivots_are_of_the_lowest_level_that_has_few() {
        assert_eq!(pivot_level(1_000_000, 16), 2);
        assert_eq!(pivot_level(1_100_000, 16), 3);
        assert_eq!(pivot_level(100, 16), 1);
        assert_eq!(pivot_level(1_000_000, 2), 8);
        assert_eq!(pivot_level(usize::MAX, 2), LEVEL_MAX);
    }
}
