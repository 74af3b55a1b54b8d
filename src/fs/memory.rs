//! A strict file system in memory: after a crash it keeps only what was synced, under names that were synced.
//!
//! ```text
//!             now                      durable                  in between
//! contents    Contents::bytes          Contents::synced         writes since sync_data, in order
//! names       State::names             State::synced            creates, renames, removes since sync_dir, in order
//! ```
//!
//! [`MemoryFs::crash`] answers "and if the power had failed here?" as a new file system:
//!
//! - seed 0 keeps nothing that was not synced, seed 1 keeps everything (as `kill -9` does);
//! - any other seed draws. A file's bytes come back in units of 512 (a sector) or 4,096 (a page), each as it was
//!   after some of the writes since the last sync - a unit may be newer than its neighbour, but never mixes
//!   moments, because a cache writes back whole units. Its length is that after some of the writes. Names come back
//!   after a prefix of the name operations, or after any subset of them; a rename is one operation.
//!
//! Folders are names too: one that was made or removed is there or not after a crash until its parent was synced, and what
//! is in one that is lost is lost with it. Maps see later writes, as real ones do.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::disk::{ends_early, locked, whole_pages};
use super::mapped::Region;
use super::{File, Fs, Map, OpenMode, WordMap};
use crate::error::{Error, Result};

/// Files in memory. Clones are the same file system.
#[derive(Clone, Default)]
pub struct MemoryFs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: Names,
    synced: Names,
    pending: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
}

/// Without the root and the current folder, which are always there.
#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, Arc<Inode>>,
    folders: BTreeSet<PathBuf>,
}

impl Names {
    fn has_folder(&self, path: &Path) -> bool {
        path.parent().is_none() || self.folders.contains(path)
    }

    /// Takes away what lies in folders that are not there.
    fn prune(&mut self) {
        let mut there = Names::default();
        // Parents come before what is in them.
        for folder in std::mem::take(&mut self.folders) {
            if there.has_folder(&parent(&folder)) {
                there.folders.insert(folder);
            }
        }
        self.files.retain(|path, _| there.has_folder(&parent(path)));
        self.folders = there.folders;
    }
}

/// One operation on names, not yet durable.
struct NameChange {
    /// Syncing any of these folders makes it durable.
    folders: Vec<PathBuf>,
    edit: NameEdit,
}

enum NameEdit {
    Link(PathBuf, Arc<Inode>),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, Arc<Inode>),
    MakeFolder(PathBuf),
    /// With all in it.
    RemoveFolder(PathBuf),
}

impl NameEdit {
    fn apply(&self, names: &mut Names) {
        match self {
            NameEdit::Link(path, inode) => drop(names.files.insert(path.clone(), inode.clone())),
            NameEdit::Unlink(path) => drop(names.files.remove(path)),
            NameEdit::Rename(from, to, inode) => {
                names.files.remove(from);
                names.files.insert(to.clone(), inode.clone());
            }
            NameEdit::MakeFolder(path) => drop(names.folders.insert(path.clone())),
            NameEdit::RemoveFolder(path) => {
                names.files.retain(|name, _| !name.starts_with(path));
                names.folders.retain(|name| !name.starts_with(path));
            }
        }
    }

    /// Whether all of it is inside of the folder.
    fn is_inside(&self, folder: &Path) -> bool {
        match self {
            NameEdit::Link(path, _) | NameEdit::Unlink(path) => path.starts_with(folder),
            NameEdit::Rename(from, to, _) => from.starts_with(folder) && to.starts_with(folder),
            NameEdit::MakeFolder(path) | NameEdit::RemoveFolder(path) => path.starts_with(folder),
        }
    }
}

impl State {
    fn change(&mut self, folders: Vec<PathBuf>, edit: NameEdit) {
        edit.apply(&mut self.names);
        self.pending.push(NameChange { folders, edit });
    }
}

impl MemoryFs {
    pub fn new() -> MemoryFs {
        MemoryFs::default()
    }

    /// What a restart finds if the power fails now. This file system is not changed.
    pub fn crash(&self, seed: u64) -> MemoryFs {
        let state = self.0.lock();
        let mut chance = Chance::new(seed);
        let mut names = state.synced.clone();
        for edit in surviving(&state.pending, &mut chance) {
            edit.apply(&mut names);
        }
        names.prune();
        // All at one moment: a writer between two files would leave the later of two writes without the earlier one. A file
        // of two names is one file.
        let mut contents = BTreeMap::new();
        for inode in names.files.values() {
            contents.entry(Arc::as_ptr(inode)).or_insert_with(|| inode.0.lock());
        }
        let mut crashed: BTreeMap<*const Inode, Arc<Inode>> = BTreeMap::new();
        let files = names
            .files
            .iter()
            .map(|(path, inode)| {
                let inode = Arc::as_ptr(inode);
                let found = crashed.entry(inode).or_insert_with(|| contents[&inode].crash(&mut chance));
                (path.clone(), Arc::clone(found))
            })
            .collect();
        drop(contents);
        let names = Names { files, folders: names.folders };
        MemoryFs(Arc::new(Mutex::new(State { synced: names.clone(), names, ..State::default() })))
    }

    /// What a kernel may do after a failed sync (the "fsyncgate" of 2018): it drops what it could not write and calls the
    /// pages clean. Readers still see the bytes, and no later sync makes them durable.
    pub fn lose_unsynced(&self, path: &Path) {
        if let Some(inode) = self.0.lock().names.files.get(path) {
            inode.0.lock().lose_unsynced();
        }
    }

    /// Bytes of all files that have a name, without holes.
    pub fn bytes(&self) -> u64 {
        let state = self.0.lock();
        state.names.files.values().map(|inode| inode.0.lock().space()).sum()
    }
}

fn surviving<'a>(pending: &'a [NameChange], chance: &mut Chance) -> Vec<&'a NameEdit> {
    let edits = pending.iter().map(|change| &change.edit);
    let fate = chance.fate;
    match fate {
        Fate::Nothing => Vec::new(),
        Fate::Everything => edits.collect(),
        Fate::Drawn if chance.below(2) == 0 => {
            let count = chance.below(pending.len() as u64 + 1) as usize;
            edits.take(count).collect()
        }
        Fate::Drawn => edits.filter(|_| chance.below(2) == 0).collect(),
    }
}

impl Fs for MemoryFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        let inode = match (state.names.files.get(path), mode) {
            (Some(_), OpenMode::Create) => return Err(failed("create", path, ErrorKind::AlreadyExists)),
            (Some(inode), _) => inode.clone(),
            (None, OpenMode::Create) => {
                if !state.names.has_folder(&parent(path)) {
                    return Err(failed("create", path, ErrorKind::NotFound));
                }
                let inode = Arc::new(Inode::default());
                state.change(vec![parent(path)], NameEdit::Link(path.to_owned(), inode.clone()));
                inode
            }
            (None, _) => return Err(failed("open", path, ErrorKind::NotFound)),
        };
        Ok(Arc::new(MemoryFile { inode, path: path.to_owned(), writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.0.lock();
        let Some(inode) = state.names.files.get(from).cloned() else {
            return Err(failed("rename", from, ErrorKind::NotFound));
        };
        if !state.names.has_folder(&parent(to)) {
            return Err(failed("rename", from, ErrorKind::NotFound));
        }
        let edit = NameEdit::Rename(from.to_owned(), to.to_owned(), inode);
        state.change(vec![parent(from), parent(to)], edit);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut state = self.0.lock();
        if !state.names.files.contains_key(path) {
            return Err(failed("remove", path, ErrorKind::NotFound));
        }
        state.change(vec![parent(path)], NameEdit::Unlink(path.to_owned()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.0.lock();
        if state.names.has_folder(path) {
            return Ok(());
        }
        if state.names.files.contains_key(path) {
            return Err(failed("create", path, ErrorKind::AlreadyExists));
        }
        if !state.names.has_folder(&parent(path)) {
            return Err(failed("create", path, ErrorKind::NotFound));
        }
        state.change(vec![parent(path)], NameEdit::MakeFolder(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let mut state = self.0.lock();
        if !state.names.folders.contains(path) {
            return Err(failed("remove", path, ErrorKind::NotFound));
        }
        let inside: Vec<PathBuf> =
            state.names.files.keys().filter(|name| name.starts_with(path)).cloned().collect();
        for name in inside {
            state.change(vec![parent(&name)], NameEdit::Unlink(name));
        }
        state.change(vec![parent(path)], NameEdit::RemoveFolder(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let state = self.0.lock();
        let all = state.names.files.keys().chain(&state.names.folders);
        let inside = all.filter(|name| name.parent() == Some(path) && name.file_name().is_some());
        let names: BTreeSet<PathBuf> =
            inside.filter_map(|name| name.file_name()).map(PathBuf::from).collect();
        Ok(names.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.0.lock();
        state.names.files.contains_key(path) || state.names.has_folder(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.0.lock();
        let State { synced, pending, .. } = &mut *state;
        let mut left: Vec<NameChange> = Vec::new();
        for change in std::mem::take(pending) {
            if !change.folders.iter().any(|folder| folder == path) {
                left.push(change);
                continue;
            }
            change.edit.apply(synced);
            if let NameEdit::RemoveFolder(gone) = &change.edit {
                left.retain(|change| !change.edit.is_inside(gone));
            }
        }
        *pending = left;
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Any + Send + Sync>> {
        if !self.0.lock().locks.insert(path.to_owned()) {
            return Err(locked(path));
        }
        Ok(Box::new(Guard(self.clone(), path.to_owned())))
    }
}

/// Gives an advisory lock back when dropped.
struct Guard(MemoryFs, PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.lock().locks.remove(&self.1);
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

fn failed(operation: &str, path: &Path, kind: ErrorKind) -> Error {
    Error::io(operation, path.display(), &io::Error::from(kind))
}

const PAGE: u64 = 4096;

/// A file's contents; its names are elsewhere.
#[derive(Default)]
struct Inode(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<ContentChange>,
    /// Pages that were punched and not written since.
    holes: BTreeSet<u64>,
    /// Live maps, each with a copy of the bytes that follows every write.
    maps: Vec<Weak<Region>>,
}

/// One change of contents, not yet durable.
enum ContentChange {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    /// The new length; what lies past it is lost, what lies before it and is new reads as zero.
    Length(usize),
}

impl ContentChange {
    /// Changes the bytes of `unit` and no others; the length is kept by the caller.
    fn apply(&self, contents: &mut [u8], unit: std::ops::Range<usize>) {
        match self {
            ContentChange::Write { offset, bytes } => {
                let (from, to) = (unit.start.max(*offset), unit.end.min(offset + bytes.len()));
                if from < to {
                    contents[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
                }
            }
            ContentChange::Length(len) => {
                let from = unit.start.max(*len);
                if from < unit.end {
                    contents[from..unit.end].fill(0);
                }
            }
        }
    }

    fn length_after(&self, before: usize) -> usize {
        match self {
            ContentChange::Write { offset, bytes } => before.max(offset + bytes.len()),
            ContentChange::Length(len) => *len,
        }
    }
}

impl Contents {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        if !self.holes.is_empty() {
            let written = offset as u64 / PAGE..(end as u64).div_ceil(PAGE);
            self.holes.retain(|page| !written.contains(page));
        }
        self.each_map(|map| map.write(bytes, offset as u64));
        self.pending.push(ContentChange::Write { offset, bytes: bytes.to_vec() });
    }

    fn space(&self) -> u64 {
        self.bytes.len() as u64 - self.holes.len() as u64 * PAGE
    }

    fn set_length(&mut self, len: usize) {
        self.holes.retain(|page| (page + 1) * PAGE <= len as u64);
        if let Some(lost) = self.bytes.len().checked_sub(len) {
            let zeros = vec![0; lost];
            self.each_map(|map| map.write(&zeros, len as u64));
        }
        self.bytes.resize(len, 0);
        self.pending.push(ContentChange::Length(len));
    }

    fn each_map(&mut self, write: impl Fn(&Region)) {
        self.maps.retain(|map| map.upgrade().inspect(|map| write(map)).is_some());
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            let len = change.length_after(self.synced.len());
            self.synced.resize(len, 0);
            if let ContentChange::Write { offset, bytes } = change {
                self.synced[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
        }
    }

    fn lose_unsynced(&mut self) {
        self.pending.clear();
        // The length is metadata, which the journal keeps.
        self.synced.resize(self.bytes.len(), 0);
    }

    /// The file a restart finds.
    fn crash(&self, chance: &mut Chance) -> Arc<Inode> {
        let bytes = self.surviving(chance);
        Arc::new(Inode(Mutex::new(Contents { synced: bytes.clone(), bytes, ..Contents::default() })))
    }

    /// The bytes a restart finds.
    fn surviving(&self, chance: &mut Chance) -> Vec<u8> {
        match chance.fate {
            Fate::Nothing => self.synced.clone(),
            Fate::Everything => self.bytes.clone(),
            Fate::Drawn => self.torn(chance),
        }
    }

    /// Every unit as after some of the pending changes, and the length likewise.
    fn torn(&self, chance: &mut Chance) -> Vec<u8> {
        let count = self.pending.len() as u64;
        let unit_bytes = if chance.below(2) == 0 { 512 } else { 4096 };
        let lengths = self.pending.iter().scan(self.synced.len(), |len, change| {
            *len = change.length_after(*len);
            Some(*len)
        });
        let lengths: Vec<usize> = std::iter::once(self.synced.len()).chain(lengths).collect();
        let len = lengths[chance.below(count + 1) as usize];
        let room = lengths.iter().copied().max().unwrap_or(0);
        let mut bytes = self.synced.clone();
        bytes.resize(room, 0);
        if count > 0 {
            for start in (0..room).step_by(unit_bytes) {
                let unit = start..room.min(start + unit_bytes);
                // Half of the units old or new altogether, so that both are common however many changes there are.
                let kept =
                    [0, count, chance.below(count + 1), chance.below(count + 1)][chance.below(4) as usize];
                for change in &self.pending[..kept as usize] {
                    change.apply(&mut bytes, unit.clone());
                }
            }
        }
        bytes.truncate(len);
        bytes
    }
}

struct MemoryFile {
    inode: Arc<Inode>,
    path: PathBuf,
    writable: bool,
}

impl MemoryFile {
    /// `offset` as an index, refused on files opened for reading.
    fn to_write(&self, offset: u64) -> Result<usize> {
        if !self.writable {
            return Err(failed("write", &self.path, ErrorKind::PermissionDenied));
        }
        usize::try_from(offset).map_err(|_| failed("write", &self.path, ErrorKind::FileTooLarge))
    }
}

impl File for MemoryFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.inode.0.lock().bytes.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let contents = self.inode.0.lock();
        let from = usize::try_from(offset).ok();
        let found = from.and_then(|from| contents.bytes.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or_else(|| ends_early(&self.path, buffer.len(), offset))?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let offset = self.to_write(offset)?;
        self.inode.0.lock().write(bytes, offset);
        Ok(())
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let len = self.to_write(len)?;
        let mut contents = self.inode.0.lock();
        if contents.bytes.len() < len {
            contents.set_length(len);
        }
        Ok(())
    }

    fn refill(&self, offset: u64, len: u64) -> Result<()> {
        self.to_write(offset)?;
        let (from, to) = (offset / PAGE, (offset + len).div_ceil(PAGE));
        self.inode.0.lock().holes.retain(|page| !(from..to).contains(page));
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let (from, to) = whole_pages(offset, len);
        let mut contents = self.inode.0.lock();
        let to = to.min(contents.bytes.len() as u64);
        if from < to {
            let from = self.to_write(from)?;
            contents.write(&vec![0; to as usize - from], from);
            contents.holes.extend(from as u64 / PAGE..to / PAGE);
        }
        Ok(())
    }

    fn space(&self) -> Result<u64> {
        Ok(self.inode.0.lock().space())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let len = self.to_write(len)?;
        self.inode.0.lock().set_length(len);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.inode.0.lock().sync();
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn finish_writeback(&self, _offset: u64, _len: u64) -> Result<()> {
        Ok(())
    }

    fn map(&self, len: u64) -> Result<Map> {
        let region = Region::zeroed(len).map_err(|error| Error::io("map", self.path.display(), &error))?;
        let region = Arc::new(region);
        let mut contents = self.inode.0.lock();
        region.write(&contents.bytes, 0);
        contents.maps.push(Arc::downgrade(&region));
        Ok(Map::of_region(region, len as usize))
    }

    fn map_words(&self) -> Result<WordMap> {
        Ok(WordMap::of_bytes(&self.inode.0.lock().bytes))
    }

    /// The file does not follow: nobody else looks at it.
    fn share_words(&self) -> Result<WordMap> {
        self.map_words()
    }
}

/// What becomes of changes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Nothing,
    Everything,
    Drawn,
}

/// A source of chance that a seed repeats (splitmix64).
struct Chance {
    fate: Fate,
    state: u64,
}

impl Chance {
    fn new(seed: u64) -> Chance {
        let fate = match seed {
            0 => Fate::Nothing,
            1 => Fate::Everything,
            _ => Fate::Drawn,
        };
        Chance { fate, state: seed }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
