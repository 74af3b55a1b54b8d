//! The query of a function.
//!
//! The stored text is read when the function is called, and names in it are looked up then, as PostgreSQL does with a body
//! in quotes. Parameters become `$1`, `$2`, ...; a column of the same name wins, as in PostgreSQL.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, SelectItem, SetExpr, TableFactor, Value, ValueWithSpan, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::catalog::{Body, Catalog, Function, Relation, Returns};
use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::rewrite::name_of;
use crate::sql::statement::Ast;
use crate::sql::trees::computed;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::types::Type;

/// The query, with parameters by number.
pub fn query(function: &Function, catalog: &Catalog, search_path: &[String]) -> Result<Box<ast::Query>> {
    let mut query = parse(function)?;
    let mut names = Names { function, columns: columns(&query, catalog, search_path) };
    let _ = visit::walk_mut(&mut query, &mut names);
    Ok(query)
}

/// The expressions that the query is, if it is no more than a list of them, with their names as outputs.
pub fn expressions(query: &ast::Query) -> Option<Vec<(String, &Expr)>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = query.with.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && select.from.is_empty()
        && select.selection.is_none()
        && select.having.is_none()
        && select.distinct.is_none()
        && select.qualify.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    let named = |item: &'_ SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    };
    let items = select.projection.iter().map(|item| Some((named(item)?, computed(item)?)));
    items.collect::<Option<Vec<_>>>().filter(|_| plain)
}

fn parse(function: &Function) -> Result<Box<ast::Query>> {
    let text = match &function.body {
        Body::Text(text) | Body::Atomic(text) => text.clone(),
        Body::Return(text) => format!("SELECT {text}"),
    };
    let mut statements = dialect::parse(&text)?;
    let last = statements.pop();
    if !statements.is_empty() {
        return Err(Error::unsupported("a SQL function of several statements"));
    }
    match last.map(|statement| statement.ast) {
        Some(Ast::Query(query)) if query.locks.is_empty() => Ok(query),
        Some(Ast::Query(_) | Ast::Insert(..) | Ast::Update(_) | Ast::Delete(_) | Ast::Staged(_)) => {
            Err(Error::unsupported("a SQL function that changes or locks rows"))
        }
        Some(other) => Err(Error::unsupported(format!("{} in a SQL function", other.command()))),
        // Nothing is what it returns.
        None if function.returns == Returns::Scalar(Type::Void) => dialect::parse_query("SELECT NULL"),
        None => {
            let detail = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE/MERGE RETURNING.";
            Err(Error::new(SqlState("42P13"), "return type mismatch in function").detail(detail))
        }
    }
}

/// Names of columns of everything the query reads.
fn columns(query: &ast::Query, catalog: &Catalog, search_path: &[String]) -> HashSet<String> {
    struct Columns<'a> {
        catalog: &'a Catalog,
        search_path: &'a [String],
        found: HashSet<String>,
    }
    impl ast::Visitor for Columns<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            match factor {
                TableFactor::Table { name, alias, .. } => {
                    let read = object_name(name);
                    let schemas = match &read.schema {
                        Some(schema) => std::slice::from_ref(schema),
                        None => self.search_path,
                    };
                    match schemas.iter().find_map(|schema| self.catalog.relation(schema, &read.name)) {
                        Some(Relation::Table(table) | Relation::Partition(table)) => {
                            self.found.extend(table.columns.iter().map(|column| column.name.clone()));
                        }
                        Some(Relation::View(view)) => {
                            self.found.extend(view.columns.iter().map(|column| column.name.clone()));
                        }
                        _ => {}
                    }
                    self.alias(alias.as_ref());
                }
                TableFactor::Derived { subquery, alias, .. } => {
                    self.outputs(subquery);
                    self.alias(alias.as_ref());
                }
                TableFactor::UNNEST { alias, .. } => self.alias(alias.as_ref()),
                _ => {}
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
                self.outputs(&cte.query);
                self.alias(Some(&cte.alias));
            }
            ControlFlow::Continue(())
        }
    }
    impl Columns<'_> {
        fn alias(&mut self, alias: Option<&ast::TableAlias>) {
            let columns = alias.iter().flat_map(|alias| &alias.columns);
            self.found.extend(columns.map(|column| fold(&column.name)));
        }

        fn outputs(&mut self, query: &ast::Query) {
            let SetExpr::Select(select) = query.body.as_ref() else { return };
            for item in &select.projection {
                match item {
                    SelectItem::UnnamedExpr(expr) => self.found.extend([name_of(expr)]),
                    SelectItem::ExprWithAlias { alias, .. } => self.found.extend([fold(alias)]),
                    _ => {}
                }
            }
        }
    }
    let mut columns = Columns { catalog, search_path, found: HashSet::new() };
    let _ = visit::walk(query, &mut columns);
    columns.found
}

/// Puts numbers in the place of parameters' names.
struct Names<'a> {
    function: &'a Function,
    columns: HashSet<String>,
}

impl Names<'_> {
    fn number(&self, name: &str) -> Option<usize> {
        let place =
            self.function.arguments.iter().position(|argument| argument.name.as_deref() == Some(name))?;
        Some(place + 1)
    }
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let number = match expr {
            Expr::Identifier(name) => {
                let name = fold(name);
                if self.columns.contains(&name) { None } else { self.number(&name) }
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [function, name] if fold(function) == self.function.name => self.number(&fold(name)),
                _ => None,
            },
            _ => None,
        };
        if let Some(number) = number {
            *expr = placeholder(number);
        }
        ControlFlow::Continue(())
    }
}

fn placeholder(number: usize) -> Expr {
    Expr::Value(ValueWithSpan { value: Value::Placeholder(format!("${number}")), span: Span::empty() })
}

/// The number of the parameter that an expression is.
pub fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => {
            name.trim_start_matches('$').parse().ok()
        }
        _ => None,
    }
}
