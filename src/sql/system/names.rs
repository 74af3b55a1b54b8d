//! Objects by name and by oid, as a session sees them.

pub use crate::types::identifiers::quote_ident;

use crate::catalog::{self, Catalog, Oid};
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::Execution;
use crate::sql::system::{INFORMATION_SCHEMA, INFORMATION_SCHEMA_OID, PG_CATALOG, PG_CATALOG_OID, VIEWS};
use crate::sql::type_names::does_not_exist;
use crate::types::{RangeType, Type};

/// `schema.name`, each quoted where needed.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// The parts of a possibly quoted, possibly qualified name, folded as SQL folds them; `None` when it is not one.
pub fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let word = rest[..end].trim();
                let fits =
                    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
                (fits.then(|| word.to_lowercase())?, &rest[end..])
            }
        };
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if after.trim().is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn read_quoted(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

/// The schemas in which unqualified names are looked for, pg_catalog first.
pub fn search_path(execution: &Execution) -> Vec<String> {
    let path = execution.session.search_path();
    let implicit = (!path.iter().any(|schema| schema == PG_CATALOG)).then(|| PG_CATALOG.to_owned());
    implicit.into_iter().chain(path).collect()
}

/// search_path without the schema of temporary tables, which is not named in it.
pub fn named_path(execution: &Execution) -> Vec<String> {
    let path = execution.session.search_path().into_iter();
    path.filter(|schema| !schema.starts_with(catalog::TEMPORARY_SCHEMA)).collect()
}

pub fn schema_oid(catalog: &Catalog, name: &str) -> Option<Oid> {
    match name {
        PG_CATALOG => Some(PG_CATALOG_OID),
        INFORMATION_SCHEMA => Some(INFORMATION_SCHEMA_OID),
        other => catalog.schema(other).map(|schema| schema.oid),
    }
}

pub fn schema_name(catalog: &Catalog, oid: Oid) -> Option<String> {
    match oid {
        PG_CATALOG_OID => Some(PG_CATALOG.to_owned()),
        INFORMATION_SCHEMA_OID => Some(INFORMATION_SCHEMA.to_owned()),
        other => catalog.schemas().find(|schema| schema.oid == other).map(|schema| schema.name.clone()),
    }
}

/// Schema and name of a relation, of the system or the user's.
pub fn relation_name(catalog: &Catalog, oid: Oid) -> Option<(String, String)> {
    if let Some(view) = VIEWS.values().find(|view| view.relation.oid == oid) {
        return Some((view.relation.schema.to_owned(), view.relation.name.to_owned()));
    }
    if let Some(of) = catalog.composites().map(|of| &of.definition).find(|of| of.relation == oid) {
        return Some((of.schema.clone(), of.name.clone()));
    }
    Some(match catalog.relation_by_oid(oid)? {
        catalog::Relation::Table(table) | catalog::Relation::Partition(table) => {
            (table.schema.clone(), table.name.clone())
        }
        catalog::Relation::Index(index) | catalog::Relation::PartitionIndex(index) => {
            (catalog.schema_of_index(&index).to_owned(), index.name.clone())
        }
        catalog::Relation::Sequence(sequence) => (sequence.schema.clone(), sequence.name.clone()),
        catalog::Relation::View(view) => (view.schema.clone(), view.name.clone()),
    })
}

pub fn relation_oid(catalog: &Catalog, schema: &str, name: &str) -> Option<Oid> {
    if let Some(view) = VIEWS.get(&(schema, name)) {
        return Some(view.relation.oid);
    }
    let Some(relation) = catalog.relation(schema, name) else {
        let mut composites = catalog.composites().map(|of| &of.definition);
        return composites.find(|of| of.schema == schema && of.name == name).map(|of| of.relation);
    };
    Some(match relation {
        catalog::Relation::Table(table) | catalog::Relation::Partition(table) => table.known_as(),
        catalog::Relation::Index(index) | catalog::Relation::PartitionIndex(index) => index.oid,
        catalog::Relation::Sequence(sequence) => sequence.oid,
        catalog::Relation::View(view) => view.oid,
    })
}

/// Whether the unqualified name finds this relation.
pub fn is_visible(execution: &Execution, schema: &str, name: &str) -> bool {
    let catalog = execution.session.catalog();
    let path = search_path(execution);
    let first = path.iter().find(|candidate| relation_oid(&catalog, candidate, name).is_some());
    first.is_some_and(|first| first == schema)
}

/// What `oid::regclass` shows: the name, qualified where it would not be found without; digits for no relation.
pub fn regclass_out(execution: &Execution, oid: Oid) -> String {
    match relation_name(&execution.session.catalog(), oid) {
        Some((schema, name)) if is_visible(execution, &schema, &name) => quote_ident(&name),
        Some((schema, name)) => qualified(&schema, &name),
        None if oid == 0 => "-".to_owned(),
        None => oid.to_string(),
    }
}

/// to_regclass(): the relation a name stands for.
pub fn find_relation(execution: &Execution, text: &str) -> Option<Oid> {
    let catalog = execution.session.catalog();
    let parts = split_name(text)?;
    match parts.as_slice() {
        [name] => search_path(execution).iter().find_map(|schema| relation_oid(&catalog, schema, name)),
        [schema, name] => relation_oid(&catalog, schema, name),
        [database, schema, name] if *database == execution.session.database() => {
            relation_oid(&catalog, schema, name)
        }
        _ => None,
    }
}

/// `'t'::regclass`: digits are an oid.
pub fn regclass_in(execution: &Execution, text: &str) -> Result<Oid> {
    if let Ok(oid) = text.trim().parse() {
        return Ok(oid);
    }
    if text.trim() == "-" {
        return Ok(0);
    }
    find_relation(execution, text).ok_or_else(|| {
        let shown = split_name(text).map_or_else(|| text.to_owned(), |parts| parts.join("."));
        Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"))
    })
}

/// `'int4'::regtype`.
pub fn regtype_in(execution: &Execution, text: &str) -> Result<Oid> {
    match text.trim() {
        "-" => Ok(0),
        "bit" | "pg_catalog.bit" => Ok(1560),
        "varbit" | "bit varying" => Ok(1562),
        digits if digits.parse::<Oid>().is_ok() => Ok(digits.parse().unwrap_or(0)),
        name => {
            let bare = name.strip_prefix("pg_catalog.").unwrap_or(name);
            match PSEUDO_TYPES.iter().find(|(_, pseudo)| *pseudo == bare) {
                Some((oid, _)) => Ok(*oid),
                None => own_domain(execution, name).map_or_else(|| type_named(execution, name), Ok),
            }
        }
    }
}

fn type_named(execution: &Execution, name: &str) -> Result<Oid> {
    let found = match Type::from_name(name) {
        Ok(ty) if ty.extension().is_some() => own_type(execution, name).ok_or_else(|| does_not_exist(name)),
        known => known.or_else(|error| own_type(execution, name).ok_or(error)),
    };
    found.map(|ty| ty.oid())
}

/// A domain by its name.
pub fn own_domain(execution: &Execution, name: &str) -> Option<Oid> {
    let name = crate::sql::shared::parse_name(name).ok()?;
    let catalog = execution.session.catalog();
    Some(crate::sql::domains::by_name(&name, &catalog, &execution.session.search_path())?.oid)
}

/// A type that a user made, by its name.
pub fn own_type(execution: &Execution, name: &str) -> Option<Type> {
    let (item, is_array) = match name.trim().strip_suffix("[]") {
        Some(item) => (item, true),
        None => (name.trim(), false),
    };
    let name = crate::sql::shared::parse_name(item).ok()?;
    let catalog = execution.session.catalog();
    let found = crate::sql::type_names::own_named(&name, &catalog, &execution.session.search_path())?;
    Some(if is_array { Type::Array(Box::new(found)) } else { found })
}

/// What is before the names of the extension's types and operator classes: they are in `public`, and named with it where
/// the search path does not lead there, as in a session of pg_dump.
pub fn extension_prefix(execution: &Execution) -> &'static str {
    match execution.session.search_path().iter().any(|schema| schema == "public") {
        true => "",
        false => "public.",
    }
}

/// The same of types of an extension that was created in a schema of its own.
fn created_prefix(execution: &Execution, extension: &str) -> String {
    let catalog = execution.session.catalog();
    match catalog.extension_named(extension) {
        Some(created) if !execution.session.search_path().contains(&created.schema) => {
            format!("{}.", quote_ident(&created.schema))
        }
        _ => String::new(),
    }
}

/// A type as format_type() shows it, with the modifier that is asked for.
pub fn type_out(execution: &Execution, ty: &Type, typmod: Option<i32>) -> String {
    match (ty, typmod) {
        (Type::Array(item), typmod) => {
            let (dimensions, typmod) = typmod.map(Type::of_column_typmod).unzip();
            let brackets = "[]".repeat(dimensions.flatten().unwrap_or(1));
            format!("{}{brackets}", type_out(execution, item, typmod))
        }
        (Type::Enum(of), _) => user_type_out(execution, &of.schema, &of.name),
        (Type::Composite(of), _) => user_type_out(execution, &of.schema, &of.name),
        (Type::Range(RangeType::Own(of)), _) => user_type_out(execution, &of.schema, &of.name),
        (Type::Multirange(RangeType::Own(of)), _) => {
            user_type_out(execution, &of.multirange_schema, &of.multirange_name)
        }
        // Not `bit`, which would mean one bit.
        (Type::Bit(_), Some(..0)) => "\"bit\"".to_owned(),
        (ty, typmod) => {
            let prefix = match ty.extension() {
                Some(extension) => created_prefix(execution, extension),
                None if ty.is_pgvectors() => extension_prefix(execution).to_owned(),
                None => String::new(),
            };
            let name = typmod
                .map_or_else(|| ty.standard_name(), |typmod| ty.clone().with_typmod(typmod).to_string());
            format!("{prefix}{name}")
        }
    }
}

/// A domain or enum as format_type() shows it: with its schema where the search path does not lead there.
fn user_type_out(execution: &Execution, schema: &str, name: &str) -> String {
    let path = execution.session.search_path();
    let catalog = execution.session.catalog();
    let is_in = |schema: &str| {
        catalog.domain_named(schema, name).is_some() || catalog.type_named(schema, name).is_some()
    };
    match path.iter().find(|schema| is_in(schema)) {
        Some(first) if first == schema => quote_ident(name),
        _ => qualified(schema, name),
    }
}

/// format_type() of a type without modifier, for an oid that may be none of ours.
pub fn regtype_out(execution: &Execution, oid: Oid) -> String {
    let catalog = execution.session.catalog();
    if let Some(domain) = catalog.domain_by_oid(oid) {
        return user_type_out(execution, &domain.schema, &domain.name);
    }
    match catalog.type_by_oid(oid) {
        Some(ty) => type_out(execution, &ty, None),
        None if oid == 0 => "-".to_owned(),
        None => pseudo_type(oid).map_or_else(|| oid.to_string(), str::to_owned),
    }
}

/// Types that only functions have, and bit strings without a length.
const PSEUDO_TYPES: &[(Oid, &str)] = &[
    (705, "unknown"),
    (1560, "bit"),
    (1562, "bit varying"),
    (2249, "record"),
    (2275, "cstring"),
    (2276, "\"any\""),
    (2277, "anyarray"),
    (2278, "void"),
    (2279, "trigger"),
    (2281, "internal"),
    (2283, "anyelement"),
    (2287, "record[]"),
    (3838, "event_trigger"),
];

/// Whether a relation is found by its bare name; `None` where there is none of the oid.
pub fn is_relation_visible(execution: &Execution, relation: Oid) -> Option<bool> {
    let (schema, name) = relation_name(&execution.session.catalog(), relation)?;
    Some(is_visible(execution, &schema, &name))
}

/// The name of one of them.
pub fn pseudo_type(oid: Oid) -> Option<&'static str> {
    PSEUDO_TYPES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let parts = |text: &str| split_name(text);
        assert_eq!(parts("Public.Items"), Some(vec!["public".into(), "items".into()]));
        assert_eq!(parts("\"My \"\"T\"\"\".x"), Some(vec!["My \"T\"".into(), "x".into()]));
        assert_eq!(parts("a..b"), None);
        assert_eq!(parts("a b"), None);
        assert_eq!(parts("\"a"), None);
    }
}
