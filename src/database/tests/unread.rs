//! A file that is cut while it is mapped: reading it is a SIGBUS, which has to be an error of the statement that met it.
//!
//! On the real file system. The rows have been read through before, so that no first look finds the damage: what a search
//! reads behind the cut are zeros, and it must notice by itself.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::vacuum::create_index;
use super::*;
use crate::database::scrub::Kind;
use crate::error::{Result, SqlState};
use crate::fs::DiskFs;
use crate::types::Sparsevec;

static CANCEL: AtomicBool = AtomicBool::new(false);

fn open_at(dir: &Path) -> Arc<Database> {
    Database::open(Arc::new(DiskFs), dir, options()).unwrap()
}

fn load(database: &Arc<Database>, table: Oid, count: i64) {
    for first in (0..count).step_by(500) {
        let rows: Vec<_> = (first..count.min(first + 500)).map(|id| row(id, "x")).collect();
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.insert(table, &rows, OnConflict::Error));
        txn.commit().unwrap();
    }
}

fn create_other(database: &Arc<Database>) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let oid = create_u(&mut txn, "u");
    txn.commit().unwrap();
    oid
}

/// Ids of the nearest rows, as a statement finds them.
fn nearest(database: &Arc<Database>, table: Oid, to: f32, by: By) -> Result<Vec<u32>> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table)?;
    let view = snapshot.vector_view(3)?;
    let asked = [to, 1.0, -1.0];
    let index = snapshot.vector_index(3, Metric::L2, snapshot.live());
    let none = roaring::RoaringBitmap::new();
    let request = Request {
        vectors: &view,
        query: Query::new(Metric::L2, &asked[..]),
        rows: Rows::exactly(snapshot.live()),
        finder: index.as_ref().map(|index| &*index.finder),
        tail: index.as_ref().map_or(&none, |index| &index.tail),
        k: 3,
        ef: 40,
        distances_max: u64::MAX,
        probes: Probes { first: 1, most: 1 },
        strategy: Some(by),
        cancel: &CANCEL,
    };
    Ok(search(&request)?.hits.iter().map(|hit| hit.slot).collect())
}

fn file(dir: &Path, database: &Arc<Database>, table: Oid, folder: &str, ending: &str) -> PathBuf {
    let storage = database.core().version.load().tables[&table].storage();
    let folder = dir.join(folder).join(storage.0.to_string());
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = names.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found.pop().unwrap()
}

fn cut(path: &Path, len: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn vectors_behind_a_cut_are_an_error_and_other_tables_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    let database = open_at(&dir);
    let (table, other) = (create_t(&database), create_other(&database));
    create_index(&database, table);
    load(&database, table, 3_000);
    load(&database, other, 300);
    while database.step_indexer().unwrap() {}
    database.scrub(&CANCEL).unwrap();
    assert!(database.scrub_state().findings.is_empty());
    assert_eq!(nearest(&database, table, 2_900.2, By::Exact).unwrap()[0], 2_900);

    let path = file(&dir, &database, table, "tables", ".vec");
    // The first group of 256 rows stays.
    cut(&path, 12_288);
    for by in [By::Exact, By::Graph, By::Exact] {
        let error = nearest(&database, table, 2_900.2, by).unwrap_err();
        assert!([SqlState::IO_ERROR, SqlState::DATA_CORRUPTED].contains(&error.state()), "{error}");
        let message = error.message();
        assert!(message.contains(&path.display().to_string()) && message.contains("offset"), "{message}");
    }
    // One row, by its key: not what the map has now.
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let view = txn.snapshot(table).unwrap().vector_view(3).unwrap();
    view.verify(2).unwrap();
    assert!(view.verify(2_900).is_err());
    assert!(view.is_surely_null(2_900).is_err());
    drop((view, txn));
    let findings = database.scrub_state().findings;
    let of_file = |kind| findings.iter().any(|f| f.kind == kind && f.file == path.display().to_string());
    assert!(of_file(Kind::Vector), "{findings:?}");

    // Nothing is written over the damage, and others are served.
    let mut txn = database.begin(Isolation::ReadCommitted);
    assert!(txn.insert(table, &[row(9_000, "new")], OnConflict::Error).is_err());
    drop(txn);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 12_288);
    assert_eq!(nearest(&database, other, 200.2, By::Exact).unwrap()[0], 200);
    load_one(&database, other, 9_001);
    database.checkpoint().unwrap();
    assert!(!database.scrub(&CANCEL).unwrap().findings.is_empty());
    database.close().unwrap();
    drop(database);

    let database = open_at(&dir);
    assert_eq!(all(&database, other).len(), 301);
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let error = txn.snapshot(table).err().unwrap();
    assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
    assert!(error.message().contains(".vec"), "{error}");
}

fn load_one(database: &Arc<Database>, table: Oid, id: i64) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.insert(table, &[row(id, "one")], OnConflict::Error));
    txn.commit().unwrap();
}

#[test]
fn a_graph_behind_a_cut_is_built_anew_while_answers_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    let database = open_at(&dir);
    let table = create_t(&database);
    create_index(&database, table);
    // More than a chunk of blocks, so that some stay in the file.
    load(&database, table, 9_000);
    while database.step_indexer().unwrap() {}
    database.close().unwrap();
    drop(database);

    let database = open_at(&dir);
    let path = file(&dir, &database, table, "indexes", ".hnsw");
    // The first page of links is looked at by nobody yet.
    cut(&path, 4096);
    for to in [0.2f32, 1_000.2, 4_000.2, 8_000.2] {
        let found = nearest(&database, table, to, By::Graph).unwrap();
        assert_eq!(found, [to as u32, to as u32 + 1, (to as u32).checked_sub(1).unwrap_or(2)]);
    }
    // What was read as zeros is not saved as a generation.
    let finder = || database.core().version.load().tables[&table].state().vector_indexes[0].finder.clone();
    assert!(finder().refuse_unread().is_err());
    database.checkpoint().unwrap();
    assert_eq!(file(&dir, &database, table, "indexes", ".hnsw"), path);
    let lost = finder();
    while database.step_indexer().unwrap() {}
    assert!(finder().refuse_unread().is_ok() && !Arc::ptr_eq(&lost, &finder()));
    let findings = database.scrub_state().findings;
    assert!(findings.iter().any(|f| f.kind == Kind::Graph && f.message.contains(".hnsw")), "{findings:?}");
    all_are_found(&{
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        txn.snapshot(table).unwrap()
    });
    database.checkpoint().unwrap();
    assert!(!path.exists(), "the damaged generation is gone");
    database.close().unwrap();
    drop((lost, database));
    let database = open_at(&dir);
    assert_eq!(nearest(&database, table, 4_000.2, By::Graph).unwrap()[0], 4_000);
    assert!(database.scrub(&CANCEL).unwrap().findings.is_empty());
}

/// Cells of sparse vectors lie in files of their own, and where they lie stands in the segment: both may be cut.
#[test]
fn sparse_vectors_behind_a_cut_are_an_error() {
    for ending in [".heap", ".vec"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("db");
        let database = open_at(&dir);
        let mut txn = database.begin(Isolation::ReadCommitted);
        let columns = vec![column(1, "id", Type::Int8), column(3, "s", Type::Sparsevec(Some(8)))];
        let table = create_with(&mut txn, "s", columns);
        txn.commit().unwrap();
        let cell = |id: i64| Sparsevec::new(8, [(id as u32 % 5, id as f32 + 1.0), (6, 1.5)].into_iter());
        let rows: Vec<_> = (0..3_000).map(|id| vec![Value::Int8(id), Value::Sparsevec(cell(id))]).collect();
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.insert(table, &rows, OnConflict::Error));
        txn.commit().unwrap();
        database.checkpoint().unwrap();
        database.scrub(&CANCEL).unwrap();
        let path = file(&dir, &database, table, "tables", ending);
        cut(&path, 8192);
        for _ in 0..2 {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.start_statement();
            let snapshot = txn.snapshot(table).unwrap();
            let view = snapshot.vector_view(3).unwrap();
            let asked = cell(7);
            let query = Query::new(Metric::L2, &asked);
            let cancel = &CANCEL;
            let error =
                crate::index::flat::select(&view, &query, snapshot.live(), cancel, |_, rank| rank < 1.0);
            let error = error.unwrap_err();
            assert!(error.message().contains(&path.display().to_string()), "{error}");
        }
        // Where cells lie is not read from zeros: those of a row that goes are not taken for others.
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.lock_rows(table, &[2_999]));
        done(txn.delete(table, &[2_999]));
        txn.commit().unwrap();
        let outcome = database.vacuum(&[table], &CANCEL);
        assert_eq!(outcome.is_err(), ending == ".vec", "{outcome:?}");
    }
}

/// The file is whole again: the next statement says so once more, and from then on everything is as before.
#[test]
fn what_can_be_read_again_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    let database = open_at(&dir);
    let table = create_t(&database);
    load(&database, table, 2_000);
    database.checkpoint().unwrap();
    database.scrub(&CANCEL).unwrap();
    let path = file(&dir, &database, table, "tables", ".vec");
    let whole = std::fs::read(&path).unwrap();
    cut(&path, 4096);
    nearest(&database, table, 1_500.2, By::Exact).unwrap_err();
    nearest(&database, table, 1_500.2, By::Exact).unwrap_err();
    std::fs::write(&path, &whole).unwrap();
    nearest(&database, table, 1_500.2, By::Exact).unwrap_err();
    assert_eq!(nearest(&database, table, 1_500.2, By::Exact).unwrap(), [1_500, 1_501, 1_499]);
    assert!(database.scrub(&CANCEL).unwrap().findings.is_empty());
    database.check().unwrap();
    CANCEL.store(false, Ordering::Relaxed);
}
