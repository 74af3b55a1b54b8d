//! Cells of `halfvec`, `sparsevec`, of bit strings, of text search's types and of json: lists of halves, of words, of
//! booleans, of bytes, of bytes in two and of one text, which no SQL array is.
//!
//! A plan's operators copy, hash and compare lists element by element as PostgreSQL compares these types, and the
//! Arrow type alone tells what they are.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Float16Array, Int64Array,
    LargeListArray, NullBufferBuilder, PrimitiveArray, StringBuilder, UInt8Array, UInt16Array, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field};

use crate::error::{Error, Result};
use crate::types::{Bits, Sparse, TsQuery, f16};

pub fn halfvec_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::Float16, true)))
}

pub fn sparsevec_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::UInt32, true)))
}

pub fn bit_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::Boolean, true)))
}

pub fn tsvector_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::UInt8, true)))
}

/// Its bytes are two wide only to be another type than a tsvector's.
pub fn tsquery_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::UInt16, true)))
}

/// A list of exactly one text, which tells it from text.
pub fn json_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new("item", DataType::Utf8, true)))
}

/// One number per value, in a list whose items are named by the definition of the enumeration: so the type says which it
/// is through every operator of a plan.
pub fn enum_type(definition: &str) -> DataType {
    DataType::LargeList(Arc::new(Field::new(definition, DataType::Int64, true)))
}

/// The definition in the type of an enumeration.
pub fn enum_definition(ty: &DataType) -> Option<&str> {
    match ty {
        DataType::LargeList(item) if *item.data_type() == DataType::Int64 => Some(item.name()),
        _ => None,
    }
}

/// The number of an enumeration's value in `row`, which is not NULL.
pub fn enum_order(array: &LargeListArray, row: usize) -> Result<i64> {
    let items = array.values().as_any().downcast_ref::<Int64Array>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    items.values()[start..end].first().copied().ok_or_else(|| other(array))
}

pub fn is_halfvec(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeList(item) if *item.data_type() == DataType::Float16)
}

pub fn is_sparsevec(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeList(item) if *item.data_type() == DataType::UInt32)
}

pub fn is_json(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeList(item) if *item.data_type() == DataType::Utf8)
}

pub fn is_bit(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeList(item) if *item.data_type() == DataType::Boolean)
}

/// The elements in `row`, which is not NULL.
pub fn halves(array: &LargeListArray, row: usize) -> Result<&[f16]> {
    let items = array.values().as_any().downcast_ref::<Float16Array>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    Ok(&items.values()[start..end])
}

/// The vector in `row`, which is not NULL.
pub fn sparse(array: &LargeListArray, row: usize) -> Result<Sparse<'_>> {
    let items = array.values().as_any().downcast_ref::<UInt32Array>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    Ok(Sparse::new(&items.values()[start..end]))
}

/// The bits in `row`, which is not NULL.
pub fn bits(array: &LargeListArray, row: usize) -> Result<Bits> {
    let items = array.values().as_any().downcast_ref::<BooleanArray>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    // Arrow has the first bit lowest.
    let lowest_first = items.values().slice(start, end - start).sliced();
    let bytes = lowest_first.iter().map(|byte| byte.reverse_bits()).collect();
    Ok(Bits::new(bytes, (end - start) as u32))
}

/// The bytes of the tsvector in `row`, which is not NULL.
pub fn tsvector(array: &LargeListArray, row: usize) -> Result<&[u8]> {
    let items = array.values().as_any().downcast_ref::<UInt8Array>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    Ok(&items.values()[start..end])
}

/// The query in `row`, which is not NULL.
pub fn tsquery(array: &LargeListArray, row: usize) -> Result<TsQuery> {
    let items = array.values().as_any().downcast_ref::<UInt16Array>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    let bytes: Vec<u8> = items.values()[start..end].iter().map(|&byte| byte as u8).collect();
    TsQuery::from_bytes(&bytes)
}

/// The document in `row`, which is not NULL.
pub fn json(array: &LargeListArray, row: usize) -> Result<&str> {
    let items = array.values().as_string_opt::<i32>().ok_or_else(|| other(array))?;
    let (start, end) = place(array, row);
    if end - start != 1 {
        return Err(Error::internal(format!("a document of {} texts", end - start)));
    }
    Ok(items.value(start))
}

fn place(array: &LargeListArray, row: usize) -> (usize, usize) {
    let offsets = array.value_offsets();
    (offsets[row] as usize, offsets[row + 1] as usize)
}

fn other(array: &LargeListArray) -> Error {
    Error::internal(format!("a list of {} is no vector", array.value_type()))
}

/// Builds a column of `halfvec`.
pub struct HalfvecBuilder {
    items: Vec<f16>,
    lists: Lists,
}

/// Builds a column of `sparsevec`.
pub struct SparsevecBuilder {
    items: Vec<u32>,
    lists: Lists,
}

/// Builds a column of bit strings.
pub struct BitBuilder {
    items: BooleanBufferBuilder,
    lists: Lists,
}

/// Builds a column of `tsvector` or of `tsquery`, whose bytes are `T`s.
pub struct BytesBuilder<T: ArrowPrimitiveType> {
    items: Vec<T::Native>,
    lists: Lists,
}

/// Builds a column of `json`.
pub struct JsonBuilder {
    items: StringBuilder,
    lists: Lists,
}

/// Where lists end and which are NULL.
struct Lists {
    offsets: Vec<i64>,
    validity: NullBufferBuilder,
}

impl Lists {
    fn new(rows: usize) -> Lists {
        Lists { offsets: vec![0], validity: NullBufferBuilder::new(rows) }
    }

    fn end(&mut self, items: usize, valid: bool) {
        self.offsets.push(items as i64);
        self.validity.append(valid);
    }

    fn finish(&mut self, item: DataType, items: ArrayRef) -> ArrayRef {
        self.finish_as(Field::new("item", item, true), items)
    }

    fn finish_as(&mut self, item: Field, items: ArrayRef) -> ArrayRef {
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        Arc::new(LargeListArray::new(Arc::new(item), offsets, items, self.validity.finish()))
    }
}

/// Values of one enumeration.
pub struct EnumBuilder {
    definition: String,
    items: Vec<i64>,
    lists: Lists,
}

impl EnumBuilder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(definition: String, rows: usize) -> EnumBuilder {
        EnumBuilder { definition, items: Vec::with_capacity(rows), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, order: i64) {
        self.items.push(order);
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = Int64Array::new(std::mem::take(&mut self.items).into(), None);
        self.lists.finish_as(Field::new(&self.definition, DataType::Int64, true), Arc::new(items))
    }
}

impl JsonBuilder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(rows: usize) -> JsonBuilder {
        JsonBuilder { items: StringBuilder::with_capacity(rows, rows * 32), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, document: &str) {
        self.items.append_value(document);
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = self.items.finish();
        self.lists.finish(DataType::Utf8, Arc::new(items))
    }
}

impl HalfvecBuilder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(rows: usize) -> HalfvecBuilder {
        HalfvecBuilder { items: Vec::new(), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, vector: &[f16]) {
        self.items.extend_from_slice(vector);
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = Float16Array::from(std::mem::take(&mut self.items));
        self.lists.finish(DataType::Float16, Arc::new(items))
    }
}

impl SparsevecBuilder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(rows: usize) -> SparsevecBuilder {
        SparsevecBuilder { items: Vec::new(), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, vector: Sparse) {
        self.items.extend_from_slice(vector.words());
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = UInt32Array::from(std::mem::take(&mut self.items));
        self.lists.finish(DataType::UInt32, Arc::new(items))
    }
}

impl BitBuilder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(rows: usize) -> BitBuilder {
        BitBuilder { items: BooleanBufferBuilder::new(rows * 64), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, bits: &Bits) {
        let lowest_first: Vec<u8> = bits.bytes().iter().map(|byte| byte.reverse_bits()).collect();
        self.items.append_packed_range(0..bits.len() as usize, &lowest_first);
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = BooleanArray::new(self.items.finish(), None);
        self.lists.finish(DataType::Boolean, Arc::new(items))
    }
}

impl<T: ArrowPrimitiveType> BytesBuilder<T>
where
    T::Native: From<u8>,
{
    /// `rows` is a guess of how many cells will come.
    pub fn new(rows: usize) -> BytesBuilder<T> {
        BytesBuilder { items: Vec::new(), lists: Lists::new(rows) }
    }

    pub fn append(&mut self, bytes: &[u8]) {
        self.items.extend(bytes.iter().map(|&byte| T::Native::from(byte)));
        self.lists.end(self.items.len(), true);
    }

    pub fn append_null(&mut self) {
        self.lists.end(self.items.len(), false);
    }

    pub fn len(&self) -> usize {
        self.lists.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let items = PrimitiveArray::<T>::new(std::mem::take(&mut self.items).into(), None);
        self.lists.finish(T::DATA_TYPE, Arc::new(items))
    }
}
