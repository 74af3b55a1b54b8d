//! Tables that do not open: their damage is theirs alone.
//!
//! A block that rotted, a file that is gone, a row that makes no sense: whatever belongs to one table and is met while
//! its files are opened or the log is replayed into it makes that table *damaged*. The database opens without it. Each
//! statement that reads, writes or redefines it is refused with what was found; DROP TABLE and TRUNCATE take it away.
//! What belongs to all tables (CONTROL, CURRENT, the manifest, the log, the catalogue) still ends the open, and so does a
//! vector segment, a graph or a generation of lists that a newer program wrote: that is no damage.
//!
//! Nothing is lost by going on, for once its files are back, the next open finds all of it:
//!
//! ```text
//!   log   ...| P0 ........ A0 ..... opened, damaged ..... P1 .. A1 ........ end
//!   files of the table:    ^ as of A0, untouched
//!   the other tables:                                          ^ as of A1, the newest checkpoint
//!   manifest          position P0, applied A1, from P1, and of the table: applied A0
//! ```
//!
//! - Its files stay: its tree is not among those that are flushed, compacted or checkpointed (`storage`), it is not among
//!   the tables that are indexed, vacuumed or scrubbed, and its generations are neither saved nor removed.
//! - Its log stays: while a table is damaged, the position a checkpoint records, which is how far the log may go, does
//!   not move on from where the open began. Everything that is not in its files is behind that position.
//! - Nothing is applied twice. The other tables are checkpointed as ever, with `applied` and, beside the position, `from`:
//!   records before it are nobody's but the damaged table's. That one has an `applied` of its own. When it opens again,
//!   it is *behind*: replay gives it, and it alone, the commits between its `applied` and that of all; records before
//!   `from` are passed over for all others, as if the log began there. The first checkpoint then forgets all this.
//! - Its definition stays, for rows in the log are read by the definition of their time: it can be dropped or truncated,
//!   and nothing else. When the log between A0 and the open has already redefined it (rare, and over with a restart
//!   after the repair), no checkpoint is made at all: then everything is on disk as a crash would have left it.
//!
//! A table cannot be found damaged so while statements run: what they meet is theirs to report, as ever.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{self, Edit, Oid};
use crate::clock::Timestamp;
use crate::database::apply::touched_tables;
use crate::database::core::{Core, Version};
use crate::database::scrub::{Finding, Kind};
use crate::database::transaction::Transaction;
use crate::database::{Database, checkpoint};
use crate::error::{Error, Result, SqlState};
use crate::log::{Position, StorageId};
use crate::storage::is_damage;
use crate::table::Table;

const HINT: &str = "Stop the server, put the file back from a backup and start it again, or drop the table; \
                    \"hither check\" names all that is damaged.";
/// Vectors are written in place: an older file has other vectors where places were used again, and nothing would tell.
const VECTORS_HINT: &str = "Stop the server, put the file back as it was at the last checkpoint or later and start it again, \
                            restore the database, or drop the table; \"hither check\" names all that is damaged.";
const ACTION: &str = "statements that need it are refused, and the log is kept, until its file is put back and the \
                      server is started again";

/// A table that nobody can use.
pub struct Damaged {
    definition: Arc<catalog::Table>,
    pub storage: StorageId,
    /// What was found.
    cause: Error,
    /// Commits before this are in its files.
    pub applied: Position,
    /// Whether log that is not in its files has changed its definition.
    redefined: AtomicBool,
}

/// By the oid of the table.
pub type DamagedTables = HashMap<Oid, Arc<Damaged>>;

impl Damaged {
    /// Tells the log.
    pub fn new(
        definition: Arc<catalog::Table>,
        storage: StorageId,
        applied: Position,
        cause: Error,
    ) -> Damaged {
        log::error!("the table \"{}\" is damaged: {cause}; {ACTION}", definition.qualified_name());
        Damaged { definition, storage, cause, applied, redefined: AtomicBool::new(false) }
    }

    /// What was found, as it was told.
    pub fn cause(&self) -> &Error {
        &self.cause
    }

    /// What a statement is told that needs the table: XX001.
    pub fn error(&self) -> Error {
        let (schema, name) = (&self.definition.schema, &self.definition.name);
        Error::new(SqlState::DATA_CORRUPTED, self.cause.message())
            .detail(format!("The table \"{name}\" was found damaged when the server was started."))
            .hint(self.hint())
            .table(schema, name)
    }

    fn hint(&self) -> &'static str {
        let file = Path::new(file_of(self.cause.message()));
        let is_vectors = file.extension().is_some_and(|extension| extension == "vec" || extension == "heap");
        if is_vectors { VECTORS_HINT } else { HINT }
    }

    /// What a scrub tells of it.
    pub fn finding(&self, found: Timestamp) -> Finding {
        Finding {
            found,
            table: Some(self.definition.qualified_name()),
            kind: Kind::Table,
            file: file_of(self.cause.message()).to_owned(),
            message: self.cause.message().to_owned(),
            action: ACTION,
        }
    }
}

/// The file that a report of damage names.
fn file_of(message: &str) -> &str {
    match message.split_once(" is damaged") {
        Some((file, _)) => file,
        // could not open "file": ...
        None => message.split('"').nth(1).unwrap_or_default(),
    }
}

impl Version {
    /// Whether the files of this storage are those of a damaged table.
    pub fn is_damaged(&self, storage: StorageId) -> bool {
        self.damaged.values().any(|damaged| damaged.storage == storage)
    }

    /// Refuses a table that is damaged and still has the damaged files.
    pub fn check_sound(&self, table: Oid, storage: StorageId) -> Result<()> {
        match self.damaged.get(&table).filter(|damaged| damaged.storage == storage) {
            Some(damaged) => Err(damaged.error()),
            None => Ok(()),
        }
    }
}

impl Core {
    /// In recovery damage is the table's alone, which is left out from here on; otherwise it is an error as any other.
    pub fn or_damaged(&self, table: &Table, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if self.recovering.load(Ordering::Relaxed) && is_damage(&error) => {
                self.set_damaged(table, error)
            }
            outcome => outcome,
        }
    }

    fn set_damaged(&self, table: &Table, cause: Error) -> Result<()> {
        let (storage, definition) = (table.storage(), table.state().definition.clone());
        let applied = checkpoint::applied_of(&self.store, storage)?;
        self.store.set_damaged(storage, cause.clone());
        self.generations.leave(storage);
        self.bitmaps.leave(storage);
        let old = self.version.load_full();
        let (mut tables, mut damaged) = (old.tables.clone(), old.damaged.clone());
        let oid = definition.oid;
        tables.remove(&oid);
        damaged.insert(oid, Arc::new(Damaged::new(definition, storage, applied, cause)));
        let catalog = old.catalog.clone();
        self.version.store(Arc::new(Version { seq: old.seq, catalog, tables, damaged }));
        Ok(())
    }

    /// After the log was replayed, in which these tables were given other definitions.
    pub fn note_redefined(&self, redefined: &BTreeSet<Oid>) {
        for (oid, damaged) in &self.version.load().damaged {
            if redefined.contains(oid) {
                log::error!(
                    "no checkpoint is made and the log grows until the table \"{}\" is repaired or dropped",
                    damaged.definition.qualified_name()
                );
                damaged.redefined.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Refuses checkpoints that would part a damaged table from the definition its rows in the log are read by.
    pub fn may_checkpoint(&self) -> Result<()> {
        let version = self.version.load();
        let redefined = |damaged: &&Arc<Damaged>| damaged.redefined.load(Ordering::Relaxed);
        match version.damaged.values().find(redefined) {
            Some(damaged) => Err(damaged.error().context("no checkpoint is made while the table is damaged")),
            None => Ok(()),
        }
    }

    /// Refuses what needs all tables, or those that are given.
    pub fn check_all_sound(&self, wanted: impl Fn(Oid) -> bool) -> Result<()> {
        let version = self.version.load();
        match version.damaged.iter().find(|(oid, _)| wanted(**oid)) {
            Some((_, damaged)) => Err(damaged.error()),
            None => Ok(()),
        }
    }
}

impl Transaction {
    /// Refuses edits after which a damaged table would be there under another definition: it may go, or get new files.
    pub(super) fn check_edits_sound(&self, edits: &[Edit]) -> Result<()> {
        if self.version().damaged.is_empty() {
            return Ok(());
        }
        let next = self.catalog_ref().apply(edits);
        let touched = touched_tables(edits, self.catalog_ref());
        touched
            .into_iter()
            .filter_map(|oid| next.table_by_oid(oid))
            .try_for_each(|table| self.version().check_sound(table.oid, StorageId(table.storage)))
    }
}

impl Database {
    /// Damage that was met at open, as a scrub tells it.
    pub(super) fn damaged_tables(&self) -> Vec<Finding> {
        let core = self.core();
        let now = core.options.clock.now();
        core.version.load().damaged.values().map(|damaged| damaged.finding(now)).collect()
    }
}
