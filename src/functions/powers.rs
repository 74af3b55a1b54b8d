//! Roots, powers, exponentials and logarithms: of floats with the machine's, of numeric with as many digits as PostgreSQL gives.
//!
//! Numbers are computed with far more digits than are shown, and rounded once. As in PostgreSQL a function of an integer is
//! double precision, and of a numeric beside one numeric.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder};
use arrow::datatypes::{DataType, Float64Type};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Context, One, RoundingMode, Signed, ToPrimitive, Zero};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::decimal::{self, Numbers, any, is_numeric, of_integer};
use crate::functions::doubles;
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::types::Numeric;
use crate::types::arrow::errors::external;
use crate::types::numeric::{self, RESULT_SCALE_MAX, division_by_zero};

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

/// As floats; numbers of ours become such by us.
fn doubles_but_numbers(given: &[DataType]) -> Vec<DataType> {
    given.iter().map(|ty| if *ty == any() { any() } else { DataType::Float64 }).collect()
}

impl ScalarUDFImpl for Precise {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let is_number =
            |ty: &DataType| ty.is_numeric() || is_numeric(ty) || ty.is_null() || *ty == DataType::Utf8;
        if !self.takes(given.len()) || !given.iter().all(is_number) {
            return Err(no_such_function(self.name, given));
        }
        let has_float = given.iter().any(DataType::is_floating);
        // The logarithm to a base is one of numeric only.
        let exact = given.iter().any(is_numeric) || self.of(given.len()) == Of::LogarithmTo;
        if has_float && self.of(given.len()) == Of::LogarithmTo {
            return Ok(doubles_but_numbers(given));
        }
        Ok(match exact && !has_float {
            true => given
                .iter()
                .map(|ty| match ty {
                    ty if is_numeric(ty) => ty.clone(),
                    ty => of_integer(ty).unwrap_or_else(any),
                })
                .collect(),
            false => doubles_but_numbers(given),
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let exact = given.iter().any(is_numeric) && !given.iter().any(DataType::is_floating);
        Ok(if exact { any() } else { DataType::Float64 })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(&args);
        let of = self.of(args.args.len());
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let result = match is_numeric(args.return_field.data_type()) {
            true => exact(of, &columns, rows)?,
            false => {
                let columns = columns.iter().map(doubles::of_numbers).collect::<Result<Vec<ArrayRef>>>()?;
                floats(of, &columns, rows)?
            }
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

fn exact(of: Of, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let columns: Vec<Numbers> = columns.iter().map(Numbers::new).collect();
    let mut result = decimal::Builder::new(&any(), rows);
    for row in 0..rows {
        let values: Option<Vec<Numeric>> = columns
            .iter()
            .map(|column| column.get(row).transpose())
            .collect::<Option<Result<_>>>()
            .transpose()?;
        let value = values.map(|values| one(of, &values).map_err(external)).transpose()?;
        result.append(value.as_ref())?;
    }
    result.finish()
}

/// Digits that are computed beyond those before the point: the sixteen that are shown, and more for a chain of roundings.
const DIGITS: u64 = 80;
/// More digits behind the point are not looked at.
const GIVEN_MAX: i32 = RESULT_SCALE_MAX + 100;

fn context(digits: u64) -> Context {
    let precision = NonZeroU64::new(digits).unwrap_or(NonZeroU64::MIN);
    Context::new(precision, RoundingMode::HalfUp)
}

fn one(of: Of, values: &[Numeric]) -> crate::error::Result<Numeric> {
    if values.iter().any(|value| !value.is_finite()) {
        return of_special(of, values);
    }
    let numbers: Vec<BigDecimal> = values.iter().map(big).collect();
    let x = &numbers[0];
    // A result shows no fewer digits behind the point than were given, and loses those by which a base is near 1.
    let given = values.iter().map(|value| i32::from(value.scale())).max().unwrap_or(0);
    let digits = DIGITS + given.clamp(0, GIVEN_MAX) as u64;
    let positive = |x: &BigDecimal| logarithm(x.is_zero(), x.is_negative());
    let result = match of {
        Of::Root if x.is_negative() => return Err(negative_root()),
        Of::Root => {
            let whole = u64::try_from(x.order_of_magnitude()).unwrap_or(0);
            x.sqrt_with_context(&context(digits + whole)).ok_or_else(negative_root)?
        }
        Of::Exponential => exponential(x, digits)?,
        Of::Logarithm => {
            positive(x)?;
            natural(x, digits)
        }
        Of::DecimalLogarithm => {
            positive(x)?;
            quotient(&natural(x, digits), &natural(&BigDecimal::from(10), digits), digits)
        }
        Of::LogarithmTo => {
            positive(x)?;
            positive(&numbers[1])?;
            match natural(x, digits) {
                base if base.is_zero() => return Err(division_by_zero()),
                base => quotient(&natural(&numbers[1], digits), &base, digits),
            }
        }
        Of::Power => power(x, &numbers[1], digits)?,
    };
    let weight = match of {
        // floor(weight in base 10,000 * 4 / 2 + 1)
        Of::Root => 2 * order(x).div_euclid(4) as i32 + 1,
        Of::Exponential => (x.to_f64().unwrap_or(0.0) * std::f64::consts::LOG10_E) as i32,
        Of::Logarithm => logarithm_weight(x),
        Of::DecimalLogarithm => logarithm_weight(x) - logarithm_weight(&BigDecimal::from(10)),
        Of::LogarithmTo => logarithm_weight(&numbers[1]) - logarithm_weight(x),
        Of::Power => match power_weight(x, &numbers[1]) {
            Some(weight) => weight,
            None => return Ok(Numeric::ZERO.rounded(least_scale(x))),
        },
    };
    // At least sixteen significant digits, and no fewer behind the point than were given.
    let scale = SIGNIFICANT.saturating_sub(weight).max(given).clamp(0, RESULT_SCALE_MAX);
    let (unscaled, scale) =
        result.with_scale_round(i64::from(scale), RoundingMode::HalfUp).into_bigint_and_exponent();
    Numeric::of_big(unscaled, u16::try_from(scale).map_err(|_| numeric::overflow())?)
}

/// Significant digits of a result (PostgreSQL's NUMERIC_MIN_SIG_DIGITS).
const SIGNIFICANT: i32 = 16;

/// What a power shows that is too small for a weight: of zero as many digits as are significant, else all there may be.
fn least_scale(base: &BigDecimal) -> i32 {
    if base.is_zero() { SIGNIFICANT } else { RESULT_SCALE_MAX }
}

/// The place of the first digit, counted from the point; 0 of zero.
fn order(x: &BigDecimal) -> i64 {
    if x.is_zero() { 0 } else { x.order_of_magnitude() }
}

/// The place of the first digit of a logarithm, about (PostgreSQL's estimate_ln_dweight).
fn logarithm_weight(x: &BigDecimal) -> i32 {
    let near = x.to_f64().unwrap_or(0.0);
    if (0.9..=1.1).contains(&near) {
        return order(&(x - BigDecimal::one())) as i32;
    }
    (magnitude(x) * std::f64::consts::LN_10).abs().log10() as i32
}

/// The place of the first digit of a power, about (in PostgreSQL's power_var and power_var_int); `None` where nothing is
/// left of it.
fn power_weight(base: &BigDecimal, exponent: &BigDecimal) -> Option<i32> {
    let is_whole = exponent.is_integer() && exponent.to_i32().is_some();
    if base.is_zero() {
        return is_whole.then_some(0);
    }
    let weight = magnitude(base) * exponent.to_f64().unwrap_or(0.0);
    (weight + 1.0 >= -f64::from(RESULT_SCALE_MAX)).then_some(weight as i32)
}

/// Of NaN and the infinities, as floats have it; NaN to the 0th and 1 to any power are 1.
fn of_special(of: Of, values: &[Numeric]) -> crate::error::Result<Numeric> {
    let floats: Vec<f64> = values.iter().map(Numeric::to_f64).collect();
    let (x, second) = (floats[0], floats.get(1).copied().unwrap_or(0.0));
    let checked = |x: f64| logarithm(x == 0.0, x < 0.0);
    let result = match of {
        Of::Root if x < 0.0 => return Err(negative_root()),
        Of::Root => x.sqrt(),
        Of::Exponential => x.exp(),
        Of::Logarithm | Of::DecimalLogarithm => {
            checked(x)?;
            x.ln()
        }
        Of::LogarithmTo => {
            checked(x)?;
            checked(second)?;
            if x == 1.0 {
                return Err(division_by_zero());
            }
            second.ln() / x.ln()
        }
        Of::Power => power_of_floats(x, second)?,
    };
    Numeric::from_float(result, 15)
}

fn big(value: &Numeric) -> BigDecimal {
    BigDecimal::from_bigint(value.unscaled().unwrap_or_default(), i64::from(value.scale()))
}

/// Beyond this PostgreSQL does not raise e to a power either (NUMERIC_MAX_RESULT_SCALE * 3).
const EXPONENT_MAX: i64 = 6_000;
/// As many digits a power of a whole exponent may have before the point.
const WHOLE_DIGITS_MAX: f64 = 131_072.0;

fn exponential(x: &BigDecimal, digits: u64) -> crate::error::Result<BigDecimal> {
    if x.abs() >= EXPONENT_MAX {
        return match x.is_negative() {
            true => Ok(BigDecimal::zero()),
            false => Err(numeric::overflow()),
        };
    }
    // Digits before the point.
    let whole = (x.to_f64().unwrap_or(0.0) * std::f64::consts::LOG10_E).max(0.0) as u64;
    let digits = digits + 20 + whole;
    // e^x = (e^(x / 2^n))^(2^n) with an exponent so small that its series is short.
    let halvings = 8 + x.abs().to_f64().unwrap_or(1.0).max(1.0).log2().ceil() as u32;
    let mut result = series(&(x / BigDecimal::from(1u64 << halvings)).with_prec(digits), digits);
    for _ in 0..halvings {
        result = (&result * &result).with_prec(digits);
    }
    Ok(result)
}

/// `a / b` with as many digits; the operator's quotients have a hundred.
fn quotient(a: &BigDecimal, b: &BigDecimal, digits: u64) -> BigDecimal {
    let ((dividend, scale), (divisor, other)) = (a.as_bigint_and_exponent(), b.as_bigint_and_exponent());
    let missing = (digits + b.digits() + 1).saturating_sub(a.digits());
    let shifted = dividend * BigInt::from(10).pow(missing as u32);
    BigDecimal::from_bigint(shifted / divisor, scale - other + missing as i64).with_prec(digits)
}

/// 1 + x + x^2 / 2! + ..., of a small x.
fn series(x: &BigDecimal, digits: u64) -> BigDecimal {
    let (mut sum, mut term) = (BigDecimal::one(), BigDecimal::one());
    // Of x below 2^-8 each term has two zeros more than the one before.
    for n in 1..=digits {
        term = quotient(&(term * x), &BigDecimal::from(n), digits);
        if term.is_zero() || term.order_of_magnitude() < -(digits as i64) {
            break;
        }
        sum = (sum + &term).with_prec(digits);
    }
    sum
}

/// The natural logarithm of a positive number: Newton's way (Halley's variant) from the machine's, each step of which has
/// three times the digits.
fn natural(x: &BigDecimal, digits: u64) -> BigDecimal {
    if x.is_one() {
        return BigDecimal::zero();
    }
    // x = mantissa * 10^exponent
    let exponent = x.order_of_magnitude();
    let mantissa = BigDecimal::from_bigint(BigInt::one(), exponent) * x;
    let near = mantissa.to_f64().unwrap_or(1.0).ln() + exponent as f64 * std::f64::consts::LN_10;
    let mut root = BigDecimal::try_from(near).unwrap_or_default();
    let mut right = 15;
    while right < digits {
        let Ok(made) = exponential(&root, digits) else { return root };
        let step = quotient(&(BigDecimal::from(2) * (x - &made)), &(x + &made), digits);
        root = (root + step).with_prec(digits);
        right *= 3;
    }
    root
}

fn power(base: &BigDecimal, exponent: &BigDecimal, digits: u64) -> crate::error::Result<BigDecimal> {
    if base.is_zero() && exponent.is_negative() {
        return Err(zero_to_negative());
    }
    if base.is_zero() {
        return Ok(if exponent.is_zero() { BigDecimal::one() } else { BigDecimal::zero() });
    }
    if exponent.is_integer()
        && let Some(times) = exponent.to_i64()
    {
        // How many digits it will have before the point, or zeros behind it.
        let size = magnitude(base) * times as f64;
        return match size {
            size if size > WHOLE_DIGITS_MAX => Err(numeric::overflow()),
            size if size < -f64::from(RESULT_SCALE_MAX) - 1.0 => Ok(BigDecimal::zero()),
            size => Ok(base.powi_with_context(times, &context(digits + size.max(0.0) as u64))),
        };
    }
    if base.is_negative() {
        return Err(complex());
    }
    exponential(&(natural(base, digits) * exponent).with_prec(digits), digits)
}

/// log10 of a magnitude.
fn magnitude(x: &BigDecimal) -> f64 {
    let exponent = x.order_of_magnitude();
    let mantissa = BigDecimal::from_bigint(BigInt::one(), exponent) * x.abs();
    exponent as f64 + mantissa.to_f64().unwrap_or(1.0).log10()
}

fn power_of_floats(base: f64, exponent: f64) -> crate::error::Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(zero_to_negative());
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
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
