//! Numbers of sequences are drawn in the order of the rows, by those that are shown.
//!
//! ```text
//!   SELECT nextval('s'), a FROM t ORDER BY a LIMIT 2
//!   SELECT nextval('s'), hither_rows.hither_1 AS a FROM (SELECT a AS hither_1 FROM t ORDER BY a LIMIT 2) AS hither_rows
//! ```
//!
//! So does PostgreSQL compute what is volatile in a list above the sort; the planner computes a list below it. What reads
//! columns is left where it is, and so are lists that have parameters in them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
};

use crate::sql::aggregates::has_aggregate;
use crate::sql::arguments;
use crate::sql::group_names::canonical;
use crate::sql::item_names::name_of_item;
use crate::sql::known::quoted;
use crate::sql::rewrite::{folded, has_subquery, plain_name};
use crate::sql::trees::{alias_of, computed, derived, lone_name, number, place, query_from, query_of};
use crate::sql::values::names_columns;
use crate::sql::{order_by, visit};

/// The rows before the calls; no query of a user has a table called so.
const ROWS: &str = "hither_rows";

/// What changes a sequence.
const NAMES: &[&str] = &["nextval", "setval"];

/// Puts the calls of a sorted list above its rows.
pub fn settle(query: &mut Query) {
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) else {
        return;
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !query.locks.is_empty() {
        return;
    }
    let is_late: Vec<bool> =
        select.projection.iter().map(|item| computed(item).is_some_and(is_late)).collect();
    // In a query below, a parameter would not be seen as what it is assigned to.
    let has_parameters = |item: &SelectItem| computed(item).is_some_and(arguments::has_parameters);
    if !is_late.contains(&true) || !is_plain(select) || select.projection.iter().any(has_parameters) {
        return;
    }
    let wildcards = select.projection.iter().filter(|item| computed(item).is_none()).count();
    let others = is_late.iter().filter(|late| !**late).count();
    if wildcards > 1 || wildcards == 1 && others > 1 {
        return;
    }
    let column = |place: usize| Ident::new(format!("hither_{place}"));
    let mut places = Vec::with_capacity(keys.len());
    for key in keys.iter() {
        let found = match (place(&key.expr), lone_name(&key.expr).map(folded)) {
            (Some(place), _) => Some(place),
            (_, Some(name)) => {
                select.projection.iter().position(|item| name_of_item(item).as_ref() == Some(&name))
            }
            _ => {
                let text = canonical(&key.expr);
                let same = |item: &SelectItem| computed(item).is_some_and(|item| canonical(item) == text);
                select.projection.iter().position(same).filter(|place| is_late[*place])
            }
        };
        match found {
            // Sorted by it, it is computed before; of places beside a `*` it is not known what they are.
            Some(place) if wildcards > 0 || is_late.get(place) != Some(&false) => return,
            found => places.push(found),
        }
    }
    for (key, place) in keys.iter_mut().zip(places) {
        if let Some(place) = place {
            key.expr = Expr::Identifier(column(place));
        }
    }
    let (mut inner, mut outer) = (Vec::new(), Vec::new());
    for (place, item) in std::mem::take(&mut select.projection).into_iter().enumerate() {
        if is_late[place] {
            outer.push(item);
            continue;
        }
        let Some(expr) = computed(&item) else {
            let rows = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(Ident::new(ROWS)));
            outer.push(SelectItem::QualifiedWildcard(rows, Default::default()));
            inner.push(item);
            continue;
        };
        let of_rows = Expr::CompoundIdentifier(vec![Ident::new(ROWS), column(place)]);
        let alias = quoted(&name_of_item(&item).unwrap_or_default());
        inner.push(SelectItem::ExprWithAlias { expr: expr.clone(), alias: column(place) });
        outer.push(SelectItem::ExprWithAlias { expr: of_rows, alias });
    }
    if inner.is_empty() {
        inner.push(SelectItem::ExprWithAlias { expr: number(1), alias: column(0) });
    }
    select.projection = inner;
    let mut below = query_of(Vec::new());
    std::mem::swap(&mut below.body, &mut query.body);
    below.order_by = query.order_by.take();
    below.limit_clause = query.limit_clause.take();
    below.fetch = query.fetch.take();
    query.body = query_from(outer, derived(false, below, alias_of(Ident::new(ROWS)))).body;
}

/// Whether rows of FROM are shown as they are, one by one.
fn is_plain(select: &Select) -> bool {
    let items = || select.projection.iter().filter_map(computed);
    !order_by::is_grouped(select)
        && select.having.is_none()
        && select.distinct.is_none()
        && !items().any(has_aggregate)
        && !select.projection.iter().any(order_by::makes_rows)
}

/// Whether it changes a sequence and reads nothing.
fn is_late(expr: &Expr) -> bool {
    let found = visit::expressions(expr, |part| match part {
        Expr::Function(function)
            if plain_name(function).is_some_and(|name| NAMES.contains(&name.as_str())) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break() && !names_columns(expr) && !has_subquery(expr)
}
