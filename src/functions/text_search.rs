//! Functions and operators of text search.
//!
//! Functions that take a configuration take it as text and first. Called without one, or written as `text @@ text`, they
//! are given the session's while the statement is planned ([`takes_configuration`]).

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::fulltext::dictionary::Lexed;
use crate::fulltext::headline::{Options, headline};
use crate::fulltext::parser::Kind;
use crate::fulltext::rank::{self, WEIGHTS, Weights, rank, rank_by_covers};
use crate::fulltext::{Config, document, matching, query};
use crate::functions::document_search;
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::arrow::lists::tsquery_type;
use crate::types::tsquery::{self, Operator};
use crate::types::tsvector::PLACE_END;
use crate::types::{TsQuery, TsVector, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// Whether a call with so many arguments, the second of type `second`, has to be given the session's configuration
/// first.
pub fn takes_configuration(name: &str, count: usize, second: impl FnOnce() -> DataType) -> bool {
    match name {
        "to_tsvector" | "to_tsquery" | "plainto_tsquery" | "phraseto_tsquery" | "websearch_to_tsquery" => {
            count == 1
        }
        "json_to_tsvector" | "jsonb_to_tsvector" => count == 2,
        "ts_headline" => count == 2 || count == 3 && second() == tsquery_type(),
        _ => false,
    }
}

fn definitions() -> Vec<Definition> {
    [parsing(), document_search::definitions(), queries(), vectors(), ranking()]
        .into_iter()
        .flatten()
        .collect()
}

/// Takes the place of a call until it is given a configuration.
fn unconfigured(signature: &'static str) -> Definition {
    strict(signature, |_| Err(Error::internal("text search without a configuration")))
}

fn parsing() -> Vec<Definition> {
    vec![
        strict("to_tsvector(text, text) tsvector", |v| {
            document::to_tsvector(config(&v[0])?, text(&v[1])).map(Value::TsVector)
        }),
        unconfigured("to_tsvector(text) tsvector"),
        strict("to_tsquery(text, text) tsquery", |v| query_of(v, query::to_tsquery)),
        unconfigured("to_tsquery(text) tsquery"),
        strict("plainto_tsquery(text, text) tsquery", |v| query_of(v, query::plain)),
        unconfigured("plainto_tsquery(text) tsquery"),
        strict("phraseto_tsquery(text, text) tsquery", |v| query_of(v, query::phrase)),
        unconfigured("phraseto_tsquery(text) tsquery"),
        strict("websearch_to_tsquery(text, text) tsquery", |v| query_of(v, query::web)),
        unconfigured("websearch_to_tsquery(text) tsquery"),
        strict("ts_headline(text, text, tsquery) text", |v| headline_of(v, "")),
        strict("ts_headline(text, text, tsquery, text) text", |v| headline_of(v, text(&v[3]))),
        unconfigured("ts_headline(text, tsquery) text"),
        unconfigured("ts_headline(text, tsquery, text) text"),
        strict("ts_lexize(text, text) text[]", ts_lexize),
        // 'english'::regconfig
        strict("hither_regconfig_in(text) text", |v| Ok(Value::from(config(&v[0])?.name()))),
    ]
}

fn queries() -> Vec<Definition> {
    vec![
        strict("tsquery_not(tsquery) tsquery", |v| queried(&v[0]).not().map(Value::TsQuery)),
        strict("tsquery_and(tsquery, tsquery) tsquery", |v| combined(v, Operator::And)),
        strict("tsquery_or(tsquery, tsquery) tsquery", |v| combined(v, Operator::Or)),
        strict("tsquery_phrase(tsquery, tsquery) tsquery", |v| combined(v, Operator::Phrase(1))),
        strict("tsquery_phrase(tsquery, tsquery, int4) tsquery", |v| match v[2] {
            Value::Int4(distance) if (0..=PLACE_END as i32).contains(&distance) => {
                combined(v, Operator::Phrase(distance as u16))
            }
            _ => {
                let message = format!(
                    "distance in phrase operator must be an integer value between zero and {PLACE_END} inclusive"
                );
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }),
        strict("tsq_mcontains(tsquery, tsquery) bool", |v| Ok(Value::Bool(contains(&v[0], &v[1])))),
        strict("tsq_mcontained(tsquery, tsquery) bool", |v| Ok(Value::Bool(contains(&v[1], &v[0])))),
        strict("numnode(tsquery) int4", |v| Ok(Value::Int4(queried(&v[0]).items().len() as i32))),
        strict("querytree(tsquery) text", |v| {
            let query = queried(&v[0]);
            Ok(Value::Text(match query.without_not() {
                Some(query) => {
                    let mut out = Vec::new();
                    tsquery::print(&query, &mut out);
                    String::from_utf8(out).map_err(|_| Error::internal("a query prints as UTF-8"))?
                }
                None if query.is_empty() => String::new(),
                None => "T".to_owned(),
            }))
        }),
    ]
}

fn vectors() -> Vec<Definition> {
    vec![
        strict("ts_match(tsvector, tsquery) bool", |v| {
            Ok(Value::Bool(matching::matches(vector(&v[0]), queried(&v[1]))))
        }),
        strict("strip(tsvector) tsvector", |v| Ok(Value::TsVector(vector(&v[0]).strip()))),
        strict("tsvector_concat(tsvector, tsvector) tsvector", |v| {
            vector(&v[0]).concat(vector(&v[1])).map(Value::TsVector)
        }),
        strict("setweight(tsvector, text) tsvector", |v| {
            document::set_weight(vector(&v[0]), document::weight_of(text(&v[1]))?, None).map(Value::TsVector)
        }),
        strict("setweight(tsvector, text, text[]) tsvector", |v| {
            let weight = document::weight_of(text(&v[1]))?;
            document::set_weight(vector(&v[0]), weight, Some(&texts(&v[2]))).map(Value::TsVector)
        }),
        strict("ts_filter(tsvector, text[]) tsvector", ts_filter),
        strict("ts_delete(tsvector, text) tsvector", |v| {
            document::delete(vector(&v[0]), &[text(&v[1]).to_owned()]).map(Value::TsVector)
        }),
        strict("ts_delete(tsvector, text[]) tsvector", |v| {
            document::delete(vector(&v[0]), &texts(&v[1])).map(Value::TsVector)
        }),
        strict("tsvector_to_array(tsvector) text[]", |v| {
            let words = vector(&v[0]).lexemes();
            Ok(Value::Array(words.iter().map(|lexeme| Value::from(lexeme.word)).collect()))
        }),
        strict("array_to_tsvector(text[]) tsvector", |v| {
            let words = texts(&v[0]);
            if let Value::Array(items) = &v[0]
                && items.len() > words.len()
            {
                return Err(null_in("lexeme array"));
            }
            document::of_array(&words).map(Value::TsVector)
        }),
    ]
}

fn ranking() -> Vec<Definition> {
    vec![
        strict("ts_rank(tsvector, tsquery) float4", |v| ranked(&WEIGHTS, v, 0, rank)),
        strict("ts_rank(tsvector, tsquery, int4) float4", |v| ranked(&WEIGHTS, v, int(&v[2]), rank)),
        strict("ts_rank(float4[], tsvector, tsquery) float4", |v| ranked(&weights(&v[0])?, &v[1..], 0, rank)),
        strict("ts_rank(float4[], tsvector, tsquery, int4) float4", |v| {
            ranked(&weights(&v[0])?, &v[1..], int(&v[3]), rank)
        }),
        strict("ts_rank_cd(tsvector, tsquery) float4", |v| ranked(&WEIGHTS, v, 0, rank_by_covers)),
        strict("ts_rank_cd(tsvector, tsquery, int4) float4", |v| {
            ranked(&WEIGHTS, v, int(&v[2]), rank_by_covers)
        }),
        strict("ts_rank_cd(float4[], tsvector, tsquery) float4", |v| {
            ranked(&weights(&v[0])?, &v[1..], 0, rank_by_covers)
        }),
        strict("ts_rank_cd(float4[], tsvector, tsquery, int4) float4", |v| {
            ranked(&weights(&v[0])?, &v[1..], int(&v[3]), rank_by_covers)
        }),
    ]
}

fn config(value: &Value) -> Result<Config> {
    Config::from_name(text(value))
}

/// Arguments have the types of the signature, so that the other branch is never taken.
fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text,
        _ => "",
    }
}

fn int(value: &Value) -> i32 {
    if let Value::Int4(number) = value { *number } else { 0 }
}

fn vector(value: &Value) -> &TsVector {
    static EMPTY: std::sync::LazyLock<TsVector> = std::sync::LazyLock::new(TsVector::default);
    if let Value::TsVector(vector) = value { vector } else { &EMPTY }
}

fn queried(value: &Value) -> &TsQuery {
    static EMPTY: std::sync::LazyLock<TsQuery> = std::sync::LazyLock::new(TsQuery::default);
    if let Value::TsQuery(query) = value { query } else { &EMPTY }
}

/// The elements of an array of text that are not NULL.
fn texts(value: &Value) -> Vec<String> {
    let Value::Array(items) = value else { return Vec::new() };
    items.iter().filter(|item| **item != Value::Null).map(|item| text(item).to_owned()).collect()
}

fn null_in(what: &str) -> Error {
    Error::new(SqlState("22004"), format!("{what} may not contain nulls"))
}

fn query_of(v: &[Value], parse: fn(Config, &str) -> Result<TsQuery>) -> Result<Value> {
    parse(config(&v[0])?, text(&v[1])).map(Value::TsQuery)
}

fn headline_of(v: &[Value], options: &str) -> Result<Value> {
    let options = Options::parse(options)?;
    Ok(Value::Text(headline(config(&v[0])?, text(&v[1]), queried(&v[2]), &options)))
}

/// What a dictionary makes of a word: no lexeme of a stop word.
fn ts_lexize(v: &[Value]) -> Result<Value> {
    let name = text(&v[0]);
    let config = match name.strip_prefix("pg_catalog.").unwrap_or(name) {
        "english_stem" => Config::English,
        "simple" => Config::Simple,
        _ => {
            let message = format!("text search dictionary \"{name}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    };
    Ok(match config.lexeme(Kind::Word, text(&v[1])) {
        Some(Lexed::Word(word)) => Value::Array(vec![Value::Text(word)]),
        Some(Lexed::Stop) => Value::Array(Vec::new()),
        None => Value::Null,
    })
}

fn combined(v: &[Value], operator: Operator) -> Result<Value> {
    queried(&v[0]).combine(operator, queried(&v[1])).map(Value::TsQuery)
}

/// Whether all words of one query are in the other.
fn contains(outer: &Value, inner: &Value) -> bool {
    let outer = queried(outer);
    queried(inner).words().all(|word| outer.words().any(|other| other.text == word.text))
}

fn ts_filter(v: &[Value]) -> Result<Value> {
    let Value::Array(letters) = &v[1] else { return Ok(Value::Null) };
    let weight = |letter: &Value| match letter {
        Value::Null => Err(null_in("weight array")),
        letter => {
            let letter = text(letter);
            let first = letter.chars().next();
            let weight = first.and_then(crate::types::tsvector::weight_of);
            weight.ok_or_else(|| {
                let shown = first.map(String::from).unwrap_or_default();
                Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized weight: \"{shown}\""))
            })
        }
    };
    let weights = letters.iter().map(weight).collect::<Result<Vec<u8>>>()?;
    document::filter(vector(&v[0]), &weights).map(Value::TsVector)
}

fn weights(value: &Value) -> Result<Weights> {
    let Value::Array(items) = value else { return Ok(WEIGHTS) };
    let weight = |item: &Value| if let Value::Float4(weight) = item { Some(*weight) } else { None };
    rank::weights(&items.iter().map(weight).collect::<Vec<_>>())
}

fn ranked(
    weights: &Weights,
    v: &[Value],
    method: i32,
    rank: fn(&Weights, &TsVector, &TsQuery, i32) -> f32,
) -> Result<Value> {
    Ok(Value::Float4(rank(weights, vector(&v[0]), queried(&v[1]), method)))
}
