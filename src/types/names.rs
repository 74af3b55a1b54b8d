//! What types are called: PostgreSQL's OIDs, modifiers, sizes and names, and types from names.
//!
//! pgvector's types have no fixed OIDs in PostgreSQL, where `CREATE EXTENSION` numbers them; drivers look them up by
//! name. Here they are [`VECTOR_OID`] and [`VECTOR_ARRAY_OID`], below the first OID of user objects.

use std::fmt;

use crate::error::{Error, Result, SqlState};
use crate::types::interval::Limits;
use crate::types::vector::Kind;
use crate::types::{Composite, NetworkType, OwnType, Polymorphic, RangeType, Type, bits, vector};

/// `vector`.
pub const VECTOR_OID: u32 = 16_388;
/// `vector[]`.
pub const VECTOR_ARRAY_OID: u32 = 16_393;
/// `halfvec`.
pub const HALFVEC_OID: u32 = 16_389;
/// `halfvec[]`.
pub const HALFVEC_ARRAY_OID: u32 = 16_394;
/// `sparsevec`.
pub const SPARSEVEC_OID: u32 = 16_390;
/// `sparsevec[]`.
pub const SPARSEVEC_ARRAY_OID: u32 = 16_395;
/// `hstore`.
pub const HSTORE_OID: u32 = 16_391;
/// `hstore[]`.
pub const HSTORE_ARRAY_OID: u32 = 16_397;
/// `citext`, whose numbers CREATE EXTENSION gives in PostgreSQL as well.
pub const CITEXT_OID: u32 = 16_392;
/// `citext[]`.
pub const CITEXT_ARRAY_OID: u32 = 16_398;
/// What PostgreSQL calls the type of a literal whose type is not known yet; parameters may be declared so.
pub const UNKNOWN_OID: u32 = 705;

/// PostgreSQL's MaxAttrSize in characters of varchar(n) and character(n).
const CHARACTERS_MAX: i64 = 10_485_760;
/// Bytes of a variable-length value's header, which PostgreSQL adds to some modifiers.
const HEADER_BYTES: i32 = 4;

/// What pg_type says about a type without modifier.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub oid: u32,
    pub array_oid: u32,
    /// pg_type.typname
    pub name: &'static str,
    /// As format_type() prints it.
    pub sql: &'static str,
    /// pg_type.typlen: bytes, or -1 when they vary.
    pub size: i16,
    /// pg_type.typcategory
    pub category: char,
}

const fn entry(
    oid: u32,
    array_oid: u32,
    name: &'static str,
    sql: &'static str,
    size: i16,
    category: char,
) -> Entry {
    Entry { oid, array_oid, name, sql, size, category }
}

/// Every type that is not an array, with its pg_type row.
pub const ENTRIES: &[(Type, Entry)] = &[
    (Type::Bool, entry(16, 1000, "bool", "boolean", 1, 'B')),
    (Type::Bytea, entry(17, 1001, "bytea", "bytea", -1, 'U')),
    (Type::Char, entry(18, 1002, "char", "\"char\"", 1, 'Z')),
    (Type::Name, entry(19, 1003, "name", "name", 64, 'S')),
    (Type::Int8, entry(20, 1016, "int8", "bigint", 8, 'N')),
    (Type::Int2, entry(21, 1005, "int2", "smallint", 2, 'N')),
    (Type::Int4, entry(23, 1007, "int4", "integer", 4, 'N')),
    (Type::Text, entry(25, 1009, "text", "text", -1, 'S')),
    (Type::Oid, entry(26, 1028, "oid", "oid", 4, 'N')),
    (Type::Tid, entry(27, 1010, "tid", "tid", 6, 'U')),
    (Type::Json, entry(114, 199, "json", "json", -1, 'U')),
    (Type::Float4, entry(700, 1021, "float4", "real", 4, 'N')),
    (Type::Float8, entry(701, 1022, "float8", "double precision", 8, 'N')),
    (Type::Bpchar(None), entry(1042, 1014, "bpchar", "character", -1, 'S')),
    (Type::Varchar(None), entry(1043, 1015, "varchar", "character varying", -1, 'S')),
    (Type::Date, entry(1082, 1182, "date", "date", 4, 'D')),
    (Type::Time(None), entry(1083, 1183, "time", "time without time zone", 8, 'D')),
    (Type::Timetz(None), entry(1266, 1270, "timetz", "time with time zone", 12, 'D')),
    (Type::Timestamp(None), entry(1114, 1115, "timestamp", "timestamp without time zone", 8, 'D')),
    (Type::Timestamptz(None), entry(1184, 1185, "timestamptz", "timestamp with time zone", 8, 'D')),
    (Type::Interval(None), entry(1186, 1187, "interval", "interval", 16, 'T')),
    (Type::Numeric(None), entry(1700, 1231, "numeric", "numeric", -1, 'N')),
    (Type::Uuid, entry(2950, 2951, "uuid", "uuid", 16, 'U')),
    (Type::Money, entry(790, 791, "money", "money", 8, 'N')),
    (Type::Int2Vector, entry(22, 1006, "int2vector", "int2vector", -1, 'A')),
    (Type::OidVector, entry(30, 1013, "oidvector", "oidvector", -1, 'A')),
    (Type::JsonPath, entry(4072, 4073, "jsonpath", "jsonpath", -1, 'U')),
    (Type::Jsonb, entry(3802, 3807, "jsonb", "jsonb", -1, 'U')),
    (Type::Bit(None), entry(1560, 1561, "bit", "bit", -1, 'V')),
    (Type::Varbit(None), entry(1562, 1563, "varbit", "bit varying", -1, 'V')),
    (Type::TsVector, entry(3614, 3643, "tsvector", "tsvector", -1, 'U')),
    (Type::TsQuery, entry(3615, 3645, "tsquery", "tsquery", -1, 'U')),
    (Type::Range(RangeType::Int4), entry(3904, 3905, "int4range", "int4range", -1, 'R')),
    (Type::Range(RangeType::Num), entry(3906, 3907, "numrange", "numrange", -1, 'R')),
    (Type::Range(RangeType::Ts), entry(3908, 3909, "tsrange", "tsrange", -1, 'R')),
    (Type::Range(RangeType::Tstz), entry(3910, 3911, "tstzrange", "tstzrange", -1, 'R')),
    (Type::Range(RangeType::Date), entry(3912, 3913, "daterange", "daterange", -1, 'R')),
    (Type::Range(RangeType::Int8), entry(3926, 3927, "int8range", "int8range", -1, 'R')),
    (Type::Multirange(RangeType::Int4), entry(4451, 6150, "int4multirange", "int4multirange", -1, 'R')),
    (Type::Multirange(RangeType::Num), entry(4532, 6151, "nummultirange", "nummultirange", -1, 'R')),
    (Type::Multirange(RangeType::Ts), entry(4533, 6152, "tsmultirange", "tsmultirange", -1, 'R')),
    (Type::Multirange(RangeType::Tstz), entry(4534, 6153, "tstzmultirange", "tstzmultirange", -1, 'R')),
    (Type::Multirange(RangeType::Date), entry(4535, 6155, "datemultirange", "datemultirange", -1, 'R')),
    (Type::Multirange(RangeType::Int8), entry(4536, 6157, "int8multirange", "int8multirange", -1, 'R')),
    (Type::Network(NetworkType::Inet), entry(869, 1041, "inet", "inet", -1, 'I')),
    (Type::Network(NetworkType::Cidr), entry(650, 651, "cidr", "cidr", -1, 'I')),
    (Type::Network(NetworkType::Macaddr), entry(829, 1040, "macaddr", "macaddr", 6, 'U')),
    (Type::Network(NetworkType::Macaddr8), entry(774, 775, "macaddr8", "macaddr8", 8, 'U')),
    (Type::Vector(None), entry(VECTOR_OID, VECTOR_ARRAY_OID, "vector", "vector", -1, 'U')),
    (Type::Halfvec(None), entry(HALFVEC_OID, HALFVEC_ARRAY_OID, "halfvec", "halfvec", -1, 'U')),
    (Type::Sparsevec(None), entry(SPARSEVEC_OID, SPARSEVEC_ARRAY_OID, "sparsevec", "sparsevec", -1, 'U')),
    (Type::Hstore, entry(HSTORE_OID, HSTORE_ARRAY_OID, "hstore", "hstore", -1, 'U')),
    (Type::Citext, entry(CITEXT_OID, CITEXT_ARRAY_OID, "citext", "citext", -1, 'S')),
];

/// What is common to all enumerations.
const ENUM: Entry = entry(3_500, 0, "anyenum", "anyenum", 4, 'P');
/// What is common to all composite types.
const COMPOSITE: Entry = entry(2_249, 2_287, "record", "record", -1, 'C');
/// What is common to all ranges that users make, and to their multiranges.
const RANGE: Entry = entry(3_831, 0, "anyrange", "anyrange", -1, 'R');
const MULTIRANGE: Entry = entry(4_537, 0, "anymultirange", "anymultirange", -1, 'R');
/// Functions that answer nothing; no type of arrays is of it.
const VOID: Entry = entry(2_278, 0, "void", "void", 4, 'P');
/// What is common to all polymorphic types.
const POLYMORPHIC: Entry = entry(2_283, 0, "anyelement", "anyelement", 4, 'P');
/// What is common to all records.
const RECORD: Entry = entry(2_249, 2_287, "record", "record", -1, 'P');

/// Names that are types in PostgreSQL or pgvector and not here, so that they are refused by name instead of unknown.
const UNSUPPORTED: &[&str] =
    &["box", "circle", "line", "lseg", "path", "pg_lsn", "point", "polygon", "txid_snapshot", "xml"];

impl Type {
    /// The pg_type row; an array's is its item's. Types that users make have none of their own: their oid, name and
    /// category are asked for by the functions below.
    pub fn entry(&self) -> &'static Entry {
        let bare = match self {
            Type::Enum(_) => return &ENUM,
            Type::Record(_) => return &RECORD,
            Type::Void => return &VOID,
            Type::Polymorphic(_) => return &POLYMORPHIC,
            Type::Composite(_) => return &COMPOSITE,
            Type::Range(RangeType::Own(_)) => return &RANGE,
            Type::Multirange(RangeType::Own(_)) => return &MULTIRANGE,
            Type::Array(item) => return item.entry(),
            Type::Numeric(_) => Type::Numeric(None),
            Type::Varchar(_) => Type::Varchar(None),
            Type::Bpchar(_) => Type::Bpchar(None),
            Type::Vector(_) => Type::Vector(None),
            Type::Halfvec(_) => Type::Halfvec(None),
            Type::Sparsevec(_) => Type::Sparsevec(None),
            Type::Bit(_) => Type::Bit(None),
            Type::Varbit(_) => Type::Varbit(None),
            Type::Time(_) => Type::Time(None),
            Type::Timetz(_) => Type::Timetz(None),
            Type::Timestamp(_) => Type::Timestamp(None),
            Type::Timestamptz(_) => Type::Timestamptz(None),
            Type::Interval(_) => Type::Interval(None),
            other => other.clone(),
        };
        let found = ENTRIES.iter().find(|(ty, _)| *ty == bare);
        &found.expect("the table has every type that is not an array").1
    }

    /// PostgreSQL's OID of the type.
    pub fn oid(&self) -> u32 {
        match self {
            Type::Enum(of) => of.oid,
            Type::Composite(of) => of.oid,
            Type::Polymorphic(of) => of.oid(),
            Type::Range(RangeType::Own(of)) => of.oid,
            Type::Multirange(RangeType::Own(of)) => of.multirange_oid,
            Type::Array(item) => item.array_oid(),
            // The table above is for lookups by name; these are asked for per row description.
            Type::Text => 25,
            Type::Int4 => 23,
            Type::Int8 => 20,
            _ => self.entry().oid,
        }
    }

    /// The OID of the type of arrays of this one.
    pub fn array_oid(&self) -> u32 {
        match self {
            Type::Enum(of) => of.array_oid,
            Type::Composite(of) => of.array_oid,
            Type::Range(RangeType::Own(of)) => of.array_oid,
            Type::Multirange(RangeType::Own(of)) => of.multirange_array_oid,
            Type::Array(item) => item.array_oid(),
            _ => self.entry().array_oid,
        }
    }

    /// The modifier as pg_attribute.atttypmod holds it; -1 for none. An array's is its item's.
    pub fn typmod(&self) -> i32 {
        match self {
            Type::Array(item) => item.typmod(),
            Type::Numeric(Some((precision, scale))) => {
                (i32::from(*precision) << 16 | i32::from(*scale) & 0x7ff) + HEADER_BYTES
            }
            Type::Varchar(Some(n)) | Type::Bpchar(Some(n)) => *n as i32 + HEADER_BYTES,
            Type::Vector(Some(dimensions)) | Type::Halfvec(Some(dimensions)) => i32::from(*dimensions),
            Type::Sparsevec(Some(dimensions)) => *dimensions as i32,
            Type::Bit(Some(length)) | Type::Varbit(Some(length)) => *length as i32,
            Type::Time(Some(digits))
            | Type::Timetz(Some(digits))
            | Type::Timestamp(Some(digits))
            | Type::Timestamptz(Some(digits)) => i32::from(*digits),
            Type::Interval(Some(limits)) => limits.typmod(),
            _ => -1,
        }
    }

    /// Bytes of a value as PostgreSQL stores it (pg_type.typlen); -1 when they vary.
    pub fn size(&self) -> i16 {
        match self {
            Type::Array(_) => -1,
            Type::Enum(_) => 4,
            _ => self.entry().size,
        }
    }

    /// pg_type.typname: `int4`, `_int4`.
    pub fn catalog_name(&self) -> String {
        match self {
            Type::Array(_) => format!("_{}", self.element().catalog_name()),
            Type::Enum(of) => of.name.clone(),
            Type::Composite(of) => of.name.clone(),
            Type::Polymorphic(of) => of.name().to_owned(),
            Type::Range(of) => of.name().to_owned(),
            Type::Multirange(of) => of.multirange_name().to_owned(),
            _ => self.entry().name.to_owned(),
        }
    }

    /// pg_type.typcategory.
    pub fn category(&self) -> char {
        match self {
            Type::Array(_) => 'A',
            Type::Enum(_) => 'E',
            _ => self.entry().category,
        }
    }

    /// pg_type.typispreferred: of its category, the type that others are cast to.
    pub fn is_preferred(&self) -> bool {
        matches!(
            self,
            Type::Bool
                | Type::Text
                | Type::Float8
                | Type::Oid
                | Type::Timestamptz(_)
                | Type::Interval(_)
                | Type::Varbit(_)
                | Type::Network(NetworkType::Inet)
        )
    }

    /// As format_type() prints it when it is not asked for a modifier, and regtype always: blank-padded text without a
    /// length goes by its standard name.
    pub fn standard_name(&self) -> String {
        match self {
            Type::Array(_) => format!("{}[]", self.element().standard_name()),
            Type::Bpchar(_) => self.entry().sql.to_owned(),
            other => other.bare().to_string(),
        }
    }

    /// The type without its modifier.
    pub fn bare(&self) -> Type {
        match self {
            Type::Array(item) => Type::Array(Box::new(item.bare())),
            Type::Numeric(_) => Type::Numeric(None),
            Type::Varchar(_) => Type::Varchar(None),
            Type::Bpchar(_) => Type::Bpchar(None),
            Type::Vector(_) => Type::Vector(None),
            Type::Halfvec(_) => Type::Halfvec(None),
            Type::Sparsevec(_) => Type::Sparsevec(None),
            Type::Bit(_) => Type::Bit(None),
            Type::Varbit(_) => Type::Varbit(None),
            Type::Time(_) => Type::Time(None),
            Type::Timetz(_) => Type::Timetz(None),
            Type::Timestamp(_) => Type::Timestamp(None),
            Type::Timestamptz(_) => Type::Timestamptz(None),
            Type::Interval(_) => Type::Interval(None),
            other => other.clone(),
        }
    }

    /// The type with another definition of an enumeration or of a composite type, if it is of it.
    pub fn with_definition(&self, definition: &Type) -> Option<Type> {
        match self {
            Type::Array(item) => item.with_definition(definition).map(|item| Type::Array(Box::new(item))),
            Type::Composite(of) => {
                let mut changed = Composite::clone(of);
                let mut found = false;
                for field in &mut changed.fields {
                    if let Some(ty) = field.ty.with_definition(definition) {
                        (field.ty, found) = (ty, true);
                    }
                }
                match definition {
                    Type::Composite(new) if new == of => Some(definition.clone()),
                    _ => found.then(|| Type::Composite(changed.into())),
                }
            }
            Type::Enum(of) => match definition {
                Type::Enum(new) if new == of => Some(definition.clone()),
                _ => None,
            },
            Type::Range(of @ RangeType::Own(_)) => match definition {
                Type::Range(new) if new == of => Some(definition.clone()),
                _ => None,
            },
            Type::Multirange(of @ RangeType::Own(_)) => match definition {
                Type::Range(new) if new == of => Some(Type::Multirange(new.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is one of pgvector's own types, which live in its schema.
    pub fn is_pgvectors(&self) -> bool {
        match self {
            Type::Array(item) => item.is_pgvectors(),
            Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_) => true,
            _ => false,
        }
    }

    /// The extension that brings the type, where a database has it only once that was created.
    pub fn extension(&self) -> Option<&'static str> {
        match self {
            Type::Array(item) => item.extension(),
            Type::Hstore => Some("hstore"),
            Type::Citext => Some("citext"),
            _ => None,
        }
    }

    /// Text of any kind: its values are [`super::Value::Text`].
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name | Type::Char
        )
    }

    /// A boolean or a number: what a document has without quotes.
    pub fn is_truth_or_number(&self) -> bool {
        matches!(
            self,
            Type::Bool
                | Type::Int2
                | Type::Int4
                | Type::Int8
                | Type::Float4
                | Type::Float8
                | Type::Numeric(_)
        )
    }

    /// The type with this OID, without modifier.
    pub fn from_oid(oid: u32) -> Option<Type> {
        let known = ENTRIES.iter().find_map(|(ty, entry)| match oid {
            _ if oid == entry.oid => Some(ty.clone()),
            _ if oid == entry.array_oid => Some(Type::Array(Box::new(ty.clone()))),
            _ => None,
        });
        known.or_else(|| Polymorphic::from_oid(oid).map(Type::Polymorphic))
    }

    /// The inverse of [`Type::typmod`]; a modifier that means nothing for the type is ignored.
    pub fn with_typmod(self, typmod: i32) -> Type {
        let plain = typmod - HEADER_BYTES;
        match self {
            Type::Array(item) => Type::Array(Box::new(item.with_typmod(typmod))),
            Type::Numeric(_) if plain >= 0 => {
                let scale = ((plain & 0x7ff) ^ 1024) - 1024;
                Type::Numeric(Some(((plain >> 16) as u16, scale as i16)))
            }
            Type::Varchar(_) if plain > 0 => Type::Varchar(Some(plain as u32)),
            Type::Bpchar(_) if plain > 0 => Type::Bpchar(Some(plain as u32)),
            Type::Vector(_) if typmod > 0 => Type::Vector(u16::try_from(typmod).ok()),
            Type::Halfvec(_) if typmod > 0 => Type::Halfvec(u16::try_from(typmod).ok()),
            Type::Sparsevec(_) if typmod > 0 => Type::Sparsevec(u32::try_from(typmod).ok()),
            Type::Bit(_) if typmod > 0 => Type::Bit(u32::try_from(typmod).ok()),
            Type::Varbit(_) if typmod > 0 => Type::Varbit(u32::try_from(typmod).ok()),
            Type::Time(_) => Type::Time(digits(typmod)),
            Type::Timetz(_) => Type::Timetz(digits(typmod)),
            Type::Timestamp(_) => Type::Timestamp(digits(typmod)),
            Type::Timestamptz(_) => Type::Timestamptz(digits(typmod)),
            Type::Interval(_) => Type::Interval(Limits::of_typmod(typmod)),
            other => other,
        }
    }

    /// A type from a name as SQL writes it: `int`, `character varying(20)`, `pg_catalog.int4`, `numeric(10,2)[]`,
    /// `timestamp(6) with time zone`, `"char"`. 42704 for a name nobody knows, 0A000 for one PostgreSQL knows.
    pub fn from_name(name: &str) -> Result<Type> {
        let spelled = Spelled::read(name)?;
        let item = Type::named(&spelled.name, spelled.quoted, &spelled.modifiers)?;
        if spelled.array { item.in_arrays() } else { Ok(item) }
    }

    /// The type of arrays of this one, 42704 when there is none.
    pub fn in_arrays(self) -> Result<Type> {
        match self {
            Type::Void | Type::Polymorphic(_) => {
                Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{self}[]\" does not exist")))
            }
            item => Ok(Type::Array(Box::new(item))),
        }
    }

    /// A type that is not an array, from its folded name and modifiers. `quoted`: the name stood in double quotes,
    /// which matters for `"char"` only.
    pub fn named(name: &str, quoted: bool, modifiers: &[i64]) -> Result<Type> {
        if let (Some(item), []) = (name.strip_prefix('_'), modifiers) {
            return Type::named(item, true, &[])?.in_arrays();
        }
        let ty = match name {
            "char" if quoted => Type::Char,
            "char" | "character" | "nchar" | "national character" | "national char" => {
                return Ok(Type::Bpchar(Some(characters(modifiers, "char")?.unwrap_or(1))));
            }
            "bpchar" => return Ok(Type::Bpchar(characters(modifiers, "char")?)),
            "varchar" | "character varying" | "char varying" | "national character varying" => {
                return Ok(Type::Varchar(characters(modifiers, "varchar")?));
            }
            "numeric" | "decimal" | "dec" => return numeric(modifiers),
            "float" => return float(modifiers),
            "vector" => return vector::typmod_in(modifiers),
            "halfvec" => {
                let dimensions = Kind::Halfvec.typmod_in(modifiers)?;
                return Ok(Type::Halfvec(dimensions.map(|dimensions| dimensions as u16)));
            }
            "sparsevec" => return Ok(Type::Sparsevec(Kind::Sparsevec.typmod_in(modifiers)?)),
            // In quotes it is the type of any length, as `"char"` is another type than char.
            "bit" if quoted && modifiers.is_empty() => Type::Bit(None),
            "bit" => return Ok(Type::Bit(Some(bits::typmod_in(modifiers, "bit")?.unwrap_or(1)))),
            "varbit" | "bit varying" => return Ok(Type::Varbit(bits::typmod_in(modifiers, "varbit")?)),
            "time" | "time without time zone" => return Ok(Type::Time(precision(modifiers)?)),
            "timetz" | "time with time zone" => return Ok(Type::Timetz(precision(modifiers)?)),
            "timestamp" | "timestamp without time zone" => {
                return Ok(Type::Timestamp(precision(modifiers)?));
            }
            "timestamptz" | "timestamp with time zone" => {
                return Ok(Type::Timestamptz(precision(modifiers)?));
            }
            "interval" if modifiers.is_empty() => Type::Interval(None),
            _ if name == "interval" || name.starts_with("interval ") => {
                let digits = precision(modifiers)?;
                let limits = Limits::of_words(name["interval".len()..].trim_start(), digits);
                return limits.map(|limits| Type::Interval(Some(limits))).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
                });
            }
            "bool" | "boolean" => Type::Bool,
            "smallint" | "int2" => Type::Int2,
            "integer" | "int" | "int4" => Type::Int4,
            "bigint" | "int8" => Type::Int8,
            "real" | "float4" => Type::Float4,
            "double precision" | "float8" | "double" => Type::Float8,
            "text" | "string" => Type::Text,
            "bytea" => Type::Bytea,
            "tsvector" => Type::TsVector,
            "tsquery" => Type::TsQuery,
            "date" => Type::Date,
            "uuid" => Type::Uuid,
            "money" => Type::Money,
            "json" => Type::Json,
            "jsonb" => Type::Jsonb,
            "hstore" => Type::Hstore,
            "jsonpath" => Type::JsonPath,
            "int2vector" => Type::Int2Vector,
            "oidvector" => Type::OidVector,
            "oid" => Type::Oid,
            "tid" => Type::Tid,
            "name" => Type::Name,
            "citext" => Type::Citext,
            "void" => Type::Void,
            other if let Some(of) = Polymorphic::from_name(other) => Type::Polymorphic(of),
            other if let Some(of) = RangeType::from_name(other) => Type::Range(of),
            other if let Some(of) = RangeType::from_multirange_name(other) => Type::Multirange(of),
            other if let Some(of) = NetworkType::from_name(other) => Type::Network(of),
            other if UNSUPPORTED.contains(&other) => return Err(Error::unsupported(format!("type {other}"))),
            other => {
                let message = format!("type \"{other}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
        };
        match modifiers {
            [] => Ok(ty),
            _ => {
                let message = format!("type modifier is not allowed for type \"{}\"", ty.entry().name);
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
        }
    }
}

/// As format_type() prints it, modifier included.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Array(item) => write!(f, "{item}[]"),
            Type::Enum(of) => f.write_str(&of.shown()),
            Type::Composite(of) => f.write_str(&of.shown()),
            Type::Polymorphic(of) => f.write_str(of.name()),
            Type::Range(RangeType::Own(of)) => f.write_str(&of.shown()),
            Type::Multirange(RangeType::Own(of)) => f.write_str(&of.multirange_shown()),
            // Blank-padded without a length is not "character", which would mean one character.
            Type::Bpchar(None) => f.write_str("bpchar"),
            Type::Varchar(Some(n)) | Type::Bpchar(Some(n)) | Type::Bit(Some(n)) | Type::Varbit(Some(n)) => {
                write!(f, "{}({n})", self.entry().sql)
            }
            Type::Time(Some(digits)) => write!(f, "time({digits}) without time zone"),
            Type::Timetz(Some(digits)) => write!(f, "time({digits}) with time zone"),
            Type::Timestamp(Some(digits)) => write!(f, "timestamp({digits}) without time zone"),
            Type::Timestamptz(Some(digits)) => write!(f, "timestamp({digits}) with time zone"),
            Type::Interval(Some(limits)) => write!(f, "{limits}"),
            Type::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Type::Vector(Some(dimensions)) => write!(f, "vector({dimensions})"),
            Type::Halfvec(Some(dimensions)) => write!(f, "halfvec({dimensions})"),
            Type::Sparsevec(Some(dimensions)) => write!(f, "sparsevec({dimensions})"),
            _ => f.write_str(self.entry().sql),
        }
    }
}

fn invalid_parameter(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn characters(modifiers: &[i64], name: &str) -> Result<Option<u32>> {
    match *modifiers {
        [] => Ok(None),
        [n] if n < 1 => Err(invalid_parameter(format!("length for type {name} must be at least 1"))),
        [n] if n > CHARACTERS_MAX => {
            Err(invalid_parameter(format!("length for type {name} cannot exceed {CHARACTERS_MAX}")))
        }
        [n] => Ok(Some(n as u32)),
        _ => Err(invalid_parameter("invalid type modifier")),
    }
}

fn numeric(modifiers: &[i64]) -> Result<Type> {
    let (precision, scale) = match *modifiers {
        [] => return Ok(Type::Numeric(None)),
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => return Err(invalid_parameter("invalid NUMERIC type modifier")),
    };
    if !(1..=1000).contains(&precision) {
        return Err(invalid_parameter(format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(invalid_parameter(format!("NUMERIC scale {scale} must be between -1000 and 1000")));
    }
    Ok(Type::Numeric(Some((precision as u16, scale as i16))))
}

fn float(modifiers: &[i64]) -> Result<Type> {
    match *modifiers {
        [] | [25..=53] => Ok(Type::Float8),
        [1..=24] => Ok(Type::Float4),
        [n] if n < 1 => Err(invalid_parameter("precision for type float must be at least 1 bit")),
        _ => Err(invalid_parameter("precision for type float must be less than 54 bits")),
    }
}

/// Digits of a second, at most the six there are.
pub fn precision(modifiers: &[i64]) -> Result<Option<u8>> {
    match *modifiers {
        [] => Ok(None),
        [n] if n >= 0 => Ok(Some(n.min(i64::from(SECOND_DIGITS)) as u8)),
        [n] => Err(invalid_parameter(format!("TIMESTAMP({n}) precision must not be negative"))),
        _ => Err(invalid_parameter("invalid type modifier")),
    }
}

/// Digits of a second in all values.
const SECOND_DIGITS: u8 = 6;

fn digits(typmod: i32) -> Option<u8> {
    u8::try_from(typmod).ok().filter(|digits| *digits <= SECOND_DIGITS)
}

/// A type name taken apart.
struct Spelled {
    /// Folded to lower case unless quoted, words one space apart, without schema.
    name: String,
    quoted: bool,
    modifiers: Vec<i64>,
    array: bool,
}

impl Spelled {
    fn read(text: &str) -> Result<Spelled> {
        let syntax = || Error::new(SqlState::SYNTAX_ERROR, format!("invalid type name \"{text}\""));
        let mut spelled = Spelled { name: String::new(), quoted: false, modifiers: Vec::new(), array: false };
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            match first {
                '"' => {
                    let end = rest[1..].find('"').ok_or_else(syntax)? + 1;
                    spelled.word(&rest[1..end], true);
                    rest = &rest[end + 1..];
                }
                '.' => {
                    if !matches!(spelled.name.as_str(), "pg_catalog" | "public") {
                        let message = format!("schema \"{}\" does not exist", spelled.name);
                        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
                    }
                    spelled.name.clear();
                    spelled.quoted = true;
                    rest = &rest[1..];
                }
                '(' => {
                    let end = rest.find(')').ok_or_else(syntax)?;
                    for modifier in rest[1..end].split(',') {
                        let modifier = modifier
                            .trim()
                            .parse()
                            .map_err(|_| invalid_parameter("invalid type modifier"))?;
                        spelled.modifiers.push(modifier);
                    }
                    rest = &rest[end + 1..];
                }
                '[' => {
                    let end = rest.find(']').ok_or_else(syntax)?;
                    spelled.array = true;
                    rest = &rest[end + 1..];
                }
                c if c.is_whitespace() => rest = rest.trim_start(),
                c if c.is_alphanumeric() || c == '_' => {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
                    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                    match word.to_lowercase().as_str() {
                        "array" if !spelled.name.is_empty() => spelled.array = true,
                        word => spelled.word(word, false),
                    }
                    rest = after;
                }
                _ => return Err(syntax()),
            }
        }
        if spelled.name.is_empty() { Err(syntax()) } else { Ok(spelled) }
    }

    fn word(&mut self, word: &str, quoted: bool) {
        if !self.name.is_empty() {
            self.name.push(' ');
        }
        self.name.push_str(word);
        self.quoted |= quoted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_oids_lead_back() {
        for (ty, entry) in ENTRIES {
            assert_eq!(Type::from_oid(entry.oid).as_ref(), Some(ty));
            let array = Type::Array(Box::new(ty.clone()));
            assert_eq!(Type::from_oid(entry.array_oid).as_ref(), Some(&array));
            assert_eq!(Type::from_name(&array.catalog_name()).unwrap().oid(), array.oid());
            // `bit` alone is bit(1); the type of any length is written in quotes.
            let quoted =
                |name: String| if entry.name == "bit" { name.replacen("bit", "\"bit\"", 1) } else { name };
            assert_eq!(Type::from_name(&quoted(ty.to_string())).unwrap(), *ty, "{ty}");
            assert_eq!(Type::from_name(&quoted(array.to_string())).unwrap(), array, "{array}");
        }
    }

    #[test]
    fn modifiers_lead_back() {
        for text in [
            "numeric(10,2)",
            "interval(3)",
            "interval year",
            "interval day to second",
            "interval second(0)",
            "character varying(20)",
            "character(7)",
            "vector(384)",
            "vector(3)[]",
            "halfvec(4000)",
            "sparsevec(1000000000)",
            "bit(3)",
            "bit varying(64)[]",
            "numeric(38,0)",
        ] {
            let ty = Type::from_name(text).unwrap();
            assert_eq!(ty.to_string(), text);
            assert_eq!(Type::from_oid(ty.oid()).unwrap().with_typmod(ty.typmod()), ty);
        }
        assert_eq!(Type::from_name("numeric(10,2)").unwrap().typmod(), (10 << 16 | 2) + 4);
    }

    #[test]
    fn spellings() {
        let same =
            |text: &str, expected: Type| assert_eq!(Type::from_name(text).unwrap(), expected, "{text}");
        same("INT", Type::Int4);
        same("pg_catalog.int4", Type::Int4);
        same("public.vector( 3 )", Type::Vector(Some(3)));
        same("char", Type::Bpchar(Some(1)));
        same("\"char\"", Type::Char);
        same("pg_catalog.\"char\"", Type::Char);
        same("pg_catalog.char", Type::Char);
        same("timestamp(6) with time zone", Type::Timestamptz(Some(6)));
        same("time(0)", Type::Time(Some(0)));
        same("timestamp(3)", Type::Timestamp(Some(3)));
        same("double  precision [] ", Type::Array(Box::new(Type::Float8)));
        same("integer ARRAY", Type::Array(Box::new(Type::Int4)));
        same("float(24)", Type::Float4);
        same("bit", Type::Bit(Some(1)));
        same("varbit(7)", Type::Varbit(Some(7)));
        same("public.halfvec(3)", Type::Halfvec(Some(3)));
    }

    #[test]
    fn refusals() {
        let fails = |text: &str, state: SqlState, message: &str| {
            let error = Type::from_name(text).unwrap_err();
            assert_eq!((error.state(), error.message()), (state, message));
        };
        fails("foo", SqlState::UNDEFINED_OBJECT, "type \"foo\" does not exist");
        fails("xml", SqlState::FEATURE_NOT_SUPPORTED, "type xml is not supported");
        fails("varchar(0)", SqlState::INVALID_PARAMETER_VALUE, "length for type varchar must be at least 1");
        fails(
            "vector(0)",
            SqlState::INVALID_PARAMETER_VALUE,
            "dimensions for type vector must be at least 1",
        );
        fails(
            "vector(16001)",
            SqlState::INVALID_PARAMETER_VALUE,
            "dimensions for type vector cannot exceed 16000",
        );
        fails("text(3)", SqlState::SYNTAX_ERROR, "type modifier is not allowed for type \"text\"");
    }
}
