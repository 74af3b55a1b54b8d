//! Rows as bytes: one column decodes without the others.
//!
//! ```text
//!   columns u16 | null bits | fixed-width cells, each at its place | var ends u32 ... | var-width cells
//!   ^ as of the write: columns added since read as their `missing` value
//! ```
//!
//! A number that a cell of `numeric` does not hold (more than 38 digits, NaN) is behind the var-width cells, and its cell
//! says where.
//!
//! A NULL fixed-width cell keeps its place (zeroes), so places depend on the types alone; each var-width column has
//! a u32 in the fixed area: where its bytes end, counted from the start of the var area. Cells of `vector(n)`,
//! `halfvec(n)` and `bit(n)` are not here (see `vectors`): only their null bit is.
//!
//! Dropped columns keep their place, and are written as NULL: columns are given and asked for by their position among
//! those the table has, and the layout knows where each lies.

use crate::catalog;
use crate::error::{Error, Result};
use crate::storage::{self, Column, ELSEWHERE, NUMBER_BYTES, Piece, Rows, Shape};
use crate::table::keys;
use crate::types::numeric::{SMALL_DIGITS, wire};
use crate::types::record::Named;
use crate::types::{
    Bits, Composite, Hstore, Interval, Multirange, Network, Numeric, Range, Sparsevec, Tid, Timetz, TsQuery,
    TsVector, Type, Value, halfvec,
};

/// Longest row, `vector(n)` cells not counted: the storage takes entries of 1 GiB, and a log record has to hold it.
const ROW_BYTES_MAX: usize = (1 << 30) - (1 << 16);

/// Where each column lies, for rows of up to all columns of a table.
#[derive(Clone, Debug)]
pub struct Layout {
    /// All places, those of dropped columns too.
    places: Vec<Place>,
    /// The place of each column.
    columns: Vec<usize>,
    /// The column at each place; none where it was dropped.
    values: Vec<Option<usize>>,
}

#[derive(Clone, Debug)]
struct Place {
    ty: Type,
    kind: Kind,
    /// Of the fixed cell or the var end, from the start of the fixed area.
    offset: usize,
    /// Fixed area's length up to and including this column.
    fixed_end: usize,
    missing: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fixed(usize),
    /// `previous`: offset of the var end before this one.
    Var {
        previous: Option<usize>,
    },
    /// Cells are in the vector segments.
    Slot,
}

impl Place {
    fn storage_kind(&self) -> storage::Kind {
        match self.kind {
            Kind::Slot => storage::Kind::Outside,
            Kind::Var { .. } => storage::Kind::Var,
            Kind::Fixed(_) if matches!(self.ty, Type::Numeric(_)) => storage::Kind::Number,
            // Widths of types are a few bytes.
            Kind::Fixed(width) => storage::Kind::Fixed(width as u8),
        }
    }
}

/// One encoded row.
#[derive(Clone, Copy)]
pub struct RowReader<'a> {
    layout: &'a Layout,
    row: &'a [u8],
    /// Places at the time of the write.
    columns: usize,
    /// Where the fixed area starts.
    fixed: usize,
    /// Where the var area starts.
    var: usize,
}

impl Layout {
    pub fn new(types: &[Type]) -> Layout {
        let places = places(types.iter());
        let values = (0..types.len()).map(Some).collect();
        Layout { places, columns: (0..types.len()).collect(), values }
    }

    /// With what later columns read as in earlier rows.
    pub fn of(table: &catalog::Table) -> Layout {
        let physical = table.physical_columns();
        let mut places = places(physical.iter().map(|(ty, _)| *ty));
        let mut columns = Vec::with_capacity(table.columns.len());
        for (place, (_, position)) in physical.iter().enumerate() {
            if let Some(column) = position.and_then(|position| table.stored_column(position)) {
                places[place].missing.clone_from(&column.missing);
                columns.push((*position, place));
            }
        }
        // Hidden columns come after all others, whatever their numbers.
        columns.sort_unstable();
        let columns = columns.into_iter().map(|(_, place)| place).collect();
        let values = physical.iter().map(|(_, position)| *position).collect();
        Layout { places, columns, values }
    }

    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    pub fn column_type(&self, column: usize) -> &Type {
        &self.place(column).ty
    }

    fn place(&self, column: usize) -> &Place {
        &self.places[self.columns[column]]
    }

    /// Whether the column's cells are in the vector segments.
    pub fn is_slot_vector(&self, column: usize) -> bool {
        self.place(column).kind == Kind::Slot
    }

    /// Appends the row's bytes. `values` are of the layout's types (the statement has cast them).
    pub fn encode(&self, values: &[Value], out: &mut Vec<u8>) -> Result<()> {
        assert_eq!(values.len(), self.columns.len(), "one value per column");
        out.extend_from_slice(&(self.places.len() as u16).to_le_bytes());
        let nulls = out.len();
        out.resize(nulls + self.places.len().div_ceil(8), 0);
        let fixed = out.len();
        out.resize(fixed + self.places.last().map_or(0, |place| place.fixed_end), 0);
        let var = out.len();
        let mut long: Vec<(usize, &Numeric)> = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            let value = self.values[index].map_or(&Value::Null, |column| &values[column]);
            let at = fixed + place.offset;
            if *value == Value::Null {
                out[nulls + index / 8] |= 1 << (index % 8);
            } else {
                match place.kind {
                    Kind::Slot => {}
                    Kind::Fixed(width) => {
                        encode_fixed(value, &place.ty, &mut out[at..at + width])?;
                        if let Value::Numeric(number) = value
                            && small_numeric(number).is_none()
                        {
                            long.push((at, number));
                        }
                    }
                    Kind::Var { .. } => encode_var(value, &place.ty, out)?,
                }
            }
            if matches!(place.kind, Kind::Var { .. }) {
                let end = u32::try_from(out.len() - var).map_err(|_| row_too_long())?;
                out[at..at + 4].copy_from_slice(&end.to_le_bytes());
            }
        }
        for (at, number) in long {
            let start = out.len() - var;
            put_long_numeric(number, out);
            for (word, place) in [start, out.len() - var].into_iter().enumerate() {
                let place = u32::try_from(place).map_err(|_| row_too_long())?;
                out[at + 4 * word..at + 4 * word + 4].copy_from_slice(&place.to_le_bytes());
            }
        }
        if out.len() - nulls > ROW_BYTES_MAX {
            return Err(row_too_long());
        }
        Ok(())
    }

    /// What the storage is told of rows: all places.
    pub fn shape(&self) -> Shape {
        Shape::new(keys::ROW, self.places.iter().map(Place::storage_kind).collect())
    }

    /// Bytes that a row may be read with besides its own: those of columns added since.
    pub fn missing_bytes(&self) -> usize {
        self.places.iter().filter_map(|place| place.missing.as_ref()).map(Vec::len).sum()
    }

    /// The cells of a column of some rows, which lie in blocks or by themselves. Of columns whose cells are in the segments
    /// only which are NULL.
    pub fn gather(&self, rows: &Rows, column: usize) -> Result<Column> {
        let number = self.columns[column];
        let place = &self.places[number];
        let kind = place.storage_kind();
        let mut cells = Column::new(kind, rows.len());
        for piece in rows.pieces() {
            match piece {
                Piece::Row(row) => cells.push(self.read(row)?.raw(column)?)?,
                Piece::Entries(block, entries) => {
                    if number < block.columns() && block.kind(number) != kind {
                        // What the rows are is what their bytes say to this layout, whatever the block took their cells for.
                        for index in entries {
                            cells.push(self.read(&block.row(index))?.raw(column)?)?;
                        }
                        continue;
                    }
                    if number < block.columns_min() {
                        cells.push_entries(block, number, entries)?;
                        continue;
                    }
                    let missing = self.missing(number)?;
                    let missing = missing.as_ref().map_or(Ok(None), Missing::raw)?;
                    for index in entries {
                        match number < block.columns_of(index) {
                            true => cells.push_entries(block, number, index..index + 1)?,
                            false => cells.push(missing)?,
                        }
                    }
                }
            }
        }
        Ok(cells)
    }

    /// What rows read as that were written before the column at this place.
    fn missing(&self, place: usize) -> Result<Option<Missing<'_>>> {
        let place = &self.places[place];
        let Some(row) = &place.missing else { return Ok(None) };
        if row.len() < 3 {
            return Err(damaged(row));
        }
        Ok(Some(Missing { row, place }))
    }

    pub fn read<'a>(&'a self, row: &'a [u8]) -> Result<RowReader<'a>> {
        let head: [u8; 2] = row.get(..2).and_then(|b| b.try_into().ok()).ok_or_else(|| damaged(row))?;
        let columns = usize::from(u16::from_le_bytes(head));
        if columns > self.places.len() {
            return Err(damaged(row));
        }
        let fixed = 2 + columns.div_ceil(8);
        let var = fixed + columns.checked_sub(1).map_or(0, |last| self.places[last].fixed_end);
        if row.len() < var {
            return Err(damaged(row));
        }
        Ok(RowReader { layout: self, row, columns, fixed, var })
    }
}

impl<'a> RowReader<'a> {
    /// By position in the table, from 0.
    pub fn is_null(&self, column: usize) -> Result<bool> {
        let column = self.layout.columns[column];
        if column < self.columns {
            return Ok(self.row[2 + column / 8] & (1 << (column % 8)) != 0);
        }
        match self.layout.missing(column)? {
            Some(reader) => Ok(reader.bits_null()),
            None => Ok(true),
        }
    }

    /// The cell's bytes as encoded, little-endian; `None` is NULL. Not for `vector(n)`.
    pub fn raw(&self, column: usize) -> Result<Option<&'a [u8]>> {
        let column = self.layout.columns[column];
        if column >= self.columns {
            return match self.layout.missing(column)? {
                Some(missing) => missing.raw(),
                None => Ok(None),
            };
        }
        if self.row[2 + column / 8] & (1 << (column % 8)) != 0 {
            return Ok(None);
        }
        let place = &self.layout.places[column];
        let at = self.fixed + place.offset;
        match place.kind {
            Kind::Fixed(width) => {
                let cell = &self.row[at..at + width];
                let found = match place.ty {
                    Type::Numeric(_) => numeric_cell(cell, &self.row[self.var..]),
                    _ => Some(cell),
                };
                found.map(Some).ok_or_else(|| damaged(self.row))
            }
            Kind::Slot => Ok(Some(&[])),
            Kind::Var { previous } => {
                let start = previous.map_or(0, |offset| self.var_end(offset));
                let end = self.var_end(place.offset);
                self.row.get(self.var + start..self.var + end).map(Some).ok_or_else(|| damaged(self.row))
            }
        }
    }

    /// Decodes one cell. A `vector(n)` cell (or one of its like) that is not NULL reads as an empty vector: its
    /// elements are in the segments.
    pub fn value(&self, column: usize) -> Result<Value> {
        match self.raw(column)? {
            None => Ok(Value::Null),
            Some(_) if self.layout.is_slot_vector(column) => Ok(Value::Vector(Vec::new())),
            Some(bytes) => decode(bytes, self.layout.column_type(column)),
        }
    }

    pub fn values(&self) -> Result<Vec<Value>> {
        (0..self.layout.columns.len()).map(|column| self.value(column)).collect()
    }

    fn var_end(&self, offset: usize) -> usize {
        let at = self.fixed + offset;
        u32::from_le_bytes(self.row[at..at + 4].try_into().expect("four bytes of the fixed area")) as usize
    }
}

fn places<'t>(types: impl Iterator<Item = &'t Type>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut previous = None;
    let mut end = 0;
    for ty in types {
        let offset = end;
        let kind = match fixed_width(ty) {
            _ if ty.is_slot_vector() => Kind::Slot,
            Some(width) => Kind::Fixed(width),
            None => Kind::Var { previous: previous.replace(offset) },
        };
        end += match kind {
            Kind::Fixed(width) => width,
            Kind::Var { .. } => 4,
            Kind::Slot => 0,
        };
        places.push(Place { ty: ty.clone(), kind, offset, fixed_end: end, missing: None });
    }
    places
}

/// The one-column row a later column reads as in earlier rows.
struct Missing<'a> {
    row: &'a [u8],
    place: &'a Place,
}

impl<'a> Missing<'a> {
    fn bits_null(&self) -> bool {
        self.row[2] & 1 != 0
    }

    fn raw(&self) -> Result<Option<&'a [u8]>> {
        if self.bits_null() {
            return Ok(None);
        }
        let bytes = match self.place.kind {
            Kind::Fixed(width) => self.row.get(3..3 + width).and_then(|cell| match self.place.ty {
                Type::Numeric(_) => numeric_cell(cell, &self.row[3 + width..]),
                _ => Some(cell),
            }),
            Kind::Var { .. } => self.row.get(7..),
            Kind::Slot => Some(&[][..]),
        };
        bytes.map(Some).ok_or_else(|| damaged(self.row))
    }
}

/// Width of the cells of types that have one.
fn fixed_width(ty: &Type) -> Option<usize> {
    Some(match ty {
        Type::Bool => 1,
        Type::Int2 => 2,
        Type::Int4 | Type::Float4 | Type::Date | Type::Oid => 4,
        Type::Int8
        | Type::Float8
        | Type::Money
        | Type::Time(_)
        | Type::Timestamp(_)
        | Type::Timestamptz(_)
        | Type::Enum(_) => 8,
        Type::Interval(_) | Type::Uuid => 16,
        Type::Tid => Tid::BYTES,
        Type::Timetz(_) => Timetz::BYTES,
        Type::Numeric(_) => NUMBER_BYTES,
        Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Bytea | Type::Json | Type::Jsonb => {
            return None;
        }
        Type::Vector(_) | Type::Halfvec(_) | Type::Sparsevec(_) => return None,
        Type::Bit(_) | Type::Varbit(_) => return None,
        Type::TsVector | Type::TsQuery | Type::Network(_) | Type::Hstore => return None,
        Type::Range(_) | Type::Multirange(_) => return None,
        Type::Array(_) | Type::Citext | Type::Name | Type::Char => return None,
        Type::JsonPath | Type::Int2Vector | Type::OidVector => return None,
        Type::Record(_) | Type::Void | Type::Polymorphic(_) | Type::Composite(_) => return None,
    })
}

fn encode_fixed(value: &Value, ty: &Type, cell: &mut [u8]) -> Result<()> {
    match (value, ty) {
        (Value::Bool(v), Type::Bool) => cell[0] = u8::from(*v),
        (Value::Int2(v), Type::Int2) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Int4(v), Type::Int4) | (Value::Date(v), Type::Date) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Oid(v), Type::Oid) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Float4(v), Type::Float4) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Float8(v), Type::Float8) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Int8(v), Type::Int8)
        | (Value::Money(v), Type::Money)
        | (Value::Time(v), Type::Time(_))
        | (Value::Timestamp(v), Type::Timestamp(_))
        | (Value::Timestamptz(v), Type::Timestamptz(_)) => cell.copy_from_slice(&v.to_le_bytes()),
        (Value::Uuid(v), Type::Uuid) => cell.copy_from_slice(v),
        (Value::Tid(v), Type::Tid) => cell.copy_from_slice(&v.to_bytes()),
        (Value::Timetz(v), Type::Timetz(_)) => cell.copy_from_slice(&v.to_bytes()),
        (Value::Enum(v), Type::Enum(_)) => cell.copy_from_slice(&v.order.to_le_bytes()),
        (Value::Interval(v), Type::Interval(_)) => {
            cell[..4].copy_from_slice(&v.months.to_le_bytes());
            cell[4..8].copy_from_slice(&v.days.to_le_bytes());
            cell[8..].copy_from_slice(&v.microseconds.to_le_bytes());
        }
        (Value::Numeric(v), Type::Numeric(_)) => match small_numeric(v) {
            Some((unscaled, scale)) => {
                cell[..16].copy_from_slice(&unscaled.to_le_bytes());
                cell[16] = scale;
            }
            None => cell[16] = ELSEWHERE,
        },
        _ => return Err(mismatch(value, ty)),
    }
    Ok(())
}

/// The parts of a number that has a cell's room: unscaled and scale.
fn small_numeric(number: &Numeric) -> Option<(i128, u8)> {
    let (unscaled, scale) = number.small()?;
    Some((unscaled, u8::try_from(scale).ok().filter(|scale| *scale <= SMALL_DIGITS)?))
}

/// [`wire::put`]'s form, and [`ELSEWHERE`] behind it, which no cell ends with that holds its number.
fn put_long_numeric(number: &Numeric, out: &mut Vec<u8>) {
    wire::put(number, out);
    out.push(ELSEWHERE);
}

/// The bytes of a number: its cell, or what the cell points to.
fn numeric_cell<'a>(cell: &'a [u8], var: &'a [u8]) -> Option<&'a [u8]> {
    if cell.last() != Some(&ELSEWHERE) {
        return Some(cell);
    }
    let place = |at: usize| Some(u32::from_le_bytes(cell.get(at..at + 4)?.try_into().ok()?) as usize);
    var.get(place(0)?..place(4)?)
}

/// A number of the bytes of [`numeric_cell`], or of an array's element.
fn numeric(bytes: &[u8]) -> Option<Numeric> {
    let (last, rest) = bytes.split_last()?;
    if *last == ELSEWHERE {
        return wire::take(rest);
    }
    let unscaled = i128::from_le_bytes(rest.try_into().ok()?);
    (*last <= SMALL_DIGITS && unscaled.unsigned_abs() < 10u128.pow(u32::from(SMALL_DIGITS)))
        .then(|| Numeric::new(unscaled, *last))
}

fn encode_var(value: &Value, ty: &Type, out: &mut Vec<u8>) -> Result<()> {
    match (value, ty) {
        (
            Value::Text(text),
            Type::Text
            | Type::Varchar(_)
            | Type::Bpchar(_)
            | Type::Citext
            | Type::Name
            | Type::Char
            | Type::JsonPath
            | Type::Int2Vector
            | Type::OidVector,
        )
        | (Value::Json(text), Type::Json)
        | (Value::Jsonb(text), Type::Jsonb) => out.extend_from_slice(text.as_bytes()),
        (Value::Bytea(bytes), Type::Bytea) => out.extend_from_slice(bytes),
        (Value::Vector(_), Type::Vector(_))
        | (Value::Halfvec(_), Type::Halfvec(_))
        | (Value::Sparsevec(_), Type::Sparsevec(_)) => encode_vector(value, out),
        (Value::Bits(bits), Type::Bit(_) | Type::Varbit(_)) => {
            out.extend_from_slice(&bits.len().to_le_bytes());
            out.extend_from_slice(bits.bytes());
        }
        (Value::TsVector(vector), Type::TsVector) => out.extend_from_slice(vector.bytes()),
        (Value::TsQuery(query), Type::TsQuery) => out.extend_from_slice(&query.bytes()),
        (Value::Range(range), Type::Range(_)) => out.extend_from_slice(&range.bytes()),
        (Value::Multirange(set), Type::Multirange(_)) => out.extend_from_slice(&set.bytes()),
        (Value::Network(network), Type::Network(_)) => out.extend_from_slice(&network.bytes()),
        (Value::Hstore(hstore), Type::Hstore) => out.extend_from_slice(&hstore.bytes()),
        (Value::Array(elements), Type::Array(element)) => encode_array(elements, element, out)?,
        (Value::Record(fields), Type::Composite(of)) if fields.len() == of.fields.len() => {
            encode_composite(fields, of, out)?;
        }
        _ => return Err(mismatch(value, ty)),
    }
    Ok(())
}

/// The bytes of a vector as its segment holds them; nothing for other values.
pub fn encode_vector(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    match value {
        Value::Vector(vector) => {
            out.resize(start + 4 * vector.len(), 0);
            // A loop over whole cells, which compiles to a copy; extending element by element does not.
            for (bytes, element) in out[start..].chunks_exact_mut(4).zip(vector) {
                bytes.copy_from_slice(&element.to_le_bytes());
            }
        }
        Value::Halfvec(vector) => {
            out.resize(start + 2 * vector.len(), 0);
            for (bytes, element) in out[start..].chunks_exact_mut(2).zip(vector) {
                bytes.copy_from_slice(&element.to_bits().to_le_bytes());
            }
        }
        Value::Sparsevec(vector) => vector.bytes(out),
        Value::Bits(bits) => out.extend_from_slice(bits.bytes()),
        _ => {}
    }
}

/// The inverse of [`encode_vector`] for a column of type `ty`.
pub fn decode_vector(bytes: &[u8], ty: &Type) -> Result<Value> {
    match *ty {
        Type::Bit(Some(length)) => Ok(Value::Bits(Bits::new(bytes.to_vec(), length))),
        _ => decode(bytes, ty),
    }
}

/// Count, then per element its length (u32::MAX for NULL) and bytes.
fn encode_array(elements: &[Value], ty: &Type, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&(elements.len() as u32).to_le_bytes());
    elements.iter().try_for_each(|element| encode_element(element, ty, out))
}

fn encode_element(element: &Value, ty: &Type, out: &mut Vec<u8>) -> Result<()> {
    if *element == Value::Null {
        out.extend_from_slice(&u32::MAX.to_le_bytes());
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match (fixed_width(ty), element) {
        (Some(_), Value::Numeric(number)) if small_numeric(number).is_none() => {
            put_long_numeric(number, out);
        }
        (Some(width), _) => {
            out.resize(start + 4 + width, 0);
            encode_fixed(element, ty, &mut out[start + 4..])?;
        }
        (None, _) => encode_var(element, ty, out)?,
    }
    let len = u32::try_from(out.len() - start - 4).map_err(|_| row_too_long())?;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// Count, then per field its number (u16) and what [`encode_array`] writes of an element.
fn encode_composite(fields: &[Named], of: &Composite, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&(fields.len() as u32).to_le_bytes());
    for ((_, value), field) in fields.iter().zip(&of.fields) {
        out.extend_from_slice(&field.number.to_le_bytes());
        encode_element(value, &field.ty, out)?;
    }
    Ok(())
}

/// The fields that the type has now; those that it did not have then are NULL.
fn decode_composite(bytes: &[u8], of: &Composite) -> Result<Value> {
    let mut reader = crate::codec::Reader::new(bytes).named("composite value", 0);
    let mut values = vec![Value::Null; of.fields.len()];
    for _ in 0..reader.u32()? {
        let (number, length) = (reader.u16()?, reader.u32()?);
        if length == u32::MAX {
            continue;
        }
        let cell = reader.take(length as usize)?;
        if let Some(place) = of.fields.iter().position(|field| field.number == number) {
            values[place] = decode(cell, &of.fields[place].ty)?;
        }
    }
    reader.finish()?;
    Ok(of.value(values))
}

/// Decodes the bytes of one cell of this type, as [`RowReader::raw`] gives them.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value> {
    fn cell<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
        bytes.try_into().map_err(|_| damaged(bytes))
    }
    let text = || String::from_utf8(bytes.to_vec()).map_err(|_| damaged(bytes));
    Ok(match ty {
        Type::Bool => Value::Bool(cell::<1>(bytes)?[0] != 0),
        Type::Int2 => Value::Int2(i16::from_le_bytes(cell(bytes)?)),
        Type::Int4 => Value::Int4(i32::from_le_bytes(cell(bytes)?)),
        Type::Int8 => Value::Int8(i64::from_le_bytes(cell(bytes)?)),
        Type::Float4 => Value::Float4(f32::from_le_bytes(cell(bytes)?)),
        Type::Float8 => Value::Float8(f64::from_le_bytes(cell(bytes)?)),
        Type::Date => Value::Date(i32::from_le_bytes(cell(bytes)?)),
        Type::Oid => Value::Oid(u32::from_le_bytes(cell(bytes)?)),
        Type::Time(_) => Value::Time(i64::from_le_bytes(cell(bytes)?)),
        Type::Timestamp(_) => Value::Timestamp(i64::from_le_bytes(cell(bytes)?)),
        Type::Timestamptz(_) => Value::Timestamptz(i64::from_le_bytes(cell(bytes)?)),
        Type::Money => Value::Money(i64::from_le_bytes(cell(bytes)?)),
        Type::Uuid => Value::Uuid(cell(bytes)?),
        Type::Tid => Value::Tid(Tid::from_bytes(cell(bytes)?)),
        Type::Timetz(_) => Value::Timetz(Timetz::from_bytes(bytes).ok_or_else(|| damaged(bytes))?),
        Type::Enum(of) => of.value(i64::from_le_bytes(cell(bytes)?)).map_err(|_| damaged(bytes))?,
        Type::Interval(_) => {
            let cell: [u8; 16] = cell(bytes)?;
            Value::Interval(Interval {
                months: i32::from_le_bytes(cell[..4].try_into().expect("four of sixteen bytes")),
                days: i32::from_le_bytes(cell[4..8].try_into().expect("four of sixteen bytes")),
                microseconds: i64::from_le_bytes(cell[8..].try_into().expect("eight of sixteen bytes")),
            })
        }
        Type::Numeric(_) => Value::Numeric(numeric(bytes).ok_or_else(|| damaged(bytes))?),
        Type::Text
        | Type::Varchar(_)
        | Type::Bpchar(_)
        | Type::Citext
        | Type::Name
        | Type::Char
        | Type::JsonPath
        | Type::Int2Vector
        | Type::OidVector => Value::Text(text()?),
        Type::Composite(of) => decode_composite(bytes, of)?,
        // No column holds one.
        Type::Record(_) | Type::Void | Type::Polymorphic(_) => return Err(damaged(bytes)),
        Type::Json => Value::Json(text()?),
        Type::Jsonb => Value::Jsonb(text()?),
        Type::Bytea => Value::Bytea(bytes.to_vec()),
        Type::Vector(_) => {
            let elements = bytes.chunks_exact(4);
            Value::Vector(
                elements.map(|e| f32::from_le_bytes(e.try_into().expect("chunks of four"))).collect(),
            )
        }
        Type::Halfvec(_) => Value::Halfvec(halfvec::from_bytes(bytes)),
        Type::Sparsevec(_) => Value::Sparsevec(Sparsevec::from_bytes(bytes).ok_or_else(|| damaged(bytes))?),
        Type::Bit(_) | Type::Varbit(_) => {
            let (length, bits) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged(bytes))?;
            let length = u32::from_le_bytes(*length);
            if bits.len() != length.div_ceil(8) as usize {
                return Err(damaged(bytes));
            }
            Value::Bits(Bits::new(bits.to_vec(), length))
        }
        Type::TsVector => Value::TsVector(TsVector::from_bytes(bytes)),
        Type::TsQuery => Value::TsQuery(TsQuery::from_bytes(bytes).map_err(|_| damaged(bytes))?),
        Type::Range(of) => Value::Range(Range::from_bytes(of.clone(), bytes).map_err(|_| damaged(bytes))?),
        Type::Multirange(of) => {
            Value::Multirange(Multirange::from_bytes(of.clone(), bytes).map_err(|_| damaged(bytes))?)
        }
        Type::Network(of) => Value::Network(Network::from_bytes(*of, bytes).ok_or_else(|| damaged(bytes))?),
        Type::Hstore => Value::Hstore(Hstore::from_bytes(bytes).ok_or_else(|| damaged(bytes))?),
        Type::Array(element) => Value::Array(decode_array(bytes, element)?),
    })
}

fn decode_array(bytes: &[u8], ty: &Type) -> Result<Vec<Value>> {
    let mut reader = crate::codec::Reader::new(bytes).named("array", 0);
    let count = reader.u32()?;
    let mut elements = Vec::with_capacity(count.min(1 << 16) as usize);
    for _ in 0..count {
        let len = reader.u32()?;
        elements.push(match len {
            u32::MAX => Value::Null,
            len => decode(reader.take(len as usize)?, ty)?,
        });
    }
    Ok(elements)
}

/// Elements of an array cell's bytes, NULL as `None`, without decoding them.
pub fn array_elements(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>> {
    let mut reader = crate::codec::Reader::new(bytes).named("array", 0);
    let count = reader.u32()?;
    let mut elements = Vec::with_capacity(count.min(1 << 16) as usize);
    for _ in 0..count {
        let len = reader.u32()?;
        elements.push(if len == u32::MAX { None } else { Some(reader.take(len as usize)?) });
    }
    Ok(elements)
}

fn mismatch(value: &Value, ty: &Type) -> Error {
    Error::internal(format!("a column of type {ty:?} was given {value:?}"))
}

fn row_too_long() -> Error {
    let message = format!("row is too big: maximum size {ROW_BYTES_MAX} bytes");
    Error::new(crate::error::SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn damaged(bytes: &[u8]) -> Error {
    Error::corrupt("row", 0, "cells of the table's types", format_args!("{} bytes that are not", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_composite_values_are_found_by_number() {
        let fields =
            [("a", Type::Int4), ("b", Type::Numeric(None)), ("c", Type::Array(Box::new(Type::Text)))];
        let fields = fields.map(|(name, ty)| (name.to_owned(), ty)).to_vec();
        let mut of = Composite::new("public", "t", fields, || Ok(1)).expect("three names");
        let long = crate::types::numeric::parse("1e60").expect("a number");
        let value = of.value([Value::Null, long.into(), vec![Value::from("x"), Value::Null].into()]);
        let cell = |value: &Value, of: &Composite| {
            let mut bytes = Vec::new();
            encode_var(value, &Type::Composite(of.clone().into()), &mut bytes).expect("a value of the type");
            bytes
        };
        let bytes = cell(&value, &of);
        assert_eq!(decode_composite(&bytes, &of).expect("whole"), value);
        of.fields.remove(1);
        of.add("b".to_owned(), Type::Bool).expect("a new name");
        let read = decode_composite(&bytes, &of).expect("whole");
        assert_eq!(read, of.value([Value::Null, vec![Value::from("x"), Value::Null].into(), Value::Null]));
        for end in 0..bytes.len() {
            assert!(decode_composite(&bytes[..end], &of).is_err(), "{end}");
        }
    }
}
