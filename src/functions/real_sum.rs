//! `sum` of real, which is real: added up in single precision, value by value as they come.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::common::cast::as_list_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

/// Whether sums of the type are real.
pub fn is_real(ty: &DataType) -> bool {
    *ty == DataType::Float32
}

#[derive(Debug, Default)]
pub struct RealSum {
    sum: Option<f32>,
    /// The values seen, where each counts once.
    distinct: Option<HashSet<u32>>,
}

impl RealSum {
    pub fn new(distinct: bool) -> RealSum {
        RealSum { sum: None, distinct: distinct.then(HashSet::new) }
    }

    pub fn state_type(distinct: bool) -> DataType {
        match distinct {
            true => DataType::List(Arc::new(Field::new("item", DataType::Float32, true))),
            false => DataType::Float32,
        }
    }
}

impl Accumulator for RealSum {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in columns[0].as_primitive::<Float32Type>().iter().flatten() {
            // -0 is 0.
            if self.distinct.as_mut().is_some_and(|seen| !seen.insert((value + 0.0).to_bits())) {
                continue;
            }
            self.sum = Some(self.sum.map_or(value, |sum| sum + value));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if self.distinct.is_none() {
            return self.update_batch(states);
        }
        for items in as_list_array(&states[0])?.iter().flatten() {
            self.update_batch(&[items])?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Some(seen) = &self.distinct else { return Ok(vec![self.evaluate()?]) };
        let items: Vec<ScalarValue> =
            seen.iter().map(|bits| ScalarValue::Float32(Some(f32::from_bits(*bits)))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Float32))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float32(self.sum))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.distinct.as_ref().map_or(0, |seen| seen.capacity() * size_of::<u32>())
    }
}
