//! Small changes to a query's tree before it is planned.
//!
//! - `FROM generate_series(1, 3) g` names its column `g`, as PostgreSQL does.
//! - The planner takes calls of one function in FROM for the same scan, whatever their arguments, so each gets a number:
//!   `generate_series$2`. [`called_function`] is the way back.
//! - Output columns of equal names are told apart for the planner; the client sees the names PostgreSQL gives.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, LimitClause, ObjectName, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableFactor, Visitor, VisitorMut,
};

use crate::error::{Error, Result, SqlState};
use crate::functions::value::VARIADIC;
use crate::planner::names;
use crate::sql::column_names::{names_of, type_name};
use crate::sql::dialect;
use crate::sql::known::{Known, factors, qualifier};
use crate::sql::outer_names::Scopes;
use crate::sql::spellings::{respell, settle_frame};
use crate::sql::trees::{computed, is_null, number, place, query_from, relation};
use crate::sql::visit;
use crate::sql::{
    aggregates, aliases, bracketed, constants, dimensions, domains, first_terms, framed, frames, group_keys,
    group_names, hypothetical, item_names, late_calls, membership, once, order_by, quantified, records,
    recursive_terms, refusals, rows_from, same_names, sample, searches, set_functions, subscripts, system,
    system_columns, ties, using, values, variadic, whole_rows, windows, with_order,
};
use crate::types::Type;

pub use crate::sql::column_names::name_of;

/// The query as it is planned, and a name per item of its outermost select list; `None` stands for what keeps the
/// planner's names, such as `*`.
/// With `alias_all` every output of the outermost list gets a name of its own, for lists whose expressions the planner
/// calls alike.
pub fn query(query: &Query, alias_all: bool, known: Known) -> Result<(Query, Vec<Option<String>>)> {
    let mut query = query.clone();
    let shown = select_list(&mut query.body).map(|items| names_of(items)).unwrap_or_default();
    system::rewrite::query(&mut query, known);
    let ctid = system_columns::names_ctid(&query);
    let mut rewriter = Rewriter { known, ctid, ..Rewriter::default() };
    let _ = visit::walk_mut(&mut query, &mut rewriter);
    if let Some(refused) = rewriter.refused {
        return Err(refused);
    }
    let names =
        select_list(&mut query.body).map(|items| name_items(items, alias_all, &shown)).unwrap_or_default();
    Ok((query, names))
}

/// An expression as it is planned.
pub fn expression(expr: &mut Expr, known: Known) -> Result<()> {
    let mut rewriter = Rewriter { known, ..Rewriter::default() };
    let _ = visit::walk_mut(expr, &mut rewriter);
    rewriter.refused.map_or(Ok(()), Err)
}

/// PostgreSQL's words for equal names in a subquery, which are an error once one of them is named.
pub fn ambiguous(error: Error) -> Error {
    match error.message().split_once(" AS ").and_then(|(_, rest)| rest.split('"').next()) {
        Some(column) => {
            Error::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{column}\" is ambiguous"))
        }
        None => error,
    }
}

/// The name of the column at `position` of `columns`, given the names of the items. Items before the first wildcard
/// are counted from the left, those after the last from the right.
pub fn output_name(names: &[Option<String>], position: usize, columns: usize) -> Option<String> {
    let first_wildcard = names.iter().position(Option::is_none).unwrap_or(names.len());
    if position < first_wildcard {
        return names[position].clone();
    }
    let after_last = names.iter().rev().position(Option::is_none).unwrap_or(0);
    let from_right = columns - 1 - position;
    if from_right < after_last { names[names.len() - 1 - from_right].clone() } else { None }
}

#[derive(Default)]
struct Rewriter<'a> {
    /// What queries can name.
    known: Known<'a>,
    /// The names of WITH that hide those, of the queries around.
    hidden: Vec<String>,
    /// Whether `ctid` is named.
    ctid: bool,
    /// The queries around.
    scopes: Scopes,
    /// Calls of functions in FROM so far.
    calls: usize,
    /// FILTERs with subqueries so far, as they are written.
    filters: Vec<String>,
    /// What cannot be planned as it was meant.
    refused: Option<Error>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        with_order::rename_hiding(query, &self.hidden);
        let settled = bracketed::open(query)
            .and_then(|()| recursive_terms::check(query))
            .and_then(|()| searches::expand(query, &self.known, &self.hidden))
            .and_then(|()| constants::settle(query));
        if let Err(refused) = settled {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        item_names::name_arms(&mut query.body);
        item_names::name_ordered(query);
        using::order_by_merged(query);
        with_order::settle(query);
        spell_tables(&mut query.body);
        query.with.iter_mut().flat_map(|with| &mut with.cte_tables).for_each(|part| {
            spell_tables(&mut part.query.body);
            item_names::name_columns(&mut part.query);
        });
        for part in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let Err(refused) = aliases::complete_with(&mut part.alias, &part.query) {
                self.refused = Some(refused);
                return ControlFlow::Break(());
            }
        }
        once::mark(query, &self.known, &self.hidden);
        set_functions::name_rows(query);
        first_terms::settle_numbers(query);
        if let SetExpr::Values(values) = query.body.as_mut() {
            values::spread_types(values);
            if let Some(selects) = values::values_of_columns(values) {
                *query.body = selects;
            }
        }
        self.hidden.extend(with_names(query));
        if let Err(refused) = limit_fetch(query) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        if let Err(refused) = windows::write_out(query) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        late_calls::settle(query);
        if let Err(refused) = order_by::settle(query, &self.known, &self.hidden) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        group_keys::extend(query, &self.known, &self.hidden);
        group_names::tell_apart(query, &self.known, &self.hidden);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let count = with_names(query).count();
        self.hidden.truncate(self.hidden.len().saturating_sub(count));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        using::open_nested(select, &self.known, &self.hidden);
        if let Err(error) = records::settle_items(&mut select.projection) {
            self.refused = Some(error);
        }
        if let Err(error) = same_names::settle(select, &self.known, &self.hidden) {
            self.refused = Some(error);
        }
        qualify_wildcards(select);
        name_window_columns(&mut select.projection);
        item_names::tell_apart(select);
        let allowed = refusals::of_select(select)
            .and_then(|()| refusals::of_direct_arguments(select, &self.known, &self.hidden));
        if let Err(error) = allowed {
            self.refused = Some(error);
        }
        group_for_having(select);
        number_groups(select);
        membership::of_rows(&mut select.selection);
        whole_rows::of_nulls(select, &self.known, &self.hidden);
        if let Err(error) = using::qualify(select, &self.known, &self.hidden) {
            self.refused = Some(error);
        }
        if self.ctid {
            system_columns::expose(select, &self.known, &self.hidden);
        }
        self.scopes.enter(select, &self.known, &self.hidden);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        self.scopes.leave();
        if let Some(first) = select.from.first_mut() {
            set_functions::settle_first(&mut first.relation);
        }
        select.from.iter_mut().flat_map(|from| &mut from.joins).for_each(set_functions::settle_join);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match sample::expand(factor, self.calls + 1) {
            Ok(false) => {}
            Ok(true) => {
                self.calls += 1;
                return ControlFlow::Continue(());
            }
            Err(refused) => {
                self.refused = Some(refused);
                return ControlFlow::Break(());
            }
        }
        let settled = rows_from::settle(factor).and_then(|()| set_functions::check_columns(factor));
        if let Err(refused) = settled.and_then(|()| aliases::complete(factor, &self.known, &self.hidden)) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        if let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor {
            let names: Vec<Ident> = alias.columns.iter().map(|column| column.name.clone()).collect();
            quantified::name_items(subquery, &names);
        }
        match factor {
            TableFactor::Derived { subquery, lateral: true, .. } => item_names::name_outer_columns(subquery),
            TableFactor::Derived { subquery, .. } => item_names::name_columns(subquery),
            _ => {}
        }
        set_functions::populate(factor, &self.known, &self.hidden);
        set_functions::settle(factor, &self.known);
        if set_functions::is_scan(factor)
            && let TableFactor::Table { name, alias, .. } = factor
        {
            set_functions::name_column(name, alias);
            self.calls += 1;
            number_call(name, self.calls);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.scopes.qualify(expr, &self.known, &self.hidden);
        if let Err(refused) = quantified::expand(expr) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        if let Expr::Function(function) = expr {
            variadic::unname(function);
        }
        if let Expr::Function(function) = expr
            && let Err(refused) = refusals::of_call(function).and_then(|()| frames::of_call(function))
        {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        if let Expr::Function(function) = expr
            && let Some(condition) = function.filter.as_mut().filter(|condition| has_subquery(condition))
        {
            number_filter(condition, &mut self.filters);
        }
        if let Err(refused) = refusals::of_rows(expr).and_then(|()| refusals::of_value(expr)) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        membership::of_row(expr);
        whole_rows::of_values(expr);
        records::settle(expr);
        if let Expr::Identifier(ident) = expr
            && ident.quote_style.is_none()
            && KEYWORD_VALUES.contains(&ident.value.to_ascii_lowercase().as_str())
        {
            *expr = call(ident.clone(), ast::FunctionArguments::None);
        }
        dimensions::settle(expr, &self.known);
        respell(expr);
        subscripts::bound(expr);
        if let Err(refused) = refusals::of_array(expr) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            settle_frame(function);
        }
        let expanded = domains::expand(expr, &self.known).and_then(|()| quantified::beside_nulls(expr));
        if let Err(refused) = expanded {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        aggregates::expand(expr);
        age_of_today(expr);
        if let Err(refused) = hypothetical::expand(expr).and_then(|()| framed::expand_call(expr)) {
            self.refused = Some(refused);
            return ControlFlow::Break(());
        }
        expand_function(expr);
        records::expand(expr);
        // The planner looks for columns of an array in its own query only, and has no NULLs beside types of ours.
        if let Expr::Array(array) = expr
            && (array.elem.iter().any(values::names_columns) || is_typed_beside_null(&array.elem))
        {
            *expr = function_call(ARRAY_OF_COLUMNS, std::mem::take(&mut array.elem));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        set_functions::expand(factor, &self.known);
        ControlFlow::Continue(())
    }
}

/// Whether NULLs stand beside casts to one type, and nothing else.
fn is_typed_beside_null(items: &[Expr]) -> bool {
    fn type_of(item: &Expr) -> Option<&ast::DataType> {
        match item {
            Expr::Cast { data_type, .. } => Some(data_type),
            Expr::TypedString(typed) => Some(&typed.data_type),
            _ => None,
        }
    }
    let (nulls, others): (Vec<&Expr>, Vec<&Expr>) = items.iter().partition(|item| is_null(item));
    let first = others.first().and_then(|item| type_of(item));
    !nulls.is_empty() && first.is_some() && others.iter().all(|item| type_of(item) == first)
}

/// `age(x)` is how old it is at midnight.
fn age_of_today(expr: &mut Expr) {
    if let Expr::Function(function) = expr
        && plain_name(function).as_deref() == Some("age")
        && let Some([argument]) = arguments(function).as_deref()
    {
        let today = call(Ident::new("current_date"), ast::FunctionArguments::None);
        *expr = function_call("age", vec![today, argument.clone()]);
    }
}

/// `t.*` of `schema.t` as `schema.t.*`: the planner knows the table by its whole name.
fn qualify_wildcards(select: &mut ast::Select) {
    let tables = factors(&select.from).into_iter();
    let tables = tables.filter(|factor| matches!(factor, TableFactor::Table { args: None, .. }));
    let names: Vec<Vec<Ident>> = tables.filter_map(qualifier).filter(|name| name.len() > 1).collect();
    for item in &mut select.projection {
        if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(wildcard), _) = item
            && let [part] = &wildcard.0[..]
            && let Some(part) = part.as_ident().map(folded)
            && let Some(whole) = names.iter().find(|name| name.last().map(folded).as_ref() == Some(&part))
        {
            *wildcard = ObjectName::from(whole.clone());
        }
    }
}

/// `TABLE t` is `SELECT * FROM t`.
fn spell_tables(body: &mut SetExpr) {
    match body {
        SetExpr::Table(table) => {
            let mut name = Vec::new();
            name.extend(table.schema_name.take().map(Ident::new));
            name.extend(table.table_name.take().map(Ident::new));
            let all = SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
            *body = *query_from(vec![all], relation(ObjectName::from(name), None, None)).body;
        }
        SetExpr::SetOperation { left, right, .. } => {
            spell_tables(left);
            spell_tables(right);
        }
        _ => {}
    }
}

/// The names that a query's WITH gives.
pub fn with_names(query: &Query) -> impl Iterator<Item = String> {
    query.with.iter().flat_map(|with| with.cte_tables.iter().map(|part| folded(&part.alias.name)))
}

/// `FETCH FIRST n ROWS ONLY` is LIMIT n.
fn limit_fetch(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.percent {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"PERCENT\""));
    }
    let count = fetch.quantity.unwrap_or_else(|| number(1));
    if fetch.with_ties {
        return ties::qualify(query, count);
    }
    let count = Some(count);
    match &mut query.limit_clause {
        None => {
            let clause = LimitClause::LimitOffset { limit: count, offset: None, limit_by: Vec::new() };
            query.limit_clause = Some(clause);
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = count,
        Some(_) => return Err(bracketed::twice("LIMIT")),
    }
    Ok(())
}

/// What an array of columns is called with.
const ARRAY_OF_COLUMNS: &str = "make_array";

/// The name of a plain function.
pub fn plain_name(function: &ast::Function) -> Option<String> {
    match function.name.0.as_slice() {
        [name] => name.as_ident().map(folded),
        _ => None,
    }
}

/// A set-returning function in a select list.
fn expand_function(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if plain_name(function).is_some_and(|name| set_functions::is_array_of_set(&name)) {
        *expr = function_call("unnest", vec![expr.clone()]);
    }
}

/// The name under which a function that was expanded is known.
pub fn expanded_name(function: &ast::Function) -> Option<String> {
    let name = plain_name(function)?;
    if let Some(row) = records::name_of(function) {
        return Some(row);
    }
    if name == ARRAY_OF_COLUMNS {
        return Some("array".to_owned());
    }
    if let Some(called) = name.strip_prefix(VARIADIC) {
        return Some(called.to_owned());
    }
    if let Some(aggregate) = aggregates::of_items(&name) {
        return Some(aggregate.to_owned());
    }
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Function(inner)))]
            if name == "unnest" =>
        {
            plain_name(inner).filter(|name| set_functions::is_array_of_set(name))
        }
        _ => None,
    }
}

/// `GROUP BY ROLLUP (1)` groups by the first item of the select list.
fn number_groups(select: &mut ast::Select) {
    let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    let item = |expr: &Expr| select.projection.get(place(expr)?).and_then(computed).cloned();
    for group in groups {
        let (Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets)) = group else { continue };
        for expr in sets.iter_mut().flatten() {
            if let Some(item) = item(expr) {
                *expr = item;
            }
        }
    }
}

/// `SELECT 1 FROM t HAVING true` is one row, a group of all.
fn group_for_having(select: &mut ast::Select) {
    let Some(having) = &select.having else { return };
    let is_grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let counts = |item: &SelectItem| computed(item).is_some_and(aggregates::has_aggregate);
    if is_grouped || aggregates::has_aggregate(having) || select.projection.iter().any(counts) {
        return;
    }
    let all = Box::new(function_call("count", vec![number(1)]));
    let is_group = Expr::BinaryOp { left: all, op: ast::BinaryOperator::GtEq, right: Box::new(number(0)) };
    let condition = Box::new(Expr::Nested(Box::new(having.clone())));
    let both = Expr::BinaryOp { left: condition, op: ast::BinaryOperator::And, right: Box::new(is_group) };
    select.having = Some(both);
}

/// `rank() OVER (...)` without a name is called `rank`, which queries around it may say.
fn name_window_columns(items: &mut [SelectItem]) {
    let names: Vec<Option<String>> = items
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect();
    for (place, item) in items.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(Expr::Function(function)) = &*item else { continue };
        let is_only = names.iter().filter(|name| **name == names[place]).count() == 1;
        if let (Some(_), true, Some(name)) = (&function.over, is_only, &names[place]) {
            let expr = Expr::Function(function.clone());
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) };
        }
    }
}

/// `CAST(expr AS ty)`
pub fn cast_to(expr: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// A type as the parser reads its name.
pub fn type_tree(ty: &Type) -> Option<ast::DataType> {
    match dialect::parse_expression(&format!("NULL::{ty}")) {
        Ok(Expr::Cast { data_type, .. }) => Some(data_type),
        _ => None,
    }
}

/// Whether it is real or double precision.
pub fn is_float_type(data_type: &ast::DataType) -> bool {
    matches!(type_name(data_type).as_str(), "float8" | "float4")
}

/// A plain call.
pub fn function_call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|arg| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(arg)));
    let list =
        ast::FunctionArgumentList { duplicate_treatment: None, args: args.collect(), clauses: Vec::new() };
    call(Ident::new(name), ast::FunctionArguments::List(list))
}

/// The arguments of a plain call, if each is an expression without a name.
pub fn arguments(function: &ast::Function) -> Option<Vec<Expr>> {
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    let arguments = list.args.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    arguments.collect()
}

/// The text of an expression without its casts, which the planner leaves out of names.
pub fn bare_text(expr: &Expr) -> String {
    let mut bare = expr.clone();
    let _ = visit::expressions_mut(&mut bare, |part| {
        while let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = part {
            *part = (**inner).clone();
        }
        ControlFlow::<()>::Continue(())
    });
    bare.to_string()
}

/// Values PostgreSQL's grammar spells without parentheses and sqlparser takes for columns.
const KEYWORD_VALUES: &[&str] = &["current_schema", "current_role"];

pub fn call(name: Ident, args: ast::FunctionArguments) -> Expr {
    Expr::Function(ast::Function {
        name: ObjectName(vec![ast::ObjectNamePart::Identifier(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Makes a call in FROM another scan than the query's other calls of the function.
fn number_call(function: &mut ObjectName, number: usize) {
    if let Some(name) = function.0.last().and_then(|part| part.as_ident()) {
        let function_name =
            if name.quote_style.is_none() { name.value.to_lowercase() } else { name.value.clone() };
        *function = ObjectName::from(Ident::new(format!("{function_name}${number}")));
    }
}

/// The function that a name made by this module calls.
pub fn called_function(name: &str) -> &str {
    name.rsplit_once('$').map_or(name, |(function, _)| function)
}

fn select_list(body: &mut SetExpr) -> Option<&mut Vec<SelectItem>> {
    match body {
        SetExpr::Select(select) => Some(&mut select.projection),
        SetExpr::Query(query) => select_list(&mut query.body),
        SetExpr::SetOperation { left, .. } => select_list(left),
        _ => None,
    }
}

/// Names the items; `shown` are the names as they were before wildcards among them were written out, `None` for those.
fn name_items(items: &mut [SelectItem], alias_all: bool, shown: &[Option<String>]) -> Vec<Option<String>> {
    let count = items.len();
    let shown = |position: usize| match shown.len() <= count {
        true => output_name(shown, position, count),
        false => None,
    };
    let (mut seen, mut texts) = (HashSet::new(), HashSet::new());
    // A wildcard may bring any column once more.
    let is_plain =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let has_wildcard = !items.iter().all(is_plain);
    let mut names = Vec::with_capacity(items.len());
    for (position, item) in items.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = shown(position).unwrap_or_else(|| name_of(expr));
                let is_column = is_column(expr);
                // The planner calls every subquery by the same name, wherever it stands in an expression.
                let again = alias_all
                    || !texts.insert(bare_text(expr))
                    || has_subquery(expr)
                    || is_column && (has_wildcard || seen.contains(&name));
                if again {
                    let alias = Ident::with_quote('"', format!("{name} {position}"));
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
                seen.insert(name.clone());
                names.push(Some(name));
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = folded(alias);
                if !seen.insert(name.clone()) {
                    *alias = Ident::with_quote('"', format!("{name} {position}"));
                }
                names.push(Some(names::shown(&name).to_owned()));
            }
            _ => names.push(None),
        }
    }
    names
}

/// The planner knows aggregates by how they are written, and writes all subqueries alike: two that differ there alone
/// would be one. So each gets the number of its text among the `known` ones. What is added goes when the plan is made
/// simpler.
fn number_filter(condition: &mut Expr, known: &mut Vec<String>) {
    let text = condition.to_string();
    let place = known.iter().position(|known| *known == text).unwrap_or(known.len());
    if place == known.len() {
        known.push(text);
    }
    let both = |left: Expr, op: ast::BinaryOperator, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let is_itself = both(number(place), ast::BinaryOperator::Eq, number(place));
    let whole = Expr::Nested(Box::new(condition.clone()));
    *condition = both(whole, ast::BinaryOperator::And, is_itself);
}

/// Whether a query stands in the expression.
pub fn has_subquery(expr: &Expr) -> bool {
    struct Queries;

    impl Visitor for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    visit::walk(expr, &mut Queries).is_break()
}

/// A column; the planner calls a cast of one by the column's name too.
pub fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_column(expr),
        _ => false,
    }
}

/// An identifier as its name is compared.
pub fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_around_a_wildcard_are_counted_from_both_ends() {
        let names = [Some("a".to_owned()), None, Some("b".to_owned())];
        let shown: Vec<Option<String>> = (0..5).map(|position| output_name(&names, position, 5)).collect();
        assert_eq!(shown[0].as_deref(), Some("a"));
        assert_eq!(shown[1..4], [None, None, None]);
        assert_eq!(shown[4].as_deref(), Some("b"));
    }
}
