//! The folder of backups.
//!
//! Every file is written beside its place, synced, read back against its checksum and renamed; its folder is synced before
//! a base names it. So what a base names is whole, and a crash leaves at most files that nobody names: the next backup
//! writes over them or uses them.
//!
//! What a base names is never written over by anything else: a backup that ends early leaves all those before it as they
//! are. So a file whose content may be another one the next time has the content's checksum in its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, SqlState};
use crate::fs::{File, Fs, OpenMode, Pace, unpaced};
use crate::log::{PieceName, Position};

/// The format of bases that this program writes.
const FORMAT: u32 = 1;
/// Read and written at a time.
const PIECE_BYTES: usize = 1 << 20;
/// The end of a sorted table: footer, properties and most of the index, which no two tables have in common. The beginning
/// of a graph, which has the checksums of the rest, and of a file of bitmaps, which has the commit it is of; and their ends.
const ENDS_BYTES: u64 = 4096;

/// One backup: what it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    pub format: u32,
    /// Of the database, 32 hex digits.
    pub cluster: String,
    /// Program that took it.
    pub program: String,
    /// The log is replayed from here.
    pub position: u64,
    /// Commits before this are in the files.
    pub applied: u64,
    /// Where the newest commit in the files is; no commit is between that and `applied`.
    pub last: u64,
    /// Of the newest commit in the files, microseconds since 1970; commits of format 1 have none.
    pub time: Option<i64>,
    pub started: i64,
    /// Every commit that was acknowledged before is in the files or in the log up to `log_end`.
    pub log_time: i64,
    pub log_end: u64,
    pub files: Vec<Stored>,
}

/// A file of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// In the data directory.
    pub path: String,
    /// In the folder of backups.
    pub stored: String,
    pub bytes: u64,
    /// CRC-32C and CRC-32, 16 hex digits.
    pub sum: String,
    /// Of a vector file: as long as it has this one, its slots are what they were (`stamps.rs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}

/// Two checksums of unrelated polynomials: equal for different bytes once in 2^64.
#[derive(Default)]
pub struct Sum {
    crc32c: u32,
    crc32: flate2::Crc,
}

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.crc32.update(bytes);
    }

    pub fn hex(&self) -> String {
        format!("{:08x}{:08x}", self.crc32c, self.crc32.sum())
    }

    pub fn of(bytes: &[u8]) -> String {
        let mut sum = Sum::default();
        sum.add(bytes);
        sum.hex()
    }
}

/// How much a backup has looked at and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub files: u64,
    pub files_new: u64,
    pub bytes: u64,
    pub bytes_new: u64,
    /// Of files that were read whole, each time.
    pub bytes_read: u64,
}

/// An open folder of backups.
pub struct Repository {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    cluster: u128,
    /// Files that some base names, by the name they have in the folder.
    known: BTreeMap<String, Stored>,
    /// The same as the newest base has them, by the name they have in the data directory.
    newest: BTreeMap<String, Stored>,
    /// Folders with names that are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    pub copied: Copied,
    _lock: Box<dyn std::any::Any + Send + Sync>,
}

impl Repository {
    /// Opens or makes the folder. One that holds backups of another database, or anything else, is refused (55000).
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, cluster: u128) -> Result<Repository> {
        fs.create_dir_all(dir)?;
        refuse_foreign(&*fs, dir)?;
        let lock = fs.lock(&dir.join("LOCK"))?;
        for folder in ["bases", "files", "log"] {
            fs.create_dir_all(&dir.join(folder))?;
        }
        let (mut known, mut newest) = (BTreeMap::new(), BTreeMap::new());
        for base in bases(&*fs, dir)? {
            if base.cluster != format!("{cluster:032x}") {
                return Err(of_another(dir, &base.cluster));
            }
            newest = base.files.iter().map(|file| (file.path.clone(), file.clone())).collect();
            known.extend(base.files.into_iter().map(|file| (file.stored.clone(), file)));
        }
        remove_unfinished(&*fs, dir)?;
        let (unsynced, copied) = (BTreeSet::new(), Copied::default());
        Ok(Repository { fs, dir: dir.to_owned(), cluster, known, newest, unsynced, copied, _lock: lock })
    }

    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    pub fn log_folder(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(super) fn fs(&self) -> &dyn Fs {
        &*self.fs
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores a file that never changes under a name that is never used twice.
    pub fn keep_immutable(&mut self, path: &str, source: &dyn File, pace: &mut Pace) -> Result<Stored> {
        let stored = format!("files/{path}");
        let bytes = source.len()?;
        if let Some(known) = self.known.get(&stored).cloned() {
            if known.bytes == bytes
                && self.has(&stored, bytes)
                && self.same(&stored, source, bytes.saturating_sub(ENDS_BYTES), bytes)?
            {
                let unchanged = Stored { path: path.into(), stored, bytes, sum: known.sum, stamp: None };
                return Ok(self.counted(unchanged, false));
            }
            // What is stored is damaged, or somebody else's.
            self.copied.bytes_read += bytes;
            if known.bytes != bytes || known.sum != sum_of(source, bytes, pace)? {
                return Err(of_a_copy(&self.dir, &stored));
            }
        }
        let sum = self.copy(source, bytes, &stored, pace)?;
        Ok(self.counted(Stored { path: path.into(), stored, bytes, sum, stamp: None }, true))
    }

    /// Stores a file that never changes, under a name that an interrupted checkpoint may have used before: what the newest
    /// base has of that name is the same when it begins and ends alike, for there are its checksums.
    pub fn keep_generation(&mut self, path: &str, source: &dyn File, pace: &mut Pace) -> Result<Stored> {
        let bytes = source.len()?;
        if let Some(known) = self.newest.get(path).cloned()
            && known.bytes == bytes
            && self.has(&known.stored, bytes)
            && self.same(&known.stored, source, 0, ENDS_BYTES.min(bytes))?
            && self.same(&known.stored, source, bytes.saturating_sub(ENDS_BYTES), bytes)?
        {
            return Ok(self.counted(known, false));
        }
        self.keep_content(path, source, bytes, pace)
    }

    /// Stores a file that is written to; not even read as long as its stamp is the one that the newest base knows.
    pub fn keep_stamped(
        &mut self,
        path: &str,
        source: &dyn File,
        bytes: u64,
        stamp: Option<&str>,
        pace: &mut Pace,
    ) -> Result<Stored> {
        if let Some(known) = self.newest.get(path).cloned()
            && known.stamp.is_some()
            && known.stamp.as_deref() == stamp
            && known.bytes == bytes
            && self.has(&known.stored, bytes)
        {
            return Ok(self.counted(known, false));
        }
        let stored = self.keep_content(path, source, bytes, pace)?;
        Ok(Stored { stamp: stamp.map(str::to_owned), ..stored })
    }

    /// Stores a file under its content: once for as long as that stays the same.
    fn keep_content(&mut self, path: &str, source: &dyn File, bytes: u64, pace: &mut Pace) -> Result<Stored> {
        self.copied.bytes_read += bytes;
        let sum = sum_of(source, bytes, pace)?;
        let stored = format!("files/{path}.{sum}");
        let known = self.known.get(&stored).is_some_and(|known| known.bytes == bytes);
        if known && self.has(&stored, bytes) {
            return Ok(self.counted(Stored { path: path.into(), stored, bytes, sum, stamp: None }, false));
        }
        // Somebody may have written to it since: what was copied gives it the name.
        let beside = format!("files/{path}{OF_CONTENT}");
        let sum = self.copy(source, bytes, &beside, pace)?;
        let stored = format!("files/{path}.{sum}");
        self.fs.rename(&self.dir.join(&beside), &self.dir.join(&stored))?;
        Ok(self.counted(Stored { path: path.into(), stored, bytes, sum, stamp: None }, true))
    }

    /// Stores bytes made for the backup, under `stored` and what they are.
    pub fn keep_bytes(&mut self, path: &str, stored: &str, bytes: &[u8]) -> Result<Stored> {
        let (sum, len) = (Sum::of(bytes), bytes.len() as u64);
        let stored = format!("{stored}.{sum}");
        let known = self.known.contains_key(&stored) && self.has(&stored, len);
        if !known {
            let mut fill = |file: &dyn File, _: &mut Pace| file.write_all_at(bytes, 0);
            let read_back = self.write_new(&stored, &mut fill, len, &mut unpaced)?;
            compare(&self.dir.join(&stored), &sum, read_back)?;
        }
        Ok(self.counted(Stored { path: path.into(), stored, bytes: len, sum, stamp: None }, !known))
    }

    /// Makes a backup count: everything it names is durable before.
    pub fn finish(&mut self, base: &Base) -> Result<()> {
        self.sync_names()?;
        let text = serde_json::to_string_pretty(base).expect("strings and numbers are JSON");
        let text = format!("{text}\n{:08x}\n", crc32c::crc32c(text.as_bytes()));
        let stored = format!("bases/{}", base.file_name());
        let mut fill = |file: &dyn File, _: &mut Pace| file.write_all_at(text.as_bytes(), 0);
        self.write_new(&stored, &mut fill, text.len() as u64, &mut unpaced)?;
        self.sync_names()
    }

    fn sync_names(&mut self) -> Result<()> {
        for folder in std::mem::take(&mut self.unsynced) {
            self.fs.sync_dir(&folder)?;
        }
        Ok(())
    }

    fn counted(&mut self, stored: Stored, new: bool) -> Stored {
        self.copied.files += 1;
        self.copied.bytes += stored.bytes;
        if new {
            self.copied.files_new += 1;
            self.copied.bytes_new += stored.bytes;
        }
        stored
    }

    fn has(&self, stored: &str, bytes: u64) -> bool {
        let file = self.fs.open(&self.dir.join(stored), OpenMode::Read);
        file.and_then(|file| file.len()).is_ok_and(|len| len == bytes)
    }

    /// Whether a stored file has the same bytes in a range: a data directory that somebody copied has the same cluster id
    /// and numbers of its own.
    fn same(&self, stored: &str, source: &dyn File, from: u64, to: u64) -> Result<bool> {
        let len = (to - from) as usize;
        let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
        self.fs.open(&self.dir.join(stored), OpenMode::Read)?.read_exact_at(&mut ours, from)?;
        source.read_exact_at(&mut theirs, from)?;
        Ok(ours == theirs)
    }

    fn copy(&mut self, source: &dyn File, bytes: u64, stored: &str, pace: &mut Pace) -> Result<String> {
        self.copied.bytes_read += bytes;
        let mut sum = Sum::default();
        let mut fill = |file: &dyn File, pace: &mut Pace| {
            sum = Sum::default();
            copy_bytes(source, file, bytes, &mut sum, pace)
        };
        let read_back = self.write_new(stored, &mut fill, bytes, pace)?;
        let copied = sum.hex();
        compare(&self.dir.join(stored), &copied, read_back)?;
        Ok(copied)
    }

    /// A durable file of the name; answers the checksum of what is read back.
    fn write_new(&mut self, stored: &str, fill: &mut Fill, bytes: u64, pace: &mut Pace) -> Result<String> {
        let path = self.dir.join(stored);
        let folder = path.parent().expect("stored files lie in a folder").to_path_buf();
        if !self.unsynced.contains(&folder) {
            self.fs.create_dir_all(&folder)?;
        }
        let sum = write_beside(&*self.fs, &path, OF_BACKUP, fill, bytes, pace)?;
        self.unsynced.insert(folder);
        Ok(sum)
    }
}

/// Of a file, the checksum that was meant and the one that was read.
pub(super) fn compare(path: &Path, meant: &str, read_back: String) -> Result<()> {
    match read_back == meant {
        true => Ok(()),
        false => Err(Error::corrupt(path.display(), 0, format!("checksum {meant}"), read_back)),
    }
}

/// Writes a new file.
pub type Fill<'a> = dyn FnMut(&dyn File, &mut Pace) -> Result<()> + 'a;

/// What is beside its place, by who writes it: the archiver may write into the folder of a backup that is under way.
pub const OF_BACKUP: &str = ".new";
pub const OF_ARCHIVER: &str = ".archiving";
/// Of a copy that is about to be named after its content.
const OF_CONTENT: &str = ".copy";

/// Writes a file beside its place, under that name and `suffix`, syncs it, reads it back and gives it its name, which is
/// durable once the folder is synced. Answers the checksum of what was read.
pub fn write_beside(
    fs: &dyn Fs,
    path: &Path,
    suffix: &str,
    fill: &mut Fill,
    bytes: u64,
    pace: &mut Pace,
) -> Result<String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    let beside = PathBuf::from(beside);
    if fs.exists(&beside) {
        fs.remove_file(&beside)?;
    }
    let file = fs.open(&beside, OpenMode::Create)?;
    fill(&*file, pace)?;
    file.sync_data()?;
    let sum = sum_of(&*file, bytes, pace)?;
    fs.rename(&beside, path)?;
    Ok(sum)
}

/// Copies the first `bytes` of a file; pieces of zeros stay holes.
pub fn copy_bytes(
    source: &dyn File,
    target: &dyn File,
    bytes: u64,
    sum: &mut Sum,
    pace: &mut Pace,
) -> Result<()> {
    target.truncate(bytes)?;
    each_piece(source, bytes, &mut |at, piece| {
        sum.add(piece);
        // Read and written.
        pace(2 * piece.len() as u64)?;
        if piece.iter().any(|byte| *byte != 0) { target.write_all_at(piece, at) } else { Ok(()) }
    })
}

/// The checksum of the first `bytes` of a file.
pub fn sum_of(file: &dyn File, bytes: u64, pace: &mut Pace) -> Result<String> {
    let mut sum = Sum::default();
    each_piece(file, bytes, &mut |_, piece| {
        sum.add(piece);
        pace(piece.len() as u64)
    })?;
    Ok(sum.hex())
}

fn each_piece(file: &dyn File, bytes: u64, f: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let piece = &mut buffer[..(bytes - at).min(PIECE_BYTES as u64) as usize];
        file.read_exact_at(piece, at)?;
        f(at, piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// All backups in a folder, oldest first.
pub fn bases(fs: &dyn Fs, dir: &Path) -> Result<Vec<Base>> {
    let mut found: Vec<Base> =
        base_files(fs, dir)?.iter().map(|path| read_base(fs, path)).collect::<Result<_>>()?;
    found.sort_by_key(|base| base.applied);
    Ok(found)
}

/// Where they are described.
pub fn base_files(fs: &dyn Fs, dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join("bases");
    let names = fs.list(&folder)?.into_iter();
    let names = names.filter(|name| name.extension().is_some_and(|extension| extension == "base"));
    Ok(names.map(|name| folder.join(name)).collect())
}

pub fn read_base(fs: &dyn Fs, path: &Path) -> Result<Base> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let damaged = |found: String| Error::corrupt(path.display(), 0, "the description of a backup", found);
    let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let (text, sum) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once('\n'))
        .ok_or_else(|| damaged("no checksum".into()))?;
    let expected = format!("{:08x}", crc32c::crc32c(text.as_bytes()));
    if sum != expected {
        return Err(damaged(format!("checksum {sum} instead of {expected}")));
    }
    let format = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|value| value.get("format")?.as_u64())
        .ok_or_else(|| damaged("no format".into()))?;
    if format > u64::from(FORMAT) {
        let message = format!(
            "{}: the backup has format {format}, and this program knows formats up to {FORMAT}",
            path.display()
        );
        return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
}

impl Base {
    pub fn format() -> u32 {
        FORMAT
    }

    pub fn applied(&self) -> Position {
        Position(self.applied)
    }

    pub fn file_name(&self) -> String {
        format!("{:016x}.base", self.applied)
    }
}

/// Pieces of the log that somebody began to write beside their places, under this suffix.
pub fn unfinished(fs: &dyn Fs, folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let is_piece = |name: &str| PieceName::of(Path::new(name)).is_some();
    let is_one =
        |name: &PathBuf| name.to_str().and_then(|name| name.strip_suffix(suffix)).is_some_and(is_piece);
    Ok(fs.list(folder)?.into_iter().filter(is_one).map(|name| folder.join(name)).collect())
}

/// Where stored files lie.
pub(super) fn stored_folders(fs: &dyn Fs, dir: &Path) -> Result<Vec<PathBuf>> {
    let files = dir.join("files");
    let mut folders = vec![files.join("manifests")];
    for kind in ["tables", "indexes"] {
        let of_kind = files.join(kind);
        folders.extend(fs.list(&of_kind)?.into_iter().map(|storage| of_kind.join(storage)));
    }
    Ok(folders)
}

/// Removes what backups that ended early left beside its place: no base names it, and none is under way but this one, which
/// has the folder's lock.
fn remove_unfinished(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let mut left = unfinished(fs, &dir.join("log"), OF_BACKUP)?;
    for folder in stored_folders(fs, dir)?.into_iter().chain([dir.join("bases")]) {
        let is_beside = |name: &PathBuf| {
            name.to_str().is_some_and(|name| name.ends_with(OF_BACKUP) || name.ends_with(OF_CONTENT))
        };
        left.extend(fs.list(&folder)?.into_iter().filter(is_beside).map(|name| folder.join(name)));
    }
    left.iter().try_for_each(|path| fs.remove_file(path))
}

fn refuse_foreign(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let own = ["LOCK", "bases", "files", "log", "lost+found"];
    let foreign = fs.list(dir)?.into_iter().find(|name| !own.iter().any(|own| name.as_os_str() == *own));
    let Some(foreign) = foreign else { return Ok(()) };
    let message = format!("\"{}\" is not a folder of backups", dir.display());
    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .detail(format!("It contains \"{}\".", foreign.display()))
        .hint("Name an empty or a new folder."))
}

/// Two directories with one id have gone on by themselves.
fn of_a_copy(dir: &Path, stored: &str) -> Error {
    let message = format!("\"{}\" has backups of a copy of this database", dir.display());
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .detail(format!(
            "What they have as \"{stored}\" is another table than the one of this data directory."
        ))
        .hint("Name another folder.")
}

pub fn of_another(dir: &Path, cluster: &str) -> Error {
    let message = format!("\"{}\" has backups of another database", dir.display());
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .detail(format!("They are of the database with the id {cluster}."))
        .hint("Name another folder. A restored directory is a database of its own.")
}
