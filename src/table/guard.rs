//! AND and OR whose right side is evaluated only where the left side leaves the answer open.
//!
//! `b <> 0 AND 10 / b > 3` must not divide by zero, nor `kind = 'n' AND text::int > 7` read a word as a number. Batches
//! are evaluated column by column, so [`guarded`] gives each AND and OR whose right side may fail a node that first
//! takes the rows that need it:
//!
//! ```text
//!   b          2     0     NULL  5
//!   b <> 0     t     f     NULL  t       left, of all rows
//!   10/b > 3   t     -     NULL  f       right, of the rows that AND has not decided
//!   AND        t     f     NULL  f
//! ```
//!
//! PostgreSQL promises no order ("Expression Evaluation Rules") but keeps the one that is written among tests that cost
//! the same, and people rely on it. A CASE of truth values becomes ANDs and ORs on the way here, so it is guarded too.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, not, or_kleene};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr, lit,
};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{ScalarFunctionExpr, split_conjunction};
use datafusion::physical_plan::PhysicalExpr;

/// The expression, over columns of `schema`, with guards where the right side of an AND or OR may fail.
pub fn guarded(expr: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let guarded = expr.transform_up(|expr| match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) if binary.op().is_logic_operator() && may_fail(binary.right(), schema) => {
            let guard =
                Guard::new(Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()), false)?;
            Ok(Transformed::yes(Arc::new(guard)))
        }
        _ => Ok(Transformed::no(expr)),
    });
    Ok(guarded?.data)
}

/// The same of a condition, which passes rows it is true of: its conjuncts are taken cheapest first, as PostgreSQL does
/// (`order_qual_clauses`), and a row that one of them is NULL of is not shown to the next.
pub fn guarded_condition(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let mut parts = split_conjunction(expr);
    parts.sort_by_cached_key(|part| cost(part, schema));
    let mut parts = parts.into_iter().map(|part| guarded(Arc::clone(part), schema));
    let first = parts.next().unwrap_or_else(|| Ok(lit(true)))?;
    parts.try_fold(first, |left, right| {
        let right = right?;
        let both: Arc<dyn PhysicalExpr> = if may_fail(&right, schema) {
            Arc::new(Guard::new(left, Operator::And, right, true)?)
        } else {
            Arc::new(BinaryExpr::new(left, Operator::And, right))
        };
        Ok(both)
    })
}

/// Operators, functions and casts in it: what PostgreSQL counts, each as one `cpu_operator_cost`.
fn cost(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> usize {
    let free = match (expr.downcast_ref::<BinaryExpr>(), expr.downcast_ref::<CastExpr>()) {
        (Some(binary), _) => binary.op().is_logic_operator(),
        (_, Some(cast)) => widens_cast(cast, schema),
        _ => is_plain(expr),
    };
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
        && let ("cast", [from]) = (call.name(), call.args())
    {
        // Between a text and another type lie two functions, one that writes and one that reads.
        let is_text = |ty: &DataType| *ty == DataType::Utf8;
        let between = from.data_type(schema).is_ok_and(|from| is_text(&from)) != is_text(call.return_type());
        return cost(from, schema) + if between { 2 } else { 1 };
    }
    let of_children: usize = expr.children().into_iter().map(|child| cost(child, schema)).sum();
    of_children + usize::from(!free)
}

/// Whether evaluating it can end in an error: anything can but what is known not to.
fn may_fail(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let safe = if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        binary.op().is_logic_operator() || compares(*binary.op())
    } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        widens_cast(cast, schema)
    } else {
        is_plain(expr) || expr.is::<InListExpr>() || expr.is::<LikeExpr>()
    };
    !safe || expr.children().into_iter().any(|child| may_fail(child, schema))
}

/// A value as it is, its negation, or whether it is there: costs nothing and cannot fail.
fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<NotExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether the target has room for every value: the casts that comparing numbers of two types comes with.
fn widens_cast(cast: &CastExpr, schema: &Schema) -> bool {
    let Ok(from) = cast.expr().data_type(schema) else { return false };
    match (&from, cast.cast_type()) {
        (DataType::Int16 | DataType::Int32 | DataType::Int64, DataType::Float64) => true,
        (DataType::Float32, DataType::Float64) => true,
        (DataType::Int16, DataType::Int32 | DataType::Int64) | (DataType::Int32, DataType::Int64) => true,
        (from, to) => from == to,
    }
}

/// An AND or OR that asks its right side about the rows it needs.
#[derive(Debug)]
struct Guard {
    whole: BinaryExpr,
    /// Whether NULL on the left decides it, as in a condition, where it is no better than false.
    null_decides: bool,
    /// Columns that the right side reads: no others are copied when rows are taken.
    columns: Vec<usize>,
    /// The right side over these columns alone.
    narrow: Arc<dyn PhysicalExpr>,
}

impl Guard {
    fn new(
        left: Arc<dyn PhysicalExpr>,
        op: Operator,
        right: Arc<dyn PhysicalExpr>,
        null_decides: bool,
    ) -> Result<Guard> {
        let mut columns: Vec<Column> = collect_columns(&right).into_iter().collect();
        columns.sort_unstable_by_key(Column::index);
        let narrow = Arc::clone(&right).transform_up(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let place = columns.iter().position(|other| other.index() == column.index());
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place.unwrap_or_default()))))
        });
        let narrow = narrow?.data;
        let columns = columns.iter().map(Column::index).collect();
        Ok(Guard { whole: BinaryExpr::new(left, op, right), null_decides, columns, narrow })
    }

    /// The right side, NULL where `left` has decided.
    fn right(&self, left: &BooleanArray, batch: &RecordBatch) -> Result<ColumnarValue> {
        let undecided = if *self.whole.op() == Operator::Or { not(left)? } else { left.clone() };
        let undecided = match undecided.nulls() {
            Some(nulls) if self.null_decides => BooleanArray::new(undecided.values() & nulls.inner(), None),
            Some(nulls) => BooleanArray::new(undecided.values() | &!nulls.inner(), None),
            None => undecided,
        };
        self.narrow.evaluate_selection(&batch.project(&self.columns)?, &undecided)
    }
}

impl PartialEq for Guard {
    fn eq(&self, other: &Guard) -> bool {
        self.whole == other.whole && self.null_decides == other.null_decides
    }
}

impl Eq for Guard {}

impl Hash for Guard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt(f)
    }
}

impl PhysicalExpr for Guard {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.whole.return_field(schema)
    }

    fn data_type(&self, _schema: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.whole.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let left = self.whole.left().evaluate(batch)?.into_array(rows)?;
        let left = as_boolean_array(&left)?;
        let right = self.right(left, batch)?.into_array(rows)?;
        let right = as_boolean_array(&right)?;
        let combine = if *self.whole.op() == Operator::Or { or_kleene } else { and_kleene };
        Ok(ColumnarValue::Array(Arc::new(combine(left, right)?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![self.whole.left(), self.whole.right()]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [left, right] = children.try_into().or_else(|_| internal_err!("AND and OR have two sides"))?;
        Ok(Arc::new(Guard::new(left, *self.whole.op(), right, self.null_decides)?))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt_sql(f)
    }
}
