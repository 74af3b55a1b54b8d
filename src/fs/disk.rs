//! The real file system: positional reads and writes, fdatasync, fsync of folders, flock.

use std::any::Any;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{File, Fs, Map, OpenMode, WordMap, mapped, without_dots};
use crate::error::{Error, Result, SqlState};

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFs;

impl Fs for DiskFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::Create => options.read(true).write(true).create_new(true),
        };
        let operation = if mode == OpenMode::Create { "create" } else { "open" };
        let file = options.open(path).map_err(failed(operation, path))?;
        Ok(Arc::new(DiskFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(failed("rename", from))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(failed("remove", path))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            outcome => outcome.map_err(failed("create", path)),
        }
    }

    fn sync_name(&self, folder: &Path) -> Result<()> {
        let Some(parent) = folder.parent() else { return Ok(()) };
        match fs::File::open(or_current(parent)) {
            // Whoever made the folder in there is another one.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            opened => opened.and_then(|folder| folder.sync_all()).map_err(failed("sync", parent)),
        }
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let whole = std::path::absolute(path).map_err(failed("resolve", path))?;
        let mut parts = whole.components();
        loop {
            let there = parts.as_path();
            match fs::canonicalize(there) {
                // What is not there is no link.
                Ok(found) => {
                    let missing = whole.strip_prefix(there).expect("a path begins with its parents");
                    return Ok(without_dots(&found.join(missing)));
                }
                Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
                    if parts.next_back().is_none() {
                        return Err(failed("resolve", path)(error));
                    }
                }
                Err(error) => return Err(failed("resolve", path)(error)),
            }
        }
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path).map_err(failed("remove", path))
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("list", path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(PathBuf::from(entry.map_err(failed("list", path))?.file_name()));
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        fs::File::open(or_current(path)).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Any + Send + Sync>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(locked(path)),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", path.display(), &error)),
        }
    }
}

/// The parent of a relative name is "".
fn or_current(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The refusal of [`Fs::lock`], the same from every file system.
pub(super) fn locked(path: &Path) -> Error {
    Error::new(SqlState::OBJECT_IN_USE, format!("\"{}\" is locked by another process", path.display()))
        .hint("Is another server running on this data directory?")
}

fn failed<'a>(operation: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| Error::io(operation, path.display(), &error)
}

struct DiskFile {
    file: fs::File,
    path: PathBuf,
}

/// Zeros written at a time where the file system cannot reserve space.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl DiskFile {
    /// For file systems without fallocate: blocks come with bytes.
    fn fill_with_zeros(&self, len: u64) -> io::Result<()> {
        let mut at = self.file.metadata()?.len();
        while at < len {
            let count = (len - at).min(ZEROS.len() as u64);
            self.file.write_all_at(&ZEROS[..count as usize], at)?;
            at += count;
        }
        Ok(())
    }
}

impl File for DiskFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(failed("stat", &self.path))?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ends_early(&self.path, buffer.len(), offset),
            _ => Error::io("read", self.path.display(), &at(error, offset)),
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(failed("write", &self.path))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        match mapped::allocate(&self.file, len) {
            Err(error) if error.kind() == ErrorKind::Unsupported => self.fill_with_zeros(len),
            result => result,
        }
        .map_err(failed("allocate space for", &self.path))
    }

    fn refill(&self, offset: u64, len: u64) -> Result<()> {
        match mapped::allocate_range(&self.file, offset, len) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            result => result,
        }
        .map_err(failed("allocate space for", &self.path))
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let (from, to) = whole_pages(offset, len);
        if from >= to {
            return Ok(());
        }
        match mapped::punch(&self.file, from, to - from) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            result => result,
        }
        .map_err(failed("give back space of", &self.path))
    }

    fn space(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(failed("stat", &self.path))?;
        Ok(metadata.blocks() * 512)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(failed("truncate", &self.path))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        mapped::start_writeback(&self.file, offset, len);
    }

    fn finish_writeback(&self, offset: u64, len: u64) -> Result<()> {
        match mapped::finish_writeback(&self.file, offset, len) {
            // Nothing was waited for: the sync does it all.
            Err(error) if [ErrorKind::Unsupported, ErrorKind::InvalidInput].contains(&error.kind()) => Ok(()),
            result => result,
        }
        .map_err(failed("sync", &self.path))
    }

    fn map(&self, len: u64) -> Result<Map> {
        Map::of_file(&self.file, &self.path, len).map_err(failed("map", &self.path))
    }

    fn map_again(&self, map: &Map, bytes: Range<u64>) -> Result<()> {
        map.try_again(&self.file, bytes).map_err(failed("map", &self.path))
    }

    fn map_words(&self) -> Result<WordMap> {
        WordMap::of_file(&self.file, &self.path).map_err(failed("map", &self.path))
    }

    fn share_words(&self) -> Result<WordMap> {
        WordMap::shared(&self.file, &self.path).map_err(failed("map", &self.path))
    }
}

/// A failed reading, with its place.
fn at(error: io::Error, offset: u64) -> io::Error {
    io::Error::new(error.kind(), format!("{error} at offset {offset}"))
}

/// The pages that lie wholly in a range: start and end.
pub(super) fn whole_pages(offset: u64, len: u64) -> (u64, u64) {
    const PAGE: u64 = 4096;
    (offset.next_multiple_of(PAGE), (offset + len) / PAGE * PAGE)
}

/// What every file system says of a file that is shorter than its reader knows it must be.
pub(super) fn ends_early(path: &Path, wanted: usize, offset: u64) -> Error {
    Error::corrupt(path.display(), offset, format_args!("{wanted} bytes"), "the end of the file")
}
