//! Roots, powers, exponentials and logarithms: of floats with the machine's, of numeric with as many digits as PostgreSQL gives.
//!
//! Numbers are computed with far more digits than are shown, and rounded once. As in PostgreSQL a function of an integer is
//! double precision, and of a numeric beside one numeric.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder};
use arrow::datatypes::{DataType, Float64Type, i256};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Context, One, RoundingMode, Signed, ToPrimitive, Zero};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::decimal::{Builder, Decimal, Decimals, column, digits, of_integer, quotient};
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::numeric::significant_scale;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let all = [
        ("sqrt", Of::Root),
        ("exp", Of::Exponential),
        ("ln", Of::Logarithm),
        // To a base, where it has two arguments.
        ("log", Of::DecimalLogarithm),
        ("log10", Of::DecimalLogarithm),
        ("power", Of::Power),
        ("pow", Of::Power),
    ];
    let function = |(name, of)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Precise { name, of, signature }))
    };
    all.into_iter().map(function).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Root,
    Exponential,
    Logarithm,
    DecimalLogarithm,
    LogarithmTo,
    Power,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Precise {
    name: &'static str,
    of: Of,
    signature: Signature,
}

impl Precise {
    /// By the number of arguments.
    fn of(&self, arguments: usize) -> Of {
        if self.name == "log" && arguments == 2 { Of::LogarithmTo } else { self.of }
    }

    fn takes(&self, arguments: usize) -> bool {
        match self.of {
            Of::Power => arguments == 2,
            Of::DecimalLogarithm if self.name == "log" => matches!(arguments, 1 | 2),
            _ => arguments == 1,
        }
    }
}

fn is_exact(ty: &DataType) -> bool {
    digits(ty).is_some()
}

impl ScalarUDFImpl for Precise {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |ty: &DataType| ty.is_numeric() || ty.is_null() || *ty == DataType::Utf8;
        if !self.takes(given.len()) || !given.iter().all(is_number) {
            return Err(no_such_function(self.name, given));
        }
        let has_float = given.iter().any(DataType::is_floating);
        // The logarithm to a base is one of numeric only.
        let exact = given.iter().any(is_exact) || self.of(given.len()) == Of::LogarithmTo;
        if has_float && self.of(given.len()) == Of::LogarithmTo {
            return Ok(vec![DataType::Float64; given.len()]);
        }
        Ok(match exact && !has_float {
            true => given
                .iter()
                .map(|ty| match ty {
                    ty if is_exact(ty) => ty.clone(),
                    ty => of_integer(ty).unwrap_or_else(column),
                })
                .collect(),
            false => vec![DataType::Float64; given.len()],
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match self.of(given.len()) {
            _ if !given.iter().any(is_exact) => DataType::Float64,
            Of::Logarithm | Of::DecimalLogarithm | Of::LogarithmTo => column(),
            Of::Root | Of::Exponential | Of::Power => quotient(),
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(&args);
        let of = self.of(args.args.len());
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let result = match is_exact(args.return_field.data_type()) {
            true => exact(of, &columns, args.return_field.data_type(), rows)?,
            false => floats(of, &columns, rows)?,
        };
        answer(result, constant)
    }
}

fn floats(of: Of, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let columns: Vec<_> = columns.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
    let mut result = Float64Builder::with_capacity(rows);
    for row in 0..rows {
        if columns.iter().any(|column| column.is_null(row)) {
            result.append_null();
            continue;
        }
        let x = columns[0].value(row);
        let second = || columns.get(1).map_or(0.0, |column| column.value(row));
        let value = match of {
            Of::Root if x < 0.0 => Err(negative_root()),
            Of::Root => Ok(x.sqrt()),
            Of::Exponential => bounded(x.exp(), x.is_finite()),
            Of::Logarithm => logarithm(x == 0.0, x < 0.0).map(|()| x.ln()),
            Of::DecimalLogarithm => logarithm(x == 0.0, x < 0.0).map(|()| x.log10()),
            Of::LogarithmTo => logarithm(x == 0.0, x < 0.0)
                .and_then(|()| logarithm(second() == 0.0, second() < 0.0))
                .and_then(|()| if x == 1.0 { Err(division_by_zero()) } else { Ok(second().ln() / x.ln()) }),
            Of::Power => power_of_floats(x, second()),
        };
        result.append_value(value.map_err(external)?);
    }
    Ok(Arc::new(result.finish()))
}

fn exact(of: Of, columns: &[ArrayRef], ty: &DataType, rows: usize) -> Result<ArrayRef> {
    let columns = columns.iter().map(Decimals::new).collect::<Result<Vec<_>>>()?;
    let mut result = Builder::new(ty, rows);
    for row in 0..rows {
        let values: Option<Vec<Decimal>> = columns.iter().map(|column| column.get(row)).collect();
        let value = match values {
            Some(values) => Some(one(of, &values).map_err(external)?),
            None => None,
        };
        result.append(value)?;
    }
    result.finish()
}

/// Digits that are computed: those of numeric, twice over.
const DIGITS: u64 = 80;

fn context() -> Context {
    let precision = NonZeroU64::new(DIGITS).unwrap_or(NonZeroU64::MIN);
    Context::new(precision, RoundingMode::HalfUp)
}

fn one(of: Of, values: &[Decimal]) -> crate::error::Result<Decimal> {
    let numbers: Vec<BigDecimal> = values.iter().map(big).collect();
    let x = &numbers[0];
    let positive = |x: &BigDecimal| logarithm(x.is_zero(), x.is_negative());
    let result = match of {
        Of::Root if x.is_negative() => return Err(negative_root()),
        Of::Root => x.sqrt_with_context(&context()).ok_or_else(negative_root)?,
        Of::Exponential => exponential(x)?,
        Of::Logarithm => {
            positive(x)?;
            natural(x)
        }
        Of::DecimalLogarithm => {
            positive(x)?;
            (natural(x) / natural(&BigDecimal::from(10))).with_prec(DIGITS)
        }
        Of::LogarithmTo => {
            positive(x)?;
            positive(&numbers[1])?;
            match natural(x) {
                base if base.is_zero() => return Err(division_by_zero()),
                base => (natural(&numbers[1]) / base).with_prec(DIGITS),
            }
        }
        Of::Power => power(x, &numbers[1])?,
    };
    let shown = values.iter().map(|value| value.trimmed().scale).max().unwrap_or(0);
    rounded(&result, i64::from(shown))
}

/// A number with at least sixteen significant digits, and no fewer behind the point than were given.
fn rounded(number: &BigDecimal, given: i64) -> crate::error::Result<Decimal> {
    /// Digits a numeric holds.
    const HELD: i64 = 38;
    // The place of the first digit, counted from the point.
    let exponent = if number.is_zero() { 0 } else { number.order_of_magnitude() };
    let weight = i32::try_from(exponent.div_euclid(4)).unwrap_or(i32::MAX);
    let scale = i64::from(significant_scale(weight.clamp(-10, 10))).max(given).min(HELD);
    let number = number.with_scale_round(scale, RoundingMode::HalfUp);
    let (unscaled, scale) = number.into_bigint_and_exponent();
    let fits = i256::from_string(&unscaled.to_string());
    match (fits, i8::try_from(scale)) {
        (Some(unscaled), Ok(scale)) if exponent < HELD => Ok(Decimal { unscaled, scale }),
        _ => Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")),
    }
}

fn big(value: &Decimal) -> BigDecimal {
    let digits = value.unscaled.to_string().parse::<BigInt>().unwrap_or_default();
    BigDecimal::from_bigint(digits, i64::from(value.scale))
}

/// Beyond this no numeric of ours holds the result, or tells it from 0.
const EXPONENT_MAX: i64 = 100;

fn exponential(x: &BigDecimal) -> crate::error::Result<BigDecimal> {
    if x.abs() > EXPONENT_MAX {
        return match x.is_negative() {
            true => Ok(BigDecimal::zero()),
            false => Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")),
        };
    }
    // e^x = (e^(x / 256))^256, whose series is short.
    let mut result = series(&(x / BigDecimal::from(256)).with_prec(DIGITS + 20));
    for _ in 0..8 {
        result = (&result * &result).with_prec(DIGITS + 20);
    }
    Ok(result)
}

/// 1 + x + x^2 / 2! + ..., of a small x.
fn series(x: &BigDecimal) -> BigDecimal {
    let (mut sum, mut term) = (BigDecimal::one(), BigDecimal::one());
    // Of x below 0.4 the hundredth term has a hundred zeros and more.
    for n in 1..=100 {
        term = (term * x / BigDecimal::from(n)).with_prec(DIGITS + 20);
        if term.is_zero() {
            break;
        }
        sum = (sum + &term).with_prec(DIGITS + 20);
    }
    sum
}

/// The natural logarithm of a positive number: Newton's way (Halley's variant) from the machine's, each step of which has
/// three times the digits.
fn natural(x: &BigDecimal) -> BigDecimal {
    if x.is_one() {
        return BigDecimal::zero();
    }
    // x = mantissa * 10^exponent
    let exponent = x.order_of_magnitude();
    let mantissa = BigDecimal::from_bigint(BigInt::one(), exponent) * x;
    let near = mantissa.to_f64().unwrap_or(1.0).ln() + exponent as f64 * std::f64::consts::LN_10;
    let mut root = BigDecimal::try_from(near).unwrap_or_default();
    for _ in 0..3 {
        let Ok(made) = exponential(&root) else { return root };
        let step = BigDecimal::from(2) * (x - &made) / (x + &made);
        root = (root + step.with_prec(DIGITS)).with_prec(DIGITS);
    }
    root
}

fn power(base: &BigDecimal, exponent: &BigDecimal) -> crate::error::Result<BigDecimal> {
    if base.is_zero() && exponent.is_negative() {
        return Err(zero_to_negative());
    }
    if base.is_zero() {
        return Ok(if exponent.is_zero() { BigDecimal::one() } else { BigDecimal::zero() });
    }
    if exponent.is_integer()
        && let Some(times) = exponent.to_i64()
    {
        // ln |base| * times says how large it becomes, before it does.
        let size = base.abs().to_f64().unwrap_or(f64::MAX).ln() * times as f64;
        return match size {
            size if size > EXPONENT_MAX as f64 => {
                Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))
            }
            size if size < -(EXPONENT_MAX as f64) => Ok(BigDecimal::zero()),
            _ => Ok(base.powi_with_context(times, &context())),
        };
    }
    if base.is_negative() {
        return Err(complex());
    }
    exponential(&(natural(base) * exponent).with_prec(DIGITS))
}

fn power_of_floats(base: f64, exponent: f64) -> crate::error::Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(zero_to_negative());
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(complex());
    }
    let result = base.powf(exponent);
    match base {
        0.0 => Ok(result),
        base => bounded(result, base.is_finite() && exponent.is_finite()),
    }
}

/// A result that neither overflowed nor vanished.
fn bounded(result: f64, finite: bool) -> crate::error::Result<f64> {
    let lost = |how| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {how}"));
    match result {
        result if result.is_infinite() && finite => Err(lost("overflow")),
        0.0 if finite => Err(lost("underflow")),
        result => Ok(result),
    }
}

fn logarithm(is_zero: bool, is_negative: bool) -> crate::error::Result<()> {
    match (is_zero, is_negative) {
        (true, _) => Err(Error::new(SqlState("2201E"), "cannot take logarithm of zero")),
        (_, true) => Err(Error::new(SqlState("2201E"), "cannot take logarithm of a negative number")),
        _ => Ok(()),
    }
}

fn negative_root() -> Error {
    Error::new(SqlState("2201F"), "cannot take square root of a negative number")
}

fn zero_to_negative() -> Error {
    Error::new(SqlState("2201F"), "zero raised to a negative power is undefined")
}

fn complex() -> Error {
    Error::new(SqlState("2201F"), "a negative number raised to a non-integer power yields a complex result")
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}
