//! Which type of texts an expression is of, and char(n) beside the others.
//!
//! Of several texts the first one's type is that of CASE, COALESCE and its like, and of UNION: varchar beside text stays
//! varchar, and char(n) beside others becomes char of any length, with its blanks.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

use crate::functions::characters::{PADDED, noted};
use crate::planner::operators::call;
use crate::types::Type;
use crate::types::arrow::type_of;

/// The type of an expression that is a text; `None` for others.
pub fn text_type(expr: &Expr, schema: &DFSchema) -> Option<Type> {
    match expr {
        Expr::Alias(alias) => text_type(&alias.expr, schema),
        // The note of what is cast stays on it.
        Expr::Cast(cast) if is_to_text(cast) => Some(Type::Text),
        expr => {
            let (_, found) = expr.to_field(schema).ok()?;
            (*found.data_type() == DataType::Utf8).then(|| type_of(&found))
        }
    }
}

/// Whether it is a cast to text.
pub fn is_to_text(cast: &Cast) -> bool {
    *cast.field.data_type() == DataType::Utf8 && type_of(&cast.field) == Type::Text
}

/// The type that texts of these types have in common; `alone` is whether there are no literals among them.
pub fn common(types: &[Type], alone: bool) -> Option<Type> {
    let is_string = |ty: &&Type| !matches!(ty, Type::Name | Type::Char);
    // It becomes one of the others by itself, and none of them becomes it.
    let others = types.iter().find(|ty| is_string(ty) && **ty != Type::Citext);
    let first = others.or(types.iter().find(is_string)).or(types.first())?;
    Some(match first {
        Type::Bpchar(_) if alone && types.iter().all(|ty| ty == first) => first.clone(),
        first if types.iter().all(|ty| ty == first) && alone => first.clone(),
        first => first.bare(),
    })
}

/// A text of type `from` as one of type `to`.
pub fn converted(expr: Expr, from: &Type, to: &Type) -> Expr {
    if from == to {
        return expr;
    }
    match (from, to) {
        (Type::Bpchar(Some(characters)), Type::Bpchar(None)) => padded(expr, *characters),
        (Type::Bpchar(None), _) => as_noted(call("rtrim", vec![expr]), to),
        _ => as_noted(expr, to),
    }
}

/// An expression noted to be of a type of texts.
pub fn as_noted(expr: Expr, ty: &Type) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(noted(ty), vec![expr]))
}

fn padded(expr: Expr, characters: u32) -> Expr {
    let characters = ScalarValue::Int32(Some(i32::try_from(characters).unwrap_or(i32::MAX)));
    call(PADDED, vec![expr, Expr::Literal(characters, None)])
}

/// A char(n) with its blanks, and everything else as it is.
pub fn with_blanks(expr: Expr, schema: &DFSchema) -> Expr {
    match text_type(&expr, schema) {
        Some(Type::Bpchar(Some(characters))) => padded(expr, characters),
        _ => expr,
    }
}

/// A char of any length without its blanks, which do not count when it is compared.
pub fn without_blanks(expr: Expr, schema: &DFSchema) -> Expr {
    match text_type(&expr, schema) {
        Some(Type::Bpchar(None)) => call("rtrim", vec![expr]),
        _ => expr,
    }
}

/// An output as it is shown: `c::text` is a text, whatever it was.
pub fn settle_output(expr: Expr, schema: &DFSchema) -> Expr {
    match expr {
        Expr::Alias(mut alias) => {
            *alias.expr = settle_output(*alias.expr, schema);
            Expr::Alias(alias)
        }
        Expr::Cast(cast) if is_to_text(&cast) => match text_type(&cast.expr, schema) {
            Some(from) if from != Type::Text => converted(*cast.expr, &from, &Type::Text),
            _ => Expr::Cast(cast),
        },
        expr => expr,
    }
}
