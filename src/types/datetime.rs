//! Dates, times and timestamps in PostgreSQL's text forms: printed in ISO style, read in the styles people write
//! (ISO 8601, `Jan 8, 1999`, `1/8/1999` in the order of DateStyle, with and without zone).
//!
//! Input of the form that programs write is read by `iso.rs`. All other is cut by shape (`tokens.rs`), and the tokens say
//! piece by piece what they are (`fields.rs`, with the vocabulary of `words.rs`).
//!
//! A moment without a zone is one of the zone that is handed in ([`Zone`]). Days are counted from 1970-01-01 in the proleptic Gregorian calendar,
//! times in microseconds. `infinity` is the largest value of the type, `-infinity` the smallest.

mod fields;
mod iso;
#[cfg(test)]
mod tests;
pub(super) mod tokens;
mod words;

use crate::error::{Error, Result, SqlState};
use crate::types::Timetz;
use crate::types::date_style::DateOrder;
use crate::types::datetime::fields::{Local, Place, Read};
use crate::types::datetime::iso::Iso;
use crate::types::integer::print_padded;
use crate::types::look::Look;
use crate::types::zone::Zone;

pub const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
pub const MICROSECONDS_PER_DAY: i64 = 86_400 * MICROSECONDS_PER_SECOND;

/// PostgreSQL's epoch, 2000-01-01, from which it rounds.
const ROUNDING_EPOCH: i64 = 10_957 * MICROSECONDS_PER_DAY;

/// A timestamp with so many digits of a second.
pub fn rounded(at: i64, digits: Option<u8>) -> i64 {
    match at {
        i64::MIN | i64::MAX => at,
        at => rounded_time(at - ROUNDING_EPOCH, digits) + ROUNDING_EPOCH,
    }
}

/// A time with so many digits of a second; halves are rounded away from zero.
pub fn rounded_time(time: i64, digits: Option<u8>) -> i64 {
    let Some(digits @ ..6) = digits else { return time };
    let unit = 10i64.pow(6 - u32::from(digits));
    let half = if time < 0 { -unit / 2 } else { unit / 2 };
    time.saturating_add(half) / unit * unit
}
/// 4714-11-24 BC, where PostgreSQL's calendar begins (Julian day 0).
const DAY_MIN: i64 = fields::JULIAN_EPOCH;
/// 5874897-12-31, its last date.
pub(super) const DAY_MAX: i64 = 2_145_042_905;

/// Hours of a zone's offset in input (PostgreSQL's MAX_TZDISP_HOUR).
const OFFSET_HOURS_MAX: u32 = 15;

/// Days since 1970-01-01 of a civil date (Howard Hinnant, *chrono-compatible low-level date algorithms*).
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year =
        (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse: (year, month, day), year 0 being 1 BC.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_shifted + 2) / 5 + 1) as u32;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `2024-02-29`, `0044-03-15 BC`
pub fn print_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let bc = print_civil(i64::from(days), out);
            print_era(bc, out);
        }
    }
}

/// `13:05:06.789`
pub fn print_time(microseconds: i64, out: &mut Vec<u8>) {
    let seconds = microseconds / MICROSECONDS_PER_SECOND;
    print_padded((seconds / 3600) as u64, 2, out);
    out.push(b':');
    print_padded((seconds / 60 % 60) as u64, 2, out);
    out.push(b':');
    print_seconds((microseconds % (60 * MICROSECONDS_PER_SECOND)) as u64, out);
}

/// `06.789` of microseconds below a minute.
pub(super) fn print_seconds(microseconds: u64, out: &mut Vec<u8>) {
    print_padded(microseconds / 1_000_000, 2, out);
    let fraction = microseconds % 1_000_000;
    if fraction > 0 {
        out.push(b'.');
        print_padded(fraction, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// `2024-02-29 13:05:06.789`
pub fn print_timestamp(microseconds: i64, out: &mut Vec<u8>) {
    if !print_infinity(microseconds, out) {
        let bc = print_moment(microseconds, out);
        print_era(bc, out);
    }
}

/// `2024-02-29 13:05:06.789+00`, as clocks of the zone show it.
pub fn print_timestamptz(microseconds: i64, zone: Zone, out: &mut Vec<u8>) {
    if print_infinity(microseconds, out) {
        return;
    }
    let offset_seconds = zone.offset_at(microseconds);
    let local = microseconds.saturating_add(i64::from(offset_seconds) * MICROSECONDS_PER_SECOND);
    let bc = print_moment(local, out);
    print_offset(offset_seconds, out);
    print_era(bc, out);
}

/// `+02`, `-03:30`
pub fn print_offset(offset_seconds: i32, out: &mut Vec<u8>) {
    out.push(if offset_seconds < 0 { b'-' } else { b'+' });
    let offset = u64::from(offset_seconds.unsigned_abs());
    print_padded(offset / 3600, 2, out);
    if offset % 3600 != 0 {
        out.push(b':');
        print_padded(offset / 60 % 60, 2, out);
    }
    if offset % 60 != 0 {
        out.push(b':');
        print_padded(offset % 60, 2, out);
    }
}

pub(super) fn print_infinity(microseconds: i64, out: &mut Vec<u8>) -> bool {
    match microseconds {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

fn print_moment(microseconds: i64, out: &mut Vec<u8>) -> bool {
    let bc = print_civil(microseconds.div_euclid(MICROSECONDS_PER_DAY), out);
    out.push(b' ');
    print_time(microseconds.rem_euclid(MICROSECONDS_PER_DAY), out);
    bc
}

/// Prints the date and tells whether it lies before Christ, which is written at the very end.
fn print_civil(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_from_days(days);
    let bc = year <= 0;
    print_padded(if bc { 1 - year } else { year } as u64, 4, out);
    for part in [month, day] {
        out.push(b'-');
        print_padded(u64::from(part), 2, out);
    }
    bc
}

pub(super) fn print_era(bc: bool, out: &mut Vec<u8>) {
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// `today` is the zone's, and the order of numbers the session's.
pub fn parse_date(text: &str, look: impl Into<Look>) -> Result<i32> {
    if let Some(iso) = iso::read(text) {
        return Ok(iso.days as i32);
    }
    let read = fields::read_moment(text, &Session::of(look)).map_err(|fault| fault.explain("date", text))?;
    match read {
        Read::Infinity => Ok(i32::MAX),
        Read::MinusInfinity => Ok(i32::MIN),
        Read::Epoch => Ok(0),
        Read::At(local) if (DAY_MIN..=DAY_MAX).contains(&local.days) => Ok(local.days as i32),
        Read::At(_) => Err(out_of_range("date", text)),
    }
}

/// Time of day; a date in front of it and a zone are read and ignored, as PostgreSQL does.
pub fn parse_time(text: &str, look: impl Into<Look>) -> Result<i64> {
    match iso::read_clock(text) {
        Some(time) => Ok(time),
        None => fields::read_time(text, &Session::of(look)).map_err(|fault| fault.explain("time", text)),
    }
}

/// A time of day with its zone; without one in the text, that which is handed in has its offset of the date in the text, or
/// of today.
pub fn parse_timetz(text: &str, look: impl Into<Look>) -> Result<Timetz> {
    let read = fields::read_timetz(text, &Session::of(look));
    read.map_err(|fault| fault.explain("time with time zone", text))
}

/// A zone in the text is read and ignored, as PostgreSQL does.
pub fn parse_timestamp(text: &str, look: impl Into<Look>) -> Result<i64> {
    if let Some(iso) = iso::read(text) {
        return Ok(iso.days * MICROSECONDS_PER_DAY + iso.time);
    }
    match fields::read_moment(text, &Session::of(look)).map_err(|fault| fault.explain("timestamp", text))? {
        Read::Infinity => Ok(i64::MAX),
        Read::MinusInfinity => Ok(i64::MIN),
        Read::Epoch => Ok(0),
        Read::At(local) => {
            let at = microseconds_of(&local).filter(is_within);
            at.ok_or_else(|| out_of_range("timestamp", text))
        }
    }
}

/// Without a zone in the text, the one that is handed in applies.
pub fn parse_timestamptz(text: &str, look: impl Into<Look>) -> Result<i64> {
    let session = Session::of(look);
    let zone = session.zone;
    if let Some(Iso { days, time, east }) = iso::read(text) {
        let place = east.map_or(Place::In(zone), Place::East);
        return Ok(place.to_utc(days * MICROSECONDS_PER_DAY + time));
    }
    let name = "timestamp with time zone";
    match fields::read_moment(text, &session).map_err(|fault| fault.explain(name, text))? {
        Read::Infinity => Ok(i64::MAX),
        Read::MinusInfinity => Ok(i64::MIN),
        Read::Epoch => Ok(0),
        Read::At(local) => {
            let place = local.place.unwrap_or(Place::In(zone));
            let at = microseconds_of(&local).map(|at| place.to_utc(at)).filter(is_within);
            at.ok_or_else(|| out_of_range("timestamp", text))
        }
    }
}

fn microseconds_of(local: &Local) -> Option<i64> {
    local.days.checked_mul(MICROSECONDS_PER_DAY)?.checked_add(local.time)
}

/// Whether it is neither before PostgreSQL's calendar nor infinite.
fn is_within(microseconds: &i64) -> bool {
    (DAY_MIN * MICROSECONDS_PER_DAY..i64::MAX).contains(microseconds)
}

/// What the meaning of a text depends on beside the text.
#[derive(Clone, Copy)]
struct Session {
    zone: Zone,
    order: DateOrder,
}

impl Session {
    fn of(look: impl Into<Look>) -> Session {
        let Look { zone, dates, .. } = look.into();
        Session { zone, order: dates.order }
    }

    /// What clocks of the zone show, in microseconds since 1970, and how many seconds they are ahead: for the input strings
    /// `now` and `today`, which PostgreSQL too reads when it parses, and for the offset of a time of no date.
    fn now(&self) -> (i64, i32) {
        now(self.zone)
    }
}

pub(super) fn now(zone: Zone) -> (i64, i32) {
    let at = utc_now();
    (zone.to_local(at), zone.offset_at(at))
}

/// Microseconds since 1970.
pub(super) fn utc_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}

fn out_of_range(what: &str, text: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}
