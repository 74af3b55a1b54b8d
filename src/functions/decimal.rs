//! Arithmetic of `numeric`: how many digits a result has, and its value.
//!
//! In PostgreSQL every value knows how many digits it shows after the point. An Arrow column has one scale for all of
//! its values, so the column's type tells what is shown:
//!
//! | Arrow type            | what                                       | shown                         |
//! |-----------------------|--------------------------------------------|-------------------------------|
//! | Decimal128(38, 16)    | a column without modifier                  | without zeros at the end      |
//! | other Decimal128(p, s)| `numeric(p, s)`, literals, their sums ...  | s digits, as in PostgreSQL    |
//! | Decimal256(76, 38)    | quotients and averages                     | PostgreSQL's 16 significant digits |
//! | other Decimal256      | products too long for the others           | without zeros at the end      |
//!
//! Values are exact but for quotients, which are rounded where PostgreSQL rounds them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, Decimal256Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, i256};
use datafusion::common::{DataFusionError, Result};

use crate::error::{Error, SqlState};
use crate::types::arrow::errors::external;
use crate::types::arrow::{NUMERIC_COLUMN, NUMERIC_QUOTIENT};
use crate::types::numeric::significant_scale;

/// The scale beyond which the digits of a product are rounded away.
const PRODUCT_SCALE_MAX: i8 = 38;

/// Precision and scale of a decimal type.
pub fn digits(ty: &DataType) -> Option<(u8, i8)> {
    match ty {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Some((*precision, *scale))
        }
        _ => None,
    }
}

/// The decimal type of an integer's values.
pub fn of_integer(ty: &DataType) -> Option<DataType> {
    Some(match ty {
        DataType::Int16 => DataType::Decimal128(5, 0),
        DataType::Int32 => DataType::Decimal128(10, 0),
        DataType::Int64 => DataType::Decimal128(19, 0),
        DataType::UInt64 => DataType::Decimal128(20, 0),
        _ => return None,
    })
}

fn is_quotient(ty: &DataType) -> bool {
    *ty == quotient()
}

fn is_column(ty: &DataType) -> bool {
    *ty == column()
}

/// The type of quotients and averages.
pub fn quotient() -> DataType {
    DataType::Decimal256(NUMERIC_QUOTIENT.0, NUMERIC_QUOTIENT.1)
}

/// The type of a column without modifier.
pub fn column() -> DataType {
    DataType::Decimal128(NUMERIC_COLUMN.0, NUMERIC_COLUMN.1)
}

/// A type of exactly this scale, as narrow as `precision` allows.
pub fn with_scale(precision: u8, scale: i8) -> DataType {
    let precision = precision.max(scale.unsigned_abs()).max(1);
    // One digit more than needed keeps it from being taken for a column's type.
    let precision = if (precision, scale) == NUMERIC_COLUMN { precision + 1 } else { precision };
    match precision <= DECIMAL128_MAX_PRECISION {
        true => DataType::Decimal128(precision, scale),
        false => DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale),
    }
}

/// The type of a sum, a difference or a remainder.
pub fn sum_type(left: &DataType, right: &DataType) -> DataType {
    let (Some((p, s)), Some((q, t))) = (digits(left), digits(right)) else { return column() };
    if is_quotient(left) || is_quotient(right) {
        return quotient();
    }
    let scale = s.max(t);
    if (is_column(left) || is_column(right)) && scale == NUMERIC_COLUMN.1 {
        return column();
    }
    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
    with_scale((whole + 1 + i16::from(scale)).clamp(1, 76) as u8, scale)
}

/// The type of a product.
pub fn product_type(left: &DataType, right: &DataType) -> DataType {
    let (Some((p, s)), Some((q, t))) = (digits(left), digits(right)) else { return column() };
    if is_quotient(left) || is_quotient(right) {
        return quotient();
    }
    if is_column(left) && t == 0 || is_column(right) && s == 0 {
        return column();
    }
    if s + t > PRODUCT_SCALE_MAX {
        return quotient();
    }
    with_scale((u16::from(p) + u16::from(q)).min(76) as u8, s + t)
}

/// Numeric values of different scales: shown without zeros at the end, but in an expression beside an integer with the
/// scale of the numeric, which is what a sum of them shows.
pub fn mixed(left: &DataType, right: &DataType, beside_whole: bool) -> Option<DataType> {
    let ((p, s), (q, t)) = (digits(left)?, digits(right)?);
    if left == right {
        return Some(left.clone());
    }
    if quotient() == *left || quotient() == *right {
        return Some(quotient());
    }
    let column = column();
    if *left == column || *right == column || s != t && !beside_whole {
        return Some(if s.max(t) <= 16 { column } else { DataType::Decimal256(76, s.max(t)) });
    }
    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
    Some(with_scale((whole + i16::from(s.max(t))).clamp(1, 76) as u8, s.max(t)))
}

/// A column of decimals, read as numbers of 256 bits.
pub enum Decimals {
    Narrow(Decimal128Array),
    Wide(Decimal256Array),
}

impl Decimals {
    pub fn new(array: &ArrayRef) -> Result<Decimals> {
        let any = array.as_any();
        if let Some(array) = any.downcast_ref::<Decimal128Array>() {
            return Ok(Decimals::Narrow(array.clone()));
        }
        match any.downcast_ref::<Decimal256Array>() {
            Some(array) => Ok(Decimals::Wide(array.clone())),
            None => Err(DataFusionError::Internal(format!("expected numeric, found {}", array.data_type()))),
        }
    }

    pub fn get(&self, row: usize) -> Option<Decimal> {
        match self {
            Decimals::Narrow(array) => (!array.is_null(row))
                .then(|| Decimal { unscaled: i256::from_i128(array.value(row)), scale: array.scale() }),
            Decimals::Wide(array) => {
                (!array.is_null(row)).then(|| Decimal { unscaled: array.value(row), scale: array.scale() })
            }
        }
    }
}

/// `unscaled / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    pub unscaled: i256,
    pub scale: i8,
}

pub fn overflow() -> DataFusionError {
    external(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))
}

pub fn division_by_zero() -> DataFusionError {
    external(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"))
}

fn power(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}

const ZERO: i256 = i256::ZERO;
const ONE: i256 = i256::ONE;

impl Decimal {
    /// The number with another scale, rounded half away from zero.
    pub fn rescaled(self, scale: i8) -> Option<Decimal> {
        let shift = i16::from(scale) - i16::from(self.scale);
        let unscaled = if shift >= 0 {
            match self.unscaled == ZERO {
                true => ZERO,
                false => self.unscaled.checked_mul(power(shift.unsigned_abs().into())?)?,
            }
        } else {
            match power(shift.unsigned_abs().into()) {
                Some(divisor) => divide_rounding(self.unscaled, divisor)?,
                None => ZERO,
            }
        };
        Some(Decimal { unscaled, scale })
    }

    /// Cut off behind `scale` digits.
    pub fn truncated(self, scale: i8) -> Option<Decimal> {
        if scale >= self.scale {
            return self.rescaled(scale);
        }
        let shift = u32::from((i16::from(self.scale) - i16::from(scale)).unsigned_abs());
        let unscaled = power(shift).map_or(Some(ZERO), |divisor| self.unscaled.checked_div(divisor))?;
        Some(Decimal { unscaled, scale })
    }

    /// The largest whole number not above it, or with `up` the smallest not below it.
    pub fn whole(self, up: bool) -> Option<Decimal> {
        let cut = self.truncated(0)?;
        let back = cut.rescaled(self.scale.max(0))?;
        let step = match back.unscaled.cmp(&self.rescaled(self.scale.max(0))?.unscaled) {
            std::cmp::Ordering::Less if up => ONE,
            std::cmp::Ordering::Greater if !up => ONE.wrapping_neg(),
            _ => ZERO,
        };
        Some(Decimal { unscaled: cut.unscaled.checked_add(step)?, scale: 0 })
    }

    /// Without zeros at the end of its fraction.
    pub fn trimmed(mut self) -> Decimal {
        if self.unscaled == ZERO {
            return Decimal { unscaled: ZERO, scale: 0 };
        }
        if let Some(mut small) = self.unscaled.to_i128() {
            while self.scale >= 8 && small % 100_000_000 == 0 {
                small /= 100_000_000;
                self.scale -= 8;
            }
            while self.scale > 0 && small % 10 == 0 {
                small /= 10;
                self.scale -= 1;
            }
            return Decimal { unscaled: i256::from_i128(small), scale: self.scale };
        }
        let ten = i256::from_i128(10);
        while self.scale > 0 && self.unscaled.wrapping_rem(ten) == ZERO {
            self.unscaled = self.unscaled.wrapping_div(ten);
            self.scale -= 1;
        }
        self
    }

    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let unscaled = self.rescaled(scale)?.unscaled.checked_add(other.rescaled(scale)?.unscaled)?;
        Some(Decimal { unscaled, scale })
    }

    pub fn negated(self) -> Option<Decimal> {
        Some(Decimal { unscaled: self.unscaled.checked_neg()?, scale: self.scale })
    }

    pub fn times(self, other: Decimal) -> Option<Decimal> {
        let product =
            self.unscaled.checked_mul(other.unscaled).map(|unscaled| (self.scale + other.scale, unscaled));
        let (scale, unscaled) = match product {
            Some(product) => product,
            None => {
                let (a, b) = (self.trimmed(), other.trimmed());
                (a.scale + b.scale, a.unscaled.checked_mul(b.unscaled)?)
            }
        };
        Some(Decimal { unscaled, scale })
    }

    /// The remainder with the sign of the dividend; `None` for a division by zero or digits beyond all bounds.
    pub fn remainder(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let unscaled = self.rescaled(scale)?.unscaled.checked_rem(other.rescaled(scale)?.unscaled)?;
        Some(Decimal { unscaled, scale })
    }

    /// The quotient with as many digits as PostgreSQL gives it (select_div_scale). The divisor is not zero.
    pub fn divided_by(self, other: Decimal) -> Option<Decimal> {
        let scale = quotient_scale(self, other).min(NUMERIC_QUOTIENT.1);
        let (a, b) = (self.trimmed(), other.trimmed());
        let shift = i16::from(scale) + i16::from(b.scale) - i16::from(a.scale);
        let unscaled = match u32::try_from(shift) {
            Ok(shift) => divide_rounding(a.unscaled.checked_mul(power(shift)?)?, b.unscaled)?,
            Err(_) => {
                divide_rounding(a.unscaled, b.unscaled.checked_mul(power(u32::from(shift.unsigned_abs()))?)?)?
            }
        };
        Some(Decimal { unscaled, scale })
    }

    /// Weight and leading digit in PostgreSQL's base of 10,000; zero has weight 0 and digit 0.
    fn head(self) -> (i32, i128) {
        if self.unscaled == ZERO {
            return (0, 0);
        }
        let text = self.unscaled.wrapping_abs().to_string();
        let exponent = text.len() as i32 - 1 - i32::from(self.scale);
        let weight = exponent.div_euclid(4);
        let wanted = (exponent.rem_euclid(4) + 1) as usize;
        let head: i128 = text[..wanted.min(text.len())].parse().unwrap_or(0);
        (weight, head * 10i128.pow(wanted.saturating_sub(text.len()) as u32))
    }
}

fn quotient_scale(a: Decimal, b: Decimal) -> i8 {
    let ((weight, first), (other_weight, other_first)) = (a.head(), b.head());
    let weight = weight - other_weight - i32::from(first <= other_first);
    let scale = significant_scale(weight).max(i32::from(shown_scale(a))).max(i32::from(shown_scale(b)));
    scale.clamp(0, 100) as i8
}

/// The digits a value shows: those of its type, or those it needs where the type holds more than is shown.
fn shown_scale(value: Decimal) -> i8 {
    match value.scale {
        scale if scale >= NUMERIC_COLUMN.1 => value.trimmed().scale,
        scale => scale,
    }
}

/// `value / divisor`, half away from zero.
fn divide_rounding(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let rest = value.wrapping_rem(divisor).wrapping_abs();
    let half_or_more = rest >= divisor.wrapping_abs().wrapping_sub(rest);
    let negative = value.is_negative() != divisor.is_negative();
    Some(match (half_or_more && rest != ZERO, negative) {
        (false, _) => quotient,
        (true, false) => quotient.checked_add(ONE)?,
        (true, true) => quotient.checked_sub(ONE)?,
    })
}

/// Collects decimals into a column of one decimal type.
pub struct Builder {
    ty: DataType,
    narrow: Vec<Option<i128>>,
    wide: Vec<Option<i256>>,
}

impl Builder {
    pub fn new(ty: &DataType, rows: usize) -> Builder {
        let is_wide = matches!(ty, DataType::Decimal256(_, _));
        let (narrow, wide) = if is_wide { (0, rows) } else { (rows, 0) };
        Builder { ty: ty.clone(), narrow: Vec::with_capacity(narrow), wide: Vec::with_capacity(wide) }
    }

    /// 22003 when it does not fit.
    pub fn append(&mut self, value: Option<Decimal>) -> Result<()> {
        let (_, scale) = digits(&self.ty).ok_or_else(overflow)?;
        let scaled = match value {
            None => None,
            Some(value) => Some(value.rescaled(scale).ok_or_else(overflow)?.unscaled),
        };
        if matches!(self.ty, DataType::Decimal256(_, _)) {
            let limit = power(u32::from(DECIMAL256_MAX_PRECISION)).ok_or_else(overflow)?;
            if scaled.is_some_and(|value| value.wrapping_abs() >= limit) {
                return Err(overflow());
            }
            self.wide.push(scaled);
            return Ok(());
        }
        let limit = 10i128.pow(u32::from(DECIMAL128_MAX_PRECISION));
        let narrow = match scaled {
            None => None,
            Some(value) => Some(value.to_i128().filter(|value| value.abs() < limit).ok_or_else(overflow)?),
        };
        self.narrow.push(narrow);
        Ok(())
    }

    pub fn finish(self) -> Result<ArrayRef> {
        let (precision, scale) = digits(&self.ty).ok_or_else(overflow)?;
        Ok(match self.ty {
            DataType::Decimal256(_, _) => {
                Arc::new(Decimal256Array::from(self.wide).with_precision_and_scale(precision, scale)?)
            }
            _ => Arc::new(Decimal128Array::from(self.narrow).with_precision_and_scale(precision, scale)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        let number = crate::types::numeric::parse(text).unwrap();
        Decimal { unscaled: i256::from_i128(number.unscaled), scale: number.scale as i8 }
    }

    #[test]
    fn quotients_have_postgres_digits() {
        // From `SELECT a / b` of PostgreSQL 16.
        for (a, b, expected) in [
            ("10", "3", "3.3333333333333333"),
            ("1", "3", "0.33333333333333333333"),
            ("7.0", "2", "3.5000000000000000"),
            ("3", "3", "1.00000000000000000000"),
            ("100000", "3", "33333.333333333333"),
            ("-2", "3", "-0.66666666666666666667"),
            ("0", "5", "0.00000000000000000000"),
            ("1.23", "0.00001", "123000.000000000000"),
        ] {
            assert_eq!(decimal(a).divided_by(decimal(b)), Some(decimal(expected)), "{a} / {b}");
        }
    }

    #[test]
    fn whole_numbers_around() {
        let whole = |text: &str, up| decimal(text).whole(up).unwrap();
        assert_eq!(whole("1.2", true), decimal("2"));
        assert_eq!(whole("-1.2", true), decimal("-1"));
        assert_eq!(whole("1.2", false), decimal("1"));
        assert_eq!(whole("-1.2", false), decimal("-2"));
        assert_eq!(whole("3", true), decimal("3"));
    }
}
