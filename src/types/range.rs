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
//! ```
//!
//! So numbers in a `numrange` show no zeros at their end, as those of columns without a modifier.

use std::cmp::Ordering;

use crate::codec::Reader;
use crate::error::{Error, Result, SqlState};
use crate::types::binary::{self, short, trailing};
use crate::types::datetime::DAY_MAX;
use crate::types::look::Look;
use crate::types::text::{self, is_space};
use crate::types::{Numeric, Type, Value, numeric};

/// The types of ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum RangeType {
    Int4,
    Int8,
    Num,
    Date,
    Ts,
    Tstz,
}

impl RangeType {
    pub const ALL: [RangeType; 6] =
        [RangeType::Int4, RangeType::Int8, RangeType::Num, RangeType::Date, RangeType::Ts, RangeType::Tstz];

    pub fn name(self) -> &'static str {
        match self {
            RangeType::Int4 => "int4range",
            RangeType::Int8 => "int8range",
            RangeType::Num => "numrange",
            RangeType::Date => "daterange",
            RangeType::Ts => "tsrange",
            RangeType::Tstz => "tstzrange",
        }
    }

    pub fn from_name(name: &str) -> Option<RangeType> {
        RangeType::ALL.into_iter().find(|of| of.name() == name)
    }

    /// The type of the values in it.
    pub fn element(self) -> Type {
        match self {
            RangeType::Int4 => Type::Int4,
            RangeType::Int8 => Type::Int8,
            RangeType::Num => Type::Numeric(None),
            RangeType::Date => Type::Date,
            RangeType::Ts => Type::Timestamp(None),
            RangeType::Tstz => Type::Timestamptz(None),
        }
    }

    /// The element type's value at a point.
    fn value(self, point: Point) -> Value {
        match (self, point) {
            (RangeType::Int4, Point::Whole(whole)) => Value::Int4(whole as i32),
            (RangeType::Date, Point::Whole(whole)) => Value::Date(whole as i32),
            (RangeType::Ts, Point::Whole(whole)) => Value::Timestamp(whole),
            (RangeType::Tstz, Point::Whole(whole)) => Value::Timestamptz(whole),
            (_, Point::Whole(whole)) => Value::Int8(whole),
            (_, Point::Decimal { floor, above }) => Value::Numeric(numeric_of(floor, above)),
        }
    }

    /// The point after one of a type whose values are counted; `None` where the type's values are not, and for the
    /// infinite dates, which have no neighbours.
    fn next(self, point: Point) -> Result<Option<Point>> {
        let Point::Whole(whole) = point else { return Ok(None) };
        let (last, error) = match self {
            RangeType::Int4 => (i64::from(i32::MAX), "integer out of range"),
            RangeType::Int8 => (i64::MAX, "bigint out of range"),
            RangeType::Date if [i32::MIN, i32::MAX].map(i64::from).contains(&whole) => return Ok(None),
            RangeType::Date => (DAY_MAX, "date out of range"),
            RangeType::Num | RangeType::Ts | RangeType::Tstz => return Ok(None),
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

/// A value of the element type, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Whole(i64),
    /// A number, as what it is rounded down and what is left, in units of 10^-38.
    Decimal {
        floor: i128,
        above: i128,
    },
}

/// Digits of [`Point::Decimal`]'s second part: as many as a numeric may have after its point.
const DIGITS: u32 = 38;

impl Point {
    fn of(value: &Value) -> Result<Point> {
        Ok(match value {
            Value::Int2(value) => Point::Whole(i64::from(*value)),
            Value::Int4(value) | Value::Date(value) => Point::Whole(i64::from(*value)),
            Value::Int8(value) | Value::Timestamp(value) | Value::Timestamptz(value) => Point::Whole(*value),
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

    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Point::Whole(whole) => out.extend_from_slice(&(whole as u64 ^ 1 << 63).to_be_bytes()),
            Point::Decimal { floor, above } => {
                out.extend_from_slice(&(floor as u128 ^ 1 << 127).to_be_bytes());
                out.extend_from_slice(&above.to_be_bytes());
            }
        }
    }

    fn decode(of: RangeType, reader: &mut Reader) -> Result<Point> {
        fn number<const N: usize>(reader: &mut Reader) -> Result<[u8; N]> {
            let bytes = reader.take(N)?;
            bytes.try_into().map_err(|_| Error::internal("fewer bytes than were taken"))
        }
        Ok(match of {
            RangeType::Num => {
                let floor = (u128::from_be_bytes(number(reader)?) ^ 1 << 127) as i128;
                let above = i128::from_be_bytes(number(reader)?);
                if !(0..10i128.pow(DIGITS)).contains(&above) {
                    return Err(damaged());
                }
                Point::Decimal { floor, above }
            }
            _ => Point::Whole((u64::from_be_bytes(number(reader)?) ^ 1 << 63) as i64),
        })
    }
}

fn damaged() -> Error {
    Error::internal("bytes that are no range")
}

fn numeric_of(floor: i128, above: i128) -> Numeric {
    let fraction = Numeric::new(above, DIGITS as u8).trimmed();
    // No sum of two numbers of 38 digits is out of bounds.
    Numeric::new(floor, 0).plus(&fraction).unwrap_or_default()
}

/// An end of a range: a place before, at or behind a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Before,
    /// -1: just before it, where `5)` ends; 1: just behind it, where `(5` begins.
    At(Point, i8),
    After,
}

impl Edge {
    fn lower(bound: &Bound) -> Result<Edge> {
        Ok(match &bound.value {
            Value::Null => Edge::Before,
            value => Edge::At(Point::of(value)?, i8::from(!bound.inclusive)),
        })
    }

    fn upper(bound: &Bound) -> Result<Edge> {
        Ok(match &bound.value {
            Value::Null => Edge::After,
            value => Edge::At(Point::of(value)?, -i8::from(!bound.inclusive)),
        })
    }

    /// The bound that this edge was made of.
    fn bound(self, of: RangeType) -> Bound {
        match self {
            Edge::At(point, step) => Bound { value: of.value(point), inclusive: step == 0 },
            Edge::Before | Edge::After => Bound { value: Value::Null, inclusive: false },
        }
    }

    /// Where a range begins that follows one with this upper end.
    fn following(self) -> Edge {
        match self {
            Edge::At(point, step) => Edge::At(point, step + 1),
            infinite => infinite,
        }
    }

    /// Where a range ends that comes before one with this lower end.
    fn preceding(self) -> Edge {
        match self {
            Edge::At(point, step) => Edge::At(point, step - 1),
            infinite => infinite,
        }
    }

    /// The edges of one point follow each other, so that the one before or behind is one less or more.
    fn number(self) -> Option<u128> {
        match self {
            Edge::Before => Some(ENDLESS_BELOW),
            Edge::At(Point::Whole(whole), step) => {
                let above_least = (i128::from(whole) - i128::from(i64::MIN)) as u128;
                Some(ENDLESS_BELOW + 2 + 4 * above_least + (step + 1) as u128)
            }
            Edge::At(Point::Decimal { .. }, _) => None,
            Edge::After => Some(ENDLESS_ABOVE),
        }
    }

    /// `least`: the smallest step that an edge on this side has.
    fn encode(self, least: i8, out: &mut Vec<u8>) {
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

/// Steps of a lower edge are 0 and 1, of an upper one -1 and 0.
const LOWER_LEAST: i8 = 0;
const UPPER_LEAST: i8 = -1;

/// What [`Range::ends`] gives where a range has no end, and of the empty range.
pub const ENDLESS_BELOW: u128 = 1;
pub const ENDLESS_ABOVE: u128 = u128::MAX - 1;
pub const BELOW_ALL: u128 = 0;
pub const BEYOND_ALL: u128 = u128::MAX;

/// Where an element lies among the ends that [`Range::ends`] gives.
pub fn place_of(element: &Value) -> Option<u128> {
    Edge::At(Point::of(element).ok()?, 0).number()
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
    /// The lower and the upper end; `None` of the empty range.
    edges: Option<Box<(Edge, Edge)>>,
}

impl Range {
    pub fn empty(of: RangeType) -> Range {
        Range { of, edges: None }
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
        let lower = match lower {
            Edge::At(point, 1) => of.next(point)?.map_or(lower, |next| Edge::At(next, 0)),
            lower => lower,
        };
        let upper = match upper {
            Edge::At(point, 0) => of.next(point)?.map_or(upper, |next| Edge::At(next, -1)),
            upper => upper,
        };
        Ok(Range { of, edges: (lower <= upper).then(|| Box::new((lower, upper))) })
    }

    pub fn of(&self) -> RangeType {
        self.of
    }

    pub fn is_empty(&self) -> bool {
        self.edges.is_none()
    }

    /// The lower bound; `None` of the empty range.
    pub fn lower(&self) -> Option<Bound> {
        self.edges.as_ref().map(|edges| edges.0.bound(self.of))
    }

    /// The upper bound; `None` of the empty range.
    pub fn upper(&self) -> Option<Bound> {
        self.edges.as_ref().map(|edges| edges.1.bound(self.of))
    }

    /// `range @> element`
    pub fn has(&self, value: &Value) -> Result<bool> {
        let at = Edge::At(Point::of(value)?, 0);
        Ok(self.edges.as_ref().is_some_and(|edges| edges.0 <= at && at <= edges.1))
    }

    /// `self @> other`
    pub fn contains(&self, other: &Range) -> bool {
        match (&self.edges, &other.edges) {
            (_, None) => true,
            (None, _) => false,
            (Some(outer), Some(inner)) => outer.0 <= inner.0 && inner.1 <= outer.1,
        }
    }

    /// `self && other`
    pub fn overlaps(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.0 <= b.1 && b.0 <= a.1)
    }

    /// `self << other`
    pub fn is_before(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.1 < b.0)
    }

    /// `self &< other`
    pub fn ends_within(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.1 <= b.1)
    }

    /// `self &> other`
    pub fn begins_within(&self, other: &Range) -> bool {
        self.both(other, |a, b| a.0 >= b.0)
    }

    /// `self -|- other`
    pub fn is_adjacent(&self, other: &Range) -> bool {
        let meet = |upper: Edge, lower: Edge| matches!(upper, Edge::At(..)) && upper.following() == lower;
        self.both(other, |a, b| meet(a.1, b.0) || meet(b.1, a.0))
    }

    /// What the empty range never is.
    fn both(&self, other: &Range, holds: impl Fn((Edge, Edge), (Edge, Edge)) -> bool) -> bool {
        match (&self.edges, &other.edges) {
            (Some(a), Some(b)) => holds(**a, **b),
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
        match (&self.edges, &other.edges) {
            (None, _) => other.clone(),
            (_, None) => self.clone(),
            (Some(a), Some(b)) => Range { of: self.of, edges: Some(Box::new((a.0.min(b.0), a.1.max(b.1)))) },
        }
    }

    /// `self * other`
    pub fn intersection(&self, other: &Range) -> Range {
        let edges = match (&self.edges, &other.edges) {
            (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.min(b.1))),
            _ => None,
        };
        Range { of: self.of, edges: edges.filter(|(lower, upper)| lower <= upper).map(Box::new) }
    }

    /// `self - other`
    pub fn difference(&self, other: &Range) -> Result<Range> {
        let (Some(a), Some(b)) = (&self.edges, &other.edges) else { return Ok(self.clone()) };
        if !self.overlaps(other) {
            return Ok(self.clone());
        }
        match (a.0 < b.0, b.1 < a.1) {
            (true, true) => Err(not_contiguous("difference")),
            (true, false) => Range::between(self.of, a.0, b.0.preceding()),
            (false, true) => Range::between(self.of, b.1.following(), a.1),
            (false, false) => Ok(Range::empty(self.of)),
        }
    }

    /// The ends as numbers in their order; `None` of a numrange, which has too many. The empty range begins behind all
    /// others and ends before them.
    pub fn ends(&self) -> Option<(u128, u128)> {
        match &self.edges {
            None => (self.of != RangeType::Num).then_some((BEYOND_ALL, BELOW_ALL)),
            Some(edges) => edges.0.number().zip(edges.1.number()),
        }
    }

    /// The bytes that rows hold.
    pub fn bytes(&self) -> Vec<u8> {
        let Some(edges) = &self.edges else { return vec![0] };
        // Two ends of a numrange, which are the longest.
        let mut out = Vec::with_capacity(69);
        out.push(1);
        edges.0.encode(LOWER_LEAST, &mut out);
        edges.1.encode(UPPER_LEAST, &mut out);
        out
    }

    /// What [`Range::bytes`] gave; other bytes are an error.
    pub fn from_bytes(of: RangeType, bytes: &[u8]) -> Result<Range> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            0 => {
                reader.finish()?;
                return Ok(Range::empty(of));
            }
            1 => {}
            _ => return Err(damaged()),
        }
        let mut edge = |infinite: Edge, least: i8| {
            Ok(match (reader.u8()?, infinite) {
                (0, Edge::Before) | (2, Edge::After) => infinite,
                (1, _) => {
                    let point = Point::decode(of, &mut reader)?;
                    let above = i8::try_from(reader.u8()?).ok().filter(|above| *above <= 1);
                    Edge::At(point, least + above.ok_or_else(damaged)?)
                }
                _ => return Err(damaged()),
            })
        };
        let edges = (edge(Edge::Before, LOWER_LEAST)?, edge(Edge::After, UPPER_LEAST)?);
        reader.finish()?;
        Ok(Range { of, edges: Some(Box::new(edges)) })
    }
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
        Some(self.edges.cmp(&other.edges))
    }
}

fn not_contiguous(operation: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, format!("result of range {operation} would not be contiguous"))
}

/// Appends `[1,5)`, as a session wants its values.
pub fn print(range: &Range, look: Look, out: &mut Vec<u8>) {
    let (Some(lower), Some(upper)) = (range.lower(), range.upper()) else {
        return out.extend_from_slice(b"empty");
    };
    out.push(if lower.inclusive { b'[' } else { b'(' });
    print_end(&lower.value, look, out);
    out.push(b',');
    print_end(&upper.value, look, out);
    out.push(if upper.inclusive { b']' } else { b')' });
}

/// A value in quotes if it needs them: a moment, which has a blank in it. None has quotes or brackets.
fn print_end(value: &Value, look: Look, out: &mut Vec<u8>) {
    let start = out.len();
    text::print_as(value, look, out);
    if out[start..].contains(&b' ') {
        out.insert(start, b'"');
        out.push(b'"');
    }
}

/// A range from its text, with bounds as a session reads them.
pub fn parse(of: RangeType, text: &str, look: Look) -> Result<Range> {
    let malformed = |detail: &str| {
        let message = format!("malformed range literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let mut rest = text.trim_start_matches(is_space);
    if rest.get(..EMPTY.len()).is_some_and(|word| word.eq_ignore_ascii_case(EMPTY)) {
        return match rest[EMPTY.len()..].trim_start_matches(is_space) {
            "" => Ok(Range::empty(of)),
            _ => Err(malformed("Junk after \"empty\" key word.")),
        };
    }
    let lower_inclusive = match rest.as_bytes().first() {
        Some(b'[') => true,
        Some(b'(') => false,
        _ => return Err(malformed("Missing left parenthesis or bracket.")),
    };
    rest = &rest[1..];
    let lower = end_text(&mut rest).ok_or_else(|| malformed("Unexpected end of input."))?;
    rest = rest.strip_prefix(',').ok_or_else(|| malformed("Missing comma after lower bound."))?;
    let upper = end_text(&mut rest).ok_or_else(|| malformed("Unexpected end of input."))?;
    // An end stops at a comma or where the range is closed.
    let (closing, after) = rest.split_at(1);
    if closing == "," {
        return Err(malformed("Too many commas."));
    }
    if !after.trim_start_matches(is_space).is_empty() {
        return Err(malformed("Junk after right parenthesis or bracket."));
    }
    let value = |text: Option<String>| match text {
        None => Ok(Value::Null),
        Some(text) => text::parse_as(&of.element(), &text, look),
    };
    let lower = Bound { value: value(lower)?, inclusive: lower_inclusive };
    let upper = Bound { value: value(upper)?, inclusive: closing == "]" };
    Range::new(of, &lower, &upper)
}

const EMPTY: &str = "empty";

/// The text of one end, without its quotes and backslashes, up to the comma or bracket behind it: inside `None` where
/// nothing stands. `None` when the text ends before.
fn end_text(rest: &mut &str) -> Option<Option<String>> {
    let mut text = String::new();
    let mut quoted = false;
    let mut chars = rest.char_indices().peekable();
    loop {
        let (at, c) = chars.next()?;
        match c {
            ',' | ')' | ']' if !quoted => {
                let is_none = at == 0;
                *rest = &rest[at..];
                return Some((!is_none).then_some(text));
            }
            '\\' => text.push(chars.next()?.1),
            '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                text.push('"');
            }
            '"' => quoted = !quoted,
            c => text.push(c),
        }
    }
}

/// Bits of the first byte of the binary format.
const IS_EMPTY: u8 = 1;
const LOWER_INCLUSIVE: u8 = 2;
const UPPER_INCLUSIVE: u8 = 4;
const LOWER_INFINITE: u8 = 8;
const UPPER_INFINITE: u8 = 16;

/// range_send
pub fn send(range: &Range, out: &mut Vec<u8>) {
    let (Some(lower), Some(upper)) = (range.lower(), range.upper()) else { return out.push(IS_EMPTY) };
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    out.push(
        bit(lower.inclusive, LOWER_INCLUSIVE)
            | bit(upper.inclusive, UPPER_INCLUSIVE)
            | bit(lower.value == Value::Null, LOWER_INFINITE)
            | bit(upper.value == Value::Null, UPPER_INFINITE),
    );
    for bound in [lower, upper].iter().filter(|bound| bound.value != Value::Null) {
        let length = out.len();
        out.extend_from_slice(&[0; 4]);
        binary::send(&bound.value, &range.of.element(), out);
        let bytes = (out.len() - length - 4) as u32;
        out[length..length + 4].copy_from_slice(&bytes.to_be_bytes());
    }
}

/// range_recv
pub fn receive(of: RangeType, bytes: &[u8]) -> Result<Range> {
    let (&flags, mut rest) = bytes.split_first().ok_or_else(short)?;
    let has = |bit: u8| flags & bit != 0;
    let mut value = |is_infinite: bool| {
        if is_infinite || has(IS_EMPTY) {
            return Ok(Value::Null);
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
        let (value, after) = after.split_at_checked(length).ok_or_else(short)?;
        rest = after;
        match of {
            RangeType::Num => numeric::receive(value).map(Value::Numeric),
            _ => binary::receive(&of.element(), value),
        }
    };
    let lower = Bound { value: value(has(LOWER_INFINITE))?, inclusive: has(LOWER_INCLUSIVE) };
    let upper = Bound { value: value(has(UPPER_INFINITE))?, inclusive: has(UPPER_INCLUSIVE) };
    match rest {
        [] if has(IS_EMPTY) => Ok(Range::empty(of)),
        [] => Range::new(of, &lower, &upper),
        _ => Err(trailing()),
    }
}

#[cfg(test)]
mod tests;
