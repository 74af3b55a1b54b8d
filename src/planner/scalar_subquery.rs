//! A subquery as a value is NULL when it finds no row, whatever its column may hold.
//!
//! The planner takes the column's word for it: over a column that is NOT NULL it would make `coalesce((SELECT id ...), 0)`
//! the subquery alone. A function that promises less stands above the column.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Subquery};

use crate::planner::opaque;

/// The subquery with a column that may be NULL.
pub fn settle(subquery: Subquery) -> Result<Subquery> {
    let plan = &subquery.subquery;
    let [field] = plan.schema().fields().as_ref() else { return Ok(subquery) };
    if field.is_nullable() || has_one_row(plan) {
        return Ok(subquery);
    }
    let (qualifier, field) = plan.schema().qualified_field(0);
    let (qualifier, name) = (qualifier.cloned(), field.name().clone());
    let column = Expr::Column(Column::new(qualifier.clone(), &name));
    let value = opaque::or_null(column);
    let projection = Projection::try_new(vec![value.alias_qualified(qualifier, name)], Arc::clone(plan))?;
    Ok(Subquery { subquery: Arc::new(LogicalPlan::Projection(projection)), ..subquery })
}

/// Whether it aggregates all rows into one.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        _ => false,
    }
}
