//! Functions and operators of the extension hstore. They answer whether it was created or not.
//!
//! See <https://www.postgresql.org/docs/17/hstore.html>. What returns a set there returns an array here, which is
//! unnested; see `sql::set_functions`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::value::{Definition, functions as build, lenient, lenient_shown, strict};
use crate::types::cast::type_of;
use crate::types::hstore::{Pair, null_key, of_array, parse, text_of};
use crate::types::{Hstore, Look, Type, Value, json, text};

/// The value of a key.
pub const FETCH: &str = "fetchval";
/// The values of several keys.
pub const FETCH_ALL: &str = "slice_array";
/// An hstore without keys.
pub const DELETE: &str = "delete";
/// An hstore with a pair that is assigned to.
pub const ASSIGN: &str = "hither_assign_pair";

/// The function behind an operator of two hstores.
pub fn function_of_two(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "||" => "hs_concat",
        "@>" => "hs_contains",
        "<@" => "hs_contained",
        "-" => DELETE,
        _ => return None,
    })
}

/// The function behind an operator of an hstore and a key.
pub fn function_of_key(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "->" => FETCH,
        "?" => "exist",
        "-" => DELETE,
        _ => return None,
    })
}

/// The function behind an operator of an hstore and an array of keys.
pub fn function_of_keys(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "->" => FETCH_ALL,
        "?|" => "exists_any",
        "?&" => "exists_all",
        "-" => DELETE,
        _ => return None,
    })
}

/// What a literal on the right of an operator is; `None` for operators that are not hstore's alone.
pub fn type_on_right(operator: &str) -> Option<Type> {
    match operator {
        _ if function_of_two(operator).is_some() => Some(Type::Hstore),
        _ if function_of_key(operator).is_some() => Some(Type::Text),
        _ => function_of_keys(operator).map(|_| Type::Array(Box::new(Type::Text))),
    }
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("hstore(text[]) hstore", |v| of_array(items(&v[0])).map(Value::Hstore)),
        lenient("hstore(text[], text[]) hstore", |v| of_arrays(&v[0], &v[1])),
        lenient("hstore(text, text) hstore", |v| Ok(of_pair(&v[0], &v[1]))),
        lenient_shown("hstore(any) hstore", |look, v| of_record(look, &v[0])),
        lenient("tconvert(text, text) hstore", |v| Ok(of_pair(&v[0], &v[1]))),
        strict("fetchval(hstore, text) text", |v| Ok(fetched(hstore(&v[0])?, &v[1]))),
        strict("slice_array(hstore, text[]) text[]", |v| {
            let of = hstore(&v[0])?;
            Ok(Value::Array(items(&v[1]).iter().map(|key| fetched(of, key)).collect()))
        }),
        strict("slice(hstore, text[]) hstore", |v| {
            let of = hstore(&v[0])?;
            let pair = |key: &Value| {
                let key = text_of(key)?;
                let value = of.get(&key)?.map(str::to_owned);
                Some((key, value))
            };
            Ok(Value::Hstore(Hstore::new(items(&v[1]).iter().filter_map(pair).collect())))
        }),
        strict("exist(hstore, text) bool", |v| Ok(Value::Bool(has(hstore(&v[0])?, &v[1])))),
        strict("isexists(hstore, text) bool", |v| Ok(Value::Bool(has(hstore(&v[0])?, &v[1])))),
        strict("defined(hstore, text) bool", is_defined),
        strict("isdefined(hstore, text) bool", is_defined),
        strict("exists_any(hstore, text[]) bool", |v| {
            let of = hstore(&v[0])?;
            Ok(Value::Bool(items(&v[1]).iter().any(|key| has(of, key))))
        }),
        strict("exists_all(hstore, text[]) bool", |v| {
            let of = hstore(&v[0])?;
            // A NULL among the keys is none.
            Ok(Value::Bool(items(&v[1]).iter().all(|key| *key == Value::Null || has(of, key))))
        }),
        strict("delete(hstore, text) hstore", |v| without(&v[0], std::slice::from_ref(&v[1]))),
        strict("delete(hstore, text[]) hstore", |v| without(&v[0], items(&v[1]))),
        strict("delete(hstore, hstore) hstore", |v| {
            let other = hstore(&v[1])?;
            let kept = hstore(&v[0])?.filtered(|key, value| other.get(key) != Some(value));
            Ok(Value::Hstore(kept))
        }),
        strict("hs_concat(hstore, hstore) hstore", |v| {
            Ok(Value::Hstore(hstore(&v[0])?.concat(hstore(&v[1])?)))
        }),
        strict("hs_contains(hstore, hstore) bool", |v| {
            Ok(Value::Bool(hstore(&v[0])?.contains(hstore(&v[1])?)))
        }),
        strict("hs_contained(hstore, hstore) bool", |v| {
            Ok(Value::Bool(hstore(&v[1])?.contains(hstore(&v[0])?)))
        }),
        strict("akeys(hstore) text[]", |v| keys(&v[0])),
        strict("skeys(hstore) text[]", |v| keys(&v[0])),
        strict("hither_hstore_keys(hstore) text[]", |v| keys(&v[0])),
        strict("avals(hstore) text[]", |v| values(&v[0])),
        strict("svals(hstore) text[]", |v| values(&v[0])),
        strict("hither_hstore_values(hstore) text[]", |v| values(&v[0])),
        strict("hstore_to_array(hstore) text[]", |v| {
            listed(&v[0], |(key, value)| vec![Value::from(key), Value::from(value.clone())])
        }),
        strict("hstore_to_json(hstore) json", |v| Ok(Value::Json(hstore(&v[0])?.to_json(false)))),
        strict("hstore_to_json_loose(hstore) json", |v| Ok(Value::Json(hstore(&v[0])?.to_json(true)))),
        strict("hstore_to_jsonb(hstore) jsonb", |v| to_jsonb(&v[0], false)),
        strict("hstore_to_jsonb_loose(hstore) jsonb", |v| to_jsonb(&v[0], true)),
        lenient("hither_assign_pair(hstore, text, text) hstore", |v| assigned(&v[0], &v[1], &v[2])),
    ]
}

fn hstore(value: &Value) -> Result<&Hstore> {
    match value {
        Value::Hstore(hstore) => Ok(hstore),
        _ => Err(Error::internal("an hstore was expected")),
    }
}

fn items(value: &Value) -> &[Value] {
    if let Value::Array(items) = value { items } else { &[] }
}

fn has(hstore: &Hstore, key: &Value) -> bool {
    text_of(key).is_some_and(|key| hstore.has(&key))
}

fn is_defined(v: &[Value]) -> Result<Value> {
    Ok(Value::Bool(fetched(hstore(&v[0])?, &v[1]) != Value::Null))
}

fn fetched(hstore: &Hstore, key: &Value) -> Value {
    let key = text_of(key);
    Value::from(key.and_then(|key| hstore.get(&key).flatten()))
}

fn without(value: &Value, keys: &[Value]) -> Result<Value> {
    let keys: Vec<String> = keys.iter().filter_map(text_of).collect();
    Ok(Value::Hstore(hstore(value)?.filtered(|key, _| !keys.iter().any(|gone| gone == key))))
}

fn listed(value: &Value, items: fn(&Pair) -> Vec<Value>) -> Result<Value> {
    Ok(Value::Array(hstore(value)?.pairs().iter().flat_map(items).collect()))
}

fn keys(value: &Value) -> Result<Value> {
    listed(value, |(key, _)| vec![Value::from(key)])
}

fn values(value: &Value) -> Result<Value> {
    listed(value, |(_, value)| vec![Value::from(value.clone())])
}

fn to_jsonb(value: &Value, loose: bool) -> Result<Value> {
    json::normalise(&hstore(value)?.to_json(loose)).map(Value::Jsonb)
}

/// NULL for a key that is.
fn of_pair(key: &Value, value: &Value) -> Value {
    match text_of(key) {
        Some(key) => Value::Hstore(Hstore::new(vec![(key, text_of(value))])),
        None => Value::Null,
    }
}

/// Keys with values; all of these are NULL where there is no array of them.
fn of_arrays(keys: &Value, values: &Value) -> Result<Value> {
    let Value::Array(keys) = keys else { return Ok(Value::Null) };
    if let Value::Array(values) = values
        && values.len() != keys.len()
    {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "arrays must have same bounds"));
    }
    let values = items(values).iter().map(text_of).chain(std::iter::repeat(None));
    let pairs = keys.iter().zip(values).map(|(key, value)| Ok((text_of(key).ok_or_else(null_key)?, value)));
    Ok(Value::Hstore(Hstore::new(pairs.collect::<Result<_>>()?)))
}

/// The fields of a row as the session shows them. Of a text it is a cast, which PostgreSQL also lets look like a call.
fn of_record(look: Look, record: &Value) -> Result<Value> {
    let fields = match record {
        Value::Record(fields) => fields,
        Value::Null | Value::Hstore(_) => return Ok(record.clone()),
        Value::Text(text) => return parse(text).map(Value::Hstore),
        other => {
            let message = format!("function hstore({}) does not exist", type_of(other));
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
        }
    };
    let shown = |value: &Value| (*value != Value::Null).then(|| text::to_string_as(value, look));
    let pairs = fields.iter().map(|(name, value)| (name.to_string(), shown(value)));
    Ok(Value::Hstore(Hstore::new(pairs.collect())))
}

/// `SET h['a'] = '1'`
fn assigned(before: &Value, key: &Value, value: &Value) -> Result<Value> {
    let Some(key) = text_of(key) else {
        let message = "hstore subscript in assignment must not be null";
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    };
    let pair = Hstore::new(vec![(key, text_of(value))]);
    Ok(Value::Hstore(match before {
        Value::Null => pair,
        before => hstore(before)?.concat(&pair),
    }))
}
