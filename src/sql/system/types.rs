//! Types, casts, operators, access methods and operator classes.

use crate::catalog::{Catalog, Column, Extension, IndexMethod, PUBLIC_SCHEMA};
use crate::distance::{Element, Metric};
use crate::error::{Error, Result, SqlState};
use crate::functions::cells::type_of_element;
use crate::functions::vector::{distance_function, operator_function};
use crate::planner::bindings::Execution;
use crate::sql::operator_classes::{is_default, vector_classes};
use crate::sql::system::names::schema_oid;
use crate::sql::system::relation::{Relation, Rows, cells};
use crate::sql::system::{PG_CATALOG, PG_CATALOG_OID};
use crate::types::cast::{Context, context};
use crate::types::names::ENTRIES;
use crate::types::{NetworkType, RangeType, Type, Value};

/// PostgreSQL's oids of access methods; ours that it does not have are numbered above.
pub const HEAP_OID: u32 = 2;
const BTREE_OID: u32 = 403;
/// Below those of user objects, which pg_dump takes for such.
const BITMAP_OID: u32 = 13_405;
const HNSW_OID: u32 = 16_385;
const IVFFLAT_OID: u32 = 16_386;
/// The collation of every text: bytes in order.
const DEFAULT_COLLATION_OID: u32 = 100;
/// The schema of pgvector's objects: `public`, and where there is none, the catalogue's own, so that it always exists.
pub fn vector_schema(catalog: &Catalog) -> u32 {
    catalog.schema(PUBLIC_SCHEMA).map_or(PG_CATALOG_OID, |schema| schema.oid)
}

/// pg_type's own oid.
pub const PG_TYPE_OID: u32 = 1247;
const PG_OPERATOR_OID: u32 = 2617;
const PG_AM_OID: u32 = 2601;
const PG_OPCLASS_OID: u32 = 2616;
const PG_OPFAMILY_OID: u32 = 2753;

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: PG_TYPE_OID,
        schema: PG_CATALOG,
        name: "pg_type",
        kind: 'r',
        columns: "oid oid, typname name, typnamespace oid = 11, typowner oid = 10, typlen int2, typbyval bool, \
            typtype char = b, typcategory char, typispreferred bool = f, typisdefined bool = t, typdelim char, \
            typrelid oid = 0, typsubscript text = -, typelem oid = 0, typarray oid = 0, typinput text, typoutput text, \
            typreceive text, typsend text, typmodin text = -, typmodout text = -, typanalyze text = -, typalign char, \
            typstorage char, typnotnull bool = f, typbasetype oid = 0, typtypmod int4 = -1, typndims int4 = 0, \
            typcollation oid = 0, typdefaultbin text, typdefault text, typacl text[]",
        rows: types,
    },
    Relation {
        oid: 2605,
        schema: PG_CATALOG,
        name: "pg_cast",
        kind: 'r',
        columns: "oid oid, castsource oid, casttarget oid, castfunc oid = 0, castcontext char, castmethod char = i",
        rows: casts,
    },
    Relation {
        oid: PG_OPERATOR_OID,
        schema: PG_CATALOG,
        name: "pg_operator",
        kind: 'r',
        columns: "oid oid, oprname name, oprnamespace oid, oprowner oid = 10, oprkind char = b, oprcanmerge bool = f, \
            oprcanhash bool = f, oprleft oid, oprright oid, oprresult oid, oprcom oid = 0, oprnegate oid = 0, \
            oprcode text, oprrest text = -, oprjoin text = -",
        rows: operators,
    },
    Relation {
        oid: PG_AM_OID,
        schema: PG_CATALOG,
        name: "pg_am",
        kind: 'r',
        columns: "oid oid, amname name, amhandler text, amtype char",
        rows: access_methods,
    },
    Relation {
        oid: PG_OPCLASS_OID,
        schema: PG_CATALOG,
        name: "pg_opclass",
        kind: 'r',
        columns: "oid oid, opcmethod oid, opcname name, opcnamespace oid, opcowner oid = 10, opcfamily oid, \
            opcintype oid, opcdefault bool, opckeytype oid = 0",
        rows: operator_classes,
    },
    Relation {
        oid: PG_OPFAMILY_OID,
        schema: PG_CATALOG,
        name: "pg_opfamily",
        kind: 'r',
        columns: "oid oid, opfmethod oid, opfname name, opfnamespace oid, opfowner oid = 10",
        rows: operator_families,
    },
    Relation {
        oid: 3456,
        schema: PG_CATALOG,
        name: "pg_collation",
        kind: 'r',
        columns: "oid oid, collname name, collnamespace oid = 11, collowner oid = 10, collprovider char, \
            collisdeterministic bool = t, collencoding int4 = -1, collcollate text, collctype text, \
            colliculocale text, colllocale text, collicurules text, collversion text",
        rows: collations,
    },
    Relation {
        oid: 3501,
        schema: PG_CATALOG,
        name: "pg_enum",
        kind: 'r',
        columns: "oid oid, enumtypid oid, enumsortorder float4, enumlabel name",
        rows: labels,
    },
    Relation {
        oid: 3541,
        schema: PG_CATALOG,
        name: "pg_range",
        kind: 'r',
        columns: "rngtypid oid, rngsubtype oid, rngmultitypid oid, rngcollation oid, rngsubopc oid, \
            rngcanonical text, rngsubdiff text = -",
        rows: ranges,
    },
];

/// Whether PostgreSQL passes values of the type in a register.
pub fn by_value(ty: &Type) -> bool {
    matches!(ty.size(), 1 | 2 | 4 | 8) && !matches!(ty, Type::Network(_))
}

/// pg_type.typalign.
pub fn alignment(ty: &Type) -> char {
    match (ty, ty.size()) {
        (Type::Interval(_) | Type::Timetz(_), _) => 'd',
        (Type::Network(_), _) => 'i',
        (Type::Tid, _) => 's',
        (Type::Uuid | Type::Name, _) => 'c',
        // As long as the element's, where that is longer than that of a length.
        (Type::Range(of) | Type::Multirange(of), _) => match alignment(&of.element()) {
            'd' => 'd',
            _ => 'i',
        },
        (_, 8) => 'd',
        (_, 2) => 's',
        (_, 1) => 'c',
        _ => 'i',
    }
}

/// pg_type.typstorage.
pub fn storage(ty: &Type) -> char {
    match ty {
        Type::Numeric(_) => 'm',
        Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_) => 'e',
        _ if ty.size() == -1 => 'x',
        _ => 'p',
    }
}

/// The collation of a column of this type; 0 when it has none.
pub fn collation(ty: &Type) -> u32 {
    match ty {
        Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext => DEFAULT_COLLATION_OID,
        Type::Name => 950,
        Type::Array(item) => collation(item),
        _ => 0,
    }
}

/// The collation of a column, which may name one.
pub fn collation_of(column: &Column) -> u32 {
    collation_oid(column.collation.as_deref(), &column.ty)
}

/// The collation of values of a type, where one may be named.
fn collation_oid(named: Option<&str>, ty: &Type) -> u32 {
    let named = COLLATIONS.iter().find(|(_, name)| named == Some(*name));
    named.map_or_else(|| collation(ty), |(oid, _)| *oid)
}

/// The name of the collation of a column, when it is not the default.
pub fn collation_name(column: &Column) -> Option<&'static str> {
    let oid = collation_of(column);
    COLLATIONS.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// Collations beside the default one.
const COLLATIONS: [(u32, &str); 3] = [(950, "C"), (951, "POSIX"), (962, "ucs_basic")];

fn namespace(ty: &Type, public: u32) -> u32 {
    if ty.is_pgvectors() { public } else { PG_CATALOG_OID }
}

/// Whether the database has the type: one of an extension's it has once that was created.
pub fn is_created(ty: &Type, catalog: &Catalog) -> bool {
    ty.extension().is_none_or(|extension| catalog.extension_named(extension).is_some())
}

/// The oid of the schema of an extension.
pub fn schema_of(extension: &Extension, catalog: &Catalog) -> u32 {
    schema_oid(catalog, &extension.schema).unwrap_or(PG_CATALOG_OID)
}

/// The schema of a type, which is its extension's where it is of one.
fn namespace_in(ty: &Type, catalog: &Catalog) -> u32 {
    match ty.extension().and_then(|extension| catalog.extension_named(extension)) {
        Some(extension) => schema_of(extension, catalog),
        None => namespace(ty, vector_schema(catalog)),
    }
}

/// PostgreSQL names a type's functions after it, with an underscore for some.
fn function_name(ty: &Type, suffix: &str) -> String {
    let name = ty.entry().name;
    match ty {
        Type::Money => format!("cash_{suffix}"),
        Type::Array(_) => format!("array_{suffix}"),
        Type::Range(_) => format!("range_{suffix}"),
        Type::Multirange(_) => format!("multirange_{suffix}"),
        Type::Date
        | Type::Json
        | Type::JsonPath
        | Type::Jsonb
        | Type::Numeric(_)
        | Type::Network(_)
        | Type::Uuid
        | Type::Time(_)
        | Type::Timetz(_)
        | Type::Timestamp(_)
        | Type::Timestamptz(_)
        | Type::Interval(_)
        | Type::Bit(_)
        | Type::Varbit(_)
        | Type::Halfvec(_)
        | Type::Sparsevec(_)
        | Type::Hstore
        | Type::Vector(_) => format!("{name}_{suffix}"),
        _ => format!("{name}{suffix}"),
    }
}

/// The oid of the type of a relation's rows, which is listed for those who ask what a relation is.
pub fn row_type_oid(relation: u32) -> u32 {
    0x2000_0000 | relation & 0x1fff_ffff
}

/// The relation whose rows are of a type.
pub fn relation_of_row_type(oid: u32) -> Option<u32> {
    (oid >> 29 == 1).then_some(oid & 0x1fff_ffff)
}

const RECORD_OID: u32 = 2249;
const RECORD_ARRAY_OID: u32 = 2287;

/// Pseudo-types that pg_type lists.
const PSEUDO_TYPES: [(u32, &str); 6] = [
    (705, "unknown"),
    (RECORD_OID, "record"),
    (2276, "any"),
    (2277, "anyarray"),
    (2278, "void"),
    (2283, "anyelement"),
];

/// A function that reads or writes values of a type.
pub struct InOut {
    pub name: String,
    pub argument: u32,
    pub result: u32,
    pub schema: u32,
    /// Of the type's extension, which may not be there.
    pub extension: Option<&'static str>,
}

/// The functions that pg_type names, in the order of their oids.
pub fn in_out_functions(public: u32) -> Vec<InOut> {
    const CSTRING: u32 = 2275;
    const INTERNAL: u32 = 2281;
    let mut all = Vec::new();
    let mut add = |schema: u32, oid: u32, extension, name: &dyn Fn(&str) -> String, binary: bool| {
        let bytea = Type::Bytea.oid();
        let functions =
            [("in", CSTRING, oid), ("out", oid, CSTRING), ("recv", INTERNAL, oid), ("send", oid, bytea)];
        for (suffix, argument, result) in &functions[..if binary { 4 } else { 2 }] {
            all.push(InOut { name: name(suffix), argument: *argument, result: *result, schema, extension });
        }
    };
    let (of_extensions, others): (Vec<_>, Vec<_>) = ENTRIES
        .iter()
        .filter(|(ty, _)| !matches!(ty, Type::Range(_) | Type::Multirange(_)))
        .partition(|(ty, _)| ty.extension().is_some());
    for (ty, entry) in others {
        add(namespace(ty, public), entry.oid, None, &|suffix| function_name(ty, suffix), true);
    }
    add(PG_CATALOG_OID, 2277, None, &|suffix| format!("array_{suffix}"), true);
    add(PG_CATALOG_OID, 3831, None, &|suffix| format!("range_{suffix}"), true);
    add(PG_CATALOG_OID, 3500, None, &|suffix| format!("enum_{suffix}"), true);
    for (oid, name) in PSEUDO_TYPES {
        add(PG_CATALOG_OID, oid, None, &|suffix| format!("{name}_{suffix}"), false);
    }
    // Behind the others, whose oids stay what they were.
    for (ty, entry) in of_extensions {
        add(PG_CATALOG_OID, entry.oid, ty.extension(), &|suffix| function_name(ty, suffix), true);
    }
    add(PG_CATALOG_OID, 4537, None, &|suffix| format!("multirange_{suffix}"), true);
    all
}

/// pg_enum. A label's place is a number of 64 bits, of which PostgreSQL's has the upper half before the point.
fn labels(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for of in execution.session.catalog().enums() {
        for label in &of.definition.labels {
            let order = (label.order as f64 / (1u64 << 32) as f64) as f32;
            rows.add(cells! {
                oid: label.oid, enumtypid: of.definition.oid, enumsortorder: order, enumlabel: &label.text,
            });
        }
    }
    Ok(())
}

/// pg_range.
fn ranges(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let own = catalog.ranges().map(|of| RangeType::Own(of.definition.clone()));
    for of in RangeType::BUILT_IN.into_iter().chain(own) {
        let element = of.element();
        let (collation, difference) = match &of {
            RangeType::Own(of) => (collation_oid(of.collation.as_deref(), &element), of.subtype_diff.clone()),
            built_in => (0, Some(format!("{}_subdiff", built_in.name()))),
        };
        let canonical = match &of {
            RangeType::Int4 | RangeType::Int8 | RangeType::Date => format!("{}_canonical", of.name()),
            RangeType::Num | RangeType::Ts | RangeType::Tstz | RangeType::Own(_) => "-".to_owned(),
        };
        rows.add(cells! {
            rngtypid: Type::Range(of.clone()).oid(), rngsubtype: element.oid(),
            rngmultitypid: Type::Multirange(of).oid(), rngcollation: collation,
            rngsubopc: opclass_oid(IndexMethod::Btree, None, &element), rngcanonical: canonical,
            rngsubdiff: difference.unwrap_or_else(|| "-".to_owned()),
        });
    }
    Ok(())
}

/// Types that CREATE TYPE made.
fn own_types(catalog: &Catalog, public: u32, rows: &mut Rows) {
    for (schema, ty) in catalog.own_types() {
        let schema = catalog.schema(schema).map_or(public, |schema| schema.oid);
        let (prefix, kind, relation) = match &ty {
            Type::Composite(of) => ("record", 'c', of.relation),
            Type::Range(_) => ("range", 'r', 0),
            Type::Multirange(_) => ("multirange", 'm', 0),
            _ => ("enum", 'e', 0),
        };
        let function = |suffix: &str| format!("{prefix}_{suffix}");
        add_type(
            &ty,
            public,
            rows,
            cells! {
                typnamespace: schema, typarray: ty.array_oid(), typtype: kind, typrelid: relation,
                typinput: function("in"), typoutput: function("out"), typreceive: function("recv"),
                typsend: function("send"),
            },
        );
        let array = Type::Array(Box::new(ty.clone()));
        add_type(
            &array,
            public,
            rows,
            cells! { typnamespace: schema, typelem: ty.oid(), typsubscript: "array_subscript_handler" },
        );
    }
}

/// Domains have the shape of their base types and names of their own.
fn domains(catalog: &Catalog, public: u32, rows: &mut Rows) {
    for domain in catalog.domains() {
        let schema = catalog.schema(&domain.schema).map_or(public, |schema| schema.oid);
        let default = domain.default.as_ref().map(|d| super::deparse::domain_default(&d.sql, &domain.base));
        let (over, modifier) = match domain.parent {
            Some(parent) => (parent, -1),
            None => (domain.base.oid(), domain.base.typmod()),
        };
        add_type(
            &domain.base,
            public,
            rows,
            cells! {
                oid: domain.oid, typname: &domain.name, typnamespace: schema, typtype: 'd', typinput: "domain_in",
                typreceive: "domain_recv", typarray: 0u32, typbasetype: over,
                typtypmod: modifier, typnotnull: domain.not_null, typdefault: default,
                typcollation: collation_oid(domain.collation.as_deref(), &domain.base),
            },
        );
    }
}

fn types(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let public = vector_schema(&catalog);
    own_types(&catalog, public, rows);
    domains(&catalog, public, rows);
    for (ty, entry) in ENTRIES.iter().filter(|(ty, _)| is_created(ty, &catalog)) {
        let schema = namespace_in(ty, &catalog);
        let preferred = ty.is_preferred();
        let kind = match ty {
            Type::Range(_) => 'r',
            Type::Multirange(_) => 'm',
            _ => 'b',
        };
        // Handlers of subscripts are named by the types that have their own.
        let subscripts = match ty {
            Type::Hstore => "hstore_subscript_handler",
            Type::Jsonb => "jsonb_subscript_handler",
            Type::Int2Vector | Type::OidVector => "array_subscript_handler",
            Type::Name => "raw_array_subscript_handler",
            _ => "-",
        };
        // By its elements asyncpg knows how to read a vector of the catalogue.
        let element = match ty {
            Type::Int2Vector => Type::Int2.oid(),
            Type::OidVector => Type::Oid.oid(),
            Type::Name => Type::Char.oid(),
            _ => 0,
        };
        let more = cells! {
            typnamespace: schema, typarray: entry.array_oid, typispreferred: preferred, typtype: kind,
            typsubscript: subscripts, typelem: element,
        };
        add_type(ty, public, rows, more);
        let array = Type::Array(Box::new(ty.clone()));
        add_type(
            &array,
            public,
            rows,
            cells! { typnamespace: schema, typelem: entry.oid, typsubscript: "array_subscript_handler" },
        );
    }
    let mut add_pseudo = |oid: u32, name: &str, inout: &str, element: u32, array: u32| {
        rows.add(cells! {
            oid: oid, typname: name, typlen: -1i16, typbyval: false, typtype: 'p', typcategory: 'P', typelem: element,
            typarray: array, typinput: format!("{inout}_in"), typoutput: format!("{inout}_out"), typreceive: "-",
            typsend: "-", typalign: 'i', typstorage: 'p', typdelim: ',',
        });
    };
    for (oid, name) in PSEUDO_TYPES {
        add_pseudo(oid, name, name, 0, if oid == RECORD_OID { RECORD_ARRAY_OID } else { 0 });
    }
    add_pseudo(RECORD_ARRAY_OID, "_record", "array", RECORD_OID, 0);
    let mut add_rows = |relation: u32, schema: &str, name: &str| {
        rows.add(cells! {
            oid: row_type_oid(relation), typname: name, typnamespace: schema_oid(&catalog, schema), typlen: -1i16,
            typbyval: false, typtype: 'c', typcategory: 'C', typrelid: relation, typinput: "record_in",
            typoutput: "record_out", typreceive: "record_recv", typsend: "record_send", typalign: 'd', typstorage: 'x',
            typdelim: ',',
        });
    };
    for table in catalog.tables() {
        add_rows(table.oid, &table.schema, &table.name);
    }
    for view in catalog.views() {
        add_rows(view.oid, &view.schema, &view.name);
    }
    Ok(())
}

fn add_type<const N: usize>(ty: &Type, public: u32, rows: &mut Rows, more: [(&'static str, Value); N]) {
    let base = cells! {
        oid: ty.oid(), typname: ty.catalog_name(), typnamespace: namespace(ty, public), typlen: ty.size(),
        typbyval: by_value(ty), typcategory: ty.category(), typinput: function_name(ty, "in"),
        typoutput: function_name(ty, "out"), typreceive: function_name(ty, "recv"), typsend: function_name(ty, "send"),
        typalign: alignment(ty), typstorage: storage(ty), typcollation: collation(ty), typdelim: ',',
    };
    rows.add(base.into_iter().chain(more));
}

fn casts(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let mut oid = 10_000u32;
    for (from, _) in ENTRIES {
        for (to, _) in ENTRIES {
            let through_text = from.is_text() || to.is_text();
            // The module makes these, though a boolean and an address have a text without them.
            let is_modules =
                matches!((from, to), (Type::Bool | Type::Network(NetworkType::Inet), Type::Citext));
            if from == to || through_text && !is_modules && !(from.is_text() && to.is_text()) {
                continue;
            }
            // Between these it is by their texts.
            let is_of_names = [(from, to), (to, from)]
                .iter()
                .any(|pair| matches!(pair, (Type::Citext, Type::Name | Type::Char)));
            let Some(context) = context(from, to).filter(|_| !is_of_names) else { continue };
            let letter = match context {
                Context::Implicit => 'i',
                Context::Assignment => 'a',
                Context::Explicit => 'e',
            };
            oid += 1;
            if !is_created(from, &catalog) || !is_created(to, &catalog) {
                continue;
            }
            rows.add(cells! { oid: oid, castsource: from.oid(), casttarget: to.oid(), castcontext: letter });
        }
    }
    Ok(())
}

/// pgvector's operators, which psql shows; PostgreSQL's own are too many to be of use to anybody who asks.
fn operators(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let public = vector_schema(&execution.session.catalog());
    for (oid, (name, ty, result, function)) in (FIRST_OPERATOR_OID..).zip(vector_operators()) {
        rows.add(cells! {
            oid: oid, oprname: name, oprnamespace: public, oprleft: ty.oid(), oprright: ty.oid(),
            oprresult: result, oprcode: function.unwrap_or("-"),
        });
    }
    Ok(())
}

/// Operators are numbered from here.
const FIRST_OPERATOR_OID: u32 = 16_200;

/// pgvector's: name, operand, oid of the result, function.
fn vector_operators() -> Vec<(&'static str, Type, u32, Option<&'static str>)> {
    let mut all = Vec::new();
    const OTHERS: [&str; 10] = ["+", "-", "*", "||", "<", "<=", "=", "<>", ">=", ">"];
    const ARITHMETIC: usize = 4;
    for element in Element::ALL {
        let ty = type_of_element(element);
        let distances = Metric::of(element)
            .iter()
            .map(|&metric| (metric.operator(), Type::Float8.oid(), Some(distance_function(metric, element))));
        let own = match element {
            Element::Bit => &[][..],
            Element::Sparse => &OTHERS[ARITHMETIC..],
            Element::F32 | Element::F16 => &OTHERS[..],
        };
        let others = own.iter().map(|&name| {
            let result = if OTHERS[..ARITHMETIC].contains(&name) { ty.oid() } else { Type::Bool.oid() };
            (name, result, operator_function(name, element))
        });
        all.extend(
            distances.chain(others).map(|(name, result, function)| (name, ty.clone(), result, function)),
        );
    }
    all
}

/// What belongs to the extension vector, beside its functions: the catalogue it is in, and its oid.
pub fn extension_members() -> Vec<(u32, u32)> {
    let types = ENTRIES.iter().filter(|(ty, _)| ty.is_pgvectors()).map(|(_, entry)| (PG_TYPE_OID, entry.oid));
    let operators = (FIRST_OPERATOR_OID..).zip(vector_operators()).map(|(oid, _)| (PG_OPERATOR_OID, oid));
    let is_vectors = |method: IndexMethod| matches!(method, IndexMethod::Hnsw | IndexMethod::Ivfflat);
    let classes = classes().into_iter().filter(|class| is_vectors(class.method));
    let classes = classes.flat_map(|class| [(PG_OPCLASS_OID, class.oid), (PG_OPFAMILY_OID, class.oid)]);
    let methods = [IndexMethod::Hnsw, IndexMethod::Ivfflat].map(|method| (PG_AM_OID, method_oid(method)));
    types.chain(operators).chain(classes).chain(methods).collect()
}

/// What belongs to an extension that was created, beside its functions.
pub fn members_of(extension: &str) -> Vec<(u32, u32)> {
    let is_its = |ty: &Type| ty.extension() == Some(extension);
    let types = ENTRIES.iter().filter(|(ty, _)| is_its(ty)).map(|(_, entry)| (PG_TYPE_OID, entry.oid));
    let classes = classes().into_iter().filter(|class| is_its(&class.ty));
    let classes = classes.flat_map(|class| [(PG_OPCLASS_OID, class.oid), (PG_OPFAMILY_OID, class.oid)]);
    types.chain(classes).collect()
}

fn access_methods(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: HEAP_OID, amname: "heap", amhandler: "heap_tableam_handler", amtype: 't' });
    let methods = [
        IndexMethod::Btree,
        IndexMethod::Bitmap,
        IndexMethod::Hash,
        IndexMethod::Hnsw,
        IndexMethod::Ivfflat,
        IndexMethod::Gin,
        IndexMethod::Gist,
    ];
    for method in methods {
        let name = method.name();
        rows.add(cells! { oid: method_oid(method), amname: name, amhandler: format!("{name}handler"), amtype: 'i' });
    }
    Ok(())
}

pub fn method_oid(method: IndexMethod) -> u32 {
    match method {
        IndexMethod::Btree => BTREE_OID,
        IndexMethod::Bitmap => BITMAP_OID,
        IndexMethod::Hash => 405,
        IndexMethod::Hnsw => HNSW_OID,
        IndexMethod::Gin => 2742,
        IndexMethod::Gist => 783,
        IndexMethod::Ivfflat => IVFFLAT_OID,
    }
}

/// An operator class: its oid, method, name, type, and whether it is the type's default.
struct OperatorClass {
    oid: u32,
    method: IndexMethod,
    name: String,
    ty: Type,
    default: bool,
}

/// `int4_ops` for btree and bitmap, `vector_l2_ops` for hnsw and ivfflat.
fn classes() -> Vec<OperatorClass> {
    let mut classes = Vec::new();
    let mut oid = 16_300;
    let mut add = |method, name: String, ty: &Type, default| {
        classes.push(OperatorClass { oid, method, name, ty: ty.clone(), default });
        oid += 1;
    };
    for (ty, entry) in ENTRIES {
        for method in [IndexMethod::Btree, IndexMethod::Bitmap] {
            let unordered = matches!(ty, Type::Json | Type::JsonPath | Type::Int2Vector | Type::OidVector);
            if !unordered && !ty.is_pgvectors() {
                add(method, default_class(method, ty, entry.name), input_of(ty), input_of(ty) == ty);
            }
        }
    }
    for method in [IndexMethod::Hnsw, IndexMethod::Ivfflat] {
        for (element, metric) in vector_classes(method) {
            let (name, ty) = (metric.opclass(element.type_name()), type_of_element(element));
            add(method, name, &ty, is_default(method, element, metric));
        }
    }
    // array_ops is of any array.
    let array = Type::Array(Box::new(Type::Text));
    for (ty, entry) in ENTRIES {
        if !matches!(ty, Type::Json | Type::JsonPath) && !ty.is_pgvectors() {
            let name = default_class(IndexMethod::Hash, ty, entry.name);
            add(IndexMethod::Hash, name, input_of(ty), input_of(ty) == ty);
        }
    }
    for (method, name, ty, default) in [
        (IndexMethod::Gin, "tsvector_ops", &Type::TsVector, true),
        (IndexMethod::Gin, "array_ops", &array, true),
        (IndexMethod::Gin, "jsonb_ops", &Type::Jsonb, true),
        (IndexMethod::Gin, "jsonb_path_ops", &Type::Jsonb, false),
        (IndexMethod::Gist, "tsvector_ops", &Type::TsVector, true),
        (IndexMethod::Gin, "gin_hstore_ops", &Type::Hstore, true),
        (IndexMethod::Gist, "gist_hstore_ops", &Type::Hstore, true),
    ] {
        add(method, name.to_owned(), ty, default);
    }
    for of in RangeType::BUILT_IN {
        add(IndexMethod::Gist, "range_ops".to_owned(), &Type::Range(of), true);
    }
    for method in [IndexMethod::Btree, IndexMethod::Bitmap, IndexMethod::Hash] {
        for (name, ty) in PATTERN_CLASSES {
            add(method, name.to_owned(), &ty, false);
        }
        add(method, "array_ops".to_owned(), &array, true);
    }
    classes
}

/// Classes of texts by their bytes, which is how all texts are compared here.
const PATTERN_CLASSES: [(&str, Type); 4] = [
    ("text_pattern_ops", Type::Text),
    ("varchar_pattern_ops", Type::Text),
    ("bpchar_pattern_ops", Type::Bpchar(None)),
    ("citext_pattern_ops", Type::Citext),
];

/// The name of the class that bears the name of a type.
fn default_class(method: IndexMethod, ty: &Type, name: &str) -> String {
    if *ty == Type::Hstore {
        return format!("{}_{name}_ops", method.name());
    }
    let name = match ty {
        Type::Range(_) => "range",
        Type::Multirange(_) => "multirange",
        _ => name,
    };
    format!("{name}_ops")
}

/// The type that the class takes: those of varchar take texts, and those of texts varchar; cidr and inet likewise.
fn input_of(ty: &Type) -> &Type {
    match ty {
        Type::Varchar(_) => &Type::Text,
        Type::Network(NetworkType::Cidr) => &Type::Network(NetworkType::Inet),
        ty => ty,
    }
}

/// Whether a class is of a type without modifier.
fn is_of(class: &OperatorClass, bare: &Type) -> bool {
    class.ty == *input_of(bare) || matches!((&class.ty, bare), (Type::Array(_), Type::Array(_)))
}

/// The class an index column uses: the one it names, else its type's default; 0 when there is none.
pub fn opclass_oid(method: IndexMethod, named: Option<&str>, ty: &Type) -> u32 {
    let bare = ty.bare();
    let fits = |class: &OperatorClass| match named {
        Some(name) if !name.is_empty() => class.name == name && is_of(class, &bare),
        _ => class.default && is_of(class, &bare),
    };
    classes().iter().find(|class| class.method == method && fits(class)).map_or(0, |class| class.oid)
}

/// Whether `named` says no more than the default would.
pub fn is_default_opclass(method: IndexMethod, named: &str, ty: &Type) -> bool {
    let bare = ty.bare();
    classes()
        .iter()
        .any(|class| class.method == method && class.default && is_of(class, &bare) && class.name == named)
}

/// 42704 for an operator class that is not there, 42804 for one that is not of the type.
pub fn check_opclass(method: IndexMethod, named: &str, ty: &Type) -> Result<()> {
    let bare = ty.bare();
    if let (Type::Enum(_), "enum_ops")
    | (Type::Range(_), "range_ops")
    | (Type::Multirange(_), "multirange_ops") = (&bare, named)
    {
        return Ok(());
    }
    let classes = classes();
    let mut known = classes.iter().filter(|class| class.method == method && class.name == named).peekable();
    if known.peek().is_none() {
        let message =
            format!("operator class \"{named}\" does not exist for access method \"{}\"", method.name());
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    }
    if !known.any(|class| is_of(class, &bare)) {
        let shown = if let Type::Bpchar(_) = bare { "character".to_owned() } else { bare.to_string() };
        let message = format!("operator class \"{named}\" does not accept data type {shown}");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok(())
}

fn operator_classes(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for class in classes().into_iter().filter(|class| is_created(&class.ty, &catalog)) {
        rows.add(cells! {
            oid: class.oid, opcmethod: method_oid(class.method), opcname: class.name.clone(),
            opcnamespace: class_namespace(&class, &catalog), opcfamily: class.oid,
            // anyarray
            opcintype: if let Type::Array(_) = class.ty { 2277 } else { class.ty.oid() },
            opcdefault: class.default,
        });
    }
    Ok(())
}

/// pgvector's classes of bits are in its schema, though the type is not.
fn class_namespace(class: &OperatorClass, catalog: &Catalog) -> u32 {
    match class.method {
        IndexMethod::Hnsw | IndexMethod::Ivfflat => vector_schema(catalog),
        _ => namespace_in(&class.ty, catalog),
    }
}

/// One family per class, under the class's oid.
fn operator_families(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for class in classes().into_iter().filter(|class| is_created(&class.ty, &catalog)) {
        rows.add(cells! {
            oid: class.oid, opfmethod: method_oid(class.method), opfname: class.name.clone(),
            opfnamespace: class_namespace(&class, &catalog),
        });
    }
    Ok(())
}

fn collations(_execution: &Execution, rows: &mut Rows) -> Result<()> {
    rows.add(cells! { oid: DEFAULT_COLLATION_OID, collname: "default", collprovider: 'd' });
    for (oid, name) in COLLATIONS {
        let locale = if name == "POSIX" { name } else { "C" };
        rows.add(cells! {
            oid: oid, collname: name, collprovider: 'c', collcollate: locale, collctype: locale,
        });
    }
    Ok(())
}
