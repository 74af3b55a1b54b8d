//! Elements of arrays and documents that SET assigns to: the whole value with the element in it goes to the column.
//!
//! ```text
//!   SET tags[2] = x           SET tags = hither_assign_element(t.tags, x::text, 2)
//!   SET grid[1][2] = x        SET grid = hither_assign_element(t.grid, x::integer, 1, 2)
//!   SET tags[2:3] = x         SET tags = hither_assign_slice(t.tags, x::text[], 2, 3)
//!   SET h['a'] = x           SET h = hither_assign_pair(t.h, 'a'::text, x::text)
//!   SET doc['a'][0] = x       SET doc = hither_assign_member(t.doc, x::jsonb, 'a', 0)
//! ```
//!
//! Several elements of a column are assigned one after the other, each in what the one before made.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{self, AccessExpr, DataType, Expr, Ident, Subscript};

use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::functions::elements::TO_THE_END;
use crate::functions::hstore;
use crate::sql::dml::cells::{self, ParamTypes};
use crate::sql::dml::conflict::{Assignments, SetSource};
use crate::sql::dml::insert::column_position;
use crate::sql::element_words::subscripts;
use crate::sql::rewrite::{cast_to, function_call, type_tree};
use crate::sql::trees::number;
use crate::sql::words::fold;
use crate::types::Type;

/// The elements of a list of assignments.
pub struct Elements<'a> {
    pub table: &'a Table,
    /// What the row before the change is called.
    pub alias: &'a str,
    /// Columns whose elements were assigned to.
    pub assigned: HashSet<usize>,
}

impl Elements<'_> {
    /// Adds an assignment, if it is to an element.
    pub fn add(
        &mut self,
        assignment: &ast::Assignment,
        to: &mut Assignments,
        params: &mut ParamTypes,
    ) -> Result<bool> {
        let Some((name, subscripts)) = subscripts(&assignment.target)? else { return Ok(false) };
        let name = fold(&name);
        let position = column_position(self.table, &name)?;
        if cells::is_default(&assignment.value) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot set an array element to DEFAULT",
            ));
        }
        let before = to.sets.iter().find(|(column, _)| *column == position);
        if let (Some((_, SetSource::Output(output))), true) = (before, self.assigned.contains(&position)) {
            let base = to.expressions[*output].clone();
            to.expressions[*output] = self.assign(position, base, &subscripts, &assignment.value)?;
            return Ok(true);
        }
        let quoted = |name: &str| Ident::with_quote('"', name);
        let base = Expr::CompoundIdentifier(vec![quoted(self.alias), quoted(&name)]);
        let value = self.assign(position, base, &subscripts, &assignment.value)?;
        to.add(&name, &value, self.table, params)?;
        self.assigned.insert(position);
        Ok(true)
    }

    /// The column's value with the element in it.
    fn assign(&self, position: usize, base: Expr, subscripts: &[AccessExpr], value: &Expr) -> Result<Expr> {
        let column = &self.table.columns[position];
        let places = subscripts.iter().map(|access| match access {
            AccessExpr::Subscript(subscript) => Ok(subscript),
            AccessExpr::Dot(_) => Err(Error::unsupported("assigning to a field of a composite type")),
        });
        let places = places.collect::<Result<Vec<_>>>()?;
        let indexes: Option<Vec<&Expr>> = places.iter().map(|place| index_of(place)).collect();
        match (&column.ty, places.as_slice()) {
            (Type::Array(_), _) if let Some(indexes) = indexes => {
                if indexes.len() != column.ty.dimensions() {
                    let message = "wrong number of array subscripts";
                    return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
                }
                let mut arguments = vec![base, cast(value, column.ty.element())?];
                arguments
                    .extend(indexes.into_iter().map(|index| cast_to(index.clone(), DataType::Int(None))));
                Ok(function_call("hither_assign_element", arguments))
            }
            (Type::Array(_), [Subscript::Slice { lower_bound, upper_bound, stride: None }])
                if column.ty.dimensions() == 1 =>
            {
                let value = cast(value, &column.ty)?;
                let bound = |bound: &Option<Expr>, missing: i32| {
                    cast_to(bound.clone().unwrap_or_else(|| number(missing)), DataType::Int(None))
                };
                let (first, last) = (bound(lower_bound, 1), bound(upper_bound, TO_THE_END));
                Ok(function_call("hither_assign_slice", vec![base, value, first, last]))
            }
            (Type::Array(_), _) => {
                Err(Error::unsupported("assigning to slices of an array of several dimensions"))
            }
            (Type::Jsonb, places) => {
                let mut arguments = vec![base, cast(value, &Type::Jsonb)?];
                for place in places {
                    match place {
                        Subscript::Index { index } => arguments.push(index.clone()),
                        Subscript::Slice { .. } => {
                            let message = "jsonb subscript does not support slices";
                            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                        }
                    }
                }
                Ok(function_call("hither_assign_member", arguments))
            }
            (Type::Hstore, [Subscript::Index { index }]) => {
                let (key, value) = (cast(index, &Type::Text)?, cast(value, &Type::Text)?);
                Ok(function_call(hstore::ASSIGN, vec![base, key, value]))
            }
            (Type::Hstore, _) => {
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "hstore allows only one subscript"))
            }
            (ty, _) => {
                let message =
                    format!("cannot subscript type {} because it does not support subscripting", ty.bare());
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }
}

fn index_of(subscript: &Subscript) -> Option<&Expr> {
    if let Subscript::Index { index } = subscript { Some(index) } else { None }
}

/// The value as its column's elements are. Lengths are checked when the column gets it.
fn cast(value: &Expr, ty: &Type) -> Result<Expr> {
    let data_type = type_tree(&ty.bare()).ok_or_else(|| Error::internal(format!("{ty} is no type")))?;
    Ok(cast_to(value.clone(), data_type))
}
