//! The first term of a recursive query, whose types are those of the query's own table.
//!
//! The planner reads whole numbers as bigint, and the planner's successor (`planner::prepare`) makes integers of them too
//! late for the table that the second term reads. So they are cast where they stand: `SELECT 1` is `SELECT 1::int`.

use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, Query, SelectItem, SetExpr, Value};

use crate::sql::rewrite::cast_to;

/// Casts the numbers that are outputs of first terms.
pub fn settle_numbers(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return };
    for table in &mut with.cte_tables {
        if let SetExpr::SetOperation { left, .. } = table.query.body.as_mut() {
            outputs(left);
        }
    }
}

fn outputs(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    settle(expr);
                }
            }
        }
        SetExpr::Query(query) => outputs(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            outputs(left);
            outputs(right);
        }
        SetExpr::Values(values) => values.rows.iter_mut().flat_map(|row| row.iter_mut()).for_each(settle),
        _ => {}
    }
}

fn settle(expr: &mut Expr) {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    match expr {
        Expr::Value(value) => {
            let Value::Number(digits, _) = &value.value else { return };
            if digits.parse::<i32>().is_ok() {
                *expr = cast_to(expr.clone(), ast::DataType::Int(None));
            } else if digits.contains('.') {
                *expr = cast_to(expr.clone(), ast::DataType::Numeric(ast::ExactNumberInfo::None));
            }
        }
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => settle(inner),
        Expr::BinaryOp { left, op: Plus | Minus | Multiply | Divide | Modulo, right } => {
            settle(left);
            settle(right);
        }
        Expr::Subquery(query) => outputs(&mut query.body),
        Expr::Array(array) => array.elem.iter_mut().for_each(settle),
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter_mut().for_each(|when| settle(&mut when.result));
            else_result.iter_mut().for_each(|result| settle(result));
        }
        _ => {}
    }
}
