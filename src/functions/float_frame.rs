//! `sum` and `avg` of floats over a sliding frame.
//!
//! Taking what left the frame away from a running sum would leave its rounding behind, and NaN for ever after an
//! infinity. PostgreSQL has no inverse for sums of floats, and adds up each frame anew; so does this.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

/// Whether frames of the type are added up anew.
pub fn is_float(ty: &DataType) -> bool {
    matches!(ty, DataType::Float32 | DataType::Float64)
}

/// The values in a frame that are not NULL.
#[derive(Debug)]
pub struct Frame {
    values: VecDeque<f64>,
    average: bool,
    returns: DataType,
}

impl Frame {
    pub fn new(average: bool, returns: DataType) -> Frame {
        Frame { values: VecDeque::new(), average, returns }
    }
}

impl Accumulator for Frame {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let column = cast(&columns[0], &DataType::Float64)?;
        self.values.extend(column.as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let gone = columns[0].len() - columns[0].null_count();
        self.values.drain(..gone.min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("a frame is added up in one piece".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a frame is added up in one piece".to_owned()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count = self.values.len();
        let sum: f64 = self.values.iter().sum();
        let result = if self.average { sum / count as f64 } else { sum };
        ScalarValue::Float64((count > 0).then_some(result)).cast_to(&self.returns)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }
}
