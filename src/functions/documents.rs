//! Functions that make, change and take apart json and jsonb.
//!
//! jsonb is changed as a tree of `types::json`, which keeps numbers as they are written and keys in jsonb's order.
//! json made from values keeps the spaces PostgreSQL puts there.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::json::written_along;
use crate::functions::value::{Definition, functions as build, lenient, lenient_shown, shown, strict};
use crate::types::json::{self, Key, Node, Parts, print_string};
use crate::types::{DateStyle, Look, Value, text as texts};

// Changed documents.
mod changes;

use changes::{
    concatenated, delete_path, insert, pretty, set, set_lax, stripped, without_index, without_keys,
};

/// Makes a row, as json, of names and values.
pub const RECORD: &str = "hither_record";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// The function behind an operator on jsonb, by whether its right operand is a document, an array or an integer.
pub fn function_of_operator(operator: &str, right_is_document: bool) -> Option<&'static str> {
    Some(match operator {
        "||" => "jsonb_concat",
        "-" if !right_is_document => "jsonb_delete",
        "#-" => "jsonb_delete_path",
        "?|" => "jsonb_exists_any",
        "?&" => "jsonb_exists_all",
        "<@" => "jsonb_contained",
        _ => return None,
    })
}

fn definitions() -> Vec<Definition> {
    vec![
        shown("to_jsonb(any) jsonb", |look, v| Ok(Value::Jsonb(node_of(look, &v[0])?.to_text()))),
        shown("to_json(any) json", |look, v| Ok(Value::Json(json_text(look, &v[0])))),
        lenient("jsonb_build_object() jsonb", |_| Ok(Value::Jsonb("{}".to_owned()))),
        lenient_shown("jsonb_build_object(any...) jsonb", |look, v| {
            let mut entries = BTreeMap::new();
            for (key, value) in pairs(v, "jsonb")? {
                entries.insert(Key::new(&key), node_of(look, value)?);
            }
            Ok(Value::Jsonb(Node::Object(entries).to_text()))
        }),
        lenient("json_build_object() json", |_| Ok(Value::Json("{}".to_owned()))),
        lenient_shown("json_build_object(any...) json", |look, v| {
            let entries = pairs(v, "json")?.into_iter().map(|(key, value)| {
                let mut out = String::new();
                print_string(&key, &mut out);
                format!("{out} : {}", json_text(look, value))
            });
            Ok(Value::Json(format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))))
        }),
        lenient("jsonb_build_array() jsonb", |_| Ok(Value::Jsonb("[]".to_owned()))),
        lenient_shown("jsonb_build_array(any...) jsonb", |look, v| {
            let items = v.iter().map(|value| node_of(look, value)).collect::<Result<_>>()?;
            Ok(Value::Jsonb(Node::Array(items).to_text()))
        }),
        lenient("json_build_array() json", |_| Ok(Value::Json("[]".to_owned()))),
        lenient_shown("json_build_array(any...) json", |look, v| {
            let items: Vec<String> = v.iter().map(|value| json_text(look, value)).collect();
            Ok(Value::Json(format!("[{}]", items.join(", "))))
        }),
        // A row: names and values.
        lenient_shown("hither_record(any...) json", |look, v| {
            let fields = v.as_chunks::<2>().0.iter().map(|[name, value]| {
                let mut out = String::new();
                print_string(text(name), &mut out);
                format!("{out}:{}", json_text(look, value))
            });
            Ok(Value::Json(format!("{{{}}}", fields.collect::<Vec<_>>().join(","))))
        }),
        shown("array_to_json(any, bool) json", |look, v| match &v[0] {
            Value::Array(items) if v[1] == Value::Bool(true) => {
                let items: Vec<String> = items.iter().map(|item| json_text(look, item)).collect();
                Ok(Value::Json(format!("[{}]", items.join(",\n "))))
            }
            Value::Array(_) => Ok(Value::Json(json_text(look, &v[0]))),
            other => Err(no_such_argument("array_to_json", other)),
        }),
        shown("array_to_json(any) json", |look, v| match &v[0] {
            Value::Array(_) => Ok(Value::Json(json_text(look, &v[0]))),
            other => Err(no_such_argument("array_to_json", other)),
        }),
        // `IS JSON`.
        strict("hither_is_json(text, text, bool) bool", |v| match v {
            [Value::Text(text), Value::Text(kind), Value::Bool(unique)] => {
                Ok(Value::Bool(json::is_of_kind(text, kind, *unique)))
            }
            _ => Ok(Value::Null),
        }),
        strict("row_to_json(json) json", |v| Ok(v[0].clone())),
        strict("row_to_json(json, bool) json", |v| match (Parts::of(text(&v[0]))?, &v[1]) {
            // A field a line.
            (Parts::Object(fields), Value::Bool(true)) => {
                let field = |(name, value): (String, &str)| {
                    let mut out = String::new();
                    print_string(&name, &mut out);
                    format!("{out}:{value}")
                };
                let fields: Vec<String> = fields.into_iter().map(field).collect();
                Ok(Value::Json(format!("{{{}}}", fields.join(",\n "))))
            }
            _ => Ok(v[0].clone()),
        }),
        shown("row_to_json(any) json", |look, v| match &v[0] {
            Value::Record(_) => Ok(Value::Json(json_text(look, &v[0]))),
            other => Err(no_such_argument("row_to_json", other)),
        }),
        strict("json_object(text[]) json", |v| json_object(&pairs_of(items_of(&v[0]))?)),
        strict("json_object(text[], text[]) json", |v| {
            json_object(&zipped(items_of(&v[0]), items_of(&v[1]))?)
        }),
        strict("jsonb_object(text[]) jsonb", |v| jsonb_object(&pairs_of(items_of(&v[0]))?)),
        strict("jsonb_object(text[], text[]) jsonb", |v| {
            jsonb_object(&zipped(items_of(&v[0]), items_of(&v[1]))?)
        }),
        // What json_agg, jsonb_agg and jsonb_object_agg make of array_agg.
        shown("jsonb_agg_items(any) jsonb", |look, v| Ok(Value::Jsonb(node_of(look, &v[0])?.to_text()))),
        shown("json_agg_items(any) json", |look, v| match &v[0] {
            Value::Array(items) => {
                let mut out = String::from("[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        // Each array begins a line.
                        out.push_str(if matches!(item, Value::Array(_)) { ", \n " } else { ", " });
                    }
                    out.push_str(&json_text(look, item));
                }
                out.push(']');
                Ok(Value::Json(out))
            }
            _ => Ok(Value::Null),
        }),
        shown("jsonb_object_agg_items(any, any) jsonb", |look, v| match (&v[0], &v[1]) {
            (Value::Array(keys), Value::Array(values)) => {
                let mut entries = BTreeMap::new();
                for (key, value) in keys.iter().zip(values) {
                    if *key == Value::Null {
                        let message = "field name must not be null";
                        return Err(Error::new(SqlState("22023"), message));
                    }
                    entries.insert(Key::new(&texts::to_string(key)), node_of(look, value)?);
                }
                Ok(Value::Jsonb(Node::Object(entries).to_text()))
            }
            _ => Ok(Value::Null),
        }),
        // Each row begins a line.
        strict("json_agg_records_items(json[]) json", |v| {
            let rows: Vec<&str> = items_of(&v[0])
                .iter()
                .map(|row| match row {
                    Value::Json(row) => row.as_str(),
                    _ => "null",
                })
                .collect();
            Ok(Value::Json(format!("[{}]", rows.join(", \n "))))
        }),
        shown("json_object_agg_items(any, any) json", |look, v| match (&v[0], &v[1]) {
            (Value::Array(keys), Value::Array(values)) => {
                let mut entries = Vec::with_capacity(keys.len());
                for (key, value) in keys.iter().zip(values) {
                    if *key == Value::Null {
                        let message = "null value not allowed for object key";
                        return Err(Error::new(SqlState("22004"), message));
                    }
                    let mut out = String::new();
                    print_string(&texts::to_string(key), &mut out);
                    entries.push(format!("{out} : {}", json_text(look, value)));
                }
                Ok(Value::Json(format!("{{ {} }}", entries.join(", "))))
            }
            _ => Ok(Value::Null),
        }),
        strict("jsonb_set(jsonb, text[], jsonb) jsonb", |v| set(v, true)),
        strict("jsonb_set(jsonb, text[], jsonb, bool) jsonb", |v| set(v, v[3] == Value::Bool(true))),
        lenient("jsonb_set_lax(jsonb, text[], jsonb) jsonb", set_lax),
        lenient("jsonb_set_lax(jsonb, text[], jsonb, bool) jsonb", set_lax),
        lenient("jsonb_set_lax(jsonb, text[], jsonb, bool, text) jsonb", set_lax),
        strict("jsonb_insert(jsonb, text[], jsonb) jsonb", |v| insert(v, false)),
        strict("jsonb_insert(jsonb, text[], jsonb, bool) jsonb", |v| insert(v, v[3] == Value::Bool(true))),
        strict("jsonb_strip_nulls(jsonb) jsonb", |v| Ok(document(stripped(node(&v[0])?)))),
        strict("jsonb_pretty(jsonb) text", |v| {
            let mut out = String::new();
            pretty(&node(&v[0])?, 0, &mut out);
            Ok(Value::Text(out))
        }),
        strict("jsonb_concat(jsonb, jsonb) jsonb", |v| {
            Ok(document(concatenated(node(&v[0])?, node(&v[1])?)))
        }),
        strict("jsonb_delete(jsonb, text) jsonb", |v| without_keys(node(&v[0])?, &[text(&v[1])])),
        strict("jsonb_delete(jsonb, int4) jsonb", |v| without_index(node(&v[0])?, &v[1])),
        strict("jsonb_delete(jsonb, text[]) jsonb", |v| {
            without_keys(node(&v[0])?, &names(&v[1]).collect::<Vec<_>>())
        }),
        strict("jsonb_delete_path(jsonb, text[]) jsonb", |v| {
            let mut document_ = node(&v[0])?;
            delete_path(&mut document_, &path(&v[1])?)?;
            Ok(document(document_))
        }),
        strict("jsonb_exists_any(jsonb, text[]) bool", |v| {
            let document = node(&v[0])?;
            Ok(Value::Bool(names(&v[1]).any(|key| has(&document, key))))
        }),
        strict("jsonb_exists_all(jsonb, text[]) bool", |v| {
            let document = node(&v[0])?;
            Ok(Value::Bool(names(&v[1]).all(|key| has(&document, key))))
        }),
        strict("jsonb_contained(jsonb, jsonb) bool", |v| {
            Ok(Value::Bool(contains(&node(&v[1])?, &node(&v[0])?, true)))
        }),
        strict("jsonb_extract_path(jsonb, text...) jsonb", |v| Ok(found(v)?.map_or(Value::Null, document))),
        strict("jsonb_extract_path_text(jsonb, text...) text", |v| {
            Ok(found(v)?.map_or(Value::Null, |node| plain_text(&node)))
        }),
        strict("json_extract_path_text(json, text...) text", |v| {
            written_part(v)?.map_or(Ok(Value::Null), written_text)
        }),
        strict("json_extract_path(json, text...) json", |v| {
            Ok(written_part(v)?.map_or(Value::Null, |part| Value::Json(part.to_owned())))
        }),
        strict("json_strip_nulls(json) json", |v| Ok(Value::Json(written_without_nulls(text(&v[0]))?))),
        strict("json_typeof(json) text", |v| Ok(Value::Text(type_name(&node(&v[0])?).to_owned()))),
        strict("json_array_length(json) int4", |v| {
            Ok(Value::Int4(items(node(&v[0])?, "json_array_length")?.len() as i32))
        }),
        // Set-returning functions are unnested arrays.
        strict("jsonb_array_elements(jsonb) jsonb[]", |v| {
            let items = items(node(&v[0])?, "jsonb_array_elements")?;
            Ok(Value::Array(items.into_iter().map(document).collect()))
        }),
        strict("jsonb_array_elements_text(jsonb) text[]", |v| {
            let items = items(node(&v[0])?, "jsonb_array_elements_text")?;
            Ok(Value::Array(items.iter().map(plain_text).collect()))
        }),
        strict("json_array_elements(json) json[]", |v| {
            let items = written_items(&v[0], "json_array_elements")?;
            Ok(Value::Array(items.into_iter().map(|item| Value::Json(item.to_owned())).collect()))
        }),
        strict("json_array_elements_text(json) text[]", |v| {
            let texts = written_items(&v[0], "json_array_elements_text")?.into_iter().map(written_text);
            Ok(Value::Array(texts.collect::<Result<_>>()?))
        }),
        strict("hither_json_keys(jsonb) text[]", |v| Ok(each(v)?.0)),
        strict("hither_written_keys(json) text[]", |v| {
            let keys = entries(&v[0])?.into_iter().map(|(key, _)| Value::Text(key));
            Ok(Value::Array(keys.collect()))
        }),
        strict("hither_written_values(json) json[]", |v| {
            let values = entries(&v[0])?.into_iter().map(|(_, value)| Value::Json(value.to_owned()));
            Ok(Value::Array(values.collect()))
        }),
        strict("hither_written_texts(json) text[]", |v| {
            let texts = entries(&v[0])?.into_iter().map(|(_, value)| written_text(value));
            Ok(Value::Array(texts.collect::<Result<_>>()?))
        }),
        strict("hither_json_values(jsonb) jsonb[]", |v| {
            Ok(Value::Array(each(v)?.1.into_iter().map(document).collect()))
        }),
        strict("hither_json_texts(jsonb) text[]", |v| {
            Ok(Value::Array(each(v)?.1.iter().map(plain_text).collect()))
        }),
        strict("jsonb_object_keys(jsonb) text[]", |v| keys(node(&v[0])?, "jsonb_object_keys")),
        strict("json_object_keys(json) text[]", |v| keys(node(&v[0])?, "json_object_keys")),
    ]
}

/// The elements of a `json` array as they are written.
fn written_items<'a>(array: &'a Value, function: &str) -> Result<Vec<&'a str>> {
    match Parts::of(text(array))? {
        Parts::Array(items) => Ok(items),
        other => Err(no_array(other, function)),
    }
}

/// The complaint about an argument of another type.
fn no_such_argument(function: &str, value: &Value) -> Error {
    let ty = crate::types::cast::type_of(value);
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {function}({ty}) does not exist")).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )
}

fn items_of(value: &Value) -> &[Value] {
    if let Value::Array(items) = value { items } else { &[] }
}

type Pair<'a> = (&'a Value, &'a Value);

/// Keys and values by turns.
fn pairs_of(items: &[Value]) -> Result<Vec<Pair<'_>>> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (key, value)).collect()),
        _ => Err(Error::new(SqlState("2202E"), "array must have even number of elements")),
    }
}

fn zipped<'a>(keys: &'a [Value], values: &'a [Value]) -> Result<Vec<Pair<'a>>> {
    match keys.len() == values.len() {
        true => Ok(keys.iter().zip(values).collect()),
        false => Err(Error::new(SqlState("2202E"), "mismatched array dimensions")),
    }
}

fn key_of(key: &Value) -> Result<&str> {
    match key {
        Value::Null => Err(Error::new(SqlState("22004"), "null value not allowed for object key")),
        key => Ok(text(key)),
    }
}

fn json_object(pairs: &[Pair]) -> Result<Value> {
    let entry = |(key, value): &Pair| {
        let mut out = String::new();
        print_string(key_of(key)?, &mut out);
        out.push_str(" : ");
        match value {
            Value::Null => out.push_str("null"),
            value => print_string(text(value), &mut out),
        }
        Ok(out)
    };
    let entries = pairs.iter().map(entry).collect::<Result<Vec<_>>>()?;
    Ok(Value::Json(format!("{{{}}}", entries.join(", "))))
}

fn jsonb_object(pairs: &[Pair]) -> Result<Value> {
    let entry = |(key, value): &Pair| {
        let value = if **value == Value::Null { Node::null() } else { Node::Text(text(value).to_owned()) };
        Ok((Key::new(key_of(key)?), value))
    };
    Ok(document(Node::Object(pairs.iter().map(entry).collect::<Result<_>>()?)))
}

/// The text of a document, or a text.
pub fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text,
        _ => "",
    }
}

fn node(value: &Value) -> Result<Node> {
    Node::parse(text(value))
}

fn document(node: Node) -> Value {
    Value::Jsonb(node.to_text())
}

/// A value as a part of a jsonb document.
pub fn node_of(look: Look, value: &Value) -> Result<Node> {
    Ok(match value {
        Value::Null => Node::null(),
        Value::Bool(value) => Node::Plain(value.to_string()),
        Value::Float8(number) if !number.is_finite() => Node::Text(texts::to_string(value)),
        Value::Numeric(number) if !number.is_finite() => Node::Text(texts::to_string(value)),
        Value::Float4(number) if !number.is_finite() => Node::Text(texts::to_string(value)),
        Value::Int2(_)
        | Value::Int4(_)
        | Value::Int8(_)
        | Value::Float4(_)
        | Value::Float8(_)
        | Value::Numeric(_) => Node::parse(&texts::to_string(value))?,
        Value::Json(text) | Value::Jsonb(text) => Node::parse(text)?,
        Value::Array(items) => {
            Node::Array(items.iter().map(|item| node_of(look, item)).collect::<Result<_>>()?)
        }
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((Key::new(name), node_of(look, value)?)));
            Node::Object(fields.collect::<Result<_>>()?)
        }
        value => Node::Text(moment_text(look, value)),
    })
}

/// A value as json text.
pub fn json_text(look: Look, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) => texts::to_string(value),
        Value::Numeric(number) if number.is_finite() => texts::to_string(value),
        Value::Float8(number) if number.is_finite() => texts::to_string(value),
        Value::Float4(number) if number.is_finite() => texts::to_string(value),
        Value::Json(text) | Value::Jsonb(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| json_text(look, item)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let mut field = String::new();
                print_string(name, &mut field);
                format!("{field}:{}", json_text(look, value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        value => {
            let mut out = String::new();
            print_string(&moment_text(look, value), &mut out);
            out
        }
    }
}

/// Moments have a T between date and time, and a zone with minutes.
fn moment_text(look: Look, value: &Value) -> String {
    let look = match value {
        Value::Date(_) | Value::Timestamp(_) | Value::Timestamptz(_) => {
            Look { dates: DateStyle::ISO, ..look }
        }
        _ => look,
    };
    let text = texts::to_string_as(value, look);
    match value {
        Value::Timestamp(_) => text.replacen(' ', "T", 1),
        Value::Timestamptz(_) => {
            let text = text.replacen(' ', "T", 1);
            let minutes = text.len() >= 3 && matches!(text.as_bytes()[text.len() - 3], b'+' | b'-');
            if minutes { format!("{text}:00") } else { text }
        }
        _ => text,
    }
}

/// Arguments as keys and values, of the function of `json` or `jsonb`.
fn pairs<'v>(arguments: &'v [Value], ty: &str) -> Result<Vec<(String, &'v Value)>> {
    if !arguments.len().is_multiple_of(2) {
        let error = Error::new(SqlState("22023"), "argument list must have even number of elements");
        return Err(error.hint(format!(
            "The arguments of {ty}_build_object() must consist of alternating keys and values."
        )));
    }
    let key = |(index, key): (usize, &Value)| match key {
        Value::Null if ty == "jsonb" => {
            Err(Error::new(SqlState("22023"), format!("argument {}: key must not be null", index * 2 + 1)))
        }
        key => key_text(key),
    };
    arguments
        .chunks_exact(2)
        .enumerate()
        .map(|(index, chunk)| Ok((key((index, &chunk[0]))?, &chunk[1])))
        .collect()
}

/// What may be a member's name.
pub fn key_text(key: &Value) -> Result<String> {
    match key {
        Value::Null => Err(Error::new(SqlState("22004"), "null value not allowed for object key")),
        Value::Array(_) | Value::Record(_) | Value::Json(_) | Value::Jsonb(_) => {
            let message = "key value must be scalar, not array, composite, or json";
            Err(Error::new(SqlState("22023"), message))
        }
        key => Ok(texts::to_string(key)),
    }
}

fn path(value: &Value) -> Result<Vec<&str>> {
    let Value::Array(steps) = value else { return Ok(Vec::new()) };
    let step = |(index, step): (usize, &'_ Value)| match step {
        Value::Null => {
            let message = format!("path element at position {} is null", index + 1);
            Some(Error::new(SqlState("22004"), message))
        }
        _ => None,
    };
    if let Some(error) = steps.iter().enumerate().find_map(step) {
        return Err(error);
    }
    Ok(steps.iter().map(text).collect())
}

/// The texts of an array that are not NULL.
fn names(value: &Value) -> impl Iterator<Item = &str> {
    let items = if let Value::Array(items) = value { items.as_slice() } else { &[] };
    items.iter().filter(|item| **item != Value::Null).map(text)
}

/// The position an index means in an array; negative ones count from its end.
fn position(step: &str, length: usize) -> Option<i64> {
    let index: i64 = step.parse().ok()?;
    Some(if index < 0 { index + length as i64 } else { index })
}

fn step_in<'a>(node: &'a mut Node, step: &str) -> Option<&'a mut Node> {
    match node {
        Node::Object(entries) => entries.get_mut(&Key::new(step)),
        Node::Array(items) => {
            let at = usize::try_from(position(step, items.len())?).ok()?;
            items.get_mut(at)
        }
        _ => None,
    }
}

fn found(v: &[Value]) -> Result<Option<Node>> {
    let mut document = node(&v[0])?;
    let mut at = &mut document;
    for step in &v[1..] {
        match step_in(at, text(step)) {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at.clone()))
}

/// The part of a json document at the end of a path, as it is written.
fn written_part(v: &[Value]) -> Result<Option<&str>> {
    written_along(text(&v[0]), v[1..].iter().map(text))
}

/// A part as text: a string without its quotes, null as NULL, anything else as it is written.
fn written_text(part: &str) -> Result<Value> {
    match part.trim() {
        "null" => Ok(Value::Null),
        part if part.starts_with('"') => Ok(plain_text(&Node::parse(part)?)),
        part => Ok(Value::Text(part.to_owned())),
    }
}

/// json without the fields that are null, and without spaces.
fn written_without_nulls(text: &str) -> Result<String> {
    Ok(match Parts::of(text)? {
        Parts::Scalar => text.trim().to_owned(),
        Parts::Array(items) => {
            let items: Vec<String> = items.into_iter().map(written_without_nulls).collect::<Result<_>>()?;
            format!("[{}]", items.join(","))
        }
        Parts::Object(entries) => {
            let kept = entries.into_iter().filter(|(_, value)| *value != "null");
            let shown = kept.map(|(key, value)| {
                let mut out = String::new();
                print_string(&key, &mut out);
                Ok(format!("{out}:{}", written_without_nulls(value)?))
            });
            format!("{{{}}}", shown.collect::<Result<Vec<_>>>()?.join(","))
        }
    })
}

/// The entries of a json object.
fn entries(value: &Value) -> Result<Vec<(String, &str)>> {
    match Parts::of(text(value))? {
        Parts::Object(entries) => Ok(entries),
        Parts::Array(_) => Err(Error::new(SqlState("22023"), "cannot deconstruct an array as an object")),
        Parts::Scalar => Err(Error::new(SqlState("22023"), "cannot deconstruct a scalar")),
    }
}

fn no_array(parts: Parts, function: &str) -> Error {
    let found = if parts == Parts::Scalar { "scalar" } else { "non-array" };
    Error::new(SqlState("22023"), format!("cannot call {function} on a {found}"))
}

fn plain_text(node: &Node) -> Value {
    match node {
        Node::Text(text) => Value::Text(text.clone()),
        node if node.is_null() => Value::Null,
        node => Value::Text(node.to_text()),
    }
}

fn no_integer(step: &str, at: usize) -> Error {
    let message = format!("path element at position {at} is not an integer: \"{step}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// A scalar has no paths to change.
fn refuse_scalar(document: &Node, change: &str) -> Result<()> {
    match document {
        Node::Plain(_) | Node::Text(_) => {
            Err(Error::new(SqlState("22023"), format!("cannot {change} path in scalar")))
        }
        _ => Ok(()),
    }
}

fn has(document: &Node, key: &str) -> bool {
    match document {
        Node::Object(entries) => entries.contains_key(&Key::new(key)),
        Node::Array(items) => items.iter().any(|item| matches!(item, Node::Text(text) if text == key)),
        Node::Text(text) => text == key,
        Node::Plain(_) => false,
    }
}

/// jsonb containment; at the top an array also contains a bare scalar.
fn contains(outer: &Node, inner: &Node, top: bool) -> bool {
    match (outer, inner) {
        (Node::Object(outer), Node::Object(inner)) => {
            inner.iter().all(|(key, value)| outer.get(key).is_some_and(|found| contains(found, value, false)))
        }
        (Node::Array(outer), Node::Array(inner)) => {
            inner.iter().all(|item| outer.iter().any(|found| contains(found, item, false)))
        }
        (Node::Array(outer), inner @ (Node::Plain(_) | Node::Text(_))) if top => {
            outer.iter().any(|item| equal(item, inner))
        }
        (outer, inner) => equal(outer, inner),
    }
}

/// Numbers are equal by value: 1 and 1.0.
fn equal(left: &Node, right: &Node) -> bool {
    match (left, right) {
        (Node::Plain(a), Node::Plain(b)) => {
            let number = |text: &str| crate::types::numeric::parse(text).ok().map(|number| number.trimmed());
            a == b || number(a).is_some() && number(a) == number(b)
        }
        (left, right) => left == right,
    }
}

fn type_name(node: &Node) -> &'static str {
    match node {
        Node::Object(_) => "object",
        Node::Array(_) => "array",
        Node::Text(_) => "string",
        Node::Plain(text) if text == "null" => "null",
        Node::Plain(text) if text == "true" || text == "false" => "boolean",
        Node::Plain(_) => "number",
    }
}

fn items(node: Node, function: &str) -> Result<Vec<Node>> {
    match node {
        Node::Array(items) => Ok(items),
        node => {
            let message = match (function.ends_with("length"), &node) {
                (true, Node::Object(_)) => "cannot get array length of a non-array",
                (true, _) => "cannot get array length of a scalar",
                (false, Node::Object(_)) => "cannot extract elements from an object",
                (false, _) => "cannot extract elements from a scalar",
            };
            Err(Error::new(SqlState("22023"), message))
        }
    }
}

/// The keys and the values of an object: jsonb_each and jsonb_each_text.
fn each(v: &[Value]) -> Result<(Value, Vec<Node>)> {
    match node(&v[0])? {
        Node::Object(entries) => {
            let (keys, values): (Vec<_>, Vec<_>) =
                entries.into_iter().map(|(key, value)| (Value::Text(key.text), value)).unzip();
            Ok((Value::Array(keys), values))
        }
        _ => Err(Error::new(SqlState("22023"), "cannot call jsonb_each on a non-object")),
    }
}

fn keys(node: Node, function: &str) -> Result<Value> {
    match node {
        Node::Object(entries) => {
            Ok(Value::Array(entries.into_keys().map(|key| Value::Text(key.text)).collect()))
        }
        Node::Array(_) => Err(Error::new(SqlState("22023"), format!("cannot call {function} on an array"))),
        _ => Err(Error::new(SqlState("22023"), format!("cannot call {function} on a scalar"))),
    }
}
