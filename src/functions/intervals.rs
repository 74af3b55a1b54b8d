//! Intervals: sums, products and quotients, justify, make_interval, date_trunc.
//!
//! An infinite interval stays infinite; what would have to be between infinities, such as their difference, is out of
//! range, since there is no interval that is no number.

use crate::error::{Error, Result, SqlState};
use crate::functions::dates::{
    HOUR, MINUTE, SECOND, float, integer, interval_sign, out_of_range, span, text, time_of_day,
};
use crate::functions::extract::{cannot_truncate, unit_of};
use crate::functions::value::{Definition, strict};
use crate::types::datetime::MICROSECONDS_PER_DAY;
use crate::types::{Interval, Value};

pub fn definitions() -> Vec<Definition> {
    vec![
        strict("interval_pl(interval, interval) interval", |v| {
            sum(span(&v[0]), span(&v[1])).map(Value::Interval)
        }),
        strict("interval_mi(interval, interval) interval", |v| {
            difference(span(&v[0]), span(&v[1])).map(Value::Interval)
        }),
        strict("interval_um(interval) interval", |v| negated(span(&v[0])).map(Value::Interval)),
        strict("interval_mul(interval, float8) interval", |v| scaled(span(&v[0]), float(&v[1]))),
        strict("mul_d_interval(float8, interval) interval", |v| scaled(span(&v[1]), float(&v[0]))),
        strict("interval_div(interval, float8) interval", |v| match float(&v[1]) {
            0.0 => Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")),
            divisor => divided(span(&v[0]), divisor),
        }),
        strict("date_trunc(text, interval) interval", |v| truncated(text(&v[0]), span(&v[1]))),
        // A time is cast to interval there.
        strict("date_trunc(text, time) interval", |v| truncated(text(&v[0]), time_of_day(&v[1]))),
        strict("make_interval() interval", make_interval),
        strict("make_interval(int4) interval", make_interval),
        strict("make_interval(int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4, int4) interval", make_interval),
        strict("make_interval(int4, int4, int4, int4, int4, int4, float8) interval", make_interval),
        strict("justify_hours(interval) interval", |v| justify_hours(span(&v[0])).map(Value::Interval)),
        strict("justify_days(interval) interval", |v| justify_days(span(&v[0])).map(Value::Interval)),
        strict("justify_interval(interval) interval", |v| justify(span(&v[0])).map(Value::Interval)),
    ]
}

fn too_long() -> Error {
    out_of_range("interval")
}

fn negated(interval: Interval) -> Result<Interval> {
    match interval {
        Interval::INFINITY => Ok(Interval::MINUS_INFINITY),
        Interval::MINUS_INFINITY => Ok(Interval::INFINITY),
        Interval { months, days, microseconds } => {
            of_parts(months.checked_neg(), days.checked_neg(), microseconds.checked_neg())
        }
    }
}

/// The interval of parts that fit.
fn of_parts(months: Option<i32>, days: Option<i32>, microseconds: Option<i64>) -> Result<Interval> {
    let (Some(months), Some(days), Some(microseconds)) = (months, days, microseconds) else {
        return Err(too_long());
    };
    finite(Interval { months, days, microseconds })
}

/// The result of a computation, which must not look like infinity.
fn finite(interval: Interval) -> Result<Interval> {
    if interval.is_finite() { Ok(interval) } else { Err(too_long()) }
}

pub fn sum(left: Interval, right: Interval) -> Result<Interval> {
    if !left.is_finite() || !right.is_finite() {
        return match (left.is_finite(), right.is_finite()) {
            (false, false) if left != right => Err(too_long()),
            (false, _) => Ok(left),
            _ => Ok(right),
        };
    }
    of_parts(
        left.months.checked_add(right.months),
        left.days.checked_add(right.days),
        left.microseconds.checked_add(right.microseconds),
    )
}

pub fn difference(left: Interval, right: Interval) -> Result<Interval> {
    if !right.is_finite() {
        return sum(left, negated(right)?);
    }
    if !left.is_finite() {
        return Ok(left);
    }
    of_parts(
        left.months.checked_sub(right.months),
        left.days.checked_sub(right.days),
        left.microseconds.checked_sub(right.microseconds),
    )
}

/// interval_mul: what months and days lose by being whole goes on to days and seconds.
pub fn scaled(interval: Interval, factor: f64) -> Result<Value> {
    if factor.is_nan() {
        return Err(too_long());
    }
    if !interval.is_finite() || factor.is_infinite() {
        let sign = f64::from(interval_sign(interval)) * factor.signum();
        return match interval_sign(interval) == 0 || factor == 0.0 {
            true => Err(too_long()),
            false if sign < 0.0 => Ok(Value::Interval(Interval::MINUS_INFINITY)),
            false => Ok(Value::Interval(Interval::INFINITY)),
        };
    }
    spread(interval, f64::from(interval.months) * factor, f64::from(interval.days) * factor, |microseconds| {
        microseconds * factor
    })
}

/// An interval divided, with the rests of months as days and those of days as time.
pub fn divided(interval: Interval, divisor: f64) -> Result<Value> {
    if divisor.is_nan() || divisor.is_infinite() && !interval.is_finite() {
        return Err(too_long());
    }
    if !interval.is_finite() {
        let signed = if divisor < 0.0 { negated(interval) } else { Ok(interval) };
        return signed.map(Value::Interval);
    }
    spread(
        interval,
        f64::from(interval.months) / divisor,
        f64::from(interval.days) / divisor,
        |microseconds| microseconds / divisor,
    )
}

fn spread(interval: Interval, months: f64, days: f64, time: impl Fn(f64) -> f64) -> Result<Value> {
    // The least integers are exact as floats, the first above the greatest as well.
    let whole = |value: f64| match value >= f64::from(i32::MIN) && value < f64::from(i32::MAX) + 1.0 {
        true => Ok(value.trunc() as i32),
        false => Err(too_long()),
    };
    let to_microseconds = |value: f64| (value * 1e6).round_ties_even() / 1e6;
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
    /// 2^63, the first that is too large.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if !(-END..END).contains(&microseconds) {
        return Err(too_long());
    }
    finite(Interval {
        months: whole_months,
        days: whole_days.checked_add(extra_days as i32).ok_or_else(too_long)?,
        microseconds: microseconds as i64,
    })
    .map(Value::Interval)
}

/// 24 hours are a day, and both have one sign.
pub fn justify_hours(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let Interval { months, days, microseconds } = interval;
    let whole = (microseconds / MICROSECONDS_PER_DAY) as i32;
    let days = days.checked_add(whole).ok_or_else(too_long)?;
    Ok(of_one_sign(Interval { months, days, microseconds: microseconds % MICROSECONDS_PER_DAY }))
}

fn of_one_sign(interval: Interval) -> Interval {
    let Interval { months, days, microseconds } = interval;
    match (days.signum(), microseconds.signum()) {
        (1, -1) => Interval { months, days: days - 1, microseconds: microseconds + MICROSECONDS_PER_DAY },
        (-1, 1) => Interval { months, days: days + 1, microseconds: microseconds - MICROSECONDS_PER_DAY },
        _ => interval,
    }
}

/// 30 days are a month.
fn justify_days(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let Interval { months, days, microseconds } = interval;
    let months = months.checked_add(days / 30).ok_or_else(too_long)?;
    let days = days % 30;
    let (months, days) = match (months.signum(), days.signum()) {
        (1, -1) => (months - 1, days + 30),
        (-1, 1) => (months + 1, days - 30),
        _ => (months, days),
    };
    Ok(Interval { months, days, microseconds })
}

/// Both, and all parts of one sign. Days are taken to months first where that keeps them in range.
fn justify(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let Interval { mut months, mut days, mut microseconds } = interval;
    if (days > 0 && microseconds > 0) || (days < 0 && microseconds < 0) {
        months = months.checked_add(days / 30).ok_or_else(too_long)?;
        days %= 30;
    }
    days += (microseconds / MICROSECONDS_PER_DAY) as i32;
    microseconds %= MICROSECONDS_PER_DAY;
    months = months.checked_add(days / 30).ok_or_else(too_long)?;
    days %= 30;
    if months > 0 && (days < 0 || days == 0 && microseconds < 0) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || days == 0 && microseconds > 0) {
        (months, days) = (months + 1, days - 30);
    }
    Ok(of_one_sign(Interval { months, days, microseconds }))
}

fn truncated(unit: &str, interval: Interval) -> Result<Value> {
    if !interval.is_finite() {
        return Ok(Value::Interval(interval));
    }
    let Interval { months, days, microseconds } = interval;
    let of_months = |step: i32| Interval { months: months - months % step, days: 0, microseconds: 0 };
    let of_time = |step: i64| Interval { months, days, microseconds: microseconds - microseconds % step };
    Ok(Value::Interval(match unit_of(unit).as_str() {
        "microsecond" => interval,
        "millisecond" => of_time(1_000),
        "second" => of_time(SECOND),
        "minute" => of_time(MINUTE),
        "hour" => of_time(HOUR),
        "day" => Interval { months, days, microseconds: 0 },
        "month" => of_months(1),
        "quarter" => of_months(3),
        "year" => of_months(12),
        "decade" => of_months(120),
        "century" => of_months(1_200),
        "millennium" => of_months(12_000),
        "week" => {
            let error = cannot_truncate(unit, "week", "interval");
            return Err(error.detail("Months usually have fractional weeks."));
        }
        known => return Err(cannot_truncate(unit, known, "interval")),
    }))
}

/// Years, months, weeks, days, hours, minutes and seconds.
fn make_interval(v: &[Value]) -> Result<Value> {
    let part = |index: usize| v.get(index).map_or(0, integer);
    let small = |value: i64| i32::try_from(value).map_err(|_| too_long());
    let seconds = (v.get(6).map_or(0.0, float) * 1e6).round_ties_even();
    if !seconds.is_finite() || seconds.abs() > 9.223372036854775e18 {
        return Err(too_long());
    }
    let clock = part(4).checked_mul(HOUR).and_then(|hours| hours.checked_add(part(5) * MINUTE));
    finite(Interval {
        months: small(part(0) * 12 + part(1))?,
        days: small(part(2) * 7 + part(3))?,
        microseconds: clock.and_then(|clock| clock.checked_add(seconds as i64)).ok_or_else(too_long)?,
    })
    .map(Value::Interval)
}
