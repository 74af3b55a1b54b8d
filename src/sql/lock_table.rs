//! LOCK TABLE: a lock on tables until the transaction ends.
//!
//! There are two kinds here where PostgreSQL has eight modes. Those that writers take (ACCESS SHARE, ROW SHARE, ROW
//! EXCLUSIVE) keep others from changing the definition; all that are stronger keep them from changing rows as well.
//! Nobody waits to read.

use crate::catalog::{Oid, Relation};
use crate::database::{Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::Name;
use crate::sql::transactions::Block;
use crate::sql::words::{Parsed, Words};

/// `LOCK [TABLE] [ONLY] name [, ...] [IN mode MODE] [NOWAIT]`
#[derive(Clone, Debug)]
pub struct LockTable {
    pub tables: Vec<Name>,
    /// Whether rows may not be changed by others.
    pub exclusive: bool,
    pub nowait: bool,
}

/// The modes, and whether they exclude writers.
const MODES: &[(&str, bool)] = &[
    ("ACCESS SHARE", false),
    ("ROW SHARE", false),
    ("ROW EXCLUSIVE", false),
    ("SHARE UPDATE EXCLUSIVE", true),
    ("SHARE ROW EXCLUSIVE", true),
    ("SHARE", true),
    ("ACCESS EXCLUSIVE", true),
    ("EXCLUSIVE", true),
];

/// Reads the statement behind its first word.
pub fn lock_table(w: &mut Words) -> Parsed<LockTable> {
    w.accept("TABLE");
    let tables = w.list(|w| {
        w.accept("ONLY");
        w.name()
    })?;
    let mut exclusive = true;
    if w.accept("IN") {
        let Some((_, found)) = MODES.iter().find(|(mode, _)| w.accept(mode)) else {
            return w.unexpected("a lock mode");
        };
        exclusive = *found;
        w.expect("MODE")?;
    }
    let nowait = w.accept("NOWAIT");
    Ok(LockTable { tables, exclusive, nowait })
}

impl Session {
    pub(crate) async fn lock_tables(&mut self, lock: &LockTable) -> Result<Response> {
        if self.state.block != Block::Explicit && !self.state.several_statements {
            let message = "LOCK TABLE can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        self.start_statement()?;
        for name in &lock.tables {
            let catalog = self.shared.current_catalog();
            let table = match self.shared.relation(&catalog, name) {
                None => return Err(undefined_relation(name)),
                Some(Relation::Table(table) | Relation::Partition(table)) => table.oid,
                Some(Relation::View(_)) => return Err(Error::unsupported("LOCK of a view")),
                Some(_) => {
                    let message = format!("cannot lock relation \"{}\"", name.name);
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
            };
            let exclusive = lock.exclusive;
            if !lock.nowait {
                self.retry(|transaction| take(transaction, table, exclusive)).await?;
                continue;
            }
            match self.attempt(|transaction| take(transaction, table, exclusive)) {
                Ok(()) => {}
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait(_)) => {
                    let message = format!("could not obtain lock on relation \"{}\"", name.name);
                    return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
                }
            }
        }
        Ok(done("LOCK TABLE"))
    }
}

fn take(transaction: &mut Transaction, table: Oid, exclusive: bool) -> Result<(), Stop> {
    if exclusive { transaction.lock_table(table) } else { transaction.share_table(table) }
}
