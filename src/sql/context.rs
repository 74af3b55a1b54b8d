//! Names in queries: tables by search_path, functions, types.
//!
//! DataFusion's SQL planner asks for every name it meets; here it finds the catalogue of the transaction. The tables
//! that were found are noted, because each needs a snapshot when the plan runs.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, TableType,
    WindowUDF,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast;

use crate::catalog::{Catalog, Oid, Relation, TEMPORARY_SCHEMA, Table, View};
use crate::error::{Error, SqlState};
use crate::functions::{framed, ranges, sampling};
use crate::planner::environment::Environment;
use crate::planner::operators::parameter;
use crate::planner::parameters::Compared;
use crate::planner::recursion::work_table;
use crate::planner::session_values;
use crate::planner::system::{SystemProvider, SystemTable};
use crate::sql::ddl::TEMPORARY_ALIAS;
use crate::sql::partitions;
use crate::sql::rewrite::called_function;
use crate::sql::routines;
use crate::sql::sample;
use crate::sql::shared::parse_name;
use crate::sql::staged::StagedTable;
use crate::sql::statement::Name;
use crate::sql::system::SequenceTable;
use crate::sql::system_columns;
use crate::sql::type_names;
use crate::table::provider::{SLOT_COLUMN, SystemColumns, TableSourceProvider};
use crate::types::arrow::errors::{external, from_datafusion};
use crate::types::arrow::plain_field;
use crate::types::{OwnRange, RangeType, Type};

/// What a statement is planned against.
pub struct PlanContext<'a> {
    pub environment: &'a Arc<Environment>,
    /// The transaction's, own DDL included.
    pub catalog: &'a Arc<Catalog>,
    /// Schemas in which unqualified names are looked for, after pg_catalog.
    pub search_path: &'a [String],
    pub database: &'a str,
    /// Types of `$1`, `$2`, ... as far as they are known; the rest is inferred.
    pub param_types: &'a [Option<Type>],
    /// Shows the planner what hidden columns hold, so that it uses the indexes on them.
    pub shapes: bool,
    /// Takes materialized views without data for empty ones: who only says what a query is, reads nothing.
    pub unpopulated: bool,
    /// Parts of the statement that have run before; their names come first.
    pub staged: &'a [Arc<StagedTable>],
}

impl<'a> PlanContext<'a> {
    /// The schema that `pg_temp` stands for, once there is one.
    pub fn temporary_schema(&self) -> Option<&'a str> {
        self.search_path.first().map(String::as_str).filter(|schema| schema.starts_with(TEMPORARY_SCHEMA))
    }
}

/// [`PlanContext`] as DataFusion's planner sees it.
pub struct Names<'a> {
    context: &'a PlanContext<'a>,
    tables: RefCell<Vec<Oid>>,
    /// Views and functions that are being expanded.
    depth: std::cell::Cell<usize>,
    /// The views among them. A query of WITH may be called as the view that it is in, and the planner looks for a relation
    /// of that name all the same.
    open: RefCell<Vec<Oid>>,
    compared: Arc<Compared>,
    /// `compared`, and the environment's behind it.
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl<'a> Names<'a> {
    pub fn new(context: &'a PlanContext<'a>) -> Names<'a> {
        let depth = std::cell::Cell::new(0);
        let compared = Arc::new(Compared::default());
        let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![compared.clone()];
        planners.extend(context.environment.state().expr_planners().iter().cloned());
        Names { context, tables: RefCell::default(), depth, open: RefCell::default(), compared, planners }
    }

    /// The parameters that were compared with something since the last call.
    pub fn compared_parameters(&self) -> BTreeMap<usize, Type> {
        self.compared.take()
    }

    /// The tables that were named, each once.
    pub fn tables(&self) -> Vec<Oid> {
        let mut tables = self.tables.borrow().clone();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    fn find(&self, name: &TableReference) -> crate::error::Result<Arc<dyn TableSource>> {
        if name.schema().is_none()
            && let Some(part) = self.context.staged.iter().find(|part| part.name == name.table())
        {
            part.check()?;
            let rows: Arc<dyn SystemTable> = part.clone();
            return Ok(provider_as_source(Arc::new(SystemProvider::new(rows))));
        }
        let system = system_columns::of_reference(name);
        if system != SystemColumns::None {
            let schema = match name.schema() {
                Some(TEMPORARY_ALIAS) => self.context.temporary_schema(),
                schema => schema,
            };
            let table = self.context.catalog.rows_named(schema.unwrap_or_default(), name.table());
            return table.map_or_else(|| Err(self.missing(name)), |table| self.source(table, system));
        }
        if let Some(database) = name.catalog().filter(|name| *name != self.context.database) {
            return Err(Error::unsupported(format!("a reference to another database (\"{database}\")")));
        }
        let found = match name.schema() {
            Some(TEMPORARY_ALIAS) => {
                self.context.temporary_schema().and_then(|schema| self.find_in(schema, name.table()))
            }
            Some(schema) => self.find_in(schema, name.table()),
            None => std::iter::once("pg_catalog")
                .chain(self.context.search_path.iter().map(String::as_str))
                .find_map(|schema| self.find_in(schema, name.table())),
        };
        found.unwrap_or_else(|| Err(self.missing(name)))
    }

    fn find_in(&self, schema: &str, table: &str) -> Option<crate::error::Result<Arc<dyn TableSource>>> {
        if let Some(stored) = crate::sql::system::stored(self.context.catalog, schema, table) {
            return Some(self.source(stored, SystemColumns::None));
        }
        if let Some(system) = self.context.environment.system().table(schema, table) {
            return Some(Ok(provider_as_source(Arc::new(SystemProvider::new(system)))));
        }
        if let Some(view) = self.context.catalog.view(schema, table) {
            return Some(self.expand(view));
        }
        if let Some(Relation::Sequence(sequence)) = self.context.catalog.relation(schema, table) {
            let rows: Arc<dyn SystemTable> = Arc::new(SequenceTable(sequence));
            return Some(Ok(provider_as_source(Arc::new(SystemProvider::new(rows)))));
        }
        let table = self.context.catalog.rows_named(schema, table)?;
        Some(self.source(table, SystemColumns::None))
    }

    /// A table, or the rows of its that are a partition.
    fn source(
        &self,
        table: &Arc<Table>,
        system: SystemColumns,
    ) -> crate::error::Result<Arc<dyn TableSource>> {
        let source = provider_as_source(Arc::new(self.provider(table, system)?));
        let Some(condition) = partitions::condition(table, &table.name)? else { return Ok(source) };
        let plan = LogicalPlanBuilder::scan(table.name.as_str(), source, None)
            .and_then(|builder| builder.filter(condition))
            .and_then(|builder| builder.build())
            .map_err(from_datafusion)?;
        Ok(Arc::new(ViewSource { schema: Arc::clone(plan.schema().inner()), plan }))
    }

    fn provider(
        &self,
        table: &Arc<Table>,
        system: SystemColumns,
    ) -> crate::error::Result<TableSourceProvider> {
        let is_unpopulated = table.materialized.as_ref().is_some_and(|materialized| !materialized.populated);
        if is_unpopulated && !self.context.unpopulated {
            let message = format!("materialized view \"{}\" has not been populated", table.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Use the REFRESH MATERIALIZED VIEW command."));
        }
        self.tables.borrow_mut().push(table.oid);
        let provider = TableSourceProvider::new(Arc::clone(self.context.catalog), Arc::clone(table), system);
        Ok(match self.context.shapes && !table.hidden.is_empty() {
            true => provider.with_shapes(crate::sql::shapes::of(table, self.context)),
            false => provider,
        })
    }

    /// A sampled table, as [`crate::sql::sample`] writes it.
    fn sample(&self, arguments: Vec<Expr>) -> crate::error::Result<Arc<dyn TableSource>> {
        let malformed = || Error::internal("a sample of another form");
        let text = |expr: &Expr| match expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text.clone()),
            _ => None,
        };
        let [schema, name, method, percent, repeatable, seed, number] = arguments.as_slice() else {
            return Err(malformed());
        };
        let (schema, name) = (text(schema).ok_or_else(malformed)?, text(name).ok_or_else(malformed)?);
        let path = self.context.search_path.iter().map(String::as_str);
        let found = match schema.as_str() {
            "" => {
                let mut found = std::iter::once("pg_catalog").chain(path);
                found.find(|schema| self.find_in(schema, &name).is_some()).map(str::to_owned)
            }
            TEMPORARY_ALIAS => self.context.search_path.first().cloned(),
            schema => Some(schema.to_owned()),
        };
        let table = found.as_deref().and_then(|schema| self.context.catalog.rows_named(schema, &name));
        let Some(table) = table else {
            let reference = match schema.as_str() {
                "" => TableReference::bare(name.clone()),
                schema => TableReference::partial(schema, name.clone()),
            };
            self.find(&reference)?;
            let found = found.unwrap_or_default();
            if self.context.catalog.view(&found, &name).is_some() {
                let message = "TABLESAMPLE clause can only be applied to tables and materialized views";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            return Err(Error::unsupported(format!("TABLESAMPLE of {name}")));
        };
        let provider = self.provider(table, SystemColumns::Slot)?;
        let columns: Vec<Expr> = table
            .columns
            .iter()
            .map(|column| Expr::Column(Column::new(Some(table.name.as_str()), &column.name)))
            .collect();
        let seed = match repeatable {
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => seed.clone(),
            _ => match session_values::by_function("statement_timestamp") {
                Some((name, value)) => parameter(name, &value.ty),
                None => return Err(malformed()),
            },
        };
        let slot = Expr::Column(Column::new(Some(table.name.as_str()), SLOT_COLUMN));
        let system =
            Expr::Literal(ScalarValue::Boolean(Some(text(method).as_deref() == Some("system"))), None);
        let arguments = vec![slot, system, percent.clone(), seed, number.clone()];
        let sampled = ScalarFunction::new_udf(sampling::function(), arguments);
        let source = provider_as_source(Arc::new(provider));
        let mut chosen = Expr::ScalarFunction(sampled);
        if let Some(condition) = partitions::condition(table, &table.name)? {
            chosen = condition.and(chosen);
        }
        let plan = LogicalPlanBuilder::scan(table.name.as_str(), source, None)
            .and_then(|builder| builder.filter(chosen))
            .and_then(|builder| builder.project(columns))
            .and_then(|builder| builder.build())
            .map_err(from_datafusion)?;
        Ok(Arc::new(ViewSource { schema: Arc::clone(plan.schema().inner()), plan }))
    }

    /// A view's query in the place of its name.
    fn expand(&self, view: &View) -> crate::error::Result<Arc<dyn TableSource>> {
        if self.depth.get() >= VIEWS_NESTED_MAX || self.open.borrow().contains(&view.oid) {
            let message = format!("infinite recursion detected in rules for relation \"{}\"", view.name);
            return Err(Error::new(SqlState("42P17"), message));
        }
        let context = PlanContext { param_types: &[], staged: &[], ..*self.context };
        let plan = self.inside(&context, |inner| {
            inner.open.borrow_mut().push(view.oid);
            crate::sql::query::view_plan(view, inner, &context)
        })?;
        Ok(Arc::new(ViewSource { schema: Arc::clone(plan.schema().inner()), plan }))
    }

    /// Plans what stands inside: the query of a view or of a function.
    pub fn inside(
        &self,
        context: &PlanContext,
        plan: impl FnOnce(&Names) -> crate::error::Result<LogicalPlan>,
    ) -> crate::error::Result<LogicalPlan> {
        let inner = Names::new(context);
        inner.depth.set(self.depth.get() + 1);
        inner.open.borrow_mut().clone_from(&self.open.borrow());
        let plan = plan(&inner)?;
        self.tables.borrow_mut().extend(inner.tables());
        Ok(plan)
    }

    /// The query of a SQL function in the place of its call.
    fn call(
        &self,
        function: Oid,
        listed: usize,
        arguments: Vec<Expr>,
    ) -> crate::error::Result<Arc<dyn TableSource>> {
        if self.depth.get() >= routines::NESTED_MAX {
            return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
        }
        let function = self.context.catalog.function_by_oid(function);
        let function = function.ok_or_else(|| Error::internal("a call of a function that is gone"))?;
        let plan = routines::source(function, arguments, listed, self.context, self)?;
        Ok(Arc::new(ViewSource { schema: Arc::clone(plan.schema().inner()), plan }))
    }

    fn missing(&self, name: &TableReference) -> Error {
        let shown = match name.schema() {
            Some(schema) => format!("{schema}.{}", name.table()),
            None => name.table().to_owned(),
        };
        Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"))
    }
}

impl Names<'_> {
    /// The function that makes ranges of a user's type, or sets of them. Those that are built in come first.
    fn maker(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let (catalog, path) = (self.context.catalog, self.context.search_path);
        if catalog.ranges().next().is_none()
            || self.context.environment.state().scalar_functions().contains_key(name)
        {
            return None;
        }
        // The planner writes names of several parts as one.
        let qualified = name.contains('.').then(|| parse_name(name).ok()).flatten();
        let (schemas, name) = match &qualified {
            Some(Name { schema: Some(schema), name, .. }) => (std::slice::from_ref(schema), name.as_str()),
            _ => (path, name),
        };
        let makes = |of: &OwnRange, schema: &str| {
            [&of.maker, &of.multirange_maker].iter().any(|maker| maker.schema == schema && maker.name == name)
        };
        let of =
            schemas.iter().find_map(|schema| catalog.ranges().find(|of| makes(&of.definition, schema)))?;
        let of = RangeType::Own(of.definition.clone());
        ranges::makers_of(&of).into_iter().find(|maker| maker.name() == name)
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.find(&name).map_err(external)
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let state = self.context.environment.state();
        let name = called_function(name);
        if name == sample::FUNCTION {
            return self.sample(args).map_err(external);
        }
        if let Some((function, listed)) = routines::called_by_name(name) {
            return self.call(function, listed, args).map_err(external);
        }
        let Some(function) = state.table_functions().get(name) else {
            return Err(external(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist"),
            )));
        };
        let simplify =
            SimplifyContext::builder().with_config_options(Arc::clone(state.config_options())).build();
        let simplifier = ExprSimplifier::new(simplify);
        let schema = DFSchema::empty();
        let constant = |arg: Expr| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg));
        let args = args.into_iter().map(constant).collect::<Result<Vec<_>>>()?;
        if args.iter().any(|arg| !matches!(arg, Expr::Literal(_, _))) {
            return Err(external(Error::unsupported(format!(
                "{name} with arguments that are not constants"
            ))));
        }
        let arguments = datafusion::catalog::TableFunctionArgs::new(&args, state);
        Ok(provider_as_source(function.create_table_provider_with_args(arguments)?))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, work_table(&schema)))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        let (catalog, search_path) = (Arc::clone(self.context.catalog), self.context.search_path.to_vec());
        Some(Arc::new(PostgresTypes { catalog, search_path }))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(carrier) = routines::argument_function(self.context.catalog, name) {
            return Some(carrier);
        }
        let state = self.context.environment.state();
        if let Some(maker) = self.maker(name) {
            return Some(maker);
        }
        // SqlToRel itself knows these.
        let is_known = matches!(name, "unnest" | "unnest_outer")
            || name.starts_with(framed::PREFIX)
            || state.aggregate_functions().contains_key(name)
            || state.window_functions().contains_key(name)
            || state.higher_order_functions().contains_key(name);
        let unknown = || (!is_known).then(|| crate::functions::unknown::function(name));
        state.scalar_functions().get(name).cloned().or_else(unknown)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.context.environment.state().higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.context.environment.state().aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        let state = self.context.environment.state();
        let aggregate = |name: &str| state.aggregate_functions().get(name).cloned();
        let framed = || framed::from_name(name, self.context.environment.zone(), aggregate);
        state.window_functions().get(name).cloned().or_else(framed)
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.context.environment.state().config_options()
    }

    // The lists are for suggestions in errors, which are worded differently here; they must not be empty.
    fn udf_names(&self) -> Vec<String> {
        vec!["now".to_owned()]
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        vec!["count".to_owned()]
    }

    fn udwf_names(&self) -> Vec<String> {
        vec!["rank".to_owned()]
    }
}

/// Views that read views that read views: deeper than people go.
const VIEWS_NESTED_MAX: usize = 100;

/// A view's plan, which the planner puts where the name stands.
#[derive(Debug)]
struct ViewSource {
    schema: SchemaRef,
    plan: LogicalPlan,
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

/// Type names in casts.
#[derive(Debug)]
struct PostgresTypes {
    /// Where types that users made are found, and those of extensions.
    catalog: Arc<Catalog>,
    search_path: Vec<String>,
}

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, name: &ast::DataType) -> Result<Option<FieldRef>, DataFusionError> {
        let ty = type_names::resolve_in(name, &self.catalog, &self.search_path).map_err(external)?;
        Ok(Some(Arc::new(plain_field("", &ty))))
    }
}
