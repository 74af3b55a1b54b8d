//! extract, date_part and the names of fields.
//!
//! Of infinite moments and intervals, fields that only grow (`year`, `epoch`) are infinite, and those that come again
//! (`month`, `minute`) are NULL. A numeric of fixed digits holds no infinity, so only what cannot be infinite has one.

use crate::error::{Error, Result, SqlState};
use crate::functions::dates::{HOUR, MINUTE, is_finite, moment, text, timestamp_of};
use crate::functions::value::{Definition, strict, zoned};
use crate::types::datetime::{MICROSECONDS_PER_DAY, civil_from_days, days_from_civil};
use crate::types::{Numeric, Value, Zone};

/// The function of `extract(field FROM ...)`: its result has as many digits as the field.
pub fn extract_function(field: &str) -> &'static str {
    match unit_of(field).as_str() {
        "second" => "extract_6",
        "millisecond" => "extract_3",
        "julian" | "epoch" | "year" | "decade" | "century" | "millennium" | "isoyear" => "extract_any",
        // Of an interval they may be infinite.
        "hour" | "day" => "extract_long",
        _ => "extract_0",
    }
}

/// A function of a field's name and of a value that has fields; of an interval with another type of result if one is given.
macro_rules! of_fields {
    ($name:literal, $returns:literal, $of:ident, $of_zone:ident) => {
        of_fields!($name, $returns, $returns, $of, $of_zone)
    };
    ($name:literal, $returns:literal, $of_interval:literal, $of:ident, $of_zone:ident) => {
        [
            zoned(concat!($name, "(text, timestamptz) ", $returns), $of_zone),
            strict(concat!($name, "(text, timestamp) ", $returns), $of),
            strict(concat!($name, "(text, date) ", $returns), $of),
            strict(concat!($name, "(text, time) ", $returns), $of),
            strict(concat!($name, "(text, timetz) ", $returns), $of),
            strict(concat!($name, "(text, interval) ", $of_interval), $of),
        ]
    };
}

pub fn definitions() -> Vec<Definition> {
    let families = [
        of_fields!("extract_0", "numeric(20,0)", extract, extract_in_zone),
        of_fields!("extract_3", "numeric(20,3)", extract, extract_in_zone),
        of_fields!("extract_6", "numeric(26,6)", extract, extract_in_zone),
        of_fields!("extract_any", "numeric", extract, extract_in_zone),
        of_fields!("extract_long", "numeric(20,0)", "numeric", extract, extract_in_zone),
        of_fields!("date_part", "float8", date_part, date_part_in_zone),
    ];
    families.into_iter().flatten().collect()
}

/// The one name of a unit that PostgreSQL knows by several; any other word as it is.
pub fn unit_of(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let known = match lower.as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" => "microsecond",
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" => "millisecond",
        "s" | "sec" | "secs" | "second" | "seconds" => "second",
        "m" | "min" | "mins" | "minute" | "minutes" => "minute",
        "h" | "hr" | "hrs" | "hour" | "hours" => "hour",
        "d" | "day" | "days" => "day",
        "w" | "week" | "weeks" => "week",
        "mon" | "mons" | "month" | "months" => "month",
        "qtr" | "quarter" => "quarter",
        "y" | "yr" | "yrs" | "year" | "years" => "year",
        "dec" | "decs" | "decade" | "decades" => "decade",
        "c" | "cent" | "century" | "centuries" => "century",
        "mil" | "mils" | "millennia" => "millennium",
        "j" | "jd" | "julian" => "julian",
        // PostgreSQL compares ten letters.
        _ => match lower.get(..10) {
            Some("microsecon") => "microsecond",
            Some("millisecon") => "millisecond",
            Some("millennium") => "millennium",
            Some("timezone_h") => "timezone_hour",
            Some("timezone_m") => "timezone_minute",
            _ => return lower,
        },
    };
    known.to_owned()
}

/// Why date_trunc() cannot: 0A000 for a unit that is one, 22023 for a word.
pub fn cannot_truncate(unit: &str, known: &str, ty: &str) -> Error {
    match known {
        "week" | "timezone" | "timezone_hour" | "timezone_minute" => unsupported(unit, ty),
        _ => unknown(unit, ty),
    }
}

fn unsupported(unit: &str, ty: &str) -> Error {
    let unit = unit.to_ascii_lowercase();
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{unit}\" not supported for type {ty}"))
}

fn unknown(unit: &str, ty: &str) -> Error {
    let unit = unit.to_ascii_lowercase();
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{unit}\" not recognized for type {ty}"))
}

fn extract(v: &[Value]) -> Result<Value> {
    extract_in_zone(Zone::UTC, v)
}

fn extract_in_zone(zone: Zone, v: &[Value]) -> Result<Value> {
    Ok(field(text(&v[0]), &v[1], zone)?.map_or(Value::Null, Value::Numeric))
}

fn date_part(v: &[Value]) -> Result<Value> {
    date_part_in_zone(Zone::UTC, v)
}

/// That of a date is that of its midnight.
fn date_part_in_zone(zone: Zone, v: &[Value]) -> Result<Value> {
    let of = match &v[1] {
        Value::Date(_) => Value::Timestamp(timestamp_of(&v[1])?),
        value => value.clone(),
    };
    Ok(field(text(&v[0]), &of, zone)?.map_or(Value::Null, |field| Value::Float8(field.to_f64())))
}

/// The field of an infinite value: `grows` are those that are infinite too, `returns` those that are not there.
fn endless(
    unit: &str,
    negative: bool,
    ty: &str,
    grows: &[&str],
    returns: &[&str],
) -> Result<Option<Numeric>> {
    match unit_of(unit).as_str() {
        known if grows.contains(&known) => Ok(Some(Numeric::infinity(negative))),
        known if returns.contains(&known) => Ok(None),
        known if is_field(known) => Err(unsupported(unit, ty)),
        _ => Err(unknown(unit, ty)),
    }
}

/// A field of a value, exactly; none of an infinite one.
fn field(unit: &str, value: &Value, zone: Zone) -> Result<Option<Numeric>> {
    match value {
        Value::Interval(interval) if !interval.is_finite() => {
            let grows = ["hour", "day", "year", "decade", "century", "millennium", "epoch"];
            let returns = ["microsecond", "millisecond", "second", "minute", "month", "quarter"];
            endless(unit, interval.months < 0, "interval", &grows, &returns)
        }
        Value::Date(_) | Value::Timestamp(_) | Value::Timestamptz(_) if !is_finite(moment(value)) => {
            let grows = ["year", "decade", "century", "millennium", "isoyear", "epoch", "julian"];
            let of_date = ["day", "month", "quarter", "week", "dow", "isodow", "doy"];
            let of_clock = ["microsecond", "millisecond", "second", "minute", "hour"];
            let of_zone = ["timezone", "timezone_hour", "timezone_minute"];
            let returns = match value {
                Value::Date(_) => of_date.to_vec(),
                Value::Timestamp(_) => [&of_date[..], &of_clock].concat(),
                _ => [&of_date[..], &of_clock, &of_zone].concat(),
            };
            endless(unit, moment(value) < 0, type_of(value), &grows, &returns)
        }
        value => finite_field(unit, value, zone).map(Some),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Date(_) => "date",
        Value::Timestamptz(_) => "timestamp with time zone",
        _ => "timestamp without time zone",
    }
}

/// Whether some type has such a field.
fn is_field(known: &str) -> bool {
    let of_clock = ["microsecond", "millisecond", "second", "minute", "hour", "epoch"];
    is_field_of_days(known) || of_clock.contains(&known) || known.starts_with("timezone")
}

fn finite_field(unit: &str, value: &Value, zone: Zone) -> Result<Numeric> {
    let lower = unit_of(unit);
    let whole = |number: i64| Ok(Numeric::from_integer(number));
    let scaled = |number: i128, scale: u8| Ok(Numeric::new(number, scale));
    let of_clock = |clock: i64| match lower.as_str() {
        "microsecond" => Some(whole(clock % MINUTE)),
        "millisecond" => Some(scaled(i128::from(clock % MINUTE), 3)),
        "second" => Some(scaled(i128::from(clock % MINUTE), 6)),
        "minute" => Some(whole(clock / MINUTE % 60)),
        _ => None,
    };
    if let Value::Interval(interval) = value {
        let months = i64::from(interval.months);
        if let Some(part) = of_clock(interval.microseconds) {
            return part;
        }
        return match lower.as_str() {
            "hour" => whole(interval.microseconds / HOUR),
            "day" => whole(i64::from(interval.days)),
            "month" => whole(months % 12),
            "quarter" => whole(months % 12 / 3 + 1),
            "year" => whole(months / 12),
            "decade" => whole(months / 120),
            "century" => whole(months / 1_200),
            "millennium" => whole(months / 12_000),
            "epoch" => {
                // A year counts 365.25 days here, a month 30.
                let days = months / 12 * 36_525 + months % 12 * 3_000 + i64::from(interval.days) * 100;
                scaled(i128::from(days) * 864_000_000 + i128::from(interval.microseconds), 6)
            }
            lower if is_field(lower) => Err(unsupported(unit, "interval")),
            _ => Err(unknown(unit, "interval")),
        };
    }
    if let Value::Timetz(time) = value {
        if let Some(part) = of_clock(time.microseconds) {
            return part;
        }
        let (east, ty) = (-i64::from(time.west), "time with time zone");
        return match lower.as_str() {
            "hour" => whole(time.microseconds / HOUR),
            "epoch" => scaled(i128::from(time.in_greenwich()), 6),
            "timezone" => whole(east),
            "timezone_hour" => whole(east / 3600),
            "timezone_minute" => whole(east / 60 % 60),
            lower if is_field_of_days(lower) => Err(unsupported(unit, ty)),
            _ => Err(unknown(unit, ty)),
        };
    }
    if let Value::Time(clock) = value {
        if let Some(part) = of_clock(*clock) {
            return part;
        }
        let ty = "time without time zone";
        return match lower.as_str() {
            "hour" => whole(clock / HOUR),
            "epoch" => scaled(i128::from(*clock), 6),
            lower if is_field(lower) => Err(unsupported(unit, ty)),
            _ => Err(unknown(unit, ty)),
        };
    }
    let ty = type_of(value);
    let at = moment(value);
    let shown = if matches!(value, Value::Timestamptz(_)) { zone.to_local(at) } else { at };
    // Not all dates are timestamps.
    let (days, clock) = match value {
        Value::Date(days) => (i64::from(*days), 0),
        _ => (shown.div_euclid(MICROSECONDS_PER_DAY), shown.rem_euclid(MICROSECONDS_PER_DAY)),
    };
    let is_date = matches!(value, Value::Date(_));
    if let Some(part) = of_clock(clock) {
        return if is_date { Err(unsupported(unit, ty)) } else { part };
    }
    let (year, month, day) = civil_from_days(days);
    // There is no year 0: 1 BC is -1.
    let shown_year = if year > 0 { year } else { year - 1 };
    match lower.as_str() {
        "hour" if is_date => Err(unsupported(unit, ty)),
        "hour" => whole(clock / HOUR),
        "day" => whole(i64::from(day)),
        "month" => whole(i64::from(month)),
        "quarter" => whole(i64::from(month - 1) / 3 + 1),
        "year" => whole(shown_year),
        "decade" => whole(year.div_euclid(10)),
        "century" => whole(if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) }),
        "millennium" => whole(if year > 0 { (year + 999) / 1_000 } else { -((999 - (year - 1)) / 1_000) }),
        "week" => whole(iso_week(days).1),
        "isoyear" => {
            let year = iso_week(days).0;
            whole(if year > 0 { year } else { year - 1 })
        }
        "dow" => whole((days + 4).rem_euclid(7)),
        "isodow" => whole((days + 3).rem_euclid(7) + 1),
        "doy" => whole(days - days_from_civil(year, 1, 1) + 1),
        "epoch" if is_date => whole(days * 86_400),
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
        "timezone" | "timezone_hour" | "timezone_minute" => Err(unsupported(unit, ty)),
        _ => Err(unknown(unit, ty)),
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
