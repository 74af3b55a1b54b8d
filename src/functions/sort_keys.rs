//! Keys whose bytes order as PostgreSQL orders the values, where Arrow's own order is another.
//!
//! - Arrays, records and jsonb: `types/sort_key.rs`.
//! - numeric by value: `1.0` is `1`, and NaN the greatest.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, IntervalMonthDayNanoArray, ListArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::codec::key;
use crate::functions::dates::{interval_key, nanoseconds_of};
use crate::functions::decimal::{self, Numbers, is_numeric};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::functions::value::{functions as build, strict};
use crate::functions::vector::{self, wants_sort_key};
use crate::types::arrow::errors::external;
use crate::types::arrow::{type_of_data_type, value_at};
pub use crate::types::sort_key::{array, document};
use crate::types::{Type, Value};

/// The key of an array, or of a record.
pub const ARRAY: &str = "array_sort_key";
/// The key of a jsonb document.
pub const DOCUMENT: &str = "jsonb_sort_key";

/// The key of a float: `-0` is `0`, and no NaN is another one.
pub const FLOAT: &str = "float_sort_key";
/// The key of a `numeric`: `1.0` is `1`. Of an array of them, an array of keys.
pub const NUMBER: &str = "numeric_sort_key";
/// The key of an interval, of `functions::dates`.
pub const INTERVAL: &str = "interval_key";
/// All of them.
pub const ALL: &[&str] = &[ARRAY, DOCUMENT, FLOAT, NUMBER, INTERVAL, super::vector::SORT_KEY];

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let float = Function::typed(
        FLOAT,
        one_float,
        |given| if given == [DataType::Float32] { Type::Float4 } else { Type::Float8 },
        float_key,
    );
    let mut functions = build(vec![
        strict("array_sort_key(any) bytea", |v| Ok(Value::Bytea(array(&v[0])))),
        strict("jsonb_sort_key(jsonb) bytea", |v| match &v[0] {
            Value::Jsonb(text) => document(text).map(Value::Bytea),
            _ => Ok(Value::Null),
        }),
    ]);
    functions.push(float);
    let number = |given: &[DataType]| match given {
        [DataType::List(_)] => Type::Array(Box::new(Type::Bytea)),
        _ => Type::Bytea,
    };
    functions.push(Function::typed(NUMBER, one_number, number, number_key));
    functions
}

fn one_float(name: &str, given: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
    match given {
        [DataType::Float32 | DataType::Float64] => Ok(given.to_vec()),
        _ => Err(no_such_function(name, given)),
    }
}

fn float_key(args: &ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    answer(of_floats(&args.args[0].to_array(rows)?), constant)
}

/// The keys of a column of floats.
fn of_floats(column: &ArrayRef) -> ArrayRef {
    // The sum of -0 and 0 is 0.
    match column.data_type() {
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|x| if x.is_nan() { f32::NAN } else { x + 0.0 }),
        ),
        _ => Arc::new(
            column
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|x| if x.is_nan() { f64::NAN } else { x + 0.0 }),
        ),
    }
}

fn one_number(name: &str, given: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
    let exact = |ty: &DataType| is_numeric(ty).then(|| ty.clone()).or_else(|| decimal::of_integer(ty));
    match given {
        [DataType::List(item)] if is_numeric(item.data_type()) => Ok(given.to_vec()),
        [ty] => exact(ty).map(|ty| vec![ty]).ok_or_else(|| no_such_function(name, given)),
        _ => Err(no_such_function(name, given)),
    }
}

fn number_key(args: &ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let column = args.args[0].to_array(rows)?;
    answer(of_numbers(&column)?, constant)
}

/// The keys of the items of arrays, as arrays.
pub fn of_items(
    list: &ListArray,
    keys: fn(&ArrayRef) -> datafusion::common::Result<ArrayRef>,
) -> datafusion::common::Result<ArrayRef> {
    let keys = keys(list.values())?;
    let item = Arc::new(Field::new_list_field(keys.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(item, list.offsets().clone(), keys, list.nulls().cloned())?))
}

/// The keys of a column of numbers, or of arrays of them.
pub fn of_numbers(column: &ArrayRef) -> datafusion::common::Result<ArrayRef> {
    if let Some(list) = column.as_list_opt::<i32>() {
        return of_items(list, of_numbers);
    }
    let numbers = match decimal::of_integer(column.data_type()) {
        Some(exact) => Numbers::new(&cast(column, &exact)?),
        None => Numbers::new(column),
    };
    let (mut keys, mut key) = (BinaryBuilder::new(), Vec::new());
    for row in 0..column.len() {
        match numbers.get(row)? {
            None => keys.append_null(),
            Some(number) => {
                key.clear();
                key::number(&number, &mut key);
                keys.append_value(&key);
            }
        }
    }
    Ok(Arc::new(keys.finish()))
}

/// Whether equal values of a type may differ in Arrow, so that they are compared by [`of_values`].
pub fn are_needed(ty: &DataType) -> bool {
    wants_sort_key(ty)
        || matches!(ty, DataType::LargeUtf8 | DataType::List(_) | DataType::Struct(_) | DataType::Interval(_))
        || *ty == decimal::any()
}

/// The keys of a column: of documents, arrays, records, intervals, numbers, floats or vectors.
pub fn of_values(column: &ArrayRef) -> datafusion::common::Result<ArrayRef> {
    match column.data_type() {
        ty if wants_sort_key(ty) => vector::sort_keys(column),
        ty if ty.is_floating() => Ok(of_floats(column)),
        DataType::LargeUtf8 => {
            let key = |text: Option<&str>| text.map(document).transpose();
            let keys = column.as_string::<i64>().iter().map(key);
            let keys = keys.collect::<crate::error::Result<BinaryArray>>().map_err(external)?;
            Ok(Arc::new(keys))
        }
        DataType::List(_) | DataType::Struct(_) => {
            let ty = type_of_data_type(column.data_type());
            let key = |row: usize| {
                let value = value_at(column, row, &ty).map_err(external)?;
                Ok((value != Value::Null).then(|| array(&value)))
            };
            Ok(Arc::new((0..column.len()).map(key).collect::<datafusion::common::Result<BinaryArray>>()?))
        }
        DataType::Interval(_) => {
            let intervals = cast(column, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            Ok(of_intervals(intervals.as_primitive::<IntervalMonthDayNanoType>()))
        }
        _ => of_numbers(column),
    }
}

/// The keys of what stands in arrays, as arrays, and of a value beside them.
pub fn of_elements(column: &ArrayRef) -> datafusion::common::Result<ArrayRef> {
    match column.as_list_opt::<i32>() {
        Some(list) if !wants_sort_key(column.data_type()) => of_items(list, of_values),
        _ => of_values(column),
    }
}

/// The keys of a column of intervals: their lengths, where a month is thirty days and a day is 24 hours.
pub fn of_intervals(column: &IntervalMonthDayNanoArray) -> ArrayRef {
    let key = |interval| interval_key(nanoseconds_of(interval));
    Arc::new(column.iter().map(|interval| interval.map(key)).collect::<BinaryArray>())
}
