//! Which column of which table an output column shows, for RowDescription.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::catalog::Oid;
use crate::table::knn::KnnProvider;
use crate::table::provider::TableSourceProvider;

/// Per output: the table's oid and the column's number; `None` when it is computed.
pub fn output_origins(plan: &LogicalPlan) -> Vec<Option<(Oid, u16)>> {
    (0..plan.schema().fields().len()).map(|position| origin(plan, position)).collect()
}

/// The columns of each table that an optimised plan reads.
pub fn columns_read(plan: &LogicalPlan) -> BTreeMap<Oid, BTreeSet<u16>> {
    let mut read: BTreeMap<Oid, BTreeSet<u16>> = BTreeMap::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(source) =
                (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>()
        {
            let table = source.table_provider.downcast_ref::<TableSourceProvider>();
            let search = source.table_provider.downcast_ref::<KnnProvider>();
            if let Some(table) = table.or_else(|| search.map(KnnProvider::table)) {
                let definition = table.definition();
                let numbers = read.entry(definition.oid).or_default();
                let projected = match &scan.projection {
                    Some(projection) => projection.clone(),
                    None => (0..definition.columns.len()).collect(),
                };
                let named = scan.filters.iter().flat_map(|filter| filter.column_refs());
                let named = named.filter_map(|column| definition.column(&column.name)).map(|c| c.number);
                numbers.extend(named);
                let projected = projected.into_iter().filter_map(|position| definition.columns.get(position));
                numbers.extend(projected.map(|column| column.number));
                numbers.extend(search.map(KnnProvider::column_number));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    read
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
