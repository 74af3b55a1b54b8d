//! DateStyle: how a session wants dates and timestamps shown, and which of day, month and year comes first where numbers
//! alone do not tell.
//!
//! ```text
//!             MDY, YMD                            DMY
//!   ISO       2024-02-29 13:05:06.7+01            the same
//!   SQL       02/29/2024 13:05:06.7 CET           29/02/2024 13:05:06.7 CET
//!   Postgres  Thu Feb 29 13:05:06.7 2024 CET      Thu 29 Feb 13:05:06.7 2024 CET
//!   German    29.02.2024 13:05:06.7 CET           the same
//! ```

use std::fmt;

use crate::types::datetime::{
    self, MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, civil_from_days, print_era, print_infinity,
    print_time,
};
use crate::types::integer::print_padded;
use crate::types::zone::Zone;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateForm {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// What numbers alone are, from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateOrder {
    #[default]
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
}

/// The setting as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DateStyle {
    pub form: DateForm,
    pub order: DateOrder,
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// From 1970-01-01 on.
const WEEKDAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];

impl DateStyle {
    /// What the server starts with.
    pub const ISO: DateStyle = DateStyle { form: DateForm::Iso, order: DateOrder::MonthDayYear };

    /// The inverse of `to_string`.
    pub fn from_name(name: &str) -> Option<DateStyle> {
        DateStyle::ISO.changed(name, DateStyle::ISO).ok()
    }

    /// The style after `SET DateStyle = words`, which may name a form, an order or both; `default` is what the word
    /// `default` stands for. The error is what PostgreSQL says in detail about words that name no style.
    pub fn changed(self, words: &str, default: DateStyle) -> Result<DateStyle, String> {
        let (mut form, mut order) = (None, None);
        let mut conflicts = false;
        let words = words.split(',').map(|word| word.trim().trim_matches('"').to_ascii_lowercase());
        let words: Vec<String> = words.collect();
        for word in &words {
            let starts = |known: &str| word.starts_with(known);
            let (new_form, new_order) = match word.as_str() {
                "iso" => (Some(DateForm::Iso), None),
                "sql" => (Some(DateForm::Sql), None),
                "german" => (Some(DateForm::German), None),
                "ymd" => (None, Some(DateOrder::YearMonthDay)),
                "dmy" => (None, Some(DateOrder::DayMonthYear)),
                "mdy" | "us" => (None, Some(DateOrder::MonthDayYear)),
                "default" => {
                    form = form.or(Some(default.form));
                    order = order.or(Some(default.order));
                    continue;
                }
                "" if words.len() == 1 => continue,
                "" => return Err("List syntax is invalid.".to_owned()),
                _ if starts("postgres") => (Some(DateForm::Postgres), None),
                _ if starts("euro") => (None, Some(DateOrder::DayMonthYear)),
                _ if starts("noneuro") => (None, Some(DateOrder::MonthDayYear)),
                word => return Err(format!("Unrecognized key word: \"{word}\".")),
            };
            conflicts |= new_form.is_some() && form.is_some() && form != new_form;
            conflicts |= new_order.is_some() && order.is_some() && order != new_order;
            (form, order) = (new_form.or(form), new_order.or(order));
        }
        if conflicts {
            return Err("Conflicting \"datestyle\" specifications.".to_owned());
        }
        // Germans write the day first.
        let german = (form == Some(DateForm::German)).then_some(DateOrder::DayMonthYear);
        Ok(DateStyle { form: form.unwrap_or(self.form), order: order.or(german).unwrap_or(self.order) })
    }

    pub fn print_date(self, days: i32, out: &mut Vec<u8>) {
        if self.form == DateForm::Iso || matches!(days, i32::MIN | i32::MAX) {
            return datetime::print_date(days, out);
        }
        let days = i64::from(days);
        match self.form {
            DateForm::Postgres => self.numbers(days, b'-', out),
            _ => self.numbers(days, self.mark(), out),
        }
        print_era(civil_from_days(days).0 <= 0, out);
    }

    pub fn print_timestamp(self, at: i64, out: &mut Vec<u8>) {
        if self.form == DateForm::Iso {
            return datetime::print_timestamp(at, out);
        }
        if !print_infinity(at, out) {
            self.moment(at, "", out);
        }
    }

    pub fn print_timestamptz(self, at: i64, zone: Zone, out: &mut Vec<u8>) {
        if self.form == DateForm::Iso {
            return datetime::print_timestamptz(at, zone, out);
        }
        if print_infinity(at, out) {
            return;
        }
        let offset = zone.offset_at(at);
        let local = at.saturating_add(i64::from(offset) * MICROSECONDS_PER_SECOND);
        self.moment(local, &format!(" {}", zone.abbreviation_at(at)), out);
    }

    /// What clocks show, and the name of their zone.
    fn moment(self, local: i64, zone: &str, out: &mut Vec<u8>) {
        let days = local.div_euclid(MICROSECONDS_PER_DAY);
        let time = local.rem_euclid(MICROSECONDS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        if self.form == DateForm::Postgres {
            out.extend_from_slice(WEEKDAYS[days.rem_euclid(7) as usize]);
            out.push(b' ');
            let name = MONTHS[month as usize - 1];
            if self.order == DateOrder::DayMonthYear {
                print_padded(day.into(), 2, out);
                out.push(b' ');
                out.extend_from_slice(name);
            } else {
                out.extend_from_slice(name);
                out.push(b' ');
                print_padded(day.into(), 2, out);
            }
            out.push(b' ');
            print_time(time, out);
            out.push(b' ');
            print_year(year, out);
        } else {
            self.numbers(days, self.mark(), out);
            out.push(b' ');
            print_time(time, out);
        }
        out.extend_from_slice(zone.as_bytes());
        print_era(year <= 0, out);
    }

    fn mark(self) -> u8 {
        if self.form == DateForm::German { b'.' } else { b'/' }
    }

    fn numbers(self, days: i64, mark: u8, out: &mut Vec<u8>) {
        let (year, month, day) = civil_from_days(days);
        let day_first = self.form == DateForm::German || self.order == DateOrder::DayMonthYear;
        for part in if day_first { [day, month] } else { [month, day] } {
            print_padded(part.into(), 2, out);
            out.push(mark);
        }
        print_year(year, out);
    }
}

/// Year 0 is 1 BC.
fn print_year(year: i64, out: &mut Vec<u8>) {
    print_padded(if year <= 0 { 1 - year } else { year } as u64, 4, out);
}

/// As SHOW prints it.
impl fmt::Display for DateStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            DateForm::Iso => "ISO",
            DateForm::Sql => "SQL",
            DateForm::Postgres => "Postgres",
            DateForm::German => "German",
        };
        let order = match self.order {
            DateOrder::MonthDayYear => "MDY",
            DateOrder::DayMonthYear => "DMY",
            DateOrder::YearMonthDay => "YMD",
        };
        write!(f, "{form}, {order}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_they_name() {
        let german = DateStyle::from_name("German").unwrap();
        for (words, expected) in [
            ("German", "German, DMY"),
            ("ymd", "German, YMD"),
            ("US,Postgres", "Postgres, MDY"),
            ("European, SQL", "SQL, DMY"),
            ("default", "ISO, MDY"),
            ("", "German, DMY"),
        ] {
            assert_eq!(german.changed(words, DateStyle::ISO).unwrap().to_string(), expected, "{words}");
        }
        for (words, detail) in [
            ("ISO, SQL", "Conflicting \"datestyle\" specifications."),
            ("ISO, wrong", "Unrecognized key word: \"wrong\"."),
            ("ISO,", "List syntax is invalid."),
        ] {
            assert_eq!(german.changed(words, DateStyle::ISO).unwrap_err(), detail);
        }
    }

    #[test]
    fn moments_print_as_in_postgresql() {
        // 2024-02-29 12:05:06.7 in Greenwich.
        let at = 1_709_208_306_700_000;
        for (style, date, moment) in [
            ("SQL, MDY", "02/29/2024", "02/29/2024 12:05:06.7 UTC"),
            ("SQL, DMY", "29/02/2024", "29/02/2024 12:05:06.7 UTC"),
            ("Postgres, MDY", "02-29-2024", "Thu Feb 29 12:05:06.7 2024 UTC"),
            ("Postgres, DMY", "29-02-2024", "Thu 29 Feb 12:05:06.7 2024 UTC"),
            ("German, YMD", "29.02.2024", "29.02.2024 12:05:06.7 UTC"),
            ("ISO, DMY", "2024-02-29", "2024-02-29 12:05:06.7+00"),
        ] {
            let style = DateStyle::from_name(style).unwrap();
            let (mut day, mut shown) = (Vec::new(), Vec::new());
            style.print_date(19_782, &mut day);
            style.print_timestamptz(at, Zone::UTC, &mut shown);
            assert_eq!(String::from_utf8(day).unwrap(), date);
            assert_eq!(String::from_utf8(shown).unwrap(), moment);
        }
    }
}
