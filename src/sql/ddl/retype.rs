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

use futures::StreamExt;

use crate::catalog::{Edit, IndexMethod, Object, Oid, Sequence, Table};
use crate::database::OnConflict;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::references::columns_of;
use crate::sql::dialect::{self, parse_query};
use crate::sql::dml::cells::{self, Target};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::rows::Checks;
use crate::sql::query;
use crate::sql::session::Session;
use crate::sql::system::{qualified, quote_ident};
use crate::types::arrow::value_at;
use crate::types::{Look, Type};

/// What a column of the new definition is made of.
pub enum Source {
    /// An expression over the old row, as SQL.
    Expression(String),
    /// The column's default, taken for each row.
    Default,
}

impl Source {
    pub fn column(name: &str) -> Source {
        Source::Expression(quote_ident(name))
    }
}

impl Session {
    /// ALTER COLUMN ... TYPE.
    pub(super) async fn alter_type(
        &mut self,
        table: &Arc<Table>,
        name: &str,
        (ty, domain): (&Type, Option<Oid>),
        using: Option<&str>,
    ) -> Result<()> {
        let position = self.position(table, name)?;
        let old = &table.columns[position];
        super::partition::refuse_key_column(table, old.number, "alter")?;
        self.refuse_retype(table, name, old.number)?;
        self.refuse_generated(table, position, using.is_some())?;
        self.refuse_type(table, position, ty)?;
        if old.ty == *ty && old.domain == domain && using.is_none() {
            return Ok(());
        }
        let mut altered = (**table).clone();
        let column = &mut altered.columns[position];
        column.ty = ty.clone();
        column.domain = domain;
        column.missing = None;
        let hidden_changed = self.retype_hidden(&mut altered)?;
        self.refuse_hidden_types(&altered)?;
        let column = &mut altered.columns[position];
        let same = same_bytes(&old.ty, ty) || old.ty == *ty;
        if using.is_none() && domain.is_none() && same && !hidden_changed {
            column.missing.clone_from(&old.missing);
            self.check_default(table, &altered, position)?;
            return self.put(altered).await;
        }
        let sequence = self.retyped_sequence(table, position, ty);
        let mut sources: Vec<Source> =
            table.columns.iter().map(|column| Source::column(&column.name)).collect();
        if let Some(using) = using {
            sources[position] = Source::Expression(using.to_string());
        }
        self.check_source(table, &sources[position], &altered, position, using.is_some())?;
        self.check_default(table, &altered, position)?;
        if let Some(sequence) = sequence {
            self.edit(vec![Edit::Put(Object::Sequence(sequence))]).await?;
        }
        self.copy_rows(table, altered, sources).await
    }

    /// COLLATE of ALTER COLUMN ... TYPE; without one the column has that of the type.
    pub(super) async fn set_collation(
        &mut self,
        table: Oid,
        name: &str,
        collation: Option<&String>,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let Some(table) = catalog.table_by_oid(table) else { return Ok(()) };
        let position = self.position(table, name)?;
        if table.columns[position].collation.as_ref() == collation {
            return Ok(());
        }
        let mut altered = (**table).clone();
        altered.columns[position].collation = collation.cloned();
        self.put(altered).await
    }

    /// What is generated from the column would change with it, and a generated column makes its values itself.
    fn refuse_generated(&self, table: &Table, position: usize, using: bool) -> Result<()> {
        let column = &table.columns[position];
        if column.generated.is_some() && using {
            let message = "cannot specify USING when altering type of generated column";
            return Err(Error::new(SqlState("42611"), message)
                .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
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
                (_, Type::Bit(_) | Type::Varbit(_) | Type::Array(_) | Type::Json | Type::Jsonb) => false,
                (_, Type::TsVector | Type::TsQuery) => false,
                (_, ty) => !ty.is_pgvectors(),
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
    fn check_source(
        &self,
        table: &Table,
        source: &Source,
        altered: &Table,
        position: usize,
        using: bool,
    ) -> Result<()> {
        let Source::Expression(sql) = source else { return Ok(()) };
        let column = &altered.columns[position];
        let query = parse_query(&select(table, [sql.as_str()]))?;
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let planned =
            query::plan(&query, &self.plan_context(&self.shared.environment(), &catalog, &schemas))?;
        let Some(output) = planned.columns.first() else { return Ok(()) };
        let target = Target { name: &column.name, ty: &column.ty };
        if is_text_literal(sql) || cells::check_assignable(&output.ty, &target).is_ok() {
            return Ok(());
        }
        let name = &column.name;
        Err(match using {
            true => {
                let message = format!(
                    "result of USING clause for column \"{name}\" cannot be cast automatically to type {}",
                    column.ty.bare()
                );
                Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("You might need to add an explicit cast.")
            }
            false => {
                let message =
                    format!("column \"{name}\" cannot be cast automatically to type {}", column.ty.bare());
                let hint =
                    format!("You might need to specify \"USING {}::{}\".", quote_ident(name), column.ty);
                Error::new(SqlState::DATATYPE_MISMATCH, message).hint(hint)
            }
        })
    }

    /// Copies the rows of a table, which is locked, into new files under its new definition.
    pub(super) async fn copy_rows(
        &mut self,
        table: &Arc<Table>,
        altered: Table,
        sources: Vec<Source>,
    ) -> Result<()> {
        // What committed before the lock was ours is seen from here on.
        self.start_statement()?;
        let altered = Arc::new(altered);
        let expressions = sources.iter().filter_map(|source| match source {
            Source::Expression(sql) => Some(sql.as_str()),
            Source::Default => None,
        });
        let query = parse_query(&select(table, expressions))?;
        let computed = |position: &usize| matches!(sources[*position], Source::Expression(_));
        let positions: Vec<usize> = (0..sources.len()).filter(computed).collect();
        let types: Vec<Type> = positions.iter().map(|&p| altered.columns[p].ty.clone()).collect();
        let (query, checks, defaults) = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            let defaults =
                altered.columns.iter().map(|column| DefaultValue::of(column, &context, &self.shared));
            let query = Arc::new(query::plan_for(&query, &context, &types)?);
            (query, Checks::of(&altered, &context)?, defaults.collect::<Result<Vec<_>>>()?)
        };
        // The stream reads the old files, which it holds.
        let mut stream = self.query_stream(&query, &[]).await?;
        let definition = (*altered).clone();
        self.retry(|transaction| transaction.rewrite_table(definition.clone())).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let mut rows = Vec::with_capacity(batch.num_rows());
            for row in 0..batch.num_rows() {
                let mut values = Vec::with_capacity(sources.len());
                let mut output = 0;
                for (column, source) in altered.columns.iter().zip(&sources) {
                    values.push(match source {
                        Source::Expression(_) => {
                            let value = value_at(batch.column(output), row, &column.ty)?;
                            output += 1;
                            cells::assign(value, &column.ty, Look::PLAIN)?
                        }
                        Source::Default => {
                            let default = &defaults[values.len()];
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
