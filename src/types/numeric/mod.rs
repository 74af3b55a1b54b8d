//! Exact decimals: [`Numeric`] is `unscaled / 10^scale`, or NaN or an infinity.
//!
//! Every value knows how many digits it shows after the point: `1.50` is equal to `1.5` and is shown as it was written.
//! Numbers of up to 38 digits, which nearly all are, are an i128 and are computed with as such; longer ones are on the
//! heap. The bounds are PostgreSQL's: 131,072 digits before the point and 16,383 behind it.
//!
//! ```text
//!   mod.rs          what a number is, its order, rounding, what a column of numeric(p, s) makes of it
//!   arithmetic.rs   + - * / % and how many digits their results show
//!   text.rs         as text, in and out, and from floats
//!   wire.rs         as bytes: PostgreSQL's binary format, and the one of rows and Arrow cells
//! ```
//!
//! Rounding is half away from zero, as PostgreSQL's. See
//! <https://www.postgresql.org/docs/17/datatype-numeric.html#DATATYPE-NUMERIC-DECIMAL>.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use crate::error::{Error, Result, SqlState};

pub mod arithmetic;
pub mod text;
pub mod wire;

#[cfg(test)]
mod tests;

pub use arithmetic::division_by_zero;
pub use text::{parse, print};
pub use wire::{receive, send};

/// Digits of a number that is kept in an i128, and of an Arrow Decimal128.
pub const SMALL_DIGITS: u8 = 38;
/// Most digits before the point.
const WHOLE_DIGITS_MAX: u64 = 131_072;
/// Most digits after the point (PostgreSQL's NUMERIC_DSCALE_MAX).
pub const SCALE_MAX: u16 = 16_383;
/// Most digits after the point that a computed result shows (PostgreSQL's NUMERIC_MAX_DISPLAY_SCALE).
pub const RESULT_SCALE_MAX: i32 = 1_000;

/// An exact decimal. Two are `==` when they are also shown alike; [`Numeric::compare`] has the order of SQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numeric(Repr);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    /// Below 10^38.
    Small {
        unscaled: i128,
        scale: u16,
    },
    /// All others.
    Large(Box<(BigInt, u16)>),
    Special(Special),
}

/// What is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    NegativeInfinity,
    Infinity,
    NaN,
}

/// Digits after the point of a quotient whose first digit in base 10,000 has this weight: with them it has at least 16
/// significant ones (PostgreSQL's NUMERIC_MIN_SIG_DIGITS).
fn significant_scale(weight: i32) -> i32 {
    (16 - 4 * weight).max(0)
}

/// 10^exponent; `None` when it has more than 38 digits.
fn power(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

fn big_power(exponent: u32) -> BigInt {
    BigInt::from(10u8).pow(exponent)
}

/// Values below are small.
const SMALL_END: i128 = 10i128.pow(SMALL_DIGITS as u32);

impl Numeric {
    pub const ZERO: Numeric = Numeric(Repr::Small { unscaled: 0, scale: 0 });
    pub const NAN: Numeric = Numeric(Repr::Special(Special::NaN));

    /// `unscaled / 10^scale`, of at most 38 digits after the point.
    pub fn new(unscaled: i128, scale: u8) -> Numeric {
        Numeric::scaled(unscaled, u16::from(scale))
    }

    /// `unscaled / 10^scale`, of no more digits after the point than a number has.
    pub(crate) fn scaled(unscaled: i128, scale: u16) -> Numeric {
        match unscaled.unsigned_abs() < SMALL_END.unsigned_abs() {
            true => Numeric(Repr::Small { unscaled, scale }),
            false => Numeric(Repr::Large(Box::new((BigInt::from(unscaled), scale)))),
        }
    }

    pub fn from_integer(value: i64) -> Numeric {
        Numeric::new(i128::from(value), 0)
    }

    pub fn special(special: Special) -> Numeric {
        Numeric(Repr::Special(special))
    }

    pub fn infinity(negative: bool) -> Numeric {
        Numeric::special(if negative { Special::NegativeInfinity } else { Special::Infinity })
    }

    /// `unscaled / 10^scale`; 22003 beyond PostgreSQL's bounds.
    pub fn of_big(unscaled: BigInt, scale: u16) -> Result<Numeric> {
        if let Ok(small) = i128::try_from(&unscaled)
            && small.unsigned_abs() < SMALL_END.unsigned_abs()
        {
            return match scale <= SCALE_MAX {
                true => Ok(Numeric(Repr::Small { unscaled: small, scale })),
                false => Err(overflow()),
            };
        }
        // As many digits as the power of two has that it is no less than; log10(2) is rounded down.
        let digits_least = (unscaled.bits() - 1).saturating_mul(3_010_299_956) / 10_000_000_000 + 1;
        let digits_max = WHOLE_DIGITS_MAX + u64::from(scale);
        // On the edge, by the number itself.
        let is_beyond = digits_least > digits_max
            || digits_least == digits_max && unscaled.magnitude() >= big_power(digits_max as u32).magnitude();
        if scale > SCALE_MAX || is_beyond {
            return Err(overflow());
        }
        Ok(Numeric(Repr::Large(Box::new((unscaled, scale)))))
    }

    /// `unscaled` and `scale` of a number of at most 38 digits.
    pub fn small(&self) -> Option<(i128, u16)> {
        match &self.0 {
            Repr::Small { unscaled, scale } => Some((*unscaled, *scale)),
            Repr::Large(_) | Repr::Special(_) => None,
        }
    }

    /// What it is when it is no number.
    pub fn as_special(&self) -> Option<Special> {
        match &self.0 {
            Repr::Special(special) => Some(*special),
            Repr::Small { .. } | Repr::Large(_) => None,
        }
    }

    pub fn is_finite(&self) -> bool {
        self.as_special().is_none()
    }

    /// Digits shown after the point; 0 of what is no number.
    pub fn scale(&self) -> u16 {
        match &self.0 {
            Repr::Small { scale, .. } => *scale,
            Repr::Large(large) => large.1,
            Repr::Special(_) => 0,
        }
    }

    /// -1, 0 or 1; NaN has 1.
    pub fn signum(&self) -> i32 {
        match &self.0 {
            Repr::Small { unscaled, .. } => unscaled.signum() as i32,
            Repr::Large(large) => {
                if large.0.sign() == Sign::Minus {
                    -1
                } else {
                    1
                }
            }
            Repr::Special(Special::NegativeInfinity) => -1,
            Repr::Special(_) => 1,
        }
    }

    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Small { unscaled: 0, .. })
    }

    pub fn is_negative(&self) -> bool {
        self.signum() < 0
    }

    /// What it is divided by 10^scale; `None` of what is no number.
    pub fn unscaled(&self) -> Option<BigInt> {
        match &self.0 {
            Repr::Small { unscaled, .. } => Some(BigInt::from(*unscaled)),
            Repr::Large(large) => Some(large.0.clone()),
            Repr::Special(_) => None,
        }
    }

    /// The digits of its magnitude times 10^scale, without zeros in front ("0" of zero).
    fn digits(&self) -> String {
        match &self.0 {
            Repr::Small { unscaled, .. } => unscaled.unsigned_abs().to_string(),
            Repr::Large(large) => large.0.magnitude().to_string(),
            Repr::Special(_) => String::new(),
        }
    }

    /// Its significant digits, without zeros at either end, and the exponent with which it is `0.d1d2d3... * 10^exponent`;
    /// `None` of zero and of what is no number.
    pub fn significand(&self) -> Option<(String, i32)> {
        if self.is_zero() || !self.is_finite() {
            return None;
        }
        let mut digits = self.digits();
        let exponent = digits.len() as i32 - i32::from(self.scale());
        digits.truncate(digits.trim_end_matches('0').len());
        Some((digits, exponent))
    }

    /// The integer that is shown at another scale, no smaller than its own; `None` beyond 38 digits.
    fn small_at(&self, scale: u16) -> Option<i128> {
        let (unscaled, own) = self.small()?;
        if unscaled == 0 || own == scale {
            return Some(unscaled);
        }
        unscaled.checked_mul(power(u32::from(scale.checked_sub(own)?))?)
    }

    /// The same of any size.
    fn big_at(&self, scale: u16) -> BigInt {
        let unscaled = self.unscaled().unwrap_or_default();
        match scale.checked_sub(self.scale()) {
            None | Some(0) => unscaled,
            Some(up) => unscaled * big_power(u32::from(up)),
        }
    }

    /// In SQL's order: `1.0` is equal to `1`, an infinity is beyond all numbers, NaN is equal to itself and the greatest.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        let side = |number: &Numeric| match number.as_special() {
            Some(Special::NegativeInfinity) => -1,
            None => 0,
            Some(Special::Infinity) => 1,
            Some(Special::NaN) => 2,
        };
        let (one, two) = (side(self), side(other));
        if (one, two) != (0, 0) {
            return one.cmp(&two);
        }
        let scale = self.scale().max(other.scale());
        match (self.small_at(scale), other.small_at(scale)) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => self.big_at(scale).cmp(&other.big_at(scale)),
        }
    }

    /// Rounded to an integer; `None` when it does not fit, or is none.
    pub fn to_i64(&self) -> Option<i64> {
        i64::try_from(self.rounded(0).small()?.0).ok()
    }

    /// With `scale` digits after the point, rounded; with zeros in front of the point where it is negative.
    pub fn rounded(&self, scale: i32) -> Numeric {
        self.rounded_within(scale).unwrap_or_else(|_| self.clone())
    }

    /// The same; 22003 where a carry leaves PostgreSQL's bounds.
    pub fn rounded_within(&self, scale: i32) -> Result<Numeric> {
        self.at(scale, true)
    }

    /// With `scale` digits after the point, cut off behind them.
    pub fn truncated(&self, scale: i32) -> Numeric {
        // What is cut is no longer than it was.
        self.at(scale, false).unwrap_or_else(|_| self.clone())
    }

    fn at(&self, scale: i32, round: bool) -> Result<Numeric> {
        let scale = scale.clamp(-(WHOLE_DIGITS_MAX as i32) - 1, i32::from(SCALE_MAX));
        let own = i32::from(self.scale());
        if !self.is_finite() || scale == own {
            return Ok(self.clone());
        }
        if scale > own {
            let shown = scale as u16;
            return Ok(match self.small_at(shown) {
                Some(unscaled) => Numeric::scaled(unscaled, shown),
                None => Numeric(Repr::Large(Box::new((self.big_at(shown), shown)))),
            });
        }
        let (cut, shown) = ((own - scale) as u32, scale.max(0) as u16);
        // Zeros in front of the point come back.
        let zeros = (-scale).max(0) as u32;
        if let Some((unscaled, _)) = self.small() {
            let Some(unit) = power(cut) else {
                // Less than a tenth of the last digit.
                return Ok(Numeric(Repr::Small { unscaled: 0, scale: shown }));
            };
            let (quotient, rest) = (unscaled / unit, (unscaled % unit).abs());
            let up = round && rest >= unit - rest;
            let whole = if up { quotient + unscaled.signum() } else { quotient };
            if whole == 0 {
                return Ok(Numeric(Repr::Small { unscaled: 0, scale: shown }));
            }
            if let Some(unscaled) = power(zeros).and_then(|power| whole.checked_mul(power))
                && unscaled.unsigned_abs() < SMALL_END.unsigned_abs()
            {
                return Ok(Numeric(Repr::Small { unscaled, scale: shown }));
            }
            let unscaled = BigInt::from(whole) * big_power(zeros);
            return Numeric::of_big(unscaled, shown);
        }
        let unscaled = self.unscaled().unwrap_or_default();
        let unit = big_power(cut);
        let whole = if round { divide_rounding(unscaled, &unit) } else { unscaled / unit };
        Numeric::of_big(whole * big_power(zeros), shown)
    }

    /// Without zeros at the end of its fraction.
    pub fn trimmed(&self) -> Numeric {
        if self.scale() == 0 {
            return self.clone();
        }
        if let Some((mut unscaled, mut scale)) = self.small() {
            if unscaled == 0 {
                return Numeric::ZERO;
            }
            while scale > 0 && unscaled % 10 == 0 {
                (unscaled, scale) = (unscaled / 10, scale - 1);
            }
            return Numeric(Repr::Small { unscaled, scale });
        }
        let digits = self.digits();
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        self.truncated(i32::from(self.scale()) - (zeros.min(usize::from(self.scale()))) as i32)
    }

    /// As a column of `numeric(precision, scale)` stores it; 22003 when it does not fit.
    pub fn fit(self, modifier: Option<(u16, i16)>) -> Result<Numeric> {
        let Some((precision, scale)) = modifier else { return Ok(self) };
        match self.as_special() {
            Some(Special::NaN) if is_narrow(precision, scale) => {
                return Err(Error::unsupported(format!("NaN as a numeric({precision},{scale})")));
            }
            Some(Special::NaN) => return Ok(self),
            Some(_) => {
                let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow");
                return Err(error.detail(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                )));
            }
            None => {}
        }
        let number = self.rounded(i32::from(scale));
        // Digits before the point, or zeros behind it where there are fewer than none.
        let whole = i32::from(precision) - i32::from(scale);
        let fits = match number.significand() {
            None => true,
            Some((_, exponent)) => exponent <= whole,
        };
        if fits { Ok(number) } else { Err(field_overflow(precision, scale)) }
    }
}

impl Default for Numeric {
    fn default() -> Numeric {
        Numeric::ZERO
    }
}

/// Whether the values of `numeric(precision, scale)` are an Arrow Decimal128.
pub fn is_narrow(precision: u16, scale: i16) -> bool {
    precision <= u16::from(SMALL_DIGITS) && scale >= 0 && scale as u16 <= precision
}

/// `value / divisor`, half away from zero.
fn divide_rounding(value: BigInt, divisor: &BigInt) -> BigInt {
    let (quotient, rest) = (&value / divisor, &value % divisor);
    let twice: BigInt = rest * 2;
    if twice.magnitude() < divisor.magnitude() {
        return quotient;
    }
    if (value.sign() == Sign::Minus) == (divisor.sign() == Sign::Minus) { quotient + 1 } else { quotient - 1 }
}

pub fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn field_overflow(precision: u16, scale: i16) -> Error {
    let whole = i32::from(precision) - i32::from(scale);
    let bound = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}
