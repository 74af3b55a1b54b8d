//! Expressions evaluated outside of queries: DEFAULT, CHECK, SET, VALUES, RETURNING.
//!
//! Compiled once, evaluated for any number of batches or rows. An expression sees the columns of its [`Scope`]; where
//! it is assigned to a column, texts and parameters take the column's type.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, TableReference};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use crate::catalog;
use crate::error::{Error, Result, SqlState};
use crate::functions::{self, cast};
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::{casts, finish, operators, parameters, prepare};
use crate::sql::context::Names;
use crate::sql::query::PlanContext;
use crate::sql::rewrite;
use crate::types::arrow::errors::{from_arrow, from_datafusion};
use crate::types::arrow::{array, field, type_of, value_at};
use crate::types::{Type, Value};

/// The columns an expression can name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    columns: Vec<ScopeColumn>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// The table's name or alias.
    pub qualifier: Option<String>,
    pub name: String,
    pub ty: Type,
}

impl Scope {
    /// No columns: DEFAULT and VALUES.
    pub fn empty() -> Scope {
        Scope::default()
    }

    /// A table's columns in their order, under its name or an alias.
    pub fn of_table(table: &catalog::Table, alias: Option<&str>) -> Scope {
        let qualifier = alias.unwrap_or(&table.name);
        let column = |column: &catalog::Column| ScopeColumn {
            qualifier: Some(qualifier.to_owned()),
            name: column.name.clone(),
            ty: column.ty.clone(),
        };
        Scope { columns: table.columns.iter().map(column).collect() }
    }

    /// These columns, then `other`'s (such as `excluded`).
    pub fn and(mut self, other: Scope) -> Scope {
        self.columns.extend(other.columns);
        self
    }

    pub fn columns(&self) -> &[ScopeColumn] {
        &self.columns
    }

    fn schema(&self) -> Result<(DFSchema, SchemaRef)> {
        let fields: Vec<_> =
            self.columns.iter().map(|column| field(&column.name, &column.ty, true)).collect();
        let qualified = self.columns.iter().zip(&fields).map(|(column, field)| {
            (column.qualifier.as_deref().map(TableReference::bare), Arc::new(field.clone()))
        });
        let described = DFSchema::new_with_metadata(qualified.collect(), Default::default());
        Ok((described.map_err(from_datafusion)?, Arc::new(Schema::new(fields))))
    }
}

/// Compiled expressions over one scope.
pub struct Expressions {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    types: Vec<Type>,
    names: Vec<String>,
    schema: SchemaRef,
    scope: Vec<Type>,
    /// One evaluation at a time fills the cell.
    bindings: Mutex<Arc<Bindings>>,
    /// The parameters met, by number; `None` where the surroundings do not tell the type.
    pub param_types: BTreeMap<usize, Option<Type>>,
    /// Whether the same columns give the same values at all times.
    pub is_immutable: bool,
}

/// Compiles expressions. A target is the type of the column the expression is assigned to.
pub fn compile(
    exprs: &[(&ast::Expr, Option<&Type>)],
    scope: &Scope,
    context: &PlanContext,
) -> Result<Expressions> {
    let (described, schema) = scope.schema()?;
    let bindings = Bindings::new();
    let mut compiled = Expressions {
        exprs: Vec::with_capacity(exprs.len()),
        types: Vec::with_capacity(exprs.len()),
        names: Vec::with_capacity(exprs.len()),
        schema,
        scope: scope.columns.iter().map(|column| column.ty.clone()).collect(),
        bindings: Mutex::new(Arc::clone(&bindings)),
        param_types: BTreeMap::new(),
        is_immutable: true,
    };
    for (expr, target) in exprs {
        compiled.names.push(rewrite::name_of(expr));
        let expr = logical(expr, &described, context, *target, &mut compiled.param_types)?;
        let (_, found) = expr.to_field(&described).map_err(from_datafusion)?;
        compiled.types.push(type_of(&found));
        compiled.is_immutable &= is_immutable(&expr, &described);
        let bound = finish::bind_expr(expr, &bindings).map_err(from_datafusion)?.data;
        let physical = context.environment.state().create_physical_expr(bound, &described);
        compiled.exprs.push(physical.map_err(from_datafusion)?);
    }
    Ok(compiled)
}

/// Of the session's values (now(), current_user) pseudo-parameters are left.
fn is_immutable(expr: &Expr, schema: &DFSchema) -> bool {
    let changes = expr.exists(|expr| {
        Ok(match expr {
            Expr::Placeholder(_) => true,
            Expr::ScalarFunction(call) => {
                call.func.signature().volatility != Volatility::Immutable || needs_zone(call, schema)
            }
            _ => false,
        })
    });
    !changes.unwrap_or(true)
}

/// Whether a call depends on the session's time zone.
fn needs_zone(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let given =
        || call.args.iter().map(|arg| arg.get_type(schema).unwrap_or(DataType::Null)).collect::<Vec<_>>();
    functions::cast::needs_zone(&call.func) || functions::value::needs_zone(&call.func, &given())
}

/// The expression with its types settled, before its parameters are bound.
fn logical(
    expr: &ast::Expr,
    schema: &DFSchema,
    context: &PlanContext,
    target: Option<&Type>,
    params: &mut BTreeMap<usize, Option<Type>>,
) -> Result<Expr> {
    let names = Names::new(context);
    let types = context.param_types;
    let mut expr = expr.clone();
    let typer = |part: &ast::Expr| {
        let planned = logical(part, schema, context, None, &mut BTreeMap::new())?;
        planned.to_field(schema).map(|(_, found)| type_of(&found)).map_err(from_datafusion)
    };
    crate::sql::routines::expand_typed(&mut expr, context, &typer)?;
    crate::sql::system::rewrite::expression(&mut expr);
    rewrite::expression(&mut expr, crate::sql::known::Known::new(context))?;
    let mut planner =
        PlannerContext::new().with_prepare_param_data_types(parameters::parameter_fields(types));
    let raw = SqlToRel::new(&names).sql_to_expr(expr, schema, &mut planner).map_err(from_datafusion)?;
    if raw
        .exists(|expr| Ok(matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_))))
        .unwrap_or(true)
    {
        return Err(Error::unsupported("a subquery in this place"));
    }
    let raw = take_target(raw, target)?;
    parameters::note_types(&raw, schema, params, false).map_err(from_datafusion)?;
    let known: Vec<Type> = parameter_list(types, params);
    let typed = prepare::prepare_expr(raw, schema, &known, true).map_err(from_datafusion)?.data;
    let simplify = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(context.environment.state().config_options()))
        .build();
    let simplifier = ExprSimplifier::new(simplify);
    let coerced = simplifier.coerce(typed, schema).map_err(from_datafusion)?;
    let cast = casts::replace(coerced, schema).map_err(from_datafusion)?.data;
    let assigned = assign(cast, schema, target)?;
    simplifier.simplify(assigned).map_err(from_datafusion)
}

/// Text literals and open parameters that are the whole expression are of the target's type.
fn take_target(expr: Expr, target: Option<&Type>) -> Result<Expr> {
    use datafusion::common::ScalarValue;
    let Some(target) = target else { return Ok(expr) };
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => {
            operators::literal(&text, target).map_err(from_datafusion)
        }
        Expr::Placeholder(placeholder) if placeholder.field.is_none() => {
            Ok(operators::parameter(placeholder.id, target))
        }
        expr => Ok(expr),
    }
}

fn parameter_list(given: &[Option<Type>], found: &BTreeMap<usize, Option<Type>>) -> Vec<Type> {
    let count = found.keys().last().copied().unwrap_or(0).max(given.len());
    let known = |number: usize| given.get(number - 1).cloned().flatten();
    let inferred = |number: usize| found.get(&number).cloned().flatten();
    (1..=count).map(|number| known(number).or_else(|| inferred(number)).unwrap_or(Type::Text)).collect()
}

/// The assignment cast to the column's type: longer text than it holds is refused.
fn assign(expr: Expr, schema: &DFSchema, target: Option<&Type>) -> Result<Expr> {
    let Some(target) = target else { return Ok(expr) };
    let (_, found) = expr.to_field(schema).map_err(from_datafusion)?;
    let source = type_of(&found);
    if source == *target {
        return Ok(expr);
    }
    if found.data_type().is_null() {
        let to = Arc::new(field("", target, true));
        return Ok(Expr::Cast(datafusion::logical_expr::Cast::new_from_field(Box::new(expr), to)));
    }
    if crate::types::cast::context(&source, target).is_none() {
        let message = format!("column is of type {target} but expression is of type {source}");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression."));
    }
    let function = cast::function(source, target.clone(), false);
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr])))
}

impl std::fmt::Display for Expressions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.exprs.iter().try_for_each(|expr| write!(f, "{expr};"))
    }
}

impl Expressions {
    /// One per expression.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// PostgreSQL's names for them as output columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One array per expression. The batch has the scope's columns in order.
    pub fn evaluate(&self, batch: &RecordBatch, execution: &Arc<Execution>) -> Result<Vec<ArrayRef>> {
        let bindings = self.bindings.lock();
        bindings.fill(Arc::clone(execution));
        let rows = batch.num_rows();
        let arrays = self.exprs.iter().map(|expr| {
            let value = expr.evaluate(batch).map_err(from_datafusion)?;
            value.into_array(rows).map_err(from_datafusion)
        });
        let arrays = arrays.collect();
        bindings.clear();
        arrays
    }

    /// Rows of values in, rows of results out.
    pub fn evaluate_rows(&self, rows: &[Vec<Value>], execution: &Arc<Execution>) -> Result<Vec<Vec<Value>>> {
        let columns = self
            .scope
            .iter()
            .enumerate()
            .map(|(position, ty)| array(ty, rows.iter().map(|row| &row[position])));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        let results = self.evaluate(&batch.map_err(from_arrow)?, execution)?;
        let row = |row: usize| {
            results
                .iter()
                .zip(&self.types)
                .map(|(array, ty)| value_at(array, row, ty))
                .collect::<Result<Vec<_>>>()
        };
        (0..rows.len()).map(row).collect()
    }

    /// One row of results for expressions without columns.
    pub fn evaluate_once(&self, execution: &Arc<Execution>) -> Result<Vec<Value>> {
        let mut rows = self.evaluate_rows(&[Vec::new()], execution)?;
        rows.pop().ok_or_else(|| Error::internal("an evaluation of one row gave none"))
    }
}
