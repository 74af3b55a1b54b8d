//! Whether a value is one of a domain: the value itself, or the error that says why not.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::scalar::rows_of;
use crate::types::arrow::errors::external;

/// `check_domain(value, schema, domain, name, condition, ...)`: a name that nobody can write.
pub const CHECK_DOMAIN: &str = "\u{1}check_domain";
/// The name of the condition that the value is not NULL.
pub const NOT_NULL: &str = "\u{1}not_null";

/// The place of the first condition among the arguments; its name is before it.
const FIRST_CONDITION: usize = 4;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    vec![Arc::new(ScalarUDF::from(CheckDomain { signature }))]
}

/// What a value that fails a condition of `schema.domain` is told.
pub fn violation(schema: &str, domain: &str, condition: &str) -> Error {
    let error = match condition {
        NOT_NULL => {
            let message = format!("domain {domain} does not allow null values");
            Error::new(SqlState::NOT_NULL_VIOLATION, message)
        }
        check => {
            let message = format!("value for domain {domain} violates check constraint \"{check}\"");
            Error::new(SqlState::CHECK_VIOLATION, message).constraint(check)
        }
    };
    error.schema(schema).datatype(domain)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckDomain {
    signature: Signature,
}

impl ScalarUDFImpl for CheckDomain {
    fn name(&self) -> &str {
        CHECK_DOMAIN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let mut types = given.to_vec();
        types.iter_mut().skip(1).for_each(|name| *name = DataType::Utf8);
        types.iter_mut().skip(FIRST_CONDITION).step_by(2).for_each(|truth| *truth = DataType::Boolean);
        Ok(types)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given.first() {
            Some(value) => Ok(value.clone()),
            None => exec_err!("check_domain() without a value"),
        }
    }

    /// The note of the value's type stays on it.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields.first() {
            Some(value) => Ok(Arc::new(value.as_ref().clone().with_nullable(true))),
            None => exec_err!("check_domain() without a value"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, _) = rows_of(&args);
        let text = |place: usize| match args.args.get(place) {
            Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) => Ok(text.as_str()),
            _ => exec_err!("check_domain() without a name"),
        };
        let (schema, domain) = (text(1)?, text(2)?);
        for place in (FIRST_CONDITION..args.args.len()).step_by(2) {
            let truths = args.args[place].to_array(rows)?;
            let truths = truths.as_boolean();
            // NULL passes.
            if (0..rows).any(|row| truths.is_valid(row) && !truths.value(row)) {
                return Err(external(violation(schema, domain, text(place - 1)?)));
            }
        }
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => exec_err!("check_domain() without a value"),
        }
    }
}
