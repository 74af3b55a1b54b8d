//! to_char, to_date and to_timestamp: moments by PostgreSQL's format templates.
//!
//! A template is split into tokens (`YYYY`, `FM`, text between quotes, anything else) once per call; the same tokens
//! print and read.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::bytes::text;
use crate::functions::dates::{is_date, is_timestamp, out_of_range};
use crate::functions::moment_templates::{self, Place, Read};
use crate::functions::number_formats;
use crate::functions::value::{Definition, functions as build, strict, zoned};
use crate::types::datetime::{self, MICROSECONDS_PER_DAY, civil_from_days, days_from_civil};
use crate::types::{Interval, Value, Zone};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    // A name has one list of overloads.
    build(definitions().into_iter().chain(number_formats::definitions()).collect())
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("to_char(timestamp, text) text", |v| shown(&v[0], text(&v[1]), None)),
        zoned("to_char(timestamptz, text) text", |zone, v| shown(&v[0], text(&v[1]), Some(zone))),
        strict("to_char(interval, text) text", |v| shown(&v[0], text(&v[1]), None)),
        strict("to_timestamp(float8) timestamptz", |v| match &v[0] {
            Value::Float8(seconds) if seconds.is_nan() => {
                Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"))
            }
            Value::Float8(f64::INFINITY) => Ok(Value::Timestamptz(i64::MAX)),
            Value::Float8(f64::NEG_INFINITY) => Ok(Value::Timestamptz(i64::MIN)),
            Value::Float8(seconds) if is_timestamp((seconds * 1e6) as i64) => {
                Ok(Value::Timestamptz((seconds * 1e6).round_ties_even() as i64))
            }
            shown => {
                let message = format!("timestamp out of range: \"{}\"", shown_number(shown));
                Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message))
            }
        }),
        strict("to_date(text, text) date", |v| {
            let days = moment_templates::read(text(&v[0]), text(&v[1]))?.days;
            let days = i32::try_from(days).ok().filter(|days| is_date(*days));
            days.map(Value::Date).ok_or_else(|| {
                let message = format!("date out of range: \"{}\"", text(&v[0]));
                Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
            })
        }),
        zoned("to_timestamp(text, text) timestamptz", |zone, v| {
            let Read { days, time, place, digits } = moment_templates::read(text(&v[0]), text(&v[1]))?;
            let local = days.checked_mul(MICROSECONDS_PER_DAY).and_then(|at| at.checked_add(time));
            let at = local.and_then(|local| match place {
                None => Some(zone.to_utc(local)),
                Some(Place::In(zone)) => Some(zone.to_utc(local)),
                Some(Place::East(seconds)) => local.checked_sub(seconds * 1_000_000),
            });
            let at = at.filter(|at| is_timestamp(*at)).map(|at| datetime::rounded(at, digits));
            let at = at.filter(|at| is_timestamp(*at)).map(Value::Timestamptz);
            at.ok_or_else(|| out_of_range("timestamp"))
        }),
    ]
}

/// By a template; NULL by an empty one, as in PostgreSQL.
fn shown(value: &Value, template: &str, zone: Option<Zone>) -> Result<Value> {
    if template.is_empty() { Ok(Value::Null) } else { print_moment(value, template, zone) }
}

/// As C prints it with `%g`.
fn shown_number(value: &Value) -> String {
    let Value::Float8(number) = value else { return String::new() };
    let shown = format!("{number:.5e}");
    let Some((digits, exponent)) = shown.split_once('e') else { return shown };
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..6) if exponent < 6 => crate::types::text::to_string(&Value::Float8(*number)),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Err(_) => shown,
    }
}

/// The words of date templates, longer ones before their beginnings.
const WORDS: &[&str] = &[
    "Y,YYY", "IYYY", "YYYY", "MONTH", "SSSSS", "SSSS", "HH12", "HH24", "A.M.", "P.M.", "B.C.", "A.D.",
    "IDDD", "IYY", "YYY", "DAY", "MON", "DDD", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH",
    "MI", "SS", "MS", "US", "AM", "PM", "BC", "AD", "IY", "YY", "MM", "DY", "DD", "ID", "WW", "IW", "CC",
    "RM", "TZ", "OF", "FX", "Y", "I", "D", "W", "J", "Q",
];

pub(super) enum Token {
    /// The word in upper case and as it was written; without FM its value is filled to its width, and TH or th behind it
    /// makes it an ordinal.
    Word {
        word: &'static str,
        written: String,
        fill: bool,
        ordinal: Option<String>,
    },
    /// Outside of quotes.
    Literal(char),
    Quoted(char),
}

pub(super) fn tokens(template: &str) -> Vec<Token> {
    let starts =
        |text: &str, word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let mut tokens = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let mut fill = true;
        if starts(rest, "FM") || starts(rest, "TM") {
            fill = !starts(rest, "FM");
            rest = &rest[2..];
        }
        if let Some(word) = WORDS.iter().find(|word| starts(rest, word)) {
            let (written, behind) = rest.split_at(word.len());
            rest = behind;
            let ordinal = starts(rest, "TH").then(|| rest[..2].to_owned());
            if ordinal.is_some() {
                rest = &rest[2..];
            }
            tokens.push(Token::Word { word, written: written.to_owned(), fill, ordinal });
            continue;
        }
        let mut characters = rest.chars();
        match characters.next() {
            Some('"') => {
                while let Some(c) = characters.next() {
                    match c {
                        '"' => break,
                        // A backslash quotes the next character, if there is one.
                        '\\' => tokens.push(Token::Quoted(characters.next().unwrap_or(c))),
                        c => tokens.push(Token::Quoted(c)),
                    }
                }
            }
            Some('\\') if characters.as_str().starts_with('"') => {
                characters.next();
                tokens.push(Token::Literal('"'));
            }
            Some(c) => tokens.push(Token::Literal(c)),
            None => {}
        }
        rest = characters.as_str();
    }
    tokens
}

pub(super) const MONTHS: [&str; 12] = [
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
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

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
            Value::Interval(interval) if !interval.is_finite() => return None,
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
    for token in tokens(template) {
        match token {
            Token::Literal(c) | Token::Quoted(c) => out.push(c),
            Token::Word { word: "FX", .. } => {}
            Token::Word { word, written, fill, ordinal: with_ordinal } => {
                out.push_str(&part(&parts, word, &written, fill)?);
                if let Some(written) = with_ordinal {
                    let digits = out.trim_end_matches(|c: char| !c.is_ascii_digit());
                    let suffix = ordinal(digits);
                    let suffix =
                        if written.starts_with('T') { suffix.to_uppercase() } else { suffix.to_owned() };
                    out.push_str(&suffix);
                }
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
        // 1 BC is year 0.
        (if year <= 0 { 1 - year } else { year }, (thursday - days_from_civil(year, 1, 1)) / 7 + 1, year)
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
        "RM" if is_interval && parts.month == 0 && parts.year == 0 => String::new(),
        // Of an interval, whole years are a twelfth month, and negative months are counted from the end.
        "RM" => {
            let month = match parts.month {
                0 if parts.year > 0 => 11,
                0 => 0,
                month @ 1.. => month - 1,
                month => 12 + month,
            };
            named(ROMAN[month.rem_euclid(12) as usize], written, width(4))
        }
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
            days - (days_from_civil(iso().2, 1, 4) - (days_from_civil(iso().2, 1, 4) + 3).rem_euclid(7)) + 1,
            3,
        ),
        "D" => ((days + 4).rem_euclid(7) + 1).to_string(),
        "ID" => ((days + 3).rem_euclid(7) + 1).to_string(),
        "W" => ((parts.day - 1) / 7 + 1).to_string(),
        "WW" => number((day_of_year - 1) / 7 + 1, 2),
        // The first before Christ is -1.
        "CC" if parts.year > 0 => number((years + 99) / 100, 2),
        "CC" => number(-((years + 99) / 100), 2),
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
