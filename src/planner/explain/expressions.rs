//! Physical expressions in PostgreSQL's words: `l2_distance(e@1, ...) ASC NULLS LAST` is `(e <-> query)`.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_plan::PhysicalExpr;

use crate::functions::sort_keys;
use crate::functions::vector::metric_of_function;

/// The keys of a sort, each as ORDER BY would have it.
pub fn order_by(keys: &LexOrdering) -> String {
    keys.iter().map(sort_key).collect::<Vec<_>>().join(", ")
}

fn sort_key(key: &PhysicalSortExpr) -> String {
    let order = match key.options {
        SortOptions { descending: false, nulls_first: false } => "",
        SortOptions { descending: false, nulls_first: true } => " NULLS FIRST",
        SortOptions { descending: true, nulls_first: true } => " DESC",
        SortOptions { descending: true, nulls_first: false } => " DESC NULLS LAST",
    };
    format!("{}{order}", text(&key.expr))
}

/// An expression. The vector that distances are measured from is long, and shown as `query`, as searches show it.
pub fn text(expr: &Arc<dyn PhysicalExpr>) -> String {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return column.name().to_owned();
    }
    if expr.is::<ScalarSubqueryExpr>() {
        return "(InitPlan)".to_owned();
    }
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return format!("({} {} {})", text(binary.left()), binary.op(), text(binary.right()));
    }
    let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else {
        return without_places(&expr.to_string());
    };
    match (call.args(), metric_of_function(call.fun().name())) {
        // Values are sorted by keys of theirs.
        ([value], _) if sort_keys::ALL.contains(&call.fun().name()) => text(value),
        ([left, right], Some(metric)) => {
            let operand = |expr: &Arc<dyn PhysicalExpr>| {
                if expr.is::<Literal>() { "query".to_owned() } else { text(expr) }
            };
            format!("({} {} {})", operand(left), metric.operator(), operand(right))
        }
        // Operators are functions by their own names.
        ([left, right], _) if !call.name().contains(char::is_alphanumeric) => {
            format!("({} {} {})", text(left), call.name(), text(right))
        }
        (arguments, _) => {
            let arguments: Vec<String> = arguments.iter().map(text).collect();
            format!("{}({})", call.name(), arguments.join(", "))
        }
    }
}

/// Columns by their names alone: DataFusion shows their places behind an `@`.
fn without_places(text: &str) -> String {
    let mut parts = text.split('@');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        // An operator of containment is no place.
        if rest.len() == part.len() {
            shown.push('@');
        }
        shown.push_str(rest);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::without_places;

    #[test]
    fn places_go_and_operators_stay() {
        assert_eq!(without_places("CAST(a@12 AS Int64) <@ b@0"), "CAST(a AS Int64) <@ b");
        assert_eq!(without_places("a"), "a");
    }
}
