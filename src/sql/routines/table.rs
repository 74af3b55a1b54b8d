//! A call in FROM as a plan: the function's query, with arguments in the places of parameters.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, ident, lit};

use crate::catalog::{Catalog, Function, Returns, ViewColumn};
use crate::error::{Error, Result, SqlState};
use crate::planner::argument;
use crate::planner::session_values::VOID;
use crate::sql::context::{Names, PlanContext};
use crate::sql::dml::insert::is_literal_output;
use crate::sql::query;
use crate::sql::routines::body;
use crate::sql::routines::expand::path;
use crate::types::Type;
use crate::types::arrow::errors::from_datafusion;
use crate::types::arrow::{field, type_of};
use crate::types::cast::{Context, context as cast_context};

/// The plan of a call; `depth` is how many views and functions stand around it. Notes the tables it reads in `names`.
pub fn source(
    function: &Function,
    arguments: Vec<Expr>,
    context: &PlanContext,
    names: &Names,
) -> Result<LogicalPlan> {
    let types: Vec<Option<Type>> = function.argument_types().into_iter().map(Some).collect();
    let path = path(function, context);
    let inside = PlanContext { search_path: &path, param_types: &types, staged: &[], ..*context };
    let query = body::query(function, context.catalog, &path)?;
    let plan = names.inside(&inside, |inner| query::inner_plan(&query, inner, &inside))?;
    let columns = columns_of(function, context.catalog)?;
    let is_void = function.returns == Returns::Scalar(Type::Void);
    if !is_void && plan.schema().fields().len() != columns.len() {
        return Err(mismatch(function, "Final statement returns another number of columns."));
    }
    let typed = arguments.into_iter().enumerate().map(|(position, argument)| {
        let types = function.argument_types();
        let carrier = argument::function(types[position].clone(), &function.name, types, position);
        Expr::ScalarFunction(ScalarFunction::new_udf(carrier, vec![argument]))
    });
    let typed: Vec<Expr> = typed.collect();
    let plan = match is_void {
        true => run_for_nothing(plan, function, context)?,
        false => with_columns(plan, &columns)?,
    };
    let plan = bound(plan, &typed).map_err(from_datafusion)?;
    finished(plan, function, typed).map_err(from_datafusion)
}

/// The query of a function that returns void: all its rows are computed, and none is shown.
fn run_for_nothing(plan: LogicalPlan, function: &Function, context: &PlanContext) -> Result<LogicalPlan> {
    let functions = context.environment.state().scalar_functions();
    let void = functions.get(VOID).ok_or_else(|| Error::internal(format!("there is no function {VOID}")))?;
    let call = |arguments| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(void), arguments));
    let outputs = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let rows = count(call(outputs)).alias("rows");
    LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), vec![rows])
        .and_then(|builder| builder.project(vec![call(vec![ident("rows")]).alias(&function.name)]))
        .and_then(|builder| builder.build())
        .map_err(from_datafusion)
}

/// The outputs under the function's names, as its types.
fn with_columns(plan: LogicalPlan, columns: &[ViewColumn]) -> Result<LogicalPlan> {
    let outputs = plan.schema().iter().zip(columns).map(|((qualifier, found), column)| {
        let output = Expr::Column((qualifier, found).into());
        let output = match type_of(found).bare() == column.ty.bare() {
            true => output,
            false => {
                let to = Arc::new(field("", &column.ty, true));
                Expr::Cast(Cast::new_from_field(Box::new(output), to))
            }
        };
        output.alias(&column.name)
    });
    let outputs: Vec<Expr> = outputs.collect();
    LogicalPlanBuilder::from(plan)
        .project(outputs)
        .and_then(|builder| builder.build())
        .map_err(from_datafusion)
}

/// The plan with arguments in the places of `$1`, `$2`, ...
fn bound(plan: LogicalPlan, arguments: &[Expr]) -> datafusion::common::Result<LogicalPlan> {
    let mut uses = vec![0; arguments.len()];
    let plan = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|part| {
                let Expr::Placeholder(placeholder) = &part else { return Ok(Transformed::no(part)) };
                let number = placeholder.id.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                Ok(match arguments.get(number.wrapping_sub(1)) {
                    Some(argument) => {
                        uses[number - 1] += 1;
                        Transformed::yes(argument.clone())
                    }
                    None => Transformed::no(part),
                })
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    })?;
    match arguments.iter().zip(&uses).any(|(argument, &uses)| uses > 1 && argument.is_volatile()) {
        true => Err(crate::types::arrow::errors::external(Error::unsupported(
            "a volatile argument that a SQL function uses more than once",
        ))),
        false => Ok(plan.data),
    }
}

/// STRICT, and the one row of a function that returns one.
fn finished(
    plan: LogicalPlan,
    function: &Function,
    arguments: Vec<Expr>,
) -> datafusion::common::Result<LogicalPlan> {
    let mut builder = LogicalPlanBuilder::from(plan);
    if !function.returns_set() {
        builder = builder.limit(0, Some(1))?;
    }
    let given = arguments.into_iter().map(Expr::is_not_null).reduce(Expr::and);
    if let Some(given) = given.filter(|_| function.strict) {
        builder = builder.filter(given)?;
    }
    if function.one_row {
        // Of no row, one of NULLs.
        let rows = builder.build()?;
        let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        builder =
            LogicalPlanBuilder::empty(true).join_on(rows, JoinType::Left, [lit(true)])?.project(columns)?;
    }
    builder.build()
}

/// The columns of the rows a function returns.
pub fn columns_of(function: &Function, catalog: &Catalog) -> Result<Vec<ViewColumn>> {
    Ok(match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => {
            vec![ViewColumn { name: function.name.clone(), ty: ty.clone() }]
        }
        Returns::Table(columns) => columns.clone(),
        Returns::SetOfRows(oid) => match catalog.table_by_oid(*oid) {
            Some(table) => {
                let column = |column: &crate::catalog::Column| ViewColumn {
                    name: column.name.clone(),
                    ty: column.ty.bare(),
                };
                table.columns.iter().map(column).collect()
            }
            None => {
                let message = format!("the table whose rows function {} returns is gone", function.name);
                return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
            }
        },
    })
}

/// Whether the body is a query that yields what the function returns: 42P13, or what is wrong with the query.
pub fn check(function: &Function, context: &PlanContext) -> Result<()> {
    let types: Vec<Option<Type>> = function.argument_types().into_iter().map(Some).collect();
    let path = path(function, context);
    let inside = PlanContext { search_path: &path, param_types: &types, ..*context };
    let query = body::query(function, context.catalog, &path)?;
    let planned = query::plan(&query, &inside)?;
    if let Some(extra) = planned.param_types.get(function.arguments.len()) {
        let number = function.arguments.len() + 1;
        log::debug!("parameter {number} of type {extra} is none of the function");
        return Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}")));
    }
    if function.returns == Returns::Scalar(Type::Void) {
        return Ok(());
    }
    let columns = columns_of(function, context.catalog)?;
    let found = &planned.columns;
    if found.len() != columns.len() {
        let which = if found.len() < columns.len() { "few" } else { "many" };
        let detail = match function.returns {
            Returns::Scalar(_) | Returns::SetOf(_) => {
                "Final statement must return exactly one column.".into()
            }
            _ => format!("Final statement returns too {which} columns."),
        };
        return Err(mismatch(function, &detail));
    }
    for (position, (found, column)) in found.iter().zip(&columns).enumerate() {
        let fits =
            matches!(cast_context(&found.ty, &column.ty), Some(Context::Implicit | Context::Assignment));
        if !fits && !is_literal_output(&query, position) {
            let (given, wanted) = (found.ty.bare(), column.ty.bare());
            let detail = match function.returns {
                Returns::Scalar(_) | Returns::SetOf(_) => format!("Actual return type is {given}."),
                _ => {
                    format!("Final statement returns {given} instead of {wanted} at column {}.", position + 1)
                }
            };
            return Err(mismatch(function, &detail));
        }
    }
    // With the types it is going to be cast to.
    let targets: Vec<Type> = columns.iter().map(|column| column.ty.clone()).collect();
    query::plan_for(&query, &inside, &targets).map(drop)
}

fn mismatch(function: &Function, detail: &str) -> Error {
    let returns = match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => ty.to_string(),
        Returns::Table(_) => "record".to_owned(),
        Returns::SetOfRows(_) => "a table's rows".to_owned(),
    };
    let message = format!("return type mismatch in function declared to return {returns}");
    Error::new(SqlState("42P13"), message).detail(detail.to_owned())
}
