//! `a[2:]` and `a[:2]`: slices from the first element, or to the last.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Subscript};

use crate::sql::trees::number;

/// Gives a slice the bound it does not say.
pub fn bound(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return };
    for access in access_chain {
        let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access else {
            continue;
        };
        lower_bound.get_or_insert_with(|| number(1));
        // No array has more elements.
        upper_bound.get_or_insert_with(|| number(i32::MAX));
    }
}
