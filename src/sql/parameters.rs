//! The parameters that a statement names: which, and of which domains.
//!
//! Their types come with the plan. A domain is planned as its base type, so that what is of a domain is found in the
//! tree: `$1::percent`, and what is assigned to a column of one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, SetExpr, Visit};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::{Catalog, Oid, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::arguments::parameter;
use crate::sql::dialect::raw_tokens;
use crate::sql::domains;
use crate::sql::rewrite::folded;
use crate::sql::source::Source;
use crate::sql::statement::{Ast, Name};
use crate::sql::trees::computed;
use crate::sql::visit;
use crate::sql::words::object_name;
use crate::types::Type;

/// The number of a parameter.
fn number_of(expr: &Expr) -> Option<usize> {
    parameter(expr)?.parse().ok().filter(|number| *number > 0)
}

/// The numbers of the parameters that a statement names.
pub fn named(ast: &Ast) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    expressions(ast, &mut |expr| found.extend(number_of(expr)));
    found
}

/// 42P02 for the first parameter in the text of a statement that has none, since nobody can give it a value.
pub fn absent(text: &str) -> Error {
    let tokens = raw_tokens(&Source::of(text)).unwrap_or_default();
    let name = tokens.iter().find_map(|token| match &token.token {
        Token::Placeholder(name) => Some(name.as_str()),
        _ => None,
    });
    let message = format!("there is no parameter {}", name.unwrap_or("$1"));
    Error::new(SqlState::UNDEFINED_PARAMETER, message)
}

/// 42P18 for a parameter below the last of `count` when its type was not declared and the text does not name it. The text
/// is asked, and not the tree, from which subscripts of what SET assigns to are taken out.
pub fn check_named(text: &str, declared: &[Option<Type>], count: usize) -> Result<()> {
    let is_open = |number: &usize| declared.get(number - 1).is_none_or(Option::is_none);
    // The last is named.
    if !(1..count).any(|number| is_open(&number)) {
        return Ok(());
    }
    let tokens = raw_tokens(&Source::of(text)).unwrap_or_default();
    let named: BTreeSet<usize> = tokens
        .iter()
        .filter_map(|token| match &token.token {
            Token::Placeholder(name) => name.trim_start_matches('$').parse().ok(),
            _ => None,
        })
        .collect();
    match (1..=count).find(|number| is_open(number) && !named.contains(number)) {
        Some(number) => {
            let message = format!("could not determine data type of parameter ${number}");
            Err(Error::new(SqlState::INDETERMINATE_DATATYPE, message))
        }
        None => Ok(()),
    }
}

/// Looks at the expressions of a statement that may have parameters.
fn expressions(ast: &Ast, look: &mut impl FnMut(&Expr)) {
    fn each(tree: &impl Visit, look: &mut impl FnMut(&Expr)) {
        let _ = visit::expressions(tree, |expr| {
            look(expr);
            ControlFlow::<()>::Continue(())
        });
    }
    match ast {
        Ast::Query(query) | Ast::Declare { query, .. } => each(query.as_ref(), look),
        Ast::Insert(insert, _) => each(insert.as_ref(), look),
        Ast::Update(update) => each(update.as_ref(), look),
        Ast::Delete(delete) => each(delete.as_ref(), look),
        Ast::Merge(merge) => each(merge.as_ref(), look),
        Ast::Explain(explain) => expressions(&explain.statement, look),
        Ast::Staged(staged) => {
            staged.parts.iter().for_each(|part| expressions(&part.statement, look));
            expressions(&staged.main, look);
        }
        _ => {}
    }
}

/// The domains of parameters, by number.
pub fn domains_of(ast: &Ast, catalog: &Catalog, search_path: &[String]) -> BTreeMap<usize, Oid> {
    let mut found = BTreeMap::new();
    expressions(ast, &mut |expr| {
        if let Expr::Cast { expr, data_type, .. } = expr
            && let Some(number) = number_of(expr)
            && let Some(domain) = domains::meant(data_type, catalog, search_path)
        {
            found.entry(number).or_insert(domain.oid);
        }
    });
    assigned(ast, catalog, search_path, &mut found);
    found
}

/// Notes the parameters that a statement assigns to columns of domains.
fn assigned(ast: &Ast, catalog: &Catalog, search_path: &[String], found: &mut BTreeMap<usize, Oid>) {
    let table_of = |name: &ast::ObjectName| table(&object_name(name), catalog, search_path);
    let mut note = |table: &Table, column: &str, value: &Expr| {
        let domain = table.column(column).and_then(|column| column.domain);
        if let (Some(number), Some(domain)) = (number_of(value), domain) {
            found.entry(number).or_insert(domain);
        }
    };
    let mut set = |table: &Table, assignments: &[ast::Assignment]| {
        for assignment in assignments {
            if let ast::AssignmentTarget::ColumnName(name) = &assignment.target
                && let Some(column) = name.0.last().and_then(|part| part.as_ident())
            {
                note(table, &folded(column), &assignment.value);
            }
        }
    };
    match ast {
        Ast::Insert(insert, _) => {
            let ast::TableObject::TableName(name) = &insert.table else { return };
            let Some(table) = table_of(name) else { return };
            if let Some(ast::OnInsert::OnConflict(conflict)) = &insert.on
                && let ast::OnConflictAction::DoUpdate(update) = &conflict.action
            {
                set(table, &update.assignments);
            }
            let columns: Vec<String> = match insert.columns.as_slice() {
                [] => table.columns.iter().map(|column| column.name.clone()).collect(),
                columns => {
                    columns.iter().filter_map(|name| Some(folded(name.0.last()?.as_ident()?))).collect()
                }
            };
            match insert.source.as_ref().map(|source| source.body.as_ref()) {
                Some(SetExpr::Values(values)) => {
                    for row in &values.rows {
                        columns
                            .iter()
                            .zip(&row.content)
                            .for_each(|(column, value)| note(table, column, value));
                    }
                }
                Some(SetExpr::Select(select)) => {
                    let values = select.projection.iter().map_while(computed);
                    columns.iter().zip(values).for_each(|(column, value)| note(table, column, value));
                }
                _ => {}
            }
        }
        Ast::Update(update) => {
            let ast::TableFactor::Table { name, .. } = &update.table.relation else { return };
            let Some(table) = table_of(name) else { return };
            set(table, &update.assignments);
        }
        Ast::Staged(staged) => {
            for part in &staged.parts {
                assigned(&part.statement, catalog, search_path, found);
            }
            assigned(&staged.main, catalog, search_path, found);
        }
        _ => {}
    }
}

fn table<'a>(name: &Name, catalog: &'a Catalog, search_path: &[String]) -> Option<&'a Table> {
    let found = match &name.schema {
        Some(schema) => catalog.rows_named(schema, &name.name),
        None => search_path.iter().find_map(|schema| catalog.rows_named(schema, &name.name)),
    };
    found.map(|table| table.as_ref())
}
