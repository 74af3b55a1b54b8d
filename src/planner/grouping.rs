//! Grouping sets of expressions: `GROUP BY ROLLUP (date_trunc('month', at), price > 10)`.
//!
//! What is grouped by is computed below the aggregate first, under the name the planner knows it by, so that later rules
//! may change the expression and not the name; GROUPING() is asked of the columns.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, Projection};

/// The plan with grouping sets of columns only.
pub fn of_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => match has_computed_set(&aggregate) {
            true => settle(aggregate).map(Transformed::yes),
            false => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(settled.data)
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
