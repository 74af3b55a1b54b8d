//! Backups, an archive of the log and restores, taken and made while the power fails.
//!
//! Whatever is left, the last backup that was acknowledged restores to what was there then, the next one succeeds and restores
//! to what is there now, and a directory whose restore was cut short is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hither::database::backup::restore;
use hither::database::{Database, Target};
use hither::error::Result;
use hither::fs::{Fs, MemoryFs, TrialFs};

use crate::client::{ARCHIVE, BACKUPS, options, read};
use crate::model::{Known, State, difference};
use crate::work::Worker;

impl Worker {
    pub fn back_up_or_restore(&mut self) -> Result<()> {
        let taken = self.known().backups.taken;
        match (self.chance.below(4), taken) {
            (0, _) => {
                self.did("archive");
                self.db.step_archiver().map(drop)
            }
            (1, Some(position)) => self.restore(Target::Position(position)),
            (2, Some(_)) => self.restore(Target::Latest),
            _ => {
                self.did("backup");
                let taken = self.db.backup(Path::new(BACKUPS), &AtomicBool::new(false))?;
                self.known().backups.taken = Some(hither::log::Position(taken.last.0));
                Ok(())
            }
        }
    }

    /// Restores beside the database, looks at what that is, and removes it.
    fn restore(&mut self, target: Target) -> Result<()> {
        self.did("restore");
        let dir = PathBuf::from(format!("/restored-{}", self.next_id));
        self.next_id += 1;
        let archive = Some(Path::new(ARCHIVE));
        // What it will be is known when the same was done on the side.
        let side = Arc::new(TrialFs::new(self.fs.clone()));
        restore(&*side, Path::new(BACKUPS), archive, &dir, target, 1)?;
        let state = Arc::new(opened(side, &dir)?);
        let known = self.known().clone();
        if let Target::Position(position) = target {
            let wanted = known.backups.at(position);
            assert!(*state == *wanted, "restored: {}", difference(&wanted, None, &state));
        }
        assert!(is_of_history(&known, &state), "what was restored was never there");
        self.known().backups.restoring = Some((dir.clone(), state));
        restore(&*self.fs, Path::new(BACKUPS), archive, &dir, target, 1)?;
        self.fs.remove_dir_all(&dir)?;
        self.known().backups.restoring = None;
        Ok(())
    }
}

/// What a directory holds, which is not changed.
fn opened(fs: Arc<dyn Fs>, dir: &Path) -> Result<State> {
    let db = Database::open(Arc::new(TrialFs::new(fs)), dir, options(false))?;
    db.check()?;
    Ok(read(&db)?.state)
}

/// Whether it was there when the last backup was acknowledged or later.
fn is_of_history(known: &Known, state: &State) -> bool {
    let taken = known.backups.taken.unwrap_or_default();
    let later = known.backups.history.iter().filter(|(position, _)| *position > taken);
    let at = known.backups.at(taken);
    *at == *state
        || later.map(|(_, then)| then).any(|then| **then == *state)
        || known.compare_state(state).is_ok()
}

/// Looks at the backups that a crash left, and takes the next one of the database that was opened again.
pub fn verify(fs: &MemoryFs, db: &Arc<Database>, known: &Known) -> std::result::Result<(), String> {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    if let Some((dir, state)) = &known.backups.restoring {
        verify_restoring(&fs, dir, state)?;
    }
    let restored = |target: Target, archive: Option<&Path>, dir: &str| {
        let side = Arc::new(TrialFs::new(fs.clone()));
        let outcome = restore(&*side, Path::new(BACKUPS), archive, Path::new(dir), target, 1)
            .and_then(|_| opened(side, Path::new(dir)));
        outcome.map_err(|error| format!("step {}: {target:?} restored to {dir}: {error}", known.step))
    };
    if let Some(position) = known.backups.taken {
        let (found, wanted) =
            (restored(Target::Position(position), None, "/first")?, known.backups.at(position));
        if found != *wanted {
            return Err(format!("the last backup restores to {}", difference(&wanted, None, &found)));
        }
        let archive = Some(Path::new(ARCHIVE));
        for (archive, dir) in [(None, "/latest"), (archive, "/archived")] {
            if !is_of_history(known, &restored(Target::Latest, archive, dir)?) {
                return Err(format!("{dir}: what the newest backup restores to was never there"));
            }
        }
    }
    let now = read(db).map_err(|error| error.to_string())?.state;
    let archived = db.step_archiver().and_then(|_| db.backup(Path::new(BACKUPS), &AtomicBool::new(false)));
    archived.map_err(|error| format!("step {}: the next backup: {error}", known.step))?;
    for (archive, dir) in [(None, "/next"), (Some(Path::new(ARCHIVE)), "/next-archived")] {
        let found = restored(Target::Latest, archive, dir)?;
        if found != now {
            return Err(format!("the next backup restores to {}", difference(&now, None, &found)));
        }
    }
    Ok(())
}

/// A directory in which a restore was cut short is whole or refused.
fn verify_restoring(fs: &Arc<dyn Fs>, dir: &Path, state: &State) -> std::result::Result<(), String> {
    let is_empty = fs.list(dir).is_ok_and(|names| names.is_empty());
    match (fs.exists(&dir.join("CONTROL")), opened(fs.clone(), dir)) {
        (true, Ok(found)) if found == *state => Ok(()),
        (true, Ok(found)) => Err(format!("the restored are {}", difference(state, None, &found))),
        (true, Err(error)) => Err(format!("what was restored: {error}")),
        (false, Ok(_)) if !is_empty => Err(format!("{} is taken for a new directory", dir.display())),
        (false, _) => Ok(()),
    }
}
