//! Which rows of a partition are in the frame of each row, as PostgreSQL's `nodeWindowAgg.c` has it.
//!
//! ```text
//!                  start .............. end            of the partition, in its order
//!   EXCLUDE TIES   start .. peers [row] peers .. end   up to three parts
//! ```
//!
//! A distance of RANGE is compared as the `in_range` function of the key's type does: two infinities are within any
//! distance of each other, NaN is beyond all numbers, and NULLs are each other's peers and nobody else's.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::row::{RowConverter, SortField};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};
use crate::functions::dates::{interval_sign, length, shifted, shifted_in_zone};
use crate::functions::scalar::type_name;
use crate::functions::{decimal, intervals};
use crate::types::numeric::Special;
use crate::types::{Interval, Numeric, Type, Value, Zone};

/// A frame, and the function over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    pub function: String,
    pub units: Units,
    pub start: Bound,
    pub end: Bound,
    pub excluded: Excluded,
    /// Whether there is a FILTER.
    pub filtered: bool,
    /// Whether distances are counted, from the only key.
    pub keyed: bool,
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Units {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bound {
    UnboundedPreceding,
    Preceding,
    CurrentRow,
    Following,
    UnboundedFollowing,
}

impl Bound {
    pub fn has_offset(self) -> bool {
        matches!(self, Bound::Preceding | Bound::Following)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Excluded {
    #[default]
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

/// The type in which an offset is compared; 0A000 for one that has no meaning beside the key.
pub fn offset_type(units: Units, key: Option<&DataType>, given: &DataType) -> Result<DataType> {
    let is_open = matches!(given, DataType::Utf8 | DataType::Null);
    let is_integer = matches!(given, DataType::Int16 | DataType::Int32 | DataType::Int64);
    let Some(key) = key.filter(|_| units == Units::Range) else {
        return match is_integer || is_open {
            true => Ok(DataType::Int64),
            false => {
                let words = if units == Units::Rows { "ROWS" } else { "GROUPS" };
                let message =
                    format!("argument of {words} must be type bigint, not type {}", type_name(given));
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        };
    };
    let is_decimal = decimal::is_numeric(given);
    let found = match key {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            (is_integer || is_open).then_some(DataType::Int64)
        }
        DataType::Float32 | DataType::Float64 => {
            (is_integer || is_open || is_decimal || given.is_floating()).then_some(DataType::Float64)
        }
        key if decimal::is_numeric(key) => (is_integer || is_open || is_decimal).then(decimal::any),
        DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, _)
        | DataType::Time64(_)
        | DataType::FixedSizeBinary(12)
        | DataType::Interval(_) => {
            let interval = crate::types::arrow::data_type(&Type::Interval(None));
            (is_open || matches!(given, DataType::Interval(_))).then_some(interval)
        }
        key => {
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                type_name(key)
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    };
    found.ok_or_else(|| {
        // Literals are bigint until the planner has looked at their sizes.
        let shown = if *given == DataType::Int64 { "integer".into() } else { type_name(given) };
        let message = format!(
            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {shown}",
            type_name(key)
        );
        let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        error.hint("Cast the offset value to an appropriate type.")
    })
}

/// What the frames of a partition are cut by. Offsets are those of the first row.
pub struct Bounds<'a> {
    pub frame: &'a Frame,
    pub zone: Zone,
    pub keys: Option<Vec<Value>>,
    pub starts: Option<Vec<Value>>,
    pub ends: Option<Vec<Value>>,
}

/// The groups of peers of a partition.
struct Groups {
    /// The rows of each.
    rows: Vec<Range<usize>>,
    /// The group of each row.
    of: Vec<usize>,
}

impl Groups {
    fn of_keys(rows: usize, keys: &[ArrayRef]) -> Result<Groups> {
        let mut groups = Groups { rows: Vec::new(), of: Vec::with_capacity(rows) };
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let failed = |error: arrow::error::ArrowError| Error::internal(error.to_string());
        let converted = match keys.is_empty() {
            true => None,
            false => {
                let converter = RowConverter::new(fields).map_err(failed)?;
                Some(converter.convert_columns(keys).map_err(failed)?)
            }
        };
        for row in 0..rows {
            let is_peer = row > 0 && converted.as_ref().is_none_or(|keys| keys.row(row) == keys.row(row - 1));
            match groups.rows.last_mut() {
                Some(last) if is_peer => last.end = row + 1,
                _ => groups.rows.push(row..row + 1),
            }
            groups.of.push(groups.rows.len() - 1);
        }
        Ok(groups)
    }

    fn peers(&self, row: usize) -> Range<usize> {
        self.rows[self.of[row]].clone()
    }
}

impl Bounds<'_> {
    /// The parts of each row's frame.
    pub fn of_rows(&self, rows: usize, peer_keys: &[ArrayRef]) -> Result<Vec<Vec<Range<usize>>>> {
        let groups = Groups::of_keys(rows, peer_keys)?;
        let [start, end] = [(&self.starts, "starting"), (&self.ends, "ending")].map(|(column, which)| {
            let offset = column.as_ref().and_then(|column| column.first());
            offset.map(|offset| self.checked(offset, which)).transpose()
        });
        let (start, end) = (start?, end?);
        let with_key = self.range_of_keys();
        (0..rows)
            .map(|row| {
                let from = self.edge(row, rows, &groups, &with_key, start, true)?;
                let to = self.edge(row, rows, &groups, &with_key, end, false)?;
                Ok(self.without_excluded(row, from..to.max(from), &groups))
            })
            .collect()
    }

    /// An offset that is no frame's is an error also where no row looks at it.
    fn checked<'v>(&self, offset: &'v Value, which: &str) -> Result<&'v Value> {
        match offset {
            Value::Null => {
                Err(Error::new(SqlState("22004"), format!("frame {which} offset must not be null")))
            }
            Value::Int8(..0) if self.frame.units != Units::Range => {
                Err(Error::new(SqlState("22013"), format!("frame {which} offset must not be negative")))
            }
            offset => Ok(offset),
        }
    }

    /// The rows whose key is not NULL: NULLs stand together at one end.
    fn range_of_keys(&self) -> Range<usize> {
        let Some(keys) = &self.keys else { return 0..0 };
        let is_key = |value: &Value| *value != Value::Null;
        let first = keys.iter().position(is_key).unwrap_or(0);
        let end = keys.iter().rposition(is_key).map_or(0, |last| last + 1);
        first..end
    }

    /// The first row of a frame, or the row behind its last.
    fn edge(
        &self,
        row: usize,
        rows: usize,
        groups: &Groups,
        with_key: &Range<usize>,
        offset: Option<&Value>,
        is_start: bool,
    ) -> Result<usize> {
        let bound = if is_start { self.frame.start } else { self.frame.end };
        let side = |range: Range<usize>| if is_start { range.start } else { range.end };
        let back = match bound {
            Bound::UnboundedPreceding => return Ok(0),
            Bound::UnboundedFollowing => return Ok(rows),
            Bound::CurrentRow => {
                return Ok(match self.frame.units {
                    Units::Rows => side(row..row + 1),
                    Units::Range | Units::Groups => side(groups.peers(row)),
                });
            }
            Bound::Preceding => true,
            Bound::Following => false,
        };
        let offset = offset.unwrap_or(&Value::Null);
        if self.frame.units == Units::Range {
            return self.distant(row, with_key, groups, offset, back, is_start);
        }
        let count = match offset {
            Value::Int8(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            _ => 0,
        };
        let from = if self.frame.units == Units::Rows { row } else { groups.of[row] };
        let all = if self.frame.units == Units::Rows { rows } else { groups.rows.len() };
        let there = if back { from.checked_sub(count) } else { Some(from.saturating_add(count)) };
        Ok(match there {
            None => 0,
            Some(there) if there >= all => rows,
            Some(there) if self.frame.units == Units::Rows => side(there..there + 1),
            Some(there) => side(groups.rows[there].clone()),
        })
    }

    /// The edge at a distance from the row's key.
    fn distant(
        &self,
        row: usize,
        with_key: &Range<usize>,
        groups: &Groups,
        offset: &Value,
        back: bool,
        is_start: bool,
    ) -> Result<usize> {
        let Some(keys) = &self.keys else { return Err(Error::internal("a distance without a key")) };
        let base = &keys[row];
        if *base == Value::Null {
            let peers = groups.peers(row);
            return Ok(if is_start { peers.start } else { peers.end });
        }
        let descending = self.frame.descending;
        let (sub, less) = (back != descending, is_start == descending);
        // Rows before the edge: those out of range of a start, those in range of an end.
        let mut low = with_key.start;
        let mut high = with_key.end;
        while low < high {
            let middle = low + (high - low) / 2;
            let in_range = InRange { zone: self.zone, sub, less }.holds(&keys[middle], base, offset)?;
            if in_range != is_start { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn without_excluded(&self, row: usize, frame: Range<usize>, groups: &Groups) -> Vec<Range<usize>> {
        let cut = |hole: Range<usize>| {
            let before = frame.start..frame.end.min(hole.start).max(frame.start);
            let behind = frame.start.max(hole.end).min(frame.end)..frame.end;
            [before, behind]
        };
        let mut parts: Vec<Range<usize>> = match self.frame.excluded {
            Excluded::NoOthers => return vec![frame],
            Excluded::CurrentRow => cut(row..row + 1).into(),
            Excluded::Group => cut(groups.peers(row)).into(),
            Excluded::Ties => {
                let [before, behind] = cut(groups.peers(row));
                let own = if frame.contains(&row) { row..row + 1 } else { row..row };
                vec![before, own, behind]
            }
        };
        parts.retain(|part| !part.is_empty());
        parts
    }
}

/// Whether a value is at most, or else at least, some distance before or behind another.
struct InRange {
    zone: Zone,
    /// The distance is taken away.
    sub: bool,
    /// At most.
    less: bool,
}

impl InRange {
    fn holds(&self, value: &Value, base: &Value, offset: &Value) -> Result<bool> {
        match (value, base, offset) {
            (_, _, Value::Int8(distance)) => {
                not_negative(*distance < 0)?;
                let (value, base) = (whole(value), whole(base));
                let distance = i128::from(*distance);
                let edge = if self.sub { base - distance } else { base + distance };
                Ok(self.compares(value.cmp(&edge)))
            }
            (_, _, Value::Float8(distance)) => {
                not_negative(distance.is_nan() || *distance < 0.0)?;
                Ok(self.of_floats(float(value), float(base), *distance))
            }
            (Value::Numeric(value), Value::Numeric(base), Value::Numeric(distance)) => {
                let is_nan = distance.as_special() == Some(Special::NaN);
                not_negative(is_nan || distance.is_negative())?;
                self.of_numbers(value, base, distance)
            }
            (Value::Time(value), Value::Time(base), Value::Interval(distance)) => {
                not_negative(distance.microseconds < 0)?;
                Ok(match self.edge_of_times(*base, *distance) {
                    Some(edge) => self.compares(value.cmp(&edge)),
                    None => self.less,
                })
            }
            (Value::Timetz(value), Value::Timetz(base), Value::Interval(distance)) => {
                not_negative(distance.microseconds < 0)?;
                let order = |edge: i64| {
                    let edge_in_greenwich = edge.saturating_add(base.in_greenwich() - base.microseconds);
                    value.in_greenwich().cmp(&edge_in_greenwich).then(value.west.cmp(&base.west))
                };
                let edge = self.edge_of_times(base.microseconds, *distance);
                Ok(edge.map_or(self.less, |edge| self.compares(order(edge))))
            }
            (Value::Interval(_), Value::Interval(base), Value::Interval(distance)) => {
                not_negative(interval_sign(*distance) < 0)?;
                if self.meets(*distance, *base == Interval::INFINITY, *base == Interval::MINUS_INFINITY) {
                    return Ok(true);
                }
                let edge = match self.sub {
                    true => intervals::difference(*base, *distance)?,
                    false => intervals::sum(*base, *distance)?,
                };
                Ok(self.compares(length(value).cmp(&length(&Value::Interval(edge)))))
            }
            (value, base, Value::Interval(distance)) => self.of_moments(value, base, *distance),
            _ => Err(Error::internal("a distance of another type than its key")),
        }
    }

    fn compares(&self, order: Ordering) -> bool {
        if self.less { order.is_le() } else { order.is_ge() }
    }

    /// Whether the edge would be as far from one infinity as the other: everything is in range then.
    fn meets(&self, distance: Interval, base_is_infinite: bool, base_is_minus: bool) -> bool {
        distance == Interval::INFINITY && if self.sub { base_is_infinite } else { base_is_minus }
    }

    fn of_floats(&self, value: f64, base: f64, distance: f64) -> bool {
        if value.is_nan() {
            return base.is_nan() || !self.less;
        }
        if base.is_nan() {
            return self.less;
        }
        if distance.is_infinite() && base.is_infinite() && (base > 0.0) == self.sub {
            return true;
        }
        let edge = if self.sub { base - distance } else { base + distance };
        if self.less { value <= edge } else { value >= edge }
    }

    fn of_numbers(&self, value: &Numeric, base: &Numeric, distance: &Numeric) -> Result<bool> {
        match (value.as_special(), base.as_special(), distance.as_special()) {
            (Some(Special::NaN), Some(Special::NaN), _) => Ok(true),
            (Some(Special::NaN), _, _) => Ok(!self.less),
            (_, Some(Special::NaN), _) => Ok(self.less),
            (_, Some(base), Some(_)) if (base == Special::Infinity) == self.sub => Ok(true),
            _ => {
                let edge = if self.sub { base.minus(distance)? } else { base.plus(distance)? };
                Ok(self.compares(value.compare(&edge)))
            }
        }
    }

    /// `None` beyond all times.
    fn edge_of_times(&self, base: i64, distance: Interval) -> Option<i64> {
        if self.sub { Some(base - distance.microseconds) } else { base.checked_add(distance.microseconds) }
    }

    fn of_moments(&self, value: &Value, base: &Value, distance: Interval) -> Result<bool> {
        use crate::functions::dates::moment;
        not_negative(interval_sign(distance) < 0)?;
        if self.meets(distance, moment(base) == i64::MAX, moment(base) == i64::MIN) {
            return Ok(true);
        }
        let sign = if self.sub { -1 } else { 1 };
        let edge = match base {
            Value::Timestamptz(at) => shifted_in_zone(*at, distance, sign, self.zone)?,
            base => shifted(base, distance, sign)?,
        };
        Ok(self.compares(moment(value).cmp(&moment(&edge))))
    }
}

fn not_negative(wrong: bool) -> Result<()> {
    match wrong {
        true => Err(Error::new(SqlState("22013"), "invalid preceding or following size in window function")),
        false => Ok(()),
    }
}

fn whole(value: &Value) -> i128 {
    crate::functions::dates::integer(value).into()
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Float4(value) => f64::from(*value),
        Value::Float8(value) => *value,
        _ => 0.0,
    }
}
