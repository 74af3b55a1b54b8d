//! Ranges as text, `[1,5)`, and in the wire's binary format.

use crate::error::{Error, Result, SqlState};
use crate::types::binary::{self, short, trailing};
use crate::types::look::Look;
use crate::types::range::{Bound, Range, RangeType};
use crate::types::record::quote_if_needed;
use crate::types::text::{self, is_space};
use crate::types::{Type, Value, numeric};

/// Appends `[1,5)`, as a session wants its values.
pub fn print(range: &Range, look: Look, out: &mut Vec<u8>) {
    let (Some(lower), Some(upper)) = (range.lower(), range.upper()) else {
        return out.extend_from_slice(b"empty");
    };
    out.push(if lower.inclusive { b'[' } else { b'(' });
    print_end(&lower.value, look, out);
    out.push(b',');
    print_end(&upper.value, look, out);
    out.push(if upper.inclusive { b']' } else { b')' });
}

/// A value in quotes if it needs them.
fn print_end(value: &Value, look: Look, out: &mut Vec<u8>) {
    if *value == Value::Null {
        return;
    }
    let start = out.len();
    text::print_as(value, look, out);
    quote_if_needed(start, b"[]", out);
}

/// A range from its text, with bounds as a session reads them.
pub fn parse(of: RangeType, text: &str, look: Look) -> Result<Range> {
    let malformed = |detail: &str| {
        let message = format!("malformed range literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let mut rest = text.trim_start_matches(is_space);
    if rest.get(..EMPTY.len()).is_some_and(|word| word.eq_ignore_ascii_case(EMPTY)) {
        return match rest[EMPTY.len()..].trim_start_matches(is_space) {
            "" => Ok(Range::empty(of)),
            _ => Err(malformed("Junk after \"empty\" key word.")),
        };
    }
    let lower_inclusive = match rest.as_bytes().first() {
        Some(b'[') => true,
        Some(b'(') => false,
        _ => return Err(malformed("Missing left parenthesis or bracket.")),
    };
    rest = &rest[1..];
    let lower = end_text(&mut rest).ok_or_else(|| malformed("Unexpected end of input."))?;
    rest = rest.strip_prefix(',').ok_or_else(|| malformed("Missing comma after lower bound."))?;
    let upper = end_text(&mut rest).ok_or_else(|| malformed("Unexpected end of input."))?;
    // An end stops at a comma or where the range is closed.
    let (closing, after) = rest.split_at(1);
    if closing == "," {
        return Err(malformed("Too many commas."));
    }
    if !after.trim_start_matches(is_space).is_empty() {
        return Err(malformed("Junk after right parenthesis or bracket."));
    }
    let value = |text: Option<String>| match text {
        None => Ok(Value::Null),
        Some(text) => text::parse_as(&of.element(), &text, look),
    };
    let lower = Bound { value: value(lower)?, inclusive: lower_inclusive };
    let upper = Bound { value: value(upper)?, inclusive: closing == "]" };
    Range::new(of, &lower, &upper)
}

const EMPTY: &str = "empty";

/// The text of one end, without its quotes and backslashes, up to the comma or bracket behind it: inside `None` where
/// nothing stands. `None` when the text ends before.
fn end_text(rest: &mut &str) -> Option<Option<String>> {
    let mut text = String::new();
    let mut quoted = false;
    let mut chars = rest.char_indices().peekable();
    loop {
        let (at, c) = chars.next()?;
        match c {
            ',' | ')' | ']' if !quoted => {
                let is_none = at == 0;
                *rest = &rest[at..];
                return Some((!is_none).then_some(text));
            }
            '\\' => text.push(chars.next()?.1),
            '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                text.push('"');
            }
            '"' => quoted = !quoted,
            c => text.push(c),
        }
    }
}

/// Bits of the first byte of the binary format.
const IS_EMPTY: u8 = 1;
const LOWER_INCLUSIVE: u8 = 2;
const UPPER_INCLUSIVE: u8 = 4;
const LOWER_INFINITE: u8 = 8;
const UPPER_INFINITE: u8 = 16;

/// range_send
pub fn send(range: &Range, out: &mut Vec<u8>) {
    let (Some(lower), Some(upper)) = (range.lower(), range.upper()) else { return out.push(IS_EMPTY) };
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    out.push(
        bit(lower.inclusive, LOWER_INCLUSIVE)
            | bit(upper.inclusive, UPPER_INCLUSIVE)
            | bit(lower.value == Value::Null, LOWER_INFINITE)
            | bit(upper.value == Value::Null, UPPER_INFINITE),
    );
    let element = range.of.element();
    for bound in [lower, upper].iter().filter(|bound| bound.value != Value::Null) {
        let length = out.len();
        out.extend_from_slice(&[0; 4]);
        binary::send(&bound.value, &element, out);
        let bytes = (out.len() - length - 4) as u32;
        out[length..length + 4].copy_from_slice(&bytes.to_be_bytes());
    }
}

/// range_recv
pub fn receive(of: RangeType, bytes: &[u8]) -> Result<Range> {
    let (&flags, mut rest) = bytes.split_first().ok_or_else(short)?;
    let has = |bit: u8| flags & bit != 0;
    let mut value = |is_infinite: bool| {
        if is_infinite || has(IS_EMPTY) {
            return Ok(Value::Null);
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
        let (value, after) = after.split_at_checked(length).ok_or_else(short)?;
        rest = after;
        match of.element() {
            Type::Numeric(_) => numeric::receive(value).map(Value::Numeric),
            element => binary::receive(&element, value),
        }
    };
    let lower = Bound { value: value(has(LOWER_INFINITE))?, inclusive: has(LOWER_INCLUSIVE) };
    let upper = Bound { value: value(has(UPPER_INFINITE))?, inclusive: has(UPPER_INCLUSIVE) };
    match rest {
        [] if has(IS_EMPTY) => Ok(Range::empty(of)),
        [] => Range::new(of, &lower, &upper),
        _ => Err(trailing()),
    }
}
