//! Backslashes in plain strings, where `standard_conforming_strings` is off: `'a\nb'` means what `E'a\nb'` does.
//!
//! The text of a client is made one of the standard's before anything else reads it, for what is stored of it (defaults,
//! views, functions) is read again by sessions with other settings:
//!
//! ```text
//!   SELECT 'a\'b', date '2024\-01-01'        SELECT 'a''b', date '2024-01-01'
//! ```
//!
//! This finds strings as PostgreSQL's scanner does; what stands in comments, in quoted names and between dollars stays. It
//! also asks `backslash_quote` whether `\'` may stand in a string at all, in those with an E as well.

use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect::DIALECT;
use crate::sql::settings::{Settings, id};

/// What the settings of a session say.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `standard_conforming_strings`
    pub conforming: bool,
    /// `escape_string_warning`
    pub warns: bool,
    /// `backslash_quote` is not off.
    pub quotes: bool,
}

impl Rules {
    pub fn of(settings: &Settings) -> Rules {
        Rules {
            conforming: settings.bool(id::STANDARD_CONFORMING_STRINGS),
            warns: settings.bool(id::ESCAPE_STRING_WARNING),
            quotes: &*settings.text(id::BACKSLASH_QUOTE) != "off",
        }
    }

    /// Whether a text is read as it is.
    pub fn are_standard(self) -> bool {
        self.conforming && self.quotes
    }
}

/// A text of the standard.
#[derive(Debug, Default)]
pub struct Conformed {
    pub sql: String,
    pub warnings: Vec<Error>,
    /// After so many characters, the original is so many longer.
    longer: Vec<(usize, usize)>,
}

impl Conformed {
    /// An error of this text, with the position in the original.
    pub fn located(&self, error: Error) -> Error {
        let Some(position) = error.fields().position else { return error };
        let passed = self.longer.iter().take_while(|(end, _)| (position as usize) > *end);
        let longer = passed.last().map_or(0, |(_, longer)| *longer);
        error.position(position.saturating_add(u32::try_from(longer).unwrap_or(0)))
    }
}

/// How a string was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// `E''`
    Escape,
    /// `B''`, `X''`
    Bits,
    /// `U&''`
    Unicode,
}

/// The text as the standard has it.
pub fn conform(sql: &str, rules: Rules) -> Result<Conformed> {
    let mut scan = Scan { sql, rules, done: Conformed::default(), copied: 0, read: 0, written: 0 };
    let mut at = 0;
    let mut word = 0..0;
    while let Some(&byte) = sql.as_bytes().get(at) {
        let rest = &sql[at..];
        at += match byte {
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => comment(rest),
            b'"' => quoted(rest, false),
            b'$' => dollar_quoted(rest),
            b'\'' => {
                let kind = kind_of(sql, &sql[word.start..word.end], word.end == at, at);
                let has_escapes = kind == Kind::Escape || kind == Kind::Plain && !rules.conforming;
                let length = quoted(rest, has_escapes);
                scan.string(kind, has_escapes, at, at + length)?;
                length
            }
            _ if is_name_start(byte) => {
                let length = rest.bytes().take_while(|&byte| is_name_part(byte)).count();
                word = at..at + length;
                length
            }
            _ if byte.is_ascii_digit() => rest.bytes().take_while(|&byte| is_name_part(byte)).count(),
            _ => 1,
        };
    }
    Ok(scan.finish())
}

struct Scan<'a> {
    sql: &'a str,
    rules: Rules,
    done: Conformed,
    /// What of the original is in the new text, in bytes and in characters.
    copied: usize,
    read: usize,
    /// Characters of the new text.
    written: usize,
}

impl Scan<'_> {
    fn string(&mut self, kind: Kind, has_escapes: bool, start: usize, end: usize) -> Result<()> {
        let literal = &self.sql[start..end];
        let place = |error: Error| {
            let before = self.read + self.sql[self.copied..start].chars().count();
            error.position(u32::try_from(before + 1).unwrap_or(u32::MAX))
        };
        if kind == Kind::Unicode && !self.rules.conforming {
            let message = "unsafe use of string constant with Unicode escapes";
            let detail = "String constants with Unicode escapes cannot be used when standard_conforming_strings is off.";
            return Err(place(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail)));
        }
        if !has_escapes || !literal.contains('\\') {
            return Ok(());
        }
        if !self.rules.quotes && has_escaped_quote(literal) {
            let message = "unsafe use of \\' in a string literal";
            let hint = "Use '' to write quotes in strings. \\' is insecure in client-only encodings.";
            return Err(place(Error::new(NONSTANDARD_USE, message)).hint(hint));
        }
        if kind == Kind::Escape {
            return Ok(());
        }
        if self.rules.warns {
            let first = literal.split('\\').nth(1).and_then(|rest| rest.chars().next());
            let warning = place(warning(first));
            self.done.warnings.push(warning);
        }
        self.put(start, end);
        Ok(())
    }

    /// Puts what a string says in the place of how it was written.
    fn put(&mut self, start: usize, end: usize) {
        let literal = &self.sql[start..end];
        let from = self.done.sql.len();
        self.done.sql.push_str(&self.sql[self.copied..start]);
        self.read += self.sql[self.copied..end].chars().count();
        self.copied = end;
        match read(literal) {
            Some(text) => {
                self.done.sql.push('\'');
                self.done.sql.push_str(&text.replace('\'', "''"));
                self.done.sql.push('\'');
            }
            // Whoever reads it says what is wrong.
            None => {
                self.done.sql.push_str(" E");
                self.done.sql.push_str(literal);
            }
        }
        self.written += self.done.sql[from..].chars().count();
        self.done.longer.push((self.written, self.read.saturating_sub(self.written)));
    }

    fn finish(mut self) -> Conformed {
        self.done.sql.push_str(&self.sql[self.copied..]);
        self.done
    }
}

const NONSTANDARD_USE: SqlState = SqlState("22P06");

/// What is said of the first escape in a string.
fn warning(escaped: Option<char>) -> Error {
    let (message, hint) = match escaped {
        Some('\'') => (
            "nonstandard use of \\' in a string literal",
            "Use '' to write quotes in strings, or use the escape string syntax (E'...').",
        ),
        // Between two backslashes there is nothing.
        None => (
            "nonstandard use of \\\\ in a string literal",
            "Use the escape string syntax for backslashes, e.g., E'\\\\'.",
        ),
        Some(_) => (
            "nonstandard use of escape in a string literal",
            "Use the escape string syntax for escapes, e.g., E'\\r\\n'.",
        ),
    };
    Error::new(NONSTANDARD_USE, message).hint(hint)
}

/// The text that a string with escapes means.
fn read(literal: &str) -> Option<String> {
    match Tokenizer::new(&DIALECT, &format!("E{literal}")).tokenize().ok()?.as_slice() {
        [Token::EscapedStringLiteral(text)] => Some(text.clone()),
        _ => None,
    }
}

fn kind_of(sql: &str, word: &str, adjoins: bool, at: usize) -> Kind {
    match word.to_ascii_lowercase().as_str() {
        "e" if adjoins => Kind::Escape,
        "b" | "x" if adjoins => Kind::Bits,
        "u" if !adjoins && sql[..at].ends_with(&format!("{word}&")) => Kind::Unicode,
        _ => Kind::Plain,
    }
}

fn has_escaped_quote(literal: &str) -> bool {
    let mut bytes = literal.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && bytes.next() == Some(b'\'') {
            return true;
        }
    }
    false
}

/// How long a text in quotes is; all of the rest when it does not end.
fn quoted(text: &str, has_escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'\\' if has_escapes => 2,
            _ if byte == quote && bytes.get(at + 1) == Some(&quote) => 2,
            _ if byte == quote => return at + 1,
            _ => 1,
        };
    }
    text.len()
}

/// How long a comment is, with those inside it.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// How long a text between dollars is; one where there is none.
fn dollar_quoted(text: &str) -> usize {
    let tag = text[1..].bytes().take_while(|&byte| is_name_part(byte) && byte != b'$').count();
    let starts_well = text.as_bytes().get(1).is_some_and(|&byte| is_name_start(byte) || byte == b'$');
    if !starts_well || text.as_bytes().get(tag + 1) != Some(&b'$') {
        return 1;
    }
    let mark = &text[..tag + 2];
    text[mark.len()..].find(mark).map_or(text.len(), |end| end + 2 * mark.len())
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Rules = Rules { conforming: false, warns: true, quotes: true };

    fn conformed(sql: &str) -> String {
        conform(sql, OFF).unwrap().sql
    }

    #[test]
    fn plain_strings_say_what_their_escapes_mean() {
        for (given, expected) in [
            (r"SELECT 'a\'b', 'c''d\t'", "SELECT 'a''b', 'c''d\t'"),
            (r"SELECT '\\', '\101', '\x41', '\u00e9'", "SELECT '\\', 'A', 'A', 'é'"),
            (r"SELECT date'2024\-01-01'", "SELECT date'2024-01-01'"),
            (r"SELECT E'\n', B'1', '-- \'', 1", r"SELECT E'\n', B'1', '-- ''', 1"),
            (r#"SELECT "a\" -- it's \"#, r#"SELECT "a\" -- it's \"#),
            (r"/* '\' /* */ ' */ '\\'", r"/* '\' /* */ ' */ '\'"),
            (r"DO $a$ '\n' $$ $a$, $1, 'é\''", r"DO $a$ '\n' $$ $a$, $1, 'é'''"),
            (r"SELECT a$b$, '\z' $b$", r"SELECT a$b$, 'z' $b$"),
            (r"SELECT 'open\'", r"SELECT  E'open\'"),
            ("", ""),
        ] {
            assert_eq!(conformed(given), expected, "{given}");
        }
    }

    #[test]
    fn each_string_warns_of_its_first_escape() {
        let warnings = conform(r"SELECT '\n\'', 'é', '\'\n', '\\n', E'\n'", OFF).unwrap().warnings;
        let said: Vec<_> =
            warnings.iter().map(|error| (error.message().to_owned(), error.fields().position)).collect();
        let expected = [
            ("nonstandard use of escape in a string literal", 8),
            ("nonstandard use of \\' in a string literal", 21),
            ("nonstandard use of \\\\ in a string literal", 29),
        ];
        assert_eq!(said, expected.map(|(message, at)| (message.to_owned(), Some(at))));
        assert!(conform(r"SELECT '\n'", Rules { warns: false, ..OFF }).unwrap().warnings.is_empty());
    }

    #[test]
    fn positions_are_those_of_the_original() {
        let text = conform(r"SELECT '\n\n', '\t' x y", OFF).unwrap();
        let at = text.sql.find(" y").unwrap() as u32 + 2;
        let error = text.located(Error::new(SqlState::SYNTAX_ERROR, "").position(at));
        assert_eq!(error.fields().position, Some(23));
        let before = text.located(Error::new(SqlState::SYNTAX_ERROR, "").position(3));
        assert_eq!(before.fields().position, Some(3));
    }

    #[test]
    fn what_is_unsafe_is_refused() {
        let refused = |sql: &str, rules: Rules| conform(sql, rules).unwrap_err().message().to_owned();
        let strict = Rules { conforming: true, warns: true, quotes: false };
        assert_eq!(refused(r"SELECT E'\''", strict), "unsafe use of \\' in a string literal");
        assert_eq!(
            refused(r"SELECT '\''", Rules { quotes: false, ..OFF }),
            "unsafe use of \\' in a string literal"
        );
        assert!(conform(r"SELECT E'\\', '\'", strict).is_ok());
        let unicode = "unsafe use of string constant with Unicode escapes";
        assert_eq!(refused(r"SELECT U&'\0061'", OFF), unicode);
    }
}
