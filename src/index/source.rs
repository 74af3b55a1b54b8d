//! Where searches read vectors: the column's mapped segments, or a plain list in tests and benches.

use crate::distance::{Element, Metric, Query, Vector};
use crate::error::Result;
use crate::types::{Sparsevec, f16};
use crate::vectors::View;

/// Vectors by slot. Monomorphised: the search loops are compiled once per source.
pub trait Vectors: Sync {
    fn dimensions(&self) -> usize;
    /// Slots from here on cannot be read.
    fn slots_end(&self) -> u32;
    /// `slot` is below [`Vectors::slots_end`]. The contents of a NULL slot are unspecified.
    fn get(&self, slot: u32) -> Vector<'_>;
    /// L2 norm, of bits how many are set; NaN when the slot is NULL.
    fn norm(&self, slot: u32) -> f32;
    /// Starts loading the vector into the cache.
    fn prefetch(&self, slot: u32);
    /// Bytes that are read to compare one, about.
    fn bytes(&self) -> usize {
        Element::F32.bytes(self.dimensions())
    }
    /// Starts reading vectors from the disk, if there is need to say so; those of ascending slots together.
    #[inline(always)]
    fn will_need(&self, _slots: &[u32]) {}
    /// Whether most of them have to be read from the disk.
    fn is_scarce(&self) -> bool {
        false
    }
    /// The vector of a slot as a query for others.
    #[inline(always)]
    fn query(&self, metric: Metric, slot: u32) -> Query<'_> {
        Query::stored(metric, self.get(slot), self.norm(slot))
    }
    /// An error when a vector that is `asked_for` has turned out to be damaged: asked after a search, which is the first
    /// to look at some.
    #[inline]
    fn refuse_damaged(&self, _asked_for: impl Fn(u32) -> bool) -> Result<()> {
        Ok(())
    }
    /// Whether two slots hold the very same vector, or what cannot be told apart here.
    fn same(&self, a: u32, b: u32) -> bool {
        self.get(a) == self.get(b)
    }
}

/// Vectors one after the other, in memory.
pub struct Flat {
    dimensions: usize,
    values: Values,
    norms: Vec<f32>,
}

enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bits(Vec<u8>),
    Sparse(Vec<Sparsevec>),
}

impl Flat {
    /// `values` holds vector after vector.
    pub fn new(dimensions: usize, values: Vec<f32>) -> Flat {
        assert!(
            dimensions > 0 && values.len().is_multiple_of(dimensions),
            "{} values of {dimensions}",
            values.len()
        );
        let count = values.len() / dimensions;
        Flat { dimensions, values: Values::F32(values), norms: Vec::new() }.with_norms(count)
    }

    /// Halves, vector after vector.
    pub fn halves(dimensions: usize, values: Vec<f16>) -> Flat {
        let count = values.len() / dimensions;
        Flat { dimensions, values: Values::F16(values), norms: Vec::new() }.with_norms(count)
    }

    /// Bit strings of `dimensions` bits, each beginning with a byte.
    pub fn bits(dimensions: usize, bytes: Vec<u8>) -> Flat {
        let count = bytes.len() / Element::Bit.bytes(dimensions);
        Flat { dimensions, values: Values::Bits(bytes), norms: Vec::new() }.with_norms(count)
    }

    /// Sparse vectors of `dimensions` dimensions.
    pub fn sparse(dimensions: usize, vectors: Vec<Sparsevec>) -> Flat {
        let count = vectors.len();
        Flat { dimensions, values: Values::Sparse(vectors), norms: Vec::new() }.with_norms(count)
    }

    fn with_norms(mut self, count: usize) -> Flat {
        self.norms = (0..count as u32).map(|slot| Vectors::get(&self, slot).norm() as f32).collect();
        self
    }

    /// Makes the slot NULL.
    pub fn set_null(&mut self, slot: u32) {
        self.norms[slot as usize] = f32::NAN;
    }
}

impl Vectors for Flat {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn slots_end(&self) -> u32 {
        self.norms.len() as u32
    }

    #[inline]
    fn get(&self, slot: u32) -> Vector<'_> {
        let start = slot as usize * self.dimensions;
        match &self.values {
            Values::Sparse(vectors) => (&vectors[slot as usize]).into(),
            Values::F32(values) => Vector::F32(&values[start..start + self.dimensions]),
            Values::F16(values) => Vector::F16(&values[start..start + self.dimensions]),
            Values::Bits(bytes) => {
                let stride = Element::Bit.bytes(self.dimensions);
                let start = slot as usize * stride;
                Vector::Bits { bytes: &bytes[start..start + stride], length: self.dimensions as u32 }
            }
        }
    }

    #[inline]
    fn norm(&self, slot: u32) -> f32 {
        self.norms[slot as usize]
    }

    #[inline]
    fn prefetch(&self, slot: u32) {
        self.get(slot).prefetch();
    }
}

impl Vectors for View {
    fn dimensions(&self) -> usize {
        self.dimensions()
    }

    fn slots_end(&self) -> u32 {
        self.slots_end()
    }

    fn bytes(&self) -> usize {
        self.stride()
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> Vector<'_> {
        self.get(slot)
    }

    #[inline(always)]
    fn norm(&self, slot: u32) -> f32 {
        self.norm(slot)
    }

    #[inline(always)]
    fn prefetch(&self, slot: u32) {
        self.prefetch(slot);
    }

    #[inline(always)]
    fn will_need(&self, slots: &[u32]) {
        self.will_need(slots);
    }

    fn is_scarce(&self) -> bool {
        self.is_scarce()
    }

    #[inline]
    fn refuse_damaged(&self, asked_for: impl Fn(u32) -> bool) -> Result<()> {
        self.refuse_damaged(|slot| Ok(asked_for(slot)))
    }
}
