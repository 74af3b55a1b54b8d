//! Recursive queries whose recursion PostgreSQL does not take: where they refer to themselves elsewhere than in FROM of
//! their second term, once, the rows they add are not those that they have found last, and some never end.
//!
//! See <https://www.postgresql.org/docs/17/queries-with.html#QUERIES-WITH-RECURSIVE>.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Cte, Expr, JoinOperator, Query, SelectItem, SetExpr, SetOperator, TableFactor, TableWithJoins,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::aggregates;
use crate::sql::rewrite::has_subquery;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

const INVALID_RECURSION: SqlState = SqlState("42P19");

/// 42P19 for recursion of another form, 0A000 for what is not computed.
pub fn check(query: &Query) -> Result<()> {
    let Some(with) = query.with.as_ref().filter(|with| with.recursive) else { return Ok(()) };
    for (number, cte) in with.cte_tables.iter().enumerate() {
        let name = fold(&cte.alias.name);
        if redefines(cte.query.as_ref(), &name) {
            // It may mean its own.
            continue;
        }
        if mentions(cte.query.as_ref(), &name) > 0 {
            check_term(cte, &name)?;
        }
        let later = &with.cte_tables[number + 1..];
        let used = later.iter().find(|later| mentions(cte.query.as_ref(), &fold(&later.alias.name)) > 0);
        if used.is_some_and(|later| mentions(later.query.as_ref(), &name) > 0) {
            let message = "mutual recursion between WITH items is not implemented";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    }
    Ok(())
}

/// Whether a WITH inside gives the name to another query.
pub fn redefines(query: &Query, name: &str) -> bool {
    struct Definitions<'a> {
        name: &'a str,
    }
    impl ast::Visitor for Definitions<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let mut ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            match ctes.any(|cte| fold(&cte.alias.name) == self.name) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    visit::walk(query, &mut Definitions { name }).is_break()
}

/// How often a relation of this name is mentioned.
pub fn mentions(tree: &(impl ast::Visit + ?Sized), name: &str) -> usize {
    let mut count = 0;
    let _ = visit::relations(tree, |relation| {
        let read = object_name(relation);
        count += usize::from(read.schema.is_none() && read.name == name);
        ControlFlow::<()>::Continue(())
    });
    count
}

fn check_term(cte: &Cte, name: &str) -> Result<()> {
    let query = cte.query.as_ref();
    let refused = |message: String| Err(Error::new(INVALID_RECURSION, message));
    let SetExpr::SetOperation { left, op: SetOperator::Union, right, .. } = query.body.as_ref() else {
        return refused(format!(
            "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
        ));
    };
    let limits = match &query.limit_clause {
        Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => (limit.is_some(), offset.is_some()),
        Some(_) => (true, true),
        None => (query.fetch.is_some(), false),
    };
    let clauses = [
        (query.order_by.is_some(), "ORDER BY"),
        (limits.1, "OFFSET"),
        (limits.0, "LIMIT"),
        (!query.locks.is_empty(), "FOR UPDATE/SHARE"),
    ];
    if let Some((_, clause)) = clauses.iter().find(|(present, _)| *present) {
        let message = format!("{clause} in a recursive query is not implemented");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let within = |place: &str| {
        refused(format!("recursive reference to query \"{name}\" must not appear within {place}"))
    };
    let own = query.with.iter().flat_map(|with| &with.cte_tables);
    if own.into_iter().any(|own| mentions(own.query.as_ref(), name) > 0) {
        return within("a subquery");
    }
    if mentions(left.as_ref(), name) > 0 {
        return within("its non-recursive term");
    }
    if let Some(place) = misplaced(right, name) {
        return within(place);
    }
    if mentions(right.as_ref(), name) > 1 {
        return refused(format!("recursive reference to query \"{name}\" must not appear more than once"));
    }
    match aggregates_rows(right, name) {
        true => {
            refused("aggregate functions are not allowed in a recursive query's recursive term".to_owned())
        }
        false => Ok(()),
    }
}

/// Where a reference stands that must not.
fn misplaced(body: &SetExpr, name: &str) -> Option<&'static str> {
    match body {
        SetExpr::Select(select) => {
            select.from.iter().find_map(|from| misplaced_in(from, name)).or_else(|| {
                let in_from: usize = select.from.iter().map(|from| mentions(from, name)).sum();
                (mentions(body, name) > in_from).then_some("a subquery")
            })
        }
        SetExpr::Query(query) => misplaced(&query.body, name),
        SetExpr::SetOperation { left, op, right, .. } => {
            let second = match op {
                SetOperator::Union => None,
                SetOperator::Intersect => Some("INTERSECT"),
                _ => Some("EXCEPT"),
            };
            let of_second = second.filter(|_| mentions(right.as_ref(), name) > 0);
            of_second.or_else(|| misplaced(left, name)).or_else(|| misplaced(right, name))
        }
        _ => None,
    }
}

fn misplaced_in(from: &TableWithJoins, name: &str) -> Option<&'static str> {
    let mut before = mentions(&from.relation, name);
    for join in &from.joins {
        let here = mentions(&join.relation, name);
        let (left, right) = match &join.join_operator {
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => (false, true),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
            JoinOperator::FullOuter(_) => (true, true),
            _ => (false, false),
        };
        if left && before > 0 || right && here > 0 {
            return Some("an outer join");
        }
        before += here;
    }
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    factors.into_iter().find_map(|factor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => misplaced_in(table_with_joins, name),
        TableFactor::Derived { subquery, .. } => misplaced(&subquery.body, name),
        _ => None,
    })
}

/// Whether a select that reads the query's rows aggregates them.
fn aggregates_rows(body: &SetExpr, name: &str) -> bool {
    match body {
        SetExpr::Select(select) => {
            let aggregates = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => of_this_query(expr),
                _ => false,
            };
            let reads = select.from.iter().any(|from| reads_directly(from, name));
            reads
                && (select.projection.iter().any(aggregates)
                    || select.having.as_ref().is_some_and(of_this_query))
        }
        SetExpr::Query(query) => aggregates_rows(&query.body, name),
        SetExpr::SetOperation { left, right, .. } => {
            aggregates_rows(left, name) || aggregates_rows(right, name)
        }
        _ => false,
    }
}

/// Whether a relation of this name stands in FROM itself, and not in a subquery there.
fn reads_directly(from: &TableWithJoins, name: &str) -> bool {
    let mut factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    factors.any(|factor| match factor {
        TableFactor::Derived { .. } => false,
        TableFactor::NestedJoin { table_with_joins, .. } => reads_directly(table_with_joins, name),
        factor => mentions(factor, name) > 0,
    })
}

/// Whether an aggregate is called in an expression that has no subqueries.
fn of_this_query(expr: &Expr) -> bool {
    !has_subquery(expr) && aggregates::has_aggregate(expr)
}
