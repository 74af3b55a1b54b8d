//! to_date, to_timestamp and jsonpath's `.datetime()`: texts read by templates, as PostgreSQL's `formatting.c` reads them.
//!
//! 1. The template's [`tokens`] are gone through with the text. A word takes its field; a separator or a blank takes one
//!    separator or blank if there is one, any other character takes a character.
//! 2. Numbers are as long as their word, or as they are where no other number follows, with FM and with TH.
//! 3. What was read becomes a date: of a century and two digits, of a Julian day, of a week, of a day of the year.
//! 4. What is not there is the beginning: midnight, the first day, the first month, 1 BC.
//!
//! The standard's templates ([`Strict`]) are read by the letter: separators and texts are those of the template, and nothing
//! is left over.

use crate::error::{Error, Result, SqlState};
use crate::functions::formatting::{DAYS, MONTHS, ROMAN, Token, tokens};
use crate::types::Zone;
use crate::types::datetime::{MICROSECONDS_PER_DAY, civil_from_days, days_from_civil, days_in_month};

/// What clocks show, and where.
pub struct Read {
    /// Since 1970-01-01.
    pub days: i64,
    /// Microseconds.
    pub time: i64,
    pub place: Option<Place>,
    /// Digits behind the point that count, of `FF1` to `FF6`.
    pub digits: Option<u8>,
}

/// A zone in the text.
pub enum Place {
    /// Seconds.
    East(i64),
    In(Zone),
}

/// Hours of a zone's offset (PostgreSQL's MAX_TZDISP_HOUR).
const OFFSET_HOURS_MAX: i64 = 15;

/// Which calendar the words of a template count in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calendar {
    Gregorian,
    IsoWeek,
}

/// The fields as they were read; 0 is one that was not.
#[derive(Default)]
struct Fields {
    half_day: bool,
    pm: i64,
    hour: i64,
    minute: i64,
    second: i64,
    seconds_of_day: i64,
    weekday: i64,
    day: i64,
    day_of_year: i64,
    month: i64,
    millisecond: i64,
    microsecond: i64,
    digits: Option<u8>,
    year: i64,
    year_digits: u8,
    bc: i64,
    week: i64,
    week_of_month: i64,
    century: i64,
    julian: i64,
    zone_sign: i64,
    zone_hours: i64,
    zone_minutes: i64,
    zone: Option<Zone>,
}

type Field = fn(&mut Fields) -> &mut i64;

struct Reader<'a> {
    rest: &'a str,
    /// What stands before `rest`.
    last: Option<char>,
    fields: Fields,
    calendar: Option<Calendar>,
    /// FX: blanks are not skipped.
    fixed: bool,
    /// Separators and texts have to be there.
    strict: bool,
    /// Blanks that were skipped and no token asked for.
    skipped: i64,
}

/// Reads a text by a template.
pub fn read(input: &str, template: &str) -> Result<Read> {
    let mut reader = Reader::new(input, false);
    reader.all(&tokens(template))?;
    reader.finish(input)
}

/// A template of the standard.
pub struct Strict {
    tokens: Vec<Token>,
    pub kinds: Kinds,
}

/// Which kinds of fields a template has.
#[derive(Clone, Copy, Default)]
pub struct Kinds {
    pub dated: bool,
    pub timed: bool,
    pub zoned: bool,
}

impl Strict {
    /// 22007 for a separator that the standard has not.
    pub fn new(template: &str) -> Result<Strict> {
        let tokens = tokens(template);
        let mut kinds = Kinds::default();
        for token in &tokens {
            match token {
                Token::Word { word, .. } => kinds.note(word),
                Token::Literal(c) if !"-./,':; ".contains(*c) => {
                    return Err(format_error(format!("invalid datetime format separator: \"{c}\"")));
                }
                Token::Literal(_) | Token::Quoted(_) => {}
            }
        }
        Ok(Strict { tokens, kinds })
    }

    /// Reads a text to its end.
    pub fn read(&self, input: &str) -> Result<Read> {
        let mut reader = Reader::new(input, true);
        if reader.all(&self.tokens)? < self.tokens.len() {
            return Err(format_error("input string is too short for datetime format".to_owned()));
        }
        if !reader.rest.trim_start_matches(is_blank).is_empty() {
            let message = "trailing characters remain in input string after datetime format";
            return Err(format_error(message.to_owned()));
        }
        reader.finish(input)
    }
}

impl Kinds {
    fn note(&mut self, word: &str) {
        match word {
            "TZ" | "OF" | "TZH" | "TZM" => self.zoned = true,
            "A.M." | "P.M." | "AM" | "PM" | "HH" | "HH12" | "HH24" | "MI" | "SS" | "MS" | "US" | "SSSS"
            | "SSSSS" => self.timed = true,
            "FX" => {}
            word if word.starts_with("FF") => self.timed = true,
            _ => self.dated = true,
        }
    }
}

fn format_error(message: String) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn out_of_range(input: &str) -> Error {
    let message = format!("date/time field value out of range: \"{input}\"");
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Printable, and neither a letter nor a digit.
pub fn is_separator(c: char) -> bool {
    c.is_ascii_punctuation()
}

/// Whether a word reads digits.
fn is_number(word: &str) -> bool {
    !matches!(
        word,
        "A.D."
            | "AD"
            | "B.C."
            | "BC"
            | "A.M."
            | "AM"
            | "P.M."
            | "PM"
            | "DAY"
            | "DY"
            | "MONTH"
            | "MON"
            | "RM"
            | "FX"
            | "TZ"
            | "TZH"
            | "OF"
    )
}

fn calendar_of(word: &str) -> Option<Calendar> {
    match word {
        "IYYY" | "IYY" | "IY" | "I" | "IW" | "ID" | "IDDD" => Some(Calendar::IsoWeek),
        "Y,YYY" | "YYYY" | "YYY" | "YY" | "Y" | "MONTH" | "MON" | "MM" | "RM" | "DDD" | "DD" | "D" | "WW"
        | "W" => Some(Calendar::Gregorian),
        _ => None,
    }
}

impl<'a> Reader<'a> {
    fn new(input: &'a str, strict: bool) -> Reader<'a> {
        let fields = Fields::default();
        Reader { rest: input, last: None, fields, calendar: None, fixed: strict, strict, skipped: 0 }
    }

    /// How many of the tokens there is a text for.
    fn all(&mut self, tokens: &[Token]) -> Result<usize> {
        for (place, token) in tokens.iter().enumerate() {
            if self.rest.is_empty() {
                return Ok(place);
            }
            let is_word = matches!(token, Token::Word { .. });
            if !self.fixed && (is_word || place == 0) {
                self.skip_blanks();
            }
            match token {
                Token::Literal(c) | Token::Quoted(c) if self.strict && !self.rest.starts_with(*c) => {
                    let what = if matches!(token, Token::Literal(_)) { "separator" } else { "character" };
                    return Err(format_error(format!("unmatched format {what} \"{c}\"")));
                }
                Token::Literal(c) if is_blank(*c) || is_separator(*c) => self.separator(),
                Token::Literal(_) | Token::Quoted(_) => self.character(),
                Token::Word { word, written, fill, ordinal } => {
                    let alone = !fill || ordinal.is_some() || ends_number(tokens.get(place + 1));
                    self.word(word, written, alone)?;
                    if ordinal.is_some() {
                        self.advance(2);
                    }
                    if !self.fixed {
                        self.skipped = 0;
                        self.skip_blanks();
                    }
                }
            }
        }
        Ok(tokens.len())
    }

    fn finish(self, input: &str) -> Result<Read> {
        let iso = self.calendar == Some(Calendar::IsoWeek);
        self.fields.finish(input, iso)
    }

    fn advance(&mut self, characters: usize) {
        for _ in 0..characters {
            let Some(c) = self.rest.chars().next() else { return };
            self.last = Some(c);
            self.rest = &self.rest[c.len_utf8()..];
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.starts_with(is_blank) {
            self.advance(1);
            self.skipped += 1;
        }
    }

    fn separator(&mut self) {
        if self.fixed {
            return self.advance(1);
        }
        self.skipped -= 1;
        if self.rest.starts_with(|c| is_blank(c) || is_separator(c)) {
            self.advance(1);
            self.skipped += 1;
        }
    }

    fn character(&mut self) {
        match !self.fixed && self.skipped > 0 {
            true => self.skipped -= 1,
            false => self.advance(1),
        }
    }

    fn word(&mut self, word: &str, written: &str, alone: bool) -> Result<()> {
        if let Some(calendar) = calendar_of(word)
            && *self.calendar.get_or_insert(calendar) != calendar
        {
            return Err(format_error("invalid combination of date conventions".to_owned())
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        let number = |reader: &mut Self, length: usize| reader.number(written, length, alone);
        let length = word.len();
        match word {
            "FX" => self.fixed = true,
            "A.M." | "P.M." | "AM" | "PM" => {
                let names = if word.contains('.') { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let half = self.name(&names, written)? as i64;
                set(&mut self.fields.pm, half, written)?;
                self.fields.half_day = true;
            }
            "HH" | "HH12" => {
                let hour = number(self, 2)?.0;
                set(&mut self.fields.hour, hour, written)?;
                self.fields.half_day = true;
            }
            "HH24" => self.count(|fields| &mut fields.hour, written, 2, alone)?,
            "MI" => self.count(|fields| &mut fields.minute, written, 2, alone)?,
            "SS" => self.count(|fields| &mut fields.second, written, 2, alone)?,
            "MS" => {
                let (value, digits) = number(self, 3)?;
                set(&mut self.fields.millisecond, value, written)?;
                self.fields.millisecond *= [1, 100, 10].get(digits).copied().unwrap_or(1);
            }
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let counted = word[2..].parse().ok();
                self.fields.digits = counted.or(self.fields.digits);
                let most = counted.map_or(6, usize::from);
                let (value, digits) = number(self, most)?;
                set(&mut self.fields.microsecond, value, written)?;
                self.fields.microsecond *= 10i64.pow(6usize.saturating_sub(digits) as u32);
            }
            "SSSS" | "SSSSS" => self.count(|fields| &mut fields.seconds_of_day, written, length, alone)?,
            "TZ" => self.zone(written, alone)?,
            "OF" => self.offset(written, alone)?,
            "TZH" => {
                self.zone_sign();
                self.count(|fields| &mut fields.zone_hours, written, 2, alone)?;
            }
            "TZM" => {
                if self.fields.zone_sign == 0 {
                    self.fields.zone_sign = 1;
                }
                self.count(|fields| &mut fields.zone_minutes, written, 2, alone)?;
            }
            "A.D." | "B.C." | "AD" | "BC" => {
                let names = if word.contains('.') { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let era = self.name(&names, written)? as i64;
                set(&mut self.fields.bc, era, written)?;
            }
            "MONTH" => {
                let month = self.name(&MONTHS, written)? as i64 + 1;
                set(&mut self.fields.month, month, written)?;
            }
            "MON" => {
                let month = self.name(&MONTHS.map(|name| &name[..3]), written)? as i64 + 1;
                set(&mut self.fields.month, month, written)?;
            }
            "RM" => {
                // The longer ones first.
                let mut numbers = ROMAN;
                numbers.reverse();
                let month = 12 - self.name(&numbers, written)? as i64;
                set(&mut self.fields.month, month, written)?;
            }
            "MM" => self.count(|fields| &mut fields.month, written, 2, alone)?,
            "DAY" => {
                let day = self.name(&DAYS, written)? as i64 + 1;
                set(&mut self.fields.weekday, day, written)?;
            }
            "DY" => {
                let day = self.name(&DAYS.map(|name| &name[..3]), written)? as i64 + 1;
                set(&mut self.fields.weekday, day, written)?;
            }
            "DDD" | "IDDD" => self.count(|fields| &mut fields.day_of_year, written, 3, alone)?,
            "DD" => self.count(|fields| &mut fields.day, written, 2, alone)?,
            "D" => self.count(|fields| &mut fields.weekday, written, 1, alone)?,
            // Sunday is the first day here, and the seventh of an ISO week.
            "ID" => {
                let day = number(self, 1)?.0 % 7 + 1;
                set(&mut self.fields.weekday, day, written)?;
            }
            "WW" | "IW" => self.count(|fields| &mut fields.week, written, 2, alone)?,
            "W" => self.count(|fields| &mut fields.week_of_month, written, 1, alone)?,
            // Which of its dates is meant nobody knows.
            "Q" => drop(number(self, 1)?),
            "CC" => self.count(|fields| &mut fields.century, written, 2, alone)?,
            "Y,YYY" => self.thousands(written)?,
            "YYYY" | "IYYY" | "YYY" | "IYY" | "YY" | "IY" | "Y" | "I" => {
                let (year, digits) = number(self, length)?;
                let year = if length < 4 && digits < 4 { near_2020(year) } else { year };
                set(&mut self.fields.year, year, written)?;
                self.fields.year_digits = length as u8;
            }
            "J" => self.count(|fields| &mut fields.julian, written, 1, alone)?,
            other => {
                let message = format!("the format \"{other}\" in to_date and to_timestamp");
                return Err(Error::unsupported(message));
            }
        }
        Ok(())
    }

    /// Reads a number into a field.
    fn count(&mut self, field: Field, written: &str, length: usize, alone: bool) -> Result<()> {
        let value = self.number(written, length, alone)?.0;
        set(field(&mut self.fields), value, written)
    }

    /// A number of exactly so many characters, or, `alone`, as long as it is; and how many characters it took.
    fn number(&mut self, written: &str, length: usize, alone: bool) -> Result<(i64, usize)> {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(is_blank);
        let copy: String = self.rest.chars().take(length).collect();
        let fm = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let wrong = || format_error(format!("invalid value \"{copy}\" for \"{written}\""));
        let text = if alone { self.rest } else { copy.as_str() };
        let sign = usize::from(text.starts_with(['-', '+']));
        let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { sign + digits };
        let given = copy.chars().count();
        if !alone && given < length {
            let message = format!("source string too short for \"{written}\" formatting field");
            let detail = format!("Field requires {length} characters, but only {given} remain.");
            return Err(format_error(message).detail(detail).hint(fm));
        }
        if !alone && used > 0 && used < length {
            let detail = format!("Field requires {length} characters, but only {used} could be parsed.");
            return Err(wrong().detail(detail).hint(fm));
        }
        if used == 0 {
            return Err(wrong().detail("Value must be an integer."));
        }
        let value = text[..used].parse::<i32>().map_err(|_| {
            let message = format!("value for \"{written}\" in source string is out of range");
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
                .detail("Value must be in the range -2147483648 to 2147483647.")
        })?;
        self.advance(used);
        Ok((value.into(), before - self.rest.len()))
    }

    /// Which of the names the text goes on with.
    fn name(&mut self, names: &[&str], written: &str) -> Result<usize> {
        let starts =
            |name: &&str| self.rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let Some(found) = names.iter().position(starts) else {
            let word = self.rest.split(is_blank).next().unwrap_or_default();
            let error = format_error(format!("invalid value \"{word}\" for \"{written}\""));
            return Err(
                error.detail("The given value did not match any of the allowed values for this field.")
            );
        };
        self.advance(names[found].len());
        Ok(found)
    }

    /// `1,999`
    fn thousands(&mut self, written: &str) -> Result<()> {
        let wrong = || format_error("invalid input string for \"Y,YYY\"".to_owned());
        let (thousands, behind) = self.rest.split_once(',').ok_or_else(wrong)?;
        let thousands: i64 = thousands.parse::<i32>().map_err(|_| wrong())?.into();
        let digits = behind.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let years: i64 = behind[..digits].parse().map_err(|_| wrong())?;
        let taken = self.rest.len() - behind.len() + digits;
        let year = thousands * 1_000 + years;
        let year = i32::try_from(year).map_err(|_| {
            let message = format!("value for \"{written}\" in source string is out of range");
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
        })?;
        set(&mut self.fields.year, year.into(), written)?;
        self.fields.year_digits = 4;
        self.advance(taken);
        Ok(())
    }

    /// The sign of a zone's hours, which may have been taken for a separator.
    fn zone_sign(&mut self) {
        let was_skipped = self.skipped > 0 && self.last == Some('-');
        self.fields.zone_sign = match self.rest.chars().next() {
            Some('-') => -1,
            Some('+' | ' ') => 1,
            _ if was_skipped => -1,
            _ => 1,
        };
        if self.rest.starts_with(['+', '-', ' ']) {
            self.advance(1);
        }
    }

    fn offset(&mut self, written: &str, alone: bool) -> Result<()> {
        self.zone_sign();
        let hours = self.number(written, 2, alone)?.0;
        set(&mut self.fields.zone_hours, hours, written)?;
        if self.rest.starts_with(':') {
            self.advance(1);
            let minutes = self.number(written, 2, alone)?.0;
            set(&mut self.fields.zone_minutes, minutes, written)?;
        }
        Ok(())
    }

    /// The longest abbreviation that the text goes on with, or an offset.
    fn zone(&mut self, written: &str, alone: bool) -> Result<()> {
        let letters = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            return self.offset(written, alone);
        }
        let lower = self.rest[..letters].to_ascii_lowercase();
        let found = (1..=letters).rev().find_map(|end| Some((Zone::by_abbreviation(&lower[..end])?, end)));
        let Some((zone, length)) = found else {
            let error = format_error(format!("invalid value \"{}\" for \"{written}\"", self.rest));
            return Err(error.detail("Time zone abbreviation is not recognized."));
        };
        (self.fields.zone, self.fields.zone_sign) = (Some(zone), 0);
        self.advance(length);
        Ok(())
    }
}

/// Whether a number before the token may be as long as it is.
fn ends_number(next: Option<&Token>) -> bool {
    match next {
        None => true,
        Some(Token::Word { word, .. }) => !is_number(word),
        Some(Token::Literal(c) | Token::Quoted(c)) => !c.is_ascii_digit(),
    }
}

/// A field may be said again only as it was said before.
fn set(field: &mut i64, value: i64, written: &str) -> Result<()> {
    if *field != 0 && *field != value {
        let message = format!("conflicting values for \"{written}\" field in formatting string");
        let detail = "This value contradicts a previous setting for the same field type.";
        return Err(format_error(message).detail(detail));
    }
    *field = value;
    Ok(())
}

/// The year nearest to 2020 that ends in these digits.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2_000,
        70..100 => year + 1_900,
        100..520 => year + 2_000,
        520..1_000 => year + 1_000,
        year => year,
    }
}

impl Fields {
    fn finish(self, input: &str, iso: bool) -> Result<Read> {
        let time = self.time(input)?;
        let place = self.place(input)?;
        let digits = self.digits;
        Ok(Read { days: self.days(input, iso)?, time, place, digits })
    }

    fn time(&self, input: &str) -> Result<i64> {
        let of_day = self.seconds_of_day;
        let or = |field: i64, otherwise: i64| if field != 0 { field } else { otherwise };
        let second = or(self.second, of_day % 60);
        let minute = or(self.minute, of_day / 60 % 60);
        let mut hour = or(self.hour, of_day / 3_600);
        if self.half_day {
            if !(1..=12).contains(&hour) {
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(
                    format_error(message).hint("Use the 24-hour clock, or give an hour between 1 and 12.")
                );
            }
            hour = hour % 12 + if self.pm == 1 { 12 } else { 0 };
        }
        let part = self.millisecond * 1_000 + self.microsecond;
        let fits = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1_000_000).contains(&part);
        match fits {
            true => Ok(((hour * 60 + minute) * 60 + second) * 1_000_000 + part),
            false => Err(out_of_range(input)),
        }
    }

    fn place(&self, input: &str) -> Result<Option<Place>> {
        if self.zone_sign == 0 {
            return Ok(self.zone.map(Place::In));
        }
        let fits = (0..=OFFSET_HOURS_MAX).contains(&self.zone_hours) && (0..60).contains(&self.zone_minutes);
        if !fits {
            let message = format!("time zone displacement out of range: \"{input}\"");
            return Err(Error::new(SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE, message));
        }
        Ok(Some(Place::East(self.zone_sign * (self.zone_hours * 60 + self.zone_minutes) * 60)))
    }

    /// The year as calendars count, with 0 for 1 BC; `None` if the text has none.
    fn civil_year(&self) -> Option<i64> {
        let century = if self.bc == 1 { -self.century } else { self.century };
        if self.year == 0 {
            // The first of the century.
            return match century {
                0 => None,
                1.. => Some((century - 1) * 100 + 1),
                _ => Some(century * 100 + 1),
            };
        }
        if century != 0 && self.year_digits <= 2 {
            return Some(match (self.year % 100, century) {
                (0, 0..) => century * 100,
                (0, _) => century * 100 + 1,
                (year, 0..) => year + (century - 1) * 100,
                (year, _) => (century + 1) * 100 - year + 1,
            });
        }
        let year = if self.bc == 1 { -self.year } else { self.year };
        Some(if year < 0 { year + 1 } else { year })
    }

    fn days(self, input: &str, iso: bool) -> Result<i64> {
        let wrong = || out_of_range(input);
        let year = self.civil_year();
        let (mut whole, mut month, mut day) = (None, 1, 1);
        let mut year_now = year.unwrap_or(0);
        let mut day_of_year = self.day_of_year;
        if self.julian != 0 {
            whole = Some(self.julian - 2_440_588);
        }
        if self.week != 0 {
            match iso {
                true => whole = Some(iso_week_day(year_now, self.week, self.weekday)),
                false => day_of_year = (self.week - 1) * 7 + 1,
            }
        }
        if let Some(days) = whole {
            let (known_year, known_month, known_day) = civil_from_days(days);
            (year_now, month, day) = (known_year, known_month.into(), known_day.into());
        }
        if self.week_of_month != 0 {
            day = (self.week_of_month - 1) * 7 + 1;
        } else if self.day != 0 {
            day = self.day;
        }
        if self.month != 0 {
            month = self.month;
        }
        if day_of_year != 0 && (month <= 1 || day <= 1) {
            if year_now == 0 && self.bc == 0 {
                let message = "cannot calculate day of year without year information";
                return Err(format_error(message.to_owned()));
            }
            if iso {
                return self.checked(iso_week_day(year_now, 1, 2) + day_of_year - 1, input);
            }
            let days = days_from_civil(year_now, 1, 1) + day_of_year - 1;
            let (same_year, known_month, known_day) = civil_from_days(days);
            if same_year != year_now {
                return Err(wrong());
            }
            month = if month <= 1 { known_month.into() } else { month };
            day = if day <= 1 { known_day.into() } else { day };
        }
        let in_month = (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_month || day > days_in_month(year_now, month as u32).into() {
            return Err(wrong());
        }
        self.checked(days_from_civil(year_now, month as u32, day as u32), input)
    }

    fn checked(&self, days: i64, input: &str) -> Result<i64> {
        // Years have 32 bits; what dates and timestamps hold is less, and their own to say.
        match days.checked_mul(MICROSECONDS_PER_DAY / 1_000_000) {
            Some(_) => Ok(days),
            None => Err(out_of_range(input)),
        }
    }
}

/// A day of an ISO week: Monday without a weekday, of which Sunday is the first.
fn iso_week_day(year: i64, week: i64, weekday: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    let monday = fourth - (fourth + 3).rem_euclid(7) + (week - 1) * 7;
    monday
        + match weekday {
            0 => 0,
            1 => 6,
            weekday => weekday - 2,
        }
}
