//! Graphs that have no room in memory lie in files, and are none the worse for it.

use super::vacuum::{commit, create_index, index_of, load};
use super::*;
use crate::database::BuildProgress;
use crate::database::Cluster;
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{DiskFs, FaultyFs};
use std::io::ErrorKind;

fn open_with(fs: &Arc<dyn Fs>, dir: &Path, graph_bytes_max: u64) -> Arc<Database> {
    Database::open(fs.clone(), dir, Options { graph_bytes_max, ..options() }).unwrap()
}

/// Held and spilled bytes of graphs.
fn graphs(database: &Database) -> (u64, u64) {
    let usage = database.memory();
    (usage.graphs, usage.graphs_spilled)
}

fn everything_is_found(database: &Arc<Database>, table: Oid, count: usize) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    all_are_found(&snapshot);
    assert_eq!(rows(&snapshot).len(), count);
    assert!(snapshot.vector_index(3, Metric::L2, snapshot.live()).is_some());
}

#[test]
fn a_graph_without_room_lies_in_files_through_build_growth_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let memory: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    for (fs, dir) in [(memory, Path::new("/db")), (Arc::new(DiskFs) as Arc<dyn Fs>, folder.path())] {
        let database = open_with(&fs, dir, 0);
        let table = create_t(&database);
        create_index(&database, table);
        load(&database, table, 0..5_000, "x");
        let (held, spilled) = graphs(&database);
        assert!(held == 0 && spilled > 0, "{held} {spilled}");
        everything_is_found(&database, table, 5_000);
        database.close().unwrap();
        drop(database);

        // The generation is copied, for it changes with the rows that come.
        let database = open_with(&fs, dir, 0);
        load(&database, table, 5_000..6_000, "y");
        assert!(graphs(&database).1 > 0);
        everything_is_found(&database, table, 6_000);
        database.check().unwrap();
        database.close().unwrap();
        drop(database);

        // With room it is mapped, and its bytes count as held.
        let database = open_with(&fs, dir, u64::MAX);
        assert!(graphs(&database).0 > 0 && graphs(&database).1 == 0);
        everything_is_found(&database, table, 6_000);
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.drop_table(table));
        txn.commit().unwrap();
        assert_eq!(graphs(&database), (0, 0), "what is gone holds nothing");
    }
}

/// `maintenance_work_mem`.
#[test]
fn a_build_holds_what_it_may_and_what_comes_later_has_the_whole_share() {
    // The list of the rows, and one of three pieces of the links.
    const MAY: u64 = 200_000;
    for memory_max in [None, Some(MAY)] {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let database = open_with(&fs, Path::new("/db"), 1 << 30);
        let table = create_t(&database);
        for start in [0, 3_000, 6_000] {
            commit(&database, table, start..start + 3_000, "x");
        }
        let mut progress = BuildProgress::new(table, 0, Arc::default());
        progress.memory_max = memory_max;
        let mut txn = database.begin(Isolation::ReadCommitted);
        let index = index_of(&mut txn, table);
        done(txn.create_index_with(index, &progress));
        txn.commit().unwrap();
        let (held, spilled) = graphs(&database);
        if memory_max.is_some() {
            assert!(held > 0 && held <= MAY && spilled > 0, "{held} {spilled}");
            assert!(
                progress.fitted().is_some_and(|rows| 0 < rows && rows < 9_000),
                "{:?}",
                progress.fitted()
            );
        } else {
            assert!(held > MAY && spilled == 0, "{held} {spilled}");
            assert_eq!(progress.fitted(), None);
        }
        everything_is_found(&database, table, 9_000);
        load(&database, table, 9_000..14_000, "y");
        assert!(graphs(&database).0 > MAY && graphs(&database).1 == spilled);
        everything_is_found(&database, table, 14_000);
        database.check().unwrap();
    }
}

#[test]
fn without_a_file_the_graph_is_in_memory() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let database = open_with(&fs, Path::new("/db"), 0);
    let table = create_t(&database);
    create_index(&database, table);
    faults.within("spill");
    faults.arm(Fault { at: 1, on: Op::ALLOCATE, what: What::FailFromHere(ErrorKind::StorageFull) });
    load(&database, table, 0..300, "x");
    assert!(graphs(&database).0 > 0 && graphs(&database).1 == 0);
    everything_is_found(&database, table, 300);
}

/// Also beside a graph that is there; with room a tail is many pieces.
#[test]
fn a_tail_that_memory_does_not_hold_is_linked_at_once() {
    for (graph_bytes_max, steps) in [(0, 1), (u64::MAX, 6)] {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let database = open_with(&fs, Path::new("/db"), graph_bytes_max);
        let table = create_t(&database);
        create_index(&database, table);
        for ids in [0..3_000, 3_000..6_000] {
            let end = ids.end as usize;
            commit(&database, table, ids, "x");
            let taken = std::iter::from_fn(|| database.step_indexer().unwrap().then_some(())).count();
            // Of 3,000 rows a quarter each: 750, 562, 421 ... until 256 are a quarter or more of those left.
            assert!(if steps == 1 { taken == 1 } else { taken >= steps }, "{taken}");
            everything_is_found(&database, table, end);
        }
        database.check().unwrap();
    }
}

fn open_small(fs: &Arc<dyn Fs>, dir: &Path, metadata_bytes_max: u64) -> Arc<Database> {
    Database::open(fs.clone(), dir, Options { metadata_bytes_max, ..options() }).unwrap()
}

/// Two databases with the memory of one: what the first holds the second lacks, but for a quarter, and is read in files.
#[test]
fn databases_of_a_server_share_one_budget() {
    const METADATA_MAX: u64 = 400_000;
    const GRAPHS_MAX: u64 = 512 << 10;
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let options =
        Options { metadata_bytes_max: METADATA_MAX, graph_bytes_max: GRAPHS_MAX, ..super::options() };
    let cluster = Cluster::open(fs.clone(), Path::new("/db"), options.clone()).unwrap();
    let second = cluster.create("second").unwrap().database.unwrap();
    let tables = [cluster.main(), &second].map(|database| {
        let numbers = create_numbers(database, "numbers");
        load_numbers(database, numbers, 0..40_000);
        let table = create_t(database);
        create_index(database, table);
        load(database, table, 0..5_000, "x");
        (numbers, table)
    });
    let usage = second.memory();
    assert_eq!((usage.metadata, usage.graphs), (cluster.main().memory().metadata, usage.graphs));
    assert!(usage.metadata <= METADATA_MAX / 4 * 5 && usage.graphs <= GRAPHS_MAX, "{usage:?}");
    assert!(usage.metadata_spilled > 0 && usage.graphs_spilled > 0, "{usage:?}");
    let alone: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let plain = open_small(&alone, Path::new("/db"), u64::MAX);
    let numbers = create_numbers(&plain, "numbers");
    load_numbers(&plain, numbers, 0..40_000);
    let expected = said(&plain, numbers);
    for (database, (numbers, table)) in [cluster.main(), &second].into_iter().zip(tables) {
        assert_eq!(said(database, numbers), expected);
        everything_is_found(database, table, 5_000);
        database.check().unwrap();
    }
    // What goes leaves its memory to the other, whose next commits settle what they find too much.
    drop(second);
    cluster.remove("second").unwrap();
    load_numbers(cluster.main(), tables[0].0, 40_000..41_000);
    let usage = cluster.main().memory();
    assert!(usage.metadata <= METADATA_MAX && usage.metadata > METADATA_MAX / 2, "{usage:?}");
    cluster.close().unwrap();
}

fn create_numbers(database: &Arc<Database>, name: &str) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let columns = [Type::Int8, Type::Text, Type::Int4, Type::Uuid].into_iter().zip(1..);
    let columns = columns.map(|(ty, n)| column(n, &format!("c{n}"), ty)).collect();
    let table = create_with(&mut txn, name, columns);
    txn.commit().unwrap();
    table
}

fn numbers(id: u64) -> Vec<Value> {
    let mixed = (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    vec![
        Value::Int8(id as i64),
        Value::Text(format!("name {}", mixed >> 60)),
        Value::Int4((mixed >> 32) as i32),
        Value::Uuid((u128::from(mixed) << 64 | u128::from(id)).to_be_bytes()),
    ]
}

fn load_numbers(database: &Arc<Database>, table: Oid, ids: std::ops::Range<u64>) {
    for start in ids.clone().step_by(10_000) {
        let rows: Vec<_> = (start..ids.end.min(start + 10_000)).map(numbers).collect();
        let mut txn = database.begin(Isolation::ReadCommitted);
        rows.chunks(1_000).for_each(|rows| drop(done(txn.insert(table, rows, OnConflict::Error))));
        txn.commit().unwrap();
    }
}

/// What the indexes of a table say; the same of the same rows, wherever they lie.
fn said(database: &Arc<Database>, table: Oid) -> Vec<Option<u64>> {
    use crate::index::bitmap::Predicate;
    use std::ops::Bound;
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    let low = |value| Predicate::Range { low: Bound::Unbounded, high: Bound::Included(value) };
    let ids = [3, 777, 9_999, 31_234];
    let mut asked = vec![(1, low(Value::Int8(15_000))), (3, low(Value::Int4(0))), (4, Predicate::IsNull)];
    for id in ids {
        asked.extend(
            (2..=4).zip(&numbers(id)[1..]).map(|(column, value)| (column, Predicate::Eq(value.clone()))),
        );
    }
    asked.iter().map(|(column, predicate)| Some(snapshot.select(*column, predicate)?.len())).collect()
}

#[test]
fn metadata_indexes_keep_their_share_and_lie_in_files_beyond() {
    const HELD_MAX: u64 = 400_000;
    let folder = tempfile::tempdir().unwrap();
    let memory: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let (plain_fs, plain_dir): (Arc<dyn Fs>, _) = (Arc::new(MemoryFs::new()), Path::new("/db"));
    for (fs, dir) in [(memory, Path::new("/db")), (Arc::new(DiskFs) as Arc<dyn Fs>, folder.path())] {
        let database = open_small(&fs, dir, HELD_MAX);
        let (t, idle) = (create_numbers(&database, "t"), create_numbers(&database, "idle"));
        // Rows of the idle one are in memory, until others want it.
        load_numbers(&database, idle, 0..9_000);
        let kept = |database: &Arc<Database>| {
            let usage = database.memory();
            assert!(usage.metadata <= HELD_MAX && usage.metadata_spilled > 0, "{usage:?}");
        };
        load_numbers(&database, t, 0..40_000);
        kept(&database);
        let update = |database: &Arc<Database>, turn: u64| {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.start_statement();
            let slots: Vec<u32> = (0..5).map(|n| ((turn * 5 + n) * 7_919 % 40_000) as u32).collect();
            done(txn.lock_rows(t, &slots));
            let row = |slot: &u32| {
                let mut row = numbers(u64::from(*slot) + 100_000 + turn);
                row[0] = Value::Int8(i64::from(*slot));
                crate::database::RowUpdate { slot: *slot, row, vectors_changed: false }
            };
            done(txn.update(t, &slots.iter().map(row).collect::<Vec<_>>()));
            txn.commit().unwrap();
        };
        for turn in 0..60 {
            update(&database, turn);
            kept(&database);
            let held = database.memory().metadata;
            assert!(held > HELD_MAX / 2, "a pass moves what is too much, not all there is: {held}");
        }
        let plain = open_small(&plain_fs, plain_dir, u64::MAX);
        let plain_t = match plain.core().version.load().catalog.tables().next() {
            Some(table) => table.oid,
            None => create_numbers(&plain, "t"),
        };
        if said(&plain, plain_t)[0] == Some(0) {
            load_numbers(&plain, plain_t, 0..40_000);
            (0..60).for_each(|turn| update(&plain, turn));
        }
        let expected = said(&plain, plain_t);
        plain.close().unwrap();
        assert_eq!(said(&database, t), expected);
        database.check().unwrap();
        database.close().unwrap();
        drop(database);

        // From what was saved, and from the rows.
        for bitmap_rows_min in [1, u64::MAX] {
            let options = Options { metadata_bytes_max: HELD_MAX, bitmap_rows_min, ..options() };
            let database = Database::open(fs.clone(), dir, options).unwrap();
            kept(&database);
            assert_eq!(said(&database, t), expected);
            database.close().unwrap();
        }
        let database = open_small(&fs, dir, HELD_MAX);
        for table in [t, idle] {
            let mut txn = database.begin(Isolation::ReadCommitted);
            done(txn.drop_table(table));
            txn.commit().unwrap();
        }
        let usage = database.memory();
        assert_eq!((usage.metadata, usage.metadata_spilled), (0, 0), "what is gone holds nothing");
        assert!(fs.list(&dir.join("spill")).unwrap().is_empty());
    }
}

#[test]
fn without_a_file_metadata_indexes_are_in_memory() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let database = open_small(&fs, Path::new("/db"), 0);
    let table = create_numbers(&database, "t");
    faults.within("spill");
    faults.arm(Fault { at: 1, on: Op::WRITE, what: What::FailFromHere(ErrorKind::StorageFull) });
    load_numbers(&database, table, 0..20_000);
    let usage = database.memory();
    assert!(usage.metadata > 0 && usage.metadata_spilled == 0, "{usage:?}");
    let full = said(&database, table);
    assert!(full.iter().all(Option::is_some));
    faults.disarm();
    load_numbers(&database, table, 20_000..20_001);
    let usage = database.memory();
    assert!(usage.metadata == 0 && usage.metadata_spilled > 0, "{usage:?}");
    database.check().unwrap();
}

/// What commits could not move while the disk was full goes a piece with each commit once it has room; until then hardly any of
/// them tries.
#[test]
fn no_commit_moves_all_that_others_have_left() {
    const PIECE: u64 = 3 << 19;
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let database = open_small(&fs, Path::new("/db"), 0);
    let table = create_numbers(&database, "t");
    faults.within("spill");
    faults.arm(Fault { at: 1, on: Op::WRITE, what: What::FailFromHere(ErrorKind::StorageFull) });
    load_numbers(&database, table, 0..80_000);
    let held = || database.memory().metadata;
    let mut before = held();
    assert!(before > 2 << 20, "{before}");
    let (commits, tries) = (64, faults.met());
    (80_000..80_000 + commits).for_each(|id| load_numbers(&database, table, id..id + 1));
    let tries = faults.met() - tries;
    // Of one in sixteen, each of the four columns is tried.
    assert!((1..=commits).contains(&tries), "{tries} writes by {commits} commits");
    faults.disarm();
    let mut pieces = 0;
    for id in 90_000..90_064 {
        load_numbers(&database, table, id..id + 1);
        let after = held();
        assert!(after + PIECE > before, "{before} to {after} by one commit");
        pieces += u64::from(after < before);
        before = after;
    }
    assert!(before == 0 && pieces > 1, "{before} after {pieces} pieces");
    database.check().unwrap();
}
