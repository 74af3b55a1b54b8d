//! What a path finds in a document: jsonb_path_query and its like, and the operators `@?` and `@@`.
//!
//! `evaluation` goes through a path, `methods` are what stands behind a dot with brackets, `moments` the dates and times
//! among the items. Functions that end in `_tz` may look at the session's time zone; those that do not complain where it
//! would matter.

mod evaluation;
mod methods;
pub mod moments;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub use evaluation::{Item, Search, Variables};

use crate::error::{Error, Result, SqlState};
use crate::functions::documents::text;
use crate::functions::regex;
use crate::functions::value::{Definition, functions as build, strict, zoned};
use crate::types::json::Node;
use crate::types::jsonpath::Path;
use crate::types::{Value, Zone};

pub const SINGLETON_REQUIRED: SqlState = SqlState("22038");

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// 2201B where a regular expression of a path is none. The layer of types has no engine for them.
pub fn check_patterns(path: &str) -> Result<()> {
    for (pattern, flags) in Path::parse(path)?.patterns() {
        regex::pattern(pattern, &evaluation::regex_flags(flags))?;
    }
    Ok(())
}

/// The function behind an operator on jsonb and a path.
pub fn function_of_operator(operator: &str) -> Option<&'static str> {
    match operator {
        "@?" => Some("jsonb_path_exists_opr"),
        "@@" => Some("jsonb_path_match_opr"),
        _ => None,
    }
}

/// A function of a path with its optional arguments, and its twin that may look at the session's time zone.
macro_rules! of_path {
    ($name:literal, $returns:literal, $call:ident) => {
        [
            zoned(concat!($name, "(jsonb, jsonpath) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, false)?)
            }),
            zoned(concat!($name, "(jsonb, jsonpath, jsonb) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, false)?)
            }),
            zoned(concat!($name, "(jsonb, jsonpath, jsonb, bool) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, false)?)
            }),
            zoned(concat!($name, "_tz(jsonb, jsonpath) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, true)?)
            }),
            zoned(concat!($name, "_tz(jsonb, jsonpath, jsonb) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, true)?)
            }),
            zoned(concat!($name, "_tz(jsonb, jsonpath, jsonb, bool) ", $returns), |zone, v| {
                $call(&Asked::new(v, zone, true)?)
            }),
        ]
    };
}

fn definitions() -> Vec<Definition> {
    // Sets are unnested arrays.
    let families = [
        of_path!("jsonb_path_exists", "bool", exists),
        of_path!("jsonb_path_match", "bool", matches),
        of_path!("jsonb_path_query", "jsonb[]", query),
        of_path!("jsonb_path_query_array", "jsonb", query_array),
        of_path!("jsonb_path_query_first", "jsonb", query_first),
    ];
    let mut all: Vec<Definition> = families.into_iter().flatten().collect();
    all.push(strict("jsonb_path_exists_opr(jsonb, jsonpath) bool", |v| exists(&Asked::quietly(v)?)));
    all.push(strict("jsonb_path_match_opr(jsonb, jsonpath) bool", |v| matches(&Asked::quietly(v)?)));
    all
}

/// What a call asks.
struct Asked {
    document: Node,
    path: Path,
    variables: Variables,
    silent: bool,
    zones: moments::ZoneUse,
}

impl Asked {
    fn new(v: &[Value], zone: Zone, allowed: bool) -> Result<Asked> {
        let variables = match v.get(2).map(|vars| Node::parse(text(vars))).transpose()? {
            None => BTreeMap::new(),
            Some(Node::Object(entries)) => {
                entries.into_iter().map(|(key, value)| (key.text, Item::from(value))).collect()
            }
            Some(_) => {
                let error =
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, "\"vars\" argument is not an object");
                let detail = "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.";
                return Err(error.detail(detail));
            }
        };
        Ok(Asked {
            document: Node::parse(text(&v[0]))?,
            path: Path::parse(text(&v[1]))?,
            variables,
            silent: v.get(3) == Some(&Value::Bool(true)),
            zones: moments::ZoneUse { zone, allowed },
        })
    }

    /// For an operator, which has no errors.
    fn quietly(v: &[Value]) -> Result<Asked> {
        Ok(Asked { silent: true, ..Asked::new(v, Zone::UTC, false)? })
    }

    fn search(&self) -> Search<'_> {
        Search::new(&self.document, &self.path, &self.variables, self.zones)
    }

    /// The items found; where errors are silent those before the first.
    fn found(&self) -> Result<Vec<Node>> {
        let (items, failure) = self.search().items();
        match failure {
            Some(failure) if !self.silent || failure.is_hard() => Err(failure.into()),
            _ => Ok(items.into_iter().map(Item::into_node).collect()),
        }
    }
}

fn exists(asked: &Asked) -> Result<Value> {
    match asked.search().exists() {
        Ok(exists) => Ok(Value::Bool(exists)),
        Err(failure) if asked.silent && !failure.is_hard() => Ok(Value::Null),
        Err(failure) => Err(failure.into()),
    }
}

fn matches(asked: &Asked) -> Result<Value> {
    if let [Node::Plain(text)] = asked.found()?.as_slice() {
        match text.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            _ => {}
        }
    }
    match asked.silent {
        true => Ok(Value::Null),
        false => Err(Error::new(SINGLETON_REQUIRED, "single boolean result is expected")),
    }
}

fn query(asked: &Asked) -> Result<Value> {
    Ok(Value::Array(asked.found()?.iter().map(|item| Value::Jsonb(item.to_text())).collect()))
}

fn query_array(asked: &Asked) -> Result<Value> {
    Ok(Value::Jsonb(Node::Array(asked.found()?).to_text()))
}

fn query_first(asked: &Asked) -> Result<Value> {
    Ok(asked.found()?.first().map_or(Value::Null, |item| Value::Jsonb(item.to_text())))
}
