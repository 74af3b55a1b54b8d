//! Functions and operators of ranges.
//!
//! Each is written once and defined for every range type; `range_contains` and `range_contained_by` take a value of the
//! element type in the place of a range, too. `lower` and `upper` stand in front of DataFusion's functions on text.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::string;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, SqlState};
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::functions::value::{Definition, functions as build, lenient, strict};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::range_of;
use crate::types::arrow::{Builder, data_type, plain_field, value_at};
use crate::types::range::{Bound, Relation};
use crate::types::{Range, RangeType, Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = build(definitions());
    functions.push(in_front(string::lower(), Range::lower));
    functions.push(in_front(string::upper(), Range::upper));
    functions
}

/// Operators that ask how their left operand lies beside the right one, and their functions.
const RELATIONS: [(&str, &str, Relation); 8] = [
    ("@>", "range_contains", Relation::Contains),
    ("<@", "range_contained_by", Relation::ContainedBy),
    ("&&", "range_overlaps", Relation::Overlaps),
    ("<<", "range_before", Relation::Before),
    (">>", "range_after", Relation::After),
    ("&<", "range_overleft", Relation::EndsWithin),
    ("&>", "range_overright", Relation::BeginsWithin),
    ("-|-", "range_adjacent", Relation::Adjacent),
];

/// The function of an operator whose operands are ranges, or a range and an element.
pub fn function_of_operator(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "+" => "range_union",
        "*" => "range_intersect",
        "-" => "range_minus",
        _ => RELATIONS.iter().find(|(of, ..)| *of == operator)?.1,
    })
}

/// How one of these functions asks its first argument, a range, to lie beside the second.
pub fn relation_of(function: &str) -> Option<Relation> {
    RELATIONS.iter().find(|(_, of, _)| *of == function).map(|&(.., relation)| relation)
}

/// The definitions for one range type.
macro_rules! of_type {
    ($of:expr, $range:literal, $element:literal) => {
        [
            lenient(concat!($range, "(", $element, ", ", $element, ") ", $range), |v| made($of, v, "[)")),
            lenient(concat!($range, "(", $element, ", ", $element, ", text) ", $range), |v| match &v[2] {
                Value::Text(bounds) => made($of, v, bounds),
                _ => {
                    let message = "range constructor flags argument must not be null";
                    Err(Error::new(SqlState::DATA_EXCEPTION, message))
                }
            }),
            strict(concat!("range_contains(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::Contains, v)
            }),
            strict(concat!("range_contains(", $range, ", ", $element, ") bool"), |v| {
                asked(Relation::Contains, v)
            }),
            strict(concat!("range_contained_by(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::ContainedBy, v)
            }),
            strict(concat!("range_contained_by(", $element, ", ", $range, ") bool"), |v| {
                Ok(Value::Bool(range(&v[1])?.has(&v[0])?))
            }),
            strict(concat!("range_overlaps(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::Overlaps, v)
            }),
            strict(concat!("range_before(", $range, ", ", $range, ") bool"), |v| asked(Relation::Before, v)),
            strict(concat!("range_after(", $range, ", ", $range, ") bool"), |v| asked(Relation::After, v)),
            strict(concat!("range_overleft(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::EndsWithin, v)
            }),
            strict(concat!("range_overright(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::BeginsWithin, v)
            }),
            strict(concat!("range_adjacent(", $range, ", ", $range, ") bool"), |v| {
                asked(Relation::Adjacent, v)
            }),
            strict(concat!("range_union(", $range, ", ", $range, ") ", $range), |v| {
                range(&v[0])?.union(range(&v[1])?).map(Value::Range)
            }),
            strict(concat!("range_intersect(", $range, ", ", $range, ") ", $range), |v| {
                Ok(Value::Range(range(&v[0])?.intersection(range(&v[1])?)))
            }),
            strict(concat!("range_minus(", $range, ", ", $range, ") ", $range), |v| {
                range(&v[0])?.difference(range(&v[1])?).map(Value::Range)
            }),
            strict(concat!("range_merge(", $range, ", ", $range, ") ", $range), |v| {
                Ok(Value::Range(range(&v[0])?.merge(range(&v[1])?)))
            }),
            strict(concat!("isempty(", $range, ") bool"), |v| Ok(Value::Bool(range(&v[0])?.is_empty()))),
            strict(concat!("lower_inc(", $range, ") bool"), |v| {
                Ok(Value::Bool(range(&v[0])?.lower().is_some_and(|bound| bound.inclusive)))
            }),
            strict(concat!("upper_inc(", $range, ") bool"), |v| {
                Ok(Value::Bool(range(&v[0])?.upper().is_some_and(|bound| bound.inclusive)))
            }),
            strict(concat!("lower_inf(", $range, ") bool"), |v| {
                Ok(Value::Bool(range(&v[0])?.lower().is_some_and(|bound| bound.value == Value::Null)))
            }),
            strict(concat!("upper_inf(", $range, ") bool"), |v| {
                Ok(Value::Bool(range(&v[0])?.upper().is_some_and(|bound| bound.value == Value::Null)))
            }),
        ]
    };
}

fn definitions() -> Vec<Definition> {
    [
        of_type!(RangeType::Int4, "int4range", "int4"),
        of_type!(RangeType::Int8, "int8range", "int8"),
        of_type!(RangeType::Num, "numrange", "numeric"),
        of_type!(RangeType::Date, "daterange", "date"),
        of_type!(RangeType::Ts, "tsrange", "timestamp"),
        of_type!(RangeType::Tstz, "tstzrange", "timestamptz"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn range(value: &Value) -> crate::error::Result<&Range> {
    match value {
        Value::Range(range) => Ok(range),
        other => Err(Error::internal(format!("expected a range, found {other:?}"))),
    }
}

fn asked(relation: Relation, v: &[Value]) -> crate::error::Result<Value> {
    relation.holds(range(&v[0])?, &v[1]).map(Value::Bool)
}

/// A range of two values and what its brackets are.
fn made(of: RangeType, v: &[Value], bounds: &str) -> crate::error::Result<Value> {
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
    Range::new(of, &bound(&v[0], lower), &bound(&v[1], upper)).map(Value::Range)
}

/// What `lower` and `upper` give of a range.
type End = fn(&Range) -> Option<Bound>;

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
            [ty] if range_of(ty).is_some() => ty.clone(),
            [DataType::Utf8 | DataType::Utf8View | DataType::Null] => DataType::Utf8,
            _ => return Err(no_such_function(self.name(), given)),
        }])
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given.first().and_then(range_of) {
            Some(of) => Ok(data_type(&of.element())),
            None => self.of_text.return_type(given),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields.first().and_then(|field| range_of(field.data_type())) {
            Some(of) => Ok(Arc::new(plain_field(self.name(), &of.element()))),
            None => self.of_text.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(of) = args.arg_fields.first().and_then(|field| range_of(field.data_type())) else {
            return self.of_text.invoke_with_args(args);
        };
        let (rows, constant) = rows_of(&args);
        let ranges = args.args[0].to_array(rows)?;
        let mut builder = Builder::new(&of.element(), rows);
        let append = |row: usize| {
            let value = value_at(&ranges, row, &Type::Range(of))?;
            let bound = if let Value::Range(range) = &value { (self.of_range)(range) } else { None };
            builder.append(&bound.map_or(Value::Null, |bound| bound.value))
        };
        (0..rows).try_for_each(append).map_err(external)?;
        answer(builder.finish(), constant)
    }
}
