//! How a session wants its values shown and reads them: in which time zone, with dates in which style (`dates.rs`), and in
//! which of PostgreSQL's four styles an interval.
//!
//! ```text
//!   postgres          1 year 2 mons 3 days 04:05:06.7
//!   postgres_verbose  @ 1 year 2 mons 3 days 4 hours 5 mins 6.7 secs
//!   sql_standard      +1-2 +3 +4:05:06.7
//!   iso_8601          P1Y2M3DT4H5M6.7S
//! ```

use crate::types::date_style::DateStyle;
use crate::types::datetime::{MICROSECONDS_PER_SECOND, print_seconds};
use crate::types::integer::{print_i64, print_u64};
use crate::types::{Interval, Zone, interval};

/// What the text of a value depends on beside the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    pub zone: Zone,
    pub dates: DateStyle,
    pub intervals: IntervalStyle,
    /// extra_float_digits, -15 to 3: above 0 floats are shown by the fewest digits that give them back, else by as many
    /// more, which is to say fewer, than their types are good for.
    pub float_digits: i8,
    /// bytea_output = escape.
    pub escapes_bytes: bool,
}

impl Look {
    /// What is kept and what no session asks for: UTC, and intervals as PostgreSQL shows them of itself.
    pub const PLAIN: Look = Look {
        zone: Zone::UTC,
        dates: DateStyle::ISO,
        intervals: IntervalStyle::Postgres,
        float_digits: 1,
        escapes_bytes: false,
    };
}

impl From<Zone> for Look {
    fn from(zone: Zone) -> Look {
        Look { zone, ..Look::PLAIN }
    }
}

/// PostgreSQL's IntervalStyle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    Verbose,
    Standard,
    Iso8601,
}

impl IntervalStyle {
    /// Their names as values of the setting.
    pub const NAMES: &[&str] = &["postgres", "postgres_verbose", "sql_standard", "iso_8601"];

    pub fn from_name(name: &str) -> Option<IntervalStyle> {
        let all = [Self::Postgres, Self::Verbose, Self::Standard, Self::Iso8601];
        Self::NAMES.iter().zip(all).find(|(known, _)| **known == name).map(|(_, style)| style)
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn print(self, interval: Interval, out: &mut Vec<u8>) {
        match self {
            _ if !interval.is_finite() => interval::print(interval, out),
            IntervalStyle::Postgres => interval::print(interval, out),
            IntervalStyle::Verbose => Parts::of(interval).verbose(out),
            IntervalStyle::Standard => Parts::of(interval).standard(out),
            IntervalStyle::Iso8601 => Parts::of(interval).iso(out),
        }
    }
}

/// The fields of an interval, each with its sign.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// With their fraction.
    microseconds: i64,
}

impl Parts {
    fn of(interval: Interval) -> Parts {
        let (months, time) = (i64::from(interval.months), interval.microseconds);
        let (hour, minute) = (3600 * MICROSECONDS_PER_SECOND, 60 * MICROSECONDS_PER_SECOND);
        Parts {
            years: months / 12,
            months: months % 12,
            days: interval.days.into(),
            hours: time / hour,
            minutes: time % hour / minute,
            microseconds: time % minute,
        }
    }

    fn all(&self) -> [i64; 6] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.microseconds]
    }

    fn iso(&self, out: &mut Vec<u8>) {
        if self.all() == [0; 6] {
            out.extend_from_slice(b"PT0S");
            return;
        }
        let part = |value: i64, letter: u8, out: &mut Vec<u8>| {
            if value != 0 {
                print_i64(value, out);
                out.push(letter);
            }
        };
        out.push(b'P');
        part(self.years, b'Y', out);
        part(self.months, b'M', out);
        part(self.days, b'D', out);
        if [self.hours, self.minutes, self.microseconds] != [0; 3] {
            out.push(b'T');
        }
        part(self.hours, b'H', out);
        part(self.minutes, b'M', out);
        if self.microseconds != 0 {
            if self.microseconds < 0 {
                out.push(b'-');
            }
            seconds(self.microseconds, out);
            out.push(b'S');
        }
    }

    /// The first part's sign is said once, behind all: `@ 1 day -2 hours ago` is minus a day and plus two hours.
    fn verbose(&self, out: &mut Vec<u8>) {
        out.push(b'@');
        let mut before = None;
        let named = [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "min"),
        ];
        for (value, unit) in named.into_iter().filter(|(value, _)| *value != 0) {
            let shown = if *before.get_or_insert(value < 0) { -value } else { value };
            out.push(b' ');
            print_i64(shown, out);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if shown != 1 {
                out.push(b's');
            }
        }
        if self.microseconds != 0 {
            let negative = self.microseconds < 0;
            out.push(b' ');
            if *before.get_or_insert(negative) != negative {
                out.push(b'-');
            }
            seconds(self.microseconds, out);
            let one = self.microseconds.abs() == MICROSECONDS_PER_SECOND;
            out.extend_from_slice(if one { b" sec" } else { b" secs" });
        }
        match before {
            None => out.extend_from_slice(b" 0"),
            Some(true) => out.extend_from_slice(b" ago"),
            Some(false) => {}
        }
    }

    /// The standard knows either years and months or days and times, of one sign; what is more has a sign at each part.
    fn standard(&self, out: &mut Vec<u8>) {
        let negative = self.all().iter().any(|part| *part < 0);
        let positive = self.all().iter().any(|part| *part > 0);
        let months = self.years != 0 || self.months != 0;
        let time = [self.days, self.hours, self.minutes, self.microseconds] != [0; 4];
        let sign = |negative: bool| if negative { b'-' } else { b'+' };
        if !negative && !positive {
            out.push(b'0');
        } else if negative && positive || months && time {
            out.push(sign(self.years < 0 || self.months < 0));
            self.year_month(out);
            out.extend([b' ', sign(self.days < 0)]);
            print_u64(self.days.unsigned_abs(), out);
            out.extend([b' ', sign(self.hours < 0 || self.minutes < 0 || self.microseconds < 0)]);
            self.clock(out);
        } else {
            if negative {
                out.push(b'-');
            }
            if months {
                self.year_month(out);
                return;
            }
            if self.days != 0 {
                print_u64(self.days.unsigned_abs(), out);
                out.push(b' ');
            }
            self.clock(out);
        }
    }

    fn year_month(&self, out: &mut Vec<u8>) {
        print_u64(self.years.unsigned_abs(), out);
        out.push(b'-');
        print_u64(self.months.unsigned_abs(), out);
    }

    /// `4:05:06.7`
    fn clock(&self, out: &mut Vec<u8>) {
        print_u64(self.hours.unsigned_abs(), out);
        out.push(b':');
        let minutes = self.minutes.unsigned_abs();
        out.extend([b'0' + (minutes / 10) as u8, b'0' + (minutes % 10) as u8, b':']);
        print_seconds(self.microseconds.unsigned_abs(), out);
    }
}

/// Without a sign and without a leading zero.
fn seconds(microseconds: i64, out: &mut Vec<u8>) {
    let start = out.len();
    print_seconds(microseconds.unsigned_abs(), out);
    if out[start] == b'0' {
        out.remove(start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by PostgreSQL: postgres_verbose, sql_standard, iso_8601.
    #[test]
    fn intervals_print_as_in_postgresql() {
        for (input, verbose, standard, iso) in [
            ("0", "@ 0", "0", "PT0S"),
            ("1-2", "@ 1 year 2 mons", "1-2", "P1Y2M"),
            ("-1-2", "@ 1 year 2 mons ago", "-1-2", "P-1Y-2M"),
            ("3 4:05:06.7", "@ 3 days 4 hours 5 mins 6.7 secs", "3 4:05:06.7", "P3DT4H5M6.7S"),
            ("-4:05:00.5", "@ 4 hours 5 mins 0.5 secs ago", "-4:05:00.5", "PT-4H-5M-0.5S"),
            ("1 year -2 days 3 hours", "@ 1 year -2 days 3 hours", "+1-0 -2 +3:00:00", "P1Y-2DT3H"),
            ("-1 day 2 hours", "@ 1 day -2 hours ago", "+0-0 -1 +2:00:00", "P-1DT2H"),
            ("1 sec", "@ 1 sec", "0:00:01", "PT1S"),
            ("1 mon 1 sec", "@ 1 mon 1 sec", "+0-1 +0 +0:00:01", "P1MT1S"),
        ] {
            let interval = interval::parse(input).unwrap();
            let printed = |style: IntervalStyle| {
                let mut out = Vec::new();
                style.print(interval, &mut out);
                String::from_utf8(out).unwrap()
            };
            assert_eq!(printed(IntervalStyle::Verbose), verbose, "{input}");
            assert_eq!(printed(IntervalStyle::Standard), standard, "{input}");
            assert_eq!(printed(IntervalStyle::Iso8601), iso, "{input}");
        }
    }

    proptest! {
        #[test]
        fn iso_and_verbose_lead_back(months in -1_000i32..1_000, days in -100i32..100, microseconds in -1_000_000_000_000i64..1_000_000_000_000) {
            let interval = Interval { months, days, microseconds };
            for style in [IntervalStyle::Iso8601, IntervalStyle::Verbose] {
                let mut out = Vec::new();
                style.print(interval, &mut out);
                let text = String::from_utf8(out).unwrap();
                prop_assert_eq!(interval::parse(&text).unwrap(), interval, "{}", text);
            }
        }
    }
}
