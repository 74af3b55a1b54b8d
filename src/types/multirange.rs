//! Multiranges: sets of values as the ranges that they are made of, `{[1,3),[5,9)}`.
//!
//! The ranges are in their order, none is empty, and between two of them is something that is in neither. So a set has one
//! form, and sets compare as the lists of their ranges do. Rows and Arrow cells hold the ends of all, one behind the other:
//!
//! ```text
//!   lower upper lower upper ...       as those of a range (see [`super::range`]), 01 before each two; nothing of the empty set
//! ```

use std::cmp::Ordering;
use std::sync::Arc;

use crate::codec::Reader;
use crate::error::{Error, Result, SqlState};
use crate::types::binary::{short, trailing};
use crate::types::look::Look;
use crate::types::range::{self, Bound, Range, RangeType, Relation};
use crate::types::text::is_space;
use crate::types::{Value, Zone};

/// A value of a multirange type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multirange {
    of: RangeType,
    ranges: Arc<[Range]>,
}

impl Multirange {
    /// The values of all these ranges.
    pub fn new(of: RangeType, mut ranges: Vec<Range>) -> Multirange {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        let mut joined: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.overlaps(&range) || last.is_adjacent(&range) => *last = last.merge(&range),
                _ => joined.push(range),
            }
        }
        Multirange { of, ranges: joined.into() }
    }

    pub fn of(&self) -> &RangeType {
        &self.of
    }

    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The smallest range that all values are in.
    pub fn hull(&self) -> Range {
        match (self.ranges.first(), self.ranges.last()) {
            (Some(first), Some(last)) => first.merge(last),
            _ => Range::empty(self.of.clone()),
        }
    }

    /// The lower bound; `None` of the empty set.
    pub fn lower(&self) -> Option<Bound> {
        self.ranges.first()?.lower()
    }

    /// The upper bound; `None` of the empty set.
    pub fn upper(&self) -> Option<Bound> {
        self.ranges.last()?.upper()
    }

    /// `self + other`
    pub fn union(&self, other: &Multirange) -> Multirange {
        Multirange::new(self.of.clone(), [&*self.ranges, &*other.ranges].concat())
    }

    /// `self * other`
    pub fn intersection(&self, other: &Multirange) -> Multirange {
        let (mut common, mut from) = (Vec::new(), 0);
        for range in self.ranges.iter() {
            // Those before this one are before the next one, too.
            from += other.ranges[from..].iter().take_while(|that| that.is_before(range)).count();
            let met = other.ranges[from..].iter().take_while(|that| !range.is_before(that));
            common.extend(met.map(|that| range.intersection(that)));
        }
        Multirange::new(self.of.clone(), common)
    }

    /// `self - other`
    pub fn difference(&self, other: &Multirange) -> Result<Multirange> {
        let (mut left, mut from) = (Vec::new(), 0);
        for range in self.ranges.iter() {
            from += other.ranges[from..].iter().take_while(|that| that.is_before(range)).count();
            let mut rest = range.clone();
            for that in other.ranges[from..].iter().take_while(|that| !range.is_before(that)) {
                let (before, behind) = rest.without(that)?;
                left.push(before);
                rest = behind;
            }
            left.push(rest);
        }
        Ok(Multirange::new(self.of.clone(), left))
    }

    /// The bytes that rows hold.
    pub fn bytes(&self) -> Vec<u8> {
        self.ranges.iter().flat_map(Range::bytes).collect()
    }

    /// What [`Multirange::bytes`] gave; other bytes are an error.
    pub fn from_bytes(of: RangeType, bytes: &[u8]) -> Result<Multirange> {
        let mut reader = Reader::new(bytes);
        let mut ranges: Vec<Range> = Vec::new();
        while !reader.is_empty() {
            let range = Range::decode(of.clone(), &mut reader)?;
            let follows =
                ranges.last().is_none_or(|last| last.is_before(&range) && !last.is_adjacent(&range));
            if range.is_empty() || !follows {
                return Err(Error::internal("bytes that are no multirange"));
            }
            ranges.push(range);
        }
        Ok(Multirange { of, ranges: ranges.into() })
    }
}

/// The empty set first, then by the first range that differs.
impl PartialOrd for Multirange {
    fn partial_cmp(&self, other: &Multirange) -> Option<Ordering> {
        self.ranges.partial_cmp(&other.ranges)
    }
}

/// What stands on a side of an operator: a range is the set of its values.
fn ranges_of(value: &Value) -> Result<(&[Range], Range)> {
    match value {
        Value::Range(range) => Ok((std::slice::from_ref(range), range.clone())),
        Value::Multirange(set) => Ok((set.ranges(), set.hull())),
        other => Err(Error::internal(format!("expected a range or multirange, found {other:?}"))),
    }
}

/// The answer of an operator with a multirange on a side; an error of a value that has no place beside it. What is asked of
/// the order of sets is asked of their hulls.
pub fn holds(relation: Relation, left: &Value, right: &Value) -> Result<bool> {
    let has = |set: &Value, element: &Value| {
        let ranges = ranges_of(set)?.0.iter();
        ranges.map(|range| range.has(element)).try_fold(false, |found, has| Ok(found || has?))
    };
    let is_set = |value: &Value| matches!(value, Value::Range(_) | Value::Multirange(_));
    match relation {
        Relation::Contains if !is_set(right) => return has(left, right),
        Relation::ContainedBy if !is_set(left) => return has(right, left),
        _ => {}
    }
    let ((a, hull), (b, other_hull)) = (ranges_of(left)?, ranges_of(right)?);
    let covers = |outer: &[Range], inner: &[Range]| {
        inner.iter().all(|i| i.is_empty() || outer.iter().any(|o| o.contains(i)))
    };
    match relation {
        Relation::Contains => Ok(covers(a, b)),
        Relation::ContainedBy => Ok(covers(b, a)),
        Relation::Overlaps => Ok(a.iter().any(|range| b.iter().any(|that| range.overlaps(that)))),
        relation => relation.holds(&hull, &Value::Range(other_hull)),
    }
}

/// Appends `{[1,3),[5,9)}`, as a session wants its values.
pub fn print(set: &Multirange, look: Look, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, range) in set.ranges.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        range::print(range, look, out);
    }
    out.push(b'}');
}

/// Where in a text the reading is.
#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeRange,
    InRange,
    Quoted,
    AfterRange,
}

/// A multirange from its text, with moments that name no zone in `zone`.
pub fn parse(of: &RangeType, text: &str, zone: Zone) -> Result<Multirange> {
    let malformed = |detail: &str| {
        let message = format!("malformed multirange literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    const EMPTY: &str = "empty";
    let inner = text.trim_start_matches(is_space);
    let inner = inner.strip_prefix('{').ok_or_else(|| malformed("Missing left brace."))?;
    let (mut ranges, mut seen, mut begin, mut state) = (Vec::new(), false, 0, State::BeforeRange);
    let mut chars = inner.char_indices();
    let end = loop {
        let (at, c) = chars.next().ok_or_else(|| malformed("Unexpected end of input."))?;
        state = match (state, c) {
            (state, c) if is_space(c) => state,
            (State::BeforeRange, '[' | '(') => {
                begin = at;
                State::InRange
            }
            (State::BeforeRange, '}') if !seen => break at,
            (State::BeforeRange, _) => {
                let word = inner[at..].get(..EMPTY.len());
                if !word.is_some_and(|word| word.eq_ignore_ascii_case(EMPTY)) {
                    return Err(malformed("Expected range start."));
                }
                chars.nth(EMPTY.len() - 2);
                State::AfterRange
            }
            (State::InRange, ']' | ')') => {
                ranges.push(range::parse(of.clone(), &inner[begin..=at], zone)?);
                State::AfterRange
            }
            (State::InRange, '"') => State::Quoted,
            (State::Quoted, '"') if !inner[at + 1..].starts_with('"') => State::InRange,
            (State::Quoted, '"') | (State::InRange | State::Quoted, '\\') => {
                chars.next();
                state
            }
            (State::InRange | State::Quoted, _) => state,
            (State::AfterRange, ',') => State::BeforeRange,
            (State::AfterRange, '}') => break at,
            (State::AfterRange, _) => return Err(malformed("Expected comma or end of multirange.")),
        };
        seen |= state == State::AfterRange;
    };
    match inner[end + 1..].trim_start_matches(is_space) {
        "" => Ok(Multirange::new(of.clone(), ranges)),
        _ => Err(malformed("Junk after closing right brace.")),
    }
}

/// multirange_send
pub fn send(set: &Multirange, out: &mut Vec<u8>) {
    out.extend_from_slice(&(set.ranges.len() as u32).to_be_bytes());
    for range in set.ranges.iter() {
        let length = out.len();
        out.extend_from_slice(&[0; 4]);
        range::send(range, out);
        let bytes = (out.len() - length - 4) as u32;
        out[length..length + 4].copy_from_slice(&bytes.to_be_bytes());
    }
}

/// multirange_recv
pub fn receive(of: &RangeType, bytes: &[u8]) -> Result<Multirange> {
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        *bytes = rest;
        usize::try_from(u32::from_be_bytes(*number)).map_err(|_| short())
    };
    let mut rest = bytes;
    let count = number(&mut rest)?;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let length = number(&mut rest)?;
        let (range, after) = rest.split_at_checked(length).ok_or_else(short)?;
        ranges.push(range::receive(of.clone(), range)?);
        rest = after;
    }
    if rest.is_empty() { Ok(Multirange::new(of.clone(), ranges)) } else { Err(trailing()) }
}

#[cfg(test)]
mod tests;
