//! VALUES whose rows the planner would not read as one table: texts beside another type, and columns of what stands
//! before.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr, SetOperator, SetQuantifier};

use crate::sql::rewrite::query_of;

/// `VALUES ('a'::tsvector), ('b')`: a text takes the type that another row's cast gives the column, where the planner
/// would not unify them.
pub fn spread_types(values: &mut ast::Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for column in 0..width {
        let cells = values.rows.iter().filter_map(|row| row.get(column));
        let types = cells.filter_map(|cell| match cell {
            Expr::Cast { data_type, .. } => Some(data_type),
            _ => None,
        });
        let ours = |ty: &&ast::DataType| {
            matches!(ty, ast::DataType::TsVector | ast::DataType::TsQuery | ast::DataType::Custom(..))
        };
        let bare = |ty: &ast::DataType| match ty {
            ast::DataType::Custom(name, _) => ast::DataType::Custom(name.clone(), Vec::new()),
            ty => ty.clone(),
        };
        let Some(data_type) = types.into_iter().find(ours).map(bare) else { continue };
        for cell in values.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            if matches!(cell, Expr::Value(value) if matches!(value.value, ast::Value::SingleQuotedString(_)))
            {
                *cell = Expr::Cast {
                    kind: ast::CastKind::DoubleColon,
                    expr: Box::new(cell.clone()),
                    data_type: data_type.clone(),
                    array: false,
                    format: None,
                };
            }
        }
    }
}

/// `LATERAL (VALUES (q.a), (1))` as a union of selects: the planner's VALUES take constants, and expressions of one
/// kind, and are computed before a subquery has run.
pub fn values_of_columns(values: &ast::Values) -> Option<SetExpr> {
    let is_select = |expr: &Expr| names_columns(expr) || has_subquery(expr);
    if !values.rows.iter().any(|row| row.iter().any(is_select)) {
        return None;
    }
    let selects = values.rows.iter().map(|row| {
        let items = row.iter().enumerate().map(|(place, expr)| SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::new(format!("column{}", place + 1)),
        });
        *query_of(items.collect()).body
    });
    selects.reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}

/// Whether an expression names columns, which must be those of what stands before the call.
pub fn names_columns(expr: &Expr) -> bool {
    let found = ast::visit_expressions(expr, |part| match part {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn has_subquery(expr: &Expr) -> bool {
    let found = ast::visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
