//! SQL types as Arrow types, and cells as Arrow arrays: the one bridge between the core and DataFusion.
//!
//! | SQL                                | Arrow                       |
//! |------------------------------------|-----------------------------|
//! | text, varchar, bpchar, citext, name, char | Utf8 (the metadata tells which) |
//! | json                               | LargeList of one Utf8       |
//! | jsonb                              | LargeUtf8                   |
//! | bytea                              | Binary                      |
//! | vector                             | LargeBinary, raw little-endian f32 |
//! | halfvec                            | LargeList of Float16        |
//! | sparsevec                          | LargeList of UInt32, the words of `types::sparsevec` |
//! | bit, bit varying                   | LargeList of Boolean (the metadata tells which) |
//! | tsvector, tsquery                  | LargeList of UInt8, of UInt16 |
//! | uuid                               | FixedSizeBinary(16)         |
//! | money                              | Duration(s), though it is cents |
//! | tid                                | FixedSizeBinary(6)          |
//! | timetz                             | FixedSizeBinary(12), the bytes of `types::timetz` |
//! | numeric(p, s)                      | Decimal128(p, s), where it holds all values and 0 <= s <= p |
//! | numeric, other numeric(p, s)       | BinaryView, the short form of `types::numeric::wire` |
//! | date, time, timestamp, timestamptz | Date32, Time64(us), Timestamp(us, none or UTC) |
//! | interval                           | IntervalMonthDayNano        |
//! | arrays                             | List                        |
//! | enumerations                       | LargeList of one Int64, named by the definition |
//! | ranges                             | LargeList of UInt8, the bytes of `types::range`, named by the range type |
//! | inet, cidr, macaddr, macaddr8      | LargeList of UInt8, the bytes of `types::network`, named by the type |
//! | hstore                             | LargeList of UInt8, the bytes of `types::hstore`, named by the type |
//! | records                            | Struct                      |
//! | composite types                    | Struct, whose first field has the definition in its metadata |
//!
//! The exact SQL type travels as field metadata under [`TYPE_KEY`]. Operators that lose metadata (UNION, CASE, aggregates)
//! lose only modifiers and the kind of text (which `planner` gives back, because citext has an equality of its own), because
//! vectors, bits, json, jsonb and uuid have Arrow types of their own.

// Cells of halfvec, of sparsevec, of bit strings and of text search's types.
pub mod lists;
// Errors to and from DataFusion, and what was meant by columns that are not there.
pub mod errors;
mod hints;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use datafusion::common::ScalarValue;

use crate::error::{Error, Result, SqlState};
use crate::types::numeric::is_narrow;
use crate::types::{
    CompositeType, EnumType, Hstore, Interval, Multirange, Network, Numeric, Range, RecordField, Tid, Timetz,
    TsVector, Type, Value, numeric,
};

/// Field metadata key of the SQL type, whose value is the type as JSON.
pub const TYPE_KEY: &str = "pg";
/// The same of the definition of a composite type, at the first of its fields.
const COMPOSITE_KEY: &str = "composite";

/// The Arrow type that holds cells of `ty`.
pub fn data_type(ty: &Type) -> DataType {
    match ty {
        Type::Bool => DataType::Boolean,
        Type::Int2 => DataType::Int16,
        Type::Int4 => DataType::Int32,
        Type::Int8 => DataType::Int64,
        Type::Float4 => DataType::Float32,
        Type::Float8 => DataType::Float64,
        Type::Numeric(Some((precision, scale))) if is_narrow(*precision, *scale) => {
            DataType::Decimal128(*precision as u8, *scale as i8)
        }
        Type::Numeric(_) => DataType::BinaryView,
        Type::Text
        | Type::Varchar(_)
        | Type::Bpchar(_)
        | Type::Citext
        | Type::JsonPath
        | Type::Void
        | Type::Polymorphic(_)
        | Type::Int2Vector
        | Type::OidVector
        | Type::Name
        | Type::Char => DataType::Utf8,
        Type::Json => lists::json_type(),
        Type::Jsonb => DataType::LargeUtf8,
        Type::Bytea => DataType::Binary,
        Type::Date => DataType::Date32,
        Type::Time(_) => DataType::Time64(TimeUnit::Microsecond),
        Type::Timetz(_) => DataType::FixedSizeBinary(Timetz::BYTES as i32),
        Type::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Timestamptz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::Uuid => DataType::FixedSizeBinary(16),
        Type::Money => DataType::Duration(TimeUnit::Second),
        Type::Tid => DataType::FixedSizeBinary(Tid::BYTES as i32),
        Type::Vector(_) => DataType::LargeBinary,
        Type::Halfvec(_) => lists::halfvec_type(),
        Type::Sparsevec(_) => lists::sparsevec_type(),
        Type::Bit(_) | Type::Varbit(_) => lists::bit_type(),
        Type::TsVector => lists::tsvector_type(),
        Type::TsQuery => lists::tsquery_type(),
        Type::Range(of) => lists::range_type(of),
        Type::Multirange(of) => lists::multirange_type(of),
        Type::Network(of) => lists::network_type(*of),
        Type::Hstore => lists::hstore_type(),
        Type::Array(item) => DataType::List(item_field(item)),
        Type::Oid => DataType::UInt32,
        Type::Enum(of) => lists::enum_type(&of.to_json()),
        Type::Record(fields) => DataType::Struct(record_fields(fields)),
        Type::Composite(of) => DataType::Struct(composite_fields(of)),
    }
}

/// A field named `name` that remembers its SQL type.
pub fn field(name: impl Into<String>, ty: &Type, nullable: bool) -> Field {
    Field::new(name, data_type(ty), nullable).with_metadata(metadata(ty))
}

/// A field of an expression: with a note of its SQL type only where the Arrow type does not tell it, because VALUES and
/// UNION refuse columns whose notes differ.
pub fn plain_field(name: impl Into<String>, ty: &Type) -> Field {
    let arrow = data_type(ty);
    if type_of_data_type(&arrow) == *ty { Field::new(name, arrow, true) } else { field(name, ty, true) }
}

/// What [`field`] puts beside the Arrow type.
pub fn metadata(ty: &Type) -> HashMap<String, String> {
    let json = serde_json::to_string(ty).expect("a Type is plain data, which always serialises");
    HashMap::from([(TYPE_KEY.to_owned(), json)])
}

/// The SQL type of a field: from its metadata when they agree with its Arrow type, else from the Arrow type.
pub fn type_of(field: &Field) -> Type {
    let noted = field.metadata().get(TYPE_KEY).and_then(|json| serde_json::from_str::<Type>(json).ok());
    match noted {
        Some(ty) if same_storage(&data_type(&ty), field.data_type()) => ty,
        _ => type_of_data_type(field.data_type()),
    }
}

/// The SQL type that an expression of an Arrow type shows as. Types we never store map to the nearest one;
/// [`wire_type`] says what their arrays are cast to on the way out.
pub fn type_of_data_type(data_type: &DataType) -> Type {
    if let Some(of) = lists::enum_definition(data_type).and_then(EnumType::from_json) {
        return Type::Enum(of);
    }
    if let Some(of) = lists::range_of(data_type) {
        return Type::Range(of);
    }
    if let Some(of) = lists::multirange_of(data_type) {
        return Type::Multirange(of);
    }
    if let Some(of) = lists::network_of(data_type) {
        return Type::Network(of);
    }
    if lists::is_hstore(data_type) {
        return Type::Hstore;
    }
    match data_type {
        DataType::Boolean => Type::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::Int2,
        DataType::Int32 | DataType::UInt16 => Type::Int4,
        DataType::UInt32 => Type::Oid,
        DataType::Int64 | DataType::UInt64 => Type::Int8,
        DataType::Float16 | DataType::Float32 => Type::Float4,
        DataType::Float64 => Type::Float8,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            Type::Numeric(Some((u16::from(*p), i16::from(*s))))
        }
        DataType::Decimal256(_, _) | DataType::BinaryView => Type::Numeric(None),
        DataType::LargeUtf8 => Type::Jsonb,
        DataType::Binary => Type::Bytea,
        DataType::LargeBinary => Type::Vector(None),
        DataType::FixedSizeBinary(16) => Type::Uuid,
        DataType::FixedSizeBinary(6) => Type::Tid,
        DataType::FixedSizeBinary(12) => Type::Timetz(None),
        DataType::FixedSizeBinary(_) => Type::Bytea,
        DataType::Date32 | DataType::Date64 => Type::Date,
        DataType::Time32(_) | DataType::Time64(_) => Type::Time(None),
        DataType::Timestamp(_, None) => Type::Timestamp(None),
        DataType::Timestamp(_, Some(_)) => Type::Timestamptz(None),
        DataType::Duration(TimeUnit::Second) => Type::Money,
        DataType::Interval(_) | DataType::Duration(_) => Type::Interval(None),
        DataType::LargeList(item) if *item.data_type() == DataType::Float16 => Type::Halfvec(None),
        DataType::LargeList(item) if *item.data_type() == DataType::UInt32 => Type::Sparsevec(None),
        DataType::LargeList(item) if *item.data_type() == DataType::Boolean => Type::Bit(None),
        DataType::LargeList(item) if *item.data_type() == DataType::UInt8 => Type::TsVector,
        DataType::LargeList(item) if *item.data_type() == DataType::UInt16 => Type::TsQuery,
        DataType::LargeList(item) if *item.data_type() == DataType::Utf8 => Type::Json,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Type::Array(Box::new(type_of(item)))
        }
        DataType::Dictionary(_, values) => type_of_data_type(values),
        DataType::Struct(fields) if let Some(of) = composite_of(fields) => Type::Composite(of),
        DataType::Struct(fields) => Type::Record(
            fields
                .iter()
                .map(|field| RecordField { name: field.name().clone(), ty: type_of(field) })
                .collect(),
        ),
        _ => Type::Text,
    }
}

/// The Arrow type in which an expression of `found` leaves the planner: exactly one per SQL type, so that the
/// wire encodes as many array types as there are in the table above.
pub fn wire_type(found: &Field) -> DataType {
    data_type(&type_of(found))
}

/// The field of a list's items: plain, because kernels that make lists know no metadata.
pub fn item_field(item: &Type) -> FieldRef {
    Arc::new(Field::new("item", data_type(item), true))
}

fn record_fields(fields: &[RecordField]) -> Fields {
    fields.iter().map(|part| field(&part.name, &part.ty, true)).collect()
}

/// As those of a record; the definition makes the type another one than that of a record, through all operators of a plan.
fn composite_fields(of: &CompositeType) -> Fields {
    let mut fields: Vec<Field> = of.fields.iter().map(|part| field(&part.name, &part.ty, true)).collect();
    if let Some(first) = fields.first_mut() {
        first.metadata_mut().insert(COMPOSITE_KEY.to_owned(), of.to_json());
    }
    fields.into()
}

fn composite_of(fields: &Fields) -> Option<CompositeType> {
    CompositeType::from_json(fields.first()?.metadata().get(COMPOSITE_KEY)?)
}

fn same_storage(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::List(left), DataType::List(right)) => same_storage(left.data_type(), right.data_type()),
        (DataType::Struct(left), DataType::Struct(right)) => {
            let same = |(l, r): (&FieldRef, &FieldRef)| same_storage(l.data_type(), r.data_type());
            left.len() == right.len() && left.iter().zip(right).all(same)
        }
        _ => left == right,
    }
}

/// A value as a DataFusion scalar of `ty`'s Arrow type. Integers and floats widen or narrow to `ty`.
pub fn to_scalar(value: &Value, ty: &Type) -> Result<ScalarValue> {
    if let (Value::Vector(vector), Type::Vector(_)) = (value, ty) {
        return Ok(ScalarValue::LargeBinary(Some(vector_bytes(vector))));
    }
    let mut builder = Builder::new(ty, 1);
    builder.append(value)?;
    only_cell(&builder.finish())
}

/// The cell of a column of one row. DataFusion's own way would forget what the items of a list are.
pub fn only_cell(column: &ArrayRef) -> Result<ScalarValue> {
    if let Some(list) = column.as_any().downcast_ref::<ListArray>() {
        return Ok(ScalarValue::List(Arc::new(list.slice(0, 1))));
    }
    if let Some(list) = column.as_any().downcast_ref::<LargeListArray>() {
        return Ok(ScalarValue::LargeList(Arc::new(list.slice(0, 1))));
    }
    ScalarValue::try_from_array(column, 0).map_err(|error| Error::internal(error.to_string()))
}

/// The value of a scalar, read as `ty`.
pub fn from_scalar(scalar: &ScalarValue, ty: &Type) -> Result<Value> {
    if scalar.is_null() {
        return Ok(Value::Null);
    }
    let wanted = data_type(ty);
    // Numbers are read from what they are in.
    let is_number = matches!(ty, Type::Numeric(_)) && is_numeric(&scalar.data_type());
    let array = if is_number || scalar.data_type() == wanted {
        scalar.to_array()
    } else {
        scalar.cast_to(&wanted).and_then(|s| s.to_array())
    };
    value_at(&array.map_err(|error| Error::internal(error.to_string()))?, 0, ty)
}

/// Whether cells of this type are numbers of `numeric`: those of columns and parameters, and of DataFusion's literals.
pub fn is_numeric(ty: &DataType) -> bool {
    matches!(ty, DataType::Decimal128(_, _) | DataType::Decimal256(_, _) | DataType::BinaryView)
}

/// One cell of an array whose type is `data_type(ty)`; of a `numeric`, any that holds numbers.
pub fn value_at(array: &ArrayRef, row: usize, ty: &Type) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match ty {
        Type::Bool => Value::Bool(downcast::<BooleanArray>(array)?.value(row)),
        Type::Int2 => Value::Int2(downcast::<Int16Array>(array)?.value(row)),
        Type::Int4 => Value::Int4(downcast::<Int32Array>(array)?.value(row)),
        Type::Int8 => Value::Int8(downcast::<Int64Array>(array)?.value(row)),
        Type::Float4 => Value::Float4(downcast::<Float32Array>(array)?.value(row)),
        Type::Float8 => Value::Float8(downcast::<Float64Array>(array)?.value(row)),
        Type::Numeric(_) => Value::Numeric(numeric_at(array, row)?),
        Type::Text
        | Type::Varchar(_)
        | Type::Bpchar(_)
        | Type::Citext
        | Type::JsonPath
        | Type::Void
        | Type::Polymorphic(_)
        | Type::Int2Vector
        | Type::OidVector
        | Type::Name
        | Type::Char => Value::Text(downcast::<StringArray>(array)?.value(row).to_owned()),
        Type::Json => Value::Json(lists::json(downcast(array)?, row)?.to_owned()),
        Type::Jsonb => Value::Jsonb(downcast::<LargeStringArray>(array)?.value(row).to_owned()),
        Type::Bytea => Value::Bytea(downcast::<BinaryArray>(array)?.value(row).to_vec()),
        Type::Date => Value::Date(downcast::<Date32Array>(array)?.value(row)),
        Type::Time(_) => Value::Time(downcast::<Time64MicrosecondArray>(array)?.value(row)),
        Type::Timetz(_) => {
            let time = Timetz::from_bytes(downcast::<FixedSizeBinaryArray>(array)?.value(row));
            Value::Timetz(time.ok_or_else(|| Error::internal("bytes that are no time with a zone"))?)
        }
        Type::Timestamp(_) => Value::Timestamp(downcast::<TimestampMicrosecondArray>(array)?.value(row)),
        Type::Timestamptz(_) => Value::Timestamptz(downcast::<TimestampMicrosecondArray>(array)?.value(row)),
        Type::Interval(_) => interval_value(downcast::<IntervalMonthDayNanoArray>(array)?.value(row)),
        Type::Uuid => {
            let bytes = downcast::<FixedSizeBinaryArray>(array)?.value(row);
            Value::Uuid(bytes.try_into().map_err(|_| Error::internal("a uuid has 16 bytes"))?)
        }
        Type::Money => Value::Money(downcast::<DurationSecondArray>(array)?.value(row)),
        Type::Tid => {
            let bytes = downcast::<FixedSizeBinaryArray>(array)?.value(row);
            Value::Tid(Tid::from_bytes(bytes.try_into().map_err(|_| Error::internal("a tid has 6 bytes"))?))
        }
        Type::Vector(_) => Value::Vector(vector_floats(downcast::<LargeBinaryArray>(array)?.value(row))),
        Type::Halfvec(_) => Value::Halfvec(lists::halves(downcast(array)?, row)?.to_vec()),
        Type::Sparsevec(_) => Value::Sparsevec(lists::sparse(downcast(array)?, row)?.to_owned()),
        Type::Bit(_) | Type::Varbit(_) => Value::Bits(lists::bits(downcast(array)?, row)?),
        Type::TsVector => Value::TsVector(TsVector::from_bytes(lists::bytes(downcast(array)?, row)?)),
        Type::TsQuery => Value::TsQuery(lists::tsquery(downcast(array)?, row)?),
        Type::Range(of) => Value::Range(Range::from_bytes(of.clone(), lists::bytes(downcast(array)?, row)?)?),
        Type::Multirange(of) => {
            Value::Multirange(Multirange::from_bytes(of.clone(), lists::bytes(downcast(array)?, row)?)?)
        }
        Type::Network(of) => {
            let network = Network::from_bytes(*of, lists::bytes(downcast(array)?, row)?);
            Value::Network(network.ok_or_else(|| Error::internal("bytes that are no address"))?)
        }
        Type::Hstore => {
            let hstore = Hstore::from_bytes(lists::bytes(downcast(array)?, row)?);
            Value::Hstore(hstore.ok_or_else(|| Error::internal("bytes that are no hstore"))?)
        }
        Type::Array(item) => {
            let items = downcast::<ListArray>(array)?.value(row);
            Value::Array((0..items.len()).map(|i| value_at(&items, i, item)).collect::<Result<_>>()?)
        }
        Type::Oid => Value::Oid(downcast::<UInt32Array>(array)?.value(row)),
        Type::Enum(of) => of.value(lists::enum_order(downcast(array)?, row)?)?,
        Type::Record(fields) => record_at(array, row, fields)?,
        Type::Composite(of) => record_at(array, row, &of.record())?,
    })
}

/// The length of each dimension of an array's items, the outermost first; none when it has no items.
pub fn shape(items: &ArrayRef) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut level = Some(Arc::clone(items));
    while let Some(items) = level.filter(|items| !items.is_empty()) {
        lengths.push(items.len());
        level = items.as_any().downcast_ref::<ListArray>().map(|inner| inner.value(0));
    }
    lengths
}

fn record_at(array: &ArrayRef, row: usize, fields: &[RecordField]) -> Result<Value> {
    let record = downcast::<StructArray>(array)?;
    let value = |(field, column): (&RecordField, &ArrayRef)| {
        Ok((Arc::from(field.name.as_str()), value_at(column, row, &field.ty)?))
    };
    Ok(Value::Record(fields.iter().zip(record.columns()).map(value).collect::<Result<_>>()?))
}

/// An array of `ty` from values, one per row.
pub fn array<'a>(ty: &Type, values: impl ExactSizeIterator<Item = &'a Value>) -> Result<ArrayRef> {
    let mut builder = Builder::new(ty, values.len());
    for value in values {
        builder.append(value)?;
    }
    Ok(builder.finish())
}

/// The bytes of a vector in its Arrow cell.
pub fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(vector.len() * 4);
    for component in vector {
        bytes.extend_from_slice(&component.to_le_bytes());
    }
    bytes
}

/// The components of a vector's Arrow cell. Cells are not aligned, hence a copy.
pub fn vector_floats(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// The number of a cell that is not NULL, in whichever type numbers have.
pub fn numeric_at(array: &ArrayRef, row: usize) -> Result<Numeric> {
    let scaled = |number: Numeric, scale: i8| match u8::try_from(scale) {
        Ok(_) => Ok(number),
        // Zeros in front of the point, which DataFusion's literals may have.
        Err(_) => number.times(&numeric::parse(&format!("1e{}", scale.unsigned_abs()))?),
    };
    if let Some(array) = array.as_any().downcast_ref::<Decimal128Array>() {
        let scale = array.scale();
        return scaled(Numeric::new(array.value(row), scale.max(0) as u8), scale);
    }
    if let Some(array) = array.as_any().downcast_ref::<BinaryViewArray>() {
        return numeric::wire::take(array.value(row))
            .ok_or_else(|| Error::internal("bytes that are no numeric"));
    }
    let array = downcast::<Decimal256Array>(array)?;
    let scale = array.scale();
    let number = numeric::parse(&format!("{}e{}", array.value(row), -i32::from(scale.max(0))))?;
    scaled(number, scale)
}

fn interval_value(interval: IntervalMonthDayNano) -> Value {
    Value::Interval(interval_of(interval))
}

/// Infinities are the ends of Arrow's range.
pub fn interval_of(interval: IntervalMonthDayNano) -> Interval {
    match interval {
        IntervalMonthDayNano::MAX => Interval::INFINITY,
        IntervalMonthDayNano::MIN => Interval::MINUS_INFINITY,
        IntervalMonthDayNano { months, days, nanoseconds } => {
            Interval { months, days, microseconds: nanoseconds / 1_000 }
        }
    }
}

fn downcast<T: Array + 'static>(array: &ArrayRef) -> Result<&T> {
    array.as_any().downcast_ref::<T>().ok_or_else(|| {
        Error::internal(format!("expected {}, found {}", std::any::type_name::<T>(), array.data_type()))
    })
}

/// Builds the array of one column, cell by cell.
pub struct Builder {
    cells: Cells,
}

enum Cells {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal { builder: Decimal128Builder, precision: u8, scale: i8 },
    Numeric { builder: BinaryViewBuilder, modifier: Option<(u16, i16)>, bytes: Vec<u8> },
    Text(StringBuilder),
    Json(lists::JsonBuilder),
    Jsonb(LargeStringBuilder),
    Bytea(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Money(DurationSecondBuilder),
    Fixed(FixedSizeBinaryBuilder),
    Vector(LargeBinaryBuilder),
    Halfvec(lists::HalfvecBuilder),
    Sparsevec(lists::SparsevecBuilder),
    Bits(lists::BitBuilder),
    TsVector(lists::BytesBuilder<UInt8Type>),
    TsQuery(lists::BytesBuilder<UInt16Type>),
    Range(lists::BytesBuilder<UInt8Type>),
    Network(lists::BytesBuilder<UInt8Type>),
    Hstore(lists::BytesBuilder<UInt8Type>),
    Oid(UInt32Builder),
    Enum(lists::EnumBuilder),
    Record { fields: Fields, rows: usize, validity: NullBufferBuilder, columns: Vec<Builder> },
    List { item: Type, offsets: Vec<i32>, validity: NullBufferBuilder, items: Box<Builder> },
}

impl Cells {
    fn record(fields: Fields, of: &[RecordField], rows: usize) -> Cells {
        let columns = of.iter().map(|field| Builder::new(&field.ty, rows)).collect();
        Cells::Record { fields, rows: 0, validity: NullBufferBuilder::new(rows), columns }
    }
}

impl Builder {
    /// `rows` is a guess of how many cells will come.
    pub fn new(ty: &Type, rows: usize) -> Builder {
        let cells = match ty {
            Type::Bool => Cells::Bool(BooleanBuilder::with_capacity(rows)),
            Type::Int2 => Cells::Int2(Int16Builder::with_capacity(rows)),
            Type::Int4 => Cells::Int4(Int32Builder::with_capacity(rows)),
            Type::Int8 => Cells::Int8(Int64Builder::with_capacity(rows)),
            Type::Float4 => Cells::Float4(Float32Builder::with_capacity(rows)),
            Type::Float8 => Cells::Float8(Float64Builder::with_capacity(rows)),
            Type::Numeric(Some((precision, scale))) if is_narrow(*precision, *scale) => {
                let builder = Decimal128Builder::with_capacity(rows).with_data_type(data_type(ty));
                Cells::Decimal { builder, precision: *precision as u8, scale: *scale as i8 }
            }
            Type::Numeric(modifier) => {
                let builder = BinaryViewBuilder::with_capacity(rows);
                Cells::Numeric { builder, modifier: *modifier, bytes: Vec::new() }
            }
            Type::Text
            | Type::Varchar(_)
            | Type::Bpchar(_)
            | Type::Citext
            | Type::JsonPath
            | Type::Void
            | Type::Polymorphic(_)
            | Type::Int2Vector
            | Type::OidVector
            | Type::Name
            | Type::Char => Cells::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Type::Json => Cells::Json(lists::JsonBuilder::new(rows)),
            Type::Jsonb => Cells::Jsonb(LargeStringBuilder::with_capacity(rows, rows * 32)),
            Type::Bytea => Cells::Bytea(BinaryBuilder::with_capacity(rows, rows * 16)),
            Type::Date => Cells::Date(Date32Builder::with_capacity(rows)),
            Type::Time(_) => Cells::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            Type::Timestamp(_) => Cells::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            Type::Timestamptz(_) => {
                let builder = TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(data_type(ty));
                Cells::Timestamp(builder)
            }
            Type::Money => Cells::Money(DurationSecondBuilder::with_capacity(rows)),
            Type::Interval(_) => Cells::Interval(IntervalMonthDayNanoBuilder::with_capacity(rows)),
            Type::Uuid => Cells::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            Type::Tid => Cells::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, Tid::BYTES as i32)),
            Type::Timetz(_) => {
                Cells::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, Timetz::BYTES as i32))
            }
            Type::Vector(dimensions) => {
                let bytes = rows * usize::from(dimensions.unwrap_or(16)) * 4;
                Cells::Vector(LargeBinaryBuilder::with_capacity(rows, bytes))
            }
            Type::Halfvec(_) => Cells::Halfvec(lists::HalfvecBuilder::new(rows)),
            Type::Sparsevec(_) => Cells::Sparsevec(lists::SparsevecBuilder::new(rows)),
            Type::Bit(_) | Type::Varbit(_) => Cells::Bits(lists::BitBuilder::new(rows)),
            Type::TsVector => Cells::TsVector(lists::BytesBuilder::new(rows)),
            Type::TsQuery => Cells::TsQuery(lists::BytesBuilder::new(rows)),
            Type::Range(of) => Cells::Range(lists::BytesBuilder::named(of.tag(), rows)),
            Type::Multirange(of) => Cells::Range(lists::BytesBuilder::named(lists::multirange_tag(of), rows)),
            Type::Network(of) => Cells::Network(lists::BytesBuilder::named(of.name(), rows)),
            Type::Hstore => Cells::Hstore(lists::BytesBuilder::named(lists::HSTORE, rows)),
            Type::Oid => Cells::Oid(UInt32Builder::with_capacity(rows)),
            Type::Enum(of) => Cells::Enum(lists::EnumBuilder::new(of.to_json(), rows)),
            Type::Record(fields) => Cells::record(record_fields(fields), fields, rows),
            Type::Composite(of) => Cells::record(composite_fields(of), &of.record(), rows),
            Type::Array(item) => Cells::List {
                item: (**item).clone(),
                offsets: vec![0],
                validity: NullBufferBuilder::new(rows),
                items: Box::new(Builder::new(item, rows)),
            },
        };
        Builder { cells }
    }

    /// Appends one cell; numbers of another width are converted when they fit.
    pub fn append(&mut self, value: &Value) -> Result<()> {
        if let Value::Null = value {
            self.append_null();
            return Ok(());
        }
        match (&mut self.cells, value) {
            (Cells::Bool(b), Value::Bool(v)) => b.append_value(*v),
            (Cells::Int2(b), v) => b.append_value(integer(v, "smallint")?),
            (Cells::Int4(b), v) => b.append_value(integer(v, "integer")?),
            (Cells::Int8(b), v) => b.append_value(integer(v, "bigint")?),
            (Cells::Oid(b), v) => b.append_value(integer(v, "oid")?),
            (Cells::Enum(b), Value::Enum(v)) => b.append(v.order),
            (Cells::Record { rows, validity, columns, .. }, Value::Record(values))
                if columns.len() == values.len() =>
            {
                for (column, (_, value)) in columns.iter_mut().zip(values) {
                    column.append(value)?;
                }
                validity.append_non_null();
                *rows += 1;
            }
            (Cells::Float4(b), v) => b.append_value(float(v)? as f32),
            (Cells::Float8(b), v) => b.append_value(float(v)?),
            (Cells::Decimal { builder, precision, scale }, v) => {
                builder.append_value(unscaled(&decimal(v)?, *precision, *scale)?);
            }
            (Cells::Numeric { builder, modifier, bytes }, v) => {
                bytes.clear();
                numeric::wire::put(&decimal(v)?.fit(*modifier)?, bytes);
                builder.append_value(&bytes);
            }
            (Cells::Text(b), Value::Text(v) | Value::Json(v) | Value::Jsonb(v)) => b.append_value(v),
            (Cells::Json(b), Value::Json(v) | Value::Text(v) | Value::Jsonb(v)) => b.append(v),
            (Cells::Jsonb(b), Value::Jsonb(v) | Value::Json(v) | Value::Text(v)) => b.append_value(v),
            (Cells::Bytea(b), Value::Bytea(v)) => b.append_value(v),
            (Cells::Date(b), Value::Date(v)) => b.append_value(*v),
            (Cells::Time(b), Value::Time(v)) => b.append_value(*v),
            (Cells::Timestamp(b), Value::Timestamp(v) | Value::Timestamptz(v)) => b.append_value(*v),
            (Cells::Money(b), Value::Money(v)) => b.append_value(*v),
            (Cells::Interval(b), Value::Interval(v)) => b.append_value(interval_cell(v)?),
            (Cells::Fixed(b), Value::Uuid(v)) => {
                b.append_value(v).map_err(|error| Error::internal(error.to_string()))?;
            }
            (Cells::Fixed(b), Value::Tid(v)) => {
                b.append_value(v.to_bytes()).map_err(|error| Error::internal(error.to_string()))?;
            }
            (Cells::Fixed(b), Value::Timetz(v)) => {
                b.append_value(v.to_bytes()).map_err(|error| Error::internal(error.to_string()))?;
            }
            (Cells::Vector(b), Value::Vector(v)) => b.append_value(vector_bytes(v)),
            (Cells::Halfvec(b), Value::Halfvec(v)) => b.append(v),
            (Cells::Sparsevec(b), Value::Sparsevec(v)) => b.append(v.as_sparse()),
            (Cells::Bits(b), Value::Bits(v)) => b.append(v),
            (Cells::TsVector(b), Value::TsVector(v)) => b.append(v.bytes()),
            (Cells::TsQuery(b), Value::TsQuery(v)) => b.append(&v.bytes()),
            (Cells::Range(b), Value::Range(v)) => b.append(&v.bytes()),
            (Cells::Range(b), Value::Multirange(v)) => b.append(&v.bytes()),
            (Cells::Network(b), Value::Network(v)) => b.append(&v.bytes()),
            (Cells::Hstore(b), Value::Hstore(v)) => b.append(&v.bytes()),
            (Cells::List { offsets, validity, items, .. }, Value::Array(values)) => {
                for value in values {
                    items.append(value)?;
                }
                offsets.push(items.len() as i32);
                validity.append_non_null();
            }
            // Types know how many dimensions arrays have, and values may have others.
            (Cells::List { .. }, _) | (_, Value::Array(_)) => {
                return Err(Error::unsupported("an array of other dimensions than its type has"));
            }
            (_, value) => return Err(mismatch(value)),
        }
        Ok(())
    }

    pub fn append_null(&mut self) {
        match &mut self.cells {
            Cells::Bool(b) => b.append_null(),
            Cells::Int2(b) => b.append_null(),
            Cells::Int4(b) => b.append_null(),
            Cells::Int8(b) => b.append_null(),
            Cells::Float4(b) => b.append_null(),
            Cells::Float8(b) => b.append_null(),
            Cells::Decimal { builder, .. } => builder.append_null(),
            Cells::Numeric { builder, .. } => builder.append_null(),
            Cells::Text(b) => b.append_null(),
            Cells::Json(b) => b.append_null(),
            Cells::Jsonb(b) => b.append_null(),
            Cells::Bytea(b) => b.append_null(),
            Cells::Date(b) => b.append_null(),
            Cells::Time(b) => b.append_null(),
            Cells::Timestamp(b) => b.append_null(),
            Cells::Money(b) => b.append_null(),
            Cells::Interval(b) => b.append_null(),
            Cells::Fixed(b) => b.append_null(),
            Cells::Vector(b) => b.append_null(),
            Cells::Halfvec(b) => b.append_null(),
            Cells::Sparsevec(b) => b.append_null(),
            Cells::Bits(b) => b.append_null(),
            Cells::TsVector(b) => b.append_null(),
            Cells::TsQuery(b) => b.append_null(),
            Cells::Range(b) | Cells::Network(b) | Cells::Hstore(b) => b.append_null(),
            Cells::Oid(b) => b.append_null(),
            Cells::Enum(b) => b.append_null(),
            Cells::Record { rows, validity, columns, .. } => {
                columns.iter_mut().for_each(Builder::append_null);
                validity.append_null();
                *rows += 1;
            }
            Cells::List { offsets, validity, items, .. } => {
                offsets.push(items.len() as i32);
                validity.append_null();
            }
        }
    }

    pub fn len(&self) -> usize {
        match &self.cells {
            Cells::Bool(b) => b.len(),
            Cells::Int2(b) => b.len(),
            Cells::Int4(b) => b.len(),
            Cells::Int8(b) => b.len(),
            Cells::Float4(b) => b.len(),
            Cells::Float8(b) => b.len(),
            Cells::Decimal { builder, .. } => builder.len(),
            Cells::Numeric { builder, .. } => builder.len(),
            Cells::Text(b) => b.len(),
            Cells::Json(b) => b.len(),
            Cells::Jsonb(b) => b.len(),
            Cells::Bytea(b) => b.len(),
            Cells::Date(b) => b.len(),
            Cells::Time(b) => b.len(),
            Cells::Timestamp(b) => b.len(),
            Cells::Money(b) => b.len(),
            Cells::Interval(b) => b.len(),
            Cells::Fixed(b) => b.len(),
            Cells::Vector(b) => b.len(),
            Cells::Halfvec(b) => b.len(),
            Cells::Sparsevec(b) => b.len(),
            Cells::Bits(b) => b.len(),
            Cells::TsVector(b) => b.len(),
            Cells::TsQuery(b) => b.len(),
            Cells::Range(b) | Cells::Network(b) | Cells::Hstore(b) => b.len(),
            Cells::Oid(b) => b.len(),
            Cells::Enum(b) => b.len(),
            Cells::Record { rows, .. } => *rows,
            Cells::List { offsets, .. } => offsets.len() - 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.cells {
            Cells::Bool(b) => Arc::new(b.finish()),
            Cells::Int2(b) => Arc::new(b.finish()),
            Cells::Int4(b) => Arc::new(b.finish()),
            Cells::Int8(b) => Arc::new(b.finish()),
            Cells::Float4(b) => Arc::new(b.finish()),
            Cells::Float8(b) => Arc::new(b.finish()),
            Cells::Decimal { builder, .. } => Arc::new(builder.finish()),
            Cells::Numeric { builder, .. } => Arc::new(builder.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Json(b) => b.finish(),
            Cells::Jsonb(b) => Arc::new(b.finish()),
            Cells::Bytea(b) => Arc::new(b.finish()),
            Cells::Date(b) => Arc::new(b.finish()),
            Cells::Time(b) => Arc::new(b.finish()),
            Cells::Timestamp(b) => Arc::new(b.finish()),
            Cells::Money(b) => Arc::new(b.finish()),
            Cells::Interval(b) => Arc::new(b.finish()),
            Cells::Fixed(b) => Arc::new(b.finish()),
            Cells::Vector(b) => Arc::new(b.finish()),
            Cells::Halfvec(b) => b.finish(),
            Cells::Sparsevec(b) => b.finish(),
            Cells::Bits(b) => b.finish(),
            Cells::TsVector(b) => b.finish(),
            Cells::TsQuery(b) => b.finish(),
            Cells::Range(b) | Cells::Network(b) | Cells::Hstore(b) => b.finish(),
            Cells::Oid(b) => Arc::new(b.finish()),
            Cells::Enum(b) => b.finish(),
            Cells::Record { fields, rows, validity, columns } => {
                let columns = columns.iter_mut().map(Builder::finish).collect();
                let rows = std::mem::take(rows);
                let record =
                    StructArray::try_new_with_length(fields.clone(), columns, validity.finish(), rows);
                Arc::new(record.expect("the columns are of the fields' types and of one length"))
            }
            Cells::List { item, offsets, validity, items } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                Arc::new(ListArray::new(item_field(item), offsets, items.finish(), validity.finish()))
            }
        }
    }
}

fn integer<T: TryFrom<i128>>(value: &Value, name: &str) -> Result<T> {
    let wide = match value {
        Value::Int2(v) => i128::from(*v),
        Value::Int4(v) => i128::from(*v),
        Value::Int8(v) => i128::from(*v),
        Value::Oid(v) => i128::from(*v),
        value => return Err(mismatch(value)),
    };
    T::try_from(wide)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range")))
}

fn float(value: &Value) -> Result<f64> {
    Ok(match value {
        Value::Float4(v) => f64::from(*v),
        Value::Float8(v) => *v,
        Value::Int2(v) => f64::from(*v),
        Value::Int4(v) => f64::from(*v),
        Value::Int8(v) => *v as f64,
        Value::Numeric(v) => v.to_f64(),
        value => return Err(mismatch(value)),
    })
}

fn decimal(value: &Value) -> Result<Numeric> {
    Ok(match value {
        Value::Numeric(v) => v.clone(),
        Value::Int2(v) => Numeric::from_integer(i64::from(*v)),
        Value::Int4(v) => Numeric::from_integer(i64::from(*v)),
        Value::Int8(v) => Numeric::from_integer(*v),
        value => return Err(mismatch(value)),
    })
}

/// The integer of a number in a Decimal128 of some digits, rounded; 22003 when it does not fit.
pub fn unscaled(number: &Numeric, precision: u8, scale: i8) -> Result<i128> {
    let rounded = number.rounded(i32::from(scale)).small();
    let fits = |unscaled: &i128| {
        10u128.checked_pow(u32::from(precision)).is_none_or(|limit| unscaled.unsigned_abs() < limit)
    };
    rounded.map(|(unscaled, _)| unscaled).filter(fits).ok_or_else(numeric_overflow)
}

fn numeric_overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
}

fn interval_cell(interval: &Interval) -> Result<IntervalMonthDayNano> {
    match *interval {
        Interval::INFINITY => return Ok(IntervalMonthDayNano::MAX),
        Interval::MINUS_INFINITY => return Ok(IntervalMonthDayNano::MIN),
        _ => {}
    }
    let nanoseconds = interval
        .microseconds
        .checked_mul(1_000)
        .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
    Ok(IntervalMonthDayNano::new(interval.months, interval.days, nanoseconds))
}

fn mismatch(value: &Value) -> Error {
    Error::internal(format!("a value of another type than its column: {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{NetworkType, RangeType};

    fn samples() -> Vec<(Type, Value)> {
        let cidr = crate::types::network::parse(NetworkType::Cidr, "10.1").unwrap();
        vec![
            (Type::Bool, Value::Bool(true)),
            (Type::Int2, Value::Int2(-7)),
            (Type::Int4, Value::Int4(i32::MIN)),
            (Type::Int8, Value::Int8(i64::MAX)),
            (Type::Float4, Value::Float4(1.5)),
            (Type::Float8, Value::Float8(-2.25)),
            (Type::Numeric(None), Value::Numeric(Numeric::new(125, 2))),
            (Type::Numeric(Some((10, 2))), Value::Numeric(Numeric::new(1200, 2))),
            (Type::Text, Value::Text("a".into())),
            (Type::Varchar(Some(3)), Value::Text("abc".into())),
            (Type::Json, Value::Json("{}".into())),
            (Type::Jsonb, Value::Jsonb("[1]".into())),
            (Type::Bytea, Value::Bytea(vec![0, 255])),
            (Type::Date, Value::Date(-1)),
            (Type::Time(None), Value::Time(86_399_999_999)),
            (Type::Timetz(None), Value::Timetz(Timetz::east(86_400_000_000, -12_600))),
            (Type::Timestamp(None), Value::Timestamp(-5)),
            (Type::Timestamptz(None), Value::Timestamptz(1_700_000_000_000_000)),
            (Type::Interval(None), Value::Interval(Interval { months: 1, days: -2, microseconds: 3 })),
            (Type::Uuid, Value::Uuid([7; 16])),
            (Type::Tid, Value::Tid(Tid::of_slot(300))),
            (Type::Money, Value::Money(-1)),
            (Type::Vector(Some(2)), Value::Vector(vec![1.0, -0.5])),
            (
                Type::Sparsevec(Some(3)),
                Value::Sparsevec(crate::types::Sparsevec::of_dense(&[0.0, 2.0, -1.0]).unwrap()),
            ),
            (Type::Halfvec(Some(2)), Value::Halfvec(vec![crate::types::f16::ONE, crate::types::f16::MIN])),
            (Type::Bit(Some(3)), Value::Bits(crate::types::bits::parse("101").unwrap())),
            (Type::Varbit(None), Value::Bits(crate::types::bits::parse("x1F0A5").unwrap())),
            (Type::Array(Box::new(Type::Text)), Value::Array(vec![Value::Text("x".into()), Value::Null])),
            (Type::Oid, Value::Oid(u32::MAX)),
            (Type::Range(RangeType::Int4), Value::Range(Range::empty(RangeType::Int4))),
            (Type::Network(NetworkType::Cidr), Value::Network(cidr)),
            (
                Type::Multirange(RangeType::Int4),
                Value::Multirange(Multirange::new(RangeType::Int4, Vec::new())),
            ),
            (Type::Range(RangeType::Tstz), Value::Range(Range::empty(RangeType::Tstz))),
        ]
    }

    #[test]
    fn every_type_comes_back_through_arrays_scalars_and_metadata() {
        for (ty, value) in samples() {
            let scalar = to_scalar(&value, &ty).unwrap();
            assert_eq!(scalar.data_type(), data_type(&ty), "{ty:?}");
            assert_eq!(from_scalar(&scalar, &ty).unwrap(), value);
            let array = array(&ty, [value.clone(), Value::Null].iter()).unwrap();
            assert_eq!(value_at(&array, 0, &ty).unwrap(), value);
            assert_eq!(value_at(&array, 1, &ty).unwrap(), Value::Null);
            assert_eq!(type_of(&field("c", &ty, true)), ty);
        }
    }

    #[test]
    fn numeric_rounds_half_away_from_zero_and_refuses_what_does_not_fit() {
        let number = Numeric::new;
        assert_eq!(unscaled(&number(125, 2), 5, 1).unwrap(), 13);
        assert_eq!(unscaled(&number(-125, 2), 5, 1).unwrap(), -13);
        assert_eq!(
            unscaled(&number(1_000, 0), 3, 0).unwrap_err().state(),
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        );
    }
}
