//! What each engine does for the same requests.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use hither::database::commit::{Commits, Publish, Work};
use hither::fs::DiskFs;
use hither::log::local::SEGMENT_BYTES;
use hither::log::{Change, LocalLog, Log, Position, Record, Seq, StorageId, TxnId};
use hither::storage::{Checkpoint, Options, Store, Tree};
use redb::{Durability, ReadableDatabase};

const CACHE_BYTES: usize = 256 << 20;

/// A store of ordered keys. Failures of the disk end the program.
pub trait Engine: Send + Sync + Sized {
    const NAME: &str;

    fn open(folder: &Path) -> Self;
    /// All of the rows or, after a crash, none; durable with the next sync.
    fn write(&self, rows: &[([u8; 8], Vec<u8>)]);
    fn sync(&self);
    /// One row, durable.
    fn commit(&self, key: [u8; 8], row: Vec<u8>);
    /// Hands the row of the key to `f` and says whether there is one.
    fn get(&self, key: &[u8], f: impl FnOnce(&[u8])) -> bool;
    /// Reads up to `count` rows from the key on; answers how many there were, and the sum of their last bytes.
    fn scan(&self, from: &[u8], count: usize) -> (usize, u64);
    /// Waits for all work that is put off.
    fn settle(&self);
    /// Gives back space that is not used, where that is work of its own.
    fn shrink(&mut self) {}
    /// Of the files that hold rows.
    fn bytes(&self) -> u64;
}

fn add((rows, sum): (usize, u64), row: &[u8]) -> (usize, u64) {
    (rows + 1, sum + u64::from(*row.last().expect("rows are not empty")))
}

/// As a database uses them: a commit is appended to the log with others that wait, synced with them, and only then
/// written into the tree.
///
/// Keys get a first byte in front: sorted tables end where it changes, for in a table's tree it tells rows from keys.
pub struct Hither {
    log: Arc<LocalLog>,
    store: Store,
    tree: Arc<Tree>,
    commits: Arc<Commits<Rows>>,
    transactions: AtomicU64,
}

const TREE: StorageId = StorageId(1);

fn in_tree(key: &[u8]) -> [u8; 9] {
    let mut long = [1; 9];
    long[1..].copy_from_slice(key);
    long
}

struct Rows {
    txn: TxnId,
    changes: Vec<u8>,
    rows: Vec<([u8; 9], Vec<u8>)>,
}

impl Rows {
    fn new(txn: u64, rows: Vec<([u8; 8], Vec<u8>)>) -> Rows {
        let rows: Vec<_> = rows.into_iter().map(|(key, row)| (in_tree(&key), row)).collect();
        let mut changes = Vec::new();
        for (key, row) in &rows {
            Change::Insert { slot: 0, row, vectors: Vec::new(), keys: vec![key] }.encode(&mut changes);
        }
        Rows { txn: TxnId(txn), changes, rows }
    }
}

impl Work for Rows {
    fn records<'a>(&'a self, records: &mut Vec<Record<'a>>) {
        records.push(Record::Data { txn: self.txn, storage: TREE, changes: &self.changes });
        records.push(Record::Commit { txn: self.txn, time: None });
    }

    fn waits_for_disk(&self) -> bool {
        true
    }
}

struct IntoTree(Arc<Tree>);

impl Publish<Rows> for IntoTree {
    fn publish(&self, commit: Position, work: Rows) -> hither::error::Result<()> {
        self.0.write(Seq(commit.0), work.rows.iter().map(|(key, row)| (&key[..], Some(&row[..]))))
    }
}

impl Engine for Hither {
    const NAME: &str = "Hither";

    fn open(folder: &Path) -> Hither {
        let fs = Arc::new(DiskFs);
        let log = LocalLog::open(fs.clone(), &folder.join("log"), SEGMENT_BYTES).expect("a new log");
        let options = Options { cache_bytes_max: CACHE_BYTES, ..Options::default() };
        let store = Store::open(fs, &folder.join("tables"), options).expect("a new store");
        store.start_background().expect("threads");
        let (log, tree) = (Arc::new(log), store.create_tree(TREE));
        let commits = Commits::new(log.clone(), Arc::new(IntoTree(tree.clone())));
        Hither { log, store, tree, commits, transactions: AtomicU64::new(1) }
    }

    fn write(&self, rows: &[([u8; 8], Vec<u8>)]) {
        let work = Rows::new(self.transactions.fetch_add(1, Ordering::Relaxed), rows.to_vec());
        let mut records = Vec::new();
        work.records(&mut records);
        let positions = self.log.append(&records).expect("an append");
        let commit = positions.last().expect("a commit");
        IntoTree(self.tree.clone()).publish(*commit, work).expect("a write");
    }

    fn sync(&self) {
        self.log.sync().expect("a sync");
    }

    fn commit(&self, key: [u8; 8], row: Vec<u8>) {
        let work = Rows::new(self.transactions.fetch_add(1, Ordering::Relaxed), vec![(key, row)]);
        self.commits.commit(work).expect("a commit");
    }

    fn get(&self, key: &[u8], f: impl FnOnce(&[u8])) -> bool {
        let found = self.tree.get(&in_tree(key), Seq(u64::MAX)).expect("a read");
        found.as_deref().map(f).is_some()
    }

    fn scan(&self, from: &[u8], count: usize) -> (usize, u64) {
        let from = in_tree(from);
        let mut rows = self.tree.scan(Bound::Included(&from), Bound::Unbounded, Seq(u64::MAX));
        let mut read = (0, 0);
        while read.0 < count && rows.advance().expect("a row") {
            read = add(read, rows.entry().expect("the row").value);
        }
        read
    }

    fn settle(&self) {
        let position = self.log.end();
        self.store.set_horizon(Seq(position.0));
        self.store.checkpoint(Checkpoint { position, extras: Vec::new() }).expect("a checkpoint");
        self.log.truncate_before(position).expect("a shorter log");
        while self.store.step().expect("a step") {}
    }

    fn bytes(&self) -> u64 {
        self.tree.bytes_on_disk()
    }
}

pub struct Fjall {
    database: Database,
    rows: Keyspace,
}

impl Engine for Fjall {
    const NAME: &str = "fjall";

    fn open(folder: &Path) -> Fjall {
        let database =
            Database::builder(folder).cache_size(CACHE_BYTES as u64).open().expect("a new database");
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default).expect("a keyspace");
        Fjall { database, rows }
    }

    fn write(&self, rows: &[([u8; 8], Vec<u8>)]) {
        let mut batch = self.database.batch();
        for (key, row) in rows {
            batch.insert(&self.rows, &key[..], &row[..]);
        }
        batch.commit().expect("a write");
    }

    fn sync(&self) {
        self.database.persist(PersistMode::SyncData).expect("a sync");
    }

    fn commit(&self, key: [u8; 8], row: Vec<u8>) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.rows, &key[..], row);
        batch.commit().expect("a commit");
    }

    fn get(&self, key: &[u8], f: impl FnOnce(&[u8])) -> bool {
        self.rows.get(key).expect("a read").as_deref().map(f).is_some()
    }

    fn scan(&self, from: &[u8], count: usize) -> (usize, u64) {
        let rows = self.rows.range(from..).take(count);
        rows.fold((0, 0), |read, row| add(read, &row.into_inner().expect("a row").1))
    }

    fn settle(&self) {
        self.rows.rotate_memtable_and_wait().expect("a flush");
        // It has no call that waits for compactions; one that is due begins within some milliseconds.
        let mut calm = 0;
        while calm < 20 {
            let busy = self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0;
            calm = if busy { 0 } else { calm + 1 };
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn bytes(&self) -> u64 {
        self.rows.disk_space()
    }
}

pub struct Redb {
    database: redb::Database,
    file: std::path::PathBuf,
    /// One for all reads between two writes.
    reading: RwLock<Option<Arc<RedbTable>>>,
}

type RedbTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

const ROWS: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("rows");

impl Redb {
    fn table(&self) -> Arc<RedbTable> {
        if let Some(table) = &*self.reading.read().expect("no reader panicked") {
            return table.clone();
        }
        let table = self.database.begin_read().expect("a snapshot").open_table(ROWS).expect("the table");
        self.reading.write().expect("no reader panicked").insert(Arc::new(table)).clone()
    }

    fn put(&self, rows: &[([u8; 8], Vec<u8>)], durability: Durability) {
        *self.reading.write().expect("no reader panicked") = None;
        let mut transaction = self.database.begin_write().expect("a transaction");
        transaction.set_durability(durability).expect("no savepoints");
        let mut table = transaction.open_table(ROWS).expect("the table");
        for (key, row) in rows {
            table.insert(&key[..], &row[..]).expect("a write");
        }
        drop(table);
        transaction.commit().expect("a commit");
    }
}

impl Engine for Redb {
    const NAME: &str = "redb";

    fn open(folder: &Path) -> Redb {
        let file = folder.join("rows.redb");
        let database =
            redb::Builder::new().set_cache_size(CACHE_BYTES).create(&file).expect("a new database");
        Redb { database, file, reading: RwLock::default() }
    }

    fn write(&self, rows: &[([u8; 8], Vec<u8>)]) {
        self.put(rows, Durability::None);
    }

    fn sync(&self) {
        self.put(&[], Durability::Immediate);
    }

    fn commit(&self, key: [u8; 8], row: Vec<u8>) {
        self.put(&[(key, row)], Durability::Immediate);
    }

    fn get(&self, key: &[u8], f: impl FnOnce(&[u8])) -> bool {
        let table = self.table();
        let found = table.get(key).expect("a read");
        found.map(|row| f(row.value())).is_some()
    }

    fn scan(&self, from: &[u8], count: usize) -> (usize, u64) {
        let table = self.table();
        let rows = table.range(from..).expect("a read").take(count);
        rows.fold((0, 0), |read, row| add(read, row.expect("a row").1.value()))
    }

    fn settle(&self) {}

    fn shrink(&mut self) {
        *self.reading.write().expect("no reader panicked") = None;
        self.database.compact().expect("a compaction");
    }

    fn bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        // What lies in blocks of the disk: the file grows by doubling.
        512 * std::fs::metadata(&self.file).expect("the file").blocks()
    }
}
