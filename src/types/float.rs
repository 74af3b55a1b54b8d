//! Floats as PostgreSQL prints and reads them.
//!
//! Printing gives the shortest decimal that reads back as the same value (extra_float_digits = 1), with an exponent
//! once it leaves -4..15 (float8) or -4..6 (float4): `1e+15`, `0.0001`, `1e-05`.

use crate::error::{Error, Result, SqlState};

/// Decimal exponents from here up are written as such.
const EXPONENT_MAX_F32: i32 = 6;
const EXPONENT_MAX_F64: i32 = 15;

/// Digits that every float has (FLT_DIG and DBL_DIG of C).
const DIGITS_F32: i8 = 6;
const DIGITS_F64: i8 = 15;

/// With extra_float_digits as given.
pub fn print_f32_with(value: f32, extra: i8, out: &mut Vec<u8>) {
    match extra > 0 {
        true => print_f32(value, out),
        false => print_rounded(f64::from(value), DIGITS_F32 + extra, out),
    }
}

/// With extra_float_digits as given.
pub fn print_f64_with(value: f64, extra: i8, out: &mut Vec<u8>) {
    match extra > 0 {
        true => print_f64(value, out),
        false => print_rounded(value, DIGITS_F64 + extra, out),
    }
}

/// As C's `%.*g` does, which takes less than one digit for one.
fn print_rounded(value: f64, digits: i8, out: &mut Vec<u8>) {
    if value == 0.0 {
        return print_integral(value, value.is_sign_negative(), out);
    }
    let digits = digits.max(1);
    match value.is_finite() {
        true => print_shortest(&format!("{value:.*e}", digits as usize - 1), digits.into(), out),
        false => out.extend_from_slice(name_of(value)),
    }
}

pub fn print_f32(value: f32, out: &mut Vec<u8>) {
    if value == value.trunc() && value.abs() < 1e6 {
        return print_integral(f64::from(value), value.is_sign_negative(), out);
    }
    match value.is_finite() {
        true => print_shortest(ryu::Buffer::new().format_finite(value), EXPONENT_MAX_F32, out),
        false => out.extend_from_slice(name_of(f64::from(value))),
    }
}

pub fn print_f64(value: f64, out: &mut Vec<u8>) {
    if value == value.trunc() && value.abs() < 1e15 {
        return print_integral(value, value.is_sign_negative(), out);
    }
    match value.is_finite() {
        true => print_shortest(ryu::Buffer::new().format_finite(value), EXPONENT_MAX_F64, out),
        false => out.extend_from_slice(name_of(value)),
    }
}

fn name_of(value: f64) -> &'static [u8] {
    match value {
        _ if value.is_nan() => b"NaN",
        _ if value > 0.0 => b"Infinity",
        _ => b"-Infinity",
    }
}

/// Whole numbers below 10^15, minus zero included.
fn print_integral(value: f64, negative: bool, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    super::integer::print_u64(value.abs() as u64, out);
}

/// Lays out ryu's `0.00123`, `12.3` or `1.23e20` as PostgreSQL does.
fn print_shortest(shortest: &str, exponent_max: i32, out: &mut Vec<u8>) {
    let shortest = match shortest.strip_prefix('-') {
        Some(positive) => {
            out.push(b'-');
            positive
        }
        None => shortest,
    };
    let (plain, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    // As d.ddd and an exponent: 17 digits at most.
    let mut digits = [0; 24];
    let mut len = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits[len] = digit;
        len += 1;
    }
    let zeros = digits[..len].iter().take_while(|&&digit| digit == b'0').count();
    let exponent = small_integer(exponent.as_bytes()) + whole.len() as i32 - 1 - zeros as i32;
    let end = digits[..len].iter().rposition(|&digit| digit != b'0').map_or(zeros + 1, |last| last + 1);
    let digits = &digits[zeros..end];
    let (first, rest) = (digits[0], &digits[1..]);
    if !(-4..exponent_max).contains(&exponent) {
        out.push(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        return super::integer::print_u64(u64::from(exponent.unsigned_abs()), out);
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.push(first);
        return out.extend_from_slice(rest);
    }
    let before = (exponent as usize).min(rest.len());
    out.push(first);
    out.extend_from_slice(&rest[..before]);
    out.extend(std::iter::repeat_n(b'0', exponent as usize - before));
    if before < rest.len() {
        out.push(b'.');
        out.extend_from_slice(&rest[before..]);
    }
}

fn small_integer(digits: &[u8]) -> i32 {
    let (negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let value = digits.iter().fold(0, |value, &digit| value * 10 + i32::from(digit - b'0'));
    if negative { -value } else { value }
}

/// float4in: 22P02 for what is no number, 22003 for one that leaves the range (to infinity or to zero).
pub fn parse_f32(text: &str) -> Result<f32> {
    let token = text.trim_matches(super::text::is_space);
    let value: f32 = token.parse().map_err(|_| invalid(text, "real"))?;
    if (value.is_infinite() || value == 0.0) && left_range(token, value == 0.0) {
        return Err(out_of_range(token, "real"));
    }
    Ok(value)
}

/// float8in.
pub fn parse_f64(text: &str) -> Result<f64> {
    let token = text.trim_matches(super::text::is_space);
    let value: f64 = token.parse().map_err(|_| invalid(text, "double precision"))?;
    if (value.is_infinite() || value == 0.0) && left_range(token, value == 0.0) {
        return Err(out_of_range(token, "double precision"));
    }
    Ok(value)
}

/// Whether a number that reads as infinite or zero was written as something else.
fn left_range(token: &str, zero: bool) -> bool {
    let token = token.trim_start_matches(['+', '-']);
    let mantissa = token.split(['e', 'E']).next().unwrap_or("");
    match zero {
        true => mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b)),
        false => token.starts_with(|c: char| c.is_ascii_digit() || c == '.'),
    }
}

fn invalid(text: &str, name: &str) -> Error {
    super::text::invalid(name, text)
}

fn out_of_range(token: &str, name: &str) -> Error {
    let message = format!("\"{token}\" is out of range for type {name}");
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn f64_text(value: f64) -> String {
        let mut out = Vec::new();
        print_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn f32_text(value: f32) -> String {
        let mut out = Vec::new();
        print_f32(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_as_postgres() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-1234.5678, "-1234.5678"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123456789012345.6, "123456789012345.6"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.00012345, "0.00012345"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(f64_text(value), text);
        }
        for (value, text) in [
            (1e5, "100000"),
            (1e6, "1e+06"),
            (123456.7, "123456.7"),
            (1234567.0, "1.234567e+06"),
            (0.1, "0.1"),
            (f32::MAX, "3.4028235e+38"),
        ] {
            assert_eq!(f32_text(value), text);
        }
        // 1.05078125, halfway between two decimals.
        let mut out = Vec::new();
        print_f32(f32::from_bits(0x3f86_8000), &mut out);
        assert_eq!(out, b"1.0507812");
    }

    proptest! {
        #[test]
        fn floats_survive(bits in any::<u64>(), narrow in any::<u32>()) {
            let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(narrow));
            if !wide.is_nan() {
                prop_assert_eq!(parse_f64(&f64_text(wide)).unwrap().to_bits(), wide.to_bits());
            }
            if !narrow.is_nan() {
                prop_assert_eq!(parse_f32(&f32_text(narrow)).unwrap().to_bits(), narrow.to_bits());
            }
        }
    }

    #[test]
    fn refuses_what_postgres_refuses() {
        let message = |text: &str| parse_f64(text).unwrap_err().message().to_owned();
        assert_eq!(message("x"), "invalid input syntax for type double precision: \"x\"");
        assert_eq!(message("1e400"), "\"1e400\" is out of range for type double precision");
        assert_eq!(message("1e-400"), "\"1e-400\" is out of range for type double precision");
        assert_eq!(parse_f32("1e39").unwrap_err().message(), "\"1e39\" is out of range for type real");
        assert_eq!(parse_f64(" -inf ").unwrap(), f64::NEG_INFINITY);
        assert_eq!(parse_f64("0e400").unwrap(), 0.0);
        assert!(parse_f64("").is_err());
    }
}
