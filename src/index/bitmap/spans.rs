//! A column of ranges: the numbers of its lower and of its upper ends, each a column of fixed width.
//!
//! How a range lies beside another is a condition on each of its ends, so that the answer is what two columns select:
//!
//! ```text
//!   range @> [low, high]      lower <= low  and upper >= high
//!   range && [low, high]      lower <= high and upper >= low
//!   range << [low, high]      upper <  low
//! ```
//!
//! The empty range begins behind everything and ends before everything, which keeps it out of all answers but those it
//! belongs to.

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Writer};
use super::fixed::Fixed;
use super::predicate::{Predicate, Ranges};
use crate::error::Result;
use crate::types::Value;
use crate::types::range::{BELOW_ALL, BEYOND_ALL, ENDLESS_ABOVE, ENDLESS_BELOW, Relation, place_of};

#[derive(Clone)]
pub struct Spans {
    lower: Fixed<u128>,
    upper: Fixed<u128>,
}

impl Spans {
    pub fn new() -> Spans {
        Spans { lower: Fixed::new(), upper: Fixed::new() }
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        self.lower.save(out)?;
        self.upper.save(out)
    }

    pub fn open(from: &mut BlockReader) -> Result<Spans> {
        Ok(Spans { lower: Fixed::open(from)?, upper: Fixed::open(from)? })
    }

    pub fn set(&mut self, slot: u32, (lower, upper): (u128, u128)) {
        self.lower.set(slot, lower);
        self.upper.set(slot, upper);
    }

    pub fn set_null(&mut self, slot: u32) {
        self.lower.set_null(slot);
        self.upper.set_null(slot);
    }

    pub fn remove(&mut self, slot: u32) {
        self.lower.remove(slot);
        self.upper.remove(slot);
    }

    /// Whether the slot has these ends, or NULL.
    pub fn holds(&self, slot: u32, ends: Option<(u128, u128)>) -> bool {
        self.lower.holds(slot, ends.map(|ends| ends.0)) && self.upper.holds(slot, ends.map(|ends| ends.1))
    }

    /// The slots whose range satisfies the predicate; `None` when it is not about ranges.
    pub fn select(&self, predicate: &Predicate) -> Option<RoaringBitmap> {
        match predicate {
            Predicate::Eq(value) => self.equal(value),
            Predicate::In(values) => {
                let mut all = RoaringBitmap::new();
                for value in values {
                    all |= self.equal(value)?;
                }
                Some(all)
            }
            Predicate::Related(_, Value::Null) => Some(RoaringBitmap::new()),
            Predicate::Related(relation, other) => self.related(*relation, other),
            Predicate::Range { .. } | Predicate::IsNull | Predicate::IsNotNull | Predicate::Prefix(_) => None,
        }
    }

    fn equal(&self, value: &Value) -> Option<RoaringBitmap> {
        match value {
            Value::Null => Some(RoaringBitmap::new()),
            Value::Range(range) => {
                let (low, high) = range.ends()?;
                Some(self.lower(low, low) & self.upper(high, high))
            }
            _ => None,
        }
    }

    fn related(&self, relation: Relation, other: &Value) -> Option<RoaringBitmap> {
        let (low, high) = match other {
            Value::Range(range) => range.ends()?,
            element => place_of(element).map(|at| (at, at))?,
        };
        let is_empty = low == BEYOND_ALL;
        Some(match relation {
            Relation::Contains if is_empty => self.present(),
            Relation::ContainedBy if is_empty => self.lower(BEYOND_ALL, BEYOND_ALL),
            _ if is_empty => RoaringBitmap::new(),
            Relation::Contains => self.lower(BELOW_ALL, low) & self.upper(high, BEYOND_ALL),
            Relation::ContainedBy => self.lower(low, BEYOND_ALL) & self.upper(BELOW_ALL, high),
            Relation::Overlaps => self.lower(BELOW_ALL, high) & self.upper(low, BEYOND_ALL),
            Relation::Before => self.upper(ENDLESS_BELOW, low - 1),
            Relation::After => self.lower(high + 1, ENDLESS_ABOVE),
            Relation::EndsWithin => self.upper(ENDLESS_BELOW, high),
            Relation::BeginsWithin => self.lower(low, ENDLESS_ABOVE),
            Relation::Adjacent => {
                let mut slots = RoaringBitmap::new();
                if low > ENDLESS_BELOW {
                    slots |= self.upper(low - 1, low - 1);
                }
                if high < ENDLESS_ABOVE {
                    slots |= self.lower(high + 1, high + 1);
                }
                slots
            }
        })
    }

    /// Slots whose range begins between two ends, both included.
    fn lower(&self, from: u128, to: u128) -> RoaringBitmap {
        between(&self.lower, from, to)
    }

    /// Slots whose range ends there.
    fn upper(&self, from: u128, to: u128) -> RoaringBitmap {
        between(&self.upper, from, to)
    }

    pub fn present(&self) -> RoaringBitmap {
        self.lower.present()
    }

    pub fn nulls(&self) -> RoaringBitmap {
        self.lower.nulls()
    }

    /// Distinct lower ends, which are no more than there are ranges.
    pub fn distinct(&self) -> Option<u64> {
        self.lower.distinct()
    }

    pub fn bytes(&self) -> u64 {
        self.lower.bytes() + self.upper.bytes()
    }
}

/// None where nothing is between: before what has no lower end, behind what has no upper one.
fn between(column: &Fixed<u128>, from: u128, to: u128) -> RoaringBitmap {
    let places = if from <= to { vec![(from, to)] } else { Vec::new() };
    column.select(&Ranges(places))
}
