//! Which versions are still needed.

use crate::error::Result;
use crate::log::Seq;
use crate::storage::memtable::EntryRef;
use crate::storage::merge::{DecidedKey, Merge};

/// Passes on the entries that a reader can still ask for:
///
/// - every version after the horizon;
/// - of those at or before it, the newest; unless it is a deletion of which nothing older can be below.
pub struct Retain<B> {
    merge: Merge,
    horizon: Seq,
    nothing_below: B,
    /// By versions at or before the horizon.
    decided: DecidedKey,
}

impl<B: FnMut(&[u8]) -> Result<bool>> Retain<B> {
    /// `nothing_below(key)`: no part of the tree older than the merged ones can have the key.
    pub fn new(merge: Merge, horizon: Seq, nothing_below: B) -> Retain<B> {
        Retain { merge, horizon, nothing_below, decided: DecidedKey::default() }
    }

    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>> {
        Ok(if self.advance()? { self.entry() } else { None })
    }

    /// Goes to the next entry that is needed; false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        while self.merge.advance()? {
            let Some(entry) = self.merge.entry() else { break };
            let needed = entry.seq > self.horizon
                || self.decided.is_new(entry.key)
                    && (entry.value.is_some() || !(self.nothing_below)(entry.key)?);
            if needed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entry it stands on.
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.merge.entry()
    }

    /// The place in the merge's list of the source with that entry.
    pub fn rank(&self) -> Option<usize> {
        self.merge.rank()
    }
}
