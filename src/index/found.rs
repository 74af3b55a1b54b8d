//! Answers: hits in order, and what they cost.

use super::strategy::{Costs, Strategy};

/// A slot and its rank. Ranks ascend with distance; what SQL shows is `Query::distance(rank)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub rank: f32,
    pub slot: u32,
}

impl Hit {
    /// Orders hits by (rank, slot) with NaN last, in one integer comparison.
    pub fn key(self) -> u64 {
        key(self.rank, self.slot)
    }

    pub fn from_key(key: u64) -> Hit {
        Hit { rank: rank_of(key), slot: key as u32 }
    }
}

/// (rank, slot) as one integer of the same order. Every NaN becomes the same, greatest rank.
#[inline]
pub fn key(rank: f32, slot: u32) -> u64 {
    let bits = rank.to_bits();
    // Flip the sign of positives, all bits of negatives: IEEE order becomes unsigned order.
    let ordered = if rank.is_nan() { u32::MAX } else { bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000) };
    (u64::from(ordered) << 32) | u64::from(slot)
}

/// The rank in a [`key`].
#[inline]
pub fn rank_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    if ordered == u32::MAX {
        return f32::NAN;
    }
    f32::from_bits(if ordered & 0x8000_0000 != 0 { ordered ^ 0x8000_0000 } else { !ordered })
}

/// What a search did, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Vectors compared with the query.
    pub distances: u64,
    /// Nodes whose links were followed.
    pub hops: u64,
    /// Slots looked at, with or without a distance.
    pub visited: u64,
    /// Of the distances, those to rows outside the graph.
    pub tail: u64,
    /// Candidates of a walk through codes that were compared again by their vectors.
    pub rescored: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.distances += other.distances;
        self.hops += other.hops;
        self.visited += other.visited;
        self.tail += other.tail;
        self.rescored += other.rescored;
    }
}

/// The answer to a [`Request`](super::Request).
#[derive(Clone, Debug)]
pub struct Found {
    /// Ascending by (rank, slot); rows without a distance (NULL, zero norm under cosine) last, with rank NaN.
    pub hits: Vec<Hit>,
    /// What produced the answer. A graph search that fell short reads [`Strategy::Exact`].
    pub strategy: Strategy,
    /// What was tried first when it was not `strategy`.
    pub fell_from: Option<Strategy>,
    /// Whether these are certainly the nearest rows.
    pub exact: bool,
    pub counters: Counters,
    /// What each strategy was expected to cost, the chosen one among them.
    pub costs: Costs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_like_ranks_and_come_back() {
        let ranks = [f32::NEG_INFINITY, -2.5, -1e-40, -0.0, 0.0, 1e-40, 0.5, 3e38, f32::INFINITY, f32::NAN];
        for pair in ranks.windows(2) {
            assert!(key(pair[0], 7) < key(pair[1], 0), "{pair:?}");
        }
        for rank in ranks {
            let back = Hit::from_key(key(rank, 42));
            assert_eq!(
                (back.rank.to_bits(), back.slot),
                (if rank.is_nan() { f32::NAN } else { rank }.to_bits(), 42)
            );
        }
        assert!(key(1.0, 3) < key(1.0, 4));
    }
}
