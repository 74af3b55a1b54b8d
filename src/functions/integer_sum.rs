//! `sum` of smallint and integer, which is bigint.
//!
//! DataFusion's sum casts such arguments to bigint. Its own result for those is bigint too, so nobody notices that types
//! are worked out again of arguments that were cast before; PostgreSQL's sum of bigint is numeric, so here a sum of
//! integers would become one of bigint the second time. Hence arguments stay as they are, and are widened on the way in.

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// Whether sums of the type are bigint.
pub fn is_narrow(ty: &DataType) -> bool {
    matches!(ty, DataType::Int16 | DataType::Int32)
}

/// A sum of bigint that takes narrower integers.
#[derive(Debug)]
pub struct Widened<A>(pub A);

fn widen(columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    columns.iter().map(|column| Ok(cast(column, &DataType::Int64)?)).collect()
}

impl Accumulator for Widened<Box<dyn Accumulator>> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&widen(columns)?)
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&widen(columns)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

impl GroupsAccumulator for Widened<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.0.update_batch(&widen(values)?, groups, filter, group_count)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], group_count: usize) -> Result<()> {
        self.0.merge_batch(states, groups, group_count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.0.evaluate(emit)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&widen(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
