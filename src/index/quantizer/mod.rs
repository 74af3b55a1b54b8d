//! Smaller stand-ins for vectors: what a quantised index walks through instead of the vectors themselves.
//!
//! A walk through a graph waits for memory: a comparison of two vectors of 384 dimensions takes 35 ns once they are in
//! the cache and 1,536 bytes of traffic to get them there. A code has a byte per dimension, or two, or a bit. Distances of
//! codes are nearly right; the candidates that a walk ends with are compared again by their vectors, which nothing here
//! replaces.
//!
//! ```text
//!   vector       0.021 -0.074  0.003 ...      4 bytes each, in the vector segments
//!   f16, bf16    0.021 -0.074  0.003 ...      2 bytes each, beside the links
//!   sq8             36   -127      5 ...      1 byte each, times a step (here 0.074 / 127)
//!   bq               1      0      0 ...      1 bit each, of the vector rotated, with a bound on the error
//!   pq              11             4 ...      4 bits for six, of the vector along trained axes, with a bound on the error
//! ```
//!
//! All are of vectors as they are seen from the middle of the rows (`centre`). `coder` makes codes of vectors, whichever
//! they are.

use serde::{Deserialize, Serialize};

use crate::distance::Metric;

pub mod axes;
pub mod bounds;
pub mod bq;
pub mod centre;
pub mod coder;
pub mod pq;
pub mod rotation;
pub mod sq8;

pub use bounds::Bounds;
pub use coder::{Coder, Encoded};

/// How an index makes codes of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantization {
    /// A byte per dimension, in steps of a 127th of the greatest distance from the centre in any.
    Sq8,
    /// Half precision: eleven binary digits, up to 65,504.
    F16,
    /// bfloat16: eight binary digits, the range of f32.
    Bf16,
    /// A bit per dimension.
    Bq,
    /// Four bits for six dimensions.
    Pq,
}

impl Quantization {
    pub const ALL: [Quantization; 5] =
        [Quantization::F16, Quantization::Bf16, Quantization::Sq8, Quantization::Bq, Quantization::Pq];

    /// As `WITH (quantization = ...)` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Quantization::Sq8 => "sq8",
            Quantization::F16 => "f16",
            Quantization::Bf16 => "bf16",
            Quantization::Bq => "bq",
            Quantization::Pq => "pq",
        }
    }

    pub fn from_name(name: &str) -> Option<Quantization> {
        Quantization::ALL.into_iter().find(|quantization| quantization.name() == name)
    }

    /// As files number it; none is 0.
    pub const fn number(self) -> u32 {
        match self {
            Quantization::Sq8 => 1,
            Quantization::F16 => 2,
            Quantization::Bf16 => 3,
            Quantization::Bq => 4,
            Quantization::Pq => 5,
        }
    }

    /// Whether its codes have this distance: those of integers, signs and parts come from a product.
    pub const fn ranks_by(self, metric: Metric) -> bool {
        match self {
            Quantization::F16 | Quantization::Bf16 => true,
            Quantization::Sq8 | Quantization::Bq | Quantization::Pq => !matches!(metric, Metric::L1),
        }
    }

    /// Whether a graph is built by distances of codes. Signs and parts are too coarse for it, know the errors of their
    /// estimates instead, and signs have no distance to each other.
    pub const fn builds(self) -> bool {
        !matches!(self, Quantization::Bq | Quantization::Pq)
    }

    /// Rows that a coder is made of at most.
    pub const fn sample_max(self) -> usize {
        match self {
            Quantization::Pq => pq::SAMPLE_MAX,
            _ => centre::SAMPLE_MAX,
        }
    }

    /// Standard deviations of an estimate that are between the k-th row and the worst candidate kept when a walk is wide
    /// enough. At 1.3, one in ten of rows as far as the k-th, and fewer of nearer ones, would be estimated beyond the edge.
    /// Deviations of parts are those of any row, and greater than a near one's: at 0.5 the recall is 0.97 at an ef of 10
    /// where signs have 0.965; at 1.3 it was 0.985 for 1.8 times the time.
    pub const fn edge(self) -> f32 {
        match self {
            Quantization::Pq => 0.5,
            _ => 1.3,
        }
    }

    /// Candidates of a walk through codes per candidate asked for, so that the recall after ranking by vectors is that of
    /// a walk through vectors.
    pub fn candidates(self, ef: usize) -> usize {
        match self {
            Quantization::Bq => (ef as f32 * BQ_OVERSAMPLING) as usize,
            Quantization::Pq => (ef as f32 * PQ_OVERSAMPLING) as usize,
            _ => ef,
        }
    }
}

const BQ_OVERSAMPLING: f32 = 3.0;
/// With 1.5 an ef of 200 has the recall of a walk through vectors (0.986 of 50,000 sentences), and one of 80 more (0.974);
/// with 2 both have more than that (0.988, 0.979), as those of signs do.
const PQ_OVERSAMPLING: f32 = 2.0;
