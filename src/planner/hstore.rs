//! Operators of hstore: `h -> 'a'`, `h ? 'a'`, `h @> 'a=>1'`, `h || hstore('a', '1')`, `h - 'a'::text`, `h['a']`.
//!
//! A literal or a parameter without a type is what PostgreSQL takes it for: a key beside `->` and `?`, an array of keys
//! beside `?|` and `?&`, and an hstore beside the others, of which one, `-`, has keys on its right, too.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{Cast, Expr, GetFieldAccess};

use crate::error::{Error, SqlState};
use crate::functions::hstore;
use crate::planner::operators::{Operand, call, no_operator, typed};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, type_of};

/// What an operator with an hstore is; `None` for other operands, for comparisons, and for what arrays and texts do with
/// values of any type.
pub fn plan(operator: &str, expr: &RawBinaryExpr, left: &Operand, right: &Operand) -> Result<Option<Expr>> {
    let (two, key, keys) = (
        hstore::function_of_two(operator),
        hstore::function_of_key(operator),
        hstore::function_of_keys(operator),
    );
    if !is_hstore(left) && !is_hstore(right) || two.or(key).or(keys).is_none() {
        return Ok(None);
    }
    let open = |operand: &Operand| operand.field().is_none();
    let text_array = Type::Array(Box::new(Type::Text));
    let chosen = match right.field().map(type_of) {
        _ if !is_hstore(left) => two.filter(|_| open(left)).map(|function| (function, Type::Hstore)),
        Some(Type::Hstore) => two.map(|function| (function, Type::Hstore)),
        Some(ty) if ty.is_text() => key.map(|function| (function, Type::Text)),
        Some(Type::Array(item)) if item.is_text() => keys.map(|function| (function, text_array)),
        Some(_) => None,
        None => two
            .map(|function| (function, Type::Hstore))
            .or(key.map(|function| (function, Type::Text)))
            .or(keys.map(|function| (function, text_array))),
    };
    // Text and arrays of hstore have a `||` of their own.
    let is_others = |operand: &Operand| {
        let ty = operand.field().map(type_of);
        ty.is_some_and(|ty| ty.is_text() || matches!(ty, Type::Array(item) if *item == Type::Hstore))
    };
    match chosen {
        Some((function, ty)) => {
            let arguments =
                vec![typed(expr.left.clone(), left, &Type::Hstore)?, typed(expr.right.clone(), right, &ty)?];
            Ok(Some(call(function, arguments)))
        }
        None if operator == "||" && (is_others(left) || is_others(right)) => Ok(None),
        None => Err(no_operator(operator, left, right)),
    }
}

pub fn is_hstore(operand: &Operand) -> bool {
    operand.field().is_some_and(|field| type_of(field) == Type::Hstore)
}

/// `h['a']`
pub fn element(of: Expr, access: GetFieldAccess) -> Result<Expr> {
    let key = match access {
        GetFieldAccess::NamedStructField { name } => Expr::Literal(name, None),
        GetFieldAccess::ListIndex { key } => {
            Expr::Cast(Cast::new_from_field(key, Arc::new(field("", &Type::Text, true))))
        }
        GetFieldAccess::ListRange { .. } => {
            let message = "hstore allows only one subscript";
            return Err(external(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)));
        }
    };
    Ok(call(hstore::FETCH, vec![of, key]))
}
