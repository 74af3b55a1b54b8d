//! What a log record says, and its bytes.
//!
//! ```text
//! record   kind u8, then
//!   1 Data       txn, storage: varints; changes: the rest
//!   2 Commit     txn
//!   3 Abort      txn
//!   4 Free       storage, count, count slots: varints
//!   5 Catalog    txn; edits: the rest
//!   6 Sequence   id: varint; value: i64
//!   7 Commit     txn; time: i64                 since format 2; microseconds since 1970
//!
//! change   kind u8, slot varint, then
//!   1 Insert     row; vectors: count, each 0 for NULL or its length + 1 and its bytes; keys: count, each as bytes
//!   2 Update     row; keys removed; keys added
//!   3 Delete     keys
//!   4 Fill       place varint; vector: 0 for NULL or its length + 1 and its bytes
//! ```
//!
//! Numbers are varints unless stated, and byte strings carry their length. What is decoded borrows from the record.

use super::{StorageId, TxnId};
use crate::clock::Timestamp;
use crate::codec::{Reader, put_bytes, put_i64, put_varint};
use crate::error::Result;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A piece of what a transaction does to one table; `changes` is a list made by [`Change::encode`].
    Data { txn: TxnId, storage: StorageId, changes: &'a [u8] },
    /// The transaction's records count, as of this position. `time` is what the clock said, never less than in a commit
    /// before; records of format 1 have none. Nothing but a restore to a point in time asks for it.
    Commit { txn: TxnId, time: Option<Timestamp> },
    /// The transaction's records never count.
    Abort { txn: TxnId },
    /// Slots that new rows may take.
    Free { storage: StorageId, slots: Vec<u32> },
    /// A piece of what a transaction does to the catalogue.
    Catalog { txn: TxnId, edits: &'a [u8] },
    /// A sequence may have given out values up to `value`.
    Sequence { id: u64, value: i64 },
}

const DATA: u8 = 1;
const COMMIT: u8 = 2;
const ABORT: u8 = 3;
const FREE: u8 = 4;
const CATALOG: u8 = 5;
const SEQUENCE: u8 = 6;
const TIMED_COMMIT: u8 = 7;

impl<'a> Record<'a> {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Data { txn, storage, changes } => {
                out.push(DATA);
                put_varint(out, txn.0);
                put_varint(out, storage.0);
                out.extend_from_slice(changes);
            }
            Record::Commit { txn, time: None } => {
                out.push(COMMIT);
                put_varint(out, txn.0);
            }
            Record::Commit { txn, time: Some(time) } => {
                out.push(TIMED_COMMIT);
                put_varint(out, txn.0);
                put_i64(out, time.0);
            }
            Record::Abort { txn } => {
                out.push(ABORT);
                put_varint(out, txn.0);
            }
            Record::Free { storage, slots } => {
                out.push(FREE);
                put_varint(out, storage.0);
                put_varint(out, slots.len() as u64);
                slots.iter().for_each(|slot| put_varint(out, u64::from(*slot)));
            }
            Record::Catalog { txn, edits } => {
                out.push(CATALOG);
                put_varint(out, txn.0);
                out.extend_from_slice(edits);
            }
            Record::Sequence { id, value } => {
                out.push(SEQUENCE);
                put_varint(out, *id);
                put_i64(out, *value);
            }
        }
    }

    /// All of `reader` is one record.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Record<'a>> {
        let start = reader.clone();
        let record = match reader.u8()? {
            DATA => Record::Data {
                txn: TxnId(reader.varint()?),
                storage: StorageId(reader.varint()?),
                changes: reader.rest(),
            },
            COMMIT => Record::Commit { txn: TxnId(reader.varint()?), time: None },
            TIMED_COMMIT => {
                Record::Commit { txn: TxnId(reader.varint()?), time: Some(Timestamp(reader.i64()?)) }
            }
            ABORT => Record::Abort { txn: TxnId(reader.varint()?) },
            FREE => {
                let storage = StorageId(reader.varint()?);
                Record::Free { storage, slots: list(reader, |reader| reader.varint_u32())? }
            }
            CATALOG => Record::Catalog { txn: TxnId(reader.varint()?), edits: reader.rest() },
            SEQUENCE => Record::Sequence { id: reader.varint()?, value: reader.i64()? },
            kind => return Err(start.corrupt("a log record's kind", kind)),
        };
        reader.finish()?;
        Ok(record)
    }

    /// About how many bytes [`Record::encode`] will append; never less.
    pub(super) fn size_hint(&self) -> usize {
        /// Kind, two varints, a fixed number.
        const SMALL: usize = 1 + 10 + 10 + 8;
        SMALL
            + match self {
                Record::Data { changes: bytes, .. } | Record::Catalog { edits: bytes, .. } => bytes.len(),
                Record::Free { slots, .. } => slots.len() * 5,
                Record::Commit { .. } | Record::Abort { .. } | Record::Sequence { .. } => 0,
            }
    }
}

/// What happens to one slot of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// A row is born. `vectors` has an entry per fixed-width vector column, raw little-endian f32; `keys` go to the
    /// tree as they are.
    Insert {
        slot: u32,
        row: &'a [u8],
        vectors: Vec<Option<&'a [u8]>>,
        keys: Vec<&'a [u8]>,
    },
    /// The row gets other values; its vectors stay.
    Update {
        slot: u32,
        row: &'a [u8],
        keys_removed: Vec<&'a [u8]>,
        keys_added: Vec<&'a [u8]>,
    },
    Delete {
        slot: u32,
        keys: Vec<&'a [u8]>,
    },
    /// A column that the table got in this transaction has this vector in the slot, whose row stays as it is. `place`
    /// counts like the entries of `vectors`.
    Fill {
        slot: u32,
        place: u32,
        vector: Option<&'a [u8]>,
    },
}

const INSERT: u8 = 1;
const UPDATE: u8 = 2;
const DELETE: u8 = 3;
const FILL: u8 = 4;

impl<'a> Change<'a> {
    pub fn slot(&self) -> u32 {
        match self {
            Change::Insert { slot, .. }
            | Change::Update { slot, .. }
            | Change::Delete { slot, .. }
            | Change::Fill { slot, .. } => *slot,
        }
    }

    /// Appends the change to a list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Change::Insert { slot, row, vectors, keys } => {
                out.push(INSERT);
                put_varint(out, u64::from(*slot));
                put_bytes(out, row);
                put_vectors(out, vectors);
                put_list(out, keys);
            }
            Change::Update { slot, row, keys_removed, keys_added } => {
                out.push(UPDATE);
                put_varint(out, u64::from(*slot));
                put_bytes(out, row);
                put_list(out, keys_removed);
                put_list(out, keys_added);
            }
            Change::Delete { slot, keys } => {
                out.push(DELETE);
                put_varint(out, u64::from(*slot));
                put_list(out, keys);
            }
            Change::Fill { slot, place, vector } => {
                out.push(FILL);
                put_varint(out, u64::from(*slot));
                put_varint(out, u64::from(*place));
                put_vector(out, *vector);
            }
        }
    }

    /// Takes the next change of a list.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Change<'a>> {
        let start = reader.clone();
        let (kind, slot) = (reader.u8()?, reader.varint_u32()?);
        Ok(match kind {
            INSERT => Change::Insert {
                slot,
                row: reader.bytes()?,
                vectors: list(reader, vector)?,
                keys: list(reader, |reader| reader.bytes())?,
            },
            UPDATE => Change::Update {
                slot,
                row: reader.bytes()?,
                keys_removed: list(reader, |reader| reader.bytes())?,
                keys_added: list(reader, |reader| reader.bytes())?,
            },
            DELETE => Change::Delete { slot, keys: list(reader, |reader| reader.bytes())? },
            FILL => Change::Fill { slot, place: reader.varint_u32()?, vector: vector(reader)? },
            kind => return Err(start.corrupt("a change's kind", kind)),
        })
    }
}

/// The changes of a [`Record::Data`], in order. After an error it ends.
pub struct Changes<'a>(Reader<'a>);

impl<'a> Changes<'a> {
    pub fn new(list: &'a [u8]) -> Changes<'a> {
        Changes(Reader::new(list))
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>>;

    fn next(&mut self) -> Option<Result<Change<'a>>> {
        if self.0.is_empty() {
            return None;
        }
        let change = Change::decode(&mut self.0);
        if change.is_err() {
            self.0.rest();
        }
        Some(change)
    }
}

fn put_list(out: &mut Vec<u8>, items: &[&[u8]]) {
    put_varint(out, items.len() as u64);
    items.iter().for_each(|item| put_bytes(out, item));
}

fn put_vectors(out: &mut Vec<u8>, vectors: &[Option<&[u8]>]) {
    put_varint(out, vectors.len() as u64);
    vectors.iter().for_each(|vector| put_vector(out, *vector));
}

fn put_vector(out: &mut Vec<u8>, vector: Option<&[u8]>) {
    match vector {
        None => put_varint(out, 0),
        Some(bytes) => {
            put_varint(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

fn vector<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>> {
    match reader.varint()? {
        0 => Ok(None),
        len => reader.take(usize::try_from(len - 1).unwrap_or(usize::MAX)).map(Some),
    }
}

/// A count and as many items. Every item takes a byte at least, so no more room is made than there are bytes.
fn list<'a, T>(reader: &mut Reader<'a>, item: impl Fn(&mut Reader<'a>) -> Result<T>) -> Result<Vec<T>> {
    let count = reader.varint()?;
    if count > reader.remaining() as u64 {
        return Err(
            reader.corrupt(format_args!("a list of {count}"), format_args!("{} bytes", reader.remaining()))
        );
    }
    let mut items = Vec::with_capacity(count as usize);
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_come_back() {
        let records = [
            Record::Data { txn: TxnId(300), storage: StorageId(7), changes: b"abc" },
            Record::Commit { txn: TxnId(u64::MAX), time: None },
            Record::Commit { txn: TxnId(5), time: Some(Timestamp(-1)) },
            Record::Abort { txn: TxnId(0) },
            Record::Free { storage: StorageId(1), slots: vec![0, 5, u32::MAX] },
            Record::Catalog { txn: TxnId(1), edits: b"" },
            Record::Sequence { id: 16384, value: i64::MIN },
        ];
        for record in records {
            let mut out = Vec::new();
            record.encode(&mut out);
            assert!(out.len() <= record.size_hint());
            assert_eq!(Record::decode(&mut Reader::new(&out)).unwrap(), record);
            if !matches!(record, Record::Data { .. } | Record::Catalog { .. }) {
                out.push(0);
                assert!(Record::decode(&mut Reader::new(&out)).is_err(), "{record:?}");
            }
        }
        assert!(Record::decode(&mut Reader::new(&[9, 0])).is_err());
    }

    proptest! {
        #[test]
        fn changes_come_back(
            slot: u32,
            row in vec(any::<u8>(), 0..20),
            vectors in vec(option::of(vec(any::<u8>(), 0..9)), 0..3),
            keys in vec(vec(any::<u8>(), 0..9), 0..4),
        ) {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let vectors = vectors.iter().map(Option::as_deref).collect();
            let changes = [
                Change::Insert { slot, row: &row, vectors, keys: keys.clone() },
                Change::Update { slot, row: &row, keys_removed: keys.clone(), keys_added: vec![&row] },
                Change::Delete { slot, keys },
                Change::Fill { slot, place: 3, vector: Some(&row) },
            ];
            let mut out = Vec::new();
            changes.iter().for_each(|change| change.encode(&mut out));
            let decoded: Result<Vec<Change>> = Changes::new(&out).collect();
            prop_assert_eq!(&decoded.unwrap(), &changes);
            for cut in 0..out.len() {
                let count = Changes::new(&out[..cut]).filter(|change| change.is_ok()).count();
                prop_assert!(count < 4);
            }
        }

        #[test]
        fn garbage_is_an_error_or_a_record(bytes in vec(any::<u8>(), 0..40)) {
            let _ = Record::decode(&mut Reader::new(&bytes));
            Changes::new(&bytes).for_each(drop);
        }
    }
}
