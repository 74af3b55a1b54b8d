//! `bit_and`, `bit_or` and `bit_xor` of bit strings; DataFusion's of integers stand behind them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::bit_and_or_xor;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use crate::distance::Element;
use crate::error::Error;
use crate::functions::cells::{Cell, Output, read};
use crate::functions::vector_aggregate::coerced;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, lists, only_cell};
use crate::types::bits::Combine;
use crate::types::{Bits, Type};

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let in_front = |inner, combine| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(BitAggregate { inner, combine, signature }))
    };
    vec![
        in_front(bit_and_or_xor::bit_and_udaf(), Combine::And),
        in_front(bit_and_or_xor::bit_or_udaf(), Combine::Or),
        in_front(bit_and_or_xor::bit_xor_udaf(), Combine::Xor),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BitAggregate {
    inner: Arc<AggregateUDF>,
    combine: Combine,
    signature: Signature,
}

fn is_bits(ty: Option<&DataType>) -> bool {
    ty.is_some_and(lists::is_bit)
}

fn of_bits(args: &AccumulatorArgs) -> bool {
    is_bits(args.expr_fields.first().map(|field| field.data_type()))
}

impl AggregateUDFImpl for BitAggregate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.len() == 1 && is_bits(given.first()) {
            return Ok(given.to_vec());
        }
        coerced(&self.inner, given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        if is_bits(given.first()) { Ok(given[0].clone()) } else { self.inner.return_type(given) }
    }

    fn return_field(&self, given: &[FieldRef]) -> Result<FieldRef> {
        match is_bits(given.first().map(|field| field.data_type())) {
            true => Ok(Arc::new(field(self.name(), &Type::Bit(None), true))),
            false => self.inner.return_field(given),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if of_bits(&args) {
            // The same bits twice are what `&` and `|` do not notice.
            if args.is_distinct && self.combine == Combine::Xor {
                return Err(external(Error::unsupported("bit_xor of distinct bit strings")));
            }
            return Ok(Box::new(Combined { combine: self.combine, kept: None }));
        }
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map(|field| field.data_type());
        match is_bits(input) {
            true => Ok(vec![Arc::new(field(format_state_name(args.name, "bits"), &Type::Bit(None), true))]),
            false => self.inner.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !of_bits(&args) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match of_bits(&args) {
            true => self.accumulator(args),
            false => self.inner.create_sliding_accumulator(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The bit strings so far in one.
#[derive(Debug)]
struct Combined {
    combine: Combine,
    kept: Option<Bits>,
}

impl Accumulator for Combined {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let column = &columns[0];
        for row in (0..column.len()).filter(|&row| !column.is_null(row)) {
            let Cell::Bits(new) = read(column, row)? else { continue };
            self.kept = Some(match self.kept.take() {
                Some(kept) => kept.combine(&new, self.combine).map_err(external)?,
                None => new,
            });
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
        let mut cell = Output::new(Element::Bit, 1);
        match &self.kept {
            Some(bits) => cell.append_bits(bits).map_err(external)?,
            None => cell.append_null(),
        }
        only_cell(&cell.finish()).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.kept.as_ref().map_or(0, |bits| bits.bytes().len())
    }
}
