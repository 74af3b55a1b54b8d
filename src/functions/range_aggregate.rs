//! `range_agg`: the set of the values of all ranges; `range_intersect_agg`: what all ranges have in common. Both take ranges
//! and multiranges.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::functions::scalar::no_such_function;
use crate::types::arrow::errors::external;
use crate::types::arrow::{data_type, field, to_scalar, type_of_data_type, value_at};
use crate::types::{Multirange, Range, RangeType, Type, Value};

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
    /// The type of the result, by the arguments'.
    fn returns(&self, given: &[DataType]) -> Result<Type> {
        let types: Vec<Type> = given.iter().map(type_of_data_type).collect();
        match types.as_slice() {
            [Type::Range(of)] if self.name != INTERSECT => Ok(Type::Multirange(of.clone())),
            [ty @ (Type::Range(_) | Type::Multirange(_))] => Ok(ty.clone()),
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
        self.returns(given).map(|_| given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.returns(given).map(|ty| data_type(&ty))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let ty = type_of_data_type(args.return_field.data_type());
        Ok(vec![Arc::new(field(format_state_name(args.name, "so_far"), &ty, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let returns = type_of_data_type(args.return_field.data_type());
        Ok(match (self.name, &returns) {
            (INTERSECT, _) => Box::new(Intersection { returns, common: None }),
            (_, Type::Multirange(of)) => {
                Box::new(Union { of: of.clone(), ranges: Vec::new(), is_null: true })
            }
            _ => return Err(no_such_function(self.name, &[])),
        })
    }
}

/// The values of a column of ranges or multiranges that are not NULL.
fn each(columns: &[ArrayRef], mut add: impl FnMut(Value)) -> Result<()> {
    let ty = type_of_data_type(columns[0].data_type());
    for row in 0..columns[0].len() {
        match value_at(&columns[0], row, &ty).map_err(external)? {
            Value::Null => {}
            value => add(value),
        }
    }
    Ok(())
}

/// What the values so far have in common.
#[derive(Debug)]
struct Intersection {
    returns: Type,
    common: Option<Value>,
}

impl Accumulator for Intersection {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |value| {
            self.common = Some(match (self.common.take(), value) {
                (Some(Value::Range(a)), Value::Range(b)) => Value::Range(a.intersection(&b)),
                (Some(Value::Multirange(a)), Value::Multirange(b)) => Value::Multirange(a.intersection(&b)),
                (_, value) => value,
            });
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        to_scalar(self.common.as_ref().unwrap_or(&Value::Null), &self.returns).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// All ranges so far.
#[derive(Debug)]
struct Union {
    of: RangeType,
    ranges: Vec<Range>,
    is_null: bool,
}

impl Union {
    fn set(&mut self) -> Multirange {
        let set = Multirange::new(self.of.clone(), std::mem::take(&mut self.ranges));
        self.ranges = set.ranges().to_vec();
        set
    }
}

impl Accumulator for Union {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        each(columns, |value| {
            self.is_null = false;
            match value {
                Value::Range(range) => self.ranges.push(range),
                Value::Multirange(set) => self.ranges.extend_from_slice(set.ranges()),
                _ => {}
            }
        })?;
        self.set();
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = if self.is_null { Value::Null } else { Value::Multirange(self.set()) };
        to_scalar(&value, &Type::Multirange(self.of.clone())).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.ranges.capacity() * size_of::<Range>()
    }
}
