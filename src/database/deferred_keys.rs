//! Unique keys that are checked when the transaction commits: DEFERRABLE constraints, SET CONSTRAINTS.
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
//! waits is never forgotten before the end, for a ROLLBACK TO may bring a row back that had got its key. Keys are locked
//! from the first time they are wanted, so that no other transaction takes them meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{Deferral, Oid};
use crate::database::Transaction;
use crate::database::transaction::{Stop, duplicate_key};
use crate::error::Result;

/// Which row of a call waits (by its place among those that are written), for which index, and the key.
pub type Wait = (usize, Oid, Vec<u8>);

/// When constraints are checked, and what is still to be.
#[derive(Clone, Debug, Default)]
pub struct DeferredKeys {
    modes: Arc<Modes>,
    waiting: Vec<Waiting>,
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

    /// Rows of a table that wait: slot, index, key.
    pub fn wait(&mut self, table: Oid, rows: impl Iterator<Item = (u32, Oid, Vec<u8>)>) {
        self.waiting.extend(rows.map(|(slot, index, key)| Waiting { table, slot, index, key }));
    }
}

impl Transaction {
    /// Whether a row waits for a key, or did.
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
        let modes = self.deferred.modes();
        for wait in self.deferred.waiting.clone() {
            // Tables and constraints may be gone by now.
            if self.catalog().table_by_oid(wait.table).is_none() {
                continue;
            }
            let catalog = self.catalog().clone();
            let writer = self.writer(wait.table)?;
            let unique = writer.unique_keys().clone();
            let Some(place) = unique.iter().position(|unique| unique.index == wait.index) else { continue };
            if only_immediate && modes.defers(unique[place].constraint, unique[place].deferral) {
                continue;
            }
            let Some(values) = writer.current_values(wait.slot)? else { continue };
            if writer.keys_of(&values)?[place].as_ref() != Some(&wait.key) {
                continue;
            }
            match writer.owner(&wait.key)? {
                Some(owner) if owner == wait.slot => {}
                None => writer.claim(wait.slot, &wait.key)?,
                Some(_) => {
                    let definition = writer.definition().clone();
                    return Err(duplicate_key(&definition, &catalog, wait.index, &values).into());
                }
            }
        }
        Ok(())
    }
}
