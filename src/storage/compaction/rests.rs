//! Which trees are left alone for a while because their compaction or flush failed, and which tables because their vacuum did.
//!
//! What makes such work fail, a damaged block say, is mostly there the next time as well. The tree rests before it is
//! tried again, twice as long after each failure in a row, so that the others get their turn and the log is not filled
//! with one error.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::log::StorageId;

/// The trees whose last compaction, flush or vacuum failed.
#[derive(Debug)]
pub struct Rests {
    /// After the first failure.
    min: Duration,
    /// Damage stays until somebody mends it; a mended tree has its turn again within this time.
    max: Duration,
    trees: BTreeMap<StorageId, Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    length: Duration,
}

impl Rests {
    /// No tree rests. One whose work fails does so for `min`, and for `max` at most however often it fails.
    pub fn new(min: Duration, max: Duration) -> Rests {
        Rests { min, max, trees: BTreeMap::new() }
    }

    /// Whether the tree is to be left alone at the time `now`.
    pub fn rests(&self, id: StorageId, now: Instant) -> bool {
        self.trees.get(&id).is_some_and(|rest| now < rest.until)
    }

    /// The work on the tree failed at the time `now`; how long it rests. What is not damage, a full disk say, may be over
    /// soon, so that the rest stays short.
    pub fn failed(&mut self, id: StorageId, is_damage: bool, now: Instant) -> Duration {
        let last = self.trees.get(&id).map(|rest| rest.length).filter(|_| is_damage);
        let length = last.map_or(self.min, |last| (2 * last).min(self.max));
        self.trees.insert(id, Rest { until: now + length, length });
        length
    }

    /// The work on the tree succeeded, or there is none to do.
    pub fn ended(&mut self, id: StorageId) {
        self.trees.remove(&id);
    }

    /// Forgets trees that are not there any more.
    pub fn keep(&mut self, is_live: impl Fn(StorageId) -> bool) {
        self.trees.retain(|id, _| is_live(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_up_to_its_bound_and_a_success_ends_it() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(300));
        let (mut rests, mut now) = (Rests::new(min, max), Instant::now());
        let id = StorageId(7);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(!rests.rests(id, now), "before a rest of {seconds} s");
            let length = rests.failed(id, true, now);
            assert_eq!(length, Duration::from_secs(seconds));
            assert!(rests.rests(id, now + length - Duration::from_millis(1)));
            now += length;
        }
        assert!(!rests.rests(StorageId(8), now));
        rests.ended(id);
        assert_eq!(rests.failed(id, true, now), min);
        assert_eq!(rests.failed(id, false, now), min);
        rests.keep(|_| false);
        assert!(!rests.rests(id, now));
    }
}
