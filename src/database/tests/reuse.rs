//! Slots, and who may still take one for its former row: after restarts, beside the indexer, under old snapshots.

use super::vacuum::{commit, create_index, delete, load, update};
use super::*;
use crate::catalog::{Edit, Object};

static CANCEL: AtomicBool = AtomicBool::new(false);

fn look(database: &Arc<Database>, table: Oid) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    all_are_found(&txn.snapshot(table).unwrap());
    database.check().unwrap();
}

/// The last rows of a table die, it is opened anew, and others are born.
#[test]
fn slots_past_the_last_live_row_are_not_given_out_while_a_graph_knows_them() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..500, "x");
    delete(&database, table, 300..500);
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    load(&database, table, 1_000..1_200, "y");
    look(&database, table);
    // And after a crash that brings a generation back which knows more than the graph does.
    database.checkpoint().unwrap();
    update(&database, table, 1_000..1_200, "z", true);
    delete(&database, table, 1_000..1_200);
    database.vacuum(&[], &CANCEL).unwrap();
    let database = open(&Arc::new(fs.crash(4)));
    load(&database, table, 2_000..2_300, "z");
    look(&database, table);
}

/// A vector column that comes between a checkpoint and a crash has room for the rows there are.
#[test]
fn a_new_vector_column_survives_a_crash_after_a_checkpoint() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    load(&database, table, 0..100, "x");
    database.checkpoint().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.lock_table(table));
    let mut altered = Table::clone(txn.catalog().table_by_oid(table).unwrap());
    altered.columns.push(column(4, "w", Type::Vector(Some(2))));
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
    txn.commit().unwrap();
    let database = open(&Arc::new(fs.crash(1)));
    database.check().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let view = txn.snapshot(table).unwrap().vector_view(4).unwrap();
    assert!((0..100).all(|slot| view.is_null(slot)));
    let changed: Vec<Value> = row(7, "y").into_iter().chain([Value::Null]).collect();
    done(txn.lock_rows(table, &[7]));
    done(txn.update(table, &[crate::database::RowUpdate { slot: 7, row: changed, vectors_changed: false }]));
    txn.commit().unwrap();
    database.check().unwrap();
    database.close().unwrap();
}

/// The indexer links rows while they are searched for.
#[test]
fn rows_that_are_being_linked_are_found_once() {
    let (_, database) = fresh();
    let table = create_t(&database);
    create_index(&database, table);
    commit(&database, table, 0..4_000, "x");
    std::thread::scope(|scope| {
        let linking = scope.spawn(|| while database.step_indexer().unwrap() {});
        while !linking.is_finished() {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.start_statement();
            are_found(&txn.snapshot(table).unwrap(), 10, 1_000);
        }
    });
    look(&database, table);
}

/// Versions that a snapshot keeps are counted until a vacuum can take them.
#[test]
fn what_a_snapshot_holds_back_stays_counted() {
    let (_, database) = fresh();
    let table = create_t(&database);
    load(&database, table, 0..100, "x");
    let mut reader = database.begin(Isolation::RepeatableRead);
    reader.start_statement();
    update(&database, table, 0..100, "y", false);
    assert_eq!(database.garbage(table).unwrap().obsolete, 100);
    database.vacuum(&[], &CANCEL).unwrap();
    assert_eq!(database.garbage(table).unwrap().obsolete, 100, "the reader sees them");
    drop(reader);
    database.vacuum(&[], &CANCEL).unwrap();
    assert_eq!(database.garbage(table).unwrap().obsolete, 0);
}
