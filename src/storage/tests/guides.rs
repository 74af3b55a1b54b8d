//! Indexes and filters of tables lie in the cache's budget. Where they have no room they are read again: what is counted
//! are reads of files, which somebody who kept them elsewhere would not need.

use super::*;
use crate::fs::faulty::{Faults, Op};
use crate::fs::{FaultyFs, MemoryFs, OpenMode};

const KEYS: u32 = 40_000;
/// What keeps everything.
const LARGE: usize = 8 << 20;
/// What keeps the indexes and filters of a few tables, and no block.
const SMALL: usize = 40 << 10;

/// Tables of some 4,000 keys, all in one level. A filter has more than 4 KiB and an index a fifth of that.
fn options(cache_bytes_max: usize) -> Options {
    Options {
        cache_bytes_max,
        memtable_bytes_max: 64 << 20,
        memtables_bytes_max: 64 << 20,
        block_bytes: 4 << 10,
        table_bytes_max: 48 << 10,
        ..Options::tiny()
    }
}

/// Even numbers are there; odd ones are not.
fn key(number: u32) -> [u8; 4] {
    (2 * number).to_be_bytes()
}

fn absent(number: u32) -> [u8; 4] {
    (2 * number + 1).to_be_bytes()
}

fn value(number: u32) -> [u8; 8] {
    Random(number.into()).next().to_le_bytes()
}

struct Sample {
    memory: MemoryFs,
    fs: Arc<dyn Fs>,
    faults: Arc<Faults>,
    /// A number in each table, not the first or last.
    numbers: Vec<u32>,
}

fn sample() -> Sample {
    let memory = MemoryFs::new();
    let (faulty, faults) = FaultyFs::new(memory.clone());
    let fs: Arc<dyn Fs> = faulty;
    faults.within(".sst");
    let store = open_with(&fs, options(LARGE)).unwrap();
    let tree = store.create_tree(TREE);
    let puts: Puts = (0..KEYS).map(|number| (key(number).to_vec(), Some(value(number).to_vec()))).collect();
    tree.write(Seq(1), borrowed(&puts)).unwrap();
    store.checkpoint(Checkpoint { position: Position(2), extras: Vec::new() }).unwrap();
    store.compact(TREE).unwrap();
    let version = tree.version();
    let middle = |table: &Arc<crate::storage::sstable::Table>| {
        let end = |key: &[u8]| u32::from_be_bytes(key.try_into().unwrap()) / 2;
        (end(&table.meta().key_min) + end(&table.meta().key_max)) / 2
    };
    let numbers: Vec<u32> = version.tables().map(middle).collect();
    assert!(numbers.len() > 6, "{} tables", numbers.len());
    Sample { memory, fs, faults, numbers }
}

impl Sample {
    fn open(&self, cache_bytes_max: usize) -> (Store, Arc<Tree>) {
        let store = open_with(&self.fs, options(cache_bytes_max)).unwrap();
        let tree = store.tree(TREE).unwrap();
        (store, tree)
    }

    /// Reads of tables' files that `work` makes.
    fn reads(&self, work: impl FnOnce()) -> u64 {
        let before = self.faults.count(Op::READ);
        work();
        self.faults.count(Op::READ) - before
    }

    fn get_each(&self, tree: &Tree) {
        for number in &self.numbers {
            assert_eq!(&tree.get(&key(*number), LATEST).unwrap().unwrap()[..], value(*number));
        }
    }

    fn miss_each(&self, tree: &Tree) {
        for number in &self.numbers {
            assert!(tree.get(&absent(*number), LATEST).unwrap().is_none());
        }
    }
}

#[test]
fn nothing_is_read_at_open_and_what_has_room_is_read_once() {
    let sample = sample();
    let (store, tree) = sample.open(LARGE);
    let tables = sample.numbers.len();
    assert_eq!(store.stats().table_memory_bytes, 0);
    // Index, filter and block.
    assert_eq!(sample.reads(|| sample.get_each(&tree)), 3 * tables as u64);
    let held = store.stats().table_memory_bytes;
    assert!(held > KEYS as usize * 10 / 8 + 20 * tables, "{held} bytes of all filters and indexes");
    assert_eq!(sample.reads(|| sample.get_each(&tree)), 0);
    // Perhaps a filter errs.
    assert!(sample.reads(|| sample.miss_each(&tree)) < 3);
    store.compact(TREE).unwrap();
    assert_eq!(store.stats().cache_bytes, 0, "nobody has asked the new tables");
    assert_eq!(sample.reads(|| sample.get_each(&tree)), 3 * tables as u64);
    store.drop_tree(TREE);
    drop(tree);
    store.checkpoint(Checkpoint { position: Position(9), extras: Vec::new() }).unwrap();
    assert_eq!(store.stats().cache_bytes, 0, "nothing of a table that is gone");
}

#[test]
fn what_has_no_room_is_read_again_and_no_more_than_that() {
    let sample = sample();
    let tables = sample.numbers.len() as u64;
    for cache_bytes_max in [0, SMALL] {
        let (store, tree) = sample.open(cache_bytes_max);
        let within = || {
            let stats = store.stats();
            assert!(stats.table_memory_bytes <= cache_bytes_max / 4 * 3, "{stats:?}");
            assert!(stats.cache_bytes <= cache_bytes_max, "{stats:?}");
        };
        for _ in 0..20 {
            for number in &sample.numbers {
                let get = |key: [u8; 4], is_there: bool| {
                    let reads =
                        sample.reads(|| assert_eq!(tree.get(&key, LATEST).unwrap().is_some(), is_there));
                    assert!(reads <= 3, "{reads} reads");
                    within();
                };
                get(key(*number), true);
                get(absent(*number), false);
            }
        }
        let again = sample.reads(|| sample.get_each(&tree));
        assert!(again > tables, "{again} reads for {tables} tables: more than blocks");
        // Each index once, and the blocks, for both.
        let blocks = sample.reads(|| check_scan(&tree));
        let merged = sample.reads(|| store.compact(TREE).unwrap());
        assert!(merged < blocks + 10 * tables, "{merged} reads to merge, {blocks} to scan");
        within();
        check_scan(&tree);
        assert!(store.check().unwrap().damage.is_empty());
    }
}

fn check_scan(tree: &Tree) {
    let all = whole(tree, LATEST).unwrap();
    assert_eq!(all.len(), KEYS as usize);
    let same =
        |(number, row): (u32, &(Vec<u8>, u64, Vec<u8>))| row.0 == key(number) && row.2 == value(number);
    assert!((0..).zip(&all).all(same));
}

/// Whose filter has no room for free, one pays for it with the blocks that it would have saved.
#[test]
fn a_filter_that_others_go_for_is_read_when_it_is_worth_it() {
    let sample = sample();
    let (_store, tree) = sample.open(SMALL);
    // All places are taken.
    (0..3).for_each(|_| sample.get_each(&tree));
    let number = sample.numbers[0];
    let reads: Vec<u64> = (0..100)
        .map(|at| sample.reads(|| assert!(tree.get(&absent(number + at), LATEST).unwrap().is_none())))
        .collect();
    let all: u64 = reads.iter().sum();
    assert!(reads[0] > 0 && all > 2, "the filter was not there: {reads:?}");
    assert!(all < 12, "index and filter, a few blocks before it, and where it errs: {reads:?}");
    // Who finds something has no need of filters.
    let others = || sample.numbers[1..].iter().for_each(|number| assert!(has(&tree, *number)));
    (0..3).for_each(|_| others());
    let reads = sample.reads(others);
    assert!(reads <= 2 * sample.numbers.len() as u64, "{reads} reads");
}

fn has(tree: &Tree, number: u32) -> bool {
    tree.get(&key(number), LATEST).unwrap().is_some()
}

/// Where the footer says that filter and index begin.
fn places(memory: &MemoryFs, path: &Path) -> [u64; 2] {
    let file = memory.open(path, OpenMode::Read).unwrap();
    let mut footer = [0; 24];
    file.read_exact_at(&mut footer, file.len().unwrap() - 64).unwrap();
    [0, 12].map(|at| u64::from_le_bytes(footer[at..at + 8].try_into().unwrap()))
}

#[test]
fn a_damaged_index_is_told_by_who_needs_it() {
    let sample = sample();
    let (store, tree) = sample.open(LARGE);
    let path = tree.version().tables().next().unwrap().path().to_owned();
    let [_, index] = places(&sample.memory, &path);
    let fs: Arc<dyn Fs> = Arc::new(sample.memory.clone());
    super::damage::flip(&fs, &path, index + 40, 0xFF);
    let error = tree.get(&key(sample.numbers[0]), LATEST).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.state().0, "XX001");
    let place = format!("{} is damaged at offset {}", path.display(), index + 8);
    assert!(message.contains(&place) && message.contains("expected checksum"), "{message}");
    assert!(sample.numbers[1..].iter().all(|number| has(&tree, *number)), "the others are read");
    assert!(whole(&tree, LATEST).is_err() && store.compact(TREE).is_err());
    let damage = store.check().unwrap().damage;
    assert!(damage.iter().any(|error| error.to_string().contains(&place)), "{damage:?}");
    // It was not kept, so that a mended file is read.
    super::damage::flip(&fs, &path, index + 40, 0xFF);
    assert!(has(&tree, sample.numbers[0]));
    check_scan(&tree);
}

#[test]
fn a_damaged_filter_is_read_once_and_costs_no_row() {
    let sample = sample();
    let (store, tree) = sample.open(LARGE);
    let fs: Arc<dyn Fs> = Arc::new(sample.memory.clone());
    for table in tree.version().tables() {
        let [filter, _] = places(&sample.memory, table.path());
        super::damage::flip(&fs, table.path(), filter + 40, 0xFF);
    }
    let tables = sample.numbers.len() as u64;
    assert_eq!(sample.reads(|| sample.get_each(&tree)), 3 * tables);
    assert_eq!(sample.reads(|| sample.miss_each(&tree)), 0, "blocks that are there answer");
    let damage = store.check().unwrap().damage;
    assert_eq!(damage.len() as u64, tables, "{damage:?}");
    store.compact(TREE).unwrap();
    assert!(store.check().unwrap().damage.is_empty());
    check_scan(&tree);
}
