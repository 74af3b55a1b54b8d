//! citext, which is compared by its keys: texts in lower case.
//!
//! ```text
//!   email = 'X'                   citext_key(email) = citext_key('X')
//!   emails = '{X}'                citext_key(emails) = citext_key('{X}')     arrays of it
//!   email = name                  noted(email) = name                        a text beside it: as texts, with case
//!   email LIKE 'x%', email ~ 'x'  email ILIKE 'x%', email ~* 'x'
//!   replace(email, 'x', 'y')      citext_replace(email, 'x', 'y')
//! ```
//!
//! A literal or a parameter without a type is citext beside one. What PostgreSQL takes as a text because a typed text
//! stands beside it loses its note here, so that nothing above compares it by its key.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Operator, Projection};

use crate::functions::citext::{KEY, OVERLOADED, PLAIN};
use crate::planner::characters;
use crate::planner::operators::{call, literal, parameter};
use crate::types::arrow::{data_type, type_of};
use crate::types::citext::is_folded;
use crate::types::{Type, citext};

/// What is known of a side of a comparison.
#[derive(Clone, Debug, PartialEq)]
enum Side {
    /// A literal, NULL or a parameter that has no type yet.
    Unknown,
    Typed(Type),
}

fn side(expr: &Expr, schema: &DFSchema) -> Option<Side> {
    Some(match expr {
        Expr::Alias(alias) => return side(&alias.expr, schema),
        Expr::Literal(ScalarValue::Utf8(_), None) => Side::Unknown,
        Expr::Literal(value, _) if value.is_null() => Side::Unknown,
        // A literal beside an array of which it was not known yet that it is one of citext: what says its type is a cast.
        Expr::Literal(ScalarValue::List(list), Some(_)) if list.value_type() == DataType::Utf8 => {
            Side::Unknown
        }
        Expr::Placeholder(placeholder) if placeholder.field.is_none() => Side::Unknown,
        Expr::Cast(cast) if characters::is_to_text(cast) => Side::Typed(Type::Text),
        expr => {
            let (_, found) = expr.to_field(schema).ok()?;
            if found.data_type().is_null() { Side::Unknown } else { Side::Typed(type_of(&found)) }
        }
    })
}

/// Whether an expression is of the type, or of arrays of it.
pub fn is_citext(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(side(expr, schema), Some(Side::Typed(ty)) if is_folded(&ty))
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(side(expr, schema), Some(Side::Typed(Type::Citext)))
}

/// How things of several types compare, one of which is citext.
enum Compared {
    ByKey(Type),
    /// With a text.
    AsText,
}

fn compared(sides: &[Option<Side>]) -> Option<Compared> {
    let types = || {
        sides.iter().flatten().filter_map(|side| match side {
            Side::Typed(ty) => Some(ty),
            Side::Unknown => None,
        })
    };
    let folded = types().find(|ty| is_folded(ty))?;
    match sides.iter().all(Option::is_some) && types().all(|ty| ty == folded) {
        true => Some(Compared::ByKey(folded.clone())),
        false => Some(Compared::AsText),
    }
}

/// Changes the sides of a comparison into what PostgreSQL compares; answers whether there is a citext among them.
pub fn settle(sides: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    settle_each(sides.iter_mut().map(|side| (&mut **side, schema)).collect())
}

/// The same of sides that are of inputs of their own.
pub fn settle_each(sides: Vec<(&mut Expr, &DFSchema)>) -> Result<bool> {
    let known: Vec<Option<Side>> = sides.iter().map(|(expr, schema)| side(expr, schema)).collect();
    let Some(compared) = compared(&known) else { return Ok(false) };
    for ((expr, _), side) in sides.into_iter().zip(&known) {
        *expr = settled(std::mem::take(expr), side.as_ref(), &compared)?;
    }
    Ok(true)
}

fn settled(expr: Expr, side: Option<&Side>, compared: &Compared) -> Result<Expr> {
    Ok(match (compared, side) {
        (Compared::ByKey(ty), Some(Side::Unknown)) => key(with_type(expr, ty)?),
        (Compared::ByKey(_), _) => key(expr),
        (Compared::AsText, Some(Side::Typed(ty))) if is_folded(ty) => as_text(expr, ty),
        (Compared::AsText, _) => expr,
    })
}

/// The key of a citext, or the keys of an array of them.
pub fn key(expr: Expr) -> Expr {
    match expr {
        // A constant stays one, so that an index can answer.
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
            Expr::Literal(ScalarValue::Utf8(Some(citext::key(&text))), None)
        }
        expr => call(KEY, vec![expr]),
    }
}

/// A citext as the text it is.
fn as_text(expr: Expr, ty: &Type) -> Expr {
    let text = if let Type::Array(_) = ty { Type::Array(Box::new(Type::Text)) } else { Type::Text };
    characters::as_noted(expr, &text)
}

/// What has no type of its own as a value of one.
fn with_type(expr: Expr, ty: &Type) -> Result<Expr> {
    Ok(match expr {
        Expr::Alias(alias) => with_type(*alias.expr, ty)?,
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => literal(&text, ty)?,
        Expr::Literal(value, _) if value.is_null() => {
            Expr::Literal(ScalarValue::try_from(&data_type(ty))?, None)
        }
        Expr::Placeholder(placeholder) => parameter(placeholder.id, ty),
        expr => expr,
    })
}

/// `x < ANY (array)`, which the planner makes a comparison with the greatest element: with the greatest key.
pub fn settle_bound(left: &mut Expr, right: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let is_bound = |expr: &Expr| match expr {
        Expr::ScalarFunction(call) => {
            matches!(call.func.name(), "array_max" | "array_min") && call.args.len() == 1
        }
        _ => false,
    };
    let (subject, bound) = match (is_bound(left), is_bound(right)) {
        (false, true) => (left, right),
        (true, false) => (right, left),
        _ => return Ok(false),
    };
    match bound {
        Expr::ScalarFunction(call) => settle_member(&mut call.args[0], subject, schema),
        _ => Ok(false),
    }
}

/// An array and what is compared with its elements.
pub fn settle_member(array: &mut Expr, subject: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let (of_array, of_subject) = (side(array, schema), side(subject, schema));
    let of_element = match &of_array {
        Some(Side::Typed(Type::Array(item))) => Some(Side::Typed((**item).clone())),
        Some(Side::Unknown) => Some(Side::Unknown),
        _ => None,
    };
    let Some(compared) = compared(&[of_element, of_subject.clone()]) else { return Ok(false) };
    *subject = settled(std::mem::take(subject), of_subject.as_ref(), &compared)?;
    let compared = match compared {
        Compared::ByKey(_) => Compared::ByKey(Type::Array(Box::new(Type::Citext))),
        Compared::AsText => Compared::AsText,
    };
    *array = settled(std::mem::take(array), of_array.as_ref(), &compared)?;
    Ok(true)
}

/// What a function of texts takes as one, though one of citext is called so too, once it is known what it is.
pub fn plain(expr: Expr) -> Expr {
    match expr {
        expr @ (Expr::Literal(..) | Expr::Placeholder(_)) => expr,
        expr => call(PLAIN, vec![expr]),
    }
}

/// Functions that compare whole arrays with one another.
const OF_ARRAYS: &[&str] = &["array_overlap", "array_contains_all"];
/// Functions that compare the elements of an array with a value, and answer with neither.
const OF_ELEMENTS: &[&str] = &["array_position", "array_positions"];
/// Functions that compare so and answer with the array, and those that do it without regard to case.
const CHANGING: &[(&str, &str)] =
    &[("array_remove", "citext_array_remove"), ("array_replace", "citext_array_replace")];

/// A call as it is where a citext is among its arguments; `None` leaves it as it was.
pub fn settle_function(function: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let (name, args) = (function.func.name(), &function.args);
    if let (PLAIN, [value]) = (name, args.as_slice()) {
        let is_citext = is_text(value, schema);
        return Ok(Some(if is_citext { as_text(value.clone(), &Type::Citext) } else { value.clone() }));
    }
    if !args.iter().any(|arg| is_citext(arg, schema)) {
        return Ok(None);
    }
    let with = |name: &str| Ok(Some(call(name, args.clone())));
    if let Some((_, own, of_citext)) = OVERLOADED.iter().find(|(plain, ..)| *plain == name) {
        return match args.iter().take(*of_citext).all(|arg| is_open(arg, schema) || is_text(arg, schema)) {
            true => with(own),
            false => Ok(None),
        };
    }
    if let Some((_, own)) = CHANGING.iter().find(|(plain, _)| *plain == name) {
        return with(own);
    }
    match name {
        "hither_regex" if takes_no_case(&args[0], &args[1], schema) => with("hither_regex_i"),
        "similar_to" if is_text(&args[0], schema) => with("citext_similar_to"),
        "hither_like" if is_text(&args[0], schema) => {
            let mut args = args.clone();
            if let Some(Expr::Literal(ScalarValue::Utf8(Some(operator)), _)) = args.get_mut(2)
                && !operator.ends_with('*')
            {
                operator.push('*');
            }
            Ok(Some(call(name, args)))
        }
        "array_element" if is_citext(&args[0], schema) => {
            Ok(Some(characters::as_noted(Expr::ScalarFunction(function.clone()), &Type::Citext)))
        }
        _ if OF_ARRAYS.contains(&name) => {
            let mut args = args.clone();
            settle(&mut args.iter_mut().collect::<Vec<_>>(), schema)?;
            Ok(Some(call(name, args)))
        }
        _ if OF_ELEMENTS.contains(&name) => {
            let mut args = args.clone();
            if let [array, subject, ..] = args.as_mut_slice() {
                settle_member(array, subject, schema)?;
            }
            Ok(Some(call(name, args)))
        }
        _ => Ok(None),
    }
}

fn is_open(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(side(expr, schema), Some(Side::Unknown))
}

/// Whether a pattern is matched without regard to case: citext has the operators with a citext on the left.
fn takes_no_case(subject: &Expr, pattern: &Expr, schema: &DFSchema) -> bool {
    is_text(subject, schema) || is_open(subject, schema) && is_text(pattern, schema)
}

/// LIKE of a citext, which is ILIKE.
pub fn settle_like(like: &mut Like, schema: &DFSchema) {
    like.case_insensitive |= takes_no_case(&like.expr, &like.pattern, schema);
}

/// The operator `~~` and its like, between the same sides.
pub fn settle_match(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Operator {
    match op {
        Operator::LikeMatch if takes_no_case(left, right, schema) => Operator::ILikeMatch,
        Operator::NotLikeMatch if takes_no_case(left, right, schema) => Operator::NotILikeMatch,
        op => op,
    }
}

/// `greatest`, `least` and `nullif` of citext, where they are compared.
pub fn settle_choice(function: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let own = match function.func.name() {
        "greatest" => "citext_larger",
        "least" => "citext_smaller",
        "nullif" => "citext_nullif",
        _ => return None,
    };
    let known: Vec<Option<Side>> = function.args.iter().map(|expr| side(expr, schema)).collect();
    match compared(&known)? {
        Compared::ByKey(Type::Citext) => Some(call(own, function.args.clone())),
        _ => None,
    }
}

/// A cast of a citext to text, or of an array of them: nothing changes but that it is one.
pub fn settle_cast(cast: &Cast, schema: &DFSchema) -> Option<Expr> {
    let (from, to) = (side(&cast.expr, schema)?, type_of(&cast.field));
    let is_plain = match &to {
        Type::Array(item) => **item == Type::Text,
        to => *to == Type::Text,
    };
    match from {
        Side::Typed(from) if is_folded(&from) && is_plain && data_type(&from) == data_type(&to) => {
            Some(characters::as_noted(cast.expr.as_ref().clone(), &to))
        }
        _ => None,
    }
}

/// Elements of unnested arrays of citext are citext: a projection above says so.
pub fn note_unnested(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Unnest(unnest) = &node else { return Ok(node) };
    let input = unnest.input.schema();
    let mut outputs: Vec<Expr> = node.schema().columns().into_iter().map(Expr::Column).collect();
    let mut noted = false;
    for (place, of) in unnest.dependency_indices.iter().enumerate() {
        let was = type_of(input.field(*of));
        let is = type_of(node.schema().field(place));
        if was == Type::Array(Box::new(Type::Citext)) && is == Type::Text {
            let (qualifier, field) = node.schema().qualified_field(place);
            let column = std::mem::take(&mut outputs[place]);
            outputs[place] =
                characters::as_noted(column, &Type::Citext).alias_qualified(qualifier.cloned(), field.name());
            noted = true;
        }
    }
    match noted {
        true => Ok(LogicalPlan::Projection(Projection::try_new(outputs, Arc::new(node))?)),
        false => Ok(node),
    }
}
