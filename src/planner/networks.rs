//! Binary operators of addresses: `inet '10.1.2.3' << '10/8'`, `addr + 5`, `cidr = inet`.
//!
//! A literal beside an address is an `inet`, or a `macaddr` beside one; and a `cidr` beside an `inet` is compared as one.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

use crate::functions::networks;
use crate::planner::operators::{Operand, call, no_operator, typed};
use crate::types::arrow::lists::network_of;
use crate::types::arrow::{field, type_of};
use crate::types::{NetworkType, Type};

/// What an operator with an address is; `None` for other operands, and for comparisons of two of one type.
pub fn plan(operator: &str, expr: &RawBinaryExpr, left: &Operand, right: &Operand) -> Result<Option<Expr>> {
    let (one, other) = (left.network(), right.network());
    let Some(of) = one.or(other) else { return Ok(None) };
    let Some(function) = networks::function_of_operator(operator) else { return Ok(None) };
    let is_integer = |operand: &Operand| {
        operand.field().is_some_and(|field| matches!(type_of(field), Type::Int2 | Type::Int4 | Type::Int8))
    };
    let moves = matches!(operator, "+" | "-") && of.is_ip() && (is_integer(left) || is_integer(right));
    let alike = |operand: &Operand, found: Option<NetworkType>| match found {
        Some(found) => found.is_ip() == of.is_ip(),
        None => operand.field().is_none(),
    };
    let fits = moves || operator != "+" && alike(left, one) && alike(right, other);
    if !fits {
        return Err(no_operator(operator, left, right));
    }
    let ty = Type::Network(if of.is_ip() { NetworkType::Inet } else { of });
    let arguments = vec![typed(expr.left.clone(), left, &ty)?, typed(expr.right.clone(), right, &ty)?];
    Ok(Some(call(function, arguments)))
}

/// The sides of a comparison, where one is a `cidr` and the other an `inet`.
pub fn compared(expr: &mut RawBinaryExpr, left: &Operand, right: &Operand) {
    let cidr = match (left.network(), right.network()) {
        (Some(NetworkType::Cidr), Some(NetworkType::Inet)) => &mut expr.left,
        (Some(NetworkType::Inet), Some(NetworkType::Cidr)) => &mut expr.right,
        _ => return,
    };
    let inet = Arc::new(field("", &Type::Network(NetworkType::Inet), true));
    *cidr = Expr::Cast(Cast::new_from_field(Box::new(std::mem::take(cidr)), inet));
}

/// The function of addresses that a call of the same name as one of numbers or bits means.
pub fn function_of(call: &ScalarFunction, schema: &DFSchema) -> Option<&'static str> {
    let function = match call.func.name() {
        "bitnot" => networks::NOT,
        "trunc" => networks::TRUNCATE,
        _ => return None,
    };
    let [address] = call.args.as_slice() else { return None };
    network_of(&address.get_type(schema).ok()?).map(|_| function)
}
