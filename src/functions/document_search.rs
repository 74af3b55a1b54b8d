//! Text search in documents: the texts of one as a tsvector, and with what was found marked in them.
//!
//! jsonb is looked through in the order of its keys, json in that in which it is written.

use crate::error::{Error, Result, SqlState};
use crate::fulltext::headline::{Options, headline};
use crate::fulltext::{Config, document};
use crate::functions::documents::text;
use crate::functions::value::{Definition, strict};
use crate::types::json::{Node, Parts, print_string};
use crate::types::{TsQuery, Value};

/// Takes the place of a call until it is given a configuration.
fn unconfigured(signature: &'static str) -> Definition {
    strict(signature, |_| Err(Error::internal("text search without a configuration")))
}

pub fn definitions() -> Vec<Definition> {
    vec![
        strict("to_tsvector(text, jsonb) tsvector", |v| {
            vector(v, Kinds { strings: true, ..Kinds::default() })
        }),
        strict("to_tsvector(text, json) tsvector", |v| {
            vector(v, Kinds { strings: true, ..Kinds::default() })
        }),
        unconfigured("to_tsvector(jsonb) tsvector"),
        unconfigured("to_tsvector(json) tsvector"),
        strict("jsonb_to_tsvector(text, jsonb, jsonb) tsvector", |v| vector(v, Kinds::read(text(&v[2]))?)),
        strict("json_to_tsvector(text, json, jsonb) tsvector", |v| vector(v, Kinds::read(text(&v[2]))?)),
        unconfigured("jsonb_to_tsvector(jsonb, jsonb) tsvector"),
        unconfigured("json_to_tsvector(json, jsonb) tsvector"),
        strict("ts_headline(text, jsonb, tsquery) jsonb", |v| marked(v, "")),
        strict("ts_headline(text, jsonb, tsquery, text) jsonb", |v| marked(v, text(&v[3]))),
        strict("ts_headline(text, json, tsquery) json", |v| marked(v, "")),
        strict("ts_headline(text, json, tsquery, text) json", |v| marked(v, text(&v[3]))),
        unconfigured("ts_headline(jsonb, tsquery) jsonb"),
        unconfigured("ts_headline(jsonb, tsquery, text) jsonb"),
        unconfigured("ts_headline(json, tsquery) json"),
        unconfigured("ts_headline(json, tsquery, text) json"),
    ]
}

/// Which parts of a document are words to be found.
#[derive(Clone, Copy, Default)]
struct Kinds {
    keys: bool,
    strings: bool,
    numbers: bool,
    booleans: bool,
}

impl Kinds {
    /// `"all"`, `["string", "key"]`
    fn read(filter: &str) -> Result<Kinds> {
        let refuse = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        let hint = "Possible values are: \"string\", \"numeric\", \"boolean\", \"key\", and \"all\".";
        let names = match Node::parse(filter)? {
            Node::Object(_) => {
                return refuse("wrong flag type, only arrays and scalars are allowed".to_owned());
            }
            Node::Array(names) => names,
            name => vec![name],
        };
        let mut kinds = Kinds::default();
        for name in names {
            let Node::Text(name) = name else {
                return refuse("flag array element is not a string".to_owned())
                    .map_err(|error: Error| error.hint(hint));
            };
            match name.to_lowercase().as_str() {
                "all" => kinds = Kinds { keys: true, strings: true, numbers: true, booleans: true },
                "key" => kinds.keys = true,
                "string" => kinds.strings = true,
                "numeric" => kinds.numbers = true,
                "boolean" => kinds.booleans = true,
                _ => {
                    return refuse(format!("wrong flag in flag array: \"{name}\""))
                        .map_err(|error: Error| error.hint(hint));
                }
            }
        }
        Ok(kinds)
    }

    fn collect(self, part: &str, found: &mut Vec<String>) -> Result<()> {
        match Parts::of(part)? {
            Parts::Object(members) => {
                for (key, value) in members {
                    found.extend(self.keys.then_some(key));
                    self.collect(value, found)?;
                }
            }
            Parts::Array(items) => items.into_iter().try_for_each(|item| self.collect(item, found))?,
            Parts::Scalar => match Node::parse(part)? {
                Node::Text(text) => found.extend(self.strings.then_some(text)),
                Node::Plain(text) => {
                    let is_wanted = match text.as_str() {
                        "null" => false,
                        "true" | "false" => self.booleans,
                        _ => self.numbers,
                    };
                    found.extend(is_wanted.then_some(text));
                }
                _ => {}
            },
        }
        Ok(())
    }
}

fn vector(v: &[Value], kinds: Kinds) -> Result<Value> {
    let mut found = Vec::new();
    kinds.collect(text(&v[1]), &mut found)?;
    let config = Config::from_name(text(&v[0]))?;
    document::of_texts(config, found.iter().map(String::as_str)).map(Value::TsVector)
}

/// The document with its texts marked.
fn marked(v: &[Value], options: &str) -> Result<Value> {
    let Value::TsQuery(query) = &v[2] else { return Ok(Value::Null) };
    let marker = Marker { config: Config::from_name(text(&v[0]))?, query, options: Options::parse(options)? };
    Ok(match &v[1] {
        Value::Jsonb(document) => Value::Jsonb(marker.node(Node::parse(document)?).to_text()),
        document => {
            let mut out = String::new();
            marker.text(text(document), &mut out)?;
            Value::Json(out)
        }
    })
}

struct Marker<'q> {
    config: Config,
    query: &'q TsQuery,
    options: Options,
}

impl Marker<'_> {
    fn mark(&self, text: &str) -> String {
        headline(self.config, text, self.query, &self.options)
    }

    fn node(&self, node: Node) -> Node {
        match node {
            Node::Text(text) => Node::Text(self.mark(&text)),
            Node::Array(items) => Node::Array(items.into_iter().map(|item| self.node(item)).collect()),
            Node::Object(members) => {
                Node::Object(members.into_iter().map(|(key, value)| (key, self.node(value))).collect())
            }
            node => node,
        }
    }

    /// Of json, without spaces.
    fn text(&self, part: &str, out: &mut String) -> Result<()> {
        match Parts::of(part)? {
            Parts::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.into_iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    print_string(&key, out);
                    out.push(':');
                    self.text(value, out)?;
                }
                out.push('}');
            }
            Parts::Array(items) => {
                out.push('[');
                for (place, item) in items.into_iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    self.text(item, out)?;
                }
                out.push(']');
            }
            Parts::Scalar => match Node::parse(part)? {
                Node::Text(text) => print_string(&self.mark(&text), out),
                _ => out.push_str(part.trim()),
            },
        }
        Ok(())
    }
}
