//! What each node of a plan puts out, by name: EXPLAIN (VERBOSE). sqlx reads there which columns an outer join may
//! leave NULL.
//!
//! ```text
//!   Hash Join Left        Output: jg.name, jm.name       a join: those of its sides, projected
//!     -> Seq Scan on jg   Output: jg.id, jg.name         a scan: its columns, with the table; a second one is jg_1
//!     -> Seq Scan on jm   Output: jm.id, jm.name
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use parking_lot::Mutex;

use crate::planner::by_row::lateral::LateralExec;
use crate::planner::explain::expressions::text;

/// What the planner calls count(*).
const ROWS: &str = "count(Int64(1))";

/// How often each table was met, so that each scan has a name of its own.
#[derive(Debug, Default)]
pub struct Scans(Mutex<BTreeMap<String, usize>>);

impl Scans {
    fn name(&self, relation: &str) -> String {
        let mut met = self.0.lock();
        let count = met.entry(relation.to_owned()).or_default();
        *count += 1;
        match *count {
            1 => relation.to_owned(),
            count => format!("{relation}_{}", count - 1),
        }
    }
}

/// The outputs of a node, given those of its children, and the table that it scans.
pub fn of(
    node: &dyn ExecutionPlan,
    below: &[&[String]],
    relation: Option<&str>,
    scans: &Scans,
) -> Vec<String> {
    let schema = node.schema();
    let names = || schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    if let Some(relation) = relation {
        let name = scans.name(relation);
        return names().into_iter().map(|column| format!("{name}.{column}")).collect();
    }
    if let Some((kind, projection)) = join(node) {
        let sides = match kind {
            JoinType::LeftSemi | JoinType::LeftAnti => below.first().copied().unwrap_or_default().to_vec(),
            JoinType::RightSemi | JoinType::RightAnti => below.last().copied().unwrap_or_default().to_vec(),
            _ => below.concat(),
        };
        return match projection {
            Some(places) => places.iter().filter_map(|place| sides.get(*place).cloned()).collect(),
            None => sides,
        };
    }
    let input = below.first().copied().unwrap_or_default();
    let shown = |expr: &Arc<dyn PhysicalExpr>| {
        let column = expr.downcast_ref::<Column>().and_then(|column| input.get(column.index()));
        column.cloned().unwrap_or_else(|| text(expr))
    };
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return projection.expr().iter().map(|output| shown(&output.expr)).collect();
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let keys: Vec<String> = aggregate.group_expr().expr().iter().map(|(key, _)| shown(key)).collect();
        let computed = names().into_iter().skip(keys.len()).map(|name| name.replace(ROWS, "count(*)"));
        return keys.into_iter().chain(computed).collect();
    }
    if let Some(places) = node.downcast_ref::<FilterExec>().and_then(|filter| filter.projection().as_ref()) {
        return places.iter().filter_map(|place| input.get(*place).cloned()).collect();
    }
    // What only passes rows on, or puts more behind them.
    let is_kept = below.len() == 1 && input.len() <= schema.fields().len();
    match is_kept {
        true => input.iter().cloned().chain(names().into_iter().skip(input.len())).collect(),
        false => names(),
    }
}

/// The kind of a join, and which columns of its sides it keeps.
fn join(node: &dyn ExecutionPlan) -> Option<(JoinType, Option<&[usize]>)> {
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        return Some((*join.join_type(), join.projection.as_deref()));
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        return Some((*join.join_type(), join.projection().as_deref()));
    }
    if let Some(lateral) = node.downcast_ref::<LateralExec>() {
        return Some((if lateral.is_left() { JoinType::Left } else { JoinType::Inner }, None));
    }
    node.is::<CrossJoinExec>().then_some((JoinType::Inner, None))
}

/// PostgreSQL's word for the kind of a node that is a join, and how its two sides are to it. The side that may have no
/// row is the inner one, whichever is read first.
pub fn relationship(node: &dyn ExecutionPlan) -> Option<(&'static str, [&'static str; 2])> {
    let (kind, _) = join(node)?;
    Some(match kind {
        JoinType::Inner => ("Inner", ["Outer", "Inner"]),
        JoinType::Left | JoinType::LeftMark => ("Left", ["Outer", "Inner"]),
        JoinType::Right | JoinType::RightMark => ("Left", ["Inner", "Outer"]),
        JoinType::Full => ("Full", ["Outer", "Inner"]),
        JoinType::LeftSemi => ("Semi", ["Outer", "Inner"]),
        JoinType::LeftAnti => ("Anti", ["Outer", "Inner"]),
        JoinType::RightSemi => ("Semi", ["Inner", "Outer"]),
        JoinType::RightAnti => ("Anti", ["Inner", "Outer"]),
    })
}
