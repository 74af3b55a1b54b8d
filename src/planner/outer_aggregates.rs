//! Aggregates that a subquery takes of the query around it.
//!
//! An aggregate is one of the innermost query whose columns it names: `sum(o.x)` in `SELECT (SELECT sum(o.x) FROM t) FROM o`
//! sums the rows of `o`, and `t` has nothing to do with it
//! (<https://www.postgresql.org/docs/17/sql-expressions.html#SYNTAX-AGGREGATES>). DataFusion aggregates where the call
//! stands, over as many rows as `t` has, so such queries are refused.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Exists, InSubquery};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

use crate::error::{Error, SqlState};
use crate::functions::COLLECT;
use crate::functions::arrays::ARRAY_OR_EMPTY;
use crate::planner::argument;
use crate::types::arrow::errors::external;

/// 0A000 where there is one.
pub fn refuse(plan: &LogicalPlan) -> Result<()> {
    check(plan, false)
}

/// `made`: the query's own aggregate was none when it was written ([`ARRAY_OR_EMPTY`]).
fn check(plan: &LogicalPlan, made: bool) -> Result<()> {
    if let LogicalPlan::Aggregate(aggregate) = plan
        && !made
    {
        let (all, own) = (&aggregate.aggr_expr, aggregate.input.schema());
        for (place, expr) in all.iter().enumerate() {
            // Arguments of one aggregate that are collected apart.
            let mut others =
                all.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, other)| other);
            if !others.any(|other| are_of_one(expr, other) && names_own(other, own)) {
                check_aggregate(expr, own)?;
            }
        }
    }
    plan.apply_expressions(|expr| {
        check_subqueries(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let LogicalPlan::Join(join) = plan
        && let Some(body) = lateral(&join.right)
    {
        check_lateral(body, join.left.schema())?;
    }
    let made = made && matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_));
    plan.inputs().into_iter().try_for_each(|input| check(input, made))
}

fn check_subqueries(expr: &Expr) -> Result<()> {
    let mut of_made = Vec::new();
    expr.apply(|part| {
        match part {
            Expr::ScalarFunction(call) if call.func.name() == ARRAY_OR_EMPTY => {
                of_made.extend(call.args.iter().filter(|arg| matches!(arg, Expr::ScalarSubquery(_))));
            }
            part => {
                if let Some(subquery) = subquery_of(part) {
                    check(&subquery.subquery, of_made.contains(&part))?;
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

fn lateral(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => lateral(&alias.input),
        LogicalPlan::Subquery(subquery) => Some(&subquery.subquery),
        _ => None,
    }
}

/// Of the columns that stand before it in FROM, LATERAL cannot aggregate.
fn check_lateral(body: &LogicalPlan, before: &DFSchema) -> Result<()> {
    let LogicalPlan::Aggregate(aggregate) = body else {
        return body.inputs().into_iter().try_for_each(|input| check_lateral(input, before));
    };
    let of_before =
        |columns: Vec<bool>| !columns.is_empty() && columns.into_iter().all(|is_before| is_before);
    for expr in &aggregate.aggr_expr {
        let columns = outer_columns(expr, aggregate.input.schema(), |column| before.has_column(column))?;
        if columns.is_some_and(of_before) {
            let message = "aggregate functions are not allowed in FROM clause of their own query level";
            return Err(external(Error::new(SqlState::GROUPING_ERROR, message)));
        }
    }
    Ok(())
}

/// Whether two may be the arguments of one aggregate, as [`COLLECT`] takes them.
fn are_of_one(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::Alias(one), other) => are_of_one(&one.expr, other),
        (one, Expr::Alias(other)) => are_of_one(one, &other.expr),
        (Expr::AggregateFunction(one), Expr::AggregateFunction(other)) => {
            let clauses = |call: &AggregateFunction| AggregateFunctionParams {
                args: Vec::new(),
                ..call.params.clone()
            };
            one.func.name() == COLLECT && other.func.name() == COLLECT && clauses(one) == clauses(other)
        }
        _ => false,
    }
}

fn names_own(expr: &Expr, own: &DFSchema) -> bool {
    outer_columns(expr, own, |_| true).is_ok_and(|outer| outer.is_none())
}

fn check_aggregate(expr: &Expr, own: &DFSchema) -> Result<()> {
    match outer_columns(expr, own, |_| true)? {
        Some(columns) if !columns.is_empty() => {
            let message = "aggregate functions of columns of an outer query are not supported";
            Err(external(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)))
        }
        _ => Ok(()),
    }
}

/// What is said of each outer column that an aggregate names; none where it names one of its own query.
fn outer_columns(expr: &Expr, own: &DFSchema, say: impl Fn(&Column) -> bool) -> Result<Option<Vec<bool>>> {
    let (mut names_own, mut outer) = (false, Vec::new());
    expr.apply(|part| {
        match part {
            Expr::Column(_) => names_own = true,
            Expr::OuterReferenceColumn(_, column) => outer.push(say(column)),
            // What a parameter of a SQL function is, its query does not see.
            Expr::ScalarFunction(call) if argument::is_of_query(call) => return Ok(TreeNodeRecursion::Jump),
            part => {
                for column in subquery_of(part).into_iter().flat_map(|subquery| &subquery.outer_ref_columns) {
                    match column {
                        Expr::OuterReferenceColumn(_, column) if own.has_column(column) => names_own = true,
                        Expr::OuterReferenceColumn(_, column) => outer.push(say(column)),
                        _ => {}
                    }
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((!names_own).then_some(outer))
}
