//! Metadata indexes: which slots hold a value, exactly, from memory.
//!
//! One [`ColumnIndex`] per filterable column holds the newest value of every live slot:
//!
//! ```text
//!   array.rs      the column's values as ordered integers, by slot, in chunks of 8,192 with their extremes
//!   filter.rs     which values a chunk does not have, once there are many
//!   postings.rs   value -> bitmap of slots, while there are few distinct values
//!   fixed.rs      both together, for types of fixed width: ranges scan the array, equality takes the bitmaps
//!   spans.rs      ranges as two fixed columns, of their lower and upper ends
//!   values.rs     a column's values as they were, for scans that need no row
//!   text.rs       a dictionary from text to codes, and the codes as a fixed column; of many texts, hashes
//!   file.rs       all indexes of a table in a file, beside the slots that live
//!   blocks.rs     the bytes of that file, with checksums
//! ```
//!
//! `keys.rs` turns SQL values into integers of the same order, `predicate.rs` predicates into ranges of them. A file is
//! what the indexes were at a checkpoint; without one they are made from the rows at open.
//!
//! All parts are shared and copied on write, so a clone costs some hundred reference counts: readers hold one
//! while a single writer changes his. What an index cannot answer (ranges of text with more distinct values than the
//! dictionary takes, values of another type) is `None`, and the caller looks at the rows.

mod array;
mod blocks;
pub mod file;
mod filter;
mod fixed;
mod keys;
mod postings;
mod predicate;
mod spans;
mod text;
mod values;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::types::{Type, Value};
use blocks::{BlockReader, Writer};
use fixed::Fixed;
pub use keys::key_of_element;
use keys::{Family, Key};
pub use predicate::Predicate;
use predicate::Ranges;
use spans::Spans;
use text::Text;
pub use values::ColumnValues;

/// The newest values of one column, by slot.
#[derive(Clone)]
pub struct ColumnIndex {
    family: Family,
    values: Values,
}

/// An order of rows by one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    pub descending: bool,
    pub nulls: Nulls,
}

/// Where rows without a value come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    First,
    Last,
    /// Nowhere: `min` and `max` do not see them.
    Ignored,
}

/// By the width of the column's keys.
#[derive(Clone)]
enum Values {
    Two(Fixed<u16>),
    Four(Fixed<u32>),
    Eight(Fixed<u64>),
    Sixteen(Fixed<u128>),
    Spans(Spans),
    Text(Text),
    /// A value came that is not of the column's type: nothing is answered any more.
    Unusable,
}

/// Runs the same expression on whichever width there is.
macro_rules! on_fixed {
    ($values:expr, $fixed:ident => $run:expr, $text:ident => $run_text:expr, $unusable:expr) => {
        match $values {
            Values::Two($fixed) => $run,
            Values::Four($fixed) => $run,
            Values::Eight($fixed) => $run,
            Values::Sixteen($fixed) => $run,
            Values::Spans($text) => $run_text,
            Values::Text($text) => $run_text,
            Values::Unusable => $unusable,
        }
    };
}

impl ColumnIndex {
    /// An empty index for a column of type `ty`; `None` when there is none for the type.
    pub fn for_type(ty: &Type) -> Option<ColumnIndex> {
        Family::of(ty).map(ColumnIndex::for_family)
    }

    fn for_family(family: Family) -> ColumnIndex {
        let values = match family.key_bytes() {
            Some(2) => Values::Two(Fixed::new()),
            Some(4) => Values::Four(Fixed::new()),
            Some(8) => Values::Eight(Fixed::new()),
            Some(16) => Values::Sixteen(Fixed::new()),
            _ if family == Family::Range => Values::Spans(Spans::new()),
            _ => Values::Text(Text::new()),
        };
        ColumnIndex { family, values }
    }

    /// A number that indexes of types have in common whose keys are the same.
    pub fn family(&self) -> u8 {
        self.family.number()
    }

    fn save(&self, out: &mut Writer) -> Result<()> {
        let usable = !matches!(self.values, Values::Unusable);
        out.put(&[self.family.number(), u8::from(usable)])?;
        on_fixed!(&self.values, fixed => fixed.save(out), parts => parts.save(out), Ok(()))
    }

    fn open(from: &mut BlockReader) -> Result<ColumnIndex> {
        let (number, usable) = (from.u8()?, from.u8()?);
        let family = Family::numbered(number);
        let family = family.ok_or_else(|| from.corrupt("a family of types", number))?;
        let values = match (usable, ColumnIndex::for_family(family).values) {
            (0, _) | (_, Values::Unusable) => Values::Unusable,
            (_, Values::Two(_)) => Values::Two(Fixed::open(from)?),
            (_, Values::Four(_)) => Values::Four(Fixed::open(from)?),
            (_, Values::Eight(_)) => Values::Eight(Fixed::open(from)?),
            (_, Values::Sixteen(_)) => Values::Sixteen(Fixed::open(from)?),
            (_, Values::Spans(_)) => Values::Spans(Spans::open(from)?),
            (_, Values::Text(_)) => Values::Text(Text::open(from)?),
        };
        Ok(ColumnIndex { family, values })
    }

    /// The slot's value is now `value`, whatever it was before.
    pub fn set(&mut self, slot: u32, value: &Value) {
        if *value == Value::Null {
            return on_fixed!(&mut self.values, fixed => fixed.set_null(slot), text => text.set_null(slot), ());
        }
        if let Values::Text(text) = &mut self.values {
            match self.family.kept_text(value) {
                Some(value) => text.set(slot, &value),
                None => self.values = Values::Unusable,
            }
            return;
        }
        if let Values::Spans(spans) = &mut self.values {
            match ends(value) {
                Some(ends) => spans.set(slot, ends),
                None => self.values = Values::Unusable,
            }
            return;
        }
        let Some(key) = self.family.key(value) else {
            self.values = Values::Unusable;
            return;
        };
        on_fixed!(&mut self.values, fixed => fixed.set(slot, Key::narrow(key)), _text => (), ());
    }

    /// The slot holds nothing any more.
    pub fn remove(&mut self, slot: u32) {
        on_fixed!(&mut self.values, fixed => fixed.remove(slot), text => text.remove(slot), ());
    }

    /// Whether the slot is under `value` and under nothing else, as far as the index tells values apart: its invariant.
    pub fn agrees(&self, slot: u32, value: &Value) -> bool {
        if let Values::Text(text) = &self.values {
            return match value {
                Value::Null => text.holds(slot, None),
                value => self.family.kept_text(value).is_some_and(|value| text.holds(slot, Some(&value))),
            };
        }
        if let Values::Spans(spans) = &self.values {
            return match value {
                Value::Null => spans.holds(slot, None),
                value => ends(value).is_some_and(|ends| spans.holds(slot, Some(ends))),
            };
        }
        let key = match value {
            Value::Null => None,
            value => match self.family.key(value) {
                Some(key) => Some(key),
                None => return matches!(self.values, Values::Unusable),
            },
        };
        on_fixed!(&self.values, fixed => fixed.holds(slot, key.map(Key::narrow)), _text => false, true)
    }

    /// Exactly the slots that satisfy the predicate (SQL's true, not unknown); `None` when the index cannot say.
    pub fn select(&self, predicate: &Predicate) -> Option<RoaringBitmap> {
        match predicate {
            Predicate::IsNull => {
                on_fixed!(&self.values, fixed => Some(fixed.nulls()), text => Some(text.nulls()), None)
            }
            Predicate::IsNotNull => {
                on_fixed!(&self.values, fixed => Some(fixed.present()), text => Some(text.present()), None)
            }
            _ => {
                if let Values::Text(text) = &self.values {
                    return text.select(&predicate.texts(self.family)?);
                }
                if let Values::Spans(spans) = &self.values {
                    return spans.select(predicate);
                }
                let ranges = predicate.ranges(self.family)?;
                on_fixed!(&self.values, fixed => Some(fixed.select(&ranges.narrow())), _text => None, None)
            }
        }
    }

    /// How many slots satisfy the predicate.
    pub fn count(&self, predicate: &Predicate) -> Option<u64> {
        match predicate {
            Predicate::IsNull | Predicate::IsNotNull => self.select(predicate).map(|slots| slots.len()),
            _ => {
                if let Values::Text(text) = &self.values {
                    return text.count(&predicate.texts(self.family)?);
                }
                if let Values::Spans(spans) = &self.values {
                    return spans.select(predicate).map(|slots| slots.len());
                }
                let ranges: Ranges<u128> = predicate.ranges(self.family)?;
                on_fixed!(&self.values, fixed => Some(fixed.count(&ranges.narrow())), _text => None, None)
            }
        }
    }

    /// The first `rows` slots of `among`, or of all, and those that are equal to the last of them: those with the least
    /// values, or with the greatest, NULLs where the order has them. `None` when the index has no order.
    pub fn first(&self, among: Option<&RoaringBitmap>, order: Order, rows: usize) -> Option<RoaringBitmap> {
        let nulls = || {
            let nulls =
                on_fixed!(&self.values, fixed => fixed.nulls(), text => text.nulls(), RoaringBitmap::new());
            fixed::within(nulls, among)
        };
        let mut first = RoaringBitmap::new();
        if order.nulls == Nulls::First && rows > 0 {
            first = nulls();
        }
        let left = rows.saturating_sub(first.len() as usize);
        if left > 0 {
            first |= match &self.values {
                Values::Two(fixed) => fixed.first(among, order.descending, left),
                Values::Four(fixed) => fixed.first(among, order.descending, left),
                Values::Eight(fixed) => fixed.first(among, order.descending, left),
                Values::Sixteen(fixed) => fixed.first(among, order.descending, left),
                Values::Text(text) => text.first(among, order.descending, left)?,
                Values::Spans(_) | Values::Unusable => return None,
            };
        }
        if order.nulls == Nulls::Last && (first.len() as usize) < rows {
            first |= nulls();
        }
        Some(first)
    }

    /// Distinct values, while they are few enough to be kept apart.
    pub fn distinct(&self) -> Option<u64> {
        on_fixed!(&self.values, fixed => fixed.distinct(), text => text.distinct(), None)
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        on_fixed!(&self.values, fixed => fixed.bytes(), text => text.bytes(), 0)
    }
}

impl std::fmt::Display for ColumnIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let count = |predicate| self.count(&predicate).unwrap_or(0);
        let (values, nulls) = (count(Predicate::IsNotNull), count(Predicate::IsNull));
        write!(f, "{:?}: {values} values, {nulls} NULLs", self.family)?;
        match self.distinct() {
            Some(distinct) => write!(f, ", {distinct} different"),
            None => Ok(()),
        }
    }
}

/// Whether an index over a column of this type orders its values as a sort does, and finds one by its equals: ranges lie
/// by their ends, `char(n)` is kept without its blanks, and citext without its case.
pub fn has_order(ty: &Type) -> bool {
    Family::of(ty).is_some_and(|family| !matches!(family, Family::Range | Family::Bpchar | Family::Citext))
}

/// The ends of a range.
fn ends(value: &Value) -> Option<(u128, u128)> {
    if let Value::Range(range) = value { range.ends() } else { None }
}

#[cfg(test)]
mod tests;
