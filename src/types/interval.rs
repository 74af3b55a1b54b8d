//! Intervals in PostgreSQL's `postgres` style: `1 year 2 mons 3 days 04:05:06.789`; ISO 8601 durations and the
//! verbose style are read too.
//!
//! Months, days and microseconds do not convert into each other when written; only the fraction of a unit spills
//! into the next smaller one, a month counting 30 days and a day 24 hours.

use crate::error::{Error, Result, SqlState};
use crate::types::Interval;
use crate::types::datetime::{MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, print_seconds};
use crate::types::integer::{print_i64, print_padded};
use crate::types::text::{invalid_datetime, is_space};

const MICROSECONDS_PER_MINUTE: i64 = 60 * MICROSECONDS_PER_SECOND;
const MICROSECONDS_PER_HOUR: i64 = 60 * MICROSECONDS_PER_MINUTE;
const DAYS_PER_MONTH: f64 = 30.0;

pub fn print(interval: Interval, out: &mut Vec<u8>) {
    let start = out.len();
    let mut negative_before = false;
    let months = i64::from(interval.months);
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (i64::from(interval.days), "day")] {
        if value == 0 {
            continue;
        }
        separate(start, out);
        if negative_before && value > 0 {
            out.push(b'+');
        }
        print_i64(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        negative_before = value < 0;
    }
    if interval.microseconds == 0 && out.len() > start {
        return;
    }
    separate(start, out);
    match interval.microseconds < 0 {
        true => out.push(b'-'),
        false if negative_before => out.push(b'+'),
        false => {}
    }
    let microseconds = interval.microseconds.unsigned_abs();
    print_padded(microseconds / MICROSECONDS_PER_HOUR as u64, 2, out);
    out.push(b':');
    print_padded(microseconds / MICROSECONDS_PER_MINUTE as u64 % 60, 2, out);
    out.push(b':');
    print_seconds(microseconds % MICROSECONDS_PER_MINUTE as u64, out);
}

fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b' ');
    }
}

pub fn parse(text: &str) -> Result<Interval> {
    read(text, Sum::default())
}

/// The fields by which `INTERVAL '1-2' YEAR TO MONTH` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Field {
    /// `None` for what is no such field.
    pub fn from_name(name: &str) -> Option<Field> {
        Some(match name {
            "year" => Field::Year,
            "month" => Field::Month,
            "day" => Field::Day,
            "hour" => Field::Hour,
            "minute" => Field::Minute,
            "second" => Field::Second,
            _ => return None,
        })
    }

    fn unit(self) -> Unit {
        match self {
            Field::Year => Unit::Months(12.0),
            Field::Month => Unit::Months(1.0),
            Field::Day => Unit::Days(1.0),
            Field::Hour => Unit::Microseconds(MICROSECONDS_PER_HOUR),
            Field::Minute => Unit::Microseconds(MICROSECONDS_PER_MINUTE),
            Field::Second => Unit::Microseconds(MICROSECONDS_PER_SECOND),
        }
    }
}

/// An interval whose last number counts the last field if it has no unit. It keeps what is smaller: see [`fit`].
pub fn parse_fields(text: &str, first: Field, last: Field) -> Result<Interval> {
    let minutes_first = (first, last) == (Field::Minute, Field::Second);
    read(text, Sum { last: Some(last), minutes_first, ..Sum::default() })
}

/// An interval without what is smaller than the last field, and with so many digits of a second.
pub fn fit(interval: Interval, last: Option<Field>, digits: Option<u8>) -> Interval {
    let Interval { months, days, microseconds } = interval;
    let down = |each: i64| microseconds / each * each;
    match last {
        Some(Field::Year) => Interval { months: months / 12 * 12, days: 0, microseconds: 0 },
        Some(Field::Month) => Interval { months, days: 0, microseconds: 0 },
        Some(Field::Day) => Interval { months, days, microseconds: 0 },
        Some(Field::Hour) => Interval { months, days, microseconds: down(MICROSECONDS_PER_HOUR) },
        Some(Field::Minute) => Interval { months, days, microseconds: down(MICROSECONDS_PER_MINUTE) },
        Some(Field::Second) | None => {
            Interval { months, days, microseconds: super::datetime::rounded_time(microseconds, digits) }
        }
    }
}

fn read(text: &str, mut sum: Sum) -> Result<Interval> {
    let lower = text.trim_matches(is_space).to_ascii_lowercase();
    let understood = match lower.strip_prefix('p') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || c == 't' || c == '-' || c == '.') => {
            sum.iso(rest)
        }
        _ => sum.verbose(&lower),
    };
    match understood {
        Some(()) => sum.finish(text),
        None => Err(invalid_datetime("interval", text)),
    }
}

/// The parts as they add up.
#[derive(Default)]
struct Sum {
    months: f64,
    days: f64,
    microseconds: f64,
    whole_microseconds: i128,
    /// What a number without a unit counts, if not seconds.
    last: Option<Field>,
    /// `1:30` is minutes and seconds.
    minutes_first: bool,
}

#[derive(Clone, Copy)]
enum Unit {
    Months(f64),
    Days(f64),
    Microseconds(i64),
}

impl Sum {
    /// `1 year 2 mons -3 days 04:05:06`, `@ 1 minute ago`, `1-2`, `3 4:05`.
    fn verbose(&mut self, lower: &str) -> Option<()> {
        let mut tokens = split(lower)?.into_iter().peekable();
        let mut any = false;
        while let Some(token) = tokens.next() {
            match token {
                "@" if !any => continue,
                "ago" if any && tokens.peek().is_none() => {
                    self.months = -self.months;
                    self.days = -self.days;
                    self.microseconds = -self.microseconds;
                    self.whole_microseconds = -self.whole_microseconds;
                }
                "and" if any => {}
                _ if token.contains(':') => self.clock(token)?,
                _ => {
                    let next = tokens.peek().copied();
                    match next.and_then(unit) {
                        Some(unit) => {
                            tokens.next();
                            self.add(token, unit)?;
                        }
                        // `3 4:05` is days and time, `1-2` years and months, a bare number seconds.
                        None if next.is_some_and(|next| next.contains(':')) => {
                            self.add(token, Unit::Days(1.0))?
                        }
                        // `1 2` are days and hours, where hours are the last field.
                        None if self.last == Some(Field::Hour) && tokens.len() == 1 => {
                            self.add(token, Unit::Days(1.0))?
                        }
                        None if year_month(token).is_some() => self.months += year_month(token)?,
                        None if next.is_none() => {
                            self.add(token, self.last.unwrap_or(Field::Second).unit())?
                        }
                        None => return None,
                    }
                }
            }
            any = true;
        }
        any.then_some(())
    }

    /// `1y2m3dT4h5m6s`, what follows the P of ISO 8601.
    fn iso(&mut self, mut rest: &str) -> Option<()> {
        let mut in_time = false;
        let mut any = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('t') {
                in_time = true;
                rest = after;
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let number = &rest[..end];
            let unit = match (&rest[end..=end], in_time) {
                ("y", false) => Unit::Months(12.0),
                ("m", false) => Unit::Months(1.0),
                ("w", false) => Unit::Days(7.0),
                ("d", false) => Unit::Days(1.0),
                ("h", true) => Unit::Microseconds(MICROSECONDS_PER_HOUR),
                ("m", true) => Unit::Microseconds(MICROSECONDS_PER_MINUTE),
                ("s", true) => Unit::Microseconds(MICROSECONDS_PER_SECOND),
                _ => return None,
            };
            self.add(number, unit)?;
            any = true;
            rest = &rest[end + 1..];
        }
        any.then_some(())
    }

    fn add(&mut self, number: &str, unit: Unit) -> Option<()> {
        if !number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.')) {
            return None;
        }
        match unit {
            Unit::Microseconds(each) => {
                let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
                let negative = whole.starts_with('-');
                let digits = whole.trim_start_matches(['+', '-']);
                if digits.is_empty() && fraction.is_empty() {
                    return None;
                }
                let whole: i128 = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()?.into() };
                let part: f64 =
                    if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
                let each_sum = whole * i128::from(each) + (part * each as f64).round_ties_even() as i128;
                self.whole_microseconds += if negative { -each_sum } else { each_sum };
            }
            Unit::Days(each) => {
                let value = number.parse::<f64>().ok()? * each;
                self.days += value.trunc();
                self.microseconds += value.fract() * MICROSECONDS_PER_DAY as f64;
            }
            Unit::Months(12.0) | Unit::Months(120.0) | Unit::Months(1200.0) | Unit::Months(12_000.0) => {
                let Unit::Months(each) = unit else { return None };
                // Parts of a year are whole months, rounded.
                self.months += (number.parse::<f64>().ok()? * each).round_ties_even();
            }
            Unit::Months(_) => {
                let value = number.parse::<f64>().ok()?;
                self.months += value.trunc();
                let days = value.fract() * DAYS_PER_MONTH;
                // A millionth of a day keeps 0.1 * 30 from being 2.9999999999999996 days.
                let days = (days * 1e6).round() / 1e6;
                self.days += days.trunc();
                self.microseconds += days.fract() * MICROSECONDS_PER_DAY as f64;
            }
        }
        Some(())
    }

    /// `[-]4:05[:06.789]`
    fn clock(&mut self, token: &str) -> Option<()> {
        let (negative, body) = match token.as_bytes() {
            [b'-', ..] => (true, &token[1..]),
            [b'+', ..] => (false, &token[1..]),
            _ => (false, token),
        };
        let parts: Vec<&str> = body.split(':').collect();
        let whole =
            |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten();
        let (hours, minutes, seconds) = match parts[..] {
            // With a fraction and two parts these are minutes and seconds.
            [minutes, seconds] if self.minutes_first || seconds.contains('.') => ("0", minutes, seconds),
            [hours, minutes] => (hours, minutes, "0"),
            [hours, minutes, seconds] => (hours, minutes, seconds),
            _ => return None,
        };
        let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let (hours, minutes, second) = (whole(hours)?, whole(minutes)?, whole(second)?);
        if minutes > 59 || second > 59 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let microseconds = i128::from(hours) * i128::from(MICROSECONDS_PER_HOUR)
            + i128::from(minutes * MICROSECONDS_PER_MINUTE + second * MICROSECONDS_PER_SECOND)
            + i128::from(super::datetime::fraction_of(fraction));
        self.whole_microseconds += if negative { -microseconds } else { microseconds };
        Some(())
    }

    fn finish(self, text: &str) -> Result<Interval> {
        let microseconds = self.whole_microseconds as f64 + self.microseconds;
        let fits = self.months.abs() <= f64::from(i32::MAX)
            && self.days.abs() <= f64::from(i32::MAX)
            && microseconds.abs() < i64::MAX as f64;
        if !fits {
            let message = format!("interval field value out of range: \"{text}\"");
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
        }
        Ok(Interval {
            months: self.months as i32,
            days: self.days as i32,
            microseconds: (self.whole_microseconds + self.microseconds.round_ties_even() as i128) as i64,
        })
    }
}

/// Words and numbers, apart even when they touch: `1day` is `1`, `day`.
fn split(lower: &str) -> Option<Vec<&str>> {
    let mut tokens = Vec::new();
    for word in lower.split(|c| is_space(c) || c == ',').filter(|word| !word.is_empty()) {
        let letters = word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len());
        let (number, rest) = word.split_at(letters);
        if !number.is_empty() {
            tokens.push(number);
        }
        if !rest.is_empty() {
            if !rest.chars().all(char::is_alphabetic) {
                // 1d2h: number and unit take turns.
                let end = rest.find(|c: char| !c.is_alphabetic())?;
                tokens.push(&rest[..end]);
                tokens.extend(split(&rest[end..])?);
                continue;
            }
            tokens.push(rest);
        }
    }
    Some(tokens)
}

/// `1-2`: months of years and months.
fn year_month(token: &str) -> Option<f64> {
    let (negative, body) = match token.as_bytes() {
        [b'-', ..] => (true, &token[1..]),
        _ => (false, token.trim_start_matches('+')),
    };
    let (years, months) = body.split_once('-')?;
    let (years, months) = (years.parse::<u32>().ok()?, months.parse::<u32>().ok().filter(|&m| m < 12)?);
    let sum = f64::from(years) * 12.0 + f64::from(months);
    Some(if negative { -sum } else { sum })
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" | "microsecond" | "microseconds" => {
            Unit::Microseconds(1)
        }
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" | "millisecond" | "milliseconds" => {
            Unit::Microseconds(1000)
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Microseconds(MICROSECONDS_PER_SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Microseconds(MICROSECONDS_PER_MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Microseconds(MICROSECONDS_PER_HOUR),
        "d" | "day" | "days" => Unit::Days(1.0),
        "w" | "week" | "weeks" => Unit::Days(7.0),
        "mon" | "mons" | "month" | "months" => Unit::Months(1.0),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12.0),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120.0),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200.0),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(interval: Interval) -> String {
        let mut out = Vec::new();
        print(interval, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_and_prints_as_postgres() {
        for (input, expected) in [
            ("1 year 2 months 3 days 4 hours 5 minutes 6 seconds", "1 year 2 mons 3 days 04:05:06"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("1-2", "1 year 2 mons"),
            ("3 4:05:06", "3 days 04:05:06"),
            ("-1 year +3 days -4:05", "-1 years +3 days -04:05:00"),
            ("1 day ago", "-1 days"),
            ("@ 1 minute 30.5 sec ago", "-00:01:30.5"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 years", "1 year 6 mons"),
            ("1.5 months", "1 mon 15 days"),
            ("2 weeks", "14 days"),
            ("0", "00:00:00"),
            ("90", "00:01:30"),
            ("1d2h", "1 day 02:00:00"),
            ("36:00", "36:00:00"),
            ("1 week 1 ms", "7 days 00:00:00.001"),
            ("0.1 months", "3 days"),
        ] {
            let interval = parse(input).unwrap_or_else(|error| panic!("{input}: {error}"));
            assert_eq!(printed(interval), expected, "{input}");
        }
        for input in ["", "x", "1 parsec", "1:2:3:4", "P", "1 1 day", "@", "1:99"] {
            let error = parse(input).unwrap_err();
            assert_eq!(error.message(), format!("invalid input syntax for type interval: \"{input}\""));
            assert_eq!(error.state(), SqlState::INVALID_DATETIME_FORMAT);
        }
        assert_eq!(parse("9999999999 days").unwrap_err().state(), SqlState::DATETIME_FIELD_OVERFLOW);
    }

    proptest! {
        #[test]
        fn intervals_lead_back(months in -1_000_000i32..1_000_000, days in any::<i16>(), microseconds in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
            let interval = Interval { months, days: days.into(), microseconds };
            prop_assert_eq!(parse(&printed(interval)).unwrap(), interval);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,30}", likely in "[0-9:.+ dhmsyPT-]{0,20}") {
            let _ = (parse(&text), parse(&likely));
        }
    }
}
