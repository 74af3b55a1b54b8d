//! What equals a constant, of columns whose values have no keys in a bitmap index: documents, arrays, intervals, bytes.
//! An index that was made for such a column finds it by the bytes that equal values share
//! ([`crate::types::sort_key::of_equals`]).
//!
//! ```text
//!   tags = '{a}'                              the bytes of the constant
//!   jsonb_sort_key(doc) = '\x05...'::bytea    the constant has them already: where equal values may look different, the
//!   interval_key(span) IN ('\x80...', ...)    planner compares keys
//!   interval_eq(span, '1 day')
//! ```

use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::catalog::Column;
use crate::functions::sort_keys;
use crate::index::bitmap::ColumnIndex;
use crate::index::inverted::Question;
use crate::table::predicate::{Constant, column_of, constant_type, evaluate};
use crate::table::provider::TableSourceProvider;
use crate::types::arrow::{from_scalar, type_of_data_type};
use crate::types::sort_key::of_equals;
use crate::types::{Type, Value, citext};

/// A column and what it is equal to one of.
pub struct Equal {
    /// Position in the table.
    pub column: usize,
    pub constants: Vec<Constant>,
    /// Whether the constants are keys, and not values.
    keyed: bool,
}

impl Equal {
    /// What the expression asks of a column, if it asks for its equals in another way than `column = constant`.
    pub fn of(expr: &Expr, provider: &TableSourceProvider, session: &dyn Session) -> Result<Option<Equal>> {
        let Some((column, constants, keyed)) = parts(expr, provider) else { return Ok(None) };
        let schema = DFSchema::empty();
        let constants = constants.into_iter().map(|e| session.create_physical_expr(e.clone(), &schema));
        Ok(Some(Equal { column, constants: constants.collect::<Result<_>>()?, keyed }))
    }

    pub fn question(&self, column: &Column) -> crate::error::Result<Question> {
        if !self.keyed {
            return Ok(Question::Equals(of_values(&self.constants, &column.ty)?));
        }
        let mut keys = Vec::new();
        for constant in &self.constants {
            let constant = evaluate(constant)?;
            keys.extend(keys_of(from_scalar(&constant, &type_of_data_type(&constant.data_type()))?));
        }
        Ok(Question::Equals(keys))
    }
}

/// The bytes of what equals constants of the column's type; none of NULL, which nothing equals.
pub fn of_values(constants: &[Constant], ty: &Type) -> crate::error::Result<Vec<Vec<u8>>> {
    let mut equals = Vec::new();
    for constant in constants {
        match from_scalar(&evaluate(constant)?, ty)? {
            Value::Null => {}
            value => equals.push(of_equals(&citext::folded(&value, ty))),
        }
    }
    Ok(equals)
}

/// The same of the elements of an array of such constants.
pub fn of_elements(array: &ScalarValue, ty: &Type) -> crate::error::Result<Vec<Vec<u8>>> {
    Ok(match from_scalar(array, &Type::Array(Box::new(ty.clone())))? {
        Value::Array(values) => {
            let values = values.iter().filter(|value| **value != Value::Null);
            values.map(|value| of_equals(&citext::folded(value, ty))).collect()
        }
        _ => Vec::new(),
    })
}

/// Keys, alone or in an array.
fn keys_of(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::Bytea(key) => vec![key],
        Value::Array(keys) => keys.into_iter().flat_map(keys_of).collect(),
        _ => Vec::new(),
    }
}

fn parts<'a>(expr: &'a Expr, provider: &TableSourceProvider) -> Option<(usize, Vec<&'a Expr>, bool)> {
    let keyed = |subject: &Expr| keyed_column(subject, provider);
    let is_constant = |expr: &&Expr| constant_type(expr).is_some();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            [(left, right), (right, left)].into_iter().find_map(|(subject, value)| {
                let column = keyed(subject)?;
                constant_type(value)?;
                Some((column, vec![&**value], true))
            })
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let column = keyed(expr)?;
            let list: Vec<&Expr> = list.iter().collect();
            list.iter().all(is_constant).then_some((column, list, true))
        }
        Expr::ScalarFunction(call) => of_call(call, provider),
        _ => None,
    }
}

/// `interval_eq(column, constant)` and its like; `array_has(constants, key)`, which `= ANY` is.
fn of_call<'a>(
    call: &'a ScalarFunction,
    provider: &TableSourceProvider,
) -> Option<(usize, Vec<&'a Expr>, bool)> {
    let [left, right] = call.args.as_slice() else { return None };
    match call.func.name() {
        "array_has" => {
            constant_type(left)?;
            Some((keyed_column(right, provider)?, vec![left], true))
        }
        "interval_eq" | "biteq" => [(left, right), (right, left)].into_iter().find_map(|(subject, value)| {
            constant_type(value)?;
            Some((unkeyed(subject, provider)?, vec![value], false))
        }),
        _ => None,
    }
}

/// The column whose key the expression is.
fn keyed_column(expr: &Expr, provider: &TableSourceProvider) -> Option<usize> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [subject] = call.args.as_slice() else { return None };
    let column = unkeyed(subject, provider)?;
    let ty = &provider.definition().stored_column(column)?.ty;
    let is_key = match call.func.name() {
        sort_keys::DOCUMENT => *ty == Type::Jsonb,
        sort_keys::INTERVAL => matches!(ty, Type::Interval(_)),
        sort_keys::ARRAY => has_same_elements(ty),
        _ => false,
    };
    is_key.then_some(column)
}

/// A column that has no bitmap index.
fn unkeyed(expr: &Expr, provider: &TableSourceProvider) -> Option<usize> {
    let column = column_of(expr, provider)?;
    let ty = &provider.definition().stored_column(column)?.ty;
    ColumnIndex::for_type(ty).is_none().then_some(column)
}

/// Whether the elements of an array are the same values in rows and in expressions, so that their keys are.
fn has_same_elements(ty: &Type) -> bool {
    let Type::Array(item) = ty else { return false };
    let is_same = matches!(
        **item,
        Type::Text
            | Type::Varchar(_)
            | Type::Date
            | Type::Timestamp(_)
            | Type::Timestamptz(_)
            | Type::Uuid
            | Type::Interval(_)
            | Type::Jsonb
    );
    is_same || item.is_truth_or_number() || has_same_elements(item)
}
