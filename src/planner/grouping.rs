//! Grouping sets of expressions: `GROUP BY ROLLUP (date_trunc('month', at), price > 10)`.
//!
//! What is grouped by is computed below the aggregate first, under the name the planner knows it by, so that later rules
//! may change the expression and not the name; GROUPING() is asked of the columns.
//!
//! An aggregate in a subquery that reads columns of an outer query alone is one over the outer query's groups
//! (<https://www.postgresql.org/docs/17/sql-expressions.html#SYNTAX-AGGREGATES>), and not supported.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, Projection};

use crate::error::{Error, SqlState};
use crate::functions::COLLECT;
use crate::types::arrow::errors::external;

/// The plan with grouping sets of columns only.
pub fn of_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => {
            aggregate.aggr_expr.iter().try_for_each(check_level)?;
            match has_computed_set(&aggregate) {
                true => settle(aggregate).map(Transformed::yes),
                false => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
            }
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(settled.data)
}

/// 0A000 for an aggregate that belongs to an outer query.
fn check_level(aggregate: &Expr) -> Result<()> {
    // Rows of ARRAY(SELECT ...) are of that query, whatever they are.
    if matches!(aggregate, Expr::AggregateFunction(call) if call.func.name() == COLLECT) {
        return Ok(());
    }
    let (mut reads_outer, mut reads_own) = (false, false);
    aggregate.apply(|part| {
        match part {
            Expr::OuterReferenceColumn(..) => reads_outer = true,
            // What a subquery reads is not looked at.
            Expr::Column(_) | Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
                reads_own = true;
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if reads_outer && !reads_own {
        let message = "aggregate functions of columns of an outer query are not supported";
        return Err(external(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)));
    }
    Ok(())
}

fn has_computed_set(aggregate: &Aggregate) -> bool {
    let sets = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    sets && aggregate.group_expr.iter().flat_map(members).any(|expr| !matches!(expr, Expr::Column(_)))
}

/// What an item of GROUP BY groups by.
fn members(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs) | GroupingSet::Cube(exprs)) => exprs.iter().collect(),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter().flatten().collect(),
        expr => vec![expr],
    }
}

fn settle(aggregate: Aggregate) -> Result<LogicalPlan> {
    let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
    let mut below: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut computed: Vec<(Expr, Column)> = Vec::new();
    for expr in group_expr.iter().flat_map(members) {
        if matches!(expr, Expr::Column(_)) || computed.iter().any(|(known, _)| known == expr) {
            continue;
        }
        let (qualifier, name) = expr.qualified_name();
        below.push(expr.clone().alias_qualified(qualifier.clone(), &name));
        computed.push((expr.clone(), Column::new(qualifier, name)));
    }
    let column_of = |expr: Expr| match computed.iter().find(|(known, _)| *known == expr) {
        Some((_, column)) => Expr::Column(column.clone()),
        None => expr,
    };
    let all = |exprs: Vec<Expr>| exprs.into_iter().map(column_of).collect::<Vec<_>>();
    let groups = group_expr.into_iter().map(|expr| match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Expr::GroupingSet(GroupingSet::Rollup(all(exprs))),
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => Expr::GroupingSet(GroupingSet::Cube(all(exprs))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(all).collect()))
        }
        expr => column_of(expr),
    });
    let groups: Vec<Expr> = groups.collect();
    // The names of the aggregates stay, which say the expressions.
    let aggregates = aggr_expr.into_iter().map(|expr| {
        let Expr::AggregateFunction(call) = &expr else { return expr };
        if call.func.name() != "grouping" {
            return expr;
        }
        let (qualifier, name) = expr.qualified_name();
        let mut call = call.clone();
        call.params.args = all(std::mem::take(&mut call.params.args));
        Expr::AggregateFunction(call).alias_qualified(qualifier, name)
    });
    let aggregates: Vec<Expr> = aggregates.collect();
    let projection = Projection::try_new(below, input)?;
    let input = Arc::new(LogicalPlan::Projection(projection));
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, groups, aggregates)?))
}
