//! What hidden columns hold, in the planner's terms.
//!
//! An index on an expression has the expression's values in a hidden column, and a partial index whether its WHERE is
//! true. To be recognised in queries both are planned as queries are, by the same rules: what comes out of the optimiser
//! is compared, and not what was written.
//!
//! ```text
//!   (embedding::halfvec(3))    SELECT embedding::halfvec(3) FROM t    the projection's expression
//!   WHERE category_id = 123    SELECT 1 FROM t WHERE ...              the scan's filters
//! ```

use std::sync::Arc;

use datafusion::logical_expr::utils::split_conjunction;

use crate::catalog::{Catalog, Column, Table};
use crate::error::Result;
use crate::planner::knn;
use crate::sql::context::PlanContext;
use crate::sql::dialect::parse_query;
use crate::sql::query;
use crate::sql::system::qualified;
use crate::table::predicate::unqualified;
use crate::table::provider::{Shape, Shapes};
use crate::types::{Look, Type};

/// The shapes of a table's hidden columns. What cannot be planned is not recognised in queries either.
pub fn of(table: &Arc<Table>, context: &PlanContext) -> Shapes {
    if let Some(known) = context.environment.shapes().get(table) {
        return known;
    }
    let environment = context.environment.with_look(Look::PLAIN);
    let environment = &environment;
    let plain = PlanContext { param_types: &[], shapes: false, environment, ..*context };
    let shapes = table.hidden.iter().filter_map(|column| {
        let shape = shape(table, column, &plain);
        let shape = shape.inspect_err(|error| log::warn!("column {} is not used: {error}", column.number));
        Some((column.number, shape.ok().flatten()?))
    });
    let shapes: Shapes = shapes.collect();
    context.environment.shapes().put(table, &shapes);
    shapes
}

fn shape(table: &Table, column: &Column, context: &PlanContext) -> Result<Option<Shape>> {
    let Some(generated) = &column.generated else { return Ok(None) };
    let (sql, from) = (&generated.sql, qualified(&table.schema, &table.name));
    if !is_condition(context.catalog, table, column) {
        let query = query::plan(&*parse_query(&format!("SELECT {sql} AS value FROM {from}"))?, context)?;
        return Ok(knn::output_over_scan(query.logical_plan()).map(unqualified).map(Shape::Value));
    }
    let query = query::plan(&*parse_query(&format!("SELECT 1 FROM {from} WHERE {sql}"))?, context)?;
    let Some(filters) = knn::filters_of_scan(query.logical_plan()) else { return Ok(None) };
    let filters: Vec<_> = filters.into_iter().map(unqualified).collect();
    Ok(Some(Shape::Condition(filters.iter().flat_map(split_conjunction).cloned().collect())))
}

/// Whether the column is the WHERE of an index. It is asked before the index is there, too.
fn is_condition(catalog: &Catalog, table: &Table, column: &Column) -> bool {
    column.ty == Type::Bool
        && !catalog.indexes_of(table.oid).any(|index| index.columns.contains(&column.number))
}
