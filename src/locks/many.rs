//! The exclusive locks of transactions that hold very many: lists, until somebody else asks.
//!
//! A bulk load locks every key that it inserts, and mostly nobody else wants any of them. In the table of all locks each
//! costs a place somewhere in memory, once more when the table grows, and once more when it is given back: a fifth of the
//! time of a load of 1,000,000 rows. A list takes them one behind the other. Whoever asks whether one of them is held pays
//! for a set of what the list has by then, and the next one for what it has grown by since.
//!
//! ```text
//!   transaction 7   list   k1 k2 k3 ... k900000 | k900001 ...        appended, read by nobody
//!                   set    of all up to here ---^                    made when transaction 8 asks
//! ```

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use crate::locks::manager::{Mix, Resource};
use crate::log::TxnId;

/// The locks of a transaction that are in the table of all; further ones are here. Up to a few thousand the table stays in
/// the processor's cache.
pub const FEW_MAX: usize = 4_096;
/// Locks in a list, 16 MiB of them, before repetitions are taken out for the first time: a transaction may lock the same
/// rows again and again.
const TIDY_MIN: usize = 1 << 20;

/// The lists.
#[derive(Default)]
pub struct Many {
    by_transaction: HashMap<TxnId, List, BuildHasherDefault<Mix>>,
}

#[derive(Default)]
struct List {
    resources: Vec<Resource>,
    /// Of the first `known_len` of them.
    known: HashSet<Resource, BuildHasherDefault<Mix>>,
    known_len: usize,
    /// At this length repetitions are taken out again.
    tidy_len: usize,
}

impl Many {
    /// Notes a lock, which nobody else holds.
    pub fn add(&mut self, txn: TxnId, resource: Resource) {
        let list = self.by_transaction.entry(txn).or_default();
        list.resources.push(resource);
        if list.resources.len() >= list.tidy_len.max(TIDY_MIN) {
            list.tidy();
        }
    }

    /// Whoever but `txn` holds it.
    pub fn other_holder(&mut self, resource: Resource, txn: TxnId) -> Option<TxnId> {
        let others = self.by_transaction.iter_mut().filter(|(holder, _)| **holder != txn);
        others.into_iter().find_map(|(holder, list)| list.contains(resource).then_some(*holder))
    }

    /// Gives back all locks of a transaction.
    pub fn release(&mut self, txn: TxnId) {
        self.by_transaction.remove(&txn);
    }

    /// How many locks are held, repeated ones counted each time.
    pub fn len(&self) -> usize {
        self.by_transaction.values().map(|list| list.resources.len()).sum()
    }
}

impl List {
    fn contains(&mut self, resource: Resource) -> bool {
        self.known.extend(&self.resources[self.known_len..]);
        self.known_len = self.resources.len();
        self.known.contains(&resource)
    }

    fn tidy(&mut self) {
        self.resources.sort_unstable();
        self.resources.dedup();
        self.tidy_len = 2 * self.resources.len();
        // The order is another one now.
        (self.known, self.known_len) = (HashSet::default(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(slot: u32) -> Resource {
        Resource::Row(1, slot)
    }

    #[test]
    fn others_find_what_is_in_a_list() {
        let mut many = Many::default();
        let (mine, yours) = (TxnId(1), TxnId(2));
        for slot in 0..1_000 {
            many.add(mine, row(slot));
            if slot % 100 == 0 {
                assert_eq!(many.other_holder(row(slot), yours), Some(mine));
                assert_eq!(many.other_holder(row(slot + 1), yours), None);
                assert_eq!(many.other_holder(row(slot), mine), None, "its own");
            }
        }
        many.add(yours, row(5_000));
        assert_eq!(many.other_holder(row(5_000), mine), Some(yours));
        many.release(mine);
        assert_eq!(many.other_holder(row(7), yours), None);
        assert_eq!(many.len(), 1);
    }

    #[test]
    fn repeated_locks_take_no_more_memory_for_ever() {
        let mut many = Many::default();
        for turn in 0..3 * TIDY_MIN as u32 {
            many.add(TxnId(1), row(turn % 10));
        }
        assert!(many.len() <= TIDY_MIN, "{}", many.len());
        assert_eq!(many.other_holder(row(9), TxnId(2)), Some(TxnId(1)));
        assert_eq!(many.other_holder(row(10), TxnId(2)), None);
    }
}
