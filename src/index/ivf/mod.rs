//! IVF-Flat: vectors in lists around centres, of which a query looks into the nearest.
//!
//! ```text
//!            . .                         query q, probes 2
//!          . (A) .        . (B)            1. rank the centres:  B, A, D, C
//!            .     q    . .                2. compare what is in B's list, then what is in A's
//!                                          3. with too few found under the filter: D's, C's ...
//!      . (C) .          (D) .  .
//!                          .
//! ```
//!
//! A list is a bitmap of slots: a filter is an intersection, a death one bit less, and the vectors stay where they
//! are. `train` finds the centres in a sample, `lists` holds and searches, `file` is a generation on disk.
//!
//! As in pgvector: vectors and centres are compared by L2, by inner product with centres of length one under
//! `<#>` and `<=>`, by Hamming distance of bits; NULL vectors are in no list, nor, under cosine, those of norm zero.
//! Otherwise than there: an index over an empty table has no centres, and gets them from the rows that come; while its
//! sample was smaller than it should be, it is trained anew whenever the table has doubled.

mod centres;
mod file;
mod lists;
mod train;

pub use file::describe;
pub use lists::{Lists, Params, Probes};
