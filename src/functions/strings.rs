//! Functions on text that DataFusion lacks or answers differently, and those that take values of any type.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::hashes::{hash, hash_integer};
use crate::functions::regex::pattern;
use crate::functions::regexps::{escape_of, part_similar};
use crate::functions::texts::{overlay, parse_ident, size_in_bytes, unistr};
use crate::functions::value::{Definition, functions as build, lenient, lenient_shown, shown, strict};
use crate::functions::{bits, bytes};
use crate::types::identifiers::quote_ident;
use crate::types::{Bits, Look, Value, text as texts};

/// The longest text a function makes, as PostgreSQL bounds its allocations.
const TEXT_BYTES_MAX: usize = 0x3fff_ffff;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions().into_iter().chain(bytes::like_texts()).chain(bits::like_texts()).collect())
}

/// The texts of those that are not NULL.
fn texts_of(look: Look, values: &[Value]) -> impl Iterator<Item = String> {
    values.iter().filter(|value| **value != Value::Null).map(move |value| texts::to_string_as(value, look))
}

fn definitions() -> Vec<Definition> {
    vec![
        lenient_shown("concat(any...) text", |look, v| Ok(Value::Text(texts_of(look, v).collect()))),
        lenient_shown("concat_ws(text, any...) text", |look, v| {
            if v[0] == Value::Null {
                return Ok(Value::Null);
            }
            Ok(Value::Text(texts_of(look, &v[1..]).collect::<Vec<String>>().join(text(&v[0]))))
        }),
        lenient_shown("format(text) text", format),
        lenient_shown("format(text, any...) text", format).null_is_empty(),
        strict("quote_literal(text) text", |v| Ok(Value::Text(quoted_literal(text(&v[0]))))),
        shown("quote_literal(any) text", |look, v| {
            Ok(Value::Text(quoted_literal(&texts::to_string_as(&v[0], look))))
        }),
        lenient_shown("quote_nullable(any) text", |look, v| match &v[0] {
            Value::Null => Ok("NULL".into()),
            value => Ok(Value::Text(quoted_literal(&texts::to_string_as(value, look)))),
        }),
        strict("textcat(text, text) text", |v| Ok(Value::Text([text(&v[0]), text(&v[1])].concat()))),
        strict("reverse(text) text", |v| Ok(Value::Text(text(&v[0]).chars().rev().collect()))),
        strict("quote_ident(text) text", |v| Ok(Value::Text(quote_ident(text(&v[0]))))),
        lenient("num_nulls(any...) int4", |v| {
            Ok(Value::Int4(v.iter().filter(|value| **value == Value::Null).count() as i32))
        }),
        lenient("num_nonnulls(any...) int4", |v| {
            Ok(Value::Int4(v.iter().filter(|value| **value != Value::Null).count() as i32))
        }),
        strict("left(text, int4) text", |v| {
            let (text, count) = (text(&v[0]), number(&v[1]));
            let length = text.chars().count() as i64;
            let kept = if count < 0 { (length + count).max(0) } else { count };
            Ok(Value::Text(text.chars().take(kept as usize).collect()))
        }),
        strict("right(text, int4) text", |v| {
            let (text, count) = (text(&v[0]), number(&v[1]));
            let length = text.chars().count() as i64;
            let kept = match count {
                // It has no positive twin.
                count if count == i64::from(i32::MIN) => length,
                count if count < 0 => (length + count).max(0),
                count => count.min(length),
            };
            Ok(Value::Text(text.chars().skip((length - kept) as usize).collect()))
        }),
        strict("lpad(text, int4) text", |v| pad(text(&v[0]), number(&v[1]), " ", true)),
        strict("lpad(text, int4, text) text", |v| pad(text(&v[0]), number(&v[1]), text(&v[2]), true)),
        strict("rpad(text, int4) text", |v| pad(text(&v[0]), number(&v[1]), " ", false)),
        strict("rpad(text, int4, text) text", |v| pad(text(&v[0]), number(&v[1]), text(&v[2]), false)),
        strict("repeat(text, int4) text", |v| {
            let (text, count) = (text(&v[0]), number(&v[1]).max(0) as usize);
            match text.len().checked_mul(count) {
                Some(bytes) if bytes <= TEXT_BYTES_MAX => Ok(Value::Text(text.repeat(count))),
                _ => Err(too_long()),
            }
        }),
        strict("initcap(text) text", |v| {
            let mut inside = false;
            let mut out = String::new();
            for c in text(&v[0]).chars() {
                if inside {
                    out.extend(c.to_lowercase())
                } else {
                    out.extend(c.to_uppercase())
                }
                inside = c.is_alphanumeric();
            }
            Ok(Value::Text(out))
        }),
        strict("split_part(text, text, int4) text", |v| split_part(text(&v[0]), text(&v[1]), number(&v[2]))),
        strict("strpos(text, text) int4", |v| {
            let found = text(&v[0]).find(text(&v[1]));
            Ok(Value::Int4(found.map_or(0, |at| text(&v[0])[..at].chars().count() as i32 + 1)))
        }),
        strict("ascii(text) int4", |v| Ok(Value::Int4(text(&v[0]).chars().next().map_or(0, |c| c as i32)))),
        strict("chr(int4) text", |v| match number(&v[0]) {
            0 => Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "null character not permitted")),
            code if code < 0 => {
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive"))
            }
            code => match u32::try_from(code).ok().and_then(char::from_u32) {
                Some(c) => Ok(Value::Text(c.to_string())),
                None => Err(Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("requested character not valid for encoding: {code}"),
                )),
            },
        }),
        strict("to_hex(int4) text", |v| Ok(Value::Text(format!("{:x}", number(&v[0]) as i32)))),
        strict("to_hex(int8) text", |v| Ok(Value::Text(format!("{:x}", number(&v[0]))))),
        strict("substring(text, text) text", |v| {
            let regex = pattern(text(&v[1]), "")?;
            Ok(regex.find_at(text(&v[0]), 0)?.map_or(Value::Null, |found| {
                // The first group when there is one, else everything.
                let part = if regex.groups() > 0 { found.get(1) } else { found.get(0) };
                part.map_or(Value::Null, |part| part.text.into())
            }))
        }),
        // SQL's own patterns, with what takes the meaning from a character.
        strict("substring(text, text, text) text", |v| {
            part_similar(text(&v[0]), text(&v[1]), escape_of(text(&v[2]))?)
        }),
        strict("substring(text, int4) text", |v| substring(text(&v[0]), number(&v[1]), None)),
        strict("substring(text, int4, int4) text", |v| {
            substring(text(&v[0]), number(&v[1]), Some(number(&v[2])))
        }),
        strict("substr(text, int4) text", |v| substring(text(&v[0]), number(&v[1]), None)),
        strict("substr(text, int4, int4) text", |v| {
            substring(text(&v[0]), number(&v[1]), Some(number(&v[2])))
        }),
        strict("length(text) int4", |v| Ok(Value::Int4(text(&v[0]).chars().count() as i32))),
        strict("length(bytea) int4", |v| Ok(Value::Int4(bytes(&v[0]).len() as i32))),
        strict("length(bytea, text) int4", |v| {
            let of = bytes::encoding("encoding", text(&v[1]))?;
            Ok(Value::Int4(of.decode(bytes(&v[0]))?.chars().count() as i32))
        }),
        strict("length(tsvector) int4", |v| match &v[0] {
            Value::TsVector(vector) => Ok(Value::Int4(vector.len() as i32)),
            _ => Ok(Value::Null),
        }),
        strict("char_length(text) int4", |v| Ok(Value::Int4(text(&v[0]).chars().count() as i32))),
        strict("character_length(text) int4", |v| Ok(Value::Int4(text(&v[0]).chars().count() as i32))),
        strict("octet_length(text) int4", |v| Ok(Value::Int4(text(&v[0]).len() as i32))),
        strict("octet_length(bytea) int4", |v| Ok(Value::Int4(bytes(&v[0]).len() as i32))),
        strict("length(bit) int4", |v| Ok(Value::Int4(bits(&v[0]).len() as i32))),
        strict("octet_length(bit) int4", |v| Ok(Value::Int4(bits(&v[0]).bytes().len() as i32))),
        strict("bit_length(bit) int4", |v| Ok(Value::Int4(bits(&v[0]).len() as i32))),
        strict("bit_length(bytea) int4", |v| Ok(Value::Int4(bytes(&v[0]).len() as i32 * 8))),
        strict("bit_length(text) int4", |v| Ok(Value::Int4(text(&v[0]).len() as i32 * 8))),
        lenient("string_to_table(text, text) text[]", |v| Ok(string_to_array(&v[0], &v[1], &Value::Null))),
        lenient("string_to_table(text, text, text) text[]", |v| Ok(string_to_array(&v[0], &v[1], &v[2]))),
        strict("starts_with(text, text) bool", |v| Ok(Value::Bool(text(&v[0]).starts_with(text(&v[1]))))),
        strict("unistr(text) text", |v| unistr(text(&v[0])).map(Value::Text)),
        strict("btrim(text) text", |v| Ok(text(&v[0]).trim_matches(' ').into())),
        strict("btrim(text, text) text", |v| {
            let gone = text(&v[1]);
            Ok(text(&v[0]).trim_matches(|c| gone.contains(c)).into())
        }),
        strict("ltrim(text) text", |v| Ok(text(&v[0]).trim_start_matches(' ').into())),
        strict("ltrim(text, text) text", |v| {
            let gone = text(&v[1]);
            Ok(text(&v[0]).trim_start_matches(|c| gone.contains(c)).into())
        }),
        strict("rtrim(text) text", |v| Ok(text(&v[0]).trim_end_matches(' ').into())),
        strict("rtrim(text, text) text", |v| {
            let gone = text(&v[1]);
            Ok(text(&v[0]).trim_end_matches(|c| gone.contains(c)).into())
        }),
        strict("overlay(text, text, int4) text", |v| {
            let count = text(&v[1]).chars().count() as i64;
            overlay(text(&v[0]), text(&v[1]), number(&v[2]), count)
        }),
        strict("overlay(text, text, int4, int4) text", |v| {
            overlay(text(&v[0]), text(&v[1]), number(&v[2]), number(&v[3]))
        }),
        strict("parse_ident(text) text[]", |v| parse_ident(text(&v[0]), true)),
        strict("parse_ident(text, bool) text[]", |v| parse_ident(text(&v[0]), v[1] == Value::Bool(true))),
        strict("pg_size_bytes(text) int8", |v| size_in_bytes(text(&v[0])).map(Value::Int8)),
        strict("hashtext(text) int4", |v| Ok(Value::Int4(hash(text(&v[0]).as_bytes()) as i32))),
        strict("hashint2(int2) int4", |v| Ok(Value::Int4(hash_integer(number(&v[0])) as i32))),
        strict("hashint4(int4) int4", |v| Ok(Value::Int4(hash_integer(number(&v[0])) as i32))),
        strict("hashint8(int8) int4", |v| Ok(Value::Int4(hash_integer(number(&v[0])) as i32))),
        lenient("string_to_array(text, text) text[]", |v| Ok(string_to_array(&v[0], &v[1], &Value::Null))),
        lenient("string_to_array(text, text, text) text[]", |v| Ok(string_to_array(&v[0], &v[1], &v[2]))),
    ]
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn bytes(value: &Value) -> &[u8] {
    if let Value::Bytea(bytes) = value { bytes } else { &[] }
}

fn bits(value: &Value) -> Bits {
    if let Value::Bits(bits) = value { bits.clone() } else { Bits::default() }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int2(number) => i64::from(*number),
        Value::Int4(number) => i64::from(*number),
        Value::Int8(number) => *number,
        _ => 0,
    }
}

fn too_long() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// `%s`, `%I`, `%L` and `%%`, with positions (`%1$s`) and widths (`%-10s`).
fn format(look: Look, v: &[Value]) -> Result<Value> {
    if v[0] == Value::Null {
        return Ok(Value::Null);
    }
    let (mut out, mut next) = (String::new(), 1usize);
    let mut rest = text(&v[0]).chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.peek() == Some(&'%') {
            rest.next();
            out.push('%');
            continue;
        }
        let mut digits = String::new();
        let (mut left, mut width) = (false, 0usize);
        let argument = |next: usize| {
            v.get(next).ok_or_else(|| Error::new(SqlState("22023"), "too few arguments for format()"))
        };
        let mut read_digits = |rest: &mut std::iter::Peekable<std::str::Chars>| {
            digits.clear();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits.parse::<usize>().ok()
        };
        let mut first = read_digits(&mut rest);
        let mut has_place = false;
        if rest.next_if_eq(&'$').is_some() {
            match first.take() {
                Some(0) | None => {
                    let message = "format specifies argument 0, but arguments are numbered from 1";
                    return Err(Error::new(SqlState("22023"), message));
                }
                Some(position) => (next, has_place) = (position, true),
            }
        }
        while rest.next_if_eq(&'-').is_some() {
            left = true;
        }
        if rest.next_if_eq(&'*').is_some() {
            // The width is an argument, the next one or `*1$`.
            let place = match read_digits(&mut rest) {
                Some(place) if rest.next_if_eq(&'$').is_some() => {
                    if place == 0 {
                        let message = "format specifies argument 0, but arguments are numbered from 1";
                        return Err(Error::new(SqlState("22023"), message));
                    }
                    // Without a place of its own, the value is what follows the width.
                    if !has_place {
                        next = place + 1;
                    }
                    place
                }
                Some(_) => {
                    let message = "width argument position must be ended by \"$\"";
                    return Err(Error::new(SqlState("22023"), message));
                }
                None => {
                    next += 1;
                    next - 1
                }
            };
            let wanted = match argument(place)? {
                Value::Null => 0,
                value => texts::to_string_as(value, look).parse::<i32>().map_err(|_| {
                    let shown = texts::to_string_as(value, look);
                    let message = format!("invalid input syntax for type integer: \"{shown}\"");
                    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
                })?,
            };
            left |= wanted < 0;
            width = (wanted.unsigned_abs() as usize).min(TEXT_BYTES_MAX / 64);
        } else if let Some(found) = first.or_else(|| read_digits(&mut rest)) {
            width = found.min(TEXT_BYTES_MAX / 64);
        }
        let Some(kind) = rest.next() else {
            let error = Error::new(SqlState("22023"), "unterminated format() type specifier");
            return Err(error.hint("For a single \"%\" use \"%%\"."));
        };
        if !matches!(kind, 's' | 'I' | 'L') {
            let message = format!("unrecognized format() type specifier \"{kind}\"");
            return Err(Error::new(SqlState("22023"), message).hint("For a single \"%\" use \"%%\"."));
        }
        let value = argument(next)?;
        next += 1;
        let shown = match (kind, value) {
            ('s', Value::Null) => String::new(),
            ('I', Value::Null) => {
                return Err(Error::new(
                    SqlState("22004"),
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            (_, Value::Null) => "NULL".to_owned(),
            ('I', value) => quote_ident(&texts::to_string_as(value, look)),
            ('L', value) => quoted_literal(&texts::to_string_as(value, look)),
            (_, value) => texts::to_string_as(value, look),
        };
        let padded = if left { format!("{shown:<width$}") } else { format!("{shown:>width$}") };
        out.push_str(&padded);
    }
    Ok(Value::Text(out))
}

fn quoted_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match doubled.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

fn pad(text: &str, length: i64, fill: &str, before: bool) -> Result<Value> {
    let length = length.max(0) as usize;
    if length.saturating_mul(4) > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    let count = text.chars().count();
    if count >= length || fill.is_empty() {
        return Ok(Value::Text(text.chars().take(length).collect()));
    }
    let filling = fill.chars().cycle().take(length - count);
    Ok(Value::Text(match before {
        true => filling.chain(text.chars()).collect(),
        false => text.chars().chain(filling).collect(),
    }))
}

fn split_part(text: &str, separator: &str, field: i64) -> Result<Value> {
    if field == 0 {
        return Err(Error::new(SqlState("22023"), "field position must not be zero"));
    }
    let parts: Vec<&str> = if separator.is_empty() { vec![text] } else { text.split(separator).collect() };
    let index = if field > 0 { field - 1 } else { parts.len() as i64 + field };
    let part = usize::try_from(index).ok().and_then(|index| parts.get(index));
    Ok(part.copied().unwrap_or("").into())
}

fn substring(text: &str, start: i64, length: Option<i64>) -> Result<Value> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(Error::new(SqlState("22011"), "negative substring length not allowed"));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let from = start.max(1);
    let count = (end.max(from) - from) as usize;
    Ok(Value::Text(text.chars().skip((from - 1) as usize).take(count).collect()))
}

fn string_to_array(input: &Value, separator: &Value, null: &Value) -> Value {
    let Value::Text(input) = input else { return Value::Null };
    if input.is_empty() {
        return Value::Array(Vec::new());
    }
    let parts: Vec<String> = match separator {
        Value::Null => input.chars().map(|c| c.to_string()).collect(),
        separator if text(separator).is_empty() => vec![input.clone()],
        separator => input.split(text(separator)).map(str::to_owned).collect(),
    };
    let is_null = |part: &String| matches!(null, Value::Text(null) if null == part);
    let item = |part: String| if is_null(&part) { Value::Null } else { Value::Text(part) };
    Value::Array(parts.into_iter().map(item).collect())
}
