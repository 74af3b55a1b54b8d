//! What the log has of transactions that have not ended.
//!
//! A transaction that writes much, or changes definitions, logs as it goes, and recovery needs all of its records or none.
//! So the log is replayed from the first record of the oldest one that is open, and is kept from there on. A small one that
//! stays open for days would hold all of the log since; so a checkpoint carries it on:
//!
//! ```text
//!   before   | t7 Data | .... much log of others .... |
//!            ^ replay from here
//!   after    | t7 Data | .... much log of others .... | t7 Abort | t9 Data |
//!                                                                ^ replay from here; what t7 does is logged as t9's
//! ```
//!
//! Its records are appended again under a number of their own, behind an Abort of the one before, in one batch: on a full
//! disk all stays as it was. The log stays one that can be read from any place: with both numbers a replay undoes the first
//! and does the second, and a transaction that never ends counts under none of them.
//!
//! **What it costs.** Nobody is carried on before the log has grown by much since its first record, and by four times what
//! is carried, so that this adds a quarter to the log at most. It goes through memory, and through the log's lock at once:
//! [`CARRIED_BYTES_MAX`] bounds it. The transactions themselves wait when they log or end while the log since their first
//! record is read; everybody waits while it is appended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::database::Database;
use crate::database::core::Core;
use crate::error::{Error, Result};
use crate::log::{Position, Record, TxnId};

/// When open transactions are carried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarryOptions {
    /// The log has grown by so much since the first record of each.
    pub behind_bytes_min: u64,
    /// All of them together have logged no more.
    pub bytes_max: u64,
    /// And for each byte of it there are so many in the log.
    pub log_per_byte: u64,
}

/// Whatever the log's size: what a disk writes in some 20 ms, for which nobody should be kept from a commit for longer.
const CARRIED_BYTES_MAX: u64 = 16 << 20;

impl CarryOptions {
    /// Where a checkpoint is made after so many bytes of log: behind one, recovery begins no further back than half of that,
    /// unless open transactions have logged more than an eighth, or than 16 MB.
    pub fn within(checkpoint_log_bytes: u64) -> CarryOptions {
        CarryOptions {
            behind_bytes_min: checkpoint_log_bytes / 4,
            bytes_max: (checkpoint_log_bytes / 8).min(CARRIED_BYTES_MAX),
            log_per_byte: 4,
        }
    }
}

/// Transactions with records in the log.
#[derive(Default)]
pub struct Unfinished(Mutex<BTreeMap<TxnId, Arc<Open>>>);

struct Open {
    session: Option<i32>,
    /// None of its records that count is before.
    first: AtomicU64,
    /// Held while it logs and while it is carried on.
    logged: Mutex<Logged>,
}

struct Logged {
    /// What its records bear: its own number until it is carried on.
    number: TxnId,
    /// Of its records that count.
    bytes: u64,
    /// Its last records are on their way.
    is_ending: bool,
}

/// A transaction for whose sake log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLog {
    /// Of its client, if it has one.
    pub session: Option<i32>,
    /// From here on.
    pub first: Position,
}

impl Unfinished {
    /// The transaction's entry. A new one begins at `end`, asked for while nobody counts.
    fn of(&self, txn: TxnId, session: Option<i32>, end: impl FnOnce() -> Position) -> Arc<Open> {
        let new = || {
            let logged = Logged { number: txn, bytes: 0, is_ending: false };
            Arc::new(Open { session, first: AtomicU64::new(end().0), logged: Mutex::new(logged) })
        };
        self.0.lock().entry(txn).or_insert_with(new).clone()
    }

    /// The number for the last records of a transaction. It is not carried on any more.
    pub fn last_number(&self, txn: TxnId) -> TxnId {
        let open = self.0.lock().get(&txn).cloned();
        let Some(open) = open else { return txn };
        let mut logged = open.logged.lock();
        logged.is_ending = true;
        logged.number
    }

    /// Nobody needs its records any more.
    pub fn ended(&self, txn: TxnId) {
        self.0.lock().remove(&txn);
    }

    /// The first record of all, `end()` if there is none.
    pub fn first(&self, end: impl FnOnce() -> Position) -> Position {
        let open = self.0.lock();
        let end = end();
        open.values().map(|open| open.first()).min().map_or(end, |first| first.min(end))
    }

    /// Those whose records all begin before `limit`, oldest first.
    fn before(&self, limit: Position) -> Vec<Arc<Open>> {
        let mut old: Vec<_> = self.0.lock().values().filter(|open| open.first() < limit).cloned().collect();
        old.sort_by_key(|open| open.first());
        old
    }
}

impl Open {
    fn first(&self) -> Position {
        Position(self.first.load(Ordering::Relaxed))
    }
}

impl Core {
    /// Appends a record of a transaction that has not committed yet, under the number that it is handed.
    pub fn append_for<'r>(
        &self,
        txn: TxnId,
        session: Option<i32>,
        record: impl FnOnce(TxnId) -> Record<'r>,
    ) -> Result<()> {
        self.healthy()?;
        let open = self.unfinished.of(txn, session, || self.log.end());
        let mut logged = open.logged.lock();
        let record = record(logged.number);
        let bytes = match &record {
            Record::Data { changes: bytes, .. } | Record::Catalog { edits: bytes, .. } => bytes.len(),
            other => return Err(Error::internal(format!("an open transaction has no {other:?}"))),
        };
        self.log.append(&[record])?;
        logged.bytes += bytes as u64;
        Ok(())
    }

    /// Carries on transactions that hold back much log with little of their own. One checkpoint at a time does so, before its
    /// moment; what cannot be carried stays where it is.
    pub fn carry_on(&self) {
        let CarryOptions { behind_bytes_min, bytes_max, log_per_byte } = self.options.carry;
        let end = self.log.end();
        let old = self.unfinished.before(Position(end.0.saturating_sub(behind_bytes_min)));
        let Some(behind) = old.first().map(|oldest| end.0 - oldest.first().0) else { return };
        let mut carried: Vec<_> = old.iter().map(|open| (open, open.logged.lock())).collect();
        let bytes: u64 = carried.iter().map(|(_, logged)| logged.bytes).sum();
        if bytes > bytes_max || bytes.saturating_mul(log_per_byte) > behind {
            let sessions: Vec<_> = old.iter().filter_map(|open| open.session).collect();
            log::info!(
                "{behind} bytes of log are kept for open transactions that have logged {bytes}, of the sessions {sessions:?}"
            );
            return;
        }
        carried.retain(|(_, logged)| !logged.is_ending);
        if carried.is_empty() {
            return;
        }
        let numbers: HashMap<TxnId, TxnId> =
            carried.iter().map(|(_, logged)| (logged.number, self.new_txn())).collect();
        match self.append_again(old[0].first(), &numbers) {
            Ok(None) => {}
            Ok(Some(first)) => {
                for (open, logged) in &mut carried {
                    logged.number = numbers[&logged.number];
                    open.first.store(first.0, Ordering::Relaxed);
                }
            }
            // The checkpoint may be what makes room for them the next time, or leaves a damaged piece of the log behind.
            Err(error) => log::warn!("{behind} bytes of log stay for open transactions: {error}"),
        }
    }

    /// Appends what transactions have logged since `from`, under their new numbers; answers where that begins.
    fn append_again(&self, from: Position, numbers: &HashMap<TxnId, TxnId>) -> Result<Option<Position>> {
        let mut found = Vec::new();
        self.log.replay(from, &mut |_, record| {
            let (txn, storage, bytes) = match record {
                Record::Data { txn, storage, changes } => (txn, Some(storage), changes),
                Record::Catalog { txn, edits } => (txn, None, edits),
                _ => return Ok(()),
            };
            // The log of others is read and not copied.
            found.extend(numbers.get(&txn).map(|number| (*number, storage, bytes.to_vec())));
            Ok(())
        })?;
        let aborted = numbers.keys().map(|txn| Record::Abort { txn: *txn });
        let again = found.iter().map(|(txn, storage, bytes)| match *storage {
            Some(storage) => Record::Data { txn: *txn, storage, changes: bytes },
            None => Record::Catalog { txn: *txn, edits: bytes },
        });
        let records: Vec<Record> = aborted.chain(again).collect();
        Ok(self.log.append(&records)?.first().copied())
    }
}

impl Database {
    /// For whose sake log is kept that recovery would read, oldest first.
    pub fn kept_log(&self) -> Vec<KeptLog> {
        let open = self.core().unfinished.before(Position(u64::MAX));
        open.iter().map(|open| KeptLog { session: open.session, first: open.first() }).collect()
    }
}
