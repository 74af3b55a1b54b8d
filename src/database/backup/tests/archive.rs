//! An archive that comes back to a full disk, one of a log that a crash has brought back in parts, one in the folder of a
//! backup that is under way, one inside of the data directory; and what archivers and backups leave that end early.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::log::Piece;

/// The log has grown until the disk is full while the archive was away. Then the archive is there again, and nothing else
/// makes room: the log is archived, let go of, and written again.
#[test]
fn an_archive_that_comes_back_makes_room_on_a_full_disk() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let clock = clock();
    let mut with = with_archive(&clock);
    // Every segment is old when it is looked at again.
    with.archive.timeout = Duration::from_nanos(1);
    let database = Database::open(fs.clone(), Path::new(DB), with).unwrap();
    let table = create_t(&database);
    database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    let name = "x".repeat(2_000);
    let write = |id: i64| -> crate::error::Result<()> {
        let mut txn = database.begin(Isolation::ReadCommitted);
        match txn.insert(table, &[row(id, &name)], crate::database::OnConflict::Error) {
            Err(crate::database::Stop::Error(error)) => return Err(error),
            outcome => drop(done(outcome)),
        }
        txn.commit().map(drop)
    };
    faults.within(ARCHIVE);
    faults.arm(Fault { at: 1, on: Op::CHANGES, what: What::FailFromHere(ErrorKind::Other) });
    (0..40).for_each(|id| write(id).unwrap());
    (0..3).for_each(|_| drop(database.step_archiver().unwrap_err()));
    assert_eq!((database.archived().failures, database.archived().count), (3, 0));
    // The log gets no new file from here on.
    let full =
        Fault { at: 1, on: Op::CREATE.or(Op::ALLOCATE), what: What::FailFromHere(ErrorKind::StorageFull) };
    faults.only(|path| path.starts_with(ARCHIVE) || path.starts_with("/db/log"));
    faults.arm(full);
    let (acknowledged, refused) = (40..)
        .find_map(|id| write(id).err().map(|error| (id, error)))
        .expect("the current segment has an end");
    assert_eq!(refused.state(), SqlState::DISK_FULL);
    database.checkpoint().unwrap();
    assert_eq!(write(acknowledged).unwrap_err().state(), SqlState::DISK_FULL, "all of the log is kept");
    let kept = database.core().log.parts().len();
    assert!(kept > 5, "{kept} segments");
    (0..2).for_each(|_| drop(database.step_archiver().unwrap_err()));
    faults.within("/db/log");
    faults.arm(full);
    // The whole ones, and then there is no room to end the last one.
    database.step_archiver().unwrap_or_default();
    let error = database.step_archiver().unwrap_err();
    assert_eq!(error.state(), SqlState::DISK_FULL, "{error}");
    let archived = database.archived();
    assert_eq!(archived.count as usize, kept - 1, "{archived:?}");
    assert!(archived.failures >= 6, "{archived:?}");
    assert_eq!(archived.last_failure.unwrap().0, error.message());
    database.checkpoint().unwrap();
    assert_eq!(database.core().log.parts().len(), 1);
    write(acknowledged).unwrap();
    database.step_archiver().unwrap();
    database.step_archiver().unwrap();
    assert!(database.archived().count as usize >= kept, "the last one has ended for its age");
    let expected = all(&database, table);
    assert_eq!(expected.len() as i64, acknowledged + 1);
    faults.disarm();
    let to = Path::new("/r");
    restore(&*fs, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), to, Target::Latest, 3).unwrap();
    let restored = Database::open(fs, to, options()).unwrap();
    assert_eq!(all(&restored, table), expected);
}

/// Of the segments that a checkpoint lets go a crash brings back any: those before a gap are no segments of the log.
#[test]
fn the_log_that_a_crash_brings_back_does_not_stop_the_archive() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let clock = clock();
    let database = Database::open(fs, Path::new(DB), with_archive(&clock)).unwrap();
    let table = create_t(&database);
    database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    let name = "x".repeat(2_000);
    let write = |database: &Arc<Database>, ids: std::ops::Range<i64>| {
        for id in ids {
            let mut txn = database.begin(Isolation::ReadCommitted);
            insert(&mut txn, table, &[(id, &name)]);
            txn.commit().unwrap();
        }
    };
    write(&database, 0..60);
    database.step_archiver().unwrap();
    faults.within("/db/log");
    faults.arm(Fault { at: 1, on: Op::SYNC_DIR, what: What::Crash });
    database.checkpoint().unwrap_err();
    for seed in 0..40 {
        let case = format!("seed {seed}");
        let crashed = Arc::new(memory.crash(seed));
        let database = Database::open(crashed.clone(), Path::new(DB), with_archive(&clock)).unwrap();
        assert!(database.scrub(&CANCEL).unwrap().findings.is_empty(), "{case}");
        write(&database, 60..90);
        database.core().log.rotate().unwrap();
        database.step_archiver().unwrap_or_else(|error| panic!("{case}: {error}"));
        database.checkpoint().unwrap();
        assert_eq!(database.core().log.parts().len(), 1, "{case}");
        let expected = all(&database, table);
        restore(&*crashed, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), Path::new("/r"), Target::Latest, 3)
            .unwrap();
        let restored = Database::open(crashed, Path::new("/r"), options()).unwrap();
        assert_eq!(all(&restored, table), expected, "{case}");
    }
}

/// A segment that the archive has not got is no leftover of a crash: those around it stay, and the archiver says what is
/// missing.
#[test]
fn a_lost_segment_takes_none_with_it_that_the_archive_waits_for() {
    let memory = MemoryFs::new();
    let clock = clock();
    let database = Database::open(Arc::new(memory.clone()), Path::new(DB), with_archive(&clock)).unwrap();
    let table = create_t(&database);
    database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
    database.step_archiver().unwrap();
    let name = "x".repeat(2_000);
    for id in 0..60 {
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, table, &[(id, &name)]);
        txn.commit().unwrap();
    }
    database.checkpoint().unwrap();
    let parts = database.core().log.parts();
    assert!(parts.len() > 4, "the archive has not got them");
    let crashed = memory.crash(1);
    let lost = format!("log/{:016x}.log", parts[2].first.0);
    crashed.remove_file(&Path::new(DB).join(lost)).unwrap();
    let database = Database::open(Arc::new(crashed), Path::new(DB), with_archive(&clock)).unwrap();
    assert_eq!(database.core().log.parts().len(), parts.len() - 1);
    let error = database.step_archiver().unwrap_err();
    assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error}");
}

/// Both store the same pieces in one folder, each while the other is in the middle of one.
#[test]
fn the_archiver_and_a_backup_store_pieces_in_one_folder() {
    for backup_first in [false, true] {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let mut with = with_archive(&clock());
        with.archive.dir = Some(Path::new(BACKUPS).join("log"));
        let database = Database::open(fs, Path::new(DB), with).unwrap();
        let table = create_t(&database);
        database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
        let name = "x".repeat(2_000);
        // Kept for a transaction that is open, so that the backup needs all of it.
        let mut open = database.begin(Isolation::ReadCommitted);
        insert(&mut open, table, &[(-1, "never")]);
        open.log_chunks(0).unwrap();
        for id in 0..20 {
            let mut txn = database.begin(Isolation::ReadCommitted);
            insert(&mut txn, table, &[(id, &name)]);
            txn.commit().unwrap();
        }
        let run = move |database: &Database, is_backup: bool| match is_backup {
            true => database.backup(Path::new(BACKUPS), &CANCEL).map(drop),
            false => database.step_archiver().map(drop),
        };
        let (other, met) = (database.clone(), Arc::new(AtomicBool::new(false)));
        let first = met.clone();
        faults.observe(Op::WRITE, move |_, path| {
            let is_piece = path.to_string_lossy().contains(".piece");
            if is_piece && !first.swap(true, Ordering::Relaxed) {
                let other = other.clone();
                // In a thread of its own: this one is in the middle of its write.
                let thread = std::thread::spawn(move || run(&other, !backup_first));
                thread.join().unwrap().unwrap();
            }
        });
        run(&database, backup_first).unwrap_or_else(|error| panic!("backup first {backup_first}: {error}"));
        faults.observe(Op(0), |_, _| ());
        assert!(met.load(Ordering::Relaxed), "no piece was stored");
        let expected = all(&database, table);
        let fs = memory.crash(0);
        restore(&fs, Path::new(BACKUPS), None, Path::new("/r"), Target::Latest, 3).unwrap();
        let restored = Database::open(Arc::new(fs), Path::new("/r"), options()).unwrap();
        assert_eq!(all(&restored, table), expected);
    }
}

#[test]
fn what_a_backup_that_ended_early_left_goes_with_the_next_one() {
    let beside = |fs: &MemoryFs| {
        let all = files(fs, Path::new(BACKUPS)).into_iter();
        all.filter(|path| path.extension().is_some_and(|e| e == "new" || e == "copy")).collect::<Vec<_>>()
    };
    let base = lived().fs.crash(1);
    let mut left = 0;
    for at in (1..).step_by(4) {
        let memory = base.crash(1);
        let (fs, faults) = FaultyFs::new(memory.clone());
        let database = Database::open(fs, Path::new(DB), with_archive(&clock())).unwrap();
        faults.within(BACKUPS);
        faults.arm(Fault { at, on: Op::CHANGES, what: What::Crash });
        let outcome = database.backup(Path::new(BACKUPS), &CANCEL);
        drop(database);
        let crashed = Arc::new(memory.crash(1));
        left += beside(&crashed).len();
        // What others put there is not ours to remove.
        let notes = Path::new(BACKUPS).join("log/notes.new");
        crashed.open(&notes, OpenMode::Create).unwrap();
        let database = Database::open(crashed.clone(), Path::new(DB), with_archive(&clock())).unwrap();
        database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
        assert_eq!(beside(&crashed), [notes], "after a crash at {at}");
        if outcome.is_ok() {
            break;
        }
    }
    assert!(left > 3, "{left} files were left");
}

#[test]
fn what_an_archiver_that_ended_early_left_goes_if_it_is_ours() {
    let mut world = lived();
    let own = Piece {
        cluster: world.database.cluster(),
        first: Position(8),
        end: Position(8),
        records: Vec::new(),
    };
    let names = [
        "0000000000000008-0000000000000009",
        "0000000000000008-000000000000000a",
        "0000000000000008-000000000000000b",
    ];
    let paths = names.map(|name| Path::new(ARCHIVE).join(format!("{name}.piece.archiving")));
    let other = Piece { cluster: own.cluster + 1, ..own.clone() };
    let bytes = [own.encode().unwrap(), other.encode().unwrap(), b"HITH".to_vec()];
    // Before there is a piece that tells whose folder it is.
    let fs = world.fs.crash(1);
    fs.create_dir_all(Path::new(ARCHIVE)).unwrap();
    for (path, bytes) in paths.iter().zip(&bytes) {
        fs.open(path, OpenMode::Create).unwrap().write_all_at(bytes, 0).unwrap();
    }
    let fs = Arc::new(fs);
    let database = Database::open(fs.clone(), Path::new(DB), with_archive(&clock())).unwrap();
    database.step_archiver().unwrap();
    let there = paths.each_ref().map(|path| fs.exists(path));
    assert_eq!(there, [false, true, true], "whose the others are nobody knows");
    drop(database);
    // And when there is one.
    world.with_log_archived();
    let notes = Path::new(ARCHIVE).join("notes.archiving");
    for path in paths.iter().chain([&notes]) {
        world.fs.open(path, OpenMode::Create).unwrap();
    }
    world.database.step_archiver().unwrap();
    assert!(!paths.iter().any(|path| world.fs.exists(path)));
    assert!(world.fs.exists(&notes));
}

#[test]
fn an_archive_inside_of_the_data_directory_is_refused() {
    for (dir, is_inside) in
        [("/db", true), ("/db/archive", true), ("/x/../db/a/b", true), ("/db2", false), ("/x", false)]
    {
        let archive = ArchiveOptions { dir: Some(dir.into()), ..Default::default() };
        let opened =
            Database::open(Arc::new(MemoryFs::new()), Path::new(DB), Options { archive, ..options() });
        assert_eq!(opened.is_err(), is_inside, "{dir}");
        let Err(error) = opened else { continue };
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        assert!(error.message().contains(dir), "{error}");
    }
    // Of a database beside others it is their common folder that counts.
    let archive = ArchiveOptions { dir: Some("/home/archive".into()), ..Default::default() };
    let options = Options { archive, home: Some("/home".into()), ..options() };
    let opened = Database::open(Arc::new(MemoryFs::new()), Path::new("/home/databases/7"), options);
    assert_eq!(opened.err().unwrap().state(), SqlState::INVALID_PARAMETER_VALUE);
}
