//! `make_array`, which is `ARRAY[a, b]` of columns: DataFusion's, that also takes numbers which show their own digits.
//!
//! `planner::common` gives all of them one type once the query is planned; until then one such among others makes an array
//! of such.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions_nested::make_array;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::citext::are_citext;
use crate::functions::decimal;
use crate::types::Type;
use crate::types::arrow::metadata;

pub fn function() -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(MakeArray { inner: make_array::make_array_udf(), signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MakeArray {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for MakeArray {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.contains(&decimal::any()) {
            return Ok(given.to_vec());
        }
        // Of one type beside NULLs, which the planner does not give every type.
        let mut types = given.iter().filter(|ty| !ty.is_null());
        match types.next() {
            Some(first) if types.all(|ty| ty == first) => Ok(vec![first.clone(); given.len()]),
            _ => self.inner.coerce_types(given),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let any = decimal::any();
        match given.contains(&any) {
            true => Ok(DataType::new_list(any, true)),
            false => self.inner.return_type(given),
        }
    }

    /// Arrays of citext are told by a note only.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let plain = Field::new(self.name(), self.return_type(&given)?, true);
        let items = Type::Array(Box::new(Type::Citext));
        Ok(Arc::new(if are_citext(&args) { plain.with_metadata(metadata(&items)) } else { plain }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}
