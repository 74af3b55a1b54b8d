//! `variance`, `stddev` and their like: of integers and numeric exactly, of floats as `spread.rs` has it, and over sliding
//! frames computed anew.
//!
//! Exact ones keep the count, the sum and the sum of the squares. The variance is `(n * squares - sum * sum) / (n * (n - 1))`,
//! or over `n * n` for a whole population, with PostgreSQL's digits of a quotient.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use num_bigint::BigInt;

use crate::functions::average::{is_exact, values};
use crate::functions::decimal;
use crate::functions::distinct::{self, Distinct};
use crate::functions::frame::{Anew, Frame, Gather};
use crate::functions::scalar::no_such_function;
use crate::functions::spread::{self, Of, Whole};
use crate::types::Numeric;
use crate::types::arrow::errors::external;

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let function = |name, of| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Deviation { name, of, signature }))
    };
    let (root, all) = (true, true);
    vec![
        function("variance", Of { root: !root, population: !all }),
        function("var_samp", Of { root: !root, population: !all }),
        function("var_pop", Of { root: !root, population: all }),
        function("stddev", Of { root, population: !all }),
        function("stddev_samp", Of { root, population: !all }),
        function("stddev_pop", Of { root, population: all }),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Deviation {
    name: &'static str,
    of: Of,
    signature: Signature,
}

fn input(args: &AccumulatorArgs) -> DataType {
    args.expr_fields.first().map_or(DataType::Float64, |field| field.data_type().clone())
}

impl AggregateUDFImpl for Deviation {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [exact] if is_exact(exact) => Ok(given.to_vec()),
            [DataType::Float32 | DataType::Float64 | DataType::Null] => Ok(vec![DataType::Float64]),
            _ => Err(no_such_function(self.name, given)),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [exact] if is_exact(exact) => Ok(decimal::any()),
            _ => Ok(DataType::Float64),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let input = input(&args);
        let exact = Exact::new(self.of);
        Ok(match (is_exact(&input), args.is_distinct) {
            (true, true) => Box::new(Distinct::new(exact)),
            (true, false) => Box::new(exact),
            (false, true) => Box::new(Distinct::new(Whole::new(self.of))),
            (false, false) => Box::new(Whole::new(self.of)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map_or(DataType::Float64, |field| field.data_type().clone());
        let is_exact = is_exact(&input);
        if args.is_distinct {
            return Ok(distinct::state(args.name, if is_exact { decimal::any() } else { DataType::Float64 }));
        }
        if !is_exact {
            return Ok(spread::state_fields(args.name));
        }
        let state = |name, ty| Arc::new(Field::new(format_state_name(args.name, name), ty, true));
        Ok(vec![
            state("count", DataType::Int64),
            state("sum", decimal::any()),
            state("squares", decimal::any()),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_exact(&input(&args)) && !args.is_distinct
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(spread::Groups::new(self.of)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match input(&args) {
            any if any == decimal::any() && !args.is_distinct => {
                Ok(Box::new(Frame::new(Anew(Exact::new(self.of)))))
            }
            exact if is_exact(&exact) => self.accumulator(args),
            _ => Ok(Box::new(Frame::new(Anew(Whole::new(self.of))))),
        }
    }
}

#[derive(Clone, Debug)]
struct Exact {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    of: Of,
}

impl Exact {
    fn new(of: Of) -> Exact {
        Exact { count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO, of }
    }

    fn remove(&mut self, value: &Numeric) -> Result<()> {
        self.count -= 1;
        self.sum = self.sum.minus(value).map_err(external)?;
        self.squares = value.times(value).and_then(|square| self.squares.minus(&square)).map_err(external)?;
        Ok(())
    }

    /// `None` where there are too few values.
    fn result(&self) -> Result<Option<Numeric>> {
        let least = if self.of.population { 1 } else { 2 };
        if self.count < least {
            return Ok(None);
        }
        self.compute().map(Some).map_err(external)
    }

    fn compute(&self) -> crate::error::Result<Numeric> {
        if !self.sum.is_finite() || !self.squares.is_finite() {
            return Ok(Numeric::NAN);
        }
        let count = Numeric::from_integer(self.count);
        let less = Numeric::from_integer(if self.of.population { self.count } else { self.count - 1 });
        let spread = self.squares.times(&count)?.minus(&self.sum.times(&self.sum)?)?;
        // Of values that are all equal PostgreSQL shows no digits.
        if spread.signum() <= 0 {
            return Ok(Numeric::ZERO);
        }
        let variance = spread.divided_by(&count.times(&less)?)?;
        if self.of.root { root(&variance) } else { Ok(variance) }
    }
}

/// The square root with as many digits, the last one rounded.
fn root(of: &Numeric) -> crate::error::Result<Numeric> {
    // Twice the digits, and one more to round by.
    let shift = u32::from(of.scale()) + 2;
    let square = of.unscaled().unwrap_or_default() * BigInt::from(10).pow(shift);
    Numeric::of_big((square.sqrt() + 5) / 10, of.scale())
}

impl Gather for Exact {
    type Value = Numeric;

    fn add(&mut self, value: &Numeric) -> Result<()> {
        self.count += 1;
        self.sum = self.sum.plus(value).map_err(external)?;
        self.squares = value.times(value).and_then(|square| self.squares.plus(&square)).map_err(external)?;
        Ok(())
    }

    fn answer(&self) -> Result<ScalarValue> {
        Ok(decimal::scalar(self.result()?.as_ref()))
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        values(&columns[0])?.iter().try_for_each(|value| self.add(value))
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        values(&columns[0])?.iter().try_for_each(|value| self.remove(value))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.count += as_int64_array(&states[0])?.iter().flatten().sum::<i64>();
        for (total, column) in [(&mut self.sum, &states[1]), (&mut self.squares, &states[2])] {
            for part in values(column)? {
                *total = total.plus(&part).map_err(external)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let [sum, squares] = [&self.sum, &self.squares].map(|total| decimal::scalar(Some(total)));
        Ok(vec![ScalarValue::Int64(Some(self.count)), sum, squares])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
