//! `avg` of integers and numeric, and `sum` of numeric: exact sums, with PostgreSQL's digits.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::*;
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;

use crate::functions::decimal::{self, Numbers, is_numeric, of_integer};
use crate::functions::distinct::{self, Distinct};
use crate::functions::frame::{Anew, Frame, Gather, Read};
use crate::types::Numeric;
use crate::types::arrow::errors::external;

/// Whether averages of the type are ours.
pub fn is_exact(ty: &DataType) -> bool {
    of_integer(ty).is_some() || is_numeric(ty)
}

/// Whether sums of the type are ours: DataFusion's keep 38 digits, and wrap around behind them.
pub fn is_long_sum(ty: &DataType) -> bool {
    match decimal::digits(ty) {
        // Its sum of decimals has ten digits more than they have.
        Some((precision, _)) => precision + 10 > DECIMAL128_MAX_PRECISION,
        None => is_numeric(ty),
    }
}

pub fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
    if args.is_distinct {
        return distinct::state(args.name, decimal::any());
    }
    let state = |name, ty| Arc::new(Field::new(format_state_name(args.name, name), ty, true));
    vec![state("sum", decimal::any()), state("count", DataType::Int64)]
}

pub fn accumulator(args: &AccumulatorArgs, average: bool) -> Box<dyn Accumulator> {
    match args.is_distinct {
        true => Box::new(Distinct::new(Total::new(average))),
        false => Box::new(Total::new(average)),
    }
}

/// The same over a sliding frame. Of numbers that show their own digits, one that left may have been the one with the most;
/// and nothing takes NaN away from a sum again.
pub fn sliding_accumulator(args: &AccumulatorArgs, average: bool) -> Box<dyn Accumulator> {
    let is_any = args.expr_fields.first().is_some_and(|field| *field.data_type() == decimal::any());
    match is_any && !args.is_distinct {
        true => Box::new(Frame::new(Anew(Total::new(average)))),
        false => accumulator(args, average),
    }
}

/// The numbers of a column that are not NULL.
pub fn values(column: &ArrayRef) -> Result<Vec<Numeric>> {
    fn integers<T: ArrowPrimitiveType>(column: &ArrayRef) -> Vec<Numeric>
    where
        T::Native: Into<i128>,
    {
        column.as_primitive::<T>().iter().flatten().map(|value| Numeric::new(value.into(), 0)).collect()
    }
    Ok(match column.data_type() {
        DataType::Int16 => integers::<Int16Type>(column),
        DataType::Int32 => integers::<Int32Type>(column),
        DataType::Int64 => integers::<Int64Type>(column),
        DataType::UInt64 => integers::<UInt64Type>(column),
        _ => {
            let numbers = Numbers::new(column);
            (0..column.len()).filter_map(|row| numbers.get(row).transpose()).collect::<Result<_>>()?
        }
    })
}

impl Read for Numeric {
    fn read(column: &ArrayRef, found: &mut VecDeque<Numeric>) -> Result<()> {
        found.extend(values(column)?);
        Ok(())
    }
}

/// The sum of a column, and how many of its values are not NULL.
fn sum_of(column: &ArrayRef) -> Result<(Numeric, i64)> {
    fn integers<T: ArrowPrimitiveType>(column: &ArrayRef, scale: u8) -> Option<Numeric>
    where
        T::Native: Into<i128>,
    {
        let mut values = column.as_primitive::<T>().iter().flatten();
        let sum = values.try_fold(0i128, |sum, value| sum.checked_add(value.into()))?;
        Some(Numeric::new(sum, scale))
    }
    let count = (column.len() - column.null_count()) as i64;
    let fast = match column.data_type() {
        DataType::Int16 => integers::<Int16Type>(column, 0),
        DataType::Int32 => integers::<Int32Type>(column, 0),
        DataType::Int64 => integers::<Int64Type>(column, 0),
        DataType::Decimal128(_, scale @ 0..) => integers::<Decimal128Type>(column, *scale as u8),
        _ => None,
    };
    match fast {
        Some(sum) => Ok((sum, count)),
        None => Ok((total(values(column)?.iter())?, count)),
    }
}

/// The sum of some numbers.
fn total<'n>(mut numbers: impl Iterator<Item = &'n Numeric>) -> Result<Numeric> {
    numbers.try_fold(Numeric::ZERO, |sum, number| sum.plus(number)).map_err(external)
}

#[derive(Clone, Debug)]
struct Total {
    sum: Numeric,
    count: i64,
    average: bool,
}

impl Total {
    fn new(average: bool) -> Total {
        Total { sum: Numeric::ZERO, count: 0, average }
    }
}

impl Gather for Total {
    type Value = Numeric;

    fn add(&mut self, value: &Numeric) -> Result<()> {
        self.sum = self.sum.plus(value).map_err(external)?;
        self.count += 1;
        Ok(())
    }

    /// NULL of no values.
    fn answer(&self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(decimal::scalar(None));
        }
        match self.average {
            true => {
                let average = self.sum.divided_by(&Numeric::from_integer(self.count)).map_err(external)?;
                Ok(decimal::scalar(Some(&average)))
            }
            false => Ok(decimal::scalar(Some(&self.sum))),
        }
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (sum, count) = sum_of(&columns[0])?;
        if count > 0 {
            self.sum = self.sum.plus(&sum).map_err(external)?;
            self.count += count;
        }
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (sum, count) = sum_of(&columns[0])?;
        self.sum = self.sum.minus(&sum).map_err(external)?;
        self.count -= count;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sum = self.sum.plus(&total(values(&states[0])?.iter())?).map_err(external)?;
        self.count += as_int64_array(&states[1])?.iter().flatten().sum::<i64>();
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![decimal::scalar(Some(&self.sum)), ScalarValue::Int64(Some(self.count))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
