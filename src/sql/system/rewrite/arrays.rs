//! `array(SELECT ...)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::*;

use super::{call, is_aggregate, prefixed_items, unqualified, yields_nothing};
use crate::functions::arrays::ARRAY_OR_EMPTY;
use crate::sql::set_functions::is_array_of_set;
use crate::sql::trees::{alias_of, derived, query_from};
use crate::sql::visit;

/// `array(SELECT ...)` as an aggregate.
pub fn array_of(query: &Query) -> Expr {
    if yields_nothing(query) {
        let none = Box::new(Expr::value(Value::SingleQuotedString("{}".to_owned())));
        let texts = ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None);
        let data_type = DataType::Array(texts);
        return Expr::Cast { kind: CastKind::Cast, expr: none, data_type, array: false, format: None };
    }
    if let Some(prefixed) = prefixed_items(query) {
        return prefixed;
    }
    if !is_plain(query) {
        return array_of_rows(query);
    }
    let mut query = query.clone();
    let order = query.order_by.take();
    let SetExpr::Select(select) = query.body.as_mut() else { unreachable!("a plain query is a SELECT") };
    if let Some(SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }) =
        select.projection.first_mut()
    {
        let order = order.map(|order| by_place(order, item)).unwrap_or_default();
        let mut aggregate = call("array_agg", vec![item.clone()]);
        if let (Expr::Function(Function { args: FunctionArguments::List(list), .. }), false) =
            (&mut aggregate, order.is_empty())
        {
            list.clauses.push(FunctionArgumentClause::OrderBy(order));
        }
        *item = aggregate;
    }
    call(ARRAY_OR_EMPTY, vec![Expr::Subquery(Box::new(query))])
}

/// Whether an aggregate in the select list would see the rows of the query, in any order it asks for.
fn is_plain(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    query.with.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && !grouped
        && !select.projection.iter().any(aggregates)
}

/// Whether a select item computes over rows.
fn aggregates(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return false };
    let found = visit::expressions(expr, |part| match part {
        Expr::Function(function) if function.over.is_some() || is_aggregate(part) || makes_rows(function) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether a function makes several rows of one.
fn makes_rows(function: &Function) -> bool {
    let name = unqualified(&function.name).unwrap_or_default();
    matches!(name.as_str(), "unnest" | "generate_subscripts") || is_array_of_set(&name)
}

/// `array(SELECT ... LIMIT 5)`: the rows are found first. A subquery with a limit keeps its order; one without loses it,
/// so the aggregate sorts again, by the only column there is.
fn array_of_rows(query: &Query) -> Expr {
    let unlimited = query.limit_clause.is_none() && query.fetch.is_none();
    let item = Ident::new("array_item");
    let mut aggregate = call("array_agg", vec![Expr::Identifier(item.clone())]);
    if let (true, Some(order), Expr::Function(function)) = (unlimited, &query.order_by, &mut aggregate)
        && let (OrderByKind::Expressions(keys), FunctionArguments::List(list)) =
            (&order.kind, &mut function.args)
        && let [key] = keys.as_slice()
    {
        let key = OrderByExpr { expr: Expr::Identifier(item.clone()), ..key.clone() };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
    }
    let columns = vec![TableAliasColumnDef { name: item, data_type: None }];
    let alias = TableAlias { columns, ..alias_of(Ident::new("array_items")) };
    let rows = derived(false, query.clone(), alias);
    let outer = query_from(vec![SelectItem::UnnamedExpr(aggregate)], rows);
    call(ARRAY_OR_EMPTY, vec![Expr::Subquery(Box::new(outer))])
}

/// `ORDER BY 1` inside an aggregate names the expression itself.
fn by_place(order: OrderBy, item: &Expr) -> Vec<OrderByExpr> {
    let OrderByKind::Expressions(mut keys) = order.kind else { return Vec::new() };
    for key in &mut keys {
        if matches!(&key.expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) {
            key.expr = item.clone();
        }
    }
    keys
}
