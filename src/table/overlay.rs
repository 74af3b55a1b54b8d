//! One transaction's own writes to one table, while nobody else sees them.
//!
//! The statement fills it from the changes it logs, and recovery from the changes it reads, by the same
//! [`Overlay::apply`]. Rows and keys are in memory until they are too many; then they move to a private sorted table
//! (`layer.rs`) and the memory starts over. Newer layers hide older ones:
//!
//! ```text
//!   memory        slot 9 -> row     slot 4 -> deleted     key 'a' -> 9
//!   layers[1]     slot 7 -> row ...
//!   layers[0]     slot 4 -> row ...                        <- hidden by memory
//! ```
//!
//! Vectors are not here: their slots belong to the transaction alone, so they are written where they stay.
//!
//! An index that the transaction has made brings the keys of the rows that were there. They are behind everything else,
//! and publishing leaves them out: it makes the keys of new indexes from all rows.

use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog::Oid;
use crate::error::Result;
use crate::log::{Change, Seq};
use crate::storage::{Slice, SpilledTable, Tree};
use crate::table::keys;
use crate::table::layer::{KeyBytes, Layer, Part, Place};

/// The writes so far. Cloning it is cheap enough for a statement that reads what it writes: rows are shared.
#[derive(Clone, Default)]
pub struct Overlay {
    memory: Part,
    inserted: RoaringBitmap,
    updated: RoaringBitmap,
    deleted: RoaringBitmap,
    /// Oldest first.
    layers: Vec<Arc<Layer>>,
    /// The keys of unique indexes that this transaction has made, as they were then.
    built: Vec<(Oid, Arc<Overlay>)>,
}

/// What an entry takes beside its bytes: its share of a B-tree node and an allocation's header.
const ENTRY_BYTES: usize = 48;

impl Overlay {
    pub fn new() -> Overlay {
        Overlay::default()
    }

    /// Takes in one change. Vectors are the caller's to write.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert { slot, row, keys, .. } => {
                self.inserted.insert(*slot);
                self.deleted.remove(*slot);
                self.put_row(*slot, Some(row));
                keys.iter().for_each(|key| self.put_key(key, Some(*slot)));
            }
            Change::Update { slot, row, keys_removed, keys_added } => {
                if !self.inserted.contains(*slot) {
                    self.updated.insert(*slot);
                }
                self.deleted.remove(*slot);
                self.put_row(*slot, Some(row));
                keys_removed.iter().for_each(|key| self.remove_key(key, *slot));
                keys_added.iter().for_each(|key| self.put_key(key, Some(*slot)));
            }
            Change::Delete { slot, keys } => {
                self.inserted.remove(*slot);
                self.updated.remove(*slot);
                self.deleted.insert(*slot);
                self.put_row(*slot, None);
                keys.iter().for_each(|key| self.remove_key(key, *slot));
            }
            // Of vectors alone.
            Change::Fill { .. } => {}
        }
    }

    /// `None`: the overlay says nothing about the slot. `Some(None)`: it is deleted.
    pub fn row(&self, slot: u32) -> Result<Option<Option<Slice>>> {
        if let Some(row) = self.memory.rows.get(&slot) {
            return Ok(Some(row.clone()));
        }
        if !self.inserted.contains(slot) && !self.updated.contains(slot) {
            return Ok(self.deleted.contains(slot).then_some(None));
        }
        for layer in self.layers.iter().rev() {
            if let Some(row) = layer.row(slot)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// `None`: the overlay says nothing about the key. `Some(None)`: it is removed.
    pub fn key(&self, key: &[u8]) -> Result<Option<Option<u32>>> {
        if let Some(slot) = self.memory.keys.get(key) {
            return Ok(Some(*slot));
        }
        for layer in self.layers.iter().rev() {
            if let Some(slot) = layer.key(key)? {
                return Ok(Some(slot));
            }
        }
        for (index, built) in &self.built {
            if key.starts_with(&keys::key_prefix(*index)) {
                return Ok(Some(built.key(key)?.flatten()));
            }
        }
        Ok(None)
    }

    /// The first key at or after `from` and before `to` that a row has by these writes. Those of indexes that this
    /// transaction has made are not looked at.
    pub fn next_key(&self, from: &[u8], to: &[u8]) -> Result<Option<(KeyBytes, u32)>> {
        let mut last: Option<KeyBytes> = None;
        loop {
            let start = last.as_deref().map_or(Bound::Included(from), Bound::Excluded);
            if from >= to {
                return Ok(None);
            }
            let range = (start, Bound::Excluded(to));
            let mut first = self.memory.first_key(range).cloned();
            for layer in &self.layers {
                let key = layer.first_key(range)?;
                first = match (first, key) {
                    (Some(first), Some(key)) => Some(first.min(key)),
                    (first, key) => first.or(key),
                };
            }
            let Some(key) = first else { return Ok(None) };
            if let Some(slot) = self.key(&key)?.flatten() {
                return Ok(Some((key, slot)));
            }
            last = Some(key);
        }
    }

    /// Adds the key of a row that is there, to the keys of a new index; whether it was free.
    pub fn add_key(&mut self, key: &[u8], slot: u32) -> Result<bool> {
        if self.key(key)?.flatten().is_some() {
            return Ok(false);
        }
        self.put_key(key, Some(slot));
        Ok(true)
    }

    /// Goes on with the keys of an index that was made over the rows as they are.
    pub fn keep_built(&mut self, index: Oid, keys: Overlay) {
        self.built.push((index, Arc::new(keys)));
    }

    /// Whether this transaction has made the index.
    pub fn has_built(&self, index: Oid) -> bool {
        self.built.iter().any(|(built, _)| *built == index)
    }

    pub fn inserted(&self) -> &RoaringBitmap {
        &self.inserted
    }

    /// Slots born here or changed here, and alive.
    pub fn alive(&self) -> RoaringBitmap {
        &self.inserted | &self.updated
    }

    pub fn deleted(&self) -> &RoaringBitmap {
        &self.deleted
    }

    /// Every slot this says something about.
    pub fn touched(&self) -> RoaringBitmap {
        self.alive() | &self.deleted
    }

    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.layers.is_empty() && self.built.is_empty()
    }

    pub fn has_spilled(&self) -> bool {
        !self.layers.is_empty()
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        self.memory.bytes
    }

    /// Moves what is in memory to a private sorted table.
    pub fn spill(&mut self, tree: &Arc<Tree>, place: Place) -> Result<()> {
        if self.memory.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.layers.last() {
            last.table()?;
        }
        let part = Arc::new(std::mem::take(&mut self.memory));
        match Layer::new(part.clone(), tree, place) {
            Ok(layer) => self.layers.push(layer),
            Err(error) => {
                // Whoever goes back looks for what was there.
                self.memory = Arc::unwrap_or_clone(part);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Does what may fail of [`Overlay::publish`], before the commit is logged: no file is made after it.
    pub fn prepare(&mut self, tree: &Arc<Tree>) -> Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        self.spill(tree, Place::Here)?;
        self.layers.iter().try_for_each(|layer| layer.table().map(drop))
    }

    /// Makes rows and keys part of the tree, visible from `seq` on.
    pub fn publish(mut self, tree: &Arc<Tree>, seq: Seq) -> Result<()> {
        if self.layers.is_empty() {
            return self.write(tree, seq);
        }
        self.prepare(tree)?;
        for layer in self.layers.drain(..) {
            match Arc::try_unwrap(layer.into_table()?) {
                Ok(table) => tree.ingest(table, seq)?,
                // A cursor still reads it: the tree gets a copy.
                Err(shared) => copy(tree, &shared, seq)?,
            }
        }
        Ok(())
    }

    /// [`Overlay::publish`] of one that has not spilled.
    pub fn write(&self, tree: &Tree, seq: Seq) -> Result<()> {
        self.memory.with_entries(|entries| tree.write(seq, entries))
    }

    /// (slot, row or `None` when deleted) from `from` on, in order of slots.
    pub fn rows_from(self: &Arc<Self>, from: u32) -> Rows {
        let start = keys::row_key(from);
        let (from_key, to) = (Bound::Included(&start[..]), keys::ROWS.1);
        let scan = |layer: &Arc<Layer>| -> Scan {
            match layer.table() {
                Ok(table) => Box::new(table.scan(from_key, to)),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        };
        let layers = self.layers.iter().map(|layer| scan(layer).peekable()).collect();
        Rows { overlay: self.clone(), memory: Vec::new().into_iter().peekable(), next: Some(from), layers }
    }

    fn put_row(&mut self, slot: u32, row: Option<&[u8]>) {
        let row = row.map(Slice::copy_of);
        self.memory.bytes += row.as_ref().map_or(0, |row| row.len()) + ENTRY_BYTES;
        self.memory.rows.insert(slot, row);
    }

    fn put_key(&mut self, key: &[u8], slot: Option<u32>) {
        self.memory.bytes += key.len() + ENTRY_BYTES;
        self.memory.keys.insert(key.into(), slot);
    }

    /// A key that another row of this transaction has taken over meanwhile stays that row's.
    fn remove_key(&mut self, key: &[u8], slot: u32) {
        let other = self.memory.keys.get(key).is_some_and(|owner| owner.is_some_and(|owner| owner != slot));
        if !other {
            self.put_key(key, None);
        }
    }
}

/// Writes a spilled table's entries into the memtable, some at a time.
fn copy(tree: &Tree, table: &SpilledTable, seq: Seq) -> Result<()> {
    let mut entries = table.scan(Bound::Unbounded, Bound::Unbounded).peekable();
    while entries.peek().is_some() {
        let piece: Vec<_> = entries.by_ref().take(BATCH).collect::<Result<_>>()?;
        tree.write(seq, piece.iter().map(|(key, value)| (&key[..], value.as_deref())))?;
        tree.relieve();
    }
    Ok(())
}

/// Iterates over an overlay's rows; see [`Overlay::rows_from`].
pub struct Rows {
    overlay: Arc<Overlay>,
    memory: std::iter::Peekable<std::vec::IntoIter<(u32, Option<Slice>)>>,
    /// Where the next batch of memory starts; `None` at its end.
    next: Option<u32>,
    layers: Vec<std::iter::Peekable<Scan>>,
}

/// The entries of a layer, in order of keys.
type Scan = Box<dyn Iterator<Item = Result<(Slice, Option<Slice>)>> + Send>;

/// Rows copied out of the B-tree at a time.
const BATCH: usize = 256;

impl Rows {
    fn refill(&mut self) {
        let Some(from) = self.next else { return };
        if self.memory.peek().is_some() {
            return;
        }
        let batch: Vec<_> = self
            .overlay
            .memory
            .rows
            .range(from..)
            .take(BATCH)
            .map(|(slot, row)| (*slot, row.clone()))
            .collect();
        self.next = batch.last().filter(|_| batch.len() == BATCH).and_then(|(slot, _)| slot.checked_add(1));
        self.memory = batch.into_iter().peekable();
    }

    /// The smallest slot any layer is at.
    fn smallest(&mut self) -> Result<Option<u32>> {
        let mut smallest = self.memory.peek().map(|(slot, _)| *slot);
        for layer in &mut self.layers {
            match layer.peek() {
                None => {}
                Some(Ok((key, _))) => {
                    let slot = keys::slot_of_row_key(key)?;
                    smallest = Some(smallest.map_or(slot, |other| other.min(slot)));
                }
                Some(Err(error)) => return Err(error.clone()),
            }
        }
        Ok(smallest)
    }

    fn step(&mut self) -> Result<Option<(u32, Option<Slice>)>> {
        self.refill();
        let Some(slot) = self.smallest()? else { return Ok(None) };
        let mut newest = None;
        for layer in &mut self.layers {
            let here = |entry: &Result<(Slice, _)>| {
                entry.as_ref().is_ok_and(|(key, _)| key[..] == keys::row_key(slot))
            };
            if let Some(entry) = layer.next_if(here) {
                newest = Some(entry?.1);
            }
        }
        if let Some((_, row)) = self.memory.next_if(|(other, _)| *other == slot) {
            newest = Some(row);
        }
        Ok(newest.map(|row| (slot, row)))
    }
}

impl Iterator for Rows {
    type Item = Result<(u32, Option<Slice>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
