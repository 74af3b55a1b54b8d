//! Functions of bytea: its texts and its bytes.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::functions::texts::behind;
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::Value;

/// Characters of base64 in a line, as MIME has them.
const LINE: usize = 76;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("encode(bytea, text) text", |v| {
            Ok(Value::Text(match text(&v[1]).to_ascii_lowercase().as_str() {
                "hex" => bytes(&v[0]).iter().map(|byte| format!("{byte:02x}")).collect(),
                "base64" => to_base64(bytes(&v[0])),
                "escape" => to_escapes(bytes(&v[0])),
                _ => return Err(no_encoding(text(&v[1]))),
            }))
        }),
        strict("decode(text, text) bytea", |v| {
            Ok(Value::Bytea(match text(&v[1]).to_ascii_lowercase().as_str() {
                "hex" => from_hex(text(&v[0]))?,
                "base64" => from_base64(text(&v[0]))?,
                "escape" => from_escapes(text(&v[0]))?,
                _ => return Err(no_encoding(text(&v[1]))),
            }))
        }),
        strict("convert_from(bytea, text) text", |v| {
            Ok(Value::Text(encoding("source encoding", text(&v[1]))?.decode(bytes(&v[0]))?.into_owned()))
        }),
        strict("convert_to(text, text) bytea", |v| {
            Ok(Value::Bytea(encoding("destination encoding", text(&v[1]))?.encode(text(&v[0]))?.into_owned()))
        }),
        strict("convert(bytea, text, text) bytea", |v| {
            let from = encoding("source encoding", text(&v[1]))?;
            let to = encoding("destination encoding", text(&v[2]))?;
            Ok(Value::Bytea(to.encode(&from.decode(bytes(&v[0]))?)?.into_owned()))
        }),
        strict("get_byte(bytea, int4) int4", |v| {
            let bytes = bytes(&v[0]);
            Ok(Value::Int4(i32::from(bytes[place(integer(&v[1]), bytes.len())?])))
        }),
        strict("set_byte(bytea, int4, int4) bytea", |v| {
            let mut bytes = bytes(&v[0]).to_vec();
            let at = place(integer(&v[1]), bytes.len())?;
            bytes[at] = integer(&v[2]) as u8;
            Ok(Value::Bytea(bytes))
        }),
    ]
}

/// LIKE of bytes: `%` is any number of them, `_` one, a backslash takes what follows as it is.
fn is_like(bytes: &[u8], pattern: &[u8]) -> Result<bool> {
    // Where to go on after the last %, which is the only one that need take more.
    let (mut at, mut place) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let is_end = at == bytes.len();
        let step = match pattern.get(place..) {
            Some([b'%', ..]) => {
                again = Some((at, place + 1));
                place += 1;
                continue;
            }
            Some([b'\\']) => {
                let message = "LIKE pattern must not end with escape character";
                return Err(Error::new(SqlState("22025"), message));
            }
            Some([b'\\', wanted, ..]) if !is_end && bytes[at] == *wanted => Some(2),
            Some([b'_', ..]) if !is_end => Some(1),
            Some([wanted, ..]) if *wanted != b'\\' && !is_end && bytes[at] == *wanted => Some(1),
            Some([]) if is_end => return Ok(true),
            _ => None,
        };
        match (step, again) {
            (Some(step), _) => (at, place) = (at + 1, place + step),
            (None, Some((from, behind))) if from < bytes.len() => {
                (at, place) = (from + 1, behind);
                again = Some((from + 1, behind));
            }
            (None, _) => return Ok(false),
        }
    }
}

/// Functions that text or bit strings have as well, which are defined together.
pub fn like_texts() -> Vec<Definition> {
    vec![
        strict("get_bit(bytea, int8) int4", |v| {
            let bytes = bytes(&v[0]);
            let at = place(integer(&v[1]), bytes.len() * 8)?;
            Ok(Value::Int4(i32::from(bytes[at / 8] >> (at % 8) & 1)))
        }),
        strict("set_bit(bytea, int8, int4) bytea", |v| {
            let mut bytes = bytes(&v[0]).to_vec();
            let at = place(integer(&v[1]), bytes.len() * 8)?;
            match integer(&v[2]) {
                0 => bytes[at / 8] &= !(1 << (at % 8)),
                1 => bytes[at / 8] |= 1 << (at % 8),
                _ => return Err(invalid("new bit must be 0 or 1")),
            }
            Ok(Value::Bytea(bytes))
        }),
        strict("bit_count(bytea) int8", |v| {
            Ok(Value::Int8(bytes(&v[0]).iter().map(|byte| i64::from(byte.count_ones())).sum()))
        }),
        strict("bytealike(bytea, bytea) bool", |v| is_like(bytes(&v[0]), bytes(&v[1])).map(Value::Bool)),
        strict("byteanlike(bytea, bytea) bool", |v| {
            is_like(bytes(&v[0]), bytes(&v[1])).map(|is| Value::Bool(!is))
        }),
        strict("substring(bytea, int4) bytea", |v| substring(bytes(&v[0]), integer(&v[1]), None)),
        strict("substring(bytea, int4, int4) bytea", |v| {
            substring(bytes(&v[0]), integer(&v[1]), Some(integer(&v[2])))
        }),
        strict("substr(bytea, int4) bytea", |v| substring(bytes(&v[0]), integer(&v[1]), None)),
        strict("substr(bytea, int4, int4) bytea", |v| {
            substring(bytes(&v[0]), integer(&v[1]), Some(integer(&v[2])))
        }),
        strict("strpos(bytea, bytea) int4", |v| {
            let (input, part) = (bytes(&v[0]), bytes(&v[1]));
            let found = match part {
                [] => Some(0),
                part => input.windows(part.len()).position(|window| window == part),
            };
            Ok(Value::Int4(found.map_or(0, |at| at as i32 + 1)))
        }),
        strict("btrim(bytea, bytea) bytea", |v| Ok(trimmed(bytes(&v[0]), bytes(&v[1]), true, true))),
        strict("ltrim(bytea, bytea) bytea", |v| Ok(trimmed(bytes(&v[0]), bytes(&v[1]), true, false))),
        strict("rtrim(bytea, bytea) bytea", |v| Ok(trimmed(bytes(&v[0]), bytes(&v[1]), false, true))),
        strict("overlay(bytea, bytea, int4) bytea", |v| {
            overlay(bytes(&v[0]), bytes(&v[1]), integer(&v[2]), bytes(&v[1]).len() as i64)
        }),
        strict("overlay(bytea, bytea, int4, int4) bytea", |v| {
            overlay(bytes(&v[0]), bytes(&v[1]), integer(&v[2]), integer(&v[3]))
        }),
    ]
}

/// What lies between two places, counted from 1.
fn substring(input: &[u8], start: i64, count: Option<i64>) -> Result<Value> {
    let end = match count {
        Some(count) if count < 0 => {
            return Err(Error::new(SqlState("22011"), "negative substring length not allowed"));
        }
        Some(count) => start.saturating_add(count),
        None => i64::MAX,
    };
    let place = |at: i64| usize::try_from(at.saturating_sub(1)).unwrap_or(0).min(input.len());
    let (first, end) = (place(start), place(end));
    Ok(Value::Bytea(input[first..end.max(first)].to_vec()))
}

/// Without the bytes of a set at the ends.
fn trimmed(mut input: &[u8], gone: &[u8], left: bool, right: bool) -> Value {
    while let ([first, rest @ ..], true) = (input, left) {
        if !gone.contains(first) {
            break;
        }
        input = rest;
    }
    while let ([rest @ .., last], true) = (input, right) {
        if !gone.contains(last) {
            break;
        }
        input = rest;
    }
    Value::Bytea(input.to_vec())
}

fn overlay(input: &[u8], new: &[u8], start: i64, count: i64) -> Result<Value> {
    let behind = behind(start, count)?;
    let before = &input[..input.len().min((start - 1) as usize)];
    Ok(Value::Bytea([before, new, &input[behind.min(input.len())..]].concat()))
}

/// The text of an argument that a signature says is one; the same of the others.
pub fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

/// See [`text`].
pub fn bytes(value: &Value) -> &[u8] {
    if let Value::Bytea(bytes) = value { bytes } else { &[] }
}

/// See [`text`].
pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Int4(number) => i64::from(*number),
        Value::Int8(number) => *number,
        _ => 0,
    }
}

/// An index below `length`.
fn place(at: i64, length: usize) -> Result<usize> {
    usize::try_from(at).ok().filter(|at| *at < length).ok_or_else(|| {
        let message = format!("index {at} out of valid range, 0..{}", length as i64 - 1);
        Error::new(SqlState("2202E"), message)
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn no_encoding(name: &str) -> Error {
    invalid(format!("unrecognized encoding: \"{name}\""))
}

/// The encoding that a function's argument names; `what` it is to the function.
pub(super) fn encoding(what: &str, name: &str) -> Result<Encoding> {
    Encoding::find(name).ok_or_else(|| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid {what} name \"{name}\""))
    })
}

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 57 + 4);
    for (index, chunk) in bytes.chunks(3).enumerate() {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            match place <= chunk.len() {
                true => out.push(char::from(BASE64[(group >> (18 - 6 * place) & 63) as usize])),
                false => out.push('='),
            }
        }
        if chunk.len() == 3 && (index + 1) % (LINE / 4) == 0 {
            out.push('\n');
        }
    }
    out
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut group, mut count) = (0u32, 0);
    // Bytes of a group once padding was seen; what follows it is read as PostgreSQL reads it.
    let mut length = None;
    for c in text.chars() {
        let digit = match c {
            ' ' | '\t' | '\n' | '\r' => continue,
            '=' => {
                length = match (length, count) {
                    (None, 2 | 3) => Some(count - 1),
                    (None, _) => return Err(invalid("unexpected \"=\" while decoding base64 sequence")),
                    (length, _) => length,
                };
                0
            }
            c => {
                let byte = u8::try_from(c).ok();
                let digit = byte.and_then(|byte| BASE64.iter().position(|symbol| *symbol == byte));
                let message = || format!("invalid symbol \"{c}\" found while decoding base64 sequence");
                digit.ok_or_else(|| invalid(message()))? as u32
            }
        };
        (group, count) = (group << 6 | digit, count + 1);
        if count == 4 {
            let [_, decoded @ ..] = group.to_be_bytes();
            out.extend_from_slice(&decoded[..length.unwrap_or(3)]);
            (group, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(invalid("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for c in text.chars() {
        let digit = match (c, c.to_digit(16), high) {
            // Between the bytes, not within one.
            (' ' | '\t' | '\n' | '\r', _, None) => continue,
            (_, Some(digit), _) => digit as u8,
            _ => return Err(invalid(format!("invalid hexadecimal digit: \"{c}\""))),
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    match high {
        None => Ok(out),
        Some(_) => Err(invalid("invalid hexadecimal data: odd number of digits")),
    }
}

/// Printable bytes as they are; zero and those above ASCII in octal, backslashes twice.
fn to_escapes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
            b'\\' => out.push_str("\\\\"),
            byte => out.push(char::from(byte)),
        }
    }
    out
}

fn from_escapes(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                let message = "invalid input syntax for type bytea";
                return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_back_from_every_text(bytes: Vec<u8>) {
            prop_assert_eq!(&from_base64(&to_base64(&bytes)).unwrap(), &bytes);
            prop_assert_eq!(&from_escapes(&to_escapes(&bytes)).unwrap(), &bytes);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (from_base64(&text), from_hex(&text), from_escapes(&text));
        }
    }
}
