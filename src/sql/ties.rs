//! `FETCH FIRST n ROWS WITH TIES`: the rows whose rank in the order is at most n.
//!
//! ```text
//!   SELECT a FROM t ORDER BY b OFFSET 1 FETCH FIRST 2 ROWS WITH TIES
//!   SELECT a FROM t QUALIFY rank() OVER (ORDER BY b) <= 2 + 1 ORDER BY b OFFSET 1
//! ```
//!
//! A row has the rank of the first of those equal to it, so the rows equal to the last one wanted are among them, and no
//! other.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, LimitClause, OrderByKind, Query, SelectItem, SetExpr, WindowSpec, WindowType,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::rewrite::{folded, function_call, name_of};
use crate::sql::trees::{computed, place};

/// Makes a condition of the count.
pub fn qualify(query: &mut Query, count: Expr) -> Result<()> {
    let order = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => {
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
    };
    let offset = match &query.limit_clause {
        Some(LimitClause::LimitOffset { offset, .. }) => offset.as_ref().map(|offset| offset.value.clone()),
        _ => None,
    };
    let locks = !query.locks.is_empty();
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::unsupported("FETCH FIRST ... WITH TIES of a set operation"));
    };
    if select.distinct.is_some() || select.qualify.is_some() {
        return Err(Error::unsupported("FETCH FIRST ... WITH TIES of DISTINCT rows"));
    }
    if locks {
        return Err(Error::unsupported("FETCH FIRST ... WITH TIES with a locking clause"));
    }
    let mut keys = order;
    for key in &mut keys {
        if let Some(expr) = item_of(&key.expr, &select.projection) {
            key.expr = expr;
        }
    }
    let mut rank = function_call("rank", Vec::new());
    if let Expr::Function(rank) = &mut rank {
        rank.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by: keys,
            window_frame: None,
        }));
    }
    let nested = |expr: Expr| Box::new(Expr::Nested(Box::new(expr)));
    let last = match offset {
        Some(offset) => {
            Expr::BinaryOp { left: nested(count), op: BinaryOperator::Plus, right: nested(offset) }
        }
        None => count,
    };
    let condition = Expr::BinaryOp { left: Box::new(rank), op: BinaryOperator::LtEq, right: nested(last) };
    select.qualify = Some(condition);
    Ok(())
}

/// What a key of the order means that is a number or a name of the list.
fn item_of(key: &Expr, items: &[SelectItem]) -> Option<Expr> {
    match key {
        Expr::Value(_) => items.get(place(key)?).and_then(computed).cloned(),
        Expr::Identifier(name) => {
            let name = folded(name);
            let found = items.iter().find(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => folded(alias) == name,
                SelectItem::UnnamedExpr(expr) => name_of(expr) == name,
                _ => false,
            });
            computed(found?).cloned()
        }
        _ => None,
    }
}
