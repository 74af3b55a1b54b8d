//! Scalar quantisation to eight bits, each vector in its own scale.
//!
//! `code[i] = round(v[i] / scale)` with `scale = max |v[i]| / 127`, so that a product of vectors is a product of codes:
//! `a · b ≈ scale_a · scale_b · Σ code_a[i] · code_b[i]`, added exactly in integers. There is no range to train, and nothing
//! to clamp when the data changes. Vectors come here as they are seen from a centre (`centre.rs`).
//!
//! **Accuracy.** An element is off by at most half a scale. For n dimensions of which the greatest is c times the root
//! mean square, the product of two vectors is off by about `c / (127 √6 √n)` of |a||b|: 0.0005 for n = 384 and c = 3.
//! One element that towers above the others makes the steps coarse, and rescoring more important.

use crate::distance::Vector;

/// The greatest code: -128 stays unused, so that codes are symmetric.
const CODE_MAX: f32 = 127.0;

/// A vector as a code of its own memory: a query, usually.
#[derive(Clone, Debug, Default)]
pub struct Code {
    pub codes: Vec<i8>,
    /// Of one step, in the vector's units.
    pub scale: f32,
}

impl Code {
    pub fn of(vector: Vector) -> Code {
        let mut code = Code::default();
        code.set(vector);
        code
    }

    /// Replaces the code, and keeps its memory.
    pub fn set(&mut self, vector: Vector) {
        self.codes.clear();
        self.scale = match vector {
            Vector::F32(values) => encode(values.iter().copied(), &mut self.codes),
            Vector::F16(values) => encode(values.iter().map(|value| value.to_f32()), &mut self.codes),
            Vector::Code { codes, scale } => {
                self.codes.extend_from_slice(codes);
                scale
            }
            other => panic!("no code of eight bits is made of a vector of {:?}", other.element()),
        };
    }

    pub fn vector(&self) -> Vector<'_> {
        Vector::Code { codes: &self.codes, scale: self.scale }
    }
}

/// Appends the codes, and returns the scale: 0 for the zero vector.
fn encode(values: impl Iterator<Item = f32> + Clone, codes: &mut Vec<i8>) -> f32 {
    let greatest = values.clone().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
    let scale = greatest / CODE_MAX;
    // 0 when the scale is 0 or so small that its inverse is infinite: everything rounds to 0.
    let steps = if scale > 0.0 && scale.recip().is_finite() { scale.recip() } else { 0.0 };
    // `as` saturates.
    codes.extend(values.map(|value| rounded(value * steps) as i8));
    scale
}

/// To the nearest integer, ties to even ones, for numbers below 2^22: a sum of this size has no digits behind the point.
/// Unlike `round_ties_even` it is no call of a function where processors may lack an instruction for it.
fn rounded(x: f32) -> f32 {
    const SHIFT: f32 = 3.0 * (1 << 22) as f32;
    (x + SHIFT) - SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::{Metric, Query};

    use proptest::prelude::*;

    fn rank(metric: Metric, a: &[f32], b: &[f32]) -> (f32, f32) {
        let (a, b) = (Vector::F32(a), Vector::F32(b));
        let (a_norm, b_norm) = (a.norm() as f32, b.norm() as f32);
        let exact = Query::stored(metric, a, a_norm).rank(b, b_norm);
        let (a_code, b_code) = (Code::of(a), Code::of(b));
        let b_norm = b_code.vector().norm() as f32;
        (exact, Query::new(metric, a_code.vector()).rank(b_code.vector(), b_norm))
    }

    proptest! {
        /// Each element is off by at most half a step, so a product by at most the sum of what that makes.
        #[test]
        fn ranks_of_codes_are_within_the_bound(
            pairs in proptest::collection::vec((-100.0f32..100.0, -100.0f32..100.0), 1..200)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let sum = |values: &[f32]| values.iter().map(|value| value.abs()).sum::<f32>();
            let (a_step, b_step) = (Code::of((&a).into()).scale, Code::of((&b).into()).scale);
            let half = |step: f32| step * 0.5001;
            let bound = half(a_step) * sum(&b) + half(b_step) * sum(&a)
                + half(a_step) * half(b_step) * a.len() as f32 + 1e-3 * sum(&a).max(1.0) * 1e-2;
            let (exact, coded) = rank(Metric::InnerProduct, &a, &b);
            prop_assert!((exact - coded).abs() <= bound, "{exact} and {coded}: more than {bound}");
            // The triangle: each end has moved by at most half a step in each dimension.
            let (exact, coded) = rank(Metric::L2, &a, &b);
            let moved = (half(a_step) + half(b_step)) * (a.len() as f32).sqrt();
            prop_assert!((exact.sqrt() - coded.sqrt()).abs() <= moved * 1.01 + 1e-3 * (sum(&a) + sum(&b)),
                "{exact} and {coded}: moved by more than {moved}");
        }
    }

    #[test]
    fn codes_are_rounded_to_the_nearest_ties_to_even() {
        let halves = (-2_600..2_600).map(|number| number as f32 / 20.0);
        let all = halves.flat_map(|x| [x.next_down(), x, x.next_up()]);
        all.for_each(|x| assert_eq!(rounded(x), x.round_ties_even(), "{x}"));
        assert!(rounded(f32::NAN).is_nan());
    }

    #[test]
    fn a_vector_is_its_own_nearest() {
        let a: Vec<f32> = (0..384).map(|i| (i as f32 * 0.37).sin()).collect();
        for metric in [Metric::L2, Metric::Cosine] {
            let (_, coded) = rank(metric, &a, &a);
            assert!(coded.abs() < 0.02, "{metric:?}: {coded}");
        }
    }

    #[test]
    fn the_zero_vector_and_the_smallest_ones_have_codes() {
        for values in [vec![0.0f32; 3], vec![f32::from_bits(1); 3], vec![f32::MIN_POSITIVE; 3]] {
            let code = Code::of((&values).into());
            assert!(code.scale.is_finite() && code.codes.len() == 3, "{code:?}");
        }
        assert_eq!(Code::of((&[f32::MAX, -f32::MAX, 0.0]).into()).codes, [127, -127, 0]);
    }
}
