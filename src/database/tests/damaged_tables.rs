//! One table of two is damaged when the database is opened: the other one goes on as if nothing were, and once the file
//! is back, the damaged one has everything, also what was only in the log.
//!
//! Each file of the table is flipped, cut and removed in turn. Between the damage and the repair the other table is
//! written, vacuumed, checkpointed and restarted, so that a slot or a piece of log that belongs to the damaged one and
//! was given away would be missed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::vacuum::{commit, create_index, delete, load, update};
use super::*;
use crate::catalog::{Edit, Object, Sequence};
use crate::database::check::check_directory;
use crate::database::scrub::Kind;
use crate::error::{Result, SqlState};
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{FaultyFs, OpenMode};
use crate::log::{Record, StorageId, TxnId};

static CANCEL: AtomicBool = AtomicBool::new(false);

/// Small segments of the log: what is let go goes soon.
pub fn small() -> Options {
    Options { log_segment_bytes: 8 << 10, ..options() }
}

fn start(fs: &Arc<MemoryFs>) -> Result<Arc<Database>> {
    Database::open(fs.clone(), Path::new("/db"), small())
}

/// A killed directory with the tables `t` and `u`, each with rows in sorted tables, segments and a graph, and with
/// commits that only the log has, one of them begun before the checkpoint.
struct Sample {
    fs: MemoryFs,
    t: Oid,
    u: Oid,
    sequence: Oid,
    rows: Vec<(i64, String)>,
}

fn sample() -> Sample {
    sample_with(|_, _| {})
}

/// `more` is done last.
fn sample_with(more: impl FnOnce(&Arc<Database>, Oid)) -> Sample {
    let fs = Arc::new(MemoryFs::new());
    let database = start(&fs).unwrap();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let u = create_u(&mut txn, "u");
    let sequence = txn.new_oid();
    done(txn.edit_catalog(vec![Edit::Put(Object::Sequence(counter(sequence)))]));
    txn.commit().unwrap();
    create_index(&database, t);
    for table in [t, u] {
        load(&database, table, 0..60, "first");
    }
    database.close().unwrap();
    drop(database);
    let database = start(&fs).unwrap();
    across_a_checkpoint(&database, "x", |txn| drop(insert(txn, t, &[(200, "across"), (201, "across")])));
    for table in [t, u] {
        update(&database, table, 0..10, "second", false);
        delete(&database, table, 30..35);
    }
    load(&database, t, 100..110, "third");
    update(&database, t, 40..45, "moved", true);
    more(&database, t);
    let rows = all(&database, t);
    drop(database);
    Sample { fs: fs.crash(1), t, u, sequence, rows }
}

/// `create sequence s`
pub fn counter(oid: Oid) -> Sequence {
    let (schema, name) = ("public".into(), "s".into());
    let (ty, start, increment, min, max) = (Type::Int8, 1, 1, 1, i64::MAX);
    Sequence {
        oid,
        schema,
        name,
        ty,
        start,
        increment,
        min,
        max,
        cycle: false,
        cache: 1,
        owned_by: None,
        comment: None,
    }
}

fn nextval(database: &Arc<Database>, sequence: Oid) -> i64 {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let value = txn.nextval(sequence).unwrap();
    txn.commit().unwrap();
    value
}

/// A transaction that has records in the log on both sides of a checkpoint: it makes a table, and does `more`.
pub fn across_a_checkpoint(database: &Arc<Database>, name: &str, more: impl FnOnce(&mut Transaction)) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let made = create_u(&mut txn, name);
    more(&mut txn);
    // Definitions are logged at once, behind the rows.
    create_u(&mut txn, &format!("{name}{name}"));
    database.checkpoint().unwrap();
    insert(&mut txn, made, &[(1, name)]);
    txn.commit().unwrap();
    made
}

/// All rows with all of their vectors.
pub fn answer(database: &Arc<Database>, table: Oid) -> Vec<(i64, String)> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    let view = snapshot.vector_view(3).unwrap();
    for entry in snapshot.scan() {
        let (slot, row) = entry.unwrap();
        let Value::Int8(id) = snapshot.layout().read(&row).unwrap().value(0).unwrap() else { panic!() };
        assert_eq!(view.get(slot).as_f32(), [id as f32, 1.0, -1.0]);
    }
    rows(&snapshot)
}

pub fn files(fs: &MemoryFs, folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(folder);
    fs.list(folder).unwrap().into_iter().map(|name| folder.join(name)).collect()
}

pub fn content(fs: &MemoryFs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

pub fn put(fs: &MemoryFs, path: &Path, bytes: &[u8]) {
    let file = fs.open(path, OpenMode::Create).or_else(|_| fs.open(path, OpenMode::ReadWrite)).unwrap();
    file.truncate(bytes.len() as u64).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(path.parent().unwrap()).unwrap();
}

pub fn remove(fs: &MemoryFs, path: &Path) {
    fs.remove_file(path).unwrap();
    fs.sync_dir(path.parent().unwrap()).unwrap();
}

/// Ways in which a file may be others than it was, and what it was.
fn damages(fs: &MemoryFs, path: &Path) -> Vec<(String, Arc<MemoryFs>)> {
    let bytes = content(fs, path);
    let mut all = Vec::new();
    let mut copy = |what: String| {
        let copy = Arc::new(fs.crash(1));
        all.push((format!("{}: {what}", path.display()), copy.clone()));
        copy
    };
    remove(&copy("gone".into()), path);
    for cut in [0, bytes.len() / 2, bytes.len() - 1] {
        put(&copy(format!("cut to {cut}")), path, &bytes[..cut]);
    }
    for at in (0..bytes.len()).step_by((bytes.len() / 5) | 1) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        put(&copy(format!("byte {at}")), path, &bytes);
    }
    all
}

/// The first file of `t`'s rows gone.
fn without_rows(sample: &Sample) -> (Arc<MemoryFs>, PathBuf) {
    let path = files(&sample.fs, "/db/tables/1").into_iter().find(|path| path.extension().unwrap() == "sst");
    let path = path.unwrap();
    let fs = Arc::new(sample.fs.crash(1));
    remove(&fs, &path);
    (fs, path)
}

fn snapshot_error(database: &Arc<Database>, table: Oid) -> Option<Error> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    txn.snapshot(table).err()
}

fn assert_refused(case: &str, error: &Error) {
    assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{case}: {error}");
    assert!(error.message().contains("/db/"), "{case}: no file is named: {error}");
    assert!(error.fields().hint.is_some() && error.fields().table.as_deref() == Some("t"), "{case}");
}

/// Much is done to the other table, with checkpoints and a crash between: its answers stay right, and its slots and
/// its log come and go. The last round ends in order, with 101 the last value of the sequence.
fn live_on(case: &str, mut fs: Arc<MemoryFs>, sample: &Sample) -> Arc<MemoryFs> {
    let mut made_before = None;
    for round in 0..3 {
        let database = start(&fs).unwrap_or_else(|error| panic!("{case}, round {round}: {error}"));
        let error = snapshot_error(&database, sample.t);
        assert_refused(case, &error.unwrap_or_else(|| panic!("{case}: sound in round {round}")));
        let from = database.core().replay_from().unwrap();
        assert_eq!(from > database.core().store.checkpoint_position(), round > 0, "{case}, round {round}");
        let first = 1_000 * (round + 1);
        commit(&database, sample.u, first..first + 40, "more");
        database.checkpoint().unwrap();
        delete(&database, sample.u, first..first + 20);
        database.vacuum(&[], &CANCEL).unwrap();
        commit(&database, sample.u, first + 500..first + 520, "again");
        while database.step_storage().unwrap() {}
        let made = across_a_checkpoint(&database, &format!("w{round}"), |_| ());
        if let Some(before) = made_before.replace(made) {
            assert_eq!(answer(&database, before).len(), 1);
            let mut txn = database.begin(Isolation::ReadCommitted);
            done(txn.truncate(made));
            insert(&mut txn, made, &[(2, "truncated")]);
            done(txn.drop_table(before));
            txn.commit().unwrap();
        }
        database.checkpoint().unwrap();
        commit(&database, sample.u, first + 600..first + 605, "last");
        assert_eq!(answer(&database, sample.u), other_rows(round), "{case}, round {round}");
        if round == 2 {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.setval(sample.sequence, 100, true).unwrap();
            txn.commit().unwrap();
            assert_eq!(nextval(&database, sample.sequence), 101);
            database.close().unwrap();
        }
        drop(database);
        fs = Arc::new(fs.crash(round as u64));
    }
    fs
}

/// What [`live_on`] leaves in `u` after so many rounds and one.
fn other_rows(rounds: i64) -> Vec<(i64, String)> {
    let mut rows: Vec<(i64, String)> = Vec::new();
    let mut add = |ids: std::ops::Range<i64>, name: &str| rows.extend(ids.map(|id| (id, name.to_owned())));
    add(0..10, "second");
    add(10..30, "first");
    add(35..60, "first");
    for round in 0..=rounds {
        let first = 1_000 * (round + 1);
        add(first + 20..first + 40, "more");
        add(first + 500..first + 520, "again");
        add(first + 600..first + 605, "last");
    }
    rows
}

/// Both tables are whole; also after a checkpoint and a restart, which have nothing of the damage any more.
fn assert_whole(case: &str, fs: &Arc<MemoryFs>, sample: &Sample) {
    for round in 0..2 {
        let database = start(fs).unwrap();
        assert!(round > 0 || nextval(&database, sample.sequence) == 102, "{case}: closed in order");
        let index = database.catalog().indexes_of(sample.t).find(|index| !index.unique).unwrap().oid;
        assert!(!database.core().generations.files(database.core(), index).is_empty(), "{case}: no graph");
        assert_eq!(answer(&database, sample.t), sample.rows, "{case}");
        assert_eq!(answer(&database, sample.u), other_rows(2), "{case}");
        database.check().unwrap_or_else(|error| panic!("{case}: {error}"));
        while database.step_indexer().unwrap() {}
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        all_are_found(&txn.snapshot(sample.t).unwrap());
        drop(txn);
        database.checkpoint().unwrap();
        let names =
            |storage| database.core().store.extras(StorageId(storage)).into_iter().map(|extra| extra.0);
        assert!(!names(1).any(|name| name == "applied") && !names(0).any(|name| name == "from"), "{case}");
        assert!(database.core().store.checkpoint_position() >= database.core().applied_position().unwrap());
    }
    let database = start(fs).unwrap();
    commit(&database, sample.t, 5_000..5_010, "new");
    assert_eq!(all(&database, sample.t).len(), sample.rows.len() + 10);
    database.check().unwrap_or_else(|error| panic!("{case}: {error}"));
}

#[test]
fn the_other_table_goes_on_and_the_damaged_one_comes_back_whole() {
    let sample = sample();
    let mut damaged = 0;
    for path in [files(&sample.fs, "/db/tables/1"), files(&sample.fs, "/db/indexes/1")].concat() {
        for (case, fs) in damages(&sample.fs, &path) {
            let Some(error) = snapshot_error(&start(&fs).unwrap(), sample.t) else { continue };
            assert_refused(&case, &error);
            damaged += 1;
            let fs = live_on(&case, fs, &sample);
            put(&fs, &path, &content(&sample.fs, &path));
            assert_whole(&case, &fs, &sample);
        }
    }
    assert!(damaged > 12, "{damaged} cases");
}

/// A crash at any moment of a life with the damage, a drop of yet another table included.
#[test]
fn a_crash_meanwhile_loses_nothing_of_either_table() {
    let sample = sample();
    let (fs, path) = without_rows(&sample);
    let whole = content(&sample.fs, &path);
    let crashes = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let acknowledged = Arc::new(AtomicI64::new(0));
    let (faulty, faults) = FaultyFs::new((*fs).clone());
    let (seen, kept, known) = (AtomicU64::new(0), crashes.clone(), acknowledged.clone());
    faults.observe(Op::CHANGES, move |_, _| {
        let at = seen.fetch_add(1, Ordering::Relaxed);
        if at % 5 == 0 {
            kept.lock().push((fs.crash(at), known.load(Ordering::Relaxed)));
        }
    });
    for round in 0..2 {
        let database = Database::open(faulty.clone(), Path::new("/db"), small()).unwrap();
        let first = 1_000 * (round + 1);
        commit(&database, sample.u, first..first + 60, "more");
        acknowledged.fetch_add(60, Ordering::Relaxed);
        let made = across_a_checkpoint(&database, &format!("w{round}"), |_| ());
        database.vacuum(&[], &CANCEL).unwrap();
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.drop_table(made));
        txn.commit().unwrap();
        database.checkpoint().unwrap();
    }
    faults.observe(Op(0), |_, _| ());
    let crashes = std::mem::take(&mut *crashes.lock());
    assert!(crashes.len() > 20, "{} crashes", crashes.len());
    for (number, (fs, rows)) in crashes.into_iter().enumerate() {
        let fs = Arc::new(fs);
        if number % 2 == 0 {
            // Once more with the damage, and a crash without a word.
            let database = start(&fs).unwrap();
            assert_refused("crash", &snapshot_error(&database, sample.t).unwrap());
            database.checkpoint().unwrap();
        }
        put(&fs, &path, &whole);
        let database = start(&fs).unwrap_or_else(|error| panic!("crash {number}: {error}"));
        assert_eq!(answer(&database, sample.t), sample.rows, "crash {number}");
        let others = answer(&database, sample.u).len() as i64 - 55;
        assert!(others == rows || others == rows + 60, "crash {number}: {others} of {rows}");
        database.check().unwrap_or_else(|error| panic!("crash {number}: {error}"));
        database.checkpoint().unwrap();
        drop(database);
        assert_eq!(answer(&start(&fs).unwrap(), sample.t), sample.rows, "crash {number}");
    }
}

#[test]
fn a_damaged_table_is_refused_by_all_that_needs_it() {
    let sample = sample();
    let (fs, path) = without_rows(&sample);
    let database = start(&fs).unwrap();
    let begin = || {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        txn
    };
    let refused = |error: Error| {
        assert_refused("a statement", &error);
        assert!(error.message().contains(&path.display().to_string()), "{error}");
    };
    refused(error_of(begin().insert(sample.t, &[row(1, "one")], OnConflict::Error)));
    refused(error_of(begin().lock_rows(sample.t, &[1])));
    refused(error_of(begin().delete(sample.t, &[1])));
    refused(begin().newest_snapshot(sample.t).err().unwrap());
    refused(error_of(begin().edit_catalog(vec![renamed(&database, sample.t)])));
    let index = database.catalog().indexes_of(sample.t).next().unwrap().clone();
    refused(error_of(begin().drop_index(index.oid)));
    let another = crate::catalog::Index { oid: begin().new_oid(), name: "i".into(), ..(*index).clone() };
    refused(error_of(begin().create_index(another)));
    refused(database.vacuum(&[sample.t], &CANCEL).unwrap_err());
    refused(database.backup(Path::new("/backups"), &CANCEL).unwrap_err());
    database.vacuum(&[], &CANCEL).unwrap();
    let told = database.scrub_state().findings;
    assert_eq!((told[0].kind, told[0].table.as_deref()), (Kind::Table, Some("public.t")));
    assert_eq!(told[0].file, path.display().to_string());
    assert_eq!(database.scrub(&CANCEL).unwrap().findings.len(), 1);
    drop(database);
    let mut told = Vec::new();
    let checked = check_directory(fs, Path::new("/db"), &mut |error| told.push(error)).unwrap();
    assert_eq!((checked.problems, told.len()), (1, 1), "{told:?}");
    assert_eq!(checked.affected.into_iter().collect::<Vec<_>>(), ["public.t"]);
}

fn renamed(database: &Arc<Database>, table: Oid) -> Edit {
    let mut definition = (**database.catalog().table_by_oid(table).unwrap()).clone();
    definition.name = "renamed".into();
    Edit::Put(Object::Table(definition))
}

#[test]
fn a_damaged_table_can_be_dropped_and_its_files_go() {
    let sample = sample();
    let (fs, _) = without_rows(&sample);
    let database = start(&fs).unwrap();
    // Undone, it is there as before.
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(sample.t));
    txn.rollback();
    database.checkpoint().unwrap();
    assert!(!files(&fs, "/db/tables/1").is_empty() && !files(&fs, "/db/indexes/1").is_empty());
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(sample.t));
    txn.commit().unwrap();
    // Also when the log alone knows.
    let fs = Arc::new(fs.crash(1));
    drop(database);
    let database = start(&fs).unwrap();
    assert!(database.catalog().table_by_oid(sample.t).is_none());
    database.checkpoint().unwrap();
    assert!(files(&fs, "/db/tables/1").is_empty() && files(&fs, "/db/indexes/1").is_empty());
    database.check().unwrap();
    let again = create_t(&database);
    load(&database, again, 0..5, "again");
    database.close().unwrap();
    drop(database);
    let database = start(&fs).unwrap();
    assert_eq!(all(&database, again).len(), 5);
    database.check().unwrap();
    database.backup(Path::new("/backups"), &CANCEL).unwrap();
}

#[test]
fn a_damaged_table_can_be_truncated() {
    let sample = sample();
    let (fs, _) = without_rows(&sample);
    let database = start(&fs).unwrap();
    let mut before = database.begin(Isolation::RepeatableRead);
    before.start_statement();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let mark = txn.savepoint();
    done(txn.truncate(sample.t));
    txn.rollback_to(&mark).unwrap();
    done(txn.truncate(sample.t));
    insert(&mut txn, sample.t, &[(1, "one")]);
    txn.commit().unwrap();
    before.start_statement();
    assert_eq!(before.snapshot(sample.t).err().unwrap().state(), SqlState::SERIALIZATION_FAILURE);
    drop(before);
    commit(&database, sample.t, 2..4, "more");
    for _ in 0..2 {
        assert_eq!(all(&database, sample.t).len(), 3);
        assert_eq!(all(&start(&Arc::new(fs.crash(1))).unwrap(), sample.t).len(), 3);
        database.checkpoint().unwrap();
        database.check().unwrap();
    }
    assert!(files(&fs, "/db/tables/1").is_empty());
}

/// Rows in the log are read by the definition of their time, and the catalogue has the new one only: nothing is
/// checkpointed.
#[test]
fn a_table_redefined_in_the_log_comes_back_whole() {
    let sample = sample_with(|database, t| {
        let mut txn = database.begin(Isolation::ReadCommitted);
        let edit = renamed(database, t);
        done(txn.edit_catalog(vec![edit]));
        txn.commit().unwrap();
        commit(database, t, 400..410, "fourth");
    });
    let (fs, path) = without_rows(&sample);
    for round in 0..2 {
        let database = start(&fs).unwrap();
        let error = snapshot_error(&database, sample.t).unwrap();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        commit(&database, sample.u, 300 + round..301 + round, "other");
        assert_eq!(database.checkpoint().unwrap_err().state(), SqlState::DATA_CORRUPTED);
        database.close().unwrap();
    }
    let dropped = Arc::new(fs.crash(1));
    put(&fs, &path, &content(&sample.fs, &path));
    for _ in 0..2 {
        let database = start(&fs).unwrap();
        assert_eq!(all(&database, sample.t), sample.rows);
        assert_eq!(all(&database, sample.u).len(), 57);
        database.checkpoint().unwrap();
        database.check().unwrap();
    }
    let database = start(&dropped).unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(sample.t));
    txn.commit().unwrap();
    database.checkpoint().unwrap();
    database.check().unwrap();
    assert_eq!(all(&database, sample.u).len(), 57);
}

/// A sector that is not to be read makes its table damaged for as long as the server runs; what keeps a file from being
/// opened, such as too many others, is no damage.
/// Its definition is what it was: checkpoints go on.
#[test]
fn a_table_whose_drop_was_undone_is_not_redefined() {
    let sample = sample_with(|database, t| {
        let mut txn = database.begin(Isolation::ReadCommitted);
        let savepoint = txn.savepoint();
        done(txn.drop_table(t));
        txn.log_chunks(0).unwrap();
        txn.rollback_to(&savepoint).unwrap();
        drop(savepoint);
        insert(&mut txn, t, &[(400, "fourth")]);
        txn.commit().unwrap();
    });
    let (fs, path) = without_rows(&sample);
    let database = start(&fs).unwrap();
    assert!(snapshot_error(&database, sample.t).is_some());
    database.checkpoint().unwrap();
    database.close().unwrap();
    drop(database);
    put(&fs, &path, &content(&sample.fs, &path));
    assert_eq!(all(&start(&fs).unwrap(), sample.t), sample.rows);
}

#[test]
fn a_disk_that_gives_nothing_back_is_damage() {
    let sample = sample();
    for (on, opens) in [(Op::READ, true), (Op::OPEN, false)] {
        let fs = sample.fs.crash(1);
        let (faulty, faults) = FaultyFs::new(fs.crash(1));
        faults.within("/tables/1/");
        faults.arm(Fault { at: 1, on, what: What::Fail(std::io::ErrorKind::Other) });
        match Database::open(faulty, Path::new("/db"), small()) {
            Ok(database) => {
                assert!(opens, "not the table's fault");
                assert_refused("a read", &snapshot_error(&database, sample.t).unwrap());
                commit(&database, sample.u, 900..910, "more");
                database.checkpoint().unwrap();
            }
            Err(error) => assert_eq!((opens, error.state()), (false, SqlState::IO_ERROR), "{error}"),
        }
        assert_eq!(all(&start(&Arc::new(fs)).unwrap(), sample.t), sample.rows);
    }
}

/// A record that cannot be applied, as rows that cannot be read while others are applied.
#[test]
fn damage_that_replay_meets_is_the_tables_alone() {
    let sample = sample_with(|database, _| {
        let txn = TxnId(1_000_000);
        let records = [
            Record::Data { txn, storage: StorageId(1), changes: &[0xff; 9] },
            Record::Commit { txn, time: None },
        ];
        database.core().log.append(&records).unwrap();
        database.core().log.sync().unwrap();
    });
    let fs = Arc::new(sample.fs.crash(1));
    let manifest = |database: &Arc<Database>| database.core().store.checkpoint_position();
    let applied = |database: &Arc<Database>| database.core().store.extra(StorageId(1), "applied");
    let mut positions = Vec::new();
    for round in 0..2 {
        let database = start(&fs).unwrap();
        assert_eq!(snapshot_error(&database, sample.t).unwrap().state(), SqlState::DATA_CORRUPTED);
        commit(&database, sample.u, 300 + round..301 + round, "other");
        database.checkpoint().unwrap();
        positions.push((manifest(&database), applied(&database).unwrap()));
        database.close().unwrap();
    }
    assert_eq!(positions[0], positions[1], "its log stays, and what it has");
    let database = start(&fs).unwrap();
    assert_eq!(all(&database, sample.u).len(), 57);
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(sample.t));
    txn.commit().unwrap();
    database.checkpoint().unwrap();
    assert!(manifest(&database) > positions[0].0 && applied(&database).is_none());
    database.check().unwrap();
}

#[test]
fn a_damaged_catalogue_still_ends_the_open() {
    let sample = sample();
    let path = files(&sample.fs, "/db/tables/0").into_iter().next().unwrap();
    let mut refused = 0;
    for (case, fs) in damages(&sample.fs, &path) {
        match start(&fs) {
            Ok(database) => assert_eq!(all(&database, sample.t), sample.rows, "{case}"),
            Err(error) => {
                assert!(error.message().contains("/db/tables/0"), "{case}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
