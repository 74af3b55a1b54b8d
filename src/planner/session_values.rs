//! now(), current_user and their like: constants of one execution.
//!
//! A call becomes a pseudo-parameter (`$now`), which the optimiser moves around and pushes into scans like any
//! parameter, and which [`crate::planner::finish`] turns into a reader of the execution. Functions that take
//! arguments or answer differently at each call are [`BoundFunction`]s instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, Int64Builder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::decimal;
use crate::functions::scalar::no_such_function;
use crate::planner::bindings::Execution;
use crate::planner::bound::BoundFunction;
use crate::types::arrow::errors::{external, from_datafusion};
use crate::types::arrow::{data_type, to_scalar};
use crate::types::{Network, NetworkType, Timetz, Type, Value};

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// One constant of an execution.
pub struct SessionValue {
    /// PostgreSQL's names for it, all spelt as functions.
    pub names: &'static [&'static str],
    pub ty: Type,
    pub read: fn(&Execution) -> crate::error::Result<ScalarValue>,
}

/// All of them; the first name is the one of the pseudo-parameter.
pub const SESSION_VALUES: &[SessionValue] = &[
    SessionValue {
        names: &["now", "transaction_timestamp", "current_timestamp"],
        ty: Type::Timestamptz(None),
        read: |execution| Ok(timestamptz(execution.transaction_time)),
    },
    SessionValue {
        names: &["statement_timestamp"],
        ty: Type::Timestamptz(None),
        read: |execution| Ok(timestamptz(execution.statement_time)),
    },
    SessionValue {
        names: &["localtimestamp"],
        ty: Type::Timestamp(None),
        read: |execution| Ok(ScalarValue::TimestampMicrosecond(Some(local(execution)), None)),
    },
    SessionValue {
        names: &["current_date"],
        ty: Type::Date,
        read: |execution| {
            let days = local(execution).div_euclid(MICROSECONDS_PER_DAY);
            Ok(ScalarValue::Date32(Some(days as i32)))
        },
    },
    SessionValue {
        names: &["localtime"],
        ty: Type::Time(None),
        read: |execution| {
            let microseconds = local(execution).rem_euclid(MICROSECONDS_PER_DAY);
            Ok(ScalarValue::Time64Microsecond(Some(microseconds)))
        },
    },
    SessionValue {
        names: &["current_time"],
        ty: Type::Timetz(None),
        read: |execution| {
            let time = Timetz::at(execution.transaction_time, execution.zone);
            to_scalar(&time.into(), &Type::Timetz(None))
        },
    },
    SessionValue {
        names: &["current_user", "user", "current_role"],
        ty: Type::Name,
        read: |execution| Ok(ScalarValue::Utf8(Some(execution.session.current_user()))),
    },
    SessionValue {
        names: &["session_user"],
        ty: Type::Name,
        read: |execution| Ok(ScalarValue::Utf8(Some(execution.session.session_user()))),
    },
    SessionValue {
        names: &["current_database", "current_catalog"],
        ty: Type::Name,
        read: |execution| Ok(ScalarValue::Utf8(Some(execution.session.database()))),
    },
    SessionValue {
        names: &["current_schema"],
        ty: Type::Name,
        read: |execution| {
            Ok(ScalarValue::Utf8(
                execution
                    .session
                    .search_path()
                    .into_iter()
                    .find(|schema| !schema.starts_with(crate::catalog::TEMPORARY_SCHEMA)),
            ))
        },
    },
    SessionValue {
        names: &["get_current_ts_config"],
        ty: Type::Text,
        read: |execution| {
            let setting = execution.session.setting("default_text_search_config").unwrap_or_default();
            let name = setting.strip_prefix("pg_catalog.").unwrap_or(&setting);
            Ok(ScalarValue::Utf8(Some(name.to_owned())))
        },
    },
    SessionValue {
        names: &["pg_backend_pid"],
        ty: Type::Int4,
        read: |execution| Ok(ScalarValue::Int32(Some(execution.session.backend_pid()))),
    },
    SessionValue {
        names: &["inet_client_addr"],
        ty: Type::Network(NetworkType::Inet),
        read: |execution| {
            let client =
                execution.session.client().map(|client| Network::Inet(client.ip().to_canonical().into()));
            to_scalar(&client.map_or(Value::Null, Value::Network), &Type::Network(NetworkType::Inet))
        },
    },
    SessionValue {
        names: &["inet_client_port"],
        ty: Type::Int4,
        read: |execution| {
            Ok(ScalarValue::Int32(execution.session.client().map(|client| i32::from(client.port()))))
        },
    },
    SessionValue {
        names: &["lastval"],
        ty: Type::Int8,
        read: |execution| Ok(ScalarValue::Int64(Some(execution.session.lastval()?))),
    },
];

/// now() as clocks of the session's zone show it.
fn local(execution: &Execution) -> i64 {
    execution.zone.to_local(execution.transaction_time)
}

fn timestamptz(microseconds: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(microseconds), Some("UTC".into()))
}

/// The pseudo-parameter of a function name, and its value.
pub fn by_function(name: &str) -> Option<(String, &'static SessionValue)> {
    let value = SESSION_VALUES.iter().find(|value| value.names.contains(&name))?;
    Some((format!("${}", value.names[0]), value))
}

/// The value behind a pseudo-parameter such as `$now`.
pub fn by_placeholder(placeholder: &str) -> Option<&'static SessionValue> {
    let name = placeholder.strip_prefix('$')?;
    SESSION_VALUES.iter().find(|value| value.names[0] == name)
}

/// The functions of this file, for name lookup.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<Arc<ScalarUDF>> = SESSION_VALUES
        .iter()
        .flat_map(|value| value.names.iter().map(|name| value_function(name, &value.ty)))
        .collect();
    functions.extend([
        BoundFunction::new("nextval", one_text, Type::Int8, |execution, args| {
            sequences(args, |name| execution.session.nextval(name))
        }),
        BoundFunction::new("currval", one_text, Type::Int8, |execution, args| {
            sequences(args, |name| execution.session.currval(name))
        }),
        BoundFunction::new("setval", setval_arguments, Type::Int8, setval),
        BoundFunction::new("current_setting", setting_arguments, Type::Text, current_setting),
        BoundFunction::new("set_config", set_config_arguments, Type::Text, set_config),
        BoundFunction::new("pg_sleep", one_double, Type::Void, sleep),
        BoundFunction::new(VOID, anything, Type::Void, |_, args| {
            Ok(ColumnarValue::Array(Arc::new(StringArray::new_null(args.number_rows))))
        }),
        // Read for each row: the clock goes on while a statement runs.
        BoundFunction::new("clock_timestamp", no_arguments, Type::Timestamptz(None), |_, args| {
            let now = || {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                timestamptz(now.unwrap_or_default().as_micros() as i64)
            };
            if args.number_rows == 0 {
                return Ok(ColumnarValue::Scalar(now()));
            }
            let readings = ScalarValue::iter_to_array((0..args.number_rows).map(|_| now()));
            Ok(ColumnarValue::Array(readings.map_err(from_datafusion)?))
        }),
    ]);
    functions
}

/// A function that exists to be found by name and replaced by its pseudo-parameter.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueFunction {
    name: &'static str,
    returns: DataType,
    signature: Signature,
}

fn value_function(name: &'static str, ty: &Type) -> Arc<ScalarUDF> {
    let signature = Signature::nullary(Volatility::Volatile);
    Arc::new(ScalarUDF::from(ValueFunction { name, returns: data_type(ty), signature }))
}

impl ScalarUDFImpl for ValueFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(external(Error::internal(format!("{}() was not replaced by its value", self.name))))
    }
}

/// What a SQL function that returns void makes of what its query has computed: NULL, which is what PostgreSQL answers.
pub const VOID: &str = "hither_void";

fn anything(_name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    Ok(given.to_vec())
}

/// How long a sleeper does not look for a cancel request.
const NAP: Duration = Duration::from_millis(10);

/// Waits so many seconds for each row.
fn sleep(execution: &Execution, args: &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue> {
    let rows = args.args[0].to_array(args.number_rows).map_err(from_datafusion)?;
    let seconds = rows.as_primitive::<Float64Type>();
    let mut done = StringBuilder::new();
    for seconds in seconds {
        let Some(seconds) = seconds else {
            done.append_null();
            continue;
        };
        let end = Instant::now()
            .checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        loop {
            execution.check_cancel()?;
            // A time that no clock reaches is waited for without end.
            let left = end.map_or(NAP, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        done.append_value("");
    }
    Ok(ColumnarValue::Array(Arc::new(done.finish())))
}

fn one_double(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [seconds] if seconds.is_numeric() || decimal::is_numeric(seconds) || seconds.is_null() => {
            Ok(vec![DataType::Float64])
        }
        _ => Err(no_such_function(name, given)),
    }
}

fn no_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    if given.is_empty() { Ok(Vec::new()) } else { Err(no_such_function(name, given)) }
}

fn one_text(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    texts_then(name, given, 1, &[])
}

fn setval_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given.len() {
        2 => texts_then(name, given, 1, &[DataType::Int64]),
        _ => texts_then(name, given, 1, &[DataType::Int64, DataType::Boolean]),
    }
}

fn setting_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given.len() {
        1 => texts_then(name, given, 1, &[]),
        _ => texts_then(name, given, 1, &[DataType::Boolean]),
    }
}

fn set_config_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    texts_then(name, given, 2, &[DataType::Boolean])
}

fn texts_then(name: &str, given: &[DataType], texts: usize, rest: &[DataType]) -> Result<Vec<DataType>> {
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Null | DataType::UInt32);
    if given.len() != texts + rest.len() || !given[..texts].iter().all(is_text) {
        return Err(no_such_function(name, given));
    }
    Ok(std::iter::repeat_n(DataType::Utf8, texts).chain(rest.iter().cloned()).collect())
}

/// An argument as text cells, one per row.
fn texts(args: &ScalarFunctionArgs, index: usize) -> crate::error::Result<StringArray> {
    let array = args.args[index].to_array(args.number_rows).map_err(from_datafusion)?;
    let texts = array.as_any().downcast_ref::<StringArray>();
    texts.cloned().ok_or_else(|| Error::internal(format!("expected text, found {}", array.data_type())))
}

/// One call per row, as PostgreSQL makes for `SELECT nextval('s') FROM t`.
fn sequences(
    args: &ScalarFunctionArgs,
    call: impl Fn(&str) -> crate::error::Result<i64>,
) -> crate::error::Result<ColumnarValue> {
    let names = texts(args, 0)?;
    let mut numbers = Int64Builder::with_capacity(names.len());
    for row in 0..args.number_rows {
        if names.is_null(row) {
            numbers.append_null();
        } else {
            numbers.append_value(call(names.value(row))?);
        }
    }
    Ok(ColumnarValue::Array(Arc::new(numbers.finish())))
}

fn setval(execution: &Execution, args: &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue> {
    let constant = |index: usize| match args.args.get(index) {
        Some(ColumnarValue::Scalar(value)) => Ok(Some(value.clone())),
        Some(ColumnarValue::Array(array)) => ScalarValue::try_from_array(array, 0).map(Some),
        None => Ok(None),
    };
    let constant = |index| constant(index).map_err(from_datafusion);
    let (Some(ScalarValue::Int64(Some(value))), called) = (constant(1)?, constant(2)?) else {
        return Ok(ColumnarValue::Scalar(ScalarValue::Int64(None)));
    };
    let called = !matches!(called, Some(ScalarValue::Boolean(Some(false))));
    sequences(args, |name| execution.session.setval(name, value, called))
}

fn current_setting(execution: &Execution, args: &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue> {
    let missing_ok =
        matches!(args.args.get(1), Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))));
    settings(args, |name| match execution.session.setting(name) {
        None if !missing_ok => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
        value => Ok(value),
    })
}

fn set_config(execution: &Execution, args: &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue> {
    let values = texts(args, 1)?;
    let local = matches!(&args.args[2], ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
    settings(args, |name| {
        let value = if values.is_empty() || values.is_null(0) { "" } else { values.value(0) };
        execution.session.set_setting(name, value, local).map(Some)
    })
}

fn settings(
    args: &ScalarFunctionArgs,
    call: impl Fn(&str) -> crate::error::Result<Option<String>>,
) -> crate::error::Result<ColumnarValue> {
    let names = texts(args, 0)?;
    let mut values = StringBuilder::new();
    for row in 0..args.number_rows {
        values.append_option(if names.is_null(row) { None } else { call(names.value(row))? });
    }
    Ok(ColumnarValue::Array(Arc::new(values.finish())))
}
