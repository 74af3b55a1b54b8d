//! Columns that are more than they seem: `tableoid`, names that are arrays of characters, functions that are kept as
//! names, and the records of `_pg_expandarray`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::*;

use super::{Reg, call, factors, system_name};
use crate::sql::known::Known;
use crate::sql::system::{PG_CATALOG, VIEWS};
use crate::sql::system_columns;
use crate::sql::visit;

/// `c.tableoid`, and `tableoid` where one relation is read, as what it is.
pub fn name(select: &mut Select, known: Known) {
    let known: Vec<(String, Expr)> = factors(select).filter_map(|factor| oid_of(factor, known)).collect();
    let Some((_, first)) = known.first().cloned() else { return };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && is_tableoid(name)
        {
            *item = SelectItem::ExprWithAlias { expr: first.clone(), alias: Ident::new("tableoid") };
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            name_bare(expr, &first);
        }
    }
    if let Some(condition) = &mut select.selection {
        name_bare(condition, &first);
    }
    let _ = visit::expressions_mut(select, |expr| {
        if let Expr::CompoundIdentifier(parts) = &*expr
            && let [.., table, column] = parts.as_slice()
            && is_tableoid(column)
            && let Some((_, oid)) = known.iter().find(|(name, _)| table.value.eq_ignore_ascii_case(name))
        {
            *expr = oid.clone();
        }
        ControlFlow::<()>::Continue(())
    });
}

pub fn is_tableoid(name: &Ident) -> bool {
    name.quote_style.is_none() && name.value.eq_ignore_ascii_case("tableoid")
}

/// Replaces a bare `tableoid`, but for queries inside, which have relations of their own.
fn name_bare(expr: &mut Expr, oid: &Expr) {
    let _ = visit::own_expressions_mut(expr, |part| {
        if matches!(part, Expr::Identifier(name) if is_tableoid(name)) {
            *part = oid.clone();
        }
        ControlFlow::<()>::Continue(())
    });
}

/// What a relation is called, and its oid.
fn oid_of(factor: &TableFactor, known: Known) -> Option<(String, Expr)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let called = match alias {
        Some(alias) => alias.name.value.to_lowercase(),
        None => name.0.last()?.as_ident()?.value.to_lowercase(),
    };
    let view = system_name(factor).and_then(|system| VIEWS.get(&(PG_CATALOG, system.as_str())).cloned());
    let oid = match view {
        Some(view) => Expr::value(Value::Number(view.relation.oid.to_string(), false)),
        None => known.partition_oid(name, &called).unwrap_or_else(|| {
            call(
                Reg::Class.reader(),
                vec![Expr::value(Value::SingleQuotedString(system_columns::unmarked(name).to_string()))],
            )
        }),
    };
    Some((called, oid))
}

/// `typname[0]`: a name is an array of characters, counted from 0.
pub fn character_of_name(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let name = match root {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    match chain {
        [AccessExpr::Subscript(Subscript::Index { index })] if name.value == "typname" => {
            let one = Expr::value(Value::Number("1".to_owned(), false));
            let place = Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(index.clone()))),
                op: BinaryOperator::Plus,
                right: Box::new(one.clone()),
            };
            Some(call("substr", vec![root.clone(), place, one]))
        }
        _ => None,
    }
}

/// Whether it is a column of type regproc, whose values are names here.
pub fn is_procedure(expr: &Expr) -> bool {
    const COLUMNS: &[&str] = &[
        "oprcode",
        "oprrest",
        "oprjoin",
        "amhandler",
        "typinput",
        "typoutput",
        "typreceive",
        "typsend",
        "typmodin",
        "typmodout",
        "typanalyze",
    ];
    column_name(expr).is_some_and(|name| COLUMNS.contains(&name))
}

fn column_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::CompoundIdentifier(parts) => Some(&parts.last()?.value),
        _ => None,
    }
}

/// `typinput = 'pg_catalog.array_in'::regproc` compares names, `typinput = p.oid` oids.
pub fn compare_procedures(left: &mut Expr, right: &mut Expr) {
    if is_procedure(left) && is_procedure(right) {
        return;
    }
    let (column, other) = if is_procedure(left) { (left, right) } else { (right, left) };
    let is_oid = match &*other {
        Expr::Value(value) => matches!(value.value, Value::Number(..) | Value::Placeholder(_)),
        other => column_name(other).is_some_and(|name| name.ends_with("oid")),
    };
    if is_procedure(column) && is_oid {
        *column = call("hither_regproc_oid", vec![column.clone()]);
        return;
    }
    if is_procedure(column)
        && let Expr::Cast { expr, data_type, .. } = &*other
        && let Some(Reg::Procedure) = Reg::of(data_type)
        && let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), .. }) = expr.as_ref()
    {
        let bare = name.strip_prefix("pg_catalog.").unwrap_or(name).to_owned();
        *other = Expr::value(Value::SingleQuotedString(bare));
    }
}

/// `information_schema._pg_expandarray(a)`: its argument.
fn expanded(expr: &Expr) -> Option<&Expr> {
    let Expr::Function(function) = expr else { return None };
    if function.name.0.last()?.as_ident()?.value != "_pg_expandarray" {
        return None;
    }
    match &function.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] => Some(array),
            _ => None,
        },
        _ => None,
    }
}

/// A part of what `_pg_expandarray(a)` returns: `x` is the element, `n` its number.
fn part(array: &Expr, field: &str) -> Option<Expr> {
    match field {
        "x" => Some(call("unnest", vec![array.clone()])),
        "n" => Some(call("unnest", vec![call("hither_ordinals", vec![array.clone()])])),
        _ => None,
    }
}

/// The columns that stand for a record of `_pg_expandarray(a) AS keys`.
fn column_of(record: &Ident, field: &str) -> Ident {
    Ident::with_quote('"', format!("{}.{field}", record.value.to_lowercase()))
}

/// `_pg_expandarray(a) AS keys` in a select list is two columns.
pub fn expand_arrays(select: &mut Select) {
    let items = std::mem::take(&mut select.projection);
    for item in items {
        let expanded = match &item {
            SelectItem::ExprWithAlias { expr, alias } => {
                expanded(expr).map(|array| (array.clone(), alias.clone()))
            }
            _ => None,
        };
        let Some((array, record)) = expanded else {
            select.projection.push(item);
            continue;
        };
        for field in ["x", "n"] {
            let Some(expr) = part(&array, field) else { continue };
            select.projection.push(SelectItem::ExprWithAlias { expr, alias: column_of(&record, field) });
        }
    }
}

/// `(_pg_expandarray(a)).n` and `(t.keys).x`.
pub fn part_of_array(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let [AccessExpr::Dot(Expr::Identifier(field))] = chain else { return None };
    let field = field.value.to_lowercase();
    let mut root = root;
    while let Expr::Nested(inner) = root {
        root = inner;
    }
    if let Some(array) = expanded(root) {
        return part(array, &field);
    }
    let Expr::CompoundIdentifier(parts) = root else { return None };
    let (record, table) = parts.split_last()?;
    if !record.value.eq_ignore_ascii_case("keys") || !matches!(field.as_str(), "x" | "n") {
        return None;
    }
    let mut parts = table.to_vec();
    parts.push(column_of(record, &field));
    Some(Expr::CompoundIdentifier(parts))
}
