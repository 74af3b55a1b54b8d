//! ORDER BY in shapes that DataFusion has no plan for.
//!
//! A subquery in ORDER BY may read columns that the select list does not have. It is computed beside the list:
//!
//! ```text
//!   SELECT p.name FROM p ORDER BY (SELECT count(*) FROM c WHERE c.parent = p.id)
//!
//!   Projection name                                  <- what is shown
//!     Sort key
//!       Projection name, (SELECT count(*) ...) key
//!         p
//! ```
//!
//! DISTINCT ON wants each key once: `DISTINCT ON (id) ... ORDER BY id, id DESC`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection, Sort, SortExpr};

/// The names of keys beside a list; no query of a user has columns called so.
const KEY: &str = "\u{1}key";

/// The plan with sorts that DataFusion carries out.
pub fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) => beside(sort),
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let changed = on.sort_expr.as_mut().is_some_and(once);
            Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(settled.data)
}

/// Drops keys that an earlier one decides.
fn once(keys: &mut Vec<SortExpr>) -> bool {
    let mut seen: Vec<Expr> = Vec::new();
    let before = keys.len();
    keys.retain(|key| {
        let is_new = !seen.contains(&key.expr);
        seen.push(key.expr.clone());
        is_new
    });
    keys.len() < before
}

fn beside(sort: Sort) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(list) = sort.input.as_ref() else {
        return Ok(Transformed::no(LogicalPlan::Sort(sort)));
    };
    let mut keys = Vec::new();
    for (place, key) in sort.expr.iter().enumerate() {
        let outer = outer_columns(&key.expr)?;
        let missing = outer.iter().any(|column| !list.schema.has_column(column));
        if missing && outer.iter().all(|column| list.input.schema().has_column(column)) {
            keys.push(place);
        }
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Sort(sort)));
    }
    let shown: Vec<Expr> = list.schema.columns().into_iter().map(Expr::Column).collect();
    let mut exprs = list.expr.clone();
    let mut order = sort.expr.clone();
    for place in keys {
        let name = format!("{KEY}{place}");
        exprs.push(below(order[place].expr.clone(), list)?.alias(&name));
        order[place].expr = Expr::Column(Column::new_unqualified(name));
    }
    let list = Projection::try_new(exprs, Arc::clone(&list.input))?;
    let sort = Sort { expr: order, input: Arc::new(LogicalPlan::Projection(list)), fetch: sort.fetch };
    let shown = Projection::try_new(shown, Arc::new(LogicalPlan::Sort(sort)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}

/// The columns that the subqueries of an expression read outside of themselves.
fn outer_columns(expr: &Expr) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    expr.apply(|part| {
        if let Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. }) = part
        {
            columns.extend(subquery.outer_ref_columns.iter().filter_map(|outer| match outer {
                Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
                _ => None,
            }));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns)
}

/// An expression over a list in terms of what the list is over.
fn below(expr: Expr, list: &Projection) -> Result<Expr> {
    let replaced = expr.transform_up(|part| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        Ok(match list.schema.maybe_index_of_column(column).and_then(|place| list.expr.get(place)) {
            Some(shown) => Transformed::yes(shown.clone().unalias()),
            None => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}
