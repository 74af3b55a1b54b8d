//! Rows as documents: `json_agg(t)`, `row_to_json(t)`, `to_jsonb(t)` of a table, a subquery or a row of values.
//!
//! ```text
//!   row_to_json(t)              row_to_json(hither_record(t.*))
//!   to_jsonb(t)                 to_jsonb(hither_record(t.*))
//!   json_agg(t ORDER BY t.id)   json_agg(hither_record(t.*) ORDER BY t.id)
//!   row_to_json(row(1, 'a'))    row_to_json(hither_record('f1', 1, 'f2', 'a'))
//! ```
//!
//! `hither_record` makes json of names and values; `planner::prepare` puts them in the place of `t.*`. A column goes before
//! a table of the same name, so queries are planned without this first.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    self, AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Query, SelectItem, TableFactor, VisitorMut,
};

use crate::error::{Error, SqlState};
use crate::functions::RECORD;
use crate::functions::records::{IS_NOT_NULL, IS_NULL, ROW_OF};
use crate::sql::known::{Known, factors, qualified, qualifier, quoted};
use crate::sql::records;
use crate::sql::rewrite::{folded, function_call, name_of as name_of_item, plain_name, with_names};
use crate::sql::spellings::all_of;
use crate::sql::trees::text;
use crate::sql::visit;

/// Functions that make documents of rows.
const OF_ROWS: &[&str] = &[
    "row_to_json",
    "to_json",
    "to_jsonb",
    "json_agg",
    "jsonb_agg",
    "json_build_object",
    "jsonb_build_object",
    "json_build_array",
    "jsonb_build_array",
    "json_object_agg",
    "jsonb_object_agg",
];

/// Rewrites rows of values, and `t.*`, which is always a table's.
pub fn of_values(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if !plain_name(function).is_some_and(|name| OF_ROWS.contains(&name.as_str())) {
        return;
    }
    for argument in arguments(function) {
        if let Some(spread) = records::spread(RECORD, argument) {
            *argument = spread;
            continue;
        }
        let values = match argument {
            Expr::Tuple(values) => values.clone(),
            Expr::Function(row) if plain_name(row).as_deref() == Some("row") => {
                arguments(row).map(|value| value.clone()).collect()
            }
            _ => continue,
        };
        *argument = function_call(RECORD, records::numbered(values));
    }
    if let FunctionArguments::List(list) = &mut function.args {
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)) = argument {
                *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(records::call_of_table(
                    RECORD,
                    table.clone(),
                )));
            }
        }
    }
}

/// `t.* IS NULL`, and `t IS NULL` where t is no column: whether all columns of a relation are NULL, or none is; and
/// `ROW(t.*)`, as far as its columns are known before planning.
pub fn of_nulls(select: &mut ast::Select, known: &Known, hidden: &[String]) {
    let relations: Vec<(Vec<Ident>, Option<Vec<String>>)> = factors(&select.from)
        .into_iter()
        .filter_map(|factor| {
            let columns = known.columns_of(factor, hidden).map(|columns| columns.names);
            Some((qualifier(factor)?, columns))
        })
        .collect();
    let is_column = |name: &str| {
        let has = |columns: &Vec<String>| columns.iter().any(|column| column == name);
        relations.iter().any(|(_, columns)| columns.as_ref().is_none_or(has))
    };
    let columns_of = |expr: &Expr| {
        let name = match expr {
            Expr::QualifiedWildcard(name, _) => name.0.last()?.as_ident().map(folded)?,
            Expr::Identifier(name) => Some(folded(name)).filter(|name| !is_column(name))?,
            _ => return None,
        };
        let named = |relation: &[Ident]| relation.last().is_some_and(|last| folded(last) == name);
        let (relation, columns) = relations.iter().find(|(relation, _)| named(relation))?;
        let columns = columns.as_ref().filter(|columns| !columns.is_empty())?;
        Some(columns.iter().map(|column| qualified(relation, &quoted(column))).collect::<Vec<Expr>>())
    };
    let _ = visit::own_expressions_mut(select, |expr| {
        if let Expr::Function(row) = expr
            && row.over.is_none()
            && plain_name(row).as_deref() == Some("row")
            && let FunctionArguments::List(list) = &mut row.args
        {
            spread(&mut list.args, columns_of);
        }
        ControlFlow::<()>::Continue(())
    });
    let _ = visit::expressions_mut(select, |expr| {
        let settled = match expr {
            Expr::IsNull(row) => {
                columns_of(row).map(|row| all_of(row, |field| Expr::IsNull(Box::new(field))))
            }
            Expr::IsNotNull(row) => {
                columns_of(row).map(|row| all_of(row, |field| Expr::IsNotNull(Box::new(field))))
            }
            _ => None,
        };
        if let Some(settled) = settled {
            *expr = settled;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Writes out `t.*` among the values of a row.
fn spread(values: &mut Vec<FunctionArg>, columns_of: impl Fn(&Expr) -> Option<Vec<Expr>>) {
    for value in std::mem::take(values) {
        let star = match &value {
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)) => {
                Some(Expr::QualifiedWildcard(table.clone(), AttachedToken::empty()))
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(star @ Expr::QualifiedWildcard(..))) => {
                Some(star.clone())
            }
            _ => None,
        };
        match star.as_ref().and_then(&columns_of) {
            Some(columns) => values.extend(
                columns.into_iter().map(|column| FunctionArg::Unnamed(FunctionArgExpr::Expr(column))),
            ),
            None => values.push(value),
        }
    }
}

/// Whether an expression is a row as a document.
pub fn is_record(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if plain_name(function).as_deref() == Some(RECORD))
}

/// Whether the tables of a query that failed so may stand for rows: what is no column may be a table.
pub fn may_be_meant(error: &Error) -> bool {
    matches!(error.state(), SqlState::UNDEFINED_COLUMN | SqlState::FEATURE_NOT_SUPPORTED)
}

/// Rewrites rows of tables; whether there were any.
pub fn of_tables(query: &mut Query, known: Known) -> bool {
    let mut tables = Tables { known, hidden: Vec::new(), names: Vec::new(), found: false };
    let _ = visit::walk_mut(query, &mut tables);
    tables.found
}

/// The same in a list over relations of these names, which keeps its names; `None` if there are no such rows.
pub fn of_items(items: &[SelectItem], names: Vec<String>) -> Option<Vec<SelectItem>> {
    let relation = |name: String| Relation { called: vec![quoted(&name)], name, columns: None };
    let names = names.into_iter().map(relation).collect();
    let mut tables = Tables { known: Known::default(), hidden: Vec::new(), names: vec![names], found: false };
    let written = items.iter().map(|item| {
        let (mut expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr.clone(), quoted(&name_of_item(expr))),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.clone()),
            item => return item.clone(),
        };
        let _ = visit::walk_mut(&mut expr, &mut tables);
        SelectItem::ExprWithAlias { expr, alias }
    });
    let written = written.collect();
    tables.found.then_some(written)
}

struct Tables<'a> {
    known: Known<'a>,
    /// The names of WITH.
    hidden: Vec<String>,
    /// What FROM names, of the queries around.
    names: Vec<Vec<Relation>>,
    found: bool,
}

struct Relation {
    name: String,
    /// The same with a schema, where it is written so.
    called: Vec<Ident>,
    /// Its columns behind their names, where they are known: `'a', t.a, 'b', t.b`.
    columns: Option<Vec<Expr>>,
}

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.hidden.extend(with_names(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let count = with_names(query).count();
        self.hidden.truncate(self.hidden.len().saturating_sub(count));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        let relation = |factor: &TableFactor| {
            let (name, called) = (name_of(factor)?, qualifier(factor)?);
            let columns = self.known.columns_of(factor, &self.hidden).map(|columns| columns.names);
            let columns = columns.map(|columns| {
                columns
                    .iter()
                    .flat_map(|column| [text(column), qualified(&called, &quoted(column))])
                    .collect()
            });
            Some(Relation { name, called, columns })
        };
        let relations = factors(&select.from).into_iter().filter_map(relation).collect();
        self.names.push(relations);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut ast::Select) -> ControlFlow<()> {
        self.names.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.settle_root(expr);
        if let Some(field) = self.field(expr).or_else(|| self.row(expr)) {
            *expr = field;
            self.found = true;
        }
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if !plain_name(function).is_some_and(|name| OF_ROWS.contains(&name.as_str())) {
            return ControlFlow::Continue(());
        }
        let FunctionArguments::List(list) = &mut function.args else { return ControlFlow::Continue(()) };
        for argument in &mut list.args {
            let FunctionArg::Unnamed(argument) = argument else { continue };
            let FunctionArgExpr::Expr(Expr::Identifier(name)) = argument else { continue };
            let Some(row) = self.row_of(name, RECORD) else { continue };
            *argument = FunctionArgExpr::Expr(row);
            self.found = true;
        }
        ControlFlow::Continue(())
    }
}

/// Whether one of some columns has a name.
fn has_name(columns: &[Expr], name: &str) -> bool {
    columns.iter().any(|column| match column {
        Expr::Identifier(column) => folded(column) == name,
        Expr::CompoundIdentifier(names) => names.last().is_some_and(|column| folded(column) == name),
        // Its name as a text.
        _ => false,
    })
}

impl Tables<'_> {
    fn is_table(&self, name: &Ident) -> bool {
        let name = folded(name);
        self.names.iter().flatten().any(|relation| relation.name == name)
    }

    /// The row of a relation, by this function. Of one of a query around the columns are written out, as the planner looks
    /// for those of a star in the innermost query; and only where no column nearer has the name.
    fn row_of(&self, name: &Ident, function: &str) -> Option<Expr> {
        let called = folded(name);
        for (distance, scope) in self.names.iter().rev().enumerate() {
            if let Some(relation) = scope.iter().find(|relation| relation.name == called) {
                return match distance {
                    0 => Some(records::call_of_table(function, ObjectName::from(relation.called.clone()))),
                    _ => Some(function_call(function, relation.columns.clone()?)),
                };
            }
            // What is not known may be called so.
            if !scope
                .iter()
                .all(|relation| relation.columns.as_ref().is_some_and(|all| !has_name(all, &called)))
            {
                return None;
            }
        }
        None
    }

    /// `t.items[1]` is of a column, not of a row.
    fn settle_root(&self, expr: &mut Expr) {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
        if let (Expr::Identifier(table), [AccessExpr::Dot(Expr::Identifier(column)), _, ..]) =
            (root.as_ref(), access_chain.as_slice())
            && self.is_table(table)
        {
            **root = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
            access_chain.remove(0);
        }
    }

    /// A table's name is its row.
    fn row(&self, expr: &Expr) -> Option<Expr> {
        let of = |expr: &Expr| match expr {
            Expr::Identifier(name) => self.row_of(name, ROW_OF),
            _ => None,
        };
        match expr {
            Expr::IsNull(inner) => of(inner).map(|row| function_call(IS_NULL, vec![row])),
            Expr::IsNotNull(inner) => of(inner).map(|row| function_call(IS_NOT_NULL, vec![row])),
            expr => of(expr),
        }
    }

    /// `(t).name` is `t.name`.
    fn field(&self, expr: &Expr) -> Option<Expr> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
        let ([AccessExpr::Dot(Expr::Identifier(field))], Expr::Nested(table)) =
            (access_chain.as_slice(), root.as_ref())
        else {
            return None;
        };
        match table.as_ref() {
            Expr::Identifier(table) if self.is_table(table) => {
                Some(Expr::CompoundIdentifier(vec![table.clone(), field.clone()]))
            }
            _ => None,
        }
    }
}

/// What a table or subquery is called. Functions in FROM have one column mostly, which goes by the same name.
fn name_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => match alias {
            Some(alias) => Some(folded(&alias.name)),
            None => name.0.last()?.as_ident().map(folded),
        },
        TableFactor::Derived { alias: Some(alias), .. } => Some(folded(&alias.name)),
        _ => None,
    }
}

fn arguments(function: &mut Function) -> impl Iterator<Item = &mut Expr> {
    let arguments = match &mut function.args {
        FunctionArguments::List(list) => list.args.iter_mut(),
        _ => [].iter_mut(),
    };
    arguments.filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}
