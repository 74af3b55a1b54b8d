//! Metadata indexes made anew from the rows while the table is in use: those that were given up because a file of theirs could
//! not be read, and those with a part in such a file, which have rows looked at in their place.
//!
//! 1. From here on commits note the slots they change.
//! 2. All rows are taken in, as of the last commit.
//! 3. While no commit changes the state, the slots that were noted are taken in once more, as of the last one, and the new
//!    indexes take their place.
//!
//! A commit of many rows, or one that changes the definition, may have begun before and put the old ones back: they are found
//! again, and it is all done again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roaring::RoaringBitmap;

use super::{State, Table};
use crate::error::Result;
use crate::log::Seq;
use crate::storage::ScanEntry;
use crate::table::keys::{ROWS, row_key, slot_of_row_key};
use crate::table::metadata::Metadata;

/// Rows between two looks at the cancel flag.
const CANCEL_ROWS: u64 = 4096;

impl Table {
    /// Makes indexes anew that were given up, and, with `look`, those with a part that somebody found unreadable; how many.
    /// Every new snapshot sees the commits up to `published`.
    pub fn remake_lost(&self, look: bool, published: Seq, cancel: &AtomicBool) -> Result<usize> {
        let state = self.state();
        let lost = state.metadata.lost(look);
        if lost.is_empty() {
            return Ok(0);
        }
        *self.noted.lock() = Some(RoaringBitmap::new());
        let remade = self.remake(&state, &lost, published, cancel);
        *self.noted.lock() = None;
        remade.map(|is_done| if is_done { lost.len() } else { 0 })
    }

    /// False when it was cancelled, or the table has another definition now.
    fn remake(&self, state: &State, lost: &[u16], published: Seq, cancel: &AtomicBool) -> Result<bool> {
        let mut metadata = state.metadata.empty_of(&state.definition, lost);
        let mut taking = metadata.taking_in();
        let mut rows = self.tree.scan(ROWS.0, ROWS.1, self.changed_at(published));
        let mut count = 0u64;
        while rows.advance()?
            && let Some(ScanEntry { key, value: row, .. }) = rows.entry()
        {
            taking.add(slot_of_row_key(key)?, &state.layout.read(row)?)?;
            count += 1;
            if count.is_multiple_of(CANCEL_ROWS) && cancel.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        taking.finish(&RoaringBitmap::new());
        // What was changed meanwhile may be much.
        self.take_in_noted(&mut metadata, state, published)?;
        let mut outcome = Ok(false);
        self.change(true, |now| outcome = self.put_in_place(now, metadata, state, published));
        outcome
    }

    /// False when the table has another definition now.
    fn put_in_place(
        &self,
        now: &mut State,
        mut metadata: Metadata,
        state: &State,
        published: Seq,
    ) -> Result<bool> {
        let is_same = Arc::ptr_eq(&now.definition, &state.definition);
        if is_same {
            self.take_in_noted(&mut metadata, state, published)?;
            now.metadata.put(metadata);
        }
        Ok(is_same)
    }

    /// Takes in the rows whose slots commits have noted so far.
    fn take_in_noted(&self, metadata: &mut Metadata, state: &State, published: Seq) -> Result<()> {
        let slots = self.noted.lock().as_mut().map(std::mem::take).unwrap_or_default();
        let (mut taking, mut died) = (metadata.taking_in(), RoaringBitmap::new());
        for slot in &slots {
            match self.tree.get(&row_key(slot), self.changed_at(published))? {
                Some(row) => taking.add(slot, &state.layout.read(&row)?)?,
                None => {
                    died.insert(slot);
                }
            }
        }
        taking.finish(&died);
        Ok(())
    }

    /// The last commit that the state has. A later one may be in the tree already.
    fn changed_at(&self, published: Seq) -> Seq {
        Seq(self.changed.load(Ordering::Relaxed)).max(published)
    }

    /// A commit has changed the state, which is still its own.
    pub(super) fn note(&self, seq: Seq, slots: &RoaringBitmap) {
        self.changed.store(seq.0, Ordering::Relaxed);
        if let Some(noted) = &mut *self.noted.lock() {
            *noted |= slots;
        }
    }
}
