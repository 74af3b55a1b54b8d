//! SEARCH and CYCLE of WITH RECURSIVE as columns of their own, as PostgreSQL rewrites them.
//!
//! ```text
//!   WITH RECURSIVE t (a, b) AS (SELECT ... UNION ALL SELECT ... FROM t WHERE ...)
//!     SEARCH DEPTH FIRST BY b SET seq  CYCLE a SET is_cycle USING path
//!
//!   WITH RECURSIVE t (a, b, seq, is_cycle, path) AS (
//!     SELECT a, b, ARRAY[ROW(b)], nullif(false, NULL), ARRAY[ROW(a)] FROM (SELECT ...) "*TLOCRN*" (a, b)
//!     UNION ALL
//!     SELECT a, b, seq || ROW(b), CASE WHEN ROW(a) = ANY (path) THEN true ELSE false END, path || ROW(a)
//!     FROM (SELECT ..., t.seq, t.is_cycle, t.path FROM t WHERE ... AND t.is_cycle <> true)
//!          "*TROCRN*" (a, b, seq, is_cycle, path))
//! ```
//!
//! BREADTH FIRST has `ROW(0, b)` and then `ROW(seq, b)`, for which the inner query passes `(t.seq).f1 + 1` on: rows sort by
//! how deep they are, then by b.

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Cte, Expr, Ident, Query, Select, SelectItem, SetExpr, SetOperator, TableAlias,
    TableAliasColumnDef, TableFactor, With,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::aliases;
use crate::sql::dialect::parse_expression;
use crate::sql::known::{Known, factors, qualifier, quoted};
use crate::sql::recursive_terms::mentions;
use crate::sql::rewrite::name_of;
use crate::sql::search_words::{self, Clauses, Cycle, Search};
use crate::sql::trees::{alias_of, derived, query_from, query_of};
use crate::sql::using::constraint_of;
use crate::sql::words::{fold, object_name};

/// PostgreSQL's names of the two terms.
const LEFT: &str = "*TLOCRN*";
const RIGHT: &str = "*TROCRN*";

/// Writes the clauses of a query's WITH out.
pub fn expand(query: &mut Query, known: &Known, hidden: &[String]) -> Result<()> {
    let Some(With { recursive, cte_tables, .. }) = &mut query.with else { return Ok(()) };
    for cte in cte_tables {
        let Some(held) = cte.from.take() else { continue };
        let clauses = search_words::read(&held)?;
        if !*recursive || mentions(cte.query.as_ref(), &fold(&cte.alias.name)) == 0 {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "WITH query is not recursive"));
        }
        aliases::complete_with(&mut cte.alias, &cte.query)?;
        write_out(cte, &clauses, known, hidden)?;
    }
    Ok(())
}

fn write_out(cte: &mut Cte, clauses: &Clauses, known: &Known, hidden: &[String]) -> Result<()> {
    let name = fold(&cte.alias.name);
    let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = cte.query.body.as_mut() else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "WITH query is not recursive"));
    };
    let refused = |state: SqlState, side: &str| {
        let message = format!("with a SEARCH or CYCLE clause, the {side} side of the UNION must be a SELECT");
        Error::new(state, message)
    };
    unwrap(left);
    unwrap(right);
    if !matches!(left.as_ref(), SetExpr::Select(_) | SetExpr::Values(_)) {
        return Err(refused(SqlState::FEATURE_NOT_SUPPORTED, "left"));
    }
    let columns = match cte.alias.columns.as_slice() {
        [] => outputs(left, known, hidden)
            .ok_or_else(|| Error::unsupported("SEARCH and CYCLE of a query without names of its columns"))?,
        given => given.iter().map(|column| fold(&column.name)).collect(),
    };
    check(clauses, &columns)?;
    let SetExpr::Select(term) = right.as_mut() else {
        return Err(refused(SqlState::SYNTAX_ERROR, "right"));
    };
    let added = added(clauses);
    pass_on(term, &name, clauses, &added, &columns)?;
    let all: Vec<String> = columns.iter().chain(&added).cloned().collect();
    let kept = || columns.iter().map(|column| SelectItem::UnnamedExpr(Expr::Identifier(quoted(column))));
    let first = kept().chain(first_values(clauses)?).collect();
    let next = kept().chain(next_values(clauses)?).collect();
    **left = over(first, left.as_ref().clone(), LEFT, &columns);
    **right = over(next, right.as_ref().clone(), RIGHT, &all);
    cte.alias.columns = definitions(&all);
    Ok(())
}

fn definitions(names: &[String]) -> Vec<TableAliasColumnDef> {
    names.iter().map(|name| aliases::definition(name)).collect()
}

/// `SELECT items FROM (term) AS name (columns)`
fn over(items: Vec<SelectItem>, term: SetExpr, name: &str, columns: &[String]) -> SetExpr {
    let term = Query { body: Box::new(term), ..query_of(Vec::new()) };
    let alias = TableAlias { columns: definitions(columns), ..alias_of(quoted(name)) };
    *query_from(items, derived(false, term, alias)).body
}

/// The names of a term's columns, as far as they are known before it is planned.
fn outputs(term: &SetExpr, known: &Known, hidden: &[String]) -> Option<Vec<String>> {
    let select = match term {
        SetExpr::Select(select) => select,
        SetExpr::Values(values) => return aliases::names_of_values(values),
        _ => return None,
    };
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => names.push(name_of(expr)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(fold(alias)),
            SelectItem::Wildcard(_) => {
                for factor in factors(&select.from) {
                    names.extend(known.columns_of(factor, hidden)?.names);
                }
            }
            SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let wanted = object_name(name).name;
                let called = |factor: &&TableFactor| {
                    qualifier(factor)
                        .and_then(|name| name.last().map(fold))
                        .is_some_and(|name| name == wanted)
                };
                let factor = factors(&select.from).into_iter().find(called)?;
                names.extend(known.columns_of(factor, hidden)?.names);
            }
            _ => return None,
        }
    }
    Some(names)
}

/// The names of the columns that the clauses add.
fn added(clauses: &Clauses) -> Vec<String> {
    let searched = clauses.search.iter().map(|search| fold(&search.sequence));
    let marked = clauses.cycle.iter().flat_map(|cycle| [fold(&cycle.mark), fold(&cycle.path)]);
    searched.chain(marked).collect()
}

/// PostgreSQL's refusals.
fn check(clauses: &Clauses, columns: &[String]) -> Result<()> {
    let syntax = |message: String| Err(Error::new(SqlState::SYNTAX_ERROR, message));
    let listed = |what: &str, list: &[Ident]| {
        for (place, column) in list.iter().enumerate() {
            let name = fold(column);
            if !columns.contains(&name) {
                return syntax(format!("{what} column \"{name}\" not in WITH query column list"));
            }
            if list[..place].iter().any(|before| fold(before) == name) {
                let message = format!("{what} column \"{name}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
        }
        Ok(())
    };
    let taken = |what: &str, name: &Ident| match columns.contains(&fold(name)) {
        true => {
            syntax(format!("{what} column name \"{}\" already used in WITH query column list", fold(name)))
        }
        false => Ok(()),
    };
    let same = |first: &str, second: &str| {
        syntax(format!("{first} column name and {second} column name are the same"))
    };
    if let Some(Search { columns, sequence, .. }) = &clauses.search {
        listed("search", columns)?;
        taken("search sequence", sequence)?;
    }
    if let Some(Cycle { columns, mark, path, .. }) = &clauses.cycle {
        listed("cycle", columns)?;
        taken("cycle mark", mark)?;
        taken("cycle path", path)?;
        if fold(mark) == fold(path) {
            return same("cycle mark", "cycle path");
        }
        if let Some(Search { sequence, .. }) = &clauses.search {
            if fold(sequence) == fold(mark) {
                return same("search sequence", "cycle mark");
            }
            if fold(sequence) == fold(path) {
                return same("search sequence", "cycle path");
            }
        }
    }
    Ok(())
}

/// Has the recursive term pass on what its rows were found from, and stop at rows that close a cycle.
fn pass_on(
    term: &mut Select,
    name: &str,
    clauses: &Clauses,
    added: &[String],
    columns: &[String],
) -> Result<()> {
    let is_itself = |factor: &&TableFactor| match factor {
        TableFactor::Table { name: read, args: None, .. } => {
            let read = object_name(read);
            read.schema.is_none() && read.name == name
        }
        _ => false,
    };
    let found = factors(&term.from).into_iter().find(is_itself).and_then(qualifier);
    let Some(called) = found.and_then(|names| names.last().cloned()) else {
        let message = format!(
            "with a SEARCH or CYCLE clause, the recursive reference to WITH query \"{name}\" must be at the top level \
             of its right-hand SELECT"
        );
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    };
    let column = |name: &str| Expr::CompoundIdentifier(vec![called.clone(), quoted(name)]);
    spread(term, &called, columns)?;
    let breadth =
        clauses.search.as_ref().filter(|search| search.breadth).map(|search| fold(&search.sequence));
    for name in added {
        // Of rows that sort by how deep they are, that alone is passed on.
        let expr = match breadth.as_ref() == Some(name) {
            true => parse_expression(&format!("({}).f1 + 1", column(name)))?,
            false => column(name),
        };
        term.projection.push(SelectItem::ExprWithAlias { expr, alias: quoted(name) });
    }
    if let Some(cycle) = &clauses.cycle {
        let goes_on = Expr::BinaryOp {
            left: Box::new(column(&fold(&cycle.mark))),
            op: BinaryOperator::NotEq,
            right: Box::new(values(cycle)?.0),
        };
        term.selection = Some(match term.selection.take() {
            Some(condition) => Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(condition))),
                op: BinaryOperator::And,
                right: Box::new(goes_on),
            },
            None => goes_on,
        });
    }
    Ok(())
}

/// Stars without the columns that are added.
fn spread(term: &mut Select, called: &Ident, columns: &[String]) -> Result<()> {
    let all = || {
        let own = columns.iter().map(|name| Expr::CompoundIdentifier(vec![called.clone(), quoted(name)]));
        own.map(SelectItem::UnnamedExpr).collect::<Vec<_>>()
    };
    let is_itself = |name: &Ident| fold(name) == fold(called);
    let mut of_all = Vec::new();
    for factor in factors(&term.from) {
        match qualifier(factor) {
            Some(name) if name.last().is_some_and(is_itself) => of_all.extend(all()),
            Some(name) => of_all.push(SelectItem::QualifiedWildcard(
                ast::SelectItemQualifiedWildcardKind::ObjectName(ast::ObjectName::from(name)),
                Default::default(),
            )),
            None => return Err(Error::unsupported("SEARCH and CYCLE beside a relation without a name")),
        }
    }
    let merges = term.from.iter_mut().flat_map(|from| &mut from.joins).any(|join| {
        let constraint = constraint_of(&mut join.join_operator);
        matches!(constraint, Some(ast::JoinConstraint::Using(_) | ast::JoinConstraint::Natural))
    });
    if merges && term.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_))) {
        return Err(Error::unsupported("SEARCH and CYCLE with SELECT * over JOIN ... USING"));
    }
    let spread = std::mem::take(&mut term.projection).into_iter().flat_map(|item| match &item {
        SelectItem::Wildcard(_) => of_all.clone(),
        SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _)
            if object_name(name).name == fold(called) =>
        {
            all()
        }
        _ => vec![item],
    });
    term.projection = spread.collect();
    Ok(())
}

/// A term without parentheses around it.
fn unwrap(term: &mut SetExpr) {
    if let SetExpr::Query(query) = term
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
    {
        *term = query.body.as_ref().clone();
    }
}

/// The marks of rows that close a cycle, and of others.
fn values(cycle: &Cycle) -> Result<(Expr, Expr)> {
    match &cycle.values {
        Some(values) => Ok(values.clone()),
        None => Ok((parse_expression("true")?, parse_expression("false")?)),
    }
}

fn list(columns: &[Ident]) -> String {
    columns.iter().map(|column| quoted(&fold(column)).to_string()).collect::<Vec<_>>().join(", ")
}

fn shown(name: &Ident) -> String {
    quoted(&fold(name)).to_string()
}

/// Of rows of the first term.
fn first_values(clauses: &Clauses) -> Result<Vec<SelectItem>> {
    let mut texts = Vec::new();
    if let Some(search) = &clauses.search {
        let columns = list(&search.columns);
        texts.push(match search.breadth {
            true => format!("ROW(0::bigint, {columns})"),
            false => format!("ARRAY[ROW({columns})]"),
        });
    }
    if let Some(cycle) = &clauses.cycle {
        // The planner takes a constant for never NULL, and what the other term computes for perhaps so.
        texts.push(format!("nullif({}, NULL)", values(cycle)?.1));
        texts.push(format!("ARRAY[ROW({})]", list(&cycle.columns)));
    }
    items(clauses, texts)
}

/// Of rows that were found from others.
fn next_values(clauses: &Clauses) -> Result<Vec<SelectItem>> {
    let mut texts = Vec::new();
    if let Some(search) = &clauses.search {
        let (columns, sequence) = (list(&search.columns), shown(&search.sequence));
        texts.push(match search.breadth {
            true => format!("ROW({sequence}, {columns})"),
            false => format!("{sequence} || ROW({columns})"),
        });
    }
    if let Some(cycle) = &clauses.cycle {
        let (columns, path) = (list(&cycle.columns), shown(&cycle.path));
        let (value, other) = values(cycle)?;
        texts.push(format!("CASE WHEN ROW({columns}) = ANY ({path}) THEN {value} ELSE {other} END"));
        texts.push(format!("{path} || ROW({columns})"));
    }
    items(clauses, texts)
}

fn items(clauses: &Clauses, texts: Vec<String>) -> Result<Vec<SelectItem>> {
    let named = texts.iter().zip(added(clauses)).map(|(text, name)| {
        Ok(SelectItem::ExprWithAlias { expr: parse_expression(text)?, alias: quoted(&name) })
    });
    named.collect()
}
