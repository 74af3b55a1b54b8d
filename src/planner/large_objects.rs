//! lo_open(), loread() and their like: the functions of large objects, in SQL and for the protocol's function calls.
//!
//! One list says what they are called, what they take and what they do; pg_proc lists them from it under PostgreSQL's
//! oids, which clients look up and send. They are called row by row, each time they stand in a query.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::catalog::Oid;
use crate::catalog::large_objects::{READ_MAX, too_large};
use crate::error::Error;
use crate::functions::scalar::no_such_function;
use crate::planner::bindings::Execution;
use crate::planner::bound::BoundFunction;
use crate::table::large_objects::{Check, LargeObjectCalls};
use crate::types::arrow::errors::from_datafusion;
use crate::types::arrow::{array, data_type, value_at};
use crate::types::{Type, Value};

/// One function of one list of arguments.
pub struct Routine {
    pub oid: Oid,
    pub name: &'static str,
    pub parameters: &'static [Type],
    /// `None` is void.
    pub result: Option<Type>,
    /// Whether a read-only transaction refuses it.
    writes: bool,
    call: Call,
}

/// The function itself. No argument is NULL: that makes it answer NULL.
type Call = fn(&dyn LargeObjectCalls, &[Value], Check<'_>) -> crate::error::Result<Value>;

const fn reads(
    oid: Oid,
    name: &'static str,
    parameters: &'static [Type],
    result: Type,
    call: Call,
) -> Routine {
    Routine { oid, name, parameters, result: Some(result), writes: false, call }
}

const fn writes(
    oid: Oid,
    name: &'static str,
    parameters: &'static [Type],
    result: Option<Type>,
    call: Call,
) -> Routine {
    Routine { oid, name, parameters, result, writes: true, call }
}

/// All of them; PostgreSQL's names, arguments and oids.
pub static ROUTINES: &[Routine] = &[
    writes(715, "lo_create", &[Type::Oid], Some(Type::Oid), |objects, v, check| {
        objects.create(Some(oid(&v[0])?).filter(|wanted| *wanted != 0), check).map(Value::Oid)
    }),
    // Files are the host's, of which clients of a server see nothing here.
    writes(764, "lo_import", &[Type::Text], Some(Type::Oid), |_, _, _| Err(of_host("lo_import"))),
    writes(765, "lo_export", &[Type::Oid, Type::Text], Some(Type::Int4), |_, _, _| Err(of_host("lo_export"))),
    writes(767, "lo_import", &[Type::Text, Type::Oid], Some(Type::Oid), |_, _, _| Err(of_host("lo_import"))),
    reads(952, "lo_open", &[Type::Oid, Type::Int4], Type::Int4, |objects, v, _| {
        objects.open(oid(&v[0])?, int4(&v[1])?).map(Value::Int4)
    }),
    reads(953, "lo_close", &[Type::Int4], Type::Int4, |objects, v, _| {
        objects.close(int4(&v[0])?)?;
        Ok(Value::Int4(0))
    }),
    reads(954, "loread", &[Type::Int4, Type::Int4], Type::Bytea, |objects, v, _| {
        objects.read(int4(&v[0])?, int4(&v[1])?).map(Value::Bytea)
    }),
    writes(955, "lowrite", &[Type::Int4, Type::Bytea], Some(Type::Int4), |objects, v, check| {
        objects.write(int4(&v[0])?, bytes(&v[1])?, check).map(Value::Int4)
    }),
    reads(956, "lo_lseek", &[Type::Int4, Type::Int4, Type::Int4], Type::Int4, |objects, v, _| {
        let descriptor = int4(&v[0])?;
        narrow("lo_lseek", descriptor, objects.seek(descriptor, int8(&v[1])?, int4(&v[2])?)?)
    }),
    // The mode is not looked at.
    writes(957, "lo_creat", &[Type::Int4], Some(Type::Oid), |objects, _, check| {
        objects.create(None, check).map(Value::Oid)
    }),
    reads(958, "lo_tell", &[Type::Int4], Type::Int4, |objects, v, _| {
        let descriptor = int4(&v[0])?;
        narrow("lo_tell", descriptor, objects.tell(descriptor)?)
    }),
    writes(964, "lo_unlink", &[Type::Oid], Some(Type::Int4), |objects, v, check| {
        objects.unlink(oid(&v[0])?, check)?;
        Ok(Value::Int4(1))
    }),
    writes(1004, "lo_truncate", &[Type::Int4, Type::Int4], Some(Type::Int4), truncate),
    reads(3170, "lo_lseek64", &[Type::Int4, Type::Int8, Type::Int4], Type::Int8, |objects, v, _| {
        objects.seek(int4(&v[0])?, int8(&v[1])?, int4(&v[2])?).map(Value::Int8)
    }),
    reads(3171, "lo_tell64", &[Type::Int4], Type::Int8, |objects, v, _| {
        objects.tell(int4(&v[0])?).map(Value::Int8)
    }),
    writes(3172, "lo_truncate64", &[Type::Int4, Type::Int8], Some(Type::Int4), truncate),
    writes(3457, "lo_from_bytea", &[Type::Oid, Type::Bytea], Some(Type::Oid), |objects, v, check| {
        let object = objects.create(Some(oid(&v[0])?).filter(|wanted| *wanted != 0), check)?;
        objects.put(object, 0, bytes(&v[1])?, check)?;
        Ok(Value::Oid(object))
    }),
    reads(3458, "lo_get", &[Type::Oid], Type::Bytea, |objects, v, _| {
        objects.get(oid(&v[0])?, None).map(Value::Bytea)
    }),
    reads(3459, "lo_get", &[Type::Oid, Type::Int8, Type::Int4], Type::Bytea, |objects, v, _| {
        objects.get(oid(&v[0])?, Some((int8(&v[1])?, int4(&v[2])?))).map(Value::Bytea)
    }),
    writes(3460, "lo_put", &[Type::Oid, Type::Int8, Type::Bytea], None, |objects, v, check| {
        objects.put(oid(&v[0])?, int8(&v[1])?, bytes(&v[2])?, check)?;
        Ok(void())
    }),
];

/// The function with an oid.
pub fn by_oid(oid: Oid) -> Option<&'static Routine> {
    ROUTINES.iter().find(|routine| routine.oid == oid)
}

/// Whether a function is one of these, which answer otherwise when they are called again.
pub fn is_one(name: &str) -> bool {
    named(name).next().is_some()
}

/// The type a parameter of a call is of, by its place among so many.
pub fn parameter(name: &str, count: usize, position: usize) -> Option<Type> {
    named(name).find(|routine| routine.parameters.len() == count)?.parameters.get(position).cloned()
}

/// The functions, for name lookup.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut names: Vec<&'static str> = ROUTINES.iter().map(|routine| routine.name).collect();
    names.sort_unstable();
    names.dedup();
    let function = |name: &'static str| {
        let result = named(name).find_map(|routine| routine.result.clone()).unwrap_or(Type::Text);
        BoundFunction::named(name, converted, result, evaluate)
    };
    names.into_iter().map(function).collect()
}

fn named(name: &str) -> impl Iterator<Item = &'static Routine> + use<'_> {
    ROUTINES.iter().filter(move |routine| routine.name == name)
}

/// What the arguments become; literals are bigint and text until the statement's types are settled.
fn converted(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    let takes = |routine: &&Routine| {
        routine.parameters.len() == given.len() && given.iter().zip(routine.parameters).all(fits)
    };
    let routine = named(name).find(takes).ok_or_else(|| no_such_function(name, given))?;
    Ok(routine.parameters.iter().map(data_type).collect())
}

fn fits((given, wanted): (&DataType, &Type)) -> bool {
    let is_integer = matches!(given, DataType::Int16 | DataType::Int32 | DataType::Int64);
    match given {
        DataType::Null | DataType::Utf8 | DataType::Utf8View => true,
        given if *given == data_type(wanted) => true,
        _ => is_integer && matches!(wanted, Type::Oid | Type::Int4 | Type::Int8),
    }
}

/// A call for each row: none is like another.
fn evaluate(
    name: &str,
    execution: &Execution,
    args: &ScalarFunctionArgs,
) -> crate::error::Result<ColumnarValue> {
    let routine = named(name).find(|routine| routine.parameters.len() == args.args.len());
    let routine = routine.ok_or_else(|| Error::internal("a call with arguments that were not checked"))?;
    let rows = args.number_rows;
    let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>();
    let columns = columns.map_err(from_datafusion)?;
    let mut results = Vec::with_capacity(rows);
    let mut read = 0;
    for row in 0..rows {
        execution.check_cancel()?;
        let values = columns.iter().zip(routine.parameters).map(|(column, ty)| value_at(column, row, ty));
        let values = values.collect::<crate::error::Result<Vec<Value>>>()?;
        let result = routine.run(execution, &values)?;
        if let Value::Bytea(bytes) = &result {
            read += bytes.len();
        }
        // They go on together, and no column has more.
        if read > READ_MAX {
            return Err(too_large());
        }
        results.push(result);
    }
    let ty = routine.result.as_ref().unwrap_or(&Type::Text);
    Ok(ColumnarValue::Array(array(ty, results.iter())?))
}

impl Routine {
    fn run(&self, execution: &Execution, values: &[Value]) -> crate::error::Result<Value> {
        if values.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        let objects = execution.session.large_objects();
        let objects = objects.ok_or_else(|| Error::unsupported("large objects here"))?;
        if self.writes {
            objects.check_writable(&format!("{}()", self.name))?;
        }
        (self.call)(objects, values, &|| execution.check_cancel())
    }
}

fn truncate(objects: &dyn LargeObjectCalls, v: &[Value], check: Check<'_>) -> crate::error::Result<Value> {
    objects.truncate(int4(&v[0])?, int8(&v[1])?, check)?;
    Ok(Value::Int4(0))
}

/// What PostgreSQL answers as void is an empty text here.
fn void() -> Value {
    Value::from("")
}

fn of_host(name: &str) -> Error {
    Error::unsupported(format!("{name}() of a file of the server"))
        .hint("Clients import and export files of their own by lo_import and lo_export of libpq, or \\lo_import of psql.")
}

/// 22003 for a position that the function's result has no room for.
fn narrow(name: &str, descriptor: i32, position: i64) -> crate::error::Result<Value> {
    i32::try_from(position).map(Value::Int4).map_err(|_| {
        let message = format!("{name} result out of range for large-object descriptor {descriptor}");
        Error::new(crate::error::SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

fn oid(value: &Value) -> crate::error::Result<Oid> {
    match value {
        Value::Oid(oid) => Ok(*oid),
        other => Err(not_converted(other)),
    }
}

fn int4(value: &Value) -> crate::error::Result<i32> {
    match value {
        Value::Int4(number) => Ok(*number),
        other => Err(not_converted(other)),
    }
}

/// Of an int4 or an int8.
fn int8(value: &Value) -> crate::error::Result<i64> {
    match value {
        Value::Int4(number) => Ok(i64::from(*number)),
        Value::Int8(number) => Ok(*number),
        other => Err(not_converted(other)),
    }
}

fn bytes(value: &Value) -> crate::error::Result<&[u8]> {
    match value {
        Value::Bytea(bytes) => Ok(bytes),
        other => Err(not_converted(other)),
    }
}

fn not_converted(value: &Value) -> Error {
    Error::internal(format!("an argument that was not converted: {value:?}"))
}
