//! Foreign keys that are checked when the transaction commits: DEFERRABLE, SET CONSTRAINTS. (Unique keys that are:
//! `database::deferred_keys`.)
//!
//! What a statement writes is not checked; the values of its keys are noted. When the time has come, a noted key that no
//! row of the referenced table has must be one that no row refers to any more. So it does not matter what happened to the
//! rows in between, nor whether a ROLLBACK TO took them back. ON DELETE CASCADE and its like happen at once all the same,
//! as in PostgreSQL.

use std::sync::Arc;

use crate::catalog::{Catalog, Constraint, ForeignKey, Oid, Table};
use crate::database::{Modes, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::sql::dml::references::still_referenced;
use crate::sql::dml::rows::read;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::Name;
use crate::sql::transactions::Block;
use crate::types::Value;

/// What SET CONSTRAINTS said in this transaction, and what is still to be checked. ROLLBACK TO goes back to what it was.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    modes: Modes,
    pending: Vec<Arc<Pending>>,
}

/// Keys that a foreign key has not been checked for.
#[derive(Debug)]
struct Pending {
    /// The table that refers.
    table: Oid,
    constraint: Oid,
    /// In the order of the foreign key's columns.
    keys: Vec<Vec<Value>>,
    /// The referenced rows went, rather than that referring ones came.
    went: bool,
}

impl Constraints {
    /// Whether the foreign key is checked at COMMIT, as things stand.
    pub fn defers(&self, constraint: Oid, key: &ForeignKey) -> bool {
        self.modes.defers(Some(constraint), key.deferral)
    }

    fn note(&mut self, table: Oid, constraint: Oid, keys: Vec<Vec<Value>>, went: bool) {
        if !keys.is_empty() {
            self.pending.push(Arc::new(Pending { table, constraint, keys, went }));
        }
    }
}

impl Session {
    /// Notes rows of which a foreign key is to be checked later, if it is deferred; whether it is.
    pub(super) fn defer_written(&mut self, table: &Table, constraint: Oid, rows: &[Vec<Value>]) -> bool {
        let Some((_, key)) = table.foreign_keys().find(|(known, _)| known.oid == constraint) else {
            return false;
        };
        let deferred = self.state.constraints.defers(constraint, key);
        if deferred {
            let positions: Vec<usize> = key.columns.iter().filter_map(|n| table.position(*n)).collect();
            let keys = rows.iter().map(|row| positions.iter().map(|&p| row[p].clone()).collect());
            let keys = keys.filter(|key: &Vec<Value>| !key.contains(&Value::Null));
            self.state.constraints.note(table.oid, constraint, keys.collect(), false);
        }
        deferred
    }

    /// Notes keys of referenced rows that went, if the foreign key is deferred; whether it is.
    pub(super) fn defer_gone(
        &mut self,
        child: &Table,
        constraint: &str,
        key: &ForeignKey,
        keys: Vec<Vec<Value>>,
    ) -> bool {
        let found = child.constraints.iter().find(|known| known.name == constraint);
        let Some(constraint) = found.map(|constraint| constraint.oid) else { return false };
        let deferred = self.state.constraints.defers(constraint, key);
        if deferred {
            self.state.constraints.note(child.oid, constraint, keys, true);
        }
        deferred
    }

    /// Checks what was deferred: everything at COMMIT, and what SET CONSTRAINTS made immediate.
    pub(crate) async fn check_deferred(&mut self, only_immediate: bool) -> Result<()> {
        self.settle_keys(only_immediate).await?;
        if self.state.constraints.pending.is_empty() {
            return Ok(());
        }
        self.start_statement()?;
        let catalog = self.shared.current_catalog();
        for pending in std::mem::take(&mut self.state.constraints.pending) {
            // Tables and constraints may be gone by now.
            let Some(table) = catalog.table_by_oid(pending.table).cloned() else { continue };
            let found = table.foreign_keys().find(|(constraint, _)| constraint.oid == pending.constraint);
            let Some((constraint, key)) = found else { continue };
            if only_immediate && self.state.constraints.defers(constraint.oid, key) {
                self.state.constraints.pending.push(pending);
                continue;
            }
            self.check_pending(&catalog, &table, constraint, key, &pending).await?;
        }
        Ok(())
    }

    /// The unique keys among them, of which the transaction knows.
    async fn settle_keys(&mut self, only_immediate: bool) -> Result<()> {
        let wait = self.shared.transaction.lock().as_ref().is_some_and(Transaction::has_waiting_keys);
        if !wait {
            return Ok(());
        }
        self.retry(|transaction| transaction.settle_keys(only_immediate)).await
    }

    async fn check_pending(
        &mut self,
        catalog: &Catalog,
        table: &Arc<Table>,
        constraint: &Constraint,
        key: &ForeignKey,
        pending: &Pending,
    ) -> Result<()> {
        let referring = self
            .shared
            .with_transaction(|transaction| transaction.referring(table.oid, &key.columns, &pending.keys))?;
        if referring.is_empty() {
            return Ok(());
        }
        if pending.went {
            for row in &referring {
                let values = &pending.keys[row.key];
                if !self.shared.with_transaction(|transaction| transaction.has_referenced(key, values))? {
                    let parent = catalog.table_by_oid(key.table);
                    let parent = parent.ok_or_else(|| Error::internal("a foreign key to no table"))?;
                    return Err(still_referenced(parent, table, &constraint.name, key, values));
                }
            }
            return Ok(());
        }
        let slots: Vec<u32> = referring.iter().map(|row| row.slot).collect();
        let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(table.oid))?;
        let rows: Vec<Vec<Value>> = read(&snapshot, &slots, false)?.into_iter().flatten().collect();
        let (table, wanted) = (table.oid, constraint.oid);
        self.retry(|transaction| transaction.check_references(table, &rows, &|oid| oid == wanted)).await
    }

    /// SET CONSTRAINTS; no names are ALL.
    pub(crate) async fn set_constraints(&mut self, names: &[Name], deferred: bool) -> Result<Response> {
        if self.state.block != Block::Explicit && !self.state.several_statements {
            let message = "SET CONSTRAINTS can only be used in transaction blocks";
            self.notice(Severity::Warning, Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        let mut named = Vec::new();
        for name in names {
            named.extend(self.deferrable_constraints(name)?);
        }
        self.state.constraints.modes.set(&named, deferred);
        self.start_statement()?;
        self.shared.with_transaction(|transaction| {
            transaction.set_constraints(&named, deferred);
            Ok(())
        })?;
        if !deferred {
            self.check_deferred(true).await?;
        }
        Ok(done("SET CONSTRAINTS"))
    }

    /// The constraints of a name: those of the first schema that has some.
    fn deferrable_constraints(&self, name: &Name) -> Result<Vec<Oid>> {
        let catalog = self.shared.current_catalog();
        let schemas = match &name.schema {
            Some(schema) => vec![schema.clone()],
            None => self.shared.schemas(&catalog),
        };
        let constraints = |schema: &String| {
            let tables = catalog.tables().filter(|table| table.schema == *schema);
            let all = tables.flat_map(|table| &table.constraints);
            all.filter(|constraint| constraint.name == name.name).cloned().collect::<Vec<Constraint>>()
        };
        let found = schemas.iter().map(constraints).find(|found| !found.is_empty());
        let Some(found) = found else {
            let message = format!("constraint \"{name}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        let deferrable = |constraint: &Constraint| !constraint.deferral().is_never();
        match found.iter().all(deferrable) {
            true => Ok(found.iter().map(|constraint| constraint.oid).collect()),
            false => {
                let message = format!("constraint \"{}\" is not deferrable", name.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
        }
    }
}
