//! The types of `numeric` in a plan: how many digits a result has, and columns of them.
//!
//! In PostgreSQL every value knows how many digits it shows after the point. An Arrow decimal has one scale for all of its
//! values, so it stands where all show as many, and [`any`] for the rest:
//!
//! | Arrow type        | what                                                                       |
//! |-------------------|----------------------------------------------------------------------------|
//! | Decimal128(p, s)  | `numeric(p, s)`, literals, and sums and products of them within 38 digits  |
//! | BinaryView        | `numeric`, quotients, averages, and where the two meet in one column       |
//!
//! The values themselves are [`Numeric`]s in either.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryViewBuilder, Decimal128Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{Result, ScalarValue};

use crate::types::Numeric;
use crate::types::arrow::errors::external;
pub use crate::types::arrow::is_numeric;
use crate::types::arrow::{numeric_at, unscaled};
use crate::types::numeric::wire;

/// Precision and scale of a type all of whose values show as many digits.
pub fn digits(ty: &DataType) -> Option<(u8, i8)> {
    match ty {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

/// The type of numbers each of which shows its own digits.
pub fn any() -> DataType {
    DataType::BinaryView
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

/// A type of exactly this scale, as narrow as `precision` allows.
pub fn with_scale(precision: i16, scale: i16) -> DataType {
    let precision = precision.max(scale).max(1);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale @ 0..)) if precision <= DECIMAL128_MAX_PRECISION => {
            DataType::Decimal128(precision, scale)
        }
        _ => any(),
    }
}

/// The type of a sum, a difference or a remainder.
pub fn sum_type(left: &DataType, right: &DataType) -> DataType {
    match union(left, right) {
        Some((whole, scale)) => with_scale(whole + 1 + scale, scale),
        None => any(),
    }
}

/// Digits before and behind the point of which no value has more.
fn union(left: &DataType, right: &DataType) -> Option<(i16, i16)> {
    let ((p, s), (q, t)) = (digits(left)?, digits(right)?);
    let [p, s, q, t] = [i16::from(p), i16::from(s), i16::from(q), i16::from(t)];
    Some(((p - s).max(q - t), s.max(t)))
}

/// The type of a product.
pub fn product_type(left: &DataType, right: &DataType) -> DataType {
    match (digits(left), digits(right)) {
        (Some((p, s)), Some((q, t))) => with_scale(i16::from(p) + i16::from(q), i16::from(s) + i16::from(t)),
        _ => any(),
    }
}

/// The type of a column in which both stand as they are; `None` when one is no `numeric`.
pub fn mixed(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    if !is_numeric(left) || !is_numeric(right) {
        return None;
    }
    Some(match (digits(left), digits(right), union(left, right)) {
        (Some((_, s)), Some((_, t)), Some((whole, scale))) if s == t => with_scale(whole + scale, scale),
        _ => any(),
    })
}

/// A column of numbers.
pub struct Numbers(ArrayRef);

impl Numbers {
    pub fn new(array: &ArrayRef) -> Numbers {
        Numbers(Arc::clone(array))
    }

    pub fn get(&self, row: usize) -> Result<Option<Numeric>> {
        if self.0.is_null(row) {
            return Ok(None);
        }
        numeric_at(&self.0, row).map(Some).map_err(external)
    }
}

/// The number of a scalar; `None` of NULL.
pub fn of_scalar(scalar: &ScalarValue) -> Result<Option<Numeric>> {
    Numbers::new(&scalar.to_array()?).get(0)
}

/// A number on its own, as one of [`any`].
pub fn scalar(number: Option<&Numeric>) -> ScalarValue {
    ScalarValue::BinaryView(number.map(|number| {
        let mut bytes = Vec::new();
        wire::put(number, &mut bytes);
        bytes
    }))
}

/// A number as a constant: of as many digits as it has, where a type has room for them.
pub fn literal(number: &Numeric) -> ScalarValue {
    let Some((unscaled, shown)) = number.small() else { return scalar(Some(number)) };
    let places = unscaled.unsigned_abs().checked_ilog10().map_or(1, |places| places as i16 + 1);
    match with_scale(places, i16::try_from(shown).unwrap_or(i16::MAX)) {
        DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(unscaled), precision, scale),
        _ => scalar(Some(number)),
    }
}

/// Collects numbers into a column of one of the two types.
pub struct Builder {
    ty: DataType,
    narrow: Vec<Option<i128>>,
    any: BinaryViewBuilder,
    bytes: Vec<u8>,
}

impl Builder {
    pub fn new(ty: &DataType, rows: usize) -> Builder {
        let narrow = Vec::with_capacity(if digits(ty).is_some() { rows } else { 0 });
        Builder { ty: ty.clone(), narrow, any: BinaryViewBuilder::new(), bytes: Vec::new() }
    }

    /// 22003 when it does not fit.
    pub fn append(&mut self, value: Option<&Numeric>) -> Result<()> {
        let Some((precision, scale)) = digits(&self.ty) else {
            match value {
                None => self.any.append_null(),
                Some(value) => {
                    self.bytes.clear();
                    wire::put(value, &mut self.bytes);
                    self.any.append_value(&self.bytes);
                }
            }
            return Ok(());
        };
        let narrow = match value {
            None => None,
            Some(value) => Some(
                unscaled(value, precision, scale).map_err(|_| external(crate::types::numeric::overflow()))?,
            ),
        };
        self.narrow.push(narrow);
        Ok(())
    }

    pub fn finish(mut self) -> Result<ArrayRef> {
        Ok(match digits(&self.ty) {
            Some((precision, scale)) => {
                Arc::new(Decimal128Array::from(self.narrow).with_precision_and_scale(precision, scale)?)
            }
            None => Arc::new(self.any.finish()),
        })
    }
}
