//! Every type's text format, both ways: what psql shows, COPY reads and drivers send by default.
//!
//! [`print()`] and [`parse`] do it for a [`Value`]; formatters of single types are public where results are encoded
//! without going through a `Value`: [`super::integer`], [`super::float`], [`super::datetime`], [`super::vector`].

use crate::error::{Error, Result, SqlState};
use crate::types::array::Printed;
use crate::types::interval::Limits;
use crate::types::jsonpath::Path;
use crate::types::look::Look;
use crate::types::{
    Type, Value, array, bits, cast, datetime, dimensions, float, halfvec, hstore, integer, json, money,
    multirange, network, numeric, range, record, sparsevec, tid, timetz, tsquery, tsvector, vector,
};

/// White space as C's isspace() knows it.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// `invalid input syntax for type integer: "x"` (22P02).
pub fn invalid(name: &str, text: &str) -> Error {
    let message = format!("invalid input syntax for type {name}: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// The same for dates and times (22007).
pub fn invalid_datetime(name: &str, text: &str) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, invalid(name, text).message())
}

/// Appends the text of `value`; nothing for NULL, which has no text. Timestamps with time zone are shown in UTC;
/// who shows a `character(n)` adds [`cast::pad`].
pub fn print(value: &Value, out: &mut Vec<u8>) {
    print_as(value, Look::PLAIN, out);
}

/// [`print()`] as a session wants it.
pub fn print_as(value: &Value, look: Look, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Int2(value) => integer::print_i64(i64::from(*value), out),
        Value::Int4(value) => integer::print_i64(i64::from(*value), out),
        Value::Int8(value) => integer::print_i64(*value, out),
        Value::Oid(value) => integer::print_u64(u64::from(*value), out),
        Value::Float4(value) => float::print_f32_with(*value, look.float_digits, out),
        Value::Float8(value) => float::print_f64_with(*value, look.float_digits, out),
        Value::Numeric(value) => numeric::print(value, out),
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytea(bytes) if look.escapes_bytes => print_escaped(bytes, out),
        Value::Bytea(bytes) => print_bytea(bytes, out),
        Value::Date(days) => look.dates.print_date(*days, out),
        Value::Time(microseconds) => datetime::print_time(*microseconds, out),
        Value::Timetz(time) => timetz::print(*time, out),
        Value::Timestamp(at) => look.dates.print_timestamp(*at, out),
        Value::Timestamptz(at) => look.dates.print_timestamptz(*at, look.zone, out),
        Value::Interval(value) => look.intervals.print(*value, out),
        Value::Uuid(bytes) => print_uuid(bytes, out),
        Value::Money(cents) => money::print(*cents, out),
        Value::Tid(place) => tid::print(*place, out),
        Value::Vector(values) => vector::print(values, out),
        Value::Halfvec(values) => halfvec::print(values, out),
        Value::Sparsevec(vector) => sparsevec::print(vector.as_sparse(), out),
        Value::Bits(value) => bits::print(value, out),
        Value::TsVector(value) => tsvector::print(value, out),
        Value::TsQuery(value) => tsquery::print(value, out),
        Value::Range(value) => range::print(value, look, out),
        Value::Multirange(value) => multirange::print(value, look, out),
        Value::Network(value) => network::print(*value, out),
        Value::Hstore(value) => hstore::print(value, out),
        Value::Enum(value) => out.extend_from_slice(value.label().as_bytes()),
        Value::Record(fields) => record::print(fields, look, out),
        Value::Array(items) => {
            let item = |item: &Value, out: &mut Vec<u8>| {
                print_as(item, look, out);
                match item {
                    Value::Null => Printed::Null,
                    Value::Array(_) => Printed::Array,
                    _ => Printed::Item,
                }
            };
            array::print(items, item, out);
        }
    }
}

/// [`print()`] into a String of its own.
pub fn to_string(value: &Value) -> String {
    to_string_as(value, Look::PLAIN)
}

/// [`print_as`] into a String of its own.
pub fn to_string_as(value: &Value, look: Look) -> String {
    let mut out = Vec::new();
    print_as(value, look, &mut out);
    String::from_utf8(out).expect("every text format is UTF-8, made of ASCII and of Strings")
}

/// `1 2`: numbers of a type between blanks, in the normal form.
fn number_list(text: &str, item: &Type) -> Result<Value> {
    let numbers = text.split(is_space).filter(|word| !word.is_empty());
    let numbers = numbers.map(|word| Ok(to_string(&parse(item, word)?)));
    Ok(Value::Text(numbers.collect::<Result<Vec<String>>>()?.join(" ")))
}

/// A value of `ty` from its text. Timestamps without a zone are in UTC.
pub fn parse(ty: &Type, text: &str) -> Result<Value> {
    parse_as(ty, text, Look::PLAIN)
}

/// [`parse`] with moments that name no zone read in the session's, and dates and intervals in its styles.
pub fn parse_as(ty: &Type, text: &str, look: Look) -> Result<Value> {
    Ok(match ty {
        Type::Bool => Value::Bool(parse_bool(text)?),
        Type::Int2 => Value::Int2(integer::parse(text, "smallint", i16::MIN.into(), i16::MAX.into())? as i16),
        Type::Int4 => Value::Int4(integer::parse(text, "integer", i32::MIN.into(), i32::MAX.into())? as i32),
        Type::Int8 => Value::Int8(integer::parse(text, "bigint", i64::MIN, i64::MAX)?),
        // PostgreSQL reads negative OIDs as their two's complement.
        Type::Oid => Value::Oid(integer::parse(text, "oid", i32::MIN.into(), u32::MAX.into())? as u32),
        Type::Float4 => Value::Float4(float::parse_f32(text)?),
        Type::Float8 => Value::Float8(float::parse_f64(text)?),
        Type::Numeric(modifier) => Value::Numeric(numeric::parse(text)?.fit(*modifier)?),
        Type::Text | Type::Citext => Value::Text(text.to_owned()),
        Type::Polymorphic(of) => {
            let message = format!("cannot accept a value of type {}", of.name());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        // Whatever it says.
        Type::Void => Value::Text(String::new()),
        Type::Varchar(_) | Type::Bpchar(_) | Type::Name | Type::Char => {
            Value::Text(cast::fit_text(text.to_owned(), ty, false)?)
        }
        Type::JsonPath => Value::Text(Path::parse(text)?.to_string()),
        Type::Int2Vector => number_list(text, &Type::Int2)?,
        Type::OidVector => number_list(text, &Type::Oid)?,
        Type::Bytea => Value::Bytea(parse_bytea(text)?),
        Type::Date => Value::Date(datetime::parse_date(text, look)?),
        Type::Time(digits) => Value::Time(datetime::rounded_time(datetime::parse_time(text, look)?, *digits)),
        Type::Timetz(digits) => Value::Timetz(datetime::parse_timetz(text, look)?.rounded(*digits)),
        Type::Timestamp(digits) => {
            Value::Timestamp(datetime::rounded(datetime::parse_timestamp(text, look)?, *digits))
        }
        Type::Timestamptz(digits) => {
            Value::Timestamptz(datetime::rounded(datetime::parse_timestamptz(text, look)?, *digits))
        }
        Type::Interval(limits) => Value::Interval(Limits::read(*limits, text, look.intervals)?),
        Type::Uuid => Value::Uuid(parse_uuid(text)?),
        Type::Money => Value::Money(money::parse(text)?),
        Type::Tid => Value::Tid(tid::parse(text)?),
        Type::Json => {
            json::check(text)?;
            Value::Json(text.to_owned())
        }
        Type::Jsonb => Value::Jsonb(json::normalise(text)?),
        Type::Vector(dimensions) => {
            let values = vector::parse(text)?;
            vector::check_expected(*dimensions, values.len())?;
            Value::Vector(values)
        }
        Type::Halfvec(dimensions) => {
            let values = halfvec::parse(text)?;
            vector::check_expected(*dimensions, values.len())?;
            Value::Halfvec(values)
        }
        Type::Sparsevec(dimensions) => Value::Sparsevec(sparsevec::parse(text, *dimensions)?),
        Type::Bit(_) | Type::Varbit(_) => Value::Bits(bits::parse(text)?.fit(ty, false)?),
        Type::TsVector => Value::TsVector(tsvector::parse(text)?),
        Type::TsQuery => Value::TsQuery(tsquery::parse(text)?),
        Type::Range(of) => Value::Range(range::parse(of.clone(), text, look)?),
        Type::Multirange(of) => Value::Multirange(multirange::parse(of, text, look)?),
        Type::Network(of) => Value::Network(network::parse(*of, text)?),
        Type::Hstore => Value::Hstore(hstore::parse(text)?),
        Type::Enum(of) => of.parse(text)?,
        Type::Composite(of) => of.parse(text, look)?,
        Type::Record(_) => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        Type::Array(_) => {
            let parsed = array::parse(text)?;
            let items = parsed.items.into_iter().map(|part| match part {
                None => Ok(Value::Null),
                Some(part) => parse_as(ty.element(), &part, look),
            });
            dimensions::shaped(items.collect::<Result<_>>()?, &parsed.shape, ty)?
        }
    })
}

/// Unique prefixes of true, false, yes, no; on, off; 1, 0.
fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let prefix_of = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    match () {
        _ if word == "1" || prefix_of("true", 1) || prefix_of("yes", 1) || prefix_of("on", 2) => Ok(true),
        _ if word == "0" || prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) => Ok(false),
        _ => Err(invalid("boolean", text)),
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn print_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
}

/// `\x6869`
pub fn print_bytea(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    print_hex(bytes, out);
}

/// The format `escape`: a backslash is doubled, and what is not printed is a backslash and three octal digits.
fn print_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' => out.push(byte),
            byte => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
}

pub fn print_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (i, &byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        print_hex(&[byte], out);
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Hex (`\x6869`, white space between bytes) or the old escape form (`hi\000\\`).
fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_bytea_hex(hex),
        None => parse_bytea_escape(text),
    }
}

fn parse_bytea_hex(hex: &str) -> Result<Vec<u8>> {
    let bad_digit = |at: usize| {
        let c = hex[at..].chars().next().unwrap_or(' ');
        let message = format!("invalid hexadecimal digit: \"{c}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    let digits = hex.as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut at = 0;
    while at < digits.len() {
        if is_space(char::from(digits[at])) {
            at += 1;
            continue;
        }
        let high = nibble(digits[at]).ok_or_else(|| bad_digit(at))?;
        let Some(&low) = digits.get(at + 1) else {
            let message = "invalid hexadecimal data: odd number of digits";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        bytes.push(high << 4 | nibble(low).ok_or_else(|| bad_digit(at + 1))?);
        at += 2;
    }
    Ok(bytes)
}

fn parse_bytea_escape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                let message = "invalid input syntax for type bytea";
                return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        }
    }
}

/// 32 hexadecimal digits, with hyphens after any group of four and braces around all.
fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let body = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}').ok_or_else(|| invalid("uuid", text))?,
        None => text,
    };
    let mut uuid = [0; 16];
    let mut digits = 0;
    let mut previous = b'-';
    for &byte in body.as_bytes() {
        if byte == b'-' {
            if digits % 4 != 0 || digits == 0 || digits == 32 || previous == b'-' {
                return Err(invalid("uuid", text));
            }
        } else {
            let value = nibble(byte).filter(|_| digits < 32).ok_or_else(|| invalid("uuid", text))?;
            uuid[digits / 2] = uuid[digits / 2] << 4 | value;
            digits += 1;
        }
        previous = byte;
    }
    if digits == 32 { Ok(uuid) } else { Err(invalid("uuid", text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_leads_back_through_text() {
        for (ty, text) in [
            ("boolean", "t"),
            ("smallint", "-32768"),
            ("integer", "2147483647"),
            ("bigint", "-9223372036854775808"),
            ("oid", "4294967295"),
            ("real", "1.5e+10"),
            ("double precision", "-Infinity"),
            ("numeric(10,3)", "-1234567.890"),
            ("text", "any 'text' \\ é"),
            ("varchar(3)", "äöü"),
            ("char(3)", "a"),
            ("name", "pg_class"),
            ("\"char\"", "r"),
            ("bytea", "\\x00ff10"),
            ("date", "2024-02-29"),
            ("time", "23:59:59.999999"),
            ("timetz", "23:59:59.999999-03:30"),
            ("timestamp", "2024-02-29 12:00:00.5"),
            ("timestamptz", "2024-02-29 12:00:00+00"),
            ("interval", "1 year -2 days +03:00:00"),
            ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("money", "-$1,234,567.05"),
            ("json", "{ \"a\" : 1.0 }"),
            ("jsonb", "{\"a\": 1.0}"),
            ("vector(3)", "[1,0.5,-2e+20]"),
            ("halfvec(3)", "[1,0.5,-65504]"),
            ("sparsevec(3)", "{1:1,3:-2e+20}/3"),
            ("sparsevec(2)[]", "{\"{1:1,2:2}/2\",\"{}/2\"}"),
            ("bit(3)", "101"),
            ("bit varying(9)", "10"),
            ("bit(2)[]", "{10,01}"),
            ("integer[]", "{1,NULL,-3}"),
            ("text[]", "{a,\"b,c\",NULL,\"\"}"),
            ("timestamp[]", "{\"2024-02-29 12:00:00\"}"),
            ("vector(2)[]", "{\"[1,2]\",\"[3,4]\"}"),
            ("hstore", "\"b\"=>NULL, \"aa\"=>\"1\""),
            ("hstore[]", "{\"\\\"a\\\"=>\\\"1\\\"\"}"),
            ("int4range", "[1,5)"),
            ("numrange[]", "{\"(-0.5,7]\",empty}"),
            ("tsrange", "[\"2024-02-29 12:00:00\",)"),
        ] {
            let ty = Type::from_name(ty).unwrap();
            let value = parse(&ty, text).unwrap_or_else(|error| panic!("{ty}: {error}"));
            assert_eq!(to_string(&value), text, "{ty}");
        }
    }

    #[test]
    fn refusals_are_postgres_words() {
        let fails = |ty: &str, text: &str, state: SqlState, message: &str| {
            let error = parse(&Type::from_name(ty).unwrap(), text).unwrap_err();
            assert_eq!((error.state(), error.message()), (state, message));
        };
        let syntax = SqlState::INVALID_TEXT_REPRESENTATION;
        fails("int", "x", syntax, "invalid input syntax for type integer: \"x\"");
        fails(
            "int",
            "3000000000",
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value \"3000000000\" is out of range for type integer",
        );
        fails("bool", "o", syntax, "invalid input syntax for type boolean: \"o\"");
        fails("uuid", "a0eebc99", syntax, "invalid input syntax for type uuid: \"a0eebc99\"");
        fails(
            "varchar(2)",
            "abc",
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            "value too long for type character varying(2)",
        );
        fails(
            "bytea",
            "\\x1",
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid hexadecimal data: odd number of digits",
        );
        fails("bytea", "\\xzz", SqlState::INVALID_PARAMETER_VALUE, "invalid hexadecimal digit: \"z\"");
        fails("vector(3)", "[1,2]", SqlState::DATA_EXCEPTION, "expected 3 dimensions, not 2");
    }

    #[test]
    fn other_spellings() {
        let reads = |ty: &str, text: &str, expected: &str| {
            assert_eq!(to_string(&parse(&Type::from_name(ty).unwrap(), text).unwrap()), expected);
        };
        reads("bool", " TRUE ", "t");
        reads("bool", "off", "f");
        reads("bytea", "a\\000\\\\é", "\\x61005cc3a9");
        reads("bytea", "\\x 61 62", "\\x6162");
        reads("uuid", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        reads("varchar(2)", "ab  ", "ab");
        reads("char(4)", "ab  ", "ab");
    }
}
