//! A subquery in an expression as a function of the outer row.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use arrow::array::{Array, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Subquery, Volatility,
};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::error::{Error, SqlState};
use crate::planner::bindings::{Bindings, Execution, OuterRows};
use crate::planner::by_row::body::{Body, Shown};
use crate::planner::by_row::{optimise, parametrised, to_its_end};
use crate::planner::environment::Environment;
use crate::types::arrow::errors::{external, from_datafusion};

/// What a subquery's rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
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
pub fn function(
    subquery: &Subquery,
    kind: Kind,
    given: Option<Expr>,
    schema: &DFSchema,
    parameters: usize,
    environment: &Arc<Environment>,
) -> Result<Transformed<Expr>> {
    let plan = Arc::unwrap_or_clone(Arc::clone(&subquery.subquery));
    let (plan, outer) = parametrised(plan, schema, parameters)?;
    let field = match kind {
        Kind::Scalar => plan.schema().field(0).as_ref().clone().with_nullable(true),
        _ => Field::new("subquery", DataType::Boolean, true),
    };
    let function = SubqueryFunction {
        kind,
        parameters,
        plan: Arc::new(optimise(plan, parameters + outer.len(), environment)?),
        field: Arc::new(field),
        environment: Arc::clone(environment),
        signature: Signature::variadic_any(Volatility::Volatile),
        bindings: None,
        shown: Shown::default(),
        members: KnownMembers::default(),
    };
    let mut arguments: Vec<Expr> = given.into_iter().chain(outer).collect();
    if arguments.is_empty() {
        // The planner looks for functions without arguments by their types. The body does not read it.
        arguments.push(Expr::Literal(ScalarValue::Boolean(Some(true)), None));
    }
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::from(function)),
        arguments,
    ))))
}

/// A subquery as a function of the outer row.
#[derive(Clone)]
pub struct SubqueryFunction {
    kind: Kind,
    /// How many parameters the statement has; outer columns are numbered after them.
    parameters: usize,
    plan: Arc<LogicalPlan>,
    field: FieldRef,
    environment: Arc<Environment>,
    signature: Signature,
    bindings: Option<Arc<Bindings>>,
    shown: Shown,
    members: KnownMembers,
}

/// The values of a subquery that reads no outer column, and the execution they were read in.
type KnownMembers = Arc<Mutex<Option<(Weak<Execution>, Arc<Members>)>>>;

/// What `x IN (SELECT ...)` compares x with.
#[derive(Default)]
struct Members {
    values: HashSet<ScalarValue>,
    has_null: bool,
}

impl Members {
    /// Whether a value is among them; `None` where that is not known.
    fn contain(&self, given: &ScalarValue) -> Option<bool> {
        match () {
            _ if self.values.is_empty() && !self.has_null => Some(false),
            _ if given.is_null() => None,
            _ if self.values.contains(given) => Some(true),
            _ if self.has_null => None,
            _ => Some(false),
        }
    }
}

/// The function with the cell of the plan it is a part of, if it is one.
pub fn bind(function: &ScalarUDF, bindings: &Arc<Bindings>) -> Option<Arc<ScalarUDF>> {
    let unbound = (function.inner().as_ref() as &dyn std::any::Any).downcast_ref::<SubqueryFunction>()?;
    let bound = SubqueryFunction {
        bindings: Some(Arc::clone(bindings)),
        shown: Shown::default(),
        members: KnownMembers::default(),
        ..unbound.clone()
    };
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let answers = to_its_end(|| async { self.answers(&args).await.map_err(from_datafusion) });
        let answers = answers.map_err(external)?;
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
        let mut body = self.body()?;
        let columns =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        if let (Kind::In { negated }, [given]) = (self.kind, columns.as_slice()) {
            let members = self.members(&mut body, &execution, given.data_type()).await?;
            let answer = |row| {
                let given = ScalarValue::try_from_array(given, row)?;
                Ok(ScalarValue::Boolean(members.contain(&given).map(|contains| contains != negated)))
            };
            return (0..args.number_rows).map(answer).collect();
        }
        let given = usize::from(matches!(self.kind, Kind::In { .. }));
        let mut numbers: HashMap<Vec<ScalarValue>, usize> = HashMap::new();
        let mut firsts = Vec::new();
        let mut asks = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let key = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
            let next = numbers.len();
            let number = *numbers.entry(key.collect::<Result<_>>()?).or_insert(next);
            if number == next {
                firsts.push(row as u32);
            }
            asks.push(number);
        }
        let firsts = UInt32Array::from(firsts);
        let columns = take_arrays(&columns, &firsts, None)?;
        let outer = OuterRows::new(columns.get(given..).unwrap_or_default().to_vec(), firsts.len());
        let mut answers = Vec::with_capacity(firsts.len());
        for row in 0..firsts.len() {
            execution.check_cancel().map_err(external)?;
            let given = columns.first().filter(|_| given > 0);
            let given = given.map(|given| ScalarValue::try_from_array(given, row)).transpose()?;
            let rows = body.start(&execution, &outer, row).await?;
            answers.push(self.answer(rows, given.as_ref()).await?);
        }
        Ok(asks.into_iter().map(|number| answers[number].clone()).collect())
    }

    /// The subquery's values as values of `ty`, read once in an execution.
    async fn members(
        &self,
        body: &mut Body,
        execution: &Arc<Execution>,
        ty: &DataType,
    ) -> Result<Arc<Members>> {
        if let Some((known_in, members)) = &*self.members.lock()
            && known_in.upgrade().is_some_and(|known_in| Arc::ptr_eq(&known_in, execution))
        {
            return Ok(Arc::clone(members));
        }
        let mut members = Members::default();
        let mut rows = body.start_alone(execution).await?;
        while let Some(batch) = rows.next().await {
            execution.check_cancel().map_err(external)?;
            let column = arrow::compute::cast(batch?.column(0), ty)?;
            for row in 0..column.len() {
                match column.is_null(row) {
                    true => members.has_null = true,
                    false => _ = members.values.insert(ScalarValue::try_from_array(&column, row)?),
                }
            }
        }
        let members = Arc::new(members);
        *self.members.lock() = Some((Arc::downgrade(execution), Arc::clone(&members)));
        Ok(members)
    }

    fn body(&self) -> Result<Body> {
        Body::new(&self.plan, self.parameters, &self.environment, self.shown.clone())
    }

    /// What the body's rows say.
    async fn answer(
        &self,
        mut rows: SendableRecordBatchStream,
        given: Option<&ScalarValue>,
    ) -> Result<ScalarValue> {
        let mut verdict = Verdict::new(self.kind, given);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                verdict.take(|| ScalarValue::try_from_array(batch.column(0), row), batch.num_columns())?;
            }
            if verdict.is_certain() {
                break;
            }
        }
        verdict.answer(self.field.data_type())
    }

    /// The body's plan for EXPLAIN: the last one that ran, or one that might, which reads its cell from the body.
    pub async fn shown(&self, execution: Option<&Execution>) -> Option<(Arc<dyn ExecutionPlan>, Body)> {
        let mut body = self.body().ok()?;
        if self.shown.plan().is_none() {
            body.prepare(execution).await;
        }
        Some((self.shown.plan()?, body))
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
