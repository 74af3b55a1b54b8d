//! What rows that refer to others do when those go or change: ON DELETE and ON UPDATE.
//!
//! The change has been made when this runs. Per foreign key that refers to the table, the rows that refer to the keys
//! which are gone are looked for in the newest state; they are deleted, changed, or the reason for an error. What
//! happens to them happens by the same functions, so that it goes on down the line.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::catalog::{ForeignKey, Oid, ReferentialAction, Table};
use crate::database::{LockOutcome, RowUpdate};
use crate::error::{Error, Result, SqlState};
use crate::sql::dml::conflict::vectors_differ;
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::rows::{Checks, read};
use crate::sql::session::Session;
use crate::types::{Value, text};

/// One foreign key that refers to a table.
struct Reference {
    child: Arc<Table>,
    constraint: String,
    key: ForeignKey,
}

impl Reference {
    fn still_referenced(&self, table: &Table, values: &[Value]) -> Error {
        still_referenced(table, &self.child, &self.constraint, &self.key, values)
    }
}

/// Old values of a row, and the new ones unless it is gone.
#[derive(Clone)]
pub struct Change {
    pub old: Vec<Value>,
    pub new: Option<Vec<Value>>,
}

impl Session {
    /// Whether foreign keys refer to the table.
    pub(crate) fn is_referenced(&self, table: &Table) -> bool {
        self.shared.current_catalog().references_to(table.oid).next().is_some()
    }

    /// Checks the foreign keys of rows that were written.
    pub(crate) async fn check_references(&mut self, table: &Arc<Table>, rows: &[Vec<Value>]) -> Result<()> {
        if rows.is_empty() || table.foreign_keys().next().is_none() {
            return Ok(());
        }
        if self.check_later(table, rows) {
            return Ok(());
        }
        let deferred = self.defer_written(table, rows);
        let oid = table.oid;
        let now = |constraint: Oid| !deferred.contains(&constraint);
        self.retry(|transaction| transaction.check_references(oid, rows, &now)).await
    }

    /// Does what foreign keys say about rows of the table that were deleted or changed.
    pub(crate) fn follow_references<'s>(
        &'s mut self,
        table: &'s Arc<Table>,
        changes: &'s [Change],
    ) -> BoxFuture<'s, Result<()>> {
        async move {
            if self.follow_later(table, changes) {
                return Ok(());
            }
            let catalog = self.shared.current_catalog();
            let references = catalog.references_to(table.oid).map(|(child, constraint, key)| Reference {
                child: child.clone(),
                constraint: constraint.name.clone(),
                key: key.clone(),
            });
            let mut references: Vec<Reference> = references.collect();
            // What others leave behind may be deleted by a cascade first.
            references.sort_by_key(|reference| {
                let kept =
                    |action| matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict);
                kept(reference.key.on_delete) && kept(reference.key.on_update)
            });
            for reference in &references {
                self.follow(table, reference, changes).await?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn follow(&mut self, table: &Arc<Table>, reference: &Reference, changes: &[Change]) -> Result<()> {
        let positions: Vec<usize> =
            reference.key.referenced.iter().filter_map(|number| table.position(*number)).collect();
        let values = |row: &[Value]| positions.iter().map(|&p| row[p].clone()).collect::<Vec<Value>>();
        let mut deleted = Vec::new();
        let mut updated = Vec::new();
        for change in changes {
            let old = values(&change.old);
            let new = change.new.as_deref().map(&values);
            if old.contains(&Value::Null) || new.as_ref() == Some(&old) {
                continue;
            }
            // Another row may have taken the key in the same statement.
            let key = reference.key.clone();
            if self.shared.with_transaction(|transaction| transaction.has_referenced(&key, &old))? {
                continue;
            }
            match new {
                None => deleted.push((old, None)),
                Some(new) => updated.push((old, Some(new))),
            }
        }
        self.act(table, reference, reference.key.on_delete, deleted).await?;
        self.act(table, reference, reference.key.on_update, updated).await
    }

    /// Does one action about the rows that refer to these keys.
    async fn act(
        &mut self,
        table: &Arc<Table>,
        reference: &Reference,
        action: ReferentialAction,
        keys: Vec<(Vec<Value>, Option<Vec<Value>>)>,
    ) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let child = &reference.child;
        if action == ReferentialAction::NoAction {
            let gone = keys.iter().map(|(old, _)| old.clone()).collect();
            if self.defer_gone(child, &reference.constraint, &reference.key, gone) {
                return Ok(());
            }
        }
        let old: Vec<Vec<Value>> = keys.iter().map(|(old, _)| old.clone()).collect();
        let found = loop {
            let columns = &reference.key.columns;
            let found = self.shared.with_transaction(|t| t.referring(child.oid, columns, &old))?;
            let Some(first) = found.first() else { return Ok(()) };
            if matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict) {
                return Err(reference.still_referenced(table, &old[first.key]));
            }
            let slots: Vec<u32> = found.iter().map(|row| row.slot).collect();
            match self.retry(|transaction| transaction.lock_rows(child.oid, &slots)).await? {
                LockOutcome::Locked => break found,
                LockOutcome::Restart => self.start_statement()?,
            }
        };
        let slots: Vec<u32> = found.iter().map(|row| row.slot).collect();
        let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(child.oid))?;
        let rows = read(&snapshot, &slots, true)?.into_iter();
        let rows = rows.map(|row| row.ok_or_else(|| Error::internal("a locked row is not visible")));
        let rows = rows.collect::<Result<Vec<Vec<Value>>>>()?;
        if action == ReferentialAction::Cascade && keys[found[0].key].1.is_none() {
            self.retry(|transaction| transaction.delete(child.oid, &slots)).await?;
            let changes: Vec<Change> = rows.into_iter().map(|old| Change { old, new: None }).collect();
            return self.follow_references(child, &changes).await;
        }
        let defaults = self.defaults_of(child, &reference.key)?;
        let mut updates = Vec::with_capacity(rows.len());
        let mut changes: Vec<(Vec<Value>, Vec<Value>)> = Vec::with_capacity(rows.len());
        for (referring, old) in found.iter().zip(rows) {
            let mut new = old.clone();
            for (place, number) in reference.key.columns.iter().enumerate() {
                let Some(position) = child.position(*number) else { continue };
                let ty = &child.columns[position].ty;
                new[position] = match (action, &keys[referring.key].1) {
                    (ReferentialAction::Cascade, Some(key)) => {
                        crate::types::cast::cast(key[place].clone(), ty, false)?
                    }
                    (ReferentialAction::SetDefault, _) => {
                        defaults[place].take(ty, &self.shared, &mut || self.plain_execution(&[], &[]))?
                    }
                    _ => Value::Null,
                };
            }
            if new == old {
                // The default is the key that goes.
                return Err(reference.still_referenced(table, &keys[referring.key].0));
            }
            changes.push((old, new));
        }
        let (old, mut new): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        self.checks_of(child)?.verify(&mut new, &mut || self.plain_execution(&[], &[]))?;
        let mut changes = Vec::with_capacity(new.len());
        for ((slot, old), new) in slots.iter().zip(old).zip(&new) {
            let vectors_changed = vectors_differ(child, &old, new);
            updates.push(RowUpdate { slot: *slot, row: new.clone(), vectors_changed });
            changes.push(Change { old, new: Some(new.clone()) });
        }
        self.retry(|transaction| transaction.update(child.oid, updates.clone())).await?;
        self.check_references(child, &new).await?;
        self.follow_references(child, &changes).await
    }

    fn checks_of(&self, table: &Arc<Table>) -> Result<Checks> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        Checks::of(table, &self.plan_context(&self.shared.environment(), &catalog, &schemas))
    }

    /// Defaults of the foreign key's columns.
    fn defaults_of(&self, table: &Table, key: &ForeignKey) -> Result<Vec<DefaultValue>> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let columns = key.columns.iter().filter_map(|number| table.column_number(*number));
        columns.map(|column| DefaultValue::of(column, &context, &self.shared)).collect()
    }
}

/// PostgreSQL's words.
pub fn still_referenced(
    table: &Table,
    child: &Table,
    constraint: &str,
    key: &ForeignKey,
    values: &[Value],
) -> Error {
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{constraint}\" on table \"{}\"",
        table.name, child.name
    );
    let columns = key.referenced.iter().filter_map(|number| table.column_number(*number));
    let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let values: Vec<String> = values.iter().map(text::to_string).collect();
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .detail(format!(
            "Key ({})=({}) is still referenced from table \"{}\".",
            names.join(", "),
            values.join(", "),
            child.name
        ))
        .table(&child.schema, &child.name)
        .constraint(constraint)
}
