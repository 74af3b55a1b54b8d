//! The words of dates and times, other than zones.

use crate::types::datetime::tokens::Sign;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::types) enum Word {
    Ignored,
    /// From 1.
    Month(i64),
    Weekday,
    Era {
        bc: bool,
    },
    Half {
        pm: bool,
    },
    Now,
    /// Midnight so many days from today.
    Day(i64),
    /// `allballs`: midnight of UTC.
    Midnight,
    Epoch,
    Infinity,
    MinusInfinity,
    /// `dst`, one hour more behind the name of a zone.
    SummerTime,
    /// The next number is a Julian day.
    Julian,
    /// ISO 8601's T: a time follows.
    Clock,
    /// Of a field that can be extracted, but not read: `y2001` was read once.
    Field,
}

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
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Word {
    /// The meaning of a word in lower case; with a sign only infinity has one.
    pub fn lookup(sign: Option<Sign>, text: &str) -> Option<Word> {
        Some(match (sign, text) {
            (None | Some(Sign::Plus), "infinity") => Word::Infinity,
            (Some(Sign::Minus), "infinity") => Word::MinusInfinity,
            (Some(_), _) => return None,
            (_, "at" | "on") => Word::Ignored,
            (_, "ad") => Word::Era { bc: false },
            (_, "bc") => Word::Era { bc: true },
            (_, "am") => Word::Half { pm: false },
            (_, "pm") => Word::Half { pm: true },
            (_, "now") => Word::Now,
            (_, "today") => Word::Day(0),
            (_, "tomorrow") => Word::Day(1),
            (_, "yesterday") => Word::Day(-1),
            (_, "allballs") => Word::Midnight,
            (_, "epoch") => Word::Epoch,
            (_, "dst") => Word::SummerTime,
            (_, "j" | "jd" | "julian") => Word::Julian,
            (_, "t") => Word::Clock,
            (_, "d" | "h" | "m" | "mm" | "s" | "y") => Word::Field,
            (_, "dow" | "doy" | "isodow" | "isoyear") => Word::Field,
            (_, "sept") => Word::Month(9),
            (_, "tues" | "weds" | "thur" | "thurs") => Word::Weekday,
            _ => {
                // By the whole name, or the first three letters.
                let is_named = |name: &&str| *name == text || &name[..3] == text;
                match MONTHS.iter().zip(1..).find(|(name, _)| is_named(name)) {
                    Some((_, month)) => Word::Month(month),
                    None => WEEKDAYS.iter().find(|name| is_named(name)).map(|_| Word::Weekday)?,
                }
            }
        })
    }
}
