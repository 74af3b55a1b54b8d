//! `x IN (SELECT ...)` where NULL is an answer of its own.
//!
//! The planner's joins tell which rows have an equal. That is all a condition of WHERE needs, below AND and OR; below
//! NOT, in CASE and in a select list the answer is NULL where x is, or where no value is equal and one is NULL. There the
//! subquery is a function of the row, and one that reads no outer column is run once.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast};

use crate::planner::by_row::function::{Kind, function};
use crate::planner::casts::input_schema;
use crate::planner::environment::Environment;

/// The plan with the functions it needs.
pub fn rewrite(plan: LogicalPlan, parameters: usize, environment: &Arc<Environment>) -> Result<LogicalPlan> {
    let has_any = plan.exists(|node| {
        let mut found = false;
        for expr in node.expressions() {
            found |= expr.exists(|expr| Ok(matches!(expr, Expr::InSubquery(_))))?;
        }
        Ok(found)
    })?;
    if !has_any {
        return Ok(plan);
    }
    let of_row = |expr: Expr, schema: &DFSchema| {
        expr.transform_up(|expr| match expr {
            Expr::InSubquery(member) if is_three_valued(&member, schema)? => {
                function_of(member, schema, parameters, environment)
            }
            expr => Ok(Transformed::no(expr)),
        })
    };
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = input_schema(&node);
        let is_condition = matches!(node, LogicalPlan::Filter(_));
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = match is_condition {
                true => condition(expr, &schema, &of_row)?,
                false => of_row(expr, &schema)?,
            };
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

/// A condition of WHERE: what the planner's joins answer stays.
fn condition(
    expr: Expr,
    schema: &DFSchema,
    of_row: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<Expr>> {
    let mut changed = false;
    let mut parts = Vec::new();
    for part in split_conjunction_owned(expr) {
        let part = match not_in(part) {
            // An anti join that knows NULL, but of a constant, which is no key of a join.
            Expr::InSubquery(member)
                if member.negated
                    && member.subquery.outer_ref_columns.is_empty()
                    && !member.expr.column_refs().is_empty() =>
            {
                Expr::InSubquery(member)
            }
            part => {
                let part = alternative(part, schema, of_row)?;
                changed |= part.transformed;
                part.data
            }
        };
        parts.push(part);
    }
    let all = conjunction(parts).expect("a condition has a part at least");
    Ok(Transformed::new_transformed(all, changed))
}

/// `NOT x IN (...)` is `x NOT IN (...)`.
fn not_in(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(member) => Expr::InSubquery(InSubquery { negated: !member.negated, ..member }),
            inner => Expr::Not(Box::new(inner)),
        },
        expr => expr,
    }
}

/// Below AND and OR, NULL is as good as false.
fn alternative(
    expr: Expr,
    schema: &DFSchema,
    of_row: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (alternative(*left, schema, of_row)?, alternative(*right, schema, of_row)?);
            let changed = left.transformed || right.transformed;
            let both = BinaryExpr::new(Box::new(left.data), op, Box::new(right.data));
            Ok(Transformed::new_transformed(Expr::BinaryExpr(both), changed))
        }
        Expr::InSubquery(member) if !member.negated => Ok(Transformed::no(Expr::InSubquery(member))),
        expr => of_row(expr, schema),
    }
}

/// Whether the answer may be NULL.
fn is_three_valued(member: &InSubquery, schema: &DFSchema) -> Result<bool> {
    let inner = member.subquery.subquery.schema();
    Ok(member.expr.nullable(schema)? || inner.fields().iter().any(|field| field.is_nullable()))
}

/// The function that stands for it.
pub fn function_of(
    member: InSubquery,
    schema: &DFSchema,
    parameters: usize,
    environment: &Arc<Environment>,
) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = member;
    let given = expr.get_type(schema)?;
    let common = comparison_coercion(&given, subquery.subquery.schema().field(0).data_type());
    let given = match common {
        Some(common) if given != common => cast(*expr, common),
        _ => *expr,
    };
    function(&subquery, Kind::In { negated }, Some(given), schema, parameters, environment)
}
