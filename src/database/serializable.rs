//! SERIALIZABLE: transactions that are as if they had run one after the other.
//!
//! Each reads from one snapshot, as under REPEATABLE READ, and remembers what it read (`table/reads.rs`). One that
//! has written asks at its end whether others have changed any of that since, and is undone with 40001 if so: what it
//! has written would be the same had it run at its end, all at once. One that has only read is as if it had run at its
//! snapshot. That is optimistic concurrency control with backward validation (Kung and Robinson, 1981).
//!
//! ```text
//!   BEGIN ─> snapshot ─> reads, writes ... ─> locks ─> is what was read unchanged? ─> commit ─> published, unlocked
//!                                                                └─ no: 40001
//! ```
//!
//! **Locks** keep the question true until the commit is published: one per table, shared by those who have read it,
//! exclusive for one who has written to it or altered it, taken in the order of the tables, so that nobody waits in a circle. Without
//! them two could find unchanged what the other one is about to publish. They also make the order in which commits become
//! visible the order in which they are as if run, so that those who only read see a state of that order.
//!
//! PostgreSQL watches for dangerous structures of dependencies instead (Ports and Grittner, 2012): it undoes fewer that
//! scan tables others write to, and more by chance of pages. The promise is the same, and is about transactions of this
//! level among each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Oid;
use crate::database::transaction::{Isolation, Stop, Transaction};
use crate::error::{Error, SqlState};
use crate::locks::{Mode, Resource};
use crate::log::StorageId;
use crate::table::reads::Reads;

/// Instead of an index, whose oids begin with 16,400.
const SERIAL: Oid = 1;

impl Transaction {
    /// Where its reads are to be told, under SERIALIZABLE.
    pub fn reads(&self) -> Option<&Arc<Reads>> {
        (self.isolation() == Isolation::Serializable).then_some(&self.reads)
    }

    /// Before the commit: makes sure that what was read is as it was, and stays so until the commit is visible. 40001 when it
    /// is not. Nothing to do for other levels, and where nothing was written or locked.
    pub fn serialize(&mut self) -> Result<(), Stop> {
        // Locks alone count as well: what somebody was refused tells of others' rows.
        let Some(reads) = self.reads().filter(|_| self.work.is_some()).map(|reads| reads.tables()) else {
            return Ok(());
        };
        let txn = self.work().txn;
        for (storage, mode) in self.touched(reads.keys()) {
            let lock = [Resource::Key(SERIAL, storage.0)];
            let waiter = match mode {
                Mode::Exclusive => self.core.locks.exclusive(txn, lock)?,
                Mode::Shared => self.core.locks.shared(txn, lock)?,
            };
            if let Some(waiter) = waiter {
                return Err(Stop::Wait(waiter));
            }
        }
        let newest = self.core.version.load_full();
        let seen = self.snapshot_seq();
        for (table, read) in reads {
            let is_changed = match newest.tables.get(&table) {
                // Dropped, or altered.
                _ if newest.catalog.table_by_oid(table) != self.begun.table_by_oid(table) => true,
                // Its own.
                None => false,
                // Its rows are others.
                Some(files) if files.rows_since() > seen => true,
                Some(files) => match files.state().changes.since(seen) {
                    Some(changed) => read.is_changed(files, &changed, &newest.catalog)?,
                    None => false,
                },
            };
            if is_changed {
                return Err(self.not_serial(table).into());
            }
        }
        Ok(())
    }

    /// The tables that were read, written to or altered, by what their rows lie in.
    fn touched<'r>(&self, read: impl Iterator<Item = &'r Oid>) -> BTreeMap<StorageId, Mode> {
        let storage = |table: &Oid| self.version().tables.get(table).map(|files| files.storage());
        let mut touched: BTreeMap<_, _> = read.filter_map(storage).map(|read| (read, Mode::Shared)).collect();
        if let Some(work) = &self.work {
            touched.extend(work.writers.keys().map(|storage| (*storage, Mode::Exclusive)));
            // Those that get other rows, or end.
            let altered = work.edits.iter().filter_map(|edit| storage(&edit.oid()));
            touched.extend(altered.map(|storage| (storage, Mode::Exclusive)));
        }
        touched
    }

    fn not_serial(&self, table: Oid) -> Error {
        let name = self.catalog_ref().table_by_oid(table).map_or("", |table| table.name.as_str());
        let message = "could not serialize access due to read/write dependencies among transactions";
        Error::new(SqlState::SERIALIZATION_FAILURE, message)
            .detail(format!(
                "Another transaction has changed what this one had read of the table \"{name}\"."
            ))
            .hint("The transaction might succeed if retried.")
    }
}
