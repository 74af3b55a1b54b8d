//! What each operation promises, one at a time.

use super::*;
use crate::catalog::{
    Domain, Edit, EnumObject, Extension, Object, Partition, PartitionBound, PartitionIndex, Partitioning,
};
use crate::database::{LockOutcome, RowUpdate};
use crate::error::SqlState;
use crate::fs::faulty::{FaultyFs, Op};
use crate::types::Enum;

#[test]
fn rows_are_there_after_commit_and_after_a_crash() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(1, "one"), (2, "two")]);
    txn.start_statement();
    assert_eq!(rows(&txn.snapshot(t).unwrap()), pairs(&[(1, "one"), (2, "two")]), "own writes");
    assert!(all(&database, t).is_empty(), "not committed");
    txn.commit().unwrap();
    assert_eq!(all(&database, t), pairs(&[(1, "one"), (2, "two")]));
    let mut open_one = database.begin(Isolation::ReadCommitted);
    insert(&mut open_one, t, &[(3, "three")]);
    drop(open_one);
    for checkpoint in [false, true] {
        if checkpoint {
            database.checkpoint().unwrap();
        }
        let crashed = Arc::new(fs.crash(7));
        let database = open(&crashed);
        assert_eq!(all(&database, t), pairs(&[(1, "one"), (2, "two")]));
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, t, &[(4, "four")]);
        txn.commit().unwrap();
        assert_eq!(all(&database, t).len(), 3);
        let crashed = Arc::new(crashed.crash(7));
        assert_eq!(all(&open(&crashed), t).len(), 3);
    }
}

#[test]
fn duplicate_keys_have_postgresqls_words() {
    let (_fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(1, "one")]);
    let error = error_of(txn.insert(t, &[row(1, "uno")], OnConflict::Error));
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.message(), "duplicate key value violates unique constraint \"t_pkey\"");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (id)=(1) already exists."));
    assert_eq!(error.fields().table.as_deref(), Some("t"));
    let outcome =
        done(txn.insert(t, &[row(1, "uno"), row(2, "dos"), row(2, "x")], OnConflict::Nothing(None)));
    assert_eq!(outcome.slots.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    let index = txn.catalog().indexes_of(t).next().unwrap().oid;
    let outcome = done(txn.insert(t, &[row(2, "deux")], OnConflict::Report(index)));
    assert_eq!(outcome.conflicts.len(), 1);
    txn.start_statement();
    let slot = txn.snapshot(t).unwrap().lookup_key(index, &[Value::Int8(2)]).unwrap();
    assert_eq!(slot, Some(outcome.conflicts[0].1));
}

#[test]
fn updates_keep_or_change_the_slot() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let slots: Vec<u32> =
        insert(&mut txn, t, &[(1, "a"), (2, "b"), (3, "c")]).slots.into_iter().flatten().collect();
    txn.commit().unwrap();

    let mut old = database.begin(Isolation::RepeatableRead);
    old.start_statement();
    let before = old.snapshot(t).unwrap();

    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    assert_eq!(done(txn.lock_rows(t, &slots)), LockOutcome::Locked);
    let update = |slot, id, name, vectors_changed| RowUpdate { slot, row: row(id, name), vectors_changed };
    let new = done(txn.update(t, &[update(slots[0], 2, "B", false), update(slots[1], 1, "A", true)]));
    assert_eq!(new[0], slots[0]);
    assert_ne!(new[1], slots[1]);
    done(txn.delete(t, &[slots[2]]));
    txn.start_statement();
    let expected = pairs(&[(1, "A"), (2, "B")]);
    assert_eq!(rows(&txn.snapshot(t).unwrap()), expected);
    txn.commit().unwrap();

    assert_eq!(all(&database, t), expected);
    assert_eq!(rows(&before), pairs(&[(1, "a"), (2, "b"), (3, "c")]), "an open snapshot stays");
    old.start_statement();
    assert_eq!(rows(&old.snapshot(t).unwrap()).len(), 3, "repeatable read");
    let error = error_of(old.lock_rows(t, &slots[..1]));
    assert_eq!(error.state(), SqlState::SERIALIZATION_FAILURE);
    assert_eq!(all(&open(&Arc::new(fs.crash(7))), t), expected);
}

#[test]
fn a_writer_waits_for_the_holder_of_the_row_or_key() {
    let (_fs, database) = fresh();
    let t = create_t(&database);
    let mut first = database.begin(Isolation::ReadCommitted);
    insert(&mut first, t, &[(1, "a")]);
    let mut second = database.begin(Isolation::ReadCommitted);
    let Err(Stop::Wait(waiter)) = second.insert(t, &[row(1, "b")], OnConflict::Error) else {
        panic!("no wait")
    };
    let committing = std::thread::spawn(move || first.commit().unwrap());
    waiter.wait();
    committing.join().unwrap();
    let error = error_of(second.insert(t, &[row(1, "b")], OnConflict::Error));
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    drop(second);

    let mut third = database.begin(Isolation::ReadCommitted);
    let mut fourth = database.begin(Isolation::ReadCommitted);
    third.start_statement();
    fourth.start_statement();
    done(third.lock_rows(t, &[0]));
    assert!(matches!(fourth.lock_rows(t, &[0]), Err(Stop::Wait(_))));
    done(third.update(t, &[RowUpdate { slot: 0, row: row(1, "c"), vectors_changed: false }]));
    third.commit().unwrap();
    assert_eq!(done(fourth.lock_rows(t, &[0])), LockOutcome::Restart);
    fourth.start_statement();
    assert_eq!(done(fourth.lock_rows(t, &[0])), LockOutcome::Locked);
}

#[test]
fn dropped_and_truncated_tables_come_back_only_with_a_rollback() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(1, "a")]);
    txn.commit().unwrap();
    database.checkpoint().unwrap();

    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.truncate(t));
    insert(&mut txn, t, &[(1, "b")]);
    txn.start_statement();
    assert_eq!(rows(&txn.snapshot(t).unwrap()), pairs(&[(1, "b")]));
    txn.rollback();
    assert_eq!(all(&database, t), pairs(&[(1, "a")]));

    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.truncate(t));
    insert(&mut txn, t, &[(1, "c"), (2, "d")]);
    txn.commit().unwrap();
    assert_eq!(all(&database, t), pairs(&[(1, "c"), (2, "d")]));
    assert_eq!(all(&open(&Arc::new(fs.crash(7))), t), pairs(&[(1, "c"), (2, "d")]));
    database.checkpoint().unwrap();
    assert_eq!(all(&open(&Arc::new(fs.crash(7))), t), pairs(&[(1, "c"), (2, "d")]));

    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.drop_table(t));
    assert!(txn.snapshot(t).is_err());
    txn.commit().unwrap();
    let crashed = Arc::new(fs.crash(7));
    let reopened = open(&crashed);
    assert!(reopened.catalog().table("public", "t").is_none());
    reopened.close().unwrap();
    drop(reopened);
    let names = crashed.list(Path::new("/db/tables")).unwrap();
    for name in names {
        let files = crashed.list(&Path::new("/db/tables").join(&name)).unwrap();
        assert!(files.iter().all(|f| f.extension().is_none_or(|e| e != "vec")), "{name:?}: {files:?}");
    }
}

/// A commit that comes while a checkpoint makes vectors durable, into a table whose turn is over: recovery does not replay
/// it, so that its vectors have to be durable as well.
#[test]
fn commits_during_a_checkpoint_keep_their_vectors() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new("/db"), options()).unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let tables = [create_u(&mut txn, "t"), create_u(&mut txn, "u")];
    tables.iter().for_each(|table| drop(insert(&mut txn, *table, &[(1, "before")])));
    txn.commit().unwrap();
    let version = database.core().version.load_full();
    let table_of = {
        let version = version.clone();
        move |path: &Path| tables.into_iter().find(|table| path.starts_with(version.tables[table].dir()))
    };
    // The table whose segments came first, and that a row was committed to when those of the other came.
    let chosen: Arc<parking_lot::Mutex<(Option<Oid>, bool)>> = Arc::default();
    let (writer, state) = (database.clone(), chosen.clone());
    faults.observe(Op::SYNC, move |_, path| {
        let is_segment = path.extension().is_some_and(|extension| extension == "vec");
        let Some(table) = table_of(path).filter(|_| is_segment) else { return };
        let first = {
            let mut state = state.lock();
            let first = *state.0.get_or_insert(table);
            if first == table || std::mem::replace(&mut state.1, true) {
                return;
            }
            first
        };
        let writer = writer.clone();
        // In a thread of its own: this one is in the middle of its sync.
        let commit = std::thread::spawn(move || {
            let mut txn = writer.begin(Isolation::ReadCommitted);
            insert(&mut txn, first, &[(2, "during")]);
            txn.commit().unwrap();
        });
        commit.join().unwrap();
    });
    database.checkpoint().unwrap();
    faults.observe(Op(0), |_, _| ());
    let (table, committed) = *chosen.lock();
    assert!(committed, "segments of both tables are synced, one after the other");
    for seed in 0..10 {
        let database = open(&Arc::new(memory.crash(seed)));
        assert_eq!(all(&database, table.unwrap()), pairs(&[(1, "before"), (2, "during")]), "seed {seed}");
        database.check().unwrap();
    }
}

#[test]
fn a_closed_directory_opens_with_nothing_to_replay() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, t, &[(1, "a"), (2, "b")]);
    txn.commit().unwrap();
    database.close().unwrap();
    drop(database);
    let reopened = open(&fs);
    assert_eq!(all(&reopened, t), pairs(&[(1, "a"), (2, "b")]));
}

/// What ROLLBACK TO undoes after it was logged is free again once the transaction ends, not only after a restart.
#[test]
fn slots_undone_after_they_were_logged_are_used_again() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    for round in 0..3 {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let savepoint = txn.savepoint();
        insert(&mut txn, table, &[(100, "a"), (101, "b"), (102, "c")]);
        txn.log_chunks(0).unwrap();
        txn.rollback_to(&savepoint).unwrap();
        insert(&mut txn, table, &[(round, "kept")]);
        // Others take slots meanwhile; theirs must not be those that the log still gets changes to.
        let mut other = database.begin(Isolation::ReadCommitted);
        insert(&mut other, table, &[(50 + round, "other")]);
        other.commit().unwrap();
        txn.commit().unwrap();
    }
    let version = database.core().version.load_full();
    let end = version.tables[&table].slots_end();
    assert!(end <= 6 + 3, "{end} slots for 6 rows and what one transaction undid");
    let expected = all(&database, table);
    assert_eq!(expected.len(), 6);
    drop((version, database));
    let reopened = open(&Arc::new(fs.crash(1)));
    assert_eq!(all(&reopened, table), expected);
    reopened.check().unwrap();
}

/// Objects of every kind that stand in the catalogue by themselves, changed after a savepoint and gone back to.
#[test]
fn definitions_gone_back_to_are_there_after_a_crash() {
    let (fs, database) = fresh();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let domain = |oid, comment: Option<&str>| {
        Object::Domain(Domain {
            oid,
            schema: "public".into(),
            name: "d".into(),
            base: Type::Int4,
            collation: None,
            parent: None,
            not_null: false,
            default: None,
            checks: Vec::new(),
            comment: comment.map(str::to_owned),
        })
    };
    let labels = |oid, array_oid, comment: Option<&str>| {
        let (schema, name) = ("public".into(), "e".into());
        let definition = Enum { oid, array_oid, schema, name, labels: Vec::new() }.into();
        Object::Enum(EnumObject { definition, comment: comment.map(str::to_owned) })
    };
    let extension = |oid, version: &str| {
        let (schema, name, version) = ("public".into(), "x".into(), version.into());
        Object::Extension(Extension { oid, schema, name, version })
    };
    let [d, e, array, x] = [(); 4].map(|()| txn.new_oid());
    let kept = [domain(d, None), labels(e, array, None), extension(x, "1")];
    txn.edit_catalog(kept.iter().cloned().map(Edit::Put).collect()).unwrap();
    txn.commit().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let savepoint = txn.savepoint();
    let changed = [domain(d, Some("new")), labels(e, array, Some("new")), extension(x, "2")];
    txn.edit_catalog(changed.into_iter().map(Edit::Put).collect()).unwrap();
    txn.rollback_to(&savepoint).unwrap();
    drop(savepoint);
    txn.commit().unwrap();
    for database in [&database, &open(&Arc::new(fs.crash(1)))] {
        let catalog = database.catalog();
        let found = [d, e, x].map(|oid| catalog.object_by_oid(oid).unwrap());
        assert_eq!(found, kept);
        database.check().unwrap();
    }
}

/// Its definition is in the parent's, whose number is older.
#[test]
fn the_number_of_a_partition_is_not_given_out_again_after_a_crash() {
    let (fs, database) = fresh();
    let t = create_t(&database);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let mut altered = Table::clone(txn.catalog().table_by_oid(t).unwrap());
    let (oid, own) = (txn.new_oid(), txn.new_oid());
    let of = txn.catalog().indexes_of(t).next().unwrap().oid;
    let part = Partition {
        oid,
        schema: "public".into(),
        name: "t_a".into(),
        bound: PartitionBound::In(vec![Some("a".into())]),
        defaults: Vec::new(),
        comment: None,
        indexes: vec![PartitionIndex { oid: own, name: "t_a_pkey".into(), of }],
        options: Vec::new(),
    };
    altered.partitioning = Some(Partitioning { column: 2, strategy: Default::default(), parts: vec![part] });
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
    txn.commit().unwrap();
    for checkpoint in [false, true] {
        if checkpoint {
            database.checkpoint().unwrap();
        }
        let reopened = open(&Arc::new(fs.crash(1)));
        let next = reopened.begin(Isolation::ReadCommitted).new_oid();
        assert!(next > own, "{next} is given out, and {own} is there");
    }
}

#[test]
fn filters_and_indexes_of_sorted_tables_are_told_in_memory() {
    let (fs, database) = fresh();
    let table = create_t(&database);
    super::vacuum::load(&database, table, 0..2_000, "x");
    assert_eq!(database.memory().table_filters, 0, "all rows are in memtables");
    database.checkpoint().unwrap();
    let ask = |database: &Database| {
        let before = database.memory().table_filters;
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let rows: Vec<_> = (0..2_000).map(|id| row(id, "x")).collect();
        done(txn.insert(table, &rows, OnConflict::Nothing(None)));
        let after = database.memory();
        // Ten bits for each key.
        let read = after.table_filters - before;
        assert!(
            read >= 2_000 * 10 / 8 && after.table_filters <= after.table_filters_max,
            "{before}, {after:?}"
        );
    };
    ask(&database);
    database.close().unwrap();
    drop(database);
    ask(&open(&fs));
}

/// What is found is the first of them, whole; all of them once somebody has waited for the disk, or the log writer was there.
#[test]
fn a_crash_undoes_only_the_last_of_what_did_not_wait_for_the_disk() {
    let mut undone = 0;
    for seed in 0..60 {
        let (fs, database) = fresh();
        let table = create_t(&database);
        let commit = |id: i64, waits| {
            let mut txn = database.begin(Isolation::ReadCommitted);
            insert(&mut txn, table, &[(id, "a"), (id + 1_000, "b")]);
            txn.wait_for_disk(waits);
            txn.commit().unwrap();
        };
        let found = || {
            let again = open(&Arc::new(fs.crash(seed)));
            again.check().unwrap();
            let found: Vec<i64> = all(&again, table).into_iter().map(|(id, _)| id).collect();
            let half = found.len() as i64 / 2;
            let expected: Vec<i64> = (0..half).chain(1_000..1_000 + half).collect();
            assert_eq!(
                found.into_iter().collect::<BTreeSet<_>>(),
                expected.into_iter().collect(),
                "seed {seed}"
            );
            half
        };
        (0..5).for_each(|id| commit(id, true));
        (5..20).for_each(|id| commit(id, false));
        assert_eq!(all(&database, table).len(), 40, "they are visible");
        let left = found();
        assert!(left >= 5, "seed {seed}: {left}");
        undone += 20 - left;
        match seed % 3 {
            0 => commit(20, true),
            1 => assert!(!database.step_log_writer().unwrap()),
            _ => database.checkpoint().unwrap(),
        }
        assert_eq!(found(), if seed % 3 == 0 { 21 } else { 20 }, "seed {seed}");
        // Files come with definitions, which wait always.
        let mut txn = database.begin(Isolation::ReadCommitted);
        let other = create_u(&mut txn, "u");
        txn.wait_for_disk(false);
        txn.commit().unwrap();
        let again = open(&Arc::new(fs.crash(seed)));
        assert!(again.catalog().table_by_oid(other).is_some(), "seed {seed}");
    }
    assert!(undone > 60, "{undone} commits were undone: the test shows nothing");
}
