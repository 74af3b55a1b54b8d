//! Foreign keys: does the row that is referred to exist, and who refers to a row.
//!
//! ```text
//!   insert child ──> share the parent's key ──> look it up in the newest state      23503 when it is not there
//!   delete parent ─> (its keys are locked) ───> rows of children, newest state      the caller does ON DELETE
//! ```
//!
//! A child shares the lock of the key it refers to, and whoever deletes that key has it exclusively: so one of the two
//! waits for the other and then sees what it did. Both look at the newest state, whatever their snapshots.

use std::collections::{HashMap, HashSet};

use crate::catalog::{Catalog, ForeignKey, Index, Oid, Table};
use crate::database::transaction::{Stop, Transaction};
use crate::database::work::no_table;
use crate::error::{Error, Result, SqlState};
use crate::index::bitmap::Predicate;
use crate::locks::Resource;
use crate::log::Seq;
use crate::table::keys::UniqueKey;
use crate::types::{Value, cast, citext};

/// A row that refers to one of the keys asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referring {
    pub slot: u32,
    /// Which of the keys.
    pub key: usize,
}

impl Transaction {
    /// Checks the foreign keys of new rows of a table: what they refer to exists and cannot go before this transaction
    /// ends. Only those constraints that are `wanted`, by oid.
    pub fn check_references(
        &mut self,
        table: Oid,
        rows: &[Vec<Value>],
        wanted: &dyn Fn(Oid) -> bool,
    ) -> Result<(), Stop> {
        let catalog = self.catalog();
        let definition = catalog.table_by_oid(table).ok_or_else(|| no_table(table))?.clone();
        for (constraint, key) in definition.foreign_keys().filter(|(constraint, _)| wanted(constraint.oid)) {
            if key.full {
                refuse_mixed(&definition, &constraint.name, key, rows)?;
            }
            let wanted = wanted_keys(&catalog, &definition, key, rows)?;
            if wanted.is_empty() {
                continue;
            }
            let index = referenced_index(&catalog, key)?;
            let txn = self.work().txn;
            let resources = wanted.keys().map(|bytes| Resource::key(index.oid, bytes));
            if let Some(waiter) = self.core.locks.shared(txn, resources)? {
                return Err(Stop::Wait(waiter));
            }
            for (bytes, row) in &wanted {
                if !self.key_exists(key.table, bytes)? {
                    return Err(not_present(&catalog, &definition, &constraint.name, key, &rows[*row]).into());
                }
            }
        }
        Ok(())
    }

    /// Whether a row has the key of a unique index now: by this transaction's writes, else by the newest commit.
    fn key_exists(&self, table: Oid, key: &[u8]) -> Result<bool> {
        let files = self.files(table)?;
        let writer = self.work.as_ref().and_then(|work| work.writers.get(&files.storage()));
        match writer {
            Some(writer) => Ok(writer.owner(key)?.is_some()),
            None => Ok(files.tree().get(key, Seq(u64::MAX))?.is_some()),
        }
    }

    /// Whether a row of the referenced table has these values in the referenced columns now.
    pub fn has_referenced(&self, key: &ForeignKey, values: &[Value]) -> Result<bool> {
        let catalog = self.catalog();
        let index = referenced_index(&catalog, key)?;
        let parent = catalog.table_by_oid(key.table).ok_or_else(|| no_table(key.table))?;
        match key_bytes(&index, parent, key, values)? {
            Some(bytes) => self.key_exists(key.table, &bytes),
            None => Ok(false),
        }
    }

    /// Rows of `table`, as of now, whose columns equal one of the keys (values in order of `columns`).
    pub fn referring(&self, table: Oid, columns: &[u16], keys: &[Vec<Value>]) -> Result<Vec<Referring>> {
        let snapshot = self.newest_snapshot(table)?;
        let definition = snapshot.definition().clone();
        let positions: Vec<usize> =
            columns.iter().filter_map(|number| definition.position(*number)).collect();
        let mut wanted: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut first: Vec<Value> = Vec::with_capacity(keys.len());
        for (number, key) in keys.iter().enumerate() {
            let mut bytes = Vec::new();
            for (value, position) in key.iter().zip(&positions) {
                let ty = &definition.columns[*position].ty;
                let value = citext::folded(&cast::cast(value.clone(), ty, false)?, ty).into_owned();
                crate::codec::key::encode_one(&value, &mut bytes);
                if first.len() == number {
                    first.push(value);
                }
            }
            wanted.insert(bytes, number);
        }
        let mut found = Vec::new();
        let mut look = |slot: u32, row: &[u8]| -> Result<()> {
            let reader = snapshot.layout().read(row)?;
            let mut bytes = Vec::new();
            for &position in &positions {
                match reader.value(position)? {
                    Value::Null => return Ok(()),
                    value => {
                        let ty = &definition.columns[position].ty;
                        crate::codec::key::encode_one(&citext::folded(&value, ty), &mut bytes);
                    }
                }
            }
            found.extend(wanted.get(&bytes).map(|&key| Referring { slot, key }));
            Ok(())
        };
        match columns.first().and_then(|&column| snapshot.select(column, &Predicate::In(first))) {
            Some(mut slots) => {
                slots |= &*snapshot.visible_dirty()?;
                for slot in slots {
                    if let Some(row) = snapshot.row(slot)? {
                        look(slot, &row)?;
                    }
                }
            }
            None => {
                for entry in snapshot.scan() {
                    let (slot, row) = entry?;
                    look(slot, &row)?;
                }
            }
        }
        Ok(found)
    }
}

/// The keys that rows refer to, each with a row that does.
fn wanted_keys(
    catalog: &Catalog,
    table: &Table,
    key: &ForeignKey,
    rows: &[Vec<Value>],
) -> Result<HashMap<Vec<u8>, usize>> {
    let index = referenced_index(catalog, key)?;
    let parent = catalog.table_by_oid(key.table).ok_or_else(|| no_table(key.table))?;
    let positions: Vec<usize> = key.columns.iter().filter_map(|number| table.position(*number)).collect();
    let mut wanted = HashMap::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    for (number, row) in rows.iter().enumerate() {
        let values: Vec<Value> = positions.iter().map(|&position| row[position].clone()).collect();
        if let Some(bytes) = key_bytes(&index, parent, key, &values)?
            && seen.insert(bytes.clone())
        {
            wanted.insert(bytes, number);
        }
    }
    Ok(wanted)
}

/// 23503 for a row of which MATCH FULL finds a part of the key.
fn refuse_mixed(table: &Table, constraint: &str, key: &ForeignKey, rows: &[Vec<Value>]) -> Result<()> {
    let positions: Vec<usize> = key.columns.iter().filter_map(|number| table.position(*number)).collect();
    let nulls = |row: &Vec<Value>| positions.iter().filter(|&&position| row[position] == Value::Null).count();
    match rows.iter().map(nulls).any(|nulls| nulls > 0 && nulls < positions.len()) {
        true => Err(mixed(table, constraint)),
        false => Ok(()),
    }
}

/// What MATCH FULL says of a key that is NULL in a part.
pub fn mixed(table: &Table, constraint: &str) -> Error {
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{constraint}\"",
        table.name
    );
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .detail("MATCH FULL does not allow mixing of null and nonnull key values.")
        .table(&table.schema, &table.name)
        .constraint(constraint)
}

/// The key in the referenced index, of values in order of the foreign key's columns; none when one is NULL.
fn key_bytes(index: &Index, parent: &Table, key: &ForeignKey, values: &[Value]) -> Result<Option<Vec<u8>>> {
    if values.contains(&Value::Null) {
        return Ok(None);
    }
    let mut ordered = Vec::with_capacity(values.len());
    for number in &index.columns {
        let place = key.referenced.iter().position(|column| column == number);
        let (Some(place), Some(column)) = (place, parent.column_number(*number)) else {
            return Err(Error::internal("a foreign key without its index"));
        };
        let value = cast::cast(values[place].clone(), &column.ty, false)?;
        ordered.push(citext::folded(&value, &column.ty).into_owned());
    }
    let unique = UniqueKey::of_values(index.oid, ordered.len());
    Ok(unique.key(|column| &ordered[column]))
}

fn referenced_index(catalog: &Catalog, key: &ForeignKey) -> Result<std::sync::Arc<Index>> {
    let index = catalog.unique_index_on(key.table, &key.referenced).cloned();
    index.ok_or_else(|| Error::internal("a foreign key refers to columns without a unique index"))
}

/// PostgreSQL's words.
fn not_present(catalog: &Catalog, table: &Table, constraint: &str, key: &ForeignKey, row: &[Value]) -> Error {
    let parent = catalog.table_by_oid(key.table).map_or("", |parent| parent.name.as_str());
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{constraint}\"",
        table.name
    );
    let positions: Vec<usize> = key.columns.iter().filter_map(|number| table.position(*number)).collect();
    let names: Vec<&str> = positions.iter().map(|&position| table.columns[position].name.as_str()).collect();
    let values: Vec<String> =
        positions.iter().map(|&position| crate::types::text::to_string(&row[position])).collect();
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .detail(format!(
            "Key ({})=({}) is not present in table \"{parent}\".",
            names.join(", "),
            values.join(", ")
        ))
        .table(&table.schema, &table.name)
        .constraint(constraint)
}
