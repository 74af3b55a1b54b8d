//! ALTER TABLE about how PostgreSQL keeps a table: SET STORAGE, CLUSTER ON, REPLICA IDENTITY and their like.
//!
//! Nothing of it has an effect here, or changes an answer; it is checked as PostgreSQL checks it, and kept to be shown and
//! dumped.

use std::sync::Arc;

use crate::catalog::{
    Catalog, ConstraintKind, Edit, Index, IndexMethod, Object, Relation, ReplicaIdentity, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::hint_words::{ColumnHint, Identity};
use crate::sql::response::Severity;
use crate::sql::session::Session;
use crate::sql::statement::AlterAction;
use crate::sql::storage_parameters;
use crate::sql::system::{is_hidden, storage};

/// The largest target of statistics, as in PostgreSQL.
const STATISTICS_MAX: i64 = 10_000;

impl Session {
    pub(super) async fn set_column_hint(
        &mut self,
        table: &Table,
        name: &str,
        hint: &ColumnHint,
    ) -> Result<()> {
        let altered = self.hinted(table, name, hint)?;
        self.put(altered).await
    }

    /// The table with what is said about one of its columns.
    fn hinted(&mut self, table: &Table, name: &str, hint: &ColumnHint) -> Result<Table> {
        let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        let position = self.position(table, name)?;
        let mut altered = table.clone();
        let column = &mut altered.columns[position];
        let usual = storage(&column.ty);
        match hint {
            ColumnHint::Storage(mode) => {
                let letter = match mode.as_str() {
                    "plain" => 'p',
                    "external" => 'e',
                    "extended" => 'x',
                    "main" => 'm',
                    "default" => usual,
                    _ => return invalid(format!("invalid storage type \"{mode}\"")),
                };
                if usual == 'p' && letter != 'p' {
                    let message =
                        format!("column data type {} can only have storage PLAIN", column.ty.bare());
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                column.hints.storage = Some(letter).filter(|letter| *letter != usual);
            }
            ColumnHint::Compression(method) => {
                if usual == 'p' && method != "default" {
                    let message =
                        format!("column data type {} does not support compression", column.ty.bare());
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                column.hints.compression = match method.as_str() {
                    "default" => None,
                    "pglz" => Some('p'),
                    "lz4" => Some('l'),
                    _ => return invalid(format!("invalid compression method \"{method}\"")),
                };
            }
            ColumnHint::Statistics(target) if *target < -1 => {
                return invalid(format!("statistics target {target} is too low"));
            }
            ColumnHint::Statistics(target) => {
                let lowered = (*target).min(STATISTICS_MAX);
                if lowered < *target {
                    let message = format!("lowering statistics target to {STATISTICS_MAX}");
                    let warning = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
                    self.notice(Severity::Warning, warning);
                }
                column.hints.statistics = i32::try_from(lowered).ok().filter(|target| *target >= 0);
            }
            ColumnHint::Options(changes) => storage_parameters::change(&mut column.hints.options, changes),
        }
        Ok(altered)
    }

    /// CLUSTER ON an index, or SET WITHOUT CLUSTER.
    pub(super) async fn cluster_on(&mut self, table: &Table, name: Option<&str>) -> Result<()> {
        let catalog = self.shared.current_catalog();
        if table.is_partitioned() {
            let message = "cannot mark index clustered in partitioned table";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let marked = name.map(|name| index_of(&catalog, table, name)).transpose()?;
        let refused = match &marked {
            Some(index) if !matches!(index.method, IndexMethod::Btree | IndexMethod::Gist) => {
                Some(format!("index \"{}\" because access method does not support clustering", index.name))
            }
            Some(index) if index.predicate.is_some() => Some(format!("partial index \"{}\"", index.name)),
            _ => None,
        };
        if let Some(what) = refused {
            let message = format!("cannot cluster on {what}");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let oid = marked.map(|index| index.oid);
        self.mark(&catalog, table, |index| index.clustered = Some(index.oid) == oid).await
    }

    pub(super) async fn set_replica_identity(&mut self, table: &Table, identity: &Identity) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let (kind, oid) = match identity {
            Identity::Default => (None, None),
            Identity::Full => (Some(ReplicaIdentity::Full), None),
            Identity::Nothing => (Some(ReplicaIdentity::Nothing), None),
            Identity::Index(name) => {
                let index = index_of(&catalog, table, name)?;
                check_identity(&index, table)?;
                (Some(ReplicaIdentity::Index), Some(index.oid))
            }
        };
        self.put(Table { replica_identity: kind, ..table.clone() }).await?;
        self.mark(&catalog, table, |index| index.replica_identity = Some(index.oid) == oid).await
    }

    pub(super) async fn set_logged(&mut self, table: &Table, logged: bool) -> Result<()> {
        if table.temporary.is_some() {
            let message =
                format!("cannot change logged status of table \"{}\" because it is temporary", table.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let catalog = self.shared.current_catalog();
        let other =
            if logged { referenced_unlogged(&catalog, table) } else { referring_logged(&catalog, table) };
        if let Some((constraint, other)) = other {
            let (to, kind) = if logged { ("logged", "unlogged") } else { ("unlogged", "logged") };
            let message = format!(
                "could not change table \"{}\" to {to} because it references {kind} table \"{}\"",
                table.name, other.name
            );
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .table(&table.schema, &table.name)
                .constraint(&constraint));
        }
        self.put(Table { unlogged: !logged, ..table.clone() }).await
    }

    /// What is said of a partition alone, whose columns and indexes show what its table's do: only whether there is such a
    /// thing.
    pub(super) fn check_part_hint(
        &mut self,
        parent: &Table,
        part: &Table,
        action: &AlterAction,
    ) -> Result<()> {
        match action {
            AlterAction::ColumnHint { column, hint } => self.hinted(part, column, hint).map(|_| ()),
            AlterAction::ClusterOn(Some(name)) | AlterAction::ReplicaIdentity(Identity::Index(name)) => {
                let own = parent.partitions().iter().find(|own| own.oid == part.known_as());
                match own.is_some_and(|own| own.indexes.iter().any(|index| index.name == *name)) {
                    true => Ok(()),
                    false => Err(no_such_index(part, name)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Changes the marks of a table's indexes.
    async fn mark(&mut self, catalog: &Catalog, table: &Table, set: impl Fn(&mut Index)) -> Result<()> {
        let changed = catalog.indexes_of(table.oid).filter_map(|index| {
            let mut marked = Index::clone(index);
            set(&mut marked);
            (marked != **index).then_some(Edit::Put(Object::Index(marked)))
        });
        let changed: Vec<Edit> = changed.collect();
        if changed.is_empty() { Ok(()) } else { self.edit(changed).await }
    }
}

/// The index of a table by its name, which is in the table's schema.
pub(super) fn index_of(catalog: &Catalog, table: &Table, name: &str) -> Result<Arc<Index>> {
    match catalog.relation(&table.schema, name) {
        Some(Relation::Index(index)) if index.table == table.oid => Ok(index),
        Some(_) => {
            let message = format!("\"{name}\" is not an index for table \"{}\"", table.name);
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
        }
        None => Err(no_such_index(table, name)),
    }
}

fn no_such_index(table: &Table, name: &str) -> Error {
    let message = format!("index \"{name}\" for table \"{}\" does not exist", table.name);
    Error::new(SqlState::UNDEFINED_OBJECT, message)
}

/// A foreign key of the table, and the other, unlogged table that it refers to.
fn referenced_unlogged(catalog: &Catalog, table: &Table) -> Option<(String, Arc<Table>)> {
    table.constraints.iter().find_map(|constraint| {
        let ConstraintKind::ForeignKey(key) = &constraint.kind else { return None };
        let parent = catalog.table_by_oid(key.table).filter(|_| key.table != table.oid)?;
        parent.unlogged.then(|| (constraint.name.clone(), Arc::clone(parent)))
    })
}

/// A foreign key that refers to the table, and the other, logged table that has it.
fn referring_logged(catalog: &Catalog, table: &Table) -> Option<(String, Arc<Table>)> {
    let mut references = catalog.references_to(table.oid);
    let found = references.find(|(child, ..)| child.oid != table.oid && !child.unlogged);
    found.map(|(child, constraint, _)| (constraint.name.clone(), Arc::clone(child)))
}

/// What tells rows apart must be a key without NULLs, of columns, and of all rows.
fn check_identity(index: &Index, table: &Table) -> Result<()> {
    let name = &index.name;
    let refused = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    if !index.unique {
        return refused(format!("cannot use non-unique index \"{name}\" as replica identity"));
    }
    let unsupported = |what: &str| {
        let message = format!("cannot use {what} index \"{name}\" as replica identity");
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
    };
    if !index.deferral(table).is_never() {
        return unsupported("non-immediate");
    }
    if index.columns.iter().any(|number| is_hidden(table, *number)) {
        return unsupported("expression");
    }
    if index.predicate.is_some() {
        return unsupported("partial");
    }
    let columns = index.columns.iter().filter_map(|number| table.column_number(*number));
    match columns.into_iter().find(|column| !column.not_null) {
        None => Ok(()),
        Some(column) => refused(format!(
            "index \"{name}\" cannot be used as replica identity because column \"{}\" is nullable",
            column.name
        )),
    }
}
