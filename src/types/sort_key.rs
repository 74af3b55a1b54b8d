//! Bytes of composed values that order, and are equal, as PostgreSQL has it.
//!
//! - Arrays by their elements, then by how many there are and in which dimensions; a NULL element is the greatest.
//!   Records are arrays of their fields.
//! - jsonb: Object > Array > Boolean > Number > String > Null; of two arrays or objects the one of more elements is the
//!   greater, and numbers are compared as numbers (`1.0` is `1`).

use crate::codec::key;
use crate::error::Result;
use crate::types::Value;
use crate::types::dimensions::{flat, shape};
use crate::types::json::Node;

/// The bytes by which an index finds what is equal to a value: the sort key where its type has one, else its key.
pub fn of_equals(value: &Value) -> Vec<u8> {
    match value {
        // The text of a document is one that was read.
        Value::Jsonb(text) => document(text).unwrap_or_default(),
        Value::Array(_) | Value::Record(_) => array(value),
        Value::Interval(interval) => {
            let mut out = Vec::new();
            key::interval(interval, &mut out);
            out
        }
        value => key::of(std::slice::from_ref(value)),
    }
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

/// The key of a document; an error for a text that is none.
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
