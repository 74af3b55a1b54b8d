//! Variances and deviations of double precision, by the way of Youngs and Cramer (1971), which PostgreSQL takes: a value
//! corrects the squares of the differences from the mean instead of being squared, so that little is lost of values that
//! are large and close together.
//!
//! ```text
//!   count += 1;  sum += x;  squares += (x * count - sum)² / (count * (count - 1))
//! ```
//!
//! Infinities and NaN make a NaN of the squares; sums that grow beyond the type are an error.
//! Source: <https://www.postgresql.org/docs/17/functions-aggregate.html#FUNCTIONS-AGGREGATE-STATISTICS-TABLE>

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::{as_float64_array, as_int64_array};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::accumulate::accumulate;

use crate::error::{Error, SqlState};
use crate::functions::frame::Gather;
use crate::types::arrow::errors::external;

/// Which of the family is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Of {
    /// The deviation, which is the root of the variance.
    pub root: bool,
    /// Of all there is, not of a sample.
    pub population: bool,
}

/// What is known of the values so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    count: i64,
    sum: f64,
    squares: f64,
}

impl Spread {
    pub fn add(&mut self, value: f64) -> Result<()> {
        let before = self.sum;
        self.count += 1;
        self.sum += value;
        if self.count == 1 {
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return Ok(());
        }
        let count = self.count as f64;
        let off = value * count - self.sum;
        self.squares += off * off / (count * (count - 1.0));
        if self.sum.is_infinite() || self.squares.is_infinite() {
            if !before.is_infinite() && !value.is_infinite() {
                return Err(external(overflow()));
            }
            self.squares = f64::NAN;
        }
        Ok(())
    }

    pub fn add_all(&mut self, other: &Spread) -> Result<()> {
        if other.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            *self = *other;
            return Ok(());
        }
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let sum = self.sum + other.sum;
        let off = self.sum / ours - other.sum / theirs;
        let squares = self.squares + other.squares + ours * theirs * off * off / (ours + theirs);
        let is_finite = |spread: &Spread| spread.sum.is_finite() && !spread.squares.is_infinite();
        if (sum.is_infinite() || squares.is_infinite()) && is_finite(self) && is_finite(other) {
            return Err(external(overflow()));
        }
        *self = Spread { count: self.count + other.count, sum, squares };
        Ok(())
    }

    /// `None` where there are too few values.
    pub fn result(&self, of: Of) -> Option<f64> {
        let less = if of.population { self.count } else { self.count - 1 };
        let variance = (less > 0).then(|| self.squares / less as f64)?;
        Some(if of.root { variance.sqrt() } else { variance })
    }
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// The fields of the state of one aggregate.
pub fn state_fields(name: &str) -> Vec<FieldRef> {
    let state = |of, ty| Arc::new(Field::new(format_state_name(name, of), ty, true));
    vec![
        state("count", DataType::Int64),
        state("sum", DataType::Float64),
        state("squares", DataType::Float64),
    ]
}

/// The states in the columns of [`state_fields`].
fn states(columns: &[ArrayRef]) -> Result<Vec<Spread>> {
    let (counts, sums) = (as_int64_array(&columns[0])?, as_float64_array(&columns[1])?);
    let squares = as_float64_array(&columns[2])?;
    let columns = counts.values().iter().zip(sums.values()).zip(squares.values());
    Ok(columns.map(|((&count, &sum), &squares)| Spread { count, sum, squares }).collect())
}

/// Of all values.
#[derive(Clone, Debug)]
pub struct Whole {
    spread: Spread,
    of: Of,
}

impl Whole {
    pub fn new(of: Of) -> Whole {
        Whole { spread: Spread::default(), of }
    }
}

impl Gather for Whole {
    type Value = f64;

    fn add(&mut self, value: &f64) -> Result<()> {
        self.spread.add(*value)
    }

    fn answer(&self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.spread.result(self.of)))
    }
}

impl Accumulator for Whole {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let values = as_float64_array(&columns[0])?;
        values.iter().flatten().try_for_each(|value| self.spread.add(value))
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        states(columns)?.iter().try_for_each(|state| self.spread.add_all(state))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Spread { count, sum, squares } = self.spread;
        Ok(vec![count.into(), sum.into(), squares.into()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Of the values of each group.
#[derive(Debug)]
pub struct Groups {
    spreads: Vec<Spread>,
    of: Of,
}

impl Groups {
    pub fn new(of: Of) -> Groups {
        Groups { spreads: Vec::new(), of }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.spreads.resize(count, Spread::default());
        let mut failed = Ok(());
        accumulate(groups, as_float64_array(&columns[0])?, filter, |group, value| {
            if failed.is_ok() {
                failed = self.spreads[group].add(value);
            }
        });
        failed
    }

    fn merge_batch(&mut self, columns: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.spreads.resize(count, Spread::default());
        let mut states = states(columns)?.into_iter().zip(groups);
        states.try_for_each(|(state, &group)| self.spreads[group].add_all(&state))
    }

    /// One state per value, for plans that find that gathering in front of a repartition does not make less of it.
    fn convert_to_state(&self, columns: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = as_float64_array(&columns[0])?;
        let mut groups = Groups::new(self.of);
        let each: Vec<usize> = (0..values.len()).collect();
        groups.update_batch(columns, &each, filter, values.len())?;
        GroupsAccumulator::state(&mut groups, EmitTo::All)
    }

    fn evaluate(&mut self, which: EmitTo) -> Result<ArrayRef> {
        let taken = which.take_needed(&mut self.spreads);
        Ok(Arc::new(taken.iter().map(|spread| spread.result(self.of)).collect::<Float64Array>()))
    }

    fn state(&mut self, which: EmitTo) -> Result<Vec<ArrayRef>> {
        let taken = which.take_needed(&mut self.spreads);
        let counts: Int64Array = taken.iter().map(|spread| spread.count).collect();
        let sums: Float64Array = taken.iter().map(|spread| spread.sum).collect();
        let squares: Float64Array = taken.iter().map(|spread| spread.squares).collect();
        Ok(vec![Arc::new(counts), Arc::new(sums), Arc::new(squares)])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.spreads.capacity() * size_of::<Spread>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIANCE: Of = Of { root: false, population: true };

    fn spread(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        values.iter().for_each(|value| spread.add(*value).expect("no overflow"));
        spread
    }

    #[test]
    fn little_is_lost_of_large_values() {
        let values = [7e9, 7e9 + 1.0, 7e9 + 3.0, 7e9 + 4.0];
        assert_eq!(spread(&values).result(VARIANCE), Some(2.5));
        for cut in 0..=values.len() {
            let (mut first, second) = (spread(&values[..cut]), spread(&values[cut..]));
            first.add_all(&second).expect("no overflow");
            // Means of parts are rounded; the squares of the values have 20 digits.
            let result = first.result(VARIANCE).expect("four values");
            assert!((result - 2.5).abs() < 1e-5, "{cut}: {result}");
        }
    }

    #[test]
    fn what_is_not_finite_has_no_variance() {
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for values in [&[value][..], &[1.0, value], &[value, 1.0, 2.0]] {
                let result = spread(values).result(VARIANCE);
                assert!(result.is_some_and(f64::is_nan), "{values:?} {result:?}");
            }
        }
        assert_eq!(spread(&[1.0]).result(Of { population: false, ..VARIANCE }), None);
        let mut large = spread(&[1e308]);
        assert!(large.add(-1e308).is_err());
    }
}
