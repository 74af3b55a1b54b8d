//! `SELECT p.*, count(*) FROM p JOIN c ... GROUP BY p.id`: who groups by a primary key groups by the whole row.
//!
//! The planner wants every column of the list to be grouped by, so those that the query names are added:
//!
//! ```text
//!   SELECT p.name, count(*) FROM p JOIN c ... GROUP BY p.id ORDER BY p.rank
//!   SELECT p.name, count(*) FROM p JOIN c ... GROUP BY p.id, p.name, p.rank ORDER BY p.rank
//! ```
//!
//! They are the same in all rows of a group, so the groups stay what they are.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, OrderByKind, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
};

use crate::sql::known::{Columns, Known, factors, qualified, qualifier, quoted};
use crate::sql::rewrite::folded;
use crate::sql::trees::{computed, place};
use crate::sql::visit;

/// Adds the columns to GROUP BY of a query's selects.
pub fn extend(query: &mut Query, known: &Known, hidden: &[String]) {
    let order: Vec<Expr> = match &query.order_by {
        Some(order) => match &order.kind {
            OrderByKind::Expressions(exprs) => exprs.iter().map(|order| order.expr.clone()).collect(),
            OrderByKind::All(_) => Vec::new(),
        },
        None => Vec::new(),
    };
    extend_body(&mut query.body, &order, known, hidden);
}

fn extend_body(body: &mut SetExpr, order: &[Expr], known: &Known, hidden: &[String]) {
    match body {
        SetExpr::Select(select) => extend_select(select, order, known, hidden),
        SetExpr::SetOperation { left, right, .. } => {
            extend_body(left, &[], known, hidden);
            extend_body(right, &[], known, hidden);
        }
        _ => {}
    }
}

fn extend_select(select: &mut ast::Select, order: &[Expr], known: &Known, hidden: &[String]) {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return };
    let is_set =
        |key: &Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) | Expr::Tuple(_));
    if keys.is_empty() || keys.iter().any(is_set) {
        return;
    }
    let keys: Vec<&Expr> = keys.iter().map(|key| meant(key, &select.projection)).collect();
    let mut added = Vec::new();
    for factor in factors(&select.from) {
        let (Some(columns), Some(relation)) = (known.columns_of(factor, hidden), qualifier(factor)) else {
            continue;
        };
        let groups_by = |column: &String| keys.iter().any(|key| is_column(key, &relation, column));
        if columns.key.is_empty() || !columns.key.iter().all(groups_by) {
            continue;
        }
        let named = named(select, order, &relation, &columns);
        let missing = named.into_iter().filter(|column| !groups_by(column));
        added.extend(missing.map(|column| qualified(&relation, &quoted(&column))));
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.extend(added);
    }
}

/// `GROUP BY 1`, and by the alias of a column.
fn meant<'e>(key: &'e Expr, items: &'e [SelectItem]) -> &'e Expr {
    match key {
        Expr::Value(_) => place(key).and_then(|place| items.get(place)).and_then(computed).unwrap_or(key),
        Expr::Identifier(name) => {
            let named = items.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr: expr @ Expr::CompoundIdentifier(_), alias }
                    if folded(alias) == folded(name) =>
                {
                    Some(expr)
                }
                _ => None,
            });
            named.unwrap_or(key)
        }
        _ => key,
    }
}

/// Whether an expression is a column of a relation; a bare name may be.
fn is_column(expr: &Expr, relation: &[Ident], column: &str) -> bool {
    match expr {
        Expr::Identifier(name) => folded(name) == column,
        Expr::CompoundIdentifier(parts) => is_of(parts, relation) && last(parts) == column,
        Expr::Nested(inner) => is_column(inner, relation, column),
        _ => false,
    }
}

fn last(parts: &[Ident]) -> String {
    parts.last().map(folded).unwrap_or_default()
}

/// Whether `a.b` or `s.a.b` says the relation.
fn is_of(parts: &[Ident], relation: &[Ident]) -> bool {
    parts.len() > 1
        && parts[..parts.len() - 1]
            .iter()
            .rev()
            .zip(relation.iter().rev())
            .all(|(a, b)| folded(a) == folded(b))
}

/// Columns of a relation that a select names where groups are shown, each once.
fn named(select: &ast::Select, order: &[Expr], relation: &[Ident], columns: &Columns) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut note = |name: String| {
        if columns.names.contains(&name) && !found.contains(&name) {
            found.push(name);
        }
    };
    let mut look = |expr: &Expr| {
        match expr {
            Expr::Identifier(name) => note(folded(name)),
            Expr::CompoundIdentifier(parts) if is_of(parts, relation) => note(last(parts)),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    };
    for item in &select.projection {
        let _ = visit::expressions(item, &mut look);
    }
    let _ = visit::expressions(&select.having, &mut look);
    for expr in order {
        let _ = visit::expressions(expr, &mut look);
    }
    let is_whole = |item: &SelectItem| match item {
        SelectItem::Wildcard(_) => true,
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
            parts.is_some_and(|parts| {
                parts.iter().rev().zip(relation.iter().rev()).all(|(a, b)| folded(a) == folded(b))
            })
        }
        _ => false,
    };
    if select.projection.iter().any(is_whole) {
        columns.names.iter().cloned().for_each(note);
    }
    found
}
