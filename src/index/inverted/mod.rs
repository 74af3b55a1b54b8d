//! Inverted indexes: which slots hold a term, from memory.
//!
//! Made by `CREATE INDEX ... USING gin`, and by any other on a column whose values have no keys in [`super::bitmap`]; by
//! nothing else, because terms cost memory:
//!
//! ```text
//!   terms.rs      a cell's terms: lexemes of a tsvector, elements of an array, paths and keys of a jsonb,
//!                 keys and pairs of an hstore; or the value as a whole, of which equality is asked
//!   dictionary    term -> number, in shards by hash, each in order of terms        (dictionary.rs)
//!   slots.rs      number -> slots, roaring bitmaps of 65,536 slots each
//!   forward       slot -> numbers, so that a row that changes or dies leaves its terms
//!   search.rs     a question -> slots, and whether each of them surely answers it
//! ```
//!
//! All parts are shared and copied on write, as in [`super::bitmap`]: a reader holds a clone while a writer changes
//! his. An index is built from the rows when it is made and when the table is opened.

mod dictionary;
mod search;
mod slots;
mod terms;

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::types::Value;

use dictionary::Dictionary;
pub use search::{Found, Question};
use slots::Slots;
pub use terms::Kind;

/// Slots whose lists of terms are copied together.
const FORWARD_SLOTS: usize = 256;

/// The terms that a row holds, by number, ascending; `None` where the cell is NULL or there is no row.
type Terms = Option<Arc<[u32]>>;

/// The terms of one column, by slot.
#[derive(Clone)]
pub struct InvertedIndex {
    kind: Kind,
    dictionary: Dictionary,
    forward: Vec<Arc<Vec<Terms>>>,
    /// Slots whose cell is not NULL.
    present: Slots,
    /// Those whose cell has no term.
    empty: Slots,
}

impl InvertedIndex {
    pub fn new(kind: Kind) -> InvertedIndex {
        InvertedIndex {
            kind,
            dictionary: Dictionary::new(),
            forward: Vec::new(),
            present: Slots::default(),
            empty: Slots::default(),
        }
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The slot's value is now `value`, whatever it was before.
    pub fn set(&mut self, slot: u32, value: &Value) {
        let terms = self.kind.terms(value);
        let before = self.terms_of(slot);
        let mut numbers: Vec<u32> = Vec::new();
        for term in terms.iter().flatten() {
            numbers.push(self.dictionary.number(term));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let gone = |number: &&u32| numbers.binary_search(number).is_err();
        for &number in before.iter().flat_map(|before| before.iter()).filter(gone) {
            self.dictionary.remove(number, slot);
        }
        let known = |number: u32| before.as_ref().is_some_and(|before| before.binary_search(&number).is_ok());
        for &number in numbers.iter().filter(|&&number| !known(number)) {
            self.dictionary.insert(number, slot);
        }
        let is_empty = numbers.is_empty();
        self.keep(slot, terms.is_some().then(|| numbers.into()));
        self.present.put(slot, terms.is_some());
        self.empty.put(slot, terms.is_some() && is_empty);
    }

    /// The slot holds nothing any more.
    pub fn remove(&mut self, slot: u32) {
        self.set(slot, &Value::Null);
    }

    fn terms_of(&self, slot: u32) -> Terms {
        let chunk = self.forward.get(slot as usize / FORWARD_SLOTS)?;
        chunk[slot as usize % FORWARD_SLOTS].clone()
    }

    fn keep(&mut self, slot: u32, terms: Terms) {
        let (chunk, place) = (slot as usize / FORWARD_SLOTS, slot as usize % FORWARD_SLOTS);
        if self.forward.len() <= chunk {
            if terms.is_none() {
                return;
            }
            // One empty chunk stands for all of a gap.
            let empty = Arc::new(vec![None; FORWARD_SLOTS]);
            self.forward.resize(chunk + 1, empty);
        }
        if self.forward[chunk][place] != terms {
            Arc::make_mut(&mut self.forward[chunk])[place] = terms;
        }
    }

    /// Whether the slot is under the terms of `value` and no others: the invariant of the index.
    pub fn agrees(&self, slot: u32, value: &Value) -> bool {
        let Some(mut terms) = self.kind.terms(value) else { return self.terms_of(slot).is_none() };
        terms.sort_unstable();
        terms.dedup();
        let Some(numbers) = self.terms_of(slot) else { return false };
        numbers.len() == terms.len() && terms.iter().all(|term| self.dictionary.find(term).contains(slot))
    }

    /// Slots whose cell is not NULL.
    pub fn present(&self) -> RoaringBitmap {
        self.present.to_bitmap()
    }

    /// Distinct terms.
    pub fn distinct(&self) -> u64 {
        self.dictionary.len()
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        let lists = self.forward.iter().flat_map(|chunk| chunk.iter());
        let forward: u64 =
            lists.map(|list| 16 + list.as_ref().map_or(0, |list| 16 + 4 * list.len() as u64)).sum();
        forward + self.dictionary.bytes() + self.present.bytes() + self.empty.bytes()
    }
}

#[cfg(test)]
mod tests;
