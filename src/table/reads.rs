//! What a SERIALIZABLE transaction has read, as far as it matters to what others change.
//!
//! ```text
//!   WHERE id = 7 (a unique key), found in slot 12     the row in slot 12: nobody else can get the key while it is there
//!   WHERE id = 8, not found                           that nobody has the key
//!   everything else                                   the whole table
//! ```
//!
//! The transaction's end asks whether any of it is different by then (`database/serializable.rs`).

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::catalog::{Catalog, Oid};
use crate::error::Result;
use crate::log::Seq;
use crate::table::{Table, keys};

/// Keys without a row up to which each is remembered by itself; with more the whole table counts as read. 1,000 of them
/// take some 100 KB.
const ABSENT_MAX: usize = 1_000;

/// All that was read, by table.
#[derive(Debug, Default)]
pub struct Reads(Mutex<BTreeMap<Oid, Read>>);

/// What was read of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    whole: bool,
    slots: RoaringBitmap,
    /// Keys as they lie in the tree.
    absent: BTreeSet<Vec<u8>>,
}

impl Reads {
    /// Any row of the table may have been looked at.
    pub fn whole(&self, table: Oid) {
        let mut tables = self.0.lock();
        let read = tables.entry(table).or_default();
        *read = Read { whole: true, ..Read::default() };
    }

    /// The row with a unique key was asked for, and found in the slot or not. `key` is as the table's tree has it.
    pub fn key(&self, table: Oid, key: Vec<u8>, slot: Option<u32>) {
        let mut tables = self.0.lock();
        let read = tables.entry(table).or_default();
        if read.whole {
            return;
        }
        match slot {
            Some(slot) => drop(read.slots.insert(slot)),
            None if read.absent.len() < ABSENT_MAX => drop(read.absent.insert(key)),
            None => *read = Read { whole: true, ..Read::default() },
        }
    }

    /// What was read so far.
    pub fn tables(&self) -> BTreeMap<Oid, Read> {
        self.0.lock().clone()
    }
}

impl Read {
    /// Whether others have changed it, given the slots that commits have changed since it was read, and the catalogue of now.
    pub fn is_changed(&self, table: &Table, changed: &RoaringBitmap, catalog: &Catalog) -> Result<bool> {
        if changed.is_empty() {
            return Ok(false);
        }
        if self.whole || !self.slots.is_disjoint(changed) {
            return Ok(true);
        }
        for key in &self.absent {
            if catalog.index_by_oid(keys::index_of_key(key)?).is_none() {
                return Ok(true);
            }
            // A key that was not there for the transaction because it has deleted the row itself is there still.
            if let Some(value) = table.tree().get(key, Seq(u64::MAX))?
                && changed.contains(keys::slot_of_value(&value)?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_table_is_more_than_its_keys() {
        let reads = Reads::default();
        reads.key(1, b"a".to_vec(), Some(7));
        reads.key(1, b"b".to_vec(), None);
        let read = reads.tables()[&1].clone();
        assert_eq!((read.whole, read.slots.len(), read.absent.len()), (false, 1, 1));
        reads.whole(1);
        reads.key(1, b"c".to_vec(), None);
        assert_eq!(reads.tables()[&1], Read { whole: true, ..Read::default() });
        for number in 0..=ABSENT_MAX {
            reads.key(2, number.to_be_bytes().to_vec(), None);
        }
        assert!(reads.tables()[&2].whole);
    }
}
