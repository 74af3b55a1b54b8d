//! An ivfflat index through what may happen to it: growth, deaths and vacuum, restarts, crashes, damage.

use std::sync::atomic::AtomicBool;

use super::vacuum::{delete, load, update};
use super::*;
use crate::catalog::{Index, IndexMethod, IndexMetric, IvfflatOptions};
use crate::fs::OpenMode;
use crate::index::Finder;

static CANCEL: AtomicBool = AtomicBool::new(false);

pub fn create_lists(database: &Arc<Database>, table: Oid) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let index = Index {
        oid: txn.new_oid(),
        name: "lists".into(),
        table,
        method: IndexMethod::Ivfflat,
        columns: vec![3],
        opclasses: vec!["vector_l2_ops".into()],
        ivfflat: Some(IvfflatOptions { metric: IndexMetric::L2, lists: 8 }),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().unwrap();
}

/// Lists, slots in them, and slots in the tail.
fn state(database: &Arc<Database>, table: Oid) -> (usize, u64, u64) {
    let version = database.core().version.load_full();
    let index = version.tables[&table].state().vector_indexes[0].clone();
    let Finder::Lists(lists) = &*index.finder else { panic!("an ivfflat index has lists") };
    (lists.count(), lists.nodes().len(), index.tail.len())
}

#[test]
fn lists_follow_the_table() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    create_lists(&database, table);
    assert_eq!(state(&database, table), (0, 0, 0));
    load(&database, table, 0..3, "x");
    assert_eq!(state(&database, table), (3, 3, 0), "as many lists as there are vectors");
    load(&database, table, 3..500, "x");
    assert_eq!(state(&database, table), (8, 500, 0), "trained anew");
    update(&database, table, 0..100, "y", true);
    delete(&database, table, 400..450);
    database.vacuum(&[], &CANCEL).unwrap();
    assert_eq!(state(&database, table), (8, 450, 0));
    database.check().unwrap();
    load(&database, table, 600..650, "z");
    let expected = all(&database, table);
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    assert_eq!(state(&database, table), (8, 500, 0), "the generation of the closing has all rows");
    load(&database, table, 700..710, "z");
    let crashed = open(&Arc::new(fs.crash(7)));
    assert_eq!(state(&crashed, table), (8, 500, 10), "what came after it is tail");
    while crashed.step_indexer().unwrap() {}
    assert_eq!((state(&crashed, table), all(&crashed, table).len()), ((8, 510, 0), expected.len() + 10));
    crashed.check().unwrap();
}

#[test]
fn damaged_lists_are_built_anew() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    create_lists(&database, table);
    load(&database, table, 0..200, "x");
    let expected = all(&database, table);
    database.close().unwrap();
    drop(database);
    let folder = fs.list(Path::new("/db/indexes")).unwrap().remove(0);
    let folder = Path::new("/db/indexes").join(folder);
    for name in fs.list(&folder).unwrap() {
        assert!(name.to_str().unwrap().ends_with(".ivfflat"), "{name:?}");
        let file = fs.open(&folder.join(name), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[0xFF; 4], 100).unwrap();
    }
    let database = open(&fs);
    assert_eq!(state(&database, table), (0, 0, 200), "answered exactly");
    while database.step_indexer().unwrap() {}
    assert_eq!((state(&database, table), all(&database, table)), ((8, 200, 0), expected));
    database.check().unwrap();
}

#[test]
fn rows_without_vectors_do_not_keep_the_indexer_busy() {
    let (_, database) = fresh();
    let table = create_t(&database);
    create_lists(&database, table);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let rows: Vec<Vec<Value>> =
        (0..20).map(|id| vec![Value::Int8(id), Value::Text("x".into()), Value::Null]).collect();
    done(txn.insert(table, &rows, OnConflict::Error));
    txn.commit().unwrap();
    let steps = (0..10).take_while(|_| database.step_indexer().unwrap()).count();
    assert!(steps < 10, "it goes on for ever");
    load(&database, table, 100..130, "x");
    assert_eq!(state(&database, table), (8, 30, 0), "trained when there is something to learn from");
    database.check().unwrap();
}
