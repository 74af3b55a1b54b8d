//! Where searches read vectors: the column's mapped segments, or a plain list in tests and benches.

use crate::vectors::View;

/// Vectors by slot. Monomorphised: the search loops are compiled once per source.
pub trait Vectors: Sync {
    fn dimensions(&self) -> usize;
    /// Slots from here on cannot be read.
    fn slots_end(&self) -> u32;
    /// `slot` is below [`Vectors::slots_end`]. The contents of a NULL slot are unspecified.
    fn get(&self, slot: u32) -> &[f32];
    /// L2 norm, NaN when the slot is NULL.
    fn norm(&self, slot: u32) -> f32;
    /// Starts loading the vector into the cache.
    fn prefetch(&self, slot: u32);
}

/// Vectors one after the other, in memory.
pub struct Flat {
    dimensions: usize,
    values: Vec<f32>,
    norms: Vec<f32>,
}

impl Flat {
    /// `values` holds vector after vector.
    pub fn new(dimensions: usize, values: Vec<f32>) -> Flat {
        assert!(
            dimensions > 0 && values.len().is_multiple_of(dimensions),
            "{} values of {dimensions}",
            values.len()
        );
        let norms = values
            .chunks_exact(dimensions)
            .map(|vector| crate::distance::scalar::norm(vector) as f32)
            .collect();
        Flat { dimensions, values, norms }
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
    fn get(&self, slot: u32) -> &[f32] {
        let start = slot as usize * self.dimensions;
        &self.values[start..start + self.dimensions]
    }

    #[inline]
    fn norm(&self, slot: u32) -> f32 {
        self.norms[slot as usize]
    }

    #[inline]
    fn prefetch(&self, slot: u32) {
        crate::distance::prefetch(self.get(slot));
    }
}

impl Vectors for View {
    fn dimensions(&self) -> usize {
        self.dimensions()
    }

    fn slots_end(&self) -> u32 {
        self.slots_end()
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> &[f32] {
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
}
