//! What FROM names, as far as it is known before a query is planned: columns and primary keys of tables and views.
//!
//! Some of PostgreSQL's rules are about names, and must be applied to the tree: which columns NATURAL JOIN has in common,
//! which columns belong to a row once its primary key is grouped by.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, Query, SetExpr, TableAlias, TableFactor,
};

use crate::catalog::{ConstraintKind, Domain, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::ddl::TEMPORARY_ALIAS;
use crate::sql::item_names::name_of_item;
use crate::sql::partitions::condition_sql;
use crate::sql::rewrite::{self, folded};
use crate::sql::{dialect, domains, routines, system, system_columns};
use crate::types::Type;

/// Domains whose conditions cast to one another.
const DOMAINS_MAX: u8 = 16;

/// The relations that queries can name.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    context: Option<&'a PlanContext<'a>>,
    /// How many conditions of domains are around.
    depth: u8,
}

/// A relation as a query sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    pub names: Vec<String>,
    /// Those of the primary key.
    pub key: Vec<String>,
}

impl<'a> Known<'a> {
    pub fn new(context: &'a PlanContext<'a>) -> Known<'a> {
        Known { context: Some(context), depth: 0 }
    }

    /// A table or view by its name. `hidden` are names that stand for something else: those of WITH.
    pub fn columns(&self, name: &ObjectName, hidden: &[String]) -> Option<Columns> {
        self.found(name, hidden).map(|(_, columns)| columns)
    }

    /// The schema of a table or view; see [`Self::columns`].
    pub fn schema_of(&self, name: &ObjectName, hidden: &[String]) -> Option<String> {
        self.found(name, hidden).map(|((schema, _), _)| schema)
    }

    /// The schema and name of a table or view, and its columns.
    fn found(&self, name: &ObjectName, hidden: &[String]) -> Option<((String, String), Columns)> {
        let context = self.context?;
        let in_schema = |schema: &str, name: &str| {
            Some(((schema.to_owned(), name.to_owned()), columns_in(context, schema, name)?))
        };
        match self.parts_of(name)?.as_slice() {
            [name] => {
                let staged = context.staged.iter().any(|part| part.name == *name);
                let system = || context.environment.system().table("pg_catalog", name).is_some();
                if staged || hidden.contains(name) || system() {
                    return None;
                }
                context.search_path.iter().find_map(|schema| in_schema(schema, name))
            }
            [schema, name] => in_schema(schema, name),
            _ => None,
        }
    }

    /// Whether a name is a view's; `hidden` as in [`Self::columns`].
    pub fn is_view(&self, name: &ObjectName, hidden: &[String]) -> bool {
        let found = self.found(name, hidden).map(|(name, _)| name);
        let catalog = self.context.map(|context| context.catalog);
        found.zip(catalog).is_some_and(|((schema, name), catalog)| catalog.view(&schema, &name).is_some())
    }

    /// The name of a relation with its schema, where that is found.
    pub fn whole_name(&self, name: &ObjectName) -> Vec<String> {
        let found = self.base_table(name, &[]).map(|table| vec![table.schema.clone(), table.name.clone()]);
        found.or_else(|| self.parts_of(name)).unwrap_or_default()
    }

    /// `tableoid` of a partitioned table's rows, which says in which partition each is. The table is called `called`.
    pub fn partition_oid(&self, name: &ObjectName, called: &str) -> Option<Expr> {
        let table = self.base_table(name, &[])?;
        table.is_partitioned().then(|| table_oid(table, called)).flatten()
    }

    /// The table, materialized view or partition of this name; `hidden` as in [`Self::columns`].
    pub fn base_table(&self, name: &ObjectName, hidden: &[String]) -> Option<&'a Arc<Table>> {
        let ((schema, name), _) = self.found(name, hidden)?;
        self.context?.catalog.rows_named(&schema, &name)
    }

    /// The parts of a name as they are compared: without a mark and this database's name, temporary tables in their schema.
    fn parts_of(&self, name: &ObjectName) -> Option<Vec<String>> {
        let context = self.context?;
        let name = system_columns::unmarked(name);
        let mut parts: Vec<String> =
            name.0.iter().map(|part| part.as_ident().map(folded)).collect::<Option<_>>()?;
        if parts.len() == 3 && parts[0] == context.database {
            parts.remove(0);
        }
        if parts.len() == 2 && parts[0] == TEMPORARY_ALIAS {
            parts[0] = context.temporary_schema()?.to_owned();
        }
        Some(parts)
    }

    /// How many dimensions the arrays of a parameter have, as `$1`; `None` where its type is not known yet, or is none of
    /// arrays.
    pub fn parameter_dimensions(&self, name: &str) -> Option<usize> {
        let number = name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1)?;
        let ty = self.context?.param_types.get(number)?.as_ref()?;
        Some(ty.dimensions()).filter(|dimensions| *dimensions > 0)
    }

    /// The domain that the type of a cast means, with all that it asks.
    pub fn domain(&self, data_type: &ast::DataType) -> Option<Arc<Domain>> {
        let context = self.context?;
        let domain = domains::meant(data_type, context.catalog, context.search_path)?;
        Some(context.catalog.whole_domain(domain))
    }

    /// A condition of a domain as it is planned. Conditions may cast to other domains, and those to others; 54001 when that
    /// does not end.
    pub fn condition(&self, sql: &str) -> Result<Expr> {
        let mut condition = dialect::parse_expression(sql)?;
        let deeper = Known { depth: self.depth + 1, ..*self };
        if deeper.depth > DOMAINS_MAX {
            return Err(Error::new(SqlState("54001"), "conditions of domains cast to one another"));
        }
        if let Some(context) = self.context {
            routines::expand(&mut condition, context)?;
        }
        system::rewrite::expression(&mut condition);
        rewrite::expression(&mut condition, deeper)?;
        Ok(condition)
    }

    /// The columns of a table with their types.
    pub fn types(&self, name: &ObjectName, hidden: &[String]) -> Option<Vec<(String, Type)>> {
        let columns = self.base_table(name, hidden)?.columns.iter();
        Some(columns.map(|column| (column.name.clone(), column.ty.clone())).collect())
    }

    /// The fields of a composite type, or the columns of a table, that the type of a cast means.
    pub fn fields(&self, name: &ObjectName, hidden: &[String]) -> Option<Vec<(String, Type)>> {
        self.types(name, hidden).or_else(|| {
            let context = self.context?;
            let parts = self.parts_of(name)?;
            let is_named = |schema: &str, name: &str| {
                context
                    .catalog
                    .composites()
                    .find(|found| found.definition.schema == schema && found.definition.name == name)
            };
            let composite = match parts.as_slice() {
                [name] => context.search_path.iter().find_map(|schema| is_named(schema, name))?,
                [schema, name] => is_named(schema, name)?,
                _ => return None,
            };
            let fields = composite.definition.fields.iter();
            Some(fields.map(|field| (field.name.clone(), field.ty.clone())).collect())
        })
    }

    /// An item of FROM under its alias.
    pub fn columns_of(&self, factor: &TableFactor, hidden: &[String]) -> Option<Columns> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                renamed(self.columns(name, hidden)?, alias.as_ref())
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let names = outputs(subquery);
                // An alias may name all of them.
                let names = names.or_else(|| {
                    let columns = &alias.as_ref()?.columns;
                    let is_whole = matches!(subquery.body.as_ref(), SetExpr::Values(values)
                        if values.rows.first().is_some_and(|row| row.len() == columns.len()));
                    is_whole.then(|| columns.iter().map(|column| folded(&column.name)).collect())
                })?;
                renamed(Columns { names, key: Vec::new() }, alias.as_ref())
            }
            _ => None,
        }
    }
}

/// `tableoid` of the rows of a table that is called `called`: for a partitioned one, that of the row's partition.
pub fn table_oid(table: &Table, called: &str) -> Option<Expr> {
    let oid_of = |table: &Table| {
        let name = system::qualified(&table.schema, &table.name);
        format!("hither_regclass_in('{}')", name.replace('\'', "''"))
    };
    let Some(by) = &table.partitioning else { return dialect::parse_expression(&oid_of(table)).ok() };
    let key = system::quote_ident(&table.column_number(by.column)?.name);
    let key = format!("{}.{key}", system::quote_ident(called));
    let mut cases = String::new();
    let mut rest = "NULL".to_owned();
    for part in table.parts() {
        let Some(section) = &part.part else { continue };
        if section.keys.others {
            rest = oid_of(&part);
        } else if let Some(condition) = condition_sql(&key, &section.keys) {
            cases.push_str(&format!(" WHEN {condition} THEN {}", oid_of(&part)));
        }
    }
    let sql = if cases.is_empty() { rest } else { format!("(CASE{cases} ELSE {rest} END)") };
    dialect::parse_expression(&sql).ok()
}

fn columns_in(context: &PlanContext, schema: &str, name: &str) -> Option<Columns> {
    if context.environment.system().table(schema, name).is_some() {
        return None;
    }
    if let Some(view) = context.catalog.view(schema, name) {
        let names = view.columns.iter().map(|column| column.name.clone()).collect();
        return Some(Columns { names, key: Vec::new() });
    }
    let table = context.catalog.rows_named(schema, name)?;
    let names = table.columns.iter().map(|column| column.name.clone()).collect();
    let key = table.constraints.iter().find_map(|constraint| match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } => Some(columns),
        _ => None,
    });
    let key = key.into_iter().flatten().filter_map(|number| table.column_number(*number));
    Some(Columns { names, key: key.map(|column| column.name.clone()).collect() })
}

/// With the names that an alias gives.
fn renamed(mut columns: Columns, alias: Option<&TableAlias>) -> Option<Columns> {
    let given = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    if given.len() > columns.names.len() {
        return None;
    }
    for (place, given) in given.iter().enumerate() {
        let former = std::mem::replace(&mut columns.names[place], folded(&given.name));
        let new = &columns.names[place];
        columns.key.iter_mut().filter(|key| **key == former).for_each(|key| key.clone_from(new));
    }
    Some(columns)
}

/// The names of a query's columns, where its list says them.
pub fn outputs(query: &Query) -> Option<Vec<String>> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => {
                return select.projection.iter().map(name_of_item).collect();
            }
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &query.body,
            _ => return None,
        }
    }
}

/// What a relation of FROM is called.
pub fn qualifier(factor: &TableFactor) -> Option<Vec<Ident>> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(vec![alias.name.clone()]),
        TableFactor::Table { name, alias: None, .. } => {
            name.0.iter().map(|part| part.as_ident().cloned()).collect()
        }
        _ => None,
    }
}

/// `relation.column`
pub fn qualified(relation: &[Ident], column: &Ident) -> Expr {
    Expr::CompoundIdentifier(relation.iter().chain([column]).cloned().collect())
}

/// A column's name as a quoted identifier.
pub fn quoted(column: &str) -> Ident {
    Ident::with_quote('"', column)
}

/// The items of FROM, those in brackets too.
pub fn factors(from: &[ast::TableWithJoins]) -> Vec<&TableFactor> {
    let mut all = Vec::new();
    for item in from {
        let joined = item.joins.iter().map(|join| &join.relation);
        for factor in std::iter::once(&item.relation).chain(joined) {
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => {
                    all.extend(factors(std::slice::from_ref(table_with_joins)));
                }
                factor => all.push(factor),
            }
        }
    }
    all
}

/// [`factors`], to change them.
pub fn factors_mut(from: &mut [ast::TableWithJoins]) -> Vec<&mut TableFactor> {
    let mut all = Vec::new();
    for item in from {
        let joined = item.joins.iter_mut().map(|join| &mut join.relation);
        for factor in std::iter::once(&mut item.relation).chain(joined) {
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => {
                    all.extend(factors_mut(std::slice::from_mut(table_with_joins)));
                }
                factor => all.push(factor),
            }
        }
    }
    all
}
