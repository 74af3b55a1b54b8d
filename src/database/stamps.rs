//! Stamps of vector files: a backup passes over those that have the stamp they had in the backup before.
//!
//! ```text
//!   manifest    <storage> "stamp.3.0.vec"   16 bytes: incarnation, number
//!               0         "stamped"         the position the checkpoint has in "applied"
//! ```
//!
//! A checkpoint gives one new stamp to all files that were written since they got theirs (`vectors/writes.rs`). It looks
//! after its moment, so that every vector of a commit that it has was counted: two checkpoints with the same stamp of a
//! file have the same bytes in each of its slots that lives in the second one. Other slots mean nothing before the log
//! has written them.
//!
//! A stamp never comes twice: the incarnation is drawn by each open, the number counts its checkpoints. A directory that
//! somebody copied goes on with stamps of its own.
//!
//! After an open the stamps of the manifest hold: what was written after its checkpoint is written again by the replay,
//! which counts, or was never committed. A program that knows no stamps makes checkpoints without them; then "stamped" is
//! not "applied", no stamp holds, and every file gets a new one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::CATALOG_STORAGE;
use crate::database::checkpoint::Columns;
use crate::database::core::Core;
use crate::database::open::new_cluster;
use crate::log::{Position, StorageId};
use crate::storage::{Extra, Store};
use crate::table::Table;
use crate::vectors::Written;

const STAMPED: &str = "stamped";
const PREFIX: &str = "stamp.";

/// Where stamps are from.
pub struct Stamps {
    incarnation: u64,
    next: AtomicU64,
}

impl Default for Stamps {
    fn default() -> Stamps {
        // Half of what tells a new data directory from all others tells an open from all others.
        Stamps { incarnation: new_cluster() as u64, next: AtomicU64::new(1) }
    }
}

impl Core {
    /// Stamps what was written, among what a checkpoint of these columns writes down: the caller tells what is returned
    /// when that is durable.
    pub fn stamp(&self, columns: &[Columns], applied: Position, extras: &mut Vec<Extra>) -> Vec<Written> {
        let number = self.stamps.next.fetch_add(1, Ordering::Relaxed);
        let stamp = [self.stamps.incarnation.to_le_bytes(), number.to_le_bytes()].concat();
        let mut all = Vec::new();
        for columns in columns {
            let storage = columns.storage();
            for written in columns.written() {
                let (name, value) = (format!("{PREFIX}{}", written.file), Some(stamp.clone()));
                extras.push(Extra { storage, name, value });
                all.push(written);
            }
        }
        let value = Some(applied.0.to_le_bytes().to_vec());
        extras.push(Extra { storage: StorageId(CATALOG_STORAGE), name: STAMPED.into(), value });
        all
    }
}

/// The stamp of a table's file as of the last checkpoint, in hexadecimal digits.
pub fn stamp_of(store: &Store, storage: StorageId, file: &str) -> Option<String> {
    let bytes = store.extra(storage, &format!("{PREFIX}{file}"))?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// After an open, before the log is replayed: files whose stamps hold are as stamped.
pub fn trust_stamps(store: &Store, table: &Table) {
    let catalog = StorageId(CATALOG_STORAGE);
    let stamped = store.extra(catalog, STAMPED);
    if stamped.is_none() || stamped != store.extra(catalog, super::checkpoint::APPLIED) {
        return;
    }
    let storage = table.storage();
    for vectors in table.state().vectors.iter() {
        vectors.column.are_noted(|file| store.extra(storage, &format!("{PREFIX}{file}")).is_some());
    }
}
