//! Tables, columns, defaults, indexes, constraints, sequences and what depends on what.

use std::collections::HashSet;

use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, DefaultExpr, Deferral, ForeignKey, Identity, Index,
    ReplicaIdentity, TEMPORARY_SCHEMA, Table, View,
};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::cluster::{PG_EXTENSION_OID, VECTOR_EXTENSION_OID};
use crate::sql::system::definitions::{index_options, is_hidden};
use crate::sql::system::names::{find_relation, schema_oid};
use crate::sql::system::relation::{Relation, Rows, cells};
use crate::sql::system::{
    PG_CATALOG, calls, deparse, descriptions, listed_views, partitions, routines, types,
};
use crate::types::{Type, Value};

/// pg_class's own oid, for columns that say which catalogue an object is in.
pub const PG_CLASS_OID: u32 = 1259;
pub const PG_ATTRDEF_OID: u32 = 2604;
pub const PG_CONSTRAINT_OID: u32 = 2606;
pub const PG_NAMESPACE_OID: u32 = 2615;
const PG_REWRITE_OID: u32 = 2618;

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: PG_CLASS_OID,
        schema: PG_CATALOG,
        name: "pg_class",
        kind: 'r',
        columns: "oid oid, relname name, relnamespace oid, reltype oid = 0, reloftype oid = 0, relowner oid = 10, \
            relam oid = 0, relfilenode oid = 0, reltablespace oid = 0, relpages int4 = 0, reltuples float4 = -1, \
            relallvisible int4 = 0, reltoastrelid oid = 0, relhasindex bool = f, relisshared bool = f, \
            relpersistence char = p, relkind char, relnatts int2, relchecks int2 = 0, relhasrules bool = f, \
            relhastriggers bool = f, relhassubclass bool = f, relrowsecurity bool = f, relforcerowsecurity bool = f, \
            relispopulated bool = t, relreplident char = d, relispartition bool = f, relrewrite oid = 0, \
            relfrozenxid int8 = 0, relminmxid int8 = 0, relacl text[], reloptions text[], relpartbound text",
        rows: classes,
    },
    Relation {
        oid: 1249,
        schema: PG_CATALOG,
        name: "pg_attribute",
        kind: 'r',
        columns: "attrelid oid, attname name, atttypid oid, attstattarget int4 = -1, attlen int2, attnum int2, \
            attndims int4 = 0, attcacheoff int4 = -1, atttypmod int4 = -1, attbyval bool, attalign char, \
            attstorage char, attcompression char = '', attnotnull bool = f, atthasdef bool = f, \
            atthasmissing bool = f, attidentity char = '', attgenerated char = '', attisdropped bool = f, \
            attislocal bool = t, attinhcount int4 = 0, attcollation oid = 0, attacl text[], attoptions text[], \
            attfdwoptions text[], attmissingval text",
        rows: attributes,
    },
    Relation {
        oid: PG_ATTRDEF_OID,
        schema: PG_CATALOG,
        name: "pg_attrdef",
        kind: 'r',
        columns: "oid oid, adrelid oid, adnum int2, adbin text",
        rows: defaults,
    },
    Relation {
        oid: 2610,
        schema: PG_CATALOG,
        name: "pg_index",
        kind: 'r',
        columns: "indexrelid oid, indrelid oid, indnatts int2, indnkeyatts int2, indisunique bool, \
            indnullsnotdistinct bool, indisprimary bool = f, indisexclusion bool = f, indimmediate bool = t, \
            indisclustered bool = f, indisvalid bool = t, indcheckxmin bool = f, indisready bool = t, \
            indislive bool = t, indisreplident bool = f, indkey int2[], indcollation oid[], indclass oid[], \
            indoption int2[], indexprs text, indpred text",
        rows: indexes,
    },
    Relation {
        oid: PG_CONSTRAINT_OID,
        schema: PG_CATALOG,
        name: "pg_constraint",
        kind: 'r',
        columns: "oid oid, conname name, connamespace oid, contype char, condeferrable bool = f, condeferred bool = f, \
            convalidated bool = t, conrelid oid = 0, contypid oid = 0, conindid oid = 0, conparentid oid = 0, \
            confrelid oid = 0, confupdtype char = '', confdeltype char = '', confmatchtype char = '', \
            conislocal bool = t, coninhcount int4 = 0, connoinherit bool = t, conkey int2[], confkey int2[], \
            conpfeqop oid[], conppeqop oid[], conffeqop oid[], confdelsetcols int2[], conexclop oid[], conbin text",
        rows: constraints,
    },
    Relation {
        oid: 2224,
        schema: PG_CATALOG,
        name: "pg_sequence",
        kind: 'r',
        columns: "seqrelid oid, seqtypid oid, seqstart int8, seqincrement int8, seqmax int8, seqmin int8, \
            seqcache int8, seqcycle bool",
        rows: sequences,
    },
    Relation {
        oid: 2608,
        schema: PG_CATALOG,
        name: "pg_depend",
        kind: 'r',
        columns: "classid oid, objid oid, objsubid int4 = 0, refclassid oid, refobjid oid, refobjsubid int4 = 0, \
            deptype char",
        rows: dependencies,
    },
    Relation {
        oid: 2609,
        schema: PG_CATALOG,
        name: "pg_description",
        kind: 'r',
        columns: "objoid oid, classoid oid, objsubid int4 = 0, description text",
        rows: descriptions::descriptions,
    },
    Relation {
        oid: PG_REWRITE_OID,
        schema: PG_CATALOG,
        name: "pg_rewrite",
        kind: 'r',
        columns: "oid oid, rulename name, ev_class oid, ev_type char, ev_enabled char, is_instead bool, ev_qual text = <>, \
            ev_action text",
        rows: rules,
    },
    Relation {
        oid: 2611,
        schema: PG_CATALOG,
        name: "pg_inherits",
        kind: 'r',
        columns: "inhrelid oid, inhparent oid, inhseqno int4, inhdetachpending bool",
        rows: partitions::inherits,
    },
    Relation {
        oid: 3350,
        schema: PG_CATALOG,
        name: "pg_partitioned_table",
        kind: 'r',
        columns: "partrelid oid, partstrat char, partnatts int2, partdefid oid, partattrs int2[], partclass oid[], \
            partcollation oid[], partexprs text",
        rows: partitions::partitioned,
    },
];

/// What becomes of a relation: temporary ones are those in a temporary schema.
fn persistence(schema: &str, unlogged: bool) -> char {
    match (schema.starts_with(TEMPORARY_SCHEMA), unlogged) {
        (true, _) => 't',
        (false, true) => 'u',
        (false, false) => 'p',
    }
}

fn classes(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let namespace = |schema: &str| schema_oid(&catalog, schema);
    let indexed: HashSet<u32> = catalog.indexes_and_parts().map(|index| index.table).collect();
    for table in catalog.tables_and_parts() {
        let checks =
            table.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Check { .. })).count();
        rows.add(cells! {
            oid: table.known_as(), relname: &table.name, relnamespace: namespace(&table.schema),
            relam: if table.is_partitioned() { 0 } else { types::HEAP_OID },
            reltype: types::row_type_oid(table.known_as()),
            relfilenode: if table.is_partitioned() { 0 } else { table.storage as u32 },
            relhasindex: indexed.contains(&table.known_as()),
            relkind: match (&table.materialized, &table.partitioning) {
                (Some(_), _) => 'm',
                (None, Some(_)) => 'p',
                (None, None) => 'r',
            },
            relhassubclass: !table.partitions().is_empty(), relispartition: table.part.is_some(),
            relpartbound: partitions::bound(table),
            relpersistence: persistence(&table.schema, table.unlogged),
            relreplident: match table.replica_identity {
                None => 'd',
                Some(ReplicaIdentity::Full) => 'f',
                Some(ReplicaIdentity::Nothing) => 'n',
                Some(ReplicaIdentity::Index) => 'i',
            },
            reloptions: options(&table.options),
            relispopulated: table.materialized.as_ref().is_none_or(|m| m.populated),
            relhasrules: table.materialized.is_some(),
            relnatts: (table.next_number() - 1) as i16, relchecks: checks as i16,
            // psql looks for foreign keys only where this is set: PostgreSQL enforces them by triggers.
            relhastriggers: table.foreign_keys().next().is_some()
                || catalog.references_to(table.oid).next().is_some(),
        });
    }
    for index in catalog.indexes_and_parts() {
        // A partition is none by this oid.
        let table = catalog.table_by_oid(index.table);
        let of_parent = table.is_some_and(|table| table.is_partitioned());
        rows.add(cells! {
            oid: index.oid, relname: &index.name, relnamespace: namespace(catalog.schema_of_index(index)),
            relam: types::method_oid(index.method), relfilenode: index.oid,
            relpersistence: persistence(
                catalog.schema_of_index(index),
                table.is_some_and(|table| table.unlogged),
            ),
            relkind: if of_parent { 'I' } else { 'i' },
            relhassubclass: table.is_some_and(|table| table.partition_indexes().any(|own| own.of == index.oid)),
            relispartition: table.is_none(),
            relnatts: (index.columns.len() + index.included.len()) as i16, relreplident: 'n', reloptions: options(&index_options(index)),
        });
    }
    for sequence in catalog.sequences() {
        rows.add(cells! {
            oid: sequence.oid, relname: &sequence.name, relnamespace: namespace(&sequence.schema),
            relfilenode: sequence.oid, relkind: 'S', relnatts: 3i16, relreplident: 'n',
            relpersistence: persistence(&sequence.schema, false),
        });
    }
    for view in catalog.views() {
        rows.add(cells! {
            oid: view.oid, relname: &view.name, relnamespace: namespace(&view.schema), relkind: 'v',
            reltype: types::row_type_oid(view.oid),
            relnatts: view.columns.len() as i16, relhasrules: true, relreplident: 'n',
            relpersistence: persistence(&view.schema, false), reloptions: options(&view.options),
        });
    }
    for of in catalog.composites().map(|of| &of.definition) {
        rows.add(cells! {
            oid: of.relation, relname: &of.name, relnamespace: namespace(&of.schema), relkind: 'c', reltype: of.oid,
            relnatts: (of.next - 1) as i16, relreplident: 'n',
        });
    }
    for view in listed_views() {
        let relation = view.relation;
        rows.add(cells! {
            oid: relation.oid, relname: relation.name, relnamespace: namespace(relation.schema),
            relkind: relation.kind, relnatts: view.columns.len() as i16, relreplident: 'n',
        });
    }
    Ok(())
}

/// `{fillfactor=80,deduplicate_items=off}`
fn options(options: &[(String, String)]) -> Option<Vec<Value>> {
    let shown = options.iter().map(|(name, value)| Value::from(format!("{name}={value}")));
    (!options.is_empty()).then(|| shown.collect())
}

fn attributes(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for table in catalog.tables_and_parts() {
        for column in &table.columns {
            add_column(table, column, rows);
        }
        for column in &table.dropped {
            rows.add(cells! {
                attrelid: table.known_as(), attname: format!("........pg.dropped.{}........", column.number),
                atttypid: 0u32, attlen: column.ty.size(), attnum: column.number as i16,
                attbyval: types::by_value(&column.ty), attalign: types::alignment(&column.ty),
                attstorage: types::storage(&column.ty), attisdropped: true,
            });
        }
    }
    for view in catalog.views() {
        for (place, column) in view.columns.iter().enumerate() {
            let has_default = view.defaults.iter().any(|(number, _)| usize::from(*number) == place + 1);
            let more = cells! { atthasdef: has_default };
            add_attribute(view.oid, &column.name, &column.ty, place as i16 + 1, rows, more);
        }
    }
    for of in catalog.composites().map(|of| &of.definition) {
        for field in &of.fields {
            add_attribute(of.relation, &field.name, &field.ty, field.number as i16, rows, cells! {});
        }
    }
    for index in catalog.indexes_and_parts() {
        let Some(table) = catalog.rows_by_oid(index.table) else { continue };
        for (place, number) in index.columns.iter().chain(&index.included).enumerate() {
            let Some(column) = table.column_number(*number) else { continue };
            let more = cells! { attcollation: types::collation_of(column) };
            add_attribute(index.oid, &column.name, &column.ty, place as i16 + 1, rows, more);
        }
    }
    for sequence in catalog.sequences() {
        let columns = [("last_value", Type::Int8), ("log_cnt", Type::Int8), ("is_called", Type::Bool)];
        for (place, (name, ty)) in columns.iter().enumerate() {
            add_attribute(sequence.oid, name, ty, place as i16 + 1, rows, cells! { attnotnull: true });
        }
    }
    for view in listed_views() {
        for (place, column) in view.columns.iter().enumerate() {
            let more = cells! { attnotnull: column.not_null };
            add_attribute(view.relation.oid, &column.name, &column.ty, place as i16 + 1, rows, more);
        }
    }
    Ok(())
}

fn add_column(table: &Table, column: &Column, rows: &mut Rows) {
    let identity = match column.identity {
        Some(Identity::Always) => "a",
        Some(Identity::ByDefault) => "d",
        None => "",
    };
    let number = column.number as i16;
    let generated = if column.generated.is_some() { "s" } else { "" };
    let hints = &column.hints;
    // The modifier of a domain is its own.
    let (ty, modifier) = match column.domain {
        Some(domain) => (domain, -1),
        None => (column.ty.oid(), column.ty.column_typmod()),
    };
    let more = cells! {
        atttypid: ty, atttypmod: modifier, attcollation: types::collation_of(column),
        attnotnull: column.not_null, atthasdef: has_default(column), attidentity: identity,
        attgenerated: generated,
        atthasmissing: column.missing.is_some(), attoptions: options(&hints.options),
        attstorage: hints.storage.unwrap_or_else(|| types::storage(&column.ty)),
        attcompression: hints.compression.map_or_else(String::new, String::from),
        attstattarget: hints.statistics.unwrap_or(-1),
        attislocal: table.part.is_none(), attinhcount: i32::from(table.part.is_some()),
    };
    add_attribute(table.known_as(), &column.name, &column.ty, number, rows, more);
}

/// An identity column's default is its sequence, which PostgreSQL does not count as one.
fn has_default(column: &Column) -> bool {
    column.generated.is_some() || column.default.is_some() && column.identity.is_none()
}

fn add_attribute<const N: usize>(
    relation: u32,
    name: &str,
    ty: &Type,
    number: i16,
    rows: &mut Rows,
    more: [(&'static str, Value); N],
) {
    let base = cells! {
        attrelid: relation, attname: name, atttypid: ty.oid(), attlen: ty.size(), attnum: number,
        attndims: ty.dimensions() as i32, atttypmod: ty.column_typmod(), attbyval: types::by_value(ty), attalign: types::alignment(ty),
        attstorage: types::storage(ty), attcollation: types::collation(ty),
    };
    rows.add(base.into_iter().chain(more));
}

/// A default's own oid: its table's and its column's number together, out of the range of other objects.
pub fn default_oid(table: u32, column: u16) -> u32 {
    0x8000_0000 | (table & 0x0007_ffff) << 12 | u32::from(column) & 0xfff
}

fn defaults(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for table in catalog.tables_and_parts() {
        for column in table.columns.iter().filter(|column| has_default(column)) {
            let generated = column.generated.as_ref().map(|generated| generated.sql.clone());
            let sql = generated.or_else(|| shown_default(execution, table, column));
            let number = column.number;
            rows.add(cells! {
                oid: default_oid(table.known_as(), number), adrelid: table.known_as(), adnum: number as i16, adbin: sql,
            });
        }
    }
    for view in catalog.views() {
        for (number, default) in &view.defaults {
            rows.add(cells! {
                oid: default_oid(view.oid, *number), adrelid: view.oid, adnum: *number as i16,
                adbin: view_default(view, *number, default),
            });
        }
    }
    Ok(())
}

/// The default of a view's column as it is shown.
pub(super) fn view_default(view: &View, number: u16, default: &DefaultExpr) -> Option<String> {
    let column = view.columns.get(usize::from(number).checked_sub(1)?)?;
    Some(deparse::default(&default.sql, &Table::default(), &column.ty))
}

fn numbers(columns: &[u16]) -> Vec<Value> {
    columns.iter().map(|&number| Value::Int2(number as i16)).collect()
}

fn indexes(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for index in catalog.indexes_and_parts() {
        let Some(table) = catalog.rows_by_oid(index.table) else { continue };
        let column_types =
            index.columns.iter().filter_map(|&number| table.column_number(number)).map(|c| &c.ty);
        let classes = column_types.clone().enumerate().map(|(place, ty)| {
            let named = index.opclasses.get(place).map(String::as_str);
            Value::Oid(types::opclass_oid(index.method, named, ty))
        });
        let columns = index.columns.iter().filter_map(|&number| table.column_number(number));
        let collations = columns.map(|column| Value::Oid(types::collation_of(column)));
        let count = index.columns.len() as i16;
        let all = count + index.included.len() as i16;
        let primary = matches!(constraint_kind(&catalog, index), Some(ConstraintKind::PrimaryKey { .. }));
        rows.add(cells! {
            indexrelid: index.oid, indrelid: index.table, indnatts: all, indnkeyatts: count,
            indimmediate: index.deferral(table).is_never(),
            indisunique: index.unique, indnullsnotdistinct: index.nulls_equal, indisprimary: primary, indkey: key_numbers(table, index),
            indexprs: expressions(table, index), indpred: index.predicate.as_ref().map(|p| p.sql.clone()),
            indcollation: collations.collect::<Vec<_>>(), indclass: classes.collect::<Vec<_>>(),
            indoption: options_of_keys(index), indisclustered: index.clustered, indisreplident: index.replica_identity,
        });
    }
    Ok(())
}

/// How each column of an index is sorted.
fn options_of_keys(index: &Index) -> Vec<Value> {
    let order = |place| index.orders.get(place).copied().unwrap_or_default();
    (0..index.columns.len()).map(|place| Value::Int2(order(place).bits())).collect()
}

/// The columns of an index by number, 0 for an expression.
fn key_numbers(table: &Table, index: &Index) -> Vec<Value> {
    let shown = |&number: &u16| if is_hidden(table, number) { 0 } else { number };
    numbers(&index.columns.iter().map(shown).chain(index.included.iter().copied()).collect::<Vec<_>>())
}

/// The expressions an index is on.
fn expressions(table: &Table, index: &Index) -> Option<String> {
    let hidden = index.columns.iter().filter(|number| is_hidden(table, **number));
    let sql = hidden.filter_map(|number| Some(table.column_number(*number)?.generated.as_ref()?.sql.clone()));
    let sql: Vec<String> = sql.collect();
    (!sql.is_empty()).then(|| sql.join(", "))
}

fn constraint_kind<'a>(catalog: &'a Catalog, index: &Index) -> Option<&'a ConstraintKind> {
    let table = catalog.rows_by_oid(index.table)?;
    Some(&table.constraint(index.constraint?)?.kind)
}

fn constraints(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    domain_constraints(&catalog, rows);
    for table in partitions::tables(&catalog) {
        for constraint in &table.constraints {
            let (kind, columns, check) = match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } => ('p', numbers(columns), None),
                ConstraintKind::Unique { columns, .. } => ('u', numbers(columns), None),
                ConstraintKind::Check { sql } => {
                    ('c', super::definitions::columns_in(&table, sql), Some(sql.clone()))
                }
                // PostgreSQL up to 17 keeps NOT NULL with the column only.
                ConstraintKind::NotNull { .. } => continue,
                ConstraintKind::ForeignKey(key) => {
                    add_foreign_key(&catalog, &table, constraint, key, rows);
                    continue;
                }
            };
            let index = match (kind, &table.part) {
                ('c', _) => 0,
                (_, Some(_)) => constraint.oid,
                (_, None) => catalog.index_of_constraint(constraint.oid).map_or(0, |index| index.oid),
            };
            // PostgreSQL tells of the parents of keys only.
            let parent = partitions::parent_constraint(&catalog, &table, constraint).filter(|_| kind != 'c');
            rows.add(cells! {
                oid: constraint.oid, conname: &constraint.name, connamespace: schema_oid(&catalog, &table.schema),
                contype: kind, confupdtype: ' ', confdeltype: ' ', confmatchtype: ' ', conrelid: table.known_as(),
                conindid: index, conparentid: parent.unwrap_or_default(), conislocal: table.part.is_none(),
                coninhcount: i32::from(table.part.is_some()), conkey: columns, conbin: check,
                connoinherit: (kind != 'c' || constraint.no_inherit) && table.part.is_none(), convalidated: !constraint.not_valid,
                condeferrable: !constraint.deferral.is_never(),
                condeferred: constraint.deferral == Deferral::Initially,
            });
        }
    }
    Ok(())
}

/// Conditions of domains.
fn domain_constraints(catalog: &Catalog, rows: &mut Rows) {
    for domain in catalog.domains() {
        for check in &domain.checks {
            rows.add(cells! {
                oid: check.oid, conname: &check.name, connamespace: schema_oid(catalog, &domain.schema), contype: 'c',
                contypid: domain.oid, conbin: check.sql.clone(), convalidated: !check.not_valid,
                confupdtype: ' ', confdeltype: ' ', confmatchtype: ' ',
            });
        }
    }
}

fn add_foreign_key(
    catalog: &Catalog,
    table: &Table,
    constraint: &Constraint,
    key: &ForeignKey,
    rows: &mut Rows,
) {
    let index = catalog.unique_index_on(key.table, &key.referenced).map_or(0, |index| index.oid);
    rows.add(cells! {
        oid: constraint.oid, conname: &constraint.name, connamespace: schema_oid(catalog, &table.schema),
        contype: 'f', conrelid: table.known_as(), conindid: index,
        conparentid: partitions::parent_constraint(catalog, table, constraint).unwrap_or_default(),
        conislocal: table.part.is_none(), coninhcount: i32::from(table.part.is_some()), conkey: numbers(&key.columns), confrelid: key.table,
        confkey: numbers(&key.referenced), confupdtype: key.on_update.letter(),
        confdeltype: key.on_delete.letter(), confmatchtype: if key.full { "f" } else { "s" },
        connoinherit: table.part.is_none() && !table.is_partitioned(), convalidated: !constraint.not_valid,
        condeferrable: key.deferral != Deferral::Never, condeferred: key.deferral == Deferral::Initially,
        confdelsetcols: (!key.set_on_delete.is_empty()).then(|| numbers(&key.set_on_delete)),
    });
}

fn sequences(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for sequence in execution.session.catalog().sequences() {
        rows.add(cells! {
            seqrelid: sequence.oid, seqtypid: sequence.ty.oid(), seqstart: sequence.start,
            seqincrement: sequence.increment, seqmax: sequence.max, seqmin: sequence.min, seqcache: sequence.cache, seqcycle: sequence.cycle,
        });
    }
    Ok(())
}

/// Who goes when a table or column goes: sequences of serial and identity columns, indexes, constraints, defaults; and
/// what calls functions.
fn dependencies(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for sequence in catalog.sequences() {
        let Some((table, number)) = sequence.owned_by else { continue };
        let column = catalog.table_by_oid(table).and_then(|table| table.column_number(number));
        let internal = column.is_some_and(|column| column.identity.is_some());
        rows.add(cells! {
            classid: PG_CLASS_OID, objid: sequence.oid, refclassid: PG_CLASS_OID, refobjid: table,
            refobjsubid: i32::from(number), deptype: if internal { 'i' } else { 'a' },
        });
    }
    for table in catalog.tables_and_parts() {
        for column in table.columns.iter().filter(|column| has_default(column)) {
            let default = default_oid(table.known_as(), column.number);
            rows.add(cells! {
                classid: PG_ATTRDEF_OID, objid: default, refclassid: PG_CLASS_OID, refobjid: table.known_as(),
                refobjsubid: i32::from(column.number), deptype: 'a',
            });
            if let Some(sequence) = default_sequence(execution, column) {
                rows.add(cells! {
                    classid: PG_ATTRDEF_OID, objid: default, refclassid: PG_CLASS_OID, refobjid: sequence, deptype: 'n',
                });
            }
        }
    }
    for (view, query) in catalog.stored_queries() {
        rows.add(cells! {
            classid: PG_REWRITE_OID, objid: rule_oid(view), refclassid: PG_CLASS_OID, refobjid: view, deptype: 'i',
        });
        for used in &query.uses {
            let is_function = catalog.function_by_oid(used.relation).is_some();
            let class = if is_function { routines::PG_PROC_OID } else { PG_CLASS_OID };
            for number in used.columns.iter().copied().chain(used.columns.is_empty().then_some(0)) {
                rows.add(cells! {
                    classid: PG_REWRITE_OID, objid: rule_oid(view), refclassid: class,
                    refobjid: used.relation, refobjsubid: i32::from(number), deptype: 'n',
                });
            }
        }
    }
    calls::dependencies(&catalog, rows);
    let functions = routines::extension_members().map(|function| (routines::PG_PROC_OID, function));
    for (class, object) in types::extension_members().into_iter().chain(functions) {
        rows.add(cells! {
            classid: class, objid: object, refclassid: PG_EXTENSION_OID, refobjid: VECTOR_EXTENSION_OID,
            deptype: 'e',
        });
    }
    for extension in catalog.extensions() {
        let functions =
            routines::members_of(&extension.name).map(|function| (routines::PG_PROC_OID, function));
        for (class, object) in types::members_of(&extension.name).into_iter().chain(functions) {
            rows.add(cells! {
                classid: class, objid: object, refclassid: PG_EXTENSION_OID, refobjid: extension.oid, deptype: 'e',
            });
        }
    }
    for index in catalog.indexes() {
        match index.constraint {
            Some(constraint) => rows.add(cells! {
                classid: PG_CLASS_OID, objid: index.oid, refclassid: PG_CONSTRAINT_OID, refobjid: constraint,
                deptype: 'i',
            }),
            None => {
                let visible = catalog.table_by_oid(index.table).map(|table| key_columns(table, index));
                for number in visible.iter().flatten() {
                    rows.add(cells! {
                        classid: PG_CLASS_OID, objid: index.oid, refclassid: PG_CLASS_OID, refobjid: index.table,
                        refobjsubid: i32::from(*number), deptype: 'a',
                    });
                }
            }
        }
    }
    Ok(())
}

/// Numbers of the columns an index is on or reads in its expressions, ascending.
fn key_columns(table: &Table, index: &Index) -> Vec<u16> {
    let (hidden, mut numbers): (Vec<u16>, Vec<u16>) =
        index.columns.iter().partition(|number| is_hidden(table, **number));
    let hidden = hidden.iter().filter_map(|number| table.column_number(*number)?.generated.as_ref());
    let expressions = hidden.map(|generated| &generated.sql);
    for sql in expressions.chain(index.predicate.as_ref().map(|predicate| &predicate.sql)) {
        numbers.extend(crate::sql::ddl::columns_of(sql, table).unwrap_or_default());
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The rule behind a view: PostgreSQL keeps its query there, and says with it what the view reads.
fn rule_oid(view: u32) -> u32 {
    0x4000_0000 | view & 0x3fff_ffff
}

fn rules(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for (view, query) in execution.session.catalog().stored_queries() {
        rows.add(cells! {
            oid: rule_oid(view), rulename: "_RETURN", ev_class: view, ev_type: '1', ev_enabled: 'O', is_instead: true,
            ev_action: &query.sql,
        });
    }
    Ok(())
}

/// A column's default; one that draws from a sequence calls it by its name as seen from here.
pub(super) fn shown_default(execution: &Execution, table: &Table, column: &Column) -> Option<String> {
    let default = column.default.as_ref()?;
    Some(match default_sequence(execution, column) {
        Some(sequence) if default.sql.starts_with("nextval(") => {
            let name = super::names::regclass_out(execution, sequence).replace('\'', "''");
            format!("nextval('{name}'::regclass)")
        }
        _ => deparse::default(&default.sql, table, &column.ty),
    })
}

/// The sequence that `nextval('s')` draws from.
fn default_sequence(execution: &Execution, column: &Column) -> Option<u32> {
    if column.sequence.is_some() {
        return column.sequence;
    }
    let inside = column.default.as_ref()?.sql.strip_prefix("nextval('")?;
    find_relation(execution, &inside[..inside.find('\'')?])
}
