//! Rows to bytes: DataRow messages written straight from Arrow arrays into the output buffer.
//!
//! ```text
//!   'D' | length i32 | columns i16 | per column: length i32 (-1 is NULL), bytes
//!   'V' | length i32 | length i32 (-1 is NULL), bytes                               the result of a function call
//! ```
//!
//! What a column is gets decided once per batch ([`Cells`]), so a cell costs a match and a copy. Numbers, text and
//! vectors are written in place; rarer types go through a `Value` and the printers of `types`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::*;
use bytes::BufMut;

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::{Encoding, binary as encodings};
use crate::server::frontend::{Format, format_of};
use crate::sql::OutputColumn;
use crate::types::arrow::lists;
use crate::types::{
    Look, Type, arrow as arrow_cells, binary, cast, float, halfvec, integer, sparsevec, text, vector,
};

/// Rows are handed on to the socket when this many bytes have gathered.
const BUFFER_BYTES: usize = 64 << 10;

/// How the rows of one result are written.
pub struct RowEncoder {
    columns: Vec<(Type, Format)>,
    look: Look,
    client: Encoding,
}

/// A batch whose columns have been recognised.
pub struct RowSource {
    columns: Vec<Column>,
    rows: usize,
}

impl RowSource {
    pub fn len(&self) -> usize {
        self.rows
    }
}

struct Column {
    format: Format,
    cells: Cells,
    /// The client's encoding if it is another, and the type.
    recoded: Option<(Encoding, Type)>,
}

/// The arrays that are written without a detour; `data_type` in `types::arrow` is the table they come from.
enum Cells {
    Bool(BooleanArray),
    Int2(Int16Array),
    Int4(Int32Array),
    Int8(Int64Array),
    Oid(UInt32Array),
    Float4(Float32Array),
    Float8(Float64Array),
    Text(StringArray),
    /// `character(n)`, kept without its blanks and shown with them; n in characters.
    Padded(StringArray, u32),
    Vector(LargeBinaryArray),
    Halfvec(LargeListArray),
    Sparsevec(LargeListArray),
    /// Values within which are such texts.
    Filled(ArrayRef, Type),
    Other(ArrayRef, Type),
}

impl RowEncoder {
    pub fn new(columns: &[OutputColumn], formats: &[Format], look: Look, client: Encoding) -> RowEncoder {
        let column = |(index, column): (usize, &OutputColumn)| (column.ty.clone(), format_of(formats, index));
        RowEncoder { columns: columns.iter().enumerate().map(column).collect(), look, client }
    }

    /// What comes from here on is for that encoding; whether it is another one. Batches have to be opened again then.
    pub fn set_client(&mut self, client: Encoding) -> bool {
        std::mem::replace(&mut self.client, client) != client
    }

    /// Recognises the columns of a batch.
    pub fn open(&self, batch: RecordBatch) -> Result<RowSource> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal(format!(
                "a batch has {} columns where the result has {}",
                batch.num_columns(),
                self.columns.len()
            )));
        }
        let columns = self
            .columns
            .iter()
            .zip(batch.columns())
            .map(|((ty, format), array)| {
                let cells = Cells::new(ty, array)?;
                let has_text = *format == Format::Text || encodings::has_text(ty);
                let recoded = (has_text && !self.client.is_ours()).then(|| (self.client, ty.clone()));
                Ok(Column { format: *format, cells, recoded })
            })
            .collect::<Result<_>>()?;
        Ok(RowSource { columns, rows: batch.num_rows() })
    }

    /// Appends one message per row until `rows` or the buffer ends; returns how many. After an error the buffer ends
    /// with the last whole row.
    pub fn write(&self, source: &RowSource, rows: Range<usize>, out: &mut Vec<u8>) -> Result<usize> {
        let first = rows.start;
        for row in rows.clone() {
            if out.len() >= BUFFER_BYTES && row > first {
                return Ok(row - first);
            }
            let start = out.len();
            if let Err(error) = self.write_row(source, row, out) {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(rows.len())
    }

    /// Appends the first row's one cell as the answer of a function call.
    pub fn write_result(&self, source: &RowSource, out: &mut Vec<u8>) -> Result<()> {
        let ([column], 1) = (source.columns.as_slice(), source.rows) else {
            return Err(Error::internal("a call of a function with another result than one value"));
        };
        out.put_u8(b'V');
        let start = out.len();
        out.put_i32(0);
        column.write(0, self.look, out)?;
        patch_length(out, start, 0)
    }

    fn write_row(&self, source: &RowSource, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(source.columns.len() as i16);
        for column in &source.columns {
            column.write(row, self.look, out)?;
        }
        patch_length(out, start, 0)
    }
}

/// Writes the number of bytes behind `at` there, `header` of them not counted.
fn patch_length(out: &mut [u8], at: usize, header: usize) -> Result<()> {
    let length = i32::try_from(out.len() - at - header).map_err(|_| {
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a row is longer than a message can be (2 GiB)")
    })?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl Cells {
    fn new(ty: &Type, array: &ArrayRef) -> Result<Cells> {
        Ok(match ty {
            Type::Bool => Cells::Bool(downcast(array, ty)?),
            Type::Int2 => Cells::Int2(downcast(array, ty)?),
            Type::Int4 => Cells::Int4(downcast(array, ty)?),
            Type::Int8 => Cells::Int8(downcast(array, ty)?),
            Type::Oid => Cells::Oid(downcast(array, ty)?),
            Type::Float4 => Cells::Float4(downcast(array, ty)?),
            Type::Float8 => Cells::Float8(downcast(array, ty)?),
            Type::Bpchar(Some(characters)) => Cells::Padded(downcast(array, ty)?, *characters),
            Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name => {
                Cells::Text(downcast(array, ty)?)
            }
            Type::Vector(_) => Cells::Vector(downcast(array, ty)?),
            Type::Halfvec(_) => Cells::Halfvec(downcast(array, ty)?),
            Type::Sparsevec(_) => Cells::Sparsevec(downcast(array, ty)?),
            _ if cast::has_blanks(ty) => Cells::Filled(Arc::clone(array), ty.clone()),
            _ => Cells::Other(Arc::clone(array), ty.clone()),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Bool(array) => array.is_null(row),
            Cells::Int2(array) => array.is_null(row),
            Cells::Int4(array) => array.is_null(row),
            Cells::Int8(array) => array.is_null(row),
            Cells::Oid(array) => array.is_null(row),
            Cells::Float4(array) => array.is_null(row),
            Cells::Float8(array) => array.is_null(row),
            Cells::Text(array) | Cells::Padded(array, _) => array.is_null(row),
            Cells::Vector(array) => array.is_null(row),
            Cells::Halfvec(array) | Cells::Sparsevec(array) => array.is_null(row),
            Cells::Filled(array, _) | Cells::Other(array, _) => array.is_null(row),
        }
    }
}

/// An array is a few pointers; cloning it shares the data.
fn downcast<A: Array + Clone + 'static>(array: &ArrayRef, ty: &Type) -> Result<A> {
    array
        .as_any()
        .downcast_ref::<A>()
        .cloned()
        .ok_or_else(|| Error::internal(format!("a column of type {ty:?} arrived as {}", array.data_type())))
}

impl Column {
    fn write(&self, row: usize, look: Look, out: &mut Vec<u8>) -> Result<()> {
        if self.cells.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let start = out.len();
        out.put_i32(0);
        match self.format {
            Format::Binary => self.binary(row, out)?,
            Format::Text => self.text(row, look, out)?,
        }
        match &self.recoded {
            None => {}
            Some((client, ty)) if self.format == Format::Binary => {
                encodings::send_from(ty, out, start + 4, *client)?;
            }
            Some((client, _)) => client.encode_from(out, start + 4)?,
        }
        patch_length(out, start, 4)
    }

    fn binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match &self.cells {
            Cells::Bool(array) => out.put_u8(array.value(row).into()),
            Cells::Int2(array) => out.put_i16(array.value(row)),
            Cells::Int4(array) => out.put_i32(array.value(row)),
            Cells::Int8(array) => out.put_i64(array.value(row)),
            Cells::Oid(array) => out.put_u32(array.value(row)),
            Cells::Float4(array) => out.put_f32(array.value(row)),
            Cells::Float8(array) => out.put_f64(array.value(row)),
            Cells::Text(array) => out.put_slice(array.value(row).as_bytes()),
            Cells::Padded(array, characters) => padded(array.value(row), *characters, out),
            Cells::Vector(array) => binary_vector(array.value(row), out),
            Cells::Halfvec(array) => halfvec::send(lists::halves(array, row)?, out),
            Cells::Sparsevec(array) => sparsevec::send(lists::sparse(array, row)?, out),
            Cells::Filled(array, ty) | Cells::Other(array, ty) => {
                binary::send(&arrow_cells::value_at(array, row, ty)?, ty, out)
            }
        }
        Ok(())
    }

    fn text(&self, row: usize, look: Look, out: &mut Vec<u8>) -> Result<()> {
        match &self.cells {
            Cells::Bool(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            Cells::Int2(array) => integer::print_i64(array.value(row).into(), out),
            Cells::Int4(array) => integer::print_i64(array.value(row).into(), out),
            Cells::Int8(array) => integer::print_i64(array.value(row), out),
            Cells::Oid(array) => integer::print_i64(array.value(row).into(), out),
            Cells::Text(array) => out.put_slice(array.value(row).as_bytes()),
            Cells::Padded(array, characters) => padded(array.value(row), *characters, out),
            Cells::Float4(array) => float::print_f32_with(array.value(row), look.float_digits, out),
            Cells::Float8(array) => float::print_f64_with(array.value(row), look.float_digits, out),
            Cells::Vector(array) => vector::print(&arrow_cells::vector_floats(array.value(row)), out),
            Cells::Halfvec(array) => halfvec::print(lists::halves(array, row)?, out),
            Cells::Sparsevec(array) => sparsevec::print(lists::sparse(array, row)?, out),
            Cells::Filled(array, ty) => {
                let value = cast::filled(arrow_cells::value_at(array, row, ty)?, ty);
                text::print_as(&value, look, out);
            }
            Cells::Other(array, ty) => text::print_as(&arrow_cells::value_at(array, row, ty)?, look, out),
        }
        Ok(())
    }
}

fn padded(text: &str, characters: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_slice(text.as_bytes());
    cast::pad(start, characters, out);
}

/// pgvector's vector_send: dimensions, an unused word, big-endian components. `bytes` are little-endian.
fn binary_vector(bytes: &[u8], out: &mut Vec<u8>) {
    let (components, _) = bytes.as_chunks::<4>();
    out.put_i16(components.len() as i16);
    out.put_i16(0);
    let start = out.len();
    out.put_slice(bytes);
    let (words, _) = out[start..].as_chunks_mut::<4>();
    // A loop over fixed-size words is one shuffle instruction per 16 of them.
    for word in words {
        word.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, ty: Type) -> OutputColumn {
        OutputColumn { name: name.to_owned(), ty, table_oid: 0, attnum: 0 }
    }

    fn batch() -> RecordBatch {
        let id: ArrayRef = Arc::new(Int64Array::from(vec![Some(-7), None]));
        let name: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), Some("")]));
        let v = [1f32, -2.5].map(f32::to_le_bytes).concat();
        let v: ArrayRef = Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(&v), None]));
        RecordBatch::try_from_iter_with_nullable([("id", id, true), ("name", name, true), ("v", v, true)])
            .expect("columns of one length")
    }

    fn encode(formats: &[Format]) -> Vec<u8> {
        let columns = [column("id", Type::Int8), column("name", Type::Text), column("v", Type::Vector(None))];
        let encoder = RowEncoder::new(&columns, formats, Look::PLAIN, Encoding::UTF8);
        let source = encoder.open(batch()).expect("known columns");
        let mut out = Vec::new();
        assert_eq!(encoder.write(&source, 0..2, &mut out).expect("rows"), 2);
        out
    }

    #[test]
    fn text_rows() {
        let expected = [
            &b"D\0\0\0\x1e\0\x03"[..],
            b"\0\0\0\x02-7\0\0\0\x02ab\0\0\0\x08[1,-2.5]",
            b"D\0\0\0\x12\0\x03",
            b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff",
        ];
        assert_eq!(encode(&[]), expected.concat());
    }

    #[test]
    fn binary_rows() {
        let rows = encode(&[Format::Binary]);
        let first = [
            &b"D\0\0\0\x28\0\x03\0\0\0\x08"[..],
            &(-7i64).to_be_bytes(),
            b"\0\0\0\x02ab\0\0\0\x0c\0\x02\0\0",
            &1f32.to_be_bytes(),
            &(-2.5f32).to_be_bytes(),
        ]
        .concat();
        assert_eq!(rows[..first.len()], first);
    }

    #[test]
    fn a_full_buffer_stops_between_rows() {
        let encoder = RowEncoder::new(&[column("t", Type::Text)], &[], Look::PLAIN, Encoding::UTF8);
        let text = "x".repeat(BUFFER_BYTES);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 3]));
        let batch = RecordBatch::try_from_iter([("t", texts)]).expect("one column");
        let source = encoder.open(batch).expect("a known column");
        let mut out = Vec::new();
        assert_eq!(encoder.write(&source, 0..3, &mut out).expect("rows"), 1);
        assert_eq!(out.len(), BUFFER_BYTES + 11);
    }
}
