//! A column read from its index instead of from its rows.

use std::borrow::Cow;
use std::sync::Arc;

use super::array::Cell;
use super::fixed::Fixed;
use super::keys::{Family, Key, has_one_scale};
use super::text::{self, Text};
use super::{ColumnIndex, Values};
use crate::error::Result;
use crate::types::{Type, Value};

/// The values of a column, as they were stored.
pub struct ColumnValues {
    index: Arc<ColumnIndex>,
    /// By code, of texts.
    texts: Vec<Value>,
}

impl ColumnValues {
    /// Of an index over a column of type `ty`; `None` where it does not tell values apart that are shown in different ways:
    /// floats, decimals of several scales, text by hash, `char(n)`.
    pub fn of(index: &Arc<ColumnIndex>, ty: &Type) -> Option<ColumnValues> {
        let mut texts = Vec::new();
        match &index.values {
            Values::Text(Text::Coded { dictionary, .. }) if index.family == Family::Text => {
                texts = vec![
                    Value::Null;
                    dictionary.codes.values().max().map_or(0, |code| usize::from(*code) + 1)
                ];
                for (text, code) in &dictionary.codes {
                    texts[usize::from(*code)] = Value::Text(text.to_string());
                }
            }
            Values::Text(_) | Values::Spans(_) | Values::Unusable | Values::Lost => return None,
            _ if matches!(ty, Type::Numeric(modifier) if !has_one_scale(*modifier)) => return None,
            _ => {
                index.family.value(0)?;
            }
        }
        Some(ColumnValues { index: Arc::clone(index), texts })
    }

    /// The value of a slot that the index has; an error when it cannot be read (58030), or is none of the column's (XX001).
    pub fn value(&self, slot: u32) -> Result<Cow<'_, Value>> {
        Ok(match &self.index.values {
            Values::Two(fixed) => Cow::Owned(self.fixed(fixed, slot)?),
            Values::Four(fixed) => Cow::Owned(self.fixed(fixed, slot)?),
            Values::Eight(fixed) => Cow::Owned(self.fixed(fixed, slot)?),
            Values::Sixteen(fixed) => Cow::Owned(self.fixed(fixed, slot)?),
            Values::Text(Text::Coded { codes, .. }) => match codes.get(slot)? {
                Cell::Value(code) => {
                    Cow::Borrowed(self.texts.get(usize::from(code)).ok_or_else(|| text::unknown(code))?)
                }
                Cell::Null | Cell::Absent => Cow::Owned(Value::Null),
            },
            Values::Text(Text::Hashed(_)) | Values::Spans(_) | Values::Unusable | Values::Lost => {
                Cow::Owned(Value::Null)
            }
        })
    }

    fn fixed<K: Key>(&self, fixed: &Fixed<K>, slot: u32) -> Result<Value> {
        Ok(match fixed.get(slot)? {
            Cell::Value(key) => self.index.family.value(key.widen()).unwrap_or(Value::Null),
            Cell::Null | Cell::Absent => Value::Null,
        })
    }
}
