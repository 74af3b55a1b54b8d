//! Functions and operators of arrays: one dimension, counted from 1.
//!
//! Elements are compared as values, and NULL as PostgreSQL does it: to remove, replace or find a NULL it counts as
//! equal to itself, to contain or overlap it does not.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::compute::kernels::comparison;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::sampling::drawn;
use crate::functions::value::{Definition, functions as build, lenient, lenient_shown, shown, strict};
use crate::types::arrow::errors::from_arrow;
use crate::types::{Look, Value, text as texts};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// The function behind an operator, by which of its operands are arrays, and whether they change places.
pub fn function_of_operator(operator: &str, left: bool, right: bool) -> Option<(&'static str, bool)> {
    Some(match (operator, left, right) {
        ("||", true, true) => ("array_cat", false),
        ("||", true, false) => ("array_append", false),
        ("||", false, true) => ("array_prepend", false),
        ("@>", true, true) => ("array_contains_all", false),
        ("<@", true, true) => ("array_contains_all", true),
        ("&&", true, true) => ("array_overlap", false),
        _ => return None,
    })
}

fn definitions() -> Vec<Definition> {
    vec![
        // The numbers of the elements of arrays that are unnested side by side: WITH ORDINALITY.
        lenient("hither_ordinals(any...) int8[]", |v| {
            let longest = v.iter().map(|array| items(array).len()).max().unwrap_or(0);
            Ok(Value::Array((1..=longest as i64).map(Value::Int8).collect()))
        }),
        lenient("array_append(any, any) $1", |v| {
            let mut items = items(&v[0]).to_vec();
            items.push(item(&v[1])?);
            Ok(Value::Array(items))
        }),
        lenient("array_prepend(any, any) $2", |v| {
            let mut items = items(&v[1]).to_vec();
            items.insert(0, item(&v[0])?);
            Ok(Value::Array(items))
        }),
        lenient("array_cat(any, any) $1", |v| {
            Ok(match (&v[0], &v[1]) {
                (Value::Null, other) | (other, Value::Null) => other.clone(),
                (left, right) => Value::Array([items(left), items(right)].concat()),
            })
        }),
        lenient("array_remove(any, any) $1", |v| match &v[0] {
            Value::Null => Ok(Value::Null),
            array => {
                Ok(Value::Array(items(array).iter().filter(|item| !same(item, &v[1])).cloned().collect()))
            }
        }),
        lenient("array_replace(any, any, any) $1", |v| match &v[0] {
            Value::Null => Ok(Value::Null),
            array => {
                let replaced = |item: &Value| if same(item, &v[1]) { v[2].clone() } else { item.clone() };
                Ok(Value::Array(items(array).iter().map(replaced).collect()))
            }
        }),
        lenient("array_position(any, any) int4", |v| {
            let found = items(&v[0]).iter().position(|item| same(item, &v[1]));
            Ok(found.map_or(Value::Null, |at| Value::Int4(at as i32 + 1)))
        }),
        lenient("array_position(any, any, int4) int4", |v| {
            let Value::Int4(start) = v[2] else {
                return Err(Error::new(SqlState("22004"), "initial position must not be null"));
            };
            let before = usize::try_from(start).unwrap_or(0).max(1) - 1;
            let found = items(&v[0]).iter().skip(before).position(|item| same(item, &v[1]));
            Ok(found.map_or(Value::Null, |at| Value::Int4((before + at) as i32 + 1)))
        }),
        lenient("array_fill(any, int4[]) $1[]", |v| fill(&v[0], &v[1], None)),
        lenient("array_fill(any, int4[], int4[]) $1[]", |v| fill(&v[0], &v[1], Some(&v[2]))),
        strict("array_shuffle(any) $1", |v| {
            let items = items(&v[0]);
            Ok(Value::Array(some_of(items, items.len())))
        })
        .volatile(),
        strict("array_sample(any, int4) $1", |v| {
            let (items, Value::Int4(count)) = (items(&v[0]), &v[1]) else { return Ok(Value::Null) };
            match usize::try_from(*count).ok().filter(|count| *count <= items.len()) {
                Some(count) => Ok(Value::Array(some_of(items, count))),
                None => {
                    let message = format!("sample size must be between 0 and {}", items.len());
                    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
                }
            }
        })
        .volatile(),
        lenient("array_positions(any, any) int4[]", |v| match &v[0] {
            Value::Null => Ok(Value::Null),
            array => {
                let found = items(array).iter().enumerate().filter(|(_, item)| same(item, &v[1]));
                Ok(Value::Array(found.map(|(at, _)| Value::Int4(at as i32 + 1)).collect()))
            }
        }),
        // array(SELECT ...), whose aggregate is NULL without rows.
        lenient("hither_array_or_empty(any) $1", |v| {
            Ok(if v[0] == Value::Null { Value::Array(Vec::new()) } else { v[0].clone() })
        }),
        // array[2:4]; what lies outside the array is not there.
        strict("hither_slice(any, int4, int4) $1", |v| {
            let (Value::Int4(first), Value::Int4(last)) = (&v[1], &v[2]) else { return Ok(Value::Null) };
            let items = items(&v[0]);
            let first = usize::try_from(*first).unwrap_or(0).max(1) - 1;
            let last = usize::try_from(*last).unwrap_or(0).min(items.len());
            Ok(Value::Array(items.get(first..last).unwrap_or_default().to_vec()))
        }),
        // What string_agg makes of array_agg, of the values and of what stands before each.
        lenient("string_agg_items(text[], text) text", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(text[], text[]) text", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(bytea[], bytea) bytea", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(bytea[], bytea[]) bytea", |v| Ok(concatenated(&v[0], &v[1]))),
        strict("array_contains_all(any, any) bool", |v| {
            let (outer, inner) = (items(&v[0]), items(&v[1]));
            Ok(Value::Bool(inner.iter().all(|item| outer.iter().any(|other| equal(item, other)))))
        }),
        // 'x' = ANY (array), until it is known what the text is read as.
        lenient("hither_has(any, any) bool", |v| match &v[0] {
            Value::Array(items) if items.iter().any(|item| equal(item, &v[1])) => Ok(Value::Bool(true)),
            Value::Array(items) if !items.contains(&Value::Null) => Ok(Value::Bool(false)),
            _ => Ok(Value::Null),
        }),
        lenient("hither_has_null(any) bool", |v| match &v[0] {
            Value::Array(items) => Ok(Value::Bool(items.contains(&Value::Null))),
            _ => Ok(Value::Null),
        }),
        // x LIKE ANY (array) and its like: the text, the patterns, the operator, whether one is enough.
        lenient("hither_like(text, text[], text, bool) bool", |v| {
            let (Value::Array(patterns), Value::Text(operator), Value::Bool(any)) = (&v[1], &v[2], &v[3])
            else {
                return Ok(Value::Null);
            };
            let mut answer = Some(!any);
            for pattern in patterns {
                match like(&v[0], pattern, operator)? {
                    Some(found) if found == *any => return Ok(Value::Bool(*any)),
                    Some(_) => {}
                    None => answer = None,
                }
            }
            Ok(answer.map_or(Value::Null, Value::Bool))
        }),
        strict("array_overlap(any, any) bool", |v| {
            let (left, right) = (items(&v[0]), items(&v[1]));
            Ok(Value::Bool(left.iter().any(|item| right.iter().any(|other| equal(item, other)))))
        }),
        strict("array_length(any, int4) int4", |v| {
            let length = items(&v[0]).len() as i32;
            Ok(if v[1] == Value::Int4(1) && length > 0 { Value::Int4(length) } else { Value::Null })
        }),
        strict("cardinality(any) int4", |v| Ok(Value::Int4(items(&v[0]).len() as i32))),
        strict("array_ndims(any) int4", |v| {
            Ok(if items(&v[0]).is_empty() { Value::Null } else { Value::Int4(1) })
        }),
        strict("array_dims(any) text", |v| match items(&v[0]).len() {
            0 => Ok(Value::Null),
            length => Ok(Value::Text(format!("[1:{length}]"))),
        }),
        strict("trim_array(any, int4) $1", |v| {
            let (items, Value::Int4(count)) = (items(&v[0]), &v[1]) else { return Ok(Value::Null) };
            match usize::try_from(*count).ok().filter(|count| *count <= items.len()) {
                Some(count) => Ok(Value::Array(items[..items.len() - count].to_vec())),
                None => {
                    let message = format!("number of elements to trim must be between 0 and {}", items.len());
                    Err(Error::new(SqlState("2202E"), message))
                }
            }
        }),
        shown("array_to_string(any, text) text", |look, v| Ok(joined(look, &v[0], &v[1], None))),
        lenient_shown("array_to_string(any, text, text) text", |look, v| match (&v[0], &v[1], &v[2]) {
            (Value::Null, ..) | (_, Value::Null, _) => Ok(Value::Null),
            (array, separator, Value::Text(null)) => Ok(joined(look, array, separator, Some(null))),
            (array, separator, _) => Ok(joined(look, array, separator, None)),
        }),
    ]
}

/// An array of one value, as long as the only element of `lengths` says.
fn fill(value: &Value, lengths: &Value, bounds: Option<&Value>) -> Result<Value> {
    let null = || Error::new(SqlState("22004"), "dimension array or low bound array cannot be null");
    if *lengths == Value::Null || bounds == Some(&Value::Null) {
        return Err(null());
    }
    let one = |numbers: &Value| match items(numbers) {
        [Value::Int4(number)] => Ok(Some(*number)),
        [Value::Null] => Err(Error::new(SqlState("22004"), "dimension values cannot be null")),
        [] => Ok(None),
        _ => Err(Error::unsupported("arrays of several dimensions")),
    };
    let Some(length) = one(lengths)? else { return Ok(Value::Array(Vec::new())) };
    if let Some(bounds) = bounds
        && one(bounds)?.is_some_and(|bound| bound != 1)
    {
        return Err(Error::unsupported("arrays that do not start at 1"));
    }
    match usize::try_from(length) {
        Ok(length) if length <= LENGTH_MAX => Ok(Value::Array(vec![value.clone(); length])),
        _ => {
            let message = format!("array size exceeds the maximum allowed ({LENGTH_MAX})");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
        }
    }
}

/// PostgreSQL's MaxArraySize.
const LENGTH_MAX: usize = 134_217_727;

/// So many of the items, in an order of their own.
fn some_of(items: &[Value], count: usize) -> Vec<Value> {
    let mut rest = items.to_vec();
    let below = |bound: usize| ((u128::from(drawn()) * bound as u128) >> 64) as usize;
    (0..count).map(|_| rest.swap_remove(below(rest.len()))).collect()
}

fn items(value: &Value) -> &[Value] {
    if let Value::Array(items) = value { items } else { &[] }
}

/// Equal, as IS NOT DISTINCT FROM says it.
fn same(left: &Value, right: &Value) -> bool {
    *left == Value::Null && *right == Value::Null || equal(left, right)
}

/// What becomes an element.
fn item(value: &Value) -> crate::error::Result<Value> {
    match value {
        Value::Array(_) => Err(Error::unsupported("arrays of several dimensions")),
        value => Ok(value.clone()),
    }
}

/// Equal and not NULL, whichever of the integer types they have.
fn equal(left: &Value, right: &Value) -> bool {
    let whole = |value: &Value| match value {
        Value::Int2(value) => Some(i64::from(*value)),
        Value::Int4(value) => Some(i64::from(*value)),
        Value::Int8(value) => Some(*value),
        _ => None,
    };
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Numeric(a), Value::Numeric(b)) => a.compare(b).is_eq(),
        (left, right) => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => left == right,
            _ => left == right,
        },
    }
}

/// The items that are not NULL, with a separator before all but the first; NULL when there are none.
fn concatenated(values: &Value, separators: &Value) -> Value {
    let separator = |at: usize| match separators {
        Value::Array(separators) => separators.get(at).unwrap_or(&Value::Null),
        separator => separator,
    };
    let mut shown = items(values).iter().enumerate().filter(|(_, item)| **item != Value::Null);
    let Some((_, first)) = shown.next() else { return Value::Null };
    let mut all = first.clone();
    for (at, item) in shown {
        for part in [separator(at), item] {
            match (&mut all, part) {
                (Value::Text(all), Value::Text(part)) => all.push_str(part),
                (Value::Bytea(all), Value::Bytea(part)) => all.extend_from_slice(part),
                _ => {}
            }
        }
    }
    all
}

/// Whether a text is like a pattern, by one of `~~`, `~~*`, `!~~` and `!~~*`.
fn like(text: &Value, pattern: &Value, operator: &str) -> Result<Option<bool>> {
    let (Value::Text(text), Value::Text(pattern)) = (text, pattern) else { return Ok(None) };
    let text = StringArray::new_scalar(text);
    let pattern = StringArray::new_scalar(pattern);
    let found = match operator {
        "~~" => comparison::like(&text, &pattern),
        "~~*" => comparison::ilike(&text, &pattern),
        "!~~" => comparison::nlike(&text, &pattern),
        _ => comparison::nilike(&text, &pattern),
    };
    Ok(found.map_err(from_arrow)?.iter().next().flatten())
}

fn joined(look: Look, array: &Value, separator: &Value, null: Option<&str>) -> Value {
    let Value::Text(separator) = separator else { return Value::Null };
    let shown = items(array).iter().filter_map(|item| match item {
        Value::Null => null.map(str::to_owned),
        item => Some(texts::to_string_as(item, look)),
    });
    Value::Text(shown.collect::<Vec<_>>().join(separator))
}
