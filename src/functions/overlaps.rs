//! OVERLAPS: whether two periods have a moment in common.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result};
use crate::functions::dates::{moment, shifted, shifted_in_zone};
use crate::functions::value::{functions as build, lenient_shown};
use crate::types::datetime::MICROSECONDS_PER_DAY;
use crate::types::{Look, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(OVERLAPS.iter().map(|signature| lenient_shown(signature, overlaps)).collect())
}

/// Periods from moment to moment, or of a length.
const OVERLAPS: &[&str] = &[
    "overlaps(timestamp, timestamp, timestamp, timestamp) bool",
    "overlaps(timestamp, timestamp, timestamp, interval) bool",
    "overlaps(timestamp, interval, timestamp, timestamp) bool",
    "overlaps(timestamp, interval, timestamp, interval) bool",
    "overlaps(timestamptz, timestamptz, timestamptz, timestamptz) bool",
    "overlaps(timestamptz, timestamptz, timestamptz, interval) bool",
    "overlaps(timestamptz, interval, timestamptz, timestamptz) bool",
    "overlaps(timestamptz, interval, timestamptz, interval) bool",
    "overlaps(time, time, time, time) bool",
    "overlaps(time, time, time, interval) bool",
    "overlaps(time, interval, time, time) bool",
    "overlaps(time, interval, time, interval) bool",
    "overlaps(timetz, timetz, timetz, timetz) bool",
];

/// Whether two periods overlap, each a start with an end or a length. A period of one known end may do so or not.
fn overlaps(look: Look, v: &[Value]) -> Result<Value> {
    let end = |start: &Value, end: &Value| match (start, end) {
        (Value::Null, Value::Interval(_)) => Ok(Value::Null),
        (Value::Time(at), Value::Interval(length)) => Ok(Value::Time(
            (at + length.microseconds % MICROSECONDS_PER_DAY).rem_euclid(MICROSECONDS_PER_DAY),
        )),
        (Value::Timestamptz(at), Value::Interval(length)) => shifted_in_zone(*at, *length, 1, look.zone),
        (start, Value::Interval(length)) => shifted(start, *length, 1),
        (_, end) => Ok(end.clone()),
    };
    let at = |value: &Value| match value {
        Value::Null => None,
        Value::Time(at) => Some(*at),
        Value::Timetz(time) => Some(time.in_greenwich()),
        value => Some(moment(value)),
    };
    // The earlier end first, or the only one that is known.
    let period = |start: &Value, length: &Value| {
        Ok::<_, Error>(match (at(start), at(&end(start, length)?)) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some((one, None)),
            (Some(start), Some(end)) => Some((start.min(end), Some(start.max(end)))),
        })
    };
    let (Some(one), Some(other)) = (period(&v[0], &v[1])?, period(&v[2], &v[3])?) else {
        return Ok(Value::Null);
    };
    let (first, second) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    Ok(match (first, second) {
        ((start, end), (same, other)) if start == same => match (end, other) {
            (Some(_), Some(_)) => Value::Bool(true),
            _ => Value::Null,
        },
        ((_, None), _) => Value::Null,
        ((_, Some(end)), (start, _)) if start < end => Value::Bool(true),
        (_, (_, None)) => Value::Null,
        _ => Value::Bool(false),
    })
}
