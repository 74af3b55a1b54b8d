//! Compaction keeps the tables of a tree few: a pure policy chooses, a worker carries it out.
//!
//! Leveled, not tiered: reads of single rows and keys are what queries wait for, and a level needs at most
//! one table for them. The price, rewriting about ten bytes per byte and level, is low here because vectors
//! are not in the tree and because rows, whose keys ascend, form tables that overlap nothing and are moved
//! without being rewritten.
//!
//! A vacuum writes tables anew of which enough is garbage (`garbage.rs`).
//!
//! ```text
//!   level 0   [a......k] [c.........z] [b....m]      as flushed, overlapping; due at 8 tables
//!   level 1   [a..d][e....j][k..s][t..z]             disjoint; due at 64 MiB
//!   level 2   [a.b][c...d][e.f][g....k][l..z]        disjoint; due at 640 MiB
//! ```

mod garbage;
mod policy;
mod rests;
mod retain;
mod worker;

pub use garbage::{Cleaning, count, plan};
pub use policy::{Choice, How, choose};
pub use rests::Rests;
pub use retain::Retain;
pub use worker::{Job, everything, run, shape, trim};
