//! Constants are computed while planning, and what fails there fails though no row asks for it.
//!
//! ```text
//!   SELECT 'x'::int FROM nothing               22P02, as in PostgreSQL, which reads literals when it reads the statement
//!   CASE WHEN i > 100 THEN 1 / 0 END           22012, whatever i is
//!   CASE WHEN true THEN 1 ELSE 1 / 0 END       1: what is not reached is not computed
//! ```
//!
//! DataFusion's own rule computes constants too, keeps those that fail as they are, and drops them with plans that have
//! no rows. So this is the analyser's last rule, before anything is dropped; what it has computed is a literal to those
//! that follow. Source: `eval_const_expressions` in PostgreSQL's planner, and
//! <https://www.postgresql.org/docs/17/sql-expressions.html#SYNTAX-EXPRESS-EVAL>.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRewriter};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, Volatility};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::create_physical_expr;

/// One row without columns, which constants are computed for.
static NO_COLUMNS: LazyLock<RecordBatch> = LazyLock::new(|| {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    batch.expect("no column has another length than one row")
});

/// The rule; `properties` hold the options of the session, which the texts of times and floats depend on.
#[derive(Debug)]
pub struct Constants {
    pub properties: ExecutionProps,
}

impl AnalyzerRule for Constants {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let computed =
                    expr.rewrite(&mut Computer { properties: &self.properties, levels: Vec::new() })?;
                Ok(computed.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "constants"
    }
}

/// Computes from the leaves up.
struct Computer<'a> {
    properties: &'a ExecutionProps,
    /// The expressions around the one looked at, outermost first.
    levels: Vec<Level>,
}

/// What is known of an expression whose parts are being looked at.
struct Level {
    is_constant: bool,
    /// Of a part that cannot be computed: no error if the whole can, or does not reach it.
    error: Option<DataFusionError>,
}

impl TreeNodeRewriter for Computer<'_> {
    type Node = Expr;

    fn f_down(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        self.levels.push(Level { is_constant: may_be_constant(&expr), error: None });
        Ok(Transformed::no(expr))
    }

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let Some(Level { is_constant, error }) = self.levels.pop() else { return Ok(Transformed::no(expr)) };
        if !is_constant {
            // What is not reached may be what failed.
            let less = decided(&expr).or_else(|| error.as_ref().and_then(|_| reached(&expr)));
            let (expr, error) = match less.filter(|less| *less != expr) {
                None => (Transformed::no(expr), error),
                Some(less) => {
                    match less.rewrite(&mut Computer { properties: self.properties, levels: Vec::new() }) {
                        Ok(less) => (Transformed::yes(less.data), None),
                        Err(error) => (Transformed::no(expr), Some(error)),
                    }
                }
            };
            return match error {
                Some(error) if self.levels.is_empty() => Err(error),
                error => {
                    self.tell(matches!(expr.data, Expr::Literal(..)), error);
                    Ok(expr)
                }
            };
        }
        if matches!(expr, Expr::Literal(..)) {
            self.tell(true, None);
            return Ok(Transformed::no(expr));
        }
        let (computed, error) = match compute(&expr, self.properties) {
            Ok(Some(literal)) => (Transformed::yes(literal), None),
            Ok(None) => (Transformed::no(expr), error),
            Err(error) => (Transformed::no(expr), Some(error)),
        };
        match error {
            Some(error) if self.levels.is_empty() => Err(error),
            error => {
                self.tell(true, error);
                Ok(computed)
            }
        }
    }
}

impl Computer<'_> {
    /// Tells the expression around.
    fn tell(&mut self, is_constant: bool, error: Option<DataFusionError>) {
        if let Some(around) = self.levels.last_mut() {
            around.is_constant &= is_constant;
            around.error = around.error.take().or(error);
        }
    }
}

/// Whether an expression is a constant if its parts are.
fn may_be_constant(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, .. }) => {
            func.signature().volatility == Volatility::Immutable
        }
        Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Case(_)
        | Expr::InList(_) => true,
        // Records change their fields with them.
        Expr::Cast(cast) => !cast.field.data_type().is_nested(),
        _ => false,
    }
}

/// The literal that a constant expression is; `None` where it is for others to compute. The error is the statement's.
fn compute(expr: &Expr, properties: &ExecutionProps) -> Result<Option<Expr>> {
    if let Expr::ScalarFunction(call) = expr
        && call.name() == "coalesce"
        && let Some(Expr::Literal(value, notes)) = call.args.iter().find(|value| !is_null(value))
    {
        // The others are not reached.
        return Ok(Some(Expr::Literal(value.clone(), notes.clone())));
    }
    let Ok(physical) = create_physical_expr(expr, &DFSchema::empty(), properties, &Default::default()) else {
        return Ok(None);
    };
    let notes = physical.return_field(NO_COLUMNS.schema_ref()).ok().and_then(|field| {
        let notes = field.metadata();
        (!notes.is_empty()).then(|| FieldMetadata::from(notes))
    });
    let value = match physical.evaluate(&NO_COLUMNS) {
        Ok(ColumnarValue::Scalar(value)) => value,
        Ok(ColumnarValue::Array(values)) if values.len() == 1 && !values.data_type().is_nested() => {
            ScalarValue::try_from_array(&values, 0)?
        }
        Ok(ColumnarValue::Array(_)) => return Ok(None),
        Err(error) if is_of_the_statement(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok((!value.data_type().is_nested()).then_some(Expr::Literal(value, notes)))
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn is_false(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(false)), _))
}

/// `false AND x` and `true OR x`, whatever `x` is.
fn decided(expr: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, .. }) = expr else { return None };
    let decides = match op {
        Operator::And => is_false(left),
        Operator::Or => is_true(left),
        _ => false,
    };
    decides.then(|| left.as_ref().clone())
}

/// CASE and coalesce() without what the constants in front keep from being reached.
fn reached(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
            let mut branches = Vec::new();
            for (condition, result) in when_then_expr {
                if is_true(condition) {
                    let last = Some(result.clone());
                    return Some(match branches.is_empty() {
                        true => result.as_ref().clone(),
                        false => Expr::Case(Case { expr: None, when_then_expr: branches, else_expr: last }),
                    });
                }
                if !is_false(condition) && !is_null(condition) {
                    branches.push((condition.clone(), result.clone()));
                }
            }
            match (branches.is_empty(), else_expr) {
                (true, Some(last)) => Some(last.as_ref().clone()),
                (true, None) => None,
                _ => Some(Expr::Case(Case {
                    expr: None,
                    when_then_expr: branches,
                    else_expr: else_expr.clone(),
                })),
            }
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => {
            let last =
                call.args.iter().position(|value| matches!(value, Expr::Literal(..)) && !is_null(value))?;
            let args = call.args[..=last].to_vec();
            Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&call.func), args)))
        }
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

/// Whether an error says what is wrong with values, and not that something cannot be computed here.
fn is_of_the_statement(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::External(_) | DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            true
        }
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            is_of_the_statement(inner)
        }
        DataFusionError::Shared(inner) => is_of_the_statement(inner),
        _ => false,
    }
}
