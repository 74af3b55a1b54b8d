//! Where the words of graphs are: in memory while there is room, beyond it in files that the kernel may write out.
//!
//! ```text
//!   Room  held <= held_max      blocks in memory, and generations of which every page may come to differ from its file
//!         spilled               the rest: files in DIR, mapped shared, that have lost their name and live as long as
//!                               their map does
//! ```
//!
//! A page of a spilled block is the file system's: when memory is wanted the kernel writes it out and reads it back,
//! where a page of the process can only stay. So a graph larger than the memory meant for graphs is built and searched
//! all the same, as fast as its pages stay in the page cache.
//!
//! A part of the room (`Room::part`) has a bound of its own within it: a build takes no more memory than
//! `maintenance_work_mem`, and what it made is bound by the whole alone once it is done.
//!
//! Nothing in such a file is meant to last. When one cannot be made (a full disk) the words are taken from memory, and
//! `held` exceeds its bound: a graph that was begun is finished.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::Result;
use crate::fs::{File, Fs, OpenMode, WordMap};

/// Memory for graphs, shared by all of a database, or by the databases of a server.
pub struct Room {
    held: AtomicU64,
    held_max: AtomicU64,
    spilled: AtomicU64,
    /// Files made so far; their names differ.
    files: AtomicU64,
    disk: Option<(Arc<dyn Fs>, PathBuf)>,
    warned: AtomicBool,
    /// What it is a part of.
    whole: Option<Arc<Room>>,
}

/// A share of a [`Room`], given back when dropped.
pub struct Held {
    room: Arc<Room>,
    bytes: u64,
    spilled: bool,
    /// The same of what the room is a part of.
    _whole: Option<Box<Held>>,
}

impl Room {
    /// All the memory there is.
    pub fn unbounded() -> Arc<Room> {
        Room::of(u64::MAX, None, None)
    }

    /// `held_max` bytes of memory; what is beyond goes to files in `dir`, which need not exist. Files that a crash left
    /// there are removed.
    pub fn new(fs: Arc<dyn Fs>, dir: PathBuf, held_max: u64) -> Result<Arc<Room>> {
        remove_left(&*fs, &dir)?;
        Ok(Room::of(held_max, Some((fs, dir)), None))
    }

    /// `held_max` bytes of memory, for rooms that have files of their own ([`Room::within`]).
    pub fn bound(held_max: u64) -> Arc<Room> {
        Room::of(held_max, None, None)
    }

    /// The memory of this room, which others share; what is beyond goes to files in `dir`, as in [`Room::new`].
    pub fn within(self: &Arc<Room>, fs: Arc<dyn Fs>, dir: PathBuf) -> Result<Arc<Room>> {
        remove_left(&*fs, &dir)?;
        Ok(Room::of(u64::MAX, Some((fs, dir)), Some(self.clone())))
    }

    /// At most `held_max` bytes of this room's memory; what is beyond goes to the same files.
    pub fn part(self: &Arc<Room>, held_max: u64) -> Arc<Room> {
        Room::of(held_max, None, Some(self.clone()))
    }

    /// Ends the bound that a part has of its own: what grows in it from here on has the whole room.
    pub fn widen(&self) {
        if self.whole.is_some() {
            self.held_max.store(u64::MAX, Ordering::Relaxed);
        }
    }

    fn of(held_max: u64, disk: Option<(Arc<dyn Fs>, PathBuf)>, whole: Option<Arc<Room>>) -> Arc<Room> {
        Arc::new(Room {
            held: AtomicU64::new(0),
            held_max: AtomicU64::new(held_max),
            spilled: AtomicU64::new(0),
            files: AtomicU64::new(0),
            disk,
            warned: AtomicBool::new(false),
            whole,
        })
    }

    /// Bytes in memory.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// What others share with this one, or this one where they do not.
    pub fn whole(&self) -> &Room {
        self.whole.as_deref().unwrap_or(self)
    }

    /// Bytes that should be in memory at most.
    pub fn held_max(&self) -> u64 {
        let whole = self.whole.as_ref().map_or(u64::MAX, |whole| whole.held_max());
        self.held_max.load(Ordering::Relaxed).min(whole)
    }

    /// Bytes in files that may be written out.
    pub fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Whether so many bytes are more than the server is meant to have altogether, of which graphs have a quarter
    /// (`memory.rs`): nothing says then that the page cache keeps them.
    pub fn is_exceeded_by(&self, bytes: u64) -> bool {
        match &self.whole {
            Some(whole) => whole.is_exceeded_by(bytes),
            None => bytes > self.held_max().saturating_mul(4),
        }
    }

    /// Takes `bytes` of memory if there is room for them.
    pub fn take(self: &Arc<Room>, bytes: u64) -> Option<Held> {
        let held_max = self.held_max.load(Ordering::Relaxed);
        let fits = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= held_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        // Given back by its drop where the whole has none left.
        let mut held = Held { room: self.clone(), bytes, spilled: false, _whole: None };
        if let Some(whole) = &self.whole {
            held._whole = Some(Box::new(whole.take(bytes)?));
        }
        Some(held)
    }

    /// Takes `bytes` of memory, room or not.
    pub fn take_anyway(self: &Arc<Room>, bytes: u64) -> Held {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let whole = self.whole.as_ref().map(|whole| Box::new(whole.take_anyway(bytes)));
        Held { room: self.clone(), bytes, spilled: false, _whole: whole }
    }

    /// `bytes` zeros in a file, whose space is reserved; `None` when there can be none, and memory has to do.
    pub fn spill(self: &Arc<Room>, bytes: u64) -> Option<(WordMap, Held)> {
        self.spilled_file(bytes, |_| Ok(()))
    }

    /// What `source` holds, in a file of our own that may be changed.
    pub fn spill_copy(self: &Arc<Room>, source: &dyn File) -> Option<(WordMap, Held)> {
        let bytes = source.len().ok()?;
        self.spilled_file(bytes, |file| {
            let mut piece = vec![0; COPY_BYTES.min(bytes as usize)];
            for at in (0..bytes).step_by(COPY_BYTES) {
                let count = (bytes - at).min(piece.len() as u64) as usize;
                source.read_exact_at(&mut piece[..count], at)?;
                file.write_all_at(&piece[..count], at)?;
            }
            Ok(())
        })
    }

    /// Counts bytes in a file.
    fn spilled_anew(self: &Arc<Room>, bytes: u64) -> Held {
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
        let whole = self.whole.as_ref().map(|whole| Box::new(whole.spilled_anew(bytes)));
        Held { room: self.clone(), bytes, spilled: true, _whole: whole }
    }

    fn spilled_file(
        self: &Arc<Room>,
        bytes: u64,
        fill: impl FnOnce(&dyn File) -> Result<()>,
    ) -> Option<(WordMap, Held)> {
        let Some((fs, dir)) = self.disk.as_ref() else {
            return self.whole.as_ref()?.spilled_file(bytes, fill);
        };
        let make = || {
            // Nobody looks for it after a crash.
            fs.create_dir(dir)?;
            let path = dir.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
            let file = fs.open(&path, OpenMode::Create)?;
            let filled = file.allocate(bytes).and_then(|()| fill(&*file)).and_then(|()| file.share_words());
            // The map keeps the file; if its name stays it goes with the next start.
            let removed = fs.remove_file(&path);
            let map = filled?;
            removed.map(|()| map)
        };
        match make() {
            Ok(map) => {
                self.warned.store(false, Ordering::Relaxed);
                Some((map, self.spilled_anew(bytes)))
            }
            Err(error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    log::warn!("graphs take more memory than they are meant to: {error}");
                }
                None
            }
        }
    }
}

/// Removes the files that a crash left.
fn remove_left(fs: &dyn Fs, dir: &Path) -> Result<()> {
    if fs.exists(dir) { fs.remove_dir_all(dir) } else { Ok(()) }
}

/// Bytes copied at a time: a read and a write of a megabyte cost little beside what they move.
const COPY_BYTES: usize = 1 << 20;

impl Drop for Held {
    fn drop(&mut self) {
        let counter = if self.spilled { &self.room.spilled } else { &self.room.held };
        counter.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{DiskFs, MemoryFs};
    use std::path::Path;

    #[test]
    fn what_is_taken_comes_back_and_does_not_exceed_the_bound() {
        let room = Room::new(Arc::new(MemoryFs::new()), "/spill".into(), 100).unwrap();
        let first = room.take(60).unwrap();
        assert!(room.take(41).is_none());
        let second = room.take(40).unwrap();
        assert_eq!(room.held(), 100);
        let third = room.take_anyway(7);
        assert_eq!(room.held(), 107);
        drop((first, third));
        assert_eq!(room.held(), 40);
        drop(second);
        assert_eq!((room.held(), room.held_max()), (0, 100));
        assert!(Room::unbounded().take(1 << 50).is_some());
    }

    #[test]
    fn a_part_is_bound_by_itself_and_by_the_whole_until_it_is_widened() {
        let room = Room::new(Arc::new(MemoryFs::new()), "/spill".into(), 100).unwrap();
        let part = room.part(60);
        assert_eq!((part.held_max(), room.part(600).held_max()), (60, 100));
        let first = part.take(50).unwrap();
        assert!(part.take(11).is_none());
        assert_eq!((part.held(), room.held()), (50, 50));
        // The whole has none left, and the part gives back what it took.
        let other = room.take(45).unwrap();
        assert!(part.take(10).is_none());
        assert_eq!((part.held(), room.held()), (50, 95));
        drop(other);
        let (_, spilled) = part.spill(8).unwrap();
        assert_eq!((room.spilled(), part.held(), room.held()), (8, 50, 50));
        part.widen();
        let second = part.take(50).unwrap();
        assert!(part.take(1).is_none() && part.held_max() == 100);
        let third = part.take_anyway(7);
        assert_eq!((part.held(), room.held()), (107, 107));
        drop((first, second, third, spilled));
        assert_eq!((part.held(), room.held(), room.spilled()), (0, 0, 0));
        assert!(part.is_exceeded_by(401) && !part.is_exceeded_by(400));
    }

    #[test]
    fn spilled_words_are_zeros_or_a_copy_change_alone_and_leave_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        memory.create_dir_all(Path::new("/d")).unwrap();
        for (fs, dir) in [(memory, Path::new("/d")), (Arc::new(DiskFs) as Arc<dyn Fs>, folder.path())] {
            let scratch = dir.join("spill");
            let room = Room::new(fs.clone(), scratch.clone(), 0).unwrap();
            let (zeros, held) = room.spill(8192).unwrap();
            assert_eq!((zeros.len(), room.spilled(), room.held()), (2048, 8192, 0));
            assert!(zeros.iter().all(|word| word.load(Ordering::Relaxed) == 0));
            zeros[2047].store(9, Ordering::Relaxed);
            let source = fs.open(&dir.join("source"), OpenMode::Create).unwrap();
            source.write_all_at(&[1; 4096 + 8], 0).unwrap();
            let (copy, _held) = room.spill_copy(&*source).unwrap();
            assert_eq!(copy.len(), 1026);
            assert!(copy.iter().all(|word| word.load(Ordering::Relaxed) == 0x0101_0101));
            copy[3].store(5, Ordering::Relaxed);
            assert_eq!(copy[3].load(Ordering::Relaxed), 5);
            let mut bytes = [0; 4];
            source.read_exact_at(&mut bytes, 12).unwrap();
            assert_eq!(bytes, [1; 4], "the source is not written");
            assert!(fs.list(&scratch).unwrap().is_empty(), "a file kept its name");
            drop((zeros, held));
            assert_eq!(room.spilled(), 4096 + 8);
            // What a crash leaves goes.
            fs.open(&scratch.join("left"), OpenMode::Create).unwrap();
            Room::new(fs.clone(), scratch.clone(), 0).unwrap();
            assert!(!fs.exists(&scratch.join("left")));
        }
    }

    #[test]
    fn without_a_disk_there_is_no_spilling() {
        assert!(Room::unbounded().spill(8).is_none());
    }
}
