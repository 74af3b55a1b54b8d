//! The shape all our scalar functions share: a name, argument types, a result type and a function over columns.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeBinaryArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What the arguments are converted to before the call, or why they cannot be.
pub type Coerce = fn(name: &str, given: &[DataType]) -> Result<Vec<DataType>>;
/// The function itself; all arguments have the types [`Coerce`] answered.
pub type Evaluate = fn(&ScalarFunctionArgs) -> Result<ColumnarValue>;

/// A scalar function. Two are the same when their names are.
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    signature: Signature,
    coerce: Coerce,
    returns: DataType,
    evaluate: Evaluate,
}

impl Function {
    /// An immutable function.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the planner only ever holds it as a function of its own kind"
    )]
    pub fn new(name: &'static str, coerce: Coerce, returns: DataType, evaluate: Evaluate) -> Arc<ScalarUDF> {
        Function::with_volatility(name, Volatility::Immutable, coerce, returns, evaluate)
    }

    pub fn with_volatility(
        name: &'static str,
        volatility: Volatility,
        coerce: Coerce,
        returns: DataType,
        evaluate: Evaluate,
    ) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(volatility);
        Arc::new(ScalarUDF::from(Function { name, signature, coerce, returns, evaluate }))
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.returns == other.returns
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        (self.coerce)(self.name, given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.evaluate)(&args)
    }
}

/// PostgreSQL's complaint about arguments that no function of the name takes.
pub fn no_such_function(name: &str, given: &[DataType]) -> DataFusionError {
    let types: Vec<String> = given.iter().map(|ty| type_name(ty).to_owned()).collect();
    let error = crate::error::Error::new(
        crate::error::SqlState::UNDEFINED_FUNCTION,
        format!("function {name}({}) does not exist", types.join(", ")),
    )
    .hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    );
    crate::types::arrow::errors::external(error)
}

/// The SQL name of an Arrow type, for messages.
pub fn type_name(ty: &DataType) -> &'static str {
    match ty {
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => "numeric",
        DataType::Utf8 | DataType::Utf8View => "text",
        DataType::LargeUtf8 => "jsonb",
        DataType::Binary => "bytea",
        DataType::LargeBinary => "vector",
        DataType::FixedSizeBinary(16) => "uuid",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Interval(_) => "interval",
        DataType::UInt32 => "oid",
        DataType::List(_) => "array",
        _ => "unknown",
    }
}

/// An argument as a column of vectors that can be read row by row; a constant is a column of one row.
pub struct Vectors {
    array: ArrayRef,
    constant: bool,
}

impl Vectors {
    pub fn new(argument: &ColumnarValue) -> Result<Vectors> {
        Ok(match argument {
            ColumnarValue::Array(array) => Vectors { array: Arc::clone(array), constant: false },
            ColumnarValue::Scalar(scalar) => Vectors { array: scalar.to_array()?, constant: true },
        })
    }

    /// The raw bytes of the vector in `row`; `None` for NULL.
    pub fn bytes(&self, row: usize) -> Result<Option<&[u8]>> {
        let row = if self.constant { 0 } else { row };
        let array = self.array.as_any().downcast_ref::<LargeBinaryArray>().ok_or_else(|| {
            DataFusionError::Internal(format!("expected vectors, found {}", self.array.data_type()))
        })?;
        Ok((!array.is_null(row)).then(|| array.value(row)))
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }
}

/// Whether a call over `arguments` is a constant, and over how many rows it runs.
pub fn rows_of(args: &ScalarFunctionArgs) -> (usize, bool) {
    let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    (if constant { 1 } else { args.number_rows }, constant)
}

/// The result column, or its only cell when all arguments were constants.
pub fn answer(array: ArrayRef, constant: bool) -> Result<ColumnarValue> {
    if constant {
        let cell = crate::types::arrow::only_cell(&array).map_err(crate::types::arrow::errors::external)?;
        return Ok(ColumnarValue::Scalar(cell));
    }
    Ok(ColumnarValue::Array(array))
}
