//! Databases, roles, schemas, extensions, settings and sessions.

use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::databases::TEMPLATES;
use crate::sql::ddl::extension;
use crate::sql::setting_list::{Context, Kind, LIST, Setting, Unit};
use crate::sql::system::names::schema_oid;
use crate::sql::system::relation::{Relation, Rows, cells, none};
use crate::sql::system::server::report;
use crate::sql::system::types::vector_schema;
use crate::sql::system::{
    INFORMATION_SCHEMA, INFORMATION_SCHEMA_OID, OWNER, OWNER_OID, PG_CATALOG, PG_CATALOG_OID, VECTOR_VERSION,
};
use crate::types::{Interval, Value};

pub const PG_EXTENSION_OID: u32 = 3079;
/// The extension `vector`, which is always there.
pub const VECTOR_EXTENSION_OID: u32 = 16_386;
pub const VECTOR_DESCRIPTION: &str = "vector data type and hnsw access method";
pub const DEFAULT_TABLESPACE_OID: u32 = 1663;
/// pg_enc of UTF8.
const UTF8: i32 = 6;
/// Text is compared byte by byte.
const LOCALE: &str = "C.UTF-8";

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: 2615,
        schema: PG_CATALOG,
        name: "pg_namespace",
        kind: 'r',
        columns: "oid oid, nspname name, nspowner oid = 10, nspacl text[]",
        rows: namespaces,
    },
    Relation {
        oid: 1262,
        schema: PG_CATALOG,
        name: "pg_database",
        kind: 'r',
        columns: "oid oid, datname name, datdba oid = 10, encoding int4, datlocprovider char = c, \
            datistemplate bool = f, datallowconn bool = t, datconnlimit int4 = -1, datfrozenxid int8 = 0, \
            datminmxid int8 = 0, dattablespace oid, datcollate text, datctype text, daticulocale text, \
            datlocale text, daticurules text, datcollversion text, datacl text[], dathasloginevt bool = f",
        rows: databases,
    },
    Relation {
        oid: 1260,
        schema: PG_CATALOG,
        name: "pg_authid",
        kind: 'r',
        columns: "oid oid, rolname name, rolsuper bool = t, rolinherit bool = t, rolcreaterole bool = t, \
            rolcreatedb bool = t, rolcanlogin bool = t, rolreplication bool = t, rolbypassrls bool = t, \
            rolconnlimit int4 = -1, rolpassword text, rolvaliduntil timestamptz",
        rows: roles,
    },
    Relation {
        oid: 12_000,
        schema: PG_CATALOG,
        name: "pg_roles",
        kind: 'v',
        columns: "rolname name, rolsuper bool = t, rolinherit bool = t, rolcreaterole bool = t, rolcreatedb bool = t, \
            rolcanlogin bool = t, rolreplication bool = t, rolconnlimit int4 = -1, rolpassword text = ********, \
            rolvaliduntil timestamptz, rolbypassrls bool = t, rolconfig text[], oid oid",
        rows: roles,
    },
    Relation {
        oid: 12_014,
        schema: PG_CATALOG,
        name: "pg_user",
        kind: 'v',
        columns: "usename name, usesysid oid, usecreatedb bool = t, usesuper bool = t, userepl bool = t, \
            usebypassrls bool = t, passwd text = ********, valuntil timestamptz, useconfig text[]",
        rows: users,
    },
    Relation {
        oid: 12_005,
        schema: PG_CATALOG,
        name: "pg_shadow",
        kind: 'v',
        columns: "usename name, usesysid oid, usecreatedb bool = t, usesuper bool = t, userepl bool = t, \
            usebypassrls bool = t, passwd text, valuntil timestamptz, useconfig text[]",
        rows: users,
    },
    Relation {
        oid: 12_104,
        schema: PG_CATALOG,
        name: "pg_settings",
        kind: 'v',
        columns: "name text, setting text, unit text, category text, short_desc text, extra_desc text, context text, \
            vartype text, source text = default, min_val text, max_val text, enumvals text[], boot_val text, \
            reset_val text, sourcefile text, sourceline int4, pending_restart bool = f",
        rows: settings,
    },
    Relation {
        oid: 1213,
        schema: PG_CATALOG,
        name: "pg_tablespace",
        kind: 'r',
        columns: "oid oid, spcname name, spcowner oid = 10, spcacl text[], spcoptions text[]",
        rows: tablespaces,
    },
    Relation {
        oid: PG_EXTENSION_OID,
        schema: PG_CATALOG,
        name: "pg_extension",
        kind: 'r',
        columns: "oid oid, extname name, extowner oid = 10, extnamespace oid, extrelocatable bool = t, \
            extversion text, extconfig oid[], extcondition text[]",
        rows: extensions,
    },
    Relation {
        oid: 12_081,
        schema: PG_CATALOG,
        name: "pg_available_extensions",
        kind: 'v',
        columns: "name name, default_version text, installed_version text, comment text",
        rows: available_extensions,
    },
    Relation {
        oid: 12_085,
        schema: PG_CATALOG,
        name: "pg_available_extension_versions",
        kind: 'v',
        columns: "name name, version text, installed bool = t, superuser bool = f, trusted bool = t, \
            relocatable bool = t, schema name, requires name[], comment text",
        rows: available_versions,
    },
    Relation {
        oid: 12_222,
        schema: PG_CATALOG,
        name: "pg_stat_activity",
        kind: 'v',
        columns: "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, \
            application_name text, client_addr inet, client_hostname text, client_port int4, \
            backend_start timestamptz, xact_start timestamptz, query_start timestamptz, state_change timestamptz, \
            wait_event_type text, wait_event text, state text, backend_xid int8, backend_xmin int8, query_id int8, \
            query text, backend_type text",
        rows: |execution, rows| report(execution, rows, "activity"),
    },
    Relation {
        oid: 12_073,
        schema: PG_CATALOG,
        name: "pg_locks",
        kind: 'v',
        columns: "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, \
            transactionid int8, classid oid, objid oid, objsubid int2, virtualtransaction text, pid int4, mode text, \
            granted bool, fastpath bool = f, waitstart timestamptz",
        rows: |execution, rows| report(execution, rows, "locks"),
    },
    Relation {
        oid: 12_244,
        schema: PG_CATALOG,
        name: "pg_stat_progress_create_index",
        kind: 'v',
        columns: "pid int4, datid oid, datname name, relid oid, index_relid oid, command text, phase text, \
            lockers_total int8 = 0, lockers_done int8 = 0, current_locker_pid int8 = 0, blocks_total int8, \
            blocks_done int8, tuples_total int8, tuples_done int8, partitions_total int8 = 0, \
            partitions_done int8 = 0",
        rows: |execution, rows| report(execution, rows, "builds"),
    },
    Relation {
        oid: 12_077,
        schema: PG_CATALOG,
        name: "pg_cursors",
        kind: 'v',
        columns: "name text, statement text, is_holdable bool, is_binary bool = f, is_scrollable bool, \
            creation_time timestamptz",
        rows: |execution, rows| report(execution, rows, "cursors"),
    },
    Relation {
        oid: 12_095,
        schema: PG_CATALOG,
        name: "pg_prepared_statements",
        kind: 'v',
        columns: "name text, statement text, prepare_time timestamptz, parameter_types text[], \
            result_types text[], from_sql bool, generic_plans int8, custom_plans int8 = 0",
        rows: |execution, rows| report(execution, rows, "prepared_statements"),
    },
    Relation {
        oid: 2612,
        schema: PG_CATALOG,
        name: "pg_language",
        kind: 'r',
        columns: "oid oid, lanname name, lanowner oid = 10, lanispl bool = f, lanpltrusted bool = f, \
            lanplcallfoid oid = 0, laninline oid = 0, lanvalidator oid = 0, lanacl text[]",
        rows: languages,
    },
    Relation {
        oid: 2396,
        schema: PG_CATALOG,
        name: "pg_shdescription",
        kind: 'r',
        columns: "objoid oid, classoid oid, description text",
        rows: none,
    },
    Relation {
        oid: 12_126,
        schema: PG_CATALOG,
        name: "pg_timezone_names",
        kind: 'v',
        columns: "name text, abbrev text, utc_offset interval, is_dst bool = f",
        rows: timezones,
    },
];

fn namespaces(execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: PG_CATALOG_OID, nspname: PG_CATALOG });
    rows.add(cells! { oid: INFORMATION_SCHEMA_OID, nspname: INFORMATION_SCHEMA });
    for schema in execution.session.catalog().schemas() {
        rows.add(cells! { oid: schema.oid, nspname: &schema.name });
    }
    Ok(())
}

fn databases(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for (oid, name) in TEMPLATES {
        rows.add(cells! {
            oid: oid, datname: name, encoding: UTF8, dattablespace: DEFAULT_TABLESPACE_OID, datcollate: LOCALE,
            datctype: LOCALE, datistemplate: true, datallowconn: false,
        });
    }
    for (oid, name) in execution.session.databases() {
        rows.add(cells! {
            oid: oid, datname: name, encoding: UTF8, dattablespace: DEFAULT_TABLESPACE_OID, datcollate: LOCALE,
            datctype: LOCALE,
        });
    }
    Ok(())
}

fn roles(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: OWNER_OID, rolname: OWNER });
    Ok(())
}

fn users(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { usesysid: OWNER_OID, usename: OWNER });
    Ok(())
}

fn settings(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for setting in LIST {
        let (vartype, min, max, options) = bounds(setting);
        let context = match setting.context {
            Context::User => "user",
            Context::Server => "postmaster",
            Context::Internal => "internal",
        };
        let boot = setting.print(&setting.default_value());
        let now = execution.session.setting(setting.name);
        let source = if now.as_ref() == Some(&boot) { "default" } else { "session" };
        rows.add(cells! {
            name: setting.name, setting: now, unit: unit(setting), category: setting.category,
            short_desc: setting.help, context: context, vartype: vartype, source: source, min_val: min, max_val: max,
            enumvals: options, boot_val: &boot, reset_val: &boot,
        });
    }
    Ok(())
}

/// vartype, min_val, max_val, enumvals.
fn bounds(setting: &Setting) -> (&'static str, Option<String>, Option<String>, Option<Vec<Value>>) {
    match &setting.kind {
        Kind::Bool(_) => ("bool", None, None, None),
        Kind::Int { min, max, .. } => ("integer", Some(min.to_string()), Some(max.to_string()), None),
        Kind::Real { min, max, .. } => ("real", Some(min.to_string()), Some(max.to_string()), None),
        Kind::Enum { options, .. } => {
            ("enum", None, None, Some(options.iter().map(|&option| Value::from(option)).collect()))
        }
        Kind::Text { .. } => ("string", None, None, None),
    }
}

fn unit(setting: &Setting) -> Option<&'static str> {
    match &setting.kind {
        Kind::Int { unit: Unit::Milliseconds, .. } => Some("ms"),
        Kind::Int { unit: Unit::Seconds, .. } => Some("s"),
        Kind::Int { unit: Unit::Kilobytes, .. } => Some("kB"),
        _ => None,
    }
}

fn tablespaces(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: DEFAULT_TABLESPACE_OID, spcname: "pg_default" });
    rows.add(cells! { oid: 1664u32, spcname: "pg_global" });
    Ok(())
}

fn extensions(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let schema = vector_schema(&execution.session.catalog());
    rows.add(cells! {
        oid: VECTOR_EXTENSION_OID, extname: "vector", extnamespace: schema,
        extversion: VECTOR_VERSION,
    });
    let catalog = execution.session.catalog();
    for extension in catalog.extensions() {
        rows.add(cells! {
            oid: extension.oid, extname: &extension.name, extnamespace: schema_oid(&catalog, &extension.schema),
            extversion: &extension.version,
        });
    }
    Ok(())
}

fn available_extensions(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for of in &extension::AVAILABLE {
        let created = catalog.extension_named(of.name).map(|extension| extension.version.clone());
        rows.add(cells! {
            name: of.name, default_version: of.version, installed_version: created, comment: of.comment,
        });
    }
    rows.add(cells! {
        name: "vector", default_version: VECTOR_VERSION, installed_version: VECTOR_VERSION, comment: VECTOR_DESCRIPTION,
    });
    Ok(())
}

fn available_versions(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for of in &extension::AVAILABLE {
        let installed = catalog.extension_named(of.name).is_some();
        rows.add(cells! { name: of.name, version: of.version, installed: installed, comment: of.comment });
    }
    rows.add(cells! { name: "vector", version: VECTOR_VERSION, comment: VECTOR_DESCRIPTION });
    Ok(())
}

fn languages(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: 12u32, lanname: "internal" });
    rows.add(cells! { oid: 13u32, lanname: "c" });
    rows.add(cells! { oid: 14u32, lanname: "sql", lanpltrusted: true });
    Ok(())
}

fn timezones(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    for name in ["UTC", "GMT", "Etc/UTC"] {
        let none = Interval { months: 0, days: 0, microseconds: 0 };
        rows.add(cells! { name: name, abbrev: "UTC", utc_offset: none });
    }
    Ok(())
}
