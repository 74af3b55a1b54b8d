//! What is merged soon lies plain in its file, everything else is deflated.

use super::*;
use crate::fs::MemoryFs;

const MEMTABLE_BYTES: usize = 64 << 10;

fn value(key: u32) -> Vec<u8> {
    format!("row {key} has words, and its neighbours have nearly the same words; ").repeat(3).into_bytes()
}

/// Writes rows, makes them a table, and says how many bytes it has for one of theirs.
fn flush(store: &Store, tree: &Tree, seq: u64, keys: impl Iterator<Item = u32>) -> f64 {
    let puts: Puts = keys.map(|key| (key.to_be_bytes().to_vec(), Some(value(key)))).collect();
    let raw: usize = puts.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
    let before = tree.bytes_on_disk();
    tree.write(Seq(seq), borrowed(&puts)).unwrap();
    store.checkpoint(Checkpoint { position: Position(seq), extras: Vec::new() }).unwrap();
    (tree.bytes_on_disk() - before) as f64 / raw as f64
}

#[test]
fn only_what_is_merged_soon_is_left_plain() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let options = Options {
        memtable_bytes_max: MEMTABLE_BYTES,
        block_bytes: 4 << 10,
        table_bytes_max: 1 << 20,
        ..Options::tiny()
    };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    let full = (MEMTABLE_BYTES / value(0).len()) as u32;
    assert!(flush(&store, &tree, 1, 0..full) < 0.5, "the first table overlaps nothing");
    assert!(flush(&store, &tree, 2, full..2 * full) < 0.5, "it will be moved");
    assert!(flush(&store, &tree, 3, (0..2 * full).step_by(2)) > 1.0, "it overlaps both");
    assert!(flush(&store, &tree, 4, (0..full).step_by(2)) < 0.5, "few writes do not fill level 0 soon");
    let rows = whole(&tree, LATEST).unwrap();
    store.compact(TREE).unwrap();
    let raw = 2 * full as usize * (4 + value(0).len());
    assert!(tree.bytes_on_disk() < raw as u64 / 2, "{} of {raw} bytes", tree.bytes_on_disk());
    assert!(store.check().unwrap().damage.is_empty());
    let expected: Vec<_> = (0..2 * full).map(|key| (key.to_be_bytes().to_vec(), value(key))).collect();
    let found: Vec<_> =
        whole(&tree, LATEST).unwrap().into_iter().map(|(key, _, value)| (key, value)).collect();
    assert_eq!(found, expected);
    assert_eq!(whole(&tree, LATEST).unwrap(), rows);
}
