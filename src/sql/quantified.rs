//! `x < ANY (SELECT ...)` and `x = ALL (SELECT ...)`, in words that the planner has one meaning for.
//!
//! ```text
//!   x = ANY (q)     x IN (q)
//!   x <> ALL (q)    x NOT IN (q)
//!   x < ANY (q)     (SELECT CASE WHEN bool_or(x < v) THEN true WHEN bool_or((x < v) IS NULL) THEN NULL ELSE false END
//!                    FROM (q) AS hither_each(hither_v))
//!   x < ALL (q)     the same, with bool_or(NOT (x < v)) THEN false ... ELSE true
//! ```
//!
//! The planner's own node reads `x` inside the subquery, where its names may mean other columns. An aggregate or a window
//! cannot stand in there at all: `count(*) > ALL (q)` compares it with the greatest value of q, outside.
//!
//! Of arrays the planner knows `=` and its like. Patterns, and lists of constants:
//!
//! ```text
//!   x LIKE ANY (ARRAY[a, b])   x LIKE a OR x LIKE b                  so do ILIKE, ~ and the others
//!   x LIKE ANY (array)         hither_like(x, array, '~~', true)
//!   x = ANY (ARRAY[a, b])      x IN (a, b)
//!   x <> ALL ('{a,b}')         x NOT IN ('a', 'b')
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CaseWhen, Expr, Ident, Query, SelectItem, SetExpr, TableAlias, TableAliasColumnDef,
    TableFactor, UnaryOperator,
};

use crate::error::Result;
use crate::sql::rewrite::{cast_to, function_call};
use crate::sql::trees::{alias_of, derived, is_null, literal, query_of, text, unnested};
use crate::sql::visit;
use crate::sql::{aggregates, dialect, dimensions, spellings};
use crate::types::array;

/// The values of the subquery; no query of a user has a table called so.
pub const VALUES: &str = "hither_each";
const VALUE: &str = "hither_v";

/// Rewrites a comparison with the rows of a subquery, or with an array where the planner knows no way.
pub fn expand(expr: &mut Expr) -> Result<()> {
    let (left, op, right, any) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, true),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, false),
        _ => return Ok(()),
    };
    let Some(subquery) = subquery_of(right) else {
        **right = dimensions::elements_of_several(right);
        if let Some(expanded) = of_array(left, op, right, any)? {
            *expr = expanded;
        }
        return Ok(());
    };
    *expr = match (&*op, any) {
        (BinaryOperator::Eq, true) | (BinaryOperator::NotEq, false) => {
            Expr::InSubquery { expr: left.clone(), subquery: Box::new(subquery), negated: !any }
        }
        (op, _) if aggregates::is_of_rows(left) && bound(op, any).is_some() => {
            with_bound(left, op, &subquery, any).unwrap_or_else(|| expr.clone())
        }
        _ => {
            let fields = spellings::row_of(left).map(|fields| fields.len());
            let names: Vec<Ident> = match fields {
                Some(count) => (1..=count).map(|place| Ident::new(format!("{VALUE}{place}"))).collect(),
                None => vec![Ident::new(VALUE)],
            };
            let value = |name: &Ident| Expr::CompoundIdentifier(vec![Ident::new(VALUES), name.clone()]);
            let values: Vec<Expr> = names.iter().map(value).collect();
            // Two rows are compared as they are written out.
            let (left, right) = match (fields, spellings::row_of(left)) {
                (Some(_), Some(fields)) => (Box::new(Expr::Tuple(fields)), Expr::Tuple(values)),
                _ => (left.clone(), value(&names[0])),
            };
            let compared = Expr::BinaryOp { left, op: op.clone(), right: Box::new(right) };
            Expr::Subquery(Box::new(of_each(compared, subquery, &names, any)))
        }
    };
    Ok(())
}

/// A comparison with the elements of an array.
fn of_array(left: &Expr, op: &BinaryOperator, array: &Expr, any: bool) -> Result<Option<Expr>> {
    let is_list = matches!((op, any), (BinaryOperator::Eq, true) | (BinaryOperator::NotEq, false));
    let elements = elements(array)?;
    // The planner has a way of its own, by the greatest or least element.
    let is_compared = is_order(op) && elements.is_none();
    let is_equality = matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq);
    if is_compared || !is_list && is_equality && elements.is_none() {
        // But it wants to know the type of a literal at once, which the column tells.
        let is_column = matches!(unnested(array), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let by_element = !is_order(op) && literal(left).is_some() && is_column;
        return Ok(by_element.then(|| of_elements(left, op, array, any)));
    }
    if is_list && elements.is_none() {
        let has = function_call("hither_has", vec![array.clone(), unnested(left).clone()]);
        let not = |has: Expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(has) };
        return Ok(Some(if any { has } else { not(has) }));
    }
    if is_list {
        return Ok(elements.map(|list| match list.is_empty() {
            true => Expr::value(ast::Value::Boolean(!any)),
            false => Expr::InList { expr: Box::new(left.clone()), list, negated: !any },
        }));
    }
    let compare = |element: Expr| {
        let compared =
            Expr::BinaryOp { left: Box::new(left.clone()), op: op.clone(), right: Box::new(element) };
        Expr::Nested(Box::new(compared))
    };
    if let Some(elements) = elements {
        let join = if any { BinaryOperator::Or } else { BinaryOperator::And };
        let joined = elements.into_iter().map(compare).reduce(|one, other| Expr::BinaryOp {
            left: Box::new(one),
            op: join.clone(),
            right: Box::new(other),
        });
        let none = Expr::value(ast::Value::Boolean(!any));
        return Ok(Some(Expr::Nested(Box::new(joined.unwrap_or(none)))));
    }
    if !is_like(op) {
        return Ok(Some(of_elements(left, op, array, any)));
    }
    let texts =
        ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(ast::DataType::Text), None));
    let op = text(op.to_string());
    let any = Expr::value(ast::Value::Boolean(any));
    Ok(Some(function_call("hither_like", vec![left.clone(), cast_to(array.clone(), texts), op, any])))
}

/// A comparison with each element of an array that only a run knows: NULL if there is no array.
fn of_elements(left: &Expr, op: &BinaryOperator, array: &Expr, any: bool) -> Expr {
    let value = Expr::CompoundIdentifier(vec![Ident::new(VALUES), Ident::new(VALUE)]);
    let compared = Expr::BinaryOp { left: Box::new(left.clone()), op: op.clone(), right: Box::new(value) };
    let elements = query_of(vec![SelectItem::UnnamedExpr(function_call("unnest", vec![array.clone()]))]);
    let of_all = Expr::Subquery(Box::new(of_each(compared, elements, &[Ident::new(VALUE)], any)));
    let condition = Expr::IsNotNull(Box::new(array.clone()));
    let when = CaseWhen { condition, result: of_all };
    let (case_token, end_token) = (AttachedToken::empty(), AttachedToken::empty());
    Expr::Case { case_token, end_token, operand: None, conditions: vec![when], else_result: None }
}

/// `x < ANY (array)` where a NULL in the array may be what is greater: the planner compares with the greatest element. To
/// be called once the parts of the expression are rewritten.
pub fn beside_nulls(expr: &mut Expr) -> Result<()> {
    let Expr::AnyOp { compare_op, right: array, .. } = &*expr else { return Ok(()) };
    let by_bound = is_order(compare_op) || *compare_op == BinaryOperator::NotEq;
    if !by_bound || subquery_of(array).is_some() {
        return Ok(());
    }
    let null = || Expr::value(ast::Value::Null);
    let has_null = match elements(array)? {
        Some(elements) if elements.iter().any(is_null) => Expr::value(ast::Value::Boolean(true)),
        Some(_) if literal(array).is_some() => return Ok(()),
        _ => function_call("hither_has_null", vec![(**array).clone()]),
    };
    let both = |left: Expr, op: BinaryOperator, right: Expr| {
        Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
    };
    let undecided = both(has_null, BinaryOperator::And, null());
    *expr = both(expr.clone(), BinaryOperator::Or, undecided);
    Ok(())
}

/// The elements of an array that is written out.
fn elements(array: &Expr) -> Result<Option<Vec<Expr>>> {
    Ok(match array {
        Expr::Array(array) => {
            let nested = array.elem.iter().any(|element| matches!(element, Expr::Array(_)));
            (!nested).then(|| array.elem.clone())
        }
        Expr::Nested(inner) => elements(inner)?,
        Expr::Cast { expr, data_type: ast::DataType::Array(ty), .. } => {
            let (ast::ArrayElemTypeDef::SquareBracket(ty, _) | ast::ArrayElemTypeDef::AngleBracket(ty)) = ty
            else {
                return Ok(None);
            };
            elements(expr)?.map(|elements| {
                elements.into_iter().map(|element| cast_to(element, ty.as_ref().clone())).collect()
            })
        }
        expr => match literal(expr) {
            Some(array) => {
                let element = |item: Option<String>| item.map_or_else(|| Expr::value(ast::Value::Null), text);
                Some(array::parse(array)?.items.into_iter().map(element).collect())
            }
            None => None,
        },
    })
}

/// LIKE and its like, as operators.
fn is_like(op: &BinaryOperator) -> bool {
    use BinaryOperator::{PGILikeMatch, PGLikeMatch, PGNotILikeMatch, PGNotLikeMatch};
    matches!(op, PGLikeMatch | PGILikeMatch | PGNotLikeMatch | PGNotILikeMatch)
}

fn is_order(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    matches!(op, Gt | GtEq | Lt | LtEq)
}

fn subquery_of(expr: &Expr) -> Option<Query> {
    match expr {
        Expr::Subquery(query) => Some(query.as_ref().clone()),
        Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

/// The value that decides an order comparison with all values, or with any.
fn bound(op: &BinaryOperator, any: bool) -> Option<&'static str> {
    match (op, any) {
        (BinaryOperator::Gt | BinaryOperator::GtEq, false)
        | (BinaryOperator::Lt | BinaryOperator::LtEq, true) => Some("max"),
        (BinaryOperator::Lt | BinaryOperator::LtEq, false)
        | (BinaryOperator::Gt | BinaryOperator::GtEq, true) => Some("min"),
        _ => None,
    }
}

/// The comparison with that value. Without values ALL holds and ANY does not; an undecided one is NULL beside a NULL.
fn with_bound(left: &Expr, op: &BinaryOperator, subquery: &Query, any: bool) -> Option<Expr> {
    let bound = bound(op, any)?;
    let from = format!("FROM ({subquery}) AS {VALUES}({VALUE})");
    let compared = format!("(({left}) {op} (SELECT {bound}({VALUES}.{VALUE}) {from}))");
    let (decisive, otherwise) =
        if any { (compared.clone(), false) } else { (format!("NOT {compared}"), true) };
    let nulls = format!("(SELECT count(*) - count({VALUES}.{VALUE}) {from})");
    let text = format!(
        "CASE WHEN (SELECT count(*) {from}) = 0 THEN {otherwise} WHEN {decisive} THEN {any} WHEN {nulls} > 0 THEN NULL \
         ELSE {compared} END"
    );
    dialect::parse_expression(&text).ok()
}

/// The rows of a subquery as a relation of these columns.
pub fn each_of(mut subquery: Query, names: &[Ident]) -> TableFactor {
    name_items(&mut subquery, names);
    let column = |name: &Ident| TableAliasColumnDef { name: name.clone(), data_type: None };
    let columns = names.iter().map(column).collect();
    derived(false, subquery, TableAlias { columns, ..alias_of(Ident::new(VALUES)) })
}

/// Calls the items of a list by the names they get outside: the planner does not take two of one name.
pub fn name_items(query: &mut Query, names: &[Ident]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let plain =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if select.projection.len() != names.len()
        || !select.projection.iter().all(plain)
        || query.order_by.is_some()
    {
        return;
    }
    for (item, name) in select.projection.iter_mut().zip(names) {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
        }
    }
}

/// Whether the comparison holds for any row of the subquery, or for all; `names` are what it calls the columns.
pub fn of_each(compared: Expr, subquery: Query, names: &[Ident], any: bool) -> Query {
    let (decisive, answer) = if any { ("hither_c", "true") } else { ("NOT (hither_c)", "false") };
    let otherwise = !any;
    let mut query = dialect::parse_query(&format!(
        "SELECT CASE WHEN bool_or({decisive}) THEN {answer} WHEN bool_or((hither_c) IS NULL) THEN NULL \
         ELSE {otherwise} END AS \"?column?\""
    ))
    .expect("this is a query");
    let _ = visit::expressions_mut(query.as_mut(), |part| {
        if matches!(part, Expr::Identifier(name) if name.value == "hither_c") {
            *part = Expr::Nested(Box::new(compared.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![ast::TableWithJoins { relation: each_of(subquery, names), joins: Vec::new() }];
    }
    *query
}
