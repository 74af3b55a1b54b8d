//! A subquery in FROM that reads the rows before it: LATERAL.
//!
//! Those that DataFusion can make a join of stay with it. The others become a [`Lateral`] node, in which the left side
//! of the join is an input and the right side a body that is run for each of its rows.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, DataFusionError, ExprSchema, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    Expr, Extension, Filter, Join, JoinType, LogicalPlan, SubqueryAlias, UserDefinedLogicalNodeCore,
    build_join_schema,
};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, apply_expression_roots};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::StreamExt;
use parking_lot::Mutex;

use crate::error::Error;
use crate::planner::bindings::{Bindings, Execution, OuterRows};
use crate::planner::by_row::body::{Body, Shown};
use crate::planner::by_row::joinable::{Above, says_the_same};
use crate::planner::by_row::{optimise, parametrised, rewrite as rewrite_subqueries};
use crate::planner::environment::Environment;
use crate::types::arrow::errors::external;

/// Rows of a batch, at which it is passed on. The first has one and each after it twice as many up to this, so that a
/// LIMIT above runs the body for few rows that it does not want.
const BATCH_ROWS_MAX: usize = 8_192;

/// The logical node.
#[derive(Clone)]
pub struct Lateral {
    outer: LogicalPlan,
    /// What the body reads of an outer row.
    arguments: Vec<Expr>,
    /// Optimised; the arguments are its parameters after those of the statement.
    body: Arc<LogicalPlan>,
    parameters: usize,
    /// Whether outer rows without rows of the body stay.
    left: bool,
    schema: DFSchemaRef,
    environment: Arc<Environment>,
    bindings: Option<Arc<Bindings>>,
}

/// The plan with its lateral joins as nodes of their own: with `all`, or else those that DataFusion makes no join of.
pub fn rewrite(
    plan: LogicalPlan,
    parameters: usize,
    environment: &Arc<Environment>,
    all: bool,
) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= matches!(node, LogicalPlan::Subquery(_));
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = node else { return node.recompute_schema().map(Transformed::yes) };
        if !matches!(join.join_type, JoinType::Inner | JoinType::Left) || !reads_left(&join)? {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        if !all && is_joinable(&join.right)? {
            let tried =
                DecorrelateLateralJoin::new().rewrite(LogicalPlan::Join(join.clone()), environment.state());
            if tried.is_ok_and(|tried| tried.transformed) {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
        }
        let node = Lateral::new(join, parameters, environment)?;
        Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
    })?;
    Ok(rewritten.data)
}

/// Whether the right side of a join names columns of the left.
pub(super) fn reads_left(join: &Join) -> Result<bool> {
    let right = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        right => right,
    };
    if matches!(right, LogicalPlan::Subquery(_)) {
        return Ok(true);
    }
    // `FROM a, b JOIN LATERAL (... a.x ... b.y)`: the inner join reads what stands before it.
    let is_lateral = |node: &LogicalPlan| match node {
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<Lateral>(),
        _ => false,
    };
    right.exists(|node| {
        let reads = |expr: &Expr| match expr {
            Expr::OuterReferenceColumn(_, column) => join.left.schema().has_column(column),
            _ => false,
        };
        let mut found = false;
        for expr in node.expressions().iter().filter(|_| is_lateral(node)) {
            found |= expr.exists(|expr| Ok(reads(expr)))?;
        }
        Ok(found)
    })
}

/// Whether a join says the same as running the body for each row. DataFusion does not look at all that stands above
/// the condition it pulls up: DISTINCT, window functions and outer joins would see the rows of all outer rows together.
fn is_joinable(body: &LogicalPlan) -> Result<bool> {
    let plain = |node: &LogicalPlan| match node {
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    };
    Ok(!body.exists(|node| Ok(!plain(node)))? && says_the_same(body, Above::Value)?)
}

impl Lateral {
    fn new(join: Join, parameters: usize, environment: &Arc<Environment>) -> Result<Lateral> {
        let Join { left, right, on, filter, join_type, .. } = join;
        let outer = Arc::unwrap_or_clone(left);
        let mut body =
            rewrite_subqueries(unwrapped(Arc::unwrap_or_clone(right)), parameters, environment, true)?;
        // The condition of the join decides which rows of the body match, so it belongs there.
        let on = on.into_iter().map(|(left, right)| left.eq(right));
        if let Some(condition) = on.chain(filter).reduce(Expr::and) {
            let condition = condition.transform_up(|expr| {
                let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
                let (false, Ok(field)) =
                    (body.schema().has_column(column), outer.schema().field_from_column(column))
                else {
                    return Ok(Transformed::no(expr));
                };
                Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column.clone())))
            })?;
            body = LogicalPlan::Filter(Filter::try_new(condition.data, Arc::new(body))?);
        }
        let (body, arguments) = parametrised(body, outer.schema(), parameters)?;
        let body = Arc::new(optimise(body, parameters + arguments.len(), environment)?);
        let left = join_type == JoinType::Left;
        let schema = schema_of(&outer, &body, left)?;
        let environment = Arc::clone(environment);
        Ok(Lateral { outer, arguments, body, parameters, left, schema, environment, bindings: None })
    }

    pub fn outer(&self) -> &LogicalPlan {
        &self.outer
    }

    pub fn arguments(&self) -> &[Expr] {
        &self.arguments
    }

    /// Whether a column of the node is one of the outer rows.
    pub fn is_outer(&self, column: &Column) -> bool {
        self.outer.schema().has_column(column) && !self.body.schema().has_column(column)
    }

    /// The node with the cell of the plan it is a part of.
    pub fn bind(&self, bindings: &Arc<Bindings>) -> Lateral {
        Lateral { bindings: Some(Arc::clone(bindings)), ..self.clone() }
    }

    /// The physical node.
    pub async fn physical(
        &self,
        outer: Arc<dyn ExecutionPlan>,
        arguments: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<LateralExec> {
        let Some(bindings) = self.bindings.clone() else {
            return Err(external(Error::internal("a lateral join was planned without its bindings")));
        };
        let shown = Shown::default();
        let mut body = Body::new(&self.body, self.parameters, &self.environment, shown.clone())?;
        body.prepare(None).await;
        let schema = Arc::clone(self.schema.inner());
        Ok(LateralExec {
            properties: properties(&schema),
            outer,
            arguments,
            left: self.left,
            schema,
            bindings,
            body: Arc::new(Mutex::new(Some(body))),
            shown,
            loops: Arc::default(),
        })
    }
}

/// What stands in a subquery node is a relation like any other once its columns of outer rows are parameters.
fn unwrapped(right: LogicalPlan) -> LogicalPlan {
    match right {
        LogicalPlan::Subquery(subquery) => Arc::unwrap_or_clone(subquery.subquery),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => {
            let inner = unwrapped(Arc::unwrap_or_clone(input));
            let named = SubqueryAlias::try_new(Arc::new(inner), alias);
            LogicalPlan::SubqueryAlias(named.expect("it had this alias before"))
        }
        right => right,
    }
}

fn schema_of(outer: &LogicalPlan, body: &LogicalPlan, left: bool) -> Result<DFSchemaRef> {
    let join_type = if left { JoinType::Left } else { JoinType::Inner };
    build_join_schema(outer.schema(), body.schema(), &join_type).map(Arc::new)
}

impl fmt::Debug for Lateral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lateral({:?}, {:?}, {:?})", self.outer, self.arguments, self.body)
    }
}

impl PartialEq for Lateral {
    fn eq(&self, other: &Self) -> bool {
        (&self.outer, &self.arguments, self.left, &self.body)
            == (&other.outer, &other.arguments, other.left, &other.body)
    }
}

impl Eq for Lateral {}

impl Hash for Lateral {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.outer, &self.arguments, self.left, &self.body).hash(state);
    }
}

impl PartialOrd for Lateral {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.outer, &self.arguments, self.left).partial_cmp(&(&other.outer, &other.arguments, other.left))
    }
}

impl UserDefinedLogicalNodeCore for Lateral {
    fn name(&self) -> &str {
        "Lateral"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.outer]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments.clone()
    }

    /// Conditions on outer rows are moved by our own rule (`planner/filters.rs`), which tells columns of one name apart.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.body.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Lateral")
    }

    fn with_exprs_and_inputs(&self, arguments: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let outer = inputs.swap_remove(0);
        let schema = schema_of(&outer, &self.body, self.left)?;
        Ok(Lateral { outer, arguments, schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.outer.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < width).collect()])
    }
}

/// The physical node.
pub struct LateralExec {
    outer: Arc<dyn ExecutionPlan>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    left: bool,
    schema: SchemaRef,
    bindings: Arc<Bindings>,
    /// Not here while it runs.
    body: Arc<Mutex<Option<Body>>>,
    shown: Shown,
    loops: Arc<AtomicUsize>,
    properties: Arc<PlanProperties>,
}

fn properties(schema: &SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(schema)),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl LateralExec {
    /// Whether outer rows without rows of the body stay.
    pub fn is_left(&self) -> bool {
        self.left
    }

    /// How many times the body ran.
    pub fn loops(&self) -> usize {
        self.loops.load(Relaxed)
    }

    /// The plan of the body, for EXPLAIN.
    pub fn shown(&self) -> Option<Arc<dyn ExecutionPlan>> {
        if let (Some(body), Ok(execution)) = (self.body.lock().as_ref(), self.bindings.execution()) {
            body.fill_known(Some(&execution));
        }
        self.shown.plan()
    }
}

impl fmt::Debug for LateralExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateralExec({:?})", self.outer)
    }
}

impl DisplayAs for LateralExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nested Loop")
    }
}

impl ExecutionPlan for LateralExec {
    fn name(&self) -> &str {
        "LateralExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.outer]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(&self.arguments, f)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(LateralExec {
            outer: children.swap_remove(0),
            arguments: self.arguments.clone(),
            left: self.left,
            schema: Arc::clone(&self.schema),
            bindings: Arc::clone(&self.bindings),
            body: Arc::clone(&self.body),
            shown: self.shown.clone(),
            loops: Arc::clone(&self.loops),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let outer = self.outer.execute(partition, context)?;
        let Some(body) = self.body.lock().take() else {
            return Err(external(Error::internal("a lateral join was run twice at a time")));
        };
        let loop_ = Loop {
            outer,
            arguments: self.arguments.clone(),
            left: self.left,
            schema: Arc::clone(&self.schema),
            execution: self.bindings.execution().map_err(external)?,
            home: Arc::clone(&self.body),
            body: Some(body),
            loops: Arc::clone(&self.loops),
            current: None,
            batch_rows: 1,
            failed: None,
            ended: false,
        };
        let rows = futures::stream::unfold(loop_, |mut state| async move {
            if state.ended {
                return None;
            }
            let batch = state.next().await.transpose()?;
            state.ended = batch.is_err();
            Some((batch, state))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}

/// One execution.
struct Loop {
    outer: SendableRecordBatchStream,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    left: bool,
    schema: SchemaRef,
    execution: Arc<Execution>,
    home: Arc<Mutex<Option<Body>>>,
    body: Option<Body>,
    loops: Arc<AtomicUsize>,
    current: Option<Current>,
    batch_rows: usize,
    /// What ends the loop once the rows before it are gone.
    failed: Option<DataFusionError>,
    ended: bool,
}

/// A batch of outer rows, and where in it the loop is.
struct Current {
    batch: RecordBatch,
    arguments: Arc<OuterRows>,
    row: usize,
    /// Rows of the body for `row`, as far as they have not been read.
    rows: Option<SendableRecordBatchStream>,
    /// Whether `row` has had one.
    matched: bool,
}

/// Rows on their way out: which outer row each belongs to, and the body's part, or none.
#[derive(Default)]
struct Joined {
    outer: Vec<u32>,
    body: Vec<Option<RecordBatch>>,
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The rows read the body's cell.
        self.current = None;
        let mut body = self.body.take();
        body.iter_mut().for_each(Body::rest);
        *self.home.lock() = body;
    }
}

impl Loop {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.outer.next().await.transpose()? {
                    Some(batch) => self.begin(batch)?,
                    None => return Ok(None),
                },
            };
            let mut joined = Joined::default();
            while self.failed.is_none()
                && joined.outer.len() < self.batch_rows
                && current.row < current.batch.num_rows()
            {
                self.failed = self.step(&mut current, &mut joined).await.err();
            }
            let batch = (!joined.outer.is_empty()).then(|| self.batch(&current.batch, joined)).transpose()?;
            self.batch_rows = (self.batch_rows * 2).min(BATCH_ROWS_MAX);
            if current.row < current.batch.num_rows() {
                self.current = Some(current);
            }
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }

    fn begin(&self, batch: RecordBatch) -> Result<Current> {
        let evaluate =
            |argument: &Arc<dyn PhysicalExpr>| argument.evaluate(&batch)?.into_array(batch.num_rows());
        let arguments = self.arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        let arguments = OuterRows::new(arguments, batch.num_rows());
        Ok(Current { batch, arguments, row: 0, rows: None, matched: false })
    }

    /// Reads a batch of the body's rows for the current row, or goes on to the next.
    async fn step(&mut self, current: &mut Current, joined: &mut Joined) -> Result<()> {
        let row = current.row;
        let Some(rows) = &mut current.rows else {
            self.execution.check_cancel().map_err(external)?;
            let Some(body) = &mut self.body else { unreachable!("it leaves when the loop is dropped") };
            current.rows = Some(body.start(&self.execution, &current.arguments, row).await?);
            current.matched = false;
            self.loops.fetch_add(1, Relaxed);
            return Ok(());
        };
        match rows.next().await.transpose()? {
            Some(batch) => {
                current.matched |= batch.num_rows() > 0;
                joined.outer.extend(std::iter::repeat_n(row as u32, batch.num_rows()));
                joined.body.push(Some(batch));
            }
            None => {
                if self.left && !current.matched {
                    joined.outer.push(row as u32);
                    joined.body.push(None);
                }
                current.rows = None;
                current.row += 1;
            }
        }
        Ok(())
    }

    fn batch(&self, outer: &RecordBatch, joined: Joined) -> Result<RecordBatch> {
        let rows = joined.outer.len();
        let indices = UInt32Array::from(joined.outer);
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in outer.columns() {
            columns.push(take(column, &indices, None)?);
        }
        for position in 0..self.schema.fields().len() - columns.len() {
            let ty = self.schema.field(outer.num_columns() + position).data_type();
            let parts = joined.body.iter().map(|part| match part {
                Some(batch) => Arc::clone(batch.column(position)),
                None => new_null_array(ty, 1),
            });
            let parts: Vec<ArrayRef> = parts.collect();
            columns.push(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
