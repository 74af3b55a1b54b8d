//! Aggregates that are made of arrays: `string_agg(x, ',')` is a function of the array of the values.
//!
//! ```text
//!   json_agg(x ORDER BY y)      json_agg_items(hither_items(x ORDER BY y))
//!   string_agg(x, ',')          string_agg_items(hither_items(x), ',')
//!   jsonb_object_agg(k, v)      jsonb_object_agg_items(hither_items(k), hither_items(v))
//! ```
//!
//! Order, DISTINCT, FILTER and OVER are those of the inner aggregate. Of distinct values PostgreSQL shows the least first,
//! because it sorts to find them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, OrderByExpr, OrderByOptions, Value,
};

use crate::functions::{COLLECT, citext};
use crate::sql::rewrite::{cast_to, function_call, plain_name};
use crate::sql::sql_json;
use crate::sql::values::names_columns;
use crate::sql::visit;
use crate::sql::whole_rows::is_record;

/// The aggregates, and the functions that make them of arrays.
const OF_ARRAYS: &[(&str, &str)] = &[
    ("jsonb_agg", "jsonb_agg_items"),
    ("json_agg", "json_agg_items"),
    ("json_agg", "json_agg_records_items"),
    ("jsonb_object_agg", "jsonb_object_agg_items"),
    ("json_object_agg", "json_object_agg_items"),
    ("hither_sql_json_arrayagg", "hither_sql_json_arrayagg_items"),
    ("hither_sql_json_objectagg", "hither_sql_json_objectagg_items"),
    ("hither_sql_json_arrayagg_", "hither_sql_json_arrayagg_items_"),
    ("hither_sql_json_objectagg_", "hither_sql_json_objectagg_items_"),
    ("string_agg", "string_agg_items"),
];

/// The aggregate that a function makes of arrays.
pub fn of_items(function: &str) -> Option<&'static str> {
    OF_ARRAYS.iter().find(|(_, items)| *items == function).map(|(aggregate, _)| *aggregate)
}

/// What aggregates are known by.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "var_pop",
    "var_samp",
    "corr",
    "covar_pop",
    "covar_samp",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "every",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "hither_sql_json_arrayagg",
    "hither_sql_json_objectagg",
    "hither_sql_json_arrayagg_",
    "hither_sql_json_objectagg_",
];

/// Whether an aggregate is in an expression.
pub fn has_aggregate(expr: &Expr) -> bool {
    has_function(expr, is_aggregate)
}

/// Whether the call is one of an aggregate, over a group.
pub fn is_aggregate(function: &Function) -> bool {
    function.over.is_none() && is_aggregate_of_any(function)
}

/// Whether the call is one of an aggregate, over a group or a window.
pub fn is_aggregate_of_any(function: &Function) -> bool {
    plain_name(function).is_some_and(|name| AGGREGATES.contains(&name.as_str()))
}

/// Whether a window function is in an expression.
pub fn has_window(expr: &Expr) -> bool {
    has_function(expr, |function| function.over.is_some())
}

/// Whether an expression is computed from several rows, of a group or of a window.
pub fn is_of_rows(expr: &Expr) -> bool {
    has_aggregate(expr) || has_window(expr)
}

fn has_function(expr: &Expr, is: impl Fn(&Function) -> bool) -> bool {
    let found = visit::expressions(expr, |part| match part {
        Expr::Function(function) if is(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Rewrites a call of an aggregate.
pub fn expand(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = plain_name(function) else { return };
    if name == "array_agg" {
        sort_distinct(function);
        return;
    }
    let Some((_, items)) = OF_ARRAYS.iter().find(|(aggregate, _)| *aggregate == name) else { return };
    if name == "string_agg" {
        distinct_texts(function);
    }
    sort_distinct(function);
    let FunctionArguments::List(list) = &function.args else { return };
    let is_distinct = list.duplicate_treatment.is_some();
    let mut arrays = Vec::with_capacity(list.args.len());
    for (place, argument) in list.args.iter().enumerate() {
        match argument {
            // What is said about all values.
            FunctionArg::Unnamed(FunctionArgExpr::Expr(says))
                if name.starts_with(sql_json::PREFIX) && place == 0 =>
            {
                arrays.push(says.clone());
            }
            // One separator for all values.
            FunctionArg::Unnamed(FunctionArgExpr::Expr(separator))
                if name == "string_agg" && place > 0 && !names_columns(separator) =>
            {
                arrays.push(separator.clone());
            }
            // Distinct values and distinct separators would not go together.
            _ if place > 0 && is_distinct => return,
            argument => arrays.push(collect(function, argument)),
        }
    }
    let of_records = name == "json_agg" && list.args.iter().any(is_of_record);
    *expr = function_call(if of_records { "json_agg_records_items" } else { items }, arrays);
}

fn is_of_record(argument: &FunctionArg) -> bool {
    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_record(expr))
}

/// The array of an argument's values.
fn collect(aggregate: &Function, argument: &FunctionArg) -> Expr {
    let mut inner = aggregate.clone();
    inner.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(COLLECT))]);
    if let FunctionArguments::List(list) = &mut inner.args {
        // NULL is of no type, and its array of none that functions take.
        let value = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) if value.value == Value::Null => {
                let text = cast_to(Expr::Value(value.clone()), DataType::Text);
                FunctionArg::Unnamed(FunctionArgExpr::Expr(text))
            }
            argument => argument.clone(),
        };
        list.args = vec![value];
    }
    Expr::Function(inner)
}

/// The distinct values of `string_agg` are texts, also where they are made of citext.
fn distinct_texts(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) = list.args.first_mut() else { return };
    if !distinct || matches!(value, Expr::Value(_)) {
        return;
    }
    let given = value.clone();
    *value = function_call(citext::PLAIN, vec![given.clone()]);
    let text = value.clone();
    let keys = list.clauses.iter_mut().filter_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => Some(keys),
        _ => None,
    });
    keys.flatten().filter(|key| key.expr == given).for_each(|key| key.expr = text.clone());
}

fn sort_distinct(function: &mut Function) {
    let is_window = function.over.is_some();
    let FunctionArguments::List(list) = &mut function.args else { return };
    let is_sorted = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if let (true, false, false, Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value)))) =
        (distinct, is_sorted, is_window, list.args.first())
        && !matches!(value, Expr::Value(_))
    {
        let options = OrderByOptions { asc: None, nulls_first: None };
        let key = OrderByExpr { expr: value.clone(), options, with_fill: None };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
    }
}
