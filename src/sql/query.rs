//! SELECT from tree to rows.
//!
//! ```text
//!   plan()     tree -> [rewrite] -> SqlToRel -> parameter types -> SqlToRel with them -> prepare -> optimise
//!              = Query, kept by the session's statement
//!   execute()  Query -> a finished plan from its pool, or a new one -> fill its bindings -> run
//! ```
//!
//! The second execution of a [`Query`] parses and plans nothing: it takes a finished plan out of the pool, fills the
//! plan's cell with parameters and snapshots, and puts it back when its stream ends. Plans that keep state between
//! executions are made anew from the optimised logical plan.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;

use crate::catalog::Oid;
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::planner::bindings::Execution;
use crate::planner::by_row;
use crate::planner::environment::Environment;
use crate::planner::grouping::of_columns;
use crate::planner::inline::inline;
use crate::planner::names;
use crate::planner::once;
use crate::planner::order;
use crate::planner::outer_aggregates;
use crate::planner::parameters::{parameter_fields, parameter_types};
use crate::planner::prepare::prepare;
use crate::planner::set_operations::counted;
use crate::planner::unnest::unnest;
use crate::sql::OutputColumn;
use crate::sql::context::Names;
use crate::sql::known::Known;
use crate::sql::missing_entries;
use crate::sql::plan_cache::{PlanPool, apart, here_at_first};
use crate::sql::rewrite;
use crate::sql::routines;
use crate::sql::system_columns;
use crate::sql::values;
use crate::sql::visit;
use crate::sql::whole_rows;
use crate::types::Type;
use crate::types::arrow::errors::from_datafusion;
use crate::types::arrow::{field, type_of, wire_type};

pub use crate::sql::context::PlanContext;

/// Rows as they leave a query.
pub type RowStream = BoxStream<'static, Result<arrow::array::RecordBatch>>;

/// A planned query; executed any number of times, by one statement at a time or several.
pub struct Query {
    pub param_types: Vec<Type>,
    pub columns: Arc<[OutputColumn]>,
    tables: Vec<Oid>,
    logical: LogicalPlan,
    /// As planned, before the optimiser.
    outputs: Arc<DFSchema>,
    environment: Arc<Environment>,
    pool: PlanPool,
}

/// Plans a query.
pub fn plan(query: &ast::Query, context: &PlanContext) -> Result<Query> {
    plan_for(query, context, &[])
}

/// Plans a query whose outputs are assigned to columns of `targets`, position by position: texts and parameters take
/// those types, everything else is cast as an assignment is. More outputs than targets stay as they are.
pub fn plan_for(query: &ast::Query, context: &PlanContext, targets: &[Type]) -> Result<Query> {
    refuse_parts(query)?;
    let expanded = expanded(query, context)?;
    let query = expanded.as_ref();
    let targets: Vec<Type> = targets.iter().map(without_length).collect();
    let targets = targets.as_slice();
    let planned = plan_some_way(query, context, targets);
    planned.map_err(|error| {
        missing_entries::told(system_columns::refused(error, query, &Known::new(context)), query)
    })
}

/// Plans a query, where that fails said in other words.
fn plan_some_way(query: &ast::Query, context: &PlanContext, targets: &[Type]) -> Result<Query> {
    match plan_named(query, context, targets, false) {
        // The planner called two outputs alike, which PostgreSQL lets stand side by side.
        Err(error) if error.message().starts_with("Projections require unique expression names") => {
            plan_named(query, context, targets, true).map_err(|again| {
                match again.message() == error.message() {
                    true => rewrite::ambiguous(error),
                    false => again,
                }
            })
        }
        planned => {
            in_other_words(planned, query, context, |query| plan_named(query, context, targets, false))
        }
    }
}

/// What was planned, or where that failed for what the query may mean, what is planned of the query in other words.
fn in_other_words<T>(
    planned: Result<T>,
    query: &ast::Query,
    context: &PlanContext,
    again: impl Fn(&ast::Query) -> Result<T>,
) -> Result<T> {
    match planned {
        // VALUES has its types from expressions of the same kind; a union settles what else there is.
        Err(error) if values::is_of_rows(&error) => {
            let mut selects = query.clone();
            match values::as_unions(&mut selects) {
                true => again(&selects).map_err(|_| error),
                false => Err(error),
            }
        }
        Err(error) if whole_rows::may_be_meant(&error) => {
            let mut rows = query.clone();
            match whole_rows::of_tables(&mut rows, Known::new(context)) {
                true => again(&rows),
                false => Err(error),
            }
        }
        planned => planned,
    }
}

/// The query with SQL functions inlined.
fn expanded<'q>(query: &'q ast::Query, context: &PlanContext) -> Result<Cow<'q, ast::Query>> {
    if context.catalog.functions().next().is_none() {
        return Ok(Cow::Borrowed(query));
    }
    let mut query = query.clone();
    routines::expand(&mut query, context)?;
    Ok(Cow::Owned(query))
}

fn plan_named(query: &ast::Query, context: &PlanContext, targets: &[Type], alias_all: bool) -> Result<Query> {
    let (query, names) = rewrite::query(query, alias_all, Known::new(context))?;
    let statement = ast::Statement::Query(Box::new(query));
    let resolver = Names::new(context);
    let (raw, param_types) = with_parameter_types(&statement, &resolver, context, targets)?;
    outer_aggregates::refuse(&raw).map_err(from_datafusion)?;
    let raw = of_columns(raw).and_then(counted).and_then(order::settle);
    let raw = raw.map_err(from_datafusion)?;
    let plan = prepare(raw, &param_types).and_then(unnest).and_then(inline).map_err(from_datafusion)?;
    let plan = once::settle(plan, param_types.len(), context.environment).map_err(from_datafusion)?;
    let plan = assign(plan, targets).map_err(from_datafusion)?;
    let columns = output_columns(&plan, names);
    let outputs = Arc::clone(plan.schema());
    let plan = to_wire_types(plan).map_err(from_datafusion)?;
    let logical = by_row::optimise(plan, param_types.len(), context.environment).map_err(from_datafusion)?;
    Ok(Query {
        param_types,
        columns: columns.into(),
        tables: resolver.tables(),
        logical,
        outputs,
        environment: Arc::clone(context.environment),
        pool: PlanPool::default(),
    })
}

/// What runs before a query does not belong into it: where it stood first, it was taken out (see [`crate::sql::staged`]).
fn refuse_parts(query: &ast::Query) -> Result<()> {
    use std::ops::ControlFlow::{Break, Continue};
    struct Parts;
    impl ast::Visitor for Parts {
        type Break = Error;
        fn pre_visit_query(&mut self, query: &ast::Query) -> std::ops::ControlFlow<Error> {
            use ast::SetExpr::{Delete, Insert, Merge, Update};
            if let Some(lock) = query.locks.first() {
                return Break(Error::unsupported(format!("{lock} in this subquery")));
            }
            if matches!(query.body.as_ref(), Insert(_) | Update(_) | Delete(_) | Merge(_)) {
                let message = "WITH clause containing a data-modifying statement must be at the top level";
                return Break(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            Continue(())
        }
    }
    match visit::walk(query, &mut Parts) {
        Break(error) => Err(error),
        Continue(()) => Ok(()),
    }
}

/// Lengths are checked when the value is stored: a cast would cut what is too long, an assignment refuses it.
fn without_length(ty: &Type) -> Type {
    match ty {
        Type::Varchar(_) | Type::Bpchar(_) => Type::Text,
        Type::Array(item) => Type::Array(Box::new(without_length(item))),
        other => other.clone(),
    }
}

/// Plans twice when the first pass found types of parameters: the second has them everywhere.
fn with_parameter_types(
    statement: &ast::Statement,
    resolver: &Names,
    context: &PlanContext,
    targets: &[Type],
) -> Result<(LogicalPlan, Vec<Type>)> {
    let mut given = context.param_types.to_vec();
    let first = loop {
        match to_relation(statement, resolver, &given) {
            Ok(plan) => break plan,
            Err(error) if !learn(&mut given, resolver.compared_parameters()) => return Err(error),
            // What it was compared with before tells what a parameter is where it could not be planned.
            Err(_) => {}
        }
    };
    let mut found = parameter_types(&first).map_err(from_datafusion)?;
    note_target_types(&first, targets, &mut found);
    let count = found.keys().last().copied().unwrap_or(0).max(given.len());
    let known = |number: usize| given.get(number - 1).cloned().flatten();
    let compared = resolver.compared_parameters();
    let inferred =
        |number: usize| found.get(&number).cloned().flatten().or_else(|| compared.get(&number).cloned());
    let types: Vec<Type> =
        (1..=count).map(|number| known(number).or_else(|| inferred(number)).unwrap_or(Type::Text)).collect();
    if count == 0 || given.len() == count && given.iter().all(Option::is_some) {
        return Ok((first, types));
    }
    let all: Vec<Option<Type>> = types.iter().cloned().map(Some).collect();
    Ok((to_relation(statement, resolver, &all)?, types))
}

/// Takes types of parameters that nobody declared. Whether there were any.
fn learn(given: &mut Vec<Option<Type>>, found: BTreeMap<usize, Type>) -> bool {
    let mut learnt = false;
    for (number, ty) in found.into_iter().filter(|(number, _)| *number > 0) {
        given.resize(given.len().max(number), None);
        let known = &mut given[number - 1];
        learnt |= known.is_none();
        known.get_or_insert(ty);
    }
    learnt
}

/// The plan of a stored query, with the view's columns; planned where a query names the view.
pub fn view_plan(
    view: &crate::catalog::View,
    resolver: &Names,
    context: &PlanContext,
) -> Result<LogicalPlan> {
    let parsed = crate::sql::dialect::parse(&view.query.sql)?.pop().map(|statement| statement.ast);
    let Some(crate::sql::statement::Ast::Query(query)) = parsed else {
        return Err(Error::internal(format!("view {} is no query", view.name)));
    };
    let plan = inner_plan(&query, resolver, context)?;
    let outputs = plan.schema().columns();
    let outputs = outputs.into_iter().zip(&view.columns);
    let outputs = outputs.map(|(output, column)| Expr::Column(output).alias(&column.name));
    let outputs: Vec<Expr> = outputs.collect();
    let plan = LogicalPlanBuilder::from(plan)
        .project(outputs)
        .and_then(|builder| builder.alias(names::of_view(view.oid)))
        .and_then(|builder| builder.build());
    plan.map_err(from_datafusion)
}

/// The plan of a query inside another, as the planner makes it: types are settled with the whole.
pub fn inner_plan(query: &ast::Query, resolver: &Names, context: &PlanContext) -> Result<LogicalPlan> {
    let query = expanded(query, context)?;
    let planned = |query: &ast::Query| {
        let (query, _) = rewrite::query(query, false, Known::new(context))?;
        to_relation(&ast::Statement::Query(Box::new(query)), resolver, context.param_types)
    };
    in_other_words(planned(&query), &query, context, planned)
}

fn to_relation(statement: &ast::Statement, resolver: &Names, types: &[Option<Type>]) -> Result<LogicalPlan> {
    let mut planner_context = PlannerContext::new().with_prepare_param_data_types(parameter_fields(types));
    SqlToRel::new(resolver)
        .sql_statement_to_plan_with_context(statement.clone(), &mut planner_context)
        .map_err(from_datafusion)
}

/// A parameter that is an output column of its own is of the type it is assigned to.
fn note_target_types(plan: &LogicalPlan, targets: &[Type], found: &mut BTreeMap<usize, Option<Type>>) {
    let rows: Vec<Vec<&Expr>> = match plan {
        LogicalPlan::Projection(projection) => vec![projection.expr.iter().collect()],
        LogicalPlan::Values(values) => values.values.iter().map(|row| row.iter().collect()).collect(),
        _ => return,
    };
    for row in rows {
        for (expr, target) in row.into_iter().zip(targets) {
            if let Expr::Placeholder(placeholder) = expr.clone().unalias()
                && let Ok(number) = placeholder.id.trim_start_matches('$').parse::<usize>()
            {
                let entry = found.entry(number).or_default();
                *entry = entry.take().or_else(|| Some(target.clone()));
            }
        }
    }
}

/// The plan with its outputs cast to the types of the columns they go to.
fn assign(plan: LogicalPlan, targets: &[Type]) -> datafusion::common::Result<LogicalPlan> {
    if targets.is_empty() {
        return Ok(plan);
    }
    let outputs = plan.schema().iter().enumerate().map(|(position, (qualifier, found))| {
        let column = Expr::Column((qualifier, found).into());
        match targets.get(position) {
            Some(target) if type_of(found) != *target => {
                let to = Arc::new(field("", target, true));
                Expr::Cast(datafusion::logical_expr::Cast::new_from_field(Box::new(column), to))
                    .alias_qualified(qualifier.cloned(), found.name())
            }
            _ => column,
        }
    });
    let outputs: Vec<Expr> = outputs.collect();
    LogicalPlanBuilder::from(plan).project(outputs)?.build()
}

/// Casts outputs of types that only exist inside plans (UInt64, Utf8View, ...) to the types the wire encodes.
fn to_wire_types(plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    if schema.fields().iter().all(|field| wire_type(field) == *field.data_type()) {
        return Ok(plan);
    }
    let outputs = schema.iter().map(|(qualifier, found)| {
        let column = Expr::Column((qualifier, found).into());
        let wanted = wire_type(found);
        if wanted == *found.data_type() {
            return column;
        }
        Expr::Cast(datafusion::logical_expr::Cast::new(Box::new(column), wanted))
            .alias_qualified(qualifier.cloned(), found.name())
    });
    let outputs: Vec<Expr> = outputs.collect();
    LogicalPlanBuilder::from(plan).project(outputs)?.build()
}

fn output_columns(plan: &LogicalPlan, names: Vec<Option<String>>) -> Vec<OutputColumn> {
    let schema: &DFSchema = plan.schema();
    let origins = crate::planner::origin::output_origins(plan);
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(position, found)| {
            let name = rewrite::output_name(&names, position, schema.fields().len());
            let (table_oid, attnum) = origins.get(position).copied().flatten().unwrap_or_default();
            OutputColumn {
                name: name.unwrap_or_else(|| shown_name(schema, position)),
                ty: type_of(found),
                table_oid,
                attnum,
            }
        })
        .collect()
}

/// The name of an output that `*` brought. The planner calls the second of two columns alike `name:1`.
fn shown_name(schema: &DFSchema, position: usize) -> String {
    let name = names::shown(schema.field(position).name());
    let before = || schema.fields().iter().take(position).map(|field| names::shown(field.name()));
    match name.rsplit_once(':') {
        Some((bare, number)) if number.parse::<u32>().is_ok() && before().any(|known| known == bare) => {
            bare.to_owned()
        }
        _ => name.to_owned(),
    }
}

impl Query {
    /// The tables an [`Execution`] must bring snapshots of.
    pub fn tables(&self) -> &[Oid] {
        &self.tables
    }

    /// Runs it, on `workers` if it may take long. Errors while rows are made come through the stream.
    pub async fn execute(&self, execution: Execution, workers: Option<&Handle>) -> Result<RowStream> {
        if execution.params.len() < self.param_types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement requires {}",
                execution.params.len(),
                self.param_types.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        let cancel = Arc::clone(&execution.cancel);
        let execution = Arc::new(execution);
        let plan = self.pool.check_out(&self.logical, &self.environment, &execution).await?;
        let stream = plan.start(execution, self.environment.task())?;
        let (long, light) = (stream.may_be_long(), stream.is_light());
        let rows = stream.map(move |batch| check(batch, &cancel)).boxed();
        Ok(match workers {
            Some(workers) if long && light => here_at_first(rows, workers),
            Some(workers) if long => apart(rows, workers),
            _ => rows,
        })
    }

    /// What EXPLAIN shows; with `analyze` it runs first.
    pub async fn explain(
        &self,
        execution: Option<Execution>,
        options: ExplainOptions,
    ) -> Result<Explanation> {
        crate::planner::explain::explain(&self.logical, &self.environment, execution, options).await
    }

    /// Per output the relation it is of, by alias, and its name there.
    pub fn qualified_outputs(&self) -> Vec<(Option<String>, String)> {
        let schema = self.outputs.iter();
        schema
            .map(|(qualifier, field)| (qualifier.map(|q| q.table().to_owned()), field.name().clone()))
            .collect()
    }

    /// Whether it aggregates somewhere.
    pub fn aggregates(&self) -> bool {
        let is_aggregate = |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::Aggregate(_)));
        self.logical.exists(is_aggregate).unwrap_or(false)
    }

    /// Of its batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.logical.schema().inner())
    }

    /// The optimised plan.
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.logical
    }

    /// How many finished plans wait to be run again; for tests and views.
    pub fn finished_plans(&self) -> usize {
        self.pool.len()
    }
}

pub use crate::planner::explain::{ExplainOptions, Explanation};

fn check(
    batch: datafusion::common::Result<arrow::array::RecordBatch>,
    cancel: &std::sync::atomic::AtomicBool,
) -> Result<arrow::array::RecordBatch> {
    check_cancel(cancel)?;
    batch.map_err(from_datafusion)
}
