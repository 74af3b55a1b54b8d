//! Tells apart what is grouped by, and aggregates, that the planner would call alike. It knows a column by a name made of
//! the expression, in which there are no casts, no brackets, and of a subquery only the name of its column.
//!
//! ```text
//!   SELECT at, at::date, count(*) FROM t GROUP BY at, at::date
//!   SELECT at, hither_key(at::date, 2), count(*) FROM t GROUP BY at, hither_key(at::date, 2)
//!
//!   SELECT sum(a - (b - c)), sum(a - b - c) FROM t
//!   SELECT sum(a - (b - c)), sum(hither_key(a - b - c, 2)) FROM t
//! ```
//!
//! So it does with windows, and with arrays that are unnested.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, Value, WindowType,
};

use crate::functions::key;
use crate::planner::names;
use crate::sql::aggregates;
use crate::sql::known::{Known, factors};
use crate::sql::rewrite::{folded, function_call, name_of};
use crate::sql::trees::{computed, literal, number, place};
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
    if has_sets(select) {
        with_keys(select, |select, mut keys| tell_items_apart(&mut keys, select, known, hidden));
    }
    with_keys(select, |select, keys| tell_keys_apart(keys, select, order, known, hidden));
}

/// Writes out the keys that are named by an item of the list.
pub fn spell_groups(select: &mut Select, known: &Known, hidden: &[String]) {
    with_keys(select, |select, keys| {
        keys.into_iter().for_each(|key| *key = meant(key, select, known, hidden));
    });
}

/// Hands out what is grouped by, and the rest of the select.
fn with_keys(select: &mut Select, change: impl FnOnce(&mut Select, Vec<&mut Expr>)) {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return };
    let mut taken = std::mem::take(keys);
    change(select, taken.iter_mut().flat_map(members).collect());
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        *keys = taken;
    }
}

fn has_sets(select: &Select) -> bool {
    let is_set = |key: &Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
    matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.iter().any(is_set))
}

/// What an item of GROUP BY groups by.
fn members(item: &mut Expr) -> Vec<&mut Expr> {
    match item {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter_mut().flatten().flat_map(members).collect()
        }
        Expr::Tuple(keys) => keys.iter_mut().collect(),
        key => vec![key],
    }
}

/// Of grouping sets: items of one expression that keys name one by one are grouped by one by one.
///
/// ```text
///   SELECT a AS x, a AS y FROM t GROUP BY x, ROLLUP (y)
///   SELECT a AS x, hither_key(a, 4) AS y FROM t GROUP BY a, ROLLUP (hither_key(a, 4))
/// ```
fn tell_items_apart(keys: &mut [&mut Expr], select: &mut Select, known: &Known, hidden: &[String]) {
    let texts: Vec<Option<String>> =
        select.projection.iter().map(|item| computed(item).map(canonical)).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    let count = keys.len();
    for key in keys {
        let meant = meant(key, select, known, hidden);
        let text = canonical(&meant);
        let same = || texts.iter().position(|other| other.as_ref() == Some(&text));
        let Some(item) = named_item(key, select, known, hidden).or_else(same) else { continue };
        if *first.entry(text).or_insert(item) == item {
            continue;
        }
        let told = function_call(key::NAME, vec![meant, number(count + item + 1)]);
        **key = told.clone();
        let shown = match &select.projection[item] {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            SelectItem::UnnamedExpr(expr) => Ident::with_quote('"', names::numbered(&name_of(expr), item)),
            _ => continue,
        };
        select.projection[item] = SelectItem::ExprWithAlias { expr: told, alias: shown };
    }
}

fn tell_keys_apart(
    keys: Vec<&mut Expr>,
    select: &mut Select,
    order: &mut Vec<ast::OrderByExpr>,
    known: &Known,
    hidden: &[String],
) {
    if keys.len() < 2 {
        return;
    }
    let meant: Vec<Expr> = keys.iter().map(|key| meant(key, select, known, hidden)).collect();
    // By name, as what is called so is written: of a key that stands in several sets once.
    let mut written: HashMap<String, Vec<String>> = HashMap::new();
    let texts: Vec<(String, String)> = meant.iter().map(|key| (name(key), canonical(key))).collect();
    for (name, text) in &texts {
        let alike = written.entry(name.clone()).or_default();
        if !alike.contains(text) {
            alike.push(text.clone());
        }
    }
    let mut told: HashMap<&str, Expr> = HashMap::new();
    for (place, (key, (name, text))) in keys.into_iter().zip(&texts).enumerate() {
        if is_column(&meant[place]) || written[name].len() == 1 {
            continue;
        }
        let told = told.entry(text).or_insert_with(|| {
            let told = function_call(key::NAME, vec![meant[place].clone(), number(place + 1)]);
            let mut tell = |expr: &mut Expr| {
                if canonical(expr) == *text {
                    *expr = told.clone();
                }
                ControlFlow::<()>::Continue(())
            };
            let _ = visit::expressions_mut(&mut select.projection, &mut tell);
            let _ = visit::expressions_mut(&mut select.having, &mut tell);
            let _ = visit::expressions_mut(order, &mut tell);
            told
        });
        *key = told.clone();
    }
}

fn tell_aggregates_apart(select: &mut Select, order: &mut Vec<ast::OrderByExpr>) {
    // By name: how each that is called so is written, without what makes no difference.
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    let mut tell = |expr: &mut Expr| {
        let is_called_alike = |function: &Function| {
            function.over.is_some()
                || !function.within_group.is_empty()
                || aggregates::is_aggregate_of_any(function)
                || function.name.to_string().eq_ignore_ascii_case("unnest")
        };
        if !matches!(&*expr, Expr::Function(function) if is_called_alike(function)) {
            return ControlFlow::Continue(());
        }
        let written = canonical(expr);
        let alike = seen.entry(planned_name(expr)).or_default();
        let place = alike.iter().position(|other| *other == written).unwrap_or_else(|| {
            alike.push(written);
            alike.len() - 1
        });
        if let Expr::Function(function) = expr
            && place > 0
        {
            tell_call(function, place + 1);
        }
        ControlFlow::<()>::Continue(())
    };
    let _ = visit::expressions_mut(&mut select.projection, &mut tell);
    let _ = visit::expressions_mut(&mut select.having, &mut tell);
    let _ = visit::expressions_mut(order, &mut tell);
}

/// Puts the number into a call where that makes no difference to it: not around what has to be a constant, as the argument
/// of ntile() and the fraction of percentile_cont().
fn tell_call(function: &mut Function, place: usize) {
    let is_aggregate = aggregates::is_aggregate_of_any(function);
    let tell = |part: &mut Expr| {
        let text = canonical(part);
        *part = function_call(key::NAME, vec![part.clone(), number(place)]);
        (text, part.clone())
    };
    if let Some(first) = function.within_group.first_mut() {
        tell(&mut first.expr);
        return;
    }
    if let Some(WindowType::WindowSpec(window)) = function.over.as_mut()
        && !is_aggregate
        && let Some(first) =
            window.order_by.iter_mut().map(|key| &mut key.expr).chain(&mut window.partition_by).next()
    {
        tell(first);
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    let (text, told) = match list.args.first_mut() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) => tell(argument),
        // Of count(*).
        Some(FunctionArg::Unnamed(all @ FunctionArgExpr::Wildcard)) => {
            let mut one = number(1);
            tell(&mut one);
            *all = FunctionArgExpr::Expr(one);
            return;
        }
        _ => return,
    };
    // In an aggregate with DISTINCT it orders by what it is given.
    for clause in &mut list.clauses {
        let FunctionArgumentClause::OrderBy(keys) = clause else { continue };
        keys.iter_mut().filter(|key| canonical(&key.expr) == text).for_each(|key| key.expr = told.clone());
    }
}

/// What a key stands for: an item of the list, by its number or by a name that no column has.
fn meant(key: &Expr, select: &Select, known: &Known, hidden: &[String]) -> Expr {
    let item = named_item(key, select, known, hidden).and_then(|place| select.projection.get(place));
    item.and_then(computed).unwrap_or(key).clone()
}

/// The place of the item that a key names so.
fn named_item(key: &Expr, select: &Select, known: &Known, hidden: &[String]) -> Option<usize> {
    match key {
        Expr::Value(_) => place(key).filter(|place| *place < select.projection.len()),
        Expr::Identifier(name) => {
            let name = folded(name);
            let named = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if folded(alias) == name);
            let found = select.projection.iter().position(named)?;
            let is_no_column = factors(&select.from).into_iter().all(|factor| {
                known.columns_of(factor, hidden).is_some_and(|columns| !columns.names.contains(&name))
            });
            is_no_column.then_some(found)
        }
        _ => None,
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// What the planner would call it, without the table.
fn name(expr: &Expr) -> String {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => name(inner),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => name_of(expr),
        other => planned_name(other),
    }
}

/// Arrays that are unnested side by side, of which the planner would call some alike, under names of their own.
pub fn tell_arrays_apart(arrays: &mut [Expr]) {
    let names: Vec<String> = arrays.iter().map(planned_name).collect();
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

/// Of an expression what the planner's name for it tells, and maybe less: what is called alike without need gets a number.
fn planned_name(expr: &Expr) -> String {
    let none = || Expr::value(Value::Null);
    let name = written(expr, |part| match part {
        Expr::Cast { expr: inner, .. } => *part = std::mem::replace(&mut **inner, none()),
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => *part = none(),
        // Written as it is, a text may look like the end of a text and the begin of another.
        part => {
            if let Some(text) = literal(part) {
                *part = Expr::Identifier(Ident::new(format!("Utf8(\"{text}\")")));
            }
        }
    });
    name.replace(' ', "")
}

/// The text of an expression, however its casts and brackets are written.
pub fn canonical(expr: &Expr) -> String {
    written(expr, settle_spelling)
}

/// One spelling of casts, brackets and names in quotes.
fn settle_spelling(part: &mut Expr) {
    match part {
        Expr::Cast { kind, .. } => *kind = CastKind::DoubleColon,
        Expr::Identifier(name) => fold_name(name),
        Expr::CompoundIdentifier(names) => names.iter_mut().for_each(fold_name),
        other => put_in_brackets(other),
    }
}

fn fold_name(name: &mut Ident) {
    *name = Ident::with_quote('"', folded(name));
}

/// [`canonical`] without casts, names of tables and the case of letters.
pub fn loose(expr: &Expr) -> String {
    let text = written(expr, |part| {
        if let Expr::Cast { expr: inner, .. } = part {
            *part = std::mem::replace(&mut **inner, Expr::value(Value::Null));
        }
        forget_table(part);
        settle_spelling(part);
    });
    text.to_lowercase()
}

/// Expressions told apart by how they are written, as far as both say of which tables their columns are: `t.a` is `a`.
#[derive(Default)]
pub struct Spellings {
    canonical: HashMap<String, usize>,
    /// Without names of tables: the first, and the first that had none.
    bare: HashMap<String, (usize, Option<usize>)>,
}

impl Spellings {
    /// Numbered by their places.
    pub fn of<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Spellings {
        let mut spellings = Spellings::default();
        exprs.into_iter().enumerate().for_each(|(place, expr)| spellings.add(expr, place));
        spellings
    }

    pub fn add(&mut self, expr: &Expr, number: usize) {
        let (whole, bare) = (canonical(expr), unqualified(expr));
        let without_table = (whole == bare).then_some(number);
        self.canonical.entry(whole).or_insert(number);
        let known = self.bare.entry(bare).or_insert((number, without_table));
        known.1 = known.1.or(without_table);
    }

    /// The number of an expression that is the same; one that is written just so before others.
    pub fn find(&self, expr: &Expr) -> Option<usize> {
        let (whole, bare) = (canonical(expr), unqualified(expr));
        let alike = || {
            let (first, without_table) = *self.bare.get(&bare)?;
            if whole == bare { Some(first) } else { without_table }
        };
        self.canonical.get(&whole).copied().or_else(alike)
    }
}

/// [`canonical`] without names of tables.
fn unqualified(expr: &Expr) -> String {
    written(expr, |part| {
        forget_table(part);
        settle_spelling(part);
    })
}

fn forget_table(part: &mut Expr) {
    if let Expr::CompoundIdentifier(parts) = part
        && let Some(last) = parts.pop()
    {
        *part = Expr::Identifier(last);
    }
}

/// Unless it is clear where it ends, as of names, values and calls.
fn put_in_brackets(part: &mut Expr) {
    if !matches!(
        part,
        Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Function(_)
            | Expr::Nested(_)
    ) {
        *part = Expr::Nested(Box::new(std::mem::replace(part, Expr::value(Value::Null))));
    }
}

/// The text of an expression without brackets, each part of it changed by `settle` after those in it.
fn written(expr: &Expr, settle: impl Fn(&mut Expr)) -> String {
    let mut expr = expr.clone();
    let _ = visit::expressions_mut(&mut expr, |part| {
        while let Expr::Nested(inner) = part {
            *part = std::mem::replace(&mut **inner, Expr::value(Value::Null));
        }
        settle(part);
        ControlFlow::<()>::Continue(())
    });
    expr.to_string()
}
