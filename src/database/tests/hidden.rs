//! Hidden columns: they come to a table that has rows, follow every write, and a crash at any moment brings back either
//! none of an index or all of it.
//!
//! The table is `t` of this folder; hidden column 4 is `v::halfvec(3)`, and 5 is `name = 'in'`, on which a partial index
//! of column 3 is.

use roaring::RoaringBitmap;

use super::vacuum::load;
use super::*;
use crate::catalog::{
    DroppedColumn, Edit, Generated, HnswOptions, Index, IndexMethod, IndexMetric, IndexPredicate, Object,
};
use crate::database::RowUpdate;
use crate::distance::Metric;
use crate::types::halfvec;

fn hidden(number: u16, ty: Type, sql: &str) -> Column {
    Column {
        metadata_index: ty == Type::Bool,
        generated: Some(Generated { sql: sql.into(), guard: None }),
        ..column(number, "", ty)
    }
}

fn stored(id: i64, name: &str) -> Vec<Value> {
    let mut values = row(id, name);
    values.push(Value::Halfvec(halfvec::from_vector(&[id as f32, 1.0, -1.0]).unwrap()));
    values.push(Value::Bool(name == "in"));
    values
}

/// (slot, id, name)
fn slots(txn: &Transaction, table: Oid) -> Vec<(u32, i64, String)> {
    let snapshot = txn.snapshot(table).unwrap();
    let decode = |(slot, row): (u32, crate::storage::Slice)| {
        let values = snapshot.layout().read(&row).unwrap().values().unwrap();
        match (&values[0], &values[1]) {
            (Value::Int8(id), Value::Text(name)) => (slot, *id, name.clone()),
            other => panic!("{other:?}"),
        }
    };
    snapshot.scan().map(|entry| decode(entry.unwrap())).collect()
}

fn add_indexes(txn: &mut Transaction, table: Oid) {
    txn.start_statement();
    done(txn.lock_table(table));
    let mut altered = Table::clone(txn.catalog().table_by_oid(table).unwrap());
    altered.hidden =
        vec![hidden(4, Type::Halfvec(Some(3)), "v::halfvec(3)"), hidden(5, Type::Bool, "name = 'in'")];
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
    let rows: Vec<(u32, Vec<Value>)> = slots(txn, table)
        .into_iter()
        .map(|(slot, id, name)| (slot, stored(id, &name)[3..].to_vec()))
        .collect();
    done(txn.fill(table, &[4, 5], &rows));
    for (name, columns, guard) in [("whole", vec![4], None), ("partial", vec![3], Some(5))] {
        let index = Index {
            oid: txn.new_oid(),
            name: name.into(),
            table,
            method: IndexMethod::Hnsw,
            columns,
            hnsw: Some(HnswOptions {
                metric: IndexMetric::L2,
                m: 4,
                ef_construction: 16,
                quantization: None,
            }),
            predicate: guard.map(|guard| IndexPredicate { sql: "name = 'in'".into(), column: Some(guard) }),
            ..Index::default()
        };
        done(txn.create_index(index));
    }
}

/// Every row's hidden values are what its others make of them, and the partial index is of the rows it says.
fn check(database: &Arc<Database>, table: Oid, expected: usize) {
    database.check().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    let view = snapshot.hidden_view(4).unwrap();
    let mut inside = RoaringBitmap::new();
    let all = slots(&txn, table);
    assert_eq!(all.len(), expected);
    for (slot, id, name) in all {
        view.verify(slot).unwrap();
        let Value::Halfvec(vector) = &stored(id, &name)[3] else { panic!("no halfvec") };
        assert!(matches!(view.get(slot), crate::distance::Vector::F16(found) if found == vector.as_slice()));
        let row = snapshot.row(slot).unwrap().unwrap();
        let guard = snapshot.layout().read(&row).unwrap().value(4).unwrap();
        assert_eq!(guard, Value::Bool(name == "in"), "row {id}");
        if name == "in" {
            inside.insert(slot);
        }
    }
    let index = snapshot.vector_index(3, Metric::L2, &inside).expect("it holds all of these");
    assert_eq!(index.index.name, "partial");
    let known = &*index.finder.nodes() | &*index.tail;
    assert!(inside.is_subset(&known), "{inside:?} in {known:?}");
    assert!(snapshot.vector_index(3, Metric::L2, snapshot.live()).is_none());
    assert_eq!(snapshot.vector_index(4, Metric::L2, snapshot.live()).unwrap().index.name, "whole");
}

fn set_names(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>, name: &str, moved: bool) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let chosen: Vec<(u32, i64, String)> =
        slots(&txn, table).into_iter().filter(|(_, id, _)| ids.contains(id)).collect();
    done(txn.lock_rows(table, &chosen.iter().map(|(slot, ..)| *slot).collect::<Vec<_>>()));
    let update = |(slot, id, _): &(u32, i64, String)| RowUpdate {
        slot: *slot,
        row: stored(*id, name),
        vectors_changed: moved,
    };
    done(txn.update(table, &chosen.iter().map(update).collect::<Vec<_>>()));
    txn.commit().unwrap();
}

fn add_rows(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>, name: &str) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let rows: Vec<Vec<Value>> = ids.map(|id| stored(id, name)).collect();
    done(txn.insert(table, &rows, OnConflict::Error));
    txn.commit().unwrap();
}

#[test]
fn hidden_columns_follow_every_write_and_come_back_after_a_crash() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    load(&database, t, 1..30, "in");
    load(&database, t, 30..60, "out");
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_indexes(&mut txn, t);
    let before = open(&Arc::new(fs.crash(7)));
    before.check().unwrap();
    assert!(before.catalog().table_by_oid(t).unwrap().hidden.is_empty());
    assert_eq!(all(&before, t).len(), 59);
    txn.commit().unwrap();
    check(&database, t, 59);
    check(&open(&Arc::new(fs.crash(7))), t, 59);
    add_rows(&database, t, 60..70, "in");
    set_names(&database, t, 1..10, "out", false);
    set_names(&database, t, 30..35, "in", false);
    set_names(&database, t, 35..40, "in", true);
    check(&database, t, 69);
    check(&open(&Arc::new(fs.crash(7))), t, 69);
    while database.step_indexer().unwrap() {}
    set_names(&database, t, 1..5, "in", false);
    set_names(&database, t, 30..33, "out", false);
    database.checkpoint().unwrap();
    check(&database, t, 69);
    let crashed = Arc::new(fs.crash(7));
    check(&open(&crashed), t, 69);
    set_names(&database, t, 30..33, "in", false);
    while database.step_indexer().unwrap() {}
    database.vacuum(&[], &std::sync::atomic::AtomicBool::new(false)).unwrap();
    check(&database, t, 69);
    check(&open(&Arc::new(fs.crash(7))), t, 69);
}

#[test]
fn own_rows_are_filled_and_a_savepoint_takes_all_of_it_back() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    load(&database, t, 1..10, "in");
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(20, "out"), (21, "in")]);
    let savepoint = txn.savepoint();
    add_indexes(&mut txn, t);
    txn.rollback_to(&savepoint).unwrap();
    assert!(txn.catalog().table_by_oid(t).unwrap().hidden.is_empty());
    insert(&mut txn, t, &[(22, "in")]);
    add_indexes(&mut txn, t);
    txn.commit().unwrap();
    check(&database, t, 12);
    check(&open(&Arc::new(fs.crash(7))), t, 12);
}

#[test]
fn a_column_that_a_savepoint_brings_back_has_its_vectors_after_a_crash() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    load(&database, t, 1..10, "in");
    // The log before does not have them any more.
    database.checkpoint().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let savepoint = txn.savepoint();
    txn.start_statement();
    done(txn.lock_table(t));
    let mut altered = Table::clone(txn.catalog().table_by_oid(t).unwrap());
    let place = altered.position(3).unwrap();
    let gone = altered.columns.remove(place);
    altered.dropped.push(DroppedColumn { number: gone.number, ty: gone.ty });
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
    txn.rollback_to(&savepoint).unwrap();
    insert(&mut txn, t, &[(20, "out")]);
    // The same with a column of this transaction.
    add_indexes(&mut txn, t);
    let savepoint = txn.savepoint();
    let index = txn.catalog().index("public", "whole").unwrap().oid;
    done(txn.drop_index(index));
    txn.rollback_to(&savepoint).unwrap();
    txn.commit().unwrap();
    check(&database, t, 10);
    let crashed = open(&Arc::new(fs.crash(7)));
    check(&crashed, t, 10);
    let mut txn = crashed.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(t).unwrap();
    let vectors = snapshot.vector_view(3).unwrap();
    assert!(snapshot.live().iter().all(|slot| !vectors.is_null(slot)));
}

#[test]
fn dropping_the_indexes_drops_their_columns() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    load(&database, t, 1..10, "in");
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_indexes(&mut txn, t);
    txn.commit().unwrap();
    for name in ["whole", "partial"] {
        let mut txn = database.begin(Isolation::ReadCommitted);
        let index = txn.catalog().index("public", name).unwrap().oid;
        done(txn.drop_index(index));
        txn.commit().unwrap();
    }
    let definition = database.catalog().table_by_oid(t).unwrap().clone();
    assert!(definition.hidden.is_empty());
    assert_eq!(definition.dropped.len(), 2);
    load(&database, t, 10..12, "in");
    database.check().unwrap();
    let crashed = open(&Arc::new(fs.crash(7)));
    crashed.check().unwrap();
    assert_eq!(all(&crashed, t).len(), 11);
}

#[test]
fn an_older_snapshot_is_not_answered_from_a_newer_column() {
    let (_fs, database) = fresh();
    let t = create_t(&database);
    load(&database, t, 1..10, "in");
    let mut old = database.begin(Isolation::RepeatableRead);
    old.start_statement();
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_indexes(&mut txn, t);
    txn.commit().unwrap();
    old.start_statement();
    let refused = old.snapshot(t).unwrap().hidden_view(4).map(|_| ());
    assert_eq!(refused.unwrap_err().state(), crate::error::SqlState::SERIALIZATION_FAILURE);
}

#[test]
fn rows_without_their_hidden_columns_are_refused() {
    let (_fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_indexes(&mut txn, t);
    let error = error_of(txn.insert(t, &[row(1, "in")], OnConflict::Error));
    assert_eq!(error.message(), "a row of 3 values for 5 stored columns");
}
