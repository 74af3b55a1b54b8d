//! INTERSECT ALL and EXCEPT ALL count rows.
//!
//! DataFusion joins the two sides by their columns, and keeps or drops all rows that are alike. With the rows that are
//! alike numbered on both sides, and the number joined by as well, as many stay as PostgreSQL keeps:
//!
//! ```text
//!   left   a a a b          left   (a,1) (a,2) (a,3) (b,1)
//!   right  a a              right  (a,1) (a,2)               INTERSECT ALL: a a, EXCEPT ALL: a b
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, Projection, Window,
};

/// The number's name; no query of a user has a column called so.
const NUMBER: &str = "\u{1}number";

/// The plan with its INTERSECT ALL and EXCEPT ALL counted.
pub fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let counted = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_of_all(&join) => count(join).map(Transformed::yes),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(counted.data)
}

/// Joins in which NULL equals NULL are those of set operations; without ALL the left side is distinct.
fn is_of_all(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn count(join: Join) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (left, right) = (numbered(&join.left)?, numbered(&join.right)?);
    let mut on = join.on;
    on.push((number_of(&left), number_of(&right)));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(LogicalPlan::Join(joined)))?))
}

/// The rows with a number among those that are alike.
fn numbered(input: &Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let number = row_number().partition_by(columns.clone()).build()?;
    let name = number.schema_name().to_string();
    let window = LogicalPlan::Window(Window::try_new(vec![number], Arc::clone(input))?);
    let number = Expr::Column(Column::new_unqualified(name)).alias(NUMBER);
    LogicalPlanBuilder::from(window).project(columns.into_iter().chain([number]))?.build()
}

fn number_of(side: &LogicalPlan) -> Expr {
    let (qualifier, field) = side.schema().qualified_field(side.schema().fields().len() - 1);
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}
