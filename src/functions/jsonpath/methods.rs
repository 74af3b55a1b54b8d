//! Methods of one item that make another.

use super::evaluation::{Failure, Item, Result, fail, number, soft};
use super::moments::{Moment, ZoneUse};
use crate::error::{Error, SqlState};
use crate::types::json::Node;
use crate::types::jsonpath::{Expr, Method};
use crate::types::{Type, Value, cast, numeric, text};

const NON_NUMERIC_ITEM: SqlState = SqlState("22036");
const INVALID_MOMENT: SqlState = SqlState("22031");

/// The item a method makes of one that is no array to be unwrapped.
pub fn apply(method: Method, arguments: &[Expr], item: &Item, zones: ZoneUse) -> Result<Item<'static>> {
    let call = Call { method, arguments, item };
    Ok(match method {
        Method::Type => Item::from(Node::Text(item.kind().to_owned())),
        Method::Ceiling | Method::Floor | Method::Abs => {
            let Some(value) = item.number()? else { return call.only("a numeric value") };
            number(match method {
                Method::Abs => value.absolute(),
                Method::Floor => value.floor().map_err(soft)?,
                _ => value.ceiling().map_err(soft)?,
            })
        }
        Method::Double => call.double()?,
        Method::Bigint | Method::Integer => call.integer()?,
        Method::Number | Method::Decimal => call.decimal()?,
        Method::Boolean => call.boolean()?,
        Method::String => match item {
            Item::Moment(moment) => Item::from(Node::Text(moment.text())),
            item => match item.node() {
                Some(Node::Text(text)) => Item::from(Node::Text(text.clone())),
                Some(Node::Plain(text)) if text != "null" => Item::from(Node::Text(text.clone())),
                _ => return call.only("a boolean, string, numeric, or datetime value"),
            },
        },
        Method::Datetime
        | Method::Date
        | Method::Time
        | Method::TimeTz
        | Method::Timestamp
        | Method::TimestampTz => call.moment(zones)?,
        // They make no item, or several.
        Method::Size | Method::KeyValue => return call.only("an array"),
    })
}

struct Call<'c> {
    method: Method,
    arguments: &'c [Expr],
    item: &'c Item<'c>,
}

impl Call<'_> {
    fn name(&self) -> &'static str {
        self.method.name()
    }

    fn only<T>(&self, what: &str) -> Result<T> {
        let message = format!("jsonpath item method .{}() can only be applied to {what}", self.name());
        fail(NON_NUMERIC_ITEM, message)
    }

    fn invalid(&self, text: &str, ty: &str) -> Failure {
        let name = self.name();
        let message =
            format!("argument \"{text}\" of jsonpath item method .{name}() is invalid for type {ty}");
        soft(Error::new(NON_NUMERIC_ITEM, message))
    }

    fn not_finite<T>(&self) -> Result<T> {
        let name = self.name();
        fail(NON_NUMERIC_ITEM, format!("NaN or Infinity is not allowed for jsonpath item method .{name}()"))
    }

    /// The text of a text or a number.
    fn written(&self) -> Result<&str> {
        match self.item.node() {
            Some(Node::Text(text)) => Ok(text),
            Some(Node::Plain(text)) if self.item.kind() == "number" => Ok(text),
            _ => self.only("a string or numeric value"),
        }
    }

    fn double(&self) -> Result<Item<'static>> {
        let written = self.written()?;
        let value = match text::parse(&Type::Float8, written) {
            Ok(Value::Float8(value)) => value,
            _ => return Err(self.invalid(written, "double precision")),
        };
        if !value.is_finite() {
            return self.not_finite();
        }
        let shown = text::to_string(&Value::Float8(value));
        Ok(numeric::parse(&shown).map(number).unwrap_or_else(|_| Item::from(Node::Plain(shown))))
    }

    fn integer(&self) -> Result<Item<'static>> {
        let written = self.written()?;
        let ty = if self.method == Method::Bigint { Type::Int8 } else { Type::Int4 };
        // A number is rounded, a text has to be one of the type.
        let value = match self.item.number()? {
            Some(value) => cast::cast(Value::Numeric(value), &ty, true),
            None => text::parse(&ty, written),
        };
        let value = value.map_err(|_| self.invalid(written, &ty.bare().to_string()))?;
        Ok(Item::from(Node::Plain(text::to_string(&value))))
    }

    fn decimal(&self) -> Result<Item<'static>> {
        let written = self.written()?;
        let value = numeric::parse(written).map_err(|_| self.invalid(written, "numeric"))?;
        if !value.is_finite() {
            return self.not_finite();
        }
        let [precision, scale @ ..] = self.arguments else { return Ok(number(value)) };
        let precision = self.argument(precision, "precision")?;
        let scale = scale.first().map_or(Ok(0), |scale| self.argument(scale, "scale"))?;
        let refuse =
            |message: String| Err(Failure::Hard(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)));
        if !(1..=1000).contains(&precision) {
            return refuse(format!("NUMERIC precision {precision} must be between 1 and 1000"));
        }
        if !(-1000..=1000).contains(&scale) {
            return refuse(format!("NUMERIC scale {scale} must be between -1000 and 1000"));
        }
        let fitted = value.fit(Some((precision as u16, scale as i16)));
        fitted.map(number).map_err(|_| self.invalid(written, "numeric"))
    }

    /// An argument as an integer.
    fn argument(&self, argument: &Expr, what: &str) -> Result<i32> {
        let value = match argument {
            Expr::Number(value) => value.rounded(0).to_i64(),
            _ => None,
        };
        value.and_then(|value| i32::try_from(value).ok()).ok_or_else(|| {
            let name = self.name();
            let message =
                format!("{what} of jsonpath item method .{name}() is out of range for type integer");
            let state = if what == "time precision" { INVALID_MOMENT } else { NON_NUMERIC_ITEM };
            soft(Error::new(state, message))
        })
    }

    fn boolean(&self) -> Result<Item<'static>> {
        let value = match (self.item.node(), self.item.kind()) {
            (Some(Node::Plain(text)), "boolean") => text == "true",
            (Some(Node::Plain(text)), "number") => {
                text.parse::<i32>().map(|value| value != 0).map_err(|_| self.invalid(text, "boolean"))?
            }
            (Some(Node::Text(text)), _) => match text::parse(&Type::Bool, text) {
                Ok(Value::Bool(value)) => value,
                _ => return Err(self.invalid(text, "boolean")),
            },
            _ => return self.only("a boolean, string, or numeric value"),
        };
        Ok(Item::from(Node::Plain(value.to_string())))
    }

    fn moment(&self, zones: ZoneUse) -> Result<Item<'static>> {
        let name = self.name();
        let Some(Node::Text(input)) = self.item.node() else {
            let message = format!("jsonpath item method .{name}() can only be applied to a string");
            return fail(INVALID_MOMENT, message);
        };
        if let [Expr::Text(template)] = self.arguments {
            return Moment::read(input, template).map(Item::Moment).map_err(soft);
        }
        let digits = match self.arguments.first() {
            Some(digits) => Some(self.argument(digits, "time precision")?.clamp(0, 6) as u8),
            None => None,
        };
        let unknown = || Error::new(INVALID_MOMENT, format!("{name} format is not recognized: \"{input}\""));
        let Some(moment) = Moment::read_iso(input) else {
            let hint = "Use a datetime template argument to specify the input data format.";
            return Err(soft(match self.method {
                Method::Datetime => unknown().hint(hint),
                _ => unknown(),
            }));
        };
        match moment.converted(self.method, digits, zones).map_err(Failure::Hard)? {
            Some(moment) => Ok(Item::Moment(moment)),
            None => Err(soft(unknown())),
        }
    }
}
