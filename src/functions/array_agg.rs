//! `array_agg` with the types that Arrow does not tell apart: of `name` it makes `name[]`.
//!
//! Of arrays it makes an array of one dimension more, which all must have one shape for; but documents are made of arrays
//! of any arrays, by the same aggregate under another name.

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
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, type_of, type_of_data_type, value_at};
use crate::types::dimensions::{DIMENSIONS_MAX, shape, too_many};
use crate::types::{Type, Value};

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
        if item.dimensions() == DIMENSIONS_MAX {
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
        Ok(if is_checked { Box::new(OfOneShape { inner, shape: None }) } else { inner })
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

/// The aggregate of arrays, which refuses one that is not like the others.
#[derive(Debug)]
struct OfOneShape {
    inner: Box<dyn Accumulator>,
    shape: Option<Vec<usize>>,
}

impl OfOneShape {
    /// The shapes of a column of arrays are all that of those before.
    fn check(&mut self, arrays: &ArrayRef) -> Result<()> {
        let ty = type_of_data_type(arrays.data_type());
        for row in 0..arrays.len() {
            let Value::Array(items) = value_at(arrays, row, &ty).map_err(external)? else {
                return Err(external(Error::new(SqlState("22004"), "cannot accumulate null arrays")));
            };
            let found = shape(&items);
            let refused = |message: &str| Err(external(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)));
            match &self.shape {
                _ if found.is_empty() => return refused("cannot accumulate empty arrays"),
                Some(shape) if *shape != found => {
                    return refused("cannot accumulate arrays of different dimensionality");
                }
                Some(_) => {}
                None => self.shape = Some(found),
            }
        }
        Ok(())
    }
}

impl Accumulator for OfOneShape {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(arrays) = values.first() {
            self.check(arrays)?;
        }
        self.inner.update_batch(values)
    }

    /// States are arrays of what was accumulated elsewhere.
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if let Some(of_arrays) = states.first().and_then(|state| state.as_list_opt::<i32>()) {
            for arrays in of_arrays.iter().flatten() {
                self.check(&arrays)?;
            }
        }
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}
