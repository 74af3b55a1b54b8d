//! Subqueries that no rule turns into a join, run once for each row of the query around them.
//!
//! DataFusion rewrites correlated subqueries as joins, and refuses those whose shape it has no rule for. In expressions
//! they become function calls here (`function.rs`), whose arguments are the columns of the outer row and whose body is
//! the subquery's plan:
//!
//! ```text
//!   SELECT (SELECT max(b.x) FROM b WHERE b.y < a.z OR b.y = 1) FROM a WHERE a.p = $1
//!   SELECT subquery(a.z)                                       FROM a WHERE a.p = $1
//!          runs  SELECT max(b.x) FROM b WHERE b.y < $2 OR b.y = 1   with $2 = a.z
//! ```
//!
//! In FROM they become a node of their own ([`lateral`]), which joins each outer row with the rows of the body:
//!
//! ```text
//!   FROM q CROSS JOIN LATERAL (SELECT id FROM items ORDER BY v <-> q.v LIMIT 5) n
//!   Lateral (q.v)
//!     TableScan q
//!     runs  SELECT id FROM items ORDER BY v <-> $1 LIMIT 5   with $1 = q.v
//! ```
//!
//! That costs one execution for each outer row, as PostgreSQL's subplans and nested loops do, so it is done of those that
//! no join stands for (`joinable.rs`), and of all in a query that DataFusion refuses otherwise. The body is planned once,
//! and its plan is run again and again ([`body`]), so a nearest-neighbour search in it uses the index for each row.
//! Snapshots and parameters are those of the query around.

// A subquery's plan, run for one outer row after the other.
pub mod body;
// Subqueries in expressions.
pub mod function;
// Which subqueries in expressions joins may stand for.
mod joinable;
// Subqueries in FROM.
pub mod lateral;
// IN as a value.
mod membership;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, Result};
use datafusion::logical_expr::expr::{Exists, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::Error;
use crate::planner::casts::input_schema;
use crate::planner::correlated_names;
use crate::planner::environment::Environment;
use crate::planner::filters::has_empty_set;
use crate::planner::knn;

use function::{Kind, function};

/// The optimised plan with its searches. Where subqueries stay that DataFusion has no join for, they are run row by
/// row; `parameters` is how many the statement has.
pub fn optimise(plan: LogicalPlan, parameters: usize, environment: &Arc<Environment>) -> Result<LogicalPlan> {
    let state = environment.state();
    let plan = joinable::settle(plan)?;
    let plan = lateral::rewrite(plan, parameters, environment, false)?;
    let plan = membership::rewrite(plan, parameters, environment)?;
    let plan = correlated_names::settle(plan)?;
    let tried = match joinable::has_others(&plan)? {
        true => state.optimize(&rewrite(plan.clone(), parameters, environment, false)?),
        false => state.optimize(&plan),
    };
    let optimised = match tried {
        Ok(optimised) if !remains(&optimised)? && is_sound(&optimised)? => optimised,
        refused => {
            let rewritten = rewrite(plan.clone(), parameters, environment, true)?;
            match rewritten == plan {
                // Nothing was rewritten: the refusal stands.
                true => refused?,
                false => state.optimize(&rewritten)?,
            }
        }
    };
    knn::rewrite(optimised, state)
}

/// Whether a node's expressions have one that is asked for.
fn has(node: &LogicalPlan, wanted: impl Fn(&Expr) -> Result<bool>) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = expr.exists(&wanted)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_outer(expr: &Expr) -> Result<bool> {
    Ok(matches!(expr, Expr::OuterReferenceColumn(..)))
}

fn is_of_all_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => has_empty_set(aggregate),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            plan.inputs().into_iter().any(is_of_all_rows)
        }
        _ => false,
    }
}

/// Whether a plan still has subqueries that cannot be carried out.
fn remains(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = matches!(node, LogicalPlan::Subquery(_)) || has(node, |expr| Ok(is_refused(expr)))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether every column that a node names is one of its inputs'. A condition that DataFusion pulls out of a table in the
/// FROM of a correlated subquery is not always.
fn is_sound(plan: &LogicalPlan) -> Result<bool> {
    let unsound = plan.exists(|node| {
        if node.inputs().is_empty() {
            return Ok(false);
        }
        let schema = input_schema(node);
        let named = |expr: &Expr| expr.column_refs().into_iter().all(|column| schema.has_column(column));
        Ok(!node.expressions().iter().all(named))
    })?;
    Ok(!unsound)
}

fn is_refused(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..) => true,
        _ => false,
    }
}

/// Whether a plan names columns of a query around it. Its own subqueries are functions by now.
fn is_correlated(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| has(node, is_outer))
}

/// The plan with correlated subqueries as functions: with `all` every one of them, or else those that no join stands for;
/// `parameters` is how many the statement has.
fn rewrite(
    plan: LogicalPlan,
    parameters: usize,
    environment: &Arc<Environment>,
    all: bool,
) -> Result<LogicalPlan> {
    let plan = if all { lateral::rewrite(plan, parameters, environment, true)? } else { plan };
    // Innermost first, so that what a subquery says to the query around the one around it is an argument by then.
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = input_schema(&node);
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| match expr {
                expr if !all && joinable::is_joinable(&expr)? => Ok(Transformed::no(expr)),
                Expr::ScalarSubquery(subquery) if is_correlated(&subquery.subquery)? => {
                    function(&subquery, Kind::Scalar, None, &schema, parameters, environment)
                }
                Expr::Exists(Exists { subquery, negated }) => {
                    function(&subquery, Kind::Exists { negated }, None, &schema, parameters, environment)
                }
                Expr::InSubquery(member) => membership::function_of(member, &schema, parameters, environment),
                other => Ok(Transformed::no(other)),
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(plan.data)
}

/// A plan with columns of the rows around it as parameters, numbered after the statement's, and what those columns are
/// to a node over `schema`: its columns, or those of a query further out.
fn parametrised(plan: LogicalPlan, schema: &DFSchema, parameters: usize) -> Result<(LogicalPlan, Vec<Expr>)> {
    let mut found = Found { schema, parameters, outer: Vec::new(), around: Vec::new() };
    let plan = found.plan(plan)?;
    Ok((plan.data, found.outer))
}

/// The columns of outer rows that a plan names.
struct Found<'a> {
    schema: &'a DFSchema,
    parameters: usize,
    outer: Vec<Expr>,
    /// What the subqueries of the plan itself may name: those are columns of its own rows.
    around: Vec<DFSchemaRef>,
}

impl Found<'_> {
    fn plan(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let depth = self.around.len();
        let is_lateral = match &plan {
            LogicalPlan::Join(join) => lateral::reads_left(join)?,
            _ => false,
        };
        let plan = plan.map_children(|input| {
            let input = self.plan(input)?;
            if is_lateral {
                self.around.push(Arc::clone(input.data.schema()));
            }
            Ok(input)
        })?;
        self.around.truncate(depth);
        self.around.push(Arc::new(input_schema(&plan.data)));
        let plan = plan.transform_data(|plan| plan.map_subqueries(|subquery| self.plan(subquery)))?;
        self.around.pop();
        plan.transform_data(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| Ok(self.parameter(expr)))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })?
            .map_data(LogicalPlan::recompute_schema)
        })
    }

    /// A column of an outer row as a parameter.
    fn parameter(&mut self, expr: Expr) -> Transformed<Expr> {
        let Expr::OuterReferenceColumn(field, column) = &expr else { return Transformed::no(expr) };
        if self.around.iter().any(|schema| schema.has_column(column)) {
            return Transformed::no(expr);
        }
        let argument = match self.schema.has_column(column) {
            true => Expr::Column(column.clone()),
            false => expr.clone(),
        };
        let place = self.outer.iter().position(|known| *known == argument).unwrap_or_else(|| {
            self.outer.push(argument);
            self.outer.len() - 1
        });
        let id = format!("${}", self.parameters + place + 1);
        // What is read from a cell may be NULL.
        let field = Arc::new(field.as_ref().clone().with_nullable(true));
        Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))))
    }
}

/// What `work` comes to, on a thread of its own: this one may be inside a runtime, which must not wait.
pub fn to_its_end<T, W, F>(work: W) -> crate::error::Result<T>
where
    T: Send,
    W: FnOnce() -> F + Send,
    F: Future<Output = crate::error::Result<T>>,
{
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map_err(|error| Error::internal(error.to_string()))?.block_on(work())
        });
        thread.join().unwrap_or_else(|_| Err(Error::internal("a subquery failed")))
    })
}
