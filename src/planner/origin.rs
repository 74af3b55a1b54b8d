//! Which column of which table an output column shows, for RowDescription.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{DefaultTableSource, TableProvider};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

use crate::catalog::Oid;
use crate::planner::names;
use crate::planner::system::SystemProvider;
use crate::table::knn::KnnProvider;
use crate::table::provider::{CTID_COLUMN, TableSourceProvider};

/// The number of `ctid` in PostgreSQL: -1.
const CTID_NUMBER: u16 = -1_i16 as u16;

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
    // The output of a node that the expression is, when it is a column.
    let of_column = |input: &LogicalPlan, expr: &Expr| {
        let Expr::Column(column) = expr.clone().unalias() else { return None };
        origin(input, input.schema().maybe_index_of_column(&column)?)
    };
    match plan {
        LogicalPlan::Projection(projection) => of_column(&projection.input, projection.expr.get(position)?),
        LogicalPlan::SubqueryAlias(alias) => match names::view_of(alias.alias.table()) {
            // The columns of a view keep their places.
            Some(view) => Some((view, u16::try_from(position + 1).ok()?)),
            None => origin(&alias.input, position),
        },
        LogicalPlan::Subquery(subquery) => origin(&subquery.subquery, position),
        LogicalPlan::Sort(sort) => origin(&sort.input, position),
        LogicalPlan::Limit(limit) => origin(&limit.input, position),
        LogicalPlan::Filter(filter) => origin(&filter.input, position),
        LogicalPlan::Distinct(Distinct::All(input)) => origin(input, position),
        LogicalPlan::Distinct(Distinct::On(on)) => of_column(&on.input, on.select_expr.get(position)?),
        // What windows compute comes behind their input.
        LogicalPlan::Window(window) if position < window.input.schema().fields().len() => {
            origin(&window.input, position)
        }
        LogicalPlan::Unnest(unnest) => {
            let below = *unnest.dependency_indices.get(position)?;
            let is_made = unnest.list_type_columns.iter().any(|(column, _)| *column == below)
                || unnest.struct_type_columns.contains(&below);
            if is_made { None } else { origin(&unnest.input, below) }
        }
        LogicalPlan::Aggregate(aggregate) => of_column(&aggregate.input, aggregate.group_expr.get(position)?),
        // INTERSECT and EXCEPT, before anything is optimised.
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => None,
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match position.checked_sub(left) {
                None => origin(&join.left, position),
                Some(position) => origin(&join.right, position),
            }
        }
        LogicalPlan::TableScan(scan) => {
            let source = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>()?;
            let position = match &scan.projection {
                Some(projection) => *projection.get(position)?,
                None => position,
            };
            if let Some(system) = source.table_provider.downcast_ref::<SystemProvider>() {
                return system.origin(position);
            }
            let table = source.table_provider.downcast_ref::<TableSourceProvider>()?;
            let definition = table.definition();
            match definition.columns.get(position) {
                Some(column) => Some((definition.oid, column.number)),
                None if table.schema().field(position).name() == CTID_COLUMN => {
                    Some((definition.oid, CTID_NUMBER))
                }
                None => None,
            }
        }
        _ => None,
    }
}
