//! `unnest(...)` in FROM, and VALUES of columns, in the words of the planner.
//!
//! The planner's own node takes arrays that name no columns of what stands before it, and knows no ordinality. Any
//! other call is a subquery whose select list unnests the arrays side by side:
//!
//! ```text
//!   FROM q, unnest(q.a) WITH ORDINALITY u(x, n)
//!   FROM q, LATERAL (SELECT unnest(q.a) AS x, unnest(generate_series(1, cardinality(q.a))) AS n) u
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, DataType, Expr, Ident, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias,
    TableAliasColumnDef, TableFactor,
};

use crate::sql::rewrite::{function_call, query_of};

/// Rewrites an item of FROM if it is such a call.
pub fn expand(factor: &mut TableFactor) {
    let TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } = factor else {
        return;
    };
    let mut alias = alias.clone().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new("unnest"),
        columns: Vec::new(),
        at: None,
    });
    let lateral = array_exprs.iter().any(names_columns);
    if !*with_ordinality && !lateral {
        if let ([_], []) = (array_exprs.as_slice(), alias.columns.as_slice()) {
            alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
            if let TableFactor::UNNEST { alias: named, .. } = factor {
                *named = Some(alias);
            }
        }
        return;
    }
    let given = std::mem::take(&mut alias.columns);
    let name =
        |place: usize, otherwise: Ident| given.get(place).map_or(otherwise, |column| column.name.clone());
    let width = array_exprs.len();
    let unnamed = if width == 1 { alias.name.clone() } else { Ident::new("unnest") };
    let mut items: Vec<SelectItem> = Vec::new();
    for (place, array) in array_exprs.iter().enumerate() {
        let expr = function_call("unnest", vec![array.clone()]);
        items.push(SelectItem::ExprWithAlias { expr, alias: name(place, unnamed.clone()) });
    }
    if *with_ordinality {
        let expr = function_call("unnest", vec![ordinals(array_exprs)]);
        items.push(SelectItem::ExprWithAlias { expr, alias: name(width, Ident::new("ordinality")) });
    }
    let subquery = Box::new(query_of(items));
    *factor = TableFactor::Derived { lateral, subquery, alias: Some(alias), sample: None };
}

/// 1 to the length of the longest array.
fn ordinals(arrays: &[Expr]) -> Expr {
    let length = |array: &Expr| function_call("cardinality", vec![array.clone()]);
    let longest = match arrays {
        [array] => length(array),
        arrays => function_call("greatest", arrays.iter().map(length).collect()),
    };
    let bigint = |expr: Expr| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    let one = bigint(Expr::value(ast::Value::Number("1".into(), false)));
    function_call("generate_series", vec![one, bigint(longest)])
}

/// `LATERAL (VALUES (q.a), (1))` as a union of selects: the planner's VALUES take constants, and expressions of one
/// kind.
pub fn values_of_columns(values: &ast::Values) -> Option<SetExpr> {
    if !values.rows.iter().any(|row| row.iter().any(names_columns)) {
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
