//! Opening a table: its live set and metadata indexes, from all rows, or from what a checkpoint saved of them.
//!
//! ```text
//!   from rows     every row is read and decoded                            0.9 s per million rows with six indexes
//!   from files    as of an older checkpoint, and the slots that changed    0.06 s, and 1 us for each row that changed
//!                 since: those rows alone are read                         and lies by itself
//! ```
//!
//! Inverted indexes are made from all rows either way. Both end in the same state, which is that of the last checkpoint.
//! The log behind it is replayed into it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::{State, Table};
use crate::error::{Error, Result};
use crate::index::bitmap::ColumnIndex;
use crate::log::Seq;
use crate::storage::ScanEntry;
use crate::table::keys::{ROWS, row_key, slot_of_row_key};
use crate::table::metadata::Metadata;

/// What a checkpoint saved.
pub struct Saved {
    pub live: RoaringBitmap,
    /// By the numbers of their columns.
    pub columns: Vec<(u16, ColumnIndex)>,
    /// Slots that changed between the saving of these and the checkpoint.
    pub changed: RoaringBitmap,
}

impl Table {
    /// Sets the live set and builds metadata indexes and tails from the tree, after the files were opened.
    pub fn restore(&self) -> Result<()> {
        let state = self.begin_restore();
        let (mut live, mut metadata) = (RoaringBitmap::new(), state.metadata.clone());
        let mut taking = metadata.taking_in();
        let mut rows = self.tree.scan(ROWS.0, ROWS.1, Seq(u64::MAX));
        while rows.advance()?
            && let Some(ScanEntry { key, value: row, .. }) = rows.entry()
        {
            let slot = slot_of_row_key(key)?;
            live.insert(slot);
            taking.add(slot, &state.layout.read(row)?)?;
        }
        taking.finish(&RoaringBitmap::new());
        drop(state);
        self.end_restore(live, metadata)
    }

    /// The same from what was saved; false, and nothing has happened, when that is not of all columns that have an index
    /// now.
    pub fn restore_saved(&self, saved: Saved) -> Result<bool> {
        let state = self.begin_restore();
        let Saved { mut live, columns, changed } = saved;
        let mut metadata = state.metadata.clone();
        if !metadata.take_over(columns) {
            return Ok(false);
        }
        let mut found = RoaringBitmap::new();
        let mut taking = metadata.taking_in();
        for slot in &changed {
            // A row by itself: of a block of columns a scan would make rows of all.
            if let Some(row) = self.tree.get(&row_key(slot), Seq(u64::MAX))? {
                found.insert(slot);
                taking.add(slot, &state.layout.read(&row)?)?;
            }
        }
        let died = &changed - &found;
        taking.finish(&died);
        live |= found;
        live -= died;
        let positions = metadata.inverted_positions();
        self.fill_inverted(&mut metadata, &positions, &state.layout)?;
        drop(state);
        *self.unsaved.lock() = changed;
        self.end_restore(live, metadata)?;
        Ok(true)
    }

    fn begin_restore(&self) -> Arc<State> {
        self.recovering.store(true, Ordering::Relaxed);
        self.state()
    }

    fn end_restore(&self, live: RoaringBitmap, metadata: Metadata) -> Result<()> {
        self.check_room(&live)?;
        // Before the log is replayed: new vector columns make room for every slot there is. Slots that only a graph or
        // one of its generations knows count, for a row born there would be taken for the node's former one.
        let state = self.state();
        let known =
            state.vector_indexes.iter().flat_map(|index| [index.finder.nodes().max(), index.saved.max()]);
        if let Some(last) = known.flatten().chain(live.max()).max() {
            self.raise_slots(last + 1);
        }
        drop(state);
        self.change(false, |state| {
            state.metadata = metadata;
            state.live = Arc::new(live);
            state.renew_tails();
        });
        Ok(())
    }

    /// Every live slot has a place in every vector column.
    fn check_room(&self, live: &RoaringBitmap) -> Result<()> {
        let Some(last) = live.max() else { return Ok(()) };
        for vector in self.state().vectors.iter() {
            let end = vector.column.view().slots_end();
            if last >= end {
                let file = self.dir.join(format!("{}.*.vec", vector.number));
                let expected = format!("room for the vector of slot {last}");
                return Err(Error::corrupt(file.display(), 0, expected, format!("room for {end} slots")));
            }
        }
        Ok(())
    }

    /// Slots that changed since bitmaps were saved; none are from here on.
    pub fn take_unsaved(&self) -> RoaringBitmap {
        std::mem::take(&mut self.unsaved.lock())
    }

    /// What was taken is unsaved again.
    pub fn add_unsaved(&self, slots: &RoaringBitmap) {
        *self.unsaved.lock() |= slots;
    }
}
