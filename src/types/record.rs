//! Rows as values: records, whose text is `(1,abc,)`.
//!
//! A record has no type of its own; it is what `ROW(...)` makes and a table's name means in an expression. Those of types
//! that users make are in [`super::composite`].

use std::sync::Arc;

use super::binary::{Parts, short, trailing};
use super::text::{is_space, print_as};
use super::{Look, Type, Value, binary};
use crate::error::{Error, Result, SqlState};

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
            quote_if_needed(start, b"", out);
        }
    }
    out.push(b')');
}

/// Puts quotes around what stands from `start` on, when it would be read as something else without: brackets `also`.
pub(super) fn quote_if_needed(start: usize, also: &[u8], out: &mut Vec<u8>) {
    let text = &out[start..];
    let special = |b: &u8| {
        matches!(b, b'"' | b'\\' | b'(' | b')' | b',')
            || also.contains(b)
            || b.is_ascii() && is_space(char::from(*b))
    };
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

/// The fields of PostgreSQL's record_in as text, `None` for NULL; 22P02 when they are not `count`.
pub fn parse(text: &str, count: usize) -> Result<Vec<Option<String>>> {
    let malformed = |detail: &str| {
        let message = format!("malformed record literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let mut chars = text.trim_start_matches(is_space).chars().peekable();
    if chars.next() != Some('(') {
        return Err(malformed("Missing left parenthesis."));
    }
    let mut fields = Vec::with_capacity(count);
    for place in 0..count {
        if place > 0 && chars.next_if_eq(&',').is_none() {
            return Err(malformed("Too few columns."));
        }
        if matches!(chars.peek(), Some(',' | ')')) {
            fields.push(None);
            continue;
        }
        let (mut field, mut quoted) = (String::new(), false);
        while quoted || !matches!(chars.peek(), Some(',' | ')')) {
            match chars.next() {
                None => return Err(malformed("Unexpected end of input.")),
                Some('\\') => {
                    field.push(chars.next().ok_or_else(|| malformed("Unexpected end of input."))?);
                }
                Some('"') if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
                Some('"') => quoted = !quoted,
                Some(c) => field.push(c),
            }
        }
        fields.push(Some(field));
    }
    if chars.next() != Some(')') {
        return Err(malformed("Too many columns."));
    }
    match chars.all(is_space) {
        true => Ok(fields),
        false => Err(malformed("Junk after right parenthesis.")),
    }
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

/// PostgreSQL's record_recv: values of these types; 42804 when the bytes have others.
pub fn receive(bytes: &[u8], types: &[&Type]) -> Result<Vec<Value>> {
    let differs = |message: String| Error::new(SqlState::DATATYPE_MISMATCH, message);
    let mut parts = Parts(bytes);
    let count = i32::from_be_bytes(parts.take()?);
    if usize::try_from(count) != Ok(types.len()) {
        return Err(differs(format!("wrong number of columns: {count}, expected {}", types.len())));
    }
    let mut values = Vec::with_capacity(types.len());
    for (place, ty) in types.iter().enumerate() {
        let oid = u32::from_be_bytes(parts.take()?);
        if oid != ty.oid() {
            let found = Type::from_oid(oid).map_or_else(|| "???".to_owned(), |found| found.to_string());
            return Err(differs(format!(
                "binary data has type {oid} ({found}) instead of expected {} ({ty}) in record column {}",
                ty.oid(),
                place + 1
            )));
        }
        values.push(match i32::from_be_bytes(parts.take()?) {
            -1 => Value::Null,
            length => binary::receive(ty, parts.slice(usize::try_from(length).map_err(|_| short())?)?)?,
        });
    }
    if parts.0.is_empty() { Ok(values) } else { Err(trailing()) }
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
