//! Codes of a quantised graph's nodes, by slot, beside its links: a block of words each, as `quantizer::coder` draws it.
//!
//! A block is written before its node is linked, and not again while somebody may walk there: a slot gets another
//! vector only after no graph, snapshot or search knows the former one. So codes are read as plain words.
//!
//! [`Coded`] is a source of vectors like any other, so that a walk through codes is the same code as one through
//! vectors.
//!
//! Nodes of `sq8` are twins when their codes are the same and their scales nearly: what tells them apart is finer than a
//! code, and hundreds of such nodes would fill each other's links as equal vectors would. Ranking by the vectors tells them
//! apart in the answer.

use std::sync::Arc;

use super::links::{Links, LinksView};
use crate::distance::Vector;
use crate::fs::WordMap;
use crate::fs::mapped::{plain_words, prefetch};
use crate::index::quantizer::{Coder, Encoded, bq};
use crate::index::source::Vectors;

/// The codes of a graph, growing with it.
pub struct Codes {
    coder: Coder,
    blocks: Links,
}

/// Scales of one code are the same when they differ by less than half a step at the greatest element does.
const SCALE_TOLERANCE: f32 = 1.0 / 254.0;

impl Codes {
    pub fn new(coder: Coder) -> Codes {
        let words = Coder::words(coder.quantization, coder.dimensions);
        Codes { coder, blocks: Links::new(words - 1) }
    }

    /// Those of a mapped generation, from word `start` on.
    pub fn mapped(coder: Coder, map: &Arc<WordMap>, start: usize, slots: u32) -> Codes {
        let words = Coder::words(coder.quantization, coder.dimensions);
        Codes { coder, blocks: Links::mapped(words - 1, map, start, slots) }
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
    }

    pub fn view(&self) -> LinksView {
        self.blocks.view()
    }

    pub fn bytes(&self) -> u64 {
        self.blocks.bytes()
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

    #[inline]
    fn get(&self, slot: u32) -> Vector<'_> {
        self.coder.read(self.blocks.words(slot))
    }

    #[inline]
    fn norm(&self, slot: u32) -> f32 {
        self.coder.norm(self.blocks.words(slot))
    }

    #[inline]
    fn prefetch(&self, slot: u32) {
        prefetch(self.blocks.words(slot));
    }

    fn same(&self, a: u32, b: u32) -> bool {
        match (self.get(a), self.get(b)) {
            (Vector::Code { codes: a, scale: a_scale }, Vector::Code { codes: b, scale: b_scale }) => {
                a == b && (a_scale - b_scale).abs() <= SCALE_TOLERANCE * a_scale
            }
            (a, b) => a == b,
        }
    }
}

impl<V> Coded<'_, V> {
    pub fn query(&self, vector: Vector) -> Encoded {
        self.coder.query(vector)
    }

    /// The error of a code of signs, before ε and the query's reach.
    pub fn error(&self, slot: u32) -> f32 {
        bq::error(plain_words(self.blocks.words(slot)))
    }
}
