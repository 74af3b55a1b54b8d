//! What a vacuum of a tree writes is in proportion to what it frees, and what it leaves is little more than what lives.
//! Counted in bytes written to sorted tables.

use super::*;
use crate::fs::MemoryFs;

const ROWS: u32 = 20_000;

struct Table {
    store: Store,
    tree: Arc<Tree>,
    seq: u64,
    random: Random,
}

impl Table {
    /// Rows that deflate badly, in the lowest level.
    fn new(rows: u32) -> Table {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        // Some sixty tables in two or three levels.
        let options = Options {
            memtable_bytes_max: 1 << 20,
            block_bytes: 1 << 10,
            table_bytes_max: 32 << 10,
            level1_bytes_max: 128 << 10,
            manifest_bytes_max: 1 << 20,
            ..Options::tiny()
        };
        let store = Store::open(fs, Path::new("data"), options).unwrap();
        let tree = store.create_tree(TREE);
        let mut table = Table { store, tree, seq: 0, random: Random(5) };
        table.put(0..rows);
        table.store.compact(TREE).unwrap();
        table
    }

    fn write(&mut self, puts: Puts) {
        self.seq += 1;
        self.tree.write(Seq(self.seq), borrowed(&puts)).unwrap();
        self.seq += 1;
        self.store.checkpoint(Checkpoint { position: Position(self.seq), extras: Vec::new() }).unwrap();
        self.store.set_horizon(Seq(self.seq));
    }

    fn put(&mut self, keys: impl Iterator<Item = u32>) {
        let value = |random: &mut Random| (0..10).flat_map(|_| random.next().to_le_bytes()).collect();
        let puts = keys.map(|key| (key.to_be_bytes().to_vec(), Some(value(&mut self.random)))).collect();
        self.write(puts);
    }

    fn delete(&mut self, keys: impl Iterator<Item = u32>) {
        self.write(keys.map(|key| (key.to_be_bytes().to_vec(), None)).collect());
    }

    /// Bytes that a vacuum writes, and those of the tree before and after it.
    fn clean(&self) -> (u64, u64, u64) {
        let (written, before) = (self.store.stats().merged_bytes, self.tree.bytes_on_disk());
        self.store.clean(TREE, false).unwrap();
        let report = self.store.check().unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        (self.store.stats().merged_bytes - written, before, self.tree.bytes_on_disk())
    }

    fn rows(&self) -> usize {
        whole(&self.tree, LATEST).unwrap().len()
    }
}

#[test]
fn what_a_vacuum_writes_follows_what_it_frees() {
    let mut table = Table::new(ROWS);
    let row = table.tree.bytes_on_disk() / u64::from(ROWS);
    assert_eq!(table.clean().0, 0, "nothing is garbage");
    // A fiftieth of the rows, beside each other.
    table.put(3_000..3_400);
    let (written, before, after) = table.clean();
    println!("beside each other: {written} bytes written, {before} before, {after} after; a row is {row}");
    assert!(written < 3 * 400 * row, "{written} bytes for 400 rows of {row}");
    assert!(after < before - 300 * row, "{before} to {after}");
    assert_eq!(table.clean().0, 0, "once is enough");
    // As many, everywhere: a fiftieth of each table is not worth writing it, and may stay.
    table.put((0..ROWS).step_by(50));
    let (written, before, after) = table.clean();
    println!("everywhere: {written} bytes written, {before} before, {after} after");
    assert!(written < 400 * row, "{written} bytes");
    assert!(after <= before);
    // Enough of them are.
    (1..=6).for_each(|round| table.put((round..ROWS).step_by(50)));
    let (written, before, after) = table.clean();
    println!("more, everywhere: {written} bytes written, {before} before, {after} after");
    assert!(after * 10 <= u64::from(ROWS) * row * 12, "{after} bytes");
    // Rows that go take what was below them along, and then themselves.
    table.delete(10_000..11_000);
    let (written, before, after) = table.clean();
    println!("deleted: {written} bytes written, {before} before, {after} after");
    assert!(written < 1_000 * row && after < before - 900 * row, "{written} bytes, {before} to {after}");
    assert_eq!(table.rows(), ROWS as usize - 1_000);
    table.delete(0..ROWS);
    table.clean();
    assert_eq!((table.rows(), table.tree.bytes_on_disk()), (0, 0));
}

/// Each row written again five times: at most 1.3 times of what they take when they are written once.
#[test]
fn what_a_vacuum_leaves_is_little_more_than_what_lives() {
    for pieces in [1, 7, 40] {
        const FEWER: u32 = 6_000;
        let mut table = Table::new(FEWER);
        let live = table.tree.bytes_on_disk();
        for _ in 0..5 {
            for piece in 0..pieces {
                table.put((piece..FEWER).step_by(pieces as usize));
            }
            while table.store.step().unwrap() {}
        }
        let (written, before, after) = table.clean();
        println!("{pieces} pieces: {live} live, {before} before, {after} after, {written} written");
        assert!(after * 10 <= live * 13, "{pieces} pieces: {after} bytes for {live}");
        assert_eq!(table.rows(), FEWER as usize);
    }
}

/// A snapshot keeps what it sees, and what it holds back is no reason to write anything.
#[test]
fn what_is_held_back_is_not_written_for_nothing() {
    let table = Table::new(ROWS);
    let held = table.seq;
    let before = whole(&table.tree, Seq(held)).unwrap();
    let puts: Puts = (0..ROWS).map(|key| (key.to_be_bytes().to_vec(), Some(vec![7; 80]))).collect();
    table.tree.write(Seq(held + 1), borrowed(&puts)).unwrap();
    let position = Position(held + 2);
    table.store.checkpoint(Checkpoint { position, extras: Vec::new() }).unwrap();
    assert_eq!(table.clean().0, 0);
    assert_eq!(whole(&table.tree, Seq(held)).unwrap(), before);
    table.store.set_horizon(Seq(held + 2));
    let (_, before, after) = table.clean();
    assert!(after < before / 2, "{before} to {after}");
}
