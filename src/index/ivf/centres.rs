//! The centres of lists, and which of them are near a vector.

use std::borrow::Cow;

use crate::distance::{Element, Metric, Vector, bits, dot, l2_squared};
use crate::types::halfvec;

/// Points that vectors are grouped around.
#[derive(Clone, Debug, PartialEq)]
pub struct Centres {
    pub dimensions: usize,
    pub points: Points,
    /// Rows they were found among.
    pub trained_on: u64,
}

/// One after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Points {
    /// Of `vector` and `halfvec`.
    Numbers(Vec<f32>),
    /// Each begins with a byte.
    Bits(Vec<u8>),
}

impl Centres {
    /// Of so many rows, none of which had a vector to learn from.
    pub fn none(trained_on: u64) -> Centres {
        Centres { dimensions: 0, points: Points::Numbers(Vec::new()), trained_on }
    }

    pub fn len(&self) -> usize {
        match &self.points {
            _ if self.dimensions == 0 => 0,
            Points::Numbers(values) => values.len() / self.dimensions,
            Points::Bits(bytes) => bytes.len() / Element::Bit.bytes(self.dimensions),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How far a vector of their dimension is from each, ascending with distance.
    pub fn ranks(&self, metric: Metric, vector: Vector, ranks: &mut Vec<f32>) {
        ranks.clear();
        match (&self.points, vector) {
            (Points::Numbers(values), vector) => {
                let numbers = numbers(vector);
                let points = values.chunks_exact(self.dimensions);
                match metric {
                    Metric::L2 => ranks.extend(points.map(|point| l2_squared(&numbers, point))),
                    _ => ranks.extend(points.map(|point| -dot(&numbers, point))),
                }
            }
            (Points::Bits(points), Vector::Bits { bytes, .. }) => {
                let points = points.chunks_exact(Element::Bit.bytes(self.dimensions));
                ranks.extend(points.map(|point| bits::hamming(bytes, point) as f32));
            }
            // A vector of another kind, which no column has: near to nothing.
            (Points::Bits(_), _) => ranks.resize(self.len(), f32::INFINITY),
        }
    }

    /// The nearest, given room for ranks.
    pub fn nearest(&self, metric: Metric, vector: Vector, ranks: &mut Vec<f32>) -> usize {
        self.ranks(metric, vector, ranks);
        let least = ranks.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        least.map_or(0, |(number, _)| number)
    }

    /// All, the nearest first.
    pub fn in_order(&self, metric: Metric, vector: Vector) -> Vec<usize> {
        let mut ranks = Vec::with_capacity(self.len());
        self.ranks(metric, vector, &mut ranks);
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_unstable_by(|&a, &b| ranks[a].total_cmp(&ranks[b]).then(a.cmp(&b)));
        order
    }
}

/// The elements of a dense vector as f32; bits as zeros and ones.
pub fn numbers(vector: Vector<'_>) -> Cow<'_, [f32]> {
    match vector {
        Vector::F32(values) => Cow::Borrowed(values),
        Vector::F16(values) => Cow::Owned(halfvec::to_vector(values)),
        Vector::Bits { bytes, length } => {
            let bit = |at: usize| f32::from(bytes[at / 8] >> (7 - at % 8) & 1);
            Cow::Owned((0..length as usize).map(bit).collect())
        }
        Vector::Code { codes, scale } => {
            Cow::Owned(codes.iter().map(|&code| f32::from(code) * scale).collect())
        }
        Vector::Bf16(values) => Cow::Owned(values.iter().map(|value| value.to_f32()).collect()),
        // What has no elements to speak of.
        Vector::Sparse(_)
        | Vector::Signs { .. }
        | Vector::Planes(_)
        | Vector::Parts { .. }
        | Vector::Tables(_) => Cow::Borrowed(&[]),
    }
}

/// Whether lists are around directions: vectors and centres count with length one.
pub fn is_spherical(metric: Metric) -> bool {
    matches!(metric, Metric::InnerProduct | Metric::Cosine)
}
