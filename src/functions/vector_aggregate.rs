//! `avg` and `sum` of vectors and exact numbers, under the names DataFusion's numeric aggregates already have.
//!
//! SQL finds an aggregate by name before the types of its arguments are known, so each of these stands in front
//! of DataFusion's: it answers for vectors and passes everything else on.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::{as_int64_array, as_list_array};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::{average, sum};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, Volatility,
};

use crate::distance::Element;
use crate::error::{Error, SqlState};
use crate::functions::cells::{Output, element_of, read, type_of_element};
use crate::functions::frame::{FloatSum, Frame, is_float};
use crate::functions::integer_sum::{Widened, is_narrow};
use crate::functions::interval_sum::{self, IntervalSum, is_interval};
use crate::functions::money::{MoneySum, is_money};
use crate::functions::real_sum::{RealSum, is_real};
use crate::functions::scalar::no_such_function;
use crate::functions::{average as exact, decimal};
use crate::types::arrow::data_type;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::is_sparsevec;
use crate::types::f16;
use crate::types::vector::Kind;

pub fn functions() -> Vec<Arc<AggregateUDF>> {
    let in_front = |inner: Arc<AggregateUDF>, average: bool| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(VectorAggregate { inner, signature, average }))
    };
    vec![in_front(average::avg_udaf(), true), in_front(sum::sum_udaf(), false)]
}

/// DataFusion's aggregate, with vectors and PostgreSQL's result types added.
#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorAggregate {
    inner: Arc<AggregateUDF>,
    signature: Signature,
    average: bool,
}

/// What the vectors of an Arrow type are made of, if they are of numbers.
fn numbers(ty: Option<&DataType>) -> Option<Element> {
    ty.and_then(element_of).filter(|element| matches!(element, Element::F32 | Element::F16))
}

fn is_vector(ty: Option<&DataType>) -> bool {
    numbers(ty).is_some()
}

fn vectors_of(args: &AccumulatorArgs) -> Option<Element> {
    numbers(args.expr_fields.first().map(|field| field.data_type()))
}

impl VectorAggregate {
    /// Whether it is a sum of integers that are narrower than the sum.
    fn is_narrow_sum(&self, input: Option<&DataType>) -> bool {
        !self.average && input.is_some_and(is_narrow)
    }

    fn is_narrow(&self, args: &AccumulatorArgs) -> bool {
        self.is_narrow_sum(args.expr_fields.first().map(|field| field.data_type()))
    }

    fn is_real_sum(&self, input: Option<&DataType>) -> bool {
        !self.average && input.is_some_and(is_real)
    }

    fn is_money_sum(&self, args: &AccumulatorArgs) -> bool {
        !self.average && args.expr_fields.first().is_some_and(|field| is_money(field.data_type()))
    }

    fn is_interval_sum(&self, args: &AccumulatorArgs) -> bool {
        args.expr_fields.first().is_some_and(|field| is_interval(field.data_type()))
    }

    /// Whether it is an average of exact numbers, or a sum of such that DataFusion's has not the digits for.
    fn is_exact(&self, input: Option<&DataType>) -> bool {
        input.is_some_and(if self.average { exact::is_exact } else { exact::is_long_sum })
    }

    fn is_exact_of(&self, args: &AccumulatorArgs) -> bool {
        self.is_exact(args.expr_fields.first().map(|field| field.data_type()))
    }
}

/// The types that DataFusion's aggregate takes arguments of these types as.
pub(super) fn coerced(inner: &AggregateUDF, given: &[DataType]) -> Result<Vec<DataType>> {
    let fields: Vec<FieldRef> = given.iter().map(|ty| Arc::new(Field::new("", ty.clone(), true))).collect();
    let coerced = fields_with_udf(&fields, inner)?;
    Ok(coerced.iter().map(|field| field.data_type().clone()).collect())
}

impl AggregateUDFImpl for VectorAggregate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let is_money = given.first().is_some_and(is_money);
        if given.first().is_some_and(is_sparsevec) || is_money && self.average {
            return Err(no_such_function(self.name(), given));
        }
        if is_money && given.len() == 1 {
            return Ok(given.to_vec());
        }
        if is_vector(given.first()) && given.len() == 1 {
            return Ok(given.to_vec());
        }
        if given.len() == 1 && self.is_exact(given.first()) {
            return Ok(given.to_vec());
        }
        if given.len() == 1 && is_interval(&given[0]) {
            return Ok(given.to_vec());
        }
        if given.len() == 1 && self.is_real_sum(given.first()) {
            return Ok(given.to_vec());
        }
        if given.len() == 1 && self.is_narrow_sum(given.first()) {
            return Ok(given.to_vec());
        }
        // The sum of bigint is numeric.
        let exact = |ty: &DataType| match ty {
            DataType::Int64 if !self.average => decimal::of_integer(ty).unwrap_or(DataType::Int64),
            ty => ty.clone(),
        };
        let given: Vec<DataType> = given.iter().map(exact).collect();
        coerced(&self.inner, &given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        if let Some(element) = numbers(given.first()) {
            return Ok(data_type(&type_of_element(element)));
        }
        match given {
            [numbers] if self.is_exact(Some(numbers)) => Ok(decimal::any()),
            [real] if self.is_real_sum(Some(real)) => Ok(DataType::Float32),
            [money] if is_money(money) => Ok(money.clone()),
            [intervals] if is_interval(intervals) => Ok(intervals.clone()),
            [numbers] if self.is_narrow_sum(Some(numbers)) => Ok(DataType::Int64),
            given => self.inner.return_type(given),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if self.is_exact_of(&args) {
            return Ok(exact::accumulator(&args, self.average));
        }
        if self.is_real_sum(args.expr_fields.first().map(|field| field.data_type())) {
            return Ok(Box::new(RealSum::new(args.is_distinct)));
        }
        if self.is_money_sum(&args) {
            return Ok(Box::new(MoneySum::new(args.is_distinct)));
        }
        if self.is_interval_sum(&args) {
            if args.is_distinct {
                return Err(external(Error::unsupported("DISTINCT in a sum or an average of intervals")));
            }
            return Ok(Box::new(IntervalSum::new(self.average)));
        }
        let Some(element) = vectors_of(&args) else {
            let narrow = self.is_narrow(&args);
            let inner = self.inner.accumulator(args)?;
            return Ok(if narrow { Box::new(Widened(inner)) } else { inner });
        };
        if args.is_distinct {
            return Err(external(Error::unsupported("DISTINCT in an aggregate of vectors")));
        }
        Ok(Box::new(VectorSums { sums: Vec::new(), count: 0, average: self.average, element }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map(|field| field.data_type());
        if self.is_exact(input) {
            return Ok(exact::state_fields(&args));
        }
        if input.is_some_and(is_interval) {
            return Ok(interval_sum::state_fields(&args));
        }
        if self.is_real_sum(input) {
            let ty = RealSum::state_type(args.is_distinct);
            let sum = Field::new(format_state_name(args.name, "sum"), ty, true);
            return Ok(vec![Arc::new(sum)]);
        }
        if input.is_some_and(is_money) {
            let ty = MoneySum::state_type(args.is_distinct);
            return Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), ty, true))]);
        }
        if !is_vector(input) {
            return self.inner.state_fields(args);
        }
        let sums = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
        Ok(vec![
            Arc::new(Field::new(format_state_name(args.name, "sums"), sums, true)),
            Arc::new(Field::new(format_state_name(args.name, "count"), DataType::Int64, true)),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        vectors_of(&args).is_none()
            && !self.is_exact_of(&args)
            && !self.is_interval_sum(&args)
            && !self.is_money_sum(&args)
            && !self.is_real_sum(args.expr_fields.first().map(|field| field.data_type()))
            && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let narrow = self.is_narrow(&args);
        let inner = self.inner.create_groups_accumulator(args)?;
        Ok(if narrow { Box::new(Widened(inner)) } else { inner })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let input = args.expr_fields.first().map(|field| field.data_type());
        if input.is_some_and(is_float) && !args.is_distinct {
            let returns = args.return_field.data_type().clone();
            return Ok(Box::new(Frame::new(FloatSum { average: self.average, returns })));
        }
        if self.is_exact_of(&args) {
            return Ok(exact::sliding_accumulator(&args, self.average));
        }
        match vectors_of(&args).is_some() || self.is_interval_sum(&args) || self.is_money_sum(&args) {
            true => self.accumulator(args),
            false => {
                let narrow = self.is_narrow(&args);
                let inner = self.inner.create_sliding_accumulator(args)?;
                Ok(if narrow { Box::new(Widened(inner)) } else { inner })
            }
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        argument: &Expr,
        op: Operator,
        literal: &Expr,
        argument_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.inner.inner().simplify_expr_op_literal(function, argument, op, literal, argument_is_left)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        match is_vector(Some(data_type)) {
            true => SetMonotonicity::NotMonotonic,
            false => self.inner.inner().set_monotonicity(data_type),
        }
    }
}

/// Sums: those of `avg` in f64 and those of `sum` in the vectors' own elements, as pgvector keeps them.
#[derive(Debug)]
struct VectorSums {
    sums: Vec<f64>,
    count: i64,
    average: bool,
    element: Element,
}

impl VectorSums {
    fn kind(&self) -> Kind {
        if self.element == Element::F16 { Kind::Halfvec } else { Kind::Vector }
    }

    fn add(&mut self, vector: impl ExactSizeIterator<Item = f64>, count: i64) -> Result<()> {
        if self.count == 0 {
            // What -0 is added to stays what it is: the sum of -0 alone is -0.
            self.sums = vec![-0.0; vector.len()];
        } else if self.sums.len() != vector.len() {
            let error = match self.average {
                true => Error::new(
                    SqlState::DATA_EXCEPTION,
                    format!("expected {} dimensions, not {}", self.sums.len(), vector.len()),
                ),
                false => return self.kind().check_same(self.sums.len(), vector.len()).map_err(external),
            };
            return Err(external(error));
        }
        let round: fn(f64) -> f64 = match (self.average, self.element) {
            (true, _) => |sum| sum,
            (false, Element::F16) => |sum| f16::from_f32(sum as f32).to_f64(),
            (false, _) => |sum| f64::from(sum as f32),
        };
        self.sums.iter_mut().zip(vector).for_each(|(sum, component)| *sum = round(*sum + component));
        self.count += count;
        Ok(())
    }
}

impl Accumulator for VectorSums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(vectors) = values.first() else {
            return Err(DataFusionError::Internal("an aggregate of vectors got nothing".into()));
        };
        for row in (0..vectors.len()).filter(|&row| !vectors.is_null(row)) {
            let cell = read(vectors, row)?;
            self.add(cell.numbers().iter().map(|&number| f64::from(number)), 1)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = (as_list_array(&states[0])?, as_int64_array(&states[1])?);
        for row in 0..counts.len() {
            if counts.is_null(row) || counts.value(row) == 0 {
                continue;
            }
            let sums = sums.value(row);
            let sums = datafusion::common::cast::as_float64_array(&sums)?;
            self.add(sums.values().iter().copied(), counts.value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sums: Vec<ScalarValue> = self.sums.iter().map(|sum| ScalarValue::Float64(Some(*sum))).collect();
        let sums = ScalarValue::List(ScalarValue::new_list_nullable(&sums, &DataType::Float64));
        Ok(vec![sums, ScalarValue::Int64(Some(self.count))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut cell = Output::new(self.element, 1);
        if self.count == 0 {
            cell.append_null();
            return crate::types::arrow::only_cell(&cell.finish()).map_err(external);
        }
        let divisor = if self.average { self.count as f64 } else { 1.0 };
        let vector: Vec<f32> = self.sums.iter().map(|sum| (sum / divisor) as f32).collect();
        cell.append(&vector).map_err(external)?;
        crate::types::arrow::only_cell(&cell.finish()).map_err(external)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<f64>()
    }
}
