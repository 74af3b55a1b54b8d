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

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Writer};
use super::fixed::Fixed;
use super::predicate::{Predicate, Ranges};
use super::share::Share;
use crate::error::Result;
use crate::types::Value;
use crate::types::range::{BELOW_ALL, BEYOND_ALL, ENDLESS_ABOVE, ENDLESS_BELOW, Relation, place_of};

#[derive(Clone)]
pub struct Spans {
    lower: Fixed<u128>,
    upper: Fixed<u128>,
}

impl Spans {
    pub fn new(share: &Arc<Share>) -> Spans {
        Spans { lower: Fixed::new(share), upper: Fixed::new(share) }
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        self.lower.save(out)?;
        self.upper.save(out)
    }

    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Spans> {
        Ok(Spans { lower: Fixed::open(from, share)?, upper: Fixed::open(from, share)? })
    }

    pub fn set(&mut self, slot: u32, (lower, upper): (u128, u128)) -> Result<()> {
        self.lower.set(slot, lower)?;
        self.upper.set(slot, upper)
    }

    pub fn set_null(&mut self, slot: u32) -> Result<()> {
        self.lower.set_null(slot)?;
        self.upper.set_null(slot)
    }

    pub fn remove(&mut self, slot: u32) -> Result<()> {
        self.lower.remove(slot)?;
        self.upper.remove(slot)
    }

    /// Whether the slot has these ends, or NULL.
    pub fn holds(&self, slot: u32, ends: Option<(u128, u128)>) -> Result<bool> {
        let lower = self.lower.holds(slot, ends.map(|ends| ends.0))?;
        Ok(lower && self.upper.holds(slot, ends.map(|ends| ends.1))?)
    }

    /// The slots whose range satisfies the predicate; `None` when it is not about ranges.
    pub fn select(&self, predicate: &Predicate) -> Result<Option<RoaringBitmap>> {
        match predicate {
            Predicate::Eq(value) => self.equal(value),
            Predicate::In(values) => {
                let mut all = RoaringBitmap::new();
                for value in values {
                    let Some(slots) = self.equal(value)? else { return Ok(None) };
                    all |= slots;
                }
                Ok(Some(all))
            }
            Predicate::Related(_, Value::Null) => Ok(Some(RoaringBitmap::new())),
            Predicate::Related(relation, other) => self.related(*relation, other),
            Predicate::Range { .. } | Predicate::IsNull | Predicate::IsNotNull | Predicate::Prefix(_) => {
                Ok(None)
            }
        }
    }

    fn equal(&self, value: &Value) -> Result<Option<RoaringBitmap>> {
        let ends = match value {
            Value::Null => return Ok(Some(RoaringBitmap::new())),
            Value::Range(range) => range.ends(),
            _ => None,
        };
        let Some((low, high)) = ends else { return Ok(None) };
        Ok(Some(self.lower(low, low)? & self.upper(high, high)?))
    }

    fn related(&self, relation: Relation, other: &Value) -> Result<Option<RoaringBitmap>> {
        let ends = match other {
            Value::Range(range) => range.ends(),
            element => place_of(element).map(|at| (at, at)),
        };
        let Some((low, high)) = ends else { return Ok(None) };
        let is_empty = low == BEYOND_ALL;
        Ok(Some(match relation {
            Relation::Contains if is_empty => self.present()?,
            Relation::ContainedBy if is_empty => self.lower(BEYOND_ALL, BEYOND_ALL)?,
            _ if is_empty => RoaringBitmap::new(),
            Relation::Contains => self.lower(BELOW_ALL, low)? & self.upper(high, BEYOND_ALL)?,
            Relation::ContainedBy => self.lower(low, BEYOND_ALL)? & self.upper(BELOW_ALL, high)?,
            Relation::Overlaps => self.lower(BELOW_ALL, high)? & self.upper(low, BEYOND_ALL)?,
            Relation::Before => self.upper(ENDLESS_BELOW, low - 1)?,
            Relation::After => self.lower(high + 1, ENDLESS_ABOVE)?,
            Relation::EndsWithin => self.upper(ENDLESS_BELOW, high)?,
            Relation::BeginsWithin => self.lower(low, ENDLESS_ABOVE)?,
            Relation::Adjacent => {
                let mut slots = RoaringBitmap::new();
                if low > ENDLESS_BELOW {
                    slots |= self.upper(low - 1, low - 1)?;
                }
                if high < ENDLESS_ABOVE {
                    slots |= self.lower(high + 1, high + 1)?;
                }
                slots
            }
        }))
    }

    /// Slots whose range begins between two ends, both included.
    fn lower(&self, from: u128, to: u128) -> Result<RoaringBitmap> {
        between(&self.lower, from, to)
    }

    /// Slots whose range ends there.
    fn upper(&self, from: u128, to: u128) -> Result<RoaringBitmap> {
        between(&self.upper, from, to)
    }

    pub fn present(&self) -> Result<RoaringBitmap> {
        self.lower.present()
    }

    pub fn nulls(&self) -> Result<RoaringBitmap> {
        self.lower.nulls()
    }

    pub fn charge(&self) {
        self.lower.charge();
        self.upper.charge();
    }

    pub fn spill_next(&mut self) -> u64 {
        self.lower.spill_next() + self.upper.spill_next()
    }

    pub fn chunks_in_files(&self, slots: &RoaringBitmap) -> usize {
        self.lower.chunks_in_files(slots) + self.upper.chunks_in_files(slots)
    }

    pub fn is_movable(&self) -> bool {
        self.lower.is_movable() || self.upper.is_movable()
    }

    pub fn drop_bitmaps(&mut self) {
        self.lower.drop_bitmaps();
        self.upper.drop_bitmaps();
    }

    pub fn make_next_filters(&mut self, count: usize) -> Result<()> {
        self.lower.make_next_filters(count)?;
        self.upper.make_next_filters(count)
    }

    pub fn has_lost(&self) -> bool {
        self.lower.has_lost() || self.upper.has_lost()
    }

    pub fn lacks_filters(&self) -> bool {
        self.lower.lacks_filters() || self.upper.lacks_filters()
    }

    pub fn bitmap_bytes(&self) -> u64 {
        self.lower.bitmap_bytes() + self.upper.bitmap_bytes()
    }

    pub fn settle(&mut self) -> Result<()> {
        self.lower.settle()?;
        self.upper.settle()
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
fn between(column: &Fixed<u128>, from: u128, to: u128) -> Result<RoaringBitmap> {
    let places = if from <= to { vec![(from, to)] } else { Vec::new() };
    column.select(&Ranges(places))
}
