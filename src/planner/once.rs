//! Queries of WITH that run once however often they are read.
//!
//! The planner puts a query of WITH in the place of each of its names, which says the same as long as the query answers
//! the same each time it runs. One that draws numbers does not. `sql::once` marks such queries with an alias, and a query
//! that turns out to be volatile (what it reads may be a view that is) becomes a leaf of the plan, in each place the same:
//!
//! ```text
//!   WITH t AS (SELECT random() AS r) SELECT a.r = b.r FROM t AS a, t AS b
//!   Join
//!     Once 7  ─┐
//!              ├─ runs  SELECT random() AS r  when the first of them is read
//!     Once 7  ─┘
//! ```
//!
//! What it found is kept with the execution. It runs on a thread of its own, as subqueries do that run by row
//! ([`crate::planner::by_row::function`]): who reads it may hold up the runtime that it would have to be polled by.
//! A query that depends on rows around it, or on the rows that a recursion has found last, stays where it is.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::datasource::DefaultTableSource;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, SubqueryAlias, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::StreamExt;

use crate::error::Error;
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::by_row::body::{Body, Shown};
use crate::planner::by_row::{optimise, to_its_end};
use crate::planner::environment::Environment;
use crate::types::arrow::errors::{external, from_datafusion};

/// What the aliases of marked queries begin with; the number of the query follows.
pub const MARK: &str = "\u{1}once ";
/// What those begin with that are to run once whatever they compute.
pub const MATERIALIZED: &str = "\u{1}materialized ";

/// The plan with its marked queries as leaves, where they have to be; `parameters` is how many the statement has.
pub fn settle(plan: LogicalPlan, parameters: usize, environment: &Arc<Environment>) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= mark_of(node).is_some();
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    // Inner ones first: a query that reads one of those is then read from rows.
    let settled = plan.transform_up_with_subqueries(|node| {
        let Some((number, always)) = mark_of(&node) else {
            return node.recompute_schema().map(Transformed::yes);
        };
        let LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) = node else {
            return Ok(Transformed::no(node));
        };
        if !(always || is_volatile(&input)?) || depends(&input)? {
            return SubqueryAlias::try_new(input, alias)
                .map(|alias| Transformed::yes(LogicalPlan::SubqueryAlias(alias)));
        }
        let body = optimise(Arc::unwrap_or_clone(input), parameters, environment)?;
        let node = Once {
            number,
            schema: Arc::clone(body.schema()),
            body: Arc::new(body),
            parameters,
            environment: Arc::clone(environment),
            bindings: None,
        };
        let leaf = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        SubqueryAlias::try_new(Arc::new(leaf), alias)
            .map(|alias| Transformed::yes(LogicalPlan::SubqueryAlias(alias)))
    })?;
    Ok(settled.data)
}

/// The number of a marked query, and whether it runs once in any case.
fn mark_of(node: &LogicalPlan) -> Option<(u64, bool)> {
    let LogicalPlan::SubqueryAlias(alias) = node else { return None };
    let name = alias.alias.table();
    let (number, always) = match name.strip_prefix(MARK) {
        Some(number) => (number, false),
        None => (name.strip_prefix(MATERIALIZED)?, true),
    };
    Some((number.parse().ok()?, always))
}

/// Whether some expression answers otherwise when it is evaluated again.
fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.expressions().iter().any(Expr::is_volatile);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether a plan reads rows of a query around it, or those of a recursion that it is a part of.
fn depends(plan: &LogicalPlan) -> Result<bool> {
    let mut read = Vec::new();
    let mut recursions = Vec::new();
    let mut schemas = Vec::new();
    let mut outer = Vec::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::RecursiveQuery(recursion) => recursions.push(recursion.name.clone()),
            LogicalPlan::TableScan(scan) => {
                let source =
                    (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>();
                if source.is_some_and(|source| source.table_provider.is::<CteWorkTable>()) {
                    read.push(scan.table_name.table().to_owned());
                }
            }
            _ => {}
        }
        schemas.push(Arc::clone(node.schema()));
        for expr in node.expressions() {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    outer.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let is_inside = |column| schemas.iter().any(|schema| schema.has_column(column));
    Ok(read.iter().any(|name| !recursions.contains(name)) || !outer.iter().all(is_inside))
}

/// The logical node.
#[derive(Clone)]
pub struct Once {
    number: u64,
    /// Optimised.
    body: Arc<LogicalPlan>,
    schema: DFSchemaRef,
    parameters: usize,
    environment: Arc<Environment>,
    bindings: Option<Arc<Bindings>>,
}

impl Once {
    /// The node with the cell of the plan it is a part of.
    pub fn bind(&self, bindings: &Arc<Bindings>) -> Once {
        Once { bindings: Some(Arc::clone(bindings)), ..self.clone() }
    }

    /// The physical node.
    pub fn physical(&self) -> Result<OnceExec> {
        let Some(bindings) = self.bindings.clone() else {
            return Err(external(Error::internal("a query of WITH was planned without its bindings")));
        };
        let schema = Arc::clone(self.schema.inner());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let run = Run {
            number: self.number,
            body: Arc::clone(&self.body),
            parameters: self.parameters,
            environment: Arc::clone(&self.environment),
            schema,
            shown: Shown::default(),
        };
        Ok(OnceExec { run, bindings, properties: Arc::new(properties) })
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once({}, {:?})", self.number, self.body)
    }
}

impl PartialEq for Once {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Once {}

impl Hash for Once {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl PartialOrd for Once {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.number.partial_cmp(&other.number)
    }
}

impl UserDefinedLogicalNodeCore for Once {
    fn name(&self) -> &str {
        "Once"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Once")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// What it takes to run the query.
#[derive(Clone)]
struct Run {
    number: u64,
    body: Arc<LogicalPlan>,
    parameters: usize,
    environment: Arc<Environment>,
    schema: SchemaRef,
    shown: Shown,
}

impl Run {
    /// The rows, which are those that another place has read already.
    fn rows(&self, execution: &Arc<Execution>) -> crate::error::Result<Arc<Vec<RecordBatch>>> {
        let place = execution.once(self.number);
        // Held while it runs: another place waits for the same rows, and they wait for no other place.
        let mut kept = place.lock();
        if let Some(rows) = &*kept {
            return Ok(Arc::clone(rows));
        }
        let rows = to_its_end(|| self.run(execution))?;
        let rows = Arc::new(rows);
        *kept = Some(Arc::clone(&rows));
        Ok(rows)
    }

    async fn run(&self, execution: &Execution) -> crate::error::Result<Vec<RecordBatch>> {
        let mut body = self.body().map_err(from_datafusion)?;
        let mut rows = body.start_alone(execution).await.map_err(from_datafusion)?;
        let mut found = Vec::new();
        while let Some(batch) = rows.next().await {
            execution.check_cancel()?;
            let batch = batch.map_err(from_datafusion)?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
            found.push(batch.map_err(crate::types::arrow::errors::from_arrow)?);
        }
        Ok(found)
    }

    fn body(&self) -> Result<Body> {
        Body::new(&self.body, self.parameters, &self.environment, self.shown.clone())
    }
}

/// The physical node.
pub struct OnceExec {
    run: Run,
    bindings: Arc<Bindings>,
    properties: Arc<PlanProperties>,
}

impl OnceExec {
    /// The plan of the query for EXPLAIN: the one that ran, or one that might.
    pub async fn shown(&self, execution: Option<&Execution>) -> Option<(Arc<dyn ExecutionPlan>, Body)> {
        let mut body = self.run.body().ok()?;
        if self.run.shown.plan().is_none() {
            body.prepare(execution).await;
        }
        Some((self.run.shown.plan()?, body))
    }
}

impl fmt::Debug for OnceExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnceExec({})", self.run.number)
    }
}

impl DisplayAs for OnceExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CTE Scan")
    }
}

impl ExecutionPlan for OnceExec {
    fn name(&self) -> &str {
        "OnceExec"
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
        let run = self.run.clone();
        let rows = futures::stream::once(async move {
            let rows = run.rows(&execution).map_err(external)?;
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(
                rows.as_ref().clone().into_iter().map(Ok),
            ))
        });
        let rows = rows.flat_map(|rows| match rows {
            Ok(rows) => rows.boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.run.schema), rows)))
    }
}
