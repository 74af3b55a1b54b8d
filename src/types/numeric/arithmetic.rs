//! `+ - * / %` of numbers, and how many digits their results show.
//!
//! | operation | digits after the point                                                                        |
//! |-----------|-----------------------------------------------------------------------------------------------|
//! | `+ - %`   | those of the operand that has more                                                            |
//! | `*`       | those of both together, at most 16,383                                                        |
//! | `/`       | so many that there are 16 significant ones, no fewer than an operand has, at most 1,000       |
//!
//! NaN makes a NaN of everything; infinities compute as they do in IEEE 754, but that a division by zero is 22012.

use super::{
    Numeric, RESULT_SCALE_MAX, Repr, SCALE_MAX, Special, big_power, divide_rounding, power, significant_scale,
};
use crate::error::{Error, Result, SqlState};

/// 22012.
pub fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// Of two infinities, or an infinity and a number, by their signs; a sign of 0 is of zero.
fn signed_infinity(sign: i32) -> Numeric {
    if sign == 0 { Numeric::NAN } else { Numeric::infinity(sign < 0) }
}

impl Numeric {
    fn either_is_nan(&self, other: &Numeric) -> bool {
        [self, other].iter().any(|number| number.as_special() == Some(Special::NaN))
    }

    pub fn plus(&self, other: &Numeric) -> Result<Numeric> {
        match (self.as_special(), other.as_special()) {
            (None, None) => {}
            _ if self.either_is_nan(other) => return Ok(Numeric::NAN),
            (Some(one), Some(other)) if one != other => return Ok(Numeric::NAN),
            (Some(one), _) | (None, Some(one)) => return Ok(Numeric::special(one)),
        }
        let scale = self.scale().max(other.scale());
        if let (Some(one), Some(other)) = (self.small_at(scale), other.small_at(scale))
            && let Some(sum) = one.checked_add(other)
        {
            return Ok(Numeric::scaled(sum, scale));
        }
        Numeric::of_big(self.big_at(scale) + other.big_at(scale), scale)
    }

    pub fn minus(&self, other: &Numeric) -> Result<Numeric> {
        self.plus(&other.negated())
    }

    pub fn negated(&self) -> Numeric {
        match &self.0 {
            Repr::Small { unscaled, scale } => Numeric(Repr::Small { unscaled: -unscaled, scale: *scale }),
            Repr::Large(large) => Numeric(Repr::Large(Box::new((-&large.0, large.1)))),
            Repr::Special(Special::NaN) => Numeric::NAN,
            Repr::Special(special) => Numeric::infinity(*special == Special::Infinity),
        }
    }

    pub fn absolute(&self) -> Numeric {
        if self.is_negative() { self.negated() } else { self.clone() }
    }

    pub fn times(&self, other: &Numeric) -> Result<Numeric> {
        if !self.is_finite() || !other.is_finite() {
            return Ok(match self.either_is_nan(other) {
                true => Numeric::NAN,
                false => signed_infinity(self.signum() * other.signum()),
            });
        }
        let scale = self.scale() + other.scale();
        let product = match (self.small(), other.small()) {
            (Some((one, _)), Some((other, _))) => one.checked_mul(other),
            _ => None,
        };
        let exact = match product {
            Some(unscaled) => Numeric::scaled(unscaled, scale),
            None => {
                let unscaled = self.big_at(0) * other.big_at(0);
                if scale > SCALE_MAX {
                    let unit = big_power(u32::from(scale - SCALE_MAX));
                    return Numeric::of_big(divide_rounding(unscaled, &unit), SCALE_MAX);
                }
                Numeric::of_big(unscaled, scale)?
            }
        };
        Ok(if scale > SCALE_MAX { exact.rounded(i32::from(SCALE_MAX)) } else { exact })
    }

    /// 22012 for a division by zero.
    pub fn divided_by(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.special_quotient(other)? {
            return Ok(special);
        }
        let scale = quotient_scale(self, other);
        // (a / 10^s) / (b / 10^t) = a * 10^(t - s) / b
        let shift = scale + i32::from(other.scale()) - i32::from(self.scale());
        if let (Some((a, _)), Some((b, _)), Ok(up)) = (self.small(), other.small(), u32::try_from(shift))
            && let Some(a) = power(up).and_then(|power| a.checked_mul(power))
        {
            let (quotient, rest) = (a / b, a % b);
            let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
            let step = if up { a.signum() * b.signum() } else { 0 };
            return Ok(Numeric::scaled(quotient + step, scale as u16));
        }
        let (mut a, mut b) = (self.big_at(0), other.big_at(0));
        match u32::try_from(shift) {
            Ok(up) => a *= big_power(up),
            Err(_) => b *= big_power(shift.unsigned_abs()),
        }
        Numeric::of_big(divide_rounding(a, &b), scale as u16)
    }

    /// The whole part of a quotient; 22012 for a division by zero.
    pub fn whole_quotient(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.special_quotient(other)? {
            return Ok(special);
        }
        let scale = self.scale().max(other.scale());
        Numeric::of_big(self.big_at(scale) / other.big_at(scale), 0)
    }

    /// The remainder with the sign of the dividend; 22012 for a division by zero.
    pub fn remainder(&self, other: &Numeric) -> Result<Numeric> {
        match (self.as_special(), other.as_special()) {
            (None, None) => {}
            _ if self.either_is_nan(other) => return Ok(Numeric::NAN),
            _ if other.is_zero() => return Err(division_by_zero()),
            (Some(_), _) => return Ok(Numeric::NAN),
            (None, _) => return Ok(self.clone()),
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        let scale = self.scale().max(other.scale());
        match (self.small_at(scale), other.small_at(scale)) {
            (Some(one), Some(other)) => Ok(Numeric::scaled(one % other, scale)),
            _ => Numeric::of_big(self.big_at(scale) % other.big_at(scale), scale),
        }
    }

    /// The largest whole number not above it.
    pub fn floor(&self) -> Result<Numeric> {
        let cut = self.truncated(0);
        if self.is_negative() && cut.compare(self).is_ne() {
            cut.minus(&Numeric::from_integer(1))
        } else {
            Ok(cut)
        }
    }

    /// The smallest whole number not below it.
    pub fn ceiling(&self) -> Result<Numeric> {
        Ok(self.negated().floor()?.negated())
    }

    /// The quotient where one of the two is no number; 22012 for a division by zero.
    fn special_quotient(&self, other: &Numeric) -> Result<Option<Numeric>> {
        if self.either_is_nan(other) {
            return Ok(Some(Numeric::NAN));
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        Ok(match (self.is_finite(), other.is_finite()) {
            (true, true) => None,
            (false, false) => Some(Numeric::NAN),
            (true, false) => Some(Numeric::ZERO),
            (false, true) => Some(signed_infinity(self.signum() * other.signum())),
        })
    }

    /// Weight and leading digit in PostgreSQL's base of 10,000; zero has weight 0 and digit 0.
    fn head(&self) -> (i32, u32) {
        const GROUP: i32 = 4;
        if let Some((unscaled, scale)) = self.small() {
            let Some(places) = unscaled.unsigned_abs().checked_ilog10() else { return (0, 0) };
            let exponent = places as i32 - i32::from(scale);
            // Digits of the leading group, and how many the number has of them.
            let (wanted, has) = (exponent.rem_euclid(GROUP) as u32 + 1, places + 1);
            let head = match has.checked_sub(wanted) {
                Some(cut) => unscaled.unsigned_abs() / 10u128.pow(cut),
                None => unscaled.unsigned_abs() * 10u128.pow(wanted - has),
            };
            return (exponent.div_euclid(GROUP), head as u32);
        }
        let digits = self.digits();
        let exponent = digits.len() as i32 - 1 - i32::from(self.scale());
        let wanted = exponent.rem_euclid(GROUP) as usize + 1;
        let head = digits.get(..wanted).and_then(|head| head.parse().ok()).unwrap_or(0);
        (exponent.div_euclid(GROUP), head)
    }
}

/// PostgreSQL's select_div_scale.
fn quotient_scale(a: &Numeric, b: &Numeric) -> i32 {
    let ((weight, first), (other_weight, other_first)) = (a.head(), b.head());
    let weight = weight - other_weight - i32::from(first <= other_first);
    significant_scale(weight).max(i32::from(a.scale())).max(i32::from(b.scale())).min(RESULT_SCALE_MAX)
}
