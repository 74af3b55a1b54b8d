//! From a good plan to the right plan.
//!
//! DataFusion plans; this folder teaches it PostgreSQL's types and operators, nearest neighbours, and how to keep a
//! finished plan. In the order in which a plan meets them:
//!
//! 1. `operators`: `<->` and the comparisons of vectors, text literals that take the other side's type.
//! 2. `prepare`: literals and parameters get PostgreSQL's types; now() and its like become parameters.
//! 3. `casts`: casts where PostgreSQL and Arrow differ.
//! 4. `constants`: what needs no row is computed, and fails if it must.
//! 5. `knn`: ORDER BY distance LIMIT k becomes a search.
//! 6. `finish`: parameters become readers of one [`bindings::Bindings`] cell, and the plan can be kept.
//! 7. `hints`: scans learn which rows the joins, sorts and aggregates above them want.

// Arguments of functions written in SQL.
pub mod argument;
// The cell an execution's parameters, snapshots and settings are read from.
pub mod bindings;
// Functions that read the execution they run in.
pub mod bound;
// Subqueries that no join can stand for.
pub mod by_row;
// Casts with PostgreSQL's rules.
pub mod casts;
// varchar, char(n) and text.
mod characters;
// Comparisons of citext by its keys.
mod citext;
// The one type of several alternatives.
pub mod common;
// IN, BETWEEN and their like.
pub mod comparison;
// Constants, computed while planning.
mod constants;
// Columns of one name that a subquery compares with the query around it.
mod correlated_names;
// Arrays of several dimensions.
mod dimensions;
// What all plans share: functions, rules, memory.
pub mod environment;
// EXPLAIN.
pub mod explain;
// Conditions above aggregates.
mod filters;
// From a logical plan to one that can be run again and again.
pub mod finish;
// Grouping sets of expressions.
pub mod grouping;
// Operators of uuids and times with a zone.
mod fixed_width;
// Which rows scans are wanted to read.
pub mod hints;
// Lists of IN.
mod in_lists;
// One row of constants beside a table.
pub mod inline;
// Operators of hstore.
mod hstore;
// Keys that order and are equal as PostgreSQL's values are.
mod keys;
// Which operators there are between types.
pub mod kinds;
// ORDER BY distance LIMIT k becomes a search.
pub mod knn;
// lo_open(), loread() and their like.
pub mod large_objects;
// ORDER BY distance to what a subquery finds becomes a search.
mod late_knn;
// LIMIT and OFFSET whose counts are parameters.
pub mod limit;
// Columns that are called alike.
pub mod names;
// Operators of addresses.
mod networks;
// Queries of WITH that run once.
pub mod once;
// Functions that hide something of their argument.
mod opaque;
// Operators by the types of their operands.
pub mod operators;
// Subqueries in ORDER BY.
pub mod order;
// Where output columns come from.
pub mod origin;
// Aggregates that belong to a query around, refused.
pub mod outer_aggregates;
// The types of parameters that the client left open.
pub mod parameters;
// PostgreSQL's types for literals and parameters.
pub mod prepare;
mod ranges;
// Rows of tables as documents.
mod record;
// The terms of recursive queries.
pub mod recursion;
// Subqueries as values.
mod scalar_subquery;
// now(), current_user and their like.
pub mod session_values;
// INTERSECT ALL and EXCEPT ALL.
pub mod set_operations;
// Rows that a statement keeps for later.
pub mod spool;
// Tables computed from the catalogue and the session.
pub mod system;
// Arrays unnested beside their rows.
pub mod unnest;
// Frames of windows.
mod window;
