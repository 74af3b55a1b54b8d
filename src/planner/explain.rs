//! EXPLAIN: the physical plan as a tree of nodes in PostgreSQL's words, shown as indented text or in a [`formats`]
//! for tools.

mod expressions;
pub mod formats;
mod outputs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{JoinType, LogicalPlan, ScalarUDF};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::planner::bindings::{Bindings, Execution};
use crate::planner::by_row::function::SubqueryFunction;
use crate::planner::by_row::lateral::LateralExec;
use crate::planner::environment::Environment;
use crate::planner::explain::expressions::{order_by, text};
use crate::planner::explain::formats::Format;
use crate::planner::explain::outputs::Scans;
use crate::planner::finish;
use crate::planner::hints::KeysExec;
use crate::planner::limit::BoundLimitExec;
use crate::planner::once::OnceExec;
use crate::planner::system::SystemExec;
use crate::table::explained::Explained;
use crate::table::knn::KnnScanExec;
use crate::table::scan::ScanExec;
use crate::types::arrow::errors::from_datafusion;

/// What EXPLAIN was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Run it, and show what it took.
    pub analyze: bool,
    pub verbose: bool,
    /// What strategies cost.
    pub costs: bool,
    /// How long nodes took.
    pub timing: bool,
    /// How long planning and execution took.
    pub summary: bool,
    /// Repeat each search exactly, and show what the answer lacks.
    pub recall: bool,
    /// Which settings are not as they come.
    pub settings: bool,
    /// What it writes to the log.
    pub wal: bool,
    /// A plan that knows no values of parameters.
    pub generic: bool,
    pub format: Format,
}

impl Default for ExplainOptions {
    /// Those of a plain EXPLAIN.
    fn default() -> Self {
        ExplainOptions {
            analyze: false,
            verbose: false,
            costs: true,
            timing: false,
            summary: false,
            recall: false,
            settings: false,
            wal: false,
            generic: false,
            format: Format::Text,
        }
    }
}

/// An explained plan.
#[derive(Debug)]
pub struct Explanation {
    pub root: Node,
    pub planning: Duration,
    /// When it was run.
    pub execution: Option<Duration>,
    /// Settings that shaped it, with their values.
    pub settings: Vec<(String, String)>,
}

/// A node of the plan.
#[derive(Debug)]
pub struct Node {
    shown: Explained,
    /// Rows it gave, where that is known.
    rows: Option<usize>,
    /// The columns it puts out; none where that is not known.
    outputs: Vec<String>,
    children: Vec<Node>,
}

/// Explains a plan, and runs it when asked. Without an execution, what depends on parameters and snapshots is not
/// shown.
pub async fn explain(
    logical: &LogicalPlan,
    environment: &Arc<Environment>,
    execution: Option<Execution>,
    options: ExplainOptions,
) -> Result<Explanation> {
    let planning = Instant::now();
    let bindings = Bindings::new();
    if let Some(mut execution) = execution {
        execution.settings.measure_recall = options.recall;
        bindings.fill(Arc::new(execution));
    }
    let bound = finish::bind(logical.clone(), &bindings).map_err(from_datafusion)?;
    let plan = finish::physical(&bound, environment.state()).await.map_err(from_datafusion)?;
    let planning = planning.elapsed();
    let ran = if options.analyze { Some(run(&plan, environment).await?) } else { None };
    let execution = bindings.execution().ok();
    let mut root = Node::of(&plan, execution.as_deref(), &Scans::default()).await;
    root.rows = ran.map(|(rows, _)| rows);
    bindings.clear();
    Ok(Explanation { root, planning, execution: ran.map(|(_, time)| time), settings: Vec::new() })
}

/// How many rows, and how long it took.
async fn run(plan: &Arc<dyn ExecutionPlan>, environment: &Arc<Environment>) -> Result<(usize, Duration)> {
    let started = Instant::now();
    let mut rows = 0;
    let mut stream = execute_stream(Arc::clone(plan), environment.task()).map_err(from_datafusion)?;
    while let Some(batch) = stream.next().await {
        rows += batch.map_err(from_datafusion)?.num_rows();
    }
    Ok((rows, started.elapsed()))
}

impl Explanation {
    /// Of a node that took no planning.
    pub fn of(root: Node) -> Explanation {
        Explanation { root, planning: Duration::ZERO, execution: None, settings: Vec::new() }
    }

    /// One string per line of output: the text line by line, or all of what is for tools.
    pub fn lines(&self, options: ExplainOptions) -> Vec<String> {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let planning = Some(self.planning).filter(|_| options.summary);
        let execution = self.execution.filter(|_| options.summary);
        if options.format != Format::Text {
            let mut all = Map::new();
            all.insert("Plan".into(), self.root.json(options));
            if !self.settings.is_empty() {
                let settings = self.settings.iter().map(|(name, value)| (name.clone(), value.clone().into()));
                all.insert("Settings".into(), Value::Object(settings.collect()));
            }
            for (name, time) in [("Planning Time", planning), ("Execution Time", execution)] {
                all.extend(time.map(|time| (name.to_owned(), json!(milliseconds(time)))));
            }
            return options.format.of(all).into_iter().collect();
        }
        let mut lines = Vec::new();
        self.root.text(0, options, &mut lines);
        if !self.settings.is_empty() {
            let settings = self.settings.iter().map(|(name, value)| format!("{name} = '{value}'"));
            lines.push(format!("Settings: {}", settings.collect::<Vec<_>>().join(", ")));
        }
        for (name, time) in [("Planning Time", planning), ("Execution Time", execution)] {
            lines.extend(time.map(|time| format!("{name}: {:.3} ms", milliseconds(time))));
        }
        lines
    }
}

impl Node {
    /// A node above another, for what statements do with a query's rows.
    pub fn above(shown: Explained, children: Vec<Node>) -> Node {
        Node { shown, rows: None, outputs: Vec::new(), children }
    }

    /// The node with others in front of its children.
    pub fn after(mut self, others: Vec<Node>) -> Node {
        self.children.splice(0..0, others);
        self
    }

    /// The tree of a plan. Nodes that PostgreSQL has no word for are passed over, but for the subqueries in them.
    fn of<'a>(
        plan: &'a Arc<dyn ExecutionPlan>,
        execution: Option<&'a Execution>,
        scans: &'a Scans,
    ) -> BoxFuture<'a, Node> {
        Box::pin(async move {
            if let Some(outer) = plan.downcast_ref::<ScalarSubqueryExec>() {
                let mut subqueries = Vec::new();
                for (link, number) in outer.subqueries().iter().zip(1..) {
                    let shown = Explained::new("InitPlan").heading(format!("InitPlan {number}"));
                    subqueries.push(Node::above(shown, vec![Node::of(&link.plan, execution, scans).await]));
                }
                return Node::of(outer.input(), execution, scans).await.after(subqueries);
            }
            let subqueries = subqueries_of(plan, execution, scans).await;
            if let ([child], true) = (plan.children().as_slice(), is_silent(plan.as_ref())) {
                let mut node = Node::of(child, execution, scans).await;
                node.outputs = outputs::of(plan.as_ref(), &[&node.outputs], None, scans);
                node.children.extend(subqueries);
                return node;
            }
            let mut children = Vec::new();
            for child in plan.children() {
                children.push(Node::of(child, execution, scans).await);
            }
            if let Some(body) = plan.downcast_ref::<LateralExec>().and_then(LateralExec::shown) {
                children.push(Node::of(&body, execution, scans).await);
            }
            if let Some(once) = plan.downcast_ref::<OnceExec>()
                && let Some((body, _cell)) = once.shown(execution).await
            {
                children.push(Node::of(&body, execution, scans).await);
            }
            let mut shown = describe(plan.as_ref());
            let below: Vec<&[String]> = children.iter().map(|child| child.outputs.as_slice()).collect();
            let outputs = outputs::of(plan.as_ref(), &below, shown.relation(), scans);
            if let Some((kind, sides)) = outputs::relationship(plan.as_ref()) {
                shown = shown.fact("Join Type", kind);
                for (child, side) in children.iter_mut().zip(sides) {
                    child.shown.facts.push(("Parent Relationship", side.into()));
                }
            }
            children.extend(subqueries);
            let rows = plan.metrics().and_then(|metrics| metrics.output_rows()).filter(|rows| *rows > 0);
            Node { shown, rows, outputs, children }
        })
    }

    fn shown(&self, options: ExplainOptions) -> Explained {
        let unwanted = |name: &str| match name {
            "Cost" => !options.costs,
            "Time" => !options.timing,
            _ => false,
        };
        let mut shown = self.shown.clone().without(unwanted);
        if options.verbose && !self.outputs.is_empty() {
            shown.lines.insert(0, vec![("Output", self.outputs.clone().into())]);
        }
        shown
    }

    /// The first line with an arrow, further lines below it.
    fn text(&self, depth: usize, options: ExplainOptions, lines: &mut Vec<String>) {
        let shown = self.shown(options);
        let indent = " ".repeat(depth.saturating_sub(1) * 6);
        let arrow = if depth == 0 { "" } else { "  ->  " };
        let actual = self.rows.map(|rows| format!("  (actual rows={rows})")).unwrap_or_default();
        lines.push(format!("{indent}{arrow}{}{actual}", shown.heading));
        let inner = " ".repeat(depth * 6 + 2);
        lines.extend(shown.text().map(|line| format!("{inner}{line}")));
        for child in &self.children {
            child.text(depth + 1, options, lines);
        }
    }

    fn json(&self, options: ExplainOptions) -> Value {
        let mut all = self.shown(options).json();
        all.extend(self.rows.map(|rows| ("Actual Rows".to_owned(), json!(rows))));
        if !self.children.is_empty() {
            let children: Vec<Value> = self.children.iter().map(|child| child.json(options)).collect();
            all.insert("Plans".into(), children.into());
        }
        all.into()
    }
}

/// The subqueries that a node's expressions run for each row.
async fn subqueries_of(
    plan: &Arc<dyn ExecutionPlan>,
    execution: Option<&Execution>,
    scans: &Scans,
) -> Vec<Node> {
    let mut functions: Vec<Arc<ScalarUDF>> = Vec::new();
    let gathered = plan.apply_expressions(&mut |expr| {
        expr.apply(|part| {
            if let Some(call) = part.downcast_ref::<ScalarFunctionExpr>()
                && subquery_function(call.fun()).is_some()
            {
                functions.push(Arc::new(call.fun().clone()));
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    let mut nodes = Vec::new();
    for function in functions.iter().filter(|_| gathered.is_ok()).filter_map(|f| subquery_function(f)) {
        if let Some((plan, _body)) = function.shown(execution).await {
            let children = vec![Node::of(&plan, execution, scans).await];
            nodes.push(Node::above(Explained::new("SubPlan"), children));
        }
    }
    nodes
}

fn subquery_function(function: &ScalarUDF) -> Option<&SubqueryFunction> {
    (function.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

fn is_silent(node: &dyn ExecutionPlan) -> bool {
    node.is::<ProjectionExec>()
        || node.is::<KeysExec>()
        || node.is::<CooperativeExec>()
        || node.is::<CoalescePartitionsExec>()
}

/// A node in PostgreSQL's words.
fn describe(node: &dyn ExecutionPlan) -> Explained {
    if let Some(scan) = node.downcast_ref::<ScanExec>() {
        return scan.explained();
    }
    if let Some(search) = node.downcast_ref::<KnnScanExec>() {
        return search.explained();
    }
    if let Some(scan) = node.downcast_ref::<SystemExec>() {
        return scan.explained();
    }
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        let top = sort.fetch().map(|fetch| format!("  (top {fetch})")).unwrap_or_default();
        return Explained::new("Sort").heading(format!("Sort{top}")).line("Sort Key", order_by(sort.expr()));
    }
    if let Some(keys) = node.downcast_ref::<BoundLimitExec>().and_then(BoundLimitExec::keys) {
        return Explained::new("Sort").heading("Sort and Limit").line("Sort Key", order_by(keys));
    }
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return Explained::new("Result").line("Filter", text(filter.predicate()));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return aggregation(aggregate);
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let on: Vec<String> =
            join.on().iter().map(|(left, right)| format!("({} = {})", text(left), text(right))).collect();
        return joined("Hash Join", join.join_type()).line("Hash Cond", on.join(" AND "));
    }
    if let Some(lateral) = node.downcast_ref::<LateralExec>() {
        let join_type = if lateral.is_left() { JoinType::Left } else { JoinType::Inner };
        let node = joined("Nested Loop", &join_type);
        return match lateral.loops() {
            0 => node,
            loops => node.line("Loops", loops),
        };
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let node = joined("Nested Loop", join.join_type());
        return match join.filter() {
            Some(filter) => node.line("Join Filter", text(filter.expression())),
            None => node,
        };
    }
    match node.name() {
        "GlobalLimitExec" | "LocalLimitExec" => Explained::new("Limit"),
        "PlaceholderRowExec" | "EmptyExec" => Explained::new("Result"),
        "UnionExec" => Explained::new("Append"),
        "CrossJoinExec" => Explained::new("Nested Loop"),
        _ => other(&displayable(node).one_line().to_string()),
    }
}

fn aggregation(aggregate: &AggregateExec) -> Explained {
    let keys: Vec<String> = aggregate.group_expr().expr().iter().map(|(key, _)| text(key)).collect();
    match keys.is_empty() {
        true => Explained::new("Aggregate"),
        false => Explained::new("Aggregate").heading("HashAggregate").line("Group Key", keys.join(", ")),
    }
}

fn joined(node_type: &str, kind: &JoinType) -> Explained {
    let kind = if *kind == JoinType::Inner { String::new() } else { format!(" {kind}") };
    Explained::new(node_type).heading(format!("{node_type}{kind}"))
}

/// A node as it describes itself: its first word is its type.
fn other(text: &str) -> Explained {
    let text = text.trim_end();
    let node_type = text.split([':', '(']).next().unwrap_or(text).trim_end_matches("Exec").trim();
    Explained::new(node_type).heading(text)
}
