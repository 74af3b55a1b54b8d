//! Rows as values: what makes records, and asks whether they are NULL.
//!
//! ```text
//!   ROW(1, 'a')     hither_row('f1', 1, 'f2', 'a')
//!   t, t.*          hither_row_of('id', t.id, 'name', t.name)      of a table, NULL when an outer join found none
//!   t IS NULL       hither_row_is_null(...)                        every field is
//!   t IS NOT NULL   hither_row_is_not_null(...)                    no field is
//! ```
//!
//! What an outer join puts in the place of a row is not told from a row of nothing but NULLs.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::scalar::Function;
use crate::types::arrow::{data_type, field, type_of, type_of_data_type};

/// Makes a record of names and values.
pub const ROW: &str = "hither_row";
/// Makes one of a table's row.
pub const ROW_OF: &str = "hither_row_of";
/// Whether every field is NULL.
pub const IS_NULL: &str = "hither_row_is_null";
/// Whether no field is NULL.
pub const IS_NOT_NULL: &str = "hither_row_is_not_null";

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let row = |name, of_table| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Row { name, of_table, signature }))
    };
    let as_given = |_: &str, given: &[DataType]| Ok(given.to_vec());
    vec![
        row(ROW, false),
        row(ROW_OF, true),
        Function::new(IS_NULL, as_given, DataType::Boolean, |args| asked(args, |nulls, all| nulls == all)),
        Function::new(IS_NOT_NULL, as_given, DataType::Boolean, |args| asked(args, |nulls, _| nulls == 0)),
    ]
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    of_table: bool,
    signature: Signature,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Row {}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Row {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        exec_err!("{} has its type from its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let mut fields = Vec::with_capacity(args.arg_fields.len() / 2);
        for (name, value) in args.scalar_arguments.chunks(2).zip(args.arg_fields.chunks(2)) {
            // Of a table's row the planner asks before its columns are known; see `planner::record`.
            let ([Some(ScalarValue::Utf8(Some(name))), _], [_, value]) = (name, value) else { break };
            fields.push(Arc::new(field(name, &type_of(value), true)));
        }
        Ok(Arc::new(arrow::datatypes::Field::new(self.name, DataType::Struct(fields.into()), true)))
    }

    /// The values in the types that leave a plan.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let plain = |ty: &DataType| data_type(&type_of_data_type(ty));
        Ok(given
            .iter()
            .enumerate()
            .map(|(n, ty)| if n % 2 == 0 { DataType::Utf8 } else { plain(ty) })
            .collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return exec_err!("{} returns a record", self.name);
        };
        let values = args.args.iter().skip(1).step_by(2);
        let columns: Vec<ArrayRef> =
            values.map(|value| value.to_array(args.number_rows)).collect::<Result<_>>()?;
        let record = record(fields, columns, args.number_rows, self.of_table)?;
        Ok(ColumnarValue::Array(Arc::new(record)))
    }
}

fn record(fields: &Fields, columns: Vec<ArrayRef>, rows: usize, of_table: bool) -> Result<StructArray> {
    let nulls = of_table.then(|| {
        let any = |row: usize| columns.iter().any(|column| column.is_valid(row));
        NullBuffer::new(BooleanBuffer::collect_bool(rows, any))
    });
    Ok(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows)?)
}

/// Counts the fields that are NULL, row by row.
fn asked(args: &ScalarFunctionArgs, answer: fn(usize, usize) -> bool) -> Result<ColumnarValue> {
    let [value] = args.args.as_slice() else { return exec_err!("one record is asked about") };
    let value = value.to_array(args.number_rows)?;
    let Some(record) = value.as_struct_opt() else {
        return exec_err!("{} is no record", value.data_type());
    };
    let fields = record.columns();
    let row = |row: usize| {
        let nulls = match record.is_null(row) {
            true => fields.len(),
            false => fields.iter().filter(|field| field.is_null(row)).count(),
        };
        Some(answer(nulls, fields.len()))
    };
    Ok(ColumnarValue::Array(Arc::new(BooleanArray::from_iter((0..record.len()).map(row)))))
}
