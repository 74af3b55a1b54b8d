//! Whether backups and the archived log are whole, without restoring them.
//!
//! 1. Each base is read, and each file that some base names is compared with its checksum, once.
//! 2. Each piece of the log is read to its last record, in the folder of backups and in the archive.
//! 3. From each base the pieces are followed as a restore would follow them. It can be restored up to the newest commit
//!    before a gap or a damaged piece, if that is behind what its files need.
//!
//! Nothing is written, and no lock is taken: who checks sees to it that no backup is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::database::backup::repository::{Base, Stored, base_files, compare, of_another, read_base, sum_of};
use crate::database::backup::restore::{Chain, chain, missing_behind};
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, OpenMode, unpaced};
use crate::log::{Piece, PieceName, Position, Record};

/// What a check of backups has looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedBackups {
    /// Oldest first; those that could not be read are among the problems only.
    pub backups: Vec<CheckedBackup>,
    /// That backups name.
    pub files: u64,
    pub bytes: u64,
    /// Of the log, in the folder of backups and in the archive.
    pub pieces: u64,
    pub problems: u64,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBackup {
    /// The newest commit in its files, and when that was.
    pub last: Position,
    pub time: Option<Timestamp>,
    /// The newest commit that a restore of it reaches; none when it cannot be restored.
    pub restorable: Option<Moment>,
}

/// A commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub position: Position,
    /// Commits of format 1 have none.
    pub time: Option<Timestamp>,
}

/// What a check of an archive has looked at and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedArchive {
    pub pieces: u64,
    /// Of the log, inflated.
    pub bytes: u64,
    /// Where the first piece begins and the last one ends.
    pub first: Option<Position>,
    pub end: Option<Position>,
    pub problems: u64,
}

/// What a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    Backups,
    Archive,
}

/// Whether a folder holds backups or pieces of the log; none when it has neither, or is a data directory.
pub fn folder_of(fs: &dyn Fs, dir: &Path) -> Result<Option<Folder>> {
    if fs.exists(&dir.join("CONTROL")) {
        return Ok(None);
    }
    if fs.exists(&dir.join("bases")) {
        return Ok(Some(Folder::Backups));
    }
    let has_pieces = !PieceName::list(fs, dir)?.is_empty() || !archives_in(fs, dir)?.is_empty();
    Ok(has_pieces.then_some(Folder::Archive))
}

/// Of the folder that the server archives in: the folders of databases beside the first.
pub fn archives_in(fs: &dyn Fs, dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join("databases");
    let mut found = Vec::new();
    for dir in fs.list(&folder)?.into_iter().map(|name| folder.join(name)) {
        if !PieceName::list(fs, &dir)?.is_empty() {
            found.push(dir);
        }
    }
    Ok(found)
}

/// Checks the backups in `dir` with the pieces of the log there and in `archive`. Tells every problem; 58P01 when there is
/// no backup, or no such archive.
pub fn check_backups(
    fs: &dyn Fs,
    dir: &Path,
    archive: Option<&Path>,
    tell: &mut dyn FnMut(Error),
) -> Result<CheckedBackups> {
    let paths = base_files(fs, dir)?;
    if paths.is_empty() {
        let message = format!("there is no backup in \"{}\"", dir.display());
        return Err(Error::new(SqlState::UNDEFINED_FILE, message));
    }
    if let Some(archive) = archive.filter(|archive| !fs.exists(archive)) {
        let message = format!("there is no folder \"{}\"", archive.display());
        return Err(Error::new(SqlState::UNDEFINED_FILE, message));
    }
    let folders: Vec<PathBuf> = std::iter::once(dir.join("log")).chain(archive.map(Path::to_owned)).collect();
    let mut problems = 0;
    let mut tell = |error| {
        problems += 1;
        tell(error);
    };
    let mut done = CheckedBackups::default();
    let bases = read_bases(fs, dir, &paths, &mut tell);
    let damaged = check_files(fs, dir, &bases, &mut done, &mut tell);
    let mut pieces = Pieces::default();
    for folder in &folders {
        pieces.read_all(fs, folder, &mut tell);
    }
    done.pieces = pieces.known.len() as u64;
    for (number, base) in bases.iter().enumerate() {
        let is_newest = number + 1 == bases.len();
        let followed = pieces.follow(fs, &folders, base, is_newest, &mut tell);
        let is_whole = !base.files.iter().any(|file| damaged.contains(&file.stored));
        done.backups.push(CheckedBackup {
            last: Position(base.last),
            time: base.time.map(Timestamp),
            restorable: followed.filter(|_| is_whole),
        });
    }
    done.problems = problems;
    Ok(done)
}

/// Those that can be read, oldest first.
fn read_bases(fs: &dyn Fs, dir: &Path, paths: &[PathBuf], tell: &mut dyn FnMut(Error)) -> Vec<Base> {
    let mut bases: Vec<Base> = Vec::new();
    for path in paths {
        match read_base(fs, path) {
            Err(error) => tell(error),
            Ok(base) if path.file_name().is_none_or(|name| name != base.file_name().as_str()) => {
                tell(Error::corrupt(path.display(), 0, "the backup of its name", base.file_name()));
            }
            Ok(base) => bases.push(base),
        }
    }
    bases.sort_by_key(|base| base.applied);
    if let Some(other) = bases.iter().find(|base| base.cluster != bases[0].cluster) {
        tell(of_another(dir, &other.cluster));
    }
    bases
}

/// Compares every file with its checksum; answers those that are not what some base says.
fn check_files(
    fs: &dyn Fs,
    dir: &Path,
    bases: &[Base],
    done: &mut CheckedBackups,
    tell: &mut dyn FnMut(Error),
) -> BTreeSet<String> {
    let mut damaged = BTreeSet::new();
    let mut known: BTreeMap<&str, &Stored> = BTreeMap::new();
    for file in bases.iter().flat_map(|base| &base.files) {
        if let Some(other) = known.get(file.stored.as_str()) {
            if (other.bytes, &other.sum) != (file.bytes, &file.sum) {
                let path = dir.join(&file.stored);
                tell(Error::corrupt(path.display(), 0, format!("checksum {}", file.sum), &other.sum));
                damaged.insert(file.stored.clone());
            }
            continue;
        }
        known.insert(&file.stored, file);
        done.files += 1;
        done.bytes += file.bytes;
        if let Err(error) = check_file(fs, dir, file) {
            tell(error);
            damaged.insert(file.stored.clone());
        }
    }
    damaged
}

fn check_file(fs: &dyn Fs, dir: &Path, file: &Stored) -> Result<()> {
    let path = dir.join(&file.stored);
    let stored = fs.open(&path, OpenMode::Read)?;
    let len = stored.len()?;
    if len < file.bytes {
        return Err(Error::corrupt(
            path.display(),
            len,
            format!("{} bytes", file.bytes),
            "the end of the file",
        ));
    }
    compare(&path, &file.sum, sum_of(&*stored, file.bytes, &mut unpaced)?)
}

/// Pieces of the log that were read.
#[derive(Default)]
struct Pieces {
    known: BTreeMap<(PathBuf, PieceName), Read>,
}

enum Read {
    Damaged,
    /// With the newest commit in it.
    Sound(Option<Moment>),
}

impl Pieces {
    fn read_all(&mut self, fs: &dyn Fs, folder: &Path, tell: &mut dyn FnMut(Error)) {
        let names = PieceName::list(fs, folder).unwrap_or_else(|error| {
            tell(error);
            Vec::new()
        });
        for name in names {
            let read = match newest_commit(fs, folder, &name) {
                Ok(newest) => Read::Sound(newest),
                Err(error) => {
                    tell(error);
                    Read::Damaged
                }
            };
            self.known.insert((folder.to_owned(), name), read);
        }
    }

    /// The newest commit that a restore of the base reaches, if its log is there.
    fn follow(
        &self,
        fs: &dyn Fs,
        folders: &[PathBuf],
        base: &Base,
        is_newest: bool,
        tell: &mut dyn FnMut(Error),
    ) -> Option<Moment> {
        let Chain { pieces, next } = match chain(fs, folders, base) {
            Ok(chain) => chain,
            Err(error) => {
                tell(error.context(format!("the backup of position {}", base.last)));
                return None;
            }
        };
        let mut newest = Moment { position: Position(base.last), time: base.time.map(Timestamp) };
        for (folder, name) in &pieces {
            match self.known.get(&(folder.clone(), name.clone())) {
                Some(Read::Sound(Some(commit))) if commit.position.0 >= base.applied => newest = *commit,
                Some(Read::Sound(_)) => {}
                // Told before. What the files need of the log must be there.
                _ => return (name.first.0 >= base.applied).then_some(newest),
            }
        }
        if let (true, Some(next)) = (is_newest, next) {
            let end = pieces.last().map_or(Position(base.log_end), |(_, name)| name.end);
            tell(missing_behind(end, next));
        }
        Some(newest)
    }
}

/// The newest commit in a piece, which is read to its last record.
fn newest_commit(fs: &dyn Fs, folder: &Path, name: &PieceName) -> Result<Option<Moment>> {
    let mut newest = None;
    Piece::read(fs, folder, name)?.each(&mut |position, record| {
        if let Record::Commit { time, .. } = record {
            newest = Some(Moment { position, time });
        }
        Ok(true)
    })?;
    Ok(newest)
}

/// Checks the pieces of the log in `dir`: each to its last record, that they are of one database, and that they follow one
/// another. Tells every problem.
pub fn check_archive(fs: &dyn Fs, dir: &Path, tell: &mut dyn FnMut(Error)) -> Result<CheckedArchive> {
    let mut done = CheckedArchive::default();
    let mut tell = |done: &mut CheckedArchive, error| {
        done.problems += 1;
        tell(error);
    };
    let mut cluster = None;
    for name in PieceName::list(fs, dir)? {
        done.pieces += 1;
        match Piece::read(fs, dir, &name) {
            Err(error) => tell(&mut done, error),
            Ok(piece) => {
                done.bytes += piece.records.len() as u64;
                if *cluster.get_or_insert(piece.cluster) != piece.cluster {
                    let path = dir.join(name.file_name());
                    tell(&mut done, of_another(&path, &format!("{:032x}", piece.cluster)));
                }
            }
        }
        done.first = done.first.or(Some(name.first));
        if let Some(end) = done.end.filter(|end| *end < name.first) {
            tell(&mut done, missing_behind(end, name.first));
        }
        done.end = done.end.max(Some(name.end));
    }
    Ok(done)
}
