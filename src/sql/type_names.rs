//! Names of types in SQL text to [`Type`]s.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo,
};

use crate::catalog::{Catalog, Oid};
use crate::error::{Error, Result, SqlState};
use crate::sql::domains;
use crate::sql::statement::{ColumnType, Name};
use crate::sql::words::object_name;
use crate::types::Type;
use crate::types::dimensions::{self, DIMENSIONS_MAX};

/// PostgreSQL's limit for varchar(n) and character(n).
const CHARACTERS_MAX: u64 = 10_485_760;

/// The type of a column definition: a plain one, or one of the serials.
pub fn column_type(data_type: &DataType) -> Result<ColumnType> {
    if let DataType::Custom(name, modifiers) = data_type {
        let name = object_name(name).name;
        let serial = match name.as_str() {
            "smallserial" | "serial2" => Some(Type::Int2),
            "serial" | "serial4" => Some(Type::Int4),
            "bigserial" | "serial8" => Some(Type::Int8),
            _ => None,
        };
        if let (Some(ty), true) = (serial, modifiers.is_empty()) {
            return Ok(ColumnType::Serial(ty));
        }
    }
    match resolve(data_type) {
        Err(error) if error.state() == SqlState::UNDEFINED_OBJECT && is_named(data_type) => {
            Ok(ColumnType::Named(data_type.clone()))
        }
        // Only the catalogue knows whether there is one.
        Ok(ty) if ty.extension().is_some() => Ok(ColumnType::Named(data_type.clone())),
        resolved => resolved.map(ColumnType::Plain),
    }
}

/// The type a name means in every database.
pub fn built_in(data_type: &DataType) -> Option<Type> {
    resolve(data_type).ok().filter(|ty| ty.extension().is_none())
}

/// 42704 for a type of an extension that was not created, as it is said of those in a function's signature.
pub fn check_created(ty: &Type, catalog: &Catalog) -> Result<()> {
    match ty.extension().is_none_or(|name| catalog.extension_named(name).is_some()) {
        true => Ok(()),
        false => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type {ty} does not exist"))),
    }
}

/// 42704 for a type of this name.
pub fn does_not_exist(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

/// Whether a type of a user might be meant.
fn is_named(data_type: &DataType) -> bool {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => is_named(element),
        other => domains::name_of(other).is_some(),
    }
}

/// The type a name means, those of users and of extensions among them.
pub fn resolve_in(data_type: &DataType, catalog: &Catalog, search_path: &[String]) -> Result<Type> {
    match resolve(data_type) {
        Err(error) if error.state() == SqlState::UNDEFINED_OBJECT => {
            if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) = data_type
                && domains::meant(element, catalog, search_path).is_some()
            {
                return Err(Error::unsupported("an array of a domain"));
            }
            own(data_type, catalog, search_path).ok_or(error)
        }
        Ok(ty) if let Some(extension) = ty.extension() => own(data_type, catalog, search_path)
            .ok_or_else(|| does_not_exist(&shown(data_type).unwrap_or_else(|| extension.to_owned()))),
        resolved => resolved,
    }
}

/// The name of a type that is not built in, as messages have it.
fn shown(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            Some(format!("{}[]", shown(element)?))
        }
        other => Some(domains::name_of(other)?.to_string()),
    }
}

/// A type of a user or of an extension by its name.
fn own(data_type: &DataType, catalog: &Catalog, search_path: &[String]) -> Option<Type> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            array(own(element, catalog, search_path)?).ok()
        }
        other => own_named(&domains::name_of(other)?, catalog, search_path),
    }
}

/// The same by name; `_mood` is `mood[]`, and a domain is its base type.
pub fn own_named(name: &Name, catalog: &Catalog, search_path: &[String]) -> Option<Type> {
    let found = match &name.schema {
        Some(schema) => catalog.type_named(schema, &name.name),
        None => search_path.iter().find_map(|schema| catalog.type_named(schema, &name.name)),
    };
    if found.is_some() {
        return found;
    }
    if let Some(domain) = domains::by_name(name, catalog, search_path) {
        return Some(domain.base.clone());
    }
    if let Some(ty) = of_extension(name, catalog) {
        return Some(ty);
    }
    let item = Name { name: name.name.strip_prefix('_')?.to_owned(), ..name.clone() };
    if domains::by_name(&item, catalog, search_path).is_some() {
        return None;
    }
    array(own_named(&item, catalog, search_path)?).ok()
}

/// A type that an extension brought. Without a schema it is found wherever the extension is.
fn of_extension(name: &Name, catalog: &Catalog) -> Option<Type> {
    let ty = Type::named(&name.name, true, &[]).ok()?;
    let created = catalog.extension_named(ty.extension()?)?;
    name.schema.as_ref().is_none_or(|schema| *schema == created.schema).then_some(ty)
}

impl ColumnType {
    /// The type itself.
    pub fn resolve(&self, catalog: &Catalog, search_path: &[String]) -> Result<Type> {
        match self {
            ColumnType::Plain(ty) | ColumnType::Serial(ty) => Ok(ty.clone()),
            ColumnType::Named(data_type) => resolve_in(data_type, catalog, search_path),
            ColumnType::Domain(oid) => match catalog.domain_by_oid(*oid) {
                Some(domain) => Ok(domain.base.clone()),
                None => Err(Error::internal("a column of a domain that is gone")),
            },
        }
    }

    /// The domain it is, if it is one.
    pub fn domain(&self, catalog: &Catalog, search_path: &[String]) -> Option<Oid> {
        match self {
            ColumnType::Domain(oid) => Some(*oid),
            ColumnType::Named(data_type) => Some(domains::meant(data_type, catalog, search_path)?.oid),
            ColumnType::Plain(_) | ColumnType::Serial(_) => None,
        }
    }
}

/// The type a name means; 42704 when there is none, 0A000 when it is PostgreSQL's but not ours.
pub fn resolve(data_type: &DataType) -> Result<Type> {
    Ok(match data_type {
        DataType::Bool | DataType::Boolean => Type::Bool,
        DataType::SmallInt(None) | DataType::Int2(None) => Type::Int2,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => Type::Int4,
        DataType::BigInt(None) | DataType::Int8(None) => Type::Int8,
        DataType::Real | DataType::Float4 => Type::Float4,
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => {
            Type::Float8
        }
        DataType::Float(info) => float(info)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Type::named("numeric", false, &modifiers(info))?
        }
        DataType::Text => Type::Text,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            Type::Varchar(characters(length, "varchar")?)
        }
        DataType::Char(length) | DataType::Character(length) => {
            Type::Bpchar(Some(characters(length, "char")?.unwrap_or(1)))
        }
        DataType::Bytea => Type::Bytea,
        DataType::TsVector => Type::TsVector,
        DataType::TsQuery => Type::TsQuery,
        DataType::Date => Type::Date,
        DataType::Time(precision, zone) => {
            let digits = digits(precision)?;
            match zone {
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => Type::Timetz(digits),
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => Type::Time(digits),
            }
        }
        DataType::Timestamp(precision, zone) => {
            let digits = digits(precision)?;
            match zone {
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => Type::Timestamptz(digits),
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => Type::Timestamp(digits),
            }
        }
        DataType::Interval { fields, precision } => {
            let fields = fields.as_ref().map(ToString::to_string).unwrap_or_default().to_lowercase();
            if precision.is_some() && !(fields.is_empty() || fields.ends_with("second")) {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"(\""));
            }
            let digits: Vec<i64> = precision.iter().map(|&p| i64::try_from(p).unwrap_or(i64::MAX)).collect();
            Type::named(format!("interval {fields}").trim_end(), false, &digits)?
        }
        DataType::Uuid => Type::Uuid,
        DataType::JSON => Type::Json,
        DataType::JSONB => Type::Jsonb,
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::Parenthesis(element),
        ) => array(resolve(element)?)?,
        DataType::Bit(length) => Type::Bit(Some(bits(length, "bit")?.unwrap_or(1))),
        DataType::BitVarying(length) | DataType::VarBit(length) => Type::Varbit(bits(length, "varbit")?),
        DataType::Custom(name, modifiers) => return custom(&object_name(name).name, modifiers),
        other => return Err(missing(&other.to_string().to_lowercase())),
    })
}

/// Arrays of as many dimensions as there are brackets.
fn array(element: Type) -> Result<Type> {
    match element.dimensions() {
        DIMENSIONS_MAX.. => Err(dimensions::too_many(DIMENSIONS_MAX + 1)),
        _ => element.in_arrays(),
    }
}

/// A type by a name that the grammar does not know: vector, qualified and quoted names.
fn custom(name: &str, modifiers: &[String]) -> Result<Type> {
    let numbers = modifiers.iter().map(|text| {
        text.parse::<i64>().map_err(|_| {
            let message = format!("invalid input syntax for type integer: \"{text}\"");
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })
    });
    Type::named(name, true, &numbers.collect::<Result<Vec<_>>>()?)
}

fn missing(name: &str) -> Error {
    let base = name.split(['(', ' ']).next().unwrap_or(name);
    match Type::named(base, false, &[]) {
        Err(error) if error.state() == SqlState::FEATURE_NOT_SUPPORTED => error,
        _ => Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")),
    }
}

fn float(info: &ExactNumberInfo) -> Result<Type> {
    let invalid = |message| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    match info {
        ExactNumberInfo::None => Ok(Type::Float8),
        ExactNumberInfo::Precision(0) => Err(invalid("precision for type float must be at least 1 bit")),
        ExactNumberInfo::Precision(1..=24) => Ok(Type::Float4),
        ExactNumberInfo::Precision(25..=53) => Ok(Type::Float8),
        _ => Err(invalid("precision for type float must be less than 54 bits")),
    }
}

/// As modifiers of a name.
fn modifiers(info: &ExactNumberInfo) -> Vec<i64> {
    let modifier = |precision| i64::try_from(precision).unwrap_or(i64::MAX);
    match *info {
        ExactNumberInfo::None => Vec::new(),
        ExactNumberInfo::Precision(precision) => vec![modifier(precision)],
        ExactNumberInfo::PrecisionAndScale(precision, scale) => vec![modifier(precision), scale],
    }
}

fn characters(length: &Option<CharacterLength>, name: &str) -> Result<Option<u32>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => {
            let invalid = |message| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            match *length {
                0 => invalid(format!("length for type {name} must be at least 1")),
                length if length > CHARACTERS_MAX => {
                    invalid(format!("length for type {name} cannot exceed {CHARACTERS_MAX}"))
                }
                length => Ok(Some(length as u32)),
            }
        }
        Some(CharacterLength::Max) => Err(missing(&format!("{name}(max)"))),
    }
}

fn bits(length: &Option<u64>, name: &str) -> Result<Option<u32>> {
    let modifiers: Vec<i64> =
        length.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX)).collect();
    crate::types::bits::typmod_in(&modifiers, name)
}

/// Digits of a second.
fn digits(precision: &Option<u64>) -> Result<Option<u8>> {
    let modifiers: Vec<i64> =
        precision.iter().map(|&digits| i64::try_from(digits).unwrap_or(i64::MAX)).collect();
    crate::types::names::precision(&modifiers)
}
