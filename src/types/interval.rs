//! Intervals in PostgreSQL's `postgres` style: `1 year 2 mons 3 days 04:05:06.789`; ISO 8601 durations and the
//! verbose style are read too, and years to days and hours of the SQL standard (`1-2 3 4:05`), each with a sign of its own.
//!
//! Months, days and microseconds do not convert into each other when written; only the fraction of a unit spills
//! into the next smaller one, a month counting 30 days and a day 24 hours.

use crate::error::{Error, Result, SqlState};
use crate::types::datetime::tokens::{Clock, Fault, Kind, Sign, Token, fraction, leading_number, split};
use crate::types::datetime::{MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, print_seconds};
use crate::types::integer::{print_i64, print_padded};
use crate::types::text::invalid_datetime;
use crate::types::{Interval, IntervalStyle};

const MICROSECONDS_PER_MINUTE: i64 = 60 * MICROSECONDS_PER_SECOND;
const MICROSECONDS_PER_HOUR: i64 = 60 * MICROSECONDS_PER_MINUTE;
const DAYS_PER_MONTH: f64 = 30.0;
const MONTHS_PER_YEAR: i32 = 12;

pub fn print(interval: Interval, out: &mut Vec<u8>) {
    match interval {
        Interval::INFINITY => return out.extend_from_slice(b"infinity"),
        Interval::MINUS_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
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
    read(text, Reading { bare: Unit::Second, minutes_first: false, standard: false })
}

/// The fields by which `INTERVAL '1-2' YEAR TO MONTH` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
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
            Field::Year => Unit::Year,
            Field::Month => Unit::Month,
            Field::Day => Unit::Day,
            Field::Hour => Unit::Hour,
            Field::Minute => Unit::Minute,
            Field::Second => Unit::Second,
        }
    }
}

/// The modifier of `interval day to second(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// The first and the last that are meant. What is larger is kept all the same, as in PostgreSQL.
    pub fields: Option<(Field, Field)>,
    /// Digits of a second.
    pub digits: Option<u8>,
}

impl Limits {
    const FIELDS: [(Field, &str, u32); 6] = [
        (Field::Year, "year", 2),
        (Field::Month, "month", 1),
        (Field::Day, "day", 3),
        (Field::Hour, "hour", 10),
        (Field::Minute, "minute", 11),
        (Field::Second, "second", 12),
    ];
    const ALL_FIELDS: i32 = 0x7fff;
    const ALL_DIGITS: i32 = 0xffff;

    /// `day to second`, `year` or nothing, and digits. Nothing for fields that do not go together.
    pub fn of_words(words: &str, digits: Option<u8>) -> Option<Limits> {
        if words.is_empty() {
            return Some(Limits { fields: None, digits });
        }
        let (first, last) = words.split_once(" to ").unwrap_or((words, words));
        let fields = (Field::from_name(first)?, Field::from_name(last)?);
        Limits::go_together(fields).then_some(Limits { fields: Some(fields), digits })
    }

    fn go_together((first, last): (Field, Field)) -> bool {
        first <= last && (first <= Field::Month) == (last <= Field::Month)
    }

    /// A bit for each field.
    fn bits((first, last): (Field, Field)) -> i32 {
        let inside = Limits::FIELDS.iter().filter(|(field, ..)| (first..=last).contains(field));
        inside.map(|(.., bit)| 1 << bit).sum()
    }

    /// As pg_attribute.atttypmod holds it.
    pub fn typmod(self) -> i32 {
        let fields = self.fields.map_or(Limits::ALL_FIELDS, Limits::bits);
        fields << 16 | self.digits.map_or(Limits::ALL_DIGITS, i32::from)
    }

    /// The inverse; a modifier that means nothing is none.
    pub fn of_typmod(typmod: i32) -> Option<Limits> {
        let (bits, digits) = (typmod >> 16, typmod & Limits::ALL_DIGITS);
        let digits = u8::try_from(digits).ok();
        if typmod < 0 || bits == Limits::ALL_FIELDS && digits.is_none() {
            return None;
        }
        let all = || Limits::FIELDS.iter().map(|(field, ..)| *field);
        let pairs = all().flat_map(|first| all().map(move |last| (first, last)));
        let fields = pairs.filter(|fields| Limits::go_together(*fields)).find(|f| Limits::bits(*f) == bits);
        (fields.is_some() || bits == Limits::ALL_FIELDS).then_some(Limits { fields, digits })
    }

    /// An interval from text, whose last number counts the last field if it has no unit.
    pub fn read(limits: Option<Limits>, text: &str, style: IntervalStyle) -> Result<Interval> {
        let standard = style == IntervalStyle::Standard;
        let reading = match limits.and_then(|limits| limits.fields) {
            Some((first, last)) => Reading { standard, ..Reading::of_fields(first, last) },
            None => Reading { bare: Unit::Second, minutes_first: false, standard },
        };
        Ok(Limits::fit(limits, read(text, reading)?))
    }

    /// The interval without what is smaller.
    pub fn fit(limits: Option<Limits>, interval: Interval) -> Interval {
        let Some(Limits { fields, digits }) = limits else { return interval };
        fit(interval, fields.map(|(_, last)| last), digits)
    }
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name =
            |field: Field| Limits::FIELDS.iter().find(|(known, ..)| *known == field).map_or("", |f| f.1);
        f.write_str("interval")?;
        if let Some((first, last)) = self.fields {
            write!(f, " {}", name(first))?;
            if last != first {
                write!(f, " to {}", name(last))?;
            }
        }
        match self.digits {
            Some(digits) => write!(f, "({digits})"),
            None => Ok(()),
        }
    }
}

/// An interval whose last number counts the last field if it has no unit. It keeps what is smaller: see [`fit`].
pub fn parse_fields(text: &str, first: Field, last: Field) -> Result<Interval> {
    read(text, Reading::of_fields(first, last))
}

/// An interval without what is smaller than the last field, and with so many digits of a second.
pub fn fit(interval: Interval, last: Option<Field>, digits: Option<u8>) -> Interval {
    if !interval.is_finite() {
        return interval;
    }
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

/// What the words of an interval mean beside what they say.
#[derive(Clone, Copy)]
struct Reading {
    /// What a last number without a unit counts.
    bare: Unit,
    /// `1:30` is minutes and seconds.
    minutes_first: bool,
    /// IntervalStyle sql_standard: the only sign, if it is the first's, is that of all parts.
    standard: bool,
}

impl Reading {
    fn of_fields(first: Field, last: Field) -> Reading {
        let minutes_first = (first, last) == (Field::Minute, Field::Second);
        Reading { bare: last.unit(), minutes_first, standard: false }
    }
}

fn read(text: &str, reading: Reading) -> Result<Interval> {
    let lower = text.to_ascii_lowercase();
    if let Some(endless) = endless(&lower) {
        return Ok(endless);
    }
    let understood = match Sum::of_words(&lower, reading) {
        Err(Fault::Format) => Sum::of_iso(text),
        understood => understood,
    };
    let sum = understood.map_err(|fault| match fault {
        Fault::Format => invalid_datetime("interval", text),
        Fault::Field => {
            let message = format!("interval field value out of range: \"{text}\"");
            Error::new(SqlState::INTERVAL_FIELD_OVERFLOW, message)
        }
    })?;
    sum.interval().ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))
}

/// `infinity` with or without a sign, and nothing else.
fn endless(lower: &str) -> Option<Interval> {
    match split(lower).ok()?.as_slice() {
        [Token { kind: Kind::Word, sign, text: "infinity" }] => Some(match sign {
            Some(Sign::Minus) => Interval::MINUS_INFINITY,
            _ => Interval::INFINITY,
        }),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    fn from_word(word: &str) -> Option<Unit> {
        Some(match word {
            "us" | "usec" | "usecs" | "usecond" | "useconds" => Unit::Microsecond,
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" => Unit::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" => Unit::Millennium,
            // PostgreSQL compares ten letters.
            _ => match word.get(..10)? {
                "microsecon" => Unit::Microsecond,
                "millisecon" => Unit::Millisecond,
                "millennium" => Unit::Millennium,
                _ => return None,
            },
        })
    }

    /// The set of this unit alone.
    fn set(self) -> Units {
        1 << self as u16
    }
}

/// A set of units: none may come twice.
type Units = u16;

/// What `.5` of a second names too.
fn parts_of_second() -> Units {
    Unit::Second.set() | Unit::Millisecond.set() | Unit::Microsecond.set()
}

/// The parts as they add up; each is checked by itself.
#[derive(Default)]
struct Sum {
    years: i32,
    months: i32,
    days: i32,
    microseconds: i64,
}

impl Sum {
    /// `1 year 2 mons -3 days 04:05:06`, `@ 1 minute ago`, `1-2`, `3 4:05`: read from the end, since a number's unit is
    /// behind it.
    fn of_words(lower: &str, reading: Reading) -> Result<Sum, Fault> {
        let mut sum = Sum::default();
        let mut seen = 0;
        // What the next number counts.
        let mut unit = Some(reading.bare);
        // Whether that was said by a word which no number has used yet.
        let mut waits = false;
        let mut ago = false;
        let tokens = split(lower)?;
        let signs = tokens.iter().filter(|token| token.sign.is_some()).count();
        let first = tokens.first().and_then(|token| token.sign);
        let all_negative = reading.standard && signs == 1 && first == Some(Sign::Minus);
        for (behind, token) in tokens.into_iter().rev().enumerate() {
            let negative = all_negative || token.sign == Some(Sign::Minus);
            let set = match token.kind {
                Kind::Time | Kind::Offset if token.text.contains(':') => {
                    let time = time(token.text, reading.minutes_first);
                    // With a sign it could have been a number.
                    let time = if token.sign.is_some() { time.map_err(|_| Fault::Format) } else { time };
                    sum.microseconds = if negative { -time? } else { time? };
                    unit = Some(Unit::Day);
                    parts_of_second() | Unit::Minute.set() | Unit::Hour.set()
                }
                Kind::Number | Kind::Date | Kind::Offset | Kind::Time => {
                    let number = Number::read(token.text, negative)?;
                    if number.counts_months {
                        unit = Some(Unit::Month);
                    }
                    let counted = unit.ok_or(Fault::Format)?;
                    sum.add(counted, number.whole, number.fraction)?;
                    if counted == Unit::Hour {
                        unit = Some(Unit::Day);
                    }
                    match counted {
                        Unit::Second if number.fraction != 0.0 => parts_of_second(),
                        counted => counted.set(),
                    }
                }
                Kind::Word if token.sign.is_some() || waits => return Err(Fault::Format),
                Kind::Word if token.text == "ago" => {
                    if behind > 0 {
                        return Err(Fault::Format);
                    }
                    (ago, unit) = (true, None);
                    0
                }
                Kind::Word => {
                    unit = Some(Unit::from_word(token.text).ok_or(Fault::Format)?);
                    waits = true;
                    continue;
                }
            };
            waits = false;
            if seen & set != 0 {
                return Err(Fault::Format);
            }
            seen |= set;
        }
        match ago {
            _ if seen == 0 || waits => Err(Fault::Format),
            true => sum.negated().ok_or(Fault::Field),
            false => Ok(sum),
        }
    }

    /// `P1Y2M3DT4H5M6S`, or ISO 8601's alternative forms `P0001-02-03T04:05:06` and `P00010203T040506`. Numbers may
    /// have signs, fractions and exponents.
    fn of_iso(text: &str) -> Result<Sum, Fault> {
        let mut sum = Sum::default();
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(Fault::Format)?;
        let mut in_time = false;
        let mut any = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                (in_time, any, rest) = (true, false, after);
                continue;
            }
            let (number, after) = leading_decimal(rest)?;
            let unit = match (after.as_bytes().first(), in_time) {
                (Some(b'Y'), false) => Unit::Year,
                (Some(b'M'), false) => Unit::Month,
                (Some(b'W'), false) => Unit::Week,
                (Some(b'D'), false) => Unit::Day,
                (Some(b'H'), true) => Unit::Hour,
                (Some(b'M'), true) => Unit::Minute,
                (Some(b'S'), true) => Unit::Second,
                _ if any => return Err(Fault::Format),
                (Some(b'T' | b'-') | None, false) => {
                    rest = sum.add_alternative_date(rest)?;
                    continue;
                }
                (Some(b':') | None, true) => {
                    sum.add_alternative_time(rest)?;
                    return Ok(sum);
                }
                _ => return Err(Fault::Format),
            };
            sum.add(unit, number.trunc() as i64, number.fract())?;
            any = true;
            rest = &after[1..];
        }
        Ok(sum)
    }

    /// `0001-02-03`, `0001-02`, `0001`, `00010203`, up to the T, which is left.
    fn add_alternative_date<'a>(&mut self, text: &'a str) -> Result<&'a str, Fault> {
        let (number, mut rest) = leading_decimal(text)?;
        let whole = number.trunc() as i64;
        if digits_at_start(text) == 8 && !rest.starts_with('-') {
            self.add(Unit::Year, whole / 10_000, 0.0)?;
            self.add(Unit::Month, whole / 100 % 100, 0.0)?;
            self.add(Unit::Day, whole % 100, number.fract())?;
            return Ok(rest);
        }
        self.add(Unit::Year, whole, number.fract())?;
        for unit in [Unit::Month, Unit::Day] {
            let Some(part) = rest.strip_prefix('-') else { break };
            let (number, after) = leading_decimal(part)?;
            self.add(unit, number.trunc() as i64, number.fract())?;
            rest = after;
        }
        match rest.is_empty() || rest.starts_with('T') {
            true => Ok(rest),
            false => Err(Fault::Format),
        }
    }

    /// `04:05:06.789`, `04:05`, `04`, `040506.789`, up to the end.
    fn add_alternative_time(&mut self, text: &str) -> Result<(), Fault> {
        let (number, mut rest) = leading_decimal(text)?;
        let whole = number.trunc() as i64;
        if digits_at_start(text) == 6 && rest.is_empty() {
            self.add(Unit::Hour, whole / 10_000, 0.0)?;
            self.add(Unit::Minute, whole / 100 % 100, 0.0)?;
            self.add(Unit::Second, whole % 100, 0.0)?;
            return self.add(Unit::Microsecond, 0, number.fract());
        }
        self.add(Unit::Hour, whole, number.fract())?;
        for unit in [Unit::Minute, Unit::Second] {
            let Some(part) = rest.strip_prefix(':') else { break };
            let (number, after) = leading_decimal(part)?;
            self.add(unit, number.trunc() as i64, number.fract())?;
            rest = after;
        }
        match rest {
            "" => Ok(()),
            _ => Err(Fault::Format),
        }
    }

    fn add(&mut self, unit: Unit, whole: i64, fraction: f64) -> Result<(), Fault> {
        let added = match unit {
            Unit::Microsecond => self.add_time(whole, fraction, 1),
            Unit::Millisecond => self.add_time(whole, fraction, 1000),
            Unit::Second => self.add_time(whole, fraction, MICROSECONDS_PER_SECOND),
            Unit::Minute => self.add_time(whole, fraction, MICROSECONDS_PER_MINUTE),
            Unit::Hour => self.add_time(whole, fraction, MICROSECONDS_PER_HOUR),
            Unit::Day => {
                self.add_days(whole, 1).and_then(|()| self.add_time(0, fraction, MICROSECONDS_PER_DAY))
            }
            Unit::Week => self.add_days(whole, 7).and_then(|()| self.add_part_of_days(fraction * 7.0)),
            Unit::Month => self.add_months(whole, fraction),
            Unit::Year => self.add_years(whole, fraction, 1),
            Unit::Decade => self.add_years(whole, fraction, 10),
            Unit::Century => self.add_years(whole, fraction, 100),
            Unit::Millennium => self.add_years(whole, fraction, 1000),
        };
        added.ok_or(Fault::Field)
    }

    /// Half a microsecond is none.
    fn add_time(&mut self, whole: i64, fraction: f64, each: i64) -> Option<()> {
        let part = fraction * each as f64;
        let rest = part.fract();
        let rounded = part.trunc() as i64 + i64::from(rest > 0.5) - i64::from(rest < -0.5);
        self.microseconds = whole.checked_mul(each)?.checked_add(self.microseconds)?.checked_add(rounded)?;
        Some(())
    }

    fn add_days(&mut self, whole: i64, each: i32) -> Option<()> {
        self.days = i32::try_from(whole).ok()?.checked_mul(each)?.checked_add(self.days)?;
        Some(())
    }

    fn add_part_of_days(&mut self, part: f64) -> Option<()> {
        self.days = self.days.checked_add(part.trunc() as i32)?;
        self.add_time(0, part.fract(), MICROSECONDS_PER_DAY)
    }

    fn add_months(&mut self, whole: i64, fraction: f64) -> Option<()> {
        self.months = i32::try_from(whole).ok()?.checked_add(self.months)?;
        self.add_part_of_days(fraction * DAYS_PER_MONTH)
    }

    /// Parts of a year are whole months, rounded.
    fn add_years(&mut self, whole: i64, fraction: f64, each: i32) -> Option<()> {
        self.years = i32::try_from(whole).ok()?.checked_mul(each)?.checked_add(self.years)?;
        let months = (fraction * f64::from(each) * f64::from(MONTHS_PER_YEAR)).round_ties_even();
        self.months = self.months.checked_add(months as i32)?;
        Some(())
    }

    fn negated(self) -> Option<Sum> {
        Some(Sum {
            years: self.years.checked_neg()?,
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            microseconds: self.microseconds.checked_neg()?,
        })
    }

    fn interval(self) -> Option<Interval> {
        let months = i64::from(self.years) * i64::from(MONTHS_PER_YEAR) + i64::from(self.months);
        let Sum { days, microseconds, .. } = self;
        Some(Interval { months: months.try_into().ok()?, days, microseconds })
    }
}

/// `04:05:06.789` in microseconds.
fn time(text: &str, minutes_first: bool) -> Result<i64, Fault> {
    let Clock { hours, minutes, seconds, microseconds } = Clock::read(text, minutes_first)?;
    let below = (minutes * 60 + seconds) * MICROSECONDS_PER_SECOND + microseconds;
    hours.checked_mul(MICROSECONDS_PER_HOUR).and_then(|hours| hours.checked_add(below)).ok_or(Fault::Field)
}

/// A number with what is behind its point.
struct Number {
    whole: i64,
    fraction: f64,
    /// It was `1-2`, years and months.
    counts_months: bool,
}

impl Number {
    fn read(text: &str, negative: bool) -> Result<Number, Fault> {
        let signed = |number: i128| i64::try_from(if negative { -number } else { number });
        let (whole, rest) = leading_number::<i128>(text).ok_or(Fault::Field)?;
        let whole = signed(whole).map_err(|_| Fault::Field)?;
        if let Some(months) = rest.strip_prefix('-') {
            let (months, rest) = leading_number::<i32>(months).ok_or(Fault::Field)?;
            if months >= MONTHS_PER_YEAR {
                return Err(Fault::Field);
            }
            let months = i64::from(if negative { -months } else { months });
            let sum = whole.checked_mul(MONTHS_PER_YEAR.into()).and_then(|years| years.checked_add(months));
            return match rest {
                "" => Ok(Number { whole: sum.ok_or(Fault::Field)?, fraction: 0.0, counts_months: true }),
                _ => Err(Fault::Format),
            };
        }
        let part = if rest.is_empty() { 0.0 } else { fraction(rest)? };
        Ok(Number { whole, fraction: if negative { -part } else { part }, counts_months: false })
    }
}

/// The number of ISO 8601 that a text starts with, as C's strtod() finds it, and what follows.
fn leading_decimal(text: &str) -> Result<(f64, &str), Fault> {
    /// PostgreSQL's limit, below which a float has every whole number.
    const MAX: f64 = 1e15;
    let bytes = text.as_bytes();
    let digits_from = |at: usize| at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits_from(usize::from(text.starts_with('-')));
    if bytes.get(end) == Some(&b'.') {
        end = digits_from(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits_from(exponent);
        if after > exponent {
            end = after;
        }
    }
    let (number, rest) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| Fault::Format)?;
    match number.abs() {
        f64::INFINITY => Err(Fault::Format),
        size if size > MAX => Err(Fault::Field),
        _ => Ok((number, rest)),
    }
}

/// Digits before anything else but a sign.
fn digits_at_start(text: &str) -> usize {
    text.strip_prefix('-').unwrap_or(text).bytes().take_while(|b| b.is_ascii_digit()).count()
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
        for input in ["", "x", "1 parsec", "1:2:3:4", "P", "1 1 day", "@", "-1:99"] {
            let error = parse(input).unwrap_err();
            assert_eq!(error.message(), format!("invalid input syntax for type interval: \"{input}\""));
            assert_eq!(error.state(), SqlState::INVALID_DATETIME_FORMAT);
        }
        assert_eq!(parse("9999999999 days").unwrap_err().state(), SqlState::INTERVAL_FIELD_OVERFLOW);
    }

    /// What PostgreSQL 16 answered, or 17 where it reads units and infinity otherwise: what it printed, or its SQLSTATE.
    #[test]
    fn reads_and_refuses_as_postgres() {
        for (input, expected) in [
            ("123 2:03 -2:04", "22007"),
            ("1 month - 1 second", "1 mon -00:00:01"),
            ("2 days - 12:34:56", "2 days -12:34:56"),
            ("P00021015T103020", "2 years 10 mons 15 days 10:30:20"),
            ("P0002-10-15T10:30:20", "2 years 10 mons 15 days 10:30:20"),
            ("P0002", "2 years"),
            ("P10.5e4Y", "105000 years"),
            ("PT", "00:00:00"),
            ("PT10:30", "10:30:00"),
            ("PT040506.5", "04:05:06"),
            ("p1y", "22007"),
            ("1:99", "22015"),
            ("-1:99", "22007"),
            ("04:05 1.5 days", "1 day 04:05:00"),
            ("1.5 days 04:05", "1 day 16:05:00"),
            ("1 day hour", "22007"),
            ("1 day ago 2 hours", "22007"),
            ("day 1", "22007"),
            ("infinity", "infinity"),
            ("- Infinity", "-infinity"),
            ("infinity ago", "22007"),
            ("1 day infinity", "22007"),
            ("1.5 years", "1 year 6 mons"),
            ("0.1 months", "3 days"),
            ("5 mm", "22007"),
            ("1 and 2 days", "22007"),
            ("2147483648 days", "22015"),
            ("9223372036854775808 us", "22015"),
            ("-9223372036854775808 us", "-2562047788:00:54.775808"),
            ("9223372036854775807 us", "2562047788:00:54.775807"),
            ("-2147483648 months", "-178956970 years -8 mons"),
            ("-2147483648 months ago", "22015"),
            ("P1-2147483647-2147483647", "22008"),
            ("PT2562047789", "22015"),
            ("0.5 us", "00:00:00"),
            ("1.5 us", "00:00:00.000001"),
            ("1 day 1 day", "22007"),
            ("1 day 2 days ago", "22007"),
            ("12:34.5", "00:12:34.5"),
            ("1-13", "22015"),
            (".5", "00:00:00.5"),
            ("1.", "00:00:01"),
            ("-1-2 3 -4:05", "-1 years -2 mons +3 days -04:05:00"),
        ] {
            let answer = parse(input).map_or_else(|error| error.state().0.to_owned(), printed);
            assert_eq!(answer, expected, "{input}");
        }
        for (input, first, last, expected) in [
            ("1-2", Field::Year, Field::Month, "1 year 2 mons"),
            ("1 2", Field::Day, Field::Hour, "1 day 02:00:00"),
            ("1:30", Field::Minute, Field::Second, "00:01:30"),
            ("1:30", Field::Hour, Field::Minute, "01:30:00"),
            ("1.5", Field::Year, Field::Year, "1 year"),
        ] {
            let interval = fit(parse_fields(input, first, last).unwrap(), Some(last), None);
            assert_eq!(printed(interval), expected, "{input}");
        }
        let longest = parse("9223372036854775807 us").unwrap();
        assert_eq!(printed(fit(longest, None, Some(0))), "2562047788:00:54");
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
