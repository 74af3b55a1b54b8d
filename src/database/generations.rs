//! Graph generations on disk: the current one of each vector index, and the one before.
//!
//! ```text
//!   indexes/<storage id>/<index oid>.<generation>.hnsw      or .ivfflat
//!   manifest: "graph.<index oid>" -> [4, 5]               newest last
//! ```
//!
//! A generation is saved by a checkpoint once the graph has grown enough, and counts from the checkpoint's manifest
//! edit on. At open the newest that verifies is taken; what lives and is not in it is tail. Slots that either
//! generation knows are not given to other rows, for a crash may bring that generation back.
//!
//! A graph that cannot be saved, on a full disk for one, keeps the generations it has, and the checkpoint goes on: the log
//! that it lets go of may be the room that is lacking, and an open links what is not in them. A vacuum is refused instead,
//! for the former generations know the slots it wants free.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::catalog::{Catalog, Oid};
use crate::database::Holder;
use crate::database::core::Core;
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, unpaced};
use crate::index::finder::{Finder, Params};
use crate::index::room::Room;
use crate::log::StorageId;
use crate::storage::{Extra, Store};
use crate::table::Table;
use crate::table::state::{VectorIndex, params};

/// Generations kept of each index.
const KEPT: usize = 2;
/// A running server saves a graph again once it has this many new nodes, and a twentieth of what it had: searching
/// ten thousand rows exactly after a restart costs about a millisecond per query until the graph has caught up.
const NEW_NODES_MIN: u64 = 10_000;

/// Which graphs a checkpoint saves.
pub enum Due {
    /// Those that have changed by much.
    Grown,
    /// Those that have changed at all.
    Closing,
    /// As with `Grown`, and those of these indexes that a vacuum has changed.
    Vacuumed(Vec<Oid>),
}

/// Generations that are written, and count once a checkpoint names them.
#[derive(Default)]
pub struct Saved(Vec<(Arc<Table>, Oid, Kept)>);

/// What is on disk of each vector index.
pub struct Generations {
    indexes: Mutex<HashMap<Oid, Kept>>,
    room: Arc<Room>,
}

#[derive(Clone)]
struct Kept {
    storage: StorageId,
    params: Params,
    /// The greatest number a file was ever begun under: one that a failed checkpoint may have named is not written again.
    last: u64,
    /// Oldest first.
    generations: BTreeMap<u64, Arc<RoaringBitmap>>,
    /// The graph that the newest generation is of.
    graph: Weak<Finder>,
    /// The generation that the graph was opened from, as long as nobody has read all of it.
    unread: Option<u64>,
    /// Generations that a scrub found damaged: the next checkpoint saves the graph anew and lets go of them.
    damaged: BTreeSet<u64>,
}

impl Generations {
    /// Of graphs that take their memory from `room`.
    pub fn new(room: Arc<Room>) -> Generations {
        Generations { indexes: Mutex::default(), room }
    }

    /// Memory for graphs.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Opens the graphs of a table, before its live set is restored. With `verify`, every word is read. A damaged one is
    /// left out and built anew; 55000 when a newer program wrote one.
    pub fn open(
        &self,
        fs: &dyn Fs,
        dir: &Path,
        store: &Store,
        catalog: &Catalog,
        table: &Table,
        verify: bool,
    ) -> Result<()> {
        for index in table.state().vector_indexes.clone() {
            let oid = index.definition.oid;
            let Some(value) = store.extra(table.storage(), &extra_name(oid)) else { continue };
            let Some(options) = catalog.index_by_oid(oid).and_then(|index| params(index)) else { continue };
            let numbers = decode(&value)?;
            let path = |number| path_of(dir, table.storage(), oid, number, options);
            let mut kept = Kept::none(table.storage(), options);
            kept.last = numbers.iter().copied().max().unwrap_or(0);
            let mut current = None;
            for &number in numbers.iter().rev() {
                // Of those before the current one it is only wanted what they hold.
                let opened = match current {
                    Some(_) => Finder::nodes_of(fs, &path(number), options, verify),
                    None => open_one(fs, &path(number), options, &self.room, verify).map(|graph| {
                        let nodes = graph.nodes();
                        current = Some((number, Arc::new(graph)));
                        nodes
                    }),
                };
                match opened {
                    Ok(nodes) => drop(kept.generations.insert(number, nodes)),
                    // Of a newer program: nothing is damaged, and nothing is to be built anew in its place.
                    Err(error) if error.state() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                        return Err(error);
                    }
                    Err(error) => log::warn!("generation {number} of index {oid} is not used: {error}"),
                }
            }
            if let Some((number, graph)) = current {
                if kept.generations.keys().next_back() == Some(&number) {
                    kept.graph = Arc::downgrade(&graph);
                    // Lists are read whole.
                    kept.unread = (!verify && matches!(*graph, Finder::Graph(_))).then_some(number);
                }
                table.open_graph(oid, graph, kept.union());
            } else {
                log::warn!("index {oid} is built anew; queries are answered exactly until then");
            }
            self.indexes.lock().insert(oid, kept);
        }
        Ok(())
    }

    /// Saves graphs that have changed enough. What the extras name counts once [`Generations::saved`] is told that a
    /// checkpoint has them. One that cannot be saved is done without, where the checkpoint need not have it.
    pub fn save(&self, core: &Core, due: Due) -> Result<(Vec<Extra>, Saved)> {
        let tables: Vec<Arc<Table>> = core.version.load().tables.values().cloned().collect();
        let mut extras = self.forget_dropped(&tables);
        let mut saved = Saved::default();
        for table in &tables {
            for index in table.state().vector_indexes.clone() {
                if self.is_due(&index, &due) && self.is_read(core, &index) {
                    let kept = match self.save_one(core, table, &index, &due) {
                        Err(error)
                            if index.finder.refuse_unread().is_err() || self.is_dispensable(&index, &due) =>
                        {
                            log::error!("no generation of index {} is saved: {error}", index.definition.oid);
                            continue;
                        }
                        kept => kept?,
                    };
                    let numbers: Vec<u64> = kept.generations.keys().copied().collect();
                    let (oid, storage) = (index.definition.oid, table.storage());
                    extras.push(Extra { storage, name: extra_name(oid), value: Some(encode(&numbers)) });
                    saved.0.push((table.clone(), oid, kept));
                }
            }
        }
        Ok((extras, saved))
    }

    /// A checkpoint names these generations: older ones go, and the slots only they knew are free.
    pub fn saved(&self, saved: Saved) {
        for (table, oid, kept) in saved.0 {
            let union = kept.union();
            self.indexes.lock().insert(oid, kept);
            table.set_saved(oid, union);
        }
    }

    /// Indexes that are gone, or whose table was truncated and has a new storage id.
    fn forget_dropped(&self, tables: &[Arc<Table>]) -> Vec<Extra> {
        let mut alive = Vec::new();
        for table in tables {
            let state = table.state();
            alive.extend(state.vector_indexes.iter().map(|index| (index.definition.oid, table.storage())));
        }
        let mut extras = Vec::new();
        self.indexes.lock().retain(|oid, kept| {
            let keep = alive.contains(&(*oid, kept.storage));
            if !keep {
                extras.push(Extra { storage: kept.storage, name: extra_name(*oid), value: None });
            }
            keep
        });
        extras
    }

    fn is_due(&self, index: &VectorIndex, due: &Due) -> bool {
        let nodes = index.finder.nodes();
        let indexes = self.indexes.lock();
        let Some(kept) = indexes.get(&index.definition.oid) else { return !nodes.is_empty() };
        if !kept.damaged.is_empty() {
            return true;
        }
        if !std::ptr::eq(kept.graph.as_ptr(), Arc::as_ptr(&index.finder)) {
            // Also an empty one, in place of one whose rows are gone.
            return !nodes.is_empty() || !kept.union().is_empty();
        }
        let none = Arc::default();
        let saved = kept.generations.values().next_back().unwrap_or(&none);
        let different = saved.symmetric_difference_len(&nodes);
        match due {
            Due::Grown => different >= NEW_NODES_MIN.max(saved.len() / 20),
            Due::Closing => different > 0,
            // Also when only the generation before knows dead slots: it goes.
            Due::Vacuumed(vacuumed) if vacuumed.contains(&index.definition.oid) => {
                different > 0 || !kept.union().is_subset(&nodes)
            }
            Due::Vacuumed(_) => different >= NEW_NODES_MIN.max(saved.len() / 20),
        }
    }

    /// Whether a checkpoint may go on with the generations there are. What dead slots the graph had when somebody tried to
    /// save it stay held all the same: that costs nothing but slots.
    fn is_dispensable(&self, index: &VectorIndex, due: &Due) -> bool {
        let oid = index.definition.oid;
        match due {
            Due::Grown => true,
            Due::Vacuumed(vacuumed) => !vacuumed.contains(&oid),
            // After a clean end nobody verifies a generation again that is known to be damaged.
            Due::Closing => self.indexes.lock().get(&oid).is_none_or(|kept| kept.damaged.is_empty()),
        }
    }

    /// Whether the graph stands on a file that is known to be sound, which is read if need be: links that rotted would get
    /// checksums of their own in the next generation. A damaged one is left to the scrub.
    fn is_read(&self, core: &Core, index: &VectorIndex) -> bool {
        if index.finder.refuse_unread().is_err() {
            // The indexer builds it anew.
            return false;
        }
        let (oid, params) = (index.definition.oid, index.finder.params());
        let stands_on = |kept: &&Kept| std::ptr::eq(kept.graph.as_ptr(), Arc::as_ptr(&index.finder));
        let unread = self.indexes.lock().get(&oid).filter(stands_on).and_then(|kept| kept.unread);
        let files = self.numbered_files(core, oid);
        let Some((number, path)) = files.into_iter().find(|(number, _)| Some(*number) == unread) else {
            return true;
        };
        match Finder::verify_paced(&*core.fs, &path, params, &mut unpaced) {
            Ok(()) => {
                self.note_read(oid, number);
                true
            }
            Err(error) => {
                log::error!("no generation of index {oid} is saved: {error}");
                false
            }
        }
    }

    /// All of a generation was read, and is sound.
    pub fn note_read(&self, index: Oid, number: u64) {
        if let Some(kept) = self.indexes.lock().get_mut(&index)
            && kept.unread == Some(number)
        {
            kept.unread = None;
        }
    }

    fn save_one(&self, core: &Core, table: &Table, index: &VectorIndex, due: &Due) -> Result<Kept> {
        let (oid, storage) = (index.definition.oid, table.storage());
        let (number, mut kept) = {
            let mut indexes = self.indexes.lock();
            let kept = indexes.entry(oid).or_insert(Kept::none(storage, index.finder.params()));
            kept.last += 1;
            (kept.last, kept.clone())
        };
        let path = path_of(&core.dir, storage, oid, number, kept.params);
        let folder = path.parent().expect("generations lie in a folder").to_path_buf();
        core.fs.create_dir_all(&folder)?;
        if core.fs.exists(&path) {
            core.fs.remove_file(&path)?;
        }
        let state = table.state();
        let dimensions = state.vectors_of(index).map_or(0, |column| column.column.dimensions());
        // A crash may bring this generation back as soon as a checkpoint names it, so from here on its slots are not given
        // out, even if the graph is replaced meanwhile: those it has now are known to the table, and those that it gets
        // while it is written stay held by the snapshot until they are. A superset keeps too many slots back, no harm.
        let _held = core.snapshots.take(Holder::Checkpointer);
        let before = index.finder.nodes();
        let union = kept.union();
        table.set_saved(oid, Arc::new(&*union | &*before));
        index.finder.save(&*core.fs, &path, dimensions, core.snapshots.published().0).inspect_err(|_| {
            // On a full disk it would take what room there is. If it cannot be removed, the next that succeeds does it.
            let _ = core.fs.remove_file(&path);
        })?;
        core.fs.sync_dir(&folder)?;
        let nodes = Arc::new(&*before | &*index.finder.nodes());
        table.set_saved(oid, Arc::new(&*union | &*nodes));
        kept.generations.insert(number, nodes);
        kept.graph = Arc::downgrade(&index.finder);
        kept.unread = None;
        let count = match due {
            // The one before holds back the slots that the vacuum is about. The new one has been read back.
            Due::Vacuumed(vacuumed) if vacuumed.contains(&oid) => 1,
            _ => KEPT,
        };
        kept.generations.retain(|number, _| !kept.damaged.contains(number));
        kept.damaged.clear();
        while kept.generations.len() > count {
            kept.generations.pop_first();
        }
        Ok(kept)
    }

    /// Those of a damaged table are nobody's concern from here on, and stay as they are.
    pub fn leave(&self, storage: StorageId) {
        self.indexes.lock().retain(|_, kept| kept.storage != storage);
    }

    /// Removes files that the last checkpoint does not name. Those of damaged tables are not known here, and stay.
    pub fn remove_old(&self, core: &Core) -> Result<()> {
        let root = core.dir.join("indexes");
        for folder in core.fs.list(&root)? {
            if storage_of(&folder).is_some_and(|storage| core.store.damage(storage).is_some()) {
                continue;
            }
            let names = core.fs.list(&root.join(&folder))?;
            let mut left = names.len();
            for name in names {
                if !self.counts(&folder, &name) {
                    core.fs.remove_file(&root.join(&folder).join(name))?;
                    left -= 1;
                }
            }
            if left == 0 {
                core.fs.remove_dir_all(&root.join(&folder))?;
            }
        }
        Ok(())
    }

    fn counts(&self, folder: &Path, name: &Path) -> bool {
        let storage = storage_of(folder);
        let parts: Vec<&str> = name.to_str().map(|name| name.split('.').collect()).unwrap_or_default();
        let [oid, number, extension] = parts[..] else { return false };
        let (Ok(oid), Ok(number)) = (oid.parse::<Oid>(), number.parse::<u64>()) else { return false };
        let indexes = self.indexes.lock();
        let is_its = |kept: &&Kept| Some(kept.storage) == storage && kept.params.extension() == extension;
        let kept = indexes.get(&oid).filter(is_its);
        kept.is_some_and(|kept| kept.generations.contains_key(&number))
    }

    /// Files of an index, newest last.
    pub fn files(&self, core: &Core, index: Oid) -> Vec<PathBuf> {
        self.numbered_files(core, index).into_iter().map(|(_, path)| path).collect()
    }

    /// The generations of an index with their files, newest last.
    pub fn numbered_files(&self, core: &Core, index: Oid) -> Vec<(u64, PathBuf)> {
        let indexes = self.indexes.lock();
        let kept = indexes.get(&index).into_iter();
        let numbered =
            |kept: &Kept, number: u64| (number, path_of(&core.dir, kept.storage, index, number, kept.params));
        kept.flat_map(|kept| kept.generations.keys().map(|number| numbered(kept, *number))).collect()
    }

    /// The files of all generations that the last checkpoint names.
    pub fn all_files(&self, core: &Core) -> Vec<PathBuf> {
        let indexes: Vec<Oid> = self.indexes.lock().keys().copied().collect();
        indexes.into_iter().flat_map(|index| self.files(core, index)).collect()
    }

    /// Notes that the generation that `graph` stands on, if any, has a page that cannot be read.
    pub fn note_unread(&self, index: Oid, graph: &Arc<Finder>) {
        if let Some(kept) = self.indexes.lock().get_mut(&index)
            && std::ptr::eq(kept.graph.as_ptr(), Arc::as_ptr(graph))
            && let Some(&newest) = kept.generations.keys().next_back()
        {
            kept.damaged.insert(newest);
        }
    }

    /// Notes that a generation is damaged; whether `graph`, the index's present one, stands on its file.
    pub fn note_damaged(&self, index: Oid, number: u64, graph: &Arc<Finder>) -> bool {
        let mut indexes = self.indexes.lock();
        let Some(kept) = indexes.get_mut(&index) else { return false };
        kept.damaged.insert(number);
        let newest = kept.generations.keys().next_back() == Some(&number);
        newest && std::ptr::eq(kept.graph.as_ptr(), Arc::as_ptr(graph))
    }
}

impl Kept {
    fn none(storage: StorageId, params: Params) -> Kept {
        Kept {
            storage,
            params,
            last: 0,
            generations: BTreeMap::new(),
            graph: Weak::new(),
            unread: None,
            damaged: BTreeSet::new(),
        }
    }

    fn union(&self) -> Arc<RoaringBitmap> {
        let mut all = RoaringBitmap::new();
        self.generations.values().for_each(|nodes| all |= &**nodes);
        Arc::new(all)
    }
}

fn open_one(fs: &dyn Fs, path: &Path, params: Params, room: &Arc<Room>, verify: bool) -> Result<Finder> {
    let finder = Finder::open(fs, path, params, room, verify)?;
    if finder.params() != params {
        let expected = format!("the options of its index, {params:?}");
        return Err(Error::corrupt(path.display(), 8, expected, format!("{:?}", finder.params())));
    }
    Ok(finder)
}

fn path_of(dir: &Path, storage: StorageId, index: Oid, number: u64, params: Params) -> PathBuf {
    let name = format!("{index}.{number}.{}", params.extension());
    dir.join("indexes").join(storage.0.to_string()).join(name)
}

/// Whose generations lie in a folder of this name.
fn storage_of(folder: &Path) -> Option<StorageId> {
    folder.to_str().and_then(|name| name.parse().ok()).map(StorageId)
}

fn extra_name(index: Oid) -> String {
    format!("graph.{index}")
}

fn encode(numbers: &[u64]) -> Vec<u8> {
    serde_json::to_vec(numbers).expect("numbers are JSON")
}

fn decode(value: &[u8]) -> Result<Vec<u64>> {
    serde_json::from_slice(value).map_err(|e| Error::corrupt("manifest", 0, "generations of a graph", e))
}
