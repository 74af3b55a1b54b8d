//! pgvector's functions on vectors. The operators `<->`, `<#>`, `<=>`, `<+>` and the comparisons are these functions
//! under other names: the planner turns the one into the other.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int32Array, Int32Builder, LargeBinaryBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::cast::as_int32_array;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::distance::{self, Metric, Query};
use crate::error::{Error, SqlState};
use crate::functions::scalar::{Function, Vectors, answer, no_such_function, rows_of};
use crate::types::VECTOR_DIMENSIONS_MAX;
use crate::types::arrow::errors::external;
use crate::types::arrow::{vector_bytes, vector_floats};

/// The function behind a distance operator.
pub fn distance_function(metric: Metric) -> &'static str {
    match metric {
        Metric::L2 => "l2_distance",
        Metric::InnerProduct => "vector_negative_inner_product",
        Metric::Cosine => "cosine_distance",
        Metric::L1 => "l1_distance",
    }
}

/// The metric a function computes, when it is one of the four operators'.
pub fn metric_of_function(name: &str) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| distance_function(*metric) == name)
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use DataType::{Boolean, Float64, Int32, LargeBinary};
    vec![
        Function::new("l2_distance", two_vectors, Float64, |args| distances(args, Metric::L2)),
        Function::new("vector_negative_inner_product", two_vectors, Float64, |args| {
            distances(args, Metric::InnerProduct)
        }),
        Function::new("cosine_distance", two_vectors, Float64, |args| distances(args, Metric::Cosine)),
        Function::new("l1_distance", two_vectors, Float64, |args| distances(args, Metric::L1)),
        Function::new("inner_product", two_vectors, Float64, |args| {
            pairs(args, |a, b| Ok(f64::from(distance::dot(a, b))))
        }),
        Function::new("vector_l2_squared_distance", two_vectors, Float64, |args| {
            pairs(args, |a, b| Ok(f64::from(distance::l2_squared(a, b))))
        }),
        Function::new("vector_spherical_distance", two_vectors, Float64, |args| {
            pairs(args, |a, b| {
                let cosine = f64::from(distance::dot(a, b)).clamp(-1.0, 1.0);
                Ok(cosine.acos() / std::f64::consts::PI)
            })
        }),
        Function::new("vector_dims", one_vector, Int32, vector_dims),
        Function::new("vector_norm", one_vector, Float64, vector_norm),
        Function::new("l2_norm", one_vector, Float64, vector_norm),
        Function::new("l2_normalize", one_vector, LargeBinary, l2_normalize),
        Function::new("subvector", vector_and_two_integers, LargeBinary, subvector),
        Function::new("vector_add", two_vectors, LargeBinary, |args| combine(args, |a, b| a + b)),
        Function::new("vector_sub", two_vectors, LargeBinary, |args| combine(args, |a, b| a - b)),
        Function::new("vector_mul", two_vectors, LargeBinary, |args| combine(args, |a, b| a * b)),
        Function::new("vector_concat", two_vectors, LargeBinary, concat),
        Function::new("vector_eq", two_vectors, Boolean, |args| compare(args, Ordering::is_eq)),
        Function::new("vector_ne", two_vectors, Boolean, |args| compare(args, Ordering::is_ne)),
        Function::new("vector_lt", two_vectors, Boolean, |args| compare(args, Ordering::is_lt)),
        Function::new("vector_le", two_vectors, Boolean, |args| compare(args, Ordering::is_le)),
        Function::new("vector_gt", two_vectors, Boolean, |args| compare(args, Ordering::is_gt)),
        Function::new("vector_ge", two_vectors, Boolean, |args| compare(args, Ordering::is_ge)),
        Function::new("vector_cmp", two_vectors, Int32, vector_cmp),
    ]
}

/// The error of two vectors that do not belong together.
pub fn dimensions_differ(left: usize, right: usize) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, format!("different vector dimensions {left} and {right}"))
}

fn is_vector(given: &DataType) -> bool {
    matches!(given, DataType::LargeBinary | DataType::Utf8 | DataType::Utf8View | DataType::Null)
}

fn one_vector(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [vector] if is_vector(vector) => Ok(vec![DataType::LargeBinary]),
        _ => Err(no_such_function(name, given)),
    }
}

fn two_vectors(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [left, right] if is_vector(left) && is_vector(right) => Ok(vec![DataType::LargeBinary; 2]),
        _ => Err(no_such_function(name, given)),
    }
}

fn vector_and_two_integers(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [vector, start, count]
            if is_vector(vector)
                && (start.is_integer() || start.is_null())
                && (count.is_integer() || count.is_null()) =>
        {
            Ok(vec![DataType::LargeBinary, DataType::Int32, DataType::Int32])
        }
        _ => Err(no_such_function(name, given)),
    }
}

/// Distances of each pair; when one side is constant it is read once.
fn distances(args: &ScalarFunctionArgs, metric: Metric) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let (left, right) = (Vectors::new(&args.args[0])?, Vectors::new(&args.args[1])?);
    let swapped = left.is_constant();
    let (fixed, varying) = if swapped { (left, right) } else { (right, left) };
    if !fixed.is_constant() {
        return pairs(args, |a, b| Ok(metric.distance(a, b)));
    }
    let mut result = Float64Builder::with_capacity(rows);
    let Some(fixed) = fixed.bytes(0)?.map(vector_floats) else {
        (0..rows).for_each(|_| result.append_null());
        return answer(Arc::new(result.finish()), constant);
    };
    let query = Query::new(metric, &fixed);
    for row in 0..rows {
        match varying.bytes(row)?.map(vector_floats) {
            Some(vector) => {
                // The message names the left operand first.
                match swapped {
                    true => same_dimensions(&fixed, &vector)?,
                    false => same_dimensions(&vector, &fixed)?,
                }
                result.append_value(query.distance_to(&vector));
            }
            None => result.append_null(),
        }
    }
    answer(Arc::new(result.finish()), constant)
}

fn same_dimensions(left: &[f32], right: &[f32]) -> Result<()> {
    if left.len() != right.len() {
        return Err(external(dimensions_differ(left.len(), right.len())));
    }
    Ok(())
}

/// A number for each pair of vectors of one dimension.
fn pairs(args: &ScalarFunctionArgs, f: impl Fn(&[f32], &[f32]) -> Result<f64>) -> Result<ColumnarValue> {
    let mut result = Float64Builder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        match pair {
            Some((a, b)) => {
                same_dimensions(a, b)?;
                result.append_value(f(a, b)?);
            }
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// Calls `f` once per row, with `None` where either vector is NULL; tells whether the call is a constant.
fn each_pair(
    args: &ScalarFunctionArgs,
    mut f: impl FnMut(Option<(&[f32], &[f32])>) -> Result<()>,
) -> Result<bool> {
    let (rows, constant) = rows_of(args);
    let (left, right) = (Vectors::new(&args.args[0])?, Vectors::new(&args.args[1])?);
    for row in 0..rows {
        match (left.bytes(row)?, right.bytes(row)?) {
            (Some(a), Some(b)) => f(Some((&vector_floats(a), &vector_floats(b))))?,
            _ => f(None)?,
        }
    }
    Ok(constant)
}

fn each_vector(args: &ScalarFunctionArgs, mut f: impl FnMut(Option<&[f32]>) -> Result<()>) -> Result<bool> {
    let (rows, constant) = rows_of(args);
    let vectors = Vectors::new(&args.args[0])?;
    for row in 0..rows {
        match vectors.bytes(row)? {
            Some(bytes) => f(Some(&vector_floats(bytes)))?,
            None => f(None)?,
        }
    }
    Ok(constant)
}

fn vector_dims(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let vectors = Vectors::new(&args.args[0])?;
    let mut result = Int32Builder::with_capacity(rows);
    for row in 0..rows {
        result.append_option(vectors.bytes(row)?.map(|bytes| (bytes.len() / 4) as i32));
    }
    answer(Arc::new(result.finish()), constant)
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt()
}

fn vector_norm(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Float64Builder::with_capacity(args.number_rows);
    let constant = each_vector(args, |vector| {
        result.append_option(vector.map(norm));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// The zero vector stays as it is, as in pgvector.
fn l2_normalize(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = LargeBinaryBuilder::new();
    let constant = each_vector(args, |vector| {
        let Some(vector) = vector else {
            result.append_null();
            return Ok(());
        };
        let norm = norm(vector);
        let scale = |component: &f32| if norm > 0.0 { (f64::from(*component) / norm) as f32 } else { 0.0 };
        let scaled: Vec<f32> = vector.iter().map(scale).collect();
        result.append_value(vector_bytes(&checked(scaled)?));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// `start` counts from 1; what lies outside of the vector is cut off, and nothing left is an error.
fn subvector(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let vectors = Vectors::new(&args.args[0])?;
    let integers: Vec<ArrayRef> =
        args.args[1..].iter().map(|argument| argument.to_array(rows)).collect::<Result<_>>()?;
    let (starts, counts): (&Int32Array, &Int32Array) =
        (as_int32_array(&integers[0])?, as_int32_array(&integers[1])?);
    let mut result = LargeBinaryBuilder::new();
    for row in 0..rows {
        use arrow::array::Array;
        match vectors.bytes(row)? {
            Some(bytes) if !starts.is_null(row) && !counts.is_null(row) => {
                result.append_value(cut(bytes, starts.value(row), counts.value(row)).map_err(external)?);
            }
            _ => result.append_null(),
        }
    }
    answer(Arc::new(result.finish()), constant)
}

fn cut(bytes: &[u8], start: i32, count: i32) -> crate::error::Result<&[u8]> {
    let none = || Error::new(SqlState::DATA_EXCEPTION, "vector must have at least 1 dimension");
    if count < 1 {
        return Err(none());
    }
    let dimensions = (bytes.len() / 4) as i64;
    let first = i64::from(start).max(1);
    let end = (i64::from(start) + i64::from(count)).min(dimensions + 1);
    if first > dimensions || end <= first {
        return Err(none());
    }
    Ok(&bytes[(first as usize - 1) * 4..(end as usize - 1) * 4])
}

fn combine(args: &ScalarFunctionArgs, f: impl Fn(f32, f32) -> f32) -> Result<ColumnarValue> {
    let mut result = LargeBinaryBuilder::new();
    let constant = each_pair(args, |pair| {
        match pair {
            Some((a, b)) => {
                same_dimensions(a, b)?;
                let sums = a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect();
                result.append_value(vector_bytes(&checked(sums)?));
            }
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// A computed vector, unless a component left the range of a float.
fn checked(vector: Vec<f32>) -> Result<Vec<f32>> {
    if vector.iter().any(|component| component.is_infinite()) {
        let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow");
        return Err(external(error));
    }
    Ok(vector)
}

fn concat(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = LargeBinaryBuilder::new();
    let constant = each_pair(args, |pair| {
        match pair {
            Some((a, b)) if a.len() + b.len() > VECTOR_DIMENSIONS_MAX => {
                return Err(external(Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("vector cannot have more than {VECTOR_DIMENSIONS_MAX} dimensions"),
                )));
            }
            Some((a, b)) => result.append_value(vector_bytes(&[a, b].concat())),
            None => result.append_null(),
        }
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

/// Component by component, then the shorter first.
pub fn order(a: &[f32], b: &[f32]) -> Ordering {
    let differing =
        a.iter().zip(b).map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal)).find(|o| o.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare(args: &ScalarFunctionArgs, holds: fn(Ordering) -> bool) -> Result<ColumnarValue> {
    let mut result = BooleanBuilder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        result.append_option(pair.map(|(a, b)| holds(order(a, b))));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}

fn vector_cmp(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut result = Int32Builder::with_capacity(args.number_rows);
    let constant = each_pair(args, |pair| {
        result.append_option(pair.map(|(a, b)| order(a, b) as i32));
        Ok(())
    })?;
    answer(Arc::new(result.finish()), constant)
}
