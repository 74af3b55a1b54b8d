//! Locks as others see them: pg_locks and pg_blocking_pids().
//!
//! What is held here is shown as PostgreSQL shows what it is like:
//!
//! | here                                    | pg_locks                                             |
//! |-----------------------------------------|------------------------------------------------------|
//! | a table's lock, shared by its writers   | relation, RowExclusiveLock                           |
//! | a table's lock for one alone            | relation, AccessExclusiveLock                        |
//! | a transaction                           | virtualxid, ExclusiveLock                            |
//! | a transaction with a number             | transactionid, ExclusiveLock                         |
//! | a wait for a row or a key               | transactionid of its holder, ShareLock, not granted  |
//! | the row that is waited for              | tuple, ExclusiveLock, not granted                    |
//! | an advisory lock                        | advisory, ShareLock or ExclusiveLock                 |
//!
//! Nobody waits to read, so that no lock says that a table is read. Rows that nobody waits for are not shown, as in
//! PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::locks::{AdvisoryKey, Mode, Resource, SeenAdvisory, SeenLock};
use crate::log::TxnId;
use crate::sql::databases::Databases;
use crate::sql::engine::Engine;
use crate::sql::shared::Shared;
use crate::table::bindings::ReportRow;
use crate::types::{Tid, Value};

/// A session and its transaction's number, if it has one.
struct Seat {
    session: Arc<Shared>,
    /// Whether it is in a transaction.
    is_open: bool,
    txn: Option<TxnId>,
}

/// The rows of pg_locks.
pub fn rows(databases: &Databases) -> Vec<ReportRow> {
    databases.engines().into_iter().flat_map(|(_, engine)| of_database(&engine)).collect()
}

fn of_database(engine: &Engine) -> Vec<ReportRow> {
    let seats = seats(engine);
    let mut rows = Vec::new();
    for seat in &seats {
        rows.extend(seat.is_open.then(|| {
            let lock =
                [("locktype", Value::from("virtualxid")), ("virtualxid", Value::Text(seat.transaction()))];
            seat.row(&lock, "ExclusiveLock", true)
        }));
        rows.extend(seat.txn.map(|txn| {
            let lock = [("locktype", Value::from("transactionid")), ("transactionid", number(txn))];
            seat.row(&lock, "ExclusiveLock", true)
        }));
    }
    for lock in engine.database.locks() {
        if let Some(seat) = seats.iter().find(|seat| seat.txn == Some(lock.txn)) {
            rows.extend(of_lock(engine, seat, &lock));
        }
    }
    for lock in engine.advisory.seen() {
        if let Some(seat) = seats.iter().find(|seat| seat.session.advisory_owner() == lock.owner) {
            rows.push(of_advisory(engine, seat, &lock));
        }
    }
    rows
}

/// The numbers of the sessions that a session waits for.
pub fn blocking(databases: &Databases, process_id: i32) -> Vec<i32> {
    let mut blocking = Vec::new();
    for (_, engine) in databases.engines() {
        let sessions = engine.seats.sessions();
        let Some(waiting) = sessions.iter().find(|session| session.process_id() == process_id) else {
            continue;
        };
        let pid_of = |is: &dyn Fn(&Shared) -> bool| {
            sessions.iter().find(|session| is(session)).map(|session| session.process_id())
        };
        // One that has ended waits for nothing and is in nobody's way.
        for blocker in number_of(waiting).map(|txn| engine.database.lock_blockers(txn)).unwrap_or_default() {
            blocking.extend(pid_of(&|session| number_of(session) == Some(blocker)));
        }
        for owner in engine.advisory.blockers(waiting.advisory_owner()) {
            blocking.extend(pid_of(&|session| session.advisory_owner() == owner));
        }
    }
    blocking
}

fn seats(engine: &Engine) -> Vec<Seat> {
    /// A session keeps its transaction this long at most while it does something that is not a wait.
    const PATIENCE: Duration = Duration::from_millis(10);
    let seat = |session: Arc<Shared>| {
        // One that does something is in a transaction.
        let is_open = session.transaction.try_lock_for(PATIENCE).is_none_or(|open| open.is_some());
        let txn = number_of(&session).filter(|_| is_open);
        Seat { session, is_open, txn }
    };
    engine.seats.sessions().into_iter().map(seat).collect()
}

/// The number of a session's transaction, or of the last one that had one.
fn number_of(session: &Shared) -> Option<TxnId> {
    match session.transaction_number.load(Ordering::Relaxed) {
        0 => None,
        number => Some(TxnId(number)),
    }
}

impl Seat {
    /// What PostgreSQL makes of the backend and its count of transactions: here of the session and the number.
    fn transaction(&self) -> String {
        format!("{}/{}", self.session.process_id(), self.txn.map_or(0, |txn| txn.0))
    }

    fn row(&self, lock: &[(&'static str, Value)], mode: &'static str, granted: bool) -> ReportRow {
        let mut row = lock.to_vec();
        row.push(("virtualtransaction", Value::Text(self.transaction())));
        row.push(("pid", Value::Int4(self.session.process_id())));
        row.push(("mode", Value::from(mode)));
        row.push(("granted", Value::Bool(granted)));
        row
    }
}

fn of_lock(engine: &Engine, seat: &Seat, lock: &SeenLock) -> Vec<ReportRow> {
    let database = ("database", Value::Oid(engine.oid));
    let mut rows = Vec::new();
    match (lock.resource, lock.mode) {
        (Resource::Table(table), mode) => {
            let mode = if mode == Mode::Shared { "RowExclusiveLock" } else { "AccessExclusiveLock" };
            let lock_of =
                [("locktype", Value::from("relation")), database.clone(), ("relation", Value::Oid(table))];
            rows.push(seat.row(&lock_of, mode, lock.waits_for.is_none()));
        }
        (Resource::Row(storage, slot), _) => {
            let catalog = engine.database.catalog();
            let table = catalog.tables().find(|table| table.storage == storage).map(|table| table.oid);
            let place = Tid::of_slot(slot);
            let lock_of = [
                ("locktype", Value::from("tuple")),
                database,
                ("relation", table.map_or(Value::Null, Value::Oid)),
                ("page", Value::Int4(place.block as i32)),
                ("tuple", Value::Int2(place.offset as i16)),
            ];
            rows.push(seat.row(&lock_of, "ExclusiveLock", false));
        }
        (Resource::Key(..), _) => {}
    }
    if let (Some(holder), Resource::Row(..) | Resource::Key(..)) = (lock.waits_for, lock.resource) {
        let lock_of = [("locktype", Value::from("transactionid")), ("transactionid", number(holder))];
        rows.push(seat.row(&lock_of, "ShareLock", false));
    }
    rows
}

/// One number is two halves, as in PostgreSQL.
fn of_advisory(engine: &Engine, seat: &Seat, lock: &SeenAdvisory) -> ReportRow {
    let (first, second, kind) = match lock.key {
        AdvisoryKey::One(key) => ((key >> 32) as u32, key as u32, 1),
        AdvisoryKey::Two(first, second) => (first as u32, second as u32, 2),
    };
    let lock_of = [
        ("locktype", Value::from("advisory")),
        ("database", Value::Oid(engine.oid)),
        ("classid", Value::Oid(first)),
        ("objid", Value::Oid(second)),
        ("objsubid", Value::Int2(kind)),
    ];
    seat.row(&lock_of, if lock.mode == Mode::Shared { "ShareLock" } else { "ExclusiveLock" }, lock.granted)
}

fn number(txn: TxnId) -> Value {
    Value::Int8(txn.0 as i64)
}
