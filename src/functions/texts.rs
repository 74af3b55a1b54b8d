//! Longer pieces of `strings`: what a text is read as, and a text in the place of another.

use crate::error::{Error, Result, SqlState};
use crate::types::{Numeric, Value, numeric};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// `overlay(x PLACING y FROM start FOR count)`, in characters.
pub fn overlay(input: &str, new: &str, start: i64, count: i64) -> Result<Value> {
    let behind = behind(start, count)?;
    let before: String = input.chars().take((start - 1) as usize).collect();
    let after: String = input.chars().skip(behind).collect();
    Ok(Value::Text(before + new + &after))
}

/// How many stand before what an overlay leaves at the end.
pub fn behind(start: i64, count: i64) -> Result<usize> {
    if start <= 0 {
        return Err(Error::new(SqlState("22011"), "negative substring length not allowed"));
    }
    Ok(usize::try_from(start.saturating_add(count) - 1).unwrap_or(0))
}

/// `\0041`, `\+000041`, `\u0041` and `\U00000041` as the characters they name.
pub fn unistr(input: &str) -> Result<String> {
    let refuse = |message: &str| Error::new(SqlState::SYNTAX_ERROR, message);
    let escape = || {
        refuse("invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::with_capacity(input.len());
    let mut high: Option<u32> = None;
    let mut rest = input;
    while let Some(c) = rest.chars().next() {
        if c != '\\' || rest.starts_with("\\\\") {
            if high.is_some() {
                return Err(refuse("invalid Unicode surrogate pair"));
            }
            out.push(c);
            rest = &rest[if c == '\\' { 2 } else { c.len_utf8() }..];
            continue;
        }
        let (skipped, digits) = match rest[1..].chars().next() {
            Some('+') => (2, 6),
            Some('u') => (2, 4),
            Some('U') => (2, 8),
            _ => (1, 4),
        };
        let hex =
            rest.get(skipped..skipped + digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(escape)?;
        rest = &rest[skipped + digits..];
        let code = match (high.take(), code) {
            (None, 0xD800..=0xDBFF) => {
                high = Some(code);
                continue;
            }
            (None, code) => code,
            (Some(high), 0xDC00..=0xDFFF) => 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00),
            (Some(_), _) => return Err(refuse("invalid Unicode surrogate pair")),
        };
        match code {
            0xDC00..=0xDFFF => return Err(refuse("invalid Unicode surrogate pair")),
            code => {
                let c = char::from_u32(code).filter(|c| *c != '\0');
                out.push(c.ok_or_else(|| invalid(format!("invalid Unicode code point: {code:04X}")))?);
            }
        }
    }
    match high {
        Some(_) => Err(refuse("invalid Unicode surrogate pair")),
        None => Ok(out),
    }
}

/// The parts of a qualified name as PostgreSQL reads it; what follows them is an error if it is to be read strictly.
pub fn parse_ident(input: &str, strict: bool) -> Result<Value> {
    let refuse = || invalid(format!("string is not a valid identifier: \"{input}\""));
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let mut parts = Vec::new();
    let mut rest = input.trim_start_matches(is_space);
    let mut behind_dot = false;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut inside = quoted.char_indices().peekable();
            let end = loop {
                match inside.next() {
                    None => return Err(refuse().detail("String has unclosed double quotes.")),
                    Some((at, '"')) => match inside.next_if(|(_, next)| *next == '"') {
                        Some(_) => name.push('"'),
                        None => break at,
                    },
                    Some((_, c)) => name.push(c),
                }
            };
            if name.is_empty() {
                return Err(refuse().detail("Quoted identifier must not be empty."));
            }
            parts.push(Value::Text(name));
            rest = &quoted[end + 1..];
        } else if rest.starts_with(starts) {
            let end =
                rest.find(|c: char| !(starts(c) || c.is_ascii_digit() || c == '$')).unwrap_or(rest.len());
            parts.push(Value::Text(rest[..end].to_ascii_lowercase()));
            rest = &rest[end..];
        } else {
            return Err(match (rest.starts_with('.'), behind_dot) {
                (true, _) => refuse().detail("No valid identifier before \".\"."),
                (_, true) => refuse().detail("No valid identifier after \".\"."),
                _ => refuse(),
            });
        }
        rest = rest.trim_start_matches(is_space);
        match rest.strip_prefix('.') {
            Some(after) => {
                behind_dot = true;
                rest = after.trim_start_matches(is_space);
            }
            None if rest.is_empty() || !strict => return Ok(Value::Array(parts)),
            None => return Err(refuse()),
        }
    }
}

/// `1.5 GB` in bytes.
pub fn size_in_bytes(input: &str) -> Result<i64> {
    let refuse = || invalid(format!("invalid size: \"{input}\""));
    let trimmed = input.trim_matches(|c: char| c.is_ascii_whitespace());
    let is_number = |(at, c): (usize, char)| {
        let exponent = matches!(c, 'e' | 'E')
            && trimmed[at + 1..].trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
        let sign = matches!(c, '+' | '-') && (at == 0 || trimmed[..at].ends_with(['e', 'E']));
        c.is_ascii_digit() || c == '.' || exponent || sign
    };
    let end = trimmed.char_indices().find(|part| !is_number(*part)).map_or(trimmed.len(), |(at, _)| at);
    let (digits, unit) = (&trimmed[..end], trimmed[end..].trim_start());
    let number = numeric::parse(digits).map_err(|_| refuse())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "bytes" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => {
            let detail = format!("Invalid size unit: \"{unit}\".");
            let hint = "Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".";
            return Err(refuse().detail(detail).hint(hint));
        }
    };
    if !number.is_finite() {
        return Err(refuse());
    }
    let product = number.times(&Numeric::from_integer(1 << shift))?;
    product.to_i64().ok_or_else(|| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics(any: String, likely in r#"[ab."0-9 \\+uU$-]{0,20}"#, size in "[0-9.eE+-]{0,8} ?[kMGTPb]{0,3}") {
            let _ = (parse_ident(&any, true), parse_ident(&likely, false), unistr(&any), unistr(&likely));
            let _ = (size_in_bytes(&any), size_in_bytes(&size), overlay(&any, &likely, 3, -2));
        }
    }
}
