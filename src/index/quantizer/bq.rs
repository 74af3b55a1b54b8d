//! One bit per dimension with a bound on what that loses (Gao and Long, "RaBitQ", 2024).
//!
//! ```text
//!   t = vector - centre          (under cosine, of the vector of length one)
//!   x = rotate(t) / |t|          a unit vector whose elements are all alike
//!   code = the signs of x        a corner of the cube, s / √n, at an angle to x whose cosine is α = Σ|xᵢ| / √n
//!
//!   <t, q - centre>  ≈  |t| · <s/√n, rotate(q - centre)> / α
//!                       off by more than ε·|t|·|q - centre|·√(1/α² - 1)/√(n-1) hardly ever
//! ```
//!
//! The estimate is unbiased, and α is known exactly when the code is made, so that each code carries the size of its own
//! error. A code is `[error][add][factor][signs]`: distances are `add + query's add + scale · factor · Σ±q`. Under cosine
//! vectors have length one, and it is half the square of the L2 distance.
//!
//! Differences from the paper: one centre for all vectors (`centre.rs`), because a graph has no clusters; a rotation of
//! n log n (`rotation.rs`); a query's elements are rounded to the nearest of sixteen numbers, not at random.

use super::rotation::{padded, rotate};
use crate::distance::signs::{PLANES, Planes};
use crate::distance::{Metric, Vector};

/// Words before the signs.
const HEAD_WORDS: usize = 3;

/// Words of a code.
pub fn words(dimensions: usize) -> usize {
    HEAD_WORDS + padded(dimensions) / 32
}

/// The error bound of a code, to be multiplied by ε and the query's reach.
pub fn error(code: &[u32]) -> f32 {
    f32::from_bits(code[0])
}

/// A code as what ranks take.
#[inline]
pub fn read(code: &[u32]) -> Vector<'_> {
    let [_, add, factor] = [0, 1, 2].map(|word| f32::from_bits(code[word]));
    Vector::Signs { bits: &code[HEAD_WORDS..], add, factor }
}

/// A vector as it is seen from the centre, and what a rank takes from it alone.
pub struct Seen {
    pub values: Vec<f32>,
    pub add: f32,
}

/// The code of a vector.
pub fn encode(seen: Seen, code: &mut Vec<u32>) {
    let Turned { rotated, reach } = Turned::new(seen.values);
    let n = rotated.len() as f32;
    let sum: f32 = rotated.iter().map(|x| x.abs()).sum();
    // √n · |t| · α; zero for the centre itself, which has no direction.
    let (factor, error) = if sum > 0.0 && sum.is_finite() {
        let alpha = (sum / (n.sqrt() * reach)).min(1.0);
        (reach * reach / sum, reach * (alpha.powi(-2) - 1.0).sqrt() / (n - 1.0).sqrt())
    } else {
        (0.0, 0.0)
    };
    code.extend([error.to_bits(), seen.add.to_bits(), factor.to_bits()]);
    code.extend(rotated.chunks(32).map(|values| {
        values.iter().enumerate().fold(0, |word, (at, &value)| word | u32::from(value > 0.0) << at)
    }));
}

/// The query that codes are compared with, which takes `scale` times the product.
pub fn query(seen: Seen, scale: f32) -> Planes {
    let (dimensions, add) = (seen.values.len(), seen.add);
    let Turned { rotated, reach } = Turned::new(seen.values);
    let (low, high) =
        rotated.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    let greatest = ((1 << PLANES) - 1) as f32;
    let step = (high - low) / greatest;
    let inverse = if step > 0.0 && step.recip().is_finite() { step.recip() } else { 0.0 };
    let words = rotated.len() / 32;
    let mut bits = vec![0u32; PLANES * words];
    let mut total = 0;
    for (at, &value) in rotated.iter().enumerate() {
        // `as` saturates and makes 0 of NaN.
        let number = (((value - low) * inverse).round() as u32).min((1 << PLANES) - 1);
        total += number;
        for plane in 0..PLANES {
            bits[plane * words + at / 32] |= (number >> plane & 1) << (at % 32);
        }
    }
    let sum = low * rotated.len() as f32 + step * total as f32;
    Planes { bits, low, step, sum, add, scale, reach, dimensions }
}

/// What was seen, rotated.
struct Turned {
    rotated: Vec<f32>,
    /// Its length.
    reach: f32,
}

impl Turned {
    fn new(mut rotated: Vec<f32>) -> Turned {
        let square: f32 = rotated.iter().map(|x| x * x).sum();
        rotated.resize(padded(rotated.len()), 0.0);
        rotate(&mut rotated);
        Turned { rotated, reach: square.sqrt() }
    }
}

/// A centre as graphs had it before format 4: the mean, with ranks of cosine that come from products. These lose to
/// rounding what vectors in nearly one direction differ by.
pub struct Mean {
    pub point: Vec<f32>,
    pub count: u32,
}

impl Mean {
    pub fn encode(&self, metric: Metric, vector: &[f32], code: &mut Vec<u32>) {
        encode(self.see(metric, vector), code);
    }

    pub fn query(&self, metric: Metric, vector: &[f32]) -> Planes {
        let mut seen = self.see(metric, vector);
        if metric != Metric::L2 {
            // <o, q> = <o-c, q-c> + <o, c> + <q, c> - <c, c>, and the code has the second.
            seen.add += self.point.iter().map(|x| x * x).sum::<f32>();
        }
        if metric == Metric::Cosine {
            seen.add += 1.0;
        }
        query(seen, if metric == Metric::L2 { -2.0 } else { -1.0 })
    }

    fn see(&self, metric: Metric, vector: &[f32]) -> Seen {
        let length = if metric == Metric::Cosine { Vector::F32(vector).norm() as f32 } else { 1.0 };
        let unit = if length > 0.0 { length.recip() } else { 1.0 };
        let values: Vec<f32> = vector.iter().zip(&self.point).map(|(x, c)| x * unit - c).collect();
        let square: f32 = values.iter().map(|x| x * x).sum();
        let with_centre: f32 = vector.iter().zip(&self.point).map(|(x, c)| x * unit * c).sum();
        Seen { values, add: if metric == Metric::L2 { square } else { -with_centre } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Query;
    use crate::index::quantizer::{Coder, Quantization};

    fn coder(metric: Metric, sample: &[Vec<f32>]) -> Coder {
        Coder::new(Quantization::Bq, metric, sample[0].len(), sample.iter().map(Vector::from))
    }

    /// Numbers that look random and are always the same.
    fn vectors(count: usize, dimensions: usize, offset: f32) -> Vec<Vec<f32>> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| (0..dimensions).map(|_| next() + next() + next() + offset).collect()).collect()
    }

    #[test]
    fn estimates_keep_their_bound_and_have_no_bias() {
        // ε of the paper: more than this many standard deviations is rare.
        const EPSILON: f32 = 3.0;
        for (dimensions, offset) in [(64, 0.0), (100, 200.0), (384, 0.5), (768, -1.0)] {
            let all = vectors(220, dimensions, offset);
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                let coder = coder(metric, &all);
                let (mut beyond, mut sum, mut count) = (0, 0.0, 0);
                for q in &all[..20] {
                    let encoded = coder.query(q.into());
                    let coded = coder.ask_encoded(&encoded);
                    let Vector::Planes(planes) = encoded.vector() else { panic!("another kind") };
                    let exact = Query::new(metric, q);
                    for o in &all[20..] {
                        let code = coder.encode(o.into());
                        assert_eq!(code.len(), words(dimensions));
                        let estimate = coded.rank(read(&code), 0.0);
                        let rank = exact.rank(o.into(), Vector::F32(o).norm() as f32);
                        let bound = planes.scale.abs() * error(&code) * planes.reach;
                        beyond += usize::from((estimate - rank).abs() > EPSILON * bound);
                        sum += (estimate - rank) / bound;
                        count += 1;
                    }
                }
                assert!(
                    beyond * 50 <= count,
                    "{metric:?}, {dimensions}: {beyond} of {count} beyond the bound"
                );
                assert!(
                    (sum / count as f32).abs() < 0.3,
                    "{metric:?}, {dimensions}: biased by {}",
                    sum / count as f32
                );
            }
        }
    }

    #[test]
    fn the_centre_and_the_smallest_vectors_have_codes() {
        let centre = [1.0f32, 2.0, 3.0];
        for vector in [centre, [f32::from_bits(1); 3], [0.0; 3], [f32::MAX; 3]] {
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                let coder = coder(metric, &[centre.to_vec()]);
                let query = coder.query((&vector).into());
                let Vector::Planes(planes) = query.vector() else { panic!("another kind") };
                let bits = planes.bits.len();
                assert_eq!((coder.encode((&vector).into()).len(), bits), (words(3), PLANES * 2));
            }
        }
    }
}
