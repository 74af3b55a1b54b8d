//! Arguments that are vectors: of numbers, of halves, of bits, or sparse, read row by row.
//!
//! A call mixes `vector`, `halfvec` and `sparsevec` as PostgreSQL's overloads do: where one is a sparsevec, the others
//! become one, else where one is a halfvec.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeBinaryArray, LargeBinaryBuilder, LargeListArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::distance::{Element, Vector};
use crate::error::{Error, SqlState};
use crate::functions::scalar::rows_of;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{self, BitBuilder, HalfvecBuilder, SparsevecBuilder};
use crate::types::arrow::{vector_bytes, vector_floats};
use crate::types::vector::Kind;
use crate::types::{Bits, Sparse, Sparsevec, Type, f16, halfvec};

/// What vectors of an Arrow type are made of; `None` when they are none.
pub fn element_of(ty: &DataType) -> Option<Element> {
    match ty {
        DataType::LargeBinary => Some(Element::F32),
        ty if lists::is_halfvec(ty) => Some(Element::F16),
        ty if lists::is_bit(ty) => Some(Element::Bit),
        ty if lists::is_sparsevec(ty) => Some(Element::Sparse),
        _ => None,
    }
}

/// The element that arguments of these types meet in: `vector` casts to `halfvec` by itself, and both to `sparsevec`.
pub fn common_element<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Option<Element> {
    types.into_iter().filter_map(element_of).max_by_key(|element| element.number())
}

/// The SQL type of vectors of an element, without dimensions.
pub fn type_of_element(element: Element) -> Type {
    match element {
        Element::F32 => Type::Vector(None),
        Element::F16 => Type::Halfvec(None),
        Element::Bit => Type::Bit(None),
        Element::Sparse => Type::Sparsevec(None),
    }
}

/// One vector.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    F32(Vec<f32>),
    F16(Cow<'a, [f16]>),
    Bits(Bits),
    Sparse(Cow<'a, [u32]>),
}

impl Cell<'_> {
    pub fn vector(&self) -> Vector<'_> {
        match self {
            Cell::F32(values) => Vector::F32(values),
            Cell::F16(values) => Vector::F16(values),
            Cell::Bits(bits) => Vector::Bits { bytes: bits.bytes(), length: bits.len() },
            Cell::Sparse(words) => Vector::Sparse(Sparse::new(words)),
        }
    }

    /// All numbers; none of bits and of sparse vectors.
    pub fn numbers(&self) -> Cow<'_, [f32]> {
        match self {
            Cell::F32(values) => Cow::Borrowed(values),
            Cell::F16(values) => Cow::Owned(halfvec::to_vector(values)),
            Cell::Bits(_) | Cell::Sparse(_) => Cow::Borrowed(&[]),
        }
    }

    /// As a vector of `element`, by the cast that needs not be written; a cast there is not stays undone.
    pub fn into(self, element: Element) -> crate::error::Result<Self> {
        Ok(match (self, element) {
            (Cell::F32(values), Element::F16) => Cell::F16(Cow::Owned(halfvec::from_vector(&values)?)),
            (cell @ (Cell::F32(_) | Cell::F16(_)), Element::Sparse) => {
                let vector = Sparsevec::of_dense(&cell.numbers())?;
                Cell::Sparse(Cow::Owned(vector.as_sparse().words().to_vec()))
            }
            (cell, _) => cell,
        })
    }

    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Cell::F32(values) => Cell::F32(values),
            Cell::F16(values) => Cell::F16(Cow::Owned(values.into_owned())),
            Cell::Bits(bits) => Cell::Bits(bits),
            Cell::Sparse(words) => Cell::Sparse(Cow::Owned(words.into_owned())),
        }
    }
}

/// An argument as a column of vectors; a constant is a column of one row.
pub struct Cells {
    array: ArrayRef,
    element: Element,
    constant: bool,
}

impl Cells {
    /// The argument's vectors as ones of `element`.
    pub fn new(argument: &ColumnarValue, element: Element) -> Result<Cells> {
        Ok(match argument {
            ColumnarValue::Array(array) => Cells { array: Arc::clone(array), element, constant: false },
            ColumnarValue::Scalar(scalar) => Cells { array: scalar.to_array()?, element, constant: true },
        })
    }

    /// The vector in `row`; `None` for NULL.
    pub fn get(&self, row: usize) -> Result<Option<Cell<'_>>> {
        let row = if self.constant { 0 } else { row };
        if self.array.is_null(row) || self.array.data_type().is_null() {
            return Ok(None);
        }
        let cell = read(&self.array, row)?;
        cell.into(self.element).map(Some).map_err(external)
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }
}

/// The vector in `row` of an array, which is not NULL there.
pub fn read(array: &ArrayRef, row: usize) -> Result<Cell<'_>> {
    let other = || DataFusionError::Internal(format!("expected vectors, found {}", array.data_type()));
    match element_of(array.data_type()).ok_or_else(other)? {
        Element::F32 => {
            let array = array.as_any().downcast_ref::<LargeBinaryArray>().ok_or_else(other)?;
            Ok(Cell::F32(vector_floats(array.value(row))))
        }
        Element::F16 => {
            let array = array.as_any().downcast_ref::<LargeListArray>().ok_or_else(other)?;
            Ok(Cell::F16(Cow::Borrowed(lists::halves(array, row).map_err(external)?)))
        }
        Element::Bit => {
            let array = array.as_any().downcast_ref::<LargeListArray>().ok_or_else(other)?;
            Ok(Cell::Bits(lists::bits(array, row).map_err(external)?))
        }
        Element::Sparse => {
            let array = array.as_any().downcast_ref::<LargeListArray>().ok_or_else(other)?;
            Ok(Cell::Sparse(Cow::Borrowed(lists::sparse(array, row).map_err(external)?.words())))
        }
    }
}

/// The element in which the vectors of a call meet.
pub fn element_of_call(args: &ScalarFunctionArgs) -> Element {
    let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
    common_element(&types).unwrap_or(Element::F32)
}

/// Calls `f` with the first argument of each row; tells whether the call is a constant.
pub fn each(args: &ScalarFunctionArgs, mut f: impl FnMut(Option<Cell<'_>>) -> Result<()>) -> Result<bool> {
    let (rows, constant) = rows_of(args);
    let cells = Cells::new(&args.args[0], element_of_call(args))?;
    for row in 0..rows {
        f(cells.get(row)?)?;
    }
    Ok(constant)
}

/// Calls `f` with the first two arguments of each row, `None` where either is NULL; tells whether the call is a
/// constant.
pub fn each_pair(
    args: &ScalarFunctionArgs,
    mut f: impl FnMut(Option<(Cell<'_>, Cell<'_>)>) -> Result<()>,
) -> Result<bool> {
    let (rows, constant) = rows_of(args);
    let element = element_of_call(args);
    let (left, right) = (Cells::new(&args.args[0], element)?, Cells::new(&args.args[1], element)?);
    for row in 0..rows {
        f(left.get(row)?.zip(right.get(row)?))?;
    }
    Ok(constant)
}

/// Refuses two vectors that do not belong together, with pgvector's words.
pub fn check_same(a: Vector, b: Vector) -> crate::error::Result<()> {
    check_same_dimensions(a.element(), a.dimensions(), b.dimensions())
}

/// The same by their dimensions.
pub fn check_same_dimensions(element: Element, left: usize, right: usize) -> crate::error::Result<()> {
    match element {
        Element::F32 => Kind::Vector.check_same(left, right),
        Element::F16 => Kind::Halfvec.check_same(left, right),
        Element::Sparse => Kind::Sparsevec.check_same(left, right),
        Element::Bit if left == right => Ok(()),
        Element::Bit => {
            let message = format!("different bit lengths {left} and {right}");
            Err(Error::new(SqlState::DATA_EXCEPTION, message))
        }
    }
}

/// Builds a column of vectors of one element.
pub enum Output {
    F32(LargeBinaryBuilder),
    F16(HalfvecBuilder),
    Bits(BitBuilder),
    Sparse(SparsevecBuilder),
}

impl Output {
    pub fn new(element: Element, rows: usize) -> Output {
        match element {
            Element::F32 => Output::F32(LargeBinaryBuilder::new()),
            Element::F16 => Output::F16(HalfvecBuilder::new(rows)),
            Element::Bit => Output::Bits(BitBuilder::new(rows)),
            Element::Sparse => Output::Sparse(SparsevecBuilder::new(rows)),
        }
    }

    /// Appends all numbers of a vector, as halves if the column is of those (22003 when one is out of range).
    pub fn append(&mut self, numbers: &[f32]) -> crate::error::Result<()> {
        match self {
            Output::F32(builder) => {
                check_overflow(numbers.iter().any(|x| x.is_infinite()))?;
                builder.append_value(vector_bytes(numbers));
            }
            Output::F16(builder) => {
                let halves: Vec<f16> = numbers.iter().map(|&number| f16::from_f32(number)).collect();
                check_overflow(halves.iter().any(|half| half.is_infinite()))?;
                builder.append(&halves);
            }
            Output::Sparse(builder) => {
                check_overflow(numbers.iter().any(|x| x.is_infinite()))?;
                builder.append(Sparsevec::of_dense(numbers)?.as_sparse());
            }
            Output::Bits(_) => return Err(Error::internal("numbers in a column of bits")),
        }
        Ok(())
    }

    pub fn append_bits(&mut self, bits: &Bits) -> crate::error::Result<()> {
        let Output::Bits(builder) = self else { return Err(Error::internal("bits in a column of numbers")) };
        builder.append(bits);
        Ok(())
    }

    pub fn append_sparse(&mut self, vector: Sparse) -> crate::error::Result<()> {
        let Output::Sparse(builder) = self else { return Err(Error::internal("a column of other vectors")) };
        check_overflow(vector.values().iter().any(|x| x.is_infinite()))?;
        builder.append(vector);
        Ok(())
    }

    pub fn append_null(&mut self) {
        match self {
            Output::F32(builder) => builder.append_null(),
            Output::F16(builder) => builder.append_null(),
            Output::Bits(builder) => builder.append_null(),
            Output::Sparse(builder) => builder.append_null(),
        }
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Output::F32(builder) => Arc::new(builder.finish()),
            Output::F16(builder) => builder.finish(),
            Output::Bits(builder) => builder.finish(),
            Output::Sparse(builder) => builder.finish(),
        }
    }
}

fn check_overflow(overflows: bool) -> crate::error::Result<()> {
    if overflows {
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    Ok(())
}
