//! Arrays of several dimensions in plans: lists of lists, which PostgreSQL's operators and functions take as one array.
//!
//! ```text
//!   grid[1][2]            hither_place(grid, 1, 2)          NULL of fewer subscripts than there are dimensions
//!   grid[1:2][2:2]        hither_slice(grid, 1, 2, 2, 2)
//!   tags[1][2]            NULL                              of one dimension
//!   ARRAY[a, b]           hither_nested(make_array(a, b))   of arrays, which must have one shape
//!   grid::text[]          CAST(grid AS text[][])
//!   x = ANY (grid)        array_has(hither_elements(grid), x)
//! ```

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, GetFieldAccess, Operator, lit};

use crate::error::{Error, SqlState};
use crate::functions::arrays::{ELEMENTS, NESTED, PLACE, SLICE};
use crate::functions::scalar::no_such_function;
use crate::planner::comparison;
use crate::planner::operators::{Operand, array_operand, call, no_operator, operator_of_numbers};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, type_of};
use crate::types::dimensions::{DIMENSIONS_MAX, too_many};

/// The planner's own function of a subscript, of an array of one dimension.
const ELEMENT: &str = "array_element";

/// Whether arrays of a type have several dimensions.
pub fn are_several(ty: &DataType) -> bool {
    matches!(ty, DataType::List(item) if matches!(item.data_type(), DataType::List(_)))
}

/// A subscript of an array of several dimensions, or one more of what has some already; `None` of all else. What has more
/// subscripts than dimensions is NULL.
pub fn subscript(access: &RawFieldAccessExpr, schema: &DFSchema) -> Option<Expr> {
    let found = access.expr.get_type(schema).ok()?;
    let (function, mut arguments) = match &access.expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            // The type of what has fewer is the element's too, and it is NULL.
            PLACE if args.len() <= of(&args[0], schema) => (PLACE, args.clone()),
            // What was sliced is sliced further as long as it has dimensions; of one that has not, a slice is an array.
            SLICE if are_several(&found) && args.len() / 2 < of(&args[0], schema) => (SLICE, args.clone()),
            PLACE | ELEMENT if !found.is_nested() => {
                return ScalarValue::try_from(&found).ok().map(|null| Expr::Literal(null, None));
            }
            _ if are_several(&found) => (PLACE, vec![access.expr.clone()]),
            _ => return None,
        },
        other if are_several(&found) => (PLACE, vec![other.clone()]),
        _ => return None,
    };
    let first = || lit(1_i32);
    match &access.field_access {
        GetFieldAccess::ListIndex { key } if function == PLACE => arguments.push(key.as_ref().clone()),
        // Beside a slice, a subscript is one from the first on.
        GetFieldAccess::ListIndex { key } => arguments.extend([first(), key.as_ref().clone()]),
        GetFieldAccess::ListRange { start, stop, .. } => {
            if function == PLACE {
                let array = arguments.remove(0);
                let slices = arguments.into_iter().flat_map(|place| [first(), place]);
                arguments = std::iter::once(array).chain(slices).collect();
            }
            arguments.extend([start.as_ref().clone(), stop.as_ref().clone()]);
            return Some(call(SLICE, arguments));
        }
        GetFieldAccess::NamedStructField { .. } => return None,
    }
    Some(call(function, arguments))
}

/// How many dimensions an expression has; 0 of what is no array.
pub fn of(array: &Expr, schema: &DFSchema) -> usize {
    array.to_field(schema).map_or(0, |(_, field)| type_of(&field).dimensions())
}

/// Whether arrays of some types hold values of one type; whole numbers are, whichever widths they have.
pub fn have_one_element(types: &[DataType]) -> bool {
    let mut elements = types.iter().filter(|ty| !ty.is_null()).map(element);
    let Some(first) = elements.next() else { return true };
    elements.all(|other| first == other || first.is_integer() && other.is_integer())
}

/// The type of what stands in an array in the end; of another type itself.
pub fn element(ty: &DataType) -> &DataType {
    if let DataType::List(item) = ty { element(item.data_type()) } else { ty }
}

/// A comparison of arrays of which one has several dimensions, which the planner would take for values of other types.
pub fn compared(
    expr: &RawBinaryExpr,
    operator: &str,
    left: &Operand,
    right: &Operand,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    let several = |operand: &Operand, beside: &Operand| match operand {
        Operand::Typed(field) => are_several(field.data_type()),
        Operand::Unknown(text) => beside.array().is_some() && crate::types::array::dimensions(text) > 1,
        _ => false,
    };
    let op = operator_of_numbers(operator).filter(Operator::supports_propagation);
    let (Some(op), true) = (op, several(left, right) || several(right, left)) else { return Ok(None) };
    let one = array_operand(expr.left.clone(), left, right)?;
    let other = array_operand(expr.right.clone(), right, left)?;
    if !have_one_element(&[one.get_type(schema)?, other.get_type(schema)?]) {
        return Err(no_operator(operator, left, right));
    }
    let (one, other) = comparison::of_operator(one, op, other, schema)?;
    Ok(Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(one), op, Box::new(other)))))
}

/// Arrays stand in arrays with their like only.
pub fn no_array(operands: &[Operand], single: &Operand) -> DataFusionError {
    let array = operands.iter().find(|operand| operand.array().is_some()).map(Operand::describe);
    let (array, single_first) =
        (array.unwrap_or_default(), operands.first().is_some_and(|o| o.array().is_none()));
    let (one, other) = if single_first { (single.describe(), array) } else { (array, single.describe()) };
    let message = format!("ARRAY types {one} and {other} cannot be matched");
    external(Error::new(SqlState::DATATYPE_MISMATCH, message))
}

/// An array that was written out: of arrays it is one only if they have one shape.
pub fn settle_nested(array: Expr, schema: &DFSchema) -> Result<Expr> {
    match of(&array, schema) {
        ..=1 => Ok(array),
        2..=DIMENSIONS_MAX => Ok(call(NESTED, vec![array])),
        more => Err(external(too_many(more))),
    }
}

/// A cast of an array keeps its dimensions.
pub fn settle_cast(cast: &Cast, schema: &DFSchema) -> Option<Expr> {
    let wanted = type_of(&cast.field);
    let found = of(&cast.expr, schema);
    if found == 0 || wanted.dimensions() == 0 || found == wanted.dimensions() {
        return None;
    }
    let kept = Arc::new(field("", &wanted.with_dimensions(found), true));
    Some(Expr::Cast(Cast::new_from_field(cast.expr.clone(), kept)))
}

/// The elements of an array of one dimension are the array; those of a multirange, which is none, are its ranges. 0A000 of
/// a tsvector, whose elements are rows, and 42883 of what is kept as a list and is none.
pub fn settle_elements(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let [array] = call.args.as_slice() else { return Ok(None) };
    if call.func.name() != ELEMENTS {
        return Ok(None);
    }
    let (_, field) = array.to_field(schema)?;
    match type_of(&field) {
        Type::TsVector => Err(external(Error::unsupported("unnest() of a tsvector"))),
        Type::Multirange(_) => Ok(None),
        Type::Array(_) if of(array, schema) > 1 => Ok(None),
        ty if ty.dimensions() == 0 && field.data_type().is_nested() => {
            Err(no_such_function("unnest", &[field.data_type().clone()]))
        }
        _ => Ok(Some(array.clone())),
    }
}

/// The array whose elements are compared with a value: of several dimensions all of them.
pub fn member_of(array: Expr, schema: &DFSchema) -> Expr {
    if of(&array, schema) < 2 { array } else { call(ELEMENTS, vec![array]) }
}

/// The type of a literal beside an array: of as many dimensions as its text has.
pub fn of_literal(text: &str, beside: &Type) -> Type {
    match crate::types::array::dimensions(text) {
        0 => beside.clone(),
        dimensions => beside.with_dimensions(dimensions),
    }
}
