//! Graphs that have no room in memory lie in files, and are none the worse for it.

use super::vacuum::{commit, create_index, index_of, load};
use super::*;
use crate::database::BuildProgress;
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
