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
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    as_name(expr).is_some() || is_vector(expr)
                }
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
    show(expr);
}

/// Shows a name's oid as the name.
pub fn show(expr: &mut Expr) {
    if let Some(name) = as_name(expr) {
        *expr = name;
    }
}

/// What an expression that is a name's oid shows: a cast, also where CASE, COALESCE, an array or a subquery hands it on.
fn as_name(expr: &Expr) -> Option<Expr> {
    if let Expr::Cast { expr: inner, data_type, .. } = expr {
        return Reg::of(data_type).map(|reg| call(reg.printer(), vec![inner.as_ref().clone()]));
    }
    let hands_on = match expr {
        Expr::Nested(_) | Expr::Case { .. } | Expr::Array(_) | Expr::Subquery(_) => true,
        Expr::Function(function) => {
            matches!(unqualified(&function.name).as_deref(), Some("coalesce" | "array_agg"))
        }
        _ => false,
    };
    if !hands_on {
        return None;
    }
    let mut shown = expr.clone();
    match &mut shown {
        Expr::Nested(inner) => **inner = as_name(inner)?,
        Expr::Case { conditions, else_result, .. } => {
            let results = conditions.iter_mut().map(|when| &mut when.result);
            all_as_names(results.chain(else_result.iter_mut().map(|result| &mut **result)))?;
        }
        Expr::Array(array) => all_as_names(array.elem.iter_mut())?,
        Expr::Function(function) => all_as_names(values_of(function))?,
        Expr::Subquery(query) => match query.body.as_mut() {
            SetExpr::Select(select) => match select.projection.as_mut_slice() {
                [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] => {
                    all_as_names(std::iter::once(item))?;
                }
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    }
    Some(shown)
}

/// Changes each, where all are such oids or NULL and one is no NULL.
fn all_as_names<'e>(exprs: impl Iterator<Item = &'e mut Expr>) -> Option<()> {
    let is_null = |expr: &Expr| matches!(expr, Expr::Value(value) if value.value == Value::Null);
    let mut found = None;
    for expr in exprs.filter(|expr| !is_null(expr)) {
        *expr = as_name(expr)?;
        found = Some(());
    }
    found
}

fn values_of(function: &mut Function) -> impl Iterator<Item = &mut Expr> {
    let arguments = match &mut function.args {
        FunctionArguments::List(list) => list.args.as_mut_slice(),
        _ => &mut [],
    };
    arguments.iter_mut().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

/// Functions to which a value is its text.
const OF_TEXTS: &[&str] = &[
    "concat",
    "concat_ws",
    "format",
    "quote_literal",
    "quote_nullable",
    "quote_ident",
    "to_json",
    "to_jsonb",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "json_agg",
    "jsonb_agg",
    "array_to_string",
];

/// Oids that are arguments of such functions.
pub fn show_arguments(function: &mut Function) {
    let name = unqualified(&function.name);
    if !name.is_some_and(|name| OF_TEXTS.contains(&name.as_str())) {
        return;
    }
    for argument in values_of(function) {
        show(argument);
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
