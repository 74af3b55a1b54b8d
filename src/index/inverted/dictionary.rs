//! Terms, their numbers, and the slots of each.
//!
//! Terms are spread over shards by their hash; each shard is in order, so that a prefix is a range in every shard. A
//! change copies the shard or the chunk of postings it is in when a reader holds it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::slots::Slots;

/// At a million terms a shard has a thousand.
const SHARDS: usize = 1 << 10;
/// Postings that are copied together.
const CHUNK: usize = 128;

#[derive(Clone)]
pub struct Dictionary {
    shards: Vec<Arc<BTreeMap<Arc<[u8]>, u32>>>,
    /// By number.
    postings: Vec<Arc<Vec<Posting>>>,
    /// Numbers whose term no slot has any more.
    free: Arc<Vec<u32>>,
    len: u64,
}

/// A term and where it is. A free number has no slots.
#[derive(Clone, Default)]
struct Posting {
    term: Arc<[u8]>,
    slots: Slots,
}

fn shard(term: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish() as usize % SHARDS
}

impl Dictionary {
    pub fn new() -> Dictionary {
        Dictionary {
            shards: vec![Arc::default(); SHARDS],
            postings: Vec::new(),
            free: Arc::default(),
            len: 0,
        }
    }

    /// Distinct terms.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The term's number, a new one if need be. The caller gives it a slot.
    pub fn number(&mut self, term: &[u8]) -> u32 {
        let shard = shard(term);
        if let Some(&number) = self.shards[shard].get(term) {
            return number;
        }
        let posting = Posting { term: term.into(), slots: Slots::default() };
        let number = match Arc::make_mut(&mut self.free).pop() {
            Some(number) => {
                let chunk = Arc::make_mut(&mut self.postings[number as usize / CHUNK]);
                chunk[number as usize % CHUNK] = posting.clone();
                number
            }
            None => self.append(posting.clone()),
        };
        Arc::make_mut(&mut self.shards[shard]).insert(posting.term, number);
        self.len += 1;
        number
    }

    fn append(&mut self, posting: Posting) -> u32 {
        if self.postings.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.postings.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        let last = self.postings.len() - 1;
        let chunk = Arc::make_mut(&mut self.postings[last]);
        chunk.push(posting);
        (last * CHUNK + chunk.len() - 1) as u32
    }

    fn posting(&mut self, number: u32) -> &mut Posting {
        &mut Arc::make_mut(&mut self.postings[number as usize / CHUNK])[number as usize % CHUNK]
    }

    pub fn insert(&mut self, number: u32, slot: u32) {
        self.posting(number).slots.insert(slot);
    }

    /// A term without slots is forgotten.
    pub fn remove(&mut self, number: u32, slot: u32) {
        let posting = self.posting(number);
        posting.slots.remove(slot);
        if !posting.slots.is_empty() {
            return;
        }
        let term = std::mem::take(posting).term;
        Arc::make_mut(&mut self.shards[shard(&term)]).remove(&term);
        Arc::make_mut(&mut self.free).push(number);
        self.len -= 1;
    }

    fn slots(&self, number: u32) -> &Slots {
        &self.postings[number as usize / CHUNK][number as usize % CHUNK].slots
    }

    /// The slots of a term.
    pub fn find(&self, term: &[u8]) -> RoaringBitmap {
        self.shards[shard(term)]
            .get(term)
            .map_or_else(RoaringBitmap::new, |&number| self.slots(number).to_bitmap())
    }

    /// The slots of all terms that begin so.
    pub fn find_prefix(&self, prefix: &[u8]) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for shard in &self.shards {
            let from = shard.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
            for (_, &number) in from.take_while(|(term, _)| term.starts_with(prefix)) {
                self.slots(number).add_to(&mut all);
            }
        }
        all
    }

    pub fn bytes(&self) -> u64 {
        let postings = self.postings.iter().flat_map(|chunk| chunk.iter());
        // The term with its counts, its entry in the shard, its posting.
        postings.map(|posting| posting.term.len() as u64 + 16 + 24 + 16 + posting.slots.bytes()).sum()
    }
}
