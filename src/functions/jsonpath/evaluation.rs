//! A path carried out.
//!
//! Each item goes through the whole path before the next one does, so that what was found before an error is known, and
//! that a question whether there is anything ends with the first. In lax mode, arrays are unwrapped where a step wants
//! something else, and structure that is not there is nothing. An error inside a condition makes the condition unknown;
//! any other is the call's, unless it is to be silent.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::SINGLETON_REQUIRED;
use super::moments::{Moment, ZoneUse};
use super::{methods, places};
use crate::error::{Error, SqlState};
use crate::functions::regex;
use crate::types::json::{Key, Node};
use crate::types::jsonpath::print::number_text;
use crate::types::jsonpath::{Accessor, Arithmetic, Comparison, Expr, Method, Path};
use crate::types::{Numeric, numeric};

const MEMBER_NOT_FOUND: SqlState = SqlState("2203A");
const NUMBER_NOT_FOUND: SqlState = SqlState("2203B");
const OBJECT_NOT_FOUND: SqlState = SqlState("2203C");
pub const ARRAY_NOT_FOUND: SqlState = SqlState("22039");
const INVALID_SUBSCRIPT: SqlState = SqlState("22033");

/// Values by the names that paths have for them.
pub type Variables = BTreeMap<String, Item<'static>>;

/// What a path goes through: a part of a document, or a moment that was read from one.
#[derive(Clone, Debug)]
pub enum Item<'p> {
    Node(Cow<'p, Node>),
    Moment(Moment),
}

impl From<Node> for Item<'_> {
    fn from(node: Node) -> Self {
        Item::Node(Cow::Owned(node))
    }
}

impl<'p> Item<'p> {
    pub fn into_node(self) -> Node {
        match self {
            Item::Node(node) => node.into_owned(),
            Item::Moment(moment) => Node::Text(moment.text()),
        }
    }

    fn borrowed<'q>(&'q self) -> Item<'q> {
        match self {
            Item::Node(node) => Item::Node(Cow::Borrowed(node.as_ref())),
            Item::Moment(moment) => Item::Moment(moment.clone()),
        }
    }

    pub fn node(&self) -> Option<&Node> {
        match self {
            Item::Node(node) => Some(node.as_ref()),
            Item::Moment(_) => None,
        }
    }

    fn is_array(&self) -> bool {
        matches!(self.node(), Some(Node::Array(_)))
    }

    /// The name of its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Item::Moment(moment) => moment.kind(),
            Item::Node(node) => match node.as_ref() {
                Node::Object(_) => "object",
                Node::Array(_) => "array",
                Node::Text(_) => "string",
                Node::Plain(text) => match text.as_str() {
                    "null" => "null",
                    "true" | "false" => "boolean",
                    _ => "number",
                },
            },
        }
    }

    pub fn number(&self) -> Result<Option<Numeric>> {
        match self.node() {
            Some(Node::Plain(text)) if self.kind() == "number" => {
                numeric::parse(text).map(Some).map_err(soft)
            }
            _ => Ok(None),
        }
    }

    /// The elements of an array; anything else by itself.
    fn elements(self) -> std::vec::IntoIter<Item<'p>> {
        let items: Vec<Item> = match self {
            Item::Node(Cow::Borrowed(Node::Array(items))) => {
                items.iter().map(|item| Item::Node(Cow::Borrowed(item))).collect()
            }
            Item::Node(Cow::Owned(Node::Array(items))) => items.into_iter().map(Item::from).collect(),
            other => vec![other],
        };
        items.into_iter()
    }

    /// The elements of an array, the values of an object.
    fn children(self) -> Vec<Item<'p>> {
        match self {
            Item::Node(Cow::Borrowed(Node::Object(entries))) => {
                entries.values().map(|value| Item::Node(Cow::Borrowed(value))).collect()
            }
            Item::Node(Cow::Owned(Node::Object(entries))) => entries.into_values().map(Item::from).collect(),
            item if item.is_array() => item.elements().collect(),
            _ => Vec::new(),
        }
    }
}

/// Why a path was not carried out to its end.
#[derive(Debug)]
pub enum Failure {
    /// An error that may be silent.
    Soft(Error),
    Hard(Error),
    /// Enough was found.
    Stop,
}

impl Failure {
    pub fn is_hard(&self) -> bool {
        matches!(self, Failure::Hard(_))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Soft(error) | Failure::Hard(error) => error,
            Failure::Stop => Error::internal("a path that ended early is no error"),
        }
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

pub fn fail<T>(state: SqlState, message: impl Into<String>) -> Result<T> {
    Err(soft(Error::new(state, message)))
}

pub fn soft(error: Error) -> Failure {
    Failure::Soft(error)
}

pub fn number(value: Numeric) -> Item<'static> {
    Item::from(Node::Plain(number_text(&value)))
}

/// What takes items as they are found, each with whether missing structure is overlooked from there on.
type Sink<'s, 'p> = dyn FnMut(Item<'p>, bool) -> Result<()> + 's;

/// A path, a document, and what the path may look at beside it.
pub struct Search<'a> {
    lax: bool,
    root: &'a Node,
    expr: &'a Expr,
    variables: &'a Variables,
    zones: ZoneUse,
}

/// What `@` and `last` mean.
#[derive(Clone, Copy)]
struct Place<'p> {
    current: Option<&'p Item<'p>>,
    /// Length of the array that is subscripted.
    array: Option<usize>,
}

const OUTSIDE: Place<'static> = Place { current: None, array: None };

/// Three-valued truth; `None` is unknown.
type Truth = Option<bool>;

impl<'a> Search<'a> {
    pub fn new(root: &'a Node, path: &'a Path, variables: &'a Variables, zones: ZoneUse) -> Search<'a> {
        Search { lax: !path.strict, root, expr: &path.expr, variables, zones }
    }

    /// All items, or those before an error.
    pub fn items(&self) -> (Vec<Item<'a>>, Option<Failure>) {
        let mut found = Vec::new();
        let done = self.each(self.expr, &OUTSIDE, &mut |item, _| {
            found.push(item);
            Ok(())
        });
        (found, done.err())
    }

    /// Whether there is an item. Strict mode looks at all, for there may be an error behind the first.
    pub fn exists(&self) -> Result<bool> {
        if !self.lax {
            let (items, failure) = self.items();
            return failure.map_or(Ok(!items.is_empty()), Err);
        }
        // A sign before what is no number is an error only of one that is looked at.
        if let Expr::Sign { operand, .. } = self.expr {
            for item in self.unwrapped(self.list(operand, &OUTSIDE)?) {
                if item.number()?.is_some() {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match self.each(self.expr, &OUTSIDE, &mut |_, _| Err(Failure::Stop)) {
            Ok(()) => Ok(false),
            Err(Failure::Stop) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// The items an expression makes.
    fn list<'p>(&self, expr: &Expr, place: &Place<'p>) -> Result<Vec<Item<'p>>>
    where
        'a: 'p,
    {
        let mut found = Vec::new();
        self.each(expr, place, &mut |item, _| {
            found.push(item);
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands the items of an expression over, one by one. Behind `.**`, missing structure is overlooked.
    fn each<'p>(&self, expr: &Expr, place: &Place<'p>, sink: &mut Sink<'_, 'p>) -> Result<()>
    where
        'a: 'p,
    {
        let plain = |text: &str| Item::from(Node::Plain(text.to_owned()));
        let item = match expr {
            Expr::Root => Item::Node(Cow::Borrowed(self.root)),
            Expr::Current => match place.current {
                Some(item) => item.borrowed(),
                None => return fail(SqlState::SYNTAX_ERROR, "@ is not allowed in root expressions"),
            },
            Expr::Last => match place.array {
                Some(length) => number(Numeric::from_integer(length as i64 - 1)),
                None => {
                    return fail(
                        SqlState::SYNTAX_ERROR,
                        "evaluating jsonpath LAST outside of array subscript",
                    );
                }
            },
            Expr::Variable(name) => self.variable(name)?.borrowed(),
            Expr::Null => plain("null"),
            Expr::Bool(value) => plain(if *value { "true" } else { "false" }),
            Expr::Number(value) => number(value.clone()),
            Expr::Text(text) => Item::from(Node::Text(text.clone())),
            Expr::Access(base, accessor) => {
                return self.each(base, place, &mut |item, overlooked| {
                    self.access(accessor, item, overlooked, place, sink)
                });
            }
            Expr::Sign { minus, operand } => {
                for item in self.unwrapped(self.list(operand, place)?) {
                    match item.number()? {
                        Some(value) if *minus => sink(number(value.negated()), false)?,
                        Some(_) => sink(item, false)?,
                        None => {
                            let sign = if *minus { '-' } else { '+' };
                            let message =
                                format!("operand of unary jsonpath operator {sign} is not a numeric value");
                            return fail(NUMBER_NOT_FOUND, message);
                        }
                    }
                }
                return Ok(());
            }
            Expr::Arithmetic(operator, left, right) => {
                let left = self.operand(left, "left", *operator, place)?;
                let right = self.operand(right, "right", *operator, place)?;
                number(computed(*operator, left, right)?)
            }
            condition => plain(match self.truth(condition, place)? {
                Some(true) => "true",
                Some(false) => "false",
                None => "null",
            }),
        };
        sink(item, false)
    }

    fn variable(&self, name: &str) -> Result<&'a Item<'static>> {
        self.variables.get(name).ok_or_else(|| {
            let message = format!("could not find jsonpath variable \"{name}\"");
            Failure::Hard(Error::new(SqlState::UNDEFINED_OBJECT, message))
        })
    }

    /// In lax mode, the elements of arrays in their places.
    fn unwrapped<'p>(&self, items: Vec<Item<'p>>) -> Vec<Item<'p>> {
        if !self.lax || !items.iter().any(Item::is_array) {
            return items;
        }
        items.into_iter().flat_map(Item::elements).collect()
    }

    fn operand(&self, expr: &Expr, side: &str, operator: Arithmetic, place: &Place) -> Result<Numeric> {
        let items = self.unwrapped(self.list(expr, place)?);
        let value = match items.as_slice() {
            [item] => item.number()?,
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
        item: Item<'p>,
        overlooked: bool,
        place: &Place<'p>,
        sink: &mut Sink<'_, 'p>,
    ) -> Result<()>
    where
        'a: 'p,
    {
        let unwraps = match accessor {
            Accessor::Key(_) | Accessor::AnyKey | Accessor::Filter(_) => true,
            Accessor::Method(method, _) => !matches!(method, Method::Type | Method::Size),
            _ => false,
        };
        if unwraps && self.lax && item.is_array() {
            return item
                .elements()
                .try_for_each(|element| self.step(accessor, element, overlooked, place, sink));
        }
        self.step(accessor, item, overlooked, place, sink)
    }

    /// A step from an item that is not unwrapped any more.
    fn step<'p>(
        &self,
        accessor: &Accessor,
        item: Item<'p>,
        overlooked: bool,
        place: &Place<'p>,
        sink: &mut Sink<'_, 'p>,
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
                    Item::Node(Cow::Borrowed(Node::Object(entries))) => {
                        entries.get(&Key::new(key)).map(|value| Item::Node(Cow::Borrowed(value)))
                    }
                    Item::Node(Cow::Owned(Node::Object(entries))) => {
                        entries.get(&Key::new(key)).cloned().map(Item::from)
                    }
                    _ => {
                        let message = "jsonpath member accessor can only be applied to an object";
                        return missing(MEMBER_NOT_FOUND, message.to_owned());
                    }
                };
                match value {
                    Some(value) => sink(value, overlooked),
                    None => missing(MEMBER_NOT_FOUND, format!("JSON object does not contain key \"{key}\"")),
                }
            }
            Accessor::AnyKey => match item.node() {
                Some(Node::Object(_)) => {
                    item.children().into_iter().try_for_each(|child| sink(child, overlooked))
                }
                _ => {
                    let message = "jsonpath wildcard member accessor can only be applied to an object";
                    missing(OBJECT_NOT_FOUND, message.to_owned())
                }
            },
            Accessor::AnyItem => {
                if !item.is_array() && !self.lax {
                    let message = "jsonpath wildcard array accessor can only be applied to an array";
                    return missing(ARRAY_NOT_FOUND, message.to_owned());
                }
                item.elements().try_for_each(|element| sink(element, overlooked))
            }
            Accessor::Items(ranges) => {
                if !self.lax && !item.is_array() {
                    let message = "jsonpath array accessor can only be applied to an array";
                    return missing(ARRAY_NOT_FOUND, message.to_owned());
                }
                self.subscripts(ranges, &item, overlooked, place, sink)
            }
            Accessor::Levels(first, last) => {
                let deepest = u32::MAX;
                let levels = (first.unwrap_or(deepest), last.unwrap_or(deepest));
                below(item, 0, levels, &mut |item| sink(item, true))
            }
            Accessor::Filter(condition) => {
                let passes = {
                    let inside = Place { current: Some(&item), ..*place };
                    self.truth(condition, &inside)? == Some(true)
                };
                if passes { sink(item, overlooked) } else { Ok(()) }
            }
            Accessor::Method(Method::Size, _) => {
                let size = match item.node() {
                    Some(Node::Array(items)) => items.len() as i64,
                    _ if self.lax => 1,
                    _ if overlooked => return Ok(()),
                    _ => {
                        let message = "jsonpath item method .size() can only be applied to an array";
                        return fail(ARRAY_NOT_FOUND, message);
                    }
                };
                sink(number(Numeric::from_integer(size)), overlooked)
            }
            Accessor::Method(Method::KeyValue, _) => {
                let Some(Node::Object(entries)) = item.node() else {
                    let message = "jsonpath item method .keyvalue() can only be applied to an object";
                    return fail(OBJECT_NOT_FOUND, message);
                };
                // What is made on the way, and variables, lie nowhere in the document.
                let place = item.node().and_then(|node| places::place_of(self.root, node)).unwrap_or(0);
                entries.iter().try_for_each(|(key, value)| {
                    let fields = [
                        ("id", Node::Plain(place.to_string())),
                        ("key", Node::Text(key.text.clone())),
                        ("value", value.clone()),
                    ];
                    let fields = fields.into_iter().map(|(name, value)| (Key::new(name), value));
                    sink(Item::from(Node::Object(fields.collect())), overlooked)
                })
            }
            Accessor::Method(method, arguments) => {
                sink(methods::apply(*method, arguments, &item, self.zones)?, overlooked)
            }
        }
    }

    fn subscripts<'p>(
        &self,
        ranges: &[(Expr, Option<Expr>)],
        item: &Item<'p>,
        overlooked: bool,
        place: &Place<'p>,
        sink: &mut Sink<'_, 'p>,
    ) -> Result<()>
    where
        'a: 'p,
    {
        let length = if let Some(Node::Array(items)) = item.node() { items.len() } else { 1 };
        let inside = Place { array: Some(length), ..*place };
        for (first, last) in ranges {
            let first = self.subscript(first, &inside)?;
            let last = last.as_ref().map_or(Ok(first), |last| self.subscript(last, &inside))?;
            if !self.lax && !overlooked && (first < 0 || first > last || last >= length as i64) {
                return fail(INVALID_SUBSCRIPT, "jsonpath array subscript is out of bounds");
            }
            for index in first.max(0)..=last.min(length as i64 - 1) {
                let element = match item {
                    Item::Node(Cow::Borrowed(Node::Array(items))) => {
                        Item::Node(Cow::Borrowed(&items[index as usize]))
                    }
                    Item::Node(Cow::Owned(Node::Array(items))) => Item::from(items[index as usize].clone()),
                    other => other.clone(),
                };
                sink(element, overlooked)?;
            }
        }
        Ok(())
    }

    fn subscript(&self, expr: &Expr, place: &Place) -> Result<i64> {
        let items = self.list(expr, place)?;
        let value = match items.as_slice() {
            [item] => item.number()?,
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
            Expr::Exists(inner) => quiet(self.list(inner, place))?.map(|items| !items.is_empty()),
            Expr::Compare(operator, left, right) => {
                self.pairs(left, Some(right), place, |left, right| self.compare(*operator, left, right))?
            }
            Expr::StartsWith(whole, initial) => {
                self.pairs(whole, Some(initial), place, |whole, initial| {
                    match (whole.node(), initial.node()) {
                        (Some(Node::Text(whole)), Some(Node::Text(initial))) => {
                            Ok(Some(whole.starts_with(initial.as_str())))
                        }
                        _ => Ok(None),
                    }
                })?
            }
            Expr::LikeRegex { operand, pattern, flags } => {
                let regex = regex::pattern(pattern, &regex_flags(flags)).map_err(Failure::Hard)?;
                self.pairs(operand, None, place, |item, _| match item.node() {
                    Some(Node::Text(text)) => regex.is_match(text).map(Some).map_err(Failure::Hard),
                    _ => Ok(None),
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
        test: impl Fn(&Item, &Item) -> Result<Truth>,
    ) -> Result<Truth> {
        let Some(left) = quiet(self.list(left, place))? else { return Ok(None) };
        let left = self.unwrapped(left);
        let right = match right {
            Some(right) => match quiet(self.list(right, place))? {
                Some(right) => self.unwrapped(right),
                None => return Ok(None),
            },
            None => vec![Item::from(Node::null())],
        };
        let (mut passed, mut unknown) = (false, false);
        for left in &left {
            for right in &right {
                match test(left, right)? {
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

    fn compare(&self, operator: Comparison, left: &Item, right: &Item) -> Result<Truth> {
        let ordering = match (left, right) {
            (Item::Moment(left), Item::Moment(right)) => {
                left.compare(right, self.zones).map_err(Failure::Hard)?
            }
            (left, right) => {
                let (one, other) = (left.kind(), right.kind());
                if one != other {
                    // NULL differs from everything; other kinds cannot be compared.
                    let is_null = one == "null" || other == "null";
                    return Ok(is_null.then_some(operator == Comparison::NotEqual));
                }
                match (left.node(), right.node()) {
                    (Some(Node::Text(left)), Some(Node::Text(right))) => {
                        Some(left.encode_utf16().cmp(right.encode_utf16()))
                    }
                    (Some(Node::Plain(_)), Some(Node::Plain(_))) if one == "number" => {
                        left.number()?.zip(right.number()?).map(|(left, right)| left.compare(&right))
                    }
                    // false before true; null is equal to itself.
                    (Some(Node::Plain(left)), Some(Node::Plain(right))) => Some(left.cmp(right)),
                    _ => None,
                }
            }
        };
        Ok(ordering.map(|ordering| match operator {
            Comparison::Equal => ordering == Ordering::Equal,
            Comparison::NotEqual => ordering != Ordering::Equal,
            Comparison::Less => ordering == Ordering::Less,
            Comparison::LessOrEqual => ordering != Ordering::Greater,
            Comparison::Greater => ordering == Ordering::Greater,
            Comparison::GreaterOrEqual => ordering != Ordering::Less,
        }))
    }
}

/// An error that is not hard as no answer.
fn quiet<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(items) => Ok(Some(items)),
        Err(Failure::Soft(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The items from level `first` to `last` below one; both at the end mean what has nothing below it.
fn below<'p>(
    item: Item<'p>,
    level: u32,
    (first, last): (u32, u32),
    sink: &mut dyn FnMut(Item<'p>) -> Result<()>,
) -> Result<()> {
    let children = item.clone().children();
    let leaves = first == u32::MAX && last == u32::MAX;
    if level >= first || leaves && children.is_empty() {
        sink(item)?;
    }
    if level < last {
        children.into_iter().try_for_each(|child| below(child, level + 1, (first, last), sink))?;
    }
    Ok(())
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

/// XQuery's flags in PostgreSQL's: there a dot matches a newline unless a flag says otherwise.
pub(super) fn regex_flags(flags: &str) -> String {
    let case = if flags.contains('i') { "i" } else { "" };
    let lines = match (flags.contains('q'), flags.contains('s'), flags.contains('m')) {
        (true, ..) => "q",
        (_, true, true) => "w",
        (_, true, false) => "",
        (_, false, true) => "n",
        (_, false, false) => "p",
    };
    format!("{case}{lines}")
}
