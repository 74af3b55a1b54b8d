//! Ranges over a type that CREATE TYPE ... AS RANGE names, and the sets of them, which are made with it.
//!
//! As an enumeration does, a type carries its whole definition. Its ranges are kept as they are given: without a function
//! that brings them to one form, `[1,2]` and `[1,3)` of integers are two.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::types::Type;
use crate::types::named::{Definition, OwnType, shown};

/// What CREATE TYPE ... AS RANGE made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnRange {
    pub oid: u32,
    /// Of the type of its arrays.
    pub array_oid: u32,
    /// Of the type of sets of its ranges, and of its arrays.
    pub multirange_oid: u32,
    pub multirange_array_oid: u32,
    pub schema: String,
    pub name: String,
    pub multirange_schema: String,
    pub multirange_name: String,
    /// The functions that make ranges and sets of them: called as the types were when they were made.
    pub maker: Maker,
    pub multirange_maker: Maker,
    /// Of its ends: a type without modifier that is built in.
    pub subtype: Type,
    /// The collation of its ends, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// The function that says how far apart two values are, where one is named. Nothing here asks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtype_diff: Option<String>,
}

/// Where a function is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    pub schema: String,
    pub name: String,
}

pub type OwnRangeType = Definition<OwnRange>;

/// What is behind the name of a range type where its sets have no name given to them.
pub const MULTIRANGE_SUFFIX: &str = "multirange";

impl OwnType for OwnRange {
    fn oid(&self) -> u32 {
        self.oid
    }

    fn path(&self) -> (&str, &str) {
        (&self.schema, &self.name)
    }
}

impl OwnRange {
    /// Gives a new type its oids.
    pub fn numbered(self, mut new_oid: impl FnMut() -> Result<u32>) -> Result<OwnRange> {
        Ok(OwnRange {
            oid: new_oid()?,
            array_oid: new_oid()?,
            multirange_oid: new_oid()?,
            multirange_array_oid: new_oid()?,
            ..self
        })
    }

    /// The largest oid it has given away.
    pub fn oid_max(&self) -> u32 {
        self.oid.max(self.array_oid).max(self.multirange_oid).max(self.multirange_array_oid)
    }

    /// The name of its sets as [`OwnType::shown`] shows its own.
    pub fn multirange_shown(&self) -> String {
        shown(&self.multirange_schema, &self.multirange_name)
    }
}
