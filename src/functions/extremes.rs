//! `min` and `max` of intervals, which are compared by their length, of numeric by value, of floats by group, among which
//! NaN is the greatest, of citext without regard to case, of `char(n)`, which stay what they are, and of arrays of arrays,
//! of numeric and of rows, which have keys.
//!
//! DataFusion's aggregates in front of which these stand answer for everything else.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::min_max;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use crate::functions::citext::Caseless;
use crate::functions::dates::nanoseconds_of;
use crate::functions::decimal;
use crate::functions::frame::{Anew, Frame, Gather, Read};
use crate::functions::scalar::no_such_function;
use crate::functions::sort_keys;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{multirange_of, range_of};
use crate::types::arrow::{field, only_cell, type_of, type_of_data_type, value_at};
use crate::types::{Numeric, Type};

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let in_front = |inner, greatest| Arc::new(AggregateUDF::from(Extreme { inner, greatest }));
    vec![in_front(min_max::min_udaf(), Ordering::Less), in_front(min_max::max_udaf(), Ordering::Greater)]
}

/// DataFusion's aggregate, and how what it looks for compares with other values.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    inner: Arc<AggregateUDF>,
    greatest: Ordering,
}

impl Extreme {
    /// None yet.
    fn kept<T>(&self, args: &AccumulatorArgs) -> Result<Kept<T>> {
        let null = ScalarValue::try_from(args.return_field.data_type())?;
        Ok(Kept { greatest: self.greatest, null, value: None })
    }
}

/// Whether values have an order of their own here.
fn is_ours(args: &AccumulatorArgs) -> bool {
    matches!(args.return_field.data_type(), DataType::Interval(_))
        || is_of_numbers(args)
        || is_caseless(args)
        || is_of_arrays(args)
}

/// Whether they are arrays in which Arrow would not find the order.
fn is_of_arrays(args: &AccumulatorArgs) -> bool {
    match args.return_field.data_type() {
        DataType::List(item) => {
            matches!(item.data_type(), DataType::List(_) | DataType::Struct(_))
                || *item.data_type() == decimal::any()
        }
        _ => false,
    }
}

fn is_caseless(args: &AccumulatorArgs) -> bool {
    type_of(&args.return_field) == Type::Citext
}

fn is_of_numbers(args: &AccumulatorArgs) -> bool {
    *args.return_field.data_type() == decimal::any()
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.iter().any(|ty| range_of(ty).is_some() || multirange_of(ty).is_some()) {
            return Err(no_such_function(self.name(), given));
        }
        self.inner.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field(&self, given: &[FieldRef]) -> Result<FieldRef> {
        let plain = self.inner.return_field(given)?;
        Ok(match given.first().map(|field| type_of(field)) {
            Some(ty @ (Type::Bpchar(_) | Type::Citext)) => Arc::new(field(plain.name(), &ty, true)),
            _ => plain,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match is_ours(&args) {
            true if is_of_numbers(&args) => Ok(Box::new(self.kept::<Numeric>(&args)?)),
            true if is_caseless(&args) => Ok(Box::new(self.kept::<Caseless>(&args)?)),
            true if is_of_arrays(&args) => Ok(Box::new(self.kept::<KeyedArray>(&args)?)),
            true => Ok(Box::new(self.kept::<IntervalMonthDayNano>(&args)?)),
            false => self.inner.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_ours(&args) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_field.data_type() {
            DataType::Float32 => Ok(of_floats::<Float32Type>(self.greatest, f32::NEG_INFINITY, f32::NAN)),
            DataType::Float64 => Ok(of_floats::<Float64Type>(self.greatest, f64::NEG_INFINITY, f64::NAN)),
            _ => self.inner.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match is_ours(&args) {
            true if is_of_numbers(&args) => Ok(Box::new(Frame::new(Anew(self.kept::<Numeric>(&args)?)))),
            true if is_caseless(&args) => Ok(Box::new(Frame::new(Anew(self.kept::<Caseless>(&args)?)))),
            true if is_of_arrays(&args) => Ok(Box::new(Frame::new(Anew(self.kept::<KeyedArray>(&args)?)))),
            true => Ok(Box::new(Frame::new(Anew(self.kept::<IntervalMonthDayNano>(&args)?)))),
            false => self.inner.create_sliding_accumulator(args),
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// The extreme float of each group. DataFusion's begins with the greatest finite float, which is less than an infinity and
/// NaN; to PostgreSQL, NaN is the greatest of all.
fn of_floats<T>(greatest: Ordering, least_float: T::Native, nan: T::Native) -> Box<dyn GroupsAccumulator>
where
    T: ArrowPrimitiveType + Send,
    T::Native: PartialOrd,
{
    #[expect(clippy::eq_op, reason = "NaN alone is not equal to itself")]
    let is_less = |one: T::Native, other: T::Native| one < other || other != other && one == one;
    let keep = move |kept: &mut T::Native, new: T::Native| {
        let better = if greatest == Ordering::Less { is_less(new, *kept) } else { is_less(*kept, new) };
        if better {
            *kept = new;
        }
    };
    let first = if greatest == Ordering::Less { nan } else { least_float };
    Box::new(PrimitiveGroupsAccumulator::<T, _>::new(&T::DATA_TYPE, keep).with_starting_value(first))
}

/// A value with an order of its own here.
trait Ordered: Read + Clone + 'static {
    fn order(&self, other: &Self) -> Ordering;

    fn scalar(&self) -> Result<ScalarValue>;
}

/// Numbers that show their own digits.
impl Ordered for Numeric {
    fn order(&self, other: &Numeric) -> Ordering {
        self.compare(other)
    }

    fn scalar(&self) -> Result<ScalarValue> {
        Ok(decimal::scalar(Some(self)))
    }
}

/// By their keys.
impl Ordered for Caseless {
    fn order(&self, other: &Caseless) -> Ordering {
        self.key.cmp(&other.key)
    }

    fn scalar(&self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(self.text.clone())))
    }
}

impl Read for IntervalMonthDayNano {
    fn read(column: &ArrayRef, values: &mut VecDeque<IntervalMonthDayNano>) -> Result<()> {
        values.extend(column.as_primitive::<IntervalMonthDayNanoType>().iter().flatten());
        Ok(())
    }
}

/// By their lengths.
impl Ordered for IntervalMonthDayNano {
    fn order(&self, other: &IntervalMonthDayNano) -> Ordering {
        nanoseconds_of(*self).cmp(&nanoseconds_of(*other))
    }

    fn scalar(&self) -> Result<ScalarValue> {
        Ok(ScalarValue::IntervalMonthDayNano(Some(*self)))
    }
}

/// An array, as a column of one row, with its key.
#[derive(Clone, Debug)]
struct KeyedArray {
    key: Vec<u8>,
    cell: ArrayRef,
}

impl Read for KeyedArray {
    fn read(column: &ArrayRef, values: &mut VecDeque<KeyedArray>) -> Result<()> {
        let ty = type_of_data_type(column.data_type());
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            let value = value_at(column, row, &ty).map_err(external)?;
            values.push_back(KeyedArray { key: sort_keys::array(&value), cell: column.slice(row, 1) });
        }
        Ok(())
    }
}

impl Ordered for KeyedArray {
    fn order(&self, other: &KeyedArray) -> Ordering {
        self.key.cmp(&other.key)
    }

    fn scalar(&self) -> Result<ScalarValue> {
        only_cell(&self.cell).map_err(external)
    }
}

/// The one that is looked for; of equal ones the first.
#[derive(Clone, Debug)]
struct Kept<T> {
    greatest: Ordering,
    /// The answer while there is none.
    null: ScalarValue,
    value: Option<T>,
}

impl<T: Ordered> Gather for Kept<T> {
    type Value = T;

    fn add(&mut self, value: &T) -> Result<()> {
        if self.value.as_ref().is_none_or(|kept| value.order(kept) == self.greatest) {
            self.value = Some(value.clone());
        }
        Ok(())
    }

    fn answer(&self) -> Result<ScalarValue> {
        self.value.as_ref().map_or_else(|| Ok(self.null.clone()), T::scalar)
    }
}

impl<T: Ordered> Accumulator for Kept<T> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let mut values = VecDeque::new();
        T::read(&columns[0], &mut values)?;
        values.iter().try_for_each(|value| self.add(value))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
