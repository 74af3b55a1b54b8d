//! ORDER BY by expressions that the planner does not find in the list.
//!
//! ```text
//!   SELECT DISTINCT v <-> q FROM t ORDER BY v <-> q        SELECT DISTINCT v <-> q FROM t ORDER BY 1
//!   SELECT unnest(t.tags) AS tag FROM t ORDER BY t.id      SELECT tag FROM (SELECT unnest(t.tags) AS tag, t.id AS key
//!                                                          FROM t) AS q ORDER BY key
//! ```
//!
//! Rows of arrays are also made below when an item is called as a column that the list reads: the planner reads both
//! under one name (`SELECT unnest(tags), id + 1 AS id FROM t`).
//!
//! DISTINCT ON by what is no column, and DISTINCT of groups, are made in one query and sorted in another as well.
//!
//! A name alone is that of an item, and one within an expression or behind that of a table is a column's, which the planner
//! does not tell apart (<https://www.postgresql.org/docs/17/queries-order.html>):
//!
//! ```text
//!   SELECT -a AS a FROM t ORDER BY t.a                     SELECT item AS a FROM (SELECT -a AS item, t.a AS key FROM t) AS q
//!                                                          ORDER BY key
//! ```

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr,
    Visit,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::aggregates::has_aggregate;
use crate::sql::group_names::{Spellings, loose, spell_groups};
use crate::sql::known::{Known, quoted};
use crate::sql::rewrite::{folded, function_call, has_subquery, is_column, name_of, plain_name};
use crate::sql::set_functions::is_array_of_set;
use crate::sql::trees::{
    alias_of, computed, derived, lone_name, number, place, query_from, query_of, unnested,
};
use crate::sql::visit;
use crate::sql::volatile;

/// The rows before they are sorted; no query of a user has a table called so.
const ROWS: &str = "hither_rows";

/// Rewrites the order of a query. 42702 for a name that several items have.
pub fn settle(query: &mut Query, known: &Known, hidden: &[String]) -> Result<()> {
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        keys.iter_mut().for_each(|key| open_name(&mut key.expr));
    }
    check_names(query)?;
    number_names(query);
    if let SetExpr::SetOperation { left, right, .. } = query.body.as_mut() {
        make_below(left);
        make_below(right);
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return Ok(()) };
    if let Some(Distinct::On(on)) = &select.distinct {
        // PostgreSQL tells such rows apart by sorting them, and so they come.
        if query.order_by.is_none() {
            let keys =
                on.iter().map(|key| OrderByExpr { expr: key.clone(), ..OrderByExpr::from(Ident::new(ROWS)) });
            query.order_by =
                Some(OrderBy { kind: OrderByKind::Expressions(keys.collect()), interpolate: None });
        }
        settle_on(query, known, hidden);
        return Ok(());
    }
    let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
    if is_distinct {
        check_distinct(select, query.order_by.as_ref())?;
    }
    let has_aggregates = || select.projection.iter().filter_map(computed).any(has_aggregate);
    let has_groups = query.order_by.is_some() && (is_grouped(select) || has_aggregates());
    if has_groups
        && (is_distinct || sorts_beside_groups(select, query.order_by.as_ref()))
        && sort_groups(query, known, hidden)
    {
        return Ok(());
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return Ok(()) };
    let makes_rows = (is_distinct || select.distinct.is_none()) && select.projection.iter().any(makes_rows);
    if is_distinct {
        number_items(query);
    } else if !makes_rows {
        spell_numbers(query);
    }
    if makes_rows {
        sort_above(query);
    } else {
        sort_by_hidden(query, known, hidden);
    }
    Ok(())
}

/// A name in brackets is a name alone.
fn open_name(key: &mut Expr) {
    if let Some(name) = lone_name(key) {
        *key = Expr::Identifier(name.clone());
    }
}

/// Whether items that a key names are the same. Columns are where that is not known: `a` and `t.a`.
fn check_names(query: &Query) -> Result<()> {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &query.order_by) else {
        return Ok(());
    };
    let OrderByKind::Expressions(keys) = &order.kind else { return Ok(()) };
    for key in keys {
        let Expr::Identifier(name) = &key.expr else { continue };
        let name = folded(name);
        let mut named = select
            .projection
            .iter()
            .filter_map(item)
            .filter(|(_, shown)| *shown == name)
            .map(|(expr, _)| expr);
        let Some(first) = named.next() else { continue };
        if named.any(|other| differ(first, other)) {
            return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, format!("ORDER BY \"{name}\" is ambiguous")));
        }
    }
    Ok(())
}

/// Names of several items that are the same, as the place of the first: the others get names that differ.
pub fn number_repeated(query: &mut Query) {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    // Behind a `*` nobody knows the numbers.
    let items: Vec<(&Expr, String)> = select.projection.iter().map_while(item).collect();
    for key in keys {
        let Some(name) = lone_name(&key.expr).map(folded) else { continue };
        let named: Vec<usize> = (0..items.len()).filter(|place| items[*place].1 == name).collect();
        if let [first, others @ ..] = named.as_slice()
            && !others.is_empty()
            && !others.iter().any(|other| differ(items[*first].0, items[*other].0))
        {
            key.expr = number(first + 1);
        }
    }
}

/// Whether two items are known to be different: not where one of them has the name of a table and the other has not, nor by
/// letters' case or a cast.
fn differ(one: &Expr, other: &Expr) -> bool {
    let whole = |expr: &Expr| match bare_column(expr) {
        Some(Expr::CompoundIdentifier(parts)) => Some(parts.iter().map(folded).collect::<Vec<_>>()),
        _ => None,
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) if one.len() == other.len() => one != other,
        _ => loose(one) != loose(other),
    }
}

/// The column that an expression is, without casts and brackets.
fn bare_column(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Some(expr),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => bare_column(inner),
        _ => None,
    }
}

/// The expression of an item and the name it is shown by; `None` for `*`.
fn item(item: &SelectItem) -> Option<(&Expr, String)> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some((expr, name_of(expr))),
        SelectItem::ExprWithAlias { expr, alias } => Some((expr, folded(alias))),
        _ => None,
    }
}

/// All items; `None` with a `*`, of which it is not known here what it stands for.
fn items_of(select: &ast::Select) -> Option<Vec<(Expr, String)>> {
    select.projection.iter().map(|one| item(one).map(|(expr, name)| (expr.clone(), name))).collect()
}

/// `SELECT count(*) ... ORDER BY count`: names that PostgreSQL gives to items, as their numbers.
fn number_names(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    // Behind a `*` nobody knows the numbers.
    let items: Vec<&SelectItem> = select.projection.iter().take_while(|one| item(one).is_some()).collect();
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
        return;
    };
    for key in keys {
        let Expr::Identifier(name) = &key.expr else { continue };
        let name = folded(name);
        let mut named =
            items.iter().enumerate().filter(|(_, one)| item(one).is_some_and(|(_, shown)| shown == name));
        if let (Some((place, SelectItem::UnnamedExpr(expr))), None) = (named.next(), named.next())
            && !is_column(expr)
        {
            key.expr = number(place + 1);
        }
    }
}

/// 42P10 for an order by what DISTINCT leaves nothing of.
fn check_distinct(select: &ast::Select, order: Option<&ast::OrderBy>) -> Result<()> {
    let Some(OrderByKind::Expressions(keys)) = order.map(|order| &order.kind) else { return Ok(()) };
    let items: Vec<(&Expr, String)> = select.projection.iter().filter_map(item).collect();
    let texts: HashSet<String> = items.iter().map(|(item, _)| loose(item)).collect();
    // What a `*` has are columns.
    let has_all = items.len() < select.projection.len();
    for key in keys {
        let expr = unnested(&key.expr);
        let is_item = match expr {
            Expr::Value(_) => true,
            Expr::Identifier(name) if items.iter().any(|(_, shown)| *shown == folded(name)) => true,
            _ if has_all && is_column(expr) => true,
            _ => texts.contains(&loose(expr)),
        };
        if !is_item {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            return Err(Error::new(SqlState("42P10"), message));
        }
    }
    Ok(())
}

/// Whether an order is by the place of an item that reads nothing of its group, as a constant or a column of an outer query.
fn sorts_beside_groups(select: &ast::Select, order: Option<&ast::OrderBy>) -> bool {
    let Some(OrderByKind::Expressions(order)) = order.map(|order| &order.kind) else { return false };
    let keys: Vec<&Expr> = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.iter().flat_map(grouped_by).collect(),
        GroupByExpr::All(_) => return false,
    };
    let mut columns = HashSet::new();
    keys.iter().for_each(|key| read_columns(key, &mut columns));
    order.iter().filter_map(|key| place(&key.expr)).any(|number| {
        let Some((item, shown)) = select.projection.get(number).and_then(item) else { return false };
        let is_named = |key: &&Expr| match key {
            Expr::Identifier(name) => folded(name) == shown,
            key => place(key) == Some(number),
        };
        let mut read = HashSet::new();
        read_columns(item, &mut read);
        !keys.iter().any(is_named) && !has_aggregate(item) && read.is_disjoint(&columns)
    })
}

/// Adds the names of the columns that an expression reads.
fn read_columns(expr: &Expr, names: &mut HashSet<String>) {
    let _ = visit::expressions(expr, |part| {
        if is_column(part) {
            names.insert(name_of(part));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// What an item of GROUP BY groups by.
fn grouped_by(item: &Expr) -> Vec<&Expr> {
    match item {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter().flatten().collect(),
        key => vec![key],
    }
}

/// Sorts above groups, and above DISTINCT, what they leave, where the planner looks for the keys in GROUP BY; only by items.
fn sort_groups(query: &mut Query, known: &Known, hidden: &[String]) -> bool {
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) else {
        return false;
    };
    let Some(items) = items_of(select) else { return false };
    let keys = keys_of(order.iter().map(|key| &key.expr), &items);
    // Without the case of letters or a table's name two texts may mean the same.
    let is_by_items = keys.iter().all(|key| matches!(key, Key::Item(_)));
    if is_by_items {
        spell_groups(select, known, hidden);
        computed_below(query, items, keys, Vec::new(), None);
    }
    is_by_items
}

/// `DISTINCT ON (a + 1) ... ORDER BY 1`: by the columns of a query below that computes the list and the keys, for which the
/// planner has names of its own. By columns alone it needs none, nor where a `*` has columns that nobody knows here.
fn settle_on(query: &mut Query, known: &Known, hidden: &[String]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let mut none = Vec::new();
    let order = match query.order_by.as_mut().map(|order| &mut order.kind) {
        Some(OrderByKind::Expressions(order)) => order,
        _ => &mut none,
    };
    let known_items = items_of(select);
    let Some(Distinct::On(on)) = &mut select.distinct else { return };
    if known_items.is_none() {
        // Beside a `*`; places of its columns have been refused.
        let item = |place: usize| select.projection.get(place).and_then(computed).cloned();
        for key in on.iter_mut() {
            if let Some(item) = place(key).and_then(item) {
                *key = item;
            }
        }
    }
    let is_plain = on.iter().chain(order.iter().map(|key| &key.expr)).all(|key| is_column(unnested(key)));
    let Some(items) = known_items.filter(|_| !is_plain) else {
        let spellings = Spellings::of(order.iter().map(|key| &key.expr));
        put_in_order(on, order, |key| spellings.find(key));
        return;
    };
    let on = keys_of(on.iter(), &items);
    let keys = keys_of(order.iter().map(|key| &key.expr), &items);
    spell_groups(select, known, hidden);
    select.distinct = None;
    let mut columns = computed_below(query, items, keys, on, None);
    if let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        let places: Vec<Expr> = order.iter().map(|key| key.expr.clone()).collect();
        put_in_order(&mut columns, order, |column| places.iter().position(|key| key == column));
    }
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.distinct = Some(Distinct::On(columns));
    }
}

/// PostgreSQL takes the keys of DISTINCT ON in any order, and sorts by those that ORDER BY lacks last; the planner wants them
/// in that of ORDER BY. `place` finds one there.
fn put_in_order(on: &mut Vec<Expr>, order: &mut Vec<OrderByExpr>, place: impl Fn(&Expr) -> Option<usize>) {
    if order.is_empty() {
        return;
    }
    let mut placed: Vec<(usize, Expr)> =
        on.drain(..).map(|key| (place(&key).unwrap_or(usize::MAX), key)).collect();
    placed.sort_by_key(|(place, _)| *place);
    for (place, key) in placed {
        if on.contains(&key) {
            continue;
        }
        if place == usize::MAX && on.len() >= order.len() {
            order.push(OrderByExpr { expr: key.clone(), ..OrderByExpr::from(Ident::new(ROWS)) });
        }
        on.push(key);
    }
}

/// Expressions of the list by their number.
fn number_items(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    // Behind a `*` nobody knows the numbers.
    let spellings = Spellings::of(select.projection.iter().map_while(item).map(|(expr, _)| expr));
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
        return;
    };
    for key in keys {
        if matches!(key.expr, Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            continue;
        }
        if let Some(place) = spellings.find(&key.expr) {
            key.expr = number(place + 1);
        }
    }
}

/// Whether a select has GROUP BY.
pub fn is_grouped(select: &ast::Select) -> bool {
    match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    }
}

/// Numbers of expressions over groups as the expressions: the planner looks for their columns below the groups, and
/// loses the aggregate inside one that is named by its place.
fn spell_numbers(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let groups = select.distinct.is_none() && is_grouped(select);
    let items: Vec<Expr> = select
        .projection
        .iter()
        .map_while(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some(expr.clone()),
            SelectItem::ExprWithAlias { alias, .. } => Some(Expr::Identifier(alias.clone())),
            _ => None,
        })
        .collect();
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
        return;
    };
    for key in keys {
        if let Some(item) = place(&key.expr).and_then(|place| items.get(place))
            && (has_aggregate(item) || groups && is_operation(item) && !has_subquery(item))
        {
            key.expr = item.clone();
        }
    }
}

/// Whether it computes something, and the same again when it is computed twice.
fn is_operation(expr: &Expr) -> bool {
    if is_column(expr) || matches!(expr, Expr::Value(_)) {
        return false;
    }
    let differs = visit::expressions(expr, |part| match part {
        Expr::Function(function)
            if function.over.is_some()
                || plain_name(function).is_some_and(|name| volatile::is_one(&name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    differs.is_continue()
}

/// Whether an item makes several rows of one.
pub fn makes_rows(item: &impl Visit) -> bool {
    let found = visit::expressions(item, |part| match part {
        Expr::Function(function)
            if plain_name(function).is_some_and(|name| name == "unnest" || is_array_of_set(&name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// What an order is by.
enum Key {
    /// An item, from 0.
    Item(usize),
    Other(Box<Expr>),
}

/// Whether an item that makes no rows is called as a column that an item reads.
fn hides_columns(items: &[(Expr, String)]) -> bool {
    let mut read = HashSet::new();
    items.iter().for_each(|(expr, _)| read_columns(expr, &mut read));
    items.iter().any(|(expr, shown)| {
        let is_itself = is_column(expr) && name_of(expr) == *shown;
        !is_itself && !makes_rows(expr) && read.contains(shown)
    })
}

/// The same in the arms of a set operation, which have no order of their own.
fn make_below(arm: &mut SetExpr) {
    match arm {
        SetExpr::SetOperation { left, right, .. } => {
            make_below(left);
            make_below(right);
        }
        SetExpr::Select(select) if select.projection.iter().any(makes_rows) => {
            let mut query = query_of(Vec::new());
            std::mem::swap(query.body.as_mut(), arm);
            sort_above(&mut query);
            *arm = *query.body;
        }
        _ => {}
    }
}

/// Makes the rows of arrays in a query below, and sorts and names them above it, where that is needed.
fn sort_above(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let order = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(order)) => order.as_slice(),
        Some(_) => return,
        None => &[],
    };
    let Some(items) = items_of(select) else { return };
    let keys = keys_of(order.iter().map(|key| &key.expr), &items);
    let by_others = keys.iter().any(|key| matches!(key, Key::Other(_)));
    let is_needed = match by_others {
        // What groups and DISTINCT leave are the items.
        true => !is_grouped(select) && select.distinct.is_none(),
        false => hides_columns(&items),
    };
    if !is_needed {
        return;
    }
    let numbers = if by_others { numbers_of(&items) } else { None };
    computed_below(query, items, keys, Vec::new(), numbers);
}

/// Computes the keys of an order below it that read columns called as items are.
fn sort_by_hidden(query: &mut Query, known: &Known, hidden: &[String]) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
        return;
    };
    if select.distinct.is_some() {
        return;
    }
    let hiding: HashSet<String> = select.projection.iter().filter_map(hiding_name).collect();
    let reads_hidden = |key: &Expr| {
        let found =
            visit::own_expressions(key, |part| match is_column(part) && hiding.contains(&name_of(part)) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            });
        !matches!(key, Expr::Identifier(_)) && found.is_break()
    };
    let of_hidden: Vec<bool> = order.iter().map(|key| reads_hidden(&key.expr)).collect();
    let is_no_place =
        |key: &OrderByExpr| place(&key.expr).is_some_and(|place| place >= select.projection.len());
    if hiding.is_empty() || !of_hidden.contains(&true) || order.iter().any(is_no_place) {
        return;
    }
    let Some(items) = items_of(select) else { return };
    let keys = keys_of(order.iter().map(|key| &key.expr), &items);
    let is_beside = |(key, hidden): (&Key, &bool)| *hidden && matches!(key, Key::Other(_));
    if keys.iter().zip(&of_hidden).any(is_beside) {
        // Items have other names below.
        if let SetExpr::Select(select) = query.body.as_mut() {
            spell_groups(select, known, hidden);
        }
        computed_below(query, items, keys, Vec::new(), None);
        return;
    }
    for ((key, order), hidden) in keys.into_iter().zip(order).zip(of_hidden) {
        if let (Key::Item(place), true) = (key, hidden) {
            order.expr = number(place + 1);
        }
    }
}

/// The name that an item is given, where it is not that of the column it is.
fn hiding_name(item: &SelectItem) -> Option<String> {
    let SelectItem::ExprWithAlias { expr, alias } = item else { return None };
    let name = folded(alias);
    let inner = unnested(expr);
    // A cast of it is called so as well, and another value.
    let is_itself = !matches!(inner, Expr::Cast { .. }) && is_column(inner) && name_of(inner) == name;
    (!is_itself).then_some(name)
}

/// Puts a query around a select: it sorts by what the select computes, `numbers` after the keys, and shows the items. The
/// columns of `on` are returned.
fn computed_below(
    query: &mut Query,
    items: Vec<(Expr, String)>,
    keys: Vec<Key>,
    on: Vec<Key>,
    numbers: Option<Expr>,
) -> Vec<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Vec::new() };
    let mut none = Vec::new();
    let order = match query.order_by.as_mut().map(|order| &mut order.kind) {
        Some(OrderByKind::Expressions(order)) => order,
        _ => &mut none,
    };
    let column = |place: usize| Ident::new(format!("hither_{place}"));
    let of_rows = |place: usize| Expr::CompoundIdentifier(vec![Ident::new(ROWS), column(place)]);
    let mut inner: Vec<Expr> = items.iter().map(|(expr, _)| expr.clone()).collect();
    let mut of_key = |key: Key| {
        let expr = match key {
            Key::Item(place) => return of_rows(place),
            Key::Other(expr) => *expr,
        };
        // A key of DISTINCT ON and of the order is one column. Those that differ from run to run are items, or said once.
        let same = inner.iter().skip(items.len()).position(|other| *other == expr);
        let place = same.map_or(inner.len(), |place| items.len() + place);
        if same.is_none() {
            inner.push(expr);
        }
        of_rows(place)
    };
    let on = on.into_iter().map(&mut of_key).collect();
    for (key, order) in keys.into_iter().zip(order.iter_mut()) {
        order.expr = of_key(key);
    }
    if let Some(numbers) = numbers {
        let expr = of_key(Key::Other(Box::new(numbers)));
        order.push(OrderByExpr { expr, ..OrderByExpr::from(Ident::new(ROWS)) });
    }
    let shown = items
        .iter()
        .enumerate()
        .map(|(place, (_, name))| SelectItem::ExprWithAlias { expr: of_rows(place), alias: quoted(name) });
    let named = |(place, expr)| SelectItem::ExprWithAlias { expr, alias: column(place) };
    select.projection = inner.into_iter().enumerate().map(named).collect();
    let mut below = query_of(Vec::new());
    std::mem::swap(&mut below.body, &mut query.body);
    let rows = derived(false, below, alias_of(Ident::new(ROWS)));
    query.body = query_from(shown.collect(), rows).body;
    on
}

/// The rows that arrays make of one row stay in order: `unnest(hither_ordinals(a, b))`.
fn numbers_of(items: &[(Expr, String)]) -> Option<Expr> {
    let mut arrays = Vec::new();
    for (expr, _) in items {
        if let Expr::Function(function) = expr
            && function.name.to_string().eq_ignore_ascii_case("unnest")
            && let ast::FunctionArguments::List(list) = &function.args
        {
            for argument in &list.args {
                let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(array)) = argument else {
                    return None;
                };
                arrays.push(array.clone());
            }
        }
    }
    (!arrays.is_empty()).then(|| function_call("unnest", vec![function_call("hither_ordinals", arrays)]))
}

fn keys_of<'e>(exprs: impl IntoIterator<Item = &'e Expr>, items: &[(Expr, String)]) -> Vec<Key> {
    let spellings = Spellings::of(items.iter().map(|(item, _)| item));
    exprs.into_iter().map(|expr| key_of(unnested(expr), items, &spellings)).collect()
}

fn key_of(expr: &Expr, items: &[(Expr, String)], spellings: &Spellings) -> Key {
    let found = match expr {
        Expr::Value(_) => place(expr).filter(|place| *place < items.len()),
        Expr::Identifier(name) => items.iter().position(|(_, shown)| *shown == folded(name)),
        _ => None,
    };
    match found.or_else(|| spellings.find(expr)) {
        Some(place) => Key::Item(place),
        None => Key::Other(Box::new(expr.clone())),
    }
}
