//! Every type's binary format, both ways: PostgreSQL's `send` and `recv` functions, all big-endian.
//!
//! ```text
//!   date          i32 days, timestamp(tz) i64 microseconds, both since 2000-01-01; time i64 microseconds
//!   interval      i64 microseconds, i32 days, i32 months
//!   numeric       digits of base 10,000, see numeric.rs
//!   jsonb         a version byte 1, then text
//!   vector        u16 dimensions, u16 unused, f32 each; halfvec the same with f16
//!   sparsevec     i32 dimensions, i32 elements, i32 unused, i32 index each, f32 each
//!   bit, varbit   i32 bits, then eight to a byte
//!   inet, cidr    u8 family (2, 3), u8 bits, u8 1 for a cidr, u8 bytes, address; macaddr, macaddr8: the address
//!   ranges        u8 of bits, then per end that is not infinite i32 bytes and the element, see range.rs
//!   multiranges   i32 ranges, then per range i32 bytes and the range
//!   array         i32 dimensions (0 or 1), i32 has nulls, u32 item oid, [i32 length, i32 first index = 1],
//!                 then per item i32 bytes (-1 for NULL) and the item
//! ```

use crate::error::{Error, Result, SqlState};
use crate::types::dimensions::{self, DIMENSIONS_MAX, too_many};
use crate::types::interval::Limits;
use crate::types::vector::{self, Kind};
use crate::types::{
    Interval, Tid, Timetz, Type, Value, bits, byte, cast, datetime, f16, halfvec, hstore, json, multirange,
    network, numeric, range, record, sparsevec, tsquery, tsvector,
};

/// 2000-01-01 in days since 1970-01-01.
pub const EPOCH_DAYS: i32 = 10_957;
/// 2000-01-01 in microseconds since 1970-01-01.
pub const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
const JSONB_VERSION: u8 = 1;
const JSONPATH_VERSION: u8 = 1;

/// Appends the bytes of `value`, which is of `ty`; nothing for NULL.
pub fn send(value: &Value, ty: &Type, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Int2(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Int4(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Int8(value) | Value::Time(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Oid(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Float4(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Float8(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Numeric(number) => numeric::send(number, out),
        Value::Text(text) if matches!(ty, Type::Int2Vector | Type::OidVector) => {
            let item = if *ty == Type::Int2Vector { Type::Int2 } else { Type::Oid };
            let number = |word: &str| super::text::parse(&item, word).unwrap_or(Value::Null);
            let items: Vec<Value> = text.split_ascii_whitespace().map(number).collect();
            send_list(&items, &item, 0, out);
        }
        Value::Text(text) if *ty == Type::JsonPath => {
            out.push(JSONPATH_VERSION);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Text(text) | Value::Json(text) => send_text(text, ty, out),
        Value::Jsonb(text) => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytea(bytes) => out.extend_from_slice(bytes),
        Value::Date(days) => out.extend_from_slice(&send_date(*days).to_be_bytes()),
        Value::Timetz(time) => time.send(out),
        Value::Timestamp(at) | Value::Timestamptz(at) => {
            out.extend_from_slice(&send_timestamp(*at).to_be_bytes());
        }
        Value::Interval(interval) => {
            out.extend_from_slice(&interval.microseconds.to_be_bytes());
            out.extend_from_slice(&interval.days.to_be_bytes());
            out.extend_from_slice(&interval.months.to_be_bytes());
        }
        Value::Uuid(bytes) => out.extend_from_slice(bytes),
        Value::Money(cents) => out.extend_from_slice(&cents.to_be_bytes()),
        Value::Tid(place) => out.extend_from_slice(&place.to_bytes()),
        Value::Vector(values) => send_vector(values, out),
        Value::Halfvec(values) => halfvec::send(values, out),
        Value::Sparsevec(vector) => sparsevec::send(vector.as_sparse(), out),
        Value::Bits(value) => bits::send(value, out),
        Value::TsVector(value) => tsvector::send(value, out),
        Value::TsQuery(value) => tsquery::send(value, out),
        Value::Range(value) => range::send(value, out),
        Value::Multirange(value) => multirange::send(value, out),
        Value::Network(value) => network::send(*value, out),
        Value::Hstore(value) => hstore::send(value, out),
        Value::Enum(value) => out.extend_from_slice(value.label().as_bytes()),
        Value::Record(fields) => match ty {
            Type::Record(types) => record::send(fields, types, out),
            Type::Composite(of) => record::send(fields, &of.record(), out),
            _ => record::send(fields, &[], out),
        },
        Value::Array(items) => send_list(items, ty.element(), 1, out),
    }
}

fn send_text(text: &str, ty: &Type, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    match ty {
        Type::Bpchar(Some(characters)) => cast::pad(start, *characters, out),
        Type::Char => {
            out.truncate(start);
            out.push(byte::read(text));
        }
        _ => {}
    }
}

/// Days since 2000-01-01 of days since 1970-01-01; the infinities stay.
pub fn send_date(days: i32) -> i32 {
    match days {
        i32::MAX | i32::MIN => days,
        _ => days.saturating_sub(EPOCH_DAYS),
    }
}

/// Microseconds since 2000-01-01 of microseconds since 1970-01-01; the infinities stay.
pub fn send_timestamp(microseconds: i64) -> i64 {
    match microseconds {
        i64::MAX | i64::MIN => microseconds,
        _ => microseconds.saturating_sub(EPOCH_MICROSECONDS),
    }
}

pub fn send_vector(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(4 + 4 * values.len());
    out.extend_from_slice(&(values.len() as u16).to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    for value in values {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Items that are counted from `first` in each dimension.
fn send_list(items: &[Value], item_type: &Type, first: i32, out: &mut Vec<u8>) {
    let (shape, items) = (dimensions::shape(items), dimensions::flat(items));
    let has_nulls = i32::from(items.contains(&&Value::Null));
    for word in [shape.len() as i32, has_nulls, item_type.oid() as i32] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for word in shape.iter().flat_map(|length| [*length as i32, first]) {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for item in items {
        let length = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if *item != Value::Null {
            send(item, item_type, out);
            let bytes = (out.len() - length - 4) as i32;
            out[length..length + 4].copy_from_slice(&bytes.to_be_bytes());
        }
    }
}

/// A value of `ty` from its bytes.
pub fn receive(ty: &Type, bytes: &[u8]) -> Result<Value> {
    Ok(match ty {
        Type::Bool => Value::Bool(fixed::<1>(bytes)?[0] != 0),
        Type::Int2 => Value::Int2(i16::from_be_bytes(fixed(bytes)?)),
        Type::Int4 => Value::Int4(i32::from_be_bytes(fixed(bytes)?)),
        Type::Int8 => Value::Int8(i64::from_be_bytes(fixed(bytes)?)),
        Type::Oid => Value::Oid(u32::from_be_bytes(fixed(bytes)?)),
        Type::Float4 => Value::Float4(f32::from_be_bytes(fixed(bytes)?)),
        Type::Float8 => Value::Float8(f64::from_be_bytes(fixed(bytes)?)),
        Type::Numeric(modifier) => Value::Numeric(numeric::receive(bytes)?.fit(*modifier)?),
        Type::Char => match bytes {
            [byte] => Value::Text(byte::show(*byte)),
            _ => return Err(short()),
        },
        Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name => {
            Value::Text(cast::fit_text(utf8(bytes)?.to_owned(), ty, false)?)
        }
        Type::Int2Vector | Type::OidVector => {
            let item = if *ty == Type::Int2Vector { Type::Int2 } else { Type::Oid };
            let Value::Array(items) = receive_array(&Type::Array(Box::new(item)), 0, bytes)? else {
                return Err(short());
            };
            Value::Text(items.iter().map(super::text::to_string).collect::<Vec<_>>().join(" "))
        }
        Type::JsonPath => match bytes {
            [JSONPATH_VERSION, path @ ..] => super::text::parse(ty, utf8(path)?)?,
            [version, ..] => {
                return Err(malformed(format!("unsupported jsonpath version number: {version}")));
            }
            [] => return Err(short()),
        },
        Type::Polymorphic(of) => {
            let message = format!("cannot accept a value of type {}", of.name());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        Type::Void => Value::Text(String::new()),
        Type::Bytea => Value::Bytea(bytes.to_vec()),
        Type::Date => Value::Date(receive_date(i32::from_be_bytes(fixed(bytes)?))?),
        Type::Time(digits) => match i64::from_be_bytes(fixed(bytes)?) {
            time @ 0..=86_400_000_000 => Value::Time(datetime::rounded_time(time, *digits)),
            _ => return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range")),
        },
        Type::Timetz(digits) => Value::Timetz(Timetz::receive(fixed(bytes)?)?.rounded(*digits)),
        Type::Timestamp(digits) => {
            let at = receive_timestamp(i64::from_be_bytes(fixed(bytes)?))?;
            Value::Timestamp(datetime::rounded(at, *digits))
        }
        Type::Timestamptz(digits) => {
            let at = receive_timestamp(i64::from_be_bytes(fixed(bytes)?))?;
            Value::Timestamptz(datetime::rounded(at, *digits))
        }
        Type::Interval(limits) => {
            let bytes: [u8; 16] = fixed(bytes)?;
            let mut parts = Parts(&bytes);
            let interval = Interval {
                microseconds: i64::from_be_bytes(parts.take()?),
                days: i32::from_be_bytes(parts.take()?),
                months: i32::from_be_bytes(parts.take()?),
            };
            Value::Interval(Limits::fit(*limits, interval))
        }
        Type::Uuid => Value::Uuid(fixed(bytes)?),
        Type::Money => Value::Money(i64::from_be_bytes(fixed(bytes)?)),
        Type::Tid => Value::Tid(Tid::from_bytes(fixed(bytes)?)),
        Type::Json => {
            let text = utf8(bytes)?;
            json::check(text)?;
            Value::Json(text.to_owned())
        }
        Type::Jsonb => match bytes {
            [JSONB_VERSION, text @ ..] => Value::Jsonb(json::normalise(utf8(text)?)?),
            [version, ..] => return Err(malformed(format!("unsupported jsonb version number {version}"))),
            [] => return Err(short()),
        },
        Type::Vector(dimensions) => Value::Vector(receive_vector(bytes, *dimensions)?),
        Type::Halfvec(dimensions) => Value::Halfvec(receive_halfvec(bytes, *dimensions)?),
        Type::Sparsevec(dimensions) => Value::Sparsevec(sparsevec::receive(bytes, *dimensions)?),
        Type::Bit(_) | Type::Varbit(_) => Value::Bits(bits::receive(bytes)?.fit(ty, false)?),
        Type::TsVector => Value::TsVector(tsvector::receive(bytes)?),
        Type::TsQuery => Value::TsQuery(tsquery::receive(bytes)?),
        Type::Range(of) => Value::Range(range::receive(of.clone(), bytes)?),
        Type::Multirange(of) => Value::Multirange(multirange::receive(of, bytes)?),
        Type::Network(of) => Value::Network(network::receive(*of, bytes)?),
        Type::Hstore => Value::Hstore(hstore::receive(bytes)?),
        Type::Enum(of) => of.parse(utf8(bytes)?)?,
        Type::Composite(of) => of.receive(bytes)?,
        Type::Record(_) => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        Type::Array(_) => receive_array(ty, 1, bytes)?,
    })
}

fn receive_date(days: i32) -> Result<i32> {
    match days {
        i32::MAX | i32::MIN => Ok(days),
        _ => days
            .checked_add(EPOCH_DAYS)
            .filter(|days| *days < i32::MAX)
            .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")),
    }
}

fn receive_timestamp(microseconds: i64) -> Result<i64> {
    match microseconds {
        i64::MAX | i64::MIN => Ok(microseconds),
        _ => microseconds
            .checked_add(EPOCH_MICROSECONDS)
            .filter(|at| *at < i64::MAX)
            .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")),
    }
}

/// vector_recv. `expected` are the dimensions of the column, if it has a modifier.
pub fn receive_vector(bytes: &[u8], expected: Option<u16>) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    receive_vector_into(bytes, expected, &mut values)?;
    Ok(values)
}

/// Appends to `values`, which saves COPY an allocation per row. On an error `values` holds a part.
pub fn receive_vector_into(bytes: &[u8], expected: Option<u16>, values: &mut Vec<f32>) -> Result<()> {
    let start = values.len();
    let elements = elements_of(bytes, expected, Kind::Vector, 4)?;
    let (words, _) = elements.as_chunks::<4>();
    values.extend(words.iter().map(|word| f32::from_be_bytes(*word)));
    // One pass over all before looking for the culprit: nearly always there is none.
    match values[start..].iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => values[start..].iter().try_for_each(|&value| Kind::Vector.check_element(value)),
    }
}

/// halfvec_recv
fn receive_halfvec(bytes: &[u8], expected: Option<u16>) -> Result<Vec<f16>> {
    let elements = elements_of(bytes, expected, Kind::Halfvec, 2)?;
    let (words, _) = elements.as_chunks::<2>();
    let values: Vec<f16> = words.iter().map(|word| f16::from_bits(u16::from_be_bytes(*word))).collect();
    values.iter().try_for_each(|value| Kind::Halfvec.check_element(value.to_f32()))?;
    Ok(values)
}

/// The elements' bytes, behind a header that is right about them.
fn elements_of(bytes: &[u8], expected: Option<u16>, kind: Kind, width: usize) -> Result<&[u8]> {
    let mut parts = Parts(bytes);
    let dimensions = usize::from(u16::from_be_bytes(parts.take()?));
    let unused = u16::from_be_bytes(parts.take()?);
    kind.check_dimensions(dimensions)?;
    vector::check_expected(expected, dimensions)?;
    if unused != 0 {
        let message = format!("expected unused to be 0, not {unused}");
        return Err(Error::new(SqlState::DATA_EXCEPTION, message));
    }
    match parts.0.len().cmp(&(width * dimensions)) {
        std::cmp::Ordering::Less => Err(short()),
        std::cmp::Ordering::Equal => Ok(parts.0),
        std::cmp::Ordering::Greater => Err(trailing()),
    }
}

/// How many dimensions the bytes of an array say it has; 0 where they do not.
pub fn dimensions(bytes: &[u8]) -> usize {
    let said = Parts(bytes).take().map(i32::from_be_bytes);
    said.ok().and_then(|said| usize::try_from(said).ok()).filter(|said| *said <= DIMENSIONS_MAX).unwrap_or(0)
}

/// An array whose items are counted from `first` in each dimension.
fn receive_array(ty: &Type, first: i32, bytes: &[u8]) -> Result<Value> {
    let item = ty.element();
    let mut parts = Parts(bytes);
    let count = i32::from_be_bytes(parts.take()?);
    let flags = i32::from_be_bytes(parts.take()?);
    let oid = u32::from_be_bytes(parts.take()?);
    if !(0..=1).contains(&flags) {
        return Err(malformed("invalid array flags"));
    }
    if oid != item.oid() {
        let found = Type::from_oid(oid).map_or_else(|| oid.to_string(), |ty| ty.to_string());
        let message = format!("binary data has array element type {found} instead of expected {item}");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    match usize::try_from(count) {
        Err(_) => return Err(malformed(format!("invalid number of dimensions: {count}"))),
        Ok(count) if count > DIMENSIONS_MAX => return Err(too_many(count)),
        Ok(_) => {}
    }
    let mut shape = Vec::new();
    for _ in 0..count {
        let (length, begin) = (i32::from_be_bytes(parts.take()?), i32::from_be_bytes(parts.take()?));
        if begin != first {
            return Err(Error::unsupported(format!("an array that does not begin at {first}")));
        }
        shape.push(usize::try_from(length).map_err(|_| malformed("invalid array length"))?);
    }
    // Of more items than there are bytes the first that is missing is told.
    let length = shape.iter().try_fold(1usize, |items, length| items.checked_mul(*length));
    let length = if shape.is_empty() { 0 } else { length.unwrap_or(usize::MAX) };
    let mut items = Vec::new();
    for _ in 0..length {
        items.push(match i32::from_be_bytes(parts.take()?) {
            -1 => Value::Null,
            bytes => receive(item, parts.slice(usize::try_from(bytes).map_err(|_| short())?)?)?,
        });
    }
    if parts.0.is_empty() { dimensions::shaped(items, &shape, ty) } else { Err(trailing()) }
}

/// Bytes taken from the front.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn slice(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(bytes).ok_or_else(short)?;
        self.0 = rest;
        Ok(first)
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| if bytes.len() < N { short() } else { trailing() })
}

/// Text from a client: UTF-8 without zero bytes (22021).
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let bad = |sequence: &[u8]| invalid_sequence("UTF8", sequence);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let length = error.error_len().unwrap_or(bytes.len() - at);
        bad(&bytes[at..at + length])
    })?;
    if bytes.contains(&0) { Err(bad(&[0])) } else { Ok(text) }
}

/// 22021 for bytes that are no text in an encoding.
pub fn invalid_sequence(encoding: &str, sequence: &[u8]) -> Error {
    let message = format!("invalid byte sequence for encoding \"{encoding}\": {}", shown_bytes(sequence));
    Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
}

/// Bytes as PostgreSQL's messages show them: `0xc3 0x28`.
pub fn shown_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(" ")
}

pub(super) fn short() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

pub(super) fn trailing() -> Error {
    malformed("incorrect binary data format")
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::names::ENTRIES;
    use crate::types::text;

    fn sent(ty: &str, text: &str) -> Vec<u8> {
        let ty = Type::from_name(ty).unwrap();
        let mut out = Vec::new();
        send(&text::parse(&ty, text).unwrap(), &ty, &mut out);
        out
    }

    fn leads_back(ty: &Type, value: &Value) {
        let mut out = Vec::new();
        send(value, ty, &mut out);
        assert_eq!(receive(ty, &out).unwrap(), *value, "{ty}");
    }

    #[test]
    fn every_type_leads_back() {
        for (ty, text) in [
            ("boolean", "t"),
            ("smallint", "-2"),
            ("integer", "7"),
            ("bigint", "-9223372036854775808"),
            ("oid", "4294967295"),
            ("real", "1.5"),
            ("double precision", "NaN"),
            ("numeric(10,3)", "-1234567.890"),
            ("text", "é"),
            ("varchar(3)", "äöü"),
            ("name", "n"),
            ("\"char\"", "r"),
            ("\"char\"", ""),
            ("char(3)", "ab"),
            ("bytea", "\\x00ff"),
            ("date", "1999-12-31"),
            ("date", "-infinity"),
            ("time", "24:00:00"),
            ("timestamp", "1969-12-31 23:59:59"),
            ("timestamptz", "infinity"),
            ("interval", "1 year -2 days 00:00:03"),
            ("int4range", "[1,5)"),
            ("int4range", "empty"),
            ("daterange", "(,2024-03-01)"),
            ("numrange", "(0.5,)"),
            ("tstzrange[]", "{\"(,)\",NULL}"),
            ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("json", "{ }"),
            ("jsonb", "{\"a\": 1}"),
            ("vector(3)", "[1,0.5,-2e+20]"),
            ("sparsevec(3)", "{1:1,3:-2e+20}/3"),
            ("integer[]", "{1,NULL,-3}"),
            ("text[]", "{}"),
            ("vector(2)[]", "{\"[1,2]\",NULL}"),
        ] {
            let ty = Type::from_name(ty).unwrap();
            let value = text::parse(&ty, text).unwrap();
            match value {
                Value::Float8(number) if number.is_nan() => {}
                value => leads_back(&ty, &value),
            }
        }
    }

    #[test]
    fn bytes_are_postgres() {
        assert_eq!(sent("date", "2000-01-02"), [0, 0, 0, 1]);
        assert_eq!(sent("timestamp", "2000-01-01 00:00:00.000001"), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(sent("vector", "[1,2]"), [0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0x40, 0, 0, 0]);
        assert_eq!(sent("char(3)", "a"), b"a  ");
        assert_eq!(
            sent("int[]", "{5}"),
            [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5]
        );
    }

    #[test]
    fn broken_vectors_are_named() {
        let message = |bytes: &[u8]| receive_vector(bytes, Some(2)).unwrap_err().message().to_owned();
        assert_eq!(message(&[0, 0, 0, 0]), "vector must have at least 1 dimension");
        assert_eq!(message(&[0, 1, 0, 0, 0, 0, 0, 0]), "expected 2 dimensions, not 1");
        assert_eq!(message(&[0, 2, 0, 3]), "expected unused to be 0, not 3");
        assert_eq!(message(&[0, 2, 0, 0, 1]), "insufficient data left in message");
        assert_eq!(message(&[0, 2, 0, 0, 0x7f, 0xc0, 0, 0, 0, 0, 0, 0]), "NaN not allowed in vector");
        assert_eq!(
            utf8(b"a\xff").unwrap_err().message(),
            "invalid byte sequence for encoding \"UTF8\": 0xff"
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), any::<u8>()], 0..48)) {
            for (ty, _) in ENTRIES {
                let _ = receive(ty, &bytes);
                let _ = receive(&Type::Array(Box::new(ty.clone())), &bytes);
            }
        }
    }
}
