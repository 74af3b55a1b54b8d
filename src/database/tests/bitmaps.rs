//! The files of live sets and metadata indexes: when they are written, what becomes of an open without them or with
//! damaged ones, and that they go.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::vacuum::{commit, delete, update};
use super::*;
use crate::catalog::{Edit, Object};
use crate::database::backup::{Target, restore};
use crate::database::scrub::Kind;
use crate::error::SqlState;
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{FaultyFs, File, OpenMode};
use crate::index::bitmap::Predicate;
use crate::log::StorageId;
use crate::storage::Extra;

static CANCEL: AtomicBool = AtomicBool::new(false);

/// The files of a table that count.
pub fn bits(database: &Arc<Database>, table: Oid) -> Vec<PathBuf> {
    let storage = database.core().version.load().tables[&table].storage();
    database.core().bitmaps.files(database.core(), storage)
}

/// All files of bitmaps there are.
fn on_disk(fs: &MemoryFs) -> Vec<PathBuf> {
    let tables = Path::new("/db/tables");
    let folders = fs.list(tables).unwrap().into_iter().map(|folder| tables.join(folder));
    let files = folders.flat_map(|folder| fs.list(&folder).unwrap().into_iter().map(move |f| folder.join(f)));
    files.filter(|file| file.extension().is_some_and(|extension| extension == "bits")).collect()
}

pub fn remove_bits(fs: &MemoryFs) {
    on_disk(fs).iter().for_each(|path| fs.remove_file(path).unwrap());
}

/// What a killed process leaves.
fn killed(fs: &Arc<MemoryFs>, database: Arc<Database>) -> Arc<MemoryFs> {
    drop(database);
    Arc::new(fs.crash(1))
}

/// A hundred rows in a whole file, ten changed since and one born, in another; one more in the log.
fn sample() -> (Arc<MemoryFs>, Arc<Database>, Oid) {
    let fs = Arc::new(MemoryFs::new());
    let database = open(&fs);
    let table = create_t(&database);
    commit(&database, table, 0..100, "first");
    database.checkpoint().unwrap();
    update(&database, table, 0..9, "second", false);
    update(&database, table, 9..10, "moved", true);
    commit(&database, table, 100..101, "third");
    database.checkpoint().unwrap();
    commit(&database, table, 200..201, "in the log");
    (fs, database, table)
}

fn named(database: &Arc<Database>, table: Oid, name: &str) -> u64 {
    let state = database.core().version.load().tables[&table].state();
    state.metadata.count(2, &Predicate::Eq(Value::Text(name.into()))).unwrap()
}

/// What could not be read is not saved as what answers nothing: the next start has it from the rows.
#[test]
fn an_index_that_was_given_up_comes_back_from_the_rows() {
    let (fs, database, t) = sample();
    right(&database, t);
    database.core().version.load().tables[&t].lose_metadata(2);
    let answer = |database: &Arc<Database>| {
        let state = database.core().version.load().tables[&t].state();
        state.metadata.count(2, &Predicate::IsNull)
    };
    assert_eq!(answer(&database), None);
    database.checkpoint().unwrap();
    update(&database, t, 0..9, "second", false);
    database.checkpoint().unwrap();
    let fs = killed(&fs, database);
    let database = open(&fs);
    assert_eq!(answer(&database), Some(0));
    right(&database, t);
    database.checkpoint().unwrap();
    let fs = killed(&fs, database);
    right(&open(&fs), t);
}

/// The same while the database is open, beside commits.
#[test]
fn an_index_that_was_given_up_is_made_anew_in_the_background() {
    let (fs, database, t) = sample();
    let table = || database.core().version.load().tables[&t].clone();
    let answer = || table().state().metadata.count(2, &Predicate::IsNull);
    assert_eq!(database.remake_metadata().unwrap(), 0);
    for turn in 0..3 {
        table().lose_metadata(2);
        assert_eq!(answer(), None);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..40 {
                    let first = 1_000 + turn * 40 + n;
                    commit(&database, t, first..first + 1, "beside");
                    update(&database, t, first..first + 1, "beside and changed", false);
                    if n % 4 == 3 {
                        delete(&database, t, first..first + 1);
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
            while answer().is_none() && !done.load(Ordering::Relaxed) {
                database.remake_metadata().unwrap();
            }
            writer.join().unwrap();
        });
        database.remake_metadata().unwrap();
        assert_eq!(answer(), Some(0));
        let counts = ["first", "beside", "beside and changed"].map(|name| named(&database, t, name));
        assert_eq!(counts, [90, 0, 30 * (turn as u64 + 1)]);
        database.check().unwrap();
    }
    assert_eq!(database.remake_metadata().unwrap(), 0);
    let fs = killed(&fs, database);
    assert_eq!(named(&open(&fs), t, "beside and changed"), 90);
}

fn right(database: &Arc<Database>, table: Oid) {
    assert_eq!(all(database, table).len(), 102);
    let counts = ["first", "second", "moved", "third", "in the log"].map(|name| named(database, table, name));
    assert_eq!(counts, [90, 9, 1, 1, 1]);
}

#[test]
fn a_checkpoint_writes_what_has_changed_and_no_more() {
    let (fs, database, table) = sample();
    let files = bits(&database, table);
    assert_eq!(files.len(), 2, "little has changed since the first");
    assert_eq!(on_disk(&fs), files);
    let database = open(&killed(&fs, database));
    right(&database, table);
    assert_eq!(bits(&database, table), files);
    database.check().unwrap();
    database.checkpoint().unwrap();
    assert_eq!(bits(&database, table)[0], files[0]);
    assert_ne!(bits(&database, table)[1], files[1], "the row in the log");
    let again = bits(&database, table);
    // Slots that are among the changed ones already change again: what is to be read from the rows is the same.
    update(&database, table, 0..9, "second", false);
    for _ in 0..3 {
        database.checkpoint().unwrap();
        assert_eq!(bits(&database, table), again);
    }
    update(&database, table, 20..60, "second", false);
    database.checkpoint().unwrap();
    assert_eq!(bits(&database, table).len(), 1, "much has changed");
    assert_eq!(named(&database, table, "second"), 49);
}

#[test]
fn a_small_table_has_none_and_one_that_shrinks_loses_them() {
    let fs = Arc::new(MemoryFs::new());
    let open = |fs: &Arc<MemoryFs>| {
        let options = Options { bitmap_rows_min: 50, ..options() };
        Database::open(fs.clone(), Path::new("/db"), options).unwrap()
    };
    let database = open(&fs);
    let table = create_t(&database);
    commit(&database, table, 0..49, "few");
    database.checkpoint().unwrap();
    assert!(on_disk(&fs).is_empty());
    commit(&database, table, 49..50, "enough");
    database.close().unwrap();
    drop(database);
    assert_eq!(on_disk(&fs).len(), 1);
    let database = open(&fs);
    assert_eq!((all(&database, table).len(), bits(&database, table).len()), (50, 1));
    delete(&database, table, 0..1);
    database.checkpoint().unwrap();
    assert!(on_disk(&fs).is_empty() && bits(&database, table).is_empty());
    let database = open(&killed(&fs, database));
    assert_eq!((all(&database, table).len(), named(&database, table, "few")), (49, 48));
    database.check().unwrap();
}

/// Of both files: every byte or so flipped, cut everywhere, gone.
#[test]
fn a_damaged_file_costs_time_and_nothing_else() {
    let (fs, database, table) = sample();
    let files = bits(&database, table);
    let fs = killed(&fs, database);
    let mut harmed = 0;
    for path in &files {
        let len = fs.open(path, OpenMode::Read).unwrap().len().unwrap();
        let step =
            if std::env::var("HITHER_DAMAGE").as_deref() == Ok("full") { 1 } else { (len as usize / 60) | 1 };
        let damages =
            (0..len).step_by(step).flat_map(|at| [Some((at, true)), Some((at, false))]).chain([None]);
        for damage in damages {
            let copy = Arc::new(fs.crash(1));
            let edit = |change: &dyn Fn(&dyn File)| change(&*copy.open(path, OpenMode::ReadWrite).unwrap());
            match damage {
                Some((at, true)) => edit(&|file| {
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, at).unwrap();
                    file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
                }),
                Some((at, false)) => edit(&|file| file.truncate(at).unwrap()),
                None => copy.remove_file(path).unwrap(),
            }
            let case = format!("{}: {damage:?}", path.display());
            let database = open(&copy);
            right(&database, table);
            // Told by a check, and by it alone; one that is gone by nobody, for a checkpoint that fails removes its own.
            let problems = u64::from(damage.is_some());
            let named =
                |error: Error| assert!(error.message().contains(path.to_str().unwrap()), "{case}: {error}");
            let checked = database.check_all(&mut |error| named(error));
            assert_eq!((checked.problems, checked.affected.len() as u64), (problems, problems), "{case}");
            harmed += 1;
            if harmed % 10 == 0 {
                database.checkpoint().unwrap();
                assert_eq!(bits(&database, table).len(), 1, "{case}: written anew");
                assert_eq!(on_disk(&copy), bits(&database, table), "{case}: and the others are gone");
                database.check().unwrap();
                let database = open(&killed(&copy, database));
                right(&database, table);
                database.check().unwrap();
            }
        }
    }
    println!("{harmed} damages");
}

/// A manifest that an older program went on with, or one whose words about the files make no sense.
#[test]
fn files_of_another_checkpoint_are_not_used() {
    let (fs, database, table) = sample();
    let storage = database.core().version.load().tables[&table].storage();
    let sound = database.core().store.extra(storage, "bitmaps").unwrap();
    let numbers: Vec<u64> = serde_json::from_slice(&sound).unwrap();
    let [applied, whole, changes] = numbers[..] else { panic!("{numbers:?}") };
    let sayings = [
        format!("[{},{whole},{changes}]", applied + 8),
        format!("[0,{whole},{changes}]"),
        format!("[{applied},{changes},{whole}]"),
        format!("[{applied},{whole},{whole}]"),
        format!("[{applied},{whole},{changes},7]"),
        format!("[{applied}]"),
        format!("[{applied},99]"),
        "[]".to_owned(),
        "what?".to_owned(),
    ];
    for saying in sayings {
        let value = Some(saying.clone().into_bytes());
        database.core().store.edit_extras(vec![Extra { storage, name: "bitmaps".into(), value }]).unwrap();
        let copy = Arc::new(fs.crash(1));
        let other = open(&copy);
        right(&other, table);
        other.checkpoint().unwrap();
        other.check().unwrap();
        assert_eq!(on_disk(&copy), bits(&other, table), "{saying}");
        right(&open(&killed(&copy, other)), table);
    }
}

#[test]
fn a_file_of_a_newer_format_is_refused_by_name() {
    let (fs, database, table) = sample();
    let path = bits(&database, table).remove(0);
    let fs = killed(&fs, database);
    let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
    let mut header = vec![0; 60];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8..12].copy_from_slice(&2_u32.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    let rotted = Arc::new(fs.crash(1));
    right(&open(&rotted), table);
    let sum = crc32c::crc32c(&header[..56]);
    file.write_all_at(&sum.to_le_bytes(), 56).unwrap();
    let error = Database::open(fs.clone(), Path::new("/db"), options()).err().unwrap();
    let expected =
        format!("\"{}\" has format version 2; this version of Hither reads up to 1", path.display());
    assert_eq!((error.state(), error.message()), (SqlState("55000"), &expected[..]));
    assert!(fs.exists(&path), "it is left as it is");
}

/// A disk that refuses, or does not sync: the checkpoint counts, and the open reads the rows.
#[test]
fn a_checkpoint_does_without_files_that_cannot_be_written() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other];
    for (on, kind) in
        [Op::CREATE, Op::WRITE, Op::SYNC].into_iter().flat_map(|on| kinds.map(|kind| (on, kind)))
    {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let database = Database::open(fs, Path::new("/db"), options()).unwrap();
        let table = create_t(&database);
        commit(&database, table, 0..40, "first");
        database.checkpoint().unwrap();
        let first = bits(&database, table);
        commit(&database, table, 40..80, "second");
        faults.within(".bits");
        faults.arm(Fault { at: 1, on, what: What::Fail(kind) });
        database.checkpoint().unwrap();
        faults.disarm();
        let case = format!("{} {kind}", on.name());
        assert!(bits(&database, table).is_empty() && on_disk(&memory).is_empty(), "{case}");
        let reopened = open(&Arc::new(memory.crash(0)));
        assert_eq!((all(&reopened, table).len(), named(&reopened, table, "second")), (80, 40), "{case}");
        reopened.check().unwrap();
        database.checkpoint().unwrap();
        assert!(bits(&database, table).len() == 1 && bits(&database, table) != first, "{case}");
    }
}

/// Its manifest record could not be written: what it had written of bitmaps goes, and the next one does without, in case
/// they took the room.
#[test]
fn a_checkpoint_that_fails_leaves_the_files_of_the_last_one() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new("/db"), options()).unwrap();
    let table = create_t(&database);
    commit(&database, table, 0..40, "first");
    database.checkpoint().unwrap();
    let first = bits(&database, table);
    commit(&database, table, 40..80, "second");
    faults.within("MANIFEST");
    faults.arm(Fault { at: 1, on: Op::WRITE, what: What::Fail(ErrorKind::StorageFull) });
    assert_eq!(database.checkpoint().unwrap_err().state(), SqlState::DISK_FULL);
    faults.disarm();
    assert_eq!((bits(&database, table), on_disk(&memory)), (first.clone(), first.clone()));
    let reopened = open(&Arc::new(memory.crash(0)));
    assert_eq!((all(&reopened, table).len(), named(&reopened, table, "second")), (80, 40));
    reopened.check().unwrap();
    database.checkpoint().unwrap();
    assert!(bits(&database, table).is_empty() && on_disk(&memory).is_empty());
    update(&database, table, 0..1, "third", false);
    database.checkpoint().unwrap();
    assert_eq!(bits(&database, table).len(), 1);
    let reopened = open(&Arc::new(memory.crash(0)));
    assert_eq!((named(&reopened, table, "third"), named(&reopened, table, "first")), (1, 39));
    reopened.check().unwrap();
}

#[test]
fn an_index_that_is_switched_on_again_is_made_from_the_rows() {
    let (fs, database, table) = sample();
    let switch = |database: &Arc<Database>, on: bool| {
        let mut txn = database.begin(Isolation::ReadCommitted);
        let mut definition = Table::clone(txn.catalog().table_by_oid(table).unwrap());
        definition.columns[1].metadata_index = on;
        done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
        txn.commit().unwrap();
    };
    switch(&database, false);
    database.checkpoint().unwrap();
    assert_eq!(bits(&database, table).len(), 1, "of other columns");
    switch(&database, true);
    database.checkpoint().unwrap();
    let fs = killed(&fs, database);
    let database = open(&fs);
    right(&database, table);
    database.check().unwrap();
    assert!(bits(&database, table).is_empty(), "the file lacks the column");
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    right(&database, table);
    assert_eq!(bits(&database, table).len(), 1);
}

#[test]
fn another_storage_has_other_files() {
    let (fs, database, table) = sample();
    let before = bits(&database, table);
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.truncate(table));
    insert(&mut txn, table, &[(1, "anew")]);
    txn.commit().unwrap();
    let truncated = Arc::new(fs.crash(1));
    let reopened = open(&truncated);
    assert_eq!(all(&reopened, table), pairs(&[(1, "anew")]));
    reopened.checkpoint().unwrap();
    reopened.check().unwrap();
    database.checkpoint().unwrap();
    for (fs, database) in [(&truncated, &reopened), (&fs, &database)] {
        let after = bits(database, table);
        assert_eq!(on_disk(fs), after);
        assert!(after.len() == 1 && !before.contains(&after[0]));
    }
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(table));
    txn.commit().unwrap();
    database.checkpoint().unwrap();
    assert!(on_disk(&fs).is_empty());
}

/// What the database has committed between a checkpoint's moment and its end is in the next one's files.
#[test]
fn commits_go_on_while_files_are_written() {
    let fs = Arc::new(MemoryFs::new());
    let database = open(&fs);
    let table = create_t(&database);
    commit(&database, table, 0..200, "first");
    let rounds = 40;
    std::thread::scope(|scope| {
        for writer in 1..3_i64 {
            let database = &database;
            scope.spawn(move || {
                for round in 0..rounds {
                    let id = 1_000 * writer + round;
                    commit(database, table, id..id + 1, "new");
                    let first = 100 * (writer - 1) + 2 * round;
                    update(database, table, first..first + 1, "changed", round % 2 == 0);
                    if round % 4 == 3 {
                        delete(database, table, first + 1..first + 2);
                    }
                }
            });
        }
        for seed in 0..12 {
            database.checkpoint().unwrap();
            let crashed = open(&Arc::new(fs.crash(seed)));
            crashed.check().unwrap();
            assert!(!bits(&crashed, table).is_empty());
        }
    });
    database.checkpoint().unwrap();
    let reopened = open(&Arc::new(fs.crash(0)));
    assert_eq!(all(&reopened, table), all(&database, table));
    assert_eq!(named(&reopened, table, "new"), 2 * rounds as u64);
    reopened.check().unwrap();
}

#[test]
fn a_scrub_finds_rot_and_has_the_file_written_anew() {
    let (fs, database, table) = sample();
    assert!(database.scrub(&CANCEL).unwrap().findings.is_empty());
    for at in [0, 1] {
        let files = bits(&database, table);
        let path = &files[at.min(files.len() - 1)];
        let file = fs.open(path, OpenMode::ReadWrite).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 70).unwrap();
        file.write_all_at(&[!byte[0]], 70).unwrap();
        let findings = database.scrub(&CANCEL).unwrap().findings;
        assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::Bitmaps]);
        assert_eq!((&findings[0].file[..], findings[0].action), (path.to_str().unwrap(), "written anew"));
        assert!(!bits(&database, table).contains(path) && !fs.exists(path));
        assert!(database.scrub(&CANCEL).unwrap().findings.is_empty());
        update(&database, table, 50..51, "first", false);
        database.checkpoint().unwrap();
    }
    let database = open(&killed(&fs, database));
    right(&database, table);
    database.check().unwrap();
}

#[test]
fn a_backup_has_them() {
    let (fs, database, table) = sample();
    let taken = database.backup(Path::new("/backups"), &CANCEL).unwrap();
    let to = Path::new("/restored");
    restore(&*fs, Path::new("/backups"), None, to, Target::Position(taken.log_end), 99).unwrap();
    let restored = Database::open(fs.clone(), to, options()).unwrap();
    right(&restored, table);
    restored.check().unwrap();
    let files = bits(&restored, table);
    assert!(files.len() == 2 && files.iter().all(|path| path.starts_with(to)), "{files:?}");
    database.close().unwrap();
}

#[test]
fn a_file_is_told_as_lines() {
    let (fs, database, table) = sample();
    let storage = database.core().version.load().tables[&table].storage();
    let lines = |path: &Path| {
        let mut lines = Vec::new();
        let mut tell = |line| {
            lines.push(line);
            Ok(())
        };
        crate::database::describe::describe(&*fs, path, &mut tell).unwrap();
        lines
    };
    let files = bits(&database, table);
    let whole = lines(&files[0]);
    let StorageId(storage) = storage;
    assert!(
        whole[0].starts_with(&format!("live set and bitmaps, file 1 of storage {storage} as of position "))
    );
    assert!(whole[0].ends_with(": 100 slots, 2 columns; sound"), "{whole:?}");
    assert_eq!(
        whole[1..],
        [
            "column 1: Int8: 100 values, 0 NULLs, 100 different",
            "column 2: Text: 100 values, 0 NULLs, 1 different"
        ]
    );
    let changes = lines(&files[1]);
    assert!(changes[0].starts_with("changes since file 1, file 2 of storage "), "{changes:?}");
    // Ten rows, of which one has another slot now; the one that was born has its former one.
    assert_eq!(changes.len(), 1 + 11);
}
