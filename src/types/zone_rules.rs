//! Zones that bring their own rules: `CST7CDT,M4.1.0,M10.5.0`, as POSIX describes them.
//!
//! ```text
//!   CST7         CDT          ,M4.1.0              ,M10.5.0/3
//!   standard     summer       begins on the first  ends on the last Sunday of
//!   time, west   time, +1 h   Sunday of April, 2 h October at 3 h
//! ```
//!
//! The rules count in every year, past ones too. A description is kept for the life of the process, because zones are
//! copied everywhere; how many there can be is bounded.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::types::datetime::{
    MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, civil_from_days, days_from_civil, days_in_month,
    tokens::leading_number,
};
use crate::types::zone::{leading_name, leading_offset};

/// Descriptions that are kept, of some 200 bytes each; there are a few dozen in the world.
const KEPT_MAX: usize = 1_024;

/// Bytes of a description, as of any zone's name in PostgreSQL.
const NAME_BYTES_MAX: usize = 255;

/// What is meant where none are given: those of the United States, as in PostgreSQL.
const DEFAULT_RULES: &str = ",M3.2.0,M11.1.0";

/// A standard time and a summer time with the days on which clocks are changed.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// The description, in capitals.
    pub text: String,
    standard: Time,
    summer: Time,
    /// When summer time begins, on clocks that show standard time.
    begins: Change,
    /// When it ends, on clocks that show summer time.
    ends: Change,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Time {
    /// Seconds.
    east: i32,
    name: String,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Change {
    day: Day,
    /// Seconds since midnight; more than a day, or less than nothing, is another day.
    seconds: i32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Day {
    /// The week from 1, of which 5 is the last one; the day of the week from 0, a Sunday.
    OfMonth { month: u32, week: u32, weekday: i64 },
    /// From 1, and 29 February is not counted.
    Common(i64),
    /// From 0.
    OfYear(i64),
}

impl Rules {
    /// `None` of what is no such description.
    pub fn of(text: &str) -> Result<Option<&'static Rules>> {
        static KEPT: LazyLock<Mutex<HashMap<String, &'static Rules>>> = LazyLock::new(Mutex::default);
        if text.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        let text = text.to_ascii_uppercase();
        let mut kept = KEPT.lock();
        if let Some(known) = kept.get(&text) {
            return Ok(Some(known));
        }
        let Some(rules) = Rules::parse(&text) else { return Ok(None) };
        if kept.len() >= KEPT_MAX {
            let message = format!("more than {KEPT_MAX} time zones with rules of their own");
            return Err(Error::unsupported(message));
        }
        let rules: &'static Rules = Box::leak(Box::new(rules));
        kept.insert(text, rules);
        Ok(Some(rules))
    }

    fn parse(text: &str) -> Option<Rules> {
        let (standard, rest) = leading_name(text)?;
        let (west, rest) = leading_offset(rest)?;
        let (summer, rest) = leading_name(rest).filter(|(name, _)| !name.is_empty())?;
        let (summer_west, rest) = match rest {
            "" => (west - 3600, rest),
            _ if rest.starts_with([',', ';']) => (west - 3600, rest),
            _ => leading_offset(rest)?,
        };
        let rest = if rest.is_empty() { DEFAULT_RULES } else { rest };
        let (begins, rest) = change(rest.strip_prefix([',', ';'])?)?;
        let (ends, rest) = change(rest.strip_prefix(',')?)?;
        rest.is_empty().then(|| Rules {
            text: text.to_owned(),
            standard: Time { east: -west, name: standard.to_owned() },
            summer: Time { east: -summer_west, name: summer.to_owned() },
            begins,
            ends,
        })
    }

    /// Whether it is summer time at a moment, in microseconds since 1970.
    pub fn is_summer_at(&self, microseconds: i64) -> bool {
        let local = microseconds
            .saturating_add(i64::from(self.standard.east).saturating_mul(MICROSECONDS_PER_SECOND));
        let (year, _, _) = civil_from_days(local.div_euclid(MICROSECONDS_PER_DAY));
        let seconds = microseconds.div_euclid(MICROSECONDS_PER_SECOND);
        let begins = self.begins.in_year(year) - i64::from(self.standard.east);
        let ends = self.ends.in_year(year) - i64::from(self.summer.east);
        match begins <= ends {
            true => (begins..ends).contains(&seconds),
            // South of the equator.
            false => !(ends..begins).contains(&seconds),
        }
    }

    fn at(&self, microseconds: i64) -> &Time {
        if self.is_summer_at(microseconds) { &self.summer } else { &self.standard }
    }

    /// Seconds east of Greenwich at a moment.
    pub fn offset_at(&self, microseconds: i64) -> i32 {
        self.at(microseconds).east
    }

    pub fn abbreviation_at(&self, microseconds: i64) -> &str {
        &self.at(microseconds).name
    }

    /// Seconds east when clocks show `local`. An hour that comes twice is meant the second time, one that is left out
    /// counts on from the one before.
    pub fn offset_of_local(&self, local: i64) -> i32 {
        let moment = |east: i32| local.saturating_sub(i64::from(east) * MICROSECONDS_PER_SECOND);
        let fits = |east: &i32| self.offset_at(moment(*east)) == *east;
        let (one, other) = (self.standard.east, self.summer.east);
        let found = [one.min(other), one.max(other)].into_iter().find(fits);
        found.unwrap_or_else(|| self.offset_at(moment(one).saturating_sub(MICROSECONDS_PER_DAY)))
    }
}

impl Change {
    /// Seconds from 1970, as the clocks count that are changed.
    fn in_year(&self, year: i64) -> i64 {
        let first = days_from_civil(year, 1, 1);
        let day = match self.day {
            Day::OfMonth { month, week, weekday } => {
                let begin = days_from_civil(year, month, 1);
                // 1970-01-01 was a Thursday.
                let first = begin + (weekday - (begin + 4)).rem_euclid(7);
                let last = begin + i64::from(days_in_month(year, month)) - 1;
                let day = first + 7 * (i64::from(week) - 1);
                if day > last { day - 7 } else { day }
            }
            Day::Common(day) => {
                let is_leap = days_in_month(year, 2) == 29;
                first + day - 1 + i64::from(is_leap && day >= 60)
            }
            Day::OfYear(day) => first + day,
        };
        day * 86_400 + i64::from(self.seconds)
    }
}

/// `M10.5.0/3`, and what follows it.
fn change(text: &str) -> Option<(Change, &str)> {
    let (day, rest) = match text.as_bytes().first()? {
        b'M' => {
            let (month, rest) = number(&text[1..], 1..=12)?;
            let (week, rest) = number(rest.strip_prefix('.')?, 1..=5)?;
            let (weekday, rest) = number(rest.strip_prefix('.')?, 0..=6)?;
            (Day::OfMonth { month: month as u32, week: week as u32, weekday }, rest)
        }
        b'J' => {
            let (day, rest) = number(&text[1..], 1..=365)?;
            (Day::Common(day), rest)
        }
        _ => {
            let (day, rest) = number(text, 0..=365)?;
            (Day::OfYear(day), rest)
        }
    };
    let (seconds, rest) = match rest.strip_prefix('/') {
        Some(time) => leading_offset(time)?,
        None => (2 * 3600, rest),
    };
    Some((Change { day, seconds }, rest))
}

fn number(text: &str, bounds: std::ops::RangeInclusive<i64>) -> Option<(i64, &str)> {
    let (number, rest) = leading_number::<i64>(text)?;
    (rest.len() < text.len() && bounds.contains(&number)).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> &'static Rules {
        Rules::of(text).unwrap().unwrap_or_else(|| panic!("{text}"))
    }

    /// Midnight of a day, in microseconds.
    fn day(year: i64, month: u32, day: u32) -> i64 {
        days_from_civil(year, month, day) * MICROSECONDS_PER_DAY
    }

    const HOUR: i64 = 3_600 * MICROSECONDS_PER_SECOND;

    #[test]
    fn clocks_change_when_the_rules_say() {
        let zone = rules("CST7CDT,M4.1.0,M10.5.0");
        // 2005-04-03 2:00 there, and 2005-10-30 2:00 of summer time.
        for (at, east) in [
            (day(2005, 4, 3) + 9 * HOUR - 1, -7),
            (day(2005, 4, 3) + 9 * HOUR, -6),
            (day(2005, 10, 30) + 8 * HOUR - 1, -6),
            (day(2005, 10, 30) + 8 * HOUR, -7),
        ] {
            assert_eq!(zone.offset_at(at), east * 3600);
        }
        // What never comes, and what comes twice.
        assert_eq!(zone.offset_of_local(day(2005, 4, 3) + 5 * HOUR / 2), -7 * 3600);
        assert_eq!(zone.offset_of_local(day(2005, 10, 30) + 3 * HOUR / 2), -7 * 3600);
        assert_eq!(zone.abbreviation_at(day(2005, 7, 1)), "CDT");
    }

    #[test]
    fn days_are_counted_in_three_ways() {
        let zone = rules("<-03>3<-02>,J60/0,364/24");
        assert!(!zone.is_summer_at(day(2024, 3, 1) + 3 * HOUR - 1));
        assert!(zone.is_summer_at(day(2024, 3, 1) + 3 * HOUR));
        assert!(zone.is_summer_at(day(2023, 12, 31) + HOUR));
        // In the south summer time begins in one year and ends in the next.
        let south = rules("AEST-10AEDT,M10.1.0,M4.1.0/3");
        assert!(south.is_summer_at(day(2024, 1, 1)) && !south.is_summer_at(day(2024, 7, 1)));
        assert_eq!(rules("FOO3BAR").offset_at(day(2024, 7, 1)), -2 * 3600);
        for wrong in
            ["FOO3", "FOO3BAR,M13.1.0,M4.1.0", "FOO3BAR,M3.2.0", "FOO3BAR,M3.2.0,M11.1.0x", "FOO3BAR,J0,J5"]
        {
            assert_eq!(Rules::of(wrong).unwrap(), None, "{wrong}");
        }
    }
}
