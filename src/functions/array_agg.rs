//! `array_agg` with the types that Arrow does not tell apart: of `name` it makes `name[]`.
//!
//! Of arrays it makes an array of one dimension more, which all must have one shape for; but documents are made of arrays
//! of any arrays, by the same aggregate under another name.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::array_agg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};

use crate::error::{Error, SqlState};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, shape, type_of};
use crate::types::dimensions::{DIMENSIONS_MAX, too_many};

/// What other aggregates collect their values with.
pub const COLLECT: &str = "hither_items";

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let named = |name| Arc::new(AggregateUDF::from(ArrayAgg { inner: array_agg::array_agg_udaf(), name }));
    vec![named("array_agg"), named(COLLECT)]
}

/// DataFusion's aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayAgg {
    inner: Arc<AggregateUDF>,
    name: &'static str,
}

impl ArrayAgg {
    /// Whether arrays become one of another dimension.
    fn makes_dimensions(&self, given: &[FieldRef]) -> bool {
        let is_array = |field: &FieldRef| matches!(field.data_type(), DataType::List(_));
        self.name != COLLECT && given.first().is_some_and(is_array)
    }
}

impl AggregateUDFImpl for ArrayAgg {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field(&self, given: &[FieldRef]) -> Result<FieldRef> {
        let plain = self.inner.return_field(given)?;
        let Some(item) = given.first().map(|field| type_of(field)) else { return Ok(plain) };
        let is_collected = matches!(item, Type::Array(_)) && self.name == COLLECT;
        if is_collected || plain.data_type().is_null() {
            return Ok(plain);
        }
        if item.dimensions() >= DIMENSIONS_MAX {
            return Err(external(too_many(DIMENSIONS_MAX + 1)));
        }
        let noted = field(plain.name(), &Type::Array(Box::new(item)), true);
        Ok(Arc::new(plain.as_ref().clone().with_metadata(noted.metadata().clone())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let is_checked = self.makes_dimensions(args.expr_fields);
        let inner = self.inner.accumulator(args)?;
        Ok(if is_checked { Box::new(OfOneShape { inner, shapes: VecDeque::new() }) } else { inner })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !self.makes_dimensions(args.expr_fields) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = self.inner.as_ref().clone().with_beneficial_ordering(beneficial)?;
        let wrapped = |inner| Arc::new(ArrayAgg { inner: Arc::new(inner), name: self.name });
        Ok(inner.map(|inner| wrapped(inner) as Arc<dyn AggregateUDFImpl>))
    }

    /// A window in the reverse order would have its arrays in that order.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}

/// The aggregate of arrays, which refuses those that have not one shape.
#[derive(Debug)]
struct OfOneShape {
    inner: Box<dyn Accumulator>,
    /// The shapes of the arrays in the frame, in their order, with how many have each.
    shapes: VecDeque<(Vec<usize>, usize)>,
}

impl OfOneShape {
    /// Takes the shapes of a column of arrays.
    fn note(&mut self, arrays: &ArrayRef) -> Result<()> {
        for items in arrays.as_list::<i32>().iter() {
            let Some(items) = items else {
                return Err(external(Error::new(SqlState("22004"), "cannot accumulate null arrays")));
            };
            let found = shape(&items);
            if found.is_empty() {
                let message = "cannot accumulate empty arrays";
                return Err(external(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)));
            }
            match self.shapes.back_mut() {
                Some((shape, rows)) if *shape == found => *rows += 1,
                _ => self.shapes.push_back((found, 1)),
            }
        }
        Ok(())
    }

    /// A frame takes rows in before it lets others go, so that it is looked at once both are done.
    fn check(&self) -> Result<()> {
        if self.shapes.len() > 1 {
            let message = "cannot accumulate arrays of different dimensionality";
            return Err(external(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)));
        }
        Ok(())
    }
}

impl Accumulator for OfOneShape {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(arrays) = values.first() {
            self.note(arrays)?;
        }
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut left = values.first().map_or(0, |arrays| arrays.len());
        while let Some((_, rows)) = self.shapes.front_mut().filter(|_| left > 0) {
            let taken = left.min(*rows);
            (*rows, left) = (*rows - taken, left - taken);
            if *rows == 0 {
                self.shapes.pop_front();
            }
        }
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    /// States are arrays of what was accumulated elsewhere.
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if let Some(of_arrays) = states.first().and_then(|state| state.as_list_opt::<i32>()) {
            for arrays in of_arrays.iter().flatten() {
                self.note(&arrays)?;
            }
        }
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.check()?;
        self.inner.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.check()?;
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}
