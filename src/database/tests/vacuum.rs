//! Vacuum: what it frees, what it must not touch, and that a crash at any moment of it loses nothing.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::scrub::{files, flip};
use super::*;
use crate::catalog::{HnswOptions, Index, IndexMethod, IndexMetric};
use crate::database::scrub::Kind;
use crate::database::{AutovacuumOptions, Holder, RowUpdate};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::error::SqlState;
use crate::fs::FaultyFs;
use crate::fs::faulty::{Fault, Op, What};

static CANCEL: AtomicBool = AtomicBool::new(false);

pub fn create_index(database: &Arc<Database>, table: Oid) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_index(&mut txn, table);
    txn.commit().unwrap();
}

pub fn add_index(txn: &mut Transaction, table: Oid) {
    let index = index_of(txn, table);
    done(txn.create_index(index));
}

/// A graph of the vectors, in a new statement.
pub fn index_of(txn: &mut Transaction, table: Oid) -> Index {
    txn.start_statement();
    Index {
        oid: txn.new_oid(),
        name: "t_v".into(),
        table,
        method: IndexMethod::Hnsw,
        columns: vec![3],
        hnsw: Some(HnswOptions { metric: IndexMetric::L2, m: 4, ef_construction: 16, quantization: None }),
        ..Index::default()
    }
}

/// Rows in a commit of their own; in vector indexes they are tail.
pub fn commit(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>, name: &str) {
    let rows: Vec<(i64, &str)> = ids.map(|id| (id, name)).collect();
    let mut txn = database.begin(Isolation::ReadCommitted);
    insert(&mut txn, table, &rows);
    txn.commit().unwrap();
}

/// The same, and the indexer takes them in.
pub fn load(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>, name: &str) {
    commit(database, table, ids, name);
    while database.step_indexer().unwrap() {}
}

fn slots(txn: &Transaction, table: Oid) -> BTreeMap<i64, u32> {
    let snapshot = txn.snapshot(table).unwrap();
    let id = |row: &[u8]| match snapshot.layout().read(row).unwrap().value(0).unwrap() {
        Value::Int8(id) => id,
        other => panic!("{other:?}"),
    };
    snapshot.scan().map(|entry| entry.unwrap()).map(|(slot, row)| (id(&row), slot)).collect()
}

/// Updates rows; with `moved`, their vectors too, which gives them other slots.
pub fn update(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>, name: &str, moved: bool) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let slots = slots(&txn, table);
    let chosen: Vec<(i64, u32)> = ids.map(|id| (id, slots[&id])).collect();
    done(txn.lock_rows(table, &chosen.iter().map(|(_, slot)| *slot).collect::<Vec<_>>()));
    let new =
        |(id, slot): &(i64, u32)| RowUpdate { slot: *slot, row: row(*id, name), vectors_changed: moved };
    done(txn.update(table, &chosen.iter().map(new).collect::<Vec<_>>()));
    txn.commit().unwrap();
    while database.step_indexer().unwrap() {}
}

pub fn delete(database: &Arc<Database>, table: Oid, ids: std::ops::Range<i64>) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let slots = slots(&txn, table);
    let chosen: Vec<u32> = ids.map(|id| slots[&id]).collect();
    done(txn.lock_rows(table, &chosen));
    done(txn.delete(table, &chosen));
    txn.commit().unwrap();
}

fn vacuum(database: &Arc<Database>) -> crate::database::Vacuumed {
    let mut done = database.vacuum(&[], &CANCEL).unwrap();
    assert_eq!(done.len(), 1);
    database.check().unwrap();
    done.remove(0)
}

/// Bytes of the data directory without the log, whose size is bounded by its segments.
fn bytes(database: &Arc<Database>) -> u64 {
    database.bytes_on_disk() - database.core().log.bytes()
}

fn setup(rows: i64) -> (Arc<MemoryFs>, Arc<Database>, Oid) {
    let (fs, database) = fresh();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..rows, &"x".repeat(100));
    (fs, database, table)
}

#[test]
fn slots_of_dead_rows_are_used_again() {
    let (fs, database, table) = setup(3_000);
    for round in 0..5 {
        let first = 3_000 + 300 * round;
        delete(&database, table, 300 * round..300 * round + 300);
        let done = vacuum(&database);
        assert_eq!((done.nodes, done.slots_free, done.slots_held), (300, 300, 0), "round {round}");
        load(&database, table, first..first + 300, "y");
        let version = database.core().version.load_full();
        assert_eq!(version.tables[&table].slots_end(), 3_000, "round {round}: no new slot is needed");
    }
    let expected = all(&database, table);
    assert_eq!(expected.len(), 3_000);
    let reopened = open(&Arc::new(fs.crash(0)));
    assert_eq!(all(&reopened, table), expected);
    reopened.check().unwrap();
}

/// The promise: after every row was updated five times and a vacuum, at most 1.3 times what the rows take when they are
/// written once.
#[test]
fn a_vacuum_gives_space_back() {
    for moved in [false, true] {
        let (_fs, once, table) = setup(1_600);
        update(&once, table, 0..1_600, &"z".repeat(100), false);
        vacuum(&once);
        let live = bytes(&once);
        let (fs, database, table) = setup(1_600);
        for round in 0..5 {
            for piece in 0..4 {
                update(&database, table, piece * 400..piece * 400 + 400, &"z".repeat(100), moved);
            }
            if round == 2 {
                database.checkpoint().unwrap();
            }
        }
        let before = bytes(&database);
        let done = vacuum(&database);
        assert_eq!(done.obsolete, 8_000);
        let after = bytes(&database);
        println!("vectors {moved}: live {live}, before the vacuum {before}, after it {after}");
        assert!(after <= live + live * 3 / 10, "vectors {moved}: {after} bytes, {live} when written once");
        assert_eq!(all(&database, table).len(), 1_600);
        assert_eq!(all(&open(&Arc::new(fs.crash(3))), table).len(), 1_600);
    }
}

#[test]
fn an_open_snapshot_keeps_what_it_sees_and_is_named() {
    let (_fs, database, table) = setup(1_000);
    let mut old = database.begin(Isolation::RepeatableRead);
    old.start_statement();
    let before = old.snapshot(table).unwrap();
    let expected = rows(&before);
    update(&database, table, 0..500, "new", true);
    delete(&database, table, 500..1_000);
    let done = vacuum(&database);
    assert_eq!((done.slots_held, done.slots_free, done.nodes), (1_000, 0, 0));
    load(&database, table, 2_000..2_600, "fresh");
    vacuum(&database);
    assert_eq!(rows(&before), expected);
    assert_eq!(rows(&old.snapshot(table).unwrap()), expected);
    let held = database.snapshots();
    assert_eq!((held[0].seq, held[0].holder), (old.snapshot_seq(), Holder::Transaction(None)));
    assert!(held[0].seq < database.published());
    drop((before, old));
    assert!(database.snapshots().is_empty());
    let done = vacuum(&database);
    assert_eq!((done.slots_held, done.slots_free, done.nodes), (0, 1_000, 1_000));
}

#[test]
fn autovacuum_follows_postgresqls_rule() {
    let (fs, database, table) = setup(1_000);
    drop(database);
    let autovacuum = AutovacuumOptions { threshold: 50, scale_factor: 0.2, ..AutovacuumOptions::default() };
    let options = Options { autovacuum, ..options() };
    let fs: Arc<dyn Fs> = fs;
    let database = Database::open(fs, Path::new("/db"), options).unwrap();
    update(&database, table, 0..250, "a", false);
    database.step_autovacuum().unwrap();
    assert_eq!(database.garbage(table).unwrap().obsolete, 250, "50 + 0.2 * 1000 is not passed");
    update(&database, table, 0..1, "b", false);
    database.step_autovacuum().unwrap();
    assert_eq!(database.garbage(table).unwrap().obsolete, 0);
}

/// Of two tables that are due, one has a block that cannot be read: the other has its vacuum all the same, and the first
/// is tried again after a rest, twice as long after each failure.
#[test]
fn a_table_that_rotted_rests_and_others_have_their_vacuum() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    // Each block is read from its file.
    let storage = crate::storage::Options { cache_bytes_max: 0, ..options().storage };
    let database = Database::open(fs, Path::new("/db"), Options { storage, ..options() }).unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let tables = ["s", "t", "u"].map(|name| create_u(&mut txn, name));
    txn.commit().unwrap();
    for table in tables {
        load(&database, table, 0..400, "first");
    }
    database.checkpoint().unwrap();
    for table in tables {
        update(&database, table, 0..300, "second", false);
    }
    let storage = database.core().version.load().tables[&tables[1]].storage();
    let folder = Path::new("/db/tables").join(storage.0.to_string());
    let rotten = files(&memory, &folder, ".sst").remove(0);
    flip(&memory, &rotten, 30);
    let obsolete = |table: Oid| database.garbage(table).unwrap().obsolete;
    let findings = || {
        let all = database.scrub_state().findings;
        all.into_iter().map(|finding| (finding.table, finding.kind, finding.file)).collect::<Vec<_>>()
    };
    let start = Instant::now();
    // How many changes of files there were.
    let step = |seconds: u64| {
        let before = faults.count(Op::CHANGES);
        assert!(!database.step_autovacuum_at(start + Duration::from_secs(seconds)).unwrap());
        faults.count(Op::CHANGES) - before
    };
    assert!(step(0) > 0);
    assert_eq!(tables.map(obsolete), [0, 300, 0]);
    let told = [(Some("public.t".to_owned()), Kind::Rows, rotten.display().to_string())];
    assert_eq!(findings(), told);
    assert_eq!(step(59), 0, "it rests");
    assert!(step(60) > 0, "it is tried again");
    assert_eq!(step(179), 0, "it rests for longer");
    assert_eq!((obsolete(tables[1]), findings()), (300, told.to_vec()));
    // A table that becomes due meanwhile does not wait for it, and what was mended is vacuumed.
    update(&database, tables[0], 0..300, "third", false);
    assert!(step(179) > 0);
    assert_eq!(tables.map(obsolete), [0, 300, 0]);
    flip(&memory, &rotten, 30);
    assert!(step(180) > 0);
    assert_eq!(tables.map(obsolete), [0, 0, 0]);
    database.check().unwrap();
}

/// The power fails before every change of a file while a vacuum runs, and while rows are written afterwards.
#[test]
fn a_crash_during_a_vacuum_loses_nothing() {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new("/db"), options()).unwrap();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..600, "x");
    database.checkpoint().unwrap();
    update(&database, table, 0..300, "y", true);
    delete(&database, table, 300..450);
    let survivors: Arc<parking_lot::Mutex<Vec<MemoryFs>>> = Arc::default();
    let (taken, inner) = (survivors.clone(), memory.clone());
    faults.observe(Op::CHANGES, move |_, _| {
        let mut taken = taken.lock();
        let seed = taken.len() as u64 % 7;
        taken.push(inner.crash(seed));
    });
    let expected = all(&database, table);
    vacuum(&database);
    let during = survivors.lock().len();
    load(&database, table, 1_000..1_100, "z");
    let later = all(&database, table);
    faults.observe(Op(0), |_, _| ());
    let survivors = std::mem::take(&mut *survivors.lock());
    assert!(during > 20, "{during} operations");
    let count = survivors.len();
    for (number, fs) in survivors.into_iter().enumerate() {
        let database = open(&Arc::new(fs));
        let found = all(&database, table);
        assert!(
            found == expected || number >= during && found == later,
            "before operation {number} of {count}"
        );
        database.check().unwrap_or_else(|error| panic!("before operation {number} of {count}: {error}"));
        vacuum(&database);
        assert_eq!(all(&database, table), found);
    }
}

/// Space that a vacuum gave back is reserved again before replay writes there: a full disk refuses to open, by name, and
/// no write fails half way. With room the same directory opens.
#[test]
fn recovery_on_a_full_disk_is_refused_before_it_writes_vectors() {
    let (fs, database, table) = setup(1_500);
    delete(&database, table, 0..1_200);
    let done = vacuum(&database);
    assert!(done.slots_free >= 1_200);
    load(&database, table, 2_000..2_300, "again");
    let expected = all(&database, table);
    drop(database);
    let (full, faults) = FaultyFs::new(fs.crash(1));
    faults.within(".vec");
    faults.arm(Fault { at: 1, on: Op::ALLOCATE, what: What::FailFromHere(ErrorKind::StorageFull) });
    let written = faults.count(Op::WRITE);
    let error =
        Database::open(full.clone(), Path::new("/db"), options()).err().expect("no space for the vectors");
    assert_eq!(error.state(), SqlState::DISK_FULL, "{error}");
    assert!(error.message().contains(".vec"), "{error}");
    let log_and_control = faults.count(Op::WRITE) - written;
    assert!(log_and_control < 10, "{log_and_control} writes before the refusal");
    faults.disarm();
    let database = Database::open(full, Path::new("/db"), options()).unwrap();
    assert_eq!(all(&database, table), expected);
    database.check().unwrap();
}

/// Every row updated five times, with another vector each time, and a vacuum: the disk has little more than what lives.
#[test]
fn updates_and_a_vacuum_leave_little_more_than_what_lives() {
    let (_, once, table) = setup(2_000);
    vacuum(&once);
    let live = bytes(&once);
    assert_eq!(all(&once, table).len(), 2_000);
    let (_, database, table) = setup(2_000);
    for round in 0..5 {
        let name = format!("{round}").repeat(100);
        update(&database, table, 0..2_000, &name, true);
        while database.step_storage().unwrap() {}
    }
    vacuum(&database);
    let after = bytes(&database);
    let stats = database.storage_stats();
    println!("{after} bytes for {live}; {stats:?}");
    assert!(after as f64 <= 1.3 * live as f64, "{after} bytes where {live} live");
    assert!(stats.arrived_bytes > 5 * 2_000 * 20 && stats.merged_bytes > 0, "{stats:?}");
    assert!(stats.write_amplification() > 1.0 && stats.space_amplification() < 1.3, "{stats:?}");
}
