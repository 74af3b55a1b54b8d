//! `range_intersect_agg`: what all ranges have in common. `range_agg` would make a multirange, which there is none of.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::error::Error;
use crate::functions::scalar::no_such_function;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{range_of, range_type};
use crate::types::arrow::{field, to_scalar, value_at};
use crate::types::{Range, RangeType, Type, Value};

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let named = |name| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(RangeAggregate { name, signature }))
    };
    vec![named(INTERSECT), named("range_agg")]
}

const INTERSECT: &str = "range_intersect_agg";

#[derive(Debug, PartialEq, Eq, Hash)]
struct RangeAggregate {
    name: &'static str,
    signature: Signature,
}

impl RangeAggregate {
    fn range_type(&self, given: &[DataType]) -> Result<RangeType> {
        match given {
            [ty] => range_of(ty).ok_or_else(|| no_such_function(self.name, given)),
            _ => Err(no_such_function(self.name, given)),
        }
    }
}

impl AggregateUDFImpl for RangeAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.range_type(given).map(|_| given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let of = self.range_type(given)?;
        match self.name {
            INTERSECT => Ok(range_type(of)),
            name => Err(external(Error::unsupported(format!("the aggregate {name}")))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let of = range_of(args.return_field.data_type()).ok_or_else(|| no_such_function(self.name, &[]))?;
        Ok(vec![Arc::new(field(format_state_name(args.name, "common"), &Type::Range(of), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let of = range_of(args.return_field.data_type()).ok_or_else(|| no_such_function(self.name, &[]))?;
        Ok(Box::new(Intersection { of, common: None }))
    }
}

/// What the ranges so far have in common.
#[derive(Debug)]
struct Intersection {
    of: RangeType,
    common: Option<Range>,
}

impl Accumulator for Intersection {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for row in 0..columns[0].len() {
            if let Value::Range(range) =
                value_at(&columns[0], row, &Type::Range(self.of)).map_err(external)?
            {
                self.common = Some(match self.common.take() {
                    Some(common) => common.intersection(&range),
                    None => range,
                });
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        to_scalar(&self.common.clone().into(), &Type::Range(self.of)).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
