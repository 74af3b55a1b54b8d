//! Finished plans of one statement, waiting to be run again.
//!
//! A plan is checked out for one execution and comes back when its stream is dropped, if all its nodes start afresh or
//! can be told to. DataFusion's nodes note metrics per execution, so a plan is retired after `USES_MAX` of them; one with
//! a join, whose sides stand as they were cheapest when it was made, after `JOINS_MAX`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::stream::{empty, poll_fn as poll_fn_stream, unfold};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, Result};
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::by_row::lateral::LateralExec;
use crate::planner::environment::Environment;
use crate::planner::finish::{self, Again};
use crate::sql::query::RowStream;
use crate::table::knn::KnnScanExec;
use crate::table::scan::ScanExec;
use crate::types::arrow::errors::from_datafusion;

/// Executions after which a plan is made anew, which costs about 100 us and frees some 100 bytes of metrics per
/// execution and node.
const USES_MAX: u32 = 1_000;
/// Executions of a plan with a join: a sixteenth of what planning costs is little beside running it, and tables that grow
/// or other parameters soon have a plan that suits them.
const JOINS_MAX: u32 = 16;
/// Plans kept per statement: more than a few sessions that run it at the same moment are rare.
const PLANS_MAX: usize = 4;

/// Physical plans made since the server started; a statement that reuses its plan adds none.
pub static PLANS_MADE: AtomicU64 = AtomicU64::new(0);

/// The finished plans of one statement.
#[derive(Clone, Default)]
pub struct PlanPool(Arc<Mutex<Vec<FinishedPlan>>>);

/// A physical plan and the cell its nodes read from.
struct FinishedPlan {
    plan: Arc<dyn ExecutionPlan>,
    bindings: Arc<Bindings>,
    uses: u32,
    uses_max: u32,
    again: Again,
    narrow: bool,
}

/// A plan out of its pool.
pub struct CheckedOut {
    plan: FinishedPlan,
    pool: PlanPool,
    keep: bool,
    /// Whether it does more than scan, search, filter and project.
    long: bool,
}

impl PlanPool {
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A plan that waits here, or a new one. DataFusion computes some of a plan while it makes it (the rows of VALUES),
    /// so a new one has its bindings from the start.
    pub async fn check_out(
        &self,
        logical: &LogicalPlan,
        environment: &Environment,
        execution: &Arc<Execution>,
    ) -> Result<CheckedOut> {
        let waiting = self.0.lock().pop();
        if let Some(plan) = waiting {
            let long = plan.again != Again::AsItIs;
            return Ok(CheckedOut { plan, pool: self.clone(), keep: true, long });
        }
        let bindings = Bindings::new();
        bindings.fill(execution.clone());
        let bound = finish::bind(logical.clone(), &bindings).map_err(from_datafusion)?;
        let plan = finish::physical(&bound, environment.state()).await.map_err(from_datafusion)?;
        PLANS_MADE.fetch_add(1, Ordering::Relaxed);
        let (again, narrow) = (finish::again(&plan), is_narrow(plan.as_ref()));
        // A loop in a plan has plans of its own, which it keeps.
        let has_loop = finish::contains(&plan, &|node| node.is::<LateralExec>());
        let uses_max =
            if finish::contains(&plan, &|node| node.is::<HashJoinExec>()) { JOINS_MAX } else { USES_MAX };
        let (keep, long) = (again != Again::Anew && !has_loop, again != Again::AsItIs || has_loop);
        let plan = FinishedPlan { plan, bindings, uses: 0, uses_max, again, narrow };
        Ok(CheckedOut { plan, pool: self.clone(), keep, long })
    }

    fn give_back(&self, mut plan: FinishedPlan) {
        if plan.again == Again::Reset {
            // Now and not at the next execution: a join holds its hash table, or the scan that was to fill it, and with
            // that a snapshot.
            plan.plan = match reset_plan_states(plan.plan) {
                Ok(plan) => plan,
                Err(_) => return,
            };
        }
        let mut plans = self.0.lock();
        if plan.uses < plan.uses_max && plans.len() < PLANS_MAX {
            plans.push(plan);
        }
    }
}

impl CheckedOut {
    /// Starts an execution; the plan goes back to its pool when the stream is dropped.
    pub fn start(mut self, execution: Arc<Execution>, task: Arc<TaskContext>) -> Result<PlanStream> {
        self.plan.bindings.fill(Arc::clone(&execution));
        let heavy = is_heavy(self.plan.plan.as_ref(), &execution);
        let light = self.plan.narrow && !heavy;
        self.plan.uses += 1;
        let start = || execute_stream(Arc::clone(&self.plan.plan), task).map_err(from_datafusion);
        let stream = if heavy { aside(start) } else { start() };
        match stream {
            Ok(stream) => Ok(PlanStream { stream: Some(stream), plan: Some(self), heavy, light }),
            Err(error) => {
                self.plan.bindings.clear();
                Err(error)
            }
        }
    }
}

/// The rows of one execution.
pub struct PlanStream {
    stream: Option<SendableRecordBatchStream>,
    plan: Option<CheckedOut>,
    heavy: bool,
    light: bool,
}

/// Whether some leaf may compute for longer than 2 ms at a time.
fn is_heavy(plan: &dyn ExecutionPlan, execution: &Execution) -> bool {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        return scan.is_heavy(execution);
    }
    if let Some(search) = plan.downcast_ref::<KnnScanExec>() {
        return search.is_heavy(execution);
    }
    plan.children().into_iter().any(|child| is_heavy(child.as_ref(), execution))
}

/// Nodes that are done soon with few rows.
const NARROW: [&str; 7] = [
    "SortExec",
    "BoundLimitExec",
    "GlobalLimitExec",
    "LocalLimitExec",
    "ProjectionExec",
    "FilterExec",
    "AggregateExec",
];

/// Whether a plan sorts, groups and counts rows of one table and does nothing else: when those are few it is done soon.
fn is_narrow(plan: &dyn ExecutionPlan) -> bool {
    match plan.children()[..] {
        [] => plan.is::<ScanExec>() || plan.is::<KnnScanExec>(),
        [child] => NARROW.contains(&plan.name()) && is_narrow(child.as_ref()),
        _ => false,
    }
}

/// Runs a stream where it is asked for until it pauses for the first time, and from there on [`apart`]: a hop to another
/// thread and back takes 100 us where processors sleep between two queries.
pub fn here_at_first(mut rows: RowStream, workers: &Handle) -> RowStream {
    let workers = workers.clone();
    let mut here = true;
    poll_fn_stream(move |context| {
        let next = rows.poll_next_unpin(context);
        if here && next.is_pending() {
            here = false;
            rows = apart(std::mem::replace(&mut rows, empty().boxed()), &workers);
            return rows.poll_next_unpin(context);
        }
        next
    })
    .boxed()
}

/// Batches that a task apart may be ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// Runs a stream as a task of its own. A join or an aggregate may compute for seconds before its first row, and the
/// connection must hear a cancel request meanwhile. Dropping the rows stops the task at its next pause.
pub fn apart(mut rows: RowStream, workers: &Handle) -> RowStream {
    let (sender, receiver) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    let task = workers.spawn(async move {
        while let Some(batch) = poll_fn(|context| aside(|| rows.poll_next_unpin(context))).await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    });
    unfold(Apart { receiver, task: Some(task) }, |mut apart| async move {
        match apart.receiver.recv().await {
            Some(batch) => Some((batch, apart)),
            None => apart.end().await.map(|error| (Err(error), apart)),
        }
    })
    .boxed()
}

/// The reader's end of a task.
struct Apart {
    receiver: tokio::sync::mpsc::Receiver<Result<RecordBatch>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Apart {
    /// After the last batch: rows that ended because the task panicked are not all the rows.
    async fn end(&mut self) -> Option<Error> {
        let ended = self.task.take()?.await;
        ended.err().map(|error| Error::internal(format!("a query failed: {error}")))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Computes while another thread takes over this one's other tasks; that hand-over costs some ten microseconds, which
/// short work does not pay.
///
/// A plan pauses when it has used up the budget of its task, which is when a task that was stopped ends. What blocks in
/// place has no budget, and would compute to its end for nobody: `block_on` gives it one.
fn aside<T>(compute: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(|| runtime.block_on(async { compute() }))
        }
        _ => compute(),
    }
}

impl PlanStream {
    /// Whether it does more than scan, search, filter and project: those look at the cancel flag themselves.
    pub fn may_be_long(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.long)
    }

    /// Whether such a plan is done soon all the same.
    pub fn is_light(&self) -> bool {
        self.light
    }
}

impl Stream for PlanStream {
    type Item = datafusion::common::Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let heavy = self.heavy;
        let next = match &mut self.stream {
            Some(stream) if heavy => aside(|| stream.poll_next_unpin(context)),
            Some(stream) => stream.poll_next_unpin(context),
            None => Poll::Ready(None),
        };
        // A node that has failed may be in the middle of anything: nobody asks it again.
        if let Poll::Ready(Some(Err(_))) = &next {
            self.stream = None;
        }
        next
    }
}

impl Drop for PlanStream {
    fn drop(&mut self) {
        // The nodes' streams go first: they may still read the cell.
        self.stream = None;
        if let Some(CheckedOut { plan, pool, keep, .. }) = self.plan.take() {
            plan.bindings.clear();
            if keep {
                pool.give_back(plan);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    /// Rows that never come, computed as DataFusion's nodes do: until the budget is used up.
    fn endless(alive: Arc<()>) -> RowStream {
        let poll = move |context: &mut Context<'_>| {
            let _alive = &alive;
            while pin!(tokio::task::consume_budget()).poll(context).is_ready() {}
            Poll::Pending
        };
        futures::stream::poll_fn(poll).boxed()
    }

    #[test]
    fn rows_that_nobody_waits_for_are_computed_no_further() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let alive = Arc::new(());
        let rows = apart(endless(alive.clone()), runtime.handle());
        runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(rows);
            for _ in 0..1_000 {
                if Arc::strong_count(&alive) == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        // A task that does not end would be waited for.
        runtime.shutdown_background();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
