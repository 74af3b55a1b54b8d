//! Hypothetical-set aggregates: where a row would stand among those of its group.
//!
//! ```text
//!   rank(3) WITHIN GROUP (ORDER BY x)            1 + count(*) FILTER (WHERE x precedes 3)
//!   dense_rank(3) WITHIN GROUP (ORDER BY x)      1 + count(DISTINCT ROW(x)) FILTER (WHERE x precedes 3)
//!   percent_rank(3) WITHIN GROUP (ORDER BY x)    count(*) FILTER (WHERE x precedes 3) of count(*), 0 of none
//!   cume_dist(3) WITHIN GROUP (ORDER BY x)       1 + count(*) FILTER (WHERE NOT 3 precedes x) of 1 + count(*)
//! ```
//!
//! With several keys the later ones decide where the earlier ones are equal.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, OrderByExpr, UnaryOperator,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::rewrite::{arguments, function_call, plain_name};
use crate::sql::trees;

/// Writes out a call of one.
pub fn expand(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    if function.within_group.is_empty() || function.over.is_some() {
        return Ok(());
    }
    let Some(name) = plain_name(function) else { return Ok(()) };
    if !matches!(name.as_str(), "rank" | "dense_rank" | "percent_rank" | "cume_dist") {
        return Ok(());
    }
    let Some(given) = arguments(function) else { return Ok(()) };
    let keys = std::mem::take(&mut function.within_group);
    if given.len() != keys.len() {
        let message = format!("function {name} does not exist");
        let hint = format!(
            "To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments (here {}) must match \
             the number of ordering columns (here {}).",
            given.len(),
            keys.len()
        );
        return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(hint));
    }
    let filter = function.filter.take().map(|filter| *filter);
    let within = |condition: Option<Expr>| match (filter.clone(), condition) {
        (Some(filter), Some(condition)) => Some(both(filter, condition)),
        (filter, condition) => filter.or(condition),
    };
    let precede = || precedes(&keys, &given, false);
    let all = || count_of_rows(within(None));
    let before = || count_of_rows(within(Some(precede())));
    *expr = Expr::Nested(Box::new(match name.as_str() {
        "rank" => plus_one(before()),
        "dense_rank" => {
            let columns = keys.iter().map(|key| key.expr.clone()).collect();
            plus_one(count(vec![function_call("row", columns)], true, within(Some(precede()))))
        }
        "percent_rank" => share_or_zero(before(), all()),
        _ => {
            let behind =
                Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(precedes(&keys, &given, true)) };
            share(plus_one(count_of_rows(within(Some(behind)))), plus_one(all()))
        }
    }));
    Ok(())
}

/// Whether a row of the group comes before the given one, or the other way around.
fn precedes(keys: &[OrderByExpr], given: &[Expr], turned: bool) -> Expr {
    let mut answer = None;
    for (key, given) in keys.iter().zip(given).rev() {
        let descending = key.options.asc == Some(false);
        let nulls_first = key.options.nulls_first.unwrap_or(descending);
        let (left, right) = if turned { (given, &key.expr) } else { (&key.expr, given) };
        let op = if descending { BinaryOperator::Gt } else { BinaryOperator::Lt };
        let compared = Expr::IsTrue(Box::new(nested(binary(left.clone(), op, right.clone()))));
        // A NULL beside a value.
        let (null, value) = if nulls_first { (left, right) } else { (right, left) };
        let null = Expr::IsNull(Box::new(nested(null.clone())));
        let beside = both(null, Expr::IsNotNull(Box::new(nested(value.clone()))));
        let first = either(compared, beside);
        answer = Some(match answer {
            None => first,
            Some(later) => {
                let equal =
                    Expr::IsNotDistinctFrom(Box::new(nested(left.clone())), Box::new(nested(right.clone())));
                either(first, both(equal, later))
            }
        });
    }
    answer.map_or_else(|| trees::number(0), nested)
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn both(left: Expr, right: Expr) -> Expr {
    nested(binary(nested(left), BinaryOperator::And, nested(right)))
}

fn either(left: Expr, right: Expr) -> Expr {
    nested(binary(nested(left), BinaryOperator::Or, nested(right)))
}

fn plus_one(count: Expr) -> Expr {
    nested(binary(trees::number(1), BinaryOperator::Plus, count))
}

fn count_of_rows(filter: Option<Expr>) -> Expr {
    count(vec![trees::number(1)], false, filter)
}

fn count(values: Vec<Expr>, distinct: bool, filter: Option<Expr>) -> Expr {
    let mut call = function_call("count", values);
    if let Expr::Function(Function { args: FunctionArguments::List(list), filter: place, .. }) = &mut call {
        list.duplicate_treatment = distinct.then_some(DuplicateTreatment::Distinct);
        *place = filter.map(Box::new);
        debug_assert!(matches!(list.args[..], [FunctionArg::Unnamed(FunctionArgExpr::Expr(_))]));
    }
    call
}

/// A part as a float.
fn share(part: Expr, whole: Expr) -> Expr {
    let float = |expr: Expr| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::DoublePrecision,
        array: false,
        format: None,
    };
    nested(binary(float(part), BinaryOperator::Divide, float(whole)))
}

fn share_or_zero(part: Expr, whole: Expr) -> Expr {
    let is_none = binary(whole.clone(), BinaryOperator::Eq, trees::number(0));
    let zero = share(trees::number(0), trees::number(1));
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: is_none, result: zero }],
        else_result: Some(Box::new(share(part, whole))),
    }
}
