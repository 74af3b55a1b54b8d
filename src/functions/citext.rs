//! Functions of citext: the key that it is compared by, and what the module overloads for it.
//!
//! The functions of PostgreSQL's module look at texts without regard to case and answer with plain ones. Here they have
//! names of their own, which `planner::citext` calls where the arguments are citext.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use crate::error::Result;
use crate::functions::frame::Read;
use crate::functions::regexps;
use crate::functions::scalar::{Function, answer, no_such_function, rows_of};
use crate::functions::sort_keys::of_items;
use crate::functions::value::{functions as build, lenient, strict};
use crate::types::arrow::{type_of, type_of_data_type};
use crate::types::{Type, Value, citext};

/// What a citext is compared by: the text in lower case. Of an array of them, an array of keys.
pub const KEY: &str = "citext_key";

/// Its argument, which is to be taken for a text if it is a citext. The planner puts the argument in its place.
pub const PLAIN: &str = "citext_plain";
/// Of an array of citext in its order, each value once.
pub const DISTINCT: &str = "citext_distinct";

/// The functions that the module overloads, each with the arguments that have to be citext; the others are as they are.
pub const OVERLOADED: &[(&str, &str, usize)] = &[
    ("regexp_match", "citext_regexp_match", 2),
    ("regexp_matches", "citext_regexp_matches", 2),
    ("regexp_replace", "citext_regexp_replace", 2),
    ("regexp_split_to_array", "citext_regexp_split_to_array", 2),
    ("regexp_split_to_table", "citext_regexp_split_to_table", 2),
    ("replace", "citext_replace", 3),
    ("split_part", "citext_split_part", 2),
    ("strpos", "citext_strpos", 2),
    ("translate", "citext_translate", 2),
];

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = build(vec![
        strict("citext_regexp_match(text, text) text[]", |v| regexps::first_match(v, "i")),
        strict("citext_regexp_match(text, text, text) text[]", |v| {
            regexps::first_match(v, &caseless(text(&v[2])))
        }),
        strict("citext_regexp_replace(text, text, text) text", |v| regexps::replace(v, 1, 1, "i")),
        strict("citext_regexp_replace(text, text, text, text) text", |v| {
            let flags = caseless(text(&v[3]));
            regexps::replace(v, 1, if flags.contains('g') { 0 } else { 1 }, &flags)
        }),
        strict("citext_regexp_split_to_array(text, text) text[]", |v| split(v, "regexp_split_to_array")),
        strict("citext_regexp_split_to_array(text, text, text) text[]", |v| {
            split(v, "regexp_split_to_array")
        }),
        strict("citext_regexp_split_to_table(text, text) text[]", |v| split(v, "regexp_split_to_table")),
        strict("citext_regexp_split_to_table(text, text, text) text[]", |v| {
            split(v, "regexp_split_to_table")
        }),
        strict("citext_replace(text, text, text) text", |v| {
            regexps::replace(&[v[0].clone(), escaped(&v[1]), v[2].clone()], 1, 0, "gi")
        }),
        strict("citext_split_part(text, text, int4) text", split_part),
        strict("citext_strpos(text, text) int4", |v| {
            let (within, part) = (citext::key(text(&v[0])), citext::key(text(&v[1])));
            let at = within.find(&part).map_or(0, |byte| within[..byte].chars().count() as i32 + 1);
            Ok(Value::Int4(at))
        }),
        strict("citext_translate(text, text, text) text", |v| {
            let (from, to) = (text(&v[1]), text(&v[2]));
            let lower = translated(text(&v[0]), &from.to_lowercase(), to);
            Ok(Value::Text(translated(&lower, &from.to_uppercase(), to)))
        }),
        lenient("citext_larger(text...) citext", |v| Ok(extreme(v, Ordering::Greater))),
        lenient("citext_smaller(text...) citext", |v| Ok(extreme(v, Ordering::Less))),
        lenient("citext_nullif(text, text) citext", |v| {
            Ok(if is_equal(&v[0], &v[1]) { Value::Null } else { v[0].clone() })
        }),
        lenient("citext_array_remove(text[], text) citext[]", |v| {
            let Value::Array(items) = &v[0] else { return Ok(Value::Null) };
            Ok(Value::Array(items.iter().filter(|item| !is_same(item, &v[1])).cloned().collect()))
        }),
        lenient("citext_array_replace(text[], text, text) citext[]", |v| {
            let Value::Array(items) = &v[0] else { return Ok(Value::Null) };
            let replaced = items.iter().map(|item| if is_same(item, &v[1]) { &v[2] } else { item });
            Ok(Value::Array(replaced.cloned().collect()))
        }),
        lenient("citext_plain(any) $1", |v| Ok(v[0].clone())),
        strict("citext_distinct(any) $1", |v| {
            let Value::Array(items) = &v[0] else { return Ok(Value::Null) };
            let mut kept: Vec<Value> = Vec::with_capacity(items.len());
            // Equal ones stand beside each other.
            for item in items {
                if kept.last().is_none_or(|last| !is_same(last, item)) {
                    kept.push(item.clone());
                }
            }
            Ok(Value::Array(kept))
        }),
        strict("citext_similar_to(text, text) bool", |v| {
            regexps::is_similar(text(&v[0]), text(&v[1]), Some('\\'), "i")
        }),
        strict("citext_similar_to(text, text, text) bool", |v| {
            regexps::is_similar(text(&v[0]), text(&v[1]), regexps::escape_of(text(&v[2]))?, "i")
        }),
    ]);
    functions.push(Function::typed(
        "citext_regexp_matches",
        regexps::two_or_three_texts,
        regexps::all_matches_type,
        |args| regexps::all_matches_with(args, caseless),
    ));
    functions.push(Function::typed(KEY, text_or_texts, |given| type_of_data_type(&given[0]), key));
    functions
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => citext::key(one) == citext::key(other),
        _ => false,
    }
}

/// The same where NULL is NULL.
fn is_same(one: &Value, other: &Value) -> bool {
    is_equal(one, other) || *one == Value::Null && *other == Value::Null
}

/// The greatest or least text by its key, of equal ones the first; NULL where all are.
fn extreme(values: &[Value], wanted: Ordering) -> Value {
    let texts = values.iter().filter(|value| **value != Value::Null);
    let best = texts.reduce(|kept, new| {
        let order = citext::key(text(new)).cmp(&citext::key(text(kept)));
        if order == wanted { new } else { kept }
    });
    best.cloned().unwrap_or(Value::Null)
}

/// Flags of a regular expression, and `i`, unless they ask for case.
fn caseless(flags: &str) -> String {
    if flags.contains('c') { flags.to_owned() } else { format!("{flags}i") }
}

/// A text as a regular expression that means itself.
fn escaped(value: &Value) -> Value {
    let mut out = String::new();
    for c in text(value).chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    Value::Text(out)
}

fn split(v: &[Value], function: &str) -> Result<Value> {
    let flags = Value::Text(caseless(v.get(2).map_or("", text)));
    regexps::split(&[v[0].clone(), v[1].clone(), flags], function)
}

/// The n-th part from the start; NULL where there is none, as the module has it.
fn split_part(v: &[Value]) -> Result<Value> {
    let parts = regexps::split(&[v[0].clone(), escaped(&v[1]), "i".into()], "regexp_split_to_array")?;
    let (Value::Array(parts), Value::Int4(n)) = (parts, &v[2]) else { return Ok(Value::Null) };
    let place = usize::try_from(*n).ok().and_then(|n| n.checked_sub(1));
    Ok(place.and_then(|place| parts.get(place).cloned()).unwrap_or(Value::Null))
}

/// Each character that is in `from` as the one of `to` at its place; without it where there is none.
fn translated(text: &str, from: &str, to: &str) -> String {
    let other = |c: char| match from.chars().position(|given| given == c) {
        Some(place) => to.chars().nth(place),
        None => Some(c),
    };
    text.chars().filter_map(other).collect()
}

/// Whether arguments of one type are citext: all but constants, which take the type of the others.
pub fn are_citext(args: &ReturnFieldArgs) -> bool {
    let both = || args.arg_fields.iter().zip(args.scalar_arguments);
    let is_citext = |field: &FieldRef| type_of(field) == Type::Citext;
    both().any(|(field, _)| is_citext(field))
        && both()
            .all(|(field, constant)| is_citext(field) || constant.is_some() || field.data_type().is_null())
}

fn text_or_texts(name: &str, given: &[DataType]) -> datafusion::common::Result<Vec<DataType>> {
    match given {
        [DataType::Utf8 | DataType::Utf8View | DataType::Null] => Ok(vec![DataType::Utf8]),
        [DataType::List(item)] if *item.data_type() == DataType::Utf8 => Ok(given.to_vec()),
        _ => Err(no_such_function(name, given)),
    }
}

fn key(args: &ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    answer(keys_of(&args.args[0].to_array(rows)?)?, constant)
}

/// The keys of a column of texts, or of arrays of them.
pub fn keys_of(column: &ArrayRef) -> datafusion::common::Result<ArrayRef> {
    if let Some(list) = column.as_list_opt::<i32>() {
        return of_items(list, keys_of);
    }
    let keys: StringArray = column.as_string::<i32>().iter().map(|text| text.map(citext::key)).collect();
    Ok(Arc::new(keys))
}

/// A text and its key.
#[derive(Clone, Debug)]
pub struct Caseless {
    pub text: String,
    pub key: String,
}

impl Read for Caseless {
    fn read(column: &ArrayRef, values: &mut VecDeque<Caseless>) -> datafusion::common::Result<()> {
        let texts = column.as_string::<i32>().iter().flatten();
        values.extend(texts.map(|text| Caseless { text: text.to_owned(), key: citext::key(text) }));
        Ok(())
    }
}
