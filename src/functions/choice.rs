//! `coalesce`, `greatest`, `least` and `nullif`, planned before the types of their arguments agree.
//!
//! A text literal among their arguments takes the type of the others, which `planner::common` decides once the whole
//! query is planned. Until then these functions take whatever they are given and are of the type of what has one;
//! DataFusion's of the same names would refuse a text beside a date at once.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, IntervalMonthDayNanoArray};
use arrow::compute::kernels::nullif::nullif;
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::Result;
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::try_type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::citext::are_citext;
use crate::functions::dates::nanoseconds_of;
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::functions::{decimal, sort_keys};
use crate::types::Type;
use crate::types::arrow::metadata;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let choice = |inner: Arc<ScalarUDF>| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Choice { inner, signature }))
    };
    [core::coalesce(), core::greatest(), core::least(), core::nullif()].into_iter().map(choice).collect()
}

/// DataFusion's function behind our rules for types.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Choice {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

/// The type of the arguments that have one: a text may be a literal, which has none yet.
fn common(given: &[DataType]) -> DataType {
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Utf8View);
    let typed: Vec<DataType> = given.iter().filter(|ty| !ty.is_null() && !is_text(ty)).cloned().collect();
    match typed.as_slice() {
        [] if given.iter().any(is_text) => DataType::Utf8,
        [] => DataType::Null,
        [first, rest @ ..] if rest.iter().all(|ty| ty == first) => first.clone(),
        numbers if let Some(common) = common_number(numbers) => common,
        typed => match try_type_union_resolution(typed) {
            Ok(coerced) => coerced[0].clone(),
            Err(_) => typed[0].clone(),
        },
    }
}

/// The type of numbers among which is a numeric: that of the widest float, if there is one.
fn common_number(types: &[DataType]) -> Option<DataType> {
    if !types.iter().any(decimal::is_numeric) {
        return None;
    }
    let floats = types.iter().filter(|ty| ty.is_floating());
    if let Some(float) = floats.max_by_key(|ty| ty.primitive_width()) {
        return Some(float.clone());
    }
    let exact = |ty: &DataType| decimal::of_integer(ty).unwrap_or_else(|| ty.clone());
    types.iter().map(exact).try_fold(exact(&types[0]), |common, ty| decimal::mixed(&common, &ty))
}

impl ScalarUDFImpl for Choice {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let takes = if self.name() == "nullif" { given.len() == 2 } else { !given.is_empty() };
        if !takes {
            return Err(no_such_function(self.name(), given));
        }
        let common = common(given);
        let coerced = |ty: &DataType| match (ty, &common) {
            (DataType::Utf8 | DataType::Utf8View, DataType::Utf8) => DataType::Utf8,
            // Settled later, or refused there.
            (DataType::Utf8 | DataType::Utf8View, _) => ty.clone(),
            (ty, common) if [ty, common].contains(&&decimal::any()) => ty.clone(),
            _ => common.clone(),
        };
        Ok(given.iter().map(coerced).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(common(given))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = self.name() == "nullif" || args.arg_fields.iter().all(|field| field.is_nullable());
        let plain = Field::new(self.name(), common(&given), nullable);
        let noted = are_citext(&args) && *plain.data_type() == DataType::Utf8;
        Ok(Arc::new(if noted { plain.with_metadata(metadata(&Type::Citext)) } else { plain }))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of_intervals = args.args.iter().any(|arg| matches!(arg.data_type(), DataType::Interval(_)));
        let of_keys = args.args.iter().any(|arg| sort_keys::are_needed(&arg.data_type()));
        match self.name() {
            "greatest" | "least" | "nullif" if of_intervals => by_length(self.name(), &args),
            "greatest" | "least" if of_keys => by_key(self.name(), &args),
            "nullif" if args.args[0].data_type().is_floating() => null_if_equal(&args),
            "nullif" if of_keys => null_if_equal_key(&args),
            _ => self.inner.invoke_with_args(args),
        }
    }
}

/// Vectors, documents, arrays and records are compared by their keys.
fn by_key(function: &str, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
    let keys = columns.iter().map(sort_keys::of_values).collect::<Result<Vec<ArrayRef>>>()?;
    let wanted = if function == "greatest" { Ordering::Greater } else { Ordering::Less };
    // Of a row of NULLs the first one.
    let chosen: Vec<(usize, usize)> = (0..rows)
        .map(|row| {
            let key = |place: usize| keys[place].as_binary::<i32>().value(row);
            let given = (0..keys.len()).filter(|place| keys[*place].is_valid(row));
            let best = given.reduce(|kept, new| if key(new).cmp(key(kept)) == wanted { new } else { kept });
            (best.unwrap_or(0), row)
        })
        .collect();
    let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
    answer(interleave(&columns, &chosen)?, constant)
}

/// `nullif` of floats: -0 equals 0, and NaN itself.
fn null_if_equal(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let [first, second] = [0, 1].map(|place| args.args[place].to_array(rows));
    let (first, second) = (first?, second?);
    let as_double = |column: &ArrayRef| cast(column, &DataType::Float64);
    let (left, right) = (as_double(&first)?, as_double(&second)?);
    let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
    let pairs = left.iter().zip(right);
    let equal: BooleanArray = pairs.map(|(a, b)| Some(a? == b? || a?.is_nan() && b?.is_nan())).collect();
    answer(nullif(&first, &equal)?, constant)
}

/// `nullif` of what is compared by keys.
fn null_if_equal_key(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let (first, second) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
    let (left, right) = (sort_keys::of_values(&first)?, sort_keys::of_values(&second)?);
    let pairs = left.as_binary::<i32>().iter().zip(right.as_binary::<i32>());
    let equal: BooleanArray = pairs.map(|(a, b)| Some(a? == b?)).collect();
    answer(nullif(&first, &equal)?, constant)
}

/// Intervals are compared by their length.
fn by_length(function: &str, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let ty = DataType::Interval(IntervalUnit::MonthDayNano);
    let columns = args.args.iter().map(|arg| Ok(cast(&arg.to_array(rows)?, &ty)?));
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let cell = |column: &ArrayRef, row: usize| {
        let column = column.as_primitive::<IntervalMonthDayNanoType>();
        column.is_valid(row).then(|| column.value(row))
    };
    let answer_of = |row: usize| {
        let mut cells = columns.iter().map(|column| cell(column, row));
        if function == "nullif" {
            let (first, second) = (cells.next().flatten(), cells.next().flatten());
            return first.filter(|first| second.map(nanoseconds_of) != Some(nanoseconds_of(*first)));
        }
        let wanted = if function == "greatest" { Ordering::Greater } else { Ordering::Less };
        cells.flatten().reduce(|kept, new| match nanoseconds_of(new).cmp(&nanoseconds_of(kept)) {
            order if order == wanted => new,
            _ => kept,
        })
    };
    let answers: IntervalMonthDayNanoArray = (0..rows).map(answer_of).collect();
    answer(Arc::new(answers), constant)
}
