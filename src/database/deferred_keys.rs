//! Unique keys that are checked later than their rows are written: when the transaction commits (DEFERRABLE constraints, SET
//! CONSTRAINTS), or when a statement that writes its rows in parts has written the last.
//!
//! A key has one row in a table's tree. A row whose key another one has is written without it, and waits for it:
//!
//! ```text
//!   INSERT k = 1 (slot 7)         key 1 -> slot 3        slot 7 waits for key 1
//!   UPDATE slot 3 SET k = 2       key 2 -> slot 3        key 1 is free
//!   COMMIT                        key 1 -> slot 7        nobody waits any more
//! ```
//!
//! When the time has come, a row that still wants the key it waited for takes it, or the key has another row: 23505. Who
//! waits for COMMIT is never forgotten before, for a ROLLBACK TO may bring a row back that had got its key. Keys are locked
//! from the first time they are wanted, so that no other transaction takes them meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{Deferral, Oid};
use crate::database::Transaction;
use crate::database::transaction::{Stop, duplicate_key};
use crate::error::{Error, Result};

/// A row of a call that waits for a key.
pub struct Wait {
    /// Its place among those that are written.
    pub row: usize,
    pub index: Oid,
    pub key: Vec<u8>,
    pub until: Until,
}

/// When a row must get the key that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the statement has written all its rows.
    AllParts,
    Commit,
}

/// When constraints are checked, and what is still to be.
#[derive(Clone, Debug, Default)]
pub struct DeferredKeys {
    modes: Arc<Modes>,
    /// Until COMMIT.
    waiting: Vec<Waiting>,
    /// Until the statement has written all its rows.
    for_parts: Vec<Waiting>,
}

/// What SET CONSTRAINTS said.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// By constraint: whether it is deferred now.
    named: HashMap<Oid, bool>,
    all: Option<bool>,
}

#[derive(Clone, Debug)]
struct Waiting {
    table: Oid,
    slot: u32,
    index: Oid,
    key: Vec<u8>,
}

impl Modes {
    /// Whether a constraint is checked at COMMIT, as things stand.
    pub fn defers(&self, constraint: Option<Oid>, deferral: Deferral) -> bool {
        let named = constraint.and_then(|constraint| self.named.get(&constraint)).copied();
        let initially = deferral == Deferral::Initially;
        !deferral.is_never() && named.or(self.all).unwrap_or(initially)
    }

    /// SET CONSTRAINTS; none are ALL.
    pub fn set(&mut self, constraints: &[Oid], deferred: bool) {
        if constraints.is_empty() {
            *self = Modes { named: HashMap::new(), all: Some(deferred) };
        }
        self.named.extend(constraints.iter().map(|constraint| (*constraint, deferred)));
    }
}

impl DeferredKeys {
    pub fn modes(&self) -> Arc<Modes> {
        Arc::clone(&self.modes)
    }

    /// Rows of a table that wait, and the slots of all that were written with them.
    pub fn wait(&mut self, table: Oid, rows: Vec<Wait>, slots: &[u32]) {
        for Wait { row, index, key, until } in rows {
            let waiting = Waiting { table, slot: slots[row], index, key };
            match until {
                Until::AllParts => self.for_parts.push(waiting),
                Until::Commit => self.waiting.push(waiting),
            }
        }
    }
}

impl Transaction {
    /// Whether a row waits for a key until COMMIT, or did.
    pub fn has_waiting_keys(&self) -> bool {
        !self.deferred.waiting.is_empty()
    }

    /// SET CONSTRAINTS; no names are ALL.
    pub fn set_constraints(&mut self, constraints: &[Oid], deferred: bool) {
        Arc::make_mut(&mut self.deferred.modes).set(constraints, deferred);
    }

    /// Gives rows the keys that they wait for; with `only_immediate` those of constraints that are not deferred (any more).
    /// 23505 where another row has one.
    pub fn settle_keys(&mut self, only_immediate: bool) -> Result<(), Stop> {
        for wait in self.deferred.waiting.clone() {
            if let Settled::Taken(by) = self.settle(&wait, only_immediate)? {
                return Err(by.into());
            }
        }
        Ok(())
    }

    /// A statement has written the last of its rows: [`Transaction::update_part`], [`OnConflict::Wait`]. Gives rows the keys
    /// that they wait for. Where another row has one, that is 23505, or the row goes on to wait until COMMIT.
    ///
    /// [`OnConflict::Wait`]: crate::database::OnConflict::Wait
    pub fn end_parts(&mut self) -> Result<(), Stop> {
        let modes = self.deferred.modes();
        // The keys are locked and the table is written to already: nothing here has to wait for another transaction.
        for wait in std::mem::take(&mut self.deferred.for_parts) {
            match self.settle(&wait, false)? {
                Settled::Done => {}
                Settled::Taken(_) if self.defers(&modes, &wait)? => self.deferred.waiting.push(wait),
                Settled::Taken(by) => return Err(by.into()),
            }
        }
        Ok(())
    }

    /// Whether the key may be waited for until COMMIT, as things stand.
    fn defers(&mut self, modes: &Modes, wait: &Waiting) -> Result<bool, Stop> {
        let unique = self.writer(wait.table)?.unique_keys().clone();
        let unique = unique.iter().find(|unique| unique.index == wait.index);
        Ok(unique.is_some_and(|unique| modes.defers(unique.constraint, unique.deferral)))
    }

    fn settle(&mut self, wait: &Waiting, only_immediate: bool) -> Result<Settled, Stop> {
        // Tables and constraints may be gone by now.
        if self.catalog().table_by_oid(wait.table).is_none() {
            return Ok(Settled::Done);
        }
        let modes = self.deferred.modes();
        if only_immediate && self.defers(&modes, wait)? {
            return Ok(Settled::Done);
        }
        let catalog = self.catalog().clone();
        let writer = self.writer(wait.table)?;
        let unique = writer.unique_keys().clone();
        let place = unique.iter().position(|unique| unique.index == wait.index);
        let (Some(place), Some(values)) = (place, writer.current_values(wait.slot)?) else {
            return Ok(Settled::Done);
        };
        if writer.keys_of(&values)?[place].as_ref() != Some(&wait.key) {
            return Ok(Settled::Done);
        }
        match writer.owner(&wait.key)? {
            Some(owner) if owner == wait.slot => {}
            None => {
                writer.claim(wait.slot, &wait.key)?;
                self.log_full_chunks()?;
            }
            Some(_) => {
                let definition = writer.definition().clone();
                return Ok(Settled::Taken(duplicate_key(&definition, &catalog, wait.index, &values)));
            }
        }
        Ok(Settled::Done)
    }
}

/// What became of a row that waited for a key.
enum Settled {
    /// It has the key, or wants it no more.
    Done,
    /// Another row has it: 23505, unless there is time yet.
    Taken(Error),
}
