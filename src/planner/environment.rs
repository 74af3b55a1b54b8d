//! What all plans of a server share: functions, rules, options, memory.
//!
//! DataFusion would make most of this anew for each query (its `SessionContext::state()` and `task_ctx()` cost 20 us
//! each); here it is made once, and an execution clones one `Arc`.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::execution::{SessionStateDefaults, TaskContext};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

use crate::catalog::{Oid, Table};
use crate::error::Result;
use crate::functions;
use crate::functions::scalar::{FLOAT_DIGITS_MIN, SessionLook};
use crate::planner::casts::PostgresCasts;
use crate::planner::constants::Constants;
use crate::planner::filters::PushDownConditions;
use crate::planner::large_objects;
use crate::planner::operators::OperatorPlanner;
use crate::planner::session_values;
use crate::planner::spool::Spool;
use crate::planner::system::SystemCatalog;
use crate::table::provider::Shapes;
use crate::types::arrow::errors::from_datafusion;
use crate::types::{Look, Zone};

/// Rows per batch: DataFusion's default, at which its kernels were tuned.
const BATCH_ROWS: usize = 8_192;
/// Fewer where queries have little memory, down to this many: a join takes a quarter more time than with 256, scans, groups
/// and sorts as much as before (500,000 narrow rows, 64 MB).
const BATCH_ROWS_MIN: usize = 64;
/// A batch of rows as wide as this should have room in what all queries share: joins and sorts make batches of so many rows,
/// however wide, and several are under way at a time.
const WIDE_ROW_BYTES: usize = 256 << 10;

/// Made once per database.
pub struct Environment {
    state: SessionState,
    task: Arc<TaskContext>,
    system: Arc<dyn SystemCatalog>,
    shapes: Arc<KnownShapes>,
    look: Look,
    /// The environments of sessions that want to see other things, by what they want.
    looks: Arc<Mutex<HashMap<Look, Arc<Environment>>>>,
}

/// Stack kept free: 4,000 levels (`CHAIN_MAX` in `sql/dialect.rs`) of two kilobytes, and of some 30 without optimisation.
const STACK_FREE_BYTES: usize = if cfg!(debug_assertions) { 128 << 20 } else { 8 << 20 };
/// Taken where there is less; pages that are not used cost nothing.
const STACK_MORE_BYTES: usize = 8 * STACK_FREE_BYTES;

/// Environments kept at most: the next one starts over. One takes some 100 kilobytes for its lists of functions.
const LOOKS_MAX: usize = 64;

/// Shapes of hidden columns by table, planned once per definition.
#[derive(Default)]
pub struct KnownShapes(Mutex<HashMap<Oid, (Arc<Table>, Shapes)>>);

/// Tables remembered at most: the next one starts over. A table takes about a kilobyte.
const SHAPES_MAX: usize = 10_000;

impl KnownShapes {
    /// What is known of exactly this definition.
    pub fn get(&self, table: &Arc<Table>) -> Option<Shapes> {
        let known = self.0.lock();
        known.get(&table.oid).filter(|(of, _)| Arc::ptr_eq(of, table)).map(|(_, shapes)| shapes.clone())
    }

    pub fn put(&self, table: &Arc<Table>, shapes: &Shapes) {
        let mut known = self.0.lock();
        if known.len() >= SHAPES_MAX {
            known.clear();
        }
        known.insert(table.oid, (table.clone(), shapes.clone()));
    }
}

impl Environment {
    /// Also sets, for the process, how much stack DataFusion keeps free where it recurses: names and types of expressions
    /// are made by recursions that do not look.
    ///
    /// `memory_bytes` bounds what sorts, joins and aggregates of all queries hold together.
    pub fn new(system: Arc<dyn SystemCatalog>, memory_bytes: usize) -> Result<Arc<Environment>> {
        recursive::set_minimum_stack_size(STACK_FREE_BYTES);
        recursive::set_stack_allocation_size(STACK_MORE_BYTES);
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0);
        // The disk is the limit, as PostgreSQL's temp_file_limit has it.
        let runtime = runtime.with_max_temp_directory_size(u64::MAX).build_arc();
        let state = session_state(system.as_ref(), runtime.map_err(from_datafusion)?, Look::PLAIN);
        let task = Arc::new(TaskContext::new(
            None,
            "hither".to_owned(),
            state.config().clone(),
            Default::default(),
            Default::default(),
            Default::default(),
            Default::default(),
            Arc::clone(state.runtime_env()),
        ));
        let (shapes, look, looks) = (Arc::default(), Look::PLAIN, Arc::default());
        Ok(Arc::new(Environment { state, task, system, shapes, look, looks }))
    }

    /// One for another database of the server: it knows other tables, and takes memory from the same pool.
    pub fn beside(&self) -> Arc<Environment> {
        self.with(Look::PLAIN, Arc::default(), Arc::default())
    }

    fn with(
        &self,
        look: Look,
        shapes: Arc<KnownShapes>,
        looks: Arc<Mutex<HashMap<Look, Arc<Environment>>>>,
    ) -> Arc<Environment> {
        // Made anew: a state made of another one has lost which of two functions of a name comes first.
        let state = session_state(self.system.as_ref(), Arc::clone(self.state.runtime_env()), look);
        let (task, system) = (Arc::clone(&self.task), Arc::clone(&self.system));
        Arc::new(Environment { state, task, system, shapes, look, looks })
    }

    /// The same for plans of sessions that want to see something else: what depends on it looks for it in the options
    /// ([`functions::scalar::look_of`]), also where the optimiser computes constants.
    pub fn with_look(self: &Arc<Self>, look: Look) -> Arc<Environment> {
        if look == self.look {
            return Arc::clone(self);
        }
        let mut looks = self.looks.lock();
        if let Some(known) = looks.get(&look) {
            return Arc::clone(known);
        }
        if looks.len() >= LOOKS_MAX {
            looks.clear();
        }
        let made = self.with(look, Arc::clone(&self.shapes), Arc::clone(&self.looks));
        looks.insert(look, Arc::clone(&made));
        made
    }

    /// A place for rows that are kept for later.
    pub fn spool(&self) -> Spool {
        Spool::new(Arc::clone(self.state.runtime_env()))
    }

    /// Bytes that sorts, joins and aggregates hold now.
    pub fn memory_reserved(&self) -> usize {
        self.state.runtime_env().memory_pool.reserved()
    }

    /// How the session of its plans reads and shows values.
    pub fn look(&self) -> Look {
        self.look
    }

    /// The time zone of its plans.
    pub fn zone(&self) -> Zone {
        self.look.zone
    }

    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// The context every execution runs in.
    pub fn task(&self) -> Arc<TaskContext> {
        Arc::clone(&self.task)
    }

    pub fn shapes(&self) -> &KnownShapes {
        &self.shapes
    }

    pub fn system(&self) -> &Arc<dyn SystemCatalog> {
        &self.system
    }
}

fn session_state(system: &dyn SystemCatalog, runtime: Arc<RuntimeEnv>, look: Look) -> SessionState {
    let mut config = options(batch_rows(&runtime));
    config.options_mut().execution.time_zone = (look.zone != Zone::UTC).then(|| look.zone.to_string());
    let (dates, intervals) = (look.dates.to_string(), look.intervals.name().to_owned());
    let float_digits = usize::from(look.float_digits.abs_diff(FLOAT_DIGITS_MIN));
    let escapes_bytes = look.escapes_bytes;
    config.options_mut().extensions.insert(SessionLook { dates, intervals, float_digits, escapes_bytes });
    // Expressions find the options here when they are made ready to run.
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(Arc::clone(config.options()));
    let mut planners: Vec<Arc<dyn datafusion::logical_expr::planner::ExprPlanner>> =
        vec![Arc::new(OperatorPlanner)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    // Later functions replace earlier ones of the same name.
    let mut scalars = SessionStateDefaults::default_scalar_functions();
    scalars.extend(functions::scalar_functions());
    scalars.extend(session_values::functions());
    scalars.extend(large_objects::functions());
    scalars.extend(system.functions());
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.extend(functions::aggregate_functions());
    let mut windows = SessionStateDefaults::default_window_functions();
    windows.extend(functions::window_functions());
    let constants = Constants { properties: properties.clone() };
    SessionStateBuilder::new()
        .with_config(config)
        .with_execution_props(properties)
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(scalars)
        .with_aggregate_functions(aggregates)
        .with_window_functions(windows)
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_analyzer_rule(Arc::new(PostgresCasts))
        .with_analyzer_rule(Arc::new(constants))
        .with_optimizer_rules(optimizer_rules())
        .build()
}

/// What is left out of DataFusion's rules.
const LEFT_OUT: [&str; 3] = [
    // Computes aggregates beside a DISTINCT one in two steps, sums as sums of sums. A sum of bigint is numeric, so what was
    // bigint would become numeric between the two.
    "single_distinct_aggregation_to_group_by",
    // Move fields of records below projections, and take `n` of `SELECT n, (p).f FROM (SELECT n + 1 AS n, p FROM t)` for
    // the one of t. Here a record is read whole either way.
    "extract_leaf_expressions",
    "push_down_leaf_projections",
];

fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| !LEFT_OUT.contains(&rule.name()));
    let ours: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(PushDownConditions::default());
    rules.iter_mut().filter(|rule| rule.name() == ours.name()).for_each(|rule| *rule = Arc::clone(&ours));
    rules
}

/// Rows per batch for what queries may hold.
fn batch_rows(runtime: &RuntimeEnv) -> usize {
    match runtime.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => (bytes / WIDE_ROW_BYTES).clamp(BATCH_ROWS_MIN, BATCH_ROWS),
        _ => BATCH_ROWS,
    }
}

/// Options in which PostgreSQL and DataFusion differ, and those that would keep state between executions.
fn options(batch_rows: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_batch_size(batch_rows)
        .with_target_partitions(1)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // A subquery's order is what `array_agg` and a LIMIT around it see.
    options.sql_parser.enable_subquery_sort_elimination = false;
    options.execution.collect_statistics = false;
    // Constants and parameters are NULL or not, and carry notes of their types, otherwise in the physical plan than in
    // the logical one. What matters, the types, we make agree ourselves.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}
