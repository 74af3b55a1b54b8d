//! Functions on numbers that DataFusion lacks, or whose errors are other ones.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use num_bigint::BigInt;

use crate::error::{Error, Result, SqlState};
use crate::functions::sampling::{drawn, unit_of};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::{Numeric, Type, Value, cast, numeric, text};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        // The operator #.
        strict("int_xor(int2, int2) int2", |v| exclusive(&v[0], &v[1])),
        strict("int_xor(int4, int4) int4", |v| exclusive(&v[0], &v[1])),
        strict("int_xor(int8, int8) int8", |v| exclusive(&v[0], &v[1])),
        strict("div(numeric, numeric) numeric", |v| match (&v[0], &v[1]) {
            (Value::Numeric(a), Value::Numeric(b)) => a.whole_quotient(b).map(Value::Numeric),
            _ => Ok(Value::Null),
        }),
        strict("numeric_inc(numeric) numeric", |v| match &v[0] {
            Value::Numeric(number) => number.plus(&Numeric::from_integer(1)).map(Value::Numeric),
            _ => Ok(Value::Null),
        }),
        strict("scale(numeric) int4", |v| match &v[0] {
            Value::Numeric(number) if number.is_finite() => Ok(Value::Int4(i32::from(number.scale()))),
            _ => Ok(Value::Null),
        }),
        strict("width_bucket(float8, float8, float8, int4) int4", |v| {
            let (x, low, high) = (float(&v[0]), float(&v[1]), float(&v[2]));
            let bounds = Bounds {
                has_nan: x.is_nan() || low.is_nan() || high.is_nan(),
                has_infinity: low.is_infinite() || high.is_infinite(),
                are_equal: low == high,
            };
            let count = bounds.checked(&v[3])?;
            // Bounds that go down are mirrored.
            let (x, low, high) = if low < high { (x, low, high) } else { (-x, -low, -high) };
            if x < low {
                return Ok(Value::Int4(0));
            }
            if x >= high {
                return beyond(count);
            }
            // Halves of what is too far apart for a float.
            let share = match (high - low).is_infinite() {
                true => (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
                false => (x - low) / (high - low),
            };
            let bucket = (f64::from(count) * share) as i32;
            Ok(Value::Int4(bucket.min(count - 1) + 1))
        }),
        strict("width_bucket(numeric, numeric, numeric, int4) int4", |v| {
            let (Value::Numeric(x), Value::Numeric(low), Value::Numeric(high)) = (&v[0], &v[1], &v[2]) else {
                return Ok(Value::Null);
            };
            let bounds = Bounds {
                has_nan: [x, low, high].into_iter().any(|number| *number == Numeric::NAN),
                has_infinity: !low.is_finite() || !high.is_finite(),
                are_equal: low.compare(high).is_eq(),
            };
            let count = bounds.checked(&v[3])?;
            let (x, low, high) = match low.compare(high).is_lt() {
                true => (x.clone(), low.clone(), high.clone()),
                false => (x.negated(), low.negated(), high.negated()),
            };
            if x.compare(&low).is_lt() {
                return Ok(Value::Int4(0));
            }
            if x.compare(&high).is_ge() {
                return beyond(count);
            }
            let passed = x.minus(&low)?.times(&Numeric::from_integer(i64::from(count)))?;
            let bucket = passed.whole_quotient(&high.minus(&low)?)?;
            let bucket = bucket.to_i64().and_then(|bucket| i32::try_from(bucket + 1).ok());
            bucket.map(Value::Int4).ok_or_else(|| out_of_range("integer out of range"))
        }),
        strict("acosh(float8) float8", |v| match float(&v[0]) {
            x if x < 1.0 => Err(out_of_range("input is out of range")),
            x => Ok(Value::Float8(x.acosh())),
        }),
        strict("atanh(float8) float8", |v| match float(&v[0]) {
            x if !(-1.0..=1.0).contains(&x) && !x.is_nan() => Err(out_of_range("input is out of range")),
            x => Ok(Value::Float8(x.atanh())),
        }),
        strict("sind(float8) float8", |v| of_degrees(&v[0], sind)),
        strict("cosd(float8) float8", |v| of_degrees(&v[0], cosd)),
        strict("tand(float8) float8", |v| of_degrees(&v[0], tand)),
        strict("cotd(float8) float8", |v| of_degrees(&v[0], cotd)),
        strict("asind(float8) float8", |v| of_share(&v[0], asind)),
        strict("acosd(float8) float8", |v| of_share(&v[0], acosd)),
        strict("atand(float8) float8", |v| Ok(Value::Float8(float(&v[0]).atan() / 1f64.atan() * 45.0))),
        strict("atan2d(float8, float8) float8", |v| {
            Ok(Value::Float8(float(&v[0]).atan2(float(&v[1])) / 1f64.atan() * 45.0))
        }),
        strict("asin(float8) float8", |v| of_share(&v[0], f64::asin)),
        strict("acos(float8) float8", |v| of_share(&v[0], f64::acos)),
        strict("gcd(int4, int4) int4", |v| narrow(gcd(whole(&v[0]), whole(&v[1])))),
        strict("gcd(int8, int8) int8", |v| wide(gcd(whole(&v[0]), whole(&v[1])))),
        strict("gcd(numeric, numeric) numeric", |v| on_one_scale(&v[0], &v[1], |a, b| Some(gcd(a, b)))),
        strict("lcm(int4, int4) int4", |v| narrow(lcm(whole(&v[0]), whole(&v[1])).unwrap_or(i128::MAX))),
        strict("lcm(int8, int8) int8", |v| wide(lcm(whole(&v[0]), whole(&v[1])).unwrap_or(i128::MAX))),
        strict("lcm(numeric, numeric) numeric", |v| on_one_scale(&v[0], &v[1], lcm)),
        strict("factorial(int8) numeric", |v| match whole(&v[0]) {
            ..0 => Err(out_of_range("factorial of a negative number is undefined")),
            // 32,177! is the greatest with as many digits as a numeric may have.
            32_178.. => Err(numeric::overflow()),
            n => {
                let product: BigInt = (1..=n).fold(BigInt::from(1), |product, factor| product * factor);
                Numeric::of_big(product, 0).map(Value::Numeric)
            }
        }),
        strict("trim_scale(numeric) numeric", |v| match &v[0] {
            Value::Numeric(number) => Ok(Value::Numeric(number.trimmed())),
            _ => Ok(Value::Null),
        }),
        strict("min_scale(numeric) int4", |v| match &v[0] {
            Value::Numeric(number) if number.is_finite() => {
                Ok(Value::Int4(i32::from(number.trimmed().scale())))
            }
            _ => Ok(Value::Null),
        }),
        strict("to_bin(int4) text", |v| Ok(Value::Text(format!("{:b}", whole(&v[0]) as i32)))),
        strict("to_bin(int8) text", |v| Ok(Value::Text(format!("{:b}", whole(&v[0]) as i64)))),
        strict("to_oct(int4) text", |v| Ok(Value::Text(format!("{:o}", whole(&v[0]) as i32)))),
        strict("to_oct(int8) text", |v| Ok(Value::Text(format!("{:o}", whole(&v[0]) as i64)))),
        strict("to_hex(int4) text", |v| Ok(Value::Text(format!("{:x}", whole(&v[0]) as i32)))),
        strict("to_hex(int8) text", |v| Ok(Value::Text(format!("{:x}", whole(&v[0]) as i64)))),
        strict("erf(float8) float8", |v| Ok(Value::Float8(libm::erf(float(&v[0]))))),
        strict("erfc(float8) float8", |v| Ok(Value::Float8(libm::erfc(float(&v[0]))))),
        strict("random() float8", |_| Ok(Value::Float8(unit_of(drawn())))).volatile(),
        strict("random(int4, int4) int4", |v| narrow(between(whole(&v[0]), whole(&v[1]))?)).volatile(),
        strict("random(int8, int8) int8", |v| wide(between(whole(&v[0]), whole(&v[1]))?)).volatile(),
        strict("random(numeric, numeric) numeric", |v| match (&v[0], &v[1]) {
            (Value::Numeric(low), Value::Numeric(high)) => {
                let scale = low.scale().max(high.scale());
                let small = |bound: &Numeric| bound.rounded(i32::from(scale)).small();
                let (Some((low, _)), Some((high, _))) = (small(low), small(high)) else {
                    return Err(Error::unsupported("random numbers of more than 38 digits"));
                };
                Ok(Value::Numeric(Numeric::scaled(between(low, high)?, scale)))
            }
            _ => Ok(Value::Null),
        })
        .volatile(),
        strict("random_normal() float8", |_| Ok(Value::Float8(normal()))).volatile(),
        strict("random_normal(float8) float8", |v| Ok(Value::Float8(float(&v[0]) + normal()))).volatile(),
        strict("random_normal(float8, float8) float8", |v| {
            Ok(Value::Float8(float(&v[0]) + float(&v[1]) * normal()))
        })
        .volatile(),
        strict("width_bucket(any, any) int4", |v| {
            // A literal is an array of what it is compared with.
            let read = match &v[1] {
                Value::Text(literal) => text::parse(&Type::Array(Box::new(cast::type_of(&v[0]))), literal)?,
                array => array.clone(),
            };
            let Value::Array(thresholds) = &read else { return Ok(Value::Null) };
            if thresholds.iter().any(|threshold| matches!(threshold, Value::Array(_))) {
                return Err(Error::new(SqlState("2202E"), "thresholds must be one-dimensional array"));
            }
            if thresholds.contains(&Value::Null) {
                return Err(Error::new(SqlState("22004"), "thresholds array must not contain NULLs"));
            }
            let below = thresholds.partition_point(|threshold| is_at_most(threshold, &v[0]));
            Ok(Value::Int4(below as i32))
        }),
    ]
}

/// What width_bucket refuses of its bounds.
struct Bounds {
    has_nan: bool,
    has_infinity: bool,
    are_equal: bool,
}

impl Bounds {
    /// The number of buckets, where it and the bounds are such that there are any.
    fn checked(&self, count: &Value) -> Result<i32> {
        let refuse = |message: &str| Err(Error::new(SqlState("2201G"), message));
        match count {
            Value::Int4(..=0) => refuse("count must be greater than zero"),
            _ if self.has_nan => refuse("operand, lower bound, and upper bound cannot be NaN"),
            _ if self.has_infinity => refuse("lower and upper bounds must be finite"),
            _ if self.are_equal => refuse("lower bound cannot equal upper bound"),
            Value::Int4(count) => Ok(*count),
            _ => refuse("count must be greater than zero"),
        }
    }
}

/// The bucket behind the last.
fn beyond(count: i32) -> Result<Value> {
    count.checked_add(1).map(Value::Int4).ok_or_else(|| out_of_range("integer out of range"))
}

/// Whether a threshold is not above a value, both of one type or both numbers.
fn is_at_most(threshold: &Value, value: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) => Some(whole(value) as f64),
        Value::Float4(value) => Some(f64::from(*value)),
        Value::Float8(value) => Some(*value),
        Value::Numeric(value) => Some(value.to_f64()),
        _ => None,
    };
    if std::mem::discriminant(threshold) != std::mem::discriminant(value)
        && let (Some(threshold), Some(value)) = (number(threshold), number(value))
    {
        return threshold <= value;
    }
    let key = |value: &Value| {
        let mut key = Vec::new();
        crate::codec::key::encode_one(value, &mut key);
        key
    };
    key(threshold) <= key(value)
}

/// By Box and Muller's transform.
fn normal() -> f64 {
    let radius = (-2.0 * (1.0 - unit_of(drawn())).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit_of(drawn())).cos()
}

/// Evenly among the whole numbers from `low` to `high`.
fn between(low: i128, high: i128) -> Result<i128> {
    if low > high {
        let message = "lower bound must be less than or equal to upper bound";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    // Both have at most 38 digits, and 2 * 10^38 is less than 2^128.
    let count = high.wrapping_sub(low) as u128 + 1;
    let bits = u128::from(drawn()) << 64 | u128::from(drawn());
    // Of so many bits the rest is even enough: off by one in 2^64 for every bigint.
    Ok(low.wrapping_add((bits % count) as i128))
}

fn whole(value: &Value) -> i128 {
    match value {
        Value::Int2(value) => i128::from(*value),
        Value::Int4(value) => i128::from(*value),
        Value::Int8(value) => i128::from(*value),
        _ => 0,
    }
}

fn narrow(result: i128) -> Result<Value> {
    i32::try_from(result).map(Value::Int4).map_err(|_| out_of_range("integer out of range"))
}

fn wide(result: i128) -> Result<Value> {
    i64::try_from(result).map(Value::Int8).map_err(|_| out_of_range("bigint out of range"))
}

fn out_of_range(message: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    // Of numbers of 38 digits at most.
    i128::try_from(a).unwrap_or(i128::MAX)
}

fn lcm(a: i128, b: i128) -> Option<i128> {
    match gcd(a, b) {
        0 => Some(0),
        divisor => (a / divisor).checked_mul(b).map(i128::abs),
    }
}

/// A function of whole numbers, of two numbers with as many digits behind the point.
fn on_one_scale(a: &Value, b: &Value, f: fn(i128, i128) -> Option<i128>) -> Result<Value> {
    let (Value::Numeric(a), Value::Numeric(b)) = (a, b) else { return Ok(Value::Null) };
    if !a.is_finite() || !b.is_finite() {
        return Ok(Value::Numeric(Numeric::NAN));
    }
    let scale = a.scale().max(b.scale());
    let small = |number: &Numeric| number.rounded(i32::from(scale)).small();
    let result = match (small(a), small(b)) {
        (Some((a, _)), Some((b, _))) => f(a, b),
        _ => return Err(Error::unsupported("gcd and lcm of numbers of more than 38 digits")),
    };
    match result {
        Some(unscaled) => Ok(Value::Numeric(Numeric::scaled(unscaled, scale))),
        None => Err(numeric::overflow()),
    }
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

/// A function of an angle in degrees. As in PostgreSQL they are made of shares of their values at 30, 45 and 60 degrees,
/// where they are exact for it.
fn of_degrees(angle: &Value, f: fn(f64) -> f64) -> Result<Value> {
    match float(angle) {
        angle if angle.is_infinite() => Err(out_of_range("input is out of range")),
        angle => Ok(Value::Float8(f(angle))),
    }
}

/// A function of what lies between -1 and 1.
fn of_share(share: &Value, f: fn(f64) -> f64) -> Result<Value> {
    match float(share) {
        share if share.abs() > 1.0 => Err(out_of_range("input is out of range")),
        share => Ok(Value::Float8(f(share))),
    }
}

fn sind_to_30(x: f64) -> f64 {
    x.to_radians().sin() / 30f64.to_radians().sin() / 2.0
}

fn cosd_to_60(x: f64) -> f64 {
    1.0 - (1.0 - x.to_radians().cos()) / (1.0 - 60f64.to_radians().cos()) / 2.0
}

fn sind_to_90(x: f64) -> f64 {
    if x <= 30.0 { sind_to_30(x) } else { cosd_to_60(90.0 - x) }
}

fn cosd_to_90(x: f64) -> f64 {
    if x <= 60.0 { cosd_to_60(x) } else { sind_to_30(90.0 - x) }
}

/// An angle between 0 and 90 degrees, with the sign of an odd function, and of one that changes its sign at 90.
fn quadrant(x: f64) -> (f64, f64, f64) {
    let (mut x, mut odd, mut turned) = (x % 360.0, 1.0, 1.0);
    if x < 0.0 {
        (x, odd) = (-x, -odd);
    }
    if x > 180.0 {
        (x, odd) = (360.0 - x, -odd);
    }
    if x > 90.0 {
        (x, turned) = (180.0 - x, -turned);
    }
    (x, odd, turned)
}

fn sind(x: f64) -> f64 {
    let (x, odd, _) = quadrant(x);
    odd * sind_to_90(x)
}

fn cosd(x: f64) -> f64 {
    let (x, _, turned) = quadrant(x);
    turned * cosd_to_90(x)
}

fn tand(x: f64) -> f64 {
    let (x, odd, turned) = quadrant(x);
    let result = odd * turned * (sind_to_90(x) / cosd_to_90(x) / (sind_to_90(45.0) / cosd_to_90(45.0)));
    // No negative zeros.
    if result == 0.0 { 0.0 } else { result }
}

fn cotd(x: f64) -> f64 {
    let (x, odd, turned) = quadrant(x);
    let result = odd * turned * (cosd_to_90(x) / sind_to_90(x) / (cosd_to_90(45.0) / sind_to_90(45.0)));
    if result == 0.0 { 0.0 } else { result }
}

fn asind(x: f64) -> f64 {
    let positive = match x.abs() {
        x if x <= 0.5 => x.asin() / 0.5f64.asin() * 30.0,
        x => 90.0 - x.acos() / 0.5f64.acos() * 60.0,
    };
    if x < 0.0 { -positive } else { positive }
}

fn acosd(x: f64) -> f64 {
    match x {
        x if x < 0.0 => 90.0 + asind(-x),
        x if x <= 0.5 => 90.0 - x.asin() / 0.5f64.asin() * 30.0,
        x => x.acos() / 0.5f64.acos() * 60.0,
    }
}
