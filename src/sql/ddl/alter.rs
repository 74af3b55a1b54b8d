//! ALTER TABLE.

use std::sync::Arc;

use arrow::array::AsArray;
use futures::StreamExt;

use crate::catalog::{
    Constraint, ConstraintKind as StoredKind, DefaultExpr, DroppedColumn, Edit, ForeignKey, Index,
    IndexMethod, Object, Relation, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::alter_view;
use crate::sql::ddl::generated::reads_column;
use crate::sql::ddl::index::PLAINLY;
use crate::sql::ddl::partition::refuse_key_column;
use crate::sql::ddl::references::with_renamed_column;
use crate::sql::ddl::rename::check_kind;
use crate::sql::ddl::retype::{Retyping, names_column};
use crate::sql::ddl::table::{Builder, check_identity, stored_identity};
use crate::sql::ddl_words::is_null_of;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Target};
use crate::sql::dml::defaults::sequence_text;
use crate::sql::partition_words::PartitionAction;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::{parse_name, undefined_relation};
use crate::sql::statement::{
    AlterAction, AlterTable, ColumnDefinition, ConstraintKind, IdentityKind, SequenceOptions, TableConstraint,
};
use crate::sql::storage_parameters;
use crate::sql::system_columns;
use crate::types::Value;

/// Which every ALTER does, whatever it calls what has the columns.
fn renames_columns(alter: &AlterTable) -> bool {
    alter.actions.iter().all(|action| matches!(action, AlterAction::RenameColumn { .. }))
}

impl Session {
    pub(super) async fn alter_table(&mut self, alter: &AlterTable) -> Result<Response> {
        refuse_more_than_partition(alter)?;
        let catalog = self.shared.current_catalog();
        let found = self.shared.relation(&catalog, &alter.name);
        if let Some(found) = found.as_ref().filter(|_| !renames_columns(alter)) {
            check_kind(alter.kind, &alter.name, found)?;
        }
        let table = match found {
            None if alter.if_exists => {
                let message = format!("relation \"{}\" does not exist, skipping", alter.name.name);
                self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
                return Ok(done(alter.kind.alter_command()));
            }
            None => return Err(undefined_relation(&alter.name)),
            Some(Relation::View(view)) => return self.alter_view(&view, alter).await,
            Some(Relation::Table(table)) => table,
            Some(Relation::Partition(part)) => return self.alter_part(&part, alter).await,
            // pg_dump changes owners of sequences by ALTER TABLE in old versions.
            Some(_) if alter.actions.iter().all(|action| matches!(action, AlterAction::OwnerTo(_))) => {
                for action in &alter.actions {
                    if let AlterAction::OwnerTo(owner) = action {
                        self.check_owner(owner)?;
                    }
                }
                return Ok(done("ALTER TABLE"));
            }
            Some(_) => {
                let message = format!("\"{}\" is not a table", alter.name.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        };
        if table.materialized.is_some()
            && let Some(refused) = alter.actions.iter().find_map(alter_view::not_of_rows)
        {
            return Err(alter_view::not_performed(refused, &table.name, "materialized views"));
        }
        // Locked before the definition is read that the actions change.
        self.retry(|transaction| transaction.lock_table(table.oid)).await?;
        let catalog = self.shared.current_catalog();
        let table =
            catalog.table_by_oid(table.oid).cloned().ok_or_else(|| undefined_relation(&alter.name))?;
        let mut retyping = self.start_retyping(&table, &alter.actions).await?;
        let mut actions: Vec<&AlterAction> = alter.actions.iter().collect();
        actions.sort_by_key(|action| pass(action));
        for action in actions {
            let catalog = self.shared.current_catalog();
            let table =
                catalog.table_by_oid(table.oid).cloned().ok_or_else(|| undefined_relation(&alter.name))?;
            self.alter_one(&table, action, alter.only, &mut retyping).await?;
        }
        if !alter.only {
            self.name_indexes(table.oid, None, None).await?;
        }
        Ok(done(alter.kind.alter_command()))
    }

    /// `retyping`: what all changes of types in the statement are together; the first of them does it.
    async fn alter_one(
        &mut self,
        table: &Arc<Table>,
        action: &AlterAction,
        only: bool,
        retyping: &mut Option<Retyping<'_>>,
    ) -> Result<()> {
        match action {
            AlterAction::OwnerTo(owner) => self.check_owner(owner),
            AlterAction::ColumnHint { column, hint } => self.set_column_hint(table, column, hint).await,
            AlterAction::ClusterOn(index) => self.cluster_on(table, index.as_deref()).await,
            AlterAction::ReplicaIdentity(identity) => self.set_replica_identity(table, identity).await,
            AlterAction::Logged(logged) => self.set_logged(table, *logged).await,
            AlterAction::StorageParameters(changes) => {
                self.warn_of_parameters(changes.iter().map(|(name, _)| name));
                let mut altered = (**table).clone();
                storage_parameters::change(&mut altered.options, changes);
                self.put(altered).await
            }
            AlterAction::Partition(PartitionAction::Attach { name, bound }) => {
                self.attach_partition(table, name, bound).await
            }
            AlterAction::Partition(PartitionAction::Detach(name)) => self.detach_partition(table, name).await,
            AlterAction::AddConstraint { constraint, not_valid } => {
                self.add_constraint(table, constraint, *not_valid).await
            }
            AlterAction::ValidateConstraint(name) => self.validate_constraint(table, name).await,
            AlterAction::AlterConstraint { name, deferral } => {
                self.alter_constraint(table, name, *deferral).await
            }
            AlterAction::DropConstraint { name, if_exists, cascade } => {
                self.drop_constraint(table, name, *if_exists, *cascade).await
            }
            AlterAction::AddColumn { definition, constraints, if_not_exists } => {
                self.add_column(table, definition, constraints, *if_not_exists).await
            }
            AlterAction::DropColumn { name, if_exists, cascade } => {
                self.drop_column(table, name, *if_exists, *cascade).await
            }
            AlterAction::RenameColumn { name, to } => self.rename_column(table, name, to).await,
            AlterAction::RenameConstraint { name, to } => self.rename_constraint(table, name, to).await,
            AlterAction::SetDefault { column, default } => {
                self.set_default(table, column, default.as_deref(), only).await
            }
            AlterAction::SetNotNull { column, not_null } => self.set_not_null(table, column, *not_null).await,
            AlterAction::AddIdentity { column, kind, options } => {
                self.add_identity(table, column, *kind, options).await
            }
            AlterAction::SetIdentity { column, kind, options } => {
                self.set_identity(table, column, *kind, options).await
            }
            AlterAction::DropIdentity { column, if_exists } => {
                self.drop_identity(table, column, *if_exists).await
            }
            AlterAction::SetType { .. } => match retyping.take() {
                Some(retyping) => self.retype(table, retyping).await,
                None => Ok(()),
            },
            AlterAction::SetExpression { column, sql } => {
                self.set_expression(table, column, Some(sql.as_str()), false).await
            }
            AlterAction::DropExpression { column, if_exists } => {
                self.set_expression(table, column, None, *if_exists).await
            }
        }
    }

    fn missing_column(&mut self, table: &Table, name: &str, if_exists: bool) -> Result<()> {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        if !if_exists {
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        }
        self.notice(Severity::Notice, Error::new(SqlState("00000"), format!("{message}, skipping")));
        Ok(())
    }

    pub(super) fn position(&mut self, table: &Table, name: &str) -> Result<usize> {
        match table.columns.iter().position(|column| column.name == name) {
            Some(position) => Ok(position),
            None => self.missing_column(table, name, false).map(|()| 0),
        }
    }

    pub(super) async fn put(&mut self, table: Table) -> Result<()> {
        self.edit(vec![Edit::Put(Object::Table(table))]).await
    }

    async fn add_constraint(
        &mut self,
        table: &Arc<Table>,
        constraint: &TableConstraint,
        not_valid: bool,
    ) -> Result<()> {
        if let ConstraintKind::UsingIndex { index, primary } = &constraint.kind {
            return self.add_key_using(table, constraint, index, *primary).await;
        }
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let shared = self.shared.clone();
        let new_oid = move || shared.with_transaction(|transaction| Ok(transaction.new_oid()));
        let mut altered = {
            let mut builder = Builder::of(&catalog, table, &path, &new_oid);
            builder.add_constraint(constraint)?;
            builder.table
        };
        let Some(added) = altered.constraints.last_mut() else {
            return Err(Error::internal("a constraint was not added"));
        };
        added.not_valid = not_valid;
        let added = added.clone();
        let always_valid = match &added.kind {
            StoredKind::PrimaryKey { .. } => Some("PRIMARY KEY"),
            StoredKind::Unique { .. } => Some("UNIQUE"),
            StoredKind::NotNull { .. } => Some("NOT NULL"),
            StoredKind::Check { .. } | StoredKind::ForeignKey(_) => None,
        };
        if let Some(kind) = always_valid.filter(|_| not_valid) {
            let message = format!("{kind} constraints cannot be marked NOT VALID");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        match &added.kind {
            StoredKind::PrimaryKey { columns } | StoredKind::Unique { columns, .. } => {
                if catalog.relation(&table.schema, &added.name).is_some() {
                    let message = format!("relation \"{}\" already exists", added.name);
                    return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
                }
                for &number in columns {
                    let (old, new) = (table.column_number(number), altered.column_number(number));
                    if let (Some(old), Some(new)) = (old, new)
                        && new.not_null
                        && !old.not_null
                    {
                        self.verify_rows(table, &format!("{} IS NOT NULL", quoted(&new.name)), |table| {
                            contains_nulls(table, &new.name)
                        })
                        .await?;
                    }
                }
                self.put_with_index(altered, &added, columns.clone()).await
            }
            StoredKind::Check { sql } => {
                self.check_definition(&altered, &[])?;
                if !not_valid {
                    self.verify_rows(table, sql, |table| violated_by_some_row(table, &added.name)).await?;
                }
                self.put(altered).await
            }
            StoredKind::NotNull { .. } => self.put(altered).await,
            StoredKind::ForeignKey(key) => {
                self.share_referenced(&altered).await?;
                self.start_statement()?;
                if !not_valid {
                    self.verify_references(table, &added.name, key).await?;
                }
                self.put(altered).await
            }
        }
    }

    /// VALIDATE CONSTRAINT: the rows that were there before it hold too.
    async fn validate_constraint(&mut self, table: &Arc<Table>, name: &str) -> Result<()> {
        let mut altered = (**table).clone();
        let Some(found) = altered.constraints.iter_mut().find(|constraint| constraint.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        found.not_valid = false;
        let found = found.clone();
        match &found.kind {
            StoredKind::Check { sql } => {
                self.verify_rows(table, sql, |table| violated_by_some_row(table, name)).await?;
            }
            StoredKind::ForeignKey(key) => {
                self.share_referenced(&altered).await?;
                self.start_statement()?;
                self.verify_references(table, name, key).await?;
            }
            _ => {
                let message = format!(
                    "constraint \"{name}\" of relation \"{}\" is not a foreign key or check constraint",
                    table.name
                );
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        }
        self.put(altered).await
    }

    /// A table with a new key constraint, and the unique index behind it.
    pub(super) async fn put_with_index(
        &mut self,
        table: Table,
        constraint: &Constraint,
        columns: Vec<u16>,
    ) -> Result<()> {
        let index = Index {
            oid: self.new_oid()?,
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
            nulls_equal: matches!(constraint.kind, StoredKind::Unique { nulls_equal: true, .. }),
            ivfflat: None,
            ..Index::default()
        };
        self.put(table).await?;
        self.build_index(index, PLAINLY).await
    }

    /// Fails unless the condition is true or unknown for every row.
    pub(super) async fn verify_rows(
        &mut self,
        table: &Arc<Table>,
        condition: &str,
        violation: impl Fn(&Table) -> Error,
    ) -> Result<()> {
        let sql = format!(
            "SELECT count(*) FROM {}.{} WHERE NOT ({condition})",
            quoted(&table.schema),
            quoted(&table.name)
        );
        if self.count(&sql).await? > 0 {
            return Err(violation(table));
        }
        Ok(())
    }

    /// The number a query of one number answers.
    pub(super) async fn count(&mut self, sql: &str) -> Result<i64> {
        let query = dialect::parse_query(sql)?;
        let query = self.planned(&query)?;
        let mut stream = self.query_stream(&query, &[]).await?;
        let mut total = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            if let Some(numbers) = batch.column(0).as_primitive_opt::<arrow::datatypes::Int64Type>() {
                total += numbers.iter().flatten().sum::<i64>();
            }
        }
        Ok(total)
    }

    /// Drops the foreign keys that need something of a table which goes: 2BP01 unless CASCADE was said.
    pub(super) async fn drop_references(
        &mut self,
        table: &Table,
        what: &str,
        cascade: bool,
        needs: impl Fn(&ForeignKey) -> bool,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let all = catalog.references_to(table.oid).filter(|(_, _, key)| needs(key));
        for (child, constraint, _) in all {
            if !cascade && (child.oid != table.oid || what.starts_with("constraint")) {
                let needed = match what.strip_prefix("constraint ").and_then(|rest| rest.split(' ').next()) {
                    Some(index) => format!("index {index}"),
                    None => what.to_string(),
                };
                let message = format!("cannot drop {what} because other objects depend on it");
                let detail =
                    format!("constraint {} on table {} depends on {needed}", constraint.name, child.name);
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(detail)
                    .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            if cascade {
                self.tell_cascade(vec![format!("constraint {} on table {}", constraint.name, child.name)]);
            }
            let now = self.shared.current_catalog();
            if let Some(child) = now.table_by_oid(child.oid) {
                let mut altered = (**child).clone();
                altered.constraints.retain(|known| known.oid != constraint.oid);
                self.put(altered).await?;
            }
        }
        Ok(())
    }

    /// Drops a column with what is about it alone or among others: constraints, indexes, sequences.
    pub(super) async fn drop_column(
        &mut self,
        table: &Arc<Table>,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(position) = table.columns.iter().position(|column| column.name == name) else {
            return self.missing_column(table, name, if_exists);
        };
        let number = table.columns[position].number;
        refuse_key_column(table, number, "drop")?;
        self.drop_generated_from(table, number, name, cascade).await?;
        self.drop_readers(&[table.oid], Some(number), cascade).await?;
        let what = format!("column {name} of table {}", table.name);
        self.drop_references(table, &what, cascade, |key| key.referenced.contains(&number)).await?;
        let catalog = self.shared.current_catalog();
        let table = catalog.table_by_oid(table.oid).unwrap_or(table);
        let mut altered = (**table).clone();
        let position = self.position(table, name)?;
        let column = altered.columns.remove(position);
        altered.dropped.push(DroppedColumn { number, ty: column.ty });
        let mut constraints = Vec::with_capacity(table.constraints.len());
        for constraint in &table.constraints {
            let about = match &constraint.kind {
                StoredKind::PrimaryKey { columns } | StoredKind::Unique { columns, .. } => {
                    columns.contains(&number) || constraint.included.contains(&number)
                }
                StoredKind::Check { sql } => names_column(sql, table, number)?,
                StoredKind::NotNull { column } => *column == number,
                StoredKind::ForeignKey(key) => key.columns.contains(&number),
            };
            if !about {
                constraints.push(constraint.clone());
            }
        }
        altered.constraints = constraints;
        let mut edits: Vec<Edit> = Vec::new();
        let mut kept: Vec<&Index> = Vec::new();
        for index in catalog.indexes_of(table.oid) {
            match reads_column(index, table, number)? {
                true => edits.push(Edit::Delete(index.oid)),
                false => kept.push(index),
            }
        }
        altered.drop_unused_hidden(kept.into_iter());
        edits.push(Edit::Put(Object::Table(altered)));
        let sequences = catalog.sequences_owned_by(table.oid);
        let sequences = sequences.filter(|sequence| sequence.owned_by == Some((table.oid, number)));
        edits.extend(sequences.map(|sequence| Edit::Delete(sequence.oid)));
        self.edit(edits).await
    }

    async fn drop_constraint(
        &mut self,
        table: &Arc<Table>,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(found) = table.constraints.iter().find(|constraint| constraint.name == name) else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
            if !if_exists {
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            self.notice(Severity::Notice, Error::new(SqlState("00000"), format!("{message}, skipping")));
            return Ok(());
        };
        if let StoredKind::PrimaryKey { columns } | StoredKind::Unique { columns, .. } = &found.kind {
            let same = |key: &ForeignKey| {
                key.referenced.len() == columns.len() && columns.iter().all(|c| key.referenced.contains(c))
            };
            let what = format!("constraint {name} on table {}", table.name);
            self.drop_references(table, &what, cascade, same).await?;
        }
        let catalog = self.shared.current_catalog();
        let index = catalog.index_of_constraint(found.oid).map(|index| index.oid);
        let table = catalog.table_by_oid(table.oid).unwrap_or(table);
        let mut altered = (**table).clone();
        altered.constraints.retain(|constraint| constraint.name != name);
        self.put(altered).await?;
        if let Some(index) = index {
            self.retry(|transaction| transaction.drop_index(index)).await?;
        }
        match &found.kind {
            StoredKind::PrimaryKey { .. } => self.drop_grouped(table, name, cascade).await,
            _ => Ok(()),
        }
    }

    async fn add_column(
        &mut self,
        table: &Arc<Table>,
        definition: &ColumnDefinition,
        constraints: &[TableConstraint],
        if_not_exists: bool,
    ) -> Result<()> {
        if table.column(&definition.name).is_some() {
            let message =
                format!("column \"{}\" of relation \"{}\" already exists", definition.name, table.name);
            if !if_not_exists {
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            let error = Error::new(SqlState::DUPLICATE_COLUMN, format!("{message}, skipping"));
            self.notice(Severity::Notice, error);
            return Ok(());
        }
        let is_empty = {
            let sql = format!("SELECT count(*) FROM {}.{}", quoted(&table.schema), quoted(&table.name));
            self.count(&sql).await? == 0
        };
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let shared = self.shared.clone();
        let new_oid = move || shared.with_transaction(|transaction| Ok(transaction.new_oid()));
        let (mut altered, sequences) = {
            let mut builder = Builder::of(&catalog, table, &path, &new_oid);
            builder.add_column(definition)?;
            (builder.table, builder.sequences)
        };
        self.link_sequences(&mut altered)?;
        self.check_definition(&altered, &sequences)?;
        let mut edits: Vec<Edit> =
            sequences.into_iter().map(|sequence| Edit::Put(Object::Sequence(sequence))).collect();
        if is_empty || self.set_missing(&mut altered)? {
            edits.push(Edit::Put(Object::Table(altered)));
            self.edit(edits).await?;
        } else {
            if !edits.is_empty() {
                self.edit(edits).await?;
            }
            self.copy_rows(table, altered).await?;
        }
        for constraint in constraints {
            let catalog = self.shared.current_catalog();
            if let Some(table) = catalog.table_by_oid(table.oid).cloned() {
                Box::pin(self.add_constraint(&table, constraint, false)).await?;
            }
        }
        Ok(())
    }

    /// Whether all old rows can read the new last column as one value, without being written anew; notes the value.
    fn set_missing(&self, table: &mut Table) -> Result<bool> {
        let named = table.clone();
        let Some(column) = table.columns.last_mut() else { return Ok(false) };
        if column.domain.is_some() {
            // Its default and its conditions are looked up where rows are made.
            return Ok(false);
        }
        let value = match (&column.default, column.identity) {
            (_, Some(_)) => None,
            (None, None) if column.generated.is_some() => None,
            (None, None) => Some(Value::Null),
            (Some(default), None) => {
                let expression = dialect::parse_expression(&default.sql)?;
                let target = Target { name: &column.name, ty: &column.ty };
                cells::constant(&expression, &target, self.shared.look())?
            }
        };
        match value {
            None => Ok(false),
            Some(Value::Null) if column.not_null => Err(contains_nulls(&named, &column.name)),
            Some(Value::Null) => Ok(true),
            Some(_) if column.is_slot_vector() => Ok(false),
            Some(value) => {
                let layout = crate::table::Layout::new(std::slice::from_ref(&column.ty));
                let mut bytes = Vec::new();
                layout.encode(&[value], &mut bytes)?;
                column.missing = Some(bytes);
                Ok(true)
            }
        }
    }

    async fn rename_column(&mut self, table: &Table, name: &str, to: &str) -> Result<()> {
        let position = match table.columns.iter().position(|column| column.name == name) {
            Some(position) => position,
            None => {
                let message = format!("column \"{name}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            }
        };
        system_columns::refuse_name(to)?;
        if table.column(to).is_some() {
            let message = format!("column \"{to}\" of relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let number = table.columns[position].number;
        self.refuse_read(table.oid, Some(number), "renaming a column")?;
        let mut altered = table.clone();
        altered.columns[position].name = to.into();
        for constraint in &mut altered.constraints {
            if let StoredKind::Check { sql } = &mut constraint.kind {
                *sql = with_renamed_column(sql, name, to)?;
            }
        }
        for column in altered.columns.iter_mut().chain(&mut altered.hidden) {
            if let Some(generated) = &mut column.generated {
                generated.sql = with_renamed_column(&generated.sql, name, to)?;
            }
        }
        let mut edits = Vec::new();
        let catalog = self.shared.current_catalog();
        for index in catalog.indexes_of(table.oid) {
            let mut index = (**index).clone();
            if let Some(predicate) = &mut index.predicate {
                predicate.sql = with_renamed_column(&predicate.sql, name, to)?;
                edits.push(Edit::Put(Object::Index(index)));
            }
        }
        if let Some(materialized) = &mut altered.materialized {
            // Its rows have the name; the query is shown with it where it can have it.
            if let Ok(named) = self.with_column_named(&materialized.query, position, to) {
                materialized.query = named;
            }
        }
        edits.push(Edit::Put(Object::Table(altered)));
        self.edit(edits).await
    }

    async fn rename_constraint(&mut self, table: &Table, name: &str, to: &str) -> Result<()> {
        let mut altered = table.clone();
        let Some(constraint) = altered.constraints.iter_mut().find(|constraint| constraint.name == name)
        else {
            let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        constraint.name = to.into();
        let catalog = self.shared.current_catalog();
        let mut edits = Vec::new();
        if let Some(index) = catalog.index_of_constraint(constraint.oid) {
            edits.push(Edit::Put(Object::Index(Index { name: to.into(), ..(**index).clone() })));
        }
        edits.push(Edit::Put(Object::Table(altered)));
        self.edit(edits).await
    }

    async fn set_default(
        &mut self,
        table: &Table,
        column: &str,
        default: Option<&str>,
        only: bool,
    ) -> Result<()> {
        let position = self.position(table, column)?;
        let mut altered = table.clone();
        if only {
            self.keep_part_defaults(&mut altered, position);
        }
        let target = &mut altered.columns[position];
        if target.identity.is_some() {
            let message = format!("column \"{column}\" of relation \"{}\" is an identity column", table.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if target.generated.is_some() {
            let message = format!("column \"{column}\" of relation \"{}\" is a generated column", table.name);
            let error = Error::new(SqlState::SYNTAX_ERROR, message);
            return Err(match default {
                Some(_) => error,
                None => error.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead."),
            });
        }
        let parsed = default.map(dialect::parse_expression).transpose()?;
        let is_none = |parsed| target.domain.is_none() && is_null_of(&parsed, &target.ty);
        let default = default.filter(|_| !parsed.is_some_and(is_none));
        target.default = default.map(|sql| DefaultExpr { sql: sql.to_string() });
        target.sequence = match default {
            None => None,
            Some(sql) => self.sequence_of_default(sql)?,
        };
        self.check_definition(&altered, &[])?;
        if !only {
            // Partitions have it too.
            let number = table.columns[position].number;
            for part in altered.partitions_mut() {
                part.defaults.retain(|(own, _)| *own != number);
            }
        }
        self.put(altered).await
    }

    /// Notes which sequences the defaults draw from: those are not dropped, and renamed with them.
    pub(super) fn link_sequences(&self, table: &mut Table) -> Result<()> {
        for column in table.columns.iter_mut().filter(|column| column.sequence.is_none()) {
            if let Some(default) = &column.default {
                column.sequence = self.sequence_of_default(&default.sql)?;
            }
        }
        Ok(())
    }

    /// The sequence that nextval('s') names.
    pub(super) fn sequence_of_default(&self, sql: &str) -> Result<Option<u32>> {
        use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};
        let Expr::Function(function) = dialect::parse_expression(sql)? else { return Ok(None) };
        let named_nextval = crate::sql::words::object_name(&function.name).name == "nextval";
        let (true, FunctionArguments::List(list)) = (named_nextval, &function.args) else { return Ok(None) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else {
            return Ok(None);
        };
        let Some(text) = sequence_text(argument) else { return Ok(None) };
        let catalog = self.shared.current_catalog();
        Ok(Some(self.shared.sequence(&catalog, &parse_name(&text)?)?.oid))
    }

    async fn set_not_null(&mut self, table: &Arc<Table>, column: &str, not_null: bool) -> Result<()> {
        let position = self.position(table, column)?;
        let number = table.columns[position].number;
        if !not_null && table.columns[position].identity.is_some() {
            let message = format!("column \"{column}\" of relation \"{}\" is an identity column", table.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if !not_null && table.primary_key().is_some_and(|key| key.contains(&number)) {
            let message = format!("column \"{column}\" is in a primary key");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let catalog = self.shared.current_catalog();
        let tells_rows = |index: &Arc<Index>| index.replica_identity && index.columns.contains(&number);
        if !not_null && catalog.indexes_of(table.oid).any(tells_rows) {
            let message = format!("column \"{column}\" is in index used as replica identity");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        if not_null && !table.columns[position].not_null {
            let condition = format!("{} IS NOT NULL", quoted(column));
            self.verify_rows(table, &condition, |table| contains_nulls(table, column)).await?;
        }
        let mut altered = (**table).clone();
        altered.columns[position].not_null = not_null;
        self.put(altered).await
    }

    async fn add_identity(
        &mut self,
        table: &Table,
        column: &str,
        kind: IdentityKind,
        options: &SequenceOptions,
    ) -> Result<()> {
        let position = self.position(table, column)?;
        let catalog = self.shared.current_catalog();
        let mut target = table.columns[position].clone();
        if target.identity.is_some() {
            let message =
                format!("column \"{column}\" of relation \"{}\" is already an identity column", table.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if target.generated.is_some() {
            let message =
                format!("column \"{column}\" of relation \"{}\" already has a default value", table.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        check_identity(&target)?;
        if !target.not_null {
            let message = format!(
                "column \"{column}\" of relation \"{}\" must be declared NOT NULL before identity can be added",
                table.name
            );
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let path = self.shared.schemas(&catalog);
        let shared = self.shared.clone();
        let new_oid = move || shared.with_transaction(|transaction| Ok(transaction.new_oid()));
        let (mut altered, sequences) = {
            let mut builder = Builder::of(&catalog, table, &path, &new_oid);
            let name = builder.add_sequence(&mut target, options)?;
            if catalog.relation(&table.schema, &name).is_some() {
                let message = format!("relation \"{name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
            }
            (builder.table, builder.sequences)
        };
        target.identity = Some(stored_identity(kind));
        altered.columns[position] = target;
        let mut edits: Vec<Edit> =
            sequences.into_iter().map(|sequence| Edit::Put(Object::Sequence(sequence))).collect();
        edits.push(Edit::Put(Object::Table(altered)));
        self.edit(edits).await
    }

    async fn set_identity(
        &mut self,
        table: &Table,
        column: &str,
        kind: Option<IdentityKind>,
        options: &SequenceOptions,
    ) -> Result<()> {
        let position = self.position(table, column)?;
        let mut altered = table.clone();
        let target = &mut altered.columns[position];
        let (Some(identity), Some(sequence)) = (&mut target.identity, target.sequence) else {
            let message =
                format!("column \"{column}\" of relation \"{}\" is not an identity column", table.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        };
        self.change_sequence(sequence, options).await?;
        match kind {
            Some(kind) => {
                *identity = stored_identity(kind);
                self.put(altered).await
            }
            None => Ok(()),
        }
    }

    async fn drop_identity(&mut self, table: &Table, column: &str, if_exists: bool) -> Result<()> {
        let position = self.position(table, column)?;
        let mut altered = table.clone();
        let target = &mut altered.columns[position];
        let (Some(_), sequence) = (target.identity.take(), target.sequence.take()) else {
            let message =
                format!("column \"{column}\" of relation \"{}\" is not an identity column", table.name);
            if !if_exists {
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            self.notice(Severity::Notice, Error::new(SqlState("00000"), format!("{message}, skipping")));
            return Ok(());
        };
        let mut edits = vec![Edit::Put(Object::Table(altered))];
        edits.extend(sequence.map(Edit::Delete));
        self.edit(edits).await
    }
}

pub fn contains_nulls(table: &Table, column: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
    Error::new(SqlState::NOT_NULL_VIOLATION, message).table(&table.schema, &table.name).column(column)
}

pub fn violated_by_some_row(table: &Table, constraint: &str) -> Error {
    let message =
        format!("check constraint \"{constraint}\" of relation \"{}\" is violated by some row", table.name);
    Error::new(SqlState::CHECK_VIOLATION, message).table(&table.schema, &table.name).constraint(constraint)
}

/// ATTACH and DETACH PARTITION stand alone in PostgreSQL's grammar.
fn refuse_more_than_partition(alter: &AlterTable) -> Result<()> {
    let actions = alter.actions.iter().enumerate();
    let mut partitions = actions.filter_map(|(place, action)| match action {
        AlterAction::Partition(partition) => Some((place, partition)),
        _ => None,
    });
    let Some(first) = partitions.next().filter(|_| alter.actions.len() > 1) else { return Ok(()) };
    let word = match first {
        (0, _) => ",",
        (_, PartitionAction::Detach(_)) => "DETACH",
        (_, PartitionAction::Attach { .. }) => "ATTACH",
    };
    Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\"")))
}

/// PostgreSQL's order of the actions of one statement: what goes, types, new columns, constraints, the rest.
fn pass(action: &AlterAction) -> u8 {
    match action {
        AlterAction::DropColumn { .. }
        | AlterAction::DropConstraint { .. }
        | AlterAction::SetDefault { default: None, .. }
        | AlterAction::SetNotNull { not_null: false, .. }
        | AlterAction::DropIdentity { .. } => 0,
        AlterAction::SetType { .. }
        | AlterAction::SetExpression { .. }
        | AlterAction::DropExpression { .. } => 1,
        AlterAction::AddColumn { .. } => 2,
        AlterAction::SetNotNull { .. }
        | AlterAction::AddIdentity { .. }
        | AlterAction::SetIdentity { .. } => 3,
        AlterAction::AddConstraint { .. } => 4,
        AlterAction::SetDefault { .. } => 5,
        AlterAction::RenameColumn { .. }
        | AlterAction::RenameConstraint { .. }
        | AlterAction::StorageParameters(_)
        | AlterAction::ValidateConstraint(_)
        | AlterAction::AlterConstraint { .. }
        | AlterAction::OwnerTo(_)
        | AlterAction::Partition(_)
        | AlterAction::ColumnHint { .. }
        | AlterAction::ClusterOn(_)
        | AlterAction::ReplicaIdentity(_)
        | AlterAction::Logged(_) => 6,
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
