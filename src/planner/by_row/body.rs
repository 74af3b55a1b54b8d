//! A subquery's plan, run for one outer row after the other.
//!
//! It is planned once. Before each row its cell is filled with the parameters of the statement and, after them, the
//! values of the outer row. A plan whose nodes start afresh runs again as it is; one whose nodes can forget what they
//! did is reset; any other is made anew from the logical plan.

use std::sync::Arc;

use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use parking_lot::Mutex;

use crate::planner::bindings::{Bindings, Execution, OuterRows};
use crate::planner::environment::Environment;
use crate::planner::finish::{self, Again};

/// Executions after which a plan is made anew: its nodes note some 100 bytes of metrics at each.
const USES_MAX: u32 = 1_000;

/// A subquery being run.
pub struct Body {
    /// How many parameters the statement has.
    parameters: usize,
    environment: Arc<Environment>,
    bindings: Arc<Bindings>,
    bound: LogicalPlan,
    plan: Option<Arc<dyn ExecutionPlan>>,
    uses: u32,
    shown: Shown,
}

/// Where EXPLAIN finds the plan that ran last.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<Option<Arc<dyn ExecutionPlan>>>>);

impl Shown {
    pub fn plan(&self) -> Option<Arc<dyn ExecutionPlan>> {
        self.0.lock().clone()
    }
}

impl Body {
    /// `plan` is optimised, and its parameters after the statement's are those of the outer row.
    pub fn new(
        plan: &LogicalPlan,
        parameters: usize,
        environment: &Arc<Environment>,
        shown: Shown,
    ) -> Result<Body> {
        let bindings = Bindings::new();
        let bound = finish::bind(plan.clone(), &bindings)?;
        let environment = Arc::clone(environment);
        Ok(Body { parameters, environment, bindings, bound, plan: None, uses: 0, shown })
    }

    /// Plans it ahead, for EXPLAIN. What depends on the outer row is not known.
    pub async fn prepare(&mut self, outer: Option<&Execution>) {
        self.fill_known(outer);
        if self.plan.is_none() {
            // What the planner computes with values of the outer row is planned when they are there.
            self.plan = finish::physical(&self.bound, self.environment.state()).await.ok();
            *self.shown.0.lock() = self.plan.clone();
        }
    }

    /// Fills the cell with what is known without an outer row.
    pub fn fill_known(&self, outer: Option<&Execution>) {
        if let Some(outer) = outer {
            let params = outer.params.iter().take(self.parameters).cloned().collect();
            self.bindings.fill(Arc::new(outer.with_params(params)));
        }
    }

    /// Runs it for a row of a batch of outer rows. The rows of the row before have been dropped.
    pub async fn start(
        &mut self,
        outer: &Execution,
        batch: &Arc<OuterRows>,
        row: usize,
    ) -> Result<SendableRecordBatchStream> {
        let mut params: Vec<ScalarValue> = outer.params.iter().take(self.parameters).cloned().collect();
        params.extend(batch.values(row)?);
        self.run(Execution { outer: Some((Arc::clone(batch), row)), ..outer.with_params(params) }).await
    }

    /// Runs it where it reads no outer row.
    pub async fn start_alone(&mut self, outer: &Execution) -> Result<SendableRecordBatchStream> {
        let params = outer.params.iter().take(self.parameters).cloned().collect();
        self.run(outer.with_params(params)).await
    }

    /// Lets go of what it was run with.
    pub fn rest(&mut self) {
        self.bindings.clear();
    }

    async fn run(&mut self, execution: Execution) -> Result<SendableRecordBatchStream> {
        self.bindings.fill(Arc::new(execution));
        let plan = match self.plan.take().map(|plan| self.again(plan)).transpose()?.flatten() {
            Some(plan) => plan,
            None => {
                self.uses = 0;
                let plan = finish::physical(&self.bound, self.environment.state()).await?;
                *self.shown.0.lock() = Some(Arc::clone(&plan));
                plan
            }
        };
        self.uses += 1;
        let rows = execute_stream(Arc::clone(&plan), self.environment.task())?;
        self.plan = Some(plan);
        Ok(rows)
    }

    /// A plan that ran, for the next run.
    fn again(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.uses == 0 {
            return Ok(Some(plan));
        }
        Ok(match finish::again(&plan) {
            Again::AsItIs if self.uses < USES_MAX => Some(plan),
            Again::Reset => Some(reset_plan_states(plan)?),
            Again::AsItIs | Again::Anew => None,
        })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.bindings.clear();
    }
}
