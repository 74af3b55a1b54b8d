//! The graph in memory: parameters, words, entry point, and the view a reader walks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::codes::{Coded, Codes};
use super::links::{Block, Links, LinksView};
use crate::distance::{Element, Metric, Query};
use crate::error::{Error, Result, SqlState};
use crate::fs::mapped::faults;
use crate::index::quantizer::{Coder, Quantization};
use crate::index::room::{Held, Room};
use crate::index::source::Vectors;

/// Locks for writers; a block's is found by its node. Two writers meet on one of 1,024 once in a thousand.
const STRIPES: usize = 1024;

/// What a graph is built with. The names and ranges are pgvector's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Links per node on the upper levels, half of those on level 0.
    pub m: u16,
    /// Candidates held while a node's neighbours are searched.
    pub ef_construction: u16,
    pub metric: Metric,
    /// Walk through codes instead of vectors.
    pub quantization: Option<Quantization>,
}

impl Params {
    pub const M_DEFAULT: u16 = 16;
    pub const M_MIN: u16 = 2;
    pub const M_MAX: u16 = 100;
    pub const EF_CONSTRUCTION_DEFAULT: u16 = 64;
    pub const EF_CONSTRUCTION_MIN: u16 = 4;
    pub const EF_CONSTRUCTION_MAX: u16 = 1000;

    /// Checks the ranges, with pgvector's words.
    pub fn new(m: u16, ef_construction: u16, metric: Metric) -> Result<Params> {
        let within = |name: &str, value: u16, min: u16, max: u16| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            let message = format!("value {value} out of bounds for option \"{name}\"");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .detail(format!("Valid values are between \"{min}\" and \"{max}\".")))
        };
        within("m", m, Self::M_MIN, Self::M_MAX)?;
        within("ef_construction", ef_construction, Self::EF_CONSTRUCTION_MIN, Self::EF_CONSTRUCTION_MAX)?;
        if ef_construction < 2 * m {
            let message = "ef_construction must be greater than or equal to 2 * m";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        Ok(Params { m, ef_construction, metric, quantization: None })
    }

    pub fn quantized(self, quantization: Option<Quantization>) -> Params {
        Params { quantization, ..self }
    }

    /// Most links of a node on `level`.
    pub fn capacity(&self, level: u32) -> usize {
        if level == 0 { 2 * self.m as usize } else { self.m as usize }
    }
}

/// Where searches start: a node of the highest level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub slot: u32,
    pub level: u32,
}

impl Entry {
    const NONE: u64 = u64::MAX;

    pub fn pack(entry: Option<Entry>) -> u64 {
        entry.map_or(Self::NONE, |entry| (u64::from(entry.level) << 32) | u64::from(entry.slot))
    }

    pub fn unpack(word: u64) -> Option<Entry> {
        (word != Self::NONE).then_some(Entry { slot: word as u32, level: (word >> 32) as u32 })
    }
}

/// A graph that is searched, added to and saved at the same time.
pub struct Graph {
    pub(super) params: Params,
    room: Arc<Room>,
    /// What a mapped generation has of the room.
    pub(super) held: Option<Held>,
    /// Level 0, a block per slot.
    pub(super) base: Links,
    /// The levels above, a block per node and level, found through the block below.
    pub(super) upper: Links,
    /// With quantisation, from the first node on.
    pub(super) codes: OnceLock<Codes>,
    /// Upper blocks given out, counting block 0, which nobody gets.
    pub(super) upper_next: AtomicU64,
    /// Upper blocks of nodes that were taken out.
    pub(super) upper_free: Mutex<Vec<u32>>,
    /// An [`Entry`], packed.
    pub(super) entry: AtomicU64,
    /// Held while the entry point changes.
    pub(super) entry_change: Mutex<()>,
    stripes: Box<[Mutex<()>]>,
    /// Shared by whoever adds nodes or saves them, exclusive for taking some out.
    pub(super) shape: RwLock<()>,
    /// Slots that are nodes: everything else is the caller's to search exactly.
    nodes: RwLock<Arc<RoaringBitmap>>,
}

impl Graph {
    /// Without nodes, in plain memory.
    pub fn new(params: Params) -> Graph {
        Graph::new_in(params, &Room::unbounded())
    }

    /// Without nodes; its memory is from `room`.
    pub fn new_in(params: Params, room: &Arc<Room>) -> Graph {
        let links = |level| Links::new(params.capacity(level), room);
        Graph::from_parts(params, room, links(0), links(1), 1, None, RoaringBitmap::new())
    }

    pub(super) fn from_parts(
        params: Params,
        room: &Arc<Room>,
        base: Links,
        upper: Links,
        upper_next: u64,
        entry: Option<Entry>,
        nodes: RoaringBitmap,
    ) -> Graph {
        Graph {
            params,
            room: room.clone(),
            held: None,
            base,
            upper,
            codes: OnceLock::new(),
            upper_next: AtomicU64::new(upper_next),
            upper_free: Mutex::default(),
            entry: AtomicU64::new(Entry::pack(entry)),
            entry_change: Mutex::new(()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            shape: RwLock::new(()),
            nodes: RwLock::new(Arc::new(nodes)),
        }
    }

    pub fn params(&self) -> Params {
        self.params
    }

    /// Where its memory is from.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The slots in the graph now.
    pub fn nodes(&self) -> Arc<RoaringBitmap> {
        self.nodes.read().clone()
    }

    /// Each node with its links on level 0; of a twin its first.
    pub fn base_links(&self) -> Vec<(u32, Vec<u32>)> {
        let base = self.base.view();
        let links = |slot: u32| {
            let block = base.block(slot)?;
            let header = block.header();
            Some(if header.is_twin() { vec![block.link(0)] } else { block.links(header).collect() })
        };
        self.nodes().iter().map(|slot| (slot, links(slot).unwrap_or_default())).collect()
    }

    pub fn contains(&self, slot: u32) -> bool {
        self.nodes.read().contains(slot)
    }

    pub fn len(&self) -> u64 {
        self.nodes.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.read().is_empty()
    }

    /// An error (58030) when links or codes could not be read, ever: the graph is of no use from then on. Asked after a
    /// walk, whose answer then counts for nothing, and before the graph is used or saved.
    pub fn refuse_unread(&self) -> Result<()> {
        if faults() == 0 {
            return Ok(());
        }
        self.base.refuse_unread()?;
        self.upper.refuse_unread()?;
        self.codes.get().map_or(Ok(()), Codes::refuse_unread)
    }

    /// Bytes of links and codes, in memory or mapped.
    pub fn bytes(&self) -> u64 {
        self.base.bytes() + self.upper.bytes() + self.codes.get().map_or(0, Codes::bytes)
    }

    /// How many of its nodes have their links and codes in memory, when not all have: the others' are in a file.
    pub fn fitted(&self) -> Option<u64> {
        let first = |words: Option<u64>| words.unwrap_or(u64::MAX);
        let slot = first(self.base.first_mapped()).min(first(self.codes.get().and_then(Codes::first_mapped)));
        let slot = u32::try_from(slot).ok()?;
        let fitted = self.nodes().range_cardinality(..slot);
        (fitted < self.len()).then_some(fitted)
    }

    /// What a quantised graph is walked through; `None` for any other graph, and for one without nodes.
    pub fn coded<'a, V: Vectors>(&'a self, vectors: &'a V) -> Option<Coded<'a, V>> {
        self.codes.get().map(|codes| codes.over(vectors))
    }

    /// The codes of new nodes, if any, made for vectors like those of `sample` when these are the first.
    pub(super) fn codes_for<V: Vectors>(&self, vectors: &V, sample: &[u32]) -> Option<&Codes> {
        let quantization = self.params.quantization?;
        let new = || {
            let most = self.sample_max(quantization, vectors.dimensions());
            let step = sample.len().div_ceil(most).max(1);
            let slots = sample.iter().step_by(step).filter(|&&slot| slot < vectors.slots_end());
            let with_vector = slots.filter(|&&slot| self.takes(vectors.norm(slot)));
            let sample = with_vector.map(|&slot| vectors.get(slot));
            let coder = Coder::new(quantization, self.params.metric, vectors.dimensions(), sample);
            Codes::new(coder, &self.room)
        };
        Some(self.codes.get_or_init(new))
    }

    /// Rows to make a coder of: fewer than it likes where they would take more than half of the memory there is.
    fn sample_max(&self, quantization: Quantization, dimensions: usize) -> usize {
        // Of pq the row, its direction, where it is along the axes, and in columns.
        const COPIES: u64 = 4;
        let row_bytes = COPIES * Element::F32.bytes(dimensions) as u64;
        let fit = (self.room.held_max() / 2 / row_bytes).max(1);
        quantization.sample_max().min(usize::try_from(fit).unwrap_or(usize::MAX))
    }

    /// Whether codes made for other vectors would serve a table of so many rows better: their centre is that of a few, and
    /// there are four times as many now, or they have moved away from it.
    pub fn wants_training(&self, rows: u64) -> bool {
        let Some(codes) = self.codes.get() else { return false };
        let count = codes.coder().trained_on();
        let coder = codes.coder();
        let enough = self.sample_max(coder.quantization, coder.dimensions) / 2;
        let is_of_few = (count as usize) < enough && rows > 4 * u64::from(count.max(64));
        is_of_few || codes.are_off(&self.nodes())
    }

    /// Whether a vector of this norm has a place in the graph: not NULL, and under cosine not zero.
    pub fn takes(&self, norm: f32) -> bool {
        norm.is_finite() && (norm > 0.0 || self.params.metric != Metric::Cosine)
    }

    pub(super) fn add_node(&self, slot: u32) {
        Arc::make_mut(&mut self.nodes.write()).insert(slot);
    }

    pub(super) fn change_nodes(&self, change: impl FnOnce(&mut RoaringBitmap)) {
        change(Arc::make_mut(&mut self.nodes.write()));
    }

    /// The lock under which the blocks of `slot` are written.
    pub(super) fn stripe(&self, slot: u32) -> &Mutex<()> {
        &self.stripes[slot as usize % STRIPES]
    }

    pub(super) fn entry(&self) -> Option<Entry> {
        Entry::unpack(self.entry.load(Ordering::Acquire))
    }

    pub(super) fn set_entry(&self, entry: Option<Entry>) {
        self.entry.store(Entry::pack(entry), Ordering::Release);
    }

    /// What a reader walks: the entry first, then the blocks, so that the entry's are there.
    pub(super) fn reader<'a, V: Vectors>(&self, vectors: &'a V) -> Reader<'a, V> {
        let entry = self.entry();
        let (base, upper) = (self.base.view(), self.upper.view());
        let bound = base.end().min(vectors.slots_end());
        let metric = self.params.metric;
        let entry = entry.filter(|entry| entry.slot < bound);
        Reader { entry, base, upper, bound, vectors, metric, announces: true }
    }
}

/// The graph at one moment, with the vectors of its nodes.
pub(super) struct Reader<'a, V> {
    pub entry: Option<Entry>,
    base: LinksView,
    upper: LinksView,
    /// Slots from here on are not followed: their block or their vector may be missing.
    pub bound: u32,
    pub vectors: &'a V,
    pub metric: Metric,
    /// Whether a node's links are told to [`Vectors::will_need`], so that they are read from the disk together. A build's
    /// are mostly there, and telling costs more than reading the few that are not.
    pub announces: bool,
}

impl<'a, V: Vectors> Reader<'a, V> {
    /// The block of a slot below the bound on level 0.
    #[inline]
    pub fn base(&self, slot: u32) -> Option<Block<'_>> {
        self.base.block(slot)
    }

    /// Whether a slot has no links of its own: it is the twin of another node, or has no block.
    pub fn is_twin(&self, slot: u32) -> bool {
        self.base(slot).is_none_or(|block| block.header().is_twin())
    }

    /// The block of a slot on `level`, if the node is that high.
    #[inline]
    pub fn block(&self, slot: u32, level: u32) -> Option<Block<'_>> {
        let mut block = self.base.block(slot)?;
        for _ in 0..level {
            let header = block.header();
            if header.is_twin() || header.up() == 0 {
                return None;
            }
            block = self.upper.block(header.up())?;
        }
        Some(block)
    }

    #[inline(always)]
    pub fn rank(&self, query: &Query, slot: u32) -> f32 {
        query.rank(self.vectors.get(slot), self.vectors.norm(slot))
    }

    /// A stored vector as a query.
    #[inline]
    pub fn query(&self, slot: u32) -> Query<'a> {
        self.vectors.query(self.metric, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_pgvectors_ranges() {
        assert!(Params::new(16, 64, Metric::L2).is_ok());
        assert!(Params::new(2, 4, Metric::L2).is_ok());
        for (m, ef_construction) in [(1, 64), (101, 1000), (16, 3), (16, 1001), (40, 64)] {
            let error = Params::new(m, ef_construction, Metric::L2).unwrap_err();
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        }
    }
}
