//! `array_agg` with the types that Arrow does not tell apart: of `name` it makes `name[]`.
//!
//! Of arrays it would make an array of two dimensions, which there are none of; but documents are made of arrays of
//! arrays, by the same aggregate under another name.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::array_agg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};

use crate::error::Error;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, type_of};

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
        if matches!(item, Type::Array(_)) && self.name != COLLECT {
            return Err(external(Error::unsupported("arrays of several dimensions")));
        }
        if matches!(item, Type::Array(_)) || plain.data_type().is_null() {
            return Ok(plain);
        }
        let noted = field(plain.name(), &Type::Array(Box::new(item)), true);
        Ok(Arc::new(plain.as_ref().clone().with_metadata(noted.metadata().clone())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
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
