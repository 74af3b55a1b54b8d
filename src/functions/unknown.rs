//! Functions that do not exist.
//!
//! A name nobody knows becomes a call of this function, so that its arguments are planned and PostgreSQL's complaint
//! can name their types: `prepare` raises it, when the types of literals are settled.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::value::{VARIADIC, parameter};
use crate::types::arrow::errors::external;
use crate::types::arrow::type_of;

/// A call of `name` to be complained about.
pub fn function(name: &str) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Unknown { name: name.to_owned(), signature }))
}

/// 42883 for a call of a function that does not exist, and 42804 for a literal of no type where the type is all there is;
/// `None` for one that does.
pub fn complaint(call: &ScalarFunction, schema: &DFSchema) -> Option<DataFusionError> {
    if let ("to_json" | "to_jsonb", [Expr::Literal(ScalarValue::Utf8(_), None)]) =
        (call.func.name(), call.args.as_slice())
    {
        let message = "could not determine polymorphic type because input has type unknown";
        return Some(external(Error::new(SqlState::DATATYPE_MISMATCH, message)));
    }
    if call.func.name().starts_with(VARIADIC)
        && let Some((last, _)) = call.args.split_last()
        && takes_any_array(call, schema)
        && !last.get_type(schema).is_ok_and(|ty| ty.is_null() || matches!(ty, DataType::List(_)))
    {
        let message = "VARIADIC argument must be an array";
        return Some(external(Error::new(SqlState::DATATYPE_MISMATCH, message)));
    }
    let unknown = call.func.inner().downcast_ref::<Unknown>()?;
    let types: Vec<String> = call.args.iter().map(|arg| shown_type(arg, schema)).collect();
    let message = format!("function {}({}) does not exist", unknown.name, types.join(", "));
    Some(external(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )))
}

/// Whether the last argument may be an array of any type.
fn takes_any_array(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let types: Result<Vec<DataType>> = call.args.iter().map(|arg| arg.get_type(schema)).collect();
    types.is_ok_and(|types| parameter(&call.func, &types, types.len() - 1).is_none())
}

fn shown_type(arg: &Expr, schema: &DFSchema) -> String {
    if let Expr::Literal(ScalarValue::Utf8(_), None) = arg {
        return "unknown".to_owned();
    }
    match arg.to_field(schema) {
        Ok((_, field)) if !field.data_type().is_null() => type_of(&field).bare().to_string(),
        _ => "unknown".to_owned(),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unknown {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for Unknown {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Null)
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let message = format!("function {} does not exist", self.name);
        Err(external(Error::new(SqlState::UNDEFINED_FUNCTION, message)))
    }
}
