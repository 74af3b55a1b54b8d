//! Columns of JOIN ... USING, by their bare names.
//!
//! `a JOIN b USING (id)` has one column `id`: a's, or b's in a right join, or whichever is not NULL in a full one.
//! DataFusion takes the bare name for ambiguous outside of FROM, so it is qualified here:
//!
//! | join           | `id` is              |
//! |----------------|----------------------|
//! | inner, left    | `a.id`               |
//! | right          | `b.id`               |
//! | full           | `coalesce(a.id, b.id)` |

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use crate::error::{Error, Result};
use crate::sql::rewrite::function_call;
use crate::sql::words::fold;

/// Qualifies the select's bare names of merged columns.
pub fn qualify(select: &mut Select) -> Result<()> {
    let mut merged = HashMap::new();
    let mut outer = false;
    for from in &select.from {
        outer |= merge(from, &mut merged);
    }
    if outer && select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
        return Err(Error::unsupported("SELECT * over RIGHT or FULL JOIN ... USING"));
    }
    if merged.is_empty() {
        return Ok(());
    }
    let mut qualifier = Qualifier { merged: &merged, depth: 0 };
    for item in &mut select.projection {
        let bare = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        let _ = item.visit(&mut qualifier);
        if let (Some(alias), SelectItem::UnnamedExpr(expr @ Expr::Function(_))) = (bare, &*item) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    let _ = select.selection.visit(&mut qualifier);
    let _ = select.having.visit(&mut qualifier);
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        let _ = keys.visit(&mut qualifier);
    }
    Ok(())
}

/// Notes what the merged columns of a FROM item are; whether a right or full join is among them.
fn merge(from: &TableWithJoins, merged: &mut HashMap<String, Expr>) -> bool {
    let mut outer = false;
    let mut left = name_of(&from.relation);
    for join in &from.joins {
        let right = name_of(&join.relation);
        let (side, columns) = parts(join);
        outer |= matches!(side, Side::Right | Side::Full) && columns.is_some();
        for column in columns.into_iter().flatten() {
            let Some(column) = column.0.last().and_then(|part| part.as_ident()) else { continue };
            let key = fold(column);
            let ours = merged.get(&key).cloned().or_else(|| Some(qualified(left.as_ref()?, column)));
            let theirs = right.as_ref().map(|right| qualified(right, column));
            let value = match (side, ours, theirs) {
                // Both are the same.
                (Side::Inner, None, theirs) => theirs,
                (Side::Inner | Side::Left, ours, _) => ours,
                (Side::Right, _, theirs) => theirs,
                (Side::Full, Some(ours), Some(theirs)) => Some(function_call("coalesce", vec![ours, theirs])),
                _ => None,
            };
            if let Some(value) = value {
                merged.insert(key, value);
            }
        }
        // From here on the left side is more than one relation, and nothing tells which of them has a column.
        left = None;
    }
    outer
}

#[derive(Clone, Copy)]
enum Side {
    Inner,
    Left,
    Right,
    Full,
}

/// The kind of a join, and its USING columns; those of NATURAL are not known here.
fn parts(join: &Join) -> (Side, Option<&[ObjectName]>) {
    let (side, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (Side::Inner, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (Side::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (Side::Right, constraint),
        JoinOperator::FullOuter(constraint) => (Side::Full, constraint),
        _ => return (Side::Inner, None),
    };
    match constraint {
        JoinConstraint::Using(columns) => (side, Some(columns)),
        JoinConstraint::Natural => (side, Some(&[])),
        _ => (side, None),
    }
}

/// What a relation of FROM is called.
fn name_of(factor: &TableFactor) -> Option<Vec<Ident>> {
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

fn qualified(relation: &[Ident], column: &Ident) -> Expr {
    Expr::CompoundIdentifier(relation.iter().chain([column]).cloned().collect())
}

/// Replaces bare names outside of subqueries, whose names are their own.
struct Qualifier<'a> {
    merged: &'a HashMap<String, Expr>,
    depth: usize,
}

impl VisitorMut for Qualifier<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Expr::Identifier(name), 0) = (&*expr, self.depth)
            && let Some(value) = self.merged.get(&fold(name))
        {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}
