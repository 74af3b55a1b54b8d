//! Exact search: every allowed vector is compared.
//!
//! The oracle of all other searches, and the fastest of them when few rows are allowed. Slots come in
//! ascending order, so the reads run forward through the mapped segments; the vector `AHEAD` places further
//! on is prefetched because a sparse set defeats the hardware's own.

use std::sync::atomic::AtomicBool;

use roaring::RoaringBitmap;

use super::found::{Counters, Hit, key};
use super::source::Vectors;
use crate::distance::Query;
use crate::error::{Result, check_cancel};

/// Vectors between the one compared and the one being loaded: at 384 dimensions one comparison takes about
/// 35 ns in cache and a load from memory about 100 ns.
const AHEAD: usize = 4;
/// Distances between two looks at the cancel flag.
pub const CANCEL_INTERVAL: usize = 1024;

/// The `k` nearest of `slots`, ascending by (rank, slot). Slots without a distance come last with rank NaN.
pub fn search<V: Vectors>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    k: usize,
    cancel: &AtomicBool,
) -> Result<(Vec<Hit>, Counters)> {
    let mut nearest = Nearest::new(k);
    let mut counters = Counters::default();
    offer_all(vectors, query, slots, &mut nearest, &mut counters, cancel)?;
    Ok((nearest.into_sorted(), counters))
}

/// Those of `slots` that `takes` takes, by slot and rank; NaN is the rank of slots without a distance.
pub fn select<V: Vectors>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    cancel: &AtomicBool,
    mut takes: impl FnMut(u32, f32) -> bool,
) -> Result<RoaringBitmap> {
    let mut taken = RoaringBitmap::new();
    each(vectors, query, slots, cancel, |slot, rank| {
        if takes(slot, rank) {
            taken.insert(slot);
        }
    })?;
    Ok(taken)
}

/// Offers all of `slots`.
pub(super) fn offer_all<V: Vectors>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    nearest: &mut Nearest,
    counters: &mut Counters,
    cancel: &AtomicBool,
) -> Result<()> {
    let mut compared = 0;
    each(vectors, query, slots, cancel, |slot, rank| {
        compared += 1;
        nearest.offer(rank, slot);
    })?;
    counters.distances += compared;
    counters.visited += compared;
    Ok(())
}

/// Hands out the rank of each of `slots`, in ascending order.
fn each<V: Vectors>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    cancel: &AtomicBool,
    mut take: impl FnMut(u32, f32),
) -> Result<()> {
    // Slots are read in blocks so that the one to prefetch is at hand.
    let mut block = [0u32; CANCEL_INTERVAL];
    let end = vectors.slots_end();
    let mut iterator = slots.iter();
    loop {
        let block = iterator.next_many(&mut block);
        if block.is_empty() {
            return Ok(());
        }
        check_cancel(cancel)?;
        vectors.will_need(block);
        for (position, &slot) in block.iter().enumerate() {
            if let Some(&next) = block.get(position + AHEAD)
                && next < end
            {
                vectors.prefetch(next);
            }
            take(slot, rank(vectors, query, slot));
        }
    }
}

/// The rank of one slot; NaN when it has no vector.
#[inline]
pub fn rank<V: Vectors>(vectors: &V, query: &Query, slot: u32) -> f32 {
    if slot >= vectors.slots_end() {
        return f32::NAN;
    }
    let norm = vectors.norm(slot);
    if norm.is_nan() { f32::NAN } else { query.rank(vectors.get(slot), norm) }
}

/// The k smallest keys seen: a max-heap that is full from then on.
pub(super) struct Nearest {
    k: usize,
    heap: std::collections::BinaryHeap<u64>,
}

impl Nearest {
    pub fn new(k: usize) -> Nearest {
        // The capacity is a hint: k may be a client's LIMIT of billions.
        Nearest { k, heap: std::collections::BinaryHeap::with_capacity(k.min(1024)) }
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    #[inline]
    pub fn offer(&mut self, rank: f32, slot: u32) {
        self.offer_key(key(rank, slot));
    }

    /// Keys from here on are not taken.
    #[inline]
    pub fn bound(&self) -> u64 {
        if self.heap.len() < self.k { u64::MAX } else { self.heap.peek().copied().unwrap_or(0) }
    }

    #[inline]
    pub fn offer_key(&mut self, key: u64) {
        if self.heap.len() < self.k {
            self.heap.push(key);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    pub fn into_sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(Hit::from_key).collect()
    }
}
