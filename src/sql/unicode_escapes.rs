//! Unicode escapes that sqlparser does not read: `E'\ud83d\ude00'`, `U&'\D83D\DE00'`, `U&'d!0061t' UESCAPE '!'` and
//! `U&"d\0061t"`.
//!
//! The text is given to the tokeniser with what they stand for in their places. That moves what follows, so the places of
//! the tokens are put back into the text as it was sent ([`Settled::origin`]): errors point there, and expressions are
//! stored as they stand there. Wrong escapes are left as they are, for `crate::sql::escape_errors`; what is wrong around them
//! (no end, no such escape character) is complained about here.
//!
//! Source: <https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-UESCAPE>

use std::borrow::Cow;

use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Error, Result, SqlState};

/// A text without such escapes.
pub struct Settled<'a> {
    pub text: Cow<'a, str>,
    /// Where the text goes on as it was sent, and where that stood.
    moved: Vec<(Location, Location)>,
}

impl Settled<'_> {
    /// Where something of this text stood in the text as it was sent.
    pub fn origin(&self, location: Location) -> Location {
        let count = self.moved.partition_point(|(here, _)| *here <= location);
        let Some((here, there)) = count.checked_sub(1).and_then(|last| self.moved.get(last)) else {
            return location;
        };
        let column = match location.line == here.line {
            true => location.column - here.column + there.column,
            false => location.column,
        };
        Location { line: location.line - here.line + there.line, column }
    }

    /// Whether everything stands where it stood.
    pub fn is_as_sent(&self) -> bool {
        self.moved.is_empty()
    }
}

/// The text with characters for such escapes.
///
/// 42601 for a character of UESCAPE that cannot be one, and for a literal without an end.
pub fn settle(sql: &str) -> Result<Settled<'_>> {
    if !may_have(sql) {
        return Ok(Settled { text: Cow::Borrowed(sql), moved: Vec::new() });
    }
    let start = Location { line: 1, column: 1 };
    let mut reader = Reader {
        text: sql.chars().collect(),
        at: 0,
        read: String::with_capacity(sql.len()),
        sent: start,
        written: start,
        moved: Vec::new(),
        wrong: None,
    };
    while reader.at < reader.text.len() {
        reader.step();
    }
    match reader.wrong {
        None => Ok(Settled { text: Cow::Owned(reader.read), moved: reader.moved }),
        Some(wrong) => Err(wrong),
    }
}

/// Whether a look at all of it is worth the time.
fn may_have(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    bytes.windows(3).any(|near| {
        matches!(near, [b'u' | b'U', b'&', b'\'' | b'"'] | [b'\\', b'u', b'd' | b'D'] | [b'\\', b'U', b'0'])
    })
}

struct Reader {
    text: Vec<char>,
    at: usize,
    read: String,
    /// The place of the next character in the text as it was sent.
    sent: Location,
    /// The place of the next character that is written.
    written: Location,
    moved: Vec<(Location, Location)>,
    /// The first complaint.
    wrong: Option<Error>,
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
        for _ in 0..count {
            let Some(found) = self.peek(0) else { break };
            self.write(found);
            self.skip(1);
        }
    }

    fn write(&mut self, found: char) {
        self.read.push(found);
        advance(&mut self.written, found);
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            let Some(found) = self.peek(0) else { break };
            advance(&mut self.sent, found);
            self.at += 1;
        }
    }

    /// Notes that what is written next stood here.
    fn note(&mut self) {
        self.moved.push((self.written, self.sent));
    }

    /// Complains about the characters from one place to another.
    fn complain(&mut self, what: &str, from: usize, to: usize) {
        let near = self.text.get(from..to).unwrap_or_default().iter().collect::<String>();
        let position = u32::try_from(from + 1).unwrap_or(u32::MAX);
        let error = Error::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{near}\""));
        self.wrong.get_or_insert_with(|| error.position(position));
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
            (Some(quote @ ('\'' | '"')), ..) => {
                let length = self.quoted(self.at, quote).unwrap_or(self.text.len() - self.at);
                self.keep(length);
            }
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

    /// The length of what stands between two quotes, with them; `None` where it has no end.
    fn quoted(&self, open: usize, quote: char) -> Option<usize> {
        let mut at = open + 1;
        while let Some(&found) = self.text.get(at) {
            at += 1;
            if found == quote {
                if self.text.get(at) != Some(&quote) {
                    return Some(at - open);
                }
                at += 1;
            }
        }
        None
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
        let mut is_changed = false;
        while let Some(first) = self.peek(0) {
            match (first, self.peek(1)) {
                ('\'', Some('\'')) => self.keep(2),
                ('\'', _) => {
                    self.keep(1);
                    break;
                }
                ('\\', _) => match self.pair() {
                    Some((found, length)) => {
                        self.write(found);
                        self.skip(length);
                        is_changed = true;
                    }
                    None => self.keep(2),
                },
                _ => self.keep(1),
            }
        }
        if is_changed {
            self.note();
        }
    }

    /// The character of two escapes that are halves of it, and their length.
    fn pair(&self) -> Option<(char, usize)> {
        let (first, length) = self.code(self.at)?;
        let (second, more) = self.code(self.at + length)?;
        Some((joined(first, second)?, length + more))
    }

    /// The code of `\uXXXX` or `\UXXXXXXXX` at a place, and its length.
    fn code(&self, at: usize) -> Option<(u32, usize)> {
        match (self.text.get(at)?, self.text.get(at + 1)?) {
            ('\\', 'u') => Some((digits(&self.text, at + 2, 4)?, 6)),
            ('\\', 'U') => Some((digits(&self.text, at + 2, 8)?, 10)),
            _ => None,
        }
    }

    /// `U&'...'` and `U&"..."`, with UESCAPE behind it if that stands there.
    fn unicode(&mut self, quote: char) {
        let open = self.at + 2;
        let Some(length) = self.quoted(open, quote) else {
            let kind = if quote == '"' { "identifier" } else { "string" };
            self.complain(&format!("unterminated quoted {kind}"), self.at, self.text.len());
            return self.keep(self.text.len() - self.at);
        };
        let end = open + length;
        let (escape, behind) = self.uescape(end).unwrap_or(('\\', end));
        if !is_escape(escape) {
            self.complain("invalid Unicode escape character", behind - 3, behind);
        }
        let content = self.text.get(open + 1..end - 1).and_then(|content| decoded(content, quote, escape));
        let Some(content) = content else { return self.keep(end - self.at) };
        if self.read.ends_with(quote) {
            // Or the two would be one.
            self.write(' ');
            self.note();
        }
        let content = content.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{content}{quote}").chars().for_each(|found| self.write(found));
        self.skip(behind - self.at);
        self.note();
        if behind > end {
            self.write(' ');
            self.note();
        }
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

/// Moves a place behind a character, as the tokeniser counts.
pub fn advance(place: &mut Location, found: char) {
    match found {
        '\n' => *place = Location { line: place.line + 1, column: 1 },
        _ => place.column += 1,
    }
}

fn is_of_name(found: char) -> bool {
    found.is_ascii_alphanumeric() || found == '_' || !found.is_ascii()
}

/// Whether a character may begin escapes.
fn is_escape(found: char) -> bool {
    !(found.is_ascii_hexdigit() || found.is_whitespace() || matches!(found, '+' | '\'' | '"'))
}

/// The number of so many hexadecimal digits, eight at most.
fn digits(text: &[char], at: usize, count: usize) -> Option<u32> {
    let digits = text.get(at..at + count)?;
    digits.iter().try_fold(0, |code, digit| Some(code * 16 + digit.to_digit(16)?))
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
                let code = digits(content, at + skipped, count)?;
                at += skipped + count;
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
    use super::*;

    fn read(sql: &str) -> String {
        settle(sql).expect("characters that escapes may begin with").text.into_owned()
    }

    #[test]
    fn escapes_become_characters() {
        assert_eq!(read(r"SELECT E'\ud83d\ude00', 1"), "SELECT E'😀', 1");
        assert_eq!(read(r"SELECT U&'d\0061t\+000061' x"), "SELECT 'data' x");
        assert_eq!(read(r"U&'\D83D\DE00'"), "'😀'");
        assert_eq!(read("U&'d!0061t\\' UESCAPE '!';"), "'dat\\' ;");
        assert_eq!(read("u&\"d*0061t\" uescape '*'"), "\"dat\" ");
        assert_eq!(read(r"U&'a\000Ab'"), "'a\nb'");
        assert_eq!(read(r"'x'U&'\0061'"), "'x' 'a'");
    }

    #[test]
    fn places_are_those_of_the_text_as_it_was_sent() {
        let origin = |sql: &str, (line, column)| {
            let found = settle(sql).expect("right escapes").origin(Location { line, column });
            (found.line, found.column)
        };
        // Before, at the end, and behind.
        let sql = r"SELECT U&'d\0061t', 1";
        assert_eq!([(1, 8), (1, 13), (1, 15)].map(|at| origin(sql, at)), [(1, 8), (1, 19), (1, 21)]);
        // `'x<newline><newline>y', 1` is a line shorter where it was sent.
        let sql = "U&'x\n\\000Ay', 1\n2";
        assert_eq!([(3, 3), (3, 5), (4, 1)].map(|at| origin(sql, at)), [(2, 8), (2, 10), (3, 1)]);
        let sql = "U&'!0061'\nUESCAPE '!' b";
        assert_eq!([(1, 4), (1, 6)].map(|at| origin(sql, at)), [(2, 12), (2, 13)]);
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
            r"E'\ud83d\",
        ] {
            assert_eq!(read(sql), sql);
        }
    }

    #[test]
    fn complaints() {
        let complaint = |sql: &str| {
            let error = settle(sql).err().expect("a complaint");
            (error.message().to_owned(), error.fields().position)
        };
        let expected = |message: &str, position| (message.to_owned(), Some(position));
        assert_eq!(
            complaint("SELECT U&'a' UESCAPE '+'"),
            expected("invalid Unicode escape character at or near \"'+'\"", 22)
        );
        for sql in ["U&'", "U&'a", "U&'''"] {
            let message = format!("unterminated quoted string at or near \"{sql}\"");
            assert_eq!(complaint(&format!("SELECT {sql}")), expected(&message, 8));
        }
        assert_eq!(
            complaint("U&\"\"\""),
            expected("unterminated quoted identifier at or near \"U&\"\"\"\"", 1)
        );
    }
}
