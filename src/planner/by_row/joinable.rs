//! Which subqueries in expressions DataFusion may make joins of.
//!
//! It takes the conditions that name the outer row out of the subquery and joins on them, past whatever stands above:
//!
//! ```text
//!   EXISTS (SELECT FROM t WHERE t.k = o.k OFFSET 2)                    of the rows of all k together, and without OFFSET
//!   EXISTS (SELECT max(t.x) FROM t WHERE t.k = o.k)                    no row where there is one: that of no rows
//!   (SELECT count(*) FROM t WHERE t.x::int = o.k)                      as many groups as there are x
//!   EXISTS (SELECT FROM (SELECT row_number() OVER () n FROM t WHERE t.k = o.k) WHERE n = 3)
//! ```
//!
//! Where that says something else, the subquery is run row by row. What EXISTS does not ask about, order and a LIMIT of
//! one row or more, goes before; one that reads no outer row has a LIMIT of one.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Cast, Distinct, Expr, ExprSchemable, FetchType, Filter, JoinType, Limit,
    LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery,
};

use crate::planner::by_row::{has, is_of_all_rows, is_outer};

/// The plan with each EXISTS asking no more than whether there is a row.
pub fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_exists = |expr: &Expr| Ok(matches!(expr, Expr::Exists(_)));
    if !finds(&plan, is_exists)? {
        return Ok(plan);
    }
    let settled = plan.transform_up_with_subqueries(|node| {
        if !has(&node, is_exists)? {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| match expr {
                Expr::Exists(exists) => settle_exists(exists),
                expr => Ok(Transformed::no(expr)),
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    });
    settled.data()
}

fn settle_exists(exists: Exists) -> Result<Transformed<Expr>> {
    let Exists { subquery, negated } = exists;
    let settled = rows(Arc::unwrap_or_clone(subquery.subquery))?;
    let Some(plan) = settled.data else {
        return Ok(Transformed::yes(Expr::Literal(ScalarValue::Boolean(Some(negated)), None)));
    };
    let is_of_itself = !finds(&plan, is_outer)?;
    let plan = match is_of_itself {
        true => LogicalPlanBuilder::from(plan).limit(0, Some(1))?.build()?,
        false => plan,
    };
    let subquery = Subquery { subquery: Arc::new(plan), ..subquery };
    let is_changed = settled.transformed || is_of_itself;
    Ok(Transformed::new_transformed(Expr::Exists(Exists { subquery, negated }), is_changed))
}

/// A plan that has a row where this one has; none where it never has.
fn rows(plan: LogicalPlan) -> Result<Transformed<Option<LogicalPlan>>> {
    match plan {
        LogicalPlan::Projection(mut projection) => {
            let input = rows(Arc::unwrap_or_clone(std::mem::take(&mut projection.input)))?;
            Ok(input.update_data(|input| {
                projection.input = Arc::new(input?);
                Some(LogicalPlan::Projection(projection))
            }))
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            let input = rows(Arc::unwrap_or_clone(sort.input))?;
            Ok(Transformed::yes(input.data))
        }
        LogicalPlan::Limit(limit) => match of_literals(&limit)? {
            Some((_, Some(0))) => Ok(Transformed::yes(None)),
            Some((0, _)) => {
                let input = rows(Arc::unwrap_or_clone(limit.input))?;
                Ok(Transformed::yes(input.data))
            }
            _ => Ok(Transformed::no(Some(LogicalPlan::Limit(limit)))),
        },
        plan => Ok(Transformed::no(Some(plan))),
    }
}

/// How many rows a limit leaves out, and how many it lets by, where both are known.
fn of_literals(limit: &Limit) -> Result<Option<(usize, Option<usize>)>> {
    Ok(match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => Some((skip, fetch)),
        _ => None,
    })
}

/// Whether a plan has a subquery in an expression that DataFusion would join to another result.
pub fn has_others(plan: &LogicalPlan) -> Result<bool> {
    finds(plan, |expr| Ok(!is_joinable(expr)?))
}

/// Whether one of its nodes, or of its subqueries', has an expression that is asked for.
fn finds(plan: &LogicalPlan, wanted: impl Fn(&Expr) -> Result<bool>) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = has(node, &wanted)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether an expression is none that DataFusion would join to another result.
pub fn is_joinable(expr: &Expr) -> Result<bool> {
    match expr {
        Expr::ScalarSubquery(subquery) => {
            Ok(!asks_of_groups(&subquery.subquery)? && says_the_same(&subquery.subquery, Above::Value)?)
        }
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => {
            says_the_same(&subquery.subquery, Above::Rows)
        }
        _ => Ok(true),
    }
}

/// Whether a subquery as a value has a condition above an aggregate of all its rows that names the outer row:
/// `(SELECT count(*) ... HAVING o.x > 1)`. In a join of its making DataFusion would count 0 rows where there is none.
fn asks_of_groups(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| match node {
        LogicalPlan::Filter(filter) => {
            Ok(is_of_all_rows(&filter.input) && filter.predicate.exists(is_outer)?)
        }
        _ => Ok(false),
    })
}

/// What stands between a plan and the row around it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Above {
    /// Nothing that makes one row of several: the subquery is a value, joined from the left, and DataFusion knows what an
    /// aggregate of no rows is.
    Value,
    /// It does not know so below another aggregate, DISTINCT or a join, nor in a semi join.
    Rows,
}

/// Whether the conditions of a plan that name the outer row may stand above it.
pub(super) fn says_the_same(plan: &LogicalPlan, above: Above) -> Result<bool> {
    if !reads_outer(plan) {
        return Ok(true);
    }
    let is_limit = |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::Limit(_)));
    let own = match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => true,
        // A condition of one side would take the limits of the other with it.
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner && !plan.exists(is_limit)?,
        LogicalPlan::Aggregate(aggregate) => {
            (above == Above::Value || !aggregate.group_expr.is_empty()) && has_same_groups(aggregate)?
        }
        _ => false,
    };
    if !own {
        return Ok(false);
    }
    let above = match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) | LogicalPlan::Join(_) => Above::Rows,
        _ => above,
    };
    for input in plan.inputs() {
        if !says_the_same(input, above)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an aggregate has the groups of each outer row by itself, when it has been given those columns to group by.
fn has_same_groups(aggregate: &Aggregate) -> Result<bool> {
    let is_set = aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
    Ok(!is_set && has_one_group(&aggregate.input)?)
}

/// Whether the rows of an outer row are one group once the columns that it is compared with are grouped by: equal
/// floats, and what is equal after a cast, may differ before.
fn has_one_group(plan: &LogicalPlan) -> Result<bool> {
    let several = plan.exists(|node| {
        let LogicalPlan::Filter(Filter { predicate, input, .. }) = node else { return Ok(false) };
        let compared =
            split_conjunction(predicate).into_iter().filter(|condition| condition.contains_outer());
        for condition in compared {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { continue };
            for side in [left, right] {
                let (column, shown) = match side.as_ref() {
                    Expr::Cast(Cast { expr, field, .. }) => (expr.as_ref(), Some(field.data_type())),
                    side => (side, None),
                };
                if !matches!(column, Expr::Column(_)) {
                    continue;
                }
                let ty = column.get_type(input.schema())?;
                if ty.is_floating() || shown.is_some_and(|shown| !keeps_apart(&ty, shown)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    })?;
    Ok(!several)
}

/// Whether different values stay different in a cast.
fn keeps_apart(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Decimal256, Timestamp};
    match (from, to) {
        (from, to) if from == to => true,
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => {
            from.primitive_width() <= to.primitive_width()
        }
        (Decimal128(_, from), Decimal128(_, to) | Decimal256(_, to)) => from <= to,
        (from, Decimal128(_, to)) => from.is_signed_integer() && *to >= 0,
        (Date32, Timestamp(..)) => true,
        _ => false,
    }
}

/// Whether a plan, without its subqueries, names columns of the outer row.
fn reads_outer(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}
