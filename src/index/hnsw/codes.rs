//! Codes of a quantised graph's nodes, by slot, beside its links.
//!
//! ```text
//!   block of a slot = [norm f32][scale f32][codes, four to a word, filled up with zeros]
//! ```
//!
//! A block is written before its node is linked, and not again while somebody may walk there: a slot gets another
//! vector only after no graph, snapshot or search knows the former one. So codes are read as plain bytes.
//!
//! [`Coded`] is a source of vectors like any other, so that a walk through codes is the same code as one through
//! vectors. The norm is that of the code: distances of codes are then true distances, of points a little beside the
//! vectors, and a graph over them is as sound as one over vectors.
//!
//! Nodes are twins when their codes are the same and their scales nearly: what tells them apart is finer than a code,
//! and hundreds of such nodes would fill each other's links as equal vectors would. Ranking by the vectors tells them
//! apart in the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::links::{Links, LinksView};
use crate::distance::Vector;
use crate::fs::WordMap;
use crate::fs::mapped::{prefetch, words_as_codes};
use crate::index::quantizer::sq8::Code;
use crate::index::source::Vectors;

/// Words before the codes.
const HEAD_WORDS: usize = 2;

/// The codes of a graph, growing with it.
pub struct Codes {
    dimensions: usize,
    blocks: Links,
}

/// Scales of one code are the same when they differ by less than half a step at the greatest element does.
const SCALE_TOLERANCE: f32 = 1.0 / 254.0;

/// Words of a slot's block.
pub fn stride(dimensions: usize) -> usize {
    HEAD_WORDS + dimensions.div_ceil(4)
}

impl Codes {
    pub fn new(dimensions: usize) -> Codes {
        Codes { dimensions, blocks: Links::new(stride(dimensions) - 1) }
    }

    /// Those of a mapped generation, from word `start` on.
    pub fn mapped(dimensions: usize, map: &Arc<WordMap>, start: usize, slots: u32) -> Codes {
        Codes { dimensions, blocks: Links::mapped(stride(dimensions) - 1, map, start, slots) }
    }

    /// Makes room for slots up to `last`.
    pub fn grow(&self, last: u32) {
        self.blocks.grow(u64::from(last) + 1);
    }

    /// Makes the code of a slot's vector.
    pub fn write(&self, slot: u32, vector: Vector) {
        self.grow(slot);
        let code = Code::of(vector);
        let words = code.codes.chunks(4).map(|four| {
            let mut bytes = [0u8; 4];
            bytes.iter_mut().zip(four).for_each(|(byte, code)| *byte = code.to_le_bytes()[0]);
            u32::from_le_bytes(bytes)
        });
        let head = [(code.vector().norm() as f32).to_bits(), code.scale.to_bits()];
        let view = self.blocks.view();
        view.block(slot).expect("grown before").store(head.into_iter().chain(words));
    }

    pub fn view(&self) -> LinksView {
        self.blocks.view()
    }

    pub fn bytes(&self) -> u64 {
        self.blocks.bytes()
    }

    /// The codes as a source of vectors, with the vectors behind them.
    pub fn over<'a, V>(&self, exact: &'a V) -> Coded<'a, V> {
        Coded { dimensions: self.dimensions, blocks: self.blocks.view(), exact }
    }
}

/// Codes in place of vectors.
pub struct Coded<'a, V> {
    dimensions: usize,
    blocks: LinksView,
    exact: &'a V,
}

impl<V: Vectors> Vectors for Coded<'_, V> {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn slots_end(&self) -> u32 {
        self.exact.slots_end().min(self.blocks.end())
    }

    #[inline]
    fn get(&self, slot: u32) -> Vector<'_> {
        let (codes, scale) = self.code(slot);
        Vector::Code { codes, scale }
    }

    #[inline]
    fn norm(&self, slot: u32) -> f32 {
        f32::from_bits(self.blocks.words(slot)[0].load(Ordering::Relaxed))
    }

    #[inline]
    fn prefetch(&self, slot: u32) {
        prefetch(self.blocks.words(slot));
    }

    fn same(&self, a: u32, b: u32) -> bool {
        let ((a, a_scale), (b, b_scale)) = (self.code(a), self.code(b));
        a == b && (a_scale - b_scale).abs() <= SCALE_TOLERANCE * a_scale
    }
}

impl<V> Coded<'_, V> {
    #[inline]
    fn code(&self, slot: u32) -> (&[i8], f32) {
        let words = self.blocks.words(slot);
        let codes = &words_as_codes(&words[HEAD_WORDS..])[..self.dimensions];
        (codes, f32::from_bits(words[1].load(Ordering::Relaxed)))
    }
}
