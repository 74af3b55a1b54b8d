//! One-dimensional arrays in PostgreSQL's text form: `{1,NULL,"a,b"}`.
//!
//! Several dimensions and bounds other than 1 are refused (0A000).

use crate::error::{Error, Result, SqlState};
use crate::types::text::is_space;

/// Prints one item after the other; `None` is NULL.
pub fn print<T>(items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>) -> bool, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = out.len();
        match item(value, out) {
            true => quote_if_needed(start, out),
            false => out.extend_from_slice(b"NULL"),
        }
    }
    out.push(b'}');
}

/// Puts quotes around what stands from `start` on, when it would be read as something else without.
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let text = &out[start..];
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*b)) && b.is_ascii();
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        return;
    }
    let plain = out.split_off(start);
    out.push(b'"');
    for byte in plain {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The items as text, `None` for NULL.
pub fn parse(text: &str) -> Result<Vec<Option<String>>> {
    let body = text.trim_matches(is_space);
    if body.starts_with('[') {
        return Err(Error::unsupported("an array with explicit bounds"));
    }
    let Some(body) = body.strip_prefix('{') else {
        return Err(malformed(text).detail("Array value must start with \"{\" or dimension information."));
    };
    let mut chars = body.chars().peekable();
    let mut items = Vec::new();
    loop {
        while chars.peek().is_some_and(|&c| is_space(c)) {
            chars.next();
        }
        let mut item = String::new();
        // Length of the item without white space at its end that no quotes or backslash protect.
        let mut kept = 0;
        let mut quoted = false;
        let end = loop {
            match chars.next() {
                None => return Err(malformed(text).detail("Unexpected end of input.")),
                Some('"') => {
                    if kept > 0 || quoted {
                        return Err(malformed(text).detail("Unexpected array element."));
                    }
                    quoted = true;
                    read_quoted(&mut chars, &mut item)
                        .ok_or_else(|| malformed(text).detail("Unexpected end of input."))?;
                    kept = item.len();
                }
                Some('\\') => {
                    item.push(
                        chars.next().ok_or_else(|| malformed(text).detail("Unexpected end of input."))?,
                    );
                    kept = item.len();
                }
                Some('{') if kept == 0 && !quoted => {
                    return Err(Error::unsupported("an array of several dimensions"));
                }
                Some('{') => return Err(malformed(text).detail("Unexpected \"{\" character.")),
                Some(c @ (',' | '}')) => break c,
                Some(c) if is_space(c) => item.push(c),
                Some(_) if quoted => return Err(malformed(text).detail("Incorrectly quoted array element.")),
                Some(c) => {
                    item.push(c);
                    kept = item.len();
                }
            }
        };
        item.truncate(kept);
        match (end, items.is_empty() && !quoted && item.is_empty()) {
            ('}', true) => {}
            _ if item.is_empty() && !quoted => {
                return Err(malformed(text).detail(format!("Unexpected \"{end}\" character.")));
            }
            _ if !quoted && item.eq_ignore_ascii_case("null") => items.push(None),
            _ => items.push(Some(item)),
        }
        if end == '}' {
            break;
        }
    }
    match chars.all(is_space) {
        true => Ok(items),
        false => Err(malformed(text).detail("Junk after closing right brace.")),
    }
}

fn read_quoted(chars: &mut impl Iterator<Item = char>, item: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => item.push(chars.next()?),
            c => item.push(c),
        }
    }
}

fn malformed(text: &str) -> Error {
    let message = format!("malformed array literal: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(items: &[Option<String>]) -> String {
        let mut out = Vec::new();
        let item = |item: &Option<String>, out: &mut Vec<u8>| match item {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                true
            }
            None => false,
        };
        print(items, item, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quotes_where_postgres_does() {
        let items = ["a", "", "NULL", "x,y", "q\"\\", " s "].map(|s| Some(s.to_owned()));
        assert_eq!(printed(&items), r#"{a,"","NULL","x,y","q\"\\"," s "}"#);
        assert_eq!(
            parse(" { a , null, \"b c\" , d\\,e , f g } ").unwrap(),
            [Some("a".into()), None, Some("b c".into()), Some("d,e".into()), Some("f g".into())]
        );
        assert_eq!(parse("{}").unwrap(), Vec::new());
        for text in ["", "1", "{1", "{1}}", "{,}", "{1,}", "{\"a\"b}", "{a\"b\"}", "{\"a"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message(), format!("malformed array literal: \"{text}\""));
        }
        assert_eq!(parse("{{1}}").unwrap_err().state(), SqlState::FEATURE_NOT_SUPPORTED);
    }

    proptest! {
        #[test]
        fn arrays_lead_back(items in prop::collection::vec(prop::option::of("\\PC{0,6}|[\\\\\"{},nul ]{0,5}"), 0..6)) {
            prop_assert_eq!(parse(&printed(&items)).unwrap(), items);
        }

        #[test]
        fn nothing_panics(text in "[{},\"\\\\a null]{0,20}") {
            let _ = parse(&text);
        }
    }
}
