//! Operators of values that are bytes of a fixed width to DataFusion: uuids, places of rows, and times with a zone. What
//! they become beside others, it does not know.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use crate::functions::cast;
use crate::planner::operators::Operand;
use crate::types::Type;
use crate::types::arrow::type_of;

/// The two sides of an operator as they meet: a time beside one with a zone has a zone too, and beside a text they are
/// texts.
pub fn settle(operator: &str, (a, left): (Expr, &Operand), (b, right): (Expr, &Operand)) -> (Expr, Expr) {
    let is = |operand: &Operand, is_wanted: fn(&DataType) -> bool| {
        operand.field().is_some_and(|field| is_wanted(field.data_type()))
    };
    let is_fixed = |operand| is(operand, |ty| matches!(ty, DataType::FixedSizeBinary(_)));
    let is_clock = |operand| is(operand, |ty| matches!(ty, DataType::Time64(_)));
    let compares = matches!(operator, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=");
    match (is_fixed(left), is_fixed(right)) {
        (of_left, of_right) if operator == "||" => {
            let text =
                |is_cast, expr, operand| if is_cast { converted(expr, operand, &Type::Text) } else { expr };
            (text(of_left, a, left), text(of_right, b, right))
        }
        (false, true) if compares && is_clock(left) => (converted(a, left, &Type::Timetz(None)), b),
        (true, false) if compares && is_clock(right) => (a, converted(b, right, &Type::Timetz(None))),
        _ => (a, b),
    }
}

fn converted(expr: Expr, operand: &Operand, ty: &Type) -> Expr {
    match operand.field() {
        Some(field) => {
            let function = cast::function(type_of(field), ty.clone(), false);
            Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
        }
        None => expr,
    }
}
