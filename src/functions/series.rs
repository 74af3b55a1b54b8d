//! `generate_series` as an array, which a query unnests.
//!
//! Series of integers are made in Arrow's own arrays, for they may be long; the others value by value. A series of
//! integer constants in FROM is no array but a scan of DataFusion's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, NullBufferBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::{Error, SqlState};
use crate::functions::dates::{interval_sign, shifted, shifted_in_zone};
use crate::functions::decimal;
use crate::functions::scalar::{Function, answer, no_such_function, rows_of, zone_of};
use crate::types::arrow::errors::external;
use crate::types::arrow::{Builder, data_type, item_field, type_of_data_type, value_at};
use crate::types::numeric::Special;
use crate::types::{Numeric, Type, Value, Zone};

/// Elements of one series: what fits into the memory of a query, and more than anyone looks at.
const ELEMENTS_MAX: usize = 1 << 27;
/// The same of those that are made value by value, which take six times as much and a hundred times as long.
const VALUES_MAX: usize = 1 << 23;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Function::typed("generate_series", arguments, series_type, evaluate)]
}

/// The type of the elements; `None` for arguments that no series is of.
fn element(given: &[DataType]) -> Option<Type> {
    let (bounds, step) = match given {
        [start, stop] => ([start, stop], None),
        [start, stop, step] => ([start, stop], Some(step)),
        _ => return None,
    };
    let is_open = |ty: &DataType| matches!(ty, DataType::Null | DataType::Utf8 | DataType::Utf8View);
    let is_moment = |ty: &DataType| matches!(ty, DataType::Date32 | DataType::Timestamp(_, _));
    if bounds.iter().any(|ty| is_moment(ty)) {
        let fits = bounds.iter().all(|ty| is_moment(ty) || is_open(ty))
            && step.is_some_and(|step| matches!(step, DataType::Interval(_)) || is_open(step));
        let is_local = |ty: &&DataType| matches!(ty, DataType::Timestamp(_, None));
        let has_zone = |ty: &&DataType| matches!(ty, DataType::Timestamp(_, Some(_)));
        let local = bounds.iter().any(is_local) && !bounds.iter().any(has_zone);
        return fits.then_some(if local { Type::Timestamp(None) } else { Type::Timestamptz(None) });
    }
    let is_number = |ty: &DataType| ty.is_integer() || decimal::is_numeric(ty);
    let mut known = given.iter().filter(|ty| !is_open(ty)).peekable();
    if known.peek().is_none() || !given.iter().all(|ty| is_number(ty) || is_open(ty)) {
        return None;
    }
    if known.clone().any(decimal::is_numeric) {
        return Some(Type::Numeric(None));
    }
    Some(if known.any(|ty| *ty == DataType::Int64) { Type::Int8 } else { Type::Int4 })
}

fn arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    let element = element(given).ok_or_else(|| no_such_function(name, given))?;
    let step = if is_moment(&element) { Type::Interval(None) } else { element.clone() };
    let types = [&element, &element, &step].into_iter().zip(given);
    // Numbers are read from whichever type they have.
    let coerced = |(wanted, given): (&Type, &DataType)| match wanted {
        Type::Numeric(_) if decimal::is_numeric(given) => given.clone(),
        Type::Numeric(_) => decimal::of_integer(given).unwrap_or_else(decimal::any),
        wanted => data_type(wanted),
    };
    Ok(types.map(coerced).collect())
}

fn is_moment(ty: &Type) -> bool {
    matches!(ty, Type::Timestamp(_) | Type::Timestamptz(_))
}

fn series_type(given: &[DataType]) -> Type {
    Type::Array(Box::new(element(given).unwrap_or(Type::Int8)))
}

fn evaluate(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
    let Type::Array(element) = type_of_data_type(args.return_field.data_type()) else {
        return Err(external(Error::internal("a series is an array")));
    };
    let made = match *element {
        Type::Int4 | Type::Int8 => integers(&columns, rows, &element)?,
        _ => others(&columns, rows, &element, zone_of(&args.config_options)).map_err(external)?,
    };
    answer(made, constant)
}

fn no_step() -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn too_long(most: usize) -> Error {
    let message = format!("a series of more than {most} elements");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn integers(columns: &[ArrayRef], rows: usize, element: &Type) -> Result<ArrayRef> {
    let wide = columns.iter().map(|column| cast(column, &DataType::Int64)).collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<&Int64Array> = wide.iter().map(|column| column.as_primitive::<Int64Type>()).collect();
    let (mut items, mut ends) = (Vec::new(), vec![0i32]);
    let mut validity = NullBufferBuilder::new(rows);
    for row in 0..rows {
        let is_null = columns.iter().any(|column| column.is_null(row));
        validity.append(!is_null);
        if !is_null {
            let (start, stop) = (columns[0].value(row), columns[1].value(row));
            let step = columns.get(2).map_or(1, |column| column.value(row));
            let steps = match step {
                0 => return Err(external(no_step())),
                1.. if start > stop => None,
                ..0 if start < stop => None,
                step => Some(start.abs_diff(stop) / step.unsigned_abs()),
            };
            let count = steps.map_or(0, |steps| steps.saturating_add(1));
            match usize::try_from(count).ok().and_then(|count| count.checked_add(items.len())) {
                Some(all) if all <= ELEMENTS_MAX => {}
                _ => return Err(external(too_long(ELEMENTS_MAX))),
            }
            let at = |number: u64| start.wrapping_add((number as i64).wrapping_mul(step));
            items.extend((0..count).map(at));
        }
        ends.push(items.len() as i32);
    }
    let items = cast(&Int64Array::from(items), &data_type(element))?;
    let offsets = OffsetBuffer::new(ends.into());
    Ok(Arc::new(ListArray::new(item_field(element), offsets, items, validity.finish())))
}

fn others(columns: &[ArrayRef], rows: usize, element: &Type, zone: Zone) -> crate::error::Result<ArrayRef> {
    let step = if is_moment(element) { Type::Interval(None) } else { element.clone() };
    let types = [element, element, &step];
    let mut result = Builder::new(&Type::Array(Box::new(element.clone())), rows);
    for row in 0..rows {
        let cells = columns.iter().zip(types).map(|(column, ty)| value_at(column, row, ty));
        let cells: Vec<Value> = cells.collect::<crate::error::Result<_>>()?;
        result.append(&match cells.contains(&Value::Null) {
            true => Value::Null,
            false => Value::Array(series(&cells, zone)?),
        })?;
    }
    Ok(result.finish())
}

fn series(cells: &[Value], zone: Zone) -> crate::error::Result<Vec<Value>> {
    let one = Value::Numeric(Numeric::from_integer(1));
    let step = cells.get(2).unwrap_or(&one);
    for (value, name) in [(&cells[0], "start value"), (&cells[1], "stop value"), (step, "step size")] {
        let Value::Numeric(number) = value else { continue };
        if let Some(special) = number.as_special() {
            let what = if special == Special::NaN { "NaN" } else { "infinity" };
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{name} cannot be {what}")));
        }
    }
    let sign = match step {
        Value::Numeric(step) if step.is_zero() => 0,
        Value::Numeric(step) => step.signum(),
        Value::Interval(step) => interval_sign(*step),
        _ => 0,
    };
    if let Value::Interval(step) = step
        && !step.is_finite()
    {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot be infinite"));
    }
    if sign == 0 {
        return Err(no_step());
    }
    let (mut at, stop) = (cells[0].clone(), &cells[1]);
    // One without an end is not worth beginning.
    let end = if sign > 0 { i64::MAX } else { i64::MIN };
    if matches!(stop, Value::Timestamp(at) | Value::Timestamptz(at) if *at == end) {
        return Err(too_long(VALUES_MAX));
    }
    let mut all = Vec::new();
    while !is_beyond(&at, stop, sign) {
        if all.len() == VALUES_MAX {
            return Err(too_long(VALUES_MAX));
        }
        let next = match (&at, step) {
            (Value::Numeric(at), Value::Numeric(step)) => Value::Numeric(at.plus(step)?),
            (Value::Timestamp(_), Value::Interval(step)) => shifted(&at, *step, 1)?,
            (Value::Timestamptz(moment), Value::Interval(step)) => shifted_in_zone(*moment, *step, 1, zone)?,
            _ => return Ok(all),
        };
        if next == at {
            // Infinity, which no step takes any further.
            return Err(too_long(VALUES_MAX));
        }
        all.push(std::mem::replace(&mut at, next));
    }
    Ok(all)
}

fn is_beyond(at: &Value, stop: &Value, sign: i32) -> bool {
    let order = match (at, stop) {
        (Value::Numeric(at), Value::Numeric(stop)) => at.compare(stop),
        (
            Value::Timestamp(at) | Value::Timestamptz(at),
            Value::Timestamp(stop) | Value::Timestamptz(stop),
        ) => at.cmp(stop),
        _ => return true,
    };
    if sign > 0 { order.is_gt() } else { order.is_lt() }
}
