//! Rot in every kind of file of an open database: it is found, named, and what can be made again is, while answers stay
//! right.

use std::sync::atomic::AtomicBool;

use super::vacuum::{create_index, load};
use super::*;
use crate::database::scrub::{Finding, Kind};
use crate::error::SqlState;
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{FaultyFs, OpenMode};

/// What is told of damage that was mended.
const WRITTEN_ANEW: &str = "written anew";
static CANCEL: AtomicBool = AtomicBool::new(false);

/// 400 rows in sorted tables, a segment and a graph generation, reopened.
fn sample() -> (Arc<MemoryFs>, Arc<Database>, Oid) {
    let (fs, database) = fresh();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..400, "first");
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    (fs, database, table)
}

pub fn files(fs: &MemoryFs, folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for name in fs.list(folder).unwrap() {
        let path = folder.join(name);
        match fs.open(&path, OpenMode::Read) {
            Ok(_) if path.to_string_lossy().contains(ending) => found.push(path),
            Ok(_) => {}
            Err(_) => found.extend(files(fs, &path, ending)),
        }
    }
    found
}

pub fn flip(fs: &MemoryFs, path: &Path, at: u64) {
    let file = fs.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

fn found(database: &Arc<Database>) -> Vec<Finding> {
    database.scrub(&CANCEL).unwrap().findings
}

fn kinds(database: &Arc<Database>) -> Vec<Kind> {
    found(database).iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_sound_database_has_no_findings_and_every_byte_is_counted() {
    let (_, database, _) = sample();
    let scrub = database.scrub(&CANCEL).unwrap();
    assert!(scrub.findings.is_empty(), "{:?}", scrub.findings);
    assert!(!scrub.running && scrub.runs == 1 && scrub.finished >= scrub.started);
    assert!(scrub.files >= 5, "tables, a segment, a graph, the log: {}", scrub.files);
    assert!(scrub.bytes > 400 * 20, "{} bytes", scrub.bytes);
    assert_eq!(database.scrub(&CANCEL).unwrap().runs, 2);
}

#[test]
fn a_damaged_filter_is_made_again_and_nobody_notices() {
    let (fs, database, table) = sample();
    let expected = all(&database, table);
    let storage = database.core().version.load().tables[&table].storage();
    let folder = Path::new("/db/tables").join(storage.0.to_string());
    let damaged: Vec<_> = files(&fs, &folder, ".sst");
    for path in &damaged {
        flip(&fs, path, filter_at(&fs, path) + 20);
    }
    // Open it with the damage, too: the rows are there without the filter.
    let copy = Arc::new(fs.crash(1));
    let reopened = open(&copy);
    assert_eq!(all(&reopened, table), expected);
    assert!(kinds(&reopened).contains(&Kind::Filter));
    assert!(found(&reopened).is_empty(), "the first run has made them again");
    reopened.check().unwrap();
    let first = kinds(&database);
    assert!(!first.is_empty() && first.iter().all(|kind| *kind == Kind::Filter), "{first:?}");
    assert_eq!(all(&database, table), expected);
    assert!(found(&database).is_empty());
    database.check().unwrap();
    drop(database);
    assert_eq!(all(&open(&Arc::new(fs.crash(0))), table), expected);
}

/// Where a table's filter begins: the footer's first field.
fn filter_at(fs: &MemoryFs, path: &Path) -> u64 {
    let file = fs.open(path, OpenMode::Read).unwrap();
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, file.len().unwrap() - 64).unwrap();
    u64::from_le_bytes(bytes)
}

#[test]
fn damaged_rows_are_named_by_table_and_file() {
    let (fs, database, table) = sample();
    let storage = database.core().version.load().tables[&table].storage();
    let folder = Path::new("/db/tables").join(storage.0.to_string());
    let path = files(&fs, &folder, ".sst").remove(0);
    flip(&fs, &path, 30);
    let findings = found(&database);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].kind, findings[0].table.as_deref()), (Kind::Rows, Some("public.t")));
    assert_eq!(findings[0].file, path.display().to_string());
    assert!(findings[0].message.contains("damaged at offset"), "{findings:?}");
}

#[test]
fn a_damaged_vector_is_found_before_a_search_misses_its_row() {
    let (fs, database, table) = sample();
    let path = files(&fs, Path::new("/db"), ".vec").remove(0);
    // Slot 7's first float.
    flip(&fs, &path, 4096 + 7 * 12);
    let findings = found(&database);
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::Vector]);
    assert_eq!(findings[0].table.as_deref(), Some("public.t"));
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    let refused = snapshot.refuse_damaged(&snapshot.vector_view(3).unwrap()).unwrap_err();
    assert_eq!(refused.state(), SqlState::DATA_CORRUPTED);
    assert!(refused.message().contains(".vec") && refused.message().contains("slot 7"), "{refused}");
    assert!(refused.fields().detail.as_deref().is_some_and(|detail| detail.contains("public.t")));
    // Gone with the row.
    done(txn.lock_rows(table, &[7]));
    done(txn.delete(table, &[7]));
    txn.commit().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    snapshot.refuse_damaged(&snapshot.vector_view(3).unwrap()).unwrap();
    assert!(found(&database).is_empty());
}

#[test]
fn a_damaged_graph_is_built_anew_behind_exact_answers() {
    let (fs, database, table) = sample();
    let path = files(&fs, Path::new("/db"), ".hnsw").pop().unwrap();
    flip(&fs, &path, 4096 + 40);
    assert_eq!(kinds(&database), [Kind::Graph]);
    let state = database.core().version.load().tables[&table].state();
    assert_eq!(state.vector_indexes[0].finder.nodes().len() + state.vector_indexes[0].tail.len(), 400);
    drop(state);
    database.check().unwrap();
    // The next checkpoint saves the graph and lets go of the damaged file.
    database.checkpoint().unwrap();
    assert!(!fs.exists(&path));
    assert!(found(&database).is_empty());
    drop(database);
    open(&Arc::new(fs.crash(0))).check().unwrap();
}

#[test]
fn damage_in_the_log_and_the_manifest_is_left_behind() {
    let (fs, database, table) = sample();
    load(&database, table, 1_000..1_010, "later");
    load(&database, table, 1_010..1_020, "later");
    let expected = all(&database, table);
    let path = files(&fs, Path::new("/db/log"), "0.log").into_iter().chain(files(
        &fs,
        Path::new("/db/log"),
        "8.log",
    ));
    let path = path.last().unwrap();
    let file = fs.open(&path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let needle = b"later";
    let at =
        bytes.windows(needle.len()).position(|window| window == needle).expect("the rows are in the log");
    flip(&fs, &path, at as u64);
    assert_eq!(kinds(&database), [Kind::Log]);
    assert!(found(&database).is_empty(), "a checkpoint has let go of it");
    // Also the version: a newer one cannot be meant.
    for at in [30, 9] {
        let manifest = files(&fs, Path::new("/db"), "MANIFEST").remove(0);
        flip(&fs, &manifest, at);
        assert_eq!(kinds(&database), [Kind::Manifest]);
        assert!(found(&database).is_empty());
    }
    assert_eq!(all(&database, table), expected);
    drop(database);
    for seed in [0, 1] {
        let reopened = open(&Arc::new(fs.crash(seed)));
        assert_eq!(all(&reopened, table), expected);
        reopened.check().unwrap();
    }
}

#[test]
fn reading_keeps_below_its_rate() {
    let (fs, database, _) = sample();
    drop(database);
    let scrub = crate::database::ScrubOptions { bytes_per_second_max: 100_000, ..Default::default() };
    let options = Options { scrub, ..options() };
    let database = Database::open(fs, Path::new("/db"), options).unwrap();
    let started = std::time::Instant::now();
    let done = database.scrub(&CANCEL).unwrap();
    let least = done.bytes as f64 / 100_000.0 * 0.8;
    assert!(started.elapsed().as_secs_f64() >= least, "{} bytes in {:?}", done.bytes, started.elapsed());
    let canceled = AtomicBool::new(true);
    assert_eq!(database.scrub(&canceled).unwrap_err().state(), SqlState::QUERY_CANCELED);
}

/// `hither check`, on a directory that opens and on one that does not.
#[test]
fn a_check_says_which_tables_are_affected() {
    let (fs, database, table) = sample();
    let storage = database.core().version.load().tables[&table].storage();
    drop(database);
    let folder = Path::new("/db/tables").join(storage.0.to_string());
    let check = |fs: MemoryFs| {
        let mut told = Vec::new();
        let fs: Arc<dyn Fs> = Arc::new(fs);
        let checked =
            crate::database::check::check_directory(fs, Path::new("/db"), &mut |error| told.push(error));
        (checked.unwrap(), told)
    };
    assert!(check(fs.crash(1)).0.affected.is_empty());
    for (ending, at) in [(".vec", 4096 + 7 * 12), (".sst", 30)] {
        let copy = fs.crash(1);
        let path = files(&copy, &folder, ending).remove(0);
        flip(&copy, &path, at);
        let (checked, told) = check(copy);
        assert!(checked.problems > 0 && told.len() as u64 == checked.problems, "{ending}: {told:?}");
        assert_eq!(checked.affected.into_iter().collect::<Vec<_>>(), ["public.t"], "{ending}: {told:?}");
        assert!(told[0].message().contains(&path.display().to_string()), "{told:?}");
    }
}

/// Each read of a run in turn: of a table's filter, its index, its blocks.
#[test]
fn a_file_that_the_disk_does_not_give_is_a_finding() {
    let (fs, database, _) = sample();
    drop(database);
    let mut told = Vec::new();
    for at in 1.. {
        let (faulty, faults) = FaultyFs::new(fs.crash(1));
        let database = Database::open(faulty, Path::new("/db"), options()).unwrap();
        faults.within(".sst");
        let what = What::Fail(std::io::ErrorKind::Other);
        faults.arm(Fault { at, on: Op::READ, what });
        let kinds = kinds(&database);
        if faults.met() < at {
            assert!(kinds.is_empty(), "nothing failed: {kinds:?}");
            break;
        }
        assert_eq!(kinds.len(), 1, "read {at}: {kinds:?}");
        told.extend(kinds);
        assert!(found(&database).is_empty(), "read {at}: it was one read that failed");
    }
    assert!(told.contains(&Kind::Filter) && told.contains(&Kind::Rows), "{told:?}");
    assert!(told.iter().all(|kind| [Kind::Filter, Kind::Rows].contains(kind)), "{told:?}");
}

/// Vectors are read as files, so that a place the disk does not give is found before a search meets it in a map.
#[test]
fn vectors_that_the_disk_does_not_give_are_findings_and_searches_are_refused() {
    let (fs, database, table) = sample();
    drop(database);
    let (faulty, faults) = FaultyFs::new(fs.crash(1));
    let database = Database::open(faulty, Path::new("/db"), options()).unwrap();
    faults.within(".vec");
    let what = What::FailFromHere(std::io::ErrorKind::Other);
    faults.arm(Fault { at: 1, on: Op::READ, what });
    let findings = found(&database);
    assert_eq!(findings.len(), 400);
    assert!(findings.iter().all(|finding| finding.kind == Kind::Vector && finding.file.ends_with("3.0.vec")));
    let refused = |database: &Arc<Database>| {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(table).unwrap();
        let view = snapshot.vector_view(3).unwrap();
        snapshot.refuse_damaged(&view).and_then(|()| view.verify(7)).err()
    };
    let error = refused(&database).expect("a search is refused");
    assert_eq!(error.state(), SqlState::IO_ERROR);
    assert!(error.message().contains("3.0.vec"), "{error}");
    // It was the cable.
    faults.disarm();
    assert!(refused(&database).is_none() && found(&database).is_empty());
}

/// A graph that rotted while the server was down is opened unread after it was closed in order. What it has is not saved
/// again under a checksum that fits.
#[test]
fn a_graph_that_rotted_is_not_saved_as_a_sound_one() {
    let (fs, database, table) = sample();
    database.close().unwrap();
    drop(database);
    let path = files(&fs, Path::new("/db"), ".hnsw").pop().unwrap();
    flip(&fs, &path, 4096 + 40);
    let database = open(&fs);
    load(&database, table, 400..410, "later");
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    assert!(fs.exists(&path), "nothing was saved in its place");
    assert_eq!(kinds(&database), [Kind::Graph]);
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    assert!(found(&database).is_empty());
    database.check().unwrap();
}

/// Two tables, each with three sorted tables in level 0: a filter of one is damaged and the rows of another, so that the
/// first cannot be written anew. The run reads on to the end of the log.
#[test]
fn what_cannot_be_mended_does_not_end_the_run() {
    let (fs, database) = fresh();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let tables = [create_u(&mut txn, "t"), create_u(&mut txn, "u")];
    txn.commit().unwrap();
    for round in 0..3 {
        for table in tables {
            load(&database, table, 100 * round..100 * round + 100, "first");
        }
        database.checkpoint().unwrap();
    }
    load(&database, tables[0], 1_000..1_010, "later");
    let folder = |table: Oid| {
        let storage = database.core().version.load().tables[&table].storage();
        Path::new("/db/tables").join(storage.0.to_string())
    };
    for table in tables {
        let paths = files(&fs, &folder(table), ".sst");
        assert!(paths.len() >= 3, "{paths:?}");
        flip(&fs, &paths[0], filter_at(&fs, &paths[0]) + 20);
        flip(&fs, &paths[1], 30);
    }
    let log = files(&fs, Path::new("/db/log"), ".log").into_iter().find_map(|path| {
        let file = fs.open(&path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes.windows(5).position(|window| window == b"later").map(|at| (path, at as u64))
    });
    let (log, at) = log.expect("the rows are in the log");
    flip(&fs, &log, at);
    let told = |findings: &[Finding]| {
        let mut told: Vec<_> = findings
            .iter()
            .map(|finding| (finding.table.clone().unwrap_or_default(), finding.kind.name(), finding.action))
            .collect();
        told.sort_unstable();
        told
    };
    let not = "could not be written anew, as the server's log tells; the next run tries again";
    let restore = "restore the table from a backup";
    let mut expected = vec![(String::new(), "log", "a checkpoint has let go of it")];
    for table in ["public.t", "public.u"] {
        expected.extend([(table.to_owned(), "filter", not), (table.to_owned(), "rows", restore)]);
    }
    let scrub = database.scrub(&CANCEL).unwrap();
    assert_eq!(told(&scrub.findings), expected);
    assert!(!scrub.running && scrub.runs == 1);
    // Once the rows are back, nothing keeps the filters from being made again.
    for table in tables {
        flip(&fs, &files(&fs, &folder(table), ".sst")[1], 30);
    }
    let first = found(&database);
    assert!(
        first.len() == 2 && first.iter().all(|f| f.kind == Kind::Filter && f.action == WRITTEN_ANEW),
        "{first:?}"
    );
    assert!(found(&database).is_empty());
    database.check().unwrap();
}

/// There is no room to write a table anew, nor the manifest, and vectors cannot be opened: told, and tried again.
#[test]
fn a_full_disk_does_not_end_the_run() {
    let (fs, database, table) = sample();
    let storage = database.core().version.load().tables[&table].storage();
    drop(database);
    let inner = fs.crash(1);
    let (faulty, faults) = FaultyFs::new(inner.clone());
    let database = Database::open(faulty, Path::new("/db"), options()).unwrap();
    let folder = Path::new("/db/tables").join(storage.0.to_string());
    for path in files(&inner, &folder, ".sst") {
        flip(&inner, &path, filter_at(&inner, &path) + 20);
    }
    database.checkpoint().unwrap();
    flip(&inner, &files(&inner, Path::new("/db"), "MANIFEST").remove(0), 30);
    let what = What::FailFromHere(std::io::ErrorKind::StorageFull);
    faults.arm(Fault { at: 1, on: Op(Op::WRITE.0 | Op::ALLOCATE.0), what });
    let scrub = database.scrub(&CANCEL).unwrap();
    let kinds: Vec<Kind> = scrub.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!((kinds[0], kinds[1]), (Kind::Manifest, Kind::Filter), "{:?}", scrub.findings);
    assert!(scrub.findings.iter().all(|finding| finding.action != WRITTEN_ANEW), "{:?}", scrub.findings);
    assert!(scrub.findings[0].file.contains("MANIFEST-"), "{:?}", scrub.findings);
    faults.disarm();
    let again = found(&database);
    assert!(!again.is_empty() && again.iter().all(|finding| finding.action == WRITTEN_ANEW), "{again:?}");
    assert!(found(&database).is_empty());
    database.check().unwrap();
}
