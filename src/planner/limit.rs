//! LIMIT and OFFSET whose counts are parameters, or that skip rows.
//!
//! DataFusion's limit takes constants. A count that is only known when the plan runs becomes this node, which reads
//! it from the execution, so that `LIMIT $2` does not need a new plan each time.
//!
//! Which rows are cut depends on the order of what is below. DataFusion removes sorts that nothing asks for, and those
//! whose order it takes for given, wrongly so where it takes the one row of each side of a UNION for a constant, or where
//! a key compares what a function yields (`ORDER BY a::float8 < 3`). So this node sorts by itself what was to be sorted,
//! and lets no sort move through it; where nothing is sorted, it asks for the order it was planned upon.
//!
//! Without counts it stands for a sort, and becomes one when the plan is made: the order of a subquery, as in
//! `SELECT array_agg(a) FROM (SELECT a FROM t ORDER BY b) s`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr,
    PlanProperties,
};
use futures::{Stream, StreamExt};

use crate::table::hints::Rows;
use crate::table::predicate::{Clause, count_of};
use crate::types::arrow::errors::external;

/// The logical node.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct BoundLimit {
    pub input: LogicalPlan,
    pub skip: Option<Expr>,
    pub fetch: Option<Expr>,
}

impl UserDefinedLogicalNodeCore for BoundLimit {
    fn name(&self) -> &str {
        "Limit"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.skip.iter().chain(&self.fetch).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Limit")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let skip = self.skip.as_ref().and_then(|_| exprs.next());
        let fetch = self.fetch.as_ref().and_then(|_| exprs.next());
        Ok(BoundLimit { input: inputs.swap_remove(0), skip, fetch })
    }
}

/// The physical node.
#[derive(Debug)]
pub struct BoundLimitExec {
    input: Arc<dyn ExecutionPlan>,
    skip: Option<Arc<dyn PhysicalExpr>>,
    fetch: Option<Arc<dyn PhysicalExpr>>,
    /// The order of the rows that are counted, as the input has it.
    order: Option<LexOrdering>,
    /// What they are sorted by here, and how many of them there are at most, as a limit below this one says.
    sort: Option<(LexOrdering, Option<usize>)>,
    properties: Arc<PlanProperties>,
}

impl BoundLimitExec {
    /// A limit of `input` as it is ordered now.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        skip: Option<Arc<dyn PhysicalExpr>>,
        fetch: Option<Arc<dyn PhysicalExpr>>,
    ) -> BoundLimitExec {
        match input.downcast_ref::<SortExec>() {
            Some(sort) => {
                let own = Some((sort.expr().clone(), sort.fetch()));
                BoundLimitExec::of_order(Arc::clone(sort.input()), skip, fetch, None, own)
            }
            _ => {
                let order = input.output_ordering().cloned();
                BoundLimitExec::of_order(input, skip, fetch, order, None)
            }
        }
    }

    /// What they are sorted by here, if they are.
    pub fn keys(&self) -> Option<&LexOrdering> {
        self.sort.as_ref().map(|(keys, _)| keys)
    }

    /// How many rows of its order it asks for.
    pub fn rows(&self) -> Rows {
        match &self.sort {
            Some((_, Some(most))) => Rows::This(*most),
            _ => Rows::Limit { skip: self.skip.clone(), fetch: self.fetch.clone() },
        }
    }

    /// The sort alone, if no rows are cut.
    pub fn sort_only(&self) -> Option<Arc<dyn ExecutionPlan>> {
        let cuts = self.skip.is_some() || self.fetch.is_some();
        let (keys, most) = self.sort.as_ref().filter(|_| !cuts)?;
        Some(Arc::new(SortExec::new(keys.clone(), Arc::clone(&self.input)).with_fetch(*most)))
    }

    fn of_order(
        input: Arc<dyn ExecutionPlan>,
        skip: Option<Arc<dyn PhysicalExpr>>,
        fetch: Option<Arc<dyn PhysicalExpr>>,
        order: Option<LexOrdering>,
        sort: Option<(LexOrdering, Option<usize>)>,
    ) -> BoundLimitExec {
        let equivalences = match &sort {
            None => input.equivalence_properties().clone(),
            // The order that the input has ends here.
            Some((keys, _)) => EquivalenceProperties::new_with_orderings(input.schema(), [keys.clone()]),
        };
        let properties = PlanProperties::new(
            equivalences,
            datafusion::physical_plan::Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        BoundLimitExec { input, skip, fetch, order, sort, properties: Arc::new(properties) }
    }
}

impl DisplayAs for BoundLimitExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.sort.is_some() { "Sort and Limit" } else { "Limit" })
    }
}

impl ExecutionPlan for BoundLimitExec {
    fn name(&self) -> &str {
        "BoundLimitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    /// Not in a way that would let a sort above take the place of the one below.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::execution_plan::apply_expression_roots(
            self.skip.iter().chain(&self.fetch).chain(self.keys().into_iter().flatten().map(|key| &key.expr)),
            f,
        )
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (skip, fetch) = (self.skip.clone(), self.fetch.clone());
        let (order, sort) = (self.order.clone(), self.sort.clone());
        Ok(Arc::new(BoundLimitExec::of_order(children.swap_remove(0), skip, fetch, order, sort)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let skip = count_of(self.skip.as_ref(), Clause::Offset).map_err(external)?;
        let fetch = count_of(self.fetch.as_ref(), Clause::Limit).map_err(external)?;
        let input = match &self.sort {
            None => self.input.execute(partition, context)?,
            Some((keys, most)) => {
                let top = top_of(skip, fetch).into_iter().chain(*most).min();
                SortExec::new(keys.clone(), Arc::clone(&self.input))
                    .with_fetch(top)
                    .execute(partition, context)?
            }
        };
        Ok(Box::pin(LimitStream { input, skip: skip.unwrap_or(0), fetch: fetch.unwrap_or(usize::MAX) }))
    }
}

/// How many rows a sort keeps in memory instead of sorting all: as many as are asked for, unless that is very many.
fn top_of(skip: Option<usize>, fetch: Option<usize>) -> Option<usize> {
    /// Rows of a kilobyte each take 100 MB then.
    const TOP_MAX: usize = 100_000;
    fetch?.checked_add(skip.unwrap_or(0)).filter(|top| (1..=TOP_MAX).contains(top))
}

/// Skips rows, then passes some on, then ends without asking its input again.
struct LimitStream {
    input: SendableRecordBatchStream,
    skip: usize,
    fetch: usize,
}

impl LimitStream {
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let kept = (batch.num_rows() - skipped).min(self.fetch);
        self.fetch -= kept;
        batch.slice(skipped, kept)
    }
}

impl Stream for LimitStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.fetch == 0 {
                return Poll::Ready(None);
            }
            match ready!(self.input.poll_next_unpin(context)) {
                Some(Ok(batch)) => {
                    let batch = self.cut(batch);
                    if batch.num_rows() > 0 {
                        return Poll::Ready(Some(Ok(batch)));
                    }
                }
                other => return Poll::Ready(other),
            }
        }
    }
}

impl RecordBatchStream for LimitStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
