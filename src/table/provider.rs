//! A table in a plan.
//!
//! Planning needs its columns only, so one provider serves all snapshots: a finished plan's scans read the snapshot of
//! the execution from the plan's [`Bindings`].

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, Volatility};
use datafusion::physical_plan::ExecutionPlan;

use crate::catalog::{self, Catalog};
use crate::error::Error;
use crate::table::bindings::Bindings;
use crate::table::scan::ScanExec;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::field;

/// The hidden column that names a row to UPDATE and DELETE.
pub const SLOT_COLUMN: &str = "\u{1}slot";

/// The system column that names a row to everybody: its slot as a `tid`.
pub const CTID_COLUMN: &str = "ctid";

/// Columns of a table that are no part of its rows; `*` is without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemColumns {
    #[default]
    None,
    /// [`SLOT_COLUMN`].
    Slot,
    /// [`SLOT_COLUMN`] and behind it [`CTID_COLUMN`].
    Ctid,
}

/// What a hidden column holds, as the planner meets it in queries: optimised, columns by their bare names.
#[derive(Clone, Debug)]
pub enum Shape {
    /// The value of an expression.
    Value(Expr),
    /// Whether all of these hold: WHERE of a partial index.
    Condition(Vec<Expr>),
}

/// The shapes of a table's hidden columns, by number.
pub type Shapes = Arc<[(u16, Shape)]>;

/// A table as the planner sees it.
#[derive(Clone)]
pub struct TableSourceProvider {
    catalog: Arc<Catalog>,
    definition: Arc<catalog::Table>,
    schema: SchemaRef,
    system: SystemColumns,
    shapes: Shapes,
    bindings: Option<Arc<Bindings>>,
}

impl TableSourceProvider {
    /// The system columns are behind the table's own.
    pub fn new(
        catalog: Arc<Catalog>,
        definition: Arc<catalog::Table>,
        system: SystemColumns,
    ) -> TableSourceProvider {
        let columns = definition.columns.iter();
        let mut fields: Vec<_> =
            columns.map(|column| field(&column.name, &column.ty, !column.not_null)).collect();
        if system != SystemColumns::None {
            fields.push(field(SLOT_COLUMN, &Type::Oid, false));
        }
        if system == SystemColumns::Ctid {
            fields.push(field(CTID_COLUMN, &Type::Tid, false));
        }
        let schema = Arc::new(Schema::new(fields));
        TableSourceProvider { catalog, definition, schema, system, shapes: Arc::from([]), bindings: None }
    }

    /// With what its hidden columns hold, so that queries can use them.
    pub fn with_shapes(self, shapes: Shapes) -> TableSourceProvider {
        TableSourceProvider { shapes, ..self }
    }

    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Positions in stored rows of the hidden columns that hold the value of this expression.
    pub fn columns_holding<'s>(&'s self, expr: &'s Expr) -> impl Iterator<Item = usize> + 's {
        let holds = move |shape: &Shape| matches!(shape, Shape::Value(value) if value == expr);
        let found = self.shapes.iter().filter(move |(_, shape)| holds(shape));
        found.filter_map(|(number, _)| self.definition.position(*number))
    }

    /// The position of a condition's column, and the condition.
    pub fn conditions(&self) -> impl Iterator<Item = (usize, &[Expr])> {
        self.shapes.iter().filter_map(|(number, shape)| match shape {
            Shape::Condition(conjuncts) => Some((self.definition.position(*number)?, conjuncts.as_slice())),
            Shape::Value(_) => None,
        })
    }

    /// What is behind the table's own columns.
    pub fn system(&self) -> SystemColumns {
        self.system
    }

    pub fn definition(&self) -> &Arc<catalog::Table> {
        &self.definition
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The provider of a plan that is about to be finished.
    pub fn bind(&self, bindings: &Arc<Bindings>) -> TableSourceProvider {
        TableSourceProvider { bindings: Some(Arc::clone(bindings)), ..self.clone() }
    }

    pub fn bindings(&self) -> Result<Arc<Bindings>> {
        let bindings = self.bindings.clone();
        bindings.ok_or_else(|| external(Error::internal("a table was planned without bindings")))
    }
}

impl fmt::Debug for TableSourceProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.definition.name)
    }
}

#[async_trait]
impl TableProvider for TableSourceProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every predicate over this table alone is answered inside the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let inside = |filter: &&Expr| match is_stable(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(inside).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(ScanExec::new(self, session, projection, filters, limit)?))
    }
}

/// Whether an expression gives the same answer for a row whenever it is asked, and asks no other table.
pub fn is_stable(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let unstable = expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Volatile,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => true,
            Expr::OuterReferenceColumn(_, _) => true,
            _ => false,
        })
    });
    !unstable.unwrap_or(true)
}
