//! One row of constants beside a table: `FROM documents, plainto_tsquery('english', $1) query`.
//!
//! ```text
//!   Cross join                                 Projection documents.*, plainto_tsquery(...) AS query
//!     TableScan documents               ->       TableScan documents
//!     Projection plainto_tsquery(...)
//! ```
//!
//! Then a condition over both is one over the table alone, which indexes answer. The row may name columns of what stands
//! before it (LATERAL): they are there in the projection.

use datafusion::common::DFSchema;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{EmptyRelation, Expr, JoinType, LogicalPlan, Projection};

/// The plan without cross joins of one row.
pub fn inline(plan: LogicalPlan) -> Result<LogicalPlan> {
    let inlined = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        if join.join_type != JoinType::Inner || !join.on.is_empty() || join.filter.is_some() {
            return Ok(Transformed::no(node));
        }
        let columns = |side: &LogicalPlan| side.schema().columns().into_iter().map(Expr::Column);
        let nothing = DFSchema::empty();
        let (expressions, input) = match (row(&join.right, join.left.schema()), row(&join.left, &nothing)) {
            (Some(row), _) => (columns(&join.left).chain(row).collect::<Vec<_>>(), &join.left),
            (_, Some(row)) => (row.into_iter().chain(columns(&join.right)).collect(), &join.right),
            _ => return Ok(Transformed::no(node)),
        };
        let projection = Projection::try_new(expressions, input.clone())?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    })?;
    Ok(inlined.data)
}

/// The expressions of a relation that is one row of constants and of columns of `outer`, named as it names them.
fn row(plan: &LogicalPlan, outer: &DFSchema) -> Option<Vec<Expr>> {
    let mut innermost = plan;
    loop {
        innermost = match innermost {
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Subquery(subquery) => &subquery.subquery,
            _ => break,
        };
    }
    let LogicalPlan::Projection(projection) = innermost else { return None };
    let LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) = projection.input.as_ref()
    else {
        return None;
    };
    let is_plain = |expr: &Expr| !expr.is_volatile() && expr.column_refs().is_empty() && !has_query(expr);
    if !projection.expr.iter().all(is_plain) {
        return None;
    }
    let named = projection.expr.iter().zip(plan.schema().iter());
    let named = named.map(|(expr, (qualifier, field))| {
        let expr = within(expr.clone().unalias());
        let known = expr.column_refs().iter().all(|column| outer.has_column(column));
        known.then(|| expr.alias_qualified(qualifier.cloned(), field.name()))
    });
    named.collect()
}

/// With columns from outside as columns.
fn within(expr: Expr) -> Expr {
    let replaced = expr.transform(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            expr => Transformed::no(expr),
        })
    });
    replaced.expect("the closure has no errors").data
}

/// Queries inside an expression may depend on rows around it.
fn has_query(expr: &Expr) -> bool {
    let is_query = |expr: &Expr| {
        matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::Unnest(_))
    };
    expr.exists(|expr| Ok(is_query(expr))).unwrap_or(true)
}
