//! Locks on tables, rows and keys, held from the statement until the commit is published.
//!
//! A transaction that meets a lock waits for the *end of the holder*, not for the lock: locks are given back all at
//! once, so that is the same and needs one edge per waiting transaction. The edges form the wait-for graph; an edge
//! that would close a cycle is refused with 40P01 instead of being added.
//!
//! ```text
//!   txn 7 ──waits for──> txn 3 ──waits for──> txn 9        txn 9 wants what txn 7 holds: deadlock, 9 gives up
//! ```
//!
//! Waiting is handed out as a [`Waiter`]: the shell awaits its callback, tests block on it. After the release
//! everyone who waited tries again; only who wants a whole table alone has others wait behind it.

// Locks on numbers.
mod advisory;
// Who holds what, and who waits for whom.
mod manager;
// The locks of a bulk load.
mod many;
// Waiting for the end of a transaction.
mod waiter;

pub use advisory::{AdvisoryKey, AdvisoryLocks, SeenAdvisory, Span};
pub use manager::{Locks, Mode, Resource, SeenLock};
pub use waiter::Waiter;
