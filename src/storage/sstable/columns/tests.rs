//! Blocks of random rows against a naive writer and reader of them, and every bit of some blocks turned over.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::storage::cells::Column;
use crate::storage::memtable::EntryRef;
use crate::storage::shape::{ELSEWHERE, Shape};

const PREFIX: u8 = 1;

/// A row as cells: `None` is NULL. Of a number more than [`NUMBER_BYTES`] go into the tail.
type Cells = Vec<Option<Vec<u8>>>;

/// A version of a slot; `None` deletes it.
type Entries = BTreeMap<(u32, std::cmp::Reverse<u64>), Option<Cells>>;

/// The naive writer of a row.
fn row_of(kinds: &[Kind], cells: &Cells) -> Vec<u8> {
    let kinds = &kinds[..cells.len()];
    let mut nulls = vec![0; cells.len().div_ceil(8)];
    let (mut fixed, mut var, mut tail) = (Vec::new(), Vec::new(), Vec::new());
    let var_bytes: usize = kinds
        .iter()
        .zip(cells)
        .filter(|(kind, _)| **kind == Kind::Var)
        .map(|(_, cell)| cell.as_ref().map_or(0, Vec::len))
        .sum();
    for (column, (kind, cell)) in kinds.iter().zip(cells).enumerate() {
        if cell.is_none() {
            nulls[column / 8] |= 1 << (column % 8);
        }
        match (kind, cell) {
            (Kind::Outside, _) => {}
            (Kind::Var, cell) => {
                var.extend_from_slice(cell.as_deref().unwrap_or_default());
                fixed.extend_from_slice(&(var.len() as u32).to_le_bytes());
            }
            (kind, None) => fixed.resize(fixed.len() + kind.fixed_bytes(), 0),
            (Kind::Number, Some(cell)) if cell.len() != NUMBER_BYTES => {
                let from = var_bytes + tail.len();
                fixed.extend_from_slice(&(from as u32).to_le_bytes());
                fixed.extend_from_slice(&((from + cell.len()) as u32).to_le_bytes());
                fixed.extend_from_slice(&[0; 8]);
                fixed.push(ELSEWHERE);
                tail.extend_from_slice(cell);
            }
            (_, Some(cell)) => fixed.extend_from_slice(cell),
        }
    }
    [&(cells.len() as u16).to_le_bytes()[..], &nulls, &fixed, &var, &tail].concat()
}

fn kind() -> impl Strategy<Value = Kind> {
    let width = prop_oneof![Just(1), Just(2), Just(4), Just(8), Just(6), Just(12), Just(16)];
    prop_oneof![Just(Kind::Outside), Just(Kind::Var), Just(Kind::Number), width.prop_map(Kind::Fixed)]
}

/// Cells of a kind; `spread` is how far its numbers are apart.
fn cell(kind: Kind, spread: u8) -> BoxedStrategy<Option<Vec<u8>>> {
    let some: BoxedStrategy<Vec<u8>> = match kind {
        Kind::Outside => Just(Vec::new()).boxed(),
        Kind::Var => prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..40)].boxed(),
        Kind::Fixed(width) => {
            let numbers = any::<i64>().prop_map(move |number| {
                let near = number >> (64 - u32::from(spread % 64).max(1)) as u64;
                let near = near.wrapping_add(-70_000).to_le_bytes();
                near.iter().copied().chain([7; 8]).take(width.into()).collect::<Vec<u8>>()
            });
            prop_oneof![4 => numbers, 1 => Just(vec![0; width.into()])].boxed()
        }
        Kind::Number => {
            let short = any::<u64>().prop_map(|number| {
                let mut cell = [0; NUMBER_BYTES];
                cell[..8].copy_from_slice(&number.to_le_bytes());
                cell[16] = (number % 39) as u8;
                cell.to_vec()
            });
            let long = prop::collection::vec(any::<u8>(), 0..50)
                .prop_filter("a length that a cell has", |bytes| bytes.len() != NUMBER_BYTES);
            prop_oneof![3 => short, 1 => long].boxed()
        }
    };
    prop_oneof![4 => some.prop_map(Some), 1 => Just(None)].boxed()
}

fn entries(kinds: Vec<Kind>, spreads: Vec<u8>) -> impl Strategy<Value = (Vec<Kind>, Entries)> {
    let row = kinds.iter().zip(&spreads).map(|(kind, spread)| cell(*kind, *spread)).collect::<Vec<_>>();
    let columns = kinds.len();
    let least = prop_oneof![3 => Just(columns), 1 => 0..=columns];
    let version = (row, least).prop_map(|(mut row, columns)| {
        row.truncate(columns);
        row
    });
    let value = prop_oneof![6 => version.prop_map(Some), 1 => Just(None)];
    let slots = prop_oneof![Just(10_u32), Just(1_000), Just(100_000), Just(u32::MAX)];
    let seqs = prop_oneof![Just(1_u64), Just(200), Just(70_000), Just(SEQ_MAX)];
    let seq_and_slot = (slots, seqs).prop_flat_map(move |(slot, seq)| {
        let near = (u32::MAX - slot.min(60))..=u32::MAX;
        let slot = prop_oneof![4 => 0..=slot, 1 => near];
        prop::collection::btree_map((slot, (0..=seq).prop_map(std::cmp::Reverse)), value.clone(), 1..60)
    });
    seq_and_slot.prop_map(move |entries| (kinds.clone(), entries))
}

fn block() -> impl Strategy<Value = (Vec<Kind>, Entries)> {
    let columns = prop::collection::vec((kind(), any::<u8>()), 0..12);
    columns.prop_flat_map(|columns| {
        let (kinds, spreads) = columns.into_iter().unzip();
        entries(kinds, spreads)
    })
}

/// Key, sequence number and value of an entry as it comes into a builder.
type Written = (Vec<u8>, u64, Option<Vec<u8>>);

fn written(kinds: &[Kind], entries: &Entries) -> Vec<Written> {
    let entry = |((slot, seq), cells): (&(u32, std::cmp::Reverse<u64>), &Option<Cells>)| {
        (key_of(PREFIX, *slot).to_vec(), seq.0, cells.as_ref().map(|cells| row_of(kinds, cells)))
    };
    entries.iter().map(entry).collect()
}

fn encoded(kinds: &[Kind], written: &[Written]) -> Option<Vec<u8>> {
    let refs =
        written.iter().map(|(key, seq, value)| EntryRef { key, seq: Seq(*seq), value: value.as_deref() });
    encode(refs, &Shape::new(PREFIX, kinds.to_vec()))
}

/// Runs `check` on blocks of all kinds.
fn with_blocks(cases: u32, check: impl Fn(&[Kind], &Entries) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    if let Err(error) = runner.run(&block(), |(kinds, entries)| check(&kinds, &entries)) {
        panic!("{error}");
    }
}

#[test]
fn every_entry_comes_back_as_it_was_written() {
    with_blocks(400, |kinds, entries| {
        let written = written(kinds, entries);
        let block = Columns::parse(encoded(kinds, &written).expect("rows").into());
        let block = block.map_err(TestCaseError::fail)?;
        prop_assert_eq!(block.count(), written.len());
        let as_entries = block.to_entries().map_err(TestCaseError::fail)?;
        for (index, (key, seq, value)) in written.iter().enumerate() {
            let entry = as_entries.entry_ref(index);
            prop_assert_eq!((entry.key, entry.seq.0, entry.value), (&key[..], *seq, value.as_deref()));
            prop_assert_eq!(block.is_deleted(index), value.is_none());
            if let Some(value) = value {
                prop_assert_eq!(&block.row(index)[..], &value[..]);
            }
        }
        let versions: usize =
            entries.keys().map(|(slot, _)| slot).collect::<std::collections::BTreeSet<_>>().len();
        let is_plain = versions == entries.len() && entries.values().all(Option::is_some);
        let newest = entries.keys().map(|(_, seq)| seq.0).max().unwrap_or(0);
        prop_assert_eq!(block.is_plain(Seq(newest)), is_plain);
        prop_assert!(newest == 0 || !block.is_plain(Seq(newest - 1)));
        // Any version of any key is where the same entries one by one have it.
        for (slot, seq) in entries.keys() {
            let whole = key_of(PREFIX, *slot);
            let beyond = [&whole[..], &[0]].concat();
            for key in [&whole[..], &whole[..4], &whole[..1], &beyond, &[], &[0, 9], &[2]] {
                for seq in [0, seq.0.saturating_sub(1), seq.0, seq.0 + 1, u64::MAX] {
                    prop_assert_eq!(block.seek(key, Seq(seq)), as_entries.seek(key, Seq(seq)), "{:?}", key);
                }
            }
            let expected = (0..written.len()).find(|at| written[*at].0 == whole && written[*at].1 <= seq.0);
            prop_assert_eq!(block.find(*slot, Seq(seq.0)), expected);
            let before = entries.keys().filter(|(other, _)| other < slot).count();
            prop_assert_eq!(block.before(*slot), before);
        }
        Ok(())
    });
}

#[test]
fn columns_are_gathered_as_cell_by_cell() {
    with_blocks(400, |kinds, entries| {
        let written = written(kinds, entries);
        let block = Columns::parse(encoded(kinds, &written).expect("rows").into());
        let block = block.map_err(TestCaseError::fail)?;
        let rows: Vec<&Option<Cells>> = entries.values().collect();
        for (column, kind) in kinds.iter().enumerate().take(block.columns()) {
            // Runs of all lengths, of entries that have the column.
            let has = |index: &usize| rows[*index].as_ref().is_some_and(|cells| column < cells.len());
            for step in [1, 3, rows.len()] {
                let mut gathered = Column::new(*kind, 0);
                let mut expected: Vec<Option<Vec<u8>>> = Vec::new();
                for first in (0..rows.len()).step_by(step) {
                    let run = first..rows.len().min(first + step);
                    if !run.clone().all(|index| has(&index)) {
                        continue;
                    }
                    for index in run.clone() {
                        let cell = rows[index].as_ref().and_then(|cells| cells[column].clone());
                        prop_assert_eq!(block.is_null(column, index), cell.is_none());
                        expected.push(cell);
                    }
                    gathered
                        .push_entries(&block, column, run)
                        .map_err(|e| TestCaseError::fail(e.to_string()))?;
                }
                let mut found = Vec::new();
                let taken = gathered.each(|cell| {
                    found.push(cell.map(<[u8]>::to_vec));
                    Ok(())
                });
                prop_assert!(taken.is_ok());
                prop_assert_eq!(&found, &expected, "column {} of {:?}", column, kind);
                // One by one they are the same.
                let mut pushed = Column::new(*kind, 0);
                for cell in &expected {
                    pushed.push(cell.as_deref()).map_err(|e| TestCaseError::fail(e.to_string()))?;
                }
                prop_assert_eq!(pushed.len(), gathered.len());
                for row in 0..pushed.len() {
                    prop_assert_eq!(pushed.is_null(row), gathered.is_null(row));
                }
            }
        }
        Ok(())
    });
}

/// Reads all there is of a block; whatever it is, nothing is outside of it.
fn read_all(block: &Columns) {
    let mut row = Vec::new();
    for index in 0..block.count().min(200) {
        row.clear();
        block.put_row(index, &mut row);
        block.find(block.slot(index), block.seq(index));
    }
    for column in 0..block.columns() {
        let kind = block.kind(column);
        let mut cells = Column::new(kind, 0);
        // A number may be nowhere, which is an error.
        let _ = cells.push_entries(block, column, 0..block.count().min(200));
        block.describe(column);
    }
    block.seek(&[PREFIX, 0, 0, 1], Seq(5));
    let _ = block.to_entries();
}

#[test]
fn no_damage_reaches_outside() {
    with_blocks(12, |kinds, entries| {
        let sound = encoded(kinds, &written(kinds, entries)).expect("rows");
        for end in 0..sound.len() {
            prop_assert!(Columns::parse(sound[..end].into()).is_err(), "cut at {}", end);
        }
        prop_assert!(Columns::parse([&sound[..], &[0]].concat().into()).is_err(), "with a byte more");
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(block) = Columns::parse(bytes.into()) {
                    read_all(&block);
                }
            }
        }
        Ok(())
    });
}

/// A few KiB that say they are rows of hundreds of GB.
#[test]
fn entries_without_a_byte_are_not_any_number() {
    let block = |count: u32, columns: u16| {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        bytes[4..6].copy_from_slice(&columns.to_le_bytes());
        bytes[6..8].copy_from_slice(&columns.to_le_bytes());
        let kind = Kind::Fixed(255);
        let place = Place { kind, coding: Coding::Nothing, width: 0, validity: 0, data: 0, end: 0 };
        (0..columns).for_each(|_| bytes.extend_from_slice(&place.encode()));
        Columns::parse(bytes.into())
    };
    for (count, columns) in [(1 << 20, 1_000), (1 << 20, 0), (u32::MAX, u16::MAX), (100, 1_000)] {
        let error = block(count, columns).err().expect("more than anybody writes");
        assert!(error.contains("one by one"), "{error}");
    }
    let sound = block(60, 1_000).expect("what a writer may make");
    assert_eq!(sound.to_entries().expect("entries").len(), 60);
}

/// What a writer makes of the most rows that a reader takes, and of one more.
#[test]
fn a_writer_makes_what_a_reader_takes() {
    let kinds = [Kind::Fixed(255); 255];
    let row = row_of(&kinds, &vec![None; kinds.len()]);
    let made = |count: u32| {
        let entries = (0..count).map(|slot| (key_of(PREFIX, slot).to_vec(), 1, Some(row.clone())));
        encoded(&kinds, &entries.collect::<Vec<_>>())
    };
    let most = (ENTRIES_BYTES_MAX / (ENTRY_BYTES + row.len())) as u32;
    let block = Columns::parse(made(most).expect("a block").into()).expect("what was written");
    assert_eq!(&block.row(most as usize - 1)[..], &row[..]);
    assert!(made(most + 1).is_none());
}

#[test]
fn a_few_numbers_lie_plain() {
    let kinds = [Kind::Fixed(2), Kind::Fixed(4)];
    let lies = |count: u32| {
        let row = |slot: u32| {
            let number = slot.to_le_bytes().to_vec();
            Some(row_of(&kinds, &vec![Some(number[..2].to_vec()), Some(number)]))
        };
        let entries = (0..count).map(|slot| (key_of(PREFIX, slot).to_vec(), 1, row(slot)));
        let block = encoded(&kinds, &entries.collect::<Vec<_>>()).expect("rows");
        let block = Columns::parse(block.into()).expect("what was written");
        [0, 1].map(|column| block.describe(column).contains("1 bytes above"))
    };
    assert_eq!(lies(2), [false, false]);
    assert_eq!(lies(3), [false, true]);
    assert_eq!(lies(8), [false, true]);
    assert_eq!(lies(9), [true, true]);
}

#[test]
fn what_is_no_row_stays_an_entry() {
    let kinds = [Kind::Fixed(4), Kind::Var, Kind::Number];
    let cells = vec![Some(vec![1, 2, 3, 4]), None, None];
    let sound = row_of(&kinds, &cells);
    let encoded = |key: &[u8], value: &[u8]| {
        let entry = EntryRef { key, seq: Seq(1), value: Some(value) };
        encode(std::iter::once(entry), &Shape::new(PREFIX, kinds.to_vec()))
    };
    let key = key_of(PREFIX, 7);
    assert!(encoded(&key, &sound).is_some());
    assert!(encoded(&key[..4], &sound).is_none(), "a key of another length");
    assert!(encoded(&key_of(2, 7), &sound).is_none(), "a key that begins otherwise");
    for end in 0..sound.len() {
        assert!(encoded(&key, &sound[..end]).is_none(), "{end} bytes");
    }
    // Bits that say nothing, a NULL that is not empty, an end before its begin, more columns than there are.
    for (at, byte) in [(2, 0x08 | 0x06), (3 + 4, 9), (3 + 8, 1), (0, 4)] {
        let mut other = sound.clone();
        other[at] = byte;
        assert!(encoded(&key, &other).is_none(), "{byte} at {at}");
    }
}

/// A block whose checksum is right and whose bytes are not names its file and where it lies.
#[test]
fn a_malformed_block_names_its_place() {
    use crate::error::SqlState;
    use crate::fs::{Fs, MemoryFs, OpenMode};
    use crate::log::StorageId;
    use crate::storage::sstable::footer::TableName;
    use crate::storage::sstable::frame::{self, Handle, Kind as BlockKind};
    use crate::storage::sstable::reader::read_data;

    let kinds = [Kind::Fixed(4), Kind::Var];
    let cells: Cells = vec![Some(vec![1, 2, 3, 4]), Some(b"text".to_vec())];
    let row = row_of(&kinds, &cells);
    let entries = [7, 9].map(|slot| (key_of(PREFIX, slot).to_vec(), 1, Some(row.clone())));
    let sound = encoded(&kinds, &entries).expect("rows");
    let fs = MemoryFs::new();
    let file = fs.open(std::path::Path::new("1.sst"), OpenMode::Create).expect("a new file");
    let name = TableName { storage: StorageId(3), number: 1 };
    let mut refused = 0;
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x81;
        let mut frame = vec![0; 40];
        let len = frame::encode(name, 40, BlockKind::Columns, &bytes, None, &mut frame);
        file.write_all_at(&frame, 0).expect("a write");
        match read_data(&*file, name, Handle { offset: 40, len }) {
            // A cell, a slot or a number of another value, or a first byte of all keys.
            Ok(_) => {}
            Err(error) => {
                refused += 1;
                assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
                let text = error.message().to_owned();
                for part in ["1.sst", "40", "a block of columns"] {
                    assert!(text.contains(part), "byte {at}: {text}");
                }
            }
        }
    }
    assert!(refused > HEADER_BYTES, "{refused} of {} bytes", sound.len());
}
