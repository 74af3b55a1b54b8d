//! Casts with PostgreSQL's rules and texts, where Arrow's differ.
//!
//! Text is parsed and printed by `types`, so that `'x'::int` fails as it does in PostgreSQL and `1.0::float8::text` is
//! `1`. Numbers round instead of being cut off. Vectors check their dimensions.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::jsonpath;
use crate::functions::scalar::look_of;
use crate::types::arrow::errors::external;
use crate::types::arrow::{Builder, data_type, from_scalar, plain_field, to_scalar, value_at};
use crate::types::{self, DateOrder, DateStyle, IntervalStyle, Look, Type, Value, Zone};

/// Whether a cast is ours to do.
pub fn differs(source: &Type, target: &Type) -> bool {
    match (source, target) {
        (source, target) if is_text(source) && is_text(target) => {
            !matches!(target, Type::Text) && source != target
        }
        (source, _) if is_text(source) => true,
        (_, target) if is_text(target) => true,
        (Type::Float4 | Type::Float8 | Type::Numeric(_), Type::Int2 | Type::Int4 | Type::Int8) => true,
        // The same bits.
        (Type::Oid, Type::Int4) => true,
        (Type::Int8, Type::Int4 | Type::Int2) | (Type::Int4, Type::Int2) | (Type::Float8, Type::Float4) => {
            true
        }
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Oid) => true,
        (Type::Float4 | Type::Float8, Type::Numeric(_)) | (Type::Numeric(_), Type::Float4 | Type::Float8) => {
            true
        }
        // Each value shows its own digits.
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Numeric(_)) if !is_decimal(target) => true,
        (Type::Numeric(_), Type::Numeric(_)) if !is_decimal(source) || !is_decimal(target) => {
            source != target
        }
        // Every value fits, and Arrow is as exact as we are.
        (source, Type::Numeric(Some(kept))) if digits_of(source).is_some_and(|given| fits(given, *kept)) => {
            false
        }
        (_, Type::Numeric(Some(_))) => source != target,
        (Type::Vector(_), Type::Vector(Some(_)))
        | (Type::Halfvec(_), Type::Halfvec(Some(_)))
        | (Type::Sparsevec(_), Type::Sparsevec(Some(_))) => source != target,
        (Type::Bit(_) | Type::Varbit(_), _) | (_, Type::Bit(_) | Type::Varbit(_)) => source != target,
        (Type::Enum(_), _) | (_, Type::Enum(_)) => source != target,
        (Type::Record(_) | Type::Composite(_), _) | (_, Type::Record(_) | Type::Composite(_)) => {
            source != target
        }
        (Type::TsVector | Type::TsQuery, _) | (_, Type::TsVector | Type::TsQuery) => source != target,
        (Type::Range(_) | Type::Multirange(_) | Type::Network(_) | Type::Hstore, _)
        | (_, Type::Range(_) | Type::Multirange(_) | Type::Network(_) | Type::Hstore) => source != target,
        (Type::Array(_), Type::Array(_)) => {
            source.dimensions() != target.dimensions() || differs(source.element(), target.element())
        }
        (Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_), _)
        | (_, Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_)) => source.bare() != target.bare(),
        (Type::Json | Type::Jsonb | Type::JsonPath, _) | (_, Type::Json | Type::Jsonb | Type::JsonPath) => {
            source != target
        }
        (Type::Timetz(_) | Type::Money | Type::Void | Type::Polymorphic(_), _)
        | (_, Type::Timetz(_) | Type::Money | Type::Void | Type::Polymorphic(_)) => source != target,
        (Type::Interval(_), Type::Time(_)) | (Type::Time(_), Type::Interval(_)) => true,
        (Type::Interval(_), Type::Interval(Some(_))) => source != target,
        // Arrow knows no infinity.
        (Type::Timestamp(_), Type::Date | Type::Time(_)) | (Type::Date, Type::Timestamp(_)) => true,
        (Type::Time(_), Type::Time(Some(_))) | (Type::Timestamp(_), Type::Timestamp(Some(_))) => {
            source != target
        }
        (_, Type::Time(Some(_)) | Type::Timestamp(Some(_))) => true,
        (Type::Timestamptz(_), Type::Timestamptz(digits)) => digits.is_some() && source != target,
        (Type::Timestamptz(_), _) => true,
        (_, Type::Timestamptz(_)) => true,
        _ => false,
    }
}

fn is_text(ty: &Type) -> bool {
    ty.is_text()
}

/// Whether numbers of the type are an Arrow decimal.
fn is_decimal(ty: &Type) -> bool {
    matches!(data_type(ty), DataType::Decimal128(_, _))
}

/// Precision and scale of a type of exact numbers that has them.
fn digits_of(ty: &Type) -> Option<(u16, i16)> {
    match ty {
        Type::Int2 => Some((5, 0)),
        Type::Int4 => Some((10, 0)),
        Type::Int8 => Some((19, 0)),
        Type::Numeric(digits) => *digits,
        _ => None,
    }
}

/// Whether there are as many digits before the point, and behind it.
fn fits((precision, scale): (u16, i16), kept: (u16, i16)) -> bool {
    let whole = |precision: u16, scale: i16| i32::from(precision) - i32::from(scale);
    scale <= kept.1 && whole(precision, scale) <= whole(kept.0, kept.1)
}

/// The cast as a function of one argument.
/// An explicit one cuts text that is too long, an assignment refuses it.
pub fn function(source: Type, target: Type, explicit: bool) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    let returns = Arc::new(plain_field("cast", &target));
    Arc::new(ScalarUDF::from(Cast { source, target, explicit, returns, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cast {
    source: Type,
    target: Type,
    explicit: bool,
    returns: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(data_type(&self.target))
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // How floats are shown is the session's wish too, though their texts count as the same everywhere, as in
        // PostgreSQL.
        let shown = self.needs_zone() || self.target.is_text();
        let look = if shown { look_of(&args.config_options) } else { Look::PLAIN };
        match &args.args[0] {
            ColumnarValue::Scalar(value) => {
                self.scalar(value, look).map(ColumnarValue::Scalar).map_err(external)
            }
            ColumnarValue::Array(array) => {
                self.array(array, look).map(ColumnarValue::Array).map_err(external)
            }
        }
    }
}

impl Cast {
    fn needs_zone(&self) -> bool {
        types::cast::needs_zone(&self.source, &self.target)
    }

    fn value(&self, value: Value, look: Look) -> crate::error::Result<Value> {
        // The blanks of a `character(n)` are no part of the text it becomes, but of the text of an array of them.
        let is_shown = self.target.is_text()
            && !matches!(self.source, Type::Bpchar(_))
            && types::cast::has_blanks(&self.source);
        let value = if is_shown { types::cast::filled(value, &self.source) } else { value };
        let made = types::cast::cast_as(value, &self.target, self.explicit, look)?;
        checked(made, &self.target)
    }

    fn scalar(&self, value: &ScalarValue, look: Look) -> crate::error::Result<ScalarValue> {
        to_scalar(&self.value(from_scalar(value, &self.source)?, look)?, &self.target)
    }

    fn array(&self, array: &ArrayRef, look: Look) -> crate::error::Result<ArrayRef> {
        let mut builder = Builder::new(&self.target, array.len());
        for row in 0..array.len() {
            builder.append(&self.value(value_at(array, row, &self.source)?, look)?)?;
        }
        Ok(builder.finish())
    }
}

/// Whether a function is a cast that makes numbers of numbers and changes none: to `numeric` without a modifier.
pub fn keeps_numbers(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Cast>().is_some_and(|cast| {
        matches!(cast.source, Type::Int2 | Type::Int4 | Type::Int8 | Type::Numeric(_))
            && cast.target == Type::Numeric(None)
    })
}

/// Whether a function is a cast that depends on the session's time zone or styles.
pub fn needs_zone(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Cast>().is_some_and(Cast::needs_zone)
}

/// 2201B of a path with a regular expression that is none, which its type does not know.
fn checked(value: Value, ty: &Type) -> crate::error::Result<Value> {
    if let (Type::JsonPath, Value::Text(path)) = (ty, &value) {
        jsonpath::check_patterns(path)?;
    }
    Ok(value)
}

/// A text literal as a value of `ty`, with the errors of that type's input function; `None` when it is another value
/// in another time zone or style.
pub fn parse_text(text: &str, ty: &Type) -> crate::error::Result<Option<Value>> {
    if !types::cast::needs_zone(&Type::Text, ty) {
        return checked(types::text::parse(ty, text)?, ty).map(Some);
    }
    let same = |value: &Value| {
        let (zone, intervals) = (Zone::of_offset(FAR_SECONDS), IntervalStyle::Standard);
        [DateOrder::MonthDayYear, DateOrder::DayMonthYear, DateOrder::YearMonthDay].into_iter().all(|order| {
            let dates = DateStyle { order, ..DateStyle::ISO };
            let look = Look { zone, dates, intervals, ..Look::PLAIN };
            types::text::parse_as(ty, text, look).is_ok_and(|elsewhere| elsewhere == *value)
        })
    };
    // What is no such value here may be one for a session of another DateStyle.
    Ok(types::text::parse(ty, text).ok().filter(same))
}

/// So far east that it is another day there at noon.
const FAR_SECONDS: i32 = 13 * 3600;
