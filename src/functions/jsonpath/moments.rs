//! Dates and times in documents: what `.datetime()` and its like read, as which item they go on, and what is compared
//! with what.
//!
//! A text is read by a template strictly, as the standard asks (`Strict`). Without a template those of ISO 8601 are
//! tried. The template's fields say of which type the item is. A moment with a zone remembers the zone it was written in,
//! for it is shown there.

use std::cmp::Ordering;
use std::sync::LazyLock;

use crate::error::{Error, Result, SqlState};
use crate::functions::dates::{is_date, is_timestamp};
use crate::functions::moment_templates::{Place, Read, Strict};
use crate::types::datetime::{self, MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND};
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
static ISO: LazyLock<Vec<Strict>> = LazyLock::new(|| {
    let template = |text: &&str| Strict::new(text).expect("the standard's templates have its separators");
    ISO_TEXTS.iter().map(template).collect()
});

const ISO_TEXTS: &[&str] = &[
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
        Moment::by(&Strict::new(template)?, input)
    }

    /// By the standard's templates.
    pub fn read_iso(input: &str) -> Option<Moment> {
        ISO.iter().find_map(|template| Moment::by(template, input).ok())
    }

    fn by(template: &Strict, input: &str) -> Result<Moment> {
        let Read { days, time, place, digits } = template.read(input)?;
        let kinds = template.kinds;
        let format_error = |message: String| Error::new(SqlState::INVALID_DATETIME_FORMAT, message);
        let out_of_range = |ty: &str| out_of_range(&format!("{ty} out of range: \"{input}\""));
        let days = if kinds.dated { days } else { 0 };
        let local = days.saturating_mul(MICROSECONDS_PER_DAY).saturating_add(time);
        // A zone that moves its clocks is asked at that time.
        let east = place.map(|place| match place {
            Place::In(zone) => zone.offset_of_local(local),
            Place::East(seconds) => seconds as i32,
        });
        let zoned = |ty: &str| {
            east.ok_or_else(|| format_error(format!("missing time zone in input string for type {ty}")))
        };
        let timestamp = |at: i64, ty: &str| if is_timestamp(at) { Ok(at) } else { Err(out_of_range(ty)) };
        let (value, east) = match (kinds.dated, kinds.timed, kinds.zoned) {
            (true, true, true) => {
                let east = zoned("timestamptz")?;
                let at = local.saturating_sub(i64::from(east) * MICROSECONDS_PER_SECOND);
                (Value::Timestamptz(timestamp(at, "timestamptz")?), east)
            }
            (true, true, false) => (Value::Timestamp(timestamp(local, "timestamp")?), 0),
            (true, false, true) => {
                return Err(format_error("datetime format is zoned but not timed".to_owned()));
            }
            (true, false, false) => {
                let days = i32::try_from(days).ok().filter(|days| is_date(*days));
                (Value::Date(days.ok_or_else(|| out_of_range("date"))?), 0)
            }
            (false, true, true) => (Value::Timetz(Timetz::east(time, zoned("timetz")?)), 0),
            (false, true, false) => (Value::Time(time), 0),
            _ => return Err(format_error("datetime format is not dated and not timed".to_owned())),
        };
        Ok(Moment { value: rounded(value, digits), east })
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
        let midnight = |days: i32| {
            let at = midnight(days);
            if is_timestamp(at) { Ok(at) } else { Err(out_of_range("date out of range for timestamp")) }
        };
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
            (Method::Timestamp, Date(days)) => Timestamp(midnight(days)?),
            (Method::Timestamp, Timestamptz(at)) => {
                zones.check("timestamptz", "timestamp")?;
                Timestamp(zone.to_local(at))
            }
            (Method::TimestampTz, Date(days)) => {
                zones.check("date", "timestamptz")?;
                let local = midnight(days)?;
                east = zone.offset_of_local(local);
                Timestamptz(zone.to_utc(local))
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
        let midnight = |days: &i32| midnight(*days);
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

/// The beginning of a day; beyond all timestamps where dates go on after those have ended.
fn midnight(days: i32) -> i64 {
    i64::from(days).saturating_mul(MICROSECONDS_PER_DAY)
}

fn out_of_range(message: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
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
