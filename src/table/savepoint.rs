//! Going back inside a transaction.
//!
//! A [`Mark`] keeps the overlay as it was: a counted reference, copied by the next write. Going back puts it in its
//! place again. What the log has of the changes in between is undone in the log: as long as they are still in the
//! chunk they are cut off; once handed out, changes follow that lead back to the marked rows:
//!
//! ```text
//!   since the mark      the way back
//!   born                Delete, with its keys
//!   changed, deleted    Update to the marked row (Insert without vectors, if the row was born in this transaction)
//! ```
//!
//! Vectors need nothing: a slot's vector is written once, at its birth. Slots whose insertion was logged stay with the
//! transaction until it ends, since another one's insertion into them could come before the way back in the log.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::log::Change;
use crate::storage::Slice;
use crate::table::overlay::Overlay;
use crate::table::write::{Keys, Writer};

/// A writer as it was.
#[derive(Clone, Default)]
pub struct Mark {
    overlay: Arc<Overlay>,
    chunk_bytes: usize,
    chunks_taken: u64,
    taken: RoaringBitmap,
}

impl Writer {
    pub fn mark(&self) -> Mark {
        Mark {
            overlay: self.overlay.clone(),
            chunk_bytes: self.chunk.len(),
            chunks_taken: self.chunks_taken,
            taken: self.taken.clone(),
        }
    }

    /// Undoes everything since the mark.
    pub fn back_to(&mut self, mark: &Mark) -> Result<()> {
        if self.chunks_taken == mark.chunks_taken {
            self.chunk.truncate(mark.chunk_bytes);
            // The log never heard of these slots.
            self.table.give_back_slots(&self.taken - &mark.taken);
            self.taken = mark.taken.clone();
        } else {
            self.log_way_back(&mark.overlay)?;
        }
        self.overlay = mark.overlay.clone();
        Ok(())
    }

    fn log_way_back(&mut self, marked: &Arc<Overlay>) -> Result<()> {
        for slot in self.overlay.touched() {
            self.log_slot_back(slot, marked)?;
        }
        Ok(())
    }

    fn log_slot_back(&mut self, slot: u32, marked: &Overlay) -> Result<()> {
        let (now, then) = (self.overlay.row(slot)?, marked.row(slot)?);
        let is_same = now == then;
        let committed = match then {
            None if !self.overlay.inserted().contains(slot) => self.table.newest_row(slot)?,
            _ => None,
        };
        let (then_row, born_before) = (then.flatten().or(committed), marked.inserted().contains(slot));
        let now_keys = self.keys_in(&self.overlay, slot, now.flatten().as_ref())?;
        let then_keys = self.keys_in(marked, slot, then_row.as_ref())?;
        // The same row may have got its key, or lost it, since it waited for one.
        if is_same && now_keys == then_keys {
            return Ok(());
        }
        let removed: Vec<&[u8]> = now_keys.iter().flatten().map(Vec::as_slice).collect();
        let added: Vec<&[u8]> = then_keys.iter().flatten().map(Vec::as_slice).collect();
        let change = match &then_row {
            None => Change::Delete { slot, keys: removed },
            Some(row) if born_before => Change::Insert { slot, row, vectors: Vec::new(), keys: added },
            Some(row) => Change::Update { slot, row, keys_removed: removed, keys_added: added },
        };
        // A row born before that got another key and has it no more: the key goes first.
        if let Change::Insert { row, .. } = &change {
            let removed = now_keys.iter().flatten().map(Vec::as_slice).collect();
            Change::Update { slot, row, keys_removed: removed, keys_added: Vec::new() }
                .encode(&mut self.chunk);
        }
        change.encode(&mut self.chunk);
        Ok(())
    }

    /// The keys that a slot's row has, as one of this transaction's overlays knows them: none that it waits for, which
    /// another row has.
    fn keys_in(&self, overlay: &Overlay, slot: u32, row: Option<&Slice>) -> Result<Keys> {
        let Some(row) = row else { return Ok(Keys::new()) };
        let mut keys = self.keys_of(&self.layout.read(row)?.values()?)?;
        for key in &mut keys {
            if let Some(own) = key
                && self.owner_in(overlay, own)? != Some(slot)
            {
                *key = None;
            }
        }
        Ok(keys)
    }
}
