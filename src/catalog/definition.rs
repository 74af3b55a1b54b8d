//! Definitions of objects. Plain data: everything is public, cloned, compared and stored as JSON.
//!
//! An object keeps its oid for life. A table's `storage` names its files and changes with TRUNCATE and rewrites.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::function::Function;
use crate::catalog::hints::{ColumnHints, ReplicaIdentity};
use crate::catalog::partition::{Partitioning, Section};
use crate::distance::Metric;
use crate::index::quantizer::Quantization;
use crate::types::range::OwnRangeType;
use crate::types::{CompositeType, EnumType, Type};

/// PostgreSQL's object identifier.
pub type Oid = u32;

/// Any object of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Object {
    Schema(Schema),
    Table(Table),
    Index(Index),
    Sequence(Sequence),
    View(View),
    Function(Function),
    Enum(EnumObject),
    Composite(CompositeObject),
    Range(RangeObject),
    Domain(Domain),
    Extension(Extension),
}

/// CREATE EXTENSION. What an extension brings is built in; this is that it was asked for. vector is there without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub version: String,
}

/// CREATE TYPE ... AS ENUM. What is of the type carries the definition too, and is changed with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumObject {
    pub definition: EnumType,
    /// COMMENT ON TYPE.
    #[serde(default)]
    pub comment: Option<String>,
}

/// CREATE TYPE ... AS (...). What is of the type carries the definition too, and is changed with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompositeObject {
    pub definition: CompositeType,
    /// COMMENT ON TYPE.
    #[serde(default)]
    pub comment: Option<String>,
}

/// CREATE TYPE ... AS RANGE, and the multirange type beside it. What is of the types carries the definition too, and is changed
/// with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeObject {
    pub definition: OwnRangeType,
    /// COMMENT ON TYPE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The same of the multirange type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multirange_comment: Option<String>,
}

/// CREATE DOMAIN: a type whose values are those of another one that satisfy conditions. Cells are cells of that other type;
/// columns name the domain they are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    /// The type of its values, which is no domain.
    pub base: Type,
    /// Of COLLATE, unless it is the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// The domain it is over, whose conditions are asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Oid>,
    pub not_null: bool,
    pub default: Option<DefaultExpr>,
    /// In order of their names, which is the order they are looked at.
    pub checks: Vec<DomainCheck>,
    /// COMMENT ON DOMAIN.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A condition on the values of a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainCheck {
    pub oid: Oid,
    pub name: String,
    /// An expression over VALUE, as SQL text.
    pub sql: String,
    /// Values from before it have not been looked at.
    #[serde(default)]
    pub not_valid: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub oid: Oid,
    pub name: String,
    /// COMMENT ON SCHEMA.
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    /// Names the files that hold the rows; see [`crate::log::StorageId`].
    pub storage: u64,
    /// In order of `number`; numbers of dropped columns are missing. Positions count in this list, everywhere: in
    /// rows as statements see them, in schemas of plans.
    pub columns: Vec<Column>,
    /// Columns that indexes are on and statements do not see: what an expression index is over, and whether a row is in
    /// a partial index. In order of `number`. In rows as they are stored they come after `columns`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Column>,
    /// Dropped columns, whose cells still have their place in the bytes of rows.
    #[serde(default)]
    pub dropped: Vec<DroppedColumn>,
    pub constraints: Vec<Constraint>,
    pub kind: TableKind,
    /// COMMENT ON TABLE.
    #[serde(default)]
    pub comment: Option<String>,
    /// COMMENT ON what belongs to the table. One whose part was dropped is never found again: numbers and oids are
    /// not used twice.
    #[serde(default)]
    pub comments: Vec<PartComment>,
    /// For a temporary table: what COMMIT does to it.
    #[serde(default)]
    pub temporary: Option<OnCommit>,
    /// CREATE UNLOGGED TABLE. It is logged all the same: that promises more than was asked for.
    #[serde(default)]
    pub unlogged: bool,
    /// WITH (name = value), as written. They have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
    /// For a materialized view: what its rows are the result of.
    #[serde(default)]
    pub materialized: Option<Materialized>,
    /// REPLICA IDENTITY, where it is not the primary key. Only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_identity: Option<ReplicaIdentity>,
    /// For a partitioned table: its key, and its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioning: Option<Partitioning>,
    /// For what stands for a partition, and is never stored: which of the rows it is.
    #[serde(skip)]
    pub part: Option<Arc<Section>>,
}

/// What is said about a part of a table or view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartComment {
    pub part: Part,
    pub text: String,
}

/// What belongs to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Column(u16),
    Constraint(Oid),
    Index(Oid),
}

/// ON COMMIT of a temporary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCommit {
    PreserveRows,
    DeleteRows,
    Drop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Materialized {
    pub query: StoredQuery,
    /// Whether the query has run since WITH NO DATA.
    pub populated: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub columns: Vec<ViewColumn>,
    pub query: StoredQuery,
    #[serde(default)]
    pub comment: Option<String>,
    /// COMMENT ON its columns.
    #[serde(default)]
    pub comments: Vec<PartComment>,
    /// What columns (by number) get where INSERT does not say, before the defaults of the table behind them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<(u16, DefaultExpr)>,
    /// WITH (security_barrier, security_invoker). They have no effect: there are no privileges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewColumn {
    pub name: String,
    pub ty: Type,
}

/// A query as SQL text in which every relation is named with its schema and no outer `*` is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredQuery {
    pub sql: String,
    pub uses: Vec<Use>,
}

/// A relation that a stored query reads, and the numbers of the columns it needs there (none for a view).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub relation: Oid,
    pub columns: Vec<u16>,
}

/// What kind of relation a [`Table`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableKind {
    #[default]
    Ordinary,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// PostgreSQL's attnum, from 1.
    pub number: u16,
    pub ty: Type,
    /// The domain whose base type `ty` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Oid>,
    /// COLLATE, where it is not that of the type: "C", "POSIX" or "ucs_basic". Only shown: all of them compare bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    pub not_null: bool,
    pub default: Option<DefaultExpr>,
    pub identity: Option<Identity>,
    /// The sequence that serial or identity made for this column.
    #[serde(default)]
    pub sequence: Option<Oid>,
    /// What rows written before ADD COLUMN hold here: a row of this one column, encoded by `table::rows`.
    /// Absent: NULL.
    #[serde(default)]
    pub missing: Option<Vec<u8>>,
    /// Whether the metadata index that every filterable column has by default is kept.
    #[serde(default = "yes")]
    pub metadata_index: bool,
    /// GENERATED ALWAYS AS (...) STORED. Every hidden column is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// What was said about how PostgreSQL keeps it.
    #[serde(default, skip_serializing_if = "ColumnHints::are_none")]
    pub hints: ColumnHints,
}

/// What the values of a column are computed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// An expression over the table's columns, as SQL text.
    pub sql: String,
    /// Computed only for rows in which this hidden column (by number) is true, NULL for the others: an index with a
    /// WHERE does not look at rows outside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<u16>,
}

/// What is left of a column after DROP COLUMN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DroppedColumn {
    pub number: u16,
    pub ty: Type,
}

fn yes() -> bool {
    true
}

fn one() -> i64 {
    1
}

fn is_one(number: &i64) -> bool {
    *number == 1
}

/// A default, as SQL text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultExpr {
    pub sql: String,
}

/// GENERATED ... AS IDENTITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
    /// INCLUDE of a key, by number; its index has them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<u16>,
    /// NOT VALID: rows that were there when it was added may violate it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_valid: bool,
    /// NO INHERIT of a CHECK. Only shown: no table inherits from another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_inherit: bool,
    /// When a PRIMARY KEY or UNIQUE is checked; a foreign key says it itself.
    #[serde(default, skip_serializing_if = "Deferral::is_never")]
    pub deferral: Deferral,
}

impl Constraint {
    /// A constraint that is checked at once and that all rows pass, of its own columns alone.
    pub fn new(oid: Oid, name: impl Into<String>, kind: ConstraintKind) -> Constraint {
        let (included, deferral) = (Vec::new(), Deferral::default());
        let (name, not_valid, no_inherit) = (name.into(), false, false);
        Constraint { oid, name, kind, included, not_valid, no_inherit, deferral }
    }

    /// When it is checked; conditions are at once.
    pub fn deferral(&self) -> Deferral {
        match &self.kind {
            ConstraintKind::ForeignKey(key) => key.deferral,
            _ => self.deferral,
        }
    }
}

/// Columns are given by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// Backed by the unique [`Index`] whose `constraint` is this one's oid.
    PrimaryKey {
        columns: Vec<u16>,
    },
    /// Backed by the unique [`Index`] whose `constraint` is this one's oid.
    Unique {
        columns: Vec<u16>,
        /// NULLS NOT DISTINCT.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        nulls_equal: bool,
    },
    Check {
        sql: String,
    },
    NotNull {
        column: u16,
    },
    ForeignKey(ForeignKey),
}

/// `columns` are NULL, or a row of `table` has them in `referenced`, which a unique index is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<u16>,
    pub table: Oid,
    pub referenced: Vec<u16>,
    pub on_delete: ReferentialAction,
    /// The columns that SET NULL and SET DEFAULT change where they do not change all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_on_delete: Vec<u16>,
    pub on_update: ReferentialAction,
    #[serde(default)]
    pub deferral: Deferral,
    /// MATCH FULL: all of `columns` are NULL, or none of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// When a constraint is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deferral {
    /// NOT DEFERRABLE: when the statement is done.
    #[default]
    Never,
    /// DEFERRABLE INITIALLY IMMEDIATE: the same, unless SET CONSTRAINTS says otherwise.
    Possible,
    /// DEFERRABLE INITIALLY DEFERRED: when the transaction commits, unless SET CONSTRAINTS says otherwise.
    Initially,
}

/// What becomes of rows whose referenced row goes or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub oid: Oid,
    /// In the schema of its table.
    pub name: String,
    pub table: Oid,
    pub method: IndexMethod,
    /// Column numbers; of an expression, its hidden column's.
    pub columns: Vec<u16>,
    /// Numbers of the columns of INCLUDE: PostgreSQL keeps them beside the key, here they are in the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<u16>,
    /// One per column or empty: "vector_l2_ops", "int4_ops", ...
    #[serde(default)]
    pub opclasses: Vec<String>,
    /// One per column, or empty where all are ascending with NULLs last. Only shown: what is read by an index is
    /// sorted as the query says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<KeyOrder>,
    pub unique: bool,
    /// NULLS NOT DISTINCT: of a unique index, whose NULLs are then like any other value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nulls_equal: bool,
    /// The PRIMARY KEY or UNIQUE constraint this index backs.
    pub constraint: Option<Oid>,
    /// For `hnsw`.
    #[serde(default)]
    pub hnsw: Option<HnswOptions>,
    /// For `ivfflat`.
    #[serde(default)]
    pub ivfflat: Option<IvfflatOptions>,
    /// WITH (name = value), as written; those of `hnsw` and `ivfflat` are above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<(String, String)>,
    /// WHERE: the index is of the rows for which this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<IndexPredicate>,
    /// ALTER TABLE ... CLUSTER ON. Only shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clustered: bool,
    /// ALTER TABLE ... REPLICA IDENTITY USING INDEX. Only shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replica_identity: bool,
}

/// ASC or DESC, and NULLS FIRST or LAST, of a column of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
}

/// WHERE of a partial index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPredicate {
    /// Over the table's columns, as SQL text.
    pub sql: String,
    /// The hidden column that holds its value. None where the index has no entries of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexMethod {
    /// Unique: keys in the LSM tree. Not unique: answered by the metadata index of the column.
    #[default]
    Btree,
    /// Answered by the metadata index of the column.
    Bitmap,
    /// The same as `Bitmap`, by the name it was asked for.
    Hash,
    Hnsw,
    /// Answered by an inverted index of each column.
    Gin,
    /// The same as `Gin`, by the name it was asked for.
    Gist,
    Ivfflat,
}

/// CREATE INDEX ... USING hnsw (...) WITH (m, ef_construction, quantization).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HnswOptions {
    pub metric: IndexMetric,
    pub m: u16,
    pub ef_construction: u16,
    #[serde(default)]
    pub quantization: Option<Quantization>,
}

/// CREATE INDEX ... USING ivfflat (...) WITH (lists).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IvfflatOptions {
    pub metric: IndexMetric,
    pub lists: u32,
}

/// The metric of a vector index, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexMetric {
    L2,
    InnerProduct,
    Cosine,
    L1,
    Hamming,
    Jaccard,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    /// Int2, Int4 or Int8.
    pub ty: Type,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    /// CACHE. Only shown: values are given out one by one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub cache: i64,
    /// Dropped with this table's column (oid, number).
    pub owned_by: Option<(Oid, u16)>,
    /// COMMENT ON SEQUENCE.
    #[serde(default)]
    pub comment: Option<String>,
}

impl Domain {
    /// Its largest number.
    pub fn oid_max(&self) -> Oid {
        self.checks.iter().map(|check| check.oid).fold(self.oid, Oid::max)
    }

    pub fn check(&self, name: &str) -> Option<&DomainCheck> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl Object {
    pub fn oid(&self) -> Oid {
        match self {
            Object::Schema(schema) => schema.oid,
            Object::Table(table) => table.oid,
            Object::Index(index) => index.oid,
            Object::Sequence(sequence) => sequence.oid,
            Object::View(view) => view.oid,
            Object::Function(function) => function.oid,
            Object::Enum(of) => of.definition.oid,
            Object::Composite(of) => of.definition.oid,
            Object::Range(of) => of.definition.oid,
            Object::Domain(domain) => domain.oid,
            Object::Extension(extension) => extension.oid,
        }
    }

    /// The largest oid in it: parts of an object have oids of their own, and no entry of their own in the catalogue.
    pub fn oid_max(&self) -> Oid {
        match self {
            Object::Table(table) => table.oid_max(),
            Object::Enum(of) => of.definition.oid_max(),
            Object::Composite(of) => of.definition.oid_max(),
            Object::Range(of) => of.definition.oid_max(),
            Object::Domain(domain) => domain.oid_max(),
            other => other.oid(),
        }
    }
}

impl Table {
    /// The largest oid of it, its constraints and its partitions.
    pub fn oid_max(&self) -> Oid {
        let constraints = self.constraints.iter().map(|constraint| constraint.oid);
        let parts = self.partitions().iter().map(|part| part.oid);
        let indexes = self.partition_indexes().map(|index| index.oid);
        constraints.chain(parts).chain(indexes).fold(self.oid, Oid::max)
    }

    /// The expressions it keeps as text: defaults, those of partitions too, checks, generated columns, hidden ones too;
    /// each with what it is, as messages call it.
    pub fn stored_expressions(&self) -> impl Iterator<Item = (String, &str)> {
        let of = |table: &str, column: &Column| {
            format!("default value for column {} of table {table}", column.name)
        };
        let defaults = self.columns.iter().filter_map(move |column| {
            let default = column.default.as_ref()?;
            Some((of(&self.name, column), default.sql.as_str()))
        });
        let own = self
            .own_defaults()
            .filter_map(move |(part, column, default)| Some((of(&part.name, column), default?.sql.as_str())));
        let name = &self.name;
        let checks = self.constraints.iter().filter_map(move |constraint| match &constraint.kind {
            ConstraintKind::Check { sql } => {
                Some((format!("constraint {} on table {name}", constraint.name), sql.as_str()))
            }
            _ => None,
        });
        let generated = self.stored_columns().filter_map(move |column| {
            let generated = column.generated.as_ref()?;
            Some((format!("column {} of table {name}", column.name), generated.sql.as_str()))
        });
        defaults.chain(own).chain(checks).chain(generated)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// By attnum, from 1; hidden ones too.
    pub fn column_number(&self, number: u16) -> Option<&Column> {
        self.stored_column(self.position(number)?)
    }

    /// Where in a stored row the column of this number is: where in `columns`, or behind those for a hidden one.
    pub fn position(&self, number: u16) -> Option<usize> {
        let place = |columns: &[Column]| columns.binary_search_by_key(&number, |column| column.number).ok();
        place(&self.columns).or_else(|| place(&self.hidden).map(|place| self.columns.len() + place))
    }

    /// The columns of a stored row in their order: those that statements see, then the hidden ones.
    pub fn stored_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().chain(&self.hidden)
    }

    /// By position in a stored row.
    pub fn stored_column(&self, position: usize) -> Option<&Column> {
        self.columns.get(position).or_else(|| self.hidden.get(position.checked_sub(self.columns.len())?))
    }

    /// How messages and plans name the column at a position of a stored row: a hidden one by its expression.
    pub fn title(&self, position: usize) -> &str {
        match self.stored_column(position) {
            Some(Column { generated: Some(generated), .. }) if position >= self.columns.len() => {
                &generated.sql
            }
            Some(column) => &column.name,
            None => "",
        }
    }

    /// Columns of a stored row.
    pub fn stored_width(&self) -> usize {
        self.columns.len() + self.hidden.len()
    }

    /// The number of the next column: numbers of dropped ones are not used again.
    pub fn next_number(&self) -> u16 {
        let live = self.stored_columns().map(|column| column.number);
        live.chain(self.dropped.iter().map(|column| column.number)).fold(0, u16::max) + 1
    }

    /// Drops the hidden columns that none of these indexes is on; whether there were any.
    pub fn drop_unused_hidden<'i>(&mut self, indexes: impl Iterator<Item = &'i Index>) -> bool {
        let mut used: Vec<u16> = Vec::new();
        for index in indexes {
            used.extend(&index.columns);
            used.extend(index.predicate.as_ref().and_then(|predicate| predicate.column));
        }
        let (kept, dropped): (Vec<Column>, Vec<Column>) =
            std::mem::take(&mut self.hidden).into_iter().partition(|column| used.contains(&column.number));
        self.hidden = kept;
        let any = !dropped.is_empty();
        self.dropped.extend(dropped.into_iter().map(|c| DroppedColumn { number: c.number, ty: c.ty }));
        any
    }

    /// Types of all columns there ever were, in order of `number` without gaps, with the positions of those still there.
    pub fn physical_columns(&self) -> Vec<(&Type, Option<usize>)> {
        let live = self.stored_columns().enumerate().map(|(position, c)| (c.number, &c.ty, Some(position)));
        let dropped = self.dropped.iter().map(|column| (column.number, &column.ty, None));
        let mut all: Vec<_> = live.chain(dropped).collect();
        all.sort_unstable_by_key(|(number, ..)| *number);
        all.into_iter().map(|(_, ty, position)| (ty, position)).collect()
    }

    /// Numbers of the primary key's columns.
    pub fn primary_key(&self) -> Option<&[u16]> {
        self.constraints.iter().find_map(|constraint| match &constraint.kind {
            ConstraintKind::PrimaryKey { columns } => Some(columns.as_slice()),
            _ => None,
        })
    }

    /// The foreign keys with the constraints they are.
    pub fn foreign_keys(&self) -> impl Iterator<Item = (&Constraint, &ForeignKey)> {
        self.constraints.iter().filter_map(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey(key) => Some((constraint, key)),
            _ => None,
        })
    }

    pub fn constraint(&self, oid: Oid) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.oid == oid)
    }

    /// `schema.name`, unquoted, for messages of the operator.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

impl StoredQuery {
    /// Whether it reads the relation, or the column of it.
    pub fn uses(&self, relation: Oid, column: Option<u16>) -> bool {
        let about = |found: &&Use| found.relation == relation;
        self.uses.iter().find(about).is_some_and(|found| column.is_none_or(|c| found.columns.contains(&c)))
    }
}

impl Index {
    /// When the constraint that it backs is checked.
    pub fn deferral(&self, table: &Table) -> Deferral {
        let backed = table.constraints.iter().find(|constraint| Some(constraint.oid) == self.constraint);
        backed.map_or(Deferral::Never, |constraint| constraint.deferral)
    }

    /// The hidden column (by number) that says which rows a partial index holds.
    pub fn guard(&self) -> Option<u16> {
        self.predicate.as_ref()?.column
    }

    /// What the distances of a vector index are by; `None` for indexes of another kind.
    pub fn vector_metric(&self) -> Option<IndexMetric> {
        self.hnsw.map(|options| options.metric).or(self.ivfflat.map(|options| options.metric))
    }
}

impl KeyOrder {
    /// As written behind a column, with a space before it: what its direction does not say already.
    pub fn sql(self) -> &'static str {
        match (self.descending, self.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        }
    }

    /// As pg_index has it: bit 1 for DESC, bit 2 for NULLS FIRST.
    pub fn bits(self) -> i16 {
        i16::from(self.descending) | i16::from(self.nulls_first) << 1
    }
}

impl Column {
    /// A column of a type and nothing else: nullable, without a default, with its metadata index.
    pub fn new(number: u16, name: &str, ty: Type) -> Column {
        Column {
            name: name.to_owned(),
            number,
            ty,
            domain: None,
            collation: None,
            not_null: false,
            default: None,
            identity: None,
            sequence: None,
            missing: None,
            metadata_index: true,
            generated: None,
            hints: ColumnHints::default(),
        }
    }

    /// Whether cells live in the slot-addressed vector segments instead of in the row: `vector(n)` and its like.
    pub fn is_slot_vector(&self) -> bool {
        self.ty.is_slot_vector()
    }
}

impl Deferral {
    pub fn is_never(&self) -> bool {
        *self == Deferral::Never
    }

    /// As written behind a constraint, with a space before it.
    pub fn sql(self) -> &'static str {
        match self {
            Deferral::Never => "",
            Deferral::Possible => " DEFERRABLE",
            Deferral::Initially => " DEFERRABLE INITIALLY DEFERRED",
        }
    }
}

impl ReferentialAction {
    /// As written after ON DELETE and ON UPDATE.
    pub fn sql(self) -> &'static str {
        match self {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        }
    }

    /// As pg_constraint has it.
    pub fn letter(self) -> &'static str {
        match self {
            ReferentialAction::NoAction => "a",
            ReferentialAction::Restrict => "r",
            ReferentialAction::Cascade => "c",
            ReferentialAction::SetNull => "n",
            ReferentialAction::SetDefault => "d",
        }
    }
}

impl IndexMethod {
    /// As written after USING.
    pub fn name(self) -> &'static str {
        match self {
            IndexMethod::Btree => "btree",
            IndexMethod::Bitmap => "bitmap",
            IndexMethod::Hash => "hash",
            IndexMethod::Hnsw => "hnsw",
            IndexMethod::Gin => "gin",
            IndexMethod::Gist => "gist",
            IndexMethod::Ivfflat => "ivfflat",
        }
    }
}

impl From<IndexMetric> for Metric {
    fn from(metric: IndexMetric) -> Metric {
        match metric {
            IndexMetric::L2 => Metric::L2,
            IndexMetric::InnerProduct => Metric::InnerProduct,
            IndexMetric::Cosine => Metric::Cosine,
            IndexMetric::L1 => Metric::L1,
            IndexMetric::Hamming => Metric::Hamming,
            IndexMetric::Jaccard => Metric::Jaccard,
        }
    }
}

impl From<Metric> for IndexMetric {
    fn from(metric: Metric) -> IndexMetric {
        match metric {
            Metric::L2 => IndexMetric::L2,
            Metric::InnerProduct => IndexMetric::InnerProduct,
            Metric::Cosine => IndexMetric::Cosine,
            Metric::L1 => IndexMetric::L1,
            Metric::Hamming => IndexMetric::Hamming,
            Metric::Jaccard => IndexMetric::Jaccard,
        }
    }
}
