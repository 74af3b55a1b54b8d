//! Archiving the log: whole segments, deflated, as they come.
//!
//! ```text
//!   segment is whole ──> <archive>/<first>-<end>.piece, synced, read back, named ──> may be let go
//! ```
//!
//! While archiving is on, no checkpoint lets go of a segment that is not in the archive: when the archive cannot be
//! written, the log grows, and pg_stat_archiver says since when. What is archived already is told by the names there, so
//! that nothing needs to be remembered, and a piece that a backup stored in the same folder counts as well.
//!
//! A segment that is to be ended for its age comes after those that are whole: the next one needs room, and what was kept
//! for an archive that could not be written may have taken all there is. Archived, it is let go of.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::database::Database;
use crate::database::backup::repository::{OF_ARCHIVER, of_another, unfinished};
use crate::database::backup::take::store_piece;
use crate::database::core::LogHold;
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, unpaced};
use crate::log::{Piece, PieceName, Position};

/// Where the log is archived.
#[derive(Clone, Debug, Default)]
pub struct ArchiveOptions {
    /// Nowhere when it is absent.
    pub dir: Option<PathBuf>,
    /// A segment with records is ended after this time, so that they get into the archive; zero: when it is full.
    pub timeout: Duration,
}

/// What has been archived since the database was opened.
#[derive(Clone, Debug, Default)]
pub struct Archived {
    pub count: u64,
    pub last: Option<(String, Timestamp)>,
    pub failures: u64,
    pub last_failure: Option<(String, Timestamp)>,
    /// Everything before is in the archive, or was let go of before archiving was on.
    pub position: Position,
}

/// The archiver of an open database.
#[derive(Default)]
pub struct Archive {
    hold: Mutex<Option<LogHold>>,
    state: Mutex<Archived>,
    /// Where the current segment began when it was first seen, and when.
    current: Mutex<Option<(Position, Instant)>>,
}

impl Archive {
    /// From now on no segment goes that is not archived.
    pub fn begin(&self, hold: LogHold) {
        *self.hold.lock() = Some(hold);
    }
}

impl Database {
    pub fn archived(&self) -> Archived {
        self.core().archive.state.lock().clone()
    }

    /// Archives the segments that are whole, and the current one once it is old enough.
    pub fn step_archiver(&self) -> Result<bool> {
        let Some(dir) = self.core().options.archive.dir.clone() else { return Ok(false) };
        let outcome = self.archive_into(&dir).and_then(|()| match self.end_old_segment()? {
            true => self.archive_into(&dir),
            false => Ok(()),
        });
        if let Err(error) = &outcome {
            let mut state = self.core().archive.state.lock();
            state.failures += 1;
            state.last_failure = Some((error.message().to_owned(), self.core().options.clock.now()));
        }
        outcome.map(|()| false)
    }

    fn archive_into(&self, dir: &Path) -> Result<()> {
        let core = self.core();
        let hold = core.archive.hold.lock();
        let Some(hold) = hold.as_ref() else {
            return Err(Error::internal("an archive without a hold on the log"));
        };
        let cluster = self.cluster();
        core.fs.create_dir_all(dir)?;
        let known = PieceName::list(&*core.fs, dir)?;
        if let Some(last) = known.last() {
            let found = Piece::cluster(&*core.fs, dir, last)?;
            if found != cluster {
                return Err(of_another(dir, &format!("{found:032x}")));
            }
        }
        remove_unfinished(&*core.fs, dir, cluster, !known.is_empty());
        for part in core.log.parts() {
            if part.whole {
                let name = PieceName { first: part.first, end: part.end };
                if !known.contains(&name) {
                    store_piece(&*core.fs, dir, OF_ARCHIVER, &*core.log, &part, cluster, &mut unpaced)?;
                    core.fs.sync_dir(dir)?;
                    let mut state = core.archive.state.lock();
                    state.count += 1;
                    state.last = Some((name.file_name(), core.options.clock.now()));
                }
            }
            let position = if part.whole { part.end } else { part.first };
            core.archive.state.lock().position = position;
            hold.advance(position);
        }
        Ok(())
    }

    /// Ends the current segment when its records have waited long enough; whether it did.
    fn end_old_segment(&self) -> Result<bool> {
        let core = self.core();
        let timeout = core.options.archive.timeout;
        let Some(part) = core.log.parts().pop().filter(|part| part.end > part.first) else {
            return Ok(false);
        };
        let mut current = core.archive.current.lock();
        match *current {
            Some((first, since)) if first == part.first => {
                let is_due = !timeout.is_zero() && since.elapsed() >= timeout;
                if is_due {
                    core.log.rotate()?;
                }
                Ok(is_due)
            }
            _ => {
                *current = Some((part.first, Instant::now()));
                Ok(false)
            }
        }
    }
}

/// Removes what an archiver that ended early left beside its place. Nobody needs it, so that a failure is only told. Where
/// no piece tells whose folder it is, those go whose header is of this database.
fn remove_unfinished(fs: &dyn Fs, dir: &Path, cluster: u128, is_ours: bool) {
    let removed = unfinished(fs, dir, OF_ARCHIVER).and_then(|names| {
        let own = |name: &PathBuf| is_ours || Piece::cluster_in(fs, name).is_ok_and(|found| found == cluster);
        names.iter().filter(|name| own(name)).try_for_each(|name| fs.remove_file(name))
    });
    if let Err(error) = removed {
        log::warn!("what an archiver that ended early has left stays: {error}");
    }
}

/// An archive within the data directory would go with it. 22023.
pub fn refuse_inside(fs: &dyn Fs, home: &Path, options: &ArchiveOptions) -> Result<()> {
    let Some(dir) = &options.dir else { return Ok(()) };
    if !fs.resolve(dir)?.starts_with(fs.resolve(home)?) {
        return Ok(());
    }
    let message = format!("invalid value for parameter \"archive_dir\": \"{}\"", dir.display());
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .detail("It is inside of the data directory.")
        .hint("Name another folder, best on another disk."))
}
