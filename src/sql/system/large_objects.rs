//! pg_largeobject and pg_largeobject_metadata: as long as they are not made, which the first large object does.
//!
//! Then the tables themselves are read in their place, so that a query of many pages takes no more memory than one of any
//! table.

use std::sync::Arc;

use crate::catalog::large_objects::{OBJECTS, PAGES};
use crate::catalog::{Catalog, Table};
use crate::sql::system::relation::{Relation, none};
use crate::sql::system::{PG_CATALOG, VIEWS};

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: OBJECTS,
        schema: PG_CATALOG,
        name: "pg_largeobject_metadata",
        kind: 'r',
        columns: "oid oid, lomowner oid, lomacl text[]",
        rows: none,
    },
    Relation {
        oid: PAGES,
        schema: PG_CATALOG,
        name: "pg_largeobject",
        kind: 'r',
        columns: "loid oid, pageno int4, data bytea",
        rows: none,
    },
];

/// The table that holds the rows of a relation of the system.
pub fn stored<'c>(catalog: &'c Catalog, schema: &str, name: &str) -> Option<&'c Arc<Table>> {
    let table = catalog.system_table(schema, name)?;
    VIEWS.contains_key(&(schema, name)).then_some(table)
}
