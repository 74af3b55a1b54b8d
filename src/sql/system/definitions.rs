//! Indexes and constraints as the SQL that would make them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast;

use crate::catalog::{
    Catalog, Constraint, ConstraintKind, Domain, DomainCheck, Index, IndexMethod, Oid, ReferentialAction,
    StoredQuery, Table,
};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::dialect;
use crate::sql::relation_words;
use crate::sql::rewrite::with_names;
use crate::sql::search_words;
use crate::sql::system::deparse;
use crate::sql::system::names::{qualified, quote_ident, regclass_out};
use crate::sql::system::types::is_default_opclass;
use crate::sql::system::view_columns;
use crate::sql::visit;
use crate::sql::words::fold;
use crate::types::Value;

/// pgvector's defaults, which a definition leaves out.
const HNSW_M: u32 = 16;
const HNSW_EF_CONSTRUCTION: u32 = 64;
const IVFFLAT_LISTS: u32 = 100;

/// WITH of an index: its storage parameters, and of a vector index what is not the default.
pub fn index_options(index: &Index) -> Vec<(String, String)> {
    let numbers = vector_options(index).into_iter().map(|(name, value)| (name.to_owned(), value));
    numbers.chain(index.options.iter().cloned()).collect()
}

fn vector_options(index: &Index) -> Vec<(&'static str, String)> {
    let mut numbers = Vec::new();
    if let Some(hnsw) = &index.hnsw {
        numbers.push(("m", u32::from(hnsw.m), HNSW_M));
        numbers.push(("ef_construction", hnsw.ef_construction.into(), HNSW_EF_CONSTRUCTION));
    }
    numbers.extend(index.ivfflat.iter().map(|ivfflat| ("lists", ivfflat.lists, IVFFLAT_LISTS)));
    let numbers = numbers.into_iter().filter(|(_, value, default)| value != default);
    let quantization = index.hnsw.and_then(|hnsw| hnsw.quantization);
    let quantization = quantization.map(|quantization| ("quantization", quantization.name().to_owned()));
    numbers.map(|(name, value, _)| (name, value.to_string())).chain(quantization).collect()
}

/// The query of a view as pg_get_viewdef() shows it: indented by one, a clause a line, with a semicolon.
/// None of what is no view.
pub fn view_definition(view: Oid, execution: &Execution) -> Option<String> {
    let catalog = execution.session.catalog();
    if let Some(view) = catalog.view_by_oid(view) {
        let columns: Vec<&str> = view.columns.iter().map(|column| column.name.as_str()).collect();
        return Some(query_definition(&view.query, &columns, execution));
    }
    let table = catalog.table_by_oid(view)?;
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let materialized = table.materialized.as_ref()?;
    Some(query_definition(&materialized.query, &columns, execution))
}

fn query_definition(query: &StoredQuery, columns: &[&str], execution: &Execution) -> String {
    match as_seen(&query.sql, columns, execution) {
        Ok(seen) => format!(" {};", relation_words::shown(search_words::shown(seen))),
        Err(_) => format!(" {};", query.sql),
    }
}

/// A stored query with the names of its columns, without the schemas that the search path leads to.
fn as_seen(sql: &str, columns: &[&str], execution: &Execution) -> Result<String> {
    let mut query = dialect::parse_query(sql)?;
    view_columns::name(&mut query, columns);
    let (catalog, path) = (execution.session.catalog(), execution.session.search_path());
    let is_seen = |schema: &str, name: &str| {
        let first = path.iter().find(|schema| catalog.relation(schema, name).is_some());
        // Those of pg_catalog come first.
        !name.starts_with("pg_") && first.is_some_and(|first| first == schema)
    };
    let mut parts = Parts::default();
    let _ = visit::walk(&query, &mut parts);
    let _ = visit::relations_mut(&mut query, |name| {
        if let [schema, table] = name.0.as_slice()
            && let (Some(schema), Some(table)) = (schema.as_ident(), table.as_ident())
            && !parts.names.contains(&fold(table))
            && is_seen(&fold(schema), &fold(table))
        {
            name.0.remove(0);
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(query.to_string())
}

/// The names that WITH gives, anywhere in a query.
#[derive(Default)]
struct Parts {
    names: Vec<String>,
}

impl ast::Visitor for Parts {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        self.names.extend(with_names(query));
        ControlFlow::Continue(())
    }
}

/// `CREATE UNIQUE INDEX i ON public.t USING btree (a, b) WHERE (c > 0)`. `bare_table`: without the table's schema, and
/// expressions without needless parentheses.
pub fn index_definition(
    catalog: &Catalog,
    index: &Index,
    bare_table: bool,
    extension: &str,
) -> Option<String> {
    let table = catalog.rows_by_oid(index.table)?;
    let unique = if index.unique { "UNIQUE " } else { "" };
    let relation = match bare_table {
        true => quote_ident(&table.name),
        false => qualified(&table.schema, &table.name),
    };
    let only = if table.is_partitioned() { "ONLY " } else { "" };
    let columns: Vec<String> = (0..index.columns.len())
        .filter_map(|place| index_column(table, index, place, Some(extension), bare_table))
        .collect();
    let included = (index.columns.len()..index.columns.len() + index.included.len())
        .filter_map(|place| index_column(table, index, place, None, bare_table));
    let included: Vec<String> = included.collect();
    let include =
        if included.is_empty() { String::new() } else { format!(" INCLUDE ({})", included.join(", ")) };
    // Words that need no quotes have none.
    let quotes = |value: &str| index.options.is_empty() || quote_ident(value) != value;
    let options = index_options(index).into_iter().map(|(name, value)| match quotes(&value) {
        true => format!("{name}='{value}'"),
        false => format!("{name}={value}"),
    });
    let options: Vec<String> = options.collect();
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    let nulls = if index.nulls_equal { " NULLS NOT DISTINCT" } else { "" };
    let predicate = index.predicate.as_ref();
    let predicate = predicate.map(|predicate| deparse::expression(&predicate.sql, table, bare_table));
    let condition = predicate.map_or_else(String::new, |predicate| format!(" WHERE {predicate}"));
    Some(format!(
        "CREATE {unique}INDEX {} ON {only}{relation} USING {} ({}){include}{nulls}{with}{condition}",
        quote_ident(&index.name),
        index.method.name(),
        columns.join(", ")
    ))
}

/// Whether a column (by number) is one that an index is on and nobody sees.
pub fn is_hidden(table: &Table, number: u16) -> bool {
    table.hidden.iter().any(|column| column.number == number)
}

/// One column of an index; with what is before the names of the extension's operator classes, also with its own and how
/// it is sorted, when those say something.
pub fn index_column(
    table: &Table,
    index: &Index,
    place: usize,
    classes: Option<&str>,
    pretty: bool,
) -> Option<String> {
    let number = *index.columns.iter().chain(&index.included).nth(place)?;
    let column = table.column_number(number)?;
    let name = match (&column.generated, is_hidden(table, number)) {
        (Some(generated), true) => deparse::index_expression(&generated.sql, table, pretty),
        _ => quote_ident(&column.name),
    };
    let class = index
        .opclasses
        .get(place)
        .filter(|class| !class.is_empty() && !is_default_opclass(index.method, class, &column.ty));
    let Some(extension) = classes else { return Some(name) };
    let order = index.orders.get(place).copied().unwrap_or_default().sql();
    Some(match class {
        Some(class) if matches!(index.method, IndexMethod::Hnsw | IndexMethod::Ivfflat) => {
            format!("{name} {extension}{class}{order}")
        }
        Some(class) => format!("{name} {class}{order}"),
        None => format!("{name}{order}"),
    })
}

/// `PRIMARY KEY (a, b)`, `CHECK ((a > 0))`; `pretty` leaves out the inner parentheses.
pub fn constraint_definition(
    execution: &Execution,
    table: &Table,
    constraint: &Constraint,
    pretty: bool,
) -> String {
    let mut definition = definition_of(execution, table, constraint, pretty);
    if constraint.no_inherit {
        definition.push_str(" NO INHERIT");
    }
    if constraint.not_valid { format!("{definition} NOT VALID") } else { definition }
}

/// A condition of a domain as pg_get_constraintdef() shows it.
pub fn domain_check_definition(domain: &Domain, check: &DomainCheck, pretty: bool) -> String {
    let definition = format!("CHECK ({})", deparse::domain_check(&check.sql, &domain.base, pretty));
    if check.not_valid { format!("{definition} NOT VALID") } else { definition }
}

fn definition_of(execution: &Execution, table: &Table, constraint: &Constraint, pretty: bool) -> String {
    let list = |columns: &[u16]| {
        let names = columns.iter().filter_map(|&number| table.column_number(number));
        names.map(|column| quote_ident(&column.name)).collect::<Vec<_>>().join(", ")
    };
    let included = match constraint.included.as_slice() {
        [] => String::new(),
        columns => format!(" INCLUDE ({})", list(columns)),
    };
    match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } => {
            format!("PRIMARY KEY ({}){included}{}", list(columns), constraint.deferral.sql())
        }
        ConstraintKind::Unique { columns, nulls_equal } => {
            let nulls = if *nulls_equal { "NULLS NOT DISTINCT " } else { "" };
            format!("UNIQUE {nulls}({}){included}{}", list(columns), constraint.deferral.sql())
        }
        ConstraintKind::Check { sql } => format!("CHECK ({})", deparse::expression(sql, table, pretty)),
        ConstraintKind::NotNull { column } => format!("NOT NULL {}", list(&[*column])),
        ConstraintKind::ForeignKey(key) => {
            let parent = execution.session.catalog().table_by_oid(key.table).cloned();
            let names = key.referenced.iter();
            let names = names.filter_map(|&number| parent.as_ref()?.column_number(number));
            let names: Vec<String> = names.map(|column| quote_ident(&column.name)).collect();
            let mut sql = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                list(&key.columns),
                regclass_out(execution, key.table),
                names.join(", ")
            );
            if key.full {
                sql.push_str(" MATCH FULL");
            }
            let actions = [(" ON UPDATE ", key.on_update), (" ON DELETE ", key.on_delete)];
            for (words, action) in actions.iter().filter(|(_, action)| *action != ReferentialAction::NoAction)
            {
                sql.push_str(words);
                sql.push_str(action.sql());
            }
            if !key.set_on_delete.is_empty() {
                sql.push_str(&format!(" ({})", list(&key.set_on_delete)));
            }
            sql.push_str(key.deferral.sql());
            sql
        }
    }
}

/// Numbers of the table's columns whose names stand in an expression.
pub fn columns_in(table: &Table, sql: &str) -> Vec<Value> {
    let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let named = table.columns.iter().filter(|column| words.contains(&column.name.as_str()));
    named.map(|column| Value::Int2(column.number as i16)).collect()
}
