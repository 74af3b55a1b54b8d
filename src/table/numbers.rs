//! Numbers in conditions, as they were before they were made comparable.
//!
//! A number that shows its own digits is compared by its key (`functions::sort_keys`), and one of few digits beside one of
//! more is widened first:
//!
//! ```text
//!   price = 1.50                 cast(price as numeric(12, 4)) = 1.5000     price beside 1.5000
//!   price < $1                   numeric_sort_key(price) < key of $1        price beside $1, read back from its key
//! ```
//!
//! Indexes know the columns alone, and compare numbers of any digits.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use crate::codec::key;
use crate::error::{Error, Result};
use crate::functions::{cast, sort_keys};
use crate::table::predicate::{column_of, constant_type};
use crate::table::provider::TableSourceProvider;
use crate::types::Value;
use crate::types::arrow::{data_type, is_numeric};

/// The column of integers that stands below or above a numeric.
pub fn integers_beside(subject: &Expr, value: &Expr, provider: &TableSourceProvider) -> Option<usize> {
    let Expr::Cast(cast) = subject else { return None };
    let column = column_of(&cast.expr, provider)?;
    let is_integer = data_type(&provider.definition().stored_column(column)?.ty).is_signed_integer();
    (is_integer && is_numeric(cast.field.data_type()) && is_numeric(&constant_type(value)?)).then_some(column)
}

/// What a number is compared by its key of, as it was before it was widened.
pub fn keyed_number(subject: &Expr) -> Option<&Expr> {
    match subject {
        Expr::ScalarFunction(call) if call.func.name() == sort_keys::NUMBER => {
            call.args.first().map(before_numbers)
        }
        _ => None,
    }
}

/// A number as it was before it became one that shows its own digits.
pub fn before_numbers(expr: &Expr) -> &Expr {
    match expr {
        Expr::ScalarFunction(call) if cast::keeps_numbers(&call.func) => {
            call.args.first().map_or(expr, before_numbers)
        }
        // Of integers, to what has room for all of them.
        Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Decimal128(5 | 10 | 19, 0)) => {
            &cast.expr
        }
        expr => expr,
    }
}

/// What is cast to a numeric that holds all of its values, to be compared with one of more digits.
pub fn before_widening<'e>(subject: &'e Expr, provider: &TableSourceProvider) -> &'e Expr {
    let Expr::Cast(cast) = subject else { return subject };
    let given =
        column_of(&cast.expr, provider).and_then(|column| provider.definition().stored_column(column));
    match (given.map(|column| data_type(&column.ty)), cast.field.data_type()) {
        (Some(DataType::Decimal128(_, given)), DataType::Decimal128(_, kept)) if given <= *kept => &cast.expr,
        _ => subject,
    }
}

/// The number of a key; NULL of NULL.
pub fn of_key(key: &ScalarValue) -> Result<Value> {
    match key {
        ScalarValue::Binary(Some(key)) => {
            let number = key::number_of(key);
            Ok(Value::Numeric(number.ok_or_else(|| Error::internal("bytes that are no key of a number"))?))
        }
        _ => Ok(Value::Null),
    }
}
