//! Oids that people see: `x::regclass` in an outermost list shows the name, and so do the catalogue's vectors of oids.
//!
//! Everywhere else such a value is its oid, which it is compared and joined by.

use datafusion::sql::sqlparser::ast::*;

use super::{Reg, call, is_vector, unqualified, vector_name, vector_printer};
use crate::sql::rewrite::name_of;

/// The outermost select list.
pub fn items(body: &mut SetExpr) -> &mut [SelectItem] {
    match body {
        SetExpr::Select(select) => &mut select.projection,
        SetExpr::Query(query) => items(&mut query.body),
        SetExpr::SetOperation { left, .. } => items(left),
        _ => &mut [],
    }
}

pub fn unnamed(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
        _ => None,
    }
}

/// An item that was rewritten is called what it was called before.
pub fn keep_name(item: &mut SelectItem, name: Option<String>) {
    if let (SelectItem::UnnamedExpr(expr), Some(name)) = (&*item, name)
        && name_of(expr) != name
    {
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
    }
}

/// `x::regclass` in the outermost select list is seen by people, and shows the name.
pub fn show_names(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => select.projection.iter_mut().for_each(show_name),
        SetExpr::Query(query) => show_names(&mut query.body),
        // Shown as a name, one side's oids would not go with the other's.
        SetExpr::SetOperation { left, right, .. } if names_shown(left) == names_shown(right) => {
            show_names(left);
            show_names(right);
        }
        _ => {}
    }
}

/// The places of a select list that show names of oids.
fn names_shown(body: &SetExpr) -> Vec<usize> {
    match body {
        SetExpr::Select(select) => {
            let is_name = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => match expr {
                    Expr::Cast { data_type, .. } => Reg::of(data_type).is_some(),
                    expr => is_vector(expr),
                },
                _ => false,
            };
            let items = select.projection.iter().enumerate();
            items.filter(|(_, item)| is_name(item)).map(|(place, _)| place).collect()
        }
        SetExpr::Query(query) => names_shown(&query.body),
        SetExpr::SetOperation { left, .. } => names_shown(left),
        _ => Vec::new(),
    }
}

fn show_name(item: &mut SelectItem) {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return };
    if let Some(name) = vector_name(expr) {
        *expr = call(vector_printer(name), vec![expr.clone()]);
        return;
    }
    if matches!(expr, Expr::Function(f) if unqualified(&f.name).as_deref() == Some("pg_partition_root")) {
        *expr = call(Reg::Class.printer(), vec![expr.clone()]);
        return;
    }
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    if let Some(reg) = Reg::of(data_type) {
        *expr = call(reg.printer(), vec![inner.as_ref().clone()]);
    }
}

/// RETURNING's list with what is seen as names shown as such.
pub fn shown(items: &[SelectItem]) -> Vec<SelectItem> {
    let mut items = items.to_vec();
    for item in &mut items {
        let name = unnamed(item);
        show_name(item);
        keep_name(item, name);
    }
    items
}
