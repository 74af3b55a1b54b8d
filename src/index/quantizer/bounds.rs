//! Between which two numbers the rank of a vector is, given that of its code of bytes.
//!
//! An element of a code is half a step beside that of the vector at most, so the vector is in a ball around its code, and
//! so is the query around its own:
//!
//! ```text
//!        query                                         vector
//!      (   · q   )  <----- distance of codes ----->  (   · v   )
//!        e_q                                           e_v = step / 2 · √dimensions
//!
//!   |query - vector|     is within  e_q + e_v                      of the distance of codes
//!   <query, vector>      is within  e_q (|v| + e_v) + |q| e_v      of the product of codes
//! ```
//!
//! These are no estimates. A search through codes that compares by their vectors all rows that the bounds leave open finds
//! exactly what one through vectors finds, for a quarter of the memory's traffic.

use super::sq8;
use crate::distance::{Metric, Vector};

/// Half a step, and what rounding to f32 adds on the way to a code.
const HALF_STEP: f64 = 0.5001;
/// Of an element of a code.
const CODE_MAX: f64 = 127.0;
/// Of an element that is lost altogether, where steps are too small for a float.
const LOST: f64 = 1e-36;
/// Ranks of vectors beyond it may have left f32's range on the way.
const RANK_MAX: f64 = 1e37;

/// Of one query among codes that are seen from one centre. Numbers are as seen from there, so many times as large as those
/// of vectors, where nothing else is said.
pub struct Bounds {
    metric: Metric,
    /// e_q, e_v by step, and what e_v is without a step.
    query_error: f64,
    error_by_step: f64,
    error_min: f64,
    /// |q|
    query_norm: f64,
    /// |v| by step, at most.
    norm_by_step: f64,
    /// The query's term.
    term: f64,
    /// <centre, centre>, of vectors.
    centre_square: f64,
    magnification: f64,
    /// The part of a sum that adding it up in f32 may lose.
    rounding: f64,
    /// The length of the query, of vectors.
    length: f64,
}

impl Bounds {
    /// For a query, what is `seen` of it from the centre, its code, and the first word of that.
    pub fn new(
        metric: Metric,
        query: Vector,
        seen: &[f32],
        (code, term): (&sq8::Code, f32),
        (magnification, centre_square): (f32, f64),
    ) -> Bounds {
        let coded = |element: i8| f64::from(element) * f64::from(code.scale);
        let square_of_error: f64 =
            seen.iter().zip(&code.codes).map(|(&x, &element)| (f64::from(x) - coded(element)).powi(2)).sum();
        let square: f64 = code.codes.iter().map(|&element| coded(element).powi(2)).sum();
        let root = (seen.len() as f64).sqrt();
        Bounds {
            metric,
            // A sum of a few thousand doubles is off by less than a millionth.
            query_error: square_of_error.sqrt() * (1.0 + 1e-6),
            error_by_step: HALF_STEP * root,
            error_min: LOST * root,
            query_norm: square.sqrt(),
            norm_by_step: CODE_MAX * root,
            term: f64::from(term),
            centre_square,
            magnification: f64::from(magnification),
            // Kernels add eight sums at least beside each other, and put them together in a few more steps.
            rounding: f64::from(f32::EPSILON) * (seen.len() as f64 / 8.0 + 16.0),
            length: query.norm(),
        }
    }

    /// What [`Bounds::is_beyond`] compares with when ranks above `limit` do not count; NaN is no limit.
    pub fn reach(&self, limit: f32) -> f64 {
        if limit.is_nan() || self.metric == Metric::InnerProduct {
            return f64::INFINITY;
        }
        let limit = (f64::from(limit).max(0.0) + self.absolute()) * (1.0 + 2.0 * self.rounding);
        (limit * self.magnification).sqrt() + self.query_error
    }

    /// Whether no rank that a vector may have is within the limit of `reach`: what [`Bounds::of`] says too, without roots.
    #[inline]
    pub fn is_beyond(&self, rank: f32, first: f32, step: f32, reach: f64) -> bool {
        let reach = reach + self.error(f64::from(step));
        f64::from(rank) - self.off_square(f64::from(first)) > reach * reach
    }

    /// e_v
    fn error(&self, step: f64) -> f64 {
        self.error_by_step * step + self.error_min
    }

    /// By how much the square of a distance may be off that was made of both norms and the product.
    fn off_square(&self, norm: f64) -> f64 {
        self.rounding * (self.query_norm * self.query_norm + norm * norm)
    }

    /// What adding in f32 may do to the rank of a vector, however small that is.
    fn absolute(&self) -> f64 {
        if self.metric == Metric::Cosine { self.rounding } else { 0.0 }
    }

    /// The least and the greatest rank that a vector may have whose code has this `rank`, this first word and this step.
    /// Infinite where nothing is certain.
    #[inline]
    pub fn of(&self, rank: f32, first: f32, step: f32) -> (f32, f32) {
        let (rank, first, step) = (f64::from(rank), f64::from(first), f64::from(step));
        let error = self.error(step);
        let (least, greatest, lost) = match self.metric {
            Metric::InnerProduct => {
                let norm = self.norm_by_step * step;
                let off = self.query_error * (norm + error) + self.query_norm * error;
                let off = off + self.rounding * (self.query_norm * norm + self.term.abs() + first.abs());
                let length = self.centre_square.sqrt() + ((norm + error) / self.magnification.sqrt());
                let middle = rank / self.magnification - self.centre_square;
                let off = off / self.magnification;
                (middle - off, middle + off, self.rounding * self.length * length)
            }
            _ => {
                let off = self.off_square(first);
                let least = ((rank - off).max(0.0).sqrt() - self.query_error - error).max(0.0);
                let greatest = (rank + off).sqrt() + self.query_error + error;
                let of_square = |distance: f64| distance * distance / self.magnification;
                (of_square(least), of_square(greatest), self.absolute())
            }
        };
        let lost = |rank: f64| lost + self.rounding * rank.abs();
        let (least, greatest) = (least - lost(least), greatest + lost(greatest));
        if least > -RANK_MAX && greatest < RANK_MAX {
            ((least as f32).next_down(), (greatest as f32).next_up())
        } else {
            (f32::NEG_INFINITY, f32::INFINITY)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::distance::Query;
    use crate::index::quantizer::{Coder, Quantization};

    use proptest::prelude::*;

    /// Rows around somewhere, of any size, some of them far out or all alike.
    fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
        let shape = (1usize..40, 2usize..12, -6i32..7, prop_oneof![Just(0.0f32), Just(3.0), Just(1000.0)]);
        shape.prop_flat_map(|(dimensions, count, exponent, offset)| {
            let element = prop_oneof![8 => -1.0f32..1.0, 1 => -100.0f32..100.0, 1 => Just(0.0f32)];
            let row = proptest::collection::vec(element, dimensions);
            let size = 10f32.powi(exponent);
            proptest::collection::vec(row, count).prop_map(move |rows| {
                rows.iter().map(|row| row.iter().map(|x| (x + offset) * size).collect()).collect()
            })
        })
    }

    proptest! {
        /// What an edge is made of (`index/search.rs`): the greatest first word and step, and the last rank.
        #[test]
        fn no_rank_is_below_what_the_greatest_errors_leave(
            rows in rows(), ranks in (0.0f32..1e4, 0.0f32..1e4), firsts in (-1e3f32..1e3, 0.0f32..1e3),
            steps in (0.0f32..10.0, 0.0f32..10.0),
        ) {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                let coder = Coder::new(Quantization::Sq8, metric, rows[0].len(), std::iter::empty());
                let (_, bounds) = coder.bounded_query(Vector::from(&rows[0])).expect("sq8 has bounds");
                let edge = bounds.of(ranks.0, firsts.0.abs() + firsts.1, steps.0 + steps.1).0;
                let beyond = bounds.of(ranks.0 + ranks.1, firsts.0, steps.0).0;
                // But for the last digits of sums of doubles.
                prop_assert!(edge <= beyond.next_up(), "{metric:?}: {edge} above {beyond}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_rank_is_between_them(rows in rows(), trained in 0usize..12) {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                let sample = rows.iter().take(trained).map(Vector::from);
                let coder = Coder::new(Quantization::Sq8, metric, rows[0].len(), sample);
                let asked = Vector::from(&rows[0]);
                let (encoded, bounds) = coder.bounded_query(asked).expect("sq8 has bounds");
                for row in &rows {
                    let row = Vector::from(row);
                    let exact = Query::new(metric, asked).rank(row, row.norm() as f32);
                    let words: Vec<AtomicU32> = coder.encode(row).into_iter().map(AtomicU32::new).collect();
                    let rank = coder.ask_encoded(&encoded).rank(coder.read(&words), coder.norm(&words));
                    let (least, greatest) = bounds.of(rank, coder.norm(&words), coder.step(&words));
                    // A row without a distance is in no graph.
                    prop_assert!(
                        exact.is_nan() || (least..=greatest).contains(&exact),
                        "{metric:?}: {exact} is not in {least}..={greatest}"
                    );
                    for limit in [exact, exact * 0.9, exact / 2.0, 0.0] {
                        let reach = bounds.reach(limit);
                        let beyond = bounds.is_beyond(rank, coder.norm(&words), coder.step(&words), reach);
                        prop_assert!(!beyond || least > limit, "{metric:?}: {least} is beyond {limit}");
                    }
                }
            }
        }
    }

    /// Bounds that say nothing would be right too.
    #[test]
    fn they_are_close_together() {
        let row =
            |seed: u32| (0..384).map(|n| ((n * 7 + seed * 131) as f32).sin() + 5.0).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = (0..100).map(row).collect();
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let coder = Coder::new(Quantization::Sq8, metric, 384, rows.iter().map(Vector::from));
            let asked = Vector::from(&rows[0]);
            let (encoded, bounds) = coder.bounded_query(asked).expect("sq8 has bounds");
            let exact =
                |row: &Vec<f32>| Query::new(metric, asked).rank(row.into(), Vector::from(row).norm() as f32);
            let ranks: Vec<f32> = rows.iter().map(exact).collect();
            let spread = ranks.iter().fold(f32::MIN, |most, &x| most.max(x))
                - ranks.iter().fold(f32::MAX, |least, &x| least.min(x));
            for row in &rows {
                let words: Vec<AtomicU32> =
                    coder.encode(row.into()).into_iter().map(AtomicU32::new).collect();
                let rank = coder.ask_encoded(&encoded).rank(coder.read(&words), coder.norm(&words));
                let (least, greatest) = bounds.of(rank, coder.norm(&words), coder.step(&words));
                assert!(greatest - least < spread / 10.0, "{metric:?}: {least} to {greatest} of {spread}");
            }
        }
    }
}
