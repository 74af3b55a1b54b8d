//! Readers beside a writer and the background threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use parking_lot::RwLock;

use super::*;
use crate::fs::MemoryFs;

/// Each batch gives every key the batch's number. A reader must find all of them, with one number, that of
/// its snapshot.
#[test]
fn readers_see_whole_batches_while_tables_come_and_go() {
    const KEYS: u32 = 40;
    const BATCHES: u64 = 1500;
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let options = Options { frozen_memtables_max: 3, ..Options::tiny() };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    store.start_background().unwrap();
    let (published, done, horizon) = (AtomicU64::new(0), AtomicBool::new(false), RwLock::new(()));
    std::thread::scope(|scope| {
        for reader in 0..2u32 {
            let (tree, published, done, horizon) = (&tree, &published, &done, &horizon);
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    let _pinned = horizon.read();
                    let snapshot = published.load(SeqCst);
                    let found = whole(tree, Seq(snapshot)).unwrap();
                    let numbers = found
                        .iter()
                        .filter(|(_, seq, value)| *seq == snapshot && value[..8] == snapshot.to_le_bytes());
                    let expected = if snapshot == 0 { 0 } else { KEYS as usize };
                    assert_eq!(numbers.count(), expected, "at {snapshot}: {found:?}");
                    let key = (reader + snapshot as u32) % KEYS;
                    let one = tree.get_with_seq(&key.to_be_bytes(), Seq(snapshot)).unwrap();
                    assert_eq!(one.map_or(0, |(seq, _)| seq.0), snapshot);
                }
            });
        }
        for batch in 1..=BATCHES {
            let value = [batch.to_le_bytes(); 6].concat();
            let keys: Vec<_> = (0..KEYS).map(u32::to_be_bytes).collect();
            let _admitted = admit(&store, &tree).unwrap();
            if batch % 100 == 0 {
                let entries = keys.iter().map(|key| (&key[..], Some(&value[..])));
                let spilled = tree.build_table(entries).unwrap();
                tree.ingest(spilled, Seq(batch)).unwrap();
            } else {
                tree.write(Seq(batch), keys.iter().map(|key| (&key[..], Some(&value[..])))).unwrap();
            }
            published.store(batch, SeqCst);
            if batch % 20 == 0 {
                let _alone = horizon.write();
                store.set_horizon(Seq(batch));
            }
            if batch % 50 == 0 {
                store.checkpoint(Checkpoint { position: Position(batch + 1), extras: Vec::new() }).unwrap();
            }
        }
        done.store(true, SeqCst);
    });
    store.stop_background();
    while store.step().unwrap() {}
    let report = store.check().unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    store.compact(TREE).unwrap();
    assert_eq!(store.check().unwrap().entries, u64::from(KEYS), "one version of each key is left");
}
