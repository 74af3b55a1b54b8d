//! What exists: schemas, tables, columns, constraints, indexes, sequences, views, functions and types.
//!
//! The catalogue is rows: every object is one JSON document under its oid in the tree of storage 0, written by the
//! same log records and the same commit as rows are, which is what makes DDL transactional. In memory it is an
//! immutable [`Catalog`] behind an `Arc`; a change makes the next version of it.
//!
//! ```text
//!   Edit::Put(object) ─┐
//!   Edit::Delete(oid) ─┴─> Record::Catalog ─> Commit ─> storage 0 + Catalog::apply ─> the next Arc<Catalog>
//! ```

// The definitions: what a table, a column, an index is.
pub mod definition;
// Functions written in SQL.
pub mod function;
// Changes, as they are logged and stored.
pub mod edit;
// SET STORAGE, REPLICA IDENTITY and their like.
pub mod hints;
// The tables of large objects.
pub mod large_objects;
// Partitions of tables.
pub mod partition;
// One version of all definitions, and how to find one.
mod version;

pub use definition::{
    Column, CompositeObject, Constraint, ConstraintKind, DefaultExpr, Deferral, Domain, DomainCheck,
    DroppedColumn, EnumObject, Extension, ForeignKey, Generated, HnswOptions, Identity, Index, IndexMethod,
    IndexMetric, IndexPredicate, IvfflatOptions, KeyOrder, Materialized, Object, Oid, OnCommit, Part,
    PartComment, RangeObject, ReferentialAction, Schema, Sequence, StoredQuery, Table, TableKind, Use, View,
    ViewColumn,
};
pub use edit::Edit;
pub use function::{Argument, Body, Function, Parallel, Returns, Volatility};
pub use hints::{ColumnHints, ReplicaIdentity};
pub use partition::{
    KeyRange, Keys, Partition, PartitionBound, PartitionIndex, Partitioning, Section, Strategy,
};
pub use version::{Catalog, Relation};

/// User objects are numbered from here up, as PostgreSQL numbers them from 16384; the first few stay free for what
/// every database has.
pub const FIRST_USER_OID: Oid = 16_400;
/// The schema every database starts with, under PostgreSQL's oid.
pub const PUBLIC_SCHEMA_OID: Oid = 2200;
/// Its name.
pub const PUBLIC_SCHEMA: &str = "public";
/// The storage that holds the catalogue itself.
pub const CATALOG_STORAGE: u64 = 0;

/// Schemas of sessions' temporary tables are called this and the session's number.
pub const TEMPORARY_SCHEMA: &str = "pg_temp_";
