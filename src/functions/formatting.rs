//! to_char, to_date and to_timestamp: moments by PostgreSQL's format templates.
//!
//! A template is split into tokens (`YYYY`, `FM`, text between quotes, anything else) once per call; the same tokens
//! print and read.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::number_formats;
use crate::functions::value::{Definition, functions as build, strict, zoned};
use crate::types::datetime::{MICROSECONDS_PER_DAY, civil_from_days, days_from_civil, days_in_month};
use crate::types::{Interval, Value, Zone};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    // A name has one list of overloads.
    build(definitions().into_iter().chain(number_formats::definitions()).collect())
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("to_char(timestamp, text) text", |v| print_moment(&v[0], text(&v[1]), None)),
        zoned("to_char(timestamptz, text) text", |zone, v| print_moment(&v[0], text(&v[1]), Some(zone))),
        strict("to_char(interval, text) text", |v| print_moment(&v[0], text(&v[1]), None)),
        strict("to_timestamp(float8) timestamptz", |v| match &v[0] {
            Value::Float8(seconds) if seconds.is_finite() && (seconds * 1e6).abs() < 9.2e18 => {
                Ok(Value::Timestamptz((seconds * 1e6).round_ties_even() as i64))
            }
            _ => Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")),
        }),
        strict("to_date(text, text) date", |v| {
            let at = read_moment(text(&v[0]), text(&v[1]))?;
            Ok(Value::Date(at.div_euclid(MICROSECONDS_PER_DAY) as i32))
        }),
        zoned("to_timestamp(text, text) timestamptz", |zone, v| {
            read_moment(text(&v[0]), text(&v[1])).map(|local| Value::Timestamptz(zone.to_utc(local)))
        }),
    ]
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

/// The words of date templates, longer ones before their beginnings.
const WORDS: &[&str] = &[
    "Y,YYY", "IYYY", "YYYY", "MONTH", "SSSSS", "SSSS", "HH12", "HH24", "A.M.", "P.M.", "B.C.", "A.D.",
    "IDDD", "IYY", "YYY", "DAY", "MON", "DDD", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH",
    "MI", "SS", "MS", "US", "AM", "PM", "BC", "AD", "IY", "YY", "MM", "DY", "DD", "ID", "WW", "IW", "CC",
    "RM", "TZ", "OF", "FM", "FX", "TM", "TH", "Y", "I", "D", "W", "J", "Q",
];

enum Token {
    /// The word in upper case, and as it was written.
    Word(&'static str, String),
    Literal(char),
}

fn tokens(template: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let inner = &rest[1..];
            let end = inner.find('"').unwrap_or(inner.len());
            tokens.extend(inner[..end].chars().map(Token::Literal));
            rest = inner.get(end + 1..).unwrap_or("");
            continue;
        }
        let word = WORDS
            .iter()
            .find(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        match word {
            Some(word) => {
                tokens.push(Token::Word(word, rest[..word.len()].to_owned()));
                rest = &rest[word.len()..];
            }
            None => {
                tokens.push(Token::Literal(first));
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    tokens
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// A moment or an interval, taken apart.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// Days since 1970; `None` for an interval.
    days: Option<i64>,
    /// Of a moment: what its zone is called then, and the seconds it is east of UTC.
    zone: Option<(String, i32)>,
}

impl Parts {
    fn of(value: &Value, zone: Option<Zone>) -> Option<Parts> {
        let (days, clock) = match value {
            Value::Timestamp(i64::MIN | i64::MAX) | Value::Timestamptz(i64::MIN | i64::MAX) => return None,
            Value::Timestamp(at) | Value::Timestamptz(at) => {
                let at = zone.map_or(*at, |zone| zone.to_local(*at));
                (at.div_euclid(MICROSECONDS_PER_DAY), at.rem_euclid(MICROSECONDS_PER_DAY))
            }
            Value::Interval(Interval { months, days, microseconds }) => {
                return Some(Parts {
                    year: i64::from(months / 12),
                    month: i64::from(months % 12),
                    day: i64::from(*days),
                    ..Parts::clock(*microseconds)
                });
            }
            _ => return None,
        };
        let (year, month, day) = civil_from_days(days);
        let (month, day) = (i64::from(month), i64::from(day));
        let zone = match (value, zone) {
            (Value::Timestamptz(at), Some(zone)) => Some((zone.abbreviation_at(*at), zone.offset_at(*at))),
            _ => None,
        };
        Some(Parts { year, month, day, days: Some(days), zone, ..Parts::clock(clock) })
    }

    fn clock(clock: i64) -> Parts {
        let seconds = clock / 1_000_000;
        Parts {
            year: 0,
            month: 0,
            day: 0,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            microsecond: clock % 1_000_000,
            days: None,
            zone: None,
        }
    }
}

fn print_moment(value: &Value, template: &str, zone: Option<Zone>) -> Result<Value> {
    let Some(parts) = Parts::of(value, zone) else { return Ok(Value::Null) };
    let mut out = String::new();
    let mut fill = true;
    for token in tokens(template) {
        match token {
            Token::Literal(c) => out.push(c),
            Token::Word("FM", _) => fill = false,
            Token::Word("FX" | "TM", _) => {}
            Token::Word("TH", written) => {
                let digits = out.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
                let suffix = ordinal(&digits);
                out.push_str(&if written.starts_with('T') {
                    suffix.to_uppercase()
                } else {
                    suffix.to_owned()
                });
            }
            Token::Word(word, written) => {
                out.push_str(&part(&parts, word, &written, fill)?);
                fill = true;
            }
        }
    }
    Ok(Value::Text(out))
}

fn ordinal(digits: &str) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() >= 2 && bytes[bytes.len() - 2] == b'1';
    match bytes.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

/// A name in the case of the template's word, blank-filled to `width`.
fn named(name: &str, written: &str, width: usize) -> String {
    let mut characters = written.chars();
    let (first, second) = (characters.next(), characters.next());
    let is_upper = |c: Option<char>| c.is_some_and(char::is_uppercase);
    let cased = match (is_upper(first), is_upper(second)) {
        (true, true) => name.to_uppercase(),
        (true, false) => name.to_owned(),
        _ => name.to_lowercase(),
    };
    format!("{cased:width$}")
}

fn part(parts: &Parts, word: &str, written: &str, fill: bool) -> Result<String> {
    let number = |value: i64, width: usize| match fill {
        true if value < 0 => format!("-{:0width$}", -value),
        true => format!("{value:0width$}"),
        false => value.to_string(),
    };
    let years = if parts.days.is_some() && parts.year <= 0 { 1 - parts.year } else { parts.year };
    let days = parts.days.unwrap_or(0);
    let no_date = || {
        Err(Error::new(SqlState("22007"), "invalid format specification for an interval value")
            .hint("Intervals are not tied to specific calendar dates."))
    };
    let is_interval = parts.days.is_none();
    let width = |full: usize| if fill { full } else { 0 };
    let half = |written: &str| {
        let name = if parts.hour % 24 >= 12 { "pm" } else { "am" };
        let name =
            if written.contains('.') { format!("{}.{}.", &name[..1], &name[1..]) } else { name.to_owned() };
        if written.starts_with(char::is_uppercase) { name.to_uppercase() } else { name }
    };
    let iso = || {
        let thursday = days - (days + 3).rem_euclid(7) + 3;
        let (year, _, _) = civil_from_days(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    };
    let day_of_year = days - days_from_civil(parts.year, 1, 1) + 1;
    Ok(match word {
        "HH" | "HH12" => number(if parts.hour % 12 == 0 { 12 } else { parts.hour % 12 }, 2),
        "HH24" => number(parts.hour, 2),
        "MI" => number(parts.minute, 2),
        "SS" => number(parts.second, 2),
        "MS" | "FF3" => format!("{:03}", parts.microsecond / 1_000),
        "US" | "FF6" => format!("{:06}", parts.microsecond),
        "FF1" => format!("{:01}", parts.microsecond / 100_000),
        "FF2" => format!("{:02}", parts.microsecond / 10_000),
        "FF4" => format!("{:04}", parts.microsecond / 100),
        "FF5" => format!("{:05}", parts.microsecond / 10),
        "SSSS" | "SSSSS" => (parts.hour * 3_600 + parts.minute * 60 + parts.second).to_string(),
        "AM" | "PM" | "A.M." | "P.M." => half(written),
        "YYYY" => number(years, 4),
        "YYY" => number(years % 1_000, 3),
        "YY" => number(years % 100, 2),
        "Y" => number(years % 10, 1),
        "Y,YYY" => format!("{},{:03}", years / 1_000, years % 1_000),
        "MM" => number(parts.month, 2),
        // The sign is one of the two places, of days alone.
        "DD" if fill => format!("{:02}", parts.day),
        "DD" => number(parts.day, 2),
        "CC" if is_interval => number(years / 100, 2),
        "Q" if is_interval && parts.month == 0 => String::new(),
        "Q" => ((parts.month - 1) / 3 + 1).to_string(),
        "DDD" if is_interval => number(parts.year * 360 + parts.month * 30 + parts.day, 3),
        "TZ" | "OF" | "TZH" | "TZM" if is_interval => return no_date(),
        "RM" if is_interval && parts.month == 0 => String::new(),
        "RM" => named(ROMAN[(parts.month - 1).rem_euclid(12) as usize], written, width(4)),
        "J" if is_interval => return no_date(),
        _ if is_interval => return no_date(),
        "IYYY" => number(iso().0, 4),
        "IYY" => number(iso().0 % 1_000, 3),
        "IY" => number(iso().0 % 100, 2),
        "I" => number(iso().0 % 10, 1),
        "IW" => number(iso().1, 2),
        "MONTH" => named(MONTHS[(parts.month - 1) as usize], written, width(9)),
        "MON" => named(&MONTHS[(parts.month - 1) as usize][..3], written, 0),
        "DAY" => named(DAYS[(days + 4).rem_euclid(7) as usize], written, width(9)),
        "DY" => named(&DAYS[(days + 4).rem_euclid(7) as usize][..3], written, 0),
        "DDD" => number(day_of_year, 3),
        "IDDD" => number(
            days - (days_from_civil(iso().0, 1, 4) - (days_from_civil(iso().0, 1, 4) + 3).rem_euclid(7)) + 1,
            3,
        ),
        "D" => ((days + 4).rem_euclid(7) + 1).to_string(),
        "ID" => ((days + 3).rem_euclid(7) + 1).to_string(),
        "W" => ((parts.day - 1) / 7 + 1).to_string(),
        "WW" => number((day_of_year - 1) / 7 + 1, 2),
        "CC" => number((years + 99) / 100, 2),
        "J" => (days + 2_440_588).to_string(),
        "BC" | "AD" | "B.C." | "A.D." => {
            let name = if parts.year <= 0 { "BC" } else { "AD" };
            let name = if written.contains('.') {
                format!("{}.{}.", &name[..1], &name[1..])
            } else {
                name.to_owned()
            };
            if written.starts_with(char::is_uppercase) { name } else { name.to_lowercase() }
        }
        "TZ" => {
            let name = parts.zone.as_ref().map_or("", |(name, _)| name);
            if written.starts_with('t') { name.to_lowercase() } else { name.to_owned() }
        }
        "OF" | "TZH" | "TZM" => {
            let seconds = parts.zone.as_ref().map_or(0, |(_, seconds)| *seconds);
            let sign = if seconds < 0 { '-' } else { '+' };
            let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() / 60 % 60);
            match word {
                "OF" if minutes != 0 => format!("{sign}{hours:02}:{minutes:02}"),
                "TZM" => format!("{minutes:02}"),
                _ => format!("{sign}{hours:02}"),
            }
        }
        other => return Err(Error::unsupported(format!("the format \"{other}\" in to_char"))),
    })
}

/// A moment read by a template; what the template leaves out is the beginning of the era it names.
fn read_moment(input: &str, template: &str) -> Result<i64> {
    let mut rest = input;
    let (mut year, mut month, mut day) = (None, 1i64, 1i64);
    let (mut hour, mut minute, mut second, mut microsecond) = (0i64, 0i64, 0i64, 0i64);
    let (mut pm, mut half_day, mut day_of_year, mut julian, mut bc) = (None, false, None, None, false);
    let all = tokens(template);
    for (index, token) in all.iter().enumerate() {
        let (word, written) = match token {
            Token::Literal(c) => {
                // Blanks and punctuation of either side stand for each other.
                let next = rest.chars().next();
                match next {
                    Some(next)
                        if !(c.is_alphanumeric() || next.is_alphanumeric() || next == '-' && *c == ' ') =>
                    {
                        rest = &rest[next.len_utf8()..];
                    }
                    Some(next) if c.is_alphanumeric() => rest = &rest[next.len_utf8()..],
                    _ => {}
                }
                continue;
            }
            Token::Word("FM" | "FX" | "TM" | "TH", _) => continue,
            Token::Word(word, written) => (*word, written.as_str()),
        };
        rest = rest.trim_start();
        // Digits right behind belong to the next word.
        let bounded = matches!(all.get(index + 1), Some(Token::Word(next, _)) if !matches!(*next, "TH"));
        let mut digits = |most: usize| -> Result<i64> {
            let most = if bounded { most } else { most.max(if most == 4 { 9 } else { most }) };
            let sign = usize::from(rest.starts_with(['-', '+']));
            let length = rest[sign..].bytes().take(most).take_while(u8::is_ascii_digit).count();
            let found = &rest[..sign + length];
            let shown: String = rest.chars().take(most).collect();
            let value = found.parse::<i64>().map_err(|_| {
                let message = format!("invalid value \"{shown}\" for \"{written}\"");
                Error::new(SqlState("22007"), message).detail("Value must be an integer.")
            })?;
            rest = &rest[sign + length..];
            Ok(value)
        };
        let recent = |value: i64| if value < 70 { 2_000 + value } else { 1_900 + value };
        match word {
            "YYYY" | "IYYY" => year = Some(digits(4)?),
            "Y,YYY" => {
                let thousands = digits(1)?;
                rest = rest.strip_prefix(',').unwrap_or(rest);
                let length = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
                year = Some(thousands * 1_000 + rest[..length].parse::<i64>().unwrap_or(0));
                rest = &rest[length..];
            }
            "YYY" => year = Some(2_000 + digits(3)?),
            "YY" => year = Some(recent(digits(2)?)),
            "Y" => year = Some(2_020 + digits(1)?),
            "MM" => month = digits(2)?,
            "DD" => day = digits(2)?,
            "DDD" => day_of_year = Some(digits(3)?),
            "J" => julian = Some(digits(7)?),
            "HH" | "HH12" => (hour, half_day) = (digits(2)?, true),
            "HH24" => hour = digits(2)?,
            "MI" => minute = digits(2)?,
            "SS" => second = digits(2)?,
            "SSSS" | "SSSSS" => {
                let seconds = digits(5)?;
                (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            }
            "MS" | "FF3" => microsecond = fraction(&mut rest, 3),
            "US" | "FF6" => microsecond = fraction(&mut rest, 6),
            "AM" | "PM" | "A.M." | "P.M." => {
                let lower = rest.to_ascii_lowercase();
                let names = [("a.m.", false), ("p.m.", true), ("am", false), ("pm", true)];
                let found = names.iter().find(|(name, _)| lower.starts_with(name));
                let (name, is_pm) = found.ok_or_else(|| unreadable(rest, written))?;
                (pm, rest) = (Some(*is_pm), &rest[name.len()..]);
            }
            "BC" | "AD" | "B.C." | "A.D." => {
                bc = rest.to_ascii_lowercase().starts_with('b');
                rest = rest.get(word.len()..).unwrap_or("");
            }
            "MONTH" | "MON" => {
                month = name_in(&MONTHS, word == "MON", &mut rest).ok_or_else(|| unreadable(rest, written))?
                    as i64
                    + 1
            }
            "DAY" | "DY" => {
                name_in(&DAYS, word == "DY", &mut rest).ok_or_else(|| unreadable(rest, written))?;
            }
            "Q" | "D" | "ID" | "W" | "WW" | "CC" => {
                digits(2)?;
            }
            other => {
                return Err(Error::unsupported(format!(
                    "the format \"{other}\" in to_date and to_timestamp"
                )));
            }
        }
    }
    let out_of_range = || {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{input}\""),
        )
    };
    if half_day {
        if !(1..=12).contains(&hour) {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(Error::new(SqlState("22007"), message)
                .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        hour = hour % 12 + if pm == Some(true) { 12 } else { 0 };
    }
    let mut year = year.unwrap_or(0);
    if bc {
        year = 1 - year;
    } else if year == 0 {
        // PostgreSQL's year without a name is 1 BC.
        year = 0;
    }
    if !(1..=12).contains(&month) || day < 1 || day > i64::from(days_in_month(year, month as u32)) {
        return Err(out_of_range());
    }
    if hour > 24 || minute > 59 || second > 59 || year.abs() > 294_276 {
        return Err(out_of_range());
    }
    let days = match (julian, day_of_year) {
        (Some(julian), _) => julian - 2_440_588,
        (None, Some(day)) => days_from_civil(year, 1, 1) + day - 1,
        (None, None) => days_from_civil(year, month as u32, day as u32),
    };
    let clock = (hour * 3_600 + minute * 60 + second) * 1_000_000 + microsecond;
    days.checked_mul(MICROSECONDS_PER_DAY).and_then(|days| days.checked_add(clock)).ok_or_else(out_of_range)
}

fn unreadable(rest: &str, written: &str) -> Error {
    let shown: String = rest.chars().take(written.len()).collect();
    Error::new(SqlState("22007"), format!("invalid value \"{shown}\" for \"{written}\""))
        .detail("The given value did not match any of the allowed values for this field.")
}

/// Up to `width` digits behind a point, in microseconds.
fn fraction(rest: &mut &str, width: usize) -> i64 {
    let length = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
    let value: i64 = rest[..length].parse().unwrap_or(0);
    *rest = &rest[length..];
    value * 10i64.pow((6 - length) as u32)
}

/// The position of the name the text begins with.
fn name_in(names: &[&str], short: bool, rest: &mut &str) -> Option<usize> {
    let length = |name: &str| if short { 3 } else { name.len() };
    let found = names.iter().position(|name| {
        rest.get(..length(name)).is_some_and(|start| start.eq_ignore_ascii_case(&name[..length(name)]))
    })?;
    *rest = &rest[length(names[found])..];
    Some(found)
}
