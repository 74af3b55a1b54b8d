//! Conditions that name no column stay above aggregates that make a row of no rows.
//!
//! ```text
//!   Filter: $1                 is not      Aggregate: count(*)         which counts 0 rows where $1 is false
//!     Aggregate: count(*)                    Filter: $1
//!       Scan: t                                Scan: t
//! ```
//!
//! DataFusion's rule moves below an aggregate what names grouping columns only, and so what names none: a parameter, now(),
//! or a column of an outer query, in HAVING or in the WHERE of a query around it.
//!
//! Conditions on the outer rows of a LATERAL go below it, so that the subquery runs for the rows that pass. DataFusion goes by
//! names, and leaves those that a column of the subquery has too.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, Filter, GroupingSet, LogicalPlan, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::planner::by_row::lateral::Lateral;

/// [`PushDownFilter`] with those conditions left out, and LATERAL.
#[derive(Debug, Default)]
pub struct PushDownConditions(PushDownFilter);

impl OptimizerRule for PushDownConditions {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return self.0.rewrite(plan, config) };
        // DataFusion makes one of several, and goes on with it.
        let (mut input, mut predicates) = (&filter.input, vec![&filter.predicate]);
        while let LogicalPlan::Filter(inner) = input.as_ref() {
            predicates.insert(0, &inner.predicate);
            input = &inner.input;
        }
        let parts = predicates.into_iter().flat_map(|predicate| split_conjunction_owned(predicate.clone()));
        match input.as_ref() {
            LogicalPlan::Aggregate(aggregate) if has_empty_set(aggregate) => {}
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<Lateral>() {
                Some(lateral) => return below_lateral(&plan, parts, lateral),
                None => return self.0.rewrite(plan, config),
            },
            _ => return self.0.rewrite(plan, config),
        }
        let parts: Vec<Expr> = parts.collect();
        let stays = parts.iter().any(|part| part.column_refs().is_empty());
        match (stays, conjunction(parts)) {
            (true, Some(all)) if !Arc::ptr_eq(input, &filter.input) => {
                let input = Arc::clone(input);
                Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(all, input)?)))
            }
            (true, _) => Ok(Transformed::no(plan)),
            (false, _) => self.0.rewrite(plan, config),
        }
    }
}

/// The plan with those of its conditions below a lateral join that read nothing but its outer rows.
fn below_lateral(
    plan: &LogicalPlan,
    parts: impl Iterator<Item = Expr>,
    lateral: &Lateral,
) -> Result<Transformed<LogicalPlan>> {
    let is_of_outer_rows = |part: &Expr| part.column_refs().iter().all(|column| lateral.is_outer(column));
    let (below, above): (Vec<Expr>, Vec<Expr>) = parts.partition(is_of_outer_rows);
    let Some(below) = conjunction(below) else { return Ok(Transformed::no(plan.clone())) };
    let outer = LogicalPlan::Filter(Filter::try_new(below, Arc::new(lateral.outer().clone()))?);
    let lateral = lateral.with_exprs_and_inputs(lateral.arguments().to_vec(), vec![outer])?;
    let lateral = LogicalPlan::Extension(Extension { node: Arc::new(lateral) });
    Ok(Transformed::yes(match conjunction(above) {
        Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(lateral))?),
        None => lateral,
    }))
}

/// Whether it makes a row when there are none: one group of all rows, by itself or among grouping sets.
pub fn has_empty_set(aggregate: &Aggregate) -> bool {
    match aggregate.group_expr.as_slice() {
        [] => true,
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().any(Vec::is_empty),
        [Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))] => true,
        _ => false,
    }
}
