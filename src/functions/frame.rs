//! Aggregates over a sliding frame that look at all of its values each time.
//!
//! Taking what left the frame away from a running sum of floats would leave its rounding behind, and NaN for ever after an
//! infinity. PostgreSQL has no inverse for such sums, and adds up each frame anew; so does this. Nor has a greatest value
//! an inverse.

use std::collections::VecDeque;
use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

/// Whether frames of the type are added up anew.
pub fn is_float(ty: &DataType) -> bool {
    matches!(ty, DataType::Float32 | DataType::Float64)
}

/// What is computed of a frame.
pub trait Framed: Debug + Send + Sync + 'static {
    type Value: Debug + Send + Sync;

    /// Adds the values of a column that are not NULL.
    fn read(&self, column: &ArrayRef, values: &mut VecDeque<Self::Value>) -> Result<()>;

    fn answer(&self, values: &VecDeque<Self::Value>) -> Result<ScalarValue>;
}

/// The values in a frame that are not NULL.
#[derive(Debug)]
pub struct Frame<F: Framed> {
    of: F,
    values: VecDeque<F::Value>,
}

impl<F: Framed> Frame<F> {
    pub fn new(of: F) -> Frame<F> {
        Frame { of, values: VecDeque::new() }
    }
}

impl<F: Framed> Accumulator for Frame<F> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.of.read(&columns[0], &mut self.values)
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
        Err(DataFusionError::Internal("a frame is computed in one piece".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a frame is computed in one piece".to_owned()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.of.answer(&self.values)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<F::Value>()
    }
}

/// A value that a column has.
pub trait Read: Debug + Send + Sync + Sized {
    /// Adds the values of a column that are not NULL.
    fn read(column: &ArrayRef, values: &mut VecDeque<Self>) -> Result<()>;
}

/// What is gathered value by value.
pub trait Gather: Clone + Debug + Send + Sync + 'static {
    type Value: Read;

    fn add(&mut self, value: &Self::Value) -> Result<()>;

    fn answer(&self) -> Result<ScalarValue>;
}

/// Of each frame gathered anew, from what it is of no values.
#[derive(Debug)]
pub struct Anew<G>(pub G);

impl<G: Gather> Framed for Anew<G> {
    type Value = G::Value;

    fn read(&self, column: &ArrayRef, values: &mut VecDeque<G::Value>) -> Result<()> {
        G::Value::read(column, values)
    }

    fn answer(&self, values: &VecDeque<G::Value>) -> Result<ScalarValue> {
        let mut gathered = self.0.clone();
        values.iter().try_for_each(|value| gathered.add(value))?;
        gathered.answer()
    }
}

impl Read for f64 {
    /// Of a column of any numbers.
    fn read(column: &ArrayRef, values: &mut VecDeque<f64>) -> Result<()> {
        let column = cast(column, &DataType::Float64)?;
        values.extend(column.as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }
}

/// `sum` and `avg` of floats.
#[derive(Debug)]
pub struct FloatSum {
    pub average: bool,
    pub returns: DataType,
}

impl Framed for FloatSum {
    type Value = f64;

    fn read(&self, column: &ArrayRef, values: &mut VecDeque<f64>) -> Result<()> {
        f64::read(column, values)
    }

    fn answer(&self, values: &VecDeque<f64>) -> Result<ScalarValue> {
        let count = values.len();
        let sum: f64 = values.iter().sum();
        let result = if self.average { sum / count as f64 } else { sum };
        ScalarValue::Float64((count > 0).then_some(result)).cast_to(&self.returns)
    }
}
