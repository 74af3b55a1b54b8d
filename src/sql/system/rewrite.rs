//! Spellings of catalogue queries that the planner does not know, as ones it does.
//!
//! psql, drivers and ORMs write for PostgreSQL's planner. What they write and DataFusion does not plan is said
//! another way here, before planning; every rule keeps the meaning.
//!
//! | written                                        | planned                                            |
//! |------------------------------------------------|----------------------------------------------------|
//! | `pg_catalog.f(x)`                              | `f(x)`                                             |
//! | `a OPERATOR(pg_catalog.~) b`                   | `a ~ b`                                            |
//! | `x COLLATE pg_catalog.default`                 | `x`: all text is compared byte by byte             |
//! | `'t'::regclass`                                | the oid; in a result column and as text, the name  |
//! | `'english'::regconfig`                         | the name                                           |
//! | `array(SELECT x FROM ...)`                     | `(SELECT array_agg(x) FROM ...)`, never NULL       |
//! | `array(SELECT 'p' \|\| x FROM unnest(a) x)`    | each item of a with the prefix                     |
//! | a correlated `(SELECT x FROM pg_... WHERE ...)`| `(SELECT min(x) ...)`: at most one row is there    |
//! | `EXISTS (...)` in a result column              | `(SELECT count(*) ...) > 0`                        |
//! | `x = ANY ('{a,b}')`                           | `x IN ('a', 'b')`                                  |
//! | `generate_subscripts(a, 1)`                    | `unnest` of the subscripts                         |
//! | `pg_partition_tree('t')`                       | `unnest` of an array for each column               |
//! | `i.indkey[0]`                                  | `i.indkey[1]`: arrays count from 1                 |
//! | `array_lower(i.indkey, 1)`                     | one less                                           |
//! | `i.indkey` in a result column                  | `1 2`, as int2vector and oidvector are shown       |
//! | `a LIKE b ESCAPE 'c'`                          | LIKE with backslashes in the pattern               |
//! | `c.tableoid`                                   | the oid of the relation c stands for               |
//! | a recursion along `pg_type.typbasetype`        | a function that goes it                            |
//! | joining a relation that never has rows         | WHERE false, and nothing to compute                |

// Functions that return sets.
mod sets;
// Oids that are shown as names.
mod shown;
pub mod tables;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::*;

// array(SELECT ...).
mod arrays;

use arrays::array_of;
pub use shown::shown;
use shown::{items, keep_name, show, show_arguments, show_names, unnamed};

use crate::sql::known::Known;
use crate::sql::rewrite::{arguments, name_of};
use crate::sql::system::empty::is_empty;
use crate::sql::system::{HITHER, INFORMATION_SCHEMA, PG_CATALOG};
use crate::sql::trees::{alias_of, operator_of};
use crate::sql::visit;

/// Rewrites a query in place. Result columns keep the names they had.
pub fn query(query: &mut Query, known: Known) {
    let before: Vec<Option<String>> = items(&mut query.body).iter().map(unnamed).collect();
    show_names(&mut query.body);
    let _ = visit::walk_mut(query, &mut Rewriter { known, names: Vec::new() });
    for (item, name) in items(&mut query.body).iter_mut().zip(before) {
        keep_name(item, name);
    }
}

/// Rewrites an expression outside a query, such as a column's default.
pub fn expression(expr: &mut Expr) {
    let _ = visit::walk_mut(expr, &mut Rewriter { known: Known::default(), names: Vec::new() });
}

/// Types whose values are oids that show as names.
#[derive(Clone, Copy)]
enum Reg {
    Class,
    Type,
    Namespace,
    Role,
    Procedure,
    /// Shown and kept as its name.
    Configuration,
}

impl Reg {
    fn of(data_type: &DataType) -> Option<Reg> {
        if *data_type == DataType::Regclass {
            return Some(Reg::Class);
        }
        let DataType::Custom(name, _) = data_type else { return None };
        Some(match unqualified(name)?.as_str() {
            "regclass" => Reg::Class,
            "regtype" => Reg::Type,
            "regnamespace" => Reg::Namespace,
            "regrole" => Reg::Role,
            "regproc" | "regprocedure" => Reg::Procedure,
            "regconfig" => Reg::Configuration,
            _ => return None,
        })
    }

    /// The function that makes the oid.
    fn reader(self) -> &'static str {
        match self {
            Reg::Class => "hither_regclass_in",
            Reg::Type => "hither_regtype_in",
            Reg::Namespace => "hither_regnamespace_in",
            Reg::Role => "hither_regrole_in",
            Reg::Procedure => "hither_regproc_in",
            Reg::Configuration => "hither_regconfig_in",
        }
    }

    /// The function that makes the name.
    fn printer(self) -> &'static str {
        match self {
            Reg::Class => "hither_regclass_out",
            Reg::Type => "hither_regtype_out",
            Reg::Namespace => "hither_regnamespace_out",
            Reg::Role => "hither_regrole_out",
            Reg::Procedure => "hither_regproc_out",
            Reg::Configuration => "hither_regconfig_in",
        }
    }
}

/// The last part of a name that has no schema or one of the system's; folded.
fn unqualified(name: &ObjectName) -> Option<String> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    match parts.as_slice() {
        [name] => Some(name.value.to_lowercase()),
        [schema, name] if schema.value.eq_ignore_ascii_case(PG_CATALOG) => Some(name.value.to_lowercase()),
        _ => None,
    }
}

/// The function that shows a column of the catalogue's vectors.
fn vector_printer(column: &str) -> &'static str {
    match column {
        "indkey" | "indoption" | "partattrs" => "hither_int2vector_out",
        _ => "hither_oidvector_out",
    }
}

struct Rewriter<'a> {
    known: Known<'a>,
    /// What the items of the selects around were called.
    names: Vec<Vec<Option<String>>>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.names.push(select.projection.iter().map(unnamed).collect());
        tables::name(select, self.known);
        tables::expand_arrays(select);
        if joins_nothing(select) {
            compute_nothing(select);
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let _ = visit::walk_mut(expr, &mut CountExists);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let names = self.names.pop().unwrap_or_default();
        if names.len() == select.projection.len() {
            select.projection.iter_mut().zip(names).for_each(|(item, name)| keep_name(item, name));
        }
        ControlFlow::Continue(())
    }

    /// `pg_timezone_names()` is a relation here; other functions in FROM have no schema.
    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args, alias, .. } = factor {
            let bare = unqualified(name).filter(|_| args.is_some());
            match bare.as_deref() {
                Some("pg_timezone_names") => *args = None,
                Some("pg_get_keywords") => {
                    *args = None;
                    alias.get_or_insert_with(|| alias_of(Ident::new("pg_get_keywords")));
                    *name = ObjectName::from(vec![Ident::new(HITHER), Ident::new("keywords")]);
                }
                Some("pg_show_all_settings") => {
                    *args = None;
                    *name = ObjectName::from(vec![Ident::new(PG_CATALOG), Ident::new("pg_settings")]);
                }
                Some(function) => match sets::from(factor, function) {
                    Some(unnested) => *factor = unnested,
                    None => without_schema(factor, function),
                },
                None => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Collate { expr: inner, collation } if compares_bytes(collation) => {
                *expr = inner.as_ref().clone();
                return self.pre_visit_expr(expr);
            }
            Expr::Cast { .. } => rewrite_cast(expr),
            Expr::AnyOp { .. } => rewrite_any(expr),
            Expr::Identifier(name) if name.quote_style.is_none() && is_session_value(&name.value) => {
                *expr = call(&name.value.to_lowercase(), Vec::new());
            }
            Expr::BinaryOp { left, op, right } => {
                rewrite_operator(op);
                tables::compare_procedures(left, right);
                if *op == BinaryOperator::StringConcat {
                    show(left);
                    show(right);
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take() {
                    let escape = Expr::Value(escape);
                    **pattern = call("hither_like_pattern", vec![pattern.as_ref().clone(), escape]);
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                count_from_one(root, access_chain);
                let part = tables::character_of_name(root, access_chain);
                if let Some(part) = part.or_else(|| tables::part_of_array(root, access_chain)) {
                    *expr = part;
                }
            }
            Expr::Function(function) => {
                show_arguments(function);
                rewrite_function(expr);
            }
            Expr::Subquery(query) if yields_nothing(query) => *expr = Expr::value(Value::Null),
            Expr::Subquery(query) if is_system(query) || base_type(query).is_some() => {
                if let Some(first) = base_type(query) {
                    **query = first;
                }
                if let Some(rewritten) = one_row(query) {
                    *expr = rewritten;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// The catalogue's vectors begin at 0.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let "array_lower" | "array_upper" | "array_position" =
                function.name.to_string().to_lowercase().as_str()
            && first_argument(function).is_some_and(is_vector)
        {
            *expr = shifted(expr.clone(), BinaryOperator::Minus);
        }
        ControlFlow::Continue(())
    }
}

/// A call of a function in FROM without the system's schema before its name.
fn without_schema(factor: &mut TableFactor, function: &str) {
    if let TableFactor::Table { name, .. } = factor
        && name.0.len() == 2
    {
        *name = ObjectName::from(Ident::new(function));
    }
}

/// Whether it is a column of type int2vector or oidvector, an array here like any other.
fn is_vector(expr: &Expr) -> bool {
    vector_name(expr).is_some()
}

fn vector_name(expr: &Expr) -> Option<&str> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    vector_column(name)
}

fn vector_column(name: &Ident) -> Option<&str> {
    let is_vector = matches!(
        name.value.as_str(),
        "indkey"
            | "indclass"
            | "indoption"
            | "indcollation"
            | "proargtypes"
            | "partattrs"
            | "partclass"
            | "partcollation"
    );
    is_vector.then_some(name.value.as_str())
}

/// `i.indkey[0]` is the first element.
fn count_from_one(root: &Expr, chain: &mut [AccessExpr]) {
    let index = match chain {
        [AccessExpr::Subscript(Subscript::Index { index })] if is_vector(root) => index,
        [AccessExpr::Dot(Expr::Identifier(name)), AccessExpr::Subscript(Subscript::Index { index })]
            if vector_column(name).is_some() =>
        {
            index
        }
        _ => return,
    };
    *index = shifted(index.clone(), BinaryOperator::Plus);
}

/// One more or less.
fn shifted(number: Expr, op: BinaryOperator) -> Expr {
    let one = Box::new(Expr::value(Value::Number("1".to_owned(), false)));
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(Expr::Nested(Box::new(number))), op, right: one }))
}

/// The first argument of a call.
fn first_argument(function: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
        _ => None,
    }
}

fn is_oid(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Custom(name, _) if unqualified(name).as_deref() == Some("oid"))
}

/// Words that are calls without parentheses.
fn is_session_value(word: &str) -> bool {
    word.eq_ignore_ascii_case("current_schema") || word.eq_ignore_ascii_case("current_role")
}

/// `x = ANY ('{a,b}')`, and of names of types `x = ANY ('{int4,text}'::regtype[])`
fn rewrite_any(expr: &mut Expr) {
    let Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } = expr else { return };
    let literal = match right.as_ref() {
        Expr::Nested(inner) => inner.as_ref(),
        other => other,
    };
    let (literal, reg) = match literal {
        Expr::Cast {
            expr, data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)), ..
        } => match Reg::of(element) {
            Some(reg) => (expr.as_ref(), Some(reg)),
            None => return,
        },
        other => (other, None),
    };
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = literal else { return };
    let Ok(parsed) = crate::types::array::parse(text) else { return };
    let item = |item: Option<String>| {
        let item = Expr::value(item.map_or(Value::Null, Value::SingleQuotedString));
        match reg {
            Some(reg) => call(reg.reader(), vec![item]),
            None => item,
        }
    };
    let list: Vec<Expr> = parsed.items.into_iter().map(item).collect();
    *expr = match list.is_empty() {
        true => Expr::value(Value::Boolean(false)),
        false => Expr::InList { expr: left.clone(), list, negated: false },
    };
}

fn compares_bytes(collation: &ObjectName) -> bool {
    unqualified(collation)
        .is_some_and(|name| matches!(name.as_str(), "default" | "c" | "posix" | "ucs_basic"))
}

fn rewrite_cast(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    if let Some(reg) = Reg::of(data_type) {
        *expr = call(reg.reader(), vec![inner.as_ref().clone()]);
        return;
    }
    if let Some(name) = vector_name(inner)
        && is_text(data_type)
    {
        let printer = vector_printer(name);
        **inner = call(printer, vec![inner.as_ref().clone()]);
        return;
    }
    if is_oid(data_type) && tables::is_procedure(inner) {
        *expr = call("hither_regproc_oid", vec![inner.as_ref().clone()]);
        return;
    }
    // x::regclass::text is the name, x::regclass::oid the number.
    if is_text(data_type) {
        show(inner);
        return;
    }
    let Expr::Cast { expr: innermost, data_type: between, .. } = inner.as_ref() else { return };
    let Some(reg) = Reg::of(between) else { return };
    **inner = call(reg.reader(), vec![innermost.as_ref().clone()]);
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::String(_) => true,
        DataType::Custom(name, _) => {
            unqualified(name).is_some_and(|name| matches!(name.as_str(), "text" | "varchar" | "name"))
        }
        _ => false,
    }
}

fn rewrite_operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    let symbol = match parts.as_slice() {
        [symbol] => symbol.as_str(),
        [schema, symbol] if schema.eq_ignore_ascii_case(PG_CATALOG) => symbol.as_str(),
        _ => return,
    };
    if let Some(known) = operator_of(symbol) {
        *op = known;
    }
}

fn rewrite_function(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if function.name.0.len() == 2
        && let Some(name) = unqualified(&function.name)
    {
        function.name = ObjectName::from(Ident::new(name));
    }
    match function.name.to_string().to_lowercase().as_str() {
        // Sequences are found by name.
        "nextval" | "currval" | "setval" => bare_names(&mut function.args),
        "generate_subscripts" => {
            if let Some(given) = arguments(function).filter(|given| !given.is_empty()) {
                *expr = call("unnest", vec![sets::subscripts_of(&given)]);
            }
        }
        "pg_partition_ancestors" => {
            if let Some(relation) = first_argument(function) {
                *expr = call("unnest", vec![call("hither_partition_ancestors", vec![relation.clone()])]);
            }
        }
        "array" => {
            if let FunctionArguments::Subquery(query) = &function.args {
                *expr = array_of(query);
            }
        }
        _ => {}
    }
}

fn bare_names(args: &mut FunctionArguments) {
    let FunctionArguments::List(list) = args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
            && let Expr::Cast { expr: inner, data_type, .. } = expr
            && matches!(Reg::of(data_type), Some(Reg::Class))
        {
            *expr = inner.as_ref().clone();
        }
    }
}

/// `SELECT 'p' || x FROM unnest(a) x`: the prefix and the array.
fn prefixed_items(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let ([SelectItem::UnnamedExpr(Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right })], [from]) =
        (select.projection.as_slice(), select.from.as_slice())
    else {
        return None;
    };
    let (array, alias) = unnested(&from.relation)?;
    let is_item = matches!(right.as_ref(), Expr::Identifier(name) if name.value == alias);
    let plain = select.selection.is_none() && from.joins.is_empty() && is_item;
    plain.then(|| call("hither_array_prefix", vec![left.as_ref().clone(), array]))
}

fn unnested(factor: &TableFactor) -> Option<(Expr, String)> {
    match factor {
        TableFactor::Table { name, alias, args: Some(args), .. } if unqualified(name)? == "unnest" => {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) = args.args.first()? else { return None };
            Some((array.clone(), alias.as_ref()?.name.value.clone()))
        }
        TableFactor::Function { name, args, alias, .. } if unqualified(name)? == "unnest" => {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) = args.first()? else { return None };
            Some((array.clone(), alias.as_ref()?.name.value.clone()))
        }
        TableFactor::UNNEST { alias, array_exprs, .. } => {
            Some((array_exprs.first()?.clone(), alias.as_ref()?.name.value.clone()))
        }
        _ => None,
    }
}

/// EXISTS where a value is wanted.
struct CountExists;

impl VisitorMut for CountExists {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Exists { subquery, negated } = expr else { return ControlFlow::Continue(()) };
        let cuts = subquery.fetch.is_some() || subquery.limit_clause.as_ref().is_some_and(|l| !keeps_one(l));
        let SetExpr::Select(select) = subquery.body.as_mut() else { return ControlFlow::Continue(()) };
        if cuts || !is_plain(select) || !select.projection.iter().all(makes_no_rows) {
            return ControlFlow::Continue(());
        }
        select.projection = vec![SelectItem::UnnamedExpr(count_rows())];
        (subquery.order_by, subquery.limit_clause) = (None, None);
        let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
        let zero = Expr::value(Value::Number("0".to_owned(), false));
        let subquery = Expr::Subquery(subquery.clone());
        *expr =
            Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(subquery), op, right: Box::new(zero) }));
        ControlFlow::Continue(())
    }
}

/// Whether a limit lets by the first row, if there is one.
fn keeps_one(limit: &LimitClause) -> bool {
    let LimitClause::LimitOffset { limit, offset: None, limit_by } = limit else { return false };
    let is_some = |limit: &Expr| match limit {
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(count, _) if count.parse::<u64>().is_ok_and(|count| count > 0))
        }
        _ => false,
    };
    limit_by.is_empty() && limit.as_ref().is_none_or(is_some)
}

/// Whether an item of a list is as often there as there are rows below: a call might be of an aggregate or of a function
/// that returns a set.
fn makes_no_rows(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(expr, Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        }
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        SelectItem::ExprWithAliases { .. } => false,
    }
}

/// No grouping, no DISTINCT: rows in, rows out.
fn is_plain(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    ungrouped && select.having.is_none() && select.distinct.is_none()
}

/// Whether all a query reads is the system catalogue.
fn is_system(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    !select.from.is_empty() && factors(select).all(|factor| system_name(factor).is_some())
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// The name of a relation of pg_catalog or information_schema.
fn system_name(factor: &TableFactor) -> Option<String> {
    let TableFactor::Table { name, args: None, .. } = factor else { return None };
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| Some(part.as_ident()?.value.to_lowercase())).collect();
    match parts.as_slice() {
        [name] if name.starts_with("pg_") => Some(name.clone()),
        [schema, name] if schema == PG_CATALOG || schema == INFORMATION_SCHEMA => Some(name.clone()),
        _ => None,
    }
}

/// Names by which a select's own relations are called.
fn own_names(select: &Select) -> HashSet<String> {
    let name = |factor: &TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. } => Some(alias.name.value.to_lowercase()),
        TableFactor::Table { name, .. } => Some(name.0.last()?.as_ident()?.value.to_lowercase()),
        _ => None,
    };
    factors(select).filter_map(name).collect()
}

/// asyncpg's way from a domain to its base type, `WITH RECURSIVE typebases(oid, depth) AS (...)`: the first arm, with the
/// end of the way instead of its first step.
fn base_type(query: &Query) -> Option<Query> {
    let [cte] = query.with.as_ref().filter(|with| with.recursive)?.cte_tables.as_slice() else { return None };
    let SetExpr::SetOperation { left, .. } = cte.query.body.as_ref() else { return None };
    let SetExpr::Select(select) = left.as_ref() else { return None };
    let SelectItem::ExprWithAlias { expr: item @ Expr::CompoundIdentifier(column), alias } =
        select.projection.first()?
    else {
        return None;
    };
    if column.last()?.value != "typbasetype" {
        return None;
    }
    let mut select = select.clone();
    let expr = call("hither_base_type", vec![item.clone()]);
    select.projection = vec![SelectItem::ExprWithAlias { expr, alias: alias.clone() }];
    Some(Query { body: Box::new(SetExpr::Select(select)), ..cte.query.as_ref().clone() })
}

/// Makes a correlated subquery an aggregate, which is what the planner takes. Conditions on outer columns alone, and
/// outer columns in what is selected, move out of it, which may make it an expression around subqueries.
fn one_row(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let own = own_names(select);
    let condition = select.selection.as_ref()?;
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let mixed = has_outer_columns(item, &own);
    if !(mixed || has_outer_columns(condition, &own)) || query.limit_clause.is_some() || !is_plain(select) {
        return None;
    }
    let (mut outer, mut inner): (Vec<Expr>, Vec<Expr>) =
        conjuncts(condition).into_iter().partition(|conjunct| is_outer_only(conjunct, &own));
    replace_equals(&mut inner, &own);
    let inner = inner.into_iter().reduce(and);
    let aggregate = |item: Expr| selecting(query, item, inner.clone());
    let value = match mixed {
        false if is_aggregate(item) => aggregate(item.clone()),
        false => aggregate(call("min", vec![item.clone()])),
        true => {
            outer.push(Expr::BinaryOp {
                left: Box::new(aggregate(count_rows())),
                op: BinaryOperator::Gt,
                right: Box::new(Expr::value(Value::Number("0".to_owned(), false))),
            });
            let mut value = item.clone();
            let _ = visit::expressions_mut(&mut value, |expr| {
                let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                if column && !is_outer_only(expr, &own) {
                    *expr = aggregate(call("min", vec![expr.clone()]));
                }
                ControlFlow::<()>::Continue(())
            });
            value
        }
    };
    Some(match outer.into_iter().reduce(and) {
        Some(guard) => case(guard, value),
        None => value,
    })
}

/// The query with another item and condition, as an expression.
fn selecting(query: &Query, item: Expr, condition: Option<Expr>) -> Expr {
    let mut query = query.clone();
    query.order_by = None;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::UnnamedExpr(item)];
        select.selection = condition;
    }
    Expr::Subquery(Box::new(query))
}

/// `count(*)`
fn count_rows() -> Expr {
    let mut count = call("count", Vec::new());
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut count {
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    }
    count
}

fn is_aggregate(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let name = unqualified(&function.name).unwrap_or_default();
    matches!(
        name.as_str(),
        "min" | "max" | "count" | "sum" | "array_agg" | "string_agg" | "bool_or" | "bool_and"
    )
}

fn conjuncts(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        other => vec![other.clone()],
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// Columns of an expression, each as its parts; unqualified ones have one.
fn columns(expr: &Expr) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let _ = visit::expressions(expr, |expr| {
        match expr {
            Expr::Identifier(name) => found.push(vec![name.value.to_lowercase()]),
            Expr::CompoundIdentifier(parts) => {
                found.push(parts.iter().map(|part| part.value.to_lowercase()).collect());
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

fn is_outer(column: &[String], own: &HashSet<String>) -> bool {
    column.len() >= 2 && !own.contains(&column[column.len() - 2])
}

fn has_outer_columns(expr: &Expr, own: &HashSet<String>) -> bool {
    columns(expr).iter().any(|column| is_outer(column, own))
}

fn is_outer_only(expr: &Expr, own: &HashSet<String>) -> bool {
    let columns = columns(expr);
    !columns.is_empty() && columns.iter().all(|column| is_outer(column, own))
}

/// Where `inner = outer` is demanded, `outer` may be called `inner` in the other conditions, which then are no longer
/// correlated.
fn replace_equals(conjuncts: &mut [Expr], own: &HashSet<String>) {
    let mut equal: Vec<(Expr, Expr)> = Vec::new();
    for conjunct in conjuncts.iter() {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = conjunct {
            match (is_outer_only(left, own), is_outer_only(right, own)) {
                (true, false) => equal.push((left.as_ref().clone(), right.as_ref().clone())),
                (false, true) => equal.push((right.as_ref().clone(), left.as_ref().clone())),
                _ => {}
            }
        }
    }
    for conjunct in conjuncts {
        if matches!(conjunct, Expr::BinaryOp { op: BinaryOperator::Eq, .. }) {
            continue;
        }
        let _ = visit::expressions_mut(conjunct, |expr| {
            if let Some((_, inner)) = equal.iter().find(|(outer, _)| outer == expr) {
                *expr = inner.clone();
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// Whether a subquery has no rows whatever the tables hold.
fn yields_nothing(query: &Query) -> bool {
    matches!(query.body.as_ref(), SetExpr::Select(select) if joins_nothing(select))
}

/// Whether an inner join takes part with a relation that never has rows.
fn joins_nothing(select: &Select) -> bool {
    let empty = |factor: &TableFactor| system_name(factor).is_some_and(|name| is_empty(&name));
    // Outer joins from the other side keep rows that an empty relation does not have.
    let inner = |join: &Join| match &join.join_operator {
        JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => Some(true),
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => Some(false),
        _ => None,
    };
    let yields_none = |from: &TableWithJoins| {
        let known = from.joins.iter().all(|join| inner(join).is_some());
        known
            && (empty(&from.relation)
                || from.joins.iter().any(|join| inner(join) == Some(true) && empty(&join.relation)))
    };
    is_plain(select) && select.from.iter().any(yields_none) && !select.projection.iter().any(has_aggregate)
}

fn has_aggregate(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => is_aggregate(expr),
        _ => false,
    }
}

/// No rows, so nothing of the select list but its columns is computed.
fn compute_nothing(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = &*item
            && matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_))
        {
            continue;
        }
        *item = match &*item {
            SelectItem::UnnamedExpr(expr) => SelectItem::ExprWithAlias {
                alias: Ident::with_quote('"', name_of(expr)),
                expr: null_of(expr),
            },
            SelectItem::ExprWithAlias { alias, expr } => {
                SelectItem::ExprWithAlias { alias: alias.clone(), expr: null_of(expr) }
            }
            other => other.clone(),
        };
    }
    select.selection = Some(Expr::value(Value::Boolean(false)));
}

/// Whether it is one of the types of oids that show as names, those among them that only psql's queries name.
fn shows_a_name(data_type: &DataType) -> bool {
    let bare = match data_type {
        DataType::Custom(name, _) => unqualified(name),
        _ => None,
    };
    Reg::of(data_type).is_some() || matches!(bare.as_deref(), Some("regoper" | "regoperator"))
}

/// NULL of the type that an expression is cast to, which may meet another in a UNION; else text.
fn null_of(expr: &Expr) -> Expr {
    let data_type = match expr {
        Expr::Cast { data_type, .. } if shows_a_name(data_type) => {
            DataType::Custom(ObjectName::from(Ident::new("oid")), Vec::new())
        }
        Expr::Cast { data_type, .. } => data_type.clone(),
        _ => DataType::Text,
    };
    let expr = Box::new(Expr::value(Value::Null));
    Expr::Cast { kind: CastKind::DoubleColon, expr, data_type, array: false, format: None }
}

/// A call of a function by its bare name.
fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `CASE WHEN condition THEN value END`
fn case(condition: Expr, result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: None,
    }
}

#[cfg(test)]
mod tests;
