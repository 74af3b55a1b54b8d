//! Metadata indexes: which slots hold a value, exactly, from memory or from files of ours that the page cache has.
//!
//! One [`ColumnIndex`] per filterable column holds the newest value of every live slot:
//!
//! ```text
//!   array.rs      the column's values as ordered integers, by slot, in chunks of 8,192 with their extremes
//!   chunk.rs      the bytes of a chunk, and the loops that scan them
//!   share.rs      how much may be in memory, and the files of the chunks that are beyond it
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
//! dictionary takes, values of another type, a page of a file that cannot be read) is `None`, and the caller looks at the
//! rows. A writer who needs such a page gives the index up, and it is not saved. Either is made anew from the rows, in the
//! background (`table/state/remake.rs`) or by the next start.
//!
//! Beyond the share of memory ([`Share`]) chunks go to files, each in its turn, and where bitmaps by value take more
//! than half of it they are done without, those of the column that has the most first: equality is then a scan like a range,
//! of the blocks whose filters let the value through, once the chunks have got filters, a few with each change.
//! Dictionaries of texts stay in memory, 1 MB a column at most, and leave so much less for the rest.

mod array;
mod blocks;
mod chunk;
pub mod file;
mod filter;
mod fixed;
mod keys;
mod postings;
mod predicate;
mod share;
mod spans;
mod text;
mod values;

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::types::{Type, Value};
use blocks::{BlockReader, Writer};
use fixed::Fixed;
pub use keys::key_of_element;
use keys::{Family, Key};
pub use predicate::Predicate;
use predicate::Ranges;
pub use share::{Excess, Share};
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
    /// What it has in a file could not be read, so that it misses a change: the same, until it is made from the rows.
    Lost,
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
            Values::Unusable | Values::Lost => $unusable,
        }
    };
}

impl ColumnIndex {
    /// An empty index for a column of type `ty`, of memory without bound; `None` when there is none for the type.
    pub fn for_type(ty: &Type) -> Option<ColumnIndex> {
        ColumnIndex::for_type_in(ty, &Share::unbounded())
    }

    /// The same of a share of memory.
    pub fn for_type_in(ty: &Type, share: &Arc<Share>) -> Option<ColumnIndex> {
        Family::of(ty).map(|family| ColumnIndex::for_family(family, share))
    }

    fn for_family(family: Family, share: &Arc<Share>) -> ColumnIndex {
        let values = match family.key_bytes() {
            Some(2) => Values::Two(Fixed::new(share)),
            Some(4) => Values::Four(Fixed::new(share)),
            Some(8) => Values::Eight(Fixed::new(share)),
            Some(16) => Values::Sixteen(Fixed::new(share)),
            _ if family == Family::Range => Values::Spans(Spans::new(share)),
            _ => Values::Text(Text::new(share)),
        };
        ColumnIndex { family, values }
    }

    /// A number that indexes of types have in common whose keys are the same.
    pub fn family(&self) -> u8 {
        self.family.number()
    }

    /// Whether it is what the rows say, and not one that was given up because a file could not be read.
    pub fn is_whole(&self) -> bool {
        !matches!(self.values, Values::Lost)
    }

    /// Whether a part is in a file that cannot be read any more, so that there are questions it does not answer.
    pub fn has_lost(&self) -> bool {
        on_fixed!(&self.values, fixed => fixed.has_lost(), text => text.has_lost(), false)
    }

    /// As after a part that could not be read.
    #[cfg(test)]
    pub fn lose(&mut self) {
        self.values = Values::Lost;
    }

    fn save(&self, out: &mut Writer) -> Result<()> {
        let usable = !matches!(self.values, Values::Unusable);
        out.put(&[self.family.number(), u8::from(usable)])?;
        on_fixed!(&self.values, fixed => fixed.save(out), parts => parts.save(out), Ok(()))
    }

    fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<ColumnIndex> {
        let (number, usable) = (from.u8()?, from.u8()?);
        let family = Family::numbered(number);
        let family = family.ok_or_else(|| from.corrupt("a family of types", number))?;
        let values = match (usable, ColumnIndex::for_family(family, share).values) {
            (0, _) | (_, Values::Unusable | Values::Lost) => Values::Unusable,
            (_, Values::Two(_)) => Values::Two(Fixed::open(from, share)?),
            (_, Values::Four(_)) => Values::Four(Fixed::open(from, share)?),
            (_, Values::Eight(_)) => Values::Eight(Fixed::open(from, share)?),
            (_, Values::Sixteen(_)) => Values::Sixteen(Fixed::open(from, share)?),
            (_, Values::Spans(_)) => Values::Spans(Spans::open(from, share)?),
            (_, Values::Text(_)) => Values::Text(Text::open(from, share)?),
        };
        Ok(ColumnIndex { family, values })
    }

    /// The slot's value is now `value`, whatever it was before.
    pub fn set(&mut self, slot: u32, value: &Value) {
        match self.try_set(slot, value) {
            Ok(true) => {}
            Ok(false) => self.values = Values::Unusable,
            Err(error) => self.give_up_after(Err(error)),
        }
    }

    /// False for a value of another type.
    fn try_set(&mut self, slot: u32, value: &Value) -> Result<bool> {
        if *value == Value::Null {
            on_fixed!(&mut self.values, fixed => fixed.set_null(slot), text => text.set_null(slot), Ok(()))?;
            return Ok(true);
        }
        match &mut self.values {
            Values::Unusable | Values::Lost => {}
            Values::Text(text) => {
                let Some(value) = self.family.kept_text(value) else { return Ok(false) };
                text.set(slot, &value)?;
            }
            Values::Spans(spans) => {
                let Some(ends) = ends(value) else { return Ok(false) };
                spans.set(slot, ends)?;
            }
            values => {
                let Some(key) = self.family.key(value) else { return Ok(false) };
                on_fixed!(values, fixed => fixed.set(slot, Key::narrow(key)), _text => Ok(()), Ok(()))?;
            }
        }
        Ok(true)
    }

    /// The slot holds nothing any more.
    pub fn remove(&mut self, slot: u32) {
        let removed =
            on_fixed!(&mut self.values, fixed => fixed.remove(slot), text => text.remove(slot), Ok(()));
        self.give_up_after(removed);
    }

    /// Whether the slot is under `value` and under nothing else, as far as the index tells values apart: its invariant.
    /// What it cannot say it does not contradict.
    pub fn agrees(&self, slot: u32, value: &Value) -> bool {
        let agrees = match &self.values {
            Values::Unusable | Values::Lost => Ok(true),
            Values::Text(text) => match value {
                Value::Null => text.holds(slot, None),
                value => match self.family.kept_text(value) {
                    Some(value) => text.holds(slot, Some(&value)),
                    None => Ok(false),
                },
            },
            Values::Spans(spans) => match value {
                Value::Null => spans.holds(slot, None),
                value => match ends(value) {
                    Some(ends) => spans.holds(slot, Some(ends)),
                    None => Ok(false),
                },
            },
            values => {
                let key = match value {
                    Value::Null => None,
                    value => match self.family.key(value) {
                        Some(key) => Some(key),
                        None => return false,
                    },
                };
                on_fixed!(values, fixed => fixed.holds(slot, key.map(Key::narrow)), _text => Ok(true), Ok(true))
            }
        };
        agrees.unwrap_or(true)
    }

    /// Exactly the slots that satisfy the predicate (SQL's true, not unknown); `None` when the index cannot say.
    pub fn select(&self, predicate: &Predicate) -> Option<RoaringBitmap> {
        let selected = match predicate {
            Predicate::IsNull => {
                on_fixed!(&self.values, fixed => fixed.nulls(), text => text.nulls(), return None)
            }
            Predicate::IsNotNull => {
                on_fixed!(&self.values, fixed => fixed.present(), text => text.present(), return None)
            }
            _ => match &self.values {
                Values::Text(text) => return text.select(&predicate.texts(self.family)?).ok()?,
                Values::Spans(spans) => return spans.select(predicate).ok()?,
                values => {
                    let ranges = predicate.ranges(self.family)?;
                    on_fixed!(values, fixed => fixed.select(&ranges.narrow()), _text => return None, return None)
                }
            },
        };
        // The log was told what cannot be read.
        selected.ok()
    }

    /// How many slots satisfy the predicate.
    pub fn count(&self, predicate: &Predicate) -> Option<u64> {
        match predicate {
            Predicate::IsNull | Predicate::IsNotNull => self.select(predicate).map(|slots| slots.len()),
            _ => match &self.values {
                Values::Text(text) => text.count(&predicate.texts(self.family)?).ok()?,
                Values::Spans(_) => self.select(predicate).map(|slots| slots.len()),
                values => {
                    let ranges: Ranges<u128> = predicate.ranges(self.family)?;
                    on_fixed!(values, fixed => fixed.count(&ranges.narrow()).ok(), _text => None, None)
                }
            },
        }
    }

    /// The first `rows` slots of `among`, or of all, and those that are equal to the last of them: those with the least
    /// values, or with the greatest, NULLs where the order has them. `None` when the index has no order, or cannot say.
    pub fn first(&self, among: Option<&RoaringBitmap>, order: Order, rows: usize) -> Option<RoaringBitmap> {
        let nulls = || {
            let nulls = on_fixed!(
                &self.values,
                fixed => fixed.nulls(),
                text => text.nulls(),
                Ok(RoaringBitmap::new())
            );
            nulls.ok().map(|nulls| fixed::within(nulls, among))
        };
        let mut first = RoaringBitmap::new();
        if order.nulls == Nulls::First && rows > 0 {
            first = nulls()?;
        }
        let left = rows.saturating_sub(first.len() as usize);
        if left > 0 {
            first |= match &self.values {
                Values::Two(fixed) => fixed.first(among, order.descending, left).ok()?,
                Values::Four(fixed) => fixed.first(among, order.descending, left).ok()?,
                Values::Eight(fixed) => fixed.first(among, order.descending, left).ok()?,
                Values::Sixteen(fixed) => fixed.first(among, order.descending, left).ok()?,
                Values::Text(text) => text.first(among, order.descending, left).ok()??,
                Values::Spans(_) | Values::Unusable | Values::Lost => return None,
            };
        }
        if order.nulls == Nulls::Last && (first.len() as usize) < rows {
            first |= nulls()?;
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

    /// Counts the bitmaps in the share of memory: what they take is told there after changes, not with each.
    pub fn charge(&self) {
        on_fixed!(&self.values, fixed => fixed.charge(), text => text.charge(), ());
    }

    /// Moves a part to a file, each in its turn, and says how many bytes that are; 0 when there is none in memory any more, or
    /// there can be no file.
    pub fn spill_next(&mut self) -> u64 {
        on_fixed!(&mut self.values, fixed => fixed.spill_next(), text => text.spill_next(), 0)
    }

    /// Parts in files that are copied into memory when these slots change.
    pub fn parts_in_files(&self, slots: &RoaringBitmap) -> usize {
        on_fixed!(&self.values, fixed => fixed.chunks_in_files(slots), text => text.chunks_in_files(slots), 0)
    }

    /// Whether there is something in memory that need not be: never of an index that stays in memory.
    pub fn is_movable(&self) -> bool {
        on_fixed!(&self.values, fixed => fixed.is_movable(), text => text.is_movable(), false)
    }

    /// Bytes of bitmaps by value.
    pub fn bitmap_bytes(&self) -> u64 {
        on_fixed!(&self.values, fixed => fixed.bitmap_bytes(), text => text.bitmap_bytes(), 0)
    }

    /// Does without bitmaps by value.
    pub fn drop_bitmaps(&mut self) {
        on_fixed!(&mut self.values, fixed => fixed.drop_bitmaps(), text => text.drop_bitmaps(), ());
    }

    /// Makes filters of so many chunks that lack them since bitmaps were dropped.
    pub fn make_next_filters(&mut self, count: usize) {
        let made = on_fixed!(
            &mut self.values,
            fixed => fixed.make_next_filters(count),
            text => text.make_next_filters(count),
            Ok(())
        );
        self.give_up_after(made);
    }

    /// Whether [`ColumnIndex::make_next_filters`] has something to do.
    pub fn lacks_filters(&self) -> bool {
        on_fixed!(&self.values, fixed => fixed.lacks_filters(), text => text.lacks_filters(), false)
    }

    /// Takes no more memory than there should be in all, as far as this index can: for who sets many slots in order.
    pub fn settle(&mut self) {
        let done = on_fixed!(&mut self.values, fixed => fixed.settle(), text => text.settle(), Ok(()));
        self.give_up_after(done);
    }

    /// What cannot be read is in bitmaps that nobody could take it out of, or not where it should be. The log was told.
    fn give_up_after(&mut self, outcome: Result<()>) {
        if outcome.is_err() {
            self.values = Values::Lost;
        }
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
mod spill_tests;
#[cfg(test)]
mod tests;
