//! Tells apart what is grouped by, and aggregates, that the planner would call alike: it does not look at casts.
//!
//! ```text
//!   SELECT at, at::date, count(*) FROM t GROUP BY at, at::date
//!   SELECT at, hither_key(at::date, 2), count(*) FROM t GROUP BY at, hither_key(at::date, 2)
//!
//!   SELECT sum(a), sum(a::int8) FROM t
//!   SELECT sum(a), sum(hither_key(a::int8, 2)) FROM t
//! ```
//!
//! So it does with windows, and with arrays that are unnested.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
};

use crate::functions::key;
use crate::sql::aggregates;
use crate::sql::known::{Known, factors};
use crate::sql::rewrite::{bare_text, folded, function_call, name_of};
use crate::sql::trees::{computed, number, place};
use crate::sql::visit;

/// Does so in the selects of a query. `hidden` are the names of WITH.
pub fn tell_apart(query: &mut Query, known: &Known, hidden: &[String]) {
    let mut none = Vec::new();
    let order = match query.order_by.as_mut().map(|order| &mut order.kind) {
        Some(OrderByKind::Expressions(exprs)) => exprs,
        _ => &mut none,
    };
    in_body(&mut query.body, order, known, hidden);
}

fn in_body(body: &mut SetExpr, order: &mut Vec<ast::OrderByExpr>, known: &Known, hidden: &[String]) {
    match body {
        SetExpr::Select(select) => in_select(select, order, known, hidden),
        SetExpr::SetOperation { left, right, .. } => {
            in_body(left, &mut Vec::new(), known, hidden);
            in_body(right, &mut Vec::new(), known, hidden);
        }
        _ => {}
    }
}

fn in_select(select: &mut Select, order: &mut Vec<ast::OrderByExpr>, known: &Known, hidden: &[String]) {
    tell_aggregates_apart(select, order);
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return };
    let is_set =
        |key: &Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) | Expr::Tuple(_));
    if keys.len() < 2 || keys.iter().any(is_set) {
        return;
    }
    let meant: Vec<Expr> = keys.iter().map(|key| meant(key, select, known, hidden)).collect();
    let names: Vec<String> = meant.iter().map(name).collect();
    let is_twin = |place: usize| {
        !is_column(&meant[place])
            && names.iter().enumerate().any(|(other, name)| other != place && *name == names[place])
    };
    let twins: Vec<usize> = (0..meant.len()).filter(|&place| is_twin(place)).collect();
    for place in twins {
        let told = function_call(key::NAME, vec![meant[place].clone(), number(place + 1)]);
        let text = canonical(&meant[place]);
        let mut tell = |expr: &mut Expr| {
            if canonical(expr) == text {
                *expr = told.clone();
            }
            ControlFlow::<()>::Continue(())
        };
        let _ = visit::expressions_mut(&mut select.projection, &mut tell);
        let _ = visit::expressions_mut(&mut select.having, &mut tell);
        let _ = visit::expressions_mut(order, &mut tell);
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys[place] = told;
        }
    }
}

fn tell_aggregates_apart(select: &mut Select, order: &mut Vec<ast::OrderByExpr>) {
    // By name: how each that is called so is written, without what makes no difference.
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    let mut tell = |expr: &mut Expr| {
        let is_called_alike = |function: &Function| {
            function.over.is_some()
                || aggregates::is_aggregate_of_any(function)
                || function.name.to_string().eq_ignore_ascii_case("unnest")
        };
        if !matches!(&*expr, Expr::Function(function) if is_called_alike(function)) {
            return ControlFlow::Continue(());
        }
        let written = canonical(expr);
        let alike = seen.entry(without_casts(expr)).or_default();
        let place = alike.iter().position(|other| *other == written).unwrap_or_else(|| {
            alike.push(written);
            alike.len() - 1
        });
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.first_mut()
            && place > 0
        {
            let told = function_call(key::NAME, vec![argument.clone(), number(place + 1)]);
            let text = canonical(argument);
            // In an aggregate with DISTINCT it orders by what it is given.
            for clause in &mut list.clauses {
                let FunctionArgumentClause::OrderBy(keys) = clause else { continue };
                keys.iter_mut()
                    .filter(|key| canonical(&key.expr) == text)
                    .for_each(|key| key.expr = told.clone());
            }
            *argument = told;
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit::expressions_mut(&mut select.projection, &mut tell);
    let _ = visit::expressions_mut(&mut select.having, &mut tell);
    let _ = visit::expressions_mut(order, &mut tell);
}

/// What a key stands for: an item of the list, by its number or by a name that no column has.
fn meant(key: &Expr, select: &Select, known: &Known, hidden: &[String]) -> Expr {
    let item = match key {
        Expr::Value(_) => place(key).and_then(|place| select.projection.get(place)),
        Expr::Identifier(name) => {
            let name = folded(name);
            let is_no_column = factors(&select.from).into_iter().all(|factor| {
                known.columns_of(factor, hidden).is_some_and(|columns| !columns.names.contains(&name))
            });
            let named = |item: &&SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == name);
            select.projection.iter().find(named).filter(|_| is_no_column)
        }
        _ => None,
    };
    item.and_then(computed).unwrap_or(key).clone()
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// What the planner would call it, without the table: it does not look at casts.
fn name(expr: &Expr) -> String {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => name(inner),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => name_of(expr),
        other => bare_text(other),
    }
}

/// Arrays that are unnested side by side, of which the planner would call some alike, under names of their own.
pub fn tell_arrays_apart(arrays: &mut [Expr]) {
    let names: Vec<String> = arrays.iter().map(without_casts).collect();
    for (place, array) in arrays.iter_mut().enumerate() {
        if names[..place].contains(&names[place]) {
            *array = function_call(key::NAME, vec![array.clone(), number(place + 1)]);
        }
    }
}

/// The same of arrays of which queries are part, which the planner calls by what they yield.
pub fn number_queries(arrays: &mut [Expr]) {
    for (place, array) in arrays.iter_mut().enumerate().skip(1) {
        let is_query = |part: &Expr| match part {
            Expr::Subquery(_) => true,
            Expr::Function(call) => matches!(call.args, ast::FunctionArguments::Subquery(_)),
            _ => false,
        };
        let found = visit::expressions(array, |part| match is_query(part) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        if found.is_break() {
            *array = function_call(key::NAME, vec![array.clone(), number(place + 1)]);
        }
    }
}

/// The text of an expression without its casts.
fn without_casts(expr: &Expr) -> String {
    written(expr, |part| match part {
        Expr::Cast { expr: inner, .. } => Some((**inner).clone()),
        _ => None,
    })
}

/// The text of an expression, however its casts and brackets are written.
fn canonical(expr: &Expr) -> String {
    written(expr, |part| {
        if let Expr::Cast { kind, .. } = part {
            *kind = CastKind::DoubleColon;
        }
        None
    })
}

/// The text of an expression without brackets; `settle` changes a part, or gives what stands for it.
fn written(expr: &Expr, settle: impl Fn(&mut Expr) -> Option<Expr>) -> String {
    let mut expr = expr.clone();
    let _ = visit::expressions_mut(&mut expr, |part| {
        loop {
            let other = match &mut *part {
                Expr::Nested(inner) => Some((**inner).clone()),
                part => settle(part),
            };
            let Some(other) = other else { break };
            *part = other;
        }
        ControlFlow::<()>::Continue(())
    });
    expr.to_string()
}
