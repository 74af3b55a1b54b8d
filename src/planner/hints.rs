//! Telling scans what the nodes above them want.
//!
//! ```text
//!   Sort by created_at DESC, top 10           HashJoin on d.id = c.doc
//!     Projection                                KeysExec: gathers c.doc -----------.
//!       ScanExec  <- first 10 by created_at       KnnScanExec on chunks c          |
//!                                               ScanExec on documents d  <---------'  rows with those keys
//! ```
//!
//! A hash join reads its left side to the end before it asks the right one for a row. So the keys of the left side are
//! known when the scan on the right side begins, and an index finds their rows: PostgreSQL's nested loop with an index
//! scan inside, in one go. Which side is the left one is decided here, by how many rows each has in the execution at hand.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality, Result, ScalarValue};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PhysicalExpr, PlanProperties,
    replace_children_if_necessary,
};
use futures::{Stream, StreamExt};

use crate::functions::sort_keys;
use crate::index::bitmap::{Nulls, has_order};
use crate::planner::late_knn::searched;
use crate::planner::limit::BoundLimitExec;
use crate::table::hints::{First, Gathered, Keys, Rows};
use crate::table::knn::KnnScanExec;
use crate::table::scan::ScanExec;

type Plan = Arc<dyn ExecutionPlan>;

/// The plan whose scans know what is wanted of them.
pub fn hinted(plan: Plan) -> Result<Plan> {
    plan.transform_up(|node| {
        let changed = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            of_join(join)?
        } else if let Some(sort) = node.downcast_ref::<SortExec>() {
            match sort.fetch() {
                Some(rows) => of_sort(&node, sort.expr(), Rows::This(rows))?,
                None => None,
            }
        } else if let Some(limit) = node.downcast_ref::<BoundLimitExec>() {
            match limit.keys() {
                Some(keys) => of_sort(&node, keys, limit.rows())?,
                None => None,
            }
        } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            of_order(&node, extremes(aggregate).unwrap_or_default())?
        } else {
            None
        };
        Ok(changed.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
    .data()
}

/// The sort whose scan knows which rows come first, or is a search for them.
fn of_sort(node: &Plan, keys: &LexOrdering, rows: Rows) -> Result<Option<Plan>> {
    let [input] = node.children()[..] else { return Ok(None) };
    if let Some(input) = searched(keys, &rows, input)? {
        return replace_children_if_necessary(Arc::clone(node), vec![input]).map(Some);
    }
    of_order(node, first_of(keys.first(), rows).into_iter().collect())
}

/// The first rows by an output of a node's input.
struct Wanted {
    output: usize,
    descending: bool,
    nulls: Nulls,
    rows: Rows,
}

fn first_of(key: &PhysicalSortExpr, rows: Rows) -> Option<Wanted> {
    let SortOptions { descending, nulls_first } = key.options;
    let nulls = if nulls_first { Nulls::First } else { Nulls::Last };
    Some(Wanted { output: ordered_column(&key.expr)?, descending, nulls, rows })
}

/// The column an expression orders by: itself, or a float or a numeric by its key.
fn ordered_column(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let is_key =
        |call: &&ScalarFunctionExpr| matches!(call.fun().name(), sort_keys::FLOAT | sort_keys::NUMBER);
    let of_key = expr.downcast_ref::<ScalarFunctionExpr>().filter(is_key);
    let expr = of_key.and_then(|call| call.args().first()).unwrap_or(expr);
    Some(expr.downcast_ref::<Column>()?.index())
}

/// The ends that `min` and `max` of columns ask for, where nothing else is asked.
fn extremes(aggregate: &AggregateExec) -> Option<Vec<Wanted>> {
    let is_plain = aggregate.group_expr().is_empty()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && !aggregate.aggr_expr().is_empty();
    let one = |function: &Arc<AggregateFunctionExpr>| {
        let descending = match function.fun().name() {
            "min" => false,
            "max" => true,
            _ => return None,
        };
        let arguments = function.expressions();
        let [argument] = arguments.as_slice() else { return None };
        let output = argument.downcast_ref::<Column>()?.index();
        Some(Wanted { output, descending, nulls: Nulls::Ignored, rows: Rows::This(1) })
    };
    if is_plain { aggregate.aggr_expr().iter().map(one).collect() } else { None }
}

/// The node over a scan that knows which rows come first.
fn of_order(node: &Plan, wanted: Vec<Wanted>) -> Result<Option<Plan>> {
    let [input] = node.children()[..] else { return Ok(None) };
    if wanted.is_empty() {
        return Ok(None);
    }
    let outputs: Vec<usize> = wanted.iter().map(|wanted| wanted.output).collect();
    let told = at_scan(input, &outputs, &|scan, outputs| {
        if !scan.hints().is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for (wanted, output) in wanted.iter().zip(outputs) {
            let (column, definition) = scan.column(*output)?;
            if !has_order(&definition.ty) {
                return None;
            }
            let (descending, nulls, rows) = (wanted.descending, wanted.nulls, wanted.rows.clone());
            all.push(First { column, descending, nulls, rows });
        }
        Some(scan.with_hints(|hints| hints.first = all))
    })?;
    told.map(|input| replace_children_if_necessary(Arc::clone(node), vec![input])).transpose()
}

/// The plan with the scan below its projections changed; `outputs` are followed down to it.
fn at_scan(
    plan: &Plan,
    outputs: &[usize],
    change: &dyn Fn(&ScanExec, &[usize]) -> Option<ScanExec>,
) -> Result<Option<Plan>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        return Ok(change(scan, outputs).map(|scan| Arc::new(scan) as Plan));
    }
    let below: Option<Vec<usize>> = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let schema = projection.input().schema();
        outputs.iter().map(|output| column_of(&projection.expr().get(*output)?.expr, &schema)).collect()
    } else if plan.is::<CooperativeExec>() || plan.is::<KeysExec>() {
        Some(outputs.to_vec())
    } else {
        None
    };
    let (Some(below), [input]) = (below, &plan.children()[..]) else { return Ok(None) };
    let input = at_scan(input, &below, change)?;
    input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose()
}

/// Rows for which small tables are not taken in another order than they are named in: rows come out in one order
/// then, whatever the tables grow and shrink to.
const SAVED_MIN: u64 = 1_000;

/// A join the cheaper way round, whose right side is read by the keys of the left one where an index finds them.
fn of_join(join: &HashJoinExec) -> Result<Option<Plan>> {
    if join.null_equality() != NullEquality::NullEqualsNothing || join.null_aware {
        return Ok(None);
    }
    let (left, right) = (rows_of(join.left()), rows_of(join.right()));
    let as_it_is = by_keys(join)?;
    let usual = cost(left, right, as_it_is.is_some());
    let saves = |swapped: u64| swapped.saturating_add(SAVED_MIN) < usual;
    let swaps = join.join_type().supports_swap() && join.partition_mode() == &PartitionMode::CollectLeft;
    // An order that the right side has may be what the nodes above go by.
    let is_ordered = join.properties().output_ordering().is_some();
    if !swaps || is_ordered || !saves(cost(right, left, true)) {
        return Ok(as_it_is);
    }
    let swapped = join.swap_inputs(PartitionMode::CollectLeft)?;
    let told = swapped_by_keys(&swapped)?;
    Ok(match saves(cost(right, left, told.is_some())) {
        true => Some(told.unwrap_or(swapped)),
        false => as_it_is,
    })
}

/// [`by_keys`] of a join whose sides were swapped, perhaps below what puts the columns back.
fn swapped_by_keys(swapped: &Plan) -> Result<Option<Plan>> {
    if let Some(join) = swapped.downcast_ref::<HashJoinExec>() {
        return by_keys(join);
    }
    let [input] = swapped.children()[..] else { return Ok(None) };
    let told = swapped_by_keys(input)?;
    told.map(|input| replace_children_if_necessary(Arc::clone(swapped), vec![input])).transpose()
}

/// Rows that are read and rows that are kept in a table of hashes, which takes twice as long.
fn cost(build: u64, probe: u64, keyed: bool) -> u64 {
    // A row by its slot takes as long as four rows in order.
    let read = if keyed { probe.min(build.saturating_mul(4)) } else { probe };
    build.saturating_mul(2).saturating_add(read)
}

/// The join whose right side is told the keys of the left one; `None` where no index would find them.
fn by_keys(join: &HashJoinExec) -> Result<Option<Plan>> {
    // Rows of the right side that find no partner are in the answer of the others.
    let wants_partners = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::RightSemi
    );
    if !wants_partners {
        return Ok(None);
    }
    let mut gathering = Vec::new();
    let mut right = Arc::clone(join.right());
    for (key, partner) in join.on() {
        let Some(output) = column_of(partner, &join.right().schema()) else { continue };
        let gathered = Arc::new(Gathered::default());
        let told = at_scan(&right, &[output], &|scan, outputs| {
            let (column, is_found) = match scan.is_ctid(outputs[0]) {
                true => (None, true),
                false => {
                    let (column, definition) = scan.column(outputs[0])?;
                    (Some(column), has_order(&definition.ty))
                }
            };
            let is_found = is_found && scan.hints().first.is_empty();
            let keys = Keys { column, gathered: Arc::clone(&gathered) };
            is_found.then(|| scan.with_hints(|hints| hints.keys.push(keys)))
        })?;
        if let Some(told) = told {
            right = told;
            gathering.push((Arc::clone(key), gathered));
        }
    }
    if gathering.is_empty() {
        return Ok(None);
    }
    let left = Arc::new(KeysExec { input: Arc::clone(join.left()), keys: gathering });
    Ok(Some(join.builder().with_new_children(vec![left, right])?.build_exec()?))
}

/// The column an expression is, or the integers it widens: those are found, and come, as the wider ones do.
fn column_of(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<usize> {
    let widened = expr.downcast_ref::<CastExpr>().filter(|cast| {
        // A cast to a narrower type, which may fail, is a function of ours.
        let given = cast.expr().data_type(schema);
        given.is_ok_and(|ty| ty.is_signed_integer()) && cast.cast_type().is_signed_integer()
    });
    let expr = widened.map_or(expr, CastExpr::expr);
    Some(expr.downcast_ref::<Column>()?.index())
}

/// How many rows a plan gives, about: what is known of scans and limits now, and rules of thumb.
fn rows_of(plan: &Plan) -> u64 {
    /// Where nothing is known: rows of a function, of the catalogue.
    const UNKNOWN: u64 = 1_000;
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        let wanted = scan.hints().first.first().map(|first| match &first.rows {
            Rows::This(rows) => *rows as u64,
            Rows::Limit { .. } => UNKNOWN,
        });
        return scan.estimate().unwrap_or(UNKNOWN).min(wanted.unwrap_or(u64::MAX));
    }
    if plan.is::<KnnScanExec>() {
        return 100;
    }
    let inputs: Vec<u64> = plan.children().into_iter().map(rows_of).collect();
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return match join.join_type() {
            JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => inputs[0],
            JoinType::Right | JoinType::RightAnti | JoinType::RightMark => inputs[1],
            JoinType::Full => inputs[0].saturating_add(inputs[1]),
            // A foreign key: each row of one side has one partner.
            JoinType::Inner if join.left().is::<KeysExec>() => inputs[0],
            _ => inputs[0].min(inputs[1]),
        };
    }
    let all: u64 = inputs.iter().fold(0, |sum, rows| sum.saturating_add(*rows));
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return sort.fetch().map_or(all, |fetch| all.min(fetch as u64));
    }
    if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
        return limit.fetch().map_or(all, |fetch| all.min(fetch as u64));
    }
    if plan.is::<BoundLimitExec>() {
        return all.min(UNKNOWN);
    }
    if plan.is::<FilterExec>() {
        return all / 3;
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return if aggregate.group_expr().is_empty() { 1 } else { all / 10 + 1 };
    }
    if plan.is::<PlaceholderRowExec>() || plan.is::<EmptyExec>() {
        return 1;
    }
    if inputs.is_empty() { UNKNOWN } else { all }
}

/// Passes rows on, and gathers their keys.
#[derive(Debug)]
pub struct KeysExec {
    input: Plan,
    keys: Vec<(Arc<dyn PhysicalExpr>, Arc<Gathered>)>,
}

impl DisplayAs for KeysExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("KeysExec")
    }
}

impl ExecutionPlan for KeysExec {
    fn name(&self) -> &str {
        "KeysExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Plan> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::execution_plan::apply_expression_roots(
            self.keys.iter().map(|(key, _)| key),
            f,
        )
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Plan>) -> Result<Plan> {
        Ok(Arc::new(KeysExec { input: children.swap_remove(0), keys: self.keys.clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        self.keys.iter().for_each(|(_, gathered)| gathered.begin());
        Ok(Box::pin(KeysStream { input, keys: self.keys.clone() }))
    }
}

struct KeysStream {
    input: SendableRecordBatchStream,
    keys: Vec<(Arc<dyn PhysicalExpr>, Arc<Gathered>)>,
}

impl KeysStream {
    fn gather(&self, batch: &RecordBatch) -> Result<()> {
        for (key, gathered) in &self.keys {
            let column: ArrayRef = key.evaluate(batch)?.into_array(batch.num_rows())?;
            gathered.add((0..column.len()).map(|row| ScalarValue::try_from_array(&column, row)));
        }
        Ok(())
    }
}

impl Stream for KeysStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batch = ready!(self.input.poll_next_unpin(context));
        Poll::Ready(match batch {
            Some(Ok(batch)) => Some(self.gather(&batch).map(|()| batch)),
            None => {
                self.keys.iter().for_each(|(_, gathered)| gathered.finish());
                None
            }
            error => error,
        })
    }
}

impl RecordBatchStream for KeysStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
