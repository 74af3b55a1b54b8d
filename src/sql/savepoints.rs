//! Savepoints: SAVEPOINT, RELEASE, ROLLBACK TO.
//!
//! The core's transaction goes back to where it was; names and nesting are kept here. A statement that fails under a
//! savepoint leaves the core's transaction open, so that ROLLBACK TO can save what was done before. Settings go back with
//! it, those of SET LOCAL too, and so does SET CONSTRAINTS with what it had checked. Descriptors of large objects that were
//! opened since are closed, and so are cursors.

use crate::database;
use crate::error::{Error, Result, SqlState};
use crate::sql::dml::deferred::Constraints;
use crate::sql::large_objects;
use crate::sql::notifications;
use crate::sql::response::Response;
use crate::sql::session::Session;
use crate::sql::settings;
use crate::sql::statement::{Ast, Savepoint};
use crate::sql::transactions::Block;

const INVALID_SAVEPOINT: SqlState = SqlState("3B001");

/// The savepoints of a transaction, and what happened around them.
#[derive(Debug, Default)]
pub struct Savepoints {
    stack: Vec<Mark>,
    /// Statements that change data or definitions so far.
    writes: u64,
    /// Cursors opened so far.
    cursors: u64,
}

#[derive(Debug)]
struct Mark {
    name: String,
    core: database::Savepoint,
    outbox: notifications::Mark,
    descriptors: large_objects::Mark,
    settings: settings::Mark,
    constraints: Constraints,
    /// Statements that had changed data or definitions.
    writes: u64,
    /// Cursors that had been opened.
    cursors: u64,
}

impl Savepoints {
    /// A statement is about to run.
    pub fn observe(&mut self, ast: &Ast) {
        self.writes += u64::from(ast.writes());
    }

    /// A cursor is opened; the number of those before it.
    pub fn open_cursor(&mut self) -> u64 {
        self.cursors += 1;
        self.cursors - 1
    }

    pub fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.stack
            .iter()
            .rposition(|mark| mark.name == name)
            .ok_or_else(|| Error::new(INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist")))
    }
}

impl Session {
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    pub(crate) fn savepoint(&mut self, savepoint: &Savepoint) -> Result<Response> {
        if self.state.block != Block::Explicit && !self.state.several_statements {
            let message = format!("{} can only be used in transaction blocks", savepoint.command());
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        let savepoints = &mut self.state.savepoints;
        match savepoint {
            Savepoint::Define(name) => {
                let transaction = self.shared.transaction.lock();
                let core =
                    transaction.as_ref().map(|transaction| transaction.savepoint()).unwrap_or_default();
                let outbox = self.shared.outbox.lock().mark();
                let descriptors = self.shared.descriptors.lock().mark();
                let settings = self.shared.settings.lock().mark();
                let (name, writes, cursors) = (name.clone(), savepoints.writes, savepoints.cursors);
                let constraints = self.state.constraints.clone();
                savepoints.stack.push(Mark {
                    name,
                    core,
                    outbox,
                    descriptors,
                    settings,
                    constraints,
                    writes,
                    cursors,
                });
            }
            Savepoint::Release(name) => savepoints.stack.truncate(savepoints.find(name)?),
            Savepoint::RollBackTo(name) => self.roll_back_to(name)?,
        }
        Ok(Response::Done { tag: savepoint.tag().to_owned() })
    }

    fn roll_back_to(&mut self, name: &str) -> Result<()> {
        let savepoints = &self.state.savepoints;
        let index = savepoints.find(name)?;
        let mark = &savepoints.stack[index];
        let (core, outbox, settings, wrote_before) =
            (mark.core.clone(), mark.outbox, mark.settings.clone(), mark.writes > 0);
        let (constraints, descriptors) = (mark.constraints.clone(), mark.descriptors);
        let cursors = mark.cursors;
        self.close_cursors_since(cursors);
        self.copy = None;
        match self.shared.transaction.lock().as_mut() {
            Some(transaction) => transaction.rollback_to(&core)?,
            None if wrote_before => return Err(Error::internal("the transaction of the savepoint is gone")),
            None => {}
        }
        self.shared.outbox.lock().back_to(outbox);
        self.shared.descriptors.lock().back_to(descriptors);
        self.shared.settings.lock().back_to(settings);
        self.state.constraints = constraints;
        self.state.failed = false;
        // The savepoint itself stays, those after it are gone.
        self.state.savepoints.stack.truncate(index + 1);
        Ok(())
    }
}
