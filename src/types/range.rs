//! Ranges: `[1,5)` of integers, numbers, dates and moments.
//!
//! The two ends of a range are places between the values of its element type, so that one order says everything:
//!
//! ```text
//!   (-inf   [3 is before 3   (3 is behind 3   5) is before 5   5] is behind 5   inf)
//!
//!   Before  At(3, 0)         At(3, 1)         At(5, -1)        At(5, 0)         After
//! ```
//!
//! A value `v` is in the range when `lower <= At(v, 0) <= upper`; a range without values is `empty`, whatever its ends
//! were. Ranges of integers and dates have one form, `[a,b)`.
//!
//! Rows and Arrow cells hold bytes that sort as PostgreSQL sorts ranges (empty ones first, then by the lower end, then by
//! the upper one) and are the same only for equal ranges:
//!
//! ```text
//!   00                        empty
//!   01 lower upper            lower: 00 | 01 point 00 or, exclusive, 01
//!                             upper: 01 point 00 or, inclusive, 01 | 02
//!   point                     8 bytes of an integer, days or microseconds, the sign flipped
//!   point of numrange         16 bytes of the whole part, rounded down, the sign flipped; 16 of what is above it, in 10^-38
//!   point of texts and others bytes that sort as the values, 00 as 00 FF, and 00 00 at their end
//! ```
//!
//! So numbers in a `numrange` show no zeros at their end, as those of columns without a modifier.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::codec::Reader;
use crate::error::{Error, Result, SqlState};
use crate::types::datetime::DAY_MAX;
use crate::types::{Type, Value};

mod io;
mod own;
mod place;

pub use io::{parse, print, receive, send};
pub use own::{MULTIRANGE_SUFFIX, Maker, OwnRange, OwnRangeType};
use place::Ends;
pub use place::{BELOW_ALL, BEYOND_ALL, ENDLESS_ABOVE, ENDLESS_BELOW, place_of, takes};
use place::{Edge, Point};

/// The types of ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum RangeType {
    Int4,
    Int8,
    Num,
    Date,
    Ts,
    Tstz,
    /// What CREATE TYPE ... AS RANGE made.
    Own(OwnRangeType),
}

impl RangeType {
    pub const BUILT_IN: [RangeType; 6] =
        [RangeType::Int4, RangeType::Int8, RangeType::Num, RangeType::Date, RangeType::Ts, RangeType::Tstz];

    pub fn name(&self) -> &str {
        match self {
            RangeType::Int4 => "int4range",
            RangeType::Int8 => "int8range",
            RangeType::Num => "numrange",
            RangeType::Date => "daterange",
            RangeType::Ts => "tsrange",
            RangeType::Tstz => "tstzrange",
            RangeType::Own(of) => &of.name,
        }
    }

    /// What sets of its ranges are called.
    pub fn multirange_name(&self) -> &str {
        match self {
            RangeType::Int4 => "int4multirange",
            RangeType::Int8 => "int8multirange",
            RangeType::Num => "nummultirange",
            RangeType::Date => "datemultirange",
            RangeType::Ts => "tsmultirange",
            RangeType::Tstz => "tstzmultirange",
            RangeType::Own(of) => &of.multirange_name,
        }
    }

    /// What the function is called that makes a range.
    pub fn maker_name(&self) -> &str {
        match self {
            RangeType::Own(of) => &of.maker.name,
            built_in => built_in.name(),
        }
    }

    /// What the function is called that makes a set of ranges.
    pub fn multirange_maker_name(&self) -> &str {
        match self {
            RangeType::Own(of) => &of.multirange_maker.name,
            built_in => built_in.multirange_name(),
        }
    }

    /// One that is built in.
    pub fn from_name(name: &str) -> Option<RangeType> {
        RangeType::BUILT_IN.into_iter().find(|of| of.name() == name)
    }

    /// That of the sets of a name, built in.
    pub fn from_multirange_name(name: &str) -> Option<RangeType> {
        RangeType::BUILT_IN.into_iter().find(|of| of.multirange_name() == name)
    }

    /// What tells the type from others where nothing but a text can: its name, or its definition.
    pub fn tag(&self) -> String {
        match self {
            RangeType::Own(of) => of.to_json(),
            built_in => built_in.name().to_owned(),
        }
    }

    /// The type of a tag.
    pub fn from_tag(tag: &str) -> Option<RangeType> {
        match tag.starts_with('{') {
            true => OwnRangeType::from_json(tag).map(RangeType::Own),
            false => RangeType::from_name(tag),
        }
    }

    /// Whether its ends are places among numbers.
    pub fn has_numbers(&self) -> bool {
        place::is_whole(&self.element())
    }

    /// The type of the values in it.
    pub fn element(&self) -> Type {
        match self {
            RangeType::Int4 => Type::Int4,
            RangeType::Int8 => Type::Int8,
            RangeType::Num => Type::Numeric(None),
            RangeType::Date => Type::Date,
            RangeType::Ts => Type::Timestamp(None),
            RangeType::Tstz => Type::Timestamptz(None),
            RangeType::Own(of) => of.subtype.clone(),
        }
    }

    /// The point after one of a type whose values are counted; `None` where the type's values are not, and for the
    /// infinite dates, which have no neighbours.
    fn next(&self, point: &Point) -> Result<Option<Point>> {
        let Point::Whole(whole) = *point else { return Ok(None) };
        let (last, error) = match self {
            RangeType::Int4 => (i64::from(i32::MAX), "integer out of range"),
            RangeType::Int8 => (i64::MAX, "bigint out of range"),
            RangeType::Date if [i32::MIN, i32::MAX].map(i64::from).contains(&whole) => return Ok(None),
            RangeType::Date => (DAY_MAX, "date out of range"),
            RangeType::Num | RangeType::Ts | RangeType::Tstz | RangeType::Own(_) => return Ok(None),
        };
        if whole >= last {
            let state = match self {
                RangeType::Date => SqlState::DATETIME_FIELD_OVERFLOW,
                _ => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            };
            return Err(Error::new(state, error));
        }
        Ok(Some(Point::Whole(whole + 1)))
    }
}

/// An end as SQL says it; NULL where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub value: Value,
    pub inclusive: bool,
}

/// A value of a range type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    of: RangeType,
    /// `None` of the empty range.
    ends: Option<Arc<Ends>>,
}

impl Range {
    pub fn empty(of: RangeType) -> Range {
        Range { of, ends: None }
    }

    /// The range between two bounds, in its one form.
    pub fn new(of: RangeType, lower: &Bound, upper: &Bound) -> Result<Range> {
        if let (false, false) = (lower.value == Value::Null, upper.value == Value::Null)
            && Point::of(&lower.value)? > Point::of(&upper.value)?
        {
            let message = "range lower bound must be less than or equal to range upper bound";
            return Err(Error::new(SqlState::DATA_EXCEPTION, message));
        }
        Range::between(of, Edge::lower(lower)?, Edge::upper(upper)?)
    }

    fn between(of: RangeType, lower: Edge, upper: Edge) -> Result<Range> {
        if lower > upper {
            return Ok(Range::empty(of));
        }
        let next = |edge: &Edge, behind: i8, step: i8| match edge {
            Edge::At(point, at) if *at == behind => {
                Ok(of.next(point)?.map_or_else(|| edge.clone(), |next| Edge::At(next, step)))
            }
            edge => Ok(edge.clone()),
        };
        let (lower, upper) = (next(&lower, 1, 0)?, next(&upper, 0, -1)?);
        Ok(Range::of_ends(of, Ends { lower, upper }))
    }

    /// The range with two ends; empty when they are the wrong way round.
    fn of_ends(of: RangeType, ends: Ends) -> Range {
        let ends = (ends.lower <= ends.upper).then(|| Arc::new(ends));
        Range { of, ends }
    }

    pub fn of(&self) -> &RangeType {
        &self.of
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// The lower bound; `None` of the empty range.
    pub fn lower(&self) -> Option<Bound> {
        self.ends.as_ref().map(|ends| ends.lower.bound(&self.of.element()))
    }

    /// The upper bound; `None` of the empty range.
    pub fn upper(&self) -> Option<Bound> {
        self.ends.as_ref().map(|ends| ends.upper.bound(&self.of.element()))
    }

    /// `range @> element`
    pub fn has(&self, value: &Value) -> Result<bool> {
        let at = Edge::At(Point::of(value)?, 0);
        Ok(self.ends.as_ref().is_some_and(|ends| ends.lower <= at && at <= ends.upper))
    }

    /// `self @> other`
    pub fn contains(&self, other: &Range) -> bool {
        match (&self.ends, &other.ends) {
            (_, None) => true,
            (None, _) => false,
            (Some(outer), Some(inner)) => outer.lower <= inner.lower && inner.upper <= outer.upper,
        }
    }

    /// `self && other`
    pub fn overlaps(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.lower <= b.upper && b.lower <= a.upper)
    }

    /// `self << other`
    pub fn is_before(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.upper < b.lower)
    }

    /// `self &< other`
    pub fn ends_within(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.upper <= b.upper)
    }

    /// `self &> other`
    pub fn begins_within(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.lower >= b.lower)
    }

    /// `self -|- other`
    pub fn is_adjacent(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.upper.meets(&b.lower) || b.upper.meets(&a.lower))
    }

    /// What the empty range never is.
    fn both(&self, other: &Range, holds: impl Fn(&Ends, &Ends) -> bool) -> bool {
        match (&self.ends, &other.ends) {
            (Some(a), Some(b)) => holds(a, b),
            _ => false,
        }
    }

    /// `self + other`
    pub fn union(&self, other: &Range) -> Result<Range> {
        if !self.is_empty() && !other.is_empty() && !self.overlaps(other) && !self.is_adjacent(other) {
            return Err(not_contiguous("union"));
        }
        Ok(self.merge(other))
    }

    /// The smallest range that contains both.
    pub fn merge(&self, other: &Range) -> Range {
        match (&self.ends, &other.ends) {
            (None, _) => other.clone(),
            (_, None) => self.clone(),
            (Some(a), Some(b)) => {
                let (lower, upper) = ((&a.lower).min(&b.lower), (&a.upper).max(&b.upper));
                Range::of_ends(self.of.clone(), Ends { lower: lower.clone(), upper: upper.clone() })
            }
        }
    }

    /// `self * other`
    pub fn intersection(&self, other: &Range) -> Range {
        match (&self.ends, &other.ends) {
            (Some(a), Some(b)) => {
                let (lower, upper) = ((&a.lower).max(&b.lower), (&a.upper).min(&b.upper));
                Range::of_ends(self.of.clone(), Ends { lower: lower.clone(), upper: upper.clone() })
            }
            _ => Range::empty(self.of.clone()),
        }
    }

    /// `self - other`
    pub fn difference(&self, other: &Range) -> Result<Range> {
        match self.without(other)? {
            (before, behind) if behind.is_empty() => Ok(before),
            (before, behind) if before.is_empty() => Ok(behind),
            _ => Err(not_contiguous("difference")),
        }
    }

    /// The ends as numbers in their order; `None` of a type that has too many of them. The empty range begins behind all
    /// others and ends before them.
    pub fn ends(&self) -> Option<(u128, u128)> {
        match &self.ends {
            None => self.of.has_numbers().then_some((BEYOND_ALL, BELOW_ALL)),
            Some(ends) => ends.lower.number().zip(ends.upper.number()),
        }
    }

    /// The bytes that rows hold.
    pub fn bytes(&self) -> Vec<u8> {
        let Some(ends) = &self.ends else { return vec![EMPTY] };
        // Two ends of a numrange, which are the longest of those that are built in.
        let mut out = Vec::with_capacity(69);
        out.push(NOT_EMPTY);
        ends.encode(&mut out);
        out
    }

    /// What [`Range::bytes`] gave; other bytes are an error.
    pub fn from_bytes(of: RangeType, bytes: &[u8]) -> Result<Range> {
        let mut reader = Reader::new(bytes);
        let range = Range::decode(of, &mut reader)?;
        reader.finish()?;
        Ok(range)
    }

    /// The next of several.
    pub(super) fn decode(of: RangeType, reader: &mut Reader) -> Result<Range> {
        Ok(match reader.u8()? {
            EMPTY => Range::empty(of),
            NOT_EMPTY => {
                let ends = Ends::decode(&of, reader)?;
                Range { of, ends: Some(Arc::new(ends)) }
            }
            _ => return Err(damaged()),
        })
    }

    /// What is left before another range, and behind it. Of a range without values nothing lies behind.
    pub(super) fn without(&self, other: &Range) -> Result<(Range, Range)> {
        let of = || self.of.clone();
        match (&self.ends, &other.ends) {
            (Some(a), Some(b)) if self.overlaps(other) => {
                let before = match a.lower < b.lower {
                    true => Range::between(of(), a.lower.clone(), b.lower.preceding())?,
                    false => Range::empty(of()),
                };
                let behind = match b.upper < a.upper {
                    true => Range::between(of(), b.upper.following(), a.upper.clone())?,
                    false => Range::empty(of()),
                };
                Ok((before, behind))
            }
            _ if other.is_before(self) => Ok((Range::empty(of()), self.clone())),
            _ => Ok((self.clone(), Range::empty(of()))),
        }
    }
}

const EMPTY: u8 = 0;
const NOT_EMPTY: u8 = 1;

fn damaged() -> Error {
    Error::internal("bytes that are no range")
}

/// How a range lies beside a range or an element, as an operator asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `range @> other`, a range or an element.
    Contains,
    /// `range <@ other`
    ContainedBy,
    /// `range && other`
    Overlaps,
    /// `range << other`
    Before,
    /// `range >> other`
    After,
    /// `range &< other`
    EndsWithin,
    /// `range &> other`
    BeginsWithin,
    /// `range -|- other`
    Adjacent,
}

impl Relation {
    /// The answer for one range; an error of a value that has no place beside it.
    pub fn holds(self, range: &Range, other: &Value) -> Result<bool> {
        Ok(match (self, other) {
            (Relation::Contains, Value::Range(other)) => range.contains(other),
            (Relation::Contains, element) => range.has(element)?,
            (Relation::ContainedBy, Value::Range(other)) => other.contains(range),
            (Relation::Overlaps, Value::Range(other)) => range.overlaps(other),
            (Relation::Before, Value::Range(other)) => range.is_before(other),
            (Relation::After, Value::Range(other)) => other.is_before(range),
            (Relation::EndsWithin, Value::Range(other)) => range.ends_within(other),
            (Relation::BeginsWithin, Value::Range(other)) => range.begins_within(other),
            (Relation::Adjacent, Value::Range(other)) => range.is_adjacent(other),
            (_, other) => return Err(Error::internal(format!("expected a range, found {other:?}"))),
        })
    }

    /// The same question with its sides changed, where a range is on each; `None` where no operator asks that.
    pub fn swapped(self) -> Option<Relation> {
        Some(match self {
            Relation::Contains => Relation::ContainedBy,
            Relation::ContainedBy => Relation::Contains,
            Relation::Before => Relation::After,
            Relation::After => Relation::Before,
            Relation::Overlaps | Relation::Adjacent => self,
            Relation::EndsWithin | Relation::BeginsWithin => return None,
        })
    }
}

/// As PostgreSQL sorts them.
impl PartialOrd for Range {
    fn partial_cmp(&self, other: &Range) -> Option<Ordering> {
        Some(self.ends.cmp(&other.ends))
    }
}

fn not_contiguous(operation: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, format!("result of range {operation} would not be contiguous"))
}

#[cfg(test)]
mod tests;
