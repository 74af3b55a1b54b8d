//! Recursive queries: both terms have the columns of the table that the second one reads.
//!
//! That table's types are fixed while the query is planned, from the first term, and before literals, parameters and
//! casts are PostgreSQL's. DataFusion asks for exactly the same fields of both terms, notes of SQL types included, so
//! each term is cast to what the table has.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery};

use crate::error::Error;
use crate::functions::cast;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{data_type, plain_field, type_of};
use crate::types::citext::is_folded;

/// The columns of the table that a recursive query reads itself from.
pub fn work_table(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| own(field)).collect::<Vec<Field>>()))
}

/// A field with a note of its type only where the Arrow type does not tell it.
fn own(field: &Field) -> Field {
    // Texts grow as they are put together on the way.
    let ty = match type_of(field) {
        Type::Varchar(_) => Type::Varchar(None),
        Type::Bpchar(_) => Type::Bpchar(None),
        ty => ty,
    };
    match data_type(&ty) == *field.data_type() {
        true => plain_field(field.name(), &ty),
        false => Field::new(field.name(), field.data_type().clone(), true),
    }
}

/// The query with both terms cast to the columns of its table, as it was planned.
pub fn settle(query: RecursiveQuery) -> Result<LogicalPlan> {
    // Rows are told apart by their bytes there.
    if query.is_distinct && query.schema.fields().iter().any(|field| is_folded(&type_of(field))) {
        return Err(external(Error::unsupported("a recursive UNION without ALL of type citext")));
    }
    let planned = Arc::clone(&query.schema);
    let (first, second) =
        (cast_term(query.static_term, &planned)?, cast_term(query.recursive_term, &planned)?);
    Ok(LogicalPlan::RecursiveQuery(RecursiveQuery::try_new(query.name, first, second, query.is_distinct)?))
}

fn cast_term(term: Arc<LogicalPlan>, planned: &DFSchemaRef) -> Result<Arc<LogicalPlan>> {
    let outputs = term.schema().iter().zip(planned.fields()).map(|((qualifier, found), planned)| {
        let (column, wanted) = (Expr::Column((qualifier, found).into()), own(planned));
        let is_same = found.data_type() == wanted.data_type() && found.metadata() == wanted.metadata();
        if is_same {
            return column;
        }
        let ty = type_of(&wanted);
        let cast = match data_type(&ty) == *wanted.data_type() {
            true => {
                let function = cast::function(type_of(found), ty, true);
                Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![column]))
            }
            false => Expr::Cast(Cast::new(Box::new(column), wanted.data_type().clone())),
        };
        cast.alias_qualified(qualifier.cloned(), found.name())
    });
    let outputs: Vec<Expr> = outputs.collect();
    if outputs.iter().all(|output| matches!(output, Expr::Column(_))) {
        return Ok(term);
    }
    Ok(Arc::new(LogicalPlanBuilder::from(Arc::unwrap_or_clone(term)).project(outputs)?.build()?))
}
