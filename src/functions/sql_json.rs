//! What the words of SQL/JSON mean: constructors, JSON_SERIALIZE, and the questions JSON_EXISTS, JSON_VALUE, JSON_QUERY.
//!
//! `sql::sql_json` reads the words and calls these functions, which nobody calls by their names. A question's first
//! argument is a NULL of the type that is returned; a constructor's first says what is done about NULLs and keys that come
//! twice:
//!
//! ```text
//!   hither_sql_json_object('absent unique', key, value, ...)
//!   hither_sql_json_value(NULL::int, document, path, 'empty null error default', on empty, on error, name, value, ...)
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result, SqlState};
use crate::functions::documents::{json_text, key_text, node_of, text as written};
use crate::functions::jsonpath::moments::{Moment, ZoneUse};
use crate::functions::jsonpath::{Item, Search, Variables};
use crate::functions::populate;
use crate::functions::value::{Definition, functions as build, lenient_shown, shown, strict, typed};
use crate::types::json::{self, Node, print_string};
use crate::types::jsonpath::Path;
use crate::types::{Look, Type, Value, text as texts};

const MORE_THAN_ONE_ITEM: SqlState = SqlState("22034");
const NO_ITEM: SqlState = SqlState("22035");
const SCALAR_REQUIRED: SqlState = SqlState("2203F");
const DUPLICATE_KEY: SqlState = SqlState("22030");

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    vec![
        typed("hither_sql_json_object(text, any...) document", |look, types, v| {
            of_types(types, object_of(look, v)?)
        }),
        typed("hither_sql_json_array(text, any...) document", |look, types, v| {
            of_types(types, array(look, written(&v[0]), &v[1..], false)?)
        }),
        // Of the arrays that an aggregate collects.
        typed("hither_sql_json_arrayagg_items(text, any) document", |look, types, v| {
            of_types(types, array_of_items(look, v)?)
        }),
        typed("hither_sql_json_objectagg_items(text, any, any) document", |look, types, v| {
            of_types(types, object_of_items(look, v)?)
        }),
        // With RETURNING they are json first.
        lenient_shown("hither_sql_json_object_(text, any...) json", object_of),
        lenient_shown("hither_sql_json_array_(text, any...) json", |look, v| {
            array(look, written(&v[0]), &v[1..], false)
        }),
        lenient_shown("hither_sql_json_arrayagg_items_(text, any) json", array_of_items),
        lenient_shown("hither_sql_json_objectagg_items_(text, any, any) json", object_of_items),
        // A value that is JSON already, of a type whose values are text.
        typed("hither_format_json(any) document", |_, types, v| match (&types[0], &v[0]) {
            (_, Value::Null) => Ok(Value::Null),
            (_, Value::Jsonb(text)) => Ok(Value::Jsonb(text.clone())),
            (_, Value::Text(text) | Value::Json(text)) => checked(text),
            (_, Value::Bytea(bytes)) => checked(&String::from_utf8_lossy(bytes)),
            _ => {
                let message = "cannot use non-string types with explicit FORMAT JSON clause";
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }),
        // RETURNING bytea.
        strict("hither_json_bytes(text) bytea", |v| Ok(Value::Bytea(written(&v[0]).as_bytes().to_vec()))),
        // Its argument is JSON; true asks for keys that come once.
        strict("hither_sql_json(json, bool) json", |v| {
            let text = written(&v[0]);
            match v[1] == Value::Bool(true) && !json::is_of_kind(text, "value", true) {
                true => Err(Error::new(DUPLICATE_KEY, "duplicate JSON object key value")),
                false => checked(text),
            }
        }),
        shown("hither_sql_json_scalar(any) json", |look, v| Ok(Value::Json(json_text(look, &v[0])))),
        strict("hither_sql_json_serialize(json) text", |v| Ok(Value::Text(written(&v[0]).to_owned()))),
        typed("hither_sql_json_exists(any, jsonb, jsonpath, text, any, any, any...) $1", |look, types, v| {
            Question::new(look, types, v)?.map_or(Ok(Value::Null), |question| question.exists())
        }),
        typed("hither_sql_json_value(any, jsonb, jsonpath, text, any, any, any...) $1", |look, types, v| {
            Question::new(look, types, v)?.map_or(Ok(Value::Null), |question| question.value())
        }),
        typed("hither_sql_json_query(any, jsonb, jsonpath, text, any, any, any...) $1", |look, types, v| {
            Question::new(look, types, v)?.map_or(Ok(Value::Null), |question| question.query())
        }),
    ]
}

fn checked(text: &str) -> Result<Value> {
    json::check(text)?;
    Ok(Value::Json(text.to_owned()))
}

/// Without RETURNING, a document is jsonb where one of its parts is.
fn of_types(types: &[Type], made: Value) -> Result<Value> {
    match made {
        Value::Json(text) if types.iter().any(|ty| *ty.element() == Type::Jsonb) => {
            json::normalise(&text).map(Value::Jsonb)
        }
        made => Ok(made),
    }
}

fn object_of(look: Look, v: &[Value]) -> Result<Value> {
    object(look, written(&v[0]), v[1..].as_chunks::<2>().0.iter().map(|[key, value]| (key, value)))
}

fn array_of_items(look: Look, v: &[Value]) -> Result<Value> {
    match &v[1] {
        Value::Array(items) => array(look, written(&v[0]), items, true),
        _ => Ok(Value::Null),
    }
}

fn object_of_items(look: Look, v: &[Value]) -> Result<Value> {
    let (Value::Array(keys), Value::Array(values)) = (&v[1], &v[2]) else { return Ok(Value::Null) };
    // An aggregate puts spaces inside its brackets.
    Ok(match object(look, written(&v[0]), keys.iter().zip(values))? {
        Value::Json(text) if text.len() >= 2 => Value::Json(format!("{{ {} }}", &text[1..text.len() - 1])),
        made => made,
    })
}

fn object<'v>(look: Look, says: &str, pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Result<Value> {
    let (absent, unique) = (says.contains("absent"), says.contains("unique"));
    let mut seen = BTreeSet::new();
    let mut out = String::from("{");
    for (key, value) in pairs {
        let key = key_text(key)?;
        if unique && !seen.insert(key.clone()) {
            // jsonb does not say which.
            let which = if says.contains("jsonb") { String::new() } else { format!(": {}", quoted(&key)) };
            return Err(Error::new(DUPLICATE_KEY, format!("duplicate JSON object key value{which}")));
        }
        if absent && *value == Value::Null {
            continue;
        }
        if out.len() > 1 {
            out.push_str(", ");
        }
        print_string(&key, &mut out);
        out.push_str(" : ");
        out.push_str(&json_text(look, value));
    }
    out.push('}');
    Ok(Value::Json(out))
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    print_string(text, &mut out);
    out
}

/// An aggregate begins a line with each row and each array.
fn array(look: Look, says: &str, items: &[Value], lines: bool) -> Result<Value> {
    let absent = says.contains("absent");
    let items = items.iter().filter(|item| !absent || **item != Value::Null);
    let mut out = String::from("[");
    for (place, item) in items.enumerate() {
        let between = match (place, item) {
            (0, _) => "",
            (_, Value::Record(_) | Value::Array(_)) if lines => ", \n ",
            _ => ", ",
        };
        out.push_str(between);
        out.push_str(&json_text(look, item));
    }
    out.push(']');
    Ok(Value::Json(out))
}

/// What is done where nothing is found, and where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Error,
    Null,
    True,
    False,
    EmptyArray,
    EmptyObject,
    Default,
}

impl Behaviour {
    fn named(name: &str) -> Behaviour {
        match name {
            "error" => Behaviour::Error,
            "true" => Behaviour::True,
            "false" => Behaviour::False,
            "array" => Behaviour::EmptyArray,
            "object" => Behaviour::EmptyObject,
            "default" => Behaviour::Default,
            _ => Behaviour::Null,
        }
    }
}

/// A call of JSON_EXISTS, JSON_VALUE or JSON_QUERY.
struct Question<'v> {
    look: Look,
    returns: &'v Type,
    document: Node,
    path: Path,
    variables: Variables,
    on_empty: Behaviour,
    on_error: Behaviour,
    otherwise: [&'v Value; 2],
    /// `always` or `several`.
    wrapper: &'v str,
    omits_quotes: bool,
    /// The column of JSON_TABLE that it is asked for.
    column: &'v str,
}

impl<'v> Question<'v> {
    /// `None` where there is no document.
    fn new(look: Look, types: &'v [Type], v: &'v [Value]) -> Result<Option<Question<'v>>> {
        let [_, document, path, says, empty, error, rest @ ..] = v else { return Ok(None) };
        if *document == Value::Null || *path == Value::Null {
            return Ok(None);
        }
        // `on empty`, `on error`, wrapper, quotes, column.
        let mut words = written(says).splitn(5, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (on_empty, on_error, wrapper) = (Behaviour::named(next()), Behaviour::named(next()), next());
        let (omits_quotes, column) = (next() == "omit", next());
        let variables = passed(look, rest)?;
        Ok(Some(Question {
            look,
            returns: &types[0],
            document: Node::parse(written(document))?,
            path: Path::parse(written(path))?,
            variables,
            on_empty,
            on_error,
            otherwise: [empty, error],
            wrapper,
            omits_quotes,
            column,
        }))
    }

    fn search(&self) -> Search<'_> {
        let zones = ZoneUse { zone: self.look.zone, allowed: true };
        Search::new(&self.document, &self.path, &self.variables, zones)
    }

    fn items(&self) -> Result<Vec<Item<'_>>> {
        match self.search().items() {
            (items, None) => Ok(items),
            (_, Some(failure)) => Err(failure.into()),
        }
    }

    fn exists(&self) -> Result<Value> {
        match self.search().exists() {
            Ok(exists) => self.settled(Ok(Value::Bool(exists)), self.on_error, 1),
            Err(failure) if failure.is_hard() => Err(failure.into()),
            Err(failure) => self.settled(Err(failure.into()), self.on_error, 1),
        }
    }

    /// A value, or what ON ERROR says.
    fn settled(&self, value: Result<Value>, behaviour: Behaviour, which: usize) -> Result<Value> {
        let error = match value {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match behaviour {
            Behaviour::Error => Err(error),
            Behaviour::Null => Ok(Value::Null),
            Behaviour::True | Behaviour::False => Ok(match self.returns {
                Type::Int4 => Value::Int4(i32::from(behaviour == Behaviour::True)),
                _ => Value::Bool(behaviour == Behaviour::True),
            }),
            Behaviour::EmptyArray => populate::value_of(self.look, self.returns, "[]"),
            Behaviour::EmptyObject => self.document_value("{}"),
            Behaviour::Default => Ok(self.otherwise[which].clone()),
        }
    }

    /// The value of what was found; `None` where nothing was.
    fn answered(&self, found: Result<Option<Result<Value>>>) -> Result<Value> {
        match found {
            Ok(Some(value)) => self.settled(value, self.on_error, 1),
            Ok(None) => {
                let message = match self.column {
                    "" => "no SQL/JSON item found for specified path".to_owned(),
                    column => {
                        format!("no SQL/JSON item found for specified path of column \"{column}\"")
                    }
                };
                self.settled(Err(Error::new(NO_ITEM, message)), self.on_empty, 0)
            }
            Err(error) if !is_silent(&error) => Err(error),
            Err(error) => self.settled(Err(error), self.on_error, 1),
        }
    }

    fn subject(&self, function: &str) -> String {
        match self.column {
            "" => format!("JSON path expression in {function}"),
            column => format!("JSON path expression for column \"{column}\""),
        }
    }

    fn value(&self) -> Result<Value> {
        let found = self.items().map(|items| {
            let scalar = |state| {
                let subject = self.subject("JSON_VALUE");
                Some(Err(Error::new(state, format!("{subject} must return single scalar item"))))
            };
            match items.as_slice() {
                [] => None,
                [Item::Moment(moment)] => {
                    Some(self.typed_text(&texts::to_string_as(&moment.value, self.look)))
                }
                [item] => match item.node() {
                    Some(Node::Array(_) | Node::Object(_)) => scalar(SCALAR_REQUIRED),
                    Some(node) if node.is_null() => Some(Ok(Value::Null)),
                    Some(node) if matches!(self.returns, Type::Json | Type::Jsonb) => {
                        Some(self.document_value(&node.to_text()))
                    }
                    Some(Node::Text(text) | Node::Plain(text)) => Some(self.typed_text(text)),
                    None => None,
                },
                _ => scalar(MORE_THAN_ONE_ITEM),
            }
        });
        self.answered(found)
    }

    fn typed_text(&self, text: &str) -> Result<Value> {
        match self.returns {
            Type::Json | Type::Jsonb => self.document_value(&quoted(text)),
            ty => texts::parse_as(ty, text, self.look),
        }
    }

    fn query(&self) -> Result<Value> {
        let found = self.items().map(|items| {
            let count = items.len();
            let mut nodes = items.into_iter().map(Item::into_node);
            let wraps = self.wrapper == "always" || self.wrapper == "several" && count > 1;
            match count {
                0 => None,
                _ if wraps => Some(self.document_value(&Node::Array(nodes.collect()).to_text())),
                1 => nodes.next().map(|node| match node {
                    Node::Text(text) if self.omits_quotes => self.unquoted(&text),
                    node => self.document_value(&node.to_text()),
                }),
                _ => {
                    let subject = self.subject("JSON_QUERY");
                    let message = format!("{subject} must return single item when no wrapper is requested");
                    let hint = "Use the WITH WRAPPER clause to wrap SQL/JSON items into an array.";
                    Some(Err(Error::new(MORE_THAN_ONE_ITEM, message).hint(hint)))
                }
            }
        });
        self.answered(found)
    }

    /// A text without its quotes, which need not be JSON then.
    fn unquoted(&self, text: &str) -> Result<Value> {
        match self.returns {
            Type::Json => checked(text),
            Type::Jsonb => json::normalise(text).map(Value::Jsonb),
            ty => texts::parse_as(ty, text, self.look),
        }
    }

    /// A document as the type that is asked for: as text in types of text, else as json_populate_record makes it.
    fn document_value(&self, document: &str) -> Result<Value> {
        match self.returns {
            Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name => {
                texts::parse_as(self.returns, document, self.look)
            }
            Type::Bytea => Ok(Value::Bytea(document.as_bytes().to_vec())),
            ty => populate::value_of(self.look, ty, document),
        }
    }
}

/// Whether ON ERROR is asked about it: variables that nobody passed and zones that were not meant are errors always.
fn is_silent(error: &Error) -> bool {
    !matches!(error.state(), SqlState::UNDEFINED_OBJECT | SqlState::FEATURE_NOT_SUPPORTED)
}

/// What is passed to a path: names and values by turns. Dates and times stay what they are, the rest is jsonb.
pub fn passed(look: Look, v: &[Value]) -> Result<Variables> {
    let item = |value: &Value| match Moment::of(value, look.zone) {
        Some(moment) => Ok(Item::Moment(moment)),
        None => node_of(look, value).map(Item::from),
    };
    let pairs = v.as_chunks::<2>().0.iter();
    pairs.map(|[name, value]| Ok((written(name).to_owned(), item(value)?))).collect()
}
