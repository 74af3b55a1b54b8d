//! Dates, times and timestamps in PostgreSQL's text forms: printed in ISO style, read in the styles people write
//! (ISO 8601, `Jan 8, 1999`, `1/8/1999` as month, day, year, with and without zone).
//!
//! A moment without a zone is one of the zone that is handed in ([`Zone`]). Days are counted from 1970-01-01 in the proleptic Gregorian calendar,
//! times in microseconds. `infinity` is the largest value of the type, `-infinity` the smallest.

use crate::error::{Error, Result, SqlState};
use crate::types::integer::print_padded;
use crate::types::text::{invalid_datetime, is_space};
use crate::types::zone::{self, Zone};

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
    (time + half) / unit * unit
}
/// 4714-11-24 BC, where PostgreSQL's calendar begins (Julian day 0).
const DAY_MIN: i64 = -2_440_588;
/// 5874897-12-31, its last date.
pub(super) const DAY_MAX: i64 = 2_145_042_905;

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

fn print_infinity(microseconds: i64, out: &mut Vec<u8>) -> bool {
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

fn print_era(bc: bool, out: &mut Vec<u8>) {
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// `today` is the zone's.
pub fn parse_date(text: &str, zone: Zone) -> Result<i32> {
    let fields = Fields::read(text, "date", zone)?;
    match fields.moment {
        Some(Moment::Infinity) => Ok(i32::MAX),
        Some(Moment::MinusInfinity) => Ok(i32::MIN),
        Some(Moment::At(microseconds)) => Ok(microseconds.div_euclid(MICROSECONDS_PER_DAY) as i32),
        None => {
            let days = fields.days(text, "date")?;
            match (DAY_MIN..=DAY_MAX).contains(&days) {
                true => Ok(days as i32),
                false => Err(out_of_range("date out of range", text)),
            }
        }
    }
}

/// Time of day; a date in front of it is ignored, as PostgreSQL does.
pub fn parse_time(text: &str, zone: Zone) -> Result<i64> {
    let fields = Fields::read(text, "time", zone)?;
    match (fields.moment, fields.time) {
        (Some(Moment::At(microseconds)), _) => Ok(microseconds.rem_euclid(MICROSECONDS_PER_DAY)),
        (None, Some(time)) => Ok(time),
        _ => Err(invalid_datetime("time", text)),
    }
}

/// A zone in the text is read and ignored, as PostgreSQL does.
pub fn parse_timestamp(text: &str, zone: Zone) -> Result<i64> {
    let fields = Fields::read(text, "timestamp", zone)?;
    fields.timestamp(text, "timestamp")
}

/// Without a zone in the text, the one that is handed in applies.
pub fn parse_timestamptz(text: &str, zone: Zone) -> Result<i64> {
    let name = "timestamp with time zone";
    let fields = Fields::read(text, name, zone)?;
    let local = fields.timestamp(text, name)?;
    if fields.moment.is_some() && !is_finite(local) {
        return Ok(local);
    }
    let within = |at: &i64| is_finite(*at) && *at >= DAY_MIN * MICROSECONDS_PER_DAY;
    Some(fields.zone.unwrap_or(zone).to_utc(local))
        .filter(within)
        .ok_or_else(|| out_of_range("timestamp out of range", text))
}

fn is_finite(microseconds: i64) -> bool {
    microseconds != i64::MIN && microseconds != i64::MAX
}

/// `+05:30`, `-8`, `UTC`: seconds east of UTC of a zone that is an offset.
pub fn parse_offset(text: &str) -> Option<i32> {
    if is_utc(&text.to_ascii_lowercase()) {
        return Some(0);
    }
    let (sign, digits) = match text.as_bytes() {
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return None,
    };
    let parts: Vec<&str> = match digits.len() {
        _ if digits.contains(':') => digits.split(':').collect(),
        3 if digits.is_ascii() => vec![&digits[..1], &digits[1..]],
        4 if digits.is_ascii() => vec![&digits[..2], &digits[2..]],
        6 if digits.is_ascii() => vec![&digits[..2], &digits[2..4], &digits[4..]],
        _ => vec![digits],
    };
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || !all_digits(part)) {
        return None;
    }
    let mut seconds = 0;
    for (part, unit) in parts.iter().zip([3600, 60, 1]) {
        seconds += part.parse::<i32>().ok().filter(|&n| n < 60)? * unit;
    }
    // PostgreSQL's MAX_TZDISP_HOUR.
    (seconds < 16 * 3600).then_some(sign * seconds)
}

fn is_utc(word: &str) -> bool {
    matches!(word, "z" | "utc" | "gmt" | "zulu" | "ut" | "uct" | "etc/utc")
}

#[derive(Clone, Copy)]
enum Moment {
    At(i64),
    Infinity,
    MinusInfinity,
}

/// What a date and time text says, piece by piece.
#[derive(Default)]
struct Fields {
    /// Words that stand for a whole moment: now, epoch, infinity.
    moment: Option<Moment>,
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    /// Microseconds since midnight; 24:00:00 is allowed.
    time: Option<i64>,
    zone: Option<Zone>,
    bc: bool,
    /// Two-digit years are of this century or the last.
    short_year: bool,
    /// Microseconds that clocks of the zone show now.
    now: i64,
    /// Digits alone are those of a clock.
    time_only: bool,
}

impl Fields {
    fn read(text: &str, name: &str, zone: Zone) -> Result<Fields> {
        let time_only = name == "time";
        let mut fields = Fields { now: zone.to_local(now()), time_only, ..Fields::default() };
        let lower = text.to_ascii_lowercase();
        let words = lower.split(|c| is_space(c) || c == ',').filter(|word| !word.is_empty());
        let mut any = false;
        for word in words {
            any = true;
            fields.word(word, text, name)?;
        }
        match any {
            true => Ok(fields),
            false => Err(invalid_datetime(name, text)),
        }
    }

    fn word(&mut self, word: &str, text: &str, name: &str) -> Result<()> {
        let (first, second) = (word.as_bytes()[0], word.as_bytes().get(1));
        let is_numbered = second.is_some_and(u8::is_ascii_digit);
        let understood = match first {
            b'0'..=b'9' => self.number_word(word, text)?,
            // Behind a date alone a minus would be one more hyphen of it.
            b'+' if is_numbered && (self.time.is_some() || self.day.is_some()) => self.offset(word, text)?,
            b'-' if is_numbered && self.time.is_some() => self.offset(word, text)?,
            b't' if is_numbered => self.clock(&word[1..], text)?,
            _ => self.name(word, text)?,
        };
        if understood { Ok(()) } else { Err(invalid_datetime(name, text)) }
    }

    fn number_word(&mut self, word: &str, text: &str) -> Result<bool> {
        // 2024-01-02T03:04:05
        if let Some(at) = word.find('t').filter(|&at| word[..at].bytes().all(|b| !b.is_ascii_alphabetic())) {
            let (date, time) = (&word[..at], &word[at + 1..]);
            return Ok(self.number_word(date, text)? && !time.is_empty() && self.clock(time, text)?);
        }
        // 2024-01-01+02
        let dated = |(date, offset): &(&str, &str)| {
            date.contains(['-', '/']) && offset.starts_with(|c: char| c.is_ascii_digit())
        };
        if let Some((date, _)) = word.split_once('+').filter(dated) {
            return Ok(self.number_word(date, text)? && self.offset(&word[date.len()..], text)?);
        }
        if word.contains(':') {
            return self.clock(word, text);
        }
        // 2024-01-01Z
        if let Some(date) = word.strip_suffix('z').filter(|date| date.contains(['-', '/'])) {
            self.zone = Some(Zone::UTC);
            return self.number_word(date, text);
        }
        if self.time_only && self.time.is_none() && !self.any_date() {
            let (digits, fraction) = word.find('.').map_or((word, ""), |at| word.split_at(at));
            match digits.len() {
                4 if all_digits(word) => return self.clock(&format!("{}:{}", &word[..2], &word[2..]), text),
                6 if all_digits(digits) => {
                    let clock = format!("{}:{}:{}{fraction}", &word[..2], &word[2..4], &digits[4..]);
                    return self.clock(&clock, text);
                }
                _ => {}
            }
        }
        if word.contains(['-', '/']) || word.matches('.').count() == 2 {
            return self.date(word, text);
        }
        if !all_digits(word) {
            // 8jan1999 is not worth reading; 10am is.
            return match word.strip_suffix("am").or(word.strip_suffix("pm")) {
                Some(_) => self.clock(word, text),
                None => Ok(false),
            };
        }
        Ok(match (word.len(), self.any_date()) {
            (8, false) => self.set_date(&word[..4], &word[4..6], &word[6..]),
            (6, false) => self.set_date(&word[..2], &word[2..4], &word[4..]),
            (6, true) if self.time.is_none() && self.day.is_some() && self.year.is_some() => {
                return self.clock(&format!("{}:{}:{}", &word[..2], &word[2..4], &word[4..]), text);
            }
            _ => self.loose_number(word),
        })
    }

    fn any_date(&self) -> bool {
        self.year.is_some() || self.month.is_some() || self.day.is_some()
    }

    /// Day or year beside the name of a month.
    fn loose_number(&mut self, word: &str) -> bool {
        let Ok(number) = word.parse::<u32>() else { return false };
        if word.len() <= 2 && self.day.is_none() && (1..=31).contains(&number) {
            self.day = Some(number);
        } else if self.year.is_none() {
            self.set_year(word);
        } else {
            return false;
        }
        true
    }

    fn set_year(&mut self, word: &str) -> bool {
        self.short_year = word.len() <= 2;
        self.year = word.parse().ok();
        self.year.is_some()
    }

    fn set_date(&mut self, year: &str, month: &str, day: &str) -> bool {
        if self.any_date() {
            return false;
        }
        self.month = month.parse().ok();
        self.day = day.parse().ok();
        self.set_year(year) && self.month.is_some() && self.day.is_some()
    }

    /// 2024-01-02, 1/2/2024 (month first), 2-Jan-2024, 2024-Jan-02.
    fn date(&mut self, word: &str, text: &str) -> Result<bool> {
        let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
        if let [year, day] = parts[..] {
            // 2024-123 is the 123rd day of the year.
            let day_of_year = day.parse::<u32>().ok().filter(|_| day.len() == 3 && year.len() >= 4);
            let (Some(day_of_year), Ok(year)) = (day_of_year, year.parse::<i64>()) else { return Ok(false) };
            if !(1..=366).contains(&day_of_year) {
                return Err(field_out_of_range(text));
            }
            let (year, month, day) =
                civil_from_days(days_from_civil(year, 1, 1) + i64::from(day_of_year) - 1);
            (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
            return Ok(true);
        }
        let [a, b, c] = parts[..] else { return Ok(false) };
        if self.any_date() || [a, b, c].iter().any(|part| part.is_empty()) {
            return Ok(false);
        }
        if let Some(month) = month(b) {
            self.month = Some(month);
            let (year, day) = if a.len() > 2 { (a, c) } else { (c, a) };
            self.day = day.parse().ok();
            return Ok(all_digits(a) && all_digits(c) && self.set_year(year) && self.day.is_some());
        }
        if let Some(month) = month(a) {
            self.month = Some(month);
            self.day = b.parse().ok();
            return Ok(all_digits(b) && all_digits(c) && self.set_year(c) && self.day.is_some());
        }
        if ![a, b, c].iter().all(|part| all_digits(part)) {
            return Ok(false);
        }
        Ok(if a.len() > 2 { self.set_date(a, b, c) } else { self.set_date(c, a, b) })
    }

    /// 13:05, 13:05:06.789, 1:05pm, 13:05+02, 13:05:06z
    fn clock(&mut self, word: &str, text: &str) -> Result<bool> {
        let end = word.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        let mut parts = clock.split(':');
        let (Some(hours), minutes, seconds) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(false);
        };
        if parts.next().is_some() || self.time.is_some() {
            return Ok(false);
        }
        let whole = |part: Option<&str>| match part {
            None => Some(0),
            Some(part) if all_digits(part) && part.len() <= 2 => part.parse::<i64>().ok(),
            Some(_) => None,
        };
        let (Some(hours), Some(minutes)) = (whole(Some(hours)), whole(minutes)) else { return Ok(false) };
        let Some(microseconds) = seconds_of(seconds.unwrap_or("0")) else { return Ok(false) };
        if hours > 24 || minutes > 59 || microseconds > 60 * MICROSECONDS_PER_SECOND {
            return Err(field_out_of_range(text));
        }
        let time = (hours * 60 + minutes) * 60 * MICROSECONDS_PER_SECOND + microseconds;
        if time > MICROSECONDS_PER_DAY {
            return Err(field_out_of_range(text));
        }
        self.time = Some(time);
        match rest {
            "" => Ok(true),
            _ if rest.starts_with(['+', '-']) => self.offset(rest, text),
            _ => self.name(rest, text),
        }
    }

    fn offset(&mut self, word: &str, text: &str) -> Result<bool> {
        match parse_offset(word) {
            Some(offset) => self.zone = Some(Zone::of_offset(offset)),
            None if word[1..].bytes().all(|b| b.is_ascii_digit() || b == b':') => {
                let message = format!("time zone displacement out of range: \"{text}\"");
                return Err(Error::new(SqlState("22009"), message));
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    fn name(&mut self, word: &str, text: &str) -> Result<bool> {
        const HALF_DAY: i64 = MICROSECONDS_PER_DAY / 2;
        const HOUR: i64 = 3600 * MICROSECONDS_PER_SECOND;
        match word {
            "infinity" | "+infinity" => self.moment = Some(Moment::Infinity),
            "-infinity" => self.moment = Some(Moment::MinusInfinity),
            "epoch" => (self.moment, self.zone) = (Some(Moment::At(0)), Some(Zone::UTC)),
            "now" => self.moment = Some(Moment::At(self.now)),
            "today" => self.set_day(0),
            "tomorrow" => self.set_day(1),
            "yesterday" => self.set_day(-1),
            "allballs" => (self.time, self.zone) = (Some(0), Some(Zone::UTC)),
            "bc" => self.bc = true,
            "ad" | "t" | "at" | "on" => {}
            "am" | "pm" => {
                let Some(time) = self.time.filter(|&time| time < HALF_DAY + HOUR) else {
                    return if self.time.is_some() { Err(field_out_of_range(text)) } else { Ok(false) };
                };
                let twelfth = time >= HALF_DAY;
                self.time = Some(match (word, twelfth) {
                    ("am", true) => time - HALF_DAY,
                    ("pm", false) => time + HALF_DAY,
                    _ => time,
                });
            }
            _ if is_utc(word) => self.zone = Some(Zone::UTC),
            _ if month(word).is_some() && self.month.is_none() => self.month = month(word),
            _ if is_weekday(word) => {}
            _ if self.time.is_some() || self.day.is_some() => match named_zone(word)? {
                Some(zone) => self.zone = Some(zone),
                None => return Ok(false),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_day(&mut self, from_today: i64) {
        let (year, month, day) = civil_from_days(self.now.div_euclid(MICROSECONDS_PER_DAY) + from_today);
        (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
    }

    /// Days since 1970-01-01.
    fn days(&self, text: &str, name: &str) -> Result<i64> {
        let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) else {
            return Err(invalid_datetime(name, text));
        };
        let year = match () {
            _ if self.bc => 1 - year,
            _ if self.short_year && year < 70 => year + 2000,
            _ if self.short_year => year + 1900,
            _ => year,
        };
        if self.year == Some(0) && !self.short_year || day == 0 || day > 31 || year.abs() > 10_000_000 {
            return Err(field_out_of_range(text));
        }
        if !(1..=12).contains(&month) {
            return Err(field_out_of_range(text).hint("Perhaps you need a different \"datestyle\" setting."));
        }
        if day > days_in_month(year, month) {
            return Err(field_out_of_range(text));
        }
        Ok(days_from_civil(year, month, day))
    }

    /// What clocks show, whatever the zone.
    fn timestamp(&self, text: &str, name: &str) -> Result<i64> {
        match self.moment {
            Some(Moment::At(microseconds)) => return Ok(microseconds),
            Some(Moment::Infinity) => return Ok(i64::MAX),
            Some(Moment::MinusInfinity) => return Ok(i64::MIN),
            None => {}
        }
        let days = self.days(text, name)?;
        let within = days >= DAY_MIN;
        let microseconds = days
            .checked_mul(MICROSECONDS_PER_DAY)
            .and_then(|days| days.checked_add(self.time.unwrap_or(0)))
            .filter(|&microseconds| within && is_finite(microseconds));
        microseconds.ok_or_else(|| out_of_range("timestamp out of range", text))
    }
}

/// `cest`, `europe/berlin`: a zone by name in a text of dates; `None` for what cannot be a name of one.
fn named_zone(word: &str) -> Result<Option<Zone>> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+' | b'<' | b'>');
    if !word.bytes().all(is_name) || word.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match Zone::by_abbreviation(word) {
        Some(zone) => Ok(Some(zone)),
        None => Zone::by_name(word)?.map(Some).ok_or_else(|| zone::not_recognized(word)),
    }
}

/// Microseconds since 1970: for the input strings `now` and `today` only, which PostgreSQL too reads when it parses.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}

/// `06.789` in microseconds, rounded to them.
fn seconds_of(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !all_digits(whole) || whole.len() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(whole.parse::<i64>().ok()? * MICROSECONDS_PER_SECOND + fraction_of(fraction))
}

/// Digits behind a point as millionths, rounded.
pub(super) fn fraction_of(digits: &str) -> i64 {
    let mut millionths = 0;
    for place in 0..6 {
        millionths =
            millionths * 10 + digits.as_bytes().get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    millionths + i64::from(digits.as_bytes().get(6).is_some_and(|&digit| digit >= b'5'))
}

fn all_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// 1 to 12 of a lower-case month name or its first three letters.
fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
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
    let found = MONTHS
        .iter()
        .position(|name| *name == word || &name[..3] == word || (word == "sept" && name.starts_with("sept")));
    found.map(|i| i as u32 + 1)
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    DAYS.iter().any(|name| *name == word || &name[..3] == word)
        || matches!(word, "tues" | "thur" | "thurs" | "wednes")
}

fn field_out_of_range(text: &str) -> Error {
    out_of_range("date/time field value out of range", text)
}

fn out_of_range(what: &str, text: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what}: \"{text}\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn timestamptz(text: &str) -> String {
        let value = parse_timestamptz(text, Zone::UTC).unwrap_or_else(|error| panic!("{text}: {error}"));
        printed(|out| print_timestamptz(value, Zone::UTC, out))
    }

    #[test]
    fn reads_many_spellings() {
        for text in [
            "1999-01-08 04:05:06",
            "1999-01-08T04:05:06Z",
            "1999-01-08 04:05:06+00",
            "19990108 040506",
            "January 8, 1999 04:05:06",
            "Jan 8 04:05:06 1999",
            "8 Jan 1999 4:05:06 am",
            "1/8/1999 04:05:06 UTC",
            "1999-Jan-08 04:05:06",
            "08-Jan-99 04:05:06",
            "Fri Jan 08 1999 04:05:06",
            "1999-01-08 06:05:06+02",
            "1999-01-08 09:35:06 +05:30",
            "1999-01-07 20:05:06-0800",
            "1999-008 04:05:06",
        ] {
            assert_eq!(timestamptz(text), "1999-01-08 04:05:06+00", "{text}");
        }
        assert_eq!(timestamptz("epoch"), "1970-01-01 00:00:00+00");
        assert_eq!(timestamptz("infinity"), "infinity");
        assert_eq!(timestamptz("2024-02-29 12:00:00.1234567 pm"), "2024-02-29 12:00:00.123457+00");
        assert_eq!(timestamptz("0044-03-15 BC"), "0044-03-15 00:00:00+00 BC");
        assert_eq!(timestamptz("2024-01-01 24:00:00"), "2024-01-02 00:00:00+00");
        let (there, west) = (Zone::of_offset(7200), Zone::of_offset(-12_600));
        let noon = parse_timestamptz("2024-06-01 12:00", there).unwrap();
        assert_eq!(printed(|out| print_timestamptz(noon, there, out)), "2024-06-01 12:00:00+02");
        assert_eq!(printed(|out| print_timestamptz(noon, west, out)), "2024-06-01 06:30:00-03:30");
        assert_eq!(parse_time("04:05 PM", Zone::UTC).unwrap(), (16 * 60 + 5) * 60 * MICROSECONDS_PER_SECOND);
        assert_eq!(
            printed(|out| print_time(parse_time("04:05:06.7", Zone::UTC).unwrap(), out)),
            "04:05:06.7"
        );
        assert_eq!(
            parse_timestamp("2024-01-01 00:00:00+05", Zone::UTC).unwrap(),
            parse_timestamp("2024-01-01", Zone::UTC).unwrap()
        );
    }

    #[test]
    fn refuses_by_kind() {
        let fails = |text: &str, state: SqlState, message: &str| {
            let error = parse_date(text, Zone::UTC).unwrap_err();
            assert_eq!((error.state(), error.message()), (state, message));
        };
        let (format, field) = (SqlState::INVALID_DATETIME_FORMAT, SqlState::DATETIME_FIELD_OVERFLOW);
        fails("yesterdayish", format, "invalid input syntax for type date: \"yesterdayish\"");
        fails("", format, "invalid input syntax for type date: \"\"");
        fails("2024-13-01", field, "date/time field value out of range: \"2024-13-01\"");
        fails("2023-02-29", field, "date/time field value out of range: \"2023-02-29\"");
        fails("9999999-01-01", field, "date out of range: \"9999999-01-01\"");
        assert_eq!(parse_timestamp("2024-01-01 25:00", Zone::UTC).unwrap_err().state(), field);
        assert_eq!(
            parse_timestamp("300000-01-01", Zone::UTC).unwrap_err().message(),
            "timestamp out of range: \"300000-01-01\""
        );
        let zone = parse_timestamptz("2024-01-01 00:00 Mars/Olympus", Zone::UTC).unwrap_err();
        assert_eq!(zone.message(), "time zone \"mars/olympus\" not recognized");
    }

    proptest! {
        #[test]
        fn dates_lead_back(days in DAY_MIN as i32..=DAY_MAX as i32) {
            let (year, month, day) = civil_from_days(i64::from(days));
            prop_assert_eq!(days_from_civil(year, month, day), i64::from(days));
            prop_assert_eq!(parse_date(&printed(|out| print_date(days, out)), Zone::UTC).unwrap(), days);
        }

        #[test]
        fn timestamps_lead_back(microseconds in -200_000_000_000_000_000i64..9_000_000_000_000_000_000, offset in -57_000i32..57_000) {
            prop_assert_eq!(parse_timestamp(&printed(|out| print_timestamp(microseconds, out)), Zone::UTC).unwrap(), microseconds);
            let text = printed(|out| print_timestamptz(microseconds, Zone::of_offset(offset), out));
            prop_assert_eq!(parse_timestamptz(&text, Zone::UTC).unwrap(), microseconds, "{}", text);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,30}", digits in "[0-9:./TZ+ -]{0,30}") {
            let _ = (parse_timestamptz(&text, Zone::UTC), parse_timestamptz(&digits, Zone::UTC), parse_time(&digits, Zone::UTC), parse_date(&digits, Zone::UTC));
        }
    }
}
