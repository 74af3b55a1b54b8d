//! The CSV format, inwards.
//!
//! A record ends at a newline outside quotes. A quoted field is never NULL unless FORCE_NULL says so; an unquoted one
//! is when it equals the NULL string unless FORCE_NOT_NULL says otherwise.

use std::ops::Range;

use crate::error::Result;
use crate::sql::copy::fields::{Fields, Pending, bad_format};
use crate::sql::copy::options::Options;

#[derive(Debug, Default)]
pub struct CsvDecoder {
    pub pending: Pending,
    /// Of `pending`, already searched; and whether that point lies in quotes.
    searched: usize,
    quoted: bool,
    pub line: Range<usize>,
    pub line_number: u64,
    newlines: u64,
    ended: bool,
}

impl CsvDecoder {
    /// The next record's fields; `None` when more data is needed, or with `last` when there is none.
    pub fn next(&mut self, options: &Options, fields: &mut Fields, last: bool) -> Result<Option<()>> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.next_record(options, last)? else { return Ok(None) };
        self.line_number += 1 + std::mem::take(&mut self.newlines);
        self.line = line.clone();
        if self.pending.get(line.clone()) == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        fields.clear();
        split(self.pending.get(line), options, fields)?;
        Ok(Some(()))
    }

    fn next_record(&mut self, options: &Options, last: bool) -> Result<Option<Range<usize>>> {
        let rest = self.pending.rest();
        let mut at = self.searched;
        let mut quoted = self.quoted;
        while at < rest.len() {
            let byte = rest[at];
            if quoted && byte == options.escape && options.escape != options.quote {
                // The escape and what it escapes may lie in two pieces.
                if at + 1 == rest.len() && !last {
                    break;
                }
                at += 2;
                continue;
            }
            if byte == options.quote {
                quoted = !quoted;
            } else if byte == b'\n' && quoted {
                self.newlines += 1;
            } else if byte == b'\n' {
                (self.searched, self.quoted) = (0, false);
                let line = self.pending.take(at + 1);
                return Ok(Some(self.trimmed(line.start..line.end - 1)));
            }
            at += 1;
        }
        if !last {
            (self.searched, self.quoted) = (at.min(rest.len()), quoted);
            return Ok(None);
        }
        if rest.is_empty() {
            return Ok(None);
        }
        if quoted {
            self.line_number += 1;
            return Err(bad_format("unterminated CSV quoted field"));
        }
        let length = rest.len();
        (self.searched, self.quoted) = (0, false);
        let line = self.pending.take(length);
        Ok(Some(self.trimmed(line)))
    }

    fn trimmed(&self, line: Range<usize>) -> Range<usize> {
        match self.pending.get(line.clone()).last() {
            Some(b'\r') => line.start..line.end - 1,
            _ => line,
        }
    }
}

fn split(line: &[u8], options: &Options, fields: &mut Fields) -> Result<()> {
    let mut at = 0;
    loop {
        let start = fields.bytes.len();
        let mut was_quoted = false;
        let mut in_quotes = false;
        while at < line.len() {
            let byte = line[at];
            if in_quotes {
                let next = line.get(at + 1).copied();
                if byte == options.escape
                    && next.is_some_and(|next| next == options.quote || next == options.escape)
                {
                    fields.bytes.extend(next);
                    at += 2;
                    continue;
                }
                if byte == options.quote {
                    in_quotes = false;
                } else {
                    fields.bytes.push(byte);
                }
            } else if byte == options.quote {
                (was_quoted, in_quotes) = (true, true);
            } else if byte == options.delimiter {
                break;
            } else {
                fields.bytes.push(byte);
            }
            at += 1;
        }
        if in_quotes {
            return Err(bad_format("unterminated CSV quoted field"));
        }
        let index = fields.len();
        let forced = |columns: &[bool]| columns.get(index).copied().unwrap_or(false);
        let equals_null = &fields.bytes[start..] == options.null.as_bytes();
        let is_null = match was_quoted {
            true => forced(&options.force_null),
            false => !forced(&options.force_not_null),
        };
        let is = |marker: &String| !was_quoted && &fields.bytes[start..] == marker.as_bytes();
        if equals_null && is_null {
            fields.null();
        } else if options.default.as_ref().is_some_and(is) {
            fields.bytes.truncate(start);
            fields.of_column();
        } else {
            fields.end(start);
        }
        if at >= line.len() {
            return Ok(());
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::encodings::Encoding;
    use crate::sql::statement::{CopyEncoding, CopyOptions};

    fn rows(pieces: &[&str]) -> Vec<Vec<Option<String>>> {
        let given = CopyOptions { format: CopyEncoding::Csv, ..CopyOptions::default() };
        let options = Options::new(&given, true, &[], Encoding::UTF8).unwrap();
        let (mut decoder, mut fields, mut rows) = (CsvDecoder::default(), Fields::default(), Vec::new());
        let mut drain = |decoder: &mut CsvDecoder, last| {
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

    #[test]
    fn records_cut_anywhere_are_the_same_records() {
        let some = |text: &str| Some(text.to_string());
        let text = "1,\"a,\"\"b\"\"\nc\",\n2,\"\",x\r\n3,y,z";
        let expected = vec![
            vec![some("1"), some("a,\"b\"\nc"), None],
            vec![some("2"), some(""), some("x")],
            vec![some("3"), some("y"), some("z")],
        ];
        for cut in 0..text.len() {
            assert_eq!(rows(&[&text[..cut], &text[cut..]]), expected, "cut at {cut}");
        }
    }
}
