//! Subqueries that no rule turns into a join, run once for each row of the query around them.
//!
//! DataFusion rewrites correlated subqueries as joins, and refuses those whose shape it has no rule for. They become
//! function calls here, whose arguments are the columns of the outer row and whose body is the subquery's plan:
//!
//! ```text
//!   SELECT (SELECT max(b.x) FROM b WHERE b.y < a.z OR b.y = 1) FROM a WHERE a.p = $1
//!   SELECT subquery(a.z)                                       FROM a WHERE a.p = $1
//!          runs  SELECT max(b.x) FROM b WHERE b.y < $2 OR b.y = 1   with $2 = a.z
//! ```
//!
//! That costs one execution for each distinct outer row, as PostgreSQL's subplans do, so a query is planned this way
//! only when the other way is refused. Snapshots and parameters are those of the query around.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, TypeSignature, Volatility, cast,
};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::error::{Error, SqlState};
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::casts::input_schema;
use crate::planner::environment::Environment;
use crate::planner::{finish, knn};
use crate::types::arrow::errors::external;

/// Whether a plan still has subqueries that cannot be carried out.
pub fn remains(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Subquery(_));
        for expr in node.expressions() {
            found |= expr.exists(|expr| Ok(is_refused(expr)))?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_refused(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..) => true,
        _ => false,
    }
}

/// Whether a plan names columns of a query around it. Its own subqueries are functions by now.
fn is_correlated(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let mut found = false;
        for expr in node.expressions() {
            found |= expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(..))))?;
        }
        Ok(found)
    })
}

/// The plan with every correlated subquery as a function; `parameters` is how many the statement has.
pub fn rewrite(plan: LogicalPlan, parameters: usize, environment: &Arc<Environment>) -> Result<LogicalPlan> {
    // Innermost first, so that what a subquery says to the query around the one around it is an argument by then.
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = input_schema(&node);
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| match expr {
                Expr::ScalarSubquery(subquery) if is_correlated(&subquery.subquery)? => {
                    function(&subquery, Kind::Scalar, None, &schema, parameters, environment)
                }
                Expr::Exists(Exists { subquery, negated }) => {
                    function(&subquery, Kind::Exists { negated }, None, &schema, parameters, environment)
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let common = comparison_coercion(
                        &expr.get_type(&schema)?,
                        subquery.subquery.schema().field(0).data_type(),
                    );
                    let given = match common {
                        Some(common) if expr.get_type(&schema)? != common => cast(*expr, common),
                        _ => *expr,
                    };
                    function(&subquery, Kind::In { negated }, Some(given), &schema, parameters, environment)
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(plan.data)
}

/// What a subquery's rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// The value of its one row; NULL without one.
    Scalar,
    Exists {
        negated: bool,
    },
    /// Whether the function's first argument is among them.
    In {
        negated: bool,
    },
}

/// The call that stands for a subquery of a node over `schema`.
fn function(
    subquery: &Subquery,
    kind: Kind,
    given: Option<Expr>,
    schema: &DFSchema,
    parameters: usize,
    environment: &Arc<Environment>,
) -> Result<Transformed<Expr>> {
    let mut outer: Vec<Expr> = Vec::new();
    let plan = Arc::unwrap_or_clone(Arc::clone(&subquery.subquery));
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|expr| {
                let Expr::OuterReferenceColumn(field, column) = &expr else {
                    return Ok(Transformed::no(expr));
                };
                // A column that is not here is one of the query further out.
                let argument = match schema.has_column(column) {
                    true => Expr::Column(column.clone()),
                    false => expr.clone(),
                };
                let place = outer.iter().position(|known| *known == argument).unwrap_or_else(|| {
                    outer.push(argument);
                    outer.len() - 1
                });
                let id = format!("${}", parameters + place + 1);
                Ok(Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(
                    id,
                    Some(Arc::clone(field)),
                ))))
            })
        })?
        .map_data(|node| match node {
            // What it reads of the outer row are parameters now, so it is a relation like any other.
            LogicalPlan::Subquery(lateral) => Ok(Arc::unwrap_or_clone(lateral.subquery)),
            node => node.recompute_schema(),
        })
    })?;
    let field = match kind {
        Kind::Scalar => plan.data.schema().field(0).as_ref().clone().with_nullable(true),
        _ => Field::new("subquery", DataType::Boolean, true),
    };
    let function = SubqueryFunction {
        kind,
        parameters,
        plan: Arc::new(plan.data),
        field: Arc::new(field),
        environment: Arc::clone(environment),
        // Without arguments it is the same for all rows.
        signature: Signature::one_of(
            vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
            Volatility::Volatile,
        ),
        bindings: None,
    };
    let arguments = given.into_iter().chain(outer).collect();
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::from(function)),
        arguments,
    ))))
}

/// A subquery as a function of the outer row.
#[derive(Clone)]
struct SubqueryFunction {
    kind: Kind,
    /// How many parameters the statement has; outer columns are numbered after them.
    parameters: usize,
    plan: Arc<LogicalPlan>,
    field: FieldRef,
    environment: Arc<Environment>,
    signature: Signature,
    bindings: Option<Arc<Bindings>>,
}

/// The function with the cell of the plan it is a part of, if it is one.
pub fn bind(function: &ScalarUDF, bindings: &Arc<Bindings>) -> Option<Arc<ScalarUDF>> {
    let unbound = (function.inner().as_ref() as &dyn std::any::Any).downcast_ref::<SubqueryFunction>()?;
    let bound = SubqueryFunction { bindings: Some(Arc::clone(bindings)), ..unbound.clone() };
    Some(Arc::new(ScalarUDF::from(bound)))
}

impl std::fmt::Debug for SubqueryFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "subquery({:?}, {})", self.kind, self.plan.display_indent())
    }
}

impl PartialEq for SubqueryFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && Arc::ptr_eq(&self.plan, &other.plan)
    }
}

impl Eq for SubqueryFunction {}

impl Hash for SubqueryFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        Arc::as_ptr(&self.plan).hash(state);
    }
}

impl ScalarUDFImpl for SubqueryFunction {
    fn name(&self) -> &str {
        "subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    /// The subquery is planned and run on a thread of its own: this one may be inside a runtime, which must not wait.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let answers = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                runtime.block_on(self.answers(&args))
            });
            let panicked = |_| Err(external(Error::internal("a subquery failed")));
            thread.join().unwrap_or_else(panicked)
        })?;
        if answers.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(self.field.data_type())));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(answers)?))
    }
}

impl SubqueryFunction {
    /// An answer for each row; rows that are alike are asked about once.
    async fn answers(&self, args: &ScalarFunctionArgs) -> Result<Vec<ScalarValue>> {
        let Some(outer) = &self.bindings else {
            return Err(external(Error::internal("a subquery was run while planning")));
        };
        let execution = outer.execution().map_err(external)?;
        let mut body = Body::new(self, &execution)?;
        let columns =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut answers = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let key: Vec<ScalarValue> = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<_>>()?;
            let answer = match known.get(&key) {
                Some(answer) => answer.clone(),
                None => {
                    execution.check_cancel().map_err(external)?;
                    let answer = body.answer(&key).await?;
                    known.insert(key, answer.clone());
                    answer
                }
            };
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// A subquery being run, for one row after the other.
struct Body<'a> {
    function: &'a SubqueryFunction,
    outer: &'a Arc<Execution>,
    bindings: Arc<Bindings>,
    bound: LogicalPlan,
    /// A plan that can be run again.
    finished: Option<Arc<dyn ExecutionPlan>>,
}

impl Body<'_> {
    fn new<'a>(function: &'a SubqueryFunction, outer: &'a Arc<Execution>) -> Result<Body<'a>> {
        let state = function.environment.state();
        let plan = state.optimize(&function.plan)?;
        let bindings = Bindings::new();
        bindings.fill(Arc::clone(outer));
        let bound = finish::bind(knn::rewrite(plan, state)?, &bindings)?;
        Ok(Body { function, outer, bindings, bound, finished: None })
    }

    async fn answer(&mut self, arguments: &[ScalarValue]) -> Result<ScalarValue> {
        let (given, outer) = match self.function.kind {
            Kind::In { .. } => (arguments.first(), arguments.get(1..).unwrap_or_default()),
            _ => (None, arguments),
        };
        let mut params: Vec<ScalarValue> =
            self.outer.params.iter().take(self.function.parameters).cloned().collect();
        params.extend_from_slice(outer);
        self.bindings.fill(Arc::new(self.outer.with_params(params)));
        let environment = &self.function.environment;
        let plan = match self.finished.take() {
            Some(plan) => plan,
            None => finish::physical(&self.bound, environment.state()).await?,
        };
        let mut rows = execute_stream(Arc::clone(&plan), environment.task())?;
        let mut verdict = Verdict::new(self.function.kind, given);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                verdict.take(|| ScalarValue::try_from_array(batch.column(0), row), batch.num_columns())?;
            }
            if verdict.is_certain() {
                break;
            }
        }
        drop(rows);
        if finish::is_stateless(&plan) {
            self.finished = Some(plan);
        }
        verdict.answer(self.function.field.data_type())
    }
}

/// What the rows so far say.
struct Verdict<'a> {
    kind: Kind,
    given: Option<&'a ScalarValue>,
    rows: usize,
    value: Option<ScalarValue>,
    equal: bool,
    unknown: bool,
}

impl Verdict<'_> {
    fn new(kind: Kind, given: Option<&ScalarValue>) -> Verdict<'_> {
        Verdict { kind, given, rows: 0, value: None, equal: false, unknown: false }
    }

    fn take(&mut self, value: impl Fn() -> Result<ScalarValue>, columns: usize) -> Result<()> {
        self.rows += 1;
        match self.kind {
            Kind::Exists { .. } => {}
            Kind::Scalar if self.rows > 1 => {
                let message = "more than one row returned by a subquery used as an expression";
                return Err(external(Error::new(SqlState::CARDINALITY_VIOLATION, message)));
            }
            Kind::Scalar if columns > 0 => self.value = Some(value()?),
            Kind::Scalar => {}
            Kind::In { .. } => {
                let (value, given) = (value()?, self.given.cloned().unwrap_or(ScalarValue::Null));
                if value.is_null() || given.is_null() {
                    self.unknown = true;
                } else {
                    self.equal |= value.cast_to(&given.data_type())? == given;
                }
            }
        }
        Ok(())
    }

    /// Whether more rows change nothing.
    fn is_certain(&self) -> bool {
        match self.kind {
            Kind::Scalar => false,
            Kind::Exists { .. } => self.rows > 0,
            Kind::In { .. } => self.equal,
        }
    }

    fn answer(self, ty: &DataType) -> Result<ScalarValue> {
        Ok(match self.kind {
            Kind::Scalar => match self.value {
                Some(value) if value.data_type() == *ty => value,
                Some(value) => value.cast_to(ty)?,
                None => ScalarValue::try_from(ty)?,
            },
            Kind::Exists { negated } => ScalarValue::Boolean(Some((self.rows > 0) != negated)),
            Kind::In { negated } => ScalarValue::Boolean(match (self.equal, self.unknown) {
                (true, _) => Some(!negated),
                (false, true) => None,
                (false, false) => Some(negated),
            }),
        })
    }
}
