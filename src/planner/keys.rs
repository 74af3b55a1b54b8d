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
//! citext, which shows no Arrow type of its own, is told by the note on its field; of equal ones the first is shown too.
//!
//! Equal jsonb may look different (`1.0` and `1`), and so may equal intervals (`30 days` and `1 mon`): of a group the first
//! one is shown, as in PostgreSQL. Grouping sets keep Arrow's equality, but for citext.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, GroupingSet, LogicalPlan, Projection, SortExpr, Window, WindowFrameBound,
    WindowFrameUnits, WindowFunctionDefinition, when,
};

use crate::functions::vector::{SORT_KEY, wants_sort_key};
use crate::functions::{COLLECT, citext, decimal, framed, sort_keys};
use crate::planner::casts::input_schema;
use crate::planner::characters::as_noted;
use crate::planner::operators::call;
use crate::types::arrow::type_of;
use crate::types::citext::is_folded;

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
                let (aggregate, repeated) = repeating(aggregate)?;
                let grouped = grouped(aggregate)?;
                let changed = transformed || grouped.transformed || !repeated.is_empty();
                let plan = without_repeated(grouped.data, &repeated)?;
                Ok(Transformed::new_transformed(plan, changed))
            }
            node => Ok(node),
        },
        LogicalPlan::Join(mut join) => {
            // What INTERSECT, EXCEPT and `=` of subqueries have become.
            let mut changed = false;
            for (left, right) in &mut join.on {
                changed |= by_key(left, join.left.schema(), join_key)?;
                changed |= by_key(right, join.right.schema(), join_key)?;
            }
            Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(keyed.data)
}

/// Functions that are called one upon the other.
type Key = &'static [&'static str];

/// The function whose result orders as values of a field do.
fn sort_key(field: &Field) -> Option<Key> {
    match field.data_type() {
        DataType::List(_) if is_of_citext(field) => Some(&[citext::KEY, sort_keys::ARRAY]),
        ty if wants_sort_key(ty) => Some(&[SORT_KEY]),
        DataType::List(_) => Some(&[sort_keys::ARRAY]),
        ty => equality_key(field).or_else(|| is_float(ty).then_some(&[sort_keys::FLOAT])),
    }
}

/// The same of types whose equal values may look different.
fn equality_key(field: &Field) -> Option<Key> {
    if is_of_citext(field) {
        return Some(&[citext::KEY]);
    }
    join_key(field)
}

fn is_of_citext(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Utf8 | DataType::List(_)) && is_folded(&type_of(field))
}

/// The same in a join, where citext is compared by its key already, or as a text.
fn join_key(field: &Field) -> Option<Key> {
    Some(match field.data_type() {
        DataType::LargeUtf8 => &[sort_keys::DOCUMENT],
        DataType::Interval(_) => &[sort_keys::INTERVAL],
        ty if *ty == decimal::any() => &[sort_keys::NUMBER],
        DataType::List(item)
            if matches!(item.data_type(), DataType::List(_))
                || is_float(item.data_type())
                || join_key(item).is_some() =>
        {
            &[sort_keys::ARRAY]
        }
        DataType::Struct(_) => &[sort_keys::ARRAY],
        _ => return None,
    })
}

fn is_float(ty: &DataType) -> bool {
    matches!(ty, DataType::Float32 | DataType::Float64)
}

fn by_key(expr: &mut Expr, schema: &DFSchema, key: impl Fn(&Field) -> Option<Key>) -> Result<bool> {
    let Some(key) = key(&expr.to_field(schema)?.1) else { return Ok(false) };
    *expr = keyed(std::mem::take(expr), key);
    Ok(true)
}

fn keyed(expr: Expr, key: Key) -> Expr {
    key.iter().fold(expr, |expr, function| call(function, vec![expr]))
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
            changed |= with_peers(&mut function);
            Ok(Transformed::new_transformed(Expr::WindowFunction(function), changed))
        })?;
        Ok(changed.update_data(|expr| name.restore(expr)))
    })
}

/// A function over a frame of ours takes its keys as arguments.
fn with_peers(function: &mut WindowFunction) -> bool {
    let WindowFunctionDefinition::WindowUDF(known) = &function.fun else { return false };
    let Some(keyed) = framed::with_keys(known, function.params.order_by.len()) else { return false };
    function.fun = WindowFunctionDefinition::WindowUDF(Arc::new(keyed));
    let keys = function.params.order_by.iter().map(|key| key.expr.clone());
    function.params.args.extend(keys);
    true
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

/// The aggregate with all values of citext where it collected distinct ones, in their order; and where those are among its
/// outputs.
fn repeating(mut aggregate: Aggregate) -> Result<(Aggregate, Vec<usize>)> {
    let input = Arc::clone(aggregate.input.schema());
    let before = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let mut repeated = Vec::new();
    for (place, expr) in aggregate.aggr_expr.iter_mut().enumerate() {
        let name = expr.schema_name().to_string();
        let Expr::AggregateFunction(mut function) = expr.clone().unalias() else { continue };
        let is_collected = matches!(function.func.name(), "array_agg" | COLLECT) && function.params.distinct;
        let params = &mut function.params;
        let ([item], true) = (params.args.as_slice(), is_collected) else { continue };
        if !is_of_citext(&item.to_field(&input)?.1) {
            continue;
        }
        if params.order_by.is_empty() {
            params.order_by.push(SortExpr::new(item.clone(), true, false));
        }
        order(&mut params.order_by, &input)?;
        params.distinct = false;
        *expr = Expr::AggregateFunction(function).alias_if_changed(name)?;
        repeated.push(before + place);
    }
    Ok((aggregate, repeated))
}

/// The plan with each value once in the arrays at these places.
fn without_repeated(plan: LogicalPlan, repeated: &[usize]) -> Result<LogicalPlan> {
    if repeated.is_empty() {
        return Ok(plan);
    }
    let mut outputs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    for &place in repeated {
        let (qualifier, field) = plan.schema().qualified_field(place);
        outputs[place] = call(citext::DISTINCT, vec![std::mem::take(&mut outputs[place])])
            .alias_qualified(qualifier.cloned(), field.name());
    }
    Ok(LogicalPlan::Projection(Projection::try_new(outputs, Arc::new(plan))?))
}

/// Groups by keys, of which the first values are shown.
fn grouped(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    if let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() {
        let sets = sets.clone();
        return grouped_by_sets(aggregate, sets);
    }
    let input = aggregate.input.schema();
    let mut keys = Vec::with_capacity(aggregate.group_expr.len());
    for expr in &aggregate.group_expr {
        keys.push(equality_key(&expr.to_field(input)?.1));
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
        groups.push(keyed(expr.clone().unalias(), key).alias(format!("{FIRST} key {place}")));
        aggregates.push(first_value(expr.clone().unalias(), Vec::new()).alias(&name));
        let (qualifier, field) = aggregate.schema.qualified_field(place);
        outputs[place] =
            Expr::Column(Column::new_unqualified(name)).alias_qualified(qualifier.cloned(), field.name());
    }
    let keyed = Aggregate::try_new(aggregate.input, groups, aggregates)?;
    let shown = Projection::try_new(outputs, Arc::new(LogicalPlan::Aggregate(keyed)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}

/// Groups by sets of keys. The key of a column that a set leaves out is NULL, and so is what is shown of it. Only citext is
/// grouped so: other types keep Arrow's equality.
fn grouped_by_sets(aggregate: Aggregate, sets: GroupingSet) -> Result<Transformed<LogicalPlan>> {
    let input = aggregate.input.schema();
    let distinct = sets.distinct_expr();
    let mut folded = Vec::with_capacity(distinct.len());
    for expr in &distinct {
        folded.push(is_of_citext(&expr.to_field(input)?.1));
    }
    if !folded.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let mut aggregates = aggregate.aggr_expr.clone();
    let mut outputs: Vec<Expr> = aggregate.schema.columns().into_iter().map(Expr::Column).collect();
    let key_name = |place: usize| format!("{FIRST} key {place}");
    for place in (0..distinct.len()).filter(|place| folded[*place]) {
        let name = format!("{FIRST}{place}");
        aggregates.push(first_value(distinct[place].clone().unalias(), Vec::new()).alias(&name));
        let (qualifier, field) = aggregate.schema.qualified_field(place);
        let (first, key) = (Column::new_unqualified(name), Column::new_unqualified(key_name(place)));
        let shown = when(Expr::Column(key).is_not_null(), Expr::Column(first)).end()?;
        outputs[place] = as_noted(shown, &type_of(field)).alias_qualified(qualifier.cloned(), field.name());
    }
    let keyed = |expr: &Expr| match distinct.iter().position(|other| *other == expr) {
        Some(place) if folded[place] => keyed(expr.clone().unalias(), &[citext::KEY]).alias(key_name(place)),
        _ => expr.clone(),
    };
    let all = |exprs: &Vec<Expr>| exprs.iter().map(keyed).collect::<Vec<Expr>>();
    let sets = match &sets {
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(all(exprs)),
        GroupingSet::Cube(exprs) => GroupingSet::Cube(all(exprs)),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.iter().map(all).collect()),
    };
    let keyed = Aggregate::try_new(aggregate.input, vec![Expr::GroupingSet(sets)], aggregates)?;
    let shown = Projection::try_new(outputs, Arc::new(LogicalPlan::Aggregate(keyed)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(shown)))
}
