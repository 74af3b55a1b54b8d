//! Reading everything once in a while: a disk that forgets says so to whoever asks, and nobody asks for cold rows.
//!
//! What is damaged and can be made again from the rest is: a table whose filter is damaged is written anew by a
//! compaction of it alone, a damaged manifest from the state in memory. Rows cannot, and are named.

use std::path::PathBuf;

use super::check::check_table;
use super::compaction::{self, Choice, How};
use super::store::{Shared, Store};
use crate::error::{Error, Result, SqlState};
use crate::fs::Pace;
use crate::log::StorageId;

/// What is wrong with one file.
#[derive(Debug)]
pub struct Damage {
    pub file: PathBuf,
    pub part: Part,
    pub error: Error,
}

/// Which part of a sorted table is damaged, or was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Rows,
    /// Of the table with this number.
    Filter(u64),
    /// What is left of it after an error that is no damage.
    Unread,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Scrubbed {
    pub files: u64,
    pub bytes: u64,
    pub damage: Vec<Damage>,
}

impl Store {
    /// Reads every table of a tree from its file, past the cache.
    pub fn scrub(&self, id: StorageId, pace: &mut Pace) -> Result<Scrubbed> {
        let mut done = Scrubbed::default();
        let Some(tree) = self.tree(id) else { return Ok(done) };
        for table in tree.all_tables() {
            let [rows, filter] = check_table(&table, pace);
            done.files += 1;
            done.bytes += table.meta().bytes;
            let parts = [(Part::Rows, rows), (Part::Filter(table.meta().number), filter)];
            for (part, outcome) in parts {
                let Err(error) = outcome else { continue };
                if error.state() == SqlState::QUERY_CANCELED {
                    return Err(error);
                }
                let part = if is_rot(&error) { part } else { Part::Unread };
                done.damage.push(Damage { file: table.path().to_owned(), part, error });
                // Without its footer nothing else of the file can be judged.
                break;
            }
        }
        Ok(done)
    }

    /// Writes a table that a checkpoint has anew, from its entries; false when none has it.
    pub fn rewrite(&self, id: StorageId, number: u64) -> Result<bool> {
        self.shared.rewrite(id, number)
    }

    /// Reads the manifest and holds it against the state in memory; answers what is wrong with a damaged one.
    pub fn verify_manifest(&self) -> Result<Option<Error>> {
        match self.shared.manifest.lock().verify() {
            Err(error) if error.state() == SqlState::DATA_CORRUPTED => Ok(Some(error)),
            outcome => outcome.map(|()| None),
        }
    }

    /// Writes the manifest anew from the state in memory.
    pub fn renew_manifest(&self) -> Result<()> {
        self.shared.manifest.lock().renew()
    }
}

/// Bytes that are others than were written, or that the disk does not give any more.
pub fn is_rot(error: &Error) -> bool {
    [SqlState::DATA_CORRUPTED, SqlState::IO_ERROR].contains(&error.state())
}

impl Shared {
    fn rewrite(&self, id: StorageId, number: u64) -> Result<bool> {
        let mut rests = self.compacting.lock();
        let tree = self.trees.lock().live.get(&id).cloned();
        let Some(tree) = tree else { return Ok(false) };
        let version = tree.version();
        let here = |level: &usize| version.levels[*level].iter().any(|table| table.meta().number == number);
        let choice = match (0..version.levels.len()).find(here) {
            None => return Ok(false),
            // Tables of level 0 overlap, and their order tells which is newer: none may be taken out of it alone.
            Some(0) => compaction::everything(&version),
            Some(into) => Some(Choice { how: How::Merge, into, upper: Vec::new(), lower: vec![number] }),
        };
        let Some(choice) = choice else { return Ok(false) };
        let job = compaction::run(&self.context, id, &version, &choice, None)?;
        self.commit_compaction(&tree, &job)?;
        // What kept the tree from being compacted may have been this table.
        rests.ended(id);
        Ok(true)
    }
}
