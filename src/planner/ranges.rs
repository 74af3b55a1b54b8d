//! Operators of ranges and multiranges but for comparisons, which are as of any other type: `r @> 3`, `r && m`, `m - n`.
//!
//! A literal or a parameter without a type is taken for what stands on the other side.

use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::RawBinaryExpr;

use crate::error::{Error, SqlState};
use crate::functions::ranges::{Side, function_of_operator, is_operator};
use crate::planner::operators::{Operand, call, no_operator, typed};
use crate::types::arrow::errors::external;
use crate::types::arrow::type_of;
use crate::types::{RangeType, Type};

/// What an operator with a range or a multirange is; `None` for other operands, and for comparisons.
pub fn plan(operator: &str, expr: &RawBinaryExpr, left: &Operand, right: &Operand) -> Result<Option<Expr>> {
    if !is_operator(operator) {
        return Ok(None);
    }
    let Some(ty) = left.range().or_else(|| right.range()) else { return Ok(None) };
    let (Type::Range(of) | Type::Multirange(of)) = &ty else { return Ok(None) };
    let sides = side(left, &ty, of).zip(side(right, &ty, of));
    let function = sides.and_then(|(left, right)| function_of_operator(operator, left, right));
    let function = function.ok_or_else(|| no_operator(operator, left, right))?;
    let arguments = vec![typed(expr.left.clone(), left, &ty)?, typed(expr.right.clone(), right, &ty)?];
    Ok(Some(call(function, arguments)))
}

/// What an operand is beside one of a range type; `None` of what is nothing there: no cast makes an element of a value.
fn side(operand: &Operand, other: &Type, of: &RangeType) -> Option<Side> {
    let of_type = |ty: &Type| match ty {
        Type::Range(found) => (found == of).then_some(Side::Range),
        Type::Multirange(found) => (found == of).then_some(Side::Multirange),
        ty => (ty.bare() == of.element()).then_some(Side::Element),
    };
    match operand {
        Operand::Typed(field) => of_type(&type_of(field)),
        _ => of_type(other),
    }
}

/// Ranges stand in arrays with their like only.
pub fn no_array(other: &Type, of: &Type) -> DataFusionError {
    external(match other {
        Type::Range(_) | Type::Multirange(_) => {
            let message = format!("ARRAY could not convert type {other} to {of}");
            Error::new(SqlState::CANNOT_COERCE, message)
        }
        other => {
            let message = format!("ARRAY types {of} and {} cannot be matched", other.bare());
            Error::new(SqlState::DATATYPE_MISMATCH, message)
        }
    })
}
