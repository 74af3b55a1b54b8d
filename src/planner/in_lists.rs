//! What stands in a list of IN and reads columns is computed for each row.
//!
//! DataFusion takes a list for constants that it can compute from no rows at all, and of `x IN (CASE WHEN p THEN 0 ELSE y
//! END, 4)` it can: where no row asks for another, the arm with a constant is the answer, for all rows that come later. A
//! function around such an item gives a value for each row, so that no rows give none.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

use crate::planner::opaque;

/// Sees to the items of a list.
pub fn settle(list: &mut [Expr]) {
    for item in list {
        if !matches!(item, Expr::Column(_)) && reads_rows(item) {
            *item = opaque::each_row(std::mem::take(item));
        }
    }
}

/// Whether it differs from row to row: by a column, also an outer query's, or by a subquery, which may read one.
fn reads_rows(item: &Expr) -> bool {
    let reads = |part: &Expr| {
        Ok(matches!(part, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)))
    };
    item.exists(reads).unwrap_or(true)
}
