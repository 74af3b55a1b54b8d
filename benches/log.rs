//! What the log costs on a disk: appends and syncs one by one, beside a plain growing file; a bulk load's throughput into
//! new segments and into used ones; opening.
//!
//! `cargo bench --no-default-features --bench log`
//!
//! Writes 3 GiB into a folder below the present one. What was appended is read back before the figures count.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use hither::fs::DiskFs;
use hither::log::local::SEGMENT_BYTES;
use hither::log::{LocalLog, Log, Position, Record, TxnId};

const SINGLES: usize = 2_000;
const SMALL: [u8; 2048] = [7; 2048];
/// Records of 1 MiB per round.
const LARGE: usize = 1_024;

fn main() {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk to be measured");
    plain_file(folder.path());
    let started = Instant::now();
    let path = folder.path().join("log");
    let log = LocalLog::open(Arc::new(DiskFs), &path, SEGMENT_BYTES).expect("a new log");
    println!("a new log: {} ms", started.elapsed().as_millis());
    singles(&log);
    for round in 0..3 {
        bulk(&log, round);
    }
    drop(log);
    let started = Instant::now();
    LocalLog::open(Arc::new(DiskFs), &path, SEGMENT_BYTES).expect("the log opens again");
    println!("opening: {} ms", started.elapsed().as_millis());
}

/// The time of each run, in microseconds.
fn timed(what: &str, count: usize, mut run: impl FnMut()) {
    let mut times: Vec<u128> = (0..count)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    println!("{what}: p50 {} us, p99 {} us", times[count / 2], times[count * 99 / 100]);
}

fn plain_file(folder: &std::path::Path) {
    let mut file = std::fs::File::create(folder.join("plain")).expect("a file");
    timed("2 KiB append to a plain file + fdatasync", SINGLES, || {
        file.write_all(&SMALL).expect("a write");
        file.sync_data().expect("a sync");
    });
}

fn record(edits: &[u8]) -> Record<'_> {
    Record::Catalog { txn: TxnId(1), edits }
}

fn singles(log: &LocalLog) {
    let first = log.end();
    timed("2 KiB append to the log + sync", SINGLES, || {
        log.append(&[record(&SMALL)]).expect("an append");
        log.sync().expect("a sync");
    });
    timed("2 KiB append alone", SINGLES, || drop(log.append(&[record(&SMALL)]).expect("an append")));
    log.sync().expect("a sync");
    assert_eq!(count(log, first), 2 * SINGLES, "all that was appended is there");
}

fn bulk(log: &LocalLog, round: u32) {
    let first = log.end();
    let chunk: Vec<u8> = (0..1 << 20).map(|i: u32| (i * 31 + round) as u8).collect();
    let started = Instant::now();
    for _ in 0..LARGE {
        log.append(&[record(&chunk)]).expect("an append");
    }
    let appended = started.elapsed();
    log.sync().expect("a sync");
    let all = started.elapsed();
    assert_eq!(count(log, first), LARGE, "all that was appended is there");
    println!(
        "1 GiB in 1 MiB records, {}: {:.0} MB/s, of it the last sync {} ms",
        if round == 0 { "new segments" } else { "segments used again" },
        1073.7 / all.as_secs_f64(),
        (all - appended).as_millis()
    );
    log.truncate_before(log.end()).expect("old segments are let go");
}

fn count(log: &LocalLog, from: Position) -> usize {
    let mut count = 0;
    let each = &mut |_, _: Record| {
        count += 1;
        Ok(())
    };
    log.replay(from, each).expect("the log reads back");
    count
}
