//! The json operators `->`, `->>`, `#>`, `#>>`, `?` and `@>`, as functions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Int64Array, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF};
use serde_json::Value as Json;

use crate::error::{Error, SqlState};
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{self, is_json};
use crate::types::arrow::{Builder, type_of_data_type};
use crate::types::json::{self, Node, Parts};
use crate::types::{Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Function::typed("jsonb_get", get_arguments, as_given, |args| select(args, as_document, STEP)),
        Function::new("jsonb_get_text", get_arguments, DataType::Utf8, |args| select(args, as_text, STEP)),
        Function::typed("jsonb_get_path", path_arguments, as_given, |args| select(args, as_document, PATH)),
        Function::new("jsonb_get_path_text", path_arguments, DataType::Utf8, |args| {
            select(args, as_text, PATH)
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
    matches!(ty, DataType::LargeUtf8 | DataType::Utf8 | DataType::Null) || is_json(ty)
}

/// A part of json is json, and is shown as it was written.
fn as_given(given: &[DataType]) -> Type {
    if given.first().is_some_and(is_json) { Type::Json } else { Type::Jsonb }
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

fn written_step<'a>(document: &'a str, key: Key) -> crate::error::Result<Option<&'a str>> {
    match key {
        Key::Name(name) => Ok(Parts::of(document)?.member(name)),
        Key::Index(index) => Ok(Parts::of(document)?.element(index)),
    }
}

fn written_walk<'a>(document: &'a str, path: Key) -> crate::error::Result<Option<&'a str>> {
    let Key::Name(path) = path else { return Ok(None) };
    steps(path).map_or(Ok(None), |steps| written_along(document, steps))
}

/// What a path of keys and places leads to in a json document, as it is written.
pub fn written_along<'a, 's>(
    document: &'a str,
    steps: impl IntoIterator<Item = &'s str>,
) -> crate::error::Result<Option<&'a str>> {
    let mut at = document;
    for step in steps {
        let parts = Parts::of(at)?;
        let found = match &parts {
            Parts::Array(_) => step.parse().ok().and_then(|index| parts.element(index)),
            parts => parts.member(step),
        };
        match found {
            Some(part) => at = part,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Where a key leads in a jsonb document, and in a json document, whose parts are shown as they are written.
struct Find {
    node: for<'a> fn(&'a Node, Key) -> Option<&'a Node>,
    written: for<'a> fn(&'a str, Key) -> crate::error::Result<Option<&'a str>>,
}

const STEP: Find = Find { node: step, written: written_step };
const PATH: Find = Find { node: walk, written: written_walk };

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
    steps(path)?.into_iter().try_fold(document, |found, name| match found {
        Node::Array(_) => step(found, Key::Index(name.parse().ok()?)),
        _ => step(found, Key::Name(name)),
    })
}

fn steps(path: &str) -> Option<Vec<&str>> {
    let steps = path.trim().strip_prefix('{')?.strip_suffix('}')?;
    let steps = steps.split(',').filter(|step| !step.is_empty());
    Some(steps.map(|step| step.trim().trim_matches('"')).collect())
}

fn select(
    args: &ScalarFunctionArgs,
    build: fn(Vec<Option<String>>, &DataType) -> Result<ArrayRef>,
    how: Find,
) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let documents = texts(&args.args[0], rows)?;
    let keys = args.args[1].to_array(rows)?;
    let names = keys.as_any().downcast_ref::<StringArray>();
    let indexes = keys.as_any().downcast_ref::<Int64Array>();
    let as_text = args.return_field.data_type() == &DataType::Utf8;
    let is_jsonb = !is_json(&args.args[0].data_type());
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        if documents.is_null(row) || keys.is_null(row) {
            found.push(None);
            continue;
        }
        let key = match (names, indexes) {
            (Some(names), _) => Key::Name(names.value(row)),
            (None, Some(indexes)) => Key::Index(indexes.value(row)),
            (None, None) => return Err(no_such_function("->", &[keys.data_type().clone()])),
        };
        if !is_jsonb {
            let part = (how.written)(documents.value(row), key).map_err(external)?;
            found.push(match (part, as_text) {
                (Some("null"), true) => None,
                (Some(part), true) if part.starts_with('"') => {
                    print(&Node::parse(part).map_err(external)?, true)
                }
                (part, _) => part.map(str::to_owned),
            });
            continue;
        }
        let document = Node::parse(documents.value(row)).map_err(external)?;
        // jsonb takes a scalar for an array of one.
        let is_scalar = matches!(document, Node::Plain(_) | Node::Text(_));
        if is_scalar && matches!(key, Key::Index(0 | -1)) {
            found.push(print(&document, as_text));
            continue;
        }
        found.push((how.node)(&document, key).and_then(|json| print(json, as_text)));
    }
    answer(build(found, args.return_field.data_type())?, constant)
}

fn as_document(found: Vec<Option<String>>, ty: &DataType) -> Result<ArrayRef> {
    let mut builder = Builder::new(&type_of_data_type(ty), found.len());
    for document in found {
        builder.append(&document.map_or(Value::Null, Value::Json)).map_err(external)?;
    }
    Ok(builder.finish())
}

fn as_text(found: Vec<Option<String>>, _ty: &DataType) -> Result<ArrayRef> {
    let mut builder = StringBuilder::new();
    found.into_iter().for_each(|json| builder.append_option(json));
    Ok(Arc::new(builder.finish()))
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
    let array = argument.to_array(rows)?;
    if let Some(documents) = array.as_list_opt::<i64>() {
        let text = |row| match documents.is_null(row) {
            true => Ok(None),
            false => lists::json(documents, row).map(Some),
        };
        return (0..documents.len()).map(text).collect::<crate::error::Result<_>>().map_err(external);
    }
    let array = cast(&array, &DataType::Utf8)?;
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
