//! Exact decimals: [`Numeric`] is `unscaled / 10^scale` with at most 38 digits.
//!
//! Rounding is half away from zero, as PostgreSQL's. A `numeric` without modifier keeps up to 16 digits after the
//! point and 22 before it; PostgreSQL's NaN, infinities and longer numbers are refused (0A000, 22003).

use crate::error::{Error, Result, SqlState};
use crate::types::names::NUMERIC_PRECISION_MAX;
use crate::types::{Numeric, integer};

/// Digits after the point that a `numeric` without modifier keeps.
pub const SCALE_DEFAULT: u8 = 16;
/// What a modifier-less `numeric` is bound to.
pub const MODIFIER_DEFAULT: (u8, i8) = (NUMERIC_PRECISION_MAX, SCALE_DEFAULT as i8);

/// Digits after the point of a quotient whose first digit in base 10,000 has this weight: with them it has at least 16
/// significant ones (PostgreSQL's NUMERIC_MIN_SIG_DIGITS).
pub fn significant_scale(weight: i32) -> i32 {
    (16 - 4 * weight).max(0)
}

/// 10^exponent, exponent at most 38.
fn power(exponent: u8) -> i128 {
    10i128.pow(u32::from(exponent))
}

impl Numeric {
    pub fn from_integer(value: i64) -> Numeric {
        Numeric { unscaled: i128::from(value), scale: 0 }
    }

    /// The shortest decimal PostgreSQL's casts use: 15 significant digits for float8, 6 for float4.
    pub fn from_float(value: f64, significant: usize) -> Result<Numeric> {
        if !value.is_finite() {
            return Err(Error::unsupported("numeric NaN or infinity"));
        }
        parse(&format!("{value:.*e}", significant - 1)).map(Numeric::trimmed)
    }

    pub fn to_f64(self) -> f64 {
        // Through text, because dividing two rounded numbers would round twice.
        let mut text = Vec::new();
        print(self, &mut text);
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }

    /// Rounded to an integer; `None` when it does not fit.
    pub fn to_i64(self) -> Option<i64> {
        i64::try_from(self.rescaled(0)?.unscaled).ok()
    }

    /// The same number with `scale` digits after the point, rounded; `None` when it would not fit 38 digits.
    pub fn rescaled(self, scale: u8) -> Option<Numeric> {
        let unscaled = match scale.checked_sub(self.scale) {
            Some(up) if up > NUMERIC_PRECISION_MAX => match self.unscaled {
                0 => 0,
                _ => return None,
            },
            Some(up) => self.unscaled.checked_mul(power(up))?,
            None => divide_rounding(self.unscaled, self.scale - scale),
        };
        (unscaled.abs() < power(NUMERIC_PRECISION_MAX)).then_some(Numeric { unscaled, scale })
    }

    /// Without zeros at the end of its fraction.
    pub fn trimmed(mut self) -> Numeric {
        while self.scale > 0 && self.unscaled % 10 == 0 {
            self.unscaled /= 10;
            self.scale -= 1;
        }
        self
    }

    /// With the zeros PostgreSQL shows behind a quotient of this value. It looks at the operands' leading digits, of
    /// which only the quotient is known here: zero and the powers of 10,000 come from operands with the same ones.
    pub fn as_quotient(self) -> Numeric {
        let number = self.trimmed();
        let exponent = number.unscaled.unsigned_abs().checked_ilog10().map(|e| e as i32);
        let weight = exponent.map_or(0, |exponent| (exponent - i32::from(number.scale)).div_euclid(4));
        let place = 4 * weight + i32::from(number.scale);
        let is_power = u8::try_from(place)
            .is_ok_and(|place| place <= NUMERIC_PRECISION_MAX && number.unscaled.abs() == power(place));
        let weight = if is_power || number.unscaled == 0 { weight - 1 } else { weight };
        let scale =
            significant_scale(weight).max(i32::from(number.scale)).min(i32::from(NUMERIC_PRECISION_MAX));
        number.rescaled(scale as u8).unwrap_or(number)
    }

    /// As a column of `numeric(precision, scale)` stores it; 22003 when it does not fit.
    pub fn fit(self, modifier: Option<(u8, i8)>) -> Result<Numeric> {
        let Some((precision, scale)) = modifier else {
            // More than 16 digits after the point are rounded away, fewer are kept.
            let scale = self.scale.min(SCALE_DEFAULT);
            let whole_max = power(NUMERIC_PRECISION_MAX - SCALE_DEFAULT);
            let fits = |n: &Numeric| {
                n.unscaled / power(n.scale) < whole_max && n.unscaled / power(n.scale) > -whole_max
            };
            return self.rescaled(scale).filter(fits).ok_or_else(overflow);
        };
        let kept = u8::try_from(scale).unwrap_or(0);
        match self.rescaled(kept) {
            Some(number) if number.unscaled.abs() < power(precision.min(NUMERIC_PRECISION_MAX)) => Ok(number),
            _ => Err(field_overflow(precision, scale)),
        }
    }
}

/// `value / 10^digits`, half away from zero.
fn divide_rounding(value: i128, digits: u8) -> i128 {
    if digits > NUMERIC_PRECISION_MAX {
        return 0;
    }
    let divisor = power(digits);
    let (quotient, rest) = (value / divisor, value % divisor);
    match rest.abs() >= divisor - rest.abs() {
        true => quotient + value.signum(),
        false => quotient,
    }
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn field_overflow(precision: u8, scale: i8) -> Error {
    let whole = i16::from(precision) - i16::from(scale);
    let bound = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}

pub fn print(number: Numeric, out: &mut Vec<u8>) {
    if number.unscaled < 0 {
        out.push(b'-');
    }
    let magnitude = number.unscaled.unsigned_abs();
    let unit = 10u128.pow(u32::from(number.scale.min(NUMERIC_PRECISION_MAX)));
    print_u128(magnitude / unit, out);
    if number.scale > 0 {
        out.push(b'.');
        let start = out.len();
        print_u128(magnitude % unit, out);
        let missing = usize::from(number.scale).saturating_sub(out.len() - start);
        out.splice(start..start, std::iter::repeat_n(b'0', missing));
    }
}

fn print_u128(value: u128, out: &mut Vec<u8>) {
    match u64::try_from(value) {
        Ok(small) => integer::print_u64(small, out),
        Err(_) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

/// A decimal as written, rounded only where 38 digits force it.
pub fn parse(text: &str) -> Result<Numeric> {
    let invalid = || super::text::invalid("numeric", text);
    let token = text.trim_matches(super::text::is_space);
    let (negative, body) = match token.as_bytes() {
        [b'-', ..] => (true, &token[1..]),
        [b'+', ..] => (false, &token[1..]),
        _ => (false, token),
    };
    if ["nan", "inf", "infinity"].iter().any(|name| body.eq_ignore_ascii_case(name)) {
        return Err(Error::unsupported(format!("numeric {body}")));
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        None => (body, 0i32),
        Some(at) => (&body[..at], exponent(&body[at + 1..]).ok_or_else(invalid)?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    // Where the point stands: `scale` digits of the string are behind it.
    let scale = i64::from(fraction.len() as u32) - i64::from(exponent);
    from_digits(negative, digits().map(|b| b - b'0'), scale).ok_or_else(overflow)
}

/// An exponent within reason; a larger one leaves every range anyway.
fn exponent(text: &str) -> Option<i32> {
    let digits = text.trim_start_matches(['+', '-']);
    if digits.is_empty() || text.len() - digits.len() > 1 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude: i32 = digits.parse().unwrap_or(1_000_000).min(1_000_000);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// The number whose decimal digits these are, `scale` of them after the point (negative: zeros follow). Digits behind
/// the point that are more than 38, or make the number longer than that, are rounded away. `None` when it still does
/// not fit.
fn from_digits(negative: bool, digits: impl Iterator<Item = u8>, scale: i64) -> Option<Numeric> {
    let max = i64::from(NUMERIC_PRECISION_MAX);
    let digits: Vec<u8> = digits.skip_while(|&digit| digit == 0).collect();
    let length = digits.len() as i64;
    let cut = (scale - max).max(length - max).clamp(0, scale.max(0));
    let kept = length - cut;
    if kept > max {
        return None;
    }
    let mut unscaled = 0i128;
    for &digit in digits.iter().take(kept.max(0) as usize) {
        unscaled = unscaled * 10 + i128::from(digit);
    }
    // A cut right behind the kept digits rounds; one further down has only zeros before it.
    if kept >= 0 && digits.get(kept as usize).is_some_and(|&digit| digit >= 5) {
        unscaled += 1;
    }
    let behind = scale - cut;
    if behind < 0 && unscaled != 0 {
        let zeros = u8::try_from(-behind).ok().filter(|&zeros| zeros <= NUMERIC_PRECISION_MAX)?;
        unscaled = unscaled.checked_mul(power(zeros))?;
    }
    if unscaled >= power(NUMERIC_PRECISION_MAX) {
        return None;
    }
    Some(Numeric { unscaled: if negative { -unscaled } else { unscaled }, scale: behind.max(0) as u8 })
}

/// PostgreSQL's base on the wire.
const BASE: u128 = 10_000;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;

/// numeric_send: count of digits, weight of the first, sign, scale, then digits of base 10,000; all big-endian u16.
pub fn send(number: Numeric, out: &mut Vec<u8>) {
    let scale = number.scale.min(NUMERIC_PRECISION_MAX);
    let unit = 10u128.pow(u32::from(scale));
    let magnitude = number.unscaled.unsigned_abs();
    let (mut whole, mut fraction) = (magnitude / unit, magnitude % unit);
    let mut digits: Vec<u16> = Vec::new();
    while whole > 0 {
        digits.push((whole % BASE) as u16);
        whole /= BASE;
    }
    digits.reverse();
    let mut weight = digits.len() as i32 - 1;
    for place in 0..scale.div_ceil(4) {
        // The next four decimal digits of the fraction; the last group is filled with zeros.
        let left = scale - 4 * place;
        let (digit, rest) = match left.checked_sub(4) {
            Some(below) => (fraction / 10u128.pow(below.into()), fraction % 10u128.pow(below.into())),
            None => (fraction * 10u128.pow((4 - left).into()), 0),
        };
        digits.push(digit as u16);
        fraction = rest;
    }
    let leading = digits.iter().take_while(|&&digit| digit == 0).count();
    digits.drain(..leading);
    weight -= leading as i32;
    let trailing = digits.iter().rev().take_while(|&&digit| digit == 0).count();
    digits.truncate(digits.len() - trailing);
    if digits.is_empty() {
        weight = 0;
    }
    let sign = if number.unscaled < 0 { NEGATIVE } else { POSITIVE };
    for field in [digits.len() as u16, weight as u16, sign, u16::from(scale)].into_iter().chain(digits) {
        out.extend_from_slice(&field.to_be_bytes());
    }
}

/// numeric_recv.
pub fn receive(bytes: &[u8]) -> Result<Numeric> {
    let invalid = |what: &str| {
        Error::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {what} in external \"numeric\" value"),
        )
    };
    let (words, rest) = bytes.as_chunks::<2>();
    let words: Vec<u16> = words.iter().map(|word| u16::from_be_bytes(*word)).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return Err(invalid("length")) };
    if !rest.is_empty() || usize::from(*count) != digits.len() {
        return Err(invalid("length"));
    }
    let negative = match *sign {
        POSITIVE => false,
        NEGATIVE => true,
        0xC000 | 0xD000 | 0xF000 => return Err(Error::unsupported("numeric NaN or infinity")),
        _ => return Err(invalid("sign")),
    };
    if *scale > 0x3fff {
        return Err(invalid("scale"));
    }
    if digits.iter().any(|&digit| u128::from(digit) >= BASE) {
        return Err(invalid("digit"));
    }
    // Each word is four decimal digits; the first one counts 10,000^weight.
    let decimals =
        digits.iter().flat_map(|&d| [d / 1000, d / 100 % 10, d / 10 % 10, d % 10].map(|d| d as u8));
    let behind = 4 * (digits.len() as i64 - 1 - i64::from(*weight as i16));
    let number = from_digits(negative, decimals, behind).ok_or_else(overflow)?;
    let scale = (*scale).min(u16::from(NUMERIC_PRECISION_MAX)) as u8;
    // A wish for more zeros than fit is not an error; a number that does not fit was one above.
    Ok(number.rescaled(scale).unwrap_or(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: Numeric) -> String {
        let mut out = Vec::new();
        print(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_and_prints() {
        for (input, expected) in [
            ("0", "0"),
            ("-0.00", "0.00"),
            ("1.50", "1.50"),
            ("-12345678901234567890.123", "-12345678901234567890.123"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e-3", "0.0015"),
            ("1e-45", "0.00000000000000000000000000000000000000"),
            (" 7 ", "7"),
            ("0e100000", "0"),
            ("0.000000000000000000000000000000000000016", "0.00000000000000000000000000000000000002"),
        ] {
            assert_eq!(text(parse(input).unwrap()), expected, "{input}");
        }
        for input in ["", ".", "x", "1e", "1.2.3", "--1", "1e+-2"] {
            assert_eq!(parse(input).unwrap_err().state(), SqlState::INVALID_TEXT_REPRESENTATION, "{input}");
        }
        assert_eq!(parse("1e38").unwrap_err().state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
        assert_eq!(parse("NaN").unwrap_err().state(), SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn quotients_show_significant_digits() {
        let shown = |input: &str| text(parse(input).unwrap().as_quotient());
        // From avg() over integers in PostgreSQL 16.
        assert_eq!(shown("5.5"), "5.5000000000000000");
        assert_eq!(shown("0"), "0.00000000000000000000");
        assert_eq!(shown("1"), "1.00000000000000000000");
        assert_eq!(shown("-2"), "-2.0000000000000000");
        assert_eq!(shown("0.5"), "0.50000000000000000000");
        assert_eq!(shown("12345.5"), "12345.500000000000");
        assert_eq!(shown("10000"), "10000.0000000000000000");
    }

    #[test]
    fn columns_round_and_refuse() {
        let fit = |input: &str, modifier| parse(input).unwrap().fit(modifier).map(text);
        assert_eq!(fit("1.005", Some((5, 2))).unwrap(), "1.01");
        assert_eq!(fit("-1.005", Some((5, 2))).unwrap(), "-1.01");
        assert_eq!(fit("7", Some((5, 2))).unwrap(), "7.00");
        assert_eq!(fit("1.50", None).unwrap(), "1.50");
        assert_eq!(fit("0.12345678901234567", None).unwrap(), "0.1234567890123457");
        let error = fit("1000", Some((5, 2))).unwrap_err();
        assert_eq!(error.message(), "numeric field overflow");
        let detail = "A field with precision 5, scale 2 must round to an absolute value less than 10^3.";
        assert_eq!(error.fields().detail.as_deref(), Some(detail));
        assert!(fit("99999999999999999999999", None).is_err());
    }

    #[test]
    fn numbers_and_floats() {
        assert_eq!(text(Numeric::from_float(0.1, 15).unwrap()), "0.1");
        assert_eq!(text(Numeric::from_float(1e10, 15).unwrap()), "10000000000");
        assert_eq!(parse("1.1").unwrap().to_f64(), 1.1);
        assert_eq!(parse("2.5").unwrap().to_i64(), Some(3));
        assert_eq!(parse("-2.5").unwrap().to_i64(), Some(-3));
    }

    proptest! {
        #[test]
        fn wire_and_text_lead_back(unscaled in -(10i128.pow(37))..10i128.pow(37), shift in 0u32..37, scale in 0u8..=38) {
            let number = Numeric { unscaled: unscaled / 10i128.pow(shift), scale };
            prop_assert_eq!(parse(&text(number)).unwrap(), number);
            let mut wire = Vec::new();
            send(number, &mut wire);
            prop_assert_eq!(receive(&wire).unwrap(), number);
        }
    }

    #[test]
    fn wire_bytes_are_postgres() {
        let mut wire = Vec::new();
        send(parse("-12345.678").unwrap(), &mut wire);
        // From `SELECT numeric_send(-12345.678)`.
        assert_eq!(wire, [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
        assert_eq!(receive(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap(), Numeric { unscaled: 5, scale: 0 });
        assert!(receive(&[0, 1, 0, 0]).is_err());
    }
}
