//! EXPLAIN: the physical plan as indented text, in PostgreSQL's style.

use std::sync::Arc;
use std::time::Instant;

use datafusion::logical_expr::{JoinType, LogicalPlan};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures::StreamExt;

use crate::error::Result;
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::environment::Environment;
use crate::planner::finish;
use crate::types::arrow::errors::from_datafusion;

/// What EXPLAIN was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    /// Run it, and show what it took.
    pub analyze: bool,
    pub verbose: bool,
}

/// The lines of an explained plan. Without an execution, what depends on parameters and snapshots is not shown.
pub async fn explain(
    logical: &LogicalPlan,
    environment: &Arc<Environment>,
    execution: Option<Execution>,
    options: ExplainOptions,
) -> Result<Vec<String>> {
    let planning = Instant::now();
    let bindings = Bindings::new();
    let bound = finish::bind(logical.clone(), &bindings).map_err(from_datafusion)?;
    let plan = finish::physical(&bound, environment.state()).await.map_err(from_datafusion)?;
    let planning = planning.elapsed();
    if let Some(execution) = execution {
        bindings.fill(Arc::new(execution));
    }
    let mut rows = 0;
    let started = Instant::now();
    if options.analyze {
        let mut stream = execute_stream(Arc::clone(&plan), environment.task()).map_err(from_datafusion)?;
        while let Some(batch) = stream.next().await {
            rows += batch.map_err(from_datafusion)?.num_rows();
        }
    }
    let elapsed = started.elapsed();
    let mut lines = Vec::new();
    render(&plan, 0, &mut lines);
    if options.analyze {
        lines.push(format!("Actual Rows: {rows}"));
        lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1e3));
        lines.push(format!("Execution Time: {:.3} ms", elapsed.as_secs_f64() * 1e3));
    }
    bindings.clear();
    Ok(lines)
}

/// One node: its first line with an arrow, further lines below it. Nodes that PostgreSQL has no word for are passed
/// over.
fn render(plan: &Arc<dyn ExecutionPlan>, depth: usize, lines: &mut Vec<String>) {
    let node = plan.as_ref();
    if let ([child], true) = (plan.children().as_slice(), is_silent(node)) {
        return render(child, depth, lines);
    }
    let text = describe(node);
    let mut parts = text.trim_end().lines();
    let indent = " ".repeat(depth.saturating_sub(1) * 6);
    let arrow = if depth == 0 { "" } else { "  ->  " };
    let rows = plan.metrics().and_then(|metrics| metrics.output_rows());
    let actual =
        rows.filter(|rows| *rows > 0).map(|rows| format!("  (actual rows={rows})")).unwrap_or_default();
    lines.push(format!("{indent}{arrow}{}{actual}", parts.next().unwrap_or_default()));
    let inner = " ".repeat(depth * 6 + 2);
    lines.extend(parts.map(|part| format!("{inner}{part}")));
    for child in plan.children() {
        render(child, depth + 1, lines);
    }
}

fn is_silent(node: &dyn ExecutionPlan) -> bool {
    node.is::<ProjectionExec>() || node.is::<CooperativeExec>() || node.is::<CoalescePartitionsExec>()
}

/// A node in PostgreSQL's words, properties on lines of their own.
fn describe(node: &dyn ExecutionPlan) -> String {
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        let keys: Vec<String> = sort.expr().iter().map(|key| key.to_string()).collect();
        let top = sort.fetch().map(|fetch| format!("  (top {fetch})")).unwrap_or_default();
        return format!("Sort{top}\nSort Key: {}", keys.join(", "));
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return format!("Result\nFilter: {}", filter.predicate());
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let keys: Vec<String> =
            aggregate.group_expr().expr().iter().map(|(key, _)| key.to_string()).collect();
        return match keys.is_empty() {
            true => "Aggregate".to_owned(),
            false => format!("HashAggregate\nGroup Key: {}", keys.join(", ")),
        };
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let on: Vec<String> = join.on().iter().map(|(left, right)| format!("({left} = {right})")).collect();
        let kind = if *join.join_type() == JoinType::Inner {
            String::new()
        } else {
            format!(" {}", join.join_type())
        };
        return format!("Hash Join{kind}\nHash Cond: {}", on.join(" AND "));
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let kind = if *join.join_type() == JoinType::Inner {
            String::new()
        } else {
            format!(" {}", join.join_type())
        };
        return match join.filter() {
            Some(filter) => format!("Nested Loop{kind}\nJoin Filter: {}", filter.expression()),
            None => format!("Nested Loop{kind}"),
        };
    }
    match node.name() {
        "GlobalLimitExec" | "LocalLimitExec" => "Limit".to_owned(),
        "PlaceholderRowExec" | "EmptyExec" => "Result".to_owned(),
        "UnionExec" => "Append".to_owned(),
        "CrossJoinExec" => "Nested Loop".to_owned(),
        _ => displayable(node).one_line().to_string(),
    }
}
