//! Composite types: rows of named fields that are a type of their own (CREATE TYPE ... AS).
//!
//! A value is a record ([`super::record`]). What is stored says of each cell which field it is by the field's number,
//! which is never given to another:
//!
//! ```text
//!   (street text, zip int)      [1, 'Main St'] [2, 12345]
//!   DROP ATTRIBUTE zip          [1, 'Main St'] [2, ·····]     read as ('Main St')
//!   ADD ATTRIBUTE city text     [1, 'Main St'] [2, ·····]     read as ('Main St', NULL); a new value has [1] [3]
//! ```
//!
//! So no row is touched when the type changes. As an enumeration does, a type carries its whole definition.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};
use crate::types::named::{Definition, OwnType};
use crate::types::record::{self, RecordField};
use crate::types::{Look, Type, Value};

/// What CREATE TYPE ... AS made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Composite {
    pub oid: u32,
    /// Of the type of its arrays.
    pub array_oid: u32,
    /// Of its row in pg_class, whose columns are the fields.
    pub relation: u32,
    pub schema: String,
    pub name: String,
    /// In their order, which is that of their numbers.
    pub fields: Vec<Attribute>,
    /// The number of the field that comes next.
    pub next: u16,
}

/// A field of the type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub number: u16,
    pub name: String,
    pub ty: Type,
}

impl OwnType for Composite {
    fn oid(&self) -> u32 {
        self.oid
    }

    fn path(&self) -> (&str, &str) {
        (&self.schema, &self.name)
    }
}

pub type CompositeType = Definition<Composite>;

impl Composite {
    /// A new type with these fields.
    pub fn new(
        schema: &str,
        name: &str,
        fields: Vec<(String, Type)>,
        mut new_oid: impl FnMut() -> Result<u32>,
    ) -> Result<Composite> {
        let mut made = Composite {
            oid: new_oid()?,
            array_oid: new_oid()?,
            relation: new_oid()?,
            schema: schema.into(),
            name: name.into(),
            fields: Vec::new(),
            next: 1,
        };
        for (name, ty) in fields {
            made.add(name, ty)?;
        }
        Ok(made)
    }

    /// Adds a field at the end; 42701 for a name that is there.
    pub fn add(&mut self, name: String, ty: Type) -> Result<()> {
        self.refuse_taken(&name)?;
        let number = self.next;
        self.next = number.checked_add(1).filter(|next| *next <= FIELDS_MAX).ok_or_else(|| {
            let message = format!("a composite type can have at most {FIELDS_MAX} attributes");
            Error::new(SqlState("54011"), message)
        })?;
        self.fields.push(Attribute { number, name, ty });
        Ok(())
    }

    fn refuse_taken(&self, name: &str) -> Result<()> {
        if !self.fields.iter().any(|field| field.name == name) {
            return Ok(());
        }
        let message = format!("column \"{name}\" of relation \"{}\" already exists", self.name);
        Err(Error::new(SqlState::DUPLICATE_COLUMN, message))
    }

    /// Gives a field another name.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let place = self.fields.iter().position(|field| field.name == from);
        let place = place.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{from}\" does not exist"))
        })?;
        self.refuse_taken(to)?;
        self.fields[place].name = to.to_owned();
        Ok(())
    }

    /// Refuses a type (54011) that is too large to be carried by all that is of it: types within types are written out, and
    /// each could hold the one before twice.
    pub fn check_size(&self) -> Result<()> {
        let (fields, depth) = self.size();
        if fields <= usize::from(FIELDS_MAX) && depth <= DEPTH_MAX {
            return Ok(());
        }
        let message = format!(
            "composite type {} has more than {FIELDS_MAX} attributes with those of its attributes, or more than {DEPTH_MAX} types within each other",
            self.shown()
        );
        Err(Error::new(SqlState("54011"), message))
    }

    /// How many fields it has, with those of the types of its fields, and how many types are within each other.
    fn size(&self) -> (usize, usize) {
        let mut size = (self.fields.len(), 1);
        for field in &self.fields {
            if let Type::Composite(of) = field.ty.element() {
                let (fields, depth) = of.size();
                size = (size.0 + fields, size.1.max(depth + 1));
            }
        }
        size
    }

    /// The largest oid it has given away.
    pub fn oid_max(&self) -> u32 {
        self.oid.max(self.array_oid).max(self.relation)
    }

    /// The type of its values where they are records of no type.
    pub fn record(&self) -> Vec<RecordField> {
        self.fields
            .iter()
            .map(|field| RecordField { name: field.name.clone(), ty: field.ty.clone() })
            .collect()
    }

    /// A record of the values of all fields.
    pub fn value(&self, values: impl IntoIterator<Item = Value>) -> Value {
        let named = |(field, value): (&Attribute, Value)| (Arc::from(field.name.as_str()), value);
        Value::Record(self.fields.iter().zip(values).map(named).collect())
    }

    /// PostgreSQL's record_in; 22P02.
    pub fn parse(&self, text: &str, look: Look) -> Result<Value> {
        let parts = record::parse(text, self.fields.len())?;
        let values = parts.into_iter().zip(&self.fields).map(|(part, field)| match part {
            Some(part) => super::text::parse_as(&field.ty, &part, look),
            None => Ok(Value::Null),
        });
        Ok(self.value(values.collect::<Result<Vec<_>>>()?))
    }

    /// PostgreSQL's record_recv; 42804, 22P03.
    pub fn receive(&self, bytes: &[u8]) -> Result<Value> {
        let types: Vec<&Type> = self.fields.iter().map(|field| &field.ty).collect();
        record::receive(bytes, &types).map(|values| self.value(values))
    }

    /// A record as one of this type; 42846 when it has another number of fields.
    pub fn of_record(
        &self,
        fields: Vec<record::Named>,
        cast: impl Fn(Value, &Type) -> Result<Value>,
    ) -> Result<Value> {
        if fields.len() != self.fields.len() {
            let few = if fields.len() < self.fields.len() { "few" } else { "many" };
            let message = format!("cannot cast type record to {}", self.shown());
            return Err(
                Error::new(SqlState::CANNOT_COERCE, message).detail(format!("Input has too {few} columns."))
            );
        }
        let values = fields.into_iter().zip(&self.fields).map(|((_, value), field)| cast(value, &field.ty));
        Ok(self.value(values.collect::<Result<Vec<_>>>()?))
    }
}

/// PostgreSQL's MaxHeapAttributeNumber.
const FIELDS_MAX: u16 = 1_600;
/// Values are read and printed by functions that call themselves for each type within another one, and each is four levels
/// of JSON in a definition, which is read up to 128 deep.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Look, binary, text};

    fn address() -> Composite {
        let fields = vec![
            ("street".to_owned(), Type::Text),
            ("zip".to_owned(), Type::Int4),
            ("tags".to_owned(), Type::Array(Box::new(Type::Text))),
        ];
        let mut oid = 20_000;
        Composite::new("public", "address", fields, || {
            oid += 1;
            Ok(oid)
        })
        .unwrap()
    }

    fn shown(value: &Value) -> String {
        let mut out = Vec::new();
        text::print_as(value, Look::PLAIN, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_read_as_postgresql_reads_them() {
        let address = address();
        let again = |text: &str| address.parse(text, Look::PLAIN).map(|value| shown(&value));
        assert_eq!(again(" (a b ,1,)").unwrap(), "(\"a b \",1,)");
        assert_eq!(
            again(r#"("say ""hi"" \\",-7,"{a,""b c""}") "#).unwrap(),
            r#"("say ""hi"" \\",-7,"{a,""b c""}")"#
        );
        assert_eq!(again("(,,)").unwrap(), "(,,)");
        assert_eq!(again("(\"\",,{})").unwrap(), "(\"\",,{})");
        for (text, detail) in [
            ("a,1,", "Missing left parenthesis."),
            ("(a,1)", "Too few columns."),
            ("(a,1,,)", "Too many columns."),
            ("(a,1,", "Unexpected end of input."),
            ("(\"a", "Unexpected end of input."),
            ("(a,1,)x", "Junk after right parenthesis."),
        ] {
            let error = again(text).unwrap_err();
            assert_eq!(error.message(), format!("malformed record literal: \"{text}\""));
            assert_eq!(error.fields().detail.as_deref(), Some(detail), "{text}");
        }
        let error = again("(a,b,)").unwrap_err();
        assert_eq!(error.message(), "invalid input syntax for type integer: \"b\"");
    }

    #[test]
    fn types_within_types_end() {
        let twice = |inner: Type| {
            let fields =
                vec![("a".to_owned(), inner.clone()), ("b".to_owned(), Type::Array(Box::new(inner)))];
            Composite::new("public", "t", fields, || Ok(1)).unwrap()
        };
        let mut of = address();
        let mut levels = 0;
        while of.check_size().is_ok() {
            of = twice(Type::Composite(of.into()));
            levels += 1;
        }
        // 3, 8, 18, ... fields: the last within the bound are 1,278.
        assert_eq!(levels, 9);
    }

    proptest! {
        #[test]
        fn values_come_back(street in prop::option::of("[ a\"\\\\(),é]{0,6}"), zip: Option<i32>) {
            let address = address();
            let street = street.map_or(Value::Null, Value::Text);
            let zip = zip.map_or(Value::Null, Value::Int4);
            let value = address.value([street, zip, Value::Array(vec!["x".into(), Value::Null])]);
            prop_assert_eq!(address.parse(&shown(&value), Look::PLAIN).unwrap(), value.clone());
            let mut bytes = Vec::new();
            let ty = Type::Composite(address.clone().into());
            binary::send(&value, &ty, &mut bytes);
            prop_assert_eq!(binary::receive(&ty, &bytes).unwrap(), value);
        }

        #[test]
        fn nothing_panics(text in "[(),\"\\\\a1 {}]{0,16}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = address().parse(&text, Look::PLAIN);
            let _ = address().receive(&bytes);
        }
    }
}
