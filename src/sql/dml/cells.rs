//! Literals and parameters as values, without the planner.
//!
//! A cell of VALUES, of SET or of EXECUTE's list that is one of these costs no DataFusion expression: an INSERT made
//! of them is a copy of values into rows.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{CastKind, Expr, UnaryOperator, Value as Literal};

use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::expressions::{self, Projection};
use crate::sql::type_names;
use crate::sql::visit;
use crate::types::cast::{self, Context};
use crate::types::{Look, Numeric, Type, Value, text};

/// A cell of VALUES or SET.
#[derive(Clone)]
pub enum Cell {
    /// The keyword DEFAULT.
    Default,
    /// Of its column's type already.
    Constant(Value),
    /// `$n`, from 0; the type it has as a parameter, and how the session reads and shows values.
    Param(usize, Type, Look),
    /// An expression without columns, evaluated row by row.
    Computed(Arc<Projection>),
}

/// A column that takes values.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub name: &'a str,
    pub ty: &'a Type,
}

/// Types of parameters, as they become known, and how the session reads and shows values.
#[derive(Debug)]
pub struct ParamTypes(pub Vec<Option<Type>>, Look);

impl ParamTypes {
    pub fn declared(context: &PlanContext) -> ParamTypes {
        ParamTypes(context.param_types.to_vec(), context.environment.look())
    }

    /// Notes that `$index + 1` is used as `ty`; the type it has.
    fn note(&mut self, index: usize, ty: &Type) -> Type {
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index].get_or_insert_with(|| ty.clone()).clone()
    }

    /// Adds parameters that only an expression uses.
    pub fn widen(&mut self, types: &[Type]) {
        for (index, ty) in types.iter().enumerate() {
            match self.0.get_mut(index) {
                Some(known) => drop(known.get_or_insert_with(|| ty.clone())),
                None => self.0.push(Some(ty.clone())),
            }
        }
    }

    /// Those nobody used become text, as PostgreSQL's unknown does.
    pub fn finish(self) -> Vec<Type> {
        self.0.into_iter().map(|ty| ty.unwrap_or(Type::Text)).collect()
    }
}

/// The cell an expression is, if it is a simple one, for a column.
pub fn cell(expression: &Expr, target: &Target, params: &mut ParamTypes) -> Result<Option<Cell>> {
    if is_default(expression) {
        return Ok(Some(Cell::Default));
    }
    if let Some((index, cast)) = placeholder(expression)? {
        let used_as = cast.clone().unwrap_or_else(|| target.ty.clone());
        let ty = params.note(index, &used_as);
        // `$1::jsonb` of a parameter that is text by declaration is a cast like any other.
        if cast.is_some_and(|cast| cast.bare() != ty.bare()) {
            return Ok(None);
        }
        check_assignable(&ty, target)?;
        return Ok(Some(Cell::Param(index, ty, params.1)));
    }
    Ok(constant(expression, target, params.1)?.map(Cell::Constant))
}

/// [`cell`], or the expression compiled. Subqueries cannot be: 0A000.
pub fn any_cell(
    expression: &Expr,
    target: &Target,
    context: &PlanContext,
    params: &mut ParamTypes,
) -> Result<Cell> {
    if let Some(simple) = cell(expression, target, params)? {
        return Ok(simple);
    }
    let items = expressions::items([expression.clone()]);
    let known = PlanContext { param_types: &params.0.clone(), ..*context };
    if !matches!(expression, Expr::Array(_)) {
        let untyped = expressions::compile(&known, &[], &items, &[])?;
        check_assignable(&untyped.columns[0].ty, target)?;
    }
    let compiled = expressions::compile(&known, &[], &items, std::slice::from_ref(target.ty))?;
    // Only those it names: others may be known by the cells that use them.
    for index in parameters_of(expression)? {
        if let Some(ty) = compiled.param_types.get(index) {
            params.note(index, ty);
        }
    }
    Ok(Cell::Computed(Arc::new(compiled)))
}

/// The parameters an expression names, from 0.
fn parameters_of(expression: &Expr) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    let visited = visit::expressions(expression, |part| match part {
        Expr::Value(value) => match &value.value {
            Literal::Placeholder(text) => match parameter_index(text) {
                Ok(index) => {
                    found.push(index);
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error),
            },
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match visited {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(found),
    }
}

/// A literal as a value of the column, if the expression is one.
pub fn constant(expression: &Expr, target: &Target, look: Look) -> Result<Option<Value>> {
    // Straight from the text: numeric, which PostgreSQL goes through, is bounded here.
    if let (Some(number), Type::Float4 | Type::Float8) = (number_text(expression), target.ty) {
        return Ok(Some(text::parse(target.ty, &number)?));
    }
    match literal(expression, look)? {
        None => Ok(None),
        Some(Constant::Null) => Ok(Some(Value::Null)),
        Some(Constant::Unknown(text)) => Ok(Some(text::parse_as(target.ty, &text, look)?)),
        Some(Constant::Typed(value, ty)) => {
            check_assignable(&ty, target)?;
            Ok(Some(assign(value, target.ty, look)?))
        }
    }
}

/// A value as the column of type `ty` holds it; the types are known to be assignable.
pub fn assign(value: Value, ty: &Type, look: Look) -> Result<Value> {
    match (&value, ty) {
        (Value::Null, _)
        | (Value::Bool(_), Type::Bool)
        | (Value::Int2(_), Type::Int2)
        | (Value::Int4(_), Type::Int4)
        | (Value::Int8(_), Type::Int8)
        | (Value::Float4(_), Type::Float4)
        | (Value::Float8(_), Type::Float8)
        | (Value::Text(_), Type::Text | Type::Varchar(None) | Type::Citext)
        | (Value::Timestamptz(_), Type::Timestamptz(None))
        | (Value::Jsonb(_), Type::Jsonb)
        | (Value::Uuid(_), Type::Uuid)
        | (Value::Money(_), Type::Money)
        | (Value::Tid(_), Type::Tid) => Ok(value),
        _ => cast::cast_as(value, ty, false, look),
    }
}

/// 42804 unless a value of type `from` may be stored in the column.
pub fn check_assignable(from: &Type, target: &Target) -> Result<()> {
    match cast::context(from, target.ty) {
        Some(Context::Implicit | Context::Assignment) => Ok(()),
        _ => {
            let message = format!(
                "column \"{}\" is of type {} but expression is of type {}",
                target.name,
                target.ty.bare(),
                from.bare()
            );
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                .hint("You will need to rewrite or cast the expression."))
        }
    }
}

/// The keyword DEFAULT, which sqlparser reads as a name.
pub fn is_default(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

/// `$n` or `$n::type`: the number from 0 and the type it is cast to.
fn placeholder(expression: &Expr) -> Result<Option<(usize, Option<Type>)>> {
    match expression {
        Expr::Nested(inner) => placeholder(inner),
        Expr::Value(value) => match &value.value {
            Literal::Placeholder(text) => Ok(Some((parameter_index(text)?, None))),
            _ => Ok(None),
        },
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            match placeholder(expr)? {
                // A type that is not built in is the planner's to find.
                Some((index, None)) => Ok(type_names::built_in(data_type).map(|ty| (index, Some(ty)))),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

fn parameter_index(text: &str) -> Result<usize> {
    let number = text.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    match number {
        // The wire counts parameters in 16 bits.
        Some(number @ 1..=65_535) => Ok(number - 1),
        _ => Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {text}"))),
    }
}

/// What a literal says.
pub enum Constant {
    Null,
    /// A string whose type its surroundings give.
    Unknown(String),
    Typed(Value, Type),
}

/// A literal, with its sign and its cast; read as a session reads it.
pub fn literal(expression: &Expr, look: Look) -> Result<Option<Constant>> {
    match expression {
        Expr::Nested(inner) => literal(inner, look),
        Expr::Value(value) => Ok(match &value.value {
            Literal::Null => Some(Constant::Null),
            Literal::Boolean(value) => Some(Constant::Typed(Value::Bool(*value), Type::Bool)),
            Literal::Number(text, _) => number(text, false)?,
            Literal::SingleQuotedString(text)
            | Literal::EscapedStringLiteral(text)
            | Literal::UnicodeStringLiteral(text) => Some(Constant::Unknown(text.clone())),
            Literal::DollarQuotedString(text) => Some(Constant::Unknown(text.value.clone())),
            _ => None,
        }),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => match &value.value {
                Literal::Number(text, _) => number(text, true),
                _ => Ok(None),
            },
            _ => Ok(None),
        },
        Expr::TypedString(typed) => {
            let Some(ty) = type_names::built_in(&typed.data_type) else { return Ok(None) };
            match literal(&Expr::Value(typed.value.clone()), look)? {
                Some(Constant::Unknown(text)) => {
                    Ok(Some(Constant::Typed(text::parse_as(&ty, &text, look)?, ty)))
                }
                _ => Ok(None),
            }
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            let Some(inner) = literal(expr, look)? else { return Ok(None) };
            let Some(ty) = type_names::built_in(data_type) else { return Ok(None) };
            Ok(Some(match inner {
                Constant::Null => Constant::Null,
                Constant::Unknown(text) => Constant::Typed(explicit(&ty, &text, look)?, ty),
                Constant::Typed(value, from) if cast::context(&from, &ty).is_some() => {
                    Constant::Typed(cast::cast_as(value, &ty, true, look)?, ty)
                }
                Constant::Typed(..) => return Ok(None),
            }))
        }
        _ => Ok(None),
    }
}

/// `'text'::type`: too long text is cut, as an explicit cast does.
fn explicit(ty: &Type, text: &str, look: Look) -> Result<Value> {
    match ty {
        Type::Varchar(_) | Type::Bpchar(_) | Type::Bit(_) | Type::Varbit(_) => {
            cast::cast(Value::Text(text.to_string()), ty, true)
        }
        _ => text::parse_as(ty, text, look),
    }
}

/// The text of a number literal with its sign.
fn number_text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Nested(inner) => number_text(inner),
        Expr::Value(value) => match &value.value {
            Literal::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(format!("-{}", number_text(expr)?)),
        _ => None,
    }
}

/// A number literal: integer, bigint or numeric, whichever it fits first. Numbers beyond numeric are the planner's.
fn number(text: &str, negative: bool) -> Result<Option<Constant>> {
    let signed = if negative { format!("-{text}") } else { text.to_string() };
    if let Ok(value) = signed.parse::<i32>() {
        return Ok(Some(Constant::Typed(Value::Int4(value), Type::Int4)));
    }
    if let Ok(value) = signed.parse::<i64>() {
        return Ok(Some(Constant::Typed(Value::Int8(value), Type::Int8)));
    }
    let parsed: Result<Numeric> = crate::types::numeric::parse(&signed);
    Ok(parsed.ok().map(|value| Constant::Typed(Value::Numeric(value), Type::Numeric(None))))
}
