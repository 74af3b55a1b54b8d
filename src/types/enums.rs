//! Enumerations: types whose values are words in an order of their own (CREATE TYPE ... AS ENUM).
//!
//! A value is stored as a number that says its place among the labels. A label keeps its number for life: renaming
//! changes the word alone, and a label that is added between two others takes a number between theirs.
//!
//! ```text
//!   'sad' 1 << 32      'ok' 2 << 32      'happy' 3 << 32
//!                  ^ ADD VALUE 'meh' BEFORE 'ok': 1.5 << 32
//! ```
//!
//! So values compare, sort and are indexed as numbers, and no table is touched when the type changes. A type carries its
//! whole definition, because text is read and printed where there is no catalogue.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};
use crate::types::Value;
use crate::types::named::{Definition, OwnType};

/// Between the numbers of labels that follow each other. It can be halved 32 times.
const STEP: i64 = 1 << 32;
/// PostgreSQL's NAMEDATALEN - 1, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// What CREATE TYPE ... AS ENUM made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enum {
    pub oid: u32,
    /// Of the type of its arrays.
    pub array_oid: u32,
    pub schema: String,
    pub name: String,
    /// In their order.
    pub labels: Vec<Label>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Of the row in pg_enum.
    pub oid: u32,
    pub order: i64,
    pub text: String,
}

/// A value: the number of its label, and the type.
#[derive(Clone, Debug)]
pub struct EnumValue {
    pub order: i64,
    pub of: EnumType,
}

impl EnumValue {
    /// The word it has now.
    pub fn label(&self) -> &str {
        self.of.at(self.order).map_or("", |label| label.text.as_str())
    }
}

impl PartialEq for EnumValue {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order && self.of == other.of
    }
}

impl OwnType for Enum {
    fn oid(&self) -> u32 {
        self.oid
    }

    fn path(&self) -> (&str, &str) {
        (&self.schema, &self.name)
    }
}

pub type EnumType = Definition<Enum>;

impl EnumType {
    /// The value with a number that a row holds.
    pub fn value(&self, order: i64) -> Result<Value> {
        match self.at(order) {
            Some(_) => Ok(Value::Enum(EnumValue { order, of: self.clone() })),
            None => Err(Error::internal(format!("invalid internal value for enum {}: {order}", self.name))),
        }
    }

    /// The value a text names.
    pub fn parse(&self, text: &str) -> Result<Value> {
        match self.label(text) {
            Some(label) => Ok(Value::Enum(EnumValue { order: label.order, of: self.clone() })),
            None => {
                let message = format!("invalid input value for enum {}: \"{text}\"", self.shown());
                Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
            }
        }
    }
}

/// Where a label is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Last,
    Before(String),
    After(String),
}

impl Enum {
    /// A new type with these labels.
    pub fn new(
        schema: &str,
        name: &str,
        labels: &[String],
        mut new_oid: impl FnMut() -> Result<u32>,
    ) -> Result<Enum> {
        let (oid, array_oid) = (new_oid()?, new_oid()?);
        let mut made = Enum { oid, array_oid, schema: schema.into(), name: name.into(), labels: Vec::new() };
        for text in labels {
            if made.label(text).is_some() {
                let message = "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"";
                return Err(Error::new(SqlState::UNIQUE_VIOLATION, message)
                    .detail(format!("Key (enumtypid, enumlabel)=({oid}, {text}) already exists.")));
            }
            made.add(text, &Place::Last, new_oid()?)?;
        }
        Ok(made)
    }

    /// The largest oid it has given away.
    pub fn oid_max(&self) -> u32 {
        let labels = self.labels.iter().map(|label| label.oid).max();
        self.oid.max(self.array_oid).max(labels.unwrap_or(0))
    }

    pub fn label(&self, text: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.text == text)
    }

    /// The label with a number.
    pub fn at(&self, order: i64) -> Option<&Label> {
        let place = self.labels.binary_search_by_key(&order, |label| label.order).ok()?;
        self.labels.get(place)
    }

    /// Adds a label, which no other is called.
    pub fn add(&mut self, text: &str, place: &Place, oid: u32) -> Result<()> {
        if text.len() > LABEL_BYTES_MAX {
            let message = format!("invalid enum label \"{text}\"");
            return Err(Error::new(SqlState("42602"), message)
                .detail(format!("Labels must be {LABEL_BYTES_MAX} bytes or less.")));
        }
        let position = match place {
            Place::Last => self.labels.len(),
            Place::Before(neighbour) => self.position(neighbour)?,
            Place::After(neighbour) => self.position(neighbour)? + 1,
        };
        let before = position.checked_sub(1).map(|before| self.labels[before].order);
        let after = self.labels.get(position).map(|label| label.order);
        let order = match (before, after) {
            (None, None) => Some(STEP),
            (Some(before), None) => before.checked_add(STEP),
            (None, Some(after)) => after.checked_sub(STEP),
            (Some(before), Some(after)) => {
                Some(before + (after - before) / 2).filter(|order| *order != before)
            }
        };
        let Some(order) = order else {
            return Err(Error::unsupported(format!("more labels of the enum {} at this place", self.name)));
        };
        self.labels.insert(position, Label { oid, order, text: text.to_owned() });
        Ok(())
    }

    fn position(&self, text: &str) -> Result<usize> {
        self.labels.iter().position(|label| label.text == text).ok_or_else(|| self.missing(text))
    }

    /// Gives a label another word.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let position = self.position(from)?;
        if self.label(to).is_some() {
            let message = format!("enum label \"{to}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        self.labels[position].text = to.to_owned();
        Ok(())
    }

    fn missing(&self, text: &str) -> Error {
        let message = format!("\"{text}\" is not an existing enum label");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(labels: &[&str]) -> Enum {
        let mut oid = 20_000;
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let new_oid = || {
            oid += 1;
            Ok(oid)
        };
        Enum::new("public", "mood", &labels, new_oid).expect("labels differ")
    }

    fn words(of: &Enum) -> Vec<&str> {
        of.labels.iter().map(|label| label.text.as_str()).collect()
    }

    #[test]
    fn labels_are_added_in_every_place() {
        let mut mood = mood(&["b", "d"]);
        mood.add("c", &Place::Before("d".into()), 1).unwrap();
        mood.add("a", &Place::Before("b".into()), 2).unwrap();
        mood.add("e", &Place::Last, 3).unwrap();
        mood.add("bb", &Place::After("b".into()), 4).unwrap();
        assert_eq!(words(&mood), ["a", "b", "bb", "c", "d", "e"]);
        assert!(mood.labels.is_sorted_by_key(|label| label.order));
        let renamed = mood.label("bb").unwrap().order;
        mood.rename("bb", "B").unwrap();
        assert_eq!(mood.at(renamed).unwrap().text, "B");
    }

    #[test]
    fn a_place_without_room_is_refused() {
        let mut mood = mood(&["a", "b"]);
        let added = (0..100).map(|n| mood.add(&format!("x{n}"), &Place::Before("b".into()), n));
        let added = added.take_while(Result::is_ok).count();
        assert_eq!(added, 32);
        assert!(mood.labels.is_sorted_by_key(|label| label.order));
    }

    #[test]
    fn an_unknown_label_is_an_error() {
        let error = EnumType::from(mood(&["a"])).parse("b").unwrap_err();
        assert_eq!(error.message(), "invalid input value for enum mood: \"b\"");
    }
}
