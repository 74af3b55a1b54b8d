//! Time zones: what clocks show in a place at a moment, and which moment they show.
//!
//! The zones and their history are the IANA database's, as `chrono-tz` carries it. Beside the names of places there are
//! numbers of hours (`-8`) and POSIX descriptions of zones without summer time (`<+03>-3`, `-03:30`), whose sign counts
//! west of Greenwich; those with summer time are in `zone_rules.rs`, abbreviations such as `CEST` in
//! `zone_abbreviations.rs`.
//!
//! The database ends with the century. Later years are read as the year between 2044 and 2071 that has the same
//! calendar, so that the rules of the last years go on.

use std::fmt;

use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, OffsetName, TZ_VARIANTS, Tz};

use crate::error::{Error, Result, SqlState};
use crate::types::datetime::{
    MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, civil_from_days, days_from_civil, tokens::leading_number,
    utc_now,
};
use crate::types::zone_abbreviations::{BY_ZONE, FIXED};
use crate::types::zone_rules::Rules;

/// A zone timestamps are read and shown in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Seconds east of UTC, and what to_char's TZ shows.
    Fixed(i32, Name),
    Place(Tz),
    Rules(&'static Rules),
}

/// An abbreviation, filled up with zeros: POSIX lets them be of any length, nobody has longer ones, which are cut off.
pub type Name = [u8; NAME_BYTES_MAX];
const NAME_BYTES_MAX: usize = 10;

/// PostgreSQL's limit: 167 hours.
const OFFSET_HOURS_MAX: f64 = 167.0;

impl Zone {
    pub const UTC: Zone = Zone::Place(Tz::UTC);

    /// The zone in `name` as SET takes it, 22023 when it is none.
    pub fn of_setting(name: &str) -> Result<Zone> {
        let error = || {
            let message = format!("invalid value for parameter \"TimeZone\": \"{name}\"");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        };
        if let Ok(hours) = name.trim().parse::<f64>() {
            // SET TIME ZONE -7: hours east of Greenwich.
            return Zone::of_hours(hours).ok_or_else(error);
        }
        Zone::by_name(name)?.ok_or_else(error)
    }

    /// Hours east of Greenwich.
    fn of_hours(hours: f64) -> Option<Zone> {
        (hours.abs() <= OFFSET_HOURS_MAX).then(|| Zone::of_offset((hours * 3600.0).round() as i32))
    }

    /// A zone that is always `seconds` east of UTC.
    pub fn of_offset(seconds: i32) -> Zone {
        let size = seconds.unsigned_abs();
        let mut shown = format!("{}{:02}", if seconds < 0 { '-' } else { '+' }, size / 3600);
        if seconds % 3600 != 0 {
            shown += &format!(":{:02}", size / 60 % 60);
        }
        if seconds % 60 != 0 {
            shown += &format!(":{:02}", size % 60);
        }
        Zone::Fixed(seconds, name_of(&shown))
    }

    /// A place, or a POSIX description; `None` when it is neither.
    pub fn by_name(name: &str) -> Result<Option<Zone>> {
        match Zone::by_place(name) {
            Some(zone) => Ok(Some(zone)),
            None => posix(name),
        }
    }

    /// A name of the IANA database, in any case.
    pub fn by_place(name: &str) -> Option<Zone> {
        let exact = name.parse::<Tz>().ok();
        let found =
            exact.or_else(|| TZ_VARIANTS.iter().copied().find(|tz| tz.name().eq_ignore_ascii_case(name)));
        found.map(Zone::Place)
    }

    /// The zone an abbreviation means; those of a place have its offset of the moment.
    pub fn by_abbreviation(word: &str) -> Option<Zone> {
        let word = word.to_ascii_lowercase();
        if let Ok(at) = FIXED.binary_search_by_key(&word.as_str(), |(name, _, _)| name) {
            return Some(Zone::Fixed(FIXED[at].1, name_of(&word.to_ascii_uppercase())));
        }
        let at = BY_ZONE.binary_search_by_key(&word.as_str(), |(name, _)| name).ok()?;
        Zone::by_place(BY_ZONE[at].1)
    }

    /// What AT TIME ZONE takes: an abbreviation, a place, or a POSIX description; 22023 otherwise.
    pub fn of_operand(name: &str) -> Result<Zone> {
        if let Some(zone) = Zone::by_abbreviation(name) {
            return Ok(zone);
        }
        Zone::by_name(name)?.ok_or_else(|| not_recognized(name))
    }

    /// What make_timestamptz() takes: an offset whose sign is that of ISO 8601, or a zone as AT TIME ZONE takes it.
    pub fn of_maker(name: &str) -> Result<Zone> {
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("invalid input syntax for type numeric time zone: \"{name}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .hint("Numeric time zones must have \"-\" or \"+\" as first character."));
        }
        match offset_of(name) {
            None => Zone::of_operand(name),
            Some(Some(east)) => Ok(Zone::of_offset(east)),
            Some(None) => {
                let message = format!("numeric time zone \"{name}\" out of range");
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }

    /// Whether clocks there were never changed.
    pub fn is_fixed(self) -> bool {
        if matches!(self, Zone::Rules(_)) {
            return false;
        }
        // Before there were zones, in a winter and in a summer.
        let moments = [i64::MIN, 0, 200 * MICROSECONDS_PER_DAY];
        moments.iter().all(|&at| self.offset_at(at) == self.offset_at(0))
    }

    /// Seconds that clocks are ahead of UTC at a moment, in microseconds since 1970.
    pub fn offset_at(self, microseconds: i64) -> i32 {
        match self {
            Zone::Fixed(seconds, _) => seconds,
            Zone::Place(Tz::UTC) => 0,
            Zone::Place(tz) => tz.offset_from_utc_datetime(&calendar(microseconds)).fix().local_minus_utc(),
            Zone::Rules(rules) => rules.offset_at(microseconds),
        }
    }

    /// Seconds that clocks are ahead of UTC now.
    pub fn offset_now(self) -> i32 {
        self.offset_at(utc_now())
    }

    /// Seconds that clocks are ahead of UTC when they show `local`. An hour that comes twice is meant the second time,
    /// one that is left out counts on from the one before.
    pub fn offset_of_local(self, local: i64) -> i32 {
        let tz = match self {
            Zone::Fixed(seconds, _) => return seconds,
            Zone::Place(Tz::UTC) => return 0,
            Zone::Place(tz) => tz,
            Zone::Rules(rules) => return rules.offset_of_local(local),
        };
        match tz.offset_from_local_datetime(&calendar(local)) {
            MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
            MappedLocalTime::Ambiguous(_, second) => second.fix().local_minus_utc(),
            MappedLocalTime::None => self.offset_at(local.saturating_sub(MICROSECONDS_PER_DAY)),
        }
    }

    /// What clocks show at a moment; infinities stay.
    pub fn to_local(self, microseconds: i64) -> i64 {
        match microseconds {
            i64::MIN | i64::MAX => microseconds,
            _ => {
                microseconds.saturating_add(i64::from(self.offset_at(microseconds)) * MICROSECONDS_PER_SECOND)
            }
        }
    }

    /// The moment at which clocks show `local`; infinities stay.
    pub fn to_utc(self, local: i64) -> i64 {
        match local {
            i64::MIN | i64::MAX => local,
            _ => local.saturating_sub(i64::from(self.offset_of_local(local)) * MICROSECONDS_PER_SECOND),
        }
    }

    /// `CEST`, `+03`, at a moment.
    pub fn abbreviation_at(self, microseconds: i64) -> String {
        match self {
            Zone::Fixed(_, name) => shown(&name).to_owned(),
            Zone::Rules(rules) => rules.abbreviation_at(microseconds).to_owned(),
            Zone::Place(tz) => {
                let offset = tz.offset_from_utc_datetime(&calendar(microseconds));
                offset.abbreviation().unwrap_or(tz.name()).to_owned()
            }
        }
    }

    /// Whether it is summer time at a moment.
    pub fn is_summer_at(self, microseconds: i64) -> bool {
        match self {
            Zone::Fixed(..) => false,
            Zone::Rules(rules) => rules.is_summer_at(microseconds),
            Zone::Place(tz) => {
                tz.offset_from_utc_datetime(&calendar(microseconds)).dst_offset() != chrono::TimeDelta::zero()
            }
        }
    }

    /// All abbreviations of input with what they mean, and whether that is summer time where it does not change.
    pub fn abbreviations() -> impl Iterator<Item = (&'static str, Zone, Option<bool>)> {
        let fixed =
            FIXED.iter().map(|(name, seconds, summer)| (*name, Zone::of_offset(*seconds), Some(*summer)));
        fixed.chain(BY_ZONE.iter().filter_map(|(name, place)| Some((*name, Zone::by_place(place)?, None))))
    }

    /// The names of all places, in order.
    pub fn places() -> impl Iterator<Item = Zone> {
        TZ_VARIANTS.iter().map(|tz| Zone::Place(*tz))
    }
}

/// What SHOW prints, which reads back as the same zone.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, name) = match self {
            Zone::Place(tz) => return f.write_str(tz.name()),
            Zone::Rules(rules) => return f.write_str(&rules.text),
            Zone::Fixed(seconds, name) => (*seconds, name),
        };
        let west = Zone::of_offset(seconds.saturating_neg());
        let Zone::Fixed(_, west) = west else { return Ok(()) };
        match shown(name) {
            // Minutes tell it from a number, which counts east.
            "" if seconds % 3600 == 0 => write!(f, "{}:00", shown(&west)),
            name if name.bytes().all(|b| b.is_ascii_alphabetic()) => {
                write!(f, "{name}{}", shown(&west))
            }
            name => write!(f, "<{name}>{}", shown(&west)),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `time zone "x" not recognized`
/// `+2`, `-0330`, `+10:00:01` in seconds east, `Some(None)` out of range; `None` for what is no offset.
fn offset_of(text: &str) -> Option<Option<i32>> {
    let west = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-'])?;
    let mut parts = digits.splitn(3, ':');
    let number = |part: &str| match part {
        "" => Some(Some(0)),
        part if part.bytes().all(|b| b.is_ascii_digit()) => Some(part.parse::<i32>().ok()),
        _ => None,
    };
    let mut next = || parts.next().map(number);
    let (hours, minutes, seconds) = (next()??, next(), next());
    let (minutes, seconds) = (minutes.unwrap_or(Some(Some(0)))?, seconds.unwrap_or(Some(Some(0)))?);
    let (Some(mut hours), Some(mut minutes), Some(seconds)) = (hours, minutes, seconds) else {
        return Some(None);
    };
    if !digits.contains(':') && digits.len() > 2 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    let fits = hours <= 15 && minutes < 60 && seconds < 60;
    let east = (hours * 60 + minutes) * 60 + seconds;
    Some(fits.then_some(if west { -east } else { east }))
}

pub fn not_recognized(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
}

fn name_of(text: &str) -> Name {
    let mut name = [0; NAME_BYTES_MAX];
    let length = text.len().min(NAME_BYTES_MAX);
    name[..length].copy_from_slice(&text.as_bytes()[..length]);
    name
}

fn shown(name: &Name) -> &str {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    std::str::from_utf8(&name[..end]).unwrap_or("")
}

/// `EST5`, `<+02>-2`, `UTC+3`: a name, which may be empty, and hours west of Greenwich; a summer time may follow.
fn posix(text: &str) -> Result<Option<Zone>> {
    let Some((name, rest)) = leading_name(text) else { return Ok(None) };
    let Some((west, rest)) = leading_offset(rest) else { return Ok(None) };
    match rest {
        "" => Ok(Some(Zone::Fixed(-west, name_of(name)))),
        _ => Ok(Rules::of(text)?.map(Zone::Rules)),
    }
}

/// The name of a time that a text starts with, and what follows it.
pub(super) fn leading_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => text.split_at(text.find(|c| matches!(c, '0'..='9' | ',' | '-' | '+')).unwrap_or(text.len())),
    };
    let is_name = |c: u8| c.is_ascii_graphic() && c != b'<' && c != b'>';
    name.bytes().all(is_name).then_some((name, rest))
}

/// `5`, `-03:30`, `+1:2:03`: the seconds a text starts with, and what follows them.
pub(super) fn leading_offset(text: &str) -> Option<(i32, &str)> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    for (at, (unit, max)) in [(3600, OFFSET_HOURS_MAX as i32), (60, 59), (1, 60)].into_iter().enumerate() {
        if at > 0 {
            let Some(part) = rest.strip_prefix(':') else { break };
            rest = part;
        }
        let (number, after) = leading_number::<i32>(rest)?;
        if after.len() == rest.len() || number > max {
            return None;
        }
        (seconds, rest) = (seconds + number * unit, after);
    }
    Some((sign * seconds, rest))
}

/// A moment as chrono has it, in a year whose rules are known.
fn calendar(microseconds: i64) -> NaiveDateTime {
    let days = microseconds.div_euclid(MICROSECONDS_PER_DAY);
    let (year, _, _) = civil_from_days(days);
    let shift = match year {
        // Chrono's first years are -262,143; nothing changed before there were zones.
        ..=1800 => return NaiveDateTime::default() - chrono::TimeDelta::days(MANY_DAYS),
        1801..=2071 => 0,
        year => days_from_civil(same_calendar(year), 1, 1) - days_from_civil(year, 1, 1),
    };
    let seconds = microseconds.div_euclid(MICROSECONDS_PER_SECOND) + shift * 86_400;
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(NaiveDateTime::default, |at| at.naive_utc())
}

/// From 1970 back to 1800.
const MANY_DAYS: i64 = 170 * 365;

/// The year from 2044 to 2071 that begins on the same day of the week and is as long.
fn same_calendar(year: i64) -> i64 {
    let kind = |year: i64| {
        (
            days_from_civil(year, 1, 1).rem_euclid(7),
            days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1),
        )
    };
    (2044..=2071).find(|&known| kind(known) == kind(year)).unwrap_or(2044)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::datetime::{parse_timestamp, print_timestamp};

    fn at(text: &str) -> i64 {
        parse_timestamp(text, Zone::UTC).unwrap()
    }

    fn zone(name: &str) -> Zone {
        Zone::of_setting(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn printed(microseconds: i64) -> String {
        let mut out = Vec::new();
        print_timestamp(microseconds, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_shown_so_that_they_read_back() {
        for (given, shown) in [
            ("europe/berlin", "Europe/Berlin"),
            ("utc", "UTC"),
            ("Etc/UTC", "Etc/UTC"),
            ("2", "<+02>-02"),
            ("-7", "<-07>+07"),
            ("5.5", "<+05:30>-05:30"),
            ("FOO+3", "FOO+03"),
            ("<+03>-3", "<+03>-03"),
            ("EST5EDT", "EST5EDT"),
            ("FOO+99", "FOO+99"),
            ("+02:00", "+02:00"),
            ("-04:15", "-04:15"),
            ("00:00", "+00:00"),
            ("a/b+3", "<a/b>+03"),
            ("cst7cdt,m4.1.0,m10.5.0", "CST7CDT,M4.1.0,M10.5.0"),
        ] {
            let zone = zone(given);
            assert_eq!(zone.to_string(), shown, "{given}");
            assert_eq!(Zone::of_setting(shown).unwrap(), zone, "{given}");
        }
        for wrong in ["Mars/Olympus", "", "200", "ab", "FOO+168", "+0530", "abc5:"] {
            assert_eq!(
                Zone::of_setting(wrong).unwrap_err().state(),
                SqlState::INVALID_PARAMETER_VALUE,
                "{wrong}"
            );
        }
    }

    #[test]
    fn clocks_go_forward_and_back() {
        let berlin = zone("Europe/Berlin");
        for (utc, local) in [
            ("2024-03-31 00:59:59", "2024-03-31 01:59:59"),
            ("2024-03-31 01:00:00", "2024-03-31 03:00:00"),
            ("2024-10-27 00:30:00", "2024-10-27 02:30:00"),
            ("2024-10-27 01:30:00", "2024-10-27 02:30:00"),
            ("2099-07-01 00:00:00", "2099-07-01 02:00:00"),
            ("2500-07-01 00:00:00", "2500-07-01 02:00:00"),
            ("2500-01-01 00:00:00", "2500-01-01 01:00:00"),
        ] {
            assert_eq!(printed(berlin.to_local(at(utc))), local, "{utc}");
        }
        // What comes twice and what never comes.
        assert_eq!(printed(berlin.to_utc(at("2024-10-27 02:30:00"))), "2024-10-27 01:30:00");
        assert_eq!(printed(berlin.to_utc(at("2024-03-31 02:30:00"))), "2024-03-31 01:30:00");
        assert_eq!(berlin.abbreviation_at(at("2024-07-01 00:00:00")), "CEST");
        assert!(berlin.is_summer_at(at("2024-07-01 00:00:00")));
        assert_eq!(berlin.offset_at(at("1700-01-01 00:00:00")), 3208);
        assert_eq!(zone("-3.5").abbreviation_at(0), "-03:30");
    }

    #[test]
    fn operands_count_west_where_they_are_offsets() {
        let seconds = |name: &str| Zone::of_operand(name).unwrap().offset_at(0);
        assert_eq!(seconds("PST"), -8 * 3600);
        assert_eq!(seconds("cest"), 7200);
        assert_eq!(seconds("+05:30"), -19_800);
        assert_eq!(seconds("UTC+3"), -3 * 3600);
        assert_eq!(
            Zone::of_operand("Nowhere").unwrap_err().message(),
            "time zone \"Nowhere\" not recognized"
        );
    }

    proptest::proptest! {
        #[test]
        fn every_moment_is_shown_and_read_back(seconds in -62_000_000_000i64..250_000_000_000, place in 0..TZ_VARIANTS.len()) {
            let zone = Zone::Place(TZ_VARIANTS[place]);
            let moment = seconds * MICROSECONDS_PER_SECOND;
            let back = zone.to_utc(zone.to_local(moment));
            // An hour that comes twice reads as its second coming.
            proptest::prop_assert!(back == moment || zone.to_local(back) == zone.to_local(moment));
        }

        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,12}") {
            let _ = (Zone::of_setting(&name), Zone::of_operand(&name));
        }
    }
}
