//! Sorted tables: immutable files of entries in order of (key, newest first).
//!
//! ```text
//!   +------------+------------+-----+--------+-------+------------+--------+
//!   | data block | data block | ... | filter | index | properties | footer |
//!   +------------+------------+-----+--------+-------+------------+--------+
//!         ^            ^               bloom    |                   64 bytes: where filter, index
//!         +------------+-- last key, place -----+                   and properties are
//! ```
//!
//! A `Builder` writes one file, its blocks deflated by a `Packer`, a `Writer` as many as the entries need, a `Table`
//! reads one, a [`TableIter`] walks over it. Blocks of rows, of which a tree knows the `Shape`, lie column by column
//! (`columns.rs`), all others entry by entry (`block.rs`). Every block lies in a `frame` with a checksum that covers what it holds
//! and where it belongs. Index and filter are read when they are first asked for and lie in the budget of the block cache,
//! with the table; where they are there, a read of a cached block is two binary searches. `docs/formats.md` has every
//! field.

mod block;
mod bloom;
mod builder;
mod columns;
mod data;
mod describe;
mod footer;
mod frame;
mod index;
mod iter;
mod packer;
mod reader;
mod writer;

#[cfg(test)]
pub use block::Block;
pub use block::SEQ_MAX;
#[cfg(test)]
pub use bloom::Bloom;
pub use bloom::hash as bloom_hash;
pub use columns::Columns;
pub use data::DataBlock;
pub use describe::describe_table;
pub use footer::{TableMeta, folder, path_of};
pub use frame::Packing;
pub use index::Index;
pub use iter::TableIter;
pub use reader::{Filter, Table};
pub use writer::Writer;

/// Key and value of one entry together, in bytes: offsets in a block are 32 bits wide, and a block holds at
/// least one.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;
