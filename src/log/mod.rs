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
//! - `piece.rs`: parts of the log outside of the data directory.
//! - `local.rs`: the log in segment files; `memory.rs`: the log in memory, for tests.

use crate::error::{Error, Result};
use crate::fs::Pace;

mod describe;
pub mod local;
pub mod memory;
pub mod piece;
pub mod record;
mod segment;

pub use describe::describe;
pub use local::LocalLog;
pub use memory::MemoryLog;
pub use piece::{Piece, PieceName};
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

/// Records that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub first: Position,
    pub end: Position,
    /// Nothing will be added behind.
    pub whole: bool,
}

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
    /// The parts the log has, oldest first, each following the one before.
    fn parts(&self) -> Vec<Part> {
        Vec::new()
    }
    /// The records of a part as they lie on disk. The caller sees to it that nobody lets go of them meanwhile.
    fn read(&self, part: &Part) -> Result<Vec<u8>> {
        let message = format!("this log has no part from {:x} to {:x}", part.first.0, part.end.0);
        Err(Error::internal(message))
    }
    /// Begins the next segment, so that the present one is whole; nothing happens when that has no records yet.
    fn rotate(&self) -> Result<()> {
        Ok(())
    }
    /// Reads all records as they lie on disk, as fast as `pace` lets it, and answers how many bytes; XX001 when one is
    /// damaged.
    fn verify(&self, _pace: &mut Pace) -> Result<u64> {
        Ok(0)
    }
    /// Bytes the log occupies.
    fn bytes(&self) -> u64;
}
