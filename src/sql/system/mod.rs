//! The system catalogue: what clients ask about the database, as tables and functions.
//!
//! psql's backslash commands, drivers and ORMs read `pg_catalog` and `information_schema`; here both are computed
//! from the catalogue of the running transaction, so a plan over them can be kept like any other.
//!
//! ```text
//!   relation.rs      a system relation: columns as text, rows as a function of the execution
//!   relations.rs     tables, columns, indexes, constraints, sequences, and how they depend on each other
//!   types.rs         types, casts, operators, access methods
//!   routines.rs      functions by name, for \df and tab completion
//!   own_functions.rs those that CREATE FUNCTION made
//!   cluster.rs       databases, roles, schemas, extensions, settings, sessions
//!   convenience.rs   pg_tables, pg_indexes, statistics views
//!   large_objects.rs large objects, as long as there are none
//!   server.rs        the server's scrub, archive and storage
//!   information.rs   information_schema
//!   input_checks.rs whether a text is one of a type
//!   keywords.rs      the words of the grammar
//!   empty.rs         relations of things that do not exist here: triggers, rules, publications ...
//!   names.rs         objects by name and oid, visibility, quoting
//!   definitions.rs   indexes and constraints as SQL text
//!   deparse.rs       expressions as PostgreSQL shows them
//!   descriptions.rs  what COMMENT ON said
//!   functions.rs     format_type(), pg_get_indexdef(), pg_table_is_visible() ...
//!   rewrite.rs       spellings of catalogue queries that the planner does not know
//! ```
//!
//! Whatever PostgreSQL's catalogue says about features that are not here is said as their absence: no rows.

mod calls;
mod cluster;
mod convenience;
mod definitions;
mod deparse;
mod descriptions;
mod empty;
mod functions;
mod information;
mod input_checks;
mod keywords;
mod large_objects;
mod names;
mod own_functions;
mod partitions;
pub mod relation;
mod relations;
pub mod rewrite;
mod routines;
mod sequence;
mod server;
#[cfg(test)]
mod tests;
mod types;
mod view_columns;
mod zones;

pub(crate) use definitions::{index_definition, is_hidden};
pub(crate) use large_objects::stored;
pub(crate) use names::{qualified, quote_ident};
pub(crate) use partitions::shown_bound;
pub(crate) use routines::by_oid as function_by_oid;
pub(crate) use sequence::SequenceTable;
pub(crate) use types::{check_opclass, collation, is_default_opclass, opclass_oid, storage};

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use crate::planner::system::{SystemCatalog, SystemTable};
use crate::sql::timings;
use relation::{Relation, View};

/// The role that owns everything; PostgreSQL's BOOTSTRAP_SUPERUSERID.
pub(in crate::sql) const OWNER_OID: u32 = 10;
const OWNER: &str = "postgres";
/// Schemas that exist without being created.
const PG_CATALOG_OID: u32 = 11;
pub const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA_OID: u32 = 13_222;
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// What only Hither can tell: `hither.timings` and its like. Catalogues do not list this schema, so that dumps and
/// schema comparisons see nothing that PostgreSQL would not have.
pub const HITHER: &str = "hither";
/// Our version of pgvector's dialect, as CREATE EXTENSION reports it.
const VECTOR_VERSION: &str = "0.8.1";

/// All system relations by schema and name.
static VIEWS: LazyLock<BTreeMap<(&'static str, &'static str), Arc<View>>> = LazyLock::new(|| {
    let lists: [&'static [Relation]; 12] = [
        relations::RELATIONS,
        types::RELATIONS,
        routines::RELATIONS,
        cluster::RELATIONS,
        convenience::RELATIONS,
        information::RELATIONS,
        empty::RELATIONS,
        keywords::RELATIONS,
        large_objects::RELATIONS,
        server::RELATIONS,
        zones::RELATIONS,
        timings::RELATIONS,
    ];
    let all = lists.into_iter().flatten();
    all.map(|relation| ((relation.schema, relation.name), Arc::new(View::new(relation)))).collect()
});

/// The system relations that catalogues list.
fn listed_views() -> impl Iterator<Item = &'static Arc<View>> {
    VIEWS.values().filter(|view| view.relation.schema != HITHER)
}

/// The system catalogue as the planner asks for it.
pub struct System;

impl SystemCatalog for System {
    fn table(&self, schema: &str, name: &str) -> Option<Arc<dyn SystemTable>> {
        let view = VIEWS.get(&(schema, name))?;
        Some(Arc::clone(view) as Arc<dyn SystemTable>)
    }

    fn functions(&self) -> Vec<Arc<ScalarUDF>> {
        functions::all()
    }
}
