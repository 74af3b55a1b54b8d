//! Keys in a table's tree.
//!
//! ```text
//!   [1][slot u32 BE]                          -> the row's bytes
//!   [2][index oid u32 BE][memcomparable key]  -> slot u32 LE     (unique indexes)
//! ```

use std::ops::Bound;

use crate::catalog::{self, Deferral};
use crate::codec;
use crate::error::{Error, Result, SqlState};
use crate::types::{Type, Value, citext};

/// First byte of a row's key.
pub const ROW: u8 = 1;
/// First byte of a unique key's.
pub const UNIQUE: u8 = 2;

/// The key of a row.
pub fn row_key(slot: u32) -> [u8; 5] {
    let [a, b, c, d] = slot.to_be_bytes();
    [ROW, a, b, c, d]
}

/// The slot in a row's key.
pub fn slot_of_row_key(key: &[u8]) -> Result<u32> {
    match key {
        [ROW, a, b, c, d] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(Error::corrupt("table", 0, "the key of a row", key.escape_ascii())),
    }
}

/// All rows.
pub const ROWS: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&[ROW]), Bound::Excluded(&[UNIQUE]));

/// A unique index, as far as its keys go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    pub index: catalog::Oid,
    /// Positions in the row, from 0.
    pub columns: Vec<usize>,
    /// The types of columns that are compared without regard to case, in the order of `columns`: keys are of their values
    /// in lower case.
    pub folded: Vec<Option<Type>>,
    /// Position of the hidden column that is true in the rows which have a key, for a partial index.
    pub guard: Option<usize>,
    /// Whether a NULL is a value like others, so that rows with one have a key too.
    pub nulls_equal: bool,
    /// The constraint it is of, and when that is checked.
    pub constraint: Option<catalog::Oid>,
    pub deferral: Deferral,
}

impl UniqueKey {
    pub fn of(index: &catalog::Index, table: &catalog::Table) -> UniqueKey {
        let position = |number: u16| table.position(number).expect("an index names columns of its table");
        UniqueKey {
            index: index.oid,
            columns: index.columns.iter().copied().map(position).collect(),
            folded: index.columns.iter().map(|number| folded_type(table, *number)).collect(),
            guard: index.guard().map(position),
            nulls_equal: index.nulls_equal,
            constraint: index.constraint,
            deferral: index.deferral(table),
        }
    }

    /// For values that are given in the order of the index's columns, and nothing else. They are what a condition compares
    /// with, so that NULL is like nothing, and are in lower case where keys are.
    pub fn of_values(index: catalog::Oid, columns: usize) -> UniqueKey {
        UniqueKey {
            index,
            columns: (0..columns).collect(),
            folded: vec![None; columns],
            guard: None,
            nulls_equal: false,
            constraint: None,
            deferral: Deferral::Never,
        }
    }

    /// The key of a row; `None` when a column is NULL, unless NULLs are equal, and for rows outside of the index.
    pub fn key<'v>(&self, value: impl Fn(usize) -> &'v Value) -> Option<Vec<u8>> {
        if self.guard.is_some_and(|guard| *value(guard) != Value::Bool(true)) {
            return None;
        }
        let mut key = Vec::with_capacity(5 + 9 * self.columns.len());
        self.put_prefix(&mut key);
        for (&column, folded) in self.columns.iter().zip(&self.folded) {
            match (value(column), folded) {
                (Value::Null, _) if !self.nulls_equal => return None,
                (value, Some(ty)) => codec::key::encode_one(&citext::folded(value, ty), &mut key),
                (value, None) => codec::key::encode_one(value, &mut key),
            }
        }
        Some(key)
    }

    /// All keys of the index.
    pub fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let mut from = Vec::with_capacity(5);
        self.put_prefix(&mut from);
        let mut to = from.clone();
        // An oid is never u32::MAX: the catalogue counts up from 16,400 and refuses to wrap.
        to[1..].copy_from_slice(&(self.index + 1).to_be_bytes());
        (from, to)
    }

    fn put_prefix(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(&key_prefix(self.index));
    }
}

/// The type of a column whose keys are of its values in lower case.
fn folded_type(table: &catalog::Table, number: u16) -> Option<Type> {
    let column = table.position(number).and_then(|position| table.stored_column(position))?;
    citext::is_folded(&column.ty).then(|| column.ty.clone())
}

/// What every key of an index begins with.
pub fn key_prefix(index: catalog::Oid) -> [u8; 5] {
    let [a, b, c, d] = index.to_be_bytes();
    [UNIQUE, a, b, c, d]
}

/// The index of a unique key.
pub fn index_of_key(key: &[u8]) -> Result<catalog::Oid> {
    match key {
        [UNIQUE, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(Error::internal(format!("no unique key: {}", key.escape_ascii()))),
    }
}

/// Longest key of a unique index, in bytes as encoded. PostgreSQL's limit is 2,704; ours bounds what a commit has to
/// write after it is durable.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Refuses keys that are too long (54000), while the statement can still fail.
pub fn check_length(key: &[u8]) -> Result<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    let message = format!("index row size {} exceeds maximum {KEY_BYTES_MAX}", key.len());
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).hint(
        "Values larger than the maximum cannot be in a unique index; consider one on a hash of the value.",
    ))
}

/// What a unique key's entry holds.
pub fn slot_of_value(value: &[u8]) -> Result<u32> {
    let bytes = value.try_into().map_err(|_| Error::corrupt("table", 0, "a slot", value.escape_ascii()))?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_citext_have_no_case() {
        let unfolded = UniqueKey::of_values(7, 2);
        let unique = UniqueKey { folded: vec![Some(Type::Citext), None], ..unfolded.clone() };
        let key = |unique: &UniqueKey, a: &str, b: &str| {
            let values = [Value::from(a), Value::from(b)];
            unique.key(|column| &values[column]).unwrap()
        };
        assert_eq!(key(&unique, "Ab", "x"), key(&unique, "aB", "x"));
        assert_ne!(key(&unique, "Ab", "x"), key(&unique, "aB", "X"));
        // Which is how they are looked up.
        assert_eq!(key(&unique, "Ab", "x"), key(&unfolded, "ab", "x"));
    }
}
