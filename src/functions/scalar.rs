//! The shape all our scalar functions share: a name, argument types, a result type and a function over columns.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::{ConfigExtension, ConfigOptions};
use datafusion::common::extensions_options;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::types::arrow::{data_type, field, lists, type_of_data_type};
use crate::types::{DateStyle, IntervalStyle, Look, Type, Zone};

/// What the arguments are converted to before the call, or why they cannot be.
pub type Coerce = fn(name: &str, given: &[DataType]) -> Result<Vec<DataType>>;
/// The SQL type of the result, by the arguments'.
pub type Answers = fn(given: &[DataType]) -> Type;
/// The function itself; all arguments have the types [`Coerce`] answered.
pub type Evaluate = fn(&ScalarFunctionArgs) -> Result<ColumnarValue>;

/// A scalar function. Two are the same when their names are.
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    signature: Signature,
    coerce: Coerce,
    returns: Returns,
    evaluate: Evaluate,
}

#[derive(Clone, Debug)]
enum Returns {
    Always(DataType),
    By(Answers),
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

    /// An immutable function whose result depends on its arguments, or has a type that its Arrow type does not tell.
    pub fn typed(name: &'static str, coerce: Coerce, returns: Answers, evaluate: Evaluate) -> Arc<ScalarUDF> {
        let (signature, returns) = (Signature::user_defined(Volatility::Immutable), Returns::By(returns));
        Arc::new(ScalarUDF::from(Function { name, signature, coerce, returns, evaluate }))
    }

    pub fn with_volatility(
        name: &'static str,
        volatility: Volatility,
        coerce: Coerce,
        returns: DataType,
        evaluate: Evaluate,
    ) -> Arc<ScalarUDF> {
        let (signature, returns) = (Signature::user_defined(volatility), Returns::Always(returns));
        Arc::new(ScalarUDF::from(Function { name, signature, coerce, returns, evaluate }))
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
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

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match &self.returns {
            Returns::Always(ty) => ty.clone(),
            Returns::By(answers) => data_type(&answers(given)),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(match &self.returns {
            Returns::Always(ty) => Field::new(self.name, ty.clone(), true),
            Returns::By(answers) => field(self.name, &answers(&given), true),
        }))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        (self.coerce)(self.name, given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.evaluate)(&args)
    }
}

/// The session's time zone. A plan is made for one: the options of [`crate::planner`]'s environment carry it.
pub fn zone_of(options: &ConfigOptions) -> Zone {
    match &options.execution.time_zone {
        Some(name) => Zone::of_setting(name).unwrap_or(Zone::UTC),
        None => Zone::UTC,
    }
}

/// How the session wants values shown, of which [`zone_of`] is a part.
pub fn look_of(options: &ConfigOptions) -> Look {
    let Some(look) = options.extensions.get::<SessionLook>() else { return Look::from(zone_of(options)) };
    Look {
        zone: zone_of(options),
        dates: DateStyle::from_name(&look.dates).unwrap_or_default(),
        intervals: IntervalStyle::from_name(&look.intervals).unwrap_or_default(),
        float_digits: look.float_digits as i8 + FLOAT_DIGITS_MIN,
        escapes_bytes: look.escapes_bytes,
    }
}

/// The least that extra_float_digits can be.
pub const FLOAT_DIGITS_MIN: i8 = -15;

extensions_options! {
    /// What of a session's wishes the options of DataFusion have no place for.
    pub struct SessionLook {
        /// Its DateStyle.
        pub dates: String, default = DateStyle::ISO.to_string()
        /// The name of its style of intervals.
        pub intervals: String, default = IntervalStyle::default().name().to_owned()
        /// extra_float_digits, counted from [`FLOAT_DIGITS_MIN`]: options are not negative.
        pub float_digits: usize, default = 16
        /// Whether bytea_output is escape.
        pub escapes_bytes: bool, default = false
    }
}

impl ConfigExtension for SessionLook {
    const PREFIX: &'static str = "hither";
}

/// PostgreSQL's complaint about arguments that no function of the name takes.
pub fn no_such_function(name: &str, given: &[DataType]) -> DataFusionError {
    // Literals are bigint until the planner has looked at their sizes, and are what is passed wrongly most often.
    let shown = |ty: &DataType| if *ty == DataType::Int64 { Cow::Borrowed("integer") } else { type_name(ty) };
    let name = name.strip_prefix(crate::functions::value::VARIADIC).unwrap_or(name);
    // Aggregates that are made of arrays.
    let (name, given) = match name.strip_suffix("_items") {
        Some(aggregate) => {
            let item = |ty: &DataType| match ty {
                DataType::List(item) => item.data_type().clone(),
                ty => ty.clone(),
            };
            (aggregate, given.iter().map(item).collect())
        }
        None => (name, given.to_vec()),
    };
    let types: Vec<Cow<'_, str>> = given.iter().map(shown).collect();
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
pub fn type_name(ty: &DataType) -> Cow<'static, str> {
    Cow::Borrowed(match ty {
        DataType::Null => "unknown",
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) | DataType::BinaryView => "numeric",
        DataType::Utf8 | DataType::Utf8View => "text",
        DataType::LargeUtf8 => "jsonb",
        DataType::Binary => "bytea",
        DataType::LargeBinary => "vector",
        DataType::FixedSizeBinary(16) => "uuid",
        DataType::FixedSizeBinary(6) => "tid",
        DataType::Duration(_) => "money",
        DataType::FixedSizeBinary(12) => "time with time zone",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Interval(_) => "interval",
        DataType::UInt32 => "oid",
        ty if lists::is_halfvec(ty) => "halfvec",
        ty if lists::is_json(ty) => "json",
        ty if lists::is_bit(ty) => "bit",
        ty if lists::is_sparsevec(ty) => "sparsevec",
        ty if lists::enum_definition(ty).is_some() => "anyenum",
        ty if lists::range_of(ty).is_some() || lists::multirange_of(ty).is_some() => {
            return Cow::Owned(type_of_data_type(ty).to_string());
        }
        ty if let Some(of) = lists::network_of(ty) => of.name(),
        ty if lists::is_hstore(ty) => lists::HSTORE,
        ty if *ty == lists::tsvector_type() => "tsvector",
        ty if *ty == lists::tsquery_type() => "tsquery",
        DataType::List(_) => "array",
        _ => "unknown",
    })
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
