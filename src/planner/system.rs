//! Tables computed from the catalogue and the session: pg_catalog, information_schema, hither.*.
//!
//! `sql::system` says what they hold; here they become tables of a plan. Rows are made when the plan runs, from the
//! execution's own catalogue, so such plans can be kept like any other.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, ScalarUDF, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};

use crate::catalog::Oid;
use crate::error::Error;
use crate::planner::bindings::{Bindings, Execution};
use crate::table::explained::Explained;
use crate::types::arrow::errors::external;

/// The schemas that exist without being created.
pub trait SystemCatalog: Send + Sync {
    /// The table or view of a name in `pg_catalog`, `information_schema` or `hither`.
    fn table(&self, schema: &str, name: &str) -> Option<Arc<dyn SystemTable>>;
    /// Functions of the catalogue, such as format_type; [`crate::planner::bound::BoundFunction`]s mostly.
    fn functions(&self) -> Vec<Arc<ScalarUDF>>;
}

/// One table or view of the system.
pub trait SystemTable: Send + Sync {
    fn oid(&self) -> Oid;
    fn name(&self) -> &str;
    /// How EXPLAIN calls reading it.
    fn scan_name(&self) -> &'static str {
        "Seq Scan"
    }
    /// Fields made by [`crate::types::arrow::field`].
    fn schema(&self) -> SchemaRef;
    fn rows(&self, execution: &Execution) -> crate::error::Result<RecordBatch>;
    /// The relation and the number there of the column at a position.
    fn origin(&self, position: usize) -> Option<(Oid, u16)> {
        Some((self.oid(), u16::try_from(position + 1).ok()?))
    }
}

/// No system tables: for tests of the planner.
pub struct NoSystemCatalog;

impl SystemCatalog for NoSystemCatalog {
    fn table(&self, _schema: &str, _name: &str) -> Option<Arc<dyn SystemTable>> {
        None
    }

    fn functions(&self) -> Vec<Arc<ScalarUDF>> {
        Vec::new()
    }
}

/// A system table in a plan.
#[derive(Clone)]
pub struct SystemProvider {
    table: Arc<dyn SystemTable>,
    bindings: Option<Arc<Bindings>>,
}

impl SystemProvider {
    pub fn new(table: Arc<dyn SystemTable>) -> SystemProvider {
        SystemProvider { table, bindings: None }
    }

    pub fn oid(&self) -> Oid {
        self.table.oid()
    }

    pub fn origin(&self, position: usize) -> Option<(Oid, u16)> {
        self.table.origin(position)
    }

    pub fn bind(&self, bindings: &Arc<Bindings>) -> SystemProvider {
        SystemProvider { table: Arc::clone(&self.table), bindings: Some(Arc::clone(bindings)) }
    }
}

impl fmt::Debug for SystemProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemProvider({})", self.table.name())
    }
}

#[async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bindings = self.bindings.clone();
        let bindings = bindings.ok_or_else(|| external(Error::internal("a system table was not bound")))?;
        let schema = match projection {
            Some(columns) => Arc::new(self.table.schema().project(columns)?),
            None => self.table.schema(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(SystemExec {
            table: Arc::clone(&self.table),
            projection: projection.cloned(),
            bindings,
            properties: Arc::new(properties),
        }))
    }
}

/// Makes the rows of a system table.
pub struct SystemExec {
    table: Arc<dyn SystemTable>,
    projection: Option<Vec<usize>>,
    bindings: Arc<Bindings>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for SystemExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemExec({})", self.table.name())
    }
}

impl SystemExec {
    /// As EXPLAIN shows it.
    pub fn explained(&self) -> Explained {
        let (scan, name) = (self.table.scan_name(), self.table.name());
        Explained::new(scan).heading(format!("{scan} on {name}")).fact("Relation Name", name)
    }
}

impl DisplayAs for SystemExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explained().heading)
    }
}

impl ExecutionPlan for SystemExec {
    fn name(&self) -> &str {
        "SystemExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let execution = self.bindings.execution().map_err(external)?;
        let rows = self.table.rows(&execution).map_err(external)?;
        let rows = match &self.projection {
            Some(columns) => rows.project(columns)?,
            None => rows,
        };
        let schema = Arc::clone(self.properties.eq_properties.schema());
        Ok(Box::pin(MemoryStream::try_new(vec![rows.with_schema(Arc::clone(&schema))?], schema, None)?))
    }
}
