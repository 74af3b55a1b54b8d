//! One version of all definitions. Cheap to clone for the next version: objects are behind `Arc`s.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::definition::{
    Column, CompositeObject, Constraint, Domain, EnumObject, Extension, ForeignKey, Index, Object, Oid,
    RangeObject, Schema, Sequence, StoredQuery, Table, View,
};
use crate::catalog::function::{Body, Function};
use crate::catalog::{ConstraintKind, DefaultExpr, Edit, FIRST_USER_OID, PUBLIC_SCHEMA, PUBLIC_SCHEMA_OID};
use crate::types::{RangeType, Type};

/// All definitions as of one commit (or inside one transaction, with its own DDL).
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Grows with every change; part of the key of a cached plan.
    version: u64,
    schemas: BTreeMap<Oid, Arc<Schema>>,
    tables: BTreeMap<Oid, Arc<Table>>,
    indexes: BTreeMap<Oid, Arc<Index>>,
    sequences: BTreeMap<Oid, Arc<Sequence>>,
    views: BTreeMap<Oid, Arc<View>>,
    functions: BTreeMap<Oid, Arc<Function>>,
    enums: BTreeMap<Oid, Arc<EnumObject>>,
    composites: BTreeMap<Oid, Arc<CompositeObject>>,
    ranges: BTreeMap<Oid, Arc<RangeObject>>,
    domains: BTreeMap<Oid, Arc<Domain>>,
    extensions: BTreeMap<Oid, Arc<Extension>>,
    /// Partitions as statements see them, made from the definitions of their parents.
    parts: BTreeMap<Oid, Arc<Table>>,
    /// Their indexes: those of their parents under other names, of other tables.
    part_indexes: BTreeMap<Oid, Arc<Index>>,
    /// (schema, name) of tables, indexes, sequences and views, which share one name space, as in PostgreSQL.
    names: BTreeMap<(String, String), Oid>,
}

/// What a name of a relation stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    Table(Arc<Table>),
    Index(Arc<Index>),
    Sequence(Arc<Sequence>),
    View(Arc<View>),
    /// Its parent under the partition's name.
    Partition(Arc<Table>),
    /// Its parent's index under the name of the partition's.
    PartitionIndex(Arc<Index>),
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog::new()
    }
}

impl Catalog {
    /// A fresh database: the schema "public" and nothing else.
    pub fn new() -> Catalog {
        let public = Schema {
            oid: PUBLIC_SCHEMA_OID,
            name: PUBLIC_SCHEMA.into(),
            comment: Some("standard public schema".into()),
        };
        Catalog {
            version: 1,
            schemas: BTreeMap::from([(public.oid, Arc::new(public))]),
            tables: BTreeMap::new(),
            indexes: BTreeMap::new(),
            sequences: BTreeMap::new(),
            views: BTreeMap::new(),
            functions: BTreeMap::new(),
            enums: BTreeMap::new(),
            composites: BTreeMap::new(),
            ranges: BTreeMap::new(),
            domains: BTreeMap::new(),
            extensions: BTreeMap::new(),
            parts: BTreeMap::new(),
            part_indexes: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn schema(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.values().find(|schema| schema.name == name)
    }

    /// What the name stands for, if it is taken.
    pub fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let oid = *self.names.get(&(schema.to_owned(), name.to_owned()))?;
        self.relation_by_oid(oid)
    }

    pub fn relation_by_oid(&self, oid: Oid) -> Option<Relation> {
        if let Some(table) = self.tables.get(&oid) {
            return Some(Relation::Table(table.clone()));
        }
        if let Some(index) = self.indexes.get(&oid) {
            return Some(Relation::Index(index.clone()));
        }
        if let Some(view) = self.views.get(&oid) {
            return Some(Relation::View(view.clone()));
        }
        if let Some(part) = self.parts.get(&oid) {
            return Some(Relation::Partition(part.clone()));
        }
        if let Some(index) = self.part_indexes.get(&oid) {
            return Some(Relation::PartitionIndex(index.clone()));
        }
        self.sequences.get(&oid).cloned().map(Relation::Sequence)
    }

    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(self.names.get(&(schema.to_owned(), name.to_owned()))?)
    }

    /// The table or the partition of this name.
    pub fn rows_named(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        let oid = self.names.get(&(schema.to_owned(), name.to_owned()))?;
        self.tables.get(oid).or_else(|| self.parts.get(oid))
    }

    /// Partitions as statements see them, in order of their oids.
    pub fn parts(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.parts.values()
    }

    /// Tables, then partitions.
    pub fn tables_and_parts(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables().chain(self.parts.values())
    }

    /// The table or the partition with this oid.
    pub fn rows_by_oid(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.tables.get(&oid).or_else(|| self.parts.get(&oid))
    }

    /// Indexes of tables, then those of partitions.
    pub fn indexes_and_parts(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes().chain(self.part_indexes.values())
    }

    /// The index of a table or of a partition with this oid.
    pub fn index_or_part_by_oid(&self, oid: Oid) -> Option<&Arc<Index>> {
        self.indexes.get(&oid).or_else(|| self.part_indexes.get(&oid))
    }

    /// The table whose partition has this index.
    pub fn parent_of_part_index(&self, own: &Index) -> Option<&Arc<Table>> {
        self.tables.get(&self.parts.get(&own.table)?.oid)
    }

    /// Indexes of partitions.
    pub fn part_indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.part_indexes.values()
    }

    pub fn table_by_oid(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.tables.get(&oid)
    }

    pub fn index(&self, schema: &str, name: &str) -> Option<&Arc<Index>> {
        self.indexes.get(self.names.get(&(schema.to_owned(), name.to_owned()))?)
    }

    pub fn index_by_oid(&self, oid: Oid) -> Option<&Arc<Index>> {
        self.indexes.get(&oid)
    }

    pub fn sequence(&self, schema: &str, name: &str) -> Option<&Arc<Sequence>> {
        self.sequences.get(self.names.get(&(schema.to_owned(), name.to_owned()))?)
    }

    pub fn sequence_by_oid(&self, oid: Oid) -> Option<&Arc<Sequence>> {
        self.sequences.get(&oid)
    }

    pub fn view(&self, schema: &str, name: &str) -> Option<&Arc<View>> {
        self.views.get(self.names.get(&(schema.to_owned(), name.to_owned()))?)
    }

    pub fn view_by_oid(&self, oid: Oid) -> Option<&Arc<View>> {
        self.views.get(&oid)
    }

    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.values()
    }

    /// The SQL of all that a statement may use without saying so: defaults, computed columns, conditions, views, functions.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        fn sql(default: &DefaultExpr) -> &str {
            &default.sql
        }
        let of_tables = self.tables_and_parts().flat_map(|table| {
            let of_columns = table.columns.iter().flat_map(|column| {
                let computed = column.generated.iter().map(|generated| generated.sql.as_str());
                column.default.iter().map(sql).chain(computed)
            });
            let conditions = table.constraints.iter().filter_map(|constraint| match &constraint.kind {
                ConstraintKind::Check { sql } => Some(sql.as_str()),
                _ => None,
            });
            of_columns.chain(conditions)
        });
        let of_views = self.views().flat_map(|view| {
            std::iter::once(view.query.sql.as_str())
                .chain(view.defaults.iter().map(|(_, default)| sql(default)))
        });
        let of_functions = self.functions().flat_map(|function| {
            let (Body::Text(body) | Body::Return(body) | Body::Atomic(body)) = &function.body;
            let defaults = function.arguments.iter().filter_map(|argument| argument.default.as_deref());
            std::iter::once(body.as_str()).chain(defaults)
        });
        let of_domains = self.domains().flat_map(|domain| {
            domain.default.iter().map(sql).chain(domain.checks.iter().map(|check| check.sql.as_str()))
        });
        of_tables.chain(of_views).chain(of_functions).chain(of_domains)
    }

    pub fn function_by_oid(&self, oid: Oid) -> Option<&Arc<Function>> {
        self.functions.get(&oid)
    }

    /// In order of oid.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// The functions of a name in a schema; they differ in their arguments.
    pub fn functions_named<'c, 'n>(
        &'c self,
        schema: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = &'c Arc<Function>> {
        self.functions.values().filter(move |function| function.schema == schema && function.name == name)
    }

    /// In order of oid.
    pub fn enums(&self) -> impl Iterator<Item = &Arc<EnumObject>> {
        self.enums.values()
    }

    /// In order of oid.
    pub fn composites(&self) -> impl Iterator<Item = &Arc<CompositeObject>> {
        self.composites.values()
    }

    /// In order of oid.
    pub fn ranges(&self) -> impl Iterator<Item = &Arc<RangeObject>> {
        self.ranges.values()
    }

    /// Types that CREATE TYPE made, each with its schema. Those of multiranges come with their ranges.
    pub fn own_types(&self) -> impl Iterator<Item = (&str, Type)> {
        let enums = self.enums.values().map(|of| &of.definition);
        let composites = self.composites.values().map(|of| &of.definition);
        let enums = enums.map(|of| (of.schema.as_str(), Type::Enum(of.clone())));
        let ranges = self.ranges.values().flat_map(|of| {
            let own = RangeType::Own(of.definition.clone());
            let set = (of.definition.multirange_schema.as_str(), Type::Multirange(own.clone()));
            [(of.definition.schema.as_str(), Type::Range(own)), set]
        });
        let composites = composites.map(|of| (of.schema.as_str(), Type::Composite(of.clone())));
        enums.chain(composites).chain(ranges)
    }

    /// The types of a schema that CREATE TYPE made.
    pub fn types_in(&self, schema: &str) -> impl Iterator<Item = Type> {
        self.own_types().filter(move |of| of.0 == schema).map(|(_, ty)| ty)
    }

    /// A type that CREATE TYPE made.
    pub fn type_named(&self, schema: &str, name: &str) -> Option<Type> {
        self.types_in(schema).find(|ty| ty.catalog_name() == name)
    }

    /// In order of oid.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    pub fn domain_named(&self, schema: &str, name: &str) -> Option<&Arc<Domain>> {
        self.domains.values().find(|domain| domain.schema == schema && domain.name == name)
    }

    pub fn domain_by_oid(&self, oid: Oid) -> Option<&Arc<Domain>> {
        self.domains.get(&oid)
    }

    /// Those of CREATE EXTENSION, in order of oid.
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values()
    }

    pub fn extension_named(&self, name: &str) -> Option<&Arc<Extension>> {
        self.extensions.values().find(|extension| extension.name == name)
    }

    /// The definition that has an entry of its own under this oid.
    pub fn object_by_oid(&self, oid: Oid) -> Option<Object> {
        fn found<T: Clone>(of: &BTreeMap<Oid, Arc<T>>, oid: Oid, object: fn(T) -> Object) -> Option<Object> {
            of.get(&oid).map(|definition| object((**definition).clone()))
        }
        found(&self.schemas, oid, Object::Schema)
            .or_else(|| found(&self.tables, oid, Object::Table))
            .or_else(|| found(&self.indexes, oid, Object::Index))
            .or_else(|| found(&self.sequences, oid, Object::Sequence))
            .or_else(|| found(&self.views, oid, Object::View))
            .or_else(|| found(&self.functions, oid, Object::Function))
            .or_else(|| found(&self.enums, oid, Object::Enum))
            .or_else(|| found(&self.composites, oid, Object::Composite))
            .or_else(|| found(&self.ranges, oid, Object::Range))
            .or_else(|| found(&self.domains, oid, Object::Domain))
            .or_else(|| found(&self.extensions, oid, Object::Extension))
    }

    /// The domain with all that is asked of its values: conditions of the domain it is over come first.
    pub fn whole_domain(&self, domain: &Arc<Domain>) -> Arc<Domain> {
        let Some(parent) = self.parent_of(domain) else { return Arc::clone(domain) };
        let above = self.whole_domain(parent);
        Arc::new(Domain {
            not_null: domain.not_null || above.not_null,
            checks: above.checks.iter().chain(&domain.checks).cloned().collect(),
            ..Domain::clone(domain)
        })
    }

    /// The domain that a domain is over.
    pub fn parent_of(&self, domain: &Domain) -> Option<&Arc<Domain>> {
        self.domains.get(&domain.parent?)
    }

    /// The domain a column is of.
    pub fn domain_of(&self, column: &Column) -> Option<&Arc<Domain>> {
        self.domains.get(&column.domain?)
    }

    /// The type with this oid, without modifier: built in, or made by a user.
    pub fn type_by_oid(&self, oid: Oid) -> Option<Type> {
        let own = || {
            self.own_types().map(|(_, ty)| ty).find_map(|ty| match oid {
                _ if oid == ty.oid() => Some(ty),
                _ if oid == ty.array_oid() => Some(Type::Array(Box::new(ty))),
                _ => None,
            })
        };
        // One of an extension that was not created is none.
        let created = |ty: &Type| ty.extension().is_none_or(|name| self.extension_named(name).is_some());
        Type::from_oid(oid).filter(created).or_else(own)
    }

    /// All views, materialized ones too: oid and query.
    pub fn stored_queries(&self) -> impl Iterator<Item = (Oid, &StoredQuery)> {
        let views = self.views.values().map(|view| (view.oid, &view.query));
        let materialized = self.tables.values();
        let materialized = materialized.filter_map(|t| Some((t.oid, &t.materialized.as_ref()?.query)));
        views.chain(materialized)
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    /// Those of users.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.range(FIRST_USER_OID..).map(|(_, table)| table)
    }

    /// All tables that have files, those of the system too.
    pub fn stored_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// A table of the system that has files, such as [`crate::catalog::large_objects`] has. No statement names it but to
    /// read it: its name is not among those of users' relations.
    pub fn system_table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        let mut tables = self.tables.range(..FIRST_USER_OID).map(|(_, table)| table);
        tables.find(|table| table.schema == schema && table.name == name)
    }

    /// Those of users' tables.
    pub fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.range(FIRST_USER_OID..).map(|(_, index)| index)
    }

    /// All of them, those of the system's tables too.
    pub fn stored_indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values()
    }

    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences.values()
    }

    /// In order of oid, which is the order of creation.
    pub fn indexes_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values().filter(move |index| index.table == table)
    }

    /// The index that backs a PRIMARY KEY or UNIQUE constraint.
    pub fn index_of_constraint(&self, constraint: Oid) -> Option<&Arc<Index>> {
        self.indexes.values().find(|index| index.constraint == Some(constraint))
    }

    /// Foreign keys of any table that refer to this one: (table, constraint), in order of tables.
    pub fn references_to(&self, table: Oid) -> impl Iterator<Item = (&Arc<Table>, &Constraint, &ForeignKey)> {
        let all = self.tables.values();
        let all =
            all.flat_map(|from| from.foreign_keys().map(move |(constraint, key)| (from, constraint, key)));
        all.filter(move |(_, _, key)| key.table == table)
    }

    /// The unique index of all rows on exactly these columns, in any order, whose keys are checked at once.
    pub fn unique_index_on(&self, table: Oid, columns: &[u16]) -> Option<&Arc<Index>> {
        let same = |index: &Index| {
            index.columns.len() == columns.len() && columns.iter().all(|c| index.columns.contains(c))
        };
        let definition = self.table_by_oid(table);
        let at_once = |i: &Index| definition.is_none_or(|table| i.deferral(table).is_never());
        let mut unique =
            self.indexes_of(table).filter(|i| i.unique && i.predicate.is_none() && same(i) && at_once(i));
        unique.next()
    }

    /// Sequences that go with the table.
    pub fn sequences_owned_by(&self, table: Oid) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences.values().filter(move |s| s.owned_by.is_some_and(|(owner, _)| owner == table))
    }

    /// The schema an index lives in: its table's.
    pub fn schema_of_index(&self, index: &Index) -> &str {
        self.rows_by_oid(index.table).map_or(PUBLIC_SCHEMA, |table| table.schema.as_str())
    }

    /// The schema a relation lives in.
    pub fn schema_of<'a>(&'a self, relation: &'a Relation) -> &'a str {
        match relation {
            Relation::Table(table) | Relation::Partition(table) => &table.schema,
            Relation::Sequence(sequence) => &sequence.schema,
            Relation::View(view) => &view.schema,
            Relation::Index(index) | Relation::PartitionIndex(index) => self.schema_of_index(index),
        }
    }

    /// The largest oid in use.
    pub fn max_oid(&self) -> Oid {
        let last = |oid: Option<&Oid>| oid.copied().unwrap_or(0);
        let tables = self.tables.values().map(|table| table.oid_max()).max();
        last(self.schemas.keys().next_back())
            .max(tables.unwrap_or(0))
            .max(last(self.indexes.keys().next_back()))
            .max(last(self.sequences.keys().next_back()))
            .max(last(self.views.keys().next_back()))
            .max(last(self.functions.keys().next_back()))
            .max(self.enums.values().map(|of| of.definition.oid_max()).max().unwrap_or(0))
            .max(self.composites.values().map(|of| of.definition.oid_max()).max().unwrap_or(0))
            .max(self.ranges.values().map(|of| of.definition.oid_max()).max().unwrap_or(0))
            .max(self.domains.values().map(|domain| domain.oid_max()).max().unwrap_or(0))
            .max(last(self.extensions.keys().next_back()))
    }

    /// The next version, with these edits made in order.
    #[must_use]
    pub fn apply(&self, edits: &[Edit]) -> Catalog {
        let mut next = self.clone();
        for edit in edits {
            next.forget(edit.oid());
            if let Edit::Put(object) = edit {
                next.put(object.clone());
            }
        }
        next.version += 1;
        next.rebuild(self);
        next
    }

    fn forget(&mut self, oid: Oid) {
        self.schemas.remove(&oid);
        self.tables.remove(&oid);
        self.indexes.remove(&oid);
        self.sequences.remove(&oid);
        self.views.remove(&oid);
        self.functions.remove(&oid);
        self.enums.remove(&oid);
        self.composites.remove(&oid);
        self.ranges.remove(&oid);
        self.domains.remove(&oid);
        self.extensions.remove(&oid);
    }

    fn put(&mut self, object: Object) {
        match object {
            Object::Schema(schema) => drop(self.schemas.insert(schema.oid, Arc::new(schema))),
            Object::Table(table) => drop(self.tables.insert(table.oid, Arc::new(table))),
            Object::Index(index) => drop(self.indexes.insert(index.oid, Arc::new(index))),
            Object::Sequence(sequence) => drop(self.sequences.insert(sequence.oid, Arc::new(sequence))),
            Object::View(view) => drop(self.views.insert(view.oid, Arc::new(view))),
            Object::Function(function) => drop(self.functions.insert(function.oid, Arc::new(function))),
            Object::Enum(of) => drop(self.enums.insert(of.definition.oid, Arc::new(of))),
            Object::Composite(of) => drop(self.composites.insert(of.definition.oid, Arc::new(of))),
            Object::Range(of) => drop(self.ranges.insert(of.definition.oid, Arc::new(of))),
            Object::Domain(domain) => drop(self.domains.insert(domain.oid, Arc::new(domain))),
            Object::Extension(extension) => {
                drop(self.extensions.insert(extension.oid, Arc::new(extension)));
            }
        }
    }

    /// Names of indexes follow from their tables, so a rename or a move touches names of other objects; DDL is rare
    /// and catalogues are small, so all names are made anew. Partitions are kept as far as their parents are the same.
    fn rebuild(&mut self, before: &Catalog) {
        let mut parts = BTreeMap::new();
        for table in self.tables.values().filter(|table| table.is_partitioned()) {
            let earlier = before.tables.get(&table.oid);
            if earlier.is_some_and(|earlier| Arc::ptr_eq(earlier, table)) {
                let own = table.partitions().iter();
                parts.extend(own.filter_map(|part| Some((part.oid, before.parts.get(&part.oid)?.clone()))));
                continue;
            }
            let seen = table.parts_after(earlier, &before.parts);
            parts.extend(seen.into_iter().map(|part| (part.known_as(), part)));
        }
        self.parts = parts;
        self.part_indexes = self.indexes_of_parts().map(|index| (index.oid, Arc::new(index))).collect();
        let own = self.part_indexes.iter();
        let own = own.map(|(oid, i)| ((self.schema_of_index(i).to_owned(), i.name.clone()), *oid));
        let parts = self.parts.iter().map(|(oid, p)| ((p.schema.clone(), p.name.clone()), *oid));
        let tables = self.tables().map(|t| ((t.schema.clone(), t.name.clone()), t.oid));
        let sequences = self.sequences.values().map(|s| ((s.schema.clone(), s.name.clone()), s.oid));
        let indexes = self.indexes().map(|i| ((self.schema_of_index(i).to_owned(), i.name.clone()), i.oid));
        let views = self.views.values().map(|v| ((v.schema.clone(), v.name.clone()), v.oid));
        self.names = tables.chain(sequences).chain(indexes).chain(views).chain(parts).chain(own).collect();
    }

    fn indexes_of_parts(&self) -> impl Iterator<Item = Index> + '_ {
        self.tables.values().flat_map(|table| table.partitions()).flat_map(|part| {
            part.indexes.iter().filter_map(|own| {
                let of = self.indexes.get(&own.of)?;
                Some(Index { oid: own.oid, name: own.name.clone(), table: part.oid, ..(**of).clone() })
            })
        })
    }
}
