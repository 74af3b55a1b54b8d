//! Letting old backups go.
//!
//! 1. The bases of all but the newest go, oldest first, and that is made durable: from here on nothing names what only they
//!    had, also after a crash.
//! 2. Files that no base names go, with what interrupted backups left.
//! 3. Pieces of the log that end before the oldest base is replayed from go, here and in the server's archive. There those
//!    that the log still has stay, or they would be archived again.
//!
//! A crash leaves files that nobody names; the next time they go. Backups of one folder take turns, by its lock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::database::backup::repository::{Repository, bases, stored_folders};
use crate::error::Result;
use crate::fs::{Fs, OpenMode};
use crate::log::{Piece, PieceName, Position};

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub backups: u64,
    pub files: u64,
    pub bytes: u64,
    /// Of the log, here and in the archive.
    pub pieces: u64,
}

impl Repository {
    /// Keeps the newest `keep` backups. `archive`, if there is one, is where the server archives the log, and from where
    /// on the log itself is still there.
    pub fn prune(&self, keep: usize, archive: Option<(&Path, Position)>) -> Result<Pruned> {
        assert!(keep > 0, "a backup that was just taken is kept");
        let (fs, dir) = (self.fs(), self.dir());
        let all = bases(fs, dir)?;
        let (old, kept) = all.split_at(all.len().saturating_sub(keep));
        let mut pruned = Pruned::default();
        let folder = dir.join("bases");
        for base in old {
            fs.remove_file(&folder.join(base.file_name()))?;
            pruned.backups += 1;
        }
        fs.sync_dir(&folder)?;
        let named = kept.iter().flat_map(|base| &base.files).map(|file| dir.join(&file.stored)).collect();
        for folder in stored_folders(self.fs(), self.dir())? {
            remove_unnamed(fs, &folder, &named, &mut pruned)?;
        }
        let Some(oldest) = kept.first() else { return Ok(pruned) };
        let from = Position(oldest.position);
        let (log, cluster) = (self.log_folder(), self.cluster());
        let mut of_log = from;
        if let Some((archive, there)) = archive {
            pruned.pieces += remove_pieces(fs, archive, from.min(there), cluster)?;
            if log == archive {
                of_log = from.min(there);
            }
        }
        pruned.pieces += remove_pieces(fs, &log, of_log, cluster)?;
        Ok(pruned)
    }
}

/// Removes all files of a folder but those that are named.
fn remove_unnamed(fs: &dyn Fs, folder: &Path, named: &BTreeSet<PathBuf>, pruned: &mut Pruned) -> Result<()> {
    let paths = fs.list(folder)?.into_iter().map(|name| folder.join(name));
    let unnamed: Vec<PathBuf> = paths.filter(|path| !named.contains(path)).collect();
    for path in &unnamed {
        pruned.bytes += fs.open(path, OpenMode::Read)?.len()?;
        fs.remove_file(path)?;
        pruned.files += 1;
    }
    if unnamed.is_empty() { Ok(()) } else { fs.sync_dir(folder) }
}

/// Removes pieces of a database's log of which nothing is needed from `from` on.
fn remove_pieces(fs: &dyn Fs, folder: &Path, from: Position, cluster: u128) -> Result<u64> {
    let mut removed = 0;
    // Oldest first: what a crash leaves has no gap.
    for name in PieceName::list(fs, folder)?.into_iter().filter(|name| name.end <= from) {
        if Piece::cluster(fs, folder, &name)? == cluster {
            fs.remove_file(&folder.join(name.file_name()))?;
            removed += 1;
        }
    }
    if removed > 0 {
        fs.sync_dir(folder)?;
    }
    Ok(removed)
}
