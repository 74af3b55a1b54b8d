//! What rows that refer to others do when those go or change: ON DELETE and ON UPDATE.
//!
//! The change has been made when this runs. Per foreign key that refers to the table, the rows that refer to the keys
//! which are gone are looked for in the newest state; they are deleted, changed, or the reason for an error. What
//! happens to them happens by the same functions, so that it goes on down the line.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::catalog::{ForeignKey, Oid, ReferentialAction, Table};
use crate::database::LockOutcome;
use crate::error::{Error, Result, SqlState};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::parts::{Locked, Size};
use crate::sql::dml::rows::Checks;
use crate::sql::session::Session;
use crate::types::cast::cast;
use crate::types::{Value, text};

/// One foreign key that refers to a table.
struct Reference {
    child: Arc<Table>,
    constraint: String,
    key: ForeignKey,
}

impl Reference {
    fn action(&self, event: Event) -> ReferentialAction {
        match event {
            Event::Delete => self.key.on_delete,
            Event::Update => self.key.on_update,
        }
    }

    fn still_referenced(&self, table: &Table, values: &[Value]) -> Error {
        still_referenced(table, &self.child, &self.constraint, &self.key, values)
    }
}

/// Old values of a row, and the new ones unless it is gone: those of keys, NULL in all other places.
#[derive(Clone)]
pub struct Change {
    old: Vec<Value>,
    new: Option<Vec<Value>>,
}

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Delete,
    Update,
}

/// A key that no row has any more, and what its row has instead, unless that is gone.
type GoneKey = (Vec<Value>, Option<Vec<Value>>);

/// Changes of a table's rows, and what is still to be done about them.
struct Consequences {
    table: Arc<Table>,
    changes: Vec<Change>,
    rest: VecDeque<(Arc<Reference>, Event)>,
}

/// The columns (by position) of a table that foreign keys are about: what is kept of rows that are asked about later.
pub struct KeyColumns {
    positions: Vec<usize>,
}

impl KeyColumns {
    /// The columns that have these numbers, if there are some.
    pub fn at<'n>(table: &Table, numbers: impl Iterator<Item = &'n u16>) -> Option<KeyColumns> {
        let positions: Vec<usize> = numbers.filter_map(|number| table.position(*number)).collect();
        (!positions.is_empty()).then_some(KeyColumns { positions })
    }

    pub fn cells<'r>(&self, row: &'r [Value]) -> impl Iterator<Item = &'r Value> {
        self.positions.iter().map(|&position| &row[position])
    }

    /// The row with these cells, as far as the last of them, and NULL in other places.
    pub fn narrowed(&self, row: &[Value]) -> Vec<Value> {
        let mut narrow = vec![Value::Null; self.positions.iter().max().map_or(0, |last| last + 1)];
        self.positions.iter().for_each(|&position| narrow[position] = row[position].clone());
        narrow
    }

    /// What became of a row, if it matters: deleted, or a key that others refer to is another one.
    pub fn change(&self, old: &[Value], new: Option<&[Value]>) -> Option<Change> {
        let stays = new.is_some_and(|new| self.cells(old).eq(self.cells(new)));
        (!stays).then(|| Change { old: self.narrowed(old), new: new.map(|new| self.narrowed(new)) })
    }
}

impl Session {
    /// The columns of the table that foreign keys refer to, if there are such keys.
    pub(crate) fn referenced(&self, table: &Table) -> Option<KeyColumns> {
        let catalog = self.shared.current_catalog();
        KeyColumns::at(table, catalog.references_to(table.oid).flat_map(|(.., key)| &key.referenced))
    }

    /// Checks a foreign key of rows that were written.
    pub(crate) async fn check_references(
        &mut self,
        table: &Arc<Table>,
        constraint: Oid,
        rows: Vec<Vec<Value>>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let Some(rows) = self.check_later(table, constraint, rows) else { return Ok(()) };
        if self.defer_written(table, constraint, &rows) {
            return Ok(());
        }
        let oid = table.oid;
        self.retry(|transaction| transaction.check_references(oid, &rows, &|other| other == constraint)).await
    }

    /// Does what foreign keys say about rows of the table that were deleted or changed, and about those that this changes.
    pub(crate) async fn follow_references(&mut self, table: &Arc<Table>, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let Some(changes) = self.follow_later(table, changes) else { return Ok(()) };
        // Depth first, as calls would go; not by calls, for each row may refer to the next one of a million.
        let mut open = vec![self.consequences(table, changes)];
        while let Some(level) = open.last_mut() {
            let Some((reference, event)) = level.rest.pop_front() else {
                open.pop();
                continue;
            };
            let keys = self.keys_gone(&level.table, &reference, event, &level.changes)?;
            let table = level.table.clone();
            let changes = self.act(&table, &reference, event, keys).await?;
            if !changes.is_empty() {
                open.push(self.consequences(&reference.child, changes));
            }
        }
        Ok(())
    }

    /// What is to be done about changes of a table.
    fn consequences(&self, table: &Arc<Table>, changes: Vec<Change>) -> Consequences {
        let catalog = self.shared.current_catalog();
        let references = catalog.references_to(table.oid).map(|(child, constraint, key)| Reference {
            child: child.clone(),
            constraint: constraint.name.clone(),
            key: key.clone(),
        });
        let mut references: Vec<Arc<Reference>> = references.map(Arc::new).collect();
        // What others leave behind may be deleted by a cascade first.
        references.sort_by_key(|reference| {
            let kept = |action| matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict);
            kept(reference.key.on_delete) && kept(reference.key.on_update)
        });
        let both =
            |reference: Arc<Reference>| [(reference.clone(), Event::Delete), (reference, Event::Update)];
        Consequences { table: table.clone(), changes, rest: references.into_iter().flat_map(both).collect() }
    }

    /// The keys of a reference that no row has any more (under RESTRICT, that their rows gave up), and those that their
    /// rows have instead.
    fn keys_gone(
        &self,
        table: &Table,
        reference: &Reference,
        event: Event,
        changes: &[Change],
    ) -> Result<Vec<GoneKey>> {
        let positions: Vec<usize> =
            reference.key.referenced.iter().filter_map(|number| table.position(*number)).collect();
        let values = |row: &[Value]| positions.iter().map(|&p| row[p].clone()).collect::<Vec<Value>>();
        let mut keys = Vec::new();
        for change in changes.iter().filter(|change| change.new.is_none() == (event == Event::Delete)) {
            let old = values(&change.old);
            let new = change.new.as_deref().map(&values);
            if old.contains(&Value::Null) || new.as_ref() == Some(&old) {
                continue;
            }
            // Another row may have taken the key in the same statement; RESTRICT does not ask.
            if reference.action(event) == ReferentialAction::Restrict
                || !self
                    .shared
                    .with_transaction(|transaction| transaction.has_referenced(&reference.key, &old))?
            {
                keys.push((old, new));
            }
        }
        Ok(keys)
    }

    /// Does what a reference says about the rows that refer to these keys; what changed of what others refer to.
    async fn act(
        &mut self,
        table: &Arc<Table>,
        reference: &Reference,
        event: Event,
        keys: Vec<GoneKey>,
    ) -> Result<Vec<Change>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let action = reference.action(event);
        let child = &reference.child;
        if action == ReferentialAction::NoAction {
            let gone = keys.iter().map(|(old, _)| old.clone()).collect();
            if self.defer_gone(child, &reference.constraint, &reference.key, gone) {
                return Ok(Vec::new());
            }
        }
        let old: Vec<Vec<Value>> = keys.iter().map(|(old, _)| old.clone()).collect();
        let found = loop {
            let columns = &reference.key.columns;
            let found = self.shared.with_transaction(|t| t.referring(child.oid, columns, &old))?;
            let Some(first) = found.first() else { return Ok(Vec::new()) };
            if matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict) {
                return Err(reference.still_referenced(table, &old[first.key]));
            }
            let slots: Vec<u32> = found.iter().map(|row| row.slot).collect();
            match self.retry(|transaction| transaction.lock_rows(child.oid, &slots)).await? {
                LockOutcome::Locked => break found,
                LockOutcome::Restart => self.start_statement()?,
            }
        };
        let mut changed = self.nothing_changed(child, None);
        // A key that goes takes its rows along, or each of them gets another one.
        let is_deleted = action == ReferentialAction::Cascade && event == Event::Delete;
        let new = if is_deleted { None } else { Some(NewKeys::of(self, reference, action, &keys)?) };
        let mut locked = Locked::of(child, !is_deleted);
        let (mut size, mut rest) = (Size::beginning(0), &found[..]);
        while !rest.is_empty() {
            self.cancel.check()?;
            let part;
            (part, rest) = size.split(rest);
            let slots: Vec<u32> = part.iter().map(|row| row.slot).collect();
            let (old, bytes) = locked.read(self, &slots)?;
            size.learn(old.len(), bytes);
            match &new {
                None => {
                    self.retry(|transaction| transaction.delete(child.oid, &slots)).await?;
                    old.iter().for_each(|old| changed.follow(old, None));
                }
                Some(new) => {
                    let rows = part.iter().zip(&old).map(|(row, old)| new.row(self, table, row.key, old));
                    let mut rows = rows.collect::<Result<Vec<_>>>()?;
                    new.checks.verify(&mut rows, &mut || self.plain_execution(&[], &[]))?;
                    self.write_versions(child, &slots, &old, rows, true, &mut changed).await?;
                }
            }
        }
        self.all_there(child, &mut changed).await?;
        Ok(changed.changes())
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

/// What an action that keeps the referring rows makes of them.
struct NewKeys<'k> {
    reference: &'k Reference,
    action: ReferentialAction,
    /// Keys that went, and those that came instead.
    keys: &'k [GoneKey],
    defaults: Vec<DefaultValue>,
    checks: Checks,
}

impl<'k> NewKeys<'k> {
    fn of(
        session: &Session,
        reference: &'k Reference,
        action: ReferentialAction,
        keys: &'k [GoneKey],
    ) -> Result<NewKeys<'k>> {
        let defaults = session.defaults_of(&reference.child, &reference.key)?;
        let checks = session.checks_of(&reference.child)?;
        Ok(NewKeys { reference, action, keys, defaults, checks })
    }

    /// A row that refers to the key of this number, with another key. 23503 where that is the same one.
    fn row(&self, session: &Session, table: &Table, number: usize, old: &[Value]) -> Result<Vec<Value>> {
        let child = &self.reference.child;
        let (gone, came) = &self.keys[number];
        let mut new = old.to_vec();
        for (place, column) in self.reference.key.columns.iter().enumerate() {
            let Some(position) = child.position(*column) else { continue };
            let ty = &child.columns[position].ty;
            let set = &self.reference.key.set_on_delete;
            if came.is_none() && !set.is_empty() && !set.contains(column) {
                continue;
            }
            new[position] = match (self.action, came) {
                (ReferentialAction::Cascade, Some(came)) => cast(came[place].clone(), ty, false)?,
                (ReferentialAction::SetDefault, _) => {
                    let execution = &mut || session.plain_execution(&[], &[]);
                    self.defaults[place].take(ty, &session.shared, execution)?
                }
                _ => Value::Null,
            };
        }
        match new == old {
            // The default is the key that goes.
            true => Err(self.reference.still_referenced(table, gone)),
            false => Ok(new),
        }
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
