//! Where large objects are kept: three tables of the system, made when a database gets its first one.
//!
//! ```text
//!   pg_largeobject_metadata      oid, owner, privileges        unique: oid
//!   pg_largeobject               loid, pageno, data            unique: loid, pageno
//!   pg_largeobject_description   loid, description             unique: loid       COMMENT ON LARGE OBJECT
//! ```
//!
//! The first two are PostgreSQL's, with its oids. Pages are of [`PAGE_BYTES`] bytes; a page that is missing, and what is
//! missing at the end of one that is not the last, reads as zeros. The descriptions are rows of pg_description there.
//! Statements read the tables as relations of pg_catalog, and change them by the functions of large objects alone.

use crate::catalog::definition::{Column, Index, Object, Oid, Table};
use crate::catalog::edit::Edit;
use crate::error::{Error, SqlState};
use crate::types::Type;

/// pg_largeobject_metadata.
pub const OBJECTS: Oid = 2995;
/// Its unique index.
pub const OBJECTS_INDEX: Oid = 2996;
/// pg_largeobject.
pub const PAGES: Oid = 2613;
/// Its unique index.
pub const PAGES_INDEX: Oid = 2683;
/// What is said about large objects. PostgreSQL has no such table.
pub const DESCRIPTIONS: Oid = 16_384;
/// Its unique index.
pub const DESCRIPTIONS_INDEX: Oid = 16_385;

/// Who owns every large object: the one role there is.
pub const OWNER: Oid = 10;
/// The lock under which the tables are made.
pub const NAMES_LOCK: &[u8] = b"large objects";

/// PostgreSQL's LOBLKSIZE for blocks of 8 KiB.
pub const PAGE_BYTES: usize = 2048;
/// The most bytes of a large object, PostgreSQL's MAX_LARGE_OBJECT_SIZE: pages are numbered by an int4.
pub const BYTES_MAX: i64 = i32::MAX as i64 * PAGE_BYTES as i64;
/// The most bytes that one call reads, as in PostgreSQL, whose values are no longer than a GiB.
pub const READ_MAX: usize = (1 << 30) - 1 - 4;

/// The refusal to read more.
pub fn too_large() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "large object read request is too large")
}

/// The tables with their indexes. `storage` gives each of them its files.
pub fn definitions(mut storage: impl FnMut() -> u64) -> Vec<Edit> {
    let mut made = |oid, name: &str, columns: Vec<Column>, index: Index| {
        let table = Table {
            oid,
            schema: "pg_catalog".into(),
            name: name.into(),
            storage: storage(),
            columns,
            ..Table::default()
        };
        [Edit::Put(Object::Table(table)), Edit::Put(Object::Index(index))]
    };
    let objects = made(
        OBJECTS,
        "pg_largeobject_metadata",
        vec![
            column(1, "oid", Type::Oid),
            column(2, "lomowner", Type::Oid),
            Column { not_null: false, ..column(3, "lomacl", Type::Array(Box::new(Type::Text))) },
        ],
        index(OBJECTS_INDEX, "pg_largeobject_metadata_oid_index", OBJECTS, &[1]),
    );
    let pages = made(
        PAGES,
        "pg_largeobject",
        vec![column(1, "loid", Type::Oid), column(2, "pageno", Type::Int4), column(3, "data", Type::Bytea)],
        index(PAGES_INDEX, "pg_largeobject_loid_pn_index", PAGES, &[1, 2]),
    );
    let descriptions = made(
        DESCRIPTIONS,
        "pg_largeobject_description",
        vec![column(1, "loid", Type::Oid), column(2, "description", Type::Text)],
        index(DESCRIPTIONS_INDEX, "pg_largeobject_description_loid_index", DESCRIPTIONS, &[1]),
    );
    objects.into_iter().chain(pages).chain(descriptions).collect()
}

/// Rows are found by the unique keys; metadata indexes of every page would only take memory.
fn column(number: u16, name: &str, ty: Type) -> Column {
    Column { not_null: true, metadata_index: false, ..Column::new(number, name, ty) }
}

fn index(oid: Oid, name: &str, table: Oid, columns: &[u16]) -> Index {
    Index { oid, name: name.into(), table, columns: columns.to_vec(), unique: true, ..Index::default() }
}
