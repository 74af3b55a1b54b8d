//! Partitions by list and by range: named parts of one stored table.
//!
//! A partition is the rows of its parent whose key is among certain values or in a range, and has no files, graphs or rows of its
//! own; `docs/design/0006-partitions.md` has the reasons. Its definition is in the parent's, so that both change in one
//! edit. Statements see it as the parent under another name, with a [`Section`] that says which of the rows it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::definition::{Column, DefaultExpr, Oid, Table};
use crate::codec::key;
use crate::types::{Type, Value, text};

/// How the key of a row says in which partition it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    #[default]
    List,
    Range,
}

impl Strategy {
    /// As SQL writes it, small.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::List => "list",
            Strategy::Range => "range",
        }
    }
}

/// PARTITION BY LIST (column) or RANGE (column).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partitioning {
    /// The number of the key's column.
    pub column: u16,
    #[serde(default)]
    pub strategy: Strategy,
    /// In order of creation.
    #[serde(default)]
    pub parts: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub bound: PartitionBound,
    /// Defaults of its own, by column number, for rows that are written to it by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<(u16, Option<DefaultExpr>)>,
    /// COMMENT ON TABLE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What the parent's indexes are called as its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<PartitionIndex>,
    /// Storage parameters of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
}

/// An index of a partition: a name for what its parent's index has of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionIndex {
    pub oid: Oid,
    /// In the partition's schema.
    pub name: String,
    /// The parent's index.
    pub of: Oid,
}

/// FOR VALUES IN, FOR VALUES FROM ... TO and DEFAULT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionBound {
    /// What no other partition takes.
    Default,
    /// Values of the key as texts; `None` is NULL.
    In(Vec<Option<String>>),
    /// From a value on up to before another, as texts; `None` is MINVALUE and MAXVALUE.
    Range { from: Option<String>, to: Option<String> },
}

/// Which rows of its parent a partition is; in a [`Table`] that stands for the partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The partition's oid; that of the table it is in is the parent's, whose rows they are.
    pub oid: Oid,
    pub bound: PartitionBound,
    pub parent: (String, String),
    /// The number of the key's column.
    pub column: u16,
    pub keys: Keys,
}

/// Values of a key from one on up to before another; `None` is no bound. NULL is in no range.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRange {
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// A range with its ends as bytes.
type Span = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A set of values of a key, or all values but those.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// In order, each once; NULL may be one.
    pub values: Vec<Value>,
    /// None of them meets another.
    pub ranges: Vec<KeyRange>,
    /// Whether the set is of all other values.
    pub others: bool,
    encoded: BTreeSet<Vec<u8>>,
    /// The ranges' ends as bytes that order as values do.
    spans: Vec<Span>,
}

impl Keys {
    pub fn new(values: impl IntoIterator<Item = Value>, others: bool) -> Keys {
        let (ranges, encoded, spans) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut keys = Keys { values: Vec::new(), ranges, others, encoded, spans };
        values.into_iter().for_each(|value| keys.add(value));
        keys
    }

    fn add(&mut self, value: Value) {
        if self.encoded.insert(encode(&value)) {
            self.values.push(value);
        }
    }

    fn add_range(&mut self, range: KeyRange) {
        self.spans.push((range.from.as_ref().map(encode), range.to.as_ref().map(encode)));
        self.ranges.push(range);
    }

    pub fn contain(&self, value: &Value) -> bool {
        let bytes = encode(value);
        let inside = |(from, to): &Span| {
            from.as_ref().is_none_or(|from| *from <= bytes) && to.as_ref().is_none_or(|to| bytes < *to)
        };
        let listed = self.encoded.contains(&bytes);
        let found = listed || *value != Value::Null && self.spans.iter().any(inside);
        found != self.others
    }

    /// Whether a value is in both sets, neither of which is of other values.
    pub fn meet(&self, other: &Keys) -> bool {
        let before = |to: &Option<Vec<u8>>, from: &Option<Vec<u8>>| match (to, from) {
            (Some(to), Some(from)) => to <= from,
            _ => false,
        };
        let apart = |a: &Span, b: &Span| before(&a.1, &b.0) || before(&b.1, &a.0);
        self.values.iter().any(|value| other.contain(value))
            || self.spans.iter().any(|a| other.spans.iter().any(|b| !apart(a, b)))
    }

    /// Whether a range ends where it begins, or before.
    pub fn has_empty_range(&self) -> bool {
        self.spans.iter().any(|span| matches!(span, (Some(from), Some(to)) if from >= to))
    }
}

/// Equal values have equal bytes, whatever their scale.
fn encode(value: &Value) -> Vec<u8> {
    key::of(std::slice::from_ref(value))
}

impl PartitionBound {
    /// The keys of the rows in the partition, of the key's type; none for DEFAULT.
    pub fn keys(&self, ty: &Type) -> Keys {
        let mut keys = Keys::new([], false);
        self.add_to(&mut keys, ty);
        keys
    }

    fn add_to(&self, keys: &mut Keys, ty: &Type) {
        let value = |text: &String| text::parse(ty, text).expect("a bound is kept as its own type prints it");
        match self {
            PartitionBound::Default => {}
            PartitionBound::In(values) => {
                let values = values.iter().map(|text| text.as_ref().map_or(Value::Null, value));
                values.for_each(|value| keys.add(value));
            }
            PartitionBound::Range { from, to } => {
                keys.add_range(KeyRange { from: from.as_ref().map(value), to: to.as_ref().map(value) });
            }
        }
    }
}

impl Partitioning {
    pub fn default_part(&self) -> Option<&Partition> {
        self.parts.iter().find(|part| part.bound == PartitionBound::Default)
    }

    /// What partitions have between them, or all but that.
    pub fn taken(&self, ty: &Type, others: bool) -> Keys {
        let mut keys = Keys::new([], others);
        self.parts.iter().for_each(|part| part.bound.add_to(&mut keys, ty));
        keys
    }

    /// The values that have a partition.
    pub fn accepted(&self, ty: &Type) -> Keys {
        match self.default_part() {
            Some(_) => Keys::new([], true),
            None => self.taken(ty, false),
        }
    }
}

/// Whether a column of this type can be a key here: its values have one text and one key each.
pub fn can_be_key(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Bool
            | Type::Int2
            | Type::Int4
            | Type::Int8
            | Type::Numeric(_)
            | Type::Text
            | Type::Varchar(_)
            | Type::Bpchar(_)
            | Type::Date
            | Type::Timestamp(_)
            | Type::Timestamptz(_)
            | Type::Uuid
            | Type::Money
    )
}

impl Table {
    /// The table's partitions as statements see them.
    pub fn parts(&self) -> impl Iterator<Item = Table> + '_ {
        let partitioning = self.partitioning.as_ref();
        let ty = partitioning.and_then(|by| self.column_number(by.column)).map(|column| &column.ty);
        let both = partitioning.zip(ty);
        both.into_iter().flat_map(move |(by, ty)| by.parts.iter().map(move |part| self.seen_as(by, part, ty)))
    }

    /// The table's partitions as statements see them; those of an earlier definition again where they say the same.
    pub fn parts_after(
        &self,
        before: Option<&Arc<Table>>,
        known: &BTreeMap<Oid, Arc<Table>>,
    ) -> Vec<Arc<Table>> {
        let Some(by) = &self.partitioning else { return Vec::new() };
        let Some(ty) = self.column_number(by.column).map(|column| &column.ty) else { return Vec::new() };
        let earlier = before.and_then(|table| Some((table, table.partitioning.as_ref()?)));
        // Only its partitions are others.
        let earlier = earlier.filter(|(table, then)| {
            then.column == by.column && table.without_parts() == self.without_parts()
        });
        let parts = earlier.into_iter().flat_map(|(table, _)| table.partitions());
        let earlier: BTreeMap<Oid, &Partition> = parts.map(|part| (part.oid, part)).collect();
        let seen = by.parts.iter().map(|part| {
            // What is left for DEFAULT depends on all others.
            let same = earlier.get(&part.oid).is_some_and(|then| *then == part);
            match known.get(&part.oid).filter(|_| same && part.bound != PartitionBound::Default) {
                Some(seen) => Arc::clone(seen),
                None => Arc::new(self.seen_as(by, part, ty)),
            }
        });
        seen.collect()
    }

    /// A copy without the definitions of partitions.
    fn without_parts(&self) -> Table {
        Table {
            oid: self.oid,
            schema: self.schema.clone(),
            name: self.name.clone(),
            storage: self.storage,
            columns: self.columns.clone(),
            hidden: self.hidden.clone(),
            dropped: self.dropped.clone(),
            constraints: self.constraints.clone(),
            kind: self.kind,
            comment: self.comment.clone(),
            comments: self.comments.clone(),
            temporary: self.temporary,
            unlogged: self.unlogged,
            options: Vec::new(),
            materialized: self.materialized.clone(),
            replica_identity: None,
            partitioning: None,
            part: self.part.clone(),
        }
    }

    fn seen_as(&self, by: &Partitioning, partition: &Partition, ty: &Type) -> Table {
        let keys = match &partition.bound {
            PartitionBound::Default => by.taken(ty, true),
            bound => bound.keys(ty),
        };
        let part = Section {
            oid: partition.oid,
            bound: partition.bound.clone(),
            parent: (self.schema.clone(), self.name.clone()),
            column: by.column,
            keys,
        };
        let mut seen = Table {
            schema: partition.schema.clone(),
            name: partition.name.clone(),
            comment: partition.comment.clone(),
            options: partition.options.clone(),
            comments: Vec::new(),
            part: Some(Arc::new(part)),
            ..self.without_parts()
        };
        for (number, default) in &partition.defaults {
            if let Some(column) = seen.columns.iter_mut().find(|column| column.number == *number) {
                column.default = default.clone();
                // Its own, if it draws from one, is in the text.
                column.sequence = None;
            }
        }
        seen
    }

    /// The defaults that partitions do not share with it; `None` is none.
    pub fn own_defaults(&self) -> impl Iterator<Item = (&Partition, &Column, Option<&DefaultExpr>)> {
        self.partitions().iter().flat_map(move |part| {
            part.defaults.iter().filter_map(move |(number, default)| {
                Some((part, self.column_number(*number)?, default.as_ref()))
            })
        })
    }

    /// Whether the table or one of its partitions is in the schema.
    pub fn lies_in(&self, schema: &str) -> bool {
        self.partitions().iter().map(|part| &part.schema).chain([&self.schema]).any(|own| own == schema)
    }

    /// The table, and its partitions, of a schema that has another name from here on.
    #[must_use]
    pub fn with_schema_renamed(&self, from: &str, to: &str) -> Table {
        let mut table = self.clone();
        let parts = table.partitioning.iter_mut().flat_map(|by| &mut by.parts);
        for schema in parts.map(|part| &mut part.schema).chain([&mut table.schema]) {
            if schema == from {
                to.clone_into(schema);
            }
        }
        table
    }

    /// Takes an index away from the partitions; whether any had it.
    pub fn forget_index(&mut self, of: Oid) -> bool {
        let mut any = false;
        for part in self.partitions_mut() {
            let before = part.indexes.len();
            part.indexes.retain(|index| index.of != of);
            any |= part.indexes.len() != before;
        }
        any
    }

    /// Lets the partitions' names mean another index of the table; whether any did.
    pub fn renumber_index(&mut self, old: Oid, new: Oid) -> bool {
        let mut any = false;
        for index in self
            .partitions_mut()
            .iter_mut()
            .flat_map(|part| &mut part.indexes)
            .filter(|index| index.of == old)
        {
            index.of = new;
            any = true;
        }
        any
    }

    /// The oid under which the catalogue has it: a partition's own.
    pub fn known_as(&self) -> Oid {
        self.part.as_ref().map_or(self.oid, |part| part.oid)
    }

    /// The parent's definition with one of its partitions changed.
    #[must_use]
    pub fn with_partition(&self, oid: Oid, change: impl FnOnce(&mut Partition)) -> Table {
        let mut table = self.clone();
        if let Some(part) = table.partitions_mut().iter_mut().find(|part| part.oid == oid) {
            change(part);
        }
        table
    }

    /// The parent's definition without one of its partitions.
    #[must_use]
    pub fn without_partition(&self, oid: Oid) -> Table {
        let mut table = self.clone();
        if let Some(by) = &mut table.partitioning {
            by.parts.retain(|part| part.oid != oid);
        }
        table
    }

    pub fn is_partitioned(&self) -> bool {
        self.partitioning.is_some()
    }

    /// Its partitions in order of creation; a table that is not partitioned has none.
    pub fn partitions(&self) -> &[Partition] {
        self.partitioning.as_ref().map_or(&[], |by| &by.parts)
    }

    pub fn partitions_mut(&mut self) -> &mut [Partition] {
        self.partitioning.as_mut().map_or(&mut [], |by| &mut by.parts)
    }

    /// What partitions call its indexes.
    pub fn partition_indexes(&self) -> impl Iterator<Item = &PartitionIndex> {
        self.partitions().iter().flat_map(|part| &part.indexes)
    }
}
