//! What calls functions that users made, and what else needs them: rows of pg_depend, by which a dump is put in order.
//!
//! The bodies of functions are not looked into. PostgreSQL looks into those of RETURN and BEGIN ATOMIC.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, ConstraintKind, Oid, Returns};
use crate::sql::routines::called_in;
use crate::sql::system::definitions::is_hidden;
use crate::sql::system::relation::{Rows, cells};
use crate::sql::system::relations::{PG_ATTRDEF_OID, PG_CLASS_OID, PG_CONSTRAINT_OID, default_oid};
use crate::sql::system::routines::PG_PROC_OID;
use crate::sql::system::types::{PG_TYPE_OID, row_type_oid};

/// Defaults, generated columns, conditions, indexes, domains and defaults of arguments that call functions, and functions
/// whose results are the rows of a table.
pub fn dependencies(catalog: &Catalog, rows: &mut Rows) {
    if catalog.functions().next().is_none() {
        return;
    }
    // Names are stored as they were written, and whoever asks has another search path than whoever will call.
    let mut schemas: Vec<String> = catalog.schemas().map(|schema| schema.name.clone()).collect();
    schemas.sort_by_key(|name| name != "public");
    let mut add = |class: Oid, object: Oid, sql: &str| {
        let called = called_in(sql, catalog, &schemas).unwrap_or_default();
        let called: BTreeSet<Oid> = called.iter().map(|function| function.oid).collect();
        for function in called.into_iter().filter(|function| *function != object) {
            rows.add(cells! {
                classid: class, objid: object, refclassid: PG_PROC_OID, refobjid: function, deptype: 'n',
            });
        }
    };
    for table in catalog.tables_and_parts() {
        for column in &table.columns {
            let default = default_oid(table.known_as(), column.number);
            let sql = column.generated.as_ref().map(|generated| &generated.sql);
            sql.or(column.default.as_ref().map(|default| &default.sql))
                .into_iter()
                .for_each(|sql| add(PG_ATTRDEF_OID, default, sql));
        }
        for constraint in &table.constraints {
            if let ConstraintKind::Check { sql } = &constraint.kind {
                add(PG_CONSTRAINT_OID, constraint.oid, sql);
            }
        }
    }
    for index in catalog.indexes_and_parts() {
        let Some(table) = catalog.rows_by_oid(index.table) else { continue };
        let hidden = index.columns.iter().filter(|number| is_hidden(table, **number));
        let expressions = hidden.filter_map(|number| table.column_number(*number)?.generated.as_ref());
        let predicate = index.predicate.iter().map(|predicate| &predicate.sql);
        expressions
            .map(|generated| &generated.sql)
            .chain(predicate)
            .for_each(|sql| add(PG_CLASS_OID, index.oid, sql));
    }
    for domain in catalog.domains() {
        domain.default.iter().for_each(|default| add(PG_TYPE_OID, domain.oid, &default.sql));
        domain.checks.iter().for_each(|check| add(PG_CONSTRAINT_OID, check.oid, &check.sql));
    }
    for function in catalog.functions() {
        let defaults = function.arguments.iter().filter_map(|argument| argument.default.as_deref());
        defaults.for_each(|sql| add(PG_PROC_OID, function.oid, sql));
    }
    for function in catalog.functions() {
        if let Returns::SetOfRows(table) = function.returns {
            rows.add(cells! {
                classid: PG_PROC_OID, objid: function.oid, refclassid: PG_TYPE_OID,
                refobjid: row_type_oid(table), deptype: 'n',
            });
        }
    }
}
