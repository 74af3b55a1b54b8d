//! A file system that reads another and keeps every change to itself.
//!
//! `hither check` opens a data directory on it: recovery runs as a restart would run it, and the directory stays as it
//! was found, damage and all.
//!
//! ```text
//!   changed pages (4 KiB, in memory)     [1]     [3]
//!   the other file system's file      [0][1][2][3][4]        read: the changed page if there is one
//! ```
//!
//! It needs memory for what changes, and for maps of files that are longer than the file is yet.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::disk::ends_early;
use super::mapped::Region;
use super::{File, Fs, Map, OpenMode, WordMap};
use crate::error::{Error, Result};

/// Another file system, and changes to it that end with this one.
pub struct TrialFs {
    base: Arc<dyn Fs>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Files that were opened, made, moved or removed here.
    files: BTreeMap<PathBuf, Option<Arc<Body>>>,
    folders: BTreeSet<PathBuf>,
    /// Folders of the other file system that were removed here, with all in them.
    removed: BTreeSet<PathBuf>,
}

impl TrialFs {
    pub fn new(base: Arc<dyn Fs>) -> TrialFs {
        TrialFs { base, state: Mutex::default() }
    }

    /// The file, if there is one: from here, or else from the other file system.
    fn body(&self, state: &mut State, path: &Path) -> Result<Option<Arc<Body>>> {
        if let Some(known) = state.files.get(path) {
            return Ok(known.clone());
        }
        if state.is_removed(path) || !self.base.exists(path) {
            return Ok(None);
        }
        let body = Arc::new(Body::of(self.base.open(path, OpenMode::Read)?)?);
        state.files.insert(path.to_owned(), Some(body.clone()));
        Ok(Some(body))
    }
}

impl State {
    fn is_removed(&self, path: &Path) -> bool {
        path.ancestors().any(|folder| self.removed.contains(folder))
    }
}

fn failed(operation: &str, path: &Path, kind: ErrorKind) -> Error {
    Error::io(operation, path.display(), &io::Error::from(kind))
}

impl Fs for TrialFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let body = match (self.body(&mut state, path)?, mode) {
            (Some(_), OpenMode::Create) => return Err(failed("create", path, ErrorKind::AlreadyExists)),
            (None, OpenMode::Create) => {
                let body = Arc::new(Body::default());
                state.files.insert(path.to_owned(), Some(body.clone()));
                body
            }
            (Some(body), _) => body,
            (None, _) => return Err(failed("open", path, ErrorKind::NotFound)),
        };
        Ok(Arc::new(TrialFile { body, path: path.to_owned(), writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state.lock();
        let body = self.body(&mut state, from)?.ok_or_else(|| failed("rename", from, ErrorKind::NotFound))?;
        state.files.insert(from.to_owned(), None);
        state.files.insert(to.to_owned(), Some(body));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut state = self.state.lock();
        self.body(&mut state, path)?.ok_or_else(|| failed("remove", path, ErrorKind::NotFound))?;
        state.files.insert(path.to_owned(), None);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.state.lock().folders.insert(path.to_owned());
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let mut state = self.state.lock();
        state.files.retain(|file, _| !file.starts_with(path));
        state.folders.retain(|folder| !folder.starts_with(path));
        state.removed.insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let state = self.state.lock();
        let mut names: BTreeSet<PathBuf> = BTreeSet::new();
        if !state.is_removed(path) {
            let base = self.base.list(path)?;
            names.extend(base.into_iter().filter(|name| !state.removed.contains(&path.join(name))));
        }
        let inside =
            |name: &Path| Some(PathBuf::from(name.file_name().filter(|_| name.parent() == Some(path))?));
        names.extend(state.folders.iter().filter_map(|folder| inside(folder)));
        for (name, body) in &state.files {
            match (inside(name), body) {
                (Some(name), Some(_)) => drop(names.insert(name)),
                (Some(name), None) => drop(names.remove(&name)),
                (None, _) => {}
            }
        }
        Ok(names.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        match state.files.get(path) {
            Some(body) => body.is_some(),
            None if state.folders.contains(path) => true,
            None => !state.is_removed(path) && self.base.exists(path),
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.base.resolve(path)
    }

    fn sync_dir(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// The real lock: while a server runs, its files change under every reader. Where no lock file is, no server ran.
    fn lock(&self, path: &Path) -> Result<Box<dyn Any + Send + Sync>> {
        if self.base.exists(path) { self.base.lock(path) } else { Ok(Box::new(())) }
    }
}

const PAGE_BYTES: usize = 4096;
type Page = Box<[u8; PAGE_BYTES]>;

/// A file's contents; its names are elsewhere.
#[derive(Default)]
struct Body {
    base: Option<Arc<dyn File>>,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    len: u64,
    /// Bytes of the other file that still count; past them, what is not changed is zero.
    base_len: u64,
    pages: BTreeMap<u64, Page>,
    maps: Vec<Weak<dyn Follow>>,
}

/// A map that follows what is written.
trait Follow: Send + Sync {
    fn write(&self, bytes: &[u8], offset: u64);
}

impl Follow for Region {
    fn write(&self, bytes: &[u8], offset: u64) {
        Region::write(self, bytes, offset);
    }
}

impl Follow for WordMap {
    fn write(&self, bytes: &[u8], offset: u64) {
        WordMap::write(self, bytes, offset);
    }
}

impl Body {
    fn of(base: Arc<dyn File>) -> Result<Body> {
        let len = base.len()?;
        let contents = Contents { len, base_len: len, ..Contents::default() };
        Ok(Body { base: Some(base), contents: Mutex::new(contents) })
    }

    /// Fills `buffer`, of which all lies within the file.
    fn read(&self, contents: &Contents, buffer: &mut [u8], offset: u64) -> Result<()> {
        let end = offset + buffer.len() as u64;
        let old = contents.base_len.clamp(offset, end) - offset;
        let (from_base, zeros) = buffer.split_at_mut(old as usize);
        zeros.fill(0);
        if let Some(base) = self.base.as_ref().filter(|_| !from_base.is_empty()) {
            base.read_exact_at(from_base, offset)?;
        }
        let (first, last) = (offset / PAGE_BYTES as u64, end.div_ceil(PAGE_BYTES as u64));
        for (number, page) in contents.pages.range(first..last) {
            let start = number * PAGE_BYTES as u64;
            let (from, to) = (start.max(offset), (start + PAGE_BYTES as u64).min(end));
            let changed = &page[(from - start) as usize..(to - start) as usize];
            buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(changed);
        }
        Ok(())
    }

    fn write(&self, contents: &mut Contents, bytes: &[u8], offset: u64) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let number = at / PAGE_BYTES as u64;
            let start = number * PAGE_BYTES as u64;
            let to = (start + PAGE_BYTES as u64).min(end);
            if !contents.pages.contains_key(&number) {
                let mut page = Box::new([0; PAGE_BYTES]);
                self.read(contents, &mut page[..], start)?;
                contents.pages.insert(number, page);
            }
            let page = contents.pages.get_mut(&number).expect("inserted above");
            let piece = &bytes[(at - offset) as usize..(to - offset) as usize];
            page[(at - start) as usize..(to - start) as usize].copy_from_slice(piece);
            at = to;
        }
        contents.len = contents.len.max(end);
        contents.each_map(|map| map.write(bytes, offset));
        Ok(())
    }

    fn set_length(&self, contents: &mut Contents, len: u64) -> Result<()> {
        if len < contents.len {
            // What is cut reads as zero should the file grow again.
            let page_end = len.next_multiple_of(PAGE_BYTES as u64).min(contents.len);
            let old = contents.len;
            self.write(contents, &vec![0; (page_end - len) as usize], len)?;
            contents.pages.retain(|number, _| number * (PAGE_BYTES as u64) < len);
            contents.base_len = contents.base_len.min(len);
            let zeros = vec![0; (old - page_end) as usize];
            contents.each_map(|map| map.write(&zeros, page_end));
        }
        contents.len = len;
        Ok(())
    }

    /// The first bytes of the file, in memory.
    fn copy(&self, contents: &Contents, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(contents.len) as usize];
        self.read(contents, &mut bytes, 0)?;
        Ok(bytes)
    }

    /// The other file as words that only change here, with the changes made so far.
    fn words(&self, contents: &Contents) -> Result<Option<WordMap>> {
        let Some(base) = self.base.as_ref().filter(|_| contents.base_len == contents.len) else {
            return Ok(None);
        };
        let words = base.map_words()?;
        for (number, page) in &contents.pages {
            words.write(&page[..], number * PAGE_BYTES as u64);
        }
        Ok(Some(words))
    }
}

impl Contents {
    fn each_map(&mut self, write: impl Fn(&dyn Follow)) {
        self.maps.retain(|map| map.upgrade().inspect(|map| write(&**map)).is_some());
    }

    fn follow(&mut self, map: Arc<impl Follow + 'static>) {
        let map: Arc<dyn Follow> = map;
        self.maps.push(Arc::downgrade(&map));
    }
}

struct TrialFile {
    body: Arc<Body>,
    path: PathBuf,
    writable: bool,
}

impl TrialFile {
    fn check_writable(&self) -> Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(failed("write", &self.path, ErrorKind::PermissionDenied)),
        }
    }
}

impl File for TrialFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.body.contents.lock().len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let contents = self.body.contents.lock();
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > contents.len) {
            return Err(ends_early(&self.path, buffer.len(), offset));
        }
        self.body.read(&contents, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.check_writable()?;
        self.body.write(&mut self.body.contents.lock(), bytes, offset)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.check_writable()?;
        let mut contents = self.body.contents.lock();
        contents.len = contents.len.max(len);
        Ok(())
    }

    fn refill(&self, _offset: u64, _len: u64) -> Result<()> {
        self.check_writable()
    }

    /// Nothing is gained by it here.
    fn punch(&self, _offset: u64, _len: u64) -> Result<()> {
        self.check_writable()
    }

    fn space(&self) -> Result<u64> {
        self.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.check_writable()?;
        self.body.set_length(&mut self.body.contents.lock(), len)
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn finish_writeback(&self, _offset: u64, _len: u64) -> Result<()> {
        Ok(())
    }

    fn map(&self, len: u64) -> Result<Map> {
        let mut contents = self.body.contents.lock();
        // Whole words only: a map has no fewer bytes than it was asked for.
        if len <= contents.len / 4 * 4
            && let Some(words) = self.body.words(&contents)?
        {
            let words = Arc::new(words);
            contents.follow(words.clone());
            return Ok(Map::of_words(words, len as usize));
        }
        let region = Region::zeroed(len).map_err(|error| Error::io("map", self.path.display(), &error))?;
        let region = Arc::new(region);
        region.write(&self.body.copy(&contents, len)?, 0);
        contents.follow(region.clone());
        Ok(Map::of_region(region, len as usize))
    }

    fn map_words(&self) -> Result<WordMap> {
        let contents = self.body.contents.lock();
        match self.body.words(&contents)? {
            Some(words) => Ok(words),
            None => Ok(WordMap::of_bytes(&self.body.copy(&contents, contents.len)?)),
        }
    }

    /// The file does not follow: nobody else looks at it.
    fn share_words(&self) -> Result<WordMap> {
        self.map_words()
    }
}
