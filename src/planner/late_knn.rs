//! ORDER BY distance to what a subquery finds becomes a search.
//!
//! ```text
//!   SELECT id FROM t WHERE kind = 2 ORDER BY e <-> (SELECT e FROM t WHERE id = 7) LIMIT 5
//!
//!   ScalarSubqueryExec: runs the subquery first                 the same
//!     Sort l2_distance(e, scalar_subquery), top 5        =>       Sort
//!       Projection                                                  Projection
//!         ScanExec t [kind = 2]                                       KnnScanExec t [kind = 2] (e, scalar_subquery, 5)
//! ```
//!
//! [`knn`](super::knn) does it for queries that are known before the rows are asked for, on the logical plan. What a
//! subquery finds has a name only in the physical one, and is known when the node below is started. The search takes the
//! place of the scan with the same output, and the sort stays: it gets the nearest rows instead of all, and where it has
//! further keys those at the distance of the last one too.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Volatility;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::{LexOrdering, ScalarFunctionExpr};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, replace_children_if_necessary};

use crate::distance::{Element, Metric};
use crate::functions::cells::element_of;
use crate::functions::sort_keys;
use crate::functions::vector::metric_of_function;
use crate::table::hints::Rows;
use crate::table::knn::{KnnScanExec, Late};
use crate::table::scan::ScanExec;

type Plan = Arc<dyn ExecutionPlan>;

/// The input of a sort with a search in it, where the first key is such a distance and only so many rows are wanted.
pub fn searched(keys: &LexOrdering, rows: &Rows, input: &Plan) -> Result<Option<Plan>> {
    let key = keys.first();
    if key.options != (SortOptions { descending: false, nulls_first: false }) {
        return Ok(None);
    }
    let limit = match rows {
        Rows::This(rows) => {
            let rows = ScalarValue::Int64(Some(i64::try_from(*rows).unwrap_or(i64::MAX)));
            vec![Arc::new(Literal::new(rows)) as Arc<dyn PhysicalExpr>]
        }
        Rows::Limit { fetch: None, .. } => return Ok(None),
        Rows::Limit { fetch: Some(fetch), skip } => {
            std::iter::once(fetch).chain(skip.as_ref()).cloned().collect()
        }
    };
    below(Arc::clone(&key.expr), input, Wanted { limit, with_ties: keys.len() > 1 })
}

/// How many rows of the search.
struct Wanted {
    limit: Vec<Arc<dyn PhysicalExpr>>,
    with_ties: bool,
}

/// The plan with the search instead of its scan; `key` is over the plan's output.
fn below(key: Arc<dyn PhysicalExpr>, plan: &Plan, wanted: Wanted) -> Result<Option<Plan>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        return Ok(search(&key, scan, wanted).map(|search| Arc::new(search) as Plan));
    }
    let key = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let over_input = |expr: Arc<dyn PhysicalExpr>| {
            let column = expr.downcast_ref::<Column>().map(Column::index);
            let made = column.and_then(|index| projection.expr().get(index));
            Ok(made.map_or_else(
                || Transformed::no(Arc::clone(&expr)),
                |made| Transformed::yes(Arc::clone(&made.expr)),
            ))
        };
        // From the leaves up, so that what was put in is not looked at again.
        key.transform_up(over_input).data()?
    } else if plan.is::<CooperativeExec>() {
        key
    } else {
        return Ok(None);
    };
    let [input] = plan.children()[..] else { return Ok(None) };
    let input = below(key, input, wanted)?;
    input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose()
}

fn search(key: &Arc<dyn PhysicalExpr>, scan: &ScanExec, wanted: Wanted) -> Option<KnnScanExec> {
    if !scan.is_whole() {
        return None;
    }
    let call = key.downcast_ref::<ScalarFunctionExpr>()?;
    let call = match call.fun().name() {
        sort_keys::FLOAT => call.args().first()?.downcast_ref::<ScalarFunctionExpr>()?,
        _ => call,
    };
    let metric = metric_of_function(call.fun().name())?;
    let [left, right] = call.args() else { return None };
    let (subject, query) = match (left.downcast_ref::<Column>(), right.downcast_ref::<Column>()) {
        (Some(subject), None) => (subject, right),
        (None, Some(subject)) => (subject, left),
        _ => return None,
    };
    let (column, definition) = scan.column(subject.index()).filter(|(_, column)| column.is_slot_vector())?;
    let (element, _) = Element::of(&definition.ty)?;
    let found = element_of(query.return_field(&Schema::empty()).ok()?.data_type());
    // As in `knn`: what the column would be converted to is no column of vectors.
    let fits = found.is_none_or(|found| found == element || found.number() < element.number());
    if !fits || !Metric::of(element).contains(&metric) || !is_known_late(query) {
        return None;
    }
    let (query, Wanted { limit, with_ties }) = (Arc::clone(query), wanted);
    Some(KnnScanExec::of_scan(scan, Late { column, metric, query, limit, with_ties }))
}

/// Whether an expression is one value for all rows, as a subquery finds it.
fn is_known_late(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if expr.is::<ScalarSubqueryExpr>() {
        return true;
    }
    let is_one_value = match expr.downcast_ref::<ScalarFunctionExpr>() {
        Some(call) => call.fun().signature().volatility != Volatility::Volatile,
        None => expr.is::<CastExpr>(),
    };
    let mut operands = expr.children().into_iter().filter(|operand| !operand.is::<Literal>()).peekable();
    is_one_value && operands.peek().is_some() && operands.all(is_known_late)
}
