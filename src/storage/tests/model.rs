//! Random operations on a store and its naive twin.

use super::*;
use crate::fs::MemoryFs;

fn run(seed: u64, steps: u64, options: Options) {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let cache_bytes_max = options.cache_bytes_max;
    let mut world = World::with(fs.clone(), seed, options).unwrap();
    for step in 0..steps {
        world.step().unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        let stats = world.store.stats();
        assert!(stats.cache_bytes <= cache_bytes_max, "seed {seed}, step {step}: {stats:?}");
        assert!(stats.table_memory_bytes <= stats.cache_bytes, "seed {seed}, step {step}: {stats:?}");
        if step % 97 == 96 {
            world.close();
            world.reopen(fs.clone()).unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        }
    }
    let report = world.store.check().unwrap();
    assert!(report.damage.is_empty(), "seed {seed}: {:?}", report.damage);
}

#[test]
fn a_store_is_a_map_with_versions() {
    for seed in seeds(0..12) {
        run(seed, 400, Options::tiny());
    }
}

/// Of no cache at all, of one that has room for a block or two, and of one in which the indexes and filters of some
/// tables drive out each other.
#[test]
fn it_is_one_with_any_cache() {
    for cache_bytes_max in [0, 4 << 10, 12 << 10] {
        for seed in seeds(20..23) {
            run(seed, 300, Options { cache_bytes_max, ..Options::tiny() });
        }
    }
}

#[test]
fn offline_check_finds_a_sound_store_sound_and_changes_nothing() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let mut world = World::new(fs.clone(), 1).unwrap();
    (0..300).for_each(|_| world.step().unwrap());
    world.checkpoint().unwrap();
    world.close();
    let report = check(fs.clone(), Path::new("data")).unwrap();
    assert!(report.damage.is_empty() && report.tables > 3, "{report:?}");
    world.reopen(fs).unwrap();
}

#[test]
fn a_dropped_tree_outlives_its_readers_and_then_its_files_go() {
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let store = open(&fs).unwrap();
    let tree = store.create_tree(TREE);
    let puts: Puts = (0..500u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![b'v'; 50]))).collect();
    tree.write(Seq(1), borrowed(&puts)).unwrap();
    store.checkpoint(Checkpoint { position: Position(2), extras: Vec::new() }).unwrap();
    let extra = Extra { storage: TREE, name: "graph".to_owned(), value: Some(vec![1]) };
    store.edit_extras(vec![extra]).unwrap();
    let folder = Path::new("data/tables/7");
    assert!(!fs.list(folder).unwrap().is_empty());

    let reader = tree.scan(Bound::Unbounded, Bound::Unbounded, LATEST);
    drop(tree);
    store.drop_tree(TREE);
    assert!(store.tree(TREE).is_none());
    let before_checkpoint = memory.crash(1);
    store.checkpoint(Checkpoint { position: Position(3), extras: Vec::new() }).unwrap();
    assert_eq!(reader.filter(Result::is_ok).count(), 500);
    assert!(fs.list(folder).unwrap().is_empty());
    assert!(store.extras(TREE).is_empty());

    // A crash before the checkpoint brings it back, and the log's replay drops it again.
    let store = open(&(Arc::new(before_checkpoint) as Arc<dyn Fs>)).unwrap();
    assert_eq!(whole(&store.tree(TREE).unwrap(), LATEST).unwrap().len(), 500);
    assert_eq!(store.extras(TREE), vec![("graph".to_owned(), vec![1])]);
}

#[test]
fn compaction_leaves_nothing_of_what_was_deleted() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = open(&fs).unwrap();
    let tree = store.create_tree(TREE);
    let puts: Puts = (0..500u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![b'v'; 50]))).collect();
    let deletions: Puts = puts.iter().map(|(key, _)| (key.clone(), None)).collect();
    tree.write(Seq(1), borrowed(&puts)).unwrap();
    store.checkpoint(Checkpoint { position: Position(2), extras: Vec::new() }).unwrap();
    tree.write(Seq(3), borrowed(&deletions)).unwrap();
    store.checkpoint(Checkpoint { position: Position(4), extras: Vec::new() }).unwrap();
    store.compact(TREE).unwrap();
    assert_eq!(
        whole(&tree, Seq(2)).unwrap().len(),
        500,
        "a snapshot before the deletion still sees the rows"
    );
    store.set_horizon(Seq(3));
    store.compact(TREE).unwrap();
    assert_eq!(whole(&tree, LATEST).unwrap().len(), 0);
    assert_eq!(tree.bytes_on_disk(), 0);
}

#[test]
fn an_unused_spilled_table_takes_its_files_with_it() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = open(&fs).unwrap();
    let tree = store.create_tree(TREE);
    let puts: Puts = (0..500u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![b'v'; 50]))).collect();
    let spilled = tree.build_table(borrowed(&puts)).unwrap();
    assert_eq!(spilled.entries(), 500);
    let folder = Path::new("data/tables/7");
    assert!(fs.list(folder).unwrap().len() > 1);
    drop(spilled);
    assert!(fs.list(folder).unwrap().is_empty());
    let unsorted: Puts = puts.into_iter().rev().collect();
    assert!(tree.build_table(borrowed(&unsorted)).is_err());
    assert!(fs.list(folder).unwrap().is_empty());
}

#[test]
fn writes_during_a_checkpoint_are_not_part_of_it() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = open(&fs).unwrap();
    let tree = store.create_tree(TREE);
    tree.write(Seq(1), [(&b"a"[..], Some(&b"1"[..]))]).unwrap();
    let frozen = store.freeze();
    tree.write(Seq(5), [(&b"a"[..], Some(&b"2"[..]))]).unwrap();
    tree.freeze();
    while store.step().unwrap() {}
    store.checkpoint_frozen(frozen, Checkpoint { position: Position(5), extras: Vec::new() }, false).unwrap();
    assert_eq!(&tree.get(b"a", LATEST).unwrap().unwrap()[..], b"2");
    drop((tree, store));
    let store = open(&fs).unwrap();
    let found = store.tree(TREE).unwrap().get_with_seq(b"a", LATEST).unwrap().unwrap();
    assert_eq!((found.0, &found.1.unwrap().into_bytes()[..]), (Seq(1), &b"1"[..]));
}

#[test]
fn a_folder_that_lost_its_manifest_is_not_taken_for_a_new_one() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = open(&fs).unwrap();
    store.create_tree(TREE).write(Seq(1), [(&b"a"[..], None)]).unwrap();
    store.checkpoint(Checkpoint { position: Position(5), extras: Vec::new() }).unwrap();
    drop(store);
    fs.remove_file(Path::new("data/CURRENT")).unwrap();
    let error = open(&fs).err().expect("it must not open");
    assert_eq!(error.state().0, "XX001");
}
