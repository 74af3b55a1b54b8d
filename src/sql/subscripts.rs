//! Subscripts in words that the planner has for them.
//!
//! ```text
//!   a[2:]         a[2:2147483647]            to the last element
//!   a[:2]         a[1:2]                     from the first
//!   (a[1:2])[2]   hither_whole(a[1:2])[2]    of the slice, and not one more of its subscripts
//! ```

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Subscript};

use crate::functions::arrays::WHOLE;
use crate::sql::rewrite::function_call;
use crate::sql::trees::number;

/// Gives a slice the bound it does not say, and ends the subscripts of what is in brackets.
pub fn bound(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    if let Expr::Nested(inner) = root.as_ref()
        && let Expr::CompoundFieldAccess { .. } = inner.as_ref()
    {
        **root = function_call(WHOLE, vec![inner.as_ref().clone()]);
    }
    for access in access_chain {
        let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access else {
            continue;
        };
        lower_bound.get_or_insert_with(|| number(1));
        // No array has more elements.
        upper_bound.get_or_insert_with(|| number(i32::MAX));
    }
}
