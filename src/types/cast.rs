//! Values of one type as values of another: PostgreSQL's casts, their rounding and their errors.
//!
//! [`context`] says whether a cast exists and where it may stand unasked, [`cast`] carries it out. What an assignment
//! refuses and an explicit cast does not is only the length of text: `'abc'::varchar(2)` is `ab`.

use crate::error::{Error, Result, SqlState};
use crate::types::datetime::{self, MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND};
use crate::types::dimensions;
use crate::types::interval::Limits;
use crate::types::look::Look;
use crate::types::record::Named;
use crate::types::vector::{self, Kind};
use crate::types::zone::Zone;
use crate::types::{
    Bits, Interval, Multirange, NetworkType, Numeric, RecordField, Sparsevec, Timetz, Type, Value, bits,
    byte, halfvec, hstore, json, text,
};

/// PostgreSQL's NAMEDATALEN - 1, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// Where a cast may stand without being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Anywhere.
    Implicit,
    /// When a value is stored into a column.
    Assignment,
    /// Nowhere: it must be written.
    Explicit,
}

/// How freely `from` casts to `to`, as pg_cast says; `None` when it does not. Modifiers play no part.
pub fn context(from: &Type, to: &Type) -> Option<Context> {
    use Context::*;
    let (from, to) = (&from.bare(), &to.bare());
    if from == to {
        return Some(Implicit);
    }
    let rank = |ty: &Type| match ty {
        Type::Int2 => Some(0),
        Type::Int4 => Some(1),
        Type::Int8 => Some(2),
        Type::Numeric(_) => Some(3),
        Type::Float4 => Some(4),
        Type::Float8 => Some(5),
        _ => None,
    };
    if let (Some(narrow), Some(wide)) = (rank(from), rank(to)) {
        return Some(if narrow < wide { Implicit } else { Assignment });
    }
    match (from, to) {
        (Type::Array(_), Type::Array(_)) => context(from.element(), to.element()),
        (Type::Record(from), Type::Record(to)) if from.len() == to.len() => Some(Implicit),
        (Type::Record(_), Type::Composite(_)) | (Type::Composite(_), Type::Record(_)) => Some(Implicit),
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Oid) => Some(Implicit),
        (Type::Oid, Type::Int4 | Type::Int8) => Some(Assignment),
        (Type::Int4 | Type::Int8 | Type::Numeric(_), Type::Money) | (Type::Money, Type::Numeric(_)) => {
            Some(Assignment)
        }
        (Type::Int4, Type::Bool) | (Type::Bool, Type::Int4) => Some(Explicit),
        (Type::Int4, Type::Char) | (Type::Char, Type::Int4) => Some(Explicit),
        (Type::Date, Type::Timestamp(_) | Type::Timestamptz(_))
        | (Type::Timestamp(_), Type::Timestamptz(_)) => Some(Implicit),
        (Type::Time(_), Type::Interval(_) | Type::Timetz(_)) => Some(Implicit),
        (Type::Timetz(_), Type::Time(_)) | (Type::Timestamptz(_), Type::Timetz(_)) => Some(Assignment),
        (Type::Timestamp(_) | Type::Timestamptz(_), Type::Date | Type::Time(_)) => Some(Assignment),
        (Type::Timestamptz(_), Type::Timestamp(_)) | (Type::Interval(_), Type::Time(_)) => Some(Assignment),
        (Type::Json, Type::Jsonb) | (Type::Jsonb, Type::Json) => Some(Assignment),
        (Type::Jsonb, to) if to.is_truth_or_number() => Some(Explicit),
        (Type::Vector(_), Type::Array(item)) if **item == Type::Float4 => Some(Implicit),
        (Type::Vector(_), Type::Halfvec(_)) => Some(Implicit),
        (Type::Halfvec(_), Type::Vector(_)) => Some(Assignment),
        (Type::Vector(_) | Type::Halfvec(_), Type::Sparsevec(_)) => Some(Implicit),
        (Type::Sparsevec(_), Type::Vector(_) | Type::Halfvec(_)) => Some(Assignment),
        (Type::Halfvec(_), Type::Array(item)) if **item == Type::Float4 => Some(Assignment),
        (Type::Bit(_), Type::Varbit(_)) | (Type::Varbit(_), Type::Bit(_)) => Some(Implicit),
        (Type::Network(NetworkType::Inet), Type::Network(NetworkType::Cidr)) => Some(Assignment),
        (Type::Network(from), Type::Network(to)) if from.is_ip() == to.is_ip() => Some(Implicit),
        (Type::Range(from), Type::Multirange(to)) if from == to => Some(Explicit),
        (Type::Hstore, Type::Json | Type::Jsonb) => Some(Assignment),
        (Type::Array(item), Type::Hstore) if **item == Type::Text => Some(Explicit),
        (Type::Int4 | Type::Int8, Type::Bit(_)) | (Type::Bit(_), Type::Int4 | Type::Int8) => Some(Explicit),
        (Type::Array(_), Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_)) => match from.element() {
            Type::Int4 | Type::Float4 | Type::Float8 | Type::Numeric(_) => Some(Assignment),
            _ => None,
        },
        (from, to) if from.is_text() && to.is_text() => Some(match to {
            Type::Char | Type::Name | Type::Citext => Assignment,
            Type::Bpchar(_) if *from == Type::Citext => Assignment,
            _ => Implicit,
        }),
        // Everything is written and read through its text.
        (_, to) if to.is_text() => Some(Assignment),
        (from, _) if from.is_text() => Some(Explicit),
        _ => None,
    }
}

/// Whether what the cast makes depends on the session's time zone, or its styles of dates and intervals.
pub fn needs_zone(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Array(from), Type::Array(to)) => needs_zone(from, to),
        (Type::Array(item), to) if to.is_text() => needs_zone(item, to),
        (from, Type::Array(item)) if from.is_text() => needs_zone(from, item),
        (Type::Range(of) | Type::Multirange(of), to) if to.is_text() => needs_zone(&of.element(), to),
        (from, Type::Range(of) | Type::Multirange(of)) if from.is_text() => needs_zone(from, &of.element()),
        (Type::Composite(of), to) if to.is_text() => of.fields.iter().any(|field| needs_zone(&field.ty, to)),
        (from, Type::Composite(of)) if from.is_text() => {
            of.fields.iter().any(|field| needs_zone(from, &field.ty))
        }
        // Their fields may be texts of moments, or the other way around.
        (Type::Record(_) | Type::Composite(_), Type::Composite(_)) => true,
        // Dates, intervals and bytes have styles.
        (Type::Interval(_) | Type::Date | Type::Timestamp(_) | Type::Bytea, to) if to.is_text() => true,
        (from, Type::Interval(_)) => from.is_text(),
        (Type::Timestamptz(_), Type::Timestamptz(_)) => false,
        (Type::Timestamptz(_), to) => {
            to.is_text() || matches!(to, Type::Timestamp(_) | Type::Date | Type::Time(_) | Type::Timetz(_))
        }
        // A zone that is not written is the session's.
        (from, Type::Timetz(_)) => from.is_text() || matches!(from, Type::Time(_)),
        // `today` is another day elsewhere.
        (from, Type::Timestamp(_) | Type::Date | Type::Time(_)) => from.is_text(),
        (from, Type::Timestamptz(_)) => from.is_text() || matches!(from, Type::Timestamp(_) | Type::Date),
        _ => false,
    }
}

/// [`cast_as`] of values that no session's wishes change; where one does, the plain ones.
pub fn cast(value: Value, to: &Type, explicit: bool) -> Result<Value> {
    cast_as(value, to, explicit, Look::PLAIN)
}

/// `value` as a value of `to`. `explicit`: the statement says so, and text that is too long is cut.
pub fn cast_as(value: Value, to: &Type, explicit: bool, look: Look) -> Result<Value> {
    let zone = look.zone;
    Ok(match (value, to) {
        (Value::Null, _) => Value::Null,
        // A number of "char" is that of its byte.
        (Value::Int4(code), Type::Char) => {
            let byte = i8::try_from(code)
                .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))?;
            Value::Text(byte::show(byte as u8))
        }
        (value, to) if to.is_text() => Value::Text(fit_text(as_text(value, look), to, explicit)?),
        (Value::Text(text), to @ (Type::Bit(_) | Type::Varbit(_))) => {
            Value::Bits(bits::parse(&text)?.fit(to, explicit)?)
        }
        (Value::Text(text), to @ Type::Array(_)) if explicit && is_cut(to.element()) => {
            let whole = text::parse_as(&unlimited(to), &text, look)?;
            return cast_as(whole, to, explicit, look);
        }
        // Text of no known type reads as anything.
        (Value::Text(text), to) => return text::parse_as(to, &text, look),
        (value, Type::Bool) => Value::Bool(as_bool(value)?),
        (value, Type::Int2) => Value::Int2(integer(&value, to)?),
        // The same bits.
        (Value::Oid(value), Type::Int4) => Value::Int4(value as i32),
        (value, Type::Int4) => Value::Int4(integer(&value, to)?),
        (value, Type::Int8) => Value::Int8(integer(&value, to)?),
        // The same bits, as in PostgreSQL; a bigint has to be one.
        (Value::Int2(value), Type::Oid) => Value::Oid(i32::from(value) as u32),
        (Value::Int4(value), Type::Oid) => Value::Oid(value as u32),
        (value, Type::Oid) => Value::Oid(integer(&value, to)?),
        (Value::Float4(value), Type::Float4) => Value::Float4(value),
        (value, Type::Float4) => Value::Float4(narrow(float(&value, to)?)?),
        (value, Type::Float8) => Value::Float8(float(&value, to)?),
        (value, Type::Numeric(modifier)) => Value::Numeric(decimal(&value, to)?.fit(*modifier)?),
        (
            value,
            Type::Date
            | Type::Time(_)
            | Type::Timetz(_)
            | Type::Timestamp(_)
            | Type::Timestamptz(_)
            | Type::Interval(_),
        ) => moment(value, to, zone)?,
        (Value::Json(text), Type::Json) => Value::Json(text),
        (Value::Jsonb(text), Type::Json) => Value::Json(text),
        (Value::Json(text), Type::Jsonb) => Value::Jsonb(json::normalise(&text)?),
        (Value::Jsonb(text), Type::Jsonb) => Value::Jsonb(text),
        (Value::Bytea(bytes), Type::Bytea) => Value::Bytea(bytes),
        (Value::Uuid(bytes), Type::Uuid) => Value::Uuid(bytes),
        (Value::Money(cents), Type::Money) => Value::Money(cents),
        (value @ (Value::Int4(_) | Value::Int8(_) | Value::Numeric(_)), Type::Money) => {
            let cents = decimal(&value, to)?.times(&Numeric::from_integer(100))?;
            Value::Money(integer(&Value::Numeric(cents), &Type::Int8)?)
        }
        (Value::Tid(place), Type::Tid) => Value::Tid(place),
        (Value::TsVector(vector), Type::TsVector) => Value::TsVector(vector),
        (Value::TsQuery(query), Type::TsQuery) => Value::TsQuery(query),
        (Value::Network(network), Type::Network(of)) => {
            Value::Network(network.cast(*of).ok_or_else(|| impossible(&Value::Network(network), to))??)
        }
        (Value::Hstore(hstore), Type::Hstore) => Value::Hstore(hstore),
        (Value::Hstore(hstore), Type::Json) => Value::Json(hstore.to_json(false)),
        (Value::Hstore(hstore), Type::Jsonb) => Value::Jsonb(json::normalise(&hstore.to_json(false))?),
        (Value::Array(items), Type::Hstore) => Value::Hstore(hstore::of_array(&items)?),
        (Value::Range(range), Type::Range(of)) if range.of() == of => Value::Range(range),
        (Value::Range(range), Type::Multirange(of)) if range.of() == of => {
            Value::Multirange(Multirange::new(of.clone(), vec![range]))
        }
        (Value::Multirange(set), Type::Multirange(of)) if set.of() == of => Value::Multirange(set),
        (Value::Enum(value), Type::Enum(of)) if value.of == *of => Value::Enum(value),
        (Value::Record(fields), Type::Record(types)) if fields.len() == types.len() => Value::Record(fields),
        (Value::Record(fields), Type::Composite(of)) => {
            of.of_record(fields, |value, ty| cast_as(value, ty, explicit, look))?
        }
        (Value::Vector(values), Type::Vector(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Vector(values)
        }
        (Value::Halfvec(values), Type::Vector(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Vector(halfvec::to_vector(&values))
        }
        (Value::Vector(values), Type::Halfvec(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Halfvec(halfvec::from_vector(&values)?)
        }
        (Value::Halfvec(values), Type::Halfvec(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Halfvec(values)
        }
        (Value::Sparsevec(vector), Type::Sparsevec(dimensions)) => {
            vector::check_expected(*dimensions, vector.dimensions() as usize)?;
            Value::Sparsevec(vector)
        }
        (Value::Sparsevec(vector), Type::Vector(dimensions)) => {
            let values = vector.to_dense(Kind::Vector)?;
            vector::check_expected(*dimensions, values.len())?;
            Value::Vector(values)
        }
        (Value::Sparsevec(vector), Type::Halfvec(dimensions)) => {
            let values = vector.to_dense(Kind::Halfvec)?;
            vector::check_expected(*dimensions, values.len())?;
            Value::Halfvec(halfvec::from_vector(&values)?)
        }
        (Value::Vector(values), Type::Sparsevec(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Sparsevec(Sparsevec::of_dense(&values)?)
        }
        (Value::Halfvec(values), Type::Sparsevec(dimensions)) => {
            vector::check_expected(*dimensions, values.len())?;
            Value::Sparsevec(Sparsevec::of_dense(&halfvec::to_vector(&values))?)
        }
        (Value::Array(items), Type::Sparsevec(dimensions)) => {
            Value::Sparsevec(Sparsevec::of_dense(&array_to_vector(&items, *dimensions, Kind::Sparsevec)?)?)
        }
        (Value::Array(items), Type::Vector(dimensions)) => {
            Value::Vector(array_to_vector(&items, *dimensions, Kind::Vector)?)
        }
        (Value::Array(items), Type::Halfvec(dimensions)) => {
            let values = array_to_vector(&items, *dimensions, Kind::Halfvec)?;
            Value::Halfvec(halfvec::from_vector(&values)?)
        }
        (Value::Halfvec(values), Type::Array(item)) if **item == Type::Float4 => {
            Value::Array(values.iter().map(|value| Value::Float4(value.to_f32())).collect())
        }
        (Value::Bits(value), Type::Bit(_) | Type::Varbit(_)) => Value::Bits(value.fit(to, explicit)?),
        (Value::Int4(number), Type::Bit(length)) => {
            Value::Bits(Bits::of_integer(i64::from(number), length.unwrap_or(1)))
        }
        (Value::Int8(number), Type::Bit(length)) => {
            Value::Bits(Bits::of_integer(number, length.unwrap_or(1)))
        }
        (Value::Vector(values), Type::Array(item)) if **item == Type::Float4 => {
            Value::Array(values.into_iter().map(Value::Float4).collect())
        }
        (Value::Array(items), Type::Array(_)) => {
            let shape = dimensions::shape(&items);
            let cast = |value| cast_as(value, to.element(), explicit, look);
            let items = dimensions::into_flat(items).into_iter().map(cast);
            dimensions::shaped(items.collect::<Result<_>>()?, &shape, to)?
        }
        (value, to) => return Err(impossible(&value, to)),
    })
}

/// Text as a column of `ty` holds it: cut or refused when longer than its modifier. Blank padding of `character(n)`
/// means nothing and is not kept: [`pad`] puts it back when a value is shown.
pub fn fit_text(mut text: String, ty: &Type, explicit: bool) -> Result<String> {
    match ty {
        Type::Varchar(Some(max)) => cut(&mut text, *max, explicit, ty)?,
        Type::Bpchar(max) => {
            text.truncate(text.trim_end_matches(' ').len());
            if let Some(max) = max {
                cut(&mut text, *max, explicit, ty)?;
                text.truncate(text.trim_end_matches(' ').len());
            }
        }
        Type::Name => text.truncate(text.floor_char_boundary(NAME_BYTES_MAX)),
        Type::Char => text = byte::show(byte::read(&text)),
        _ => {}
    }
    Ok(text)
}

fn cut(text: &mut String, max: u32, explicit: bool, ty: &Type) -> Result<()> {
    let Some((end, _)) = text.char_indices().nth(max as usize) else { return Ok(()) };
    // Blanks beyond the length are dropped without a word, as the standard wants.
    if !explicit && text[end..].bytes().any(|b| b != b' ') {
        let message = format!("value too long for type {ty}");
        return Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message));
    }
    text.truncate(end);
    Ok(())
}

/// Fills what was printed from `start` on with blanks up to `characters`, as `character(n)` is shown.
pub fn pad(start: usize, characters: u32, out: &mut Vec<u8>) {
    // Bytes that do not continue a character begin one.
    let shown = out[start..].iter().filter(|&&b| b & 0xC0 != 0x80).count();
    out.extend(std::iter::repeat_n(b' ', (characters as usize).saturating_sub(shown)));
}

/// The value as it is shown: texts in `character(n)` have their blanks, also those in arrays and rows.
pub fn filled(value: Value, ty: &Type) -> Value {
    match (value, ty) {
        (Value::Text(text), Type::Bpchar(Some(characters))) => {
            let mut bytes = text.into_bytes();
            pad(0, *characters, &mut bytes);
            Value::Text(String::from_utf8(bytes).expect("blanks behind a text make a text"))
        }
        (Value::Array(items), Type::Array(_)) => {
            let filled = |item| match item {
                Value::Array(_) => filled(item, ty),
                item => filled(item, ty.element()),
            };
            Value::Array(items.into_iter().map(filled).collect())
        }
        (Value::Record(fields), Type::Composite(of)) => {
            filled_fields(fields, of.fields.iter().map(|field| &field.ty))
        }
        (Value::Record(fields), Type::Record(of)) => filled_fields(fields, of.iter().map(|field| &field.ty)),
        (value, _) => value,
    }
}

fn filled_fields<'a>(fields: Vec<Named>, types: impl Iterator<Item = &'a Type>) -> Value {
    let types = types.map(Some).chain(std::iter::repeat(None));
    let filled = |((name, value), ty): (Named, Option<&Type>)| match ty {
        Some(ty) => (name, filled(value, ty)),
        None => (name, value),
    };
    Value::Record(fields.into_iter().zip(types).map(filled).collect())
}

/// Whether [`filled`] may change a value.
pub fn has_blanks(ty: &Type) -> bool {
    match ty {
        Type::Bpchar(length) => length.is_some(),
        Type::Array(_) => has_blanks(ty.element()),
        Type::Composite(of) => of.fields.iter().any(|field| has_blanks(&field.ty)),
        Type::Record(of) => of.iter().any(|field| has_blanks(&field.ty)),
        _ => false,
    }
}

/// Whether an explicit cast to the type cuts what an assignment refuses.
fn is_cut(ty: &Type) -> bool {
    matches!(ty, Type::Varchar(Some(_)) | Type::Bpchar(Some(_)) | Type::Bit(_) | Type::Varbit(Some(_)))
}

/// An array type whose elements are of any length.
fn unlimited(ty: &Type) -> Type {
    match ty {
        Type::Array(item) => Type::Array(Box::new(unlimited(item))),
        Type::Varchar(_) => Type::Varchar(None),
        Type::Bpchar(_) => Type::Bpchar(None),
        Type::Bit(_) | Type::Varbit(_) => Type::Varbit(None),
        ty => ty.clone(),
    }
}

/// The type a value has by itself.
pub fn type_of(value: &Value) -> Type {
    match value {
        Value::Null | Value::Text(_) => Type::Text,
        Value::Bool(_) => Type::Bool,
        Value::Int2(_) => Type::Int2,
        Value::Int4(_) => Type::Int4,
        Value::Int8(_) => Type::Int8,
        Value::Float4(_) => Type::Float4,
        Value::Float8(_) => Type::Float8,
        Value::Numeric(_) => Type::Numeric(None),
        Value::Bytea(_) => Type::Bytea,
        Value::Date(_) => Type::Date,
        Value::Time(_) => Type::Time(None),
        Value::Timetz(_) => Type::Timetz(None),
        Value::Timestamp(_) => Type::Timestamp(None),
        Value::Timestamptz(_) => Type::Timestamptz(None),
        Value::Interval(_) => Type::Interval(None),
        Value::Uuid(_) => Type::Uuid,
        Value::Money(_) => Type::Money,
        Value::Tid(_) => Type::Tid,
        Value::Json(_) => Type::Json,
        Value::Jsonb(_) => Type::Jsonb,
        Value::Vector(_) => Type::Vector(None),
        Value::Halfvec(_) => Type::Halfvec(None),
        Value::Sparsevec(_) => Type::Sparsevec(None),
        Value::Bits(_) => Type::Bit(None),
        Value::TsVector(_) => Type::TsVector,
        Value::TsQuery(_) => Type::TsQuery,
        Value::Range(range) => Type::Range(range.of().clone()),
        Value::Multirange(set) => Type::Multirange(set.of().clone()),
        Value::Network(network) => Type::Network(network.of()),
        Value::Hstore(_) => Type::Hstore,
        Value::Array(items) => {
            let item = items.iter().find(|item| **item != Value::Null);
            Type::Array(Box::new(item.map_or(Type::Text, type_of)))
        }
        Value::Enum(value) => Type::Enum(value.of.clone()),
        Value::Record(fields) => Type::Record(
            fields
                .iter()
                .map(|(name, value)| RecordField { name: name.to_string(), ty: type_of(value) })
                .collect(),
        ),
        Value::Oid(_) => Type::Oid,
    }
}

fn impossible(value: &Value, to: &Type) -> Error {
    let message = format!("cannot cast type {} to {}", type_of(value), to.bare());
    Error::new(SqlState::CANNOT_COERCE, message)
}

fn out_of_range(to: &Type) -> Error {
    let name = if *to == Type::Oid { "OID".to_owned() } else { to.to_string() };
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

fn as_text(value: Value, look: Look) -> String {
    match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text,
        // The cast says true where the output function says t.
        Value::Bool(value) => value.to_string(),
        // With its bits, which the output function leaves out where they are all.
        Value::Network(network) => super::network::cast_text(network),
        other => text::to_string_as(&other, look),
    }
}

fn as_bool(value: Value) -> Result<bool> {
    match value {
        Value::Bool(value) => Ok(value),
        Value::Int4(value) => Ok(value != 0),
        Value::Jsonb(text) if text == "true" => Ok(true),
        Value::Jsonb(text) if text == "false" => Ok(false),
        Value::Jsonb(text) => Err(jsonb_mismatch(&text, &Type::Bool)),
        other => Err(impossible(&other, &Type::Bool)),
    }
}

fn integer<T: TryFrom<i64>>(value: &Value, to: &Type) -> Result<T> {
    let wide = match value {
        Value::Int2(value) => i64::from(*value),
        Value::Int4(value) => i64::from(*value),
        Value::Int8(value) => *value,
        Value::Oid(value) => i64::from(*value),
        Value::Float4(value) => whole(f64::from(*value), to)?,
        Value::Float8(value) => whole(*value, to)?,
        Value::Numeric(number) => number
            .to_i64()
            .ok_or_else(|| number.no_integer(&to.to_string()).unwrap_or_else(|| out_of_range(to)))?,
        Value::Bool(value) if *to == Type::Int4 => i64::from(*value),
        Value::Jsonb(text) => jsonb_number(text, to)?.to_i64().ok_or_else(|| out_of_range(to))?,
        Value::Bits(bits) if matches!(to, Type::Int4 | Type::Int8) => {
            let width = if *to == Type::Int4 { 32 } else { 64 };
            bits.to_integer(width).ok_or_else(|| out_of_range(to))?
        }
        other => return Err(impossible(other, to)),
    };
    T::try_from(wide).map_err(|_| out_of_range(to))
}

/// Floats round half to even.
fn whole(value: f64, to: &Type) -> Result<i64> {
    let rounded = value.round_ties_even();
    // 2^63 is a float, 2^63 - 1 is not.
    match rounded >= i64::MIN as f64 && rounded < i64::MAX as f64 {
        true => Ok(rounded as i64),
        false => Err(out_of_range(to)),
    }
}

fn float(value: &Value, to: &Type) -> Result<f64> {
    Ok(match value {
        Value::Int2(value) => f64::from(*value),
        Value::Int4(value) => f64::from(*value),
        Value::Int8(value) => *value as f64,
        Value::Float4(value) => f64::from(*value),
        Value::Float8(value) => *value,
        Value::Numeric(number) => number.to_f64(),
        Value::Jsonb(text) => jsonb_number(text, to)?.to_f64(),
        other => return Err(impossible(other, to)),
    })
}

fn narrow(value: f64) -> Result<f32> {
    let narrow = value as f32;
    let left = match () {
        _ if narrow.is_infinite() && value.is_finite() => "overflow",
        _ if narrow == 0.0 && value != 0.0 => "underflow",
        _ => return Ok(narrow),
    };
    Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {left}")))
}

fn decimal(value: &Value, to: &Type) -> Result<Numeric> {
    match value {
        Value::Numeric(number) => Ok(number.clone()),
        Value::Int2(value) => Ok(Numeric::from_integer(i64::from(*value))),
        Value::Int4(value) => Ok(Numeric::from_integer(i64::from(*value))),
        Value::Int8(value) => Ok(Numeric::from_integer(*value)),
        Value::Float4(value) => Numeric::from_float(f64::from(*value), 6),
        Value::Float8(value) => Numeric::from_float(*value, 15),
        Value::Money(cents) => Ok(Numeric::new(i128::from(*cents), 2)),
        Value::Jsonb(text) => jsonb_number(text, to),
        other => Err(impossible(other, to)),
    }
}

fn jsonb_number(text: &str, to: &Type) -> Result<Numeric> {
    super::numeric::parse(text).map_err(|_| jsonb_mismatch(text, to))
}

fn jsonb_mismatch(text: &str, to: &Type) -> Error {
    let kind = match text.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "numeric",
    };
    Error::new(SqlState("22023"), format!("cannot cast jsonb {kind} to type {to}"))
}

/// Dates, times and intervals among each other.
fn moment(value: Value, to: &Type, zone: Zone) -> Result<Value> {
    // What clocks show, where a timestamp has to become something without a zone.
    let value = match (value, to) {
        (Value::Timestamptz(at), Type::Timestamp(_) | Type::Date | Type::Time(_)) => {
            Value::Timestamp(zone.to_local(at))
        }
        (value, _) => value,
    };
    let midnight = |days: i32| match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        _ => i64::from(days)
            .checked_mul(MICROSECONDS_PER_DAY)
            .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    };
    let made = match (value, to) {
        (Value::Date(days), Type::Date) => Value::Date(days),
        (Value::Date(days), Type::Timestamp(_)) => Value::Timestamp(midnight(days)?),
        (Value::Date(days), Type::Timestamptz(_)) => Value::Timestamptz(zone.to_utc(midnight(days)?)),
        (Value::Time(time), Type::Time(_)) => Value::Time(time),
        (Value::Time(time), Type::Timetz(_)) => Value::Timetz(Timetz::today(time, zone)),
        (Value::Timetz(time), Type::Timetz(_)) => Value::Timetz(time),
        (Value::Timetz(time), Type::Time(_)) => Value::Time(time.microseconds),
        (Value::Timestamptz(at), Type::Timetz(_)) => Timetz::at(at, zone).into(),
        (Value::Time(microseconds), Type::Interval(_)) => {
            Value::Interval(Interval { months: 0, days: 0, microseconds })
        }
        (Value::Timestamp(at), Type::Timestamp(_)) => Value::Timestamp(at),
        (Value::Timestamptz(at), Type::Timestamptz(_)) => Value::Timestamptz(at),
        (Value::Timestamp(at), Type::Timestamptz(_)) => Value::Timestamptz(zone.to_utc(at)),
        (Value::Timestamp(at), Type::Date) => Value::Date(match at {
            i64::MAX => i32::MAX,
            i64::MIN => i32::MIN,
            _ => at.div_euclid(MICROSECONDS_PER_DAY) as i32,
        }),
        (Value::Timestamp(at), Type::Time(_)) => match at {
            i64::MAX | i64::MIN => Value::Null,
            _ => Value::Time(at.rem_euclid(MICROSECONDS_PER_DAY)),
        },
        (Value::Interval(interval), Type::Interval(_)) => Value::Interval(interval),
        (Value::Interval(interval), Type::Time(_)) if !interval.is_finite() => {
            let message = "cannot convert infinite interval to time";
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
        }
        (Value::Interval(interval), Type::Time(_)) => {
            Value::Time(interval.microseconds.rem_euclid(86_400 * MICROSECONDS_PER_SECOND))
        }
        (value, to) => return Err(impossible(&value, to)),
    };
    Ok(match (made, to) {
        (Value::Time(at), Type::Time(digits)) => Value::Time(datetime::rounded_time(at, *digits)),
        (Value::Timetz(time), Type::Timetz(digits)) => Value::Timetz(time.rounded(*digits)),
        (Value::Timestamp(at), Type::Timestamp(digits)) => Value::Timestamp(datetime::rounded(at, *digits)),
        (Value::Timestamptz(at), Type::Timestamptz(digits)) => {
            Value::Timestamptz(datetime::rounded(at, *digits))
        }
        (Value::Interval(made), Type::Interval(limits)) => Value::Interval(Limits::fit(*limits, made)),
        (made, _) => made,
    })
}

/// pgvector's array_to_vector and its like: all elements, checked.
fn array_to_vector(items: &[Value], dimensions: Option<impl Into<u32>>, kind: Kind) -> Result<Vec<f32>> {
    if items.iter().any(|item| matches!(item, Value::Array(_))) {
        return Err(Error::new(SqlState::DATA_EXCEPTION, "array must be 1-D"));
    }
    if items.contains(&Value::Null) {
        return Err(Error::new(SqlState("22004"), "array must not contain nulls"));
    }
    kind.check_dimensions(items.len())?;
    vector::check_expected(dimensions, items.len())?;
    let element = |item: &Value| {
        let value = match item {
            // Text reads as a float, so that '{1,2}' becomes a vector too.
            Value::Text(text) => super::float::parse_f64(text)?,
            other => float(other, &Type::Float4)?,
        };
        kind.check_element(value as f32).map(|()| value as f32)
    };
    items.iter().map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(name: &str) -> Type {
        Type::from_name(name).unwrap()
    }

    fn becomes(from: &str, text: &str, to: &str) -> std::result::Result<String, String> {
        let value = text::parse(&ty(from), text).unwrap();
        assert!(context(&ty(from), &ty(to)).is_some(), "{from} to {to}");
        let result = cast(value, &ty(to), true);
        result.map(|value| text::to_string(&value)).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn values_change_as_in_postgres() {
        for (from, text, to, expected) in [
            ("float8", "2.5", "int", "2"),
            ("float8", "3.5", "int", "4"),
            ("numeric", "2.5", "int", "3"),
            ("int", "7", "numeric(5,2)", "7.00"),
            ("float8", "0.1", "numeric", "0.1"),
            ("float4", "0.1", "float8", "0.10000000149011612"),
            ("bool", "t", "text", "true"),
            ("int", "1", "bool", "t"),
            ("text", "12", "int", "12"),
            ("text", "abc", "varchar(2)", "ab"),
            ("date", "2024-02-29", "timestamp", "2024-02-29 00:00:00"),
            ("timestamptz", "2024-02-29 12:00:00+02", "date", "2024-02-29"),
            ("timestamp", "2024-02-29 12:34:56", "time", "12:34:56"),
            ("json", "{\"b\":1,\"a\":2}", "jsonb", "{\"a\": 2, \"b\": 1}"),
            ("jsonb", "1.5", "numeric", "1.5"),
            ("int[]", "{1,2,3}", "vector(3)", "[1,2,3]"),
            ("vector", "[1,2.5]", "real[]", "{1,2.5}"),
            ("vector", "[1,0.1]", "halfvec(2)", "[1,0.099975586]"),
            ("halfvec", "[1,0.1]", "vector", "[1,0.099975586]"),
            ("halfvec", "[1,2.5]", "real[]", "{1,2.5}"),
            ("numeric[]", "{1,2.5}", "halfvec", "[1,2.5]"),
            ("vector", "[0,1.5]", "sparsevec(2)", "{2:1.5}/2"),
            ("halfvec", "[0,1.5]", "sparsevec", "{2:1.5}/2"),
            ("sparsevec", "{2:1.5}/3", "vector(3)", "[0,1.5,0]"),
            ("sparsevec", "{2:1.5}/3", "halfvec", "[0,1.5,0]"),
            ("int[]", "{1,0,2}", "sparsevec", "{1:1,3:2}/3"),
            ("double precision[]", "{1e-300}", "sparsevec", "{}/1"),
            ("bit(3)", "101", "bit(5)", "10100"),
            ("bit(3)", "101", "bit varying(2)", "10"),
            ("bit(3)", "101", "int", "5"),
            ("int", "5", "bit(4)", "0101"),
            ("bigint", "-1", "bit(3)", "111"),
            ("text", "x1F", "bit(4)", "0001"),
            ("int[]", "{1,NULL}", "text[]", "{1,NULL}"),
            ("oid", "5", "bigint", "5"),
        ] {
            assert_eq!(becomes(from, text, to).as_deref(), Ok(expected), "{from} {text} to {to}");
        }
    }

    #[test]
    fn refusals() {
        assert_eq!(becomes("bigint", "3000000000", "int"), Err("integer out of range".into()));
        assert_eq!(becomes("float8", "1e30", "bigint"), Err("bigint out of range".into()));
        assert_eq!(becomes("float8", "NaN", "int"), Err("integer out of range".into()));
        assert_eq!(becomes("float8", "1e300", "real"), Err("value out of range: overflow".into()));
        assert_eq!(becomes("int[]", "{1,NULL}", "vector"), Err("array must not contain nulls".into()));
        assert_eq!(becomes("real[]", "{NaN}", "vector"), Err("NaN not allowed in vector".into()));
        assert_eq!(becomes("int[]", "{1}", "vector(2)"), Err("expected 2 dimensions, not 1".into()));
        let long = "vector cannot have more than 16000 dimensions";
        assert_eq!(becomes("sparsevec", "{2:1}/16001", "vector"), Err(long.into()));
        assert_eq!(becomes("sparsevec", "{}/3", "sparsevec(2)"), Err("expected 2 dimensions, not 3".into()));
        let too_large = "\"70000\" is out of range for type halfvec";
        assert_eq!(becomes("vector", "[70000]", "halfvec"), Err(too_large.into()));
        assert_eq!(becomes("real[]", "{70000}", "halfvec"), Err(too_large.into()));
        assert_eq!(
            cast(Value::Bool(true), &Type::Date, true).unwrap_err().message(),
            "cannot cast type boolean to date"
        );
        let long = fit_text("abc".into(), &ty("varchar(2)"), false).unwrap_err();
        assert_eq!(long.message(), "value too long for type character varying(2)");
        assert_eq!(fit_text("ab   ".into(), &ty("varchar(2)"), false).unwrap(), "ab");
    }

    #[test]
    fn contexts() {
        assert_eq!(context(&Type::Int4, &Type::Int8), Some(Context::Implicit));
        assert_eq!(context(&Type::Int8, &Type::Int4), Some(Context::Assignment));
        assert_eq!(context(&Type::Text, &Type::Int4), Some(Context::Explicit));
        assert_eq!(context(&Type::Int4, &Type::Text), Some(Context::Assignment));
        assert_eq!(context(&Type::Bool, &Type::Date), None);
        assert_eq!(context(&ty("varchar(3)"), &ty("varchar(5)")), Some(Context::Implicit));
    }

    #[test]
    fn padding_counts_characters() {
        let mut out = b"x\xc3\xa9".to_vec();
        pad(1, 3, &mut out);
        assert_eq!(out, b"x\xc3\xa9  ");
    }
}
