//! Which operators there are between types, as far as this file knows types.

use crate::types::Type;

/// Types whose operators this file knows completely, by what they compare with.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Bool,
    Number,
    Text,
    Date,
    Timestamp,
    Time,
    Timetz,
    Interval,
    Uuid,
    Money,
    Tid,
    /// By its oid.
    Enum(u32),
    /// By its oid, as what follows.
    Range(u32),
    Multirange(u32),
    /// `inet` and `cidr`, or the others.
    Network {
        ip: bool,
    },
    Hstore,
}

/// `None` for other types.
pub fn kind_of(ty: &Type) -> Option<Kind> {
    Some(match ty {
        Type::Bool => Kind::Bool,
        Type::Int2 | Type::Int4 | Type::Int8 | Type::Float4 | Type::Float8 | Type::Numeric(_) => Kind::Number,
        Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext => Kind::Text,
        Type::Date => Kind::Date,
        Type::Timestamp(_) | Type::Timestamptz(_) => Kind::Timestamp,
        Type::Time(_) => Kind::Time,
        Type::Timetz(_) => Kind::Timetz,
        Type::Interval(_) => Kind::Interval,
        Type::Uuid => Kind::Uuid,
        Type::Money => Kind::Money,
        Type::Tid => Kind::Tid,
        Type::Enum(of) => Kind::Enum(of.oid),
        Type::Range(_) => Kind::Range(ty.oid()),
        Type::Multirange(_) => Kind::Multirange(ty.oid()),
        Type::Network(of) => Kind::Network { ip: of.is_ip() },
        Type::Hstore => Kind::Hstore,
        _ => return None,
    })
}

/// Whether PostgreSQL has the operator between two types; what is not known here is left to DataFusion.
pub fn is_defined(operator: &str, left: &Type, right: &Type) -> bool {
    let (Some(one), Some(other)) = (kind_of(left), kind_of(right)) else { return true };
    let pair = (one, other);
    match operator {
        // Which hstore comes first is asked by operators of other names.
        "<" | "<=" | ">" | ">=" if one == Kind::Hstore => false,
        "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=" => {
            one == other
                || matches!(pair, (Kind::Date, Kind::Timestamp) | (Kind::Timestamp, Kind::Date))
                || matches!(pair, (Kind::Time, Kind::Interval) | (Kind::Interval, Kind::Time))
                || matches!(pair, (Kind::Time, Kind::Timetz) | (Kind::Timetz, Kind::Time))
        }
        "+" => match pair {
            (Kind::Number, Kind::Number) | (Kind::Interval, Kind::Interval) => true,
            (Kind::Money, Kind::Money) => true,
            (Kind::Date, Kind::Number) => is_integer(right),
            (Kind::Number, Kind::Date) => is_integer(left),
            (Kind::Date | Kind::Timestamp | Kind::Time | Kind::Timetz, Kind::Interval) => true,
            (Kind::Interval, Kind::Date | Kind::Timestamp | Kind::Time | Kind::Timetz) => true,
            (Kind::Date, Kind::Time | Kind::Timetz) | (Kind::Time | Kind::Timetz, Kind::Date) => true,
            // A time is cast to interval there.
            (Kind::Timestamp, Kind::Time) | (Kind::Time, Kind::Timestamp) => true,
            _ => false,
        },
        "-" => match pair {
            (Kind::Number, Kind::Number) | (Kind::Money, Kind::Money) => true,
            (Kind::Date, Kind::Number) => is_integer(right),
            (Kind::Date | Kind::Timestamp, Kind::Date | Kind::Timestamp) => true,
            (Kind::Time, Kind::Time) | (Kind::Date | Kind::Timestamp, Kind::Time) => true,
            (Kind::Date | Kind::Timestamp | Kind::Time | Kind::Timetz | Kind::Interval, Kind::Interval) => {
                true
            }
            _ => false,
        },
        "*" => matches!(
            pair,
            (Kind::Number, Kind::Number)
                | (Kind::Interval | Kind::Money, Kind::Number)
                | (Kind::Number, Kind::Interval | Kind::Money)
        ),
        "/" => matches!(
            pair,
            (Kind::Number | Kind::Interval | Kind::Money, Kind::Number) | (Kind::Money, Kind::Money)
        ),
        "%" => {
            let is_float = |ty: &Type| matches!(ty, Type::Float4 | Type::Float8);
            pair == (Kind::Number, Kind::Number) && !is_float(left) && !is_float(right)
        }
        "||" => one == Kind::Text || other == Kind::Text,
        _ => true,
    }
}

/// Integers that date arithmetic takes; literals are `bigint` until `prepare` has seen them.
fn is_integer(ty: &Type) -> bool {
    matches!(ty, Type::Int2 | Type::Int4 | Type::Int8)
}
