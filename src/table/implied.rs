//! Whether a predicate makes sure that a partial index has its rows: each conjunct of the index's condition follows from
//! one of the predicate's.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Whether the conjuncts of a predicate make sure that all of a condition's hold.
pub fn implies(predicate: &[&Expr], condition: &[Expr]) -> bool {
    condition.iter().all(|wanted| predicate.iter().any(|given| implies_one(given, wanted)))
}

/// The same test, or one of the same column that lets fewer values through.
fn implies_one(given: &Expr, wanted: &Expr) -> bool {
    if given == wanted {
        return true;
    }
    match (Comparison::of(given), wanted) {
        // A comparison is true of no NULL.
        (Some(given), Expr::IsNotNull(subject)) => given.subject == subject.as_ref(),
        (Some(given), wanted) => Comparison::of(wanted).is_some_and(|wanted| given.implies(&wanted)),
        (None, _) => false,
    }
}

/// An expression beside a constant.
struct Comparison<'a> {
    subject: &'a Expr,
    op: Operator,
    value: &'a ScalarValue,
}

impl<'a> Comparison<'a> {
    fn of(expr: &'a Expr) -> Option<Comparison<'a>> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
        let (subject, op, value) = match (left.as_ref(), right.as_ref()) {
            (subject, Expr::Literal(value, _)) => (subject, *op, value),
            (Expr::Literal(value, _), subject) => (subject, op.swap()?, value),
            _ => return None,
        };
        let known = matches!(
            op,
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
        );
        (known && !value.is_null()).then_some(Comparison { subject, op, value })
    }

    /// Whether every value of the subject that passes this comparison passes `other`.
    fn implies(&self, other: &Comparison) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if self.subject != other.subject || self.value.data_type() != other.value.data_type() {
            return false;
        }
        let order = match (self.value, other.value) {
            // As SQL compares them: zeros are equal. What is no number has no place in the order here.
            (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => a.partial_cmp(b),
            (ScalarValue::Float32(Some(a)), ScalarValue::Float32(Some(b))) => a.partial_cmp(b),
            (a, b) => a.partial_cmp(b),
        };
        let Some(order) = order else { return false };
        match (self.op, other.op) {
            (Operator::Eq, Operator::Eq) => order == Equal,
            (Operator::Eq, Operator::NotEq) => order != Equal,
            (Operator::Eq | Operator::Lt, Operator::Lt) => {
                order == Less || self.op == Operator::Lt && order == Equal
            }
            (Operator::Eq | Operator::Lt | Operator::LtEq, Operator::LtEq) => order != Greater,
            (Operator::LtEq, Operator::Lt) => order == Less,
            (Operator::Eq | Operator::Gt, Operator::Gt) => {
                order == Greater || self.op == Operator::Gt && order == Equal
            }
            (Operator::Eq | Operator::Gt | Operator::GtEq, Operator::GtEq) => order != Less,
            (Operator::GtEq, Operator::Gt) => order == Greater,
            (Operator::Lt, Operator::NotEq) => order != Greater,
            (Operator::Gt, Operator::NotEq) => order != Less,
            (Operator::LtEq, Operator::NotEq) => order == Less,
            (Operator::GtEq, Operator::NotEq) => order == Greater,
            (Operator::NotEq, Operator::NotEq) => order == Equal,
            _ => false,
        }
    }
}
