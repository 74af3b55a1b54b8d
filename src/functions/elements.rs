//! Assignment to elements: what `SET tags[2] = 'x'` and `SET doc['a']['b'] = '1'` make of the array and the document.
//!
//! ```text
//!   hither_assign_element(array, value, place...)     hither_assign_slice(array, values, first, last)
//!   hither_assign_member(document, value, step...)
//! ```
//!
//! Arrays begin at 1 here. What would make one that begins elsewhere is refused.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{self, lenient};
use crate::types::Value;
use crate::types::json::{Key, Node};

/// Elements of an array that is filled, or that an assignment makes with the NULLs between: what a gigabyte holds of values as they are here,
/// where PostgreSQL's bound is a gigabyte, too.
pub const ELEMENTS_MAX: usize = 16_777_216;

/// Places of a slice that says no end.
pub const TO_THE_END: i32 = i32::MAX;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    value::functions(vec![
        lenient("hither_assign_element(any, any, int4...) $1", element),
        lenient("hither_assign_slice(any, any, int4, int4) $1", slice),
        lenient("hither_assign_member(jsonb, jsonb, any...) jsonb", member),
    ])
}

fn place(value: &Value) -> Result<i64> {
    match value {
        Value::Int4(place) => Ok(i64::from(*place)),
        _ => Err(Error::new(SqlState("22004"), "array subscript in assignment must not be null")),
    }
}

fn begins_elsewhere() -> Error {
    Error::unsupported("an array that does not begin at 1")
}

fn too_large() -> Error {
    let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn items(array: &Value) -> Vec<Value> {
    match array {
        Value::Array(items) => items.clone(),
        _ => Vec::new(),
    }
}

fn element(v: &[Value]) -> Result<Value> {
    match &v[2..] {
        [one] => element_of_row(&v[0], &v[1], place(one)?),
        several => {
            let places = several.iter().map(place).collect::<Result<Vec<_>>>()?;
            deeper_element(&items(&v[0]), &v[1], &places)
        }
    }
}

/// The array with a value at a place in each dimension, which must be there already: such an array does not grow. One
/// without items becomes one of a single item.
fn deeper_element(items: &[Value], value: &Value, places: &[i64]) -> Result<Value> {
    let [place, deeper @ ..] = places else { return Ok(value.clone()) };
    if items.is_empty() {
        return match places.iter().all(|place| *place == 1) {
            true => Ok(places.iter().fold(value.clone(), |inner, _| Value::Array(vec![inner]))),
            false => Err(begins_elsewhere()),
        };
    }
    let found = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
    let Some((at, old)) = found.and_then(|at| Some((at, items.get(at)?))) else {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"));
    };
    let mut changed = items.to_vec();
    changed[at] = match old {
        Value::Array(items) => deeper_element(items, value, deeper)?,
        _ => value.clone(),
    };
    Ok(Value::Array(changed))
}

fn element_of_row(array: &Value, value: &Value, place: i64) -> Result<Value> {
    let mut items = items(array);
    let Ok(place @ 1..) = usize::try_from(place) else { return Err(begins_elsewhere()) };
    if items.is_empty() && place > 1 {
        return Err(begins_elsewhere());
    }
    if place > ELEMENTS_MAX {
        return Err(too_large());
    }
    if items.len() < place {
        items.resize(place, Value::Null);
    }
    items[place - 1] = value.clone();
    Ok(Value::Array(items))
}

fn slice(v: &[Value]) -> Result<Value> {
    let (mut items, first, last) = (items(&v[0]), place(&v[2])?, place(&v[3])?);
    let Value::Array(values) = &v[1] else { return Ok(v[0].clone()) };
    let open = last == i64::from(TO_THE_END);
    if open && items.is_empty() {
        let message = "array slice subscript must provide both boundaries";
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message).detail(
            "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
        ));
    }
    let last = if open { items.len() as i64 } else { last };
    if first > last {
        let message = "upper bound cannot be less than lower bound";
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    }
    if first < 1 || items.is_empty() && first != 1 {
        return Err(begins_elsewhere());
    }
    let (first, last) = (first as usize, last as usize);
    if last > ELEMENTS_MAX {
        return Err(too_large());
    }
    let count = last + 1 - first;
    if values.len() < count {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "source array too small"));
    }
    if items.len() < last {
        items.resize(last, Value::Null);
    }
    items[first - 1..last].clone_from_slice(&values[..count]);
    Ok(Value::Array(items))
}

/// A step of a path: a text, or a whole number, which makes an array where nothing is.
enum Step {
    Name(String),
    Place(i64),
}

fn step(value: &Value) -> Result<Step> {
    match value {
        Value::Int2(place) => Ok(Step::Place(i64::from(*place))),
        Value::Int4(place) => Ok(Step::Place(i64::from(*place))),
        Value::Text(name) => Ok(Step::Name(name.clone())),
        Value::Null => {
            let message = "jsonb subscript in assignment must not be null";
            Err(Error::new(SqlState("22004"), message))
        }
        _ => {
            let message = "subscript type is not supported";
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                .hint("jsonb subscript must be coercible to either integer or text."))
        }
    }
}

fn member(v: &[Value]) -> Result<Value> {
    let steps = v[2..].iter().map(step).collect::<Result<Vec<_>>>()?;
    let value = match &v[1] {
        Value::Jsonb(text) => Node::parse(text)?,
        _ => Node::null(),
    };
    let mut document = match &v[0] {
        Value::Jsonb(text) => Node::parse(text)?,
        _ => empty(&steps[0]),
    };
    put(&mut document, &steps, 0, value)?;
    Ok(Value::Jsonb(document.to_text()))
}

/// What a step can be taken in.
fn empty(step: &Step) -> Node {
    match step {
        Step::Place(_) => Node::Array(Vec::new()),
        Step::Name(_) => Node::Object(Default::default()),
    }
}

fn put(node: &mut Node, steps: &[Step], at: usize, value: Node) -> Result<()> {
    let Some(step) = steps.get(at) else {
        *node = value;
        return Ok(());
    };
    let next = |at: usize| steps.get(at + 1).map_or_else(Node::null, empty);
    match node {
        Node::Object(entries) => {
            let key = match step {
                Step::Name(name) => Key::new(name),
                Step::Place(place) => Key::new(&place.to_string()),
            };
            put(entries.entry(key).or_insert_with(|| next(at)), steps, at + 1, value)
        }
        Node::Array(items) => {
            let place = match step {
                Step::Place(place) => *place,
                Step::Name(name) => name.parse().map_err(|_| {
                    let message =
                        format!("path element at position {} is not an integer: \"{name}\"", at + 1);
                    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
                })?,
            };
            let from_start = if place < 0 { place + items.len() as i64 } else { place };
            let Ok(from_start) = usize::try_from(from_start) else {
                let message = format!("path element at position {} is out of range: {place}", at + 1);
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            };
            if from_start >= ELEMENTS_MAX {
                return Err(too_large());
            }
            if items.len() <= from_start {
                items.resize_with(from_start, Node::null);
                items.push(next(at));
            }
            put(&mut items[from_start], steps, at + 1, value)
        }
        Node::Plain(_) | Node::Text(_) => {
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "cannot replace existing key")
                .detail("The path assumes key is a composite object, but it is a scalar value."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_with_null() {
        let array = Value::Array(vec![Value::Int4(1)]);
        let filled = element(&[array, Value::Int4(3), Value::Int4(3)]).unwrap();
        assert_eq!(filled, Value::Array(vec![Value::Int4(1), Value::Null, Value::Int4(3)]));
        let made = member(&[
            Value::Null,
            Value::Jsonb("1".to_owned()),
            Value::Text("a".to_owned()),
            Value::Int4(1),
            Value::Text("b".to_owned()),
        ]);
        assert_eq!(made.unwrap(), Value::Jsonb("{\"a\": [null, {\"b\": 1}]}".to_owned()));
    }
}
