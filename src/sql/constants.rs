//! Constants in ORDER BY, GROUP BY and DISTINCT ON, which are places in the list or nothing.
//!
//! `ORDER BY -1` is a place too, which no list has; `ORDER BY 1 + 0` and `ORDER BY 'a'::text` are expressions like others.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderByKind, Query, SetExpr, UnaryOperator, Value,
};

use crate::error::{Error, Result, SqlState};

/// 42601 and 42P10 for constants of a query that are no places.
pub fn check(query: &Query) -> Result<()> {
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) {
        keys.iter().try_for_each(|key| check_key(&key.expr, "ORDER BY"))?;
    }
    check_body(&query.body)
}

fn check_body(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => {
            if let Some(Distinct::On(keys)) = &select.distinct {
                keys.iter().try_for_each(|key| check_key(key, "DISTINCT ON"))?;
            }
            match &select.group_by {
                GroupByExpr::Expressions(keys, _) => keys.iter().try_for_each(check_group),
                GroupByExpr::All(_) => Ok(()),
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        // A query in brackets is visited on its own.
        _ => Ok(()),
    }
}

fn check_group(key: &Expr) -> Result<()> {
    match key {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter().flatten().try_for_each(check_group)
        }
        key => check_key(key, "GROUP BY"),
    }
}

fn check_key(key: &Expr, clause: &str) -> Result<()> {
    let (number, sign) = match key {
        Expr::Nested(inner) => return check_key(inner, clause),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (expr.as_ref(), "-"),
        key => (key, ""),
    };
    let Expr::Value(value) = number else { return Ok(()) };
    match &value.value {
        Value::Placeholder(_) => Ok(()),
        Value::Number(digits, _) if digits.parse::<i32>().is_ok() => match sign {
            "" => Ok(()),
            _ => {
                let message = format!("{clause} position -{digits} is not in select list");
                Err(Error::new(SqlState("42P10"), message))
            }
        },
        Value::Number(..) => Err(no_place(clause)),
        _ if sign.is_empty() => Err(no_place(clause)),
        _ => Ok(()),
    }
}

fn no_place(clause: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))
}
