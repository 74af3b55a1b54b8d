//! Conditions of a subquery that compare columns of one name with the query around it.
//!
//! DataFusion joins a correlated subquery with the query around it on those conditions, and there calls the subquery's
//! columns by their names alone, those that it answers with too. Where two tables of the subquery have a column of one
//! name, both would be the first:
//!
//! ```text
//!   EXISTS (SELECT FROM g, p WHERE g.user_id = u.id OR p.user_id = u.id)
//!   u SEMI JOIN (g, p) AS q ON q.user_id = u.id OR q.user_id = u.id        what it would make of it
//!   u.id IN (SELECT p.user_id FROM g, p WHERE g.user_id = u.id + 1)
//!   u SEMI JOIN (g, p) AS q ON q.user_id = u.id AND q.user_id = u.id + 1   and of this
//! ```
//!
//! So such columns of conditions get names of their own below the condition, and above it everything is called as before:
//!
//! ```text
//!   Projection  g.user_id, p.user_id, ...
//!     Filter    hither_c0 = u.id OR hither_c1 = u.id
//!       Projection  g.user_id, p.user_id, ..., g.user_id AS hither_c0, p.user_id AS hither_c1
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, Subquery};

/// The plan with a name for each column that a subquery in it compares with the query around.
pub fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Subqueries in expressions come by as nodes too.
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Subquery(subquery) => Ok(settle_subquery(subquery)?.update_data(LogicalPlan::Subquery)),
        node => Ok(Transformed::no(node)),
    })
    .data()
}

fn settle_subquery(subquery: Subquery) -> Result<Transformed<Subquery>> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(Transformed::no(subquery));
    }
    let names = names_of(&subquery.subquery)?;
    if names.is_empty() {
        return Ok(Transformed::no(subquery));
    }
    let plan = Arc::unwrap_or_clone(subquery.subquery).transform_up(|node| match node {
        LogicalPlan::Filter(filter) => rename(filter, &names),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(Transformed::yes(Subquery { subquery: Arc::new(plan.data), ..subquery }))
}

/// Columns in conditions that name the query around, of whose names the subquery has several: what they are to be called.
fn names_of(plan: &LogicalPlan) -> Result<BTreeMap<Column, String>> {
    let mut correlated = BTreeSet::new();
    let mut all = BTreeSet::new();
    plan.apply(|node| {
        // What has an alias is called by that.
        if !matches!(node, LogicalPlan::TableScan(_)) {
            all.extend(node.schema().columns());
        }
        if let LogicalPlan::Filter(filter) = node {
            let conditions = split_conjunction(&filter.predicate);
            let conditions = conditions.into_iter().filter(|condition| condition.contains_outer());
            correlated.extend(conditions.flat_map(|condition| condition.column_refs().into_iter().cloned()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let called = |name: &str| all.iter().filter(|column| column.name == name).count();
    // Words, since DataFusion reads some names as it reads SQL.
    let mut names = (0..).map(|number| format!("hither_c{number}")).filter(|name| called(name) == 0);
    let several = correlated.into_iter().filter(|column| called(&column.name) > 1);
    Ok(several.zip(&mut names).collect())
}

/// The condition over columns of these names.
fn rename(filter: Filter, names: &BTreeMap<Column, String>) -> Result<Transformed<LogicalPlan>> {
    let named: BTreeSet<Column> = filter.predicate.column_refs().into_iter().cloned().collect();
    let named: Vec<Column> = named.into_iter().filter(|column| names.contains_key(column)).collect();
    if named.is_empty() || !filter.predicate.contains_outer() {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let all: Vec<Expr> = filter.input.schema().columns().into_iter().map(Expr::Column).collect();
    let renamed = named.into_iter().map(|column| {
        let name = names[&column].clone();
        Expr::Column(column).alias(name)
    });
    let below = Projection::try_new(all.iter().cloned().chain(renamed).collect(), filter.input)?;
    let condition = filter.predicate.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) if names.contains_key(&column) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(&names[&column])))
            }
            expr => Transformed::no(expr),
        })
    });
    let filter = Filter::try_new(condition.data()?, Arc::new(LogicalPlan::Projection(below)))?;
    let above = Projection::try_new(all, Arc::new(LogicalPlan::Filter(filter)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(above)))
}
