//! Changes that give every row new bytes: ALTER COLUMN TYPE, ADD COLUMN with a value per row.
//!
//! The table gets new files under its new definition, in the same transaction, and the rows are copied:
//!
//! ```text
//!   old files ─ SELECT what each new column is made of ─> verify ─> insert into the new files
//! ```
//!
//! Indexes come along: unique keys with the rows, vectors through the tail of an empty graph. Until the commit
//! everybody else reads the old files.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::catalog::{Column, Edit, IndexMethod, Object, Oid, Sequence, Table};
use crate::database::OnConflict;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::foreign_keys::check_types;
use crate::sql::ddl::references::columns_of;
use crate::sql::dialect::{self, parse_query};
use crate::sql::dml::cells::{self, Target};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::rows::Checks;
use crate::sql::query;
use crate::sql::session::Session;
use crate::sql::statement::AlterAction;
use crate::sql::system::{qualified, quote_ident};
use crate::types::arrow::value_at;
use crate::types::{Look, Type};

/// One ALTER COLUMN ... TYPE of a statement.
struct Retype<'a> {
    column: &'a str,
    ty: Type,
    domain: Option<Oid>,
    collation: Option<&'a String>,
    using: Option<&'a str>,
}

/// All of them that a statement has, and what their columns are made of: the rows as they were before the statement,
/// which drops columns before it changes types.
pub(super) struct Retyping<'a> {
    columns: Vec<Retype<'a>>,
    old: OldRows,
}

/// The rows of a table under another definition: one output per number of a column.
pub(super) struct OldRows {
    stream: BoxStream<'static, Result<RecordBatch>>,
    numbers: Vec<u16>,
}

impl Session {
    /// Begins what ALTER COLUMN ... TYPE of a statement says, before anything else of it is done; none when it says
    /// nothing of that.
    pub(super) async fn start_retyping<'a>(
        &mut self,
        table: &Arc<Table>,
        actions: &'a [AlterAction],
    ) -> Result<Option<Retyping<'a>>> {
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let mut columns: Vec<Retype> = Vec::new();
        for action in actions {
            let AlterAction::SetType { column, ty, collation, using } = action else { continue };
            let position = self.position(table, column)?;
            let (domain, ty) = (ty.domain(&catalog, &path), ty.resolve(&catalog, &path)?);
            super::table::check_collation(&ty, collation.as_deref())?;
            super::partition::refuse_key_column(table, table.columns[position].number, "alter")?;
            if table.columns[position].generated.is_some() && using.is_some() {
                let message = "cannot specify USING when altering type of generated column";
                return Err(Error::new(SqlState("42611"), message)
                    .detail(format!("Column \"{column}\" is a generated column.")));
            }
            // One that leaves the type as it is does not count.
            let ty_now = &table.columns[position].ty;
            columns.retain(|earlier| {
                earlier.column != column || earlier.ty != *ty_now || earlier.using.is_some()
            });
            if columns.iter().any(|other| other.column == column) {
                let message = format!("cannot alter type of column \"{column}\" twice");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            let (collation, using) = (collation.as_ref(), using.as_deref());
            let retype = Retype { column, ty, domain, collation, using };
            self.check_source(table, &retype)?;
            columns.push(retype);
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let sources = table.columns.iter().map(|column| {
            let retype = columns.iter().find(|retype| retype.column == column.name);
            let source = retype.and_then(|retype| retype.using).map(str::to_owned);
            let source = source.unwrap_or_else(|| quote_ident(&column.name));
            (column.number, source, retype.map_or(&column.ty, |retype| &retype.ty).clone())
        });
        let old = self.old_rows(table, sources.collect()).await?;
        Ok(Some(Retyping { columns, old }))
    }

    /// Gives the columns their types, at their turn among the actions of the statement.
    pub(super) async fn retype(&mut self, table: &Arc<Table>, retyping: Retyping<'_>) -> Result<()> {
        let mut altered = (**table).clone();
        // What is stored of a column stays, or is made anew.
        let (mut changed, mut rewritten) = (Vec::new(), false);
        for Retype { column: name, ty, domain, collation, using } in &retyping.columns {
            let position = self.position(table, name)?;
            altered.columns[position].collation = collation.cloned();
            let old = &table.columns[position];
            self.refuse_retype(table, name, old.number)?;
            self.refuse_generated(table, old)?;
            self.refuse_type(table, position, ty)?;
            if old.ty == *ty && old.domain == *domain && using.is_none() {
                continue;
            }
            let column = &mut altered.columns[position];
            column.ty = ty.clone();
            column.domain = *domain;
            (column.hints.storage, column.hints.compression) = (None, None);
            changed.push(position);
            rewritten |= using.is_some() || domain.is_some() || !(same_bytes(&old.ty, ty) || old.ty == *ty);
        }
        if !changed.is_empty() {
            rewritten |= self.retype_hidden(&mut altered)?;
            self.refuse_hidden_types(&altered)?;
            for &position in &changed {
                self.check_default(table, &altered, position)?;
            }
            self.check_keys(&altered, &changed)?;
        }
        if !rewritten {
            return match altered == **table {
                true => Ok(()),
                false => self.put(altered).await,
            };
        }
        for &position in &changed {
            altered.columns[position].missing = None;
        }
        let sequences =
            changed.iter().filter_map(|&p| self.retyped_sequence(table, p, &altered.columns[p].ty));
        let sequences: Vec<Edit> = sequences.map(|sequence| Edit::Put(Object::Sequence(sequence))).collect();
        if !sequences.is_empty() {
            self.edit(sequences).await?;
        }
        let oid = altered.oid;
        self.write_rows(altered, retyping.old).await?;
        self.verify_keys(oid, &changed).await
    }

    /// 42804 when a foreign key of the table, or to it, relates types that are not compared.
    fn check_keys(&self, altered: &Table, changed: &[usize]) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let is_changed = |number: &u16| changed.iter().any(|&p| altered.columns[p].number == *number);
        for (constraint, key) in altered.foreign_keys() {
            let parent = match key.table == altered.oid {
                true => Some(altered),
                false => catalog.table_by_oid(key.table).map(|parent| &**parent),
            };
            if let Some(parent) = parent.filter(|_| key.columns.iter().any(is_changed)) {
                check_types(&constraint.name, (altered, &key.columns), (parent, &key.referenced))?;
            }
        }
        let others = catalog.references_to(altered.oid).filter(|(child, ..)| child.oid != altered.oid);
        for (child, constraint, key) in others.filter(|(.., key)| key.referenced.iter().any(is_changed)) {
            check_types(&constraint.name, (child, &key.columns), (altered, &key.referenced))?;
        }
        Ok(())
    }

    /// 23503 when rows that were made anew do not find what they refer to, or are not found.
    async fn verify_keys(&mut self, table: Oid, changed: &[usize]) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(table) = catalog.table_by_oid(table) else { return Ok(()) };
        let is_changed = |number: &u16| changed.iter().any(|&p| table.columns[p].number == *number);
        for (child, constraint, key) in catalog.references_to(table.oid) {
            if child.oid != table.oid && key.referenced.iter().any(is_changed) && !constraint.not_valid {
                self.verify_references(child, &constraint.name, key).await?;
            }
        }
        for (constraint, key) in table.foreign_keys().filter(|(constraint, _)| !constraint.not_valid) {
            if key.columns.iter().any(is_changed)
                || key.table == table.oid && key.referenced.iter().any(is_changed)
            {
                self.verify_references(table, &constraint.name, key).await?;
            }
        }
        Ok(())
    }

    /// What is generated from the column would change with it.
    fn refuse_generated(&self, table: &Table, column: &Column) -> Result<()> {
        for other in &table.columns {
            let Some(generated) = &other.generated else { continue };
            if names_column(&generated.sql, table, column.number)? {
                let message = "cannot alter type of a column used by a generated column";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
                    "Column \"{}\" is used by generated column \"{}\".",
                    column.name, other.name
                )));
            }
        }
        Ok(())
    }

    /// Hidden columns whose new types the indexes on them do not take.
    fn refuse_hidden_types(&self, altered: &Table) -> Result<()> {
        let catalog = self.shared.current_catalog();
        for index in catalog.indexes_of(altered.oid).filter(|index| index.vector_metric().is_some()) {
            let class = index.opclasses.first().map_or("", String::as_str);
            let hidden = altered.hidden.iter().filter(|column| index.columns.contains(&column.number));
            for column in hidden {
                if !crate::sql::ddl::index::vector_index_accepts(index.method, class, &column.ty)? {
                    let message =
                        format!("operator class \"{class}\" does not accept data type {}", column.ty.bare());
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                }
            }
        }
        Ok(())
    }

    /// Types that something else about the column does not take.
    fn refuse_type(&self, table: &Table, position: usize, ty: &Type) -> Result<()> {
        let column = &table.columns[position];
        if column.identity.is_some() && !matches!(ty, Type::Int2 | Type::Int4 | Type::Int8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        crate::sql::ddl::table::check_column_type(&column.name, ty)?;
        let catalog = self.shared.current_catalog();
        for index in catalog.indexes_of(table.oid).filter(|index| index.columns.contains(&column.number)) {
            let fits = match (index.method, ty) {
                (IndexMethod::Hnsw | IndexMethod::Ivfflat, ty) => {
                    let class = index.opclasses.first().map_or("", String::as_str);
                    crate::sql::ddl::index::vector_index_accepts(index.method, class, ty)?
                }
                (IndexMethod::Gin | IndexMethod::Gist, ty) => {
                    let place = index.columns.iter().position(|&number| number == column.number);
                    let class = place.and_then(|place| index.opclasses.get(place)).map_or("", String::as_str);
                    crate::sql::ddl::inverted::accepts(class, ty)
                }
                (method, ty) => crate::sql::ddl::index::metadata_accepts(method, ty),
            };
            if !fits {
                let message = match index.opclasses.first() {
                    Some(opclass) => {
                        format!("operator class \"{opclass}\" does not accept data type {}", ty.bare())
                    }
                    None => format!(
                        "data type {} has no default operator class for access method \"{}\"",
                        ty.bare(),
                        index.method.name()
                    ),
                };
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
        }
        Ok(())
    }

    /// A default stays if its value can be stored in the new type as it could in the old one.
    fn check_default(&self, table: &Table, altered: &Table, position: usize) -> Result<()> {
        let (old, new) = (&table.columns[position], &altered.columns[position]);
        let of_table = old.default.as_ref().filter(|_| old.sequence.is_none());
        let own = table.own_defaults().filter(|(_, column, _)| column.number == old.number);
        for default in of_table.into_iter().chain(own.filter_map(|(_, _, default)| default)) {
            let target = Target { name: &new.name, ty: &new.ty };
            let from = own_type(&default.sql)?.unwrap_or_else(|| old.ty.clone());
            cells::check_assignable(&from, &target).map_err(|_| {
                let message = format!(
                    "default for column \"{}\" cannot be cast automatically to type {}",
                    new.name,
                    new.ty.bare()
                );
                Error::new(SqlState::DATATYPE_MISMATCH, message)
            })?;
        }
        let own = altered.own_defaults().filter(|(_, column, _)| column.number == old.number);
        let own: Vec<Oid> = own.map(|(part, ..)| part.oid).collect();
        for part in altered.parts().filter(|part| own.contains(&part.known_as())) {
            self.check_definition(&part, &[])?;
        }
        self.check_definition(altered, &[])
    }

    /// The sequence of an identity column follows its type.
    fn retyped_sequence(&self, table: &Table, position: usize, ty: &Type) -> Option<Sequence> {
        let column = &table.columns[position];
        column.identity?;
        let catalog = self.shared.current_catalog();
        let sequence = catalog.sequence_by_oid(column.sequence?)?;
        Some(crate::sql::ddl::sequence::with_type(sequence, ty))
    }

    /// 42804 unless the values that make up the column may be stored in it.
    fn check_source(&self, table: &Table, retype: &Retype) -> Result<()> {
        let (name, ty, using) = (retype.column, &retype.ty, retype.using);
        let sql = using.map_or_else(|| quote_ident(name), str::to_owned);
        let query = parse_query(&select(table, [sql.as_str()]))?;
        let planned = self.planned(&query)?;
        let Some(output) = planned.columns.first() else { return Ok(()) };
        let target = Target { name, ty };
        if is_text_literal(&sql) || cells::check_assignable(&output.ty, &target).is_ok() {
            return Ok(());
        }
        Err(match using {
            Some(_) => {
                let message = format!(
                    "result of USING clause for column \"{name}\" cannot be cast automatically to type {}",
                    ty.bare()
                );
                Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("You might need to add an explicit cast.")
            }
            None => {
                let message = format!("column \"{name}\" cannot be cast automatically to type {}", ty.bare());
                let hint = format!("You might need to specify \"USING {}::{ty}\".", quote_ident(name));
                Error::new(SqlState::DATATYPE_MISMATCH, message).hint(hint)
            }
        })
    }

    /// Copies the rows of a table, which is locked, into new files under its new definition.
    pub(super) async fn copy_rows(&mut self, table: &Arc<Table>, altered: Table) -> Result<()> {
        let sources = table.columns.iter().map(|column| {
            let now = altered.column_number(column.number).unwrap_or(column);
            (column.number, quote_ident(&column.name), now.ty.clone())
        });
        let old = self.old_rows(table, sources.collect()).await?;
        self.write_rows(altered, old).await
    }

    /// The rows of a table, which is locked, as columns of these numbers, sources and types will have them.
    async fn old_rows(&mut self, table: &Table, columns: Vec<(u16, String, Type)>) -> Result<OldRows> {
        // What committed before the lock was ours is seen from here on.
        self.start_statement()?;
        let query = parse_query(&select(table, columns.iter().map(|(_, source, _)| source.as_str())))?;
        let types: Vec<Type> = columns.iter().map(|(.., ty)| ty.clone()).collect();
        let query = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            Arc::new(query::plan_for(&query, &context, &types)?)
        };
        // It reads the old files, which it holds.
        let stream = self.query_stream(&query, &[]).await?;
        Ok(OldRows { stream, numbers: columns.iter().map(|(number, ..)| *number).collect() })
    }

    /// Writes rows into new files of a table under its new definition; columns that they do not have get their defaults.
    async fn write_rows(&mut self, altered: Table, mut old: OldRows) -> Result<()> {
        let altered = Arc::new(altered);
        let (checks, defaults) = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            let defaults =
                altered.columns.iter().map(|column| DefaultValue::of(column, &context, &self.shared));
            (Checks::of(&altered, &context)?, defaults.collect::<Result<Vec<_>>>()?)
        };
        let output_of = |column: &Column| old.numbers.iter().position(|number| *number == column.number);
        let outputs: Vec<Option<usize>> = altered.columns.iter().map(output_of).collect();
        let definition = (*altered).clone();
        self.retry(|transaction| transaction.rewrite_table(definition.clone())).await?;
        while let Some(batch) = old.stream.next().await {
            let batch = batch?;
            let mut rows = Vec::with_capacity(batch.num_rows());
            for row in 0..batch.num_rows() {
                let mut values = Vec::with_capacity(altered.columns.len());
                for ((column, output), default) in altered.columns.iter().zip(&outputs).zip(&defaults) {
                    values.push(match output {
                        Some(output) => {
                            let value = value_at(batch.column(*output), row, &column.ty)?;
                            cells::assign(value, &column.ty, Look::PLAIN)?
                        }
                        None => {
                            default.take(&column.ty, &self.shared, &mut || self.plain_execution(&[], &[]))?
                        }
                    });
                }
                rows.push(values);
            }
            self.cancel.check()?;
            checks
                .verify(&mut rows, &mut || self.plain_execution(&[], &[]))
                .map_err(|error| some_row(error, &altered))?;
            let oid = altered.oid;
            self.retry(|transaction| transaction.insert(oid, &rows, OnConflict::Error))
                .await
                .map_err(|error| some_row(error, &altered))?;
        }
        Ok(())
    }
}

/// Errors about one row, as ALTER TABLE words them for all.
fn some_row(error: Error, table: &Table) -> Error {
    let fields = error.fields();
    let constraint = fields.constraint.clone().unwrap_or_default();
    match error.state() {
        // Of a domain: they name no table.
        _ if fields.table.is_none() => error,
        SqlState::NOT_NULL_VIOLATION => {
            crate::sql::ddl::alter::contains_nulls(table, fields.column.as_deref().unwrap_or_default())
        }
        SqlState::CHECK_VIOLATION => crate::sql::ddl::alter::violated_by_some_row(table, &constraint),
        SqlState::UNIQUE_VIOLATION => {
            let detail =
                fields.detail.as_deref().unwrap_or_default().replace("already exists", "is duplicated");
            Error::new(SqlState::UNIQUE_VIOLATION, format!("could not create unique index \"{constraint}\""))
                .detail(detail)
                .table(&table.schema, &table.name)
                .constraint(&constraint)
        }
        _ => error,
    }
}

/// Whether cells of the one type are cells of the other as they are.
fn same_bytes(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Varchar(_) | Type::Text, Type::Text | Type::Varchar(None)) => true,
        (Type::Varchar(Some(old)), Type::Varchar(Some(new))) => old <= new,
        _ => false,
    }
}

/// The type of a literal that says its type itself.
fn own_type(sql: &str) -> Result<Option<Type>> {
    Ok(match cells::literal(&dialect::parse_expression(sql)?, Look::PLAIN)? {
        Some(cells::Constant::Typed(_, ty)) => Some(ty),
        _ => None,
    })
}

fn is_text_literal(sql: &str) -> bool {
    dialect::parse_expression(sql)
        .and_then(|expression| cells::literal(&expression, Look::PLAIN))
        .is_ok_and(|literal| matches!(literal, Some(cells::Constant::Unknown(_) | cells::Constant::Null)))
}

fn select<'a>(table: &Table, expressions: impl IntoIterator<Item = &'a str>) -> String {
    let list: Vec<String> =
        expressions.into_iter().enumerate().map(|(n, sql)| format!("{sql} AS c{n}")).collect();
    format!("SELECT {} FROM {}", list.join(", "), qualified(&table.schema, &table.name))
}

/// Whether a table's stored expression names the column.
pub fn names_column(sql: &str, table: &Table, number: u16) -> Result<bool> {
    Ok(columns_of(sql, table)?.contains(&number))
}
