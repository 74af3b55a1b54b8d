//! Partitions as PostgreSQL's catalogue tells of them.

use std::sync::Arc;

use crate::catalog::{
    Catalog, Constraint, ConstraintKind, IndexMethod, KeyRange, Keys, Oid, Partition, PartitionBound,
    Relation, Strategy, Table,
};
use crate::codec::key;
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::names::quote_ident;
use crate::sql::system::relation::{Rows, cells};
use crate::sql::system::{deparse, types};
use crate::types::{Type, Value, text};

pub fn inherits(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for table in catalog.tables() {
        for part in table.partitions() {
            let own = part.indexes.iter().filter(|own| catalog.index_by_oid(own.of).is_some());
            let own = own.map(|own| (own.oid, own.of));
            for (child, parent) in std::iter::once((part.oid, table.oid)).chain(own) {
                rows.add(
                    cells! { inhrelid: child, inhparent: parent, inhseqno: 1i32, inhdetachpending: false },
                );
            }
        }
    }
    Ok(())
}

pub fn partitioned(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for table in execution.session.catalog().tables() {
        let Some(by) = &table.partitioning else { continue };
        let Some(column) = table.column_number(by.column) else { continue };
        rows.add(cells! {
            partrelid: table.oid, partnatts: 1i16,
            partstrat: match by.strategy {
                Strategy::List => 'l',
                Strategy::Range => 'r',
            },
            partdefid: by.default_part().map_or(0, |part| part.oid),
            partattrs: vec![Value::Int2(by.column as i16)],
            partclass: vec![Value::Oid(types::opclass_oid(IndexMethod::Btree, None, &column.ty))],
            partcollation: vec![Value::Oid(types::collation(&column.ty))],
        });
    }
    Ok(())
}

/// A relation that is partitioned or a partition.
pub struct Tree {
    pub parent: Option<Oid>,
    children: Vec<Oid>,
}

/// A relation of a tree with its parent.
pub struct Branch {
    pub oid: Oid,
    pub parent: Option<Oid>,
}

/// The place of a relation in a tree of partitions, if it is in one.
pub fn tree(catalog: &Catalog, oid: Oid) -> Option<Tree> {
    let below = |children: Vec<Oid>| Some(Tree { parent: None, children });
    let above = |parent: Oid| Some(Tree { parent: Some(parent), children: Vec::new() });
    match catalog.relation_by_oid(oid)? {
        Relation::Table(table) => {
            below(table.partitioning.as_ref()?.parts.iter().map(|part| part.oid).collect())
        }
        Relation::Partition(part) => above(part.oid),
        Relation::Index(index) => {
            let table = catalog.table_by_oid(index.table).filter(|table| table.is_partitioned())?;
            below(table.partition_indexes().filter(|own| own.of == oid).map(|own| own.oid).collect())
        }
        Relation::PartitionIndex(index) => {
            let parent = catalog.parent_of_part_index(&index)?;
            let of = parent.partition_indexes().find(|own| own.oid == oid)?.of;
            above(of)
        }
        Relation::Sequence(_) | Relation::View(_) => None,
    }
}

/// A relation of a tree, then what is below it.
pub fn branches(catalog: &Catalog, oid: Oid) -> Vec<Branch> {
    let Some(tree) = tree(catalog, oid) else { return Vec::new() };
    let own = std::iter::once(Branch { oid, parent: tree.parent });
    own.chain(tree.children.into_iter().map(|child| Branch { oid: child, parent: Some(oid) })).collect()
}

/// Tables, then partitions with the constraints that the catalogue lists as theirs.
pub fn tables(catalog: &Catalog) -> impl Iterator<Item = Arc<Table>> + '_ {
    let parts = catalog.tables().flat_map(move |table| {
        table.partitions().iter().filter_map(move |part| {
            let seen = catalog.rows_by_oid(part.oid)?;
            let own = table.constraints.iter().filter_map(|of| own_constraint(catalog, part, of));
            Some(Arc::new(Table { constraints: own.collect(), ..(**seen).clone() }))
        })
    });
    catalog.tables().cloned().chain(parts)
}

/// What a partition has of a constraint of its parent: a key is called as its index is.
fn own_constraint(catalog: &Catalog, part: &Partition, of: &Constraint) -> Option<Constraint> {
    let (oid, name) = match of.kind {
        ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => {
            let index = catalog.index_of_constraint(of.oid)?;
            let own = part.indexes.iter().find(|own| own.of == index.oid)?;
            (own.oid, own.name.clone())
        }
        _ => (inherited_oid(part.oid, of.oid), of.name.clone()),
    };
    Some(Constraint { oid, name, ..of.clone() })
}

/// A partition's constraint that is no key has an oid out of the range of other objects. A key has that of its index:
/// the two are listed in different relations.
fn inherited_oid(part: Oid, constraint: Oid) -> Oid {
    0x8000_0000 | (part & 0x0007_ffff) << 12 | constraint & 0xfff
}

/// The constraint of the parent that a partition's constraint is of; other tables' are of none.
pub fn parent_constraint(catalog: &Catalog, part: &Table, constraint: &Constraint) -> Option<Oid> {
    part.part.as_ref()?;
    let parent = catalog.table_by_oid(part.oid)?;
    match catalog.relation_by_oid(constraint.oid) {
        Some(Relation::PartitionIndex(own)) => own.constraint,
        _ => {
            let mut all = parent.constraints.iter();
            all.find(|of| inherited_oid(part.known_as(), of.oid) == constraint.oid).map(|of| of.oid)
        }
    }
}

/// The constraint of a table or a partition.
pub fn constraint_by_oid(catalog: &Catalog, oid: Oid) -> Option<(Arc<Table>, Constraint)> {
    if let Some(Relation::PartitionIndex(own)) = catalog.relation_by_oid(oid) {
        let part = catalog.rows_by_oid(own.table)?;
        let of = part.constraint(own.constraint?)?;
        return Some((Arc::clone(part), Constraint { oid, name: own.name.clone(), ..of.clone() }));
    }
    for table in catalog.tables() {
        if let Some(constraint) = table.constraint(oid) {
            return Some((Arc::clone(table), constraint.clone()));
        }
        for part in table.partitions() {
            if let Some(of) = table.constraints.iter().find(|of| inherited_oid(part.oid, of.oid) == oid) {
                return Some((Arc::clone(catalog.rows_by_oid(part.oid)?), Constraint { oid, ..of.clone() }));
            }
        }
    }
    None
}

/// `LIST (category_id)`
pub fn key(table: &Table) -> Option<String> {
    let by = table.partitioning.as_ref()?;
    let column = table.column_number(by.column)?;
    Some(format!("{} ({})", by.strategy.name().to_uppercase(), quote_ident(&column.name)))
}

/// A value of a bound, without its type.
pub fn shown_bound(value: &str, ty: &Type) -> String {
    let shown = deparse::quoted(value, &deparse::shown_type(ty));
    match shown.starts_with('\'') {
        true => shown.rsplit_once("::").map_or(shown.clone(), |(quoted, _)| quoted.to_owned()),
        false => shown,
    }
}

/// `FOR VALUES IN (1, 2)`, `FOR VALUES FROM (1) TO (MAXVALUE)`, `DEFAULT`
pub fn bound(table: &Table) -> Option<String> {
    let part = table.part.as_ref()?;
    let ty = &table.column_number(part.column)?.ty;
    Some(match &part.bound {
        PartitionBound::Default => "DEFAULT".to_owned(),
        PartitionBound::In(_) => {
            let shown = part.keys.values.iter().map(|value| match value {
                Value::Null => "NULL".to_owned(),
                value => shown_bound(&text::to_string(value), ty),
            });
            format!("FOR VALUES IN ({})", shown.collect::<Vec<_>>().join(", "))
        }
        PartitionBound::Range { from, to } => {
            let end = |end: &Option<String>, open: &str| {
                end.as_ref().map_or_else(|| open.to_owned(), |end| shown_bound(end, ty))
            };
            format!("FOR VALUES FROM ({}) TO ({})", end(from, "MINVALUE"), end(to, "MAXVALUE"))
        }
    })
}

/// What the rows of a partition satisfy; none for a default partition that is the only one.
pub fn constraint(table: &Table) -> Option<String> {
    let part = table.part.as_ref()?;
    let column = table.column_number(part.column)?;
    let name = quote_ident(&column.name);
    if !part.keys.ranges.is_empty() {
        return Some(range_constraint(&part.keys, &name, &column.ty));
    }
    let present = part.keys.values.iter().filter(|value| **value != Value::Null);
    let mut present: Vec<&Value> = present.collect();
    if part.keys.others {
        // Of a default partition PostgreSQL sorts them.
        present.sort_by_cached_key(|value| key::of(std::slice::from_ref(*value)));
    }
    let present: Vec<String> = present.into_iter().map(|value| constant(value, &column.ty)).collect();
    let equal = match present.as_slice() {
        [] => None,
        [one] => Some(format!("({name} = {one})")),
        several => Some(format!("({name} = ANY (ARRAY[{}]))", several.join(", "))),
    };
    let nulls = part.keys.values.contains(&Value::Null);
    let inside = match (equal, nulls) {
        (Some(equal), false) => format!("(({name} IS NOT NULL) AND {equal})"),
        (Some(equal), true) => format!("(({name} IS NULL) OR {equal})"),
        (None, true) => format!("({name} IS NULL)"),
        (None, false) => return None,
    };
    Some(if part.keys.others { format!("(NOT {inside})") } else { inside })
}

/// `((a IS NOT NULL) AND (a >= 1) AND (a < 10))`; of a default partition that of all others, in their order, negated.
fn range_constraint(keys: &Keys, name: &str, ty: &Type) -> String {
    let mut ranges: Vec<&KeyRange> = keys.ranges.iter().collect();
    ranges.sort_by_cached_key(|range| range.from.as_ref().map(|from| key::of(std::slice::from_ref(from))));
    let ends = |range: &KeyRange| -> Vec<String> {
        let from = range.from.as_ref().map(|from| format!("({name} >= {})", constant(from, ty)));
        let to = range.to.as_ref().map(|to| format!("({name} < {})", constant(to, ty)));
        from.into_iter().chain(to).collect()
    };
    if !keys.others {
        let ends = ranges.iter().flat_map(|range| ends(range));
        let all: Vec<String> = std::iter::once(format!("({name} IS NOT NULL)")).chain(ends).collect();
        return match all.as_slice() {
            [one] => one.clone(),
            all => format!("({})", all.join(" AND ")),
        };
    }
    let each: Vec<String> = ranges
        .iter()
        .map(|range| match ends(range).as_slice() {
            [one] => one.clone(),
            ends => format!("({})", ends.join(" AND ")),
        })
        .collect();
    let any = match each.as_slice() {
        [one] => one.clone(),
        each => format!("({})", each.join(" OR ")),
    };
    format!("(NOT (({name} IS NOT NULL) AND {any}))")
}

/// A value as PostgreSQL shows a constant of the type.
fn constant(value: &Value, ty: &Type) -> String {
    match value {
        Value::Null => "NULL".into(),
        value => deparse::quoted(&text::to_string(value), &deparse::shown_type(ty)),
    }
}
