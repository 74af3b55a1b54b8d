//! Functions on numbers that DataFusion lacks, or whose errors are other ones.
//!
//! Roots, powers and logarithms are double precision; PostgreSQL's of numeric have more digits.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::{Numeric, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        // The operator #.
        strict("int_xor(int2, int2) int2", |v| exclusive(&v[0], &v[1])),
        strict("int_xor(int4, int4) int4", |v| exclusive(&v[0], &v[1])),
        strict("int_xor(int8, int8) int8", |v| exclusive(&v[0], &v[1])),
        strict("sqrt(float8) float8", |v| match float(&v[0]) {
            x if x < 0.0 => {
                Err(Error::new(SqlState("2201F"), "cannot take square root of a negative number"))
            }
            x => Ok(Value::Float8(x.sqrt())),
        }),
        strict("ln(float8) float8", |v| Ok(Value::Float8(logarithm(float(&v[0]))?.ln()))),
        strict("log(float8) float8", |v| Ok(Value::Float8(logarithm(float(&v[0]))?.log10()))),
        strict("log10(float8) float8", |v| Ok(Value::Float8(logarithm(float(&v[0]))?.log10()))),
        strict("log(float8, float8) float8", |v| {
            let (base, x) = (logarithm(float(&v[0]))?, logarithm(float(&v[1]))?);
            match base.ln() {
                0.0 => Err(division_by_zero()),
                base => Ok(Value::Float8(x.ln() / base)),
            }
        }),
        strict("exp(float8) float8", |v| match (float(&v[0]), float(&v[0]).exp()) {
            (x, result) if result.is_infinite() && x.is_finite() => Err(lost("overflow")),
            (x, result) if result == 0.0 && x.is_finite() => Err(lost("underflow")),
            (_, result) => Ok(Value::Float8(result)),
        }),
        strict("power(float8, float8) float8", |v| power(float(&v[0]), float(&v[1]))),
        strict("pow(float8, float8) float8", |v| power(float(&v[0]), float(&v[1]))),
        strict("div(numeric, numeric) numeric", |v| match (&v[0], &v[1]) {
            (Value::Numeric(_), Value::Numeric(divisor)) if divisor.unscaled == 0 => Err(division_by_zero()),
            (Value::Numeric(a), Value::Numeric(b)) => {
                let scale = a.scale.max(b.scale);
                let quotient = match (a.rescaled(scale), b.rescaled(scale)) {
                    (Some(a), Some(b)) => a.unscaled.checked_div(b.unscaled),
                    _ => None,
                };
                let error =
                    || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
                Ok(Value::Numeric(Numeric { unscaled: quotient.ok_or_else(error)?, scale: 0 }))
            }
            _ => Ok(Value::Null),
        }),
        strict("scale(numeric) int4", |v| match &v[0] {
            Value::Numeric(number) => Ok(Value::Int4(i32::from(number.scale))),
            _ => Ok(Value::Null),
        }),
        strict("width_bucket(float8, float8, float8, int4) int4", |v| {
            let Value::Int4(count) = v[3] else { return Ok(Value::Null) };
            let (x, low, high) = (float(&v[0]), float(&v[1]), float(&v[2]));
            let refuse = |message: &str| Err(Error::new(SqlState("2201G"), message));
            if count <= 0 {
                return refuse("count must be greater than zero");
            }
            if x.is_nan() || low.is_nan() || high.is_nan() {
                return refuse("operand, lower bound, and upper bound cannot be NaN");
            }
            if low == high {
                return refuse("lower bound cannot equal upper bound");
            }
            let share = (x - low) / (high - low);
            let bucket = match share {
                share if share < 0.0 => 0.0,
                share if share >= 1.0 => f64::from(count) + 1.0,
                share => (share * f64::from(count)).floor() + 1.0,
            };
            Ok(Value::Int4(bucket as i32))
        }),
        strict("sind(float8) float8", |v| Ok(Value::Float8(degrees(float(&v[0]), f64::sin)))),
        strict("cosd(float8) float8", |v| Ok(Value::Float8(degrees(float(&v[0]) + 90.0, f64::sin)))),
    ]
}

fn float(value: &Value) -> f64 {
    if let Value::Float8(value) = value { *value } else { 0.0 }
}

fn exclusive(left: &Value, right: &Value) -> Result<Value> {
    Ok(match (left, right) {
        (Value::Int2(left), Value::Int2(right)) => Value::Int2(left ^ right),
        (Value::Int4(left), Value::Int4(right)) => Value::Int4(left ^ right),
        (Value::Int8(left), Value::Int8(right)) => Value::Int8(left ^ right),
        _ => Value::Null,
    })
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn lost(how: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {how}"))
}

fn logarithm(x: f64) -> Result<f64> {
    match x {
        0.0 => Err(Error::new(SqlState("2201E"), "cannot take logarithm of zero")),
        x if x < 0.0 => Err(Error::new(SqlState("2201E"), "cannot take logarithm of a negative number")),
        x => Ok(x),
    }
}

fn power(base: f64, exponent: f64) -> Result<Value> {
    if base == 0.0 && exponent < 0.0 {
        return Err(Error::new(SqlState("2201F"), "zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(Error::new(SqlState("2201F"), message));
    }
    let result = base.powf(exponent);
    match result {
        result if result.is_infinite() && base.is_finite() && exponent.is_finite() => Err(lost("overflow")),
        0.0 if base != 0.0 && base.is_finite() && exponent.is_finite() => Err(lost("underflow")),
        result => Ok(Value::Float8(result)),
    }
}

/// A function of an angle in degrees, exact at multiples of 30.
fn degrees(angle: f64, f: fn(f64) -> f64) -> f64 {
    let result = f(angle.rem_euclid(360.0).to_radians());
    let doubled = (result * 2.0).round() / 2.0;
    if angle % 30.0 == 0.0 && (result - doubled).abs() < 1e-15 { doubled } else { result }
}
