//! What varchar, char(n) and text are told apart by in expressions: a note on a column, and the blanks of char(n).
//!
//! `char(n)` is kept without the blanks at its end, which are put behind it where it is shown; beside other texts it becomes
//! one that has them.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::value::{functions as build, strict};
use crate::types::arrow::{data_type, plain_field};
use crate::types::{Type, Value, cast as casts};

/// A char(n) and n: with its blanks, as a char of any length.
pub const PADDED: &str = "hither_padded";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(vec![strict("hither_padded(text, int4) bpchar", |v| {
        let (Value::Text(text), Value::Int4(characters)) = (&v[0], &v[1]) else { return Ok(Value::Null) };
        Ok(Value::Text(padded(text, characters.unsigned_abs())))
    })])
}

/// A text with blanks up to so many characters.
pub fn padded(text: &str, characters: u32) -> String {
    let mut bytes = text.as_bytes().to_vec();
    casts::pad(0, characters, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as it is, noted to be of another type of texts.
pub fn noted(ty: &Type) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    let returns = Arc::new(plain_field("noted", ty));
    Arc::new(ScalarUDF::from(Noted { ty: ty.clone(), returns, signature }))
}

/// The type that a function notes, if it is one of these.
pub fn type_noted(function: &ScalarUDF) -> Option<&Type> {
    function.inner().downcast_ref::<Noted>().map(|noted| &noted.ty)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Noted {
    ty: Type,
    returns: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for Noted {
    fn name(&self) -> &str {
        "noted"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(data_type(&self.ty))
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let wanted = data_type(&self.ty);
        Ok(match args.args.swap_remove(0) {
            same if same.data_type() == wanted => same,
            ColumnarValue::Array(array) => ColumnarValue::Array(cast(&array, &wanted)?),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.cast_to(&wanted)?),
        })
    }
}
