//! A decoded block: entries back to back, then a directory that makes any of them reachable at once.
//!
//! ```text
//!   key 0, value 0, key 1, value 1, ...  | directory: 16 bytes per entry              | count u32
//!                                        |   key offset u32, value offset u32,        |
//!                                        |   seq u64 (top bit: deleted, no value)     |
//! ```
//!
//! Keys are whole, not cut by what they share with their neighbours: a search then compares in place, keys
//! and values are handed out without copying, and deflate takes out on disk what neighbours have in common.
//! The index is such a block too: last key of a data block -> its place.
//!
//! In memory a block also has its keys' heads: the four bytes after what all its keys share. A search runs
//! over that small array and then compares the few keys whose head is the one looked for, mostly one.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::codec::{put_u32, put_u64};
use crate::log::Seq;
use crate::storage::memtable::{Entry, EntryRef};
use crate::storage::slice::Slice;

/// The top bit of a sequence number says "deleted" on disk.
pub const SEQ_MAX: u64 = (1 << 63) - 1;

const DELETED: u64 = 1 << 63;
pub const DIRECTORY_ENTRY: usize = 16;

/// Entries in one shared buffer. Cheap to clone.
#[derive(Clone)]
pub struct Block {
    data: Arc<[u8]>,
    directory: usize,
    /// One per entry.
    heads: Arc<[u32]>,
    /// How many bytes all keys share.
    shared: usize,
}

impl Block {
    /// Checks every offset once, so that nothing after this can reach outside. The error says what is wrong.
    pub fn parse(data: Arc<[u8]>) -> Result<Block, String> {
        let Some(count_at) = data.len().checked_sub(4) else {
            return Err(format!("a block of {} bytes", data.len()));
        };
        let count = u32::from_le_bytes(data[count_at..].try_into().expect("four bytes")) as usize;
        let Some(directory) = count.checked_mul(DIRECTORY_ENTRY).and_then(|len| count_at.checked_sub(len))
        else {
            return Err(format!("{count} entries in a block of {} bytes", data.len()));
        };
        let mut block = Block { data, directory, heads: Arc::new([]), shared: 0 };
        let mut end = 0;
        for index in 0..count {
            let Place { key, value, word } = block.place(index);
            let next = if index + 1 < count { block.place(index + 1).key } else { directory };
            let in_order = key == end && key <= value && value <= next && next <= directory;
            if !in_order || (word & DELETED != 0 && value != next) {
                return Err(format!("entry {index} at {key}, {value}, {next}"));
            }
            end = next;
        }
        if count > 0 {
            let (first, last) = (block.place(0), block.place(count - 1));
            let last = &block.data[last.key..last.value];
            block.shared = shared_bytes(&block.data[first.key..first.value], last);
        }
        let keys =
            (0..count).map(|index| block.place(index)).map(|place| &block.data[place.key..place.value]);
        // Keys that are out of order, which only a defect could bring about, may be shorter than what the
        // outer ones share.
        block.heads = keys.map(|key| head(key.get(block.shared..).unwrap_or_default())).collect();
        Ok(block)
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.data.len() + 4 * self.heads.len()
    }

    pub fn key(&self, index: usize) -> &[u8] {
        let place = self.place(index);
        &self.data[place.key..place.value]
    }

    pub fn value(&self, index: usize) -> &[u8] {
        &self.data[self.place(index).value..self.end(index)]
    }

    pub fn seq(&self, index: usize) -> Seq {
        Seq(self.place(index).word & SEQ_MAX)
    }

    #[inline]
    pub fn entry_ref(&self, index: usize) -> EntryRef<'_> {
        let Place { key, value, word } = self.place(index);
        EntryRef {
            key: &self.data[key..value],
            seq: Seq(word & SEQ_MAX),
            value: (word & DELETED == 0).then(|| &self.data[value..self.end(index)]),
        }
    }

    pub fn entry(&self, index: usize) -> Entry {
        let Place { key, value, word } = self.place(index);
        Entry {
            key: Slice::new(self.data.clone(), key, value),
            seq: Seq(word & SEQ_MAX),
            value: (word & DELETED == 0).then(|| Slice::new(self.data.clone(), value, self.end(index))),
        }
    }

    /// The value of an entry, as in [`Entry::value`].
    pub fn value_slice(&self, index: usize) -> Option<Slice> {
        let Place { value, word, .. } = self.place(index);
        (word & DELETED == 0).then(|| Slice::new(self.data.clone(), value, self.end(index)))
    }

    /// The first entry at or after version `seq` of `key`; [`Block::len`] when all are before.
    pub fn seek(&self, key: &[u8], seq: Seq) -> usize {
        if self.len() == 0 {
            return 0;
        }
        let first = self.place(0);
        let shared = &self.data[first.key..first.key + self.shared];
        let begin = &key[..key.len().min(self.shared)];
        match begin.cmp(shared) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => {}
        }
        let wanted = head(&key[self.shared..]);
        let low = self.heads.partition_point(|head| *head < wanted);
        let alike = self.heads[low..].partition_point(|head| *head == wanted);
        let (mut low, mut high) = (low, low + alike);
        while low < high {
            let middle = low + (high - low) / 2;
            let place = self.place(middle);
            let order =
                self.data[place.key..place.value].cmp(key).then_with(|| seq.0.cmp(&(place.word & SEQ_MAX)));
            if order == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[inline]
    fn place(&self, index: usize) -> Place {
        place_at(&self.data, self.directory + index * DIRECTORY_ENTRY)
    }

    #[inline]
    fn end(&self, index: usize) -> usize {
        if index + 1 < self.len() { self.place(index + 1).key } else { self.directory }
    }
}

fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The first four bytes, so that the order of two different heads is the order of what they begin.
fn head(bytes: &[u8]) -> u32 {
    let mut head = [0; 4];
    let len = bytes.len().min(4);
    head[..len].copy_from_slice(&bytes[..len]);
    u32::from_be_bytes(head)
}

/// An entry of a directory.
#[inline]
fn place_at(bytes: &[u8], at: usize) -> Place {
    let bytes = &bytes[at..at + DIRECTORY_ENTRY];
    Place {
        key: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize,
        value: u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")) as usize,
        word: u64::from_le_bytes(bytes[8..].try_into().expect("eight bytes")),
    }
}

struct Place {
    key: usize,
    value: usize,
    word: u64,
}

/// Collects the entries of one block.
#[derive(Default)]
pub struct BlockBuilder {
    data: Vec<u8>,
    directory: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    pub fn add(&mut self, key: &[u8], seq: Seq, value: Option<&[u8]>) {
        self.begin(key, seq.0 | if value.is_none() { DELETED } else { 0 });
        self.data.extend_from_slice(value.unwrap_or_default());
    }

    /// [`BlockBuilder::add`] of a value that is appended in its place.
    pub fn add_with(&mut self, key: &[u8], seq: Seq, put_value: impl FnOnce(&mut Vec<u8>)) {
        self.begin(key, seq.0);
        put_value(&mut self.data);
    }

    fn begin(&mut self, key: &[u8], word: u64) {
        put_u32(&mut self.directory, self.data.len() as u32);
        self.data.extend_from_slice(key);
        put_u32(&mut self.directory, self.data.len() as u32);
        put_u64(&mut self.directory, word);
        self.count += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The entries so far.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        (0..self.count as usize).map(|index| {
            let Place { key, value, word } = place_at(&self.directory, index * DIRECTORY_ENTRY);
            let next = self.directory.get((index + 1) * DIRECTORY_ENTRY..);
            let end = match next {
                Some(next) if !next.is_empty() => place_at(next, 0).key,
                _ => self.data.len(),
            };
            EntryRef {
                key: &self.data[key..value],
                seq: Seq(word & SEQ_MAX),
                value: (word & DELETED == 0).then(|| &self.data[value..end]),
            }
        })
    }

    /// The builder is empty again; it keeps its memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.directory.clear();
        self.count = 0;
    }

    /// Size of the block as it stands, in bytes.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.directory.len() + 4
    }

    /// The block's bytes; the builder is empty again.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut data = std::mem::take(&mut self.data);
        data.append(&mut self.directory);
        put_u32(&mut data, self.count);
        self.count = 0;
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        builder.add(b"a", Seq(9), None);
        builder.add(b"a", Seq(4), Some(b"four"));
        builder.add(b"c", Seq(7), Some(b""));
        builder.finish()
    }

    #[test]
    fn seek_finds_versions() {
        let block = Block::parse(sample().into()).unwrap();
        assert_eq!(block.seek(b"", Seq(u64::MAX)), 0);
        assert_eq!(block.seek(b"a", Seq(u64::MAX)), 0);
        assert_eq!(block.seek(b"a", Seq(8)), 1);
        assert_eq!(block.seek(b"a", Seq(3)), 2);
        assert_eq!(block.seek(b"c", Seq(6)), 3);
        assert!(block.entry(0).value.is_none());
        assert_eq!(&block.entry(1).value.unwrap()[..], b"four");
        assert_eq!(block.value(2), b"");
    }

    /// Every key of up to twenty letters from a few, so that keys share beginnings and heads, with versions.
    #[test]
    fn seek_is_the_first_that_is_not_before() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let key = || proptest::collection::vec(0_u8..3, 0..20);
        let entries = proptest::collection::btree_set((key(), 0_u64..4), 0..40);
        let case = (key(), entries, key(), 0_u64..5);
        let result = runner.run(&case, |(begin, entries, wanted, seq)| {
            let mut entries: Vec<(Vec<u8>, u64)> =
                entries.into_iter().map(|(key, seq)| ([&begin[..], &key].concat(), seq)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
            let mut builder = BlockBuilder::default();
            for (key, seq) in &entries {
                builder.add(key, Seq(*seq), Some(b"value"));
            }
            let block = Block::parse(builder.finish().into()).expect("a sound block");
            for wanted in [&wanted[..], &[&begin[..], &wanted].concat()] {
                let before = |(key, version): &&(Vec<u8>, u64)| {
                    key[..] < *wanted || key[..] == *wanted && *version > seq
                };
                let expected = entries.iter().take_while(before).count();
                proptest::prop_assert_eq!(block.seek(wanted, Seq(seq)), expected);
            }
            Ok(())
        });
        result.unwrap();
    }

    #[test]
    fn no_damage_reaches_outside() {
        let sound = sample();
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                let Ok(block) = Block::parse(bytes.into()) else { continue };
                for index in 0..block.len() {
                    let entry = block.entry(index);
                    assert!(entry.key.len() + entry.value.map_or(0, |value| value.len()) <= sound.len());
                }
                block.seek(b"b", Seq(5));
            }
        }
    }
}
