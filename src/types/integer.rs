//! Integers as PostgreSQL prints and reads them. Both directions are hot in COPY.

use crate::error::{Error, Result, SqlState};

/// "00" to "99", so that digits come in pairs.
const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

pub fn print_u64(mut value: u64, out: &mut Vec<u8>) {
    // u64::MAX has 20 digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

pub fn print_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    print_u64(value.unsigned_abs(), out);
}

/// `value` with leading zeros up to `width` digits.
pub(super) fn print_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    print_u64(value, out);
    let missing = width.saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b'0', missing));
}

/// An integer between `min` and `max` of the type that PostgreSQL's messages call `name`.
pub fn parse(text: &str, name: &str, min: i64, max: i64) -> Result<i64> {
    let token = text.trim_matches(super::text::is_space);
    let (negative, digits) = match token.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (radix, digits) = match digits {
        digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => (10, digits),
        digits => written(digits).ok_or_else(|| super::text::invalid(name, text))?,
    };
    // Down from zero, because the most negative integer has no positive twin.
    let value = digits.iter().filter(|digit| **digit != b'_').try_fold(0i64, |value, digit| {
        let digit = i64::from(char::from(*digit).to_digit(radix)?);
        let shifted = value.checked_mul(i64::from(radix))?;
        if negative { shifted.checked_sub(digit) } else { shifted.checked_add(digit) }
    });
    match value {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        _ => {
            let message = format!("value \"{text}\" is out of range for type {name}");
            Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
        }
    }
}

/// The radix and digits of `0x1F`, `0o17`, `0b101` and `1_000`: an underscore stands between digits, or behind a prefix.
fn written(text: &[u8]) -> Option<(u32, &[u8])> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', b'o' | b'O', digits @ ..] => (8, digits),
        [b'0', b'b' | b'B', digits @ ..] => (2, digits),
        digits => (10, digits),
    };
    let prefixed = if radix == 10 { digits } else { digits.strip_prefix(b"_").unwrap_or(digits) };
    let is_number =
        |part: &[u8]| !part.is_empty() && part.iter().all(|digit| char::from(*digit).is_digit(radix));
    prefixed.split(|byte| *byte == b'_').all(is_number).then_some((radix, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive() {
        let powers = (0..63).flat_map(|i| [1i64 << i, (1 << i) - 1, -(1 << i)]);
        for value in powers.chain([i64::MIN, i64::MAX, 10, 99, 100, 12_345]) {
            let mut out = Vec::new();
            print_i64(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, value.to_string());
            assert_eq!(parse(&text, "bigint", i64::MIN, i64::MAX).unwrap(), value);
        }
    }

    #[test]
    fn refusals() {
        let fails = |text: &str| parse(text, "integer", -5, 5).unwrap_err();
        for text in ["", "x", "1.5", "--1", "1 2", "-"] {
            assert_eq!(fails(text).message(), format!("invalid input syntax for type integer: \"{text}\""));
        }
        for (text, value) in [("0x4", 4), ("-0o5", -5), ("0b_10", 2), ("0_5", 5)] {
            assert_eq!(parse(text, "integer", -5, 5).unwrap(), value);
        }
        for text in ["0x", "0x_", "1__0", "1_", "_1", "0b2", "0xg"] {
            assert_eq!(fails(text).state(), SqlState::INVALID_TEXT_REPRESENTATION);
        }
        assert_eq!(fails("6").message(), "value \"6\" is out of range for type integer");
        assert_eq!(fails("99999999999999999999").state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
        assert_eq!(parse(" +4\n", "integer", -5, 5).unwrap(), 4);
    }
}
