//! The columns of a view in its query: `CREATE VIEW v (a, b) AS SELECT x, count(*) ...` is shown as
//! `SELECT x AS a, count(*) AS b ...`, from which the same view can be made.
//!
//! Where a key is another column's name then, it is that column's expression or place. A query in which names cannot be
//! told apart here stands in FROM as it is: `SELECT v.a, v.b FROM (query) AS v (a, b)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef,
};

use crate::sql::column_names::name_of;
use crate::sql::rewrite::folded;
use crate::sql::system::names::quote_ident;
use crate::sql::trees::{alias_of, computed, derived, lone_name, number, query_from, unnested};
use crate::sql::visit;

/// What a query in FROM is called.
const QUERY: &str = "v";

/// Gives the outputs of a query their names.
pub fn name(query: &mut Query, columns: &[&str]) {
    if matches!(query.body.as_ref(), SetExpr::Values(_)) && has_names_of_values(columns) {
        return;
    }
    let mut named = query.clone();
    *query = match name_items(&mut named, columns) {
        Some(()) => named,
        None => in_from(query.clone(), columns),
    };
}

/// The columns of VALUES are `column1`, `column2` and so on.
fn has_names_of_values(columns: &[&str]) -> bool {
    columns.iter().enumerate().all(|(place, name)| *name == format!("column{}", place + 1))
}

fn identifier(name: &str) -> Ident {
    if quote_ident(name) == name { Ident::new(name) } else { Ident::with_quote('"', name) }
}

fn in_from(query: Query, columns: &[&str]) -> Query {
    let of_query = |name: &&str| Expr::CompoundIdentifier(vec![Ident::new(QUERY), identifier(name)]);
    let items = columns.iter().map(of_query).map(SelectItem::UnnamedExpr).collect();
    let column = |name: &&str| TableAliasColumnDef { name: identifier(name), data_type: None };
    let columns = columns.iter().map(column).collect();
    let alias = TableAlias { columns, ..alias_of(Ident::new(QUERY)) };
    query_from(items, derived(false, query, alias))
}

/// `None` where it is not certain to be the same query.
fn name_items(query: &mut Query, columns: &[&str]) -> Option<()> {
    let is_select = matches!(query.body.as_ref(), SetExpr::Select(_));
    let select = first_select(&mut query.body)?;
    let names = Names::of(select, columns)?;
    if names.differ() {
        let keys = query.order_by.as_mut().map(|order| &mut order.kind);
        if let Some(OrderByKind::Expressions(keys)) = keys {
            keys.iter_mut().try_for_each(|key| names.settle(&mut key.expr, is_select))?;
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            keys.iter_mut().try_for_each(|key| names.settle(key, is_select))?;
        }
        if names.are_grouped_by(&select.group_by) {
            return None;
        }
    }
    for (item, name) in select.projection.iter_mut().zip(columns) {
        let expr = computed(item)?.clone();
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        *item = match is_column && name_of(&expr) == *name {
            true => SelectItem::UnnamedExpr(expr),
            false => SelectItem::ExprWithAlias { expr, alias: identifier(name) },
        };
    }
    Some(())
}

/// The SELECT whose outputs name those of the query.
fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// What outputs were called, and are called now.
struct Names {
    items: Vec<Expr>,
    old: Vec<String>,
    new: Vec<String>,
}

impl Names {
    fn of(select: &Select, columns: &[&str]) -> Option<Names> {
        let items: Vec<Expr> =
            select.projection.iter().map(|item| computed(item).cloned()).collect::<Option<_>>()?;
        let name = |item: &SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => folded(alias),
            item => computed(item).map(name_of).unwrap_or_default(),
        };
        let old = select.projection.iter().map(name).collect();
        let new = columns.iter().map(|name| (*name).to_owned()).collect();
        (items.len() == columns.len()).then_some(Names { items, old, new })
    }

    fn differ(&self) -> bool {
        self.old != self.new
    }

    /// A key that may be the name of an output, as what it was before.
    fn settle(&self, key: &mut Expr, is_select: bool) -> Option<()> {
        let Some(name) = lone_name(key).map(folded) else { return Some(()) };
        match self.old.iter().position(|old| *old == name) {
            Some(place) if self.new[place] == name => {}
            Some(place) => {
                let item = &self.items[place];
                let is_output = lone_name(item).is_some_and(|column| self.new.contains(&folded(column)));
                *key = match is_select && !is_output && !is_constant(item) {
                    true => item.clone(),
                    false => number(place + 1),
                };
            }
            // A column below, which an output is called like now.
            None if self.new.contains(&name) => return None,
            None => {}
        }
        Some(())
    }

    /// Whether a key of GROUP BY may be the name that an output had.
    fn are_grouped_by(&self, groups: &GroupByExpr) -> bool {
        let GroupByExpr::Expressions(keys, _) = groups else { return false };
        let renamed = |name: &String| {
            let mut outputs = self.old.iter().zip(&self.new).zip(&self.items);
            outputs.any(|((old, new), item)| {
                old == name && old != new && lone_name(item).map(folded).as_ref() != Some(name)
            })
        };
        let found = keys.iter().map(|key| {
            visit::expressions(key, |part| match lone_name(part).map(folded) {
                Some(name) if renamed(&name) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        });
        found.into_iter().any(|found| found.is_break())
    }
}

/// As a key, a number is a place, and another constant an error.
fn is_constant(item: &Expr) -> bool {
    match unnested(item) {
        Expr::Value(_) => true,
        Expr::UnaryOp { expr, .. } => is_constant(expr),
        _ => false,
    }
}
