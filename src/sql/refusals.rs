//! What PostgreSQL refuses and the planner would take, or refuse in words of its own.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArguments, GroupByExpr, Join,
    JoinConstraint, JoinOperator, Select, WindowType,
};

use crate::error::{Error, Result, SqlState};
use crate::functions::scalar_functions;
use crate::sql::aggregates::{is_aggregate, is_aggregate_of_any};
use crate::sql::frames::is_negative;
use crate::sql::known::{Known, factors, outputs, qualifier};
use crate::sql::rewrite::{arguments, folded, plain_name};
use crate::sql::set_functions::is_array_of_set;
use crate::sql::spellings::row_of;
use crate::sql::visit;

const NO_FUNCTION_MATCHES: &str =
    "No function matches the given name and argument types. You might need to add explicit type casts.";

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

/// 42803 for what an ordered-set aggregate is given beside its order, such as the 3 of `rank(3) WITHIN GROUP (ORDER BY x)`,
/// if it reads the rows of the one group that there is.
pub fn of_direct_arguments(select: &Select, known: &Known, hidden: &[String]) -> Result<()> {
    if !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
        return Ok(());
    }
    let mut given = Vec::new();
    let _ = visit::own_expressions(&select.projection, |part| {
        if let Expr::Function(function) = part
            && !function.within_group.is_empty()
        {
            given.extend(arguments(function).unwrap_or_default());
        }
        ControlFlow::<()>::Continue(())
    });
    if given.is_empty() {
        return Ok(());
    }
    let relations = factors(&select.from).into_iter().filter_map(|factor| {
        let name = qualifier(factor)?.last().map(folded)?;
        Some((name, known.columns_of(factor, hidden)?.names))
    });
    let relations: Vec<(String, Vec<String>)> = relations.collect();
    let column_of = |part: &Expr| {
        let (relation, column) = match part {
            Expr::Identifier(column) => (None, folded(column)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] => (Some(folded(relation)), folded(column)),
                _ => return None,
            },
            _ => return None,
        };
        let has = |(name, columns): &&(String, Vec<String>)| {
            relation.as_ref().is_none_or(|relation| relation == name) && columns.contains(&column)
        };
        relations.iter().find(has).map(|(name, _)| format!("{name}.{column}"))
    };
    let found = given.iter().find_map(|given| {
        let found = visit::own_expressions(given, |part| match column_of(part) {
            Some(column) => ControlFlow::Break(column),
            None => ControlFlow::Continue(()),
        });
        found.break_value()
    });
    match found {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
            );
            Err(Error::new(SqlState::GROUPING_ERROR, message)
                .detail("Direct arguments of an ordered-set aggregate must use only grouped columns."))
        }
    }
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

/// 42601 for a subquery that is a value and has several columns, or none.
pub fn of_value(expr: &Expr) -> Result<()> {
    if let Expr::Subquery(query) = expr { is_one_column(query) } else { Ok(()) }
}

fn is_one_column(query: &ast::Query) -> Result<()> {
    match outputs(query) {
        Some(columns) if columns.len() != 1 => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column"))
        }
        _ => Ok(()),
    }
}

/// Refuses a call.
pub fn of_call(function: &Function) -> Result<()> {
    let name = plain_name(function).unwrap_or_default();
    // ARRAY (SELECT ...)
    if let FunctionArguments::Subquery(query) = &function.args {
        is_one_column(query)?;
    }
    if let FunctionArguments::List(list) = &function.args
        && list.args.is_empty()
    {
        match name.as_str() {
            "count" => {
                let message = "count(*) must be used to call a parameterless aggregate function";
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            "num_nulls" | "num_nonnulls" => {
                let message = format!("function {name}() does not exist");
                return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(NO_FUNCTION_MATCHES));
            }
            _ => {}
        }
    }
    let Some(over) = &function.over else { return of_unknown(function) };
    if let WindowType::WindowSpec(window) = over
        && window.partition_by.iter().chain(window.order_by.iter().map(|key| &key.expr)).any(has_window)
    {
        return Err(window_in("window definitions"));
    }
    if arguments(function).is_some_and(|arguments| arguments.iter().any(has_window)) {
        return Err(Error::new(SqlState("42P20"), "window function calls cannot be nested"));
    }
    if is_scalar(&name) && !is_aggregate_of_any(function) {
        let message =
            format!("OVER specified, but {name} is not a window function nor an aggregate function");
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    if let FunctionArguments::List(list) = &function.args
        && matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct))
    {
        let message = "DISTINCT is not implemented for window functions";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let (state, place) = match name.as_str() {
        "ntile" => ("22014", 0),
        "nth_value" => ("22016", 1),
        _ => return Ok(()),
    };
    match arguments(function).and_then(|arguments| arguments.into_iter().nth(place)) {
        Some(argument) if is_not_positive(&argument) => {
            Err(Error::new(SqlState(state), format!("argument of {name} must be greater than zero")))
        }
        _ => Ok(()),
    }
}

/// Whether a function is computed of single rows: those that return sets, and what is built in besides.
fn is_scalar(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> =
        LazyLock::new(|| scalar_functions().iter().map(|function| function.name().to_owned()).collect());
    name == "unnest" || is_array_of_set(name) || NAMES.contains(name)
}

/// 42P18 for `ARRAY[]` that nothing gives a type.
pub fn of_array(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Array(array) if array.elem.is_empty() => {
            Err(Error::new(SqlState("42P18"), "cannot determine type of empty array")
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."))
        }
        _ => Ok(()),
    }
}

/// 42725 for a sum of NULL, which is of no type.
fn of_unknown(function: &Function) -> Result<()> {
    let Some(name) = plain_name(function).filter(|name| matches!(name.as_str(), "sum" | "avg")) else {
        return Ok(());
    };
    match arguments(function).as_deref() {
        Some([Expr::Value(value)]) if value.value == ast::Value::Null => {
            let error = Error::new(SqlState("42725"), format!("function {name}(unknown) is not unique"));
            Err(error.hint(
                "Could not choose a best candidate function. You might need to add explicit type casts.",
            ))
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
