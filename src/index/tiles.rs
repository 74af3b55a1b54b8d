//! Exact search for many queries at a time, as for the rows of a join: vectors come from memory once for all of them.
//!
//! ```text
//!               queries 0..4   4..8   8..12  ...
//!   vectors  0..16     1         2      3            a tile of vectors is in the first-level cache while all queries,
//!           16..32     n       n+1    n+2            four at a time, are compared with it
//!           32..48    ...
//! ```
//!
//! One query reads a vector as fast as memory gives it, and a comparison takes a fraction of that; with many, comparisons
//! are all there is. Four queries at a time share the loads of a vector (`distance/wide.rs`): their sums fill half of the
//! registers. What each finds is bit for bit what [`flat::search`](super::flat::search) finds.

use std::sync::atomic::AtomicBool;

use roaring::RoaringBitmap;

use super::flat::{CANCEL_INTERVAL, Nearest, Threads, side_by_side};
use super::found::{Hit, rank_of};
use super::source::Vectors;
use crate::distance::{Query, Vector};
use crate::error::{Result, check_cancel};

/// Of a tile's vectors: half of a first-level cache of 48 KiB, beside four queries.
const TILE_BYTES: usize = 24 << 10;
/// Vectors of a tile at most: enough for what goes with each four queries to be little, and sparse ones may be long.
const TILE_ROWS_MAX: usize = 64;

/// For each query the `k` nearest of `slots`, ascending by (rank, slot). Slots without a distance come last with rank NaN.
/// All queries are of one metric.
pub fn search<V: Vectors>(
    vectors: &V,
    queries: &[Query],
    slots: &RoaringBitmap,
    k: usize,
    cancel: &AtomicBool,
) -> Result<Vec<Vec<Hit>>> {
    let work: u64 = queries.iter().map(|query| query.work() as u64).sum();
    let threads = Threads::take(slots.len().saturating_mul(work));
    let pieces = side_by_side(slots, threads.0, |slots| piece(vectors, queries, slots, k, cancel))?;
    let all = pieces.into_iter().reduce(|mut all, piece| {
        all.iter_mut().zip(piece).for_each(|(all, piece)| all.merge(piece));
        all
    });
    let all = all.unwrap_or_else(|| queries.iter().map(|_| Nearest::new(k)).collect());
    Ok(all.into_iter().map(Nearest::into_sorted).collect())
}

fn piece<V: Vectors>(
    vectors: &V,
    queries: &[Query],
    mut slots: roaring::bitmap::Iter,
    k: usize,
    cancel: &AtomicBool,
) -> Result<Vec<Nearest>> {
    let mut nearest: Vec<Nearest> = queries.iter().map(|_| Nearest::new(k)).collect();
    // Farther ones are not among a query's nearest: most are, and one comparison says so.
    let mut edges = vec![f32::INFINITY; queries.len()];
    let mut block = [0u32; CANCEL_INTERVAL];
    let size = (TILE_BYTES / vectors.bytes().max(1)).clamp(1, TILE_ROWS_MAX);
    let mut tile = Vec::with_capacity(size);
    loop {
        let block = slots.next_many(&mut block);
        if block.is_empty() {
            return Ok(nearest);
        }
        vectors.will_need(block);
        for slots in block.chunks(size) {
            check_cancel(cancel)?;
            tile.clear();
            for &slot in slots {
                let norm = if slot < vectors.slots_end() { vectors.norm(slot) } else { f32::NAN };
                if norm.is_nan() {
                    nearest.iter_mut().for_each(|nearest| nearest.offer(f32::NAN, slot));
                    continue;
                }
                vectors.prefetch(slot);
                tile.push((slot, vectors.get(slot), norm));
            }
            for ((queries, nearest), edges) in
                queries.chunks(4).zip(nearest.chunks_mut(4)).zip(edges.chunks_mut(4))
            {
                compare(&tile, queries, nearest, edges);
            }
        }
    }
}

/// Offers a tile's vectors to up to four queries.
fn compare(tile: &[(u32, Vector, f32)], queries: &[Query], nearest: &mut [Nearest], edges: &mut [f32]) {
    let mut offer = |number: usize, rank: f32, slot| {
        if rank > edges[number] {
            return;
        }
        nearest[number].offer(rank, slot);
        // Of a slot without a distance it is NaN, and nothing is greater.
        edges[number] = match nearest[number].bound() {
            u64::MAX => f32::INFINITY,
            bound => rank_of(bound),
        };
    };
    let four = <&[Query; 4]>::try_from(queries);
    for &(slot, vector, norm) in tile {
        if let Ok(four) = four {
            let ranks = Query::ranks_of_four(four, vector, norm);
            ranks.into_iter().enumerate().for_each(|(number, rank)| offer(number, rank, slot));
        } else {
            let ranks = queries.iter().map(|query| query.rank(vector, norm));
            ranks.enumerate().for_each(|(number, rank)| offer(number, rank, slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Metric;
    use crate::index::flat;
    use crate::index::mix::mix;
    use crate::index::source::Flat;
    use crate::types::f16;

    const ROWS: u32 = 700;
    const DIMENSIONS: usize = 37;

    fn values(seed: u64, count: usize) -> Vec<f32> {
        (0..count as u64).map(|n| (mix(n ^ seed << 32) >> 40) as f32 / 1e6 - 8.0).collect()
    }

    /// Whatever the metric, the number of queries, and where in the set slots without a distance are.
    #[test]
    fn each_query_finds_what_it_finds_alone() {
        let never = AtomicBool::new(false);
        let numbers = values(1, ROWS as usize * DIMENSIONS);
        let halves = numbers.iter().map(|x| f16::from_f32(*x)).collect();
        let mut floats = Flat::new(DIMENSIONS, numbers);
        floats.set_null(77);
        let halves = Flat::halves(DIMENSIONS, halves);
        let sets: [RoaringBitmap; 3] =
            [RoaringBitmap::new(), (0..ROWS + 5).collect(), (0..ROWS).step_by(7).collect()];
        for count in [1, 3, 4, 9, 40] {
            let asked = values(count as u64 + 2, count * DIMENSIONS);
            let asked_halves: Vec<f16> = asked.iter().map(|x| f16::from_f32(*x)).collect();
            for metric in Metric::OF_NUMBERS {
                for set in &sets {
                    let queries: Vec<Query> =
                        asked.chunks(DIMENSIONS).map(|query| Query::new(metric, query)).collect();
                    check(&floats, &queries, set, &never);
                    let queries: Vec<Query> =
                        asked_halves.chunks(DIMENSIONS).map(|query| Query::new(metric, query)).collect();
                    check(&halves, &queries, &(set & RoaringBitmap::from_iter(0..ROWS)), &never);
                }
            }
        }
    }

    fn check(vectors: &Flat, queries: &[Query], set: &RoaringBitmap, never: &AtomicBool) {
        for k in [1, 10, 2_000] {
            let together = search(vectors, queries, set, k, never).unwrap();
            let keys = |hits: &[Hit]| hits.iter().map(|hit| hit.key()).collect::<Vec<_>>();
            assert_eq!(together.len(), queries.len());
            for (query, hits) in queries.iter().zip(&together) {
                let (alone, _) = flat::search(vectors, query, set, k, never).unwrap();
                assert_eq!(keys(hits), keys(&alone));
            }
        }
    }

    #[test]
    fn a_cancel_ends_it() {
        let cancel = AtomicBool::new(true);
        let vectors = Flat::new(2, values(3, 400));
        let queries = [[1.0f32, 2.0]; 5];
        let queries: Vec<Query> = queries.iter().map(|query| Query::new(Metric::L2, &query[..])).collect();
        let cancelled = search(&vectors, &queries, &(0..200).collect(), 3, &cancel).err();
        assert_eq!(cancelled.map(|error| error.state().0), Some("57014"));
    }
}
