//! What the tokens of a date or time mean, token by token.
//!
//! A token may set several fields, and no field may be set twice: the set of those [`Seen`] so far also decides what a
//! bare number is. These are PostgreSQL's rules (`DecodeDateTime`, `DecodeTimeOnly`):
//!
//! 1. A month by name makes the numbers around it day and year; of numbers alone the order is that of the session's
//!    DateStyle, unless the first has more than two digits: then it is year, month, day. Three digits behind a year are a
//!    day of it.
//! 2. Six digits and more are a date or, behind one, a time (`20011227 040506`).
//! 3. A word is a zone's abbreviation, one of [`Word`], or a zone's name, in this order.
//! 4. Years of one or two digits are 1970 to 2069.
//!
//! A text for the type `time` may have a date in front only where it cannot be mistaken.

use crate::error::{Error, SqlState};
use crate::types::Timetz;
use crate::types::date_style::DateOrder;
use crate::types::datetime::tokens::{
    self, Clock, Kind, Sign, Token, fraction, leading_number, microseconds, split,
};
use crate::types::datetime::words::Word;
use crate::types::datetime::{
    MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, OFFSET_HOURS_MAX, Session, civil_from_days,
    days_from_civil, days_in_month,
};
use crate::types::text::invalid_datetime;
use crate::types::zone::{self, Zone};

/// The day that Julian day 0 is, counted from 1970-01-01: 4714-11-24 BC.
pub(super) const JULIAN_EPOCH: i64 = -2_440_588;

/// A text that is understood.
pub(super) enum Read {
    Infinity,
    MinusInfinity,
    Epoch,
    At(Local),
}

/// What clocks show, and where.
pub(super) struct Local {
    /// Since 1970-01-01.
    pub days: i64,
    pub time: i64,
    /// `None` is the session's.
    pub place: Option<Place>,
}

/// The zone a text names.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Seconds east of UTC.
    East(i32),
    In(Zone),
}

impl Place {
    /// The moment at which clocks there show `local`.
    pub fn to_utc(self, local: i64) -> i64 {
        match self {
            Place::East(seconds) => local.saturating_sub(i64::from(seconds) * MICROSECONDS_PER_SECOND),
            Place::In(zone) => zone.to_utc(local),
        }
    }
}

/// Reads a date with or without time.
pub(super) fn read_moment(text: &str, session: &Session) -> Result<Read, Fault> {
    Fields::new(false, session).read(&text.to_ascii_lowercase())?.moment()
}

/// Reads a time of day.
pub(super) fn read_time(text: &str, session: &Session) -> Result<i64, Fault> {
    Fields::new(true, session).read(&text.to_ascii_lowercase())?.time_of_day()
}

/// Reads a time of day with its zone; the session's is that of a text which has none.
pub(super) fn read_timetz(text: &str, session: &Session) -> Result<Timetz, Fault> {
    Fields::new(true, session).read(&text.to_ascii_lowercase())?.time_in_zone()
}

/// Why a text is none of a date or time.
pub(super) enum Fault {
    Format,
    Field,
    /// A month or day that may be in the other's place.
    Order,
    Displacement,
    Zone(Error),
}

impl From<tokens::Fault> for Fault {
    fn from(fault: tokens::Fault) -> Fault {
        match fault {
            tokens::Fault::Format => Fault::Format,
            tokens::Fault::Field => Fault::Field,
        }
    }
}

impl Fault {
    pub fn explain(self, name: &str, text: &str) -> Error {
        let out_of_range = || {
            let message = format!("date/time field value out of range: \"{text}\"");
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
        };
        match self {
            Fault::Format => invalid_datetime(name, text),
            Fault::Field => out_of_range(),
            Fault::Order => out_of_range().hint("Perhaps you need a different \"datestyle\" setting."),
            Fault::Displacement => {
                let message = format!("time zone displacement out of range: \"{text}\"");
                Error::new(SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE, message)
            }
            Fault::Zone(error) => error,
        }
    }
}

/// A set of fields.
type Seen = u16;
const YEAR: Seen = 1;
const MONTH: Seen = 1 << 1;
const DAY: Seen = 1 << 2;
const DATE: Seen = YEAR | MONTH | DAY;
const YEAR_MONTH: Seen = YEAR | MONTH;
const MONTH_DAY: Seen = MONTH | DAY;
const DAY_OF_YEAR: Seen = 1 << 3;
const TIME: Seen = 1 << 4;
const ZONE: Seen = 1 << 5;
const SUMMER_TIME: Seen = 1 << 6;
const HALF: Seen = 1 << 7;
const ERA: Seen = 1 << 8;
const WEEKDAY: Seen = 1 << 9;

/// What the token before said about the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Julian,
    Time,
    Unreadable,
}

struct Fields<'n> {
    time_only: bool,
    session: &'n Session,
    seen: Seen,
    label: Option<Label>,
    /// Words that stand for a whole moment.
    word: Option<Word>,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    /// A month by name: numbers are then day and year.
    named_month: bool,
    short_year: bool,
    /// The year is one that calendars count, with 0 for 1 BC.
    is_julian: bool,
    bc: bool,
    clock: Clock,
    pm: Option<bool>,
    east: i32,
    zone: Option<Zone>,
    /// A time alone does not tell the zone's offset.
    zone_needs_date: bool,
}

impl<'n> Fields<'n> {
    fn new(time_only: bool, session: &'n Session) -> Self {
        Fields {
            time_only,
            session,
            seen: 0,
            label: None,
            word: None,
            year: 0,
            month: 0,
            day: 0,
            day_of_year: 0,
            named_month: false,
            short_year: false,
            is_julian: false,
            bc: false,
            clock: Clock::default(),
            pm: None,
            east: 0,
            zone: None,
            zone_needs_date: false,
        }
    }

    fn read(mut self, lower: &str) -> Result<Self, Fault> {
        let tokens = split(lower)?;
        for at in 0..tokens.len() {
            let new = self.token(&tokens, at)?;
            if new & self.seen != 0 {
                return Err(Fault::Format);
            }
            self.seen |= new;
        }
        match self.label {
            None => Ok(self),
            Some(_) => Err(Fault::Format),
        }
    }

    /// Takes the token in and returns the fields it sets.
    fn token(&mut self, tokens: &[Token], at: usize) -> Result<Seen, Fault> {
        let token = tokens[at];
        match (token.kind, self.time_only) {
            (Kind::Date, false) => self.date_or_zone(token.text),
            (Kind::Date, true) => {
                let dated = tokens.last().is_some_and(|last| last.kind == Kind::Date)
                    || tokens.get(1).is_some_and(|next| next.kind == Kind::Time);
                match at == 0 && tokens.len() > 1 && dated {
                    true => self.date(token.text),
                    false => self.time_or_zone(token.text),
                }
            }
            (Kind::Time, _) => self.time(token.text),
            (Kind::Offset, _) => self.offset(token.sign == Some(Sign::Minus), token.text),
            (Kind::Number, _) if self.label.is_some() => self.labelled(token.text),
            (Kind::Number, false) => self.number_of_moment(token.text),
            (Kind::Number, true) => {
                let dated = tokens.len() > 1 && tokens.last().is_some_and(|last| last.kind == Kind::Date);
                self.number_of_time(token.text, at == 0 && dated)
            }
            (Kind::Word, _) => self.word(token),
        }
    }

    fn date_or_zone(&mut self, text: &str) -> Result<Seen, Fault> {
        match self.label {
            // J2452271-08: a day, at midnight, and a zone.
            Some(Label::Julian) => {
                self.label = None;
                let (day, rest) = leading_number::<i32>(text).ok_or(Fault::Field)?;
                self.set_julian(day.into());
                self.trailing_offset(rest)?;
                Ok(DATE | TIME | ZONE)
            }
            None if self.seen & MONTH_DAY != MONTH_DAY => self.date(text),
            None => self.time_or_zone(text),
            Some(Label::Time) => {
                self.label = None;
                self.time_and_offset(text)
            }
            Some(Label::Unreadable) => Err(Fault::Format),
        }
    }

    /// 040506-08, america/new_york
    fn time_or_zone(&mut self, text: &str) -> Result<Seen, Fault> {
        match text.starts_with(|c: char| c.is_ascii_digit()) {
            true => self.time_and_offset(text),
            false => self.named_zone(text),
        }
    }

    fn time_and_offset(&mut self, text: &str) -> Result<Seen, Fault> {
        let at = text.find('-').filter(|_| self.seen & TIME == 0).ok_or(Fault::Format)?;
        self.trailing_offset(&text[at..])?;
        let seen = if self.time_only { self.seen | DATE } else { self.seen };
        Ok(self.run_together(&text[..at], seen)? | ZONE)
    }

    fn named_zone(&mut self, text: &str) -> Result<Seen, Fault> {
        match Zone::by_name(text).map_err(Fault::Zone)? {
            Some(zone) => Ok(self.set_zone(zone)),
            None => Err(Fault::Zone(zone::not_recognized(text))),
        }
    }

    /// 1999-01-08, 1/8/1999, 08-jan-1999, jan-08-1999, 1999.008
    fn date(&mut self, text: &str) -> Result<Seen, Fault> {
        let parts = parts(text)?;
        let (mut seen, mut set) = (self.seen, 0);
        let mut add = |new: Seen| match seen & new {
            0 => {
                seen |= new;
                set |= new;
                Ok(seen)
            }
            _ => Err(Fault::Format),
        };
        let mut before = self.seen;
        let is_word = |part: &&&str| part.starts_with(|c: char| c.is_ascii_alphabetic());
        let mut named_month = false;
        for part in parts.iter().filter(is_word) {
            let Some(Word::Month(month)) = Word::lookup(None, part) else { return Err(Fault::Format) };
            (self.month, named_month) = (month, true);
            before = add(MONTH)?;
        }
        for part in parts.iter().filter(|part| !is_word(part)) {
            before = add(self.number(part, before, named_month)?)?;
        }
        match before & !(DAY_OF_YEAR | ZONE) == DATE {
            true => Ok(set),
            false => Err(Fault::Format),
        }
    }

    fn time(&mut self, text: &str) -> Result<Seen, Fault> {
        match self.label.take() {
            None | Some(Label::Time) => {}
            Some(_) => return Err(Fault::Format),
        }
        self.clock = Clock::read(text, false)?;
        match !self.time_only && overflows(self.clock) {
            true => Err(Fault::Field),
            false => Ok(TIME),
        }
    }

    fn trailing_offset(&mut self, text: &str) -> Result<(), Fault> {
        match text.strip_prefix('-') {
            Some(rest) => self.offset(true, rest).map(|_| ()),
            None => Err(Fault::Format),
        }
    }

    /// 8, 08:30, 0830, 08:30:15
    fn offset(&mut self, west: bool, text: &str) -> Result<Seen, Fault> {
        let number = |text| leading_number::<i32>(text).ok_or(Fault::Displacement);
        let (mut hours, mut rest) = number(text)?;
        let (mut minutes, mut seconds) = (0, 0);
        if let Some(after) = rest.strip_prefix(':') {
            (minutes, rest) = number(after)?;
            if let Some(after) = rest.strip_prefix(':') {
                (seconds, rest) = number(after)?;
            }
        } else if rest.is_empty() && text.len() > 2 {
            (hours, minutes) = (hours / 100, hours % 100);
        }
        if hours > OFFSET_HOURS_MAX as i32 || minutes > 59 || seconds > 59 {
            return Err(Fault::Displacement);
        }
        let east = (hours * 60 + minutes) * 60 + seconds;
        self.east = if west { -east } else { east };
        match rest {
            "" => Ok(ZONE),
            _ => Err(Fault::Format),
        }
    }

    /// The number behind a J or T.
    fn labelled(&mut self, text: &str) -> Result<Seen, Fault> {
        let (day, rest) = leading_number::<i32>(text).ok_or(Fault::Field)?;
        match self.label.take() {
            Some(Label::Julian) => {
                self.set_julian(day.into());
                if rest.is_empty() {
                    return Ok(DATE);
                }
                let time = (fraction(rest)? * MICROSECONDS_PER_DAY as f64) as i64;
                self.clock = clock_of(time);
                Ok(DATE | TIME)
            }
            Some(Label::Time) => match self.run_together(text, self.seen | DATE)? {
                TIME => Ok(TIME),
                _ => Err(Fault::Format),
            },
            Some(Label::Unreadable) | None => Err(Fault::Format),
        }
    }

    fn number_of_moment(&mut self, text: &str) -> Result<Seen, Fault> {
        match text.find('.') {
            Some(_) if self.seen & DATE == 0 => self.date(text),
            Some(digits) if digits > 2 => self.run_together(text, self.seen),
            // Five digits are a year; more are only where part of a date and a time were before.
            _ if text.len() >= 6 && (self.seen & DATE == 0 || self.seen & TIME == 0) => {
                self.run_together(text, self.seen)
            }
            _ => self.number(text, self.seen, self.named_month),
        }
    }

    fn number_of_time(&mut self, text: &str, dated: bool) -> Result<Seen, Fault> {
        match text.find('.') {
            Some(_) if dated => self.date(text),
            Some(digits) if digits > 2 => self.run_together(text, self.seen | DATE),
            Some(_) => Err(Fault::Format),
            None if text.len() > 4 => self.run_together(text, self.seen | DATE),
            None => self.number(text, self.seen | DATE, false),
        }
    }

    /// A number of which only what was seen before says what it is.
    fn number(&mut self, text: &str, seen: Seen, named_month: bool) -> Result<Seen, Fault> {
        let (value, rest) = leading_number::<i32>(text).ok_or(Fault::Field)?;
        let (value, digits) = (i64::from(value), text.len() - rest.len());
        match rest {
            _ if digits == 0 => return Err(Fault::Format),
            "" => {}
            _ if digits > 2 => return self.run_together(text, seen | DATE),
            _ => self.clock.microseconds = microseconds(fraction(rest)?),
        }
        let (is_long, order) = (text.len() > 2, self.session.order);
        let set = match seen & DATE {
            YEAR if text.len() == 3 && (1..=366).contains(&value) => {
                self.day_of_year = value;
                return Ok(DAY_OF_YEAR | MONTH | DAY);
            }
            0 if is_long || order == DateOrder::YearMonthDay => YEAR,
            0 if order == DateOrder::DayMonthYear => DAY,
            0 | YEAR | DAY => MONTH,
            MONTH if named_month && (is_long || order == DateOrder::YearMonthDay) => YEAR,
            MONTH => DAY,
            YEAR_MONTH if named_month && is_long && self.short_year => {
                // What was taken for a year was the day.
                (self.day, self.year, self.short_year) = (self.year, value, false);
                return Ok(DAY);
            }
            YEAR_MONTH => DAY,
            MONTH_DAY => YEAR,
            DATE => return self.run_together(text, seen),
            _ => return Err(Fault::Format),
        };
        match set {
            YEAR => (self.year, self.short_year) = (value, !is_long),
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(set)
    }

    /// 20011227, 011227, 040506, 0405, 040506.789
    fn run_together(&mut self, text: &str, seen: Seen) -> Result<Seen, Fault> {
        let len = text.find('.').unwrap_or(text.len());
        let (digits, rest) = text.split_at(len);
        let two_at =
            |end: usize| digits.get(end - 2..end).and_then(|two| two.parse().ok()).ok_or(Fault::Format);
        if !rest.is_empty() {
            self.clock.microseconds = microseconds(fraction(rest)?);
        } else if seen & DATE != DATE && len >= 6 {
            (self.day, self.month) = (two_at(len)?, two_at(len - 2)?);
            // As C's atoi() has it: a year that is too large is none, if the rest is a date.
            self.year = (digits[..len - 4].parse().unwrap_or(i64::MAX) as i32).into();
            self.short_year |= len == 6;
            return Ok(DATE);
        }
        if seen & TIME != 0 || !matches!(len, 4 | 6) {
            return Err(Fault::Format);
        }
        (self.clock.hours, self.clock.minutes) = (two_at(2)?, two_at(4)?);
        self.clock.seconds = if len == 6 { two_at(6)? } else { 0 };
        Ok(TIME)
    }

    fn word(&mut self, token: Token) -> Result<Seen, Fault> {
        if let Some(zone) = Zone::by_abbreviation(token.text).filter(|_| token.sign.is_none()) {
            match zone {
                Zone::Fixed(east, _) => self.east = east,
                Zone::Place(_) | Zone::Rules(_) => self.zone = Some(zone),
            }
            return Ok(ZONE);
        }
        let word = Word::lookup(token.sign, token.text);
        Ok(match word {
            Some(Word::Ignored) => 0,
            Some(Word::Era { bc }) => {
                self.bc = bc;
                ERA
            }
            Some(Word::Half { pm }) => {
                self.pm = Some(pm);
                HALF
            }
            Some(Word::Now) => {
                let (local, east) = self.session.now();
                self.set_days(local.div_euclid(MICROSECONDS_PER_DAY));
                (self.clock, self.east) = (clock_of(local.rem_euclid(MICROSECONDS_PER_DAY)), east);
                if self.time_only { TIME } else { DATE | TIME | ZONE }
            }
            Some(Word::Midnight) => {
                (self.clock, self.east) = (Clock::default(), 0);
                TIME | ZONE
            }
            Some(Word::SummerTime) => {
                self.east += 3600;
                SUMMER_TIME
            }
            Some(Word::Julian) => self.labels(Label::Julian)?,
            Some(Word::Field) => self.labels(Label::Unreadable)?,
            Some(Word::Clock) if self.time_only || self.seen & DATE == DATE => self.labels(Label::Time)?,
            Some(Word::Clock) => return Err(Fault::Format),
            None if token.sign.is_none() => match Zone::by_name(token.text).map_err(Fault::Zone)? {
                Some(zone) => self.set_zone(zone),
                None => return Err(Fault::Format),
            },
            _ if self.time_only => return Err(Fault::Format),
            Some(Word::Month(month)) => {
                let mut set = MONTH;
                // A number taken for the month was the day.
                if self.seen & MONTH_DAY == MONTH && !self.named_month && (1..=31).contains(&self.month) {
                    self.day = self.month;
                    set = DAY;
                }
                (self.month, self.named_month) = (month, true);
                set
            }
            Some(Word::Weekday) => WEEKDAY,
            Some(Word::Day(from_today)) => {
                self.set_days(self.session.now().0.div_euclid(MICROSECONDS_PER_DAY) + from_today);
                DATE
            }
            Some(Word::Epoch | Word::Infinity | Word::MinusInfinity) => {
                self.word = word;
                DATE | TIME | ZONE
            }
            None => return Err(Fault::Format),
        })
    }

    /// A zone by name, where clocks may change.
    fn set_zone(&mut self, zone: Zone) -> Seen {
        self.zone = Some(zone);
        self.zone_needs_date = !zone.is_fixed();
        ZONE
    }

    fn labels(&mut self, label: Label) -> Result<Seen, Fault> {
        match self.label.replace(label) {
            None => Ok(0),
            Some(_) => Err(Fault::Format),
        }
    }

    fn set_days(&mut self, days: i64) {
        let (year, month, day) = civil_from_days(days);
        (self.year, self.month, self.day) = (year, month.into(), day.into());
    }

    fn set_julian(&mut self, day: i64) {
        self.set_days(day + JULIAN_EPOCH);
        self.is_julian = true;
    }

    fn moment(mut self) -> Result<Read, Fault> {
        match self.word {
            Some(Word::Infinity) => return Ok(Read::Infinity),
            Some(Word::MinusInfinity) => return Ok(Read::MinusInfinity),
            Some(_) => return Ok(Read::Epoch),
            None => {}
        }
        self.check_date()?;
        self.apply_half()?;
        if self.seen & DATE != DATE {
            return Err(Fault::Format);
        }
        let days = days_from_civil(self.year, self.month as u32, self.day as u32);
        Ok(Read::At(Local { days, time: microseconds_of(self.clock), place: self.place()? }))
    }

    fn time_of_day(mut self) -> Result<i64, Fault> {
        self.check_time()?;
        self.place()?;
        Ok(microseconds_of(self.clock))
    }

    /// The offset of a zone is that of the date in the text, or of today.
    fn time_in_zone(mut self) -> Result<Timetz, Fault> {
        self.check_time()?;
        let time = microseconds_of(self.clock);
        let zone = match self.place()?.unwrap_or(Place::In(self.session.zone)) {
            Place::East(seconds) => return Ok(Timetz::east(time, seconds)),
            Place::In(zone) => zone,
        };
        let days = match self.seen & DATE {
            DATE => days_from_civil(self.year, self.month as u32, self.day as u32),
            0 => self.session.now().0.div_euclid(MICROSECONDS_PER_DAY),
            _ => return Err(Fault::Format),
        };
        Ok(Timetz::east(time, zone.offset_of_local(days * MICROSECONDS_PER_DAY + time)))
    }

    fn check_time(&mut self) -> Result<(), Fault> {
        self.check_date()?;
        self.apply_half()?;
        if overflows(self.clock) {
            return Err(Fault::Field);
        }
        if self.seen & TIME == 0 || self.zone_needs_date && self.seen & DATE != DATE {
            return Err(Fault::Format);
        }
        Ok(())
    }

    /// Makes the year one that calendars count, finds month and day of a day of the year, and checks all three.
    fn check_date(&mut self) -> Result<(), Fault> {
        if self.seen & YEAR != 0 && !self.is_julian {
            let is_short = self.short_year && !self.bc;
            self.year = match self.year {
                year if year < i64::from(!is_short) => return Err(Fault::Field),
                year if self.bc => 1 - year,
                year if is_short && year < 70 => year + 2000,
                year if is_short && year < 100 => year + 1900,
                year => year,
            };
        }
        if self.seen & DAY_OF_YEAR != 0 {
            self.set_days(days_from_civil(self.year, 1, 1) + self.day_of_year - 1);
        }
        let month_fits = self.seen & MONTH == 0 || (1..=12).contains(&self.month);
        let day_fits = self.seen & DAY == 0 || (1..=31).contains(&self.day);
        if !month_fits || !day_fits {
            return Err(Fault::Order);
        }
        if self.seen & DATE == DATE && self.day > days_in_month(self.year, self.month as u32).into() {
            return Err(Fault::Field);
        }
        Ok(())
    }

    fn apply_half(&mut self) -> Result<(), Fault> {
        let Some(pm) = self.pm else { return Ok(()) };
        self.clock.hours = match (self.clock.hours, pm) {
            (13.., _) => return Err(Fault::Field),
            (12, false) => 0,
            (hours @ ..12, true) => hours + 12,
            (hours, _) => hours,
        };
        Ok(())
    }

    /// The zone; an hour more for summer goes with one that is an offset only.
    fn place(&self) -> Result<Option<Place>, Fault> {
        let is_offset = self.seen & ZONE != 0;
        match self.zone {
            _ if self.seen & SUMMER_TIME != 0 && (self.zone.is_some() || !is_offset) => Err(Fault::Format),
            Some(zone) => Ok(Some(Place::In(zone))),
            None => Ok(is_offset.then_some(Place::East(self.east))),
        }
    }
}

/// The runs of digits and of letters. What ends a run is skipped, whatever it is.
fn parts(mut text: &str) -> Result<Vec<&str>, Fault> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric();
        text = &text[text.find(is_part).ok_or(Fault::Format)?..];
        let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let ends = |c: char| if is_word { !c.is_ascii_alphabetic() } else { !c.is_ascii_digit() };
        let (part, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        parts.push(part);
        text = rest.get(1..).unwrap_or("");
    }
    Ok(parts)
}

/// Later than 24:00, or with parts that clocks do not show; a 60th second is the next minute's first.
fn overflows(clock: Clock) -> bool {
    clock.minutes > 59
        || clock.seconds > 60
        || clock.hours > 24
        || microseconds_of(clock) > MICROSECONDS_PER_DAY
}

fn microseconds_of(clock: Clock) -> i64 {
    ((clock.hours * 60 + clock.minutes) * 60 + clock.seconds) * MICROSECONDS_PER_SECOND + clock.microseconds
}

fn clock_of(time: i64) -> Clock {
    let seconds = time / MICROSECONDS_PER_SECOND;
    Clock {
        hours: seconds / 3600,
        minutes: seconds / 60 % 60,
        seconds: seconds % 60,
        microseconds: time % MICROSECONDS_PER_SECOND,
    }
}
