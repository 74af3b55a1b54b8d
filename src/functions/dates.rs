//! Dates, times and intervals: their arithmetic, extract, date_trunc, age, make_date and what belongs to them.
//!
//! Days, months and fields of a `timestamptz` are those that clocks of the session's time zone show.

use std::sync::Arc;

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{Definition, functions as build, strict, zoned};
use crate::types::datetime::{MICROSECONDS_PER_DAY, civil_from_days, days_from_civil, days_in_month};
use crate::types::interval::{Field, fit};
use crate::types::{Interval, Numeric, Timetz, Type, Value, Zone};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
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

/// The function of `extract(field FROM ...)`: its result has as many digits as the field.
pub fn extract_function(field: &str) -> &'static str {
    match field.to_ascii_lowercase().as_str() {
        "second" | "seconds" | "epoch" => "extract_6",
        "millisecond" | "milliseconds" => "extract_3",
        "julian" => "extract_any",
        _ => "extract_0",
    }
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("date_pli(date, int4) date", |v| add_days(day(&v[0]), integer(&v[1]))),
        strict("integer_pl_date(int4, date) date", |v| add_days(day(&v[1]), integer(&v[0]))),
        strict("date_mii(date, int4) date", |v| add_days(day(&v[0]), -integer(&v[1]))),
        strict("date_mi(date, date) int4", |v| {
            Ok(Value::Int4((i64::from(day(&v[0])) - i64::from(day(&v[1]))) as i32))
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
        strict("datetime_pl(date, time) timestamp", |v| Ok(Value::Timestamp(moment(&v[0]) + time(&v[1])))),
        strict("timedate_pl(time, date) timestamp", |v| Ok(Value::Timestamp(moment(&v[1]) + time(&v[0])))),
        strict("time_pl_interval(time, interval) time", |v| {
            Ok(around(time(&v[0]) + span(&v[1]).microseconds))
        }),
        strict("interval_pl_time(interval, time) time", |v| {
            Ok(around(time(&v[1]) + span(&v[0]).microseconds))
        }),
        strict("time_mi_interval(time, interval) time", |v| {
            Ok(around(time(&v[0]) - span(&v[1]).microseconds))
        }),
        strict("datetime_pl(date, timetz) timestamptz", |v| joined(day(&v[0]), clock(&v[1]))),
        strict("timedate_pl(timetz, date) timestamptz", |v| joined(day(&v[1]), clock(&v[0]))),
        strict("time_pl_interval(timetz, interval) timetz", |v| Ok(later(clock(&v[0]), span(&v[1]), 1))),
        strict("interval_pl_time(interval, timetz) timetz", |v| Ok(later(clock(&v[1]), span(&v[0]), 1))),
        strict("time_mi_interval(timetz, interval) timetz", |v| Ok(later(clock(&v[0]), span(&v[1]), -1))),
        strict("time_mi_time(time, time) interval", |v| {
            Ok(Value::Interval(Interval { months: 0, days: 0, microseconds: time(&v[0]) - time(&v[1]) }))
        }),
        strict("interval_pl(interval, interval) interval", |v| interval_sum(span(&v[0]), span(&v[1]), 1)),
        strict("interval_mi(interval, interval) interval", |v| interval_sum(span(&v[0]), span(&v[1]), -1)),
        strict("interval_mul(interval, float8) interval", |v| scaled(span(&v[0]), float(&v[1]))),
        strict("mul_d_interval(float8, interval) interval", |v| scaled(span(&v[1]), float(&v[0]))),
        strict("interval_div(interval, float8) interval", |v| match float(&v[1]) {
            0.0 => Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")),
            divisor => divided(span(&v[0]), divisor),
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
        strict("interval_um(interval) interval", |v| {
            interval_sum(Interval { months: 0, days: 0, microseconds: 0 }, span(&v[0]), -1)
        }),
        zoned("age(timestamptz, timestamptz) interval", |zone, v| {
            Ok(age(zone.to_local(moment(&v[0])), zone.to_local(moment(&v[1]))))
        }),
        strict("age(timestamp, timestamp) interval", |v| Ok(age(moment(&v[0]), moment(&v[1])))),
        zoned("extract_0(text, timestamptz) numeric(20,0)", extract_in_zone),
        strict("extract_0(text, timestamp) numeric(20,0)", extract),
        strict("extract_0(text, date) numeric(20,0)", extract),
        strict("extract_0(text, time) numeric(20,0)", extract),
        strict("extract_0(text, timetz) numeric(20,0)", extract),
        strict("extract_0(text, interval) numeric(20,0)", extract),
        zoned("extract_3(text, timestamptz) numeric(20,3)", extract_in_zone),
        strict("extract_3(text, timestamp) numeric(20,3)", extract),
        strict("extract_3(text, date) numeric(20,3)", extract),
        strict("extract_3(text, time) numeric(20,3)", extract),
        strict("extract_3(text, timetz) numeric(20,3)", extract),
        strict("extract_3(text, interval) numeric(20,3)", extract),
        zoned("extract_6(text, timestamptz) numeric(26,6)", extract_in_zone),
        strict("extract_6(text, timestamp) numeric(26,6)", extract),
        strict("extract_6(text, date) numeric(26,6)", extract),
        strict("extract_6(text, time) numeric(26,6)", extract),
        strict("extract_6(text, timetz) numeric(26,6)", extract),
        strict("extract_6(text, interval) numeric(26,6)", extract),
        zoned("extract_any(text, timestamptz) numeric", extract_in_zone),
        strict("extract_any(text, timestamp) numeric", extract),
        strict("extract_any(text, date) numeric(20,0)", extract),
        zoned("date_part(text, timestamptz) float8", date_part_in_zone),
        strict("date_part(text, timestamp) float8", date_part),
        strict("date_part(text, date) float8", date_part),
        strict("date_part(text, time) float8", date_part),
        strict("date_part(text, timetz) float8", date_part),
        strict("date_part(text, interval) float8", date_part),
        strict("date_trunc(text, timestamp) timestamp", |v| {
            Ok(Value::Timestamp(truncated(text(&v[0]), moment(&v[1]))?))
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
        strict("date_trunc(text, interval) interval", |v| truncated_interval(text(&v[0]), span(&v[1]))),
        // A time is cast to interval there.
        strict("date_trunc(text, time) interval", |v| truncated_interval(text(&v[0]), time_of_day(&v[1]))),
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
            Ok(Value::Timestamptz(Zone::of_operand(text(&v[6]))?.to_utc(make_timestamp(v)?)))
        }),
        strict("make_interval() interval", make_interval),
        strict("make_interval(int4) interval", make_interval),
        strict("make_interval(int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4, int4, float8) interval", make_interval),
        strict("justify_hours(interval) interval", |v| Ok(Value::Interval(justify_hours(span(&v[0]))))),
        strict("justify_days(interval) interval", |v| Ok(Value::Interval(justify_days(span(&v[0]))))),
        strict("justify_interval(interval) interval", |v| Ok(Value::Interval(justify(span(&v[0]))))),
        strict("isfinite(date) bool", |v| Ok(Value::Bool(!matches!(day(&v[0]), i32::MIN | i32::MAX)))),
        strict("isfinite(timestamp) bool", |v| Ok(Value::Bool(is_finite(moment(&v[0]))))),
        strict("isfinite(timestamptz) bool", |v| Ok(Value::Bool(is_finite(moment(&v[0]))))),
        strict("isfinite(interval) bool", |_| Ok(Value::Bool(true))),
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

fn integer(value: &Value) -> i64 {
    match value {
        Value::Int2(value) => i64::from(*value),
        Value::Int4(value) => i64::from(*value),
        Value::Int8(value) => *value,
        _ => 0,
    }
}

fn float(value: &Value) -> f64 {
    if let Value::Float8(value) = value { *value } else { 0.0 }
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn time(value: &Value) -> i64 {
    if let Value::Time(time) = value { *time } else { 0 }
}

fn clock(value: &Value) -> Timetz {
    if let Value::Timetz(time) = value { *time } else { Timetz { microseconds: 0, west: 0 } }
}

/// The moment of a day at which a clock of a zone shows a time.
fn joined(day: i32, time: Timetz) -> Result<Value> {
    let midnight = moment(&Value::Date(day));
    if !is_finite(midnight) {
        return Ok(Value::Timestamptz(midnight));
    }
    let at = midnight.checked_add(time.in_greenwich());
    at.filter(|at| (TIMESTAMP_MIN..TIMESTAMP_END).contains(at))
        .map(Value::Timestamptz)
        .ok_or_else(|| out_of_range("timestamp"))
}

/// A time some hours later on the same clock; days mean nothing to it.
fn later(time: Timetz, interval: Interval, sign: i64) -> Value {
    let span = interval.microseconds % MICROSECONDS_PER_DAY * sign;
    let microseconds = (time.microseconds + span).rem_euclid(MICROSECONDS_PER_DAY);
    Value::Timetz(Timetz { microseconds, ..time })
}

/// A time as the interval since midnight.
fn time_of_day(value: &Value) -> Interval {
    Interval { months: 0, days: 0, microseconds: time(value) }
}

fn span(value: &Value) -> Interval {
    if let Value::Interval(interval) = value {
        *interval
    } else {
        Interval { months: 0, days: 0, microseconds: 0 }
    }
}

/// How long an interval is when intervals are compared: a month has 30 days and a day 24 hours.
fn length(value: &Value) -> i128 {
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
fn interval_key(length: i128) -> Vec<u8> {
    let from_the_lowest = (length as u128) ^ (1 << 127);
    from_the_lowest.to_be_bytes().to_vec()
}

/// Microseconds since 1970; infinities are the ends of the range.
pub fn moment(value: &Value) -> i64 {
    match value {
        Value::Timestamp(at) | Value::Timestamptz(at) => *at,
        Value::Date(i32::MAX) => i64::MAX,
        Value::Date(i32::MIN) => i64::MIN,
        Value::Date(days) => i64::from(*days).saturating_mul(MICROSECONDS_PER_DAY),
        _ => 0,
    }
}

fn is_finite(at: i64) -> bool {
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
const DATE_END: i64 = 2_145_042_541;

fn around(microseconds: i64) -> Value {
    Value::Time(microseconds.rem_euclid(MICROSECONDS_PER_DAY))
}

fn difference(left: i64, right: i64) -> Result<Value> {
    if !is_finite(left) || !is_finite(right) {
        return Err(Error::unsupported("infinite intervals"));
    }
    let microseconds = left.checked_sub(right).ok_or_else(|| out_of_range("interval"))?;
    Ok(Value::Interval(justify_hours(Interval { months: 0, days: 0, microseconds })))
}

/// Whether an interval leads forwards (1), backwards (-1) or nowhere (0).
pub fn interval_sign(interval: Interval) -> i32 {
    length(&Value::Interval(interval)).signum() as i32
}

/// `interval` added `sign` times, months first, then days, then time.
pub fn shifted(value: &Value, interval: Interval, sign: i64) -> Result<Value> {
    let at = moment(value);
    let result =
        if is_finite(at) { shift(at, interval, sign).ok_or_else(|| out_of_range("timestamp"))? } else { at };
    Ok(Value::Timestamp(result))
}

/// Months and days are added to what clocks show, the time to the moment that makes.
pub fn shifted_in_zone(at: i64, interval: Interval, sign: i64, zone: Zone) -> Result<Value> {
    if !is_finite(at) {
        return Ok(Value::Timestamptz(at));
    }
    let shift =
        |at: i64, interval: Interval| shift(at, interval, sign).ok_or_else(|| out_of_range("timestamp"));
    let Interval { months, days, microseconds } = interval;
    let mut at = at;
    for part in [Interval { months, ..NOTHING }, Interval { days, ..NOTHING }] {
        if part != NOTHING {
            at = zone.to_utc(shift(zone.to_local(at), part)?);
        }
    }
    shift(at, Interval { microseconds, ..NOTHING }).map(Value::Timestamptz)
}

const NOTHING: Interval = Interval { months: 0, days: 0, microseconds: 0 };

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

fn interval_sum(left: Interval, right: Interval, sign: i32) -> Result<Value> {
    let error = || out_of_range("interval");
    let add = |a: i32, b: i32| b.checked_mul(sign).and_then(|b| a.checked_add(b)).ok_or_else(error);
    let microseconds =
        right.microseconds.checked_mul(i64::from(sign)).and_then(|b| left.microseconds.checked_add(b));
    Ok(Value::Interval(Interval {
        months: add(left.months, right.months)?,
        days: add(left.days, right.days)?,
        microseconds: microseconds.ok_or_else(error)?,
    }))
}

/// interval_mul: what months and days lose by being whole goes on to days and seconds.
fn scaled(interval: Interval, factor: f64) -> Result<Value> {
    spread(interval, f64::from(interval.months) * factor, f64::from(interval.days) * factor, |microseconds| {
        microseconds * factor
    })
}

/// An interval divided, with the rests of months as days and those of days as time.
pub fn divided(interval: Interval, divisor: f64) -> Result<Value> {
    spread(
        interval,
        f64::from(interval.months) / divisor,
        f64::from(interval.days) / divisor,
        |microseconds| microseconds / divisor,
    )
}

fn spread(interval: Interval, months: f64, days: f64, time: impl Fn(f64) -> f64) -> Result<Value> {
    let error = || out_of_range("interval");
    let whole = |value: f64| match value.is_finite() && value.abs() < f64::from(i32::MAX) {
        true => Ok(value.trunc() as i32),
        false => Err(error()),
    };
    let to_microseconds = |value: f64| (value * 1e6).round() / 1e6;
    let (whole_months, whole_days) = (whole(months)?, whole(days)?);
    let month_rest = to_microseconds((months - f64::from(whole_months)) * 30.0);
    let mut seconds = (days - f64::from(whole_days) + month_rest - month_rest.trunc()) * 86_400.0;
    seconds = to_microseconds(seconds);
    let mut extra_days = month_rest.trunc();
    if seconds.abs() >= 86_400.0 {
        extra_days += (seconds / 86_400.0).trunc();
        seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
    }
    let microseconds = (time(interval.microseconds as f64) + seconds * 1e6).round_ties_even();
    if !microseconds.is_finite() || microseconds.abs() > 9.2e18 {
        return Err(error());
    }
    Ok(Value::Interval(Interval {
        months: whole_months,
        days: whole_days.checked_add(extra_days as i32).ok_or_else(error)?,
        microseconds: microseconds as i64,
    }))
}

fn justify_hours(interval: Interval) -> Interval {
    let Interval { months, mut days, mut microseconds } = interval;
    days = days.saturating_add((microseconds / MICROSECONDS_PER_DAY) as i32);
    microseconds %= MICROSECONDS_PER_DAY;
    if days > 0 && microseconds < 0 {
        (days, microseconds) = (days - 1, microseconds + MICROSECONDS_PER_DAY);
    } else if days < 0 && microseconds > 0 {
        (days, microseconds) = (days + 1, microseconds - MICROSECONDS_PER_DAY);
    }
    Interval { months, days, microseconds }
}

fn justify_days(interval: Interval) -> Interval {
    let Interval { mut months, mut days, microseconds } = interval;
    months = months.saturating_add(days / 30);
    days %= 30;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    Interval { months, days, microseconds }
}

fn justify(interval: Interval) -> Interval {
    let Interval { months, days, microseconds } = justify_days(justify_hours(interval));
    let (mut months, mut days, mut microseconds) = (months, days, microseconds);
    if months > 0 && (days < 0 || days == 0 && microseconds < 0) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || days == 0 && microseconds > 0) {
        (months, days) = (months + 1, days - 30);
    }
    if days > 0 && microseconds < 0 {
        (days, microseconds) = (days - 1, microseconds + MICROSECONDS_PER_DAY);
    } else if days < 0 && microseconds > 0 {
        (days, microseconds) = (days + 1, microseconds - MICROSECONDS_PER_DAY);
    }
    Interval { months, days, microseconds }
}

/// Years, months and days as people count them: whole months first, borrowed from the earlier one's month.
fn age(left: i64, right: i64) -> Value {
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
    Value::Interval(Interval {
        months: (sign * months) as i32,
        days: (sign * days) as i32,
        microseconds: sign * microseconds,
    })
}

/// A field of a value, exactly.
fn field(name: &str, value: &Value, zone: Zone) -> Result<Numeric> {
    let lower = name.to_ascii_lowercase();
    let whole = |number: i64| Ok(Numeric::from_integer(number));
    let scaled = |number: i128, scale: u8| Ok(Numeric::new(number, scale));
    let unsupported = |ty: &str| {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{lower}\" not supported for type {ty}"))
    };
    let unknown = |ty: &str| {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unit \"{lower}\" not recognized for type {ty}"),
        )
    };
    let of_clock = |clock: i64| match lower.as_str() {
        "microsecond" | "microseconds" => Some(whole(clock % MINUTE)),
        "millisecond" | "milliseconds" => Some(scaled(i128::from(clock % MINUTE), 3)),
        "second" | "seconds" => Some(scaled(i128::from(clock % MINUTE), 6)),
        "minute" | "minutes" => Some(whole(clock / MINUTE % 60)),
        _ => None,
    };
    if let Value::Interval(interval) = value {
        let months = i64::from(interval.months);
        if let Some(part) = of_clock(interval.microseconds) {
            return part;
        }
        return match lower.as_str() {
            "hour" | "hours" => whole(interval.microseconds / HOUR),
            "day" | "days" => whole(i64::from(interval.days)),
            "month" | "months" => whole(months % 12),
            "quarter" => whole(months % 12 / 3 + 1),
            "year" | "years" => whole(months / 12),
            "decade" | "decades" => whole(months / 120),
            "century" | "centuries" => whole(months / 1_200),
            "millennium" => whole(months / 12_000),
            "epoch" => {
                // A year counts 365.25 days here, a month 30.
                let days = months / 12 * 36_525 + months % 12 * 3_000 + i64::from(interval.days) * 100;
                scaled(i128::from(days) * 864_000_000 + i128::from(interval.microseconds), 6)
            }
            "week" | "weeks" | "dow" | "isodow" | "doy" | "isoyear" | "julian" | "timezone" => {
                Err(unsupported("interval"))
            }
            _ => Err(unknown("interval")),
        };
    }
    if let Value::Timetz(time) = value {
        if let Some(part) = of_clock(time.microseconds) {
            return part;
        }
        let (east, ty) = (-i64::from(time.west), "time with time zone");
        return match lower.as_str() {
            "hour" | "hours" => whole(time.microseconds / HOUR),
            "epoch" => scaled(i128::from(time.in_greenwich()), 6),
            "timezone" => whole(east),
            "timezone_hour" => whole(east / 3600),
            "timezone_minute" => whole(east / 60 % 60),
            lower if is_field_of_days(lower) => Err(unsupported(ty)),
            _ => Err(unknown(ty)),
        };
    }
    if let Value::Time(clock) = value {
        if let Some(part) = of_clock(*clock) {
            return part;
        }
        let ty = "time without time zone";
        return match lower.as_str() {
            "hour" | "hours" => whole(clock / HOUR),
            "epoch" => scaled(i128::from(*clock), 6),
            lower if is_field_of_days(lower) || lower == "timezone" => Err(unsupported(ty)),
            _ => Err(unknown(ty)),
        };
    }
    let ty = match value {
        Value::Date(_) => "date",
        Value::Timestamptz(_) => "timestamp with time zone",
        _ => "timestamp without time zone",
    };
    let at = moment(value);
    if !is_finite(at) {
        return Err(Error::unsupported("extract from infinity"));
    }
    let shown = if matches!(value, Value::Timestamptz(_)) { zone.to_local(at) } else { at };
    let (days, clock) = (shown.div_euclid(MICROSECONDS_PER_DAY), shown.rem_euclid(MICROSECONDS_PER_DAY));
    let is_date = matches!(value, Value::Date(_));
    if let Some(part) = of_clock(clock) {
        return if is_date { Err(unsupported(ty)) } else { part };
    }
    let (year, month, day) = civil_from_days(days);
    // There is no year 0: 1 BC is -1.
    let shown_year = if year > 0 { year } else { year - 1 };
    match lower.as_str() {
        "hour" | "hours" if is_date => Err(unsupported(ty)),
        "hour" | "hours" => whole(clock / HOUR),
        "day" | "days" => whole(i64::from(day)),
        "month" | "months" => whole(i64::from(month)),
        "quarter" => whole(i64::from(month - 1) / 3 + 1),
        "year" | "years" => whole(shown_year),
        "decade" | "decades" => whole(year.div_euclid(10)),
        "century" | "centuries" => {
            whole(if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) })
        }
        "millennium" => whole(if year > 0 { (year + 999) / 1_000 } else { -((999 - (year - 1)) / 1_000) }),
        "week" | "weeks" => whole(iso_week(days).1),
        "isoyear" => {
            let year = iso_week(days).0;
            whole(if year > 0 { year } else { year - 1 })
        }
        "dow" => whole((days + 4).rem_euclid(7)),
        "isodow" => whole((days + 3).rem_euclid(7) + 1),
        "doy" => whole(days - days_from_civil(year, 1, 1) + 1),
        "epoch" => scaled(i128::from(at), 6),
        "julian" if is_date => whole(days + 2_440_588),
        "julian" => {
            // A fraction of a day to 16 digits is more than a microsecond needs.
            let fraction = i128::from(clock) * 10i128.pow(16) / i128::from(MICROSECONDS_PER_DAY);
            scaled(i128::from(days + 2_440_588) * 10i128.pow(16) + fraction, 16)
        }
        "timezone" | "timezone_hour" | "timezone_minute" if matches!(value, Value::Timestamptz(_)) => {
            let seconds = i64::from(zone.offset_at(at));
            whole(match lower.as_str() {
                "timezone" => seconds,
                "timezone_hour" => seconds / 3600,
                _ => seconds / 60 % 60,
            })
        }
        "timezone" | "timezone_hour" | "timezone_minute" => Err(unsupported(ty)),
        _ => Err(unknown(ty)),
    }
}

/// Fields that moments have and times of day have not.
fn is_field_of_days(field: &str) -> bool {
    let fields = [
        "day",
        "month",
        "quarter",
        "year",
        "decade",
        "century",
        "millennium",
        "week",
        "dow",
        "doy",
        "isodow",
        "isoyear",
        "julian",
    ];
    fields.contains(&field)
}

/// ISO 8601's year and week of a day.
fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

fn extract(v: &[Value]) -> Result<Value> {
    extract_in_zone(Zone::UTC, v)
}

fn extract_in_zone(zone: Zone, v: &[Value]) -> Result<Value> {
    field(text(&v[0]), &v[1], zone).map(Value::Numeric)
}

fn date_part(v: &[Value]) -> Result<Value> {
    date_part_in_zone(Zone::UTC, v)
}

fn date_part_in_zone(zone: Zone, v: &[Value]) -> Result<Value> {
    Ok(Value::Float8(field(text(&v[0]), &v[1], zone)?.to_f64()))
}

/// What clocks show is cut off; parts of an hour keep the offset they had.
fn truncated_in_zone(unit: &str, at: i64, zone: Zone) -> Result<Value> {
    let local = zone.to_local(at);
    let cut = truncated(unit, local).map_err(|error| {
        let message = error.message().replace("without time zone", "with time zone");
        Error::new(error.state(), message)
    })?;
    let within_hour = cut.div_euclid(HOUR) == local.div_euclid(HOUR) && is_finite(at);
    Ok(Value::Timestamptz(if within_hour && !is_day_or_more(unit) {
        at - (local - cut)
    } else {
        zone.to_utc(cut)
    }))
}

fn is_day_or_more(unit: &str) -> bool {
    !["microsecond", "millisecond", "second", "minute", "hour"]
        .contains(&unit.to_ascii_lowercase().trim_end_matches('s'))
}

/// AT TIME ZONE INTERVAL '2 hours': east of Greenwich.
fn zone_of_span(interval: Interval) -> Result<Zone> {
    if interval.months != 0 || interval.days != 0 {
        let shown = crate::types::text::to_string(&Value::Interval(interval));
        let message = format!("interval time zone \"{shown}\" must not include months or days");
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

fn truncated(unit: &str, at: i64) -> Result<i64> {
    let lower = unit.to_ascii_lowercase();
    if !is_finite(at) {
        return Ok(at);
    }
    let floor = |step: i64| Ok(at - at.rem_euclid(step));
    let days = at.div_euclid(MICROSECONDS_PER_DAY);
    let (year, month, _) = civil_from_days(days);
    let begin = |year: i64, month: u32| Ok(days_from_civil(year, month, 1) * MICROSECONDS_PER_DAY);
    // Centuries and millennia begin with year 1.
    let era = |years: i64| begin((year - 1).div_euclid(years) * years + 1, 1);
    match lower.as_str() {
        "microsecond" | "microseconds" => Ok(at),
        "millisecond" | "milliseconds" => floor(1_000),
        "second" | "seconds" => floor(SECOND),
        "minute" | "minutes" => floor(MINUTE),
        "hour" | "hours" => floor(HOUR),
        "day" | "days" => floor(MICROSECONDS_PER_DAY),
        "week" | "weeks" => Ok((days - (days + 3).rem_euclid(7)) * MICROSECONDS_PER_DAY),
        "month" | "months" => begin(year, month),
        "quarter" => begin(year, (month - 1) / 3 * 3 + 1),
        "year" | "years" => begin(year, 1),
        "decade" | "decades" => begin(year.div_euclid(10) * 10, 1),
        "century" | "centuries" => era(100),
        "millennium" => era(1_000),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unit \"{lower}\" not recognized for type timestamp without time zone"),
        )),
    }
}

fn truncated_interval(unit: &str, interval: Interval) -> Result<Value> {
    let lower = unit.to_ascii_lowercase();
    let Interval { months, days, microseconds } = interval;
    let of_months = |step: i32| Interval { months: months - months % step, days: 0, microseconds: 0 };
    let of_time = |step: i64| Interval { months, days, microseconds: microseconds - microseconds % step };
    Ok(Value::Interval(match lower.as_str() {
        "microsecond" | "microseconds" => interval,
        "millisecond" | "milliseconds" => of_time(1_000),
        "second" | "seconds" => of_time(SECOND),
        "minute" | "minutes" => of_time(MINUTE),
        "hour" | "hours" => of_time(HOUR),
        "day" | "days" => Interval { months, days, microseconds: 0 },
        "month" | "months" => of_months(1),
        "quarter" => of_months(3),
        "year" | "years" => of_months(12),
        "decade" | "decades" => of_months(120),
        "century" | "centuries" => of_months(1_200),
        "millennium" => of_months(12_000),
        _ => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unit \"{lower}\" not recognized for type interval"),
            ));
        }
    }))
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

/// Years, months, weeks, days, hours, minutes and seconds.
fn make_interval(v: &[Value]) -> Result<Value> {
    let part = |index: usize| v.get(index).map_or(0, integer);
    let error = || out_of_range("interval");
    let small = |value: i64| i32::try_from(value).map_err(|_| error());
    let seconds = (v.get(6).map_or(0.0, float) * 1e6).round_ties_even();
    if !seconds.is_finite() || seconds.abs() > 9.0e18 {
        return Err(error());
    }
    let clock = part(4).checked_mul(HOUR).and_then(|hours| hours.checked_add(part(5) * MINUTE));
    Ok(Value::Interval(Interval {
        months: small(part(0) * 12 + part(1))?,
        days: small(part(2) * 7 + part(3))?,
        microseconds: clock.and_then(|clock| clock.checked_add(seconds as i64)).ok_or_else(error)?,
    }))
}
