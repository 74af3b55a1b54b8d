//! All trees of a data directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::check::{self, Report};
use super::checkpoint::Extra;
use super::compaction;
use super::context::Context;
use super::limiter::{Lane, Urgent};
use super::manifest::{Edit, Manifest};
use super::options::Options;
use super::recovery;
use super::tree::Tree;
use super::version::Version;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::log::{Position, Seq, StorageId};

/// Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

/// A tree whose compaction or flush fails is tried again after so long, and in the end each so often.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(300);

/// Locks are taken in the order of the fields.
pub(super) struct Shared {
    pub context: Arc<Context>,
    /// Held during a checkpoint.
    pub checkpointing: Mutex<()>,
    /// Held while a tree to flush is chosen: the trees whose last flush failed.
    pub flush_rests: Mutex<compaction::Rests>,
    /// Held during a compaction: the trees whose last one failed.
    pub compacting: Mutex<compaction::Rests>,
    pub manifest: Mutex<Manifest>,
    pub trees: Mutex<Trees>,
    pub background: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
pub(super) struct Trees {
    pub live: BTreeMap<StorageId, Arc<Tree>>,
    /// Nobody flushes, compacts or checkpoints these, so what the manifest says of them stays as it is.
    pub damaged: BTreeMap<StorageId, Error>,
    /// Gone, but maybe still in the manifest.
    pub dropped: Vec<Arc<Tree>>,
}

/// What the store holds at the moment.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub trees: usize,
    pub memtable_bytes: usize,
    /// Those of other stores that share the memory.
    pub others_memtable_bytes: usize,
    pub table_count: usize,
    pub table_bytes: u64,
    /// Tables that no checkpoint has yet; many of them slow reads down, and a checkpoint lets them be
    /// compacted.
    pub pending_table_count: usize,
    pub pending_table_bytes: u64,
    /// Indexes and filters of open tables, as far as they are in memory, and how many there may be; as all that the cache
    /// has, those of the stores that share it.
    pub table_memory_bytes: usize,
    pub table_memory_bytes_max: usize,
    /// What the block cache has: blocks, and those.
    pub cache_bytes: usize,
    pub cache_hits: u64,
    pub cache_misses: u64,
    /// Written to sorted tables since the store was opened, by flushes and large transactions, and by compactions.
    pub arrived_bytes: u64,
    pub merged_bytes: u64,
    /// Waits of writers because flushes or compactions were behind; all together, and the longest.
    pub stalls: u64,
    pub stall_micros: u64,
    pub stall_micros_max: u64,
    /// Writers that wait right now, and trees whose last flush failed.
    pub stalled: usize,
    pub flushes_failing: usize,
    /// Bytes in the lowest level in use of each tree: what there would be if all were merged, or more.
    pub lowest_bytes: u64,
    /// Tables a read of one key may have to ask in the tree that has most of them to ask.
    pub runs_max: usize,
}

impl Stats {
    /// How often a byte that arrived was written to sorted tables.
    pub fn write_amplification(&self) -> f64 {
        ratio(self.arrived_bytes + self.merged_bytes, self.arrived_bytes)
    }

    /// Bytes on disk for each byte there would be if all were merged.
    pub fn space_amplification(&self) -> f64 {
        ratio(self.table_bytes, self.lowest_bytes)
    }
}

/// One when nothing is there to compare.
fn ratio(all: u64, part: u64) -> f64 {
    if part == 0 { 1.0 } else { all as f64 / part as f64 }
}

impl Store {
    /// Opens the store in `dir` (creates it in a folder without one) as of its last checkpoint, and removes
    /// files that belong to nothing. Trees whose files are damaged are told by [`Store::damage`].
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Store> {
        let recovery::Opened { context, manifest, trees, damaged } = recovery::open(fs, dir, options)?;
        let shared = Shared {
            context,
            checkpointing: Mutex::default(),
            flush_rests: Mutex::new(compaction::Rests::new(REST_MIN, REST_MAX)),
            compacting: Mutex::new(compaction::Rests::new(REST_MIN, REST_MAX)),
            manifest: Mutex::new(manifest),
            trees: Mutex::new(Trees { live: trees, damaged, dropped: Vec::new() }),
            background: Mutex::default(),
        };
        let shared = Arc::new(shared);
        shared.context.limiter.follow(Arc::downgrade(&shared));
        Ok(Store { shared })
    }

    pub fn tree(&self, id: StorageId) -> Option<Arc<Tree>> {
        self.shared.trees.lock().live.get(&id).cloned()
    }

    /// The tree `id`, made when it is not there. Lasting from the next checkpoint on.
    pub fn create_tree(&self, id: StorageId) -> Arc<Tree> {
        let new = || Arc::new(Tree::new(id, self.shared.context.clone(), Version::default()));
        let mut trees = self.shared.trees.lock();
        // An empty tree in its place would be taken for all there is.
        assert!(!trees.damaged.contains_key(&id), "tree {} is damaged and not dropped", id.0);
        trees.live.entry(id).or_insert_with(new).clone()
    }

    /// What is wrong with a tree that is damaged.
    pub fn damage(&self, id: StorageId) -> Option<Error> {
        self.shared.trees.lock().damaged.get(&id).cloned()
    }

    /// From here on the tree is left alone, as one that was found damaged at open: what no checkpoint has of it is
    /// forgotten, and the files of the last one stay until it is dropped. While no thread of the store runs.
    pub fn set_damaged(&self, id: StorageId, error: Error) {
        let mut trees = self.shared.trees.lock();
        trees.live.remove(&id);
        trees.damaged.entry(id).or_insert(error);
    }

    /// Forgets the tree. Its extras and files go with the next checkpoint, the files once the last reader is
    /// gone. Those of a damaged tree are not open: they are the caller's to remove after that checkpoint, or go at the
    /// next open.
    pub fn drop_tree(&self, id: StorageId) {
        let mut trees = self.shared.trees.lock();
        if let Some(tree) = trees.live.remove(&id) {
            tree.set_dropped();
            trees.dropped.push(tree);
        } else if trees.damaged.remove(&id).is_some() {
            let tree = Tree::new(id, self.shared.context.clone(), Version::default());
            tree.set_dropped();
            trees.dropped.push(Arc::new(tree));
        }
    }

    /// All trees, damaged ones included.
    pub fn tree_ids(&self) -> Vec<StorageId> {
        let trees = self.shared.trees.lock();
        trees.live.keys().chain(trees.damaged.keys()).copied().collect()
    }

    /// The position of the last durable checkpoint: the log is replayed from here.
    pub fn checkpoint_position(&self) -> Position {
        self.shared.manifest.lock().durable().position
    }

    /// Sets and removes extras durably, apart from a checkpoint.
    pub fn edit_extras(&self, extras: Vec<Extra>) -> Result<()> {
        self.shared.manifest.lock().commit(extras.into_iter().map(Extra::into_edit).collect())
    }

    pub fn extra(&self, storage: StorageId, name: &str) -> Option<Vec<u8>> {
        self.shared.manifest.lock().durable().extras.get(&(storage, name.to_owned())).cloned()
    }

    /// The extras of a tree, by name.
    pub fn extras(&self, storage: StorageId) -> Vec<(String, Vec<u8>)> {
        let manifest = self.shared.manifest.lock();
        let from_first = manifest.durable().extras.range((storage, String::new())..);
        let mine = from_first.take_while(|((id, _), _)| *id == storage);
        mine.map(|((_, name), value)| (name.clone(), value.clone())).collect()
    }

    /// No present or future reader has a snapshot before `horizon`: what is older and overwritten may go.
    pub fn set_horizon(&self, horizon: Seq) {
        self.shared.context.raise_horizon(horizon);
    }

    /// Does one piece of background work, a flush or a compaction, and says whether there was any.
    pub fn step(&self) -> Result<bool> {
        Ok(self.shared.flush_step(None)? || self.shared.compact_step()?)
    }

    /// While this lives, nothing holds back what is written in the background: somebody waits for some of it.
    pub fn urgent(&self) -> Urgent {
        Urgent::new(&self.shared.context)
    }

    /// From now on nothing holds back what is written in the background: somebody waits for the store to close.
    pub fn hurry(&self) {
        self.shared.context.limiter.set_off();
    }

    /// Merges all of a tree that a checkpoint has into one level, so that only versions that are needed are
    /// left.
    pub fn compact(&self, id: StorageId) -> Result<()> {
        let _urgent = self.urgent();
        self.shared.compact_tree(id)
    }

    /// Writes those tables anew of which enough is not needed any more, of what a checkpoint has: what is written follows
    /// what is freed, however large the tree is. At most about a ninth of what is needed is left besides it.
    /// `calm`: as slowly as what is behind allows, for nobody waits for it.
    pub fn clean(&self, id: StorageId, calm: bool) -> Result<()> {
        let _urgent = (!calm).then(|| self.urgent());
        self.shared.clean_tree(id, calm.then_some(Lane::Merge))
    }

    /// Reads all tables and holds them against every invariant.
    pub fn check(&self) -> Result<Report> {
        let mut report = Report::default();
        for tree in self.shared.live_trees() {
            check::check_version(&tree.version(), &mut report);
        }
        let damaged: Vec<StorageId> = self.shared.trees.lock().damaged.keys().copied().collect();
        for id in damaged {
            let levels = self.shared.manifest.lock().durable().trees.get(&id).cloned();
            if let Some(levels) = levels {
                check::check_files(&self.shared.context, id, &levels, &mut report);
            }
        }
        Ok(report)
    }

    pub fn stats(&self) -> Stats {
        let context = &self.shared.context;
        let (cache_hits, cache_misses) = context.pool.cache.counts();
        let mut stats =
            Stats { cache_bytes: context.pool.cache.bytes(), cache_hits, cache_misses, ..Stats::default() };
        stats.table_memory_bytes = context.pool.cache.guide_bytes();
        stats.table_memory_bytes_max = context.pool.cache.guide_bytes_max();
        stats.others_memtable_bytes = context.memory.others();
        let traffic = &context.traffic;
        stats.arrived_bytes = traffic.arrived_bytes.load(Relaxed);
        stats.merged_bytes = traffic.merged_bytes.load(Relaxed);
        stats.stalls = traffic.stalls.load(Relaxed);
        stats.stall_micros = traffic.stall_micros.load(Relaxed);
        stats.stall_micros_max = traffic.stall_micros_max.load(Relaxed);
        stats.stalled = traffic.waiting.load(Relaxed);
        stats.flushes_failing = context.signal.failing();
        for tree in self.shared.live_trees() {
            let version = tree.version();
            let lowest = version.levels.iter().rev().find(|tables| !tables.is_empty());
            let lowest = lowest.into_iter().flatten().map(|table| table.meta().bytes);
            // A tree that has only pending tables is as small as they are.
            stats.lowest_bytes +=
                if version.tables().next().is_some() { lowest.sum() } else { tree.bytes_on_disk() };
            let levels = version.levels[1..].iter().filter(|tables| !tables.is_empty()).count();
            stats.runs_max = stats.runs_max.max(version.levels[0].len() + levels + tree.pending_size().0);
            let (pending_count, pending_bytes) = tree.pending_size();
            stats.trees += 1;
            stats.memtable_bytes += tree.bytes_in_memory();
            stats.pending_table_count += pending_count;
            stats.pending_table_bytes += pending_bytes;
            for table in tree.all_tables() {
                stats.table_count += 1;
                stats.table_bytes += table.meta().bytes;
            }
        }
        stats
    }
}

impl Shared {
    pub fn live_trees(&self) -> Vec<Arc<Tree>> {
        self.trees.lock().live.values().cloned().collect()
    }

    /// The file numbers in use are part of each commit, so that none is ever used again.
    pub fn next_number_edit(&self) -> Edit {
        Edit::NextNumber(self.context.peek_number())
    }
}
