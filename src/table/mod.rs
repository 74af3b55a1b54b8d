//! Rows as SQL sees them.
//!
//! A table's rows live in its tree by slot, their `vector(n)` cells in segments beside it, and everything that is
//! searched — the live set, metadata indexes, graphs and their tails — in memory as of the newest commit. A
//! [`Snapshot`] turns "newest" into "as of my statement": slots that changed since are *dirty* and are looked at one
//! by one.
//!
//! ```text
//!   state     newest:  live 1 2 3 _ 5 6      indexes, graph + tail
//!   changes            ... (seq 80: slot 4 died, 6 was born)
//!   snapshot  seq 70:  live 1 2 3 4 5 _      dirty {4, 6} + what the transaction itself wrote (overlay)
//! ```

// What one execution of a finished plan is given.
#[cfg(feature = "server")]
pub mod bindings;
// Which slots changed when.
mod changes;
// Rows to Arrow columns.
#[cfg(feature = "server")]
pub mod columns;
// AND and OR that spare their right side rows it fails on.
#[cfg(feature = "server")]
pub mod guard;
// Which conditions follow from a predicate.
#[cfg(feature = "server")]
pub mod implied;
// Keys in a table's tree.
pub mod keys;
// What equals a constant, of columns without bitmaps.
#[cfg(feature = "server")]
mod equal;
// Nodes as EXPLAIN shows them.
#[cfg(feature = "server")]
pub mod explained;
// The nearest rows of one table.
#[cfg(feature = "server")]
pub mod knn;
// Large objects, as functions see them.
pub mod large_objects;
// Metadata indexes, one per filterable column, and inverted indexes.
pub mod metadata;
// What the nodes above a scan want of it.
#[cfg(feature = "server")]
pub mod hints;
// Predicates that bound a distance.
#[cfg(feature = "server")]
mod near;
// Numbers in predicates, as they were before they were made comparable.
#[cfg(feature = "server")]
mod numbers;
// One transaction's own writes to one table.
pub mod overlay;
// ctid, the places of rows.
#[cfg(feature = "server")]
pub mod places;
// Predicates, on rows and in indexes.
#[cfg(feature = "server")]
pub mod predicate;
// A table in a plan.
#[cfg(feature = "server")]
pub mod provider;
// Calls that an inverted index answers.
#[cfg(feature = "server")]
mod question;
// Rows of a scan as they come.
#[cfg(feature = "server")]
pub mod reader;
// What leaves the memory of a transaction.
pub mod layer;
// What a transaction has read.
pub mod reads;
// Rows as bytes.
pub mod rows;
// Going back inside a transaction.
pub mod savepoint;
// Reading rows by key, by slots, or all of them.
#[cfg(feature = "server")]
pub mod scan;
// Predicates as SQL text.
#[cfg(feature = "server")]
mod shown;
// Who gets which slot.
mod slots;
// What a statement sees of a table.
pub mod snapshot;
// A table as it is now.
pub mod state;
// Rows to changes, log bytes and overlay.
pub mod write;

pub use rows::{Layout, RowReader};
pub use snapshot::{RowScan, Snapshot, VectorIndexView};
pub use state::Table;

/// A set of slots.
pub type SlotSet = roaring::RoaringBitmap;
