//! Planning a statement, and running what was planned.
//!
//! A plan belongs to a catalogue, a search_path, a time zone and a style of intervals; when one has changed by the time of an execution, the statement
//! is planned again, and answers 0A000 if its columns are then different ones.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use parking_lot::Mutex;

use crate::catalog::{Catalog, Oid};
use crate::error::{Error, Result, SqlState};
use crate::index::Probes;
use crate::planner::bindings::{Execution, SearchSettings};
use crate::planner::environment::Environment;
use crate::sql::arguments;
use crate::sql::cancel::CancelFlag;
use crate::sql::cancel::Timer;
use crate::sql::context::PlanContext;
use crate::sql::dml::change::ChangePlan;
use crate::sql::dml::insert::InsertPlan;
use crate::sql::dml::merge::MergePlan;
use crate::sql::dml::through_view;
use crate::sql::expressions::{output_schema, record_batch};
use crate::sql::locking::LockingPlan;
use crate::sql::parameters;
use crate::sql::query::{self, ExplainOptions, Query};
use crate::sql::response::{Response, Rows, RowsTag};
use crate::sql::session::{Declared, OutputColumn, Planned, Prepared, Session};
use crate::sql::settings::id;
use crate::sql::staged::{self, StagedPlan, View};
use crate::sql::statement::{Ast, Statement};
use crate::sql::timings::Spent;
use crate::sql::transactions::now;
use crate::types::arrow as arrow_types;
use crate::types::{Look, Type, Value};

/// What was planned.
#[derive(Clone)]
pub enum Plan {
    Query(Arc<Query>),
    Locking(Arc<LockingPlan>),
    Insert(Arc<InsertPlan>),
    Update(Arc<ChangePlan>),
    Delete(Arc<ChangePlan>),
    Merge(Arc<MergePlan>),
    Staged(Arc<StagedPlan>),
    /// Of a statement of its own, with these options.
    Explain(Arc<Plan>, ExplainOptions),
    /// Nothing to plan.
    Utility,
}

impl Plan {
    /// The tables whose rows it changes, in order of oid.
    fn written_tables(&self) -> Vec<Oid> {
        match self {
            Plan::Insert(insert) => vec![insert.table.oid],
            Plan::Update(change) | Plan::Delete(change) => vec![change.table.oid],
            Plan::Merge(merge) => vec![merge.table.oid],
            Plan::Staged(staged) => {
                let mut tables: Vec<Oid> = staged.plans().flat_map(Plan::written_tables).collect();
                tables.sort_unstable();
                tables.dedup();
                tables
            }
            _ => Vec::new(),
        }
    }

    /// The tables whose rows its queries read.
    pub fn tables_read(&self) -> Vec<Oid> {
        match self {
            Plan::Query(query) => query.tables().to_vec(),
            Plan::Locking(locking) => locking.tables_read().to_vec(),
            Plan::Insert(insert) => {
                insert.queries().flat_map(|query| query.tables().iter().copied()).collect()
            }
            Plan::Update(change) | Plan::Delete(change) => change.query.tables().to_vec(),
            Plan::Merge(merge) => merge.query.tables().to_vec(),
            _ => Vec::new(),
        }
    }
}

/// A plan with what the client is told of it.
pub struct Made {
    pub plan: Plan,
    pub param_types: Vec<Type>,
    pub columns: Option<Arc<[OutputColumn]>>,
}

impl Planned {
    fn is_of(&self, catalog: &Arc<Catalog>, search_path: &str, look: Look) -> bool {
        Arc::ptr_eq(&self.catalog, catalog) && *self.search_path == *search_path && self.look == look
    }
}

impl Session {
    /// Plans a statement.
    pub(crate) fn plan(
        &mut self,
        statement: Option<Statement>,
        declared: Declared<'_>,
    ) -> Result<Arc<Prepared>> {
        self.check_not_failed(statement.as_ref().map(|statement| &statement.ast))?;
        let started = Instant::now();
        let catalog = self.shared.current_catalog();
        let search_path = self.search_path();
        let look = self.shared.look();
        if let Some(statement) = &statement {
            self.shared.refuse_only(&catalog, &statement.only)?;
        }
        let made = match &statement {
            Some(statement) => self.make(&statement.ast, &catalog, declared.types)?,
            None => Made { plan: Plan::Utility, param_types: Vec::new(), columns: None },
        };
        let Made { plan, param_types, columns } = made;
        let mut param_domains = BTreeMap::new();
        if let Some(statement) = statement.as_ref().filter(|_| !param_types.is_empty()) {
            parameters::check_named(statement.text(), declared.types, param_types.len())?;
            if catalog.domains().next().is_some() {
                let path = self.shared.schemas(&catalog);
                param_domains = parameters::domains_of(&statement.ast, &catalog, &path);
            }
            param_domains.retain(|number, _| declared.types.get(number - 1).is_none_or(Option::is_none));
            param_domains.extend(declared.domains.iter().copied());
        }
        let parse = std::mem::take(&mut self.parse_time);
        let making = Mutex::new(Spent { parse, plan: started.elapsed(), ..Spent::default() });
        let plan = Mutex::new(Planned { plan, catalog, search_path, look });
        Ok(Arc::new(Prepared {
            param_types,
            param_domains,
            columns,
            statement,
            plan,
            again: Mutex::default(),
            making,
            executions: AtomicI64::new(0),
        }))
    }

    /// What a statement of this session is planned against.
    pub(crate) fn plan_context<'a>(
        &'a self,
        environment: &'a Arc<Environment>,
        catalog: &'a Arc<Catalog>,
        schemas: &'a [String],
    ) -> PlanContext<'a> {
        PlanContext {
            environment,
            catalog,
            search_path: schemas,
            database: &self.shared.database,
            param_types: &[],
            shapes: true,
            unpopulated: false,
            staged: &[],
        }
    }

    pub(super) fn make(&self, ast: &Ast, catalog: &Arc<Catalog>, declared: &[Option<Type>]) -> Result<Made> {
        let staged = staged::at_one_moment(ast);
        let ast = staged.as_ref().unwrap_or(ast);
        let schemas = self.shared.schemas(catalog);
        let environment = self.shared.environment();
        let context =
            PlanContext { param_types: declared, ..self.plan_context(&environment, catalog, &schemas) };
        match ast {
            Ast::Staged(staged) => self.make_staged(staged, &context),
            Ast::Explain(explain) => self.make_explain(explain, catalog, declared),
            Ast::Execute { name, .. } => {
                let columns = self.saved_statement(name)?.columns.clone();
                Ok(Made { plan: Plan::Utility, param_types: Vec::new(), columns })
            }
            // The parameters are known when the cursor is declared; the query is planned again with them.
            Ast::Declare { query, .. } if arguments::has_parameters(query) => {
                let param_types = query::plan(query, &context)?.param_types;
                Ok(Made { plan: Plan::Utility, param_types, columns: None })
            }
            ast => self.make_one(ast, &context),
        }
    }

    /// Plans a statement that is in one part.
    pub(crate) fn make_one(&self, ast: &Ast, context: &PlanContext) -> Result<Made> {
        match ast {
            Ast::Query(query) => {
                if !query.locks.is_empty() {
                    let plan = Arc::new(LockingPlan::new(query, context, &self.shared)?);
                    return Ok(Made {
                        param_types: plan.param_types.clone(),
                        columns: Some(plan.columns.clone()),
                        plan: Plan::Locking(plan),
                    });
                }
                let query = Arc::new(query::plan(query, context)?);
                Ok(Made {
                    param_types: query.param_types.clone(),
                    columns: Some(query.columns.clone()),
                    plan: Plan::Query(query),
                })
            }
            Ast::Insert(insert, overriding) => {
                let through = through_view::insert(insert, context, &self.shared)?;
                let (insert, defaults) = match &through {
                    Some((insert, defaults)) => (insert, defaults.as_slice()),
                    None => (&**insert, &[][..]),
                };
                let plan = Arc::new(InsertPlan::new(insert, *overriding, defaults, context, &self.shared)?);
                Ok(Made {
                    param_types: plan.param_types.clone(),
                    columns: plan.returning_columns(),
                    plan: Plan::Insert(plan),
                })
            }
            Ast::Update(update) => {
                let plan = Arc::new(ChangePlan::update(update, context, &self.shared)?);
                Ok(Made {
                    param_types: plan.param_types.clone(),
                    columns: plan.returning_columns(),
                    plan: Plan::Update(plan),
                })
            }
            Ast::Delete(delete) => {
                let plan = Arc::new(ChangePlan::delete(delete, context, &self.shared)?);
                Ok(Made {
                    param_types: plan.param_types.clone(),
                    columns: plan.returning_columns(),
                    plan: Plan::Delete(plan),
                })
            }
            Ast::Merge(merge) => {
                let plan = Arc::new(MergePlan::new(merge, context, &self.shared)?);
                Ok(Made {
                    param_types: plan.param_types.clone(),
                    columns: plan.returning_columns(),
                    plan: Plan::Merge(plan),
                })
            }
            other => {
                let columns = self.utility_columns(other);
                Ok(Made { plan: Plan::Utility, param_types: Vec::new(), columns })
            }
        }
    }

    /// Runs a planned statement.
    pub(crate) async fn execute_planned(
        &mut self,
        prepared: &Arc<Prepared>,
        params: Vec<Value>,
        timer: Option<Timer>,
    ) -> Result<Response> {
        self.start_statement()?;
        check_count(prepared, &params)?;
        let plan = self.plan_to_run(prepared).await?;
        prepared.executions.fetch_add(1, Ordering::Relaxed);
        match plan {
            Plan::Staged(staged) => self.run_staged(&staged, &params, timer).await,
            Plan::Explain(plan, options) => self.explain(prepared, &plan, options, params).await,
            plan => self.run_plan(&plan, &params, timer).await,
        }
    }

    /// Runs the plan of a statement that is in one part.
    pub(crate) async fn run_plan(
        &mut self,
        plan: &Plan,
        params: &[Value],
        timer: Option<Timer>,
    ) -> Result<Response> {
        match plan {
            Plan::Query(query) => {
                let stream = self.query_stream(query, params).await?;
                let mut rows = Rows::new(query.columns.clone(), stream, RowsTag::Select);
                rows.set_timer(timer);
                Ok(Response::Rows(rows))
            }
            Plan::Locking(locking) => self.select_locking(locking, params).await,
            Plan::Insert(insert) => self.insert(insert, params).await,
            Plan::Update(change) => self.update(change, params).await,
            Plan::Delete(change) => self.delete(change, params).await,
            Plan::Merge(merge) => self.merge(merge, params).await,
            Plan::Staged(_) | Plan::Explain(..) | Plan::Utility => {
                Err(Error::internal("a statement without a plan was executed as one with"))
            }
        }
    }

    /// The plan, with the definitions of the tables it writes held as they were planned.
    pub(super) async fn plan_to_run(&mut self, prepared: &Prepared) -> Result<Plan> {
        let mut held = Vec::new();
        loop {
            let plan = self.fresh_plan(prepared)?;
            let written = plan.written_tables();
            if written == held {
                return Ok(plan);
            }
            for &table in &written {
                // Whoever was changing it is waited for, and the plan is looked at again.
                self.retry(|transaction| transaction.share_table(table)).await?;
            }
            held = written;
        }
    }

    /// Whether a plan is still one of the session's catalogue and settings.
    pub(super) fn fits(&self, prepared: &Prepared) -> bool {
        let planned = prepared.plan.lock().clone();
        planned.is_of(&self.shared.current_catalog(), &self.search_path(), self.shared.look())
    }

    fn search_path(&self) -> Arc<str> {
        self.shared.settings.lock().text(id::SEARCH_PATH)
    }

    /// The plan, made again if it no longer fits.
    fn fresh_plan(&self, prepared: &Prepared) -> Result<Plan> {
        let planned = prepared.plan.lock().clone();
        let (catalog, search_path, look) =
            (self.shared.current_catalog(), self.search_path(), self.shared.look());
        if planned.is_of(&catalog, &search_path, look) {
            return Ok(planned.plan);
        }
        let Some(statement) = &prepared.statement else { return Ok(planned.plan) };
        let started = Instant::now();
        let types: Vec<Option<Type>> = prepared.param_types.iter().cloned().map(Some).collect();
        let made = self.make(&statement.ast, &catalog, &types)?;
        if !same_types(&made.columns, &prepared.columns) {
            // pgjdbc and asyncpg know by the routine that preparing anew helps.
            let message = "cached plan must not change result type";
            let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
            return Err(error.routine("RevalidateCachedQuery"));
        }
        *prepared.plan.lock() = Planned { plan: made.plan.clone(), catalog, search_path, look };
        prepared.making.lock().plan += started.elapsed();
        Ok(made.plan)
    }

    /// The rows of a query of this statement.
    pub(crate) async fn query_stream(
        &self,
        query: &Arc<Query>,
        params: &[Value],
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        self.query_stream_with(query, params, []).await
    }

    /// The same for a query that also reads tables of these rows, behind those of the parts before it.
    pub(crate) async fn query_stream_with(
        &self,
        query: &Arc<Query>,
        params: &[Value],
        given: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut execution = self.execution(query.tables(), params, &query.param_types)?;
        execution.staged.extend(given);
        let workers = self.shared.engine.workers();
        let stream = query.execute(execution, workers.as_ref()).await?;
        let guarded = Guarded { stream, cancel: self.cancel.clone(), cancelled: None, _query: query.clone() };
        // Cursors and portals ask again after the end, which the planner's streams do not take.
        Ok(guarded.fuse().boxed())
    }

    /// What an execution of this statement is given.
    pub(crate) fn execution(&self, tables: &[Oid], params: &[Value], types: &[Type]) -> Result<Execution> {
        let scalars = params.iter().zip(types).map(|(value, ty)| crate::types::arrow::to_scalar(value, ty));
        let params = scalars.collect::<Result<Vec<_>>>()?;
        let view = self.state.view.as_ref();
        let snapshots = tables.iter().map(|&table| {
            let snapshot = match view.and_then(|view| view.pinned(table)) {
                Some(pinned) => pinned,
                None => Arc::new(self.shared.with_transaction(|transaction| transaction.snapshot(table))?),
            };
            Ok((table, snapshot))
        });
        let snapshots = snapshots.collect::<Result<_>>()?;
        let reads = self.shared.transaction.lock().as_ref().and_then(|open| open.reads().cloned());
        Ok(Execution {
            params,
            snapshots,
            transaction_time: self.state.started_at,
            statement_time: now(),
            zone: self.shared.zone(),
            settings: self.search_settings(),
            staged: view.map(View::results).unwrap_or_default(),
            session: self.shared.clone(),
            cancel: Arc::<AtomicBool>::clone(self.cancel.raised()),
            reads,
            once: Arc::default(),
            outer: None,
        })
    }

    fn search_settings(&self) -> SearchSettings {
        let settings = self.shared.settings.lock();
        let count = |id| usize::try_from(settings.int(id)).unwrap_or(usize::MAX);
        let probes = u32::try_from(settings.int(id::PROBES)).unwrap_or(u32::MAX);
        let most = match &*settings.text(id::ITERATIVE_SCAN) == "off" {
            true => probes,
            false => u32::try_from(settings.int(id::MAX_PROBES)).unwrap_or(u32::MAX),
        };
        SearchSettings {
            probes: Probes { first: probes, most },
            ef_search: count(id::EF_SEARCH),
            max_scan_tuples: count(id::MAX_SCAN_TUPLES),
            enable_indexscan: settings.bool(id::ENABLE_INDEXSCAN),
            enable_seqscan: settings.bool(id::ENABLE_SEQSCAN),
            require_exact: settings.bool(id::REQUIRE_EXACT),
            recall_target: settings.real(id::RECALL_TARGET),
            recall_audit: settings.real(id::RECALL_AUDIT),
            measure_recall: false,
        }
    }
}

fn check_count(prepared: &Prepared, params: &[Value]) -> Result<()> {
    let (given, needed) = (params.len(), prepared.param_types.len());
    if given == needed {
        return Ok(());
    }
    let message =
        format!("bind message supplies {given} parameters, but prepared statement requires {needed}");
    Err(Error::new(SqlState::PROTOCOL_VIOLATION, message))
}

fn same_types(left: &Option<Arc<[OutputColumn]>>, right: &Option<Arc<[OutputColumn]>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(l, r)| l.ty == r.ty && l.name == r.name)
        }
        (None, None) => true,
        _ => false,
    }
}

/// Rows of text cells, for statements that tell rather than query.
pub(crate) fn text_rows(
    columns: Arc<[OutputColumn]>,
    rows: Vec<Vec<Option<String>>>,
    tag: &str,
) -> Result<Response> {
    let schema = output_schema(&columns);
    let value = |ty: &Type, cell: Option<&Option<String>>| match cell.cloned().flatten() {
        None => Value::Null,
        Some(text) if *ty == Type::Json => Value::Json(text),
        Some(text) => Value::Text(text),
    };
    let arrays = columns.iter().enumerate().map(|(position, column)| {
        let cells: Vec<Value> = rows.iter().map(|row| value(&column.ty, row.get(position))).collect();
        arrow_types::array(&column.ty, cells.iter())
    });
    let batch = record_batch(schema, arrays.collect::<Result<_>>()?, rows.len())?;
    let stream = stream::iter([Ok(batch)]).boxed();
    Ok(Response::Rows(Rows::new(columns, stream, RowsTag::Fixed(tag.into()))))
}

/// A row stream that ends when the statement is cancelled or out of time, with that reason's error.
struct Guarded {
    stream: BoxStream<'static, Result<RecordBatch>>,
    cancel: Arc<CancelFlag>,
    /// Wakes whoever waits for a row when the statement is cancelled; made at the first wait.
    cancelled: Option<BoxFuture<'static, ()>>,
    /// Keeps its plans.
    _query: Arc<Query>,
}

impl Stream for Guarded {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.cancel.is_raised() {
            return Poll::Ready(Some(Err(self.cancel.error())));
        }
        match self.stream.as_mut().poll_next(context) {
            Poll::Ready(Some(Err(error))) if error.state() == SqlState::QUERY_CANCELED => {
                Poll::Ready(Some(Err(self.cancel.error())))
            }
            Poll::Pending => {
                let cancel = self.cancel.clone();
                let cancelled =
                    self.cancelled.get_or_insert_with(|| async move { cancel.wait().await }.boxed());
                ready!(cancelled.poll_unpin(context));
                Poll::Ready(Some(Err(self.cancel.error())))
            }
            next => next,
        }
    }
}
