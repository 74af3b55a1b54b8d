//! Functions and operators of arrays, counted from 1 in each dimension.
//!
//! Elements are compared as values, and NULL as PostgreSQL does it: to remove, replace or find a NULL it counts as
//! equal to itself, to contain or overlap it does not.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::compute::kernels::comparison;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::elements::ELEMENTS_MAX;
use crate::functions::sampling::drawn;
use crate::functions::value::{Definition, functions as build, lenient, lenient_shown, shown, strict};
use crate::types::arrow::errors::from_arrow;
use crate::types::cast::type_of;
use crate::types::dimensions::{DIMENSIONS_MAX, are_alike, extent, flat, into_flat, shape, too_many};
use crate::types::sort_key::of_equals;
use crate::types::{Look, Value, text as texts};

/// What unnest() makes rows of: the elements of all dimensions.
pub const ELEMENTS: &str = "hither_elements";
/// An array of arrays, which all have one shape.
pub const NESTED: &str = "hither_nested";
/// An array of one value, of the length of each dimension.
pub const FILL: &str = "hither_fill";
/// What is at a place in each dimension.
pub const PLACE: &str = "hither_place";
/// An array as it is, whose subscripts are not those of what made it.
pub const WHOLE: &str = "hither_whole";
/// What is between two places in each dimension.
pub const SLICE: &str = "hither_slice";
/// What stands around the aggregate that `array(SELECT ...)` becomes.
pub const ARRAY_OR_EMPTY: &str = "hither_array_or_empty";

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
            let mut items = row(&v[0])?.to_vec();
            items.push(item(&v[1])?);
            Ok(Value::Array(items))
        }),
        lenient("array_prepend(any, any) $2", |v| {
            let mut items = row(&v[1])?.to_vec();
            items.insert(0, item(&v[0])?);
            Ok(Value::Array(items))
        }),
        lenient("array_cat(any, any) deepest", |v| match (&v[0], &v[1]) {
            (Value::Null, other) | (other, Value::Null) => Ok(other.clone()),
            (left, right) => concatenation(items(left), items(right)).map(Value::Array),
        }),
        lenient("array_remove(any, any) $1", |v| match &v[0] {
            Value::Null => Ok(Value::Null),
            array => {
                let items = one_dimension(array, "removing elements from multidimensional arrays")?;
                Ok(Value::Array(items.iter().filter(|item| !same(item, &v[1])).cloned().collect()))
            }
        }),
        lenient("array_replace(any, any, any) $1", |v| match &v[0] {
            Value::Null => Ok(Value::Null),
            array => Ok(Value::Array(replaced(items(array), &v[1], &v[2]))),
        }),
        lenient("array_position(any, any) int4", |v| {
            let found = one_dimension(&v[0], SEARCHING)?.iter().position(|item| same(item, &v[1]));
            Ok(found.map_or(Value::Null, |at| Value::Int4(at as i32 + 1)))
        }),
        lenient("array_position(any, any, int4) int4", |v| {
            let Value::Int4(start) = v[2] else {
                return Err(Error::new(SqlState("22004"), "initial position must not be null"));
            };
            let before = usize::try_from(start).unwrap_or(0).max(1) - 1;
            let items = one_dimension(&v[0], SEARCHING)?;
            let found = items.iter().skip(before).position(|item| same(item, &v[1]));
            Ok(found.map_or(Value::Null, |at| Value::Int4((before + at) as i32 + 1)))
        }),
        lenient("array_fill(any, int4[]) $1[]", |v| fill(&v[0], &v[1], None)),
        lenient("array_fill(any, int4[], int4[]) $1[]", |v| fill(&v[0], &v[1], Some(&v[2]))),
        // array_fill(value, ARRAY[2, 3]), with the lengths as arguments.
        lenient("hither_fill(any, int4...) above", |v| filled(&v[0], &v[1..])),
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
                let items = one_dimension(array, SEARCHING)?;
                let found = items.iter().enumerate().filter(|(_, item)| same(item, &v[1]));
                Ok(Value::Array(found.map(|(at, _)| Value::Int4(at as i32 + 1)).collect()))
            }
        }),
        // array(SELECT ...), whose aggregate is NULL without rows.
        lenient("hither_array_or_empty(any) $1", |v| {
            Ok(if v[0] == Value::Null { Value::Array(Vec::new()) } else { v[0].clone() })
        }),
        // array[2:4], or [2:4][1:1]; what lies outside the array is not there. Dimensions that are not said are whole.
        strict("hither_slice(any, int4...) $1", |v| {
            let bounds: Vec<i32> = v[1..].iter().filter_map(place).collect();
            Ok(Value::Array(sliced(items(&v[0]), &bounds)))
        }),
        strict("hither_whole(any) $1", |v| Ok(v[0].clone())),
        // array[2][1] of an array of several dimensions; of fewer subscripts than it has dimensions it is NULL.
        strict("hither_place(any, int4...) element", |v| {
            let mut found = &v[0];
            for subscript in &v[1..] {
                let before = place(subscript).and_then(|place| usize::try_from(place).ok()?.checked_sub(1));
                match before.and_then(|before| items(found).get(before)) {
                    Some(item) => found = item,
                    None => return Ok(Value::Null),
                }
            }
            Ok(if let Value::Array(_) = found { Value::Null } else { found.clone() })
        }),
        // ARRAY[a, b] of arrays: they have one shape.
        strict("hither_nested(any) $1", |v| match items(&v[0]) {
            items if !are_alike(items) => Err(uneven()),
            // Of arrays without items, and of NULLs.
            items if shape(items).len() < 2 || items.contains(&Value::Null) => Ok(Value::Array(Vec::new())),
            _ => Ok(v[0].clone()),
        }),
        // What unnest() makes rows of: the items of all dimensions, or the ranges of a set.
        strict("hither_elements(any) flat", |v| {
            Ok(Value::Array(match &v[0] {
                Value::Multirange(set) => set.ranges().iter().cloned().map(Value::Range).collect(),
                array => into_flat(items(array).to_vec()),
            }))
        }),
        // What string_agg makes of array_agg, of the values and of what stands before each.
        lenient("string_agg_items(text[], text) text", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(text[], text[]) text", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(bytea[], bytea) bytea", |v| Ok(concatenated(&v[0], &v[1]))),
        lenient("string_agg_items(bytea[], bytea[]) bytea", |v| Ok(concatenated(&v[0], &v[1]))),
        strict("array_contains_all(any, any) bool", |v| {
            let (outer, inner) = (flat(items(&v[0])), flat(items(&v[1])));
            Ok(Value::Bool(inner.iter().all(|item| outer.iter().any(|other| equal(item, other)))))
        }),
        // 'x' = ANY (array), until it is known what the text is read as.
        lenient("hither_has(any, any) bool", |v| match flat(items(&v[0])) {
            _ if v[0] == Value::Null => Ok(Value::Null),
            items if items.iter().any(|item| equal(item, &v[1])) => Ok(Value::Bool(true)),
            items if !items.contains(&&Value::Null) => Ok(Value::Bool(false)),
            _ => Ok(Value::Null),
        }),
        strict("hither_has_null(any) bool", |v| Ok(Value::Bool(flat(items(&v[0])).contains(&&Value::Null)))),
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
            let (left, right) = (flat(items(&v[0])), flat(items(&v[1])));
            Ok(Value::Bool(left.iter().any(|item| right.iter().any(|other| equal(item, other)))))
        }),
        strict("array_length(any, int4) int4", |v| {
            let length = place(&v[1]).and_then(|dimension| extent(&shape(items(&v[0])), dimension.into()));
            Ok(length.map_or(Value::Null, |length| Value::Int4(length as i32)))
        }),
        strict("cardinality(any) int4", |v| Ok(Value::Int4(flat(items(&v[0])).len() as i32))),
        strict("array_ndims(any) int4", |v| match shape(items(&v[0])).len() {
            0 => Ok(Value::Null),
            dimensions => Ok(Value::Int4(dimensions as i32)),
        }),
        strict("array_dims(any) text", |v| {
            let shape = shape(items(&v[0]));
            let shown: String = shape.iter().map(|length| format!("[1:{length}]")).collect();
            Ok(if shape.is_empty() { Value::Null } else { Value::Text(shown) })
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

/// An array of one value, whose dimension is as long as the only element of `lengths` says.
fn fill(value: &Value, lengths: &Value, bounds: Option<&Value>) -> Result<Value> {
    let null = || Error::new(SqlState("22004"), "dimension array or low bound array cannot be null");
    if *lengths == Value::Null || bounds == Some(&Value::Null) {
        return Err(null());
    }
    if let Some(bounds) = bounds
        && items(bounds).iter().any(|bound| *bound != Value::Int4(1))
    {
        return Err(Error::unsupported("arrays that do not start at 1"));
    }
    match items(lengths) {
        [] => Ok(Value::Array(Vec::new())),
        lengths @ [_] => filled(value, lengths),
        more if more.len() > DIMENSIONS_MAX => Err(too_many(more.len())),
        _ => Err(Error::unsupported("array_fill() of several dimensions that are not written out")),
    }
}

/// An array of one value, of the length of each dimension.
fn filled(value: &Value, lengths: &[Value]) -> Result<Value> {
    if let Value::Array(_) = value {
        let message = format!("could not find array type for data type {}", type_of(value).standard_name());
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    }
    let length = |length: &Value| match length {
        Value::Int4(length) => usize::try_from(*length).map_err(|_| too_long()),
        _ => Err(Error::new(SqlState("22004"), "dimension values cannot be null")),
    };
    let lengths = lengths.iter().map(length).collect::<Result<Vec<_>>>()?;
    if lengths.contains(&0) {
        return Ok(Value::Array(Vec::new()));
    }
    // The values, and the arrays around them.
    let mut count = 1usize;
    let mut made = 0usize;
    for length in &lengths {
        count = count.checked_mul(*length).ok_or_else(too_long)?;
        made = made.checked_add(count).filter(|made| *made <= ELEMENTS_MAX).ok_or_else(too_long)?;
    }
    let inner = |inner: Value, length: &usize| Value::Array(vec![inner; *length]);
    Ok(lengths.iter().rev().fold(value.clone(), inner))
}

fn too_long() -> Error {
    let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

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
fn item(value: &Value) -> Result<Value> {
    match value {
        Value::Array(_) => Err(Error::unsupported("arrays in an array by a function; ||")),
        value => Ok(value.clone()),
    }
}

const SEARCHING: &str = "searching for elements in multidimensional arrays";

/// The items of an array of one dimension, or of none.
fn one_dimension<'v>(array: &'v Value, doing: &str) -> Result<&'v [Value]> {
    let items = items(array);
    match items.first() {
        Some(Value::Array(_)) => {
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{doing} is not supported")))
        }
        _ => Ok(items),
    }
}

/// The items of an array to which one more can be added.
fn row(array: &Value) -> Result<&[Value]> {
    let items = items(array);
    match items.first() {
        Some(Value::Array(_)) => {
            let message = "argument must be empty or one-dimensional array";
            Err(Error::new(SqlState::DATA_EXCEPTION, message))
        }
        _ => Ok(items),
    }
}

/// Two arrays behind each other, or an array with one more of its rows, as array_cat has it.
fn concatenation(left: &[Value], right: &[Value]) -> Result<Vec<Value>> {
    let (one, other) = (shape(left), shape(right));
    let refused = |detail: String| {
        Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot concatenate incompatible arrays")
            .detail(detail))
    };
    let of_elements =
        || "Arrays with differing element dimensions are not compatible for concatenation.".to_owned();
    if one.is_empty() || other.is_empty() {
        return Ok([left, right].concat());
    }
    let row = |items: &[Value]| vec![Value::Array(items.to_vec())];
    match one.len().cmp(&other.len()) {
        Ordering::Equal if one[1..] == other[1..] => Ok([left, right].concat()),
        Ordering::Less if one[..] == other[1..] => Ok([row(left), right.to_vec()].concat()),
        Ordering::Greater if one[1..] == other[..] => Ok([left.to_vec(), row(right)].concat()),
        _ if one.len().abs_diff(other.len()) <= 1 => refused(of_elements()),
        _ => refused(format!(
            "Arrays of {} and {} dimensions are not compatible for concatenation.",
            one.len(),
            other.len()
        )),
    }
}

fn replaced(items: &[Value], from: &Value, to: &Value) -> Vec<Value> {
    let replaced = |item: &Value| match item {
        Value::Array(items) => Value::Array(replaced(items, from, to)),
        item if same(item, from) => to.clone(),
        item => item.clone(),
    };
    items.iter().map(replaced).collect()
}

/// The part of an array between bounds, first and last of each dimension from the outermost on.
fn sliced(all: &[Value], bounds: &[i32]) -> Vec<Value> {
    let [first, last, deeper @ ..] = bounds else { return all.to_vec() };
    let first = usize::try_from(*first).unwrap_or(0).max(1) - 1;
    let last = usize::try_from(*last).unwrap_or(0).min(all.len());
    let part = |item: &Value| match item {
        Value::Array(items) => Value::Array(sliced(items, deeper)),
        item => item.clone(),
    };
    let found: Vec<Value> = all.get(first..last).unwrap_or_default().iter().map(part).collect();
    // No dimension is without items.
    let is_empty = |item: &Value| matches!(item, Value::Array(items) if items.is_empty());
    if found.iter().any(is_empty) { Vec::new() } else { found }
}

fn place(value: &Value) -> Option<i32> {
    if let Value::Int4(place) = value { Some(*place) } else { None }
}

/// The refusal of arrays in one that have not one shape.
pub fn uneven() -> Error {
    let message = "multidimensional arrays must have array expressions with matching dimensions";
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// Equal and not NULL, as the operator `=` of their type has it; integers whichever of the types they have.
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
            _ => left == right || looks_vary(left) && of_equals(left) == of_equals(right),
        },
    }
}

/// Whether equal values of its type may look different: `1.0` and `1` in a document, a month and 30 days, two NaNs.
fn looks_vary(value: &Value) -> bool {
    use Value::{Float4, Float8, Halfvec, Interval, Jsonb, Multirange, Range, Record, Sparsevec, Vector};
    match value {
        Float4(number) => number.is_nan(),
        Float8(number) => number.is_nan(),
        Halfvec(_) | Interval(_) | Jsonb(_) | Multirange(_) | Range(_) | Record(_) | Sparsevec(_)
        | Vector(_) => true,
        _ => false,
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
    let shown = flat(items(array)).into_iter().filter_map(|item| match item {
        Value::Null => null.map(str::to_owned),
        item => Some(texts::to_string_as(item, look)),
    });
    Value::Text(shown.collect::<Vec<_>>().join(separator))
}
