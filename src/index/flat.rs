//! Exact search: every allowed vector is compared.
//!
//! The oracle of all other searches, and the fastest of them when few rows are allowed. Slots come in
//! ascending order, so the reads run forward through the mapped segments; the vector `AHEAD` places further
//! on is prefetched because a sparse set defeats the hardware's own.
//!
//! A large set is cut into as many pieces as there are processors that no other scan uses, each with a thread of its own.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roaring::RoaringBitmap;

use super::found::{Counters, Hit, key};
use super::source::Vectors;
use crate::distance::Query;
use crate::error::{Error, Result, check_cancel};

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
    let offer = |nearest: &mut Nearest, slot, rank| nearest.offer(rank, slot);
    let mut pieces = in_pieces(vectors, query, slots, cancel, || Nearest::new(k), offer)?.into_iter();
    let mut nearest = pieces.next().unwrap_or_else(|| Nearest::new(k));
    pieces.for_each(|piece| nearest.merge(piece));
    let counters = Counters { distances: slots.len(), visited: slots.len(), ..Counters::default() };
    Ok((nearest.into_sorted(), counters))
}

/// Those of `slots` that `takes` takes, by slot and rank; NaN is the rank of slots without a distance.
pub fn select<V: Vectors>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    cancel: &AtomicBool,
    takes: impl Fn(u32, f32) -> bool + Sync,
) -> Result<RoaringBitmap> {
    let take = |taken: &mut RoaringBitmap, slot, rank| {
        if takes(slot, rank) {
            taken.insert(slot);
        }
    };
    vectors.refuse_damaged(|slot| slots.contains(slot))?;
    let pieces = in_pieces(vectors, query, slots, cancel, RoaringBitmap::new, take)?;
    vectors.refuse_damaged(|slot| slots.contains(slot))?;
    Ok(pieces.into_iter().reduce(|all, piece| all | piece).unwrap_or_default())
}

/// Threads of all scans. A scan takes no more than there are processors beside the others' threads: many scans at once have
/// one each.
static SCANNING: AtomicUsize = AtomicUsize::new(0);

/// Elements that a thread of its own has to compare at least, which takes some 6 ms. It starts in 30 us on a processor with
/// nothing to do, but where the clients have the other one it waits its turn for up to 4 ms: with a 32nd of this, searches
/// among 3,000 rows of 384 dimensions made a third of the rate.
const PIECE_WORK_MIN: u64 = 1 << 24;

/// Some threads of [`SCANNING`].
pub(super) struct Threads(pub(super) usize);

impl Threads {
    /// For comparing so many elements; one at least.
    pub(super) fn take(work: u64) -> Threads {
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
        let wanted = (work / PIECE_WORK_MIN).clamp(1, *PROCESSORS as u64) as usize;
        let mut threads = wanted;
        let more = |others: usize| {
            threads = wanted.min(PROCESSORS.saturating_sub(others)).max(1);
            Some(others + threads)
        };
        // It always succeeds.
        let _ = SCANNING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        Threads(threads)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        SCANNING.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Hands the rank of each of `slots` to `take`, pieces of the set beside each other: what each piece made of what `begin`
/// gave it, in the order of slots.
pub(super) fn in_pieces<V: Vectors, S: Send>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    cancel: &AtomicBool,
    begin: impl Fn() -> S + Sync,
    take: impl Fn(&mut S, u32, f32) + Sync,
) -> Result<Vec<S>> {
    let threads = Threads::take(slots.len().saturating_mul(query.work() as u64));
    scan(vectors, query, slots, cancel, threads.0, begin, take)
}

fn scan<V: Vectors, S: Send>(
    vectors: &V,
    query: &Query,
    slots: &RoaringBitmap,
    cancel: &AtomicBool,
    pieces: usize,
    begin: impl Fn() -> S + Sync,
    take: impl Fn(&mut S, u32, f32) + Sync,
) -> Result<Vec<S>> {
    side_by_side(slots, pieces, |slots| {
        let mut made = begin();
        each(vectors, query, slots, cancel, |slot, rank| take(&mut made, slot, rank))?;
        Ok(made)
    })
}

/// What `piece` makes of so many pieces of a set, each on a thread of its own, in the order of slots.
pub(super) fn side_by_side<S: Send>(
    slots: &RoaringBitmap,
    pieces: usize,
    piece: impl Fn(roaring::bitmap::Iter) -> Result<S> + Sync,
) -> Result<Vec<S>> {
    if pieces == 1 {
        return Ok(vec![piece(slots.iter())?]);
    }
    let size = slots.len().div_ceil(pieces as u64).max(1);
    let starts = (0..).map_while(|number| slots.select(u32::try_from(number * size).ok()?));
    let starts: Vec<u32> = starts.collect();
    std::thread::scope(|scope| {
        let range = |number: usize| match starts.get(number + 1) {
            Some(end) => slots.range(starts[number]..*end),
            None => slots.range(starts[number]..),
        };
        let piece = &piece;
        let begin = |number: usize| {
            let slots = range(number);
            let thread = std::thread::Builder::new().name("scan".to_owned());
            (number, thread.spawn_scoped(scope, move || piece(slots)).ok())
        };
        let others: Vec<_> = (1..starts.len()).map(begin).collect();
        let first = (!starts.is_empty()).then(|| piece(range(0)));
        let others = others.into_iter().map(|(number, thread)| match thread {
            Some(thread) => thread.join().unwrap_or_else(|panic| Err(Error::panicked("a scan", &*panic))),
            // The system had no more threads.
            None => piece(range(number)),
        });
        first.into_iter().chain(others).collect()
    })
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
    each(vectors, query, slots.iter(), cancel, |slot, rank| {
        compared += 1;
        nearest.offer(rank, slot);
    })?;
    counters.distances += compared;
    counters.visited += compared;
    Ok(())
}

/// Hands out the rank of each of `slots`, which ascend.
fn each<V: Vectors>(
    vectors: &V,
    query: &Query,
    mut slots: roaring::bitmap::Iter,
    cancel: &AtomicBool,
    mut take: impl FnMut(u32, f32),
) -> Result<()> {
    // Slots are read in blocks so that the one to prefetch is at hand.
    let mut block = [0u32; CANCEL_INTERVAL];
    let end = vectors.slots_end();
    loop {
        let block = slots.next_many(&mut block);
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

    /// Takes what the other has.
    pub fn merge(&mut self, other: Nearest) {
        other.heap.into_iter().for_each(|key| self.offer_key(key));
    }

    pub fn into_sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(Hit::from_key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Metric;
    use crate::index::mix::mix;
    use crate::index::source::Flat;

    /// However many pieces, and wherever the set's slots lie.
    #[test]
    fn pieces_make_the_whole() {
        const ROWS: u32 = 3_000;
        let values = (0..2 * u64::from(ROWS)).map(|n| (mix(n) >> 40) as f32).collect();
        let mut vectors = Flat::new(2, values);
        vectors.set_null(1_234);
        let asked = [7.0f32, 9.0];
        let query = Query::new(Metric::L2, &asked[..]);
        let never = AtomicBool::new(false);
        let sets = [vec![], vec![5], vec![1_234, 2_999], (0..ROWS).step_by(3).collect(), (0..ROWS).collect()];
        for set in sets.map(|slots: Vec<u32>| slots.into_iter().collect::<RoaringBitmap>()) {
            let ranks = |pieces| {
                let take = |ranks: &mut Vec<(u32, u32)>, slot, rank: f32| ranks.push((slot, rank.to_bits()));
                scan(&vectors, &query, &set, &never, pieces, Vec::new, take).unwrap().concat()
            };
            let whole = ranks(1);
            assert_eq!(whole.iter().map(|(slot, _)| *slot).collect::<RoaringBitmap>(), set);
            for pieces in [2, 3, 7] {
                assert_eq!(ranks(pieces), whole);
            }
        }
        let cancel = AtomicBool::new(true);
        let all = (0..ROWS).collect();
        let cancelled = scan(&vectors, &query, &all, &cancel, 3, || (), |(), _, _| ()).err();
        assert_eq!(cancelled.map(|error| error.state().0), Some("57014"));
    }

    /// Only as many as there are, and all are given back.
    #[test]
    fn scans_share_the_processors() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(Threads::take(1).0, 1);
        let (first, second) = (Threads::take(u64::MAX), Threads::take(u64::MAX));
        assert!((1..=processors).contains(&first.0) && second.0 >= 1);
        assert!(first.0 + second.0 <= processors + 1);
    }
}
