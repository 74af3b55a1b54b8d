//! What is wrong with the Unicode escapes of a text that the tokeniser gave up on.
//!
//! ```text
//!   E'\u061'      invalid Unicode escape
//!   E'\udb99x'    invalid Unicode surrogate pair at or near "x"
//!   U&'\+2FFFFF'  invalid Unicode escape value
//! ```
//!
//! sqlparser says of all of them that the text does not end. This reads the text again, once it is known to be wrong.

use crate::error::{Error, SqlState};

const PAIR: &str = "invalid Unicode surrogate pair";
const VALUE: &str = "invalid Unicode escape value";

/// The complaint about the text that begins or ends at this byte; `None` where its escapes are right.
pub fn complaint(sql: &str, at: usize) -> Option<Error> {
    let is_text = |from: &str, prefix: &str| {
        from.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let rest = sql.get(at..)?;
    if is_text(rest, "E'") {
        return of_escapes(sql, at + 2);
    }
    let before = sql.get(..at)?;
    let (start, _) = before.char_indices().rev().find(|(start, _)| is_text(&before[*start..], "U&'"))?;
    of_unicode(sql, start + 3)
}

/// The first half of a pair of surrogates, while the second is awaited.
#[derive(Default)]
struct Pair(bool);

impl Pair {
    /// Takes the next code in; what is wrong with it, if anything is.
    fn take(&mut self, code: u32) -> Option<&'static str> {
        match (std::mem::take(&mut self.0), code) {
            (true, 0xDC00..=0xDFFF) => None,
            (true, _) | (false, 0xDC00..=0xDFFF) => Some(PAIR),
            (false, 0xD800..=0xDBFF) => {
                self.0 = true;
                None
            }
            (false, 0) => Some(VALUE),
            (false, code) => (code > 0x10_FFFF).then_some(VALUE),
        }
    }
}

fn error(state: SqlState, message: &str, sql: &str, at: usize) -> Error {
    let characters = sql[..at].chars().count();
    Error::new(state, message).position(u32::try_from(characters + 1).unwrap_or(u32::MAX))
}

fn hexadecimal(sql: &str, at: usize, digits: usize) -> Option<u32> {
    let digits = sql.get(at..at + digits)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Of `E'...'`, whose content begins at this byte.
fn of_escapes(sql: &str, start: usize) -> Option<Error> {
    let near = |message: &str, at: usize, length: usize| {
        let message = format!("{message} at or near \"{}\"", &sql[at..at + length]);
        Some(error(SqlState::SYNTAX_ERROR, &message, sql, at))
    };
    let mut pair = Pair::default();
    let mut at = start;
    loop {
        let rest = &sql[at..];
        let first = rest.chars().next()?;
        let digits = match rest.get(..2) {
            Some("\\u") => 4,
            Some("\\U") => 8,
            _ if pair.0 => return near(PAIR, at, first.len_utf8()),
            Some("''") => {
                at += 2;
                continue;
            }
            _ if first == '\'' => return None,
            _ if first == '\\' => {
                at += 1 + rest[1..].chars().next()?.len_utf8();
                continue;
            }
            _ => {
                at += first.len_utf8();
                continue;
            }
        };
        let Some(code) = hexadecimal(sql, at + 2, digits) else {
            let wrong = error(SqlState("22025"), "invalid Unicode escape", sql, at);
            return Some(wrong.hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX."));
        };
        if let Some(message) = pair.take(code) {
            return near(message, at, 2 + digits);
        }
        at += 2 + digits;
    }
}

/// Of `U&'...'`, whose content begins at this byte.
fn of_unicode(sql: &str, start: usize) -> Option<Error> {
    let wrong = |message: &str, at: usize| Some(error(SqlState::SYNTAX_ERROR, message, sql, at));
    let mut pair = Pair::default();
    let mut at = start;
    loop {
        let rest = &sql[at..];
        let first = rest.chars().next()?;
        let is_double = matches!(rest.get(..2), Some("''" | "\\\\"));
        if first != '\\' || is_double {
            if pair.0 {
                return wrong(PAIR, at);
            }
            if first == '\'' && !is_double {
                return None;
            }
            at += if is_double { 2 } else { first.len_utf8() };
            continue;
        }
        let (skipped, digits) = if rest[1..].starts_with('+') { (2, 6) } else { (1, 4) };
        let Some(code) = hexadecimal(sql, at + skipped, digits) else {
            return Some(
                wrong("invalid Unicode escape", at)?.hint("Unicode escapes must be \\XXXX or \\+XXXXXX."),
            );
        };
        if let Some(message) = pair.take(code) {
            return wrong(message, at);
        }
        at += skipped + digits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_complained_about() {
        let found = |sql: &str, at| complaint(sql, at).map(|error| error.message().to_owned());
        let escapes = |sql: &str| found(sql, 0);
        assert_eq!(escapes("E'\\u061'").as_deref(), Some("invalid Unicode escape"));
        assert_eq!(
            escapes("E'\\udb99x'").as_deref(),
            Some("invalid Unicode surrogate pair at or near \"x\"")
        );
        assert_eq!(escapes("E'\\udb99'").as_deref(), Some("invalid Unicode surrogate pair at or near \"'\""));
        assert_eq!(
            escapes("E'\\U002FFFFF'").as_deref(),
            Some("invalid Unicode escape value at or near \"\\U002FFFFF\"")
        );
        assert_eq!(escapes("E'\\ud83d\\ude00 it''s \\' fine'"), None);
        assert_eq!(escapes("E'no end"), None);
        assert_eq!(found("U&'wrong: \\061';", 15).as_deref(), Some("invalid Unicode escape"));
        assert_eq!(found("U&'\\db99\\0061'", 13).as_deref(), Some("invalid Unicode surrogate pair"));
        assert_eq!(found("U&'\\+2FFFFF'", 11).as_deref(), Some("invalid Unicode escape value"));
    }
}
