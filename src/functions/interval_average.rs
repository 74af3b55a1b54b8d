//! `avg` of intervals: their months, days and time added up, and divided as an interval is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::StateFieldsArgs;
use datafusion::logical_expr::utils::format_state_name;

use crate::functions::dates::divided;
use crate::types::arrow::errors::external;
use crate::types::arrow::to_scalar;
use crate::types::{Interval, Type, Value};

pub fn is_interval(ty: &DataType) -> bool {
    matches!(ty, DataType::Interval(_))
}

pub fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
    let state = |name| Field::new(format_state_name(args.name, name), DataType::Int64, true);
    ["months", "days", "microseconds", "count"].into_iter().map(|name| state(name).into()).collect()
}

/// The parts as they add up.
#[derive(Debug, Default)]
pub struct IntervalAverage {
    months: i64,
    days: i64,
    microseconds: i64,
    count: i64,
}

impl IntervalAverage {
    fn add(&mut self, columns: &[ArrayRef], sign: i64) -> Result<()> {
        for interval in columns[0].as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            let parts =
                [i64::from(interval.months), i64::from(interval.days), interval.nanoseconds / 1_000, 1];
            self.add_parts(parts.map(|part| sign * part))?;
        }
        Ok(())
    }

    fn add_parts(&mut self, parts: [i64; 4]) -> Result<()> {
        let totals = [&mut self.months, &mut self.days, &mut self.microseconds, &mut self.count];
        for (total, part) in totals.into_iter().zip(parts) {
            *total = total
                .checked_add(part)
                .ok_or_else(|| external(crate::functions::dates::out_of_range("interval")))?;
        }
        Ok(())
    }
}

impl Accumulator for IntervalAverage {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(columns, 1)
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(columns, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let mut parts = [0; 4];
            for (part, state) in parts.iter_mut().zip(states) {
                *part = state.as_primitive::<Int64Type>().value(row);
            }
            self.add_parts(parts)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = [self.months, self.days, self.microseconds, self.count];
        Ok(parts.into_iter().map(|part| ScalarValue::Int64(Some(part))).collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let out_of_range = || external(crate::functions::dates::out_of_range("interval"));
        let average = match self.count {
            0 => Value::Null,
            count => {
                let sum = Interval {
                    months: i32::try_from(self.months).map_err(|_| out_of_range())?,
                    days: i32::try_from(self.days).map_err(|_| out_of_range())?,
                    microseconds: self.microseconds,
                };
                divided(sum, count as f64).map_err(external)?
            }
        };
        to_scalar(&average, &Type::Interval(None)).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
