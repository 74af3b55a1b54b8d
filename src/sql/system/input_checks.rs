//! pg_input_is_valid() and pg_input_error_info(): whether a text is one of a type, and what would be said of it.
//!
//! The second is a function of four columns, each of which is a function of an array of one element here
//! (`sql::set_functions`); all of them are NULL of a text that is valid.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result};
use crate::planner::bindings::Execution;
use crate::planner::bound::BoundFunction;
use crate::sql::system::functions::{any, check_arguments, each};
use crate::sql::system::names;
use crate::sql::type_names::does_not_exist;
use crate::types::{Type, Value, text};

/// The function itself, and those of the columns of pg_input_error_info.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    macro_rules! columns {
        ($($name:literal $shown:expr;)*) => {
            vec![$(BoundFunction::new($name, any, Type::Array(Box::new(Type::Text)), |execution, args| {
                check_arguments($name, true, args)?;
                each(execution, args, &Type::Array(Box::new(Type::Text)), true, |execution, args| {
                    let shown: fn(&Error) -> Value = $shown;
                    let value = refusal(execution, args)?.as_ref().map_or(Value::Null, shown);
                    Ok(Value::Array(vec![value]))
                })
            })),*]
        };
    }
    let mut functions = columns! {
        "hither_input_message" |error| error.message().into();
        "hither_input_detail" |error| error.fields().detail.as_deref().into();
        "hither_input_hint" |error| error.fields().hint.as_deref().into();
        "hither_input_state" |error| error.state().0.into();
    };
    functions.push(BoundFunction::new("pg_input_is_valid", any, Type::Bool, |execution, args| {
        check_arguments("pg_input_is_valid", true, args)?;
        each(execution, args, &Type::Bool, true, |execution, args| {
            Ok(Value::Bool(refusal(execution, args)?.is_none()))
        })
    }));
    functions
}

/// What is wrong with a text as a value of a type that is given by its name.
fn refusal(execution: &Execution, args: &[Value]) -> Result<Option<Error>> {
    let [Value::Text(input), Value::Text(name)] = args else { return Ok(None) };
    let ty = match Type::from_name(name) {
        Ok(ty) if ty.extension().is_none() => ty,
        found => match names::own_type(execution, name) {
            Some(ty) => ty,
            None if names::own_domain(execution, name).is_some() => {
                return Err(Error::unsupported("whether a text is one of a domain"));
            }
            None => return Err(found.err().unwrap_or_else(|| does_not_exist(name))),
        },
    };
    Ok(text::parse_as(&ty, input, execution.zone.into()).err())
}
