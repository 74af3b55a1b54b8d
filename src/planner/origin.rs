//! Which column of which table an output column shows, for RowDescription.

use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::catalog::Oid;
use crate::table::provider::TableSourceProvider;

/// Per output: the table's oid and the column's number; `None` when it is computed.
pub fn output_origins(plan: &LogicalPlan) -> Vec<Option<(Oid, u16)>> {
    (0..plan.schema().fields().len()).map(|position| origin(plan, position)).collect()
}

fn origin(plan: &LogicalPlan, position: usize) -> Option<(Oid, u16)> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Expr::Column(column) = projection.expr.get(position)?.clone().unalias() else { return None };
            let position = projection.input.schema().maybe_index_of_column(&column)?;
            origin(&projection.input, position)
        }
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, position),
        LogicalPlan::Sort(sort) => origin(&sort.input, position),
        LogicalPlan::Limit(limit) => origin(&limit.input, position),
        LogicalPlan::Filter(filter) => origin(&filter.input, position),
        LogicalPlan::Aggregate(aggregate) => {
            let Expr::Column(column) = aggregate.group_expr.get(position)? else { return None };
            origin(&aggregate.input, aggregate.input.schema().maybe_index_of_column(column)?)
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match position.checked_sub(left) {
                None => origin(&join.left, position),
                Some(position) => origin(&join.right, position),
            }
        }
        LogicalPlan::TableScan(scan) => {
            let source = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>()?;
            let table = source.table_provider.downcast_ref::<TableSourceProvider>()?;
            let position = match &scan.projection {
                Some(projection) => *projection.get(position)?,
                None => position,
            };
            let column = table.definition().columns.get(position)?;
            Some((table.definition().oid, column.number))
        }
        _ => None,
    }
}
