//! Windows by their names: each use of WINDOW's list has what the list says written out.
//!
//! ```text
//!   SELECT sum(a) OVER w, sum(a) OVER (w ROWS 1 PRECEDING) FROM t WINDOW w AS (ORDER BY b)
//!   SELECT sum(a) OVER (ORDER BY b), sum(a) OVER (ORDER BY b ROWS 1 PRECEDING) FROM t
//! ```
//!
//! A window that begins with the name of another has its PARTITION BY, and its ORDER BY unless it has none, and may add a
//! frame. See the [`WINDOW` clause](https://www.postgresql.org/docs/17/sql-select.html#SQL-WINDOW).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, VisitMut, WindowSpec,
    WindowType,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::visit;
use crate::sql::words::fold;

/// Writes out the windows of a query's selects, and of its ORDER BY.
pub fn write_out(query: &mut Query) -> Result<()> {
    let windows = match query.body.as_mut() {
        SetExpr::Select(select) => take(select)?,
        body => {
            in_operands(body)?;
            Vec::new()
        }
    };
    write_out_in(&mut query.order_by, &windows)
}

/// Those of the sides of UNION and its like.
fn in_operands(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => take(select).map(|_| ()),
        SetExpr::SetOperation { left, right, .. } => {
            in_operands(left)?;
            in_operands(right)
        }
        _ => Ok(()),
    }
}

/// Writes out those of a select, which then has no list of them.
fn take(select: &mut Select) -> Result<Vec<Window>> {
    let mut windows: Vec<Window> = Vec::new();
    for NamedWindowDefinition(name, window) in std::mem::take(&mut select.named_window) {
        let name = fold(&name);
        if windows.iter().any(|(known, _)| *known == name) {
            return Err(windowing(format!("window \"{name}\" is already defined")));
        }
        let spec = match window {
            NamedWindowExpr::WindowSpec(spec) => inherit(&windows, spec)?,
            NamedWindowExpr::NamedWindow(other) => {
                let message = format!("syntax error at or near \"{other}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        };
        windows.push((name, spec));
    }
    write_out_in(&mut select.projection, &windows)?;
    write_out_in(&mut select.qualify, &windows)?;
    Ok(windows)
}

/// A window of the list, which inherits from no other any more.
type Window = (String, WindowSpec);

fn find<'a>(windows: &'a [Window], name: &Ident) -> Result<&'a WindowSpec> {
    let name = fold(name);
    let found = windows.iter().find(|(known, _)| *known == name).map(|(_, spec)| spec);
    found.ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist")))
}

/// A window with what the one that it begins with says.
fn inherit(windows: &[Window], mut spec: WindowSpec) -> Result<WindowSpec> {
    let Some(name) = spec.window_name.take() else { return Ok(spec) };
    let base = find(windows, &name)?;
    let name = fold(&name);
    if !spec.partition_by.is_empty() {
        return Err(windowing(format!("cannot override PARTITION BY clause of window \"{name}\"")));
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return Err(windowing(format!("cannot override ORDER BY clause of window \"{name}\"")));
    }
    if base.window_frame.is_some() {
        let error = windowing(format!("cannot copy window \"{name}\" because it has a frame clause"));
        return Err(match spec.order_by.is_empty() && spec.window_frame.is_none() {
            true => error.hint("Omit the parentheses in this OVER clause."),
            false => error,
        });
    }
    spec.partition_by = base.partition_by.clone();
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by.clone();
    }
    Ok(spec)
}

fn windowing(message: String) -> Error {
    Error::new(SqlState("42P20"), message)
}

/// Writes out the windows outside of subqueries, which have lists of their own.
fn write_out_in(tree: &mut (impl VisitMut + ?Sized), windows: &[Window]) -> Result<()> {
    let written = visit::own_expressions_mut(tree, |expr| {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let spec = match function.over.take() {
            None => return ControlFlow::Continue(()),
            Some(WindowType::NamedWindow(name)) => find(windows, &name).cloned(),
            Some(WindowType::WindowSpec(spec)) => inherit(windows, spec),
        };
        match spec {
            Ok(spec) => {
                function.over = Some(WindowType::WindowSpec(spec));
                ControlFlow::Continue(())
            }
            Err(refused) => ControlFlow::Break(refused),
        }
    });
    written.break_value().map_or(Ok(()), Err)
}
