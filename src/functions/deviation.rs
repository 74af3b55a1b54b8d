//! `variance`, `stddev` and their like: of integers and numeric exactly, of floats with DataFusion's, but over sliding frames
//! computed anew.
//!
//! Exact ones keep the count, the sum and the sum of the squares. The variance is `(n * squares - sum * sum) / (n * (n - 1))`,
//! or over `n * n` for a whole population, with PostgreSQL's digits of a quotient.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef, i256};
use datafusion::common::cast::{as_int64_array, as_list_array};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::{stddev, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use crate::functions::average::{is_exact, values};
use crate::functions::decimal::{Builder, Decimal, digits, overflow, quotient};
use crate::functions::frame::{Frame, Framed, read_floats};
use crate::functions::scalar::no_such_function;

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let in_front = |name, inner: Arc<AggregateUDF>, of| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Deviation { name, inner, of, signature }))
    };
    let (root, all) = (true, true);
    vec![
        in_front("variance", variance::var_samp_udaf(), Of { root: !root, population: !all }),
        in_front("var_samp", variance::var_samp_udaf(), Of { root: !root, population: !all }),
        in_front("var_pop", variance::var_pop_udaf(), Of { root: !root, population: all }),
        in_front("stddev", stddev::stddev_udaf(), Of { root, population: !all }),
        in_front("stddev_samp", stddev::stddev_udaf(), Of { root, population: !all }),
        in_front("stddev_pop", stddev::stddev_pop_udaf(), Of { root, population: all }),
    ]
}

/// Which of the family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Of {
    /// The deviation, which is the root of the variance.
    root: bool,
    /// Of all there is, not of a sample.
    population: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Deviation {
    name: &'static str,
    inner: Arc<AggregateUDF>,
    of: Of,
    signature: Signature,
}

fn input(args: &AccumulatorArgs) -> DataType {
    args.expr_fields.first().map_or(DataType::Float64, |field| field.data_type().clone())
}

fn scale_of(input: &DataType) -> i8 {
    digits(input).map_or(0, |(_, scale)| scale)
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
            [exact] if is_exact(exact) => Ok(quotient()),
            _ => Ok(DataType::Float64),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let input = input(&args);
        if !is_exact(&input) {
            return self.inner.accumulator(args);
        }
        let exact =
            Exact { count: 0, sum: i256::ZERO, squares: i256::ZERO, scale: scale_of(&input), of: self.of };
        Ok(match args.is_distinct {
            true => Box::new(Distinct { values: HashSet::new(), exact }),
            false => Box::new(exact),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map_or(DataType::Float64, |field| field.data_type().clone());
        if !is_exact(&input) {
            return self.inner.state_fields(args);
        }
        let wide = |scale| DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale);
        let state = |name, ty| Arc::new(Field::new(format_state_name(args.name, name), ty, true));
        let scale = scale_of(&input);
        if args.is_distinct {
            let items = DataType::List(Arc::new(Field::new("item", wide(scale), true)));
            return Ok(vec![state("values", items)]);
        }
        Ok(vec![
            state("count", DataType::Int64),
            state("sum", wide(scale)),
            state("squares", wide(scale.saturating_mul(2))),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_exact(&input(&args)) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match is_exact(&input(&args)) {
            true => self.accumulator(args),
            false => Ok(Box::new(Frame::new(self.of))),
        }
    }
}

#[derive(Debug)]
struct Exact {
    count: i64,
    sum: i256,
    squares: i256,
    scale: i8,
    of: Of,
}

impl Exact {
    fn add(&mut self, value: i256) -> Option<()> {
        self.count += 1;
        self.sum = self.sum.checked_add(value)?;
        self.squares = self.squares.checked_add(value.checked_mul(value)?)?;
        Some(())
    }

    fn remove(&mut self, value: i256) -> Option<()> {
        self.count -= 1;
        self.sum = self.sum.checked_sub(value)?;
        self.squares = self.squares.checked_sub(value.checked_mul(value)?)?;
        Some(())
    }

    /// `None` where there are too few values.
    fn result(&self) -> Result<Option<Decimal>> {
        let least = if self.of.population { 1 } else { 2 };
        if self.count < least {
            return Ok(None);
        }
        self.compute().map(Some).ok_or_else(overflow)
    }

    fn compute(&self) -> Option<Decimal> {
        let whole = |number: i64| i256::from_i128(i128::from(number));
        let (count, less) = (whole(self.count), if self.of.population { self.count } else { self.count - 1 });
        let spread = self.squares.checked_mul(count)?.checked_sub(self.sum.checked_mul(self.sum)?)?;
        let spread = Decimal { unscaled: spread, scale: self.scale.checked_mul(2)? };
        let pairs = Decimal { unscaled: count.checked_mul(whole(less))?, scale: 0 };
        let variance = spread.divided_by(pairs)?;
        if self.of.root { root(variance) } else { Some(variance) }
    }
}

/// The square root with as many digits, the last one rounded.
fn root(of: Decimal) -> Option<Decimal> {
    let ten = i256::from_i128(10);
    // Twice the digits, and one more to round by.
    let shift = u32::from(of.scale.unsigned_abs()) + 2;
    let square = of.unscaled.checked_mul(ten.checked_pow(shift)?)?;
    let one_more = integer_root(square);
    let unscaled = one_more.checked_add(i256::from_i128(5))?.checked_div(ten)?;
    Some(Decimal { unscaled, scale: of.scale })
}

/// Newton's way down from above.
fn integer_root(square: i256) -> i256 {
    if square <= i256::ZERO {
        return i256::ZERO;
    }
    let half = square.to_string().len().div_ceil(2) as u32;
    let mut root = i256::from_i128(10).wrapping_pow(half);
    loop {
        let next = root.wrapping_add(square.wrapping_div(root)).wrapping_div(i256::from_i128(2));
        if next >= root {
            return root;
        }
        root = next;
    }
}

fn shown(result: Option<Decimal>) -> Result<ScalarValue> {
    let mut cell = Builder::new(&quotient(), 1);
    cell.append(result)?;
    ScalarValue::try_from_array(&cell.finish()?, 0)
}

fn wide(value: i256, scale: i8) -> ScalarValue {
    ScalarValue::Decimal256(Some(value), DECIMAL256_MAX_PRECISION, scale)
}

impl Accumulator for Exact {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        values(&columns[0])?.into_iter().try_for_each(|value| self.add(value)).ok_or_else(overflow)
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        values(&columns[0])?.into_iter().try_for_each(|value| self.remove(value)).ok_or_else(overflow)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.count += as_int64_array(&states[0])?.iter().flatten().sum::<i64>();
        for (total, column) in [(&mut self.sum, &states[1]), (&mut self.squares, &states[2])] {
            for part in values(column)? {
                *total = total.checked_add(part).ok_or_else(overflow)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let squares = wide(self.squares, self.scale.saturating_mul(2));
        Ok(vec![ScalarValue::Int64(Some(self.count)), wide(self.sum, self.scale), squares])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        shown(self.result()?)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Each value once.
#[derive(Debug)]
struct Distinct {
    values: HashSet<i256>,
    exact: Exact,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in values(&columns[0])? {
            if self.values.insert(value) {
                self.exact.add(value).ok_or_else(overflow)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for items in as_list_array(&states[0])?.iter().flatten() {
            self.update_batch(&[items])?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let scale = self.exact.scale;
        let items: Vec<ScalarValue> = self.values.iter().map(|value| wide(*value, scale)).collect();
        let ty = DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale);
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&items, &ty))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.exact.evaluate()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<i256>()
    }
}

impl Framed for Of {
    type Value = f64;

    fn read(&self, column: &ArrayRef, values: &mut VecDeque<f64>) -> Result<()> {
        read_floats(column, values)
    }

    /// The way of Youngs and Cramer, which PostgreSQL takes.
    fn answer(&self, values: &VecDeque<f64>) -> Result<ScalarValue> {
        let (mut count, mut sum, mut spread) = (0.0, 0.0, 0.0);
        for x in values {
            count += 1.0;
            sum += x;
            if count > 1.0 {
                let off = x * count - sum;
                spread += off * off / (count * (count - 1.0));
            }
            if !x.is_finite() {
                spread = f64::NAN;
            }
        }
        let (least, divisor) = if self.population { (1.0, count) } else { (2.0, count - 1.0) };
        let variance = (count >= least).then(|| spread / divisor);
        Ok(ScalarValue::Float64(variance.map(|variance| if self.root { variance.sqrt() } else { variance })))
    }
}
