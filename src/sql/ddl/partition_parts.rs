//! What belongs to one partition: indexes by names of their own, defaults.
//!
//! The parent's index has the rows of all partitions. A partition's index is a name for it, as PostgreSQL makes one for
//! each partition; dumps name them one by one, the parent's with ONLY before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{
    Catalog, ConstraintKind as StoredKind, DefaultExpr, Index, Oid, PartitionIndex, Relation, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::attach::same_index;
use crate::sql::ddl::index::{column_names, definition};
use crate::sql::ddl::names::Namer;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{AlterAction, AlterTable, ConstraintKind, CreateIndex, Name, TableConstraint};
use crate::sql::storage_parameters;
use crate::sql::system::qualified;

impl Session {
    /// Gives partitions names for the parent's indexes that they have none for: for one index or all, in one partition
    /// or all.
    pub(super) async fn name_indexes(
        &mut self,
        parent: Oid,
        index: Option<Oid>,
        part: Option<Oid>,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(parent) = catalog.table_by_oid(parent).filter(|table| table.is_partitioned()) else {
            return Ok(());
        };
        let of: Vec<&Arc<Index>> =
            catalog.indexes_of(parent.oid).filter(|of| index.is_none_or(|wanted| wanted == of.oid)).collect();
        let mut altered = (**parent).clone();
        let mut namers: BTreeMap<String, Namer> = BTreeMap::new();
        let mut any = false;
        for partition in altered.partitions_mut() {
            if part.is_some_and(|wanted| wanted != partition.oid) {
                continue;
            }
            for of in &of {
                if partition.indexes.iter().any(|known| known.of == of.oid) {
                    continue;
                }
                let schema = catalog.rows_by_oid(partition.oid).map_or("", |table| table.schema.as_str());
                let namer =
                    namers.entry(partition.schema.clone()).or_insert_with(|| Namer::new(&catalog, schema));
                let name = name_for(namer, &partition.name, of, parent);
                partition.indexes.push(PartitionIndex { oid: self.new_oid()?, name, of: of.oid });
                any = true;
            }
        }
        if any { self.put(altered).await } else { Ok(()) }
    }

    /// CREATE INDEX on a partition: a name for the parent's index that says the same.
    pub(super) async fn create_part_index(&mut self, part: &Table, create: &CreateIndex) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if let Some(name) = &create.name
            && catalog.relation(&part.schema, name).is_some()
        {
            return self.already_exists(name, create.if_not_exists, "CREATE INDEX");
        }
        self.retry(|transaction| transaction.lock_table(part.oid)).await?;
        let catalog = self.shared.current_catalog();
        let parent = catalog.table_by_oid(part.oid).ok_or_else(|| undefined_relation(&create.table))?;
        let wanted = {
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            definition(create, &mut (**parent).clone(), 0, &context)?
        };
        let name = match &create.name {
            Some(name) => name.clone(),
            None => Namer::new(&catalog, &part.schema).relation(
                &part.name,
                &column_names(create).join("_"),
                "idx",
            ),
        };
        let of = catalog.indexes_of(parent.oid).filter(|of| is_unnamed(parent, part, of.oid));
        match of.into_iter().find(|of| same_index(&wanted, parent, of, parent)) {
            Some(of) => self.put_part_index(parent, part, name, of.oid).await?,
            None => {
                return Err(Error::unsupported("an index of one partition alone")
                    .hint("Create it on the parent: one index serves all partitions."));
            }
        }
        Ok(done("CREATE INDEX"))
    }

    async fn put_part_index(&mut self, parent: &Table, part: &Table, name: String, of: Oid) -> Result<()> {
        let oid = self.new_oid()?;
        let index = PartitionIndex { oid, name, of };
        self.put(parent.with_partition(part.known_as(), |part| part.indexes.push(index))).await
    }

    /// ALTER INDEX ... ATTACH PARTITION: a partition's index is its parent's from the beginning.
    pub(super) fn attach_index(&mut self, index: &Name, own: &Name) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let wrong = |name: &Name| {
            Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not an index", name.name))
        };
        let of = match self.shared.relation(&catalog, index) {
            Some(Relation::Index(index)) => index,
            Some(_) => return Err(wrong(index)),
            None => return Err(undefined_relation(index)),
        };
        let found = match self.shared.relation(&catalog, own) {
            Some(Relation::PartitionIndex(found)) => found,
            Some(Relation::Index(found)) => {
                let table = catalog.table_by_oid(of.table).map_or("", |table| table.name.as_str());
                let message =
                    format!("cannot attach index \"{}\" as a partition of index \"{}\"", found.name, of.name);
                return Err(Error::new(SqlState("55000"), message).detail(format!(
                    "Index \"{}\" is not an index on any partition of table \"{table}\".",
                    found.name
                )));
            }
            Some(_) => return Err(wrong(own)),
            None => return Err(undefined_relation(own)),
        };
        let mut names = parent_of_index(&catalog, &found)?.partition_indexes();
        if names.any(|known| known.oid == found.oid && known.of == of.oid) {
            return Ok(done("ALTER INDEX"));
        }
        let message =
            format!("cannot attach index \"{}\" as a partition of index \"{}\"", found.name, of.name);
        Err(Error::new(SqlState("42P17"), message).detail("The index definitions do not match."))
    }

    /// ALTER TABLE of a partition: what can be its own.
    pub(super) async fn alter_part(&mut self, part: &Table, alter: &AlterTable) -> Result<Response> {
        self.retry(|transaction| transaction.lock_table(part.oid)).await?;
        for action in &alter.actions {
            let catalog = self.shared.current_catalog();
            let known = (catalog.rows_by_oid(part.known_as()), catalog.table_by_oid(part.oid));
            let (Some(part), Some(parent)) = known else { return Err(undefined_relation(&alter.name)) };
            let inherited = |verb: &str, column: &str| {
                let message = format!("cannot {verb} inherited column \"{column}\"");
                Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
            };
            match action {
                AlterAction::OwnerTo(owner) => self.check_owner(owner)?,
                // How PostgreSQL keeps rows is one for all partitions: the table's, which their columns show.
                AlterAction::ColumnHint { .. }
                | AlterAction::ClusterOn(_)
                | AlterAction::ReplicaIdentity(_)
                | AlterAction::Logged(_) => self.check_part_hint(parent, part, action)?,
                AlterAction::StorageParameters(changes) => {
                    self.warn_of_parameters(changes.iter().map(|(name, _)| name));
                    let changed = parent.with_partition(part.known_as(), |part| {
                        storage_parameters::change(&mut part.options, changes);
                    });
                    self.put(changed).await?;
                }
                AlterAction::SetDefault { column, default } => {
                    self.set_part_default(parent, part, column, default.as_deref()).await?;
                }
                AlterAction::AddConstraint { constraint, .. } => {
                    self.name_constraint(parent, part, constraint).await?;
                }
                AlterAction::AddColumn { .. } => {
                    let message = "cannot add column to a partition";
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                AlterAction::DropColumn { name, .. } => return inherited("drop", name),
                AlterAction::RenameColumn { name, .. } => return inherited("rename", name),
                AlterAction::SetType { column, .. } => return inherited("alter", column),
                AlterAction::Partition(_) => {
                    return Err(Error::unsupported("a partition that is partitioned"));
                }
                _ => {
                    let name = &part.name;
                    return Err(Error::unsupported(format!("this on a partition alone (\"{name}\")")));
                }
            }
        }
        Ok(done("ALTER TABLE"))
    }

    async fn set_part_default(
        &mut self,
        parent: &Table,
        part: &Table,
        column: &str,
        default: Option<&str>,
    ) -> Result<()> {
        let position = self.position(part, column)?;
        let found = &part.columns[position];
        if found.generated.is_some() || found.identity.is_some() {
            return Err(Error::unsupported("a default of an identity or generated column in one partition"));
        }
        let number = found.number;
        let default = default.map(|sql| self.fixed_default(sql)).transpose()?;
        let mut altered = part.clone();
        altered.columns[position].default.clone_from(&default);
        self.check_definition(&altered, &[])?;
        let changed = parent.with_partition(part.known_as(), |part| {
            part.defaults.retain(|(known, _)| *known != number);
            part.defaults.push((number, default));
        });
        self.put(changed).await
    }

    /// A default of a partition, which names the sequence that it draws from with its schema.
    pub(super) fn fixed_default(&self, sql: &str) -> Result<DefaultExpr> {
        let catalog = self.shared.current_catalog();
        let sequence = self.sequence_of_default(sql)?.and_then(|oid| catalog.sequence_by_oid(oid));
        Ok(match sequence {
            Some(sequence) => nextval_of(&sequence.schema, &sequence.name),
            None => DefaultExpr { sql: sql.to_owned() },
        })
    }

    /// The partitions' own defaults that draw from a sequence: (partition, column).
    pub(super) fn parts_that_draw(&self, table: &Table, sequence: Oid) -> Vec<(Oid, u16)> {
        let draws = |default: &DefaultExpr| {
            // One whose sequence is gone is no reason to stop.
            let found = default.sql.contains("nextval").then(|| self.sequence_of_default(&default.sql).ok());
            found.flatten().flatten() == Some(sequence)
        };
        let own = table.own_defaults().filter(|(_, _, default)| default.is_some_and(draws));
        own.map(|(part, column, _)| (part.oid, column.number)).collect()
    }

    /// Gives the partitions that share the parent's default of a column that default as their own.
    pub(super) fn keep_part_defaults(&self, table: &mut Table, position: usize) {
        let column = &table.columns[position];
        let (number, default) = (column.number, column.default.clone());
        let catalog = self.shared.current_catalog();
        let sequence = column.sequence.and_then(|oid| catalog.sequence_by_oid(oid));
        let default = match (default, sequence) {
            (Some(default), Some(sequence)) if default.sql.starts_with("nextval(") => {
                Some(nextval_of(&sequence.schema, &sequence.name))
            }
            (default, _) => default,
        };
        for part in table.partitions_mut() {
            if part.defaults.iter().all(|(own, _)| *own != number) {
                part.defaults.push((number, default.clone()));
            }
        }
    }

    /// A key of one partition is the parent's under another name.
    async fn name_constraint(
        &mut self,
        parent: &Table,
        part: &Table,
        constraint: &TableConstraint,
    ) -> Result<()> {
        let numbers = |names: &[String]| -> Option<Vec<u16>> {
            names.iter().map(|name| parent.column(name).map(|column| column.number)).collect()
        };
        let wanted = match &constraint.kind {
            ConstraintKind::PrimaryKey(names) => {
                numbers(names).map(|columns| StoredKind::PrimaryKey { columns })
            }
            ConstraintKind::Unique { columns, nulls_equal } => {
                numbers(columns).map(|columns| StoredKind::Unique { columns, nulls_equal: *nulls_equal })
            }
            ConstraintKind::Check { .. }
            | ConstraintKind::ForeignKey(_)
            | ConstraintKind::UsingIndex { .. } => None,
        };
        let catalog = self.shared.current_catalog();
        let known = parent.constraints.iter().filter(|known| Some(&known.kind) == wanted.as_ref());
        let mut known = known.filter_map(|known| catalog.index_of_constraint(known.oid));
        let Some(of) = known.find(|of| is_unnamed(parent, part, of.oid)) else {
            return Err(Error::unsupported("a constraint of one partition alone"));
        };
        let name = match &constraint.name {
            Some(name) => name.clone(),
            None => name_for(&mut Namer::new(&catalog, &part.schema), &part.name, of, parent),
        };
        self.put_part_index(parent, part, name, of.oid).await
    }
}

/// The default that draws from a sequence, wherever it is read.
pub fn nextval_of(schema: &str, name: &str) -> DefaultExpr {
    DefaultExpr { sql: format!("nextval('{}'::regclass)", qualified(schema, name).replace('\'', "''")) }
}

/// Sets these of the partitions' own defaults: (partition, column).
pub fn set_part_defaults(table: &mut Table, which: &[(Oid, u16)], default: Option<&DefaultExpr>) {
    for part in table.partitions_mut() {
        for (number, own) in &mut part.defaults {
            if which.contains(&(part.oid, *number)) {
                *own = default.cloned();
            }
        }
    }
}

/// The table whose partition an index is of.
pub fn parent_of_index<'c>(catalog: &'c Catalog, own: &Index) -> Result<&'c Arc<Table>> {
    let parent = catalog.parent_of_part_index(own);
    parent.ok_or_else(|| Error::internal("an index of a partition without one"))
}

/// 2BP01: the parent's index is the one to drop.
pub fn needed_by_parent(catalog: &Catalog, own: &Index) -> Error {
    let parent = catalog.parent_of_part_index(own);
    let mut names = parent.into_iter().flat_map(|parent| parent.partition_indexes());
    let of = names.find(|known| known.oid == own.oid).and_then(|known| catalog.index_by_oid(known.of));
    let of = of.map_or("", |of| of.name.as_str());
    let message = format!("cannot drop index {} because index {of} requires it", own.name);
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .hint(format!("You can drop index {of} instead."))
}

/// PostgreSQL's name for an index that nobody named.
fn name_for(namer: &mut Namer, part: &str, of: &Index, parent: &Table) -> String {
    let positions = of.columns.iter().filter_map(|number| parent.position(*number));
    let names = positions.filter_map(|position| parent.stored_column(position));
    let names = names.map(|column| column.name.as_str()).collect::<Vec<_>>().join("_");
    match of.constraint.and_then(|oid| parent.constraint(oid)).map(|constraint| &constraint.kind) {
        Some(StoredKind::PrimaryKey { .. }) => namer.relation(part, "", "pkey"),
        Some(_) => namer.relation(part, &names, "key"),
        None => namer.relation(part, &names, "idx"),
    }
}

/// Whether the partition has no name for the parent's index.
fn is_unnamed(parent: &Table, part: &Table, of: Oid) -> bool {
    let mut own = parent
        .partitions()
        .iter()
        .filter(|known| known.oid == part.known_as())
        .flat_map(|part| &part.indexes);
    own.all(|known| known.of != of)
}
