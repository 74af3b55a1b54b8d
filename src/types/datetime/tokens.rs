//! A text of a date, a time or an interval cut into tokens, whose shape alone says what they may be.
//!
//! ```text
//! Feb 10, 1997 5:32:01 PM -08       2001-12-27T04:05:06       1 day -2:03
//! Word ┘  │    │       │  │         Date ┘   Word Time        │ Word └ Offset
//! Number ─┴────┘ Time ─┘  Word, Offset                 Number ┘
//! ```
//!
//! The cuts are PostgreSQL's (`ParseDateTime`), as they show in what it accepts: other punctuation separates only, and a
//! word with a number or more words attached (`europe/berlin`, `jan-08-1999`) is one token unless the word is known.

use crate::types::datetime::words::Word;
use crate::types::text::is_space;

/// Why tokens make no date, time or interval.
pub(in crate::types) enum Fault {
    /// They are no such thing.
    Format,
    /// They are, with a field that is out of its range.
    Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::types) enum Kind {
    /// `1999`, `040506.789`
    Number,
    /// What is between digits, words and their hyphens, slashes or points: `1999-01-08`, `jan-08`, `america/new_york`.
    Date,
    /// `04:05:06.789`
    Time,
    Word,
    /// A number with a sign, which may have colons, hyphens and a point: `-08:00`, `+1-2`.
    Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::types) enum Sign {
    Plus,
    Minus,
}

/// Sign and text are apart since blanks may be between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::types) struct Token<'a> {
    pub kind: Kind,
    pub sign: Option<Sign>,
    pub text: &'a str,
}

/// The tokens of a text in lower case.
pub(in crate::types) fn split(lower: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut rest = Rest(lower);
    let mut tokens = Vec::new();
    while let Some(&first) = rest.0.as_bytes().first() {
        match first {
            b'0'..=b'9' => tokens.push(rest.number()),
            b'.' => tokens.push(rest.fraction()),
            b'a'..=b'z' => tokens.push(rest.word()),
            b'+' => tokens.push(rest.signed(Sign::Plus)?),
            b'-' => tokens.push(rest.signed(Sign::Minus)?),
            _ if is_space(first.into()) || first.is_ascii_punctuation() => rest.0 = &rest.0[1..],
            _ => return Err(Fault::Format),
        }
    }
    Ok(tokens)
}

/// What is not cut yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn number(&mut self) -> Token<'a> {
        let mut end = self.run(0, |b| b.is_ascii_digit());
        let kind = match self.at(end) {
            Some(b':') => {
                end = self.run(end, |b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                Kind::Time
            }
            Some(mark @ (b'-' | b'/' | b'.')) => {
                let digits = self.run(end + 1, |b| b.is_ascii_digit());
                let (kind, more) = match digits > end + 1 {
                    // With a second point this is a date, with one a number.
                    true if self.at(digits) == Some(mark) => {
                        (Kind::Date, self.run(digits, |b| b.is_ascii_digit() || b == mark))
                    }
                    true if mark == b'.' => (Kind::Number, digits),
                    true => (Kind::Date, digits),
                    false => (Kind::Date, self.run(end + 1, |b| b.is_ascii_alphanumeric() || b == mark)),
                };
                end = more;
                kind
            }
            _ => Kind::Number,
        };
        self.cut(kind, None, end)
    }

    fn fraction(&mut self) -> Token<'a> {
        let end = self.run(1, |b| b.is_ascii_digit());
        self.cut(Kind::Number, None, end)
    }

    fn word(&mut self) -> Token<'a> {
        let end = self.run(0, |b| b.is_ascii_alphabetic());
        let goes_on = match self.at(end) {
            Some(b'-' | b'/' | b'.') => true,
            Some(b'+' | b'0'..=b'9') => Word::lookup(None, &self.0[..end]).is_none(),
            _ => false,
        };
        if !goes_on {
            return self.cut(Kind::Word, None, end);
        }
        let is_part =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':');
        let end = self.run(end, is_part);
        self.cut(Kind::Date, None, end)
    }

    fn signed(&mut self, sign: Sign) -> Result<Token<'a>, Fault> {
        self.0 = self.0[1..].trim_start_matches(is_space);
        let (kind, end) = match self.at(0) {
            Some(b'0'..=b'9') => {
                let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-');
                (Kind::Offset, self.run(0, is_part))
            }
            Some(b'a'..=b'z') => (Kind::Word, self.run(0, |b| b.is_ascii_alphabetic())),
            _ => return Err(Fault::Format),
        };
        Ok(self.cut(kind, Some(sign), end))
    }

    fn at(&self, at: usize) -> Option<u8> {
        self.0.as_bytes().get(at).copied()
    }

    /// Where the bytes from `start` on that are such end.
    fn run(&self, start: usize, is_such: impl Fn(u8) -> bool) -> usize {
        let bytes = &self.0.as_bytes()[start..];
        start + bytes.iter().position(|&b| !is_such(b)).unwrap_or(bytes.len())
    }

    fn cut(&mut self, kind: Kind, sign: Option<Sign>, end: usize) -> Token<'a> {
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        Token { kind, sign, text }
    }
}

/// The number a text starts with, 0 without digits, and what follows them; `None` when it is too large.
pub(in crate::types) fn leading_number<N: std::str::FromStr + Default>(text: &str) -> Option<(N, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits {
        "" => Some((N::default(), rest)),
        _ => Some((digits.parse().ok()?, rest)),
    }
}

/// `.789` as a part of one; a point alone is none.
pub(in crate::types) fn fraction(text: &str) -> Result<f64, Fault> {
    match text.strip_prefix('.') {
        Some("") => Ok(0.0),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => text.parse().map_err(|_| Fault::Format),
        _ => Err(Fault::Format),
    }
}

/// Fraction of a second in microseconds.
pub(in crate::types) fn microseconds(fraction: f64) -> i64 {
    (fraction * 1e6).round_ties_even() as i64
}

/// What [`Kind::Time`] says; hours may be more than a day has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::types) struct Clock {
    pub hours: i64,
    pub minutes: i64,
    pub seconds: i64,
    /// Up to a whole second, where a fraction is rounded up to it.
    pub microseconds: i64,
}

impl Clock {
    /// `4:05`, `4:05:06.789`; with `minutes_first`, or with a fraction, two parts are minutes and seconds.
    pub fn read(text: &str, minutes_first: bool) -> Result<Clock, Fault> {
        let (first, rest) = leading_number::<i64>(text).ok_or(Fault::Field)?;
        let rest = rest.strip_prefix(':').ok_or(Fault::Format)?;
        let (second, rest) = leading_number::<i32>(rest).ok_or(Fault::Field)?;
        let second = i64::from(second);
        let clock = match rest.strip_prefix(':') {
            Some(rest) => {
                let (seconds, rest) = leading_number::<i32>(rest).ok_or(Fault::Field)?;
                let part = if rest.is_empty() { 0.0 } else { fraction(rest)? };
                let microseconds = microseconds(part);
                Clock { hours: first, minutes: second, seconds: seconds.into(), microseconds }
            }
            None if !rest.is_empty() => {
                let microseconds = microseconds(fraction(rest)?);
                Clock { hours: 0, minutes: first, seconds: second, microseconds }
            }
            None if minutes_first => Clock { minutes: first, seconds: second, ..Clock::default() },
            None => Clock { hours: first, minutes: second, ..Clock::default() },
        };
        match clock.minutes <= 59 && clock.seconds <= 60 {
            true => Ok(clock),
            false => Err(Fault::Field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_where_postgres_does() {
        for (text, expected) in [
            ("1999-01-08 04:05:06.7", "Date 1999-01-08, Time 04:05:06.7"),
            ("20011227t040506.789+08", "Number 20011227, Word t, Number 040506.789, Offset 08"),
            ("20011227t040506-08", "Number 20011227, Word t, Date 040506-08"),
            ("jan-08-1999", "Date jan-08-1999"),
            ("97feb10 5:32:01pm", "Number 97, Word feb, Number 10, Time 5:32:01, Word pm"),
            ("1999.008", "Number 1999.008"),
            ("27.12.2001", "Date 27.12.2001"),
            ("j2451187", "Word j, Number 2451187"),
            ("12:00 mst+7:00, america/new_york", "Time 12:00, Date mst+7:00, Date america/new_york"),
            ("- infinity", "Word infinity"),
            ("@ 1-2 - 12:34 .5", "Date 1-2, Offset 12:34, Number .5"),
        ] {
            let Ok(tokens) = split(text) else { panic!("{text}") };
            let shown = tokens.iter().map(|token| format!("{:?} {}", token.kind, token.text));
            assert_eq!(shown.collect::<Vec<_>>().join(", "), expected, "{text}");
        }
        for text in ["1 +", "1 -!", "é", "\u{1}"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
