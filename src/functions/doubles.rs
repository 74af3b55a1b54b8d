//! `hither_double(x)`: a number as double precision, for functions of such that are DataFusion's.
//!
//! DataFusion converts decimals to floats by itself, but not numbers that show their own digits. `sql::spellings` puts it
//! around the arguments of functions that PostgreSQL has for double precision alone (`sin`, `corr`); once the types of a
//! query are known it is gone from those that need nothing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::decimal::{self, Numbers};
use crate::functions::scalar::{answer, no_such_function, rows_of};

/// What it is called.
pub const NAME: &str = "hither_double";

/// Functions around whose arguments it is put.
pub const OF_DOUBLES: &[&str] = &[
    "asinh",
    "atan",
    "atan2",
    "cbrt",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "radians",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
];

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    vec![Arc::new(ScalarUDF::from(Double { signature }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Double {
    signature: Signature,
}

impl ScalarUDFImpl for Double {
    fn name(&self) -> &str {
        NAME
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(Expr::to_string).unwrap_or_default())
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|arg| arg.schema_name().to_string()).unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [number] if number.is_numeric() || number.is_null() || decimal::is_numeric(number) => {
                Ok(given.to_vec())
            }
            _ => Err(no_such_function(NAME, given)),
        }
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match args.first().map(|arg| info.get_data_type(arg)).transpose()? {
            Some(DataType::Float64) => Ok(ExprSimplifyResult::Simplified(args.swap_remove(0))),
            Some(number) if number.is_numeric() => {
                let cast = Cast::new(Box::new(args.swap_remove(0)), DataType::Float64);
                Ok(ExprSimplifyResult::Simplified(Expr::Cast(cast)))
            }
            _ => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(&args);
        answer(of_numbers(&args.args[0].to_array(rows)?)?, constant)
    }
}

/// Numbers of any type as floats, or arrays of them as arrays of floats.
pub fn of_numbers(column: &ArrayRef) -> Result<ArrayRef> {
    if let Some(list) = column.as_list_opt::<i32>() {
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let items = of_numbers(list.values())?;
        return Ok(Arc::new(ListArray::try_new(item, list.offsets().clone(), items, list.nulls().cloned())?));
    }
    if !decimal::is_numeric(column.data_type()) {
        return Ok(cast(column, &DataType::Float64)?);
    }
    let numbers = Numbers::new(column);
    let double = |row| Ok(numbers.get(row)?.map(|number| number.to_f64()));
    Ok(Arc::new((0..column.len()).map(double).collect::<Result<Float64Array>>()?))
}
