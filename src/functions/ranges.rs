//! Functions and operators of ranges and multiranges.
//!
//! Each is written once for all range types; `range_contains` and `range_contained_by` take a value of the element type in
//! the place of a range, too. Functions that are called as a type are made for it. `lower` and `upper` stand in front of
//! DataFusion's functions on text.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::string;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::functions::value::{Definition, functions as build, maker, strict};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{multirange_of, range_of};
use crate::types::arrow::{Builder, data_type, plain_field, type_of, value_at};
use crate::types::range::{Bound, Relation};
use crate::types::{Multirange, Range, RangeType, Type, Value, multirange};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let makers = RangeType::BUILT_IN.iter().flat_map(makers);
    let mut functions = build(definitions().into_iter().chain(makers).collect());
    functions.push(in_front(string::lower(), lower));
    functions.push(in_front(string::upper(), upper));
    functions
}

/// The functions that are called as a range type and as its multirange.
pub fn makers_of(of: &RangeType) -> Vec<Arc<ScalarUDF>> {
    build(makers(of))
}

fn makers(of: &RangeType) -> Vec<Definition> {
    let (range, set) = (of.maker_name(), of.multirange_maker_name());
    vec![
        maker(range, of, "(anyelement, anyelement) anyrange", false, |of, v| made(of, v, "[)")),
        maker(range, of, "(anyelement, anyelement, text) anyrange", false, |of, v| match &v[2] {
            Value::Text(bounds) => made(of, v, bounds),
            _ => {
                let message = "range constructor flags argument must not be null";
                Err(Error::new(SqlState::DATA_EXCEPTION, message))
            }
        }),
        maker(set, of, "() anymultirange", false, set_of),
        maker(set, of, "(anyrange) anymultirange", true, set_of),
        maker(set, of, "(anyrange, anyrange...) anymultirange", false, set_of),
    ]
}

/// An operator that asks how its left operand lies beside the right one, and its functions.
struct Asking {
    operator: &'static str,
    relation: Relation,
    /// Of two ranges, or of a range and an element.
    ranges: &'static str,
    /// Of a range and a multirange, a multirange and a range, two multiranges, a multirange and an element.
    range_set: &'static str,
    set_range: &'static str,
    sets: &'static str,
    set_element: Option<&'static str>,
}

macro_rules! asking {
    ($operator:literal, $relation:ident, $ranges:literal, $word:literal, $set_element:expr) => {
        Asking {
            operator: $operator,
            relation: Relation::$relation,
            ranges: $ranges,
            range_set: concat!("range_", $word, "_multirange"),
            set_range: concat!("multirange_", $word, "_range"),
            sets: concat!("multirange_", $word, "_multirange"),
            set_element: $set_element,
        }
    };
}

const ASKING: [Asking; 8] = [
    asking!("@>", Contains, "range_contains", "contains", Some("multirange_contains_elem")),
    asking!("<@", ContainedBy, "range_contained_by", "contained_by", Some("elem_contained_by_multirange")),
    asking!("&&", Overlaps, "range_overlaps", "overlaps", None),
    asking!("<<", Before, "range_before", "before", None),
    asking!(">>", After, "range_after", "after", None),
    asking!("&<", EndsWithin, "range_overleft", "overleft", None),
    asking!("&>", BeginsWithin, "range_overright", "overright", None),
    asking!("-|-", Adjacent, "range_adjacent", "adjacent", None),
];

/// What stands on a side of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Element,
    Range,
    Multirange,
}

/// Whether ranges have an operator beside comparisons.
pub fn is_operator(operator: &str) -> bool {
    matches!(operator, "+" | "*" | "-") || ASKING.iter().any(|of| of.operator == operator)
}

/// The function of an operator whose operands are of one range type; `None` where there is no such operator.
pub fn function_of_operator(operator: &str, left: Side, right: Side) -> Option<&'static str> {
    use Side::{Element, Multirange, Range};
    let joining = match (operator, left, right) {
        ("+", Range, Range) => Some("range_union"),
        ("*", Range, Range) => Some("range_intersect"),
        ("-", Range, Range) => Some("range_minus"),
        ("+", Multirange, Multirange) => Some("multirange_union"),
        ("*", Multirange, Multirange) => Some("multirange_intersect"),
        ("-", Multirange, Multirange) => Some("multirange_minus"),
        _ => None,
    };
    let asking = ASKING.iter().find(|of| of.operator == operator);
    joining.or(asking.and_then(|of| match (left, right) {
        (Range, Range) => Some(of.ranges),
        (Range, Multirange) => Some(of.range_set),
        (Multirange, Range) => Some(of.set_range),
        (Multirange, Multirange) => Some(of.sets),
        (Range, Element) if of.relation == Relation::Contains => Some(of.ranges),
        (Element, Range) if of.relation == Relation::ContainedBy => Some(of.ranges),
        (Multirange, Element) if of.relation == Relation::Contains => of.set_element,
        (Element, Multirange) if of.relation == Relation::ContainedBy => of.set_element,
        _ => None,
    }))
}

/// How one of these functions asks its first argument, a range, to lie beside the second.
pub fn relation_of(function: &str) -> Option<Relation> {
    ASKING.iter().find(|of| of.ranges == function).map(|of| of.relation)
}

/// The functions that ask a relation.
macro_rules! asked {
    ($relation:ident, $ranges:literal, $word:literal $(, $more:literal)*) => {
        [
            strict(concat!($ranges, "(anyrange, anyrange) bool"), |v| asked(Relation::$relation, v)),
            strict(concat!("range_", $word, "_multirange(anyrange, anymultirange) bool"), |v| {
                asked(Relation::$relation, v)
            }),
            strict(concat!("multirange_", $word, "_range(anymultirange, anyrange) bool"), |v| {
                asked(Relation::$relation, v)
            }),
            strict(concat!("multirange_", $word, "_multirange(anymultirange, anymultirange) bool"), |v| {
                asked(Relation::$relation, v)
            }),
            $(strict($more, |v| asked(Relation::$relation, v)),)*
        ]
    };
}

/// A question about the ends of a range and of a multirange.
macro_rules! of_bound {
    ($name:literal, $bound:ident, $holds:expr) => {
        [
            strict(concat!($name, "(anyrange) bool"), |v| Ok(Value::Bool($bound(&v[0]).is_some_and($holds)))),
            strict(concat!($name, "(anymultirange) bool"), |v| {
                Ok(Value::Bool($bound(&v[0]).is_some_and($holds)))
            }),
        ]
    };
}

fn definitions() -> Vec<Definition> {
    let asking = [
        asked!(Overlaps, "range_overlaps", "overlaps"),
        asked!(Before, "range_before", "before"),
        asked!(After, "range_after", "after"),
        asked!(EndsWithin, "range_overleft", "overleft"),
        asked!(BeginsWithin, "range_overright", "overright"),
        asked!(Adjacent, "range_adjacent", "adjacent"),
    ];
    let containing = [
        asked!(
            Contains,
            "range_contains",
            "contains",
            "range_contains(anyrange, anyelement) bool",
            "range_contains_elem(anyrange, anyelement) bool",
            "multirange_contains_elem(anymultirange, anyelement) bool"
        ),
        asked!(
            ContainedBy,
            "range_contained_by",
            "contained_by",
            "range_contained_by(anyelement, anyrange) bool",
            "elem_contained_by_range(anyelement, anyrange) bool",
            "elem_contained_by_multirange(anyelement, anymultirange) bool"
        ),
    ];
    let bounds = [
        of_bound!("lower_inc", lower, |bound| bound.inclusive),
        of_bound!("upper_inc", upper, |bound| bound.inclusive),
        of_bound!("lower_inf", lower, |bound| bound.value == Value::Null),
        of_bound!("upper_inf", upper, |bound| bound.value == Value::Null),
    ];
    let others = vec![
        strict("isempty(anyrange) bool", |v| Ok(Value::Bool(range(&v[0])?.is_empty()))),
        strict("isempty(anymultirange) bool", |v| Ok(Value::Bool(set(&v[0])?.is_empty()))),
        strict("range_union(anyrange, anyrange) anyrange", |v| {
            range(&v[0])?.union(range(&v[1])?).map(Value::Range)
        }),
        strict("range_intersect(anyrange, anyrange) anyrange", |v| {
            Ok(Value::Range(range(&v[0])?.intersection(range(&v[1])?)))
        }),
        strict("range_minus(anyrange, anyrange) anyrange", |v| {
            range(&v[0])?.difference(range(&v[1])?).map(Value::Range)
        }),
        strict("range_merge(anyrange, anyrange) anyrange", |v| {
            Ok(Value::Range(range(&v[0])?.merge(range(&v[1])?)))
        }),
        strict("multirange_union(anymultirange, anymultirange) anymultirange", |v| {
            Ok(Value::Multirange(set(&v[0])?.union(set(&v[1])?)))
        }),
        strict("multirange_intersect(anymultirange, anymultirange) anymultirange", |v| {
            Ok(Value::Multirange(set(&v[0])?.intersection(set(&v[1])?)))
        }),
        strict("multirange_minus(anymultirange, anymultirange) anymultirange", |v| {
            set(&v[0])?.difference(set(&v[1])?).map(Value::Multirange)
        }),
        strict("range_merge(anymultirange) anyrange", |v| Ok(Value::Range(set(&v[0])?.hull()))),
        strict("multirange(anyrange) anymultirange", |v| {
            let range = range(&v[0])?;
            set_of(range.of(), v)
        }),
    ];
    let compared = [
        strict("range_eq(anyrange, anyrange) bool", |v| compared(v, |order| order.is_eq())),
        strict("range_ne(anyrange, anyrange) bool", |v| compared(v, |order| order.is_ne())),
        strict("range_lt(anyrange, anyrange) bool", |v| compared(v, |order| order.is_lt())),
        strict("range_le(anyrange, anyrange) bool", |v| compared(v, |order| order.is_le())),
        strict("range_gt(anyrange, anyrange) bool", |v| compared(v, |order| order.is_gt())),
        strict("range_ge(anyrange, anyrange) bool", |v| compared(v, |order| order.is_ge())),
        strict("range_cmp(anyrange, anyrange) int4", |v| Ok(Value::Int4(order_of(v)? as i32))),
        strict("multirange_eq(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_eq())),
        strict("multirange_ne(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_ne())),
        strict("multirange_lt(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_lt())),
        strict("multirange_le(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_le())),
        strict("multirange_gt(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_gt())),
        strict("multirange_ge(anymultirange, anymultirange) bool", |v| compared(v, |order| order.is_ge())),
        strict("multirange_cmp(anymultirange, anymultirange) int4", |v| Ok(Value::Int4(order_of(v)? as i32))),
    ];
    let all = asking.into_iter().flatten().chain(containing.into_iter().flatten());
    all.chain(bounds.into_iter().flatten()).chain(others).chain(compared).collect()
}

fn compared(v: &[Value], holds: fn(Ordering) -> bool) -> crate::error::Result<Value> {
    order_of(v).map(|order| Value::Bool(holds(order)))
}

fn order_of(v: &[Value]) -> crate::error::Result<Ordering> {
    let order = match (&v[0], &v[1]) {
        (Value::Range(a), Value::Range(b)) => a.partial_cmp(b),
        (Value::Multirange(a), Value::Multirange(b)) => a.partial_cmp(b),
        _ => None,
    };
    order.ok_or_else(|| Error::internal("ranges without an order"))
}

fn lower(value: &Value) -> Option<Bound> {
    match value {
        Value::Range(range) => range.lower(),
        Value::Multirange(set) => set.lower(),
        _ => None,
    }
}

fn upper(value: &Value) -> Option<Bound> {
    match value {
        Value::Range(range) => range.upper(),
        Value::Multirange(set) => set.upper(),
        _ => None,
    }
}

fn set(value: &Value) -> crate::error::Result<&Multirange> {
    match value {
        Value::Multirange(set) => Ok(set),
        other => Err(Error::internal(format!("expected a multirange, found {other:?}"))),
    }
}

/// A set of some ranges.
fn set_of(of: &RangeType, v: &[Value]) -> crate::error::Result<Value> {
    let member = |value: &Value| match value {
        Value::Null => {
            let message = "multirange values cannot contain null members";
            Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message))
        }
        value => range(value).cloned(),
    };
    let ranges = v.iter().map(member).collect::<crate::error::Result<_>>()?;
    Ok(Value::Multirange(Multirange::new(of.clone(), ranges)))
}

fn range(value: &Value) -> crate::error::Result<&Range> {
    match value {
        Value::Range(range) => Ok(range),
        other => Err(Error::internal(format!("expected a range, found {other:?}"))),
    }
}

fn asked(relation: Relation, v: &[Value]) -> crate::error::Result<Value> {
    match (&v[0], &v[1]) {
        (Value::Range(range), Value::Range(_)) => relation.holds(range, &v[1]),
        (left, right) => multirange::holds(relation, left, right),
    }
    .map(Value::Bool)
}

/// A range of two values and what its brackets are.
fn made(of: &RangeType, v: &[Value], bounds: &str) -> crate::error::Result<Value> {
    let (lower, upper) = match bounds {
        "[)" => (true, false),
        "[]" => (true, true),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            let error = Error::new(SqlState::SYNTAX_ERROR, "invalid range bound flags");
            return Err(error.hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    };
    let bound = |value: &Value, inclusive| Bound { value: value.clone(), inclusive };
    Range::new(of.clone(), &bound(&v[0], lower), &bound(&v[1], upper)).map(Value::Range)
}

/// What `lower` and `upper` give of a range.
type End = fn(&Value) -> Option<Bound>;

fn in_front(of_text: Arc<ScalarUDF>, of_range: End) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(InFront { of_text, of_range, signature }))
}

/// DataFusion's function of a text, and ours of a range.
#[derive(Debug)]
struct InFront {
    of_text: Arc<ScalarUDF>,
    of_range: End,
    signature: Signature,
}

impl PartialEq for InFront {
    fn eq(&self, other: &Self) -> bool {
        self.of_text == other.of_text
    }
}

impl Eq for InFront {}

impl std::hash::Hash for InFront {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.of_text.hash(state);
    }
}

impl ScalarUDFImpl for InFront {
    fn name(&self) -> &str {
        self.of_text.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![match given {
            [ty] if type_in(ty).is_some() => ty.clone(),
            [DataType::Utf8 | DataType::Utf8View | DataType::Null] => DataType::Utf8,
            _ => return Err(no_such_function(self.name(), given)),
        }])
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given.first().and_then(type_in) {
            Some(of) => Ok(data_type(&of.element())),
            None => self.of_text.return_type(given),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields.first().and_then(|field| type_in(field.data_type())) {
            Some(of) => Ok(Arc::new(plain_field(self.name(), &of.element()))),
            None => self.of_text.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ty = args.arg_fields.first().map(|field| type_of(field));
        let Some(ty @ (Type::Range(of) | Type::Multirange(of))) = &ty else {
            return self.of_text.invoke_with_args(args);
        };
        let (rows, constant) = rows_of(&args);
        let ranges = args.args[0].to_array(rows)?;
        let mut builder = Builder::new(&of.element(), rows);
        let append = |row: usize| {
            let bound = (self.of_range)(&value_at(&ranges, row, ty)?);
            builder.append(&bound.map_or(Value::Null, |bound| bound.value))
        };
        (0..rows).try_for_each(append).map_err(external)?;
        answer(builder.finish(), constant)
    }
}

/// The range type that a type is of, or is of the sets of.
fn type_in(ty: &DataType) -> Option<RangeType> {
    range_of(ty).or_else(|| multirange_of(ty))
}
