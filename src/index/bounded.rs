//! Exact search through codes of bytes: every allowed code is read, and of the vectors only those that may count.
//!
//! ```text
//!   ranks   |--[ a ]---[  b  ]--[ c ]-----------[ d ]---[  e ]---->      from least to greatest, as codes tell
//!                                   ^ k = 3 rows are no farther than this: d and e are out, a, b and c are compared
//! ```
//!
//! The bounds are certain (`quantizer/bounds.rs`), so this is the answer of [`flat::search`] to the bit.

use roaring::RoaringBitmap;

use super::flat::{self, Nearest};
use super::found::{Counters, Hit, key, rank_of};
use super::hnsw::Coded;
use super::quantizer::{Bounds, Encoded};
use super::search::{Request, rescore_from};
use super::source::Vectors;
use crate::error::Result;

/// What a piece of the codes makes of them.
struct Open {
    /// The k least of the greatest ranks: one of these at most is the k-th row's.
    limits: Nearest,
    /// [`Bounds::reach`] of the greatest of them.
    reach: f64,
    /// Rows that were within the limit when they were met, by their least rank.
    rows: Vec<Hit>,
}

/// The `k` nearest of `slots`, whose codes are all there; as [`flat::search`].
pub fn search<V: Vectors>(
    request: &Request<V>,
    coded: &Coded<V>,
    (code, bounds): &(Encoded, Bounds),
    slots: &RoaringBitmap,
) -> Result<(Vec<Hit>, Counters)> {
    let query = coded.coder().ask_encoded(code);
    let begin = || Open { limits: Nearest::new(request.k), reach: f64::INFINITY, rows: Vec::new() };
    let take = |open: &mut Open, slot: u32, rank: f32| {
        let (norm, step) = (coded.norm(slot), coded.step(slot));
        if bounds.is_beyond(rank, norm, step, open.reach) {
            return;
        }
        let (least, greatest) = bounds.of(rank, norm, step);
        if key(least, 0) <= open.limits.bound() {
            open.rows.push(Hit { rank: least, slot });
            open.limits.offer(greatest, slot);
            open.reach = bounds.reach(rank_of(open.limits.bound()));
        }
    };
    let mut pieces = flat::in_pieces(coded, &query, slots, request.cancel, begin, take)?;
    let mut all = pieces.pop().unwrap_or_else(begin);
    for piece in pieces {
        piece.limits.into_sorted().iter().for_each(|hit| all.limits.offer(hit.rank, hit.slot));
        all.rows.extend(piece.rows);
    }
    let limit = all.limits.bound();
    all.rows.retain(|hit| key(hit.rank, 0) <= limit);
    all.rows.sort_unstable_by_key(|hit| hit.key());
    let mut counters = Counters { distances: slots.len(), visited: slots.len(), ..Counters::default() };
    let hits = rescore_from(request, &all.rows, &mut counters);
    Ok((hits, counters))
}
