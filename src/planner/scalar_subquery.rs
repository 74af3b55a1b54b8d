//! A subquery as a value is NULL when it finds no row, whatever its column may hold.
//!
//! The planner takes the column's word for it: over a column that is NOT NULL it would make `coalesce((SELECT id ...), 0)`
//! the subquery alone. A function that promises less stands above the column.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, Projection, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};

/// The subquery with a column that may be NULL.
pub fn settle(subquery: Subquery) -> Result<Subquery> {
    let plan = &subquery.subquery;
    let [field] = plan.schema().fields().as_ref() else { return Ok(subquery) };
    if field.is_nullable() || has_one_row(plan) {
        return Ok(subquery);
    }
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(OrNull::new())));
    let (qualifier, field) = plan.schema().qualified_field(0);
    let (qualifier, name) = (qualifier.cloned(), field.name().clone());
    let column = Expr::Column(Column::new(qualifier.clone(), &name));
    let value = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![column]));
    let projection = Projection::try_new(vec![value.alias_qualified(qualifier, name)], Arc::clone(plan))?;
    Ok(Subquery { subquery: Arc::new(LogicalPlan::Projection(projection)), ..subquery })
}

/// Whether it aggregates all rows into one.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        _ => false,
    }
}

/// Its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OrNull {
    signature: Signature,
}

impl OrNull {
    fn new() -> OrNull {
        OrNull { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OrNull {
    fn name(&self) -> &str {
        "hither_or_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(args.arg_fields[0].as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}
