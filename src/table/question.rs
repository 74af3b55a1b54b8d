//! Calls in a predicate that an inverted index answers: `tsv @@ query`, `tags @> array`, `doc ? key`.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use crate::error::Result;
use crate::functions::arrays::ELEMENTS;
use crate::index::inverted::Question;
use crate::types::Value;
use crate::types::arrow::{from_scalar, type_of_data_type};
use crate::types::dimensions::into_flat;

/// What is asked of a column's cells, but for the constant they are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Matches,
    ContainsElements,
    /// `x = ANY (array)`
    HasElement,
    Overlaps,
    ContainsDocument,
    ContainsPairs,
    HasKey,
    HasKeys,
    HasAnyKey,
}

/// The cell a call is about, what it asks, and the constant.
pub fn of_call(call: &ScalarFunction) -> Option<(&Expr, Ask, &Expr)> {
    let [subject, constant] = call.args.as_slice() else { return None };
    let ask = match call.func.name() {
        "ts_match" => Ask::Matches,
        "array_contains_all" => Ask::ContainsElements,
        "array_has" => Ask::HasElement,
        "array_overlap" => Ask::Overlaps,
        "jsonb_contains" => Ask::ContainsDocument,
        "hs_contains" => Ask::ContainsPairs,
        "jsonb_exists" | "exist" => Ask::HasKey,
        "jsonb_exists_all" | "exists_all" => Ask::HasKeys,
        "jsonb_exists_any" | "exists_any" => Ask::HasAnyKey,
        _ => return None,
    };
    // An index holds the elements of all dimensions.
    let subject = match subject {
        Expr::ScalarFunction(call) if ask == Ask::HasElement && call.func.name() == ELEMENTS => {
            call.args.first().unwrap_or(subject)
        }
        subject => subject,
    };
    Some(match (ask, subject) {
        // Overlapping goes both ways.
        (Ask::Overlaps, Expr::Literal(..) | Expr::Placeholder(_)) => (constant, ask, subject),
        _ => (subject, ask, constant),
    })
}

impl Ask {
    /// The question with its constant; `None` when that is NULL.
    pub fn question(self, constant: &ScalarValue) -> Result<Option<Question>> {
        let value = from_scalar(constant, &type_of_data_type(&constant.data_type()))?;
        Ok(match (self, value) {
            (Ask::Matches, Value::TsQuery(query)) => Some(Question::Matches(query)),
            (Ask::ContainsElements, Value::Array(items)) => {
                Some(Question::ContainsElements(into_flat(items)))
            }
            (Ask::HasElement, Value::Null) => None,
            (Ask::HasElement, value) => Some(Question::ContainsElements(vec![value])),
            (Ask::Overlaps, Value::Array(items)) => Some(Question::Overlaps(into_flat(items))),
            (Ask::ContainsDocument, Value::Jsonb(text) | Value::Json(text) | Value::Text(text)) => {
                Some(Question::ContainsDocument(text))
            }
            (Ask::ContainsPairs, Value::Hstore(pairs)) => Some(Question::ContainsPairs(pairs)),
            (Ask::HasKey, Value::Text(key)) => Some(Question::HasKeys(vec![key])),
            (Ask::HasKeys, Value::Array(items)) => Some(Question::HasKeys(keys(items))),
            (Ask::HasAnyKey, Value::Array(items)) => Some(Question::HasAnyKey(keys(items))),
            _ => None,
        })
    }
}

/// Keys that are NULL are left out, as PostgreSQL does.
fn keys(items: Vec<Value>) -> Vec<String> {
    let text = |item| if let Value::Text(text) = item { Some(text) } else { None };
    items.into_iter().filter_map(text).collect()
}
