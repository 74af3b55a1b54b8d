//! Which trees are left alone for a while because their compaction failed.
//!
//! What makes a compaction fail, a damaged block say, is mostly there the next time as well. The tree rests before it is
//! tried again, twice as long after each failure in a row, so that the others get their turn and the log is not filled
//! with one error.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::log::StorageId;

/// After the first failure.
const REST_MIN: Duration = Duration::from_secs(1);
/// Damage stays until somebody mends it; a mended tree is merged again within this time.
const REST_MAX: Duration = Duration::from_secs(300);

/// The trees whose last compaction failed.
#[derive(Debug, Default)]
pub struct Rests(BTreeMap<StorageId, Rest>);

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    length: Duration,
}

impl Rests {
    /// Whether the tree is to be left alone at the time `now`.
    pub fn rests(&self, id: StorageId, now: Instant) -> bool {
        self.0.get(&id).is_some_and(|rest| now < rest.until)
    }

    /// A compaction of the tree failed at the time `now`; how long it rests. What is not damage, a full disk say, may be over
    /// soon, so that the rest stays short.
    pub fn failed(&mut self, id: StorageId, is_damage: bool, now: Instant) -> Duration {
        let last = self.0.get(&id).map(|rest| rest.length).filter(|_| is_damage);
        let length = last.map_or(REST_MIN, |last| (2 * last).min(REST_MAX));
        self.0.insert(id, Rest { until: now + length, length });
        length
    }

    /// A compaction of the tree succeeded, or there is none to do.
    pub fn ended(&mut self, id: StorageId) {
        self.0.remove(&id);
    }

    /// Forgets trees that are not there any more.
    pub fn keep(&mut self, is_live: impl Fn(StorageId) -> bool) {
        self.0.retain(|id, _| is_live(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_up_to_its_bound_and_a_success_ends_it() {
        let (mut rests, mut now) = (Rests::default(), Instant::now());
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
        assert_eq!(rests.failed(id, true, now), REST_MIN);
        assert_eq!(rests.failed(id, false, now), REST_MIN);
        rests.keep(|_| false);
        assert!(!rests.rests(id, now));
    }
}
