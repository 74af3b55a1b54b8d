//! `md5`: DataFusion's, whose answer is a text of another layout (Utf8View) than ours.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::crypto;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(Digest { inner: crypto::md5() }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Digest {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Digest {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Past the check that it answers what we say it does.
        Ok(match self.inner.inner().invoke_with_args(args)? {
            ColumnarValue::Array(array) => ColumnarValue::Array(cast(&array, &DataType::Utf8)?),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.cast_to(&DataType::Utf8)?),
        })
    }
}
