//! Vectors of any element type, where they lie.

use super::signs::Planes;
use super::tables::Tables;
use super::{bits, codes, scalar};
use crate::fs::mapped::{floats, halves};
use crate::types::{Sparse, Sparsevec, Type, bf16, f16};

/// What a stored vector is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `vector`
    F32,
    /// `halfvec`
    F16,
    /// `bit`, packed eight to a byte, the first in the highest bit.
    Bit,
    /// `sparsevec`: the elements that are not zero, and where they are.
    Sparse,
}

/// One vector in place. The bits a bit string leaves of its last byte are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vector<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bits {
        bytes: &'a [u8],
        length: u32,
    },
    /// What a quantised index has in place of a vector: a byte per dimension, in steps of `scale`.
    Code {
        codes: &'a [i8],
        scale: f32,
    },
    /// Another stand-in: the upper halves of f32s.
    Bf16(&'a [bf16]),
    /// And another: the signs of a vector rotated, with what makes distances of them.
    Signs {
        bits: &'a [u32],
        add: f32,
        factor: f32,
    },
    /// The query that those are compared with.
    Planes(&'a Planes),
    /// And another: four bits for each part of a vector, with what makes distances of them.
    Parts {
        code: &'a [u8],
        add: f32,
        factor: f32,
    },
    /// The query that those are compared with.
    Tables(&'a Tables),
    Sparse(Sparse<'a>),
}

impl Element {
    pub const ALL: [Element; 4] = [Element::F32, Element::F16, Element::Bit, Element::Sparse];

    /// What vectors of a column of this type are made of, and their dimensions; `None` when its cells are not in
    /// vector segments.
    pub fn of(ty: &Type) -> Option<(Element, usize)> {
        if !ty.is_slot_vector() {
            return None;
        }
        match *ty {
            Type::Vector(Some(dimensions)) => Some((Element::F32, usize::from(dimensions))),
            Type::Halfvec(Some(dimensions)) => Some((Element::F16, usize::from(dimensions))),
            Type::Bit(Some(length)) => Some((Element::Bit, length as usize)),
            Type::Sparsevec(Some(dimensions)) => Some((Element::Sparse, dimensions as usize)),
            _ => None,
        }
    }

    /// Bytes of a vector of so many dimensions in its segment: of a sparse one, those that say where it lies.
    #[inline(always)]
    pub const fn bytes(self, dimensions: usize) -> usize {
        match self {
            Element::F32 => 4 * dimensions,
            Element::F16 => 2 * dimensions,
            Element::Bit => dimensions.div_ceil(8),
            Element::Sparse => 16,
        }
    }

    /// As files number it.
    pub const fn number(self) -> u32 {
        match self {
            Element::F32 => 0,
            Element::F16 => 1,
            Element::Bit => 2,
            Element::Sparse => 3,
        }
    }

    /// As SQL calls vectors of it.
    pub const fn type_name(self) -> &'static str {
        match self {
            Element::F32 => "vector",
            Element::F16 => "halfvec",
            Element::Bit => "bit",
            Element::Sparse => "sparsevec",
        }
    }

    /// Little-endian bytes as a vector. They begin at a multiple of the element's size, as a column's do.
    #[inline(always)]
    pub fn read(self, bytes: &[u8], dimensions: usize) -> Vector<'_> {
        match self {
            Element::F32 => Vector::F32(floats(bytes)),
            Element::F16 => Vector::F16(halves(bytes)),
            Element::Bit => Vector::Bits { bytes, length: dimensions as u32 },
            Element::Sparse => Vector::Sparse(Sparse::of_bytes(bytes)),
        }
    }
}

impl<'a> Vector<'a> {
    /// A code stands for numbers, like F32.
    pub fn element(self) -> Element {
        match self {
            Vector::F32(_)
            | Vector::Code { .. }
            | Vector::Bf16(_)
            | Vector::Signs { .. }
            | Vector::Planes(_)
            | Vector::Parts { .. }
            | Vector::Tables(_) => Element::F32,
            Vector::F16(_) => Element::F16,
            Vector::Bits { .. } => Element::Bit,
            Vector::Sparse(_) => Element::Sparse,
        }
    }

    pub fn dimensions(self) -> usize {
        match self {
            Vector::F32(values) => values.len(),
            Vector::F16(values) => values.len(),
            Vector::Bits { length, .. } => length as usize,
            Vector::Code { codes, .. } => codes.len(),
            Vector::Bf16(values) => values.len(),
            // Filled up to whole words.
            Vector::Signs { bits, .. } => 32 * bits.len(),
            Vector::Planes(planes) => planes.dimensions,
            // Parts, which is less.
            Vector::Parts { code, .. } => 2 * code.len(),
            Vector::Tables(tables) => tables.dimensions,
            Vector::Sparse(vector) => vector.dimensions() as usize,
        }
    }

    /// |vector|; of bits, how many are set, which is what Jaccard needs to know.
    pub fn norm(self) -> f64 {
        match self {
            Vector::F32(values) => scalar::norm(values),
            Vector::F16(values) => values.iter().map(|x| f64::from(x.to_f32()).powi(2)).sum::<f64>().sqrt(),
            Vector::Bits { bytes, .. } => f64::from(bits::ones(bytes)),
            Vector::Code { codes, scale } => f64::from(scale) * f64::from(codes::dot(codes, codes)).sqrt(),
            Vector::Bf16(values) => values.iter().map(|x| f64::from(x.to_f32()).powi(2)).sum::<f64>().sqrt(),
            // Ranks of signs and parts need none.
            Vector::Signs { .. } | Vector::Planes(_) | Vector::Parts { .. } | Vector::Tables(_) => 0.0,
            Vector::Sparse(vector) => crate::types::vector::norm(vector.values()),
        }
    }

    /// The elements of a `vector`; a vector of another kind is a broken invariant.
    pub fn as_f32(self) -> &'a [f32] {
        match self {
            Vector::F32(values) => values,
            other => panic!("a vector of {:?} where one of F32 was expected", other.element()),
        }
    }

    /// Starts loading it into the processor's cache.
    #[inline(always)]
    pub fn prefetch(self) {
        match self {
            Vector::F32(values) => super::prefetch(values),
            Vector::F16(values) => super::prefetch(values),
            Vector::Bits { bytes, .. } => super::prefetch(bytes),
            Vector::Code { codes, .. } => super::prefetch(codes),
            Vector::Bf16(values) => super::prefetch(values),
            Vector::Signs { bits, .. } => super::prefetch(bits),
            Vector::Planes(planes) => super::prefetch(&planes.bits),
            Vector::Parts { code, .. } => super::prefetch(code),
            Vector::Tables(_) => {}
            Vector::Sparse(vector) => super::prefetch(vector.words()),
        }
    }
}

impl<'a> From<&'a [f32]> for Vector<'a> {
    fn from(values: &'a [f32]) -> Vector<'a> {
        Vector::F32(values)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Vector<'a> {
    fn from(values: &'a [f32; N]) -> Vector<'a> {
        Vector::F32(values)
    }
}

impl<'a> From<&'a Vec<f32>> for Vector<'a> {
    fn from(values: &'a Vec<f32>) -> Vector<'a> {
        Vector::F32(values)
    }
}

impl<'a> From<&'a [f16]> for Vector<'a> {
    fn from(values: &'a [f16]) -> Vector<'a> {
        Vector::F16(values)
    }
}

impl<'a> From<&'a Sparsevec> for Vector<'a> {
    fn from(vector: &'a Sparsevec) -> Vector<'a> {
        Vector::Sparse(vector.as_sparse())
    }
}
