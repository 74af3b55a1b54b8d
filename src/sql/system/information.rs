//! information_schema: the standard's view of tables, columns and constraints.

use crate::catalog::{
    Catalog, Column, ConstraintKind, Deferral, Domain, Identity, PUBLIC_SCHEMA, Sequence, Table,
};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::dml::through_view::changeable_columns;
use crate::sql::system::relation::{Relation, Rows, cells, none};
use crate::sql::system::{INFORMATION_SCHEMA, OWNER, PG_CATALOG, listed_views, partitions};
use crate::types::{RangeType, Type, Value};

macro_rules! relation {
    ($oid:literal, $name:literal, $columns:literal, $rows:expr) => {
        Relation {
            oid: $oid,
            schema: INFORMATION_SCHEMA,
            name: $name,
            kind: 'v',
            columns: $columns,
            rows: $rows,
        }
    };
}

pub const RELATIONS: &[Relation] = &[
    relation!(
        13_425,
        "tables",
        "table_catalog name, table_schema name, table_name name, table_type varchar, self_referencing_column_name name, \
            reference_generation varchar, user_defined_type_catalog name, user_defined_type_schema name, \
            user_defined_type_name name, is_insertable_into varchar(3), is_typed varchar(3) = NO, commit_action varchar",
        tables
    ),
    relation!(
        13_295,
        "columns",
        "table_catalog name, table_schema name, table_name name, column_name name, ordinal_position int4, \
            column_default varchar, is_nullable varchar(3), data_type varchar, character_maximum_length int4, \
            character_octet_length int4, numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, \
            datetime_precision int4, interval_type varchar, interval_precision int4, character_set_catalog name, \
            character_set_schema name, character_set_name name, collation_catalog name, collation_schema name, \
            collation_name name, domain_catalog name, domain_schema name, domain_name name, udt_catalog name, \
            udt_schema name, udt_name name, scope_catalog name, scope_schema name, scope_name name, \
            maximum_cardinality int4, dtd_identifier name, is_self_referencing varchar(3) = NO, is_identity varchar(3) = NO, \
            identity_generation varchar, identity_start varchar, identity_increment varchar, identity_maximum varchar, \
            identity_minimum varchar, identity_cycle varchar(3) = NO, is_generated varchar = NEVER, generation_expression varchar, \
            is_updatable varchar(3) = YES",
        columns
    ),
    relation!(
        13_382,
        "schemata",
        "catalog_name name, schema_name name, schema_owner name = postgres, default_character_set_catalog name, \
            default_character_set_schema name, default_character_set_name name, sql_path varchar",
        schemata
    ),
    relation!(
        13_411,
        "table_constraints",
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, \
            table_schema name, table_name name, constraint_type varchar, is_deferrable varchar(3) = NO, \
            initially_deferred varchar(3) = NO, enforced varchar(3) = YES, nulls_distinct varchar(3)",
        table_constraints
    ),
    relation!(
        13_329,
        "key_column_usage",
        "constraint_catalog name, constraint_schema name, constraint_name name, table_catalog name, \
            table_schema name, table_name name, column_name name, ordinal_position int4, \
            position_in_unique_constraint int4",
        key_columns
    ),
    relation!(
        13_300,
        "constraint_column_usage",
        "table_catalog name, table_schema name, table_name name, column_name name, constraint_catalog name, \
            constraint_schema name, constraint_name name",
        constraint_columns
    ),
    relation!(
        13_260,
        "check_constraints",
        "constraint_catalog name, constraint_schema name, constraint_name name, check_clause varchar",
        checks
    ),
    relation!(
        13_319,
        "column_domain_usage",
        "domain_catalog name, domain_schema name, domain_name name, table_catalog name, table_schema name, \
            table_name name, column_name name",
        column_domain_usage
    ),
    relation!(
        13_350,
        "domain_constraints",
        "constraint_catalog name, constraint_schema name, constraint_name name, domain_catalog name, \
            domain_schema name, domain_name name, is_deferrable varchar(3) = NO, initially_deferred varchar(3) = NO",
        domain_constraints
    ),
    relation!(
        13_356,
        "domains",
        "domain_catalog name, domain_schema name, domain_name name, data_type varchar, character_maximum_length int4, \
            character_octet_length int4, numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, \
            datetime_precision int4, interval_type varchar, interval_precision int4, domain_default varchar, udt_catalog name, udt_schema name, udt_name name, \
            dtd_identifier name",
        domains
    ),
    relation!(
        13_386,
        "sequences",
        "sequence_catalog name, sequence_schema name, sequence_name name, data_type varchar, numeric_precision int4, \
            numeric_precision_radix int4 = 2, numeric_scale int4 = 0, start_value varchar, minimum_value varchar, \
            maximum_value varchar, increment varchar, cycle_option varchar(3)",
        sequences
    ),
    relation!(
        13_339,
        "referential_constraints",
        "constraint_catalog name, constraint_schema name, constraint_name name, unique_constraint_catalog name, \
            unique_constraint_schema name, unique_constraint_name name, match_option varchar, update_rule varchar, \
            delete_rule varchar",
        references
    ),
    relation!(
        13_483,
        "views",
        "table_catalog name, table_schema name, table_name name, view_definition varchar, check_option varchar, \
            is_updatable varchar(3), is_insertable_into varchar(3), is_trigger_updatable varchar(3), is_trigger_deletable varchar(3), \
            is_trigger_insertable_into varchar(3)",
        views
    ),
    relation!(
        13_421,
        "role_table_grants",
        "grantor name, grantee name, table_catalog name, table_schema name, table_name name, privilege_type varchar, \
            is_grantable varchar(3) = YES, with_hierarchy varchar(3)",
        table_grants
    ),
    relation!(
        13_407,
        "table_privileges",
        "grantor name, grantee name, table_catalog name, table_schema name, table_name name, privilege_type varchar, \
            is_grantable varchar(3) = YES, with_hierarchy varchar(3)",
        table_grants
    ),
    relation!(
        13_377,
        "routines",
        "specific_catalog name, specific_schema name, specific_name name, routine_catalog name, routine_schema name, \
            routine_name name, routine_type varchar, data_type varchar, routine_definition varchar, external_language varchar",
        none
    ),
    relation!(
        13_429,
        "triggers",
        "trigger_catalog name, trigger_schema name, trigger_name name, event_manipulation varchar, \
            event_object_catalog name, event_object_schema name, event_object_table name, action_order int4, \
            action_condition varchar, action_statement varchar, action_orientation varchar, action_timing varchar",
        none
    ),
    relation!(13_246, "information_schema_catalog_name", "catalog_name name", catalog_name),
];

fn yes(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn catalog_name(execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { catalog_name: execution.session.database() });
    Ok(())
}

fn tables(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in catalog.tables_and_parts().filter(|table| table.materialized.is_none()) {
        rows.add(cells! {
            table_catalog: &database, table_schema: &table.schema, table_name: &table.name,
            table_type: if table.temporary.is_some() { "LOCAL TEMPORARY" } else { "BASE TABLE" },
            is_insertable_into: "YES",
        });
    }
    for view in catalog.views() {
        let changeable = yes(changeable_columns(view, &catalog).is_some());
        rows.add(cells! {
            table_catalog: &database, table_schema: &view.schema, table_name: &view.name, table_type: "VIEW",
            is_insertable_into: changeable,
        });
    }
    for view in listed_views() {
        let kind = if view.relation.kind == 'r' { "BASE TABLE" } else { "VIEW" };
        rows.add(cells! {
            table_catalog: &database, table_schema: view.relation.schema, table_name: view.relation.name,
            table_type: kind, is_insertable_into: "NO",
        });
    }
    Ok(())
}

fn columns(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in catalog.tables_and_parts().filter(|table| table.materialized.is_none()) {
        for column in &table.columns {
            let (generation, default) = match column.identity {
                Some(Identity::Always) => (Some("ALWAYS"), None),
                Some(Identity::ByDefault) => (Some("BY DEFAULT"), None),
                None => (None, super::relations::shown_default(execution, table, column)),
            };
            let sequence = column.sequence.filter(|_| column.identity.is_some());
            let sequence = sequence.and_then(|oid| catalog.sequences().find(|sequence| sequence.oid == oid));
            let of_sequence =
                |part: fn(&Sequence) -> i64| sequence.map(|sequence| part(sequence).to_string());
            let domain = catalog.domain_of(column);
            let collation = super::types::collation_name(column);
            let own = cells! {
                table_schema: &table.schema, table_name: &table.name, column_name: &column.name,
                ordinal_position: i32::from(column.number), column_default: default,
                is_nullable: yes(!column.not_null && !domain.is_some_and(|domain| domain.not_null)),
                domain_catalog: domain.map(|_| database.clone()), domain_schema: domain.map(|d| d.schema.clone()),
                domain_name: domain.map(|d| d.name.clone()), collation_catalog: collation.map(|_| database.clone()),
                collation_schema: collation.map(|_| PG_CATALOG), collation_name: collation,
                is_identity: yes(column.identity.is_some()),
                identity_generation: generation, identity_start: of_sequence(|s| s.start),
                identity_increment: of_sequence(|s| s.increment), identity_maximum: of_sequence(|s| s.max),
                identity_minimum: of_sequence(|s| s.min),
                identity_cycle: yes(sequence.is_some_and(|sequence| sequence.cycle)),
                is_generated: if column.generated.is_some() { "ALWAYS" } else { "NEVER" },
                generation_expression: column.generated.as_ref().map(|generated| {
                    super::deparse::expression(&generated.sql, table, false)
                }),
            };
            let of_type = match domain {
                Some(domain) => domain_cells(&database, &catalog, domain, column.number),
                None => type_cells(&database, &catalog, &column.ty, column.number),
            };
            rows.add(own.into_iter().chain(of_type));
        }
    }
    let catalog = execution.session.catalog();
    for view in catalog.views() {
        let changeable = changeable_columns(view, &catalog).unwrap_or_default();
        for (place, column) in view.columns.iter().enumerate() {
            let number = place as u16 + 1;
            let default = view.defaults.iter().find(|(known, _)| *known == number);
            let default =
                default.and_then(|(_, default)| super::relations::view_default(view, number, default));
            let own = cells! {
                table_schema: &view.schema, table_name: &view.name, column_name: &column.name,
                ordinal_position: i32::from(number), is_nullable: "YES", column_default: default,
                is_updatable: yes(changeable.get(place) == Some(&true)),
            };
            rows.add(own.into_iter().chain(type_cells(&database, &catalog, &column.ty, number)));
        }
    }
    for view in listed_views() {
        for (place, column) in view.columns.iter().enumerate() {
            let number = place as u16 + 1;
            let own = cells! {
                table_schema: view.relation.schema, table_name: view.relation.name, column_name: &column.name,
                ordinal_position: i32::from(number), is_nullable: "YES", is_updatable: "NO",
            };
            rows.add(own.into_iter().chain(type_cells(&database, &catalog, &column.ty, number)));
        }
    }
    Ok(())
}

fn domains(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let (database, catalog) = (execution.session.database(), execution.session.catalog());
    for domain in catalog.domains() {
        let own = cells! {
            domain_catalog: &database, domain_schema: &domain.schema, domain_name: &domain.name,
            domain_default: domain.default.as_ref().map(|d| super::deparse::domain_default(&d.sql, &domain.base)),
        };
        let mut of_type = domain_cells(&database, &catalog, domain, 1);
        // Where columns of it say ARRAY, this names the type.
        for (_, value) in
            of_type.iter_mut().filter(|(cell, value)| *cell == "data_type" && *value == Value::from("ARRAY"))
        {
            *value = domain.base.standard_name().into();
        }
        let of_type = of_type.into_iter();
        rows.add(own.into_iter().chain(of_type.filter(|(column, _)| *column != "table_catalog")));
    }
    Ok(())
}

fn domain_constraints(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    for domain in execution.session.catalog().domains() {
        for check in &domain.checks {
            rows.add(cells! {
                constraint_catalog: &database, constraint_schema: &domain.schema, constraint_name: &check.name,
                domain_catalog: &database, domain_schema: &domain.schema, domain_name: &domain.name,
            });
        }
    }
    Ok(())
}

fn column_domain_usage(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let (database, catalog) = (execution.session.database(), execution.session.catalog());
    for table in catalog.tables_and_parts() {
        for column in &table.columns {
            let Some(domain) = catalog.domain_of(column) else { continue };
            rows.add(cells! {
                domain_catalog: &database, domain_schema: &domain.schema, domain_name: &domain.name,
                table_catalog: &database, table_schema: &table.schema, table_name: &table.name,
                column_name: &column.name,
            });
        }
    }
    Ok(())
}

/// What is said of the type that a domain is over; nothing but its name where that is a domain.
fn domain_cells(
    database: &str,
    catalog: &Catalog,
    domain: &Domain,
    number: u16,
) -> Vec<(&'static str, Value)> {
    match catalog.parent_of(domain) {
        None => type_cells(database, catalog, &domain.base, number),
        Some(parent) => cells! {
            table_catalog: database, data_type: "USER-DEFINED", udt_catalog: database, udt_schema: &parent.schema,
            udt_name: &parent.name, dtd_identifier: number.to_string(),
        }
        .to_vec(),
    }
}

/// What columns say about their type, and the database they are in.
fn type_cells(database: &str, catalog: &Catalog, ty: &Type, number: u16) -> Vec<(&'static str, Value)> {
    let item = ty.element();
    let created = item.extension().and_then(|extension| catalog.extension_named(extension));
    let schema = match (item, created) {
        (Type::Enum(of), _) => of.schema.as_str(),
        (Type::Composite(of), _) => of.schema.as_str(),
        (Type::Range(RangeType::Own(of)), _) => of.schema.as_str(),
        (Type::Multirange(RangeType::Own(of)), _) => of.multirange_schema.as_str(),
        (_, Some(extension)) => extension.schema.as_str(),
        (item, _) if item.is_pgvectors() && catalog.schema(PUBLIC_SCHEMA).is_some() => PUBLIC_SCHEMA,
        _ => PG_CATALOG,
    };
    let data_type = match ty {
        Type::Array(_) => "ARRAY".to_owned(),
        Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_) | Type::Enum(_) | Type::Composite(_) => {
            "USER-DEFINED".to_owned()
        }
        Type::Range(RangeType::Own(_)) | Type::Multirange(RangeType::Own(_)) => "USER-DEFINED".to_owned(),
        ty if ty.extension().is_some() => "USER-DEFINED".to_owned(),
        Type::Bit(_) => "bit".to_owned(),
        other => other.standard_name(),
    };
    let mut cells = cells! {
        table_catalog: database, data_type: data_type, udt_catalog: database,
        udt_schema: schema, udt_name: ty.catalog_name(),
        dtd_identifier: number.to_string(),
    }
    .to_vec();
    cells.extend(match ty {
        Type::Varchar(length) | Type::Bpchar(length) => cells! {
            character_maximum_length: length.map(|n| n as i32),
            character_octet_length: length.map_or(1 << 30, |n| 4 * n as i32),
        }
        .to_vec(),
        Type::Bit(length) | Type::Varbit(length) => {
            cells! { character_maximum_length: length.map(|n| n as i32) }.to_vec()
        }
        Type::Text => cells! { character_octet_length: 1i32 << 30 }.to_vec(),
        Type::Int2 => number_cells(16, 2, Some(0)),
        Type::Int4 => number_cells(32, 2, Some(0)),
        Type::Int8 => number_cells(64, 2, Some(0)),
        Type::Float4 => number_cells(24, 2, None),
        Type::Float8 => number_cells(53, 2, None),
        Type::Numeric(Some((precision, scale))) => {
            number_cells(i32::from(*precision), 10, Some(i32::from(*scale)))
        }
        Type::Numeric(None) => cells! { numeric_precision_radix: 10i32 }.to_vec(),
        Type::Date => cells! { datetime_precision: 0i32 }.to_vec(),
        Type::Time(digits) | Type::Timetz(digits) | Type::Timestamp(digits) | Type::Timestamptz(digits) => {
            cells! { datetime_precision: digits.map_or(6, i32::from) }.to_vec()
        }
        Type::Interval(limits) => {
            let shown = limits.map(|limits| limits.to_string().to_uppercase());
            let fields = shown.as_ref().and_then(|shown| shown.strip_prefix("INTERVAL "));
            let digits = limits.and_then(|limits| limits.digits).map_or(6, i32::from);
            cells! { datetime_precision: digits, interval_type: fields.map(str::to_owned) }.to_vec()
        }
        _ => Vec::new(),
    });
    cells
}

fn number_cells(precision: i32, radix: i32, scale: Option<i32>) -> Vec<(&'static str, Value)> {
    cells! { numeric_precision: precision, numeric_precision_radix: radix, numeric_scale: scale }.to_vec()
}

fn views(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for view in catalog.views() {
        let changeable = yes(changeable_columns(view, &catalog).is_some());
        rows.add(cells! {
            table_catalog: &database, table_schema: &view.schema, table_name: &view.name,
            view_definition: super::definitions::view_definition(view.oid, execution), check_option: "NONE",
            is_updatable: changeable, is_insertable_into: changeable, is_trigger_updatable: "NO", is_trigger_deletable: "NO",
            is_trigger_insertable_into: "NO",
        });
    }
    Ok(())
}

fn schemata(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    let system = [INFORMATION_SCHEMA, PG_CATALOG].into_iter();
    for name in system.chain(catalog.schemas().map(|schema| schema.name.as_str())) {
        rows.add(cells! { catalog_name: &database, schema_name: name, schema_owner: OWNER });
    }
    Ok(())
}

fn table_constraints(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in partitions::tables(&catalog) {
        let mut add = |name: &str, kind: &str, distinct: Option<&str>, deferral: Deferral| {
            rows.add(cells! {
                is_deferrable: yes(deferral != Deferral::Never),
                initially_deferred: yes(deferral == Deferral::Initially),
                constraint_catalog: &database, constraint_schema: &table.schema, constraint_name: name,
                table_catalog: &database, table_schema: &table.schema, table_name: &table.name,
                constraint_type: kind, nulls_distinct: distinct,
            });
        };
        for constraint in &table.constraints {
            match constraint.kind {
                ConstraintKind::PrimaryKey { .. } => {
                    add(&constraint.name, "PRIMARY KEY", None, constraint.deferral)
                }
                ConstraintKind::Unique { nulls_equal, .. } => {
                    let distinct = if nulls_equal { "NO" } else { "YES" };
                    add(&constraint.name, "UNIQUE", Some(distinct), constraint.deferral)
                }
                ConstraintKind::Check { .. } => add(&constraint.name, "CHECK", None, Deferral::Never),
                ConstraintKind::ForeignKey(ref key) => {
                    add(&constraint.name, "FOREIGN KEY", None, key.deferral)
                }
                ConstraintKind::NotNull { .. } => {}
            }
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            add(&not_null_name(&table, column), "CHECK", None, Deferral::Never);
        }
    }
    Ok(())
}

/// PostgreSQL up to 17 makes up a name for each NOT NULL here.
fn not_null_name(table: &Table, column: &Column) -> String {
    format!("{}_{}_{}_not_null", crate::catalog::PUBLIC_SCHEMA_OID, table.known_as(), column.number)
}

/// What the owner of a relation may do with it.
fn table_grants(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    let tables = catalog.tables_and_parts().filter(|table| table.materialized.is_none());
    let tables = tables.map(|table| (&table.schema, &table.name));
    for (schema, name) in tables.chain(catalog.views().map(|view| (&view.schema, &view.name))) {
        for privilege in ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
            rows.add(cells! {
                grantor: OWNER, grantee: OWNER, table_catalog: &database, table_schema: schema, table_name: name,
                privilege_type: privilege, with_hierarchy: yes(privilege == "SELECT"),
            });
        }
    }
    Ok(())
}

fn references(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in partitions::tables(&catalog) {
        for (constraint, key) in table.foreign_keys() {
            let index = catalog.unique_index_on(key.table, &key.referenced);
            let parent = catalog.table_by_oid(key.table);
            let unique = index.and_then(|index| Some(parent?.constraint(index.constraint?)?.name.as_str()));
            rows.add(cells! {
                constraint_catalog: &database, constraint_schema: &table.schema, constraint_name: &constraint.name,
                unique_constraint_catalog: unique.map(|_| database.clone()),
                unique_constraint_schema: unique.and(parent).map(|parent| parent.schema.clone()),
                unique_constraint_name: unique.map(str::to_owned), match_option: if key.full { "FULL" } else { "NONE" },
                update_rule: key.on_update.sql(), delete_rule: key.on_delete.sql(),
            });
        }
    }
    Ok(())
}

/// Columns of primary keys and unique constraints: (constraint, column, place from 1).
fn key_parts(table: &Table) -> Vec<(&str, &str, i32)> {
    let mut parts = Vec::new();
    for constraint in &table.constraints {
        if let ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns, .. } =
            &constraint.kind
        {
            let named = columns.iter().filter_map(|&number| table.column_number(number));
            parts.extend(
                named.zip(1..).map(|(column, place)| (constraint.name.as_str(), column.name.as_str(), place)),
            );
        }
    }
    parts
}

fn key_columns(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in partitions::tables(&catalog) {
        for (constraint, column, place) in key_parts(&table) {
            rows.add(cells! {
                constraint_catalog: &database, constraint_schema: &table.schema, constraint_name: constraint,
                table_catalog: &database, table_schema: &table.schema, table_name: &table.name, column_name: column,
                ordinal_position: place,
            });
        }
        for (constraint, key) in table.foreign_keys() {
            let index = catalog.unique_index_on(key.table, &key.referenced);
            for (place, (number, referenced)) in key.columns.iter().zip(&key.referenced).enumerate() {
                let Some(column) = table.column_number(*number) else { continue };
                let unique = index.and_then(|index| index.columns.iter().position(|c| c == referenced));
                rows.add(cells! {
                    constraint_catalog: &database, constraint_schema: &table.schema,
                    constraint_name: &constraint.name, table_catalog: &database, table_schema: &table.schema,
                    table_name: &table.name, column_name: &column.name, ordinal_position: place as i32 + 1,
                    position_in_unique_constraint: unique.map(|place| place as i32 + 1),
                });
            }
        }
    }
    Ok(())
}

fn constraint_columns(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in partitions::tables(&catalog) {
        for (constraint, column, _) in key_parts(&table) {
            rows.add(cells! {
                table_catalog: &database, table_schema: &table.schema, table_name: &table.name, column_name: column,
                constraint_catalog: &database, constraint_schema: &table.schema, constraint_name: constraint,
            });
        }
        for (constraint, key) in table.foreign_keys() {
            let Some(parent) = catalog.table_by_oid(key.table) else { continue };
            for column in key.referenced.iter().filter_map(|&number| parent.column_number(number)) {
                rows.add(cells! {
                    table_catalog: &database, table_schema: &parent.schema, table_name: &parent.name,
                    column_name: &column.name, constraint_catalog: &database, constraint_schema: &table.schema,
                    constraint_name: &constraint.name,
                });
            }
        }
    }
    Ok(())
}

fn checks(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    for table in partitions::tables(&catalog) {
        let mut add = |name: &str, clause: String| {
            rows.add(cells! {
                constraint_catalog: &database, constraint_schema: &table.schema, constraint_name: name,
                check_clause: clause,
            });
        };
        for constraint in &table.constraints {
            if let ConstraintKind::Check { sql } = &constraint.kind {
                add(&constraint.name, format!("({})", super::deparse::expression(sql, &table, false)));
            }
        }
        for column in table.columns.iter().filter(|column| column.not_null) {
            add(&not_null_name(&table, column), format!("{} IS NOT NULL", column.name));
        }
    }
    Ok(())
}

fn sequences(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let database = execution.session.database();
    let catalog = execution.session.catalog();
    // Those of identity columns are part of the columns.
    let identities = catalog.tables().flat_map(|table| &table.columns).filter(|c| c.identity.is_some());
    let identities: Vec<_> = identities.filter_map(|column| column.sequence).collect();
    for sequence in catalog.sequences().filter(|sequence| !identities.contains(&sequence.oid)) {
        rows.add(cells! {
            sequence_catalog: &database, sequence_schema: &sequence.schema, sequence_name: &sequence.name,
            data_type: sequence.ty.to_string(), numeric_precision: i32::from(sequence.ty.size()) * 8,
            start_value: sequence.start.to_string(), minimum_value: sequence.min.to_string(),
            maximum_value: sequence.max.to_string(), increment: sequence.increment.to_string(),
            cycle_option: yes(sequence.cycle),
        });
    }
    Ok(())
}
