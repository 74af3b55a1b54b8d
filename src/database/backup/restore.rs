//! A data directory from a backup and the log behind it, as of any commit.
//!
//! ```text
//!   base 1          base 2                                        end of the pieces
//!   |---------------|----- Commit -- Commit -- Commit --- ... ---|
//!                   files + log from here ... cut here ^ the first commit after the wanted moment
//! ```
//!
//! CONTROL is written last: a directory whose restore was interrupted is refused by every start.

use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::database::backup::repository::{Base, Stored, Sum, bases, compare, copy_bytes};
use crate::database::control;
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, OpenMode, unpaced};
use crate::log::{Piece, PieceName, Position, Record};
use crate::types::Value;

/// Up to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The newest that is there.
    Latest,
    /// The commit at this position is the last.
    Position(Position),
    /// Commits of this time and before.
    Time(Timestamp),
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Commits before this came with the files.
    pub base: Position,
    /// The last commit, and when it was; none when it is older than what tells.
    pub last: Option<Position>,
    pub time: Option<Timestamp>,
    pub files: u64,
    pub bytes: u64,
    /// Of the log.
    pub log_bytes: u64,
}

/// Makes the directory `to`, which is empty or not there, out of the backups in `from` and the pieces of the log there and
/// in `archive`. `cluster` becomes its id. 58P01 when the newest commit is wanted and a piece before it is missing.
pub fn restore(
    fs: &dyn Fs,
    from: &Path,
    archive: Option<&Path>,
    to: &Path,
    target: Target,
    cluster: u128,
) -> Result<Restored> {
    refuse_filled(fs, to)?;
    let all = bases(fs, from)?;
    let base = choose(from, &all, target)?;
    let folders: Vec<PathBuf> =
        std::iter::once(from.join("log")).chain(archive.map(Path::to_owned)).collect();
    let Chain { pieces, next } = chain(fs, &folders, base)?;
    let cut = find_cut(fs, base, &pieces, target)?;
    if let (Target::Latest, Some(next)) = (target, next) {
        return Err(missing(&pieces, &cut, next));
    }
    fs.create_dir_all(&to.join("log"))?;
    let mut done = Restored {
        base: base.applied(),
        last: cut.last,
        time: cut.time,
        files: 0,
        bytes: 0,
        log_bytes: cut.position.0 - base.position,
    };
    for stored in &base.files {
        copy(fs, from, stored, to)?;
        done.files += 1;
        done.bytes += stored.bytes;
    }
    install_log(fs, &pieces, &cut, &to.join("log"))?;
    sync_folders(fs, to, base)?;
    control::install(fs, to, cluster)?;
    Ok(done)
}

/// The segments up to the cut. There is always one: a log that began anew would give positions out twice.
fn install_log(fs: &dyn Fs, chain: &[(PathBuf, PieceName)], cut: &Cut, to: &Path) -> Result<()> {
    let mut installed = 0;
    for (folder, name) in chain.iter().filter(|(_, name)| name.first < cut.position) {
        Piece::read(fs, folder, name)?.install(fs, to, name.end.min(cut.position))?;
        installed += 1;
    }
    if installed == 0 {
        let (first, end) = (cut.position, cut.position);
        Piece { cluster: 0, first, end, records: Vec::new() }.install(fs, to, end)?;
    }
    Ok(())
}

fn refuse_filled(fs: &dyn Fs, to: &Path) -> Result<()> {
    match fs.list(to)?.first() {
        None => Ok(()),
        Some(name) => Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("\"{}\" is not empty", to.display()),
        )
        .detail(format!("It contains \"{}\".", name.display()))
        .hint("Name a new or an empty directory; what an interrupted restore left may be removed.")),
    }
}

/// The newest base that is not after the target.
fn choose<'b>(from: &Path, all: &'b [Base], target: Target) -> Result<&'b Base> {
    let Some(oldest) = all.first() else {
        let message = format!("there is no backup in \"{}\"", from.display());
        return Err(Error::new(SqlState::UNDEFINED_FILE, message));
    };
    let fits = |base: &&Base| match target {
        Target::Latest => true,
        Target::Position(position) => base.last <= position.0,
        Target::Time(time) => base.time.is_none_or(|newest| newest <= time.0),
    };
    all.iter().rev().find(fits).ok_or_else(|| {
        let oldest = match target {
            Target::Time(_) => format!("the newest commit is of {}", text(oldest.time.map(Timestamp))),
            _ => format!("the newest commit is at position {}", oldest.last),
        };
        Error::new(SqlState::INVALID_PARAMETER_VALUE, "the recovery target is before the oldest backup")
            .detail(format!("Of what the oldest backup holds, {oldest}."))
    })
}

/// Pieces of the log that follow one another.
pub struct Chain {
    pub pieces: Vec<(PathBuf, PieceName)>,
    /// Where the log goes on behind a gap.
    pub next: Option<Position>,
}

/// From the piece that holds the base's position on.
pub fn chain(fs: &dyn Fs, folders: &[PathBuf], base: &Base) -> Result<Chain> {
    let mut all = Vec::new();
    for folder in folders {
        let names = PieceName::list(fs, folder)?.into_iter().filter(|name| name.end > name.first);
        all.extend(names.map(|name| (folder.clone(), name)));
    }
    let longest = |fits: &dyn Fn(&PieceName) -> bool| {
        all.iter().filter(|(_, name)| fits(name)).max_by_key(|(_, name)| name.end).cloned()
    };
    let is_ours = |cluster: u128| format!("{cluster:032x}") == base.cluster;
    let position = Position(base.position);
    let mut chain: Vec<(PathBuf, PieceName)> = Vec::new();
    let mut next = longest(&|name| name.first <= position && position < name.end);
    while let Some((folder, name)) = next {
        let cluster = Piece::cluster(fs, &folder, &name)?;
        if !is_ours(cluster) {
            let message = format!(
                "\"{}\" is of another database than the backup",
                folder.join(name.file_name()).display()
            );
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).detail(format!(
                "Its database has the id {cluster:032x}, that of the backup {}.",
                base.cluster
            )));
        }
        let end = name.end;
        chain.push((folder, name));
        next = longest(&|name| name.first == end);
    }
    let end = chain.last().map_or(position, |(_, name)| name.end);
    if end.0 < base.log_end {
        let message = format!("the log of the backup ends at position {} instead of {}", end.0, base.log_end);
        return Err(Error::new(SqlState::DATA_CORRUPTED, message)
            .detail("A piece of the log is missing from the folder of backups."));
    }
    let behind = all.iter().filter(|(folder, name)| {
        // One that cannot be read may be ours.
        name.first > end && Piece::cluster(fs, folder, name).map_or(true, is_ours)
    });
    let next = behind.map(|(_, name)| name.first).min();
    Ok(Chain { pieces: chain, next })
}

/// The newest commit is behind a gap.
fn missing(pieces: &[(PathBuf, PieceName)], cut: &Cut, next: Position) -> Error {
    let end = pieces.last().map_or(cut.position, |(_, name)| name.end);
    let error = missing_behind(end, next);
    match cut.last {
        Some(last) => error.hint(format!("To restore what is before the gap, name position {}.", last.0)),
        None => error,
    }
}

/// The log goes on behind a gap.
pub fn missing_behind(end: Position, next: Position) -> Error {
    Error::new(SqlState::UNDEFINED_FILE, "a piece of the log is missing from the archive")
        .detail(format!("The log ends at position {}, and goes on at {}.", end.0, next.0))
}

/// Where the log is cut.
struct Cut {
    position: Position,
    last: Option<Position>,
    time: Option<Timestamp>,
}

/// Reads the log up to the first commit after the target.
fn find_cut(fs: &dyn Fs, base: &Base, chain: &[(PathBuf, PieceName)], target: Target) -> Result<Cut> {
    let last = Some(Position(base.last));
    let mut cut = Cut { position: Position(base.log_end), last, time: base.time.map(Timestamp) };
    let mut passed = false;
    let Some((_, last)) = chain.last() else { return Ok(cut) };
    cut.position = last.end;
    for (folder, name) in chain {
        let piece = match Piece::read(fs, folder, name) {
            // The last commit that is wanted is before the damage, and so is all that the files need.
            Err(_) if is_reached(target, &cut) && name.first.0 >= base.applied => {
                passed = true;
                cut.position = name.first;
                break;
            }
            piece => piece?,
        };
        let stopped = piece.each(&mut |position, record| {
            if let Record::Commit { time, .. } = record {
                // A commit of format 1 is as old as the one before it.
                let time = time.or(cut.time);
                let inside = match target {
                    Target::Latest => true,
                    Target::Position(wanted) => position <= wanted,
                    Target::Time(wanted) => time.is_none_or(|time| time <= wanted),
                };
                if !inside && position.0 >= base.applied {
                    return Ok(false);
                }
                (cut.last, cut.time) = (Some(position), time);
            }
            Ok(true)
        })?;
        if stopped < name.end {
            passed = true;
            cut.position = stopped;
            break;
        }
    }
    match target {
        Target::Latest => Ok(cut),
        _ if passed => Ok(cut),
        Target::Position(wanted) if cut.last == Some(wanted) => Ok(cut),
        // Every commit acknowledged before is there.
        Target::Time(wanted) if wanted.0 <= base.log_time => Ok(cut),
        _ => Err(beyond(&cut)),
    }
}

/// Whether the commit is there that is to be the last.
fn is_reached(target: Target, cut: &Cut) -> bool {
    matches!(target, Target::Position(wanted) if cut.last == Some(wanted))
}

/// PostgreSQL's words.
fn beyond(cut: &Cut) -> Error {
    let message = "recovery ended before configured recovery target was reached";
    let last = cut.last.map_or("none".into(), |last| last.0.to_string());
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .detail(format!("The last commit that is there is at position {last}, of {}.", text(cut.time)))
        .hint("Name the folder of the archived log, or leave the target away to restore all there is.")
}

fn text(time: Option<Timestamp>) -> String {
    match time {
        None => "an unknown time".into(),
        Some(time) => crate::types::text::to_string(&Value::Timestamptz(time.0)),
    }
}

fn copy(fs: &dyn Fs, from: &Path, stored: &Stored, to: &Path) -> Result<()> {
    let source = fs.open(&from.join(&stored.stored), OpenMode::Read)?;
    let path = to.join(&stored.path);
    if let Some(folder) = path.parent() {
        fs.create_dir_all(folder)?;
    }
    let target = fs.open(&path, OpenMode::Create)?;
    let mut sum = Sum::default();
    copy_bytes(&*source, &*target, stored.bytes, &mut sum, &mut unpaced)?;
    compare(&from.join(&stored.stored), &stored.sum, sum.hex())?;
    target.sync_data()
}

/// Makes the names of all files durable.
fn sync_folders(fs: &dyn Fs, to: &Path, base: &Base) -> Result<()> {
    let mut folders: Vec<PathBuf> =
        base.files.iter().filter_map(|file| Some(to.join(&file.path).parent()?.to_owned())).collect();
    folders.push(to.join("log"));
    folders.sort_unstable();
    folders.dedup();
    folders.iter().try_for_each(|folder| fs.sync_dir(folder))
}
