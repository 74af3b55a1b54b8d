//! Amounts of money: their sums, and shares and multiples of them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, DurationSecondType, Field};
use datafusion::common::cast::as_list_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, ScalarUDF};

use crate::error::{Error, SqlState};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::arrow::data_type;
use crate::types::arrow::errors::external;
use crate::types::numeric::division_by_zero;
use crate::types::{Type, Value, money};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// The function behind an operator on amounts, by the types of its operands.
pub fn function_of_operator(operator: &str, left: &Type, right: &Type) -> Option<&'static str> {
    let is_integer = |ty: &Type| matches!(ty, Type::Int2 | Type::Int4 | Type::Int8);
    let is_number = |ty: &Type| matches!(ty, Type::Float4 | Type::Float8 | Type::Numeric(_));
    Some(match (operator, left, right) {
        ("+", Type::Money, Type::Money) => "cash_pl",
        ("-", Type::Money, Type::Money) => "cash_mi",
        ("/", Type::Money, Type::Money) => "cash_div_cash",
        ("*", Type::Money, number) if is_integer(number) => "cash_mul_int8",
        ("*", Type::Money, number) if is_number(number) => "cash_mul_flt8",
        ("*", number, Type::Money) if is_integer(number) => "int8_mul_cash",
        ("*", number, Type::Money) if is_number(number) => "flt8_mul_cash",
        ("/", Type::Money, number) if is_integer(number) => "cash_div_int8",
        ("/", Type::Money, number) if is_number(number) => "cash_div_flt8",
        _ => return None,
    })
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("cash_pl(money, money) money", |v| amount(cents(&v[0]).checked_add(cents(&v[1])))),
        strict("cashlarger(money, money) money", |v| Ok(Value::Money(cents(&v[0]).max(cents(&v[1]))))),
        strict("cashsmaller(money, money) money", |v| Ok(Value::Money(cents(&v[0]).min(cents(&v[1]))))),
        strict("cash_mi(money, money) money", |v| amount(cents(&v[0]).checked_sub(cents(&v[1])))),
        strict("cash_mul_int8(money, int8) money", |v| amount(cents(&v[0]).checked_mul(whole(&v[1])))),
        strict("int8_mul_cash(int8, money) money", |v| amount(cents(&v[1]).checked_mul(whole(&v[0])))),
        strict("cash_mul_flt8(money, float8) money", |v| times(&v[0], &v[1])),
        strict("flt8_mul_cash(float8, money) money", |v| times(&v[1], &v[0])),
        strict("cash_div_int8(money, int8) money", |v| match whole(&v[1]) {
            0 => Err(division_by_zero()),
            number => amount(cents(&v[0]).checked_div(number)),
        }),
        strict("cash_div_flt8(money, float8) money", |v| match float(&v[1]) {
            0.0 => Err(division_by_zero()),
            number => rounded(cents(&v[0]) as f64 / number, number),
        }),
        strict("cash_words(money) text", |v| Ok(Value::Text(money::words(cents(&v[0]))))),
        strict("cash_div_cash(money, money) float8", |v| match cents(&v[1]) {
            0 => Err(division_by_zero()),
            divisor => Ok(Value::Float8(cents(&v[0]) as f64 / divisor as f64)),
        }),
    ]
}

fn cents(value: &Value) -> i64 {
    if let Value::Money(cents) = value { *cents } else { 0 }
}

fn whole(value: &Value) -> i64 {
    if let Value::Int8(number) = value { *number } else { 0 }
}

fn float(value: &Value) -> f64 {
    if let Value::Float8(number) = value { *number } else { 0.0 }
}

fn amount(cents: Option<i64>) -> crate::error::Result<Value> {
    cents.map(Value::Money).ok_or_else(out_of_range)
}

fn times(amount: &Value, number: &Value) -> crate::error::Result<Value> {
    let number = float(number);
    rounded(cents(amount) as f64 * number, number)
}

/// What came of an amount and a number. Halves are rounded to even.
fn rounded(cents: f64, number: f64) -> crate::error::Result<Value> {
    if cents.is_infinite() && number.is_finite() {
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    let rounded = cents.round_ties_even();
    // 2^63 is a float, 2^63 - 1 is not.
    match rounded >= i64::MIN as f64 && rounded < i64::MAX as f64 {
        true => Ok(Value::Money(rounded as i64)),
        false => Err(out_of_range()),
    }
}

fn out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "money out of range")
}

pub fn is_money(ty: &DataType) -> bool {
    *ty == data_type(&Type::Money)
}

/// `sum`. Of none it is NULL.
#[derive(Debug, Default)]
pub struct MoneySum {
    total: i64,
    count: i64,
    /// The amounts seen, where each counts once.
    distinct: Option<HashSet<i64>>,
}

impl MoneySum {
    pub fn new(distinct: bool) -> MoneySum {
        MoneySum { distinct: distinct.then(HashSet::new), ..MoneySum::default() }
    }

    pub fn state_type(distinct: bool) -> DataType {
        let ty = data_type(&Type::Money);
        if distinct { DataType::List(Arc::new(Field::new("item", ty, true))) } else { ty }
    }

    fn add(&mut self, column: &ArrayRef, sign: i64) -> Result<()> {
        for cents in column.as_primitive::<DurationSecondType>().iter().flatten() {
            if self.distinct.as_mut().is_some_and(|seen| !seen.insert(cents)) {
                continue;
            }
            let total = match sign {
                1 => self.total.checked_add(cents),
                _ => self.total.checked_sub(cents),
            };
            self.total = total.ok_or_else(|| external(out_of_range()))?;
            self.count += sign;
        }
        Ok(())
    }
}

impl Accumulator for MoneySum {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(&columns[0], 1)
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(&columns[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        self.distinct.is_none()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if self.distinct.is_none() {
            return self.add(&states[0], 1);
        }
        for amounts in as_list_array(&states[0])?.iter().flatten() {
            self.add(&amounts, 1)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Some(seen) = &self.distinct else { return Ok(vec![self.evaluate()?]) };
        let amounts: Vec<ScalarValue> =
            seen.iter().map(|cents| ScalarValue::DurationSecond(Some(*cents))).collect();
        let ty = data_type(&Type::Money);
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&amounts, &ty))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::DurationSecond((self.count > 0).then_some(self.total)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.distinct.as_ref().map_or(0, |seen| seen.capacity() * size_of::<i64>())
    }
}
