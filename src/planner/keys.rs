//! What values are sorted, ranked, grouped and counted by, where PostgreSQL's order or equality is another than Arrow's.
//!
//! The rule runs last, on the optimised plan:
//!
//! ```text
//!   Sort v, f, iv                       Sort vector_sort_key(v), float_sort_key(f), interval_key(iv)
//!   rank() OVER (PARTITION BY iv ...)   the same keys in PARTITION BY and ORDER BY
//!   rank() OVER (PARTITION BY a < b)    rank() OVER (PARTITION BY key) over Projection a < b AS key
//!   count(DISTINCT j)                   count(DISTINCT jsonb_sort_key(j))
//!   Join a.iv = b.iv                    Join interval_key(a.iv) = interval_key(b.iv)
//!   Aggregate [j], sum(x)               Projection first(j), sum(x)
//!                                         Aggregate [jsonb_sort_key(j)], sum(x), first(j)
//! ```
//!
//! Equal jsonb may look different (`1.0` and `1`), and so may equal intervals (`30 days` and `1 mon`): of a group the first
//! one is shown, as in PostgreSQL. Grouping sets keep Arrow's equality.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, SortExpr, Window, WindowFrameBound,
    WindowFrameUnits,
};

use crate::functions::vector::{SORT_KEY, wants_sort_key};
use crate::functions::{COLLECT, decimal, sort_keys};
use crate::planner::casts::input_schema;
use crate::planner::operators::call;

/// The names of keys of windows that are computed beneath them.
const KEY: &str = "\u{1}key";
/// The names of the first values of groups; no query of a user has columns called so.
const FIRST: &str = "\u{1}first";

/// The plan with its keys.
pub fn by_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let keyed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = order(&mut sort.expr, sort.input.schema())?;
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Window(_) => match window(node)? {
            Transformed { data: LogicalPlan::Window(keyed), transformed, .. } => {
                let beneath = beneath(keyed)?;
                Ok(Transformed { transformed: transformed || beneath.transformed, ..beneath })
            }
            node => Ok(node),
        },
        LogicalPlan::Aggregate(_) => match counted(node)? {
            Transformed { data: LogicalPlan::Aggregate(aggregate), transformed, .. } => {
                let grouped = grouped(aggregate)?;
                Ok(Transformed { transformed: transformed || grouped.transformed, ..grouped })
            }
            node => Ok(node),
        },
        LogicalPlan::Join(mut join) => {
            // What INTERSECT, EXCEPT and `=` of subqueries have become.
            let mut changed = false;
            for (left, right) in &mut join.on {
                changed |= by_key(left, join.left.schema(), equality_key)?;
                changed |= by_key(right, join.right.schema(), equality_key)?;
            }
            Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(keyed.data)
}

/// The function whose result orders as values of a type do.
fn sort_key(ty: &DataType) -> Option<&'static str> {
    match ty {
        ty if wants_sort_key(ty) => Some(SORT_KEY),
        DataType::List(_) => Some(sort_keys::ARRAY),
        ty => equality_key(ty).or_else(|| is_float(ty).then_some(sort_keys::FLOAT)),
    }
}

/// The same of types whose equal values may look different.
fn equality_key(ty: &DataType) -> Option<&'static str> {
    match ty {
        DataType::LargeUtf8 => Some(sort_keys::DOCUMENT),
        DataType::Interval(_) => Some(sort_keys::INTERVAL),
        ty if *ty == decimal::any() => Some(sort_keys::NUMBER),
        DataType::List(item) if *item.data_type() == decimal::any() => Some(sort_keys::ARRAY),
        DataType::Struct(_) => Some(sort_keys::ARRAY),
        _ => None,
    }
}

fn is_float(ty: &DataType) -> bool {
    matches!(ty, DataType::Float32 | DataType::Float64)
}

fn by_key(
    expr: &mut Expr,
    schema: &DFSchema,
    key: impl Fn(&DataType) -> Option<&'static str>,
) -> Result<bool> {
    let Some(key) = key(&expr.get_type(schema)?) else { return Ok(false) };
    *expr = call(key, vec![std::mem::take(expr)]);
    Ok(true)
}

fn order(keys: &mut [SortExpr], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for key in keys {
        changed |= by_key(&mut key.expr, schema, sort_key)?;
    }
    Ok(changed)
}

/// A window by keys. A frame of distances needs the values themselves, which have none but for numbers and moments.
fn window(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&node);
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|part| {
            let Expr::WindowFunction(mut function) = part else { return Ok(Transformed::no(part)) };
            let mut changed = false;
            for part in &mut function.params.partition_by {
                changed |= by_key(part, &schema, sort_key)?;
            }
            let frame = &function.params.window_frame;
            let is_distance = |bound: &WindowFrameBound| match bound {
                WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => {
                    !distance.is_null()
                }
                WindowFrameBound::CurrentRow => false,
            };
            let of_distances = frame.units == WindowFrameUnits::Range
                && (is_distance(&frame.start_bound) || is_distance(&frame.end_bound));
            if !of_distances {
                changed |= order(&mut function.params.order_by, &schema)?;
            }
            Ok(Transformed::new_transformed(Expr::WindowFunction(function), changed))
        })?;
        Ok(changed.update_data(|expr| name.restore(expr)))
    })
}

/// A window whose keys compare something computes them beneath it. DataFusion wants to know the range of all that is
/// within a key, cannot tell it of functions beside a comparison (`PARTITION BY a < b + 1`), and then does not find the
/// order that it has just sorted by.
fn beneath(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut keys: Vec<Expr> = Vec::new();
    let mut exprs = Vec::with_capacity(window.window_expr.len());
    for expr in &window.window_expr {
        let name = expr.schema_name().to_string();
        let replaced = expr.clone().transform_up(|part| {
            let Expr::WindowFunction(mut function) = part else { return Ok(Transformed::no(part)) };
            let params = &mut function.params;
            let order = params.order_by.iter_mut().map(|key| &mut key.expr);
            for key in params.partition_by.iter_mut().chain(order) {
                if compares(key)? {
                    let name = format!("{KEY}{}", keys.len());
                    let column = Expr::Column(Column::new_unqualified(&name));
                    keys.push(std::mem::replace(key, column).alias(name));
                }
            }
            Ok(Transformed::yes(Expr::WindowFunction(function)))
        })?;
        exprs.push(replaced.data.alias_if_changed(name)?);
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let shown = window.schema.columns().into_iter().map(Expr::Column).collect();
    let columns = window.input.schema().columns().into_iter().map(Expr::Column);
    let input = Projection::try_new(columns.chain(keys).collect(), window.input)?;
    let window = Window::try_new(exprs, Arc::new(LogicalPlan::Projection(input)))?;
    let shown = Projection::try_new(shown, Arc::new(LogicalPlan::Window(window)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}

fn compares(key: &Expr) -> Result<bool> {
    key.exists(|part| Ok(matches!(part, Expr::BinaryExpr(binary) if binary.op.supports_propagation())))
}

/// Aggregates whose ORDER BY is one of rows, and not of what they compute.
const ORDERED: &[&str] = &["first_value", "last_value", "nth_value", "array_agg", COLLECT];

/// Distinct values are counted by their keys, and values in an order are taken in the order of their keys.
fn counted(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&node);
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|part| {
            let Expr::AggregateFunction(mut function) = part else { return Ok(Transformed::no(part)) };
            let mut changed = false;
            match (function.params.distinct, function.func.name()) {
                (true, "count") => {
                    for argument in &mut function.params.args {
                        changed |= by_key(argument, &schema, sort_key)?;
                    }
                }
                (false, name) if ORDERED.contains(&name) => {
                    changed |= order(&mut function.params.order_by, &schema)?;
                }
                _ => {}
            }
            Ok(Transformed::new_transformed(Expr::AggregateFunction(function), changed))
        })?;
        Ok(changed.update_data(|expr| name.restore(expr)))
    })
}

/// Groups by keys, of which the first values are shown.
fn grouped(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let is_set = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    let input = aggregate.input.schema();
    let mut keys = Vec::with_capacity(aggregate.group_expr.len());
    for expr in &aggregate.group_expr {
        keys.push(if is_set { None } else { equality_key(&expr.get_type(input)?) });
    }
    if keys.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let mut groups = Vec::with_capacity(keys.len());
    let mut aggregates = aggregate.aggr_expr.clone();
    let mut outputs: Vec<Expr> = aggregate.schema.columns().into_iter().map(Expr::Column).collect();
    for (place, (expr, key)) in aggregate.group_expr.iter().zip(&keys).enumerate() {
        let Some(key) = key else {
            groups.push(expr.clone());
            continue;
        };
        let name = format!("{FIRST}{place}");
        groups.push(call(key, vec![expr.clone().unalias()]).alias(format!("{FIRST} key {place}")));
        aggregates.push(first_value(expr.clone().unalias(), Vec::new()).alias(&name));
        let (qualifier, field) = aggregate.schema.qualified_field(place);
        outputs[place] =
            Expr::Column(Column::new_unqualified(name)).alias_qualified(qualifier.cloned(), field.name());
    }
    let keyed = Aggregate::try_new(aggregate.input, groups, aggregates)?;
    let shown = Projection::try_new(outputs, Arc::new(LogicalPlan::Aggregate(keyed)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}
