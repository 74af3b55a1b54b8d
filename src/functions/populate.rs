//! Parts of documents as values of SQL's types: json_populate_record and its like, and what SQL/JSON returns.
//!
//! A document stays text here, json as it was written and jsonb in its normal form, and each part is looked at when its
//! value is made. An array is made of an array, a row of an object, and everything else of a text.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{Definition, functions as build, typed};
use crate::types::dimensions;
use crate::types::json::{self, Node, Parts};
use crate::types::{Look, Type, Value, text as texts};

/// `member(NULL::type, document, key)`: a member of an object as a value, or the first argument where there is none.
pub const MEMBER: &str = "hither_member";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        typed("jsonb_populate_record(any, jsonb) $1", record),
        typed("json_populate_record(any, json) $1", record),
        // Sets are unnested arrays.
        typed("jsonb_populate_recordset(any, jsonb) $1[]", |look, types, v| {
            record_set("jsonb_populate_recordset", look, types, v)
        }),
        typed("json_populate_recordset(any, json) $1[]", |look, types, v| {
            record_set("json_populate_recordset", look, types, v)
        }),
        typed("jsonb_populate_record_valid(any, jsonb) bool", |look, types, v| {
            Ok(match v[1] {
                Value::Null => Value::Null,
                _ => Value::Bool(record(look, types, v).is_ok()),
            })
        }),
        typed("hither_member(any, jsonb, text) $1", member),
        typed("hither_member(any, json, text) $1", member),
    ]
}

fn written(value: &Value) -> &str {
    match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text.trim_ascii(),
        _ => "null",
    }
}

fn record(look: Look, types: &[Type], v: &[Value]) -> Result<Value> {
    let function = Reader { look };
    match &v[1] {
        Value::Null => Ok(v[0].clone()),
        document => function.row(&types[0], &v[0], written(document)),
    }
}

fn record_set(name: &str, look: Look, types: &[Type], v: &[Value]) -> Result<Value> {
    if v[1] == Value::Null {
        return Ok(Value::Array(Vec::new()));
    }
    let refuse = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let items = match Parts::of(written(&v[1]))? {
        Parts::Array(items) => items,
        _ if name.starts_with("jsonb") => return refuse(format!("cannot call {name} on a non-array")),
        Parts::Object(_) => return refuse(format!("cannot call {name} on an object")),
        Parts::Scalar => return refuse(format!("cannot call {name} on a scalar")),
    };
    let row = |item: &str| match item.starts_with('{') {
        true => Reader { look }.row(&types[0], &v[0], item),
        false => refuse(format!("argument of {name} must be an array of objects")),
    };
    items.into_iter().map(row).collect::<Result<_>>().map(Value::Array)
}

fn member(look: Look, types: &[Type], v: &[Value]) -> Result<Value> {
    let (Value::Text(key), false) = (&v[2], v[1] == Value::Null) else { return Ok(v[0].clone()) };
    match object(written(&v[1]))?.member(key) {
        Some(part) => Reader { look }.value(&types[0], part, Some(key)),
        None => Ok(v[0].clone()),
    }
}

/// The parts of an object; 22023 for anything else.
fn object(text: &str) -> Result<Parts<'_>> {
    let refuse = |what: &str| {
        let message = format!("cannot call populate_composite on {what}");
        Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
    };
    match Parts::of(text)? {
        parts @ Parts::Object(_) => Ok(parts),
        Parts::Array(_) => refuse("an array"),
        Parts::Scalar => refuse("a scalar"),
    }
}

/// A part of a document as a value of a type.
pub fn value_of(look: Look, ty: &Type, part: &str) -> Result<Value> {
    Reader { look }.value(ty, part, None)
}

#[derive(Clone, Copy)]
struct Reader {
    look: Look,
}

impl Reader {
    fn value(self, ty: &Type, part: &str, key: Option<&str>) -> Result<Value> {
        let part = part.trim_ascii();
        if part == "null" {
            return Ok(Value::Null);
        }
        let is_string = part.starts_with('"');
        match ty {
            Type::Json => Ok(Value::Json(part.to_owned())),
            Type::Jsonb => json::normalise(part).map(Value::Jsonb),
            Type::Array(_) if !is_string => self.array(ty, part, key),
            Type::Composite(_) | Type::Record(_) if !is_string => self.row(ty, &Value::Null, part),
            ty => self.text(ty, &plain(part)?),
        }
    }

    /// A value as its type reads it.
    pub fn text(self, ty: &Type, text: &str) -> Result<Value> {
        texts::parse_as(ty, text, self.look)
    }

    /// A row of an object, with the fields of another where it has none.
    fn row(self, ty: &Type, base: &Value, part: &str) -> Result<Value> {
        let members = object(part)?;
        let fields: Vec<(&str, &Type)> = match ty {
            Type::Composite(composite) => {
                composite.fields.iter().map(|field| (field.name.as_str(), &field.ty)).collect()
            }
            Type::Record(fields) => fields.iter().map(|field| (field.name.as_str(), &field.ty)).collect(),
            _ => {
                let message = "first argument of json_populate_record must be a row type";
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
        };
        let field = |(place, (name, ty)): (usize, (&str, &Type))| {
            let value = match members.member(name) {
                Some(part) => self.value(ty, part, Some(name))?,
                None => match base {
                    Value::Record(fields) => {
                        fields.get(place).map_or(Value::Null, |(_, value)| value.clone())
                    }
                    _ => Value::Null,
                },
            };
            Ok((name.into(), value))
        };
        fields.into_iter().enumerate().map(field).collect::<Result<_>>().map(Value::Record)
    }

    fn array(self, ty: &Type, part: &str, key: Option<&str>) -> Result<Value> {
        let mut depth = 0;
        let mut first = Some(part);
        while let Some(inner) = first.filter(|inner| inner.starts_with('[')) {
            depth += 1;
            first = match Parts::of(inner)? {
                Parts::Array(items) => items.first().copied(),
                _ => None,
            };
        }
        let mut array = Array { reader: self, element: ty.element(), key, depth, lengths: vec![None; depth] };
        let value = array.level(part, &mut Vec::new())?;
        let is_empty = matches!(&value, Value::Array(items) if items.is_empty());
        if depth != ty.dimensions() && !is_empty {
            return Err(dimensions::other_dimensions(depth, ty));
        }
        Ok(value)
    }
}

/// An array of arrays while it is read: its innermost arrays are where the first of them is.
struct Array<'a> {
    reader: Reader,
    element: &'a Type,
    key: Option<&'a str>,
    depth: usize,
    /// Of arrays at each level, once one was seen.
    lengths: Vec<Option<usize>>,
}

impl Array<'_> {
    fn level(&mut self, part: &str, at: &mut Vec<usize>) -> Result<Value> {
        let Parts::Array(items) = Parts::of(part)? else { return Err(self.no_array(at)) };
        let level = at.len();
        let mut values = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            values.push(if level + 1 < self.depth {
                at.push(place);
                let value = self.level(item, at)?;
                at.pop();
                value
            } else {
                self.reader.value(self.element, item, self.key)?
            });
        }
        match self.lengths[level].replace(items.len()) {
            Some(length) if length != items.len() => {
                let detail = "Multidimensional arrays must have sub-arrays with matching dimensions.";
                Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array").detail(detail))
            }
            _ => Ok(Value::Array(values)),
        }
    }

    fn no_array(&self, at: &[usize]) -> Error {
        let error = Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array");
        let places: String = at.iter().map(|place| format!("[{place}]")).collect();
        match (self.key, places.as_str()) {
            (Some(key), "") => error.hint(format!("See the value of key \"{key}\".")),
            (Some(key), places) => error.hint(format!("See the array element {places} of key \"{key}\".")),
            (None, "") => error,
            (None, places) => error.hint(format!("See the array element {places}.")),
        }
    }
}

/// A part as text: a string without its quotes, anything else as it is written.
fn plain(part: &str) -> Result<String> {
    match part.starts_with('"') {
        true => match Node::parse(part)? {
            Node::Text(text) => Ok(text),
            node => Ok(node.to_text()),
        },
        false => Ok(part.to_owned()),
    }
}
