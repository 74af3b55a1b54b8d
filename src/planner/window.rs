//! Frames of windows, and the offsets of lag and lead.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::error::Error;
use crate::functions::{decimal, framed};
use crate::planner::common;
use crate::planner::operators::literal;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::field;

/// What a frame of distances is counted in where numbers show their own digits: as many on both sides of the point as are
/// left of 38.
const FRAME_DECIMAL: Type = Type::Numeric(Some((38, 16)));

/// A frame that ends with the row's peers, over a key of a type that has no distances in DataFusion (uuid, time, interval,
/// bytea, jsonb, vectors): the same rows are found by counting groups of peers.
pub fn count_peers(window: &mut WindowFunction, schema: &DFSchema) {
    let Some(key) = window.params.order_by.first() else { return };
    let frame = &window.params.window_frame;
    let is_open = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => distance.is_null(),
    };
    let by_distance = frame.units == WindowFrameUnits::Range;
    let Ok(ty) = key.expr.get_type(schema) else { return };
    if by_distance && ty == decimal::any() && !(is_open(&frame.start_bound) && is_open(&frame.end_bound)) {
        // DataFusion adds distances to decimals of its own.
        let decimal = Arc::new(field("", &FRAME_DECIMAL, true));
        if let Some(key) = window.params.order_by.first_mut() {
            key.expr = Expr::Cast(Cast::new_from_field(Box::new(std::mem::take(&mut key.expr)), decimal));
        }
        return;
    }
    if !by_distance || !is_open(&frame.start_bound) || !is_open(&frame.end_bound) {
        return;
    }
    let has_distances = ty.is_numeric()
        || ty.is_null()
        || matches!(ty, DataType::Utf8 | DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _));
    if !has_distances {
        let (start, end) = (frame.start_bound.clone(), frame.end_bound.clone());
        window.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
    }
}

/// The value of lag and lead and its default have one type: `lead(quantity, 1, -0.5)` is numeric.
pub fn settle_default(window: &mut WindowFunction, schema: &DFSchema) -> Result<()> {
    if !matches!(window.fun.name(), "lag" | "lead") && !framed::is_lag(window.fun.name()) {
        return Ok(());
    }
    if let [value, _, default] = window.params.args.as_mut_slice() {
        let is_number =
            |expr: &Expr| expr.get_type(schema).is_ok_and(|ty| ty.is_numeric() || decimal::is_numeric(&ty));
        if is_number(value) && is_number(default) {
            common::unify(vec![value, default], schema, "CASE")?;
        }
    }
    Ok(())
}

/// The offset of lag and lead where it is a constant: a text is read as a number, and beside NULL there is no row.
pub fn settle_offset(window: &mut WindowFunction) -> Result<()> {
    if !matches!(window.fun.name(), "lag" | "lead") {
        return Ok(());
    }
    let args = &mut window.params.args;
    if let Some(offset) = args.get_mut(1).filter(|offset| !matches!(offset, Expr::Literal(_, _))) {
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().build());
        let known = simplifier.coerce(offset.clone(), &DFSchema::empty());
        // Folded later, NULL would be taken for no offset at all.
        let Ok(constant @ Expr::Literal(_, _)) = known.and_then(|offset| simplifier.simplify(offset)) else {
            return Err(external(Error::unsupported("an offset of lag or lead that is not a constant")));
        };
        *offset = constant;
    }
    match args.get(1) {
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)), None)) => args[1] = literal(text, &Type::Int4)?,
        Some(Expr::Literal(value, None)) if value.is_null() => {
            // More rows than a partition can have, and no default.
            args[1] = Expr::Literal(ScalarValue::Int64(Some(i64::from(i32::MAX))), None);
            if let Some(default) = args.get_mut(2) {
                *default = Expr::Literal(ScalarValue::Null, None);
            }
        }
        _ => {}
    }
    Ok(())
}
