//! What a column can be asked, and the same question about keys.

use std::ops::Bound;

use super::keys::{Family, INFINITY, Key, NEGATIVE_INFINITY, integer};
use crate::types::Value;
use crate::types::range::Relation;

/// A predicate on one column. NULL operands make it unknown, which selects nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Eq(Value),
    In(Vec<Value>),
    Range {
        low: Bound<Value>,
        high: Bound<Value>,
    },
    IsNull,
    IsNotNull,
    /// Text that begins with this, byte for byte.
    Prefix(String),
    /// A range that lies so beside a range or an element.
    Related(Relation, Value),
}

/// Inclusive ranges of keys, any of which selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges<K>(pub Vec<(K, K)>);

impl Ranges<u128> {
    /// The same for a column whose keys are this narrow.
    pub fn narrow<K: Key>(&self) -> Ranges<K> {
        Ranges(self.0.iter().map(|&(low, high)| (K::narrow(low), K::narrow(high))).collect())
    }
}

/// Texts that select.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TextRange<'a> {
    Between(Bound<&'a str>, Bound<&'a str>),
    Prefix(&'a str),
}

impl<'a> TextRange<'a> {
    fn point(text: &'a str) -> TextRange<'a> {
        TextRange::Between(Bound::Included(text), Bound::Included(text))
    }
}

impl Predicate {
    /// As ranges of the family's keys; `None` when its values do not compare with the predicate's.
    pub fn ranges(&self, family: Family) -> Option<Ranges<u128>> {
        let point = |value: &Value| {
            if *value == Value::Null || out_of_range(family, value) {
                return Some(None);
            }
            family.key(value).map(|key| Some((key, key)))
        };
        let ranges = match self {
            Predicate::Eq(value) => point(value)?.into_iter().collect(),
            Predicate::In(values) => {
                let points: Option<Vec<_>> = values.iter().map(point).collect();
                let mut points: Vec<_> = points?.into_iter().flatten().collect();
                points.sort_unstable();
                points.dedup();
                points
            }
            Predicate::Range { low, high } => range(family, low, high)?.into_iter().collect(),
            Predicate::IsNull | Predicate::IsNotNull | Predicate::Prefix(_) | Predicate::Related(..) => {
                return None;
            }
        };
        Some(Ranges(ranges))
    }

    /// As ranges of texts, any of which selects; `None` when the predicate is not about text.
    pub fn texts(&self, family: Family) -> Option<Vec<TextRange<'_>>> {
        Some(match self {
            Predicate::Eq(value) => text_points(family, std::slice::from_ref(value))?,
            Predicate::In(values) => text_points(family, values)?,
            Predicate::Range { low, high } if is_null(low) || is_null(high) => Vec::new(),
            Predicate::Range { low, high } => {
                vec![TextRange::Between(text_bound(family, low)?, text_bound(family, high)?)]
            }
            // LIKE on character(n) sees the padding, which is not kept.
            Predicate::Prefix(prefix) if family == Family::Text => vec![TextRange::Prefix(prefix)],
            Predicate::Prefix(_) | Predicate::IsNull | Predicate::IsNotNull | Predicate::Related(..) => {
                return None;
            }
        })
    }
}

/// Whether blanks at the end of a constant count: it is a text then, and not of `character(n)` as the column is, whose
/// values are kept without.
fn is_padded(family: Family, value: &Value) -> bool {
    family == Family::Bpchar && matches!(value, Value::Text(text) if text.ends_with(' '))
}

fn text_points(family: Family, values: &[Value]) -> Option<Vec<TextRange<'_>>> {
    if values.iter().any(|value| is_padded(family, value)) {
        return None;
    }
    let texts = values.iter().filter(|value| **value != Value::Null).map(|value| family.text(value));
    let mut texts: Vec<&str> = texts.collect::<Option<_>>()?;
    texts.sort_unstable();
    texts.dedup();
    Some(texts.into_iter().map(TextRange::point).collect())
}

/// A number no value of the column can be equal to.
fn out_of_range(family: Family, value: &Value) -> bool {
    match (family, value) {
        (Family::Numeric(_), Value::Numeric(_)) => family.key(value).is_none(),
        (_, Value::Numeric(_)) => family.is_integer() && family.key(value).is_none(),
        _ => family.is_integer() && integer(value).is_some_and(|value| family.integer_key(value).is_none()),
    }
}

fn is_null(bound: &Bound<Value>) -> bool {
    matches!(bound, Bound::Included(Value::Null) | Bound::Excluded(Value::Null))
}

/// Inclusive keys of a range: `Some(None)` selects nothing.
fn range(family: Family, low: &Bound<Value>, high: &Bound<Value>) -> Option<Option<(u128, u128)>> {
    if is_null(low) || is_null(high) {
        return Some(None);
    }
    let low = match low {
        Bound::Unbounded => Some(0),
        Bound::Included(value) => edge(family, value, Side::Low)?,
        Bound::Excluded(value) => {
            edge(family, value, Side::Low)?.and_then(|key| exclude_low(family, value, key))
        }
    };
    let high = match high {
        Bound::Unbounded => Some(family.key_max()),
        Bound::Included(value) => edge(family, value, Side::High)?,
        Bound::Excluded(value) => {
            edge(family, value, Side::High)?.and_then(|key| exclude_high(family, value, key))
        }
    };
    Some(low.zip(high).filter(|(low, high)| low <= high))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Low,
    High,
}

/// The key of a bound, clamped when the column's type does not reach so far; `Some(None)` when nothing is
/// beyond it.
fn edge(family: Family, value: &Value, side: Side) -> Option<Option<u128>> {
    if !out_of_range(family, value) {
        return family.key(value).map(Some);
    }
    let above = match value {
        Value::Numeric(number) => {
            // Between two keys: the one below it is the last on its side.
            if let Some((below, _)) = family.floor_key(number) {
                return Some(if side == Side::Low { below.checked_add(1) } else { Some(below) });
            }
            if let Family::Numeric(_) = family {
                return Some(beyond(side, number.signum() > 0));
            }
            number.signum() > 0
        }
        value => integer(value)? > 0,
    };
    Some(match (side, above) {
        (Side::Low, true) | (Side::High, false) => None,
        (Side::Low, false) => Some(0),
        (Side::High, true) => Some(family.key_max()),
    })
}

/// The key of a bound that is beyond all decimals with keys, but not beyond the infinities.
fn beyond(side: Side, above: bool) -> Option<u128> {
    Some(match (side, above) {
        (Side::Low, true) => INFINITY,
        (Side::High, true) => INFINITY - 1,
        (Side::Low, false) => NEGATIVE_INFINITY + 1,
        (Side::High, false) => NEGATIVE_INFINITY,
    })
}

fn exclude_low(family: Family, value: &Value, key: u128) -> Option<u128> {
    if out_of_range(family, value) {
        Some(key)
    } else {
        key.checked_add(1).filter(|key| *key <= family.key_max())
    }
}

fn exclude_high(family: Family, value: &Value, key: u128) -> Option<u128> {
    if out_of_range(family, value) { Some(key) } else { key.checked_sub(1) }
}

fn text_bound(family: Family, bound: &Bound<Value>) -> Option<Bound<&str>> {
    Some(match bound {
        Bound::Included(value) | Bound::Excluded(value) if is_padded(family, value) => return None,
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(value) => Bound::Included(family.text(value)?),
        Bound::Excluded(value) => Bound::Excluded(family.text(value)?),
    })
}
