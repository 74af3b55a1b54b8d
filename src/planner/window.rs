//! Frames of windows.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits};

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
    if !by_distance || !is_open(&frame.start_bound) || !is_open(&frame.end_bound) {
        return;
    }
    let Ok(ty) = key.expr.get_type(schema) else { return };
    let has_distances = ty.is_numeric()
        || ty.is_null()
        || matches!(ty, DataType::Utf8 | DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _));
    if !has_distances {
        let (start, end) = (frame.start_bound.clone(), frame.end_bound.clone());
        window.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
    }
}
