//! `sum` and `avg` of intervals: their months, days and time added up, and divided as an interval is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::StateFieldsArgs;
use datafusion::logical_expr::utils::format_state_name;

use crate::functions::intervals::divided;
use crate::types::arrow::errors::external;
use crate::types::arrow::{interval_of, to_scalar};
use crate::types::{Interval, Type, Value};

pub fn is_interval(ty: &DataType) -> bool {
    matches!(ty, DataType::Interval(_))
}

pub fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
    let state = |name| Field::new(format_state_name(args.name, name), DataType::Int64, true);
    ["months", "days", "microseconds", "count", "endless", "endless_back"]
        .into_iter()
        .map(|name| state(name).into())
        .collect()
}

/// The parts as they add up.
#[derive(Debug, Default)]
pub struct IntervalSum {
    /// Whether the sum is divided by the count.
    average: bool,
    months: i64,
    days: i64,
    microseconds: i64,
    count: i64,
    /// Infinities, which are counted and not added, so that they can leave a frame.
    endless: i64,
    endless_back: i64,
}

impl IntervalSum {
    pub fn new(average: bool) -> IntervalSum {
        IntervalSum { average, ..IntervalSum::default() }
    }

    fn add(&mut self, columns: &[ArrayRef], sign: i64) -> Result<()> {
        for interval in columns[0].as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            let parts = match interval_of(interval) {
                Interval::INFINITY => [0, 0, 0, 1, 1, 0],
                Interval::MINUS_INFINITY => [0, 0, 0, 1, 0, 1],
                Interval { months, days, microseconds } => {
                    [i64::from(months), i64::from(days), microseconds, 1, 0, 0]
                }
            };
            self.add_parts(parts.map(|part| sign * part))?;
        }
        Ok(())
    }

    fn add_parts(&mut self, parts: [i64; 6]) -> Result<()> {
        let totals = [
            &mut self.months,
            &mut self.days,
            &mut self.microseconds,
            &mut self.count,
            &mut self.endless,
            &mut self.endless_back,
        ];
        for (total, part) in totals.into_iter().zip(parts) {
            *total = total
                .checked_add(part)
                .ok_or_else(|| external(crate::functions::dates::out_of_range("interval")))?;
        }
        Ok(())
    }
}

impl Accumulator for IntervalSum {
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
            let mut parts = [0; 6];
            for (part, state) in parts.iter_mut().zip(states) {
                *part = state.as_primitive::<Int64Type>().value(row);
            }
            self.add_parts(parts)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = [self.months, self.days, self.microseconds, self.count, self.endless, self.endless_back];
        Ok(parts.into_iter().map(|part| ScalarValue::Int64(Some(part))).collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let out_of_range = || external(crate::functions::dates::out_of_range("interval"));
        let result = match self.count {
            0 => Value::Null,
            _ if self.endless > 0 && self.endless_back > 0 => return Err(out_of_range()),
            _ if self.endless > 0 => Value::Interval(Interval::INFINITY),
            _ if self.endless_back > 0 => Value::Interval(Interval::MINUS_INFINITY),
            count => {
                let sum = Interval {
                    months: i32::try_from(self.months).map_err(|_| out_of_range())?,
                    days: i32::try_from(self.days).map_err(|_| out_of_range())?,
                    microseconds: self.microseconds,
                };
                match self.average {
                    true => divided(sum, count as f64).map_err(external)?,
                    false => Value::Interval(sum),
                }
            }
        };
        to_scalar(&result, &Type::Interval(None)).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
