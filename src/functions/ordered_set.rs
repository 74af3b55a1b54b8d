//! Aggregates over sorted values: percentile_cont, percentile_disc and mode.
//!
//! ```text
//!   percentile_disc(0.5) WITHIN GROUP (ORDER BY price)    the first price that half of all are not above
//!   percentile_cont(ARRAY[0.25, 0.75]) ...                between the two around, one for each fraction
//!   mode() WITHIN GROUP (ORDER BY category)               the most frequent, the first in order of equals
//! ```
//!
//! The values are kept as they come and sorted at the end. The planner puts what is ordered by first among the
//! arguments.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, concat, filter, is_not_null, sort, sort_to_indices, take};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use datafusion::common::cast::as_list_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::error::{Error, SqlState};
use crate::functions::scalar::no_such_function;
use crate::functions::{decimal, doubles, intervals, sort_keys};
use crate::types::arrow::errors::{external, from_arrow};
use crate::types::arrow::{field, interval_of, to_scalar, type_of};
use crate::types::{Type, Value};

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let function = |kind: Kind| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(OrderedSet { kind, signature }))
    };
    vec![function(Kind::Continuous), function(Kind::Discrete), function(Kind::Mode)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Continuous,
    Discrete,
    Mode,
}

impl Kind {
    /// What values of a type are kept as: between them there are floats alone.
    fn item(self, value: &DataType) -> DataType {
        match self {
            Kind::Continuous if *value == decimal::any() => DataType::Float64,
            _ => value.clone(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Continuous => "percentile_cont",
            Kind::Discrete => "percentile_disc",
            Kind::Mode => "mode",
        }
    }

    fn arguments(self) -> usize {
        if self == Kind::Mode { 1 } else { 2 }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderedSet {
    kind: Kind,
    signature: Signature,
}

fn within_group_required(kind: Kind) -> Error {
    let message = format!("WITHIN GROUP is required for ordered-set aggregate {}", kind.name());
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
}

impl AggregateUDFImpl for OrderedSet {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.len() + 1 == self.kind.arguments() {
            return Err(external(within_group_required(self.kind)));
        }
        let is_number =
            |ty: &DataType| ty.is_integer() || ty.is_floating() || ty.is_null() || decimal::is_numeric(ty);
        let fraction = |ty: &DataType| match ty {
            // Numbers of ours become floats by us.
            DataType::List(item) if *item.data_type() == decimal::any() => Some(ty.clone()),
            DataType::List(item) if is_number(item.data_type()) => Some(fractions()),
            ty if *ty == decimal::any() => Some(ty.clone()),
            ty if is_number(ty) => Some(DataType::Float64),
            _ => None,
        };
        let coerced = match (self.kind, given) {
            (Kind::Mode, [value]) => Some(vec![value.clone()]),
            (Kind::Discrete, [value, given]) => fraction(given).map(|fraction| vec![value.clone(), fraction]),
            (Kind::Continuous, [value @ DataType::Interval(_), given]) => {
                fraction(given).map(|fraction| vec![value.clone(), fraction])
            }
            (Kind::Continuous, [value, given]) if is_number(value) => {
                let value = if *value == decimal::any() { value.clone() } else { DataType::Float64 };
                fraction(given).map(|fraction| vec![value, fraction])
            }
            _ => None,
        };
        coerced.ok_or_else(|| no_such_function(self.name(), given))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let item = self.kind.item(&given[0]);
        Ok(match given.get(1) {
            Some(DataType::List(_)) => DataType::List(Arc::new(Field::new_list_field(item, true))),
            _ => item,
        })
    }

    fn return_field(&self, given: &[FieldRef]) -> Result<FieldRef> {
        let item = match self.kind.item(given[0].data_type()) {
            DataType::Float64 => Type::Float8,
            _ => type_of(&given[0]),
        };
        let ty = match given.get(1).map(|field| field.data_type()) {
            Some(DataType::List(_)) => Type::Array(Box::new(item)),
            _ => item,
        };
        Ok(Arc::new(field(self.name(), &ty, true)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = self.kind.item(args.input_fields[0].data_type());
        let values = DataType::List(Arc::new(Field::new_list_field(item, true)));
        let mut fields = vec![Arc::new(Field::new(format_state_name(args.name, "values"), values, true))];
        if let Some(fraction) = args.input_fields.get(1) {
            let name = format_state_name(args.name, "fraction");
            let ty = match fraction.data_type() {
                DataType::List(_) => fractions(),
                _ => DataType::Float64,
            };
            fields.push(Arc::new(Field::new(name, ty, true)));
        }
        Ok(fields)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some(order) = args.order_bys.first() else {
            return Err(external(within_group_required(self.kind)));
        };
        let descending = order.options.descending;
        let item = self.kind.item(args.expr_fields[0].data_type());
        let returns = args.return_field.data_type().clone();
        Ok(Box::new(Sorted {
            kind: self.kind,
            descending,
            item,
            returns,
            values: Vec::new(),
            fraction: None,
        }))
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// An array of fractions.
fn fractions() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
}

#[derive(Debug)]
struct Sorted {
    kind: Kind,
    descending: bool,
    item: DataType,
    returns: DataType,
    /// Without NULLs, as they came.
    values: Vec<ArrayRef>,
    /// The same in every row.
    fraction: Option<ScalarValue>,
}

impl Accumulator for Sorted {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        if let (None, Some(fractions)) = (&self.fraction, columns.get(1))
            && self.kind != Kind::Mode
            && !fractions.is_empty()
        {
            self.fraction = Some(ScalarValue::try_from_array(&doubles::of_numbers(fractions)?, 0)?);
        }
        match self.item {
            DataType::Float64 => self.add(&doubles::of_numbers(&columns[0])?),
            _ => self.add(&columns[0]),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in as_list_array(&states[0])?.iter().flatten() {
            self.add(&values)?;
        }
        if let (None, Some(fractions)) = (&self.fraction, states.get(1)) {
            for row in 0..fractions.len() {
                if fractions.is_valid(row) {
                    self.fraction = Some(ScalarValue::try_from_array(fractions, row)?);
                    break;
                }
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let all = self.all()?;
        let values = ScalarValue::List(Arc::new(
            datafusion::common::utils::SingleRowListArrayBuilder::new(all).build_list_array(),
        ));
        let mut state = vec![values];
        if self.kind != Kind::Mode {
            state.push(match &self.fraction {
                Some(fraction) => fraction.clone(),
                None if matches!(self.returns, DataType::List(_)) => ScalarValue::try_from(&fractions())?,
                None => ScalarValue::Float64(None),
            });
        }
        Ok(state)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let options = SortOptions { descending: self.descending, nulls_first: false };
        let all = self.all()?;
        let sorted = match keys_of(&all)? {
            Some(keys) => take(&all, &sort_to_indices(&keys, Some(options), None)?, None)?,
            None => sort(&all, Some(options)).map_err(|error| external(from_arrow(error)))?,
        };
        if sorted.is_empty() {
            return ScalarValue::try_from(&self.returns);
        }
        match (self.kind, &self.fraction) {
            (Kind::Mode, _) => mode(&sorted),
            (_, None) => ScalarValue::try_from(&self.returns),
            (_, Some(ScalarValue::List(list))) => {
                if list.is_null(0) {
                    return ScalarValue::try_from(&self.returns);
                }
                let fractions = list.value(0);
                let fractions = fractions.as_primitive::<Float64Type>();
                let found = fractions.iter().map(|fraction| self.percentile(fraction, &sorted));
                let found = found.collect::<Result<Vec<_>>>()?;
                Ok(ScalarValue::List(ScalarValue::new_list_nullable(&found, &self.item)))
            }
            (_, Some(ScalarValue::Float64(fraction))) => self.percentile(*fraction, &sorted),
            (_, Some(_)) => ScalarValue::try_from(&self.returns),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.iter().map(|values| values.get_array_memory_size()).sum::<usize>()
    }
}

impl Sorted {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        let values = match values.null_count() {
            0 => Arc::clone(values),
            _ => filter(values, &is_not_null(values)?)?,
        };
        if !values.is_empty() && !values.data_type().is_null() {
            self.values.push(values);
        }
        Ok(())
    }

    fn all(&self) -> Result<ArrayRef> {
        if self.values.is_empty() {
            return Ok(new_empty_array(&self.item));
        }
        let parts: Vec<&dyn Array> = self.values.iter().map(|values| values.as_ref()).collect();
        Ok(concat(&parts)?)
    }

    /// The value at a fraction of all, which are sorted and not none.
    fn percentile(&self, fraction: Option<f64>, sorted: &ArrayRef) -> Result<ScalarValue> {
        let Some(fraction) = fraction else { return ScalarValue::try_from(&self.item) };
        if !(0.0..=1.0).contains(&fraction) {
            let shown = crate::types::text::to_string(&crate::types::Value::Float8(fraction));
            let message = format!("percentile value {shown} is not between 0 and 1");
            return Err(external(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)));
        }
        let count = sorted.len();
        if self.kind == Kind::Discrete {
            let place = (fraction * count as f64).ceil().max(1.0) as usize;
            return ScalarValue::try_from_array(sorted, place.min(count) - 1);
        }
        let place = fraction * (count - 1) as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        let part = place - place.floor();
        if let Some(intervals) = sorted.as_primitive_opt::<IntervalMonthDayNanoType>() {
            return between_intervals(intervals.value(below), intervals.value(above), part);
        }
        let values = sorted.as_primitive::<Float64Type>();
        let (low, high) = (values.value(below), values.value(above));
        Ok(ScalarValue::Float64(Some(if low == high { low } else { low + part * (high - low) })))
    }
}

/// The interval so far between two.
fn between_intervals(
    low: IntervalMonthDayNano,
    high: IntervalMonthDayNano,
    part: f64,
) -> Result<ScalarValue> {
    let (low, high) = (interval_of(low), interval_of(high));
    let found = if low == high {
        Ok(low)
    } else {
        let more = intervals::difference(high, low).and_then(|whole| intervals::scaled(whole, part));
        more.and_then(|more| match more {
            Value::Interval(more) => intervals::sum(low, more),
            other => Err(Error::internal(format!("an interval times a number is {other:?}"))),
        })
    };
    to_scalar(&Value::Interval(found.map_err(external)?), &Type::Interval(None)).map_err(external)
}

/// What values are ordered and told apart by, where it is not their bytes.
fn keys_of(values: &ArrayRef) -> Result<Option<ArrayRef>> {
    if let Some(intervals) = values.as_primitive_opt::<IntervalMonthDayNanoType>() {
        return Ok(Some(sort_keys::of_intervals(intervals)));
    }
    (*values.data_type() == decimal::any()).then(|| sort_keys::of_numbers(values)).transpose()
}

/// The value that comes most often.
fn mode(sorted: &ArrayRef) -> Result<ScalarValue> {
    let count = sorted.len();
    let keys = keys_of(sorted)?;
    let compared = keys.as_ref().unwrap_or(sorted);
    // Whether each value is the one before.
    let same = match count {
        1 => None,
        _ => Some(not_distinct(&compared.slice(1, count - 1), &compared.slice(0, count - 1))),
    };
    let same = match same {
        Some(Ok(same)) => Some(same),
        Some(Err(_)) | None => None,
    };
    let is_same = |row: usize| -> Result<bool> {
        match &same {
            Some(same) => Ok(same.value(row - 1)),
            // Lists and other values that have no kernel.
            None => {
                Ok(ScalarValue::try_from_array(sorted, row)? == ScalarValue::try_from_array(sorted, row - 1)?)
            }
        }
    };
    let (mut best, mut best_length, mut start) = (0, 0, 0);
    for row in 1..=count {
        if row < count && is_same(row)? {
            continue;
        }
        if row - start > best_length {
            (best, best_length) = (start, row - start);
        }
        start = row;
    }
    let index = arrow::array::UInt64Array::from(vec![best as u64]);
    ScalarValue::try_from_array(&take(sorted, &index, None)?, 0)
}
