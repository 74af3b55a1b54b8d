//! A backup of a running database.
//!
//! 1. The log is kept from now on, and a snapshot is held: no slot that lives is given to another row.
//! 2. A checkpoint, and before there can be another: its files are opened. Open files stay readable when they lose their
//!    names, so checkpoints, compactions and vacuums go on meanwhile.
//! 3. The files are copied: those that never change only when they are not there yet.
//! 4. Segments of the log, from where the checkpoint is replayed, as pieces.
//! 5. The copies of tables that are new are checked block by block.
//! 6. The base is written, which makes the backup count.
//! 7. Older backups go, if asked for (`prune.rs`).
//!
//! All of it, but for the checkpoint, keeps below a number of bytes per second, read and written together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::database::Database;
use crate::database::Holder;
use crate::database::backup::prune::Pruned;
use crate::database::backup::repository::{Base, Copied, OF_BACKUP, Repository, Stored, write_beside};
use crate::database::core::Core;
use crate::database::generations::Due;
use crate::database::stamps::stamp_of;
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::fs::throttle::Throttle;
use crate::fs::{File, Fs, OpenMode, Pace};
use crate::log::{Log, Piece, PieceName, Position, Seq};
use crate::storage::Image;

/// How a backup is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// How many backups of the folder stay, this one counted; all of them when it is not given.
    pub keep: Option<usize>,
    /// Read and written together; 0: as fast as it goes.
    pub bytes_per_second_max: u64,
}

/// How long a backup may not hear that it is cancelled.
const REST_MAX: Duration = Duration::from_millis(100);

/// What a backup has done.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The newest commit in its files.
    pub last: Seq,
    /// When that was.
    pub time: Option<Timestamp>,
    /// It can be restored up to here.
    pub log_end: Position,
    pub copied: Copied,
    /// Of the log.
    pub pieces: u64,
    pub pieces_new: u64,
    /// Of older backups.
    pub pruned: Pruned,
}

/// The files of one checkpoint, open.
struct Pinned {
    image: Image,
    applied: Position,
    last: Seq,
    time: Option<Timestamp>,
    vectors: Vec<VectorFile>,
    /// Of graphs, lists and bitmaps.
    immutable: Vec<(String, Arc<dyn File>)>,
}

/// A file of vectors or of cells of sparse ones.
struct VectorFile {
    /// In the data directory.
    path: String,
    file: Arc<dyn File>,
    /// Its length at that moment.
    bytes: u64,
    stamp: Option<String>,
}

impl Database {
    /// [`Database::backup_as`] by the defaults.
    pub fn backup(&self, to: &Path, cancel: &AtomicBool) -> Result<Taken> {
        self.backup_as(to, BackupOptions::default(), cancel)
    }

    /// Takes a backup into a folder of backups, made when it is not there. Refused (XX001) while a table is damaged. `cancel`
    /// ends it with 57014; what was copied is used by the next one.
    pub fn backup_as(&self, to: &Path, options: BackupOptions, cancel: &AtomicBool) -> Result<Taken> {
        let core = self.core();
        core.healthy()?;
        if options.keep == Some(0) {
            let message = "a backup that was just taken is kept: at least 1 backup stays";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        // What is restored from it would not have that table, and nobody would look for it in an older one.
        core.check_all_sound(|_| true)?;
        // By what they mean: one may be relative, or lead through a link.
        let home = core.fs.resolve(core.options.home.as_ref().unwrap_or(&core.dir))?;
        let target = core.fs.resolve(to)?;
        if target.starts_with(&home) || home.starts_with(&target) {
            let message = format!("\"{}\" and the data directory contain one another", to.display());
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).hint("Name another folder."));
        }
        let mut repository = Repository::open(core.fs.clone(), to, self.cluster())?;
        let started = core.options.clock.now();
        let hold = core.hold_log(Position(0));
        let held = core.snapshots.take(Holder::Backup);
        let pinned = self.checkpoint_then(Due::Grown, false, Pinned::of)?;
        let mut throttle = Throttle::new(options.bytes_per_second_max);
        let mut pace = |bytes| {
            let mut left = throttle.wait_after(bytes).unwrap_or_default();
            while !left.is_zero() {
                check_cancel(cancel)?;
                let rest = left.min(REST_MAX);
                self.background().rest(rest);
                left -= rest;
            }
            check_cancel(cancel)
        };
        let mut copy = Copy { repository: &mut repository, files: Vec::new(), new_tables: Vec::new() };
        copy.all(&pinned, &mut pace)?;
        let Copy { files, new_tables, .. } = copy;
        drop(held);
        let log = copy_log(core, &repository, pinned.image.position, &mut pace)?;
        drop(hold);
        let files_dir = to.join("files");
        crate::storage::check_copies(core.fs.clone(), &files_dir, &pinned.image, &new_tables, &mut pace)?;
        repository.finish(&Base {
            format: Base::format(),
            cluster: format!("{:032x}", repository.cluster()),
            program: env!("CARGO_PKG_VERSION").into(),
            position: pinned.image.position.0,
            applied: pinned.applied.0,
            last: pinned.last.0,
            time: pinned.time.map(|time| time.0),
            started: started.0,
            log_time: log.time.0,
            log_end: log.end.0,
            files,
        })?;
        remove_shorter(&*core.fs, &repository.log_folder())?;
        let pruned = match options.keep {
            Some(keep) => core.prune(&repository, keep).map_err(|error| {
                error.context("the backup is complete, and older ones could not be removed")
            })?,
            None => Pruned::default(),
        };
        Ok(Taken {
            last: pinned.last,
            time: pinned.time,
            log_end: log.end,
            copied: repository.copied,
            pieces: log.pieces,
            pieces_new: log.pieces_new,
            pruned,
        })
    }

    /// Tells this database from others.
    pub fn cluster(&self) -> u128 {
        self.control.lock().cluster()
    }
}

impl Core {
    fn prune(&self, repository: &Repository, keep: usize) -> Result<Pruned> {
        let there = self.log.parts().first().map_or(Position(0), |part| part.first);
        repository.prune(keep, self.options.archive.dir.as_deref().map(|dir| (dir, there)))
    }
}

impl Pinned {
    /// Called between two checkpoints.
    fn of(core: &Core) -> Result<Pinned> {
        let image = core.store.image()?;
        let mut vectors = Vec::new();
        for storage in &image.trees {
            let folder = core.table_dir(*storage);
            for name in core.fs.list(&folder)?.into_iter().filter(|name| is_segment(name)) {
                let file = core.fs.open(&folder.join(&name), OpenMode::Read)?;
                let bytes = file.len()?;
                let name = name.display().to_string();
                let stamp = stamp_of(&core.store, *storage, &name);
                vectors.push(VectorFile { path: format!("tables/{}/{name}", storage.0), file, bytes, stamp });
            }
        }
        let mut immutable = Vec::new();
        let bitmaps = image.trees.iter().flat_map(|storage| core.bitmaps.files(core, *storage));
        for path in core.generations.all_files(core).into_iter().chain(bitmaps) {
            let name = path.strip_prefix(&core.dir).unwrap_or(&path).display().to_string();
            immutable.push((name, core.fs.open(&path, OpenMode::Read)?));
        }
        let (applied, time) = (core.applied_position()?, core.checkpoint_time().filter(|time| time.0 != 0));
        let last = core.checkpoint_last()?;
        Ok(Pinned { image, applied, last, time, vectors, immutable })
    }
}

/// Vectors, or the cells of sparse ones.
fn is_segment(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "vec" || extension == "heap")
}

/// Copies the files of a checkpoint.
struct Copy<'a> {
    repository: &'a mut Repository,
    files: Vec<Stored>,
    /// Numbers of sorted tables that were copied now.
    new_tables: Vec<u64>,
}

impl Copy<'_> {
    fn all(&mut self, pinned: &Pinned, pace: &mut Pace) -> Result<()> {
        for table in &pinned.image.tables {
            pace(0)?;
            let before = self.repository.copied.files_new;
            let path = format!("tables/{}/{}.sst", table.storage.0, table.number);
            let stored = self.repository.keep_immutable(&path, &*table.file, pace)?;
            self.files.push(stored);
            if self.repository.copied.files_new > before {
                self.new_tables.push(table.number);
            }
        }
        for VectorFile { path, file, bytes, stamp } in &pinned.vectors {
            pace(0)?;
            let stamp = stamp.as_deref();
            self.files.push(self.repository.keep_stamped(path, &**file, *bytes, stamp, pace)?);
        }
        for (path, file) in &pinned.immutable {
            pace(0)?;
            self.files.push(self.repository.keep_generation(path, &**file, pace)?);
        }
        for (path, bytes) in &pinned.image.manifest {
            let stored = format!("files/manifests/{:016x}.{path}", pinned.applied.0);
            self.files.push(self.repository.keep_bytes(path, &stored, bytes)?);
        }
        Ok(())
    }
}

/// The log of a backup.
struct CopiedLog {
    end: Position,
    /// Commits acknowledged before are in it.
    time: Timestamp,
    pieces: u64,
    pieces_new: u64,
}

/// Stores the log from where a checkpoint is replayed to its present end.
fn copy_log(core: &Core, repository: &Repository, from: Position, pace: &mut Pace) -> Result<CopiedLog> {
    let folder = repository.log_folder();
    let time = core.options.clock.now();
    let end = core.log.sync()?;
    let mut done = CopiedLog { end, time, pieces: 0, pieces_new: 0 };
    let known = PieceName::list(&*core.fs, &folder)?;
    for part in core.log.parts().into_iter().filter(|part| part.end > from && part.first < end) {
        pace(0)?;
        // What was appended since the sync is not durable yet.
        let part = crate::log::Part { end: part.end.min(end), ..part };
        done.pieces += 1;
        let name = PieceName { first: part.first, end: part.end };
        if !known.contains(&name) {
            store_piece(&*core.fs, &folder, OF_BACKUP, &*core.log, &part, repository.cluster(), pace)?;
            done.pieces_new += 1;
        }
    }
    core.fs.sync_dir(&folder)?;
    Ok(done)
}

/// Writes a part of the log into a folder of pieces, first beside its name under `suffix`, and reads it back; the name is
/// durable once the folder is synced.
pub fn store_piece(
    fs: &dyn Fs,
    folder: &Path,
    suffix: &str,
    log: &dyn Log,
    part: &crate::log::Part,
    cluster: u128,
    pace: &mut Pace,
) -> Result<PathBuf> {
    let piece = Piece { cluster, first: part.first, end: part.end, records: log.read(part)? };
    pace(piece.records.len() as u64)?;
    // Damage in the log is not carried on.
    piece.each(&mut |_, _| Ok(true))?;
    let bytes = piece.encode()?;
    let path = folder.join(piece.name().file_name());
    let mut fill = |file: &dyn File, pace: &mut Pace| {
        pace(bytes.len() as u64)?;
        file.write_all_at(&bytes, 0)
    };
    write_beside(fs, &path, suffix, &mut fill, bytes.len() as u64, pace)?;
    match Piece::read(fs, folder, &piece.name())? == piece {
        true => Ok(path),
        false => Err(Error::corrupt(path.display(), 0, "the records that were written", "others")),
    }
}

/// Of pieces that begin at one place the longest has all of the others.
fn remove_shorter(fs: &dyn Fs, folder: &Path) -> Result<()> {
    let names = PieceName::list(fs, folder)?;
    for pair in names.windows(2).filter(|pair| pair[0].first == pair[1].first) {
        fs.remove_file(&folder.join(pair[0].file_name()))?;
    }
    Ok(())
}
