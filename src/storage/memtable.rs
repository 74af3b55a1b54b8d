//! What was written last, in memory: a lock-free skip list by key, newest version first.
//!
//! ```text
//!   (key, seq)   a@9  a@4  b@9 (deleted)  c@7      get(a, 5): the first entry at or after (a, 5) is a@4
//! ```
//!
//! An entry is one allocation, key and value behind one another, which readers share. The first eight bytes
//! of the key stand beside the pointer, so that most comparisons touch no other cache line.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crossbeam_skiplist::SkipSet;

use super::slice::Slice;
use crate::log::Seq;

/// Bytes an entry costs beside key and value: the list's node (towers average 1.33 links), the counts, the
/// allocator.
const ENTRY_OVERHEAD: usize = 96;

/// One version of a key.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Slice,
    pub seq: Seq,
    /// `None`: the key was deleted.
    pub value: Option<Slice>,
}

/// An [`Entry`] where it lies.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    pub key: &'a [u8],
    pub seq: Seq,
    pub value: Option<&'a [u8]>,
}

impl Entry {
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { key: &self.key, seq: self.seq, value: self.value.as_deref() }
    }
}

pub struct Memtable {
    entries: SkipSet<Stored>,
    bytes: AtomicUsize,
    seq_min: AtomicU64,
    seq_max: AtomicU64,
}

impl Memtable {
    pub fn new() -> Memtable {
        Memtable {
            entries: SkipSet::new(),
            bytes: AtomicUsize::new(0),
            seq_min: AtomicU64::new(u64::MAX),
            seq_max: AtomicU64::new(0),
        }
    }

    /// Of two writes of one key under one `seq` the later stays.
    pub fn insert(&self, seq: Seq, key: &[u8], value: Option<&[u8]>) {
        let stored = Stored::new(seq, key, value);
        self.bytes.fetch_add(stored.data.len() + ENTRY_OVERHEAD, Relaxed);
        self.seq_min.fetch_min(seq.0, Relaxed);
        self.seq_max.fetch_max(seq.0, Relaxed);
        self.entries.insert(stored);
    }

    /// The newest version of `key` at or before `snapshot`.
    pub fn get(&self, key: &[u8], snapshot: Seq) -> Option<Entry> {
        if self.is_empty() {
            return None;
        }
        let found = self.entries.lower_bound(Bound::Included(&Probe::new(key, snapshot) as &dyn Version))?;
        let stored = found.value();
        (stored.key() == key).then(|| stored.entry())
    }

    /// Up to `count` entries from `from` on, in order. `from` names a version: `Excluded((key, 0))` is past
    /// all of `key`.
    pub fn read_from(&self, from: Bound<(&[u8], Seq)>, count: usize, into: &mut Vec<Entry>) {
        let probe;
        let bound: Bound<&dyn Version> = match from {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included((key, seq)) => {
                probe = Probe::new(key, seq);
                Bound::Included(&probe)
            }
            Bound::Excluded((key, seq)) => {
                probe = Probe::new(key, seq);
                Bound::Excluded(&probe)
            }
        };
        let mut next = self.entries.lower_bound(bound);
        for _ in 0..count {
            let Some(found) = next else { return };
            into.push(found.value().entry());
            next = found.next();
        }
    }

    /// The greatest key with this first byte.
    pub fn last_key_with(&self, first_byte: u8) -> Option<Slice> {
        let next = first_byte.checked_add(1).map(|byte| [byte]);
        let probe;
        let bound: Bound<&dyn Version> = match &next {
            Some(next) => {
                probe = Probe::new(next, Seq(u64::MAX));
                Bound::Excluded(&probe)
            }
            None => Bound::Unbounded,
        };
        let last = self.entries.upper_bound(bound)?.value().entry().key;
        (last.first() == Some(&first_byte)).then_some(last)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Memory in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

/// An entry as it lies in the list.
struct Stored {
    prefix: u64,
    seq: u64,
    key_len: u32,
    deleted: bool,
    data: Arc<[u8]>,
}

impl Stored {
    fn new(seq: Seq, key: &[u8], value: Option<&[u8]>) -> Stored {
        let value_bytes = value.unwrap_or_default();
        let mut data: Arc<[u8]> = std::iter::repeat_n(0, key.len() + value_bytes.len()).collect();
        let bytes = Arc::get_mut(&mut data).expect("nobody else has the new allocation yet");
        bytes[..key.len()].copy_from_slice(key);
        bytes[key.len()..].copy_from_slice(value_bytes);
        Stored { prefix: prefix(key), seq: seq.0, key_len: key.len() as u32, deleted: value.is_none(), data }
    }

    fn entry(&self) -> Entry {
        let key_len = self.key_len as usize;
        Entry {
            key: Slice::new(self.data.clone(), 0, key_len),
            seq: Seq(self.seq),
            value: (!self.deleted).then(|| Slice::new(self.data.clone(), key_len, self.data.len())),
        }
    }
}

/// What the list is ordered by: key, then sequence number, descending. Stored entries and probes both have
/// it.
trait Version {
    fn prefix(&self) -> u64;
    fn key(&self) -> &[u8];
    fn seq(&self) -> u64;
}

/// A version to look for.
struct Probe<'a> {
    prefix: u64,
    seq: u64,
    key: &'a [u8],
}

impl<'a> Probe<'a> {
    fn new(key: &'a [u8], seq: Seq) -> Probe<'a> {
        Probe { prefix: prefix(key), seq: seq.0, key }
    }
}

/// The first eight bytes, so that the order of two different prefixes is the order of their keys.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

fn compare<A: Version + ?Sized, B: Version + ?Sized>(a: &A, b: &B) -> Ordering {
    a.prefix().cmp(&b.prefix()).then_with(|| a.key().cmp(b.key())).then_with(|| b.seq().cmp(&a.seq()))
}

impl Version for Stored {
    #[inline]
    fn prefix(&self) -> u64 {
        self.prefix
    }
    #[inline]
    fn key(&self) -> &[u8] {
        &self.data[..self.key_len as usize]
    }
    #[inline]
    fn seq(&self) -> u64 {
        self.seq
    }
}

impl Version for Probe<'_> {
    #[inline]
    fn prefix(&self) -> u64 {
        self.prefix
    }
    #[inline]
    fn key(&self) -> &[u8] {
        self.key
    }
    #[inline]
    fn seq(&self) -> u64 {
        self.seq
    }
}

impl<'a> Borrow<dyn Version + 'a> for Stored {
    fn borrow(&self) -> &(dyn Version + 'a) {
        self
    }
}

impl PartialEq for dyn Version + '_ {
    fn eq(&self, other: &Self) -> bool {
        compare(self, other).is_eq()
    }
}
impl Eq for dyn Version + '_ {}
impl PartialOrd for dyn Version + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for dyn Version + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Stored) -> bool {
        compare(self, other).is_eq()
    }
}
impl Eq for Stored {}
impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Stored) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Stored {
    fn cmp(&self, other: &Stored) -> Ordering {
        compare(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(entry: Option<Entry>) -> Option<Vec<u8>> {
        entry.and_then(|entry| entry.value).map(|value| value.to_vec())
    }

    #[test]
    fn the_newest_visible_version_is_found() {
        let memtable = Memtable::new();
        memtable.insert(Seq(4), b"a", Some(b"old"));
        memtable.insert(Seq(9), b"a", Some(b"new"));
        memtable.insert(Seq(9), b"b", None);
        assert_eq!(value(memtable.get(b"a", Seq(3))), None);
        assert_eq!(value(memtable.get(b"a", Seq(8))), Some(b"old".to_vec()));
        assert_eq!(value(memtable.get(b"a", Seq(9))), Some(b"new".to_vec()));
        assert!(memtable.get(b"b", Seq(9)).is_some_and(|entry| entry.value.is_none()));
        assert!(memtable.get(b"c", Seq(9)).is_none());
    }

    #[test]
    fn keys_order_as_bytes_even_when_their_prefixes_agree() {
        let memtable = Memtable::new();
        let keys: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"abcdefgh", b"abcdefgh\0", b"abcdefghi"];
        for key in keys.iter().rev() {
            memtable.insert(Seq(1), key, Some(b""));
        }
        let mut entries = Vec::new();
        memtable.read_from(Bound::Unbounded, 100, &mut entries);
        assert_eq!(entries.iter().map(|entry| &entry.key[..]).collect::<Vec<_>>(), keys);
    }

    #[test]
    fn the_later_write_under_one_sequence_number_stays() {
        let memtable = Memtable::new();
        memtable.insert(Seq(1), b"a", Some(b"first"));
        memtable.insert(Seq(1), b"a", None);
        assert!(memtable.get(b"a", Seq(1)).is_some_and(|entry| entry.value.is_none()));
    }
}
