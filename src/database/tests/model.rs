//! Interleaved transactions against a naive model, with crashes, checkpoints and index maintenance between.
//!
//! The model keeps every committed version of the table as a map; a transaction's view is the map it started from
//! (or the newest, per statement) with its own changes. Keys that another open transaction has touched must make a
//! writer wait; then the model expects the waiter and the writer gives up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::catalog::{DroppedColumn, Edit, HnswOptions, Index, IndexMethod, IndexMetric, Object};
use crate::database::{LockOutcome, RowUpdate, Savepoint};
use crate::distance::{Metric, Query};
use crate::index::bitmap::Predicate;
use crate::index::quantizer::Quantization;

/// What happens next. Transactions are three; a step for one that is not open begins it.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        txn: usize,
        ids: Vec<i64>,
    },
    Update {
        txn: usize,
        id: i64,
        name: u8,
    },
    Move {
        txn: usize,
        id: i64,
        to: i64,
    },
    Delete {
        txn: usize,
        id: i64,
    },
    Read {
        txn: usize,
    },
    Commit {
        txn: usize,
    },
    Rollback {
        txn: usize,
    },
    Savepoint {
        txn: usize,
    },
    RollbackTo {
        txn: usize,
    },
    /// Hands the changes so far to the log, as a large transaction does.
    Flush {
        txn: usize,
    },
    Checkpoint,
    Storage,
    Indexer,
    Crash {
        seed: u64,
    },
    Close,
}

type Rows = BTreeMap<i64, String>;

struct Open {
    txn: Transaction,
    isolation: Isolation,
    /// The committed rows it sees.
    base: Rows,
    /// Own changes; `None` deletes.
    own: BTreeMap<i64, Option<String>>,
    savepoint: Option<(Savepoint, BTreeMap<i64, Option<String>>)>,
    /// Ids written before going back to a savepoint: still locked.
    undone: BTreeSet<i64>,
}

impl Open {
    fn view(&self) -> Rows {
        let mut rows = self.base.clone();
        for (id, name) in &self.own {
            match name {
                Some(name) => drop(rows.insert(*id, name.clone())),
                None => drop(rows.remove(id)),
            }
        }
        rows
    }

    /// Whether it sees a row of this key that another transaction has deleted since: once it has written the key again it
    /// sees two rows of one key, as in PostgreSQL, and a map knows one.
    fn sees_twin(&self, id: i64) -> bool {
        self.base.contains_key(&id) && !self.own.contains_key(&id)
    }
}

struct World {
    fs: Arc<MemoryFs>,
    database: Arc<Database>,
    t: Oid,
    committed: Rows,
    open: [Option<Open>; 3],
}

fn step() -> impl Strategy<Value = Step> {
    let (txn, id) = (0..3_usize, 0..24_i64);
    prop_oneof![
        4 => (txn.clone(), proptest::collection::vec(id.clone(), 1..5)).prop_map(|(txn, ids)| Step::Insert { txn, ids }),
        3 => (txn.clone(), id.clone(), any::<u8>()).prop_map(|(txn, id, name)| Step::Update { txn, id, name }),
        2 => (txn.clone(), id.clone(), id.clone()).prop_map(|(txn, id, to)| Step::Move { txn, id, to }),
        2 => (txn.clone(), id).prop_map(|(txn, id)| Step::Delete { txn, id }),
        3 => txn.clone().prop_map(|txn| Step::Read { txn }),
        3 => txn.clone().prop_map(|txn| Step::Commit { txn }),
        1 => txn.clone().prop_map(|txn| Step::Rollback { txn }),
        2 => txn.clone().prop_map(|txn| Step::Savepoint { txn }),
        2 => txn.clone().prop_map(|txn| Step::RollbackTo { txn }),
        1 => txn.prop_map(|txn| Step::Flush { txn }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Storage),
        1 => Just(Step::Indexer),
        1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        1 => Just(Step::Close),
    ]
}

impl World {
    fn new() -> World {
        let (fs, database) = fresh();
        let t = create_t(&database);
        create_hnsw(&database, t);
        World { fs, database, t, committed: Rows::new(), open: [None, None, None] }
    }

    fn begin(&mut self, number: usize) -> &mut Open {
        let database = &self.database;
        let committed = &self.committed;
        let open = self.open[number].get_or_insert_with(|| {
            let isolation = if number == 2 { Isolation::RepeatableRead } else { Isolation::ReadCommitted };
            let mut txn = database.begin(isolation);
            txn.start_statement();
            Open {
                txn,
                isolation,
                base: committed.clone(),
                own: BTreeMap::new(),
                savepoint: None,
                undone: BTreeSet::new(),
            }
        });
        if open.isolation == Isolation::ReadCommitted {
            open.txn.start_statement();
            open.base = self.committed.clone();
        }
        open
    }

    fn slot(&mut self, number: usize, id: i64) -> Option<u32> {
        let t = self.t;
        let open = self.begin(number);
        let index = open.txn.catalog().indexes_of(t).find(|index| index.unique).unwrap().oid;
        open.txn.snapshot(t).unwrap().lookup_key(index, &[Value::Int8(id)]).unwrap()
    }

    /// Whether another open transaction has written this id.
    fn contended(&self, number: usize, id: i64) -> bool {
        self.open.iter().enumerate().any(|(other, open)| {
            let wrote = |open: &Open| open.own.contains_key(&id) || open.undone.contains(&id);
            other != number && open.as_ref().is_some_and(wrote)
        })
    }

    fn give_up(&mut self, number: usize) {
        self.open[number] = None;
    }

    fn run(&mut self, step: Step) {
        let t = self.t;
        match step {
            Step::Insert { txn, ids } => self.insert(txn, &ids),
            Step::Update { txn, id, name } => self.change(txn, id, |row| {
                let name = format!("n{name}");
                (id, name, row)
            }),
            Step::Move { txn, id, to } => self.change(txn, id, |row| (to, format!("from {id}"), row)),
            Step::Delete { txn, id } => {
                let Some(slot) = self.slot(txn, id) else { return };
                if !self.lock(txn, slot) {
                    return;
                }
                let contended = self.contended(txn, id);
                let open = self.begin(txn);
                match open.txn.delete(t, &[slot]) {
                    Ok(()) => drop(open.own.insert(id, None)),
                    Err(Stop::Wait(_)) => {
                        assert!(contended, "waited for nobody to delete {id}");
                        self.give_up(txn);
                    }
                    Err(Stop::Error(error)) => {
                        assert_eq!(error.state(), crate::error::SqlState::DEADLOCK_DETECTED);
                        self.give_up(txn);
                    }
                }
            }
            Step::Read { txn } => {
                let open = self.begin(txn);
                let expected: Vec<_> = open.view().into_iter().collect();
                let snapshot = open.txn.snapshot(t).unwrap();
                check_snapshot(&snapshot, &expected);
            }
            Step::Commit { txn } => {
                let Some(open) = self.open[txn].take() else { return };
                for (id, name) in &open.own {
                    match name {
                        Some(name) => drop(self.committed.insert(*id, name.clone())),
                        None => drop(self.committed.remove(id)),
                    }
                }
                open.txn.commit().unwrap();
                self.check();
            }
            Step::Rollback { txn } => self.give_up(txn),
            Step::Savepoint { txn } => {
                let open = self.begin(txn);
                open.savepoint = Some((open.txn.savepoint(), open.own.clone()));
            }
            Step::RollbackTo { txn } => {
                let open = self.begin(txn);
                let Some((savepoint, own)) = &open.savepoint else { return };
                open.txn.rollback_to(savepoint).unwrap();
                let undone = std::mem::replace(&mut open.own, own.clone());
                open.undone.extend(undone.into_keys());
                let expected: Vec<_> = open.view().into_iter().collect();
                open.txn.start_statement();
                check_snapshot(&open.txn.snapshot(t).unwrap(), &expected);
            }
            Step::Flush { txn } => self.begin(txn).txn.log_chunks(0).unwrap(),
            Step::Checkpoint => self.database.checkpoint().unwrap(),
            Step::Storage => drop(self.database.step_storage().unwrap()),
            Step::Indexer => drop(self.database.step_indexer().unwrap()),
            Step::Crash { seed } => {
                self.open = [None, None, None];
                self.fs = Arc::new(self.fs.crash(seed));
                self.database = open(&self.fs);
                self.check();
            }
            Step::Close => {
                self.open = [None, None, None];
                self.database.close().unwrap();
                // The directory's lock goes with the last reference.
                self.database = fresh().1;
                self.database = open(&self.fs);
                self.check();
            }
        }
    }

    fn insert(&mut self, number: usize, ids: &[i64]) {
        let t = self.t;
        let contended = ids.iter().any(|id| self.contended(number, *id));
        let newest: Rows = self.committed.clone();
        let open = self.begin(number);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let rows: Vec<_> = ids.iter().map(|id| row(*id, "new")).collect();
        // Uniqueness is judged on the newest committed rows, whatever the snapshot.
        let exists = |id: &i64| open.own.get(id).map_or(newest.contains_key(id), Option::is_some);
        let twice = ids.windows(2).any(|pair| pair[0] == pair[1]);
        let duplicate = twice || ids.iter().any(exists);
        match open.txn.insert(t, &rows, OnConflict::Error) {
            Ok(_) => {
                assert!(!duplicate, "inserted {ids:?}");
                let twins = ids.iter().any(|id| open.sees_twin(*id));
                open.own.extend(ids.iter().map(|id| (*id, Some("new".into()))));
                if twins {
                    self.give_up(number);
                }
            }
            Err(Stop::Wait(_)) => {
                assert!(contended, "waited for nobody");
                self.give_up(number);
            }
            Err(Stop::Error(error)) => {
                assert!(duplicate && error.state() == crate::error::SqlState::UNIQUE_VIOLATION, "{error}");
                self.give_up(number);
            }
        }
    }

    /// Locks a row of the statement's snapshot; whether it may be changed now.
    fn lock(&mut self, number: usize, slot: u32) -> bool {
        let t = self.t;
        let open = self.begin(number);
        match open.txn.lock_rows(t, &[slot]) {
            Ok(LockOutcome::Locked) => return true,
            Ok(LockOutcome::Restart) => panic!("the statement's snapshot is the newest"),
            Err(Stop::Wait(_)) => {}
            Err(Stop::Error(error)) => {
                assert_eq!(error.state(), crate::error::SqlState::SERIALIZATION_FAILURE);
                assert_eq!(open.isolation, Isolation::RepeatableRead);
            }
        }
        self.give_up(number);
        false
    }

    /// Changes the row of `id`; vectors change with the id.
    fn change(&mut self, number: usize, id: i64, to: impl Fn(u32) -> (i64, String, u32)) {
        let t = self.t;
        let Some(slot) = self.slot(number, id) else { return };
        if !self.lock(number, slot) {
            return;
        }
        let (new_id, name, slot) = to(slot);
        let newest = self.committed.clone();
        let contended = self.contended(number, new_id) || self.contended(number, id);
        let open = self.begin(number);
        let exists = open.own.get(&new_id).map_or(newest.contains_key(&new_id), Option::is_some);
        let update = RowUpdate { slot, row: row(new_id, &name), vectors_changed: new_id != id };
        match open.txn.update(t, &[update]) {
            Ok(slots) => {
                assert!(new_id == id || !exists, "{id} became {new_id}");
                assert_eq!(slots[0] == slot, new_id == id);
                let twin = new_id != id && open.sees_twin(new_id);
                open.own.insert(id, None);
                open.own.insert(new_id, Some(name));
                if twin {
                    self.give_up(number);
                }
            }
            Err(Stop::Wait(_)) => {
                assert!(contended, "waited for nobody");
                self.give_up(number);
            }
            Err(Stop::Error(error)) => {
                assert!(exists && error.state() == crate::error::SqlState::UNIQUE_VIOLATION, "{error}");
                self.give_up(number);
            }
        }
    }

    fn check(&self) {
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let expected: Vec<_> = self.committed.clone().into_iter().collect();
        check_snapshot(&txn.snapshot(self.t).unwrap(), &expected);
    }
}

/// Rows, metadata index and nearest neighbours all say what the model says.
fn check_snapshot(snapshot: &Snapshot, expected: &[(i64, String)]) {
    assert_eq!(rows(snapshot), expected);
    let some_name = Predicate::Eq(Value::Text("new".into()));
    let mut found = snapshot.select(2, &some_name).expect("texts are few");
    for slot in snapshot.visible_dirty().unwrap().iter() {
        let row = snapshot.row(slot).unwrap().unwrap();
        if snapshot.layout().read(&row).unwrap().value(1).unwrap() == Value::Text("new".into()) {
            found.insert(slot);
        }
    }
    let named = expected.iter().filter(|(_, name)| name == "new").count() as u64;
    assert_eq!(found.len(), named, "slots by metadata index");
    assert!(found.iter().all(|slot| snapshot.visible(slot).unwrap()));
    check_nearest(snapshot, expected.len());
}

/// Every visible row is in the graph, in the tail or dirty.
fn check_nearest(snapshot: &Snapshot, expected: usize) {
    let Some(index) = snapshot.vector_index(3, Metric::L2, snapshot.live()) else { return };
    let view = snapshot.vector_view(3).unwrap();
    let visible_dirty = snapshot.visible_dirty().unwrap();
    let request = crate::index::Request {
        vectors: &view,
        query: Query::new(Metric::L2, &[5.0, 1.0, -1.0]),
        rows: crate::index::Rows::new(snapshot.live(), snapshot.dirty(), &visible_dirty),
        finder: Some(&index.finder),
        tail: &index.tail,
        k: 100,
        ef: 100,
        distances_max: u64::MAX,
        probes: crate::index::Probes { first: 1, most: 1 },
        strategy: None,
        cancel: &std::sync::atomic::AtomicBool::new(false),
    };
    let found = crate::index::search(&request).unwrap();
    assert_eq!(found.hits.len(), expected.min(100));
    let nodes = index.finder.nodes();
    let live = &**snapshot.live() - &**snapshot.dirty();
    assert!((&(&live - &*nodes) - &*index.tail).is_empty(), "a row is neither in the graph nor in the tail");
}

fn create_hnsw(database: &Arc<Database>, table: Oid) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let index = Index {
        oid: txn.new_oid(),
        name: "t_v_idx".into(),
        table,
        method: IndexMethod::Hnsw,
        columns: vec![3],
        opclasses: vec!["vector_l2_ops".into()],
        hnsw: Some(HnswOptions {
            metric: IndexMetric::L2,
            m: 4,
            ef_construction: 16,
            quantization: Some(Quantization::Sq8),
        }),
        ..Index::default()
    };
    done(txn.create_index(index));
    txn.commit().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn transactions_do_what_the_model_does(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
    }
}

#[test]
fn spilled_transactions_are_like_others() {
    spilled_like_others(false);
}

#[test]
fn transactions_spilled_aside_are_like_others() {
    spilled_like_others(true);
}

fn spilled_like_others(background: bool) {
    let fs = Arc::new(MemoryFs::new());
    let options = Options { overlay_bytes_max: 2000, background, ..options() };
    let dynamic: Arc<dyn Fs> = fs.clone();
    let database = Database::open(dynamic, Path::new("/db"), options).unwrap();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    for first in (0..600).step_by(60) {
        let rows: Vec<_> = (first..first + 60).map(|id| row(id, "bulk")).collect();
        done(txn.insert(t, &rows, OnConflict::Error));
    }
    txn.start_statement();
    let snapshot = txn.snapshot(t).unwrap();
    assert_eq!(rows(&snapshot).len(), 600);
    let duplicate = error_of(txn.insert(t, &[row(17, "again")], OnConflict::Error));
    assert_eq!(duplicate.state(), crate::error::SqlState::UNIQUE_VIOLATION);
    let slots: Vec<u32> = (100..200).collect();
    assert_eq!(done(txn.lock_rows(t, &slots)), LockOutcome::Locked);
    done(txn.delete(t, &slots));
    txn.start_statement();
    assert_eq!(rows(&txn.snapshot(t).unwrap()).len(), 500);
    txn.commit().unwrap();
    assert_eq!(rows(&snapshot).len(), 600, "a cursor goes on reading what it read");
    assert_eq!(all(&database, t).len(), 500);
    assert_eq!(all(&open(&Arc::new(fs.crash(3))), t).len(), 500);
    database.checkpoint().unwrap();
    assert_eq!(all(&open(&Arc::new(fs.crash(4))), t).len(), 500);
}

#[test]
fn a_new_column_has_its_missing_value_in_old_rows() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(1, "a"), (2, "b")]);
    txn.commit().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let mut definition = crate::catalog::Table::clone(txn.catalog().table_by_oid(t).unwrap());
    let mut encoded = Vec::new();
    crate::table::Layout::new(&[Type::Int4]).encode(&[Value::Int4(7)], &mut encoded).unwrap();
    definition.columns.push(Column { missing: Some(encoded), ..column(4, "n", Type::Int4) });
    definition.columns.push(column(5, "w", Type::Vector(Some(2))));
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
    let mut three = row(3, "c");
    three.extend([Value::Int4(8), Value::Vector(vec![1.0, 2.0])]);
    done(txn.insert(t, &[three], OnConflict::Error));
    txn.commit().unwrap();
    for database in [&database, &open(&Arc::new(fs.crash(1)))] {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(t).unwrap();
        assert_eq!(rows(&snapshot).len(), 3);
        assert_eq!(snapshot.select(4, &Predicate::Eq(Value::Int4(7))).unwrap().len(), 2);
        let view = snapshot.vector_view(5).unwrap();
        for entry in snapshot.scan() {
            let (slot, row) = entry.unwrap();
            let reader = snapshot.layout().read(&row).unwrap();
            let old = reader.value(0).unwrap() != Value::Int8(3);
            assert_eq!(reader.value(3).unwrap(), Value::Int4(if old { 7 } else { 8 }));
            assert_eq!((view.is_null(slot), reader.is_null(4).unwrap()), (old, old));
        }
    }
}

#[test]
fn a_dropped_column_leaves_the_others_readable() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let mut definition = crate::catalog::Table::clone(txn.catalog().table_by_oid(t).unwrap());
    definition.columns.push(column(4, "w", Type::Vector(Some(2))));
    definition.columns.push(column(5, "n", Type::Int4));
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition.clone()))]));
    let wide = |id: i64| {
        let mut wide = row(id, "a");
        wide.extend([Value::Vector(vec![id as f32, 2.0]), Value::Int4(id as i32)]);
        wide
    };
    done(txn.insert(t, &[wide(1), wide(2)], OnConflict::Error));
    txn.commit().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.insert(t, &[wide(3)], OnConflict::Error));
    // Name and first vector go; the insert above is logged after the definition that no longer has them.
    for position in [2, 1] {
        let gone = definition.columns.remove(position);
        definition.dropped.push(DroppedColumn { number: gone.number, ty: gone.ty });
    }
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
    let narrow = |id: i64| vec![Value::Int8(id), Value::Vector(vec![id as f32, 2.0]), Value::Int4(id as i32)];
    done(txn.insert(t, &[narrow(4)], OnConflict::Error));
    txn.commit().unwrap();
    let check = |database: &Arc<Database>| {
        database.check().unwrap();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(t).unwrap();
        let view = snapshot.vector_view(4).unwrap();
        assert_eq!(snapshot.select(5, &Predicate::Eq(Value::Int4(3))).unwrap().len(), 1);
        assert!(snapshot.vector_view(3).is_err());
        let mut found = Vec::new();
        for entry in snapshot.scan() {
            let (slot, row) = entry.unwrap();
            let values = snapshot.layout().read(&row).unwrap().values().unwrap();
            let Value::Int8(id) = values[0] else { panic!("{values:?}") };
            assert_eq!(
                (view.get(slot).as_f32(), &values[2]),
                (&[id as f32, 2.0][..], &Value::Int4(id as i32))
            );
            found.push(id);
        }
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4]);
    };
    check(&database);
    check(&open(&Arc::new(fs.crash(1))));
    database.checkpoint().unwrap();
    check(&database);
    check(&open(&Arc::new(fs.crash(2))));
}

#[test]
fn definitions_go_back_to_a_savepoint() {
    for crash in [false, true] {
        let (fs, database) = fresh();
        let t = create_t(&database);
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, t, &[(1, "a")]);
        let savepoint = txn.savepoint();
        insert(&mut txn, t, &[(2, "b")]);
        txn.log_chunks(0).unwrap();
        let mut definition = crate::catalog::Table::clone(txn.catalog().table_by_oid(t).unwrap());
        definition.name = "renamed".into();
        definition.columns.push(column(4, "w", Type::Vector(Some(2))));
        done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
        let mut three = row(3, "c");
        three.push(Value::Vector(vec![1.0, 2.0]));
        done(txn.insert(t, &[three], OnConflict::Error));
        done(txn.truncate(t));
        txn.rollback_to(&savepoint).unwrap();
        txn.start_statement();
        assert_eq!(rows(&txn.snapshot(t).unwrap()), pairs(&[(1, "a")]));
        insert(&mut txn, t, &[(2, "B")]);
        drop(savepoint);
        txn.commit().unwrap();
        let database = if crash { open(&Arc::new(fs.crash(1))) } else { database };
        assert_eq!(database.catalog().table("public", "t").unwrap().columns.len(), 3);
        assert_eq!(all(&database, t), pairs(&[(1, "a"), (2, "B")]));
    }
}
