//! Hither: a vector database that PostgreSQL clients already know how to use.
//!
//! The modules below are in the order in which a query meets them; `ARCHITECTURE.md` walks through both journeys.

#![cfg_attr(not(feature = "server"), allow(dead_code))]

// Schemas, tables, columns, indexes: versioned, stored as rows.
pub mod catalog;
// The command line: serve, demo, check, bench.
#[cfg(feature = "server")]
pub mod cli;
// Integers, strings and ordered keys as bytes.
pub mod codec;
// The time of day.
pub mod clock;
// What an operator sets before the server starts.
#[cfg(feature = "server")]
pub mod config;
// The owner of everything: open, apply, commit, transactions, background work.
pub mod database;
// Kernels by metric, with scalar twins.
pub mod distance;
// Errors with SQLSTATEs.
pub mod error;
// Files.
pub mod fs;
// PostgreSQL's text search: text to lexemes, matching, ranks, headlines.
pub mod fulltext;
// Scalar and aggregate functions.
#[cfg(feature = "server")]
pub mod functions;
// "Here is a question, give me slots": exact, graph and metadata indexes.
pub mod index;
// Row and key locks, waits and deadlocks.
pub mod locks;
// The append-only log, which is the database.
pub mod log;
// How much memory there is, and for what.
pub mod memory;
// From a good plan to the right plan: operators, nearest neighbours, filters, costs.
#[cfg(feature = "server")]
pub mod planner;
// The wire: PostgreSQL's protocol, bytes to statements and rows to bytes.
#[cfg(feature = "server")]
pub mod server;
// What a statement means: sessions, settings, DDL, DML, COPY, the system catalogue.
#[cfg(feature = "server")]
pub mod sql;
// The LSM tree.
pub mod storage;
// Rows as SQL sees them: snapshots, own writes, scans.
pub mod table;
// SQL types and values.
pub mod types;
// Vector segments: slot to bytes, mapped, checksummed.
pub mod vectors;
