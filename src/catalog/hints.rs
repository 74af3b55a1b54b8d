//! What ALTER TABLE says about how PostgreSQL keeps a table. It changes no answer, and is shown and dumped.

use serde::{Deserialize, Serialize};

/// What a change of a row would tell of the old one, were it told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaIdentity {
    Full,
    Nothing,
    /// The columns of the index that says so.
    Index,
}

/// ALTER COLUMN ... SET STORAGE and its like. They change no answer, and are shown and dumped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnHints {
    /// As pg_attribute has it, where it is not that of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<char>,
    /// As pg_attribute has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<char>,
    /// SET STATISTICS, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<i32>,
    /// SET (name = value).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
}

impl ColumnHints {
    pub fn are_none(&self) -> bool {
        *self == ColumnHints::default()
    }
}
