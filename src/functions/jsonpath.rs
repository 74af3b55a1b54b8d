//! What a path finds in a document: jsonb_path_query and its like, and the operators `@?` and `@@`.
//!
//! A path is computed from its beginning to its end, each step making a list of items of the list before it. In lax
//! mode, arrays are unwrapped where a step wants something else, and structure that is not there is nothing. An error
//! inside a condition makes the condition unknown; any other is the call's, unless it is to be silent.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use regex::RegexBuilder;

use crate::error::{Error, SqlState};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::json::{Key, Node};
use crate::types::jsonpath::print::number_text;
use crate::types::jsonpath::{Accessor, Arithmetic, Comparison, Expr, Method, Path};
use crate::types::{Numeric, Type, Value, numeric};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

/// The function behind an operator on jsonb and a path.
pub fn function_of_operator(operator: &str) -> Option<&'static str> {
    match operator {
        "@?" => Some("jsonb_path_exists_opr"),
        "@@" => Some("jsonb_path_match_opr"),
        _ => None,
    }
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("jsonb_path_exists(jsonb, jsonpath) bool", |v| exists(v, false)),
        strict("jsonb_path_exists(jsonb, jsonpath, jsonb) bool", |v| exists(v, false)),
        strict("jsonb_path_exists(jsonb, jsonpath, jsonb, bool) bool", |v| exists(v, false)),
        strict("jsonb_path_exists_opr(jsonb, jsonpath) bool", |v| exists(v, true)),
        strict("jsonb_path_match(jsonb, jsonpath) bool", |v| matches(v, false)),
        strict("jsonb_path_match(jsonb, jsonpath, jsonb) bool", |v| matches(v, false)),
        strict("jsonb_path_match(jsonb, jsonpath, jsonb, bool) bool", |v| matches(v, false)),
        strict("jsonb_path_match_opr(jsonb, jsonpath) bool", |v| matches(v, true)),
        // Sets are unnested arrays.
        strict("jsonb_path_query(jsonb, jsonpath) jsonb[]", query),
        strict("jsonb_path_query(jsonb, jsonpath, jsonb) jsonb[]", query),
        strict("jsonb_path_query(jsonb, jsonpath, jsonb, bool) jsonb[]", query),
        strict("jsonb_path_query_array(jsonb, jsonpath) jsonb", query_array),
        strict("jsonb_path_query_array(jsonb, jsonpath, jsonb) jsonb", query_array),
        strict("jsonb_path_query_array(jsonb, jsonpath, jsonb, bool) jsonb", query_array),
        strict("jsonb_path_query_first(jsonb, jsonpath) jsonb", query_first),
        strict("jsonb_path_query_first(jsonb, jsonpath, jsonb) jsonb", query_first),
        strict("jsonb_path_query_first(jsonb, jsonpath, jsonb, bool) jsonb", query_first),
    ]
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text,
        _ => "",
    }
}

/// The items found; `None` when there was an error and the call is silent.
fn found(v: &[Value], silent: bool) -> crate::error::Result<Option<Vec<Node>>> {
    let silent = silent || v.get(3) == Some(&Value::Bool(true));
    let path = Path::parse(text(&v[1]))?;
    let root = Node::parse(text(&v[0]))?;
    let variables = match v.get(2).map(|vars| Node::parse(text(vars))).transpose()? {
        None => BTreeMap::new(),
        Some(Node::Object(entries)) => entries,
        Some(_) => {
            let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, "\"vars\" argument is not an object");
            let detail = "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.";
            return Err(error.detail(detail));
        }
    };
    let evaluation = Evaluation { lax: !path.strict, root: &root, variables: &variables };
    let items = evaluation.items(&path.expr, &Place { current: &root, array: None });
    match items {
        Ok(items) => Ok(Some(items.into_iter().map(Cow::into_owned).collect())),
        Err(failure) if silent && !failure.hard => Ok(None),
        Err(failure) => Err(failure.error),
    }
}

fn exists(v: &[Value], silent: bool) -> crate::error::Result<Value> {
    Ok(found(v, silent)?.map_or(Value::Null, |items| Value::Bool(!items.is_empty())))
}

fn matches(v: &[Value], silent: bool) -> crate::error::Result<Value> {
    let silent = silent || v.get(3) == Some(&Value::Bool(true));
    let Some(items) = found(v, silent)? else { return Ok(Value::Null) };
    if let [Node::Plain(text)] = items.as_slice() {
        match text.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            _ => {}
        }
    }
    match silent {
        true => Ok(Value::Null),
        false => Err(Error::new(SINGLETON_REQUIRED, "single boolean result is expected")),
    }
}

fn query(v: &[Value]) -> crate::error::Result<Value> {
    let items = found(v, false)?.unwrap_or_default();
    Ok(Value::Array(items.iter().map(|item| Value::Jsonb(item.to_text())).collect()))
}

fn query_array(v: &[Value]) -> crate::error::Result<Value> {
    Ok(Value::Jsonb(Node::Array(found(v, false)?.unwrap_or_default()).to_text()))
}

fn query_first(v: &[Value]) -> crate::error::Result<Value> {
    let items = found(v, false)?.unwrap_or_default();
    Ok(items.first().map_or(Value::Null, |item| Value::Jsonb(item.to_text())))
}

const MEMBER_NOT_FOUND: SqlState = SqlState("2203A");
const NUMBER_NOT_FOUND: SqlState = SqlState("2203B");
const OBJECT_NOT_FOUND: SqlState = SqlState("2203C");
const ARRAY_NOT_FOUND: SqlState = SqlState("22039");
const SINGLETON_REQUIRED: SqlState = SqlState("22038");
const NON_NUMERIC_ITEM: SqlState = SqlState("22036");
const INVALID_SUBSCRIPT: SqlState = SqlState("22033");

/// An error, and whether it is one even where errors are silent.
struct Failure {
    error: Error,
    hard: bool,
}

type Result<T> = std::result::Result<T, Failure>;
type Items<'a> = Vec<Cow<'a, Node>>;

fn fail<T>(state: SqlState, message: impl Into<String>) -> Result<T> {
    Err(soft(Error::new(state, message)))
}

fn soft(error: Error) -> Failure {
    Failure { error, hard: false }
}

struct Evaluation<'a> {
    lax: bool,
    root: &'a Node,
    variables: &'a BTreeMap<Key, Node>,
}

/// What `@` and `last` mean.
#[derive(Clone, Copy)]
struct Place<'p> {
    current: &'p Node,
    /// Length of the array that is subscripted.
    array: Option<usize>,
}

/// Three-valued truth; `None` is unknown.
type Truth = Option<bool>;

impl<'a> Evaluation<'a> {
    /// The items an expression makes.
    fn items<'p>(&self, expr: &Expr, place: &Place<'p>) -> Result<Items<'p>>
    where
        'a: 'p,
    {
        self.chain(expr, place).map(|(items, _)| items)
    }

    /// The same, and whether missing structure is overlooked from here on: behind `.**` it is.
    fn chain<'p>(&self, expr: &Expr, place: &Place<'p>) -> Result<(Items<'p>, bool)>
    where
        'a: 'p,
    {
        let plain = |text: &str| vec![Cow::Owned(Node::Plain(text.to_owned()))];
        let items: Items<'p> = match expr {
            Expr::Root => vec![Cow::Borrowed(self.root)],
            Expr::Current => vec![Cow::Borrowed(place.current)],
            Expr::Last => match place.array {
                Some(length) => vec![Cow::Owned(number(Numeric::from_integer(length as i64 - 1)))],
                None => {
                    return fail(
                        SqlState::SYNTAX_ERROR,
                        "evaluating jsonpath LAST outside of array subscript",
                    );
                }
            },
            Expr::Variable(name) => vec![Cow::Borrowed(self.variable(name)?)],
            Expr::Null => plain("null"),
            Expr::Bool(value) => plain(if *value { "true" } else { "false" }),
            Expr::Number(value) => vec![Cow::Owned(number(value.clone()))],
            Expr::Text(text) => vec![Cow::Owned(Node::Text(text.clone()))],
            Expr::Access(base, accessor) => {
                let (items, overlooked) = self.chain(base, place)?;
                let mut found = Vec::new();
                for item in items {
                    self.access(accessor, item, overlooked, place, &mut found)?;
                }
                return Ok((found, overlooked || matches!(accessor, Accessor::Levels(..))));
            }
            Expr::Sign { minus, operand } => {
                let operands = self.unwrapped(self.items(operand, place)?);
                let signed = |item: Cow<'p, Node>| match numeric_of(&item)? {
                    Some(value) if *minus => Ok(Cow::Owned(number(value.negated()))),
                    Some(_) => Ok(item),
                    None => {
                        let sign = if *minus { '-' } else { '+' };
                        let message =
                            format!("operand of unary jsonpath operator {sign} is not a numeric value");
                        fail(NUMBER_NOT_FOUND, message)
                    }
                };
                operands.into_iter().map(signed).collect::<Result<_>>()?
            }
            Expr::Arithmetic(operator, left, right) => {
                let left = self.operand(left, "left", *operator, place)?;
                let right = self.operand(right, "right", *operator, place)?;
                vec![Cow::Owned(number(computed(*operator, left, right)?))]
            }
            condition => plain(match self.truth(condition, place)? {
                Some(true) => "true",
                Some(false) => "false",
                None => "null",
            }),
        };
        Ok((items, false))
    }

    fn variable(&self, name: &str) -> Result<&'a Node> {
        self.variables.get(&Key::new(name)).ok_or_else(|| Failure {
            error: Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find jsonpath variable \"{name}\""),
            ),
            hard: true,
        })
    }

    /// In lax mode, the elements of arrays in their places.
    fn unwrapped<'p>(&self, items: Items<'p>) -> Items<'p> {
        if !self.lax || !items.iter().any(|item| matches!(item.as_ref(), Node::Array(_))) {
            return items;
        }
        items.into_iter().flat_map(elements).collect()
    }

    fn operand(&self, expr: &Expr, side: &str, operator: Arithmetic, place: &Place) -> Result<Numeric> {
        let items = self.unwrapped(self.items(expr, place)?);
        let value = match items.as_slice() {
            [item] => numeric_of(item)?,
            _ => None,
        };
        value.map_or_else(
            || {
                let symbol = operator.symbol();
                let message =
                    format!("{side} operand of jsonpath operator {symbol} is not a single numeric value");
                fail(SINGLETON_REQUIRED, message)
            },
            Ok,
        )
    }

    fn access<'p>(
        &self,
        accessor: &Accessor,
        item: Cow<'p, Node>,
        overlooked: bool,
        place: &Place<'p>,
        found: &mut Items<'p>,
    ) -> Result<()>
    where
        'a: 'p,
    {
        let unwraps = match accessor {
            Accessor::Key(_) | Accessor::AnyKey | Accessor::Filter(_) => true,
            Accessor::Method(method, _) => !matches!(method, Method::Type | Method::Size),
            _ => false,
        };
        if unwraps && self.lax && matches!(item.as_ref(), Node::Array(_)) {
            return elements(item)
                .try_for_each(|element| self.step(accessor, element, overlooked, place, found));
        }
        self.step(accessor, item, overlooked, place, found)
    }

    /// A step from an item that is not unwrapped any more.
    fn step<'p>(
        &self,
        accessor: &Accessor,
        item: Cow<'p, Node>,
        overlooked: bool,
        place: &Place<'p>,
        found: &mut Items<'p>,
    ) -> Result<()>
    where
        'a: 'p,
    {
        let missing = |state: SqlState, message: String| {
            if self.lax || overlooked { Ok(()) } else { fail(state, message) }
        };
        match accessor {
            Accessor::Key(key) => {
                let value = match &item {
                    Cow::Borrowed(Node::Object(entries)) => entries.get(&Key::new(key)).map(Cow::Borrowed),
                    Cow::Owned(Node::Object(entries)) => entries.get(&Key::new(key)).cloned().map(Cow::Owned),
                    _ => {
                        let message = "jsonpath member accessor can only be applied to an object";
                        return missing(MEMBER_NOT_FOUND, message.to_owned());
                    }
                };
                match value {
                    Some(value) => found.push(value),
                    None => {
                        return missing(
                            MEMBER_NOT_FOUND,
                            format!("JSON object does not contain key \"{key}\""),
                        );
                    }
                }
            }
            Accessor::AnyKey => match item.as_ref() {
                Node::Object(_) => found.extend(children(item)),
                _ => {
                    let message = "jsonpath wildcard member accessor can only be applied to an object";
                    return missing(OBJECT_NOT_FOUND, message.to_owned());
                }
            },
            Accessor::AnyItem => match item.as_ref() {
                Node::Array(_) => found.extend(elements(item)),
                _ if self.lax => found.push(item),
                _ => {
                    let message = "jsonpath wildcard array accessor can only be applied to an array";
                    return missing(ARRAY_NOT_FOUND, message.to_owned());
                }
            },
            Accessor::Items(ranges) => {
                if !self.lax && !matches!(item.as_ref(), Node::Array(_)) {
                    let message = "jsonpath array accessor can only be applied to an array";
                    return missing(ARRAY_NOT_FOUND, message.to_owned());
                }
                self.subscripts(ranges, &item, overlooked, place, found)?;
            }
            Accessor::Levels(first, last) => {
                let deepest = u32::MAX;
                levels(item, 0, first.unwrap_or(deepest), last.unwrap_or(deepest), found);
            }
            Accessor::Filter(condition) => {
                let inside = Place { current: item.as_ref(), ..*place };
                if self.truth(condition, &inside)? == Some(true) {
                    found.push(item);
                }
            }
            Accessor::Method(method, arguments) => {
                self.method(*method, arguments, item, overlooked, found)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::ptr_arg, reason = "elements of a borrowed array are borrowed, of an owned one copied")]
    fn subscripts<'p>(
        &self,
        ranges: &[(Expr, Option<Expr>)],
        item: &Cow<'p, Node>,
        overlooked: bool,
        place: &Place<'p>,
        found: &mut Items<'p>,
    ) -> Result<()>
    where
        'a: 'p,
    {
        let length = if let Node::Array(items) = item.as_ref() { items.len() } else { 1 };
        let inside = Place { array: Some(length), ..*place };
        for (first, last) in ranges {
            let first = self.subscript(first, &inside)?;
            let last = last.as_ref().map_or(Ok(first), |last| self.subscript(last, &inside))?;
            if !self.lax && !overlooked && (first < 0 || first > last || last >= length as i64) {
                return fail(INVALID_SUBSCRIPT, "jsonpath array subscript is out of bounds");
            }
            for index in first.max(0)..=last.min(length as i64 - 1) {
                match item {
                    Cow::Borrowed(Node::Array(items)) => found.push(Cow::Borrowed(&items[index as usize])),
                    Cow::Owned(Node::Array(items)) => found.push(Cow::Owned(items[index as usize].clone())),
                    other => found.push(other.clone()),
                }
            }
        }
        Ok(())
    }

    fn subscript(&self, expr: &Expr, place: &Place) -> Result<i64> {
        let items = self.items(expr, place)?;
        let value = match items.as_slice() {
            [item] => numeric_of(item)?,
            _ => None,
        };
        let Some(value) = value else {
            return fail(INVALID_SUBSCRIPT, "jsonpath array subscript is not a single numeric value");
        };
        let whole = value.truncated(0).to_i64();
        match whole.filter(|whole| i32::try_from(*whole).is_ok()) {
            Some(index) => Ok(index),
            None => fail(INVALID_SUBSCRIPT, "jsonpath array subscript is out of integer range"),
        }
    }

    /// Whether a condition is true. Errors inside make it unknown, but for those that are never silent.
    fn truth(&self, condition: &Expr, place: &Place) -> Result<Truth> {
        Ok(match condition {
            Expr::And(left, right) => match self.truth(left, place)? {
                Some(false) => Some(false),
                left => match (left, self.truth(right, place)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                },
            },
            Expr::Or(left, right) => match self.truth(left, place)? {
                Some(true) => Some(true),
                left => match (left, self.truth(right, place)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            },
            Expr::Not(inner) => self.truth(inner, place)?.map(|truth| !truth),
            Expr::IsUnknown(inner) => Some(self.truth(inner, place)?.is_none()),
            Expr::Exists(inner) => quiet(self.items(inner, place))?.map(|items| !items.is_empty()),
            Expr::Compare(operator, left, right) => {
                self.pairs(left, Some(right), place, |left, right| compare(*operator, left, right))?
            }
            Expr::StartsWith(whole, initial) => {
                self.pairs(whole, Some(initial), place, |whole, initial| match (whole, initial) {
                    (Node::Text(whole), Node::Text(initial)) => Some(whole.starts_with(initial.as_str())),
                    _ => None,
                })?
            }
            Expr::LikeRegex { operand, pattern, flags } => {
                let regex = regex(pattern, flags).map_err(|error| Failure { error, hard: true })?;
                self.pairs(operand, None, place, |item, _| match item {
                    Node::Text(text) => Some(regex.is_match(text)),
                    _ => None,
                })?
            }
            _ => None,
        })
    }

    /// Whether some pair of items passes; unknown when none does and one cannot be compared. Strict mode looks at all.
    fn pairs(
        &self,
        left: &Expr,
        right: Option<&Expr>,
        place: &Place,
        test: impl Fn(&Node, &Node) -> Truth,
    ) -> Result<Truth> {
        let Some(left) = quiet(self.items(left, place))? else { return Ok(None) };
        let left = self.unwrapped(left);
        let right = match right {
            Some(right) => match quiet(self.items(right, place))? {
                Some(right) => self.unwrapped(right),
                None => return Ok(None),
            },
            None => vec![Cow::Owned(Node::null())],
        };
        let (mut passed, mut unknown) = (false, false);
        for left in &left {
            for right in &right {
                match test(left, right) {
                    Some(true) if self.lax => return Ok(Some(true)),
                    Some(true) => passed = true,
                    Some(false) => {}
                    None if !self.lax => return Ok(None),
                    None => unknown = true,
                }
            }
        }
        Ok(if passed { Some(true) } else { (!unknown).then_some(false) })
    }

    fn method<'p>(
        &self,
        method: Method,
        arguments: &[Numeric],
        item: Cow<'p, Node>,
        overlooked: bool,
        found: &mut Items<'p>,
    ) -> Result<()> {
        let name = method.name();
        let only = |what: &str| format!("jsonpath item method .{name}() can only be applied to {what}");
        let invalid = |text: &str, ty: &str| {
            let message =
                format!("argument \"{text}\" of jsonpath item method .{name}() is invalid for type {ty}");
            soft(Error::new(NON_NUMERIC_ITEM, message))
        };
        let made = match method {
            Method::Type => Node::Text(kind(&item).to_owned()),
            Method::Size => match item.as_ref() {
                Node::Array(items) => number(Numeric::from_integer(items.len() as i64)),
                _ if self.lax => number(Numeric::from_integer(1)),
                _ if overlooked => return Ok(()),
                _ => return fail(ARRAY_NOT_FOUND, only("an array")),
            },
            Method::KeyValue => {
                let Node::Object(entries) = item.as_ref() else {
                    return fail(OBJECT_NOT_FOUND, only("an object"));
                };
                for (key, value) in entries {
                    let fields = [
                        ("id", number(Numeric::from_integer(0))),
                        ("key", Node::Text(key.text.clone())),
                        ("value", value.clone()),
                    ];
                    let fields = fields.into_iter().map(|(name, value)| (Key::new(name), value));
                    found.push(Cow::Owned(Node::Object(fields.collect())));
                }
                return Ok(());
            }
            Method::Ceiling | Method::Floor | Method::Abs => {
                let Some(value) = numeric_of(&item)? else {
                    return fail(NON_NUMERIC_ITEM, only("a numeric value"));
                };
                number(match method {
                    Method::Abs => value.absolute(),
                    Method::Floor => value.floor().map_err(soft)?,
                    _ => value.ceiling().map_err(soft)?,
                })
            }
            Method::Double => {
                let text = scalar_text(&item, false)
                    .ok_or_else(|| soft(Error::new(NON_NUMERIC_ITEM, only("a string or numeric value"))))?;
                let value = text.parse::<f64>().map_err(|_| invalid(&text, "double precision"))?;
                if !value.is_finite() {
                    let message =
                        format!("NaN or Infinity is not allowed for jsonpath item method .{name}()");
                    return fail(NON_NUMERIC_ITEM, message);
                }
                let shown = crate::types::text::to_string(&Value::Float8(value));
                Node::Plain(numeric::parse(&shown).map(|number| number_text(&number)).unwrap_or(shown))
            }
            Method::Bigint | Method::Integer | Method::Number | Method::Decimal => {
                let text = scalar_text(&item, false)
                    .ok_or_else(|| soft(Error::new(NON_NUMERIC_ITEM, only("a string or numeric value"))))?;
                let ty = match method {
                    Method::Bigint => Type::Int8,
                    Method::Integer => Type::Int4,
                    _ => Type::Numeric(modifier(arguments)),
                };
                let value = match item.as_ref() {
                    // A number is rounded, a text has to be one of the type.
                    Node::Plain(_) => numeric::parse(&text)
                        .and_then(|value| crate::types::cast::cast(Value::Numeric(value), &ty, true)),
                    _ => crate::types::text::parse(&ty, &text),
                };
                let value = value.map_err(|_| invalid(&text, &ty.bare().to_string()))?;
                Node::Plain(crate::types::text::to_string(&value))
            }
            Method::Boolean => {
                let text = scalar_text(&item, true).ok_or_else(|| {
                    soft(Error::new(NON_NUMERIC_ITEM, only("a boolean, string, or numeric value")))
                })?;
                let value = match item.as_ref() {
                    Node::Plain(_) if numeric_of(&item)?.is_some() => {
                        text.parse::<i32>().map(|value| value != 0).map_err(|_| invalid(&text, "boolean"))?
                    }
                    _ => match crate::types::text::parse(&Type::Bool, &text) {
                        Ok(Value::Bool(value)) => value,
                        _ => return Err(invalid(&text, "boolean")),
                    },
                };
                Node::Plain(value.to_string())
            }
            Method::String => match item.as_ref() {
                Node::Text(text) => Node::Text(text.clone()),
                Node::Plain(text) if text != "null" => Node::Text(text.clone()),
                _ => return fail(NON_NUMERIC_ITEM, only("a boolean, string, numeric, or datetime value")),
            },
        };
        found.push(Cow::Owned(made));
        Ok(())
    }
}

/// An error that is not hard as no answer.
fn quiet<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(items) => Ok(Some(items)),
        Err(failure) if failure.hard => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The elements of an array; anything else by itself.
fn elements(item: Cow<'_, Node>) -> std::vec::IntoIter<Cow<'_, Node>> {
    let items: Vec<Cow<Node>> = match item {
        Cow::Borrowed(Node::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Owned(Node::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        other => vec![other],
    };
    items.into_iter()
}

/// The elements of an array, the values of an object.
fn children(item: Cow<'_, Node>) -> Vec<Cow<'_, Node>> {
    match item {
        Cow::Borrowed(Node::Object(entries)) => entries.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Node::Object(entries)) => entries.into_values().map(Cow::Owned).collect(),
        item if matches!(item.as_ref(), Node::Array(_)) => elements(item).collect(),
        _ => Vec::new(),
    }
}

/// The items from level `first` to `last` below one; both at the end mean what has nothing below it.
fn levels<'p>(item: Cow<'p, Node>, level: u32, first: u32, last: u32, found: &mut Items<'p>) {
    let below = children(item.clone());
    let leaves = first == u32::MAX && last == u32::MAX;
    if level >= first || leaves && below.is_empty() {
        found.push(item);
    }
    if level < last {
        below.into_iter().for_each(|child| levels(child, level + 1, first, last, found));
    }
}

fn kind(item: &Node) -> &'static str {
    match item {
        Node::Object(_) => "object",
        Node::Array(_) => "array",
        Node::Text(_) => "string",
        Node::Plain(text) => match text.as_str() {
            "null" => "null",
            "true" | "false" => "boolean",
            _ => "number",
        },
    }
}

fn numeric_of(item: &Node) -> Result<Option<Numeric>> {
    match item {
        Node::Plain(text) if kind(item) == "number" => numeric::parse(text).map(Some).map_err(soft),
        _ => Ok(None),
    }
}

/// The text of a text or a number, and with `bools` of true and false.
fn scalar_text(item: &Node, bools: bool) -> Option<String> {
    match item {
        Node::Text(text) => Some(text.clone()),
        Node::Plain(text) => match kind(item) {
            "number" => Some(text.clone()),
            "boolean" if bools => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn number(value: Numeric) -> Node {
    Node::Plain(number_text(&value))
}

/// The digits that `.decimal(precision, scale)` keeps.
fn modifier(arguments: &[Numeric]) -> Option<(u16, i16)> {
    let precision = u16::try_from(arguments.first()?.to_i64()?).ok()?;
    let scale = arguments.get(1).map_or(Some(0), |scale| i16::try_from(scale.to_i64()?).ok())?;
    Some((precision, scale))
}

fn computed(operator: Arithmetic, left: Numeric, right: Numeric) -> Result<Numeric> {
    match operator {
        Arithmetic::Add => left.plus(&right),
        Arithmetic::Subtract => left.minus(&right),
        Arithmetic::Multiply => left.times(&right),
        Arithmetic::Divide => left.divided_by(&right),
        Arithmetic::Remainder => left.remainder(&right),
    }
    .map_err(soft)
}

fn compare(operator: Comparison, left: &Node, right: &Node) -> Truth {
    let (one, other) = (kind(left), kind(right));
    if one != other {
        // NULL differs from everything; other kinds cannot be compared.
        return (one == "null" || other == "null").then_some(operator == Comparison::NotEqual);
    }
    let ordering = match (left, right) {
        (Node::Text(left), Node::Text(right)) => left.encode_utf16().cmp(right.encode_utf16()),
        (Node::Plain(left), Node::Plain(right)) if one == "number" => {
            numeric::parse(left).ok()?.compare(&numeric::parse(right).ok()?)
        }
        // false before true; null is equal to itself.
        (Node::Plain(left), Node::Plain(right)) => left.cmp(right),
        _ => return None,
    };
    Some(match operator {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::NotEqual => ordering != Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
    })
}

/// A pattern with XQuery's flags.
fn regex(pattern: &str, flags: &str) -> crate::error::Result<regex::Regex> {
    if flags.contains('x') {
        let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let escaped = regex::escape(pattern);
    let pattern = if flags.contains('q') { &escaped } else { pattern };
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(flags.contains('i'));
    builder.dot_matches_new_line(flags.contains('s'));
    builder.multi_line(flags.contains('m'));
    builder
        .build()
        .map_err(|error| Error::new(SqlState("2201B"), format!("invalid regular expression: {error}")))
}
