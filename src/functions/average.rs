//! `avg` of integers and numeric: an exact sum over a count, with PostgreSQL's digits.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::*;
use datafusion::common::cast::{as_int64_array, as_list_array};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;

use crate::functions::decimal::{Builder, Decimal, Decimals, digits, of_integer, overflow, quotient};

/// Whether averages of the type are ours.
pub fn is_exact(ty: &DataType) -> bool {
    of_integer(ty).is_some() || digits(ty).is_some()
}

fn sum_type(input: &DataType) -> DataType {
    DataType::Decimal256(DECIMAL256_MAX_PRECISION, digits(input).map_or(0, |(_, scale)| scale))
}

pub fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
    let input = args.input_fields.first().map_or(&DataType::Int64, |field| field.data_type());
    let sum = sum_type(input);
    if args.is_distinct {
        let items = DataType::List(Arc::new(Field::new("item", sum, true)));
        return vec![Arc::new(Field::new(format_state_name(args.name, "values"), items, true))];
    }
    vec![
        Arc::new(Field::new(format_state_name(args.name, "sum"), sum, true)),
        Arc::new(Field::new(format_state_name(args.name, "count"), DataType::Int64, true)),
    ]
}

pub fn accumulator(args: &AccumulatorArgs) -> Box<dyn Accumulator> {
    let input = args.expr_fields.first().map_or(&DataType::Int64, |field| field.data_type());
    let scale = digits(input).map_or(0, |(_, scale)| scale);
    match args.is_distinct {
        true => Box::new(DistinctAverage { values: HashSet::new(), scale }),
        false => Box::new(Average { sum: i256::ZERO, count: 0, scale }),
    }
}

/// The values of a column that are not NULL.
pub fn values(column: &ArrayRef) -> Result<Vec<i256>> {
    fn integers<T: ArrowPrimitiveType>(column: &ArrayRef) -> Vec<i256>
    where
        T::Native: Into<i128>,
    {
        column.as_primitive::<T>().iter().flatten().map(|value| i256::from_i128(value.into())).collect()
    }
    Ok(match column.data_type() {
        DataType::Int16 => integers::<Int16Type>(column),
        DataType::Int32 => integers::<Int32Type>(column),
        DataType::Int64 => integers::<Int64Type>(column),
        DataType::UInt64 => integers::<UInt64Type>(column),
        _ => {
            let decimals = Decimals::new(column)?;
            (0..column.len()).filter_map(|row| decimals.get(row)).map(|value| value.unscaled).collect()
        }
    })
}

fn quotient_of(sum: i256, count: i64, scale: i8) -> Result<ScalarValue> {
    let mut result = Builder::new(&quotient(), 1);
    if count == 0 {
        result.append(None)?;
    } else {
        let count = Decimal { unscaled: i256::from_i128(i128::from(count)), scale: 0 };
        let average = Decimal { unscaled: sum, scale }.divided_by(count).ok_or_else(overflow)?;
        result.append(Some(average))?;
    }
    ScalarValue::try_from_array(&result.finish()?, 0)
}

fn sum_scalar(sum: i256, scale: i8) -> ScalarValue {
    ScalarValue::Decimal256(Some(sum), DECIMAL256_MAX_PRECISION, scale)
}

#[derive(Debug)]
struct Average {
    sum: i256,
    count: i64,
    scale: i8,
}

impl Accumulator for Average {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in values(&columns[0])? {
            self.sum = self.sum.checked_add(value).ok_or_else(overflow)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for value in values(&columns[0])? {
            self.sum = self.sum.checked_sub(value).ok_or_else(overflow)?;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for sum in values(&states[0])? {
            self.sum = self.sum.checked_add(sum).ok_or_else(overflow)?;
        }
        self.count += as_int64_array(&states[1])?.iter().flatten().sum::<i64>();
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![sum_scalar(self.sum, self.scale), ScalarValue::Int64(Some(self.count))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        quotient_of(self.sum, self.count, self.scale)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

#[derive(Debug)]
struct DistinctAverage {
    values: HashSet<i256>,
    scale: i8,
}

impl Accumulator for DistinctAverage {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.values.extend(values(&columns[0])?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for items in as_list_array(&states[0])?.iter().flatten() {
            self.values.extend(values(&items)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let items: Vec<ScalarValue> =
            self.values.iter().map(|value| sum_scalar(*value, self.scale)).collect();
        let ty = DataType::Decimal256(DECIMAL256_MAX_PRECISION, self.scale);
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&items, &ty))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.values.iter().try_fold(i256::ZERO, |sum, value| sum.checked_add(*value));
        let count =
            i64::try_from(self.values.len()).map_err(|error| DataFusionError::Internal(error.to_string()))?;
        quotient_of(sum.ok_or_else(overflow)?, count, self.scale)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<i256>()
    }
}
