//! Codes of a quantised graph's nodes, by slot, beside its links: a block of words each, as `quantizer::coder` draws it.
//!
//! A block is written before its node is linked, and not again while somebody may walk there: a slot gets another
//! vector only after no graph, snapshot or search knows the former one. So codes are read as plain words.
//!
//! [`Coded`] is a source of vectors like any other, so that a walk through codes is the same code as one through
//! vectors.
//!
//! Nodes are twins when their codes are nearly the same: what tells them apart is finer than a code, and hundreds of such
//! nodes would fill each other's links as equal vectors would. Ranking by the vectors tells them apart in the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roaring::RoaringBitmap;

use super::links::{Links, LinksView};
use crate::distance::{Metric, Query, Vector};
use crate::error::Result;
use crate::fs::WordMap;
use crate::fs::mapped::prefetch;
use crate::index::quantizer::{Coder, Encoded};
use crate::index::room::Room;
use crate::index::source::Vectors;

/// The codes of a graph, growing with it.
pub struct Codes {
    coder: Coder,
    blocks: Links,
    /// Codes made since somebody looked whether their centre is still right.
    unseen: AtomicU64,
}

/// Scales of one code are the same when they differ by less than half a step at the greatest element does.
const SCALE_TOLERANCE: f32 = 1.0 / 254.0;
/// Elements of halves and of bfloat16s are the same when they differ by no more than the last digit of the greatest.
const F16_TOLERANCE: f32 = 1.0 / 1024.0;
const BF16_TOLERANCE: f32 = 1.0 / 128.0;
/// Codes that show where the middle of all is, to within a tenth of what would matter.
const MIDDLE_SAMPLE: u64 = 500;

impl Codes {
    pub fn new(coder: Coder, room: &Arc<Room>) -> Codes {
        let words = Coder::words(coder.quantization, coder.dimensions);
        Codes { coder, blocks: Links::new(words - 1, room), unseen: AtomicU64::new(0) }
    }

    /// Those of a mapped generation, from word `start` on.
    pub fn mapped(coder: Coder, map: &Arc<WordMap>, start: usize, slots: u32, room: &Arc<Room>) -> Codes {
        let words = Coder::words(coder.quantization, coder.dimensions);
        let blocks = Links::mapped(words - 1, map, start, slots, room);
        Codes { coder, blocks, unseen: AtomicU64::new(u64::from(slots)) }
    }

    pub fn coder(&self) -> &Coder {
        &self.coder
    }

    /// Makes room for slots up to `last`.
    pub fn grow(&self, last: u32) {
        self.blocks.grow(u64::from(last) + 1);
    }

    /// Makes the code of a slot's vector.
    pub fn write(&self, slot: u32, vector: Vector) {
        self.grow(slot);
        let view = self.blocks.view();
        view.block(slot).expect("grown before").store(self.coder.encode(vector).into_iter());
        self.unseen.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the codes of `nodes` would be much finer from another centre: rows may move away from where the first ones
    /// were. It looks once when opened, and then whenever a quarter is new.
    pub fn are_off(&self, nodes: &RoaringBitmap) -> bool {
        let unseen = self.unseen.load(Ordering::Relaxed);
        if nodes.len() < MIDDLE_SAMPLE || unseen < nodes.len() / 4 {
            return false;
        }
        self.unseen.fetch_sub(unseen, Ordering::Relaxed);
        let view = self.blocks.view();
        let places = (0..MIDDLE_SAMPLE).map(|at| (at * nodes.len() / MIDDLE_SAMPLE) as u32);
        let slots = places.filter_map(|place| nodes.select(place)).filter(|&slot| slot < view.end());
        self.coder.is_off(slots.map(|slot| view.words(slot)))
    }

    pub fn view(&self) -> LinksView {
        self.blocks.view()
    }

    /// [`Links::refuse_unread`] of codes.
    pub fn refuse_unread(&self) -> Result<()> {
        self.blocks.refuse_unread()
    }

    pub fn bytes(&self) -> u64 {
        self.blocks.bytes()
    }

    /// The first slot whose code is not in memory, if any is not.
    pub fn first_mapped(&self) -> Option<u64> {
        self.blocks.first_mapped()
    }

    /// The codes as a source of vectors, with the vectors behind them.
    pub fn over<'a, V>(&'a self, exact: &'a V) -> Coded<'a, V> {
        Coded { coder: &self.coder, blocks: self.blocks.view(), exact }
    }
}

/// Codes in place of vectors.
pub struct Coded<'a, V> {
    coder: &'a Coder,
    blocks: LinksView,
    exact: &'a V,
}

impl<V: Vectors> Vectors for Coded<'_, V> {
    fn dimensions(&self) -> usize {
        self.coder.dimensions
    }

    fn slots_end(&self) -> u32 {
        self.exact.slots_end().min(self.blocks.end())
    }

    fn bytes(&self) -> usize {
        self.blocks.stride() * size_of::<u32>()
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> Vector<'_> {
        self.coder.read(self.blocks.words(slot))
    }

    #[inline(always)]
    fn norm(&self, slot: u32) -> f32 {
        self.coder.norm(self.blocks.words(slot))
    }

    #[inline(always)]
    fn prefetch(&self, slot: u32) {
        prefetch(self.blocks.words(slot));
    }

    #[inline]
    fn query(&self, _: Metric, slot: u32) -> Query<'_> {
        self.coder.ask(self.get(slot), self.norm(slot))
    }

    fn same(&self, a: u32, b: u32) -> bool {
        match (self.get(a), self.get(b)) {
            (Vector::Code { codes: a, scale: a_scale }, Vector::Code { codes: b, scale: b_scale }) => {
                a == b && (a_scale - b_scale).abs() <= SCALE_TOLERANCE * a_scale
            }
            (Vector::F16(a), Vector::F16(b)) => same_within(a, b, F16_TOLERANCE),
            (Vector::Bf16(a), Vector::Bf16(b)) => same_within(a, b, BF16_TOLERANCE),
            (a, b) => a == b,
        }
    }
}

/// Whether no elements differ by more than such a part of the greatest of `a`.
fn same_within<T: Copy + Into<f32>>(a: &[T], b: &[T], part: f32) -> bool {
    let most = part * a.iter().fold(0.0f32, |greatest, &x| greatest.max(x.into().abs()));
    a.iter().zip(b).all(|(&x, &y)| (x.into() - y.into()).abs() <= most)
}

impl<V> Coded<'_, V> {
    pub fn query(&self, vector: Vector) -> Encoded {
        self.coder.query(vector)
    }

    /// The coder, which knows how codes are compared.
    pub fn coder(&self) -> &Coder {
        self.coder
    }

    /// The step of a slot's code, of bytes.
    #[inline]
    pub fn step(&self, slot: u32) -> f32 {
        self.coder.step(self.blocks.words(slot))
    }

    /// The standard deviation of the rank that a query gives a slot's code, where codes know it.
    pub fn deviation(&self, query: &Encoded, slot: u32) -> f32 {
        self.coder.deviation(query, self.blocks.words(slot))
    }
}
