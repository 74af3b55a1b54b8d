//! RETURNING: rows that were written, as the client asked for them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::sql::sqlparser::ast::SelectItem;

use crate::catalog::Table;
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::expressions::{self, Projection, Relation, output_schema, record_batch};
use crate::sql::refusals;
use crate::sql::session::OutputColumn;
use crate::sql::system;
use crate::sql::system_columns;
use crate::sql::trees::computed;
use crate::sql::whole_rows;
use crate::sql::words::fold;
use crate::types::Value;
use crate::types::arrow as arrow_types;

/// What RETURNING lists.
pub struct Returning {
    pub columns: Arc<[OutputColumn]>,
    outputs: Outputs,
}

enum Outputs {
    /// Positions of the table's columns: no expression is evaluated.
    Columns(Vec<usize>),
    Computed(Box<Projection>),
}

impl Returning {
    pub fn new(
        items: &Option<Vec<SelectItem>>,
        table: &Arc<Table>,
        alias: &str,
        context: &PlanContext,
    ) -> Result<Option<Returning>> {
        let Some(items) = items else { return Ok(None) };
        if let Some(positions) = plain_columns(items, table) {
            let columns: Vec<OutputColumn> =
                positions.iter().map(|&(position, ref name)| output(table, position, name)).collect();
            let positions = positions.into_iter().map(|(position, _)| position).collect();
            return Ok(Some(Returning { columns: columns.into(), outputs: Outputs::Columns(positions) }));
        }
        Returning::over(items, &[Relation { alias, table }], context).map(Some)
    }

    /// A list over rows that hold the columns of these relations side by side.
    pub fn over(items: &[SelectItem], relations: &[Relation], context: &PlanContext) -> Result<Returning> {
        let items = system::rewrite::shown(items);
        refusals::of_row(items.iter().filter_map(computed), "RETURNING")?;
        let compile = |items: &[SelectItem]| {
            let compiled = expressions::compile(context, relations, items, &[]);
            compiled.map_err(system_columns::refused_here)
        };
        let projection = match compile(&items) {
            Err(error) if whole_rows::may_be_meant(&error) => {
                let names = relations.iter().map(|relation| relation.alias.to_owned());
                match whole_rows::of_items(&items, names.collect()) {
                    Some(items) => compile(&items)?,
                    None => return Err(error),
                }
            }
            compiled => compiled?,
        };
        Ok(Returning {
            columns: projection.columns.clone(),
            outputs: Outputs::Computed(Box::new(projection)),
        })
    }

    /// Types of the parameters in its expressions.
    pub fn param_types(&self) -> &[crate::types::Type] {
        match &self.outputs {
            Outputs::Columns(_) => &[],
            Outputs::Computed(projection) => &projection.param_types,
        }
    }

    /// Whether a `vector(n)` column of the table is looked at.
    pub fn needs_vectors(&self, table: &Table) -> bool {
        match &self.outputs {
            Outputs::Columns(positions) => {
                positions.iter().any(|&position| table.columns[position].is_slot_vector())
            }
            Outputs::Computed(_) => true,
        }
    }

    /// The outputs of rows.
    pub fn batch(
        &self,
        rows: &[Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<RecordBatch> {
        let arrays = match &self.outputs {
            Outputs::Columns(positions) => self.copied(positions, rows)?,
            Outputs::Computed(projection) => {
                let batch = expressions::batch(projection.input(), rows)?;
                projection.evaluate(&batch, execution()?)?
            }
        };
        record_batch(output_schema(&self.columns), arrays, rows.len())
    }

    fn copied(&self, positions: &[usize], rows: &[Vec<Value>]) -> Result<Vec<ArrayRef>> {
        let arrays = positions.iter().zip(self.columns.iter()).map(|(&position, column)| {
            let cells: Vec<&Value> = rows.iter().map(|row| &row[position]).collect();
            arrow_types::array(&column.ty, cells.into_iter())
        });
        arrays.collect()
    }
}

/// The items as columns of the table with their output names, if they are nothing else.
fn plain_columns(items: &[SelectItem], table: &Table) -> Option<Vec<(usize, String)>> {
    use datafusion::sql::sqlparser::ast::Expr;
    let mut positions = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(_) => {
                positions
                    .extend(table.columns.iter().enumerate().map(|(n, column)| (n, column.name.clone())));
            }
            SelectItem::UnnamedExpr(Expr::Identifier(identifier)) => {
                let name = fold(identifier);
                positions.push((table.columns.iter().position(|column| column.name == name)?, name));
            }
            SelectItem::ExprWithAlias { expr: Expr::Identifier(identifier), alias } => {
                let name = fold(identifier);
                let position = table.columns.iter().position(|column| column.name == name)?;
                positions.push((position, fold(alias)));
            }
            _ => return None,
        }
    }
    Some(positions)
}

fn output(table: &Table, position: usize, name: &str) -> OutputColumn {
    let column = &table.columns[position];
    OutputColumn { name: name.into(), ty: column.ty.clone(), table_oid: table.oid, attnum: column.number }
}
