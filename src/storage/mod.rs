//! The LSM tree: ordered keys with versions, in memory first, in immutable files later.
//!
//! A [`Store`] owns the data directory's trees, one [`Tree`] per [`StorageId`](crate::log::StorageId). A
//! write goes into the tree's memtable; a full memtable is frozen, flushed to a sorted table, and compaction
//! keeps the tables few. What is on disk is always exactly the state of the last checkpoint: everything
//! later is replayed from the log.
//!
//! ```text
//!   write(seq)                          get(key, snapshot), scan(range, snapshot)
//!      |                                    newest source first, newest visible version wins
//!      v
//!   memtable -> pending (frozen memtables, ingested tables) -> level 0 -> level 1 -> ... -> level 6
//!               \___________ replayed from the log ________/ \______ named by the manifest ______/
//! ```

mod admission;
mod background;
mod cache;
mod cells;
mod check;
mod checkpoint;
mod column_scan;
mod compaction;
mod context;
mod delay;
mod describe;
mod image;
mod limiter;
mod manifest;
mod memtable;
mod merge;
mod options;
mod pool;
mod recovery;
mod scan;
mod scrub;
mod shape;
mod signal;
mod slice;
mod spill;
mod sstable;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod version;

pub use admission::Admitted;
pub use cells::{Bits, Cells, Column, Piece, Row, Rows};
pub use check::{Report, check};
pub use checkpoint::{Checkpoint, Extra, Frozen};
pub use column_scan::{ColumnScan, OwnRows};
pub use compaction::Rests;
pub use describe::describe;
pub use image::{Image, TableFile, check_copies};
pub use limiter::Urgent;
pub use options::Options;
pub use pool::Pool;
pub use recovery::is_damage;
pub use scan::{Scan, ScanEntry};
pub use scrub::{Damage, Part, Scrubbed, is_rot};
pub use shape::{ELSEWHERE, Kind, NUMBER_BYTES, Shape};
pub use slice::Slice;
pub use spill::{SpilledScan, SpilledTable};
pub use sstable::{Columns, folder};
pub use store::{Stats, Store};
pub use tree::Tree;
