//! The json operators `->`, `->>`, `#>`, `#>>`, `?` and `@>`, as functions.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Array, LargeStringBuilder, StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF};
use serde_json::Value as Json;

use crate::error::{Error, SqlState};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::json::{self, Node};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Function::new("jsonb_get", get_arguments, DataType::LargeUtf8, |args| select(args, as_json, step)),
        Function::new("jsonb_get_text", get_arguments, DataType::Utf8, |args| select(args, as_text, step)),
        Function::new("jsonb_get_path", path_arguments, DataType::LargeUtf8, |args| {
            select(args, as_json, walk)
        }),
        Function::new("jsonb_get_path_text", path_arguments, DataType::Utf8, |args| {
            select(args, as_text, walk)
        }),
        Function::new("jsonb_exists", path_arguments, DataType::Boolean, exists),
        Function::new("jsonb_contains", documents, DataType::Boolean, contains),
        Function::new("jsonb_array_length", one_document, DataType::Int32, array_length),
        Function::new("jsonb_typeof", one_document, DataType::Utf8, type_of),
    ]
}

/// The function behind an operator on json or jsonb.
pub fn function_of_operator(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "->" => "jsonb_get",
        "->>" => "jsonb_get_text",
        "#>" => "jsonb_get_path",
        "#>>" => "jsonb_get_path_text",
        "?" => "jsonb_exists",
        "@>" => "jsonb_contains",
        _ => return None,
    })
}

/// A right operand without a type is text, except beside `@>`, where it is a document.
pub fn right_operand(operator: &str, right: Expr, is_untyped_parameter: bool) -> Expr {
    match right {
        Expr::Placeholder(placeholder) if is_untyped_parameter => {
            let ty = if operator == "@>" { crate::types::Type::Jsonb } else { crate::types::Type::Text };
            let field = crate::types::arrow::field("", &ty, true);
            let field = Some(Arc::new(field));
            Expr::Placeholder(datafusion::logical_expr::expr::Placeholder::new_with_field(
                placeholder.id,
                field,
            ))
        }
        right => right,
    }
}

fn is_document(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeUtf8 | DataType::Utf8 | DataType::Null)
}

/// Documents are read as text whichever of the two json types they have.
fn one_document(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [document] if is_document(document) => Ok(vec![document.clone()]),
        _ => Err(no_such_function(name, given)),
    }
}

fn documents(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [left, right] if is_document(left) && is_document(right) => Ok(given.to_vec()),
        _ => Err(no_such_function(name, given)),
    }
}

fn get_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [document, key] if is_document(document) && key.is_integer() => {
            Ok(vec![document.clone(), DataType::Int64])
        }
        [document, DataType::Utf8 | DataType::Null] if is_document(document) => {
            Ok(vec![document.clone(), DataType::Utf8])
        }
        _ => Err(no_such_function(name, given)),
    }
}

fn path_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    match given {
        [document, DataType::Utf8 | DataType::Null] if is_document(document) => {
            Ok(vec![document.clone(), DataType::Utf8])
        }
        [document, DataType::List(_)] if is_document(document) => Ok(vec![document.clone(), DataType::Utf8]),
        _ => Err(no_such_function(name, given)),
    }
}

/// What is looked for inside a document.
enum Key<'a> {
    Name(&'a str),
    Index(i64),
}

type Find = for<'a> fn(&'a Node, Key) -> Option<&'a Node>;

fn step<'a>(document: &'a Node, key: Key) -> Option<&'a Node> {
    match (document, key) {
        (Node::Object(fields), Key::Name(name)) => fields.get(&json::Key::new(name)),
        (Node::Array(items), Key::Index(index)) => {
            let index = if index < 0 { index + items.len() as i64 } else { index };
            items.get(usize::try_from(index).ok()?)
        }
        _ => None,
    }
}

/// A path is an array literal: `{a,0,b}`.
fn walk<'a>(document: &'a Node, path: Key) -> Option<&'a Node> {
    let Key::Name(path) = path else { return None };
    let steps = path.trim().strip_prefix('{')?.strip_suffix('}')?;
    steps.split(',').filter(|step| !step.is_empty()).try_fold(document, |found, name| {
        let name = name.trim().trim_matches('"');
        match found {
            Node::Array(_) => step(found, Key::Index(name.parse().ok()?)),
            _ => step(found, Key::Name(name)),
        }
    })
}

fn select(
    args: &ScalarFunctionArgs,
    build: fn(Vec<Option<String>>, bool) -> ArrayRef,
    find: Find,
) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let documents = texts(&args.args[0], rows)?;
    let keys = args.args[1].to_array(rows)?;
    let names = keys.as_any().downcast_ref::<StringArray>();
    let indexes = keys.as_any().downcast_ref::<Int64Array>();
    let as_text = args.return_field.data_type() == &DataType::Utf8;
    let is_jsonb = args.args[0].data_type() == DataType::LargeUtf8;
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        if documents.is_null(row) || keys.is_null(row) {
            found.push(None);
            continue;
        }
        let document = Node::parse(documents.value(row)).map_err(external)?;
        let key = match (names, indexes) {
            (Some(names), _) => Key::Name(names.value(row)),
            (None, Some(indexes)) => Key::Index(indexes.value(row)),
            (None, None) => return Err(no_such_function("->", &[keys.data_type().clone()])),
        };
        // jsonb takes a scalar for an array of one.
        let is_scalar = matches!(document, Node::Plain(_) | Node::Text(_));
        if is_jsonb && is_scalar && matches!(key, Key::Index(0 | -1)) {
            found.push(print(&document, as_text));
            continue;
        }
        found.push(find(&document, key).and_then(|json| print(json, as_text)));
    }
    answer(build(found, constant), constant)
}

fn as_json(found: Vec<Option<String>>, _constant: bool) -> ArrayRef {
    let mut builder = LargeStringBuilder::new();
    found.into_iter().for_each(|json| builder.append_option(json));
    Arc::new(builder.finish())
}

fn as_text(found: Vec<Option<String>>, _constant: bool) -> ArrayRef {
    let mut builder = StringBuilder::new();
    found.into_iter().for_each(|json| builder.append_option(json));
    Arc::new(builder.finish())
}

/// As text, a string loses its quotes and null becomes NULL.
fn print(json: &Node, as_text: bool) -> Option<String> {
    match json {
        json if as_text && json.is_null() => None,
        Node::Text(text) if as_text => Some(text.clone()),
        json => Some(json.to_text()),
    }
}

fn texts(argument: &ColumnarValue, rows: usize) -> Result<StringArray> {
    let array = cast(&argument.to_array(rows)?, &DataType::Utf8)?;
    Ok(array.as_any().downcast_ref::<StringArray>().cloned().unwrap_or_else(|| StringArray::new_null(rows)))
}

fn parse(text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(|error| {
        let message = "invalid input syntax for type json";
        external(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(error.to_string()))
    })
}

fn exists(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let (documents, names) = (texts(&args.args[0], rows)?, texts(&args.args[1], rows)?);
    let mut found = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        if documents.is_null(row) || names.is_null(row) {
            found.append_null();
            continue;
        }
        let name = names.value(row);
        found.append_value(match parse(documents.value(row))? {
            Json::Object(fields) => fields.contains_key(name),
            Json::Array(items) => items.iter().any(|item| item.as_str() == Some(name)),
            Json::String(text) => text == name,
            _ => false,
        });
    }
    answer(Arc::new(found.finish()), constant)
}

fn contains(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let (left, right) = (texts(&args.args[0], rows)?, texts(&args.args[1], rows)?);
    let mut result = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        if left.is_null(row) || right.is_null(row) {
            result.append_null();
        } else {
            result.append_value(holds(&parse(left.value(row))?, &parse(right.value(row))?, true));
        }
    }
    answer(Arc::new(result.finish()), constant)
}

/// jsonb containment; at the top an array also contains a bare scalar.
fn holds(outer: &Json, inner: &Json, top: bool) -> bool {
    match (outer, inner) {
        (Json::Object(outer), Json::Object(inner)) => {
            inner.iter().all(|(name, value)| outer.get(name).is_some_and(|found| holds(found, value, false)))
        }
        (Json::Array(outer), Json::Array(inner)) => {
            inner.iter().all(|item| outer.iter().any(|found| holds(found, item, false)))
        }
        (Json::Array(outer), scalar) if top && !scalar.is_object() => outer.iter().any(|item| item == scalar),
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (outer, inner) => outer == inner,
    }
}

fn array_length(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let documents = texts(&args.args[0], rows)?;
    let mut lengths = arrow::array::Int32Builder::with_capacity(rows);
    for row in 0..rows {
        if documents.is_null(row) {
            lengths.append_null();
            continue;
        }
        match parse(documents.value(row))? {
            Json::Array(items) => lengths.append_value(items.len() as i32),
            _ => {
                let message = "cannot get array length of a non-array";
                return Err(external(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)));
            }
        }
    }
    answer(Arc::new(lengths.finish()), constant)
}

fn type_of(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let documents = texts(&args.args[0], rows)?;
    let mut names = StringBuilder::new();
    for row in 0..rows {
        if documents.is_null(row) {
            names.append_null();
            continue;
        }
        names.append_value(match parse(documents.value(row))? {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        });
    }
    answer(Arc::new(names.finish()), constant)
}
