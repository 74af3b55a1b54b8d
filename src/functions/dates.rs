//! Dates and times: their arithmetic, date_trunc, age, make_date and what belongs to them. Of intervals alone there is more
//! in `intervals.rs`, of fields in `extract.rs`.
//!
//! Days, months and fields of a `timestamptz` are those that clocks of the session's time zone show.

use std::sync::Arc;

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::extract::{self, cannot_truncate, unit_of};
use crate::functions::intervals::{self, justify_hours};
use crate::functions::value::{Definition, functions as build, strict, zoned};
use crate::types::datetime::{MICROSECONDS_PER_DAY, civil_from_days, days_from_civil, days_in_month};
use crate::types::interval::{Field, fit};
use crate::types::{Interval, Timetz, Type, Value, Zone};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let all = [definitions(), intervals::definitions(), extract::definitions()];
    build(all.into_iter().flatten().collect())
}

/// The function behind an operator on dates, times and intervals, by the types of its operands.
pub fn function_of_operator(operator: &str, left: &Type, right: &Type) -> Option<&'static str> {
    let is_date = |ty: &Type| *ty == Type::Date;
    let is_moment = |ty: &Type| matches!(ty, Type::Date | Type::Timestamp(_) | Type::Timestamptz(_));
    let is_number = |ty: &Type| {
        matches!(ty, Type::Int2 | Type::Int4 | Type::Int8 | Type::Float4 | Type::Float8 | Type::Numeric(_))
    };
    let is_integer = |ty: &Type| matches!(ty, Type::Int2 | Type::Int4 | Type::Int8);
    use Type::{Interval, Time, Timetz};
    Some(match (operator, left, right) {
        ("+", date, days) if is_date(date) && is_integer(days) => "date_pli",
        ("+", days, date) if is_date(date) && is_integer(days) => "integer_pl_date",
        ("-", date, days) if is_date(date) && is_integer(days) => "date_mii",
        ("-", one, other) if is_date(one) && is_date(other) => "date_mi",
        ("-", one, other) if is_moment(one) && is_moment(other) => "timestamp_mi",
        ("+", moment, Interval(_)) if is_moment(moment) => "timestamp_pl_interval",
        ("+", Interval(_), moment) if is_moment(moment) => "interval_pl_timestamp",
        ("-", moment, Interval(_)) if is_moment(moment) => "timestamp_mi_interval",
        ("+", date, Time(_)) if is_date(date) => "datetime_pl",
        ("+", Time(_), date) if is_date(date) => "timedate_pl",
        ("+", moment, Time(_)) if is_moment(moment) => "timestamp_pl_interval",
        ("+", Time(_), moment) if is_moment(moment) => "interval_pl_timestamp",
        ("-", moment, Time(_)) if is_moment(moment) => "timestamp_mi_interval",
        ("+", date, Timetz(_)) if is_date(date) => "datetime_pl",
        ("+", Timetz(_), date) if is_date(date) => "timedate_pl",
        ("+", Time(_) | Timetz(_), Interval(_)) => "time_pl_interval",
        ("+", Interval(_), Time(_) | Timetz(_)) => "interval_pl_time",
        ("-", Time(_) | Timetz(_), Interval(_)) => "time_mi_interval",
        ("-", Time(_), Time(_)) => "time_mi_time",
        ("+", Interval(_), Interval(_)) => "interval_pl",
        ("-", Interval(_), Interval(_)) => "interval_mi",
        ("=", Interval(_), Interval(_)) => "interval_eq",
        ("<>" | "!=", Interval(_), Interval(_)) => "interval_ne",
        ("<", Interval(_), Interval(_)) => "interval_lt",
        ("<=", Interval(_), Interval(_)) => "interval_le",
        (">", Interval(_), Interval(_)) => "interval_gt",
        (">=", Interval(_), Interval(_)) => "interval_ge",
        ("*", Interval(_), number) if is_number(number) => "interval_mul",
        ("*", number, Interval(_)) if is_number(number) => "mul_d_interval",
        ("/", Interval(_), number) if is_number(number) => "interval_div",
        _ => return None,
    })
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("date_pli(date, int4) date", |v| add_days(day(&v[0]), integer(&v[1]))),
        strict("integer_pl_date(int4, date) date", |v| add_days(day(&v[1]), integer(&v[0]))),
        strict("date_mii(date, int4) date", |v| add_days(day(&v[0]), -integer(&v[1]))),
        strict("date_mi(date, date) int4", |v| {
            let days = [day(&v[0]), day(&v[1])];
            if days.iter().any(|day| matches!(*day, i32::MIN | i32::MAX)) {
                let message = "cannot subtract infinite dates";
                return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
            }
            Ok(Value::Int4(days[0] - days[1]))
        }),
        strict("timestamp_mi(timestamp, timestamp) interval", |v| difference(moment(&v[0]), moment(&v[1]))),
        strict("timestamp_mi(timestamptz, timestamptz) interval", |v| {
            difference(moment(&v[0]), moment(&v[1]))
        }),
        strict("timestamp_pl_interval(timestamp, interval) timestamp", |v| shifted(&v[0], span(&v[1]), 1)),
        zoned("timestamp_pl_interval(timestamptz, interval) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), 1, zone)
        }),
        strict("timestamp_pl_interval(date, interval) timestamp", |v| shifted(&v[0], span(&v[1]), 1)),
        zoned("date_add(timestamptz, interval) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), 1, zone)
        }),
        strict("date_add(timestamptz, interval, text) timestamptz", |v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), 1, Zone::of_operand(text(&v[2]))?)
        }),
        zoned("date_subtract(timestamptz, interval) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), -1, zone)
        }),
        strict("date_subtract(timestamptz, interval, text) timestamptz", |v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), -1, Zone::of_operand(text(&v[2]))?)
        }),
        strict("interval_pl_timestamp(interval, timestamp) timestamp", |v| shifted(&v[1], span(&v[0]), 1)),
        zoned("interval_pl_timestamp(interval, timestamptz) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[1]), span(&v[0]), 1, zone)
        }),
        strict("interval_pl_timestamp(interval, date) timestamp", |v| shifted(&v[1], span(&v[0]), 1)),
        strict("timestamp_mi_interval(timestamp, interval) timestamp", |v| shifted(&v[0], span(&v[1]), -1)),
        zoned("timestamp_mi_interval(timestamptz, interval) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), span(&v[1]), -1, zone)
        }),
        strict("timestamp_mi_interval(date, interval) timestamp", |v| shifted(&v[0], span(&v[1]), -1)),
        // A time is cast to interval there.
        strict("timestamp_pl_interval(timestamp, time) timestamp", |v| shifted(&v[0], time_of_day(&v[1]), 1)),
        zoned("timestamp_pl_interval(timestamptz, time) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), time_of_day(&v[1]), 1, zone)
        }),
        strict("timestamp_mi_interval(date, time) timestamp", |v| shifted(&v[0], time_of_day(&v[1]), -1)),
        strict("timestamp_mi_interval(timestamp, time) timestamp", |v| {
            shifted(&v[0], time_of_day(&v[1]), -1)
        }),
        zoned("timestamp_mi_interval(timestamptz, time) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[0]), time_of_day(&v[1]), -1, zone)
        }),
        strict("interval_pl_timestamp(time, timestamp) timestamp", |v| shifted(&v[1], time_of_day(&v[0]), 1)),
        zoned("interval_pl_timestamp(time, timestamptz) timestamptz", |zone, v| {
            shifted_in_zone(moment(&v[1]), time_of_day(&v[0]), 1, zone)
        }),
        strict("timestamp(date, time) timestamp", |v| at_time(&v[0], &v[1]).map(Value::Timestamp)),
        zoned("timestamptz(date, time) timestamptz", |zone, v| {
            in_range(zone.to_utc(at_time(&v[0], &v[1])?)).map(Value::Timestamptz)
        }),
        strict("timestamptz(date, timetz) timestamptz", |v| joined(day(&v[0]), clock(&v[1]))),
        strict("datetime_pl(date, time) timestamp", |v| at_time(&v[0], &v[1]).map(Value::Timestamp)),
        strict("timedate_pl(time, date) timestamp", |v| at_time(&v[1], &v[0]).map(Value::Timestamp)),
        strict("time_pl_interval(time, interval) time", |v| {
            Ok(around(time(&v[0]) + finite(span(&v[1]), "add")?.microseconds % MICROSECONDS_PER_DAY))
        }),
        strict("interval_pl_time(interval, time) time", |v| {
            Ok(around(time(&v[1]) + finite(span(&v[0]), "add")?.microseconds % MICROSECONDS_PER_DAY))
        }),
        strict("time_mi_interval(time, interval) time", |v| {
            Ok(around(time(&v[0]) - finite(span(&v[1]), "subtract")?.microseconds % MICROSECONDS_PER_DAY))
        }),
        strict("datetime_pl(date, timetz) timestamptz", |v| joined(day(&v[0]), clock(&v[1]))),
        strict("timedate_pl(timetz, date) timestamptz", |v| joined(day(&v[1]), clock(&v[0]))),
        strict("time_pl_interval(timetz, interval) timetz", |v| later(clock(&v[0]), span(&v[1]), 1)),
        strict("interval_pl_time(interval, timetz) timetz", |v| later(clock(&v[1]), span(&v[0]), 1)),
        strict("time_mi_interval(timetz, interval) timetz", |v| later(clock(&v[0]), span(&v[1]), -1)),
        strict("time_mi_time(time, time) interval", |v| {
            Ok(Value::Interval(Interval { months: 0, days: 0, microseconds: time(&v[0]) - time(&v[1]) }))
        }),
        strict("interval_eq(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) == length(&v[1])))),
        strict("interval_ne(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) != length(&v[1])))),
        strict("interval_lt(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) < length(&v[1])))),
        strict("interval_le(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) <= length(&v[1])))),
        strict("interval_gt(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) > length(&v[1])))),
        strict("interval_ge(interval, interval) bool", |v| Ok(Value::Bool(length(&v[0]) >= length(&v[1])))),
        // interval(p), and INTERVAL DAY TO HOUR.
        strict("hither_fit_interval(interval, text, int4) interval", |v| {
            let digits = u8::try_from(integer(&v[2])).ok();
            Ok(Value::Interval(fit(span(&v[0]), Field::from_name(text(&v[1])), digits)))
        }),
        strict("interval_key(interval) bytea", |v| Ok(Value::Bytea(interval_key(length(&v[0]))))),
        zoned("age(timestamptz, timestamptz) interval", |zone, v| {
            age(zone.to_local(moment(&v[0])), zone.to_local(moment(&v[1])))
        }),
        strict("age(timestamp, timestamp) interval", |v| age(moment(&v[0]), moment(&v[1]))),
        strict("date_trunc(text, timestamp) timestamp", |v| {
            Ok(Value::Timestamp(truncated(text(&v[0]), moment(&v[1]), "timestamp without time zone")?))
        }),
        zoned("date_trunc(text, timestamptz) timestamptz", |zone, v| {
            truncated_in_zone(text(&v[0]), moment(&v[1]), zone)
        }),
        strict("date_trunc(text, timestamptz, text) timestamptz", |v| {
            truncated_in_zone(text(&v[0]), moment(&v[1]), Zone::of_operand(text(&v[2]))?)
        }),
        strict("date_bin(interval, timestamp, timestamp) timestamp", |v| {
            Ok(Value::Timestamp(binned(span(&v[0]), moment(&v[1]), moment(&v[2]))?))
        }),
        strict("date_bin(interval, timestamptz, timestamptz) timestamptz", |v| {
            Ok(Value::Timestamptz(binned(span(&v[0]), moment(&v[1]), moment(&v[2]))?))
        }),
        strict("make_date(int4, int4, int4) date", |v| {
            make_date(integer(&v[0]), integer(&v[1]), integer(&v[2])).map(Value::Date)
        }),
        strict("make_time(int4, int4, float8) time", |v| {
            make_time(integer(&v[0]), integer(&v[1]), float(&v[2])).map(Value::Time)
        }),
        strict("make_timestamp(int4, int4, int4, int4, int4, float8) timestamp", |v| {
            Ok(Value::Timestamp(make_timestamp(v)?))
        }),
        zoned("make_timestamptz(int4, int4, int4, int4, int4, float8) timestamptz", |zone, v| {
            Ok(Value::Timestamptz(zone.to_utc(make_timestamp(v)?)))
        }),
        strict("make_timestamptz(int4, int4, int4, int4, int4, float8, text) timestamptz", |v| {
            Ok(Value::Timestamptz(Zone::of_maker(text(&v[6]))?.to_utc(make_timestamp(v)?)))
        }),
        strict("isfinite(date) bool", |v| Ok(Value::Bool(!matches!(day(&v[0]), i32::MIN | i32::MAX)))),
        strict("isfinite(timestamp) bool", |v| Ok(Value::Bool(is_finite(moment(&v[0]))))),
        strict("isfinite(timestamptz) bool", |v| Ok(Value::Bool(is_finite(moment(&v[0]))))),
        strict("isfinite(interval) bool", |v| Ok(Value::Bool(span(&v[0]).is_finite()))),
        strict("timezone(text, timestamptz) timestamp", |v| {
            Ok(Value::Timestamp(Zone::of_operand(text(&v[0]))?.to_local(moment(&v[1]))))
        }),
        strict("timezone(text, timestamp) timestamptz", |v| {
            Ok(Value::Timestamptz(Zone::of_operand(text(&v[0]))?.to_utc(moment(&v[1]))))
        }),
        strict("timezone(interval, timestamptz) timestamp", |v| {
            Ok(Value::Timestamp(zone_of_span(span(&v[0]))?.to_local(moment(&v[1]))))
        }),
        strict("timezone(interval, timestamp) timestamptz", |v| {
            Ok(Value::Timestamptz(zone_of_span(span(&v[0]))?.to_utc(moment(&v[1]))))
        }),
        // Places have the offset of this moment, which no plan may keep.
        zoned("timezone(text, timetz) timetz", |_, v| {
            Ok(Value::Timetz(clock(&v[1]).moved(Zone::of_operand(text(&v[0]))?.offset_now())))
        }),
        strict("timezone(interval, timetz) timetz", |v| {
            Ok(Value::Timetz(clock(&v[1]).moved(zone_of_span(span(&v[0]))?.offset_now())))
        }),
    ]
}

pub fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

fn day(value: &Value) -> i32 {
    if let Value::Date(days) = value { *days } else { 0 }
}

pub(super) fn integer(value: &Value) -> i64 {
    match value {
        Value::Int2(value) => i64::from(*value),
        Value::Int4(value) => i64::from(*value),
        Value::Int8(value) => *value,
        _ => 0,
    }
}

pub(super) fn float(value: &Value) -> f64 {
    if let Value::Float8(value) = value { *value } else { 0.0 }
}

pub(super) fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

pub(super) fn time(value: &Value) -> i64 {
    if let Value::Time(time) = value { *time } else { 0 }
}

fn clock(value: &Value) -> Timetz {
    if let Value::Timetz(time) = value { *time } else { Timetz { microseconds: 0, west: 0 } }
}

/// The moment at which clocks show a time on a day.
fn at_time(day: &Value, clock: &Value) -> Result<i64> {
    after_midnight(day, time(clock))
}

fn after_midnight(day: &Value, microseconds: i64) -> Result<i64> {
    let midnight = timestamp_of(day)?;
    let at = if is_finite(midnight) { midnight.checked_add(microseconds) } else { Some(midnight) };
    in_range(at.ok_or_else(|| out_of_range("timestamp"))?)
}

/// 22008 of a finite moment that PostgreSQL does not have.
fn in_range(at: i64) -> Result<i64> {
    if is_timestamp(at) || !is_finite(at) { Ok(at) } else { Err(out_of_range("timestamp")) }
}

/// The moment of a day at which a clock of a zone shows a time.
fn joined(day: i32, time: Timetz) -> Result<Value> {
    after_midnight(&Value::Date(day), time.in_greenwich()).map(Value::Timestamptz)
}

/// A time some hours later on the same clock; days mean nothing to it.
fn later(time: Timetz, interval: Interval, sign: i64) -> Result<Value> {
    let interval = finite(interval, if sign < 0 { "subtract" } else { "add" })?;
    let span = interval.microseconds % MICROSECONDS_PER_DAY * sign;
    let microseconds = (time.microseconds + span).rem_euclid(MICROSECONDS_PER_DAY);
    Ok(Value::Timetz(Timetz { microseconds, ..time }))
}

/// An interval that clocks can be moved by.
pub(super) fn finite(interval: Interval, what: &str) -> Result<Interval> {
    if interval.is_finite() {
        return Ok(interval);
    }
    let way = if what == "add" { "to" } else { "from" };
    let message = format!("cannot {what} infinite interval {way} time");
    Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message))
}

/// A time as the interval since midnight.
pub(super) fn time_of_day(value: &Value) -> Interval {
    Interval { months: 0, days: 0, microseconds: time(value) }
}

pub(super) fn span(value: &Value) -> Interval {
    if let Value::Interval(interval) = value {
        *interval
    } else {
        Interval { months: 0, days: 0, microseconds: 0 }
    }
}

/// How long an interval is when intervals are compared: a month has 30 days and a day 24 hours.
pub(super) fn length(value: &Value) -> i128 {
    let Interval { months, days, microseconds } = span(value);
    (i128::from(months) * 30 + i128::from(days)) * i128::from(MICROSECONDS_PER_DAY) + i128::from(microseconds)
}

/// The same of an interval in Arrow, in nanoseconds.
pub fn nanoseconds_of(interval: IntervalMonthDayNano) -> i128 {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    let days = i128::from(months) * 30 + i128::from(days);
    days * i128::from(MICROSECONDS_PER_DAY) * 1_000 + i128::from(nanoseconds)
}

/// Bytes that sort as lengths do.
pub fn interval_key(length: i128) -> Vec<u8> {
    let from_the_lowest = (length as u128) ^ (1 << 127);
    from_the_lowest.to_be_bytes().to_vec()
}

/// Microseconds since 1970; infinities are the ends of the range. Dates go on after timestamps have ended: those are beyond
/// all timestamps, and not infinite.
pub fn moment(value: &Value) -> i64 {
    match value {
        Value::Timestamp(at) | Value::Timestamptz(at) => *at,
        Value::Date(i32::MAX) => i64::MAX,
        Value::Date(i32::MIN) => i64::MIN,
        Value::Date(days) => {
            i64::from(*days).saturating_mul(MICROSECONDS_PER_DAY).clamp(i64::MIN + 1, i64::MAX - 1)
        }
        _ => 0,
    }
}

/// The same; 22008 of a day after the last of timestamps.
pub(super) fn timestamp_of(value: &Value) -> Result<i64> {
    let at = moment(value);
    match value {
        Value::Date(_) if is_finite(at) && !is_timestamp(at) => {
            Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp"))
        }
        _ => Ok(at),
    }
}

pub(super) fn is_finite(at: i64) -> bool {
    at != i64::MAX && at != i64::MIN
}

fn add_days(day: i32, days: i64) -> Result<Value> {
    if matches!(day, i32::MIN | i32::MAX) {
        return Ok(Value::Date(day));
    }
    let sum = i32::try_from(i64::from(day) + days).ok();
    sum.filter(|day| (DATE_MIN..DATE_END).contains(&i64::from(*day)))
        .map(Value::Date)
        .ok_or_else(|| out_of_range("date"))
}

/// 4713-11-24 BC and the day after 5874897-12-31, as PostgreSQL bounds dates.
const DATE_MIN: i64 = -2_440_588;
const DATE_END: i64 = 2_145_042_906;

/// Whether PostgreSQL has such a date, in days since 1970.
pub(super) fn is_date(days: i32) -> bool {
    (DATE_MIN..DATE_END).contains(&i64::from(days))
}

/// The same of a timestamp.
pub(super) fn is_timestamp(at: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&at)
}

fn around(microseconds: i64) -> Value {
    Value::Time(microseconds.rem_euclid(MICROSECONDS_PER_DAY))
}

fn difference(left: i64, right: i64) -> Result<Value> {
    if let Some(endless) = endless_difference(left, right) {
        return endless;
    }
    let microseconds = left.checked_sub(right).ok_or_else(|| out_of_range("interval"))?;
    justify_hours(Interval { months: 0, days: 0, microseconds }).map(Value::Interval)
}

/// What is between moments of which one is infinite; two of the same infinity are no distance apart.
fn endless_difference(left: i64, right: i64) -> Option<Result<Value>> {
    let sign = |at: i64| i32::from(at == i64::MAX) - i32::from(at == i64::MIN);
    Some(match (sign(left), sign(right)) {
        (0, 0) => return None,
        (left, right) if left == right => Err(out_of_range("interval")),
        (1, _) | (_, -1) => Ok(Value::Interval(Interval::INFINITY)),
        _ => Ok(Value::Interval(Interval::MINUS_INFINITY)),
    })
}

/// Whether an interval leads forwards (1), backwards (-1) or nowhere (0).
pub fn interval_sign(interval: Interval) -> i32 {
    length(&Value::Interval(interval)).signum() as i32
}

/// `interval` added `sign` times, months first, then days, then time.
pub fn shifted(value: &Value, interval: Interval, sign: i64) -> Result<Value> {
    let at = timestamp_of(value)?;
    Ok(Value::Timestamp(match endless_shift(at, interval, sign) {
        Some(endless) => endless?,
        None => shift(at, interval, sign).ok_or_else(|| out_of_range("timestamp"))?,
    }))
}

/// Months and days are added to what clocks show, the time to the moment that makes.
pub fn shifted_in_zone(at: i64, interval: Interval, sign: i64, zone: Zone) -> Result<Value> {
    if let Some(endless) = endless_shift(at, interval, sign) {
        return endless.map(Value::Timestamptz);
    }
    let shift =
        |at: i64, interval: Interval| shift(at, interval, sign).ok_or_else(|| out_of_range("timestamp"));
    let Interval { months, days, microseconds } = interval;
    let mut at = at;
    for part in [Interval { months, ..Interval::NOTHING }, Interval { days, ..Interval::NOTHING }] {
        if part != Interval::NOTHING {
            at = zone.to_utc(shift(zone.to_local(at), part)?);
        }
    }
    shift(at, Interval { microseconds, ..Interval::NOTHING }).map(Value::Timestamptz)
}

/// The same where the moment or the interval is infinite.
fn endless_shift(at: i64, interval: Interval, sign: i64) -> Option<Result<i64>> {
    let direction = match interval {
        Interval::INFINITY => sign,
        Interval::MINUS_INFINITY => -sign,
        _ => return (!is_finite(at)).then_some(Ok(at)),
    };
    let end = if direction > 0 { i64::MAX } else { i64::MIN };
    Some(if is_finite(at) || at == end { Ok(end) } else { Err(out_of_range("timestamp")) })
}

fn shift(at: i64, interval: Interval, sign: i64) -> Option<i64> {
    let (mut days, clock) = (at.div_euclid(MICROSECONDS_PER_DAY), at.rem_euclid(MICROSECONDS_PER_DAY));
    if interval.months != 0 {
        let (year, month, day) = civil_from_days(days);
        let months = year * 12 + i64::from(month) - 1 + sign * i64::from(interval.months);
        let (year, month) = (months.div_euclid(12), (months.rem_euclid(12) + 1) as u32);
        days = days_from_civil(year, month, day.min(days_in_month(year, month)));
    }
    days = days.checked_add(sign * i64::from(interval.days))?;
    let result = days
        .checked_mul(MICROSECONDS_PER_DAY)?
        .checked_add(clock)?
        .checked_add(interval.microseconds.checked_mul(sign)?)?;
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&result).then_some(result)
}

/// 4713-11-24 BC and the end of 294276, as PostgreSQL bounds timestamps.
const TIMESTAMP_MIN: i64 = -2_440_588 * MICROSECONDS_PER_DAY;
const TIMESTAMP_END: i64 = 106_751_991 * MICROSECONDS_PER_DAY;

/// Years, months and days as people count them: whole months first, borrowed from the earlier one's month.
fn age(left: i64, right: i64) -> Result<Value> {
    if let Some(endless) = endless_difference(left, right) {
        return endless;
    }
    let negative = left < right;
    let (later, earlier) = if negative { (right, left) } else { (left, right) };
    let split = |at: i64| {
        let (year, month, day) = civil_from_days(at.div_euclid(MICROSECONDS_PER_DAY));
        (year, i64::from(month), i64::from(day), at.rem_euclid(MICROSECONDS_PER_DAY))
    };
    let (y1, m1, d1, t1) = split(later);
    let (y2, m2, d2, t2) = split(earlier);
    let (mut months, mut days, mut microseconds) = ((y1 - y2) * 12 + m1 - m2, d1 - d2, t1 - t2);
    if microseconds < 0 {
        (days, microseconds) = (days - 1, microseconds + MICROSECONDS_PER_DAY);
    }
    let borrowed = days_in_month(y2, m2 as u32);
    while days < 0 {
        (months, days) = (months - 1, days + i64::from(borrowed));
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Value::Interval(Interval {
        months: (sign * months) as i32,
        days: (sign * days) as i32,
        microseconds: sign * microseconds,
    }))
}

/// What clocks show is cut off; parts of an hour keep the offset they had.
fn truncated_in_zone(unit: &str, at: i64, zone: Zone) -> Result<Value> {
    let local = zone.to_local(at);
    let cut = truncated(unit, local, "timestamp with time zone")?;
    let within_hour = cut.div_euclid(HOUR) == local.div_euclid(HOUR) && is_finite(at);
    Ok(Value::Timestamptz(if within_hour && !is_day_or_more(unit) {
        at - (local - cut)
    } else {
        zone.to_utc(cut)
    }))
}

fn is_day_or_more(unit: &str) -> bool {
    !["microsecond", "millisecond", "second", "minute", "hour"].contains(&unit_of(unit).as_str())
}

/// AT TIME ZONE INTERVAL '2 hours': east of Greenwich.
fn zone_of_span(interval: Interval) -> Result<Zone> {
    if !interval.is_finite() || interval.months != 0 || interval.days != 0 {
        let shown = crate::types::text::to_string(&Value::Interval(interval));
        let wrong = if interval.is_finite() { "must not include months or days" } else { "must be finite" };
        let message = format!("interval time zone \"{shown}\" {wrong}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let seconds = i32::try_from(interval.microseconds / SECOND).map_err(|_| out_of_range("time zone"))?;
    Ok(Zone::of_offset(seconds))
}

/// date_bin(): the beginning of the stride that a moment is in, counted from `origin`.
fn binned(stride: Interval, at: i64, origin: i64) -> Result<i64> {
    if !is_finite(at) {
        return Ok(at);
    }
    let out_of_range = |what: &str| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, what);
    if !is_finite(origin) {
        return Err(out_of_range("origin out of range"));
    }
    if !stride.is_finite() {
        return Err(out_of_range("timestamps cannot be binned into infinite intervals"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let days = i64::from(stride.days).checked_mul(MICROSECONDS_PER_DAY);
    let length = days.and_then(|days| days.checked_add(stride.microseconds));
    let length = length.ok_or_else(|| out_of_range("interval out of range"))?;
    if length <= 0 {
        return Err(out_of_range("stride must be greater than zero"));
    }
    let since = at.checked_sub(origin).ok_or_else(|| out_of_range("interval out of range"))?;
    let begin = since.div_euclid(length).checked_mul(length).and_then(|since| origin.checked_add(since));
    let begin = begin.filter(|begin| (TIMESTAMP_MIN..TIMESTAMP_END).contains(begin));
    begin.ok_or_else(|| out_of_range("timestamp out of range"))
}

fn truncated(unit: &str, at: i64, ty: &str) -> Result<i64> {
    if !is_finite(at) {
        return Ok(at);
    }
    let floor = |step: i64| Ok(at - at.rem_euclid(step));
    let days = at.div_euclid(MICROSECONDS_PER_DAY);
    let (year, month, _) = civil_from_days(days);
    let begin = |year: i64, month: u32| Ok(days_from_civil(year, month, 1) * MICROSECONDS_PER_DAY);
    // Centuries and millennia begin with year 1.
    let era = |years: i64| begin((year - 1).div_euclid(years) * years + 1, 1);
    let cut = match unit_of(unit).as_str() {
        "microsecond" => Ok(at),
        "millisecond" => floor(1_000),
        "second" => floor(SECOND),
        "minute" => floor(MINUTE),
        "hour" => floor(HOUR),
        "day" => floor(MICROSECONDS_PER_DAY),
        "week" => Ok((days - (days + 3).rem_euclid(7)) * MICROSECONDS_PER_DAY),
        "month" => begin(year, month),
        "quarter" => begin(year, (month - 1) / 3 * 3 + 1),
        "year" => begin(year, 1),
        "decade" => begin(year.div_euclid(10) * 10, 1),
        "century" => era(100),
        "millennium" => era(1_000),
        known => Err(cannot_truncate(unit, known, ty)),
    }?;
    in_range(cut)
}

fn make_date(year: i64, month: i64, day: i64) -> Result<i32> {
    let error = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    // Negative years are BC.
    let civil = if year < 0 { year + 1 } else { year };
    if year == 0
        || !(1..=12).contains(&month)
        || day < 1
        || day > i64::from(days_in_month(civil, month as u32))
    {
        return Err(error());
    }
    let days = days_from_civil(civil, month as u32, day as u32);
    match (DATE_MIN..DATE_END).contains(&days) {
        true => Ok(days as i32),
        false => Err(out_of_range("date")),
    }
}

fn make_time(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let microseconds = (second * 1e6).round_ties_even();
    let is_midnight = hour == 24 && minute == 0 && second == 0.0;
    let is_valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if !is_valid && !is_midnight {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
    }
    Ok(hour * HOUR + minute * MINUTE + microseconds as i64)
}

fn make_timestamp(v: &[Value]) -> Result<i64> {
    let date = make_date(integer(&v[0]), integer(&v[1]), integer(&v[2]))?;
    Ok(i64::from(date) * MICROSECONDS_PER_DAY + make_time(integer(&v[3]), integer(&v[4]), float(&v[5]))?)
}
