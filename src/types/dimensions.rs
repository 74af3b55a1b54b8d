//! Arrays of several dimensions: an array of arrays of one shape.
//!
//! ```text
//!   integer[][]           Array(Array(Int4))            its values: 2 dimensions, or none (no items)
//!   {{1,2,3},{4,5,6}}     Array [ Array [1,2,3], Array [4,5,6] ]      shape [2, 3]
//! ```
//!
//! To PostgreSQL both are `integer[]`, whose every value has dimensions of its own. Here the number of dimensions belongs
//! to the type of a column or an expression, which has the oid and the name of PostgreSQL's.

use crate::error::{Error, Result, SqlState};
use crate::types::{Type, Value};

/// PostgreSQL's MAXDIM.
pub const DIMENSIONS_MAX: usize = 6;

/// More than there are dimensions, and easy to see in a negative modifier.
const DIMENSIONS_BASE: i32 = 8;

impl Type {
    /// How many dimensions arrays of the type have; 0 when it is none of arrays.
    pub fn dimensions(&self) -> usize {
        if let Type::Array(item) = self { 1 + item.dimensions() } else { 0 }
    }

    /// The type of what stands in an array in the end; of another type itself.
    pub fn element(&self) -> &Type {
        if let Type::Array(item) = self { item.element() } else { self }
    }

    /// pg_attribute.atttypmod of a column: that of arrays of several dimensions is negative and holds their number too, so
    /// that format_type() shows it, and a dump makes the same column. A modifier so large that both do not fit is left out.
    pub fn column_typmod(&self) -> i32 {
        let (dimensions, typmod) = (self.dimensions() as i32, self.typmod());
        if dimensions < 2 {
            return typmod;
        }
        let noted = typmod.checked_add(1).and_then(|typmod| typmod.checked_mul(DIMENSIONS_BASE)).unwrap_or(0);
        -noted.checked_add(dimensions).unwrap_or(dimensions)
    }

    /// What [`Type::column_typmod`] holds: the number of dimensions where it says one, and the modifier.
    pub fn of_column_typmod(noted: i32) -> (Option<usize>, i32) {
        match noted.checked_neg() {
            Some(noted @ 2..) => (Some((noted % DIMENSIONS_BASE) as usize), noted / DIMENSIONS_BASE - 1),
            _ => (None, noted),
        }
    }

    /// Arrays of so many dimensions of the type's elements.
    pub fn with_dimensions(&self, dimensions: usize) -> Type {
        (0..dimensions).fold(self.element().clone(), |item, _| Type::Array(Box::new(item)))
    }
}

/// The length of each dimension of an array; none when it has no items.
pub fn shape(items: &[Value]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut level = items;
    while let Some(first) = level.first() {
        lengths.push(level.len());
        match first {
            Value::Array(items) => level = items,
            _ => break,
        }
    }
    lengths
}

/// The length of a dimension, counted from 1; `None` where there is none.
pub fn extent(shape: &[usize], dimension: i64) -> Option<usize> {
    let before = usize::try_from(dimension).ok()?.checked_sub(1)?;
    shape.get(before).copied()
}

/// The items of all dimensions, those of the last one side by side.
pub fn flat(items: &[Value]) -> Vec<&Value> {
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Array(items) => found.append(&mut flat(items)),
            item => found.push(item),
        }
    }
    found
}

/// [`flat`] of items that are one's own.
pub fn into_flat(items: Vec<Value>) -> Vec<Value> {
    match items.first() {
        Some(Value::Array(_)) => flat(&items).into_iter().cloned().collect(),
        _ => items,
    }
}

/// An array of a shape, of the items that [`flat`] finds in it. Of a type of other dimensions it is none (0A000).
pub fn shaped(items: Vec<Value>, shape: &[usize], ty: &Type) -> Result<Value> {
    if items.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    if shape.len() != ty.dimensions() {
        return Err(other_dimensions(shape.len(), ty));
    }
    let mut level = items;
    for length in shape[1..].iter().rev() {
        let mut outer = Vec::with_capacity(level.len() / length.max(&1));
        let mut rest = level.into_iter().peekable();
        while rest.peek().is_some() {
            outer.push(Value::Array(rest.by_ref().take(*length).collect()));
        }
        level = outer;
    }
    Ok(Value::Array(level))
}

/// The refusal of an array where a type is of other dimensions.
pub fn other_dimensions(dimensions: usize, ty: &Type) -> Error {
    let declared = ty.dimensions();
    let plural = if dimensions == 1 { "" } else { "s" };
    Error::unsupported(format!("an array of {dimensions} dimension{plural} in place of {declared}"))
        .hint(format!("Declare it as {}.", ty.with_dimensions(dimensions)))
}

/// Whether arrays that stand in one have one shape. NULL is taken for an array of none.
pub fn are_alike(items: &[Value]) -> bool {
    let shape_of = |item: &Value| if let Value::Array(items) = item { shape(items) } else { Vec::new() };
    let mut shapes = items.iter().map(shape_of);
    let first = shapes.next();
    shapes.all(|shape| Some(shape) == first)
}

/// The refusal of more dimensions than there can be.
pub fn too_many(dimensions: usize) -> Error {
    let message =
        format!("number of array dimensions ({dimensions}) exceeds the maximum allowed ({DIMENSIONS_MAX})");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_type_has_the_dimensions_it_was_declared_with() {
        let plane = Type::Int4.with_dimensions(2);
        assert_eq!((plane.dimensions(), plane.element()), (2, &Type::Int4));
        assert_eq!(plane.with_dimensions(1), Type::Array(Box::new(Type::Int4)));
        assert_eq!((plane.oid(), plane.catalog_name()), (1007, "_int4".to_owned()));
        for ty in [Type::Int4, Type::Varchar(Some(20)), Type::Numeric(Some((10, 2)))] {
            assert_eq!(Type::of_column_typmod(ty.with_dimensions(1).column_typmod()), (None, ty.typmod()));
            assert_eq!(Type::of_column_typmod(ty.with_dimensions(6).column_typmod()), (Some(6), ty.typmod()));
        }
        assert_eq!(Type::of_column_typmod(i32::MIN), (None, i32::MIN));
        assert_eq!(
            shaped(vec![Value::Int4(1)], &[1], &plane).unwrap_err().state(),
            SqlState::FEATURE_NOT_SUPPORTED
        );
        assert_eq!(shaped(Vec::new(), &[], &plane).unwrap(), Value::Array(Vec::new()));
    }

    proptest! {
        #[test]
        fn items_lead_back(lengths in prop::collection::vec(1usize..4, 1..4)) {
            let count = lengths.iter().product::<usize>();
            let items: Vec<Value> = (0..count as i32).map(Value::Int4).collect();
            let ty = Type::Int4.with_dimensions(lengths.len());
            let Value::Array(made) = shaped(items.clone(), &lengths, &ty).unwrap() else { unreachable!() };
            prop_assert_eq!(shape(&made), lengths);
            prop_assert_eq!(flat(&made).into_iter().cloned().collect::<Vec<_>>(), items);
            prop_assert!(are_alike(&made));
        }
    }
}
