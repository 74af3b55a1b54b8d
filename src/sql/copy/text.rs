//! The text format, inwards: lines, tabs, backslashes.
//!
//! A line ends at a newline that no backslash precedes; `\.` alone ends the data. Lines without a backslash, which
//! are nearly all, are cut at their tabs and nothing else is looked at.

use std::ops::Range;

use crate::error::Result;
use crate::sql::copy::fields::{Fields, Pending};
use crate::sql::copy::options::Options;

#[derive(Debug, Default)]
pub struct TextDecoder {
    pub pending: Pending,
    /// Of `pending`, already searched for the line's end.
    searched: usize,
    pub line: Range<usize>,
    pub line_number: u64,
    ended: bool,
}

impl TextDecoder {
    /// The next line's fields; `None` when more data is needed, or with `last` when there is none.
    pub fn next(&mut self, options: &Options, fields: &mut Fields, last: bool) -> Result<Option<()>> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.next_line(last) else { return Ok(None) };
        self.line_number += 1;
        self.line = line.clone();
        if self.pending.get(line.clone()) == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        fields.clear();
        split(self.pending.get(line), options, fields);
        Ok(Some(()))
    }

    fn next_line(&mut self, last: bool) -> Option<Range<usize>> {
        let rest = self.pending.rest();
        let mut from = self.searched;
        while let Some(found) = rest[from..].iter().position(|&byte| byte == b'\n') {
            let end = from + found;
            if !escaped(rest, end) {
                self.searched = 0;
                let line = self.pending.take(end + 1);
                return Some(self.trimmed(line.start..line.end - 1));
            }
            from = end + 1;
        }
        if last && !rest.is_empty() {
            let length = rest.len();
            self.searched = 0;
            let line = self.pending.take(length);
            return Some(self.trimmed(line));
        }
        self.searched = rest.len();
        None
    }

    /// Without the carriage return of a Windows line.
    fn trimmed(&self, line: Range<usize>) -> Range<usize> {
        let bytes = self.pending.get(line.clone());
        match bytes.last() {
            Some(b'\r') if !escaped(bytes, bytes.len() - 1) => line.start..line.end - 1,
            _ => line,
        }
    }
}

/// Whether an odd number of backslashes stands before the byte.
fn escaped(bytes: &[u8], at: usize) -> bool {
    bytes[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn split(line: &[u8], options: &Options, fields: &mut Fields) {
    if !line.contains(&b'\\') {
        for field in line.split(|&byte| byte == options.delimiter) {
            push(field, options, fields);
        }
        return;
    }
    let mut start = 0;
    let mut at = 0;
    while at <= line.len() {
        if at == line.len() || line[at] == options.delimiter {
            let field = &line[start..at];
            if !fields.mark(field, options) {
                let begin = fields.bytes.len();
                unescape(field, &mut fields.bytes);
                fields.end(begin);
            }
            start = at + 1;
        } else if line[at] == b'\\' {
            at += 1;
        }
        at += 1;
    }
    // A backslash at the very end was stepped over together with the end.
    if start < line.len() {
        let begin = fields.bytes.len();
        unescape(&line[start..], &mut fields.bytes);
        fields.end(begin);
    }
}

fn push(field: &[u8], options: &Options, fields: &mut Fields) {
    if fields.mark(field, options) {
        return;
    }
    let start = fields.bytes.len();
    fields.bytes.extend_from_slice(field);
    fields.end(start);
}

/// `\b \f \n \r \t \v`, `\123` (octal), `\x4a`; any other character stands for itself.
fn unescape(field: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < field.len() {
        let byte = field[at];
        at += 1;
        if byte != b'\\' || at == field.len() {
            out.push(byte);
            continue;
        }
        let code = field[at];
        at += 1;
        out.push(match code {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let (value, used) = number(&field[at - 1..], 8, 3);
                at += used - 1;
                value
            }
            b'x' if field.get(at).is_some_and(u8::is_ascii_hexdigit) => {
                let (value, used) = number(&field[at..], 16, 2);
                at += used;
                value
            }
            other => other,
        });
    }
}

/// Up to `digits_max` digits; their value and count.
fn number(bytes: &[u8], base: u32, digits_max: usize) -> (u8, usize) {
    let digits = bytes.iter().take(digits_max).map_while(|&byte| char::from(byte).to_digit(base));
    let (value, count) = digits.fold((0, 0), |(value, count), digit| (value * base + digit, count + 1));
    (value as u8, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::encodings::Encoding;
    use crate::sql::statement::CopyOptions;

    fn rows(pieces: &[&str]) -> Vec<Vec<Option<String>>> {
        let options = Options::new(&CopyOptions::default(), true, &[], Encoding::UTF8).unwrap();
        let (mut decoder, mut fields, mut rows) = (TextDecoder::default(), Fields::default(), Vec::new());
        let mut drain = |decoder: &mut TextDecoder, last| {
            while decoder.next(&options, &mut fields, last).unwrap().is_some() {
                let cell = |n| fields.get(n).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                rows.push((0..fields.len()).map(cell).collect());
            }
        };
        for piece in pieces {
            decoder.pending.push(piece.as_bytes());
            drain(&mut decoder, false);
        }
        drain(&mut decoder, true);
        rows
    }

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn lines_cut_anywhere_are_the_same_lines() {
        let text = "1\ta\\tb\t\\N\n2\tx\\\ny\tz\\\\\r\n3\t\\x41\\101\t\n";
        let expected = vec![
            vec![some("1"), some("a\tb"), None],
            vec![some("2"), some("x\ny"), some("z\\")],
            vec![some("3"), some("AA"), some("")],
        ];
        for cut in 0..text.len() {
            assert_eq!(rows(&[&text[..cut], &text[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn the_end_marker_ends() {
        assert_eq!(rows(&["1\n\\.\n2\n"]), vec![vec![some("1")]]);
        assert_eq!(rows(&["1\n2"]), vec![vec![some("1")], vec![some("2")]]);
        assert_eq!(rows(&["a\\"]), vec![vec![some("a\\")]]);
    }
}
