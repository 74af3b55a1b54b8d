//! How far apart two vectors are: the kernels everything else spends its time in.
//!
//! Three sums carry pgvector's metrics of numbers, two counts those of bits:
//!
//! ```text
//!   metric         sum        rank (ascending = nearer)      what SQL shows
//!   <->  L2        Σ(a-b)²    the sum                        its square root
//!   <#>  inner     Σ a·b      its negative                   the rank
//!   <=>  cosine    Σ a·b      1 - sum / (|a| |b|)            the rank
//!   <+>  L1        Σ|a-b|     the sum                        the rank
//!   <~>  Hamming   #(a^b)     the count                      the rank
//!   <%>  Jaccard   #(a&b)     1 - count / #(a|b)             the rank
//! ```
//!
//! Vectors are read where they lie, as [`Vector`]s of one of four [`Element`]s (and codes of quantised indexes).
//! `kernels.rs` computes the sums of f32 with the widest instructions the machine has (`wide.rs`), `half.rs` those of f16, `sparse.rs`
//! those of vectors that are mostly zero, `codes.rs`, `brain.rs`, `signs.rs` and `tables.rs` those of codes, `bits.rs` the counts;
//! `scalar.rs` defines the sums in plain arithmetic and is what tests hold the kernels against, `query.rs` ranks candidates.
//!
//! **Accuracy.** Kernels add in f32, in an order of their own. For n dimensions and terms tᵢ the result is
//! within `(n + 3) · 2⁻²⁴ · Σ|tᵢ|` of the exact sum, whatever the order and the lane count (Higham, *Accuracy
//! and Stability of Numerical Algorithms*, section 3.1); with 16 lanes 2.4e-7 · Σ|tᵢ| was the most seen. Sums
//! that leave the range of f32 become infinite and their metrics infinite or NaN, as in pgvector.

pub mod bits;
pub mod brain;
pub mod codes;
pub mod half;
mod kernels;
mod query;
pub mod scalar;
pub mod signs;
pub mod sparse;
pub mod tables;
mod vector;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use kernels::{dot, dots_of_four, l1, l2_squared, l2_squared_of_four};
pub use query::{Metric, Query};
pub use vector::{Element, Vector};

pub use crate::fs::mapped::prefetch;
