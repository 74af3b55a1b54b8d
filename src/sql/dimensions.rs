//! How many dimensions arrays have, as far as the tree tells: a cast to an array type keeps those of what is cast.
//!
//! ```text
//!   '{{1,2},{3,4}}'::int[]      CAST('{{1,2},{3,4}}' AS int[][])
//!   ARRAY[[1,2],[3,4]]::int[]   CAST(ARRAY[[1,2],[3,4]] AS int[][])
//!   $1::int[]                   CAST($1 AS int[][]), where the value bound to $1 has two dimensions
//!   unnest(grid)                unnest(hither_elements(grid))
//!   array_fill(0, ARRAY[2,3])   hither_fill(0, 2, 3)
//! ```
//!
//! To PostgreSQL `int[]` and `int[][]` are one type; here they are two (see [`crate::types::dimensions`]). What is cast
//! and has its dimensions from a column or a function, the planner settles.

use datafusion::sql::sqlparser::ast::{self, ArrayElemTypeDef, DataType, Expr, ObjectNamePart};

use crate::functions::arrays::{ELEMENTS, FILL};
use crate::sql::known::Known;
use crate::sql::rewrite::{arguments, function_call, plain_name};
use crate::sql::set_functions::returns_set;
use crate::sql::trees::{literal, text};
use crate::types::array;
use crate::types::dimensions::DIMENSIONS_MAX;

/// Gives casts the dimensions of what is cast, and unnest() all elements of an array.
pub fn settle(expr: &mut Expr, known: &Known) {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            let Some(found @ 1..) = dimensions_of(inner, known) else { return };
            if let Some(array) = array_of_name(data_type).filter(|_| found > 1) {
                *data_type = array;
            }
            let declared = dimensions_of_type(data_type);
            if declared > 0 && declared != found {
                *data_type = with_dimensions(data_type, found);
            }
        }
        Expr::Function(function) => match plain_name(function).as_deref() {
            Some("unnest") => {
                if let Some(given) = arguments(function) {
                    let given = given.into_iter().map(|array| elements(array, known)).collect();
                    *expr = function_call("unnest", given);
                }
            }
            Some("array_fill") => {
                if let Some([value, lengths]) = arguments(function).as_deref()
                    && let Some(lengths @ [_, _, ..]) = lengths_of(lengths).as_deref()
                    && lengths.len() <= DIMENSIONS_MAX
                {
                    *expr = function_call(FILL, [std::slice::from_ref(value), lengths].concat());
                }
            }
            _ => {}
        },
        _ => {}
    }
}

/// The elements of an array of numbers that is written out.
fn lengths_of(lengths: &Expr) -> Option<Vec<Expr>> {
    match lengths {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => lengths_of(inner),
        Expr::Array(array) => Some(array.elem.clone()),
        expr => {
            let parsed = array::parse(literal(expr)?).ok().filter(|parsed| parsed.shape.len() == 1)?;
            parsed.items.into_iter().map(|item| Some(text(item?))).collect()
        }
    }
}

/// The elements of all dimensions of an array, where it may have several, and the ranges of a multirange.
pub fn elements(array: Expr, known: &Known) -> Expr {
    let is_done = || matches!(&array, Expr::Function(call) if plain_name(call).as_deref() == Some(ELEMENTS));
    // Of a type that has no word of its own in the grammar, and may be a multirange, or is kept as a list and is none.
    let is_named = matches!(
        &array,
        Expr::Cast {
            data_type: DataType::Custom(..) | DataType::TsVector | DataType::JSON | DataType::JSONB,
            ..
        }
    );
    match dimensions_of(&array, known) {
        Some(1) => array,
        Some(0) if !is_named => array,
        // The elements of a set of arrays are those of each of them.
        _ if is_done() || returns_set(&array) => array,
        _ => function_call(ELEMENTS, vec![array]),
    }
}

/// All elements of an array that is written with several dimensions; another one as it is.
pub fn elements_of_several(array: &Expr) -> Expr {
    match dimensions_of(array, &Known::default()) {
        // What is only text is read with what it is compared with.
        Some(2..) if literal(array).is_none() => function_call(ELEMENTS, vec![array.clone()]),
        _ => array.clone(),
    }
}

/// How many dimensions an expression has; 0 of what is no array, `None` where the tree does not tell.
pub fn dimensions_of(expr: &Expr, known: &Known) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => dimensions_of(inner, known),
        Expr::Array(array) => {
            let deepest = array.elem.iter().filter_map(|element| dimensions_of(element, known)).max();
            Some(1 + deepest.unwrap_or(0))
        }
        Expr::Cast { expr: inner, data_type, .. } => {
            let declared = dimensions_of_type(data_type);
            // The inner one may keep more.
            Some(dimensions_of(inner, known).filter(|found| *found > 0 && declared > 0).unwrap_or(declared))
        }
        Expr::Value(value) => match &value.value {
            ast::Value::Placeholder(number) => known.parameter_dimensions(number),
            _ => literal(expr).map(array::dimensions),
        },
        _ => None,
    }
}

/// `_int4` as `int4[]`.
fn array_of_name(data_type: &DataType) -> Option<DataType> {
    let DataType::Custom(name, modifiers) = data_type else { return None };
    let mut item = name.clone();
    let ObjectNamePart::Identifier(last) = item.0.last_mut()? else { return None };
    last.value = last.value.strip_prefix('_')?.to_owned();
    let item = DataType::Custom(item, modifiers.clone());
    Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None)))
}

fn dimensions_of_type(data_type: &DataType) -> usize {
    match data_type {
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(item, _)
            | ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::Parenthesis(item),
        ) => 1 + dimensions_of_type(item),
        _ => 0,
    }
}

fn with_dimensions(data_type: &DataType, dimensions: usize) -> DataType {
    let mut element = data_type.clone();
    while let DataType::Array(
        ArrayElemTypeDef::SquareBracket(item, _)
        | ArrayElemTypeDef::AngleBracket(item)
        | ArrayElemTypeDef::Parenthesis(item),
    ) = element
    {
        element = *item;
    }
    let array = |item| DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None));
    (0..dimensions).fold(element, |item, _| array(item))
}
