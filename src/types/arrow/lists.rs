//! Cells of `halfvec`, `sparsevec`, of bit strings, of text search's types, of ranges, of addresses, of hstore and of json: lists of halves, of words, of
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
use crate::types::{Bits, NetworkType, RangeType, Sparse, TsQuery, f16};

pub fn halfvec_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::Float16)))
}

pub fn sparsevec_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::UInt32)))
}

pub fn bit_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::Boolean)))
}

pub fn tsvector_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::UInt8)))
}

/// Its bytes are two wide only to be another type than a tsvector's.
pub fn tsquery_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::UInt16)))
}

/// Bytes that sort as the ranges do, in a list whose items are named by the type, so that each is a type of its own.
/// (A Struct of two ends would compare field by field, but knows no infinite end that comes last, and no empty range.)
pub fn range_type(of: &RangeType) -> DataType {
    DataType::LargeList(Arc::new(Field::new(of.tag(), DataType::UInt8, true)))
}

/// The same of sets of ranges.
pub fn multirange_type(of: &RangeType) -> DataType {
    DataType::LargeList(Arc::new(Field::new(multirange_tag(of), DataType::UInt8, true)))
}

/// What the items of sets are called.
pub fn multirange_tag(of: &RangeType) -> String {
    format!("{SETS}{}", of.tag())
}

/// Before the tag of the type whose ranges a set is made of.
const SETS: &str = "sets of ";

/// The type of the ranges in lists of this type.
pub fn range_of(ty: &DataType) -> Option<RangeType> {
    match ty {
        DataType::LargeList(item) if *item.data_type() == DataType::UInt8 => RangeType::from_tag(item.name()),
        _ => None,
    }
}

/// The type of the ranges whose sets are in lists of this type.
pub fn multirange_of(ty: &DataType) -> Option<RangeType> {
    match ty {
        DataType::LargeList(item) if *item.data_type() == DataType::UInt8 => {
            item.name().strip_prefix(SETS).and_then(RangeType::from_tag)
        }
        _ => None,
    }
}

/// The same of addresses.
pub fn network_type(of: NetworkType) -> DataType {
    DataType::LargeList(Arc::new(Field::new(of.name(), DataType::UInt8, true)))
}

/// The type of the addresses in lists of this type.
pub fn network_of(ty: &DataType) -> Option<NetworkType> {
    match ty {
        DataType::LargeList(item) if *item.data_type() == DataType::UInt8 => {
            NetworkType::from_name(item.name())
        }
        _ => None,
    }
}

/// What the items of an hstore's list are called.
pub const HSTORE: &str = "hstore";

/// The same of hstore.
pub fn hstore_type() -> DataType {
    DataType::LargeList(Arc::new(Field::new(HSTORE, DataType::UInt8, true)))
}

pub fn is_hstore(ty: &DataType) -> bool {
    matches!(ty, DataType::LargeList(item) if *item.data_type() == DataType::UInt8 && item.name() == HSTORE)
}

/// A list of exactly one text, which tells it from text.
pub fn json_type() -> DataType {
    DataType::LargeList(Arc::new(item(DataType::Utf8)))
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

/// The bytes of the tsvector, range, address or hstore in `row`, which is not NULL.
pub fn bytes(array: &LargeListArray, row: usize) -> Result<&[u8]> {
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

/// Builds a column of lists, cell by cell.
pub struct ListBuilder<I> {
    items: I,
    /// Where lists end and which are NULL.
    offsets: Vec<i64>,
    validity: NullBufferBuilder,
}

/// What the lists of a column hold, one after the other.
pub trait Items {
    fn count(&self) -> usize;

    /// The items and what they are, leaving none.
    fn finish(&mut self) -> (Field, ArrayRef);
}

impl<I: Items> ListBuilder<I> {
    /// `rows` is a guess of how many cells will come.
    fn of(items: I, rows: usize) -> ListBuilder<I> {
        ListBuilder { items, offsets: vec![0], validity: NullBufferBuilder::new(rows) }
    }

    /// Ends a cell after its items.
    fn end(&mut self, valid: bool) {
        self.offsets.push(self.items.count() as i64);
        self.validity.append(valid);
    }

    pub fn append_null(&mut self) {
        self.end(false);
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        let (item, items) = self.items.finish();
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        Arc::new(LargeListArray::new(Arc::new(item), offsets, items, self.validity.finish()))
    }
}

/// What the items of lists are called that no type names.
const ITEM: &str = "item";

fn item(ty: DataType) -> Field {
    Field::new(ITEM, ty, true)
}

/// Builds a column of `halfvec`.
pub type HalfvecBuilder = ListBuilder<Vec<f16>>;

impl Items for Vec<f16> {
    fn count(&self) -> usize {
        self.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        (item(DataType::Float16), Arc::new(Float16Array::from(std::mem::take(self))))
    }
}

impl HalfvecBuilder {
    pub fn new(rows: usize) -> HalfvecBuilder {
        ListBuilder::of(Vec::new(), rows)
    }

    pub fn append(&mut self, vector: &[f16]) {
        self.items.extend_from_slice(vector);
        self.end(true);
    }
}

/// Builds a column of `sparsevec`.
pub type SparsevecBuilder = ListBuilder<Vec<u32>>;

impl Items for Vec<u32> {
    fn count(&self) -> usize {
        self.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        (item(DataType::UInt32), Arc::new(UInt32Array::from(std::mem::take(self))))
    }
}

impl SparsevecBuilder {
    pub fn new(rows: usize) -> SparsevecBuilder {
        ListBuilder::of(Vec::new(), rows)
    }

    pub fn append(&mut self, vector: Sparse) {
        self.items.extend_from_slice(vector.words());
        self.end(true);
    }
}

/// Builds a column of bit strings.
pub type BitBuilder = ListBuilder<BooleanBufferBuilder>;

impl Items for BooleanBufferBuilder {
    fn count(&self) -> usize {
        self.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        (item(DataType::Boolean), Arc::new(BooleanArray::new(self.finish(), None)))
    }
}

impl BitBuilder {
    pub fn new(rows: usize) -> BitBuilder {
        ListBuilder::of(BooleanBufferBuilder::new(rows * 64), rows)
    }

    pub fn append(&mut self, bits: &Bits) {
        let lowest_first: Vec<u8> = bits.bytes().iter().map(|byte| byte.reverse_bits()).collect();
        self.items.append_packed_range(0..bits.len() as usize, &lowest_first);
        self.end(true);
    }
}

/// Builds a column of `tsvector`, of `tsquery` or of ranges, whose bytes are `T`s.
pub type BytesBuilder<T> = ListBuilder<Bytes<T>>;

/// Bytes, as wide as `T`s.
pub struct Bytes<T: ArrowPrimitiveType> {
    name: String,
    bytes: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Items for Bytes<T> {
    fn count(&self) -> usize {
        self.bytes.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        let bytes = PrimitiveArray::<T>::new(std::mem::take(&mut self.bytes).into(), None);
        (Field::new(&self.name, T::DATA_TYPE, true), Arc::new(bytes))
    }
}

impl<T: ArrowPrimitiveType> BytesBuilder<T>
where
    T::Native: From<u8>,
{
    pub fn new(rows: usize) -> BytesBuilder<T> {
        BytesBuilder::named(ITEM, rows)
    }

    /// Of lists whose items have a name.
    pub fn named(name: impl Into<String>, rows: usize) -> BytesBuilder<T> {
        ListBuilder::of(Bytes { name: name.into(), bytes: Vec::new() }, rows)
    }

    pub fn append(&mut self, bytes: &[u8]) {
        self.items.bytes.extend(bytes.iter().map(|&byte| T::Native::from(byte)));
        self.end(true);
    }
}

/// Builds a column of `json`.
pub type JsonBuilder = ListBuilder<StringBuilder>;

impl Items for StringBuilder {
    fn count(&self) -> usize {
        self.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        (item(DataType::Utf8), Arc::new(self.finish()))
    }
}

impl JsonBuilder {
    pub fn new(rows: usize) -> JsonBuilder {
        ListBuilder::of(StringBuilder::with_capacity(rows, rows * 32), rows)
    }

    pub fn append(&mut self, document: &str) {
        self.items.append_value(document);
        self.end(true);
    }
}

/// Builds a column of one enumeration.
pub type EnumBuilder = ListBuilder<Orders>;

/// Numbers of an enumeration's values.
pub struct Orders {
    definition: String,
    numbers: Vec<i64>,
}

impl Items for Orders {
    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn finish(&mut self) -> (Field, ArrayRef) {
        let numbers = Int64Array::new(std::mem::take(&mut self.numbers).into(), None);
        (Field::new(&self.definition, DataType::Int64, true), Arc::new(numbers))
    }
}

impl EnumBuilder {
    pub fn new(definition: String, rows: usize) -> EnumBuilder {
        ListBuilder::of(Orders { definition, numbers: Vec::with_capacity(rows) }, rows)
    }

    pub fn append(&mut self, order: i64) {
        self.items.numbers.push(order);
        self.end(true);
    }
}
