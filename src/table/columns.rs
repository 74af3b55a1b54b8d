//! Rows to Arrow columns.
//!
//! Only the columns that are asked for are decoded; cells of vector columns are copied from their segments, after
//! their checksums were compared.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int16Builder, Int32Builder, Int64Builder, LargeBinaryBuilder, StringBuilder,
    UInt32Array,
};

use crate::distance::{Element, Vector};
use crate::error::{Error, Result};
use crate::storage::Slice;
use crate::table::Snapshot;
use crate::table::rows::RowReader;
use crate::types::arrow::Builder;
use crate::types::arrow::lists::{BitBuilder, HalfvecBuilder, SparsevecBuilder};
use crate::types::{Bits, Tid, Type, Value};
use crate::vectors::View;

/// Fixed-width little-endian cells, without a [`crate::types::Value`] in between.
macro_rules! integers {
    ($readers:expr, $column:expr, $builder:ident, $native:ident) => {{
        let mut builder = $builder::with_capacity($readers.len());
        for reader in $readers {
            match reader.raw($column)? {
                None => builder.append_null(),
                Some(bytes) => builder.append_value($native::from_le_bytes(cell(bytes)?)),
            }
        }
        Ok(Arc::new(builder.finish()) as ArrayRef)
    }};
}
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
    pub fn decode(&self, rows: &[(u32, Slice)], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let layout = self.snapshot.layout();
        let readers: Vec<RowReader> = rows.iter().map(|(_, row)| layout.read(row)).collect::<Result<_>>()?;
        columns.iter().map(|&column| self.column(rows, &readers, column)).collect()
    }

    fn column(&self, rows: &[(u32, Slice)], readers: &[RowReader], column: usize) -> Result<ArrayRef> {
        let layout = self.snapshot.layout();
        if column == self.visible {
            return Ok(Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(slot, _)| *slot))));
        }
        if column == self.visible + 1 {
            let mut builder = Builder::new(&Type::Tid, rows.len());
            rows.iter().try_for_each(|(slot, _)| builder.append(&Value::Tid(Tid::of_slot(*slot))))?;
            return Ok(builder.finish());
        }
        if layout.is_slot_vector(column) {
            let view = self.views[column].as_ref();
            let view = view.ok_or_else(|| Error::internal("a vector column without its segments"))?;
            return vectors(rows, readers, column, view);
        }
        match layout.column_type(column) {
            Type::Int2 => integers!(readers, column, Int16Builder, i16),
            Type::Int4 => integers!(readers, column, Int32Builder, i32),
            Type::Int8 => integers!(readers, column, Int64Builder, i64),
            Type::Bool => booleans(readers, column),
            Type::Text | Type::Varchar(_) | Type::Citext | Type::Name => texts(readers, column),
            ty => values(readers, column, ty),
        }
    }
}

fn cell<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::internal("a cell of another width than its type"))
}

fn booleans(readers: &[RowReader], column: usize) -> Result<ArrayRef> {
    let mut builder = BooleanBuilder::with_capacity(readers.len());
    for reader in readers {
        builder.append_option(reader.raw(column)?.map(|bytes| bytes != [0]));
    }
    Ok(Arc::new(builder.finish()))
}

fn texts(readers: &[RowReader], column: usize) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(readers.len(), readers.len() * 16);
    for reader in readers {
        match reader.raw(column)? {
            None => builder.append_null(),
            Some(bytes) => builder.append_value(crate::types::binary::utf8(bytes)?),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn vectors(rows: &[(u32, Slice)], readers: &[RowReader], column: usize, view: &View) -> Result<ArrayRef> {
    let each = |f: &mut dyn FnMut(Option<u32>)| -> Result<()> {
        for ((slot, _), reader) in rows.iter().zip(readers) {
            if reader.is_null(column)? {
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

fn values(readers: &[RowReader], column: usize, ty: &Type) -> Result<ArrayRef> {
    let mut builder = Builder::new(ty, readers.len());
    for reader in readers {
        builder.append(&reader.value(column)?)?;
    }
    Ok(builder.finish())
}
