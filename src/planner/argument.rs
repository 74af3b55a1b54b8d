//! Arguments of functions written in SQL.
//!
//! Such a function is inlined: its body stands where the call did, with each argument in the place of its parameter. The
//! parameter's type goes with the argument as a call of this function, until `prepare` knows what the argument is: text
//! literals and open parameters take the type, everything else is cast as an implicit cast is, or the function the call
//! names does not exist.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::planner::operators::{literal, parameter};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{field, type_of};
use crate::types::cast::{Context, context};

/// An argument of this type; `function` and `types` are those of the function called, `position` counts from 0.
pub fn function(ty: Type, function: &str, types: Vec<Type>, position: usize) -> Arc<ScalarUDF> {
    let name = format!("argument {position} of {function}");
    made(name, ty, function, types, position, false)
}

/// The same in the query of a call in FROM, where it stands for a parameter: a constant to that query.
pub fn of_query(ty: Type, function: &str, types: Vec<Type>, position: usize) -> Arc<ScalarUDF> {
    let name = format!("parameter {position} of {function}");
    made(name, ty, function, types, position, true)
}

fn made(
    name: String,
    ty: Type,
    function: &str,
    types: Vec<Type>,
    position: usize,
    of_query: bool,
) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    let returns = Arc::new(field(&name, &ty, true));
    let call = Call { function: function.to_owned(), types, position };
    Arc::new(ScalarUDF::from(Argument { name, ty, call, of_query, returns, signature }))
}

/// Whether a call stands for a parameter of the query that it is in.
pub fn is_of_query(call: &ScalarFunction) -> bool {
    call.func.inner().downcast_ref::<Argument>().is_some_and(|argument| argument.of_query)
}

/// The type a call gives its argument, if it is one of these.
pub fn type_given(call: &ScalarFunction) -> Option<&Type> {
    Some(&call.func.inner().downcast_ref::<Argument>()?.ty)
}

/// The argument with its type, if the call is one of these. 42883 when it does not take it.
pub fn settle(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let Some(argument) = call.func.inner().downcast_ref::<Argument>() else { return Ok(None) };
    let [given] = call.args.as_slice() else { return Ok(None) };
    let to = Arc::new(field("", &argument.ty, true));
    let cast = |given: &Expr| Expr::Cast(Cast::new_from_field(Box::new(given.clone()), Arc::clone(&to)));
    Ok(Some(match given {
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => literal(text, &argument.ty)?,
        Expr::Placeholder(placeholder) if placeholder.field.is_none() => {
            parameter(placeholder.id.clone(), &argument.ty)
        }
        given => {
            let (_, found) = given.to_field(schema)?;
            let from = if is_integer(given) { Type::Int4 } else { type_of(&found) };
            if found.data_type().is_null() {
                cast(given)
            } else if from.bare() == argument.ty {
                given.clone()
            } else if context(&from, &argument.ty) == Some(Context::Implicit) {
                cast(given)
            } else {
                return Err(argument.call.missing(&from));
            }
        }
    }))
}

/// A whole number that fits into `integer`; in LIMIT it still has the planner's type.
fn is_integer(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), None) => i32::try_from(*number).is_ok(),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Argument {
    name: String,
    ty: Type,
    call: Call,
    of_query: bool,
    returns: FieldRef,
    signature: Signature,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Call {
    function: String,
    types: Vec<Type>,
    position: usize,
}

impl Call {
    fn missing(&self, found: &Type) -> datafusion::common::DataFusionError {
        let mut types: Vec<String> = self.types.iter().map(Type::to_string).collect();
        types[self.position] = found.bare().to_string();
        let message = format!("function {}({}) does not exist", self.function, types.join(", "));
        external(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        ))
    }
}

impl ScalarUDFImpl for Argument {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.returns.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(external(Error::internal(format!("{} was not settled", self.name))))
    }
}
