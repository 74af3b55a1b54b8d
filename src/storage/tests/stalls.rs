//! A tree whose flush fails or hangs, beside others.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::error::{Error, SqlState};
use crate::fs::faulty::{Fault, Faults, Op, What};
use crate::fs::{FaultyFs, MemoryFs};

const OTHER: StorageId = StorageId(8);
const MEMORY: usize = 256 << 10;

fn store() -> (Store, Arc<Faults>) {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let options = Options {
        frozen_memtables_max: 2,
        memtables_bytes_max: MEMORY,
        flush_wait_max: Duration::ZERO,
        ..Options::tiny()
    };
    (Store::open(fs, Path::new("data"), options).unwrap(), faults)
}

/// Writes some 100 bytes as a commit would; the error of one that is not let in.
fn commit(store: &Store, tree: &Arc<Tree>, number: &mut u64) -> Result<()> {
    let admitted = admit(store, tree)?;
    *number += 1;
    tree.write(Seq(*number), [(&number.to_be_bytes()[..], Some(&[7u8; 100][..]))]).unwrap();
    drop(admitted);
    Ok(())
}

/// Flushes and compacts until there is nothing to do, or only what fails.
fn settle(store: &Store) {
    while matches!(store.step(), Ok(true)) {}
}

#[test]
fn a_tree_that_cannot_be_flushed_is_refused_by_itself() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let (store, faults) = store();
        let (tree, other) = (store.create_tree(TREE), store.create_tree(OTHER));
        faults.within("tables/7/");
        faults.arm(Fault { at: 1, on: Op::CHANGES, what: What::FailFromHere(kind) });
        let mut number = 0;
        let error = loop {
            match commit(&store, &tree, &mut number) {
                Ok(()) => assert!(number < 10_000, "nothing refuses the writes"),
                Err(error) => break error,
            }
        };
        let state = if kind == ErrorKind::StorageFull { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
        assert_eq!(error.state(), state, "{error}");
        let refused = number;
        let mut bytes_max = 0;
        for _ in 0..2_000 {
            commit(&store, &other, &mut number).unwrap();
            bytes_max = bytes_max.max(store.stats().memtable_bytes);
        }
        assert!(bytes_max < MEMORY / 4, "{bytes_max} bytes in memory");
        assert_eq!(commit(&store, &tree, &mut number).unwrap_err().state(), state);
        assert_eq!(store.stats().flushes_failing, 1);
        assert_eq!(whole(&tree, LATEST).unwrap().len() as u64, refused, "what was let in is there");
        faults.disarm();
        settle(&store);
        commit(&store, &tree, &mut number).unwrap();
        assert_eq!(store.stats().flushes_failing, 0);
    }
}

#[test]
fn trees_that_cannot_be_flushed_stop_the_others_only_when_they_fill_memory() {
    let (store, faults) = store();
    faults.only(|path| path.to_string_lossy().contains("tables/1"));
    faults.arm(Fault { at: 1, on: Op::CHANGES, what: What::FailFromHere(ErrorKind::StorageFull) });
    let stuck: Vec<_> = (100..200).map(|id| store.create_tree(StorageId(id))).collect();
    let other = store.create_tree(OTHER);
    let mut number = 0;
    let mut refused = 0;
    for tree in &stuck {
        // Each has a little, so that none is too much alone.
        for _ in 0..60 {
            refused += u32::from(commit(&store, tree, &mut number).is_err());
        }
        settle(&store);
        if store.stats().memtable_bytes <= MEMORY {
            commit(&store, &other, &mut number).unwrap();
        }
    }
    let bytes = store.stats().memtable_bytes;
    assert!(refused > 0 && bytes > MEMORY && bytes < 2 * MEMORY, "{bytes} bytes that cannot be flushed");
    let error = commit(&store, &other, &mut number).unwrap_err();
    assert_eq!(error.state(), SqlState::DISK_FULL, "there is no room for anybody: {error}");
    faults.disarm();
    settle(&store);
    for tree in stuck.iter().chain([&other]) {
        commit(&store, tree, &mut number).unwrap();
    }
}

/// Flushes that have begun hang until the sender is dropped.
fn hang(faults: &Faults, part: &'static str) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let hanging = parking_lot::Mutex::new((begun, gone));
    faults.observe(Op::CREATE, move |_, path| {
        if path.to_string_lossy().contains(part) {
            let hanging = hanging.lock();
            let _ = hanging.0.send(());
            // An error is the end of the wait.
            let _ = hanging.1.recv();
        }
    });
    (has_begun, go)
}

#[test]
fn a_wait_for_a_flush_that_hangs_ends_with_an_error() {
    let (store, faults) = store();
    let (tree, other) = (store.create_tree(TREE), store.create_tree(OTHER));
    let (has_begun, go) = hang(&faults, "tables/7/");
    store.start_background().unwrap();
    let mut number = 0;
    let error = loop {
        match commit(&store, &tree, &mut number) {
            Ok(()) => assert!(number < 10_000, "nothing waits"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{error}");
    has_begun.recv().unwrap();
    let stats = store.stats();
    assert!(stats.stalls > 0 && stats.stalled == 0, "{stats:?}");
    assert_eq!(whole(&tree, LATEST).unwrap().len() as u64, number, "nothing of it was written");
    // Those of another tree do not wait for it while there is memory.
    commit(&store, &other, &mut number).unwrap();
    drop(go);
    store.stop_background();
    settle(&store);
    commit(&store, &tree, &mut number).unwrap();
}

#[test]
fn a_caller_that_is_cancelled_waits_no_longer() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let options = Options { frozen_memtables_max: 2, ..Options::tiny() };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    let (has_begun, go) = hang(&faults, "tables/7/");
    store.start_background().unwrap();
    let (mut number, mut asked) = (0_u64, 0);
    let error = loop {
        let mut go_on = || {
            asked += 1;
            let waiting = store.stats().stalled;
            assert_eq!(waiting, 1, "it is seen to wait");
            if asked < 3 { Ok(()) } else { Err(Error::canceled()) }
        };
        let outcome = store.admit(&[(tree.clone(), 100)], &mut go_on);
        match outcome {
            Ok(_admitted) => {
                number += 1;
                assert!(number < 10_000, "nothing waits");
                tree.write(Seq(number), [(&number.to_be_bytes()[..], Some(&[7u8; 100][..]))]).unwrap();
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.state(), SqlState::QUERY_CANCELED);
    assert_eq!(store.stats().stalled, 0);
    has_begun.recv().unwrap();
    drop(go);
    store.stop_background();
}

/// What was let in counts as if it were written.
#[test]
fn writes_on_their_way_have_their_room() {
    let (store, faults) = store();
    let tree = store.create_tree(TREE);
    let (_has_begun, go) = hang(&faults, "tables/7/");
    store.start_background().unwrap();
    let memtable = Options::tiny().memtable_bytes_max;
    let one = || store.admit(&[(tree.clone(), memtable)], &mut || Ok(()));
    let mut admitted = Vec::new();
    let error = loop {
        match one() {
            Ok(guards) => admitted.push(guards),
            Err(error) => break error,
        }
        assert!(admitted.len() < 10, "there is no end");
    };
    assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{error}");
    assert_eq!(admitted.len(), 3, "two frozen memtables, and the one that writes go into");
    admitted.pop();
    one().unwrap();
    drop(go);
    store.stop_background();
}

/// At a byte per second nothing would ever be flushed.
#[test]
fn what_is_held_back_goes_on_before_anybody_is_delayed() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let options = Options { frozen_memtables_max: 4, background_bytes_per_second: 1, ..Options::tiny() };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    store.start_background().unwrap();
    let mut number = 0;
    while number < 2000 {
        commit(&store, &tree, &mut number).unwrap();
        if number.is_multiple_of(200) {
            let checkpoint = Checkpoint { position: Position(number + 1), extras: Vec::new() };
            store.checkpoint(checkpoint).unwrap();
        }
    }
    // Whatever it is at, it gives up.
    store.stop_background();
    assert_eq!(whole(&tree, LATEST).unwrap().len() as u64, number);
    settle(&store);
    assert!(store.check().unwrap().damage.is_empty());
}

#[test]
fn a_store_that_is_to_be_closed_holds_nothing_back() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let options = Options { background_bytes_per_second: 1, ..Options::tiny() };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    let mut number = 0;
    while number < 100 {
        commit(&store, &tree, &mut number).unwrap();
    }
    store.hurry();
    let frozen = store.freeze();
    store.checkpoint_frozen(frozen, Checkpoint { position: Position(1), extras: Vec::new() }, true).unwrap();
}

#[test]
fn a_large_table_is_written_back_in_pieces() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let store = Store::open(fs.clone(), Path::new("data"), Options::default()).unwrap();
    let tree = store.create_tree(TREE);
    let mut random = Random(3);
    let value: Vec<u8> = (0..1 << 16).map(|_| random.next() as u8).collect();
    let build = || {
        let keys: Vec<_> = (0..160_u32).map(u32::to_be_bytes).collect();
        tree.build_table(keys.iter().map(|key| (&key[..], Some(&value[..]))))
    };
    let before = faults.count(Op::SYNC);
    let table = build().unwrap();
    assert!(table.bytes_on_disk() > 10 << 20);
    let pieces = faults.count(Op::SYNC) - before;
    assert!(pieces > 4 && pieces < 12, "{pieces} for {} bytes", table.bytes_on_disk());
    drop(table);
    for at in 1..=pieces {
        faults.arm(Fault { at, on: Op::SYNC, what: What::Fail(ErrorKind::Other) });
        assert_eq!(build().err().unwrap().state(), SqlState::IO_ERROR, "piece {at}");
        faults.disarm();
        assert!(fs.list(Path::new("data/tables/7")).unwrap().is_empty(), "piece {at}");
    }
}
