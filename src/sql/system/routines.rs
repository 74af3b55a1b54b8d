//! Functions by name: pgvector's, which \df lists, and those that read and write values, which pg_type names.
//!
//! PostgreSQL's own functions are here as far as the planner knows them, but not as rows: nobody lists them, and a
//! row would have to tell types that DataFusion decides per call. Those of large objects are rows: clients look up their
//! oids and call them by these.

use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::planner::large_objects;
use crate::sql::system::own_functions;
use crate::sql::system::relation::{Relation, Rows, cells};
use crate::sql::system::types::{in_out_functions, schema_of, vector_schema};
use crate::sql::system::{PG_CATALOG, PG_CATALOG_OID};
use crate::types::{Type, Value};

pub const PG_PROC_OID: u32 = 1255;

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: PG_PROC_OID,
        schema: PG_CATALOG,
        name: "pg_proc",
        kind: 'r',
        columns: "oid oid, proname name, pronamespace oid, proowner oid = 10, prolang oid = 13, \
            procost float4 = 1, prorows float4 = 0, provariadic oid = 0, prosupport text = -, prokind char = f, \
            prosecdef bool = f, proleakproof bool = f, proisstrict bool = t, proretset bool = f, \
            provolatile char = i, proparallel char = s, pronargs int2, pronargdefaults int2 = 0, prorettype oid, \
            proargtypes oid[], proallargtypes oid[], proargmodes text[], proargnames text[], proargdefaults text, \
            protrftypes oid[], prosrc text, probin text, prosqlbody text, proconfig text[], proacl text[]",
        rows: routines,
    },
    Relation {
        oid: 2600,
        schema: PG_CATALOG,
        name: "pg_aggregate",
        kind: 'r',
        columns: "aggfnoid text, aggkind char = n, aggnumdirectargs int2 = 0, aggtransfn text, aggfinalfn text = -, \
            aggcombinefn text = -, aggserialfn text = -, aggdeserialfn text = -, aggmtransfn text = -, \
            aggminvtransfn text = -, aggmfinalfn text = -, aggfinalextra bool = f, aggmfinalextra bool = f, \
            aggfinalmodify char = r, aggmfinalmodify char = r, aggsortop oid = 0, aggtranstype oid, \
            aggtransspace int4 = 0, aggmtranstype oid = 0, aggmtransspace int4 = 0, agginitval text, aggminitval text",
        rows: super::relation::none,
    },
];

/// Functions are numbered from here, in the order of the list.
const FIRST_OID: u32 = 15_000;
/// The result of functions that answer nothing.
const VOID_OID: u32 = 2278;
/// Functions that read and write values of types are numbered from here.
const FIRST_IN_OUT_OID: u32 = 15_200;

/// Name, arguments, result; aggregates are told by their name.
const LIST: &[(&str, &str, &str)] = &[
    ("avg", "vector", "vector"),
    ("sum", "vector", "vector"),
    ("cosine_distance", "vector, vector", "double precision"),
    ("inner_product", "vector, vector", "double precision"),
    ("l1_distance", "vector, vector", "double precision"),
    ("l2_distance", "vector, vector", "double precision"),
    ("l2_norm", "vector", "double precision"),
    ("l2_normalize", "vector", "vector"),
    ("subvector", "vector, integer, integer", "vector"),
    ("vector_dims", "vector", "integer"),
    ("binary_quantize", "vector", "bit"),
    ("vector_norm", "vector", "double precision"),
    ("vector_add", "vector, vector", "vector"),
    ("vector_sub", "vector, vector", "vector"),
    ("vector_mul", "vector, vector", "vector"),
    ("vector_concat", "vector, vector", "vector"),
    ("vector_negative_inner_product", "vector, vector", "double precision"),
    ("vector_l2_squared_distance", "vector, vector", "double precision"),
    ("vector_spherical_distance", "vector, vector", "double precision"),
    ("vector_eq", "vector, vector", "boolean"),
    ("vector_ne", "vector, vector", "boolean"),
    ("vector_lt", "vector, vector", "boolean"),
    ("vector_le", "vector, vector", "boolean"),
    ("vector_gt", "vector, vector", "boolean"),
    ("vector_ge", "vector, vector", "boolean"),
    ("vector_cmp", "vector, vector", "integer"),
    ("avg", "halfvec", "halfvec"),
    ("sum", "halfvec", "halfvec"),
    ("cosine_distance", "halfvec, halfvec", "double precision"),
    ("inner_product", "halfvec, halfvec", "double precision"),
    ("l1_distance", "halfvec, halfvec", "double precision"),
    ("l2_distance", "halfvec, halfvec", "double precision"),
    ("l2_norm", "halfvec", "double precision"),
    ("l2_normalize", "halfvec", "halfvec"),
    ("subvector", "halfvec, integer, integer", "halfvec"),
    ("vector_dims", "halfvec", "integer"),
    ("binary_quantize", "halfvec", "bit"),
    ("halfvec_add", "halfvec, halfvec", "halfvec"),
    ("halfvec_sub", "halfvec, halfvec", "halfvec"),
    ("halfvec_mul", "halfvec, halfvec", "halfvec"),
    ("halfvec_concat", "halfvec, halfvec", "halfvec"),
    ("halfvec_negative_inner_product", "halfvec, halfvec", "double precision"),
    ("halfvec_l2_squared_distance", "halfvec, halfvec", "double precision"),
    ("halfvec_spherical_distance", "halfvec, halfvec", "double precision"),
    ("halfvec_eq", "halfvec, halfvec", "boolean"),
    ("halfvec_ne", "halfvec, halfvec", "boolean"),
    ("halfvec_lt", "halfvec, halfvec", "boolean"),
    ("halfvec_le", "halfvec, halfvec", "boolean"),
    ("halfvec_gt", "halfvec, halfvec", "boolean"),
    ("halfvec_ge", "halfvec, halfvec", "boolean"),
    ("halfvec_cmp", "halfvec, halfvec", "integer"),
    ("cosine_distance", "sparsevec, sparsevec", "double precision"),
    ("inner_product", "sparsevec, sparsevec", "double precision"),
    ("l1_distance", "sparsevec, sparsevec", "double precision"),
    ("l2_distance", "sparsevec, sparsevec", "double precision"),
    ("l2_norm", "sparsevec", "double precision"),
    ("l2_normalize", "sparsevec", "sparsevec"),
    ("sparsevec_negative_inner_product", "sparsevec, sparsevec", "double precision"),
    ("sparsevec_l2_squared_distance", "sparsevec, sparsevec", "double precision"),
    ("sparsevec_eq", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_ne", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_lt", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_le", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_gt", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_ge", "sparsevec, sparsevec", "boolean"),
    ("sparsevec_cmp", "sparsevec, sparsevec", "integer"),
    ("hamming_distance", "bit, bit", "double precision"),
    ("jaccard_distance", "bit, bit", "double precision"),
];

/// The oids of the functions of the extension vector.
pub fn extension_members() -> impl Iterator<Item = u32> {
    // A schema that tells them from those of PostgreSQL's types.
    const MARK: u32 = u32::MAX;
    let listed = (FIRST_OID..).take(LIST.len());
    let in_out =
        (FIRST_IN_OUT_OID..).zip(in_out_functions(MARK)).filter(|(_, function)| function.schema == MARK);
    listed.chain(in_out.map(|(oid, _)| oid))
}

/// The oids of the functions of the types of another extension.
pub fn members_of(extension: &str) -> impl Iterator<Item = u32> {
    let all = (FIRST_IN_OUT_OID..).zip(in_out_functions(0));
    all.filter(move |(_, function)| function.extension == Some(extension)).map(|(oid, _)| oid)
}

/// A function of the list by its oid: name, arguments, result.
pub fn by_oid(oid: u32) -> Option<(&'static str, &'static str, &'static str)> {
    LIST.get(oid.checked_sub(FIRST_OID)? as usize).copied()
}

/// A function of large objects by its oid: arguments, result.
pub fn of_large_objects(oid: u32) -> Option<(String, String)> {
    let routine = large_objects::by_oid(oid)?;
    let arguments: Vec<String> = routine.parameters.iter().map(Type::to_string).collect();
    let result = routine.result.as_ref().map_or_else(|| "void".to_owned(), Type::to_string);
    Some((arguments.join(", "), result))
}

/// The oid of the first function of this name.
pub fn by_name(name: &str) -> Option<u32> {
    if let Some(place) = LIST.iter().position(|(known, _, _)| *known == name) {
        return Some(FIRST_OID + place as u32);
    }
    if let Some(routine) = large_objects::ROUTINES.iter().find(|routine| routine.name == name) {
        return Some(routine.oid);
    }
    let place = in_out_functions(0).iter().position(|function| function.name == name)?;
    Some(FIRST_IN_OUT_OID + place as u32)
}

/// The name of a function of any kind that is not the user's.
pub fn name_of(oid: u32) -> Option<String> {
    let of_large_objects = large_objects::by_oid(oid).map(|routine| routine.name);
    match by_oid(oid).map(|(name, _, _)| name).or(of_large_objects) {
        Some(name) => Some(name.to_owned()),
        None => {
            let place = oid.checked_sub(FIRST_IN_OUT_OID)? as usize;
            in_out_functions(0).into_iter().nth(place).map(|function| function.name)
        }
    }
}

fn routines(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let public = vector_schema(&catalog);
    for (place, (name, arguments, result)) in LIST.iter().enumerate() {
        let arguments: Vec<Value> = arguments
            .split(", ")
            .map(|name| Type::from_name(name).map(|ty| Value::Oid(ty.oid())))
            .collect::<Result<_>>()?;
        rows.add(cells! {
            oid: FIRST_OID + place as u32, proname: *name, prokind: if matches!(*name, "avg" | "sum") { 'a' } else { 'f' },
            pronargs: arguments.len() as i16, prorettype: Type::from_name(result)?.oid(), proargtypes: arguments,
            prosrc: *name, pronamespace: public,
        });
    }
    for (place, function) in in_out_functions(public).into_iter().enumerate() {
        let schema = match function.extension.map(|extension| catalog.extension_named(extension)) {
            Some(Some(extension)) => schema_of(extension, &catalog),
            Some(None) => continue,
            None => function.schema,
        };
        rows.add(cells! {
            oid: FIRST_IN_OUT_OID + place as u32, proname: &function.name, pronamespace: schema, pronargs: 1i16,
            prorettype: function.result, proargtypes: vec![Value::Oid(function.argument)], prosrc: &function.name,
            // internal
            prolang: 12u32,
        });
    }
    for routine in large_objects::ROUTINES {
        let arguments = routine.parameters.iter().map(|ty| Value::Oid(ty.oid())).collect::<Vec<_>>();
        rows.add(cells! {
            oid: routine.oid, proname: routine.name, pronamespace: PG_CATALOG_OID, pronargs: arguments.len() as i16,
            prorettype: routine.result.as_ref().map_or(VOID_OID, Type::oid), proargtypes: arguments,
            prosrc: routine.name, provolatile: 'v', proparallel: 'u',
            // internal
            prolang: 12u32,
        });
    }
    own_functions::routines(execution, rows)
}
