//! Vectors by slot: where exact scans, graphs and rescoring read them, in place, without a copy.
//!
//! A [`Column`] is one vector column of one table. It is cut into segments of 65,536 slots, each a
//! file that grows a few groups at a time (`segment.rs` draws it). Space is reserved before the log record that
//! fills it is written, bytes go in by `pwrite`, and a [`View`] reads them from a map. Vectors of one size lie in the
//! segments themselves; sparse ones lie in a heap, and the segments say where (`heap.rs`).
//!
//! What is promised:
//! - A slot that [`View::verify`] accepts holds the bytes that were written to that very slot.
//! - After [`Column::sync`] everything written before survives a crash. Until then the log holds it.
//! - A full disk is answered by [`Column::reserve`] (53100), never by [`Column::write_run`], but for sparse vectors, whose
//!   size is not known before; either comes before the log record.
//!
//! - Space of whole groups that nobody needs is given back ([`Column::punch`]) and reserved again before it is used.
//!
//! What is not: a slot nobody wrote, or whose write was not synced before a crash, has no meaning until the log
//! has been replayed over it. Slots are told apart by their readers, which know the live set.

mod column;
mod describe;
mod heap;
mod segment;
mod view;
mod writes;

pub use column::Column;
pub use describe::describe;
pub use segment::GROUP_SLOTS;
pub use view::View;
pub use writes::Written;

/// Slots of one segment, a power of two so that a slot splits into segment and place by shifting.
pub const SEGMENT_SLOTS: u32 = 1 << 16;
