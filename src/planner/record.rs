//! Rows of tables as documents and as values get the names and columns of their tables (see `sql::whole_rows` and
//! `sql::records`):
//!
//! ```text
//!   hither_row_of(t.*)                 hither_row_of('a', t.a, 'b', t.b)      so does hither_record
//!   hither_row('f1', t.*, 'f2', 1)     hither_row('f1', t.a, 'f2', t.b, 'f3', 1)
//! ```

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use crate::functions::RECORD;
use crate::functions::records::{ROW, ROW_OF};
use crate::planner::names::shown;
use crate::table::provider::{CTID_COLUMN, SLOT_COLUMN};

/// The call with the columns written out; `None` for other calls.
pub fn of_row(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    if ![RECORD, ROW, ROW_OF].contains(&call.func.name()) {
        return None;
    }
    let args = match call.args.as_slice() {
        [star] => {
            let columns = columns_of(star, schema)?;
            columns.into_iter().flat_map(|(name, column)| [text(name), column]).collect()
        }
        args => numbered(args, schema)?,
    };
    Some(Expr::ScalarFunction(ScalarFunction { func: call.func.clone(), args }))
}

/// Values behind their names, with stars among them, as values behind numbered names.
fn numbered(args: &[Expr], schema: &DFSchema) -> Option<Vec<Expr>> {
    let mut values = Vec::with_capacity(args.len());
    let mut found = false;
    for value in args.iter().skip(1).step_by(2) {
        match columns_of(value, schema) {
            Some(columns) => {
                values.extend(columns.into_iter().map(|(_, column)| column));
                found = true;
            }
            None => values.push(value.clone()),
        }
    }
    let named = values.into_iter().zip(1..);
    found.then(|| named.flat_map(|(value, place)| [text(format!("f{place}")), value]).collect())
}

fn text(text: String) -> Expr {
    Expr::Literal(ScalarValue::Utf8(Some(text)), None)
}

/// What a star stands for: names and columns.
fn columns_of(star: &Expr, schema: &DFSchema) -> Option<Vec<(String, Expr)>> {
    #[expect(deprecated, reason = "the planner makes it of t.* among the arguments of a function")]
    let Expr::Wildcard { qualifier, .. } = star else { return None };
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
    let columns =
        of_table.map(|(table, field)| (shown(field.name()).to_owned(), Expr::Column((table, field).into())));
    Some(columns.collect())
}
