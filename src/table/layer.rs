//! Writes of a transaction that leave its memory.
//!
//! ```text
//!   memory  --full-->  Layer: the part as it was, while a thread writes it  -->  Layer: a private sorted table
//!   the next writes start over meanwhile
//! ```
//!
//! Packing rows into blocks is a third of what a load costs, so it goes on beside the load. There are never more than two
//! parts in memory: the next one waits until the one before is written. Without background work (in tests that count
//! operations of the file system) the part is written on the spot.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::storage::{Slice, SpilledTable, Tree};
use crate::table::keys;

/// A key's bytes.
pub type KeyBytes = Box<[u8]>;

/// From where to where, of unique keys.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Rows and keys in memory.
#[derive(Clone, Default)]
pub struct Part {
    /// `None`: deleted.
    pub rows: BTreeMap<u32, Option<Slice>>,
    /// Whole tree keys; `None`: removed.
    pub keys: BTreeMap<KeyBytes, Option<u32>>,
    /// About what they take in memory.
    pub bytes: usize,
}

/// Whether a part is written beside the transaction's work or in the midst of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Aside,
    Here,
}

/// A part that is written, or about to be. Dropped, it waits for its thread, and takes its files with it.
pub struct Layer {
    state: Arc<Mutex<State>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
enum State {
    Writing(Arc<Part>),
    Written(Arc<SpilledTable>),
    /// It is read from memory as before; the transaction can go back, and no further.
    Failed(Arc<Part>, Error),
}

impl Part {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.keys.is_empty()
    }

    /// The first key in a range, which must not be empty, of which it says something.
    pub fn first_key(&self, range: KeyRange) -> Option<&KeyBytes> {
        self.keys.range::<[u8], _>(range).next().map(|(key, _)| key)
    }

    /// Hands the entries to `take`, in order of tree keys.
    pub fn with_entries<T>(&self, take: impl FnOnce(&mut dyn Iterator<Item = Entry>) -> T) -> T {
        let row_keys: Vec<[u8; 5]> = self.rows.keys().map(|slot| keys::row_key(*slot)).collect();
        let slots: Vec<[u8; 4]> = self.keys.values().map(|slot| slot.unwrap_or(0).to_le_bytes()).collect();
        let rows = row_keys.iter().zip(self.rows.values()).map(|(key, row)| (&key[..], row.as_deref()));
        let keys = self.keys.iter().zip(&slots);
        let keys = keys.map(|((key, slot), bytes)| (&key[..], slot.is_some().then_some(&bytes[..])));
        take(&mut rows.chain(keys))
    }

    fn write(&self, tree: &Tree) -> Result<SpilledTable> {
        self.with_entries(|entries| tree.build_table(entries))
    }
}

/// A key, and its value or `None` where it is deleted.
pub type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

impl Layer {
    pub fn new(part: Arc<Part>, tree: &Arc<Tree>, place: Place) -> Result<Arc<Layer>> {
        let layer = |state, thread| Arc::new(Layer { state, thread: Mutex::new(thread) });
        if place == Place::Here {
            let written = State::Written(Arc::new(part.write(tree)?));
            return Ok(layer(Arc::new(Mutex::new(written)), None));
        }
        let state = Arc::new(Mutex::new(State::Writing(part.clone())));
        let (written, tree) = (state.clone(), tree.clone());
        let body = move || {
            let done = catch_unwind(AssertUnwindSafe(|| part.write(&tree)));
            // Whoever waits would take a thread that is gone for one that has written.
            let done = done.unwrap_or_else(|panic| Err(Error::panicked("spill", &*panic)));
            *written.lock() = match done {
                Ok(table) => State::Written(Arc::new(table)),
                Err(error) => State::Failed(part, error),
            };
        };
        let thread = std::thread::Builder::new().name("spill".into()).spawn(body);
        let thread = thread.map_err(|error| Error::io("start the thread", "spill", &error))?;
        Ok(layer(state, Some(thread)))
    }

    /// What it says of a slot's row; see [`SpilledTable::get`].
    pub fn row(&self, slot: u32) -> Result<Option<Option<Slice>>> {
        match self.state() {
            State::Writing(part) | State::Failed(part, _) => Ok(part.rows.get(&slot).cloned()),
            State::Written(table) => table.get(&keys::row_key(slot)),
        }
    }

    /// What it says of a key.
    pub fn key(&self, key: &[u8]) -> Result<Option<Option<u32>>> {
        match self.state() {
            State::Writing(part) | State::Failed(part, _) => Ok(part.keys.get(key).copied()),
            State::Written(table) => match table.get(key)? {
                Some(value) => value.map(|value| keys::slot_of_value(&value)).transpose().map(Some),
                None => Ok(None),
            },
        }
    }

    /// The first key in a range of which it says something.
    pub fn first_key(&self, range: KeyRange) -> Result<Option<KeyBytes>> {
        match self.state() {
            State::Writing(part) | State::Failed(part, _) => Ok(part.first_key(range).cloned()),
            State::Written(table) => {
                let first = table.scan(range.0, range.1).next().transpose()?;
                Ok(first.map(|(key, _)| key[..].into()))
            }
        }
    }

    /// The table, once it is written.
    pub fn table(&self) -> Result<Arc<SpilledTable>> {
        self.join();
        match self.state() {
            State::Written(table) => Ok(table),
            State::Failed(_, error) => Err(error),
            State::Writing(_) => Err(Error::internal("a thread ended without writing its part")),
        }
    }

    /// The table without the layer, if nobody else has it.
    pub fn into_table(self: Arc<Layer>) -> Result<Arc<SpilledTable>> {
        let table = self.table()?;
        drop(self);
        Ok(table)
    }

    fn state(&self) -> State {
        self.state.lock().clone()
    }

    fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // It catches its panics.
            let _ = thread.join();
        }
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.join();
    }
}
