//! Calls over frames that DataFusion cannot cut, written as calls of [`crate::functions::framed`].
//!
//! A frame with EXCLUDE comes from `sql::frames` with a call of [`EXCLUDING`] as its last bound:
//!
//! ```text
//!   ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE TIES
//!   ROWS BETWEEN 2 PRECEDING AND hither_excluding('TIES', 'CURRENT ROW', NULL) FOLLOWING
//! ```

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, ObjectNamePart, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use crate::error::{Error, Result, SqlState};
use crate::functions::frame_bounds::{Bound, Excluded, Frame, Units};
use crate::functions::framed::PREFIX;
use crate::sql::aggregates::{self, is_aggregate_of_any};
use crate::sql::rewrite::{arguments, plain_name};
use crate::sql::trees;

/// What marks a bound behind which rows are excluded.
pub const EXCLUDING: &str = "hither_excluding";

/// Functions that look at the whole partition, whatever the frame.
const FRAMELESS: &[&str] =
    &["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

/// Rewrites a call whose frame asks for it, and those among its arguments that were made of it.
pub fn expand_call(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    if function.over.is_some() {
        return expand(function);
    }
    if plain_name(function).is_none_or(|name| aggregates::of_items(&name).is_none()) {
        return Ok(());
    }
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    list.args.iter_mut().try_for_each(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner))) => expand(inner),
        _ => Ok(()),
    })
}

fn expand(function: &mut Function) -> Result<()> {
    let Some(name) = plain_name(function) else { return Ok(()) };
    let Some(WindowType::WindowSpec(spec)) = &mut function.over else { return Ok(()) };
    let excluded = take_excluded(spec);
    if FRAMELESS.contains(&name.as_str()) {
        if excluded != Excluded::NoOthers {
            spec.window_frame = None;
        }
        if matches!(name.as_str(), "lag" | "lead") && has_computed_argument(&function.args) {
            let frame = Frame { function: name, ..whole_partition() };
            write(function, frame, Vec::new());
        }
        return Ok(());
    }
    let is_of_frame = matches!(name.as_str(), "first_value" | "last_value" | "nth_value");
    let computed = name == "nth_value" && has_computed_argument(&function.args);
    let Some(WindowType::WindowSpec(spec)) = &function.over else { return Ok(()) };
    let frame = spec.window_frame.clone();
    let needed = computed || excluded != Excluded::NoOthers || frame.as_ref().is_some_and(is_uncut);
    if !needed || !is_of_frame && !is_aggregate_of_any(function) && name != crate::functions::COLLECT {
        return Ok(());
    }
    let (frame, offsets) = described(name, spec, excluded)?;
    write(function, frame, offsets);
    Ok(())
}

fn whole_partition() -> Frame {
    Frame {
        function: String::new(),
        units: Units::Rows,
        start: Bound::UnboundedPreceding,
        end: Bound::UnboundedFollowing,
        excluded: Excluded::NoOthers,
        filtered: false,
        keyed: false,
        descending: false,
    }
}

/// Whether an argument behind the first is no constant.
fn has_computed_argument(args: &FunctionArguments) -> bool {
    let FunctionArguments::List(FunctionArgumentList { args, .. }) = args else { return false };
    args.iter().skip(1).any(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => !is_constant(expr),
        _ => false,
    })
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(expr) | Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } => is_constant(expr),
        Expr::BinaryOp { left, right, .. } => is_constant(left) && is_constant(right),
        _ => false,
    }
}

/// Whether DataFusion has no such frame: it counts constants only, knows few types of distances, and wants an end that is
/// not before the start.
fn is_uncut(frame: &WindowFrame) -> bool {
    let start = offset_of(&frame.start_bound);
    let end = frame.end_bound.as_ref().and_then(offset_of);
    if frame.units == WindowFrameUnits::Range {
        return start.is_some() || end.is_some();
    }
    let count = |offset: &Expr| match offset {
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<u64>().ok(),
            _ => None,
        },
        _ => None,
    };
    let is_computed = |offset: Option<&Expr>| offset.is_some_and(|offset| count(offset).is_none());
    let is_turned = match (&frame.start_bound, &frame.end_bound) {
        (WindowFrameBound::Preceding(Some(start)), Some(WindowFrameBound::Preceding(Some(end)))) => {
            count(start) < count(end)
        }
        (WindowFrameBound::Following(Some(start)), Some(WindowFrameBound::Following(Some(end)))) => {
            count(start) > count(end)
        }
        _ => false,
    };
    is_computed(start) || is_computed(end) || is_turned
}

fn offset_of(bound: &WindowFrameBound) -> Option<&Expr> {
    match bound {
        WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => Some(offset),
        _ => None,
    }
}

/// Takes the mark off the last bound.
fn take_excluded(spec: &mut WindowSpec) -> Excluded {
    let Some(frame) = &mut spec.window_frame else { return Excluded::NoOthers };
    let bound = frame.end_bound.as_mut().unwrap_or(&mut frame.start_bound);
    let marked = match bound {
        WindowFrameBound::Following(Some(offset)) => match offset.as_mut() {
            Expr::Function(call) if plain_name(call).as_deref() == Some(EXCLUDING) => arguments(call),
            _ => None,
        },
        _ => None,
    };
    let Some([what, which, offset]) = marked.and_then(|marked| <[Expr; 3]>::try_from(marked).ok()) else {
        return Excluded::NoOthers;
    };
    let offset = Box::new(offset);
    *bound = match trees::literal(&which) {
        Some("CURRENT ROW") => WindowFrameBound::CurrentRow,
        Some("UNBOUNDED PRECEDING") => WindowFrameBound::Preceding(None),
        Some("UNBOUNDED FOLLOWING") => WindowFrameBound::Following(None),
        Some("PRECEDING") => WindowFrameBound::Preceding(Some(offset)),
        _ => WindowFrameBound::Following(Some(offset)),
    };
    match trees::literal(&what) {
        Some("CURRENT ROW") => Excluded::CurrentRow,
        Some("GROUP") => Excluded::Group,
        Some("TIES") => Excluded::Ties,
        _ => Excluded::NoOthers,
    }
}

/// The frame, and its arguments: the key that distances are counted from, and the offsets.
fn described(function: String, spec: &WindowSpec, excluded: Excluded) -> Result<(Frame, Vec<Expr>)> {
    let Some(frame) = &spec.window_frame else {
        let end = if spec.order_by.is_empty() { Bound::UnboundedFollowing } else { Bound::CurrentRow };
        return Ok((Frame { function, units: Units::Range, end, ..whole_partition() }, Vec::new()));
    };
    let units = match frame.units {
        WindowFrameUnits::Rows => Units::Rows,
        WindowFrameUnits::Range => Units::Range,
        WindowFrameUnits::Groups => Units::Groups,
    };
    let end = frame.end_bound.as_ref().unwrap_or(&WindowFrameBound::CurrentRow);
    let bounds = [&frame.start_bound, end].map(bound);
    let mut arguments = Vec::new();
    let mut descending = false;
    let keyed = units == Units::Range && bounds.iter().any(|bound| bound.has_offset());
    if keyed {
        let [key] = spec.order_by.as_slice() else {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(Error::new(SqlState("42P20"), message));
        };
        descending = key.options.asc == Some(false);
        arguments.push(key.expr.clone());
    }
    if units == Units::Groups && spec.order_by.is_empty() {
        return Err(Error::new(SqlState("42P20"), "GROUPS mode requires an ORDER BY clause"));
    }
    arguments.extend([&frame.start_bound, end].into_iter().filter_map(offset_of).map(plain_offset));
    let [start, end] = bounds;
    let frame = Frame { function, units, start, end, excluded, filtered: false, keyed, descending };
    Ok((frame, arguments))
}

fn bound(bound: &WindowFrameBound) -> Bound {
    match bound {
        WindowFrameBound::CurrentRow => Bound::CurrentRow,
        WindowFrameBound::Preceding(None) => Bound::UnboundedPreceding,
        WindowFrameBound::Preceding(Some(_)) => Bound::Preceding,
        WindowFrameBound::Following(Some(_)) => Bound::Following,
        WindowFrameBound::Following(None) => Bound::UnboundedFollowing,
    }
}

/// sqlparser makes an interval of every text in that place; what it is, the key says.
fn plain_offset(offset: &Expr) -> Expr {
    match offset {
        Expr::Interval(ast::Interval { value, leading_field: None, .. }) => value.as_ref().clone(),
        offset => offset.clone(),
    }
}

/// Puts the frame into the name, and what it needs behind the arguments.
fn write(function: &mut Function, mut frame: Frame, behind: Vec<Expr>) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)) {
            *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(trees::number(1)));
        }
    }
    let filter = function.filter.take().map(|condition| *condition);
    frame.filtered = filter.is_some();
    let added = filter.into_iter().chain(behind);
    list.args.extend(added.map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))));
    let name = format!("{PREFIX}{}", serde_json::json!(frame));
    function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', name))]);
    if let Some(WindowType::WindowSpec(spec)) = &mut function.over {
        spec.window_frame = None;
    }
}
