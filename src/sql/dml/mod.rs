//! Data changes: INSERT, UPDATE, DELETE, MERGE, TRUNCATE.
//!
//! ```text
//!   rows to write ─> defaults ─> casts ─> generated columns ─> NOT NULL, CHECK ─> hidden columns
//!                 ─> the core (keys, locks, own writes) ─> RETURNING
//! ```
//!
//! INSERT ... VALUES of literals and parameters goes from cells to rows without the planner ([`cells`]); everything
//! else is a query whose outputs are assigned to columns. UPDATE and DELETE are queries for slots, which
//! change their rows a part at a time ([`parts`]), and INSERT ... SELECT writes them batch by batch.

// Which unique index decides an ON CONFLICT.
mod arbiter;
// Literals and parameters as values.
pub mod cells;
// UPDATE and DELETE.
pub mod change;
// ON CONFLICT.
pub mod conflict;
// Subqueries in ON CONFLICT.
pub mod conflict_query;
// What a column gets when nothing is said.
pub mod defaults;
// Columns that are computed from others.
pub mod generated;
// Foreign keys that are checked at COMMIT.
pub mod deferred;
// Elements of arrays and documents that SET assigns to.
pub mod elements;
// INSERT.
pub mod insert;
// Changes of many rows, a few at a time.
pub mod parts;
// What rows that refer to others do when those go.
pub mod references;
// MERGE.
pub mod merge;
// RETURNING.
pub mod returning;
// Rows: computed columns, NOT NULL, CHECK, reading them back.
pub mod rows;
// Changes through views.
pub mod through_view;
