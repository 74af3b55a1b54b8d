//! A call in FROM as a plan: the function's query, with arguments in the places of parameters.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, JoinType, LogicalPlan, LogicalPlanBuilder, ident, lit,
};
use datafusion::sql::sqlparser::ast::{self, SetExpr};

use crate::catalog::{Catalog, Function, Returns, ViewColumn};
use crate::error::{Error, Result, SqlState};
use crate::planner::argument;
use crate::planner::session_values::VOID;
use crate::sql::context::{Names, PlanContext};
use crate::sql::dml::insert::is_literal_output;
use crate::sql::query;
use crate::sql::routines::body;
use crate::sql::routines::expand::path;
use crate::sql::trees::computed;
use crate::types::Type;
use crate::types::arrow::errors::from_datafusion;
use crate::types::arrow::{field, type_of};
use crate::types::cast::{Context, context as cast_context};
use crate::types::polymorphic;

/// The plan of a call, whose last `listed` arguments are casts that say the columns. Notes the tables it reads in `names`.
pub fn source(
    function: &Function,
    mut arguments: Vec<Expr>,
    listed: usize,
    context: &PlanContext,
    names: &Names,
) -> Result<LogicalPlan> {
    let given = arguments.len().checked_sub(listed);
    let is_whole = given == Some(function.arguments.len());
    if !is_whole || (listed > 0 && function.returns != Returns::Record) {
        return Err(Error::internal(format!("a call of {} with other arguments", function.name)));
    }
    let listed = arguments.split_off(function.arguments.len());
    // The planner gives calls whose functions are called otherwise an alias.
    let arguments: Vec<Expr> = arguments.into_iter().map(Expr::unalias).collect();
    let function = &of_call(function, &arguments)?;
    let types: Vec<Option<Type>> = function.argument_types().into_iter().map(Some).collect();
    let path = path(function, context);
    let inside = PlanContext { search_path: &path, param_types: &types, staged: &[], ..*context };
    let query = body::query(function, context.catalog, &path)?;
    let plan = names.inside(&inside, |inner| query::inner_plan(&query, inner, &inside))?;
    let (plan, columns) = match function.returns {
        Returns::Record => {
            let listed = listed.iter().map(listed_type).collect::<Result<Vec<Type>>>()?;
            columns_of_record(plan, function, listed, context)?
        }
        _ => (plan, columns_of(function, context.catalog)?),
    };
    let is_void = function.returns == Returns::Scalar(Type::Void);
    if !is_void && plan.schema().fields().len() != columns.len() {
        return Err(mismatch(function, "Final statement returns another number of columns."));
    }
    let typed = arguments.into_iter().zip(function.argument_types()).enumerate();
    let typed = typed.map(|(position, (argument, ty))| {
        let carrier = argument::of_query(ty, &function.name, function.argument_types(), position);
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

/// The function with the types that its arguments carry.
fn of_call<'f>(function: &'f Function, arguments: &[Expr]) -> Result<Cow<'f, Function>> {
    if !function.is_polymorphic() {
        return Ok(Cow::Borrowed(function));
    }
    let carried = |argument: &Expr| match argument {
        Expr::ScalarFunction(call) => argument::type_given(call).cloned(),
        _ => None,
    };
    let given: Vec<Option<Type>> = arguments.iter().map(carried).collect();
    let untold = || Error::internal(format!("a call of {} without types", function.name));
    let declared = function.argument_types();
    let actual = polymorphic::resolve(&declared, &given).map_err(|_| untold())?;
    function.with_types(|ty| actual.of(ty)).map(Cow::Owned).ok_or_else(untold)
}

/// The type of a column that a call lists: that of a cast.
fn listed_type(cast: &Expr) -> Result<Type> {
    let (_, found) = cast.to_field(&DFSchema::empty()).map_err(from_datafusion)?;
    Ok(type_of(&found))
}

/// The columns of a function that returns record: those that the call lists, or the query's own. A query of one row is
/// that row.
fn columns_of_record(
    plan: LogicalPlan,
    function: &Function,
    listed: Vec<Type>,
    context: &PlanContext,
) -> Result<(LogicalPlan, Vec<ViewColumn>)> {
    let row = match plan.schema().fields().as_ref() {
        [row] => match type_of(row) {
            Type::Record(fields) => {
                Some(fields.into_iter().map(|field| (field.name, field.ty)).collect::<Vec<_>>())
            }
            Type::Composite(of) => {
                Some(of.fields.iter().map(|field| (field.name.clone(), field.ty.clone())).collect())
            }
            _ => None,
        },
        _ => None,
    };
    let is_row = row.is_some();
    let plan = match row {
        Some(fields) => {
            check_row(&fields, &listed)?;
            with_fields(plan, &fields, context)?
        }
        None => plan,
    };
    let found: Vec<(String, Type)> =
        plan.schema().fields().iter().map(|field| (field.name().clone(), type_of(field))).collect();
    if listed.is_empty() {
        let mut columns: Vec<ViewColumn> = Vec::with_capacity(found.len());
        for (place, (name, ty)) in found.into_iter().enumerate() {
            let is_taken = columns.iter().any(|column| column.name == name);
            let name = if is_taken { format!("{name}_{}", place + 1) } else { name };
            columns.push(ViewColumn { name, ty });
        }
        return Ok((plan, columns));
    }
    let is_literal = |place: usize| {
        matches!(&plan, LogicalPlan::Projection(projection)
            if projection.expr.get(place).is_some_and(|expr| matches!(expr.clone().unalias(),
                Expr::Literal(value, _) if value.is_null() || matches!(value, ScalarValue::Utf8(_)))))
    };
    let given: Vec<&Type> = found.iter().map(|(_, ty)| ty).collect();
    check_columns(function, &given, &listed.iter().collect::<Vec<_>>(), |place| is_row || is_literal(place))?;
    let column = |(place, ty): (usize, Type)| ViewColumn { name: format!("column{}", place + 1), ty };
    Ok((plan, listed.into_iter().enumerate().map(column).collect()))
}

/// 42804 for a row that is not of the columns which are listed.
fn check_row(fields: &[(String, Type)], listed: &[Type]) -> Result<()> {
    let refused = |detail: String| {
        let message = "function return row and query-specified return row do not match";
        Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(detail))
    };
    if listed.is_empty() {
        return Ok(());
    }
    if fields.len() != listed.len() {
        let attributes = if fields.len() == 1 { "attribute" } else { "attributes" };
        let (has, expects) = (fields.len(), listed.len());
        return refused(format!("Returned row contains {has} {attributes}, but query expects {expects}."));
    }
    for (place, ((_, ty), wanted)) in fields.iter().zip(listed).enumerate() {
        let (ty, wanted) = (ty.bare(), wanted.bare());
        if ty != wanted && !(ty.is_text() && wanted.is_text()) {
            let place = place + 1;
            return refused(format!(
                "Returned type {ty} at ordinal position {place}, but query expects {wanted}."
            ));
        }
    }
    Ok(())
}

/// The fields of a query's one column as columns of their own.
fn with_fields(plan: LogicalPlan, fields: &[(String, Type)], context: &PlanContext) -> Result<LogicalPlan> {
    let functions = context.environment.state().scalar_functions();
    let get = functions.get("get_field").ok_or_else(|| Error::internal("there is no function get_field"))?;
    let Some(row) = plan.schema().columns().into_iter().next() else { return Ok(plan) };
    let field = |(place, (name, _)): (usize, &(String, Type))| {
        let arguments = vec![Expr::Column(row.clone()), lit(name.as_str())];
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(get), arguments))
            .alias(format!("{name}_{place}"))
    };
    let fields: Vec<Expr> = fields.iter().enumerate().map(field).collect();
    LogicalPlanBuilder::from(plan)
        .project(fields)
        .and_then(|builder| builder.build())
        .map_err(from_datafusion)
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
        // The query says them.
        Returns::Record => Vec::new(),
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
    if matches!(function.returns, Returns::Scalar(Type::Void) | Returns::Record) {
        return Ok(());
    }
    let columns = columns_of(function, context.catalog)?;
    let found: Vec<&Type> = planned.columns.iter().map(|column| &column.ty).collect();
    let wanted: Vec<&Type> = columns.iter().map(|column| &column.ty).collect();
    check_columns(function, &found, &wanted, |place| {
        is_literal_output(&query, place) && !is_parameter_output(&query, place)
    })?;
    // With the types it is going to be cast to.
    let targets: Vec<Type> = columns.iter().map(|column| column.ty.clone()).collect();
    query::plan_for(&query, &inside, &targets).map(drop)
}

/// 42P13 for columns that are not those which are wanted; `is_free` says of which the type is not known yet.
fn check_columns(
    function: &Function,
    found: &[&Type],
    wanted: &[&Type],
    is_free: impl Fn(usize) -> bool,
) -> Result<()> {
    let is_one = matches!(function.returns, Returns::Scalar(_) | Returns::SetOf(_));
    if found.len() != wanted.len() {
        let which = if found.len() < wanted.len() { "few" } else { "many" };
        let detail = match is_one {
            true => "Final statement must return exactly one column.".into(),
            false => format!("Final statement returns too {which} columns."),
        };
        return Err(mismatch(function, &detail));
    }
    for (place, (given, wanted)) in found.iter().zip(wanted).enumerate() {
        let fits = matches!(cast_context(given, wanted), Some(Context::Implicit | Context::Assignment));
        if !fits && !is_free(place) {
            let (given, wanted) = (given.bare(), wanted.bare());
            let detail = match is_one {
                true => format!("Actual return type is {given}."),
                false => {
                    format!("Final statement returns {given} instead of {wanted} at column {}.", place + 1)
                }
            };
            return Err(mismatch(function, &detail));
        }
    }
    Ok(())
}

/// Whether an output is a parameter, whose type the function says.
fn is_parameter_output(query: &ast::Query, position: usize) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let item = select.projection.get(position).and_then(computed);
    item.is_some_and(|expr| body::parameter(expr).is_some())
}

fn mismatch(function: &Function, detail: &str) -> Error {
    let returns = match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => ty.to_string(),
        Returns::Table(_) | Returns::Record => "record".to_owned(),
        Returns::SetOfRows(_) => "a table's rows".to_owned(),
    };
    let message = format!("return type mismatch in function declared to return {returns}");
    Error::new(SqlState("42P13"), message).detail(detail.to_owned())
}
