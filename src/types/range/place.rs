//! Places between the values of a range's element type, and the values themselves as they are compared.

use crate::codec::{Reader, key};
use crate::error::{Error, Result};
use crate::types::range::{Bound, RangeType, damaged};
use crate::types::{Bits, Network, Numeric, Timetz, Type, Value};

/// A value of the element type, in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    Whole(i64),
    /// A number, as what it is rounded down and what is left, in units of 10^-38.
    Decimal {
        floor: i128,
        above: i128,
    },
    /// Bytes that sort as the values do.
    Bytes(Box<[u8]>),
}

/// How values of a type are points; `None` of a type that there are no ranges over.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Whole,
    Decimal,
    Bytes,
}

fn shape_of(element: &Type) -> Option<Shape> {
    Some(match element {
        Type::Numeric(_) => Shape::Decimal,
        Type::Int2 | Type::Int4 | Type::Int8 | Type::Oid | Type::Money | Type::Bool => Shape::Whole,
        Type::Date | Type::Time(_) | Type::Timestamp(_) | Type::Timestamptz(_) => Shape::Whole,
        Type::Float4 | Type::Float8 => Shape::Whole,
        Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Name | Type::Bytea | Type::Uuid => {
            Shape::Bytes
        }
        Type::Timetz(_) | Type::Network(_) | Type::Bit(_) | Type::Varbit(_) => Shape::Bytes,
        _ => return None,
    })
}

/// Whether ranges may be over a type.
pub fn takes(element: &Type) -> bool {
    shape_of(element).is_some()
}

/// Whether the points of a type are whole numbers.
pub(super) fn is_whole(element: &Type) -> bool {
    shape_of(element) == Some(Shape::Whole)
}

/// A number whose order is that of the floats; those that are equal are the same, and NaN is above all.
fn whole_of_float(value: f64) -> i64 {
    let canonical = match value {
        value if value.is_nan() => f64::NAN.abs(),
        0.0 => 0.0,
        value => value,
    };
    flipped(canonical.to_bits() as i64)
}

/// Of negative floats the bits run the other way.
fn flipped(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// Digits of [`Point::Decimal`]'s second part: as many as a numeric may have after its point.
const DIGITS: u32 = 38;

impl Point {
    pub(super) fn of(value: &Value) -> Result<Point> {
        Ok(match value {
            Value::Int2(value) => Point::Whole(i64::from(*value)),
            Value::Int4(value) | Value::Date(value) => Point::Whole(i64::from(*value)),
            Value::Int8(value) | Value::Timestamp(value) | Value::Timestamptz(value) => Point::Whole(*value),
            Value::Time(value) | Value::Money(value) => Point::Whole(*value),
            Value::Oid(value) => Point::Whole(i64::from(*value)),
            Value::Bool(value) => Point::Whole(i64::from(*value)),
            Value::Float4(value) => Point::Whole(whole_of_float(f64::from(*value))),
            Value::Float8(value) => Point::Whole(whole_of_float(*value)),
            Value::Text(text) => Point::Bytes(text.as_bytes().into()),
            Value::Bytea(bytes) => Point::Bytes(bytes.as_slice().into()),
            Value::Uuid(bytes) => Point::Bytes(bytes.as_slice().into()),
            Value::Timetz(time) => Point::Bytes(time.to_bytes().as_slice().into()),
            Value::Network(network) => Point::Bytes(network.bytes().into()),
            Value::Bits(bits) => {
                let mut bytes = Vec::new();
                key::escaped(bits.bytes(), &mut bytes);
                bytes.extend_from_slice(&bits.len().to_be_bytes());
                Point::Bytes(bytes.into())
            }
            Value::Numeric(number) => {
                let number = number.trimmed();
                let within = number.small().filter(|(_, scale)| u32::from(*scale) <= DIGITS);
                let (unscaled, scale) =
                    within.ok_or_else(|| Error::unsupported("numrange of more than 38 digits"))?;
                let scale = u32::from(scale);
                let one = 10i128.pow(scale);
                let above = unscaled.rem_euclid(one) * 10i128.pow(DIGITS - scale);
                Point::Decimal { floor: unscaled.div_euclid(one), above }
            }
            other => return Err(Error::internal(format!("an end of a range that is {other:?}"))),
        })
    }

    /// The value of a type at this point.
    pub(super) fn value(&self, element: &Type) -> Result<Value> {
        let of_bytes = |bytes: &[u8]| {
            Some(match element {
                Type::Bytea => Value::Bytea(bytes.to_vec()),
                Type::Uuid => Value::Uuid(bytes.try_into().ok()?),
                Type::Timetz(_) => Value::Timetz(Timetz::from_bytes(bytes)?),
                Type::Network(of) => Value::Network(Network::from_bytes(*of, bytes)?),
                Type::Bit(_) | Type::Varbit(_) => {
                    let (escaped, length) = bytes.split_last_chunk::<4>()?;
                    let bytes = unescaped(&mut Reader::new(escaped)).ok()?;
                    Value::Bits(Bits::new(bytes, u32::from_be_bytes(*length)))
                }
                _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
            })
        };
        Ok(match (self, element) {
            (Point::Decimal { floor, above }, _) => Value::Numeric(numeric_of(*floor, *above)),
            (Point::Bytes(bytes), _) => of_bytes(bytes).ok_or_else(damaged)?,
            (Point::Whole(whole), element) => match element {
                Type::Int2 => Value::Int2(*whole as i16),
                Type::Int4 => Value::Int4(*whole as i32),
                Type::Date => Value::Date(*whole as i32),
                Type::Oid => Value::Oid(*whole as u32),
                Type::Bool => Value::Bool(*whole != 0),
                Type::Money => Value::Money(*whole),
                Type::Time(_) => Value::Time(*whole),
                Type::Timestamp(_) => Value::Timestamp(*whole),
                Type::Timestamptz(_) => Value::Timestamptz(*whole),
                Type::Float4 => Value::Float4(f64::from_bits(flipped(*whole) as u64) as f32),
                Type::Float8 => Value::Float8(f64::from_bits(flipped(*whole) as u64)),
                _ => Value::Int8(*whole),
            },
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Point::Whole(whole) => out.extend_from_slice(&(*whole as u64 ^ 1 << 63).to_be_bytes()),
            Point::Decimal { floor, above } => {
                out.extend_from_slice(&(*floor as u128 ^ 1 << 127).to_be_bytes());
                out.extend_from_slice(&above.to_be_bytes());
            }
            Point::Bytes(bytes) => key::escaped(bytes, out),
        }
    }

    fn decode(element: &Type, reader: &mut Reader) -> Result<Point> {
        fn number<const N: usize>(reader: &mut Reader) -> Result<[u8; N]> {
            let bytes = reader.take(N)?;
            bytes.try_into().map_err(|_| Error::internal("fewer bytes than were taken"))
        }
        Ok(match shape_of(element).ok_or_else(damaged)? {
            Shape::Decimal => {
                let floor = (u128::from_be_bytes(number(reader)?) ^ 1 << 127) as i128;
                let above = i128::from_be_bytes(number(reader)?);
                if !(0..10i128.pow(DIGITS)).contains(&above) {
                    return Err(damaged());
                }
                Point::Decimal { floor, above }
            }
            Shape::Whole => Point::Whole((u64::from_be_bytes(number(reader)?) ^ 1 << 63) as i64),
            Shape::Bytes => {
                let point = Point::Bytes(unescaped(reader)?.into());
                // So that a value that was read can be shown.
                point.value(element)?;
                point
            }
        })
    }
}

/// What [`key::escaped`] was given.
fn unescaped(reader: &mut Reader) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match reader.u8()? {
            0 => match reader.u8()? {
                0 => return Ok(bytes),
                0xFF => bytes.push(0),
                _ => return Err(damaged()),
            },
            byte => bytes.push(byte),
        }
    }
}

fn numeric_of(floor: i128, above: i128) -> Numeric {
    let fraction = Numeric::new(above, DIGITS as u8).trimmed();
    // No sum of two numbers of 38 digits is out of bounds.
    Numeric::new(floor, 0).plus(&fraction).unwrap_or_default()
}

/// An end of a range: a place before, at or behind a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    Before,
    /// -1: just before it, where `5)` ends; 1: just behind it, where `(5` begins.
    At(Point, i8),
    After,
}

impl Edge {
    pub(super) fn lower(bound: &Bound) -> Result<Edge> {
        Ok(match &bound.value {
            Value::Null => Edge::Before,
            value => Edge::At(Point::of(value)?, i8::from(!bound.inclusive)),
        })
    }

    pub(super) fn upper(bound: &Bound) -> Result<Edge> {
        Ok(match &bound.value {
            Value::Null => Edge::After,
            value => Edge::At(Point::of(value)?, -i8::from(!bound.inclusive)),
        })
    }

    /// The bound that this edge was made of.
    pub(super) fn bound(&self, element: &Type) -> Bound {
        match self {
            // Points come from values of the type, and those that were read were looked at.
            Edge::At(point, step) => {
                Bound { value: point.value(element).unwrap_or(Value::Null), inclusive: *step == 0 }
            }
            Edge::Before | Edge::After => Bound { value: Value::Null, inclusive: false },
        }
    }

    /// Where a range begins that follows one with this upper end.
    pub(super) fn following(&self) -> Edge {
        match self {
            Edge::At(point, step) => Edge::At(point.clone(), step + 1),
            infinite => infinite.clone(),
        }
    }

    /// Where a range ends that comes before one with this lower end.
    pub(super) fn preceding(&self) -> Edge {
        match self {
            Edge::At(point, step) => Edge::At(point.clone(), step - 1),
            infinite => infinite.clone(),
        }
    }

    /// Whether a range that begins at `lower` goes on where one ends here.
    pub(super) fn meets(&self, lower: &Edge) -> bool {
        matches!(self, Edge::At(..)) && self.following() == *lower
    }

    /// The edges of one point follow each other, so that the one before or behind is one less or more.
    pub(super) fn number(&self) -> Option<u128> {
        match self {
            Edge::Before => Some(ENDLESS_BELOW),
            Edge::At(Point::Whole(whole), step) => {
                let above_least = (i128::from(*whole) - i128::from(i64::MIN)) as u128;
                Some(ENDLESS_BELOW + 2 + 4 * above_least + (step + 1) as u128)
            }
            Edge::At(Point::Decimal { .. } | Point::Bytes(_), _) => None,
            Edge::After => Some(ENDLESS_ABOVE),
        }
    }
}

/// The two ends of a range that is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    pub lower: Edge,
    pub upper: Edge,
}

/// Steps of a lower edge are 0 and 1, of an upper one -1 and 0.
const LOWER_LEAST: i8 = 0;
const UPPER_LEAST: i8 = -1;

impl Ends {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.lower.encode(LOWER_LEAST, out);
        self.upper.encode(UPPER_LEAST, out);
    }

    pub(super) fn decode(of: &RangeType, reader: &mut Reader) -> Result<Ends> {
        let element = of.element();
        let mut edge = |infinite: Edge, least: i8| {
            Ok(match (reader.u8()?, &infinite) {
                (0, Edge::Before) | (2, Edge::After) => infinite,
                (1, _) => {
                    let point = Point::decode(&element, reader)?;
                    let above = i8::try_from(reader.u8()?).ok().filter(|above| *above <= 1);
                    Edge::At(point, least + above.ok_or_else(damaged)?)
                }
                _ => return Err(damaged()),
            })
        };
        Ok(Ends { lower: edge(Edge::Before, LOWER_LEAST)?, upper: edge(Edge::After, UPPER_LEAST)? })
    }
}

impl Edge {
    /// `least`: the smallest step that an edge on this side has.
    fn encode(&self, least: i8, out: &mut Vec<u8>) {
        match self {
            Edge::Before => out.push(0),
            Edge::At(point, step) => {
                out.push(1);
                point.encode(out);
                out.push((step - least) as u8);
            }
            Edge::After => out.push(2),
        }
    }
}

/// What [`super::Range::ends`] gives where a range has no end, and of the empty range.
pub const ENDLESS_BELOW: u128 = 1;
pub const ENDLESS_ABOVE: u128 = u128::MAX - 1;
pub const BELOW_ALL: u128 = 0;
pub const BEYOND_ALL: u128 = u128::MAX;

/// Where an element lies among the ends that [`super::Range::ends`] gives.
pub fn place_of(element: &Value) -> Option<u128> {
    Edge::At(Point::of(element).ok()?, 0).number()
}
