//! Rows of tables as documents and as values: `hither_record(t.*)` and `hither_row_of(t.*)` get the names and columns of t (see `sql::whole_rows` and `sql::records`).

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use crate::functions::RECORD;
use crate::functions::records::ROW_OF;
use crate::planner::names::shown;
use crate::table::provider::{CTID_COLUMN, SLOT_COLUMN};

/// The call with the columns written out; `None` for other calls.
pub fn of_row(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    #[expect(deprecated, reason = "the planner makes it of t.* among the arguments of a function")]
    let [Expr::Wildcard { qualifier, .. }] = call.args.as_slice() else { return None };
    if ![RECORD, ROW_OF].contains(&call.func.name()) {
        return None;
    }
    // Neither the slot nor what is behind it is part of a table's row.
    let mut behind_slot = false;
    let of_table = schema.iter().filter(|(table, field)| {
        let is_its = match (qualifier, table) {
            (Some(wanted), Some(table)) => wanted.resolved_eq(table),
            (wanted, _) => wanted.is_none(),
        };
        let is_slot = field.name() == SLOT_COLUMN;
        let is_system = is_slot || behind_slot && field.name() == CTID_COLUMN;
        behind_slot = is_slot;
        is_its && !is_system
    });
    let args = of_table.flat_map(|(table, field)| {
        let name = Expr::Literal(ScalarValue::Utf8(Some(shown(field.name()).to_owned())), None);
        [name, Expr::Column((table, field).into())]
    });
    let args = args.collect();
    Some(Expr::ScalarFunction(ScalarFunction { func: call.func.clone(), args }))
}
