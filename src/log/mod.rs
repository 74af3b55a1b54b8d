//! The append-only log, which is the database: everything else is a view that can be rebuilt from it.
//!
//! ```text
//!  ... | Data t7 | Data t8 | Commit t7 | Data t8 | Free | Commit t8 |      <- end: appended
//!                                      ^ Position, and Seq of what t7 wrote
//!                                                ^ sync: durable up to here
//! ```
//!
//! A [`Position`] is a byte offset in one endless stream; it is opaque to everybody but the log's home. The position
//! of a Commit record is the sequence number ([`Seq`]) under which readers see what the transaction did.
//!
//! - `record.rs`: what a record says, and its bytes.
//! - `segment.rs`: how records lie in a file, and how damage is told from a torn tail.
//! - `local.rs`: the log in segment files; `memory.rs`: the log in memory, for tests.

use crate::error::Result;

pub mod local;
pub mod memory;
pub mod record;
mod segment;

pub use local::LocalLog;
pub use memory::MemoryLog;
pub use record::{Change, Changes, Record};

/// A byte offset in the log's stream. The first record is at 8, so 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// The moment of a commit: the position of its Commit record. A snapshot is the Seq of the last commit it sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// Names the files of one table, or with 0 those of the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageId(pub u64);

/// A home for the log.
///
/// After a failed write or sync nothing can be promised any more, so the log stops: every later append and sync
/// answers that first failure (58030) until the log is opened again. A full disk is not such a failure: space is
/// taken before anything is written, and without it the append is refused (53100) and leaves nothing.
pub trait Log: Send + Sync {
    /// Adds records in order, all or none, and answers where each one is. Not durable yet.
    fn append(&self, records: &[Record]) -> Result<Vec<Position>>;
    /// Makes everything appended before the call durable; answers up to where (exclusive).
    fn sync(&self) -> Result<Position>;
    /// Where the next record will be.
    fn end(&self) -> Position;
    /// Hands out the records from `from`, which is a record's position or the end.
    fn replay(&self, from: Position, f: &mut dyn FnMut(Position, Record) -> Result<()>) -> Result<()>;
    /// Forgets records before `p`, as far as that is simple; nobody will ask for them again.
    fn truncate_before(&self, p: Position) -> Result<()>;
    /// Gets space ready that appends will need soon. For a background thread; appends do it themselves if they must.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }
    /// Bytes the log occupies.
    fn bytes(&self) -> u64;
}
