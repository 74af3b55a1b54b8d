//! Which cursors go back that were declared with neither SCROLL nor NO SCROLL.
//!
//! In PostgreSQL those whose plan can be run backwards (`ExecSupportsBackwardScan`): it does not say which those are, and
//! clients depend on the simple ones. Here the query is looked at, as PostgreSQL's planner would most likely do:
//!
//! ```text
//!   goes back       one table, function or subquery that does; VALUES of several rows; UNION ALL of such; ORDER BY
//!   does not        joins, groups, DISTINCT, windows, sets in the select list, samples, FOR UPDATE, no FROM
//! ```
//!
//! ORDER BY sorts whatever is below it, so it goes back, unless windows or sets of rows are made above the sort.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableFactor,
};

use crate::sql::aggregates::{has_aggregate, has_window};
use crate::sql::order_by;
use crate::sql::set_functions::returns_set;
use crate::sql::trees::computed;
use crate::sql::visit;

/// Whether a cursor over a query goes back without SCROLL.
pub fn goes_back(query: &Query) -> bool {
    if !query.locks.is_empty() {
        return false;
    }
    match (&query.order_by, &*query.body) {
        (Some(_), SetExpr::Select(select)) => !select.projection.iter().any(is_above_sort),
        (Some(_), _) => true,
        (None, body) => body_goes_back(body),
    }
}

fn body_goes_back(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select_goes_back(select),
        SetExpr::Query(query) => goes_back(query),
        // A single row is computed, not scanned.
        SetExpr::Values(values) => values.rows.len() > 1,
        SetExpr::Table(_) => true,
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            body_goes_back(left) && body_goes_back(right)
        }
        _ => false,
    }
}

fn select_goes_back(select: &Select) -> bool {
    let [from] = &select.from[..] else { return false };
    from.joins.is_empty()
        && !order_by::is_grouped(select)
        && select.distinct.is_none()
        && select.having.is_none()
        && !select
            .projection
            .iter()
            .any(|item| is_above_sort(item) || computed(item).is_some_and(has_aggregate))
        && !select.selection.as_ref().is_some_and(has_semijoin)
        && factor_goes_back(&from.relation)
}

fn factor_goes_back(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { sample, .. } => sample.is_none(),
        TableFactor::Derived { subquery, .. } => goes_back(subquery),
        TableFactor::NestedJoin { .. } => false,
        _ => true,
    }
}

/// Whether an item of the select list is computed from rows in order, and of several at a time.
fn is_above_sort(item: &SelectItem) -> bool {
    computed(item).is_some_and(|expr| returns_set(expr) || has_window(expr))
}

/// Whether a condition is a join: IN and EXISTS of a subquery.
fn has_semijoin(condition: &Expr) -> bool {
    let is_join = |part: &Expr| match part {
        Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit::own_expressions(condition, is_join).is_break()
}
