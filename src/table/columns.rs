//! Rows to Arrow columns.
//!
//! Only the columns that are asked for are decoded. Of rows in blocks of columns the cells of most types are copied as they
//! lie and become the array's buffer; of the other types they are decoded one by one. Cells of vector columns are copied from
//! their segments, after their checksums were compared.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryBuilder,
    LargeStringArray, PrimitiveArray, StringArray, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, Date32Type, DurationSecondType, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};

use crate::distance::{Element, Vector};
use crate::error::{Error, Result};
use crate::storage::{Bits as Validity, Cells, Column, Rows};
use crate::table::Snapshot;
use crate::table::rows::decode;
use crate::types::arrow::errors::from_arrow;
use crate::types::arrow::lists::{BitBuilder, HalfvecBuilder, SparsevecBuilder};
use crate::types::arrow::{Builder, data_type};
use crate::types::{Bits, Tid, Type, Value};
use crate::vectors::View;

/// Decodes columns of rows of one snapshot.
pub struct Decoder {
    snapshot: Arc<Snapshot>,
    /// By position of the column; only the vector columns that were asked for.
    views: Vec<Option<View>>,
    /// Columns that statements see; the position behind them is the slot, the next one `ctid`.
    visible: usize,
}

impl Decoder {
    /// For columns at these positions; the positions after the last column are the slot itself and `ctid`.
    pub fn new(snapshot: Arc<Snapshot>, columns: &[usize]) -> Result<Decoder> {
        let layout = snapshot.layout();
        let visible = snapshot.definition().columns.len();
        let mut views = vec![None; visible];
        for &column in columns {
            if column < visible && layout.is_slot_vector(column) {
                views[column] = Some(snapshot.vector_view(snapshot.definition().columns[column].number)?);
            }
        }
        Ok(Decoder { snapshot, views, visible })
    }

    /// One array per column, one cell per row.
    pub fn decode(&self, rows: &Rows, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        columns.iter().map(|&column| self.column(rows, column)).collect()
    }

    fn column(&self, rows: &Rows, column: usize) -> Result<ArrayRef> {
        let layout = self.snapshot.layout();
        if column == self.visible {
            return Ok(Arc::new(UInt32Array::from(rows.slots().to_vec())));
        }
        if column == self.visible + 1 {
            let mut builder = Builder::new(&Type::Tid, rows.len());
            rows.slots().iter().try_for_each(|slot| builder.append(&Value::Tid(Tid::of_slot(*slot))))?;
            return Ok(builder.finish());
        }
        let cells = layout.gather(rows, column)?;
        if layout.is_slot_vector(column) {
            let view = self.views[column].as_ref();
            let view = view.ok_or_else(|| Error::internal("a vector column without its segments"))?;
            return vectors(rows.slots(), &cells, view);
        }
        array(cells, layout.column_type(column))
    }
}

/// The array of a column's cells.
fn array(column: Column, ty: &Type) -> Result<ArrayRef> {
    let rows = column.len();
    match (ty, column.cells) {
        (Type::Int2, Cells::I16(cells)) => Ok(Arc::new(numbers::<Int16Type, _>(cells, column.validity))),
        (Type::Int4, Cells::I32(cells)) => Ok(Arc::new(numbers::<Int32Type, _>(cells, column.validity))),
        (Type::Date, Cells::I32(cells)) => Ok(Arc::new(numbers::<Date32Type, _>(cells, column.validity))),
        (Type::Oid, Cells::I32(cells)) => Ok(Arc::new(numbers::<UInt32Type, _>(cells, column.validity))),
        (Type::Float4, Cells::I32(cells)) => Ok(Arc::new(numbers::<Float32Type, _>(cells, column.validity))),
        (Type::Int8, Cells::I64(cells)) => Ok(Arc::new(numbers::<Int64Type, _>(cells, column.validity))),
        (Type::Float8, Cells::I64(cells)) => Ok(Arc::new(numbers::<Float64Type, _>(cells, column.validity))),
        (Type::Time(_), Cells::I64(cells)) => {
            Ok(Arc::new(numbers::<Time64MicrosecondType, _>(cells, column.validity)))
        }
        (Type::Timestamp(_) | Type::Timestamptz(_), Cells::I64(cells)) => {
            let array = numbers::<TimestampMicrosecondType, _>(cells, column.validity);
            Ok(Arc::new(array.with_data_type(data_type(ty))))
        }
        (Type::Money, Cells::I64(cells)) => {
            Ok(Arc::new(numbers::<DurationSecondType, _>(cells, column.validity)))
        }
        (Type::Bool, Cells::Fixed { width: 1, bytes }) => {
            let cells = BooleanBuffer::collect_bool(bytes.len(), |row| bytes[row] != 0);
            Ok(Arc::new(BooleanArray::new(cells, nulls(column.validity))))
        }
        (Type::Uuid, Cells::Fixed { width: 16, bytes }) => {
            let array = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), nulls(column.validity));
            Ok(Arc::new(array.map_err(from_arrow)?))
        }
        (
            Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name,
            Cells::Var { ends, bytes },
        ) => {
            let (ends, bytes) = (OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes));
            let array = StringArray::try_new(ends, bytes.clone(), nulls(column.validity));
            if array.is_err() || bytes.contains(&0) {
                // It says what is wrong with a text.
                crate::types::binary::utf8(&bytes)?;
            }
            Ok(Arc::new(array.map_err(from_arrow)?))
        }
        (Type::Jsonb, Cells::Var { ends, bytes }) => {
            let ends = ends.into_iter().map(i64::from).collect::<Vec<i64>>();
            let (ends, bytes) = (OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes));
            let array = LargeStringArray::try_new(ends, bytes, nulls(column.validity));
            Ok(Arc::new(array.map_err(from_arrow)?))
        }
        (Type::Bytea, Cells::Var { ends, bytes }) => {
            let (ends, bytes) = (OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes));
            let array = BinaryArray::try_new(ends, bytes, nulls(column.validity));
            Ok(Arc::new(array.map_err(from_arrow)?))
        }
        (ty, cells) => values(&Column { cells, ..column }, ty, rows),
    }
}

/// Numbers of one width, whatever is meant by their bits: the buffer of the cells is the array's.
fn numbers<T: ArrowPrimitiveType, N: ArrowNativeType>(
    cells: Vec<N>,
    validity: Option<Validity>,
) -> PrimitiveArray<T> {
    let rows = cells.len();
    PrimitiveArray::new(ScalarBuffer::new(Buffer::from_vec(cells), 0, rows), nulls(validity))
}

fn nulls(validity: Option<Validity>) -> Option<NullBuffer> {
    validity.map(|validity| {
        let rows = validity.len();
        NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(validity.into_bytes()), 0, rows))
    })
}

fn vectors(rows: &[u32], column: &Column, view: &View) -> Result<ArrayRef> {
    let each = |f: &mut dyn FnMut(Option<u32>)| -> Result<()> {
        for (row, slot) in rows.iter().enumerate() {
            if column.is_null(row) {
                f(None);
            } else {
                view.verify(*slot)?;
                f(Some(*slot));
            }
        }
        Ok(())
    };
    let array: ArrayRef = match view.element() {
        Element::F32 => {
            let bytes = rows.len() * view.dimensions() * 4;
            let mut builder = LargeBinaryBuilder::with_capacity(rows.len(), bytes);
            each(&mut |slot| builder.append_option(slot.map(|slot| view.bytes(slot))))?;
            Arc::new(builder.finish())
        }
        Element::F16 => {
            let mut builder = HalfvecBuilder::new(rows.len());
            each(&mut |slot| match slot.map(|slot| view.get(slot)) {
                Some(Vector::F16(vector)) => builder.append(vector),
                _ => builder.append_null(),
            })?;
            builder.finish()
        }
        Element::Sparse => {
            let mut builder = SparsevecBuilder::new(rows.len());
            each(&mut |slot| match slot.map(|slot| view.get(slot)) {
                Some(Vector::Sparse(vector)) => builder.append(vector),
                _ => builder.append_null(),
            })?;
            builder.finish()
        }
        Element::Bit => {
            let mut builder = BitBuilder::new(rows.len());
            let length = view.dimensions() as u32;
            each(&mut |slot| match slot {
                Some(slot) => builder.append(&Bits::new(view.bytes(slot).to_vec(), length)),
                None => builder.append_null(),
            })?;
            builder.finish()
        }
    };
    view.refuse_unread().map(|()| array)
}

/// Cell by cell.
fn values(column: &Column, ty: &Type, rows: usize) -> Result<ArrayRef> {
    let mut builder = Builder::new(ty, rows);
    column.each(|cell| match cell {
        Some(bytes) => builder.append(&decode(bytes, ty)?),
        None => builder.append(&Value::Null),
    })?;
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Row, Slice};
    use crate::table::Layout;
    use crate::types::text;

    /// Arrays whose buffers are the cells' are those that are built value by value.
    #[test]
    fn arrays_of_cells_are_those_of_values() {
        let texts = [
            (Type::Bool, ["t", "f"]),
            (Type::Int2, ["-2", "7"]),
            (Type::Int4, ["2000000000", "-1"]),
            (Type::Int8, ["-9", "9000000000000"]),
            (Type::Oid, ["4000000000", "1"]),
            (Type::Float4, ["0.1", "NaN"]),
            (Type::Float8, ["-Infinity", "2.5"]),
            (Type::Money, ["$1.25", "-$3.00"]),
            (Type::Date, ["1999-12-31", "infinity"]),
            (Type::Time(None), ["23:59:59.999999", "00:00"]),
            (Type::Timestamp(None), ["2024-02-29 12:00:00.5", "-infinity"]),
            (Type::Timestamptz(None), ["2024-02-29 12:00:00+02", "1969-01-01 00:00+00"]),
            (Type::Interval(None), ["1 year 2 mons 3 days 04:05:06.7", "-1 day"]),
            (Type::Uuid, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000001"]),
            (Type::Numeric(Some((6, 2))), ["1234.50", "-1"]),
            (Type::Numeric(None), ["12345678901234567890.125", "NaN"]),
            (Type::Text, ["kept · för alle", ""]),
            (Type::Bpchar(Some(5)), ["five ", "x"]),
            (Type::Bytea, ["\\x00ff10", "\\x"]),
            (Type::Json, ["{\"a\" : [1,  2]}", "1"]),
            (Type::Jsonb, ["{\"a\": [1, 2.50, null]}", "[]"]),
            (Type::Array(Box::new(Type::Text)), ["{a,NULL,\"b c\"}", "{}"]),
        ];
        for (ty, texts) in texts {
            let layout = Layout::new(std::slice::from_ref(&ty));
            let [first, second] = texts.map(|found| text::parse(&ty, found).expect("a value of the type"));
            let both = [first.clone(), Value::Null, second.clone(), first];
            for values in [&both[..], &both[2..]] {
                let (mut rows, mut expected) = (Rows::default(), Builder::new(&ty, values.len()));
                for (slot, value) in values.iter().enumerate() {
                    let mut row = Vec::new();
                    layout.encode(std::slice::from_ref(value), &mut row).expect("a row");
                    rows.push(slot as u32, Row::Bytes(Slice::copy_of(&row)));
                    expected.append(value).expect("a cell");
                }
                let found = array(layout.gather(&rows, 0).expect("cells"), &ty).expect("an array");
                assert_eq!(found.data_type(), &data_type(&ty), "{ty:?}");
                assert_eq!(&found, &expected.finish(), "{ty:?}");
            }
        }
    }
}
