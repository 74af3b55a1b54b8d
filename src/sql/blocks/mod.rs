//! DO: a block of statements that decides as it goes.
//!
//! Migrations are written with it, since CREATE TYPE and ADD CONSTRAINT have no IF NOT EXISTS:
//!
//! ```text
//!   DO $$ BEGIN
//!     IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'mood') THEN     If: a query's first cell
//!       CREATE TYPE mood AS ENUM ('sad');                                 Sql: a statement, planned when it runs
//!     END IF;
//!     PERFORM setval('s', 7);                                             Sql that yields rows nobody reads
//!     RAISE NOTICE 'at %', now();                                         Raise
//!   EXCEPTION WHEN duplicate_object THEN NULL;                            a savepoint around the block
//!   END $$
//! ```
//!
//! That is the part of PL/pgSQL without variables. What declares, assigns or loops is refused by name (0A000), when
//! the block is read, so that no half of it has run. The language's own rules are kept: conditions and arguments are
//! what may follow SELECT, a block with EXCEPTION is a subtransaction, and rows without a destination are an error.
//!
//! ```text
//!   words.rs        a body's text to steps
//!   run.rs          steps one after the other, in the session's transaction
//!   conditions.rs   names of errors
//! ```
//!
//! Source: <https://www.postgresql.org/docs/17/plpgsql-structure.html>

mod conditions;
mod run;
mod words;

pub use words::statement;

use crate::error::SqlState;
use crate::sql::blocks::conditions::Condition;
use crate::sql::response::Severity;
use crate::sql::statement::Statement;

/// BEGIN ... [EXCEPTION ...] END
#[derive(Clone, Debug, Default)]
pub struct Block {
    steps: Vec<Step>,
    handlers: Vec<Handler>,
}

/// WHEN ... THEN ...
#[derive(Clone, Debug)]
struct Handler {
    conditions: Vec<Condition>,
    steps: Vec<Step>,
}

/// A step and the line of the body it begins in, from 1.
#[derive(Clone, Debug)]
struct Step {
    line: usize,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Null,
    Return,
    /// IF and its ELSIFs: queries of one cell, and what follows them; then ELSE.
    If {
        arms: Vec<(Statement, Vec<Step>)>,
        otherwise: Vec<Step>,
    },
    Block(Block),
    Sql(Statement),
    /// A query whose rows are thrown away.
    Perform(Statement),
    /// EXECUTE: a query whose cell is the text of statements.
    Execute(Statement),
    Raise(Raise),
}

#[derive(Clone, Debug)]
struct Raise {
    level: Level,
    /// `None` raises again what a handler has caught.
    message: Option<Message>,
    /// USING: what, and a query of its text.
    options: Vec<(RaiseOption, Statement)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Exception,
    Notice(Severity),
}

#[derive(Clone, Debug)]
enum Message {
    /// With a % for each cell of the query.
    Format(String, Option<Box<Statement>>),
    /// By the name of a condition, which is its text too.
    Named(String, SqlState),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RaiseOption {
    Message,
    Detail,
    Hint,
    Errcode,
    Column,
    Constraint,
    Table,
    Schema,
    Datatype,
}
