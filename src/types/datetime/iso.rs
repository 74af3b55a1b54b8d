//! The form of dates that programs write, read without further ado: `2026-01-02`, `2026-01-02 03:04:05.678+00`.
//!
//! A COPY reads millions of these; the rules for everything else are in `fields.rs`, which would read them alike.

use super::{MICROSECONDS_PER_SECOND, days_from_civil, days_in_month};

/// A date, a time if the text has one, and a zone's seconds east of UTC if it has that.
pub(super) struct Iso {
    pub days: i64,
    pub time: i64,
    pub east: Option<i32>,
}

/// `None` for what is not exactly of this form, or has a field that needs a closer look.
pub(super) fn read(text: &str) -> Option<Iso> {
    let (date, rest) = text.as_bytes().split_first_chunk::<10>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
    let year = i64::from(two_digits(y1, y2)?) * 100 + i64::from(two_digits(y3, y4)?);
    let (month, day) = (two_digits(m1, m2)?, two_digits(d1, d2)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    match rest {
        [] => Some(Iso { days, time: 0, east: None }),
        [b' ' | b'T', clock @ ..] => {
            let (time, rest) = leading_clock(clock)?;
            let east = if rest.is_empty() { None } else { Some(offset(rest)?) };
            Some(Iso { days, time, east })
        }
        _ => None,
    }
}

/// `03:04:05.678` in microseconds.
pub(super) fn read_clock(text: &str) -> Option<i64> {
    leading_clock(text.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| time)
}

/// The clock a text starts with, and what follows it.
fn leading_clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let (clock, mut rest) = text.split_first_chunk::<8>()?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else { return None };
    let (hours, minutes, seconds) = (two_digits(h1, h2)?, two_digits(m1, m2)?, two_digits(s1, s2)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut microseconds = 0;
    if let [b'.', digits @ ..] = rest {
        let count = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
        // Further digits are rounded.
        if !(1..=6).contains(&count) {
            return None;
        }
        let value = digits[..count].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        microseconds = value * 10i64.pow(6 - count as u32);
        rest = &digits[count..];
    }
    let seconds = i64::from((hours * 60 + minutes) * 60 + seconds);
    Some((seconds * MICROSECONDS_PER_SECOND + microseconds, rest))
}

/// `Z`, `+02`, `-03:30`
fn offset(text: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match *text {
        [b'Z'] => return Some(0),
        [sign, h1, h2] => (sign, two_digits(h1, h2)?, 0),
        [sign, h1, h2, b':', m1, m2] => (sign, two_digits(h1, h2)?, two_digits(m1, m2)?),
        _ => return None,
    };
    if hours > super::OFFSET_HOURS_MAX || minutes > 59 {
        return None;
    }
    let seconds = ((hours * 60 + minutes) * 60) as i32;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}
