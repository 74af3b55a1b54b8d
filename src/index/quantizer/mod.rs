//! Smaller stand-ins for vectors: what a quantised index walks through instead of the vectors themselves.
//!
//! A walk through a graph waits for memory: a comparison of two vectors of 384 dimensions takes 35 ns once they are in
//! the cache and 1,536 bytes of traffic to get them there. A code has a byte per dimension, so four fit where one
//! vector did. Distances of codes are nearly right; the candidates that a walk ends with are compared again by their
//! vectors, which nothing here replaces.
//!
//! ```text
//!   vector   0.021 -0.074  0.003 ...      4 bytes each, in the vector segments
//!   code        36   -127      5 ...      1 byte each, times a scale (here 0.074 / 127), beside the links
//! ```

use serde::{Deserialize, Serialize};

pub mod sq8;

/// How an index makes codes of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantization {
    /// A byte per dimension, in steps of a 127th of the vector's greatest element.
    Sq8,
}

impl Quantization {
    pub const ALL: [Quantization; 1] = [Quantization::Sq8];

    /// As `WITH (quantization = ...)` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Quantization::Sq8 => "sq8",
        }
    }

    pub fn from_name(name: &str) -> Option<Quantization> {
        Quantization::ALL.into_iter().find(|quantization| quantization.name() == name)
    }
}
