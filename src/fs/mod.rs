//! Every system call on files goes through [`Fs`], so that tests can crash it.
//!
//! Two homes: `disk.rs` (the real one) and `memory.rs` (strict: keeps only what was synced, under names that were
//! synced). Two more stand on another: `faulty.rs` fails or crashes the n-th operation, `trial.rs` keeps every change
//! to itself. `mapped.rs` holds the maps and the only unsafe code on files.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;

pub mod disk;
pub mod faulty;
pub mod mapped;
pub mod memory;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod trial;

pub use disk::DiskFs;
pub use faulty::FaultyFs;
pub use mapped::{Map, WordMap};
pub use memory::MemoryFs;
pub use trial::TrialFs;

/// Told of the bytes of every piece that a long reading has read: it may wait, and its error ends the reading.
pub type Pace<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// For readings that nothing slows down.
pub fn unpaced(_bytes: u64) -> Result<()> {
    Ok(())
}

/// Where a readable export of a file goes, line by line.
pub type Lines<'a> = dyn FnMut(String) -> Result<()> + 'a;

/// Whether a file's first bytes are these.
pub fn begins_with(fs: &dyn Fs, path: &Path, magic: &[u8; 8]) -> Result<bool> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut first = [0; 8];
    if file.len()? < 8 {
        return Ok(false);
    }
    file.read_exact_at(&mut first, 0)?;
    Ok(&first == magic)
}

/// How [`Fs::open`] treats the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file exists and is only read.
    Read,
    /// The file exists and is read and written.
    ReadWrite,
    /// The file does not exist yet. Its name is durable only after [`Fs::sync_dir`] of its folder.
    Create,
}

/// A file system. Paths are relative to nothing: callers hand in the whole path.
pub trait Fs: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>>;
    /// Atomic; durable after [`Fs::sync_dir`] of the folder. Replaces `to`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    fn remove_file(&self, path: &Path) -> Result<()>;
    /// Makes one folder, unless it is there; durable after [`Fs::sync_dir`] of its parent, which exists.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Creates the folder and its parents, durably: only names of files wait for [`Fs::sync_dir`].
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        let is_missing = |at: &&Path| at.parent().is_some() && !self.exists(at);
        let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        // The last one that is there may have been made by one who ended before its name was durable. Those above it were
        // durable before it was made.
        if let Some(there) = path.ancestors().nth(missing.len()) {
            self.sync_name(there)?;
        }
        for folder in missing.into_iter().rev() {
            self.create_dir(folder)?;
            self.sync_name(folder)?;
        }
        Ok(())
    }
    /// Makes the name of a folder durable in its parent, as far as there is one that this process may open.
    fn sync_name(&self, folder: &Path) -> Result<()> {
        folder.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }
    /// The folder and all in it; durable after [`Fs::sync_dir`] of its parent.
    fn remove_dir_all(&self, path: &Path) -> Result<()>;
    /// Names (not paths) of files and folders in `path`, sorted; a missing folder is an empty list.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>>;
    fn exists(&self, path: &Path) -> bool;
    /// What the path means: two that lead to one place are the same. The path need not be there: of its parents those that
    /// are count. Without links and a current folder, as here, the names decide.
    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        Ok(without_dots(path))
    }
    /// Makes the names in the folder durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Takes the advisory lock of a lock file until the guard is dropped; 55006 when another process holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn std::any::Any + Send + Sync>>;
}

/// The path without `.` and `..`: a parent is the name before it, which is right where no name is a link.
fn without_dots(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if found.file_name().is_some() => drop(found.pop()),
            // Above the root is the root.
            Component::ParentDir if found.has_root() => {}
            part => found.push(part),
        }
    }
    found
}

/// An open file. Offsets and lengths are in bytes.
#[expect(
    clippy::len_without_is_empty,
    reason = "len asks the system and may fail; nobody asks whether a file is empty"
)]
pub trait File: Send + Sync {
    fn path(&self) -> &Path;
    fn len(&self) -> Result<u64>;
    /// Fills `buffer`; a file that ends before is an error (XX001).
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()>;
    /// Reserves space so that later writes in `..len` cannot fail for want of it (53100 now instead), and makes the
    /// file at least `len` long; new bytes read as zero.
    fn allocate(&self, len: u64) -> Result<()>;
    /// Reserves space again for bytes that [`File::punch`] gave back (53100 when there is none).
    fn refill(&self, offset: u64, len: u64) -> Result<()>;
    /// Gives back the space of the whole pages in a range; they read as zero. The length stays. Where the file system
    /// cannot, nothing happens.
    fn punch(&self, offset: u64, len: u64) -> Result<()>;
    /// Bytes of disk the file takes, which holes do not.
    fn space(&self) -> Result<u64>;
    fn truncate(&self, len: u64) -> Result<()>;
    /// Durable when this returns: contents and length.
    fn sync_data(&self) -> Result<()>;
    /// Starts writing back `offset..offset+len` without waiting; a hint.
    fn start_writeback(&self, offset: u64, len: u64);
    /// Waits until `offset..offset+len` is written back, so that a sync later has less to do. Durable it is only after that
    /// sync; but after an error here, a sync may not tell of what was lost.
    fn finish_writeback(&self, offset: u64, len: u64) -> Result<()>;
    /// Maps `len` bytes from the start for reading; the file may still be shorter, and the caller reads only below
    /// what it knows to be written. Later writes through [`File::write_all_at`] show through.
    fn map(&self, len: u64) -> Result<Map>;
    /// Tries again to read those of `bytes`, in a map of this file, whose pages could not be read ([`Map::is_lost`]); it
    /// shows, or is lost anew, when they are looked at. Most file systems never lose any.
    fn map_again(&self, _map: &Map, _bytes: Range<u64>) -> Result<()> {
        Ok(())
    }
    /// Maps the file's present bytes copy-on-write, as u32 words that change in memory only.
    fn map_words(&self) -> Result<WordMap>;
    /// Maps the file's present bytes as u32 words whose changes are the file's too, written whenever the system likes:
    /// memory that need not stay in memory. Nothing else reads or writes such a file.
    fn share_words(&self) -> Result<WordMap>;
}
