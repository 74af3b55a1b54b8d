//! How far apart two vectors are: the kernels everything else spends its time in.
//!
//! Three sums carry all four of pgvector's metrics:
//!
//! ```text
//!   metric         sum        rank (ascending = nearer)      what SQL shows
//!   <->  L2        Σ(a-b)²    the sum                        its square root
//!   <#>  inner     Σ a·b      its negative                   the rank
//!   <=>  cosine    Σ a·b      1 - sum / (|a| |b|)            the rank
//!   <+>  L1        Σ|a-b|     the sum                        the rank
//! ```
//!
//! `kernels.rs` computes the sums with the widest instructions the machine has, `scalar.rs` defines them in
//! plain arithmetic and is what tests hold the kernels against, `query.rs` ranks candidates.
//!
//! **Accuracy.** Kernels add in f32, in an order of their own. For n dimensions and terms tᵢ the result is
//! within `(n + 3) · 2⁻²⁴ · Σ|tᵢ|` of the exact sum, whatever the order and the lane count (Higham, *Accuracy
//! and Stability of Numerical Algorithms*, section 3.1); with 16 lanes 2.4e-7 · Σ|tᵢ| was the most seen. Sums
//! that leave the range of f32 become infinite and their metrics infinite or NaN, as in pgvector.

mod kernels;
mod query;
pub mod scalar;

pub use kernels::{dot, l1, l2_squared};
pub use query::{Metric, Query};

pub use crate::fs::mapped::prefetch;
