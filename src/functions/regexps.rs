//! Functions of regular expressions: `regexp_replace` and its family, and SQL's own patterns, SIMILAR TO.
//!
//! Places are counted in characters, from 1. One match is looked for behind the other; behind an empty one the search goes
//! on a character further.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::regex::{Found, Part, Pattern, pattern};
use crate::functions::scalar::Function;
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::{Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = build(definitions());
    functions.push(Function::typed("regexp_matches", two_or_three_texts, all_matches_type, |args| {
        all_matches_with(args, str::to_owned)
    }));
    functions
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("similar_to(text, text) bool", |v| is_similar(text(&v[0]), text(&v[1]), Some('\\'), "")),
        strict("similar_to(text, text, text) bool", |v| {
            is_similar(text(&v[0]), text(&v[1]), escape_of(text(&v[2]))?, "")
        }),
        strict("regexp_replace(text, text, text) text", |v| replace(v, 1, 1, "")),
        strict("regexp_replace(text, text, text, text) text", |v| {
            let flags = text(&v[3]);
            if flags.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("invalid regular expression option: \"{}\"", &flags[..1]);
                return Err(invalid(message).hint(
                    "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
                ));
            }
            replace(v, 1, if flags.contains('g') { 0 } else { 1 }, flags)
        }),
        strict("regexp_replace(text, text, text, int4) text", |v| replace(v, number(&v[3]), 1, "")),
        strict("regexp_replace(text, text, text, int4, int4) text", |v| {
            replace(v, number(&v[3]), number(&v[4]), "")
        }),
        strict("regexp_replace(text, text, text, int4, int4, text) text", |v| {
            replace(v, number(&v[3]), number(&v[4]), text(&v[5]))
        }),
        strict("regexp_match(text, text) text[]", |v| first_match(v, "")),
        strict("regexp_match(text, text, text) text[]", |v| first_match(v, text(&v[2]))),
        strict("regexp_like(text, text) bool", |v| {
            Ok(Value::Bool(pattern(text(&v[1]), "")?.is_match(text(&v[0]))?))
        }),
        strict("regexp_like(text, text, text) bool", |v| {
            let flags = without_global("regexp_like", text(&v[2]))?;
            Ok(Value::Bool(pattern(text(&v[1]), flags)?.is_match(text(&v[0]))?))
        }),
        strict("regexp_count(text, text) int4", count),
        strict("regexp_count(text, text, int4) int4", count),
        strict("regexp_count(text, text, int4, text) int4", count),
        strict("regexp_substr(text, text) text", part),
        strict("regexp_substr(text, text, int4) text", part),
        strict("regexp_substr(text, text, int4, int4) text", part),
        strict("regexp_substr(text, text, int4, int4, text) text", part),
        strict("regexp_substr(text, text, int4, int4, text, int4) text", part),
        strict("regexp_instr(text, text) int4", place),
        strict("regexp_instr(text, text, int4) int4", place),
        strict("regexp_instr(text, text, int4, int4) int4", place),
        strict("regexp_instr(text, text, int4, int4, int4) int4", place),
        strict("regexp_instr(text, text, int4, int4, int4, text) int4", place),
        strict("regexp_instr(text, text, int4, int4, int4, text, int4) int4", place),
        strict("regexp_split_to_array(text, text) text[]", |v| split(v, "regexp_split_to_array")),
        strict("regexp_split_to_array(text, text, text) text[]", |v| split(v, "regexp_split_to_array")),
        strict("regexp_split_to_table(text, text) text[]", |v| split(v, "regexp_split_to_table")),
        strict("regexp_split_to_table(text, text, text) text[]", |v| split(v, "regexp_split_to_table")),
    ]
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn number(value: &Value) -> i64 {
    if let Value::Int4(number) = value { i64::from(*number) } else { 0 }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// A number that may not be less than `least`.
fn at_least(name: &str, value: i64, least: i64) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|_| value >= least)
        .ok_or_else(|| invalid(format!("invalid value for parameter \"{name}\": {value}")))
}

fn without_global<'f>(function: &str, flags: &'f str) -> Result<&'f str> {
    match flags.contains('g') {
        true => Err(invalid(format!("{function}() does not support the \"global\" option"))),
        false => Ok(flags),
    }
}

/// The byte at which a character begins, counted from 1; `None` behind the end.
fn byte_of(input: &str, character: usize) -> Option<usize> {
    let mut starts = input.char_indices().map(|(at, _)| at).chain([input.len()]);
    starts.nth(character - 1)
}

/// The number of the character at a byte, counted from 1.
fn character_of(input: &str, byte: usize) -> i32 {
    input[..byte].chars().count() as i32 + 1
}

/// The matches from a byte on.
fn matches<'i>(regex: &Pattern, input: &'i str, from: Option<usize>) -> Result<Vec<Found<'i>>> {
    let mut all = Vec::new();
    let mut next = from;
    while let Some(at) = next {
        let Some(found) = regex.find_at(input, at)? else { break };
        let whole = found.whole();
        next = match whole.text.is_empty() {
            false => Some(whole.end),
            true => input[whole.end..].chars().next().map(|c| whole.end + c.len_utf8()),
        };
        all.push(found);
    }
    Ok(all)
}

fn count(v: &[Value]) -> Result<Value> {
    let start = at_least("start", v.get(2).map_or(1, number), 1)?;
    let flags = without_global("regexp_count", v.get(3).map_or("", text))?;
    let input = text(&v[0]);
    let found = matches(&pattern(text(&v[1]), flags)?, input, byte_of(input, start))?;
    Ok(Value::Int4(found.len() as i32))
}

/// The part of the n-th match that `regexp_substr` and `regexp_instr` ask for.
fn nth<'i>(
    v: &'i [Value],
    function: &str,
    flags: Option<&'i Value>,
    group: Option<&Value>,
) -> Result<Option<Part<'i>>> {
    let start = at_least("start", v.get(2).map_or(1, number), 1)?;
    let n = at_least("n", v.get(3).map_or(1, number), 1)?;
    let flags = without_global(function, flags.map_or("", text))?;
    let group = at_least("subexpr", group.map_or(0, number), 0)?;
    let input = text(&v[0]);
    let mut found = matches(&pattern(text(&v[1]), flags)?, input, byte_of(input, start))?;
    Ok((n <= found.len()).then(|| found.swap_remove(n - 1)).and_then(|found| found.get(group)))
}

fn part(v: &[Value]) -> Result<Value> {
    let found = nth(v, "regexp_substr", v.get(4), v.get(5))?;
    Ok(found.map_or(Value::Null, |found| found.text.into()))
}

fn place(v: &[Value]) -> Result<Value> {
    let end = match v.get(4).map_or(0, number) {
        0 => false,
        1 => true,
        other => return Err(invalid(format!("invalid value for parameter \"endoption\": {other}"))),
    };
    let found = nth(v, "regexp_instr", v.get(5), v.get(6))?;
    let at = |found: Part| character_of(text(&v[0]), if end { found.end } else { found.start });
    Ok(Value::Int4(found.map_or(0, at)))
}

/// Whether a text is as SIMILAR TO wants it.
pub fn is_similar(input: &str, wanted: &str, escape: Option<char>, flags: &str) -> Result<Value> {
    Ok(Value::Bool(pattern(&similar(wanted, escape)?, flags)?.is_match(input)?))
}

/// Replaces the n-th match, or all where n is 0.
pub fn replace(v: &[Value], start: i64, n: i64, flags: &str) -> Result<Value> {
    let (start, n) = (at_least("start", start, 1)?, at_least("n", n, 0)?);
    let (input, replacement) = (text(&v[0]), text(&v[2]));
    let found = matches(&pattern(text(&v[1]), flags)?, input, byte_of(input, start))?;
    let mut out = String::with_capacity(input.len());
    let mut copied = 0;
    for (at, found) in found.iter().enumerate() {
        if n != 0 && n != at + 1 {
            continue;
        }
        let whole = found.whole();
        out.push_str(&input[copied..whole.start]);
        put_replacement(replacement, found, &mut out);
        copied = whole.end;
    }
    out.push_str(&input[copied..]);
    Ok(Value::Text(out))
}

fn put_replacement(replacement: &str, found: &Found, out: &mut String) {
    let mut rest = replacement.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('&') => out.push_str(found.whole().text),
            Some(digit) if digit.is_ascii_digit() => {
                let group = found.get(digit as usize - '0' as usize);
                out.push_str(group.map_or("", |group| group.text));
            }
            Some('\\') => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

/// The groups of a match, or all of it when there are none.
fn groups(regex: &Pattern, found: &Found) -> Value {
    let groups = if regex.groups() > 0 { 1..regex.groups() + 1 } else { 0..1 };
    let group = |group| found.get(group).map_or(Value::Null, |part| part.text.into());
    Value::Array(groups.map(group).collect())
}

/// The groups of the first match.
pub fn first_match(v: &[Value], flags: &str) -> Result<Value> {
    if flags.contains('g') {
        let error = invalid("regexp_match() does not support the \"global\" option");
        return Err(error.hint("Use the regexp_matches function instead."));
    }
    let regex = pattern(text(&v[1]), flags)?;
    Ok(regex.find_at(text(&v[0]), 0)?.map_or(Value::Null, |found| groups(&regex, &found)))
}

pub fn two_or_three_texts(
    name: &str,
    given: &[arrow::datatypes::DataType],
) -> datafusion::common::Result<Vec<arrow::datatypes::DataType>> {
    use arrow::datatypes::DataType::{Null, Utf8, Utf8View};
    let texts = given.iter().all(|ty| matches!(ty, Utf8 | Utf8View | Null));
    match given.len() {
        2 | 3 if texts => Ok(vec![Utf8; given.len()]),
        _ => Err(crate::functions::scalar::no_such_function(name, given)),
    }
}

/// Arrays of groups.
pub fn all_matches_type(_given: &[arrow::datatypes::DataType]) -> Type {
    Type::Array(Box::new(Type::Array(Box::new(Type::Text))))
}

/// The first match, or with the flag g all of them, each as its groups. The flags that are given mean others.
pub fn all_matches_with(
    args: &datafusion::logical_expr::ScalarFunctionArgs,
    meant: fn(&str) -> String,
) -> datafusion::common::Result<datafusion::logical_expr::ColumnarValue> {
    use crate::functions::scalar::{answer, rows_of};
    use crate::types::arrow::{Builder, errors::external, value_at};
    let (rows, constant) = rows_of(args);
    let columns = args
        .args
        .iter()
        .map(|argument| argument.to_array(rows))
        .collect::<datafusion::common::Result<Vec<_>>>()?;
    let mut result = Builder::new(&all_matches_type(&[]), rows);
    for row in 0..rows {
        let v = columns.iter().map(|column| value_at(column, row, &Type::Text)).collect::<Result<Vec<_>>>();
        let v = v.map_err(external)?;
        let found = match v.contains(&Value::Null) {
            true => Value::Null,
            false => matches_of(&v, &meant(v.get(2).map_or("", text))).map_err(external)?,
        };
        result.append(&found).map_err(external)?;
    }
    answer(result.finish(), constant)
}

fn matches_of(v: &[Value], flags: &str) -> Result<Value> {
    let regex = pattern(text(&v[1]), flags)?;
    let mut found = matches(&regex, text(&v[0]), Some(0))?;
    if !flags.contains('g') {
        found.truncate(1);
    }
    Ok(Value::Array(found.iter().map(|found| groups(&regex, found)).collect()))
}

/// The parts between the matches.
pub fn split(v: &[Value], function: &str) -> Result<Value> {
    let flags = without_global(function, v.get(2).map_or("", text))?;
    let (input, regex) = (text(&v[0]), pattern(text(&v[1]), flags)?);
    let (mut parts, mut start) = (Vec::new(), 0);
    for found in matches(&regex, input, Some(0))?.iter().map(Found::whole) {
        // An empty match at either end, or right behind another, splits nothing off.
        if found.text.is_empty()
            && (found.start == start && (start == 0 || !parts.is_empty()) || found.start >= input.len())
        {
            continue;
        }
        parts.push(Value::from(&input[start..found.start]));
        start = found.end;
    }
    parts.push(Value::from(&input[start..]));
    Ok(Value::Array(parts))
}

/// The character that takes the meaning from another one; none when it is empty.
pub fn escape_of(escape: &str) -> Result<Option<char>> {
    let mut characters = escape.chars();
    match (characters.next(), characters.next()) {
        (escape, None) => Ok(escape),
        _ => {
            let error = Error::new(SqlState("22025"), "invalid escape string");
            Err(error.hint("Escape string must be empty or one character."))
        }
    }
}

/// SIMILAR TO as a regular expression: `%` and `_` of LIKE, the rest as there, over the whole text.
fn similar(wanted: &str, escape: Option<char>) -> Result<String> {
    Ok(format!("^(?:{})$", translated(wanted, escape)?))
}

/// `substring(x SIMILAR 'a#"b#"c' ESCAPE '#')` is what `b` matches, of the least that `a` can match.
pub fn part_similar(input: &str, wanted: &str, escape: Option<char>) -> Result<Value> {
    let parts: Vec<&str> = match escape {
        Some(escape) => wanted.split(&format!("{escape}\"")).collect(),
        None => vec![wanted],
    };
    let regex = match parts.as_slice() {
        [all] => format!("^({})$", translated(all, escape)?),
        [before, part, after] => {
            let (before, part, after) =
                (translated(before, escape)?, translated(part, escape)?, translated(after, escape)?);
            format!("^(?:{})({part})(?:{after})$", lazy(&before))
        }
        [before, rest] => {
            format!("^(?:{})({})$", lazy(&translated(before, escape)?), translated(rest, escape)?)
        }
        _ => {
            let message =
                "SQL regular expression may not contain more than two escape-double-quote separators";
            return Err(Error::new(SqlState("2200C"), message));
        }
    };
    let found = pattern(&regex, "")?.find_at(input, 0)?.and_then(|found| found.get(1));
    Ok(found.map_or(Value::Null, |part| part.text.into()))
}

/// A pattern of SIMILAR TO, translated, that matches the least it can.
fn lazy(regex: &str) -> String {
    let mut lazy = String::with_capacity(regex.len());
    let mut rest = regex.chars();
    let (mut in_class, mut before) = (false, None);
    while let Some(c) = rest.next() {
        lazy.push(c);
        match c {
            '\\' => lazy.extend(rest.next()),
            '[' | ']' => in_class = c == '[',
            '*' | '+' | '}' if !in_class => lazy.push('?'),
            // The one of `(?:` repeats nothing.
            '?' if !in_class && before != Some('(') => lazy.push('?'),
            _ => {}
        }
        before = Some(c);
    }
    lazy
}

fn translated(wanted: &str, escape: Option<char>) -> Result<String> {
    let mut regex = String::new();
    let mut rest = wanted.chars();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            c if Some(c) == escape => {
                let Some(next) = rest.next() else {
                    return Err(Error::new(SqlState("22025"), "invalid escape sequence"));
                };
                regex.push_str(&regex::escape(&next.to_string()));
            }
            '[' | ']' => {
                in_class = c == '[';
                regex.push(c);
            }
            c if in_class => regex.push(c),
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '.' | '^' | '$' | '\\' => regex.extend(['\\', c]),
            '(' => regex.push_str("(?:"),
            c => regex.push(c),
        }
    }
    Ok(regex)
}
