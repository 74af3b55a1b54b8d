//! The one type of several alternatives: the branches of CASE, the arguments of COALESCE and its like.
//!
//! PostgreSQL's rule (select_common_type): literals without a type take the type of the others, numbers the widest.
//! DataFusion decides this late, after the types of a query's columns have been told to the client.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};

use crate::error::{Error, SqlState};
use crate::functions::decimal;
use crate::planner::characters;
use crate::planner::citext;
use crate::planner::dimensions;
use crate::planner::kinds::kind_of;
use crate::planner::operators::{literal, without_modifier};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{data_type, field, type_of, type_of_data_type};

/// Functions that answer with one of their arguments.
pub fn is_choice(function: &str) -> bool {
    matches!(function, "coalesce" | "greatest" | "least" | "nullif")
}

/// What the rows of VALUES are called in [`unify`]. They are shown below each other.
pub const VALUES: &str = "VALUES";
/// What the elements of an array are called there.
pub const ARRAY: &str = "ARRAY";

/// A call of a function that answers with one of its arguments, all of one type.
pub fn settle_choice(mut call: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    if let Some(of_citext) = citext::settle_choice(&call, schema) {
        return Ok(of_citext);
    }
    let context = call.func.name().to_uppercase();
    if context != "NULLIF" {
        let ty = unify(call.args.iter_mut().collect(), schema, &context)?;
        return Ok(noted(Expr::ScalarFunction(call), ty));
    }
    // integer = bigint compares the two as they are, and the first comes back.
    let is_integer = |expr: &Expr| expr.get_type(schema).is_ok_and(|ty| ty.is_integer());
    let first = call.args.first().and_then(|first| first.get_type(schema).ok());
    let as_it_was = call.args.iter().all(is_integer);
    let ty = unify(call.args.iter_mut().collect(), schema, &context)?;
    let settled = noted(Expr::ScalarFunction(call), ty);
    Ok(match first {
        Some(first) if as_it_was && settled.get_type(schema)? != first => {
            Expr::Cast(Cast::new(Box::new(settled), first))
        }
        _ => settled,
    })
}

/// The complaint about types that have nothing in common, where both are known well.
fn refuse(context: &str, left: &DataType, right: &DataType) -> Result<()> {
    let (left, right) = (type_of_data_type(left), type_of_data_type(right));
    match (kind_of(&left), kind_of(&right)) {
        (Some(one), Some(other)) if one != other => {}
        _ => return Ok(()),
    }
    let (left, right) = (left.bare(), right.bare());
    Err(external(match context {
        "NULLIF" => {
            Error::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {left} = {right}")).hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            )
        }
        // Types of one category have something in common, though no value becomes the other unasked.
        context if left.category() == right.category() => {
            let context = if context == "CASE" { "CASE/WHEN" } else { context };
            let message = format!("{context} could not convert type {right} to {left}");
            Error::new(SqlState::CANNOT_COERCE, message)
        }
        context => {
            let message = format!("{context} types {left} and {right} cannot be matched");
            Error::new(SqlState::DATATYPE_MISMATCH, message)
        }
    }))
}

/// The type that values of some types have in common, as far as it is known.
pub fn of_types(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut types = types.into_iter();
    let first = types.next()?;
    types.try_fold(first, |common, ty| match common == ty {
        true => Some(common),
        false => wider(&data_type(&common), &data_type(&ty)).map(|wider| type_of_data_type(&wider)),
    })
}

/// An expression of texts noted to be of the type that [`unify`] found.
pub fn noted(expr: Expr, ty: Option<Type>) -> Expr {
    match ty {
        Some(ty) if ty != Type::Text => characters::as_noted(expr, &ty),
        _ => expr,
    }
}

/// Gives texts of several types the one they have in common, which is answered.
fn unify_texts(alternatives: &mut [&mut Expr], schema: &DFSchema, context: &str) -> Option<Type> {
    let known = |expr: &Expr| if is_unknown(expr) { None } else { characters::text_type(expr, schema) };
    let types: Vec<Option<Type>> = alternatives.iter().map(|alternative| known(alternative)).collect();
    // Its operator is one of text, or of char(n).
    if context == "NULLIF" {
        return types.into_iter().next().flatten().filter(|ty| matches!(ty, Type::Bpchar(_) | Type::Citext));
    }
    let is_null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
    let alone = alternatives.iter().zip(&types).all(|(expr, ty)| ty.is_some() || is_null(expr));
    let found: Vec<Type> = types.iter().flatten().cloned().collect();
    let common = characters::common(&found, alone)?;
    // Of all others the note is on the whole.
    if common == Type::Bpchar(None) {
        for (alternative, from) in alternatives.iter_mut().zip(&types) {
            if let Some(from @ Type::Bpchar(_)) = from {
                **alternative = characters::converted(std::mem::take(*alternative), from, &common);
            }
        }
    }
    Some(common)
}

/// Gives all alternatives one type, of which `context` says what they are alternatives of; which texts they are is
/// answered.
pub fn unify(mut alternatives: Vec<&mut Expr>, schema: &DFSchema, context: &str) -> Result<Option<Type>> {
    let mut common: Option<DataType> = None;
    let mut is_known = true;
    for alternative in &alternatives {
        if is_unknown(alternative) {
            continue;
        }
        let Ok((_, found)) = alternative.to_field(schema) else { return Ok(None) };
        let found = found.data_type();
        if found.is_null() {
            continue;
        }
        common = match common {
            None => Some(found.clone()),
            Some(common) => match wider(&common, found) {
                Some(wider) => Some(wider),
                None => {
                    refuse(context, &common, found)?;
                    is_known = false;
                    Some(common)
                }
            },
        };
    }
    let Some(common) = common.filter(|_| is_known) else { return Ok(None) };
    if common == DataType::Utf8 {
        return Ok(unify_texts(&mut alternatives, schema, context));
    }
    let ty = type_of_data_type(&common);
    for alternative in &mut alternatives {
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), None) = &**alternative {
            if common != DataType::Utf8 {
                **alternative = literal(text, &ty)?;
            }
            continue;
        }
        let found = alternative.get_type(schema)?;
        if found != common {
            let inner = Box::new(std::mem::take(*alternative));
            **alternative = Expr::Cast(Cast::new(inner, common.clone()));
        }
    }
    Ok(None)
}

/// A cell of VALUES as it was, before DataFusion gave all numbers of its column as many digits.
pub fn as_written(cell: &mut Expr) -> &mut Expr {
    // The name that the cell had before is no matter.
    if let Expr::Alias(alias) = cell {
        *cell = std::mem::take(&mut *alias.expr);
    }
    // Casts of the statement to numeric stand twice there (`sql::values`).
    if let Expr::Cast(cast) = cell
        && decimal::digits(cast.field.data_type()).is_some()
        && cast.field.metadata().is_empty()
    {
        *cell = std::mem::take(&mut *cast.expr);
    }
    cell
}

/// Gives the cells of a column of VALUES one type, and the same note of it.
pub fn unify_column(mut cells: Vec<&mut Expr>) -> Result<()> {
    let schema = DFSchema::empty();
    let text = unify(cells.iter_mut().map(|cell| &mut **cell).collect(), &schema, VALUES)?;
    let mut fields = Vec::with_capacity(cells.len());
    for cell in &cells {
        let Ok((_, field)) = cell.to_field(&schema) else { return Ok(()) };
        fields.push(field);
    }
    let Some(first) = fields.iter().find(|field| !field.data_type().is_null()) else { return Ok(()) };
    let is_alike = |field: &FieldRef| field.metadata() == first.metadata();
    let of_one_type = fields.iter().all(|field| field.data_type() == first.data_type());
    if fields.iter().all(is_alike) || !of_one_type {
        return Ok(());
    }
    let ty = text.unwrap_or_else(|| type_of_data_type(first.data_type()));
    for cell in cells {
        *cell = characters::as_noted(std::mem::take(cell), &ty);
    }
    Ok(())
}

/// Functions of an array and of items of it.
pub fn takes_items(function: &str) -> bool {
    matches!(
        function,
        "array_position"
            | "array_positions"
            | "array_remove"
            | "array_replace"
            | "array_append"
            | "array_prepend"
            | "array_cat"
    )
}

/// Text literals beside an array are items of it; an array of numbers becomes one of the wider type beside such numbers.
pub fn type_items(arguments: &mut [Expr], schema: &DFSchema) -> Result<()> {
    let items: Vec<Option<DataType>> = arguments
        .iter()
        .map(|argument| match (argument, argument.get_type(schema)) {
            (Expr::Literal(ScalarValue::Utf8(_), None), _) | (_, Err(_) | Ok(DataType::Null)) => None,
            (_, Ok(ty)) => Some(dimensions::element(&ty).clone()),
        })
        .collect();
    let dimensions: Vec<usize> = arguments.iter().map(|argument| dimensions::of(argument, schema)).collect();
    let Some(array) = dimensions.iter().position(|dimensions| *dimensions > 0) else { return Ok(()) };
    let Some(item) = items[array].clone() else { return Ok(()) };
    let widest = items.iter().flatten().try_fold(item.clone(), |widest, ty| wider(&widest, ty));
    let ty = without_modifier(type_of_data_type(widest.as_ref().unwrap_or(&item)));
    for ((argument, found), dimensions) in arguments.iter_mut().zip(items).zip(dimensions) {
        match &*argument {
            Expr::Literal(ScalarValue::Utf8(Some(text)), None) if ty != Type::Text => {
                *argument = literal(text, &ty)?;
            }
            _ if widest.is_some() && found.is_some_and(|found| type_of_data_type(&found) != ty) => {
                let target = Arc::new(field("", &ty.with_dimensions(dimensions), true));
                *argument = Expr::Cast(Cast::new_from_field(Box::new(std::mem::take(argument)), target));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The inputs of a UNION with the columns of each cast to the types they have in common.
pub fn unify_inputs(inputs: Vec<Arc<LogicalPlan>>) -> Result<Vec<Arc<LogicalPlan>>> {
    let width = inputs.first().map_or(0, |input| input.schema().fields().len());
    if inputs.iter().any(|input| input.schema().fields().len() != width) {
        return Ok(inputs);
    }
    let mut common: Vec<Option<DataType>> = Vec::with_capacity(width);
    for column in 0..width {
        let mut types = inputs
            .iter()
            .filter(|input| !is_unknown_output(input, column))
            .map(|input| input.schema().field(column).data_type())
            .filter(|ty| !ty.is_null());
        let mut widest = types.next().cloned();
        for ty in types {
            if let Some(known) = &widest {
                let wider = wider(known, ty);
                if wider.is_none() {
                    refuse("UNION", known, ty)?;
                }
                widest = wider;
            }
        }
        common.push(widest);
    }
    let texts: Vec<Option<Type>> = (0..width).map(|column| text_of_inputs(&inputs, column)).collect();
    let cast = |input: Arc<LogicalPlan>| {
        let both = common.iter().zip(&texts);
        let outputs = input.schema().iter().zip(both).enumerate().map(
            |(place, ((qualifier, found), (common, text)))| {
                let column = Expr::Column((qualifier, found).into());
                if let Some(text) = text
                    && *found.data_type() == DataType::Utf8
                    && !is_unknown_output(&input, place)
                    && type_of(found) != *text
                {
                    return characters::converted(column, &type_of(found), text)
                        .alias_qualified(qualifier.cloned(), found.name());
                }
                match common {
                    Some(common) if common != found.data_type() => {
                        Expr::Cast(Cast::new(Box::new(column), common.clone()))
                            .alias_qualified(qualifier.cloned(), found.name())
                    }
                    _ => column,
                }
            },
        );
        let outputs: Vec<Expr> = outputs.collect();
        if outputs.iter().all(|output| matches!(output, Expr::Column(_))) {
            return Ok(input);
        }
        Ok(Arc::new(LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(outputs)?.build()?))
    };
    inputs.into_iter().map(cast).collect()
}

/// The type of texts in a column of a UNION, where its inputs do not agree on one.
fn text_of_inputs(inputs: &[Arc<LogicalPlan>], column: usize) -> Option<Type> {
    let known = inputs.iter().filter(|input| !is_unknown_output(input, column));
    let fields: Vec<_> = known.map(|input| input.schema().field(column)).collect();
    if !fields.iter().all(|field| *field.data_type() == DataType::Utf8) {
        return None;
    }
    let types: Vec<Type> = fields.iter().map(|field| type_of(field)).collect();
    characters::common(&types, fields.len() == inputs.len())
}

/// Whether an output is a text literal or NULL, which take the type of the others.
fn is_unknown_output(input: &LogicalPlan, column: usize) -> bool {
    match input {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(column).is_some_and(|expr| is_unknown(&expr.clone().unalias()))
        }
        _ => false,
    }
}

fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(_)), None) => true,
        // A parameter that nothing gave a type to; now() and its like are parameters that have one.
        Expr::Placeholder(placeholder) => {
            placeholder.field.as_ref().is_none_or(|field| *field.data_type() == DataType::Utf8)
        }
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    }
}

/// The type both convert to; `None` leaves the decision, or the complaint, to DataFusion.
fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Utf8View);
    if is_text(left) && is_text(right) {
        return Some(DataType::Utf8);
    }
    let is_integer = |ty: &DataType| matches!(ty, DataType::Int16 | DataType::Int32 | DataType::Int64);
    match (left, right) {
        // Integers become an oid by themselves.
        (DataType::UInt32, other) | (other, DataType::UInt32) if is_integer(other) => {
            return Some(DataType::UInt32);
        }
        _ => {}
    }
    if let Some(moment) = wider_moment(left, right) {
        return Some(moment);
    }
    let rank = |ty: &DataType| match ty {
        DataType::Int16 => Some(0),
        DataType::Int32 => Some(1),
        DataType::Int64 => Some(2),
        ty if decimal::is_numeric(ty) => Some(3),
        DataType::Float32 => Some(4),
        DataType::Float64 => Some(5),
        _ => None,
    };
    let (one, other) = (rank(left)?, rank(right)?);
    if one != 3 && other != 3 || one.max(other) > 3 {
        return Some(if one > other { left.clone() } else { right.clone() });
    }
    let exact = |ty: &DataType| decimal::of_integer(ty).unwrap_or_else(|| ty.clone());
    decimal::mixed(&exact(left), &exact(right))
}

/// A date beside a timestamp is one, and both are with a time zone beside one that is, as a time is.
fn wider_moment(left: &DataType, right: &DataType) -> Option<DataType> {
    let rank = |ty: &Type| match ty {
        Type::Date => Some(0),
        Type::Timestamp(_) => Some(1),
        Type::Timestamptz(_) => Some(2),
        _ => None,
    };
    let (left, right) = (type_of_data_type(left), type_of_data_type(right));
    if let (Type::Time(_), Type::Timetz(_)) | (Type::Timetz(_), Type::Time(_)) = (&left, &right) {
        return Some(data_type(&Type::Timetz(None)));
    }
    let (one, other) = (rank(&left)?, rank(&right)?);
    Some(data_type(if one > other { &left } else { &right }))
}
