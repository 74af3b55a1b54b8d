//! Unicode escapes that sqlparser does not read: `E'\ud83d\ude00'`, `U&'\D83D\DE00'`, `U&'d!0061t' UESCAPE '!'` and
//! `U&"d\0061t"`.
//!
//! The text is given to the tokeniser with what they stand for in their places. Blanks behind a literal keep everything on
//! its line where it stood, so that errors find their places in the text as it was sent. What is wrong is left as it is,
//! and complained about by `crate::sql::escape_errors`.
//!
//! Source: <https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-UESCAPE>

use std::borrow::Cow;

use crate::error::{Error, Result, SqlState};

/// The text with characters for such escapes.
///
/// 42601 for a character of UESCAPE that cannot be one.
pub fn settle(sql: &str) -> Result<Cow<'_, str>> {
    if !may_have(sql) {
        return Ok(Cow::Borrowed(sql));
    }
    let mut reader =
        Reader { text: sql.chars().collect(), at: 0, read: String::with_capacity(sql.len()), wrong: None };
    while reader.at < reader.text.len() {
        reader.step();
    }
    match reader.wrong {
        None => Ok(Cow::Owned(reader.read)),
        Some(at) => {
            let escape = reader.text.get(at..at + 3).unwrap_or_default().iter().collect::<String>();
            let message = format!("invalid Unicode escape character at or near \"{escape}\"");
            let position = u32::try_from(at + 1).unwrap_or(u32::MAX);
            Err(Error::new(SqlState::SYNTAX_ERROR, message).position(position))
        }
    }
}

/// Whether a look at all of it is worth the time.
fn may_have(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    bytes.windows(4).any(|near| {
        matches!(
            near,
            [b'u' | b'U', b'&', b'\'' | b'"', _]
                | [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']
                | [b'\\', b'U', b'0', b'0']
        )
    })
}

struct Reader {
    text: Vec<char>,
    at: usize,
    read: String,
    /// Where a character stands that no escape begins with.
    wrong: Option<usize>,
}

impl Reader {
    fn peek(&self, distance: usize) -> Option<char> {
        self.text.get(self.at + distance).copied()
    }

    /// Whether a name or a number goes on to here.
    fn is_within_word(&self) -> bool {
        self.at
            .checked_sub(1)
            .and_then(|before| self.text.get(before))
            .is_some_and(|&before| is_of_name(before))
    }

    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.text.len());
        self.read.extend(&self.text[self.at..end]);
        self.at = end;
    }

    fn step(&mut self) {
        let is_word = self.is_within_word();
        match (self.peek(0), self.peek(1), self.peek(2)) {
            (Some('-'), Some('-'), _) => {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|&found| found == '\n').unwrap_or(rest.len());
                self.keep(length);
            }
            (Some('/'), Some('*'), _) => self.keep(self.comment()),
            (Some('E' | 'e'), Some('\''), _) if !is_word => self.escaped(),
            (Some('U' | 'u'), Some('&'), Some(quote @ ('\'' | '"'))) if !is_word => self.unicode(quote),
            (Some(quote @ ('\'' | '"')), ..) => self.keep(self.quoted(self.at, quote)),
            (Some('$'), ..) if !is_word => self.keep(self.dollars()),
            _ => self.keep(1),
        }
    }

    /// The length of a comment, with those in it.
    fn comment(&self) -> usize {
        let (mut depth, mut at) = (0, self.at);
        while let Some(&first) = self.text.get(at) {
            match (first, self.text.get(at + 1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if depth == 0 {
                break;
            }
        }
        at - self.at
    }

    /// The length of what stands between two quotes, from the first of them on.
    fn quoted(&self, open: usize, quote: char) -> usize {
        let mut at = open + 1;
        while let Some(&found) = self.text.get(at) {
            at += 1;
            if found == quote {
                if self.text.get(at) != Some(&quote) {
                    break;
                }
                at += 1;
            }
        }
        at - open
    }

    /// The length of a text in dollar quotes; of anything else, one.
    fn dollars(&self) -> usize {
        let rest = &self.text[self.at..];
        let Some(end) = rest.iter().skip(1).position(|&found| found == '$') else { return 1 };
        let tag = &rest[..end + 2];
        let inner = &tag[1..tag.len() - 1];
        if !inner.iter().all(|&found| is_of_name(found)) || inner.first().is_some_and(char::is_ascii_digit) {
            return 1;
        }
        let body = &rest[tag.len()..];
        let close = body.windows(tag.len()).position(|near| near == tag);
        close.map_or(rest.len(), |close| tag.len() + close + tag.len())
    }

    /// `E'...'` with characters for pairs of surrogates.
    fn escaped(&mut self) {
        self.keep(2);
        // How many characters are missing on this line.
        let mut missing = 0;
        while let Some(first) = self.peek(0) {
            match (first, self.peek(1)) {
                ('\'', Some('\'')) => self.keep(2),
                ('\'', _) => {
                    self.keep(1);
                    break;
                }
                ('\\', _) => match self.pair() {
                    Some((found, length)) => {
                        self.read.push(found);
                        self.at += length;
                        missing += length - 1;
                    }
                    None => self.keep(2),
                },
                ('\n', _) => {
                    missing = 0;
                    self.keep(1);
                }
                _ => self.keep(1),
            }
        }
        self.read.extend(std::iter::repeat_n(' ', missing));
    }

    /// The character of two escapes that are halves of it, and their length.
    fn pair(&self) -> Option<(char, usize)> {
        let (first, length) = self.code(self.at)?;
        let (second, more) = self.code(self.at + length)?;
        Some((joined(first, second)?, length + more))
    }

    /// `\uXXXX`, `\UXXXXXXXX`
    fn code(&self, at: usize) -> Option<(u32, usize)> {
        match (self.text.get(at)?, self.text.get(at + 1)?) {
            ('\\', 'u') => Some((self.digits(at + 2, 4)?, 6)),
            ('\\', 'U') => Some((self.digits(at + 2, 8)?, 10)),
            _ => None,
        }
    }

    fn digits(&self, at: usize, count: usize) -> Option<u32> {
        let digits = self.text.get(at..at + count)?;
        digits.iter().try_fold(0u32, |code, digit| code.checked_mul(16)?.checked_add(digit.to_digit(16)?))
    }

    /// `U&'...'` and `U&"..."`, with UESCAPE behind it if that stands there.
    fn unicode(&mut self, quote: char) {
        let open = self.at + 2;
        let end = open + self.quoted(open, quote);
        let (escape, behind) = self.uescape(end).unwrap_or(('\\', end));
        if !is_escape(escape) {
            self.wrong = self.wrong.or(Some(behind - 3));
        }
        let found = self.text.get(open + 1..end - 1).and_then(|content| decoded(content, quote, escape));
        let is_closed = end - open > 1 && self.text.get(end - 1) == Some(&quote);
        let Some(content) = found.filter(|_| is_closed) else {
            return self.keep(end - self.at);
        };
        let lines = |text: &[char]| text.iter().filter(|&&found| found == '\n').count();
        let source = &self.text[self.at..end];
        let has_lines = content.chars().filter(|&found| found == '\n').count() != lines(source);
        let written = match has_lines && quote == '\'' {
            // Lines that were escapes stay so.
            true => {
                let text = content.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
                format!("E'{text}'")
            }
            false => format!("{quote}{}{quote}", content.replace(quote, &format!("{quote}{quote}"))),
        };
        let last = |text: &[char]| text.iter().rev().take_while(|&&found| found != '\n').count();
        let missing = last(source).saturating_sub(last(&written.chars().collect::<Vec<_>>()));
        self.read.push_str(&written);
        self.read.extend(std::iter::repeat_n(' ', missing));
        let blank = |&found: &char| if found.is_whitespace() { found } else { ' ' };
        self.read.extend(self.text[end..behind].iter().map(blank));
        self.at = behind;
    }

    /// The character of UESCAPE that stands from a place on, and the place behind it.
    fn uescape(&self, mut at: usize) -> Option<(char, usize)> {
        let blanks = |from: usize| self.text[from..].iter().take_while(|found| found.is_whitespace()).count();
        at += blanks(at);
        for letter in "UESCAPE".chars() {
            self.text.get(at).filter(|found| found.eq_ignore_ascii_case(&letter))?;
            at += 1;
        }
        at += blanks(at);
        match self.text.get(at..at + 3)? {
            ['\'', escape, '\''] => Some((*escape, at + 3)),
            _ => None,
        }
    }
}

fn is_of_name(found: char) -> bool {
    found.is_ascii_alphanumeric() || found == '_' || !found.is_ascii()
}

/// Whether a character may begin escapes.
fn is_escape(found: char) -> bool {
    !(found.is_ascii_hexdigit() || found.is_whitespace() || matches!(found, '+' | '\'' | '"'))
}

/// The character of two surrogates.
fn joined(first: u32, second: u32) -> Option<char> {
    match (first, second) {
        (0xD800..=0xDBFF, 0xDC00..=0xDFFF) => {
            char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        }
        _ => None,
    }
}

/// What stands between quotes, without escapes; `None` where one is wrong.
fn decoded(content: &[char], quote: char, escape: char) -> Option<String> {
    let mut text = String::with_capacity(content.len());
    let mut at = 0;
    // The first of two surrogates.
    let mut half = None;
    while let Some(&found) = content.get(at) {
        let next = content.get(at + 1);
        let code = match (found, next) {
            (found, Some(next)) if found == quote && *next == quote => {
                text.push(quote);
                at += 2;
                None
            }
            (found, Some(next)) if found == escape && *next == escape => {
                text.push(escape);
                at += 2;
                None
            }
            (found, next) if found == escape => {
                let (skipped, count) = if next == Some(&'+') { (2, 6) } else { (1, 4) };
                let digits = content.get(at + skipped..at + skipped + count)?;
                at += skipped + count;
                let code =
                    digits.iter().try_fold(0u32, |code, digit| Some(code * 16 + digit.to_digit(16)?))?;
                Some(code)
            }
            (found, _) => {
                text.push(found);
                at += 1;
                None
            }
        };
        half = match (half, code) {
            (None, None) => None,
            (None, Some(code @ 0xD800..=0xDBFF)) => Some(code),
            (None, Some(code)) => {
                text.push(char::from_u32(code).filter(|&found| found != '\0')?);
                None
            }
            (Some(first), Some(second)) => {
                text.push(joined(first, second)?);
                None
            }
            (Some(_), None) => return None,
        };
    }
    half.is_none().then_some(text)
}

#[cfg(test)]
mod tests {
    fn read(sql: &str) -> String {
        super::settle(sql).expect("characters that escapes may begin with").into_owned()
    }

    #[test]
    fn escapes_become_characters_and_nothing_moves() {
        assert_eq!(read(r"SELECT E'\ud83d\ude00', 1"), "SELECT E'😀'           , 1");
        assert_eq!(read(r"SELECT U&'d\0061t\+000061' x"), "SELECT 'data'             x");
        assert_eq!(read(r"U&'\D83D\DE00'"), "'😀'          ");
        assert_eq!(read("U&'d!0061t\\' UESCAPE '!';"), "'dat\\'                  ;");
        assert_eq!(read("u&\"d*0061t\" uescape '*'"), "\"dat\"                  ");
        assert_eq!(read(r"U&'a\000Ab'"), r"E'a\nb'    ");
    }

    #[test]
    fn what_is_wrong_or_no_escape_stays() {
        for sql in [
            r"E'\ud83d'",
            r"U&'\D83D'",
            r"U&'\00'",
            r"$$U&'\0061'$$",
            r"'E''\ud83d\ude00'",
            r"-- U&'\0061'",
            r"/* U&'\0061' /* */ U&'\0061' */ 1",
            r"U&'a",
        ] {
            assert_eq!(read(sql), sql);
        }
    }

    #[test]
    fn characters_that_no_escape_begins_with() {
        let error = super::settle("SELECT U&'a' UESCAPE '+'").expect_err("no escape");
        assert_eq!(error.message(), "invalid Unicode escape character at or near \"'+'\"");
        assert_eq!(error.fields().position, Some(22));
    }
}
