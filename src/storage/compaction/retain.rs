//! Which versions are still needed.

use crate::error::Result;
use crate::log::Seq;
use crate::storage::memtable::EntryRef;
use crate::storage::merge::Merge;

/// Passes on the entries that a reader can still ask for:
///
/// - every version after the horizon;
/// - of those at or before it, the newest; unless it is a deletion of which nothing older can be below.
pub struct Retain<B> {
    merge: Merge,
    horizon: Seq,
    nothing_below: B,
    /// The key of which the newest version at or before the horizon has been seen.
    settled: Option<Vec<u8>>,
}

impl<B: FnMut(&[u8]) -> bool> Retain<B> {
    /// `nothing_below(key)`: no part of the tree older than the merged ones can have the key.
    pub fn new(merge: Merge, horizon: Seq, nothing_below: B) -> Retain<B> {
        Retain { merge, horizon, nothing_below, settled: None }
    }

    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>> {
        while self.merge.advance()? {
            let Some(entry) = self.merge.entry() else { break };
            if entry.seq > self.horizon {
                return Ok(self.merge.entry());
            }
            if self.settled.as_deref() == Some(entry.key) {
                continue;
            }
            let settled = self.settled.get_or_insert_default();
            settled.clear();
            settled.extend_from_slice(entry.key);
            if entry.value.is_some() || !(self.nothing_below)(entry.key) {
                return Ok(self.merge.entry());
            }
        }
        Ok(None)
    }
}
