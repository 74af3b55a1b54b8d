//! Rows move from the tails of vector indexes into graphs and lists.
//!
//! Commits do not wait for graphs, so a new row is in the tail of its vector indexes, where it is found exactly. The
//! indexer takes the tail piece by piece, inserts the piece into the graph, and shortens the tail; one that memory does
//! not hold is one piece, for a graph takes it in an order that spares reads (`index/hnsw/order.rs`). A graph with more
//! dead nodes than half its live ones is built anew, and so are lists that the table has outgrown; fewer are taken out
//! by vacuum (`vacuum.rs`).
//!
//! A graph of which a page could not be read is built anew as well, and so is one into which something was linked while a
//! page of vectors could not be read. Vectors that are known to be damaged wait in the tail until their rows change.
//!
//! Linking a vector costs several times what its commit costs, on a processor that the clients could use. So a tail
//! waits while it grows, as long as nobody searches it and reading it would be quick:
//!
//! ```text
//! tail grew since the last look?  --no--> link a piece
//!   | yes
//! a search compared it meanwhile? --yes-> link a piece
//!   | no
//! more than WAITING_BYTES?        --yes-> link a piece
//!   | no
//! look again in INDEXER_REST
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use roaring::RoaringBitmap;

use crate::database::Database;
use crate::database::Holder;
use crate::database::core::Core;
use crate::error::Result;
use crate::index::Finder;
use crate::table::Table;
use crate::table::state::VectorIndex;
use crate::vectors::View;

/// Rows offered to a graph at a time: enough to occupy all threads, few enough that tails shrink steadily.
const PIECE_MIN: u64 = 256;
const PIECE_MAX: u64 = 8192;
/// How long the indexer rests when there is nothing to do. A tail of what arrives meanwhile costs queries microseconds.
pub(super) const INDEXER_REST: Duration = Duration::from_millis(20);
/// Dead nodes below this are not worth a rebuild.
const DEAD_MIN: u64 = 1_000;
/// A tail that nobody searches waits until its vectors are so many bytes: the first search reads them at
/// the speed of memory, and linking 384-dimensional ones (43,690 rows, which eight connections write in five seconds)
/// takes two processors three and a half seconds. At a quarter of it eight connections that went on for two seconds were
/// slowed from 9,400 rows a second to 5,800.
const WAITING_BYTES: u64 = 64 << 20;
/// And no more rows than this, however short their vectors are: they are compared in a few milliseconds, and linked in
/// five seconds on two processors.
const WAITING_ROWS: u64 = 65_536;

/// Whether a piece of the index's tail is to be linked now. A tail may wait when it grew since the last look, no search
/// compared it since, and it is short.
pub(super) fn is_due(table: &Table, index: &VectorIndex) -> bool {
    let rows = index.tail.len();
    let grew = rows > index.watch.rows.swap(rows, Ordering::Relaxed);
    let searched = index.watch.searched.swap(false, Ordering::Relaxed);
    let row_bytes = table.state().vectors_of(index).map_or(0, |column| column.column.slot_bytes());
    !grew || searched || rows >= WAITING_ROWS || rows * row_bytes >= WAITING_BYTES
}

impl Database {
    /// Does one piece of index maintenance, and says whether there was any.
    pub fn step_indexer(&self) -> Result<bool> {
        self.index_tails(|_, _| true)
    }

    /// Does one piece of work for each index that needs some, tails only where `is_due`; whether there was any.
    pub(super) fn index_tails(&self, mut is_due: impl FnMut(&Table, &VectorIndex) -> bool) -> Result<bool> {
        let core = self.core();
        let cancel = self.background().cancel();
        let tables: Vec<Arc<Table>> = core.version.load().tables.values().cloned().collect();
        let mut worked = false;
        for table in tables {
            for index in table.state().vector_indexes.clone() {
                // For one index at a time: a vacuum need not wait for all of them.
                let _one = core.indexing.lock();
                // As it is now: a vacuum may have been here meanwhile.
                let oid = index.definition.oid;
                let Some(index) =
                    table.state().vector_indexes.iter().find(|i| i.definition.oid == oid).cloned()
                else {
                    continue;
                };
                if let Err(error) = index.finder.refuse_unread() {
                    self.found_unread(&table, &index, &error);
                    core.generations.note_unread(oid, &index.finder);
                    worked |= build_anew(core, &table, &index, cancel)?;
                } else if is_stale(&table, &index) {
                    worked |= rebuild(core, &table, &index, cancel)?;
                } else if is_due(&table, &index) {
                    worked |= insert_piece(core, &table, &index, cancel)?;
                }
            }
        }
        Ok(worked)
    }
}

/// Moves a piece of the tail into the graph.
fn insert_piece(core: &Core, table: &Table, index: &VectorIndex, cancel: &AtomicBool) -> Result<bool> {
    // Slots of rows that die from here on are not given out again before the piece is done.
    let _held = core.snapshots.take(Holder::Indexer);
    let state = table.state();
    let oid = index.definition.oid;
    let Some(index) = state.vector_indexes.iter().find(|i| i.definition.oid == oid).cloned() else {
        return Ok(false);
    };
    let Some(column) = state.vectors_of(&index) else { return Ok(false) };
    if index.tail.is_empty() {
        return Ok(false);
    }
    let view = column.column.view();
    let tail = without_damaged(&view, &index.tail);
    if tail.is_empty() {
        return Ok(false);
    }
    let size = match index.finder.wants_at_once(&view, &tail) {
        true => tail.len(),
        false => (tail.len() / 4).clamp(PIECE_MIN, PIECE_MAX),
    };
    let piece: RoaringBitmap = tail.iter().take(size as usize).collect();
    let threads = if piece.len() <= PIECE_MIN { 1 } else { core.options.build_threads };
    let finder = &index.finder;
    drop(state);
    let built = finder.add(&view, &piece, threads, &AtomicU32::new(0), cancel);
    if let Err(error) = view.refuse_unread() {
        discard(core, table, &index);
        return Err(error);
    }
    if cancel.load(Ordering::Relaxed) {
        return Ok(false);
    }
    built?;
    table.shorten_tail(oid, &piece, finder);
    Ok(true)
}

/// Most of it is dead, or it was built when the table was small.
fn is_stale(table: &Table, index: &VectorIndex) -> bool {
    let nodes = index.finder.nodes();
    let members = table.state().members(index);
    let dead = nodes.len() - nodes.intersection_len(&members);
    dead > DEAD_MIN.max(members.len() / 2) || index.finder.is_outgrown(members.len())
}

/// Builds the graph or the lists anew over what lives in the index.
pub(super) fn rebuild(core: &Core, table: &Table, index: &VectorIndex, cancel: &AtomicBool) -> Result<bool> {
    let _held = core.snapshots.take(Holder::Indexer);
    let state = table.state();
    let Some(column) = state.vectors_of(index) else { return Ok(false) };
    let view = column.column.view();
    let (members, params) = (without_damaged(&view, &state.members(index)), index.finder.params());
    drop(state);
    let (threads, progress) = (core.options.build_threads, AtomicU32::new(0));
    let built = Finder::build(params, core.generations.room(), &view, &members, threads, &progress, cancel);
    if cancel.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let built = built?;
    view.refuse_unread()?;
    table.replace_graph(index.definition.oid, Arc::new(built), &members);
    table.unlink_slots();
    Ok(true)
}

/// An empty graph in the place of one that is of no use any more: every row is compared exactly. The caller keeps the
/// indexer away.
pub(super) fn discard(core: &Core, table: &Table, index: &VectorIndex) {
    let empty = Arc::new(Finder::new(index.finder.params(), core.generations.room()));
    table.replace_graph(index.definition.oid, empty, &RoaringBitmap::new());
}

/// [`discard`]s a graph at once, and builds another.
pub(super) fn build_anew(
    core: &Core,
    table: &Table,
    index: &VectorIndex,
    cancel: &AtomicBool,
) -> Result<bool> {
    discard(core, table, index);
    rebuild(core, table, index, cancel)
}

/// What may be linked: of damaged vectors nobody knows where they belong.
fn without_damaged(view: &View, slots: &RoaringBitmap) -> RoaringBitmap {
    let mut sound = slots.clone();
    for slot in view.damaged() {
        sound.remove(slot);
    }
    sound
}
