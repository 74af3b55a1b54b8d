//! Tables, indexes and sequences come and go, inside transactions.
//!
//! DDL is catalogue edits: logged when the statement runs, visible to the transaction at once and to others with its
//! commit. A table that is changed is locked against writers; names that are taken are locked as keys, so that two
//! transactions cannot create the same one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roaring::RoaringBitmap;

use crate::catalog::{
    self, Catalog, ConstraintKind, Edit, Index, IndexMethod, Object, Oid, Relation, Sequence, Table,
};
use crate::database::apply::unique_key;
use crate::database::progress::BuildProgress;
use crate::database::transaction::{Stop, Transaction, duplicate_key};
use crate::database::work::{CHUNK_BYTES, no_table};
use crate::distance::Element;
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::index::Finder;
use crate::index::hnsw::check_elements;
use crate::locks::{Mode, Resource};
use crate::table::Snapshot;
use crate::table::keys::{UniqueKey, check_length};
use crate::table::layer::Place;
use crate::table::overlay::Overlay;
use crate::table::state::params;
use crate::types::Value;

/// Key locks of names are those of an index no table has.
pub(super) const NAMES: Oid = 0;

impl Transaction {
    /// A new oid, for an object of a definition that the caller makes.
    pub fn new_oid(&mut self) -> Oid {
        self.core.new_oid()
    }

    /// Creates the table with the unique indexes of its PRIMARY KEY and UNIQUE constraints (named as they are) and
    /// the sequences that go with it. All oids come from [`Transaction::new_oid`]; `storage` is assigned here.
    pub fn create_table(&mut self, mut table: Table, sequences: Vec<Sequence>) -> Result<(), Stop> {
        table.storage = self.core.new_storage().0;
        let mut edits: Vec<Edit> = sequences.into_iter().map(|s| Edit::Put(Object::Sequence(s))).collect();
        let indexes: Vec<Index> = table
            .constraints
            .iter()
            .filter_map(|constraint| constraint_index(&table, constraint, self.core.new_oid()))
            .collect();
        edits.push(Edit::Put(Object::Table(table)));
        edits.extend(indexes.into_iter().map(|index| Edit::Put(Object::Index(index))));
        self.take_names(&edits)?;
        Ok(self.edit(&edits)?)
    }

    /// Drops the table, its indexes and the sequences it owns.
    pub fn drop_table(&mut self, table: Oid) -> Result<(), Stop> {
        self.lock_table(table)?;
        let catalog = self.catalog();
        let indexes = catalog.indexes_of(table).map(|index| index.oid);
        let sequences = catalog.sequences_owned_by(table).map(|sequence| sequence.oid);
        let edits: Vec<Edit> = indexes.chain(sequences).chain([table]).map(Edit::Delete).collect();
        Ok(self.edit(&edits)?)
    }

    /// Adds a PRIMARY KEY or UNIQUE constraint with its index, or a CHECK the caller has verified.
    pub fn add_constraint(&mut self, table: Oid, constraint: catalog::Constraint) -> Result<(), Stop> {
        self.lock_table(table)?;
        let mut definition = Table::clone(self.table_definition(table)?);
        let index = constraint_index(&definition, &constraint, self.core.new_oid());
        if let ConstraintKind::PrimaryKey { columns } = &constraint.kind {
            for number in columns {
                if let Some(position) = definition.position(*number) {
                    definition.columns[position].not_null = true;
                }
            }
        }
        definition.constraints.push(constraint);
        let put = Edit::Put(Object::Table(definition));
        match index {
            None => Ok(self.edit(&[put])?),
            Some(index) => {
                let edits = [put, Edit::Put(Object::Index(index.clone()))];
                self.take_names(&edits[1..])?;
                let keys = self.unique_keys_of(&index, &BuildProgress::default())?;
                self.edit(&edits)?;
                self.keep_built(&index, keys)
            }
        }
    }

    /// Creates and builds an index over what this transaction sees: graphs and lists with all build threads, unique keys
    /// with a check for duplicates (23505). Inverted indexes are built when the transaction is published; other methods are
    /// answered by metadata indexes.
    pub fn create_index(&mut self, index: Index) -> Result<(), Stop> {
        self.create_index_with(index, &BuildProgress::default())
    }

    /// [`Transaction::create_index`] while others look, and with a flag that ends it (57014).
    pub fn create_index_with(&mut self, index: Index, progress: &BuildProgress) -> Result<(), Stop> {
        self.lock_table(index.table)?;
        let edits = [Edit::Put(Object::Index(index.clone()))];
        self.take_names(&edits)?;
        let keys = index.unique.then(|| self.unique_keys_of(&index, progress)).transpose()?;
        let graph = match index.method {
            IndexMethod::Hnsw | IndexMethod::Ivfflat => Some(self.build_finder(&index, progress)?),
            IndexMethod::Btree
            | IndexMethod::Bitmap
            | IndexMethod::Hash
            | IndexMethod::Gin
            | IndexMethod::Gist => None,
        };
        self.edit(&edits)?;
        self.work().graphs.extend(graph.map(|graph| (index.oid, Arc::new(graph))));
        match keys {
            Some(keys) => self.keep_built(&index, keys),
            None => Ok(()),
        }
    }

    /// This transaction goes on with the keys of an index that it has made.
    fn keep_built(&mut self, index: &Index, keys: Overlay) -> Result<(), Stop> {
        self.writer(index.table)?.keep_built(index.oid, keys);
        Ok(())
    }

    /// Drops an index with the hidden columns that no other one is on.
    pub fn drop_index(&mut self, index: Oid) -> Result<(), Stop> {
        let catalog = self.catalog();
        let definition = catalog.index_by_oid(index).ok_or_else(|| no_table(index))?;
        self.lock_table(definition.table)?;
        let mut table = Table::clone(self.table_definition(definition.table)?);
        let catalog = self.catalog();
        let others = catalog.indexes_of(table.oid).filter(|other| other.oid != index);
        let mut edits = vec![Edit::Delete(index)];
        let hidden = table.drop_unused_hidden(others.map(|other| &**other));
        if table.forget_index(index) || hidden {
            edits.push(Edit::Put(Object::Table(table)));
        }
        Ok(self.edit(&edits)?)
    }

    /// Builds the index `old` anew under another oid, whose graph or lists take the old one's place when the transaction
    /// commits; false when there is no such index any more. Keys of a unique index are part of each commit; they are
    /// verified, and stay.
    pub fn rebuild_index(&mut self, old: Oid, oid: Oid, progress: &BuildProgress) -> Result<bool, Stop> {
        self.lock_table(progress.table)?;
        // As it is now that nobody can change it.
        let Some(index) = self.catalog_ref().index_by_oid(old) else { return Ok(false) };
        let new = Index { oid, ..Index::clone(index) };
        if new.vector_metric().is_none() {
            return match new.unique {
                true => Ok(self.unique_keys_of(&new, progress).map(|_| true)?),
                false => Ok(true),
            };
        }
        let graph = self.build_finder(&new, progress)?;
        let mut edits = vec![Edit::Delete(old)];
        let mut table = Table::clone(self.table_definition(new.table)?);
        if table.renumber_index(old, oid) {
            edits.push(Edit::Put(Object::Table(table)));
        }
        edits.push(Edit::Put(Object::Index(new)));
        self.edit(&edits)?;
        self.work().graphs.push((oid, Arc::new(graph)));
        Ok(true)
    }

    /// Gives rows their values in hidden columns (by number) that this transaction has added to the table, which it has
    /// locked: (slot, values in order of `columns`). The rows are those of the statement's snapshot; under REPEATABLE
    /// READ that is the newest state or nothing: 40001.
    pub fn fill(&mut self, table: Oid, columns: &[u16], rows: &[(u32, Vec<Value>)]) -> Result<(), Stop> {
        self.admit(table)?;
        self.check_newest(table)?;
        let definition = self.table_definition(table)?;
        let positions: Vec<usize> =
            columns.iter().filter_map(|number| definition.position(*number)).collect();
        if positions.len() != columns.len() {
            return Err(Error::internal("columns to fill that the table does not have").into());
        }
        self.writer(table)?.fill(&positions, rows)?;
        Ok(self.log_chunks(CHUNK_BYTES)?)
    }

    /// 40001 when somebody has changed the table's rows since this statement's snapshot.
    fn check_newest(&self, table: Oid) -> Result<()> {
        if self.files(table)?.state().changes.since(self.snapshot_seq()).is_none() {
            return Ok(());
        }
        Err(Error::concurrent_update())
    }

    /// Drops a constraint and the index that backs it.
    pub fn drop_constraint(&mut self, table: Oid, constraint: Oid) -> Result<(), Stop> {
        self.lock_table(table)?;
        let catalog = self.catalog();
        let mut definition = Table::clone(self.table_definition(table)?);
        definition.constraints.retain(|other| other.oid != constraint);
        if let Some(index) = catalog.index_of_constraint(constraint) {
            definition.forget_index(index.oid);
        }
        let mut edits = vec![Edit::Put(Object::Table(definition))];
        edits.extend(catalog.index_of_constraint(constraint).map(|index| Edit::Delete(index.oid)));
        Ok(self.edit(&edits)?)
    }

    /// Empties the table: it gets new files.
    pub fn truncate(&mut self, table: Oid) -> Result<(), Stop> {
        self.lock_table(table)?;
        let mut definition = Table::clone(self.table_definition(table)?);
        definition.storage = self.core.new_storage().0;
        Ok(self.edit(&[Edit::Put(Object::Table(definition))])?)
    }

    /// Puts the table under another definition with new files, which are empty; the caller fills them with what the old
    /// ones held. Under REPEATABLE READ that is the newest state or nothing: 40001.
    pub fn rewrite_table(&mut self, mut definition: Table) -> Result<(), Stop> {
        self.lock_table(definition.oid)?;
        self.check_newest(definition.oid)?;
        definition.storage = self.core.new_storage().0;
        Ok(self.edit(&[Edit::Put(Object::Table(definition))])?)
    }

    /// Changes definitions as they are: renames, defaults, comments, NOT NULL, new columns at the end, schemas,
    /// sequences. Takes the lock of every table it touches. What has files of its own goes through the calls above.
    pub fn edit_catalog(&mut self, edits: Vec<Edit>) -> Result<(), Stop> {
        let known = self.catalog();
        for edit in &edits {
            match edit {
                Edit::Put(Object::Table(table)) => self.lock_table(table.oid)?,
                Edit::Put(Object::Index(index)) => self.lock_table(index.table)?,
                Edit::Put(
                    Object::Sequence(_)
                    | Object::Schema(_)
                    | Object::View(_)
                    | Object::Function(_)
                    | Object::Enum(_)
                    | Object::Composite(_)
                    | Object::Range(_)
                    | Object::Domain(_)
                    | Object::Extension(_),
                )
                | Edit::Delete(_) => {}
            }
        }
        self.check_current(&known, &edits)?;
        self.take_names(&edits)?;
        Ok(self.edit(&edits)?)
    }

    /// The sequence's next value; never rolled back. 2200H when it is exhausted.
    pub fn nextval(&mut self, sequence: Oid) -> Result<i64> {
        self.core.healthy()?;
        self.used_sequence = true;
        self.core.sequences.next(self.sequence(sequence)?, &*self.core.log)
    }

    /// What nextval returned last in any session, and whether it was ever called: `last_value`, `is_called`.
    pub fn sequence_state(&self, sequence: Oid) -> Result<(i64, bool)> {
        Ok(self.core.sequences.state(self.sequence(sequence)?))
    }

    /// `is_called`: whether the next nextval returns the value after this one.
    pub fn setval(&mut self, sequence: Oid, value: i64, is_called: bool) -> Result<()> {
        self.core.healthy()?;
        self.used_sequence = true;
        self.core.sequences.set(self.sequence(sequence)?, value, is_called, &*self.core.log)
    }

    fn sequence(&self, oid: Oid) -> Result<&Sequence> {
        self.catalog_ref().sequence_by_oid(oid).map(|sequence| &**sequence).ok_or_else(|| no_table(oid))
    }

    fn table_definition(&self, oid: Oid) -> Result<&Table> {
        self.catalog_ref().table_by_oid(oid).map(|table| &**table).ok_or_else(|| no_table(oid))
    }

    /// Keeps everybody else from changing rows or definition until this transaction ends. Goes on with the newest
    /// definitions; a table dropped meanwhile is 42P01.
    pub fn lock_table(&mut self, table: Oid) -> Result<(), Stop> {
        let txn = self.work().txn;
        if let Some(waiter) = self.core.locks.table(txn, table, Mode::Exclusive)? {
            return Err(Stop::Wait(waiter));
        }
        self.start_ddl();
        self.table_definition(table)?;
        Ok(())
    }

    /// Keeps everybody else from changing the table's definition, not its rows, until this transaction ends.
    pub fn share_table(&mut self, table: Oid) -> Result<(), Stop> {
        let txn = self.work().txn;
        if let Some(waiter) = self.core.locks.table(txn, table, Mode::Shared)? {
            return Err(Stop::Wait(waiter));
        }
        self.start_locked();
        self.table_definition(table)?;
        Ok(())
    }

    /// Keeps others from changing the types that CREATE TYPE made until the end of the transaction. A lock for each would
    /// not do: a definition is in those of the types that have fields of it, and is put with them.
    pub fn lock_types(&mut self) -> Result<(), Stop> {
        let txn = self.work().txn;
        let resource = Resource::key(NAMES, b"types");
        if let Some(waiter) = self.core.locks.exclusive(txn, [resource])? {
            return Err(Stop::Wait(waiter));
        }
        self.start_ddl();
        Ok(())
    }

    /// Refuses edits that were made from definitions somebody changed before the lock was ours. Who takes
    /// [`Transaction::lock_table`] before reading the definition never meets this.
    fn check_current(&self, known: &Catalog, edits: &[Edit]) -> Result<()> {
        for oid in edits.iter().map(Edit::oid) {
            let changed = match (known.table_by_oid(oid), self.catalog_ref().table_by_oid(oid)) {
                (Some(known), Some(now)) => known != now,
                (known, now) => known.is_some() != now.is_some(),
            };
            if changed {
                return Err(Error::concurrent_update()
                    .detail("Another transaction has changed the definition.")
                    .hint("Run the statement again."));
            }
        }
        Ok(())
    }

    /// Locks the names of new and renamed relations and refuses those that exist (42P07).
    fn take_names(&mut self, edits: &[Edit]) -> Result<(), Stop> {
        let txn = self.work().txn;
        let catalog = self.catalog();
        let next = catalog.apply(edits);
        let mut names = Vec::new();
        for edit in edits {
            let Edit::Put(object) = edit else { continue };
            let parts = match object {
                Object::Table(table) => table.partitions(),
                _ => &[],
            };
            let parts = parts.iter().flat_map(|part| {
                let own = part.indexes.iter().map(|index| (index.oid, &index.name));
                let named = std::iter::once((part.oid, &part.name)).chain(own);
                named.map(|(oid, name)| (oid, (part.schema.clone(), name.clone())))
            });
            let own = name_of(object, &next).map(|name| (object.oid(), name));
            for (oid, name) in own.into_iter().chain(parts) {
                if name_of_oid(&catalog, oid).as_ref() != Some(&name) {
                    names.push(name);
                }
            }
        }
        let resources =
            names.iter().map(|(schema, name)| Resource::key(NAMES, format!("{schema}.{name}").as_bytes()));
        if let Some(waiter) = self.core.locks.exclusive(txn, resources)? {
            return Err(Stop::Wait(waiter));
        }
        self.start_ddl();
        for (schema, name) in &names {
            if self.catalog_ref().relation(schema, name).is_some() {
                let message = format!("relation \"{name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_TABLE, message).into());
            }
            let mut functions = self.catalog_ref().functions().filter(|known| known.schema == *schema);
            if let Some(function) = functions.find(|function| function.signature() == *name) {
                let message =
                    format!("function \"{}\" already exists with same argument types", function.name);
                return Err(Error::new(SqlState("42723"), message).into());
            }
        }
        Ok(())
    }

    /// The keys of the rows this transaction sees; 23505 where two have the same.
    fn unique_keys_of(&mut self, index: &Index, progress: &BuildProgress) -> Result<Overlay> {
        let snapshot = self.newest_snapshot(index.table)?;
        let tree = self.files(index.table)?.tree().clone();
        let unique = UniqueKey::of(index, snapshot.definition());
        let mut keys = Overlay::new();
        progress.start(snapshot.visible_set()?.len(), 0);
        for entry in snapshot.scan() {
            check_cancel(progress.cancel())?;
            progress.done().fetch_add(1, Ordering::Relaxed);
            let (slot, row) = entry?;
            let reader = snapshot.layout().read(&row)?;
            let Some(key) = unique_key(&unique, &reader)? else { continue };
            check_length(&key)?;
            if keys.bytes() > self.core.options.overlay_bytes_max {
                keys.spill(&tree, Place::Here)?;
            }
            if !keys.add_key(&key, slot)? {
                let catalog = self.catalog_ref().apply(&[Edit::Put(Object::Index(index.clone()))]);
                let mut error = duplicate_key(snapshot.definition(), &catalog, index.oid, &reader.values()?);
                let fields = error.fields();
                let detail =
                    fields.detail.as_deref().unwrap_or_default().replace("already exists", "is duplicated");
                let message = format!("could not create unique index \"{}\"", index.name);
                error = Error::new(SqlState::UNIQUE_VIOLATION, message)
                    .detail(detail)
                    .table(&snapshot.definition().schema, &snapshot.definition().name)
                    .constraint(&index.name);
                return Err(error);
            }
        }
        Ok(keys)
    }

    fn build_finder(&mut self, index: &Index, progress: &BuildProgress) -> Result<Finder> {
        let params = params(index).ok_or_else(|| Error::internal("a vector index without options"))?;
        let [column] = index.columns[..] else {
            return Err(Error::unsupported("a vector index of several columns"));
        };
        let snapshot = self.newest_snapshot(index.table)?;
        let slots = match index.guard() {
            None => snapshot.visible_set()?,
            Some(guard) => Arc::new(members(&snapshot, guard, progress.cancel())?),
        };
        let view = snapshot.vector_view(column)?;
        if view.element() == Element::Sparse {
            let mut filled = slots.iter().filter(|slot| !view.is_null(*slot));
            filled.try_for_each(|slot| check_elements(view.get(slot)))?;
        }
        progress.start(slots.len(), slots.len() * view.element().bytes(view.dimensions()) as u64);
        let core = &self.core;
        let threads = progress.helpers.map_or(usize::MAX, |helpers| helpers.saturating_add(1));
        snapshot.refuse_damaged(&view)?;
        let room = core.generations.room();
        let room = progress.memory_max.map_or_else(|| room.clone(), |bytes| room.part(bytes));
        let finder = Finder::build(
            params,
            &room,
            &view,
            &slots,
            threads.min(core.options.build_threads),
            progress.done(),
            progress.cancel(),
        )?;
        view.refuse_unread()?;
        // What comes later is no part of the build.
        room.widen();
        progress.set_fitted(finder.fitted());
        Ok(finder)
    }
}

/// The visible rows in which a boolean column (by number) is true.
fn members(snapshot: &Snapshot, guard: u16, cancel: &AtomicBool) -> Result<RoaringBitmap> {
    let position = snapshot.definition().position(guard);
    let position = position.ok_or_else(|| Error::internal("a partial index without its column"))?;
    let mut members = RoaringBitmap::new();
    for entry in snapshot.scan() {
        check_cancel(cancel)?;
        let (slot, row) = entry?;
        if snapshot.layout().read(&row)?.value(position)? == Value::Bool(true) {
            members.insert(slot);
        }
    }
    Ok(members)
}

/// The index that backs a PRIMARY KEY or UNIQUE constraint.
fn constraint_index(table: &Table, constraint: &catalog::Constraint, oid: Oid) -> Option<Index> {
    let (columns, nulls_equal) = match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } => (columns.clone(), false),
        ConstraintKind::Unique { columns, nulls_equal } => (columns.clone(), *nulls_equal),
        ConstraintKind::Check { .. } | ConstraintKind::NotNull { .. } | ConstraintKind::ForeignKey(_) => {
            return None;
        }
    };
    Some(Index {
        oid,
        name: constraint.name.clone(),
        table: table.oid,
        method: IndexMethod::Btree,
        columns,
        included: constraint.included.clone(),
        orders: Vec::new(),
        options: Vec::new(),
        opclasses: Vec::new(),
        unique: true,
        constraint: Some(constraint.oid),
        hnsw: None,
        predicate: None,
        nulls_equal,
        ivfflat: None,
        ..Index::default()
    })
}

/// (schema, name) of a relation.
fn name_of(object: &Object, catalog: &Catalog) -> Option<(String, String)> {
    match object {
        Object::Table(table) => Some((table.schema.clone(), table.name.clone())),
        Object::Sequence(sequence) => Some((sequence.schema.clone(), sequence.name.clone())),
        Object::Index(index) => Some((catalog.schema_of_index(index).to_owned(), index.name.clone())),
        Object::View(view) => Some((view.schema.clone(), view.name.clone())),
        // Functions differ in their arguments.
        Object::Function(function) => Some((function.schema.clone(), function.signature())),
        Object::Enum(of) => Some((of.definition.schema.clone(), of.definition.name.clone())),
        Object::Composite(of) => Some((of.definition.schema.clone(), of.definition.name.clone())),
        Object::Range(of) => Some((of.definition.schema.clone(), of.definition.name.clone())),
        Object::Domain(domain) => Some((domain.schema.clone(), domain.name.clone())),
        // In no schema, as their names are in none.
        Object::Extension(extension) => Some((String::new(), extension.name.clone())),
        Object::Schema(_) => None,
    }
}

fn name_of_oid(catalog: &Catalog, oid: Oid) -> Option<(String, String)> {
    if let Some(function) = catalog.function_by_oid(oid) {
        return Some((function.schema.clone(), function.signature()));
    }
    if let Some((schema, of)) = catalog.own_types().find(|(_, of)| of.oid() == oid) {
        return Some((schema.to_owned(), of.catalog_name()));
    }
    match catalog.relation_by_oid(oid)? {
        Relation::Table(table) | Relation::Partition(table) => {
            Some((table.schema.clone(), table.name.clone()))
        }
        Relation::Sequence(sequence) => Some((sequence.schema.clone(), sequence.name.clone())),
        Relation::View(view) => Some((view.schema.clone(), view.name.clone())),
        Relation::Index(index) | Relation::PartitionIndex(index) => {
            Some((catalog.schema_of_index(&index).to_owned(), index.name.clone()))
        }
    }
}
