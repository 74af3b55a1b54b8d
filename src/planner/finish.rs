//! From a logical plan to one that can be run again and again.
//!
//! [`bind`] is the last logical step: parameters become readers of the plan's cell, tables and session functions get
//! the cell, limits with parameters or an OFFSET get a node of their own, and so do sorts, which DataFusion takes away
//! where nothing asks for the order. [`physical`] plans the rest. [`again`] tells which physical plans may be run twice;
//! the others are planned anew from the bound-to-be logical plan each time.

use std::sync::Arc;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, Limit, LogicalPlan, TableSource, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use crate::error::{Error, SqlState};
use crate::planner::bindings::Bindings;
use crate::planner::bound::{BoundValue, Source, bind as bind_function};
use crate::planner::by_row::function;
use crate::planner::by_row::lateral::{Lateral, LateralExec};
use crate::planner::hints::{KeysExec, hinted};
use crate::planner::limit::{BoundLimit, BoundLimitExec};
use crate::planner::once::{Once, OnceExec};
use crate::planner::session_values;
use crate::planner::system::{SystemExec, SystemProvider};
use crate::table::guard::{guarded, guarded_condition};
use crate::table::knn::{KnnProvider, KnnScanExec};
use crate::table::provider::TableSourceProvider;
use crate::table::scan::ScanExec;
use crate::types::arrow::data_type;
use crate::types::arrow::errors::external;

/// The plan with every parameter, table and session function reading from `bindings`.
pub fn bind(plan: LogicalPlan, bindings: &Arc<Bindings>) -> Result<LogicalPlan> {
    let bound = plan.transform_up_with_subqueries(|node| {
        // Columns of windows and aggregates are called as what computes them.
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(bind_expr(expr, bindings)?.update_data(|expr| name.restore(expr)))
        })?;
        let node = node.data;
        Ok(Transformed::yes(match node {
            LogicalPlan::TableScan(mut scan) => {
                if let Some(source) = bind_source(&scan.source, bindings)? {
                    scan.source = source;
                }
                LogicalPlan::TableScan(scan)
            }
            LogicalPlan::Limit(limit) => bind_limit(limit),
            LogicalPlan::Aggregate(mut aggregate) if aggregate.aggr_expr.iter().all(is_blind_to_order) => {
                aggregate.input = Arc::new(without_sort(Arc::unwrap_or_clone(aggregate.input)));
                LogicalPlan::Aggregate(aggregate)
            }
            // Not to be taken away when nothing above asks for it.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                limit_rows(LogicalPlan::Sort(sort), None, None)
            }
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                LogicalPlan::Extension(match (node.downcast_ref::<Lateral>(), node.downcast_ref::<Once>()) {
                    (Some(lateral), _) => Extension { node: Arc::new(lateral.bind(bindings)) },
                    (_, Some(once)) => Extension { node: Arc::new(once.bind(bindings)) },
                    _ => extension,
                })
            }
            node => node,
        }))
    })?;
    Ok(bound.data)
}

/// An expression with its parameters and session functions reading from `bindings`.
pub fn bind_expr(expr: Expr, bindings: &Arc<Bindings>) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::Placeholder(placeholder) => Ok(Transformed::yes(bind_placeholder(placeholder, bindings)?)),
        Expr::ScalarFunction(call) => {
            Ok(match bind_function(&call.func, bindings).or_else(|| function::bind(&call.func, bindings)) {
                Some(func) => {
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
                }
                None => Transformed::no(Expr::ScalarFunction(call)),
            })
        }
        expr => Ok(Transformed::no(expr)),
    })
}

fn bind_placeholder(placeholder: Placeholder, bindings: &Arc<Bindings>) -> Result<Expr> {
    let number = placeholder.id.trim_start_matches('$').parse::<usize>().ok();
    let (source, value_type) = match (number, session_values::by_placeholder(&placeholder.id)) {
        (Some(number), _) => {
            let known = placeholder.field.as_ref().map(|field| field.data_type().clone());
            (Source::Parameter(number), known.unwrap_or(DataType::Utf8))
        }
        (None, Some(value)) => (Source::Session(value.read), data_type(&value.ty)),
        (None, None) => {
            let message = format!("there is no parameter {}", placeholder.id);
            return Err(external(Error::new(SqlState::UNDEFINED_PARAMETER, message)));
        }
    };
    let function = BoundValue::new(placeholder.id, source, value_type, Arc::clone(bindings));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, Vec::new())))
}

fn bind_source(
    source: &Arc<dyn TableSource>,
    bindings: &Arc<Bindings>,
) -> Result<Option<Arc<dyn TableSource>>> {
    let source = (source.as_ref() as &dyn std::any::Any).downcast_ref::<DefaultTableSource>();
    let Some(provider) = source.map(|source| &source.table_provider) else { return Ok(None) };
    if let Some(system) = provider.downcast_ref::<SystemProvider>() {
        return Ok(Some(provider_as_source(Arc::new(system.bind(bindings)))));
    }
    if let Some(table) = provider.downcast_ref::<TableSourceProvider>() {
        return Ok(Some(provider_as_source(Arc::new(table.bind(bindings)))));
    }
    if let Some(search) = provider.downcast_ref::<KnnProvider>() {
        let search = search.bind(bindings, |expr, bindings| Ok(bind_expr(expr, bindings)?.data))?;
        return Ok(Some(provider_as_source(Arc::new(search))));
    }
    Ok(None)
}

fn bind_limit(limit: Limit) -> LogicalPlan {
    // A sort may be moved through the planner's own limit, also where that skips rows.
    if limit.skip.is_none() && matches!(limit.fetch.as_deref(), None | Some(Expr::Literal(_, _))) {
        return LogicalPlan::Limit(limit);
    }
    limit_rows(Arc::unwrap_or_clone(limit.input), limit.skip.map(|expr| *expr), limit.fetch.map(|expr| *expr))
}

/// The limit right above what orders the rows: a projection may leave out the columns they are ordered by.
fn limit_rows(input: LogicalPlan, skip: Option<Expr>, fetch: Option<Expr>) -> LogicalPlan {
    below_projections(input, |input| {
        let input = sort_that_is_kept(&input).cloned().unwrap_or(input);
        LogicalPlan::Extension(Extension { node: Arc::new(BoundLimit { input, skip, fetch }) })
    })
}

/// The plan with what stands below its projections changed.
fn below_projections(plan: LogicalPlan, change: impl FnOnce(LogicalPlan) -> LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Projection(mut projection) => {
            let below = below_projections(Arc::unwrap_or_clone(projection.input), change);
            projection.input = Arc::new(below);
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::SubqueryAlias(mut alias) => {
            let below = below_projections(Arc::unwrap_or_clone(alias.input), change);
            alias.input = Arc::new(below);
            LogicalPlan::SubqueryAlias(alias)
        }
        plan => change(plan),
    }
}

/// Whether an aggregate is the same in whatever order rows come. A sum of floats is not, in its last digits.
fn is_blind_to_order(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_blind_to_order(&alias.expr),
        Expr::AggregateFunction(function) => {
            matches!(function.func.name(), "count" | "min" | "max" | "bool_and" | "bool_or")
        }
        _ => false,
    }
}

/// The rows without a sort that is kept right below.
fn without_sort(plan: LogicalPlan) -> LogicalPlan {
    below_projections(plan, |plan| match sort_that_is_kept(&plan) {
        Some(LogicalPlan::Sort(sort)) => without_sort(sort.input.as_ref().clone()),
        _ => plan,
    })
}

/// What stands below a node that keeps a sort and cuts nothing.
fn sort_that_is_kept(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    let limit = extension.node.as_any().downcast_ref::<BoundLimit>()?;
    (limit.skip.is_none() && limit.fetch.is_none()).then_some(&limit.input)
}

/// The physical plan of a bound logical plan.
pub async fn physical(plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Extensions)]);
    let plan = planner.create_physical_plan(plan, state).await?;
    let settle = |node: Arc<dyn ExecutionPlan>| match node
        .downcast_ref::<BoundLimitExec>()
        .and_then(BoundLimitExec::sort_only)
    {
        Some(sort) => Ok(Transformed::yes(sort)),
        None => guard_expressions(node),
    };
    hinted(plan.transform_up(settle).data()?)?.transform_up(pausing).data()
}

/// A node that makes many rows of few, which uses up the budget of its task and pauses as scans do. DataFusion has scans
/// pause alone: a join that multiplies rows keeps what is above it computing, also when the statement has been cancelled.
fn pausing(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let multiplies = node.is::<CrossJoinExec>()
        || node.is::<HashJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<RecursiveQueryExec>()
        || node.is::<UnnestExec>();
    Ok(if multiplies {
        Transformed::yes(Arc::new(CooperativeExec::new(node)))
    } else {
        Transformed::no(node)
    })
}

/// A node whose conditions and results evaluate what may fail only for the rows that need it.
fn guard_expressions(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let predicate = guarded_condition(filter.predicate(), &filter.input().schema())?;
        if &predicate != filter.predicate() {
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            return Ok(Transformed::yes(Arc::new(filter)));
        }
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let schema = projection.input().schema();
        let guard = |result: &ProjectionExpr| {
            Ok(ProjectionExpr::new(guarded(Arc::clone(&result.expr), &schema)?, result.alias.clone()))
        };
        let results = projection.expr().iter().map(guard).collect::<Result<Vec<_>>>()?;
        if results != projection.expr() {
            let projection = ProjectionExec::try_new(results, Arc::clone(projection.input()))?;
            return Ok(Transformed::yes(Arc::new(projection)));
        }
    }
    Ok(Transformed::no(plan))
}

/// Plans the logical nodes of this folder.
struct Extensions;

#[async_trait]
impl ExtensionPlanner for Extensions {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(lateral) = node.as_any().downcast_ref::<Lateral>() {
            let schema = lateral.outer().schema();
            let plan = |expr: &Expr| planner.create_physical_expr(expr, schema, session, planning);
            let arguments = lateral.arguments().iter().map(plan).collect::<Result<_>>()?;
            return Ok(Some(Arc::new(lateral.physical(Arc::clone(&physical_inputs[0]), arguments).await?)));
        }
        if let Some(once) = node.as_any().downcast_ref::<Once>() {
            return Ok(Some(Arc::new(once.physical()?)));
        }
        let Some(limit) = node.as_any().downcast_ref::<BoundLimit>() else { return Ok(None) };
        let plan = |expr: &Option<Expr>| match expr {
            Some(expr) => {
                planner.create_physical_expr(expr, limit.input.schema(), session, planning).map(Some)
            }
            None => Ok(None),
        };
        let (skip, fetch) = (plan(&limit.skip)?, plan(&limit.fetch)?);
        Ok(Some(Arc::new(BoundLimitExec::new(Arc::clone(&physical_inputs[0]), skip, fetch))))
    }
}

/// Whether a plan has such a node.
pub fn contains(plan: &Arc<dyn ExecutionPlan>, is_such: &dyn Fn(&Arc<dyn ExecutionPlan>) -> bool) -> bool {
    is_such(plan) || plan.children().into_iter().any(|child| contains(child, is_such))
}

/// What it takes to run a plan that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// Its nodes start afresh at each execution.
    AsItIs,
    /// Its nodes forget what they did when they are told to.
    Reset,
    /// It is planned again.
    Anew,
}

/// How a plan can be run again.
///
/// The lists are closed on purpose: hash joins keep their build side, sorts dynamic filters, scalar subqueries their
/// value, and rows of VALUES are computed while planning.
pub fn again(plan: &Arc<dyn ExecutionPlan>) -> Again {
    let node = plan.as_ref();
    let stateless = node.is::<ProjectionExec>()
        || node.is::<FilterExec>()
        || node.is::<GlobalLimitExec>()
        || node.is::<LocalLimitExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<UnionExec>()
        || node.is::<EmptyExec>()
        || node.is::<PlaceholderRowExec>()
        || node.is::<BoundLimitExec>()
        || node.is::<CooperativeExec>()
        || node.is::<SystemExec>()
        || node.is::<KeysExec>()
        || node.is::<ScanExec>()
        || node.is::<KnnScanExec>()
        || node.is::<LateralExec>();
    let forgetful = node.is::<SortExec>()
        || node.is::<AggregateExec>()
        || node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<UnnestExec>()
        || node.is::<OnceExec>();
    let own = match (stateless, forgetful) {
        (true, _) => Again::AsItIs,
        (_, true) => Again::Reset,
        _ => Again::Anew,
    };
    plan.children().into_iter().map(again).fold(own, Again::max)
}
