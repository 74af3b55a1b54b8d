//! What PostgreSQL refuses and the planner would take, or refuse in words of its own.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArguments, GroupByExpr, Join,
    JoinConstraint, JoinOperator, Select,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::aggregates::is_aggregate;
use crate::sql::frames::is_negative;
use crate::sql::rewrite::{arguments, plain_name};
use crate::sql::spellings::row_of;
use crate::sql::visit;

/// Refuses a SELECT.
pub fn of_select(select: &Select) -> Result<()> {
    if select.selection.as_ref().is_some_and(has_window) {
        return Err(window_in("WHERE"));
    }
    if let GroupByExpr::Expressions(keys, _) = &select.group_by
        && keys.iter().any(has_window)
    {
        return Err(window_in("GROUP BY"));
    }
    if select.having.as_ref().is_some_and(has_window) {
        return Err(window_in("HAVING"));
    }
    if select.from.iter().flat_map(|from| &from.joins).any(lacks_condition) {
        return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error {}", behind_from(select))));
    }
    Ok(())
}

/// Refuses expressions over single rows, in `place`, that are over several: 42803 and 42P20.
pub fn of_row<'a>(exprs: impl IntoIterator<Item = &'a Expr>, place: &str) -> Result<()> {
    for expr in exprs {
        if has_window(expr) {
            return Err(window_in(place));
        }
        let found = visit::own_expressions(expr, |part| match part {
            Expr::Function(function) if is_aggregate(function) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        if found.is_break() {
            let message = format!("aggregate functions are not allowed in {place}");
            return Err(Error::new(SqlState::GROUPING_ERROR, message));
        }
    }
    Ok(())
}

/// Whether a window function is called in an expression, outside of its subqueries.
fn has_window(expr: &Expr) -> bool {
    let found = visit::own_expressions(expr, |part| match part {
        Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn window_in(clause: &str) -> Error {
    Error::new(SqlState("42P20"), format!("window functions are not allowed in {clause}"))
}

/// `a JOIN b` without ON or USING.
fn lacks_condition(join: &Join) -> bool {
    use JoinOperator::{FullOuter, Inner, Join as Plain, Left, LeftOuter, Right, RightOuter};
    matches!(
        join.join_operator,
        Plain(JoinConstraint::None)
            | Inner(JoinConstraint::None)
            | Left(JoinConstraint::None)
            | LeftOuter(JoinConstraint::None)
            | Right(JoinConstraint::None)
            | RightOuter(JoinConstraint::None)
            | FullOuter(JoinConstraint::None)
    )
}

/// Where the condition would stand.
fn behind_from(select: &Select) -> String {
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let clause = match () {
        () if select.selection.is_some() => "WHERE",
        () if is_grouped => "GROUP",
        () if select.having.is_some() => "HAVING",
        () => return "at end of input".to_owned(),
    };
    format!("at or near \"{clause}\"")
}

/// 42601 for rows of different lengths that are compared.
pub fn of_rows(expr: &Expr) -> Result<()> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } = expr else { return Ok(()) };
    match (row_of(left), row_of(right)) {
        (Some(one), Some(other)) if one.len() != other.len() => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions"))
        }
        _ => Ok(()),
    }
}

/// Refuses a call.
pub fn of_call(function: &Function) -> Result<()> {
    if function.over.is_none() {
        return Ok(());
    }
    if let FunctionArguments::List(list) = &function.args
        && matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct))
    {
        let message = "DISTINCT is not implemented for window functions";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let (state, place) = match plain_name(function).as_deref() {
        Some("ntile") => ("22014", 0),
        Some("nth_value") => ("22016", 1),
        _ => return Ok(()),
    };
    let name = plain_name(function).unwrap_or_default();
    match arguments(function).and_then(|arguments| arguments.into_iter().nth(place)) {
        Some(argument) if is_not_positive(&argument) => {
            Err(Error::new(SqlState(state), format!("argument of {name} must be greater than zero")))
        }
        _ => Ok(()),
    }
}

fn is_not_positive(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_not_positive(inner),
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<i64>().is_ok_and(|number| number <= 0),
            _ => false,
        },
        expr => is_negative(expr),
    }
}
