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

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Aggregate, Expr, Filter, GroupingSet, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// [`PushDownFilter`] with those conditions left out.
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
        if !matches!(input.as_ref(), LogicalPlan::Aggregate(aggregate) if has_empty_set(aggregate)) {
            return self.0.rewrite(plan, config);
        }
        let parts: Vec<Expr> =
            predicates.into_iter().flat_map(|predicate| split_conjunction_owned(predicate.clone())).collect();
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

/// Whether it makes a row when there are none: one group of all rows, by itself or among grouping sets.
pub fn has_empty_set(aggregate: &Aggregate) -> bool {
    match aggregate.group_expr.as_slice() {
        [] => true,
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().any(Vec::is_empty),
        [Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))] => true,
        _ => false,
    }
}
