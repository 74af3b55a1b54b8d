//! The workloads by topic. Each is small: several short ones meet more than a long one.

use hither::types::Type;

use crate::work::{Topic, Workload};

/// The first two columns of every table behind its key: unique texts, and what partitions go by.
fn common() -> Vec<(&'static str, Type)> {
    vec![("tag", Type::Text), ("score", Type::Int4)]
}

fn plain() -> Vec<(&'static str, Type)> {
    [common(), vec![("embedding", Type::Vector(Some(6))), ("note", Type::Text)]].concat()
}

fn vectors() -> Vec<(&'static str, Type)> {
    let others = vec![
        ("embedding", Type::Vector(Some(6))),
        ("half", Type::Halfvec(Some(6))),
        ("sparse", Type::Sparsevec(Some(20))),
        ("bits", Type::Bit(Some(12))),
        ("words", Type::Array(Box::new(Type::Text))),
    ];
    [common(), others].concat()
}

/// What a backup copies in different ways.
fn copied() -> Vec<(&'static str, Type)> {
    let others = vec![("embedding", Type::Vector(Some(6))), ("sparse", Type::Sparsevec(Some(20)))];
    [common(), others].concat()
}

fn narrow() -> Vec<(&'static str, Type)> {
    [common(), vec![("note", Type::Text)]].concat()
}

/// Inserts, upserts, updates, deletes, and tables and indexes that come and go.
pub static ROWS: Workload = Workload {
    name: "rows",
    seed: 2026,
    steps: 300,
    every: 83,
    columns: plain,
    topics: &[Topic::Tables],
    does: &[
        "checkpoint",
        "compact",
        "index tails",
        "vacuum",
        "rollback",
        "commit",
        "create table",
        "drop table",
        "truncate",
        "create index",
        "drop index",
        "insert",
        "insert or nothing",
        "upsert",
        "update",
        "update vectors",
        "delete",
        "duplicate key",
        "commit of the other",
        "rollback of the other",
    ],
};

/// Columns that come and go, rewrites, and transactions that go back to savepoints.
pub static DEFINITIONS: Workload = Workload {
    name: "definitions",
    seed: 11,
    steps: 220,
    every: 163,
    columns: plain,
    topics: &[Topic::Tables, Topic::Columns, Topic::Columns, Topic::Savepoints],
    does: &[
        "add column",
        "add column with a default",
        "add filled column",
        "drop column",
        "rename column",
        "retype column",
        "reindex",
        "drop index",
        "truncate",
        "savepoint",
        "rollback to a savepoint",
        "release",
    ],
};

/// Every type of vector, and every index of one.
pub static VECTORS: Workload = Workload {
    name: "vectors",
    seed: 12,
    steps: 200,
    every: 157,
    columns: vectors,
    topics: &[Topic::Tables],
    does: &["hnsw", "sq8", "bq", "f16", "bf16", "ivfflat", "gin", "reindex", "drop index", "truncate"],
};

pub static SEQUENCES: Workload = Workload {
    name: "sequences",
    seed: 13,
    steps: 200,
    every: 29,
    columns: narrow,
    topics: &[Topic::Sequences, Topic::Savepoints],
    does: &["create sequence", "drop sequence", "nextval", "setval", "rollback to a savepoint"],
};

/// Partitions and foreign keys.
pub static RELATIONS: Workload = Workload {
    name: "relations",
    seed: 14,
    steps: 200,
    every: 89,
    columns: plain,
    topics: &[Topic::Tables, Topic::Partitions, Topic::Partitions, Topic::References, Topic::Savepoints],
    does: &["create partition", "drop partition", "create child", "refer", "reindex", "drop index"],
};

/// Backups, the archive of the log, restores.
pub static BACKUPS: Workload = Workload {
    name: "backups",
    seed: 16,
    steps: 150,
    every: 167,
    columns: copied,
    topics: &[Topic::Tables, Topic::Backups],
    does: &["backup", "archive", "restore", "vacuum", "checkpoint"],
};
