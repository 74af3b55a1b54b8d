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
            let (now, then) = (self.overlay.row(slot)?, marked.row(slot)?);
            if now != then {
                self.log_slot_back(slot, now.flatten(), then, marked.inserted().contains(slot))?;
            }
        }
        Ok(())
    }

    /// `then`: what the marked overlay says of the slot.
    fn log_slot_back(
        &mut self,
        slot: u32,
        now: Option<Slice>,
        then: Option<Option<Slice>>,
        born_before: bool,
    ) -> Result<()> {
        let committed = match then {
            None if !self.overlay.inserted().contains(slot) => self.table.newest_row(slot)?,
            _ => None,
        };
        let (now_keys, then_row) = (self.keys_of_row(now.as_ref())?, then.flatten().or(committed));
        let then_keys = self.keys_of_row(then_row.as_ref())?;
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

    fn keys_of_row(&self, row: Option<&Slice>) -> Result<Keys> {
        let Some(row) = row else { return Ok(Keys::new()) };
        self.keys_of(&self.layout.read(row)?.values()?)
    }
}
