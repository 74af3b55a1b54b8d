//! Dates and times in documents: what `.datetime()` and its like read, as which item they go on, and what is compared
//! with what.
//!
//! A text is read by a template strictly, as the standard asks: separators are those of the template and nothing is left
//! over. Without a template those of ISO 8601 are tried. The template's fields say of which type the item is. A moment
//! with a zone remembers the zone it was written in, for it is shown there.

use std::cmp::Ordering;

use crate::error::{Error, Result, SqlState};
use crate::types::datetime::{
    self, MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, civil_from_days, days_from_civil, days_in_month,
};
use crate::types::jsonpath::Method;
use crate::types::{Timetz, Value, Zone, text};

/// A date, a time or a timestamp, with or without a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub value: Value,
    /// Seconds east of Greenwich where a timestamp with a zone is shown.
    east: i32,
}

/// The session's zone, where the function that was called may look at it.
#[derive(Clone, Copy, Debug)]
pub struct ZoneUse {
    pub zone: Zone,
    pub allowed: bool,
}

impl ZoneUse {
    /// 0A000 where a conversion would depend on the session and the function must not.
    fn check(self, from: &str, to: &str) -> Result<()> {
        if self.allowed {
            return Ok(());
        }
        let message = format!("cannot convert value from {from} to {to} without time zone usage");
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint("Use *_tz() function for time zone support."))
    }
}

/// The templates that are tried without one.
const ISO: &[&str] = &[
    "yyyy-mm-dd",
    "HH24:MI:SS.USTZ",
    "HH24:MI:SSTZ",
    "HH24:MI:SS.US",
    "HH24:MI:SS",
    "yyyy-mm-dd HH24:MI:SS.USTZ",
    "yyyy-mm-dd HH24:MI:SSTZ",
    "yyyy-mm-dd\"T\"HH24:MI:SS.USTZ",
    "yyyy-mm-dd\"T\"HH24:MI:SSTZ",
    "yyyy-mm-dd HH24:MI:SS.US",
    "yyyy-mm-dd HH24:MI:SS",
    "yyyy-mm-dd\"T\"HH24:MI:SS.US",
    "yyyy-mm-dd\"T\"HH24:MI:SS",
];

impl Moment {
    /// A value of SQL; `None` of one that is no date and no time.
    pub fn of(value: &Value, zone: Zone) -> Option<Moment> {
        let east = match value {
            Value::Date(_) | Value::Time(_) | Value::Timetz(_) | Value::Timestamp(_) => 0,
            Value::Timestamptz(at) => zone.offset_at(*at),
            _ => return None,
        };
        Some(Moment { value: value.clone(), east })
    }

    /// By a template; 22007 where the text is not as it says.
    pub fn read(input: &str, template: &str) -> Result<Moment> {
        Fields::read(input, &pieces(template)?)?.moment(input)
    }

    /// By the standard's templates.
    pub fn read_iso(input: &str) -> Option<Moment> {
        ISO.iter().find_map(|template| Moment::read(input, template).ok())
    }

    /// The name of its type, as `.type()` has it.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Date(_) => "date",
            Value::Time(_) => "time without time zone",
            Value::Timetz(_) => "time with time zone",
            Value::Timestamp(_) => "timestamp without time zone",
            _ => "timestamp with time zone",
        }
    }

    /// As it stands in a document: ISO 8601.
    pub fn text(&self) -> String {
        let plain = |value: &Value| text::to_string(value).replacen(' ', "T", 1);
        match &self.value {
            Value::Timetz(time) => {
                let shown = text::to_string(&Value::Time(time.microseconds));
                shown + &offset_text(-time.west)
            }
            Value::Timestamptz(at) if !matches!(*at, i64::MIN | i64::MAX) => {
                let local = at.saturating_add(i64::from(self.east) * MICROSECONDS_PER_SECOND);
                plain(&Value::Timestamp(local)) + &offset_text(self.east)
            }
            Value::Timestamp(_) | Value::Timestamptz(_) => plain(&self.value),
            value => text::to_string(value),
        }
    }

    /// What a method makes of what it has read; `Ok(None)` where the types have nothing to do with each other.
    pub fn converted(self, method: Method, digits: Option<u8>, zones: ZoneUse) -> Result<Option<Moment>> {
        use Value::{Date, Time, Timestamp, Timestamptz, Timetz as Zoned};
        let ZoneUse { zone, .. } = zones;
        let mut east = self.east;
        let date = |at: i64| Date(at.div_euclid(MICROSECONDS_PER_DAY) as i32);
        let time = |at: i64| Time(at.rem_euclid(MICROSECONDS_PER_DAY));
        let midnight = |days: i32| i64::from(days) * MICROSECONDS_PER_DAY;
        let value = match (method, self.value) {
            (Method::Datetime, value)
            | (Method::Date, value @ Date(_))
            | (Method::Time, value @ Time(_))
            | (Method::TimeTz, value @ Zoned(_))
            | (Method::Timestamp, value @ Timestamp(_))
            | (Method::TimestampTz, value @ Timestamptz(_)) => value,
            (Method::Date, Timestamp(at)) => date(at),
            (Method::Date, Timestamptz(at)) => {
                zones.check("timestamptz", "date")?;
                date(zone.to_local(at))
            }
            (Method::Time, Zoned(at)) => {
                zones.check("timetz", "time")?;
                Time(at.microseconds)
            }
            (Method::Time, Timestamp(at)) => time(at),
            (Method::Time, Timestamptz(at)) => {
                zones.check("timestamptz", "time")?;
                time(zone.to_local(at))
            }
            (Method::TimeTz, Time(at)) => {
                zones.check("time", "timetz")?;
                Zoned(Timetz::today(at, zone))
            }
            (Method::TimeTz, Timestamptz(at)) => match Timetz::at(at, zone) {
                Some(time) => Zoned(time),
                None => return Ok(None),
            },
            (Method::Timestamp, Date(days)) => Timestamp(midnight(days)),
            (Method::Timestamp, Timestamptz(at)) => {
                zones.check("timestamptz", "timestamp")?;
                Timestamp(zone.to_local(at))
            }
            (Method::TimestampTz, Date(days)) => {
                zones.check("date", "timestamptz")?;
                east = zone.offset_of_local(midnight(days));
                Timestamptz(zone.to_utc(midnight(days)))
            }
            (Method::TimestampTz, Timestamp(at)) => {
                zones.check("timestamp", "timestamptz")?;
                east = zone.offset_of_local(at);
                Timestamptz(zone.to_utc(at))
            }
            _ => return Ok(None),
        };
        Ok(Some(Moment { value: rounded(value, digits), east }))
    }

    /// `None` where the types cannot be compared; 0A000 where only the session's zone could tell.
    pub fn compare(&self, other: &Moment, zones: ZoneUse) -> Result<Option<Ordering>> {
        use Value::{Date, Time, Timestamp, Timestamptz, Timetz as Zoned};
        let midnight = |days: &i32| i64::from(*days) * MICROSECONDS_PER_DAY;
        let in_zone =
            |from: &str, local: i64| zones.check(from, "timestamptz").map(|()| zones.zone.to_utc(local));
        let today = |at: &i64| zones.check("time", "timetz").map(|()| Timetz::today(*at, zones.zone));
        Ok(Some(match (&self.value, &other.value) {
            (Date(one), Date(other)) => one.cmp(other),
            (Date(one), Timestamp(other)) => midnight(one).cmp(other),
            (Timestamp(one), Date(other)) => one.cmp(&midnight(other)),
            (Date(one), Timestamptz(other)) => in_zone("date", midnight(one))?.cmp(other),
            (Timestamptz(one), Date(other)) => one.cmp(&in_zone("date", midnight(other))?),
            (Timestamp(one), Timestamp(other)) | (Timestamptz(one), Timestamptz(other)) => one.cmp(other),
            (Timestamp(one), Timestamptz(other)) => in_zone("timestamp", *one)?.cmp(other),
            (Timestamptz(one), Timestamp(other)) => one.cmp(&in_zone("timestamp", *other)?),
            (Time(one), Time(other)) => one.cmp(other),
            (Zoned(one), Zoned(other)) => one.to_bytes().cmp(&other.to_bytes()),
            (Time(one), Zoned(other)) => today(one)?.to_bytes().cmp(&other.to_bytes()),
            (Zoned(one), Time(other)) => one.to_bytes().cmp(&today(other)?.to_bytes()),
            _ => return Ok(None),
        }))
    }
}

fn rounded(value: Value, digits: Option<u8>) -> Value {
    match value {
        Value::Time(time) => Value::Time(datetime::rounded_time(time, digits)),
        Value::Timetz(time) => Value::Timetz(time.rounded(digits)),
        Value::Timestamp(at) => Value::Timestamp(datetime::rounded(at, digits)),
        Value::Timestamptz(at) => Value::Timestamptz(datetime::rounded(at, digits)),
        value => value,
    }
}

/// `+05:30`, with seconds where there are some.
fn offset_text(east: i32) -> String {
    let (sign, size) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
    let shown = format!("{sign}{:02}:{:02}", size / 3600, size / 60 % 60);
    if size % 60 == 0 { shown } else { format!("{shown}:{:02}", size % 60) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year(u8),
    Month,
    MonthName {
        short: bool,
    },
    Day,
    DayOfYear,
    DayName {
        short: bool,
    },
    Hour,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    Milliseconds,
    /// Digits behind the point; those of `FF1` to `FF6` are the type's too.
    Fraction {
        digits: u8,
        typed: bool,
    },
    Half,
    Era,
    Zone,
    Offset,
    ZoneHour,
    ZoneMinute,
}

/// Longer names before their beginnings; the last of each says whether a digit may come first of what is read.
const FIELDS: &[(&str, Field, bool)] = &[
    ("a.m.", Field::Half, false),
    ("p.m.", Field::Half, false),
    ("a.d.", Field::Era, false),
    ("b.c.", Field::Era, false),
    ("am", Field::Half, false),
    ("pm", Field::Half, false),
    ("ad", Field::Era, false),
    ("bc", Field::Era, false),
    ("ddd", Field::DayOfYear, true),
    ("dd", Field::Day, true),
    ("day", Field::DayName { short: false }, false),
    ("dy", Field::DayName { short: true }, false),
    ("ff1", Field::Fraction { digits: 1, typed: true }, true),
    ("ff2", Field::Fraction { digits: 2, typed: true }, true),
    ("ff3", Field::Fraction { digits: 3, typed: true }, true),
    ("ff4", Field::Fraction { digits: 4, typed: true }, true),
    ("ff5", Field::Fraction { digits: 5, typed: true }, true),
    ("ff6", Field::Fraction { digits: 6, typed: true }, true),
    ("hh24", Field::Hour, true),
    ("hh12", Field::Hour12, true),
    ("hh", Field::Hour12, true),
    ("mi", Field::Minute, true),
    ("mm", Field::Month, true),
    ("month", Field::MonthName { short: false }, false),
    ("mon", Field::MonthName { short: true }, false),
    ("ms", Field::Milliseconds, true),
    ("of", Field::Offset, false),
    ("sssss", Field::SecondOfDay, true),
    ("ssss", Field::SecondOfDay, true),
    ("ss", Field::Second, true),
    ("tzh", Field::ZoneHour, false),
    ("tzm", Field::ZoneMinute, true),
    ("tz", Field::Zone, false),
    ("us", Field::Fraction { digits: 6, typed: false }, true),
    ("yyyy", Field::Year(4), true),
    ("yyy", Field::Year(3), true),
    ("yy", Field::Year(2), true),
    ("y", Field::Year(1), true),
];

/// Fields of PostgreSQL's templates that are not read here.
const UNREAD: &[&str] =
    &["cc", "y,yyy", "iyyy", "iyy", "iy", "iddd", "id", "iw", "i", "ww", "w", "d", "j", "q", "rm"];

#[derive(Clone, Debug)]
enum Piece {
    Field { name: String, field: Field, takes_digit: bool, fill: bool },
    Separator(char),
    Text(char),
}

/// A template in pieces.
fn pieces(template: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        let starts =
            |word: &str| rest.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word));
        if c == '"' {
            let inside = &rest[1..];
            let end = inside.find('"').unwrap_or(inside.len());
            pieces.extend(inside[..end].chars().map(Piece::Text));
            rest = inside.get(end + 1..).unwrap_or_default();
            continue;
        }
        if starts("fx") {
            rest = &rest[2..];
            continue;
        }
        let fill = starts("fm");
        let from = if fill || starts("tm") { 2 } else { 0 };
        let starts = |word: &str| {
            rest[from..].get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
        };
        if let Some(name) = UNREAD.iter().find(|name| starts(name))
            && !FIELDS.iter().any(|(known, ..)| known.len() > name.len() && starts(known))
        {
            let name = name.to_uppercase();
            return Err(Error::unsupported(format!("the field {name} in a template of .datetime()")));
        }
        if let Some((name, field, takes_digit)) = FIELDS.iter().find(|(name, ..)| starts(name)) {
            let written = rest[from..from + name.len()].to_owned();
            pieces.push(Piece::Field { name: written, field: *field, takes_digit: *takes_digit, fill });
            rest = &rest[from + name.len()..];
        } else if "-./,':; ".contains(c) {
            pieces.push(Piece::Separator(c));
            rest = &rest[c.len_utf8()..];
        } else {
            return Err(format_error(format!("invalid datetime format separator: \"{c}\"")));
        }
    }
    Ok(pieces)
}

fn format_error(message: impl Into<String>) -> Error {
    Error::new(SqlState("22007"), message)
}

fn out_of_range(input: &str) -> Error {
    let message = format!("date/time field value out of range: \"{input}\"");
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// What was read, and which kinds of fields the template has.
#[derive(Default)]
struct Fields {
    dated: bool,
    timed: bool,
    zoned: bool,
    year: Option<i64>,
    before_christ: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    second_of_day: Option<i64>,
    /// Twelve hours, and whether the second of them.
    twelve: bool,
    afternoon: Option<bool>,
    digits: Option<u8>,
    zone: Option<Zone>,
    zone_sign: Option<i64>,
    zone_hour: i64,
    zone_minute: i64,
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: &[&str] = &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

impl Fields {
    fn read(input: &str, pieces: &[Piece]) -> Result<Fields> {
        let mut fields = Fields::default();
        for piece in pieces {
            if let Piece::Field { field, .. } = piece {
                fields.note(*field);
            }
        }
        let mut rest = input;
        let mut pieces = pieces.iter().peekable();
        while let Some(piece) = pieces.next_if(|_| !rest.is_empty()) {
            let first = rest.chars().next();
            match piece {
                Piece::Separator(wanted) if first != Some(*wanted) => {
                    return Err(format_error(format!("unmatched format separator \"{wanted}\"")));
                }
                Piece::Text(wanted) if first != Some(*wanted) => {
                    return Err(format_error(format!("unmatched format character \"{wanted}\"")));
                }
                Piece::Separator(wanted) | Piece::Text(wanted) => rest = &rest[wanted.len_utf8()..],
                Piece::Field { name, field, fill, .. } => {
                    // No digit follows, so that all digits are of this field.
                    let greedy = *fill
                        || match pieces.peek() {
                            Some(Piece::Field { takes_digit, .. }) => !takes_digit,
                            Some(Piece::Text(c)) => !c.is_ascii_digit(),
                            _ => true,
                        };
                    fields.take(name, *field, greedy, &mut rest)?;
                }
            }
        }
        if pieces.peek().is_some() {
            return Err(format_error("input string is too short for datetime format"));
        }
        if !rest.trim_start().is_empty() {
            return Err(format_error("trailing characters remain in input string after datetime format"));
        }
        Ok(fields)
    }

    fn note(&mut self, field: Field) {
        match field {
            Field::Zone | Field::Offset | Field::ZoneHour | Field::ZoneMinute => self.zoned = true,
            Field::Year(_)
            | Field::Month
            | Field::MonthName { .. }
            | Field::Day
            | Field::DayOfYear
            | Field::DayName { .. }
            | Field::Era => self.dated = true,
            _ => self.timed = true,
        }
    }

    fn take(&mut self, name: &str, field: Field, greedy: bool, rest: &mut &str) -> Result<()> {
        let mut number = |width: usize| integer(name, width, greedy, rest);
        match field {
            Field::Year(width) => {
                let (value, _) = number(usize::from(width))?;
                // Of a year in part the one next to 2020.
                self.year = Some(match (width, value) {
                    (4, value) => value,
                    (_, value @ 0..70) => value + 2000,
                    (_, value @ 70..100) => value + 1900,
                    (_, value @ 100..520) => value + 2000,
                    (_, value @ 520..1000) => value + 1000,
                    (_, value) => value,
                });
            }
            Field::Month => self.month = Some(number(2)?.0),
            Field::Day => self.day = Some(number(2)?.0),
            Field::DayOfYear => self.day_of_year = Some(number(3)?.0),
            Field::Hour => self.hour = number(2)?.0,
            Field::Hour12 => {
                self.hour = number(2)?.0;
                self.twelve = true;
            }
            Field::Minute => self.minute = number(2)?.0,
            Field::Second => self.second = number(2)?.0,
            Field::SecondOfDay => self.second_of_day = Some(number(5)?.0),
            Field::Milliseconds => {
                let (value, width) = number(3)?;
                self.microsecond += value * 10i64.pow(3u32.saturating_sub(width)) * 1000;
            }
            Field::Fraction { digits, typed } => {
                let (value, width) = number(usize::from(digits))?;
                self.microsecond += value * 10i64.pow(6u32.saturating_sub(width));
                self.digits = typed.then_some(digits).or(self.digits);
            }
            Field::MonthName { short } => {
                self.month = Some(word(name, MONTHS, short, rest)? as i64 + 1);
            }
            Field::DayName { short } => drop(word(name, DAYS, short, rest)?),
            Field::Half => {
                let names: &[&str] = if name.contains('.') { &["a.m.", "p.m."] } else { &["am", "pm"] };
                self.afternoon = Some(word(name, names, false, rest)? == 1);
                self.twelve = true;
            }
            Field::Era => {
                let names: &[&str] = if name.contains('.') { &["a.d.", "b.c."] } else { &["ad", "bc"] };
                self.before_christ = word(name, names, false, rest)? == 1;
            }
            Field::Zone => {
                let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
                let found = (1..=letters).rev().find_map(|length| {
                    Zone::by_abbreviation(&rest[..length].to_ascii_lowercase()).map(|zone| (length, zone))
                });
                match found {
                    Some((length, zone)) => {
                        self.zone = Some(zone);
                        *rest = &rest[length..];
                    }
                    None if letters > 0 => {
                        return Err(format_error(format!("invalid value \"{rest}\" for \"{name}\""))
                            .detail("Time zone abbreviation is not recognized."));
                    }
                    None => self.offset(name, greedy, rest)?,
                }
            }
            Field::Offset => self.offset(name, greedy, rest)?,
            Field::ZoneHour => {
                self.sign(rest);
                self.zone_hour = integer(name, 2, greedy, rest)?.0;
            }
            Field::ZoneMinute => {
                self.zone_sign.get_or_insert(1);
                self.zone_minute = number(2)?.0;
            }
        }
        Ok(())
    }

    fn sign(&mut self, rest: &mut &str) {
        self.zone_sign = Some(if rest.starts_with('-') { -1 } else { 1 });
        *rest = rest.strip_prefix(['+', '-', ' ']).unwrap_or(rest);
    }

    /// Hours, and minutes behind a colon.
    fn offset(&mut self, name: &str, greedy: bool, rest: &mut &str) -> Result<()> {
        self.sign(rest);
        self.zone_hour = integer(name, 2, greedy, rest)?.0;
        if let Some(minutes) = rest.strip_prefix(':') {
            *rest = minutes;
            self.zone_minute = integer(name, 2, greedy, rest)?.0;
        }
        Ok(())
    }

    fn moment(self, input: &str) -> Result<Moment> {
        let digits = self.digits;
        let local_date = if self.dated { self.days(input)? } else { 0 };
        let clock = self.clock(input)?;
        let local = local_date.saturating_mul(MICROSECONDS_PER_DAY).saturating_add(clock);
        // A zone that moves its clocks is asked at that time.
        let east = match (self.zone, self.zone_sign) {
            (Some(zone), _) => Some(zone.offset_of_local(local)),
            (None, Some(sign)) => {
                let (hours, minutes) = (self.zone_hour, self.zone_minute);
                if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) {
                    let state = SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE;
                    let message = format!("time zone displacement out of range: \"{input}\"");
                    return Err(Error::new(state, message));
                }
                i32::try_from(sign * (hours * 60 + minutes) * 60).ok()
            }
            (None, None) => None,
        };
        let zoned = |ty: &str| {
            east.ok_or_else(|| format_error(format!("missing time zone in input string for type {ty}")))
        };
        let (value, east) = match (self.dated, self.timed, self.zoned) {
            (true, true, true) => {
                let east = zoned("timestamptz")?;
                (Value::Timestamptz(local - i64::from(east) * MICROSECONDS_PER_SECOND), east)
            }
            (true, true, false) => (Value::Timestamp(local), 0),
            (true, false, true) => return Err(format_error("datetime format is zoned but not timed")),
            (true, false, false) => {
                (Value::Date(i32::try_from(local_date).map_err(|_| out_of_range(input))?), 0)
            }
            (false, true, true) => (Value::Timetz(Timetz::east(clock, zoned("timetz")?)), 0),
            (false, true, false) => (Value::Time(clock), 0),
            _ => return Err(format_error("datetime format is not dated and not timed")),
        };
        Ok(Moment { value: rounded(value, digits), east })
    }

    fn days(&self, input: &str) -> Result<i64> {
        let year = match self.year {
            Some(year) if self.before_christ => 1 - year,
            Some(year) => year,
            None => 0,
        };
        if let Some(day) = self.day_of_year.filter(|_| self.month.is_none()) {
            if self.year.is_none() {
                return Err(format_error("cannot calculate day of year without year information"));
            }
            let days = days_from_civil(year, 1, 1) + day - 1;
            let is_of_year = day > 0 && civil_from_days(days).0 == year;
            return if is_of_year { Ok(days) } else { Err(out_of_range(input)) };
        }
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let month = u32::try_from(month).ok().filter(|month| (1..=12).contains(month));
        let month = month.ok_or_else(|| out_of_range(input))?;
        let fits =
            (-4713..=294_276).contains(&year) && day >= 1 && day <= i64::from(days_in_month(year, month));
        if !fits {
            return Err(out_of_range(input));
        }
        Ok(days_from_civil(year, month, day as u32))
    }

    fn clock(&self, input: &str) -> Result<i64> {
        if let Some(seconds) = self.second_of_day {
            let fits = (0..86_400).contains(&seconds);
            return if fits {
                Ok(seconds * MICROSECONDS_PER_SECOND + self.microsecond)
            } else {
                Err(out_of_range(input))
            };
        }
        let mut hour = self.hour;
        if self.twelve {
            if !(1..=12).contains(&hour) {
                let error = format_error(format!("hour \"{hour}\" is invalid for the 12-hour clock"));
                return Err(error.hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + if self.afternoon == Some(true) { 12 } else { 0 };
        }
        let fits =
            (0..24).contains(&hour) && (0..60).contains(&self.minute) && (0..60).contains(&self.second);
        if !fits {
            return Err(out_of_range(input));
        }
        let seconds = (hour * 60 + self.minute) * 60 + self.second;
        Ok(seconds * MICROSECONDS_PER_SECOND + self.microsecond)
    }
}

/// A whole number of `width` characters, or of as many as there are, and how many it took.
fn integer(name: &str, width: usize, greedy: bool, rest: &mut &str) -> Result<(i64, u32)> {
    let start = *rest;
    let number = start.trim_start();
    let at_most: String = number.chars().take(width).collect();
    let scanned = if greedy { number } else { at_most.as_str() };
    let sign = usize::from(scanned.starts_with(['+', '-']));
    let digits = scanned[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let used = if digits == 0 { 0 } else { sign + digits };
    let invalid = || format_error(format!("invalid value \"{at_most}\" for \"{name}\""));
    let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
    if !greedy && at_most.chars().count() < width {
        let message = format!("source string too short for \"{name}\" formatting field");
        let remain = at_most.chars().count();
        let detail = format!("Field requires {width} characters, but only {remain} remain.");
        return Err(format_error(message).detail(detail).hint(hint));
    }
    if used == 0 {
        return Err(invalid().detail("Value must be an integer."));
    }
    if !greedy && used < width {
        let detail = format!("Field requires {width} characters, but only {used} could be parsed.");
        return Err(invalid().detail(detail).hint(hint));
    }
    let value = scanned[..used].parse::<i32>().map_err(|_| {
        let message = format!("value for \"{name}\" in source string is out of range");
        let detail = format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX);
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message).detail(detail)
    })?;
    *rest = &number[used..];
    Ok((i64::from(value), u32::try_from(start.len() - rest.len()).unwrap_or(u32::MAX)))
}

/// Which of some names comes next, `short` by its first three letters.
fn word(name: &str, names: &[&str], short: bool, rest: &mut &str) -> Result<usize> {
    let found = names.iter().enumerate().find_map(|(at, known)| {
        let known = if short { &known[..3] } else { known };
        let is_next = rest.get(..known.len()).is_some_and(|next| next.eq_ignore_ascii_case(known));
        is_next.then_some((at, known.len()))
    });
    let Some((at, length)) = found else {
        let first = rest.split_whitespace().next().unwrap_or(rest);
        return Err(format_error(format!("invalid value \"{first}\" for \"{name}\""))
            .detail("The given value did not match any of the allowed values for this field."));
    };
    *rest = &rest[length..];
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_templates() {
        for (input, template, shown) in [
            ("10-03-2017", "dd-mm-yyyy", "2017-03-10"),
            ("10-03-2017 12:34", "dd-mm-yyyy HH24:MI", "2017-03-10T12:34:00"),
            ("10-03-2017 12:34 +05:20", "dd-mm-yyyy HH24:MI TZH:TZM", "2017-03-10T12:34:00+05:20"),
            ("12:34:56.789 -05", "HH24:MI:SS.FF2 TZH", "12:34:56.79-05:00"),
            ("12:34 PM", "HH12:MI AM", "12:34:00"),
            ("7 March 2017", "FMDD Month YYYY", "2017-03-07"),
        ] {
            let moment = Moment::read(input, template).unwrap_or_else(|error| panic!("{input}: {error}"));
            assert_eq!(moment.text(), shown, "{input}");
        }
        assert!(Moment::read("10-03-2017", "dd/mm/yyyy").is_err());
        assert!(Moment::read("10-03-2017 1", "dd-mm-yyyy").is_err());
        assert!(Moment::read("10-03", "dd-mm-yyyy").is_err());
    }

    #[test]
    fn iso_texts_say_their_types() {
        for (input, kind) in [
            ("2017-03-10", "date"),
            ("12:34:56", "time without time zone"),
            ("12:34:56.5Z", "time with time zone"),
            ("2017-03-10T12:34:56", "timestamp without time zone"),
            ("2017-03-10 12:34:56 +3:10", "timestamp with time zone"),
        ] {
            assert_eq!(Moment::read_iso(input).map(|moment| moment.kind()), Some(kind), "{input}");
        }
        assert_eq!(Moment::read_iso("2017-03-10 12:34"), None);
    }
}
