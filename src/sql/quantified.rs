//! `x < ANY (SELECT ...)` and `x = ALL (SELECT ...)`, in words that the planner has one meaning for.
//!
//! ```text
//!   x = ANY (ARRAY[a, b])   x IN (a, b)
//!   x = ANY (q)     x IN (q)
//!   x <> ALL (q)    x NOT IN (q)
//!   x < ANY (q)     (SELECT CASE WHEN bool_or(x < v) THEN true WHEN bool_or((x < v) IS NULL) THEN NULL ELSE false END
//!                    FROM (q) AS hither_each(hither_v))
//!   x < ALL (q)     the same, with bool_or(NOT (x < v)) THEN false ... ELSE true
//! ```
//!
//! The planner's own node reads `x` inside the subquery, where its names may mean other columns. An aggregate or a window
//! cannot stand in there at all: `count(*) > ALL (q)` compares it with the greatest value of q, outside.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, Ident, Query, SetExpr, TableFactor};

use crate::sql::dialect;

/// The values of the subquery; no query of a user has a table called so.
const VALUES: &str = "hither_each";
const VALUE: &str = "hither_v";

/// Rewrites a comparison with the rows of a subquery.
pub fn expand(expr: &mut Expr) {
    let (left, op, right, any) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, true),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, false),
        _ => return,
    };
    if let Some(list) = elements_of(right)
        && let (BinaryOperator::Eq, true) | (BinaryOperator::NotEq, false) = (&*op, any)
    {
        *expr = Expr::InList { expr: left.clone(), list, negated: !any };
        return;
    }
    let Some(subquery) = subquery_of(right) else { return };
    *expr = match (&*op, any) {
        (BinaryOperator::Eq, true) | (BinaryOperator::NotEq, false) => {
            Expr::InSubquery { expr: left.clone(), subquery: Box::new(subquery), negated: !any }
        }
        (op, _) if is_of_group(left) && bound(op, any).is_some() => {
            with_bound(left, op, &subquery, any).unwrap_or_else(|| expr.clone())
        }
        _ => {
            let value = Expr::CompoundIdentifier(vec![Ident::new(VALUES), Ident::new(VALUE)]);
            let compared = Expr::BinaryOp { left: left.clone(), op: op.clone(), right: Box::new(value) };
            Expr::Subquery(Box::new(of_each(compared, subquery, any)))
        }
    };
}

/// The elements of an array that is written out.
fn elements_of(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(array) if !array.elem.is_empty() => {
            let nested = array.elem.iter().any(|element| matches!(element, Expr::Array(_)));
            (!nested).then(|| array.elem.clone())
        }
        Expr::Nested(inner) => elements_of(inner),
        _ => None,
    }
}

fn subquery_of(expr: &Expr) -> Option<Query> {
    match expr {
        Expr::Subquery(query) => Some(query.as_ref().clone()),
        Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

/// Whether an expression is computed from several rows.
fn is_of_group(expr: &Expr) -> bool {
    const AGGREGATES: &[&str] = &["count", "sum", "avg", "min", "max", "stddev", "variance"];
    let found = ast::visit_expressions(expr, |part| match part {
        Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            if AGGREGATES.contains(&name.as_str()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The value that decides an order comparison with all values, or with any.
fn bound(op: &BinaryOperator, any: bool) -> Option<&'static str> {
    match (op, any) {
        (BinaryOperator::Gt | BinaryOperator::GtEq, false)
        | (BinaryOperator::Lt | BinaryOperator::LtEq, true) => Some("max"),
        (BinaryOperator::Lt | BinaryOperator::LtEq, false)
        | (BinaryOperator::Gt | BinaryOperator::GtEq, true) => Some("min"),
        _ => None,
    }
}

/// The comparison with that value. Without values ALL holds and ANY does not; an undecided one is NULL beside a NULL.
fn with_bound(left: &Expr, op: &BinaryOperator, subquery: &Query, any: bool) -> Option<Expr> {
    let bound = bound(op, any)?;
    let from = format!("FROM ({subquery}) AS {VALUES}({VALUE})");
    let compared = format!("(({left}) {op} (SELECT {bound}({VALUES}.{VALUE}) {from}))");
    let (decisive, otherwise) =
        if any { (compared.clone(), false) } else { (format!("NOT {compared}"), true) };
    let nulls = format!("(SELECT count(*) - count({VALUES}.{VALUE}) {from})");
    let text = format!(
        "CASE WHEN (SELECT count(*) {from}) = 0 THEN {otherwise} WHEN {decisive} THEN {any} WHEN {nulls} > 0 THEN NULL \
         ELSE {compared} END"
    );
    dialect::parse_expression(&text).ok()
}

/// Whether the comparison holds for any value of the subquery, or for all.
fn of_each(compared: Expr, subquery: Query, any: bool) -> Query {
    let (decisive, answer) = if any { ("hither_c", "true") } else { ("NOT (hither_c)", "false") };
    let otherwise = !any;
    let mut query = dialect::parse_query(&format!(
        "SELECT CASE WHEN bool_or({decisive}) THEN {answer} WHEN bool_or((hither_c) IS NULL) THEN NULL \
         ELSE {otherwise} END AS \"?column?\" FROM (SELECT 0) AS {VALUES}({VALUE})"
    ))
    .expect("this is a query");
    let _ = ast::visit_expressions_mut(query.as_mut(), |part| {
        if matches!(part, Expr::Identifier(name) if name.value == "hither_c") {
            *part = Expr::Nested(Box::new(compared.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Derived { subquery: values, .. } = &mut from.relation
    {
        **values = subquery;
    }
    *query
}
