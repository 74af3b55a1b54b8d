//! The functions that PostgreSQL's operators call, by name: `booleq(a, b)` is `a = b` of booleans.
//!
//! Their names are made of a type and an operation, so that they are read rather than listed:
//!
//! ```text
//!   bool int2 int4 int8 int24 ... float4 float8 float48 text numeric_ date timestamp_ ...   the types
//!   eq ne lt le gt ge                                                                       comparisons
//!   pl mi mul div mod, of numeric add sub mul div mod                                       arithmetic
//! ```
//!
//! Both arguments are cast to the types of the name, as the function's parameters would have them.

use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr};

use crate::sql::rewrite::{arguments, cast_to, plain_name, type_tree};
use crate::types::Type;

/// What the names begin with, the types of the two arguments, and whether there is arithmetic.
const TYPES: &[(&str, Type, Type, bool)] = &[
    ("bool", Type::Bool, Type::Bool, false),
    ("int2", Type::Int2, Type::Int2, true),
    ("int4", Type::Int4, Type::Int4, true),
    ("int8", Type::Int8, Type::Int8, true),
    ("int24", Type::Int2, Type::Int4, true),
    ("int42", Type::Int4, Type::Int2, true),
    ("int28", Type::Int2, Type::Int8, true),
    ("int82", Type::Int8, Type::Int2, true),
    ("int48", Type::Int4, Type::Int8, true),
    ("int84", Type::Int8, Type::Int4, true),
    ("oid", Type::Oid, Type::Oid, false),
    ("float4", Type::Float4, Type::Float4, true),
    ("float8", Type::Float8, Type::Float8, true),
    ("float48", Type::Float4, Type::Float8, true),
    ("float84", Type::Float8, Type::Float4, true),
    ("numeric_", Type::Numeric(None), Type::Numeric(None), true),
    ("name", Type::Name, Type::Name, false),
    ("text", Type::Text, Type::Text, false),
    ("text_", Type::Text, Type::Text, false),
    ("bytea", Type::Bytea, Type::Bytea, false),
    ("uuid_", Type::Uuid, Type::Uuid, false),
    ("date_", Type::Date, Type::Date, false),
    ("time_", Type::Time(None), Type::Time(None), false),
    ("timestamp_", Type::Timestamp(None), Type::Timestamp(None), false),
    ("timestamptz_", Type::Timestamptz(None), Type::Timestamptz(None), false),
    ("interval_", Type::Interval(None), Type::Interval(None), false),
    ("jsonb_", Type::Jsonb, Type::Jsonb, false),
];

/// A call of such a function as its operator.
pub fn as_operator(function: &ast::Function) -> Option<Expr> {
    let name = plain_name(function)?;
    let (left, right, op) = meant(&name)?;
    let [one, other] = <[Expr; 2]>::try_from(arguments(function)?).ok()?;
    let operand = |expr: Expr, ty: &Type| Some(Box::new(cast_to(expr, type_tree(ty)?)));
    let operation = Expr::BinaryOp { left: operand(one, left)?, op, right: operand(other, right)? };
    Some(Expr::Nested(Box::new(operation)))
}

fn meant(name: &str) -> Option<(&'static Type, &'static Type, BinaryOperator)> {
    TYPES.iter().find_map(|(prefix, left, right, has_arithmetic)| {
        let operation = name.strip_prefix(prefix)?;
        let op = match operation {
            "eq" => BinaryOperator::Eq,
            "ne" => BinaryOperator::NotEq,
            "lt" => BinaryOperator::Lt,
            "le" => BinaryOperator::LtEq,
            "gt" => BinaryOperator::Gt,
            "ge" => BinaryOperator::GtEq,
            "mul" if *has_arithmetic => BinaryOperator::Multiply,
            "div" if *has_arithmetic => BinaryOperator::Divide,
            "pl" if *has_arithmetic && *prefix != "numeric_" => BinaryOperator::Plus,
            "mi" if *has_arithmetic && *prefix != "numeric_" => BinaryOperator::Minus,
            "add" if *prefix == "numeric_" => BinaryOperator::Plus,
            "sub" if *prefix == "numeric_" => BinaryOperator::Minus,
            "mod" if matches!(*prefix, "int2" | "int4" | "int8" | "numeric_") => BinaryOperator::Modulo,
            _ => return None,
        };
        // text_lt and its like beside texteq.
        let is_equality = matches!(operation, "eq" | "ne");
        let exists = match *prefix {
            "text" => is_equality,
            "text_" => !is_equality,
            _ => true,
        };
        exists.then_some((left, right, op))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_types_and_operations() {
        let op = |name| meant(name).map(|(left, right, op)| format!("{left} {op} {right}"));
        assert_eq!(op("booleq").as_deref(), Some("boolean = boolean"));
        assert_eq!(op("int48pl").as_deref(), Some("integer + bigint"));
        assert_eq!(op("numeric_sub").as_deref(), Some("numeric - numeric"));
        assert_eq!(op("text_lt").as_deref(), Some("text < text"));
        assert_eq!(op("boolpl"), None);
        assert_eq!(op("text_eq"), None);
        assert_eq!(op("int48mod"), None);
    }
}
