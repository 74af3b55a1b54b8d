//! Stores that share their memory.

use super::*;
use crate::fs::MemoryFs;
use crate::storage::Pool;

const CACHE: usize = 64 << 10;
const MEMTABLES: usize = 256 << 10;

fn store(pool: &Arc<Pool>) -> Store {
    let options = Options { memtables_bytes_max: MEMTABLES, pool: Some(pool.clone()), ..Options::tiny() };
    Store::open(Arc::new(MemoryFs::new()), Path::new("data"), options).unwrap()
}

/// Rows of some 100 bytes that say whose they are.
fn write(tree: &Arc<Tree>, who: u8, numbers: std::ops::Range<u64>) {
    for number in numbers {
        tree.write(Seq(number + 1), [(&number.to_be_bytes()[..], Some(&[who; 100][..]))]).unwrap();
    }
}

/// Files of both have the same numbers and their blocks the same offsets.
#[test]
fn one_cache_tells_the_blocks_of_stores_apart() {
    let pool = Arc::new(Pool::new(CACHE));
    let stores = [store(&pool), store(&pool)];
    let trees = [0, 1].map(|at| stores[at].create_tree(TREE));
    for (who, (store, tree)) in stores.iter().zip(&trees).enumerate() {
        write(tree, who as u8, 0..2_000);
        while store.step().unwrap() {}
        store.checkpoint(Checkpoint { position: Position(1), extras: Vec::new() }).unwrap();
    }
    for number in (0..2_000u64).chain(0..2_000) {
        for (who, tree) in trees.iter().enumerate() {
            let found = tree.get(&number.to_be_bytes(), LATEST).unwrap().unwrap();
            assert!(found.iter().all(|byte| *byte == who as u8), "row {number} of store {who}");
        }
    }
    let stats = stores.each_ref().map(Store::stats);
    assert!(stats[0].cache_hits > 0 && stats[0].cache_bytes <= CACHE, "{stats:?}");
    assert_eq!(stats[0].cache_bytes, stats[1].cache_bytes);
    assert_eq!(stats[0].table_memory_bytes, stats[1].table_memory_bytes);
}

#[test]
fn memtables_of_stores_are_bounded_together() {
    let pool = Arc::new(Pool::new(CACHE));
    let (full, store) = (store(&pool), store(&pool));
    let (idle, tree) = (full.create_tree(TREE), store.create_tree(TREE));
    // Nobody flushes it.
    write(&idle, 0, 0..1_000);
    drop(admit(&full, &idle).unwrap());
    let idle_bytes = full.stats().memtable_bytes;
    assert!(idle_bytes > MEMTABLES / 2 && idle_bytes < MEMTABLES, "{idle_bytes}");
    let most = |store: &Store, tree: &Arc<Tree>| {
        let mut most = 0;
        for number in 0..5_000u64 {
            let admitted = admit(store, tree).unwrap();
            write(tree, 1, number..number + 1);
            drop(admitted);
            most = most.max(store.stats().memtable_bytes);
        }
        most
    };
    let beside = most(&store, &tree);
    assert!(beside < 2 * (MEMTABLES - idle_bytes).max(MEMTABLES / 4) + (8 << 10), "{beside}");
    assert_eq!(full.stats().others_memtable_bytes + full.stats().memtable_bytes, pool.memtables());
    drop((idle, full));
    assert_eq!(store.stats().others_memtable_bytes, 0, "what is closed holds nothing");
}
