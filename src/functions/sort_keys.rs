//! Keys whose bytes order as PostgreSQL orders the values, where Arrow's own order is another.
//!
//! - Arrays by their elements, then by how many there are and in which dimensions; a NULL element is the greatest. Records are arrays of their
//!   fields.
//! - numeric by value: `1.0` is `1`, and NaN the greatest.
//! - jsonb: Object > Array > Boolean > Number > String > Null; of two arrays or objects the one of more elements is the
//!   greater, and numbers are compared as numbers (`1.0` is `1`).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, IntervalMonthDayNanoArray, ListArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::codec::key;
use crate::error::Result;
use crate::functions::dates::{interval_key, nanoseconds_of};
use crate::functions::decimal::{self, Numbers, is_numeric};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::functions::value::{functions as build, strict};
use crate::types::dimensions::{flat, shape};
use crate::types::json::Node;
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
    let column = args.args[0].to_array(rows)?;
    // The sum of -0 and 0 is 0.
    let keys: ArrayRef = match column.data_type() {
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
    };
    answer(keys, constant)
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

/// The keys of a column of intervals: their lengths, where a month is thirty days and a day is 24 hours.
pub fn of_intervals(column: &IntervalMonthDayNanoArray) -> ArrayRef {
    let key = |interval| interval_key(nanoseconds_of(interval));
    Arc::new(column.iter().map(|interval| interval.map(key)).collect::<BinaryArray>())
}

/// Of what follows an element, the end is the least.
const END: u8 = 0;
const MORE: u8 = 1;
/// A NULL element comes after all others.
const NULL: u8 = 2;

/// The key of an array, or of a record.
pub fn array(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let elements: Vec<&Value> = match value {
        Value::Array(elements) => flat(elements),
        Value::Record(fields) => fields.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    for element in elements {
        match element {
            Value::Null => out.push(NULL),
            element => {
                out.push(MORE);
                match element {
                    // What is equal within is equal, too. The text of a document is one that was read.
                    Value::Jsonb(text) => {
                        key::encode_one(&Value::Bytea(document(text).unwrap_or_default()), &mut out);
                    }
                    Value::Record(_) | Value::Array(_) => {
                        key::encode_one(&Value::Bytea(array(element)), &mut out);
                    }
                    element => key::encode_one(element, &mut out),
                }
            }
        }
    }
    out.push(END);
    // Of the same elements the array of fewer dimensions is the smaller, and then the one whose first are shorter.
    if let Value::Array(elements) = value
        && let lengths @ [_, _, ..] = shape(elements).as_slice()
    {
        out.push(lengths.len() as u8);
        lengths.iter().for_each(|length| out.extend_from_slice(&(*length as u64).to_be_bytes()));
    }
    out
}

/// Kinds of documents, in PostgreSQL's order.
#[derive(Clone, Copy)]
enum Kind {
    Null = 1,
    String,
    Number,
    Boolean,
    Array,
    Object,
}

pub fn document(text: &str) -> Result<Vec<u8>> {
    let node = Node::parse(text)?;
    let mut out = Vec::new();
    match &node {
        Node::Array(items) => start_array(items.len(), true, &mut out),
        Node::Object(_) => {}
        // A value alone is an array of one element, and before any other one.
        _ => start_array(1, false, &mut out),
    }
    match &node {
        Node::Array(items) => items.iter().for_each(|item| put(item, &mut out)),
        node => put(node, &mut out),
    }
    Ok(out)
}

fn start_array(length: usize, is_array: bool, out: &mut Vec<u8>) {
    out.push(Kind::Array as u8);
    out.extend_from_slice(&(length as u64).to_be_bytes());
    out.push(u8::from(is_array));
}

fn put(node: &Node, out: &mut Vec<u8>) {
    match node {
        Node::Plain(text) => match text.as_str() {
            "null" => out.push(Kind::Null as u8),
            "true" | "false" => out.extend_from_slice(&[Kind::Boolean as u8, u8::from(text == "true")]),
            number => {
                out.push(Kind::Number as u8);
                put_number(number, out);
            }
        },
        Node::Text(text) => {
            out.push(Kind::String as u8);
            put_text(text, out);
        }
        Node::Array(items) => {
            start_array(items.len(), true, out);
            items.iter().for_each(|item| put(item, out));
        }
        Node::Object(entries) => {
            out.push(Kind::Object as u8);
            out.extend_from_slice(&(entries.len() as u64).to_be_bytes());
            for (name, value) in entries {
                put_text(&name.text, out);
                put(value, out);
            }
        }
    }
}

/// jsonb holds no character 0.
fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(END);
}

/// A number of any size: 0.d1d2d3... times 10^exponent, with d1 not zero and no zeros at the end.
fn put_number(text: &str, out: &mut Vec<u8>) {
    const NEGATIVE: u8 = 0;
    const ZERO: u8 = 1;
    const POSITIVE: u8 = 2;
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return out.push(ZERO);
    }
    let leading = (digits.len() - significant.len()) as i64;
    // An exponent beyond this range is no number of PostgreSQL's.
    let exponent = exponent.parse::<i64>().unwrap_or(0) + whole.len() as i64 - leading;
    let mut key = (exponent as u64 ^ 1 << 63).to_be_bytes().to_vec();
    key.extend_from_slice(significant.trim_end_matches('0').as_bytes());
    key.push(END);
    if is_negative {
        key.iter_mut().for_each(|byte| *byte = !*byte);
    }
    out.push(if is_negative { NEGATIVE } else { POSITIVE });
    out.extend_from_slice(&key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_order_as_postgresql_orders_them() {
        // ORDER BY of PostgreSQL 16.
        let ordered = [
            "[]",
            "null",
            r#""""#,
            r#""a""#,
            r#""ab""#,
            "-1e3",
            "-2",
            "-0.5",
            "0",
            "0.001",
            "1",
            "9.5",
            "10",
            "1e100",
            "false",
            "true",
            "[null]",
            "[1]",
            "[[]]",
            "[1, 2]",
            "[2, 1]",
            "{}",
            r#"{"a": 1}"#,
            r#"{"a": 2}"#,
            r#"{"b": 0}"#,
            r#"{"a": 0, "b": 0}"#,
        ];
        for pair in ordered.windows(2) {
            assert!(document(pair[0]).unwrap() < document(pair[1]).unwrap(), "{} < {}", pair[0], pair[1]);
        }
        assert_eq!(document("1.0").unwrap(), document("1").unwrap());
        assert_eq!(document("[1e2]").unwrap(), document("[100.00]").unwrap());
    }

    #[test]
    fn a_null_element_is_the_greatest() {
        let key = |elements: &[Value]| array(&Value::Array(elements.to_vec()));
        assert!(key(&[]) < key(&[Value::Int4(i32::MIN)]));
        assert!(key(&[Value::Int4(1), Value::Int4(2)]) < key(&[Value::Int4(1), Value::Null]));
        assert!(key(&[Value::Int4(1)]) < key(&[Value::Int4(1), Value::Int4(0)]));
        assert!(key(&[Value::Text("b".into())]) < key(&[Value::Null]));
    }
}
