//! Rows as values: records, whose text is `(1,abc,)`.
//!
//! A record has no type of its own in a table; it is what `ROW(...)` makes and a table's name means in an expression.

use std::sync::Arc;

use super::text::{is_space, print_as};
use super::{Look, Type, Value, binary};

/// A field of a record's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RecordField {
    pub name: String,
    pub ty: Type,
}

/// A field of a record.
pub type Named = (Arc<str>, Value);

/// PostgreSQL's record_out.
pub fn print(fields: &[Named], look: Look, out: &mut Vec<u8>) {
    out.push(b'(');
    for (place, (_, value)) in fields.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        if *value != Value::Null {
            let start = out.len();
            print_as(value, look, out);
            quote_if_needed(start, out);
        }
    }
    out.push(b')');
}

/// Puts quotes around what stands from `start` on, when it would be read as something else without.
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let text = &out[start..];
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b',') || b.is_ascii() && is_space(char::from(*b));
    if !text.is_empty() && !text.iter().any(special) {
        return;
    }
    let plain = out.split_off(start);
    out.push(b'"');
    for byte in plain {
        if matches!(byte, b'"' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// PostgreSQL's record_send: the number of fields, then for each its type, its length and its bytes.
pub fn send(fields: &[Named], types: &[RecordField], out: &mut Vec<u8>) {
    out.extend_from_slice(&(fields.len() as i32).to_be_bytes());
    for ((_, value), field) in fields.iter().zip(types) {
        out.extend_from_slice(&field.ty.oid().to_be_bytes());
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if *value != Value::Null {
            binary::send(value, &field.ty, out);
            let length = (out.len() - at - 4) as i32;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_postgresqls() {
        let text = |text: &str| Value::Text(text.to_owned());
        let values = [Value::Int4(1), Value::Null, text(""), text("a b"), text("q\"\\"), text("x")];
        let fields: Vec<Named> = values.into_iter().map(|value| (Arc::from("f"), value)).collect();
        let mut out = Vec::new();
        print(&fields, Look::PLAIN, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"(1,,"","a b","q""\\",x)"#);
    }
}
