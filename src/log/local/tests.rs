//! The log through crashes, failures and full disks: what was synced is there, what is there is a prefix, and damage is told
//! from what a crash leaves.

use std::io::ErrorKind;

use super::*;
use crate::fs::faulty::{Fault, Faults, Op, What};
use crate::fs::{FaultyFs, MemoryFs, unpaced};
use crate::log::TxnId;

const DIR: &str = "/log";
const SMALL: u64 = 16384;

fn open(fs: &MemoryFs) -> Result<LocalLog> {
    LocalLog::open(Arc::new(fs.clone()), Path::new(DIR), SMALL)
}

/// A transaction number and as many bytes as it says: a record that checks itself.
fn content(number: u64) -> Vec<u8> {
    let len = [3, 40, 700, 5000][number as usize % 4];
    (0..len).map(|i| (number * 7 + i) as u8).collect()
}

fn append(log: &LocalLog, numbers: std::ops::Range<u64>) -> Result<Vec<Position>> {
    let contents: Vec<Vec<u8>> = numbers.clone().map(content).collect();
    let record = |(number, edits)| Record::Catalog { txn: TxnId(number), edits };
    let records: Vec<Record> = numbers.zip(contents.iter().map(Vec::as_slice)).map(record).collect();
    log.append(&records)
}

fn numbers(log: &LocalLog, from: Position) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    log.replay(from, &mut |_, record| {
        let Record::Catalog { txn, edits } = record else { panic!("{record:?}") };
        assert_eq!(edits, content(txn.0));
        numbers.push(txn.0);
        Ok(())
    })?;
    Ok(numbers)
}

fn count_to(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn records_come_back_across_segments_and_reopening() {
    let fs = MemoryFs::new();
    let mut positions = Vec::new();
    for round in 0..5 {
        let log = open(&fs).unwrap();
        for number in round * 10..round * 10 + 10 {
            positions.extend(append(&log, number..number + 1).unwrap());
        }
        assert_eq!(log.sync().unwrap(), log.end());
    }
    let log = open(&fs).unwrap();
    assert_eq!(positions[0], FIRST);
    assert!(log.state.lock().segments.len() > 3);
    for (number, position) in positions.iter().enumerate() {
        assert_eq!(numbers(&log, *position).unwrap(), count_to(50)[number..]);
    }
    assert!(numbers(&log, log.end()).unwrap().is_empty());
    assert!(numbers(&log, Position(log.end().0 + 8)).is_err());
    assert!(numbers(&log, Position(positions[3].0 + 8)).is_err(), "not a record's position");
    let large = Record::Catalog { txn: TxnId(0), edits: &[7; 3 * SMALL as usize] };
    log.append(&[large]).unwrap();
    append(&log, 50..51).unwrap();
    log.sync().unwrap();
    open(&fs).unwrap();
}

#[test]
fn old_segments_are_used_again() {
    let fs = MemoryFs::new();
    let (counted, faults) = FaultyFs::new(fs.clone());
    let log = LocalLog::open(counted, Path::new(DIR), SMALL).unwrap();
    let mut kept = Position(0);
    for number in 0..400 {
        kept = append(&log, number..number + 1).unwrap()[0];
        if number % 10 == 9 {
            log.sync().unwrap();
            log.truncate_before(kept).unwrap();
            assert!(log.bytes() <= 3 * SMALL, "{}", log.bytes());
        }
    }
    let made = faults.count(Op::ALLOCATE);
    assert!(made < 10, "{made} files were filled with zeros, and used ones were there");
    assert!(numbers(&log, Position(0)).is_err(), "the beginning is gone");
    assert_eq!(numbers(&log, kept).unwrap(), [399]);
    assert_eq!(numbers(&open(&fs).unwrap(), kept).unwrap(), [399]);
    let log = open(&fs.crash(0)).unwrap();
    assert_eq!(numbers(&log, kept).unwrap(), [399]);
}

/// What a test knows of a log.
#[derive(Clone, Copy)]
struct Known {
    /// Nobody will ask for what is before this record.
    kept: (Position, u64),
    durable: u64,
    written: u64,
}

const NOTHING: Known = Known { kept: (FIRST, 0), durable: 0, written: 0 };

/// Appends, syncs and truncates until the crash or until `count` more records are written.
fn work(fs: Arc<dyn Fs>, from: Known, count: u64, seed: u64) -> Known {
    let mut known = from;
    let mut work = || -> Result<()> {
        let log = LocalLog::open(fs.clone(), Path::new(DIR), SMALL)?;
        while known.written < from.written + count {
            let first = known.written;
            known.written += 1 + (first * 31 + seed) % 4;
            let positions = append(&log, first..known.written)?;
            if (known.written + seed).is_multiple_of(3) {
                log.sync()?;
                known.durable = known.written;
                if first.is_multiple_of(4) {
                    known.kept = (positions[0], first);
                    log.truncate_before(positions[0])?;
                }
            }
        }
        log.sync()?;
        known.durable = known.written;
        Ok(())
    };
    let _ = work();
    known
}

/// Every operation is a crash point, seeds draw what survives, and each survivor is crashed once more while it
/// goes on writing: what was synced is there, what is there is a prefix, and damage is never suspected.
#[test]
fn crashes_lose_nothing_that_was_synced() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    work(fs, NOTHING, 80, 0);
    for point in 1..=faults.count(Op::CHANGES) {
        for seed in 0..6 {
            let memory = MemoryFs::new();
            let (fs, faults) = FaultyFs::new(memory.clone());
            faults.arm(Fault { at: point, on: Op::CHANGES, what: What::Crash });
            let known = work(fs, NOTHING, 80, 0);
            let crashed = memory.crash(seed);
            let known = after_crash(&crashed, known, (point, seed));
            // Once more from here, with records of other lengths behind the cut.
            let (fs, faults) = FaultyFs::new(crashed.clone());
            faults.arm(Fault { at: 1 + (point * 7 + seed) % 25, on: Op::CHANGES, what: What::Crash });
            let known = work(fs, known, 30, seed);
            let again = crashed.crash(seed + point);
            let known = after_crash(&again, known, (point, seed));
            let log = open(&again).unwrap();
            append(&log, known.written..known.written + 5).unwrap();
            assert_eq!(numbers(&log, known.kept.0).unwrap().last(), Some(&(known.written + 4)));
        }
    }
}

/// Opens and compares; what was found counts as durable from now on.
fn after_crash(fs: &MemoryFs, known: Known, case: (u64, u64)) -> Known {
    let log = open(fs).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let (position, first) = known.kept;
    let found = numbers(&log, position).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let end = first + found.len() as u64;
    assert_eq!(found, (first..end).collect::<Vec<_>>(), "{case:?}");
    let Known { durable, written, .. } = known;
    assert!(durable <= end && end <= written, "{case:?}: {durable} durable, {end} found, {written} written");
    Known { durable: end, written: end, ..known }
}

#[test]
fn damage_before_the_tail_is_named() {
    let fs = MemoryFs::new();
    let log = open(&fs).unwrap();
    let mut positions = Vec::new();
    for number in 0..4 {
        positions.extend(append(&log, number..number + 1).unwrap());
        log.sync().unwrap();
    }
    let path = Path::new(DIR).join(segment::file_name(FIRST));
    for (flipped, said) in [(0, "expected a record of position"), (20, "expected payload checksum")] {
        let fs = fs.crash(1);
        let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
        let offset = FILE_HEADER_BYTES + positions[1].0 - FIRST.0;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset + flipped).unwrap();
        file.write_all_at(&[!byte[0]], offset + flipped).unwrap();
        let error = open(&fs).err().unwrap();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        assert!(
            error.message().contains(&format!("0000000000000008.log is damaged at offset {offset}")),
            "{error}"
        );
        assert!(error.message().contains(said), "{error}");
    }
    let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
    file.write_all_at(b"x", 9).unwrap();
    assert!(open(&fs).err().unwrap().message().contains("damaged at offset 24"));
}

/// Segments full of records, and the position of record 50 of 60.
fn long(log: &LocalLog) -> Position {
    let positions: Vec<Position> =
        (0..60).flat_map(|number| append(log, number..number + 1).unwrap()).collect();
    log.sync().unwrap();
    assert!(log.parts().len() > 6);
    positions[50]
}

fn names(fs: &MemoryFs) -> Vec<PathBuf> {
    let names = fs.list(Path::new(DIR)).unwrap();
    names.into_iter().filter(|name| segment::first_of_name(name).is_some()).collect()
}

#[test]
fn what_a_crash_brings_back_before_a_gap_goes() {
    let mut gaps = 0;
    for seed in 0..80 {
        let (memory, faults, log) = faulty();
        let kept = long(&log);
        faults.arm(Fault { at: 1, on: Op::SYNC_DIR, what: What::Crash });
        log.truncate_before(kept).unwrap_err();
        let crashed = memory.crash(seed);
        if seed % 2 == 1 {
            // Nothing tells where the next one begins.
            for name in names(&crashed) {
                let file = crashed.open(&Path::new(DIR).join(name), OpenMode::ReadWrite).unwrap();
                file.write_all_at(&[0; 12], 32).unwrap();
            }
        }
        let log = open(&crashed).unwrap();
        let had_gap = log.verify(&mut unpaced).is_err();
        gaps += u32::from(had_gap);
        let before = log.parts().len();
        log.drop_before_gap(kept, |_| Ok(true)).unwrap();
        assert_eq!(log.parts().len() < before, had_gap, "seed {seed}: nothing goes but for a gap");
        for log in [log, open(&crashed).unwrap()] {
            log.verify(&mut unpaced).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(numbers(&log, kept).unwrap(), (50..60).collect::<Vec<_>>(), "seed {seed}");
        }
    }
    assert!(gaps > 10, "{gaps} gaps");
}

/// It is no leftover where records behind it are asked for.
#[test]
fn a_gap_in_what_is_needed_is_damage() {
    let fs = MemoryFs::new();
    let kept = long(&open(&fs).unwrap());
    let gone = names(&fs)[2].clone();
    fs.remove_file(&Path::new(DIR).join(&gone)).unwrap();
    let log = open(&fs).unwrap();
    let count = log.parts().len();
    let needed = log.parts()[1].first;
    log.drop_before_gap(needed, |_| Ok(true)).unwrap();
    assert_eq!(log.parts().len(), count);
    assert_eq!(numbers(&log, needed).unwrap_err().state(), SqlState::DATA_CORRUPTED);
    // Somebody waits for the one before the gap.
    let first = log.parts()[0].first;
    log.drop_before_gap(kept, |firsts| Ok(!firsts.contains(&first))).unwrap();
    assert_eq!(log.parts().len(), count);
    log.drop_before_gap(kept, |_| Ok(true)).unwrap();
    assert_eq!(log.parts().len(), count - 2);
}

#[test]
fn a_segment_that_could_not_be_removed_goes_before_newer_ones() {
    for (at, on) in (1..6).map(|at| (at, Op::REMOVE.or(Op::RENAME))).chain([(1, Op::SYNC_DIR)]) {
        let (memory, faults, log) = faulty();
        let kept = long(&log);
        faults.arm(Fault { at, on, what: What::Fail(ErrorKind::Other) });
        assert_eq!(log.truncate_before(kept).unwrap_err().state(), SqlState::IO_ERROR);
        let firsts = |log: &LocalLog| log.parts().iter().map(|part| part.first).collect::<Vec<_>>();
        let on_disk: Vec<Position> =
            names(&memory).iter().filter_map(|name| segment::first_of_name(name)).collect();
        assert_eq!(firsts(&log), on_disk, "removal {at}");
        open(&memory.crash(1)).unwrap().verify(&mut unpaced).unwrap();
        if at == 2 {
            // Somebody has helped.
            memory.remove_file(&Path::new(DIR).join(segment::file_name(firsts(&log)[0]))).unwrap();
        }
        log.truncate_before(kept).unwrap();
        assert!(log.parts()[0].end > kept, "removal {at}");
        append(&log, 60..100).unwrap();
        log.sync().unwrap();
        assert_eq!(numbers(&log, kept).unwrap(), (50..100).collect::<Vec<_>>());
        let log = open(&memory.crash(0)).unwrap();
        assert_eq!(numbers(&log, kept).unwrap(), (50..100).collect::<Vec<_>>());
    }
}

fn faulty() -> (MemoryFs, Arc<Faults>, LocalLog) {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let log = LocalLog::open(fs, Path::new(DIR), SMALL).unwrap();
    (memory, faults, log)
}

#[test]
fn a_failed_write_or_sync_stops_the_log() {
    for on in [Op::WRITE, Op::SYNC] {
        let (memory, faults, log) = faulty();
        append(&log, 0..2).unwrap();
        log.sync().unwrap();
        faults.arm(Fault { at: 1, on, what: What::Fail(ErrorKind::Other) });
        let first = append(&log, 2..4).and_then(|_| log.sync()).unwrap_err();
        assert_eq!(first.state(), SqlState::IO_ERROR);
        faults.disarm();
        assert_eq!(append(&log, 4..5).unwrap_err().message(), first.message());
        assert_eq!(log.sync().unwrap_err().message(), first.message());
        assert_eq!(numbers(&open(&memory.crash(0)).unwrap(), FIRST).unwrap(), [0, 1]);
    }
}

#[test]
fn a_full_disk_refuses_and_space_resumes() {
    for on in [Op::ALLOCATE, Op::WRITE, Op::SYNC] {
        let (memory, faults, log) = faulty();
        let mut count = 0;
        // Up to where the next batch does not fit.
        while log.state.lock().current().limit().0 - log.end().0 > 6000 {
            append(&log, count..count + 1).unwrap();
            count += 1;
        }
        let large = || log.append(&[Record::Catalog { txn: TxnId(0), edits: &[1; 7000] }]);
        for _ in 0..3 {
            faults.arm(Fault { at: 1, on, what: What::FailFromHere(ErrorKind::StorageFull) });
            let end = log.end();
            assert_eq!(large().unwrap_err().state(), SqlState::DISK_FULL);
            assert_eq!(log.end(), end);
            faults.disarm();
            append(&log, count..count + 1).unwrap();
            count += 1;
        }
        log.sync().unwrap();
        assert_eq!(numbers(&log, FIRST).unwrap(), count_to(count));
        large().unwrap();
        log.sync().unwrap();
        open(&memory.crash(0)).unwrap();
    }
}

#[test]
fn a_full_disk_after_a_segment_has_its_name_stops_the_log() {
    for on in [Op::RENAME, Op::SYNC_DIR] {
        let (memory, faults, log) = faulty();
        append(&log, 0..1).unwrap();
        // A spare is there, so the first rename is the segment's.
        log.find_or_make_spare(&mut log.spares.lock(), SMALL, Fill::Zeros).unwrap();
        while log.state.lock().current().limit().0 - log.end().0 > 6000 {
            append(&log, 0..1).unwrap();
        }
        faults.arm(Fault { at: 1, on, what: What::FailFromHere(ErrorKind::StorageFull) });
        let large = log.append(&[Record::Catalog { txn: TxnId(0), edits: &[1; 7000] }]);
        assert_eq!(large.unwrap_err().state(), SqlState::IO_ERROR);
        faults.disarm();
        // What fits into the old segment would lie before the new one, and be lost.
        assert_eq!(append(&log, 0..1).unwrap_err().state(), SqlState::IO_ERROR);
        open(&memory.crash(0)).unwrap();
    }
}
