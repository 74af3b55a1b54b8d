//! `(a, b) IN (SELECT x, y ...)`, in words that the planner has a plan for.
//!
//! ```text
//!   WHERE (a, b) IN (q)        WHERE EXISTS (SELECT 1 FROM (q) AS e(v1, v2) WHERE a = v1 AND b = v2)
//!   WHERE (a, b) NOT IN (q)    WHERE NOT EXISTS (... WHERE (a = v1 AND b = v2) IS NOT FALSE)
//!   (a, b) IN (q)              elsewhere, where NULL is an answer: (a, b) = ANY (q), see [`crate::sql::quantified`]
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SelectItem, SetExpr, UnaryOperator,
};

use crate::sql::quantified::{VALUES, each_of, of_each};
use crate::sql::spellings::compare_rows;
use crate::sql::trees::{number, query_from};

/// In a condition of WHERE: all that is joined by AND.
pub fn of_rows(condition: &mut Option<Expr>) {
    if let Some(condition) = condition {
        of_conjuncts(condition);
    }
}

fn of_conjuncts(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            of_conjuncts(left);
            of_conjuncts(right);
        }
        Expr::Nested(inner) => of_conjuncts(inner),
        Expr::InSubquery { expr: member, subquery, negated } => {
            if let Some((compared, names)) = compared(member) {
                *expr = exists(compared, &names, (**subquery).clone(), *negated);
            }
        }
        _ => {}
    }
}

/// Anywhere else.
pub fn of_row(expr: &mut Expr) {
    let Expr::InSubquery { expr: member, subquery, negated } = expr else { return };
    let Some((compared, names)) = compared(member) else { return };
    let is_any = Expr::Subquery(Box::new(of_each(compared, (**subquery).clone(), &names, true)));
    *expr = match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(is_any) },
        false => is_any,
    };
}

/// How many columns a query has, if its list says so.
pub fn width_of(query: &Query) -> Option<usize> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    select.projection.iter().all(plain).then_some(select.projection.len())
}

/// One column of a subquery that returns a row of several, as a subquery.
pub fn column_of(query: &Query, place: usize, width: usize) -> Expr {
    let names = names(width);
    let one = vec![SelectItem::UnnamedExpr(value(&names[place]))];
    Expr::Subquery(Box::new(query_from(one, each_of(query.clone(), &names))))
}

fn names(width: usize) -> Vec<Ident> {
    (1..=width).map(|place| Ident::new(format!("hither_v{place}"))).collect()
}

fn value(name: &Ident) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::new(VALUES), name.clone()])
}

/// A row compared with the row of each.
fn compared(member: &Expr) -> Option<(Expr, Vec<Ident>)> {
    match member {
        Expr::Tuple(parts) => {
            let names = names(parts.len());
            let row: Vec<Expr> = names.iter().map(value).collect();
            Some((compare_rows(&BinaryOperator::Eq, parts, &row)?, names))
        }
        Expr::Nested(inner) => compared(inner),
        _ => None,
    }
}

fn exists(compared: Expr, names: &[Ident], subquery: Query, negated: bool) -> Expr {
    let one = SelectItem::UnnamedExpr(number(1));
    let mut query = query_from(vec![one], each_of(subquery, names));
    if let SetExpr::Select(select) = query.body.as_mut() {
        let compared = Expr::Nested(Box::new(compared));
        select.selection = Some(if negated { Expr::IsNotFalse(Box::new(compared)) } else { compared });
    }
    Expr::Exists { subquery: Box::new(query), negated }
}
