//! Numbers as PostgreSQL's lexer reads them.
//!
//! ```text
//!   1_000.5e0_1   0x1F   0o17   0b101      numbers
//!   123abc  1_000_  0.0e  0o8              trailing junk after numeric literal
//!   0x  0o_  0b                            invalid hexadecimal, octal, binary integer
//!   $1a                                    trailing junk after parameter
//! ```
//!
//! sqlparser's tokeniser takes `123abc` for a number and its alias, `0x1F` for `X'1F'` and `0b101` for a zero and its alias,
//! and drops underscores wherever they are. What follows a number without a blank is read again from the statement's text.
//! See <https://www.postgresql.org/docs/17/sql-syntax-lexical.html#SQL-SYNTAX-CONSTANTS-NUMERIC>.

use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::sql::source::Source;

/// The tokens with PostgreSQL's numbers.
pub fn read(source: &Source, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    if !(0..tokens.len()).any(|at| is_suspect(&tokens, at)) {
        return Ok(tokens);
    }
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut end = Location { line: 0, column: 0 };
    for at in 0..tokens.len() {
        let token = &tokens[at];
        // A part of the number before.
        if token.span.start.line > 0 && is_before(token.span.start, end) {
            continue;
        }
        if !is_suspect(&tokens, at) {
            read.push(token.clone());
            continue;
        }
        let start = token.span.start;
        let rest = &source[source.byte(start)..];
        let lexeme = match &token.token {
            Token::Placeholder(_) => Some(parameter(rest)),
            _ => number(rest),
        };
        match lexeme {
            Some(Lexeme::Number { length, text }) => {
                end = Location { line: start.line, column: start.column + length as u64 };
                read.push(TokenWithSpan { token: Token::Number(text, false), span: Span::new(start, end) });
            }
            Some(Lexeme::Wrong { length, complaint }) => {
                let message = format!("{complaint} at or near \"{}\"", &rest[..length]);
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).position(source.position(start)));
            }
            None => read.push(token.clone()),
        }
    }
    Ok(read)
}

fn is_before(one: Location, other: Location) -> bool {
    (one.line, one.column) < (other.line, other.column)
}

/// Whether a token begins what the tokeniser may have read otherwise than PostgreSQL.
fn is_suspect(tokens: &[TokenWithSpan], at: usize) -> bool {
    let token = &tokens[at];
    let columns = || token.span.end.column.saturating_sub(token.span.start.column);
    match &token.token {
        Token::Number(text, is_long) => {
            *is_long
                || text.contains('_')
                || columns() != text.len() as u64
                || tokens.get(at + 1).is_some_and(|next| {
                    next.span.start == token.span.end
                        && matches!(
                            next.token,
                            Token::Word(_) | Token::Number(..) | Token::HexStringLiteral(_)
                        )
                })
        }
        // Of X'1F' it would be longer by one.
        Token::HexStringLiteral(digits) => columns() == digits.len() as u64 + 2,
        Token::Placeholder(text) => {
            let name = text.trim_start_matches('$');
            name.starts_with(|first: char| first.is_ascii_digit())
                && (!name.bytes().all(|digit| digit.is_ascii_digit())
                    || tokens.get(at + 1).is_some_and(|next| {
                        next.span.start == token.span.end && matches!(next.token, Token::Word(_))
                    }))
        }
        _ => false,
    }
}

enum Lexeme {
    Number { length: usize, text: String },
    Wrong { length: usize, complaint: &'static str },
}

const JUNK: &str = "trailing junk after numeric literal";

/// `$1` with what stands behind it.
fn parameter(rest: &str) -> Lexeme {
    let name = rest.strip_prefix('$').unwrap_or(rest);
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    let length = rest.len() - name.len() + digits + identifier(&name[digits..]);
    Lexeme::Wrong { length, complaint: "trailing junk after parameter" }
}

/// The longest of PostgreSQL's numbers, or of what it refuses, at the beginning of a text; `None` of `1..10`.
fn number(rest: &str) -> Option<Lexeme> {
    let whole = digits(rest, 10);
    if whole > 0 && rest[whole..].starts_with("..") {
        return None;
    }
    let radix = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => Some((16, "invalid hexadecimal integer")),
        [b'0', b'o' | b'O', ..] => Some((8, "invalid octal integer")),
        [b'0', b'b' | b'B', ..] => Some((2, "invalid binary integer")),
        _ => None,
    };
    // A zero and a name behind it, where that is longer.
    let junk = |length: usize| match identifier(&rest[length..]) {
        0 => None,
        more => Some(length + more),
    };
    if let Some((radix, complaint)) = radix {
        let inner = rest[2..].strip_prefix('_').unwrap_or(&rest[2..]);
        let skipped = rest.len() - inner.len();
        let length = match digits(inner, radix) {
            0 => 0,
            found => skipped + found,
        };
        let longest = junk(1).unwrap_or(0);
        return Some(match length {
            0 if longest <= skipped => Lexeme::Wrong { length: skipped, complaint },
            length if longest > length => Lexeme::Wrong { length: longest, complaint: JUNK },
            length => {
                let value =
                    num_bigint::BigUint::parse_bytes(rest[2..length].replace('_', "").as_bytes(), radix)?;
                Lexeme::Number { length, text: value.to_string() }
            }
        });
    }
    let mut length = whole;
    if rest[length..].starts_with('.') {
        let behind = digits(&rest[length + 1..], 10);
        if whole == 0 && behind == 0 {
            return None;
        }
        length += 1 + behind;
    }
    if rest[length..].starts_with(['e', 'E']) {
        let signed = rest[length + 1..].starts_with(['+', '-']);
        let from = length + 1 + usize::from(signed);
        match digits(&rest[from..], 10) {
            0 if signed => return Some(Lexeme::Wrong { length: from, complaint: JUNK }),
            0 => {}
            exponent => length = from + exponent,
        }
    }
    Some(match junk(length) {
        Some(length) => Lexeme::Wrong { length, complaint: JUNK },
        None => Lexeme::Number { length, text: rest[..length].replace('_', "") },
    })
}

/// How long the digits at the beginning of a text are, with an underscore between two of them at most.
fn digits(rest: &str, radix: u32) -> usize {
    let bytes = rest.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(|byte| char::from(*byte).is_digit(radix));
    let mut length = 0;
    loop {
        if is_digit(length) {
            length += 1;
        } else if length > 0 && bytes.get(length) == Some(&b'_') && is_digit(length + 1) {
            length += 2;
        } else {
            return length;
        }
    }
}

/// How long the name at the beginning of a text is.
fn identifier(rest: &str) -> usize {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    if !rest.starts_with(starts) {
        return 0;
    }
    let continues = |c: char| starts(c) || c.is_ascii_digit() || c == '$';
    rest.find(|c| !continues(c)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match number(text) {
            Some(Lexeme::Number { length, text: number }) => format!("{number} {}", &text[length..]),
            Some(Lexeme::Wrong { length, complaint }) => format!("{complaint}: {}", &text[..length]),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn numbers_are_as_long_as_postgresql_reads_them() {
        for (text, expected) in [
            ("123", "123 "),
            ("1_000.5e0_1+2", "1000.5e01 +2"),
            ("0x1F,", "31 ,"),
            ("0b_1_0", "2 "),
            ("1..10", "none"),
            ("123abc", "trailing junk after numeric literal: 123abc"),
            ("0x0y", "trailing junk after numeric literal: 0x0y"),
            ("0.0e", "trailing junk after numeric literal: 0.0e"),
            ("0.0e+a", "trailing junk after numeric literal: 0.0e+"),
            ("1_000._5", "trailing junk after numeric literal: 1_000._5"),
            ("100__000", "trailing junk after numeric literal: 100__000"),
            ("0b2", "trailing junk after numeric literal: 0b2"),
            ("0x", "invalid hexadecimal integer: 0x"),
            ("0o_", "invalid octal integer: 0o_"),
            ("0b", "invalid binary integer: 0b"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
