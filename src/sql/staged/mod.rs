//! Statements in parts: data-modifying WITH, and row locks taken by subqueries.
//!
//! ```text
//!   WITH gone AS (DELETE FROM a ... RETURNING *),      split     part 1   DELETE FROM a ... RETURNING *
//!        kept AS (INSERT INTO b SELECT ... FROM gone)  ────>     part 2   INSERT INTO b SELECT ... FROM gone
//!   SELECT count(*) FROM gone                                    main     SELECT count(*) FROM gone
//! ```
//!
//! The parts run one after the other, each to its end, and then the main statement. What PostgreSQL promises of such a
//! statement holds:
//!
//! - All parts look at one snapshot, taken before the first. The tables they read are pinned ([`View`]), so no part sees
//!   what another wrote; what it passes on are the rows of its RETURNING, which later parts read as a table.
//! - A row that one part changed is passed over by those after it.
//! - Foreign keys are looked at when all is done.
//! - When a row has changed since the snapshot, the whole statement is undone and runs again on a new one, keeping the
//!   locks: the parts never look at different moments.
//!
//! An INSERT with subqueries in ON CONFLICT is such a statement without parts: they look at the snapshot before it.
//!
//! A subquery with FOR UPDATE is a part too: `WHERE id = (SELECT ... LIMIT 1 FOR UPDATE SKIP LOCKED)` first locks its
//! row, then compares with it.

// Planning the parts.
mod plan;
// Subqueries in RETURNING.
mod returned;
// Running them.
mod run;
// From a statement's tree to its parts.
mod split;

pub use plan::{StagedPlan, StagedTable};
pub use run::View;
pub use split::{arrange, at_one_moment, refuse_changes};

use crate::sql::statement::Ast;

/// A statement with the parts that run before it.
#[derive(Clone, Debug)]
pub struct Staged {
    /// In the order in which they run.
    pub parts: Vec<Part>,
    pub main: Ast,
    /// The client is told of the last part, whose rows the main statement shows.
    pub shows_part: bool,
}

/// A query or a data change whose rows others read.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name of the table that its rows are to later parts.
    pub name: String,
    /// New names of the first columns.
    pub columns: Vec<String>,
    pub statement: Ast,
    /// A subquery that was taken out of its statement because it locks rows.
    pub taken_out: bool,
}
