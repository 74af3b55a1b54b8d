//! `array_has`, which is `x = ANY (array)`: DataFusion's, with NULL where only a NULL could make it true.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_nested::array_has;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::scalar::{answer, rows_of};
use crate::functions::{decimal, doubles, sort_keys};
use crate::types::arrow::errors::external;
use crate::types::arrow::type_of_data_type;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    vec![Arc::new(ScalarUDF::from(Membership { inner: array_has::array_has_udf(), signature }))]
}

/// DataFusion's function behind PostgreSQL's NULLs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Membership {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Membership {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The array's elements and the value as one type, as the operator `=` takes them.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [DataType::List(item), value] = given else { return Ok(given.to_vec()) };
        let element = item.data_type();
        if element == value || value.is_null() {
            return Ok(given.to_vec());
        }
        let Some(common) = common(element, value) else {
            let [value, element] = [value, element].map(|ty| type_of_data_type(ty).bare());
            let message = format!("operator does not exist: {value} = {element}");
            return Err(external(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            )));
        };
        // As they are, whichever types they have: Arrow casts from and to no numbers of ours.
        if common == decimal::any() || holds_numbers(&given[0]) || holds_numbers(value) {
            return Ok(given.to_vec());
        }
        let list = DataType::List(Arc::new(item.as_ref().clone().with_data_type(common.clone())));
        Ok(vec![list, common])
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // It makes a list to compare with of a constant array, by the bytes of what is in it.
        let types: Vec<DataType> = args.iter().map(|arg| info.get_data_type(arg)).collect::<Result<_>>()?;
        if let [array, value] = types.as_slice()
            && settled(array, value).is_some()
        {
            return Ok(ExprSimplifyResult::Original(args));
        }
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(&args);
        let args = by_keys(args)?;
        let (array, value) = (args.args[0].to_array(1)?, args.args[1].to_array(1)?);
        let has_nulls = |array: &ArrayRef| match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().values().logical_null_count() > 0,
            _ => false,
        };
        if !has_nulls(&array) && value.logical_null_count() == 0 {
            return self.inner.invoke_with_args(args);
        }
        let (arrays, values) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
        let found = self.inner.invoke_with_args(args)?.to_array(rows)?;
        if !matches!(arrays.data_type(), DataType::List(_)) {
            return answer(found, constant);
        }
        answer(Arc::new(with_nulls(&arrays, &values, found.as_boolean())), constant)
    }
}

/// Whether numbers that show their own digits are in it, or are it.
fn holds_numbers(ty: &DataType) -> bool {
    match ty {
        DataType::List(item) => *item.data_type() == decimal::any(),
        ty => *ty == decimal::any(),
    }
}

/// In what an array's elements and a value are compared where equal ones may differ: their keys, for `1.0` is `1` and a
/// month 30 days, or double precision.
fn settled(array: &DataType, value: &DataType) -> Option<fn(&ArrayRef) -> Result<ArrayRef>> {
    let DataType::List(item) = array else { return None };
    if [item.data_type(), value].into_iter().all(|ty| sort_keys::are_needed(ty) && !decimal::is_numeric(ty)) {
        return Some(sort_keys::of_elements);
    }
    if item.data_type() == value && value.is_floating() {
        return Some(sort_keys::of_elements);
    }
    let common = common(item.data_type(), value)?;
    if common == decimal::any() {
        return Some(sort_keys::of_numbers);
    }
    (holds_numbers(array) || holds_numbers(value)).then_some(as_doubles)
}

fn as_doubles(column: &ArrayRef) -> Result<ArrayRef> {
    sort_keys::of_elements(&doubles::of_numbers(column)?)
}

fn by_keys(mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
    let [array, value] = args.args.as_slice() else { return Ok(args) };
    let Some(settle) = settled(&array.data_type(), &value.data_type()) else { return Ok(args) };
    for (arg, field) in args.args.iter_mut().zip(&mut args.arg_fields) {
        *arg = match &*arg {
            ColumnarValue::Array(array) => ColumnarValue::Array(settle(array)?),
            ColumnarValue::Scalar(scalar) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&settle(&scalar.to_array()?)?, 0)?)
            }
        };
        *field = Arc::new(Field::new(field.name(), arg.data_type(), true));
    }
    Ok(args)
}

/// The type in which an element and a value are compared.
fn common(element: &DataType, value: &DataType) -> Option<DataType> {
    // Not every integer is a real.
    let one_is_float = (element.is_floating() || value.is_floating()) && element != value;
    let is_number = |ty: &DataType| ty.is_numeric() || decimal::is_numeric(ty);
    if one_is_float && is_number(element) && is_number(value) {
        return Some(DataType::Float64);
    }
    if !decimal::is_numeric(element) && !decimal::is_numeric(value) {
        return comparison_coercion(element, value);
    }
    let exact = |ty: &DataType| decimal::of_integer(ty).unwrap_or_else(|| ty.clone());
    decimal::mixed(&exact(element), &exact(value))
}

fn with_nulls(arrays: &ArrayRef, values: &ArrayRef, found: &BooleanArray) -> BooleanArray {
    let arrays = arrays.as_list::<i32>();
    let nulls = values.logical_nulls();
    let mut answers = BooleanBuilder::with_capacity(found.len());
    for row in 0..found.len() {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        answers.append_option(match () {
            _ if arrays.is_null(row) => None,
            _ if arrays.value_length(row) == 0 => Some(false),
            _ if is_null => None,
            _ if found.is_valid(row) && found.value(row) => Some(true),
            _ if arrays.value(row).logical_null_count() > 0 => None,
            _ => Some(false),
        });
    }
    answers.finish()
}
