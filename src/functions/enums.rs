//! enum_first, enum_last and enum_range: they look at the type of their argument, not at its value.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::arrow::{array, data_type, type_of_data_type, value_at};
use crate::types::enums::Label;
use crate::types::{EnumType, Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let make = |what: What| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(EnumFunction { what, signature }))
    };
    [What::First, What::Last, What::Range].into_iter().map(make).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    First,
    Last,
    Range,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EnumFunction {
    what: What,
    signature: Signature,
}

/// The enumeration among the types of arguments.
fn enum_of(given: &[DataType]) -> Option<EnumType> {
    given.iter().find_map(|ty| match type_of_data_type(ty) {
        Type::Enum(of) => Some(of),
        _ => None,
    })
}

impl ScalarUDFImpl for EnumFunction {
    fn name(&self) -> &str {
        match self.what {
            What::First => "enum_first",
            What::Last => "enum_last",
            What::Range => "enum_range",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Literals beside an enumeration are of it.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let most = if self.what == What::Range { 2 } else { 1 };
        let Some(of) = enum_of(given).filter(|_| given.len() <= most) else {
            return Err(no_such_function(self.name(), given));
        };
        let ty = data_type(&Type::Enum(of));
        let fits = |found: &DataType| *found == ty || matches!(found, DataType::Utf8 | DataType::Null);
        match given.iter().all(fits) {
            true => Ok(vec![ty; given.len()]),
            false => Err(no_such_function(self.name(), given)),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let Some(of) = enum_of(given) else { return Err(no_such_function(self.name(), given)) };
        let ty = Type::Enum(of);
        Ok(data_type(&if self.what == What::Range { Type::Array(Box::new(ty)) } else { ty }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let Some(of) = enum_of(&given) else { return Err(no_such_function(self.name(), &given)) };
        let ty = Type::Enum(of.clone());
        let (rows, constant) = rows_of(&args);
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let mut answers = Vec::with_capacity(rows);
        for row in 0..rows {
            let bound =
                |place: usize| columns.get(place).map(|column| value_at(column, row, &ty)).transpose();
            let (low, high) = (bound(0).map_err(external)?, bound(1).map_err(external)?);
            answers.push(self.answer(&of, low, high));
        }
        let result = if self.what == What::Range { Type::Array(Box::new(ty)) } else { ty };
        answer(array(&result, answers.iter()).map_err(external)?, constant)
    }
}

impl EnumFunction {
    fn answer(&self, of: &EnumType, low: Option<Value>, high: Option<Value>) -> Value {
        let value = |label: Option<&Label>| label.and_then(|label| of.parse(&label.text).ok());
        match self.what {
            What::First => value(of.labels.first()).unwrap_or(Value::Null),
            What::Last => value(of.labels.last()).unwrap_or(Value::Null),
            What::Range => {
                // A bound is one of two arguments; NULL is none.
                let bounds = high.is_some();
                let order = |bound: Option<Value>| match bound {
                    Some(Value::Enum(bound)) if bounds => Some(bound.order),
                    _ => None,
                };
                let (low, high) = (order(low), order(high));
                let within = |label: &&Label| {
                    low.is_none_or(|low| label.order >= low) && high.is_none_or(|high| label.order <= high)
                };
                Value::Array(of.labels.iter().filter(within).filter_map(|l| value(Some(l))).collect())
            }
        }
    }
}
