//! What stands in a list of IN and reads columns is computed for each row.
//!
//! DataFusion takes a list for constants that it can compute from no rows at all, and of `x IN (CASE WHEN p THEN 0 ELSE y
//! END, 4)` it can: where no row asks for another, the arm with a constant is the answer, for all rows that come later. A
//! function around such an item gives a value for each row, so that no rows give none.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Sees to the items of a list.
pub fn settle(list: &mut [Expr]) {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(EachRow::new())));
    for item in list {
        if !matches!(item, Expr::Column(_)) && reads_rows(item) {
            let value = std::mem::take(item);
            *item = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![value]));
        }
    }
}

/// Whether it differs from row to row: by a column, also an outer query's, or by a subquery, which may read one.
fn reads_rows(item: &Expr) -> bool {
    let reads = |part: &Expr| {
        Ok(matches!(part, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)))
    };
    item.exists(reads).unwrap_or(true)
}

/// Its argument, as an array.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EachRow {
    signature: Signature,
}

impl EachRow {
    fn new() -> EachRow {
        EachRow { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for EachRow {
    fn name(&self) -> &str {
        "hither_each_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&args.arg_fields[0]))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = args.args.swap_remove(0);
        Ok(ColumnarValue::Array(value.into_array(args.number_rows)?))
    }
}
