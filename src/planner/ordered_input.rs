//! Aggregates over rows that a subquery has sorted: `SELECT json_agg(q) FROM (SELECT * FROM t ORDER BY x) q`.
//!
//! PostgreSQL hands them the rows in that order. The planner does not promise any, so the keys of the subquery become
//! those of the aggregates that collect, where these have none of their own; a key that the subquery does not show is
//! carried along:
//!
//! ```text
//!   Aggregate array_agg(q.id)                        Aggregate array_agg(q.id ORDER BY q.key)
//!     SubqueryAlias q                                  SubqueryAlias q
//!       Projection t.id                       ->         Projection t.id, t.x AS key
//!         Sort t.x                                         Sort t.x
//!           Projection t.id, t.x                             Projection t.id, t.x
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Limit, LogicalPlan, Projection, SortExpr, SubqueryAlias,
};

use crate::functions::COLLECT;

/// The names of keys that are carried along; no query of a user has columns called so.
const KEY: &str = "\u{1}order";

/// The plan with aggregates in the order of their input.
pub fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => ordered(aggregate),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(settled.data)
}

fn ordered(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let unchanged = |aggregate| Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    if !aggregate.aggr_expr.iter().any(collects) {
        return unchanged(aggregate);
    }
    let Some((input, keys)) = carried(&aggregate.input)? else { return unchanged(aggregate) };
    let named = aggregate.aggr_expr.into_iter().map(|expr| {
        if !collects(&expr) {
            return expr;
        }
        // The nodes above know it by this name.
        let name = expr.schema_name().to_string();
        match expr {
            Expr::AggregateFunction(mut function) => {
                function.params.order_by = keys.clone();
                Expr::AggregateFunction(function).alias(name)
            }
            other => other,
        }
    });
    let named = named.collect();
    let made = Aggregate::try_new(Arc::new(input), aggregate.group_expr, named)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(made)))
}

/// Whether the order of its input shows, and nothing else decides it.
fn collects(expr: &Expr) -> bool {
    let Expr::AggregateFunction(function) = expr else { return false };
    let params = &function.params;
    matches!(function.func.name(), "array_agg" | COLLECT) && params.order_by.is_empty() && !params.distinct
}

/// A plan whose rows are sorted, with the keys among its columns.
fn carried(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<SortExpr>)>> {
    Ok(match plan {
        LogicalPlan::Sort(sort) if sort.expr.iter().all(|key| is_plain(&key.expr)) => {
            Some((plan.clone(), sort.expr.clone()))
        }
        LogicalPlan::Filter(filter) => match carried(&filter.input)? {
            Some((input, keys)) => {
                let made = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
                Some((LogicalPlan::Filter(made), keys))
            }
            None => None,
        },
        LogicalPlan::Limit(limit) => carried(&limit.input)?.map(|(input, keys)| {
            (LogicalPlan::Limit(Limit { input: Arc::new(input), ..limit.clone() }), keys)
        }),
        LogicalPlan::SubqueryAlias(alias) => match carried(&alias.input)? {
            Some((input, keys)) => {
                let made = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
                let keys = moved(keys, made.input.schema(), &made.schema)?;
                keys.map(|keys| (LogicalPlan::SubqueryAlias(made), keys))
            }
            None => None,
        },
        LogicalPlan::Projection(projection) => match carried(&projection.input)? {
            Some((input, keys)) => Some(projected(projection, input, keys)?),
            None => None,
        },
        _ => None,
    })
}

/// Whether it may be computed once more.
fn is_plain(expr: &Expr) -> bool {
    let is_subquery = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::OuterReferenceColumn(..)
        ))
    };
    !expr.is_volatile() && !expr.exists(is_subquery).unwrap_or(true)
}

/// A projection that also shows the keys.
fn projected(
    projection: &Projection,
    input: LogicalPlan,
    keys: Vec<SortExpr>,
) -> Result<(LogicalPlan, Vec<SortExpr>)> {
    let mut exprs = projection.expr.clone();
    let columns = projection.schema.columns();
    let mut shown = Vec::with_capacity(keys.len());
    for (place, key) in keys.into_iter().enumerate() {
        let found = projection.expr.iter().position(|expr| expr.clone().unalias() == key.expr);
        let column = match found {
            Some(found) => columns[found].clone(),
            None => {
                let name = format!("{KEY}{place}");
                exprs.push(key.expr.clone().alias(&name));
                Column::new_unqualified(name)
            }
        };
        shown.push(SortExpr { expr: Expr::Column(column), ..key });
    }
    let made = Projection::try_new(exprs, Arc::new(input))?;
    Ok((LogicalPlan::Projection(made), shown))
}

/// Keys over one schema as keys over another, of the same columns under other names; `None` when one is not there.
fn moved(keys: Vec<SortExpr>, from: &DFSchema, to: &DFSchema) -> Result<Option<Vec<SortExpr>>> {
    let columns = to.columns();
    let mut known = true;
    let mut all = Vec::with_capacity(keys.len());
    for key in keys {
        let expr = key.expr.transform_up(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            Ok(match from.maybe_index_of_column(column).and_then(|place| columns.get(place)) {
                Some(renamed) => Transformed::yes(Expr::Column(renamed.clone())),
                None => {
                    known = false;
                    Transformed::no(part)
                }
            })
        })?;
        all.push(SortExpr { expr: expr.data, asc: key.asc, nulls_first: key.nulls_first });
    }
    Ok(known.then_some(all))
}
