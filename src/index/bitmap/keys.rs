//! SQL values as unsigned integers of the same order.
//!
//! Integers flip their sign bit; floats flip all bits when negative and the sign bit when not, with one NaN,
//! greater than everything, and one zero (as PostgreSQL compares); uuids are big-endian numbers; decimals are counted in
//! units of their column's last digit.

use std::borrow::Cow;

use crate::types::numeric::{SMALL_DIGITS, Special, is_narrow};
use crate::types::{Numeric, Timetz, Type, Value, citext, numeric};

/// Types whose values compare with each other and share their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    /// With this many digits after the point.
    Numeric(u8),
    Uuid,
    Oid,
    Text,
    /// Trailing blanks do not count.
    Bpchar,
    /// By the numbers of labels.
    Enum,
    /// By two keys each, see `spans.rs`; those of `numrange` would not fit.
    Range,
    /// Texts in lower case.
    Citext,
    /// By the bytes that rows hold.
    Timetz,
    Money,
}

/// The number of `numeric` without digits after the point; those with come behind it.
const NUMERIC: u8 = 64;

/// All of them; the place of each is its number in files.
const FAMILIES: [Family; 19] = [
    Family::Bool,
    Family::Int2,
    Family::Int4,
    Family::Int8,
    Family::Float4,
    Family::Float8,
    Family::Date,
    Family::Time,
    Family::Timestamp,
    Family::Timestamptz,
    Family::Uuid,
    Family::Oid,
    Family::Text,
    Family::Bpchar,
    Family::Enum,
    Family::Range,
    Family::Citext,
    Family::Timetz,
    Family::Money,
];

/// An array's element.
pub trait Key: Copy + Ord + Default + Send + Sync + 'static {
    const MAX: Self;
    /// What one takes, little-endian.
    type Bytes: Copy + Send + Sync;
    /// The low part of a wide key that is known to fit.
    fn narrow(key: u128) -> Self;
    fn widen(self) -> u128;
    /// `self - low`, wrapping.
    fn above(self, low: Self) -> Self;
    /// `self + other`, wrapping.
    fn plus(self, other: Self) -> Self;
    fn of(bytes: &Self::Bytes) -> Self;
    fn bytes(self) -> Self::Bytes;
    /// As many keys as there are bytes for.
    fn all(bytes: &[u8]) -> &[Self::Bytes];
    fn all_mut(bytes: &mut [u8]) -> &mut [Self::Bytes];
}

macro_rules! key {
    ($($integer:ty),*) => {
        $(impl Key for $integer {
            const MAX: $integer = <$integer>::MAX;
            type Bytes = [u8; size_of::<$integer>()];
            #[inline]
            fn narrow(key: u128) -> $integer {
                key as $integer
            }
            #[inline]
            fn widen(self) -> u128 {
                self as u128
            }
            #[inline]
            fn above(self, low: $integer) -> $integer {
                self.wrapping_sub(low)
            }
            #[inline]
            fn plus(self, other: $integer) -> $integer {
                self.wrapping_add(other)
            }
            #[inline]
            fn of(bytes: &Self::Bytes) -> $integer {
                <$integer>::from_le_bytes(*bytes)
            }
            #[inline]
            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            #[inline]
            fn all(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }
            #[inline]
            fn all_mut(bytes: &mut [u8]) -> &mut [Self::Bytes] {
                bytes.as_chunks_mut().0
            }
        })*
    };
}

key!(u8, u16, u32, u64, u128);

impl Family {
    pub fn of(ty: &Type) -> Option<Family> {
        Some(match ty {
            Type::Bool => Family::Bool,
            Type::Int2 => Family::Int2,
            Type::Int4 => Family::Int4,
            Type::Int8 => Family::Int8,
            Type::Float4 => Family::Float4,
            Type::Float8 => Family::Float8,
            Type::Date => Family::Date,
            Type::Time(_) => Family::Time,
            Type::Timetz(_) => Family::Timetz,
            Type::Money => Family::Money,
            Type::Timestamp(_) => Family::Timestamp,
            Type::Timestamptz(_) => Family::Timestamptz,
            Type::Numeric(modifier) => Family::Numeric(digits_kept(*modifier)),
            Type::Enum(_) => Family::Enum,
            Type::Uuid => Family::Uuid,
            Type::Oid => Family::Oid,
            Type::Text | Type::Varchar(_) | Type::Name => Family::Text,
            Type::Bpchar(_) => Family::Bpchar,
            Type::Citext => Family::Citext,
            Type::Range(of) if of.has_numbers() => Family::Range,
            Type::Range(_)
            | Type::Multirange(_)
            | Type::Network(_)
            | Type::Hstore
            | Type::Bytea
            | Type::Interval(_)
            | Type::Tid
            | Type::Json
            | Type::Jsonb
            | Type::JsonPath
            | Type::Record(_)
            | Type::Void
            | Type::Polymorphic(_)
            | Type::Composite(_)
            | Type::Int2Vector
            | Type::OidVector
            | Type::Vector(_)
            | Type::Halfvec(_)
            | Type::Sparsevec(_)
            | Type::Bit(_)
            | Type::Varbit(_)
            | Type::TsVector
            | Type::TsQuery
            | Type::Array(_)
            | Type::Char => return None,
        })
    }

    pub fn number(self) -> u8 {
        if let Family::Numeric(scale) = self {
            return NUMERIC + scale;
        }
        FAMILIES.iter().position(|family| *family == self).expect("all are listed") as u8
    }

    pub fn numbered(number: u8) -> Option<Family> {
        if let Some(scale) = number.checked_sub(NUMERIC) {
            return (scale <= SMALL_DIGITS).then_some(Family::Numeric(scale));
        }
        FAMILIES.get(usize::from(number)).copied()
    }

    /// Bytes of a key; `None` for text and ranges.
    pub fn key_bytes(self) -> Option<usize> {
        Some(match self {
            Family::Bool | Family::Int2 => 2,
            Family::Int4 | Family::Float4 | Family::Date | Family::Oid => 4,
            Family::Int8 | Family::Float8 | Family::Time | Family::Timestamp | Family::Timestamptz => 8,
            Family::Enum | Family::Money => 8,
            Family::Numeric(_) | Family::Uuid | Family::Timetz => 16,
            Family::Text | Family::Bpchar | Family::Citext | Family::Range => return None,
        })
    }

    /// The key of a value that a column of this family can hold; `None` for others, NULL among them.
    pub fn key(self, value: &Value) -> Option<u128> {
        Some(match (self, value) {
            (Family::Bool, Value::Bool(value)) => u128::from(*value),
            (Family::Int2 | Family::Int4 | Family::Int8 | Family::Numeric(_), Value::Numeric(value)) => {
                self.floor_key(value).filter(|(_, is_below)| !is_below)?.0
            }
            (Family::Int2 | Family::Int4 | Family::Int8, _) => self.integer_key(integer(value)?)?,
            (Family::Float4, Value::Float4(value)) => float4(*value),
            (Family::Float4, Value::Float8(value)) => {
                let single = *value as f32;
                // Only what a real column can hold compares the same as it would as double precision.
                let exact = f64::from(single) == *value || value.is_nan();
                exact.then(|| float4(single))?
            }
            (Family::Float8, Value::Float8(value)) => float8(*value),
            (Family::Float8, Value::Float4(value)) => float8(f64::from(*value)),
            (Family::Date, Value::Date(days)) => u128::from(*days as u32 ^ 1 << 31),
            (Family::Money, Value::Money(time))
            | (Family::Time, Value::Time(time))
            | (Family::Timestamp, Value::Timestamp(time))
            | (Family::Timestamptz, Value::Timestamptz(time)) => u128::from(*time as u64 ^ 1 << 63),
            (Family::Enum, Value::Enum(value)) => u128::from(value.order as u64 ^ 1 << 63),
            (Family::Uuid, Value::Uuid(bytes)) => u128::from_be_bytes(*bytes),
            (Family::Timetz, Value::Timetz(time)) => wide(time.to_bytes()),
            (Family::Oid, Value::Oid(oid)) => u128::from(*oid),
            _ => return None,
        })
    }

    /// The value that has this key; `None` where values that are shown in different ways share it.
    pub fn value(self, key: u128) -> Option<Value> {
        Some(match self {
            Family::Bool => Value::Bool(key != 0),
            Family::Int2 => Value::Int2((key as u16 ^ 1 << 15) as i16),
            Family::Int4 => Value::Int4((key as u32 ^ 1 << 31) as i32),
            Family::Int8 => Value::Int8((key as u64 ^ 1 << 63) as i64),
            Family::Date => Value::Date((key as u32 ^ 1 << 31) as i32),
            Family::Money => Value::Money((key as u64 ^ 1 << 63) as i64),
            Family::Time => Value::Time((key as u64 ^ 1 << 63) as i64),
            Family::Timestamp => Value::Timestamp((key as u64 ^ 1 << 63) as i64),
            Family::Timestamptz => Value::Timestamptz((key as u64 ^ 1 << 63) as i64),
            Family::Numeric(scale) => Value::Numeric(Numeric::new((key ^ 1 << 127) as i128, scale)),
            Family::Uuid => Value::Uuid(key.to_be_bytes()),
            Family::Timetz => Value::Timetz(Timetz::from_bytes(&key.to_be_bytes()[4..])?),
            Family::Oid => Value::Oid(key as u32),
            // Zeros have one key, and so have all NaN.
            Family::Float4 | Family::Float8 => return None,
            Family::Text | Family::Bpchar | Family::Citext | Family::Enum | Family::Range => return None,
        })
    }

    /// The text of a value of a text family that is looked for: a citext is in lower case by then.
    pub fn text(self, value: &Value) -> Option<&str> {
        match (self, value) {
            (Family::Text | Family::Citext, Value::Text(text)) => Some(text),
            (Family::Bpchar, Value::Text(text)) => Some(text.trim_end_matches(' ')),
            _ => None,
        }
    }

    /// The text under which a value of a text family is kept.
    pub fn kept_text(self, value: &Value) -> Option<Cow<'_, str>> {
        match (self, value) {
            (Family::Citext, Value::Text(text)) => Some(Cow::Owned(citext::key(text))),
            (family, value) => family.text(value).map(Cow::Borrowed),
        }
    }

    /// The key of an integer of the column's range.
    pub fn integer_key(self, value: i64) -> Option<u128> {
        match self {
            Family::Int2 => i16::try_from(value).ok().map(|value| u128::from(value as u16 ^ 1 << 15)),
            Family::Int4 => i32::try_from(value).ok().map(|value| u128::from(value as u32 ^ 1 << 31)),
            Family::Int8 => Some(u128::from(value as u64 ^ 1 << 63)),
            _ => None,
        }
    }

    /// The greatest key that is not above a number, and whether it is below it; `None` where keys do not reach so far.
    pub fn floor_key(self, number: &Numeric) -> Option<(u128, bool)> {
        match self {
            Family::Numeric(scale) => match number.as_special() {
                None => units(number, scale)
                    .map(|(units, rest)| (units as u128 ^ 1 << 127, rest != 0))
                    .filter(|(key, _)| (NEGATIVE_INFINITY + 1..INFINITY).contains(key)),
                Some(Special::NegativeInfinity) => Some((NEGATIVE_INFINITY, false)),
                Some(Special::Infinity) => Some((INFINITY, false)),
                Some(Special::NaN) => Some((INFINITY + 1, false)),
            },
            _ => {
                let (whole, rest) = units(number, 0)?;
                Some((self.integer_key(i64::try_from(whole).ok()?)?, rest != 0))
            }
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Family::Int2 | Family::Int4 | Family::Int8)
    }

    /// Greatest key of the family's width.
    pub fn key_max(self) -> u128 {
        match self.key_bytes() {
            Some(bytes) if bytes < 16 => (1 << (8 * bytes)) - 1,
            _ => u128::MAX,
        }
    }
}

/// Keys of decimals that are no numbers; NaN has the one behind infinity.
pub const INFINITY: u128 = u128::MAX - 1;
pub const NEGATIVE_INFINITY: u128 = 0;

/// Digits after the point that keys of `numeric` have where it is not said: 22 are left before it. A column with a value
/// of more digits has no index.
const SCALE_DEFAULT: u8 = 16;

/// Whether all values of `numeric(p, s)` are shown with as many digits after the point, and fit their keys.
pub fn has_one_scale(modifier: Option<(u16, i16)>) -> bool {
    modifier.is_some_and(|(precision, scale)| is_narrow(precision, scale))
}

/// Digits after the point that keys of `numeric(p, s)` have.
fn digits_kept(modifier: Option<(u16, i16)>) -> u8 {
    match modifier {
        Some((_, scale)) if has_one_scale(modifier) => scale as u8,
        _ => SCALE_DEFAULT,
    }
}

/// How many units of 10^-scale a number has, rounded down, and what is left over; `None` beyond all keys.
fn units(number: &Numeric, scale: u8) -> Option<(i128, i128)> {
    let (unscaled, own) = number.small().or_else(|| number.trimmed().small())?;
    Some(match u16::from(scale).checked_sub(own) {
        Some(up) => (unscaled.checked_mul(10i128.checked_pow(u32::from(up))?)?, 0),
        None => match 10i128.checked_pow(u32::from(own - u16::from(scale))) {
            Some(unit) => (unscaled.div_euclid(unit), unscaled.rem_euclid(unit)),
            // Less than a tenth of a unit.
            None => (if unscaled < 0 { -1 } else { 0 }, unscaled),
        },
    })
}

/// An integer of any width.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int2(value) => Some(i64::from(*value)),
        Value::Int4(value) => Some(i64::from(*value)),
        Value::Int8(value) => Some(*value),
        _ => None,
    }
}

fn wide(bytes: [u8; Timetz::BYTES]) -> u128 {
    bytes.iter().fold(0, |key, byte| key << 8 | u128::from(*byte))
}

fn float4(value: f32) -> u128 {
    if value.is_nan() {
        return u128::from(u32::MAX);
    }
    let bits = (value + 0.0).to_bits(); // -0.0 + 0.0 = 0.0
    u128::from(bits ^ ((bits as i32 >> 31) as u32 | 1 << 31))
}

fn float8(value: f64) -> u128 {
    if value.is_nan() {
        return u128::from(u64::MAX);
    }
    let bits = (value + 0.0).to_bits();
    u128::from(bits ^ ((bits as i64 >> 63) as u64 | 1 << 63))
}

/// Bytes that equal elements of an array share and no others do; `None` for types whose elements have none, and inside
/// for NULL.
pub fn key_of_element(ty: &Type, value: Option<&Value>) -> Option<Option<Vec<u8>>> {
    let family = Family::of(ty);
    let key = |value: &Value| match (family, value) {
        // Of arrays whose elements have modifiers, and of those beside them that have none.
        (_, Value::Numeric(number)) => {
            let mut bytes = Vec::new();
            numeric::wire::put(&number.trimmed(), &mut bytes);
            Some(bytes)
        }
        (Some(family), value) if family.key_bytes().is_some() => {
            family.key(value).map(|key| key.to_be_bytes().to_vec())
        }
        (Some(family), value) => family.kept_text(value).map(|text| text.as_bytes().to_vec()),
        _ => None,
    };
    match (family, ty) {
        (Some(Family::Range), _) => None,
        (Some(_), _) => Some(value.and_then(key)),
        _ => None,
    }
}
