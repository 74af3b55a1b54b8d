//! Numbers as bytes: PostgreSQL's binary format, and the short one of rows and Arrow cells.
//!
//! ```text
//!   PostgreSQL   digits u16 | weight i16 | sign u16 | scale u16 | digits of base 10,000, u16 each; big-endian
//!   short        kind and scale u16 | magnitude times 10^scale, little-endian, without zero bytes at its end
//!                ^ bits 0..14 the scale, bit 14 whether it is negative; 8000 NaN, 8001 infinity, 8002 -infinity
//! ```

use num_bigint::{BigInt, Sign};

use super::{Numeric, Repr, SCALE_MAX, Special, overflow, text::from_digits};
use crate::error::{Error, Result, SqlState};

/// PostgreSQL's base on the wire.
const BASE: u16 = 10_000;
/// Decimal digits of one of its digits.
const GROUP: usize = 4;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// numeric_send.
pub fn send(number: &Numeric, out: &mut Vec<u8>) {
    let mut put =
        |fields: &[u16]| fields.iter().for_each(|field| out.extend_from_slice(&field.to_be_bytes()));
    if let Some(special) = number.as_special() {
        let (sign, scale) = match special {
            Special::NaN => (NAN, 0),
            // As PostgreSQL sends them.
            Special::Infinity => (INFINITY, 32),
            Special::NegativeInfinity => (NEGATIVE_INFINITY, 32),
        };
        return put(&[0, 0, sign, scale]);
    }
    let (text, scale) = (number.digits(), usize::from(number.scale()));
    // Filled up so that the point is between two groups.
    let whole = text.len().saturating_sub(scale);
    let front = (GROUP - whole % GROUP) % GROUP + scale.saturating_sub(text.len());
    let back = (GROUP - scale % GROUP) % GROUP;
    let zeros = |count| std::iter::repeat_n(b'0', count);
    let filled: Vec<u8> = zeros(front).chain(text.bytes()).chain(zeros(back)).collect();
    let of_group = |group: &[u8]| group.iter().fold(0u16, |digit, byte| 10 * digit + u16::from(byte - b'0'));
    let digits: Vec<u16> = filled.chunks(GROUP).map(of_group).collect();
    let leading = digits.iter().take_while(|&&digit| digit == 0).count();
    let kept = digits.iter().rposition(|&digit| digit != 0).map_or(leading, |last| last + 1);
    let weight = whole.div_ceil(GROUP) as i32 - 1 - leading as i32;
    let digits = &digits[leading.min(kept)..kept];
    let weight = if digits.is_empty() { 0 } else { weight };
    let sign = if number.is_negative() { NEGATIVE } else { POSITIVE };
    put(&[digits.len() as u16, weight as u16, sign, scale as u16]);
    put(digits);
}

/// numeric_recv; 22P03 for bytes that are no numeric.
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
        NAN => return Ok(Numeric::NAN),
        INFINITY | NEGATIVE_INFINITY => return Ok(Numeric::infinity(*sign == NEGATIVE_INFINITY)),
        _ => return Err(invalid("sign")),
    };
    if *scale > SCALE_MAX {
        return Err(invalid("scale"));
    }
    if digits.iter().any(|&digit| digit >= BASE) {
        return Err(invalid("digit"));
    }
    // Each word is four decimal digits; the first one counts 10,000^weight.
    let decimals =
        digits.iter().flat_map(|&d| [d / 1000, d / 100 % 10, d / 10 % 10, d % 10].map(|d| d as u8));
    let behind = GROUP as i64 * (digits.len() as i64 - 1 - i64::from(*weight as i16));
    let number = from_digits(negative, decimals, behind).ok_or_else(overflow)?;
    // Digits behind its scale are cut off.
    Ok(number.truncated(i32::from(*scale)))
}

const SHORT_NEGATIVE: u16 = 0x4000;
const SHORT_SPECIAL: u16 = 0x8000;

/// Appends the short form.
pub fn put(number: &Numeric, out: &mut Vec<u8>) {
    let sign = if number.is_negative() { SHORT_NEGATIVE } else { 0 };
    match &number.0 {
        Repr::Special(special) => {
            let which = match special {
                Special::NaN => 0,
                Special::Infinity => 1,
                Special::NegativeInfinity => 2,
            };
            out.extend_from_slice(&(SHORT_SPECIAL | which).to_le_bytes());
        }
        Repr::Small { unscaled, scale } => {
            out.extend_from_slice(&(scale | sign).to_le_bytes());
            let bytes = unscaled.unsigned_abs().to_le_bytes();
            let length = 16 - unscaled.unsigned_abs().leading_zeros() as usize / 8;
            out.extend_from_slice(&bytes[..length]);
        }
        Repr::Large(large) => {
            out.extend_from_slice(&(large.1 | sign).to_le_bytes());
            out.extend_from_slice(&large.0.magnitude().to_bytes_le());
        }
    }
}

/// The number of some bytes of [`put`]; `None` for others.
pub fn take(bytes: &[u8]) -> Option<Numeric> {
    let (head, magnitude) = bytes.split_first_chunk::<2>()?;
    let head = u16::from_le_bytes(*head);
    if head & SHORT_SPECIAL != 0 {
        return Some(match (head & !SHORT_SPECIAL, magnitude) {
            (0, []) => Numeric::NAN,
            (1, []) => Numeric::infinity(false),
            (2, []) => Numeric::infinity(true),
            _ => return None,
        });
    }
    let (scale, negative) = (head & SCALE_MAX, head & SHORT_NEGATIVE != 0);
    if magnitude.len() < 16 {
        let mut all = [0; 16];
        all[..magnitude.len()].copy_from_slice(magnitude);
        let unscaled = i128::from_le_bytes(all);
        return Some(Numeric(Repr::Small { unscaled: if negative { -unscaled } else { unscaled }, scale }));
    }
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    Numeric::of_big(BigInt::from_bytes_le(sign, magnitude), scale).ok()
}
