//! What the types have in common that CREATE TYPE makes: an oid, a name in a schema, and a definition that all that is of
//! the type carries.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::identifiers::quote_ident;

/// A definition of such a type.
pub trait OwnType {
    fn oid(&self) -> u32;

    /// Schema and name.
    fn path(&self) -> (&str, &str);

    /// Its name as format_type() shows it where the schema `public` is looked into.
    fn shown(&self) -> String {
        let (schema, name) = self.path();
        shown(schema, name)
    }
}

/// A name as format_type() shows it where the schema `public` is looked into.
pub fn shown(schema: &str, name: &str) -> String {
    match schema {
        "public" => quote_ident(name),
        schema => format!("{}.{}", quote_ident(schema), quote_ident(name)),
    }
}

/// A definition that is shared by all that is of the type. Two are the same type when their oids are.
#[derive(Debug)]
pub struct Definition<T>(Arc<T>);

impl<T: Serialize + DeserializeOwned> Definition<T> {
    /// The definition as text, and back.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a definition is plain data, which always serialises")
    }

    pub fn from_json(json: &str) -> Option<Definition<T>> {
        serde_json::from_str(json).ok()
    }
}

impl<T> Clone for Definition<T> {
    fn clone(&self) -> Definition<T> {
        Definition(Arc::clone(&self.0))
    }
}

impl<T: OwnType> PartialEq for Definition<T> {
    fn eq(&self, other: &Self) -> bool {
        self.oid() == other.oid()
    }
}

impl<T: OwnType> Eq for Definition<T> {}

impl<T: OwnType> Hash for Definition<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.oid().hash(state);
    }
}

impl<T> From<T> for Definition<T> {
    fn from(definition: T) -> Definition<T> {
        Definition(Arc::new(definition))
    }
}

impl<T> Deref for Definition<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Definition<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Definition<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Definition<T>, D::Error> {
        T::deserialize(deserializer).map(Definition::from)
    }
}
