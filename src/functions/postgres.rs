//! Functions PostgreSQL has and DataFusion lacks, names otherwise, or answers differently.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Builder, ListArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::scalar::{Function, answer, no_such_function, rows_of, type_name};
use crate::types::arrow::shape;
use crate::types::dimensions::extent;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Function::new("pg_typeof", anything, DataType::Utf8, pg_typeof),
        Function::new("array_upper", array_and_dimension, DataType::Int32, array_upper),
        Function::new("array_lower", array_and_dimension, DataType::Int32, array_lower),
    ]
}

fn anything(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    if given.len() == 1 { Ok(given.to_vec()) } else { Err(no_such_function(name, given)) }
}

fn array_and_dimension(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [DataType::List(_), dimension] if dimension.is_integer() => {
            Ok(vec![given[0].clone(), DataType::Int64])
        }
        _ => Err(no_such_function(name, given)),
    }
}

fn pg_typeof(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let name = match args.arg_fields.first() {
        Some(field) if !field.data_type().is_null() => {
            let ty = crate::types::arrow::type_of(field);
            if field.metadata().is_empty() {
                type_name(field.data_type()).into_owned()
            } else {
                ty.standard_name()
            }
        }
        _ => "unknown".to_owned(),
    };
    let mut names = StringBuilder::new();
    (0..rows).for_each(|_| names.append_value(&name));
    answer(Arc::new(names.finish()), constant)
}

/// The dimensions of arrays here start at 1; an empty one has no bounds.
fn array_upper(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    bounds(args, |length| length)
}

fn array_lower(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    bounds(args, |_| 1)
}

fn bounds(args: &ScalarFunctionArgs, bound: fn(i32) -> i32) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let arrays: ArrayRef = args.args[0].to_array(rows)?;
    let dimensions = args.args[1].to_array(rows)?;
    let dimensions = datafusion::common::cast::as_int64_array(&dimensions)?;
    let lists: Option<&ListArray> = arrays.as_any().downcast_ref();
    let mut result = Int32Builder::with_capacity(rows);
    for row in 0..rows {
        let array = lists.filter(|lists| !lists.is_null(row)).map(|lists| lists.value(row));
        let dimension = (!dimensions.is_null(row)).then(|| dimensions.value(row));
        let length = array.zip(dimension).and_then(|(array, dimension)| extent(&shape(&array), dimension));
        result.append_option(length.map(|length| bound(length as i32)));
    }
    answer(Arc::new(result.finish()), constant)
}
