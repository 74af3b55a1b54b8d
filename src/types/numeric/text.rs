//! Numbers as text, and from and to floats.

use num_bigint::BigInt;

use super::{Numeric, Repr, SCALE_MAX, SMALL_DIGITS, Special, WHOLE_DIGITS_MAX, overflow, power};
use crate::error::{Error, Result};
use crate::types::integer;

/// As PostgreSQL shows it, with as many digits after the point as it has.
pub fn print(number: &Numeric, out: &mut Vec<u8>) {
    match &number.0 {
        Repr::Special(special) => out.extend_from_slice(match special {
            Special::NaN => b"NaN",
            Special::Infinity => b"Infinity",
            Special::NegativeInfinity => b"-Infinity",
        }),
        Repr::Small { unscaled, scale } => {
            if *unscaled < 0 {
                out.push(b'-');
            }
            let magnitude = unscaled.unsigned_abs();
            match power(u32::from(*scale)) {
                Some(unit) => {
                    let unit = unit.unsigned_abs();
                    print_u128(magnitude / unit, out);
                    print_fraction(magnitude % unit, *scale, out);
                }
                None => {
                    out.push(b'0');
                    print_fraction(magnitude, *scale, out);
                }
            }
        }
        Repr::Large(large) => {
            if number.is_negative() {
                out.push(b'-');
            }
            let (digits, scale) = (number.digits(), usize::from(large.1));
            let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
            out.extend_from_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
            if scale > 0 {
                out.push(b'.');
                out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
                out.extend_from_slice(fraction.as_bytes());
            }
        }
    }
}

fn print_fraction(fraction: u128, scale: u16, out: &mut Vec<u8>) {
    if scale == 0 {
        return;
    }
    out.push(b'.');
    let start = out.len();
    print_u128(fraction, out);
    let missing = usize::from(scale).saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b'0', missing));
}

fn print_u128(value: u128, out: &mut Vec<u8>) {
    match u64::try_from(value) {
        Ok(small) => integer::print_u64(small, out),
        Err(_) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

/// A decimal as written. 22P02 for what is none, 22003 beyond the bounds.
pub fn parse(text: &str) -> Result<Numeric> {
    let invalid = || crate::types::text::invalid("numeric", text);
    let token = text.trim_matches(crate::types::text::is_space);
    let (negative, body) = match token.as_bytes() {
        [b'-', ..] => (true, &token[1..]),
        [b'+', ..] => (false, &token[1..]),
        _ => (false, token),
    };
    if body.eq_ignore_ascii_case("nan") && body.len() == token.len() {
        return Ok(Numeric::NAN);
    }
    if ["inf", "infinity"].iter().any(|name| body.eq_ignore_ascii_case(name)) {
        return Ok(Numeric::infinity(negative));
    }
    if let Some(number) = of_another_base(body) {
        let number = number.ok_or_else(invalid)?;
        return Numeric::of_big(if negative { -number } else { number }, 0);
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        None => (body, 0i64),
        Some(at) => (&body[..at], exponent(&body[at + 1..]).ok_or_else(invalid)?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || !is_part(whole) || !is_part(fraction) {
        return Err(invalid());
    }
    let digits = || whole.bytes().chain(fraction.bytes()).filter(|byte| *byte != b'_');
    let behind = fraction.bytes().filter(|byte| *byte != b'_').count() as i64;
    from_digits(negative, digits().map(|byte| byte - b'0'), behind - exponent).ok_or_else(overflow)
}

/// `0x1F`, `0o17`, `0b11`; inside `None` for one that is wrong.
fn of_another_base(body: &str) -> Option<Option<BigInt>> {
    let (prefix, digits) = body.split_at_checked(2)?;
    let radix = match prefix {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return None,
    };
    let is_right = !digits.starts_with(['+', '-'])
        && !digits.ends_with('_')
        && !digits.contains("__")
        && !digits.is_empty();
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    Some(is_right.then(|| BigInt::parse_bytes(digits.as_bytes(), radix)).flatten())
}

/// Whether it is of digits, between two of which PostgreSQL lets one have an underscore.
fn is_part(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !part.starts_with('_')
        && !part.ends_with('_')
        && !part.contains("__")
}

/// An exponent within reason; a larger one leaves every range anyway.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches(['+', '-']);
    if digits.is_empty() || text.len() - digits.len() > 1 || !is_part(digits) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude: i64 = digits.parse().unwrap_or(1_000_000).min(1_000_000);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// The number whose decimal digits these are, `scale` of them after the point (negative: zeros follow); `None` beyond the
/// bounds.
pub(super) fn from_digits(negative: bool, digits: impl Iterator<Item = u8>, scale: i64) -> Option<Numeric> {
    let mut digits = digits.skip_while(|&digit| digit == 0);
    let (mut small, mut length) = (0i128, 0);
    while length < usize::from(SMALL_DIGITS) {
        let Some(digit) = digits.next() else { break };
        small = small * 10 + i128::from(digit);
        length += 1;
    }
    let shown = u16::try_from(scale.max(0)).ok()?;
    let zeros = if small == 0 { 0 } else { u32::try_from((-scale).max(0)).ok()? };
    let rest: Vec<u8> = digits.collect();
    if rest.is_empty()
        && let Some(unscaled) = power(zeros).and_then(|power| small.checked_mul(power))
    {
        let unscaled = if negative { -unscaled } else { unscaled };
        return (shown <= SCALE_MAX).then(|| Numeric::scaled(unscaled, shown));
    }
    if length + rest.len() + zeros as usize > WHOLE_DIGITS_MAX as usize + usize::from(SCALE_MAX) {
        return None;
    }
    let mut text = small.to_string().into_bytes();
    text.extend(rest.iter().map(|digit| digit + b'0'));
    text.extend(std::iter::repeat_n(b'0', zeros as usize));
    let magnitude = BigInt::parse_bytes(&text, 10)?;
    Numeric::of_big(if negative { -magnitude } else { magnitude }, shown).ok()
}

impl Numeric {
    /// The shortest decimal PostgreSQL's casts use: 15 significant digits for float8, 6 for float4.
    pub fn from_float(value: f64, significant: usize) -> Result<Numeric> {
        if value.is_nan() {
            return Ok(Numeric::NAN);
        }
        if value.is_infinite() {
            return Ok(Numeric::infinity(value < 0.0));
        }
        parse(&format!("{value:.*e}", significant - 1)).map(|number| number.trimmed())
    }

    /// The nearest float; an infinity beyond all of them.
    pub fn to_f64(&self) -> f64 {
        match self.as_special() {
            Some(Special::NaN) => return f64::NAN,
            Some(Special::Infinity) => return f64::INFINITY,
            Some(Special::NegativeInfinity) => return f64::NEG_INFINITY,
            None => {}
        }
        // Both are floats then, and dividing them rounds once.
        if let Some((unscaled, scale)) = self.small()
            && unscaled.unsigned_abs() <= 1 << 53
            && scale <= 22
        {
            return unscaled as f64 / 10f64.powi(i32::from(scale));
        }
        let mut text = Vec::new();
        print(self, &mut text);
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        print(self, &mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Numeric {
    /// `cannot convert NaN to integer`, of what has no integer; `None` of numbers.
    pub fn no_integer(&self, ty: &str) -> Option<Error> {
        let what = match self.as_special()? {
            Special::NaN => "NaN",
            Special::Infinity | Special::NegativeInfinity => "infinity",
        };
        Some(Error::new(
            crate::error::SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot convert {what} to {ty}"),
        ))
    }
}
