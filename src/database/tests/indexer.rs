//! When a tail waits, and when it does not.

use super::vacuum::{add_index, commit, create_index};
use super::*;
use crate::database::indexer::is_due;
use crate::distance::Metric;

fn tail(database: &Arc<Database>, table: Oid) -> u64 {
    database.core().version.load_full().tables[&table].state().vector_indexes[0].tail.len()
}

#[test]
fn a_tail_waits_while_it_grows_and_nobody_searches() {
    let (_, database) = fresh();
    let table = create_t(&database);
    create_index(&database, table);
    let step = || database.index_tails(is_due).unwrap();
    assert!(!step(), "nothing to do");

    commit(&database, table, 0..10, "x");
    assert!(!step(), "it grew");
    commit(&database, table, 10..20, "x");
    assert!(!step(), "it grew again");
    assert!(step(), "it did not grow since");
    assert_eq!((tail(&database, table), step()), (0, false));

    commit(&database, table, 20..30, "x");
    let txn = database.begin(Isolation::ReadCommitted);
    let snapshot = txn.snapshot(table).unwrap();
    assert!(snapshot.vector_index(3, Metric::L2, snapshot.live()).is_some());
    drop((snapshot, txn));
    assert!(step(), "it grew, but a search compared it");
    assert_eq!(tail(&database, table), 0);

    // 65,536 rows are linked however fast more arrive.
    commit(&database, table, 30..65_000, "x");
    assert!(!step(), "it grew");
    commit(&database, table, 65_000..65_600, "x");
    assert!(step(), "it is too long to wait");
    database.check().unwrap();
}

/// Rows of the transaction that builds the index are in its graph when they are born.
#[test]
fn an_index_built_beside_new_rows_keeps_its_graph() {
    let (_, database) = fresh();
    let table = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, table, &(0..50).map(|id| (id, "x")).collect::<Vec<_>>());
    add_index(&mut txn, table);
    txn.commit().unwrap();
    let index = database.core().version.load_full().tables[&table].state().vector_indexes[0].clone();
    assert_eq!(index.finder.nodes().len(), 50, "nothing is left to compare exactly");
    database.check().unwrap();
}
