//! The power fails before every write, sync, rename, truncation and removal of several workloads.
//!
//! A workload runs once, step by step and without threads, on a strict file system in memory. Before each operation
//! that changes files, what a power failure would leave is taken (`MemoryFs::crash`: unsynced writes and names dropped,
//! kept or torn, as a seed draws), opened as a restart would, and compared with a model:
//!
//! ```text
//!   found == everything acknowledged          or, while a commit is on its way,
//!   found == everything acknowledged + that commit, whole
//! ```
//!
//! Rows are compared cell by cell, and searches with what all rows say, exact ones and ones by an index (`nearest.rs`). A
//! sequence never gives a value out twice (`model.rs`), and backups restore to what was there (`backups.rs`). Then
//! `Database::check` states every invariant, some survivors lose power again while they recover, and some go on
//! working. Another test lets operations fail instead: refused or stopped, but nothing acknowledged is lost (`faults.rs`).
//!
//! `workloads.rs` has the workloads by topic: rows, definitions, vectors, sequences, relations, backups.
//! `HITHER_CRASH=full cargo test --release --no-default-features --test crash` takes every crash point with two to eight
//! seeds, `HITHER_CRASH=7` every seventh; the default is some of each workload.
//! A failure prints the command that replays it alone.

mod backups;
mod client;
mod counters;
mod definitions;
mod faults;
mod model;
mod nearest;
mod relations;
mod sweep;
mod threads;
mod work;
mod workloads;

fn is_full() -> bool {
    std::env::var("HITHER_CRASH").as_deref() == Ok("full")
}

#[test]
fn power_fails_among_rows() {
    sweep::run(&workloads::ROWS);
}

#[test]
fn power_fails_among_definitions() {
    sweep::run(&workloads::DEFINITIONS);
}

#[test]
fn power_fails_among_vectors() {
    sweep::run(&workloads::VECTORS);
}

#[test]
fn power_fails_among_sequences() {
    sweep::run(&workloads::SEQUENCES);
}

#[test]
fn power_fails_among_relations() {
    sweep::run(&workloads::RELATIONS);
}

#[test]
fn power_fails_among_backups() {
    sweep::run(&workloads::BACKUPS);
}
