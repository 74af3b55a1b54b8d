//! A query in brackets and what is behind them are one query, of which each clause is given once:
//!
//! ```text
//!   (SELECT a FROM t LIMIT 1) ORDER BY a      SELECT a FROM t ORDER BY a LIMIT 1
//! ```
//!
//! So does PostgreSQL's grammar put it (`select_with_parens` in gram.y).

use datafusion::sql::sqlparser::ast::{Expr, Fetch, LimitClause, OrderByKind, Query, SetExpr};

use crate::error::{Error, Result, SqlState};
use crate::sql::trees::{query_of, unnested};

/// Takes a query out of its brackets. 42601 for a clause that is given twice; 0A000 for UNION and the like in an order by
/// anything but their columns.
pub fn open(query: &mut Query) -> Result<()> {
    while let SetExpr::Query(inner) = query.body.as_mut() {
        let inner = std::mem::replace(inner.as_mut(), query_of(Vec::new()));
        let Query { with, body, order_by, limit_clause, fetch, mut locks, .. } = inner;
        if has_limit(&query.limit_clause, &query.fetch) && has_limit(&limit_clause, &fetch) {
            return Err(twice("LIMIT"));
        }
        once(&mut query.with, with, "WITH")?;
        once(&mut query.order_by, order_by, "ORDER BY")?;
        once(&mut query.fetch, fetch, "LIMIT")?;
        match (&mut query.limit_clause, limit_clause) {
            (
                Some(LimitClause::LimitOffset { limit, offset, .. }),
                Some(LimitClause::LimitOffset { limit: inner_limit, offset: inner_offset, .. }),
            ) => {
                once(limit, inner_limit, "LIMIT")?;
                once(offset, inner_offset, "OFFSET")?;
            }
            (given, inner) => once(given, inner, "LIMIT")?,
        }
        locks.append(&mut query.locks);
        query.locks = locks;
        query.body = body;
    }
    check_order(query)
}

/// Whether rows are counted; OFFSET alone is another clause.
fn has_limit(clause: &Option<LimitClause>, fetch: &Option<Fetch>) -> bool {
    let is_offset = matches!(clause, Some(LimitClause::LimitOffset { limit: None, .. }));
    fetch.is_some() || clause.is_some() && !is_offset
}

fn once<T>(given: &mut Option<T>, inner: Option<T>, clause: &str) -> Result<()> {
    match (&given, inner) {
        (Some(_), Some(_)) => return Err(twice(clause)),
        (None, Some(inner)) => *given = Some(inner),
        (_, None) => {}
    }
    Ok(())
}

/// 42601 for a clause that is given twice.
pub fn twice(clause: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("multiple {clause} clauses not allowed"))
}

fn check_order(query: &Query) -> Result<()> {
    let order = query.order_by.as_ref().map(|order| &order.kind);
    let (SetExpr::SetOperation { .. }, Some(OrderByKind::Expressions(keys))) = (query.body.as_ref(), order)
    else {
        return Ok(());
    };
    let is_column = |key: &Expr| {
        matches!(unnested(key), Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_))
    };
    if keys.iter().all(|key| is_column(&key.expr)) {
        return Ok(());
    }
    let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
    Err(error
        .detail("Only result column names can be used, not expressions or functions.")
        .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause."))
}
