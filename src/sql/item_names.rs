//! What the columns of subqueries are called: PostgreSQL's names, where the planner has its own.
//!
//! ```text
//!   SELECT count FROM (SELECT count(*) FROM t) q      SELECT count FROM (SELECT count(*) AS count FROM t) q
//!   FROM (SELECT 1, 1) q                              FROM (SELECT 1 AS "?column? 0", 1 AS "?column? 1") q
//! ```
//!
//! Columns of one name are told apart by a number, so that those that nobody asks for by it do no harm; see
//! [`crate::planner::names`].

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr,
};

use crate::planner::names;
use crate::sql::order_by;
use crate::sql::rewrite::{bare_text, folded, name_of};
use crate::sql::trees::{computed, lone_name, unnested};
use crate::sql::visit;

/// What the planner calls as we do: a cast of a column it calls by the column and its table, `t.id`.
fn is_column(expr: &Expr) -> bool {
    matches!(unnested(expr), Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// Whether an expression is computed from a column of this name.
fn is_made_of(expr: &Expr, name: &str) -> bool {
    let found = visit::own_expressions(expr, |part| match is_column(part) && name_of(part) == *name {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    !is_column(expr) && found.is_break()
}

fn numbered(name: &str, position: usize) -> Ident {
    Ident::with_quote('"', names::numbered(name, position))
}

/// Names the columns of a subquery in FROM or WITH.
pub fn name_columns(query: &mut Query) {
    name_where(query, |expr| !is_column(expr));
}

/// Names those of a LATERAL one, which may be columns of its outer query: the planner calls them `outer_ref(a.id)`.
pub fn name_outer_columns(query: &mut Query) {
    name_where(query, |_| true);
}

/// Names those of a set operation that is ordered by some of them.
pub fn name_ordered(query: &mut Query) {
    if query.order_by.is_some() && matches!(query.body.as_ref(), SetExpr::SetOperation { .. }) {
        name_columns(query);
    }
}

/// Names those of the queries of a set operation but the first, whose names are nobody's.
pub fn name_arms(body: &mut SetExpr) {
    let SetExpr::SetOperation { left, right, .. } = body else { return };
    name_arms(left);
    name_arms(right);
    match right.as_mut() {
        // It is visited on its own, and has an order of its own.
        SetExpr::Query(query) => name_columns(query),
        arm => name_in(arm, &[], |expr| !is_column(expr)),
    }
}

fn name_where(query: &mut Query, is_named: impl Fn(&Expr) -> bool) {
    order_by::number_repeated(query);
    let sorted_by: Vec<String> = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => {
            keys.iter().filter_map(|key| lone_name(&key.expr)).map(folded).collect()
        }
        _ => Vec::new(),
    };
    name_in(&mut query.body, &sorted_by, is_named);
}

fn name_in(mut body: &mut SetExpr, sorted_by: &[String], is_named: impl Fn(&Expr) -> bool) {
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::Query(query) => body = query.body.as_mut(),
            SetExpr::SetOperation { left, .. } => body = left,
            _ => return,
        }
    };
    let names: Vec<Option<String>> = select.projection.iter().map(name_of_item).collect();
    let aliases: HashSet<String> = select
        .projection
        .iter()
        .filter(|item| matches!(item, SelectItem::ExprWithAlias { .. }))
        .filter_map(name_of_item)
        .collect();
    let itself: HashSet<String> = select
        .projection
        .iter()
        .filter_map(|item| computed(item).filter(|expr| is_column(expr)).map(name_of))
        .collect();
    let bare: HashSet<String> = select
        .projection
        .iter()
        .filter(|item| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_))))
        .filter_map(name_of_item)
        .collect();
    let meant = names_of_clauses(select);
    let has_all = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    // ORDER BY names items first, which then keep their names.
    let is_asked_for = |name: &String| meant.contains(name) || sorted_by.contains(name);
    for (position, (item, name)) in select.projection.iter_mut().zip(&names).enumerate() {
        let Some(name) = name else { continue };
        // Beside `*` there is the column itself.
        let is_in_all = has_all && computed(item).is_some_and(|expr| is_made_of(expr, name));
        let is_only = !is_in_all && names.iter().filter(|other| other.as_ref() == Some(name)).count() == 1;
        let expr = match &mut *item {
            SelectItem::ExprWithAlias { expr, alias } => {
                // Clauses that name a column mean that of FROM, which another item is.
                let is_beside = !is_column(expr) || name_of(expr) != *name;
                let is_column_meant = is_beside && itself.contains(name) && !sorted_by.contains(name);
                if !is_only && (!is_asked_for(name) || is_column_meant) {
                    *alias = numbered(name, position);
                }
                continue;
            }
            SelectItem::UnnamedExpr(expr) => expr,
            _ => continue,
        };
        // `t.a, a`, where the planner sees one column twice; `x.a, y.a` it tells apart.
        let is_twice = !is_only && is_column(expr) && bare.contains(name) && !is_asked_for(name);
        // Asked for by the name, a column must not be taken for the other item.
        let is_beside_alias = !is_only && aliases.contains(name) && !is_asked_for(name);
        let is_left = !is_twice && (is_column(expr) && !is_only || !is_named(expr));
        if is_left && !is_beside_alias {
            continue;
        }
        let alias = if is_only { Ident::with_quote('"', name) } else { numbered(name, position) };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

/// What an item of a list is called; of `*` nothing.
pub fn name_of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}

/// The columns that GROUP BY, HAVING and DISTINCT ON name without a table: the planner would take a name of the list for them.
fn names_of_clauses(select: &Select) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut note = |expr: &Expr| {
        let _ = visit::expressions(expr, |part| {
            if let Expr::Identifier(name) = part {
                names.insert(folded(name));
            }
            ControlFlow::<()>::Continue(())
        });
    };
    if let GroupByExpr::Expressions(keys, _) = &select.group_by {
        keys.iter().for_each(&mut note);
    }
    select.having.iter().for_each(&mut note);
    if let Some(Distinct::On(keys)) = &select.distinct {
        keys.iter().for_each(&mut note);
    }
    names
}

/// Tells apart what the planner would call alike and refuse.
pub fn tell_apart(select: &mut Select) {
    let mut texts = HashSet::new();
    let qualified: HashSet<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(_)) => Some(name_of(expr)),
            _ => None,
        })
        .collect();
    for (position, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = &*item else { continue };
        // `t.a, a` is a column twice.
        let is_qualified_too = matches!(expr, Expr::Identifier(_)) && qualified.contains(&name_of(expr));
        if is_qualified_too || !texts.insert(bare_text(expr)) {
            let alias = numbered(&name_of(expr), position);
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}
