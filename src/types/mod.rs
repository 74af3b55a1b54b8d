//! The SQL types of columns and the values they hold, as the core sees them: no Arrow, no wire.
//!
//! [`Type`] is what a column is declared as, [`Value`] what a cell holds. `names.rs` has PostgreSQL's OIDs, names and
//! modifiers; `text.rs` prints and parses its text formats, `binary.rs` its binary ones, `cast.rs` turns values of one
//! type into another. Below them is a file per family: integers, floats, numeric, dates, intervals, json and paths into it, arrays and their dimensions, bit
//! strings, enumerations, ranges and sets of them, records and the composite types of them, keys with values, places of rows, time zones,
//! text search's documents and queries, and pgvector's vectors. `arrow.rs` (with the feature `server`) maps types and
//! values to Arrow for DataFusion.

pub mod array;
#[cfg(feature = "server")]
pub mod arrow;
pub mod binary;
pub mod bits;
pub mod byte;
pub mod cast;
pub mod citext;
pub mod composite;
mod date_style;
pub mod datetime;
pub mod dimensions;
pub mod enums;
pub mod float;
pub mod halfvec;
pub mod hstore;
pub mod identifiers;
pub mod integer;
pub mod interval;
pub mod json;
pub mod jsonpath;
pub mod look;
pub mod money;
pub mod multirange;
pub mod named;
pub mod names;
pub mod network;
pub mod numeric;
pub mod polymorphic;
pub mod range;
pub mod record;
pub mod sort_key;
pub mod sparsevec;
pub mod text;
pub mod tid;
pub mod timetz;
pub mod tsquery;
pub mod tsvector;
pub mod vector;
pub mod zone;
mod zone_abbreviations;
mod zone_rules;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, Visitor};

pub use bits::Bits;
pub use composite::{Composite, CompositeType};
pub use date_style::{DateForm, DateOrder, DateStyle};
pub use enums::{Enum, EnumType, EnumValue};
pub use half::{bf16, f16};
pub use hstore::Hstore;
pub use interval::Limits;
pub use look::{IntervalStyle, Look};
pub use multirange::Multirange;
pub use named::OwnType;
pub use network::{Network, NetworkType};
pub use numeric::Numeric;
pub use polymorphic::Polymorphic;
pub use range::{OwnRange, Range, RangeType};
pub use record::RecordField;
pub use sparsevec::{Sparse, Sparsevec};
pub use tid::Tid;
pub use timetz::Timetz;
pub use tsquery::TsQuery;
pub use tsvector::TsVector;
pub use zone::Zone;

/// A SQL type with its modifier, if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(remote = "Self")]
pub enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// `numeric(precision, scale)`: precision 1 to 1,000, scale -1,000 to 1,000.
    Numeric(Option<(u16, i16)>),
    Text,
    /// `varchar(n)`, n in characters.
    Varchar(Option<u32>),
    /// `character(n)`, blank-padded; n in characters.
    Bpchar(Option<u32>),
    /// Text that is compared without regard to case: by [`citext::key`]. Its values are as they were given.
    Citext,
    Bytea,
    Date,
    /// `time(p)`, p digits of a second; `None` is all six.
    Time(Option<u8>),
    /// `time(p) with time zone`
    Timetz(Option<u8>),
    /// `timestamp(p)`
    Timestamp(Option<u8>),
    /// `timestamp(p) with time zone`
    Timestamptz(Option<u8>),
    /// `interval(p)`, `interval day to second`.
    Interval(Option<Limits>),
    Uuid,
    /// Cents.
    Money,
    Json,
    Jsonb,
    /// pgvector's `vector(dimensions)`; `None` takes any dimension up to 16,000.
    Vector(Option<u16>),
    /// pgvector's `halfvec(dimensions)`; `None` takes any dimension up to 16,000.
    Halfvec(Option<u16>),
    /// pgvector's `sparsevec(dimensions)`; `None` takes any dimension up to 1,000,000,000.
    Sparsevec(Option<u32>),
    /// `bit(n)`; `None`, which no column has, is any length.
    Bit(Option<u32>),
    /// `bit varying(n)`
    Varbit(Option<u32>),
    /// A document as sorted lexemes.
    TsVector,
    /// A text search query.
    TsQuery,
    Range(RangeType),
    /// Sets of the ranges of a type.
    Multirange(RangeType),
    /// Addresses of networks.
    Network(NetworkType),
    /// Keys with values, of the extension hstore.
    Hstore,
    Array(Box<Type>),
    /// What CREATE TYPE ... AS ENUM made.
    Enum(EnumType),
    /// What CREATE TYPE ... AS made of fields; its values are records.
    Composite(CompositeType),
    /// A row of values; not for user columns.
    Record(Vec<RecordField>),
    /// What functions answer that are called for what they do; not for user columns. Its values are empty texts.
    Void,
    /// `anyelement` and its kin, which parameters of functions are declared as; a call says what they are.
    Polymorphic(Polymorphic),
    /// The catalogue's own types; not for user columns.
    Oid,
    /// Where a row lies: the type of `ctid`.
    Tid,
    Name,
    Char,
    /// A path into documents, as text; not for user columns.
    JsonPath,
    /// The catalogue's lists as they are shown, `1 2`; inside of queries they are arrays.
    Int2Vector,
    OidVector,
}

impl serde::Serialize for Type {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Type::serialize(self, serializer)
    }
}

/// As written here, and as before times and intervals had modifiers: `"Timestamp"` for `{"Timestamp": null}`.
impl<'de> serde::Deserialize<'de> for Type {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Type, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Type;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a type")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<Type, E> {
        match name {
            "Time" => Ok(Type::Time(None)),
            "Timestamp" => Ok(Type::Timestamp(None)),
            "Timestamptz" => Ok(Type::Timestamptz(None)),
            "Interval" => Ok(Type::Interval(None)),
            name => Type::deserialize(name.into_deserializer()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Type, A::Error> {
        Type::deserialize(MapAccessDeserializer::new(map))
    }
}

/// One cell. Text of every character type is `Text`, json text is `Json`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    Text(String),
    Bytea(Vec<u8>),
    /// Days since 1970-01-01, as in Arrow; PostgreSQL's epoch of 2000-01-01 is met at the wire only.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    Timetz(Timetz),
    /// Microseconds since 1970-01-01 00:00, no zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    Timestamptz(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    /// Cents.
    Money(i64),
    /// Text as given.
    Json(String),
    /// Text in PostgreSQL's normalised jsonb form.
    Jsonb(String),
    Vector(Vec<f32>),
    Halfvec(Vec<f16>),
    Sparsevec(Sparsevec),
    Bits(Bits),
    TsVector(TsVector),
    TsQuery(TsQuery),
    Range(Range),
    Multirange(Multirange),
    Network(Network),
    Hstore(Hstore),
    /// One-dimensional.
    Array(Vec<Value>),
    Enum(EnumValue),
    Record(Vec<record::Named>),
    Oid(u32),
    Tid(Tid),
}

/// PostgreSQL's interval: three parts that do not convert into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

impl Interval {
    pub const NOTHING: Interval = Interval { months: 0, days: 0, microseconds: 0 };
    /// Longer than all others: PostgreSQL too has its largest parts stand for it.
    pub const INFINITY: Interval = Interval { months: i32::MAX, days: i32::MAX, microseconds: i64::MAX };
    pub const MINUS_INFINITY: Interval =
        Interval { months: i32::MIN, days: i32::MIN, microseconds: i64::MIN };

    pub fn is_finite(self) -> bool {
        self != Interval::INFINITY && self != Interval::MINUS_INFINITY
    }
}

/// Most dimensions of a `vector` (pgvector's VECTOR_MAX_DIM).
pub const VECTOR_DIMENSIONS_MAX: usize = 16_000;
/// Most dimensions of a `sparsevec` (pgvector's SPARSEVEC_MAX_DIM).
pub const SPARSEVEC_DIMENSIONS_MAX: usize = 1_000_000_000;
/// Most dimensions of a `vector` that an hnsw index takes (pgvector's HNSW_MAX_DIM).
pub const HNSW_DIMENSIONS_MAX: usize = 2_000;

/// Most elements of a `sparsevec` that an hnsw index takes (pgvector's HNSW_MAX_NNZ).
pub const HNSW_ELEMENTS_MAX: usize = 1_000;

/// Most bits of a `bit(n)` that an hnsw index takes; longer ones are kept in the row.
pub const BIT_DIMENSIONS_MAX: u32 = 64_000;

impl Type {
    /// Whether cells of a column live in slot-addressed vector segments instead of in the row: an index may want
    /// them.
    pub fn is_slot_vector(&self) -> bool {
        match self {
            Type::Vector(dimensions) | Type::Halfvec(dimensions) => dimensions.is_some(),
            Type::Sparsevec(dimensions) => dimensions.is_some(),
            Type::Bit(length) => length.is_some_and(|length| length <= BIT_DIMENSIONS_MAX),
            _ => false,
        }
    }
}

/// `From` for the types that a variant is made of and nothing else is.
macro_rules! value_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value)
            }
        })*
    };
}

value_from! {
    bool => Bool, i16 => Int2, i32 => Int4, i64 => Int8, u32 => Oid, f32 => Float4, f64 => Float8, String => Text,
    Numeric => Numeric, Interval => Interval, Vec<Value> => Array, Bits => Bits,
    Sparsevec => Sparsevec,
    TsVector => TsVector, TsQuery => TsQuery, Range => Range, Multirange => Multirange,
    Network => Network,
    Hstore => Hstore,
    Timetz => Timetz,
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(text.clone())
    }
}

/// A character of the catalogue's type `"char"`.
impl From<char> for Value {
    fn from(c: char) -> Value {
        Value::Text(c.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}
