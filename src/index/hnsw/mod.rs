//! The graph: HNSW (Malkov and Yashunin, 2016) over slots, built and changed while it is searched.
//!
//! ```text
//!   level 2        o-----------------o            few nodes, long links, m per node
//!   level 1        o-----o-----------o-----o
//!   level 0        o--o--o--o--o--o--o--o--o      every node, 2m links, one block of words per slot
//!                                          \
//!                                           o o o twins: rows with the very same vector, in a chain
//! ```
//!
//! A node is a slot. `graph` holds the words and says what concurrent readers may see; `insert` and
//! `build` add nodes, `repair` takes them out; `search` walks without a filter, `filtered` with one; `file` is a generation on
//! disk; `check` states the invariants. With quantisation `codes` stands between
//! a walk and the vectors.
//!
//! Where we differ from the paper and from hnswlib:
//!
//! - A vector that is in the graph already is not linked a second time: its row joins the chain of the first
//!   one's twins. Duplicates cost no distances, and a thousand equal rows cannot fence off a region.
//! - A node's level is a hash of its slot, so a rebuilt graph has the same levels.
//! - The result heap and the candidate heap of an unfiltered search are one sorted array: a candidate worse
//!   than the `ef` best is never expanded, so it need not be kept.
//! - NULL vectors are not in the graph, nor, under cosine, vectors of norm zero (as in pgvector).

mod build;
mod check;
mod codes;
mod describe;
mod file;
mod filtered;
mod graph;
mod insert;
mod level;
mod limit;
mod links;
mod order;
mod repair;
mod scratch;
mod search;

pub use check::Report;
pub use codes::Coded;
pub use describe::describe;
pub(in crate::index) use file::{metric_number, metric_of};
pub use filtered::{Expansion, Traversal};
pub use graph::{Graph, Params};
pub use insert::Inserted;
pub use limit::check_elements;
pub use scratch::Scratch;
